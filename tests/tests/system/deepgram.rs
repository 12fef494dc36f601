//! The Deepgram SDKs of PyPI and npm, unmodified, against the running server.
//!
//! Each test starts the server, runs one scenario of `tests/clients` and judges what the SDK received. They need
//! the recordings of `../shared`, the installed models and what `tests/setup.sh` makes; without, they say so.

use serde_json::Value;
use tests::{clients, fixture::recording, server, wer::word_error_rate};

const KEY: &str = "hv_test_key_of_the_sdk_tests";

const JFK: &str =
    "and so my fellow americans ask not what your country can do for you ask what you can do for your country";

fn python(scenario: &str, file: &str) -> Option<Value> {
    let (server, file) = prepared(scenario, file)?;
    clients::python("deepgram_client.py", &[&server.base_url(), KEY, scenario, &file])
}

fn node(scenario: &str, file: &str) -> Option<Value> {
    let (server, file) = prepared(scenario, file)?;
    clients::node("deepgram_client.mjs", &[&server.base_url(), KEY, scenario, &file])
}

#[test]
fn a_live_stream_brings_interims_finals_and_every_event_the_client_asked_for() {
    let Some(report) = python("live", "speech/jfk.wav") else { return };
    assert_words(&report["channels"]["0"], JFK, 0.2);
    assert!(report["interims"].as_u64() >= Some(2), "{report}");
    assert!(report["speech_started"].as_u64() >= Some(1), "{report}");
    assert_eq!(report["channel_index"], serde_json::json!([[0, 1]]));
    // 2 s of silence follow the speech, so that the last utterance has ended when the stream does.
    let ends = report["utterance_ends"].as_array().unwrap();
    assert!(ends.last().and_then(Value::as_f64).is_some_and(|end| (9.5..11.2).contains(&end)), "{report}");
    assert!(report["gaps"].as_f64().unwrap() < 0.01, "{report}");
    let words = report["words"].as_array().unwrap();
    assert!(
        words.windows(2).all(|pair| pair[0]["end"].as_f64() <= pair[1]["start"].as_f64().map(|start| start + 0.001))
    );
    assert!(words.iter().all(|word| (0.0..=1.0).contains(&word["confidence"].as_f64().unwrap())), "{report}");
    let is_punctuated =
        |word: &Value| word["punctuated_word"].as_str().is_some_and(|text| text.ends_with(['.', ',', '?']));
    assert!(words.iter().any(is_punctuated), "{report}");
    let metadata = &report["metadata"];
    assert!((metadata["duration"].as_f64().unwrap() - 13.0).abs() < 0.15, "{metadata}");
    assert_eq!(metadata["channels"], 1);
    assert_eq!(metadata["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(metadata["tags"], serde_json::json!(["sdk"]));
    assert_eq!((report["last"].as_str(), report["close"].as_u64()), (Some("ListenV1Metadata"), Some(1000)), "{report}");
    assert_eq!(report["errors"], serde_json::json!([]));
}

#[test]
fn finalize_brings_the_words_so_far_at_once_and_loses_none() {
    let Some(report) = python("finalize", "speech/jfk.wav") else { return };
    assert!(report["from_finalize"].as_u64() >= Some(1), "{report}");
    assert_words(&report["channels"]["0"], JFK, 0.2);
    assert_eq!(report["close"], 1000);
}

#[test]
fn each_channel_of_a_stereo_call_has_its_own_words_and_speaker() {
    let Some(report) = python("multichannel", "telephone/stereo_diarization.wav") else { return };
    assert_words(&report["channels"]["0"], LEFT, 0.2);
    assert_words(&report["channels"]["1"], RIGHT, 0.2);
    assert_eq!(report["channel_index"], serde_json::json!([[0, 2], [1, 2]]));
    assert_eq!(report["metadata"]["channels"], 2);
    let speakers: std::collections::BTreeSet<u64> =
        report["words"].as_array().unwrap().iter().filter_map(|word| word["speaker"].as_u64()).collect();
    assert_eq!(speakers.into_iter().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn telephone_audio_in_mulaw_is_understood() {
    let Some(report) = python("telephone", "speech/jfk.wav") else { return };
    assert_words(&report["channels"]["0"], JFK, 0.2);
}

#[test]
fn a_container_without_an_encoding_is_recognised_by_its_bytes() {
    let Some(report) = python("container", "speech/jfk.wav") else { return };
    assert_words(&report["channels"]["0"], JFK, 0.2);
    assert!(report["interims"].as_u64() >= Some(2), "{report}");
    assert_eq!(report["close"], 1000);
}

#[test]
fn a_recording_is_answered_with_words_paragraphs_utterances_and_hits() {
    let Some(report) = python("prerecorded", "speech/jfk.wav") else { return };
    assert_words(&report["transcript"], JFK, 0.2);
    assert!((report["duration"].as_f64().unwrap() - 11.0).abs() < 0.05, "{report}");
    assert!(report["words"].as_array().unwrap().len() >= 20, "{report}");
    assert!(report["hits"].as_u64() >= Some(2), "{report}");
    assert!(report["paragraphs"].as_u64() >= Some(1), "{report}");
    let utterances: Vec<&str> = report["utterances"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(utterances.join(" "), report["transcript"].as_str().unwrap());
    assert_eq!(report["tags"], serde_json::json!(["sdk"]));
}

#[test]
fn the_channels_of_a_stereo_recording_are_answered_apart() {
    let Some(report) = python("prerecorded_channels", "telephone/stereo_diarization.wav") else { return };
    assert_words(&report["channels"][0], LEFT, 0.2);
    assert_words(&report["channels"][1], RIGHT, 0.2);
    assert_eq!(report["speakers"], serde_json::json!([[0], [1]]));
}

#[test]
fn refusals_are_raised_as_the_errors_of_the_sdk() {
    let Some(report) = python("refusals", "speech/jfk.wav") else { return };
    let raised = |name: &str| (report[name]["type"].as_str().unwrap_or_default(), report[name]["status"].as_u64());
    assert_eq!(raised("live_key"), ("ApiError", Some(401)));
    assert_eq!(raised("live_value"), ("ApiError", Some(400)));
    assert_eq!(raised("key"), ("ApiError", Some(401)));
    assert_eq!(report["key"]["body"]["err_code"], "INVALID_AUTH");
    assert_eq!(raised("value"), ("BadRequestError", Some(400)));
    assert!(report["value"]["body"]["err_msg"].as_str().unwrap().starts_with("redact"), "{report}");
    assert_eq!(report["value"]["body"]["request_id"], report["value"]["headers"]["dg-request-id"]);
    assert_eq!(raised("noise"), ("BadRequestError", Some(400)));
    assert_eq!(raised("private"), ("BadRequestError", Some(400)));
    assert_eq!(report["private"]["body"]["err_code"], "REMOTE_CONTENT_ERROR");
}

#[test]
fn a_recording_behind_a_url_is_fetched_and_its_transcript_called_back() {
    let Some(report) = python("callback", "speech/jfk.wav") else { return };
    assert_eq!(report["accepted"], report["request_id"], "{report}");
    assert_eq!(report["accepted"], report["header"], "{report}");
    assert_eq!(report["token"], "auth.keys[0]");
    // The first delivery is answered with 503 on purpose.
    assert_eq!(report["deliveries"], 2, "{report}");
    assert_words(&report["transcript"], JFK, 0.2);
}

#[test]
fn the_javascript_sdk_streams_live() {
    let Some(report) = node("live", "speech/jfk.wav") else { return };
    assert_words(&report["channels"]["0"], JFK, 0.2);
    assert!(report["interims"].as_u64() >= Some(2), "{report}");
    assert_eq!(report["from_finalize"], 1, "{report}");
    assert_eq!((report["last"].as_str(), report["close"].as_u64()), (Some("Metadata"), Some(1000)), "{report}");
}

#[test]
fn the_javascript_sdk_hears_both_channels() {
    let Some(report) = node("multichannel", "telephone/stereo_diarization.wav") else { return };
    assert_words(&report["channels"]["0"], LEFT, 0.2);
    assert_words(&report["channels"]["1"], RIGHT, 0.2);
}

#[test]
fn the_javascript_sdk_transcribes_a_recording_and_types_refusals() {
    let Some(report) = node("prerecorded", "speech/jfk.wav") else { return };
    assert_words(&report["transcript"], JFK, 0.2);
    let Some(report) = node("refusals", "speech/jfk.wav") else { return };
    assert_eq!(
        (report["key"]["typed"].as_bool(), report["key"]["status"].as_u64()),
        (Some(true), Some(401)),
        "{report}"
    );
    assert_eq!(report["value"]["name"], "BadRequestError", "{report}");
    assert!(report["value"]["body"]["err_msg"].as_str().unwrap().starts_with("language"), "{report}");
}

const LEFT: &str = "he began a confused complaint against the wizard who had vanished behind the curtain on the left";
const RIGHT: &str = "the horizon seems extremely distant";

/// A server that wants [`KEY`], and the path of a recording.
fn prepared(scenario: &str, file: &str) -> Option<(server::Server, String)> {
    let file = recording(&format!("audio/{file}")).map_err(|why| println!("{why}")).ok()?;
    server::models_or_skip()?;
    let options = server::Options {
        config: &format!("[auth]\nkeys = [\"{KEY}\"]\n"),
        // The scenario with a callback serves and receives on loopback; `remote` refuses that by default.
        env: if scenario == "callback" { vec![("HARMONY__HTTP__CALL_PRIVATE", "true")] } else { Vec::new() },
        ..server::Options::default()
    };
    let server = server::Server::start(options).expect("the server starts");
    Some((server, file.to_string_lossy().into_owned()))
}

/// The share of wrong words is at most `share`.
fn assert_words(heard: &Value, said: &str, share: f64) {
    let heard = heard.as_str().unwrap_or_default();
    let wrong = word_error_rate(said, heard);
    assert!(wrong <= share, "{:.0} % of the words are wrong: {heard:?}", wrong * 100.0);
}
