//! Any audio file or upload into blocks, one after the other.
//!
//! [`Decoder`] blocks on the reader it was given, so an async caller runs it on a blocking thread or hands the
//! bytes to [`stream`](super::stream). It reads ahead a few tens of KiB and keeps one packet of audio, however
//! long the file is.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use super::{
    Block, DecodeError, Losses,
    contain::{Meter, ReadSeek, Source},
    packets::{End, PacketReader},
    sniff::{self, Container, ENOUGH_BYTES},
    wav::WavReader,
};

/// How much of the beginning is looked at.
const BEGINNING_BYTES: usize = 512;

/// Tags in front of the audio that are skipped; more are no tags.
const MAX_TAGS: usize = 4;

/// Boxes of an MP4 that are looked at to see whether it is whole: two per fragment, hours of fragments.
const MAX_BOXES: usize = 20_000;

/// A decoder of one file: an iterator of blocks that can fail.
pub struct Decoder {
    container: Container,
    reader: Reader,
}

enum Reader {
    Wav(WavReader),
    Packets(Box<PacketReader>),
}

impl Decoder {
    /// Opens a file, a cursor over bytes, or anything else that can be positioned.
    pub fn open(file: impl Read + Seek + Send + 'static) -> Result<Self, DecodeError> {
        let mut file: Box<dyn ReadSeek> = Box::new(file);
        let beginning = Beginning::read(&mut file)?;
        if beginning.container == Container::Mp4 && !is_cut_mp4(&mut file)? {
            // An MP4 may keep its index at the end: only here the file is read back and forth.
            let meter = Meter::default();
            let source = Source::file(file, meter.clone())?;
            return Self::packets(Container::Mp4, End::Marked, source, meter);
        }
        file.seek(SeekFrom::Start(beginning.offset_bytes))?;
        Self::onwards(beginning.container, &beginning.bytes, Box::new(file))
    }

    /// Opens bytes that can only be read onwards, blocking where they are not there yet.
    pub fn open_stream(mut reader: impl Read + Send + 'static) -> Result<Self, DecodeError> {
        let beginning = Beginning::read(&mut reader)?;
        let looked_at = Cursor::new(beginning.bytes.clone());
        Self::onwards(beginning.container, &beginning.bytes, Box::new(looked_at.chain(reader)))
    }

    fn onwards(container: Container, beginning: &[u8], reader: Box<dyn Read + Send>) -> Result<Self, DecodeError> {
        let meter = Meter::default();
        let source = Source::stream(reader, meter.clone());
        if container == Container::Wav {
            return Ok(Self { container, reader: Reader::Wav(WavReader::open(source, meter)?) });
        }
        let end = match (container, sniff::webm_end_byte(beginning)) {
            (Container::WebM, Some(announced)) => End::AtByte(announced),
            (Container::WebM, None) => End::Open,
            _ => End::Marked,
        };
        Self::packets(container, end, source, meter).map_err(|error| match error {
            DecodeError::Unsupported { container: Container::Mp4, what } => DecodeError::Unsupported {
                container: Container::Mp4,
                what: format!(
                    "{what}; as a stream it needs its index (moov) before its audio, which \"faststart\" does"
                ),
            },
            error => error,
        })
    }

    fn packets(container: Container, end: End, source: Source, meter: Meter) -> Result<Self, DecodeError> {
        let reader = PacketReader::open(container, end, source, meter)?;
        Ok(Self { container, reader: Reader::Packets(Box::new(reader)) })
    }

    /// What the bytes turned out to be.
    pub fn container(&self) -> Container {
        self.container
    }

    /// The next audio; `None` at the end. After an error there is nothing more.
    pub fn next_block(&mut self) -> Result<Option<Block>, DecodeError> {
        match &mut self.reader {
            Reader::Wav(wav) => wav.next_block(),
            Reader::Packets(packets) => packets.next_block(),
        }
    }

    /// What was missing so far; complete after the end.
    pub fn losses(&self) -> Losses {
        match &self.reader {
            Reader::Wav(wav) => wav.losses(),
            Reader::Packets(packets) => packets.losses(),
        }
    }
}

impl Iterator for Decoder {
    type Item = Result<Block, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_block().transpose()
    }
}

/// The first bytes after any tags, and what they say.
struct Beginning {
    container: Container,
    offset_bytes: u64,
    bytes: Vec<u8>,
}

impl Beginning {
    fn read(reader: &mut impl Read) -> Result<Self, DecodeError> {
        let mut bytes = Vec::new();
        let mut offset_bytes = 0;
        look(reader, &mut bytes)?;
        if bytes.is_empty() {
            return Err(DecodeError::Empty);
        }
        for _ in 0..MAX_TAGS {
            let Some(tag_bytes) = sniff::id3_bytes(&bytes) else { break };
            offset_bytes += tag_bytes;
            if tag_bytes as usize <= bytes.len() {
                bytes.drain(..tag_bytes as usize);
            } else {
                // At most 256 MiB, as the size has 28 bits; read over, not kept.
                io::copy(&mut reader.take(tag_bytes - bytes.len() as u64), &mut io::sink())?;
                bytes.clear();
            }
            look(reader, &mut bytes)?;
        }
        Ok(Self { container: sniff::sniff(&bytes)?, offset_bytes, bytes })
    }
}

/// Whether the index of an MP4 is there and something after it is not: read onwards it gives what is left.
fn is_cut_mp4(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let length_bytes = file.seek(SeekFrom::End(0))?;
    let (mut at, mut indexed) = (0, false);
    for _ in 0..MAX_BOXES {
        if at >= length_bytes {
            return Ok(indexed && at > length_bytes);
        }
        file.seek(SeekFrom::Start(at))?;
        let mut header = Vec::new();
        file.take(16).read_to_end(&mut header)?;
        let Some((&[a, b, c, d, ref kind @ ..], long)) = header.split_first_chunk::<8>() else { return Ok(indexed) };
        let size = match (u32::from_be_bytes([a, b, c, d]), long.first_chunk()) {
            (0, _) => return Ok(false),
            (1, Some(&long)) => u64::from_be_bytes(long),
            (size, _) => u64::from(size),
        };
        indexed |= kind == b"moov";
        // No box is smaller than its header.
        at = at.saturating_add(size.max(8));
    }
    Ok(false)
}

/// Reads until there is enough to judge, and no more than has come by then.
fn look(reader: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; BEGINNING_BYTES];
    while bytes.len() < ENOUGH_BYTES {
        match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
