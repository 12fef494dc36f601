//! How calls end, and what is told then.

use std::time::Duration;

use bot::ivr::{
    call::CallStatus,
    input::{Ending, Input},
    machine::{Role, Source},
};

use crate::kit::{call, endpoint};

#[test]
fn a_call_is_told_when_it_is_taken_and_when_it_is_over() {
    let mut call = call("<Say>Hi.</Say>").status_callback().begin();
    call.expect(&["POST /voice", "answer", "tell POST /status CallStatus=in-progress SequenceNumber=2", "say \"Hi.\""]);
    call.wait_s(61).sound_ends();
    call.expect(&["hang up", "tell POST /status CallStatus=completed CallDuration=61 SequenceNumber=3"]);
    let (_, params) = call.told.last().expect("told");
    assert_eq!(params.value("Duration"), Some("2"), "minutes begun");
    assert_eq!(params.value("Timestamp"), Some("Tue, 01 Dec 2026 08:16:01 +0000"));
    assert!(call.machine.is_over());
}

#[test]
fn the_status_of_a_request_is_that_of_the_call() {
    let mut call =
        call(r#"<Redirect>next</Redirect>"#).page("/next", r#"<Gather numDigits="1" action="then"/>"#).begin();
    call.press("1");
    let status: Vec<_> = call.requests.iter().map(|fetch| fetch.params.value("CallStatus")).collect();
    assert_eq!(status, [Some("ringing"), Some("ringing"), Some("in-progress")]);
}

#[test]
fn a_rejected_call_is_never_taken() {
    let mut call = call(r#"<Reject reason="busy"/><Say>never</Say>"#).status_callback().begin();
    call.expect(&["POST /voice", "reject Busy", "tell POST /status CallStatus=busy CallDuration=0 SequenceNumber=3"]);
    assert_eq!(call.machine.status(), CallStatus::Busy);
    let mut late = crate::kit::call("<Say>Hi.</Say><Reject/>").begin();
    late.sound_ends().expect(&["POST /voice", "answer", "say \"Hi.\"", "warn 12200 Reject", "hang up"]);
}

#[test]
fn a_pause_at_the_start_lets_it_ring() {
    let mut call = call(r#"<Pause length="4"/><Say>Hi.</Say>"#).begin();
    call.expect(&["POST /voice"]).wait_s(4).expect(&["answer", "say \"Hi.\""]);
}

#[test]
fn hang_up_takes_the_call_and_ends_it() {
    call("<Hangup/><Say>never</Say>").begin().expect(&["POST /voice", "answer", "hang up"]);
}

#[test]
fn a_caller_who_gives_up_before_an_answer_has_canceled() {
    let mut call = call(r#"<Pause length="4"/>"#).status_callback().begin();
    call.forget().tell(Input::HungUp(Ending::Canceled));
    call.expect(&["tell POST /status CallStatus=canceled CallDuration=0 SequenceNumber=3"]);
}

#[test]
fn nothing_is_asked_for_after_the_call() {
    let mut call = call(r#"<Gather action="menu"><Say>Menu.</Say></Gather>"#).begin();
    call.forget().caller_hangs_up().expect(&["stop sound"]);
    call.press("1#").wait_s(10_000).expect(&[]);
    assert!(call.machine.is_over());
    assert_eq!(call.machine.next_deadline(), None);
}

#[test]
fn an_answer_that_comes_after_the_call_is_ignored() {
    let mut call = call(r#"<Redirect>slow</Redirect>"#).begin();
    call.forget().caller_hangs_up();
    call.application_answers("<Say>Hello?</Say>").expect(&[]);
}

#[test]
fn the_rest_api_ends_a_call() {
    let mut call = call("<Say>Hi.</Say>").begin();
    call.forget().tell(Input::HangUp).expect(&["stop sound", "hang up"]);
}

#[test]
fn the_rest_api_moves_a_call_to_a_document_it_brings_along() {
    let mut call = call(r#"<Gather><Say>Menu.</Say></Gather>"#).begin();
    call.forget().tell(Input::Redirected(Source::Inline("<Response><Say>Moved.</Say></Response>".into())));
    call.expect(&["stop sound", "say \"Moved.\""]);
    call.sound_ends().expect(&["hang up"]);
}

#[test]
fn a_call_lasts_no_longer_than_a_call_may() {
    let mut call = call(r#"<Say loop="0">On and on.</Say>"#).begin();
    call.forget().wait_s(4 * 3_600);
    call.expect(&["warn 0 Response", "stop sound", "hang up"]);
}

#[test]
fn a_whisper_ends_without_ending_the_call_of_whoever_listened() {
    let verbs = "<Say>A call for you.</Say><Dial>+491</Dial><Record/>";
    let mut whisper = call(verbs).with(|setup| (setup.role, setup.facts.is_answered) = (Role::Whisper, true)).begin();
    whisper.expect(&["POST /voice", "say \"A call for you.\""]);
    whisper.sound_ends().expect(&["warn 13238 Dial", "warn 13238 Record", "finished"]);
    assert!(whisper.machine.is_over());
}

#[test]
fn a_whisper_that_asks_first_may_refuse_the_call() {
    let verbs = r#"<Gather numDigits="1" action="yes"><Say>Press one.</Say></Gather><Hangup/>"#;
    let screened =
        || call(verbs).page("/yes", "").with(|setup| (setup.role, setup.facts.is_answered) = (Role::Whisper, true));
    let mut refused = screened().begin();
    refused.sound_ends().wait_s(5).expect(&["POST /voice", "say \"Press one.\"", "hang up"]);
    let mut taken = screened().begin();
    taken.forget().press("1").expect(&["stop sound", "POST /yes Digits=1 FinishedOnKey=", "finished"]);
}

#[test]
fn a_call_we_made_is_taken_from_the_start() {
    let mut call = call("<Say>Hi.</Say>").with(|setup| setup.facts.is_answered = true).begin();
    call.expect(&["POST /voice", "say \"Hi.\""]);
    assert_eq!(call.requests[0].params.value("CallStatus"), Some("in-progress"));
}

#[test]
fn every_request_says_whose_call_it_is() {
    let call = call("").with(|setup| {
        setup.facts.caller_name = Some("Ada".into());
        setup.facts.forwarded_from = Some("+4930333".into());
        setup.facts.own_params = vec![("SipHeader_X-Order".into(), "17".into())];
        setup.source = Source::At(endpoint("voice"));
    });
    let call = call.begin();
    let said: Vec<_> = call.requests[0].params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        said,
        [
            "CallSid=CA0123",
            "AccountSid=AC0123",
            "From=+4930111",
            "To=+4930222",
            "CallStatus=ringing",
            "ApiVersion=2010-04-01",
            "Direction=inbound",
            "ForwardedFrom=+4930333",
            "CallerName=Ada",
            "Caller=+4930111",
            "Called=+4930222",
            "SipHeader_X-Order=17",
        ]
    );
    assert_eq!(call.requests[0].timeout, Duration::from_secs(15));
}
