//! `Record`, and recordings beside the document.

use crate::kit::call;
use bot::ivr::input::{Heard, RecordingEvent};

const MAILBOX: &str = r#"<Record action="done" timeout="4" maxLength="60" transcribeCallback="text"
    recordingStatusCallback="file" recordingStatusCallbackEvent="in-progress completed absent"/><Say>Bye.</Say>"#;

#[test]
fn a_message_is_recorded_after_the_beep_until_the_caller_is_silent() {
    let mut call = call(MAILBOX).begin();
    call.expect(&["POST /voice", "answer", "beep"]);
    call.sound_ends().expect(&["record Caller at most 60s", "listen for speech"]);
    call.recording(RecordingEvent::Started { sid: "RE01".into() }).forget();
    call.speech_starts().wait_s(20).speech_ends().wait_ms(3_999).expect(&[]);
    call.wait_ms(1).expect(&["stop listening", "stop recording"]);
    call.file_of(20).expect(&[
        "tell POST /file RecordingSid=RE01 RecordingUrl=https://here.test/RE01 RecordingStatus=completed \
         RecordingDuration=20 RecordingChannels=1 RecordingSource=RecordVerb RecordingTrack=inbound ErrorCode=0",
        "POST /done RecordingUrl=https://here.test/RE01 RecordingSid=RE01 RecordingDuration=20 Digits=",
    ]);
}

#[test]
fn any_key_ends_a_message_and_is_told() {
    let mut call = call(MAILBOX).begin();
    call.sound_ends().speech_starts().forget().press("#").expect(&["stop listening", "stop recording"]);
    call.press("1");
    call.file_of(3);
    assert_eq!(call.last_params().value("Digits"), Some("#"));
    assert_eq!(call.last_params().value("RecordingDuration"), Some("3"));
}

