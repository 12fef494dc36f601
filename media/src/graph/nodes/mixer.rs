//! Everybody hears everybody else: N legs in, N sums without one's own voice out, and the sum of all.
//!
//! One input and one output per leg, and one more output, the last, with everybody in it (for a recorder). Each
//! sum is put together from the legs before and the legs after, so one's own voice is never added and taken
//! away again: it is not in there at all, not even as rounding. Three additions per leg and sample. Stateless:
//! when somebody joins or leaves, a new mixer takes over between two ticks without a seam.

use crate::{
    dsp::mix,
    frame::Format,
    graph::{
        node::{Inputs, Node, Outputs, Ports, Status, Tick, samples_per_tick},
        notes::{self, Described},
    },
};

/// N inputs, N + 1 outputs.
pub struct Mixer {
    format: Format,
    legs: usize,
    sum: Vec<f32>,
}

impl Mixer {
    /// A mixer for `legs` legs of the same `format`.
    pub fn new(format: Format, legs: usize) -> Self {
        Self { format, legs, sum: vec![0.0; samples_per_tick(format).unwrap_or(0)] }
    }

    /// The output that carries everybody.
    pub fn everybody(&self) -> usize {
        self.legs
    }
}

impl Node for Mixer {
    fn ports(&self) -> Ports {
        Ports { inputs: vec![self.format; self.legs], outputs: vec![self.format; self.legs + 1] }
    }

    fn describe(&self) -> Described {
        Described::Mixer { format: notes::format(self.format), legs: self.legs }
    }

    fn process(&mut self, _: &mut Tick<'_>, inputs: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        let sounding = (0..self.legs).filter(|&leg| !inputs.is_silent(leg)).count();
        if sounding == 0 {
            return Status::Silent;
        }
        // Forwards: each output begins with the sum of the legs before it.
        self.sum.fill(0.0);
        for leg in 0..self.legs {
            let alone = sounding == 1 && !inputs.is_silent(leg);
            if alone {
                outputs.silence(leg);
            } else {
                outputs.samples(leg).copy_from_slice(&self.sum);
            }
            if !inputs.is_silent(leg) {
                mix::add(&mut self.sum, inputs.samples(leg));
            }
        }
        mix::limit(&mut self.sum);
        outputs.samples(self.legs).copy_from_slice(&self.sum);
        // Backwards: the sum of the legs after it is added.
        self.sum.fill(0.0);
        for leg in (0..self.legs).rev() {
            let silent = inputs.is_silent(leg);
            if sounding > 1 || silent {
                let mixed = outputs.samples(leg);
                mix::add(mixed, &self.sum);
                mix::limit(mixed);
            }
            if !silent {
                mix::add(&mut self.sum, inputs.samples(leg));
            }
        }
        Status::Sounding
    }
}

/// N inputs, one output: everybody, without the cost of leaving each out once.
pub struct Sum {
    format: Format,
    legs: usize,
}

impl Sum {
    /// A sum of `legs` legs of the same `format`.
    pub fn new(format: Format, legs: usize) -> Self {
        Self { format, legs }
    }
}

impl Node for Sum {
    fn ports(&self) -> Ports {
        Ports { inputs: vec![self.format; self.legs], outputs: vec![self.format] }
    }

    fn describe(&self) -> Described {
        Described::Sum { format: notes::format(self.format), legs: self.legs }
    }

    fn process(&mut self, _: &mut Tick<'_>, inputs: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        let mut sounding = (0..self.legs).filter(|&leg| !inputs.is_silent(leg));
        let Some(first) = sounding.next() else { return Status::Silent };
        let sum = outputs.samples(0);
        sum.copy_from_slice(inputs.samples(first));
        sounding.for_each(|leg| mix::add(sum, inputs.samples(leg)));
        mix::limit(sum);
        Status::Sounding
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graph::{
        node::mono,
        nodes::harness::{Harness, TICK_8K},
    };

    fn mix(voices: &[Option<f32>]) -> Vec<Vec<f32>> {
        let mut harness = Harness::new(Mixer::new(mono(8_000), voices.len()));
        let sounds: Vec<_> = voices.iter().map(|voice| voice.map(wave)).collect();
        harness.tick(&sounds.iter().map(Option::as_deref).collect::<Vec<_>>())
    }

    fn wave(level: f32) -> Vec<f32> {
        (0..TICK_8K).map(|n| level * (n as f32 * level * 7.0).sin()).collect()
    }

    proptest! {
        #[test]
        fn mix_minus_never_returns_ones_own_voice(
            voices in prop::collection::vec(prop::option::of(0.01_f32..1.0), 1..8),
            other in prop::option::of(0.01_f32..1.0),
            who in any::<prop::sample::Index>(),
        ) {
            let who = who.index(voices.len());
            let mut changed = voices.clone();
            changed[who] = other;
            // To the last bit: whatever I say, I hear the same.
            prop_assert_eq!(&mix(&voices)[who], &mix(&changed)[who]);
        }

        #[test]
        fn a_sum_is_what_a_mixer_gives_for_everybody(voices in prop::collection::vec(prop::option::of(0.01_f32..1.0), 0..8)) {
            let mut harness = Harness::new(Sum::new(mono(8_000), voices.len()));
            let sounds: Vec<_> = voices.iter().map(|voice| voice.map(wave)).collect();
            let sum = harness.tick(&sounds.iter().map(Option::as_deref).collect::<Vec<_>>());
            let mixed = mix(&voices);
            prop_assert_eq!(sum.last(), mixed.last());
        }

        #[test]
        fn everybody_else_is_heard(voices in prop::collection::vec(prop::option::of(0.01_f32..0.1), 1..8)) {
            let mixed = mix(&voices);
            for (who, mixed) in mixed.iter().enumerate() {
                let mut expected = vec![0.0; TICK_8K];
                for (_, voice) in voices.iter().enumerate().filter(|(leg, _)| *leg != who) {
                    mix::add(&mut expected, &wave(voice.unwrap_or(0.0)));
                }
                prop_assert!(mixed.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6));
            }
        }
    }

    #[test]
    fn a_shouting_crowd_stays_in_range() {
        let mixed = mix(&[Some(1.0); 12]);
        assert!(mixed.iter().flatten().all(|s| s.abs() <= 1.0));
    }

    #[test]
    fn who_speaks_alone_hears_silence_that_is_known_to_be_silence() {
        let mut harness = Harness::new(Mixer::new(mono(8_000), 2));
        harness.tick(&[Some(&wave(0.5)), None]);
        assert_eq!(harness.silent(), [true, false, false]);
    }
}
