//! `WS /v1/speak`: the shell around one socket that is spoken to.
//!
//! One task reads what the client writes, says it on a line of its own and sends what comes of it; the three take
//! turns, and none waits for another but for the socket itself: a client that reads nothing is one that nothing is
//! made for. What waits to be said is [`super::script`]'s; of sound two seconds and a sentence are made ahead. The line
//! is opened with the first sentence and let go when nothing was said for a while: a socket that is silent holds none.

use std::{future::pending, time::Duration};

use axum::{
    extract::{
        Query as QueryOf, State, WebSocketUpgrade,
        ws::{WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};
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
            GARBAGE_MAX,
            client::Client,
            message::{self, ModelInfo},
            refusal::Refusal,
            upgraded,
        },
        spoken::{self, NotSpoken, Place},
        wire::{self, Ended, Incoming},
    },
    encode::Encoder,
    error::ApiError,
};

/// Without a message for this long the socket is closed: an application says something to its caller more often, and
/// the public service waits as long.
const IDLE_AFTER: Duration = Duration::from_secs(3_600);

/// A line of speech on which nothing is said for this long is let go: a speaker pauses for less within what it says.
const LET_GO_AFTER: Duration = Duration::from_secs(10);

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
    let id = request_id.clone();
    upgraded(upgrade, &request_id, move |socket| run(app, socket, opened, id))
}

/// What waits for its socket.
struct Opened {
    query: Query,
    model: ModelInfo,
    encoder: Encoder,
}

fn open(app: &App, pairs: &[(String, String)]) -> Result<Opened, Refusal> {
    let query = Query::parse(pairs, Door::Live)?;
    if app.admission().is_draining() {
        return Err(ApiError::draining().into());
    }
    let model = model(&query, app)?;
    // Whoever could not be spoken to now is told so by a status; the line itself is opened with the first sentence.
    drop(Line::open(app, query.format.rate_hz, 0)?);
    let encoder = Encoder::begin(query.format, query.bitrate_bps, &mut Vec::new()).map_err(ApiError::internal)?;
    Ok(Opened { query, model, encoder })
}

/// A line of speech with its place; dropping it lets both go.
struct Line {
    input: SpeechInput,
    speech: Speech,
    /// The number of what was said last on the line before this one: each counts from 1.
    before: u64,
    _place: Place,
}

