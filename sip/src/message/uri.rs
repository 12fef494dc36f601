//! Who is called and where: SIP, SIPS and tel URIs, and room for all others (RFC 3261 section 19.1, RFC 3966).
//!
//! Text is kept as it was written, escapes too, because `%40` in a user is another user than `@` would be. Whoever
//! wants the plain name asks for it.

use std::{borrow::Cow, fmt, net::Ipv6Addr, str::FromStr};

use super::{Params, Unreadable};

/// What kind of URI it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 3261.
    Sip,
    /// RFC 3261: over TLS all the way.
    Sips,
    /// RFC 3966.
    Tel,
    /// Anything else, in lower case.
    Other(Box<str>),
}

/// A URI, its parts as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// What kind of URI it is.
    pub scheme: Scheme,
    /// Of SIP and SIPS, what stands before `@`, a password too; of all others, everything after the colon.
    pub user: Option<String>,
    /// A name or an address, IPv6 in brackets. Empty where the scheme has none.
    pub host: String,
    /// `None` when none is written.
    pub port: Option<u16>,
    /// What follows the host.
    pub params: Params,
    /// What follows the question mark, as written.
    pub headers: Option<String>,
}

impl Scheme {
    fn as_str(&self) -> &str {
        match self {
            Self::Sip => "sip",
            Self::Sips => "sips",
            Self::Tel => "tel",
            Self::Other(name) => name,
        }
    }
}

impl Uri {
    /// `sip:user@host`, or `sip:host` without a user.
    pub fn sip(user: Option<&str>, host: &str, port: Option<u16>) -> Self {
        Self {
            scheme: Scheme::Sip,
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
            params: Params::new(),
            headers: None,
        }
    }

    /// Whether TLS is asked for all the way.
    pub fn is_sips(&self) -> bool {
        self.scheme == Scheme::Sips
    }

    /// The transport that it asks for, in lower case.
    pub fn transport(&self) -> Option<String> {
        self.params.get("transport").flatten().map(str::to_ascii_lowercase)
    }

    /// `user` as a URI writes it: whatever may not stand there is escaped (RFC 3261 section 25.1).
    pub fn escaped_user(user: &str) -> String {
        let mut escaped = String::with_capacity(user.len());
        for byte in user.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte) {
                escaped.push(char::from(byte));
            } else {
                escaped.push_str(&format!("%{byte:02X}"));
            }
        }
        escaped
    }

    /// The user without a password, escapes resolved. Bytes that are no UTF-8 become replacement characters.
    pub fn user_unescaped(&self) -> Option<Cow<'_, str>> {
        let user = self.user.as_deref()?;
        let user = match self.scheme {
            Scheme::Sip | Scheme::Sips => user.split(':').next().unwrap_or_default(),
            Scheme::Tel | Scheme::Other(_) => user,
        };
        if !user.contains('%') {
            return Some(user.into());
        }
        let mut plain = Vec::with_capacity(user.len());
        let mut rest = user.as_bytes();
        while let Some((byte, after)) = rest.split_first() {
            let escaped = (*byte == b'%').then(|| escape(after)).flatten();
            plain.push(escaped.unwrap_or(*byte));
            rest = if escaped.is_some() { &after[2..] } else { after };
        }
        Some(String::from_utf8_lossy(&plain).into_owned().into())
    }

    /// Whether both mean the same (RFC 3261 section 19.1.4): users are told apart by case, hosts are not; ports must
    /// both be written or not; user, ttl, method, maddr and transport must be in both or in neither; of all other
    /// parameters only those that are in both must agree; headers must agree in any order.
    pub fn same_as(&self, other: &Self) -> bool {
        let user = |uri: &Self| uri.user.as_deref().map(normal);
        if self.scheme != other.scheme
            || self.port != other.port
            || user(self) != user(other)
            || !same_host(&self.host, &other.host)
        {
            return false;
        }
        let decisive = ["user", "ttl", "method", "maddr", "transport"];
        if decisive.iter().any(|name| self.params.contains(name) != other.params.contains(name)) {
            return false;
        }
        let agree = |(name, value): (&str, Option<&str>)| {
            let Some(theirs) = other.params.get(name) else { return true };
            match (value, theirs) {
                (Some(ours), Some(theirs)) => normal(ours).eq_ignore_ascii_case(&normal(theirs)),
                (ours, theirs) => ours == theirs,
            }
        };
        self.params.iter().all(agree) && sorted_headers(self) == sorted_headers(other)
    }
}

