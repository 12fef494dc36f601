//! Sound that comes in lumps, into a mouth of the graph at the pace at which it is heard.
//!
//! A mouth holds 400 ms; whoever writes more waits. What comes as fast as it can be read (a file) fills it and is
//! slowed down to real time. What comes as it is spoken (a microphone) keeps a small cushion instead, so that a
//! message that is a little late leaves no gap; what piled up after a stall is worked off in pauses of the
//! speech, where nobody misses it. [`Cushion`] decides that and is told what it needs; [`Speaker`] is the shell
//! that waits. Never real time.

use std::time::Duration;

use media::{
    dsp::level::rms_dbfs,
    graph::nodes::playout::{Mouth, Playout, playout},
};
use tokio::time::{MissedTickBehavior, interval};

/// The mouth takes pieces of 10 ms; so do we, so that pieces count time.
const PIECES_PER_SECOND: u32 = 100;

/// How often a full mouth is looked at: in the time of one piece it makes room for one.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How sound comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As it is spoken.
    Spoken,
    /// As fast as it is taken.
    Taken,
}

/// Nobody plays it any more: the leg has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody plays it any more")]
pub struct Abandoned;

/// The writing end of a leg's voice.
pub struct Speaker {
    mouth: Mouth,
    /// What is not yet a whole piece.
    piece: Vec<f32>,
    piece_samples: usize,
    cushion: Option<Cushion>,
    /// Whole pieces that the cushion holds back.
    held: Vec<f32>,
}

impl Speaker {
    /// A source at `rate_hz`, which divides into pieces of 10 ms, and its speaker.
    pub fn new(rate_hz: u32, pace: Pace) -> (Playout, Self) {
        let (playout, mouth) = playout(rate_hz);
        let piece_samples = (rate_hz / PIECES_PER_SECOND) as usize;
        let cushion = (pace == Pace::Spoken).then(Cushion::default);
        (playout, Self { mouth, piece: Vec::with_capacity(piece_samples), piece_samples, cushion, held: Vec::new() })
    }

    /// Speaks `samples` on behalf of `turn`, waiting while the mouth is full.
    ///
    /// # Errors
    /// [`Abandoned`] when the leg has left.
    pub async fn speak(&mut self, turn: u64, mut samples: &[f32]) -> Result<(), Abandoned> {
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(self.piece_samples - self.piece.len()));
            self.piece.extend_from_slice(now);
            samples = later;
            if self.piece.len() == self.piece_samples {
                self.on_piece(turn).await?;
                self.piece.clear();
            }
        }
        Ok(())
    }

    /// Speaks what is held back, and asks for [`media::graph::node::Event::MarkPlayed`] with `id` when all of it
    /// has been heard.
    ///
    /// # Errors
    /// [`Abandoned`] when the leg has left.
    pub async fn mark(&mut self, turn: u64, id: u64) -> Result<(), Abandoned> {
        let mut rest = std::mem::take(&mut self.held);
        rest.append(&mut self.piece);
        self.write(turn, &rest).await?;
        let mut look = looks();
        while !self.mouth.mark(turn, id) {
            self.wait(&mut look).await?;
        }
        Ok(())
    }

    /// How long what is spoken now waits until it is heard.
    pub fn waiting(&self) -> Duration {
        Duration::from_millis(10) * u32::try_from(self.mouth.queued()).unwrap_or(u32::MAX)
    }

    async fn on_piece(&mut self, turn: u64) -> Result<(), Abandoned> {
        let queued = self.mouth.queued();
        let verdict = match &mut self.cushion {
            Some(cushion) => cushion.admit(queued, rms_dbfs(&self.piece) < QUIET_DBFS),
            None => Verdict::Speak,
        };
        match verdict {
            Verdict::Skip => Ok(()),
            Verdict::Hold => {
                self.held.extend_from_slice(&self.piece);
                Ok(())
            }
            Verdict::Speak => {
                let mut now = std::mem::take(&mut self.held);
                now.extend_from_slice(&self.piece);
                self.write(turn, &now).await
            }
        }
    }

    async fn write(&mut self, turn: u64, samples: &[f32]) -> Result<(), Abandoned> {
        let mut look = None;
        for piece in samples.chunks(self.piece_samples) {
            if self.mouth.is_abandoned() {
                return Err(Abandoned);
            }
            while self.mouth.speak(turn, piece) == 0 {
                if let Some(cushion) = &mut self.cushion {
                    cushion.was_full();
                }
                self.wait(look.get_or_insert_with(looks)).await?;
            }
        }
        Ok(())
    }

    async fn wait(&mut self, look: &mut tokio::time::Interval) -> Result<(), Abandoned> {
        if self.mouth.is_abandoned() {
            return Err(Abandoned);
        }
        look.tick().await;
        Ok(())
    }
}

