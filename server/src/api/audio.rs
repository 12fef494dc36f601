//! `/api/rooms/{id}/audio`: a microphone, or anything that can send bytes, into a room.
//!
//! Options come in the query, audio as binary messages, small commands as JSON text; what was understood comes
//! out of the room's events, and here only how far the ears are. One task reads the socket and pushes, its
//! twin reads the stream's events and writes: a push may wait for the ears, and then the client's next audio
//! waits in its own socket.

use std::time::Duration;

use asr::recognizer::Hints;
use axum::{
    Router,
    extract::{
        Query, State,
        ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code},
    },
    http::HeaderMap,
    response::Response,
    routing::get,
};
use futures_util::{
    StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use media::codec::raw::Encoding;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::RoomOf;
use crate::{
    app::App,
    auth,
    error::ApiError,
    live::{self, Input, LiveError, LiveEvents, LiveInput, LiveSpec, RoomChoice},
    socket::{self, Gone},
};

/// The route.
pub fn routes() -> Router<App> {
    Router::new().route("/api/rooms/{id}/audio", get(listen))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    encoding: Option<String>,
    sample_rate: Option<u32>,
    channels: Option<u16>,
    language: Option<String>,
    name: Option<String>,
    endpointing: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Command {
    /// Words for what was sent so far, without waiting for a pause.
    Finalize,
    /// Nothing to send just now.
    KeepAlive,
    /// That was all.
    Finish,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Report<'a> {
    Ready { room: String, participants: Vec<String>, engine: &'a str, model: &'a str },
    Heard { audio_s: f64, lag_ms: Option<u64> },
    Finished { audio_s: f64 },
    Error { error: Trouble<'a> },
}

#[derive(Debug, Serialize)]
struct Trouble<'a> {
    code: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
}

/// Why the client's side of the socket ended.
#[derive(Clone, Debug)]
enum End {
    Finished,
    Vanished,
    Idle,
    Refused(u16, &'static str),
    NotACommand,
    Live(LiveError),
}

async fn listen(
    State(app): State<App>,
    RoomOf(room): RoomOf,
    options: Result<Query<Options>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|_| {
        ApiError::new(axum::http::StatusCode::UPGRADE_REQUIRED, "upgrade_required", "audio comes over a WebSocket")
    })?;
    let Query(options) = options.map_err(|refusal| ApiError::bad_request("bad_query", refusal.body_text()))?;
    let spec = LiveSpec {
        input: input(&options)?,
        multichannel: false,
        hints: Hints { language: language(&app, options.language.as_deref())?, keyterms: Vec::new() },
        partials: true,
        endpointing_ms: options.endpointing.unwrap_or(ENDPOINTING_MS),
        room: RoomChoice::Existing(room.id()),
        participant: options.name.unwrap_or_default(),
    };
    let (input, events) = live::open(&app, spec).await?;
    let ready = match app.ears() {
        Ok(ears) => json(&Report::Ready {
            room: room.id().to_string(),
            participants: input.participants().iter().map(ToString::to_string).collect(),
            engine: ears.info().engine,
            model: &ears.info().model,
        }),
        Err(missing) => return Err(ApiError::from(&missing)),
    };
    let idle = Duration::from_secs(app.config().limits.idle_s);
    let upgrade = match auth::subprotocol(&headers) {
        Some(protocol) => upgrade.protocols([protocol]),
        None => upgrade,
    };
    Ok(socket::limited(upgrade).on_upgrade(move |socket| converse(socket, input, events, ready, idle)))
}

fn input(options: &Options) -> Result<Input, ApiError> {
    let Some(encoding) = options.encoding.as_deref() else {
        if options.sample_rate.is_some() || options.channels.is_some() {
            return Err(ApiError::bad_request("bad_query", "sample_rate and channels need an encoding")
                .hint("add encoding=linear16, or leave all three out for a container"));
        }
        return Ok(Input::Container);
    };
    let encoding = match encoding {
        "linear16" => Encoding::Linear16,
        "linear32" => Encoding::Linear32,
        "mulaw" => Encoding::MuLaw,
        "alaw" => Encoding::ALaw,
        "opus" => Encoding::Opus,
        _ => {
            return Err(ApiError::bad_request("bad_query", "the encoding is not known")
                .hint("one of linear16, linear32, mulaw, alaw, opus"));
        }
    };
    let usual_hz = match encoding {
        Encoding::MuLaw | Encoding::ALaw => 8_000,
        Encoding::Opus => 48_000,
        Encoding::Linear16 | Encoding::Linear32 => 16_000,
    };
    Ok(Input::Raw {
        encoding,
        rate_hz: options.sample_rate.unwrap_or(usual_hz),
        channels: options.channels.unwrap_or(1),
    })
}

fn language(app: &App, asked: Option<&str>) -> Result<Option<String>, ApiError> {
    let Some(asked) = asked.filter(|asked| !asked.is_empty() && *asked != "auto") else {
        return Ok(None);
    };
    let ears = app.ears().map_err(|missing| ApiError::from(&missing))?;
    let code = asked.split(['-', '_']).next().unwrap_or_default().to_lowercase();
    let known = &ears.info().languages;
    if known.contains(&code) {
        return Ok(Some(code));
    }
    let model = &ears.info().model;
    Err(ApiError::bad_request("unknown_language", format!("{model} does not know that language"))
        .hint(format!("leave language out, or use one of {}", known.join(", "))))
}

async fn converse(socket: WebSocket, input: LiveInput, events: LiveEvents, ready: String, idle: Duration) {
    let (mut sink, stream) = socket.split();
    if socket::send(&mut sink, Message::text(ready)).await.is_err() {
        return;
    }
    let (ended, end) = watch::channel(None);
    let reading = async {
        let (stream, why) = read(stream, input, idle).await;
        // The writer holds the other end until it has written its last word.
        let _ = ended.send(Some(why));
        stream
    };
    let (stream, written) = tokio::join!(reading, write(&mut sink, events, end.clone()));
    let why = end.borrow().clone().unwrap_or(End::Vanished);
    if written.is_ok()
        && let Ok(socket) = sink.reunite(stream)
    {
        bid_farewell(socket, why).await;
    }
}

/// Reads the socket until it or the stream ends, and ends the audio.
async fn read(
    mut stream: SplitStream<WebSocket>,
    mut input: LiveInput,
    idle: Duration,
) -> (SplitStream<WebSocket>, End) {
    let interrupted = input.interrupted();
    tokio::pin!(interrupted);
    let end = loop {
        let message = tokio::select! {
            error = &mut interrupted => break End::Live(error),
            message = tokio::time::timeout(idle, stream.next()) => message,
        };
        match message {
            Err(_) => break End::Idle,
            Ok(None | Some(Ok(Message::Close(_)))) => break End::Vanished,
            Ok(Some(Err(error))) => {
                break socket::refusal(&error).map_or(End::Vanished, |(code, reason)| End::Refused(code, reason));
            }
            Ok(Some(Ok(Message::Binary(bytes)))) => {
                if let Err(error) = input.push(bytes).await {
                    break End::Live(error);
                }
            }
            Ok(Some(Ok(Message::Text(text)))) => match command(&text) {
                Some(Command::Finalize) => input.finalize(),
                Some(Command::KeepAlive) => {}
                Some(Command::Finish) => break End::Finished,
                None => break End::NotACommand,
            },
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
        }
    };
    let end = match (input.finish().await, end) {
        (Err(error), End::Finished) => End::Live(error),
        (_, end) => end,
    };
    (stream, end)
}

/// Tells the client how far the ears are until the last word is out.
async fn write(
    sink: &mut SplitSink<WebSocket, Message>,
    mut events: LiveEvents,
    mut end: watch::Receiver<Option<End>>,
) -> Result<(), Gone> {
    let mut report = tokio::time::interval(REPORT_EVERY);
    report.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut reported = (events.heard(), events.lag_ms());
    loop {
        tokio::select! {
            event = events.next() => match event {
                // The words are the room's to publish; here they only have to be taken.
                Some(_) => {}
                None => break,
            },
            _ = report.tick() => {
                let now = (events.heard(), events.lag_ms());
                if now != reported {
                    reported = now;
                    let heard = Report::Heard { audio_s: now.0.as_secs_f64(), lag_ms: now.1 };
                    socket::send(sink, Message::text(json(&heard))).await?;
                }
            }
        }
    }
    // The events end when the audio has; the reader then knows why.
    let end = end.wait_for(Option::is_some).await.map_or(None, |end| end.clone());
    match end {
        Some(End::Finished) => {
            let finished = Report::Finished { audio_s: events.heard().as_secs_f64() };
            socket::send(sink, Message::text(json(&finished))).await
        }
        Some(end) => match trouble(&end) {
            Some((code, message, hint)) => {
                let error = Report::Error { error: Trouble { code, message: &message, hint } };
                socket::send(sink, Message::text(json(&error))).await
            }
            None => Ok(()),
        },
        None => Err(Gone),
    }
}

fn trouble(end: &End) -> Option<(&'static str, String, Option<&'static str>)> {
    match end {
        End::Finished | End::Vanished => None,
        End::Idle => {
            Some(("idle", "nothing came for too long".to_owned(), Some("send {\"type\":\"keep_alive\"} in pauses")))
        }
        End::Refused(_, reason) => Some(("bad_message", (*reason).to_owned(), None)),
        End::NotACommand => {
            let hint =
                "text is {\"type\":\"finalize\"}, {\"type\":\"keep_alive\"} or {\"type\":\"finish\"}; audio is binary";
            Some(("bad_command", "that text is no command".to_owned(), Some(hint)))
        }
        End::Live(error) => {
            let (code, hint) = match error {
                LiveError::Audio(_) => ("bad_audio", Some("name the encoding and sample_rate, or send a container")),
                LiveError::Full(_) => ("full", Some("try again shortly")),
                LiveError::RoomClosed => ("room_closed", None),
                LiveError::Draining => ("draining", Some("connect again shortly")),
                LiveError::Stopped => ("internal", Some("the server's log says more")),
            };
            Some((code, error.to_string(), hint))
        }
    }
}

async fn bid_farewell(socket: WebSocket, end: End) {
    match end {
        End::Finished => socket::close(socket, close_code::NORMAL, "finished").await,
        End::Idle => socket::close(socket, close_code::POLICY, "nothing came for too long").await,
        End::NotACommand => socket::close(socket, close_code::UNSUPPORTED, "that text is no command").await,
        End::Refused(code, reason) => socket::close(socket, code, reason).await,
        End::Live(error) => socket::close(socket, error.close_code(), &error.to_string()).await,
        End::Vanished => {}
    }
}

fn command(text: &Utf8Bytes) -> Option<Command> {
    serde_json::from_str(text.as_str()).ok()
}

fn json(report: &Report<'_>) -> String {
    serde_json::to_string(report).expect("a report holds only strings and numbers")
}

/// A pause after which an utterance is settled: short enough to read along, long enough to draw a breath.
const ENDPOINTING_MS: u32 = 400;

/// Often enough for a number that a person watches.
const REPORT_EVERY: Duration = Duration::from_millis(250);
