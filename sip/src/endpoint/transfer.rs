//! Transfers within a call: REFER both ways, and the NOTIFYs of the subscription that it implies (RFC 3515, RFC 3891).

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    CallEvent, ReferId,
    core::Reply,
    errand::Errand,
    flight::Landed,
    peer::{Cx, Peer},
};
use crate::{
    message::{Headers, Method, NameAddr, Request, Response, reason_phrase},
    transaction::ServerId,
};

/// How long we may take to answer a REFER.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// How long a transfer may take; a call that rings longer is not taken.
const EXPIRES: Duration = Duration::from_secs(300);

/// How many REFERs of theirs may be under way in one call.
const MOST_REFERRALS: usize = 4;

/// The transfers of one call.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    asked: Option<Asked>,
    referrals: BTreeMap<ReferId, Referral>,
}

/// A REFER of ours.
#[derive(Debug)]
struct Asked {
    /// The CSeq of the REFER, which names the subscription.
    id: u32,
    give_up_at: Instant,
    last: u16,
}

/// A REFER of theirs.
#[derive(Debug)]
struct Referral {
    /// The CSeq of the REFER, which names the subscription.
    id: u32,
    stage: Stage,
    /// Whether NOTIFYs are wanted (RFC 4488).
    is_told: bool,
    give_up_at: Instant,
}

#[derive(Debug)]
enum Stage {
    /// Nobody has answered it.
    Asked { server: ServerId, request: Box<Request> },
    /// It was accepted. NOTIFYs go one after the other, so that none overtakes another.
    Going { is_notifying: bool, next: Option<u16>, is_last_sent: bool },
}

