//! `/api/callers/{number}`: what is remembered of a caller, for them to have, and its end.

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use serde::Serialize;

use crate::{app::App, error::ApiError, store::callers::Known};

/// The routes.
pub fn routes() -> Router<App> {
    Router::new().route("/api/callers/{number}", get(known).delete(erase))
}

#[derive(Debug, Serialize)]
struct Erased {
    /// How many entries there were.
    erased: u64,
}

async fn known(State(app): State<App>, Path(number): Path<String>) -> Result<Json<Known>, ApiError> {
    Ok(Json(app.store()?.known(&number).await?))
}

async fn erase(State(app): State<App>, Path(number): Path<String>) -> Result<Json<Erased>, ApiError> {
    Ok(Json(Erased { erased: app.store()?.erase(&number).await? }))
}
