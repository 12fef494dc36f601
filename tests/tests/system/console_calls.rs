//! Calls through the console: real Chromiums in one room of the real server, and what each of them hears.
//!
//! Two people speak at once; each must hear the other and not themselves, and read both under their names.
//! Everything a person can do to a call is done by the page's own buttons. Skipped where Chromium, the models
//! or the recordings are absent.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{
    console_page::{
        HEARD_HZ, Person, SOON, artifact, ask, browser_or_skip, close_room, microphone, open_room, recognized,
        repeating_microphone,
    },
    listening::{Hearing, NotHeard, Sound, compare},
    server::{self, Server},
    standstill,
    wer::word_error_rate,
};

#[tokio::test]
async fn two_people_in_a_room_hear_each_other_and_read_both_under_their_names() {
    let Some(browser) = browser_or_skip() else { return };
    let Some((jfk, jfk_speech)) = microphone("ada", "audio/speech/jfk.wav", LEAD) else { return };
    let Some((novel, novel_speech)) = microphone("ben", NOVEL_WAV, LEAD) else { return };
    let server = Server::start(server::Options::default()).unwrap();
    let room = open_room(&server, json!({"title": "Two voices"})).await;
    let mut ada = Person::at(&server, &browser, "Ada", Some(&jfk)).await;
    let mut ben = Person::at(&server, &browser, "Ben", Some(&novel)).await;
    // A microphone's file begins with the call: both begin as near to each other as they can.
    for person in [&mut ada, &mut ben] {
        person.open(&room).await;
        person.ask_to_join().await;
    }
    for person in [&mut ada, &mut ben] {
        person.confirm_join().await;
        person.listen().await;
    }
    for person in [&mut ada, &mut ben] {
        person.page.wait_for("document.querySelectorAll('.person').length === 2", SOON).await;
        person.page.wait_for("document.querySelector('.person.speaking')", SPOKEN_WITHIN).await;
    }

    // Both have spoken when their words are settled: the last of each recording.
    for person in [&mut ada, &mut ben] {
        for last in ["country", "for them"] {
            let settled = format!(
                "[...document.querySelectorAll('.line:not(.live) .said')].some((said) => \
                 said.textContent.toLowerCase().replace(/[^a-z ]/g, '').trim().endsWith('{last}'))"
            );
            person.page.wait_for(&settled, SPOKEN_WITHIN).await;
        }
    }
    let by_ada = ada.heard().await;
    let by_ben = ben.heard().await;
    // Behind what is judged: a picture takes a browser long.
    ada.page.screenshot(&artifact("call-1440.png")).await;
    for (who, heard, said, text, own) in
        [("Ada", &by_ada, &novel_speech, NOVEL, &jfk_speech), ("Ben", &by_ben, &jfk_speech, JFK, &novel_speech)]
    {
        let hearing = hearing(said, heard).unwrap_or_else(|not| panic!("{who} did not hear the other: {not:?}"));
        println!("{who} heard: {hearing:?}");
        assert!(hearing.level_db.abs() <= 6.0, "{who} heard the other at {:.1} dB", hearing.level_db);
        assert!(standstill::explains(hearing.gaps.len()), "{who} heard gaps: {:?}", hearing.gaps);
        let words = recognized(who, heard);
        let wer = word_error_rate(text, &words);
        println!("{who} heard the words: {words} (WER {:.1} %)", wer * 100.0);
        assert!(wer <= 0.2, "WER {wer:.2}: {words}");
        let itself = self::hearing(own, heard);
        assert!(itself.is_err(), "{who} heard themselves: {itself:?}");
    }
    for person in [&mut ada, &mut ben] {
        for (speaker, text) in [("Ada", JFK), ("Ben", NOVEL)] {
            let words = person.words_of(speaker).await;
            let wer = word_error_rate(text, &words);
            println!("{speaker} on the page: {words} (WER {:.1} %)", wer * 100.0);
            assert!(wer <= 0.25, "{speaker}: WER {wer:.2}: {words}");
        }
    }

    ada.page.click("#tab-speed").await;
    ada.page.wait_for("document.querySelector('.stage-line[data-stage=asr_final]')", SOON).await;
    ada.page.wait_for("document.querySelector('.stage-line[data-stage=ear_to_text]')", SOON).await;
    ada.page.screenshot(&artifact("call-speed-1440.png")).await;
    ada.page.click("#tab-people").await;
    ada.page.resize(360, 740, true).await;
    assert_eq!(ada.page.evaluate("document.documentElement.scrollWidth").await, 360, "a phone scrolls sideways");
    ada.page.screenshot(&artifact("call-360.png")).await;
    ada.page.click("[data-go=notes]").await;
    ada.page.screenshot(&artifact("call-people-360.png")).await;
    ada.page.prefer_dark(true).await;
    ada.page.screenshot(&artifact("call-people-dark-360.png")).await;
    ada.page.resize(1440, 900, false).await;
    ada.page.screenshot(&artifact("call-dark-1440.png")).await;

    ada.page.click("#call-leave").await;
    ada.page.wait_for("document.querySelector('#call').hidden", SOON).await;
    ben.page.wait_for("document.querySelectorAll('.person').length === 1", SOON).await;
    // A page that goes away leaves, too.
    ben.page.open("about:blank#gone").await;
    wait_until(
        &mut ada,
        &format!("fetch('/api/rooms/{room}').then((a) => a.json()).then((r) => r.participants.length === 0)"),
    )
    .await;
    assert_eq!(ada.close().await, <[String; 0]>::default());
    assert_eq!(ben.close().await, <[String; 0]>::default());
}

