//! Sealed sound against the real binary: real telephones by TLS, SDES and DTLS-SRTP, and callers by hand who lie, who
//! come by a certificate, and who go on from room to room across the wraps of their numbers.
//!
//! What counts is what was heard: a real telephone's sound is compared with what the other said, a caller's tone is looked
//! for at the other end.

use std::{fs, time::Duration};

use media::webrtc::handshake::{BadHandshake, Certificate};
use serde_json::json;
use sip::{
    message::{Message, Response},
    sdp::Protection,
};
use tests::{
    baresip::{Baresip, Options, Sampled, pass},
    calls::Calls,
    fixture,
    listening::compare,
    server::{self, Server},
    standstill,
    talker::{Talker, by_description, by_dtls, is_heard, plain},
    tls,
    wire::{Ask, Heard, Line, PATIENCE, Wire, tag_of},
};

/// What callers say to each other.
const LOW_HZ: f32 = 440.0;
const HIGH_HZ: f32 = 1_000.0;

/// Callers by hand may misdial as often as they like.
const TRUSTED: &str = "trusted = [\"127.0.0.0/24\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_telephone_by_tls_or_tcp_hears_its_own_voice_in_every_codec_sealed_by_its_description() {
    let certificate = tls::Certificate::fresh();
    let server = Server::start(with_tls(&certificate, "[rtp]\nsrtp = \"require\"\n")).unwrap();
    let roots = format!("sip_cafile {}\n", certificate.path().display());
    for (transport, codec, rate_hz, module) in [
        ("tls", "PCMU", 8_000, "srtp"),
        ("tls", "opus/48000/2", 48_000, "opus"),
        ("tcp", "G722/16000/1", 16_000, "g722"),
    ] {
        let Some(says) = telephone_parts(&["srtp", module], 6, rate_hz) else { continue };
        let at = if transport == "tls" { server.sip_tls() } else { server.sip() };
        let options = Options {
            user: "ada",
            account: ";regint=0;mediaenc=srtp-mand".to_owned(),
            codecs: codec,
            modules: if module == "srtp" { vec!["srtp"] } else { vec!["srtp", module] },
            says,
            rate_hz: Some(rate_hz),
            config: roots.clone(),
        };
        let mut ada = Baresip::start(&format!("{at};transport={transport}"), options).await;
        ada.dial(&format!("sip:echo@{at}")).await;
        ada.until("CALL_ESTABLISHED").await;
        pass(Duration::from_secs(7)).await;
        ada.hang_up().await;
        ada.until("CALL_CLOSED").await;
        ada.quit().await;
        assert!(ada.log().contains("SRTP is Enabled"), "{}", ada.log());
        let (said, heard) = ada.sound();
        assert_eq!(heard.rate_hz, rate_hz);
        whole(&said, &heard, &format!("{transport} {codec}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_telephones_hear_each_other_by_dtls_as_callers_and_as_called() {
    let Some(says) = telephone_parts(&["dtls_srtp"], 8, 8_000) else { return };
    let config = "[rtp]\nsrtp = \"dtls\"\n[[sip.users]]\nname = \"bob\"\npassword = \"seven-words\"\n\
        [[numbers]]\nnumber = \"bob\"\nto = \"user:bob\"\n[[numbers]]\nnumber = \"echo\"\nto = \"echo\"\n";
    let server =
        Server::start(server::Options { config, telephone: Some(TRUSTED), ..server::Options::default() }).unwrap();
    let phone = |user, account: &str, says| Options {
        user,
        account: format!(";mediaenc=dtls_srtp{account}"),
        modules: vec!["dtls_srtp"],
        says,
        ..Options::default()
    };
    let registered = ";auth_user=bob;auth_pass=seven-words;regint=60;answermode=auto";
    let low = tests::sounds::voice(8.0, 7);
    let mut bob = Baresip::start(&server.sip(), phone("bob", registered, low)).await;
    bob.until_printed("200 OK (harmony) [1 binding]").await;
    let mut ada = Baresip::start(&server.sip(), phone("ada", ";regint=0", says)).await;
    ada.dial(&format!("sip:bob@{}", server.sip())).await;
    ada.until("CALL_ESTABLISHED").await;
    pass(Duration::from_secs(10)).await;
    ada.hang_up().await;
    bob.until("CALL_CLOSED").await;
    for phone in [&mut ada, &mut bob] {
        phone.quit().await;
    }
    let ((ada_said, ada_heard), (bob_said, bob_heard)) = (ada.sound(), bob.sound());
    whole(&ada_said, &bob_heard, "what ada said");
    whole(&bob_said, &ada_heard, "what bob said");
    // Nobody is let in without.
    let mut eve =
        Baresip::start(&server.sip(), Options { user: "eve", account: ";regint=0".to_owned(), ..Options::default() })
            .await;
    eve.dial(&format!("sip:echo@{}", server.sip())).await;
    let closed = eve.until("CALL_CLOSED").await;
    assert!(closed["param"].as_str().unwrap_or_default().contains("488"), "{closed}");
    eve.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_telephone_is_held_and_taken_back_and_passes_its_caller_on() {
    if let Err(why) = Baresip::has(&["dtls_srtp", "srtp"]) {
        return println!("{why}");
    }
    // Longer than all of it takes: what is looked for lies in the middle of each stretch, whenever that begins.
    let says = tests::sounds::voice(24.0, 3);
    let config = "[[sip.users]]\nname = \"bob\"\npassword = \"b\"\n[[sip.users]]\nname = \"carol\"\npassword = \"c\"\n\
        [[numbers]]\nnumber = \"bob\"\nto = \"user:bob\"\n";
    let server =
        Server::start(server::Options { config, telephone: Some(TRUSTED), ..server::Options::default() }).unwrap();
    for protection in ["srtp-mand", "dtls_srtp"] {
        let phone = |user, account: &str, says: Vec<f32>| Options {
            user,
            account: format!(";mediaenc={protection}{account}"),
            modules: vec!["dtls_srtp", "srtp"],
            says,
            ..Options::default()
        };
        let registered = |name, password| format!(";auth_user={name};auth_pass={password};regint=60;answermode=auto");
        // Whom the server calls is offered no keys here: they are asked of whoever calls.
        let plain = |user, account: String| Options { user, account, ..Options::default() };
        let mut bob = Baresip::start(&server.sip(), plain("bob", registered("bob", "b"))).await;
        let mut carol = Baresip::start(&server.sip(), plain("carol", registered("carol", "c"))).await;
        bob.until_printed("200 OK (harmony) [1 binding]").await;
        carol.until_printed("200 OK (harmony) [1 binding]").await;
        let mut ada = Baresip::start(&server.sip(), phone("ada", ";regint=0", says.clone())).await;
        ada.dial(&format!("sip:bob@{}", server.sip())).await;
        ada.until("CALL_ESTABLISHED").await;
        let calls = Calls::of(&server);
        let all = calls.get("calls").await;
        let of_ada = all["calls"]
            .as_array()
            .unwrap()
            .iter()
            .find(|call| call["direction"] == "inbound" && call["ended_at"].is_null());
        let id = of_ada.unwrap()["id"].as_str().unwrap().to_owned();
        // We hold ada: whoever listens to her hears nothing meanwhile.
        pass(Duration::from_secs(2)).await;
        calls.act(&id, &json!({"action": "hold", "is_held": true})).await;
        pass(Duration::from_secs(2)).await;
        calls.act(&id, &json!({"action": "hold", "is_held": false})).await;
        pass(Duration::from_secs(4)).await;
        // Bob passes her on without a word; the keys of her sound go with her.
        bob.tell("transfer", &format!("sip:carol@{}", server.sip())).await;
        carol.until("CALL_ESTABLISHED").await;
        bob.until("CALL_CLOSED").await;
        pass(Duration::from_secs(8)).await;
        ada.hang_up().await;
        carol.until("CALL_CLOSED").await;
        for phone in [&mut ada, &mut bob, &mut carol] {
            phone.quit().await;
        }
        let ((said, _), (_, to_bob), (_, to_carol)) = (ada.sound(), bob.sound(), carol.sound());
        let rate = said.rate_hz as usize;
        let first = Sampled { samples: said.samples[rate / 2..rate * 3 / 2].to_vec(), rate_hz: said.rate_hz };
        assert!(compare(first.sound(), to_bob.sound()).unwrap().likeness > 0.9, "{protection}: before");
        let silent = longest_silence_s(&to_bob);
        assert!((1.5..5.0).contains(&silent), "{protection}: silent for {silent:.2} s");
        let back = Sampled { samples: said.samples[rate * 6..rate * 7].to_vec(), rate_hz: said.rate_hz };
        assert!(compare(back.sound(), to_bob.sound()).unwrap().likeness > 0.9, "{protection}: taken back");
        let last = Sampled { samples: said.samples[rate * 13..rate * 14].to_vec(), rate_hz: said.rate_hz };
        assert!(compare(last.sound(), to_carol.sound()).unwrap().likeness > 0.9, "{protection}: passed on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_shows_another_certificate_than_was_named_is_hung_up_on_and_told_why() {
    let server = start("");
    let (right, wrong) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
    for lies in [true, false] {
        let named = if lies { wrong.fingerprint() } else { right.fingerprint() };
        let mut caller = Talker::new(&server.sip(), by_dtls(named), right.clone(), 1).await;
        caller.dial("echo").await;
        let shaken = caller.shake().await;
        if lies {
            // The far end's alert may reach us, or only its BYE.
            let _: Result<(), BadHandshake> = shaken;
            let bye = caller.until_asked(Duration::from_secs(20)).await;
            assert_eq!(bye.method.as_str(), "BYE");
            let reason = bye.headers.first("Reason").unwrap_or_default();
            assert!(reason.contains("the certificate is not the one of the fingerprint"), "{reason}");
            assert!(server.log().contains("the certificate that was shown is not the one of the fingerprint"));
        } else {
            shaken.unwrap();
            let heard = caller.say(LOW_HZ, Duration::from_secs(2)).await;
            assert!(is_heard(&heard, LOW_HZ), "an honest caller hears itself: {} samples", heard.len());
            caller.hang_up().await;
        }
    }
    Calls::of(&server).none().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_goes_on_when_a_call_moves_to_another_room_after_its_numbers_have_wrapped() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = String::new();
    for (number, wait) in [("move", "<Pause length=\"3\"/>"), ("attic", "")] {
        let page = folder.path().join(format!("{number}.xml"));
        let conference = "<Dial><Conference beep=\"false\" waitUrl=\"\">attic</Conference></Dial>";
        fs::write(&page, format!("<Response>{wait}{conference}</Response>")).unwrap();
        config += &format!("[[numbers]]\nnumber = \"{number}\"\nto = \"ivr:{}\"\n", page.display());
    }
    let server = start(&config);
    let certificate = Certificate::generate().unwrap();
    for capabilities in [by_description(), by_dtls(certificate.fingerprint())] {
        // Seventy packets until the wrap, which is passed in the menu's room.
        let mut moving = Talker::new(&server.sip(), capabilities, certificate.clone(), 65_466).await;
        moving.dial("move").await;
        if let Protection::Dtls { .. } = moving.agreed().protection {
            moving.shake().await.unwrap();
        }
        moving.say(LOW_HZ, Duration::from_secs(5)).await;
        let mut other = Talker::new(&server.sip(), plain(), certificate.clone(), 1).await;
        other.dial("attic").await;
        let both = tokio::join!(moving.say(LOW_HZ, Duration::from_secs(3)), other.say(HIGH_HZ, Duration::from_secs(3)));
        let what = &moving.agreed().protection;
        assert!(is_heard(&both.1, LOW_HZ), "who moved is not heard, {what:?}: {} samples", both.1.len());
        assert!(is_heard(&both.0, HIGH_HZ), "who moved does not hear, {what:?}: {} samples", both.0.len());
        moving.hang_up().await;
        other.hang_up().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_is_known_by_the_certificate_that_it_shows() {
    let ours = tls::Certificate::fresh();
    let (named, printed, other) = ("sbc.example.org", "edge.example.org", "else.example.org");
    let [named, printed, other] = [named, printed, other].map(tls::Certificate::of);
    let folder = tempfile::tempdir().unwrap();
    let partners = folder.path().join("partners.pem");
    fs::write(&partners, [&named, &printed, &other].map(tls::Certificate::pem).concat()).unwrap();
    let config = format!(
        "[[trunks]]\nname = \"by-name\"\nuri = \"sip:192.0.2.1\"\nkeepalive_s = 0\ncertificate = \"sbc.example.org\"\n\
         [[trunks]]\nname = \"by-print\"\nuri = \"sip:127.0.0.1\"\nkeepalive_s = 0\ncertificate = \"{}\"\n\
         [[numbers]]\nnumber = \"office\"\nto = \"echo\"\nfrom = [\"trunk:by-name\", \"trunk:by-print\"]\n",
        printed.fingerprint()
    );
    let optional = format!("{TRUSTED}tls_client_ca = {partners:?}\ntls_client_optional = true\n");
    let (telephone, certificate) = (Some(&*optional), Some(&ours));
    let server =
        Server::start(server::Options { config: &config, telephone, certificate, ..Default::default() }).unwrap();
    let calls = Calls::of(&server);
    let by_tls = server.sip_tls().parse().unwrap();
    for (shown, trunk) in
        [(Some(&named), Some("by-name")), (Some(&printed), Some("by-print")), (Some(&other), None), (None, None)]
    {
        let tunnel = ours.tunnel_as(by_tls, shown).await.to_string();
        let mut line = Line::to(&tunnel).await;
        let mut call = Ask::call("office");
        line.send(call.text("TLS", line.address()).as_bytes()).await;
        let answer = final_answer(&mut line).await;
        assert_eq!(answer.status, if trunk.is_some() { 200 } else { 404 }, "{trunk:?}");
        if let Some(trunk) = trunk {
            let all = calls.get("calls").await;
            let live = all["calls"].as_array().unwrap().iter().find(|call| call["ended_at"].is_null()).unwrap().clone();
            assert_eq!(live["trunk"], trunk, "{live}");
            call.to_tag = tag_of(&answer);
            for method in ["ACK", "BYE"] {
                let cseq = if method == "ACK" { 1 } else { 2 };
                let ask = Ask { cseq, ..call.next(method) };
                line.send(ask.text("TLS", line.address()).as_bytes()).await;
            }
            calls.none().await;
        }
    }
    // The trunk's own address is not enough where a certificate is named.
    let wire = Wire::at("127.0.0.1:0", &server.sip()).await;
    assert_eq!(wire.ask(&Ask::call("office")).await.status, 404);
    drop(server);
    // Where a certificate is demanded, nobody gets a word in without.
    let demanded = format!("{TRUSTED}tls_client_ca = {partners:?}\n");
    let telephone = Some(&*demanded);
    let server =
        Server::start(server::Options { config: &config, telephone, certificate, ..Default::default() }).unwrap();
    let tunnel = ours.tunnel_as(server.sip_tls().parse().unwrap(), None).await.to_string();
    let mut line = Line::to(&tunnel).await;
    line.send(Ask::call("office").text("TLS", line.address()).as_bytes()).await;
    assert_eq!(line.next(PATIENCE).await, Heard::Closed);
}

/// What somebody is told in the end.
async fn final_answer(line: &mut Line) -> Response {
    loop {
        match line.next(PATIENCE).await {
            Heard::Message(message) => match *message {
                Message::Response(response) if response.status >= 200 => return response,
                _ => {}
            },
            end => panic!("no answer came: {end:?}"),
        }
    }
}

fn start(config: &str) -> Server {
    let config = format!("[[numbers]]\nnumber = \"echo\"\nto = \"echo\"\n{config}");
    Server::start(server::Options { config: &config, telephone: Some(TRUSTED), ..server::Options::default() }).unwrap()
}

fn with_tls<'a>(certificate: &'a tls::Certificate, config: &'a str) -> server::Options<'a> {
    let certificate = Some(certificate);
    server::Options { config, certificate, telephone: Some(TRUSTED), ..server::Options::default() }
}

/// So many seconds of speech at that rate, if there is a telephone with these modules and a recording.
fn telephone_parts(modules: &[&str], seconds: usize, rate_hz: u32) -> Option<Vec<f32>> {
    let parts = Baresip::has(modules).and_then(|()| fixture::recording("audio/speech/jfk.wav"));
    let path = parts.map_err(|why| println!("{why}")).ok()?;
    let speech = fixture::wav_16k(&path);
    let speech = &speech[..speech.len().min(seconds * 16_000)];
    if rate_hz == 16_000 {
        return Some(speech.to_vec());
    }
    let mut resampler = media::dsp::resample::Resampler::new(16_000, rate_hz).unwrap();
    let mut says = Vec::new();
    resampler.process(speech, &mut says);
    resampler.flush(&mut says);
    Some(says)
}

/// What was said was heard, all of it, and as loud.
fn whole(said: &Sampled, heard: &Sampled, what: &str) {
    let hearing = compare(said.sound(), heard.sound()).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    println!("{what}: {:.0} ms late, likeness {:.3}, {:+.2} dB", hearing.delay_ms, hearing.likeness, hearing.level_db);
    assert!(hearing.likeness > 0.85 && hearing.level_db.abs() < 2.0, "{what}: {hearing:?}");
    assert!(standstill::explains(hearing.breaks().count()), "{what}: {hearing:?}");
}

/// The longest stretch within a sound in which there is next to nothing.
fn longest_silence_s(heard: &Sampled) -> f64 {
    let piece = heard.rate_hz as usize / 50;
    let is_silent = |piece: &[f32]| piece.iter().all(|sample| sample.abs() < 0.003);
    let (mut longest, mut run) = (0, 0);
    for piece in heard.samples.chunks(piece) {
        run = if is_silent(piece) { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    f64::from(longest) / 50.0
}
