//! `WS /v1/agent/converse`: an agent that a client describes, and that talks with whoever speaks into the client.
//!
//! The conversation is one like any other: a room of its own, the client's sound a leg in it, the agent beside it; see
//! [`crate::agent`]. [`settings`] reads what is wanted and [`story`] writes what happens, both pure; the shell here owns
//! the socket. One task reads it: sound waits in a queue of 64 messages for the microphone, which takes it at the pace at
//! which it is heard, and words become orders, of which 16 wait; behind either the client waits. Its twin does everything else: sound and words to the
//! client, functions from the agent and back. Functions are carried out by the client alone. Source: deepgram-api-specs
//! (asyncapi.yml), and what the SDKs read. Never real time.

mod gate;
mod message;
mod settings;
mod story;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use asr::recognizer::Hints;
use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use bot::{
    actor::{Follower, RoomHandle},
    agent::{Input, When},
    participant::Kind,
    persona::Persona,
    room::Room,
    tools::{Outcome, Tool},
};
use bytes::Bytes;
use media::{frame::MOUTH_HZ, graph::nodes::capture::capture};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    gate::Gate,
    message::{Behavior, Called, Cancelled, Control, History, Request, Settings, Told},
    settings::{Wanted, warning},
    story::Story,
};
use super::{client::Client, message::request_id, refusal::Refusal, upgraded};
use crate::{
    agent::{self, Reins, Wish, With},
    app::App,
    call::{self, Words},
    dialect::{
        spoken,
        wire::{self, Ended, Incoming, Reader},
    },
    encode::Encoder,
    error::ApiError,
    hearing::{Hearing, Item, Mix},
    microphone::Microphone,
};

/// The settings come first, and soon: a client has them before it connects.
const SETTINGS_WITHIN: Duration = Duration::from_secs(10);

/// A client sends its microphone, or that it is there; the public service gives up sooner.
const IDLE_AFTER: Duration = Duration::from_secs(60);

/// Messages that cannot be read before the client is taken for no client of this dialect.
const GARBAGE_MAX: u32 = 10;

/// Orders that wait; then the client does.
const ORDERS_MAX: usize = 16;

/// Messages of sound that wait to be heard, so that words are not behind them; then the client does.
const SOUNDS_MAX: usize = 64;

/// The largest of them: more than a second of any sound that is taken here.
const SOUND_BYTES_MAX: usize = 256 << 10;

/// Entries of the room's log that are read at once.
const ENTRIES: usize = 32;

/// How long after the room knows that a turn was heard its last sound may still be on its way to the client: the ring
/// between them, and a tick.
const SOUND_WITHIN: Duration = Duration::from_millis(120);

/// Frames that wait for the news that there is sound: 200 ms.
const EARLY_FRAMES_MAX: usize = 10;

/// As much of a function's answer as a model reads.
const CONTENT_CHARS_MAX: usize = 20_000;

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

/// A conversation that is on.
struct Conversation {
    room: RoomHandle,
    hearing: Hearing,
    encoder: Encoder,
    gate: Gate,
    events: Follower,
    reins: Reins,
    story: Story,
    persona: Persona,
    functions: Vec<Tool>,
    keeps_history: bool,
    /// Functions that the client carries out: their names and arguments.
    asked: BTreeMap<String, (String, String)>,
    /// What is told once the sound before it was sent.
    later: VecDeque<(Instant, Told)>,
    /// Whether the client knows that the agent speaks.
    is_told: bool,
    /// The beginning of a sound of which it was not yet told.
    early: Vec<Vec<f32>>,
}

