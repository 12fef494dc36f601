//! The pauses of one stream, for streams that ask whether the speaker is done or only takes a breath.
//!
//! Pure. Keeps the last 8 s of sound, which is what a score is about. Each pause is asked about once, when it has
//! lasted long enough; when somebody speaks again, a question not yet taken is dropped, and an answer that comes
//! later is thrown away.

use std::{collections::VecDeque, time::Instant};

use super::Listener;
use crate::{
    event::{Event, UtteranceId},
    turn::SCORED_SAMPLES,
    vad::gate::{Edge, WINDOW_MS, WINDOW_SAMPLES},
};

pub(super) struct Turns {
    after_windows: u32,
    sound: VecDeque<f32>,
    /// Whether the silence that is on has been asked about.
    is_asked: bool,
    wanted: Option<Pause>,
    in_flight: Option<Question>,
}

/// A silence that began while the gate was open.
struct Pause {
    utterance: UtteranceId,
    /// Where the speech before it ended.
    ended: u64,
    /// When it had lasted long enough.
    since: Instant,
}

struct Question {
    job: u64,
    /// `None` when somebody spoke again before the answer came.
    pause: Option<Pause>,
}

impl Turns {
    pub(super) fn new(after_ms: u32) -> Self {
        Self {
            after_windows: after_ms.clamp(PAUSE_MIN_MS, PAUSE_MAX_MS) / WINDOW_MS,
            sound: VecDeque::with_capacity(SCORED_SAMPLES + WINDOW_SAMPLES),
            is_asked: false,
            wanted: None,
            in_flight: None,
        }
    }

    fn keep(&mut self, window: &[f32]) {
        self.sound.extend(window);
        self.sound.drain(..self.sound.len().saturating_sub(SCORED_SAMPLES));
    }

    /// Whether a pause of so many windows is to be asked about.
    fn is_long(&self, windows: u32) -> bool {
        windows >= self.after_windows
    }

    /// There is a pause that is long enough, or over with its utterance. Told again of the same pause, only the
    /// utterance is taken over.
    fn pause(&mut self, pause: Pause) {
        if !self.is_asked {
            self.is_asked = true;
            self.wanted = Some(pause);
            return;
        }
        let asked = self.in_flight.as_mut().and_then(|question| question.pause.as_mut());
        if let Some(known) = self.wanted.as_mut().or(asked) {
            known.utterance = pause.utterance;
        }
    }

    /// Somebody speaks: no pause is on.
    pub(super) fn resume(&mut self) {
        self.is_asked = false;
        self.wanted = None;
        if let Some(question) = &mut self.in_flight {
            question.pause = None;
        }
    }

    /// Since when a score is wanted.
    pub(super) fn wanted(&self) -> Option<Instant> {
        self.wanted.as_ref().map(|pause| pause.since)
    }

    /// Whether a score is being made.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Takes the question: the sound up to now.
    pub(super) fn take(&mut self, job: u64) -> Option<Vec<f32>> {
        let pause = self.wanted.take()?;
        self.in_flight = Some(Question { job, pause: Some(pause) });
        let (older, newer) = self.sound.as_slices();
        Some([older, newer].concat())
    }

    /// The pause that the answer is about, when it is still on.
    fn answered(&mut self, job: u64) -> Option<Pause> {
        self.in_flight.take_if(|question| question.job == job)?.pause
    }
}

impl Listener {
    /// Takes the answer to a [`super::Task::Turn`]: how likely the speaker is done; `None` when the model failed.
    pub fn scored(&mut self, job: u64, probability: Option<f32>) {
        let Some(pause) = self.turns.as_mut().and_then(|turns| turns.answered(job)) else { return };
        let Some(probability) = probability else { return };
        let utterance = self.open.as_ref().map_or(pause.utterance, |open| open.id);
        self.events.push_back(Event::TurnEnded { utterance, probability, at: self.at(pause.ended) });
    }

    /// Keeps the sound and notices pauses, where somebody wants to know what they mean.
    pub(super) fn watch_pause(&mut self, window: &[f32], edge: Option<Edge>, now: Instant) {
        let Some(turns) = &mut self.turns else { return };
        turns.keep(window);
        let quiet = match edge {
            Some(Edge::Closed { windows_ago }) => windows_ago,
            Some(Edge::Opened { .. }) | None => self.gate.quiet_windows(),
        };
        if self.gate.is_open() && quiet == 0 {
            turns.resume();
        } else if let Some(open) = &self.open
            && (edge.is_some() || turns.is_long(quiet))
        {
            let ended = self.heard.saturating_sub(u64::from(quiet) * WINDOW_SAMPLES as u64);
            turns.pause(Pause { utterance: open.id, ended, since: now });
        }
    }
}

/// The shortest pause that is asked about. The model learned from clips that end some 200 ms after the voice.
const PAUSE_MIN_MS: u32 = 96;

/// And the longest; an utterance that ends earlier is asked about when it ends.
const PAUSE_MAX_MS: u32 = 10_000;
