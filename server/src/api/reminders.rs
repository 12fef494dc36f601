//! `/api/reminders`: what agents were asked to remind somebody of.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{delete, get},
};
use serde::Serialize;

use crate::{app::App, error::ApiError, store::reminders::Reminder};

/// Reminders that are listed.
const LISTED: u32 = 1_000;

/// The routes.
pub fn routes() -> Router<App> {
    Router::new().route("/api/reminders", get(list)).route("/api/reminders/{id}", delete(drop_one))
}

#[derive(Debug, Serialize)]
struct Listed {
    reminders: Vec<Reminder>,
}

async fn list(State(app): State<App>) -> Result<Json<Listed>, ApiError> {
    Ok(Json(Listed { reminders: app.store()?.reminders(LISTED).await? }))
}

async fn drop_one(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    let dropped = match id.parse() {
        Ok(id) => app.store()?.drop_reminder(id).await?,
        Err(_) => false,
    };
    let id: String = id.chars().take(32).collect();
    if dropped { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::not_found(format!("there is no reminder {id}"))) }
}
