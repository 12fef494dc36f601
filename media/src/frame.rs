//! Audio formats and the fixed-size frame that crosses threads.
//!
//! Samples are f32 in [-1, 1] everywhere. The format lives on the edge that carries the samples (a graph
//! edge, a decoder, a stream), never on a frame, so that nobody can drift it mid-stream.

use crate::time::MediaTime;

/// Sample rate of everything that listens: voice activity, recognition, diarization.
pub const EAR_HZ: u32 = 16_000;

/// Sample rate of everything that speaks.
pub const MOUTH_HZ: u32 = 48_000;

/// What the samples on an edge are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Samples per second and channel.
    pub rate_hz: u32,
    /// Interleaved channels, at least one.
    pub channels: u16,
}

/// 20 ms of mono audio, f32 in [-1, 1]: `Frame<320>` at 16 kHz to the ears, `Frame<960>` at 48 kHz to the mouth.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame<const N: usize> {
    /// When its first sample was heard.
    pub at: MediaTime,
    /// The samples.
    pub samples: [f32; N],
}
