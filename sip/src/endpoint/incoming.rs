//! What comes from the network: which call, request or nobody it is for, and what strangers are told.

use std::time::Instant;

use super::{
    CallEvent, CallId, Endpoint, Output, TransactionId,
    call::Call,
    core::{Due, MergeKey, Reply, Served},
    flight::Owner,
    input::ContactUser,
    peer::{Cx, Ours, Peer},
    refresh,
    ringing::{Arrived, Ringing, reliable_of},
    way::take_source,
};
use crate::{
    dialog::DialogId,
    endpoint::Body,
    message::{MalformedHeader, Message, Method, Request, Response, Scheme},
    transaction::{Matched, ServerId},
    transport::{Source, Target},
};

impl Endpoint {
    pub(super) fn hear(&mut self, now: Instant, message: Message, source: &Source) {
        match message {
            Message::Response(response) => self.hear_response(now, &response),
            Message::Request(request) => {
                // Without a legible way back nobody can be told anything.
                let _ = self.hear_request(now, request, source);
            }
        }
    }

    fn hear_response(&mut self, now: Instant, response: &Response) {
        let Some(landed) = self.core.hear_response(now, response) else { return };
        let is_answer = landed.request.method == Method::Invite && (200..300).contains(&response.status);
        let is_taken = match &landed.owner {
            Owner::Call(id, errand) => match self.calls.get_mut(id) {
                Some(call) => {
                    let is_taken = call.hear_response(&mut self.core, now, errand, &landed, response);
                    self.settle(*id);
                    is_taken
                }
                None => false,
            },
            Owner::Request(id) => {
                if response.status >= 200 {
                    self.core.put(Output::Responded { id: *id, result: Ok(Box::new(response.clone())) });
                }
                !is_answer
            }
            Owner::Nobody | Owner::Ack { .. } => false,
        };
        if is_answer && !is_taken {
            self.core.turn_away(now, &landed, response);
        }
        self.core.settle(&landed, response.status);
    }

    fn hear_request(&mut self, now: Instant, mut request: Request, source: &Source) -> Result<(), MalformedHeader> {
        let Some(target) = take_source(&mut request, source, &self.core.config) else { return Ok(()) };
        let matched = self.core.layer.hear_request(now, &request);
        self.core.flush();
        match matched? {
            Matched::Absorbed => {}
            Matched::Ack => self.hear_ack(now, &request, source),
            Matched::New if request.method == Method::Cancel => self.hear_cancel(now, &request, target),
            Matched::New => match DialogId::of_request(&request)? {
                Some(dialog) => self.hear_within(now, &dialog, request, source, target),
                None => self.hear_outside(now, request, source, target)?,
            },
        }
        Ok(())
    }

    fn hear_ack(&mut self, now: Instant, ack: &Request, source: &Source) {
        let Ok(Some(dialog)) = DialogId::of_request(ack) else { return };
        let Some(id) = self.core.dialogs.get(&dialog).copied() else { return };
        if let Some(call) = self.calls.get_mut(&id) {
            call.hear_ack(&mut self.core, now, ack, source);
            self.settle(id);
        }
    }

    fn hear_cancel(&mut self, now: Instant, cancel: &Request, target: Target) {
        let Some(invite) = self.core.layer.cancelled_by(cancel) else {
            self.core.respond_stateless(cancel, target, Reply::status(481));
            return;
        };
        let call = self.core.served.get(&invite).and_then(|served| served.call);
        // Its response has the tag of the INVITE's (RFC 3261 section 9.2), which is the call's.
        let tag = call.and_then(|id| self.calls.get(&id)).and_then(Call::ringing_tag);
        if let Ok(server) = self.serve(now, cancel, target) {
            self.core.respond(now, server, cancel, Reply { status: 200, tag: tag.as_deref(), ..Reply::default() });
        }
        if let Some(id) = call
            && let Some(call) = self.calls.get_mut(&id)
        {
            let reason = cancel.headers.first("Reason").map(str::to_owned);
            call.hear_cancel(&mut self.core, now, invite, reason);
            self.settle(id);
        }
    }

    fn hear_within(&mut self, now: Instant, dialog: &DialogId, request: Request, source: &Source, target: Target) {
        if let Some(reply) = self.unknown_method(&request) {
            self.core.respond_stateless(&request, target, reply);
            return;
        }
        if !self.core.has_room(true) {
            let reply = self.busy();
            self.core.respond_stateless(&request, target, reply);
            return;
        }
        let call = self.core.dialogs.get(dialog).copied().filter(|id| self.calls.contains_key(id));
        let Some(id) = call else {
            // A BYE that crosses ours; anybody else is a stranger, or late.
            let is_left = request.method == Method::Bye && self.core.left.contains(dialog);
            match self.serve(now, &request, target) {
                Ok(server) if is_left => _ = self.core.respond(now, server, &request, Reply::status(200)),
                Ok(server) => _ = self.core.respond(now, server, &request, Reply::status(481)),
                Err(_) => {}
            }
            return;
        };
        let Ok(server) = self.serve(now, &request, target) else { return };
        if request.method == Method::Invite
            && let Some(served) = self.core.served.get_mut(&server)
        {
            served.call = Some(id);
        }
        if let Some(call) = self.calls.get_mut(&id) {
            call.hear_request(&mut self.core, now, dialog, server, request, source);
            self.settle(id);
        }
    }

