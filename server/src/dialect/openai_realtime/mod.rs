//! OpenAI's Realtime dialect: `WS /v1/realtime`, the same over WebRTC (`POST /v1/realtime/calls`), and
//! `POST /v1/realtime/client_secrets` for those who may not have a key.
//!
//! A session is a conversation with an agent that the client describes, or the writing down of what is said. Either is a
//! room like any other: the client's sound is a leg in it, and the agent sits beside it; see [`crate::agent`]. The middle
//! is pure: [`session`] reads what is wanted, [`command`] what a client says, and [`story`] with its parts decides what is
//! told and asked because of it. [`talk`] and [`reading`] are the shell, [`socket`] and [`peer`] the two ways in which
//! clients come, [`calls`] the second one's HTTP, [`sideband`] those who join it; [`secrets`] keeps short-lived keys.
//! Source: openai-python, `types/realtime` and `resources/realtime`.

mod answer;
mod calls;
mod carrier;
mod command;
mod counting;
mod edits;
mod items;
mod listening;
mod outbox;
mod peer;
mod reading;
mod secrets;
mod session;
mod sideband;
mod socket;
mod story;
mod talk;

use std::time::Duration;

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{Query, State, WebSocketUpgrade, rejection::BytesRejection, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::WeakSender;
use uuid::Uuid;

use self::{
    reading::Order,
    secrets::{LIFE_S, LIVES_S},
    session::{Kind, Refused, Session},
};
pub(crate) use self::{
    secrets::{PREFIX, Secrets},
    sideband::Calls,
};
use super::openai_error::Refusal;
use crate::{
    app::App,
    auth::{self, Caller},
    error::ApiError,
};

/// The path of sockets.
pub(crate) const PATH: &str = "/v1/realtime";

/// The path of calls over WebRTC.
const CALLS: &str = "/v1/realtime/calls";

/// The path where short-lived keys are made.
const SECRETS: &str = "/v1/realtime/client_secrets";

/// Whether short-lived keys open this path: sessions and their ends, and no more keys.
pub(crate) fn is_opened_by_secrets(path: &str) -> bool {
    path.strip_prefix(CALLS).map_or(path == PATH, |below| below.is_empty() || below.starts_with('/'))
}

/// Whether pages of other origins have a reason to call this path: calls, and the keys for them.
pub(crate) fn is_for_pages(path: &str) -> bool {
    path == SECRETS || path.strip_prefix(CALLS).is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// What answers where a client names no model.
const MODEL: &str = "gpt-realtime";

/// The routes of this dialect.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/realtime", get(connect))
        .route("/v1/realtime/client_secrets", post(client_secrets))
        .merge(calls::routes())
}

/// What stands in the address of a session.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    model: Option<String>,
    intent: Option<String>,
    call_id: Option<String>,
}

async fn connect(
    State(app): State<App>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        // A browser sends its key as another subprotocol, and expects this one back.
        Ok(upgrade) => Ok(crate::socket::limited(upgrade).protocols(["realtime"])),
        Err(rejection) => {
            let why = format!("Expected a WebSocket: {}", rejection.body_text());
            Err(Refusal::request(rejection.status(), "no_websocket", why))
        }
    };
    let answer = match &asked.call_id {
        Some(call) => of_call(&app, call)
            .and_then(|call| Ok(upgrade?.on_upgrade(move |upgraded| sideband::run(app, upgraded, call)))),
        None => accept(&app, &asked, &headers).and_then(|(session, tag)| {
            Ok(upgrade?.on_upgrade(move |upgraded| socket::run(app, upgraded, session, tag)))
        }),
    };
    answer.unwrap_or_else(Refusal::into_response)
}

/// Where the orders for a call go that somebody joins.
fn of_call(app: &App, name: &str) -> Result<WeakSender<Order>, Refusal> {
    if app.admission().is_draining() {
        return Err(Refusal::from(&ApiError::draining()));
    }
    app.realtime_calls().orders(name).ok_or_else(|| {
        let why = "There is no such call, or it is over.";
        let refusal = Refusal::request(StatusCode::NOT_FOUND, "call_not_found", why);
        Refusal { param: Some("call_id".to_owned()), ..refusal }
    })
}

/// The session that somebody gets, and what is in all its names.
fn accept(app: &App, asked: &Asked, headers: &HeaderMap) -> Result<(Session, String), Refusal> {
    if app.admission().is_draining() {
        return Err(Refusal::from(&ApiError::draining()));
    }
    if asked.call_id.is_some() {
        let why = "A call is joined by a socket: leave call_id out to make one.";
        return Err(Refusal::value("call_id", "unsupported_parameter", why));
    }
    let tag = tag();
    let id = format!("sess_{tag}");
    if let Some(key) = auth::presented(headers).filter(|key| key.starts_with(PREFIX)) {
        // Without keys nobody has looked at it before.
        let bound = app.secrets().open(key, app.clock().now());
        let (_, session) = bound
            .ok_or_else(|| Refusal::from(&ApiError::unauthorized("this client secret has expired, or is none")))?;
        return Ok((session.called(id), tag));
    }
    let kind = match asked.intent.as_deref() {
        None | Some("conversation") => Kind::Realtime,
        Some("transcription") => Kind::Transcription,
        Some(_) => {
            let why = "intent is transcription, or left out for a conversation.";
            return Err(Refusal::value("intent", "invalid_value", why));
        }
    };
    Ok((Session::new(id, kind, asked.model.as_deref().unwrap_or(MODEL)), tag))
}

