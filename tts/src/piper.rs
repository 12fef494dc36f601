//! Piper: a voice with a model. Sounds are asked of espeak-ng's process, the network makes samples of them.
//!
//! What turns a sentence into numbers is pure ([`phrase`]); a voice's JSON is judged before anything is made with it
//! ([`config`]). The network itself is a [`Network`] that somebody hands over: whoever knows the one library that
//! runs models in this process. A phrase of some five seconds is made in one go on a `tts-N` thread, so a stop is
//! obeyed between phrases; what is made after it is not handed over. Its pauses are the network's own.
//!
//! Pitch and emphasis are beyond it; speed, loudness, language and given pronunciations are kept.

mod config;
mod phrase;

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

pub use self::config::{Config, Wrong};
use self::phrase::{Clause, Phrase, Run};
use crate::{
    espeak::Phonemes,
    places::Envelope,
    voice::{Error, Info, Language, Made, Sentence, Voice},
};

/// What turns numbers of sounds into samples.
pub trait Network: Send {
    /// Makes the samples of a phrase: mono, mostly within [-1, 1].
    ///
    /// # Errors
    /// Why not, in one line; the next phrase may work.
    fn run(&mut self, input: &Input<'_>) -> Result<Vec<f32>, String>;
}

/// What a network is given: the tensors `input` `[1, T]`, `input_lengths` `[1]`, `scales` `[3]` and perhaps `sid` `[1]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Input<'a> {
    /// Numbers of sounds.
    pub ids: &'a [i64],
    /// How much the sound varies, how long it is, how much that varies.
    pub scales: [f32; 3],
    /// Which speaker, where there are several.
    pub speaker: Option<i64>,
}

/// The longest a sentence may take. On a slow core a medium voice takes a fifth of what it says.
const SENTENCE_WITHIN: Duration = Duration::from_secs(20);

/// The most seconds of sound that a phrase may be; more is a network that has lost its way.
const PHRASE_SECONDS_MAX: usize = 120;

/// How long a wait for a network lasts before it is looked whether to stop.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A voice with a model.
pub struct Piper {
    info: Info,
    config: Config,
    speaker: Option<i64>,
    phonemes: Phonemes,
    /// Networks that nobody uses now; as many threads can speak at once.
    idle: Mutex<Vec<Box<dyn Network>>>,
    freed: Condvar,
    within: Duration,
}

impl Piper {
    /// The voice that `config` describes, spoken by `networks`, which are all alike.
    ///
    /// # Errors
    /// [`Wrong`] when it has no such speaker, or no network was given.
    pub fn new(
        config: Config,
        speaker: Option<&str>,
        phonemes: Phonemes,
        networks: Vec<Box<dyn Network>>,
    ) -> Result<Self, Wrong> {
        let speaker = config.speaker(speaker)?;
        if networks.is_empty() {
            return Err(Wrong::no_network());
        }
        let info = Info { engine: "piper", rate_hz: config.rate_hz };
        let (idle, freed) = (Mutex::new(networks), Condvar::new());
        Ok(Self { info, config, speaker, phonemes, idle, freed, within: SENTENCE_WITHIN })
    }

    /// The same with another time limit for a sentence.
    pub fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// Each clause with the sounds of its runs.
    fn sounds(&self, sentence: &Sentence, stop: &AtomicBool) -> Result<Vec<(Clause, Vec<String>)>, Error> {
        let mut clauses: Vec<(Clause, Vec<String>)> = phrase::clauses(sentence)
            .into_iter()
            .map(|clause| {
                let count = clause.runs.len();
                (clause, vec![String::new(); count])
            })
            .collect();
        let mut languages: Vec<Language> = Vec::new();
        for (clause, _) in &clauses {
            for run in &clause.runs {
                if let Run::Text { language, .. } = run
                    && !languages.contains(language)
                {
                    languages.push(*language);
                }
            }
        }
        for language in languages {
            let mut asked = Vec::new();
            let mut texts = Vec::new();
            for (at, (clause, _)) in clauses.iter().enumerate() {
                for (run_at, run) in clause.runs.iter().enumerate() {
                    if let Run::Text { text, language: own } = run
                        && *own == language
                    {
                        asked.push((at, run_at));
                        texts.push(text.as_str());
                    }
                }
            }
            // A voice of another region sounds as it was trained: its own rules read what is in its language.
            let rules = if language.is_kin(self.config.language) { self.config.language } else { language };
            let sounds = self.phonemes.of(&texts, rules, stop)?;
            for ((at, run_at), sound) in asked.into_iter().zip(sounds) {
                clauses[at].1[run_at] = sound;
            }
        }
        for (clause, sounds) in &mut clauses {
            for (run, sound) in clause.runs.iter().zip(sounds) {
                if let Run::Ipa(ipa) = run {
                    sound.clone_from(ipa);
                }
            }
        }
        Ok(clauses)
    }

