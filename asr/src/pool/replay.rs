//! One stream heard again: the calls that were made on its listener, in their order, with the models asked anew.
//!
//! Pure but for the models: no thread, no clock. Voice activity is scored window by window where the live ears
//! score many streams in one batch; the events are the same.

use std::{
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use super::{
    cell::Voice,
    held::Held,
    journal::{Mark, Opened, Outcome, Step},
};
use crate::{
    event::Event,
    listener::{Job, Listener, Task},
    recognizer::{Decoder, Error},
    segment::Score,
    vad::{
        gate::WINDOW_SAMPLES,
        silero::{Silero, Window},
    },
};

/// Where a stream does not do again what it did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Diverged {
    /// Then it wanted a decode and now it wants none, or the other way round.
    #[error("then decode {then} was taken, now {}", match .now { Some(now) => format!("decode {now} is"), None => "none is wanted".to_owned() })]
    Decode {
        /// The number of the decode, then.
        then: u64,
        /// And now.
        now: Option<u64>,
    },
    /// Then somebody was said to speak words that it does not say now, or says otherwise.
    #[error("then it was known who said the words of utterance {utterance}, now there are no such words")]
    Voices {
        /// Which, on its stream.
        utterance: u64,
    },
    /// A model fails that worked then.
    #[error("the model fails: {0}")]
    Model(String),
}

/// A stream in the middle of being heard again.
pub struct Stream {
    listener: Listener,
    held: Held,
    voice: Voice,
    job: Option<Job>,
    /// Any instant will do: only differences are looked at.
    began: Instant,
}

impl Stream {
    /// A stream that has heard nothing; the call's time zero is `began`.
    pub fn new(opened: Opened, began: Instant) -> Self {
        let held = Held::new(opened.config.diarization.is_some(), opened.config.live);
        let listener = Listener::new(opened.config, opened.window_max_s);
        Self { listener, held, voice: Voice::default(), job: None, began }
    }

    /// Does one step again and hands back what the stream says to it.
    ///
    /// # Errors
    /// [`Diverged`] when what was done then cannot be done now.
    pub fn step(&mut self, step: Step, silero: &mut Silero, decoder: &mut dyn Decoder) -> Result<Vec<Event>, Diverged> {
        match step {
            Step::Heard { samples, has_failed, at } => self.hear(&samples, has_failed, self.began + at, silero)?,
            Step::Told { mark, at } => {
                let at = self.began + at;
                match mark {
                    Mark::Asked => drop(self.listener.due(at)),
                    Mark::Finalized => self.listener.finalize(at),
                    Mark::Ended => self.listener.end(at),
                    Mark::Taken => self.job = self.listener.take_job(at),
                }
            }
            Step::Expected(hints) => self.listener.expect(hints),
            Step::Answered { job, outcome, cost } => self.answer(job, outcome, cost, decoder)?,
            Step::Scored { job, probability } => self.score(job, probability)?,
            // What was said of voices is noted, so their models need not be asked.
            Step::Labelled { utterance, voices } => {
                if !self.held.label(utterance, voices) {
                    return Err(Diverged::Voices { utterance: utterance.0 });
                }
            }
            Step::Relabelled { utterance, voices } => self.held.relabel(utterance, voices),
        }
        while let Some(event) = self.listener.poll() {
            self.held.push(event, self.began);
        }
        Ok(std::iter::from_fn(|| self.held.poll()).collect())
    }

    fn hear(&mut self, real: &[f32], has_failed: bool, at: Instant, silero: &mut Silero) -> Result<(), Diverged> {
        let rms = Score::of(real, 0.0).rms;
        let may_skip = self.listener.is_idle() && self.voice.calm.may_skip(rms);
        let mut speech = 0.0;
        if !may_skip && !has_failed {
            let mut samples = [0.0; WINDOW_SAMPLES];
            samples[..real.len()].copy_from_slice(real);
            let mut windows = [Window { state: &mut self.voice.state, samples: &samples, speech: 0.0 }];
            silero.score(&mut windows).map_err(|error| Diverged::Model(error.to_string()))?;
            speech = windows[0].speech;
        }
        self.voice.calm.heard(rms, (!may_skip).then_some(speech));
        self.listener.hear(real, speech, at);
        Ok(())
    }

    /// What a score was is noted, so its model need not be asked.
    fn score(&mut self, then: u64, probability: Option<f32>) -> Result<(), Diverged> {
        let now = self.job.as_ref().map(|job| job.id);
        if self.job.take_if(|job| job.id == then && job.task == Task::Turn).is_none() {
            return Err(Diverged::Decode { then, now });
        }
        self.listener.scored(then, probability);
        Ok(())
    }

    fn answer(
        &mut self,
        then: u64,
        outcome: Outcome,
        cost: Duration,
        decoder: &mut dyn Decoder,
    ) -> Result<(), Diverged> {
        let now = self.job.as_ref().map(|job| job.id);
        let Some(job) = self.job.take_if(|job| job.id == then && job.task != Task::Turn) else {
            return Err(Diverged::Decode { then, now });
        };
        let answer = match outcome {
            Outcome::Words => {
                let answer = decoder.decode(&job.audio, &job.hints, &AtomicBool::new(false));
                Ok(answer.map_err(|error| Diverged::Model(error.to_string()))?)
            }
            Outcome::Aborted => Err(Error::Aborted),
            Outcome::Failed => Err(Error::Engine("as it failed then".to_owned())),
        };
        self.listener.decoded(job.id, answer, cost);
        Ok(())
    }
}
