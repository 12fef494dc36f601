//! The console in a real Chromium, against the real binary and real models: what a person sees is what counts.
//!
//! Pictures are kept under `target/artifacts/`. Each test has its own server and browser. Skipped where
//! Chromium, the models or the recordings are absent.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's helpers fail as it does, and say why it was skipped"
)]

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use tests::{
    chromium::{self, Chromium},
    fixture,
    server::{self, Server},
    wer::word_error_rate,
};

#[tokio::test]
async fn speech_at_the_microphone_becomes_words_that_never_retract() {
    let Some((browser, speech)) = parts("audio/speech/jfk.wav") else { return };
    let server = Server::start(server::Options::default()).unwrap();
    let options = chromium::Options { microphone: Some(&speech), ..Default::default() };
    let mut page = Chromium::start(&browser, options).await;
    page.resize(1280, 800, false).await;
    page.open(&server.base_url()).await;
    page.wait_for("document.querySelector('#engine').textContent.includes('Moonshine')", SOON).await;
    page.evaluate(WATCH_WORDS).await;

    page.click("#mic").await;
    page.wait_for("document.querySelectorAll('.word:not(.stable)').length > 0", HEARD_WITHIN).await;
    // Settled and unsettled words side by side.
    let both = "document.querySelectorAll('.line').length >= 1 && document.querySelector('.line.live .word.stable') \
                && document.querySelector('.line.live .word:not(.stable)')";
    page.wait_for(both, HEARD_WITHIN).await;
    page.screenshot(&artifact("console-live.png")).await;
    page.wait_for(
        "document.querySelectorAll('.line:not(.live) .word').length >= 20 && !document.querySelector('.line.live')",
        HEARD_WITHIN,
    )
    .await;

    let heard = page
        .evaluate("[...document.querySelectorAll('.line:not(.live) .said')].map((said) => said.textContent).join(' ')")
        .await;
    let wer = word_error_rate(JFK, heard.as_str().unwrap());
    println!("heard through the browser: {heard} (WER {:.1} %)", wer * 100.0);
    assert!(wer <= 0.2, "WER {wer:.2}: {heard}");

    let retracted = page.evaluate("window.watched.retracted").await;
    assert_eq!(retracted, Value::Array(Vec::new()), "settled words changed");
    let partials = page.evaluate("window.watched.partials").await;
    assert!(partials.as_u64().unwrap() >= 5, "only {partials} changes were seen before the final");
    let spoken = page.evaluate("document.querySelector('#spoken').textContent").await;
    assert!(spoken.as_str().unwrap().contains("country"), "a screen reader hears {spoken}");

    let partial_ms = latency_ms(&mut page, "#latency-partial").await;
    let final_ms = latency_ms(&mut page, "#latency-final").await;
    println!("ear to text in the browser: live words {partial_ms} ms, settled {final_ms} ms");
    assert!(partial_ms < 10_000 && final_ms < 10_000);
    assert_ne!(page.evaluate("document.querySelector('#meter').getAttribute('aria-valuenow')").await, "-60");
    assert_ne!(page.evaluate("document.querySelector('#sparkline .line').getAttribute('d')").await, "");

    page.click(".line .word").await;
    page.wait_for("document.querySelector('.times').textContent.includes('%')", SOON).await;
    page.screenshot(&artifact("console-final.png")).await;
    page.click("#mic").await;
    page.wait_for("document.querySelector('#mic').getAttribute('aria-pressed') === 'false'", SOON).await;
    assert_eq!(page.errors(), <[String; 0]>::default());
    page.close().await;
}

