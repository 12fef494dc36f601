//! The ACKs of 2xx: each answer to an INVITE of ours has one, however many there are and however often they come.

use std::time::Instant;

use super::{Acked, FlightId, Landed, Launch, MOST_ACKS, Owner};
use crate::{
    dialog::Dialog,
    endpoint::{Failure, Output, core::Core, way::Way},
    message::{Method, Request, Response},
};

impl Core {
    /// Sends the ACK of a 2xx and keeps it for when the 2xx comes again.
    pub(in crate::endpoint) fn acknowledge(
        &mut self,
        now: Instant,
        invite: FlightId,
        mut ack: Request,
        way: Result<Way, Failure>,
    ) {
        let tag: Box<str> = ack.headers.to().ok().and_then(|to| to.tag().map(Into::into)).unwrap_or_default();
        let sent = match way {
            Ok(Way::To(target)) => {
                self.stamp(&mut ack, &target, None);
                let bytes = ack.to_bytes();
                self.put(Output::Transmit { bytes: bytes.clone(), target: target.clone() });
                Some((bytes, target))
            }
            Ok(way) => {
                let owner = Owner::Ack { invite, tag: tag.clone() };
                let launch = Launch { owner, request: ack, way, contact: None, prover: None };
                // Full: the 2xx comes again, and the other side gives up in the end.
                if self.launch(now, launch).is_err() {
                    return;
                }
                None
            }
            Err(_) => return,
        };
        if let Some(flight) = self.flights.get_mut(&invite) {
            flight.acks.push(Acked { tag, sent });
        }
    }

    /// Somebody answered an INVITE that nobody waits for, or that somebody else answered first: ACK, then BYE.
    pub(in crate::endpoint) fn turn_away(&mut self, now: Instant, landed: &Landed, response: &Response) {
        let Ok(mut dialog) = Dialog::as_caller(&landed.request, response) else { return };
        // Nobody forks into so many: whoever makes them up is left alone.
        if self.flights.get(&landed.flight).is_none_or(|flight| flight.acks.len() >= MOST_ACKS) {
            return;
        }
        let way = |dialog: &Dialog| match Way::of(dialog.next_hop()) {
            Ok(Way::To(mut target)) if target.protocol == landed.target.protocol => {
                target.local = landed.target.local;
                if target.address.ip() == landed.target.address.ip() {
                    target.connection = landed.target.connection;
                }
                Ok(Way::To(target))
            }
            way => way,
        };
        let cseq = landed.request.headers.cseq().map_or(0, |cseq| cseq.number);
        let mut ack = dialog.ack(cseq);
        for name in ["Authorization", "Proxy-Authorization"] {
            ack.headers.copy(&landed.request.headers, name);
        }
        self.acknowledge(now, landed.flight, ack, way(&dialog));
        // The answer to a re-INVITE: its dialog has had its BYE.
        if landed.request.headers.to().is_ok_and(|to| to.tag().is_some()) {
            return;
        }
        let prover = self.flights.get(&landed.flight).and_then(|flight| flight.prover.clone());
        let request = dialog.request(Method::Bye);
        if let Ok(way) = way(&dialog) {
            // Full: the other side finds out by its own timers.
            let _ = self.launch(now, Launch { owner: Owner::Nobody, request, way, contact: None, prover });
        }
    }

    /// A 2xx came again; whether it had been acknowledged before.
    pub(super) fn acknowledge_again(&mut self, id: FlightId, response: &Response) -> bool {
        let Some(flight) = self.flights.get(&id) else { return false };
        let to = response.headers.to();
        let tag = to.as_ref().ok().and_then(|to| to.tag()).unwrap_or_default();
        let Some(acked) = flight.acks.iter().find(|acked| *acked.tag == *tag) else { return false };
        if let Some((bytes, target)) = acked.sent.clone() {
            self.put(Output::Transmit { bytes, target });
        }
        true
    }
}