    fn hear_outside(
        &mut self,
        now: Instant,
        request: Request,
        source: &Source,
        target: Target,
    ) -> Result<(), MalformedHeader> {
        if let Some(reply) = self.unknown_method(&request) {
            self.core.respond_stateless(&request, target, reply);
            return Ok(());
        }
        if !self.core.has_room(false) {
            let reply = self.busy();
            self.core.respond_stateless(&request, target, reply);
            return Ok(());
        }
        let from = request.headers.from()?;
        let cseq = request.headers.cseq()?;
        let tag = from.tag().unwrap_or_default();
        let key: MergeKey = (request.headers.call_id()?.into(), tag.into(), cseq.number, cseq.method);
        // The same request by another way, or one of ours that came back as it was (RFC 3261 sections 8.2.2.2, 16.3).
        let is_merged = !tag.is_empty() && self.core.merged.contains_key(&key);
        if is_merged || self.has_looped(&request) {
            let server = self.serve(now, &request, target)?;
            self.core.respond(now, server, &request, Reply::status(482));
            return Ok(());
        }
        match request.method {
            Method::Invite => self.hear_invite(now, request, source, target, key),
            Method::Options => {
                let server = self.serve(now, &request, target)?;
                let reply = if self.is_draining { self.busy() } else { self.capabilities() };
                self.core.respond(now, server, &request, reply);
                Ok(())
            }
            // They make sense within a dialog alone.
            Method::Bye | Method::Prack | Method::Update | Method::Info | Method::Notify => {
                let server = self.serve(now, &request, target)?;
                self.core.respond(now, server, &request, Reply::status(481));
                Ok(())
            }
            Method::Refer => {
                let server = self.serve(now, &request, target)?;
                self.core.respond(now, server, &request, Reply::status(403));
                Ok(())
            }
            _ => self.hand_up(now, request, source, target, key),
        }
    }

    fn hand_up(
        &mut self,
        now: Instant,
        request: Request,
        source: &Source,
        target: Target,
        key: MergeKey,
    ) -> Result<(), MalformedHeader> {
        let server = self.serve_once(now, &request, target, key)?;
        self.next_transaction += 1;
        let transaction = TransactionId(self.next_transaction);
        let answer_by = now + self.core.config.timing.patience().saturating_sub(std::time::Duration::from_secs(1));
        self.core.deadlines.set(Due::Asked(transaction), Some(answer_by));
        self.asked.insert(transaction, (server, Box::new(request.clone())));
        self.core.put(Output::Asked { transaction, request: Box::new(request), source: *source });
        Ok(())
    }

    fn hear_invite(
        &mut self,
        now: Instant,
        request: Request,
        source: &Source,
        target: Target,
        key: MergeKey,
    ) -> Result<(), MalformedHeader> {
        let from = source.remote.ip().to_canonical();
        // Nothing is remembered of those who are too many or too quick.
        if self.is_draining || self.calls.len() >= self.core.config.limits.calls || !self.sources.admit(now, from) {
            let reply = self.busy();
            self.core.respond_stateless(&request, target, reply);
            return Ok(());
        }
        let server = self.serve_once(now, &request, target, key)?;
        let tag = self.core.chance.word();
        let first_cseq = self.core.chance.first_number();
        let arrived = self.judge_invite(&request).and_then(|(terms, replaces)| {
            let peer = Peer::as_callee(&request, source, &tag, first_cseq).map_err(|_| Reply::status(400))?;
            Ok((terms, replaces, peer))
        });
        let (terms, replaces, peer) = match arrived {
            Ok(arrived) => arrived,
            Err(reply) => {
                self.core.respond(now, server, &request, reply);
                return Ok(());
            }
        };
        self.next_call += 1;
        let id = CallId::Received(self.next_call);
        // The caller named us by that user, so others find us by it, too.
        let user = request.uri.user.clone().filter(|_| matches!(request.uri.scheme, Scheme::Sip | Scheme::Sips));
        let mut ours = Ours { contact: ContactUser { user, params: String::new() }, prover: None };
        let dialog = peer.dialog.id().clone();
        let event = CallEvent::Invited {
            request: Box::new(request.clone()),
            source: *source,
            offer: Body::of(&request.headers, &request.body),
            reliable: reliable_of(&request),
            replaces,
        };
        let reliable = reliable_of(&request);
        let mut cx = Cx { core: &mut self.core, now, call: id, ours: &mut ours };
        let ringing = Ringing::new(&mut cx, Arrived { server, request, peer, reliable, terms, replaces });
        self.core.dialogs.insert(dialog, id);
        if let Some(served) = self.core.served.get_mut(&server) {
            served.call = Some(id);
        }
        self.sources.began(from);
        self.calls.insert(id, Call::ringing(id, ours, from, ringing));
        self.core.tell(id, event);
        self.settle(id);
        Ok(())
    }

