//! `/healthz`: the process answers. `/readyz`: it can hear, and with what, or what is missing; whether it tells
//! voices apart, or why not, which keeps it from no other work.

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::json;

use crate::{app::App, error::ApiError};

/// The routes; public, since balancers and supervisors carry no key.
pub fn routes() -> Router<App> {
    Router::new().route("/healthz", get(healthy)).route("/readyz", get(ready))
}

async fn healthy() -> Json<serde_json::Value> {
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

async fn ready(State(app): State<App>) -> Response {
    if app.admission().is_draining() {
        return ApiError::draining().into_response();
    }
    match app.ears() {
        Ok(ears) => {
            let (info, stats) = (ears.info(), ears.stats());
            Json(json!({
                "status": "ready",
                "engine": info.engine,
                "model": info.model,
                "languages": info.languages,
                "voices": ears.no_voices().unwrap_or("ok"),
                "streams": {"open": stats.streams, "max": stats.streams_max},
                "has_telephone": app.phones().is_ok(),
            }))
            .into_response()
        }
        Err(missing) => ApiError::from(&missing).into_response(),
    }
}
