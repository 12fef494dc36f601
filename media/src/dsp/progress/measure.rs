//! What 40 ms of sound are: nothing, one frequency, a known pair, or anything else.

use crate::dsp::detect::{energy_at, frequency, mean_energy};

/// Below this mean energy (-45 dBFS) there is nothing to hear.
pub(super) const FLOOR: f32 = 3.2e-5;

/// One frequency, or a pair, must hold this share of all energy; speech does not for long.
const SHARE: f32 = 0.85;

/// One tone of a pair may be this much stronger than the other (8 dB in energy).
const TWIST: f32 = 6.3;

/// The frequencies that exchanges use alone: 425 Hz, with what a cheap oscillator makes of it.
const EXCHANGE_HZ: std::ops::RangeInclusive<f32> = 408.0..=434.0;

/// What a window holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Quiet,
    /// One frequency that exchanges use.
    Exchange,
    /// Any other single frequency.
    Single(f32),
    /// 440 and 480 Hz, or 400 and 450: it rings.
    RingPair,
    /// 480 and 620 Hz: busy, or the network is.
    BusyPair,
    Other,
}

impl Kind {
    /// Whether both may belong to one run of a tone.
    pub(super) fn is_like(self, other: Self) -> bool {
        match (self, other) {
            (Self::Single(a), Self::Single(b)) => (a - b).abs() <= 0.025 * a.max(b),
            (a, b) => a == b,
        }
    }

    /// Whether it is a tone of any kind.
    pub(super) fn is_tone(self) -> bool {
        !matches!(self, Self::Quiet | Self::Other)
    }
}

/// A window, measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    pub(super) kind: Kind,
    /// The mean energy of its newest hop.
    pub(super) energy: f32,
}

/// Measures a window, whose newest hop says how loud it is now.
pub(super) fn measure(window: &[f32], newest: &[f32], rate_hz: f32) -> Measure {
    let energy = mean_energy(newest);
    let total = mean_energy(window);
    let kind = if energy < FLOOR || total < FLOOR { Kind::Quiet } else { kind_of(window, total, rate_hz) };
    Measure { kind, energy }
}

fn kind_of(window: &[f32], total: f32, rate_hz: f32) -> Kind {
    let hz = frequency(window, rate_hz);
    if energy_at(window, hz, rate_hz) > SHARE * total {
        return if EXCHANGE_HZ.contains(&hz) { Kind::Exchange } else { Kind::Single(hz) };
    }
    let pair = |low_hz, high_hz| {
        let (low, high) = (energy_at(window, low_hz, rate_hz), energy_at(window, high_hz, rate_hz));
        low + high > SHARE * total && low < TWIST * high && high < TWIST * low
    };
    match () {
        () if pair(440.0, 480.0) || pair(400.0, 450.0) => Kind::RingPair,
        () if pair(480.0, 620.0) => Kind::BusyPair,
        () => Kind::Other,
    }
}
