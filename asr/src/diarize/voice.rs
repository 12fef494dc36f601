//! What a voice sounds like: 256 numbers for some speech, alike for the same person and unlike for others.
//!
//! A recurrent model that learned from pieces of 1.6 s and is given such pieces. How loud somebody is says nothing
//! about who it is, so every piece is brought to one loudness. Source: GE2E as trained for Resemblyzer 0.1.4,
//! Apache-2.0. Tensor `[batch, frames, 40]` to unit vectors `[batch, 256]`.

use std::path::Path;

use super::{
    cluster::dot,
    mel::{MELS, Row},
};
use crate::{
    onnx::{self, Input, Library, Selection, Session},
    recognizer::Error,
};

/// Numbers of a voice.
const DIMENSIONS: usize = 256;

/// Mean square that every piece is brought to: 30 dB below full, as the model's training data.
const LOUDNESS: f32 = 1e-3;

/// Kept from dividing by the silence of a dead line.
const LOUDNESS_MIN: f32 = 1e-12;

/// The loaded model.
#[derive(Debug)]
pub(super) struct Voice {
    session: Session,
    select: Selection,
    mels: Vec<f32>,
}

impl Voice {
    /// Loads `resemblyzer_ge2e.onnx` and shows it a second of silence.
    ///
    /// # Errors
    /// [`Error::Model`] when the file is missing, cut, or another model.
    pub(super) fn load(library: &Library, model: &Path) -> Result<Self, Error> {
        let bytes = onnx::read_model(model)?;
        let session = library.session(model, &bytes)?;
        if !session.inputs().eq(["mels"]) || !session.outputs().eq(["embedding"]) {
            return Err(onnx::model_error(model, "not a GE2E voice model"));
        }
        let mut voice = Self { session, select: Selection::new(["embedding"])?, mels: Vec::new() };
        // A damaged file may load and still not run: better said at once than in the middle of a recording.
        let silence = [Row { bands: [0.0; MELS], power: 0.0 }; 100];
        voice.of(silence.iter()).map_err(|error| onnx::model_error(model, error))?;
        Ok(voice)
    }

    /// The voice in these rows, a unit vector.
    ///
    /// # Errors
    /// [`Error::Engine`] when the engine fails.
    pub(super) fn of<'a>(&mut self, rows: impl Iterator<Item = &'a Row>) -> Result<Vec<f32>, Error> {
        self.mels.clear();
        let (mut power, mut count) = (0.0_f32, 0_usize);
        for row in rows {
            self.mels.extend_from_slice(&row.bands);
            power += row.power;
            count += 1;
        }
        let gain = LOUDNESS / (power / count.max(1) as f32).max(LOUDNESS_MIN);
        for mel in &mut self.mels {
            *mel *= gain;
        }
        let outputs = self.session.run(&[Input::F32(&[1, count, MELS], &self.mels)], &self.select)?;
        match outputs[0].f32s()? {
            (_, vector) if vector.len() == DIMENSIONS && vector.iter().all(|part| part.is_finite()) => {
                // The model ends with that; an export of it may leave it to whoever uses it.
                let length = dot(vector, vector).sqrt().max(f32::MIN_POSITIVE);
                Ok(vector.iter().map(|part| part / length).collect())
            }
            (shape, _) => Err(Error::Engine(format!("voice: {shape:?} holds no voice"))),
        }
    }
}
