//! From the mouth to the graph: what was written is played, can be paused and resumed, and flushed at once.
//!
//! The writing end lives with the speech worker and may wait; the node is the reader, so it alone can discard
//! what is queued, and it does so within the tick that follows the order. Sound never stops hard: flush and
//! pause fade for 5 ms out of what would have come. All that is written belongs to a turn, and a flush names the
//! last turn that it means, so a late sentence of a dead turn is dropped however late it comes.

use std::time::Duration;

use crate::{
    dsp::mix::Ramp,
    graph::{
        node::{Control, Event, Inputs, Node, Outputs, Ports, Status, Tick, mono},
        notes::Described,
    },
    journal::Kind,
    ring::{Reader, Writer, ring},
};

/// Samples of a full piece: 10 ms at 48 kHz.
const PIECE_SAMPLES: usize = 480;

/// Pieces between the mouth and the engine: 400 ms at 48 kHz, small so that little is wasted by a barge-in. When
/// it is full the speech worker waits.
const RING_PIECES: usize = 40;

/// Fades take this long: short enough to seem at once, long enough not to click.
pub const FADE: Duration = Duration::from_millis(5);

/// Pieces that one tick takes in at most; a ring full of marks and crumbs must not hold a tick up.
const PIECES_PER_TICK: usize = 2 * RING_PIECES;

/// A node that plays what the mouth writes, at `rate_hz`, and that mouth.
pub fn playout(rate_hz: u32) -> (Playout, Mouth) {
    let (writer, reader) = ring(RING_PIECES);
    let playout = Playout {
        rate_hz,
        ring: reader,
        piece: None,
        played: 0,
        ramp: Ramp::resting(1.0),
        turn: None,
        flushed: None,
        is_sounding: false,
        is_dying: false,
        is_paused: false,
        is_dry: true,
    };
    (playout, Mouth { ring: writer })
}

#[expect(clippy::large_enum_variant, reason = "a box would be freed where it is played; the ring is allocated once")]
enum Piece {
    Sound { turn: u64, len: usize, samples: [f32; PIECE_SAMPLES] },
    Mark { turn: u64, id: u64 },
}

impl Piece {
    fn turn(&self) -> u64 {
        match self {
            Self::Sound { turn, .. } | Self::Mark { turn, .. } => *turn,
        }
    }

    /// Notes that it was taken in this tick.
    fn note(&self, tick: &mut Tick<'_>) {
        let mut head = [0; 9];
        head[0] = u8::from(matches!(self, Self::Mark { .. }));
        head[1..].copy_from_slice(&self.turn().to_le_bytes());
        match self {
            Self::Mark { id, .. } => tick.note(Kind::Sound, [&head, &id.to_le_bytes()]),
            Self::Sound { len, samples, .. } => {
                let mut bytes = [0; 4 * PIECE_SAMPLES];
                for (slot, sample) in bytes.chunks_exact_mut(4).zip(samples) {
                    slot.copy_from_slice(&sample.to_le_bytes());
                }
                tick.note(Kind::Sound, [&head, &bytes[..4 * len]]);
            }
        }
    }
}

/// The writing end.
pub struct Mouth {
    ring: Writer<Piece>,
}

impl Mouth {
    /// Writes as much of `samples` as there is room for, on behalf of `turn`; how many that were.
    pub fn speak(&mut self, turn: u64, samples: &[f32]) -> usize {
        let mut written = 0;
        for now in samples.chunks(PIECE_SAMPLES).take(self.ring.vacant()) {
            let mut piece = [0.0; PIECE_SAMPLES];
            piece[..now.len()].copy_from_slice(now);
            if self.ring.push(Piece::Sound { turn, len: now.len(), samples: piece }).is_err() {
                break;
            }
            written += now.len();
        }
        written
    }

    /// Asks for a report when all that was written has been played; false when there is no room yet.
    pub fn mark(&mut self, turn: u64, id: u64) -> bool {
        self.ring.push(Piece::Mark { turn, id }).is_ok()
    }

    /// How many pieces of at most 480 samples, and marks, wait in the ring: of 10 ms each for whoever writes such
    /// pieces.
    pub fn queued(&self) -> usize {
        RING_PIECES - self.ring.vacant()
    }

    /// Whether the node is gone and nothing will be played any more.
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }
}

/// Nothing in, one output.
pub struct Playout {
    rate_hz: u32,
    ring: Reader<Piece>,
    piece: Option<Piece>,
    /// Samples of `piece` that have been played.
    played: usize,
    ramp: Ramp,
    /// Whose sound was played last.
    turn: Option<u64>,
    /// The last turn that is dead.
    flushed: Option<u64>,
    /// The last tick ended in sound, so what follows must not stop hard.
    is_sounding: bool,
    /// A dead turn is fading out.
    is_dying: bool,
    is_paused: bool,
    is_dry: bool,
}

