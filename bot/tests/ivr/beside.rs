//! `Connect`, `Start` and `Stop`: streams and transcriptions; and `Refer`.

use bot::ivr::{
    input::{Input, TapEvent},
    twiml::AudioTrack,
};

use crate::kit::call;

#[test]
fn a_connected_stream_holds_the_document_until_the_application_is_done() {
    let connect = r#"<Connect action="after"><Stream url="wss://bot.test/talk" name="agent" statusCallback="stream">
        <Parameter name="order" value="17"/></Stream></Connect><Say>never</Say>"#;
    let mut call = call(connect).begin();
    call.expect(&["POST /voice", "answer", "stream Inbound to wss://bot.test/talk"]);
    call.tap(TapEvent::Started { sid: "MZ01".into() });
    call.expect(&["tell POST /stream StreamSid=MZ01 StreamName=agent StreamEvent=stream-started"]);
    call.press("1").wait_s(600).expect(&[]);
    call.tap(TapEvent::Stopped);
    call.expect(&["tell POST /stream StreamSid=MZ01 StreamName=agent StreamEvent=stream-stopped", "POST /after"]);
}

#[test]
fn a_stream_that_cannot_be_had_goes_on_with_the_document() {
    let mut call = call(r#"<Connect><Stream url="wss://bot.test/talk"/></Connect><Say>Nobody is there.</Say>"#).begin();
    call.forget().tap(TapEvent::Failed { why: "no connection".into() }).expect(&["say \"Nobody is there.\""]);
}

#[test]
fn a_stream_to_something_else_than_a_web_socket_is_refused() {
    let mut call = call(r#"<Connect><Stream url="https://bot.test/talk"/></Connect><Say>on</Say>"#).begin();
    call.expect(&["POST /voice", "answer", "warn 11100 Connect", "say \"on\""]);
}

#[test]
fn what_is_started_runs_beside_the_document_and_is_stopped_by_name() {
    let verbs = r#"<Start><Stream name="a" url="wss://one.test/"/><Stream name="b" url="wss://two.test/" track="both_tracks"/>
        </Start><Say>one</Say><Stop><Stream name="a"/></Stop><Stop><Stream name="a"/></Stop><Say>two</Say>"#;
    let mut call = call(verbs).begin();
    call.expect(&[
        "POST /voice",
        "answer",
        "stream Inbound to wss://one.test/",
        "stream Both to wss://two.test/",
        "say \"one\"",
    ]);
    call.sound_ends().expect(&["stop tap", "warn 14300 Stop", "say \"two\""]);
    call.sound_ends().expect(&["stop tap", "hang up"]);
}

#[test]
fn a_transcription_is_told_while_it_is_said() {
    let verbs = r#"<Start><Transcription statusCallbackUrl="text" languageCode="de-DE" inboundTrackLabel="Anrufer"/></Start>
        <Pause length="60"/>"#;
    let mut call = call(verbs).begin();
    call.expect(&["POST /voice", "answer", "transcribe Both"]);
    call.tap(TapEvent::Started { sid: "GT01".into() });
    call.tap(TapEvent::Said {
        track: AudioTrack::Inbound,
        text: "Guten \"Tag\".".into(),
        confidence: 0.87,
        is_final: true,
        language: None,
    });
    call.caller_hangs_up();
    call.expect(&[
        "tell POST /text TranscriptionSid=GT01 SequenceId=1 LanguageCode=de-DE TranscriptionEvent=transcription-started",
        "tell POST /text TranscriptionSid=GT01 SequenceId=2 LanguageCode=de-DE \
         TranscriptionEvent=transcription-content Track=inbound_track TrackLabel=Anrufer \
         TranscriptionData={\"confidence\":0.87,\"transcript\":\"Guten \\\"Tag\\\".\"} Final=true",
        "stop tap",
        "tell POST /text TranscriptionSid=GT01 SequenceId=3 LanguageCode=de-DE TranscriptionEvent=transcription-stopped",
    ]);
}

#[test]
fn a_call_that_is_handed_over_ends_here() {
    let mut call = call(r#"<Refer action="after"><Sip>sip:boss@pbx.test</Sip></Refer><Say>never</Say>"#).begin();
    call.expect(&["POST /voice", "answer", "refer to sip:boss@pbx.test"]);
    call.tell(Input::Referred { sip_status: 202 }).expect(&["hang up"]);
}

#[test]
fn a_call_that_nobody_takes_over_goes_on() {
    let mut refused = call(r#"<Refer action="after"><Sip>sip:boss@pbx.test</Sip></Refer>"#).begin();
    refused.forget().tell(Input::Referred { sip_status: 603 });
    refused.expect(&["POST /after ReferCallStatus=failed ReferSipResponseCode=603"]);
    let mut silent = call(r#"<Refer><Sip>sip:boss@pbx.test</Sip></Refer><Say>on</Say>"#).begin();
    silent.forget().wait_s(60).expect(&["say \"on\""]);
}
