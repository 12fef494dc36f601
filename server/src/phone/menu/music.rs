//! Music for somebody who waits: a quiet round of broken chords, made as it is played.
//!
//! Four bars of soft plucked tones, each a sine with two partials that dies away, in C major and its relatives. Made
//! here so that no recording has to be shipped and nobody's licence is asked for. Pure: the same samples every time.

use std::f32::consts::TAU;

/// The tones of each bar, in semitones from A at 220 Hz: C, A minor, F, G.
const BARS: [[i32; 8]; 4] =
    [[3, 7, 10, 15, 10, 7, 10, 7], [0, 3, 7, 12, 7, 3, 7, 3], [-4, 0, 3, 8, 3, 0, 3, 0], [-2, 2, 5, 10, 5, 2, 5, 2]];

/// How long a tone is until the next is plucked.
const STEP_MS: u32 = 320;

/// How long a tone takes to fall to a third.
const DECAY_S: f32 = 0.5;

/// Loud enough to be noticed, soft enough to talk over: about -22 dBFS.
const MAGNITUDE: f32 = 0.09;

/// Tones that sound at once: older ones have died away.
const VOICES: usize = 4;

/// The player.
pub(super) struct Music {
    rate_hz: f32,
    step_samples: u32,
    /// Samples since the last tone was plucked.
    at: u32,
    /// Which tone comes next.
    next: usize,
    voices: [Plucked; VOICES],
}

#[derive(Clone, Copy, Default)]
struct Plucked {
    phase: f32,
    step: f32,
    magnitude: f32,
}

impl Music {
    pub(super) fn new(rate_hz: u32) -> Self {
        let step_samples = rate_hz / 1_000 * STEP_MS;
        Self { rate_hz: rate_hz as f32, step_samples, at: step_samples, next: 0, voices: [Plucked::default(); VOICES] }
    }

    /// Writes what comes next.
    pub(super) fn write(&mut self, output: &mut [f32]) {
        let decay = (-1.0 / (DECAY_S * self.rate_hz)).exp();
        for sample in output {
            if self.at >= self.step_samples {
                self.at = 0;
                self.pluck();
            }
            self.at += 1;
            // Two milliseconds of rise: no click.
            let rise = (self.at as f32 / (0.002 * self.rate_hz)).min(1.0);
            let newest = (self.next + VOICES - 1) % VOICES;
            *sample = 0.0;
            for (index, voice) in self.voices.iter_mut().enumerate() {
                let edge = if index == newest { rise } else { 1.0 };
                let phase = voice.phase * TAU;
                *sample +=
                    edge * voice.magnitude * (phase.sin() + 0.3 * (2.0 * phase).sin() + 0.1 * (3.0 * phase).sin());
                voice.phase = (voice.phase + voice.step).fract();
                voice.magnitude *= decay;
            }
        }
    }

    fn pluck(&mut self) {
        let tones = BARS.as_flattened();
        let semitones = tones[self.next % tones.len()];
        let hz = 220.0 * (semitones as f32 / 12.0).exp2();
        self.voices[self.next % VOICES] = Plucked { phase: 0.0, step: hz / self.rate_hz, magnitude: MAGNITUDE };
        // A multiple of both, so that neither counter jumps.
        self.next = (self.next + 1) % (tones.len() * VOICES);
    }
}

#[cfg(test)]
mod tests {
    use media::dsp::level::rms_dbfs;

    use super::*;

    #[test]
    fn it_goes_on_softly_without_clicks_or_holes() {
        let mut music = Music::new(48_000);
        let mut samples = vec![0.0; 48_000 * 30];
        music.write(&mut samples);
        let steepest = samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        assert!(steepest < 0.05, "a click of {steepest}");
        for second in samples.chunks(48_000) {
            let level = rms_dbfs(second);
            assert!((-30.0..-18.0).contains(&level), "{level} dBFS");
        }
    }
}
