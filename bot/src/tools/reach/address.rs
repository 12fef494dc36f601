//! What an IP address is for, so that nobody outside can make this server call what only its own network may see.
//!
//! Pure: two tables of the special-purpose registries (RFC 6890 and what was added to them), and the ways in which
//! IPv6 carries an IPv4 address inside. Whoever connects asks for the [`Scope`] of every address of a name, not of
//! the name. Nothing here knows exceptions: those are the configuration's.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Who may see what is at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody on the internet.
    Public,
    /// This machine: 127.0.0.0/8, ::1, and 0.0.0.0/8, which many systems take for it.
    Loopback,
    /// The network of a house or an office: RFC 1918, RFC 4193.
    Private,
    /// The cable: 169.254.0.0/16, fe80::/10.
    LinkLocal,
    /// The service that tells a machine in a cloud its secrets.
    Metadata,
    /// The network of a provider, behind its address translation: RFC 6598.
    Shared,
    /// A group of machines, or all of them.
    Multicast,
    /// Examples, measurements, protocols, tunnels, and what was never handed out: no server is there.
    Special,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Loopback => "an address of this machine",
            Self::Private => "an address of a private network",
            Self::LinkLocal => "an address of the local link",
            Self::Metadata => "the metadata service of a cloud",
            Self::Shared => "an address of a provider's own network",
            Self::Multicast => "an address of many machines",
            Self::Special => "an address that no server has",
        })
    }
}

/// What `address` is for. Source: RFC 6890, 6598, 6052, 3056, 4380, 8215 and the registries of IANA.
pub fn scope(address: IpAddr) -> Scope {
    match address {
        IpAddr::V4(v4) => scope_v4(v4),
        IpAddr::V6(v6) => match inside(v6) {
            Some(v4) => scope_v4(v4),
            None => scope_v6(v6),
        },
    }
}

