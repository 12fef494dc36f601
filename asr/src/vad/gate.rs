//! Decides from voice-activity scores when somebody speaks: onset, hysteresis, hangover.
//!
//! Pure: told one score per 32 ms window, it answers with edges. It never sees samples; the stream keeps the
//! pre-roll, so that the first sound of a word, which comes before the gate is sure, is not cut off.

/// Samples of one scored window at 16 kHz (32 ms), as Silero takes them.
pub const WINDOW_SAMPLES: usize = 512;

/// Milliseconds of one scored window.
pub const WINDOW_MS: u32 = 32;

/// A score from here on begins speech. Silero's own recommendation; higher loses quiet talkers.
const ONSET: f32 = 0.5;

/// A score below this is silence within speech. The gap to [`ONSET`] keeps a wavering voice in one piece.
const OFFSET: f32 = 0.35;

/// Windows at or above [`ONSET`] that open the gate: 64 ms, so that a click opens nothing and a word is
/// noticed early.
const ONSET_WINDOWS: u32 = 2;

/// Something changed with this window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Speech began, `windows_ago` windows before the end of this one.
    Opened {
        /// At least [`ONSET_WINDOWS`].
        windows_ago: u32,
    },
    /// Silence has lasted for the whole hangover; speech ended `windows_ago` windows before the end of this one.
    Closed {
        /// The hangover, in windows.
        windows_ago: u32,
    },
}

/// The gate of one stream.
#[derive(Clone, Debug)]
pub struct Gate {
    hangover_windows: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Silent { loud_windows: u32 },
    Speaking { quiet_windows: u32 },
}

impl Gate {
    /// A closed gate that closes again after `hangover_ms` of silence (rounded down to windows, at least one:
    /// the score itself trails the voice by about a window).
    pub fn new(hangover_ms: u32) -> Self {
        Self { hangover_windows: (hangover_ms / WINDOW_MS).max(1), state: State::Silent { loud_windows: 0 } }
    }

    /// Takes the score of the next window, 0..=1; anything that is not a number counts as silence.
    pub fn step(&mut self, score: f32) -> Option<Edge> {
        match &mut self.state {
            State::Silent { loud_windows } => {
                if score >= ONSET {
                    *loud_windows += 1;
                } else if score >= OFFSET && *loud_windows > 0 {
                    // A waver inside the onset neither counts nor starts over.
                } else {
                    *loud_windows = 0;
                }
                let windows_ago = *loud_windows;
                (windows_ago >= ONSET_WINDOWS).then(|| {
                    self.state = State::Speaking { quiet_windows: 0 };
                    Edge::Opened { windows_ago }
                })
            }
            State::Speaking { quiet_windows } => {
                // Written so that a score that is not a number is quiet.
                *quiet_windows = if score >= OFFSET { 0 } else { *quiet_windows + 1 };
                (*quiet_windows >= self.hangover_windows).then(|| {
                    self.state = State::Silent { loud_windows: 0 };
                    Edge::Closed { windows_ago: self.hangover_windows }
                })
            }
        }
    }

    /// Whether the gate is open.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Speaking { .. })
    }

    /// Windows of silence since the last speech while the gate is still open; zero while somebody speaks.
    pub fn quiet_windows(&self) -> u32 {
        match self.state {
            State::Speaking { quiet_windows } => quiet_windows,
            State::Silent { .. } => 0,
        }
    }

    /// Whether an onset is being counted or speech is on: a moment at which no score may be skipped.
    pub fn is_busy(&self) -> bool {
        self.state != State::Silent { loud_windows: 0 }
    }

    /// Closes the gate without an edge: the caller already ended the utterance.
    pub fn close(&mut self) {
        self.state = State::Silent { loud_windows: 0 };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edges(gate: &mut Gate, scores: &[f32]) -> Vec<(usize, Edge)> {
        scores.iter().enumerate().filter_map(|(i, &score)| gate.step(score).map(|edge| (i, edge))).collect()
    }

    #[test]
    fn a_click_opens_nothing() {
        assert_eq!(edges(&mut Gate::new(200), &[0.0, 0.9, 0.0, 0.9, 0.1, 0.0]), []);
    }

    #[test]
    fn speech_opens_after_two_windows_and_closes_after_the_hangover() {
        let mut scores = vec![0.1, 0.9, 0.9, 0.8, 0.9];
        scores.extend([0.1; 7]);
        assert_eq!(
            edges(&mut Gate::new(200), &scores),
            [(2, Edge::Opened { windows_ago: 2 }), (10, Edge::Closed { windows_ago: 6 })]
        );
    }

    #[test]
    fn a_pause_shorter_than_the_hangover_closes_nothing() {
        let mut scores = vec![0.9; 4];
        scores.extend([0.1; 5]);
        scores.extend([0.9; 2]);
        assert_eq!(edges(&mut Gate::new(200), &scores).len(), 1);
    }

    #[test]
    fn a_wavering_voice_stays_in_one_piece() {
        let scores: Vec<f32> = (0..100).map(|i| if i % 2 == 0 { 0.55 } else { 0.4 }).collect();
        assert_eq!(edges(&mut Gate::new(200), &scores).len(), 1);
    }

    proptest! {
        #[test]
        fn edges_alternate_whatever_the_scores(scores in prop::collection::vec(prop_oneof![0.0_f32..=1.0, Just(f32::NAN), Just(f32::INFINITY)], 0..400)) {
            let mut gate = Gate::new(200);
            let mut open = false;
            for score in scores {
                match gate.step(score) {
                    Some(Edge::Opened { .. }) => { prop_assert!(!open); open = true; }
                    Some(Edge::Closed { .. }) => { prop_assert!(open); open = false; }
                    None => {}
                }
                prop_assert_eq!(gate.is_open(), open);
            }
        }
    }
}