#[tokio::test]
async fn a_muted_voice_is_not_sent_and_nobody_else_opens_a_microphone() {
    let Some(browser) = browser_or_skip() else { return };
    // Most of a minute each.
    let says = repeating_microphone("talker", "audio/speech/two_cities_16k.wav", Duration::from_secs(1), 3);
    let Some((speech, _)) = says else { return };
    let Some((quiet, _)) = microphone("quiet", NOVEL_WAV, Duration::from_secs(120)) else { return };
    let server = Server::start(server::Options::default()).unwrap();
    let room = open_room(&server, json!({"title": "Quiet please"})).await;
    let mut ada = Person::at(&server, &browser, "Ada", Some(&speech)).await;
    let mut ben = Person::at(&server, &browser, "Ben", Some(&quiet)).await;
    ben.open(&room).await;
    ben.join().await;
    ada.open(&room).await;
    ada.join().await;
    ben.listen().await;
    ben.page.wait_for("document.querySelector('.person.speaking')", SOON).await;
    ben.until_level(2.0, |dbfs| dbfs > -50.0, SOON, "before the mute").await;

    // By the keyboard, as everything in a call can be done.
    ada.page.evaluate("document.querySelector('#call-mute').focus()").await;
    ada.page.press("Enter").await;
    ada.page.wait_for("document.querySelector('#call-text').textContent.includes('you are muted')", SOON).await;
    ben.page.wait_for("document.querySelector('.person.muted')", SOON).await;
    ben.until_level(2.0, |dbfs| dbfs < -70.0, SOON, "a muted voice").await;
    let participant = &ask(&server, &format!("/api/rooms/{room}")).await["participants"][1];
    assert_eq!((&participant["name"], &participant["is_muted"]), (&json!("Ada"), &json!(true)), "{participant}");
    assert_eq!(participant["kind"], "webrtc");

    // Ben says that Ada may speak; Ada's microphone stays shut, and the server is told so again.
    ben.page.click("[data-participant=p2] .person-mute").await;
    ben.wait(Duration::from_secs(2)).await;
    assert!(ben.heard_lately_dbfs(1.0).await < -70.0);
    assert_eq!(ask(&server, &format!("/api/rooms/{room}")).await["participants"][1]["is_muted"], true);

    ada.page.click("#call-mute").await;
    ben.page.wait_for("!document.querySelector('.person.muted')", SOON).await;
    ben.until_level(2.0, |dbfs| dbfs > -50.0, SOON, "after the mute").await;

    // Muted by somebody else, and let go again by them.
    ben.page.click("[data-participant=p2] .person-mute").await;
    ada.page.wait_for("document.querySelector('#call-mute').getAttribute('aria-pressed') === 'true'", SOON).await;
    ben.page.wait_for("document.querySelector('.person.muted')", SOON).await;
    ben.page.click("[data-participant=p2] .person-mute").await;
    ada.page.wait_for("document.querySelector('#call-mute').getAttribute('aria-pressed') === 'false'", SOON).await;

    ben.page.click("[data-participant=p2] .person-remove").await;
    ada.page.wait_for("document.querySelector('#call').hidden", SOON).await;
    ada.page
        .wait_for("document.querySelector('#notice').innerText.includes('You were removed from the room')", SOON)
        .await;
    ben.page.wait_for("document.querySelectorAll('.person').length === 1", SOON).await;
    assert_eq!(ada.close().await, <[String; 0]>::default());
    assert_eq!(ben.close().await, <[String; 0]>::default());
}

