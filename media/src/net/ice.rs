//! Our end of ICE-lite (RFC 8445 section 2.5): checks are answered, none are sent.
//!
//! Pure: a datagram and where it came from go in, the answer comes out, and whether the far end has chosen this way.
//! Only a check that was made with our credentials is answered; its signature does not cover the address that it
//! comes from, so a check that was seen once is not believed from elsewhere. Runs on the receiving thread; allocates
//! nothing after `new`.

use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

const HEADER_BYTES: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const USERNAME: u16 = 0x0006;
const INTEGRITY: u16 = 0x0008;
const MAPPED_ADDRESS: u16 = 0x0020;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const INTEGRITY_BYTES: usize = 20;

/// What the checksum at the end is mixed with (RFC 8489 section 14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// Checks that are remembered: a caller checks a pair every 50 ms at first, and not for long.
const REMEMBERED: usize = 64;

/// The longest answer.
pub(super) const ANSWER_BYTES: usize = HEADER_BYTES + 24 + 24 + 8;

/// Answers the checks of one far end.
pub struct Lite {
    /// `ours:`, as checks begin that are for us.
    addressed: Vec<u8>,
    key: Hmac<Sha1>,
    /// Checks that were answered last, and whence they came.
    seen: Vec<([u8; 12], SocketAddr)>,
    next: usize,
}

/// A check that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// How long the answer is.
    pub(super) length: usize,
    /// The far end uses this way from now on.
    pub(super) is_chosen: bool,
}

impl Lite {
    /// An end with our user and secret. Checks may come before the far end has said its own, which is not needed.
    pub fn new(ufrag: &str, pwd: &str) -> Self {
        let key = Hmac::new_from_slice(pwd.as_bytes()).expect("a key of any length will do");
        Self { addressed: format!("{ufrag}:").into_bytes(), key, seen: Vec::with_capacity(REMEMBERED), next: 0 }
    }

    /// Answers `datagram`, which came from `from`, to the front of `out`; nothing when it is no check for us.
    pub(super) fn answer(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        out: &mut [u8; ANSWER_BYTES],
    ) -> Option<Answered> {
        let is_chosen = self.check(datagram)?;
        let transaction: [u8; 12] = datagram[8..HEADER_BYTES].try_into().ok()?;
        match self.seen.iter().find(|(seen, _)| *seen == transaction) {
            Some((_, whence)) if *whence != from => return None,
            Some(_) => {}
            None if self.seen.len() < REMEMBERED => self.seen.push((transaction, from)),
            None => {
                self.seen[self.next] = (transaction, from);
                self.next = (self.next + 1) % REMEMBERED;
            }
        }
        Some(Answered { length: self.write(transaction, from, out), is_chosen })
    }

    /// Whether a datagram is a check with our credentials: then whether it chooses the way that it came.
    fn check(&self, datagram: &[u8]) -> Option<bool> {
        let header = datagram.get(..HEADER_BYTES)?;
        let is_whole = usize::from(word(header, 2)?) == datagram.len() - HEADER_BYTES;
        if word(header, 0)? != BINDING_REQUEST || header[4..8] != COOKIE || !is_whole {
            return None;
        }
        let (mut at, mut is_addressed, mut is_chosen) = (HEADER_BYTES, false, false);
        loop {
            let (kind, length) = (word(datagram, at)?, usize::from(word(datagram, at + 2)?));
            let value = datagram.get(at + 4..at + 4 + length)?;
            match kind {
                USERNAME => is_addressed = value.starts_with(&self.addressed),
                USE_CANDIDATE => is_chosen = true,
                // What comes behind the signature is not signed.
                INTEGRITY => return (is_addressed && self.is_signed(&datagram[..at], value)).then_some(is_chosen),
                _ => {}
            }
            at += 4 + length.next_multiple_of(4);
        }
    }

