//! What an agent does with its line: passes its caller on, presses keys, lets a colleague go on, calls somebody.
//!
//! The telephones are real, the model is scripted ([`tests::llm`]), the voice is espeak-ng's. What the far ends heard
//! is compared with what was said, sample by sample; when it happened is told by the events of the room.

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};
use server::config::Config;
use tests::{
    baresip::{Baresip, Options, Sampled, pass},
    calls::Calls,
    client::{events, of_type, until_spoke},
    fixture,
    listening::{Sound, UNLIKE, is_whole, likeness},
    llm::Model,
    scripted::Local,
    server::binary,
    sounds::{self, silence},
    spoken::by_the_command,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::timeout,
};

/// What a telephone says and hears.
const RATE_HZ: u32 = 8_000;

/// Two seconds of it, without a pause, are what somebody says to an agent.
const SOMEBODY: &str = "audio/speech/sense_and_sensibility_01_austen_64kb-0880.wav";

/// Four seconds of it are what somebody says to a person.
const SOMEBODY_ELSE: &str = "audio/speech/jfk.wav";

/// A telephone that answers by itself.
const ANSWERS: &str = ";regint=0;answermode=auto";

/// A telephone that registers and rings.
const RINGS: &str = ";auth_user=bob;auth_pass=seven-words;regint=60";

/// Whose telephone that is.
const USERS: &str = "[[sip.users]]\nname = \"bob\"\npassword = \"seven-words\"\n";

/// May pass callers on to him.
const PASSES_ON: &str = "tools = [\"transfer\"]\n[transfer]\nbob = \"bob\"\n";

const PASSING_ON: &str = "One moment, I am calling Bob.";
const ANSWER: &str = "That is said of somebody in a famous novel.";
const CALLING: &str = "This is the office calling.";

