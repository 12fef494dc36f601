//! Time, ids, frames, codecs and audio decoding: what every other package stands on.
//!
//! Nothing here knows of speech, of a brain or of a wire protocol above the codec. Pure code throughout: a
//! decoder is given bytes, a resampler is given samples, and nobody reads a clock; the one thread is that of
//! [`decode::stream`]. The real-time engine and the transports join this package later; today's legs are
//! files and WebSockets.

pub mod codec;
pub mod decode;
pub mod dsp;
pub mod ears;
pub mod engine;
pub mod frame;
pub mod graph;
pub mod id;
pub mod ring;
pub mod rtp;
pub mod time;
