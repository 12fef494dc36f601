//! SRTP and SRTCP (RFC 3711, AEAD by RFC 7714): bytes are sealed before they leave and opened when they come.
//!
//! One [`Sealer`] a direction out, one [`Opener`] a direction in, from the keys that SDES or DTLS agreed on.
//! In place, within the buffer of the datagram; nothing allocates after `new`. An opener believes nothing until
//! it is authenticated, and takes each packet once. Keys are never rolled within a session (a key derivation rate
//! of zero), as SDES of every peer and DTLS-SRTP have it.

mod cipher;
mod keys;
mod master;
mod rollover;
mod window;

use thiserror::Error;

use self::{
    cipher::Cipher,
    keys::Use,
    window::{Stream, Streams},
};
pub use self::{master::MasterKey, rollover::Rollover};
use super::packet::{self, BadPacket};

/// The bytes of an RTCP packet that stay readable: its header and its source.
const RTCP_HEADER_BYTES: usize = 8;

/// The bytes behind an RTCP packet that number it.
const RTCP_INDEX_BYTES: usize = 4;

/// Set in an RTCP packet's number when the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// Set of algorithms, as SDES and DTLS-SRTP name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `AES_CM_128_HMAC_SHA1_80`: what everybody has.
    AesCm128HmacSha1_80,
    /// `AES_CM_128_HMAC_SHA1_32`: a shorter tag on RTP; RTCP keeps 80 bits.
    AesCm128HmacSha1_32,
    /// `AEAD_AES_128_GCM`.
    AeadAes128Gcm,
    /// `AEAD_AES_256_GCM`.
    AeadAes256Gcm,
}

impl Profile {
    /// Bytes of the master key.
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 | Self::AeadAes128Gcm => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of the master salt.
    pub const fn salt_bytes(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }

    /// The most by which a sealed packet is longer, RTCP included.
    pub const LONGEST_TRAILER_BYTES: usize = 20;

    const fn tag_bytes(self, of: Use) -> usize {
        match (self, of) {
            (Self::AesCm128HmacSha1_32, Use::Rtp) => 4,
            (Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32, _) => 10,
            (Self::AeadAes128Gcm | Self::AeadAes256Gcm, _) => 16,
        }
    }
}

/// The master key and salt do not have the lengths of their profile: who signalled them made a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{profile:?} needs {} bytes of key and salt, not {given}", .profile.key_bytes() + .profile.salt_bytes())]
pub struct BadMaster {
    /// The profile agreed on.
    pub profile: Profile,
    /// Bytes that were given.
    pub given: usize,
}

/// A packet that is not opened: dropped and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Rejected {
    /// Too short to hold its header and tag.
    #[error("it is too short to be a sealed packet")]
    Short,
    /// Its header makes no sense.
    #[error(transparent)]
    Header(#[from] BadPacket),
    /// It came before, or is older than the window.
    #[error("it came before, or is too old to know")]
    Replayed,
    /// It is not from whom the keys were agreed with, or was changed on its way.
    #[error("it is forged or damaged")]
    Forged,
    /// More sources than a session has: the peer's fault.
    #[error("it comes from more sources than are followed")]
    TooManySources,
}

/// A packet that is not sealed: our fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unsealable {
    /// The buffer has no room for the tag.
    #[error("the buffer has no room for the tag")]
    NoRoom,
    /// It is no packet.
    #[error("it is no packet")]
    Header,
    /// Its number was sent before: the same key stream must never be used twice.
    #[error("its number was sent before, or all numbers are spent")]
    Number,
    /// More sources than a session has.
    #[error("more sources than a session has")]
    TooManySources,
}

/// Seals what leaves.
pub struct Sealer {
    rtp: Cipher,
    rtcp: Cipher,
    streams: Streams,
    rollover: Rollover,
}

/// Opens what comes.
pub struct Opener {
    rtp: Cipher,
    rtcp: Cipher,
    rtp_streams: Streams,
    rollover: Rollover,
    rtcp_streams: Streams,
}

/// The two ciphers of one direction, from `master`: the key, then the salt.
fn ciphers(profile: Profile, master: &[u8]) -> Result<(Cipher, Cipher), BadMaster> {
    let fits = master.len() == profile.key_bytes() + profile.salt_bytes();
    let (key, salt) = master
        .split_at_checked(profile.key_bytes())
        .filter(|_| fits)
        .ok_or(BadMaster { profile, given: master.len() })?;
    let of = |of| Cipher::new(profile, &keys::derive(key, salt, of), profile.tag_bytes(of));
    Ok((of(Use::Rtp), of(Use::Rtcp)))
}

impl Sealer {
    /// Seals with `master`: the key, then the salt.
    ///
    /// # Errors
    /// When `master` has not the length of the profile.
    pub fn new(profile: Profile, master: &[u8]) -> Result<Self, BadMaster> {
        Self::after(profile, master, &Rollover::default())
    }

    /// As [`Sealer::new`], going on with the numbers of those that sealed with the same key and `rollover`.
    ///
    /// # Errors
    /// As [`Sealer::new`].
    pub fn after(profile: Profile, master: &[u8], rollover: &Rollover) -> Result<Self, BadMaster> {
        let (rtp, rtcp) = ciphers(profile, master)?;
        Ok(Self { rtp, rtcp, streams: Streams::default(), rollover: rollover.clone() })
    }

