//! Recordings, consent and played files through the console: a real Chromium and the real server.
//!
//! What a person does by the page's buttons is looked at where it counts: in what the player plays, in what
//! the room hears, and in what the server says. Skipped where Chromium, the models or the recordings are
//! absent.

use std::time::Duration;

use serde_json::json;
use tests::{
    chromium::{self, Chromium},
    console_page::{
        Person, SOON, artifact, ask, browser_or_skip, close_room, fetch, microphone, open_room, recognized,
        repeating_microphone,
    },
    fixture,
    server::{self, Server},
    wer::word_error_rate,
};

#[tokio::test]
async fn a_recording_is_begun_held_ended_played_saved_and_deleted_from_the_page() {
    let Some(browser) = browser_or_skip() else { return };
    let Some((speech, _)) = microphone("recorded", "audio/speech/two_cities_16k.wav", Duration::ZERO) else { return };
    let server = Server::start(server::Options::default()).unwrap();
    let room = open_room(&server, json!({"title": "On the record"})).await;
    let mut ada = Person::at(&server, &browser, "Ada", Some(&speech)).await;
    ada.open(&room).await;
    ada.join().await;
    ada.page.click("#tab-recordings").await;
    ada.page.wait_for("!document.querySelector('#record').hidden", SOON).await;
    ada.page.click("#record-start").await;
    ada.page.wait_for("document.querySelector('.recording').dataset.state === 'recording'", SOON).await;
    ada.page.wait_for("!document.querySelector('#recording-now').hidden", SOON).await;
    ada.wait(Duration::from_secs(5)).await;
    ada.page.screenshot(&artifact("recording-1440.png")).await;
    ada.page.click(".rec-pause").await;
    ada.page.wait_for("document.querySelector('.recording').dataset.state === 'paused'", SOON).await;
    ada.page.click(".rec-resume").await;
    ada.page.wait_for("document.querySelector('.recording').dataset.state === 'recording'", SOON).await;
    ada.page.click(".rec-stop").await;
    ada.page.wait_for("document.querySelector('.recording').dataset.state === 'finished'", SOON).await;
    ada.page.wait_for("document.querySelector('#recording-now').hidden", SOON).await;

    let tracks =
        ada.page.evaluate("[...document.querySelectorAll('.track-name')].map((name) => name.textContent).join()").await;
    assert_eq!(tracks, "Everybody,Ada");
    ada.page.click(".track-hear").await;
    ada.page.wait_for("document.querySelector('.track-player').currentTime > 0.5", SOON).await;
    let length_s = ada.page.evaluate("document.querySelector('.track-player').duration").await.as_f64().unwrap();
    assert!((4.0..60.0).contains(&length_s), "the player shows {length_s} s");
    // To the end by a range of its own, not by reading everything before it.
    ada.page.evaluate("document.querySelector('.track-player').currentTime = 3.5").await;
    ada.page.wait_for("document.querySelector('.track-player').currentTime > 3.7", SOON).await;
    let saved = ada
        .page
        .evaluate(
            "fetch(document.querySelector('.track-save').href).then((answer) => answer.arrayBuffer()) \
             .then((bytes) => [bytes.byteLength, String.fromCharCode(...new Uint8Array(bytes, 0, 4))])",
        )
        .await;
    assert!(saved[0].as_u64().unwrap() > 5_000 && saved[1] == "OggS", "{saved}");
    assert!(
        ada.page.evaluate("document.querySelector('.track-save').download").await.as_str().unwrap().ends_with(".ogg")
    );
    ada.page.screenshot(&artifact("recording-finished-1440.png")).await;

    // It outlives the room.
    ada.page.click("#call-leave").await;
    close_room(&server, &room).await;
    ada.page.open(&format!("{}/?again", server.base_url())).await;
    ada.page.click("#tab-recordings").await;
    ada.page.wait_for("document.querySelectorAll('.track-hear').length === 2", SOON).await;
    ada.page.click(".track-hear").await;
    ada.page.wait_for("document.querySelector('.track-player').currentTime > 0.2", SOON).await;

    ada.page.click(".rec-erase").await;
    ada.page.wait_for("document.querySelector('#confirm-dialog').open", SOON).await;
    ada.page.press("Escape").await;
    ada.page.wait_for("!document.querySelector('#confirm-dialog').open", SOON).await;
    assert_eq!(ask(&server, "/api/recordings").await["recordings"].as_array().unwrap().len(), 1);
    ada.page.click(".rec-erase").await;
    ada.page.wait_for("document.querySelector('#confirm-dialog').open", SOON).await;
    ada.page.click("#confirm-yes").await;
    ada.page.wait_for("!document.querySelector('.recording')", SOON).await;
    assert_eq!(ask(&server, "/api/recordings").await["recordings"], json!([]));
    assert_eq!(ada.close().await, <[String; 0]>::default());
}

