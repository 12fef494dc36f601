//! `/api/rooms/{id}/agent`: an agent for the people of a room.

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use media::id::RoomId;
use serde::{Deserialize, Serialize};

use super::{RoomOf, json_body};
use crate::{agent, app::App, error::ApiError};

/// The route.
pub fn routes() -> Router<App> {
    Router::new().route("/api/rooms/{id}/agent", post(start).get(show).delete(stop))
}

/// What is asked for; the usual persona when left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wish {
    persona: Option<String>,
}

#[derive(Debug, Serialize)]
struct View {
    room: RoomId,
    persona: String,
}

async fn start(
    State(app): State<App>,
    RoomOf(room): RoomOf,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<View>), ApiError> {
    let wish: Wish = if body.is_empty() {
        Wish::default()
    } else {
        json_body(&headers, &body, "{\"persona\": \"…\"}, or no body")?
    };
    let persona = agent::attend(&app, &room, wish.persona.as_deref()).await?;
    Ok((StatusCode::CREATED, Json(View { room: room.id(), persona: persona.name.clone() })))
}

async fn show(State(app): State<App>, RoomOf(room): RoomOf) -> Result<Json<View>, ApiError> {
    let persona = app.agents().talks_in(room.id()).ok_or_else(none_here)?;
    Ok(Json(View { room: room.id(), persona }))
}

async fn stop(State(app): State<App>, RoomOf(room): RoomOf) -> Result<StatusCode, ApiError> {
    if app.agents().stop(room.id()).await { Ok(StatusCode::NO_CONTENT) } else { Err(none_here()) }
}

fn none_here() -> ApiError {
    ApiError::not_found("no agent talks in this room").hint("POST /api/rooms/{id}/agent brings one")
}
