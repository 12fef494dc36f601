//! An agent as the application of somebody's `ConversationRelay`: it is told what a caller says, and writes what they hear.
//!
//! The host is a client of ours that hears and speaks nothing ([`tests::relay_host`]), the model is scripted
//! ([`tests::llm`]). What a caller hears of an agent over a whole telephone is tested beside the host's role.

use std::path::Path;

use serde_json::{Value, json};
use server::{
    config::Config,
    webhook::signature::{self, AuthToken},
};
use tempfile::TempDir;
use tests::{
    client::{Closed, events, of_type, until_told},
    llm::{Model, written},
    relay_host::RelayHost,
    scripted::Local,
};

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

const GREETING: &str = "Hello Ada, this is about order 17.";
const PRESSED: &str = "You pressed forty two.";
const PASSING_ON: &str = "I am passing you on to the reception.";
const DOGS: &str = "Dogs are welcome in the garden.";
const RECEPTION: &str = "+4930123456";

/// Half a minute of speech: an interruption comes in time on any machine.
const ROOMS: &str = "There is a room with a view of the lake. It has a balcony and a large desk of oak. Breakfast is \
                     served from seven until ten on the terrace. The sauna is open in the evening, except on Mondays. \
                     The station is five minutes away on foot. Bicycles can be rented in the village. In winter there \
                     is a fire in the hall, and somebody plays the piano after dinner.";