    /// Seals the RTP packet in the first `length` bytes of `buffer`; says how long it is then.
    ///
    /// # Errors
    /// When there is no room for the tag, or the packet's number was used before.
    pub fn seal_rtp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, Unsealable> {
        let header = buffer.get(..length).map(packet::header_length);
        let header = header.and_then(Result::ok).ok_or(Unsealable::Header)?;
        let (seq, ssrc) = (u16::from_be_bytes([buffer[2], buffer[3]]), word(buffer, 8));
        let stream = self.streams.find(ssrc).unwrap_or_else(|| self.rollover.stream(ssrc));
        let index = stream.index_of(seq).filter(|index| stream.is_after(*index)).ok_or(Unsealable::Number)?;
        let end = length + self.rtp.tag_bytes();
        let room = buffer.get_mut(..end).ok_or(Unsealable::NoRoom)?;
        if !self.streams.keep(stream.with(index)) {
            return Err(Unsealable::TooManySources);
        }
        self.rollover.note(ssrc, index);
        self.rtp.seal_rtp(room, header, ssrc, index);
        Ok(end)
    }

    /// Seals the RTCP datagram in the first `length` bytes of `buffer`; says how long it is then.
    ///
    /// # Errors
    /// When there is no room for number and tag, or all numbers are spent.
    pub fn seal_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, Unsealable> {
        if length < RTCP_HEADER_BYTES {
            return Err(Unsealable::Header);
        }
        let end = length + RTCP_INDEX_BYTES + self.rtcp.tag_bytes();
        let room = buffer.get_mut(..end).ok_or(Unsealable::NoRoom)?;
        // Another may seal with the same key at this moment.
        let index = self.rollover.next_rtcp(ENCRYPTED).ok_or(Unsealable::Number)?;
        self.rtcp.seal_rtcp(room, index | ENCRYPTED);
        Ok(end)
    }
}

impl Opener {
    /// Opens with `master`: the key, then the salt.
    ///
    /// # Errors
    /// When `master` has not the length of the profile.
    pub fn new(profile: Profile, master: &[u8]) -> Result<Self, BadMaster> {
        Self::after(profile, master, &Rollover::default())
    }

    /// As [`Opener::new`], going on with the numbers of those that opened with the same key and `rollover`: what they took
    /// is not taken again, and neither is what is older.
    ///
    /// # Errors
    /// As [`Opener::new`].
    pub fn after(profile: Profile, master: &[u8], rollover: &Rollover) -> Result<Self, BadMaster> {
        let (rtp, rtcp) = ciphers(profile, master)?;
        let (rtp_streams, rtcp_streams) = (Streams::default(), Streams::default());
        Ok(Self { rtp, rtcp, rtp_streams, rollover: rollover.clone(), rtcp_streams })
    }

    /// Opens the RTP packet that fills `bytes`; says how long the packet at their front is then.
    ///
    /// # Errors
    /// When it is not to be believed. Its bytes are of no use then.
    pub fn open_rtp(&mut self, bytes: &mut [u8]) -> Result<usize, Rejected> {
        let header = packet::header_length(bytes)?;
        if bytes.len() < header + self.rtp.tag_bytes() {
            return Err(Rejected::Short);
        }
        let (seq, ssrc) = (u16::from_be_bytes([bytes[2], bytes[3]]), word(bytes, 8));
        let known = self.rtp_streams.find(ssrc);
        let stream = known.unwrap_or_else(|| self.rollover.stream(ssrc));
        let index = stream.index_of(seq).filter(|index| stream.is_new(*index)).ok_or(Rejected::Replayed)?;
        let length = self.rtp.open_rtp(bytes, header, ssrc, index).ok_or(Rejected::Forged)?;
        // Only now: a forged packet must not move the window.
        if !self.rtp_streams.keep(stream.with(index)) {
            return Err(Rejected::TooManySources);
        }
        self.rollover.note(ssrc, index);
        Ok(length)
    }

    /// Notes the number of an RTP packet that somebody else opens, so that those after it are numbered right here too.
    /// It is believed unseen: for one who only opens now and then, and is not hurt by refusing too much.
    pub fn follow(&mut self, bytes: &[u8]) {
        if packet::header_length(bytes).is_err() {
            return;
        }
        let (seq, ssrc) = (u16::from_be_bytes([bytes[2], bytes[3]]), word(bytes, 8));
        let stream = self.rtp_streams.find(ssrc).unwrap_or_else(|| self.rollover.stream(ssrc));
        if let Some(index) = stream.index_of(seq) {
            // A table that is full keeps those it has.
            let _ = self.rtp_streams.keep(stream.with(index));
        }
    }

    /// Opens the RTCP datagram that fills `bytes`; says how long the datagram at their front is then.
    ///
    /// # Errors
    /// When it is not to be believed. Its bytes are of no use then.
    pub fn open_rtcp(&mut self, bytes: &mut [u8]) -> Result<usize, Rejected> {
        if bytes.len() < RTCP_HEADER_BYTES + RTCP_INDEX_BYTES + self.rtcp.tag_bytes() {
            return Err(Rejected::Short);
        }
        let marked = self.rtcp.rtcp_index(bytes);
        let (ssrc, index) = (word(bytes, 4), u64::from(marked & !ENCRYPTED));
        let stream = self.rtcp_streams.find(ssrc).unwrap_or_else(|| Stream::starting(ssrc));
        if !stream.is_new(index) {
            return Err(Rejected::Replayed);
        }
        let length = self.rtcp.open_rtcp(bytes, marked).ok_or(Rejected::Forged)?;
        if self.rtcp_streams.keep(stream.with(index)) { Ok(length) } else { Err(Rejected::TooManySources) }
    }
}

/// The big-endian word at `at`, which lies within `bytes`.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