fn looks() -> tokio::time::Interval {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look
}

/// What is quieter than this is a pause of the speech.
const QUIET_DBFS: f32 = -50.0;

/// Pieces that are gathered before the first is spoken: 40 ms, two messages of a microphone.
const CUSHION_PIECES: usize = 4;

/// Pieces that wait for a while without need: 120 ms are heard as delay.
const TOO_MANY_PIECES: usize = 12;

/// Pieces that must have come while too many waited before any is skipped: a second of them.
const PATIENCE_PIECES: u32 = 100;

/// What becomes of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Speak,
    /// Kept until the cushion is whole.
    Hold,
    /// Left out: a pause that delays what follows.
    Skip,
}

/// Decides what becomes of each piece of a microphone.
#[derive(Debug, Default)]
struct Cushion {
    held: usize,
    /// Pieces that came since too many waited last began, without ever running low.
    late_pieces: u32,
}

impl Cushion {
    /// Decides about a piece that comes while `queued` wait to be played.
    fn admit(&mut self, queued: usize, is_quiet: bool) -> Verdict {
        if queued == 0 {
            self.late_pieces = 0;
            self.held += 1;
            if self.held < CUSHION_PIECES {
                return Verdict::Hold;
            }
        }
        self.held = 0;
        if queued < TOO_MANY_PIECES && self.late_pieces < PATIENCE_PIECES {
            self.late_pieces = 0;
            return Verdict::Speak;
        }
        if queued <= CUSHION_PIECES {
            self.late_pieces = 0;
            return Verdict::Speak;
        }
        self.late_pieces = self.late_pieces.saturating_add(1);
        if self.late_pieces > PATIENCE_PIECES && is_quiet { Verdict::Skip } else { Verdict::Speak }
    }

    /// Whoever fills the mouth sends faster than anybody speaks: nothing of it is late.
    fn was_full(&mut self) {
        self.late_pieces = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pieces_wait_until_there_is_a_cushion() {
        let mut cushion = Cushion::default();
        let verdicts: Vec<_> = (0..5).map(|n| cushion.admit(if n < 4 { 0 } else { 4 }, false)).collect();
        assert_eq!(verdicts, [Verdict::Hold, Verdict::Hold, Verdict::Hold, Verdict::Speak, Verdict::Speak]);
    }

    #[test]
    fn what_piled_up_after_a_stall_is_worked_off_in_pauses_and_only_there() {
        let mut cushion = Cushion::default();
        let mut queued = 30;
        let (mut skipped, mut skipped_loud) = (0, 0);
        for n in 0..1_000 {
            let is_quiet = n % 100 >= 80;
            match cushion.admit(queued, is_quiet) {
                // One piece is played while one comes.
                Verdict::Skip => {
                    queued -= 1;
                    skipped += 1;
                    skipped_loud += u32::from(!is_quiet);
                }
                Verdict::Speak | Verdict::Hold => {}
            }
        }
        assert_eq!((queued, skipped, skipped_loud), (CUSHION_PIECES, 26, 0));
    }

    #[test]
    fn a_sender_that_fills_the_mouth_loses_nothing() {
        let mut cushion = Cushion::default();
        for n in 0..10_000 {
            assert_eq!(cushion.admit(39, true), Verdict::Speak);
            if n % 10 == 0 {
                cushion.was_full();
            }
        }
    }

    #[test]
    fn lumps_that_run_low_in_between_are_no_delay() {
        let mut cushion = Cushion::default();
        // A quarter of a second at once, four times a second.
        for n in 0..4_000 {
            assert_ne!(cushion.admit(2 + n % 25, true), Verdict::Skip);
        }
    }

    #[tokio::test]
    async fn a_speaker_whose_leg_has_left_does_not_wait() {
        let (playout, mut speaker) = Speaker::new(16_000, Pace::Taken);
        speaker.speak(1, &[0.1; 160]).await.unwrap();
        assert_eq!(speaker.waiting(), Duration::from_millis(10));
        drop(playout);
        assert_eq!(speaker.speak(1, &[0.1; 16_000]).await, Err(Abandoned));
        assert_eq!(speaker.mark(1, 1).await, Err(Abandoned));
    }
}
