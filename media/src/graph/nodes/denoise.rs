//! Noise suppression by RNNoise: 48 kHz in and out, one tick late.
//!
//! One tick is exactly one frame of the network, whose weights are shared by all nodes. Switched off, the sound
//! passes with the same delay, so that switching (a crossfade of one tick) neither clicks nor jumps.

use std::sync::LazyLock;

use nnnoiseless::{DenoiseState, RnnModel};

use crate::{
    dsp::mix::Ramp,
    frame::MOUTH_HZ,
    graph::{
        node::{Control, Inputs, Node, Outputs, Ports, Status, Tick, mono},
        notes::Described,
    },
};

const FRAME_SAMPLES: usize = DenoiseState::FRAME_SIZE;

/// The network was trained on samples of this scale.
const SCALE: f32 = 32_768.0;

/// After so much silence, 200 ms, the network has nothing left to say and rests.
const SETTLED_TICKS: u32 = 20;

/// One input, one output.
pub struct Denoise {
    state: Box<DenoiseState<'static>>,
    /// How much of the output is cleaned.
    wet: Ramp,
    last: [f32; FRAME_SAMPLES],
    scaled: [f32; FRAME_SAMPLES],
    cleaned: [f32; FRAME_SAMPLES],
    silent_ticks: u32,
}

impl Denoise {
    /// A suppressor that is on.
    pub fn new() -> Self {
        static MODEL: LazyLock<RnnModel> = LazyLock::new(RnnModel::default);
        Self {
            state: DenoiseState::with_model(&MODEL),
            wet: Ramp::resting(1.0),
            last: [0.0; FRAME_SAMPLES],
            scaled: [0.0; FRAME_SAMPLES],
            cleaned: [0.0; FRAME_SAMPLES],
            silent_ticks: 0,
        }
    }
}

/// Makes what the network keeps per thread (the plans of its transforms), so that its first tick allocates nothing.
pub fn warm_up() {
    let mut denoise = Denoise::new();
    denoise.state.process_frame(&mut denoise.cleaned, &denoise.scaled);
}

impl Default for Denoise {
    fn default() -> Self {
        Self::new()
    }
}

impl Node for Denoise {
    fn ports(&self) -> Ports {
        Ports::through(mono(MOUTH_HZ))
    }

    fn describe(&self) -> Described {
        Described::Denoise
    }

    fn process(&mut self, _: &mut Tick<'_>, inputs: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        self.silent_ticks = if inputs.is_silent(0) { self.silent_ticks.saturating_add(1) } else { 0 };
        if self.silent_ticks > SETTLED_TICKS {
            return Status::Silent;
        }
        let input = inputs.samples(0);
        let output = outputs.samples(0);
        if self.wet.rests_at(0.0) {
            output.copy_from_slice(&self.last);
        } else {
            for (scaled, sample) in self.scaled.iter_mut().zip(input) {
                *scaled = sample * SCALE;
            }
            self.state.process_frame(&mut self.cleaned, &self.scaled);
            for ((out, cleaned), dry) in output.iter_mut().zip(&self.cleaned).zip(&self.last) {
                let wet = self.wet.advance();
                *out = (wet * cleaned / SCALE + (1.0 - wet) * dry).clamp(-1.0, 1.0);
            }
        }
        self.last.copy_from_slice(input);
        Status::Sounding
    }

    fn control(&mut self, control: Control) {
        if let Control::Suppress(is_on) = control {
            self.wet.aim(if is_on { 1.0 } else { 0.0 }, FRAME_SAMPLES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dsp::{level::rms_dbfs, mix, resample::Resampler},
        graph::nodes::{comfort::Comfort, harness::Harness},
    };

    fn noise(samples: usize) -> Vec<f32> {
        Harness::new(Comfort::new(mono(MOUTH_HZ), -40.0, 11)).run(samples.div_ceil(FRAME_SAMPLES))
    }

    /// Half a second of a recording, counted from its start.
    fn half_second(samples: &[f32], index: usize) -> f32 {
        rms_dbfs(&samples[index * 24_000..][..24_000])
    }

    #[test]
    fn noise_in_the_pauses_of_speech_goes_and_speech_stays() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/audio/speech/jfk.wav");
        let Ok(mut recording) = hound::WavReader::open(path) else {
            return println!("skipped: no recording at {path}");
        };
        let speech: Vec<f32> = recording.samples::<i16>().map(|s| f32::from(s.unwrap()) / SCALE).collect();
        let (mut noisy, mut resampler) = (Vec::new(), Resampler::new(16_000, MOUTH_HZ).unwrap());
        resampler.process(&speech, &mut noisy);
        let clean = noisy.clone();
        mix::add(&mut noisy, &noise(clean.len()));
        let cleaned = Harness::new(Denoise::new()).feed(&noisy);
        for pause in [5, 9] {
            let [before, after] = [half_second(&noisy, pause), half_second(&cleaned, pause)];
            assert!(after < before - 15.0, "a pause of {before} dBFS became {after} dBFS");
        }
        for words in [1, 2, 3, 7, 8, 14, 18] {
            let [before, after] = [half_second(&clean, words), half_second(&cleaned, words)];
            assert!((after - before).abs() < 1.0, "words of {before} dBFS became {after} dBFS");
        }
    }

    #[test]
    fn switched_off_it_passes_the_sound_one_tick_late() {
        let noise = noise(9_600);
        let mut harness = Harness::new(Denoise::new());
        harness.feed(&noise[..4_800]);
        harness.control(Control::Suppress(false));
        let passed = harness.feed(&noise[4_800..9_600]);
        assert_eq!(passed[480..], noise[4_800..9_600 - 480]);
    }
}
