//! What the caller of a script does, as sound: spoken by the server's own voice, or read from a recording.
//!
//! Made before the call, so that nothing of it is waited for while somebody listens. Blocking.

use std::{
    fs::File,
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use media::{
    decode::{DecodeError, file::Decoder},
    dsp::{
        level::rms_dbfs,
        resample::{BadRate, Resampler},
    },
};
use tts::{
    utterance::Utterance,
    voice::VoiceId,
    worker::{Refused, Said, Voices},
};

use super::{
    prompter::Prompt,
    script::{Does, Line},
};
use crate::play::mix_down;

/// What the caller's sound is made at.
pub(super) const CALLER_HZ: u32 = 24_000;

/// Samples of 20 ms.
pub(super) const PIECE: usize = CALLER_HZ as usize / 50;

/// The longest recording of one line.
const SECONDS_MAX: usize = 60;

/// A piece is a part of what is said where it is no quieter than this under the loudest.
const BELOW_LOUDEST_DB: f32 = 35.0;

/// And no quieter than this: nobody hears it.
const QUIET_DBFS: f32 = -55.0;

/// A line as sound.
#[derive(Clone, Debug)]
pub(super) struct Sound {
    /// Mono, at [`CALLER_HZ`].
    pub(super) samples: Vec<f32>,
    /// From the first sample of what is said to the last, in whole pieces.
    pub(super) said: Range<usize>,
    /// How it is found again; `None` where nobody knows the words.
    pub(super) prompt: Option<Prompt>,
}

/// Why there is no sound.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSound {
    /// The voice takes no more.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The voice failed.
    #[error(transparent)]
    Voice(#[from] tts::voice::Error),
    /// A recording cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A recording is none.
    #[error("{}: {error}", path.display())]
    Decode {
        /// Which.
        path: PathBuf,
        /// Why.
        error: DecodeError,
    },
    /// A recording has a rate that nothing plays.
    #[error("{}: {error}", path.display())]
    Rate {
        /// Which.
        path: PathBuf,
        /// Why.
        error: BadRate,
    },
    /// A recording goes on and on.
    #[error("{} lasts more than {SECONDS_MAX} s, and is one line", .0.display())]
    Long(PathBuf),
    /// Nothing sounds.
    #[error("nothing sounds in {0:?}")]
    Silent(String),
}

/// The sound of a line whose recordings lie in `folder`; `None` where it is keys.
pub(super) fn sound(line: &Line, voices: &Voices, folder: &Path) -> Result<Option<Sound>, NoSound> {
    let (samples, words) = match &line.does {
        Does::Says { words, voice } => {
            let (samples, begins) = spoken(voices, *voice, words)?;
            (samples, Some(begins))
        }
        Does::Plays { file, .. } => (recorded(&folder.join(file))?, None),
        Does::Presses(..) => return Ok(None),
    };
    let said = said(&samples).ok_or_else(|| NoSound::Silent(line.does.shown()))?;
    let words = match (words, &line.does) {
        (Some(begins), _) => begins,
        (None, Does::Plays { words, .. }) => spread(words, &said),
        (None, _) => Vec::new(),
    };
    let language = line.language.tag().split('-').next().unwrap_or_default().to_owned();
    let prompt = (!words.is_empty()).then(|| Prompt::new(&samples, CALLER_HZ, words, language));
    Ok(Some(Sound { samples, said, prompt }))
}

/// Samples, and each word with the second in which it begins.
type Spoken = (Vec<f32>, Vec<(String, f32)>);

fn spoken(voices: &Voices, voice: VoiceId, text: &str) -> Result<Spoken, NoSound> {
    let mut speech = voices.speak(&Utterance::plain(voice, text), CALLER_HZ)?;
    let (mut samples, mut words) = (Vec::new(), Vec::new());
    while let Some(said) = speech.next_blocking() {
        match said {
            Said::Samples { samples: some, .. } => samples.extend(some),
            Said::Word { text, at_sample, .. } => words.push((text, at_sample as f32 / CALLER_HZ as f32)),
            Said::Failed { error, .. } => return Err(error.into()),
            Said::Viseme { .. } | Said::Finished { .. } | Said::Dropped { .. } => {}
        }
    }
    let told: Vec<&str> = words.iter().map(|(word, _): &(String, f32)| word.as_str()).collect();
    if told != text.split_whitespace().collect::<Vec<_>>() {
        // A voice that does not tell where its words are: they are spread over what sounds.
        words = said(&samples).map(|said| spread(text, &said)).unwrap_or_default();
    }
    Ok((samples, words))
}

fn recorded(path: &Path) -> Result<Vec<f32>, NoSound> {
    let file = File::open(path).map_err(|error| NoSound::Read { path: path.to_owned(), error })?;
    let undecodable = |error| NoSound::Decode { path: path.to_owned(), error };
    let mut decoder = Decoder::open(file).map_err(undecodable)?;
    let (mut samples, mut mixed, mut resampler) = (Vec::new(), Vec::new(), None);
    while let Some(block) = decoder.next_block().map_err(undecodable)? {
        mix_down(&block, &mut mixed);
        if resampler.is_none() {
            let made = Resampler::new(block.rate_hz, CALLER_HZ);
            resampler = Some(made.map_err(|error| NoSound::Rate { path: path.to_owned(), error })?);
        }
        if let Some(resampler) = &mut resampler {
            resampler.process(&mixed, &mut samples);
        }
        if samples.len() > SECONDS_MAX * CALLER_HZ as usize {
            return Err(NoSound::Long(path.to_owned()));
        }
    }
    if let Some(mut resampler) = resampler {
        resampler.flush(&mut samples);
    }
    Ok(samples)
}

/// From the first piece of what is said to the last; `None` where nothing sounds.
fn said(samples: &[f32]) -> Option<Range<usize>> {
    let levels: Vec<f32> = samples.chunks(PIECE).map(rms_dbfs).collect();
    let loudest = levels.iter().copied().fold(f32::MIN, f32::max);
    let least = (loudest - BELOW_LOUDEST_DB).max(QUIET_DBFS);
    let first = levels.iter().position(|level| *level >= least)?;
    let last = levels.iter().rposition(|level| *level >= least)?;
    Some(first * PIECE..((last + 1) * PIECE).min(samples.len()))
}

/// Words over the stretch in which they are said, each as long as its letters are many.
fn spread(text: &str, said: &Range<usize>) -> Vec<(String, f32)> {
    let seconds = |samples: usize| samples as f32 / CALLER_HZ as f32;
    let letters: usize = text.split_whitespace().map(|word| word.chars().count() + 1).sum();
    let each_s = seconds(said.len()) / letters.max(1) as f32;
    let mut at_s = seconds(said.start);
    let place = |word: &str| {
        let begins_s = at_s;
        at_s += each_s * (word.chars().count() + 1) as f32;
        (word.to_owned(), begins_s)
    };
    text.split_whitespace().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_begins_and_ends_with_what_is_loud() {
        let mut samples = vec![0.001; 10 * PIECE];
        samples.extend(vec![0.3; 5 * PIECE]);
        samples.extend(vec![0.001; 3 * PIECE + 7]);
        assert_eq!(said(&samples), Some(10 * PIECE..15 * PIECE));
        assert_eq!(said(&[0.0; 3 * PIECE]), None);
        assert_eq!(said(&[]), None);
    }

    #[test]
    fn words_of_a_recording_are_spread_over_it() {
        let second = CALLER_HZ as usize;
        let words = spread("a bcd e", &(second..3 * second));
        let texts: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
        assert_eq!(texts, ["a", "bcd", "e"]);
        assert!((words[0].1 - 1.0).abs() < 0.01 && (words[1].1 - 1.5).abs() < 0.01 && (words[2].1 - 2.5).abs() < 0.01);
        assert!(spread("", &(0..second)).is_empty());
    }

    #[test]
    fn a_recording_is_read_at_any_rate_and_what_is_none_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tone.wav");
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        (0..16_000).for_each(|n| writer.write_sample((n % 64) as i16 * 100).unwrap());
        writer.finalize().unwrap();
        let samples = recorded(&path).unwrap();
        assert!(samples.len().abs_diff(CALLER_HZ as usize) < PIECE, "{}", samples.len());
        let text = folder.path().join("none.wav");
        std::fs::write(&text, "no sound").unwrap();
        assert!(matches!(recorded(&text), Err(NoSound::Decode { .. })));
        assert!(matches!(recorded(&folder.path().join("absent")), Err(NoSound::Read { .. })));
    }
}