/// Whether `address` lies in the network that begins with the first `bits` of `network`; never across families.
fn lies_in(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (address.to_bits() ^ network.to_bits()).checked_shr(32 - bits.min(32)).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            (address.to_bits() ^ network.to_bits()).checked_shr(128 - bits.min(128)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

fn scope_v4(address: Ipv4Addr) -> Scope {
    let found = V4.iter().find(|(network, bits, _)| lies_in(address.into(), (*network).into(), *bits));
    found.map_or(Scope::Public, |(_, _, scope)| *scope)
}

fn scope_v6(address: Ipv6Addr) -> Scope {
    let found = V6.iter().find(|(network, bits, _)| lies_in(address.into(), (*network).into(), *bits));
    found.map_or(Scope::Special, |(_, _, scope)| *scope)
}

/// The IPv4 address that a packet to this one reaches in the end.
fn inside(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let two = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // The loopback and the unspecified address of IPv6 look like the oldest way, and are not.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // Compatible (RFC 4291), mapped, translated (RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => two(high, low),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => two(high, low),
        _ => None,
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

const fn v6(a: u16, b: u16, c: u16, rest: [u16; 2]) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, 0, 0, 0, rest[0], rest[1])
}

/// The first that fits counts; what is in none is public.
const V4: [(Ipv4Addr, u32, Scope); 20] = [
    // Amazon and most others; Azure's lies among public addresses, Alibaba's among shared ones.
    (v4(169, 254, 169, 254), 32, Scope::Metadata),
    (v4(169, 254, 170, 2), 32, Scope::Metadata),
    (v4(168, 63, 129, 16), 32, Scope::Metadata),
    (v4(100, 100, 100, 200), 32, Scope::Metadata),
    (v4(192, 0, 0, 192), 32, Scope::Metadata),
    (v4(0, 0, 0, 0), 8, Scope::Loopback),
    (v4(127, 0, 0, 0), 8, Scope::Loopback),
    (v4(10, 0, 0, 0), 8, Scope::Private),
    (v4(172, 16, 0, 0), 12, Scope::Private),
    (v4(192, 168, 0, 0), 16, Scope::Private),
    (v4(100, 64, 0, 0), 10, Scope::Shared),
    (v4(169, 254, 0, 0), 16, Scope::LinkLocal),
    (v4(192, 0, 0, 0), 24, Scope::Special),
    (v4(192, 0, 2, 0), 24, Scope::Special),
    (v4(192, 88, 99, 0), 24, Scope::Special),
    (v4(198, 18, 0, 0), 15, Scope::Special),
    (v4(198, 51, 100, 0), 24, Scope::Special),
    (v4(203, 0, 113, 0), 24, Scope::Special),
    (v4(224, 0, 0, 0), 4, Scope::Multicast),
    // Never handed out, and the broadcast address.
    (v4(240, 0, 0, 0), 4, Scope::Special),
];

/// The first that fits counts; what is in none was never handed out.
const V6: [(Ipv6Addr, u32, Scope); 12] = [
    (v6(0xfd00, 0xec2, 0, [0, 0x254]), 128, Scope::Metadata),
    (v6(0, 0, 0, [0, 0]), 128, Scope::Loopback),
    (v6(0, 0, 0, [0, 1]), 128, Scope::Loopback),
    (v6(0xfc00, 0, 0, [0, 0]), 7, Scope::Private),
    // Site-local: given up long ago, and still routed by some.
    (v6(0xfec0, 0, 0, [0, 0]), 10, Scope::Private),
    (v6(0xfe80, 0, 0, [0, 0]), 10, Scope::LinkLocal),
    (v6(0xff00, 0, 0, [0, 0]), 8, Scope::Multicast),
    // NAT64 with a prefix of the house (RFC 8215): what is inside is the house's to know.
    (v6(0x64, 0xff9b, 1, [0, 0]), 48, Scope::Private),
    // Protocols, Teredo among them, whose inner address is scrambled; examples, old and new.
    (v6(0x2001, 0, 0, [0, 0]), 23, Scope::Special),
    (v6(0x2001, 0xdb8, 0, [0, 0]), 32, Scope::Special),
    (v6(0x3fff, 0, 0, [0, 0]), 20, Scope::Special),
    (v6(0x2000, 0, 0, [0, 0]), 3, Scope::Public),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_network_is_known_at_both_its_ends() {
        use Scope::*;
        for (address, expected) in [
            ("0.0.0.0", Loopback),
            ("0.255.255.255", Loopback),
            ("1.0.0.0", Public),
            ("9.255.255.255", Public),
            ("10.0.0.0", Private),
            ("10.255.255.255", Private),
            ("11.0.0.0", Public),
            ("100.63.255.255", Public),
            ("100.64.0.0", Shared),
            ("100.127.255.255", Shared),
            ("100.128.0.0", Public),
            ("100.100.100.200", Metadata),
            ("127.0.0.1", Loopback),
            ("127.255.255.255", Loopback),
            ("128.0.0.0", Public),
            ("168.63.129.16", Metadata),
            ("168.63.129.17", Public),
            ("169.253.255.255", Public),
            ("169.254.0.0", LinkLocal),
            ("169.254.169.254", Metadata),
            ("169.254.170.2", Metadata),
            ("169.254.255.255", LinkLocal),
            ("172.15.255.255", Public),
            ("172.16.0.0", Private),
            ("172.31.255.255", Private),
            ("172.32.0.0", Public),
            ("192.0.0.0", Special),
            ("192.0.0.192", Metadata),
            ("192.0.0.255", Special),
            ("192.0.1.0", Public),
            ("192.0.2.1", Special),
            ("192.88.99.1", Special),
            ("192.167.255.255", Public),
            ("192.168.0.0", Private),
            ("192.168.255.255", Private),
            ("198.17.255.255", Public),
            ("198.18.0.0", Special),
            ("198.19.255.255", Special),
            ("198.20.0.0", Public),
            ("198.51.100.7", Special),
            ("203.0.113.7", Special),
            ("223.255.255.255", Public),
            ("224.0.0.1", Multicast),
            ("239.255.255.255", Multicast),
            ("240.0.0.0", Special),
            ("255.255.255.255", Special),
            ("::", Loopback),
            ("::1", Loopback),
            ("::2", Loopback),
            ("100::1", Special),
            ("2000::1", Public),
            ("2001::1", Special),
            ("2001:1ff:ffff::", Special),
            ("2001:200::1", Public),
            ("2001:db8::1", Special),
            ("2001:db9::1", Public),
            ("2606:4700::1111", Public),
            ("3fff::1", Special),
            ("3fff:fff:ffff::", Special),
            ("3fff:1000::1", Public),
            ("4000::1", Special),
            ("5f00::1", Special),
            ("fc00::1", Private),
            ("fdff::1", Private),
            ("fd00:ec2::254", Metadata),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("fec0::1", Private),
            ("ff02::1", Multicast),
        ] {
            assert_eq!(scope(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn an_ipv4_address_inside_ipv6_is_judged_for_what_it_is() {
        for form in ["::ffff:{}", "::ffff:0:{}", "::{}", "64:ff9b::{}"] {
            for (inner, expected) in [
                ("127.0.0.1", Scope::Loopback),
                ("10.1.2.3", Scope::Private),
                ("169.254.169.254", Scope::Metadata),
                ("8.8.8.8", Scope::Public),
            ] {
                let address = form.replace("{}", inner);
                assert_eq!(scope(address.parse().unwrap()), expected, "{address}");
            }
        }
        assert_eq!(scope("2002:a9fe:a9fe::1".parse().unwrap()), Scope::Metadata);
        assert_eq!(scope("2002:0a00:0001::".parse().unwrap()), Scope::Private);
        assert_eq!(scope("2002:0808:0808::".parse().unwrap()), Scope::Public);
        assert_eq!(scope("64:ff9b:1::8.8.8.8".parse().unwrap()), Scope::Private);
    }
}
