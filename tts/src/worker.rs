//! The mouths of the process: a few threads that let a voice speak for every line.
//!
//! Thin shell around [`line::Line`]: it owns the threads (`tts-N`), the queue of lines that want a sentence, the
//! memory of sentences and the clock. A thread takes the line that has waited longest, has one sentence spoken and
//! comes back; so a long reading holds nobody up for longer than a sentence takes. Crossings: writer → line holds
//! sixteen sentences, a full one makes the writer wait; line → reader holds two seconds and a sentence, a reader that
//! is behind keeps only its own line from speaking. A line whose turn was hushed is silent from then on.

mod cell;
mod line;
mod lips;
mod speech;

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use media::dsp::resample::{BadRate, Resampler};
use tokio::sync::Notify;

pub use self::speech::{Said, Speech};
use self::{
    cell::Cell,
    line::{Job, Line, Out},
};
use crate::{
    cache::{Cache, Spoken},
    espeak::Phonemes,
    sentence::{self, Part},
    text,
    utterance::{TooMuch, Utterance},
    voice::{Error, Info, Made, Sentence, Voice},
};

/// How many threads speak, and how much they take on.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads. A voice across the network or one with a model needs more of them than a quick program.
    pub workers: usize,
    /// Lines open at once; one more is refused with [`Refused::Full`].
    pub lines_max: usize,
    /// Memory for sentences that were spoken before, in bytes: 32 MiB are six minutes. Zero remembers nothing.
    pub cache_bytes: usize,
    /// Whoever knows how words sound, where readers are to be told visemes; that takes some ten milliseconds of a
    /// thread for each sentence, after its samples. `None` tells none.
    pub visemes: Option<Phonemes>,
}

impl Default for Options {
    fn default() -> Self {
        Self { workers: 2, lines_max: 1_000, cache_bytes: 32 << 20, visemes: None }
    }
}

/// Why nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Every place is taken; try again later.
    #[error("all {0} voices are speaking")]
    Full(usize),
    /// The voices are shutting down.
    #[error("the voices are shutting down")]
    Closing,
    /// The reader wants a sample rate that there is none of.
    #[error(transparent)]
    Rate(#[from] BadRate),
    /// The utterance is longer than anybody listens to.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// Nobody reads what is said any more.
    #[error("nobody listens any more")]
    Abandoned,
}

/// What the voices are doing, for metrics and admission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Lines open now.
    pub lines: usize,
    /// Lines that may be open.
    pub lines_max: usize,
    /// Lines that wait for a thread now.
    pub waiting: usize,
    /// Sentences spoken since the start.
    pub spoken: usize,
    /// Sentences that were known already.
    pub recalled: usize,
    /// Sentences that the voice failed at.
    pub failed: usize,
}

/// Everything that speaks. Cheap to clone; dropping the last clone stops the threads and ends every line.
#[derive(Clone)]
pub struct Voices {
    shared: Arc<Shared>,
    _stop: Arc<Stop>,
}

struct Shared {
    voice: Arc<dyn Voice>,
    options: Options,
    wanting: Mutex<VecDeque<Arc<Cell>>>,
    bell: Condvar,
    cache: Mutex<Cache>,
    closing: AtomicBool,
    stopped: Notify,
    lines: AtomicUsize,
    spoken: AtomicUsize,
    recalled: AtomicUsize,
    failed: AtomicUsize,
}

struct Stop(Arc<Shared>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.closing.store(true, Ordering::SeqCst);
        let mut wanting = lock(&self.0.wanting);
        // Lines know what they wait at; what it holds of them would keep all of it alive.
        wanting.clear();
        self.0.bell.notify_all();
        drop(wanting);
        self.0.stopped.notify_waiters();
    }
}

