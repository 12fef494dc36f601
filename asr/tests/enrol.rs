//! Prints of voices: the real model on real sound, and a tiny one on sound that is made up.

mod fixture;

use std::path::{Path, PathBuf};

use asr::{
    diarize::{
        VoiceKind,
        print::{EnrolError, Enroller, VoicePrint},
    },
    onnx::Library,
    recognizer::Error,
    vad::silero::Silero,
};

fn ge2e() -> Option<(Library, PathBuf)> {
    Some((fixture::library()?, fixture::shared("models/speaker/resemblyzer_ge2e.onnx")?))
}

fn enroller() -> Option<Enroller> {
    let (library, voice) = ge2e()?;
    Some(Enroller::load(&library, &voice).expect("the model is whole"))
}

/// A voice of sorts, the same everywhere to the last bit: a sawtooth that swells, and noise.
fn sawtooth(samples: usize) -> Vec<f32> {
    let mut seed = 1_u32;
    (0..samples)
        .map(|at| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (seed >> 8) as f32 / (1 << 23) as f32 - 1.0;
            let swell = ((at % 4_800) as f32 / 2_400.0 - 1.0).abs();
            0.3 * swell * ((at % 100) as f32 / 50.0 - 1.0) + 0.02 * noise
        })
        .collect()
}

fn likeness(one: &VoicePrint, other: &VoicePrint) -> f32 {
    one.likeness(other).expect("one model made both")
}

#[test]
fn a_person_is_more_like_themselves_than_like_others() {
    let (Some(mut enroller), Some(sound)) = (enroller(), fixture::speech("meetings/meeting3.wav")) else { return };
    // By the recording's own table: one reader up to 15.5 s and another from 15.6 s to 24.6 s.
    let mut hear = |from_ms: usize, to_ms: usize| enroller.hear(&sound[from_ms * 16..to_ms * 16]).expect("a voice");
    let (first, again, other) = (hear(500, 8_000), hear(8_000, 15_400), hear(15_700, 24_400));
    assert_eq!((&*first.model, first.voice.len()), ("resemblyzer-ge2e", 256));
    assert!(likeness(&first, &again) > likeness(&first, &other) + 0.05);
    assert!(likeness(&first, &again) > VoiceKind::Ge2e.thresholds().one_person);
}

#[test]
fn two_voices_in_one_recording_are_refused() {
    let (Some(mut enroller), Some(sound)) = (enroller(), fixture::speech("meetings/meeting3.wav")) else { return };
    // Eight seconds of one reader and eight of the next.
    let both = [&sound[7_400 * 16..15_400 * 16], &sound[15_700 * 16..23_700 * 16]].concat();
    match enroller.hear(&both) {
        Err(EnrolError::SeveralVoices) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_recording_without_a_voice_says_what_it_lacks() {
    let (Some(enroller), Some((library, silero))) = (enroller(), fixture::silero()) else { return };
    let mut enroller = enroller.with_activity(Silero::load(&library, &silero).expect("the model is whole"));
    assert!(matches!(enroller.hear(&[]), Err(EnrolError::Silent)));
    assert!(matches!(enroller.hear(&vec![0.0; 160_000]), Err(EnrolError::Silent)));
    assert!(matches!(enroller.hear(&vec![f32::NAN; 160_000]), Err(EnrolError::Silent)));
    // A steady tone is loud and nobody's voice.
    let tone: Vec<f32> = (0..160_000).map(|at| (at as f32 * 0.17).sin() * 0.5).collect();
    assert!(matches!(enroller.hear(&tone), Err(EnrolError::Silent | EnrolError::Short { .. })));
    let Some(sound) = fixture::speech("speech/jfk.wav") else { return };
    assert!(enroller.hear(&sound).is_ok());
    match enroller.hear(&sound[..48_000]) {
        Err(error @ EnrolError::Short { .. }) => assert!(error.is_recordings()),
        other => panic!("{other:?}"),
    }
    let clipped: Vec<f32> = sound.iter().map(|sample| (sample * 40.0).clamp(-1.0, 1.0)).collect();
    assert!(matches!(enroller.hear(&clipped), Err(EnrolError::Clipped)));
}

/// A graph with the tensors of such a model: see data/voice/make.py.
fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/voice/campplus/campplus.onnx")
}

#[test]
fn a_model_that_looks_at_a_filter_bank_gives_as_many_numbers_as_it_has() {
    let Some(library) = fixture::library() else { return };
    let mut enroller = Enroller::load(&library, &tiny()).expect("the graph is whole");
    assert_eq!(enroller.kind(), VoiceKind::CamPlusPlus);
    let print = enroller.hear(&sawtooth(160_000)).expect("a voice");
    assert_eq!((&*print.model, print.voice.len()), ("campplus", 160));
    let (bands, twice) = print.voice.split_at(80);
    assert!(bands.iter().zip(twice).all(|(one, two)| (two - 2.0 * one).abs() < 1e-5), "{:?}", print.voice);
    // The swell moves the logarithm of every band around its mean: a picture without its mean taken out, or of
    // powers, would have one band that drowns the others.
    let (least, most) = bands.iter().fold((f32::MAX, 0.0_f32), |(low, high), band| (low.min(*band), high.max(*band)));
    assert!(least > 0.0 && most < 20.0 * least, "{least} to {most}");
    // Twice as loud, it is the same voice.
    let louder: Vec<f32> = sawtooth(160_000).iter().map(|sample| sample * 2.0).collect();
    assert!(likeness(&print, &enroller.hear(&louder).expect("a voice")) > 0.999);
}

#[test]
fn a_file_that_is_another_voice_model_than_its_name_says_is_refused() {
    let Some(library) = fixture::library() else { return };
    let dir = tempfile::tempdir().expect("a folder");
    for kind in [VoiceKind::WeSpeaker, VoiceKind::ReDimNet, VoiceKind::Ge2e] {
        let path = dir.path().join(kind.file());
        std::fs::copy(tiny(), &path).expect("a copy");
        match Enroller::load(&library, &path).map(|_| ()) {
            Err(Error::Model { path: named, .. }) => assert_eq!(named, path.display().to_string()),
            other => panic!("{kind:?}: {other:?}"),
        }
    }
}
