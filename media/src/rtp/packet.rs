//! One RTP packet: its header read from bytes and written to them (RFC 3550 section 5.1).
//!
//! A packet borrows the bytes that it was read from; nothing is copied or allocated. Every length in the header
//! is checked against the bytes that are there, because they come from a stranger.

use thiserror::Error;

use super::seq::{RtpTime, SeqNo};

/// The bytes of a header without contributing sources and extension.
pub const FIXED_HEADER_BYTES: usize = 12;

/// The longest packet taken: what Ethernet carries, with room for a tunnel that pads.
pub const LONGEST_BYTES: usize = 1_500;

/// One RTP packet over the bytes that hold its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The profile's mark: for sound, the first packet of a spurt of talk.
    pub marker: bool,
    /// What the payload is, 0 to 127.
    pub payload_type: u8,
    /// Counts packets.
    pub seq: SeqNo,
    /// When the payload's first sample was taken.
    pub time: RtpTime,
    /// The source that keeps these numbers.
    pub ssrc: u32,
    /// Who was mixed into the payload.
    pub contributors: Contributors,
    /// The header's extension.
    pub extension: Option<Extension<'a>>,
    /// What the codec made.
    pub payload: &'a [u8],
    /// Bytes of padding after the payload; the last of them says how many. 0 when there is none.
    pub padding_bytes: u8,
}

/// The contributing sources of a mixed packet: at most 15.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contributors {
    list: [u32; Self::MOST],
    count: u8,
}

/// A header's extension, uninterpreted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// What the profile says that the data is.
    pub profile: u16,
    /// A whole number of 32-bit words.
    pub data: &'a [u8],
}

/// Bytes that are no RTP packet: the sender's fault, and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadPacket {
    /// It ends within the header that it announces.
    #[error("it ends within its header")]
    Short,
    /// Not version 2.
    #[error("it is not of version 2")]
    Version,
    /// Its padding is longer than what it holds, or has no length.
    #[error("its padding does not fit into it")]
    Padding,
}

/// Why a packet was not written: our fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unwritable {
    /// The buffer is too small for it.
    #[error("the buffer is too small for the packet")]
    NoRoom,
    /// The extension is not a whole number of words, or more than the header can say.
    #[error("the extension is not a number of words that a header can say")]
    Extension,
    /// The payload type does not fit into seven bits.
    #[error("the payload type is over 127")]
    PayloadType,
}

impl Contributors {
    /// The most that a header can name.
    pub const MOST: usize = 15;

    /// These sources; those after the fifteenth are left out.
    pub fn new(sources: &[u32]) -> Self {
        let mut all = Self::default();
        for (slot, source) in all.list.iter_mut().zip(sources) {
            *slot = *source;
            all.count += 1;
        }
        all
    }

    /// The sources in the order of the header.
    pub fn as_slice(&self) -> &[u32] {
        &self.list[..usize::from(self.count)]
    }
}

