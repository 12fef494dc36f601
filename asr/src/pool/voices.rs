//! The thread that tells voices apart: for every stream that asks, it listens to the sound that its listener heard,
//! and says whose the words are.
//!
//! Takes half a second of one stream at a time, in turn, so that none waits for another's hour. Nothing live ever
//! waits for it: sound that it has no time for is left out ([`super::backlog`]), and words that it has nothing to say
//! of go out after a while with what is known ([`super::held`]). A stream on which a model fails again and again is
//! told nothing more of voices, and keeps its words. Sleeps while no sound comes; in silence it hears no voice. Sound
//! comes from `ears`, words from the workers by way of the stream's [`Cell`], and labels go back the same way.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use media::time::{MediaTime, Span};

use super::{
    Shared,
    backlog::Backlog,
    cell::{Cell, lock},
    held::{Known, hold},
    now,
};
use crate::{
    diarize::{
        Diarization,
        live::{Live, Models},
    },
    event::{UtteranceId, VoiceRun, Word},
    recognizer::Error,
};

/// Stretches in a row that a model fails on before a stream is told nothing more: some five seconds.
const FAILURES_MAX: u32 = 10;

/// The line of streams that have something for the thread. Each stands in it once at most, so it is as long as there
/// are streams.
#[derive(Default)]
pub(super) struct Line {
    line: Mutex<VecDeque<Arc<Cell>>>,
    bell: Condvar,
}

/// What woke the thread.
enum Woken {
    By(Arc<Cell>),
    /// Words have waited for long enough.
    Due,
    Stopped,
}

impl Line {
    pub(super) fn add(&self, cell: &Arc<Cell>) {
        let Some(voices) = &cell.voices else { return };
        if !voices.is_in_line.swap(true, Ordering::SeqCst) {
            lock(&self.line).push_back(cell.clone());
            self.bell.notify_one();
        }
    }

    pub(super) fn wake_all(&self) {
        let _line = lock(&self.line);
        self.bell.notify_all();
    }

