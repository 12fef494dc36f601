//! One stream as the threads see it: what is queued for it, its listener, and what it has said.
//!
//! Three locks, each held for microseconds and never two of one kind: the inbox (writer and `ears`), the
//! listener (`ears`, `voices` and the worker that has its job), the outbox (whoever made events, and the reader).

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use media::frame::EAR_HZ;
use tokio::sync::Notify;

use super::{
    Closed, Shared, StreamConfig,
    held::{Held, is_newer},
    journal::{Mark, Notes},
    voices::Voices,
};
use crate::{
    event::{Event, UtteranceId, VoiceRun},
    listener::{Job, Listener},
    recognizer::{Error, Hints, Hypothesis},
    vad::{calm::Calm, gate::WINDOW_SAMPLES, silero},
};

/// Samples that wait for `ears`, at most: 4 s. More would only hide that listening is behind.
pub(super) const INBOX_SAMPLES: usize = 4 * EAR_HZ as usize;

/// Events that wait for their reader, at most. Partials are one per utterance, so this is minutes of talk.
const OUTBOX_EVENTS: usize = 256;

/// One stream.
pub(super) struct Cell {
    pub(super) id: u64,
    pub(super) live: bool,
    shared: Arc<Shared>,
    inbox: Mutex<Inbox>,
    pub(super) inbox_room: Notify,
    inbox_room_blocking: Condvar,
    ear: Mutex<Ear>,
    /// For a stream that is told whose voice says what.
    pub(super) voices: Option<Voices>,
    outbox: Mutex<Outbox>,
    pub(super) outbox_news: Notify,
    outbox_news_blocking: Condvar,
    /// Whether it stands in the line for `ears`.
    pub(super) is_ready: AtomicBool,
    abandoned: AtomicBool,
}

/// What was pushed and not yet heard.
#[derive(Default)]
struct Inbox {
    samples: VecDeque<f32>,
    /// After how many of `samples` a final was asked for.
    final_at: Option<usize>,
    ended: bool,
    ended_told: bool,
}

/// The listener with what only the threads know of it.
pub(super) struct Ear {
    pub(super) listener: Listener,
    pub(super) voice: Voice,
    /// What it said, while words of it wait for their voices.
    pub(super) held: Held,
    /// Its place in the line for workers.
    pub(super) due: Option<Instant>,
    /// Where everything that is done to the listener is noted.
    notes: Option<Notes>,
}

/// Whatever changes a listener goes through here, so that a journal has all of it in its order.
impl Ear {
    /// Takes a window and its score, and whether the score is none because the model failed; see [`Listener::hear`].
    pub(super) fn hear(&mut self, window: &[f32], speech: f32, has_failed: bool, at: Instant) {
        if let Some(notes) = &self.notes {
            notes.heard(window, has_failed, at);
        }
        self.listener.hear(window, speech, at);
    }

    /// See [`Listener::expect`].
    pub(super) fn expect(&mut self, hints: Hints) {
        if let Some(notes) = &self.notes {
            notes.expects(&hints);
        }
        self.listener.expect(hints);
    }

    /// See [`Listener::finalize`].
    pub(super) fn finalize(&mut self, at: Instant) {
        self.note(Mark::Finalized, at);
        self.listener.finalize(at);
    }

    /// See [`Listener::end`].
    pub(super) fn end(&mut self, at: Instant) {
        self.note(Mark::Ended, at);
        self.listener.end(at);
    }

    /// See [`Listener::take_job`].
    pub(super) fn take_job(&mut self, at: Instant) -> Option<Job> {
        self.note(Mark::Taken, at);
        self.listener.take_job(at)
    }

    /// See [`Listener::decoded`].
    pub(super) fn decoded(&mut self, job: u64, answer: Result<Hypothesis, Error>, cost: Duration) {
        if let Some(notes) = &self.notes {
            notes.answered(job, &answer, cost);
        }
        self.listener.decoded(job, answer, cost);
    }