impl Voices {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(voice: Arc<dyn Voice>, options: Options) -> std::io::Result<Self> {
        let options = Options { workers: options.workers.max(1), ..options };
        let shared = Arc::new(Shared {
            cache: Mutex::new(Cache::new(options.cache_bytes)),
            voice,
            wanting: Mutex::default(),
            bell: Condvar::new(),
            closing: AtomicBool::new(false),
            stopped: Notify::new(),
            lines: AtomicUsize::new(0),
            spoken: AtomicUsize::new(0),
            recalled: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            options,
        });
        let stop = Arc::new(Stop(shared.clone()));
        for index in 0..shared.options.workers {
            let shared = shared.clone();
            thread::Builder::new().name(format!("tts-{index}")).spawn(move || shared.run())?;
        }
        Ok(Self { shared, _stop: stop })
    }

    /// What speaks.
    pub fn info(&self) -> &Info {
        self.shared.voice.info()
    }

    /// Whether it can speak now. Blocks for as long as it takes to start a program.
    ///
    /// # Errors
    /// [`Error::Missing`] with what to install.
    pub fn ready(&self) -> Result<(), Error> {
        self.shared.voice.ready()
    }

    /// What is going on now.
    pub fn stats(&self) -> Stats {
        let Shared { lines, spoken, recalled, failed, options, wanting, .. } = self.shared.as_ref();
        Stats {
            lines: lines.load(Ordering::Relaxed),
            lines_max: options.lines_max,
            waiting: lock(wanting).len(),
            spoken: spoken.load(Ordering::Relaxed),
            recalled: recalled.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
        }
    }

    /// Opens a line whose reader is given samples at `rate_hz`: what is said to the one half comes out of the other.
    ///
    /// # Errors
    /// [`Refused`]; nothing was taken.
    pub fn open(&self, rate_hz: u32) -> Result<(SpeechInput, Speech), Refused> {
        let shared = &self.shared;
        if shared.closing.load(Ordering::SeqCst) {
            return Err(Refused::Closing);
        }
        let voice_hz = shared.voice.info().rate_hz;
        let resampler = Resampler::new(voice_hz, rate_hz)?;
        let max = shared.options.lines_max;
        shared
            .lines
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |open| (open < max).then_some(open + 1))
            .map_err(|_| Refused::Full(max))?;
        let cell = Arc::new(Cell::new(shared.clone(), Line::new(voice_hz)));
        Ok((SpeechInput { cell: cell.clone() }, Speech::new(cell, resampler, voice_hz, rate_hz)))
    }

    /// Says one utterance, on a line of its own that ends after it, as turn 0.
    ///
    /// # Errors
    /// [`Refused`]; nothing will be said.
    pub fn speak(&self, utterance: &Utterance, rate_hz: u32) -> Result<Speech, Refused> {
        let parts = parts_of(utterance)?;
        let (input, speech) = self.open(rate_hz)?;
        input.cell.say(0, &mut Some(parts));
        Ok(speech)
    }
}

/// The writing half of a line. Dropping it ends the line after what was said.
pub struct SpeechInput {
    cell: Arc<Cell>,
}

impl SpeechInput {
    /// Says `utterance` on behalf of `turn`, waiting while sixteen sentences wait; its number, which the answers bear.
    /// Into an empty line any utterance fits at once, so a task that both says and reads never waits for itself.
    ///
    /// # Errors
    /// [`Refused::TooMuch`], [`Refused::Closing`] and [`Refused::Abandoned`]; nothing of it will be said.
    pub async fn say(&mut self, turn: u64, utterance: &Utterance) -> Result<u64, Refused> {
        let parts = parts_of(utterance)?;
        let mut parts = Some(parts);
        loop {
            self.cell.check()?;
            if let Some(number) = self.cell.say(turn, &mut parts) {
                return Ok(number);
            }
            self.cell.changed(&self.cell.room).await;
        }
    }

    /// Drops every turn up to `turn`, now and when it comes late: nothing of it comes out any more.
    pub fn hush(&self, turn: u64) {
        self.cell.hush(turn);
    }
}

impl Drop for SpeechInput {
    fn drop(&mut self) {
        lock(&self.cell.line).end();
        self.cell.tell();
    }
}

