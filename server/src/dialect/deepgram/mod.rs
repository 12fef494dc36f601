//! Deepgram's dialect: `/v1/listen`, live over a WebSocket and prerecorded over `POST`, `/v2/listen`, `/v1/speak`
//! both ways, and `/v1/agent/converse`.
//!
//! Its SDKs work unchanged with this server as their base URL. The middle is pure: [`query`] reads what is
//! wanted, [`translator`] and [`transcript`] write what was heard, [`words`] applies the effects between them.
//! The shells are thin: [`live`] owns a socket, [`prerecorded`] a request, [`remote`] the calls to elsewhere;
//! [`speak`] is the other way round, and [`converse`] is both.

pub(in crate::dialect) mod client;
pub mod converse;
pub mod live;
pub mod message;
pub mod numerals;
mod outcome;
pub mod prerecorded;
pub mod profanity;
pub mod query;
pub mod redact;
pub mod refusal;
pub mod remote;
pub mod search;
pub mod speak;
pub mod spool;
pub mod transcript;
pub mod translator;
pub mod turns;
pub mod words;

use std::collections::BTreeMap;

use asr::recognizer::Info;
use axum::{
    Router,
    extract::{
        DefaultBodyLimit, WebSocketUpgrade,
        ws::{WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::HeaderValue,
    response::Response,
    routing::get,
};

pub(in crate::dialect) use self::words::bare;
use self::{
    message::{Metadata, ModelInfo},
    query::Query,
    refusal::Refusal,
    remote::Reach,
};
use crate::{app::App, clock::Clock, dialect::spoken, error::ApiError, socket};

/// Messages that cannot be read before the client is taken for no client of this dialect.
const GARBAGE_MAX: u32 = 10;

/// The routes of this dialect.
pub fn routes() -> Router<App> {
    let listen = get(live::listen).post(prerecorded::transcribe).layer(DefaultBodyLimit::disable());
    let speak = get(speak::listen).post(speak::speak).layer(DefaultBodyLimit::max(spoken::BODY_BYTES_MAX));
    Router::new()
        .route("/v1/listen", listen)
        .route("/v1/speak", speak)
        .route("/v2/listen", get(turns::listen))
        .route("/v1/agent/converse", get(converse::converse))
}

/// Answers a request for a socket, which `run` gets.
fn upgraded<T: Future<Output = ()> + Send + 'static>(
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request_id: &str,
    run: impl FnOnce(WebSocket) -> T + Send + 'static,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            let refusal = Refusal::bad_request(format!("expected a WebSocket: {}", rejection.body_text()));
            return Refusal { status: rejection.status(), ..refusal }.respond(request_id);
        }
    };
    // Browsers cannot send headers: they send the key as a second subprotocol and expect the first one back.
    let mut response = socket::limited(upgrade).protocols(["token", "bearer"]).on_upgrade(run);
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("dg-request-id", id);
    }
    response
}

/// A refusal of any other part of the server, in this dialect's shape.
pub fn respell(error: &ApiError) -> Response {
    Refusal::from(error).respond(&message::request_id())
}

/// Whether clients of this server may have it call addresses inside its own network.
fn reach(app: &App) -> Reach {
    if app.config().http.call_private { Reach::Anywhere } else { Reach::Public }
}

/// The metadata of a request, complete but for what the audio adds.
fn about(query: &Query, request_id: &str, sha256: String, engine: &Info, clock: Clock) -> Metadata {
    let model = ModelInfo::new(engine);
    let created = jiff::Timestamp::try_from(clock.wall()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    Metadata {
        transaction_key: "deprecated",
        request_id: request_id.to_owned(),
        sha256,
        created: format!("{created:.3}"),
        duration: 0.0,
        channels: 0,
        models: vec![model.uuid()],
        model_info: BTreeMap::from([(model.uuid(), model)]),
        tags: query.tags.clone(),
        extra: query.extra.iter().cloned().collect(),
        warnings: query.warnings.clone(),
    }
}
