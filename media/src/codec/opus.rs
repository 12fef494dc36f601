//! Opus packets to f32 channels, and the identification header that containers carry with them.
//!
//! One or two channels (mapping family 0). A packet that cannot be decoded is concealed with what the codec
//! makes of a lost one, so that later audio keeps its time. Wraps libopus; no threads, no clocks.

pub mod live;

use super::pcm::sound;

/// Rates at which libopus can give its output.
pub const RATES_HZ: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];

/// The longest packet: 120 ms at 48 kHz.
const MAX_PACKET_SAMPLES: usize = 5_760;

/// Why Opus cannot be decoded here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpusError {
    /// The caller asked for an output rate that the codec does not have.
    #[error("Opus has no sample rate of {0} Hz: give 8000, 12000, 16000, 24000 or 48000")]
    Rate(u32),
    /// More channels than a single Opus stream carries.
    #[error("Opus with {0} channels is not supported: send one or two")]
    Channels(usize),
    /// Surround or another mapping of several streams into one.
    #[error("Opus channel mapping family {0} is not supported: send family 0 (mono or stereo)")]
    MappingFamily(u8),
    /// The identification header is too short or of another version.
    #[error("the OpusHead header is damaged")]
    Head,
    /// The bytes are not an Opus packet; a concealment took its place.
    #[error("not an Opus packet: {0}")]
    Packet(String),
}

/// What the identification header ("OpusHead", RFC 7845 section 5.1) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// One or two.
    pub channels: usize,
    /// Samples at 48 kHz to drop from the start.
    pub pre_skip: u16,
    /// Gain to apply, in 1/256 dB.
    pub gain_q8: i16,
}

impl Head {
    /// Reads the header as Ogg, Matroska and MP4 store it.
    ///
    /// MP4 keeps the same fields with version 0 and the big end first.
    pub fn parse(bytes: &[u8]) -> Result<Self, OpusError> {
        let fields =
            bytes.strip_prefix(b"OpusHead").and_then(|rest| rest.first_chunk::<11>()).ok_or(OpusError::Head)?;
        let &[version, channels, skip_a, skip_b, _, _, _, _, gain_a, gain_b, family] = fields;
        let (pre_skip, gain_q8) = match version {
            0 => (u16::from_be_bytes([skip_a, skip_b]), i16::from_be_bytes([gain_a, gain_b])),
            1..=15 => (u16::from_le_bytes([skip_a, skip_b]), i16::from_le_bytes([gain_a, gain_b])),
            _ => return Err(OpusError::Head),
        };
        match (family, channels) {
            (0, 1 | 2) => Ok(Self { channels: usize::from(channels), pre_skip, gain_q8 }),
            (0, _) => Err(OpusError::Channels(usize::from(channels))),
            (family, _) => Err(OpusError::MappingFamily(family)),
        }
    }
}

/// Decoder of one stream of packets.
pub struct Decoder {
    inner: ::opus::Decoder,
    channels: usize,
    interleaved: Vec<f32>,
    /// Samples of the last packet and channel: what a lost one is taken to have been.
    last_samples: usize,
}

impl Decoder {
    /// A decoder that gives `channels` channels at `rate_hz`, whatever the packets hold.
    pub fn new(rate_hz: u32, channels: usize) -> Result<Self, OpusError> {
        let mode = match channels {
            1 => ::opus::Channels::Mono,
            2 => ::opus::Channels::Stereo,
            _ => return Err(OpusError::Channels(channels)),
        };
        if !RATES_HZ.contains(&rate_hz) {
            return Err(OpusError::Rate(rate_hz));
        }
        let inner = ::opus::Decoder::new(rate_hz, mode).map_err(|_| OpusError::Rate(rate_hz))?;
        let interleaved = vec![0.0; MAX_PACKET_SAMPLES * channels];
        Ok(Self { inner, channels, interleaved, last_samples: rate_hz as usize / 50 })
    }

    /// A decoder at 48 kHz for the stream that `head` announces, its gain applied.
    pub fn for_head(head: Head) -> Result<Self, OpusError> {
        let mut decoder = Self::new(48_000, head.channels)?;
        decoder.inner.set_gain(i32::from(head.gain_q8)).map_err(|_| OpusError::Head)?;
        Ok(decoder)
    }

