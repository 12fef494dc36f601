//! When a recording was paused, on the room's timeline.
//!
//! A paused stretch is silence of the same length: files stay aligned with each other and with the transcript.
//! Sound reaches the recorder some tens of milliseconds after its time, so a pause is looked up by the time of
//! the sound, not by when the order came. Pure.

use std::collections::VecDeque;

use crate::time::MediaTime;

/// Pauses that are remembered: sound older than the one before last never comes.
const KEPT: usize = 16;

/// The latest pauses.
#[derive(Debug, Default)]
pub(super) struct Pauses(VecDeque<(u64, u64)>);

impl Pauses {
    /// A pause begins.
    pub(super) fn begin(&mut self, at: MediaTime) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back((at.ticks(), u64::MAX));
    }

    /// The pause ends.
    pub(super) fn end(&mut self, at: MediaTime) {
        if let Some((_, end)) = self.0.back_mut() {
            *end = at.ticks();
        }
    }

    /// Whether any of the `samples` from `at` on lie in a pause.
    pub(super) fn touch(&self, at: MediaTime, samples: usize) -> bool {
        let (from, to) = (at.ticks(), at.ticks() + samples as u64);
        self.0.iter().any(|&(start, end)| start < to && from < end)
    }

    /// The samples from `at` on, silent where they lie in a pause.
    pub(super) fn silence(&self, at: MediaTime, samples: &[f32]) -> Vec<f32> {
        let is_paused = |tick: u64| self.0.iter().any(|&(start, end)| (start..end).contains(&tick));
        (at.ticks()..).zip(samples).map(|(tick, &sample)| if is_paused(tick) { 0.0 } else { sample }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_in_a_pause_is_silent() {
        let at = MediaTime::from_ticks;
        let mut pauses = Pauses::default();
        assert!(!pauses.touch(at(0), 1_000_000));
        pauses.begin(at(10));
        assert_eq!(pauses.silence(at(8), &[1.0; 4]), [1.0, 1.0, 0.0, 0.0]);
        pauses.end(at(12));
        pauses.begin(at(14));
        assert_eq!(pauses.silence(at(8), &[1.0; 8]), [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        assert!(!pauses.touch(at(12), 2) && pauses.touch(at(12), 3));
    }
}
