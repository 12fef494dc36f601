//! `/api/rooms/{id}/events`: a room's log as it grows, over a WebSocket or as server-sent events.
//!
//! The client holds the cursor: `since=SEQ` (or `Last-Event-ID`) is the last event it has seen, and everything
//! after it follows. Each client is read for at its own pace, one batch in hand; a client that is so slow that
//! the log has moved on is closed with the number to resume from. Nothing it does holds up the room. When the
//! server drains, its rooms close, and readers read them to their end.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{
        FromRequestParts, Query, Request, State,
        ws::{Message, WebSocket, WebSocketUpgrade, close_code},
    },
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event as Sse, KeepAlive, Sse as SseResponse},
    },
    routing::get,
};
use bot::{actor::Follower, event::Published, room::FellOff};
use futures_util::stream;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::RoomOf;
use crate::{app::App, auth, error::ApiError, socket};

/// The close code of a client whose cursor fell off the log; the reason is `resume=SEQ`.
pub const FELL_OFF: u16 = 4_008;

/// The route.
pub fn routes() -> Router<App> {
    Router::new().route("/api/rooms/{id}/events", get(follow))
}

#[derive(Debug, Deserialize)]
struct Since {
    since: Option<u64>,
}

async fn follow(State(app): State<App>, RoomOf(room): RoomOf, request: Request) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let Query(Since { since }) = Query::<Since>::try_from_uri(&parts.uri)
        .map_err(|_| ApiError::bad_request("bad_since", "since must be the number of an event").hint("?since=SEQ"))?;
    let shutdown = app.shutdown().clone();
    if parts.headers.contains_key(header::UPGRADE) {
        let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &app)
            .await
            .map_err(|refusal| ApiError::bad_request("bad_upgrade", refusal.body_text()))?;
        let upgrade = match auth::subprotocol(&parts.headers) {
            Some(protocol) => upgrade.protocols([protocol]),
            None => upgrade,
        };
        let follower = room.follow(since);
        return Ok(socket::limited(upgrade).on_upgrade(move |socket| over_socket(socket, follower, shutdown)));
    }
    if accepts_event_stream(&parts.headers) {
        let cursor = last_event_id(&parts.headers).or(since);
        return Ok(as_server_sent(room.follow(cursor)));
    }
    Err(ApiError::new(
        StatusCode::UPGRADE_REQUIRED,
        "upgrade_required",
        "events come over a WebSocket or as an event stream",
    )
    .hint("open a WebSocket here, or send `Accept: text/event-stream`"))
}

/// Why no more events are sent.
enum End {
    RoomClosed,
    FellOff(FellOff),
    ClientGone,
    ClientSilent,
    Refused(u16, &'static str),
}

async fn over_socket(mut socket: WebSocket, mut follower: Follower, shutdown: CancellationToken) {
    let end = send_events(&mut socket, &mut follower).await;
    match end {
        End::RoomClosed if shutdown.is_cancelled() => {
            let reason = format!("the server is shutting down; resume={}", follower.cursor());
            socket::close(socket, close_code::RESTART, &reason).await;
        }
        End::RoomClosed => socket::close(socket, close_code::NORMAL, "the room is closed").await,
        End::FellOff(fell_off) => {
            tracing::info!(resume = fell_off.resume, "a reader of events was too slow and was closed");
            socket::close(socket, FELL_OFF, &format!("resume={}", fell_off.resume)).await;
        }
        End::Refused(code, reason) => socket::close(socket, code, reason).await,
        End::ClientSilent => socket::close(socket, close_code::POLICY, "no answer to a ping").await,
        End::ClientGone => {}
    }
}

async fn send_events(socket: &mut WebSocket, follower: &mut Follower) -> End {
    let mut ping = tokio::time::interval(PING_EVERY);
    let mut unanswered = 0;
    loop {
        // Cancel-safe: a follower hands out each event once, a socket each message once.
        tokio::select! {
            batch = follower.next(BATCH_MAX) => match batch {
                Ok(events) if events.is_empty() => return End::RoomClosed,
                Ok(events) => {
                    for event in events {
                        if socket::send(socket, Message::text(json(&event))).await.is_err() {
                            return End::ClientGone;
                        }
                    }
                }
                Err(fell_off) => return End::FellOff(fell_off),
            },
            message = socket.recv() => match message {
                // Clients only listen here: what they say keeps the socket alive and is otherwise ignored.
                Some(Ok(_)) => unanswered = 0,
                Some(Err(error)) => {
                    return socket::refusal(&error).map_or(End::ClientGone, |(code, reason)| End::Refused(code, reason));
                }
                None => return End::ClientGone,
            },
            _ = ping.tick() => {
                if unanswered >= PINGS_MAX {
                    return End::ClientSilent;
                }
                unanswered += 1;
                if socket::send(socket, Message::Ping(axum::body::Bytes::new())).await.is_err() {
                    return End::ClientGone;
                }
            },
        }
    }
}

fn as_server_sent(follower: Follower) -> Response {
    struct Reading {
        follower: Follower,
        ready: std::vec::IntoIter<Arc<Published>>,
        is_over: bool,
    }
    let start = Reading { follower, ready: Vec::new().into_iter(), is_over: false };
    let events = stream::unfold(start, |mut reading| async move {
        if reading.is_over {
            return None;
        }
        if let Some(event) = reading.ready.next() {
            return Some((Ok::<_, Infallible>(server_sent(&event)), reading));
        }
        match reading.follower.next(BATCH_MAX).await {
            Ok(events) => {
                reading.ready = events.into_iter();
                let event = reading.ready.next()?;
                Some((Ok(server_sent(&event)), reading))
            }
            Err(fell_off) => {
                reading.is_over = true;
                let data = serde_json::json!({"type": "resume", "since": fell_off.resume}).to_string();
                Some((Ok(Sse::default().event("resume").data(data)), reading))
            }
        }
    });
    let mut response = SseResponse::new(events).keep_alive(KeepAlive::new().interval(PING_EVERY)).into_response();
    // A proxy that collects the answer first would hold back every word.
    response.headers_mut().insert("x-accel-buffering", header::HeaderValue::from_static("no"));
    response
}

fn server_sent(published: &Published) -> Sse {
    let data = json(published);
    let kind = kind(&data).to_owned();
    Sse::default().id(published.seq.to_string()).event(kind).data(data)
}

fn json(published: &Published) -> String {
    serde_json::to_string(published).expect("an event holds only strings, numbers and lists of them")
}

/// The `type` of an event in JSON, which holds it before anything that a speaker said.
fn kind(json: &str) -> &str {
    let after = json.split_once("\"type\":\"").map_or("", |(_, after)| after);
    after.split_once('"').map_or("message", |(kind, _)| kind)
}

fn accepts_event_stream(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accept.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with("text/event-stream"))
}

fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// Events taken from the log at a time: enough to catch up quickly, little to hold in hand.
const BATCH_MAX: usize = 64;

/// Shorter than the minute after which proxies commonly cut a silent connection.
const PING_EVERY: Duration = Duration::from_secs(20);

/// Pings in a row without any sign of life before the client counts as gone.
const PINGS_MAX: u32 = 3;
