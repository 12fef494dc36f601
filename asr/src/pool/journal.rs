//! What a stream of the ears took in, noted so that it can be heard again.
//!
//! A listener is a pure function of the calls made on it, in their order and with their times. Each is noted
//! under the lock that orders them: windows with their samples, bit for bit, marks, the moments at which a decode
//! was taken, and how each decode came out (not what it said: the models are asked again). A score is noted as it
//! was. Written by the voice-activity thread and the workers, who never wait for it; read by [`super::replay`].

use std::{
    fmt,
    time::{Duration, Instant},
};

use media::{
    journal::{
        Journal, Kind, Record,
        body::{Put, Short, Take},
    },
    time::MediaTime,
};

use super::StreamConfig;
use crate::{
    recognizer::{Error, Hints, Hypothesis, Info},
    vad::gate::WINDOW_SAMPLES,
};

/// Where one stream's inputs are noted.
pub(super) struct Notes {
    journal: Journal,
    track: u32,
}

impl Notes {
    /// Notes that a stream was opened.
    pub(super) fn open(journal: &Journal, config: &StreamConfig, info: &Info) -> Self {
        let notes = Self { journal: journal.clone(), track: journal.new_track() };
        let hints = &config.hints;
        let body = Put::new()
            .text(info.engine)
            .text(&info.model)
            .u32(info.window_max_s)
            .text(hints.language.as_deref().unwrap_or_default())
            .u8(u8::from(config.partials))
            .u8(u8::from(config.live))
            .u32(config.endpointing_ms)
            .u64(config.starts_at.ticks());
        let body = put_terms(body, hints).u32(config.turn_after_ms.unwrap_or(NEVER));
        notes.journal.note(Kind::EarsOpened, notes.track, body.done());
        notes
    }

    /// The number of the stream in its journal.
    pub(super) fn track(&self) -> u32 {
        self.track
    }

    pub(super) fn heard(&self, samples: &[f32], has_failed: bool, at: Instant) {
        let body = Put::new().u64(self.journal.nanos(at)).u8(u8::from(has_failed)).samples(samples);
        self.journal.note(Kind::EarsHeard, self.track, body.done());
    }

    pub(super) fn told(&self, what: Mark, at: Instant) {
        let body = Put::new().u8(what as u8).u64(self.journal.nanos(at));
        self.journal.note(Kind::EarsTold, self.track, body.done());
    }

    pub(super) fn expects(&self, hints: &Hints) {
        let body = Put::new().u8(EXPECTS).text(hints.language.as_deref().unwrap_or_default());
        self.journal.note(Kind::EarsTold, self.track, put_terms(body, hints).done());
    }

    pub(super) fn answered(&self, job: u64, answer: &Result<Hypothesis, Error>, cost: Duration) {
        let outcome = match answer {
            Ok(_) => Outcome::Words,
            Err(Error::Aborted) => Outcome::Aborted,
            Err(Error::Engine(_) | Error::Model { .. }) => Outcome::Failed,
        };
        let cost = u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX);
        let body = Put::new().u8(ANSWERED).u64(job).u8(outcome as u8).u64(cost);
        self.journal.note(Kind::EarsTold, self.track, body.done());
    }

    pub(super) fn scored(&self, job: u64, probability: Option<f32>) {
        let body = Put::new().u8(SCORED).u64(job).u32(probability.unwrap_or(f32::NAN).to_bits());
        self.journal.note(Kind::EarsTold, self.track, body.done());
    }
}

fn put_terms(body: Put, hints: &Hints) -> Put {
    let body = body.u32(u32::try_from(hints.keyterms.len()).unwrap_or(u32::MAX));
    hints.keyterms.iter().fold(body, |body, term| body.text(term))
}

fn take_language(body: &mut Take<'_>) -> Result<Option<String>, Short> {
    Ok(Some(body.text()?.to_owned()).filter(|language| !language.is_empty()))
}

fn take_terms(body: &mut Take<'_>) -> Result<Vec<String>, Short> {
    let terms = body.u32()?;
    (0..terms).map(|_| body.text().map(str::to_owned)).collect()
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notes").field("track", &self.track).finish_non_exhaustive()
    }
}

/// Something that happens to a listener at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It was asked by when it wants a decode.
    Asked = 1,
    /// A final was asked for.
    Finalized = 2,
    /// Its audio ended.
    Ended = 3,
    /// A worker took a decode, if there was one.
    Taken = 4,
}

const ANSWERED: u8 = 5;
const EXPECTS: u8 = 6;
const SCORED: u8 = 7;

/// How long a stream waits that never asks whether somebody is done.
const NEVER: u32 = u32::MAX;

