//! A call that was answered, until one side hangs up.

use std::{collections::VecDeque, time::Instant};

use super::{
    Body, CallEvent, Command, Ended, Failure, Output, ReferTo,
    call::Next,
    calling::hear_info,
    core::Reply,
    errand::Errand,
    flight::{FlightId, Landed},
    leaving::Leaving,
    modify::{Modified, Replied},
    peer::{Cx, Exchange, How, Peer, Theirs, put_body},
    refresh::{self, Due, Refresh, Terms},
    reliable::Reliables,
    transfer::Transfers,
    unacked::{AckDue, Unacked},
};
use crate::{
    message::{Headers, Method, Request, Response},
    transaction::ServerId,
};

/// How many INFOs may wait: keys of somebody who types fast, while the line is bad.
const MOST_INFOS: usize = 64;

/// A call that was answered.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) peer: Peer,
    refresh: Option<Refresh>,
    /// What the request whose offer waits for our answer asks of the session timer.
    renewal: Option<Option<Terms>>,
    /// A 2xx of ours that was not acknowledged.
    unacked: Option<Unacked>,
    transfers: Transfers,
    /// INFOs go one after the other, so that no key overtakes another.
    infos: VecDeque<Body>,
    info: Option<FlightId>,
    /// A provisional response without a session description whose PRACK did not come before the answer.
    unpracked: Option<(Reliables, u32)>,
}

impl Session {
    pub(super) fn new(peer: Peer, refresh: Option<Refresh>) -> Self {
        Self {
            peer,
            refresh,
            renewal: None,
            unacked: None,
            transfers: Transfers::default(),
            infos: VecDeque::new(),
            info: None,
            unpracked: None,
        }
    }

    /// We took the call with this 2xx. A PRACK may still come for what was said before it (RFC 3262 section 3).
    pub(super) fn await_ack(&mut self, unacked: Unacked, reliables: Reliables) {
        self.unpracked = reliables.is_busy().then_some((reliables, unacked.cseq));
        self.unacked = Some(unacked);
    }

    /// A re-INVITE was cancelled.
    pub(super) fn hear_cancel(&mut self, cx: &mut Cx<'_>, invite: ServerId) -> Next {
        if self.owes_response(invite) && self.peer.decline(cx, 487, Headers::new()).is_ok() {
            cx.tell(CallEvent::OfferWithdrawn);
        }
        self.pump(cx);
        Next::Stay
    }

    /// Whether a 2xx to the INVITE that placed the call is the one that made this session.
    pub(super) fn is_answer(&self, landed: &Landed, response: &Response) -> bool {
        landed.request.method != Method::Invite
            || !(200..300).contains(&response.status)
            || response.headers.to().is_ok_and(|to| to.tag().unwrap_or_default() == &*self.peer.dialog.id().remote_tag)
    }

    pub(super) fn command(&mut self, cx: &mut Cx<'_>, command: Command) -> Next {
        let (name, done) = match command {
            Command::Hangup { reason } => return self.end(cx, reason, Ended::HungUp),
            Command::Offer { body, by } => {
                self.peer.wanted = Some((body, by));
                ("Offer", Ok(()))
            }
            Command::Answer { body } => ("Answer", self.answer(cx, body)),
            Command::Decline { status, headers } => {
                if matches!(self.peer.exchange, Exchange::Theirs(Theirs { how: How::Ack { .. }, .. })) {
                    return self.end(cx, None, Ended::NoAgreement);
                }
                self.renewal = None;
                ("Decline", self.peer.decline(cx, status, headers))
            }
            Command::Info { body } => ("Info", self.queue_info(body)),
            Command::Dtmf { key, duration_ms } => ("Dtmf", self.queue_key(key, duration_ms)),
            Command::Refer { to: ReferTo::Blind(to), headers } => {
                ("Refer", self.transfers.refer(cx, &mut self.peer, &to, &headers))
            }
            Command::Refer { to: ReferTo::Attended(_), .. } => ("Refer", Err("there is no such call to transfer to")),
            Command::AnswerRefer { refer, status } => {
                ("AnswerRefer", self.transfers.answer_refer(cx, &mut self.peer, refer, status))
            }
            Command::NotifyRefer { refer, status } => {
                ("NotifyRefer", self.transfers.notify(cx, &mut self.peer, refer, status))
            }
            Command::Invite(_) => ("Invite", Err("the call was placed before")),
            Command::Ring { .. } => ("Ring", Err(IS_UP)),
            Command::Accept { .. } => ("Accept", Err(IS_UP)),
            Command::Reject { .. } => ("Reject", Err(IS_UP)),
            Command::Redirect { .. } => ("Redirect", Err(IS_UP)),
        };
        if let Err(why) = done {
            cx.refuse(name, why);
        }
        self.pump(cx);
        Next::Stay
    }

