//! Who may bring a stream: whoever signs as the configured account does, or holds one of this server's keys.
//!
//! Twilio signs the handshake with the account's token, over the URL that the TwiML names. A server behind a proxy is
//! called by another name than it knows; `twilio.public_url` says which. Judging is pure; the middleware asks it.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::{
    app::App,
    auth,
    error::ApiError,
    webhook::signature::{self, AuthToken},
};

/// Lets a handshake pass that is signed; without an account it is judged as any other request.
pub(super) async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let twilio = &app.config().twilio;
    let Some(token) = twilio.auth_token.clone().map(AuthToken::new) else {
        return auth::require(State(app), request, next).await;
    };
    if is_signed(&token, twilio.public_url.as_deref(), request.uri(), request.headers()) {
        return next.run(request).await;
    }
    if app.keys().is_empty() {
        return ApiError::forbidden("bad_signature", "the handshake is not signed by the account of this server")
            .hint("twilio.auth_token must be the account's, and twilio.public_url what the TwiML's url begins with")
            .into_response();
    }
    auth::require(State(app), request, next).await
}

/// Whether the request carries the account's signature of any URL that it may have been sent to.
fn is_signed(token: &AuthToken, public_url: Option<&str>, uri: &Uri, headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(given) = headers.get(signature::HEADER).and_then(|value| value.to_str().ok()) else { return false };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let bases = match public_url {
        // Whatever scheme it was written with: a stream's is wss.
        Some(url) => {
            let rest = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
            vec![rest.to_owned()]
        }
        None => text(header::HOST).map(str::to_owned).into_iter().collect(),
    };
    let schemes = ["wss", "https", "ws", "http"];
    bases.iter().any(|base| {
        schemes.iter().any(|scheme| signature::is_genuine(token, &format!("{scheme}://{base}{path}"), &[], given))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(public_url: Option<&str>, host: &str, signed: &str) -> bool {
        let token = AuthToken::new("hush");
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        headers.insert(signature::HEADER, signature::sign(&token, signed, &[]).parse().unwrap());
        is_signed(&token, public_url, &Uri::from_static("/twilio/media"), &headers)
    }

    #[test]
    fn a_signature_is_that_of_the_name_the_world_knows() {
        for (public_url, host, signed, accepted) in [
            (None, "127.0.0.1:8080", "ws://127.0.0.1:8080/twilio/media", true),
            (None, "voice.example", "wss://voice.example/twilio/media", true),
            (None, "voice.example", "wss://voice.example:443/twilio/media/", false),
            (None, "voice.example", "wss://voice.example/other", false),
            (None, "voice.example", "wss://evil.example/twilio/media", false),
            (Some("https://voice.example"), "127.0.0.1:8080", "wss://voice.example/twilio/media", true),
            (Some("https://voice.example/"), "10.0.0.1", "wss://voice.example/twilio/media", true),
            (Some("https://voice.example"), "10.0.0.1", "wss://10.0.0.1/twilio/media", false),
        ] {
            assert_eq!(is_accepted(public_url, host, signed), accepted, "{public_url:?} {host} {signed}");
        }
    }

    #[test]
    fn no_signature_is_no_signature() {
        let token = AuthToken::new("hush");
        assert!(!is_signed(&token, None, &Uri::from_static("/twilio/media"), &HeaderMap::new()));
    }
}
