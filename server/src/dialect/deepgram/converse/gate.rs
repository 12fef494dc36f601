//! Which of the room's sound is sent to a client: all from the first sound of the agent to its last. Pure.
//!
//! A room is never at its end, and a client would play silence for ever. A pause within a turn is sent as it is, so that
//! what is played keeps its rhythm.

/// Frames of silence that are sent behind a sound: a second, which no pause in a sentence is longer than.
const HOLD_FRAMES: u32 = 50;

/// Louder than what rounding leaves, softer than the last bit of 16.
const SILENCE: f32 = 1.0 / 65_536.0;

/// Lets sound pass.
#[derive(Debug, Default)]
pub(in crate::dialect) struct Gate {
    /// Frames of silence that may still pass.
    held: u32,
}

impl Gate {
    /// Whether this frame is sent.
    pub(in crate::dialect) fn passes(&mut self, frame: &[f32]) -> bool {
        if frame.iter().any(|sample| sample.abs() >= SILENCE) {
            self.held = HOLD_FRAMES;
            return true;
        }
        let is_held = self.held > 0;
        self.held = self.held.saturating_sub(1);
        is_held
    }

    /// The agent's turn is over: what follows is silence until it speaks again.
    pub(in crate::dialect) fn close(&mut self) {
        self.held = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_passes_and_what_follows_the_last_sound_does_not() {
        let (sound, silence) = ([0.0, 0.25], [0.0; 2]);
        let mut gate = Gate::default();
        assert!(!gate.passes(&silence), "nobody has spoken");
        assert!(gate.passes(&sound));
        let passed = (0..200).filter(|_| gate.passes(&silence)).count();
        assert_eq!(passed, 50);
        assert!(gate.passes(&sound) && gate.passes(&silence));
        gate.close();
        assert!(!gate.passes(&silence) && gate.passes(&sound));
    }
}
