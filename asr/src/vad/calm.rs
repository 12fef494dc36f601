//! Knows a quiet room when it hears one, so that silence need not be scored.
//!
//! Pure. Once a stream has been scored as silent for a while, a window that is no louder than the room has
//! been is taken for more of the same; every eighth is scored all the same. An open line then costs a tenth
//! of what scoring every window costs. Speech raises the level from its first sound, so nothing is missed.

/// What a stream's quiet sounds like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calm {
    /// Level of the room, as root mean square.
    floor: f32,
    /// Windows scored as silence in a row.
    silent_windows: u32,
    skipped: u32,
}

impl Calm {
    /// Whether a window of this level may go unscored while nobody speaks.
    pub fn may_skip(&self, rms: f32) -> bool {
        rms < DIGITAL_SILENCE
            || (self.silent_windows >= SURE_WINDOWS && self.skipped < SKIP_MAX && rms <= self.floor * LOUDER_MAX)
    }

    /// Takes a window's level and its score, if it was scored.
    pub fn heard(&mut self, rms: f32, speech: Option<f32>) {
        match speech {
            None => self.skipped += 1,
            Some(speech) => {
                self.skipped = 0;
                self.silent_windows = if speech < SURELY_SILENT { self.silent_windows.saturating_add(1) } else { 0 };
            }
        }
        // Falls at once, rises slowly: a room that grows louder is scored until it has been loud for a while.
        self.floor = if rms < self.floor || self.floor == 0.0 { rms } else { self.floor + 0.03 * (rms - self.floor) };
    }
}

/// −90 dBFS: below the last bit of 16-bit audio. Nobody can be heard in it.
const DIGITAL_SILENCE: f32 = 3.2e-5;

/// 1 s of silence before any window is skipped.
const SURE_WINDOWS: u32 = 31;

/// One window in eight is scored whatever it sounds like.
const SKIP_MAX: u32 = 7;

/// 2 dB: steady noise stays within it (0.3 dB deviation over 512 samples), the softest word does not.
const LOUDER_MAX: f32 = 1.26;

/// A score below which nobody is speaking, not even perhaps.
const SURELY_SILENT: f32 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    fn calm_room() -> Calm {
        let mut calm = Calm::default();
        for _ in 0..40 {
            calm.heard(0.001, Some(0.02));
        }
        calm
    }

    #[test]
    fn a_quiet_room_is_scored_one_window_in_eight() {
        let mut calm = calm_room();
        let scored = (0..80).filter(|_| {
            let skip = calm.may_skip(0.001);
            calm.heard(0.001, (!skip).then_some(0.02));
            !skip
        });
        assert_eq!(scored.count(), 10);
    }

    #[test]
    fn anything_louder_than_the_room_is_scored() {
        assert!(!calm_room().may_skip(0.0015));
    }

    #[test]
    fn a_doubtful_score_ends_the_calm() {
        let mut calm = calm_room();
        calm.heard(0.001, Some(0.3));
        assert!(!calm.may_skip(0.001));
    }

    #[test]
    fn digital_silence_is_never_scored() {
        assert!(Calm::default().may_skip(0.0));
    }
}
