//! Headerless audio whose encoding, rate and channels the caller was told some other way.
//!
//! What a WebSocket client announces in its query and then sends message by message. PCM and G.711 may be cut
//! anywhere; an Opus message is one packet. Pure: bytes in, f32 channels out, errors by value.

use super::{
    g711::Law,
    opus::{self, OpusError},
    pcm::{Deinterleaver, SampleFormat},
};

/// Most channels that are taken apart.
pub const MAX_CHANNELS: usize = 32;

/// Lowest and highest sample rate of raw PCM and G.711.
pub const RATES_HZ: std::ops::RangeInclusive<u32> = 8_000..=192_000;

/// How raw audio is written. The names are those of the vendors' query parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Signed 16-bit little-endian PCM.
    Linear16,
    /// 32-bit little-endian IEEE float PCM; not 32-bit integers, whatever the name suggests.
    Linear32,
    /// G.711 mu-law.
    MuLaw,
    /// G.711 A-law.
    ALaw,
    /// Opus packets, one per message.
    Opus,
}

/// The announced format cannot be decoded, or a packet of it could not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RawError {
    /// The caller announced a rate that nothing sensible has.
    #[error("sample rate {0} Hz is not supported: send 8000 to 192000 Hz")]
    Rate(u32),
    /// The caller announced no channel or too many.
    #[error("{0} channels are not supported: send 1 to {MAX_CHANNELS}")]
    Channels(usize),
    /// Opus has its own limits, and its own broken packets.
    #[error(transparent)]
    Opus(#[from] OpusError),
}

/// A streaming decoder of raw audio.
pub struct RawDecoder(Kind);

enum Kind {
    Pcm(Deinterleaver),
    Opus(Box<opus::Decoder>),
}

impl RawDecoder {
    /// A decoder of `channels` interleaved channels at `rate_hz`; its output has the same rate.
    pub fn new(encoding: Encoding, rate_hz: u32, channels: usize) -> Result<Self, RawError> {
        if !RATES_HZ.contains(&rate_hz) {
            return Err(RawError::Rate(rate_hz));
        }
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(RawError::Channels(channels));
        }
        let format = match encoding {
            Encoding::Linear16 => SampleFormat::S16,
            Encoding::Linear32 => SampleFormat::F32,
            Encoding::MuLaw => SampleFormat::G711(Law::Mu),
            Encoding::ALaw => SampleFormat::G711(Law::A),
            Encoding::Opus => return Ok(Self(Kind::Opus(Box::new(opus::Decoder::new(rate_hz, channels)?)))),
        };
        Ok(Self(Kind::Pcm(Deinterleaver::new(format, channels))))
    }

    /// Appends the samples of one message to `out`, one vector per channel, in [-1, 1].
    ///
    /// The only error is an Opus message that is no packet; a concealment took its place and the next may follow.
    ///
    /// # Panics
    /// When `out` has not one vector per channel.
    pub fn push(&mut self, bytes: &[u8], out: &mut [Vec<f32>]) -> Result<(), RawError> {
        match &mut self.0 {
            Kind::Pcm(deinterleaver) => deinterleaver.push(bytes, out),
            Kind::Opus(decoder) => {
                decoder.push(bytes, out)?;
            }
        }
        Ok(())
    }

    /// Bytes of a frame that was begun and not finished: not zero at the end of a stream that was cut off.
    pub fn cut_bytes(&self) -> usize {
        match &self.0 {
            Kind::Pcm(deinterleaver) => deinterleaver.cut_bytes(),
            Kind::Opus(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stereo_is_taken_apart_also_when_cut_inside_a_sample() {
        let mut decoder = RawDecoder::new(Encoding::Linear16, 48_000, 2).unwrap();
        let mut out = [Vec::new(), Vec::new()];
        decoder.push(&[0, 0x40, 0], &mut out).unwrap();
        assert_eq!(decoder.cut_bytes(), 3);
        decoder.push(&[0xc0, 0, 0x20, 0, 0xe0], &mut out).unwrap();
        assert_eq!(out, [vec![0.5, 0.25], vec![-0.5, -0.25]]);
    }

    #[test]
    fn telephone_bytes_become_telephone_samples() {
        let mut decoder = RawDecoder::new(Encoding::MuLaw, 8_000, 1).unwrap();
        let mut out = [Vec::new()];
        decoder.push(&[0xff, 0x80, 0x00], &mut out).unwrap();
        assert_eq!(out[0], [0.0, 32_124.0 / 32_768.0, -32_124.0 / 32_768.0]);
    }

    #[test]
    fn impossible_announcements_are_refused_with_the_reason() {
        let refused = |encoding, rate, channels| RawDecoder::new(encoding, rate, channels).err().unwrap().to_string();
        assert_eq!(refused(Encoding::Linear16, 0, 1), "sample rate 0 Hz is not supported: send 8000 to 192000 Hz");
        assert_eq!(refused(Encoding::Linear16, 16_000, 33), "33 channels are not supported: send 1 to 32");
        assert_eq!(refused(Encoding::Linear16, 16_000, 0), "0 channels are not supported: send 1 to 32");
        assert!(refused(Encoding::Opus, 44_100, 1).contains("44100"));
        assert!(refused(Encoding::Opus, 48_000, 6).contains("one or two"));
    }

    #[test]
    fn a_hundred_and_ninety_two_kilohertz_of_thirty_two_channels_are_taken() {
        let mut decoder = RawDecoder::new(Encoding::Linear32, 192_000, 32).unwrap();
        let mut out = vec![Vec::new(); 32];
        let frame: Vec<u8> = (0..32).flat_map(|channel| (channel as f32 / 32.0).to_le_bytes()).collect();
        decoder.push(&frame, &mut out).unwrap();
        assert!(out.iter().enumerate().all(|(channel, samples)| samples == &[channel as f32 / 32.0]));
    }
}