    /// What an INVITE asks for beside the call: a session timer, and the place of another call.
    fn judge_invite(&self, request: &Request) -> Result<(Option<refresh::Terms>, Option<CallId>), Reply<'static>> {
        let headers = &request.headers;
        let kind = headers.first("Content-Type").unwrap_or("application/sdp").split(';').next().unwrap_or_default();
        let kind = kind.trim().to_ascii_lowercase();
        if !request.body.is_empty() && kind != "application/sdp" && !kind.starts_with("multipart/") {
            return Err(Reply::with(415, "Accept", "application/sdp"));
        }
        // What we say is a session description, and whoever names no type takes one (RFC 3261 section 20.1).
        let mut accepted = headers.elements("Accept").map(|one| one.split(';').next().unwrap_or_default().trim());
        let is_sdp =
            |one: &str| ["application/sdp", "application/*", "*/*"].iter().any(|sdp| sdp.eq_ignore_ascii_case(one));
        if headers.first("Accept").is_some_and(|value| !value.trim().is_empty()) && !accepted.any(is_sdp) {
            return Err(Reply::status(406));
        }
        let terms = refresh::judge(&self.core.config.session, headers)
            .map_err(|brief| Reply::with(422, "Min-SE", brief.min_se_s.to_string()))?;
        let Some(value) = headers.first("Replaces") else { return Ok((terms, None)) };
        let (dialog, is_early_only) = DialogId::from_replaces(value).ok_or_else(|| Reply::status(400))?;
        let known = self.core.dialogs.get(&dialog).copied();
        let Some((id, call)) = known.and_then(|id| Some((id, self.calls.get(&id)?))) else {
            return Err(Reply::status(481));
        };
        // RFC 3891 section 3: who has ended cannot be replaced, who is up only if that is meant, and of those who ring
        // only whom we called ourselves.
        match () {
            () if call.is_ended() => Err(Reply::status(603)),
            () if call.confirmed().is_some() && is_early_only => Err(Reply::status(486)),
            () if call.confirmed().is_some() || call.is_calling() => Ok((terms, Some(id))),
            () => Err(Reply::status(481)),
        }
    }

    /// Opens a transaction.
    fn serve(&mut self, now: Instant, request: &Request, target: Target) -> Result<ServerId, MalformedHeader> {
        let server = self.core.layer.serve(now, request, target)?;
        self.core.served.insert(server, Served { merge_key: None, call: None });
        Ok(server)
    }

    /// Opens a transaction for a request that must not come by two ways.
    fn serve_once(
        &mut self,
        now: Instant,
        request: &Request,
        target: Target,
        key: MergeKey,
    ) -> Result<ServerId, MalformedHeader> {
        let server = self.core.layer.serve(now, request, target)?;
        self.core.merged.insert(key.clone(), server);
        self.core.served.insert(server, Served { merge_key: Some(key), call: None });
        Ok(server)
    }

    /// What a request is told whose method we do not take.
    fn unknown_method(&self, request: &Request) -> Option<Reply<'static>> {
        use Method::{Ack, Bye, Cancel, Info, Invite, Notify, Options, Other, Prack, Refer, Update};
        match &request.method {
            Invite | Ack | Bye | Cancel | Options | Prack | Update | Info | Refer | Notify => None,
            method if self.core.config.asked.contains(method) => None,
            Other(_) => Some(Reply::with(501, "Allow", self.core.allow.clone())),
            _ => Some(Reply::with(405, "Allow", self.core.allow.clone())),
        }
    }

    fn busy(&self) -> Reply<'static> {
        Reply::with(503, "Retry-After", self.core.config.limits.retry_after_s.to_string())
    }

    fn capabilities(&self) -> Reply<'static> {
        let mut reply = Reply::with(200, "Allow", self.core.allow.clone());
        reply.headers.push("Supported", super::core::Core::SUPPORTED);
        reply.headers.push("Accept", "application/sdp");
        reply
    }

    /// Whether a request is one of ours that came back unchanged. One that comes back with another Request-URI, or
    /// that we sent to ourselves, is not in a loop.
    fn has_looped(&self, request: &Request) -> bool {
        let mut vias = request.headers.elements("Via");
        vias.next();
        vias.take(64).any(|via| {
            let Ok(via) = via.parse::<crate::message::Via>() else { return false };
            via.branch().is_some_and(|branch| self.core.layer.has_sent(branch, &request.method, &request.uri))
        })
    }
}
