//! Noise as that of a quiet room: white, rolled off towards the top.
//!
//! Equal seeds hiss alike. Plain arithmetic; no allocation.

/// How much of the last sample stays in the next: a gentle roll-off.
const SMOOTHING: f32 = 0.7;

/// Makes white noise in [-1, 1], rolled off by [`SMOOTHING`], as loud as a factor says (rms 1 at factor 1):
/// variance 1/3 of the uniform, times (1 - a) / (1 + a) of the roll-off.
const LOUDNESS: f32 = 4.123_106;

/// Noise without end.
#[derive(Clone, Debug)]
pub struct Noise {
    seed: u64,
    last: f32,
}

impl Noise {
    /// Noise from `seed`.
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero for ever.
        Self { seed: seed | 1, last: 0.0 }
    }

    /// The next sample, of a noise whose root mean square is 1.
    pub fn sample(&mut self) -> f32 {
        // Xorshift: a handful of instructions, and nobody bets on it.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let white = (self.seed >> 40) as f32 / 8_388_608.0 - 1.0;
        self.last = SMOOTHING * self.last + (1.0 - SMOOTHING) * white;
        self.last * LOUDNESS
    }
}
