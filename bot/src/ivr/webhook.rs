//! Requests to an application: what is asked for, with which parameters, and what comes back.

use std::{fmt, time::Duration};

use url::Url;

use super::notice::Code;

/// How a webhook is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// The parameters stand in the address.
    Get,
    /// The parameters are the body, a form.
    #[default]
    Post,
}

impl Method {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// An absolute address and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where: `http`, `https`, or `file` for documents that come with the server.
    pub url: Url,
    /// How.
    pub method: Method,
}

/// The parameters of a request, in the vendor's names and in the order in which they are sent.
///
/// Their `Debug` shows the names alone: the values are a caller's numbers, keys and words.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(&'static str, String)>, Vec<(String, String)>);

impl Params {
    /// Appends a parameter.
    pub fn push(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, value.into()));
    }

    /// Appends a parameter of the application's own, after all others.
    pub fn push_own(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.1.push((name.into(), value.into()));
    }

    /// The value of the first parameter called `name`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let known = self.0.iter().map(|(name, value)| (*name, value.as_str()));
        known.chain(self.1.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// One request whose answer matters; counts up within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A request for the document that goes on with the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Comes back in [`super::input::Input::Fetched`].
    pub id: RequestId,
    /// What is asked.
    pub to: Endpoint,
    /// With which parameters; what a `file` is filled with is done by the machine.
    pub params: Params,
    /// After this long the answer is not waited for any more.
    pub timeout: Duration,
}

/// A request that only tells: nobody waits for its answer, and a failure is at most worth a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// What is asked; always `http` or `https`.
    pub to: Endpoint,
    /// With which parameters.
    pub params: Params,
}

/// What an application answered.
#[derive(Clone, PartialEq, Eq)]
pub struct Page {
    /// The address after redirects, which relative addresses of the document are relative to.
    pub url: Url,
    /// The status of HTTP; 200 for a file.
    pub status: u16,
    /// As the header `Content-Type` says; empty when there is none.
    pub content_type: String,
    /// At most [`super::twiml::Limits::bytes`]; a longer answer is [`FetchError::TooLarge`].
    pub body: Vec<u8>,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, content_type, body, .. } = self;
        write!(f, "Page({status}, {content_type}, {} bytes)", body.len())
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Too late; asking again may help.
    #[error("no answer in time")]
    Timeout,
    /// Nobody takes the connection; asking again may help.
    #[error("no connection")]
    Connection,
    /// The host's name is unknown.
    #[error("unknown host")]
    UnknownHost,
    /// The address is one that this server is not allowed to ask.
    #[error("an address that must not be asked")]
    Forbidden,
    /// The handshake of TLS failed.
    #[error("TLS failed")]
    Tls,
    /// One redirect after the other.
    #[error("too many redirects")]
    TooManyRedirects,
    /// The answer is longer than a document may be.
    #[error("a document too large")]
    TooLarge,
    /// The answer was not HTTP, or ended early.
    #[error("a broken answer")]
    Protocol,
    /// There is no such file.
    #[error("no such file")]
    NoSuchFile,
}

impl FetchError {
    /// The vendor's number for it.
    pub const fn code(self) -> Code {
        match self {
            Self::Timeout | Self::NoSuchFile => Code::RETRIEVAL,
            Self::Connection => Code::CONNECTION,
            Self::UnknownHost | Self::Forbidden => Code::BAD_HOST,
            Self::Tls => Code::TLS,
            Self::TooManyRedirects => Code::TOO_MANY_REDIRECTS,
            Self::TooLarge => Code::TOO_LARGE,
            Self::Protocol => Code::PROTOCOL,
        }
    }
}
