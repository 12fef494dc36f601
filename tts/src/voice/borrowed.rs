//! One voice heard as part of another: at the rate of the whole, from a word and a sample onwards.

use std::sync::atomic::AtomicBool;

use media::dsp::resample::Resampler;

use super::{Error, Made, Sentence, Voice};

/// Where in a sentence a borrowed voice takes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Onset {
    /// Words of the whole sentence that lie before.
    pub(crate) words: usize,
    /// Samples that lie before, at the rate of the whole.
    pub(crate) samples: u64,
}

/// Lets `voice` speak `sentence`, which begins at `from` in the whole, and hands over what it makes at `rate_hz`.
pub(crate) fn speak(
    voice: &dyn Voice,
    sentence: &Sentence,
    rate_hz: u32,
    from: Onset,
    stop: &AtomicBool,
    made: &mut dyn FnMut(Made<'_>),
) -> Result<(), Error> {
    let voice_hz = voice.info().rate_hz;
    if voice_hz == rate_hz && from == Onset::default() {
        return voice.speak(sentence, stop, made);
    }
    let mut resampler = Resampler::new(voice_hz, rate_hz).map_err(|error| Error::Failed(error.to_string()))?;
    let mut resampled = Vec::new();
    let mut hand_over = |what: Made<'_>| match what {
        Made::Samples(samples) => {
            resampled.clear();
            resampler.process(samples, &mut resampled);
            if !resampled.is_empty() {
                made(Made::Samples(&resampled));
            }
        }
        Made::Word { index, at_sample } => {
            let at_sample = from.samples + at_sample * u64::from(rate_hz) / u64::from(voice_hz);
            made(Made::Word { index: from.words + index, at_sample });
        }
        Made::Instead => made(Made::Instead),
    };
    voice.speak(sentence, stop, &mut hand_over)?;
    resampled.clear();
    resampler.flush(&mut resampled);
    if !resampled.is_empty() {
        made(Made::Samples(&resampled));
    }
    Ok(())
}
