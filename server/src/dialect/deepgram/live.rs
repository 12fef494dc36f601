//! `WS /v1/listen`: the shell around one live stream.
//!
//! Everything that can be refused is refused before the upgrade, with a status and a reason. Then two halves run
//! on the connection's task: one reads the client's messages into the ears, one writes what was heard. They meet
//! at the end, for the last results, the metadata and a close code that says why. Queues: notices from the
//! reading to the writing half wait in a channel of 8; when it is full the reading half waits, which slows the
//! client that caused them.

use std::{pin::pin, time::Duration};

use asr::{diarize::Diarization, recognizer::Info};
use axum::{
    extract::{
        Query as QueryOf, State, WebSocketUpgrade,
        ws::{Message as Frame, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::{sync::mpsc, time::sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    GARBAGE_MAX, about,
    message::{self, Message, ModelInfo, Warning, seconds},
    outcome::Outcome,
    query::{Audio, Door, Query},
    refusal::Refusal,
    spool::hex,
    translator::Translator,
    upgraded,
};
use crate::{
    app::App,
    dialect::wire::{self, Incoming, Reader, Writer},
    error::ApiError,
    live::{self, Input, LiveError, LiveEvents, LiveInput, LiveSpec, RoomChoice},
    socket,
};

/// Without audio or a message for this long the connection is closed; the public service does so after 10 s, and
/// its SDKs keep alive every 3 to 5 s.
const IDLE_AFTER: Duration = Duration::from_secs(12);

/// The handler.
pub async fn listen(
    State(app): State<App>,
    QueryOf(pairs): QueryOf<Vec<(String, String)>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let request_id = message::request_id();
    let opened = match open(&app, &pairs, &request_id).await {
        Ok(opened) => opened,
        Err(refusal) => return refusal.respond(&request_id),
    };
    upgraded(upgrade, &request_id, move |socket| run(app, socket, opened))
}

/// A stream that waits for its socket.
struct Opened {
    input: LiveInput,
    events: LiveEvents,
    query: Query,
    engine: Info,
    request_id: String,
}

async fn open(app: &App, pairs: &[(String, String)], request_id: &str) -> Result<Opened, Refusal> {
    let ears = app.ears().map_err(|missing| ApiError::from(&missing))?;
    let engine = ears.info().clone();
    let mut query = Query::parse(pairs, Door::Live, &engine)?;
    if query.tells_voices() && !ears.tells_voices() {
        query.warnings.push(Warning::without_effect("diarize", NO_VOICES));
    }
    let spec = LiveSpec {
        input: match query.audio {
            Audio::Container => Input::Container,
            Audio::Raw { encoding, rate_hz, channels } => Input::Raw { encoding, rate_hz, channels },
        },
        multichannel: query.multichannel,
        hints: query.hints.clone(),
        partials: query.interim_results,
        turn_after_ms: None,
        diarization: query.tells_voices().then(Diarization::default),
        endpointing_ms: query.endpointing.unwrap_or(UNSPOKEN_ENDPOINTING).as_millis() as u32,
        room: if query.may_be_shown() {
            RoomChoice::New { title: "Deepgram client".to_owned() }
        } else {
            RoomChoice::None
        },
        participant: "Deepgram client".to_owned(),
        kind: bot::participant::Kind::Websocket,
    };
    let (input, events) = live::open(app, spec).await?;
    Ok(Opened { input, events, query, engine, request_id: request_id.to_owned() })
}

/// Said where voices were to be told apart and the ears do not.
const NO_VOICES: &str = "this server does not tell voices apart, which needs a voice model (/readyz says more); with a channel \
                         for each speaker, multichannel=true does";

/// With endpointing switched off a pause still has to end a window somewhere; it is only not reported.
const UNSPOKEN_ENDPOINTING: Duration = Duration::from_millis(1_000);

async fn run(app: App, socket: WebSocket, opened: Opened) {
    let Opened { input, mut events, query, engine, request_id } = opened;
    let mut metadata = about(&query, &request_id, String::new(), &engine, app.clock());
    let mut translator = Translator::new(query, request_id, ModelInfo::new(&engine));
    let (writer, mut reader) = wire::split(socket, IDLE_AFTER);
    let (tell, told) = mpsc::channel(8);
    let mut voice = Voice { writer, deaf: CancellationToken::new() };
    let deaf = voice.deaf.clone();
    let mut hash = Sha256::new();

    let outcome = {
        let mut hearing = pin!(hear(&app, &mut reader, input, tell, deaf, &mut hash));
        let mut speaking = pin!(speak(&app, &mut voice, &mut events, &mut translator, told));
        tokio::select! {
            outcome = &mut hearing => { speaking.await; outcome }
            // The events end before the audio only when the ears shut down or the audio cannot be decoded;
            // the reading half then learns it with its next push, or says why it ended.
            () = &mut speaking => hearing.await,
        }
    };

    if matches!(outcome, Outcome::Finished | Outcome::Draining) {
        for message in translator.on_end(events.heard()) {
            voice.say(&message).await;
        }
        for span in translator.lost() {
            let message = format!("{} to {} went unheard", span.start, span.end);
            metadata.warnings.push(Warning { parameter: "audio", kind: "audio_lost", message });
        }
        metadata.sha256 = hex(&hash.finalize());
        metadata.duration = seconds(events.heard());
        metadata.channels = events.lanes();
        voice.say(&Message::Metadata(Box::new(metadata))).await;
    }
    let (code, reason) = goodbye(&outcome);
    if let Some(variant) = variant(&outcome) {
        voice.say(&Message::error(variant, reason.clone())).await;
    }
    wire::close(voice.writer, reader, code, &reason).await;
}

/// The `variant` of a last error message.
fn variant(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Finished | Outcome::Draining | Outcome::Gone => None,
        Outcome::Idle => Some("NET-0001"),
        Outcome::Garbage | Outcome::Unreadable(..) => Some("SchemaError"),
        Outcome::Audio(LiveError::Audio(_)) => Some("DATA-0000"),
        Outcome::Audio(_) => Some("NET-0000"),
    }
}

fn goodbye(outcome: &Outcome) -> (u16, String) {
    match outcome {
        Outcome::Finished | Outcome::Gone => (close_code::NORMAL, String::new()),
        Outcome::Draining => (LiveError::Draining.close_code(), LiveError::Draining.to_string()),
        Outcome::Idle => (
            close_code::ERROR,
            "NET-0001: no audio and no message arrived in time; send KeepAlive during silence".to_owned(),
        ),
        Outcome::Garbage => (close_code::POLICY, "too many messages that cannot be read".to_owned()),
        Outcome::Unreadable(code, reason) => (*code, (*reason).to_owned()),
        Outcome::Audio(error @ LiveError::Audio(_)) => (close_code::POLICY, format!("DATA-0000: {error}")),
        Outcome::Audio(error) => (error.close_code(), format!("NET-0000: {error}")),
    }
}

/// The writing half; once the client cannot be reached, it stays silent and says so to the other half.
struct Voice {
    writer: Writer,
    deaf: CancellationToken,
}

impl Voice {
    async fn say(&mut self, message: &Message) {
        if self.deaf.is_cancelled() {
            return;
        }
        if socket::send(&mut self.writer, Frame::Text(message.to_json().into())).await.is_err() {
            self.deaf.cancel();
        }
    }
}

/// What a client may say besides audio.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Control {
    KeepAlive,
    Finalize,
    CloseStream,
    Configure,
}

/// What the reading half has to say to the client.
#[derive(Debug)]
enum Notice {
    /// The recognizers take their key terms when a stream opens.
    CannotConfigure,
    /// A text message was none of [`Control`].
    Unreadable(String),
}

impl Notice {
    fn message(self, request_id: &str) -> Message {
        match self {
            Self::CannotConfigure => Message::ConfigureFailure {
                request_id: request_id.to_owned(),
                code: "CONFIGURE_KEYTERMS_NOT_SUPPORTED",
                description: "key terms are taken when a stream opens: open another with keyterm=…".to_owned(),
            },
            Self::Unreadable(why) => Message::error(
                "SchemaError",
                format!("expected audio, or {{\"type\": KeepAlive, Finalize or CloseStream}}: {why:.200}"),
            ),
        }
    }
}

async fn notify(tell: &mpsc::Sender<Notice>, notice: Notice) {
    // Nobody listens any more once the events have ended; then the goodbye says enough.
    let _ = tell.send(notice).await;
}

/// Reads the client's messages until there are no more, then ends the audio.
async fn hear(
    app: &App,
    reader: &mut Reader,
    mut input: LiveInput,
    tell: mpsc::Sender<Notice>,
    deaf: CancellationToken,
    hash: &mut Sha256,
) -> Outcome {
    let mut garbage = 0;
    let outcome = loop {
        let incoming = tokio::select! {
            incoming = reader.next() => incoming,
            () = deaf.cancelled() => break Outcome::Gone,
            () = app.shutdown().cancelled() => break Outcome::Draining,
        };
        match incoming {
            // An empty message is how clients of an older age close the stream.
            Incoming::Binary(bytes) if bytes.is_empty() => break Outcome::Finished,
            Incoming::Binary(bytes) => {
                hash.update(&bytes);
                match input.push(bytes).await {
                    Ok(()) => {}
                    Err(LiveError::Draining) => break Outcome::Draining,
                    Err(LiveError::RoomClosed) => break Outcome::Finished,
                    Err(error) => break Outcome::Audio(error),
                }
            }
            Incoming::Text(text) => match serde_json::from_str(&text) {
                Ok(Control::KeepAlive) => {}
                Ok(Control::Finalize) => input.finalize(),
                Ok(Control::CloseStream) => break Outcome::Finished,
                Ok(Control::Configure) => notify(&tell, Notice::CannotConfigure).await,
                Err(_) if garbage >= GARBAGE_MAX => break Outcome::Garbage,
                Err(error) => {
                    garbage += 1;
                    notify(&tell, Notice::Unreadable(error.to_string())).await;
                }
            },
            Incoming::Ended(ended) => break ended.into(),
        }
    };
    match (input.finish().await, outcome) {
        (Err(error), Outcome::Finished) => Outcome::Audio(error),
        (_, outcome) => outcome,
    }
}

/// Writes what was heard until there is no more.
async fn speak(
    app: &App,
    voice: &mut Voice,
    events: &mut LiveEvents,
    translator: &mut Translator,
    mut told: mpsc::Receiver<Notice>,
) {
    loop {
        let due = translator.deadline();
        let messages = tokio::select! {
            event = events.next() => {
                let Some((lane, event)) = event else { return };
                translator.on_event(lane, events.lanes(), event, events.heard(), app.clock().now())
            }
            Some(notice) = told.recv() => vec![notice.message(translator.request_id())],
            () = sleep_until(due.unwrap_or_else(|| app.clock().now()).into()), if due.is_some() => {
                translator.on_time(events.heard(), app.clock().now())
            }
        };
        for message in messages {
            voice.say(&message).await;
        }
    }
}
