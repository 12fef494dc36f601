//! Where calls come from: the networks and trunks that a number is for.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, de::Error as _};

/// One entry of a list of sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `192.0.2.0/24`, or one address.
    Network(Network),
    /// `trunk:NAME`: whatever comes by that trunk.
    Trunk(String),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("trunk:") {
            Some(name) if !name.is_empty() => Ok(Self::Trunk(name.to_owned())),
            _ => text.parse().map(Self::Network).map_err(|_| {
                format!("{text:?} is no address, no network such as 192.0.2.0/24, and no trunk such as trunk:NAME")
            }),
        }
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Some addresses: one, or a network of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether the address lies in it; an IPv4 address stays one when it is written as IPv6.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical().into())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = one.parse::<IpAddr>() {
            return Ok(Self(address.to_canonical().into()));
        }
        text.parse::<IpNet>()
            .map(|network| Self(network.trunc()))
            .map_err(|_| format!("{text:?} is no address and no network such as 192.0.2.0/24"))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_take_what_lies_in_them() {
        for (network, address, inside) in [
            ("192.0.2.7/24", "192.0.2.200", true),
            ("192.0.2.0/24", "192.0.3.1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("192.0.2.0/24", "::ffff:192.0.2.9", true),
            ("[2001:db8::1]", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{network} {address}");
        }
        for text in ["", "example.org", "192.0.2.0/33", "192.0.2", "[192.0.2.1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_source_is_a_network_or_a_trunk() {
        assert_eq!("trunk:berlin".parse(), Ok(Source::Trunk("berlin".to_owned())));
        assert!(matches!("::1".parse(), Ok(Source::Network(_))));
        assert!("trunk:".parse::<Source>().is_err());
    }
}
