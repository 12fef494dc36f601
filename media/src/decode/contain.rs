//! What stands between strangers' bytes and the decoders: a meter on the way in, a net under the decoder.
//!
//! The meter ends the reading when [`MAX_BYTES_WITHOUT_AUDIO`] went by without audio, so neither an endless
//! header nor a huge attachment grows memory. The net catches a panic of a third-party decoder, whose state
//! is then thrown away and never used again.

use std::{
    io::{self, Read, Seek, SeekFrom},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use symphonia::core::io::MediaSource;

use super::{DecodeError, MAX_BYTES_WITHOUT_AUDIO, sniff::Container};

/// Counts bytes; shared by the reading end, which counts, and the decoding end, which resets and asks.
#[derive(Clone, Default)]
pub(super) struct Meter(Arc<Counts>);

#[derive(Default)]
struct Counts {
    since_audio_bytes: AtomicU64,
    read_bytes: AtomicU64,
}

impl Meter {
    /// Audio was found.
    pub(super) fn audio_found(&self) {
        self.0.since_audio_bytes.store(0, Ordering::Relaxed);
    }

    /// All bytes that were read so far, each time they were read.
    pub(super) fn read_bytes(&self) -> u64 {
        self.0.read_bytes.load(Ordering::Relaxed)
    }

    fn count(&self, bytes: usize) -> io::Result<usize> {
        self.0.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.0.since_audio_bytes.fetch_add(bytes as u64, Ordering::Relaxed) > MAX_BYTES_WITHOUT_AUDIO {
            return Err(io::Error::other(NoAudio));
        }
        Ok(bytes)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no audio in too many bytes")]
struct NoAudio;

/// The error of a read, told apart from the meter's own.
pub(super) fn read_error(container: Container, error: io::Error) -> DecodeError {
    if matches!(error.get_ref(), Some(inner) if inner.is::<NoAudio>()) {
        return DecodeError::NoAudio { container };
    }
    DecodeError::Read(error)
}

/// A file: it can be read and positioned.
pub(super) trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// Where the bytes come from, metered.
pub(super) struct Source {
    meter: Meter,
    // The decoders want their source to be shareable and never share it: the lock is never contended.
    origin: Mutex<Origin>,
    length_bytes: Option<u64>,
}

enum Origin {
    Stream(Box<dyn Read + Send>),
    File(Box<dyn ReadSeek>),
}

impl Source {
    /// Bytes that can only be read onwards.
    pub(super) fn stream(reader: Box<dyn Read + Send>, meter: Meter) -> Self {
        Self { meter, origin: Mutex::new(Origin::Stream(reader)), length_bytes: None }
    }

    /// Bytes of known number that can be read from anywhere.
    pub(super) fn file(mut file: Box<dyn ReadSeek>, meter: Meter) -> io::Result<Self> {
        let length_bytes = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Self { meter, origin: Mutex::new(Origin::File(file)), length_bytes: Some(length_bytes) })
    }

    fn origin(&mut self) -> &mut Origin {
        self.origin.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.origin() {
            Origin::Stream(reader) => reader.read(buffer),
            Origin::File(file) => file.read(buffer),
        };
        match read {
            Ok(bytes) => self.meter.count(bytes),
            // Decoders take an interruption for an error; there is nothing to tell them about it.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.read(buffer),
            Err(error) => Err(error),
        }
    }
}

impl Seek for Source {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        match self.origin() {
            Origin::Stream(_) => Err(io::ErrorKind::Unsupported.into()),
            Origin::File(file) => file.seek(position),
        }
    }
}

impl MediaSource for Source {
    fn is_seekable(&self) -> bool {
        self.length_bytes.is_some()
    }

    fn byte_len(&self) -> Option<u64> {
        self.length_bytes
    }
}

/// Runs `decode`, and turns a panic in it into [`DecodeError::Fault`].
///
/// After a fault the caller drops whatever `decode` touched.
pub(super) fn caught<T>(container: Container, decode: impl FnOnce() -> T) -> Result<T, DecodeError> {
    catch_unwind(AssertUnwindSafe(decode)).map_err(|panic| {
        let what = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        tracing::warn!(%container, what, "a decoder panicked on foreign data");
        DecodeError::Fault { container, what }
    })
}
