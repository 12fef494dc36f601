//! A call that we place, until it is answered: provisional responses and forks, PRACK, redirects, passwords.
//!
//! One INVITE may reach many. Each who answers makes a dialog; who says 200 first has the call, and the transaction's
//! flight turns the others away.

mod refusal;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use bytes::Bytes;

use super::{
    Body, CallEvent, Command, Ended, Failure, Fork, Invite,
    call::Next,
    core::{Core, Reply},
    errand::Errand,
    flight::{FlightId, Landed, Launch, Owner},
    modify::{Modified, Replied},
    peer::{Cx, Exchange, How, Peer, Theirs, put_body},
    refresh::{self, Refresh},
    session::Session,
    way::Way,
};
use crate::{
    dialog::DialogId,
    message::{CSeq, Headers, Method, Request, Response, Uri},
    transaction::ServerId,
};

/// How often a longer session timer is tried.
const MOST_LENGTHENED: u8 = 2;

/// A call that we place.
#[derive(Debug)]
pub(super) struct Calling {
    invite: Invite,
    uri: Uri,
    /// Where a redirect leads; `None` goes where the command said.
    redirected: Option<Way>,
    call_id: String,
    tag: String,
    cseq: u32,
    expires_s: Option<u32>,
    lengthened: u8,
    flight: FlightId,
    forks: BTreeMap<Box<str>, Branch>,
    forks_seen: u32,
    redirects_left: u8,
    /// Whom redirects name and who was not asked, the best first.
    contacts: VecDeque<Uri>,
    tried: Vec<Uri>,
    ring_until: Instant,
}

/// One of those who were reached.
#[derive(Debug)]
struct Branch {
    fork: Fork,
    peer: Peer,
    last_rseq: Option<u32>,
    /// Whether an answer was seen in a response that is not reliable.
    has_preview: bool,
}

impl Calling {
    /// Sends the first INVITE.
    pub(super) fn place(cx: &mut Cx<'_>, invite: Invite) -> Result<Self, Failure> {
        let uri = invite.uri.clone();
        let mut calling = Self {
            uri,
            redirected: None,
            call_id: cx.core.chance.word() + &cx.core.chance.word(),
            tag: cx.core.chance.word(),
            cseq: cx.core.chance.first_number(),
            expires_s: cx.core.config.session.expires_s,
            lengthened: 0,
            flight: FlightId::default(),
            forks: BTreeMap::new(),
            forks_seen: 0,
            redirects_left: invite.most_redirects,
            contacts: VecDeque::new(),
            tried: Vec::new(),
            ring_until: cx.now + cx.core.config.limits.ringing,
            invite,
        };
        calling.send(cx)?;
        Ok(calling)
    }

    fn send(&mut self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let invite = &self.invite;
        let way = match (&self.redirected, &invite.target) {
            (Some(way), _) => way.clone(),
            (None, Some(target)) => Way::To(target.clone()),
            (None, None) => Way::of(invite.routes.first().map_or(&self.uri, |route| &route.uri))?,
        };
        let mut headers = Headers::new();
        invite.routes.iter().for_each(|route| headers.push("Route", route.to_string()));
        headers.push("Max-Forwards", invite.max_forwards.to_string());
        let (mut from, mut to) = (invite.from.clone(), invite.to.clone());
        from.params.set("tag", Some(&self.tag));
        to.params.remove("tag");
        headers.push("From", from.to_string());
        headers.push("To", to.to_string());
        headers.push("Call-ID", self.call_id.clone());
        headers.push("CSeq", CSeq { number: self.cseq, method: Method::Invite }.to_string());
        headers.push("Allow", cx.core.allow.clone());
        headers.push("Supported", Core::SUPPORTED);
        if let Some(expires_s) = self.expires_s {
            refresh::ask(&cx.core.config.session, expires_s).iter().for_each(|(name, value)| headers.push(name, value));
        }
        invite.headers.iter().for_each(|(name, value)| headers.push(name, value));
        let uri = Uri { headers: None, ..self.uri.clone() };
        let mut request = Request { method: Method::Invite, uri, headers, body: Bytes::new() };
        invite.offer.iter().for_each(|offer| put_body(&mut request, offer));
        cx.authorize(&mut request);
        let owner = Owner::Call(cx.call, Errand::Invite);
        let contact = Some(cx.ours.contact.clone());
        self.tried.push(self.uri.clone());
        self.flight = cx.core.launch(cx.now, Launch { owner, request, way, contact, prover: None })?;
        Ok(())
    }

    /// The fork of that tag.
    pub(super) fn peer(&mut self, tag: &str) -> Option<&mut Peer> {
        self.forks.get_mut(tag).map(|branch| &mut branch.peer)
    }

