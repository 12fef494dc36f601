//! The half that hears: judges where packets come from, counts them, and takes what the far end reports.

use std::{sync::Arc, time::Duration};

use super::{
    super::{
        packet::Packet,
        quality,
        rtcp::{BadRtcp, Block, Compound, Ntp, Rtcp},
        seq::Clock,
        source::{Arrival, Source},
    },
    Health, Said,
    ledger::{Entry, Ledger},
};
use crate::time::MediaTime;

/// Judges and counts what is heard.
pub struct Hearing {
    our_ssrc: u32,
    clock: Clock,
    source: Source,
    /// The middle of the last sender report's NTP time, and when it came.
    far_report: Option<(u32, MediaTime)>,
    round_trip: Option<Duration>,
    ledger: Arc<Ledger>,
}

impl Hearing {
    pub(super) fn new(our_ssrc: u32, clock: Clock, ledger: Arc<Ledger>) -> Self {
        Self { our_ssrc, clock, source: Source::new(clock), far_report: None, round_trip: None, ledger }
    }

    /// Takes a packet that came at `at`. `None` when its source is not believed, or is ours: an echo of a loop.
    pub fn hear(&mut self, packet: &Packet<'_>, at: MediaTime) -> Option<Arrival> {
        if packet.ssrc == self.our_ssrc {
            return None;
        }
        let arrival = self.source.hear(packet, at)?;
        if arrival.restarted {
            self.far_report = None;
        }
        self.note();
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
                        self.far_report = Some((sent.ntp.middle(), now));
                        self.note();
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
            for block in blocks.filter(|block| block.ssrc == self.our_ssrc) {
                said.report = true;
                self.ledger.write_far_loss(f32::from(block.fraction_lost) / 256.0);
                self.round_trip = round_trip(&block, wall).or(self.round_trip);
            }
        }
        Ok(said)
    }

    /// The source that is believed.
    pub fn ssrc(&self) -> Option<u32> {
        self.source.ssrc()
    }

    /// How the session does.
    pub fn health(&self) -> Health {
        let heard = self.source.counts();
        Health {
            heard,
            jitter_ms: heard.jitter_ticks * 1000.0 / f64::from(self.clock.ticks_hz),
            round_trip: self.round_trip,
            far_loss: self.ledger.far_loss().map(f64::from),
        }
    }

    /// How a listener here would judge what is heard, 1 to 4.5: see [`quality::mos`]. `buffered` is what the
    /// jitter buffer adds, `robustness` how the codec bears loss.
    pub fn mos(&self, buffered: Duration, robustness: quality::Robustness) -> f64 {
        let heard = self.source.counts();
        let loss = heard.lost().max(0) as f64 / heard.expected.max(1) as f64;
        quality::mos(self.round_trip.unwrap_or_default() / 2 + buffered, loss, robustness)
    }

    /// Leaves what was counted for the next report.
    fn note(&self) {
        let Some(ssrc) = self.source.ssrc() else { return };
        let counts = self.source.counts();
        let (far_report, came) = self.far_report.unwrap_or_default();
        self.ledger.write(Entry {
            ssrc,
            highest: self.source.highest(),
            expected: counts.expected,
            received: counts.received,
            jitter: counts.jitter_ticks as u32,
            restarts: counts.restarts,
            far_report,
            far_report_came: came.ticks(),
        });
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
