//! Errors in OpenAI's shape: `{"error":{"message","type","param","code"}}`. Source: the error types of its
//! public SDKs, which raise a class by status and read these four fields.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// A refusal, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Decides which exception the client's SDK raises.
    pub status: StatusCode,
    /// For the person who reads it: what is wrong and what would be right.
    pub message: String,
    /// The form field at fault, if one is.
    pub param: Option<String>,
    /// For programs.
    pub code: Option<String>,
    /// When to try again, in seconds.
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    /// A field's value is wrong: 400.
    pub(super) fn value(param: &str, code: &str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
            param: Some(param.to_owned()),
            code: Some(code.to_owned()),
            retry_after_s: None,
        }
    }

    /// The request as a whole is wrong: `status`, usually 400.
    pub(super) fn request(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: Some(code.to_owned()), retry_after_s: None }
    }

    /// No such model: 404.
    pub(super) fn model(name: &str) -> Self {
        let name: String = name.chars().take(100).collect();
        Self {
            status: StatusCode::NOT_FOUND,
            message: format!("The model '{name}' does not exist here; GET /v1/models lists those that do."),
            param: Some("model".to_owned()),
            code: Some("model_not_found".to_owned()),
            retry_after_s: None,
        }
    }

    /// The body: the same in a response and in the middle of a stream.
    pub(super) fn body(&self) -> Value {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        json!({"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}})
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_the_four_fields_that_sdks_read() {
        let refusal = Refusal::value("temperature", "invalid_value", "temperature is a number from 0 to 1");
        assert_eq!(
            refusal.body(),
            json!({"error": {"message": "temperature is a number from 0 to 1", "type": "invalid_request_error",
                "param": "temperature", "code": "invalid_value"}})
        );
    }

    #[test]
    fn a_busy_server_says_when_to_come_back() {
        let busy =
            Refusal { retry_after_s: Some(2), ..Refusal::request(StatusCode::SERVICE_UNAVAILABLE, "full", "full") };
        let response = busy.into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }

    #[test]
    fn a_long_model_name_is_not_echoed_whole() {
        assert!(Refusal::model(&"x".repeat(100_000)).message.len() < 300);
    }
}
