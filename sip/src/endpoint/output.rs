//! What the endpoint wants done and what it tells.

use bytes::Bytes;

use super::{Body, CallId, ReferId, RequestId, TransactionId};
use crate::{
    message::{NameAddr, Request, Response, Uri},
    transport::{Protocol, Source, Target},
};

/// One thing that is to be sent, looked up or known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this.
    Transmit {
        /// A whole message.
        bytes: Bytes,
        /// Where to.
        target: Target,
    },
    /// Look a name up (RFC 3263) and tell [`Input::Resolved`](super::Input::Resolved). What waits for it gives up
    /// after 64·T1.
    Resolve {
        /// To be given back.
        token: u64,
        /// A name, not an address.
        host: String,
        /// Where it was written: then there is no SRV to be asked.
        port: Option<u16>,
        /// The transport that the URI demands; `None` leaves the choice.
        protocol: Option<Protocol>,
    },
    /// Something happened in a call.
    Call {
        /// Which.
        call: CallId,
        /// What.
        event: CallEvent,
    },
    /// A request outside of any dialog came that the endpoint does not answer itself: to be answered with
    /// [`Input::Respond`](super::Input::Respond). After 64·T1 less a second without, it gets 500.
    Asked {
        /// To be given back.
        transaction: TransactionId,
        /// As it came; its Via tells `received`.
        request: Box<Request>,
        /// Where it came from.
        source: Source,
    },
    /// What came of an [`Input::Request`](super::Input::Request). Each has exactly one.
    Responded {
        /// Of the request.
        id: RequestId,
        /// The final response, or why there is none.
        result: Result<Box<Response>, Failure>,
    },
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The other side is silent, or the network is.
    #[error("no answer came in time; the other side is silent or cannot be reached")]
    TimedOut,
    /// The connection could not be made or broke.
    #[error("the connection failed")]
    TransportFailed,
    /// The name of the host leads nowhere.
    #[error("the host's name cannot be resolved")]
    Unresolved,
    /// The other side's answer names no legible way to it.
    #[error("the answer cannot be read")]
    Unreadable,
    /// Ours: as many are under way as may be.
    #[error("too many requests are under way; try again later")]
    Full,
    /// Ours: what was asked for lacks something (From, To) or is of a scheme that cannot be sent.
    #[error("the request cannot be sent: {0}")]
    Unsendable(&'static str),
}

/// Something that happened in a call.
///
/// Each call, from the moment it was placed or announced, ends with exactly one [`CallEvent::Ended`], and nothing
/// follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEvent {
    /// Somebody calls. 100 is sent by the endpoint.
    Invited {
        /// As it came; its Via tells `received`.
        request: Box<Request>,
        /// Where it came from.
        source: Source,
        /// The offer; `None` leaves it to us (late offer).
        offer: Option<Body>,
        /// Whether provisional responses can be sent reliably.
        reliable: Reliable,
        /// The call of ours that it takes the place of; accepting the one ends the other.
        replaces: Option<CallId>,
    },
    /// It rings at the other side, or there is something to be heard. More than one may ring.
    Ringing {
        /// Who of those who were reached.
        fork: Fork,
        /// The response, 101 to 199.
        response: Box<Response>,
        /// The answer to our offer, or a look ahead at it where the response is not reliable.
        answer: Option<Body>,
    },
    /// The other side took the call.
    Answered {
        /// Who: the others are told to stop.
        fork: Fork,
        /// The response, 2xx.
        response: Box<Response>,
        /// The answer to our offer; `None` where it came before, or where [`CallEvent::Offered`] follows because we
        /// made no offer.
        answer: Option<Body>,
    },
    /// The other side sends the call elsewhere (3xx).
    Redirected {
        /// All that it names, the best first.
        contacts: Vec<NameAddr>,
        /// The one that is tried now; `None` where no more are followed, and the call ends.
        followed: Option<Uri>,
    },
    /// The other side knows that we took the call.
    Acked {
        /// The answer to the offer that our answer held.
        answer: Option<Body>,
    },
    /// The other side offers anew: answer it with [`Command::Answer`](super::Command::Answer) or
    /// [`Command::Decline`](super::Command::Decline) within 20 s.
    Offered {
        /// `None` asks us for an offer.
        offer: Option<Body>,
        /// What it came in.
        by: OfferedBy,
    },
    /// The other side takes the offer of [`CallEvent::Offered`] back; there is nothing to be answered any more.
    OfferWithdrawn,
    /// The answer that an offer of ours brought, which may have been a refresh of the session with what it is already.
    OfferAnswered {
        /// The session description; `None` where a bare re-INVITE was answered without.
        answer: Option<Body>,
    },
    /// The other side refused our offer, or does not answer it; the session goes on as it was.
    OfferDeclined {
        /// 300 to 699.
        status: u16,
    },
    /// Something beside the sound; it was answered.
    Info {
        /// With its type, such as `application/dtmf-relay`.
        body: Body,
    },
    /// The other side asks us to call somebody else: to be answered with
    /// [`Command::AnswerRefer`](super::Command::AnswerRefer) within 20 s.
    Referred {
        /// To be given back.
        refer: ReferId,
        /// Whom; a `Replaces` of an attended transfer was taken out of its URI.
        to: NameAddr,
        /// The value of the Replaces header for the call that is to be placed.
        replaces: Option<String>,
        /// The value of Referred-By, to be passed on.
        referred_by: Option<String>,
    },
    /// How far the call is that we asked for by [`Command::Refer`](super::Command::Refer), 100 to 699. The first from
    /// 200 on is the last. A refusal of the request itself is told so, too, and silence as 408.
    ReferProgress {
        /// As the other side tells it.
        status: u16,
    },
    /// A command did not fit, and nothing was done.
    Refused {
        /// Its name.
        command: &'static str,
        /// Why.
        why: &'static str,
    },
    /// It is over.
    Ended {
        /// Why.
        why: Ended,
    },
}

/// One of those whom an INVITE reached; numbered from 0 in the order in which they were heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fork(pub u32);

/// Whether provisional responses can be sent so that they arrive (RFC 3262).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliable {
    /// The caller does not know how.
    Cannot,
    /// It can.
    Can,
    /// It demands it.
    Must,
}

/// What an offer came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferedBy {
    /// A re-INVITE.
    Invite,
    /// An UPDATE.
    Update,
    /// A PRACK.
    Prack,
    /// A reliable provisional response or the 2xx to our INVITE, which had none.
    Response,
}

/// Why a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// We ended or refused it.
    HungUp,
    /// They hung up; with the value of their Reason header.
    Bye {
        /// Such as `Q.850;cause=16`.
        reason: Option<String>,
    },
    /// They gave up before we answered; with the value of their Reason header.
    Cancelled {
        /// `SIP;cause=200;text="Call completed elsewhere"` tells that another phone took it.
        reason: Option<String>,
    },
    /// They refused it: 300 to 699.
    Rejected(Box<Response>),
    /// It rang for longer than [`Limits::ringing`](super::Limits::ringing), or than the caller's Expires.
    NoAnswer,
    /// We answered, and the other side never acknowledged it.
    NoAck,
    /// An offer was never answered, or an answer did not come where it had to.
    NoAgreement,
    /// A reliable provisional response was never acknowledged.
    NoPrack,
    /// The session was not refreshed in time (RFC 4028).
    SessionExpired,
    /// The other side no longer knows the call (481).
    Gone,
    /// The request that had to arrive did not.
    Failed(Failure),
    /// Another call took its place (RFC 3891).
    Replaced {
        /// Which.
        by: CallId,
    },
}
