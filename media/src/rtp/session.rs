//! One end of an RTP session: numbers what is sent, judges what is heard, and keeps both ends informed.
//!
//! Sending and hearing share one value, because a report speaks of both. Told packets, the time and the wall
//! clock; the numbers that a stranger must not guess are given, not drawn. Nothing allocates after `new`.

use std::time::Duration;

use super::{
    packet::{Contributors, Packet},
    quality,
    rtcp::{BadRtcp, Block, Compound, NoRoom, Ntp, Rtcp, SenderInfo, Writer},
    seq::{Clock, RtpTime, SeqNo},
    source::{Arrival, Counts, Source},
};
use crate::time::MediaTime;

/// The middle of the time between two reports (RFC 3550 section 6.2); two participants never need longer.
const REPORT_MS: u64 = 5_000;

/// The first report comes after half of it, so that a round trip is known early.
const FIRST_REPORT_MS: u64 = REPORT_MS / 2;

/// A stream is still sent when something of it left within so long: two reports' time.
const SENDING_MS: u64 = 2 * REPORT_MS;

/// Who we are: all of it fresh from a good generator for each session.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Our source.
    pub ssrc: u32,
    /// The number of our first packet.
    pub first_seq: SeqNo,
    /// The timestamp at the room's beginning.
    pub first_time: RtpTime,
    /// Our name for good; says nothing of a person (RFC 7022).
    pub cname: String,
}

/// What the far end said in a datagram of RTCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// It reported on our stream.
    pub report: bool,
    /// It leaves.
    pub goodbye: bool,
}

/// How the session does, both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Health {
    /// What was counted of what we hear.
    pub heard: Counts,
    /// Interarrival jitter of what we hear, in milliseconds.
    pub jitter_ms: f64,
    /// Time to the far end and back; `None` until it reported on us.
    pub round_trip: Option<Duration>,
    /// The share of our packets that the far end missed between its last two reports, 0 to 1.
    pub far_loss: Option<f64>,
    /// Packets that we sent.
    pub sent_packets: u32,
    /// Bytes of payload that we sent.
    pub sent_bytes: u32,
}

/// One end of a session.
pub struct Session {
    identity: Identity,
    clock: Clock,
    source: Source,
    next_seq: SeqNo,
    sent_packets: u32,
    sent_bytes: u32,
    last_sent: Option<MediaTime>,
    report_at: MediaTime,
    reports: u32,
    reported: (u64, u64),
    far_report: Option<(Ntp, MediaTime)>,
    round_trip: Option<Duration>,
    far_loss: Option<f64>,
}

impl Session {
    /// A session that begins at `now`.
    pub fn new(identity: Identity, clock: Clock, now: MediaTime) -> Self {
        Self {
            source: Source::new(clock),
            clock,
            next_seq: identity.first_seq,
            identity,
            sent_packets: 0,
            sent_bytes: 0,
            last_sent: None,
            report_at: now + Duration::from_millis(FIRST_REPORT_MS),
            reports: 0,
            reported: (0, 0),
            far_report: None,
            round_trip: None,
            far_loss: None,
        }
    }

    /// The timestamp of what is said at `time`.
    pub fn time_of(&self, time: MediaTime) -> RtpTime {
        self.identity.first_time.plus(self.clock.ticks_at(time) as u32)
    }