#[test]
fn only_the_keys_it_names_end_a_message() {
    let mut call = call(r#"<Record action="done" finishOnKey="*"/>"#).begin();
    call.sound_ends().speech_starts().forget().press("123#").expect(&[]);
    call.press("*").expect(&["stop listening", "stop recording"]);
}

#[test]
fn a_message_ends_when_it_is_as_long_as_it_may_be() {
    let mut call = call(MAILBOX).begin();
    call.sound_ends().speech_starts().forget().wait_ms(59_999).expect(&[]);
    call.wait_ms(1).expect(&["stop listening", "stop recording"]);
}

#[test]
fn a_caller_who_says_nothing_leaves_no_message() {
    let mut call = call(MAILBOX).begin();
    call.sound_ends().wait_s(4).forget();
    call.recording(RecordingEvent::Absent).expect(&[
        "tell POST /file RecordingSid= RecordingStatus=absent RecordingSource=RecordVerb RecordingTrack=inbound \
         ErrorCode=0",
        "say \"Bye.\"",
    ]);
    let mut silent = crate::kit::call(MAILBOX).begin();
    silent.sound_ends().wait_s(4).file_of(4).forget();
    silent.sound_ends().expect(&["hang up"]);
}

#[test]
fn without_a_beep_the_recording_begins_at_once() {
    let mut call = call(r#"<Record playBeep="false"/>"#).begin();
    call.expect(&["POST /voice", "answer", "record Caller at most 3600s", "listen for speech"]);
}

#[test]
fn the_words_of_a_message_are_told_even_after_the_call() {
    let mut call = call(MAILBOX).begin();
    call.sound_ends().speech_starts().press("#").file_of(5).forget();
    call.caller_hangs_up().expect(&[]);
    assert!(!call.machine.is_over(), "the transcript is still to come");
    call.recording(RecordingEvent::Transcribed { sid: "RE01".into(), text: Some("Call me back.".into()) });
    call.expect(&["tell POST /text TranscriptionSid=TR01 TranscriptionText=Call me back. \
        TranscriptionStatus=completed RecordingSid=RE01 RecordingUrl=https://here.test/RE01"]);
    assert!(call.machine.is_over());
}

#[test]
fn a_transcript_that_never_comes_is_told_as_failed() {
    let mut call = call(MAILBOX).begin();
    call.sound_ends().speech_starts().press("#").file_of(5).caller_hangs_up().forget();
    call.wait_s(300).expect(&["tell POST /text TranscriptionSid=TR01 TranscriptionText= TranscriptionStatus=failed \
        RecordingSid=RE01 RecordingUrl=https://here.test/RE01"]);
    assert!(call.machine.is_over());
}

#[test]
fn a_caller_who_hangs_up_has_left_a_message_all_the_same() {
    let mut call = call(r#"<Record action="done"/>"#).begin();
    call.sound_ends().speech_starts().wait_s(7).forget();
    call.caller_hangs_up().expect(&["stop listening", "stop recording"]);
    call.file_of(7).expect(&["tell POST /done Digits=hangup RecordingUrl=https://here.test/RE01 RecordingSid=RE01 \
        RecordingDuration=7"]);
    assert_eq!(call.told.last().and_then(|(_, params)| params.value("CallStatus")), Some("completed"));
    assert!(call.machine.is_over());
}

#[test]
fn a_recorder_that_never_reports_does_not_hang_the_call() {
    let mut call = call(r#"<Record action="done"/><Say>on</Say>"#).begin();
    call.sound_ends().speech_starts().press("1").forget();
    call.wait_s(10).expect(&["warn 0 Record", "say \"on\""]);
}

#[test]
fn a_recording_that_cannot_be_made_is_told_and_the_call_goes_on() {
    let mut call = call(MAILBOX).begin();
    call.sound_ends().forget().recording(RecordingEvent::Failed);
    call.expect(&[
        "tell POST /file RecordingSid= RecordingStatus=failed RecordingSource=RecordVerb RecordingTrack=inbound \
         ErrorCode=1",
        "stop listening",
        "warn 0 Record",
        "say \"Bye.\"",
    ]);
}

#[test]
fn ears_that_fail_leave_the_recording_to_key_and_length() {
    let mut call = call(MAILBOX).begin();
    call.sound_ends().forget().ears(Heard::Failed).wait_s(59).expect(&["warn 0 Record"]);
    call.wait_s(1).expect(&["stop recording"]);
    call.file_of(60);
    assert_eq!(call.last_params().value("RecordingDuration"), Some("60"));
}

#[test]
fn a_recording_beside_the_document_pauses_while_a_card_number_is_typed() {
    let verbs = r#"<Start><Recording name="talk" recordingStatusCallback="file"/></Start><Say>Welcome.</Say>
        <Stop><Recording name="talk"/></Stop><Gather action="card" numDigits="16"/>"#;
    let mut call = call(verbs).page("/card", r#"<Start><Recording name="talk"/></Start><Say>Thanks.</Say>"#).begin();
    call.expect(&["POST /voice", "answer", "record Both(Dual) at most 14400s", "say \"Welcome.\""]);
    call.sound_ends().expect(&["stop recording"]);
    call.file_of(9).forget();
    call.press("4929000000000006").expect(&[
        "POST /card Digits=4929000000000006 FinishedOnKey=",
        "record Both(Dual) at most 14400s",
        "say \"Thanks.\"",
    ]);
    call.caller_hangs_up().expect(&["stop sound", "stop recording"]);
}

#[test]
fn keys_of_a_caller_show_in_no_log() {
    let mut call = call(r#"<Gather action="card" numDigits="16"/>"#).begin();
    let key = bot::ivr::input::Input::Key(bot::ivr::key::Key::from_char('4').expect("a key"));
    assert!(!format!("{key:?}").contains('4'));
    call.press("4929000000000006");
    let fetch = call.requests.last().expect("asked");
    let shown = format!("{fetch:?} {:?}", call.machine);
    assert!(!shown.contains("4929") && !shown.contains("+4930111"), "{shown}");
    assert!(shown.contains("Digits"));
    call.application_answers("<Say>You typed 4929.</Say>");
    assert!(!format!("{:?}", bot::ivr::twiml::Speech::plain("You typed 4929.")).contains("4929"));
}

#[test]
fn only_so_many_recordings_run_at_once() {
    let start = "<Start><Recording/></Start>".repeat(9);
    let mut call = call(&format!("{start}<Pause/>")).begin();
    let lines = ["record Both(Dual) at most 14400s"; 8];
    call.expect(&[&["POST /voice", "answer"][..], &lines, &["warn 0 Start"]].concat());
}
