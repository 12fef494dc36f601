//! What one SIP element says to another: requests, responses, their headers and bodies (RFC 3261 section 7).
//!
//! Reading lines from bytes rests on `ezk-sip-types`, which `message/wire.rs` alone knows; everything above works with
//! these values. Headers are kept in order and as they were written, unknown ones too, so that what is passed on is
//! what came. Typed views ([`Headers::cseq`], [`Headers::to`], …) read them when they are asked and say what is wrong.
//! Pure: no socket, no clock.

mod field;
mod framer;
mod header;
mod method;
mod param;
mod status;
mod uri;
mod wire;

pub use self::{
    field::{CSeq, NameAddr, Via},
    framer::{Frame, Framer},
    header::{Headers, MalformedHeader},
    method::Method,
    param::Params,
    status::reason_phrase,
    uri::{Scheme, Uri},
    wire::{
        LONGEST_BODY_BYTES, LONGEST_HEAD_BYTES, LONGEST_LINE_BYTES, MOST_HEADER_LINES, Malformed, Why, parse_datagram,
    },
};

pub(crate) use self::param::{quoted_length, unquoted};

use bytes::Bytes;
use thiserror::Error;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Asks for something.
    Request(Request),
    /// Answers a request.
    Response(Response),
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub method: Method,
    /// Of whom: the Request-URI.
    pub uri: Uri,
    /// In order, as written, without Content-Length.
    pub headers: Headers,
    /// May be empty; its length is printed as Content-Length, whatever the headers say.
    pub body: Bytes,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 100 to 699.
    pub status: u16,
    /// For people to read; may be empty.
    pub reason: String,
    /// In order, as written, without Content-Length.
    pub headers: Headers,
    /// May be empty; its length is printed as Content-Length, whatever the headers say.
    pub body: Bytes,
}

/// Text that is not what it is read as: the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Unreadable(pub &'static str);

impl Message {
    /// Its headers.
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    /// What follows its headers.
    pub fn body(&self) -> &Bytes {
        match self {
            Self::Request(request) => &request.body,
            Self::Response(response) => &response.body,
        }
    }
}

impl From<Request> for Message {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

impl From<Response> for Message {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

impl Request {
    /// The answer with `status` and its usual reason: Via, From, To, Call-ID and CSeq are copied, and Timestamp into
    /// 100 (RFC 3261 section 8.2.6). No tag is added to To.
    pub fn respond(&self, status: u16) -> Response {
        Response::to_headers(&self.headers, status)
    }
}

impl Response {
    /// What [`Request::respond`] makes, of the headers of a request alone.
    pub(crate) fn to_headers(request: &Headers, status: u16) -> Self {
        let mut headers = Headers::new();
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            headers.copy(request, name);
        }
        if status == 100 {
            headers.copy(request, "Timestamp");
        }
        Self { status, reason: reason_phrase(status).to_owned(), headers, body: Bytes::new() }
    }
}
