//! Pages of other origins: which of them may call the realtime dialect from a browser (CORS).
//!
//! Nothing is opened to a page but the two requests that browsers make with a short-lived key, and no cookie is ever
//! involved: whoever calls still needs a key. Pages of this machine are let in without being listed, others by
//! `http.pages`. On a server without keys [`super::same_origin`] decides instead, and lets in no page but its own. A
//! layer on every request; its decisions are pure.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::is_loopback;
use crate::{app::App, dialect::openai_realtime};

/// How long a browser may remember what it was allowed, in seconds.
const REMEMBERED_S: &str = "600";

/// The names of headers that a page asks for; no SDK sends as many.
const NAMES_BYTES_MAX: usize = 2_048;

/// Answers what browsers ask before they call, and lets pages that may read the answers.
pub(crate) async fn let_in(State(app): State<App>, request: Request, next: Next) -> Response {
    let has_keys = !app.keys().is_empty();
    if !(has_keys && openai_realtime::is_for_pages(request.uri().path())) {
        return next.run(request).await;
    }
    let origin = request.headers().get(header::ORIGIN).filter(|origin| may(origin, &app.config().http.pages)).cloned();
    let asked = is_preflight(request.method(), request.headers());
    let mut response = match (&origin, asked) {
        (Some(_), true) => allowed(request.headers()),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    // A cache must not show one page's answer to another.
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        // The place of a call.
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("location"));
    }
    response
}

/// What is wrong with an origin of the configuration, if anything is.
pub(crate) fn fault(page: &str) -> Option<String> {
    let is_origin = page.parse::<Uri>().is_ok_and(|uri| {
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        // What browsers send has no path, not even a slash.
        is_web && uri.authority().is_some_and(|authority| page.ends_with(authority.as_str()))
    });
    (!is_origin).then(|| format!("{page:?} is no origin such as https://app.example.org, without a path"))
}

fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Whether a page of this origin may call.
fn may(origin: &HeaderValue, pages: &[String]) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    let of_this_machine = || {
        let uri = origin.parse::<Uri>().ok();
        uri.is_some_and(|uri| uri.scheme().is_some() && uri.host().is_some_and(is_loopback))
    };
    pages.iter().any(|page| page.eq_ignore_ascii_case(origin)) || of_this_machine()
}

/// What a page may send. SDKs send headers of their own, and none of them opens anything: all are fine.
fn allowed(asked: &HeaderMap) -> Response {
    let names = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).filter(|names| names.len() <= NAMES_BYTES_MAX);
    let usual = HeaderValue::from_static("authorization, content-type");
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, DELETE")),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, names.cloned().unwrap_or(usual)),
        (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED_S)),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn pages_of_this_machine_and_of_the_configuration_may_call_and_no_others() {
        let pages = ["https://app.example.org".to_owned()];
        for (origin, expected) in [
            ("https://app.example.org", true),
            ("https://APP.example.org", true),
            ("http://localhost:5173", true),
            ("http://127.0.0.1:3000", true),
            ("http://[::1]:3000", true),
            ("http://app.example.org", false),
            ("https://app.example.org:8443", false),
            ("https://app.example.org.evil.example", false),
            ("https://localhost.evil.example", false),
            ("null", false),
            ("localhost", false),
            ("", false),
        ] {
            assert_eq!(may(&HeaderValue::from_static(origin), &pages), expected, "{origin}");
        }
        assert!(!may(&HeaderValue::from_bytes(b"https://\xff").unwrap(), &pages));
    }

    #[test]
    fn an_origin_has_a_scheme_and_a_host_and_no_path() {
        for page in ["https://app.example.org", "http://app.example.org:8080"] {
            assert_eq!(fault(page), None, "{page}");
        }
        for page in ["app.example.org", "https://app.example.org/", "https://app.example.org/x", "ftp://x.org", "*", ""]
        {
            assert!(fault(page).is_some_and(|why| why.contains("is no origin")), "{page}");
        }
    }

    #[test]
    fn what_an_sdk_wants_to_send_is_allowed_and_an_endless_list_is_not_repeated() {
        let wanted = headers(&[
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type,x-stainless-lang"),
        ]);
        assert!(is_preflight(&Method::OPTIONS, &wanted) && !is_preflight(&Method::POST, &wanted));
        assert!(!is_preflight(&Method::OPTIONS, &HeaderMap::new()));
        let answer = allowed(&wanted);
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let names = |answer: &Response| answer.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS].clone();
        assert_eq!(names(&answer), "authorization,content-type,x-stainless-lang");
        let mut endless = HeaderMap::new();
        let name = HeaderValue::from_str(&"x-a,".repeat(NAMES_BYTES_MAX)).unwrap();
        endless.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, name);
        assert_eq!(names(&allowed(&endless)), "authorization, content-type");
    }
}
