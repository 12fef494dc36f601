//! Where this server may call on the word of a model, a caller or a document: the public network, and what is listed.
//!
//! Pure. A name, a port and a scheme that somebody made up are harmless until there is an address, so all that is
//! decided here is decided about addresses ([`address`]): whoever connects asks [`Guard`] about every address that a name
//! has, and then connects to those and to no others.

pub mod address;

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, de::Error as _};

use self::address::{Scope, scope};
use crate::routing::source::Network;

/// Decides which addresses may be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// What may be called though it is not public.
    pub allow: Vec<Allowed>,
    /// Whether everything may.
    pub is_open: bool,
}

/// Why an address is not called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host} is {scope}: the configuration has to allow it")]
pub struct Refused {
    /// The name or address as it was given.
    pub host: String,
    /// What is there.
    pub scope: Scope,
}

impl Guard {
    /// Judges `addresses`, all those that `host` has: one that may not be called spoils the rest, since nobody with
    /// honest intentions mixes them. The port is the URL's; those of the addresses do not count.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn judge(&self, host: &str, port: u16, addresses: impl IntoIterator<Item = SocketAddr>) -> Result<(), Refused> {
        let is_fine = |address: IpAddr| {
            self.is_open
                || scope(address) == Scope::Public
                || self.allow.iter().any(|allowed| allowed.covers(host, port, address))
        };
        match addresses.into_iter().map(|address| address.ip()).find(|address| !is_fine(*address)) {
            Some(address) => Err(Refused { host: host.to_owned(), scope: scope(address) }),
            None => Ok(()),
        }
    }
}

/// One entry of a list of what may be called though it is not public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Whatever lies in the network, by name or by address.
    Network(Network),
    /// What is reached by this name.
    Host {
        /// In lower case, without the `*.`.
        name: String,
        /// Whether it is names below this one that are meant, and not itself.
        is_below: bool,
        /// On this port only.
        port: Option<u16>,
    },
}

impl Allowed {
    /// Whether it lists `host:port`, which resolves to `address`.
    pub fn covers(&self, host: &str, port: u16, address: IpAddr) -> bool {
        match self {
            Self::Network(network) => network.contains(address),
            Self::Host { name, is_below, port: only } => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let is_named = if *is_below {
                    host.strip_suffix(name.as_str()).is_some_and(|sub| sub.len() > 1 && sub.ends_with('.'))
                } else {
                    host == *name
                };
                is_named && only.is_none_or(|only| only == port)
            }
        }
    }
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, "*")) => return name.parse(),
            Some((name, port)) => {
                (name, Some(port.parse().ok().filter(|&port| port != 0).ok_or_else(|| no_host(text))?))
            }
            None => (text, None),
        };
        let (name, is_below) = name.strip_prefix("*.").map_or((name, false), |name| (name, true));
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if !name.split('.').all(is_label) {
            return Err(no_host(text));
        }
        Ok(Self::Host { name: name.to_ascii_lowercase(), is_below, port })
    }
}

impl<'de> Deserialize<'de> for Allowed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

fn no_host(text: &str) -> String {
    format!("{text:?} is no host (such as app.internal:8000 or *.internal), address or network (10.1.0.0/16)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_allows_what_it_names_and_nothing_beside_it() {
        for (entry, host, port, address, allowed) in [
            ("127.0.0.1", "127.0.0.1", 80, "127.0.0.1", true),
            ("127.0.0.1", "localhost", 80, "127.0.0.1", true),
            ("127.0.0.1:*", "localhost", 80, "127.0.0.1", true),
            ("[::1]:*", "localhost", 80, "::1", true),
            ("app.internal:*", "app.internal", 80, "10.0.0.1", true),
            ("127.0.0.1", "localhost", 80, "127.0.0.2", false),
            ("[::1]", "localhost", 80, "::1", true),
            ("10.1.2.3/16", "a.example", 80, "10.1.9.9", true),
            ("10.1.0.0/16", "a.example", 80, "10.2.0.1", false),
            ("10.1.0.0/16", "a.example", 80, "::ffff:10.1.0.1", true),
            ("App.internal", "app.INTERNAL.", 1, "10.0.0.1", true),
            ("app.internal", "app.internal.example", 1, "10.0.0.1", false),
            ("app.internal:8000", "app.internal", 8000, "10.0.0.1", true),
            ("app.internal:8000", "app.internal", 22, "10.0.0.1", false),
            ("*.internal", "a.b.internal", 1, "10.0.0.1", true),
            ("*.internal", "internal", 1, "10.0.0.1", false),
            ("*.internal", "evilinternal", 1, "10.0.0.1", false),
        ] {
            let guard = Guard { allow: vec![entry.parse().unwrap()], is_open: false };
            let address = SocketAddr::new(address.parse().unwrap(), 9);
            assert_eq!(guard.judge(host, port, [address]).is_ok(), allowed, "{entry} {host}:{port} {address}");
        }
    }

    #[test]
    fn one_private_address_among_public_ones_spoils_the_name() {
        let [public, private] = ["8.8.8.8:80", "[::ffff:10.0.0.1]:80"].map(|address| address.parse().unwrap());
        let closed = Guard::default();
        assert_eq!(closed.judge("a.example", 80, [public]), Ok(()));
        let refused = closed.judge("a.example", 80, [public, private]).unwrap_err();
        assert_eq!(refused, Refused { host: "a.example".to_owned(), scope: Scope::Private });
        assert_eq!(Guard { is_open: true, ..closed }.judge("a.example", 80, [public, private]), Ok(()));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "*", "*.", "a b", "http://a", "a:0", "a:99999", "10.0.0.0/33", "a/b", "a..b"] {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
    }
}
