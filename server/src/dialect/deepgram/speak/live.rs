//! `WS /v1/speak`: the shell around one socket that is spoken to.
//!
//! One task reads what the client writes, says it on a line of its own and sends what comes of it; the three take
//! turns, and none waits for another but for the socket itself: a client that reads nothing is one that nothing is
//! made for. What waits to be said is [`super::script`]'s; of sound two seconds and a sentence are made ahead.

use std::{future::pending, time::Duration};

use axum::{
    extract::{
        Query as QueryOf, State, WebSocketUpgrade,
        ws::{Message as Frame, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::HeaderValue,
    response::Response,
};
use serde::{Deserialize, Serialize};
use tts::worker::{Refused, Said, Speech, SpeechInput};

use super::{
    model,
    query::{Door, Query},
    script::Script,
};
use crate::{
    app::App,
    dialect::{
        deepgram::{
            message::{self, ModelInfo},
            refusal::Refusal,
        },
        spoken,
        wire::{self, Ended, Incoming, Writer},
    },
    encode::Encoder,
    error::ApiError,
    socket,
};

/// Without a message for this long the socket is closed: an application says something to its caller more often, and
/// the public service waits as long.
const IDLE_AFTER: Duration = Duration::from_secs(3_600);

/// Messages that cannot be read before the client is taken for no client of this dialect.
const GARBAGE_MAX: u32 = 10;

/// The handler.
pub async fn listen(
    State(app): State<App>,
    QueryOf(pairs): QueryOf<Vec<(String, String)>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let request_id = message::request_id();
    let opened = match open(&app, &pairs) {
        Ok(opened) => opened,
        Err(refusal) => return refusal.respond(&request_id),
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            let refusal = Refusal::bad_request(format!("expected a WebSocket: {}", rejection.body_text()));
            return Refusal { status: rejection.status(), ..refusal }.respond(&request_id);
        }
    };
    // Browsers cannot send headers: they send the key as a second subprotocol and expect the first one back.
    let upgrade = socket::limited(upgrade).protocols(["token", "bearer"]);
    let id = request_id.clone();
    let mut response = upgrade.on_upgrade(move |socket| run(app, socket, opened, id));
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("dg-request-id", id);
    }
    response
}

/// A line of speech that waits for its socket.
struct Opened {
    query: Query,
    model: ModelInfo,
    input: SpeechInput,
    speech: Speech,
    encoder: Encoder,
}

fn open(app: &App, pairs: &[(String, String)]) -> Result<Opened, Refusal> {
    let query = Query::parse(pairs, Door::Live)?;
    if app.admission().is_draining() {
        return Err(ApiError::draining().into());
    }
    let model = model(&query, app)?;
    let opened = app.voices()?.open(query.format.rate_hz);
    let (input, speech) = opened.map_err(|refused| match refused {
        Refused::Closing => ApiError::draining(),
        refused => ApiError::full(refused.to_string()),
    })?;
    let encoder = Encoder::begin(query.format, query.bitrate_bps, &mut Vec::new()).map_err(ApiError::internal)?;
    Ok(Opened { query, model, input, speech, encoder })
}

/// What a client may say.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Control {
    Speak { text: String },
    Flush,
    Clear,
    Close,
}

