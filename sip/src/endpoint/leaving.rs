//! A call that has ended on our side before the other side acknowledged that we had taken it.
//!
//! A callee must not say BYE before the ACK (RFC 3261 section 15); it goes on sending its 2xx until the ACK comes or
//! cannot come any more.

use std::time::Instant;

use super::{
    Output,
    call::Next,
    core::Reply,
    peer::{Cx, Peer},
    unacked::{AckDue, Unacked},
};
use crate::{
    message::{Method, Request},
    transaction::ServerId,
};

#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) peer: Peer,
    pub(super) unacked: Unacked,
    pub(super) reason: Option<String>,
}

impl Leaving {
    pub(super) fn hear_ack(&mut self, cx: &mut Cx<'_>, ack: &Request) -> Next {
        if !self.unacked.is_for(ack) {
            return Next::Stay;
        }
        self.peer.bye(cx, self.reason.take());
        Next::Gone
    }

    pub(super) fn hear_request(&mut self, cx: &mut Cx<'_>, server: ServerId, request: &Request) -> Next {
        if request.method == Method::Bye {
            cx.respond(server, request, Reply::status(200));
            return Next::Gone;
        }
        cx.respond(server, request, Reply::status(481));
        Next::Stay
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        Some(self.unacked.deadline())
    }

    pub(super) fn tick(&mut self, cx: &mut Cx<'_>) -> Next {
        match self.unacked.tick(cx.now, &cx.core.config.timing) {
            AckDue::Nothing => Next::Stay,
            AckDue::Resend(bytes, target) => {
                cx.core.put(Output::Transmit { bytes, target });
                Next::Stay
            }
            AckDue::GiveUp => {
                self.peer.bye(cx, self.reason.take());
                Next::Gone
            }
        }
    }
}
