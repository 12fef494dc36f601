//! `WS /v1/agent/converse`: an agent that a client describes, and that talks with whoever speaks into the client.
//!
//! The conversation is one like any other: a room of its own, the client's sound a leg in it, the agent beside it;
//! see [`crate::agent`]. [`settings`] reads what is wanted and [`story`] writes what happens, both pure; the shell
//! here owns the socket, and [`talk`] the conversation. One task reads the socket: sound waits in a queue of 64
//! messages for the microphone, which takes it at the pace at which it is heard, and words become orders, of which 16
//! wait; behind either the client waits. Its twin does everything else. Functions are carried out by the client, or by
//! requests to the endpoints that it names. Source: deepgram-api-specs (asyncapi.yml), and what the SDKs read. Never real
//! time.

mod endpoint;
pub(in crate::dialect) mod gate;
mod message;
mod outgoing;
mod served;
mod settings;
mod story;
mod talk;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use asr::recognizer::Hints;
use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use bot::{actor::RoomHandle, participant::Kind, room::Room};
use bytes::Bytes;
use media::{frame::MOUTH_HZ, graph::nodes::capture::capture};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use self::{
    message::{Control, Settings, Told},
    outgoing::Outgoing,
    served::Served,
    settings::Wanted,
    story::Story,
    talk::{Conversation, Order},
};
use super::{GARBAGE_MAX, client::Client, message::request_id, refusal::Refusal, upgraded};
use crate::{
    agent::{self, Brought, With},
    app::App,
    call::{self, Words},
    dialect::{
        spoken,
        wire::{self, Ended, Incoming, Reader},
    },
    encode::Encoder,
    error::ApiError,
    hearing::{Hearing, Mix},
    microphone::Microphone,
};

/// The settings come first, and soon: a client has them before it connects.
const SETTINGS_WITHIN: Duration = Duration::from_secs(10);

/// A client sends its microphone, or that it is there; the public service gives up sooner.
const IDLE_AFTER: Duration = Duration::from_secs(60);

/// Orders that wait; then the client does.
const ORDERS_MAX: usize = 16;

/// Messages of sound that wait to be heard, so that words are not behind them; then the client does.
const SOUNDS_MAX: usize = 64;

/// The largest of them: more than a second of any sound that is taken here.
const SOUND_BYTES_MAX: usize = 256 << 10;

/// What is for the microphone, in its order.
enum Sounding {
    Sound(Bytes),
    /// The client's turn ends behind what came before.
    EndOfTurn,
}

/// The handler.
pub async fn converse(
    State(app): State<App>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let request_id = request_id();
    if app.admission().is_draining() {
        return Refusal::from(&ApiError::draining()).respond(&request_id);
    }
    let id = request_id.clone();
    upgraded(upgrade, &request_id, move |socket| run(app, socket, id))
}

/// Why the socket ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The client closed, vanished, or reads nothing.
    Gone,
    /// The agent has done with talking.
    Over,
    /// The server goes down.
    Draining,
    /// Nothing came for too long.
    Idle,
    /// No settings, or none that can be followed; the client was told.
    Refused,
    /// Too many messages that cannot be read.
    Garbage,
    /// Bytes that are no WebSocket, or more of them than are taken.
    Unreadable(u16, &'static str),
}

impl End {
    fn goodbye(self) -> (u16, &'static str) {
        match self {
            Self::Gone | Self::Over => (close_code::NORMAL, ""),
            Self::Draining => (close_code::AWAY, "the server is shutting down"),
            Self::Idle => (close_code::ERROR, "no message arrived in time"),
            Self::Refused => (close_code::POLICY, "the settings cannot be followed"),
            Self::Garbage => (close_code::POLICY, "too many messages that cannot be read"),
            Self::Unreadable(code, reason) => (code, reason),
        }
    }
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Gone => Self::Gone,
            Ended::Idle => Self::Idle,
            Ended::Unreadable(code, reason) => Self::Unreadable(code, reason),
        }
    }
}