    pub(super) fn dialogs(&self) -> impl Iterator<Item = &DialogId> {
        self.forks.values().map(|branch| branch.peer.dialog.id())
    }

    pub(super) fn hear_response(
        &mut self,
        cx: &mut Cx<'_>,
        errand: &Errand,
        landed: &Landed,
        response: &Response,
    ) -> Next {
        match errand {
            Errand::Invite if landed.flight != self.flight => Next::Stay,
            Errand::Invite => match response.status {
                100 => Next::Stay,
                ..200 => self.hear_provisional(cx, landed, response),
                200..300 => self.hear_answer(cx, landed, response),
                _ => self.hear_refusal(cx, landed, response),
            },
            Errand::Prack { tag } => {
                if let Some(branch) = self.forks.get_mut(tag)
                    && response.status >= 300
                {
                    // One that stays refused is left: the call rings on, or the other side gives it up.
                    branch.peer.ask_again(cx, landed.flight, response);
                }
                Next::Stay
            }
            Errand::Modify { tag, .. } => {
                if let Some(branch) = self.forks.get_mut(tag)
                    && branch.peer.hear_modified(cx, landed, false, response) == Modified::Gone
                {
                    self.drop_fork(cx, tag);
                }
                self.pump(cx)
            }
            Errand::Info | Errand::Refer | Errand::Notify(_) => Next::Stay,
        }
    }

    fn hear_provisional(&mut self, cx: &mut Cx<'_>, landed: &Landed, response: &Response) -> Next {
        let tag: Box<str> = response.headers.to().ok().and_then(|to| to.tag().map(Into::into)).unwrap_or_default();
        let Some(branch) = self.branch(cx, &tag, landed, response) else { return Next::Stay };
        let body = Body::of(&response.headers, &response.body);
        let rseq = response.headers.number("RSeq").ok().flatten();
        let rseq = rseq.filter(|_| response.headers.contains_token("Require", "100rel") && !tag.is_empty());
        let Some(rseq) = rseq else {
            let answer = body.filter(|_| matches!(branch.peer.exchange, Exchange::Ours { .. }));
            branch.has_preview |= answer.is_some();
            cx.tell(CallEvent::Ringing { fork: branch.fork, response: Box::new(response.clone()), answer });
            return Next::Stay;
        };
        // One that comes again has its PRACK under way; one that came too early comes again.
        if branch.last_rseq.is_some_and(|last| last.checked_add(1) != Some(rseq)) {
            return Next::Stay;
        }
        branch.last_rseq = Some(rseq);
        let cseq = landed.request.headers.cseq().map_or(0, |cseq| cseq.number);
        let (mut answer, mut offer) = (None, None);
        match branch.peer.exchange {
            Exchange::Ours { .. } if body.is_some() => {
                branch.peer.settle();
                answer = body;
            }
            Exchange::Idle if !branch.peer.is_settled => offer = body,
            Exchange::Ours { .. } | Exchange::Idle | Exchange::Theirs(_) => {}
        }
        cx.tell(CallEvent::Ringing { fork: branch.fork, response: Box::new(response.clone()), answer });
        match offer {
            Some(offer) => branch.peer.take_late_offer(cx, How::Prack { rseq, cseq }, offer),
            None => prack(cx, &mut branch.peer, rseq, cseq, None),
        }
        self.pump(cx)
    }

    /// The fork that a response comes from; `None` when there are too many, or it says nothing legible.
    fn branch(&mut self, cx: &mut Cx<'_>, tag: &str, landed: &Landed, response: &Response) -> Option<&mut Branch> {
        if !self.forks.contains_key(tag) {
            if self.forks.len() >= cx.core.config.limits.forks {
                return None;
            }
            let branch = self.new_branch(landed, response)?;
            if !tag.is_empty() {
                cx.core.dialogs.insert(branch.peer.dialog.id().clone(), cx.call);
            }
            self.forks.insert(tag.into(), branch);
        }
        let branch = self.forks.get_mut(tag)?;
        branch.peer.follow(&response.headers);
        Some(branch)
    }

    fn new_branch(&mut self, landed: &Landed, response: &Response) -> Option<Branch> {
        let mut peer = Peer::as_caller(&landed.request, response, &landed.target).ok()?;
        if let Some(offer) = &self.invite.offer {
            peer.sent = Some(offer.clone());
            peer.exchange = Exchange::Ours { before: None };
        }
        self.forks_seen += 1;
        Some(Branch { fork: Fork(self.forks_seen - 1), peer, last_rseq: None, has_preview: false })
    }