    fn answer(&mut self, cx: &mut Cx<'_>, body: Body) -> Result<(), &'static str> {
        let cseq = match &self.peer.exchange {
            Exchange::Theirs(Theirs { how: How::Request { request, .. }, .. }) => request.headers.cseq().ok(),
            Exchange::Idle | Exchange::Ours { .. } | Exchange::Theirs(_) => None,
        };
        let replied = self.peer.answer(cx, body)?;
        if let Some(terms) = self.renewal.take() {
            self.refresh = terms.map(|terms| Refresh::granting(cx.now, terms));
        }
        if let Replied::Accepted { response, target, is_offer } = replied {
            let cseq = cseq.map_or(0, |cseq| cseq.number);
            self.unacked = Some(Unacked::new(cx, cseq, &response, target, is_offer, false));
        }
        Ok(())
    }

    fn queue_info(&mut self, body: Body) -> Result<(), &'static str> {
        if self.infos.len() >= MOST_INFOS {
            return Err("too many wait to be sent");
        }
        self.infos.push_back(body);
        Ok(())
    }

    fn queue_key(&mut self, key: char, duration_ms: u16) -> Result<(), &'static str> {
        let key = key.to_ascii_uppercase();
        if !matches!(key, '0'..='9' | '*' | '#' | 'A'..='D') {
            return Err("there is no such key");
        }
        let bytes = format!("Signal={key}\r\nDuration={duration_ms}\r\n").into();
        self.queue_info(Body { content_type: "application/dtmf-relay".to_owned(), bytes })
    }

    pub(super) fn hear_request(&mut self, cx: &mut Cx<'_>, server: ServerId, request: Request) -> Next {
        match request.method {
            Method::Bye => {
                cx.respond(server, &request, Reply::status(200));
                self.abandon(cx);
                let reason = request.headers.first("Reason").map(str::to_owned);
                return Next::Over(Ended::Bye { reason });
            }
            // The ACK of the last one is missing, so the next one cannot be understood.
            Method::Invite if self.unacked.is_some() => self.peer.postpone(cx, server, &request),
            Method::Invite | Method::Update => match refresh::judge(&cx.core.config.session, &request.headers) {
                Ok(terms) => self.hear_modify(cx, server, request, terms),
                Err(too_brief) => {
                    cx.respond(server, &request, Reply::with(422, "Min-SE", too_brief.min_se_s.to_string()));
                }
            },
            Method::Info => hear_info(cx, server, &request),
            Method::Prack => {
                let is_awaited = self.unpracked.take_if(|(sent, cseq)| sent.acknowledged(&request, *cseq)).is_some();
                cx.respond(server, &request, Reply::status(if is_awaited { 200 } else { 481 }));
            }
            Method::Refer => self.transfers.hear_refer(cx, server, request),
            Method::Notify => self.transfers.hear_notify(cx, server, &request),
            _ => _ = cx.respond(server, &request, Reply::status(481)),
        }
        self.pump(cx);
        Next::Stay
    }

    /// A re-INVITE or UPDATE came; its 2xx, now or with our answer, renews the session.
    fn hear_modify(&mut self, cx: &mut Cx<'_>, server: ServerId, request: Request, terms: Option<Terms>) {
        let headers = terms.map(|terms| terms.headers()).unwrap_or_default();
        if request.method == Method::Invite {
            self.peer.hear_reinvite(cx, server, request, headers);
        } else {
            if request.body.is_empty() {
                self.refresh = terms.map(|terms| Refresh::granting(cx.now, terms));
            }
            self.peer.hear_update(cx, server, request, headers);
        }
        if self.owes_response(server) {
            self.renewal = Some(terms);
        }
    }

    /// Whether our answer to an offer goes into the response to that request.
    fn owes_response(&self, request: ServerId) -> bool {
        matches!(&self.peer.exchange,
            Exchange::Theirs(Theirs { how: How::Request { server, .. }, .. }) if *server == request)
    }

    pub(super) fn hear_ack(&mut self, cx: &mut Cx<'_>, ack: &Request) -> Next {
        let Some(unacked) = self.unacked.take_if(|unacked| unacked.is_for(ack)) else { return Next::Stay };
        let answer = Body::of(&ack.headers, &ack.body).filter(|_| unacked.is_offer);
        if unacked.is_offer {
            if answer.is_none() {
                return self.end(cx, None, Ended::NoAgreement);
            }
            self.peer.settle();
        }
        if unacked.is_first {
            cx.tell(CallEvent::Acked { answer });
        } else if unacked.is_offer {
            cx.tell(CallEvent::OfferAnswered { answer });
        }
        self.pump(cx);
        Next::Stay
    }

    pub(super) fn hear_response(
        &mut self,
        cx: &mut Cx<'_>,
        errand: &Errand,
        landed: &Landed,
        response: &Response,
    ) -> Next {
        self.peer.went_to(landed);
        match errand {
            Errand::Modify { is_refresh, .. } => {
                match self.peer.hear_modified(cx, landed, *is_refresh, response) {
                    Modified::Done => {}
                    Modified::Agreed => self.refresh = Refresh::granted(cx.now, &response.headers),
                    Modified::TooBrief => {
                        if let Some(refresh) = &mut self.refresh {
                            refresh.lengthen(response);
                            refresh.postpone(cx.now);
                        }
                    }
                    Modified::Gone => return self.gone(cx, response.status),
                }
                // One that failed for another reason is tried again before the session counts as dead.
                if *is_refresh && response.status >= 300 && self.peer.modifying.is_none() {
                    self.refresh.iter_mut().for_each(|refresh| refresh.postpone(cx.now));
                }
            }
            Errand::Info if response.status >= 200 && self.info == Some(landed.flight) => {
                if response.status < 300 || !self.peer.ask_again(cx, landed.flight, response) {
                    self.info = None;
                    if matches!(response.status, 408 | 481) {
                        return self.gone(cx, response.status);
                    }
                }
            }
            Errand::Refer => self.transfers.hear_referred(cx, &mut self.peer, landed, response),
            Errand::Notify(refer) => self.transfers.notified(cx, &mut self.peer, *refer, Some((landed, response))),
            Errand::Prack { .. } => {
                if response.status >= 300 {
                    self.peer.ask_again(cx, landed.flight, response);
                }
            }
            Errand::Info | Errand::Invite => {}
        }
        self.pump(cx);
        Next::Stay
    }

    pub(super) fn hear_failure(&mut self, cx: &mut Cx<'_>, errand: &Errand, failure: Failure) -> Next {
        match errand {
            // A side that does not answer within its dialog is gone (RFC 3261 section 12.2.1.2).
            Errand::Modify { .. } | Errand::Info if failure == Failure::TimedOut => {
                return self.end(cx, None, Ended::Failed(failure));
            }
            Errand::Modify { is_refresh, .. } => {
                self.peer.modify_failed();
                match is_refresh {
                    true => self.refresh.iter_mut().for_each(|refresh| refresh.postpone(cx.now)),
                    false => cx.tell(CallEvent::OfferDeclined { status: 503 }),
                }
            }
            Errand::Info => self.info = None,
            Errand::Refer => self.transfers.refer_failed(cx),
            Errand::Notify(refer) => self.transfers.notified(cx, &mut self.peer, *refer, None),
            Errand::Prack { .. } | Errand::Invite => {}
        }
        self.pump(cx);
        Next::Stay
    }

    /// Hangs up.
    pub(super) fn end(&mut self, cx: &mut Cx<'_>, reason: Option<String>, why: Ended) -> Next {
        self.abandon(cx);
        if let Some(unacked) = self.unacked.take_if(|unacked| unacked.is_first) {
            let peer = self.peer.clone();
            return Next::Leave(why, Box::new(Leaving { peer, unacked, reason }));
        }
        self.peer.bye(cx, reason);
        Next::Over(why)
    }

    /// The other side says that it does not know the dialog (481), or somebody between that it is silent (408).
    fn gone(&mut self, cx: &mut Cx<'_>, status: u16) -> Next {
        if status != 481 {
            return self.end(cx, None, Ended::Gone);
        }
        self.abandon(cx);
        Next::Over(Ended::Gone)
    }

    fn abandon(&mut self, cx: &mut Cx<'_>) {
        // The ACK of a 2xx is owed even where there is no answer to its offer.
        if let Exchange::Theirs(Theirs { how: How::Ack { invite, cseq }, .. }) = self.peer.exchange {
            self.peer.exchange = Exchange::Idle;
            self.peer.acknowledge(cx, invite, cseq, None);
        }
        self.peer.abandon(cx);
        self.transfers.abandon(cx);
    }

    /// Sends what waits, where nothing stands against it.
    pub(super) fn pump(&mut self, cx: &mut Cx<'_>) {
        if self.unacked.is_none() {
            let headers = self.refresh.as_ref().map(|refresh| refresh.ask(&cx.core.config.session)).unwrap_or_default();
            if self.peer.try_offer(cx, true, &headers).is_err() {
                cx.refuse("Offer", "the request cannot be sent");
            }
        }
        if self.info.is_none()
            && let Some(body) = self.infos.pop_front()
        {
            let sent = self.peer.ask(cx, Method::Info, Errand::Info, |info| put_body(info, &body));
            match sent {
                Ok(flight) => self.info = Some(flight),
                Err(_) => cx.refuse("Info", "the request cannot be sent"),
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        [
            self.unacked.as_ref().map(Unacked::deadline),
            self.refresh.as_ref().map(Refresh::deadline),
            self.transfers.deadline(),
            self.peer.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn tick(&mut self, cx: &mut Cx<'_>) -> Next {
        let timing = cx.core.config.timing;
        match self.unacked.as_mut().map(|unacked| unacked.tick(cx.now, &timing)) {
            None | Some(AckDue::Nothing) => {}
            Some(AckDue::Resend(bytes, target)) => cx.core.put(Output::Transmit { bytes, target }),
            Some(AckDue::GiveUp) => {
                self.unacked = None;
                return self.end(cx, None, Ended::NoAck);
            }
        }
        match self.refresh.as_mut().map_or(Due::Nothing, |refresh| refresh.tick(cx.now)) {
            Due::Nothing => {}
            Due::Refresh => self.refresh_now(cx),
            Due::Expired => return self.end(cx, None, Ended::SessionExpired),
        }
        if self.peer.tick(cx) {
            return self.end(cx, None, Ended::NoAgreement);
        }
        self.transfers.tick(cx, &mut self.peer);
        self.pump(cx);
        Next::Stay
    }

    fn refresh_now(&mut self, cx: &mut Cx<'_>) {
        let Some(refresh) = &mut self.refresh else { return };
        let headers = refresh.ask(&cx.core.config.session);
        let is_sent = self.unacked.is_none() && self.peer.refresh(cx, &headers).unwrap_or(false);
        if !is_sent {
            refresh.postpone(cx.now);
        }
    }
}

const IS_UP: &str = "the call is answered";
