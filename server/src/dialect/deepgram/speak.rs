//! `/v1/speak`: text in, sound out, by `POST` at once and over a WebSocket as it is written.
//!
//! [`query`] reads what is wanted and [`script`] keeps what is to be said and which answers are due: both are pure.
//! The shells are [`speak`], which answers one request, and [`live`], which owns a socket. Sources: deepgram-api-specs
//! (openapi.yml, asyncapi.yml), and what the SDKs read.

mod live;
mod query;
mod script;

use axum::{
    extract::{Query as QueryOf, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use serde::Deserialize;

pub use self::live::listen;
use self::query::Query;
pub(in crate::dialect::deepgram) use self::query::voice_named;
use super::{
    message::{self, ModelInfo},
    refusal::Refusal,
};
use crate::{
    app::App,
    dialect::spoken::{self, NotSpoken, Spoken},
};

/// The body, where it is JSON.
#[derive(Deserialize)]
struct Text {
    text: String,
}

/// `POST /v1/speak`.
pub async fn speak(
    State(app): State<App>,
    QueryOf(pairs): QueryOf<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let request_id = message::request_id();
    let answered = answer(&app, &pairs, &headers, body).await;
    let mut response = answered.unwrap_or_else(|refusal| refusal.respond(&request_id));
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("dg-request-id", id);
    }
    response
}

async fn answer(
    app: &App,
    pairs: &[(String, String)],
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let query = Query::parse(pairs, query::Door::Whole)?;
    let body = body
        .map_err(|rejection| Refusal { status: rejection.status(), ..Refusal::bad_request(rejection.body_text()) })?;
    let text = text(headers, &body)?;
    let voice = query.voice(&text);
    let utterance = spoken::utterance(voice, &text, query.speed);
    let spoken = Spoken::begin(app, &utterance, query.format, query.bitrate_bps).await?;
    let model = model(&query, app)?;
    let mut response = spoken.body().into_response();
    let told = [
        (header::CONTENT_TYPE, query.format.media_type()),
        (HeaderName::from_static("dg-model-uuid"), model.uuid()),
        (HeaderName::from_static("dg-model-name"), model.name),
        (HeaderName::from_static("dg-char-count"), text.chars().count().to_string()),
    ];
    for (name, value) in told {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// The text of the body: JSON, or plain.
fn text(headers: &HeaderMap, body: &[u8]) -> Result<String, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/plain") {
        let text = std::str::from_utf8(body).map_err(|_| Refusal::bad_request("the text must be UTF-8"))?;
        return Ok(text.to_owned());
    }
    let Text { text } = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("the body must be {{\"text\": …}}: {error}")))?;
    Ok(text)
}

/// What the request called the model, and what speaks.
fn model(query: &Query, app: &App) -> Result<ModelInfo, Refusal> {
    Ok(ModelInfo {
        name: query.model.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        arch: app.voices()?.info().engine.to_owned(),
    })
}

impl From<NotSpoken> for Refusal {
    fn from(error: NotSpoken) -> Self {
        if error.is_senders() { Self::bad_request(error.to_string()) } else { Self::from(error.refusal()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_as_json_or_as_it_is() {
        let json = HeaderMap::new();
        let mut plain = HeaderMap::new();
        plain.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        assert_eq!(text(&json, br#"{"text":"Hello","x":1}"#).unwrap(), "Hello");
        assert_eq!(text(&plain, "Grüß Gott".as_bytes()).unwrap(), "Grüß Gott");
        assert!(text(&plain, b"\xff").is_err() && text(&json, b"Hello").is_err() && text(&json, b"{}").is_err());
    }
}
