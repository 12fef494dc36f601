//! Voices told apart: the real models on real sound, and on sound that is none.

mod fixture;

use std::{collections::BTreeSet, path::PathBuf};

use asr::{
    diarize::{Diarizer, Speech, Turn, VoiceId},
    onnx::Library,
    recognizer::Error,
};
use media::time::MediaTime;

struct Models {
    library: Library,
    segmentation: PathBuf,
    voice: PathBuf,
}

impl Models {
    /// `None`, and a line that says why, where a model is not there.
    fn found() -> Option<Self> {
        Some(Self {
            library: fixture::library()?,
            segmentation: fixture::shared("models/segmentation/pyannote-segmentation-3.0.int8.onnx")?,
            voice: fixture::shared("models/speaker/resemblyzer_ge2e.onnx")?,
        })
    }

    fn turns<'a>(&self, pieces: impl Iterator<Item = &'a [f32]>) -> Vec<Turn> {
        self.turns_by(Speech::Segmentation(&self.segmentation), pieces)
    }

    fn turns_by<'a>(&self, speech: Speech<'_>, pieces: impl Iterator<Item = &'a [f32]>) -> Vec<Turn> {
        let mut diarizer = Diarizer::load(&self.library, speech, &self.voice).expect("the models are whole");
        for piece in pieces {
            diarizer.hear(piece).expect("hears");
        }
        diarizer.finish(None).expect("finishes")
    }
}

fn voices(turns: &[Turn]) -> BTreeSet<Option<VoiceId>> {
    turns.iter().map(|turn| turn.voice).collect()
}

#[test]
fn one_voice_is_one_speaker_however_the_sound_comes() {
    let (Some(models), Some(sound)) = (Models::found(), fixture::speech("speech/jfk.wav")) else { return };
    let turns = models.turns(std::iter::once(sound.as_slice()));
    assert_eq!(voices(&turns), BTreeSet::from([Some(VoiceId(0))]));
    assert_eq!(models.turns(sound.chunks(1_111)), turns);
}

#[test]
fn voice_activity_serves_however_the_sound_comes() {
    let (Some(models), Some((_, activity))) = (Models::found(), fixture::silero()) else { return };
    let Some(sound) = fixture::speech("speech/jfk.wav") else { return };
    let turns = models.turns_by(Speech::Activity(&activity), std::iter::once(sound.as_slice()));
    assert!(!turns.is_empty());
    assert_eq!(models.turns_by(Speech::Activity(&activity), sound.chunks(1_111)), turns);
}

#[test]
fn a_recording_of_three_people_has_three_voices() {
    let (Some(models), Some(sound)) = (Models::found(), fixture::speech("meetings/meeting3.wav")) else { return };
    let turns = models.turns(sound.chunks(16_000));
    assert_eq!(voices(&turns), BTreeSet::from([0, 1, 2].map(|voice| Some(VoiceId(voice)))));
    // They speak 18 times.
    assert!((18..=24).contains(&turns.len()), "{turns:?}");
    assert!(turns.is_sorted_by_key(|turn| turn.span.start));
}

#[test]
fn no_sound_is_too_strange_to_end_well() {
    let Some(models) = Models::found() else { return };
    let hostile = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -f32::MAX, f32::MIN_POSITIVE, 1e-40];
    let mut seed = 1_u32;
    let mut noise = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let sounds = [
        ("nothing", vec![]),
        ("one sample", vec![0.5]),
        ("silence", vec![0.0; 200_000]),
        ("no numbers", vec![f32::NAN; 40_000]),
        ("a bit of everything", hostile.repeat(5_000)),
        ("noise", (0..200_000).map(|_| noise()).collect()),
    ];
    for (what, sound) in &sounds {
        let turns = models.turns(sound.chunks(8_000));
        let end = MediaTime::from_samples(sound.len() as u64, 16_000);
        assert!(turns.iter().all(|turn| turn.span.end <= end), "{what}: {turns:?}");
        if matches!(*what, "nothing" | "one sample" | "silence" | "no numbers") {
            assert!(turns.is_empty(), "{what}: {turns:?}");
        }
    }
}

#[test]
fn a_file_that_is_another_model_is_refused_by_name() {
    let Some(models) = Models::found() else { return };
    let swapped = Diarizer::load(&models.library, Speech::Segmentation(&models.voice), &models.voice);
    assert_refused(swapped, &models.voice);
    let swapped = Diarizer::load(&models.library, Speech::Segmentation(&models.segmentation), &models.segmentation);
    assert_refused(swapped, &models.segmentation);
    let missing = models.voice.with_file_name("missing.onnx");
    assert_refused(Diarizer::load(&models.library, Speech::Segmentation(&models.segmentation), &missing), &missing);
}

fn assert_refused(loaded: Result<Diarizer, Error>, file: &std::path::Path) {
    match loaded.map(|_| ()) {
        Err(Error::Model { path, .. }) => assert_eq!(path, file.display().to_string()),
        other => panic!("{}: {other:?}", file.display()),
    }
}
