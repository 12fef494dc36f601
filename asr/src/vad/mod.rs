//! Voice activity: a model that scores, and a pure gate that decides from the scores.

pub mod calm;
pub mod gate;
pub mod silero;
