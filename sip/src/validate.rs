//! What every message is judged by before a transaction sees it (RFC 3261 sections 8.1.3, 8.2 and 16.3; RFC 4475).
//!
//! A message that passes names its way back, both sides, its dialog and its transaction, each once and readable; so
//! whoever works with it need not think of what a stranger may have written. A bad request is answered, unless it is
//! an ACK or nobody could tell what the answer is to; a bad response is dropped. Loops and merged requests need memory
//! and are the endpoint's. Pure: one message in, one verdict out.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
};

use bytes::Bytes;
use thiserror::Error;

use crate::{
    message::{Headers, Malformed, MalformedHeader, Message, Method, NameAddr, Request, Response, Scheme, Via, Why},
    transport::{Source, Target},
};

/// What is to be done with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be worked with.
    Accept(Message),
    /// It is refused; whoever sent it is told.
    Answer {
        /// Complete, with a tag; [`way_back`] says where it goes.
        response: Box<Response>,
        /// What is wrong with the request.
        fault: Fault,
    },
    /// It is forgotten.
    Drop(Fault),
}

/// What is wrong with a message: its sender's fault, and the same again if it is sent again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// It is none.
    #[error("no message: {0}")]
    Malformed(#[from] Why),
    /// A header is missing or cannot be read.
    #[error("{0}")]
    Header(#[from] MalformedHeader),
    /// A header that may be there once is there twice.
    #[error("{0} is there more than once")]
    Doubled(&'static str),
    /// The start line says another method than CSeq.
    #[error("CSeq names another method than the first line")]
    Method,
    /// Max-Forwards is over 255.
    #[error("Max-Forwards is over 255")]
    Hops,
    /// Max-Forwards is used up.
    #[error("it has been through too many hops")]
    LastHop,
    /// The Request-URI is of a scheme that nobody here is called by.
    #[error("the Request-URI is of an unknown scheme")]
    Scheme,
    /// The Request-URI holds headers, which would be smuggled in.
    #[error("the Request-URI holds headers")]
    UriHeaders,
    /// It requires extensions that we do not have.
    #[error("it requires an extension that is unknown here")]
    Extension,
    /// A response that names other hops than us, or everybody.
    #[error("a response that is not ours")]
    NotOurs,
}

/// What is understood here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Option tags that Require may name, in lower case.
    pub extensions: Vec<String>,
}

impl Default for Rules {
    /// What the endpoint does: RFC 3262, 3891 and 4028.
    fn default() -> Self {
        Self { extensions: ["100rel", "replaces", "timer"].map(str::to_owned).to_vec() }
    }
}

/// Judges what was read from a datagram or a stream.
pub fn judge(read: Result<Message, Malformed>, rules: &Rules) -> Verdict {
    match read {
        Ok(Message::Request(request)) => match request_fault(&request, rules) {
            None => Verdict::Accept(Message::Request(request)),
            Some((fault, ..)) if request.method == Method::Ack || !request.headers.contains("Via") => {
                Verdict::Drop(fault)
            }
            Some((fault, status)) => refuse(fault, refusal(&request, status, rules)),
        },
        Ok(Message::Response(response)) => match response_fault(&response) {
            None => Verdict::Accept(Message::Response(response)),
            Some(fault) => Verdict::Drop(fault),
        },
        Err(Malformed { why, answer: Some(response) }) => refuse(why.into(), *response),
        Err(Malformed { why, answer: None }) => Verdict::Drop(why.into()),
    }
}

/// Where a response goes that no transaction sends (RFC 3261 section 18.2.2, RFC 3581), and its bytes: the way that its
/// request came where that is a connection, or where its Via asks for it or cannot be read; else to the port that the
/// Via names at the address that the request came from, never to an address that somebody wrote. `is_forced` asks in the
/// Via's stead, as [`Config::force_rport`](crate::endpoint::Config::force_rport) does for those who are answered later.
pub fn way_back(response: &Response, source: &Source, is_forced: bool) -> (Bytes, Target) {
    let mut target = source.target();
    let Ok(mut via) = response.headers.via() else { return (response.to_bytes(), target) };
    let mut response = response.clone();
    let rport = via.rport();
    if rport.is_none() && !is_forced && !source.protocol.is_reliable() {
        target.address.set_port(via.port.unwrap_or_else(|| source.protocol.default_port()));
    }
    note_source(&mut via, source);
    response.headers.pop_front("Via");
    response.headers.push_front("Via", via.to_string());
    (response.to_bytes(), target)
}

/// Writes into the topmost Via of a request where it came from: `received`, and `rport` where it is asked for.
pub fn note_source(via: &mut Via, source: &Source) {
    if via.params.contains("rport") {
        via.params.set("rport", Some(&source.remote.port().to_string()));
    }
    let address = source.remote.ip().to_canonical();
    let is_same = via.host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|host| host == address);
    if !is_same || via.params.contains("rport") {
        via.params.set("received", Some(&address.to_string()));
    } else {
        via.params.remove("received");
    }
}

