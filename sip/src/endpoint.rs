//! Calls and requests over SIP, as one pure value: the shell tells it what came, what time it is and what is wanted,
//! and then takes out what is to be sent and what happened.
//!
//! The contract: after each [`Endpoint::handle`], take [`Endpoint::poll_output`] until it is empty, and come back with
//! [`Input::Tick`] no later than [`Endpoint::next_deadline`]. Nothing here opens a socket, looks a name up, reads a
//! clock or waits; chance comes from [`Config::seed`], so the same inputs give the same outputs. Everything is bounded
//! by [`Limits`]. Session descriptions are opaque; who owes whom an answer to an offer is known here (RFC 3264, 6337).
//! One task runs it.

mod admission;
mod call;
mod calling;
mod chance;
mod config;
mod core;
mod errand;
mod flight;
mod incoming;
mod input;
mod leaving;
mod modify;
mod output;
mod peer;
mod refresh;
mod reliable;
mod ringing;
mod session;
mod transfer;
mod unacked;
mod way;

use std::{collections::BTreeMap, fmt, time::Instant};

use self::{
    admission::Sources,
    call::Call,
    calling::Calling,
    core::{Core, Due, Reply},
    flight::{Launch, Owner},
    peer::{Cx, Ours},
    way::Way,
};
use crate::{
    auth::Prover,
    message::{CSeq, MalformedHeader, NameAddr, Request, Uri},
    transaction::ServerId,
};

pub use self::{
    config::{Advertise, Config, HostPort, Limits, SessionTimer},
    input::{Body, Command, ContactUser, Input, Invite, OfferBy, OutOfDialog, ReferTo},
    output::{CallEvent, Ended, Failure, Fork, OfferedBy, Output, Reliable},
};

/// A call of the endpoint, for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallId {
    /// Numbered by whoever gives the commands; never used twice.
    Placed(u64),
    /// Numbered by the endpoint.
    Received(u64),
}

/// A request of ours outside of any dialog; numbered by whoever asks, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A request of somebody else's outside of any dialog, which waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub u64);

/// A REFER that came in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReferId(pub u64);

/// How much of what [`Limits`] bounds is taken; nothing of it is left some time after the last call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Calls that have not ended, and those of which something is owed.
    pub calls: usize,
    /// Dialogs, early ones too.
    pub dialogs: usize,
    /// Transactions of either side.
    pub transactions: usize,
    /// Requests of ours on their way, those that wait for a name too.
    pub requests: usize,
    /// Requests outside of dialogs that wait for [`Input::Respond`].
    pub asked: usize,
    /// Deadlines that are set.
    pub deadlines: usize,
}

/// The endpoint. Its header says how it is driven.
pub struct Endpoint {
    core: Core,
    calls: BTreeMap<CallId, Call>,
    sources: Sources,
    asked: BTreeMap<TransactionId, (ServerId, Box<Request>)>,
    is_draining: bool,
    next_call: u64,
    next_transaction: u64,
}

impl Endpoint {
    /// An endpoint without calls.
    pub fn new(config: Config) -> Self {
        Self {
            sources: Sources::new(&config.limits),
            core: Core::new(config),
            calls: BTreeMap::new(),
            asked: BTreeMap::new(),
            is_draining: false,
            next_call: 0,
            next_transaction: 0,
        }
    }

