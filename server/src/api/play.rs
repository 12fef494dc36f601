//! `/api/rooms/{id}/play`: a file, as the body, for everybody in the room to hear.

use axum::{
    Json, Router,
    body::{self, Body},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    routing::post,
};
use serde::Serialize;

use super::RoomOf;
use crate::{
    app::App,
    error::ApiError,
    play::{BYTES_MAX, Started},
};

/// The route.
pub fn routes() -> Router<App> {
    Router::new().route("/api/rooms/{id}/play", post(start).delete(stop))
}

#[derive(Debug, Serialize)]
struct View {
    play: String,
    duration_s: f64,
}

async fn start(
    State(app): State<App>,
    RoomOf(room): RoomOf,
    request: Request,
) -> Result<(StatusCode, Json<View>), ApiError> {
    let (parts, body) = request.into_parts();
    let sound = app.sound(&room);
    let place = sound.player().place()?;
    let file = read(&parts.headers, body).await?;
    let Started { play, duration } = sound.player().play(&app, &room, &sound, place, file).await?;
    let duration_s = duration.as_millis() as f64 / 1_000.0;
    Ok((StatusCode::ACCEPTED, Json(View { play: play.to_string(), duration_s })))
}

async fn stop(State(app): State<App>, RoomOf(room): RoomOf) -> Result<StatusCode, ApiError> {
    if app.sound(&room).player().stop().await {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found("nothing is being played"))
    }
}

async fn read(headers: &HeaderMap, body: Body) -> Result<bytes::Bytes, ApiError> {
    let too_large = || {
        let message = format!("a file that is played has {BYTES_MAX} bytes at most");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message).hint("send it compressed, or in parts")
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > BYTES_MAX) {
        return Err(too_large());
    }
    // Too large, or a client that went away and reads no answer.
    body::to_bytes(body, usize::try_from(BYTES_MAX).unwrap_or(usize::MAX)).await.map_err(|_| too_large())
}
