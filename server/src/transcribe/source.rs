//! Where the bytes of a recording come from, and how far they have been read.

use std::{
    fmt,
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use media::decode::{DecodeError, file::Decoder};

use super::TranscribeError;

/// A recording.
pub enum Source {
    /// A file by name.
    Path(PathBuf),
    /// An open file, read from its beginning; it may have no name any more.
    File(File),
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes that can only be read onwards, such as standard input.
    Stream(Box<dyn Read + Send>),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "Path({})", path.display()),
            Self::File(_) => f.write_str("File"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// A decoder, and how much of its bytes it has read.
pub(super) struct Opened {
    pub(super) decoder: Decoder,
    read_bytes: Arc<AtomicU64>,
    total_bytes: Option<u64>,
}

impl Source {
    /// Opens it; blocks.
    pub(super) fn open(self) -> Result<Opened, TranscribeError> {
        match self {
            Self::Path(path) => open_file(File::open(path).map_err(TranscribeError::Unreadable)?),
            Self::File(mut file) => {
                file.rewind().map_err(TranscribeError::Unreadable)?;
                open_file(file)
            }
            Self::Bytes(bytes) => Ok(open_seekable(bytes.len() as u64, Cursor::new(bytes))?),
            Self::Stream(reader) => {
                Ok(Opened { decoder: Decoder::open_stream(reader)?, read_bytes: Arc::default(), total_bytes: None })
            }
        }
    }
}

fn open_file(file: File) -> Result<Opened, TranscribeError> {
    let metadata = file.metadata().map_err(TranscribeError::Unreadable)?;
    if metadata.is_dir() {
        return Err(TranscribeError::Unreadable(io::ErrorKind::IsADirectory.into()));
    }
    // A pipe or a device has a name and no length: it can only be read onwards.
    if !metadata.is_file() {
        return Source::Stream(Box::new(file)).open();
    }
    Ok(open_seekable(metadata.len(), file)?)
}

fn open_seekable(total_bytes: u64, inner: impl Read + Seek + Send + 'static) -> Result<Opened, DecodeError> {
    let read_bytes = Arc::<AtomicU64>::default();
    let decoder = Decoder::open(Counted { inner, at_bytes: Arc::clone(&read_bytes) })?;
    Ok(Opened { decoder, read_bytes, total_bytes: Some(total_bytes) })
}

impl Opened {
    /// The part of the bytes that has been read, 0..=1; `None` where the total is unknown.
    pub(super) fn fraction(&self) -> Option<f64> {
        let total = self.total_bytes.filter(|total| *total > 0)?;
        Some((self.read_bytes.load(Ordering::Relaxed) as f64 / total as f64).min(1.0))
    }
}

/// Notes where the reader stands. The position rather than a sum: an index at the end of an MP4 is read first.
struct Counted<R> {
    inner: R,
    at_bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.at_bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl<R: Seek> Seek for Counted<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = self.inner.seek(to)?;
        self.at_bytes.store(at, Ordering::Relaxed);
        Ok(at)
    }
}
