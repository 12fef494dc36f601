//! End of turn: how likely it is that somebody who has just paused is done, from the sound alone.
//!
//! smart-turn v3 hears the melody of the last eight seconds: a voice that falls and ends is done, one that hangs
//! is not. It only scores; what follows from the number is decided elsewhere, with the words at hand. Runs on the
//! `asr-N` threads for streams that ask ([`crate::pool::StreamConfig::turn_after_ms`]), once a pause; never on a
//! real-time thread. Source: smart-turn v3.2, BSD-2. Tensor `[B, 80, 800]` to a probability `[B, 1]`.

pub mod features;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use self::features::{FRAMES, Features, MELS, SAMPLES};
use crate::{
    onnx::{self, Input, Library, Selection, Session},
    recognizer::Error,
};

/// The model on disk, proven to load and run: gives every worker thread that scores its own [`EndOfTurn`].
#[derive(Debug)]
pub struct Model {
    library: Library,
    path: PathBuf,
    /// The one that proved the file, waiting for the first worker that scores.
    proven: Mutex<Option<EndOfTurn>>,
}

impl Model {
    /// Loads `smart-turn-v3.2-cpu.onnx`.
    ///
    /// # Errors
    /// [`Error::Model`] when the file is missing, cut, or another model.
    pub fn load(library: &Library, model: &Path) -> Result<Self, Error> {
        let proven = Mutex::new(Some(EndOfTurn::load(library, model)?));
        Ok(Self { library: library.clone(), path: model.to_owned(), proven })
    }

    /// One for a worker thread. Each holds the weights of its own, so that no worker waits for another.
    ///
    /// # Errors
    /// [`Error::Model`] when the file has changed meanwhile, or memory is short.
    pub fn scorer(&self) -> Result<EndOfTurn, Error> {
        let proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner).take();
        proven.map_or_else(|| EndOfTurn::load(&self.library, &self.path), Ok)
    }
}

/// The loaded model with the features it is given.
#[derive(Debug)]
pub struct EndOfTurn {
    session: Session,
    select: Selection,
    features: Features,
}

impl EndOfTurn {
    /// Loads `smart-turn-v3.2-cpu.onnx` and scores a moment of silence with it.
    ///
    /// # Errors
    /// [`Error::Model`] when the file is missing, cut, or another model.
    pub fn load(library: &Library, model: &Path) -> Result<Self, Error> {
        let bytes = onnx::read_model(model)?;
        let session = library.session(model, &bytes)?;
        // The output is named for the logit that it was; the graph ends in a sigmoid.
        if !session.inputs().eq(["input_features"]) || !session.outputs().eq(["logits"]) {
            return Err(onnx::model_error(model, "not a smart-turn model of version 3"));
        }
        let mut turn = Self { session, select: Selection::new(["logits"])?, features: Features::new() };
        // A damaged file may load and still not run: better said at start than on the first caller.
        turn.score(&[]).map_err(|error| onnx::model_error(model, error))?;
        Ok(turn)
    }

    /// How likely it is, 0..=1, that whoever spoke last in `sound` is done. `sound` is 16 kHz mono in [-1, 1] and
    /// ends where the pause has lasted for some 200 ms; of more than 8 s only the last count, and what is missing
    /// is silence. Samples that are not numbers are heard as silence.
    ///
    /// The score of sound without speech means nothing.
    ///
    /// # Errors
    /// [`Error::Engine`] when the engine fails; the next may work.
    pub fn score(&mut self, sound: &[f32]) -> Result<f32, Error> {
        let features = self.features.of(sound);
        let outputs = self.session.run(&[Input::F32(&[1, MELS, FRAMES], features)], &self.select)?;
        match outputs[0].f32s()? {
            (_, &[probability]) if (0.0..=1.0).contains(&probability) => Ok(probability),
            (shape, _) => Err(Error::Engine(format!("end of turn: {shape:?} holds no probability"))),
        }
    }
}

/// Samples that one score is about: 8 s at 16 kHz. Earlier turns within them do no harm: the same pauses scored
/// alike with another sentence before them.
pub const SCORED_SAMPLES: usize = SAMPLES;