fn parts_of(utterance: &Utterance) -> Result<Vec<Part>, TooMuch> {
    utterance.check()?;
    Ok(sentence::cut(text::shape(utterance), utterance.voice))
}

impl Shared {
    /// A thread: one sentence of one line after the other.
    fn run(&self) {
        while let Some(cell) = self.next() {
            cell.is_wanting.store(false, Ordering::SeqCst);
            let job = lock(&cell.line).take();
            if let Some(job) = job {
                let result = self.speak(&cell, &job);
                if let Err(error) = &result
                    && *error != Error::Stopped
                {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%error, "a sentence was not spoken");
                }
                lock(&cell.line).done(result);
                cell.tell();
                cell.room.notify_one();
            }
            cell.want();
        }
    }

    fn next(&self) -> Option<Arc<Cell>> {
        let wanting = lock(&self.wanting);
        let is_idle = |wanting: &mut VecDeque<_>| wanting.is_empty() && !self.closing.load(Ordering::SeqCst);
        let mut wanting = self.bell.wait_while(wanting, is_idle).unwrap_or_else(PoisonError::into_inner);
        if self.closing.load(Ordering::SeqCst) {
            return None;
        }
        wanting.pop_front()
    }

    fn speak(&self, cell: &Arc<Cell>, job: &Job) -> Result<(), Error> {
        let rate_hz = self.voice.info().rate_hz;
        let sentence = match &job.part {
            Part::Silence(span) => {
                let samples = span.as_millis() as u64 * u64::from(rate_hz) / 1_000;
                self.first(job);
                cell.give(Out::Silence(job.of, samples));
                return Ok(());
            }
            Part::Sentence(sentence) => sentence,
        };
        if let Some(known) = lock(&self.cache).recall(sentence) {
            self.recalled.fetch_add(1, Ordering::Relaxed);
            self.first(job);
            cell.give(Out::Known(job.of, known, Arc::new(sentence.clone())));
            return Ok(());
        }
        let mut spoken = Spoken::default();
        let (mut is_first, mut is_own) = (true, true);
        let mut made = |made: Made<'_>| match made {
            Made::Samples(samples) => {
                if std::mem::take(&mut is_first) {
                    self.first(job);
                }
                spoken.samples.extend_from_slice(samples);
                cell.give(Out::Samples(job.of, samples.to_vec()));
            }
            Made::Word { index, at_sample } => {
                spoken.words.push((index, at_sample));
                cell.give(Out::Word(job.of, written(sentence, index), at_sample));
            }
            Made::Instead => is_own = false,
        };
        let speaking = AssertUnwindSafe(|| self.voice.speak(sentence, &job.stop, &mut made));
        catch_unwind(speaking).unwrap_or_else(|_| Err(Error::Failed("the voice panicked".to_owned())))?;
        self.spoken.fetch_add(1, Ordering::Relaxed);
        if let Some(phonemes) = &self.options.visemes {
            spoken.shapes = lips::shapes(phonemes, sentence, &spoken, rate_hz, &job.stop);
            cell.give(Out::Shapes(job.of, spoken.shapes.clone()));
        }
        if is_own {
            lock(&self.cache).keep(sentence, Arc::new(spoken));
        }
        Ok(())
    }

    /// The first sound of an utterance is there.
    fn first(&self, job: &Job) {
        if let Some(said_at) = job.said_at {
            let waited = now().saturating_duration_since(said_at);
            metrics::histogram!("harmony_stage_seconds", "stage" => "tts_first_audio").record(waited);
        }
    }
}

fn written(sentence: &Sentence, index: usize) -> String {
    sentence.words.get(index).map(|word| word.written.clone()).unwrap_or_default()
}

/// A thread that panics is a broken promise of ours, but the data under a lock is still whole: every critical section
/// here leaves it so.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The shell's clock.
#[expect(clippy::disallowed_methods, reason = "the worker owns the threads that speak, and their clock")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