    /// Numbers the next packet, to be sent at `now`, and counts it. `time` is that of its first sample, or of the
    /// event that it is part of.
    pub fn send<'a>(
        &mut self,
        now: MediaTime,
        time: RtpTime,
        payload_type: u8,
        marker: bool,
        payload: &'a [u8],
    ) -> Packet<'a> {
        let seq = self.next_seq;
        self.next_seq = seq.plus(1);
        self.sent_packets = self.sent_packets.wrapping_add(1);
        self.sent_bytes = self.sent_bytes.wrapping_add(payload.len() as u32);
        self.last_sent = Some(now);
        Packet {
            marker,
            payload_type,
            seq,
            time,
            ssrc: self.identity.ssrc,
            contributors: Contributors::default(),
            extension: None,
            payload,
            padding_bytes: 0,
        }
    }

    /// Takes a packet that came at `at`. `None` when its source is not believed, or is ours: an echo of a loop.
    pub fn hear(&mut self, packet: &Packet<'_>, at: MediaTime) -> Option<Arrival> {
        if packet.ssrc == self.identity.ssrc {
            return None;
        }
        let arrival = self.source.hear(packet, at)?;
        if arrival.restarted {
            self.reported = (0, 0);
            self.far_report = None;
        }
        Some(arrival)
    }

    /// Takes a datagram of RTCP that came at `now`, at the wall time `wall`.
    ///
    /// # Errors
    /// When a length in it does not fit; nothing of it counts then.
    pub fn hear_rtcp(&mut self, bytes: &[u8], now: MediaTime, wall: Ntp) -> Result<Said, BadRtcp> {
        let mut said = Said::default();
        for packet in Compound::parse(bytes)? {
            let blocks = match packet {
                Rtcp::SenderReport { ssrc, sent, blocks } => {
                    if Some(ssrc) == self.source.ssrc() {
                        self.far_report = Some((sent.ntp, now));
                    }
                    blocks
                }
                Rtcp::ReceiverReport { blocks, .. } => blocks,
                Rtcp::Goodbye { mut sources } => {
                    said.goodbye |= sources.any(|source| Some(source) == self.source.ssrc());
                    continue;
                }
                Rtcp::Description(_) | Rtcp::Other { .. } => continue,
            };
            for block in blocks.filter(|block| block.ssrc == self.identity.ssrc) {
                said.report = true;
                self.far_loss = Some(f64::from(block.fraction_lost) / 256.0);
                self.round_trip = round_trip(&block, wall).or(self.round_trip);
            }
        }
        Ok(said)
    }

    /// Whether a report is due at `now`.
    pub fn is_report_due(&self, now: MediaTime) -> bool {
        now >= self.report_at
    }

    /// Writes our report to the front of `out`, says how long it is, and plans the next.
    ///
    /// # Errors
    /// When `out` is too small; 400 bytes are enough for every name.
    pub fn report(&mut self, now: MediaTime, wall: Ntp, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        self.write_report(now, wall, &mut writer)?;
        self.plan_report(now);
        Ok(writer.length())
    }

    /// Writes our last report and goodbye to the front of `out`, and says how long they are.
    ///
    /// # Errors
    /// When `out` is too small.
    pub fn goodbye(&mut self, now: MediaTime, wall: Ntp, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        self.write_report(now, wall, &mut writer)?;
        writer.goodbye(self.identity.ssrc)?;
        Ok(writer.length())
    }

    /// How the session does.
    pub fn health(&self) -> Health {
        let heard = self.source.counts();
        Health {
            heard,
            jitter_ms: heard.jitter_ticks * 1000.0 / f64::from(self.clock.ticks_hz),
            round_trip: self.round_trip,
            far_loss: self.far_loss,
            sent_packets: self.sent_packets,
            sent_bytes: self.sent_bytes,
        }
    }

    /// How a listener here would judge what is heard, 1 to 4.5: see [`quality::mos`]. `buffered` is what the
    /// jitter buffer adds, `robustness` how the codec bears loss.
    pub fn mos(&self, buffered: Duration, robustness: quality::Robustness) -> f64 {
        let heard = self.source.counts();
        let loss = heard.lost().max(0) as f64 / heard.expected.max(1) as f64;
        quality::mos(self.round_trip.unwrap_or_default() / 2 + buffered, loss, robustness)
    }

    fn write_report(&mut self, now: MediaTime, wall: Ntp, writer: &mut Writer<'_>) -> Result<(), NoRoom> {
        let block = self.block(now);
        let blocks = block.as_slice();
        let sending = self.last_sent.is_some_and(|last| now.since(last) < Duration::from_millis(SENDING_MS));
        if sending {
            let sent =
                SenderInfo { ntp: wall, time: self.time_of(now), packets: self.sent_packets, bytes: self.sent_bytes };
            writer.sender_report(self.identity.ssrc, &sent, blocks)?;
        } else {
            writer.receiver_report(self.identity.ssrc, blocks)?;
        }
        writer.description(self.identity.ssrc, &self.identity.cname)
    }

    /// What we say of the stream that we hear.
    fn block(&mut self, now: MediaTime) -> Option<Block> {
        let ssrc = self.source.ssrc()?;
        let counts = self.source.counts();
        let (expected, received) = self.reported;
        self.reported = (counts.expected, counts.received);
        let expected = (counts.expected - expected) as i64;
        let lost = (expected - (counts.received - received) as i64).max(0);
        let (last_report, since_last_report) = self.far_report.map_or((0, 0), |(ntp, came)| {
            let since = now.since(came).as_nanos() * 65_536 / 1_000_000_000;
            (ntp.middle(), u32::try_from(since).unwrap_or(u32::MAX))
        });
        Some(Block {
            ssrc,
            fraction_lost: (lost * 256).checked_div(expected).unwrap_or(0).min(255) as u8,
            lost: counts.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest: self.source.highest(),
            jitter: counts.jitter_ticks as u32,
            last_report,
            since_last_report,
        })
    }

    /// Between a half and one and a half of the usual time, so that a crowd does not report at once (RFC 3550
    /// section 6.3.1). Drawn from what no two ends share.
    fn plan_report(&mut self, now: MediaTime) {
        self.reports = self.reports.wrapping_add(1);
        let mixed = (self.identity.ssrc ^ self.reports.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
        let more = u64::from(mixed >> 16) * REPORT_MS / 65_536;
        self.report_at = now + Duration::from_millis(REPORT_MS / 2 + more);
    }
}

