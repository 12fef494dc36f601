//! Offers within a dialog: re-INVITE, UPDATE and what they answer (RFC 3261 section 14, RFC 3311, RFC 6337).

use std::time::{Duration, Instant};

use super::{
    Body, CallEvent, Failure, OfferBy, OfferedBy,
    core::Reply,
    errand::Errand,
    flight::Landed,
    peer::{Cx, Exchange, How, Peer, Theirs, put_body},
};
use crate::{
    message::{Headers, Method, Request, Response},
    transaction::ServerId,
    transport::Target,
};

/// How long we may take to answer an offer: well below the 32 s after which the other side gives up.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// How long a re-INVITE of ours may go without a final response before it is cancelled: somebody may be asked whether
/// they want video, but nobody thinks about it for longer.
const MODIFY_WITHIN: Duration = Duration::from_secs(60);

/// How often an offer that collided is tried again.
const MOST_RETRIES: u8 = 10;

/// What came of an offer of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Modified {
    /// Nothing yet, or nothing that anybody must know.
    Done,
    /// The other side took it: a session timer may have been agreed on.
    Agreed,
    /// It wants a longer session timer.
    TooBrief,
    /// The other side knows nothing of the dialog any more.
    Gone,
}

/// Where an answer of ours went.
#[derive(Debug)]
pub(super) enum Replied {
    /// It is out.
    Done,
    /// It is a 2xx to a re-INVITE, which is sent until it is acknowledged.
    Accepted { response: Box<Response>, target: Target, is_offer: bool },
    /// The response to the INVITE that began the call.
    InCall,
    /// The PRACK of a provisional response.
    InPrack { rseq: u32, cseq: u32 },
}

impl Peer {
    /// An UPDATE came, in order. `headers` go into its 2xx.
    pub(super) fn hear_update(&mut self, cx: &mut Cx<'_>, server: ServerId, request: Request, headers: Headers) {
        let Some(offer) = Body::of(&request.headers, &request.body) else {
            self.follow(&request.headers);
            cx.respond(server, &request, Reply { status: 200, headers, ..Reply::default() });
            return;
        };
        if self.collides(cx, server, &request) {
            return;
        }
        self.take_offer(cx, server, request, headers, Some(offer), OfferedBy::Update);
    }

    /// A PRACK came for a response of ours, in order. One without an offer is answered at once.
    pub(super) fn hear_prack(&mut self, cx: &mut Cx<'_>, server: ServerId, request: Request) {
        let body = Body::of(&request.headers, &request.body);
        match (&self.exchange, body) {
            (Exchange::Ours { .. }, answer) => {
                cx.respond(server, &request, Reply::status(200));
                self.settle();
                cx.tell(CallEvent::OfferAnswered { answer });
            }
            (_, None) => _ = cx.respond(server, &request, Reply::status(200)),
            (Exchange::Idle, offer) if self.is_settled => {
                self.take_offer(cx, server, request, Headers::new(), offer, OfferedBy::Prack);
            }
            (Exchange::Idle | Exchange::Theirs(_), _) => self.postpone(cx, server, &request),
        }
    }

    /// A re-INVITE came, in order, and none of ours or theirs is under way.
    pub(super) fn hear_reinvite(&mut self, cx: &mut Cx<'_>, server: ServerId, request: Request, headers: Headers) {
        if self.modifying.is_some() {
            cx.respond(server, &request, Reply::status(491));
            return;
        }
        if self.collides(cx, server, &request) {
            return;
        }
        let offer = Body::of(&request.headers, &request.body);
        self.take_offer(cx, server, request, headers, offer, OfferedBy::Invite);
    }

    /// The 2xx to our bare re-INVITE, or to an INVITE without offer, holds an offer: we owe the ACK.
    pub(super) fn take_late_offer(&mut self, cx: &mut Cx<'_>, how: How, offer: Body) {
        self.exchange = Exchange::Theirs(Theirs { how, answer_by: Some(cx.now + ANSWER_WITHIN) });
        cx.tell(CallEvent::Offered { offer: Some(offer), by: OfferedBy::Response });
    }

    fn take_offer(
        &mut self,
        cx: &mut Cx<'_>,
        server: ServerId,
        request: Request,
        headers: Headers,
        offer: Option<Body>,
        by: OfferedBy,
    ) {
        let how = How::Request { server, request: Box::new(request), headers, is_bare: offer.is_none() };
        self.exchange = Exchange::Theirs(Theirs { how, answer_by: Some(cx.now + ANSWER_WITHIN) });
        cx.tell(CallEvent::Offered { offer, by });
    }

    /// Whether an offer cannot be taken now; it was refused then.
    fn collides(&mut self, cx: &mut Cx<'_>, server: ServerId, request: &Request) -> bool {
        match self.exchange {
            Exchange::Idle if self.is_settled => return false,
            Exchange::Ours { .. } => _ = cx.respond(server, request, Reply::status(491)),
            Exchange::Idle | Exchange::Theirs(_) => self.postpone(cx, server, request),
        }
        true
    }

