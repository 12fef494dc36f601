//! RTP (RFC 3550) and what belongs to it, as pure values: told bytes and the time, never a socket or a clock.
//!
//! In: [`srtp`] opens the bytes, [`packet`] reads them, [`session`] judges the source and unwraps its numbers
//! ([`seq`]), [`dtmf`] takes telephone-events, [`jitter`] orders the rest, [`playout`] turns it into an even
//! stream of samples ([`conceal`] fills what never came). Out: [`session`] numbers what is sent. [`rtcp`] is
//! read and written beside it. [`leg`] makes of all this the two nodes through which a peer meets a room.
//!
//! Runs on the engine's threads. Every ring and buffer is made when a stream begins; after warm-up nothing
//! here allocates, locks, logs or waits for a packet. Bytes from the network are counted when they are wrong
//! and never make a panic.

pub mod comfort;
pub mod conceal;
pub mod delay;
pub mod dtmf;
pub mod in_band;
pub mod jitter;
pub mod leg;
pub mod packet;
pub mod playout;
pub mod quality;
pub mod rtcp;
pub mod seq;
pub mod session;
pub mod source;
pub mod srtp;
pub mod stretch;
pub mod watch;
