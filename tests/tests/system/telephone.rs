//! Real telephones and the real binary: what a caller hears, says and presses, and what the server makes of it.
//!
//! baresip speaks a file and keeps what it hears; sipp calls often. What a caller heard is compared with what was said,
//! sample by sample where it is their own voice, by our own recognizer where it is another's.

use std::{path::Path, process::Command, time::Duration};

use serde_json::{Value, json};
use tests::{
    baresip::{Baresip, Options, pass},
    client::Socket,
    fixture,
    listening::compare,
    server::{self, Server, models_or_skip},
    spoken::by_the_command,
    standstill,
    wer::word_error_rate,
};

/// What is said in `jfk.wav`.
const JFK: &str =
    "And so my fellow Americans ask not what your country can do for you ask what you can do for your country";

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_of_echo_hears_their_own_voice_whole_and_soon() {
    let Some(says) = telephone_parts(8) else { return };
    let server = Server::start(with_telephone("")).unwrap();
    let mut caller = Baresip::start(&server.sip(), Options { user: "ada", says, ..Options::default() }).await;
    caller.dial(&format!("sip:echo@{}", server.sip())).await;
    caller.until("CALL_ESTABLISHED").await;
    pass(Duration::from_secs(9)).await;
    caller.hang_up().await;
    caller.until("CALL_CLOSED").await;
    caller.quit().await;
    let (said, heard) = caller.sound();
    let hearing = compare(said.sound(), heard.sound()).unwrap();
    assert!(hearing.likeness > 0.95 && hearing.level_db.abs() < 1.0, "{hearing:?}");
    assert!(standstill::explains(hearing.breaks().count()), "{hearing:?}");
    // A jitter buffer grows to 400 ms where packets come unevenly.
    assert!(hearing.delay_ms < 450.0, "{hearing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_presses_their_way_through_the_office_in_english() {
    let Some(_) = telephone_parts(1) else { return };
    if !has_voice() {
        return println!("skipped: no espeak-ng");
    }
    let server = Server::start(with_telephone("")).unwrap();
    let mut caller = Baresip::start(&server.sip(), Options { user: "ada", ..Options::default() }).await;
    caller.dial(&format!("sip:ivr@{}", server.sip())).await;
    caller.until("CALL_ESTABLISHED").await;
    // Typed ahead while the greeting is spoken: English, then the opening hours.
    pass(Duration::from_secs(2)).await;
    caller.press("2").await;
    pass(Duration::from_secs(3)).await;
    caller.press("1").await;
    pass(Duration::from_secs(18)).await;
    caller.hang_up().await;
    caller.until("CALL_CLOSED").await;
    caller.quit().await;
    let (_, heard) = caller.sound();
    for sentence in [
        "We are here for you Monday to Friday, from nine to five.",
        "The office is closed at weekends and on public holidays.",
    ] {
        let hearing = compare(by_the_command("en-GB", sentence).sound(), heard.sound()).unwrap();
        assert!(hearing.likeness > 0.9, "{sentence}: {hearing:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_calls_scribe_is_written_down_under_their_name_and_the_room_tells_of_the_call() {
    let (Some(says), Some(())) = (telephone_parts(11), models_or_skip()) else { return };
    let server = Server::start(with_telephone("")).unwrap();
    let mut caller = Baresip::start(&server.sip(), Options { user: "ada", says, ..Options::default() }).await;
    caller.dial(&format!("sip:scribe@{}", server.sip())).await;
    caller.until("CALL_ESTABLISHED").await;
    let mut events = Socket::open(&format!("{}/api/rooms/r1/events?since=0", server.ws_url()), &[]).await.unwrap();
    pass(Duration::from_secs(12)).await;
    let calls = fetch(&server, "calls").await;
    let call = &calls["calls"][0];
    assert_eq!((&call["status"], &call["from"], &call["to"]), (&"in-progress".into(), &"ada".into(), &"scribe".into()));
    caller.hang_up().await;
    caller.until("CALL_CLOSED").await;
    let seen = events.until("call.ended").await.unwrap();
    let answered = seen.iter().find(|event| event["type"] == "call.answered").unwrap();
    assert_eq!((&answered["call"], &answered["direction"]), (&call["id"], &"inbound".into()));
    let joined = seen.iter().find(|event| event["type"] == "participant.joined").unwrap();
    assert_eq!((&joined["name"], &joined["kind"]), (&"ada".into(), &"sip".into()));
    let ended = seen.last().unwrap();
    assert_eq!(ended["why"], "completed");
    assert!(ended["duration_ms"].as_u64().unwrap() > 10_000, "{ended}");
    let text: Vec<&str> = seen
        .iter()
        .filter(|event| event["type"] == "transcript.final")
        .filter_map(|event| event["text"].as_str())
        .collect();
    let rate = word_error_rate(JFK, &text.join(" "));
    assert!(rate < 0.25, "{rate:.2}: {text:?}");
    caller.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_telephones_in_a_conference_hear_each_other_and_not_themselves() {
    let Some(says) = telephone_parts(8) else { return };
    let config = "[[numbers]]\nnumber = \"8?\"\nto = \"conference:room-{rest}\"\n";
    let server = Server::start(with_telephone(config)).unwrap();
    let other = Options { user: "bob", codecs: "PCMA", says: tests::sounds::voice(8.0, 7), ..Options::default() };
    let (mut ada, mut bob) = (
        Baresip::start(&server.sip(), Options { user: "ada", says, ..Options::default() }).await,
        Baresip::start(&server.sip(), other).await,
    );
    bob.dial(&format!("sip:81@{}", server.sip())).await;
    bob.until("CALL_ESTABLISHED").await;
    ada.dial(&format!("sip:81@{}", server.sip())).await;
    ada.until("CALL_ESTABLISHED").await;
    pass(Duration::from_secs(9)).await;
    for phone in [&mut ada, &mut bob] {
        phone.hang_up().await;
        phone.until("CALL_CLOSED").await;
        phone.quit().await;
    }
    let ((adas, to_ada), (bobs, to_bob)) = (ada.sound(), bob.sound());
    for (said, heard, own) in [(&adas, &to_bob, &bobs), (&bobs, &to_ada, &adas)] {
        let hearing = compare(said.sound(), heard.sound()).unwrap();
        assert!(standstill::explains(hearing.breaks().count()) && hearing.level_db.abs() < 2.0, "{hearing:?}");
        assert!(compare(own.sound(), heard.sound()).is_err(), "somebody heard themselves");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_telephone_is_called_and_both_hear_each_other() {
    let Some(says) = telephone_parts(8) else { return };
    let config =
        "[[sip.users]]\nname = \"bob\"\npassword = \"seven-words\"\n[[numbers]]\nnumber = \"bob\"\nto = \"user:bob\"\n";
    let server = Server::start(with_telephone(config)).unwrap();
    let account = ";auth_user=bob;auth_pass=seven-words;regint=60;answermode=auto".to_owned();
    let mut bob = Baresip::start(&server.sip(), Options { user: "bob", account, ..Options::default() }).await;
    bob.until_printed("200 OK (harmony) [1 binding]").await;
    let mut ada = Baresip::start(&server.sip(), Options { user: "ada", says, ..Options::default() }).await;
    ada.dial(&format!("sip:bob@{}", server.sip())).await;
    ada.until("CALL_ESTABLISHED").await;
    pass(Duration::from_secs(9)).await;
    ada.hang_up().await;
    bob.until("CALL_CLOSED").await;
    for phone in [&mut ada, &mut bob] {
        phone.quit().await;
    }
    let ((said, _), (_, heard)) = (ada.sound(), bob.sound());
    let hearing = compare(said.sound(), heard.sound()).unwrap();
    assert!(standstill::explains(hearing.breaks().count()), "{hearing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_registers_nobody() {
    let Some(_) = telephone_parts(1) else { return };
    let server = Server::start(with_telephone("[[sip.users]]\nname = \"bob\"\npassword = \"right\"\n")).unwrap();
    let account = ";auth_user=bob;auth_pass=wrong;regint=60".to_owned();
    let mut bob = Baresip::start(&server.sip(), Options { user: "bob", account, ..Options::default() }).await;
    bob.until_printed("401 Unauthorized").await;
    assert!(!bob.log().contains("200 OK"), "{}", bob.log());
    bob.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_the_api_makes_speaks_its_twiml_and_presses_keys() {
    let Some(_) = telephone_parts(1) else { return };
    if !has_voice() {
        return println!("skipped: no espeak-ng");
    }
    let server = Server::start(with_telephone("")).unwrap();
    let account = ";regint=0;answermode=auto".to_owned();
    let mut bob = Baresip::start(&server.sip(), Options { user: "bob", account, ..Options::default() }).await;
    let twiml = "<Response><Say>The quick brown fox jumps over the lazy dog.</Say><Pause length=\"1\"/></Response>";
    let (status, call) =
        post(&server, "calls", &json!({"to": format!("sip:bob@127.0.0.1:{}", bob.port()), "twiml": twiml})).await;
    assert_eq!((status, &call["direction"]), (201, &"outbound".into()), "{call}");
    bob.until("CALL_ESTABLISHED").await;
    bob.until("CALL_CLOSED").await;
    // Over for the telephone a moment before its last words are out here.
    let path = format!("calls/{}", call["id"].as_str().unwrap());
    let shown = until(async || Some(fetch(&server, &path).await).filter(|call| !call["ended_at"].is_null())).await;
    assert_eq!(shown["status"], "completed", "{shown}");
    bob.quit().await;
    let (_, heard) = bob.sound();
    let spoken = by_the_command("en", "The quick brown fox jumps over the lazy dog.");
    let hearing = compare(spoken.sound(), heard.sound()).unwrap();
    assert!(hearing.likeness > 0.9 && hearing.level_db.abs() < 2.0, "{hearing:?}");
    assert!(standstill::explains(hearing.breaks().count()), "{hearing:?}");
}

#[test]
fn two_hundred_calls_of_sipp_are_answered_and_ended() {
    if !Path::new(SIPP).exists() {
        return println!("skipped: no sipp is installed (Debian package sip-tester)");
    }
    let server = Server::start(with_telephone("")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = Command::new(SIPP)
        .args(["-sn", "uac", &server.sip(), "-s", "echo", "-i", "127.0.0.1", "-nostdin"])
        .args(["-m", "200", "-r", "50", "-d", "500", "-timeout", "40", "-timeout_error"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}

const SIPP: &str = "/usr/bin/sipp";

/// A server with a telephone, and what else it is configured with.
fn with_telephone(config: &str) -> server::Options<'_> {
    server::Options { config, telephone: Some(""), ..server::Options::default() }
}

/// So many seconds of speech as a telephone says it, if there is one and a recording.
fn telephone_parts(seconds: usize) -> Option<Vec<f32>> {
    let parts = Baresip::installed().and_then(|()| fixture::recording("audio/speech/jfk.wav"));
    let path = parts.map_err(|why| println!("{why}")).ok()?;
    let speech = fixture::wav_16k(&path);
    let mut resampler = media::dsp::resample::Resampler::new(16_000, 8_000).unwrap();
    let mut says = Vec::new();
    resampler.process(&speech[..speech.len().min(seconds * 16_000)], &mut says);
    resampler.flush(&mut says);
    Some(says)
}

fn has_voice() -> bool {
    Path::new("/usr/bin/espeak-ng").exists()
}

/// What `look` finds, asked again and again until it finds it.
async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let looking = async {
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        loop {
            looks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), looking).await.expect("it is found in time")
}

async fn fetch(server: &Server, path: &str) -> Value {
    ::server::models::tls::install();
    let answer = reqwest::get(format!("{}/api/{path}", server.base_url())).await.unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

async fn post(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    ::server::models::tls::install();
    let request = reqwest::Client::new()
        .post(format!("{}/api/{path}", server.base_url()))
        .header("content-type", "application/json")
        .body(body.to_string());
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
}
