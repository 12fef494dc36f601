//! Louder, softer, mute: one input, one output, a level that changes over one tick so that it never clicks.

use crate::{
    dsp::mix::{self, Ramp},
    frame::Format,
    graph::{
        node::{Control, Inputs, Node, Outputs, Ports, Status, Tick, samples_per_tick},
        notes::{self, Described},
    },
};

/// A factor on everything that passes.
pub struct Gain {
    format: Format,
    ramp: Ramp,
}

impl Gain {
    /// A gain of `db`; minus infinity is mute.
    pub fn new(format: Format, db: f32) -> Self {
        Self::by_factor(format, mix::factor(db))
    }

    /// A gain that multiplies by `factor`.
    pub(crate) fn by_factor(format: Format, factor: f32) -> Self {
        Self { format, ramp: Ramp::resting(factor) }
    }
}

impl Node for Gain {
    fn ports(&self) -> Ports {
        Ports::through(self.format)
    }

    fn describe(&self) -> Described {
        Described::Gain { format: notes::format(self.format), factor: self.ramp.target().to_bits() }
    }

    fn process(&mut self, _: &mut Tick<'_>, inputs: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        let output_len = inputs.samples(0).len();
        if inputs.is_silent(0) || self.ramp.rests_at(0.0) {
            // The ramp moves on where nobody hears it.
            (0..output_len).for_each(|_| _ = self.ramp.advance());
            return Status::Silent;
        }
        let output = outputs.samples(0);
        if self.ramp.rests_at(1.0) {
            output.copy_from_slice(inputs.samples(0));
        } else {
            for (out, sample) in output.iter_mut().zip(inputs.samples(0)) {
                *out = sample * self.ramp.advance();
            }
        }
        Status::Sounding
    }

    fn control(&mut self, control: Control) {
        if let Control::Gain(db) = control {
            self.ramp.aim(mix::factor(db), samples_per_tick(self.format).unwrap_or(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{node::mono, nodes::harness::Harness};

    #[test]
    fn muting_takes_one_tick_without_a_click_and_then_is_silence() {
        let mut harness = Harness::new(Gain::new(mono(8_000), 0.0));
        let loud = [0.5; 80];
        assert_eq!(harness.feed(&loud), loud);
        harness.control(Control::Gain(f32::NEG_INFINITY));
        let fading = harness.feed(&loud);
        assert!(fading.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.01 && pair[1] < pair[0]), "{fading:?}");
        assert_eq!(harness.feed(&loud), [0.0; 80]);
        assert_eq!(harness.silent(), [true]);
        harness.control(Control::Gain(-6.0206));
        harness.feed(&loud);
        assert!(harness.feed(&loud).iter().all(|s| (s - 0.25).abs() < 1e-4));
    }
}
