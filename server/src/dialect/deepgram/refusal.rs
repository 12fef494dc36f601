//! Errors in Deepgram's shape: `{"err_code","err_msg","request_id"}`, with the `dg-request-id` and `dg-error`
//! headers that its SDKs and support tools read. The SDKs raise by status: 400 as their bad-request error, the
//! rest with status and body.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::error::ApiError;

use super::query::BadQuery;

/// A refusal, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// For programs.
    pub err_code: String,
    /// For people: what is wrong and what would be right.
    pub err_msg: String,
    /// When to try again, in seconds.
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    /// The request is wrong: 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            err_code: "Bad Request".to_owned(),
            err_msg: message.into(),
            retry_after_s: None,
        }
    }

    /// The body, under the request's id.
    pub fn body(&self, request_id: &str) -> Value {
        json!({"err_code": self.err_code, "err_msg": self.err_msg, "request_id": request_id})
    }

    /// The response, under the request's id.
    pub fn respond(self, request_id: &str) -> Response {
        let mut response = (self.status, Json(self.body(request_id))).into_response();
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert("dg-request-id", id);
        }
        let printable: String = self.err_msg.chars().filter(|c| c.is_ascii() && !c.is_ascii_control()).collect();
        if let Ok(message) = HeaderValue::from_str(&printable) {
            headers.insert("dg-error", message);
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<BadQuery> for Refusal {
    fn from(bad: BadQuery) -> Self {
        Self::bad_request(bad.to_string())
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::from(&error)
    }
}

impl From<&ApiError> for Refusal {
    fn from(error: &ApiError) -> Self {
        let err_code = match error.status {
            StatusCode::UNAUTHORIZED => "INVALID_AUTH".to_owned(),
            StatusCode::BAD_REQUEST => "Bad Request".to_owned(),
            _ => error.code.to_uppercase(),
        };
        let err_msg = match &error.hint {
            Some(hint) => format!("{}: {hint}", error.message),
            None => error.message.clone(),
        };
        Self { status: error.status, err_code, err_msg, retry_after_s: error.retry_after_s.map(u64::from) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_body_and_the_headers_that_the_sdk_reads() {
        let response = Refusal::bad_request("encoding: später…").respond("the-id");
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers()["dg-request-id"], "the-id");
        assert_eq!(response.headers()["dg-error"], "encoding: spter");
        let full = Refusal::from(ApiError::full("all 4 streams are taken")).respond("x");
        assert_eq!(full.headers()[header::RETRY_AFTER], "5");
        assert_eq!(Refusal::from(ApiError::unauthorized("no key")).err_code, "INVALID_AUTH");
    }
}
