//! The reading half of a line: samples at the reader's rate, words with their places, and how each utterance ended.

use std::{collections::VecDeque, sync::Arc};

use media::dsp::resample::Resampler;

use super::{
    cell::Cell,
    line::{Answer, Of, Out},
};
use crate::{
    cache::Spoken,
    viseme::{Shape, Viseme},
    voice::Error,
};

/// Samples of the voice that are resampled at once, about 100 ms: the first of a long sentence leave before the last
/// are looked at.
const PIECE_SAMPLES: usize = 2_048;

/// What a reader is told, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// The next samples of an utterance: mono f32 in [-1, 1] at the reader's rate. Pauses are among them.
    Samples {
        /// On whose behalf.
        turn: u64,
        /// Which utterance of the line, from 1.
        utterance: u64,
        /// The samples, never none.
        samples: Vec<f32>,
    },
    /// A word begins. It may be told after the samples in which it does, but always before the end of its utterance.
    Word {
        /// On whose behalf.
        turn: u64,
        /// Which utterance of the line.
        utterance: u64,
        /// The word as it was written.
        text: String,
        /// The sample of the utterance, at the reader's rate, at which it begins.
        at_sample: u64,
    },
    /// The mouth takes a shape. Told where [`super::Options::visemes`] are wanted: in the order of a sentence, perhaps
    /// after its samples, always before the end of its utterance. Between sentences the mouth is at rest.
    Viseme {
        /// On whose behalf.
        turn: u64,
        /// Which utterance of the line.
        utterance: u64,
        /// The shape.
        viseme: Viseme,
        /// The sample of the utterance, at the reader's rate, at which it begins.
        at_sample: u64,
        /// For so many samples.
        samples: u64,
    },
    /// That was all of an utterance.
    Finished {
        /// On whose behalf.
        turn: u64,
        /// Which utterance of the line.
        utterance: u64,
    },
    /// An utterance broke off, or never began; whatever came of it before is as it should be.
    Failed {
        /// On whose behalf.
        turn: u64,
        /// Which utterance of the line.
        utterance: u64,
        /// Why.
        error: Error,
    },
    /// An utterance was hushed.
    Dropped {
        /// On whose behalf.
        turn: u64,
        /// Which utterance of the line.
        utterance: u64,
    },
}

/// The reading half of a line. Dropping it stops what is being said and frees its place.
pub struct Speech {
    cell: Arc<Cell>,
    resampler: Resampler,
    voice_hz: u32,
    rate_hz: u32,
    /// The utterance whose samples are in the resampler.
    reading: Option<Of>,
    /// Samples of it that were given, at the reader's rate, and those of sentences that are over.
    given: u64,
    sentence_at: u64,
    /// Samples that are still to be resampled.
    rest: Option<Rest>,
    /// What was made of one piece and waits to be told.
    ready: VecDeque<Said>,
}

/// Samples of one piece at the voice's rate, and how many of them are done.
struct Rest {
    of: Of,
    samples: Samples,
    done: usize,
}

enum Samples {
    Made(Vec<f32>),
    Known(Arc<Spoken>),
}

impl Samples {
    fn all(&self) -> &[f32] {
        match self {
            Self::Made(samples) => samples,
            Self::Known(spoken) => &spoken.samples,
        }
    }
}

impl Speech {
    pub(super) fn new(cell: Arc<Cell>, resampler: Resampler, voice_hz: u32, rate_hz: u32) -> Self {
        let ready = VecDeque::new();
        Self { cell, resampler, voice_hz, rate_hz, reading: None, given: 0, sentence_at: 0, rest: None, ready }
    }

    /// What is said next; `None` after the last. Cancel-safe.
    pub async fn next(&mut self) -> Option<Said> {
        loop {
            match self.take() {
                Some(said) => return said,
                None => self.cell.changed(&self.cell.news).await,
            }
        }
    }

    /// The same, blocking the calling thread. Never call it on an async thread.
    pub fn next_blocking(&mut self) -> Option<Said> {
        loop {
            match self.take() {
                Some(said) => return said,
                None => self.cell.wait_for_news(),
            }
        }
    }

    /// Drops every turn up to `turn`: nothing of it comes out any more but that it was dropped.
    pub fn hush(&mut self, turn: u64) {
        self.cell.hush(turn);
    }

    /// Sample rate of all samples.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// What is ready; `Some(None)` after the last.
    fn take(&mut self) -> Option<Option<Said>> {
        self.forget_hushed();
        loop {
            if let Some(said) = self.ready.pop_front() {
                return Some(Some(said));
            }
            if self.go_on() {
                continue;
            }
            match self.cell.take_out()? {
                Some(out) => self.on_out(out),
                None => return Some(None),
            }
        }
    }

