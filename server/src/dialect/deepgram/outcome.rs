//! Why a socket on which somebody is listened to ends; what each version of the dialect says of that is its own.

use crate::{dialect::wire::Ended, live::LiveError};

/// Why the audio ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The client said so.
    Finished,
    /// The server goes down.
    Draining,
    /// The client closed, vanished, or reads nothing.
    Gone,
    /// Nothing came for too long.
    Idle,
    /// Too many messages that cannot be read.
    Garbage,
    /// Bytes that are no WebSocket, or more of them than are taken.
    Unreadable(u16, &'static str),
    /// The bytes are no audio, or nobody hears them any more.
    Audio(LiveError),
}

impl From<Ended> for Outcome {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Gone => Self::Gone,
            Ended::Idle => Self::Idle,
            Ended::Unreadable(code, reason) => Self::Unreadable(code, reason),
        }
    }
}
