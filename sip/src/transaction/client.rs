//! A request of ours that is no INVITE (RFC 3261 section 17.1.2): timers E, F and K.

use std::time::{Duration, Instant};

use super::{Heard, Ticked, Timing};

/// The machine of one request.
#[derive(Clone, Debug)]
pub struct Client {
    timing: Timing,
    is_reliable: bool,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Trying, and Proceeding once `is_heard`.
    Asking {
        /// Timer E; none on a reliable transport.
        resend_at: Option<Instant>,
        interval: Duration,
        /// Timer F.
        give_up_at: Instant,
        is_heard: bool,
    },
    /// Timer K: responses may come again.
    Completed {
        until: Instant,
    },
    Over,
}

impl Client {
    /// The request was just sent.
    pub fn new(now: Instant, timing: Timing, is_reliable: bool) -> Self {
        let state = State::Asking {
            resend_at: (!is_reliable).then(|| now + timing.t1),
            interval: timing.t1,
            give_up_at: now + timing.patience(),
            is_heard: false,
        };
        Self { timing, is_reliable, state }
    }

    /// A response came.
    pub fn hear(&mut self, now: Instant, status: u16) -> Heard {
        match &mut self.state {
            State::Asking { is_heard, interval, .. } if status < 200 => {
                *is_heard = true;
                *interval = self.timing.t2;
                Heard::Tell
            }
            State::Asking { .. } => {
                self.state = match self.is_reliable {
                    true => State::Over,
                    false => State::Completed { until: now + self.timing.t4 },
                };
                Heard::Tell
            }
            State::Completed { .. } | State::Over => Heard::Ignore,
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Instant) -> Ticked {
        match &mut self.state {
            State::Asking { give_up_at, .. } if *give_up_at <= now => {
                self.state = State::Over;
                Ticked::TimedOut
            }
            State::Asking { resend_at: Some(resend_at), interval, is_heard, .. } if *resend_at <= now => {
                *interval = if *is_heard { self.timing.t2 } else { self.timing.after(*interval) };
                *resend_at = now + *interval;
                Ticked::Resend
            }
            State::Completed { until } if *until <= now => {
                self.state = State::Over;
                Ticked::Over
            }
            State::Asking { .. } | State::Completed { .. } => Ticked::Nothing,
            State::Over => Ticked::Over,
        }
    }

    /// When [`Client::tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Asking { resend_at, give_up_at, .. } => Some(resend_at.map_or(give_up_at, |at| at.min(give_up_at))),
            State::Completed { until } => Some(until),
            State::Over => None,
        }
    }

    /// Whether nothing more is expected.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether a final response came.
    pub fn is_answered(&self) -> bool {
        !matches!(self.state, State::Asking { .. })
    }
}