    /// Whether `value` signs what is before it, whose header says that the message ends with the signature.
    fn is_signed(&self, before: &[u8], value: &[u8]) -> bool {
        let length = (before.len() - HEADER_BYTES + 4 + INTEGRITY_BYTES) as u16;
        let mut key = self.key.clone();
        key.update(&before[..2]);
        key.update(&length.to_be_bytes());
        key.update(&before[4..]);
        key.verify_slice(value).is_ok()
    }

    fn write(&self, transaction: [u8; 12], from: SocketAddr, out: &mut [u8; ANSWER_BYTES]) -> usize {
        let mut at = HEADER_BYTES;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        let port = from.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
        // The address is mixed with what every translator of addresses leaves alone.
        let mut mask = [0; 16];
        mask[..4].copy_from_slice(&COOKIE);
        mask[4..].copy_from_slice(&transaction);
        let mixed = |bytes: &mut [u8]| bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        put(&MAPPED_ADDRESS.to_be_bytes());
        match from.ip().to_canonical() {
            IpAddr::V4(ip) => {
                let mut bytes = ip.octets();
                mixed(&mut bytes);
                put(&[0, 8, 0, 1]);
                put(&port.to_be_bytes());
                put(&bytes);
            }
            IpAddr::V6(ip) => {
                let mut bytes = ip.octets();
                mixed(&mut bytes);
                put(&[0, 20, 0, 2]);
                put(&port.to_be_bytes());
                put(&bytes);
            }
        }
        out[..2].copy_from_slice(&BINDING_SUCCESS.to_be_bytes());
        out[4..8].copy_from_slice(&COOKIE);
        out[8..HEADER_BYTES].copy_from_slice(&transaction);
        let signed = at + 4 + INTEGRITY_BYTES;
        out[2..4].copy_from_slice(&((signed - HEADER_BYTES) as u16).to_be_bytes());
        let mut key = self.key.clone();
        key.update(&out[..at]);
        out[at..at + 2].copy_from_slice(&INTEGRITY.to_be_bytes());
        out[at + 2..at + 4].copy_from_slice(&(INTEGRITY_BYTES as u16).to_be_bytes());
        out[at + 4..signed].copy_from_slice(&key.finalize().into_bytes());
        let end = signed + 8;
        out[2..4].copy_from_slice(&((end - HEADER_BYTES) as u16).to_be_bytes());
        let sum = crc32fast::hash(&out[..signed]) ^ FINGERPRINT_XOR;
        out[signed..signed + 2].copy_from_slice(&FINGERPRINT.to_be_bytes());
        out[signed + 2..signed + 4].copy_from_slice(&[0, 4]);
        out[signed + 4..end].copy_from_slice(&sum.to_be_bytes());
        end
    }
}

