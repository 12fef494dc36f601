//! Moonshine on real speech: the words, the times, what damaged files do.

mod fixture;

use std::sync::atomic::AtomicBool;

use asr::{
    moonshine::Moonshine,
    recognizer::{Error, Hints, Recognizer as _},
};

#[test]
fn speech_becomes_its_words() {
    let Some((library, folder)) = fixture::moonshine() else { return };
    let Some(audio) = fixture::speech("speech/jfk.wav") else { return };
    let moonshine = Moonshine::load(&library, &folder).expect("the model loads");
    let mut decoder = moonshine.decoder().expect("a decoder");
    let heard = decoder.decode(&audio, &Hints::default(), &AtomicBool::new(false)).expect("decodes");
    let text: Vec<&str> = heard.words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(
        text.join(" "),
        "And so my fellow Americans ask not what your country can do for you, ask what you can do for your country."
    );
    assert!(heard.mean_logprob < 0.0 && heard.mean_logprob > -0.5, "{}", heard.mean_logprob);
    let mut at = 0.0;
    for word in &heard.words {
        assert!(word.start_s >= at && word.end_s >= word.start_s && word.end_s <= 11.0, "{word:?}");
        assert!((0.0..=1.0).contains(&word.confidence), "{word:?}");
        at = word.end_s;
    }
}

#[test]
fn a_set_abort_stops_decoding() {
    let Some((library, folder)) = fixture::moonshine() else { return };
    let moonshine = Moonshine::load(&library, &folder).expect("the model loads");
    let mut decoder = moonshine.decoder().expect("a decoder");
    let stopped = decoder.decode(&[0.0; 16_000], &Hints::default(), &AtomicBool::new(true));
    assert!(matches!(stopped, Err(Error::Aborted)), "{stopped:?}");
}

#[test]
fn windows_of_any_length_decode() {
    let Some((library, folder)) = fixture::moonshine() else { return };
    let Some(audio) = fixture::speech("speech/jfk.wav") else { return };
    let moonshine = Moonshine::load(&library, &folder).expect("the model loads");
    let mut decoder = moonshine.decoder().expect("a decoder");
    for samples in [0, 1, 159, 800, 895, 1600, 3999, 4000, 8000] {
        let heard = decoder.decode(&audio[5000..5000 + samples], &Hints::default(), &AtomicBool::new(false));
        let heard = heard.expect("decodes");
        let end_s = samples as f32 / 16_000.0;
        assert!(heard.words.iter().all(|word| word.end_s <= end_s + 1e-3), "{samples} {heard:?}");
    }
}

/// Words with their times from a forced alignment beside a recording.
fn truth(name: &str) -> Option<Vec<(String, f32)>> {
    let text = std::fs::read_to_string(fixture::shared(&format!("audio/speech/{name}.json"))?).expect("readable");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let words = json["w"].as_array().expect("words");
    Some(
        words
            .iter()
            .map(|word| (word["t"].as_str().expect("text"), word["b"].as_f64().expect("begin") as f32))
            .filter(|(text, _)| !text.starts_with('<'))
            .map(|(text, begin)| (text.split('(').next().expect("a part").replace("mister", "mr"), begin))
            .collect(),
    )
}

#[test]
fn words_begin_where_they_are_spoken() {
    let Some((library, folder)) = fixture::moonshine() else { return };
    let moonshine = Moonshine::load(&library, &folder).expect("the model loads");
    let mut decoder = moonshine.decoder().expect("a decoder");
    let mut errors = Vec::new();
    for name in ["sense_and_sensibility_01_austen_64kb-0870", "sense_and_sensibility_01_austen_64kb-0880"] {
        let (Some(truth), Some(audio)) = (truth(name), fixture::speech(&format!("speech/{name}.wav"))) else { return };
        let heard = decoder.decode(&audio, &Hints::default(), &AtomicBool::new(false)).expect("decodes");
        let mut rest = heard.words.iter();
        for (text, begin) in &truth {
            let same = |word: &&asr::recognizer::TimedWord| {
                word.text.to_lowercase().trim_matches(|c: char| !c.is_alphanumeric()) == text
            };
            // A word heard differently has no counterpart; the search goes on behind the last match.
            if let Some(word) = rest.clone().take(3).find(same) {
                errors.push((word.start_s - begin).abs());
                while rest.next() != Some(word) {}
            }
        }
    }
    errors.sort_unstable_by(f32::total_cmp);
    let (median, p90) = (errors[errors.len() / 2], errors[errors.len() * 9 / 10]);
    println!("word starts: {} words, median {median:.3} s, 90th percentile {p90:.3} s off", errors.len());
    assert!(errors.len() >= 26 && median <= 0.04 && p90 <= 0.22, "{errors:?}");
}

#[test]
fn decoding_keeps_its_speed_budget() {
    let Some((library, folder)) = fixture::moonshine() else { return };
    let Some(audio) = fixture::speech("speech/jfk.wav") else { return };
    let moonshine = Moonshine::load(&library, &folder).expect("the model loads");
    let mut decoder = moonshine.decoder().expect("a decoder");
    let never = AtomicBool::new(false);
    for (what, window) in [("0.5 s", &audio[8_000..16_000]), ("3 s", &audio[..48_000]), ("11 s", &audio[..])] {
        let best_s = (0..5)
            .map(|_| {
                let cpu_s = fixture::thread_cpu_s();
                decoder.decode(window, &Hints::default(), &never).expect("decodes");
                fixture::thread_cpu_s() - cpu_s
            })
            .fold(f64::MAX, f64::min);
        let window_s = window.len() as f64 / 16_000.0;
        println!("{what}: {:.1} ms of CPU, {:.4} s per second", best_s * 1e3, best_s / window_s);
        // A loose bound: it catches a broken cache or a second thread, not a busy machine.
        assert!(best_s < 0.1 + 0.1 * window_s, "{what}: {best_s}");
    }
}
