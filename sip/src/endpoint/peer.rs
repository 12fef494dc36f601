//! The other side as one dialog: how to reach it, what it can do, and who owes whom an answer to an offer.

use std::time::Instant;

use super::{
    Body, CallEvent, CallId, Failure, OfferBy,
    core::{Core, Reply},
    errand::Errand,
    flight::{FlightId, Landed, Launch, Owner},
    input::ContactUser,
    way::{Way, address_of, is_behind_nat},
};
use crate::{
    auth::Prover,
    dialog::Dialog,
    message::{Headers, MalformedHeader, Method, Request, Response, Uri},
    transaction::ServerId,
    transport::{Source, Target},
};

/// What a call's parts work with.
pub(super) struct Cx<'a> {
    pub(super) core: &'a mut Core,
    pub(super) now: Instant,
    pub(super) call: CallId,
    pub(super) ours: &'a mut Ours,
}

/// What a call keeps through all its states.
#[derive(Debug)]
pub(super) struct Ours {
    /// Whom our Contact names.
    pub(super) contact: ContactUser,
    pub(super) prover: Option<Prover>,
}

impl Cx<'_> {
    pub(super) fn tell(&mut self, event: CallEvent) {
        self.core.tell(self.call, event);
    }

    pub(super) fn refuse(&mut self, command: &'static str, why: &'static str) {
        self.tell(CallEvent::Refused { command, why });
    }

    /// Answers a request within the call.
    pub(super) fn respond(
        &mut self,
        server: ServerId,
        request: &Request,
        reply: Reply<'_>,
    ) -> Option<(Response, Target)> {
        let mut reply: Reply<'_> = reply;
        // Only what may move us names where we are.
        let moves = matches!(request.method, Method::Invite | Method::Update | Method::Refer);
        if moves && reply.status > 100 && reply.status < 300 {
            reply.contact = Some(&self.ours.contact);
            reply.headers.push("Allow", self.core.allow.clone());
            reply.headers.push("Supported", Core::SUPPORTED);
        }
        self.core.respond(self.now, server, request, reply)
    }
}

/// The other side.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) dialog: Dialog,
    /// Where its last message came from, or ours went.
    flow: Target,
    is_behind_nat: bool,
    /// What the name of the next hop stands for.
    resolved: Option<Target>,
    pub(super) allows_update: bool,
    pub(super) exchange: Exchange,
    pub(super) sent: Option<Body>,
    /// Whether one offer was answered.
    pub(super) is_settled: bool,
    pub(super) wanted: Option<(Option<Body>, OfferBy)>,
    pub(super) retry_at: Option<Instant>,
    pub(super) retries: u8,
    /// Our re-INVITE or UPDATE on its way.
    pub(super) modifying: Option<FlightId>,
    /// When a re-INVITE that rings and rings is cancelled.
    pub(super) modify_by: Option<Instant>,
}

/// Who owes an answer (RFC 3264, RFC 6337).
#[derive(Clone, Debug)]
pub(super) enum Exchange {
    /// Nobody.
    Idle,
    /// They do; with what stood before our offer.
    Ours { before: Option<Body> },
    /// We do.
    Theirs(Theirs),
}

/// An offer of theirs, or their wish for one of ours.
#[derive(Clone, Debug)]
pub(super) struct Theirs {
    pub(super) how: How,
    /// When we have been silent for too long.
    pub(super) answer_by: Option<Instant>,
}

/// What our answer travels in.
#[derive(Clone, Debug)]
pub(super) enum How {
    /// The response to the INVITE that began the call.
    Call,
    /// The response to a re-INVITE, UPDATE or PRACK; with headers that go into a 2xx.
    Request { server: ServerId, request: Box<Request>, headers: Headers, is_bare: bool },
    /// The PRACK of a provisional response with that RSeq.
    Prack { rseq: u32, cseq: u32 },
    /// The ACK of a 2xx.
    Ack { invite: FlightId, cseq: u32 },
}