impl Playout {
    /// Fills `output` from the queue through the ramp; how many samples there were.
    fn play(&mut self, tick: &mut Tick<'_>, output: &mut [f32]) -> usize {
        let mut filled = 0;
        for _ in 0..PIECES_PER_TICK {
            if self.piece.is_none() {
                (self.piece, self.played) = (self.ring.pop(), 0);
                if let Some(piece) = self.piece.as_ref().filter(|_| tick.is_noted()) {
                    piece.note(tick);
                }
            }
            let Some(turn) = self.piece.as_ref().map(Piece::turn) else { break };
            let is_dead = Some(turn) <= self.flushed;
            if self.is_dying && (!is_dead || self.ramp.rests_at(0.0)) {
                self.end_dying();
            }
            let is_held = self.is_paused && self.ramp.rests_at(0.0);
            match self.piece.as_ref().expect("a turn was found above") {
                Piece::Mark { id, .. } if is_dead => {
                    tick.report(Event::MarkFlushed(*id));
                    self.piece = None;
                }
                Piece::Sound { .. } if is_dead && !self.is_dying => self.piece = None,
                _ if is_held || filled == output.len() => break,
                Piece::Mark { id, .. } => {
                    tick.report(Event::MarkPlayed(*id));
                    self.piece = None;
                }
                Piece::Sound { len, samples, .. } => {
                    self.turn = Some(turn);
                    while filled < output.len() && self.played < *len && !self.ramp.rests_at(0.0) {
                        output[filled] = samples[self.played] * self.ramp.advance();
                        filled += 1;
                        self.played += 1;
                    }
                    if self.played == *len {
                        self.piece = None;
                    }
                }
            }
        }
        filled
    }

    fn end_dying(&mut self) {
        self.is_dying = false;
        self.ramp = Ramp::resting(if self.is_paused { 0.0 } else { 1.0 });
    }

    fn fade_samples(&self) -> usize {
        FADE.as_millis() as usize * self.rate_hz as usize / 1_000
    }
}

impl Node for Playout {
    fn ports(&self) -> Ports {
        Ports::source(mono(self.rate_hz))
    }

    fn describe(&self) -> Described {
        Described::Playout { rate_hz: self.rate_hz }
    }

