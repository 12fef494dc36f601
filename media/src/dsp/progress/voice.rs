//! When somebody speaks: sound that is louder than the line's own noise, that varies, and that is no tone.
//!
//! A coarse judge, for the rhythm of a greeting: it costs nothing beside the measures that the tones need. What is
//! said is the recognizer's matter, which has a better one.

use super::{
    HOP_MS, Heard,
    measure::{FLOOR, Kind},
    runs::Run,
};

/// Of the last hops so many must sound for speech to begin: a click or the edge of a tone is shorter.
const BEGIN_HOPS: usize = 10;
const OF_HOPS: usize = 15;

/// So many hops without sound end it: the pauses within words are shorter.
const END_HOPS: u32 = 25;

/// Speech is this much louder than the line (9 dB).
const LOUDER: f32 = 8.0;

/// The beginning of speech varies by this much (6 dB) within 150 ms, noise and hum do not.
const VARIES: f32 = 4.0;

/// The line's noise is the quietest of so many hops, and of as many before: speech has a pause in a second.
const NOISE_HOPS: u32 = 100;

/// No line is noisier than this (-32 dBFS); what is, is somebody.
const NOISE_MAX: f32 = 6e-4;

/// A tone is known as one after so many hops.
const TONE_HOPS: u32 = 5;

/// What is known of whoever is at the far end.
pub(super) struct Voice {
    /// The quietest hop of this second and of the one before.
    quietest: f32,
    quietest_before: f32,
    second_hops: u32,
    /// The energy of the last hop.
    last: f32,
    /// The last hops, the newest last: how loud each was, or zero where it was no speech.
    recent: [f32; OF_HOPS],
    is_speaking: bool,
    /// Hops since the last that sounded.
    quiet_hops: u32,
    was_heard: bool,
}

impl Default for Voice {
    fn default() -> Self {
        Self {
            quietest: f32::MAX,
            quietest_before: f32::MAX,
            second_hops: 0,
            last: 0.0,
            recent: [0.0; OF_HOPS],
            is_speaking: false,
            quiet_hops: 0,
            was_heard: false,
        }
    }
}

impl Voice {
    /// Whether anybody spoke yet.
    pub(super) fn was_heard(&self) -> bool {
        self.was_heard
    }

    /// Takes a hop.
    pub(super) fn hop(&mut self, kind: Kind, energy: f32, run: Run) -> Option<Heard> {
        // Over two hops, so that hum of 50 Hz is as steady as it sounds.
        let level = 0.5 * (energy + std::mem::replace(&mut self.last, energy));
        self.learn(level);
        let noise = self.quietest.min(self.quietest_before).min(NOISE_MAX);
        let is_tone = run.kind.is_tone() && run.hops >= TONE_HOPS;
        let is_loud = level > FLOOR && level > LOUDER * noise;
        // Only what is no tone at all begins speech; within it a vowel may be one frequency for a moment.
        let sounds = is_loud && !is_tone && (self.is_speaking || kind == Kind::Other);
        self.recent.rotate_left(1);
        self.recent[OF_HOPS - 1] = if sounds { level } else { 0.0 };
        self.quiet_hops = if sounds { 0 } else { self.quiet_hops.saturating_add(1) };
        if self.is_speaking { self.until_it_ends() } else { self.until_it_begins() }
    }

    fn until_it_ends(&mut self) -> Option<Heard> {
        if self.quiet_hops < END_HOPS {
            return None;
        }
        self.is_speaking = false;
        self.recent = [0.0; OF_HOPS];
        Some(Heard::VoiceEnded { ago_ms: (self.quiet_hops * HOP_MS) as u16 })
    }

    fn until_it_begins(&mut self) -> Option<Heard> {
        let mut loud = self.recent;
        loud.sort_unstable_by(f32::total_cmp);
        let first_loud = loud.iter().position(|level| *level > 0.0)?;
        let count = OF_HOPS - first_loud;
        // The very faintest may be half a hop of something that is steady otherwise.
        if count < BEGIN_HOPS || loud[OF_HOPS - 1] < VARIES * loud[first_loud + 1] {
            return None;
        }
        (self.is_speaking, self.was_heard) = (true, true);
        let first = self.recent.iter().position(|level| *level > 0.0)?;
        Some(Heard::VoiceBegan { ago_ms: ((OF_HOPS - first) as u32 * HOP_MS) as u16 })
    }

    fn learn(&mut self, level: f32) {
        self.quietest = self.quietest.min(level);
        self.second_hops += 1;
        if self.second_hops == NOISE_HOPS {
            self.second_hops = 0;
            self.quietest_before = std::mem::replace(&mut self.quietest, f32::MAX);
        }
    }
}
