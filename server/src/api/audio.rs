//! `/api/rooms/{id}/audio`: a microphone, or anything that can send bytes, into a room.
//!
//! Options come in the query, audio as binary messages, small commands as JSON text; what was understood comes
//! out of the room's events, and here only how far the ears are. The socket is a leg of the room: the others hear
//! it as it is spoken, and with `listen=true` it hears them. With `live=false` it is a file, which goes to the ears
//! alone, as fast as they take it. One task reads the socket and pushes, its twin follows what becomes of it and
//! writes: a push may wait, and then the client's next audio waits in its own socket.

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
use bot::{actor::RoomHandle, participant::Kind};
use futures_util::{
    StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use media::{
    codec::raw::Encoding,
    frame::MOUTH_HZ,
    graph::{node::Node, nodes::capture::capture},
    id::ParticipantId,
    time::MediaTime,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::RoomOf;
use crate::{
    app::App,
    auth,
    call::{self, Ended, Words},
    encode::linear16,
    error::ApiError,
    hearing::{Hearing, Item, Mix},
    live::{self, Input, LiveError, LiveEvents, LiveInput, LiveSpec, RoomChoice},
    microphone::Microphone,
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
    /// A leg of the room (the default), or a file as fast as it goes.
    live: Option<bool>,
    /// Whether the client hears the room.
    listen: Option<bool>,
    /// Whether whoever speaks agreed to be recorded.
    consent: Option<bool>,
    /// Whether what is not their voice is taken out of their sound.
    suppress_noise: Option<bool>,
    /// Whether several people may be on this line: their voices are told apart then. Not of a file.
    diarize: Option<bool>,
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
    Ready {
        room: String,
        participants: Vec<String>,
        is_transcribed: bool,
        engine: Option<&'a str>,
        model: Option<&'a str>,
        /// Of the sound that is sent back, if any is.
        listen_rate_hz: Option<u32>,
    },
    Heard {
        audio_s: f64,
        lag_ms: Option<u64>,
    },
    Finished {
        audio_s: f64,
    },
    Error {
        error: Trouble<'a>,
    },
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
    let opened = if options.live.unwrap_or(true) {
        open_leg(&app, &room, &options).await?
    } else {
        open_file(&app, &room, &options).await?
    };
    let info = app.ears().ok().filter(|_| opened.is_transcribed).map(asr::pool::Ears::info);
    let ready = json(&Report::Ready {
        room: room.id().to_string(),
        participants: opened.participants.iter().map(ToString::to_string).collect(),
        is_transcribed: opened.is_transcribed,
        engine: info.map(|info| info.engine),
        model: info.map(|info| info.model.as_str()),
        listen_rate_hz: opened.listen_rate_hz,
    });
    let Opened { speaking, following, .. } = opened;
    let idle = Duration::from_secs(app.config().limits.idle_s);
    let upgrade = match auth::subprotocol(&headers) {
        Some(protocol) => upgrade.protocols([protocol]),
        None => upgrade,
    };
    Ok(socket::limited(upgrade).on_upgrade(move |socket| converse(socket, speaking, following, ready, idle)))
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

/// Both halves of a socket's audio, before the socket is there.
struct Opened {
    speaking: Speaking,
    following: Following,
    participants: Vec<ParticipantId>,
    is_transcribed: bool,
    listen_rate_hz: Option<u32>,
}

async fn open_leg(app: &App, room: &RoomHandle, options: &Options) -> Result<Opened, ApiError> {
    let input = input(options)?;
    let rate_hz = match input {
        Input::Raw { rate_hz, .. } => rate_hz,
        Input::Container => MOUTH_HZ,
    };
    let listen_rate_hz = options.listen.unwrap_or(false).then_some(rate_hz);
    let hints = Hints { language: call::language(app, options.language.as_deref())?, keyterms: Vec::new() };
    let (source, microphone) = Microphone::open(input)?;
    let (sink, mix) = match listen_rate_hz {
        Some(rate_hz) => {
            let (sink, reader) = capture();
            let mix = Mix::new(reader, rate_hz)
                .map_err(|error| ApiError::bad_request("bad_audio_format", error.to_string()))?;
            (Some(Box::new(sink) as Box<dyn Node>), Some(mix))
        }
        None => (None, None),
    };
    let wish = call::Wish {
        name: options.name.clone().unwrap_or_default(),
        kind: Kind::Websocket,
        consent: options.consent,
        hints,
        endpointing_ms: options.endpointing.unwrap_or(call::ENDPOINTING_MS),
        words: Words::Wanted,
        source: Some(Box::new(source)),
        sink,
        key_ticks_hz: MOUTH_HZ,
        suppress_noise: options.suppress_noise.unwrap_or(false),
        hears_itself: false,
        diarize: options.diarize.unwrap_or(false),
    };
    let call = call::join(app, room, wish).await?;
    let (participants, is_transcribed) = (vec![call.participant()], call.is_transcribed());
    let ended = Box::pin(call.ended());
    let hearing = Hearing::new(call, microphone.taken(), mix);
    Ok(Opened {
        speaking: Speaking::Leg { microphone: Box::new(microphone), ended },
        following: Following::Leg(Box::new(hearing)),
        participants,
        is_transcribed,
        listen_rate_hz,
    })
}

async fn open_file(app: &App, room: &RoomHandle, options: &Options) -> Result<Opened, ApiError> {
    if options.listen == Some(true) {
        return Err(
            ApiError::bad_request("bad_query", "a file does not listen").hint("leave out live=false, or listen")
        );
    }
    let spec = LiveSpec {
        input: input(options)?,
        multichannel: false,
        hints: Hints { language: call::language(app, options.language.as_deref())?, keyterms: Vec::new() },
        partials: true,
        turn_after_ms: None,
        diarization: None,
        endpointing_ms: options.endpointing.unwrap_or(call::ENDPOINTING_MS),
        room: RoomChoice::Existing(room.id()),
        participant: options.name.clone().unwrap_or_default(),
        kind: Kind::File,
    };
    let (input, events) = live::open(app, spec).await?;
    let participants = input.participants();
    let (speaking, following) = (Speaking::File(input), Following::File(events));
    Ok(Opened { speaking, following, participants, is_transcribed: true, listen_rate_hz: None })
}

/// Where what the client sends goes.
enum Speaking {
    Leg { microphone: Box<Microphone>, ended: std::pin::Pin<Box<dyn Future<Output = Ended> + Send>> },
    File(LiveInput),
}

impl Speaking {
    async fn push(&mut self, bytes: axum::body::Bytes) -> Result<(), LiveError> {
        match self {
            Self::Leg { microphone, ended } => tokio::select! {
                biased;
                why = ended => Err(why.into()),
                pushed = microphone.push(bytes) => pushed,
            },
            Self::File(input) => input.push(bytes).await,
        }
    }

    async fn finalize(&mut self) {
        match self {
            Self::Leg { microphone, .. } => microphone.finalize().await,
            Self::File(input) => input.finalize(),
        }
    }

    async fn finish(self) -> Result<(), LiveError> {
        match self {
            Self::Leg { microphone, .. } => microphone.finish().await,
            Self::File(input) => input.finish().await,
        }
    }

    /// Resolves when the audio has to end although the client goes on.
    fn interrupted(&mut self) -> std::pin::Pin<Box<dyn Future<Output = LiveError> + Send + '_>> {
        match self {
            Self::Leg { ended, .. } => Box::pin(async move { ended.await.into() }),
            Self::File(input) => Box::pin(input.interrupted()),
        }
    }
}

impl From<Ended> for LiveError {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::RoomClosed => Self::RoomClosed,
            Ended::SentOut => Self::SentOut,
            Ended::Draining => Self::Draining,
        }
    }
}

