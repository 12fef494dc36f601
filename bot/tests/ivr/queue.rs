//! `Enqueue`: waiting, what plays meanwhile, and being taken out.

use std::time::Duration;

use bot::ivr::{
    input::{Input, QueueEvent, Standing},
    machine::Source,
};

use crate::kit::{Call, Plan, call, endpoint, page};

const HOTLINE: &str = r#"<Enqueue action="dequeued" waitUrl="wait">support</Enqueue><Say>Closed.</Say>"#;

fn standing(position: u32) -> Standing {
    Standing { position, size: 3, average_wait: Duration::from_secs(40) }
}

fn entered(position: u32) -> QueueEvent {
    QueueEvent::Entered { sid: "QU01".into(), standing: standing(position) }
}

/// A caller who waits as the third.
fn waiting(plan: Plan) -> Call {
    let mut call = plan.begin();
    call.queue(entered(3)).forget();
    call
}

#[test]
fn who_waits_hears_music_and_where_they_stand_again_and_again() {
    let wait = "<Say>You are number {{QueuePosition}}.</Say><Play>music.mp3</Play>";
    let mut call = call(HOTLINE).page("/wait", wait).begin();
    call.expect(&["POST /voice", "answer", "enqueue in support"]);
    call.queue(entered(3)).expect(&[
        "POST /wait QueueSid=QU01 QueueTime=0 QueuePosition=3 AvgQueueTime=40 CurrentQueueSize=3",
        // Only files are templates; an application fills its pages itself.
        "say \"You are number {{QueuePosition}}.\"",
    ]);
    call.sound_ends().expect(&["play /music.mp3"]);
    call.queue(QueueEvent::Moved(standing(1))).wait_s(90).expect(&[]);
    call.sound_ends().expect(&[
        "POST /wait QueueSid=QU01 QueueTime=90 QueuePosition=1 AvgQueueTime=40 CurrentQueueSize=3",
        "say \"You are number {{QueuePosition}}.\"",
    ]);
}

