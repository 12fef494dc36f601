//! `Connect` with `ConversationRelay`: how it is read, and how a document goes on behind it.

use std::time::Duration;

use bot::ivr::{
    input::RelayEvent,
    notice::Code,
    twiml::{self, Connected, Disturbing, Limits, RelaySettings, Sensitivity, Verb},
};

use crate::kit::call;

/// A relay with these attributes and what stands in it.
fn relay(attributes: &str, within: &str) -> String {
    format!("<Connect action=\"after\"><ConversationRelay {attributes}>{within}</ConversationRelay></Connect>")
}

/// How it is read, and how much of it is complained of.
fn settings(attributes: &str, within: &str) -> (RelaySettings, usize) {
    let text = format!("<Response>{}</Response>", relay(attributes, within));
    let document = twiml::parse(text.as_bytes(), Limits::default()).expect("a document");
    let verb = document.steps.into_iter().next().expect("a verb").verb;
    let Verb::Connect(connect) = verb else { panic!("connect") };
    let Connected::Relay(relay) = connect.to else { panic!("words") };
    (relay.settings, document.notices.len())
}

#[test]
fn what_is_not_said_is_as_the_vendor_has_it() {
    let (plain, complaints) = settings("url=\"wss://bot.test/\"", "");
    assert_eq!(complaints, 0);
    assert_eq!((plain.interruptible, plain.greeting_interruptible), (Disturbing::Anything, Disturbing::Anything));
    assert_eq!((plain.reported, plain.sensitivity), (Disturbing::Nothing, Sensitivity::High));
    assert_eq!((plain.preemptible, plain.keys, plain.partials), (false, false, false));
    assert_eq!((plain.speaks, plain.hears, plain.speech_timeout), (None, None, None));
}

#[test]
fn what_is_said_is_read_and_what_is_of_no_use_is_told() {
    let attributes = "url=\"wss://bot.test/\" language=\"de-DE\" transcriptionLanguage=\"en-US\" voice=\"Vicki\" \
        ttsProvider=\"Amazon\" transcriptionProvider=\"Deepgram\" speechModel=\"nova-3\" hints=\"Weizenbier, Maß\" \
        interruptible=\"speech\" welcomeGreetingInterruptible=\"false\" reportInputDuringAgentSpeech=\"dtmf\" \
        preemptible=\"true\" dtmfDetection=\"true\" partialPrompts=\"true\" ignoreBackchannel=\"true\" \
        interruptSensitivity=\"low\" speechTimeout=\"1500\" asrSmartFormat=\"true\" turnDetection=\"true\" \
        eagerEotThreshold=\"0.5\"";
    let within = "<Language code=\"fr-FR\" ttsProvider=\"Google\" voice=\"Anna\" hints=\"Bière\" \
        ttsTextNormalization=\"off\"/><Parameter name=\"a\" value=\"1\"/>";
    let (full, complaints) = settings(attributes, within);
    assert_eq!(complaints, 0);
    assert_eq!((full.speaks.as_deref(), full.hears.as_deref()), (Some("de-DE"), Some("en-US")));
    assert_eq!((full.interruptible, full.greeting_interruptible), (Disturbing::Speech, Disturbing::Nothing));
    assert_eq!((full.reported, full.sensitivity), (Disturbing::Keys, Sensitivity::Low));
    assert_eq!((full.preemptible, full.keys, full.partials), (true, true, true));
    assert_eq!(full.languages.len(), 1);
    assert_eq!(full.hints_of(None), ["Weizenbier", "Maß"]);
    assert_eq!(full.hints_of(Some("en-US")), full.hints_of(None));
    assert_eq!(full.hints_of(Some("fr")), ["Weizenbier", "Maß", "Bière"]);
    assert_eq!(full.speech_timeout, Some(Duration::from_millis(1_500)));

    let attributes = "url=\"wss://bot.test/\" interruptible=\"maybe\" speechTimeout=\"soon\" events=\"speaker-events\" \
        tone=\"kind\"";
    let (odd, complaints) = settings(attributes, "<Language/><Parameter name=\"a\"/><Say>no</Say>");
    assert_eq!(complaints, 7);
    assert_eq!((odd.interruptible, odd.speech_timeout, odd.languages.len()), (Disturbing::Anything, None, 0));
}

#[test]
fn it_holds_the_document_until_the_application_is_done_and_hands_over_what_that_leaves() {
    let verbs = relay("url=\"wss://bot.test/talk?x=1\"", "<Parameter name=\"order\" value=\"17\"/>");
    let mut call = call(&verbs).page("/after", "<Say>Sales.</Say>").begin();
    call.expect(&["POST /voice", "answer", "relay to wss://bot.test/talk?x=1"]);
    assert_eq!(call.relays[0].1.parameters, [("order".to_owned(), "17".into())]);
    call.relay(RelayEvent::Started { sid: "VX01".into() }).press("1").wait_s(61).expect(&[]);
    call.relay(RelayEvent::Ended { handoff: Some("to=sales".into()) });
    call.expect(&[
        "POST /after SessionId=VX01 SessionStatus=ended SessionDuration=61 HandoffData=to=sales",
        "say \"Sales.\"",
    ]);
}

#[test]
fn one_that_fails_says_why_and_without_an_action_the_document_goes_on() {
    let mut told = call(&relay("url=\"wss://bot.test/\"", "")).page("/after", "").begin();
    told.forget().relay(RelayEvent::Failed { code: Code::RELAY_CONNECTION, why: "nobody is there".into() });
    told.expect(&[
        "warn 64102 Connect",
        "POST /after SessionId= SessionStatus=failed SessionDuration=0 ErrorCode=64102 ErrorMessage=nobody is there",
        "hang up",
    ]);
    let verbs = "<Connect><ConversationRelay url=\"wss://bot.test/\"/></Connect><Say>on</Say>";
    let mut untold = call(verbs).begin();
    untold.forget().relay(RelayEvent::Ended { handoff: None }).expect(&["say \"on\""]);
}

#[test]
fn a_caller_who_hangs_up_ends_it_and_the_application_is_told() {
    let mut call = call(&relay("url=\"wss://bot.test/\"", "")).begin();
    call.forget().relay(RelayEvent::Started { sid: "VX01".into() }).wait_s(5).caller_hangs_up();
    call.expect(&["stop relay", "tell POST /after SessionId=VX01 SessionStatus=completed SessionDuration=5"]);
}

#[test]
fn an_address_of_no_use_leaves_it_out() {
    let mut elsewhere = call(&(relay("url=\"https://bot.test/\"", "") + "<Say>on</Say>")).begin();
    elsewhere.expect(&["POST /voice", "answer", "warn 11100 Connect", "say \"on\""]);
    let mut nowhere = call(&(relay("", "") + "<Say>on</Say>")).begin();
    nowhere.expect(&["POST /voice", "warn 64101 ConversationRelay", "warn 12200 Connect", "answer", "say \"on\""]);
}

#[test]
fn a_call_without_a_language_has_that_of_the_server() {
    let plan = call(&relay("url=\"wss://bot.test/\"", "")).with(|setup| setup.rules.language = Some("de".into()));
    let call = plan.begin();
    let settings = &call.relays[0].1.settings;
    assert_eq!((settings.speaks.as_deref(), settings.hears.as_deref()), (Some("de"), Some("de")));
}