#[tokio::test]
async fn a_promise_in_a_dropped_recording_becomes_an_action_item_with_its_evidence() {
    let Some((browser, _)) = parts("audio/speech/jfk.wav") else { return };
    let Some(promise) = synthesised(
        "promise",
        "We decided to ship the new version in March. I will send the report to Peter by Friday.",
    ) else {
        return;
    };
    let server = Server::start(server::Options::default()).unwrap();
    let mut page = Chromium::start(&browser, chromium::Options { language: "de-DE", ..Default::default() }).await;
    page.resize(1280, 800, false).await;
    page.open(&server.base_url()).await;
    page.wait_for(
        "document.documentElement.lang === 'de' && document.body.innerText.includes('Sprechen und mitlesen.')",
        SOON,
    )
    .await;
    page.screenshot(&artifact("console-welcome-german.png")).await;

    page.choose_file("#file", &promise).await;
    page.wait_for("document.querySelectorAll('#actions .card').length > 0", HEARD_WITHIN).await;
    page.wait_for("document.querySelector('#progress').hidden", HEARD_WITHIN).await;
    let card = page.evaluate("document.querySelector('#actions .card').innerText").await;
    println!("action item: {card:?}");
    assert!(card.as_str().unwrap().to_lowercase().contains("report"), "{card}");
    page.wait_for("document.querySelector('#actions .chip.due').textContent.startsWith('bis Fr')", SOON).await;

    page.click("#actions .evidence-link").await;
    page.wait_for("document.querySelectorAll('.word.evidence').length > 3", SOON).await;
    let evidence = page
        .evaluate("[...document.querySelectorAll('.word.evidence')].map((word) => word.textContent).join(' ')")
        .await;
    assert!(evidence.as_str().unwrap().to_lowercase().contains("report"), "{evidence}");
    page.screenshot(&artifact("console-action-german.png")).await;

    page.click("#ui-en").await;
    page.wait_for("document.querySelector('#actions-head').innerText.startsWith('Action items')", SOON).await;
    page.wait_for("document.querySelector('#actions .chip.due').textContent.startsWith('due Fri')", SOON).await;

    page.resize(390, 844, true).await;
    assert_eq!(page.evaluate("document.documentElement.scrollWidth").await, 390, "a phone scrolls sideways");
    page.screenshot(&artifact("console-phone.png")).await;
    page.click("[data-go=notes]").await;
    page.wait_for("document.querySelector('#actions .card').getBoundingClientRect().height > 0", SOON).await;
    page.screenshot(&artifact("console-phone-notes.png")).await;
    page.prefer_dark(true).await;
    page.click("[data-go=conversation]").await;
    page.screenshot(&artifact("console-phone-dark.png")).await;

    let exported = page.evaluate(&exported("srt")).await;
    assert!(exported.as_str().unwrap().starts_with("1\n00:00:"), "{exported}");
    let exported: Value = serde_json::from_str(page.evaluate(&self::exported("json")).await.as_str().unwrap()).unwrap();
    assert_eq!(exported["action_items"].as_array().unwrap().len(), 1, "{exported}");
    assert_eq!(page.errors(), <[String; 0]>::default());
    page.close().await;
}

#[tokio::test]
async fn words_come_as_text_and_times_survive_a_lost_connection() {
    let Some((browser, speech)) = parts("audio/speech/jfk.wav") else { return };
    let server = Server::start(server::Options::default()).unwrap();
    let mut page = Chromium::start(&browser, chromium::Options::default()).await;
    page.open(&server.base_url()).await;
    page.evaluate(KEEP_SOCKETS).await;
    page.evaluate("document.querySelector('#name').value = '<img src=x onerror=window.harmed=1>'").await;
    page.choose_file("#file", &speech).await;
    page.wait_for("document.querySelectorAll('.word').length > 5", HEARD_WITHIN).await;

    // The event socket goes away in the middle; the page comes back by itself and misses nothing.
    page.evaluate("window.sockets.filter((one) => one.url.includes('/events')).forEach((one) => one.close())").await;
    page.wait_for(
        "window.sockets.filter((one) => one.url.includes('/events') && one.readyState === 1).length === 1",
        SOON,
    )
    .await;
    let since = page
        .evaluate(
            "new URL(window.sockets.findLast((one) => one.url.includes('/events')).url).searchParams.get('since')",
        )
        .await;
    assert!(since.as_str().unwrap().parse::<u64>().unwrap() > 0, "resumed from the beginning");
    page.wait_for("document.querySelector('#progress').hidden && !document.querySelector('.line.live') && document.querySelectorAll('.word').length >= 20", HEARD_WITHIN).await;
    let heard =
        page.evaluate("[...document.querySelectorAll('.said')].map((said) => said.textContent).join(' ')").await;
    assert!(word_error_rate(JFK, heard.as_str().unwrap()) <= 0.2, "{heard}");
    assert_eq!(page.evaluate("window.harmed ?? null").await, Value::Null);
    assert_eq!(page.evaluate("document.querySelectorAll('img').length").await, 0);
    assert_eq!(page.errors(), <[String; 0]>::default());
    page.close().await;
}