impl FromStr for Uri {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f || matches!(byte, b'<' | b'>' | b'"')) {
            return Err(Unreadable("a URI holds blanks, quotes or brackets"));
        }
        let (scheme, rest) = text.split_once(':').ok_or(Unreadable("a URI has no scheme"))?;
        let scheme = scheme_named(scheme)?;
        let blank =
            |scheme, user| Self { scheme, user, host: String::new(), port: None, params: Params::new(), headers: None };
        match scheme {
            Scheme::Sip | Scheme::Sips => {}
            Scheme::Tel | Scheme::Other(_) if rest.is_empty() => return Err(Unreadable("a URI names nothing")),
            Scheme::Tel | Scheme::Other(_) => return Ok(blank(scheme, Some(rest.to_owned()))),
        }
        let (user, rest) = match rest.split_once('@') {
            Some(("", _)) => return Err(Unreadable("nothing stands before the URI's @")),
            Some((user, rest)) => (Some(checked_escapes(user)?.to_owned()), rest),
            None => (None, rest),
        };
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, Some(checked_escapes(headers)?.to_owned())),
            None => (rest, None),
        };
        let (host, port, rest) = host_and_port(rest)?;
        Ok(Self {
            host: host.to_owned(),
            port,
            params: Params::of_uri(checked_escapes(rest)?)?,
            headers,
            ..blank(scheme, user)
        })
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme.as_str())?;
        f.write_str(":")?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
        }
        if matches!(self.scheme, Scheme::Tel | Scheme::Other(_)) {
            return Ok(());
        }
        if self.user.is_some() {
            f.write_str("@")?;
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)?;
        match &self.headers {
            Some(headers) => write!(f, "?{headers}"),
            None => Ok(()),
        }
    }
}

/// Splits `host[:port]` off the beginning of `text`; blanks may stand round the colon.
pub(super) fn host_and_port(text: &str) -> Result<(&str, Option<u16>, &str), Unreadable> {
    let end = if text.starts_with('[') {
        let end = text.find(']').ok_or(Unreadable("an IPv6 address does not end"))?;
        text[1..end].parse::<Ipv6Addr>().map_err(|_| Unreadable("no IPv6 address stands in the brackets"))?;
        end + 1
    } else {
        text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))).unwrap_or(text.len())
    };
    let (host, rest) = text.split_at(end);
    if host.is_empty() {
        return Err(Unreadable("there is no host"));
    }
    let Some(after) = rest.trim_start().strip_prefix(':') else { return Ok((host, None, rest)) };
    let after = after.trim_start();
    let (digits, rest) = after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len()));
    let port = digits.parse().map_err(|_| Unreadable("no port follows the colon"))?;
    Ok((host, Some(port), rest))
}

fn scheme_named(name: &str) -> Result<Scheme, Unreadable> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if name.eq_ignore_ascii_case("sip") {
        Ok(Scheme::Sip)
    } else if name.eq_ignore_ascii_case("sips") {
        Ok(Scheme::Sips)
    } else if name.eq_ignore_ascii_case("tel") {
        Ok(Scheme::Tel)
    } else if name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_letter) {
        Ok(Scheme::Other(name.to_ascii_lowercase().into()))
    } else {
        Err(Unreadable("a URI has no scheme"))
    }
}

fn checked_escapes(text: &str) -> Result<&str, Unreadable> {
    let mut escapes = text.bytes().enumerate().filter(|(_, byte)| *byte == b'%');
    match escapes.all(|(at, _)| escape(&text.as_bytes()[at + 1..]).is_some()) {
        true => Ok(text),
        false => Err(Unreadable("an escape of the URI lacks its digits")),
    }
}

/// The byte that the two digits at the beginning of `bytes` stand for.
fn escape(bytes: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// `text` with every escape resolved that stands for what needs none, and all others in capitals.
fn normal(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        normal.push_str(&rest[..at]);
        let Some(byte) = escape(&rest.as_bytes()[at + 1..]) else {
            normal.push('%');
            rest = &rest[at + 1..];
            continue;
        };
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            normal.push(char::from(byte));
        } else {
            normal.push_str(&rest[at..at + 3].to_ascii_uppercase());
        }
        rest = &rest[at + 3..];
    }
    normal.push_str(rest);
    normal
}

fn same_host(one: &str, other: &str) -> bool {
    let address = |host: &str| host.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    one.eq_ignore_ascii_case(other) || address(one).is_some_and(|one| address(other) == Some(one))
}

fn sorted_headers(uri: &Uri) -> Vec<String> {
    let mut headers: Vec<String> =
        uri.headers.as_deref().into_iter().flat_map(|all| all.split('&')).map(normal).collect();
    headers.sort();
    headers
}
