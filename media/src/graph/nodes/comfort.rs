//! A quiet hiss where there would be nothing, so that nobody thinks the line is dead.
//!
//! Sound passes untouched; only an input that is known to be silent is replaced. The hiss comes and goes within
//! 20 ms, and is rolled off towards the top as the noise of a room is. Equal seeds hiss alike.

use crate::{
    dsp::mix::{self, Ramp},
    frame::Format,
    graph::node::{Control, Inputs, Node, Outputs, Ports, Status, Tick},
};

/// How much of the last sample stays in the next: a gentle roll-off.
const SMOOTHING: f32 = 0.7;

/// Makes white noise in [-1, 1], rolled off by [`SMOOTHING`], as loud as a factor says (rms 1 at factor 1):
/// variance 1/3 of the uniform, times (1 - a) / (1 + a) of the roll-off.
const LOUDNESS: f32 = 4.123_106;

/// One input, one output.
pub struct Comfort {
    format: Format,
    factor: f32,
    ramp: Ramp,
    seed: u64,
    last: f32,
}

impl Comfort {
    /// Noise at `dbfs` (rms; -60 is a quiet room), from `seed`.
    pub fn new(format: Format, dbfs: f32, seed: u64) -> Self {
        // Zero would stay zero for ever.
        Self { format, factor: mix::factor(dbfs), ramp: Ramp::resting(0.0), seed: seed | 1, last: 0.0 }
    }

    fn noise(&mut self) -> f32 {
        // Xorshift: a handful of instructions, and nobody bets on it.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let white = (self.seed >> 40) as f32 / 8_388_608.0 - 1.0;
        self.last = SMOOTHING * self.last + (1.0 - SMOOTHING) * white;
        self.last * LOUDNESS
    }
}

impl Node for Comfort {
    fn ports(&self) -> Ports {
        Ports::through(self.format)
    }

    fn process(&mut self, _: &mut Tick<'_>, inputs: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        let is_silent = inputs.is_silent(0);
        let wanted = if is_silent { self.factor } else { 0.0 };
        if is_silent && wanted == 0.0 && self.ramp.rests_at(0.0) {
            return Status::Silent;
        }
        let samples = inputs.samples(0);
        let output = outputs.samples(0);
        output.copy_from_slice(samples);
        if self.ramp.target() != wanted {
            self.ramp.aim(wanted, 2 * samples.len());
        }
        if !(wanted == 0.0 && self.ramp.rests_at(0.0)) {
            for out in output {
                *out += self.noise() * self.ramp.advance();
            }
        }
        Status::Sounding
    }

    fn control(&mut self, control: Control) {
        if let Control::Noise(dbfs) = control {
            self.factor = mix::factor(dbfs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dsp::level::rms_dbfs,
        graph::{node::mono, nodes::harness::Harness},
    };

    #[test]
    fn silence_becomes_noise_of_the_level_asked_for_and_sound_passes() {
        let mut harness = Harness::new(Comfort::new(mono(8_000), -50.0, 7));
        let hiss = harness.run(200);
        let level = rms_dbfs(&hiss[800..]);
        assert!((level + 50.0).abs() < 1.0, "{level}");
        harness.feed(&[0.5; 80 * 8]);
        assert_eq!(harness.feed(&[0.5; 80]), [0.5; 80]);
    }

    #[test]
    fn equal_seeds_hiss_alike() {
        let run = |seed| Harness::new(Comfort::new(mono(8_000), -50.0, seed)).run(10);
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(5));
    }
}
