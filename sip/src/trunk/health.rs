//! Whether one server is there, as far as can be told.

use std::time::{Duration, Instant};

use super::RETRY;

/// What is known of a server.
#[derive(Debug)]
pub(super) struct Health {
    is_up: bool,
    /// Failures in a row while up, successes in a row while down.
    against: u32,
    /// When it is asked next.
    pub(super) ask_at: Option<Instant>,
    /// The request that is under way.
    pub(super) asked: Option<u64>,
    /// When one that is down and never asked is called again.
    pub(super) retry_at: Option<Instant>,
    pub(super) pulses: Pulses,
    is_asked: bool,
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Up,
    Down,
}

impl Health {
    /// Taken to be there until it is known not to be.
    pub(super) const fn new(ask_at: Option<Instant>, pulse_at: Option<Instant>) -> Self {
        let pulses = Pulses { send_at: pulse_at, dead_at: None, is_answering: false };
        Self { is_up: true, against: 0, is_asked: ask_at.is_some(), ask_at, asked: None, retry_at: None, pulses }
    }

    pub(super) const fn is_up(&self) -> bool {
        self.is_up
    }

    /// Whether the last answer spoke against what is believed.
    pub(super) const fn is_in_doubt(&self) -> bool {
        self.against > 0
    }

    /// Takes note of an answer, or of its absence.
    pub(super) fn judge(&mut self, is_there: bool, now: Instant) -> Change {
        if is_there == self.is_up {
            self.against = 0;
            return Change::None;
        }
        self.against += 1;
        if self.against < if self.is_up { FAILURES } else { SUCCESSES } {
            return Change::None;
        }
        (self.is_up, self.against) = (!self.is_up, 0);
        self.retry_at = (!self.is_up && !self.is_asked).then_some(now + RETRY);
        if self.is_up { Change::Up } else { Change::Down }
    }

    /// Nobody asks it, so a call must find out; one more failure makes it down again.
    pub(super) fn give_another_chance(&mut self) -> Change {
        self.retry_at = None;
        if self.is_up {
            return Change::None;
        }
        (self.is_up, self.against) = (true, FAILURES - 1);
        Change::Up
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let ask_at = self.ask_at.filter(|_| self.asked.is_none());
        [ask_at, self.retry_at, self.pulses.send_at, self.pulses.dead_at].into_iter().flatten().min()
    }
}

/// Line breaks on a stream, and whether the other side answers them.
#[derive(Debug)]
pub(super) struct Pulses {
    send_at: Option<Instant>,
    dead_at: Option<Instant>,
    /// Whether it ever did: many servers read them and say nothing.
    is_answering: bool,
}

/// What is to be done for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Nothing,
    Send,
    Dead,
}

impl Pulses {
    pub(super) fn tick(&mut self, every: Duration, now: Instant) -> Beat {
        if self.dead_at.is_some_and(|at| now >= at) {
            (self.dead_at, self.send_at, self.is_answering) = (None, Some(now + every), false);
            return Beat::Dead;
        }
        if self.send_at.is_some_and(|at| now >= at) {
            self.send_at = Some(now + every);
            self.dead_at = self.is_answering.then_some(now + PONG);
            return Beat::Send;
        }
        Beat::Nothing
    }

    pub(super) fn heard(&mut self, is_pong: bool) {
        self.dead_at = None;
        self.is_answering |= is_pong;
    }

    /// A new connection knows nothing of the old one.
    pub(super) fn forget(&mut self, send_at: Option<Instant>) {
        *self = Self { send_at, dead_at: None, is_answering: false };
    }
}

/// One lost datagram, or two, are the network's.
const FAILURES: u32 = 3;

/// One answer may be a server that is starting.
const SUCCESSES: u32 = 2;

/// RFC 5626 section 4.4.1.
const PONG: Duration = Duration::from_secs(10);
