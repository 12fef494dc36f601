//! Whisper through its whole path, with a small model of the project's own: real decoding, and what damaged
//! files do.

mod fixture;

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use asr::{
    recognizer::{Decoder, Error, Hints, Recognizer as _},
    whisper::Whisper,
};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name)
}

fn micro() -> Whisper {
    Whisper::load(&data("whisper-micro.en-q5_0.bin"), 1).expect("the model loads")
}

fn heard(decoder: &mut dyn Decoder, audio: &[f32]) -> String {
    let heard = decoder.decode(audio, &Hints::default(), &AtomicBool::new(false)).expect("decodes");
    heard.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// Rows of a table beside the clips, without its head.
fn rows(name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(data("whisper-micro").join(name)).expect("readable");
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn clips_decode_to_what_was_said() {
    let whisper = micro();
    let mut decoder = whisper.decoder().expect("a decoder");
    let rows = rows("transcripts.tsv");
    assert!(rows.len() >= 6);
    for row in &rows {
        let audio = fixture::wav(&data("whisper-micro").join(&row[0]));
        assert_eq!(&heard(decoder.as_mut(), &audio), row.last().expect("a text"), "{}", row[0]);
    }
}

#[test]
fn words_begin_near_where_they_were_said() {
    let whisper = micro();
    let mut decoder = whisper.decoder().expect("a decoder");
    let truth = rows("words.tsv");
    let mut errors = Vec::new();
    for clip in rows("transcripts.tsv") {
        let audio = fixture::wav(&data("whisper-micro").join(&clip[0]));
        let said: Vec<&Vec<String>> = truth.iter().filter(|row| row[0] == clip[0]).collect();
        let heard = decoder.decode(&audio, &Hints::default(), &AtomicBool::new(false)).expect("decodes");
        assert_eq!(said.len(), heard.words.len(), "{}", clip[0]);
        for (said, word) in said.iter().zip(&heard.words) {
            errors.push((said[2].parse::<f32>().expect("a time") - word.start_s).abs());
        }
    }
    errors.sort_unstable_by(f32::total_cmp);
    let (median, p90) = (errors[errors.len() / 2], errors[errors.len() * 9 / 10]);
    println!("word starts: {} words, median {median:.3} s, 90th percentile {p90:.3} s off", errors.len());
    assert!(median < 0.12 && p90 < 0.4, "{errors:?}");
}

#[test]
fn silence_is_empty_and_a_decoder_serves_many_windows() {
    let whisper = micro();
    let mut decoder = whisper.decoder().expect("a decoder");
    assert_eq!(heard(decoder.as_mut(), &[0.0; 48_000]), "");
    assert_eq!(heard(decoder.as_mut(), &[]), "");
    let audio = fixture::wav(&data("whisper-micro/es_00_16k.wav"));
    let hints = Hints { language: Some("de".to_owned()), keyterms: vec!["Friday".to_owned(), "twelve\0".to_owned()] };
    decoder.decode(&audio, &hints, &AtomicBool::new(false)).expect("a hint that does not fit is ignored");
    assert_eq!(heard(decoder.as_mut(), &audio), "The meeting is on Friday at twelve.", "no hint is carried over");
}

#[test]
fn a_set_abort_stops_decoding_and_the_decoder_stays_usable() {
    let whisper = micro();
    let mut decoder = whisper.decoder().expect("a decoder");
    let audio = fixture::wav(&data("whisper-micro/es_00_16k.wav"));
    let stopped = decoder.decode(&audio, &Hints::default(), &AtomicBool::new(true));
    assert!(matches!(stopped, Err(Error::Aborted)), "{stopped:?}");
    // Set while it decodes: either it is stopped or it was done just before.
    let abort = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let decoding = scope.spawn(|| decoder.decode(&audio, &Hints::default(), &abort));
        abort.store(true, std::sync::atomic::Ordering::Relaxed);
        let result = decoding.join().expect("no panic");
        assert!(matches!(result, Err(Error::Aborted)), "{result:?}");
    });
    assert_eq!(heard(decoder.as_mut(), &audio), "The meeting is on Friday at twelve.");
}

#[test]
fn damaged_models_are_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = std::fs::read(data("whisper-micro.en-q5_0.bin")).expect("readable");
    let mut cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("text", b"<!DOCTYPE html><title>404</title>".repeat(100)),
        ("half", whole[..whole.len() / 2].to_vec()),
        ("cut by a byte", whole[..whole.len() - 1].to_vec()),
    ];
    for (what, at) in [("magic", 0), ("width", 12), ("depth", 20), ("format", 44), ("filters", 48)] {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x40;
        cases.push((what, flipped));
    }
    for (what, bytes) in cases {
        let path = folder.path().join("model.bin");
        std::fs::write(&path, bytes).expect("writable");
        let refused = Whisper::load(&path, 1).expect_err(what);
        assert!(matches!(refused, Error::Model { .. }), "{what}: {refused}");
        assert!(
            !refused.to_string().contains('\n') && refused.to_string().contains("harmony models fetch"),
            "{refused}"
        );
    }
    let missing = Whisper::load(&folder.path().join("none.bin"), 1).expect_err("missing");
    assert!(missing.to_string().contains("none.bin"), "{missing}");
}

#[test]
fn a_file_without_weights_is_refused() {
    let Some(path) = fixture::shared("models/whisper-load-test/for-tests-ggml-tiny.en.bin") else { return };
    let refused = Whisper::load(&path, 1).expect_err("it has no weights");
    assert!(refused.to_string().contains("no weights"), "{refused}");
    let Some(other) = fixture::shared("models/whisper-load-test/for-tests-silero-v6.2.0-ggml.bin") else { return };
    assert!(matches!(Whisper::load(&other, 1), Err(Error::Model { .. })));
}
