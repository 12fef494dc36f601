//! OpenAI's Python SDK of PyPI, unmodified, against the running server.
//!
//! Each test starts the server, runs one scenario of `tests/clients` and judges what the SDK received. They need
//! the recordings of `../shared`, the installed models and what `tests/setup.sh` makes; without, they say so.

use serde_json::{Value, json};
use tests::{clients, fixture::recording, server, wer::word_error_rate};

const KEY: &str = "hv_test_key_of_the_sdk_tests";

const JFK: &str =
    "and so my fellow americans ask not what your country can do for you ask what you can do for your country";

const LEFT: &str = "He began a confused complaint against the wizard, who had vanished behind the curtain on the left.";
const RIGHT: &str = "The horizon seems extremely distant.";

#[test]
fn every_response_format_is_what_the_sdk_expects() {
    let Some(report) = python("", "formats", "speech/jfk.wav") else { return };
    for (format, class) in [
        ("json", "Transcription"),
        ("text", "str"),
        ("srt", "str"),
        ("vtt", "str"),
        ("verbose_json", "TranscriptionVerbose"),
    ] {
        assert_eq!(report[format]["class"], class, "{format}");
    }
    for format in ["json", "text", "verbose_json"] {
        assert_words(&report[format]["text"], JFK);
    }
    assert_eq!(report["json"]["usage"], json!({"type": "duration", "seconds": 11.0}));
    let verbose = &report["verbose_json"];
    assert_eq!((&verbose["language"], &verbose["duration"]), (&json!("english"), &json!(11.0)));
    let words = verbose["words"].as_array().unwrap();
    assert!(words.len() >= 18, "{verbose}");
    assert!(words.windows(2).all(|pair| pair[0][2].as_f64() <= pair[1][1].as_f64()), "{verbose}");
    assert!(words.iter().all(|word| word[1].as_f64() >= Some(0.0) && word[2].as_f64() <= Some(11.0)), "{verbose}");
    let said: Vec<&str> =
        verbose["segments"].as_array().unwrap().iter().map(|part| part[3].as_str().unwrap()).collect();
    assert_eq!(said.join(" "), verbose["text"].as_str().unwrap());
    assert_eq!(report["without_granularities"], json!([true, said.len()]));
    let subtitles = report["srt"]["text"].as_str().unwrap();
    assert!(subtitles.starts_with("1\n00:00:0") && subtitles.contains(" --> "), "{subtitles}");
    assert!(report["vtt"]["text"].as_str().unwrap().starts_with("WEBVTT\n\n00:00:0"), "{report}");
}

#[test]
fn every_other_parameter_is_taken_and_what_has_no_effect_is_named() {
    let Some(report) = python("", "options", "speech/jfk.wav") else { return };
    assert_words(&report["text"], JFK);
    assert_words(&report["automatic"], JFK);
    assert_eq!((&report["tokens"], &report["bytes"]), (&report["text"], &report["text"]));
    let logprobs = report["logprobs"].as_array().unwrap();
    assert!(logprobs.iter().all(|value| (-100.0..=0.0).contains(&value.as_f64().unwrap())), "{report}");
    assert!(logprobs.iter().any(|value| value.as_f64() != Some(0.0)), "{report}");
    assert_eq!(report["ignored"], "temperature, chunking_strategy.threshold");
    assert!(report["request_id"].as_str().unwrap().starts_with("req_"), "{report}");
}

#[test]
fn a_stream_brings_the_text_in_pieces_and_then_whole() {
    let Some(report) = python("", "stream", "speech/jfk.wav") else { return };
    let types = report["types"].as_array().unwrap();
    assert_eq!(types.last().unwrap(), "transcript.text.done");
    assert!(
        types.len() >= 3 && types[..types.len() - 1].iter().all(|kind| kind == "transcript.text.delta"),
        "{report}"
    );
    assert_eq!(report["done"]["text"], report["text"]);
    assert_eq!(report["done"]["usage"], json!({"type": "duration", "seconds": 11.0}));
    assert_words(&report["text"], JFK);
}

#[test]
fn each_channel_is_a_speaker() {
    let Some(report) = python("", "diarized", "telephone/stereo_diarization.wav") else { return };
    assert_eq!(report["class"], "TranscriptionDiarized");
    for segments in [&report["whole"], &report["streamed"]] {
        let said = |speaker: &str| -> Value {
            let parts: Vec<&str> = segments
                .as_array()
                .unwrap()
                .iter()
                .filter(|part| part[0] == speaker)
                .map(|part| part[1].as_str().unwrap())
                .collect();
            parts.join(" ").into()
        };
        assert_words(&said("A"), LEFT);
        assert_words(&said("B"), RIGHT);
    }
    assert_eq!(report["warnings"], json!([]));
}

#[test]
fn one_channel_is_one_unknown_speaker_and_the_answer_says_why() {
    let Some(report) = python("", "diarized", "speech/jfk.wav") else { return };
    let segments = report["whole"].as_array().unwrap();
    assert!(!segments.is_empty() && segments.iter().all(|part| part[0] == "unknown"), "{report}");
    assert!(report["warnings"][0].as_str().unwrap().contains("told apart"), "{report}");
}

