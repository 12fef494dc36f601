//! What the hearing half has counted, for the sending half to report.
//!
//! One writer, one reader, plain numbers: no order between them is needed.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

/// The numbers of a report about what is heard.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    has_source: AtomicBool,
    ssrc: AtomicU32,
    highest: AtomicU32,
    expected: AtomicU64,
    received: AtomicU64,
    jitter: AtomicU32,
    restarts: AtomicU32,
    far_report: AtomicU32,
    far_report_came: AtomicU64,
    has_far_loss: AtomicBool,
    far_loss: AtomicU32,
}

/// A copy of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    pub(super) ssrc: u32,
    pub(super) highest: u32,
    pub(super) expected: u64,
    pub(super) received: u64,
    pub(super) jitter: u32,
    /// How often the source changed: from there on all is counted anew.
    pub(super) restarts: u32,
    /// The middle of the NTP time of the last sender report heard, 0 for none, and when that came, in media ticks.
    pub(super) far_report: u32,
    pub(super) far_report_came: u64,
}

impl Ledger {
    pub(super) fn write(&self, entry: Entry) {
        self.ssrc.store(entry.ssrc, Relaxed);
        self.highest.store(entry.highest, Relaxed);
        self.expected.store(entry.expected, Relaxed);
        self.received.store(entry.received, Relaxed);
        self.jitter.store(entry.jitter, Relaxed);
        self.restarts.store(entry.restarts, Relaxed);
        self.far_report.store(entry.far_report, Relaxed);
        self.far_report_came.store(entry.far_report_came, Relaxed);
        self.has_source.store(true, Relaxed);
    }

    /// What was written last; `None` while nobody is heard.
    pub(super) fn read(&self) -> Option<Entry> {
        self.has_source.load(Relaxed).then(|| Entry {
            ssrc: self.ssrc.load(Relaxed),
            highest: self.highest.load(Relaxed),
            expected: self.expected.load(Relaxed),
            received: self.received.load(Relaxed),
            jitter: self.jitter.load(Relaxed),
            restarts: self.restarts.load(Relaxed),
            far_report: self.far_report.load(Relaxed),
            far_report_came: self.far_report_came.load(Relaxed),
        })
    }

    pub(super) fn write_far_loss(&self, share: f32) {
        self.far_loss.store(share.to_bits(), Relaxed);
        self.has_far_loss.store(true, Relaxed);
    }

    /// The share of our packets that the far end missed lately; `None` until it said so.
    pub(super) fn far_loss(&self) -> Option<f32> {
        self.has_far_loss.load(Relaxed).then(|| f32::from_bits(self.far_loss.load(Relaxed)))
    }
}
