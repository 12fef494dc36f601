//! From the bytes of a container to blocks of samples, whatever the container.
//!
//! [`file::Decoder`] reads a file or an upload, [`stream`] what arrives over a socket; both give [`Block`]s
//! as soon as they can be decoded and hold a bounded amount of audio, however long it is. The bytes come from
//! strangers: sizes they declare are never allocated, and a fault inside a third-party decoder is contained
//! here and reported as [`DecodeError::Fault`].

mod contain;
pub mod file;
mod packets;
pub mod sniff;
pub mod stream;
mod wav;

use crate::frame::Format;
use sniff::{Container, Unrecognised};

/// Most bytes that are read without finding any audio in them. Cover art and indexes fit; an endless header does not.
pub const MAX_BYTES_WITHOUT_AUDIO: u64 = 64 << 20;

/// Most channels of a file.
pub const MAX_CHANNELS: usize = 32;

/// Sample rates of a file that are believed.
pub const RATES_HZ: std::ops::RangeInclusive<u32> = 1_000..=384_000;

/// Some consecutive audio: at least one sample per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Samples per second and channel: the same for all blocks of one decoder.
    pub rate_hz: u32,
    /// One vector per channel, all of one length, samples in [-1, 1].
    pub channels: Vec<Vec<f32>>,
}

impl Block {
    /// The format of this and every other block of the same decoder.
    pub fn format(&self) -> Format {
        Format { rate_hz: self.rate_hz, channels: self.channels.len() as u16 }
    }

    /// Samples per channel.
    pub fn samples(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }
}

/// What was missing in audio that could be decoded otherwise: a warning for whoever sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// The audio ends before the end that its container announced.
    pub truncated: bool,
    /// Packets that could not be decoded and were left out or concealed.
    pub damaged_packets: u64,
}

/// Why audio cannot be decoded, or not any further.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The sender sent nothing.
    #[error("there is no audio: not a single byte was sent")]
    Empty,
    /// The sender sent something that is no audio container known here.
    #[error(transparent)]
    Unrecognised(#[from] Unrecognised),
    /// The container is known, what is inside is not; the sender should convert it.
    #[error("{container} is fine, but {what}")]
    Unsupported {
        /// The container around it.
        container: Container,
        /// What is not supported, and what would be.
        what: String,
    },
    /// The sender's bytes contradict themselves.
    #[error("the {container} data is damaged: {what}")]
    Damaged {
        /// The container that was expected.
        container: Container,
        /// What was wrong.
        what: String,
    },
    /// [`MAX_BYTES_WITHOUT_AUDIO`] were read and there was no audio among them.
    #[error("the {container} data has no audio in its next {} MiB", MAX_BYTES_WITHOUT_AUDIO >> 20)]
    NoAudio {
        /// The container that was expected.
        container: Container,
    },
    /// Rate or channels changed in the middle; the sender should send two files.
    #[error("the {container} changes from {} Hz, {} channels to {} Hz, {} channels", from.rate_hz, from.channels, to.rate_hz, to.channels)]
    FormatChanged {
        /// The container in which it happened.
        container: Container,
        /// The format of everything before.
        from: Format,
        /// The format that came then.
        to: Format,
    },
    /// A decoder broke on these bytes: our fault, contained. The audio before is good.
    #[error("the {container} decoder failed on this data: {what}")]
    Fault {
        /// The container that was read.
        container: Container,
        /// The message of the panic.
        what: String,
    },
    /// The bytes could not be read.
    #[error("cannot read the audio: {0}")]
    Read(#[from] std::io::Error),
}

/// `Ok` when rate and channels are within what is believed.
fn believable(container: Container, rate_hz: u32, channels: usize) -> Result<(), DecodeError> {
    if !RATES_HZ.contains(&rate_hz) {
        let what = format!("its sample rate of {rate_hz} Hz is not supported: send 1000 to 384000 Hz");
        return Err(DecodeError::Unsupported { container, what });
    }
    if !(1..=MAX_CHANNELS).contains(&channels) {
        let what = format!("its {channels} channels are not supported: send 1 to {MAX_CHANNELS}");
        return Err(DecodeError::Unsupported { container, what });
    }
    Ok(())
}
