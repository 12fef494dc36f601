//! What all parts of the endpoint send through: the transaction layer, chance, and what waits to be taken out.
//!
//! Requests of ours fly: they are resolved, stamped with Via and Contact for where they go, asked again with a password
//! or at the next address, and only then does whoever sent them learn what came of it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};

use super::{
    CallEvent, CallId, Failure, Output, TransactionId,
    chance::Chance,
    config::Config,
    flight::{Fate, Flight, FlightId},
    input::{Body, ContactUser},
    way::{contact_line, via_line},
};
use crate::{
    dialog::DialogId,
    message::{Headers, Method, Request, Response, reason_phrase},
    transaction::{ClientId, Deadlines, Layer, Notice, ServerId},
    transport::Target,
};

/// What is shared by all calls and requests.
pub(super) struct Core {
    pub(super) config: Config,
    /// The methods we take, for Allow.
    pub(super) allow: String,
    pub(super) chance: Chance,
    pub(super) layer: Layer,
    pub(super) flights: BTreeMap<FlightId, Flight>,
    pub(super) flight_of: BTreeMap<ClientId, FlightId>,
    pub(super) dialogs: BTreeMap<DialogId, CallId>,
    /// Dialogs that we have left, while our BYE is under way: theirs may cross it.
    pub(super) left: BTreeSet<DialogId>,
    pub(super) served: BTreeMap<ServerId, Served>,
    /// Requests outside of dialogs that are being served: who sends the same one by two ways gets 482.
    pub(super) merged: BTreeMap<MergeKey, ServerId>,
    pub(super) deadlines: Deadlines<Due>,
    /// What became of flights without a response.
    pub(super) fates: VecDeque<Fate>,
    /// Calls of ours whose place another one takes.
    pub(super) replaced: VecDeque<(CallId, CallId)>,
    outputs: VecDeque<Output>,
    pub(super) next_flight: u64,
    pub(super) next_refer: u64,
}

/// Who is to be called when time comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Call(CallId),
    Resolving(FlightId),
    Asked(TransactionId),
}

/// A request that is being served.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) merge_key: Option<MergeKey>,
    /// The call that an INVITE began.
    pub(super) call: Option<CallId>,
}

/// Call-ID, From tag, CSeq (RFC 3261 section 8.2.2.2).
pub(super) type MergeKey = (Box<str>, Box<str>, u32, Method);

/// A response to be sent.
#[derive(Debug, Default)]
pub(super) struct Reply<'a> {
    pub(super) status: u16,
    /// Of To, where the request has none; a fresh one where there is none here either.
    pub(super) tag: Option<&'a str>,
    pub(super) headers: Headers,
    pub(super) body: Option<Body>,
    pub(super) contact: Option<&'a ContactUser>,
}

impl Reply<'_> {
    pub(super) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(super) fn with(status: u16, name: &str, value: impl Into<String>) -> Self {
        let mut headers = Headers::new();
        headers.push(name, value);
        Self { status, headers, ..Self::default() }
    }
}

impl Core {
    pub(super) fn new(config: Config) -> Self {
        Self {
            chance: Chance::new(config.seed),
            layer: Layer::new(config.timing),
            allow: allow(&config.asked),
            config,
            flights: BTreeMap::new(),
            flight_of: BTreeMap::new(),
            dialogs: BTreeMap::new(),
            left: BTreeSet::new(),
            served: BTreeMap::new(),
            merged: BTreeMap::new(),
            deadlines: Deadlines::new(),
            fates: VecDeque::new(),
            replaced: VecDeque::new(),
            outputs: VecDeque::new(),
            next_flight: 0,
            next_refer: 0,
        }
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        [self.layer.next_deadline(), self.deadlines.next()].into_iter().flatten().min()
    }

    pub(super) fn put(&mut self, output: Output) {
        self.flush();
        self.outputs.push_back(output);
    }

    pub(super) fn tell(&mut self, call: CallId, event: CallEvent) {
        self.put(Output::Call { call, event });
    }

    /// Carries what the layer sends to the outputs, so that all stands in the order in which it came about.
    pub(super) fn flush(&mut self) {
        while let Some(sent) = self.layer.poll_transmit() {
            self.outputs.push_back(Output::Transmit { bytes: sent.bytes, target: sent.target });
        }
    }

