//! `/metrics`: what Prometheus reads.

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};

use crate::app::App;

/// The route.
pub fn routes() -> Router<App> {
    Router::new().route("/metrics", get(scrape))
}

async fn scrape(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics().render(&app))
}