#[tokio::test]
async fn a_call_whose_path_is_lost_comes_back_by_itself_muted_as_it_was() {
    let Some(browser) = browser_or_skip() else { return };
    let Some((speech, _)) = microphone("walker", "audio/speech/two_cities_16k.wav", Duration::ZERO) else { return };
    let server = Server::start(server::Options::default()).unwrap();
    let room = open_room(&server, json!({"title": "On the train"})).await;
    let mut ada = Person::at(&server, &browser, "Ada", Some(&speech)).await;
    ada.page.evaluate(KEEP_PEERS).await;
    ada.open(&room).await;
    ada.join().await;
    ada.page.click("#call-mute").await;
    ada.page.wait_for("document.querySelector('.person.muted')", SOON).await;
    ada.page.evaluate(LOSE_THE_PATH).await;
    ada.page
        .wait_for("window.peers.length === 2 && document.querySelector('#call').dataset.state === 'connected'", SOON)
        .await;
    ada.page
        .wait_for("document.querySelectorAll('.person').length === 1 && document.querySelector('.person.muted')", SOON)
        .await;
    // The page may show the one who came back before the server has parted with the one who was lost.
    wait_until(
        &mut ada,
        &format!("fetch('/api/rooms/{room}').then((a) => a.json()).then((r) => r.participants.length === 1)"),
    )
    .await;
    let participants = ask(&server, &format!("/api/rooms/{room}")).await["participants"].clone();
    assert_eq!((&participants[0]["name"], &participants[0]["is_muted"]), (&json!("Ada"), &json!(true)));
    assert_eq!(ada.page.evaluate("window.peers[1].getSenders()[0].track.enabled").await, false);

    // What the page asks about who came is answered by then.
    ada.wait(Duration::from_secs(4)).await;
    // The room goes away: the call says so and lets go of the microphone.
    close_room(&server, &room).await;
    ada.page.wait_for("document.querySelector('#call').hidden", SOON).await;
    ada.page.wait_for("document.querySelector('#notice').innerText.includes('The room was closed')", SOON).await;
    assert_eq!(
        ada.page.evaluate("window.peers[1].getSenders().length ? window.peers[1].connectionState : 'closed'").await,
        "closed"
    );
    assert_eq!(ada.close().await, <[String; 0]>::default());
}

#[tokio::test]
async fn a_call_without_a_microphone_is_refused_in_words_and_leaves_nothing_behind() {
    let Some(browser) = browser_or_skip() else { return };
    let server = Server::start(server::Options::default()).unwrap();
    let room = open_room(&server, json!({"title": "No entry"})).await;
    let options = tests::chromium::Options { microphone_allowed: false, language: "de-DE", ..Default::default() };
    let mut page = tests::chromium::Chromium::start(&browser, options).await;
    page.resize(1440, 900, false).await;
    page.open(&server.base_url()).await;
    page.wait_for(&format!("document.querySelector('[data-room={room}]')"), SOON).await;
    page.click(&format!("[data-room={room}]")).await;
    page.wait_for("!document.querySelector('#join').hidden", SOON).await;
    page.click("#join").await;
    page.wait_for("document.querySelector('#join-dialog').open", SOON).await;
    page.press("Enter").await;
    page.wait_for("document.querySelector('#notice').innerText.includes('Erlauben Sie')", SOON).await;
    assert_eq!(page.evaluate("document.querySelector('#call').hidden").await, true);
    assert_eq!(ask(&server, &format!("/api/rooms/{room}")).await["participants"], json!([]));
    assert_eq!(page.errors(), <[String; 0]>::default());
    page.close().await;
}

fn hearing(said: &[f32], heard: &[f32]) -> Result<Hearing, NotHeard> {
    compare(Sound { samples: said, rate_hz: HEARD_HZ }, Sound { samples: heard, rate_hz: HEARD_HZ })
}

/// Waits until a promise of the page gives true; it is asked for again and again.
async fn wait_until(person: &mut Person, promise: &str) {
    let watch = format!(
        "(async () => {{ const until = performance.now() + {}; while (performance.now() < until) {{ \
         if (await {promise}) return true; await new Promise((go) => setTimeout(go, 100)); }} return false; }})()",
        Duration::from_secs(20).as_millis()
    );
    assert_eq!(person.page.evaluate(&watch).await, Value::Bool(true), "waited for {promise}");
}

/// Keeps every peer connection that the page opens, so that the test can break one.
const KEEP_PEERS: &str = "
    window.peers = [];
    window.RTCPeerConnection = class extends RTCPeerConnection {
        constructor(...with_all) { super(...with_all); window.peers.push(this); }
    };
    null";

/// What a browser does when no packet comes through any more, without the half minute that it takes.
const LOSE_THE_PATH: &str = "
    Object.defineProperty(window.peers[0], 'connectionState', { get: () => 'failed' });
    window.peers[0].dispatchEvent(new Event('connectionstatechange'));
    null";

const JFK: &str =
    "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country.";

const NOVEL_WAV: &str = "audio/speech/sense_and_sensibility_01_austen_64kb-0870.wav";

const NOVEL: &str = "and mister john dashwood had then leisure to consider how much there might be prudently in his \
                     power to do for them";

/// Long enough for two browsers on a loaded machine to join one after the other.
const LEAD: Duration = Duration::from_secs(20);

/// The silence before, eleven seconds of speech in real time, and a machine that does other things too.
const SPOKEN_WITHIN: Duration = Duration::from_secs(90);