#[tokio::test]
async fn a_microphone_that_loses_its_connection_goes_on_without_losing_words() {
    let Some((browser, speech)) = parts("audio/speech/jfk.wav") else { return };
    let server = Server::start(server::Options::default()).unwrap();
    let options = chromium::Options { microphone: Some(&speech), ..Default::default() };
    let mut page = Chromium::start(&browser, options).await;
    page.open(&server.base_url()).await;
    page.wait_for("document.querySelector('#engine').textContent !== ''", SOON).await;
    page.evaluate(KEEP_SOCKETS).await;
    page.click("#mic").await;
    // The break falls into the pause after the first words.
    page.wait_for("document.querySelectorAll('.line:not(.live) .word').length >= 4", HEARD_WITHIN).await;
    page.evaluate("window.sockets.filter((one) => one.url.includes('/audio')).forEach((one) => one.close())").await;
    page.wait_for(
        "document.querySelectorAll('.word.stable').length >= 20 && !document.querySelector('.line.live')",
        HEARD_WITHIN,
    )
    .await;
    assert_eq!(page.evaluate("window.sockets.filter((one) => one.url.includes('/audio')).length").await, 2);
    let heard =
        page.evaluate("[...document.querySelectorAll('.said')].map((said) => said.textContent).join(' ')").await;
    assert!(word_error_rate(JFK, heard.as_str().unwrap()) <= 0.25, "{heard}");
    page.close().await;
}

#[tokio::test]
async fn a_full_server_says_so_instead_of_trying_for_ever() {
    let Some((browser, _)) = parts("audio/speech/jfk.wav") else { return };
    let server =
        Server::start(server::Options { config: "[limits]\nstreams_max = 1\n", ..Default::default() }).unwrap();
    let mut page = Chromium::start(&browser, chromium::Options::default()).await;
    page.open(&server.base_url()).await;
    page.wait_for("document.querySelector('#engine').textContent !== ''", SOON).await;
    page.evaluate(TAKE_A_PLACE).await;
    page.click("#mic").await;
    page.wait_for("document.querySelector('#notice').innerText.startsWith('The server is full')", SOON).await;
    page.wait_for("document.querySelector('#mic').getAttribute('aria-pressed') === 'false'", SOON).await;
    page.close().await;
}

#[tokio::test]
async fn a_refused_microphone_is_explained() {
    let Some((browser, _)) = parts("audio/speech/jfk.wav") else { return };
    let server = Server::start(server::Options::default()).unwrap();
    let options = chromium::Options { microphone_allowed: false, ..Default::default() };
    let mut page = Chromium::start(&browser, options).await;
    page.open(&server.base_url()).await;
    page.wait_for("document.querySelector('#engine').textContent !== ''", SOON).await;
    page.click("#mic").await;
    page.wait_for("!document.querySelector('#notice').hidden && document.querySelector('#notice').innerText.includes('Allow the microphone')", SOON).await;
    assert_eq!(page.evaluate("document.querySelector('#mic').getAttribute('aria-pressed')").await, "false");
    assert_eq!(
        page.evaluate("document.querySelectorAll('.room[data-room]').length").await,
        0,
        "a room was opened for nothing"
    );
    page.close().await;
}

#[tokio::test]
async fn a_server_without_models_names_the_command_that_brings_them() {
    let Ok(browser) = Chromium::installed().map_err(|why| println!("{why}")) else { return };
    let empty = tempfile::tempdir().unwrap();
    let env = vec![("HARMONY_MODELS_DIR", empty.path().to_str().unwrap())];
    let server = Server::start(server::Options { env, ..Default::default() }).unwrap();
    let mut page = Chromium::start(&browser, chromium::Options::default()).await;
    page.open(&server.base_url()).await;
    page.wait_for("document.querySelector('#notice-command').textContent.startsWith('harmony models fetch')", SOON)
        .await;
    page.screenshot(&artifact("console-no-models.png")).await;
    page.close().await;
}

