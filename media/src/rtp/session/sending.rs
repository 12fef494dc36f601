//! The half that sends: numbers packets, counts them, and writes the reports on both directions.

use std::{sync::Arc, time::Duration};

use super::{
    super::{
        packet::{Contributors, Packet},
        rtcp::{Block, NoRoom, Ntp, SenderInfo, Writer},
        seq::{Clock, RtpTime, SeqNo},
    },
    Identity, Sent,
    ledger::Ledger,
};
use crate::time::MediaTime;

/// The middle of the time between two reports (RFC 3550 section 6.2); two participants never need longer.
const REPORT_MS: u64 = 5_000;

/// The first report comes after half of it, so that a round trip is known early.
const FIRST_REPORT_MS: u64 = REPORT_MS / 2;

/// A stream is still sent when something of it left within so long: two reports' time.
const SENDING_MS: u64 = 2 * REPORT_MS;

/// Numbers and counts what is sent.
pub struct Sending {
    identity: Identity,
    clock: Clock,
    next_seq: SeqNo,
    sent: Sent,
    last_sent: Option<MediaTime>,
    /// `None` until the time is known.
    report_at: Option<MediaTime>,
    reports: u32,
    /// Restarts of the source, packets expected and received, as the last report said them.
    reported: (u32, u64, u64),
    ledger: Arc<Ledger>,
}

impl Sending {
    pub(super) fn new(identity: Identity, clock: Clock, ledger: Arc<Ledger>) -> Self {
        Self {
            clock,
            next_seq: identity.first_seq,
            identity,
            sent: Sent::default(),
            last_sent: None,
            report_at: None,
            reports: 0,
            reported: (0, 0, 0),
            ledger,
        }
    }

    /// Goes on where `before` stopped, with another clock: the same source, whose numbers must not begin again.
    pub fn follow(&mut self, before: &Self) {
        self.next_seq = before.next_seq;
        (self.sent, self.last_sent) = (before.sent, before.last_sent);
        (self.report_at, self.reports) = (before.report_at, before.reports);
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
        self.sent.packets = self.sent.packets.wrapping_add(1);
        self.sent.bytes = self.sent.bytes.wrapping_add(payload.len() as u32);
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

    /// The share of our packets that the far end missed between its last two reports, 0 to 1; `None` until it
    /// reported on us.
    pub fn far_loss(&self) -> Option<f32> {
        self.ledger.far_loss()
    }

    /// Whether a report is due at `now`. The time until the first begins when this is first asked.
    pub fn is_report_due(&mut self, now: MediaTime) -> bool {
        now >= *self.report_at.get_or_insert(now + Duration::from_millis(FIRST_REPORT_MS))
    }

    /// Writes our report to the front of `out`, says how long it is, and plans the next.
    ///
    /// # Errors
    /// When `out` is too small; 400 bytes are enough for every name.
    pub fn report(&mut self, now: MediaTime, wall: Ntp, out: &mut [u8]) -> Result<usize, NoRoom> {
        self.plan_report(now);
        let mut writer = Writer::new(out);
        self.write_report(now, wall, &mut writer)?;
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

    fn write_report(&mut self, now: MediaTime, wall: Ntp, writer: &mut Writer<'_>) -> Result<(), NoRoom> {
        let block = self.block(now);
        let blocks = block.as_slice();
        let sending = self.last_sent.is_some_and(|last| now.since(last) < Duration::from_millis(SENDING_MS));
        if sending {
            let Sent { packets, bytes } = self.sent;
            let sent = SenderInfo { ntp: wall, time: self.time_of(now), packets, bytes };
            writer.sender_report(self.identity.ssrc, &sent, blocks)?;
        } else {
            writer.receiver_report(self.identity.ssrc, blocks)?;
        }
        writer.description(self.identity.ssrc, &self.identity.cname)
    }

    /// What we say of the stream that we hear.
    fn block(&mut self, now: MediaTime) -> Option<Block> {
        let heard = self.ledger.read()?;
        let (restarts, expected, received) = self.reported;
        let (expected, received) = if restarts == heard.restarts { (expected, received) } else { (0, 0) };
        self.reported = (heard.restarts, heard.expected, heard.received);
        let missed = heard.expected.saturating_sub(expected);
        let lost = missed.saturating_sub(heard.received.saturating_sub(received));
        let since_last_report = match heard.far_report {
            0 => 0,
            _ => {
                let since = now.since(MediaTime::from_ticks(heard.far_report_came));
                u32::try_from(since.as_nanos() * 65_536 / 1_000_000_000).unwrap_or(u32::MAX)
            }
        };
        Some(Block {
            ssrc: heard.ssrc,
            fraction_lost: (lost * 256).checked_div(missed).unwrap_or(0).min(255) as u8,
            lost: (heard.expected as i64 - heard.received as i64).clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest: heard.highest,
            jitter: heard.jitter,
            last_report: heard.far_report,
            since_last_report,
        })
    }

    /// Between a half and one and a half of the usual time, so that a crowd does not report at once (RFC 3550
    /// section 6.3.1). Drawn from what no two ends share.
    fn plan_report(&mut self, now: MediaTime) {
        self.reports = self.reports.wrapping_add(1);
        let mixed = (self.identity.ssrc ^ self.reports.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
        let more = u64::from(mixed >> 16) * REPORT_MS / 65_536;
        self.report_at = Some(now + Duration::from_millis(REPORT_MS / 2 + more));
    }
}
