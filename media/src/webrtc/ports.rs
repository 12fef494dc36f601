//! Where peers' sockets are: one UDP port of the range each, and the address under which others reach it.
//!
//! Runs where a peer is answered. A port that is taken is passed over; a range without a free one is the
//! caller's to come back to later.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
    sync::atomic::{AtomicU32, Ordering},
};

/// Binding takes some microseconds; a range in which so many ports in a row are taken counts as full.
const ATTEMPTS: u32 = 256;

/// The range, and where it goes on looking.
#[derive(Debug)]
pub(super) struct Ports {
    host: IpAddr,
    range: RangeInclusive<u16>,
    next: AtomicU32,
}

impl Ports {
    /// Ports on `host`; an unspecified address stands for the one that leads to the world.
    pub(super) fn new(host: IpAddr, range: RangeInclusive<u16>) -> Self {
        let host = if host.is_unspecified() { outward(host).unwrap_or(host) } else { host };
        Self { host, range, next: AtomicU32::new(0) }
    }

    /// A socket on a port that was free.
    ///
    /// # Errors
    /// When no port of the range could be bound: the last refusal.
    pub(super) fn bind(&self) -> io::Result<UdpSocket> {
        let count = u32::from(self.range.end().saturating_sub(*self.range.start())) + 1;
        let mut refusal = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..ATTEMPTS.min(count) {
            let step = self.next.fetch_add(1, Ordering::Relaxed) % count;
            let port = u16::try_from(u32::from(*self.range.start()) + step).unwrap_or(u16::MAX);
            match UdpSocket::bind(SocketAddr::new(self.host, port)) {
                Ok(socket) => {
                    socket.set_nonblocking(true)?;
                    return Ok(socket);
                }
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }
}

/// The address of ours that packets to the world leave from. Asks the routing table; nothing is sent.
fn outward(unspecified: IpAddr) -> Option<IpAddr> {
    let anywhere: SocketAddr = match unspecified {
        // Documentation addresses: routed like any other, and nobody's.
        IpAddr::V4(_) => (Ipv4Addr::new(192, 0, 2, 1), 9).into(),
        IpAddr::V6(_) => (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(unspecified, 0)).ok()?;
    socket.connect(anywhere).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_range_gives_each_of_its_ports_once_and_then_refuses() {
        // Any free port will do as a range of one.
        let free = UdpSocket::bind((LOOPBACK, 0)).unwrap().local_addr().unwrap().port();
        let ports = Ports::new(LOOPBACK, free..=free);
        let held = ports.bind().unwrap();
        assert_eq!(held.local_addr().unwrap().port(), free);
        assert_eq!(ports.bind().unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(held);
        assert!(ports.bind().is_ok());
    }
}
