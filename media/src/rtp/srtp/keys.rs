//! Session keys from a master key and salt (RFC 3711 section 4.3, RFC 7714 section 11).
//!
//! Every key is a stretch of an AES counter stream under the master key, told apart by a label. Done once, when a
//! session's keys were agreed on.

use aes::{
    Aes128, Aes256,
    cipher::{KeyIvInit as _, StreamCipher as _},
};
use ctr::Ctr128BE;

/// What keys are used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Rtp,
    Rtcp,
}

impl Use {
    /// The label of the first of the three keys: encryption, authentication, salt.
    const fn label(self) -> u8 {
        match self {
            Self::Rtp => 0,
            Self::Rtcp => 3,
        }
    }
}

/// Keys of one use and direction.
pub(super) struct Keys {
    /// As long as the master key.
    pub(super) cipher: [u8; 32],
    pub(super) authentication: [u8; 20],
    /// Twelve bytes of it are used by AEAD.
    pub(super) salt: [u8; 14],
}

/// Derives the keys of one use from a master key of 16 or 32 bytes and a salt of at most 14.
pub(super) fn derive(master_key: &[u8], master_salt: &[u8], of: Use) -> Keys {
    let mut keys = Keys { cipher: [0; 32], authentication: [0; 20], salt: [0; 14] };
    stream(master_key, master_salt, of.label(), &mut keys.cipher[..master_key.len()]);
    stream(master_key, master_salt, of.label() + 1, &mut keys.authentication);
    stream(master_key, master_salt, of.label() + 2, &mut keys.salt[..master_salt.len()]);
    keys
}

fn stream(master_key: &[u8], master_salt: &[u8], label: u8, out: &mut [u8]) {
    // A shorter salt is padded behind; the label stands 7 bytes before the end of the longest.
    let mut start = [0; 16];
    start[..master_salt.len()].copy_from_slice(master_salt);
    start[7] ^= label;
    out.fill(0);
    if let Ok(key) = <[u8; 16]>::try_from(master_key) {
        Ctr128BE::<Aes128>::new(&key.into(), &start.into()).apply_keystream(out);
    } else {
        let key: [u8; 32] = master_key.try_into().expect("the profile's key is of 16 or 32 bytes");
        Ctr128BE::<Aes256>::new(&key.into(), &start.into()).apply_keystream(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_standards_own_keys_come_out() {
        // RFC 3711 appendix B.3.
        let (key, salt) = (hex("e1f97a0d3e018be0d64fa32c06de4139"), hex("0ec675ad498afeebb6960b3aabe6"));
        let rtp = derive(&key, &salt, Use::Rtp);
        assert_eq!(rtp.cipher[..16], hex("c61e7a93744f39ee10734afe3ff7a087"));
        assert_eq!(rtp.salt[..], hex("30cbbc08863d8c85d49db34a9ae1"));
        assert_eq!(rtp.authentication[..], hex("cebe321f6ff7716b6fd4ab49af256a156d38baa4"));
        let rtcp = derive(&key, &salt, Use::Rtcp);
        assert_eq!(rtcp.cipher[..16], hex("4c1aa45a81f73d61c800bbb00fbb1eaa"));
        assert_eq!(rtcp.salt[..], hex("9581c7ad87b3e530bf3e4454a8b3"));
        assert_eq!(rtcp.authentication[..], hex("8d54534feb49ae8e7993a6bd0b844fc323a93dfd"));
    }
}
