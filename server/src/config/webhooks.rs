//! `[webhooks]`: which of our own machines the URLs of callers' applications may name.
//!
//! A URL comes from a number, from a program at the REST interface or from TwiML, which is from wherever the last
//! URL led. Public addresses may always be asked; an address of this machine or of its networks only where it is
//! listed here, or `http.call_private` allows all of them. Pure: names are resolved by whoever asks.

use std::{net::IpAddr, str::FromStr};

use bot::routing::source::Network;
use serde::{Deserialize, de::Error as _};

/// `[webhooks]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// Hosts (`app.internal`, `app.internal:8000`, `*.internal`), addresses and networks (`10.1.0.0/16`) that may
    /// be asked though their addresses are private.
    pub allow: Vec<Allowed>,
}

impl Webhooks {
    /// Whether `host:port`, which resolves to `address`, is listed.
    pub fn allows(&self, host: &str, port: u16, address: IpAddr) -> bool {
        self.allow.iter().any(|allowed| allowed.covers(host, port, address))
    }
}

/// One entry of `webhooks.allow`.
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
    fn covers(&self, host: &str, port: u16, address: IpAddr) -> bool {
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
            let webhooks = Webhooks { allow: vec![entry.parse().unwrap()] };
            assert_eq!(
                webhooks.allows(host, port, address.parse().unwrap()),
                allowed,
                "{entry} {host}:{port} {address}"
            );
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "*", "*.", "a b", "http://a", "a:0", "a:99999", "10.0.0.0/33", "a/b", "a..b"] {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
    }
}
