//! Rooms over HTTP: opening, listing, reading and closing them.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use bot::{
    actor::RoomHandle,
    event::Segment,
    note::{ActionItem, Summary},
    participant::Participant,
    room::Settings,
    speakers::Talk,
};
use media::id::RoomId;
use serde::{Deserialize, Serialize};

use super::{RoomOf, json_body};
use crate::{app::App, error::ApiError, recording};

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/api/rooms", get(list).post(open))
        .route("/api/rooms/{id}", get(show).delete(close))
        .route("/api/rooms/{id}/transcript", get(transcript))
        .route("/api/rooms/{id}/actions", get(actions))
        .route("/api/rooms/{id}/summary", get(summary))
}

/// What is asked for when a room is opened; all of it may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wish {
    title: String,
    consent: Option<Consent>,
    record: Option<recording::Wish>,
}

/// What a room demands before anybody is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Consent {
    /// That they said yes.
    Required,
}

/// A room as clients see it.
#[derive(Debug, Serialize)]
struct View {
    id: RoomId,
    title: String,
    consent: Option<Consent>,
    is_open: bool,
    began: String,
    participants: Vec<Participant>,
    last_seq: u64,
    segments: usize,
    action_items: usize,
}

#[derive(Debug, Serialize)]
struct Rooms {
    rooms: Vec<View>,
}

#[derive(Debug, Serialize)]
struct Transcript {
    room: RoomId,
    segments: Vec<Segment>,
    speakers: Vec<Talk>,
}

#[derive(Debug, Serialize)]
struct Actions {
    room: RoomId,
    action_items: Vec<Arc<ActionItem>>,
}

#[derive(Debug, Serialize)]
struct SummaryOf {
    room: RoomId,
    #[serde(flatten)]
    summary: Summary,
    speakers: Vec<Talk>,
}

impl From<&RoomHandle> for View {
    fn from(handle: &RoomHandle) -> Self {
        let began = jiff::Timestamp::try_from(handle.epoch().wall).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        handle.read(|room| Self {
            id: handle.id(),
            title: handle.title().to_owned(),
            consent: handle.settings().consent_required.then_some(Consent::Required),
            is_open: handle.is_open(),
            began: format!("{began:.3}"),
            participants: room.participants(),
            last_seq: room.last_seq(),
            segments: room.transcript_len(),
            action_items: room.actions().len(),
        })
    }
}

async fn list(State(app): State<App>) -> Json<Rooms> {
    Json(Rooms { rooms: app.rooms().list().iter().map(View::from).collect() })
}

async fn open(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Result<impl IntoResponse, ApiError> {
    let wish =
        if body.is_empty() { Wish::default() } else { json_body(&headers, &body, "{\"title\": \"…\"}, or no body")? };
    let settings = Settings { consent_required: wish.consent == Some(Consent::Required) };
    if wish.record.is_some() {
        // A room that is to be recorded and cannot be is not opened.
        app.recordings()?;
    }
    let room = app.open_room_with(&wish.title, settings)?;
    if let Some(wish) = wish.record {
        recording::start_with_first_leg(&app, &room, wish);
    }
    let location = format!("/api/rooms/{}", room.id());
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(View::from(&room))))
}

async fn show(RoomOf(room): RoomOf) -> Json<View> {
    Json(View::from(&room))
}

async fn close(State(app): State<App>, RoomOf(room): RoomOf) -> StatusCode {
    recording::end_with(&app, room.id()).await;
    app.rooms().take(room.id());
    room.close().await;
    StatusCode::NO_CONTENT
}

async fn transcript(RoomOf(room): RoomOf) -> Json<Transcript> {
    let (segments, speakers) = room.read(|room| (room.transcript(), room.speakers()));
    let segments = segments.iter().flat_map(|segment| segment.by_speaker()).collect();
    Json(Transcript { room: room.id(), segments, speakers })
}

async fn actions(RoomOf(room): RoomOf) -> Json<Actions> {
    Json(Actions { room: room.id(), action_items: room.read(bot::room::Room::actions) })
}

async fn summary(RoomOf(room): RoomOf) -> Result<Json<SummaryOf>, ApiError> {
    let summary = room.summary().await.map_err(|_| ApiError::not_found("the room was closed just now"))?;
    Ok(Json(SummaryOf { room: room.id(), summary, speakers: room.read(bot::room::Room::speakers) }))
}
