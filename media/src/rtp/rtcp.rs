//! RTCP: what both ends tell each other of their streams (RFC 3550 section 6), read from bytes and written to them.
//!
//! A datagram holds several packets. All lengths are checked before the first is looked at; then reading cannot
//! fail. Kinds that are not known here, feedback among them, are passed by. Borrows the bytes; no allocation.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use super::seq::RtpTime;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;

const BLOCK_BYTES: usize = 24;
const SENDER_INFO_BYTES: usize = 20;

/// The item of a description that names a participant for good.
const CNAME: u8 = 1;

/// Seconds between the epochs of NTP, 1900, and of Unix, 1970.
const NTP_BEFORE_UNIX_S: u64 = 2_208_988_800;

/// A wall time as NTP writes it: seconds since 1900 in 32 bits, and 32 bits of fraction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ntp(pub u64);

impl Ntp {
    /// The wall time `wall`; times before 1970 count as 1970.
    pub fn at(wall: SystemTime) -> Self {
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        Self((since.as_secs() + NTP_BEFORE_UNIX_S) << 32 | fraction)
    }

    /// The middle 32 bits, by which reports refer to each other: 1/65536 s.
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// What a sender says of its own stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// Wall time of this report.
    pub ntp: Ntp,
    /// The same moment on the stream's clock.
    pub time: RtpTime,
    /// Packets sent.
    pub packets: u32,
    /// Bytes of payload sent.
    pub bytes: u32,
}

/// What a receiver says of a stream that it hears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The stream's source.
    pub ssrc: u32,
    /// Lost since the last report, in 256ths of what was expected.
    pub fraction_lost: u8,
    /// Lost since the beginning; 24 bits, below zero when copies came.
    pub lost: i32,
    /// The highest sequence number, with wraps counted in the upper half.
    pub highest: u32,
    /// Interarrival jitter in ticks of the stream's clock.
    pub jitter: u32,
    /// [`Ntp::middle`] of the last sender report heard; 0 when none was.
    pub last_report: u32,
    /// Time since then, in 1/65536 s.
    pub since_last_report: u32,
}

/// One packet of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rtcp<'a> {
    /// Of one who sends.
    SenderReport {
        /// Who reports.
        ssrc: u32,
        /// What was sent.
        sent: SenderInfo,
        /// What is heard.
        blocks: Blocks<'a>,
    },
    /// Of one who only hears.
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// What is heard.
        blocks: Blocks<'a>,
    },
    /// Names.
    Description(Names<'a>),
    /// Sources that leave.
    Goodbye {
        /// Who leaves.
        sources: Sources<'a>,
    },
    /// A kind that is not known here.
    Other {
        /// The packet type.
        packet_type: u8,
    },
}

/// Report blocks, read one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks<'a>(&'a [u8]);

/// Sources, read one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources<'a>(&'a [u8]);

/// The chunks of a description, read one by one: a source and its CNAME, if it says one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names<'a>(&'a [u8]);

/// Bytes that are no RTCP: the sender's fault, and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadRtcp {
    /// A packet ends after the datagram, or within what it announces.
    #[error("a packet is longer than the bytes that are there")]
    Short,
    /// Not version 2.
    #[error("a packet is not of version 2")]
    Version,
    /// Padding that does not fit, or not in the last packet.
    #[error("padding where none can be")]
    Padding,
}

/// The buffer was too small for a report: our fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the buffer is too small for the report")]
pub struct NoRoom;

/// A datagram whose lengths all fit; iterates over its packets.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a>(&'a [u8]);

impl<'a> Compound<'a> {
    /// Checks every length in the datagram.
    ///
    /// # Errors
    /// When one does not fit, or a version is another; an empty datagram is short.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BadRtcp> {
        let mut rest = bytes;
        if rest.is_empty() {
            return Err(BadRtcp::Short);
        }
        while !rest.is_empty() {
            let First { head, body, after } = split(rest).ok_or(BadRtcp::Short)?;
            if head[0] >> 6 != 2 {
                return Err(BadRtcp::Version);
            }
            if head[0] & 0x20 != 0 {
                let padding = usize::from(body.last().copied().unwrap_or(0));
                if !after.is_empty() || padding == 0 || padding > body.len() {
                    return Err(BadRtcp::Padding);
                }
            }
            read(head, body).ok_or(BadRtcp::Short)?;
            rest = after;
        }
        Ok(Self(bytes))
    }
}