/// How a decode came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With words, or with the certainty that there are none.
    Words = 0,
    /// It was stopped, because nobody needed it any more.
    Aborted = 1,
    /// The recognizer failed.
    Failed = 2,
}

/// A stream as it was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// What it wanted.
    pub config: StreamConfig,
    /// The recognizer's engine, such as `moonshine`.
    pub engine: String,
    /// The recognizer's model.
    pub model: String,
    /// The longest window that it was decoded in, in seconds.
    pub window_max_s: u32,
}

/// No call lasts longer: some three years.
const LATEST: MediaTime = MediaTime::from_millis(100_000_000_000);

/// One call that was made on a listener.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It took a window.
    Heard {
        /// 16 kHz mono, at most [`WINDOW_SAMPLES`].
        samples: Vec<f32>,
        /// Whether voice activity detection failed on it, so that it was heard as silence.
        has_failed: bool,
        /// Since the call began.
        at: Duration,
    },
    /// It was told something.
    Told {
        /// What.
        mark: Mark,
        /// Since the call began.
        at: Duration,
    },
    /// It was told what to expect.
    Expected(Hints),
    /// It was given the answer to a decode.
    Answered {
        /// Which.
        job: u64,
        /// How it came out.
        outcome: Outcome,
        /// What it cost the worker.
        cost: Duration,
    },
    /// It was told how likely a speaker was done.
    Scored {
        /// By which job.
        job: u64,
        /// 0..=1; `None` when the model failed.
        probability: Option<f32>,
    },
}

impl Opened {
    /// Reads [`Kind::EarsOpened`].
    ///
    /// # Errors
    /// [`Short`] when the body is something else.
    pub fn read(record: &Record) -> Result<Self, Short> {
        let mut body = Take::new(&record.body);
        let (engine, model) = (body.text()?.to_owned(), body.text()?.to_owned());
        let window_max_s = body.u32()?;
        let language = take_language(&mut body)?;
        let (partials, live) = (body.u8()? != 0, body.u8()? != 0);
        let endpointing_ms = body.u32()?;
        let starts_at = MediaTime::from_ticks(body.u64()?);
        if starts_at > LATEST {
            return Err(Short { at: 0 });
        }
        let keyterms = take_terms(&mut body)?;
        // Absent from streams that were noted before anything could be asked.
        let turn_after_ms = if body.end().is_ok() { None } else { Some(body.u32()?).filter(|&ms| ms != NEVER) };
        body.end()?;
        let hints = Hints { language, keyterms };
        let config = StreamConfig { hints, partials, endpointing_ms, starts_at, live, turn_after_ms };
        Ok(Self { config, engine, model, window_max_s })
    }
}

impl Step {
    /// Reads [`Kind::EarsHeard`] and [`Kind::EarsTold`]; nothing for records of other kinds.
    ///
    /// # Errors
    /// [`Short`] when the body is something else.
    pub fn read(record: &Record) -> Result<Option<Self>, Short> {
        let mut body = Take::new(&record.body);
        let step = match record.kind {
            Kind::EarsHeard => {
                let (at, has_failed) = (Duration::from_nanos(body.u64()?), body.u8()? != 0);
                let samples = body.samples()?;
                if samples.len() > WINDOW_SAMPLES {
                    return Err(Short { at: record.body.len() });
                }
                Self::Heard { samples, has_failed, at }
            }
            Kind::EarsTold => match body.u8()? {
                ANSWERED => {
                    let job = body.u64()?;
                    let outcome = match body.u8()? {
                        0 => Outcome::Words,
                        1 => Outcome::Aborted,
                        2 => Outcome::Failed,
                        _ => return Err(Short { at: 9 }),
                    };
                    Self::Answered { job, outcome, cost: Duration::from_nanos(body.u64()?) }
                }
                SCORED => {
                    let (job, probability) = (body.u64()?, f32::from_bits(body.u32()?));
                    if !probability.is_nan() && !(0.0..=1.0).contains(&probability) {
                        return Err(Short { at: 9 });
                    }
                    Self::Scored { job, probability: Some(probability).filter(|probability| !probability.is_nan()) }
                }
                EXPECTS => {
                    let language = take_language(&mut body)?;
                    Self::Expected(Hints { language, keyterms: take_terms(&mut body)? })
                }
                mark => {
                    let mark = match mark {
                        1 => Mark::Asked,
                        2 => Mark::Finalized,
                        3 => Mark::Ended,
                        4 => Mark::Taken,
                        _ => return Err(Short { at: 0 }),
                    };
                    Self::Told { mark, at: Duration::from_nanos(body.u64()?) }
                }
            },
            _ => return Ok(None),
        };
        body.end()?;
        Ok(Some(step))
    }
}
