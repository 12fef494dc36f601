//! The dialects: other services' protocols, spoken so that their clients work here unchanged.
//!
//! Each dialect translates and nothing more; hearing is [`crate::live`]'s and [`crate::transcribe`]'s business.

pub mod deepgram;
mod openai_body;
mod openai_error;
mod openai_form;
mod openai_params;
pub(crate) mod openai_realtime;
pub mod openai_rest;
mod openai_speech;
mod spoken;
pub mod twilio;
pub mod vosk;
pub mod whip;
pub mod whisperlive;
pub mod wire;

use asr::diarize::Diarization;
use axum::{Router, response::Response};

use crate::{app::App, error::ApiError, transcribe::Voices};

/// The routes of every dialect.
pub fn routes() -> Router<App> {
    Router::new()
        .merge(deepgram::routes())
        .merge(openai_realtime::routes())
        .merge(openai_rest::routes())
        .merge(openai_speech::routes())
        .merge(vosk::routes())
        .merge(whip::routes())
        .merge(whisperlive::routes())
}

/// What tells the voices of one recording apart, or why nothing does.
async fn voices(app: &App, wish: Diarization) -> Voices {
    let app = app.clone();
    let loading = tokio::task::spawn_blocking(move || Voices::load(app.config(), wish));
    loading.await.unwrap_or_else(|_| Voices::Alike("what does it could not be loaded".into()))
}

/// How errors are spelled on a path that belongs to a vendor; `None` where they are our own.
pub fn spelling(path: &str) -> Option<fn(&ApiError) -> Response> {
    if matches!(path, "/v1/listen" | "/v2/listen" | "/v1/speak" | "/v1/agent/converse") {
        return Some(deepgram::respell);
    }
    if let Some(spell) = twilio::spelling(path) {
        return Some(spell);
    }
    let is_openai = ["/v1/audio/", "/v1/models/", "/v1/realtime/"].iter().any(|below| path.starts_with(below))
        || matches!(path, "/v1/models" | openai_realtime::PATH);
    is_openai.then_some(openai_rest::respell)
}