#[test]
fn the_asynchronous_client_is_answered_three_times_at_once() {
    let Some(report) = python("", "asynchronous", "speech/jfk.wav") else { return };
    let texts = report["texts"].as_array().unwrap();
    assert_eq!(texts.len(), 3);
    for text in texts {
        assert_words(text, JFK);
    }
}

#[test]
fn the_list_of_models_holds_the_engines_own_and_the_names_it_answers_to() {
    let Some(report) = python("", "models", "speech/jfk.wav") else { return };
    let names: Vec<&str> =
        report["listed"].as_array().unwrap().iter().map(|model| model[0].as_str().unwrap()).collect();
    for name in ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(names[0].starts_with("moonshine") || names[0].starts_with("whisper-"), "{names:?}");
    assert_eq!(report["one"]["id"], "whisper-1");
    assert_eq!(report["one"]["alias_of"], names[0]);
}

#[test]
fn refusals_are_the_exceptions_that_the_sdk_knows() {
    let Some(report) = python("", "errors", "speech/jfk.wav") else { return };
    for (case, class, status, code, param) in [
        ("no_key", "AuthenticationError", 401, "invalid_api_key", None),
        ("no_key_upload", "AuthenticationError", 401, "invalid_api_key", None),
        ("model", "NotFoundError", 404, "model_not_found", Some("model")),
        ("retrieve", "NotFoundError", 404, "model_not_found", Some("model")),
        ("format", "BadRequestError", 400, "invalid_value", Some("response_format")),
        ("granularity", "BadRequestError", 400, "unsupported_value", Some("timestamp_granularities")),
        ("temperature", "BadRequestError", 400, "invalid_value", Some("temperature")),
        ("language", "BadRequestError", 400, "invalid_language_format", Some("language")),
        ("unknown_language", "BadRequestError", 400, "unsupported_language", Some("language")),
        ("speakers", "BadRequestError", 400, "unsupported_value", Some("known_speaker_names")),
        ("subtitle_stream", "BadRequestError", 400, "unsupported_value", Some("response_format")),
        ("picture", "BadRequestError", 400, "invalid_audio", Some("file")),
        ("picture_stream", "BadRequestError", 400, "invalid_audio", Some("file")),
        ("empty", "BadRequestError", 400, "invalid_audio", Some("file")),
        ("translation", "BadRequestError", 400, "unsupported_operation", None),
        ("no_form", "BadRequestError", 400, "invalid_form", None),
        ("no_path", "NotFoundError", 404, "not_found", None),
    ] {
        let refusal = &report[case];
        assert_eq!(
            (&refusal["class"], &refusal["status"], &refusal["code"], &refusal["param"]),
            (&json!(class), &json!(status), &json!(code), &json!(param)),
            "{case}: {refusal}"
        );
        assert!(refusal["type"].as_str().is_some_and(|kind| kind.ends_with("_error")), "{case}: {refusal}");
    }
    assert!(report["picture"]["message"].as_str().unwrap().contains("PNG image"), "{report}");
}

#[test]
fn an_upload_over_the_limit_is_refused_however_it_comes() {
    let limit = "[limits]\nupload_bytes_max = 100000";
    let Some(report) = python(limit, "too_large", "speech/jfk.wav") else { return };
    assert_eq!((&report["announced"]["status"], &report["announced"]["code"]), (&json!(413), &json!("too_large")));
    assert_eq!(
        (&report["chunked"]["status"], &report["chunked"]["body"]["error"]["code"]),
        (&json!(413), &json!("too_large"))
    );
}

#[test]
fn a_full_server_says_when_to_come_back() {
    let Some(report) = python("[limits]\nstreams_max = 1", "full", "speech/jfk.wav") else { return };
    let busy = &report["busy"];
    assert_eq!(
        (&busy["class"], &busy["status"], &busy["code"]),
        (&json!("InternalServerError"), &json!(503), &json!("full"))
    );
    assert!(busy["retry_after"].as_str().is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{busy}");
}

/// Runs a scenario against a server of its own; `None`, with a line that says why, where something is absent.
fn python(config: &str, scenario: &str, file: &str) -> Option<Value> {
    server::models_or_skip()?;
    let file = match recording(&format!("audio/{file}")) {
        Ok(file) => file.display().to_string(),
        Err(why) => {
            println!("{why}");
            return None;
        }
    };
    let config = format!("{config}\n[auth]\nkeys = [\"{KEY}\"]");
    let server = server::Server::start(server::Options { config: &config, ..server::Options::default() }).unwrap();
    clients::python("openai_client.py", &[&server.base_url(), KEY, scenario, &file])
}

fn assert_words(heard: &Value, said: &str) {
    let heard = heard.as_str().unwrap();
    let rate = word_error_rate(said, heard);
    assert!(rate <= 0.2, "WER {rate:.3}: {heard}");
}
