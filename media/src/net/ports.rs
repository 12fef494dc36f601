//! The ports of a range, handed out one after the other: one for a leg, or two beside each other.
//!
//! Who holds a socket holds its port, so the system keeps the list and nothing here can be wrong about it. Ports go
//! round, so that a call that ended is not mistaken for the next one by its late packets.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, UdpSocket},
    ops::RangeInclusive,
    sync::atomic::{AtomicU32, Ordering},
};

/// Ports that may be handed out.
#[derive(Debug)]
pub(super) struct Ports {
    first: u16,
    count: u32,
    next: AtomicU32,
}

/// What a leg is lent, not yet heard.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: Option<UdpSocket>,
}

impl Ports {
    pub(super) fn new(range: RangeInclusive<u16>) -> Self {
        let count = u32::from(*range.end()).saturating_sub(u32::from(*range.start())) + 1;
        Self { first: *range.start(), count: if range.is_empty() { 0 } else { count }, next: AtomicU32::new(0) }
    }

    /// Binds the next free port of `ip`; with `beside`, an even one and the one after it (RFC 3550 section 11).
    /// `None` when all are taken.
    pub(super) fn bind(&self, ip: IpAddr, beside: bool) -> io::Result<Option<Sockets>> {
        for _ in 0..self.count {
            let offset = self.next.fetch_add(1, Ordering::Relaxed) % self.count;
            // Below 65,536, because the range was made of ports.
            let port = (u32::from(self.first) + offset) as u16;
            let has_second = offset + 1 < self.count;
            if beside && (!port.is_multiple_of(2) || !has_second) {
                continue;
            }
            let Some(rtp) = bind_one(ip, port)? else { continue };
            let rtcp = match beside {
                true => match bind_one(ip, port + 1)? {
                    Some(rtcp) => Some(rtcp),
                    None => continue,
                },
                false => None,
            };
            return Ok(Some(Sockets { rtp, rtcp }));
        }
        Ok(None)
    }
}

/// A socket that never blocks; `None` when the port is taken.
fn bind_one(ip: IpAddr, port: u16) -> io::Result<Option<UdpSocket>> {
    match UdpSocket::bind((ip, port)) {
        Ok(socket) => {
            socket.set_nonblocking(true)?;
            Ok(Some(socket))
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// A range of six ports of which nobody uses one, beginning with an odd one.
    fn range() -> RangeInclusive<u16> {
        (0..200)
            .map(|step| 41_001 + step * 6)
            .find(|first| (*first..first + 6).all(|port| UdpSocket::bind((HERE, port)).is_ok()))
            .map(|first| first..=first + 5)
            .expect("some six ports in a row are free")
    }

    #[test]
    fn pairs_are_even_and_odd_and_come_back_when_they_are_dropped() {
        let range = range();
        let ports = Ports::new(range.clone());
        let held: Vec<_> = std::iter::from_fn(|| ports.bind(HERE, true).unwrap()).collect();
        assert_eq!(held.len(), 2, "42002, 42004 and no third: the last has no port beside it");
        for Sockets { rtp, rtcp } in &held {
            let (rtp, rtcp) = (rtp.local_addr().unwrap().port(), rtcp.as_ref().unwrap().local_addr().unwrap().port());
            assert!(rtp % 2 == 0 && rtcp == rtp + 1 && range.contains(&rtp) && range.contains(&rtcp));
        }
        drop(held);
        assert!(ports.bind(HERE, true).unwrap().is_some());
    }

    #[test]
    fn every_port_serves_a_leg_that_needs_one_and_none_is_lent_twice_in_a_row() {
        let ports = Ports::new(range());
        let port = || ports.bind(HERE, false).unwrap().map(|sockets| sockets.rtp.local_addr().unwrap().port());
        assert_ne!(port(), port());
        let held: Vec<_> = std::iter::from_fn(|| ports.bind(HERE, false).unwrap()).collect();
        assert_eq!(held.len(), 6);
    }

    #[test]
    fn an_address_that_is_not_ours_is_an_error_and_an_empty_range_has_no_port() {
        let ports = Ports::new(range());
        assert!(ports.bind("192.0.2.77".parse().unwrap(), false).is_err());
        #[expect(clippy::reversed_empty_ranges, reason = "an empty range is what is tried")]
        let none = Ports::new(5..=4);
        assert!(none.bind(HERE, false).unwrap().is_none());
    }
}
