//! What the endpoint is told: messages that came, the time, and what is to be done.

use bytes::Bytes;

use super::{CallId, ReferId, RequestId, TransactionId};
use crate::{
    auth::Credentials,
    message::{Headers, Message, Method, NameAddr, Request, Response, Uri},
    transport::{Source, Target},
};

/// One thing the endpoint is told. Apart from [`Input::Tick`] each is also a tick.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message that [`validate::judge`](crate::validate::judge) accepted.
    Received {
        /// As it was written; its topmost Via has no `received` of ours yet.
        message: Message,
        /// Where it came from.
        source: Source,
    },
    /// The deadline that [`Endpoint::next_deadline`](super::Endpoint::next_deadline) named has come, or any other time.
    Tick,
    /// What was sent to a target cannot have arrived: the connection was refused, broke, or the datagram came back as
    /// an ICMP error. A stream that closed quietly is told too.
    TransportFailed {
        /// As it stood in [`Output::Transmit`](super::Output::Transmit), with the connection that is gone, if it had one.
        target: Target,
    },
    /// What a name stands for, in the order in which it is to be tried; none where it does not exist.
    Resolved {
        /// Of [`Output::Resolve`](super::Output::Resolve).
        token: u64,
        /// Addresses by RFC 3263: NAPTR and SRV in their order, then A and AAAA.
        targets: Vec<Target>,
    },
    /// Something to be done in a call.
    Call {
        /// Which; for [`Command::Invite`] a fresh [`CallId::Placed`].
        call: CallId,
        /// What.
        command: Command,
    },
    /// A request outside of any dialog: OPTIONS, REGISTER, MESSAGE.
    Request {
        /// Fresh, chosen by whoever asks.
        id: RequestId,
        /// What to ask.
        request: Box<OutOfDialog>,
    },
    /// Answers an [`Output::Asked`](super::Output::Asked).
    Respond {
        /// Of the request.
        transaction: TransactionId,
        /// A final status, 200 to 699.
        status: u16,
        /// Beside those that every response has (Via, From, To, Call-ID, CSeq, Server).
        headers: Headers,
        /// With its type.
        body: Option<Body>,
    },
    /// Whether new calls are taken. While they are not, INVITE and OPTIONS outside of dialogs get 503 with Retry-After,
    /// so that a proxy in front sends them elsewhere; what is there goes on.
    Drain(bool),
}

/// Something to be done in a call. One that no longer fits, because the other side was quicker, does nothing but
/// say so: [`CallEvent::Refused`](super::CallEvent::Refused) while the call lasts, nothing once it ended.
#[derive(Clone, Debug)]
pub enum Command {
    /// Places it.
    Invite(Box<Invite>),
    /// Says that it rings (180), or lets the caller hear something before the answer (183).
    Ring {
        /// 101 to 199.
        status: u16,
        /// An answer to the offer, or an offer where there was none and `is_reliable` is set.
        body: Option<Body>,
        /// Whether it must arrive (RFC 3262). Done only where the caller can, and always where it demands it.
        is_reliable: bool,
    },
    /// Takes the call.
    Accept {
        /// The answer to the offer; an offer where there was none; `None` where a reliable [`Command::Ring`] had it.
        body: Option<Body>,
        /// Beside those that the endpoint writes.
        headers: Headers,
    },
    /// Refuses the call.
    Reject {
        /// 400 to 699: 486 busy, 480 nobody there, 488 no common codec, 603 declined, 503 full.
        status: u16,
        /// Such as Retry-After, Warning, Reason.
        headers: Headers,
    },
    /// Sends the caller elsewhere (302).
    Redirect {
        /// In the order of preference; at least one.
        contacts: Vec<NameAddr>,
    },
    /// Ends the call in whatever state it is: CANCEL, BYE, or 480 to a caller who waits. [`CallEvent::Ended`]
    /// follows at once, and what the protocol still owes is done behind the scenes.
    ///
    /// [`CallEvent::Ended`]: super::CallEvent::Ended
    Hangup {
        /// The value of a Reason header (RFC 3326).
        reason: Option<String>,
    },
    /// Offers anew: hold, resume, other codecs. Waits while another exchange is under way; of those that wait the
    /// newest is sent. Collisions (491) are tried again after the delay of RFC 3261 section 14.1.
    Offer {
        /// `None` asks the other side for an offer; only by re-INVITE.
        body: Option<Body>,
        /// How.
        by: OfferBy,
    },
    /// Answers the offer of [`CallEvent::Offered`](super::CallEvent::Offered), or makes the offer that it asks for.
    Answer {
        /// The session description.
        body: Body,
    },
    /// Refuses the offer of [`CallEvent::Offered`](super::CallEvent::Offered); the session goes on as it was. An offer
    /// that came in a 2xx or a reliable provisional cannot be refused: it ends the call.
    Decline {
        /// 400 to 699, mostly 488.
        status: u16,
        /// Such as Warning.
        headers: Headers,
    },
    /// Sends something beside the sound (RFC 6086).
    Info {
        /// What, with its type.
        body: Body,
    },
    /// Presses a key by INFO, as `application/dtmf-relay`.
    Dtmf {
        /// 0 to 9, `*`, `#`, A to D.
        key: char,
        /// How long it was held.
        duration_ms: u16,
    },
    /// Asks the other side to call somebody else instead (RFC 3515).
    Refer {
        /// Whom.
        to: ReferTo,
        /// Beside those that the endpoint writes, such as Referred-By.
        headers: Headers,
    },
    /// Answers [`CallEvent::Referred`](super::CallEvent::Referred).
    AnswerRefer {
        /// Of the event.
        refer: ReferId,
        /// 202 to try it; 300 to 699 not to.
        status: u16,
    },
    /// Tells how far the call that was referred to is.
    NotifyRefer {
        /// Of the event.
        refer: ReferId,
        /// A status as that call had it: below 200 more will follow, from 200 on it was the last.
        status: u16,
    },
}

