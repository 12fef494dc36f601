//! From samples to words: voice activity, segmentation, recognizers, streaming agreement and the end of a turn.
//!
//! One [`pool::Ears`] serves every stream of the process: a thread that scores voice activity for all of them
//! in one batch, and a fixed number of workers that decode for whoever's deadline comes first. A stream is
//! given 16 kHz mono samples and gives back [`event::Event`]s. What a model scores and what is decided from
//! the score live in separate files, so that decisions are tested with numbers.

pub mod agree;
pub mod cleaner;
pub mod diarize;
pub mod event;
pub mod hallucination;
pub mod listener;
pub mod moonshine;
pub mod onnx;
pub mod pool;
pub mod recognizer;
pub mod segment;
mod spread;
pub mod turn;
pub mod vad;
pub mod whisper;