/// What becomes of it.
enum Following {
    Leg(Box<Hearing>),
    File(LiveEvents),
}

impl Following {
    /// What there is to send; `None` when the last words are out. Cancel-safe.
    async fn next(&mut self) -> Option<Item> {
        match self {
            Self::Leg(hearing) => hearing.next().await,
            // The words are the room's to publish; here they only have to be taken.
            Self::File(events) => events.next().await.map(|_| Item::Nothing),
        }
    }

    fn no_more_comes(&mut self) {
        if let Self::Leg(hearing) = self {
            hearing.no_more_comes();
        }
    }

    fn heard(&self) -> MediaTime {
        match self {
            Self::Leg(hearing) => hearing.heard(),
            Self::File(events) => events.heard(),
        }
    }

    fn lag_ms(&self) -> Option<u64> {
        match self {
            Self::Leg(hearing) => hearing.lag_ms(),
            Self::File(events) => events.lag_ms(),
        }
    }
}

async fn converse(socket: WebSocket, input: Speaking, events: Following, ready: String, idle: Duration) {
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
    mut input: Speaking,
    idle: Duration,
) -> (SplitStream<WebSocket>, End) {
    let end = loop {
        let message = tokio::select! {
            error = input.interrupted() => break End::Live(error),
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
                Some(Command::Finalize) => input.finalize().await,
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
    mut events: Following,
    mut end: watch::Receiver<Option<End>>,
) -> Result<(), Gone> {
    let mut has_ended = false;
    let mut report = tokio::time::interval(REPORT_EVERY);
    report.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut reported = (events.heard(), events.lag_ms());
    loop {
        tokio::select! {
            item = events.next() => match item {
                Some(Item::Sound(samples)) => {
                    let mut bytes = Vec::new();
                    linear16(&samples, &mut bytes);
                    socket::send(sink, Message::Binary(bytes.into())).await?;
                }
                Some(Item::Nothing) => {}
                None => break,
            },
            ended = end.changed(), if !has_ended => {
                has_ended = true;
                // A reader that is gone has nothing more to say either.
                drop(ended);
                events.no_more_comes();
            }
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
                LiveError::SentOut => ("sent_out", None),
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

/// Often enough for a number that a person watches.
const REPORT_EVERY: Duration = Duration::from_millis(250);