    /// Whoever hushed the line means what was taken from it, too.
    fn forget_hushed(&mut self) {
        let Some(hushed) = super::lock(&self.cell.line).hushed() else { return };
        self.rest.take_if(|rest| rest.of.turn <= hushed);
        self.ready.retain(|said| match said {
            Said::Samples { turn, .. } | Said::Word { turn, .. } | Said::Viseme { turn, .. } => *turn > hushed,
            Said::Finished { .. } | Said::Failed { .. } | Said::Dropped { .. } => true,
        });
    }

    fn on_out(&mut self, out: Out) {
        match out {
            Out::Samples(of, samples) => self.on_samples(of, Samples::Made(samples)),
            Out::Known(of, spoken, sentence) => {
                self.begin(of);
                for (index, at_sample) in &spoken.words {
                    self.on_word(of, super::written(&sentence, *index), *at_sample);
                }
                self.on_shapes(of, &spoken.shapes);
                self.on_samples(of, Samples::Known(spoken));
            }
            Out::Silence(of, samples) => {
                self.begin(of);
                let count = self.at_rate(samples);
                self.tell_samples(of, vec![0.0; count as usize]);
            }
            Out::Word(of, text, at_sample) => self.on_word(of, text, at_sample),
            Out::Shapes(of, shapes) => self.on_shapes(of, &shapes),
            Out::SentenceEnd(of) => {
                self.begin(of);
                let mut tail = Vec::new();
                self.resampler.flush(&mut tail);
                self.tell_samples(of, tail);
                self.sentence_at = self.given;
            }
            Out::Answer(of, answer) => self.on_answer(of, answer),
        }
    }

    fn on_samples(&mut self, of: Of, samples: Samples) {
        self.begin(of);
        self.rest = Some(Rest { of, samples, done: 0 });
    }

    /// Resamples a little more of what there is; false when there is nothing.
    fn go_on(&mut self) -> bool {
        let Some(mut rest) = self.rest.take() else { return false };
        let all = rest.samples.all();
        let piece = &all[rest.done..all.len().min(rest.done + PIECE_SAMPLES)];
        let mut resampled = Vec::with_capacity(self.at_rate(piece.len() as u64) as usize + 64);
        self.resampler.process(piece, &mut resampled);
        rest.done += piece.len();
        let (of, is_over) = (rest.of, rest.done == all.len());
        self.rest = (!is_over).then_some(rest);
        self.tell_samples(of, resampled);
        true
    }

    fn on_word(&mut self, of: Of, text: String, at_sample: u64) {
        self.begin(of);
        // A word that was too long for a sentence is told once.
        if !text.is_empty() {
            let at_sample = self.sentence_at + self.at_rate(at_sample);
            self.ready.push_back(Said::Word { turn: of.turn, utterance: of.utterance, text, at_sample });
        }
    }

    fn on_shapes(&mut self, of: Of, shapes: &[Shape]) {
        self.begin(of);
        for Shape { viseme, at_sample, samples } in shapes {
            let from = self.at_rate(*at_sample);
            let samples = self.at_rate(at_sample + samples).saturating_sub(from);
            let at_sample = self.sentence_at + from;
            let Of { turn, utterance } = of;
            self.ready.push_back(Said::Viseme { turn, utterance, viseme: *viseme, at_sample, samples });
        }
    }

    fn on_answer(&mut self, Of { turn, utterance }: Of, answer: Answer) {
        self.ready.push_back(match answer {
            Answer::Finished => Said::Finished { turn, utterance },
            Answer::Failed(error) => Said::Failed { turn, utterance, error },
            Answer::Dropped => Said::Dropped { turn, utterance },
        });
    }

    /// The samples of another utterance come: what the resampler holds of one that was dropped is lost with it.
    fn begin(&mut self, of: Of) {
        if self.reading == Some(of) {
            return;
        }
        self.reading = Some(of);
        (self.given, self.sentence_at) = (0, 0);
        self.resampler.flush(&mut Vec::new());
    }

    fn tell_samples(&mut self, of: Of, samples: Vec<f32>) {
        if !samples.is_empty() {
            self.given += samples.len() as u64;
            self.ready.push_back(Said::Samples { turn: of.turn, utterance: of.utterance, samples });
        }
    }

    fn at_rate(&self, samples: u64) -> u64 {
        samples * u64::from(self.rate_hz) / u64::from(self.voice_hz)
    }
}

impl Drop for Speech {
    fn drop(&mut self) {
        self.cell.abandon();
    }
}
