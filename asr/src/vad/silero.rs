//! Silero: the probability that 32 ms of sound hold speech, for many streams in one run.
//!
//! The model is a recurrent one: each stream keeps its own [`State`] and lends it for a window. Runs on the
//! one voice-activity thread; it decides nothing (that is `vad::gate`) and knows no stream by name.
//! Source: Silero VAD v5/v6, MIT. Tensor `[B, 64 + 512]` and `[2, B, 128]` to `[B, 1]` and `[2, B, 128]`.

use std::path::Path;

use crate::{
    onnx::{self, Input, Library, Selection, Session},
    recognizer::Error,
};

/// Samples in one window: 32 ms at 16 kHz.
pub const WINDOW_SAMPLES: usize = 512;

/// The model sees the end of the window before; without it the scores of v5 and later are worthless.
const CONTEXT_SAMPLES: usize = 64;
const INPUT_SAMPLES: usize = CONTEXT_SAMPLES + WINDOW_SAMPLES;
const HIDDEN: usize = 128;

/// More than this in one run gains nothing: the cost per window is flat from 16 on, and the gathered batch
/// (160 KB) still fits a second-level cache.
const BATCH_MAX: usize = 64;

/// The model misses quiet talkers: of speech 40 dB down it scores half as much. So what is quieter than this
/// (root mean square of the loudest recent window) is raised to it, by 30 dB at most; noise raised by as much
/// still scores below 0.1.
const LEVEL: f32 = 0.05;
const GAIN_MAX: f32 = 30.0;

/// The level falls to a third within 3.5 s, so that pauses are not raised against the words around them.
const LEVEL_KEPT: f32 = 0.99;

/// What the model remembers of one stream: 1.3 KB.
#[derive(Clone, Debug)]
pub struct State {
    /// The two LSTM vectors `[2, 128]`.
    memory: [f32; 2 * HIDDEN],
    /// The last samples of the window before.
    context: [f32; CONTEXT_SAMPLES],
    /// Root mean square of the loudest recent window.
    level: f32,
}

impl State {
    /// Takes a window's level and answers by how much it is raised.
    fn gain(&mut self, samples: &[f32; WINDOW_SAMPLES]) -> f32 {
        let power = samples.iter().map(|sample| sample * sample).sum::<f32>() / WINDOW_SAMPLES as f32;
        self.level = power.sqrt().max(self.level * LEVEL_KEPT);
        if self.level.is_finite() { (LEVEL / self.level).clamp(1.0, GAIN_MAX) } else { 1.0 }
    }
}

impl Default for State {
    fn default() -> Self {
        Self { memory: [0.0; 2 * HIDDEN], context: [0.0; CONTEXT_SAMPLES], level: 0.0 }
    }
}

/// One stream's next window and where its score goes.
#[derive(Debug)]
pub struct Window<'a> {
    /// The stream's memory, carried from window to window.
    pub state: &'a mut State,
    /// 16 kHz mono f32 in [-1, 1].
    pub samples: &'a [f32; WINDOW_SAMPLES],
    /// Probability of speech, 0..=1; written by [`Silero::score`].
    pub speech: f32,
}

/// The loaded model with its gathered batch.
#[derive(Debug)]
pub struct Silero {
    session: Session,
    select: Selection,
    input: Vec<f32>,
    memory: Vec<f32>,
}

impl Silero {
    /// Loads `silero_vad.onnx`.
    ///
    /// # Errors
    /// [`Error::Model`] when the file is missing, cut, or another model.
    pub fn load(library: &Library, model: &Path) -> Result<Self, Error> {
        let bytes = onnx::read_model(model)?;
        let session = library.session(model, &bytes)?;
        if !session.inputs().eq(["input", "state", "sr"]) || !session.outputs().eq(["output", "stateN"]) {
            return Err(onnx::model_error(model, "not a Silero model of version 5 or 6"));
        }
        let mut silero = Self {
            session,
            select: Selection::new(["output", "stateN"])?,
            input: Vec::with_capacity(BATCH_MAX * INPUT_SAMPLES),
            memory: Vec::with_capacity(2 * BATCH_MAX * HIDDEN),
        };
        // A damaged file may load and still not run: better said at start than on the first caller.
        let mut window = Window { state: &mut State::default(), samples: &[0.0; WINDOW_SAMPLES], speech: f32::NAN };
        silero.score(std::slice::from_mut(&mut window)).map_err(|error| onnx::model_error(model, error))?;
        if !(0.0..=0.5).contains(&window.speech) {
            return Err(onnx::model_error(model, format!("hears speech in silence ({})", window.speech)));
        }
        Ok(silero)
    }

    /// Scores the next window of every stream given, in place. The same stream must not appear twice.
    ///
    /// # Errors
    /// [`Error::Engine`] when the engine fails; states of windows not yet scored are unchanged.
    pub fn score(&mut self, windows: &mut [Window<'_>]) -> Result<(), Error> {
        windows.chunks_mut(BATCH_MAX).try_for_each(|batch| self.score_batch(batch))
    }

    fn score_batch(&mut self, batch: &mut [Window<'_>]) -> Result<(), Error> {
        let count = batch.len();
        self.input.clear();
        self.memory.clear();
        for window in batch.iter_mut() {
            let gain = window.state.gain(window.samples);
            let raised = window.state.context.iter().chain(window.samples).map(|sample| sample * gain);
            self.input.extend(raised);
        }
        for layer in 0..2 {
            for window in batch.iter() {
                self.memory.extend_from_slice(&window.state.memory[layer * HIDDEN..][..HIDDEN]);
            }
        }

        let outputs = self.session.run(
            &[
                Input::F32(&[count, INPUT_SAMPLES], &self.input),
                Input::F32(&[2, count, HIDDEN], &self.memory),
                Input::I64(&[], &[16_000]),
            ],
            &self.select,
        )?;
        let (_, speech) = outputs[0].f32s()?;
        let (_, memory) = outputs[1].f32s()?;
        if speech.len() != count || memory.len() != 2 * count * HIDDEN {
            return Err(Error::Engine("voice activity: a result of another shape".to_owned()));
        }

        for (index, window) in batch.iter_mut().enumerate() {
            window.speech = speech[index];
            for layer in 0..2 {
                window.state.memory[layer * HIDDEN..][..HIDDEN]
                    .copy_from_slice(&memory[(layer * count + index) * HIDDEN..][..HIDDEN]);
            }
            window.state.context.copy_from_slice(&window.samples[WINDOW_SAMPLES - CONTEXT_SAMPLES..]);
        }
        Ok(())
    }
}
