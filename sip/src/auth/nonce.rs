//! Nonces that need no table: each holds its time and number and a signature over them (RFC 7616 section 3.3).
//!
//! A nonce is good for one source address and one algorithm. What a table keeps is only the counts of those that were
//! answered rightly, so a stranger's flood takes no memory.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Algorithm;

/// Makes nonces and knows its own again.
#[derive(Debug)]
pub(super) struct Nonces {
    secret: [u8; 32],
    /// What their times are counted from.
    epoch: Instant,
    made: u64,
    counts: BTreeMap<Nonce, Counts>,
    most: usize,
    /// Counts of nonces up to this one may have been forgotten, so none of them is taken that is not known.
    forgotten: Option<Nonce>,
}

/// A nonce of ours: when it was made, in milliseconds, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Nonce {
    made_at_ms: u64,
    number: u64,
}

/// Which counts came with a nonce: the highest, and those of the 64 below it.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    highest: u32,
    seen: u64,
}

impl Nonces {
    pub(super) const fn new(secret: [u8; 32], epoch: Instant, most: usize) -> Self {
        Self { secret, epoch, made: 0, counts: BTreeMap::new(), most, forgotten: None }
    }

    /// A fresh nonce.
    pub(super) fn make(&mut self, now: Instant, source: IpAddr, algorithm: Algorithm) -> String {
        self.made += 1;
        let nonce = Nonce { made_at_ms: self.ms(now), number: self.made };
        let bytes = [&nonce.to_bytes()[..], &self.signature(nonce, source, algorithm)].concat();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The nonce that `text` is, if we made it for that source and algorithm.
    pub(super) fn read(&self, text: &str, source: IpAddr, algorithm: Algorithm) -> Option<Nonce> {
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (head, signature) = bytes.split_first_chunk::<16>()?;
        let nonce = Nonce::of(head);
        let signed = self.signature(nonce, source, algorithm);
        bool::from(subtle::ConstantTimeEq::ct_eq(&signed[..], signature)).then_some(nonce)
    }

    /// Whether it is young enough.
    pub(super) fn is_fresh(&self, nonce: Nonce, now: Instant, lifetime: Duration) -> bool {
        let age_ms = self.ms(now).checked_sub(nonce.made_at_ms);
        age_ms.is_some_and(|age_ms| u128::from(age_ms) < lifetime.as_millis())
    }

    /// Whether `count` comes for the first time; it never will again.
    pub(super) fn count(&mut self, nonce: Nonce, count: u32) -> bool {
        if let Some(counts) = self.counts.get_mut(&nonce) {
            return counts.take(count);
        }
        if self.forgotten.is_some_and(|forgotten| nonce <= forgotten) {
            return false;
        }
        let mut counts = Counts::default();
        if !counts.take(count) {
            return false;
        }
        self.counts.insert(nonce, counts);
        if self.counts.len() > self.most {
            self.forgotten = self.counts.pop_first().map(|(oldest, _)| oldest).max(self.forgotten);
        }
        true
    }

    /// Forgets what is too old to be taken anyway.
    pub(super) fn tidy(&mut self, now: Instant, lifetime: Duration) {
        let now_ms = self.ms(now);
        while let Some(oldest) = self.counts.first_entry() {
            if u128::from(now_ms.saturating_sub(oldest.key().made_at_ms)) < lifetime.as_millis() {
                return;
            }
            oldest.remove();
        }
    }

    /// 128 bits that nobody makes who lacks the secret.
    fn signature(&self, nonce: Nonce, source: IpAddr, algorithm: Algorithm) -> [u8; 16] {
        let mut mac = self.mac();
        mac.update(&nonce.to_bytes());
        // An address of either family has a form of its own in six.
        let address = match source {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        mac.update(&address.octets());
        mac.update(algorithm.as_str().as_bytes());
        first_half(mac)
    }

    /// A password that nobody has, for a name that nobody has, the same each time.
    pub(super) fn nobodys_password(&self, username: &str) -> String {
        let mut mac = self.mac();
        mac.update(b"nobody");
        mac.update(username.as_bytes());
        URL_SAFE_NO_PAD.encode(first_half(mac))
    }

    fn mac(&self) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.secret).expect("a key may have any length")
    }

    fn ms(&self, now: Instant) -> u64 {
        // Half a billion years fit.
        now.saturating_duration_since(self.epoch).as_millis() as u64
    }
}

impl Nonce {
    fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.made_at_ms.to_be_bytes());
        bytes[8..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    fn of(bytes: &[u8; 16]) -> Self {
        let all = u128::from_be_bytes(*bytes);
        Self { made_at_ms: (all >> 64) as u64, number: all as u64 }
    }
}

impl Counts {
    /// Requests overtake one another on the way, so what comes late is taken if it is new and not too late.
    fn take(&mut self, count: u32) -> bool {
        if count == 0 {
            return false;
        }
        if count > self.highest {
            let by = count - self.highest;
            self.seen = self.seen.checked_shl(by).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let bit = self.highest - count;
        let is_new = bit < 64 && self.seen & (1 << bit) == 0;
        if is_new {
            self.seen |= 1 << bit;
        }
        is_new
    }
}

fn first_half(mac: Hmac<Sha256>) -> [u8; 16] {
    let all = mac.finalize().into_bytes();
    let mut half = [0; 16];
    half.copy_from_slice(&all[..16]);
    half
}
