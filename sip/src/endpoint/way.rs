//! Where a URI leads: to an address, or to a name that the shell looks up (RFC 3263); and what a NAT does to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use media::net::is_behind_translator;

use super::{Failure, HostPort, config::Config, input::ContactUser};
use crate::{
    message::{NameAddr, Request, Scheme, Uri, Via},
    transport::{Protocol, Source, Target},
    validate::note_source,
};

/// Where a request goes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Known.
    To(Target),
    /// To be looked up.
    Named { host: String, port: Option<u16>, protocol: Option<Protocol> },
}

impl Way {
    /// Where a URI leads.
    pub(super) fn of(uri: &Uri) -> Result<Self, Failure> {
        let named = uri.transport();
        let protocol = match (&uri.scheme, named.as_deref()) {
            (Scheme::Sips, None | Some("tcp" | "tls")) => Some(Protocol::Tls),
            (Scheme::Sip, Some(name)) => {
                Some(Protocol::named(name).ok_or(Failure::Unsendable("its transport is not UDP, TCP or TLS"))?)
            }
            (Scheme::Sip, None) => None,
            (Scheme::Sips, Some(_)) => return Err(Failure::Unsendable("sips goes over TLS alone")),
            (Scheme::Tel | Scheme::Other(_), _) => {
                return Err(Failure::Unsendable("a URI that is not sip or sips needs a target"));
            }
        };
        let Some(address) = address_of(&uri.host) else {
            return Ok(Self::Named { host: uri.host.clone(), port: uri.port, protocol });
        };
        let protocol = protocol.unwrap_or(Protocol::Udp);
        let port = uri.port.unwrap_or_else(|| protocol.default_port());
        Ok(Self::To(Target::new(protocol, SocketAddr::new(address, port))))
    }
}

/// The address that a host is, if it is one.
pub(super) fn address_of(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// Notes in the topmost Via where a request came from (RFC 3261 section 18.2.1, RFC 3581), and tells where its
/// responses go: back over the stream, or to the address that it came from, and there to the port that it came from
/// where the Via asks for it, else to the one that the Via names.
pub(super) fn take_source(request: &mut Request, source: &Source, config: &Config) -> Option<Target> {
    let mut via = request.headers.via().ok()?;
    let wants_port = via.params.contains("rport");
    note_source(&mut via, source);
    let named_port = via.port.unwrap_or_else(|| source.protocol.default_port());
    let mut target = source.target();
    if source.protocol.is_reliable() || !(wants_port || config.force_rport) {
        // Over a stream this is where a new connection goes if it breaks.
        target.address.set_port(named_port);
    }
    request.headers.pop_front("Via");
    request.headers.push_front("Via", via.to_string());
    Some(target)
}

/// Whether a Contact names an address that only those behind the same NAT can reach.
pub(super) fn is_behind_nat(contact: &Uri, via: Option<&Via>, came_from: IpAddr) -> bool {
    let Some(address) = address_of(&contact.host).map(|address| address.to_canonical()) else { return false };
    let came_from = came_from.to_canonical();
    if address == came_from {
        return false;
    }
    // The sender itself says that it believes to be where it is not.
    let is_mistaken = via.is_some_and(|via| address_of(&via.host) == Some(address) && via.received().is_some());
    is_mistaken || (is_private(address) && !is_private(came_from))
}

fn is_private(address: IpAddr) -> bool {
    is_behind_translator(address) || address.is_loopback() || address == IpAddr::V4(Ipv4Addr::UNSPECIFIED)
}

/// Our Via for a message to a target.
pub(super) fn via_line(here: &HostPort, target: &Target, branch: &str) -> String {
    format!("SIP/2.0/{} {}:{};branch={branch};rport", target.protocol, here.host, here.port)
}

/// Our Contact for a message to a target.
pub(super) fn contact_line(here: &HostPort, target: &Target, whom: &ContactUser, is_sips: bool) -> String {
    let mut uri = Uri::sip(whom.user.as_deref(), &here.host, Some(here.port));
    match target.protocol {
        _ if is_sips => uri.scheme = Scheme::Sips,
        Protocol::Udp => {}
        Protocol::Tcp => uri.params.set("transport", Some("tcp")),
        Protocol::Tls => uri.params.set("transport", Some("tls")),
    }
    format!("{}{}", NameAddr::new(uri), whom.params)
}
