//! `Dial`: who rings, who is connected, and what the application is told.

use bot::ivr::{
    effect::Callee,
    input::{Input, LegEvent, RecordingEvent, Unreached},
    twiml::Answering,
};

use crate::kit::{call, endpoint};

const ONE: &str = r#"<Dial action="after">+49301234</Dial><Say>never</Say>"#;

#[test]
fn the_caller_hears_it_ring_talks_and_the_action_is_told_how_long() {
    let mut call = call(ONE).begin();
    call.expect(&["POST /voice", "answer", "dial +49301234 as +4930111 for 30s"]);
    call.leg(0, LegEvent::Started { call_sid: "CAchild".into() }).leg(0, LegEvent::Ringing);
    call.expect(&["ringing as here"]);
    call.leg(0, LegEvent::Answered).expect(&["stop sound", "bridge leg 0"]);
    call.wait_s(65).leg(0, LegEvent::Ended);
    call.expect(&["POST /after DialCallStatus=completed DialCallSid=CAchild DialCallDuration=65 DialBridged=true"]);
}

#[test]
fn without_an_action_the_document_goes_on() {
    let mut call = call("<Dial>+49301234</Dial><Say>Goodbye.</Say>").begin();
    call.leg(0, LegEvent::Answered).wait_s(3).forget().leg(0, LegEvent::Ended).expect(&["say \"Goodbye.\""]);
}

#[test]
fn who_is_busy_or_does_not_answer_is_told_so() {
    for (event, status) in
        [(Unreached::Busy, "busy"), (Unreached::NoAnswer, "no-answer"), (Unreached::Failed, "failed")]
    {
        let mut call = call(ONE).begin();
        call.leg(0, LegEvent::Started { call_sid: "CAchild".into() }).forget();
        call.leg(0, LegEvent::Unreached(event));
        call.expect(&[&format!("POST /after DialCallStatus={status} DialCallSid=CAchild DialBridged=false")]);
    }
}

