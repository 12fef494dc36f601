//! How often a growing window is worth decoding again, from what decoding costs on this machine now.

use std::time::Duration;

use media::frame::EAR_HZ;

use super::HZ;

/// What a decode costs on this machine now, and so how often one is affordable.
pub(super) struct Pace {
    /// Seconds of decoding per second of window.
    cost_per_s: f32,
}

impl Default for Pace {
    /// A guess until the first decode: Moonshine tiny on a small server.
    fn default() -> Self {
        Self { cost_per_s: 0.03 }
    }
}

impl Pace {
    pub(super) fn learn(&mut self, samples: u64, cost: Duration) {
        let window_s = (samples as f32 / EAR_HZ as f32).max(0.2);
        let seen = cost.as_secs_f32() / window_s;
        self.cost_per_s += 0.2 * (seen.clamp(0.001, 10.0) - self.cost_per_s);
    }

    /// Samples of new audio after which a window of `samples` is worth decoding again.
    pub(super) fn step(&self, samples: u64) -> u64 {
        let cost_s = self.cost_per_s * samples as f32 / EAR_HZ as f32;
        ((cost_s / CPU_SHARE * EAR_HZ as f32) as u64).clamp(PARTIAL_STEP_MIN, PARTIAL_STEP_MAX)
    }
}

/// New audio between two partials, at least: a faster reader sees no difference.
pub(super) const PARTIAL_STEP_MIN: u64 = HZ * 128 / 1000;

/// And at most, however slow the machine: beyond this a transcript feels dead.
const PARTIAL_STEP_MAX: u64 = 2 * HZ;

/// Share of one core that the partials of one speaking stream may take.
const CPU_SHARE: f32 = 0.10;
