//! How loud it is: one input, nothing out, a report each 100 ms.
//!
//! Ten reports a second are what a meter needs; more would only fill the ring of reports.

use crate::{
    frame::Format,
    graph::{
        TICKS_PER_SECOND,
        node::{Event, Inputs, Node, Outputs, Ports, Status, Tick},
    },
};

/// Ticks that one report covers.
const REPORT_TICKS: u32 = TICKS_PER_SECOND / 10;

/// Sums that run side by side.
const LANES: usize = 8;

/// Measures what it is fed.
pub struct Level {
    format: Format,
    ticks: u32,
    samples: usize,
    energy: f64,
    peak: f32,
}

impl Level {
    /// A meter for `format`.
    pub fn new(format: Format) -> Self {
        Self { format, ticks: 0, samples: 0, energy: 0.0, peak: 0.0 }
    }
}

impl Node for Level {
    fn ports(&self) -> Ports {
        Ports::sink(self.format)
    }

    fn process(&mut self, tick: &mut Tick<'_>, inputs: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        let samples = inputs.samples(0);
        self.ticks += 1;
        self.samples += samples.len();
        if !inputs.is_silent(0) {
            let (energy, peak) = measure(samples);
            self.energy += f64::from(energy);
            self.peak = self.peak.max(peak);
        }
        if self.ticks == REPORT_TICKS {
            let rms_dbfs = (10.0 * (self.energy / self.samples as f64).log10()) as f32;
            tick.report(Event::Level { rms_dbfs, peak_dbfs: 20.0 * self.peak.log10() });
            *self = Self::new(self.format);
        }
        Status::Silent
    }
}

/// The energy and the largest magnitude of one tick, in lanes that the processor takes side by side.
fn measure(samples: &[f32]) -> (f32, f32) {
    let (mut energy, mut peak) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let mut take = |some: &[f32]| {
        for (lane, sample) in some.iter().enumerate() {
            energy[lane] += sample * sample;
            peak[lane] = peak[lane].max(sample.abs());
        }
    };
    let chunks = samples.chunks_exact(LANES);
    let rest = chunks.remainder();
    chunks.for_each(&mut take);
    take(rest);
    (energy.iter().sum(), peak.iter().fold(0.0, |most, peak| most.max(*peak)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{node::mono, nodes::harness::Harness};

    #[test]
    fn a_tenth_of_a_second_makes_one_report_and_silence_is_minus_infinity() {
        let mut harness = Harness::new(Level::new(mono(8_000)));
        for sign in [1.0, -1.0].repeat(5) {
            harness.tick(&[Some(&[0.5 * sign; 80])]);
        }
        for _ in 0..10 {
            harness.tick(&[None]);
        }
        let [Event::Level { rms_dbfs, peak_dbfs }, silence] = harness.events[..] else {
            panic!("{:?}", harness.events)
        };
        assert!((rms_dbfs + 6.0206).abs() < 1e-3 && (peak_dbfs + 6.0206).abs() < 1e-3);
        assert_eq!(silence, Event::Level { rms_dbfs: f32::NEG_INFINITY, peak_dbfs: f32::NEG_INFINITY });
    }
}