impl Peer {
    /// Who answered a request of ours that went to `flow`.
    pub(super) fn as_caller(request: &Request, response: &Response, flow: &Target) -> Result<Self, MalformedHeader> {
        let dialog = Dialog::as_caller(request, response)?;
        let mut peer = Self::new(dialog, flow.clone(), None);
        peer.learn(&response.headers);
        Ok(peer)
    }

    /// Who asked us.
    pub(super) fn as_callee(
        request: &Request,
        source: &Source,
        tag: &str,
        first_cseq: u32,
    ) -> Result<Self, MalformedHeader> {
        let dialog = Dialog::as_callee(request, tag, first_cseq)?;
        let via = request.headers.via()?;
        let mut peer = Self::new(dialog, source.target(), Some(&via));
        peer.learn(&request.headers);
        Ok(peer)
    }

    fn new(dialog: Dialog, flow: Target, via: Option<&crate::message::Via>) -> Self {
        let is_behind_nat = !dialog.is_routed() && is_behind_nat(dialog.target(), via, flow.address.ip());
        Self {
            dialog,
            flow,
            is_behind_nat,
            resolved: None,
            allows_update: false,
            exchange: Exchange::Idle,
            sent: None,
            is_settled: false,
            wanted: None,
            retry_at: None,
            retries: 0,
            modifying: None,
            modify_by: None,
        }
    }

    pub(super) fn tag(&self) -> Box<str> {
        self.dialog.id().remote_tag.clone()
    }

    /// Takes what a message says about what its sender can do.
    pub(super) fn learn(&mut self, headers: &Headers) {
        if headers.contains("Allow") {
            self.allows_update = headers.contains_token("Allow", "UPDATE");
        }
    }

    /// Takes a message of the dialog that may say that the other side is elsewhere now. One without a legible Contact
    /// changes nothing.
    pub(super) fn follow(&mut self, headers: &Headers) {
        self.learn(headers);
        if self.dialog.follow(headers).unwrap_or(false) {
            self.moved();
        }
    }

    /// Takes the routes and the target of the 2xx that confirms the dialog.
    pub(super) fn confirm(&mut self, response: &Response) {
        self.learn(&response.headers);
        // What cannot be read leaves the dialog as it was.
        let _ = self.dialog.confirm(response);
        self.moved();
    }

    fn moved(&mut self) {
        self.resolved = None;
        self.is_behind_nat =
            !self.dialog.is_routed() && is_behind_nat(self.dialog.target(), None, self.flow.address.ip());
    }

    /// A request within the dialog came from there: answers were always sent there, and where the other side cannot
    /// be reached by its Contact, requests go there too.
    pub(super) fn heard_from(&mut self, source: &Source) {
        self.flow = source.target();
    }

    /// A request within the dialog was answered from there: whoever had to be looked up is known now.
    pub(super) fn went_to(&mut self, landed: &Landed) {
        let is_named = matches!(Way::of(self.dialog.next_hop()), Ok(Way::Named { .. }));
        if is_named && self.resolved.is_none() {
            let routes = landed.request.headers.name_addrs("Route").unwrap_or_default();
            let hop = routes.first().map_or(&landed.request.uri, |route| &route.uri);
            self.resolved = (hop == self.dialog.next_hop()).then(|| landed.target.clone());
        }
    }

    /// Where requests go.
    pub(super) fn way(&self) -> Result<Way, Failure> {
        if self.is_behind_nat {
            return Ok(Way::To(self.flow.clone()));
        }
        let hop = self.dialog.next_hop();
        let is_of_flow = |hop: &Uri| {
            address_of(&hop.host).map(|address| address.to_canonical()) == Some(self.flow.address.ip().to_canonical())
        };
        // Whoever came over a stream and names none means it (no transport written is UDP by the letter).
        if self.flow.protocol.is_reliable() && is_of_flow(hop) && hop.transport().is_none() {
            let mut target = self.flow.clone();
            target.address.set_port(hop.port.unwrap_or_else(|| target.protocol.default_port()));
            return Ok(Way::To(target));
        }
        match (Way::of(hop)?, &self.resolved) {
            (Way::Named { .. }, Some(resolved)) => Ok(Way::To(resolved.clone())),
            (Way::To(mut target), _) if target.protocol == self.flow.protocol => {
                target.local = self.flow.local;
                if is_of_flow(hop) {
                    target.connection = self.flow.connection;
                    target.server_name = self.flow.server_name.clone();
                }
                Ok(Way::To(target))
            }
            (way, _) => Ok(way),
        }
    }