/// Brings a client and its agent together; what else the client should know. The error is for the client: a code, and
/// words.
async fn begin(app: &App, settings: Settings) -> Result<(Conversation, Microphone, Vec<Told>), (&'static str, String)> {
    let known: Vec<_> = app.config().llm.iter().map(|model| (model.name(), model.model.as_str())).collect();
    let wanted = Wanted::read(settings, &known).map_err(|refused| ("INVALID_SETTINGS", refused.to_string()))?;
    let failed = |error: ApiError| ("NOT_STARTED", error.to_string());
    let room = app.open_room("Deepgram client").map_err(failed)?;
    match enter(app, &room, wanted).await {
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
) -> Result<(Conversation, Microphone, Vec<Told>), ApiError> {
    let Wanted { input, output, language, keyterms, persona, functions, past, keeps_history, warnings } = wanted;
    let hints = Hints { language: call::language(app, language.as_deref())?, keyterms };
    let encoder = Encoder::begin(output, spoken::OPUS_BPS, &mut Vec::new()).map_err(ApiError::internal)?;
    // The agent is there before its caller, who is listened to for it then.
    let seated = agent::seat(app, room, Arc::new(persona.clone()), functions.clone()).await?;
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
    };
    let call = call::join(app, room, wish).await?;
    let (agent, caller) = (seated.participant(), call.participant());
    let events = room.follow(Some(room.read(Room::last_seq)));
    let conversation = Conversation {
        room: room.clone(),
        hearing: Hearing::new(call, microphone.taken(), Some(mix)),
        encoder,
        gate: Gate::default(),
        events,
        reins: seated.go_on(With::One(caller), BTreeMap::new(), past),
        story: Story::new(agent, caller, keeps_history),
        persona,
        functions,
        keeps_history,
        asked: BTreeMap::new(),
        later: VecDeque::new(),
        is_told: false,
        early: Vec::new(),
    };
    Ok((conversation, microphone, warnings))
}

/// What the reading half hands over.
enum Order {
    Control(Control),
    /// A message that cannot be read, and why.
    Unreadable(String),
}