async fn run(app: App, socket: WebSocket, request_id: String) {
    let (writer, mut reader) = wire::split(socket, IDLE_AFTER);
    let mut client = Client::new(writer);
    client.tell(&Told::Welcome { request_id }).await;
    let end = match until_settings(&mut reader).await {
        Ok(settings) => match begin(&app, settings).await {
            Ok((conversation, microphone, warnings)) => {
                client.tell(&Told::SettingsApplied).await;
                for warning in warnings {
                    client.tell(&warning).await;
                }
                let (over, (orders, ordered)) = (CancellationToken::new(), mpsc::channel(ORDERS_MAX));
                let room = conversation.room.clone();
                let reading = read(&mut reader, microphone, orders, &over);
                let writing = async {
                    let end = conversation.hold(&app, &mut client, ordered).await;
                    over.cancel();
                    end
                };
                let (came, went) = tokio::join!(reading, writing);
                room.close().await;
                came.unwrap_or(went)
            }
            Err((code, description)) => {
                client.tell(&Told::Error { description, code }).await;
                End::Refused
            }
        },
        Err(NoSettings::Ended(ended)) => ended.into(),
        Err(NoSettings::Late) => {
            let description = "no Settings came in time".to_owned();
            client.tell(&Told::Error { description, code: "CLIENT_MESSAGE_TIMEOUT" }).await;
            End::Refused
        }
        Err(NoSettings::Others(description)) => {
            client.tell(&Told::Error { description, code: "INVALID_SETTINGS" }).await;
            End::Refused
        }
    };
    let (code, reason) = end.goodbye();
    wire::close(client.into_writer(), reader, code, reason).await;
}

/// Why there are no settings.
enum NoSettings {
    Ended(Ended),
    Late,
    /// Something else came; what is wrong with it.
    Others(String),
}

async fn until_settings(reader: &mut Reader) -> Result<Settings, NoSettings> {
    let deadline = Instant::now() + SETTINGS_WITHIN;
    loop {
        let incoming = tokio::time::timeout_at(deadline, reader.next()).await.map_err(|_| NoSettings::Late)?;
        match incoming {
            // A microphone may be quicker; there is nobody yet to hear it.
            Incoming::Binary(_) => {}
            Incoming::Text(text) => match serde_json::from_str(&text) {
                Ok(Control::Settings(settings)) => return Ok(*settings),
                Ok(Control::KeepAlive) => {}
                Ok(_) => return Err(NoSettings::Others("the first message must be Settings".to_owned())),
                Err(error) => return Err(NoSettings::Others(brief(&error))),
            },
            Incoming::Ended(ended) => return Err(NoSettings::Ended(ended)),
        }
    }
}

/// What is wrong with a message, without what it says.
fn brief(error: &serde_json::Error) -> String {
    let place = format!("line {}, column {}", error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Data => {
            format!("expected Settings or another message of the agent's protocol; the fields do not fit at {place}")
        }
        _ => format!("that is no JSON: {place}"),
    }
}

/// Brings a client and its agent together; what else the client should know. The error is for the client: a code, and
/// words.
async fn begin(app: &App, settings: Settings) -> Result<(Conversation, Microphone, Vec<Told>), (&'static str, String)> {
    let known: Vec<_> = app.config().llm.iter().map(|model| (model.name(), model.model.as_str())).collect();
    let invalid = |refused: settings::Refused| ("INVALID_SETTINGS", refused.to_string());
    let mut wanted = Wanted::read(settings, &known).map_err(invalid)?;
    let mut brought = None;
    talk::bring(app, &wanted.thinking, &mut wanted.persona, &mut brought).await.map_err(invalid)?;
    let failed = |error: ApiError| ("NOT_STARTED", error.to_string());
    let room = app.open_room("Deepgram client").map_err(failed)?;
    match enter(app, &room, wanted, brought).await {
        Ok(begun) => Ok(begun),
        Err(error) => {
            room.close().await;
            Err(failed(error))
        }
    }
}

