//! Requests of ours on their way, from the wish to the final response.
//!
//! A flight keeps its number while its request is looked up, sent again with a password, or tried at the next address.
//! One that nobody waits for any more, such as the BYE of a call that is over, is seen to its end here alone: an
//! INVITE that was given up is cancelled as soon as it rings, and whoever answers it all the same gets ACK and BYE.

mod ack;

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;

use super::{
    CallId, Failure, Output, RequestId,
    core::{Core, Due},
    errand::Errand,
    input::ContactUser,
    way::Way,
};
use crate::{
    auth::Prover,
    dialog::DialogId,
    message::{CSeq, Method, Request, Response},
    transaction::ClientId,
    transport::Target,
};

/// How often a request is asked again with a password.
const MOST_ROUNDS: u8 = 2;

/// How many dialogs of one INVITE are acknowledged.
const MOST_ACKS: usize = 32;

/// A request of ours; never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FlightId(u64);

/// Who waits for the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Call(CallId, Errand),
    Request(RequestId),
    Nobody,
    /// The ACK of a 2xx to an INVITE, which waits for the name to be looked up.
    Ack {
        invite: FlightId,
        tag: Box<str>,
    },
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) owner: Owner,
    /// As sent, without Via where it waits.
    pub(super) request: Box<Request>,
    contact: Option<ContactUser>,
    stage: Stage,
    /// Where else it may be tried.
    rest: VecDeque<Target>,
    prover: Option<Prover>,
    rounds: u8,
    /// An INVITE that nobody wants any more.
    cancel: Option<Cancel>,
    /// The dialog that a BYE leaves.
    leaves: Option<DialogId>,
    /// What was acknowledged, for when the 2xx comes again.
    acks: Vec<Acked>,
}

#[derive(Debug)]
enum Stage {
    Resolving,
    Sent { client: ClientId, target: Target },
}

#[derive(Debug)]
struct Cancel {
    reason: Option<String>,
    is_sent: bool,
}

#[derive(Debug)]
struct Acked {
    tag: Box<str>,
    /// `None` while the name is looked up.
    sent: Option<(Bytes, Target)>,
}

/// What became of a flight without a response.
#[derive(Debug)]
pub(super) struct Fate {
    pub(super) owner: Owner,
    pub(super) failure: Failure,
}

/// A request to be sent.
pub(super) struct Launch {
    pub(super) owner: Owner,
    pub(super) request: Request,
    pub(super) way: Way,
    pub(super) contact: Option<ContactUser>,
    /// Where nobody waits who has one.
    pub(super) prover: Option<Prover>,
}

/// A response that its owner must know.
pub(super) struct Landed {
    pub(super) flight: FlightId,
    client: ClientId,
    pub(super) owner: Owner,
    /// What was asked.
    pub(super) request: Request,
    /// Where it was asked.
    pub(super) target: Target,
}

impl Core {
    /// Sends a request.
    pub(super) fn launch(&mut self, now: Instant, launch: Launch) -> Result<FlightId, Failure> {
        let is_in_dialog = launch.request.headers.to().is_ok_and(|to| to.tag().is_some());
        if !self.has_room(is_in_dialog) {
            return Err(Failure::Full);
        }
        self.next_flight += 1;
        let id = FlightId(self.next_flight);
        let mut flight = Flight {
            owner: launch.owner,
            request: Box::new(launch.request),
            contact: launch.contact,
            stage: Stage::Resolving,
            rest: VecDeque::new(),
            prover: launch.prover,
            rounds: 0,
            cancel: None,
            leaves: None,
            acks: Vec::new(),
        };
        match launch.way {
            Way::To(target) => self.send(now, id, &mut flight, target)?,
            Way::Named { host, port, protocol } => {
                self.put(Output::Resolve { token: id.0, host, port, protocol });
                self.deadlines.set(Due::Resolving(id), Some(now + self.config.timing.patience()));
            }
        }
        self.flights.insert(id, flight);
        Ok(id)
    }

