//! Calls that the real binary makes, to a real telephone that answers as people and machines do: who took it, who is
//! told, and that a message begins when a machine records.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use tests::{
    baresip::{Baresip, Options},
    calls::Calls,
    client::Socket,
    hook::Hook,
    listening::compare,
    server::{self, Server, binary},
    spoken::{Spoken, by_the_command},
    standstill,
};

const RATE_HZ: u32 = 8_000;

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

const MAILBOX: &str = "Hi, you have reached Anna Weber. I can't come to the phone right now. Please leave a message \
                       after the tone.";

const MESSAGE: &str = "The quick brown fox jumps over the lazy dog.";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_a_voicemail_begins_after_its_beep() {
    let Some(spoken) = parts() else { return };
    let greeting = [silence(600), spoken.says("en", MAILBOX), silence(700), sine(1_000.0, 400)].concat();
    let greeting_s = greeting.len() as f64 / f64::from(RATE_HZ);
    let server = Server::start(with_account()).unwrap();
    let mut bob = telephone(&server, greeting).await;
    let mut asked = Hook::start("<Response><Say>The quick brown fox jumps over the lazy dog.</Say></Response>").await;
    let (status, call) = place(&server, &bob, &asked, &[("MachineDetection", "DetectMessageEnd")]).await;
    assert_eq!((status, &call["answered_by"]), (201, &Value::Null), "{call}");
    let first = asked.next().await;
    assert_eq!((first.path.as_str(), first.param("AnsweredBy")), ("/voice", "machine_end_beep"));
    bob.until("CALL_CLOSED").await;
    bob.quit().await;
    let last = asked.next().await;
    assert_eq!((last.path.as_str(), last.param("CallStatus")), ("/status", "completed"));
    assert_eq!(last.param("AnsweredBy"), "machine_end_beep");
    let (_, shown) = rest(&server, "GET", &format!("Calls/{}.json", call["sid"].as_str().unwrap()), &[]).await;
    assert_eq!(shown["answered_by"], "machine_end_beep", "{shown}");
    let (_, heard) = bob.sound();
    let began = heard.samples.iter().position(|sample| sample.abs() > 0.02).expect("something was said");
    let began_s = began as f64 / f64::from(heard.rate_hz);
    assert!(
        began_s > greeting_s - 0.2 && began_s < greeting_s + 6.0,
        "said at {began_s:.2} s, beep until {greeting_s:.2} s"
    );
    // Compared with what the command says, not by a recognizer, which hears a synthetic voice now so and now otherwise.
    let said = by_the_command("en", MESSAGE);
    let hearing = compare(said.sound(), heard.sound()).unwrap();
    assert!(hearing.likeness > 0.9, "{hearing:?}");
    assert!(standstill::explains(hearing.breaks().count()), "{hearing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_told_from_a_machine_while_the_application_runs() {
    let Some(spoken) = parts() else { return };
    let server = Server::start(with_account()).unwrap();
    let mut asked = Hook::start("<Response><Pause length=\"8\"/></Response>").await;
    let menu = "Thank you for calling the doctor's office. For appointments, press one. For prescriptions, press two.";
    for (says, expected) in [("Hello?", "human"), (menu, "machine_start")] {
        let mut bob = telephone(&server, [silence(900), spoken.says("en", says)].concat()).await;
        let amd = asked.url("/amd");
        let form = [("MachineDetection", "Enable"), ("AsyncAmd", "true"), ("AsyncAmdStatusCallback", &amd)];
        let (status, call) = place(&server, &bob, &asked, &form).await;
        assert_eq!(status, 201, "{call}");
        let first = asked.next().await;
        assert_eq!((first.path.as_str(), first.params.get("AnsweredBy")), ("/voice", None));
        let amd = asked.next().await;
        assert_eq!(
            (amd.path.as_str(), amd.param("AnsweredBy"), json!(amd.param("CallSid"))),
            ("/amd", expected, call["sid"].clone())
        );
        let listened_ms: u64 = amd.param("MachineDetectionDuration").parse().unwrap();
        assert!((1_000..6_000).contains(&listened_ms), "{listened_ms} ms");
        bob.hang_up().await;
        bob.until("CALL_CLOSED").await;
        assert_eq!(asked.next().await.path, "/status");
        bob.quit().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_a_document_dials_is_told_apart_and_its_room_tells_of_it() {
    let Some(spoken) = parts() else { return };
    let server = Server::start(with_account()).unwrap();
    let mut asked = Hook::start("<Response/>").await;
    let mut bob = telephone(&server, [silence(900), spoken.says("en", "Hello?")].concat()).await;
    let twiml = format!(
        "<Response><Dial><Sip machineDetection=\"Enable\" amdStatusCallback=\"{}\">sip:bob@127.0.0.1:{}</Sip></Dial></Response>",
        asked.url("/amd"),
        bob.port()
    );
    let calls = Calls::of(&server);
    let (status, call) =
        calls.post("calls", &json!({"to": format!("sip:echo@{}", server.sip()), "twiml": twiml})).await;
    assert_eq!(status, 201, "{call}");
    let amd = asked.next().await;
    assert_eq!((amd.path.as_str(), amd.param("AnsweredBy")), ("/amd", "human"));
    let child = calls.get(&format!("calls/{}", amd.param("CallSid"))).await;
    assert_eq!((&child["parent"], &child["answered_by"]), (&call["id"], &json!("human")), "{child}");
    let room = child["room"].as_str().unwrap();
    let mut events = Socket::open(&format!("{}/api/rooms/{room}/events?since=0", server.ws_url()), &[]).await.unwrap();
    let seen = events.until("call.answered_by").await.unwrap();
    let event = seen.last().unwrap();
    assert_eq!(
        (&event["call"], &event["who"], &event["answered_by"]),
        (&child["id"], &json!("human"), &json!("human"))
    );
    bob.hang_up().await;
    bob.until("CALL_CLOSED").await;
    bob.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fax_and_a_number_that_is_not_in_service_are_known() {
    let Some(spoken) = parts() else { return };
    let server = Server::start(with_account()).unwrap();
    let calls = Calls::of(&server);
    let sit = [sine(950.0, 330), sine(1_400.0, 330), sine(1_800.0, 330)].concat();
    let unreached = [silence(400), sit, spoken.says("en", "The number you have dialed is not in service.")].concat();
    for (says, who, answered_by) in [
        ([silence(500), sine(2_100.0, 3_000)].concat(), "unavailable", "fax"),
        (unreached, "unavailable", "unknown"),
        (Vec::new(), "unsure", "unknown"),
    ] {
        let mut bob = telephone(&server, says).await;
        let wish = json!({
            "to": format!("sip:bob@127.0.0.1:{}", bob.port()),
            "detection": {"until_message_end": true, "silence_timeout_ms": 2_000},
        });
        let (status, call) = calls.post("calls", &wish).await;
        assert_eq!(status, 201, "{call}");
        bob.until("CALL_ESTABLISHED").await;
        let shown = calls.until_so(call["id"].as_str().unwrap(), |call| !call["answered_by"].is_null()).await;
        assert_eq!(shown["answered_by"], answered_by, "{shown}");
        let room = shown["room"].as_str().unwrap();
        let mut events =
            Socket::open(&format!("{}/api/rooms/{room}/events?since=0", server.ws_url()), &[]).await.unwrap();
        let seen = events.until("call.answered_by").await.unwrap();
        assert_eq!(seen.last().unwrap()["who"], who, "{seen:?}");
        bob.hang_up().await;
        bob.until("CALL_CLOSED").await;
        bob.quit().await;
    }
    let (status, error) = calls.post("calls", &json!({"to": "sip:a@127.0.0.1", "detection": {"timeout_s": 60}})).await;
    assert_eq!((status, &error["error"]["code"]), (400, &json!("bad_detection")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_who_took_the_call_before_it_speaks() {
    let Some(spoken) = parts() else { return };
    let server = Server::start(with_account()).unwrap();
    let mut bob = telephone(&server, [silence(900), spoken.says("en", "Hello?")].concat()).await;
    let folder = tempfile::tempdir().unwrap();
    let twiml = folder.path().join("hello.xml");
    std::fs::write(&twiml, "<Response><Say>Hello, Bob.</Say></Response>").unwrap();
    let calling = tokio::process::Command::new(binary())
        .current_dir(folder.path())
        .args(["call", &format!("sip:bob@127.0.0.1:{}", bob.port()), "--detect", "--twiml"])
        .arg(&twiml)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(60), calling).await.expect("the call ends").unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("taken by a person (human)"), "{told}");
    bob.quit().await;
    let (_, heard) = bob.sound();
    let began = heard.samples.iter().position(|sample| sample.abs() > 0.02).expect("something was said");
    // Nobody talks into a greeting: 900 ms of silence, the word, and the pause that ends it.
    assert!(began as f64 / f64::from(heard.rate_hz) > 2.0, "said after {began} samples");
}

/// What these tests need, or the reason to skip, told.
fn parts() -> Option<Spoken> {
    let parts = Baresip::installed().and_then(|()| Spoken::start(RATE_HZ));
    parts.map_err(|why| println!("{why}")).ok()
}

/// A telephone that answers at once and says this.
async fn telephone(server: &Server, says: Vec<f32>) -> Baresip {
    let account = ";regint=0;answermode=auto".to_owned();
    Baresip::start(&server.sip(), Options { user: "bob", account, says, ..Options::default() }).await
}

fn with_account() -> server::Options<'static> {
    let config = "[twilio]\naccount_sid = \"AC00000000000000000000000000000001\"\n\
                  auth_token = \"0123456789abcdef0123456789abcdef\"\n[webhooks]\nallow = [\"127.0.0.1:*\"]\n";
    server::Options { config, telephone: Some(""), ..server::Options::default() }
}

/// Places a call to a telephone, whose application and status callback are `asked`.
async fn place(server: &Server, bob: &Baresip, asked: &Hook, more: &[(&str, &str)]) -> (u16, Value) {
    let to = format!("sip:bob@127.0.0.1:{}", bob.port());
    let (voice, status) = (asked.url("/voice"), asked.url("/status"));
    let form = [("To", to.as_str()), ("From", "+15005550001"), ("Url", &voice), ("StatusCallback", &status)];
    rest(server, "POST", "Calls.json", &[&form, more].concat()).await
}

async fn rest(server: &Server, method: &str, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
    ::server::models::tls::install();
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT}/{path}", server.base_url());
    let mut request = reqwest::Client::new().request(method.parse().unwrap(), url).basic_auth(ACCOUNT, Some(TOKEN));
    if method == "POST" {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

fn silence(ms: u32) -> Vec<f32> {
    vec![0.0; (ms * RATE_HZ / 1_000) as usize]
}

/// A tone of -12 dBFS.
fn sine(hz: f32, ms: u32) -> Vec<f32> {
    let step = std::f32::consts::TAU * hz / RATE_HZ as f32;
    (0..ms * RATE_HZ / 1_000).map(|n| 0.25 * (n as f32 * step).sin()).collect()
}
