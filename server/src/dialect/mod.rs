//! The dialects: other services' protocols, spoken so that their clients work here unchanged.
//!
//! Each dialect translates and nothing more; hearing is [`crate::live`]'s and [`crate::transcribe`]'s business.

pub mod deepgram;
mod openai_body;
mod openai_error;
mod openai_form;
mod openai_params;
pub mod openai_rest;
mod vosk;
mod whisperlive;
mod wire;

use axum::Router;

use crate::app::App;

/// The routes of every dialect.
pub fn routes() -> Router<App> {
    Router::new()
        .merge(deepgram::routes())
        .merge(openai_rest::routes())
        .merge(vosk::routes())
        .merge(whisperlive::routes())
}
