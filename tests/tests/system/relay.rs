//! Twilio's `ConversationRelay`, as its host: a caller speaks, somebody's application reads, and what it writes is heard. An
//! agent of this server may be that application; more of that role is in [`super::relay_agent`].
//!
//! The telephone is real, the recognizer hears loudness ([`tests::scripted`]), the voice is espeak-ng's.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use server::{
    config::Config,
    webhook::signature::{self, AuthToken},
};
use tempfile::TempDir;
use tests::{
    baresip::{Baresip, Options, Sampled, pass},
    clients, fixture,
    hook::Hook,
    listening::{UNLIKE, is_whole, likeness},
    llm::Model,
    relay_app::{RelayApp, RelayCall},
    scripted::{Local, WORDS},
    sounds::silence,
    spoken::by_the_command,
};

/// What a telephone says and hears.
const RATE_HZ: u32 = 8_000;

/// Two seconds of it, without a pause, are what the caller says.
const SOMEBODY: &str = "audio/speech/sense_and_sensibility_01_austen_64kb-0880.wav";

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

const GREETING: &str = "Hello, this is the office of the lake hotel.";
const ANSWER: [&str; 2] = ["That can be arranged without any trouble.", "Which day would suit you best?"];
const AFTERWARDS: &str = "You are being connected with the reception.";

/// What the agent says that talks where no other is set up.
const OWN_GREETING: [&str; 2] = ["Hello, this is Harmony.", "How can I help you?"];

