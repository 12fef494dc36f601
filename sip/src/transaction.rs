//! The transaction layer: what makes sure that a request arrives once and is answered (RFC 3261 section 17, RFC 6026).
//!
//! Four machines, one a file, know states and timers A to M and nothing else; [`Layer`] keeps those that run, matches
//! messages to them, sends again what is due and tells what its user must know. Pure: told the time, bounded by
//! whoever opens transactions ([`Layer::len`]), no message is read here beyond the headers that match it.

mod client;
mod client_invite;
mod deadlines;
mod hop;
mod key;
mod layer;
mod server;
mod server_invite;

use std::time::Duration;

pub use self::{
    client::Client,
    client_invite::ClientInvite,
    layer::{ClientId, Layer, Matched, Notice, ServerId, Transmit},
    server::Server,
    server_invite::ServerInvite,
};
pub(crate) use self::{deadlines::Deadlines, key::COOKIE};

/// The times that all timers are made of (RFC 3261 table 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The estimate of a round trip.
    pub t1: Duration,
    /// The longest between two retransmissions.
    pub t2: Duration,
    /// How long a message may stay in the network.
    pub t4: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Timing {
    /// 64·T1: after it, what was not answered will not be.
    pub fn patience(&self) -> Duration {
        64 * self.t1
    }

    /// What comes after `interval`: twice as long, up to T2.
    pub(crate) fn after(&self, interval: Duration) -> Duration {
        (2 * interval).min(self.t2)
    }
}

/// What a client machine makes of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The user must know.
    Tell,
    /// The user must know, and the response is to be acknowledged.
    TellAndAck,
    /// It came again because the ACK was lost.
    AckAgain,
    /// It is of no use any more.
    Ignore,
}

/// What a machine makes of a request that came again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The last response is to be sent again.
    Resend,
    /// Nothing is to be done.
    Ignore,
}

/// What a machine does as time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticked {
    /// Nothing was due.
    Nothing,
    /// A server has to say 100.
    Trying,
    /// The last message is to be sent again.
    Resend,
    /// It is over, and the other side was never heard.
    TimedOut,
    /// It is over.
    Over,
}