/// What a caller heard of it.
const HEARD: &str = "There is a room with a view of the lake. It has a balcony";

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_greets_answers_forgets_what_was_not_heard_reads_keys_and_passes_on() {
    let mut model = Model::with(json!([
        {"when": "rooms", "say": ROOMS},
        {"when": "dogs", "say": DOGS},
        {"when": "[keys] 42", "say": PRESSED},
        {"when": "reception", "say": PASSING_ON, "calls": [{"name": "transfer", "arguments": {"to": "reception"}}]},
        {"say": "I am afraid I did not understand that."},
    ]))
    .await;
    let (local, _personas) = hotel(&model.config()).await;
    let url = format!("{}/twilio/relay?agent=hotel", local.ws_url());
    let mut host = RelayHost::dial(&url, &[("x-twilio-signature", &signed(&url))]).await.unwrap();
    host.sets_up(&json!({"order": "17"})).await;
    let (greeting, tokens) = host.answer().await;
    assert_eq!(greeting, GREETING);
    assert!(tokens.iter().all(|token| token["lang"].is_null()), "nobody has spoken yet: {tokens:?}");
    let mut told = events(&local.ws_url(), &room(&local).await).await;

    // What is said in pieces is one turn, and only its end is answered.
    host.sends(&json!({"type": "prompt", "voicePrompt": "Which", "lang": "en-US", "last": false})).await;
    host.says("Which rooms do you have?").await;
    let question = model.next().await;
    assert_eq!(written(&question, "assistant"), [GREETING]);
    assert_eq!(written(&question, "user").last(), Some(&"Which rooms do you have?"));
    let (rooms, tokens) = host.answer().await;
    assert_eq!(rooms, ROOMS);
    let (end, tokens) = tokens.split_last().unwrap();
    assert_eq!(*end, json!({"type": "text", "token": "", "last": true}));
    assert!(tokens.len() > 3 && tokens.iter().all(|token| token["lang"] == "en-US"), "{tokens:?}");

    host.interrupts(HEARD).await;
    host.says("And are dogs allowed?").await;
    assert_eq!(written(&model.next().await, "assistant"), [GREETING, HEARD]);
    assert_eq!(host.answer().await.0, DOGS);
    let seen = until_told(&mut told, "bot.interrupted").await;
    let interrupted = seen.last().unwrap();
    assert_eq!(interrupted["text"], HEARD);
    assert!(interrupted["unheard"].as_str().is_some_and(|rest| rest.starts_with("and a large desk")), "{interrupted}");
    let said = of_type(&seen, "transcript.final").next().unwrap();
    assert_eq!(said["text"], "Which rooms do you have?", "{seen:?}");
    assert_eq!((&said["speaker"], &said["language"]), (&json!("Ada"), &json!("en")));

    // Whoever presses keys without an interruption has heard what there was.
    host.presses("42#").await;
    let question = model.next().await;
    assert_eq!(written(&question, "assistant"), [GREETING, HEARD, DOGS]);
    assert_eq!(host.answer().await.0, PRESSED);

    host.says("Please connect me with the reception.").await;
    assert_eq!(host.answer().await.0, PASSING_ON);
    let end = host.next().await.unwrap();
    let handoff: Value = serde_json::from_str(end["handoffData"].as_str().unwrap()).unwrap();
    assert_eq!((&end["type"], &handoff["reasonCode"]), (&json!("end"), &json!("live-agent-handoff")));
    assert_eq!(handoff["to"], RECEPTION);
    assert_eq!(host.closed().await.code, Some(1000));
    let seen = until_told(&mut told, "summary.ready").await;
    assert_eq!(of_type(&seen, "dtmf").count(), 3);
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_speaks_while_the_agent_thinks_is_answered_once_for_both() {
    let mut model = Model::with(json!([
        {"when": "blue one", "say": DOGS},
        // It never says anything.
        {"fail": "hang"},
    ]))
    .await;
    let (local, _personas) = hotel(&model.config()).await;
    let url = format!("{}/twilio/relay", local.ws_url());
    let mut host = RelayHost::dial(&url, &[("x-twilio-signature", &signed(&url))]).await.unwrap();
    host.sets_up(&json!({"order": "17", "agent": "hotel"})).await;
    assert_eq!(host.answer().await.0, GREETING);
    host.says("I would like the room.").await;
    model.next().await;
    host.says("The blue one, please.").await;
    let question = model.next().await;
    assert_eq!(written(&question, "user").last(), Some(&"I would like the room. The blue one, please."));
    assert_eq!(host.answer().await.0, DOGS);
    // The server that goes down says so, and the document of the host goes on.
    let (closed, ()) = tokio::join!(host.closed(), local.drain());
    assert_eq!(closed.code, Some(1001));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_accounts_own_calls_come_in_and_they_name_somebody_who_is_there() {
    let (local, _personas) = hotel("").await;
    let url = format!("{}/twilio/relay?agent=hotel", local.ws_url());
    let refused = |answer: Result<RelayHost, tests::client::Refused>| {
        answer.err().map(|refused| (refused.status, refused.body["error"]["code"].clone())).unwrap()
    };
    assert_eq!(refused(RelayHost::dial(&url, &[]).await), (403, json!("bad_signature")));
    // A signature is that of one address.
    let other = signed(&format!("{}/twilio/relay", local.ws_url()));
    assert_eq!(refused(RelayHost::dial(&url, &[("x-twilio-signature", &other)]).await).0, 403);
    let url = format!("{}/twilio/relay?agent=nobody", local.ws_url());
    let right = signed(&url);
    assert_eq!(refused(RelayHost::dial(&url, &[("x-twilio-signature", &right)]).await), (404, json!("no_persona")));

    let url = format!("{}/twilio/relay", local.ws_url());
    let mut host = RelayHost::dial(&url, &[("x-twilio-signature", &signed(&url))]).await.unwrap();
    host.sets_up(&json!({"agent": "nobody"})).await;
    let closed = host.closed().await;
    assert_eq!(closed, Closed { code: Some(1008), reason: "there is no persona \"nobody\"".to_owned() });
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_none_do_not_end_a_conversation_until_there_are_far_too_many() {
    let local = Local::deaf(Config::default()).await;
    let url = format!("{}/twilio/relay", local.ws_url());
    let mut host = RelayHost::dial(&url, &[]).await.unwrap();
    host.raw("nonsense").await;
    host.sets_up(&Value::Null).await;
    // Who talks where nobody says, without a model to think with.
    assert_eq!(host.answer().await.0, "Hello, this is Harmony. How can I help you?");
    for number in 0..25 {
        host.raw("nonsense").await;
        host.raw("{}").await;
        host.sends(&json!({"type": "prompt", "voicePrompt": number})).await;
        host.presses("?").await;
        host.sends(&json!({"type": "info", "name": "roundTripDelayMs", "value": "80"})).await;
    }
    host.says("Who are you?").await;
    assert_eq!(host.answer().await.0, "I am Harmony, a program that answers the telephone.");
    host.raw("nonsense").await;
    let expected = Closed { code: Some(1003), reason: "these are no messages of ConversationRelay".to_owned() };
    assert_eq!(host.closed().await, expected);

    let mut host = RelayHost::dial(&url, &[]).await.unwrap();
    for _ in 0..=100 {
        host.raw("nonsense").await;
    }
    assert_eq!(host.closed().await, Closed { code: Some(1008), reason: "no setup came".to_owned() });
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_muted_while_they_speak_has_stopped() {
    let local = Local::deaf(Config::default()).await;
    let mut host = RelayHost::dial(&format!("{}/twilio/relay", local.ws_url()), &[]).await.unwrap();
    host.sets_up(&Value::Null).await;
    host.answer().await;
    let room = room(&local).await;
    let mut told = events(&local.ws_url(), &room).await;
    let seen = until_told(&mut told, "participant.joined").await;
    let caller = seen.last().unwrap()["participant"].as_str().unwrap();
    host.sends(&json!({"type": "prompt", "voicePrompt": "Who", "lang": "en-US", "last": false})).await;
    until_told(&mut told, "speech.started").await;
    let muting = reqwest::Client::new()
        .patch(format!("{}/api/rooms/{room}/participants/{caller}", local.base_url()))
        .header("content-type", "application/json")
        .body(json!({"is_muted": true}).to_string());
    assert_eq!(muting.send().await.unwrap().status().as_u16(), 200);
    until_told(&mut told, "speech.ended").await;
    local.drain().await;
}

/// A server with an account and a persona `hotel`, and the folder of that persona.
async fn hotel(model: &str) -> (Local, TempDir) {
    let personas = TempDir::new().unwrap();
    let persona = format!(
        "title = \"Hotel\"\nlanguages = [\"en\"]\ntools = [\"transfer\"]\n\
         instructions = \"You answer the telephone of a hotel.\"\n\
         [greeting]\nen = \"Hello {{{{name}}}}, this is about order {{{{order}}}}.\"\n\
         [transfer]\nreception = \"{RECEPTION}\"\n"
    );
    std::fs::write(personas.path().join("hotel.toml"), persona).unwrap();
    let text = format!(
        "[twilio]\naccount_sid = \"{ACCOUNT}\"\nauth_token = \"{TOKEN}\"\n\
         [agent]\npersonas = {:?}\npersona = \"hotel\"\n{model}",
        personas.path()
    );
    (Local::deaf(Config::parse(Path::new("test.toml"), &text, []).unwrap()).await, personas)
}

/// The account's signature of an address.
fn signed(url: &str) -> String {
    signature::sign(&AuthToken::new(TOKEN), url, &[])
}

/// The room of the conversation, which is the only one.
async fn room(local: &Local) -> String {
    let answer = reqwest::get(format!("{}/api/rooms", local.base_url())).await.unwrap();
    let rooms: Value = answer.json().await.unwrap();
    rooms["rooms"][0]["id"].as_str().unwrap_or_else(|| panic!("{rooms}")).to_owned()
}
