//! Judges where packets come from, unwraps their numbers and counts them (RFC 3550 sections 6.4.1 and A.1, A.3, A.8).
//!
//! One value a stream that is heard. The first source is believed at once, so that its first word is whole;
//! another source, or the same one with numbers that jump, must send two packets in a row before it is: a
//! stray packet never tears the stream. Told each packet and the time; no allocation.

use super::{
    packet::Packet,
    seq::{Clock, SeqNo, SeqUnwrap, TimeUnwrap},
};
use crate::time::MediaTime;

/// The furthest that numbers may jump ahead within one stream: a minute of packets of 20 ms (RFC 3550 A.1).
const MOST_MISSING: i16 = 3_000;

/// The furthest that a packet may lag behind and still be of this stream (RFC 3550 A.1).
const MOST_BEHIND: i16 = 100;

/// A packet of the stream, with numbers that no longer wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Counts packets.
    pub seq: i64,
    /// Ticks of the stream's clock.
    pub time: i64,
    /// When it came.
    pub at: MediaTime,
    /// Whether the numbers begin anew with it: another source, or a jump.
    pub restarted: bool,
}

/// What was counted of the stream since its source was believed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Packets that came, doubled ones included, as RTCP counts.
    pub received: u64,
    /// Packets that should have come.
    pub expected: u64,
    /// The interarrival jitter of RFC 3550, in ticks of the clock.
    pub jitter_ticks: f64,
    /// Packets refused because their source was not believed.
    pub refused: u64,
    /// How often the source or its numbers changed.
    pub restarts: u32,
}

impl Counts {
    /// Packets that are missing; below zero when more came twice than none.
    pub fn lost(&self) -> i64 {
        self.expected as i64 - self.received as i64
    }
}

/// What the receiver of a stream knows of its source.
#[derive(Clone, Debug)]
pub struct Source {
    clock: Clock,
    believed: Option<Believed>,
    trial: Option<(u32, SeqNo)>,
    refused: u64,
    restarts: u32,
}

#[derive(Clone, Debug)]
struct Believed {
    ssrc: u32,
    highest_seen: SeqNo,
    seq: SeqUnwrap,
    time: TimeUnwrap,
    first: i64,
    highest: i64,
    received: u64,
    last: Option<(i64, i64)>,
    jitter_ticks: f64,
}

impl Source {
    /// A stream of which nothing was heard yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, believed: None, trial: None, refused: 0, restarts: 0 }
    }

    /// Takes a packet that came at `at`; `None` when its source is not (yet) believed.
    pub fn hear(&mut self, packet: &Packet<'_>, at: MediaTime) -> Option<Arrival> {
        let follows = self.believed.as_ref().is_some_and(|known| known.follows(packet));
        let mut restarted = false;
        if follows {
            self.trial = None;
        } else {
            if self.believed.is_some() && self.trial != Some((packet.ssrc, packet.seq)) {
                self.trial = Some((packet.ssrc, packet.seq.plus(1)));
                self.refused += 1;
                return None;
            }
            self.trial = None;
            self.restarts += u32::from(self.believed.is_some());
            self.believed = Some(Believed::new(packet));
            restarted = true;
        }
        let known = self.believed.as_mut()?;
        let (seq, time) = known.take(packet, self.clock.ticks_at(at));
        Some(Arrival { seq, time, at, restarted })
    }

    /// The source that is believed.
    pub fn ssrc(&self) -> Option<u32> {
        self.believed.as_ref().map(|known| known.ssrc)
    }

    /// The highest number so far as RTCP says it: wraps counted in the upper half.
    pub fn highest(&self) -> u32 {
        self.believed.as_ref().map_or(0, |known| known.highest as u32)
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { refused: self.refused, restarts: self.restarts, ..Counts::default() };
        if let Some(known) = &self.believed {
            counts.received = known.received;
            counts.expected = (known.highest - known.first + 1).max(0) as u64;
            counts.jitter_ticks = known.jitter_ticks;
        }
        counts
    }
}

impl Believed {
    fn new(packet: &Packet<'_>) -> Self {
        let mut seq = SeqUnwrap::default();
        let first = seq.unwrap(packet.seq);
        Self {
            ssrc: packet.ssrc,
            highest_seen: packet.seq,
            seq,
            time: TimeUnwrap::default(),
            first,
            highest: first,
            received: 0,
            last: None,
            jitter_ticks: 0.0,
        }
    }

