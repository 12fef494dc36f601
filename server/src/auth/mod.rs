//! Who may use the server: a key where keys are configured, this machine's own pages where none are.
//!
//! Keys come as `Authorization: Bearer KEY` or `Token KEY`, or, for browsers, as the WebSocket subprotocols
//! `token, KEY` or `bearer, KEY`, or as OpenAI's `openai-insecure-api-key.KEY`. Its short-lived keys open its realtime
//! sessions and nothing else; which pages of others may use them is said in `pages`. Without any key the server listens on loopback only and everybody on this
//! machine is welcome; a page of somebody else in this machine's browser is not, so a foreign `Origin` and a
//! foreign `Host` (a name that was made to point at loopback) are refused. Reading headers is pure; the two
//! middlewares at the end run on every request.

pub mod keys;
pub(crate) mod pages;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use self::keys::KeyName;
use crate::{app::App, dialect::openai_realtime, error::ApiError};

/// Who is asking; in the extensions of every request that passed [`require`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The holder of a key.
    Key(KeyName),
    /// Somebody on this machine, on a server without keys.
    Local,
}

/// The WebSocket subprotocol that a server must echo when a browser carried its key in the subprotocols.
///
/// `None` when there is nothing to echo.
pub fn subprotocol(headers: &HeaderMap) -> Option<&'static str> {
    subprotocol_key(headers).map(|(scheme, _)| scheme)
}

