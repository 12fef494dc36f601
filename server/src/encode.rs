//! Speech as bytes: the formats in which clients want what is spoken, made while it is spoken.
//!
//! Pure but for libopus: samples in, bytes out. What is not made here is not pretended to be: MP3 and AAC have no
//! encoder in this server, and whoever asks for them is told so.

mod flac;

use media::{
    codec::{g711::Law, l16, raw::Encoding},
    record::OggOpus,
};

use self::flac::Flac;

/// The rate of Opus, whatever is put into it.
pub const OPUS_HZ: u32 = 48_000;

/// How samples become bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// 16 bits, the low byte first.
    Linear16,
    /// G.711 mu-law.
    Mulaw,
    /// G.711 A-law.
    Alaw,
    /// FLAC.
    Flac,
    /// Opus in Ogg.
    Opus,
}

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// How samples become bytes.
    pub coding: Coding,
    /// Whether the header of a WAV file stands before them; FLAC and Opus have their own.
    pub is_wav: bool,
    /// Samples in a second.
    pub rate_hz: u32,
}

impl Format {
    /// Its media type.
    pub fn media_type(self) -> String {
        let Self { coding, is_wav, rate_hz } = self;
        match coding {
            Coding::Flac => "audio/flac".to_owned(),
            Coding::Opus => "audio/ogg; codecs=opus".to_owned(),
            _ if is_wav => "audio/wav".to_owned(),
            Coding::Linear16 => format!("audio/l16;rate={rate_hz}"),
            Coding::Mulaw => format!("audio/mulaw;rate={rate_hz}"),
            Coding::Alaw => format!("audio/alaw;rate={rate_hz}"),
        }
    }
}

/// Makes one file or stream.
pub struct Encoder(Making);

enum Making {
    Linear16,
    G711(Law),
    Flac(Flac),
    Opus(Box<OggOpus>),
}

impl Encoder {
    /// Begins; the header, where there is one, is appended to `out`.
    ///
    /// # Errors
    /// When libopus has no memory.
    pub fn begin(format: Format, bitrate_bps: u32, out: &mut Vec<u8>) -> Result<Self, String> {
        let Format { coding, is_wav, rate_hz } = format;
        if is_wav && !matches!(coding, Coding::Flac | Coding::Opus) {
            let encoding = match coding {
                Coding::Mulaw => Encoding::MuLaw,
                Coding::Alaw => Encoding::ALaw,
                Coding::Linear16 | Coding::Flac | Coding::Opus => Encoding::Linear16,
            };
            out.extend_from_slice(&wav_header(encoding, rate_hz, 1, None));
        }
        Ok(Self(match coding {
            Coding::Linear16 => Making::Linear16,
            Coding::Mulaw => Making::G711(Law::Mu),
            Coding::Alaw => Making::G711(Law::A),
            Coding::Flac => Making::Flac(Flac::begin(rate_hz, out)),
            Coding::Opus => {
                let opus = OggOpus::begin(bitrate_bps, SERIAL, "speech", out).map_err(|error| error.to_string())?;
                Making::Opus(Box::new(opus))
            }
        }))
    }

    /// Takes samples and appends the bytes that they complete.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) {
        match &mut self.0 {
            Making::Linear16 => linear16(samples, out),
            Making::G711(law) => out.extend(samples.iter().map(|sample| law.encode(*sample))),
            Making::Flac(flac) => flac.push(samples, out),
            Making::Opus(opus) => opus.push(samples, out),
        }
    }

    /// Ends: what is left is appended.
    pub fn finish(self, out: &mut Vec<u8>) {
        match self.0 {
            Making::Linear16 | Making::G711(_) => {}
            Making::Flac(flac) => flac.finish(out),
            Making::Opus(opus) => opus.finish(out),
        }
    }
}

/// Appends samples of 16 bits, the low byte first.
pub fn linear16(samples: &[f32], out: &mut Vec<u8>) {
    // The codec is the one of the wire, which has the high byte first.
    let from = out.len();
    out.resize(from + 2 * samples.len(), 0);
    l16::encode(samples, &mut out[from..]);
    out[from..].as_chunks_mut::<2>().0.iter_mut().for_each(|pair| pair.swap(0, 1));
}

/// A canonical WAV header. Lengths that are not known, or do not fit its 32 bits, are written as unknown: to the end.
pub fn wav_header(encoding: Encoding, rate_hz: u32, channels: u16, data_bytes: Option<u64>) -> Vec<u8> {
    let (tag, sample_bytes): (u16, u16) = match encoding {
        Encoding::Linear16 => (1, 2),
        Encoding::Linear32 => (3, 4),
        Encoding::ALaw => (6, 1),
        Encoding::MuLaw | Encoding::Opus => (7, 1),
    };
    let block_bytes = sample_bytes * channels;
    let data_bytes =
        data_bytes.and_then(|bytes| u32::try_from(bytes).ok()).filter(|bytes| bytes.checked_add(36).is_some());
    let mut header = Vec::with_capacity(44);
    header.extend_from_slice(b"RIFF");
    header.extend_from_slice(&data_bytes.map_or(u32::MAX, |bytes| bytes + 36).to_le_bytes());
    header.extend_from_slice(b"WAVEfmt ");
    header.extend_from_slice(&16_u32.to_le_bytes());
    header.extend_from_slice(&tag.to_le_bytes());
    header.extend_from_slice(&channels.to_le_bytes());
    header.extend_from_slice(&rate_hz.to_le_bytes());
    header.extend_from_slice(&(rate_hz * u32::from(block_bytes)).to_le_bytes());
    header.extend_from_slice(&block_bytes.to_le_bytes());
    header.extend_from_slice(&(sample_bytes * 8).to_le_bytes());
    header.extend_from_slice(b"data");
    header.extend_from_slice(&data_bytes.unwrap_or(u32::MAX).to_le_bytes());
    header
}

/// The number of a stream in its Ogg file, which has one.
const SERIAL: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(coding: Coding, is_wav: bool, samples: &[f32]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = Encoder::begin(Format { coding, is_wav, rate_hz: 8_000 }, 32_000, &mut out).unwrap();
        samples.chunks(7).for_each(|some| encoder.push(some, &mut out));
        encoder.finish(&mut out);
        out
    }

    #[test]
    fn samples_have_their_low_byte_first_and_laws_one_byte() {
        assert_eq!(encoded(Coding::Linear16, false, &[0.0, 1.0, -1.0]), [0, 0, 0xff, 0x7f, 0x00, 0x80]);
        assert_eq!(encoded(Coding::Mulaw, false, &[0.0]), [0xff]);
        assert_eq!(encoded(Coding::Alaw, false, &[0.0]), [0xd5]);
    }

    #[test]
    fn a_header_says_what_follows() {
        let wav = encoded(Coding::Linear16, true, &[0.0; 4]);
        assert_eq!((wav.len(), &wav[..4], &wav[8..16]), (44 + 8, &b"RIFF"[..], &b"WAVEfmt "[..]));
        assert_eq!((wav[20], wav[34], u32::from_le_bytes([wav[24], wav[25], wav[26], wav[27]])), (1, 16, 8_000));
        let mulaw = encoded(Coding::Mulaw, true, &[0.0; 4]);
        assert_eq!((mulaw.len(), mulaw[20], mulaw[34]), (44 + 4, 7, 8));
        assert!(encoded(Coding::Flac, true, &[0.0; 4]).starts_with(b"fLaC"));
        assert!(encoded(Coding::Opus, true, &[0.0; 4]).starts_with(b"OggS"));
    }
}
