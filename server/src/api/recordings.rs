//! Recordings over HTTP: beginning, pausing, ending, listing, fetching and removing them.
//!
//! Recordings outlive their room and the process: a room's path finds them by the room they were made in. Files
//! are named by the recorder and found in its own list of them, so no name of a client ever becomes a path.
//! Downloads come in parts where parts are asked for; a file that grows is served as long as it is.

use std::{
    io::SeekFrom,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{FromRequestParts, Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts},
    response::IntoResponse,
    routing::get,
};
use media::record::{Container, Manifest, RecordingId};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::{RoomOf, json_body};
use crate::{
    app::App,
    error::ApiError,
    range::{self, Sent},
    recording::{self, Target, blocking, refused},
};

/// Recordings of a list when nobody says how many.
const LISTED: usize = 100;

/// Most recordings of a list: each costs reading a small file.
const LISTED_MAX: usize = 1_000;

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/api/recordings", get(list))
        .route("/api/rooms/{id}/recordings", get(list_of_room).post(start))
        .route("/api/rooms/{id}/recordings/{recording}", get(show).patch(change).delete(remove))
        .route("/api/rooms/{id}/recordings/{recording}/files/{file}", get(download))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: Option<usize>,
    before: Option<String>,
}

#[derive(Debug, Serialize)]
struct Listed {
    recordings: Vec<Arc<Manifest>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    state: Target,
}

/// The recording that the path names, made in the room that it names.
struct RecordingOf(Arc<Manifest>);

impl RecordingOf {
    async fn named(app: &App, room: &str, id: &str) -> Result<Arc<Manifest>, ApiError> {
        let nowhere = || {
            let id: String = id.chars().take(64).collect();
            ApiError::not_found(format!("there is no recording {id} of this room"))
                .hint("GET /api/recordings lists those there are")
        };
        let wanted: RecordingId = id.parse().map_err(|_| nowhere())?;
        let recorder = app.recordings()?.recorder().clone();
        let found = blocking(move || recorder.show(&wanted)).await?.map_err(|_| nowhere())?;
        if found.room == room { Ok(found) } else { Err(nowhere()) }
    }
}

impl FromRequestParts<App> for RecordingOf {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Path((room, id)) = Path::<(String, String)>::from_request_parts(parts, app)
            .await
            .map_err(|_| ApiError::not_found("the path names no recording"))?;
        Self::named(app, &room, &id).await.map(Self)
    }
}

async fn list(State(app): State<App>, page: Result<Query<Page>, QueryRejection>) -> Result<Json<Listed>, ApiError> {
    let Query(page) = page.map_err(|refusal| ApiError::bad_request("bad_query", refusal.body_text()))?;
    let before = match page.before.as_deref() {
        Some(before) => Some(before.parse::<RecordingId>().map_err(|bad| {
            ApiError::bad_request("bad_query", bad.to_string()).hint("before is the id of the oldest one you have")
        })?),
        None => None,
    };
    let max = page.limit.unwrap_or(LISTED).clamp(1, LISTED_MAX);
    let recorder = app.recordings()?.recorder().clone();
    let listed = blocking(move || recorder.list(max, before.as_ref())).await?;
    Ok(Json(Listed { recordings: listed.map_err(|error| refused(error.into()))? }))
}

async fn list_of_room(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Listed>, ApiError> {
    let room = RoomOf::named(&app, &id);
    // Ids of rooms begin again with every start of the server: an open room's own are those since it began.
    let began = room.as_ref().ok().and_then(|room| jiff::Timestamp::try_from(room.epoch().wall).ok());
    let began = began.map(|began| format!("{began:.3}"));
    let recorder = app.recordings()?.recorder().clone();
    let listed = blocking(move || recorder.list(LISTED_MAX, None)).await?;
    let mut recordings = listed.map_err(|error| refused(error.into()))?;
    recordings.retain(|one| one.room == id && began.as_ref().is_none_or(|began| *began == one.room_began));
    match room {
        Err(error) if recordings.is_empty() => Err(error),
        _ => Ok(Json(Listed { recordings })),
    }
}

async fn start(
    State(app): State<App>,
    RoomOf(room): RoomOf,
    headers: HeaderMap,
    body: Bytes,
) -> Result<impl IntoResponse, ApiError> {
    let wish = if body.is_empty() {
        recording::Wish::default()
    } else {
        json_body(&headers, &body, "{\"format\": \"ogg\", \"tracks\": \"both\"}, or no body")?
    };
    let manifest = recording::start(&app, &room, wish).await?;
    let location = format!("/api/rooms/{}/recordings/{}", room.id(), manifest.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(manifest)))
}

