//! A 2xx of ours to an INVITE: sent again, on streams too, until its ACK comes or cannot come any more.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::peer::Cx;
use crate::{
    message::{Request, Response},
    transaction::Timing,
    transport::Target,
};

/// A 2xx to an INVITE, which is sent until it is acknowledged (RFC 3261 section 13.3.1.4).
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) cseq: u32,
    bytes: Bytes,
    target: Target,
    /// Whether the ACK owes us an answer.
    pub(super) is_offer: bool,
    /// Whether it answered the call.
    pub(super) is_first: bool,
    resend_at: Instant,
    interval: Duration,
    give_up_at: Instant,
}

/// What is due for a 2xx.
#[derive(Debug)]
pub(super) enum AckDue {
    Nothing,
    Resend(Bytes, Target),
    GiveUp,
}

impl Unacked {
    /// It was just sent.
    pub(super) fn new(
        cx: &Cx<'_>,
        cseq: u32,
        response: &Response,
        target: Target,
        is_offer: bool,
        is_first: bool,
    ) -> Self {
        let timing = cx.core.config.timing;
        Self {
            cseq,
            bytes: response.to_bytes(),
            target,
            is_offer,
            is_first,
            resend_at: cx.now + timing.t1,
            interval: timing.t1,
            give_up_at: cx.now + timing.patience(),
        }
    }

    /// Whether that ACK is the one.
    pub(super) fn is_for(&self, ack: &Request) -> bool {
        ack.headers.cseq().is_ok_and(|cseq| cseq.number == self.cseq)
    }

    pub(super) fn deadline(&self) -> Instant {
        self.resend_at.min(self.give_up_at)
    }

    pub(super) fn tick(&mut self, now: Instant, timing: &Timing) -> AckDue {
        if self.give_up_at <= now {
            return AckDue::GiveUp;
        }
        if self.resend_at > now {
            return AckDue::Nothing;
        }
        self.interval = timing.after(self.interval);
        self.resend_at = now + self.interval;
        AckDue::Resend(self.bytes.clone(), self.target.clone())
    }
}
