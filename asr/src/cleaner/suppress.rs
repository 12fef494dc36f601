//! Noise out of one window by RNNoise, which knows 48 kHz only: up, through the network, down again.
//!
//! Runs on `asr-N` threads within a decode. The network begins anew with every window, so that what it makes of one
//! depends on that one alone.

use std::sync::LazyLock;

use media::{
    dsp::resample::Resampler,
    frame::{EAR_HZ, MOUTH_HZ},
};
use nnnoiseless::{DenoiseState, RnnModel};

const FRAME_SAMPLES: usize = DenoiseState::FRAME_SIZE;

/// The network was trained on samples of this scale.
const SCALE: f32 = 32_768.0;

pub(super) struct Suppressor {
    up: Resampler,
    down: Resampler,
    wide: Vec<f32>,
}

impl Suppressor {
    pub(super) fn new() -> Self {
        let resampler = |from_hz, to_hz| Resampler::new(from_hz, to_hz).expect("both are rates that sound has");
        Self { up: resampler(EAR_HZ, MOUTH_HZ), down: resampler(MOUTH_HZ, EAR_HZ), wide: Vec::new() }
    }

    /// The window with less noise: as long, and every sound where it was.
    pub(super) fn clean(&mut self, audio: &[f32]) -> Vec<f32> {
        static MODEL: LazyLock<RnnModel> = LazyLock::new(RnnModel::default);
        let mut state = DenoiseState::with_model(&MODEL);
        self.wide.clear();
        self.up.process(audio, &mut self.wide);
        self.up.flush(&mut self.wide);
        let samples = self.wide.len();
        // What comes out is one frame late: one more pushes the last out.
        self.wide.resize(samples.next_multiple_of(FRAME_SAMPLES) + FRAME_SAMPLES, 0.0);
        self.wide.iter_mut().for_each(|sample| *sample *= SCALE);
        let mut frame = [0.0; FRAME_SAMPLES];
        for place in self.wide.as_chunks_mut::<FRAME_SAMPLES>().0 {
            state.process_frame(&mut frame, &place[..]);
            *place = frame.map(|sample| sample / SCALE);
        }
        let mut clean = Vec::with_capacity(audio.len());
        self.down.process(&self.wide[FRAME_SAMPLES..FRAME_SAMPLES + samples], &mut clean);
        self.down.flush(&mut clean);
        clean.resize(audio.len(), 0.0);
        // The filter overshoots where the sound is as loud as it can be.
        clean.iter_mut().for_each(|sample| *sample = sample.clamp(-1.0, 1.0));
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_keep_their_length_and_the_same_window_becomes_the_same() {
        let tone: Vec<f32> = (0..16_000).map(|n| 0.2 * (n as f32 * 0.1).sin()).collect();
        let mut suppressor = Suppressor::new();
        let first = suppressor.clean(&tone);
        for samples in [0, 1, 159, 160, 161, 5_000] {
            assert_eq!(suppressor.clean(&tone[..samples]).len(), samples);
        }
        assert_eq!(suppressor.clean(&tone), first);
    }

    #[test]
    fn sound_as_loud_as_can_be_stays_within_full_scale() {
        let loud = [1.0_f32, -1.0, -1.0, 1.0].repeat(1_000);
        assert!(Suppressor::new().clean(&loud).iter().all(|sample| (-1.0..=1.0).contains(sample)));
    }
}