#[tokio::test]
async fn a_server_with_keys_asks_for_one_and_forgets_it_with_the_tab() {
    let Some((browser, speech)) = parts("audio/speech/jfk.wav") else { return };
    let server = Server::start(server::Options {
        config: "[auth]\nkeys = [\"a-key-of-the-test-0123456789\"]\n",
        ..Default::default()
    })
    .unwrap();
    let mut page = Chromium::start(&browser, chromium::Options::default()).await;
    page.open(&server.base_url()).await;
    for key in ["wrong", "a-key-of-the-test-0123456789"] {
        page.wait_for("document.querySelector('#key-dialog').open", SOON).await;
        page.evaluate("document.querySelector('#key').focus()").await;
        page.type_text(key).await;
        page.click("#key-form .primary").await;
    }
    page.wait_for("!document.querySelector('#key-dialog').open", SOON).await;
    page.choose_file("#file", &speech).await;
    page.wait_for("document.querySelectorAll('.word.stable').length > 5", HEARD_WITHIN).await;
    assert_eq!(page.evaluate("Object.values(localStorage).join().includes('a-key-of')").await, false);
    page.close().await;
}

/// Notes every change of the words on the page: a settled word that changes or goes is kept as a retraction.
const WATCH_WORDS: &str = "
    window.watched = { partials: 0, retracted: [] };
    const settled = new Map();
    const look = () => {
        for (const line of document.querySelectorAll('.line')) {
            const words = [...line.querySelectorAll('.word.stable')].map((word) => word.textContent);
            const before = settled.get(line) ?? [];
            if (before.some((word, index) => words[index] !== word)) watched.retracted.push({ before, words });
            settled.set(line, words);
            if (line.classList.contains('live')) watched.partials += 1;
        }
        for (const [line, words] of settled) {
            if (!line.isConnected && words.length) watched.retracted.push({ gone: words });
        }
    };
    new MutationObserver(look).observe(document.querySelector('#lines'), { childList: true, subtree: true, characterData: true, attributes: true });
    null";

/// Keeps every socket that the page opens, so that the test can break one.
const KEEP_SOCKETS: &str = "
    window.sockets = [];
    window.WebSocket = class extends WebSocket {
        constructor(...with_all) { super(...with_all); window.sockets.push(this); }
    };
    null";

/// Opens a room and speaks into it, which takes a place until the page goes.
const TAKE_A_PLACE: &str = "
    fetch('/api/rooms', { method: 'POST' }).then((answer) => answer.json()).then(({ id }) => new Promise((resolve) => {
        window.taken = new WebSocket(`ws://${location.host}/api/rooms/${id}/audio?encoding=linear16`);
        window.taken.onmessage = () => resolve(null);
    }))";

/// An expression for the text of the file that an export hands to the browser.
fn exported(format: &str) -> String {
    format!(
        "new Promise((resolve) => {{ const make = URL.createObjectURL; \
         URL.createObjectURL = (blob) => {{ URL.createObjectURL = make; blob.text().then(resolve); return make.call(URL, blob); }}; \
         document.querySelector('[data-export={format}]').click(); }})"
    )
}

async fn latency_ms(page: &mut Chromium, of: &str) -> u64 {
    let shown = page.evaluate(&format!("document.querySelector('{of}').textContent")).await;
    let ms = shown.as_str().unwrap().strip_suffix(" ms").unwrap_or_else(|| panic!("{of} shows {shown}"));
    ms.parse().unwrap()
}

/// The browser and a recording, with models to hear it; `None` (said on stdout) when something is absent.
fn parts(recording: &str) -> Option<(PathBuf, PathBuf)> {
    let found = Chromium::installed().and_then(|browser| {
        fixture::model("moonshine-tiny-en")?;
        // A browser takes no path with `..` in it.
        let recording = fixture::recording(recording)?.canonicalize().map_err(|error| format!("skipped: {error}"))?;
        Ok((browser, recording))
    });
    found.map_err(|why| println!("{why}")).ok()
}

/// A sentence spoken by espeak-ng, as a WAV file.
fn synthesised(name: &str, text: &str) -> Option<PathBuf> {
    let wav = artifact(&format!("{name}.wav"));
    std::fs::create_dir_all(wav.parent().unwrap()).unwrap();
    let spoken = Command::new("espeak-ng").args(["-v", "en-us", "-s", "140", "-w"]).arg(&wav).arg(text).status();
    if !spoken.is_ok_and(|status| status.success()) {
        println!("skipped: espeak-ng is not installed");
        return None;
    }
    Some(wav.canonicalize().unwrap())
}

fn artifact(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/artifacts").join(name)
}

const JFK: &str =
    "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country.";

/// What the page does by itself; a loaded machine with two cores is slow to start a browser.
const SOON: Duration = Duration::from_secs(30);

/// Eleven seconds of speech, in real time, on a machine that does other things too.
const HEARD_WITHIN: Duration = Duration::from_secs(60);
