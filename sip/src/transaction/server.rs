//! Somebody's request that is no INVITE (RFC 3261 section 17.2.2): timer J.

use std::time::Instant;

use super::{Again, Ticked, Timing};

/// The machine of one request.
#[derive(Clone, Debug)]
pub struct Server {
    timing: Timing,
    is_reliable: bool,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Trying,
    Proceeding,
    /// Timer J: the request may come again.
    Completed {
        until: Instant,
    },
    Over,
}

impl Server {
    /// The request just came.
    pub fn new(timing: Timing, is_reliable: bool) -> Self {
        Self { timing, is_reliable, state: State::Trying }
    }

    /// The request came again.
    pub fn hear_again(&self) -> Again {
        match self.state {
            State::Trying | State::Over => Again::Ignore,
            State::Proceeding | State::Completed { .. } => Again::Resend,
        }
    }

    /// Whether a response of this status may be sent now; if so, it was.
    pub fn respond(&mut self, now: Instant, status: u16) -> bool {
        match self.state {
            State::Trying | State::Proceeding if status < 200 => self.state = State::Proceeding,
            State::Trying | State::Proceeding if self.is_reliable => self.state = State::Over,
            State::Trying | State::Proceeding => {
                self.state = State::Completed { until: now + self.timing.patience() };
            }
            State::Completed { .. } | State::Over => return false,
        }
        true
    }

    /// Time passed.
    pub fn tick(&mut self, now: Instant) -> Ticked {
        match self.state {
            State::Completed { until } if until <= now => {
                self.state = State::Over;
                Ticked::Over
            }
            State::Over => Ticked::Over,
            State::Trying | State::Proceeding | State::Completed { .. } => Ticked::Nothing,
        }
    }

    /// When [`Server::tick`] is due; none while the user has not answered.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Completed { until } => Some(until),
            State::Trying | State::Proceeding | State::Over => None,
        }
    }

    /// Whether nothing more is expected.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }
}