#[tokio::test]
async fn a_room_that_demands_consent_asks_before_and_records_no_voice_that_said_no() {
    let Some(browser) = browser_or_skip() else { return };
    let says = repeating_microphone("asked", "audio/speech/two_cities_16k.wav", Duration::ZERO, 3);
    let Some((speech, _)) = says else { return };
    let server = Server::start(server::Options::default()).unwrap();
    let room = open_room(&server, json!({"title": "With consent", "consent": "required"})).await;
    let mut ada = Person::at(&server, &browser, "Ada", Some(&speech)).await;
    ada.open(&room).await;
    ada.ask_to_join().await;
    ada.page.screenshot(&artifact("consent-1440.png")).await;
    // Without an answer nobody joins.
    ada.page.click("#join-form [value=join]").await;
    assert_eq!(ada.page.evaluate("document.querySelector('#join-dialog').open").await, true);
    assert_eq!(ask(&server, &format!("/api/rooms/{room}")).await["participants"], json!([]));
    ada.page.click("[name=join-consent][value=no]").await;
    ada.confirm_join().await;
    assert_eq!(ask(&server, &format!("/api/rooms/{room}")).await["participants"][0]["consent"], false);
    ada.page.wait_for("document.querySelector('.person-state').textContent.includes('not recorded')", SOON).await;

    ada.page.click("#tab-recordings").await;
    ada.page.evaluate("document.querySelector('#record-format').value = 'wav'").await;
    ada.page.click("#record-start").await;
    ada.page.wait_for("document.querySelector('.recording').dataset.state === 'recording'", SOON).await;
    ada.wait(Duration::from_secs(4)).await;
    // From now on it may be.
    ada.page.click("#call-devices summary").await;
    ada.page.click("#call-agree").await;
    ada.page.click("#tab-people").await;
    ada.page.wait_for("!document.querySelector('.person-state').textContent.includes('not recorded')", SOON).await;
    ada.wait(Duration::from_secs(4)).await;
    ada.page.click("#tab-recordings").await;
    ada.page.click(".rec-stop").await;
    ada.page.wait_for("document.querySelector('.recording').dataset.state === 'finished'", SOON).await;

    let path = ada.page.evaluate("new URL(document.querySelector('.track-save').href).pathname").await;
    let mixed = fetch(&server, path.as_str().unwrap()).await;
    let mut wav = hound::WavReader::new(&mixed[..]).unwrap();
    let second = wav.spec().sample_rate as usize;
    let samples: Vec<f32> = wav.samples::<i16>().map(|sample| f32::from(sample.unwrap()) / 32_768.0).collect();
    let at = |from: usize, to: usize| media::dsp::level::rms_dbfs(&samples[from * second..to * second]);
    assert!(at(0, 3) < -90.0, "a voice that said no is on the recording at {} dBFS", at(0, 3));
    let whole = samples.len() / second;
    assert!(at(whole - 3, whole) > -50.0, "a voice that agreed is missing: {} dBFS", at(whole - 3, whole));
    assert_eq!(ada.close().await, <[String; 0]>::default());
}

