//! `Dial` to a conference.

use bot::ivr::{
    input::ConferenceEvent,
    webhook::{Endpoint, Method},
};

use crate::kit::call;

const ROOM: &str = r#"<Dial action="after" hangupOnStar="true"><Conference waitUrl="wait" startConferenceOnEnter="false">
    standup</Conference></Dial>"#;

fn joined(is_waiting: bool) -> ConferenceEvent {
    ConferenceEvent::Joined { sid: "CF01".into(), is_waiting }
}

#[test]
fn who_waits_for_a_conference_hears_what_plays_until_it_begins() {
    let mut call = call(ROOM).page("/wait", "<Play>music.mp3</Play>").begin();
    call.expect(&["POST /voice", "answer", "join conference standup"]);
    call.conference(joined(true)).expect(&["POST /wait", "play /music.mp3"]);
    call.conference(ConferenceEvent::Started).expect(&["stop sound"]);
    call.conference(ConferenceEvent::Waiting).expect(&["POST /wait", "play /music.mp3"]);
    call.wait_s(60).conference(ConferenceEvent::Left);
    call.expect(&["stop sound", "POST /after DialCallStatus=answered DialCallDuration=60"]);
}

#[test]
fn who_is_held_hears_what_was_named_for_it_and_what_the_document_named_afterwards() {
    let mut call = call(ROOM).page("/wait", "<Play>music.mp3</Play>").page("/hold", "<Play>/hold.mp3</Play>").begin();
    call.forget().conference(joined(false)).expect(&[]);
    let url = url::Url::parse("https://app.test/hold").unwrap();
    let hold = ConferenceEvent::Held(Endpoint { url, method: Method::Get });
    call.conference(hold).expect(&["GET /hold", "play /hold.mp3"]);
    call.conference(ConferenceEvent::Waiting).expect(&["stop sound", "POST /wait", "play /music.mp3"]);
    call.conference(ConferenceEvent::Started).expect(&["stop sound"]);
}

#[test]
fn what_plays_is_asked_for_at_its_own_address_each_time() {
    let mut call =
        call(ROOM).page("/wait", "<Redirect>/music/loop</Redirect>").page("/music/loop", "<Play>a.mp3</Play>").begin();
    call.forget().conference(joined(true)).expect(&["POST /wait", "POST /music/loop", "play /music/a.mp3"]);
    call.conference(joined(true)).expect(&["stop sound", "POST /wait", "POST /music/loop", "play /music/a.mp3"]);
}

#[test]
fn a_conference_that_has_begun_is_heard_at_once() {
    let mut call = call(ROOM).begin();
    call.forget().conference(joined(false)).expect(&[]);
}

#[test]
fn the_star_leaves_a_conference() {
    let mut call = call(ROOM).begin();
    call.conference(joined(false)).wait_s(7).forget().press("1*");
    call.expect(&["leave conference", "POST /after DialCallStatus=answered DialCallDuration=7"]);
}

#[test]
fn a_full_conference_is_told_as_failed() {
    let mut call = call(ROOM).begin();
    call.forget().conference(ConferenceEvent::Left).expect(&["POST /after DialCallStatus=failed"]);
}

#[test]
fn a_caller_who_hangs_up_leaves_the_conference() {
    let mut call = call(ROOM).page("/wait", "<Play>music.mp3</Play>").begin();
    call.conference(joined(true)).wait_s(3).forget().caller_hangs_up();
    call.expect(&["stop sound", "leave conference", "tell POST /after DialCallStatus=answered DialCallDuration=3"]);
}