    /// Takes one thing and does all that is due. `now` never goes back.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Received { message, source } => self.hear(now, message, &source),
            Input::Tick => {}
            Input::TransportFailed { target } => self.core.transport_failed(now, &target),
            Input::Resolved { token, targets } => self.core.resolved(now, token, targets),
            Input::Call { call, command: Command::Invite(invite) } => self.place(now, call, *invite),
            Input::Call { call, command } => self.command(now, call, command),
            Input::Request { id, request } => self.request(now, id, *request),
            Input::Respond { transaction, status, headers, body } => {
                let status = status.clamp(200, 699);
                self.answer(now, transaction, Reply { status, headers, body, ..Reply::default() });
            }
            Input::Drain(is_draining) => self.is_draining = is_draining,
        }
        self.advance(now);
    }

    /// What is to be sent, looked up or known, in the order in which it came about.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.core.poll_output()
    }

    /// When something is due; later than the `now` of the last [`Endpoint::handle`].
    pub fn next_deadline(&self) -> Option<Instant> {
        self.core.next_deadline()
    }

    /// How much of the limits is taken.
    pub fn load(&self) -> Load {
        Load {
            calls: self.calls.len(),
            dialogs: self.core.dialogs.len() + self.core.left.len(),
            transactions: self.core.layer.len(),
            requests: self.core.flights.len(),
            asked: self.asked.len(),
            deadlines: self.core.deadlines.len(),
        }
    }

    fn place(&mut self, now: Instant, id: CallId, invite: Invite) {
        if self.calls.contains_key(&id) {
            self.core.tell(id, CallEvent::Refused { command: "Invite", why: "there is a call of that number" });
            return;
        }
        if self.calls.len() >= self.core.config.limits.calls {
            self.core.tell(id, CallEvent::Ended { why: Ended::Failed(Failure::Full) });
            return;
        }
        let contact = ContactUser { user: invite.contact_user.clone(), params: String::new() };
        let mut ours = Ours { contact, prover: invite.credentials.clone().map(Prover::new) };
        let placed = Calling::place(&mut Cx { core: &mut self.core, now, call: id, ours: &mut ours }, invite);
        match placed {
            Ok(calling) => {
                self.calls.insert(id, Call::calling(id, ours, calling));
                self.settle(id);
            }
            Err(failure) => self.core.tell(id, CallEvent::Ended { why: Ended::Failed(failure) }),
        }
    }

    fn command(&mut self, now: Instant, id: CallId, mut command: Command) {
        if let Command::Refer { to: to @ ReferTo::Attended(_), .. } = &mut command {
            self.name_attended(id, to);
        }
        if let Some(call) = self.calls.get_mut(&id) {
            call.command(&mut self.core, now, command);
            self.settle(id);
        }
    }

    /// Writes the other side of a call of ours as somebody to transfer to: whoever calls it takes our place.
    fn name_attended(&self, from: CallId, to: &mut ReferTo) {
        let ReferTo::Attended(other) = to else { return };
        let other = self.calls.get(other).filter(|_| *other != from);
        if let Some(peer) = other.and_then(Call::confirmed) {
            let replaces = transfer::escaped(&peer.dialog.id().as_replaces());
            let uri = Uri { headers: Some(format!("Replaces={replaces}")), ..peer.dialog.target().clone() };
            *to = ReferTo::Blind(NameAddr::new(uri));
        }
    }

    fn request(&mut self, now: Instant, id: RequestId, asked: OutOfDialog) {
        if let Err(failure) = self.try_request(now, id, asked) {
            self.core.put(Output::Responded { id, result: Err(failure) });
        }
    }

    fn try_request(&mut self, now: Instant, id: RequestId, asked: OutOfDialog) -> Result<(), Failure> {
        let OutOfDialog { mut request, target, credentials, contact } = asked;
        let unsendable = |_: MalformedHeader| Failure::Unsendable("From or To cannot be read");
        let mut from = request.headers.from().map_err(unsendable)?;
        request.headers.to().map_err(unsendable)?;
        if from.tag().is_none() {
            from.params.set("tag", Some(&self.core.chance.word()));
            request.headers.set("From", from.to_string());
        }
        if request.headers.call_id().is_err() {
            request.headers.set("Call-ID", self.core.chance.word() + &self.core.chance.word());
        }
        if request.headers.cseq().is_err() {
            let number = self.core.chance.first_number();
            request.headers.set("CSeq", CSeq { number, method: request.method.clone() }.to_string());
        }
        let way = match target {
            Some(target) => Way::To(target),
            None => {
                let routes = request.headers.name_addrs("Route");
                let routes = routes.map_err(|_| Failure::Unsendable("a Route cannot be read"))?;
                Way::of(routes.first().map_or(&request.uri, |route| &route.uri))?
            }
        };
        let prover = credentials.map(Prover::new);
        self.core.launch(now, Launch { owner: Owner::Request(id), request, way, contact, prover })?;
        Ok(())
    }

    fn answer(&mut self, now: Instant, transaction: TransactionId, reply: Reply<'_>) {
        if let Some((server, request)) = self.asked.remove(&transaction) {
            self.core.deadlines.set(Due::Asked(transaction), None);
            self.core.respond(now, server, &request, reply);
        }
    }

    /// Does all that is due, and what follows from it.
    fn advance(&mut self, now: Instant) {
        loop {
            if let Some(fate) = self.core.fates.pop_front() {
                self.meet(now, &fate.owner, fate.failure);
            } else if let Some((old, by)) = self.core.replaced.pop_front() {
                if let Some(call) = self.calls.get_mut(&old) {
                    call.replace(&mut self.core, now, by);
                    self.settle(old);
                }
            } else if self.core.tick_layer(now) {
            } else if let Some(due) = self.core.deadlines.pop_due(now) {
                match due {
                    Due::Call(id) => {
                        if let Some(call) = self.calls.get_mut(&id) {
                            call.tick(&mut self.core, now);
                            self.settle(id);
                        }
                    }
                    Due::Resolving(flight) => self.core.unresolved(flight),
                    Due::Asked(transaction) => self.answer(now, transaction, Reply::status(500)),
                }
            } else {
                break;
            }
        }
        if self.calls.is_empty() {
            self.sources.sweep(now);
        }
        self.core.flush();
    }

    /// Somebody's request gets no response.
    fn meet(&mut self, now: Instant, owner: &Owner, failure: Failure) {
        match owner {
            Owner::Call(id, errand) => {
                if let Some(call) = self.calls.get_mut(id) {
                    call.hear_failure(&mut self.core, now, errand, failure);
                    self.settle(*id);
                }
            }
            Owner::Request(id) => self.core.put(Output::Responded { id: *id, result: Err(failure) }),
            Owner::Nobody | Owner::Ack { .. } => {}
        }
    }

    /// Something happened to a call: its deadline is set anew, or it is forgotten.
    fn settle(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        if !call.is_over() {
            self.core.deadlines.set(Due::Call(id), call.deadline());
            return;
        }
        if let Some(source) = call.source() {
            self.sources.ended(source);
        }
        self.core.deadlines.set(Due::Call(id), None);
        self.calls.remove(&id);
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("load", &self.load()).finish_non_exhaustive()
    }
}