/// Sixteen seconds.
const LONG: &str = "There is a room with a view of the lake. It has a balcony and a large desk. Breakfast is served from seven \
                    until ten. The sauna is open in the evening. Dogs are welcome in the garden. The station is five minutes \
                    away on foot.";

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_words_reach_an_application_its_answer_is_heard_and_the_document_goes_on() {
    let Some(asks) = speech(2.0) else { return };
    let mut app = RelayApp::start().await;
    let after = format!("<Response><Say language=\"en-US\">{AFTERWARDS}</Say></Response>");
    let mut after = Hook::with(after).await;
    let document = format!(
        "<Response><Connect action=\"{}\"><ConversationRelay url=\"{}\" welcomeGreeting=\"{GREETING}\" language=\"en-US\" \
         dtmfDetection=\"true\"><Parameter name=\"order\" value=\"17\"/></ConversationRelay></Connect></Response>",
        after.url("/after"),
        app.url("/talk?x=1")
    );
    let Some((local, telephone, _pages)) = hotel(&document).await else { return };
    let mut ada = ada(&telephone, [silence(7.0), asks].concat()).await;
    let mut call = app.next().await;
    let url = app.url("/talk?x=1");
    assert_eq!(call.path, "/talk?x=1");
    assert!(signature::is_genuine(&AuthToken::new(TOKEN), &url, &[], &call.signature), "{}", call.signature);
    let given = json!([{"url": url, "params": {}, "signature": call.signature}]).to_string();
    let validate = move || clients::python("twilio_client.py", &["http://none", ACCOUNT, TOKEN, "validate", &given]);
    let verdict = tokio::task::spawn_blocking(validate).await.unwrap();
    assert!(verdict.is_none_or(|verdict| verdict == json!([true])), "Twilio's own validator refuses it");

    let setup = last(call.until("setup").await);
    assert_eq!((&setup["accountSid"], &setup["direction"]), (&json!(ACCOUNT), &json!("inbound")));
    assert_eq!((&setup["customParameters"], &setup["callStatus"]), (&json!({"order": "17"}), &json!("IN-PROGRESS")));
    let session = setup["sessionId"].as_str().unwrap().to_owned();
    assert!(session.starts_with("VX"), "{setup}");
    let prompt = last(call.until("prompt").await);
    assert_eq!((&prompt["lang"], &prompt["last"]), (&json!("en-US"), &json!(true)));
    let mut words = prompt["voicePrompt"].as_str().unwrap().split(' ');
    assert!(words.all(|word| WORDS.contains(&word)), "{prompt}");

    // As a model writes it: words and halves of words.
    let answer = ANSWER.join(" ");
    let (first, rest) = answer.split_at(9);
    let (second, rest) = rest.split_at(40);
    for (token, is_last) in [(first, false), (second, false), (rest, true)] {
        call.says(token, is_last).await;
    }
    pass(Duration::from_secs(11)).await;
    ada.press("5").await;
    let key = last(call.until("dtmf").await);
    assert_eq!(key["digit"], "5");
    call.send(&json!({"type": "end", "handoffData": "{\"to\":\"reception\"}"})).await;
    call.end().await;
    let asked = after.next().await;
    assert_eq!((asked.path.as_str(), asked.param("SessionStatus")), ("/after", "ended"));
    assert_eq!((asked.param("HandoffData"), asked.param("SessionId")), ("{\"to\":\"reception\"}", session.as_str()));
    assert_eq!(json!(asked.param("CallSid")), setup["callSid"]);
    ada.until("CALL_CLOSED").await;
    ada.quit().await;
    local.drain().await;

    let (_, heard) = ada.sound();
    let mut ended_s = 0.0;
    for sentence in [GREETING, ANSWER[0], ANSWER[1], AFTERWARDS] {
        let at_s = hears(&heard, sentence);
        assert!(at_s > ended_s, "{sentence:?} was heard too early: {at_s} {ended_s}");
        ended_s = at_s;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_is_told_with_what_was_heard_and_the_rest_is_not_said() {
    let Some(asks) = speech(2.0) else { return };
    let mut app = RelayApp::start().await;
    let mut after = Hook::start("<Response><Hangup/></Response>").await;
    let document = format!(
        "<Response><Connect action=\"{}\"><ConversationRelay url=\"{}\" language=\"en-US\"/></Connect></Response>",
        after.url("/after"),
        app.url("/talk")
    );
    let Some((local, telephone, _pages)) = hotel(&document).await else { return };
    let says = [silence(2.0), asks.clone(), silence(8.0), asks].concat();
    let mut ada = ada(&telephone, says).await;
    let mut call = app.next().await;
    call.until("prompt").await;
    call.says(LONG, true).await;
    let interrupt = last(call.until("interrupt").await);
    let told = interrupt["utteranceUntilInterrupt"].as_str().unwrap().to_owned();
    assert!(LONG.starts_with(&told) && told.len() < LONG.len(), "{interrupt}");
    let sentences: Vec<&str> = LONG.split_inclusive('.').map(str::trim).collect();
    assert!(told.starts_with(sentences[0]), "it was interrupted later: {interrupt}");
    assert!(interrupt["durationUntilInterruptMs"].as_u64().is_some_and(|ms| ms > 1_000), "{interrupt}");
    let prompt = last(call.until("prompt").await);
    assert_eq!(prompt["last"], true);
    // What is left of an answer that is never said would be heard by now.
    pass(Duration::from_secs(2)).await;
    call.send(&json!({"type": "end"})).await;
    let asked = after.next().await;
    assert_eq!((asked.param("SessionStatus"), asked.param("HandoffData")), ("ended", ""));
    ada.until("CALL_CLOSED").await;
    ada.quit().await;
    local.drain().await;

    let (_, heard) = ada.sound();
    hears(&heard, sentences[0]);
    let unheard = sentences.last().unwrap();
    let likeness = likeness(by_the_command("en-US", unheard).sound(), heard.sound());
    assert!(likeness < UNLIKE, "the end was heard: {likeness}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_this_server_is_the_application_of_its_own_relay_and_hangs_up_for_it() {
    let Some(asks) = speech(2.0) else { return };
    let model = Model::with(json!([
        {"when": "[keys]", "calls": [{"name": "hang_up", "arguments": {}}]},
        {"say": ANSWER.join(" ")},
    ]))
    .await;
    let mut after = Hook::start("<Response><Hangup/></Response>").await;
    let action = after.url("/after");
    let document = |local: &Local| {
        format!(
            "<Response><Connect action=\"{action}\"><ConversationRelay url=\"{}/twilio/relay\" language=\"en-US\" \
             dtmfDetection=\"true\"/></Connect></Response>",
            local.ws_url()
        )
    };
    let Some((local, telephone, _pages)) = hotel_of(&model.config(), document).await else { return };
    let mut ada = ada(&telephone, [silence(7.0), asks].concat()).await;
    // The greeting, the question, the answer.
    pass(Duration::from_secs(23)).await;
    ada.press("5").await;
    let asked = after.next().await;
    assert_eq!((asked.param("SessionStatus"), asked.param("ErrorCode")), ("ended", ""));
    let handoff: Value = serde_json::from_str(asked.param("HandoffData")).unwrap();
    assert_eq!(handoff["reasonCode"], "goodbye");
    ada.until("CALL_CLOSED").await;
    ada.quit().await;
    local.drain().await;

    let (_, heard) = ada.sound();
    let mut ended_s = 0.0;
    for sentence in [OWN_GREETING[0], OWN_GREETING[1], ANSWER[0], ANSWER[1]] {
        let at_s = hears(&heard, sentence);
        assert!(at_s > ended_s, "{sentence:?} was heard too early: {at_s} {ended_s}");
        ended_s = at_s;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_gone_raves_or_was_never_there_has_failed_and_the_document_says_what_then() {
    if !Path::new("/usr/bin/espeak-ng").exists() {
        return println!("skipped: no espeak-ng");
    }
    let account = format!("[twilio]\naccount_sid = \"{ACCOUNT}\"\nauth_token = \"{TOKEN}\"\n");
    let text = format!("{account}[webhooks]\nallow = [\"127.0.0.1:*\"]\n");
    let config = Config::parse(Path::new("test.toml"), &text, []).unwrap();
    let (local, telephone) = Local::with_telephone(config).await;
    let mut after = Hook::start("<Response><Hangup/></Response>").await;
    let mut app = RelayApp::start().await;
    let nobody = {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("ws://{}/", gone.local_addr().unwrap())
    };
    for (url, code) in [(app.url("/closes"), "64105"), (app.url("/raves"), "64107"), (nobody, "64102")] {
        let twiml = format!(
            "<Response><Connect action=\"{}\"><ConversationRelay url=\"{url}\"/></Connect></Response>",
            after.url("/after")
        );
        let to = format!("sip:echo@{telephone}");
        let form = [("To", to.as_str()), ("From", "+15005550001"), ("Twiml", twiml.as_str())];
        place(&local, &form).await;
        if code != "64102" {
            let mut call = app.next().await;
            call.until("setup").await;
            // It has no model to hear with, and says so.
            let error = last(call.until("error").await);
            assert!(error["description"].as_str().is_some_and(|text| text.contains("nobody listens")), "{error}");
            if code == "64105" {
                call.close().await;
            } else {
                rave(call).await;
            }
        }
        let asked = after.next().await;
        assert_eq!((asked.param("SessionStatus"), asked.param("ErrorCode")), ("failed", code));
        assert!(!asked.param("ErrorMessage").is_empty());
    }
    local.drain().await;
}

/// Says nothing that makes sense until it is hung up on.
async fn rave(mut call: RelayCall) {
    for _ in 0..=100 {
        call.raw("{}").await;
    }
    call.end().await;
}

/// Places a call with Twilio's REST interface.
async fn place(local: &Local, form: &[(&str, &str)]) {
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT}/Calls.json", local.base_url());
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = reqwest::Client::new().post(url).basic_auth(ACCOUNT, Some(TOKEN));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 201, "{}", response.text().await.unwrap());
}

/// A server whose number 8 leads to this document, where it is called, and the folder that holds the document.
async fn hotel(document: &str) -> Option<(Local, String, TempDir)> {
    hotel_of("", |_| document.to_owned()).await
}

/// The same with more in its configuration, and a document that knows the server.
async fn hotel_of(more: &str, document: impl FnOnce(&Local) -> String) -> Option<(Local, String, TempDir)> {
    let pages = TempDir::new().unwrap();
    let file = pages.path().join("relay.xml");
    let text = format!(
        "[twilio]\naccount_sid = \"{ACCOUNT}\"\nauth_token = \"{TOKEN}\"\n[webhooks]\nallow = [\"127.0.0.1:*\"]\n\
         [[numbers]]\nnumber = \"8\"\nto = \"ivr:{}\"\n{more}",
        file.display()
    );
    let config = Config::parse(Path::new("test.toml"), &text, []).unwrap();
    match Local::listening_with_telephone(config).await {
        Ok((local, telephone)) => {
            std::fs::write(&file, document(&local)).unwrap();
            Some((local, telephone.to_string(), pages))
        }
        Err(why) => {
            println!("{why}");
            None
        }
    }
}

/// A caller of that number who says this, once the call is taken.
async fn ada(telephone: &str, says: Vec<f32>) -> Baresip {
    let mut ada = Baresip::start(telephone, Options { user: "ada", says, ..Options::default() }).await;
    ada.dial(&format!("sip:8@{telephone}")).await;
    ada.until("CALL_ESTABLISHED").await;
    ada
}

/// So many seconds of a recording as a telephone says them, where there are a telephone and a voice.
fn speech(seconds: f64) -> Option<Vec<f32>> {
    if !Path::new("/usr/bin/espeak-ng").exists() {
        println!("skipped: no espeak-ng");
        return None;
    }
    let parts = Baresip::installed().and_then(|()| fixture::recording(SOMEBODY));
    let path = parts.map_err(|why| println!("{why}")).ok()?;
    let all = fixture::wav_16k(&path);
    let mut resampler = media::dsp::resample::Resampler::new(16_000, RATE_HZ).unwrap();
    let mut says = Vec::new();
    resampler.process(&all[..all.len().min((seconds * 16_000.0) as usize)], &mut says);
    resampler.flush(&mut says);
    Some(says)
}

/// That the voice is heard to say all of this; when its end is heard, in seconds.
fn hears(heard: &Sampled, text: &str) -> f64 {
    is_whole(by_the_command("en-US", text).sound(), heard.sound(), text)
}

fn last(mut messages: Vec<Value>) -> Value {
    messages.pop().expect("what was waited for is there")
}
