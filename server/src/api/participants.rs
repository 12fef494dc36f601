//! Who is in a room: reading it, muting somebody, noting their consent, and sending them out.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{FromRequestParts, Path},
    http::{HeaderMap, StatusCode, request::Parts},
    routing::get,
};
use bot::{
    actor::{RoomHandle, UpdateError},
    participant::{Change, Participant},
};
use media::id::{ParticipantId, RoomId};
use serde::{Deserialize, Serialize};

use super::{RoomOf, json_body};
use crate::{app::App, error::ApiError};

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/api/rooms/{id}/participants", get(list))
        .route("/api/rooms/{id}/participants/{participant}", get(show).patch(change).delete(send_out))
}

#[derive(Debug, Serialize)]
struct Participants {
    room: RoomId,
    participants: Vec<Participant>,
}

/// What is to change; what is left out stays.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wish {
    is_muted: Option<bool>,
    consent: Option<bool>,
}

/// The participant whom the path names; 404 when it names none.
struct ParticipantOf(RoomHandle, ParticipantId);

impl FromRequestParts<App> for ParticipantOf {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Path((room, participant)) = Path::<(String, String)>::from_request_parts(parts, app)
            .await
            .map_err(|_| ApiError::not_found("the path names no participant"))?;
        let room = RoomOf::named(app, &room)?;
        let id = participant.parse::<ParticipantId>().map_err(|_| not_here(&participant))?;
        Ok(Self(room, id))
    }
}

async fn list(RoomOf(room): RoomOf) -> Json<Participants> {
    Json(Participants { room: room.id(), participants: room.read(bot::room::Room::participants) })
}

async fn show(ParticipantOf(room, id): ParticipantOf) -> Result<Json<Participant>, ApiError> {
    room.read(|room| room.participant(id)).map(Json).ok_or_else(|| not_here(&id.to_string()))
}

async fn change(
    ParticipantOf(room, id): ParticipantOf,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Participant>, ApiError> {
    let Wish { is_muted, consent } = json_body(&headers, &body, "{\"is_muted\": true} or {\"consent\": true}")?;
    Ok(Json(room.update(id, Change { is_muted, consent }).await?))
}

async fn send_out(ParticipantOf(room, id): ParticipantOf) -> Result<StatusCode, ApiError> {
    room.send_out(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<UpdateError> for ApiError {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::NotHere(id) => not_here(&id.to_string()),
            UpdateError::Closed(_) => Self::not_found("the room was closed just now"),
        }
    }
}

fn not_here(id: &str) -> ApiError {
    let id: String = id.chars().take(32).collect();
    ApiError::not_found(format!("{id} is not in the room")).hint("GET /api/rooms/{id}/participants lists who is")
}
