//! WAV, read in pieces as small as they come.
//!
//! Our own reader, because live senders write headers that a file reader refuses: a length of zero or of
//! "unknown" in front of audio that never ends, and sizes that do not add up. A block leaves as soon as whole
//! frames of it are there. Compressed WAV is refused by name. Reads from the metered source, allocates a
//! fixed buffer, believes no declared size.

use std::io::{self, Read};

use super::{
    Block, DecodeError, Losses, believable,
    contain::{Meter, Source, read_error},
    sniff::Container,
};
use crate::codec::{
    g711::Law,
    pcm::{Deinterleaver, SampleFormat},
};

/// Bytes that are read at once: 128 ms of 16 kHz mono when they are there, less when they are not.
const READ_BYTES: usize = 4_096;

/// Declared lengths from here on are what writers put who cannot know the length.
const UNKNOWN_LENGTH_BYTES: u64 = 0x7fff_0000;

/// A format chunk is at most this long; the rest of a longer one is skipped.
const FORMAT_CHUNK_BYTES: usize = 40;

pub(super) struct WavReader {
    source: Source,
    meter: Meter,
    rate_hz: u32,
    channels: usize,
    deinterleaver: Deinterleaver,
    /// What the header announced and has not come yet; `None` when the audio goes on to the end.
    remaining_bytes: Option<u64>,
    buffer: Vec<u8>,
    losses: Losses,
}

impl WavReader {
    /// Reads the header, up to the first byte of audio.
    pub(super) fn open(mut source: Source, meter: Meter) -> Result<Self, DecodeError> {
        let mut riff = [0; 12];
        fill(&mut source, &mut riff)?;
        let mut format = None;
        let mut long_data_bytes = None;
        loop {
            let mut header = [0; 8];
            fill(&mut source, &mut header)?;
            let [id @ .., a, b, c, d] = header;
            let declared_bytes = u64::from(u32::from_le_bytes([a, b, c, d]));
            match &id {
                b"fmt " => {
                    let mut chunk = [0; FORMAT_CHUNK_BYTES];
                    let here = FORMAT_CHUNK_BYTES.min(declared_bytes as usize);
                    fill(&mut source, &mut chunk[..here])?;
                    skip(&mut source, declared_bytes - here as u64 + declared_bytes % 2)?;
                    format = Some(WavFormat::parse(&chunk[..here])?);
                }
                b"ds64" => {
                    let mut sizes = [0; 16];
                    let here = sizes.len().min(declared_bytes as usize);
                    fill(&mut source, &mut sizes[..here])?;
                    skip(&mut source, declared_bytes - here as u64 + declared_bytes % 2)?;
                    let [_, _, _, _, _, _, _, _, data_bytes @ ..] = sizes;
                    long_data_bytes = Some(u64::from_le_bytes(data_bytes));
                }
                b"data" => {
                    let format = format.ok_or_else(|| damaged("the audio comes before its format"))?;
                    let declared_bytes = match long_data_bytes {
                        Some(long) if declared_bytes == u64::from(u32::MAX) => long,
                        _ => declared_bytes,
                    };
                    return Ok(Self::new(source, meter, format, declared_bytes));
                }
                _ => skip(&mut source, declared_bytes + declared_bytes % 2)?,
            }
        }
    }

    fn new(source: Source, meter: Meter, format: WavFormat, declared_bytes: u64) -> Self {
        let unknown = declared_bytes == 0
            || (UNKNOWN_LENGTH_BYTES..=u64::from(u32::MAX)).contains(&declared_bytes)
            || declared_bytes == u64::MAX;
        Self {
            source,
            meter,
            rate_hz: format.rate_hz,
            channels: format.channels,
            deinterleaver: Deinterleaver::new(format.samples, format.channels),
            remaining_bytes: (!unknown).then_some(declared_bytes),
            buffer: vec![0; READ_BYTES],
            losses: Losses::default(),
        }
    }

    /// The next audio that is there; `None` at the end.
    pub(super) fn next_block(&mut self) -> Result<Option<Block>, DecodeError> {
        let mut channels = vec![Vec::new(); self.channels];
        loop {
            let wanted = self.remaining_bytes.map_or(READ_BYTES, |left| left.min(READ_BYTES as u64) as usize);
            let read =
                self.source.read(&mut self.buffer[..wanted]).map_err(|error| read_error(Container::Wav, error))?;
            if read == 0 {
                self.losses.truncated = self.remaining_bytes.is_some_and(|left| left > 0);
                return Ok(None);
            }
            if let Some(left) = &mut self.remaining_bytes {
                *left -= read as u64;
            }
            self.deinterleaver.push(&self.buffer[..read], &mut channels);
            if !channels[0].is_empty() {
                self.meter.audio_found();
                return Ok(Some(Block { rate_hz: self.rate_hz, channels }));
            }
        }
    }

    pub(super) fn losses(&self) -> Losses {
        self.losses
    }
}

struct WavFormat {
    samples: SampleFormat,
    rate_hz: u32,
    channels: usize,
}

impl WavFormat {
    fn parse(chunk: &[u8]) -> Result<Self, DecodeError> {
        let Some(&[tag_a, tag_b, ch_a, ch_b, r0, r1, r2, r3, _, _, _, _, _, _, bits_a, bits_b]) = chunk.first_chunk()
        else {
            return Err(damaged("its format chunk is too short"));
        };
        let bits = u16::from_le_bytes([bits_a, bits_b]);
        let rate_hz = u32::from_le_bytes([r0, r1, r2, r3]);
        let channels = usize::from(u16::from_le_bytes([ch_a, ch_b]));
        believable(Container::Wav, rate_hz, channels)?;
        let tag = match u16::from_le_bytes([tag_a, tag_b]) {
            // Extensible: the real tag opens the identifier at offset 24.
            0xfffe => match chunk.get(24..26) {
                Some(&[a, b]) => u16::from_le_bytes([a, b]),
                _ => return Err(damaged("its extensible format chunk is too short")),
            },
            tag => tag,
        };
        let samples = match (tag, bits) {
            (1, 8) => SampleFormat::U8,
            (1, 16) => SampleFormat::S16,
            (1, 24) => SampleFormat::S24,
            (1, 32) => SampleFormat::S32,
            (3, 32) => SampleFormat::F32,
            (3, 64) => SampleFormat::F64,
            (6, 8) => SampleFormat::G711(Law::A),
            (7, 8) => SampleFormat::G711(Law::Mu),
            _ => {
                let name = match tag {
                    1 => "PCM",
                    2 | 0x11 => "ADPCM",
                    3 => "float",
                    0x31 => "GSM",
                    0x55 => "MP3",
                    _ => "an unknown codec",
                };
                let what = format!(
                    "it holds {name} of {bits} bits (format {tag:#06x}): send PCM of 8, 16, 24 or 32 bits, float, mu-law or A-law"
                );
                return Err(DecodeError::Unsupported { container: Container::Wav, what });
            }
        };
        Ok(Self { samples, rate_hz, channels })
    }
}

fn fill(source: &mut Source, buffer: &mut [u8]) -> Result<(), DecodeError> {
    source.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it ends inside its header"),
        _ => read_error(Container::Wav, error),
    })
}

/// Reads over `bytes`; that the data ends meanwhile shows at the next read.
fn skip(source: &mut Source, bytes: u64) -> Result<(), DecodeError> {
    io::copy(&mut source.take(bytes), &mut io::sink()).map_err(|error| read_error(Container::Wav, error))?;
    Ok(())
}

fn damaged(what: &str) -> DecodeError {
    DecodeError::Damaged { container: Container::Wav, what: what.to_owned() }
}
