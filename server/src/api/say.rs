//! `/api/rooms/{id}/say`: words, for everybody in the room to hear.

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde::{Deserialize, Serialize};

use super::{RoomOf, json_body};
use crate::{app::App, error::ApiError, say};

/// The route.
pub fn routes() -> Router<App> {
    Router::new().route("/api/rooms/{id}/say", post(start))
}

/// What is to be said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    text: String,
    /// As BCP 47 has it; English when left out and no voice says otherwise.
    #[serde(default)]
    language: Option<String>,
    /// `man`, `woman`, or a name that telephone applications use.
    #[serde(default)]
    voice: Option<String>,
}

#[derive(Debug, Serialize)]
struct View {
    say: String,
}

async fn start(
    State(app): State<App>,
    RoomOf(room): RoomOf,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<View>), ApiError> {
    let wish: Wish = json_body(&headers, &body, "{\"text\": \"Dinner is ready.\", \"language\": \"en\"}")?;
    let say = say::start(&app, &room, &wish.text, wish.language.as_deref(), wish.voice.as_deref()).await?;
    Ok((StatusCode::ACCEPTED, Json(View { say: say.to_string() })))
}
