//! vosk-server's and WhisperLive's clients against the running server.

use serde_json::Value;
use tests::{clients, fixture::recording, server, wer::word_error_rate};

const JFK: &str =
    "and so my fellow americans ask not what your country can do for you ask what you can do for your country";

const KEY: &str = "hv_test_key_of_the_vosk_tests";

#[test]
fn a_vosk_client_gets_a_reply_for_every_piece_and_every_word_once() {
    let Some((server, file)) = prepared(&format!("[auth]\nkeys = [\"{KEY}\"]\n")) else { return };
    let Some(report) = clients::python("vosk_client.py", &[&server.ws_url(), KEY, &file]) else { return };
    let text = report["text"].as_str().unwrap();
    assert!(word_error_rate(JFK, text) <= 0.2, "{text}");
    assert!(!text.contains(|c: char| c.is_uppercase() || c == ','), "{text}");
    let partials = report["partials"].as_array().unwrap();
    // Which words a partial catches is a matter of how fast the machine decodes.
    let is_of_words = |partial: &Value| partial.as_str().is_some_and(|partial| partial.contains("your country"));
    assert!(partials.iter().any(is_of_words), "{report}");
    let words = report["words"].as_array().unwrap();
    let joined: Vec<&str> = words.iter().filter_map(|word| word["word"].as_str()).collect();
    assert_eq!(joined.join(" "), text);
    assert!(
        words.windows(2).all(|pair| pair[0]["end"].as_f64() <= pair[1]["start"].as_f64().map(|at| at + 0.001)),
        "{report}"
    );
    assert!(report["reset"]["text"].as_str().is_some_and(|text| text.contains("fellow")), "{report}");
    assert_eq!(report["close"], 1000);
}

#[test]
fn whisperlives_own_client_collects_a_transcript() {
    let Some((server, file)) = prepared("") else { return };
    let (host, port) = (server.address().ip().to_string(), server.address().port().to_string());
    let Some(report) = clients::python("whisperlive_client.py", &[&host, &port, &file]) else { return };
    let committed = report["committed"].as_str().unwrap();
    assert!(word_error_rate(JFK, committed) <= 0.2, "{committed}");
    assert!(report["partials"].as_array().is_some_and(|partials| partials.len() >= 2), "{report}");
    assert!(report["segments"].as_array().unwrap().iter().all(is_timed_segment), "{report}");
    assert_eq!((report["language"].as_str(), report["backend"].as_str()), (Some("en"), Some("faster_whisper")));
    assert_eq!(report["open"], false);
}

fn is_timed_segment(segment: &Value) -> bool {
    let seconds = |key: &str| segment[key].as_str().and_then(|text| text.parse::<f64>().ok());
    seconds("start").zip(seconds("end")).is_some_and(|(start, end)| start < end && end < 12.0)
}

fn prepared(config: &str) -> Option<(server::Server, String)> {
    let file = recording("audio/speech/jfk.wav").map_err(|why| println!("{why}")).ok()?;
    server::models_or_skip()?;
    let server = server::Server::start(server::Options { config, ..Default::default() }).expect("the server starts");
    Some((server, file.to_string_lossy().into_owned()))
}