    fn hear_answer(&mut self, cx: &mut Cx<'_>, landed: &Landed, response: &Response) -> Next {
        let tag: Box<str> = response.headers.to().ok().and_then(|to| to.tag().map(Into::into)).unwrap_or_default();
        // Beyond the limit of forks too: somebody took the call.
        let known = self.forks.remove(&tag).or_else(|| self.forks.remove("").filter(|_| self.forks.is_empty()));
        let is_new = known.as_ref().is_none_or(|branch| branch.peer.tag() != tag);
        let fresh = if is_new { self.new_branch(landed, response) } else { None };
        let Some(mut branch) = fresh.or(known) else {
            self.drop_forks(cx);
            return Next::Over(Ended::Failed(Failure::Unreadable));
        };
        let peer = &mut branch.peer;
        peer.confirm(response);
        let cseq = landed.request.headers.cseq().map_or(0, |cseq| cseq.number);
        let body = Body::of(&response.headers, &response.body);
        let (mut answer, mut late_offer, mut is_agreed) = (None, None, true);
        match (&peer.exchange, body) {
            (Exchange::Ours { .. }, body) if !peer.is_settled => {
                is_agreed = body.is_some() || branch.has_preview;
                answer = body;
                peer.settle();
            }
            (Exchange::Idle, Some(offer)) if !peer.is_settled => late_offer = Some(offer),
            (Exchange::Idle, None) if !peer.is_settled => is_agreed = false,
            // Their offer in a provisional response was never answered.
            (Exchange::Theirs(Theirs { how: How::Prack { .. }, .. }), _) => is_agreed = false,
            _ => {}
        }
        let refresh = Refresh::granted(cx.now, &response.headers);
        self.drop_forks(cx);
        let invite = landed.flight;
        if !is_agreed {
            branch.peer.abandon(cx);
            branch.peer.acknowledge(cx, invite, cseq, None);
            branch.peer.bye(cx, None);
            self.forks.insert(tag, branch);
            return Next::Over(Ended::NoAgreement);
        }
        cx.tell(CallEvent::Answered { fork: branch.fork, response: Box::new(response.clone()), answer });
        match late_offer {
            Some(offer) => branch.peer.take_late_offer(cx, How::Ack { invite, cseq }, offer),
            None => branch.peer.acknowledge(cx, invite, cseq, None),
        }
        let mut session = Session::new(branch.peer, refresh);
        session.pump(cx);
        Next::Up(Box::new(session))
    }

    pub(super) fn hear_failure(&mut self, cx: &mut Cx<'_>, errand: &Errand, failure: Failure) -> Next {
        match errand {
            Errand::Invite => {
                self.drop_forks(cx);
                self.next_contact(cx).unwrap_or(Next::Over(Ended::Failed(failure)))
            }
            Errand::Modify { tag, .. } => {
                if let Some(branch) = self.forks.get_mut(tag) {
                    branch.peer.modify_failed();
                }
                Next::Stay
            }
            Errand::Prack { .. } | Errand::Info | Errand::Refer | Errand::Notify(_) => Next::Stay,
        }
    }

    pub(super) fn hear_request(&mut self, cx: &mut Cx<'_>, tag: &str, server: ServerId, request: Request) -> Next {
        let Some(branch) = self.forks.get_mut(tag) else { return Next::Stay };
        match request.method {
            Method::Update => branch.peer.hear_update(cx, server, request, Headers::new()),
            Method::Bye => {
                cx.respond(server, &request, Reply::status(200));
                self.drop_fork(cx, tag);
            }
            Method::Info => hear_info(cx, server, &request),
            // Before the call is answered none of them makes sense.
            Method::Invite => _ = cx.respond(server, &request, Reply::status(491)),
            Method::Refer => _ = cx.respond(server, &request, Reply::status(403)),
            _ => _ = cx.respond(server, &request, Reply::status(481)),
        }
        Next::Stay
    }