    /// Refuses a request that overlaps with one before it: 500, to be tried again within 10 s.
    pub(super) fn postpone(&mut self, cx: &mut Cx<'_>, server: ServerId, request: &Request) {
        let after = cx.core.chance.seconds(10).to_string();
        cx.respond(server, request, Reply::with(500, "Retry-After", after));
    }

    /// Answers their offer, or makes the offer that they asked for.
    pub(super) fn answer(&mut self, cx: &mut Cx<'_>, body: Body) -> Result<Replied, &'static str> {
        let Exchange::Theirs(theirs) = &mut self.exchange else { return Err("there is no offer to be answered") };
        let (server, request, headers, is_bare) = match &mut theirs.how {
            How::Request { server, request, headers, is_bare } => {
                (*server, (**request).clone(), std::mem::take(headers), *is_bare)
            }
            How::Call => return Ok(Replied::InCall),
            How::Prack { rseq, cseq } => return Ok(Replied::InPrack { rseq: *rseq, cseq: *cseq }),
            How::Ack { invite, cseq } => {
                let (invite, cseq) = (*invite, *cseq);
                self.acknowledge(cx, invite, cseq, Some(&body));
                self.sent = Some(body);
                self.settle();
                return Ok(Replied::Done);
            }
        };
        // Whoever is refused has not moved.
        self.follow(&request.headers);
        let before = self.sent.replace(body.clone());
        self.settle();
        let reply = Reply { status: 200, headers, body: Some(body), ..Reply::default() };
        let sent = cx.respond(server, &request, reply);
        if request.method != Method::Invite {
            return Ok(Replied::Done);
        }
        if is_bare {
            self.exchange = Exchange::Ours { before };
        }
        let Some((response, target)) = sent else { return Ok(Replied::Done) };
        Ok(Replied::Accepted { response: Box::new(response), target, is_offer: is_bare })
    }

    /// Refuses their offer; `Err` where the call cannot go on without it.
    pub(super) fn decline(&mut self, cx: &mut Cx<'_>, status: u16, headers: Headers) -> Result<(), &'static str> {
        let Exchange::Theirs(theirs) = &self.exchange else { return Err("there is no offer to be refused") };
        let How::Request { server, request, .. } = &theirs.how else {
            return Err("this offer cannot be refused but by ending the call");
        };
        let (server, request) = (*server, (**request).clone());
        self.exchange = Exchange::Idle;
        cx.respond(server, &request, Reply { status: status.clamp(400, 699), headers, ..Reply::default() });
        Ok(())
    }

    /// The call ends: whoever waits for a response gets one.
    pub(super) fn abandon(&mut self, cx: &mut Cx<'_>) {
        if let Some(flight) = self.modifying.take() {
            cx.core.disown(cx.now, flight, None, cx.ours.prover.clone());
        }
        let _ = self.decline(cx, 487, Headers::new());
        self.wanted = None;
        self.retry_at = None;
    }

    /// Sends the offer that waits, if nothing stands against it. `headers` are those of the session timer; before the
    /// call is answered only UPDATE may carry one.
    pub(super) fn try_offer(&mut self, cx: &mut Cx<'_>, is_confirmed: bool, headers: &Headers) -> Result<(), Failure> {
        let is_free = matches!(self.exchange, Exchange::Idle) && self.is_settled && self.modifying.is_none();
        if !is_free || self.retry_at.is_some() {
            return Ok(());
        }
        let Some((body, by)) = self.wanted.take() else { return Ok(()) };
        let by_update = by == OfferBy::Update || !is_confirmed;
        if !is_confirmed && (!self.allows_update || body.is_none()) {
            // It waits for the answer to the call.
            self.wanted = Some((body, by));
            return Ok(());
        }
        let method = if by_update && self.allows_update && body.is_some() { Method::Update } else { Method::Invite };
        let errand = Errand::Modify { tag: self.tag(), method: method.clone(), is_refresh: false };
        let flight = self.ask(cx, method, errand, |request| {
            headers.iter().for_each(|(name, value)| request.headers.push(name, value));
            body.iter().for_each(|body| put_body(request, body));
        })?;
        self.modifying = Some(flight);
        self.modify_by = Some(cx.now + MODIFY_WITHIN);
        if body.is_some() {
            let before = std::mem::replace(&mut self.sent, body);
            self.exchange = Exchange::Ours { before };
        }
        Ok(())
    }

    /// Refreshes the session without changing it; `false` while another exchange is under way, which is one too.
    pub(super) fn refresh(&mut self, cx: &mut Cx<'_>, headers: &Headers) -> Result<bool, Failure> {
        if !matches!(self.exchange, Exchange::Idle) || self.modifying.is_some() || self.retry_at.is_some() {
            return Ok(false);
        }
        let method = if self.allows_update { Method::Update } else { Method::Invite };
        let body = self.sent.clone().filter(|_| method == Method::Invite);
        let errand = Errand::Modify { tag: self.tag(), method: method.clone(), is_refresh: true };
        let flight = self.ask(cx, method, errand, |request| {
            headers.iter().for_each(|(name, value)| request.headers.push(name, value));
            body.iter().for_each(|body| put_body(request, body));
        })?;
        self.modifying = Some(flight);
        self.modify_by = Some(cx.now + MODIFY_WITHIN);
        if body.is_some() {
            self.exchange = Exchange::Ours { before: body };
        }
        Ok(true)
    }

    /// A response to our re-INVITE or UPDATE came.
    pub(super) fn hear_modified(
        &mut self,
        cx: &mut Cx<'_>,
        landed: &Landed,
        is_refresh: bool,
        response: &Response,
    ) -> Modified {
        if response.status < 200 || self.modifying != Some(landed.flight) {
            return Modified::Done;
        }
        if response.status >= 300 {
            return self.hear_refused(cx, landed, is_refresh, response);
        }
        self.modifying = None;
        self.retries = 0;
        self.follow(&response.headers);
        let body = Body::of(&response.headers, &response.body);
        let is_invite = landed.request.method == Method::Invite;
        let cseq = landed.request.headers.cseq().map_or(0, |cseq| cseq.number);
        match (&self.exchange, body) {
            (Exchange::Ours { .. }, answer) => {
                if is_invite {
                    self.acknowledge(cx, landed.flight, cseq, None);
                }
                self.settle();
                cx.tell(CallEvent::OfferAnswered { answer });
            }
            (_, Some(offer)) if is_invite => {
                self.take_late_offer(cx, How::Ack { invite: landed.flight, cseq }, offer);
            }
            (_, None) if is_invite => {
                self.acknowledge(cx, landed.flight, cseq, None);
                cx.tell(CallEvent::OfferAnswered { answer: None });
            }
            // A refresh without an offer, by UPDATE.
            _ => {}
        }
        Modified::Agreed
    }

    fn hear_refused(&mut self, cx: &mut Cx<'_>, landed: &Landed, is_refresh: bool, response: &Response) -> Modified {
        if self.ask_again(cx, landed.flight, response) {
            return Modified::Done;
        }
        self.modifying = None;
        let offered = self.take_back();
        match response.status {
            481 => return Modified::Gone,
            408 => return Modified::Gone,
            422 if self.retries < MOST_RETRIES => {
                self.retries += 1;
                self.want_again(&landed.request, offered, is_refresh);
                return Modified::TooBrief;
            }
            491 | 500 if self.retries < MOST_RETRIES => {
                self.retries += 1;
                let after = response.headers.number("Retry-After").ok().flatten().filter(|_| response.status == 500);
                self.retry_at =
                    Some(cx.now + after.map_or_else(|| glare_delay(cx), |s| Duration::from_secs(s.min(10).into())));
                self.want_again(&landed.request, offered, is_refresh);
            }
            _ if is_refresh => {}
            status => {
                self.retries = 0;
                cx.tell(CallEvent::OfferDeclined { status });
            }
        }
        Modified::Done
    }

    /// Our re-INVITE or UPDATE gets no response.
    pub(super) fn modify_failed(&mut self) {
        self.modifying = None;
        self.take_back();
    }

    /// Our offer was not taken: what stood before stands.
    fn take_back(&mut self) -> Option<Body> {
        let offered = self.sent.clone();
        match std::mem::replace(&mut self.exchange, Exchange::Idle) {
            Exchange::Ours { before } => self.sent = before,
            other => {
                self.exchange = other;
                return None;
            }
        }
        offered
    }

    /// Wants the same again, unless something newer is wanted by now; a refresh comes by its own timer.
    fn want_again(&mut self, request: &Request, offered: Option<Body>, is_refresh: bool) {
        let by = if request.method == Method::Update { OfferBy::Update } else { OfferBy::Invite };
        if !is_refresh && self.wanted.is_none() {
            self.wanted = Some((offered, by));
        }
    }

    /// When [`Peer::tick`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let answer_by = match &self.exchange {
            Exchange::Theirs(theirs) => theirs.answer_by,
            Exchange::Idle | Exchange::Ours { .. } => None,
        };
        let modify_by = self.modify_by.filter(|_| self.modifying.is_some());
        [answer_by, modify_by, self.retry_at].into_iter().flatten().min()
    }

    /// Does what is due; whether the call must end because we owe an answer that nobody gave.
    pub(super) fn tick(&mut self, cx: &mut Cx<'_>) -> bool {
        if self.retry_at.is_some_and(|at| at <= cx.now) {
            self.retry_at = None;
        }
        if self.modify_by.is_some_and(|by| by <= cx.now) {
            self.modify_by = None;
            self.modifying.inspect(|flight| cx.core.cancel(cx.now, *flight, None));
        }
        if let Exchange::Theirs(Theirs { answer_by: Some(by), .. }) = self.exchange
            && by <= cx.now
        {
            return self.decline(cx, 504, Headers::new()).is_err();
        }
        false
    }
}

/// How long to wait after a collision: whoever made the Call-ID waits longer, so that they do not collide again.
fn glare_delay(cx: &mut Cx<'_>) -> Duration {
    match cx.call {
        super::CallId::Placed(_) => cx.core.chance.delay_ms(2_100, 4_000),
        super::CallId::Received(_) => cx.core.chance.delay_ms(0, 2_000),
    }
}