/// Whether a datagram on a port of RTP is one of STUN (RFC 7983).
pub(super) fn is_stun(datagram: &[u8]) -> bool {
    matches!(datagram, [0..=3, ..]) && datagram.get(4..8) == Some(&COOKIE)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PWD: &str = "twenty-two-letters-or-more";

    fn lite() -> Lite {
        Lite::new("ours", PWD)
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// A check as a full end sends it.
    fn check(username: &str, pwd: &str, transaction: u8, is_chosen: bool) -> Vec<u8> {
        let mut bytes = BINDING_REQUEST.to_be_bytes().to_vec();
        bytes.extend([0, 0]);
        bytes.extend(COOKIE);
        bytes.extend([transaction; 12]);
        let mut put = |kind: u16, value: &[u8]| {
            bytes.extend(kind.to_be_bytes());
            bytes.extend((value.len() as u16).to_be_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        };
        put(USERNAME, username.as_bytes());
        put(0x0024, &[1, 2, 3, 4]);
        if is_chosen {
            put(USE_CANDIDATE, &[]);
        }
        let length = (bytes.len() - HEADER_BYTES + 24) as u16;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        let mut key: Hmac<Sha1> = Hmac::new_from_slice(pwd.as_bytes()).unwrap();
        key.update(&bytes);
        bytes.extend(INTEGRITY.to_be_bytes());
        bytes.extend([0, 20]);
        bytes.extend(key.finalize().into_bytes());
        let length = (bytes.len() - HEADER_BYTES + 8) as u16;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        let sum = crc32fast::hash(&bytes) ^ FINGERPRINT_XOR;
        bytes.extend(FINGERPRINT.to_be_bytes());
        bytes.extend([0, 4]);
        bytes.extend(sum.to_be_bytes());
        bytes
    }

    fn answered(lite: &mut Lite, datagram: &[u8], from: &str) -> Option<(Vec<u8>, bool)> {
        let mut out = [0; ANSWER_BYTES];
        let answered = lite.answer(datagram, at(from), &mut out)?;
        Some((out[..answered.length].to_vec(), answered.is_chosen))
    }

    #[test]
    fn a_check_with_our_credentials_is_answered_with_its_address_signed() {
        let (answer, is_chosen) = answered(&mut lite(), &check("ours:theirs", PWD, 5, true), "192.0.2.1:3478").unwrap();
        assert!(is_chosen && is_stun(&answer));
        assert_eq!((word(&answer, 0), answer[8..20].to_vec()), (Some(BINDING_SUCCESS), vec![5; 12]));
        assert_eq!(usize::from(word(&answer, 2).unwrap()), answer.len() - HEADER_BYTES);
        // Port and address, mixed with the cookie.
        assert_eq!(answer[24..32], [0, 1, 0x2c, 0x84, 0xe1, 0x12, 0xa6, 0x43]);
        let sum = crc32fast::hash(&answer[..answer.len() - 8]) ^ FINGERPRINT_XOR;
        assert_eq!(answer[answer.len() - 4..], sum.to_be_bytes());
        let signature = answer.len() - 8 - 24;
        assert!(lite().is_signed(&answer[..signature], &answer[signature + 4..signature + 24]));
        let (answer, is_chosen) =
            answered(&mut lite(), &check("ours:theirs", PWD, 5, false), "[2001:db8::1]:9").unwrap();
        assert!(!is_chosen && answer.len() == ANSWER_BYTES);
    }

    #[test]
    fn whoever_lacks_the_credentials_is_not_answered() {
        for wrong in [check("ours:theirs", "another-secret-of-this-kind", 1, true), check("them:us", PWD, 1, true)] {
            assert_eq!(answered(&mut lite(), &wrong, "192.0.2.1:1"), None);
        }
        let right = check("ours:theirs", PWD, 1, true);
        assert_eq!(answered(&mut lite(), &right[..right.len() - 1], "192.0.2.1:1"), None);
        let mut bare = right;
        bare.truncate(HEADER_BYTES);
        bare[2..4].fill(0);
        assert_eq!(answered(&mut lite(), &bare, "192.0.2.1:1"), None);
    }

    #[test]
    fn a_check_that_was_seen_is_not_believed_from_elsewhere() {
        let (mut lite, check) = (lite(), check("ours:theirs", PWD, 1, true));
        assert!(answered(&mut lite, &check, "192.0.2.1:1").is_some());
        assert!(answered(&mut lite, &check, "192.0.2.1:1").is_some(), "sent again");
        assert_eq!(answered(&mut lite, &check, "203.0.113.66:1"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_no_accident_is_answered(
            bytes in prop::collection::vec(any::<u8>(), 0..80), index in any::<prop::sample::Index>(), flip in 1_u8..,
        ) {
            prop_assert_eq!(answered(&mut lite(), &bytes, "192.0.2.1:1"), None);
            let mut check = check("ours:theirs", PWD, 1, true);
            // Behind the signature only the checksum follows, which is not looked at.
            let signed = check.len() - 8;
            check[index.index(signed)] ^= flip;
            // The length may be taken for another that is whole all the same: never.
            prop_assert_eq!(answered(&mut lite(), &check, "192.0.2.1:1"), None);
        }
    }
}