impl Line {
    fn open(app: &App, rate_hz: u32, before: u64) -> Result<Self, NotSpoken> {
        let place = spoken::place()?;
        let (input, speech) = app.voices()?.open(rate_hz)?;
        Ok(Self { input, speech, before, _place: place })
    }
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
    let Opened { query, model, mut encoder } = opened;
    let (writer, mut reader) = wire::split(socket, IDLE_AFTER);
    let mut client = Client::new(writer);
    let (model_name, model_version) = (model.name.as_str(), model.version.as_str());
    client.tell(&Told::Metadata { request_id: &request_id, model_name, model_version, model_uuid: model.uuid() }).await;
    let mut script = Script::default();
    let mut garbage = 0;
    let mut line: Option<Line> = None;
    let mut quiet_until: Option<Instant> = None;
    // What is to be said next, and on behalf of which turn.
    let mut next = None;
    let outcome = loop {
        while let Some(sequence_id) = script.due() {
            client.tell(&Told::Flushed { sequence_id }).await;
        }
        if client.is_gone() {
            break Outcome::Gone;
        }
        if script.is_over() {
            break Outcome::Finished;
        }
        if next.is_none() {
            let cue = script.next();
            next = cue.map(|(text, turn)| (spoken::utterance(query.voice(text), text, query.speed), turn));
        }
        if next.is_some() && line.is_none() {
            match Line::open(&app, query.format.rate_hz, script.number()) {
                Ok(opened) => line = Some(opened),
                Err(NotSpoken::Refused(Refused::Closing)) => break Outcome::Draining,
                Err(why) => {
                    next = None;
                    script.skipped();
                    warn(&mut client, "TEXT_NOT_SPOKEN", why.refusal().to_string()).await;
                    continue;
                }
            }
        }
        let is_quiet = line.is_some() && script.is_quiet();
        quiet_until = is_quiet.then(|| quiet_until.unwrap_or_else(|| Instant::now() + LET_GO_AFTER));
        let before = line.as_ref().map_or(0, |line| line.before);
        let (input, speech) = line.as_mut().map(|line| (&mut line.input, &mut line.speech)).unzip();
        // Whoever is interrupted while waiting has said nothing: the text waits on.
        let saying = async {
            match (input, &next) {
                (Some(input), Some((utterance, turn))) => input.say(*turn, utterance).await,
                _ => pending().await,
            }
        };
        let hearing = async {
            match speech {
                Some(speech) => speech.next().await,
                None => pending().await,
            }
        };
        let silence = async {
            match quiet_until {
                Some(until) => sleep_until(until).await,
                None => pending().await,
            }
        };
        tokio::select! {
            incoming = reader.next() => match incoming {
                Incoming::Text(text) => match serde_json::from_str::<Control>(&text) {
                    Ok(control) => {
                        if matches!(control, Control::Clear) {
                            next = None;
                        }
                        let input = line.as_ref().map(|line| &line.input);
                        obey(control, &mut script, input, &mut client).await;
                    }
                    Err(_) if garbage >= GARBAGE_MAX => break Outcome::Garbage,
                    Err(error) => {
                        garbage += 1;
                        let error: String = error.to_string().chars().take(200).collect();
                        let why = format!("expected {{\"type\": Speak, Flush, Clear or Close}}: {error}");
                        warn(&mut client, "UNREADABLE_MESSAGE", why).await;
                    }
                },
                Incoming::Binary(_) if garbage >= GARBAGE_MAX => break Outcome::Garbage,
                Incoming::Binary(_) => {
                    garbage += 1;
                    warn(&mut client, "UNREADABLE_MESSAGE", "a binary message means nothing here".to_owned()).await;
                }
                Incoming::Ended(Ended::Gone) => break Outcome::Gone,
                Incoming::Ended(Ended::Idle) => break Outcome::Idle,
                Incoming::Ended(Ended::Unreadable(code, reason)) => break Outcome::Unreadable(code, reason),
            },
            said = saying => {
                next = None;
                match said {
                    Ok(number) => script.said(before + number),
                    Err(Refused::Closing) => break Outcome::Draining,
                    Err(refused) => {
                        script.skipped();
                        warn(&mut client, "TEXT_NOT_SPOKEN", refused.to_string()).await;
                    }
                }
            },
            said = hearing => match said {
                Some(Said::Samples { samples, .. }) => {
                    let mut bytes = Vec::new();
                    encoder.push(&samples, &mut bytes);
                    client.sound(bytes).await;
                }
                Some(Said::Finished { utterance, .. } | Said::Dropped { utterance, .. }) => {
                    script.answered(before + utterance);
                }
                Some(Said::Failed { utterance, error, .. }) => {
                    tracing::warn!(%error, "a text of a socket was not spoken");
                    script.answered(before + utterance);
                    warn(&mut client, "TEXT_NOT_SPOKEN", "the voice failed at a text".to_owned()).await;
                }
                Some(Said::Word { .. } | Said::Viseme { .. }) => {}
                None => break Outcome::Draining,
            },
            () = silence => line = None,
            () = app.shutdown().cancelled() => break Outcome::Draining,
        }
    };
    let (code, reason) = outcome.goodbye();
    wire::close(client.into_writer(), reader, code, reason).await;
}

/// Does what the client says.
async fn obey(control: Control, script: &mut Script, input: Option<&SpeechInput>, client: &mut Client) {
    match control {
        Control::Speak { text } => {
            if script.speak(&text).is_err() {
                let why = "more text waits than is kept: flush, or wait for what was sent".to_owned();
                warn(client, "TEXT_TOO_LONG", why).await;
            }
        }
        Control::Flush => {
            if script.flush().is_err() {
                warn(client, "TOO_MANY_FLUSHES", "the flushes before it are not answered yet".to_owned()).await;
            }
        }
        Control::Clear => {
            let (over, sequence_id) = script.clear();
            if let Some(input) = input {
                input.hush(over);
            }
            client.tell(&Told::Cleared { sequence_id }).await;
        }
        Control::Close => script.close(),
    }
}

async fn warn(client: &mut Client, code: &'static str, description: String) {
    client.tell(&Told::Warning { description, code }).await;
}
