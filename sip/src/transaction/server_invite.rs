//! Somebody's INVITE (RFC 3261 section 17.2.1 with the Accepted state of RFC 6026): timers G, H, I and L.

use std::time::{Duration, Instant};

use super::{Again, Ticked, Timing};

/// When 100 is said if nothing else was: the RFC wants it within 200 ms, and a shell may come a little late. Most
/// calls ring or are answered earlier, which saves a message.
const TRYING_AFTER: Duration = Duration::from_millis(150);

/// The machine of one INVITE.
#[derive(Clone, Debug)]
pub struct ServerInvite {
    timing: Timing,
    is_reliable: bool,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Until the user answers.
    Proceeding {
        trying_at: Option<Instant>,
    },
    /// A refusal was sent and is not acknowledged.
    Completed {
        /// Timer G; none on a reliable transport.
        resend_at: Option<Instant>,
        interval: Duration,
        /// Timer H.
        give_up_at: Instant,
    },
    /// Timer I: the ACK may come again.
    Confirmed {
        until: Instant,
    },
    /// Timer L: the user has sent 2xx and sees to it itself; the INVITE may come again.
    Accepted {
        until: Instant,
    },
    Over,
}

impl ServerInvite {
    /// The INVITE just came.
    pub fn new(now: Instant, timing: Timing, is_reliable: bool) -> Self {
        Self { timing, is_reliable, state: State::Proceeding { trying_at: Some(now + TRYING_AFTER) } }
    }

    /// The INVITE came again.
    pub fn hear_again(&self) -> Again {
        match self.state {
            State::Proceeding { .. } | State::Completed { .. } => Again::Resend,
            State::Confirmed { .. } | State::Accepted { .. } | State::Over => Again::Ignore,
        }
    }

    /// An ACK came; whether it was for this layer, which it is unless the INVITE was accepted.
    pub fn acked(&mut self, now: Instant) -> bool {
        match self.state {
            State::Completed { .. } if self.is_reliable => self.state = State::Over,
            State::Completed { .. } => self.state = State::Confirmed { until: now + self.timing.t4 },
            State::Accepted { .. } => return false,
            State::Proceeding { .. } | State::Confirmed { .. } | State::Over => {}
        }
        true
    }

    /// Whether a response of this status may be sent now; if so, it was.
    pub fn respond(&mut self, now: Instant, status: u16) -> bool {
        match (&self.state, status) {
            (State::Proceeding { .. }, ..200) => self.state = State::Proceeding { trying_at: None },
            (State::Proceeding { .. }, 200..300) => {
                self.state = State::Accepted { until: now + self.timing.patience() };
            }
            (State::Proceeding { .. }, _) => {
                self.state = State::Completed {
                    resend_at: (!self.is_reliable).then(|| now + self.timing.t1),
                    interval: self.timing.t1,
                    give_up_at: now + self.timing.patience(),
                };
            }
            (State::Completed { .. } | State::Confirmed { .. } | State::Accepted { .. } | State::Over, _) => {
                return false;
            }
        }
        true
    }

    /// Time passed.
    pub fn tick(&mut self, now: Instant) -> Ticked {
        match &mut self.state {
            State::Proceeding { trying_at } if trying_at.is_some_and(|at| at <= now) => {
                *trying_at = None;
                Ticked::Trying
            }
            State::Completed { give_up_at, .. } if *give_up_at <= now => {
                self.state = State::Over;
                Ticked::TimedOut
            }
            State::Completed { resend_at: Some(resend_at), interval, .. } if *resend_at <= now => {
                *interval = self.timing.after(*interval);
                *resend_at = now + *interval;
                Ticked::Resend
            }
            State::Confirmed { until } | State::Accepted { until } if *until <= now => {
                self.state = State::Over;
                Ticked::Over
            }
            State::Over => Ticked::Over,
            State::Proceeding { .. } | State::Completed { .. } | State::Confirmed { .. } | State::Accepted { .. } => {
                Ticked::Nothing
            }
        }
    }

    /// When [`ServerInvite::tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Proceeding { trying_at } => trying_at,
            State::Completed { resend_at, give_up_at, .. } => {
                Some(resend_at.map_or(give_up_at, |at| at.min(give_up_at)))
            }
            State::Confirmed { until } | State::Accepted { until } => Some(until),
            State::Over => None,
        }
    }

    /// Whether nothing more is expected.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether a final response was sent.
    pub fn is_answered(&self) -> bool {
        !matches!(self.state, State::Proceeding { .. })
    }
}