/// The longest that an event of a conversation is waited for.
const PATIENCE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_passed_on_and_talks_with_whoever_took_it_without_the_agent() {
    let (Some(asks), Some(talks)) = (speech(SOMEBODY, 2.0), speech(SOMEBODY_ELSE, 4.0)) else { return };
    let model =
        Model::with(json!([{"say": PASSING_ON, "calls": [{"name": "transfer", "arguments": {"to": "bob"}}]}])).await;
    let Some((local, telephone)) = office(&model, &[("office", PASSES_ON)], USERS).await else { return };
    let calls = Calls::at(&local.base_url());
    let replies = sounds::voice(5.0, 7);
    let mut bob = bob(&telephone, RINGS, [silence(1.0), replies.clone()].concat()).await;
    bob.until_printed("200 OK (harmony) [1 binding]").await;
    let mut ada = ada(&telephone, "agent", [silence(1.0), asks, silence(12.0), talks.clone()].concat()).await;
    let said_all = tokio::spawn(pass(Duration::from_secs(22)));
    let mut events = events(&local.ws_url(), &calls.room().await).await;
    let mut seen = until_spoke(&mut events, PASSING_ON).await;
    assert!(!seen.iter().any(is_outbound), "he is called before she has heard that he will be: {seen:?}");
    bob.until("CALL_INCOMING").await;
    bob.accept().await;
    bob.until("CALL_ESTABLISHED").await;
    said_all.await.unwrap();
    bob.hang_up().await;
    ada.until("CALL_CLOSED").await;
    bob.until("CALL_CLOSED").await;
    for phone in [&mut ada, &mut bob] {
        phone.quit().await;
    }
    let ended = calls.none().await;
    assert!(ended.len() == 2 && ended.iter().all(|call| call["status"] == "completed"), "{ended:?}");
    let (rest, _) = timeout(PATIENCE, events.rest()).await.expect("the room is closed");
    local.drain().await;

    seen.extend(rest);
    assert!(of_type(&seen, "call.answered").any(is_outbound), "{seen:?}");
    let agent = of_type(&seen, "participant.joined").find(|event| event["kind"] == "agent").expect("it was there");
    let has_left = |event: &Value| event["type"] == "participant.left" && event["participant"] == agent["participant"];
    let left = seen.iter().position(has_left).expect("it left");
    assert!(!seen[left..].iter().any(is_of_an_agent), "{:?}", &seen[left..]);
    let ended = seen.iter().position(|event| event["type"] == "call.ended").expect("calls end");
    assert!(left < ended, "it stayed as long as somebody was there: {seen:?}");

    let ((_, to_ada), (_, to_bob)) = (ada.sound(), bob.sound());
    let heard_s = hears(&to_ada, PASSING_ON);
    // He is heard behind that, and she by him; the agent is heard by her alone.
    is_whole(raw(&replies), after(&to_ada, heard_s), "what he says");
    is_whole(raw(&talks), to_bob.sound(), "what she says");
    let likeness = likeness(by_the_command("en", PASSING_ON).sound(), to_bob.sound());
    assert!(likeness < UNLIKE, "he heard what was said to her: {likeness}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_telephones_of_a_colleague_all_ring_and_the_one_that_is_taken_is_connected() {
    let (Some(asks), Some(talks)) = (speech(SOMEBODY, 2.0), speech(SOMEBODY_ELSE, 4.0)) else { return };
    let model =
        Model::with(json!([{"say": PASSING_ON, "calls": [{"name": "transfer", "arguments": {"to": "bob"}}]}])).await;
    let Some((local, telephone)) = office(&model, &[("office", PASSES_ON)], USERS).await else { return };
    let calls = Calls::at(&local.base_url());
    let mut desk = bob(&telephone, RINGS, Vec::new()).await;
    desk.until_printed("200 OK (harmony) [1 binding]").await;
    let mut mobile = bob(&telephone, RINGS, Vec::new()).await;
    mobile.until_printed("200 OK (harmony) [2 bindings]").await;
    let mut ada = ada(&telephone, "agent", [silence(1.0), asks, silence(12.0), talks.clone()].concat()).await;
    let said_all = tokio::spawn(pass(Duration::from_secs(22)));
    for phone in [&mut desk, &mut mobile] {
        phone.until("CALL_INCOMING").await;
    }
    mobile.accept().await;
    mobile.until("CALL_ESTABLISHED").await;
    desk.until("CALL_CLOSED").await;
    said_all.await.unwrap();
    mobile.hang_up().await;
    ada.until("CALL_CLOSED").await;
    for phone in [&mut ada, &mut desk, &mut mobile] {
        phone.quit().await;
    }
    calls.none().await;
    local.drain().await;
    let (_, heard) = mobile.sound();
    is_whole(raw(&talks), heard.sound(), "what she says");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_whom_nobody_takes_is_told_so_and_answered_as_before() {
    let Some(asks) = speech(SOMEBODY, 2.0) else { return };
    let script = json!([
        {"say": PASSING_ON, "calls": [{"name": "transfer", "arguments": {"to": "bob"}}], "once": true},
        {"say": ANSWER},
    ]);
    let mut model = Model::with(script).await;
    let Some((local, telephone)) = office(&model, &[("office", PASSES_ON)], USERS).await else { return };
    let calls = Calls::at(&local.base_url());
    let mut bob = bob(&telephone, RINGS, Vec::new()).await;
    bob.until_printed("200 OK (harmony) [1 binding]").await;
    let mut ada = ada(&telephone, "agent", [silence(1.0), asks.clone(), silence(16.5), asks].concat()).await;
    let mut events = events(&local.ws_url(), &calls.room().await).await;
    bob.until("CALL_INCOMING").await;
    bob.hang_up().await;
    let mut seen = until_spoke(&mut events, "I am sorry, nobody can be reached there.").await;
    seen.extend(until_spoke(&mut events, ANSWER).await);
    // What the telephone has still to play.
    pass(Duration::from_secs(1)).await;
    ada.hang_up().await;
    ada.until("CALL_CLOSED").await;
    for phone in [&mut ada, &mut bob] {
        phone.quit().await;
    }
    let ended = calls.none().await;
    let status = |direction: &str| {
        let call = ended.iter().find(|call| call["direction"] == direction).expect("there was such a call");
        call["status"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!((status("inbound").as_str(), status("outbound").as_str()), ("completed", "busy"), "{ended:?}");
    local.drain().await;

    assert!(of_type(&seen, "bot.interrupted").next().is_none(), "{seen:?}");
    let (_, heard) = ada.sound();
    let mut heard_s = 0.0;
    for sentence in
        [PASSING_ON, "I am sorry, nobody can be reached there.", "Is there anything else I can do for you?", ANSWER]
    {
        let ended_s = hears(&heard, sentence);
        assert!(ended_s > heard_s, "{sentence:?} was heard too early: {ended_s} {heard_s}");
        heard_s = ended_s;
    }
    // The model knows that he was not there.
    let last = model.so_far().pop().expect("it was asked again");
    assert!(last["messages"].to_string().contains("nobody can be reached there"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_whom_an_agent_calls_is_greeted_by_the_persona_that_was_named_and_answered() {
    let Some(says) = speech(SOMEBODY, 2.0) else { return };
    let model = Model::with(json!([{"say": ANSWER}])).await;
    let personas = [("usual", greets("You should not hear this.")), ("office", greets(CALLING))];
    let personas = personas.each_ref().map(|(name, text)| (*name, text.as_str()));
    let Some((local, telephone)) = office(&model, &personas, "").await else { return };
    let calls = Calls::at(&local.base_url());
    let mut bob = bob(&telephone, ANSWERS, [silence(8.0), says].concat()).await;
    let to = format!("sip:bob@127.0.0.1:{}", bob.port());
    assert_eq!(calls.post("calls", &json!({"to": to, "agent": "nobody"})).await.0, 404);
    let (status, call) = calls.post("calls", &json!({"to": to, "agent": "office"})).await;
    assert_eq!((status, &call["direction"]), (201, &json!("outbound")), "{call}");
    bob.until("CALL_ESTABLISHED").await;
    let mut events = events(&local.ws_url(), &calls.room().await).await;
    let mut seen = until_spoke(&mut events, ANSWER).await;
    pass(Duration::from_secs(1)).await;
    bob.hang_up().await;
    bob.until("CALL_CLOSED").await;
    bob.quit().await;
    let ended = calls.none().await;
    assert!(ended.len() == 1 && ended[0]["status"] == "completed", "{ended:?}");
    // Nobody else knows of its room, which is closed with the call.
    let (rest, _) = timeout(PATIENCE, events.rest()).await.expect("the room is closed");
    local.drain().await;

    seen.extend(rest);
    assert!(of_type(&seen, "bot.trace").any(|event| event["what"] == "over"), "{seen:?}");
    let (_, heard) = bob.sound();
    let greeted_s = hears(&heard, CALLING);
    assert!(greeted_s < 8.0, "greeted until {greeted_s} s");
    assert!(hears(&heard, ANSWER) > 10.0, "answered before he spoke");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_reaches_the_persona_that_it_names_and_a_colleague_of_it_goes_on() {
    let Some(asks) = speech(SOMEBODY, 2.0) else { return };
    let (front, passing, workshop) =
        ("This is the front desk.", "The workshop knows more about that.", "Good morning from the workshop.");
    let script = json!([{"say": passing, "calls": [{"name": "hand_over", "arguments": {"to": "workshop"}}]}]);
    let model = Model::with(script).await;
    let desk = format!("tools = [\"hand_over\"]\nhand_over = [\"workshop\"]\n{}", greets(front));
    // The first is the usual one, whom the number does not name.
    let personas = [("workshop", greets(workshop)), ("desk", desk)];
    let personas = personas.each_ref().map(|(name, text)| (*name, text.as_str()));
    let numbers = "[[numbers]]\nnumber = \"front\"\nto = \"agent:desk\"\n";
    let Some((local, telephone)) = office(&model, &personas, numbers).await else { return };
    let calls = Calls::at(&local.base_url());
    let mut ada = ada(&telephone, "front", [silence(7.5), asks].concat()).await;
    let mut events = events(&local.ws_url(), &calls.room().await).await;
    let seen = until_spoke(&mut events, workshop).await;
    pass(Duration::from_secs(1)).await;
    ada.hang_up().await;
    ada.until("CALL_CLOSED").await;
    ada.quit().await;
    let ended = calls.none().await;
    assert!(ended.len() == 1 && ended[0]["status"] == "completed", "{ended:?}");
    local.drain().await;

    let spoken: Vec<_> = of_type(&seen, "bot.spoke").filter_map(|event| event["text"].as_str()).collect();
    assert_eq!(spoken, [front, passing, workshop]);
    let (_, heard) = ada.sound();
    let ended_s = [front, passing, workshop].map(|sentence| hears(&heard, sentence));
    assert!(ended_s.is_sorted(), "{ended_s:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_an_agent_presses_reach_the_far_end_and_cost_none_of_its_words() {
    let Some(asks) = speech(SOMEBODY, 2.0) else { return };
    let (before, keys) = ("I am typing the number.", "12345678#");
    let behind = "That was the number of the contract as it was told to me.";
    let script = json!([
        {"when": "pressed 12345678#", "say": behind},
        {"say": before, "calls": [{"name": "press_keys", "arguments": {"keys": keys}}]},
    ]);
    let model = Model::with(script).await;
    let Some((local, telephone)) = office(&model, &[("office", "tools = [\"press_keys\"]\n")], "").await else {
        return;
    };
    let calls = Calls::at(&local.base_url());
    let mut bob = bob(&telephone, ANSWERS, [silence(1.0), asks].concat()).await;
    let to = format!("sip:bob@127.0.0.1:{}", bob.port());
    let (status, call) = calls.post("calls", &json!({"to": to, "agent": true})).await;
    assert_eq!(status, 201, "{call}");
    bob.until("CALL_ESTABLISHED").await;
    let mut events = events(&local.ws_url(), &calls.room().await).await;
    for key in keys.chars() {
        assert_eq!(bob.until("CALL_DTMF_START").await["param"], key.to_string());
    }
    let seen = until_spoke(&mut events, before).await;
    pass(Duration::from_secs(1)).await;
    bob.hang_up().await;
    bob.until("CALL_CLOSED").await;
    bob.quit().await;
    local.drain().await;

    assert_eq!(seen.last().unwrap()["text"], format!("{before} {behind}"));
    let (_, heard) = bob.sound();
    hears(&heard, before);
    // A key takes the place of the sound: whoever speaks while keys are pressed is not heard.
    hears(&heard, behind);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_calls_somebody_with_an_agent_and_succeeds_when_they_hang_up() {
    let Some(_) = speech(SOMEBODY, 1.0) else { return };
    let folder = tempfile::tempdir().unwrap();
    let personas = folder.path().join("personas");
    std::fs::create_dir(&personas).unwrap();
    std::fs::write(personas.join("office.toml"), format!("languages = [\"en\"]\n{}", greets(CALLING))).unwrap();
    std::fs::write(folder.path().join("harmony.toml"), format!("[agent]\npersonas = {personas:?}\n")).unwrap();
    let mut bob = bob("127.0.0.1", ANSWERS, Vec::new()).await;
    let mut calling = Command::new(binary())
        .current_dir(folder.path())
        .args(["call", &format!("sip:bob@127.0.0.1:{}", bob.port()), "--agent", "office"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    bob.until("CALL_ESTABLISHED").await;
    let mut lines = BufReader::new(calling.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.expect("it says what it said").unwrap();
    assert_eq!(line, Some(format!("agent: {CALLING}")));
    // What the telephone has still to play.
    pass(Duration::from_secs(1)).await;
    bob.hang_up().await;
    bob.until("CALL_CLOSED").await;
    let output = timeout(PATIENCE, calling.wait_with_output()).await.expect("it ends with the call").unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("harmony: taken") && told.contains("harmony: over"), "{told}");
    bob.quit().await;
    let (_, heard) = bob.sound();
    hears(&heard, CALLING);
}

/// A server in this process that asks the model as these personas, the first of them the usual one, and hears whatever
/// is said as words; where it is called.
async fn office(model: &Model, personas: &[(&str, &str)], more: &str) -> Option<(Local, String)> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in personas {
        // A question for each turn, and no sooner.
        let text = format!("languages = [\"en\"]\n{text}[turn]\neager = false\nwait_unsure_ms = 600\n");
        std::fs::write(folder.path().join(format!("{name}.toml")), text).unwrap();
    }
    let usual = personas[0].0;
    let agent = format!("[agent]\npersonas = {:?}\npersona = {usual:?}\n", folder.path());
    let config = Config::parse(Path::new("test.toml"), &format!("{agent}{}{more}", model.config()), []).unwrap();
    match Local::listening_with_telephone(config).await {
        Ok((local, telephone)) => Some((local, telephone.to_string())),
        Err(why) => {
            println!("{why}");
            None
        }
    }
}

/// The part of a persona's file that greets.
fn greets(text: &str) -> String {
    format!("[greeting]\nen = {text:?}\n")
}

/// So many seconds of a recording as a telephone says them, where there are a telephone and a voice.
fn speech(name: &str, seconds: f64) -> Option<Vec<f32>> {
    if !Path::new("/usr/bin/espeak-ng").exists() {
        println!("skipped: no espeak-ng");
        return None;
    }
    let parts = Baresip::installed().and_then(|()| fixture::recording(name));
    let path = parts.map_err(|why| println!("{why}")).ok()?;
    let all = fixture::wav_16k(&path);
    let mut resampler = media::dsp::resample::Resampler::new(16_000, RATE_HZ).unwrap();
    let mut says = Vec::new();
    resampler.process(&all[..all.len().min((seconds * 16_000.0) as usize)], &mut says);
    resampler.flush(&mut says);
    Some(says)
}

async fn bob(server: &str, account: &str, says: Vec<f32>) -> Baresip {
    Baresip::start(server, Options { user: "bob", account: account.to_owned(), says, ..Options::default() }).await
}

/// Somebody whose call to this number was taken.
async fn ada(telephone: &str, number: &str, says: Vec<f32>) -> Baresip {
    let mut ada = Baresip::start(telephone, Options { user: "ada", says, ..Options::default() }).await;
    ada.dial(&format!("sip:{number}@{telephone}")).await;
    ada.until("CALL_ESTABLISHED").await;
    ada
}

/// Whether it tells of a call that the server made.
fn is_outbound(event: &Value) -> bool {
    event["direction"] == "outbound"
}

/// Whether it tells what an agent does.
fn is_of_an_agent(event: &Value) -> bool {
    event["type"].as_str().is_some_and(|kind| kind.starts_with("bot.") || kind == "turn.ended")
}

/// That the voice is heard to say all of this; when its end is heard, in seconds.
fn hears(heard: &Sampled, text: &str) -> f64 {
    is_whole(by_the_command("en", text).sound(), heard.sound(), text)
}

fn raw(samples: &[f32]) -> Sound<'_> {
    Sound { samples, rate_hz: RATE_HZ }
}

/// What was heard from `from_s` on.
fn after(heard: &Sampled, from_s: f64) -> Sound<'_> {
    let from = ((from_s.max(0.0) * f64::from(heard.rate_hz)) as usize).min(heard.samples.len());
    Sound { samples: &heard.samples[from..], rate_hz: heard.rate_hz }
}