/// Headers that may be there once.
const SINGLE: [&str; 11] = [
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Max-Forwards",
    "Content-Type",
    "Expires",
    "Refer-To",
    "Replaces",
    "RAck",
    "Session-Expires",
];

fn request_fault(request: &Request, rules: &Rules) -> Option<(Fault, u16)> {
    let headers = &request.headers;
    let bad = |fault| Some((fault, 400));
    let (to, method) = match readable(headers) {
        Ok(known) => known,
        Err(fault) => return bad(fault),
    };
    if method != request.method {
        return bad(Fault::Method);
    }
    if request.uri.headers.is_some() {
        return bad(Fault::UriHeaders);
    }
    if let Scheme::Other(_) = request.uri.scheme {
        return Some((Fault::Scheme, 416));
    }
    for name in ["Route", "Record-Route"] {
        if let Err(fault) = headers.name_addrs(name) {
            return bad(fault.into());
        }
    }
    if headers.first("Contact") != Some("*")
        && let Err(fault) = headers.name_addrs("Contact")
    {
        return bad(fault.into());
    }
    // An ACK is not answered and a CANCEL undoes what was taken, whatever they require and however far they came.
    let is_judged = !matches!(request.method, Method::Ack | Method::Cancel);
    match headers.number("Max-Forwards") {
        Err(fault) => return bad(fault.into()),
        Ok(Some(256..)) => return bad(Fault::Hops),
        // Within a dialog there is nothing to forward, and OPTIONS asks who stands at the last hop.
        Ok(Some(0)) if is_judged && to.tag().is_none() && request.method != Method::Options => {
            return Some((Fault::LastHop, 483));
        }
        Ok(_) => {}
    }
    (is_judged && unknown_extensions(headers, rules).next().is_some()).then_some((Fault::Extension, 420))
}

fn response_fault(response: &Response) -> Option<Fault> {
    if let Err(fault) = readable(&response.headers) {
        return Some(fault);
    }
    // A response goes back the way of its request, and each hop takes its own Via off: one is left for us.
    let mut vias = response.headers.elements("Via");
    let is_everybodys = |via: &str| via.parse::<Via>().is_ok_and(|via| via.host == "255.255.255.255");
    let is_ours = vias.next().is_some_and(|via| !is_everybodys(via)) && vias.next().is_none();
    (!is_ours).then_some(Fault::NotOurs)
}

/// What every message must have; the other side and the method of CSeq.
fn readable(headers: &Headers) -> Result<(NameAddr, Method), Fault> {
    headers.via()?;
    headers.from()?;
    let to = headers.to()?;
    headers.call_id()?;
    let method = headers.cseq()?.method;
    match SINGLE.into_iter().find(|name| headers.all(name).nth(1).is_some()) {
        Some(name) => Err(Fault::Doubled(name)),
        None => Ok((to, method)),
    }
}

fn unknown_extensions<'a>(headers: &'a Headers, rules: &'a Rules) -> impl Iterator<Item = &'a str> {
    let is_known = |tag: &str| rules.extensions.iter().any(|known| known.eq_ignore_ascii_case(tag));
    headers.elements("Require").filter(move |tag| !is_known(tag))
}

fn refusal(request: &Request, status: u16, rules: &Rules) -> Response {
    let mut response = request.respond(status);
    if status == 420 {
        let unknown: Vec<&str> = unknown_extensions(&request.headers, rules).collect();
        response.headers.push("Unsupported", unknown.join(", "));
    }
    response
}

/// The verdict that `response` is the answer, which gets the tag that every answer but 100 has (RFC 3261 section
/// 8.2.6.2): the same for the same request, since nothing remembers it.
fn refuse(fault: Fault, mut response: Response) -> Verdict {
    if let Ok(to) = response.headers.to()
        && to.tag().is_none()
        && let Some(line) = response.headers.first("To")
    {
        let mut hasher = DefaultHasher::new();
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            response.headers.first(name).hash(&mut hasher);
        }
        let tagged = format!("{line};tag={:016x}", hasher.finish());
        response.headers.set("To", tagged);
    }
    Verdict::Answer { response: Box::new(response), fault }
}