    fn make(&self, phrase: &Phrase, deadline: Instant, stop: &AtomicBool) -> Result<Vec<f32>, Error> {
        let Config { noise, length, noise_w, .. } = self.config;
        let input = Input {
            ids: &phrase.ids,
            scales: [noise, (length / phrase.tone.rate.max(0.1)).clamp(0.05, 20.0), noise_w],
            speaker: self.speaker,
        };
        let mut network = self.take(deadline, stop)?;
        let mut samples = network.get().run(&input).map_err(Error::Failed)?;
        drop(network);
        if samples.len() > PHRASE_SECONDS_MAX * self.info.rate_hz as usize {
            return Err(Error::Failed("the model does not stop".to_owned()));
        }
        if !samples.iter().all(|sample| sample.is_finite()) {
            return Err(Error::Failed("the model makes no sound that can be heard".to_owned()));
        }
        for sample in &mut samples {
            *sample = (*sample * phrase.tone.gain).clamp(-1.0, 1.0);
        }
        Ok(samples)
    }

    /// A network, as soon as one is idle.
    fn take(&self, deadline: Instant, stop: &AtomicBool) -> Result<Taken<'_>, Error> {
        let mut idle = self.idle();
        loop {
            if let Some(network) = idle.pop() {
                return Ok(Taken { of: self, network: Some(network) });
            }
            self.check(deadline, stop)?;
            idle = self.freed.wait_timeout(idle, LOOK_EVERY).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn check(&self, deadline: Instant, stop: &AtomicBool) -> Result<(), Error> {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        if now() > deadline {
            return Err(Error::TimedOut(self.within.as_millis() as u64));
        }
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Box<dyn Network>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A network in use; dropping it, also by a panic, makes it idle again.
struct Taken<'a> {
    of: &'a Piper,
    network: Option<Box<dyn Network>>,
}

impl Taken<'_> {
    fn get(&mut self) -> &mut dyn Network {
        self.network.as_mut().expect("it is there until it is dropped").as_mut()
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.of.idle().extend(self.network.take());
        self.of.freed.notify_one();
    }
}

impl Voice for Piper {
    fn info(&self) -> &Info {
        &self.info
    }

    fn ready(&self) -> Result<(), Error> {
        // The network is loaded; what may be missing is the program that knows how words sound.
        self.phonemes.of(&["a"], self.config.language, &AtomicBool::new(false)).map(|_| ())
    }

    fn speak(&self, sentence: &Sentence, stop: &AtomicBool, made: &mut dyn FnMut(Made<'_>)) -> Result<(), Error> {
        sentence.check()?;
        let deadline = now() + self.within;
        let phrases = phrase::phrases(&self.sounds(sentence, stop)?, &self.config);
        let mut envelope = Envelope::of_recordings(self.info.rate_hz);
        for phrase in &phrases {
            self.check(deadline, stop)?;
            let samples = self.make(phrase, deadline, stop)?;
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            if !samples.is_empty() {
                envelope.hear(&samples);
                made(Made::Samples(&samples));
            }
        }
        for (index, at_sample) in envelope.places(sentence).into_iter().enumerate() {
            made(Made::Word { index, at_sample });
        }
        Ok(())
    }
}

/// The shell's clock.
#[expect(clippy::disallowed_methods, reason = "whoever lets a model work needs a clock")]
fn now() -> Instant {
    Instant::now()
}
