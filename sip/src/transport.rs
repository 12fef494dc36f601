//! Where messages come from and go to, as plain values: the border between the pure part and `sip::net`.

use std::{fmt, net::SocketAddr, sync::Arc};

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Datagrams, which get lost.
    Udp,
    /// A stream.
    Tcp,
    /// A stream that is encrypted.
    Tls,
}

/// A connection of `sip::net`, or one that it had; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Where to send something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// How.
    pub protocol: Protocol,
    /// To whom.
    pub address: SocketAddr,
    /// From which address of ours, of those that are bound; any that fits where it is `None`.
    pub local: Option<SocketAddr>,
    /// Over which connection, as long as it lasts; afterwards, and where it is `None`, over any to the same address
    /// and name, or over a new one.
    pub connection: Option<ConnectionId>,
    /// Whom the certificate must name (TLS); the address itself where it is `None`.
    pub server_name: Option<Arc<str>>,
}

/// Where something came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// How.
    pub protocol: Protocol,
    /// From whom.
    pub remote: SocketAddr,
    /// To which address of ours.
    pub local: SocketAddr,
    /// Over which connection; `None` for datagrams.
    pub connection: Option<ConnectionId>,
}

impl Protocol {
    /// As a Via writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// The one that a Via or a URI's transport parameter names, whatever its case.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Udp, Self::Tcp, Self::Tls].into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name))
    }

    /// Whether what is sent arrives or its failure is told, so that nothing has to be sent again.
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// The port that is meant where none is written.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5_060,
            Self::Tls => 5_061,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Target {
    /// An address, over any connection.
    pub const fn new(protocol: Protocol, address: SocketAddr) -> Self {
        Self { protocol, address, local: None, connection: None, server_name: None }
    }
}

impl Source {
    /// The way back: the same connection, or the same two addresses.
    pub const fn target(&self) -> Target {
        Target {
            protocol: self.protocol,
            address: self.remote,
            local: Some(self.local),
            connection: self.connection,
            server_name: None,
        }
    }
}