impl<'a> Iterator for Compound<'a> {
    type Item = Rtcp<'a>;

    fn next(&mut self) -> Option<Rtcp<'a>> {
        let First { head, body, after } = split(self.0)?;
        self.0 = after;
        read(head, body)
    }
}

/// The first packet of a datagram.
struct First<'a> {
    head: [u8; 4],
    body: &'a [u8],
    /// What follows it.
    after: &'a [u8],
}

fn split(bytes: &[u8]) -> Option<First<'_>> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    let words = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let (body, after) = rest.split_at_checked(words * 4)?;
    Some(First { head: *head, body, after })
}

fn read(head: [u8; 4], body: &[u8]) -> Option<Rtcp<'_>> {
    let count = usize::from(head[0] & 0x1f);
    match head[1] {
        SENDER_REPORT => {
            let (ssrc, body) = word(body)?;
            let (info, body) = body.split_at_checked(SENDER_INFO_BYTES)?;
            let at = |at: usize| word(&info[at..]).map_or(0, |(word, _)| word);
            let ntp = Ntp(u64::from(at(0)) << 32 | u64::from(at(4)));
            let sent = SenderInfo { ntp, time: RtpTime(at(8)), packets: at(12), bytes: at(16) };
            Some(Rtcp::SenderReport { ssrc, sent, blocks: Blocks(body.get(..count * BLOCK_BYTES)?) })
        }
        RECEIVER_REPORT => {
            let (ssrc, body) = word(body)?;
            Some(Rtcp::ReceiverReport { ssrc, blocks: Blocks(body.get(..count * BLOCK_BYTES)?) })
        }
        DESCRIPTION => Some(Rtcp::Description(Names(body))),
        GOODBYE => Some(Rtcp::Goodbye { sources: Sources(body.get(..count * 4)?) }),
        packet_type => Some(Rtcp::Other { packet_type }),
    }
}

fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*word), rest))
}

impl Iterator for Blocks<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        let (block, rest) = self.0.split_at_checked(BLOCK_BYTES)?;
        self.0 = rest;
        let at = |at: usize| word(&block[at..]).map_or(0, |(word, _)| word);
        Some(Block {
            ssrc: at(0),
            fraction_lost: block[4],
            // Shifted up and down again for the sign of its 24 bits.
            lost: (at(4) << 8) as i32 >> 8,
            highest: at(8),
            jitter: at(12),
            last_report: at(16),
            since_last_report: at(20),
        })
    }
}

impl Iterator for Sources<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (source, rest) = word(self.0)?;
        self.0 = rest;
        Some(source)
    }
}

impl<'a> Iterator for Names<'a> {
    type Item = (u32, Option<&'a [u8]>);

    /// Ends at the first item that does not fit.
    fn next(&mut self) -> Option<Self::Item> {
        let all = self.0.len();
        let (ssrc, mut rest) = word(self.0)?;
        self.0 = &[];
        let mut cname = None;
        loop {
            let (kind, after) = rest.split_first()?;
            if *kind == 0 {
                // Chunks begin at whole words.
                let read = all - after.len();
                self.0 = after.get(read.next_multiple_of(4) - read..).unwrap_or(&[]);
                return Some((ssrc, cname));
            }
            let (length, after) = after.split_first()?;
            let (text, after) = after.split_at_checked(usize::from(*length))?;
            if *kind == CNAME {
                cname = Some(text);
            }
            rest = after;
        }
    }
}

/// Writes a datagram, packet by packet.
pub struct Writer<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl<'a> Writer<'a> {
    /// Writes to the front of `out`.
    pub fn new(out: &'a mut [u8]) -> Self {
        Self { out, length: 0 }
    }