    fn process(&mut self, tick: &mut Tick<'_>, _: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        let waits = self.piece.is_some() || !self.ring.is_empty();
        if !waits && self.is_dry {
            self.is_sounding = false;
            return Status::Silent;
        }
        let output = outputs.samples(0);
        let filled = self.play(tick, output);
        output[filled..].fill(0.0);
        self.is_sounding = filled == output.len();
        self.is_dry = self.piece.is_none() && self.ring.is_empty();
        if self.is_dry && filled < output.len() {
            if self.is_dying {
                self.end_dying();
            }
            tick.report(Event::Drained);
        } else {
            self.is_dry = false;
        }
        if filled == 0 { Status::Silent } else { Status::Sounding }
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Flush(through) => {
                self.flushed = self.flushed.max(Some(through));
                if self.turn > self.flushed {
                    return;
                }
                // What comes after a flush is a new turn, so a pause ends with the turn that it held.
                self.is_paused = false;
                if self.is_sounding && !self.ramp.rests_at(0.0) {
                    self.is_dying = true;
                    self.ramp.aim(0.0, self.fade_samples());
                } else {
                    self.ramp = Ramp::resting(1.0);
                }
            }
            Control::Pause => {
                self.is_paused = true;
                match (self.is_dying, self.is_sounding) {
                    (true, _) => {}
                    (false, true) => self.ramp.aim(0.0, self.fade_samples()),
                    (false, false) => self.ramp = Ramp::resting(0.0),
                }
            }
            Control::Resume => {
                self.is_paused = false;
                if !self.is_dying {
                    self.ramp.aim(1.0, self.fade_samples());
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graph::nodes::harness::Harness;

    /// 5 ms at 8 kHz.
    const FADE_SAMPLES: usize = 40;

    fn speaking(turn: u64) -> (Harness<Playout>, Mouth) {
        let (playout, mut mouth) = playout(8_000);
        assert_eq!(mouth.speak(turn, &[0.5; 1_600]), 1_600);
        (Harness::new(playout), mouth)
    }

    #[test]
    fn what_was_spoken_is_played_and_its_mark_comes_after_it() {
        let (playout, mut mouth) = playout(8_000);
        let sound: Vec<f32> = (0..1_000).map(|n| n as f32 / 1_000.0).collect();
        assert_eq!(mouth.speak(1, &sound), 1_000);
        assert!(mouth.mark(1, 7));
        let mut harness = Harness::new(playout);
        let mut played = harness.run(12);
        assert_eq!(harness.events, []);
        played.extend(harness.run(3));
        assert_eq!(harness.events, [Event::MarkPlayed(7), Event::Drained]);
        assert_eq!(played[..1_000], sound);
        assert!(played[1_000..].iter().all(|s| *s == 0.0));
    }

    #[test]
    fn after_a_flush_there_is_silence_within_one_tick_plus_the_fade() {
        let (mut harness, mut mouth) = speaking(1);
        assert!(mouth.mark(1, 3));
        assert_eq!(harness.run(2), [0.5; 160]);
        harness.control(Control::Flush(1));
        let fading = harness.run(2);
        assert!(fading[..FADE_SAMPLES].windows(2).all(|pair| pair[0] > pair[1] && pair[0] - pair[1] < 0.02));
        assert!(fading[FADE_SAMPLES..].iter().all(|s| *s == 0.0), "{fading:?}");
        assert_eq!(harness.events, [Event::MarkFlushed(3), Event::Drained]);
    }

    #[test]
    fn a_late_sentence_of_a_dead_turn_is_never_heard_and_the_next_turn_is() {
        let (mut harness, mut mouth) = speaking(1);
        harness.run(2);
        harness.control(Control::Flush(1));
        harness.run(2);
        mouth.speak(1, &[0.5; 80]);
        mouth.speak(2, &[0.25; 80]);
        let played = harness.run(2);
        assert_eq!(played[..80], [0.25; 80]);
    }

    #[test]
    fn a_flush_of_older_turns_leaves_the_one_that_speaks_alone() {
        let (mut harness, _mouth) = speaking(5);
        harness.run(2);
        harness.control(Control::Flush(4));
        assert_eq!(harness.run(2), [0.5; 160]);
    }

    #[test]
    fn a_pause_holds_what_is_queued_and_resuming_loses_nothing() {
        let (playout, mut mouth) = playout(8_000);
        let sound: Vec<f32> = (0..1_600).map(|n| 0.5 + n as f32 / 4_000.0).collect();
        mouth.speak(1, &sound);
        let mut harness = Harness::new(playout);
        harness.run(2);
        harness.control(Control::Pause);
        let paused = harness.run(10);
        assert!(paused[FADE_SAMPLES..].iter().all(|s| *s == 0.0));
        harness.control(Control::Resume);
        let resumed = harness.run(18);
        assert_eq!(resumed[FADE_SAMPLES..1_400], sound[160 + 2 * FADE_SAMPLES..1_600]);
    }

    #[test]
    fn a_flush_while_paused_drops_the_turn_and_ends_the_pause() {
        let (mut harness, mut mouth) = speaking(1);
        harness.run(2);
        harness.control(Control::Pause);
        harness.run(2);
        harness.control(Control::Flush(1));
        assert!(harness.run(2).iter().all(|s| *s == 0.0));
        mouth.speak(2, &[0.25; 80]);
        assert_eq!(harness.run(1), [0.25; 80]);
    }

    proptest! {
        #[test]
        fn whatever_is_ordered_sound_never_stops_hard_and_never_gets_stuck(
            orders in prop::collection::vec((0..5_u8, 0..4_usize), 0..40),
        ) {
            let (playout, mut mouth) = playout(8_000);
            let mut harness = Harness::new(playout);
            let (mut turn, mut last) = (0, 0.0);
            for (order, ticks) in orders {
                match order {
                    0 => harness.control(Control::Pause),
                    1 => harness.control(Control::Resume),
                    2 => {
                        harness.control(Control::Flush(turn));
                        turn += 1;
                    }
                    3 if turn > 0 => harness.control(Control::Flush(turn - 1)),
                    _ => {}
                }
                for _ in 0..ticks {
                    while mouth.speak(turn, &[0.5; 100]) > 0 {}
                    for sample in harness.run(1) {
                        prop_assert!(last - sample < 0.5 / FADE_SAMPLES as f32 + 1e-4, "from {last} to {sample}");
                        last = sample;
                    }
                }
            }
            harness.control(Control::Resume);
            // A ring full of a dead turn takes nothing until the next tick.
            harness.run(1);
            while mouth.speak(turn, &[0.5; 100]) > 0 {}
            prop_assert_eq!(harness.run(3)[160..].to_vec(), vec![0.5; 80]);
        }
    }

    #[test]
    fn a_full_ring_takes_what_fits() {
        let (_playout, mut mouth) = playout(48_000);
        assert_eq!(mouth.speak(1, &[0.1; 48_000]), RING_PIECES * PIECE_SAMPLES);
        assert_eq!(mouth.speak(1, &[0.1; 480]), 0);
        assert!(!mouth.mark(1, 1));
    }
}
