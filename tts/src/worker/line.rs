//! One line of speech as a value: what is to be said, what is being said, what was said and not yet heard.
//!
//! Every utterance is answered once: finished, failed or dropped. Nothing of a turn that was hushed comes out after
//! the hush. What waits is bounded: sixteen sentences and silences
//! and one utterance more, of sound two seconds and a sentence. Pure; [`super`] owns the lock around it and the
//! threads.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use crate::{
    cache::Spoken,
    sentence::Part,
    viseme::Shape,
    voice::{Error, Sentence},
};

/// Sentences and silences that wait, at most, before another utterance is taken. More is said than can be taken back
/// quickly, and nobody listens so far ahead.
pub(super) const PARTS_WAITING: usize = 16;

/// Utterances that are not yet answered, at most; empty ones have no parts that would count.
const UTTERANCES_OPEN: usize = 64;

/// Sound that waits for its reader before the next sentence is spoken, in milliseconds. The mouth beyond holds 400.
pub(super) const AHEAD_MS: usize = 2_000;

/// One utterance of one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Of {
    pub(super) turn: u64,
    pub(super) utterance: u64,
}

/// A part to be spoken now.
pub(super) struct Job {
    pub(super) of: Of,
    pub(super) part: Part,
    /// Set when it is of no use any more.
    pub(super) stop: Arc<AtomicBool>,
    /// When it was asked for, with the first part of an utterance.
    pub(super) said_at: Option<Instant>,
}

/// What comes out, in order.
#[derive(Clone, Debug)]
pub(super) enum Out {
    /// Samples at the voice's rate.
    Samples(Of, Vec<f32>),
    /// A whole sentence that was known.
    Known(Of, Arc<Spoken>, Arc<Sentence>),
    /// So many samples of silence at the voice's rate.
    Silence(Of, u64),
    /// A word begins, counted from the start of its sentence.
    Word(Of, String, u64),
    /// What a mouth does during the sentence, counted from its start.
    Shapes(Of, Vec<Shape>),
    /// A sentence was spoken to its end.
    SentenceEnd(Of),
    /// That was all of an utterance, or all there will be.
    Answer(Of, Answer),
}

/// What became of an utterance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Finished,
    Failed(Error),
    Dropped,
}

impl Out {
    fn of(&self) -> Of {
        match self {
            Self::Samples(of, _)
            | Self::Known(of, ..)
            | Self::Silence(of, _)
            | Self::Word(of, ..)
            | Self::Shapes(of, _)
            | Self::SentenceEnd(of)
            | Self::Answer(of, _) => *of,
        }
    }

    fn samples(&self) -> usize {
        match self {
            Self::Samples(_, samples) => samples.len(),
            Self::Known(_, spoken, _) => spoken.samples.len(),
            Self::Silence(_, samples) => usize::try_from(*samples).unwrap_or(usize::MAX),
            Self::Word(..) | Self::Shapes(..) | Self::SentenceEnd(_) | Self::Answer(..) => 0,
        }
    }
}

struct Waiting {
    of: Of,
    part: Part,
    said_at: Option<Instant>,
}

/// The line.
pub(super) struct Line {
    rate_hz: u32,
    waiting: VecDeque<Waiting>,
    /// Utterances without an answer, in order.
    open: VecDeque<Of>,
    current: Option<(Of, Arc<AtomicBool>)>,
    out: VecDeque<Out>,
    out_samples: usize,
    /// Turns up to this one are dropped.
    hushed: Option<u64>,
    /// Nothing more will be said.
    has_ended: bool,
    is_abandoned: bool,
    next_utterance: u64,
}

