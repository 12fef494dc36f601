//! The two ways to seal a packet: AES in counter mode with an HMAC behind it, or AES-GCM.
//!
//! Works in place on one packet whose header length and number are known; knows nothing of sources and windows.
//! The keyed states are made once and copied for each packet on the stack; no allocation.

use aes::{
    Aes128,
    cipher::{InnerIvInit as _, KeyInit as _, StreamCipher as _, StreamCipherCoreWrapper},
};
use aes_gcm::{Aes128Gcm, Aes256Gcm, aead::AeadInOut};
use ctr::{Ctr128BE, CtrCore};
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

use super::{ENCRYPTED, Profile, RTCP_HEADER_BYTES, RTCP_INDEX_BYTES, keys::Keys, word};

/// The bytes of a tag of AES-GCM.
const GCM_TAG_BYTES: usize = 16;

/// One keyed way to seal, for RTP or for RTCP.
pub(super) struct Cipher {
    way: Way,
    salt: [u8; 14],
    tag_bytes: usize,
}

enum Way {
    Counter { cipher: Box<Aes128>, mac: Box<Hmac<Sha1>> },
    Gcm128(Box<Aes128Gcm>),
    Gcm256(Box<Aes256Gcm>),
}

impl Cipher {
    pub(super) fn new(profile: Profile, keys: &Keys, tag_bytes: usize) -> Self {
        let fits = "the keys were derived for the profile";
        let short = &keys.cipher[..16];
        let way = match profile {
            Profile::AesCm128HmacSha1_80 | Profile::AesCm128HmacSha1_32 => Way::Counter {
                cipher: Box::new(Aes128::new_from_slice(short).expect(fits)),
                mac: Box::new(Hmac::new_from_slice(&keys.authentication).expect(fits)),
            },
            Profile::AeadAes128Gcm => Way::Gcm128(Box::new(Aes128Gcm::new_from_slice(short).expect(fits))),
            Profile::AeadAes256Gcm => Way::Gcm256(Box::new(Aes256Gcm::new_from_slice(&keys.cipher).expect(fits))),
        };
        Self { way, salt: keys.salt, tag_bytes }
    }

    pub(super) fn tag_bytes(&self) -> usize {
        self.tag_bytes
    }

    /// Seals the packet that fills `room` but for the tag.
    pub(super) fn seal_rtp(&self, room: &mut [u8], header: usize, ssrc: u32, index: u64) {
        let (packet, tag) = room.split_at_mut(room.len() - self.tag_bytes);
        match &self.way {
            Way::Counter { cipher, mac } => {
                apply(cipher, &self.counter(ssrc, index), &mut packet[header..]);
                let made = mac_of(mac, packet, &((index >> 16) as u32).to_be_bytes()).finalize().into_bytes();
                tag.copy_from_slice(&made[..self.tag_bytes]);
            }
            gcm => {
                let (header, body) = packet.split_at_mut(header);
                tag.copy_from_slice(&gcm.encrypt(&self.nonce(ssrc, index), header, body));
            }
        }
    }

    /// Opens the packet that fills `bytes`; its length, or `None` when it is forged.
    pub(super) fn open_rtp(&self, bytes: &mut [u8], header: usize, ssrc: u32, index: u64) -> Option<usize> {
        let length = bytes.len() - self.tag_bytes;
        let (packet, tag) = bytes.split_at_mut(length);
        match &self.way {
            Way::Counter { cipher, mac } => {
                let made = mac_of(mac, packet, &((index >> 16) as u32).to_be_bytes());
                made.verify_truncated_left(tag).ok()?;
                apply(cipher, &self.counter(ssrc, index), &mut packet[header..]);
            }
            gcm => {
                let (header, body) = packet.split_at_mut(header);
                gcm.decrypt(&self.nonce(ssrc, index), header, body, tag)?;
            }
        }
        Some(length)
    }