    /// A report of one who sends, and hears `blocks`, of which the first 31 are taken.
    ///
    /// # Errors
    /// When there is no room.
    pub fn sender_report(&mut self, ssrc: u32, sent: &SenderInfo, blocks: &[Block]) -> Result<(), NoRoom> {
        let start = self.begin(SENDER_REPORT, blocks.len().min(31))?;
        self.words(&[ssrc, (sent.ntp.0 >> 32) as u32, sent.ntp.0 as u32, sent.time.0, sent.packets, sent.bytes])?;
        self.blocks(blocks)?;
        self.end(start)
    }

    /// A report of one who only hears `blocks`, of which the first 31 are taken.
    ///
    /// # Errors
    /// When there is no room.
    pub fn receiver_report(&mut self, ssrc: u32, blocks: &[Block]) -> Result<(), NoRoom> {
        let start = self.begin(RECEIVER_REPORT, blocks.len().min(31))?;
        self.words(&[ssrc])?;
        self.blocks(blocks)?;
        self.end(start)
    }

    /// The name of a source, of which the first 255 bytes are taken.
    ///
    /// # Errors
    /// When there is no room.
    pub fn description(&mut self, ssrc: u32, cname: &str) -> Result<(), NoRoom> {
        let start = self.begin(DESCRIPTION, 1)?;
        let text = &cname.as_bytes()[..cname.floor_char_boundary(255)];
        self.words(&[ssrc])?;
        self.bytes(&[CNAME, text.len() as u8])?;
        self.bytes(text)?;
        // At least one zero ends the list, then the word is filled.
        let zeros = 4 - (self.length - start) % 4;
        self.bytes(&[0; 4][..zeros])?;
        self.end(start)
    }

    /// A source leaves.
    ///
    /// # Errors
    /// When there is no room.
    pub fn goodbye(&mut self, ssrc: u32) -> Result<(), NoRoom> {
        let start = self.begin(GOODBYE, 1)?;
        self.words(&[ssrc])?;
        self.end(start)
    }

    /// Bytes written.
    pub fn length(&self) -> usize {
        self.length
    }

    fn begin(&mut self, packet_type: u8, count: usize) -> Result<usize, NoRoom> {
        let start = self.length;
        self.bytes(&[0x80 | count as u8, packet_type, 0, 0])?;
        Ok(start)
    }

    fn end(&mut self, start: usize) -> Result<(), NoRoom> {
        let words = ((self.length - start) / 4 - 1) as u16;
        self.out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
        Ok(())
    }

    fn blocks(&mut self, blocks: &[Block]) -> Result<(), NoRoom> {
        for block in blocks.iter().take(31) {
            let lost = block.lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
            self.words(&[
                block.ssrc,
                u32::from(block.fraction_lost) << 24 | lost,
                block.highest,
                block.jitter,
                block.last_report,
                block.since_last_report,
            ])?;
        }
        Ok(())
    }

