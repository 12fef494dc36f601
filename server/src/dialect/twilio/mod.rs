//! Twilio's protocols: Media Streams in both roles, ConversationRelay as its application, and the REST resources of calls.
//!
//! [`message`] holds what is said on a stream. [`media`] takes a stream of Twilio's into a room: we as the server.
//! [`stream`] carries a call to somebody's bot: we as Twilio. [`relay`] lets an agent be the application of a
//! ConversationRelay; its host is [`crate::phone`]. [`rest`] lets Twilio's clients drive calls. Who may do it is told by
//! the account's secret; see [`handshake`] and [`rest`].

mod backlog;
pub mod ear;
mod handshake;
mod media;
pub mod message;
pub(crate) mod outbox;
pub mod playlist;
mod relay;
pub mod rest;
pub mod sid;
pub mod stream;

use axum::{Router, middleware, response::Response, routing::get};

use crate::{app::App, error::ApiError};

/// The routes. They ask for the account's secret themselves, so they belong beside what needs a key.
pub fn routes(app: App) -> Router<App> {
    let streams = Router::new()
        .route("/twilio/media", get(media::upgrade))
        .route("/twilio/relay", get(relay::upgrade))
        .layer(middleware::from_fn_with_state(app.clone(), handshake::admit));
    streams.merge(rest::routes(app))
}

/// How errors are spelled on Twilio's paths; `None` where they are our own.
pub(super) fn spelling(path: &str) -> Option<fn(&ApiError) -> Response> {
    rest::is_ours(path).then_some(rest::respell)
}
