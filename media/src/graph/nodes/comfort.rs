//! A quiet hiss where there would be nothing, so that nobody thinks the line is dead.
//!
//! Sound passes untouched; only an input that is known to be silent is replaced. The hiss comes and goes within
//! 20 ms, and is rolled off towards the top as the noise of a room is. Equal seeds hiss alike.

use crate::{
    dsp::{
        mix::{self, Ramp},
        noise::Noise,
    },
    frame::Format,
    graph::node::{Control, Inputs, Node, Outputs, Ports, Status, Tick},
};

/// One input, one output.
pub struct Comfort {
    format: Format,
    factor: f32,
    ramp: Ramp,
    noise: Noise,
}

impl Comfort {
    /// Noise at `dbfs` (rms; -60 is a quiet room), from `seed`.
    pub fn new(format: Format, dbfs: f32, seed: u64) -> Self {
        Self { format, factor: mix::factor(dbfs), ramp: Ramp::resting(0.0), noise: Noise::new(seed) }
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
                *out += self.noise.sample() * self.ramp.advance();
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
