//! Provisional responses of ours that must arrive (RFC 3262): one at a time, sent again until a PRACK comes.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::Body;
use crate::{message::Request, transaction::Timing, transport::Target};

/// How many may wait behind the one that is under way: ringing, progress and a few announcements.
const MOST_WAITING: usize = 8;

/// Those of one INVITE.
#[derive(Debug)]
pub(super) struct Reliables {
    timing: Timing,
    next_rseq: u32,
    current: Option<Current>,
    waiting: VecDeque<(u16, Option<Body>)>,
}

#[derive(Debug)]
struct Current {
    rseq: u32,
    bytes: Bytes,
    target: Target,
    has_body: bool,
    resend_at: Instant,
    interval: Duration,
    give_up_at: Instant,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Resend(Bytes, Target),
    /// No PRACK came within 64·T1.
    GiveUp,
}

impl Reliables {
    pub(super) fn new(timing: Timing, first_rseq: u32) -> Self {
        Self { timing, next_rseq: first_rseq, current: None, waiting: VecDeque::new() }
    }

    /// Whether one is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.current.is_some()
    }

    /// Whether one with a session description is under way, or waits: the 2xx must wait for its PRACK.
    pub(super) fn holds_body(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.has_body)
            || self.waiting.iter().any(|(_, body)| body.is_some())
    }

    /// Remembers one for when the one under way was acknowledged; `false` when too many wait.
    pub(super) fn wait(&mut self, status: u16, body: Option<Body>) -> bool {
        let has_room = self.waiting.len() < MOST_WAITING;
        if has_room {
            self.waiting.push_back((status, body));
        }
        has_room
    }

    /// The next one that waits, if none is under way.
    pub(super) fn next(&mut self) -> Option<(u16, Option<Body>)> {
        if self.is_busy() { None } else { self.waiting.pop_front() }
    }

    /// The number of the one that is sent now.
    pub(super) fn number(&mut self) -> u32 {
        self.next_rseq += 1;
        self.next_rseq - 1
    }

    /// It was just sent.
    pub(super) fn sent(&mut self, now: Instant, rseq: u32, bytes: Bytes, target: Target, has_body: bool) {
        self.current = Some(Current {
            rseq,
            bytes,
            target,
            has_body,
            resend_at: now + self.timing.t1,
            interval: self.timing.t1,
            give_up_at: now + self.timing.patience(),
        });
    }

    /// A PRACK came for the INVITE of that CSeq; whether it was for the one under way.
    pub(super) fn acknowledged(&mut self, prack: &Request, invite_cseq: u32) -> bool {
        let rack = prack.headers.first("RAck").unwrap_or_default();
        let mut words = rack.split_ascii_whitespace();
        let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
        let (rseq, cseq) = (number(), number());
        let is_ours = cseq == Some(invite_cseq) && words.next() == Some("INVITE");
        let is_current = is_ours && self.current.as_ref().is_some_and(|current| Some(current.rseq) == rseq);
        if is_current {
            self.current = None;
        }
        is_current
    }

    /// When [`Reliables::tick`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.current.as_ref().map(|current| current.resend_at.min(current.give_up_at))
    }

    /// What is due.
    pub(super) fn tick(&mut self, now: Instant) -> Due {
        let Some(current) = &mut self.current else { return Due::Nothing };
        if current.give_up_at <= now {
            self.current = None;
            return Due::GiveUp;
        }
        if current.resend_at > now {
            return Due::Nothing;
        }
        current.interval *= 2;
        current.resend_at = now + current.interval;
        Due::Resend(current.bytes.clone(), current.target.clone())
    }
}
