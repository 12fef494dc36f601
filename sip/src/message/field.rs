//! The headers that have a form of their own: CSeq, Via, and all that name somebody (RFC 3261 section 20).

use std::{fmt, str::FromStr};

use super::{
    Method, Params, Unreadable, Uri,
    param::{quoted_length, unquoted},
    uri::host_and_port,
};

/// Orders the requests of a dialog and names the method (RFC 3261 section 20.16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Less than 2^31.
    pub number: u32,
    /// That of the request, or of the request that is answered.
    pub method: Method,
}

/// Where a request came by, and where its responses go (RFC 3261 section 20.42).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// In capitals: `UDP`, `TCP`, `TLS`, `WS`, …
    pub transport: String,
    /// A name or an address, IPv6 in brackets.
    pub host: String,
    /// `None` when none is written.
    pub port: Option<u16>,
    /// branch, received, rport, maddr, ttl and others.
    pub params: Params,
}

/// Somebody: a URI, perhaps with a name for people and with parameters (From, To, Contact, Route, Refer-To, …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// Without quotes and escapes.
    pub display: Option<String>,
    /// Who.
    pub uri: Uri,
    /// Those of the header, not of the URI.
    pub params: Params,
}

impl FromStr for CSeq {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let (number, method) =
            text.trim().split_once(|c: char| c.is_ascii_whitespace()).ok_or(Unreadable("it lacks number or method"))?;
        let method = method.trim_start();
        if !is_token(method) {
            return Err(Unreadable("its method is no token"));
        }
        match whole_number(number)? {
            number if number < 1 << 31 => Ok(Self { number, method: method.into() }),
            _ => Err(Unreadable("its number is 2^31 or more")),
        }
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

impl Via {
    /// What tells transactions apart; RFC 3261 wants one that begins with `z9hG4bK`.
    pub fn branch(&self) -> Option<&str> {
        self.params.get("branch").flatten()
    }

    /// Where the request was seen to come from.
    pub fn received(&self) -> Option<&str> {
        self.params.get("received").flatten()
    }

    /// The port where the request was seen to come from: `Some(None)` when it was only asked for (RFC 3581). One that
    /// is no port counts as asked for.
    pub fn rport(&self) -> Option<Option<u16>> {
        self.params.get("rport").map(|value| value.and_then(|value| value.parse().ok()))
    }
}

impl FromStr for Via {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let part = |text: &str| -> Option<(String, usize)> {
            let part = text.trim_start();
            let end = part.find(|c: char| c == '/' || c.is_ascii_whitespace()).unwrap_or(part.len());
            Some((part[..end].to_ascii_uppercase(), text.len() - part.len() + end)).filter(|_| end > 0)
        };
        let slash = |text: &str| -> Option<usize> {
            let rest = text.trim_start();
            rest.starts_with('/').then(|| text.len() - rest.len() + 1)
        };
        let mut rest = text;
        for wanted in ["SIP", "2.0"] {
            let (found, end) = part(rest).ok_or(Unreadable("it lacks SIP/2.0"))?;
            if found != wanted {
                return Err(Unreadable("it is not of SIP/2.0"));
            }
            rest = &rest[end..];
            rest = &rest[slash(rest).ok_or(Unreadable("it lacks its transport"))?..];
        }
        let (transport, end) = part(rest).ok_or(Unreadable("it lacks its transport"))?;
        let rest = &rest[end..];
        if !is_token(&transport) || !rest.starts_with(|c: char| c.is_ascii_whitespace()) {
            return Err(Unreadable("its transport is no token"));
        }
        let (host, port, rest) = host_and_port(rest.trim_start())?;
        Ok(Self { transport, host: host.to_owned(), port, params: Params::of_header(rest)? })
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)
    }
}

impl NameAddr {
    /// Nobody but `uri`.
    pub const fn new(uri: Uri) -> Self {
        Self { display: None, uri, params: Params::new() }
    }

    /// What makes a dialog one side's; an empty one counts as none.
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag").flatten().filter(|tag| !tag.is_empty())
    }

    /// A parameter: `Some(None)` when it has no value.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        self.params.get(name)
    }
}

impl FromStr for NameAddr {
    type Err = Unreadable;

    /// Reads `"display" <uri>;params`, `display <uri>;params`, or a bare `uri;params`, where all parameters are the
    /// header's (RFC 3261 section 20).
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let text = text.trim();
        let (display, rest) = if text.starts_with('"') {
            let (quoted, rest) = text.split_at(quoted_length(text).ok_or(Unreadable("a quoted string does not end"))?);
            (Some(unquoted(quoted).into_owned()), rest.trim_start())
        } else {
            let Some(at) = text.find('<') else {
                let (uri, params) = text.split_at(text.find(';').unwrap_or(text.len()));
                if uri.contains(['?', ',']) {
                    return Err(Unreadable("a URI with ? or , must stand in < and >"));
                }
                return Ok(Self { display: None, uri: uri.trim_end().parse()?, params: Params::of_header(params)? });
            };
            let (display, rest) = text.split_at(at);
            if display.contains('"') {
                return Err(Unreadable("a quote stands within a display name"));
            }
            (Some(display.trim_end()).filter(|display| !display.is_empty()).map(str::to_owned), rest)
        };
        let rest = rest.strip_prefix('<').ok_or(Unreadable("no URI in < and > follows the display name"))?;
        let (uri, params) = rest.split_once('>').ok_or(Unreadable("a > is missing"))?;
        Ok(Self { display, uri: uri.trim().parse()?, params: Params::of_header(params)? })
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            f.write_str("\"")?;
            for c in display.chars() {
                if matches!(c, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str("\" ")?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

/// Whether it is a token (RFC 3261 section 25.1).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
}

/// Digits and nothing else.
pub(super) fn whole_number(text: &str) -> Result<u32, Unreadable> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Unreadable("it is no number"));
    }
    text.parse().map_err(|_| Unreadable("its number is 2^32 or more"))
}