/// A call to be placed.
#[derive(Clone, Debug)]
pub struct Invite {
    /// The Request-URI.
    pub uri: Uri,
    /// Who calls; the tag is the endpoint's.
    pub from: NameAddr,
    /// Who is called.
    pub to: NameAddr,
    /// Where to send it: a trunk, a registered phone, an outbound proxy. `None` follows the first route or the URI.
    pub target: Option<Target>,
    /// Proxies to pass through, as Route headers.
    pub routes: Vec<NameAddr>,
    /// The user part of our Contact; the host is [`Config::advertise`](super::Config::advertise)'s.
    pub contact_user: Option<String>,
    /// The offer; `None` leaves it to the other side (late offer).
    pub offer: Option<Body>,
    /// For a challenge; not given to whom a redirect leads to.
    pub credentials: Option<Credentials>,
    /// Beside those that the endpoint writes, such as P-Asserted-Identity, Diversion, Referred-By, Replaces.
    pub headers: Headers,
    /// How many redirects (3xx) are followed; 0 ends the call with them.
    pub most_redirects: u8,
    /// Hops that are left: 70, or what a call that this one continues came with, less one, so that loops end.
    pub max_forwards: u8,
}

/// How a new offer travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferBy {
    /// By UPDATE before the call is answered, by re-INVITE after.
    Default,
    /// By re-INVITE (RFC 3261 section 14).
    Invite,
    /// By UPDATE (RFC 3311); by re-INVITE where the other side does not allow it.
    Update,
}

/// Whom a transfer leads to.
#[derive(Clone, Debug)]
pub enum ReferTo {
    /// Somebody who has not been asked.
    Blind(NameAddr),
    /// The other side of that call of ours, whom it then replaces (RFC 3891).
    Attended(CallId),
}

/// A request outside of any dialog.
///
/// The endpoint writes Via, Max-Forwards, User-Agent, and From's tag, Call-ID and CSeq where they are missing; after a
/// challenge it asks again with CSeq one higher.
#[derive(Clone, Debug)]
pub struct OutOfDialog {
    /// What is asked: From and To must be there.
    pub request: Request,
    /// Where to send it; `None` follows the first Route or the Request-URI.
    pub target: Option<Target>,
    /// For a challenge.
    pub credentials: Option<Credentials>,
    /// Writes a Contact for us.
    pub contact: Option<ContactUser>,
}

/// Whom our Contact names, at the host that [`Config::advertise`](super::Config::advertise) says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactUser {
    /// Its user part.
    pub user: Option<String>,
    /// What follows the URI, such as `;expires=300`.
    pub params: String,
}

/// A body with its type: a session description, keys. Opaque here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The value of Content-Type.
    pub content_type: String,
    /// Never empty.
    pub bytes: Bytes,
}

impl Body {
    /// A session description.
    pub fn sdp(bytes: impl Into<Bytes>) -> Self {
        Self { content_type: "application/sdp".to_owned(), bytes: bytes.into() }
    }

    /// The body of a message; `None` where it has none.
    pub fn of(headers: &Headers, bytes: &Bytes) -> Option<Self> {
        let content_type = headers.first("Content-Type").unwrap_or("application/sdp").to_owned();
        (!bytes.is_empty()).then(|| Self { content_type, bytes: bytes.clone() })
    }
}

impl OutOfDialog {
    /// A request with From and To alone.
    pub fn new(method: Method, uri: Uri, from: &NameAddr, to: &NameAddr) -> Self {
        let mut headers = Headers::new();
        headers.push("From", from.to_string());
        headers.push("To", to.to_string());
        let request = Request { method, uri, headers, body: Bytes::new() };
        Self { request, target: None, credentials: None, contact: None }
    }
}

impl Input {
    /// Answers with a whole response, of which status, body and headers that are not the endpoint's are taken.
    pub fn respond(transaction: TransactionId, response: &Response) -> Self {
        let mut headers = response.headers.clone();
        for name in ["Via", "From", "To", "Call-ID", "CSeq", "Content-Type", "Content-Length"] {
            headers.remove(name);
        }
        let body = Body::of(&response.headers, &response.body);
        Self::Respond { transaction, status: response.status, headers, body }
    }
}
