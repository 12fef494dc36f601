//! The voice that needs no model: espeak-ng, as a program of its own.
//!
//! It is licensed under the GPL, so it is started and never linked. Each sentence has a process: its text goes in by
//! stdin, never by the command line, and its samples are read from stdout as they come. A process that was started
//! beforehand has read its voice already and answers in a millisecond or two where a fresh one takes twenty; so one
//! spare waits for each of the few voices that spoke last. Runs on `tts-N` threads; a process that is stopped, late
//! or in the way is killed by its id and always waited for.

mod markup;
mod phonemes;
mod process;

use std::{
    ffi::OsString,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

pub use self::phonemes::Phonemes;
use self::process::{Chunk, Process};
use crate::{
    places::Envelope,
    voice::{Error, Info, Made, Sentence, Speaker, Voice, VoiceId},
};

/// What espeak-ng's own voices are made at.
const RATE_HZ: u32 = 22_050;

/// The longest a sentence may take: a hundred times what it takes on a busy machine.
const SENTENCE_WITHIN: Duration = Duration::from_secs(5);

/// The most samples of one sentence: the longest at the slowest speed.
const SAMPLES_MAX: u64 = 120 * RATE_HZ as u64;

/// Spares, at most: a telephone application has a voice for each of its languages. When there are as many, the one
/// whose voice spoke longest ago is given up. Each costs 3 MB.
const SPARES_MAX: usize = 4;

/// espeak-ng.
pub struct Espeak {
    program: OsString,
    info: Info,
    within: Duration,
    spares: Mutex<Spares>,
}

impl Default for Espeak {
    fn default() -> Self {
        Self::new("espeak-ng")
    }
}

impl Espeak {
    /// The program of this name on the path, or at this path.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            info: Info { engine: "espeak-ng", rate_hz: RATE_HZ },
            within: SENTENCE_WITHIN,
            spares: Mutex::default(),
        }
    }

    /// The same with another time limit for a sentence.
    pub fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// Starts a spare for `voice`, so that its first sentence is as quick as the next.
    ///
    /// # Errors
    /// As [`Voice::speak`].
    pub fn warm(&self, voice: VoiceId) -> Result<(), Error> {
        if !self.spares().has(voice) {
            let spare = self.start(voice)?;
            self.spares().put(voice, spare);
        }
        Ok(())
    }

    fn start(&self, voice: VoiceId) -> Result<Process, Error> {
        Process::start(&self.program, &name_of(voice))
    }

    fn spares(&self) -> std::sync::MutexGuard<'_, Spares> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Voice for Espeak {
    fn info(&self) -> &Info {
        &self.info
    }

    fn ready(&self) -> Result<(), Error> {
        // A process that starts and waits is proof enough, and serves as the first spare.
        self.warm(VoiceId::default())
    }

    fn speak(&self, sentence: &Sentence, stop: &AtomicBool, made: &mut dyn FnMut(Made<'_>)) -> Result<(), Error> {
        sentence.check()?;
        let text = markup::render(sentence);
        let spare = self.spares().take(sentence.voice);
        let answer = match spare {
            // A spare that died while it waited is no fault of this sentence: nothing was heard of it.
            Some(spare) => match self.run(spare, &text, sentence, stop, made) {
                Err(Silent::Died(_)) => self.run(self.start(sentence.voice)?, &text, sentence, stop, made),
                answer => answer,
            },
            None => self.run(self.start(sentence.voice)?, &text, sentence, stop, made),
        };
        // After the samples were handed over, where it delays nobody; the next sentence starts one when this cannot.
        if !stop.load(Ordering::Relaxed) {
            let _ = self.warm(sentence.voice);
        }
        answer.map_err(|silent| match silent {
            Silent::Died(why) => Error::Failed(why),
            Silent::Why(error) => error,
        })
    }
}

/// Why a process did not speak to its end.
enum Silent {
    /// It ended before it said anything.
    Died(String),
    Why(Error),
}

impl Espeak {
    fn run(
        &self,
        mut process: Process,
        text: &str,
        sentence: &Sentence,
        stop: &AtomicBool,
        made: &mut dyn FnMut(Made<'_>),
    ) -> Result<(), Silent> {
        let deadline = now() + self.within;
        process.tell(text).map_err(|error| Silent::Died(format!("it does not take text: {error}")))?;
        let mut envelope = Envelope::new(RATE_HZ);
        let mut samples = Vec::new();
        let mut count = 0_u64;
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(Silent::Why(Error::Stopped));
            }
            if now() > deadline {
                return Err(Silent::Why(Error::TimedOut(self.within.as_millis() as u64)));
            }
            samples.clear();
            match process.read(&mut samples) {
                Ok(Chunk::Nothing) => continue,
                Ok(Chunk::Some) => {}
                Ok(Chunk::End) => break,
                Err(error) => return Err(Silent::Why(Error::Failed(error.to_string()))),
            }
            if let Some(rate_hz) = process.rate_hz().filter(|rate_hz| *rate_hz != RATE_HZ) {
                return Err(Silent::Why(Error::Failed(format!("it speaks at {rate_hz} Hz"))));
            }
            count += samples.len() as u64;
            if count > SAMPLES_MAX {
                return Err(Silent::Why(Error::Failed("it does not stop".to_owned())));
            }
            if !samples.is_empty() {
                envelope.hear(&samples);
                made(Made::Samples(&samples));
            }
        }
        process.end().map_err(|why| if count == 0 { Silent::Died(why) } else { Silent::Why(Error::Failed(why)) })?;
        if !process.has_begun() {
            return Err(Silent::Died(format!("it says nothing with the voice {:?}", name_of(sentence.voice))));
        }
        for (index, at_sample) in envelope.places(sentence).into_iter().enumerate() {
            made(Made::Word { index, at_sample });
        }
        Ok(())
    }
}

/// What espeak-ng calls a voice.
fn name_of(VoiceId { language, speaker }: VoiceId) -> String {
    let language = language.tag().to_ascii_lowercase();
    match speaker {
        Speaker::Man => language,
        Speaker::Woman => format!("{language}+f3"),
    }
}

/// Processes that have read their voice and wait for text, the one that was used last at the end.
#[derive(Default)]
struct Spares(Vec<(VoiceId, Process)>);

impl Spares {
    fn has(&mut self, voice: VoiceId) -> bool {
        self.sweep();
        self.0.iter().any(|(of, _)| *of == voice)
    }

    fn take(&mut self, voice: VoiceId) -> Option<Process> {
        let at = self.0.iter().position(|(of, _)| *of == voice)?;
        Some(self.0.remove(at).1)
    }

    fn put(&mut self, voice: VoiceId, process: Process) {
        if self.0.len() >= SPARES_MAX {
            self.0.remove(0);
        }
        self.0.push((voice, process));
    }

    /// Spares that somebody killed are waited for, so that nothing is left of them.
    fn sweep(&mut self) {
        self.0.retain_mut(|(_, process)| process.is_running());
    }
}

/// The shell's clock.
#[expect(clippy::disallowed_methods, reason = "whoever waits for another program needs a clock")]
fn now() -> Instant {
    Instant::now()
}