    /// Seals the datagram that fills `room` but for number and tag. `marked` is the number, encryption marked.
    pub(super) fn seal_rtcp(&self, room: &mut [u8], marked: u32) {
        let (ssrc, index) = (word(room, 4), u64::from(marked & !ENCRYPTED));
        let length = room.len() - RTCP_INDEX_BYTES - self.tag_bytes;
        let (packet, trailer) = room.split_at_mut(length);
        match &self.way {
            Way::Counter { cipher, mac } => {
                apply(cipher, &self.counter(ssrc, index), &mut packet[RTCP_HEADER_BYTES..]);
                let (number, tag) = trailer.split_at_mut(RTCP_INDEX_BYTES);
                number.copy_from_slice(&marked.to_be_bytes());
                let made = mac_of(mac, packet, number).finalize().into_bytes();
                tag.copy_from_slice(&made[..self.tag_bytes]);
            }
            gcm => {
                let (header, body) = packet.split_at_mut(RTCP_HEADER_BYTES);
                let (tag, number) = trailer.split_at_mut(self.tag_bytes);
                number.copy_from_slice(&marked.to_be_bytes());
                tag.copy_from_slice(&gcm.encrypt(&self.nonce(ssrc, index), &known(header, marked), body));
            }
        }
    }

    /// The number of the datagram that fills `bytes`, and whether it is encrypted.
    pub(super) fn rtcp_index(&self, bytes: &[u8]) -> u32 {
        match self.way {
            Way::Counter { .. } => word(bytes, bytes.len() - self.tag_bytes - RTCP_INDEX_BYTES),
            Way::Gcm128(_) | Way::Gcm256(_) => word(bytes, bytes.len() - RTCP_INDEX_BYTES),
        }
    }

    /// Opens the datagram that fills `bytes`; its length, or `None` when it is forged or was not encrypted: we
    /// agreed on encryption.
    pub(super) fn open_rtcp(&self, bytes: &mut [u8], marked: u32) -> Option<usize> {
        if marked & ENCRYPTED == 0 {
            return None;
        }
        let (ssrc, index) = (word(bytes, 4), u64::from(marked & !ENCRYPTED));
        let length = bytes.len() - RTCP_INDEX_BYTES - self.tag_bytes;
        let (packet, trailer) = bytes.split_at_mut(length);
        match &self.way {
            Way::Counter { cipher, mac } => {
                let (number, tag) = trailer.split_at(RTCP_INDEX_BYTES);
                mac_of(mac, packet, number).verify_truncated_left(tag).ok()?;
                apply(cipher, &self.counter(ssrc, index), &mut packet[RTCP_HEADER_BYTES..]);
            }
            gcm => {
                let (header, body) = packet.split_at_mut(RTCP_HEADER_BYTES);
                gcm.decrypt(&self.nonce(ssrc, index), &known(header, marked), body, &trailer[..self.tag_bytes])?;
            }
        }
        Some(length)
    }

    /// Where the counter stream of a packet begins (RFC 3711 section 4.1.1).
    fn counter(&self, ssrc: u32, index: u64) -> [u8; 16] {
        let mut salt = [0; 16];
        salt[..14].copy_from_slice(&self.salt);
        (u128::from_be_bytes(salt) ^ u128::from(ssrc) << 64 ^ u128::from(index) << 16).to_be_bytes()
    }

    /// The nonce of a packet (RFC 7714 sections 8.1 and 9.1: both say the same number in the same place).
    fn nonce(&self, ssrc: u32, index: u64) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
        nonce[6..].copy_from_slice(&index.to_be_bytes()[2..]);
        for (byte, salt) in nonce.iter_mut().zip(&self.salt) {
            *byte ^= salt;
        }
        nonce
    }
}