impl Line {
    /// A line of a voice that speaks at `rate_hz`.
    pub(super) fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz,
            waiting: VecDeque::new(),
            open: VecDeque::new(),
            current: None,
            out: VecDeque::new(),
            out_samples: 0,
            hushed: None,
            has_ended: false,
            is_abandoned: false,
            next_utterance: 1,
        }
    }

    /// Whether another utterance may be said.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < PARTS_WAITING && self.open.len() < UTTERANCES_OPEN
    }

    /// Takes an utterance, cut into its parts; its number.
    pub(super) fn say(&mut self, turn: u64, parts: Vec<Part>, at: Instant) -> u64 {
        let of = Of { turn, utterance: self.next_utterance };
        self.next_utterance += 1;
        if self.is_hushed(turn) {
            self.out.push_back(Out::Answer(of, Answer::Dropped));
            return of.utterance;
        }
        self.open.push_back(of);
        let mut said_at = Some(at);
        self.waiting.extend(parts.into_iter().map(|part| Waiting { of, part, said_at: said_at.take() }));
        self.answer_finished();
        of.utterance
    }

    /// Nothing more will be said.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
    }

    /// Drops every turn up to `turn`, now and when it comes late.
    pub(super) fn hush(&mut self, turn: u64) {
        self.hushed = Some(self.hushed.map_or(turn, |before| before.max(turn)));
        self.drop_if(|of| of.turn <= turn, &Answer::Dropped);
    }

    /// The last turn that was hushed.
    pub(super) fn hushed(&self) -> Option<u64> {
        self.hushed
    }

    /// Drops everything: nobody listens any more.
    pub(super) fn abandon(&mut self) {
        self.has_ended = true;
        self.is_abandoned = true;
        self.drop_if(|_| true, &Answer::Dropped);
        self.out.clear();
        self.out_samples = 0;
    }

    /// Whether nobody listens any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.is_abandoned
    }

    /// Whether a part may be spoken now.
    pub(super) fn wants(&self) -> bool {
        self.current.is_none()
            && !self.waiting.is_empty()
            && self.out_samples < self.rate_hz as usize * AHEAD_MS / 1_000
    }

    /// The part to be spoken now.
    pub(super) fn take(&mut self) -> Option<Job> {
        if !self.wants() {
            return None;
        }
        let Waiting { of, part, said_at } = self.waiting.pop_front()?;
        let stop = Arc::new(AtomicBool::new(false));
        self.current = Some((of, stop.clone()));
        Some(Job { of, part, stop, said_at })
    }

    /// Something of the current part was made; false when nobody wants it any more.
    pub(super) fn made(&mut self, out: Out) -> bool {
        let is_wanted =
            self.current.as_ref().is_some_and(|(of, stop)| *of == out.of() && !stop.load(Ordering::Relaxed));
        if is_wanted {
            self.out_samples = self.out_samples.saturating_add(out.samples());
            self.out.push_back(out);
        }
        is_wanted
    }

    /// The current part is over.
    pub(super) fn done(&mut self, result: Result<(), Error>) {
        let Some((of, stop)) = self.current.take() else { return };
        if stop.load(Ordering::Relaxed) {
            return;
        }
        match result {
            Ok(()) => {
                self.out.push_back(Out::SentenceEnd(of));
                self.answer_finished();
            }
            Err(error) => {
                self.waiting.retain(|waiting| waiting.of != of);
                self.open.retain(|open| *open != of);
                self.out.push_back(Out::Answer(of, Answer::Failed(error)));
                self.answer_finished();
            }
        }
    }

    /// The next that was said.
    pub(super) fn pop(&mut self) -> Option<Out> {
        let out = self.out.pop_front()?;
        self.out_samples = self.out_samples.saturating_sub(out.samples());
        Some(out)
    }

    pub(super) fn has_out(&self) -> bool {
        !self.out.is_empty()
    }

    /// Whether nothing more will come out.
    pub(super) fn is_over(&self) -> bool {
        self.has_ended && self.out.is_empty() && self.waiting.is_empty() && self.current.is_none()
    }

    fn is_hushed(&self, turn: u64) -> bool {
        self.hushed.is_some_and(|hushed| turn <= hushed)
    }

    /// Answers utterances of which nothing is left to say, in their order.
    fn answer_finished(&mut self) {
        while let Some(of) = self.open.front().copied() {
            let is_current = self.current.as_ref().is_some_and(|(current, _)| *current == of);
            if is_current || self.waiting.iter().any(|waiting| waiting.of == of) {
                break;
            }
            self.open.pop_front();
            self.out.push_back(Out::Answer(of, Answer::Finished));
        }
    }

    fn drop_if(&mut self, is_dropped: impl Fn(Of) -> bool, answer: &Answer) {
        self.waiting.retain(|waiting| !is_dropped(waiting.of));
        if let Some((of, stop)) = &self.current
            && is_dropped(*of)
        {
            stop.store(true, Ordering::Relaxed);
        }
        // An utterance whose answer waits unread is unheard all the same: it was dropped.
        let mut answered = Vec::new();
        self.out.retain(|out| {
            let gone = is_dropped(out.of());
            if gone && let Out::Answer(of, _) = out {
                answered.push(*of);
            }
            !gone
        });
        self.out_samples = self.out.iter().map(Out::samples).fold(0, usize::saturating_add);
        answered.extend(self.open.iter().copied().filter(|of| is_dropped(*of)));
        self.open.retain(|of| !is_dropped(*of));
        self.out.extend(answered.into_iter().map(|of| Out::Answer(of, answer.clone())));
        self.answer_finished();
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use proptest::prelude::*;

    use super::*;

    fn silences(count: usize) -> Vec<Part> {
        vec![Part::Silence(Duration::from_millis(100)); count]
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be had from the clock; no test depends on which"
    )]
    fn at() -> Instant {
        Instant::now()
    }

    #[test]
    fn an_utterance_of_any_size_is_taken_while_there_is_room_and_then_none() {
        let mut line = Line::new(16_000);
        line.say(1, silences(PARTS_WAITING - 1), at());
        assert!(line.has_room());
        line.say(1, silences(500), at());
        assert!(!line.has_room());
    }

    #[test]
    fn no_sentence_is_spoken_while_two_seconds_wait() {
        let mut line = Line::new(16_000);
        line.say(1, silences(9), at());
        let mut spoken = 0;
        while let Some(job) = line.take() {
            assert!(line.take().is_none(), "one at a time");
            assert!(line.made(Out::Samples(job.of, vec![0.0; 8_000])));
            line.done(Ok(()));
            spoken += 1;
        }
        assert_eq!(spoken, 4);
        line.pop();
        assert!(line.wants());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Say(u64, usize),
        Take,
        Made,
        Done(bool),
        Hush(u64),
        Pop,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..6_u64, 0..4_usize).prop_map(|(turn, parts)| Step::Say(turn, parts)),
            Just(Step::Take),
            Just(Step::Made),
            prop::bool::weighted(0.85).prop_map(Step::Done),
            (0..6_u64).prop_map(Step::Hush),
            Just(Step::Pop),
            Just(Step::Pop),
        ]
    }

    proptest! {
        #[test]
        fn every_utterance_is_answered_once_and_a_hushed_turn_is_silent(steps in prop::collection::vec(step(), 0..120)) {
            let mut line = Line::new(16_000);
            let mut job: Option<Of> = None;
            let (mut said, mut answers, mut hushed) = (0, BTreeMap::new(), 0);
            let mut read = |line: &mut Line, hushed: u64| {
                let Some(out) = line.pop() else { return Ok(()) };
                let of = out.of();
                match out {
                    Out::Answer(_, answer) => prop_assert!(answers.insert(of.utterance, answer).is_none()),
                    _ => {
                        prop_assert!(of.turn > hushed);
                        prop_assert!(!answers.contains_key(&of.utterance));
                    }
                }
                Ok(())
            };
            for step in steps {
                match step {
                    Step::Say(turn, parts) if line.has_room() => said = line.say(turn, silences(parts), at()),
                    Step::Take if job.is_none() => job = line.take().map(|job| job.of),
                    Step::Made => {
                        if let Some(of) = job {
                            line.made(Out::Samples(of, vec![0.0; 4_000]));
                        }
                    }
                    Step::Done(works) => {
                        if job.take().is_some() {
                            line.done(if works { Ok(()) } else { Err(Error::Failed(String::new())) });
                        }
                    }
                    Step::Hush(turn) => {
                        line.hush(turn);
                        hushed = hushed.max(turn);
                    }
                    Step::Pop => read(&mut line, hushed)?,
                    Step::Say(..) | Step::Take => {}
                }
                prop_assert!(line.out_samples <= 16_000 * AHEAD_MS / 1_000 + 4_000 * 120);
            }
            line.end();
            while !line.is_over() {
                if job.take().is_some() {
                    line.done(Ok(()));
                }
                job = line.take().map(|job| job.of);
                read(&mut line, hushed)?;
            }
            prop_assert_eq!(answers.len() as u64, said);
        }
    }
}
