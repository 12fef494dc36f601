//! A decoder thread: takes the stream whose job is due first, decodes or scores, hands the answer back.
//!
//! Finals come before partials because their due time lies in the past; a stream stands in the line once, so
//! a partial that waited is simply made later from more audio, and counted as dropped by its listener. A pause is
//! scored by the thread's own copy of the model, which it loads for the first that it takes, behind the finals and
//! before partials that may still wait.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, PoisonError, atomic::Ordering},
    time::Instant,
};

use super::{
    Shared,
    cell::{Cell, lock},
    now,
};
use crate::{
    listener::{Job, Task},
    recognizer::{Decoder, Error, Hypothesis, Recognizer},
    turn::{self, EndOfTurn},
};

/// The line of streams that want a job done, the earliest due first.
#[derive(Default)]
pub(super) struct Wanted {
    line: Mutex<BTreeMap<(Instant, u64), Arc<Cell>>>,
    bell: Condvar,
}

impl Wanted {
    /// Moves a stream from its old place in the line to its new one.
    pub(super) fn put(&self, cell: &Arc<Cell>, old: Option<Instant>, new: Option<Instant>) {
        let mut line = lock(&self.line);
        if let Some(old) = old {
            line.remove(&(old, cell.id));
        }
        if let Some(new) = new {
            line.insert((new, cell.id), cell.clone());
            self.bell.notify_one();
        }
    }

    /// Takes a stream out of the line whose reader is gone.
    pub(super) fn forget(&self, cell: &Arc<Cell>) {
        lock(&self.line).retain(|_, waiting| waiting.id != cell.id);
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.line).len()
    }

    pub(super) fn wake_all(&self) {
        let _line = lock(&self.line);
        self.bell.notify_all();
    }

    fn take(&self, shared: &Shared) -> Option<Arc<Cell>> {
        let line = lock(&self.line);
        let mut line = self
            .bell
            .wait_while(line, |line| line.is_empty() && !shared.closing.load(Ordering::SeqCst))
            .unwrap_or_else(PoisonError::into_inner);
        if shared.closing.load(Ordering::SeqCst) {
            return None;
        }
        line.pop_first().map(|(_, cell)| cell)
    }
}

/// Runs until the ears stop.
pub(super) fn run(shared: &Shared, recognizer: &dyn Recognizer, mut decoder: Box<dyn Decoder>) {
    let mut scorer = Scorer::default();
    while let Some(cell) = shared.wanted.take(shared) {
        let mut ear = cell.ear();
        ear.due = None;
        if cell.is_abandoned() {
            continue;
        }
        let taken_at = now();
        let Some(job) = ear.take_job(taken_at) else {
            cell.publish(&mut ear, taken_at);
            continue;
        };
        drop(ear);

        let answer = match job.task {
            Task::Partial | Task::Final => Answer::Words(decode(recognizer, &mut decoder, &job)),
            Task::Turn => Answer::Turn(score(shared, &mut scorer, &job.audio)),
        };
        let done_at = now();
        let stage = match job.task {
            Task::Partial => "asr_partial",
            Task::Final => "asr_final",
            Task::Turn => "turn_score",
        };
        metrics::histogram!("harmony_stage_seconds", "stage" => stage).record(done_at - taken_at);

        let mut ear = cell.ear();
        match answer {
            Answer::Words(answer) => ear.decoded(job.id, answer, done_at - taken_at),
            Answer::Turn(probability) => ear.scored(job.id, probability),
        }
        cell.publish(&mut ear, done_at);
        drop(ear);
        // A file that waited for the decoders goes on.
        shared.ready.add(&cell);
    }
}

enum Answer {
    Words(Result<Hypothesis, Error>),
    Turn(Option<f32>),
}

fn decode(recognizer: &dyn Recognizer, decoder: &mut Box<dyn Decoder>, job: &Job) -> Result<Hypothesis, Error> {
    let answer = catch_unwind(AssertUnwindSafe(|| decoder.decode(&job.audio, &job.hints, &job.abort)))
        .unwrap_or_else(|_| Err(Error::Engine("the decoder panicked".to_owned())));
    if let Err(Error::Engine(why)) = &answer {
        tracing::error!(why, "a window could not be decoded");
        // Its state is not to be trusted any more. Without a new one the old must do.
        match recognizer.decoder() {
            Ok(fresh) => *decoder = fresh,
            Err(error) => tracing::error!(%error, "no new decoder"),
        }
    }
    answer
}

/// A thread's copy of the end-of-turn model. Where nobody asks, no thread holds one.
#[derive(Default)]
struct Scorer {
    ready: Option<EndOfTurn>,
    /// That there is none was said.
    has_warned: bool,
}

impl Scorer {
    /// The copy, loaded now where there is none; `None` when it cannot be, which is said once and tried again with the
    /// next pause.
    fn ready(&mut self, model: &turn::Model) -> Option<&mut EndOfTurn> {
        if self.ready.is_none() {
            let loaded = catch_unwind(AssertUnwindSafe(|| model.scorer()))
                .unwrap_or_else(|_| Err(Error::Engine("the end-of-turn model panicked".to_owned())));
            match loaded {
                Ok(fresh) => self.ready = Some(fresh),
                Err(error) if !std::mem::replace(&mut self.has_warned, true) => {
                    tracing::warn!(%error, "no end-of-turn model: pauses are not scored");
                }
                Err(_) => {}
            }
        }
        self.ready.as_mut()
    }
}

/// How likely the speaker is done; `None` when the model fails, and whoever asked goes by silence alone.
fn score(shared: &Shared, scorer: &mut Scorer, sound: &[f32]) -> Option<f32> {
    let ready = scorer.ready(shared.turn.as_ref()?)?;
    let answer = catch_unwind(AssertUnwindSafe(|| ready.score(sound)))
        .unwrap_or_else(|_| Err(Error::Engine("the end-of-turn model panicked".to_owned())));
    let error = match answer {
        Ok(probability) => return Some(probability),
        Err(error) => error,
    };
    tracing::error!(%error, "a pause could not be scored");
    // Its state is not to be trusted any more: the next pause gets a new one.
    scorer.ready = None;
    None
}