/// Lets a request pass with a [`Caller`], or answers 401.
pub async fn require(State(app): State<App>, mut request: Request, next: Next) -> Response {
    app.keys().reload_if_changed(app.clock().now());
    let caller = if app.keys().is_empty() {
        Ok(Caller::Local)
    } else {
        match presented(request.headers()) {
            None => Err(ApiError::unauthorized("this server needs an API key")),
            Some(key) => app
                .keys()
                .check(key)
                .map(Caller::Key)
                .or_else(|| lent(&app, request.uri(), key))
                .ok_or_else(|| ApiError::unauthorized("this key opens nothing here")),
        }
    };
    match caller {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

/// Who lent a short-lived key, where it opens what is asked for. Whoever has no key of their own, or not any more, lends
/// nothing where keys are needed.
fn lent(app: &App, uri: &Uri, key: &str) -> Option<Caller> {
    let opens = openai_realtime::is_opened_by_secrets(uri.path());
    let giver = app.secrets().giver(key, app.clock().now()).filter(|_| opens);
    giver.filter(|giver| matches!(giver, Caller::Key(name) if app.keys().has(name)))
}

/// Refuses pages of others, as long as no key tells friend from foe.
pub async fn same_origin(State(app): State<App>, request: Request, next: Next) -> Response {
    if app.keys().is_empty()
        && let Err(error) = check_origin(request.headers(), request.uri())
    {
        return error.into_response();
    }
    next.run(request).await
}

/// The key that a request carries.
pub(crate) fn presented(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let in_header = authorization.and_then(|value| {
        let (scheme, key) = value.trim().split_once(' ')?;
        let is_known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
        is_known.then_some(key.trim())
    });
    in_header.or_else(|| subprotocol_key(headers).map(|(_, key)| key)).or_else(|| {
        let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
        let mut offered = offered.flat_map(|value| value.split(',')).map(str::trim);
        offered.find_map(|offered| offered.strip_prefix(OPENAI_KEY)).filter(|key| !key.is_empty())
    })
}

/// What stands before a key in a subprotocol of OpenAI's.
const OPENAI_KEY: &str = "openai-insecure-api-key.";

fn subprotocol_key(headers: &HeaderMap) -> Option<(&'static str, &str)> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut offered = offered.flat_map(|value| value.split(',')).map(str::trim);
    while let Some(scheme) = offered.next() {
        for known in ["token", "bearer"] {
            if scheme.eq_ignore_ascii_case(known) {
                return offered.next().filter(|key| !key.is_empty()).map(|key| (known, key));
            }
        }
    }
    None
}

/// A server without keys is reached by its own address only, and by its own pages only.
fn check_origin(headers: &HeaderMap, uri: &Uri) -> Result<(), ApiError> {
    let host = headers.get(header::HOST).and_then(authority).or_else(|| uri.authority().cloned());
    let Some(host) = host else {
        return Err(ApiError::forbidden("foreign_host", "the request names no host"));
    };
    if !is_loopback(host.host()) {
        return Err(ApiError::forbidden(
            "foreign_host",
            "this server has no API key and answers to loopback names only",
        )
        .hint("open it as http://127.0.0.1, or create a key with `harmony keys create`"));
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let is_ours = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.parse::<Uri>().ok())
        .is_some_and(|origin| origin.authority() == Some(&host));
    if is_ours {
        return Ok(());
    }
    Err(ApiError::forbidden("foreign_origin", "pages of other sites may not use a server without API keys")
        .hint("create a key with `harmony keys create` and send it"))
}

fn authority(value: &HeaderValue) -> Option<Authority> {
    Authority::try_from(value.as_bytes()).ok()
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_either_header_and_either_subprotocol() {
        for (name, value, key) in [
            ("authorization", "Bearer abc", Some("abc")),
            ("authorization", "Token abc", Some("abc")),
            ("authorization", "token  abc ", Some("abc")),
            ("authorization", "Basic abc", None),
            ("authorization", "abc", None),
            ("sec-websocket-protocol", "token, abc", Some("abc")),
            ("sec-websocket-protocol", "bearer,abc", Some("abc")),
            ("sec-websocket-protocol", "other, token, abc", Some("abc")),
            ("sec-websocket-protocol", "realtime, openai-insecure-api-key.abc", Some("abc")),
            ("sec-websocket-protocol", "realtime, openai-insecure-api-key.", None),
            ("sec-websocket-protocol", "token", None),
            ("sec-websocket-protocol", "token,", None),
            ("x-api-key", "abc", None),
        ] {
            assert_eq!(presented(&headers(&[(name, value)])), key, "{name}: {value}");
        }
    }

    #[test]
    fn the_scheme_of_a_subprotocol_key_is_echoed_and_the_key_never() {
        assert_eq!(subprotocol(&headers(&[("sec-websocket-protocol", "token, abc")])), Some("token"));
        assert_eq!(subprotocol(&headers(&[("sec-websocket-protocol", "Bearer, abc")])), Some("bearer"));
        assert_eq!(subprotocol(&headers(&[("sec-websocket-protocol", "chat")])), None);
    }

    #[test]
    fn a_server_without_keys_answers_its_own_pages_and_programs_without_an_origin() {
        for (host, origin) in [
            ("127.0.0.1:8080", None),
            ("localhost:8080", None),
            ("[::1]:8080", None),
            ("127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("localhost", Some("http://localhost")),
        ] {
            assert_eq!(check(host, origin), Ok(()), "{host} {origin:?}");
        }
    }

    #[test]
    fn foreign_pages_and_rebound_names_are_refused_on_a_server_without_keys() {
        for (host, origin, code) in [
            ("127.0.0.1:8080", Some("https://example.com"), "foreign_origin"),
            ("127.0.0.1:8080", Some("http://127.0.0.1:3000"), "foreign_origin"),
            ("127.0.0.1:8080", Some("null"), "foreign_origin"),
            ("example.com", None, "foreign_host"),
            ("127.0.0.1.example.com", None, "foreign_host"),
            ("example.com", Some("http://example.com"), "foreign_host"),
            ("192.168.1.5", None, "foreign_host"),
            ("", None, "foreign_host"),
        ] {
            assert_eq!(check(host, origin).unwrap_err().code, code, "{host} {origin:?}");
        }
    }

    fn check(host: &str, origin: Option<&str>) -> Result<(), ApiError> {
        let mut headers = headers(&[("host", host)]);
        if let Some(origin) = origin {
            headers.insert("origin", origin.parse().unwrap());
        }
        check_origin(&headers, &Uri::from_static("/api/rooms"))
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }
}
