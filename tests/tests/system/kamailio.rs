//! Kamailio between telephones and the server: as proxy, as registrar, as a trunk, and as the path to a telephone.
//!
//! Kamailio records its route and lets nothing through in a call that does not come by it; what it has seen says that
//! neither side went around it. The telephones are baresip, which speaks a file and keeps what it hears.

use std::time::Duration;

use serde_json::json;
use tests::{
    baresip::{Baresip, Options, pass},
    calls::Calls,
    fixture,
    kamailio::{Kamailio, PASSWORD, Port},
    listening::compare,
    server::{self, Server},
    standstill,
};

const TRUSTED: &str = "trusted = [\"127.0.0.1\"]";

#[tokio::test(flavor = "multi_thread")]
async fn a_telephone_behind_a_proxy_hears_itself_and_either_side_hangs_up() {
    let Some(says) = parts(8) else { return };
    let (server, port) = (start(""), Port::free());
    let calls = Calls::of(&server);
    let kamailio = Kamailio::start(port, Some(&server.sip())).await;
    let account = format!(";auth_user=ada;auth_pass={PASSWORD};regint=60");
    let options = Options { user: "ada", account, says, ..Options::default() };
    let mut ada = Baresip::start(&port.address(), options).await;
    ada.until_printed("200 OK").await;

    ada.dial(&format!("sip:echo@{}", port.address())).await;
    ada.until("CALL_ESTABLISHED").await;
    pass(Duration::from_secs(9)).await;
    ada.hang_up().await;
    ada.until("CALL_CLOSED").await;
    kamailio.until_noted(&format!("seen BYE from {} by its route", ada.port())).await;
    let were = calls.none().await;
    assert_eq!((&were[0]["from"], &were[0]["status"]), (&json!("ada"), &json!("completed")), "{were:?}");
    ada.quit().await;
    let (said, heard) = ada.sound();
    let hearing = compare(said.sound(), heard.sound()).unwrap();
    assert!(hearing.likeness > 0.95 && standstill::explains(hearing.breaks().count()), "{hearing:?}");

    // The office, which the server ends.
    let mut bob = Baresip::start(&port.address(), Options { user: "bob", ..Options::default() }).await;
    bob.dial(&format!("sip:ivr@{}", port.address())).await;
    bob.until("CALL_ESTABLISHED").await;
    let id = calls.get("calls?limit=0").await["calls"][0]["id"].as_str().unwrap().to_owned();
    pass(Duration::from_secs(4)).await;
    calls.act(&id, &json!({"action": "hold", "is_held": true})).await;
    calls.until_so(&id, |call| call["is_held"] == true).await;
    kamailio.until_noted(&format!("seen INVITE from {} by its route", port_of(&server))).await;
    calls.end(&id).await;
    bob.until("CALL_CLOSED").await;
    kamailio.until_noted(&format!("seen BYE from {} by its route", port_of(&server))).await;
    bob.quit().await;
    assert!(!kamailio.log().contains("lost "), "{}", kamailio.log());
    if std::path::Path::new("/usr/bin/espeak-ng").exists() {
        let (_, heard) = bob.sound();
        let loud = heard.samples.iter().filter(|sample| sample.abs() > 0.02).count();
        assert!(loud > 2_000, "the office said nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_by_a_trunk_with_a_password_reaches_a_telephone_behind_it() {
    let Some(says) = parts(8) else { return };
    let port = Port::free();
    let server = start(&trunk(port, "keepalive_s = 0"));
    let calls = Calls::of(&server);
    let kamailio = Kamailio::start(port, Some(&server.sip())).await;
    let account = format!(";auth_user=x;auth_pass={PASSWORD};regint=60");
    let number = Options { user: "+4930123456", account, says, ..Options::default() };
    let mut bob = Baresip::start(&port.address(), number).await;
    bob.until_printed("200 OK").await;

    let (status, call) = calls.post("calls", &json!({"to": "030 123456"})).await;
    assert_eq!(status, 201, "{call}");
    let id = call["id"].as_str().unwrap();
    bob.until("CALL_INCOMING").await;
    calls.until(id, "ringing").await;
    bob.accept().await;
    bob.until("CALL_ESTABLISHED").await;
    let sounding = calls.until_so(id, |call| call["quality"]["mos"].as_f64().is_some_and(|mos| mos > 4.0)).await;
    assert_eq!((&sounding["trunk"], &sounding["quality"]["codec"]), (&json!("carrier"), &json!("PCMU")), "{sounding}");
    calls.act(id, &json!({"action": "dtmf", "digits": "7"})).await;
    assert_eq!(bob.until("CALL_DTMF_START").await["param"], "7");
    for is_held in [true, false] {
        calls.act(id, &json!({"action": "hold", "is_held": is_held})).await;
        calls.until_so(id, |call| call["is_held"] == is_held).await;
    }
    bob.hang_up().await;
    calls.until(id, "completed").await;
    kamailio.until_noted(&format!("seen BYE from {} by its route", bob.port())).await;

    // Given up before anybody took it, and refused.
    let (_, call) = calls.post("calls", &json!({"to": "+4930123456"})).await;
    let id = call["id"].as_str().unwrap();
    bob.until("CALL_INCOMING").await;
    calls.until(id, "ringing").await;
    calls.end(id).await;
    bob.until("CALL_CLOSED").await;
    calls.until(id, "canceled").await;
    kamailio.until_noted(&format!("seen CANCEL from {}", port_of(&server))).await;
    let (_, call) = calls.post("calls", &json!({"to": "+4930123457"})).await;
    let refused = calls.until(call["id"].as_str().unwrap(), "failed").await;
    assert_eq!(refused["refused_with"], 404, "{refused}");
    assert!(!kamailio.log().contains("lost "), "{}", kamailio.log());
    bob.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_registers_at_a_registrar_and_is_called_there_until_it_goes() {
    let Some(says) = parts(8) else { return };
    let port = Port::free();
    let kamailio = Kamailio::start(port, None).await;
    let numbers = "[[numbers]]\nnumber = \"pbx\"\nfrom = [\"trunk:carrier\"]\nto = \"echo\"\n";
    let mut server = start(&(numbers.to_owned() + &trunk(port, "register = true")));
    let calls = Calls::of(&server);
    kamailio.until_noted(&format!("seen REGISTER from {}", port_of(&server))).await;
    let mut ada = Baresip::start(&port.address(), Options { user: "ada", says, ..Options::default() }).await;
    ada.dial(&format!("sip:pbx@{}", port.address())).await;
    ada.until("CALL_ESTABLISHED").await;
    let trunks = calls.get("trunks").await;
    assert_eq!(
        (&trunks["trunks"][0]["is_registered"], &trunks["trunks"][0]["calls"]),
        (&json!(true), &json!(1)),
        "{trunks}"
    );
    pass(Duration::from_secs(9)).await;
    ada.hang_up().await;
    ada.until("CALL_CLOSED").await;
    let were = calls.none().await;
    assert_eq!(were[0]["trunk"], "carrier", "{were:?}");
    server.terminate();
    assert!(server.wait().success());
    // It took its leave: nobody is called there any more.
    ada.dial(&format!("sip:pbx@{}", port.address())).await;
    let closed = ada.until("CALL_CLOSED").await;
    assert!(closed["param"].as_str().unwrap_or_default().contains("404"), "{closed}");
    ada.quit().await;
    let (said, heard) = ada.sound();
    let hearing = compare(said.sound(), heard.sound()).unwrap();
    assert!(standstill::explains(hearing.breaks().count()), "{hearing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_telephone_that_registered_through_a_proxy_is_called_by_its_path() {
    let Some(says) = parts(8) else { return };
    let users = "[[sip.users]]\nname = \"bob\"\npassword = \"seven-words\"\n\
                 [[numbers]]\nnumber = \"bob\"\nto = \"user:bob\"\n";
    let (server, port) = (start(users), Port::free());
    let calls = Calls::of(&server);
    let kamailio = Kamailio::start(port, Some(&server.sip())).await;
    let account =
        format!(";auth_user=bob;auth_pass=seven-words;regint=60;answermode=auto;outbound=\"sip:{}\"", port.address());
    let mut bob = Baresip::start(&server.sip(), Options { user: "bob", account, ..Options::default() }).await;
    bob.until_printed("200 OK (harmony) [1 binding]").await;
    let mut ada = Baresip::start(&server.sip(), Options { user: "ada", says, ..Options::default() }).await;
    ada.dial(&format!("sip:bob@{}", server.sip())).await;
    ada.until("CALL_ESTABLISHED").await;
    kamailio.until_noted(&format!("seen INVITE from {} by a path", port_of(&server))).await;
    pass(Duration::from_secs(9)).await;
    ada.hang_up().await;
    bob.until("CALL_CLOSED").await;
    kamailio.until_noted(&format!("seen BYE from {} by its route", port_of(&server))).await;
    calls.none().await;
    // The other way, by the telephone's own proxy, and it hangs up.
    let (status, call) = calls.post("calls", &json!({"to": "client:bob"})).await;
    assert_eq!(status, 201, "{call}");
    bob.until("CALL_ESTABLISHED").await;
    bob.hang_up().await;
    calls.until(call["id"].as_str().unwrap(), "completed").await;
    kamailio.until_noted(&format!("seen BYE from {} by its route", bob.port())).await;
    assert!(!kamailio.log().contains("lost "), "{}", kamailio.log());
    for phone in [&mut ada, &mut bob] {
        phone.quit().await;
    }
    let ((said, _), (_, heard)) = (ada.sound(), bob.sound());
    let hearing = compare(said.sound(), heard.sound()).unwrap();
    assert!(standstill::explains(hearing.breaks().count()), "{hearing:?}");
}

/// A line to the outside that is Kamailio.
fn trunk(port: Port, more: &str) -> String {
    format!(
        "[numbering]\ncountry = \"49\"\n[dialling]\nallow = [\"+49\"]\n\
         [[trunks]]\nname = \"carrier\"\nuri = \"sip:{}\"\nuser = \"pbx\"\npassword = \"{PASSWORD}\"\n{more}\n",
        port.address()
    )
}

fn start(config: &str) -> Server {
    Server::start(server::Options { config, telephone: Some(TRUSTED), ..server::Options::default() }).unwrap()
}

fn port_of(server: &Server) -> u16 {
    server.sip().rsplit_once(':').unwrap().1.parse().unwrap()
}

/// Kamailio, telephones, and so many seconds of speech as a telephone says it; or the reason to skip, told.
fn parts(seconds: usize) -> Option<Vec<f32>> {
    let parts = Kamailio::installed().and_then(|()| Baresip::installed());
    let path = parts.and_then(|()| fixture::recording("audio/speech/jfk.wav")).map_err(|why| println!("{why}")).ok()?;
    let speech = fixture::wav_16k(&path);
    let mut resampler = media::dsp::resample::Resampler::new(16_000, 8_000).unwrap();
    let mut says = Vec::new();
    resampler.process(&speech[..speech.len().min(seconds * 16_000)], &mut says);
    resampler.flush(&mut says);
    Some(says)
}