#[test]
fn without_a_wait_url_there_is_music_and_an_empty_one_is_silence() {
    let mut music = call("<Enqueue>support</Enqueue>").begin();
    music.forget().queue(entered(1)).expect(&["music"]);
    let mut silence = call(r#"<Enqueue waitUrl="">support</Enqueue>"#).begin();
    silence.forget().queue(entered(1)).expect(&[]);
}

#[test]
fn who_is_taken_is_connected_at_once_and_the_action_is_told_afterwards() {
    let mut call = waiting(call(HOTLINE).page("/wait", "<Play>music.mp3</Play>"));
    call.wait_s(33).queue(QueueEvent::Taken { by_call_sid: "CAagent".into(), whisper: None });
    call.expect(&["stop sound", "accept"]);
    call.queue(QueueEvent::Bridged).wait_s(100).queue(QueueEvent::BridgeEnded);
    call.expect(&["POST /dequeued QueueResult=bridged QueueSid=QU01 QueueTime=33"]);
}

#[test]
fn who_is_taken_first_hears_what_the_agent_wants_said() {
    let plan =
        call(HOTLINE).page("/wait", "<Play>music.mp3</Play>").page("/about", "<Say>Recorded.</Say><Dial>1</Dial>");
    let mut call = waiting(plan);
    call.queue(QueueEvent::Taken { by_call_sid: "CAagent".into(), whisper: Some(endpoint("about")) });
    call.expect(&["stop sound", "POST /about QueueSid=QU01 QueueTime=0 DequeingCallSid=CAagent", "say \"Recorded.\""]);
    call.sound_ends().expect(&["warn 13238 Dial", "accept"]);
}

#[test]
fn a_whisper_that_cannot_be_had_does_not_keep_the_two_apart() {
    let plan = call(HOTLINE).page("/wait", "<Play>music.mp3</Play>").answer("/about", page(500, "text/html", ""));
    let mut call = waiting(plan);
    call.queue(QueueEvent::Taken { by_call_sid: "CAagent".into(), whisper: Some(endpoint("about")) });
    call.expect(&[
        "stop sound",
        "POST /about QueueSid=QU01 QueueTime=0 DequeingCallSid=CAagent",
        "warn 11200 Response",
        "accept",
    ]);
}

#[test]
fn who_is_given_back_waits_on_and_can_be_taken_again() {
    for whisper in [None, Some(endpoint("about"))] {
        let plan = call(HOTLINE).page("/wait", "<Play>music.mp3</Play>").page("/about", "<Say>Recorded.</Say>");
        let mut call = waiting(plan);
        call.wait_s(5).queue(QueueEvent::Taken { by_call_sid: "CAagent".into(), whisper }).forget();
        call.queue(QueueEvent::GivenBack).forget().wait_s(60).expect(&[]);
        call.queue(QueueEvent::Taken { by_call_sid: "CAother".into(), whisper: None });
        call.expect(&["stop sound", "accept"]);
        call.queue(QueueEvent::Bridged).queue(QueueEvent::BridgeEnded);
        call.expect(&["POST /dequeued QueueResult=bridged QueueSid=QU01 QueueTime=65"]);
    }
}

#[test]
fn an_agent_who_never_connects_does_not_hang_the_caller() {
    let mut call = waiting(call(HOTLINE).page("/wait", "<Play>music.mp3</Play>"));
    call.queue(QueueEvent::Taken { by_call_sid: "CAagent".into(), whisper: None }).forget().wait_s(30);
    call.expect(&["leave queue", "POST /dequeued QueueResult=error QueueSid=QU01 QueueTime=0"]);
}

#[test]
fn leave_leaves_the_queue_from_the_document_that_plays_in_it() {
    let wait = r#"<Gather numDigits="1" action="key"><Say>Press one for a call back.</Say></Gather>"#;
    let mut call = waiting(call(HOTLINE).page("/wait", wait).page("/key", "<Leave/>"));
    call.wait_s(5).press("1");
    call.expect(&[
        "stop sound",
        "POST /key Digits=1 FinishedOnKey=",
        "leave queue",
        "POST /dequeued QueueResult=leave QueueSid=QU01 QueueTime=5",
    ]);
    let mut outside = crate::kit::call("<Leave/><Say>on</Say>").begin();
    outside.expect(&["POST /voice", "warn 13238 Leave", "answer", "say \"on\""]);
}

#[test]
fn leaving_without_an_action_goes_on_with_the_document() {
    let plan = call(r#"<Enqueue waitUrl="wait">support</Enqueue><Say>Closed.</Say>"#).page("/wait", "<Leave/>");
    let mut call = plan.begin();
    call.forget().queue(entered(1));
    call.expect(&[
        "POST /wait QueueSid=QU01 QueueTime=0 QueuePosition=1 AvgQueueTime=40 CurrentQueueSize=3",
        "leave queue",
        "say \"Closed.\"",
    ]);
}

#[test]
fn a_full_queue_and_a_broken_one_are_told() {
    for (event, result) in [(QueueEvent::Full, "queue-full"), (QueueEvent::Failed, "system-error")] {
        let mut call = call(HOTLINE).begin();
        call.forget().queue(event).expect(&[&format!("POST /dequeued QueueResult={result}")]);
    }
}

#[test]
fn a_caller_who_hangs_up_in_the_queue_is_told_of() {
    let mut call = waiting(call(HOTLINE).page("/wait", "<Play>music.mp3</Play>"));
    call.wait_s(12).caller_hangs_up();
    call.expect(&["stop sound", "leave queue", "tell POST /dequeued QueueResult=hangup QueueSid=QU01 QueueTime=12"]);
}

#[test]
fn the_rest_api_takes_a_caller_out_of_the_queue() {
    let mut call = waiting(call(HOTLINE).page("/wait", "<Play>music.mp3</Play>").page("/agent", "<Say>Hi.</Say>"));
    call.tell(Input::Redirected(Source::At(endpoint("agent"))));
    call.expect(&[
        "stop sound",
        "leave queue",
        "tell POST /dequeued QueueResult=redirected QueueSid=QU01 QueueTime=0",
        "POST /agent",
        "say \"Hi.\"",
    ]);
}

#[test]
fn a_wait_document_that_fails_is_replaced_by_music() {
    let mut call = call(HOTLINE).answer("/wait", page(404, "text/html", "no")).begin();
    call.forget().queue(entered(1));
    call.expect(&[
        "POST /wait QueueSid=QU01 QueueTime=0 QueuePosition=1 AvgQueueTime=40 CurrentQueueSize=3",
        "warn 11200 Response",
        "music",
    ]);
}

#[test]
fn an_empty_wait_document_does_not_spin() {
    let mut call = call(HOTLINE).page("/wait", "").begin();
    call.queue(entered(1));
    let before = call.requests.len();
    call.wait_s(60);
    let asked = call.requests.len() - before;
    assert!((20..=31).contains(&asked), "{asked} requests a minute");
}

#[test]
fn verbs_that_would_take_the_caller_elsewhere_do_not_belong_into_a_wait() {
    let wait = "<Dial>+491</Dial><Record/><Enqueue>x</Enqueue><Play>music.mp3</Play>";
    let mut call = call(HOTLINE).page("/wait", wait).begin();
    call.forget().queue(entered(1));
    call.expect(&[
        "POST /wait QueueSid=QU01 QueueTime=0 QueuePosition=1 AvgQueueTime=40 CurrentQueueSize=3",
        "warn 13238 Dial",
        "warn 13238 Record",
        "warn 13238 Enqueue",
        "play /music.mp3",
    ]);
}
