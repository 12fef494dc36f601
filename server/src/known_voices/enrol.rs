//! From a recording of somebody who speaks to the print of their voice.
//!
//! Decodes what people record with (any container that a transcript can be made of), loads the voice model for the one
//! question, and lets go of both. The sound is kept nowhere. Blocks for about a second: called on a blocking thread.

use asr::diarize::print::{EnrolError, VoicePrint};
use media::{
    decode::{DecodeError, file::Decoder},
    ears::{Ears, Listen},
    frame::EAR_HZ,
};

use crate::{
    config::Config,
    engine::{self, Broken},
};

/// Why a recording makes no print.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// It cannot be decoded.
    #[error(transparent)]
    Media(#[from] DecodeError),
    /// It does not hold one voice that can be known.
    #[error(transparent)]
    Voice(#[from] EnrolError),
    /// This machine cannot tell voices apart: the voice model or the library is missing or broken.
    #[error(transparent)]
    Model(#[from] Broken),
}

impl Failed {
    /// Whether another recording may do.
    pub fn is_recordings(&self) -> bool {
        match self {
            Self::Media(error) => !matches!(error, DecodeError::Fault { .. } | DecodeError::Read(_)),
            Self::Voice(error) => error.is_recordings(),
            Self::Model(_) => false,
        }
    }
}

/// The voice in a recording of one person: its channels are heard as one, and of a long one the first two minutes.
///
/// # Errors
/// [`Failed`].
pub fn print(config: &Config, recording: Decoder) -> Result<VoicePrint, Failed> {
    // What is no sound is refused before a model is loaded for it.
    let sound = sound(recording)?;
    Ok(engine::enroller(config)?.hear(&sound)?)
}

/// 16 kHz mono. What comes after the first two minutes is not looked at, damaged or not.
fn sound(mut recording: Decoder) -> Result<Vec<f32>, DecodeError> {
    let Some(first) = recording.next_block()? else { return Err(DecodeError::Empty) };
    let rate_hz = first.rate_hz;
    let Ok(mut ears) = Ears::new(first.format(), Listen::Mixed) else {
        let what = format!("its sample rate of {rate_hz} Hz is not supported");
        return Err(DecodeError::Unsupported { container: recording.container(), what });
    };
    let mut lanes = [Vec::new()];
    ears.hear(&first.channels, &mut lanes);
    while lanes[0].len() < SAMPLES_MAX {
        match recording.next_block()? {
            Some(block) => ears.hear(&block.channels, &mut lanes),
            None => break,
        }
    }
    ears.flush(&mut lanes);
    let [sound] = lanes;
    Ok(sound)
}

/// Two minutes, and a block.
const SAMPLES_MAX: usize = 120 * EAR_HZ as usize;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A WAV file, 16-bit, of a tone on every channel.
    fn wav(rate_hz: u32, channels: u16, seconds: u32) -> Decoder {
        let spec = hound::WavSpec {
            channels,
            sample_rate: rate_hz,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        for at in 0..rate_hz * seconds * u32::from(channels) {
            writer.write_sample((at % 64) as i16 * 100).unwrap();
        }
        writer.finalize().unwrap();
        Decoder::open(Cursor::new(bytes.into_inner())).unwrap()
    }

    #[test]
    fn any_rate_and_any_channels_become_what_the_model_hears() {
        for (rate_hz, channels) in [(8_000, 1), (44_100, 2), (16_000, 1)] {
            let samples = sound(wav(rate_hz, channels, 3)).unwrap().len();
            assert!((47_000..=49_000).contains(&samples), "{rate_hz} Hz: {samples}");
        }
    }

    #[test]
    fn a_long_recording_is_read_for_two_minutes() {
        let samples = sound(wav(8_000, 1, 200)).unwrap().len();
        assert!((SAMPLES_MAX..SAMPLES_MAX + 16 * 16_000).contains(&samples), "{samples}");
    }

    #[test]
    fn what_is_no_sound_is_the_recordings_fault() {
        assert!(Decoder::open(Cursor::new(b"no sound at all".to_vec())).is_err());
        let error = Failed::from(DecodeError::Empty);
        assert!(error.is_recordings());
        assert!(!Failed::from(DecodeError::Read(std::io::ErrorKind::Other.into())).is_recordings());
        assert!(Failed::from(EnrolError::Silent).is_recordings());
    }
}