impl Way {
    fn encrypt(&self, nonce: &[u8; 12], known: &[u8], body: &mut [u8]) -> [u8; GCM_TAG_BYTES] {
        let nonce = &(*nonce).into();
        let tag = match self {
            Self::Gcm128(gcm) => gcm.encrypt_inout_detached(nonce, known, body.into()),
            Self::Gcm256(gcm) => gcm.encrypt_inout_detached(nonce, known, body.into()),
            Self::Counter { .. } => unreachable!("the counter mode has its own arm"),
        };
        tag.expect("a datagram is far shorter than what the mode can take").into()
    }

    fn decrypt(&self, nonce: &[u8; 12], known: &[u8], body: &mut [u8], tag: &[u8]) -> Option<()> {
        let nonce = &(*nonce).into();
        let tag = &<[u8; GCM_TAG_BYTES]>::try_from(tag).ok()?.into();
        match self {
            Self::Gcm128(gcm) => gcm.decrypt_inout_detached(nonce, known, body.into(), tag).ok(),
            Self::Gcm256(gcm) => gcm.decrypt_inout_detached(nonce, known, body.into(), tag).ok(),
            Self::Counter { .. } => None,
        }
    }
}

fn apply(cipher: &Aes128, start: &[u8; 16], body: &mut [u8]) {
    let core = CtrCore::inner_iv_init(cipher.clone(), &(*start).into());
    let mut stream: Ctr128BE<Aes128> = StreamCipherCoreWrapper::from_core(core);
    stream.apply_keystream(body);
}

fn mac_of(mac: &Hmac<Sha1>, packet: &[u8], number: &[u8]) -> Hmac<Sha1> {
    let mut mac = mac.clone();
    mac.update(packet);
    mac.update(number);
    mac
}

/// What is authenticated of an RTCP datagram but not encrypted: its header and its number.
fn known(header: &[u8], marked: u32) -> [u8; RTCP_HEADER_BYTES + RTCP_INDEX_BYTES] {
    let mut known = [0; RTCP_HEADER_BYTES + RTCP_INDEX_BYTES];
    known[..RTCP_HEADER_BYTES].copy_from_slice(header);
    known[RTCP_HEADER_BYTES..].copy_from_slice(&marked.to_be_bytes());
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_standards_own_packet_of_gcm_comes_out_and_opens() {
        // RFC 7714 sections 16.1.1 and 16.1.2: these are session keys, used as they are.
        let plain = hex(concat!(
            "8040f17b8041f8d35501a0b2",
            "47616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573"
        ));
        let sealed = hex(concat!(
            "8040f17b8041f8d35501a0b2",
            "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833",
            "899d7f27beb16a9152cf765ee4390cce"
        ));
        let mut keys = Keys { cipher: std::array::from_fn(|at| at as u8), authentication: [0; 20], salt: [0; 14] };
        keys.salt[..12].copy_from_slice(&hex("517569642070726f2071756f"));
        let cipher = Cipher::new(Profile::AeadAes128Gcm, &keys, GCM_TAG_BYTES);
        let mut room = plain.clone();
        room.resize(plain.len() + GCM_TAG_BYTES, 0);
        cipher.seal_rtp(&mut room, 12, 0x5501_a0b2, 0xf17b);
        assert_eq!(room, sealed);
        assert_eq!(cipher.open_rtp(&mut room, 12, 0x5501_a0b2, 0xf17b), Some(plain.len()));
        assert_eq!(room[..plain.len()], plain);
    }

    #[test]
    fn the_standards_own_counter_stream_comes_out() {
        // RFC 3711 appendix B.2: blocks 0 to 2.
        let cipher = Aes128::new_from_slice(&hex("2b7e151628aed2a6abf7158809cf4f3c")).unwrap();
        let mut start = [0; 16];
        start[..14].copy_from_slice(&hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd"));
        let mut stream = [0; 48];
        apply(&cipher, &start, &mut stream);
        let wanted = "e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab41e95b3bb0a2e8dd477901e4fca894c0";
        assert_eq!(stream[..], hex(wanted));
    }
}