async fn show(RecordingOf(manifest): RecordingOf) -> Json<Arc<Manifest>> {
    Json(manifest)
}

async fn change(
    State(app): State<App>,
    RecordingOf(manifest): RecordingOf,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Arc<Manifest>>, ApiError> {
    let wish: Wish = json_body(&headers, &body, "{\"state\": \"paused\"}, \"recording\" or \"stopped\"")?;
    recording::change(&app, &manifest.id, wish.state).await.map(Json)
}

async fn remove(State(app): State<App>, RecordingOf(manifest): RecordingOf) -> Result<StatusCode, ApiError> {
    let recorder = app.recordings()?.recorder().clone();
    let id = manifest.id.clone();
    blocking(move || recorder.delete(&id)).await?.map_err(refused)?;
    tracing::info!(recording = %manifest.id, "recording removed");
    Ok(StatusCode::NO_CONTENT)
}

async fn download(
    State(app): State<App>,
    Path((room, id, name)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let manifest = RecordingOf::named(&app, &room, &id).await?;
    let gone = || {
        let name: String = name.chars().take(64).collect();
        ApiError::not_found(format!("the recording {} has no file {name}", manifest.id))
            .hint("its tracks name the files there are")
    };
    let path = app.recordings()?.recorder().path(&manifest, &name).ok_or_else(gone)?;
    let mut file = tokio::fs::File::open(path).await.map_err(|_| gone())?;
    let about = file.metadata().await.map_err(|_| gone())?;
    let length = about.len();
    let etag = etag(length, about.modified().unwrap_or(UNIX_EPOCH));
    let asked = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let kind = match manifest.format {
        Container::Ogg => "audio/ogg",
        Container::Wav => "audio/wav",
    };
    let mut response = Response::builder()
        .header(header::ETAG, &etag)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CACHE_CONTROL, "private, no-cache")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if asked(header::IF_NONE_MATCH).is_some_and(|known| known.split(',').any(|known| known.trim() == etag)) {
        return built(response.status(StatusCode::NOT_MODIFIED).body(Body::empty()));
    }
    // A part of another version is of no use: then the whole file is sent.
    let is_same = asked(header::IF_RANGE).is_none_or(|known| known.trim() == etag);
    let part = match range::sent(asked(header::RANGE).filter(|_| is_same), length) {
        Sent::Whole => 0..length,
        Sent::Part(part) => {
            let of = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            response = response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, of);
            part
        }
        Sent::Nothing => {
            let message = format!("the file has {length} bytes");
            let error = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "bad_range", message);
            let mut response = error.hint("ask for bytes before its end").into_response();
            if let Ok(of) = HeaderValue::from_str(&format!("bytes */{length}")) {
                response.headers_mut().insert(header::CONTENT_RANGE, of);
            }
            return Ok(response);
        }
    };
    file.seek(SeekFrom::Start(part.start)).await.map_err(|error| refused(error.into()))?;
    let bytes = part.end - part.start;
    let body = Body::from_stream(ReaderStream::new(file.take(bytes)));
    built(
        response
            .header(header::CONTENT_TYPE, kind)
            .header(header::CONTENT_LENGTH, bytes)
            .header(header::CONTENT_DISPOSITION, format!("inline; filename=\"{}-{name}\"", manifest.id))
            .body(body),
    )
}

/// Changes with the file, as it does while it grows.
fn etag(length: u64, modified: SystemTime) -> String {
    let nanos = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("\"{length:x}-{nanos:x}\"")
}

fn built(response: Result<Response<Body>, axum::http::Error>) -> Result<Response<Body>, ApiError> {
    response.map_err(|error| {
        tracing::error!(%error, "a download's headers are no headers");
        ApiError::internal("the download could not be begun")
    })
}