#[test]
fn who_rings_too_long_is_given_up() {
    let mut call = call(r#"<Dial action="after" timeout="15">+49301234</Dial>"#).begin();
    call.leg(0, LegEvent::Ringing).forget().wait_ms(14_999).expect(&[]);
    call.wait_ms(1).expect(&["hang up leg 0", "stop sound", "POST /after DialCallStatus=no-answer DialBridged=false"]);
}

#[test]
fn of_several_the_first_who_answers_is_connected() {
    let dial =
        r#"<Dial action="after"><Number>+491</Number><Number>+492</Number><Sip>sip:office@pbx.test</Sip></Dial>"#;
    let mut call = call(dial).begin();
    call.expect(&[
        "POST /voice",
        "answer",
        "dial +491 as +4930111 for 30s",
        "dial +492 as +4930111 for 30s",
        "dial sip:office@pbx.test as +4930111 for 30s",
    ]);
    call.leg(1, LegEvent::Ringing).leg(0, LegEvent::Unreached(Unreached::Busy)).forget();
    call.leg(2, LegEvent::Answered).expect(&["stop sound", "hang up leg 1", "bridge leg 2"]);
    call.leg(1, LegEvent::Answered).leg(1, LegEvent::Ended).expect(&[]);
    call.leg(2, LegEvent::Ended);
    call.expect(&["POST /after DialCallStatus=completed DialCallDuration=0 DialBridged=true"]);
}

#[test]
fn one_after_the_other_rings_when_they_are_sequential() {
    let dial =
        r#"<Dial action="after" sequential="true" timeout="10"><Number>+491</Number><Number>+492</Number></Dial>"#;
    let mut call = call(dial).begin();
    call.expect(&["POST /voice", "answer", "dial +491 as +4930111 for 10s"]);
    call.wait_s(10).expect(&["hang up leg 0", "dial +492 as +4930111 for 10s"]);
    call.leg(1, LegEvent::Unreached(Unreached::Busy));
    call.expect(&["POST /after DialCallStatus=busy DialBridged=false"]);
}

#[test]
fn of_several_who_were_not_reached_the_busy_one_is_told() {
    let mut call = call(r#"<Dial action="after"><Number>+491</Number><Number>+492</Number></Dial>"#).begin();
    call.leg(0, LegEvent::Unreached(Unreached::Busy)).leg(1, LegEvent::Unreached(Unreached::Failed));
    assert_eq!(call.last_params().value("DialCallStatus"), Some("busy"));
}

#[test]
fn a_call_that_is_answered_on_bridge_is_not_taken_before() {
    let mut call = call(r#"<Dial action="after" answerOnBridge="true">+491</Dial>"#).begin();
    call.expect(&["POST /voice", "dial +491 as +4930111 for 30s"]);
    call.leg(0, LegEvent::Ringing).expect(&["ringing is signalled"]);
    call.leg(0, LegEvent::Answered).expect(&["stop sound", "answer", "bridge leg 0"]);
}

#[test]
fn what_the_only_one_who_rings_plays_is_heard_in_place_of_our_ringing() {
    let mut call = call(ONE).begin();
    call.leg(0, LegEvent::Ringing).forget().leg(0, LegEvent::Early).expect(&["stop sound", "hear leg 0 ring"]);
    call.leg(0, LegEvent::Ringing).leg(0, LegEvent::Early).expect(&[]);
    call.leg(0, LegEvent::Answered).expect(&["bridge leg 0"]);
    // Also where the caller's call is not taken, and whoever plays something never takes theirs.
    let mut call =
        crate::kit::call(r#"<Dial action="after" answerOnBridge="true" sequential="true"><Number>+491</Number><Number>+492</Number></Dial>"#)
            .begin();
    call.forget().leg(0, LegEvent::Early).expect(&["hear leg 0 ring"]);
    call.leg(0, LegEvent::Unreached(Unreached::Busy)).expect(&["dial +492 as +4930111 for 30s"]);
    call.leg(1, LegEvent::Ringing).expect(&["ringing is signalled"]);
    call.leg(1, LegEvent::Early).expect(&["stop sound", "hear leg 1 ring"]);
    call.leg(1, LegEvent::Answered).expect(&["answer", "bridge leg 1"]);
}

#[test]
fn of_several_who_ring_nobody_is_heard_until_one_is_left_and_a_named_ringing_stays() {
    let mut call = call("<Dial><Number>+491</Number><Number>+492</Number></Dial>").begin();
    call.forget().leg(0, LegEvent::Early).expect(&["ringing as here"]);
    call.leg(1, LegEvent::Unreached(Unreached::Busy)).expect(&["stop sound", "hear leg 0 ring"]);
    let mut call = crate::kit::call(r#"<Dial ringTone="us">+491</Dial>"#).begin();
    call.forget().leg(0, LegEvent::Early).expect(&["ringing us"]);
}

#[test]
fn it_rings_again_while_whoever_was_heard_listens_to_a_whisper() {
    let mut call = call(r#"<Dial><Number url="screen">+491</Number></Dial>"#).begin();
    call.forget().leg(0, LegEvent::Early).expect(&["hear leg 0 ring"]);
    call.leg(0, LegEvent::Answered).expect(&["ringing as here"]);
    call.leg(0, LegEvent::Ready).expect(&["stop sound", "bridge leg 0"]);
}

#[test]
fn a_call_nobody_could_take_ends_without_having_been_taken() {
    let mut call = call(r#"<Dial answerOnBridge="true">+491</Dial>"#).status_callback().begin();
    call.forget().leg(0, LegEvent::Unreached(Unreached::Busy));
    call.expect(&["hang up", "tell POST /status CallStatus=canceled CallDuration=0 SequenceNumber=3"]);
}

#[test]
fn a_whisper_is_heard_before_the_two_are_connected_and_others_ring_on() {
    let dial = r#"<Dial action="after"><Number url="screen?who=1">+491</Number><Number>+492</Number></Dial>"#;
    let mut call = call(dial).begin();
    call.forget().leg(0, LegEvent::Answered).expect(&[]);
    call.leg(0, LegEvent::Ended).expect(&[]);
    call.leg(1, LegEvent::Answered).expect(&["bridge leg 1"]);
}

#[test]
fn who_has_heard_their_whisper_is_connected() {
    let mut call =
        call(r#"<Dial action="after"><Number url="screen">+491</Number><Number>+492</Number></Dial>"#).begin();
    call.leg(0, LegEvent::Answered).forget();
    call.leg(0, LegEvent::Ready).expect(&["hang up leg 1", "bridge leg 0"]);
}

#[test]
fn who_hangs_up_on_a_whisper_was_not_connected() {
    let mut call = call(r#"<Dial action="after"><Number url="screen">+491</Number></Dial>"#).begin();
    call.leg(0, LegEvent::Answered).forget().leg(0, LegEvent::Ended);
    call.expect(&["POST /after DialCallStatus=completed DialBridged=false"]);
}

#[test]
fn a_whisper_without_end_is_given_up() {
    let mut call = call(r#"<Dial action="after"><Number url="screen">+491</Number></Dial>"#).begin();
    call.leg(0, LegEvent::Answered).forget().wait_s(300);
    call.expect(&["hang up leg 0", "POST /after DialCallStatus=no-answer DialBridged=false"]);
}

#[test]
fn the_star_hangs_up_whoever_was_dialled_only_where_it_is_asked_for() {
    let mut call = call(r#"<Dial hangupOnStar="true">+491</Dial><Say>on</Say>"#).begin();
    call.leg(0, LegEvent::Answered).forget().press("12#").expect(&[]);
    call.press("*").expect(&["hang up leg 0", "say \"on\""]);
    let mut other = crate::kit::call("<Dial>+491</Dial>").begin();
    other.leg(0, LegEvent::Answered).forget().press("*").expect(&[]);
}

#[test]
fn a_talk_ends_at_its_time_limit() {
    let mut call = call(r#"<Dial timeLimit="90" action="after">+491</Dial>"#).begin();
    call.leg(0, LegEvent::Answered).forget().wait_ms(89_999).expect(&[]);
    call.wait_ms(1);
    call.expect(&["hang up leg 0", "POST /after DialCallStatus=completed DialCallDuration=90 DialBridged=true"]);
}

#[test]
fn a_recorded_talk_is_told_with_its_file() {
    let dial = r#"<Dial record="record-from-answer-dual" action="after" recordingStatusCallback="file">+491</Dial>"#;
    let mut call = call(dial).begin();
    call.leg(0, LegEvent::Answered).expect(&[
        "POST /voice",
        "answer",
        "dial +491 as +4930111 for 30s",
        "bridge leg 0",
        "record Both(Dual) at most 14430s",
    ]);
    call.wait_s(8).leg(0, LegEvent::Ended).expect(&["stop recording"]);
    call.file_of(8).expect(&[
        "tell POST /file RecordingSid=RE01 RecordingUrl=https://here.test/RE01 RecordingStatus=completed \
         RecordingDuration=8 RecordingChannels=1 RecordingSource=DialVerb RecordingTrack=both ErrorCode=0",
        "POST /after DialCallStatus=completed DialCallDuration=8 DialBridged=true RecordingUrl=https://here.test/RE01 \
         RecordingSid=RE01 RecordingDuration=8",
    ]);
}

#[test]
fn a_recording_that_does_not_come_does_not_hang_the_call() {
    let mut call = call(r#"<Dial record="true" action="after">+491</Dial>"#).begin();
    call.leg(0, LegEvent::Answered).leg(0, LegEvent::Ended).forget().wait_s(10);
    call.expect(&["POST /after DialCallStatus=completed DialCallDuration=0 DialBridged=true"]);
    call.recording(RecordingEvent::Absent).expect(&[]);
}

#[test]
fn a_caller_who_hangs_up_ends_all_legs_and_the_action_is_told() {
    let mut ringing = call(ONE).begin();
    ringing.leg(0, LegEvent::Ringing).forget().caller_hangs_up();
    ringing.expect(&["stop sound", "hang up leg 0", "tell POST /after DialCallStatus=canceled DialBridged=false"]);
    let mut talking = call(ONE).begin();
    talking.leg(0, LegEvent::Answered).wait_s(4).forget().caller_hangs_up();
    talking.expect(&["hang up leg 0", "tell POST /after DialCallStatus=completed DialCallDuration=4 DialBridged=true"]);
}

#[test]
fn whoever_is_dialled_is_told_of_to_their_own_callback() {
    let number =
        r#"<Number statusCallback="leg" statusCallbackEvent="initiated ringing answered completed">+491</Number>"#;
    let mut call = call(&format!("<Dial>{number}</Dial><Pause/>")).begin();
    call.forget().leg(0, LegEvent::Started { call_sid: "CAchild".into() }).leg(0, LegEvent::Ringing);
    call.wait_s(5).leg(0, LegEvent::Answered).wait_s(61).leg(0, LegEvent::Ended);
    call.expect(&[
        "tell POST /leg CallStatus=initiated ParentCallSid=CA0123 SequenceNumber=0",
        "tell POST /leg CallStatus=ringing ParentCallSid=CA0123 SequenceNumber=1",
        "ringing as here",
        "tell POST /leg CallStatus=in-progress ParentCallSid=CA0123 SequenceNumber=2",
        "stop sound",
        "bridge leg 0",
        "tell POST /leg CallStatus=completed ParentCallSid=CA0123 CallDuration=61 SequenceNumber=3",
    ]);
    let (_, params) = call.told.last().expect("told");
    let told = |name| params.value(name);
    assert_eq!([told("CallSid"), told("From"), told("To")], [Some("CAchild"), Some("+4930111"), Some("+491")]);
    assert_eq!([told("Direction"), told("Duration")], [Some("outbound-dial"), Some("2")]);
    assert_eq!(told("Timestamp"), Some("Tue, 01 Dec 2026 08:16:06 +0000"));
}

#[test]
fn what_answers_is_told_when_somebody_listens_for_machines() {
    let number = r#"<Number machineDetection="Enable" amdStatusCallback="amd">+491</Number>"#;
    let mut call = call(&format!("<Dial>{number}</Dial>")).begin();
    call.leg(0, LegEvent::Answered).wait_ms(2_300).forget().leg(0, LegEvent::Detected("machine_start"));
    call.expect(&["tell POST /amd AnsweredBy=machine_start MachineDetectionDuration=2300"]);
}

#[test]
fn whoever_was_dialled_may_pass_the_caller_on_where_the_application_says_how() {
    let mut call = call(r#"<Dial referUrl="refer" action="after">+491</Dial>"#).begin();
    call.leg(0, LegEvent::Answered).wait_s(9).forget();
    call.leg(0, LegEvent::Refers { to: "sip:boss@pbx.test".into() }).expect(&[
        "hang up leg 0",
        "POST /refer DialCallStatus=completed DialCallDuration=9 DialBridged=true ReferTransferTarget=sip:boss@pbx.test",
    ]);
    let mut other = crate::kit::call("<Dial>+491</Dial>").begin();
    other.leg(0, LegEvent::Answered).forget().leg(0, LegEvent::Refers { to: "sip:x@y".into() }).expect(&[]);
}

#[test]
fn nobody_to_dial_is_told_as_failed() {
    let mut call = call(r#"<Dial action="after"><Number>nonsense</Number></Dial>"#).begin();
    call.expect(&[
        "POST /voice",
        "warn 13223 Number",
        "answer",
        "warn 13210 Dial",
        "POST /after DialCallStatus=failed DialBridged=false",
    ]);
}

#[test]
fn a_call_redirected_by_the_rest_api_leaves_whoever_it_talks_to() {
    let mut call = call(ONE).page("/elsewhere", "<Say>Hello again.</Say>").begin();
    call.leg(0, LegEvent::Answered).forget();
    call.tell(Input::Redirected(bot::ivr::machine::Source::At(endpoint("elsewhere"))));
    call.expect(&["hang up leg 0", "POST /elsewhere", "say \"Hello again.\""]);
    call.leg(0, LegEvent::Ended).expect(&[]);
}

#[test]
fn the_first_of_a_queue_is_connected_when_they_are_ready() {
    let mut call = call(r#"<Dial action="after" timeout="60"><Queue url="about">support</Queue></Dial>"#).begin();
    call.expect(&["POST /voice", "answer", "dial queue support as +4930111 for 60s"]);
    call.leg(0, LegEvent::Answered).expect(&[]);
    call.leg(0, LegEvent::Ready).expect(&["bridge leg 0"]);
    call.wait_s(30).leg(0, LegEvent::Ended);
    call.expect(&["POST /after DialCallStatus=completed DialCallDuration=30 DialBridged=true"]);
}

#[test]
fn an_empty_queue_is_waited_at_as_long_as_the_timeout_says() {
    let mut call = call(r#"<Dial action="after" timeout="60"><Queue>support</Queue></Dial>"#).begin();
    call.forget().wait_s(60);
    call.expect(&["hang up leg 0", "POST /after DialCallStatus=no-answer DialBridged=false"]);
}

#[test]
fn legs_carry_what_the_document_says_of_them() {
    let dial = r#"<Dial timeout="7" callerId="+4930999">
        <Sip username="me" password="secret" url="screen">sip:a@b.test?X-Order=17&amp;Route=evil</Sip>
        <Number sendDigits="w1">030 / 123-45</Number></Dial>"#;
    let mut call = call(dial).begin();
    call.expect(&["POST /voice", "answer", "dial sip:a@b.test as +4930999 for 7s", "dial 03012345 as +4930999 for 7s"]);
    let [sip, number] = &call.dialled[..] else { panic!("two are dialled") };
    let Callee::Phone(Answering::Sip { headers, credentials, .. }) = &sip.who else { panic!("a SIP address") };
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
    assert_eq!(headers, [("X-Order", "17")], "nothing that steers the call elsewhere");
    assert_eq!(credentials.as_ref().map(|(name, password)| (name.as_str(), password.reveal())), Some(("me", "secret")));
    assert_eq!(sip.whisper.as_ref().map(|whisper| whisper.url.path()), Some("/screen"));
    assert_eq!(number.send_digits.len(), 2);
}
