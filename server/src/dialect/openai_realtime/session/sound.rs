//! How sound is written in messages: as clients name it, and as the microphone and the voice of this server do. Pure.

use media::codec::raw::Encoding;
use serde_json::{Value, json};

use super::fields::{Fields, Refused};
use crate::{
    encode::{self, Coding},
    live::Input,
};

/// How sound is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// 24,000 samples of 16 bits in a second.
    Pcm,
    /// G.711 mu-law, 8,000 in a second.
    Mulaw,
    /// G.711 A-law, 8,000 in a second.
    Alaw,
}

impl Format {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Refused> {
        fields.only(&["type", "rate"])?;
        let format = match fields.text("type")? {
            Some("audio/pcm") => Self::Pcm,
            Some("audio/pcmu") => Self::Mulaw,
            Some("audio/pcma") => Self::Alaw,
            _ => return Err(fields.invalid("type", "expected audio/pcm, audio/pcmu or audio/pcma")),
        };
        let rate_hz = format.rate_hz();
        if fields.some("rate").is_some_and(|rate| rate.as_u64() != Some(u64::from(rate_hz))) {
            return Err(fields.invalid("rate", format!("is {rate_hz}, and no other")));
        }
        Ok(format)
    }

    /// As clients read it.
    pub(super) fn to_json(self) -> Value {
        match self {
            Self::Pcm => json!({"type": "audio/pcm", "rate": PCM_HZ}),
            Self::Mulaw => json!({"type": "audio/pcmu"}),
            Self::Alaw => json!({"type": "audio/pcma"}),
        }
    }

    /// Sound that comes so.
    pub(super) fn heard(self) -> Input {
        let encoding = match self {
            Self::Pcm => Encoding::Linear16,
            Self::Mulaw => Encoding::MuLaw,
            Self::Alaw => Encoding::ALaw,
        };
        Input::Raw { encoding, rate_hz: self.rate_hz(), channels: 1 }
    }

    /// Sound that goes so.
    pub(super) fn spoken(self) -> encode::Format {
        let coding = match self {
            Self::Pcm => Coding::Linear16,
            Self::Mulaw => Coding::Mulaw,
            Self::Alaw => Coding::Alaw,
        };
        encode::Format { coding, is_wav: false, rate_hz: self.rate_hz() }
    }

    /// How long so many bytes of it are, in milliseconds.
    pub(super) fn ms(self, bytes: u64) -> u64 {
        let sample_bytes = if self == Self::Pcm { 2 } else { 1 };
        bytes / (u64::from(self.rate_hz()) * sample_bytes / 1_000)
    }

    fn rate_hz(self) -> u32 {
        if self == Self::Pcm { PCM_HZ } else { G711_HZ }
    }
}

const PCM_HZ: u32 = 24_000;
const G711_HZ: u32 = 8_000;
