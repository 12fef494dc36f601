//! Session descriptions (RFC 8866) and the model of offer and answer (RFC 3264).
//!
//! Pure: bytes go in, values come out, and what must be random is given. [`Session`] is a description as text says it;
//! [`Side`] is our side of one dialog's session, which makes offers, answers those of the far end, and says what was
//! [`Agreed`] in the words of [`media`]. What the far end says is bounded before it is understood, and what is not
//! understood is kept and harmless. What cannot be answered is a [`Refusal`] that knows its Warning. Nothing here
//! resolves a name, opens a port or keeps a time.

mod agreed;
mod answer;
mod audio;
mod capabilities;
mod ice;
mod keying;
mod offer;
mod parse;
mod print;
mod refusal;
mod side;
mod srtp;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

pub use self::{
    agreed::{Agreed, Destination, Events, Protection},
    capabilities::{Capabilities, Choice, Local, Srtp},
    ice::{Candidate, Credentials, Ice},
    keying::{Dtls, Setup},
    parse::BadSession,
    refusal::Refusal,
    side::Side,
};

/// A session description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who made it, and which version of it this is.
    pub origin: Origin,
    /// The `s=` line; `-` where it says nothing.
    pub name: String,
    /// Where media goes that says no place of its own.
    pub connection: Option<Host>,
    /// Lines of other types, by letter, in the order in which they are written: read by nobody here.
    pub others: Vec<(char, String)>,
    /// Attributes of the whole session.
    pub attributes: Vec<Attribute>,
    /// Its media sections. Their order means something: an answer has as many, in the same one.
    pub media: Vec<Media>,
}

/// The `o=` line: together it names the session, the version counts its changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// A user, `-` for none.
    pub user: String,
    /// A number, of any length.
    pub id: String,
    /// A number that grows with every change, of any length.
    pub version: String,
    /// The machine.
    pub address: Host,
}

/// An address, or a name that somebody would have to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address, without the TTL that one of a group may have.
    Ip(IpAddr),
    /// A name.
    Name(String),
}

/// One media section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, `image`…
    pub kind: String,
    /// Where it is heard; 0 for a section that is refused, or over.
    pub port: u16,
    /// How many ports it takes, where it says so.
    pub ports: Option<u16>,
    /// `RTP/AVP` and its kin.
    pub protocol: String,
    /// Payload types for RTP, in order of preference; something else for other protocols.
    pub formats: Vec<String>,
    /// Where it goes, if that is not the session's.
    pub connection: Option<Host>,
    /// Lines of other types.
    pub others: Vec<(char, String)>,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
}

/// `a=name` or `a=name:value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// What it is about.
    pub name: String,
    /// What it says of it.
    pub value: Option<String>,
}

/// Who sends, as the one who says it sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    #[default]
    SendRecv,
    /// The one who says it: the other is held.
    SendOnly,
    /// The other.
    RecvOnly,
    /// Nobody.
    Inactive,
}

impl Direction {
    /// The direction of somebody who `sends` and `hears`.
    pub const fn of(sends: bool, hears: bool) -> Self {
        match (sends, hears) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether the one who says it sends.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the one who says it hears.
    pub const fn hears(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same as the other end sees it.
    pub const fn reversed(self) -> Self {
        Self::of(self.hears(), self.sends())
    }

    /// What both allow.
    pub const fn and(self, other: Self) -> Self {
        Self::of(self.sends() && other.sends(), self.hears() && other.hears())
    }

    /// Its attribute.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive].into_iter().find(|known| known.name() == name)
    }
}

impl Attribute {
    /// `a=name`.
    pub fn flag(name: impl Into<String>) -> Self {
        Self { name: name.into(), value: None }
    }

    /// `a=name:value`.
    pub fn of(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: Some(value.into()) }
    }
}

impl Session {
    /// The first value of an attribute of the whole session.
    pub fn value(&self, name: &str) -> Option<&str> {
        value(&self.attributes, name)
    }
}

impl Media {
    /// Whether it is refused, or over.
    pub fn is_off(&self) -> bool {
        // Port 0 means something else for one that rides in the bundle of another (RFC 8843).
        self.port == 0 && !self.has("bundle-only")
    }

    /// The first value of an attribute.
    pub fn value(&self, name: &str) -> Option<&str> {
        value(&self.attributes, name)
    }

    /// All values of an attribute.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.attributes.iter().filter(move |attribute| attribute.name == name).filter_map(|a| a.value.as_deref())
    }

    /// Whether the attribute is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|attribute| attribute.name == name)
    }

    /// The same section, refused: its first format is repeated because one must be.
    fn refused(&self) -> Self {
        Self {
            port: 0,
            ports: None,
            formats: self.formats.iter().take(1).cloned().collect(),
            connection: None,
            others: Vec::new(),
            attributes: self.attributes.iter().filter(|attribute| attribute.name == "mid").cloned().collect(),
            ..self.clone()
        }
    }
}

fn value<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    attributes.iter().filter(|attribute| attribute.name == name).find_map(|attribute| attribute.value.as_deref())
}
