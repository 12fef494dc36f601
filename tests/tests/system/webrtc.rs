//! Callers over WebRTC against the whole server in this process: real sockets, real ICE, DTLS and SRTP.
//!
//! What is heard is compared with what was said, sample against sample. Times are real, since sockets are; where
//! the server waits for somebody who never comes, the test sets how long.

use std::time::{Duration, Instant};

use media::dsp::resample::Resampler;
use server::config::Config;
use tests::{
    clients,
    listening::{Hearing, Sound, compare},
    scripted::Local,
    server::{Options, Server},
    sounds, standstill,
    webrtc_caller::{
        Caller, Heard, RATE_HZ, Wants,
        line::{self, Line},
    },
};
use tokio::{net::UdpSocket, time};

const LISTENER: Wants = Wants { speaks: false, listens: true, has_channel: true };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_is_heard_whole_soon_and_as_loud_as_it_was_said() {
    let local = Local::deaf(Config::default()).await;
    let caller = call(&local, "/whip/echo").await;
    let said = voice(6.0, 7);
    caller.speak(&said).await;
    caller.speak(&[0.0; 24_000]).await;
    let (heard, hearing) = (caller.heard(), hearing(&said, &caller.heard()));
    println!("an echo comes back {:.1} ms after it was sent, {hearing:?}", hearing.delay_ms + heard.first_at_ms);
    let broken = heard.missing.max(hearing.gaps.len()).max(hearing.clicks_s.len());
    assert!(standstill::explains(broken), "{} packets are missing: {hearing:?}", heard.missing);
    assert!(hearing.level_db.abs() < 1.5 && hearing.likeness > 0.7, "{hearing:?}");
    // 35 ms on an idle machine; here others work too, and a jitter buffer grows to 400 ms.
    assert!(hearing.delay_ms + heard.first_at_ms < 450.0, "{hearing:?}");
    assert_eq!(caller.hang_up().await, 200);
    caller.lost().await;
    assert_eq!(local.app.webrtc().taken(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_callers_hear_each_other_and_not_themselves_and_a_muted_one_is_not_heard() {
    let local = Local::deaf(Config::default()).await;
    let mut ada = call(&local, "/whip/kitchen?name=Ada&consent=true").await;
    let mut ben = call(&local, "/whip/kitchen?name=Ben").await;
    let listener = Caller::call(&format!("{}/whep/kitchen", local.base_url()), LISTENER).await.unwrap();
    listener.connected().await;
    let ready = ada.texts_until("ready").await.pop().unwrap();
    assert_eq!((&ready["room"], &ready["is_transcribed"]), (&"r1".into(), &false.into()));
    ben.texts_until("ready").await;
    let joined = ben.texts_until("participant.joined").await;
    assert_eq!(joined.last().unwrap()["kind"], "webrtc", "{joined:?}");

    let (adas, bens) = (voice(4.0, 3), voice(4.0, 11));
    tokio::join!(ada.speak(&adas), ben.speak(&bens));
    tokio::join!(ada.speak(&[0.0; 24_000]), ben.speak(&[0.0; 24_000]));
    for (said, other, heard) in [(&bens, &adas, ada.heard()), (&adas, &bens, ben.heard())] {
        let hearing = hearing(said, &heard);
        println!("{:.1} ms on the way, {hearing:?}", hearing.delay_ms + heard.first_at_ms);
        assert!(standstill::explains(hearing.gaps.len()) && hearing.level_db.abs() < 1.5, "{hearing:?}");
        assert!(sounds_like(other, &heard).is_none_or(|own| own.level_db < -30.0), "nobody hears themselves");
    }
    let listened = loudest(&listener.heard().samples);
    assert!(listened > 0.1, "a listener hears the room: {listened}");

    ada.tell(r#"{"type":"mute","is_muted":true}"#).await;
    let updated = ben.texts_until("participant.updated").await;
    assert_eq!(updated.last().unwrap()["is_muted"], true);
    ben.forget();
    tokio::join!(ada.speak(&adas), ben.speak(&[0.0; 96_000]));
    let muted = loudest(&ben.heard().samples);
    assert!(muted < 0.01, "a muted caller is heard: {muted}");
    // And is again: it was not the line that was silent.
    ada.tell(r#"{"type":"mute","is_muted":false}"#).await;
    ben.texts_until("participant.updated").await;
    tokio::join!(ada.speak(&adas), ben.speak(&[0.0; 96_000]));
    let back = loudest(&ben.heard().samples);
    assert!(back > 0.1, "a caller who is muted no more is heard: {back}");
    ada.tell("nonsense").await;
    assert_eq!(ada.texts_until("error").await.last().unwrap()["code"], "bad_command");

    let room = local.app.rooms().list().pop().unwrap();
    assert_eq!(room.read(|room| room.participants().len()), 3);
    drop(ada);
    ben.texts_until("participant.left").await;
    room.close().await;
    assert_eq!(ben.texts_until("ended").await.last().unwrap()["why"], "RoomClosed");
    ben.lost().await;
}

fn loudest(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |loudest, sample| loudest.max(sample.abs()))
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_with_its_reason() {
    let local = Local::deaf(config("max_peers = 2")).await;
    let http = reqwest::Client::new();
    let base = local.base_url();
    let offer = offer(Wants::ALL);
    let without_opus = offer.replace("opus/48000/2", "speex/32000");
    let muddled = offer.replace("a=ice-pwd", "a=ice-xxx");
    let listener = self::offer(LISTENER);
    let publisher = self::offer(Wants { speaks: true, listens: false, has_channel: false });
    let sdp = "application/sdp";
    for (path, kind, body, status, code) in [
        ("/whip/echo", "application/json", &offer, 415, "not_sdp"),
        ("/whip/echo", sdp, &"nonsense".to_owned(), 400, "bad_sdp"),
        ("/whip/echo", sdp, &muddled, 400, "bad_sdp"),
        ("/whip/echo", sdp, &"v=0\r\n".repeat(20_000), 413, "too_large"),
        ("/whip/echo", sdp, &without_opus, 406, "codec_not_offered"),
        ("/whip/echo", sdp, &listener, 406, "one_way"),
        ("/whep/kitchen", sdp, &publisher, 406, "not_listening"),
        ("/whip/r77", sdp, &offer, 404, "not_found"),
        ("/whip/no%20name", sdp, &offer, 404, "not_found"),
    ] {
        let response = http.post(format!("{base}{path}")).header("content-type", kind).body(body.clone());
        let response = response.send().await.unwrap();
        assert_eq!(response.status(), status, "{path} {code}");
        let body: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(body["error"]["code"], code);
        if code == "codec_not_offered" {
            assert!(body["error"]["message"].as_str().unwrap().contains("speex/32000"), "{body}");
        }
    }
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let status = http.request(method.parse().unwrap(), format!("{base}/whip/echo")).send().await.unwrap().status();
        assert_eq!(status, 405, "{method}");
    }
    // The places: two callers hold them, the third is told when to come back.
    let post = || http.post(format!("{base}/whip/echo")).header("content-type", sdp).body(offer.clone()).send();
    assert_eq!(
        (post().await.unwrap().status(), post().await.unwrap().status()),
        (201.try_into().unwrap(), 201.try_into().unwrap())
    );
    let full = post().await.unwrap();
    assert_eq!(full.status(), 503);
    assert!(full.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn a_session_takes_candidates_until_it_is_over_and_nothing_else() {
    let text = "stun = [\"stun:127.0.0.1:9\"]\nturn = [{url = \"turn:turn.example.org\", username = \"u\", credential = \"c\"}]";
    let local = Local::deaf(config(text)).await;
    let http = reqwest::Client::new();
    let endpoint = format!("{}/whip/echo", local.base_url());
    let options = http.request(reqwest::Method::OPTIONS, &endpoint).send().await.unwrap();
    assert_eq!(
        (options.status().as_u16(), &options.headers()["accept-post"]),
        (204, &"application/sdp".parse().unwrap())
    );
    let answered = http.post(&endpoint).header("content-type", "application/sdp").body(offer(Wants::ALL));
    let answered = answered.send().await.unwrap();
    assert_eq!(answered.status(), 201);
    let headers = answered.headers().clone();
    assert_eq!(headers["content-type"], "application/sdp");
    let links: Vec<_> = headers.get_all("link").iter().filter_map(|link| link.to_str().ok()).collect();
    assert_eq!(links.len(), 2, "{links:?}");
    assert!(links.iter().all(|link| link.contains("rel=\"ice-server\"")));
    let session = format!("{}{}", local.base_url(), headers["location"].to_str().unwrap());
    let etag = headers["etag"].to_str().unwrap();
    for method in ["GET", "HEAD", "PUT", "POST"] {
        let status = http.request(method.parse().unwrap(), &session).send().await.unwrap().status();
        assert_eq!(status, 405, "{method}");
    }
    let fragment =
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=candidate:1 1 udp 2122260223 127.0.0.1 9 typ host\r\n";
    let restart = format!("a=ice-ufrag:another\r\n{fragment}");
    let patch = |kind: &'static str, tag: Option<&str>, body: &str| {
        let request = http.patch(&session).header("content-type", kind).body(body.to_owned());
        match tag {
            Some(tag) => request.header("if-match", tag),
            None => request,
        }
        .send()
    };
    let trickle = "application/trickle-ice-sdpfrag";
    for (kind, tag, body, status) in [
        ("application/sdp", Some(etag), fragment, 415),
        (trickle, None, fragment, 428),
        (trickle, Some("\"other\""), fragment, 412),
        (trickle, Some(etag), "{}", 400),
        (trickle, Some(etag), &restart, 422),
        (trickle, Some(etag), fragment, 204),
        (trickle, Some(etag), "a=end-of-candidates\r\n", 204),
    ] {
        assert_eq!(patch(kind, tag, body).await.unwrap().status(), status, "{kind} {tag:?} {body}");
    }
    let elsewhere = session.replace("/whip/echo/", "/whip/kitchen/");
    assert_eq!(http.delete(&elsewhere).send().await.unwrap().status(), 404, "a session is at its own endpoint only");
    assert_eq!(http.delete(&session).send().await.unwrap().status(), 200);
    assert_eq!(patch(trickle, Some(etag), fragment).await.unwrap().status(), 404, "trickle after the end");
    assert_eq!(http.delete(&session).send().await.unwrap().status(), 404);
    assert_eq!(local.app.webrtc().taken(), 0);
}

#[tokio::test]
async fn a_server_with_keys_answers_nobody_without_one() {
    let config = Config::parse("test.toml".as_ref(), "[auth]\nkeys = [\"let-me-in\"]", []).unwrap();
    let local = Local::deaf(config).await;
    let url = format!("{}/whip/echo", local.base_url());
    let Err(refused) = Caller::call(&url, Wants::ALL).await else { panic!("let in without a key") };
    assert_eq!(refused.status, 401);
    let caller = Caller::call_with_key(&url, Wants::ALL, Some("let-me-in")).await.unwrap();
    let status = reqwest::Client::new().delete(caller.location()).send().await.unwrap().status();
    assert_eq!(status, 401, "whoever has no key ends nobody's call");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_and_broken_datagrams_are_neither_heard_nor_answered_and_no_gap_is_heard() {
    let local = Local::deaf(Config::default()).await;
    let caller = call(&local, "/whip/echo").await;
    let port = caller.server_port();
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let said = voice(3.0, 5);
    let flood = async {
        let mut seed = 1_u32;
        for number in 0..3_000_u32 {
            let mut datagram: Vec<u8> = (0..number % 400)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect();
            if let Some(first) = datagram.first_mut() {
                // STUN, DTLS, RTP and what is nothing, in turn (RFC 7983).
                *first = [0, 22, 128, *first][number as usize % 4];
            }
            let _ = stranger.send_to(&datagram, ("127.0.0.1", port)).await;
            if number % 10 == 0 {
                time::sleep_until(time::Instant::now() + Duration::from_millis(8)).await;
            }
        }
    };
    tokio::join!(flood, caller.speak(&said));
    caller.speak(&[0.0; 24_000]).await;
    let hearing = hearing(&said, &caller.heard());
    println!("under 1,200 broken datagrams a second: {hearing:?}");
    assert!(standstill::explains(hearing.gaps.len()) && hearing.level_db.abs() < 1.5, "{hearing:?}");
    let mut datagram = [0; 100];
    assert!(stranger.try_recv_from(&mut datagram).is_err(), "a stranger was answered");
}

#[tokio::test]
async fn callers_who_never_come_are_freed_in_time() {
    let many = number("HARMONY_WEBRTC_CALLERS", 200);
    let local = Local::deaf(config(&format!("setup_s = 2\nmax_peers = {many}"))).await;
    let http = reqwest::Client::new();
    let (fds, offer, began) = (open_files(), offer(Wants::ALL), now());
    for number in 0..many {
        let path = if number % 2 == 0 { "/whip/echo" } else { "/whip/kitchen" };
        let request = http.post(format!("{}{path}", local.base_url())).header("content-type", "application/sdp");
        let status = request.body(offer.clone()).send().await.unwrap().status();
        // The first are gone already when it takes longer than they are waited for.
        assert_eq!(status, 201, "caller {number}");
    }
    let answered = began.elapsed();
    let taken = local.app.webrtc().taken();
    freed(&local, Duration::from_secs(20)).await;
    drop(http);
    println!(
        "{many} callers answered in {answered:.1?}, {taken} held a place then; none after {:.1?}; {fds} files open before, {} after",
        began.elapsed(),
        open_files()
    );
    assert!(open_files() <= fds + 20, "{} files stay open", open_files());
    assert_eq!(
        local.app.rooms().list().iter().map(|room| room.read(|room| room.participants().len())).sum::<usize>(),
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_who_vanish_leave_nothing_behind() {
    let cycles = number("HARMONY_WEBRTC_CYCLES", 20);
    let at_once = 10;
    let local = Local::deaf(config("gone_s = 1")).await;
    let mut measured = Vec::new();
    for _ in 0..cycles.div_ceil(at_once) {
        let mut callers = Vec::new();
        for number in 0..at_once {
            callers.push(call(&local, if number % 2 == 0 { "/whip/echo" } else { "/whip/kitchen" }).await);
        }
        tokio::join!(callers[0].speak(&[0.1; 9_600]), callers[1].speak(&[0.1; 9_600]));
        for caller in callers {
            caller.vanish().await;
        }
        // Five seconds until they count as disconnected, one more as it is set; the rest is for a slow machine.
        freed(&local, Duration::from_secs(30)).await;
        measured.push((open_files(), resident_kib()));
    }
    println!("files open and KiB resident after each {at_once} callers: {measured:?}");
    let (first, last) = (measured[0], measured[measured.len() - 1]);
    assert!(last.0 <= first.0 + 4, "{measured:?}");
    assert!(last.1 <= first.1 + 16 * 1_024, "{measured:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_implementation_hears_its_own_words_and_reads_its_reports() {
    let local = Local::deaf(Config::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (said, said_path, heard_path) = (voice(6.0, 9), path("said.wav"), path("heard.wav"));
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(&said_path, spec).unwrap();
    said.iter().for_each(|sample| file.write_sample((sample * 32_767.0) as i16).unwrap());
    file.finalize().unwrap();
    let url = format!("{}/whip/echo", local.base_url());
    let heard = heard_path.clone();
    let report = tokio::task::spawn_blocking(move || clients::python("aiortc_client.py", &[&url, &said_path, &heard]));
    let Some(report) = report.await.unwrap() else { return };
    println!("{report}");
    assert_eq!(report["status"], 201);
    let lost = report["lost"].as_u64().expect("its report tells of losses");
    assert!(standstill::explains(lost as usize), "{lost} packets were lost");
    assert!(report["states"].as_array().unwrap().contains(&"connected".into()), "{report}");
    assert_eq!(report["reports"], 1, "our report on what it sent was read");
    let heard: Vec<f32> = hound::WavReader::open(heard_path)
        .unwrap()
        .samples::<i16>()
        .map(|s| f32::from(s.unwrap()) / 32_768.0)
        .collect();
    let hearing =
        compare(Sound { samples: &said, rate_hz: RATE_HZ }, Sound { samples: &heard, rate_hz: RATE_HZ }).unwrap();
    println!("{hearing:?}");
    assert!(standstill::explains(hearing.gaps.len()) && hearing.level_db.abs() < 1.5, "{hearing:?}");
    freed(&local, Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_callers_at_once_hear_themselves_without_a_gap() {
    let Ok(server) = Server::start(Options::default()) else { panic!("the server does not start") };
    let count = number("HARMONY_WEBRTC_LOAD", 4);
    server::models::tls::install();
    let mut callers = Vec::new();
    for _ in 0..count {
        let caller = Caller::call(&format!("{}/whip/echo", server.base_url()), Wants::ALL).await.unwrap();
        caller.connected().await;
        callers.push(caller);
    }
    let seconds = number("HARMONY_WEBRTC_SECONDS", 5);
    let said = voice(seconds as f64, 1);
    let before = processor_ms(server.process_id());
    futures_util::future::join_all(callers.iter().map(|caller| caller.speak(&said))).await;
    let share = (processor_ms(server.process_id()) - before) as f64 / (seconds * 1_000 * count) as f64;
    println!("{count} echoes cost the server {:.2} % of a core each", share * 100.0);
    callers[0].speak(&[0.0; 24_000]).await;
    let mut round_trips_ms = Vec::new();
    for caller in &callers {
        let (heard, hearing) = (caller.heard(), hearing(&said, &caller.heard()));
        assert!(standstill::explains(hearing.gaps.len()), "{hearing:?}");
        round_trips_ms.push(hearing.delay_ms + heard.first_at_ms);
    }
    round_trips_ms.sort_by(f64::total_cmp);
    println!("round trips on the wire, both codecs' lookahead included: {round_trips_ms:.1?} ms");
}

/// What a process took of all cores so far.
fn processor_ms(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let ticks = |field: usize| after_name.split(' ').nth(field).unwrap().parse::<u64>().unwrap();
    // In hundredths of a second, on every Linux.
    (ticks(11) + ticks(12)) * 10
}

async fn call(local: &Local, path: &str) -> Caller {
    let caller = Caller::call(&format!("{}{path}", local.base_url()), Wants::ALL).await.unwrap();
    caller.connected().await;
    caller
}

fn offer(wants: Wants) -> String {
    Line::offer(now(), ([127, 0, 0, 1], 9).into(), wants).1
}

#[expect(clippy::disallowed_methods, reason = "callers live in real time")]
fn now() -> Instant {
    Instant::now()
}

fn config(webrtc: &str) -> Config {
    Config::parse("test.toml".as_ref(), &format!("[webrtc]\n{webrtc}\n"), []).unwrap()
}

fn voice(seconds: f64, seed: u64) -> Vec<f32> {
    let voice = sounds::voice(seconds, seed);
    let mut resampler = Resampler::new(sounds::VOICE_HZ, RATE_HZ).unwrap();
    let mut samples = Vec::new();
    resampler.process(&voice, &mut samples);
    resampler.flush(&mut samples);
    samples
}

fn sounds_like(said: &[f32], heard: &Heard) -> Option<Hearing> {
    let heard = Sound { samples: &heard.samples, rate_hz: RATE_HZ };
    compare(Sound { samples: said, rate_hz: RATE_HZ }, heard).ok()
}

fn hearing(said: &[f32], heard: &Heard) -> Hearing {
    sounds_like(said, heard).unwrap_or_else(|| panic!("not heard in {} packets", heard.packets))
}

/// Waits until no caller holds a place.
async fn freed(local: &Local, patience: Duration) {
    let look = async {
        let mut every = time::interval(Duration::from_millis(50));
        while local.app.webrtc().taken() > 0 {
            every.tick().await;
        }
    };
    let held = || local.app.webrtc().taken();
    assert!(time::timeout(patience, look).await.is_ok(), "{} callers still hold a place", held());
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn resident_kib() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4
}

#[test]
fn the_kits_caller_offers_what_the_tests_change() {
    let offer = offer(Wants::ALL);
    assert!(offer.contains("opus/48000/2") && offer.contains("a=ice-pwd"), "{offer}");
    assert_eq!(line::OPUS, 111);
}
