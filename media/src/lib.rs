//! Time, ids, frames, codecs, decoding, transports and the real-time engine: what every other package stands on.
//!
//! Nothing here knows of speech, of a brain or of a wire protocol above the codec. The middle is pure: a decoder
//! is given bytes, a resampler is given samples, a graph is given time. Around it stand few shells that own threads,
//! sockets or a clock: [`engine::tick`], [`bridge`] over it, the transports, [`record`] and [`decode::stream`].

pub mod bridge;
pub mod codec;
pub mod decode;
pub mod dsp;
pub mod ears;
pub mod engine;
pub mod frame;
pub mod graph;
pub mod id;
pub mod journal;
pub mod net;
pub mod record;
pub mod ring;
pub mod rtp;
pub mod time;
pub mod webrtc;
