//! Equal measures, one after the other, become runs.
//!
//! A window that lies across the edge of a tone is neither tone nor silence: such hops belong to the run before, as
//! long as they are few.

use super::measure::Kind;

/// Hops that fit no run and still end none: what a window of 40 ms makes of an edge.
const EDGE_HOPS: u32 = 5;

/// A tone is over when the sound is this much fainter (20 dB), whatever noise the line has.
const FAINTER: f32 = 0.01;

/// A run of equal measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) kind: Kind,
    pub(super) hops: u32,
}

impl Run {
    pub(super) fn ms(self) -> u32 {
        self.hops * super::HOP_MS
    }
}

/// The run under way.
pub(super) struct Runs {
    now: Run,
    /// Hops since that do not fit.
    odd: u32,
    /// What the first of them was like, and how many in a row were like it.
    other: Kind,
    other_hops: u32,
    /// How loud the tone of this run is.
    energy: f32,
}

impl Default for Runs {
    fn default() -> Self {
        Self { now: Run { kind: Kind::Quiet, hops: 0 }, odd: 0, other: Kind::Quiet, other_hops: 0, energy: 0.0 }
    }
}

impl Runs {
    /// The run under way.
    pub(super) fn now(&self) -> Run {
        self.now
    }

    /// What `kind` is beside the tone that was heard until now: something far fainter is the silence after it.
    pub(super) fn relative(&self, kind: Kind, energy: f32) -> Kind {
        if self.energy > 0.0 && energy < FAINTER * self.energy { Kind::Quiet } else { kind }
    }

    /// Takes a hop; the run that it ends, if it ends one.
    pub(super) fn hop(&mut self, kind: Kind, energy: f32) -> Option<Run> {
        if kind.is_like(self.now.kind) {
            self.now.hops += 1 + self.odd;
            self.odd = 0;
            self.other_hops = 0;
            if let (Kind::Single(mean), Kind::Single(hz)) = (&mut self.now.kind, kind) {
                *mean += 0.1 * (hz - *mean);
            }
            self.settle(kind, energy);
            return None;
        }
        self.odd += 1;
        self.other_hops = if kind.is_like(self.other) { self.other_hops + 1 } else { 1 };
        self.other = kind;
        let begins = match kind {
            // Silence begins at once, speech when it has outlasted an edge, a tone when three windows agree.
            Kind::Quiet => true,
            Kind::Other => self.odd >= EDGE_HOPS,
            _ => self.other_hops >= 3,
        };
        if !begins {
            return None;
        }
        let edge = self.odd - self.other_hops.min(self.odd);
        let mut ended = self.now;
        // The edge of a tone that gives way to another tone belongs to the former.
        ended.hops += edge;
        self.now = Run { kind, hops: self.other_hops.min(self.odd) };
        self.odd = 0;
        self.other_hops = 0;
        if !matches!(kind, Kind::Quiet) {
            self.energy = 0.0;
        }
        self.settle(kind, energy);
        Some(ended)
    }

    fn settle(&mut self, kind: Kind, energy: f32) {
        if kind.is_tone() {
            self.energy = self.energy.max(energy);
        } else if kind == Kind::Quiet && self.now.hops > 100 {
            // After a second of silence the tone before it is no measure any more.
            self.energy = 0.0;
        }
    }
}