impl<'a> Packet<'a> {
    /// Reads one packet, which fills all of `bytes`.
    ///
    /// # Errors
    /// When a length points outside, or the version is another.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BadPacket> {
        let (head, rest) = bytes.split_first_chunk::<FIXED_HEADER_BYTES>().ok_or(BadPacket::Short)?;
        if head[0] >> 6 != 2 {
            return Err(BadPacket::Version);
        }
        let count = head[0] & 0xf;
        let (sources, mut rest) = rest.split_at_checked(usize::from(count) * 4).ok_or(BadPacket::Short)?;
        let mut contributors = Contributors { count, ..Contributors::default() };
        for (slot, source) in contributors.list.iter_mut().zip(sources.chunks_exact(4)) {
            *slot = u32::from_be_bytes([source[0], source[1], source[2], source[3]]);
        }
        let mut extension = None;
        if head[0] & 0x10 != 0 {
            let (lead, after) = rest.split_first_chunk::<4>().ok_or(BadPacket::Short)?;
            let words = usize::from(u16::from_be_bytes([lead[2], lead[3]]));
            let (data, after) = after.split_at_checked(words * 4).ok_or(BadPacket::Short)?;
            extension = Some(Extension { profile: u16::from_be_bytes([lead[0], lead[1]]), data });
            rest = after;
        }
        let mut padding_bytes = 0;
        if head[0] & 0x20 != 0 {
            padding_bytes = *rest.last().ok_or(BadPacket::Padding)?;
            let kept = rest.len().checked_sub(usize::from(padding_bytes)).ok_or(BadPacket::Padding)?;
            if padding_bytes == 0 {
                return Err(BadPacket::Padding);
            }
            rest = &rest[..kept];
        }
        Ok(Self {
            marker: head[1] & 0x80 != 0,
            payload_type: head[1] & 0x7f,
            seq: SeqNo(u16::from_be_bytes([head[2], head[3]])),
            time: RtpTime(u32::from_be_bytes([head[4], head[5], head[6], head[7]])),
            ssrc: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
            contributors,
            extension,
            payload: rest,
            padding_bytes,
        })
    }

    /// The bytes before the payload.
    pub fn header_bytes(&self) -> usize {
        let extension = self.extension.map_or(0, |extension| 4 + extension.data.len());
        FIXED_HEADER_BYTES + self.contributors.as_slice().len() * 4 + extension
    }

    /// Writes the packet to the front of `out` and says how long it is.
    ///
    /// # Errors
    /// When `out` is too small, or a field holds what a header cannot say.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, Unwritable> {
        let header = self.header_bytes();
        let padding = usize::from(self.padding_bytes);
        let length = header + self.payload.len() + padding;
        let out = out.get_mut(..length).ok_or(Unwritable::NoRoom)?;
        if self.payload_type > 127 {
            return Err(Unwritable::PayloadType);
        }
        let flags = u8::from(padding > 0) << 5 | u8::from(self.extension.is_some()) << 4;
        out[0] = 0x80 | flags | self.contributors.count;
        out[1] = u8::from(self.marker) << 7 | self.payload_type;
        out[2..4].copy_from_slice(&self.seq.0.to_be_bytes());
        out[4..8].copy_from_slice(&self.time.0.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        let mut at = FIXED_HEADER_BYTES;
        for source in self.contributors.as_slice() {
            out[at..at + 4].copy_from_slice(&source.to_be_bytes());
            at += 4;
        }
        if let Some(Extension { profile, data }) = self.extension {
            let words = u16::try_from(data.len() / 4).map_err(|_| Unwritable::Extension)?;
            if data.len() % 4 != 0 {
                return Err(Unwritable::Extension);
            }
            out[at..at + 2].copy_from_slice(&profile.to_be_bytes());
            out[at + 2..at + 4].copy_from_slice(&words.to_be_bytes());
            out[at + 4..header].copy_from_slice(data);
        }
        out[header..length - padding].copy_from_slice(self.payload);
        if padding > 0 {
            out[length - padding..].fill(0);
            out[length - 1] = self.padding_bytes;
        }
        Ok(length)
    }
}

/// How long the header at the front of `bytes` is, whatever follows it: the rest may be encrypted.
///
/// # Errors
/// When it ends within itself, or is of another version.
pub fn header_length(bytes: &[u8]) -> Result<usize, BadPacket> {
    let first = *bytes.first().ok_or(BadPacket::Short)?;
    if first >> 6 != 2 {
        return Err(BadPacket::Version);
    }
    let mut length = FIXED_HEADER_BYTES + usize::from(first & 0xf) * 4;
    if first & 0x10 != 0 {
        let lead = bytes.get(length..length + 4).ok_or(BadPacket::Short)?;
        length += 4 + usize::from(u16::from_be_bytes([lead[2], lead[3]])) * 4;
    }
    if length <= bytes.len() { Ok(length) } else { Err(BadPacket::Short) }
}