#[tokio::test]
async fn a_file_that_is_played_is_heard_by_everybody_until_somebody_stops_it() {
    let Some(browser) = browser_or_skip() else { return };
    let Some((quiet, _)) = microphone("listener", NOVEL_WAV, Duration::from_secs(120)) else { return };
    let Ok(jfk) = fixture::recording("audio/speech/jfk.wav") else { return };
    let server = Server::start(server::Options::default()).unwrap();
    let room = open_room(&server, json!({"title": "Listen to this"})).await;
    let mut ben = Person::at(&server, &browser, "Ben", Some(&quiet)).await;
    ben.open(&room).await;
    ben.join().await;
    ben.listen().await;
    ben.page.choose_file("#play-file", &jfk.canonicalize().unwrap()).await;
    ben.page.wait_for("!document.querySelector('#play-now').hidden", SOON).await;
    ben.page.wait_for("document.querySelector('#play-text').textContent.includes('0:11')", SOON).await;
    ben.page.wait_for("document.querySelector('#play-now').hidden", SOON).await;
    let words = recognized("played", &ben.heard().await);
    let wer = word_error_rate(JFK, &words);
    println!("the room heard: {words} (WER {:.1} %)", wer * 100.0);
    assert!(wer <= 0.2, "WER {wer:.2}: {words}");

    ben.page.choose_file("#play-file", &jfk.canonicalize().unwrap()).await;
    ben.page.wait_for("!document.querySelector('#play-now').hidden", SOON).await;
    ben.wait(Duration::from_secs(2)).await;
    ben.page.click("#play-stop").await;
    ben.page.wait_for("document.querySelector('#play-now').hidden", SOON).await;
    // Sooner than it would have come to its end by itself.
    ben.until_level(1.0, |dbfs| dbfs < -60.0, Duration::from_secs(6), "what was stopped").await;
    assert_eq!(ben.close().await, <[String; 0]>::default());
}

#[tokio::test]
async fn with_a_key_a_call_is_made_and_its_recording_is_played_all_the_same() {
    let Some(browser) = browser_or_skip() else { return };
    let Some((speech, _)) = microphone("keyed", "audio/speech/two_cities_16k.wav", Duration::ZERO) else { return };
    let server = Server::start(server::Options {
        config: "[auth]\nkeys = [\"a-key-of-the-test-0123456789\"]\n",
        ..Default::default()
    })
    .unwrap();
    let options = chromium::Options { microphone: Some(&speech), ..Default::default() };
    let mut page = Chromium::start(&browser, options).await;
    page.resize(1440, 900, false).await;
    page.open(&server.base_url()).await;
    page.wait_for("document.querySelector('#key-dialog').open", SOON).await;
    page.evaluate("document.querySelector('#key').focus()").await;
    page.type_text("a-key-of-the-test-0123456789").await;
    page.press("Enter").await;
    page.wait_for("!document.querySelector('#key-dialog').open", SOON).await;
    // A call without a room opens one.
    page.wait_for("!document.querySelector('#join').hidden", SOON).await;
    page.click("#join").await;
    page.wait_for("document.querySelector('#join-dialog').open", SOON).await;
    page.press("Enter").await;
    page.wait_for("document.querySelector('#call').dataset.state === 'connected'", SOON).await;
    page.wait_for("document.querySelector('.person-level').value > 10", SOON).await;
    page.click("#tab-recordings").await;
    page.click("#record-start").await;
    page.wait_for("document.querySelector('.recording').dataset.state === 'recording'", SOON).await;
    page.evaluate("new Promise((go) => setTimeout(go, 3000))").await;
    page.click(".rec-stop").await;
    page.wait_for("document.querySelector('.recording').dataset.state === 'finished'", SOON).await;
    page.click(".track-hear").await;
    page.wait_for("document.querySelector('.track-player').currentTime > 0.5", SOON).await;
    assert_eq!(page.evaluate("document.querySelector('.track-player').src.startsWith('blob:')").await, true);
    page.click("#call-leave").await;
    page.wait_for("document.querySelector('#call').hidden", SOON).await;
    // The first answers were refusals, which a browser calls errors; nothing else went wrong.
    let others: Vec<&String> = page.errors().iter().filter(|error| !error.contains("401")).collect();
    assert_eq!(others, <[&String; 0]>::default());
    page.close().await;
}

const NOVEL_WAV: &str = "audio/speech/sense_and_sensibility_01_austen_64kb-0870.wav";

const JFK: &str =
    "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country.";
