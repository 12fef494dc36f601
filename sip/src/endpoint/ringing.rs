//! A call that somebody places with us, until we answer it: ringing, early media, PRACK, CANCEL.

use std::time::{Duration, Instant};

use super::{
    Body, CallId, Command, Ended, Output, Reliable,
    call::Next,
    calling::hear_info,
    core::Reply,
    errand::Errand,
    flight::Landed,
    modify::Replied,
    peer::{Cx, Exchange, How, Peer, Theirs},
    refresh::{Refresh, Terms},
    reliable::{self, Reliables},
    session::Session,
    unacked::Unacked,
};
use crate::{
    message::{Headers, Method, NameAddr, Request, Response},
    transaction::ServerId,
    transport::Target,
};

/// How often a provisional response is said again, so that proxies between do not give up (RFC 3261 section 13.3.1.1).
const REMIND_AFTER: Duration = Duration::from_secs(60);

/// A call that somebody places with us.
#[derive(Debug)]
pub(super) struct Ringing {
    server: ServerId,
    request: Box<Request>,
    cseq: u32,
    pub(super) peer: Peer,
    reliable: Reliable,
    reliables: Reliables,
    /// The answer that was let hear before it counts.
    preview: Option<Body>,
    /// The answer to the call, while a provisional response with a session description is not acknowledged.
    accepting: Option<(Option<Body>, Headers)>,
    terms: Option<Terms>,
    replaces: Option<CallId>,
    /// The last provisional response, and when it is said again.
    remind: Option<(Instant, u16)>,
    ring_until: Instant,
    expires_at: Option<Instant>,
}

/// What is known of a call when it comes.
pub(super) struct Arrived {
    pub(super) server: ServerId,
    pub(super) request: Request,
    pub(super) peer: Peer,
    pub(super) reliable: Reliable,
    pub(super) terms: Option<Terms>,
    pub(super) replaces: Option<CallId>,
}

impl Ringing {
    pub(super) fn new(cx: &mut Cx<'_>, arrived: Arrived) -> Self {
        let Arrived { server, request, mut peer, reliable, terms, replaces } = arrived;
        if !request.body.is_empty() {
            peer.exchange = Exchange::Theirs(Theirs { how: How::Call, answer_by: None });
        }
        let expires = request.headers.number("Expires").ok().flatten();
        let first_rseq = cx.core.chance.first_number();
        Self {
            server,
            cseq: request.headers.cseq().map_or(0, |cseq| cseq.number),
            request: Box::new(request),
            peer,
            reliable,
            reliables: Reliables::new(cx.core.config.timing, first_rseq),
            preview: None,
            accepting: None,
            terms,
            replaces,
            remind: None,
            ring_until: cx.now + cx.core.config.limits.ringing,
            expires_at: expires.map(|expires_s| cx.now + Duration::from_secs(u64::from(expires_s.clamp(1, 86_400)))),
        }
    }

    pub(super) fn command(&mut self, cx: &mut Cx<'_>, command: Command) -> Next {
        match command {
            Command::Ring { status, body, is_reliable } => {
                if let Err(why) = self.ring(cx, status.clamp(101, 199), body, is_reliable) {
                    cx.refuse("Ring", why);
                }
            }
            Command::Accept { body, headers } => match self.accept(cx, body, headers) {
                Ok(next) => return next,
                Err(why) => cx.refuse("Accept", why),
            },
            Command::Reject { status, headers } => {
                return self.refuse(cx, status.clamp(400, 699), headers, Ended::HungUp);
            }
            Command::Redirect { contacts } => return self.redirect(cx, &contacts),
            Command::Hangup { reason } => {
                let mut headers = Headers::new();
                reason.into_iter().for_each(|reason| headers.push("Reason", reason));
                return self.refuse(cx, 480, headers, Ended::HungUp);
            }
            Command::Offer { body, by } => self.peer.wanted = Some((body, by)),
            Command::Answer { body } => match self.peer.answer(cx, body) {
                Ok(Replied::InCall) => {
                    cx.refuse("Answer", "the answer to the call's own offer goes into Ring or Accept");
                }
                Ok(Replied::Done | Replied::Accepted { .. } | Replied::InPrack { .. }) => {}
                Err(why) => cx.refuse("Answer", why),
            },
            Command::Decline { status, headers } => {
                if let Err(why) = self.peer.decline(cx, status, headers) {
                    cx.refuse("Decline", why);
                }
            }
            Command::Invite(_) => cx.refuse("Invite", "it is they who call"),
            Command::Info { .. } => cx.refuse("Info", NOT_UP),
            Command::Dtmf { .. } => cx.refuse("Dtmf", NOT_UP),
            Command::Refer { .. } => cx.refuse("Refer", NOT_UP),
            Command::AnswerRefer { .. } => cx.refuse("AnswerRefer", NOT_UP),
            Command::NotifyRefer { .. } => cx.refuse("NotifyRefer", NOT_UP),
        }
        self.pump(cx)
    }