/// Whether bytes that arrived on a shared port are RTCP rather than RTP (RFC 5761 section 4): such a packet's
/// type, 192 to 223, would be a payload type that RTP then must not use.
pub fn is_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes, [first, 192..=223, ..] if first >> 6 == 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<[u8; 4]>(), 0..8).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            marker: bool,
            payload_type in 0_u8..128,
            numbers: (u16, u32, u32),
            sources in prop::collection::vec(any::<u32>(), 0..=15),
            extension in prop::option::of((any::<u16>(), words())),
            payload in prop::collection::vec(any::<u8>(), 0..200),
            padding_bytes: u8,
        ) {
            let packet = Packet {
                marker,
                payload_type,
                seq: SeqNo(numbers.0),
                time: RtpTime(numbers.1),
                ssrc: numbers.2,
                contributors: Contributors::new(&sources),
                extension: extension.as_ref().map(|(profile, data)| Extension { profile: *profile, data }),
                payload: &payload,
                padding_bytes,
            };
            let mut bytes = [0xff; 700];
            let length = packet.write(&mut bytes).unwrap();
            prop_assert_eq!(length, packet.header_bytes() + payload.len() + usize::from(padding_bytes));
            prop_assert_eq!(Packet::parse(&bytes[..length]), Ok(packet));
            prop_assert_eq!(header_length(&bytes[..length]), Ok(packet.header_bytes()));
            prop_assert_eq!(packet.write(&mut bytes[..length - 1]), Err(Unwritable::NoRoom));
        }

        #[test]
        fn no_bytes_make_it_panic_and_what_it_reads_lies_inside(bytes in prop::collection::vec(any::<u8>(), 0..120), version: bool) {
            let mut bytes = bytes;
            if let (true, Some(first)) = (version, bytes.first_mut()) {
                *first = *first & 0x3f | 0x80;
            }
            let header = header_length(&bytes);
            prop_assert!(header.is_ok_and(|length| length <= bytes.len()) || header.is_err());
            if let Ok(packet) = Packet::parse(&bytes) {
                prop_assert_eq!(header, Ok(packet.header_bytes()));
                prop_assert_eq!(packet.header_bytes() + packet.payload.len() + usize::from(packet.padding_bytes), bytes.len());
            }
        }
    }

    #[test]
    fn lengths_that_point_outside_are_refused() {
        let whole: [u8; 14] = [0x80, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 9, 9];
        let with = |first: u8, last: u8| {
            let mut bytes = whole;
            bytes[0] = first;
            bytes[13] = last;
            Packet::parse(&bytes).map(|packet| packet.payload.len())
        };
        assert_eq!(with(0x80, 9), Ok(2));
        assert_eq!(with(0x40, 9), Err(BadPacket::Version));
        assert_eq!(with(0x81, 9), Err(BadPacket::Short), "a source that is not there");
        assert_eq!(with(0x90, 9), Err(BadPacket::Short), "an extension that is not there");
        assert_eq!(with(0xa0, 3), Err(BadPacket::Padding), "more padding than payload");
        assert_eq!(with(0xa0, 0), Err(BadPacket::Padding), "padding counts itself");
        assert_eq!(with(0xa0, 2), Ok(0));
        assert_eq!(Packet::parse(&whole[..11]), Err(BadPacket::Short));
    }

    #[test]
    fn rtcp_on_the_same_port_is_told_from_rtp() {
        assert!(is_rtcp(&[0x80, 200, 0, 0]));
        assert!(is_rtcp(&[0x81, 203]));
        assert!(!is_rtcp(&[0x80, 0x80 | 8, 0, 0]), "marked A-law");
        assert!(!is_rtcp(&[0x80, 111, 0, 0]));
        assert!(!is_rtcp(&[200, 200]));
    }
}
