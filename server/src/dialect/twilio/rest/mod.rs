//! `/2010-04-01/Accounts/{sid}/…`: Twilio's REST resources of calls, so that its clients drive this server.
//!
//! The account and its secret are those of `[twilio]`, sent as Basic authentication; without them nobody gets in. Each
//! file beside this one holds a resource as pure values, read from forms and spelled as JSON; [`desk`] is where they
//! meet the telephone. Answers are always JSON, whether or not the path ends in `.json`.

pub mod call;
pub mod conference;
mod dates;
mod desk;
pub mod error;
mod media;
pub mod page;
pub mod params;
pub mod queue;
pub mod recording;
mod routes;
pub mod side;
pub mod wish;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, OriginalUri, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use self::{
    error::RestError,
    page::{Listed, Page},
    params::Params,
};
use super::sid::{Kind, Sid};
use crate::{app::App, error::ApiError, webhook::signature::AuthToken};

/// The largest form: a document of 4,000 characters and its escapes, and room for URLs.
const FORM_BYTES_MAX: usize = 64 * 1_024;

/// What all paths begin with.
const PREFIX: &str = "/2010-04-01/";

/// The routes, behind the account's secret.
pub(super) fn routes(app: App) -> Router<App> {
    routes::all().layer(DefaultBodyLimit::max(FORM_BYTES_MAX)).layer(middleware::from_fn_with_state(app, authenticate))
}

/// Whether a path is one of these.
pub(super) fn is_ours(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// Spells a refusal of the server itself.
pub(super) fn respell(error: &ApiError) -> Response {
    RestError::from(error).into_response()
}

/// Lets in whoever knows the account and its secret.
async fn authenticate(State(app): State<App>, request: Request, next: Next) -> Response {
    let twilio = &app.config().twilio;
    let (Some(account), Some(token)) = (&twilio.account_sid, &twilio.auth_token) else {
        tracing::debug!("the REST API was asked for, and there is no [twilio] account_sid and auth_token");
        return RestError::unauthorized().into_response();
    };
    if !knows(request.headers(), account, &AuthToken::new(token.clone())) {
        return RestError::unauthorized().into_response();
    }
    let path = request.uri().path();
    let named = path.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix("Accounts/"));
    let named = named.and_then(|rest| rest.split('/').next()).map(|named| named.trim_end_matches(".json"));
    if named != Some(account.as_str()) {
        return RestError::not_found(path).into_response();
    }
    next.run(request).await
}

/// Whether the headers carry the account and its secret.
fn knows(headers: &HeaderMap, account: &str, token: &AuthToken) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let pair = given.and_then(|given| {
        let (scheme, pair) = given.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("basic").then_some(pair.trim())
    });
    let Some(pair) = pair.and_then(|pair| STANDARD.decode(pair).ok()) else { return false };
    let Some(colon) = pair.iter().position(|byte| *byte == b':') else { return false };
    // Both are looked at, so that the time says nothing of either.
    let (user, secret) = (&pair[..colon], &pair[colon + 1..]);
    token.is(secret) & (user == account.as_bytes())
}

/// A request, taken apart.
struct Asked {
    app: App,
    account: String,
    /// The path as it was asked.
    path: String,
    /// Of the query, or of the form.
    params: Params,
    /// How the world reaches this server.
    public: String,
}

impl FromRequest<App> for Asked {
    type Rejection = RestError;

    async fn from_request(request: Request, app: &App) -> Result<Self, RestError> {
        let uri = request.extensions().get::<OriginalUri>().map_or_else(|| request.uri().clone(), |uri| uri.0.clone());
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let public = app.config().twilio.public_url.clone().unwrap_or_else(|| format!("http://{host}"));
        let text = if request.method() == axum::http::Method::POST {
            let body = Bytes::from_request(request, app).await.map_err(|refusal| {
                RestError::new(refusal.status(), 20_000 + u32::from(refusal.status().as_u16()), refusal.body_text())
            })?;
            String::from_utf8(body.to_vec())
                .map_err(|_| RestError::new(StatusCode::BAD_REQUEST, 20_400, "the form is not UTF-8"))?
        } else {
            uri.query().unwrap_or_default().to_owned()
        };
        let params = Params(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect());
        let account = app.config().twilio.account_sid.clone().unwrap_or_default();
        let public = public.trim_end_matches('/').to_owned();
        Ok(Self { app: app.clone(), account, path: uri.path().to_owned(), params, public })
    }
}

impl Asked {
    fn nowhere(&self) -> RestError {
        RestError::not_found(&self.path)
    }

    /// The name of a thing in the path, with `.json` or without.
    fn sid(&self, kind: Kind, text: &str) -> Result<Sid, RestError> {
        Sid::of(kind, text.strip_suffix(".json").unwrap_or(text)).ok_or_else(|| self.nowhere())
    }

    /// What was found.
    fn found<T>(&self, found: Option<T>) -> Result<T, RestError> {
        found.ok_or_else(|| self.nowhere())
    }

    /// 204, or 404 when there was nothing to delete.
    fn deleted(&self, is_deleted: bool) -> Result<Response, RestError> {
        if is_deleted { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(self.nowhere()) }
    }

    /// The page that was asked for, of all `items` that fit.
    fn page<T: Listed>(
        &self,
        key: &str,
        mut items: Vec<T>,
        covers: impl Fn(&T) -> bool,
        spell: impl Fn(&T) -> Value,
    ) -> Result<Response, RestError> {
        items.retain(covers);
        Ok(shown(Page::read(&self.path, &self.params)?.of(key, &items, spell)))
    }
}

/// 200 with what was found.
fn shown(value: Value) -> Response {
    Json(value).into_response()
}

/// 201 with what was made.
fn created(value: Value) -> Response {
    (StatusCode::CREATED, Json(value)).into_response()
}

/// The account itself, which clients fetch to see whether they may come in.
async fn account(asked: Asked) -> Response {
    let account = &asked.account;
    let base = format!("/2010-04-01/Accounts/{account}");
    let list = |name: &str| format!("{base}/{name}.json");
    shown(json!({
        "auth_token": null,
        "date_created": null,
        "date_updated": null,
        "friendly_name": "Harmony Voice",
        "owner_account_sid": account,
        "sid": account,
        "status": "active",
        "subresource_uris": {
            "calls": list("Calls"),
            "conferences": list("Conferences"),
            "queues": list("Queues"),
            "recordings": list("Recordings"),
            "transcriptions": list("Transcriptions"),
        },
        "type": "Full",
        "uri": format!("{base}.json"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_account_and_its_whole_secret_open_the_door() {
        let token = AuthToken::new("hush");
        for (header, opens) in [
            (Some("Basic QUMxOmh1c2g="), true),
            (Some("basic  QUMxOmh1c2g="), true),
            // AC1:hus, AC2:hush, AC1, AC1:hush:more
            (Some("Basic QUMxOmh1cw=="), false),
            (Some("Basic QUMyOmh1c2g="), false),
            (Some("Basic QUMx"), false),
            (Some("Basic QUMxOmh1c2g6bW9yZQ=="), false),
            (Some("Bearer hush"), false),
            (Some("Basic ???"), false),
            (None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(header::AUTHORIZATION, header.parse().unwrap());
            }
            assert_eq!(knows(&headers, "AC1", &token), opens, "{header:?}");
        }
    }
}