/// What a short-lived key is to be.
#[derive(Debug, Default, Deserialize)]
struct Wish {
    expires_after: Option<ExpiresAfter>,
    session: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
struct ExpiresAfter {
    anchor: Option<String>,
    seconds: Option<u64>,
}

async fn client_secrets(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Refusal> {
    let body = body.map_err(|rejection| Refusal::request(rejection.status(), "invalid_body", rejection.body_text()))?;
    let wish = Wish::read(&body)?;
    let (life, session) = wish.bind(format!("sess_{}", tag()))?;
    let told = session.to_json();
    let clock = app.clock();
    let value = app.secrets().create(caller, session, life, clock.now()).map_err(|error| Refusal::from(&error))?;
    let expires_at = jiff::Timestamp::try_from(clock.wall() + life).unwrap_or(jiff::Timestamp::UNIX_EPOCH).as_second();
    Ok(Json(json!({"value": value, "expires_at": expires_at, "session": told})))
}

impl Wish {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        serde_json::from_slice(body).map_err(|error| {
            let why = format!("Expected JSON with expires_after and session: {error:.200}");
            Refusal::request(StatusCode::BAD_REQUEST, "invalid_body", why)
        })
    }

    /// How long the key lives, and the session that it opens.
    fn bind(self, id: String) -> Result<(Duration, Session), Refusal> {
        let expires = self.expires_after.unwrap_or_default();
        if expires.anchor.is_some_and(|anchor| anchor != "created_at") {
            let why = "expires_after.anchor is created_at.";
            return Err(Refusal::value("expires_after.anchor", "invalid_value", why));
        }
        let seconds = expires.seconds.unwrap_or(LIFE_S);
        let (least, most) = LIVES_S;
        if !(least..=most).contains(&seconds) {
            let why = format!("expires_after.seconds is a number from {least} to {most}.");
            return Err(Refusal::value("expires_after.seconds", "invalid_value", why));
        }
        let session = Session::new(id, Kind::Realtime, MODEL);
        let session = match self.session {
            None => session,
            Some(wanted) => {
                let (session, _) = session
                    .update(&wanted, false)
                    .map_err(|Refused { code, param, why }| Refusal::value(&param, code, why))?;
                session
            }
        };
        Ok((Duration::from_secs(seconds), session))
    }
}

fn tag() -> String {
    Uuid::new_v4().simple().to_string()[..12].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(body: &str) -> Result<(Duration, Session), Refusal> {
        Wish::read(body.as_bytes())?.bind("sess_1".to_owned())
    }

    #[test]
    fn a_secret_lives_ten_minutes_where_nobody_says_how_long() {
        let (life, session) = bind("").unwrap();
        assert_eq!((life.as_secs(), session.to_json()["type"].as_str()), (600, Some("realtime")));
        let (life, session) = bind(
            r#"{"expires_after": {"anchor": "created_at", "seconds": 60},
                "session": {"type": "transcription", "audio": {"input": {"format": {"type": "audio/pcmu"}}}}}"#,
        )
        .unwrap();
        assert_eq!((life.as_secs(), session.kind), (60, Kind::Transcription));
        assert_eq!(session.to_json()["audio"]["input"]["format"], json!({"type": "audio/pcmu"}));
    }

    #[test]
    fn secrets_open_sessions_and_make_no_more_of_themselves() {
        for path in ["/v1/realtime", "/v1/realtime/calls", "/v1/realtime/calls/0a", "/v1/realtime/calls/0a/hangup"] {
            assert!(is_opened_by_secrets(path), "{path}");
        }
        for path in ["/v1/realtime/client_secrets", "/v1/realtime/", "/v1/realtime/callsign", "/whip/r1", "/api/rooms"]
        {
            assert!(!is_opened_by_secrets(path), "{path}");
        }
    }

    #[test]
    fn pages_have_business_with_calls_and_secrets_alone() {
        for path in ["/v1/realtime/client_secrets", "/v1/realtime/calls", "/v1/realtime/calls/0a/hangup"] {
            assert!(is_for_pages(path), "{path}");
        }
        for path in ["/v1/realtime", "/v1/realtime/callsign", "/v1/realtime/client_secrets/x", "/api/rooms"] {
            assert!(!is_for_pages(path), "{path}");
        }
    }

    #[test]
    fn what_a_secret_cannot_be_names_its_field() {
        for (param, body) in [
            (None, "nonsense"),
            (Some("expires_after.seconds"), r#"{"expires_after": {"seconds": 9}}"#),
            (Some("expires_after.anchor"), r#"{"expires_after": {"anchor": "now", "seconds": 60}}"#),
            (Some("session.type"), r#"{"session": {"type": "song"}}"#),
        ] {
            let refusal = bind(body).err().unwrap_or_else(|| panic!("{body} is fine"));
            assert_eq!((refusal.status, refusal.param.as_deref()), (StatusCode::BAD_REQUEST, param), "{body}");
        }
    }
}
