//! Our own protocol: health, metrics, rooms, their events, and audio into them.

pub mod agent;
pub mod audio;
pub mod callers;
pub mod calls;
pub mod events;
pub mod health;
pub mod levels;
pub mod metrics;
pub mod openapi;
pub mod participants;
pub mod play;
pub mod recordings;
pub mod reminders;
pub mod room_speakers;
pub mod rooms;
pub mod say;
pub mod speakers;
pub mod stages;

use axum::{
    extract::{FromRequestParts, Path},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use bot::actor::RoomHandle;
use media::id::RoomId;
use serde::de::DeserializeOwned;

use crate::{app::App, error::ApiError};

/// The room that the path names; 404 when it names none that is open.
pub(crate) struct RoomOf(pub(crate) RoomHandle);

impl FromRequestParts<App> for RoomOf {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Path(id) = Path::<String>::from_request_parts(parts, app)
            .await
            .map_err(|_| ApiError::not_found("the path names no room"))?;
        Self::named(app, &id).map(Self)
    }
}

impl RoomOf {
    /// The open room with this id.
    pub(crate) fn named(app: &App, id: &str) -> Result<RoomHandle, ApiError> {
        // An id that cannot be one names no room either: the answer to both is the same.
        let room = id.parse::<RoomId>().ok().and_then(|id| app.rooms().room(id));
        room.ok_or_else(|| {
            let id: String = id.chars().take(32).collect();
            ApiError::not_found(format!("there is no room {id}")).hint("GET /api/rooms lists those there are")
        })
    }
}

/// A JSON body, such as `example`.
pub(crate) fn json_body<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8], example: &str) -> Result<T, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "the body must be application/json"));
    }
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request("bad_json", error.to_string()).hint(format!("send {example}")))
}
