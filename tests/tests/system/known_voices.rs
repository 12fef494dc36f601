//! Known voices on a real server and with the real command: enrolled once, shown without their print, erased for good.
//!
//! Needs the voice model and the recordings of `../shared`; without, the test says so. Nothing here takes its time.

use std::{
    fs,
    io::Cursor,
    path::Path,
    process::{Command, Output},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    fixture,
    server::{self, Options, Server},
};

#[tokio::test]
async fn somebody_is_known_until_they_are_erased_and_their_print_is_shown_to_nobody() {
    let Some((models, recording)) = found() else { return };
    let models_dir = models.path().display().to_string();
    let options = Options { env: vec![("HARMONY_MODELS_DIR", models_dir.as_str())], ..Options::default() };
    let server = Server::start(options).expect("it starts");
    ::server::models::tls::install();
    let client = Client::new();
    let url = format!("{}/api/speakers", server.base_url());
    let add = |name: &str, consent: &str, wav: &[u8]| {
        let audio = format!("data:audio/wav;base64,{}", STANDARD.encode(wav));
        client.post(&url).json(&json!({"name": name, "consent": consent, "audio": audio})).send()
    };

    let refused = add("John", "", &recording).await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "nobody's voice is kept without their consent");
    let refused = add("Nobody", "signed", &silence()).await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let refused: Value = refused.json().await.expect("JSON");
    assert!(refused["error"]["message"].as_str().is_some_and(|said| said.contains("nobody speaks")), "{refused}");

    let added = add("John", "signed on paper", &recording).await.expect("an answer");
    assert_eq!(added.status(), StatusCode::CREATED);
    let added: Value = added.json().await.expect("JSON");
    assert_eq!((&added["name"], &added["is_used"]), (&json!("John"), &json!(true)), "{added}");
    assert_eq!(added["consent"]["how"], "signed on paper");
    let id = added["id"].as_str().expect("an id");
    let file = server.data_dir().join(format!("speakers/{id}.json"));
    let kept: Value = serde_json::from_slice(&fs::read(&file).expect("a file of their own")).expect("JSON");
    assert_eq!(kept["print"]["voice"].as_array().map(Vec::len), Some(256));

    let listed: Value = client.get(&url).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(listed, json!({"model": "resemblyzer-ge2e", "speakers": [added], "damaged": []}));
    let by_command = speakers(&server, models.path(), &["list", "--json"]);
    let by_command: Value = serde_json::from_slice(&by_command.stdout).expect("JSON");
    assert_eq!(by_command, listed, "the command sees what the server sees");

    let path = recording_path();
    let written = harmony(&server, models.path(), &["transcribe", "--known", "--format", "json", &path]);
    let written: Value = serde_json::from_slice(&written.stdout).expect("JSON");
    assert_eq!(written["speakers"][0]["id"], "John", "{}", written["speakers"]);
    assert!(written["segments"].as_array().is_some_and(|parts| parts.iter().any(|part| part["speaker"] == "John")));

    let erased = speakers(&server, models.path(), &["erase", id]);
    assert!(erased.status.success(), "{}", String::from_utf8_lossy(&erased.stderr));
    assert!(!file.exists());
    let listed: Value = client.get(&url).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(listed["speakers"], json!([]), "the server knows nobody who was erased beside it");
    let again = client.delete(format!("{url}/{id}")).send().await.expect("an answer");
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
    assert!(!server.log().contains("John"), "no name is in the log");
}

/// A folder of models with the one that tells voices apart, and somebody speaking.
fn found() -> Option<(TempDir, Vec<u8>)> {
    let models = fixture::models_with_voices().map_err(|why| println!("{why}")).ok()?;
    let file = fixture::recording(RECORDING).map_err(|why| println!("{why}")).ok()?;
    Some((models, fs::read(file).expect("the recording was found")))
}

/// Eleven seconds of one man.
const RECORDING: &str = "audio/speech/jfk.wav";

fn recording_path() -> String {
    fixture::recording(RECORDING).expect("it was found").display().to_string()
}

/// Ten seconds of it, as a WAV file.
fn silence() -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("a WAV file");
    (0..160_000).for_each(|_| writer.write_sample(0_i16).expect("a sample"));
    writer.finalize().expect("a WAV file");
    bytes.into_inner()
}

/// `harmony speakers` on the server's folder.
fn speakers(server: &Server, models: &Path, arguments: &[&str]) -> Output {
    harmony(server, models, &[&["speakers"][..], arguments].concat())
}

fn harmony(server: &Server, models: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(server::binary());
    command.args(arguments).env("HARMONY__DATA__DIR", server.data_dir());
    command.env("HARMONY_MODELS_DIR", models).output().expect("the command runs")
}
