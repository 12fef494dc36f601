//! `/openapi.json`: what the server answers, kept by hand beside this file and checked against the routes.

use axum::{Router, http::header, response::IntoResponse, routing::get};

use crate::app::App;

/// The document as it is served.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// The route; public, since it holds nothing that the source does not.
pub fn routes() -> Router<App> {
    Router::new().route("/openapi.json", get(document))
}

async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}
