//! Hears how a call goes: the tones of exchanges, faxes and voicemails, and when somebody speaks.
//!
//! Every 10 ms the latest 40 ms are measured ([`measure`]): how loud, and whether one frequency or a known pair holds
//! nearly all of it. Equal measures become runs ([`runs`]), whose lengths and order tell the tones ([`cadence`]); what
//! is loud and no tone is a voice ([`voice`]). Tones whose beats are alike in several countries are told by the beat
//! alone. Pure; no allocation after `new`.
//! Sources: ITU-T E.180 and its supplement 2 (cadences), T.30 (fax), Telcordia SR-2275 (special information tones).

mod cadence;
mod measure;
mod runs;
mod voice;

use self::{cadence::Cadence, measure::Measure, runs::Runs, voice::Voice};

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heard {
    /// It rings at the far end; once per ring, 700 ms after it.
    Ringback,
    /// The far end is busy; at the end of the second beat, then once per beat.
    Busy,
    /// The network is busy, or the number cannot be reached: beats twice as fast; from the third on, once per beat.
    Congestion,
    /// The three rising tones of a call that cannot be completed.
    Special,
    /// A fax that calls: its second tone.
    FaxCalling,
    /// A fax or a modem that answers.
    FaxAnswering,
    /// A tone of any kind sounds, as speech would; told again each half second while it does.
    Tone,
    /// A single tone and then silence, as before a recording.
    Beep {
        /// Its frequency.
        hz: u16,
        /// How long it was.
        ms: u16,
    },
    /// Somebody began to speak, so long ago.
    VoiceBegan {
        /// Milliseconds.
        ago_ms: u16,
    },
    /// Nobody speaks any more, since so long ago.
    VoiceEnded {
        /// Milliseconds.
        ago_ms: u16,
    },
}

/// Measures move on by this much.
const HOP_MS: u32 = 10;

/// A measure holds so many hops: 40 ms tell 440 Hz from 480 Hz.
const WINDOW_HOPS: usize = 4;

/// Listens to one stream.
pub struct Progress {
    hop_samples: usize,
    rate_hz: f32,
    /// The latest window, oldest first.
    window: Vec<f32>,
    /// Samples at the end of the window that belong to the hop under way.
    gathered: usize,
    runs: Runs,
    cadence: Cadence,
    voice: Voice,
}

impl Progress {
    /// A listener for a stream at `rate_hz`; rates from 8 kHz hear all of it.
    pub fn new(rate_hz: u32) -> Self {
        let hop_samples = (rate_hz * HOP_MS / 1_000).max(1) as usize;
        Self {
            hop_samples,
            rate_hz: rate_hz as f32,
            window: vec![0.0; hop_samples * WINDOW_HOPS],
            gathered: 0,
            runs: Runs::default(),
            cadence: Cadence::default(),
            voice: Voice::default(),
        }
    }

    /// Takes the next samples and tells what they complete.
    pub fn hear(&mut self, mut samples: &[f32], mut told: impl FnMut(Heard)) {
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(self.hop_samples - self.gathered));
            self.window.copy_within(now.len().., 0);
            let start = self.window.len() - now.len();
            for (slot, sample) in self.window[start..].iter_mut().zip(now) {
                // What is no number is silence.
                *slot = if sample.is_finite() { sample.clamp(-4.0, 4.0) } else { 0.0 };
            }
            self.gathered += now.len();
            samples = later;
            if self.gathered == self.hop_samples {
                self.gathered = 0;
                self.hop(&mut told);
            }
        }
    }

    fn hop(&mut self, told: &mut impl FnMut(Heard)) {
        let newest = &self.window[self.window.len() - self.hop_samples..];
        let Measure { kind, energy } = measure::measure(&self.window, newest, self.rate_hz);
        let kind = self.runs.relative(kind, energy);
        if let Some(ended) = self.runs.hop(kind, energy)
            && let Some(heard) = self.cadence.ended(ended)
        {
            told(heard);
        }
        if let Some(heard) = self.cadence.lasts(self.runs.now(), self.voice.was_heard()) {
            told(heard);
        }
        if let Some(heard) = self.voice.hop(kind, energy, self.runs.now()) {
            told(heard);
        }
    }
}

#[cfg(test)]
mod tests;
