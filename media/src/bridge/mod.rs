//! Rooms that sound: legs join and leave, hear each other, are listened to and recorded.
//!
//! The control side of the engine, on tokio threads; nothing here is real time. A transport makes nodes, a source
//! and a sink, and [`Bridge::join`] puts them into the room's graph with all that belongs around them:
//!
//! ```text
//! source ─ [denoise at 48 kHz] ─ gain and mute ┬─ level
//!                                              ├─ [resample] ─ tap: ears, 16 kHz
//!                                              ├─ [resample] ─ mixer (mix-minus) ─ [resample] ─ sink of each other
//!                                              └─ consent ─ [resample] ┬─ capture of this leg, 48 kHz
//!                                                                      └─ sum ─ capture of everybody, or of all but one
//! ```
//!
//! [`sound`] is the pure half: a value that takes wishes and reports and gives commands. [`wiring`] draws the lines
//! above. [`switchboard`] is the shell that holds the engine. A leg that joins or leaves makes a new schedule; the
//! nodes of those who stay move into it as they are, so they hear no seam. Resamplers stand only where rates
//! differ, and only where somebody listens.

mod leg;
mod sound;
mod switchboard;
mod wiring;

pub use leg::{Busy, Leg, LegControl, LegEvent, LegId, Level, Part, Plan};
pub use switchboard::{Bridge, Drops, Hand, Switchboard};

use crate::{engine::tick::Stopped, graph::node::Ports};

/// What a capture holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Captured {
    /// One leg: silence while it may not be captured or is muted. Ends when the leg leaves.
    Leg(LegId),
    /// The sum of all legs that may be captured and are not muted. The room's time goes on while it is read,
    /// whether or not there are legs.
    Everybody,
    /// The same without this leg: what it hears, as far as it may be captured. Ends when the leg leaves.
    Others(LegId),
}

/// Why a leg cannot join, or a capture cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// The leg's fault: its source has another shape.
    #[error("a source has no input and one mono output, not {0:?}")]
    BadSource(Ports),
    /// The leg's fault: its sink has another shape.
    #[error("a sink has one mono input and no output, not {0:?}")]
    BadSink(Ports),
    /// The leg's fault: a rate that no codec of a leg has.
    #[error("the leg's {part:?} is at {rate_hz} Hz: give 8000, 16000, 24000 or 48000 Hz")]
    UnsupportedRate {
        /// Whose rate.
        part: Part,
        /// The rate.
        rate_hz: u32,
    },
    /// The leg's fault: there is nothing for its ears, or its noise suppression, to hear.
    #[error("the leg has no source that could be heard: leave out its ears and its noise suppression")]
    NothingToHear,
    /// The room's fault: whoever opened the bridge gave it a rate to mix at that it cannot have.
    #[error("a room cannot mix at {0} Hz: give 8000, 16000 or 48000 Hz")]
    UnsupportedRoomRate(u32),
    /// The leg to capture has left, or has no source.
    #[error("{0} has left, or has no voice: there is nothing to capture")]
    NoSuchLeg(LegId),
    /// The leg's fault: it joined without a source, or without a sink, and none can be put in its place.
    #[error("{0} joined without such a part: leave, and join with it")]
    NoPlace(LegId),
    /// The engine's shard has as many rooms as it can hold: refuse the call, it may be tried later.
    #[error("the engine has as many rooms as it can hold: try again later")]
    Full,
    /// The engine is gone.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
