//! An INVITE of ours (RFC 3261 section 17.1.1 with the Accepted state of RFC 6026): timers A, B, D and M.

use std::time::{Duration, Instant};

use super::{Heard, Ticked, Timing};

/// The machine of one INVITE.
#[derive(Clone, Debug)]
pub struct ClientInvite {
    timing: Timing,
    is_reliable: bool,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Calling {
        /// Timer A; none on a reliable transport.
        resend_at: Option<Instant>,
        interval: Duration,
        /// Timer B.
        give_up_at: Instant,
    },
    /// It rings for as long as the user lets it; after a CANCEL not for ever.
    Proceeding {
        give_up_at: Option<Instant>,
    },
    /// Timer M: 2xx may come again, and from others too.
    Accepted {
        until: Instant,
    },
    /// Timer D: the refusal may come again.
    Completed {
        until: Instant,
    },
    Over,
}

impl ClientInvite {
    /// The INVITE was just sent.
    pub fn new(now: Instant, timing: Timing, is_reliable: bool) -> Self {
        let state = State::Calling {
            resend_at: (!is_reliable).then(|| now + timing.t1),
            interval: timing.t1,
            give_up_at: now + timing.patience(),
        };
        Self { timing, is_reliable, state }
    }

    /// A response came.
    pub fn hear(&mut self, now: Instant, status: u16) -> Heard {
        match (&self.state, status) {
            (State::Calling { .. }, ..200) => {
                self.state = State::Proceeding { give_up_at: None };
                Heard::Tell
            }
            (State::Proceeding { .. }, ..200) => Heard::Tell,
            (State::Calling { .. } | State::Proceeding { .. }, 200..300) => {
                self.state = State::Accepted { until: now + self.timing.patience() };
                Heard::Tell
            }
            (State::Calling { .. } | State::Proceeding { .. }, _) => {
                self.state = match self.is_reliable {
                    true => State::Over,
                    // Timer D: at least 32 s, whatever T1 is.
                    false => State::Completed { until: now + self.timing.patience().max(Duration::from_secs(32)) },
                };
                Heard::TellAndAck
            }
            (State::Accepted { .. }, 200..300) => Heard::Tell,
            (State::Completed { .. }, 300..) => Heard::AckAgain,
            (State::Accepted { .. } | State::Completed { .. } | State::Over, _) => Heard::Ignore,
        }
    }

    /// A CANCEL was sent: a final response comes within 64·T1 or not at all (RFC 3261 section 9.1).
    pub fn cancelled(&mut self, now: Instant) {
        if let State::Proceeding { give_up_at } = &mut self.state {
            *give_up_at = Some(now + self.timing.patience());
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Instant) -> Ticked {
        match &mut self.state {
            State::Calling { give_up_at, .. } | State::Proceeding { give_up_at: Some(give_up_at) }
                if *give_up_at <= now =>
            {
                self.state = State::Over;
                Ticked::TimedOut
            }
            State::Calling { resend_at: Some(resend_at), interval, .. } if *resend_at <= now => {
                *interval *= 2;
                *resend_at = now + *interval;
                Ticked::Resend
            }
            State::Accepted { until } | State::Completed { until } if *until <= now => {
                self.state = State::Over;
                Ticked::Over
            }
            State::Over => Ticked::Over,
            State::Calling { .. } | State::Proceeding { .. } | State::Accepted { .. } | State::Completed { .. } => {
                Ticked::Nothing
            }
        }
    }

    /// When [`ClientInvite::tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Calling { resend_at, give_up_at, .. } => Some(resend_at.map_or(give_up_at, |at| at.min(give_up_at))),
            State::Proceeding { give_up_at } => give_up_at,
            State::Accepted { until } | State::Completed { until } => Some(until),
            State::Over => None,
        }
    }

    /// Whether nothing more is expected.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether any response came: only then may it be cancelled.
    pub fn is_heard(&self) -> bool {
        !matches!(self.state, State::Calling { .. })
    }

    /// Whether a final response came.
    pub fn is_answered(&self) -> bool {
        !matches!(self.state, State::Calling { .. } | State::Proceeding { .. })
    }
}