async fn enter(
    app: &App,
    room: &RoomHandle,
    wanted: Wanted,
    brought: Option<Brought>,
) -> Result<(Conversation, Microphone, Vec<Told>), ApiError> {
    let Wanted { input, output, listening, persona, thinking, past, keeps_history, warnings } = wanted;
    let language = call::language(app, listening.language.as_deref())?;
    let hints = Hints { language, keyterms: listening.keyterms.clone() };
    let encoder = Encoder::begin(output, spoken::OPUS_BPS, &mut Vec::new()).map_err(ApiError::internal)?;
    // The agent is there before its caller, who is listened to for it then.
    let seated = agent::seat(app, room, Arc::new(persona.clone()), thinking.functions.clone()).await?;
    let (source, microphone) = Microphone::open(input)?;
    let (sink, reader) = capture();
    let mix = Mix::new(reader, output.rate_hz)
        .map_err(|error| ApiError::bad_request("bad_audio_format", error.to_string()))?;
    let wish = call::Wish {
        name: "Deepgram client".to_owned(),
        kind: Kind::Websocket,
        consent: None,
        hints,
        endpointing_ms: call::ENDPOINTING_MS,
        words: Words::Wanted,
        source: Some(Box::new(source)),
        sink: Some(Box::new(sink)),
        key_ticks_hz: MOUTH_HZ,
        suppress_noise: false,
        hears_itself: false,
        diarize: false,
    };
    let call = call::join(app, room, wish).await?;
    let (agent, caller) = (seated.participant(), call.participant());
    let events = room.follow(Some(room.read(Room::last_seq)));
    let conversation = Conversation {
        room: room.clone(),
        hearing: Hearing::new(call, microphone.taken(), Some(mix)),
        out: Outgoing::new(encoder),
        events,
        reins: seated.go_on(With::One(caller), BTreeMap::new(), past),
        story: Story::new(agent, caller, keeps_history),
        persona,
        listening,
        thinking,
        brought,
        served: Served::new(app.agents().outside()),
        asked: BTreeMap::new(),
        finalized: 0,
    };
    Ok((conversation, microphone, warnings))
}

/// Reads the socket until it ends, or the conversation does; why it ended by itself.
async fn read(
    reader: &mut Reader,
    mut microphone: Microphone,
    orders: mpsc::Sender<Order>,
    over: &CancellationToken,
) -> Option<End> {
    let mut garbage = 0;
    let (sound, mut sounds) = mpsc::channel(SOUNDS_MAX);
    let hearing = async {
        // Sound without a header is never refused: what cannot be decoded is concealed.
        while let Some(sounding) = sounds.recv().await {
            match sounding {
                Sounding::Sound(bytes) => {
                    if microphone.push(bytes).await.is_err() {
                        return End::Over;
                    }
                }
                Sounding::EndOfTurn => microphone.finalize().await,
            }
        }
        std::future::pending().await
    };
    let reading = async {
        loop {
            let order = match reader.next().await {
                Incoming::Binary(bytes) if bytes.len() > SOUND_BYTES_MAX => {
                    Order::Unreadable(format!("a message of sound has at most {SOUND_BYTES_MAX} bytes"))
                }
                Incoming::Binary(bytes) => {
                    if sound.send(Sounding::Sound(bytes)).await.is_err() {
                        return End::Over;
                    }
                    continue;
                }
                Incoming::Text(text) => match serde_json::from_str(&text) {
                    Ok(Control::KeepAlive) => continue,
                    Ok(Control::ForceEndTurn) => {
                        if sound.send(Sounding::EndOfTurn).await.is_err() {
                            return End::Over;
                        }
                        continue;
                    }
                    Ok(control) => Order::Control(control),
                    Err(_) if garbage >= GARBAGE_MAX => return End::Garbage,
                    Err(error) => {
                        garbage += 1;
                        Order::Unreadable(brief(&error))
                    }
                },
                Incoming::Ended(ended) => return ended.into(),
            };
            if orders.send(order).await.is_err() {
                return End::Over;
            }
        }
    };
    let end = tokio::select! {
        biased;
        () = over.cancelled() => None,
        end = reading => Some(end),
        end = hearing => Some(end),
    };
    // Nobody orders anything any more: the other half ends, too.
    drop(orders);
    end
}
