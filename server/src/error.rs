//! What a client is told when something cannot be done: one value, spelled as JSON at the edge.
//!
//! `{"error":{"code","message","hint"}}` with the right status, and `Retry-After` where trying again helps.
//! The value also travels in the response's extensions, so that a dialect can respell it in its vendor's
//! shape wherever it came from (authentication, admission, a handler): see [`crate::app::router`].

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// For programs; stays the same between versions.
    pub code: &'static str,
    /// For people: what is wrong.
    pub message: String,
    /// For people: what to do about it.
    pub hint: Option<String>,
    /// When to try again, in seconds.
    pub retry_after_s: Option<u32>,
}

impl ApiError {
    /// The request is wrong: 400.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// No key, or one that opens nothing: 401.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
            .hint("send `Authorization: Bearer KEY` (or `Token KEY`); `harmony keys create` makes one")
    }

    /// Not theirs to do: 403.
    pub fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// Not there, or not theirs to see: 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// More bytes than are taken: 413.
    pub fn too_large(bytes_max: u64) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body is larger than {bytes_max} bytes"))
            .hint("send a shorter or compressed file, or raise limits.upload_bytes_max")
    }

    /// Every place is taken: 503, try again soon.
    pub fn full(message: impl Into<String>) -> Self {
        Self { retry_after_s: Some(FULL_RETRY_S), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "full", message) }
    }

    /// The server is going down: 503, try again when it (or another) is up.
    pub fn draining() -> Self {
        let message = "the server is shutting down and takes nothing new";
        Self {
            retry_after_s: Some(DRAINING_RETRY_S),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", message)
        }
    }

    /// Something of ours broke: 500. The message must hold nothing that only the log should know.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message).hint("the server's log says more")
    }

    /// Any other refusal.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: None, retry_after_s: None }
    }

    /// The same, with what to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<crate::store::Failed> for ApiError {
    fn from(failed: crate::store::Failed) -> Self {
        tracing::error!(%failed, "the store");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store", "what is kept cannot be read or written now")
            .hint("the server's log says why")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message, "hint": self.hint}});
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// A full server frees a place within seconds: utterances are short, and clients come and go.
const FULL_RETRY_S: u32 = 5;

/// A restart takes a drain (at most half a minute) and a start; a supervisor needs about as long.
const DRAINING_RETRY_S: u32 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_server_says_when_to_come_back_and_the_value_travels_along() {
        let response = ApiError::full("all 4 streams are taken").into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
        assert_eq!(response.extensions().get::<ApiError>().map(|error| error.code), Some("full"));
    }
}
