//! What a stream of the ears took in, noted so that it can be heard again.
//!
//! A listener is a pure function of the calls made on it, in their order and with their times. Each is noted
//! under the lock that orders them: windows with their samples, bit for bit, marks, the moments at which a decode
//! was taken, and how each decode came out (not what it said: the models are asked again). A score is noted as it
//! was, and so is what was said of voices. Written by the threads of the ears, who never wait for it; read by
//! [`super::replay`].

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
    diarize::{Diarization, VoiceId},
    event::{UtteranceId, VoiceRun},
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
        notes.journal.note(Kind::EarsOpened, notes.track, opening(config, info));
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

    pub(super) fn labelled(&self, utterance: UtteranceId, runs: &[VoiceRun]) {
        self.journal.note(Kind::EarsTold, self.track, put_runs(LABELLED, utterance, runs).done());
    }

    pub(super) fn relabelled(&self, utterance: UtteranceId, runs: &[VoiceRun]) {
        self.journal.note(Kind::EarsTold, self.track, put_runs(RELABELLED, utterance, runs).done());
    }
}

/// A stream as it is opened.
fn opening(config: &StreamConfig, info: &Info) -> Vec<u8> {
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
    let known = config.diarization.as_ref().map(|wish| u32::try_from(wish.known.len()).unwrap_or(NEVER - 1));
    put_terms(body, hints).u32(config.turn_after_ms.unwrap_or(NEVER)).u32(known.unwrap_or(NEVER)).done()
}

fn put_runs(what: u8, utterance: UtteranceId, runs: &[VoiceRun]) -> Put {
    let body = Put::new().u8(what).u64(utterance.0).u32(u32::try_from(runs.len()).unwrap_or(u32::MAX));
    runs.iter().fold(body, |body, run| {
        let voice = run.voice.map_or(NOBODY, |voice| voice.0.into());
        body.u32(u32::try_from(run.words).unwrap_or(u32::MAX)).u32(voice).u32(run.confidence.to_bits())
    })
}

fn take_runs(body: &mut Take<'_>) -> Result<(UtteranceId, Vec<VoiceRun>), Short> {
    let utterance = UtteranceId(body.u64()?);
    let count = body.u32()?;
    let runs = (0..count).map(|_| take_run(body)).collect::<Result<Vec<_>, _>>()?;
    Ok((utterance, runs))
}