    /// Sends a request within the dialog; `fill` adds what it is about.
    pub(super) fn ask(
        &mut self,
        cx: &mut Cx<'_>,
        method: Method,
        errand: Errand,
        fill: impl FnOnce(&mut Request),
    ) -> Result<FlightId, Failure> {
        let owner = Owner::Call(cx.call, errand);
        self.ask_for(cx, owner, method, fill)
    }

    /// Says goodbye: nobody waits for what comes of it.
    pub(super) fn bye(&mut self, cx: &mut Cx<'_>, reason: Option<String>) {
        let sent = self.ask_for(cx, Owner::Nobody, Method::Bye, |bye| {
            if let Some(reason) = reason {
                bye.headers.push("Reason", reason);
            }
        });
        // Full, or unreachable by form: the other side finds out by its own timers.
        if let Ok(flight) = sent {
            cx.core.leave(self.dialog.id().clone(), flight);
        }
    }

    fn ask_for(
        &mut self,
        cx: &mut Cx<'_>,
        owner: Owner,
        method: Method,
        fill: impl FnOnce(&mut Request),
    ) -> Result<FlightId, Failure> {
        let way = self.way()?;
        let moves = matches!(method, Method::Invite | Method::Update | Method::Refer | Method::Notify);
        let is_last = owner == Owner::Nobody;
        let mut request = self.dialog.request(method);
        fill(&mut request);
        if moves {
            request.headers.push("Allow", cx.core.allow.clone());
            request.headers.push("Supported", Core::SUPPORTED);
        }
        cx.authorize(&mut request);
        let contact = moves.then(|| cx.ours.contact.clone());
        let prover = if is_last { cx.ours.prover.clone() } else { None };
        cx.core.launch(cx.now, Launch { owner, request, way, contact, prover })
    }

    /// The ACK of a 2xx to an INVITE of ours, with what we owe.
    pub(super) fn acknowledge(&mut self, cx: &mut Cx<'_>, invite: FlightId, cseq: u32, answer: Option<&Body>) {
        let mut ack = self.dialog.ack(cseq);
        // It has the same proof as its INVITE (RFC 3261 section 22.1).
        if let Some(flight) = cx.core.flights.get(&invite) {
            for name in ["Authorization", "Proxy-Authorization"] {
                ack.headers.copy(&flight.request.headers, name);
            }
        }
        if let Some(answer) = answer {
            put_body(&mut ack, answer);
        }
        let way = self.way();
        cx.core.acknowledge(cx.now, invite, ack, way);
    }

    /// Asks again with a password, or under a new number where the other side took it for an old one.
    pub(super) fn ask_again(&mut self, cx: &mut Cx<'_>, flight: FlightId, response: &Response) -> bool {
        if response.status == 500 && !response.headers.contains("Retry-After") {
            let cseq = self.dialog.next_cseq();
            return cx.core.repeat(cx.now, flight, cseq);
        }
        let Some(prover) = &mut cx.ours.prover else { return false };
        if !matches!(response.status, 401 | 407) {
            return false;
        }
        let cseq = self.dialog.next_cseq();
        cx.core.prove(cx.now, flight, response, Some((prover, cseq)))
    }

    /// An answer of ours is out, or theirs came.
    pub(super) fn settle(&mut self) {
        self.exchange = Exchange::Idle;
        self.is_settled = true;
    }
}

impl Cx<'_> {
    /// Proves who we are where that was asked for before.
    pub(super) fn authorize(&mut self, request: &mut Request) {
        if let Some(prover) = &mut self.ours.prover
            && prover.is_challenged()
            && !matches!(request.method, Method::Cancel | Method::Ack)
        {
            prover.authorize(request, &self.core.chance.word());
        }
    }
}

/// Gives a request its body.
pub(super) fn put_body(request: &mut Request, body: &Body) {
    request.headers.set("Content-Type", body.content_type.clone());
    request.body = body.bytes.clone();
}
