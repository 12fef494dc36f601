//! Our own protocol: health, metrics, rooms, their events, and audio into them.

pub mod audio;
pub mod events;
pub mod health;
pub mod metrics;
pub mod openapi;
pub mod rooms;

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use bot::actor::RoomHandle;
use media::id::RoomId;

use crate::{app::App, error::ApiError};

/// The room that the path names; 404 when it names none that is open.
pub(crate) struct RoomOf(pub(crate) RoomHandle);

impl FromRequestParts<App> for RoomOf {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Path(id) = Path::<String>::from_request_parts(parts, app)
            .await
            .map_err(|_| ApiError::not_found("the path names no room"))?;
        // An id that cannot be one names no room either: the answer to both is the same.
        let room = id.parse::<RoomId>().ok().and_then(|id| app.rooms().room(id));
        room.map(Self).ok_or_else(|| {
            let id: String = id.chars().take(32).collect();
            ApiError::not_found(format!("there is no room {id}")).hint("GET /api/rooms lists those there are")
        })
    }
}