    fn ring(&mut self, cx: &mut Cx<'_>, status: u16, body: Option<Body>, is_wanted: bool) -> Result<(), &'static str> {
        if self.accepting.is_some() {
            return Err("the call was accepted");
        }
        let is_reliable = match self.reliable {
            Reliable::Cannot => false,
            Reliable::Can => is_wanted,
            Reliable::Must => true,
        };
        if !is_reliable {
            if body.is_some() && !matches!(self.peer.exchange, Exchange::Theirs(Theirs { how: How::Call, .. })) {
                return Err("what this session description answers was answered, or was never offered");
            }
            self.preview = body.clone().or_else(|| self.preview.take());
            self.provisional(cx, status, body, Headers::new());
            return Ok(());
        }
        if self.reliables.is_busy() {
            return if self.reliables.wait(status, body) {
                Ok(())
            } else {
                Err("too many responses wait for their PRACK")
            };
        }
        self.ring_reliably(cx, status, body)
    }

    fn ring_reliably(&mut self, cx: &mut Cx<'_>, status: u16, body: Option<Body>) -> Result<(), &'static str> {
        if let Some(body) = &body {
            match &self.peer.exchange {
                Exchange::Theirs(Theirs { how: How::Call, .. }) => self.peer.settle(),
                Exchange::Idle if !self.peer.is_settled => self.peer.exchange = Exchange::Ours { before: None },
                Exchange::Idle | Exchange::Ours { .. } | Exchange::Theirs(_) => {
                    return Err("a session description does not fit here: the first offer was answered");
                }
            }
            self.peer.sent = Some(body.clone());
        }
        let rseq = self.reliables.number();
        let mut headers = Headers::new();
        headers.push("Require", "100rel");
        headers.push("RSeq", rseq.to_string());
        let has_body = body.is_some();
        if let Some((response, target)) = self.provisional(cx, status, body, headers) {
            self.reliables.sent(cx.now, rseq, response.to_bytes(), target, has_body);
        }
        Ok(())
    }

    fn provisional(
        &mut self,
        cx: &mut Cx<'_>,
        status: u16,
        body: Option<Body>,
        headers: Headers,
    ) -> Option<(Response, Target)> {
        self.remind = headers.is_empty().then_some((cx.now + REMIND_AFTER, status));
        let tag = self.peer.dialog.id().local_tag.clone();
        let reply = Reply { status, tag: Some(&tag), headers, body, ..Reply::default() };
        cx.respond(self.server, &self.request, reply)
    }

    fn accept(&mut self, cx: &mut Cx<'_>, body: Option<Body>, headers: Headers) -> Result<Next, &'static str> {
        if self.accepting.is_some() {
            return Err("the call was accepted before");
        }
        if self.reliables.holds_body() {
            // The 2xx must not overtake what the PRACK acknowledges (RFC 3262 section 3).
            self.accepting = Some((body, headers));
            return Ok(Next::Stay);
        }
        let is_first = !self.peer.is_settled;
        let body = match &self.peer.exchange {
            Exchange::Theirs(Theirs { how: How::Call, .. }) => {
                Some(body.or_else(|| self.preview.take()).ok_or("an answer to the offer is owed")?)
            }
            Exchange::Idle if is_first => Some(body.ok_or("the caller made no offer, so one is owed")?),
            Exchange::Idle | Exchange::Theirs(_) => None,
            Exchange::Ours { .. } if is_first => return Err("the caller has not answered the offer"),
            Exchange::Ours { .. } => None,
        };
        let is_offer = is_first && matches!(self.peer.exchange, Exchange::Idle);
        if let Some(body) = &body {
            self.peer.sent = Some(body.clone());
            match is_offer {
                true => self.peer.exchange = Exchange::Ours { before: None },
                false => self.peer.settle(),
            }
        }
        let mut all = headers;
        if let Some(terms) = &self.terms {
            terms.headers().iter().for_each(|(name, value)| all.push(name, value));
        }
        let tag = self.peer.dialog.id().local_tag.clone();
        let reply = Reply { status: 200, tag: Some(&tag), headers: all, body, ..Reply::default() };
        let Some((response, target)) = cx.respond(self.server, &self.request, reply) else {
            return Err("the call was answered before");
        };
        if let Some(old) = self.replaces.take() {
            cx.core.replaced.push_back((old, cx.call));
        }
        let unacked = Unacked::new(cx, self.cseq, &response, target, is_offer, true);
        let refresh = self.terms.map(|terms| Refresh::granting(cx.now, terms));
        let mut session = Session::new(self.peer.clone(), refresh);
        let fresh = Reliables::new(cx.core.config.timing, 0);
        session.await_ack(unacked, std::mem::replace(&mut self.reliables, fresh));
        Ok(Next::Up(Box::new(session)))
    }

    fn redirect(&mut self, cx: &mut Cx<'_>, contacts: &[NameAddr]) -> Next {
        if contacts.is_empty() {
            cx.refuse("Redirect", "it names nobody");
            return Next::Stay;
        }
        let mut headers = Headers::new();
        contacts.iter().for_each(|contact| headers.push("Contact", contact.to_string()));
        self.refuse(cx, 302, headers, Ended::HungUp)
    }

    fn refuse(&mut self, cx: &mut Cx<'_>, status: u16, headers: Headers, why: Ended) -> Next {
        self.peer.abandon(cx);
        let tag = self.peer.dialog.id().local_tag.clone();
        let reply = Reply { status, tag: Some(&tag), headers, ..Reply::default() };
        cx.core.respond(cx.now, self.server, &self.request, reply);
        Next::Over(why)
    }

    pub(super) fn hear_cancel(&mut self, cx: &mut Cx<'_>, invite: ServerId, reason: Option<String>) -> Next {
        // A second INVITE, which was postponed, may be cancelled too.
        if invite != self.server {
            return Next::Stay;
        }
        self.refuse(cx, 487, Headers::new(), Ended::Cancelled { reason })
    }

    pub(super) fn hear_request(&mut self, cx: &mut Cx<'_>, server: ServerId, request: Request) -> Next {
        match request.method {
            Method::Prack if self.reliables.acknowledged(&request, self.cseq) => {
                self.peer.hear_prack(cx, server, request);
                return self.go_on(cx);
            }
            Method::Prack => _ = cx.respond(server, &request, Reply::status(481)),
            Method::Update => self.peer.hear_update(cx, server, request, Headers::new()),
            Method::Bye => {
                cx.respond(server, &request, Reply::status(200));
                let reason = request.headers.first("Reason").map(str::to_owned);
                return self.refuse(cx, 487, Headers::new(), Ended::Bye { reason });
            }
            Method::Info => hear_info(cx, server, &request),
            // The first INVITE is not answered yet.
            Method::Invite => self.peer.postpone(cx, server, &request),
            Method::Refer => _ = cx.respond(server, &request, Reply::status(403)),
            _ => _ = cx.respond(server, &request, Reply::status(481)),
        }
        self.pump(cx)
    }

    /// A provisional response was acknowledged: the next one, or the answer, may go.
    fn go_on(&mut self, cx: &mut Cx<'_>) -> Next {
        if let Some((status, body)) = self.reliables.next() {
            if let Err(why) = self.ring_reliably(cx, status, body) {
                cx.refuse("Ring", why);
            }
            return Next::Stay;
        }
        if let Some((body, headers)) = self.accepting.take() {
            match self.accept(cx, body, headers) {
                Ok(next) => return next,
                Err(why) => cx.refuse("Accept", why),
            }
        }
        self.pump(cx)
    }

    fn pump(&mut self, cx: &mut Cx<'_>) -> Next {
        if self.peer.try_offer(cx, false, &Headers::new()).is_err() {
            cx.refuse("Offer", "the request cannot be sent");
        }
        Next::Stay
    }

    pub(super) fn hear_response(
        &mut self,
        cx: &mut Cx<'_>,
        errand: &Errand,
        landed: &Landed,
        response: &Response,
    ) -> Next {
        if let Errand::Modify { .. } = errand {
            self.peer.hear_modified(cx, landed, false, response);
        }
        self.pump(cx)
    }

    pub(super) fn hear_failure(&mut self, _cx: &mut Cx<'_>, errand: &Errand) -> Next {
        if let Errand::Modify { .. } = errand {
            self.peer.modify_failed();
        }
        Next::Stay
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let remind = self.remind.map(|(at, _)| at);
        let others = [remind, self.expires_at, self.reliables.deadline(), self.peer.deadline()];
        others.into_iter().flatten().chain([self.ring_until]).min()
    }

    pub(super) fn tick(&mut self, cx: &mut Cx<'_>) -> Next {
        if self.expires_at.is_some_and(|at| at <= cx.now) {
            return self.refuse(cx, 487, Headers::new(), Ended::NoAnswer);
        }
        if self.ring_until <= cx.now {
            return self.refuse(cx, 480, Headers::new(), Ended::NoAnswer);
        }
        match self.reliables.tick(cx.now) {
            reliable::Due::Nothing => {}
            reliable::Due::Resend(bytes, target) => cx.core.put(Output::Transmit { bytes, target }),
            reliable::Due::GiveUp => return self.refuse(cx, 504, Headers::new(), Ended::NoPrack),
        }
        if let Some((at, status)) = self.remind
            && at <= cx.now
        {
            self.provisional(cx, status, None, Headers::new());
        }
        self.peer.tick(cx);
        self.pump(cx)
    }
}

const NOT_UP: &str = "the call is not answered";

/// What the caller of an INVITE can do about reliable responses.
pub(super) fn reliable_of(request: &Request) -> Reliable {
    if request.headers.contains_token("Require", "100rel") {
        Reliable::Must
    } else if request.headers.contains_token("Supported", "100rel") {
        Reliable::Can
    } else {
        Reliable::Cannot
    }
}