    fn words(&mut self, words: &[u32]) -> Result<(), NoRoom> {
        words.iter().try_for_each(|word| self.bytes(&word.to_be_bytes()))
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        let room = self.out.get_mut(self.length..self.length + bytes.len()).ok_or(NoRoom)?;
        room.copy_from_slice(bytes);
        self.length += bytes.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block() -> impl Strategy<Value = Block> {
        (any::<[u32; 5]>(), any::<u8>(), -0x80_0000_i32..0x80_0000).prop_map(|(words, fraction_lost, lost)| Block {
            ssrc: words[0],
            fraction_lost,
            lost,
            highest: words[1],
            jitter: words[2],
            last_report: words[3],
            since_last_report: words[4],
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            ssrc: u32,
            info: (u64, u32, u32, u32),
            blocks in prop::collection::vec(block(), 0..=31),
            cname in "[a-zäß@.0-9]{0,40}",
        ) {
            let sent = SenderInfo { ntp: Ntp(info.0), time: RtpTime(info.1), packets: info.2, bytes: info.3 };
            let mut bytes = [0xff; 2_000];
            let mut writer = Writer::new(&mut bytes);
            writer.sender_report(ssrc, &sent, &blocks).unwrap();
            writer.receiver_report(ssrc, &blocks).unwrap();
            writer.description(ssrc, &cname).unwrap();
            writer.goodbye(ssrc).unwrap();
            let length = writer.length();
            let mut packets = Compound::parse(&bytes[..length]).unwrap();
            let Some(Rtcp::SenderReport { ssrc: who, sent: said, blocks: heard }) = packets.next() else { panic!("no SR") };
            prop_assert_eq!((who, said), (ssrc, sent));
            prop_assert_eq!(heard.collect::<Vec<_>>(), blocks.clone());
            let Some(Rtcp::ReceiverReport { blocks: heard, .. }) = packets.next() else { panic!("no RR") };
            prop_assert_eq!(heard.collect::<Vec<_>>(), blocks);
            let Some(Rtcp::Description(names)) = packets.next() else { panic!("no SDES") };
            prop_assert_eq!(names.collect::<Vec<_>>(), vec![(ssrc, Some(cname.as_bytes()))]);
            let Some(Rtcp::Goodbye { sources }) = packets.next() else { panic!("no BYE") };
            prop_assert_eq!(sources.collect::<Vec<_>>(), vec![ssrc]);
            prop_assert_eq!(packets.next(), None);
            prop_assert_eq!(Writer::new(&mut bytes[..27]).sender_report(ssrc, &sent, &[]), Err(NoRoom));
        }

        #[test]
        fn no_bytes_make_it_panic_or_run_on(
            packets in prop::collection::vec((198_u8..206, 0_u8..64, 0_u16..12, prop::collection::vec(any::<u8>(), 0..48)), 1..6),
        ) {
            let mut bytes = Vec::new();
            for (kind, flags, words, body) in packets {
                bytes.extend_from_slice(&[0x80 | flags, kind]);
                bytes.extend_from_slice(&words.to_be_bytes());
                bytes.extend_from_slice(&body);
            }
            if let Ok(compound) = Compound::parse(&bytes) {
                for packet in compound {
                    match packet {
                        Rtcp::SenderReport { blocks, .. } | Rtcp::ReceiverReport { blocks, .. } => prop_assert!(blocks.count() <= 31),
                        Rtcp::Description(names) => prop_assert!(names.count() <= bytes.len()),
                        Rtcp::Goodbye { sources } => prop_assert!(sources.count() <= 31),
                        Rtcp::Other { packet_type } => prop_assert!(!(200..=203).contains(&packet_type)),
                    }
                }
            }
        }
    }

    #[test]
    fn lengths_that_point_outside_are_refused() {
        let refused = |bytes: &[u8]| Compound::parse(bytes).unwrap_err();
        assert_eq!(refused(&[]), BadRtcp::Short);
        assert_eq!(refused(&[0x80, 201, 0]), BadRtcp::Short);
        assert_eq!(refused(&[0x80, 201, 0, 2, 0, 0, 0, 1]), BadRtcp::Short);
        assert_eq!(refused(&[0x81, 201, 0, 1, 0, 0, 0, 1]), BadRtcp::Short, "a block that is not there");
        assert_eq!(refused(&[0x80, 200, 0, 1, 0, 0, 0, 1]), BadRtcp::Short, "no sender's information");
        assert_eq!(refused(&[0x40, 201, 0, 1, 0, 0, 0, 1]), BadRtcp::Version);
        assert_eq!(refused(&[0xa0, 201, 0, 1, 0, 0, 0, 9]), BadRtcp::Padding);
        assert!(Compound::parse(&[0x80, 206, 0, 1, 0, 0, 0, 1]).is_ok(), "feedback alone, RFC 5506");
    }

    #[test]
    fn the_unix_epoch_is_70_years_after_that_of_ntp() {
        let half = UNIX_EPOCH + Duration::from_millis(500);
        assert_eq!(Ntp::at(half).0, 2_208_988_800 << 32 | 1 << 31);
        assert_eq!(Ntp::at(half).middle(), 0x7e80_8000);
    }
}