/// What a client is told, besides the sound.
#[derive(Debug, Serialize)]
#[serde(tag = "type")]
enum Told<'a> {
    Metadata { request_id: &'a str, model_name: &'a str, model_version: &'a str, model_uuid: String },
    Flushed { sequence_id: u64 },
    Cleared { sequence_id: u64 },
    Warning { description: String, code: &'static str },
}

/// Why the socket ends.
#[derive(Debug)]
enum Outcome {
    /// The client said so, and all was said.
    Finished,
    /// The client closed, vanished, or reads nothing.
    Gone,
    /// The server goes down.
    Draining,
    /// Nothing came for too long.
    Idle,
    /// Too many messages that cannot be read.
    Garbage,
    /// Bytes that are no WebSocket, or more of them than are taken.
    Unreadable(u16, &'static str),
}

impl Outcome {
    fn goodbye(&self) -> (u16, &'static str) {
        match self {
            Self::Finished | Self::Gone => (close_code::NORMAL, ""),
            Self::Draining => (close_code::AWAY, "the server is shutting down"),
            Self::Idle => (close_code::ERROR, "NET-0001: no message arrived in time"),
            Self::Garbage => (close_code::POLICY, "too many messages that cannot be read"),
            Self::Unreadable(code, reason) => (*code, *reason),
        }
    }
}

async fn run(app: App, socket: WebSocket, opened: Opened, request_id: String) {
    let Opened { query, model, mut input, mut speech, mut encoder } = opened;
    let (writer, mut reader) = wire::split(socket, IDLE_AFTER);
    let mut client = Client { writer, is_gone: false };
    let (model_name, model_version) = (model.name.as_str(), model.version.as_str());
    client.tell(&Told::Metadata { request_id: &request_id, model_name, model_version, model_uuid: model.uuid() }).await;
    let mut script = Script::default();
    let mut garbage = 0;
    let outcome = loop {
        while let Some(sequence_id) = script.due() {
            client.tell(&Told::Flushed { sequence_id }).await;
        }
        if client.is_gone {
            break Outcome::Gone;
        }
        if script.is_over() {
            break Outcome::Finished;
        }
        let next = script.next().map(|(text, turn)| (spoken::utterance(query.voice(text), text, query.speed), turn));
        // Whoever is interrupted while waiting has said nothing: the text waits on.
        let saying = async {
            match &next {
                Some((utterance, turn)) => input.say(*turn, utterance).await,
                None => pending().await,
            }
        };
        tokio::select! {
            incoming = reader.next() => match incoming {
                Incoming::Text(text) => match serde_json::from_str(&text) {
                    Ok(control) => obey(control, &mut script, &input, &mut client).await,
                    Err(_) if garbage >= GARBAGE_MAX => break Outcome::Garbage,
                    Err(error) => {
                        garbage += 1;
                        let error: String = error.to_string().chars().take(200).collect();
                        let why = format!("expected {{\"type\": Speak, Flush, Clear or Close}}: {error}");
                        client.warn("UNREADABLE_MESSAGE", why).await;
                    }
                },
                Incoming::Binary(_) if garbage >= GARBAGE_MAX => break Outcome::Garbage,
                Incoming::Binary(_) => {
                    garbage += 1;
                    client.warn("UNREADABLE_MESSAGE", "a binary message means nothing here".to_owned()).await;
                }
                Incoming::Ended(Ended::Gone) => break Outcome::Gone,
                Incoming::Ended(Ended::Idle) => break Outcome::Idle,
                Incoming::Ended(Ended::Unreadable(code, reason)) => break Outcome::Unreadable(code, reason),
            },
            said = saying => match said {
                Ok(number) => script.said(number),
                Err(Refused::Closing) => break Outcome::Draining,
                Err(refused) => {
                    script.skipped();
                    client.warn("TEXT_NOT_SPOKEN", refused.to_string()).await;
                }
            },
            said = speech.next() => match said {
                Some(Said::Samples { samples, .. }) => {
                    let mut bytes = Vec::new();
                    encoder.push(&samples, &mut bytes);
                    client.send(Frame::Binary(bytes.into())).await;
                }
                Some(Said::Finished { utterance, .. } | Said::Dropped { utterance, .. }) => script.answered(utterance),
                Some(Said::Failed { utterance, error, .. }) => {
                    tracing::warn!(%error, "a text of a socket was not spoken");
                    script.answered(utterance);
                    client.warn("TEXT_NOT_SPOKEN", "the voice failed at a text".to_owned()).await;
                }
                Some(Said::Word { .. } | Said::Viseme { .. }) => {}
                None => break Outcome::Draining,
            },
            () = app.shutdown().cancelled() => break Outcome::Draining,
        }
    };
    let (code, reason) = outcome.goodbye();
    wire::close(client.writer, reader, code, reason).await;
}

/// Does what the client says.
async fn obey(control: Control, script: &mut Script, input: &SpeechInput, client: &mut Client) {
    match control {
        Control::Speak { text } => {
            if script.speak(&text).is_err() {
                let why = "more text waits than is kept: flush, or wait for what was sent".to_owned();
                client.warn("TEXT_TOO_LONG", why).await;
            }
        }
        Control::Flush => {
            if script.flush().is_err() {
                client.warn("TOO_MANY_FLUSHES", "the flushes before it are not answered yet".to_owned()).await;
            }
        }
        Control::Clear => {
            let (over, sequence_id) = script.clear();
            input.hush(over);
            client.tell(&Told::Cleared { sequence_id }).await;
        }
        Control::Close => script.close(),
    }
}

/// The writing half; once the client cannot be reached it stays silent.
struct Client {
    writer: Writer,
    is_gone: bool,
}

impl Client {
    async fn tell(&mut self, told: &Told<'_>) {
        let text = serde_json::to_string(told).expect("plain fields always serialise");
        self.send(Frame::Text(text.into())).await;
    }

    async fn warn(&mut self, code: &'static str, description: String) {
        self.tell(&Told::Warning { description, code }).await;
    }

    async fn send(&mut self, frame: Frame) {
        self.is_gone = self.is_gone || socket::send(&mut self.writer, frame).await.is_err();
    }
}
