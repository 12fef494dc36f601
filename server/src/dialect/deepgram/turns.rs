//! `WS /v2/listen`: what somebody says, turn by turn, for programs that answer.
//!
//! The shell around one live stream, as [`super::live`] is for `/v1/listen`: [`query`] reads what is wanted and [`talk`]
//! says what happens to turns, both pure. Two halves run on the connection's task: one reads messages and pushes sound
//! into the ears, one writes. Queue: orders from the reading to the writing half wait in a channel of 8; when it is full
//! the reading half waits, which slows the client that caused them. Source: deepgram-api-specs (asyncapi.yml), and what
//! the SDKs read.

mod query;
mod talk;

use std::time::Duration;

use axum::{
    extract::{
        Query as QueryOf, State, WebSocketUpgrade,
        ws::{WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use bot::participant::Kind;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use self::{
    query::{Changes, Query, Thresholds},
    talk::{Info, Talk},
};
use super::{GARBAGE_MAX, client::Client, message::request_id, outcome::Outcome, refusal::Refusal, upgraded};
use crate::{
    app::App,
    call,
    dialect::wire::{self, Incoming, Reader},
    error::ApiError,
    live::{self, LiveError, LiveEvents, LiveInput, LiveSpec, RoomChoice},
    socket,
};

/// Orders that wait; then the client does.
const ORDERS_MAX: usize = 8;

/// How often it is looked whether enough silence has come for a turn to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The handler.
pub async fn listen(
    State(app): State<App>,
    QueryOf(pairs): QueryOf<Vec<(String, String)>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let request_id = request_id();
    let opened = match open(&app, &pairs).await {
        Ok(opened) => opened,
        Err(refusal) => return refusal.respond(&request_id),
    };
    let id = request_id.clone();
    upgraded(upgrade, &request_id, move |socket| run(app, socket, opened, id))
}

/// A stream that waits for its socket.
struct Opened {
    input: LiveInput,
    events: LiveEvents,
    thresholds: Thresholds,
    keyterms: Vec<String>,
    warnings: Vec<&'static str>,
}

async fn open(app: &App, pairs: &[(String, String)]) -> Result<Opened, Refusal> {
    let engine = app.ears().map_err(|missing| ApiError::from(&missing))?.info().clone();
    let Query { input, hints, thresholds, is_private, warnings } = Query::parse(pairs, &engine)?;
    let keyterms = hints.keyterms.clone();
    let title = || RoomChoice::New { title: "Deepgram client".to_owned() };
    let spec = LiveSpec {
        input,
        multichannel: false,
        hints,
        partials: true,
        endpointing_ms: call::ENDPOINTING_MS_OF_AGENTS,
        turn_after_ms: Some(call::TURN_AFTER_MS),
        diarization: None,
        room: if is_private { RoomChoice::None } else { title() },
        participant: "Deepgram client".to_owned(),
        kind: Kind::Websocket,
    };
    let (input, events) = live::open(app, spec).await?;
    Ok(Opened { input, events, thresholds, keyterms, warnings })
}

/// What a client may say besides sound.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Control {
    CloseStream,
    ForceEndTurn,
    Configure(Configure),
    KeepAlive,
}

#[derive(Deserialize)]
struct Configure {
    #[serde(default)]
    thresholds: Option<Changes>,
    #[serde(default)]
    keyterms: Option<Keyterms>,
}

/// One, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Keyterms {
    One(String),
    More(Vec<String>),
}

/// What a client is told.
#[derive(Serialize)]
#[serde(tag = "type")]
enum Message<'a> {
    Connected,
    TurnInfo(Info),
    ConfigureSuccess { thresholds: Thresholds, keyterms: &'a [String] },
    ConfigureFailure { code: &'static str, description: String },
    Warning { code: &'static str, description: String },
    Error { code: &'static str, description: String },
}

/// A message under its number.
#[derive(Serialize)]
struct Numbered<'a> {
    #[serde(flatten)]
    message: Message<'a>,
    request_id: &'a str,
    sequence_id: u64,
}

/// The client, who is told things in order.
struct Told {
    client: Client,
    request_id: String,
    next: u64,
}

impl Told {
    async fn tell(&mut self, message: Message<'_>) {
        let numbered = Numbered { message, request_id: &self.request_id, sequence_id: self.next };
        self.client.tell(&numbered).await;
        self.next += 1;
    }
}

/// The last error, for programs and for people; nothing where all is well, or nobody reads it.
fn trouble(outcome: &Outcome) -> Option<(&'static str, String)> {
    match outcome {
        Outcome::Finished | Outcome::Draining | Outcome::Gone => None,
        Outcome::Idle => Some(("NO_AUDIO", "no audio and no message arrived in time".to_owned())),
        Outcome::Garbage => Some(("UNPARSABLE_CLIENT_MESSAGE", "too many messages that cannot be read".to_owned())),
        Outcome::Unreadable(_, reason) => Some(("UNPARSABLE_CLIENT_MESSAGE", (*reason).to_owned())),
        Outcome::Audio(error @ LiveError::Audio(_)) => Some(("UNPARSABLE_AUDIO", error.to_string())),
        Outcome::Audio(error) => Some(("INTERNAL_SERVER_ERROR", error.to_string())),
    }
}

fn goodbye(outcome: &Outcome) -> (u16, String) {
    let reason = trouble(outcome).map(|(_, reason)| reason).unwrap_or_default();
    match outcome {
        Outcome::Finished | Outcome::Gone => (close_code::NORMAL, reason),
        Outcome::Draining => (LiveError::Draining.close_code(), LiveError::Draining.to_string()),
        Outcome::Idle => (close_code::ERROR, reason),
        Outcome::Garbage => (close_code::POLICY, reason),
        Outcome::Unreadable(code, _) => (*code, reason),
        Outcome::Audio(error) => (error.close_code(), reason),
    }
}

async fn run(app: App, socket: WebSocket, opened: Opened, request_id: String) {
    let Opened { input, mut events, thresholds, keyterms, warnings } = opened;
    let (writer, mut reader) = wire::split(socket, socket::IDLE_TIMEOUT);
    let mut told = Told { client: Client::new(writer), request_id, next: 0 };
    told.tell(Message::Connected).await;
    for warning in warnings {
        told.tell(Message::Warning { code: "NO_EFFECT", description: warning.to_owned() }).await;
    }
    let (orders, ordered) = mpsc::channel(ORDERS_MAX);
    let over = CancellationToken::new();
    let mut talk = Talk::new(thresholds);
    let reading = read(&app, &mut reader, input, orders, &over);
    let writing = async {
        write(&mut told, &mut talk, &mut events, ordered, &keyterms).await;
        over.cancel();
        // A client that cannot be reached leaves words behind; the ears wait until somebody takes them.
        while events.next().await.is_some() {}
    };
    let (outcome, ()) = tokio::join!(reading, writing);
    // Of a turn that the stream ends all words count.
    if let Some(info) = talk.end(events.heard()) {
        told.tell(Message::TurnInfo(info)).await;
    }
    if let Some((code, description)) = trouble(&outcome) {
        told.tell(Message::Error { code, description }).await;
    }
    let (code, reason) = goodbye(&outcome);
    wire::close(told.client.into_writer(), reader, code, &reason).await;
}

/// What the reading half hands over.
enum Order {
    Configure(Configure),
    EndTurn,
    /// A message that cannot be read.
    Unreadable(String),
}

/// Reads the client's messages until there are no more, then ends the audio.
async fn read(
    app: &App,
    reader: &mut Reader,
    mut input: LiveInput,
    orders: mpsc::Sender<Order>,
    over: &CancellationToken,
) -> Outcome {
    let mut garbage = 0;
    let outcome = loop {
        let incoming = tokio::select! {
            incoming = reader.next() => incoming,
            // The events end before the audio only when the ears do, or the client cannot be reached.
            () = over.cancelled() => break Outcome::Audio(LiveError::Stopped),
            () = app.shutdown().cancelled() => break Outcome::Draining,
        };
        let order = match incoming {
            Incoming::Binary(bytes) => match input.push(bytes).await {
                Ok(()) => continue,
                Err(LiveError::Draining) => break Outcome::Draining,
                Err(LiveError::RoomClosed) => break Outcome::Finished,
                Err(error) => break Outcome::Audio(error),
            },
            Incoming::Text(text) => match serde_json::from_str(&text) {
                Ok(Control::CloseStream) => break Outcome::Finished,
                Ok(Control::KeepAlive) => continue,
                Ok(Control::ForceEndTurn) => Order::EndTurn,
                Ok(Control::Configure(configure)) => Order::Configure(configure),
                Err(_) if garbage >= GARBAGE_MAX => break Outcome::Garbage,
                Err(error) => {
                    garbage += 1;
                    let error: String = error.to_string().chars().take(200).collect();
                    Order::Unreadable(error)
                }
            },
            Incoming::Ended(ended) => break ended.into(),
        };
        // Nobody takes orders any more once the events have ended.
        let _ = orders.send(order).await;
    };
    match (input.finish().await, outcome) {
        (Err(error), Outcome::Finished) => Outcome::Audio(error),
        (_, outcome) => outcome,
    }
}

/// Writes what happens to turns until nothing more is heard.
async fn write(
    told: &mut Told,
    talk: &mut Talk,
    events: &mut LiveEvents,
    mut orders: mpsc::Receiver<Order>,
    keyterms: &[String],
) {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !told.client.is_gone() {
        // Cancel-safe: every arm hands out what it has once.
        let infos = tokio::select! {
            event = events.next() => {
                let Some((_, event)) = event else { return };
                talk.hear(&event, events.heard())
            }
            Some(order) = orders.recv() => match order {
                Order::EndTurn => talk.end(events.heard()).into_iter().collect(),
                Order::Configure(configure) => {
                    let answer = configured(talk, configure, keyterms);
                    told.tell(answer).await;
                    continue;
                }
                Order::Unreadable(why) => {
                    let description = format!(
                        "expected audio, or {{\"type\": CloseStream, ForceEndTurn, Configure or KeepAlive}}: {why}"
                    );
                    told.tell(Message::Warning { code: "UNPARSABLE_CLIENT_MESSAGE", description }).await;
                    continue;
                }
            },
            _ = look.tick(), if talk.is_waiting() => talk.tick(events.heard()),
        };
        for info in infos {
            told.tell(Message::TurnInfo(info)).await;
        }
    }
}

fn configured<'a>(talk: &mut Talk, configure: Configure, keyterms: &'a [String]) -> Message<'a> {
    let are_same = match &configure.keyterms {
        None => true,
        Some(Keyterms::One(wanted)) => matches!(keyterms, [only] if only == wanted),
        Some(Keyterms::More(wanted)) => wanted == keyterms,
    };
    if !are_same {
        return Message::ConfigureFailure {
            code: "CONFIGURE_KEYTERMS_NOT_SUPPORTED",
            description: "key terms are taken when a stream opens: open another with keyterm=…".to_owned(),
        };
    }
    match talk.thresholds().with(configure.thresholds.unwrap_or_default()) {
        Ok(thresholds) => {
            talk.change(thresholds);
            Message::ConfigureSuccess { thresholds, keyterms }
        }
        Err(bad) => Message::ConfigureFailure { code: "INVALID_THRESHOLDS", description: bad.to_string() },
    }
}