    /// See [`Listener::scored`].
    pub(super) fn scored(&mut self, job: u64, probability: Option<f32>) {
        if let Some(notes) = &self.notes {
            notes.scored(job, probability);
        }
        self.listener.scored(job, probability);
    }

    /// See [`Held::label`].
    pub(super) fn labelled(&mut self, utterance: UtteranceId, runs: Vec<VoiceRun>) {
        if let Some(notes) = &self.notes {
            notes.labelled(utterance, &runs);
        }
        let was_labelled = self.held.label(utterance, runs);
        debug_assert!(was_labelled, "labels come in the order of their words");
    }

    /// See [`Held::relabel`].
    pub(super) fn relabelled(&mut self, utterance: UtteranceId, runs: Vec<VoiceRun>) {
        if let Some(notes) = &self.notes {
            notes.relabelled(utterance, &runs);
        }
        self.held.relabel(utterance, runs);
    }

    /// Whether everything was said and nothing more comes of voices.
    fn is_done(&self) -> bool {
        self.listener.is_done() && self.held.is_done()
    }

    /// See [`Listener::due`].
    fn ask_due(&mut self, at: Instant) -> Option<Instant> {
        self.note(Mark::Asked, at);
        self.listener.due(at)
    }

    fn note(&self, mark: Mark, at: Instant) {
        if let Some(notes) = &self.notes {
            notes.told(mark, at);
        }
    }
}

/// What voice activity detection remembers of the stream.
#[derive(Default)]
pub(super) struct Voice {
    pub(super) state: silero::State,
    pub(super) calm: Calm,
}

#[derive(Default)]
struct Outbox {
    events: VecDeque<Event>,
    done: bool,
}

/// What `ears` takes from the inbox next.
#[expect(clippy::large_enum_variant, reason = "returned by value and taken apart at once, never stored")]
pub(super) enum Next {
    /// A window, of which so many samples are real and the rest are zero.
    Window([f32; WINDOW_SAMPLES], usize),
    /// A final was asked for here.
    Finalize,
    /// The audio ends here.
    End,
    /// Nothing to do now.
    Nothing,
}

impl Cell {
    pub(super) fn new(id: u64, config: StreamConfig, notes: Option<Notes>, shared: Arc<Shared>) -> Self {
        let voices = config.diarization.as_ref().map(|wish| Voices::new(wish, config.starts_at));
        Self {
            id,
            live: config.live,
            inbox: Mutex::default(),
            inbox_room: Notify::new(),
            inbox_room_blocking: Condvar::new(),
            ear: Mutex::new(Ear {
                held: Held::new(voices.is_some(), config.live),
                listener: Listener::new(config, shared.info.window_max_s),
                voice: Voice::default(),
                due: None,
                notes,
            }),
            voices,
            outbox: Mutex::default(),
            outbox_news: Notify::new(),
            outbox_news_blocking: Condvar::new(),
            is_ready: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            shared,
        }
    }

    /// Queues as many samples as there is room for.
    pub(super) fn take_in(self: &Arc<Self>, samples: &[f32]) -> Result<usize, Closed> {
        if self.is_abandoned() || self.shared.closing.load(Ordering::Relaxed) {
            return Err(Closed);
        }
        let mut inbox = lock(&self.inbox);
        let taken = samples.len().min(INBOX_SAMPLES.saturating_sub(inbox.samples.len()));
        inbox.samples.extend(samples[..taken].iter().map(|s| if s.is_finite() { s.clamp(-1.0, 1.0) } else { 0.0 }));
        let whole_window = inbox.samples.len() >= WINDOW_SAMPLES;
        drop(inbox);
        if whole_window {
            self.shared.ready.add(self);
        }
        Ok(taken)
    }

    pub(super) fn queued(&self) -> usize {
        lock(&self.inbox).samples.len()
    }