    /// Waits for a stream, until `due` at the latest.
    fn take(&self, shared: &Shared, due: Option<Instant>) -> Woken {
        let mut line = lock(&self.line);
        loop {
            if shared.closing.load(Ordering::SeqCst) {
                return Woken::Stopped;
            }
            if let Some(cell) = line.pop_front() {
                return Woken::By(cell);
            }
            line = match due.map(|due| due.saturating_duration_since(now())) {
                Some(left) if left.is_zero() => return Woken::Due,
                Some(left) => self.bell.wait_timeout(line, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.bell.wait(line).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// What a stream that asks for voices has more than others.
pub(super) struct Voices {
    backlog: Mutex<Backlog>,
    /// Only the thread takes this lock, and holds it while a model runs.
    hearing: Mutex<Hearing>,
    is_in_line: AtomicBool,
}

/// What is known of the voices of a stream.
struct Hearing {
    /// `None` once they are not told apart any more.
    live: Option<Live>,
    /// The sound has ended and all of it was heard.
    has_finished: bool,
    /// Stretches in a row that a model failed on.
    failures: u32,
    /// Where the first sample lies on the timeline of the words.
    starts_at: MediaTime,
}

impl Voices {
    /// Of a stream whose first sample lies there.
    pub(super) fn new(wish: &Diarization, starts_at: MediaTime) -> Self {
        Self {
            backlog: Mutex::default(),
            hearing: Mutex::new(Hearing { live: Some(Live::new(wish)), has_finished: false, failures: 0, starts_at }),
            is_in_line: AtomicBool::new(false),
        }
    }

    pub(super) fn backlog(&self) -> MutexGuard<'_, Backlog> {
        lock(&self.backlog)
    }
}

/// Runs until the ears stop.
pub(super) fn run(shared: &Shared, mut models: Models) {
    let Some(line) = &shared.voices else { return };
    // Streams whose words wait, and until when.
    let mut waiting: BTreeMap<u64, (Instant, Arc<Cell>)> = BTreeMap::new();
    loop {
        let due = waiting.values().map(|(due, _)| *due).min();
        let mut cells = match line.take(shared, due) {
            Woken::By(cell) => vec![cell],
            Woken::Due => Vec::new(),
            Woken::Stopped => return,
        };
        // Also while there is always somebody in line.
        let at = now();
        cells.extend(waiting.values().filter(|(due, _)| *due <= at).map(|(_, cell)| cell.clone()));
        for cell in cells {
            waiting.remove(&cell.id);
            if let Some(due) = attend(shared, line, &cell, &mut models) {
                waiting.insert(cell.id, (due, cell));
            }
        }
    }
}

/// Listens to the next of a stream and says what is known by it. By when it is to be looked at again.
fn attend(shared: &Shared, line: &Line, cell: &Arc<Cell>, models: &mut Models) -> Option<Instant> {
    let voices = cell.voices.as_ref()?;
    // Cleared first: what is pushed from here on puts the stream in line again.
    voices.is_in_line.store(false, Ordering::SeqCst);
    if cell.is_abandoned() {
        return None;
    }
    let mut hearing = lock(&voices.hearing);
    let (sound, is_hopeless) = {
        let mut backlog = voices.backlog();
        (backlog.take(), backlog.is_hopeless())
    };
    if is_hopeless {
        tracing::warn!(stream = cell.id, "a stream is a minute behind: its voices are not told apart any more");
        hearing.live = None;
    } else if let Some(sound) = sound {
        let started = now();
        if hearing.attempt(|live| live.hear(models, &sound)).is_some() {
            hearing.failures = 0;
        }
        metrics::histogram!("harmony_stage_seconds", "stage" => "voices").record(now() - started);
    }
    if hearing.live.is_none() {
        voices.backlog().close();
    }
    let (is_over, has_more) = {
        let backlog = voices.backlog();
        (backlog.is_over(), backlog.has_more() && backlog.is_worth_a_look())
    };
    if is_over && !hearing.has_finished {
        hearing.attempt(|live| live.finish(models));
        hearing.has_finished = true;
    }
    if has_more {
        line.add(cell);
    }
    let due = tell(line, cell, &mut hearing);
    // Whoever waited for this thread goes on: a file for its sound, anybody for the words that were held.
    shared.ready.add(cell);
    due
}

/// Labels the words that are due and puts right what was said before.
fn tell(line: &Line, cell: &Arc<Cell>, hearing: &mut Hearing) -> Option<Instant> {
    let known = hearing.known();
    let wanted = cell.ear().held.wanted(known, now());
    let labels: Vec<_> =
        wanted.into_iter().map(|(utterance, words)| (utterance, hearing.label(utterance, words))).collect();
    // What the reader has no room for is put right later.
    let mut corrections = Vec::new();
    let mut is_all = false;
    for _ in 0..cell.room() {
        let Some(correction) = hearing.relabelled() else {
            is_all = true;
            break;
        };
        corrections.push(correction);
    }
    let at = now();
    let mut ear = cell.ear();
    for (utterance, runs) in labels {
        ear.labelled(utterance, runs);
    }
    for (utterance, runs) in corrections {
        ear.relabelled(utterance, runs);
    }
    if is_all && hearing.is_over() && ear.listener.is_done() && !ear.held.is_waiting() {
        ear.held.end();
    }
    cell.give_out(&mut ear, at);
    // A reader who read meanwhile may never again come by the mark at which it wakes this thread.
    if !is_all && cell.has_room_for_many() {
        line.add(cell);
    }
    ear.held.due()
}

impl Hearing {
    /// Does something with the voices. When that fails too often, nothing more is told of them.
    fn attempt<T>(&mut self, what: impl FnOnce(&mut Live) -> Result<T, Error>) -> Option<T> {
        let live = self.live.as_mut()?;
        match catch_unwind(AssertUnwindSafe(|| what(live))) {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(error)) => {
                tracing::error!(%error, "a stretch went by without its voices");
                self.failures += 1;
            }
            Err(_) => {
                tracing::error!("telling voices apart panicked");
                self.failures = FAILURES_MAX;
            }
        }
        if self.failures >= FAILURES_MAX {
            tracing::warn!("the voices of a stream are not told apart any more");
            self.live = None;
        }
        None
    }

    fn is_over(&self) -> bool {
        self.has_finished || self.live.is_none()
    }

    fn known(&self) -> Known {
        match &self.live {
            Some(live) if !self.has_finished => Known::Until(later(live.known_until(), self.starts_at)),
            _ => Known::All,
        }
    }

    /// Who said these words, as far as is known.
    fn label(&mut self, utterance: UtteranceId, mut words: Vec<Word>) -> Vec<VoiceRun> {
        let starts_at = self.starts_at;
        for word in &mut words {
            word.span = Span::new(earlier(word.span.start, starts_at), earlier(word.span.end, starts_at));
        }
        self.attempt(|live| Ok(live.label(utterance, &words)))
            .filter(|runs| hold(runs, words.len()))
            .unwrap_or_else(|| unknown(words.len()))
    }

    fn relabelled(&mut self) -> Option<(UtteranceId, Vec<VoiceRun>)> {
        self.attempt(|live| Ok(live.relabelled()))?
    }
}

/// Words of nobody that is known.
fn unknown(words: usize) -> Vec<VoiceRun> {
    vec![VoiceRun { words, voice: None, confidence: 0.0 }]
}

fn later(time: MediaTime, by: MediaTime) -> MediaTime {
    MediaTime::from_ticks(time.ticks().saturating_add(by.ticks()))
}

fn earlier(time: MediaTime, by: MediaTime) -> MediaTime {
    MediaTime::from_ticks(time.ticks().saturating_sub(by.ticks()))
}