/// Reads the socket until it ends, or the conversation does; why it ended by itself.
async fn read(
    reader: &mut Reader,
    mut microphone: Microphone,
    orders: mpsc::Sender<Order>,
    over: &CancellationToken,
) -> Option<End> {
    let mut garbage = 0;
    let (sound, mut sounds) = mpsc::channel::<Bytes>(SOUNDS_MAX);
    let hearing = async {
        // Sound without a header is never refused: what cannot be decoded is concealed.
        while let Some(bytes) = sounds.recv().await {
            if microphone.push(bytes).await.is_err() {
                return End::Over;
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
                    if sound.send(bytes).await.is_err() {
                        return End::Over;
                    }
                    continue;
                }
                Incoming::Text(text) => match serde_json::from_str(&text) {
                    Ok(Control::KeepAlive) => continue,
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

impl Conversation {
    /// Until the client goes, the agent has done, or the server goes down.
    async fn hold(mut self, app: &App, client: &mut Client, mut orders: mpsc::Receiver<Order>) -> End {
        let end = loop {
            if client.is_gone() {
                break End::Gone;
            }
            let next = self.later.front().map(|(at, _)| *at);
            let due = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            // Cancel-safe: every arm hands out what it has once, or is looked at again. What happened is told before what
            // the agent wants because of it.
            tokio::select! {
                biased;
                () = app.shutdown().cancelled() => break End::Draining,
                () = due => self.tell_what_is_due(client).await,
                entries = self.events.next(ENTRIES) => match entries {
                    Ok(entries) if entries.is_empty() => break End::Over,
                    Ok(entries) => {
                        for entry in entries {
                            for told in self.story.tell(&entry) {
                                self.tell(told, client).await;
                            }
                        }
                    }
                    Err(fell_off) => self.events = self.room.follow(Some(fell_off.resume)),
                },
                item = self.hearing.next() => match item {
                    Some(Item::Sound(samples)) => self.sound(samples, client).await,
                    Some(Item::Nothing) => {}
                    None => break End::Over,
                },
                wish = self.reins.next() => match wish {
                    Some(wish) => self.grant(wish, client).await,
                    None => break End::Over,
                },
                order = orders.recv() => match order {
                    Some(Order::Control(control)) => self.obey(app, control, client).await,
                    Some(Order::Unreadable(why)) => client.tell(&warning("UNPARSABLE_CLIENT_MESSAGE", why)).await,
                    None => break End::Gone,
                },
            }
        };
        if matches!(end, End::Over) {
            self.hear_the_last(client).await;
        }
        let Self { hearing, mut reins, .. } = self;
        drop(hearing);
        let leaving = async {
            reins.tell(Input::HungUp).await;
            // Until the agent has told the room how it ended.
            while reins.next().await.is_some() {}
        };
        let _ = timeout(LEAVE_WITHIN, leaving).await;
        end
    }

    /// What the agent said last is still on its way when it has gone.
    async fn hear_the_last(&mut self, client: &mut Client) {
        let until = Instant::now() + SOUND_WITHIN;
        while let Ok(Some(item)) = tokio::time::timeout_at(until, self.hearing.next()).await {
            if let Item::Sound(samples) = item {
                self.sound(samples, client).await;
            }
        }
        self.tell_all_later(client).await;
    }

    async fn sound(&mut self, samples: Vec<f32>, client: &mut Client) {
        if !self.gate.passes(&samples) {
            return;
        }
        // The room hears of a sound when the engine plays it, and the sound itself may be here sooner.
        self.early.push(samples);
        if self.is_told || self.early.len() > EARLY_FRAMES_MAX {
            self.send_early(client).await;
        }
    }

    async fn send_early(&mut self, client: &mut Client) {
        for samples in self.early.drain(..) {
            let mut bytes = Vec::new();
            self.encoder.push(&samples, &mut bytes);
            client.sound(bytes).await;
        }
    }

    /// Tells something; what belongs behind the agent's last sound once that was sent.
    async fn tell(&mut self, told: Told, client: &mut Client) {
        if matches!(told, Told::AgentStartedSpeaking { .. }) {
            // Where a new sound is heard, the last one before it is.
            self.tell_all_later(client).await;
        }
        if matches!(told, Told::AgentAudioDone) {
            self.later.push_back((Instant::now() + SOUND_WITHIN, told));
        } else if self.later.is_empty() || matches!(told, Told::UserStartedSpeaking) {
            self.tell_now(told, client).await;
        } else {
            // It keeps its place.
            self.later.push_back((Instant::now(), told));
        }
    }

    async fn tell_what_is_due(&mut self, client: &mut Client) {
        let now = Instant::now();
        while self.later.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, told)) = self.later.pop_front() else { return };
            self.tell_now(told, client).await;
        }
    }

    async fn tell_all_later(&mut self, client: &mut Client) {
        while let Some((_, told)) = self.later.pop_front() {
            self.tell_now(told, client).await;
        }
    }

    async fn tell_now(&mut self, told: Told, client: &mut Client) {
        let is_end = matches!(told, Told::AgentAudioDone);
        client.tell(&told).await;
        if is_end {
            self.is_told = false;
            self.gate.close();
        } else if matches!(told, Told::AgentStartedSpeaking { .. }) {
            self.is_told = true;
            self.send_early(client).await;
        }
    }

    /// Does what the agent wants of its line.
    async fn grant(&mut self, wish: Wish, client: &mut Client) {
        match wish {
            Wish::Call { id, name, arguments } => {
                let arguments = serde_json::Value::Object(arguments).to_string();
                self.asked.insert(id.clone(), (name.clone(), arguments.clone()));
                let functions = vec![Request { id, name, arguments, client_side: true }];
                self.tell(Told::FunctionCallRequest { functions }, client).await;
            }
            Wish::Cancel { id } => {
                if let Some((name, _)) = self.asked.remove(&id) {
                    let functions = vec![Cancelled { id, name }];
                    self.tell(Told::FunctionCallCancelled { functions }, client).await;
                }
            }
            Wish::HangUp => self.reins.tell(Input::HungUp).await,
            // There is no telephone: nobody can be sent on, and no keys be pressed.
            Wish::Transfer { .. } => self.reins.tell(Input::CameBack).await,
            Wish::Press(_) => {}
        }
    }

    /// Does what the client wants.
    async fn obey(&mut self, app: &App, control: Control, client: &mut Client) {
        match control {
            Control::InjectUserMessage { content: text } | Control::InjectAgentMessage { message: Some(text), .. }
                if !settings::is_brief(&text) =>
            {
                let why = format!("a message has at most {} characters", settings::TEXT_CHARS_MAX);
                self.tell(warning("MESSAGE_TOO_LONG", why), client).await;
            }
            Control::InjectUserMessage { content } => self.reins.tell(Input::Wrote(content)).await,
            Control::InjectAgentMessage { message: Some(text), behavior } => {
                let when = match behavior {
                    Behavior::Default => When::Free,
                    Behavior::Queue => When::Next,
                    Behavior::Interrupt => When::Now,
                };
                self.reins.tell(Input::Say { text, when }).await;
            }
            Control::FunctionCallResponse { id, name, content } => self.on_response(id, name, content, client).await,
            Control::UpdatePrompt { prompt } => match settings::instructions(prompt, "prompt") {
                Ok(instructions) => {
                    self.persona.instructions = instructions;
                    self.change(Told::PromptUpdated, client).await;
                }
                Err(refused) => client.tell(&warning("INVALID_SETTINGS", refused.to_string())).await,
            },
            Control::UpdateSpeak { speak } => {
                settings::speak_as(speak, &mut self.persona);
                self.change(Told::SpeakUpdated, client).await;
            }
            Control::UpdateThink { think } => {
                let known: Vec<_> = app.config().llm.iter().map(|model| (model.name(), model.model.as_str())).collect();
                let (mut persona, mut functions) = (self.persona.clone(), self.functions.clone());
                match settings::think_as(think, &known, &mut persona, &mut functions) {
                    Ok(told) => {
                        (self.persona, self.functions) = (persona, functions);
                        self.change(Told::ThinkUpdated, client).await;
                        if let Some(told) = told {
                            client.tell(&told).await;
                        }
                    }
                    Err(refused) => client.tell(&warning("INVALID_SETTINGS", refused.to_string())).await,
                }
            }
            Control::Settings(_) => {
                let why = "the settings are applied already: UpdatePrompt, UpdateSpeak and UpdateThink change them";
                client.tell(&warning("SETTINGS_ALREADY_APPLIED", why)).await;
            }
            Control::InjectAgentMessage { message: None, .. } | Control::Other => {
                let why = "this message means nothing here; see docs/dialects.md for those that do";
                client.tell(&warning("UNSUPPORTED_CLIENT_MESSAGE", why)).await;
            }
            Control::KeepAlive => {}
        }
    }

    async fn change(&mut self, told: Told, client: &mut Client) {
        self.reins.change(Arc::new(self.persona.clone()), self.functions.clone()).await;
        self.tell(told, client).await;
    }

    /// A function was carried out.
    async fn on_response(&mut self, id: Option<String>, name: String, content: String, client: &mut Client) {
        let id = id.or_else(|| self.asked.iter().find(|(_, (asked, _))| *asked == name).map(|(id, _)| id.clone()));
        let Some((id, (name, arguments))) = id.and_then(|id| self.asked.remove_entry(&id)) else {
            let why = "nobody waits for the answer of that function";
            return client.tell(&warning("UNKNOWN_FUNCTION_CALL", why)).await;
        };
        let content: String = content.chars().take(CONTENT_CHARS_MAX).collect();
        if self.keeps_history {
            let response = content.clone();
            let called = Called { id: id.clone(), name, client_side: true, arguments, response };
            self.tell(Told::History(History::Called { function_calls: vec![called] }), client).await;
        }
        self.reins.tell(Input::ToolDone { call: id, outcome: Outcome::done(content) }).await;
    }
}

/// How long an agent may take to leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);
