//! From one rate to another within the graph: one input, one output, always exactly one tick out for one tick in.
//!
//! The converter works in blocks of its own length, so a small store in front of the output evens them out. Its
//! initial fill, zeros, is the least that never runs dry; it is found by a dry run when the node is made and
//! makes the delay about 20 ms at telephone rates. Resamplers that begin in the same tick convert their blocks in
//! the same ticks ever after; where there are many, half of them should begin one tick into their block. Once the
//! input has been silent for so long that all that is inside is zeros, nothing is computed until it sounds again.

use crate::{
    dsp::resample::{BadRate, Resampler},
    graph::{
        TICKS_PER_SECOND,
        node::{Inputs, Node, Outputs, Ports, Status, Tick, mono, samples_per_tick},
        notes::Described,
    },
};

/// Ticks of the dry run: the blocks of all rates of telephony and the web repeat within half a second.
const DRY_RUN_TICKS: usize = 50;

/// After so many silent ticks the filter (two blocks of at most 20 ms) and the store are silent as well.
const SETTLED_TICKS: u32 = 10;

/// A resampler as a node.
pub struct Resample {
    from_hz: u32,
    to_hz: u32,
    resampler: Resampler,
    store: Vec<f32>,
    silent_ticks: u32,
    delay_samples: usize,
    shift_ticks: usize,
}

impl Resample {
    /// A resampler from `from_hz` to `to_hz`, both multiples of 100 Hz or the graph refuses them.
    pub fn new(from_hz: u32, to_hz: u32) -> Result<Self, BadRate> {
        Self::staggered(from_hz, to_hz, 0)
    }

    /// As [`Resample::new`], but its first block holds `shift_ticks` ticks of silence ahead of the sound and is full
    /// so much earlier. For one tick and the rates of legs, whose blocks are two ticks, this costs no delay.
    pub fn staggered(from_hz: u32, to_hz: u32, shift_ticks: usize) -> Result<Self, BadRate> {
        let mut resampler = Resampler::new(from_hz, to_hz)?;
        let tick_in = vec![0.0; (from_hz / TICKS_PER_SECOND) as usize];
        let tick_out = (to_hz / TICKS_PER_SECOND) as usize;
        let mut made = Vec::new();
        (0..shift_ticks).for_each(|_| resampler.process(&tick_in, &mut made));
        let (mut missing, mut most) = (0, made.len());
        for tick in 1..=DRY_RUN_TICKS {
            let before = made.len();
            resampler.process(&tick_in, &mut made);
            missing = missing.max((tick * tick_out).saturating_sub(made.len()));
            most = most.max(made.len() - before);
        }
        made.clear();
        resampler.flush(&mut made);
        let mut store = Vec::with_capacity(2 * (missing + most + tick_out));
        store.resize(missing, 0.0);
        // What is put in ahead is silence, and so is what comes of it.
        (0..shift_ticks).for_each(|_| resampler.process(&tick_in, &mut store));
        let delay_samples = missing + shift_ticks * tick_out;
        Ok(Self { from_hz, to_hz, resampler, store, silent_ticks: 0, delay_samples, shift_ticks })
    }

    /// How much later the sound leaves than it came, in samples at the output's rate.
    pub fn delay_samples(&self) -> usize {
        self.delay_samples
    }
}

impl Node for Resample {
    fn ports(&self) -> Ports {
        Ports { inputs: vec![mono(self.from_hz)], outputs: vec![mono(self.to_hz)] }
    }

    fn describe(&self) -> Described {
        Described::Resample { from_hz: self.from_hz, to_hz: self.to_hz, shift_ticks: self.shift_ticks }
    }

    fn process(&mut self, _: &mut Tick<'_>, inputs: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        self.silent_ticks = if inputs.is_silent(0) { self.silent_ticks.saturating_add(1) } else { 0 };
        if self.silent_ticks > SETTLED_TICKS {
            return Status::Silent;
        }
        self.resampler.process(inputs.samples(0), &mut self.store);
        let tick_out = samples_per_tick(mono(self.to_hz)).unwrap_or(0).min(self.store.len());
        let output = outputs.samples(0);
        output[..tick_out].copy_from_slice(&self.store[..tick_out]);
        output[tick_out..].fill(0.0);
        self.store.drain(..tick_out);
        Status::Sounding
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::nodes::harness::Harness;

    const RATES_HZ: [u32; 6] = [8_000, 16_000, 24_000, 32_000, 44_100, 48_000];

    fn tone(rate_hz: u32, samples: usize) -> Vec<f32> {
        (0..samples).map(|n| (std::f64::consts::TAU * 440.0 * n as f64 / f64::from(rate_hz)).sin() as f32).collect()
    }

    #[test]
    fn each_tick_in_is_one_tick_out_later_by_the_delay_for_every_pair_of_rates() {
        for (from_hz, to_hz, shift_ticks) in RATES_HZ.iter().flat_map(|&from_hz| {
            RATES_HZ.iter().flat_map(move |&to_hz| [0, 1].map(|shift_ticks| (from_hz, to_hz, shift_ticks)))
        }) {
            let resample = Resample::staggered(from_hz, to_hz, shift_ticks).unwrap();
            let delay = resample.delay_samples();
            assert!(delay <= to_hz as usize * 3 / 100, "{from_hz} -> {to_hz}: {delay}");
            let out = Harness::new(resample).feed(&tone(from_hz, from_hz as usize));
            let expected = tone(to_hz, to_hz as usize);
            let settled = delay + to_hz as usize / 20;
            let error = (settled..out.len()).map(|n| (out[n] - expected[n - delay]).abs()).fold(0.0, f32::max);
            assert!(error < 1e-3, "{from_hz} -> {to_hz}: {error}");
        }
    }

    #[test]
    fn a_shift_of_a_tick_costs_legs_no_delay_and_moves_the_work_to_the_other_ticks() {
        for (from_hz, to_hz) in [(8_000, 48_000), (48_000, 8_000), (8_000, 16_000), (24_000, 16_000), (16_000, 48_000)]
        {
            let [plain, shifted] = [0, 1].map(|shift| Resample::staggered(from_hz, to_hz, shift).unwrap());
            assert_eq!(plain.delay_samples(), shifted.delay_samples());
            let tick_in = vec![0.1; (from_hz / TICKS_PER_SECOND) as usize];
            let works = |resample: Resample| {
                let mut harness = Harness::new(resample);
                (0..6)
                    .map(|_| {
                        let before = harness.node.store.len();
                        let tick = harness.feed(&tick_in).len();
                        harness.node.store.len() + tick > before
                    })
                    .collect::<Vec<_>>()
            };
            let [plain, shifted] = [plain, shifted].map(works);
            assert!(plain.iter().zip(&shifted).all(|(plain, shifted)| plain != shifted), "{plain:?} {shifted:?}");
        }
    }

    #[test]
    fn silence_becomes_silence_and_sound_after_it_keeps_its_delay() {
        let resample = Resample::new(48_000, 8_000).unwrap();
        let delay = resample.delay_samples();
        let mut harness = Harness::new(resample);
        harness.feed(&tone(48_000, 4_800 + 480));
        harness.run(SETTLED_TICKS as usize);
        assert_eq!(harness.run(7), vec![0.0; 7 * 80]);
        assert_eq!(harness.silent(), [true]);
        let out = harness.feed(&tone(48_000, 48_000));
        let expected = tone(8_000, 8_000);
        assert!((delay + 400..8_000).all(|n| (out[n] - expected[n - delay]).abs() < 1e-3));
    }
}