    /// Nobody waits for it any more. An INVITE is cancelled.
    pub(super) fn disown(&mut self, now: Instant, id: FlightId, reason: Option<String>, prover: Option<Prover>) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        flight.owner = Owner::Nobody;
        flight.prover = flight.prover.take().or(prover);
        if matches!(flight.stage, Stage::Resolving) {
            self.land(id);
        } else {
            self.cancel(now, id, reason);
        }
    }

    /// Cancels an INVITE as soon as it may be; its owner still waits for what comes of it.
    pub(super) fn cancel(&mut self, now: Instant, id: FlightId, reason: Option<String>) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        if flight.request.method == Method::Invite && flight.cancel.is_none() {
            flight.cancel = Some(Cancel { reason, is_sent: false });
            self.cancel_if_heard(now, id);
        }
    }

    /// Takes a response; what its owner must know of it.
    pub(super) fn hear_response(&mut self, now: Instant, response: &Response) -> Option<Landed> {
        let client = self.layer.hear_response(now, response);
        self.flush();
        let id = *self.flight_of.get(&client?)?;
        let flight = self.flights.get_mut(&id)?;
        let is_invite = flight.request.method == Method::Invite;
        if response.status < 200 {
            self.cancel_if_heard(now, id);
        } else if is_invite && response.status < 300 {
            if self.acknowledge_again(id, response) {
                return None;
            }
        } else {
            if response.status == 503 && self.try_next(now, id) {
                return None;
            }
            if !matches!(flight_owner(self, id), Some(Owner::Call(..))) && self.prove(now, id, response, None) {
                return None;
            }
        }
        let flight = self.flights.get(&id)?;
        let Stage::Sent { client, target } = &flight.stage else { return None };
        Some(Landed {
            flight: id,
            client: *client,
            owner: flight.owner.clone(),
            request: (*flight.request).clone(),
            target: target.clone(),
        })
    }

    /// Its owner knows of the response: the flight is over, unless the request was sent again. That of an INVITE that
    /// was accepted lasts while 2xx may come.
    pub(super) fn settle(&mut self, landed: &Landed, status: u16) {
        let is_over = status >= 300 || (status >= 200 && landed.request.method != Method::Invite);
        let is_same = self.flight_of.get(&landed.client) == Some(&landed.flight);
        if is_over && is_same {
            self.land(landed.flight);
        }
    }

    /// Asks again with a password; `false` where there is none, or it was refused. `cseq` is the dialog's next.
    pub(super) fn prove(
        &mut self,
        now: Instant,
        id: FlightId,
        response: &Response,
        theirs: Option<(&mut Prover, u32)>,
    ) -> bool {
        if !matches!(response.status, 401 | 407) {
            return false;
        }
        let Some(mut flight) = self.flights.remove(&id) else { return false };
        let (mut own, cseq) = (flight.prover.take(), theirs.as_ref().map(|(_, cseq)| *cseq));
        let prover = theirs.map(|(prover, _)| prover).or(own.as_mut());
        let may = flight.rounds < MOST_ROUNDS && prover.as_ref().is_some();
        let was_sent =
            may && prover.is_some_and(|prover| {
                if prover.challenged(response).is_err() {
                    return false;
                }
                renumber(&mut flight.request, cseq);
                prover.authorize(&mut flight.request, &self.chance.word());
                true
            }) && self.send_again(now, id, &mut flight);
        flight.rounds += 1;
        flight.prover = own;
        self.flights.insert(id, flight);
        was_sent
    }

    /// Sends the request of a flight anew under another number: the other side took it for an old one.
    pub(super) fn repeat(&mut self, now: Instant, id: FlightId, cseq: u32) -> bool {
        let Some(mut flight) = self.flights.remove(&id) else { return false };
        flight.rounds += 1;
        renumber(&mut flight.request, Some(cseq));
        let was_sent = flight.rounds <= MOST_ROUNDS && self.send_again(now, id, &mut flight);
        self.flights.insert(id, flight);
        was_sent
    }

    /// A name was looked up.
    pub(super) fn resolved(&mut self, now: Instant, token: u64, targets: Vec<Target>) {
        let id = FlightId(token);
        let Some(mut flight) = self.flights.remove(&id) else { return };
        if !matches!(flight.stage, Stage::Resolving) {
            self.flights.insert(id, flight);
            return;
        }
        self.deadlines.set(Due::Resolving(id), None);
        // More than these are not worth the wait.
        flight.rest = targets.into_iter().take(8).collect();
        let Some(target) = flight.rest.pop_front() else {
            self.give_up(flight, Failure::Unresolved);
            return;
        };
        if let Owner::Ack { invite, tag } = &flight.owner {
            self.stamp(&mut flight.request, &target, None);
            let bytes = flight.request.to_bytes();
            self.put(Output::Transmit { bytes: bytes.clone(), target: target.clone() });
            let acks = self.flights.get_mut(invite).map(|flight| &mut flight.acks);
            if let Some(acked) = acks.and_then(|acks| acks.iter_mut().find(|acked| acked.tag == *tag)) {
                acked.sent = Some((bytes, target));
            }
            return;
        }
        match self.send(now, id, &mut flight, target) {
            Ok(()) => _ = self.flights.insert(id, flight),
            Err(failure) => self.give_up(flight, failure),
        }
    }

    /// Nobody looked the name up in time.
    pub(super) fn unresolved(&mut self, id: FlightId) {
        if let Some(flight) = self.flights.remove(&id) {
            self.give_up(flight, Failure::Unresolved);
        }
    }

    /// A flight that was taken out gets no response.
    fn give_up(&mut self, flight: Flight, failure: Failure) {
        flight.leaves.inspect(|dialog| _ = self.left.remove(dialog));
        self.fates.push_back(Fate { owner: flight.owner, failure });
    }

    /// What was sent to `target` does not arrive.
    pub(super) fn transport_failed(&mut self, now: Instant, target: &Target) {
        for client in self.layer.transport_failed(target) {
            self.unanswered(now, client, Failure::TransportFailed);
        }
    }

    /// No final response came.
    pub(super) fn unanswered(&mut self, now: Instant, client: ClientId, failure: Failure) {
        let Some(id) = self.flight_of.remove(&client) else { return };
        if self.try_next(now, id) {
            return;
        }
        if let Some(flight) = self.land(id) {
            self.give_up(flight, failure);
        }
    }

    /// Forgets a flight.
    pub(super) fn land(&mut self, id: FlightId) -> Option<Flight> {
        let flight = self.flights.remove(&id)?;
        match flight.stage {
            Stage::Resolving => self.deadlines.set(Due::Resolving(id), None),
            Stage::Sent { client, .. } => _ = self.flight_of.remove(&client),
        }
        flight.leaves.as_ref().inspect(|dialog| _ = self.left.remove(*dialog));
        Some(flight)
    }

    /// Remembers that we left a dialog until the BYE of that flight is answered.
    pub(super) fn leave(&mut self, dialog: DialogId, bye: FlightId) {
        if let Some(flight) = self.flights.get_mut(&bye) {
            flight.leaves = Some(dialog.clone());
            self.left.insert(dialog);
        }
    }

    fn try_next(&mut self, now: Instant, id: FlightId) -> bool {
        let Some(mut flight) = self.flights.remove(&id) else { return false };
        let next = flight.rest.pop_front().filter(|_| flight.cancel.is_none());
        let was_sent = next.is_some_and(|target| {
            if let Stage::Sent { client, .. } = flight.stage {
                self.flight_of.remove(&client);
            }
            self.send(now, id, &mut flight, target).is_ok()
        });
        self.flights.insert(id, flight);
        was_sent
    }

    fn send_again(&mut self, now: Instant, id: FlightId, flight: &mut Flight) -> bool {
        let Stage::Sent { client, target } = &flight.stage else { return false };
        let (client, target) = (*client, target.clone());
        if flight.cancel.is_some() {
            return false;
        }
        self.flight_of.remove(&client);
        self.send(now, id, flight, target).is_ok()
    }

    fn send(&mut self, now: Instant, id: FlightId, flight: &mut Flight, target: Target) -> Result<(), Failure> {
        self.stamp(&mut flight.request, &target, flight.contact.as_ref());
        let asked = self.layer.ask(now, &flight.request, target.clone());
        let client = asked.map_err(|_| Failure::Unsendable("our own host or port cannot be written"))?;
        self.flush();
        self.flight_of.insert(client, id);
        flight.stage = Stage::Sent { client, target };
        Ok(())
    }

    fn cancel_if_heard(&mut self, now: Instant, id: FlightId) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        let (Some(cancel), Stage::Sent { client, .. }) = (&mut flight.cancel, &flight.stage) else { return };
        if cancel.is_sent {
            return;
        }
        let Some((mut request, target)) = self.layer.cancel(now, *client) else { return };
        cancel.is_sent = true;
        if let Some(reason) = &cancel.reason {
            request.headers.push("Reason", reason.clone());
        }
        // Its branch is the INVITE's, so it is not stamped; what comes of it, the INVITE's response tells.
        let _ = self.layer.ask(now, &request, target);
        self.flush();
    }
}

fn flight_owner(core: &Core, id: FlightId) -> Option<&Owner> {
    core.flights.get(&id).map(|flight| &flight.owner)
}

/// Gives a request another number; the next one where it is nobody else's to count.
fn renumber(request: &mut Request, cseq: Option<u32>) {
    let number = cseq.unwrap_or_else(|| request.headers.cseq().map_or(1, |cseq| cseq.number + 1));
    let method = request.method.clone();
    request.headers.set("CSeq", CSeq { number, method }.to_string());
}