impl Transfers {
    /// Asks the other side to call somebody else.
    pub(super) fn refer(
        &mut self,
        cx: &mut Cx<'_>,
        peer: &mut Peer,
        to: &NameAddr,
        headers: &Headers,
    ) -> Result<(), &'static str> {
        if self.asked.is_some() {
            return Err("a transfer is under way");
        }
        let mut id = 0;
        let sent = peer.ask(cx, Method::Refer, Errand::Refer, |refer| {
            id = refer.headers.cseq().map_or(0, |cseq| cseq.number);
            refer.headers.push("Refer-To", to.to_string());
            headers.iter().for_each(|(name, value)| refer.headers.push(name, value));
        });
        sent.map_err(|_| "the request cannot be sent")?;
        self.asked = Some(Asked { id, give_up_at: cx.now + EXPIRES, last: 0 });
        Ok(())
    }

    /// A final response to our REFER came.
    pub(super) fn hear_referred(&mut self, cx: &mut Cx<'_>, peer: &mut Peer, landed: &Landed, response: &Response) {
        if response.status < 200 {
            return;
        }
        if response.status >= 300 {
            if peer.ask_again(cx, landed.flight, response) {
                if let Some(asked) = &mut self.asked {
                    asked.id = cx
                        .core
                        .flights
                        .get(&landed.flight)
                        .map_or(0, |flight| flight.request.headers.cseq().map_or(0, |cseq| cseq.number));
                }
                return;
            }
            self.finish(cx, response.status);
        }
    }

    /// The other side did not answer our REFER.
    pub(super) fn refer_failed(&mut self, cx: &mut Cx<'_>) {
        self.finish(cx, 408);
    }

    /// A NOTIFY came, in order.
    pub(super) fn hear_notify(&mut self, cx: &mut Cx<'_>, server: ServerId, request: &Request) {
        let event = request.headers.first("Event").unwrap_or_default();
        let mut parts = event.split(';').map(str::trim);
        let is_refer = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("refer"));
        let id = parts.find_map(|param| param.strip_prefix("id=")).map(|id| id.parse::<u32>().ok());
        if !is_refer {
            cx.respond(server, request, Reply::with(489, "Allow-Events", "refer"));
            return;
        }
        let Some(asked) = self.asked.as_mut().filter(|asked| id.is_none_or(|id| id == Some(asked.id))) else {
            cx.respond(server, request, Reply::status(481));
            return;
        };
        cx.respond(server, request, Reply::status(200));
        let status = fragment_status(&request.body);
        let state = request.headers.first("Subscription-State").unwrap_or_default().trim_start();
        let is_over = state.get(..10).is_some_and(|state| state.eq_ignore_ascii_case("terminated"));
        let last = status.unwrap_or(asked.last);
        asked.last = last;
        if last >= 200 || is_over {
            // Ended without a result: what became of it is not known.
            self.finish(cx, if last >= 200 { last } else { 487 });
        } else if status.is_some() {
            cx.tell(CallEvent::ReferProgress { status: last });
        }
    }

    fn finish(&mut self, cx: &mut Cx<'_>, status: u16) {
        if self.asked.take().is_some() {
            cx.tell(CallEvent::ReferProgress { status });
        }
    }

    /// A REFER came, in order.
    pub(super) fn hear_refer(&mut self, cx: &mut Cx<'_>, server: ServerId, request: Request) {
        let mut whom = request.headers.name_addrs("Refer-To").unwrap_or_default();
        let (Some(mut to), true) = (whom.pop(), whom.is_empty()) else {
            cx.respond(server, &request, Reply::status(400));
            return;
        };
        if self.referrals.len() >= MOST_REFERRALS {
            cx.respond(server, &request, Reply::with(503, "Retry-After", "10"));
            return;
        }
        let Ok(replaces) = take_replaces(&mut to) else {
            cx.respond(server, &request, Reply::status(400));
            return;
        };
        let referred_by = request.headers.first("Referred-By").map(str::to_owned);
        cx.core.next_refer += 1;
        let refer = ReferId(cx.core.next_refer);
        let id = request.headers.cseq().map_or(0, |cseq| cseq.number);
        let is_told = !request.headers.first("Refer-Sub").is_some_and(|wanted| wanted.trim().starts_with("false"));
        let stage = Stage::Asked { server, request: Box::new(request) };
        self.referrals.insert(refer, Referral { id, stage, is_told, give_up_at: cx.now + ANSWER_WITHIN });
        cx.tell(CallEvent::Referred { refer, to, replaces, referred_by });
    }

    /// Answers a REFER of theirs.
    pub(super) fn answer_refer(
        &mut self,
        cx: &mut Cx<'_>,
        peer: &mut Peer,
        refer: ReferId,
        status: u16,
    ) -> Result<(), &'static str> {
        let referral = self.referrals.get_mut(&refer).ok_or("there is no such transfer")?;
        let Stage::Asked { server, request } = &referral.stage else { return Err("it was answered before") };
        let is_taken = (200..300).contains(&status);
        let status = if is_taken { 202 } else { status.clamp(300, 699) };
        let mut reply = Reply::status(status);
        if is_taken && !referral.is_told {
            reply.headers.push("Refer-Sub", "false");
        }
        cx.respond(*server, request, reply);
        if !is_taken || !referral.is_told {
            self.referrals.remove(&refer);
            return Ok(());
        }
        referral.stage = Stage::Going { is_notifying: false, next: Some(100), is_last_sent: false };
        referral.give_up_at = cx.now + EXPIRES;
        self.notify_next(cx, peer, refer);
        Ok(())
    }

    /// Tells how far the call is that they referred us to.
    pub(super) fn notify(
        &mut self,
        cx: &mut Cx<'_>,
        peer: &mut Peer,
        refer: ReferId,
        status: u16,
    ) -> Result<(), &'static str> {
        let referral = self.referrals.get_mut(&refer).ok_or("there is no such transfer")?;
        let Stage::Going { next, is_last_sent, .. } = &mut referral.stage else {
            return Err("the REFER must be answered first");
        };
        if *is_last_sent || next.is_some_and(|next| next >= 200) {
            return Err("its last state was told");
        }
        // A newer state replaces one that waits.
        *next = Some(status.clamp(100, 699));
        self.notify_next(cx, peer, refer);
        Ok(())
    }

    /// A response to a NOTIFY came, or none will.
    pub(super) fn notified(
        &mut self,
        cx: &mut Cx<'_>,
        peer: &mut Peer,
        refer: ReferId,
        landed: Option<(&Landed, &Response)>,
    ) {
        if let Some((landed, response)) = landed
            && (response.status < 200 || peer.ask_again(cx, landed.flight, response))
        {
            return;
        }
        let is_wanted = landed.is_some_and(|(_, response)| response.status < 300);
        let Some(referral) = self.referrals.get_mut(&refer) else { return };
        let Stage::Going { is_notifying, is_last_sent, .. } = &mut referral.stage else { return };
        *is_notifying = false;
        if *is_last_sent || !is_wanted {
            self.referrals.remove(&refer);
        } else {
            self.notify_next(cx, peer, refer);
        }
    }

    fn notify_next(&mut self, cx: &mut Cx<'_>, peer: &mut Peer, refer: ReferId) {
        let Some(referral) = self.referrals.get_mut(&refer) else { return };
        let Stage::Going { is_notifying: false, next, .. } = &mut referral.stage else { return };
        let Some(status) = next.take() else { return };
        let (id, left) = (referral.id, referral.give_up_at.saturating_duration_since(cx.now).as_secs());
        let is_last = status >= 200;
        let sent = peer.ask(cx, Method::Notify, Errand::Notify(refer), |notify| {
            notify.headers.push("Event", format!("refer;id={id}"));
            let state =
                if is_last { "terminated;reason=noresource".to_owned() } else { format!("active;expires={left}") };
            notify.headers.push("Subscription-State", state);
            notify.headers.push("Content-Type", "message/sipfrag;version=2.0");
            notify.body = Bytes::from(format!("SIP/2.0 {status} {}\r\n", reason_phrase(status)));
        });
        match sent {
            Ok(_) => referral.stage = Stage::Going { is_notifying: true, next: None, is_last_sent: is_last },
            Err(_) => _ = self.referrals.remove(&refer),
        }
    }

    /// The call ends: whoever waits for a response gets one.
    pub(super) fn abandon(&mut self, cx: &mut Cx<'_>) {
        self.asked = None;
        for (_, referral) in std::mem::take(&mut self.referrals) {
            if let Stage::Asked { server, request } = &referral.stage {
                cx.respond(*server, request, Reply::status(487));
            }
        }
    }

    /// When [`Transfers::tick`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let referrals = self.referrals.values().map(|referral| referral.give_up_at);
        referrals.chain(self.asked.as_ref().map(|asked| asked.give_up_at)).min()
    }

    /// Gives up what took too long.
    pub(super) fn tick(&mut self, cx: &mut Cx<'_>, peer: &mut Peer) {
        if self.asked.as_ref().is_some_and(|asked| asked.give_up_at <= cx.now) {
            self.finish(cx, 408);
        }
        let late = self.referrals.iter().filter(|(_, referral)| referral.give_up_at <= cx.now).map(|(refer, _)| *refer);
        for refer in late.collect::<Vec<_>>() {
            // One that was never answered is refused, one whose call takes for ever ends with a last state.
            if self.answer_refer(cx, peer, refer, 603).is_err() {
                let _ = self.notify(cx, peer, refer, 408);
                self.referrals.remove(&refer);
            }
        }
    }
}

/// The status in a body of message/sipfrag.
fn fragment_status(body: &Bytes) -> Option<u16> {
    let text = std::str::from_utf8(body).ok()?;
    let rest = text.trim_start().strip_prefix("SIP/2.0")?.trim_start();
    let status = rest.get(..3)?.parse().ok()?;
    (100..700).contains(&status).then_some(status)
}

/// Takes the Replaces out of a Refer-To's URI, its escapes resolved; `Err` where it holds what no header may.
fn take_replaces(to: &mut NameAddr) -> Result<Option<String>, ()> {
    let Some(headers) = to.uri.headers.take() else { return Ok(None) };
    let values = headers.split('&').filter_map(|header| header.split_once('='));
    match values.filter(|(name, _)| name.eq_ignore_ascii_case("Replaces")).map(|(_, value)| unescaped(value)).next() {
        Some(replaces) if replaces.chars().any(char::is_control) => Err(()),
        replaces => Ok(replaces),
    }
}

/// A value as it stands in the headers of a URI.
pub(super) fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len() + 16);
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn unescaped(value: &str) -> String {
    let mut plain = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let code = (*byte == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        plain.push(code.unwrap_or(*byte));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&plain).into_owned()
}
