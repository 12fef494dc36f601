//! `/api/stages`: how long each stage of the server took in the last minutes.
//!
//! The same measurements as `harmony_stage_seconds` of `/metrics`, but of now instead of since the start, and
//! as quantiles that a person can read. The console draws them. Runs on tokio workers; holds no state.

use axum::{Json, Router, extract::State, routing::get};
use serde::Serialize;

use crate::{
    app::App,
    telemetry::stages::{Stage, WINDOW_S},
};

/// The route.
pub fn routes() -> Router<App> {
    Router::new().route("/api/stages", get(lately))
}

#[derive(Debug, Serialize)]
struct Lately {
    window_s: u32,
    stages: Vec<Stage>,
}

async fn lately(State(app): State<App>) -> Json<Lately> {
    Json(Lately { window_s: WINDOW_S, stages: app.metrics().stages() })
}