    /// Appends the samples of one packet to `out`, one vector per channel, and says how many each got.
    ///
    /// On [`OpusError::Packet`] a concealment of the length of the packet before was appended.
    ///
    /// # Panics
    /// When `out` has not one vector per channel.
    pub fn push(&mut self, packet: &[u8], out: &mut [Vec<f32>]) -> Result<usize, OpusError> {
        assert_eq!(out.len(), self.channels, "one vector per channel");
        // To libopus an empty packet means a lost one; to us it is a broken one.
        let decoded = if packet.is_empty() {
            Err(OpusError::Packet("it is empty".to_owned()))
        } else {
            self.inner
                .decode_float(packet, &mut self.interleaved, false)
                .map_err(|e| OpusError::Packet(e.description().to_owned()))
        };
        match decoded {
            Ok(samples) => {
                self.last_samples = samples;
                self.hand_out(samples, out);
                Ok(samples)
            }
            Err(error) => {
                let lost = self.last_samples * self.channels;
                let concealed = self.inner.decode_float(&[], &mut self.interleaved[..lost], false);
                let samples = concealed.unwrap_or_else(|_| {
                    self.interleaved[..lost].fill(0.0);
                    self.last_samples
                });
                self.hand_out(samples, out);
                Err(error)
            }
        }
    }

    fn hand_out(&self, samples: usize, out: &mut [Vec<f32>]) {
        for (channel, out) in out.iter_mut().enumerate() {
            let decoded = &self.interleaved[..samples * self.channels];
            out.extend(decoded.iter().skip(channel).step_by(self.channels).map(|&s| sound(s)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dsp::level::rms_dbfs;

    fn packets(frames: usize) -> Vec<Vec<u8>> {
        let mut encoder = ::opus::Encoder::new(48_000, ::opus::Channels::Mono, ::opus::Application::Audio).unwrap();
        let tone: Vec<f32> = (0..960 * frames).map(|n| 0.5 * (n as f32 * std::f32::consts::TAU / 96.0).sin()).collect();
        tone.chunks(960).map(|frame| encoder.encode_vec_float(frame, 1_275).unwrap()).collect()
    }

    #[test]
    fn a_tone_keeps_its_level_at_every_rate() {
        for rate_hz in RATES_HZ {
            let mut decoder = Decoder::new(rate_hz, 1).unwrap();
            let mut out = [Vec::new()];
            for packet in packets(50) {
                assert_eq!(decoder.push(&packet, &mut out), Ok(rate_hz as usize / 50));
            }
            let level = rms_dbfs(&out[0][rate_hz as usize / 2..]);
            assert!((level + 9.03).abs() < 0.5, "{rate_hz} Hz: {level} dBFS");
        }
    }

    #[test]
    fn a_broken_packet_is_reported_and_keeps_its_place_in_time() {
        let mut decoder = Decoder::new(48_000, 1).unwrap();
        let mut out = [Vec::new()];
        decoder.push(&packets(1)[0], &mut out).unwrap();
        assert!(matches!(decoder.push(&[0xff; 3], &mut out), Err(OpusError::Packet(_))));
        assert!(matches!(decoder.push(&[], &mut out), Err(OpusError::Packet(_))));
        assert_eq!(out[0].len(), 3 * 960);
    }

    #[test]
    fn headers_of_both_byte_orders_are_read() {
        let ogg = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\x01\0";
        let mp4 = b"OpusHead\x00\x02\x01\x38\0\0\xbb\x80\x01\0\0";
        let expected = Head { channels: 2, pre_skip: 312, gain_q8: 256 };
        assert_eq!(Head::parse(ogg), Ok(expected));
        assert_eq!(Head::parse(mp4), Ok(expected));
    }

    #[test]
    fn surround_is_refused_with_its_family() {
        let head = b"OpusHead\x01\x06\x38\x01\x80\xbb\0\0\0\0\x01\x04\x02\0\x04\x01\x02\x03\x05";
        assert_eq!(Head::parse(head), Err(OpusError::MappingFamily(1)));
    }

    proptest! {
        #[test]
        fn any_bytes_give_samples_in_range(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..10)) {
            let mut decoder = Decoder::new(16_000, 2).unwrap();
            let mut out = [Vec::new(), Vec::new()];
            for packet in packets {
                let _ = decoder.push(&packet, &mut out);
            }
            prop_assert_eq!(out[0].len(), out[1].len());
            prop_assert!(out.iter().flatten().all(|s| (-1.0..=1.0).contains(s)));
        }
    }
}
