//! Who speaks in a room, told apart by voice where several people are on a line: listing them, and naming one.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{FromRequestParts, Path},
    http::{HeaderMap, request::Parts},
    routing::{get, post},
};
use bot::{
    actor::RoomHandle,
    speakers::{SpeakerId, Talk},
};
use media::id::RoomId;
use serde::{Deserialize, Serialize};

use super::{RoomOf, json_body};
use crate::{app::App, error::ApiError};

/// The routes.
pub fn routes() -> Router<App> {
    Router::new().route("/api/rooms/{id}/speakers", get(list)).route("/api/rooms/{id}/speakers/{speaker}", post(name))
}

#[derive(Debug, Serialize)]
struct Speakers {
    room: RoomId,
    speakers: Vec<Talk>,
}

/// What somebody is called.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    name: String,
}

/// The speaker whom the path names; 404 when it names none.
struct SpeakerOf(RoomHandle, SpeakerId);

impl FromRequestParts<App> for SpeakerOf {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Path((room, speaker)) = Path::<(String, String)>::from_request_parts(parts, app)
            .await
            .map_err(|_| ApiError::not_found("the path names no speaker"))?;
        let room = RoomOf::named(app, &room)?;
        let speaker = speaker.parse::<SpeakerId>().map_err(|_| unheard(&speaker))?;
        Ok(Self(room, speaker))
    }
}

async fn list(RoomOf(room): RoomOf) -> Json<Speakers> {
    Json(Speakers { room: room.id(), speakers: room.read(bot::room::Room::speakers) })
}

async fn name(
    SpeakerOf(room, speaker): SpeakerOf,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Speakers>, ApiError> {
    let Wish { name } = json_body(&headers, &body, "{\"name\": \"Jonas\"}")?;
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX_CHARS || name.chars().any(char::is_control) {
        return Err(ApiError::bad_request(
            "bad_name",
            format!("a name has 1 to {NAME_MAX_CHARS} printable characters"),
        ));
    }
    let Some(voice) = speaker.voice else {
        let why = format!("{speaker} is a participant, who brought their name along");
        return Err(ApiError::bad_request("bad_speaker", why).hint("name one of several on a line, such as p1.2"));
    };
    let was_heard = room
        .name_speaker(speaker.participant, voice, name.to_owned())
        .await
        .map_err(|_| ApiError::not_found("the room was closed just now"))?;
    if !was_heard {
        return Err(unheard(&speaker.to_string()));
    }
    Ok(list(RoomOf(room)).await)
}

fn unheard(id: &str) -> ApiError {
    let id: String = id.chars().take(32).collect();
    ApiError::not_found(format!("nobody called {id} was heard")).hint("GET /api/rooms/{id}/speakers lists who was")
}

/// As long as the names of participants.
const NAME_MAX_CHARS: usize = 80;