    fn follows(&self, packet: &Packet<'_>) -> bool {
        let ahead = packet.seq.since(self.highest_seen);
        packet.ssrc == self.ssrc && (-MOST_BEHIND..MOST_MISSING).contains(&ahead)
    }

    fn take(&mut self, packet: &Packet<'_>, at_ticks: i64) -> (i64, i64) {
        let (seq, time) = (self.seq.unwrap(packet.seq), self.time.unwrap(packet.time));
        if seq > self.highest {
            self.highest = seq;
            self.highest_seen = packet.seq;
        }
        self.received += 1;
        let transit = at_ticks - time;
        // Packets of one event share a timestamp: the time between them says nothing of the network.
        if let Some((last_transit, last_time)) = self.last
            && last_time != time
        {
            let change = (transit - last_transit).abs() as f64;
            self.jitter_ticks += (change - self.jitter_ticks) / 16.0;
        }
        if self.last.is_none_or(|(_, last_time)| last_time != time) {
            self.last = Some((transit, time));
        }
        (seq, time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{packet::Contributors, seq::RtpTime};

    fn packet(ssrc: u32, seq: u16) -> Packet<'static> {
        Packet {
            marker: false,
            payload_type: 0,
            seq: SeqNo(seq),
            time: RtpTime(u32::from(seq).wrapping_mul(160)),
            ssrc,
            contributors: Contributors::default(),
            extension: None,
            payload: &[],
            padding_bytes: 0,
        }
    }

    fn at(packets: u64) -> MediaTime {
        MediaTime::from_millis(packets * 20)
    }

    #[test]
    fn the_first_source_is_believed_at_once_and_a_stray_packet_never() {
        let mut source = Source::new(Clock::TELEPHONE);
        assert!(source.hear(&packet(1, 65_535), at(0)).unwrap().restarted);
        assert!(source.hear(&packet(2, 900), at(1)).is_none());
        let next = source.hear(&packet(1, 0), at(2)).unwrap();
        assert!(!next.restarted);
        assert!(source.hear(&packet(2, 901), at(3)).is_none(), "the believed source spoke in between");
        assert_eq!(source.counts().refused, 2);
        assert_eq!(source.ssrc(), Some(1));
    }

    #[test]
    fn a_new_source_is_believed_with_its_second_packet() {
        let mut source = Source::new(Clock::TELEPHONE);
        source.hear(&packet(1, 10), at(0));
        assert!(source.hear(&packet(2, 500), at(1)).is_none());
        assert!(source.hear(&packet(2, 501), at(2)).unwrap().restarted);
        assert!(!source.hear(&packet(2, 502), at(3)).unwrap().restarted);
        assert_eq!((source.ssrc(), source.counts().restarts), (Some(2), 1));
    }

    #[test]
    fn numbers_that_jump_must_repeat_themselves_before_they_count() {
        let mut source = Source::new(Clock::TELEPHONE);
        source.hear(&packet(1, 10), at(0));
        assert!(source.hear(&packet(1, 20_000), at(1)).is_none());
        assert!(source.hear(&packet(1, 20_001), at(2)).unwrap().restarted);
    }

    #[test]
    fn losses_and_doubles_are_counted_as_rtcp_counts_them() {
        let mut source = Source::new(Clock::TELEPHONE);
        for seq in [65_533_u16, 65_534, 0, 1, 1, 4] {
            source.hear(&packet(1, seq), at(0));
        }
        let counts = source.counts();
        assert_eq!((counts.expected, counts.received, counts.lost()), (8, 6, 2));
        assert_eq!(source.highest() & 0xffff, 4);
    }

    #[test]
    fn an_even_stream_has_no_jitter_and_a_shaken_one_what_it_is_shaken_by() {
        let (mut even, mut shaken) = (Source::new(Clock::TELEPHONE), Source::new(Clock::TELEPHONE));
        for seq in 0..2_000_u16 {
            let late = u64::from(seq % 2) * 10;
            even.hear(&packet(1, seq), at(u64::from(seq)));
            shaken.hear(&packet(1, seq), MediaTime::from_millis(u64::from(seq) * 20 + late));
        }
        assert!(even.counts().jitter_ticks < 1.0);
        // Each packet differs from the one before by 10 ms: 80 ticks.
        assert!((shaken.counts().jitter_ticks - 80.0).abs() < 1.0);
    }
}