fn take_run(body: &mut Take<'_>) -> Result<VoiceRun, Short> {
    let (words, voice, confidence) = (body.u32()?, body.u32()?, f32::from_bits(body.u32()?));
    let voice = match voice {
        NOBODY => None,
        voice => Some(VoiceId(u16::try_from(voice).map_err(|_| Short { at: 0 })?)),
    };
    if words == 0 || !(0.0..=1.0).contains(&confidence) {
        return Err(Short { at: 0 });
    }
    Ok(VoiceRun { words: words as usize, voice, confidence })
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
const LABELLED: u8 = 8;
const RELABELLED: u8 = 9;

/// The voice of nobody that is known. No voice has so high a number.
const NOBODY: u32 = u32::MAX;

/// How long a stream waits that never asks whether somebody is done, and how many voices one knows that is told of none.
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
    /// What it wanted; without the voices that were known to it, which belong to their people.
    pub config: StreamConfig,
    /// How many voices were known to it: the first that is none of them has this number.
    pub known_voices: u32,
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
    /// The words that waited first were labelled.
    Labelled {
        /// Whose words.
        utterance: UtteranceId,
        /// As it was said.
        voices: Vec<VoiceRun>,
    },
    /// What was said of voices was put right.
    Relabelled {
        /// Whose words.
        utterance: UtteranceId,
        /// As it was said.
        voices: Vec<VoiceRun>,
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
        // Absent from streams that were noted before voices were told apart.
        let known = if body.end().is_ok() { None } else { Some(body.u32()?).filter(|&known| known != NEVER) };
        body.end()?;
        let hints = Hints { language, keyterms };
        let diarization = known.map(|_| Diarization::default());
        let config = StreamConfig { hints, partials, endpointing_ms, starts_at, live, turn_after_ms, diarization };
        Ok(Self { config, known_voices: known.unwrap_or(0), engine, model, window_max_s })
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
                LABELLED => {
                    let (utterance, voices) = take_runs(&mut body)?;
                    Self::Labelled { utterance, voices }
                }
                RELABELLED => {
                    let (utterance, voices) = take_runs(&mut body)?;
                    Self::Relabelled { utterance, voices }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarize::print::VoicePrint;

    fn written(kind: Kind, body: Vec<u8>) -> Record {
        Record { kind, track: 1, body }
    }

    fn info() -> Info {
        Info { engine: "moonshine", model: "tiny".to_owned(), languages: vec!["en".to_owned()], window_max_s: 20 }
    }

    #[test]
    fn a_stream_is_read_as_it_was_opened_but_for_the_voices_that_it_knew() {
        let print = VoicePrint { model: "any".into(), voice: vec![1.0; 32].into() };
        for known in [None, Some(0), Some(2)] {
            let diarization = known.map(|count| Diarization { known: vec![print.clone(); count], expected: Some(3) });
            let config = StreamConfig { turn_after_ms: Some(200), diarization, ..StreamConfig::default() };
            let body = opening(&config, &info());
            let opened = Opened::read(&written(Kind::EarsOpened, body)).expect("our own record");
            assert_eq!(opened.config.turn_after_ms, Some(200));
            assert_eq!(opened.config.diarization, known.map(|_| Diarization::default()));
            assert_eq!(opened.known_voices as usize, known.unwrap_or(0));
        }
    }

    #[test]
    fn streams_of_older_journals_are_told_nothing_of_voices_or_turns() {
        let config = StreamConfig { turn_after_ms: Some(200), ..StreamConfig::default() };
        let body = opening(&config, &info());
        let without_voices = body[..body.len() - 4].to_vec();
        let opened = Opened::read(&written(Kind::EarsOpened, without_voices)).expect("an older record");
        assert_eq!((opened.config.turn_after_ms, opened.config.diarization), (Some(200), None));
        let without_turns = body[..body.len() - 8].to_vec();
        let opened = Opened::read(&written(Kind::EarsOpened, without_turns)).expect("an older record");
        assert_eq!((opened.config.turn_after_ms, opened.config.diarization), (None, None));
        assert!(Opened::read(&written(Kind::EarsOpened, body[..body.len() - 2].to_vec())).is_err());
    }

    #[test]
    fn labels_are_read_as_they_were_noted() {
        let voices = vec![
            VoiceRun { words: 3, voice: Some(VoiceId(u16::MAX)), confidence: 0.25 },
            VoiceRun { words: 1, voice: None, confidence: 0.0 },
        ];
        let utterance = UtteranceId(7);
        let read = |what| Step::read(&written(Kind::EarsTold, put_runs(what, utterance, &voices).done()));
        let labelled = Step::Labelled { utterance, voices: voices.clone() };
        assert_eq!(read(LABELLED).expect("our own record"), Some(labelled));
        let relabelled = Step::Relabelled { utterance, voices: voices.clone() };
        assert_eq!(read(RELABELLED).expect("our own record"), Some(relabelled));
    }

    #[test]
    fn labels_that_make_no_sense_are_refused() {
        let run = VoiceRun { words: 1, voice: None, confidence: 1.0 };
        for bad in [
            VoiceRun { words: 0, ..run },
            VoiceRun { confidence: f32::NAN, ..run },
            VoiceRun { confidence: 1.5, ..run },
        ] {
            let body = put_runs(LABELLED, UtteranceId(0), &[run, bad]).done();
            assert!(Step::read(&written(Kind::EarsTold, body)).is_err(), "{bad:?}");
        }
        let whole = put_runs(LABELLED, UtteranceId(0), &[run]).done();
        for end in 0..whole.len() {
            assert!(Step::read(&written(Kind::EarsTold, whole[..end].to_vec())).is_err(), "cut at {end}");
        }
        // More runs than the record holds.
        let body = Put::new().u8(LABELLED).u64(0).u32(u32::MAX).done();
        assert!(Step::read(&written(Kind::EarsTold, body)).is_err());
        // A voice that no stream has.
        let body = Put::new().u8(LABELLED).u64(0).u32(1).u32(1).u32(70_000).u32(0).done();
        assert!(Step::read(&written(Kind::EarsTold, body)).is_err());
    }
}