    pub(super) fn command(&mut self, cx: &mut Cx<'_>, command: Command) -> Next {
        match command {
            Command::Hangup { reason } => return self.end(cx, reason, Ended::HungUp),
            Command::Offer { body, by } => {
                let mut settled = self.forks.values_mut().filter(|branch| branch.peer.is_settled);
                match (settled.next(), settled.next()) {
                    (Some(branch), None) => branch.peer.wanted = Some((body, by)),
                    (Some(_), Some(_)) => cx.refuse("Offer", "more than one rings"),
                    (None, _) => cx.refuse("Offer", "the first offer is not answered"),
                }
            }
            Command::Answer { body } => {
                let Some(branch) = self.offering() else {
                    cx.refuse("Answer", "there is no offer to be answered");
                    return Next::Stay;
                };
                match branch.peer.answer(cx, body.clone()) {
                    Ok(Replied::InPrack { rseq, cseq }) => {
                        prack(cx, &mut branch.peer, rseq, cseq, Some(&body));
                        branch.peer.sent = Some(body);
                        branch.peer.settle();
                    }
                    Ok(Replied::Done | Replied::Accepted { .. } | Replied::InCall) => {}
                    Err(why) => cx.refuse("Answer", why),
                }
            }
            Command::Decline { status, headers } => match self.offering() {
                Some(branch) => {
                    if branch.peer.decline(cx, status, headers).is_err() {
                        return self.end(cx, None, Ended::NoAgreement);
                    }
                }
                None => cx.refuse("Decline", "there is no offer to be refused"),
            },
            Command::Invite(_) => cx.refuse("Invite", "the call was placed before"),
            Command::Ring { .. } => cx.refuse("Ring", "it is we who call"),
            Command::Accept { .. } => cx.refuse("Accept", "it is we who call"),
            Command::Reject { .. } => cx.refuse("Reject", "it is we who call"),
            Command::Redirect { .. } => cx.refuse("Redirect", "it is we who call"),
            Command::Info { .. } => cx.refuse("Info", NOT_UP),
            Command::Dtmf { .. } => cx.refuse("Dtmf", NOT_UP),
            Command::Refer { .. } => cx.refuse("Refer", NOT_UP),
            Command::AnswerRefer { .. } => cx.refuse("AnswerRefer", NOT_UP),
            Command::NotifyRefer { .. } => cx.refuse("NotifyRefer", NOT_UP),
        }
        self.pump(cx)
    }

    fn offering(&mut self) -> Option<&mut Branch> {
        self.forks.values_mut().find(|branch| matches!(branch.peer.exchange, Exchange::Theirs(_)))
    }

    /// Ends it: the INVITE is cancelled as soon as it may be.
    pub(super) fn end(&mut self, cx: &mut Cx<'_>, reason: Option<String>, why: Ended) -> Next {
        self.drop_forks(cx);
        cx.core.disown(cx.now, self.flight, reason, cx.ours.prover.clone());
        Next::Over(why)
    }

    fn pump(&mut self, cx: &mut Cx<'_>) -> Next {
        for branch in self.forks.values_mut() {
            if branch.peer.try_offer(cx, false, &Headers::new()).is_err() {
                cx.refuse("Offer", "the request cannot be sent");
            }
        }
        Next::Stay
    }

    fn drop_fork(&mut self, cx: &mut Cx<'_>, tag: &str) {
        if let Some(mut branch) = self.forks.remove(tag) {
            branch.peer.abandon(cx);
            cx.core.dialogs.remove(branch.peer.dialog.id());
        }
    }

    fn drop_forks(&mut self, cx: &mut Cx<'_>) {
        for tag in self.forks.keys().cloned().collect::<Vec<_>>() {
            self.drop_fork(cx, &tag);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let forks = self.forks.values().filter_map(|branch| branch.peer.deadline());
        forks.chain([self.ring_until]).min()
    }

    pub(super) fn tick(&mut self, cx: &mut Cx<'_>) -> Next {
        if self.ring_until <= cx.now {
            return self.end(cx, None, Ended::NoAnswer);
        }
        if self.forks.values_mut().any(|branch| branch.peer.tick(cx)) {
            return self.end(cx, None, Ended::NoAgreement);
        }
        self.pump(cx)
    }
}

const NOT_UP: &str = "the call is not answered";

/// Acknowledges a reliable provisional response, perhaps with the answer to its offer.
fn prack(cx: &mut Cx<'_>, peer: &mut Peer, rseq: u32, cseq: u32, answer: Option<&Body>) {
    let errand = Errand::Prack { tag: peer.tag() };
    // Full: the response comes again until the other side gives up.
    let _ = peer.ask(cx, Method::Prack, errand, |prack| {
        prack.headers.push("RAck", format!("{rseq} {cseq} INVITE"));
        answer.iter().for_each(|answer| put_body(prack, answer));
    });
}

/// Takes an INFO of a type that we know; others get 415, and one without a body 200.
pub(super) fn hear_info(cx: &mut Cx<'_>, server: ServerId, request: &Request) {
    let Some(body) = Body::of(&request.headers, &request.body) else {
        cx.respond(server, request, Reply::status(200));
        return;
    };
    let kind = body.content_type.split(';').next().unwrap_or_default().trim();
    if cx.core.config.info_types.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
        cx.respond(server, request, Reply::status(200));
        cx.tell(CallEvent::Info { body });
    } else {
        let accept = cx.core.config.info_types.join(", ");
        cx.respond(server, request, Reply::with(415, "Accept", accept));
    }
}
