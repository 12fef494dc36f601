//! A voice for tests: each word is a short tone whose pitch is its length, so that what was said can be counted.
//!
//! The word `fail` makes it fail and `panic` makes it panic.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::voice::{Error, Info, Made, Sentence, Voice};

/// Samples of a word: 100 ms, of which the last fifth is silent.
pub const WORD_SAMPLES: usize = 1_600;

/// The voice.
pub struct Fake {
    info: Info,
}

impl Default for Fake {
    fn default() -> Self {
        Self { info: Info { engine: "fake", rate_hz: 16_000 } }
    }
}

impl Voice for Fake {
    fn info(&self) -> &Info {
        &self.info
    }

    fn ready(&self) -> Result<(), Error> {
        Ok(())
    }

    fn speak(&self, sentence: &Sentence, stop: &AtomicBool, made: &mut dyn FnMut(Made<'_>)) -> Result<(), Error> {
        for (index, word) in sentence.words.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            match word.spoken.trim_end_matches(|c: char| !c.is_alphanumeric()) {
                "fail" => return Err(Error::Failed("it was told to".to_owned())),
                "panic" => panic!("it was told to"),
                _ => {}
            }
            made(Made::Word { index, at_sample: (index * WORD_SAMPLES) as u64 });
            let hz = 200.0 + 40.0 * word.spoken.chars().count() as f32;
            let mut samples = [0.0; WORD_SAMPLES];
            for (n, sample) in samples.iter_mut().take(WORD_SAMPLES * 4 / 5).enumerate() {
                *sample = 0.3 * (std::f32::consts::TAU * hz * n as f32 / 16_000.0).sin();
            }
            made(Made::Samples(&samples));
        }
        Ok(())
    }
}
