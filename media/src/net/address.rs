//! An address that one thread changes and others read without a lock.
//!
//! Three words under a version: a reader who meets a change half way tries again, and after a few times goes
//! without, which costs it one datagram.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
    sync::atomic::{AtomicU32, AtomicU64, Ordering, fence},
};

/// A change takes nanoseconds; only a writer that lost its processor in the midst of it is met so often.
const TRIES: usize = 8;

/// Set in the last word when there is an address.
const PRESENT: u64 = 1 << 63;

/// An address, or none.
#[derive(Debug, Default)]
pub(super) struct Address {
    /// Odd while the words change.
    version: AtomicU32,
    words: [AtomicU64; 3],
}

impl Address {
    /// Changes it. Only one thread may.
    pub(super) fn store(&self, address: Option<SocketAddr>) {
        let words = address.map_or([0; 3], words);
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        for (slot, word) in self.words.iter().zip(words) {
            slot.store(word, Ordering::Relaxed);
        }
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// The address, if there is one and it does not change right now.
    pub(super) fn load(&self) -> Option<SocketAddr> {
        for _ in 0..TRIES {
            let before = self.version.load(Ordering::Acquire);
            let words = [0, 1, 2].map(|at: usize| self.words[at].load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == before {
                return address(words);
            }
            std::hint::spin_loop();
        }
        None
    }
}

/// Sixteen bytes of address, then the scope of a local one, and the port.
fn words(address: SocketAddr) -> [u64; 3] {
    let (ip, scope) = match address {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
        SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
    };
    let bits = ip.to_bits();
    let last = PRESENT | u64::from(scope) << 16 | u64::from(address.port());
    [(bits >> 64) as u64, bits as u64, last]
}

fn address([high, low, last]: [u64; 3]) -> Option<SocketAddr> {
    if last & PRESENT == 0 {
        return None;
    }
    let (port, scope) = (last as u16, (last >> 16) as u32);
    let ip = Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low));
    Some(match ip.to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, port)),
        IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope)),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;

    #[test]
    fn what_is_stored_is_read() {
        let known = Address::default();
        assert_eq!(known.load(), None);
        for text in ["0.0.0.0:0", "10.1.2.3:65535", "[2001:db8::7]:30000", "[fe80::1%4294967295]:9"] {
            let address = text.parse().ok();
            known.store(address);
            assert_eq!(known.load(), address);
        }
        known.store(None);
        assert_eq!(known.load(), None);
    }

    #[test]
    fn no_reader_sees_half_of_a_change() {
        let known = Arc::new(Address::default());
        let (both, done) = (["1.1.1.1:1", "[2:2:2:2:2:2:2:2]:2"].map(|text| text.parse().ok()), AtomicBool::new(false));
        known.store(both[0]);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..100_000).for_each(|turn| known.store(both[turn % 2]));
                done.store(true, Ordering::Relaxed);
            });
            while !done.load(Ordering::Relaxed) {
                let read = known.load();
                assert!(read.is_none() || both.contains(&read), "{read:?}");
            }
        });
    }
}