/// The time to the far end and back, by its answer to our report (RFC 3550 section 6.4.1). `None` when it heard
/// none yet, or says what cannot be.
fn round_trip(block: &Block, wall: Ntp) -> Option<Duration> {
    if block.last_report == 0 {
        return None;
    }
    let passed = wall.middle().wrapping_sub(block.last_report).wrapping_sub(block.since_last_report);
    // Anything over a minute is a clock that was set, or a far end that counts wrongly.
    (passed < 60 * 65_536).then(|| Duration::from_nanos(u64::from(passed) * 1_000_000_000 / 65_536))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn ntp(ms: u64) -> Ntp {
        Ntp::at(UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + ms))
    }

    fn end(ssrc: u32) -> Session {
        let identity = Identity {
            ssrc,
            first_seq: SeqNo(65_530),
            first_time: RtpTime(u32::MAX - 500),
            cname: format!("{ssrc}@x"),
        };
        Session::new(identity, Clock::TELEPHONE, MediaTime::ZERO)
    }

    /// Sends `packets` of 20 ms from one end to the other, `way_ms` long; every `lost_in`th is lost.
    fn talk(from: &mut Session, to: &mut Session, packets: u64, way_ms: u64, lost_in: u64) {
        for number in 0..packets {
            let now = MediaTime::from_millis(number * 20);
            let time = from.time_of(now);
            let packet = from.send(now, time, 0, number == 0, &[0xff; 160]);
            if number % lost_in != lost_in - 1 {
                to.hear(&packet, now + Duration::from_millis(way_ms));
            }
        }
    }

    #[test]
    fn both_ends_learn_the_round_trip_and_what_was_lost() {
        let (mut here, mut there) = (end(1), end(2));
        talk(&mut here, &mut there, 500, 30, 10);
        talk(&mut there, &mut here, 500, 30, u64::MAX);
        let mut bytes = [0; 400];
        let at = |ms| MediaTime::from_millis(ms);
        assert!(here.is_report_due(at(10_000)));
        let length = here.report(at(10_000), ntp(10_000), &mut bytes).unwrap();
        assert!(!here.is_report_due(at(12_499)) && here.is_report_due(at(17_501)));
        there.hear_rtcp(&bytes[..length], at(10_030), ntp(10_030)).unwrap();
        let length = there.report(at(10_500), ntp(10_500), &mut bytes).unwrap();
        let said = here.hear_rtcp(&bytes[..length], at(10_530), ntp(10_530)).unwrap();
        assert_eq!(said, Said { report: true, goodbye: false });
        let health = here.health();
        let round_trip = health.round_trip.unwrap().as_secs_f64();
        assert!((round_trip - 0.060).abs() < 0.001, "{round_trip} s");
        assert!((health.far_loss.unwrap() - 0.1).abs() < 0.01);
        assert_eq!((health.sent_packets, health.sent_bytes), (500, 80_000));
        assert_eq!(health.heard.lost(), 0);
        assert_eq!(there.health().heard.lost(), 49, "the last loss is not missed yet");
        assert!(health.jitter_ms < 0.1);
        let robust = quality::Robustness::G711_CONCEALED;
        assert!(here.mos(Duration::from_millis(20), robust) > there.mos(Duration::from_millis(20), robust));
    }

    #[test]
    fn a_second_report_tells_of_the_time_since_the_first() {
        let (mut here, mut there) = (end(1), end(2));
        talk(&mut here, &mut there, 100, 0, 2);
        let mut bytes = [0; 400];
        there.report(MediaTime::ZERO, ntp(0), &mut bytes).unwrap();
        let length = there.report(MediaTime::ZERO, ntp(0), &mut bytes).unwrap();
        here.hear_rtcp(&bytes[..length], MediaTime::ZERO, ntp(0)).unwrap();
        assert_eq!(here.health().far_loss, Some(0.0));
    }

    #[test]
    fn one_who_only_hears_sends_a_receivers_report() {
        let (mut here, mut there) = (end(1), end(2));
        talk(&mut here, &mut there, 10, 0, u64::MAX);
        let mut bytes = [0; 400];
        let length = there.report(MediaTime::from_millis(200), ntp(200), &mut bytes).unwrap();
        assert!(matches!(Compound::parse(&bytes[..length]).unwrap().next(), Some(Rtcp::ReceiverReport { .. })));
        let length = here.report(MediaTime::from_millis(200), ntp(200), &mut bytes).unwrap();
        assert!(matches!(Compound::parse(&bytes[..length]).unwrap().next(), Some(Rtcp::SenderReport { .. })));
    }

    #[test]
    fn a_goodbye_counts_only_from_the_one_who_is_heard() {
        let (mut here, mut there, mut stranger) = (end(1), end(2), end(3));
        talk(&mut there, &mut here, 10, 0, u64::MAX);
        let mut bytes = [0; 400];
        let length = stranger.goodbye(MediaTime::ZERO, ntp(0), &mut bytes).unwrap();
        assert!(!here.hear_rtcp(&bytes[..length], MediaTime::ZERO, ntp(0)).unwrap().goodbye);
        let length = there.goodbye(MediaTime::ZERO, ntp(0), &mut bytes).unwrap();
        assert!(here.hear_rtcp(&bytes[..length], MediaTime::ZERO, ntp(0)).unwrap().goodbye);
        assert!(there.goodbye(MediaTime::ZERO, ntp(0), &mut bytes[..40]).is_err());
    }

    #[test]
    fn an_echo_of_our_own_stream_is_not_heard() {
        let (mut here, mut there) = (end(1), end(2));
        let packet = here.send(MediaTime::ZERO, RtpTime(0), 0, false, &[1]);
        assert!(here.hear(&packet, MediaTime::ZERO).is_none());
        assert!(there.hear(&packet, MediaTime::ZERO).is_some());
    }
}
