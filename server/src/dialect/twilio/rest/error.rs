//! What Twilio's clients are told when something cannot be done: `{"code", "message", "more_info", "status"}`.
//!
//! The codes are Twilio's own, so that programs that know them find them.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::error::ApiError;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RestError {
    /// The HTTP status.
    pub status: StatusCode,
    /// Twilio's number of it.
    pub code: u32,
    /// For people.
    pub message: String,
}

impl RestError {
    /// No account, or not this one's secret: 401.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 20_003, "Authenticate")
    }

    /// What the path names is not there: 404.
    pub fn not_found(path: &str) -> Self {
        let path: String = path.chars().take(200).collect();
        Self::new(StatusCode::NOT_FOUND, 20_404, format!("The requested resource {path} was not found"))
    }

    /// A parameter cannot be: 400.
    pub fn bad_parameter(name: &str, why: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 20_001, format!("Parameter '{name}' is not valid: {why}"))
    }

    /// The thing is not in the state for it: 400.
    pub fn not_now(code: u32, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// This server does not do it: 501.
    pub fn not_built(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, 20_501, message)
    }

    /// Not now, and perhaps later: 503.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, 20_503, message)
    }

    /// Any other.
    pub fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }
}

impl From<&ApiError> for RestError {
    fn from(error: &ApiError) -> Self {
        let code = match error.status {
            StatusCode::UNAUTHORIZED => return Self::unauthorized(),
            // 20403, 20404, 20429, 20500, 20503 are what they look like.
            status => 20_000 + u32::from(status.as_u16()),
        };
        Self::new(error.status, code, error.message.clone())
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let body = json!({
            "code": self.code,
            "message": self.message,
            "more_info": format!("https://www.twilio.com/docs/errors/{}", self.code),
            "status": self.status.as_u16(),
        });
        let mut response = (self.status, Json(body)).into_response();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let realm = HeaderValue::from_static("Basic realm=\"Twilio API\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refusal_reads_as_twilios_do() {
        let response = RestError::not_found("/2010-04-01/Accounts/AC1/Calls/CA1.json").into_response();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        let body = axum::body::to_bytes(response.into_body(), 1_024).await.unwrap();
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&body).unwrap(),
            json!({
                "code": 20_404,
                "message": "The requested resource /2010-04-01/Accounts/AC1/Calls/CA1.json was not found",
                "more_info": "https://www.twilio.com/docs/errors/20404",
                "status": 404,
            })
        );
    }

    #[test]
    fn refusals_of_the_server_itself_have_a_number_too() {
        assert_eq!(RestError::from(&ApiError::draining()).code, 20_503);
        assert_eq!(RestError::from(&ApiError::unauthorized("no key")), RestError::unauthorized());
    }
}
