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
