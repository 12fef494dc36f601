//! The codecs of a call behind one name each way: a packet of mono samples out, a packet in.
//!
//! Made on a control thread for one direction of one leg; encoding, decoding and concealing run on the engine's
//! thread and never allocate. Which codec it is was agreed elsewhere, and so was the length of packets.

use super::{
    g711::Law,
    g722, l16,
    opus::live::{self, BadOptions},
    pcm::sound,
};
use crate::rtp::{quality::Robustness, seq::Clock};

/// How Opus encodes a voice.
pub use super::opus::live::Options as OpusOptions;

/// What was agreed on for one leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// G.711 mu-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s.
    G722,
    /// Opus.
    Opus(live::Options),
    /// Plain samples of 16 bits, mono.
    L16 {
        /// Samples in a second: 8,000, 16,000, 24,000 or 48,000 where it is to meet the graph.
        rate_hz: u32,
    },
}

impl Codec {
    /// How its timestamps tick and its sound is sampled.
    pub const fn clock(self) -> Clock {
        match self {
            Self::Pcmu | Self::Pcma => Clock::TELEPHONE,
            Self::G722 => Clock::G722,
            Self::Opus(_) => Clock::OPUS,
            Self::L16 { rate_hz } => Clock::of_samples(rate_hz),
        }
    }

    /// Samples in a second on our side of it.
    pub const fn sample_hz(self) -> u32 {
        self.clock().sample_hz
    }

    /// Its name in SDP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus(_) => "opus",
            Self::L16 { .. } => "L16",
        }
    }

    /// Whether a packet of `other` is decoded as one of this: how it is encoded does not matter for that.
    pub fn is_decoded_as(self, other: Self) -> bool {
        self == other || matches!((self, other), (Self::Opus(_), Self::Opus(_)))
    }

    /// Room for a payload of `packet_ms`, in bytes: exactly its length for all but Opus.
    pub const fn payload_bytes(self, packet_ms: u32) -> usize {
        let bytes_per_s = match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
            // Far above its average, which the far end's encoder need not share: room that is too small would be
            // made on the engine's thread.
            Self::Opus(options) => options.bitrate_bps / 8 * 3,
            Self::L16 { rate_hz } => 2 * rate_hz,
        };
        let bytes = (bytes_per_s as u64 * packet_ms as u64 / 1_000) as usize;
        if matches!(self, Self::Opus(_)) && bytes > live::FRAME_MAX_BYTES { live::FRAME_MAX_BYTES } else { bytes }
    }

    /// How it bears loss, for an estimate of quality. For wideband codecs the model's narrowband scale is kept, on
    /// which they start as good as G.711.
    pub const fn robustness(self) -> Robustness {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::L16 { .. } => Robustness::G711_CONCEALED,
            // G.113 has no figure for it: with its copies it stands about twice the loss.
            Self::Opus(_) => Robustness { impairment: 0.0, stands_loss: 50.0 },
        }
    }
}

/// Samples into packets.
pub struct Encoder(Encoding);

#[expect(clippy::large_enum_variant, reason = "one for each leg, and a box would be one more hop in every packet")]
enum Encoding {
    G711(Law),
    G722(g722::Encoder),
    Opus(live::Encoder),
    L16,
}

impl Encoder {
    /// An encoder of `codec`.
    ///
    /// # Errors
    /// When the options of Opus are out of range.
    pub fn new(codec: Codec) -> Result<Self, BadOptions> {
        Ok(Self(match codec {
            Codec::Pcmu => Encoding::G711(Law::Mu),
            Codec::Pcma => Encoding::G711(Law::A),
            Codec::G722 => Encoding::G722(g722::Encoder::default()),
            Codec::Opus(options) => Encoding::Opus(live::Encoder::new(options)?),
            Codec::L16 { .. } => Encoding::L16,
        }))
    }

    /// Encodes the samples of one packet to the front of `out`; how many bytes that were, 0 when there is nothing
    /// to send. What `out` has no room for is left out.
    pub fn encode(&mut self, samples: &[f32], out: &mut [u8]) -> usize {
        match &mut self.0 {
            Encoding::G711(law) => {
                for (byte, sample) in out.iter_mut().zip(samples) {
                    *byte = law.encode(*sample);
                }
                samples.len().min(out.len())
            }
            Encoding::G722(encoder) => encoder.encode(samples, out),
            Encoding::Opus(encoder) => encoder.encode(samples, out),
            Encoding::L16 => l16::encode(samples, out),
        }
    }

    /// Tells which share of packets, 0 to 1, the far end misses; only Opus can do something about it.
    pub fn expect_loss(&mut self, share: f32) {
        if let Encoding::Opus(encoder) = &mut self.0 {
            encoder.expect_loss(share);
        }
    }
}

/// Packets into samples.
pub struct Decoder(Decoding);

#[expect(clippy::large_enum_variant, reason = "one for each leg, and a box would be one more hop in every packet")]
enum Decoding {
    G711(Law),
    G722(g722::Decoder),
    Opus(live::Decoder),
    L16,
}

impl Decoder {
    /// A decoder of `codec`.
    ///
    /// # Errors
    /// When there is no memory for that of Opus.
    pub fn new(codec: Codec) -> Result<Self, BadOptions> {
        Ok(Self(match codec {
            Codec::Pcmu => Decoding::G711(Law::Mu),
            Codec::Pcma => Decoding::G711(Law::A),
            Codec::G722 => Decoding::G722(g722::Decoder::default()),
            Codec::Opus(_) => Decoding::Opus(live::Decoder::new()?),
            Codec::L16 { .. } => Decoding::L16,
        }))
    }

    /// Decodes a packet to the front of `out`; how many samples that were, `None` when it cannot be decoded.
    pub fn decode(&mut self, payload: &[u8], out: &mut [f32]) -> Option<usize> {
        let samples = match &mut self.0 {
            Decoding::G711(law) => {
                let values = law.samples();
                for (sample, byte) in out.iter_mut().zip(payload) {
                    *sample = values[usize::from(*byte)];
                }
                payload.len().min(out.len())
            }
            Decoding::G722(decoder) => decoder.decode(payload, out),
            Decoding::Opus(decoder) => clipped(decoder.decode(payload, out)?, out),
            Decoding::L16 => l16::decode(payload, out),
        };
        (samples > 0).then_some(samples)
    }

    /// Makes up `samples` missing samples, or a few more, to the front of `out`; `next` is the payload right behind
    /// them. `None` when the codec has no concealment of its own.
    pub fn conceal(&mut self, samples: usize, next: Option<&[u8]>, out: &mut [f32]) -> Option<usize> {
        match &mut self.0 {
            Decoding::Opus(decoder) => Some(clipped(decoder.conceal(samples, next, out)?, out)),
            Decoding::G711(_) | Decoding::G722(_) | Decoding::L16 => None,
        }
    }
}

/// Keeps decoded sound within full scale: Opus overshoots what it was given.
fn clipped(samples: usize, out: &mut [f32]) -> usize {
    out[..samples].iter_mut().for_each(|sample| *sample = sound(*sample));
    samples
}