    /// Waits for `news`, or until the ears stop.
    pub(super) async fn changed(&self, news: &Notify) {
        let stopped = self.shared.stopped.notified();
        // Asked after the wait has begun, so that a stop in between is not missed.
        let mut stopped = std::pin::pin!(stopped);
        stopped.as_mut().enable();
        if self.shared.closing.load(Ordering::SeqCst) {
            return;
        }
        tokio::select! {
            () = news.notified() => {}
            () = stopped => {}
        }
    }

    pub(super) fn wait_for_inbox(&self) {
        let inbox = lock(&self.inbox);
        let full = |inbox: &mut Inbox| {
            inbox.samples.len() >= INBOX_SAMPLES && !self.is_abandoned() && !self.shared.closing.load(Ordering::Relaxed)
        };
        // The wait ends at the latest when the ears stop, which rings no bell of this stream.
        let _ = self.inbox_room_blocking.wait_timeout_while(inbox, STOP_NOTICED_WITHIN, full);
    }

    pub(super) fn ask_final(self: &Arc<Self>) {
        let mut inbox = lock(&self.inbox);
        inbox.final_at = Some(inbox.samples.len());
        drop(inbox);
        self.shared.ready.add(self);
    }

    pub(super) fn end_input(self: &Arc<Self>) {
        lock(&self.inbox).ended = true;
        self.shared.ready.add(self);
    }

    /// The reader is gone: whatever is queued or being decoded is of no use, and the place is free.
    pub(super) fn abandon(self: &Arc<Self>) {
        self.abandoned.store(true, Ordering::SeqCst);
        lock(&self.inbox).samples.clear();
        // Nobody will read what comes of what happens from here on, and the journal may end.
        lock(&self.ear).notes = None;
        self.inbox_room.notify_one();
        self.inbox_room_blocking.notify_one();
        self.shared.wanted.forget(self);
        self.shared.streams.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }

    pub(super) fn ear(&self) -> MutexGuard<'_, Ear> {
        lock(&self.ear)
    }

    /// Takes the next window or mark from the inbox. A window before a mark may be short.
    pub(super) fn next(&self) -> Next {
        let mut inbox = lock(&self.inbox);
        let until_mark = inbox.final_at.unwrap_or(inbox.samples.len());
        if until_mark == 0 && inbox.final_at.take().is_some() {
            return Next::Finalize;
        }
        let marked = inbox.final_at.is_some() || inbox.ended;
        if until_mark < WINDOW_SAMPLES && !(marked && until_mark > 0) {
            if inbox.ended && inbox.samples.is_empty() && !inbox.ended_told {
                inbox.ended_told = true;
                return Next::End;
            }
            return Next::Nothing;
        }
        let count = until_mark.min(WINDOW_SAMPLES);
        let mut window = [0.0; WINDOW_SAMPLES];
        for (slot, sample) in window.iter_mut().zip(inbox.samples.drain(..count)) {
            *slot = sample;
        }
        if let Some(at) = &mut inbox.final_at {
            *at -= count;
        }
        drop(inbox);
        self.inbox_room.notify_one();
        self.inbox_room_blocking.notify_one();
        Next::Window(window, count)
    }

    /// Whether nothing more should be heard for now: the reader, the decoders or the voices are behind.
    pub(super) fn is_stalled(&self, ear: &Ear) -> bool {
        let reader_behind = self.room() == 0 || ear.held.len() >= OUTBOX_EVENTS;
        let voices_behind = || self.voices.as_ref().is_some_and(|voices| voices.backlog().is_full());
        reader_behind || (!self.live && (ear.listener.is_backed_up() || voices_behind()))
    }

    /// How many events the reader has room for.
    pub(super) fn room(&self) -> usize {
        OUTBOX_EVENTS.saturating_sub(lock(&self.outbox).events.len())
    }

    /// Whether the reader has read so far that reading on wakes nobody.
    pub(super) fn has_room_for_many(&self) -> bool {
        self.room() >= OUTBOX_EVENTS / 2
    }

    /// Lets `voices` hear what the listener hears, where the stream asks for it.
    pub(super) fn let_voices_hear(self: &Arc<Self>, samples: &[f32]) {
        let (Some(voices), Some(line)) = (&self.voices, &self.shared.voices) else { return };
        let mut backlog = voices.backlog();
        if backlog.push(samples, self.live) {
            metrics::counter!("harmony_drops_total", "crossing" => "voices").increment(1);
        }
        let is_worth_a_look = backlog.is_worth_a_look();
        drop(backlog);
        if is_worth_a_look {
            line.add(self);
        }
    }

    /// Tells `voices` that the sound has ended.
    pub(super) fn end_voices(self: &Arc<Self>) {
        let (Some(voices), Some(line)) = (&self.voices, &self.shared.voices) else { return };
        voices.backlog().end();
        line.add(self);
    }

    /// Moves what the listener said to the reader, and its next wish to the workers. Where words wait for voices, or
    /// the end does, `voices` looks after them.
    pub(super) fn publish(self: &Arc<Self>, ear: &mut Ear, now: Instant) {
        self.give_out(ear, now);
        let is_waited_for = ear.held.is_waiting() || (ear.listener.is_done() && !ear.held.has_ended());
        if is_waited_for && let Some(line) = &self.shared.voices {
            line.add(self);
        }
    }

    /// The same, by `voices` itself.
    pub(super) fn give_out(self: &Arc<Self>, ear: &mut Ear, now: Instant) {
        while let Some(event) = ear.listener.poll() {
            ear.held.push(event, now);
        }
        let mut outbox = lock(&self.outbox);
        let mut news = false;
        while let Some(event) = ear.held.poll() {
            news = true;
            if let Event::Lost { .. } = event {
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
                metrics::counter!("harmony_drops_total", "crossing" => "ears_lost").increment(1);
            }
            match outbox.events.back_mut() {
                Some(unread) if is_newer(unread, &event) => *unread = event,
                _ => outbox.events.push_back(event),
            }
        }
        if ear.is_done() {
            outbox.done = true;
            news = true;
        }
        drop(outbox);
        if news {
            self.outbox_news.notify_one();
            self.outbox_news_blocking.notify_one();
        }
        let dropped = ear.listener.take_partials_dropped();
        if dropped > 0 {
            self.shared.partials_dropped.fetch_add(dropped, Ordering::Relaxed);
            metrics::counter!("harmony_drops_total", "crossing" => "partials").increment(dropped);
        }
        let due = if self.is_abandoned() { None } else { ear.ask_due(now) };
        if due != ear.due {
            self.shared.wanted.put(self, ear.due, due);
            ear.due = due;
        }
        if ear.is_done() {
            ear.notes = None;
        }
    }

    /// The next event; `Some(None)` after the last, `None` when there is none yet.
    pub(super) fn take_out(self: &Arc<Self>) -> Option<Option<Event>> {
        let mut outbox = lock(&self.outbox);
        let event = outbox.events.pop_front();
        let drained = outbox.events.len() == OUTBOX_EVENTS / 2;
        let done = outbox.done || self.shared.closing.load(Ordering::SeqCst);
        drop(outbox);
        if drained {
            self.shared.ready.add(self);
            if let Some(line) = &self.shared.voices {
                line.add(self);
            }
        }
        match event {
            Some(event) => Some(Some(event)),
            None => done.then_some(None),
        }
    }

    pub(super) fn wait_for_news(&self) {
        let outbox = lock(&self.outbox);
        let quiet = |outbox: &mut Outbox| {
            outbox.events.is_empty() && !outbox.done && !self.shared.closing.load(Ordering::Relaxed)
        };
        let _ = self.outbox_news_blocking.wait_timeout_while(outbox, STOP_NOTICED_WITHIN, quiet);
    }
}

/// A thread of the pool that panics is a broken promise of ours, but the data under a lock is still whole:
/// every critical section here leaves it so.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Blocking waits look up this often whether the ears are stopping.
const STOP_NOTICED_WITHIN: Duration = Duration::from_millis(100);