    /// Whether one more transaction may be opened: within a dialog a quarter more may be.
    pub(super) fn has_room(&self, is_in_dialog: bool) -> bool {
        let most = self.config.limits.transactions;
        let most = if is_in_dialog { most + most / 4 } else { most };
        self.layer.len().max(self.flights.len()) < most
    }

    /// Answers a request that has a transaction; what was sent, or `None` where it had been answered.
    pub(super) fn respond(
        &mut self,
        now: Instant,
        server: ServerId,
        request: &Request,
        reply: Reply<'_>,
    ) -> Option<(Response, Target)> {
        let target = self.layer.reply_target(server)?.clone();
        let response = self.response(request, reply, &target);
        let was_sent = self.layer.respond(now, server, &response);
        self.flush();
        was_sent.then_some((response, target))
    }

    /// Answers a request without remembering it.
    pub(super) fn respond_stateless(&mut self, request: &Request, target: Target, reply: Reply<'_>) {
        // The same for the same request, since nothing remembers it (RFC 3261 section 8.2.7).
        let tag = self.chance.word_for(["Via", "From", "Call-ID", "CSeq"].map(|name| request.headers.first(name)));
        let reply = Reply { tag: Some(&tag), ..reply };
        let response = self.response(request, reply, &target);
        self.put(Output::Transmit { bytes: response.to_bytes(), target });
    }

    fn response(&mut self, request: &Request, reply: Reply<'_>, target: &Target) -> Response {
        let mut response = request.respond(reply.status);
        if reply.status > 100
            && let Ok(mut to) = response.headers.to()
            && to.tag().is_none()
        {
            let fresh = self.chance.word();
            to.params.set("tag", Some(reply.tag.unwrap_or(&fresh)));
            response.headers.set("To", to.to_string());
        }
        // Proxies stay between for what makes a dialog (RFC 3261 section 12.1.1).
        if (101..300).contains(&reply.status) {
            response.headers.copy(&request.headers, "Record-Route");
        }
        if let Some(whom) = reply.contact {
            let here = self.config.advertise.towards(target);
            response.headers.push("Contact", contact_line(&here, target, whom, request.uri.is_sips()));
        }
        if !self.config.user_agent.is_empty() {
            response.headers.push("Server", self.config.user_agent.clone());
        }
        reply.headers.iter().for_each(|(name, value)| response.headers.push(name, value));
        if let Some(body) = reply.body {
            response.headers.push("Content-Type", body.content_type);
            response.body = body.bytes;
        }
        if response.reason.is_empty() {
            response.reason = reason_phrase(reply.status).to_owned();
        }
        response
    }

    /// Writes Via, Contact and what else every request has, for where it goes; its branch is fresh.
    pub(super) fn stamp(&mut self, request: &mut Request, target: &Target, contact: Option<&ContactUser>) {
        let here = self.config.advertise.towards(target);
        request.headers.remove("Via");
        request.headers.push_front("Via", via_line(&here, target, &self.chance.branch()));
        if !request.headers.contains("Max-Forwards") {
            request.headers.push("Max-Forwards", "70");
        }
        if let Some(whom) = contact {
            request.headers.set("Contact", contact_line(&here, target, whom, request.uri.is_sips()));
        }
        if !self.config.user_agent.is_empty() {
            request.headers.set("User-Agent", self.config.user_agent.clone());
        }
    }

    /// What the layer says as time passes, apart from what is done with it here; `None` when nothing is due.
    pub(super) fn tick_layer(&mut self, now: Instant) -> bool {
        let Some(notice) = self.layer.tick(now) else {
            self.flush();
            return false;
        };
        self.flush();
        match notice {
            Notice::Unanswered(client) => self.unanswered(now, client, Failure::TimedOut),
            Notice::ClientOver(client) => {
                if let Some(flight) = self.flight_of.remove(&client) {
                    self.land(flight);
                }
            }
            Notice::ServerOver(server) => {
                if let Some(served) = self.served.remove(&server)
                    && let Some(key) = served.merge_key
                {
                    self.merged.remove(&key);
                }
            }
        }
        true
    }

    /// The options we know, for Supported.
    pub(super) const SUPPORTED: &'static str = "100rel, timer, replaces";
}

fn allow(asked: &[Method]) -> String {
    let mut allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY".to_owned();
    for method in asked {
        if !allow.split(", ").any(|known| known == method.as_str()) {
            allow.push_str(", ");
            allow.push_str(method.as_str());
        }
    }
    allow
}
