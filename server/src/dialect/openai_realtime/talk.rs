//! A session with its client, while it is on: the room, and the agent in it.
//!
//! Two halves of one task: [`super::reading`] turns what the client sends into sound and orders, of which 16 wait; and here
//! what the room and the agent say is carried to the client, and what the client wants to them. How the client comes is
//! the business of [`super::socket`] and [`super::peer`]. What is decided is decided in [`Story`]. Never real time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use asr::recognizer::Hints;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bot::{
    actor::{Follower, RoomHandle},
    agent::Input,
    participant::Kind as Way,
    persona::Persona,
    room::Room,
    tools::Tool,
};
use media::{frame::MOUTH_HZ, graph::node::Node, id::ParticipantId};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{
    carrier::Carrier,
    command::Said,
    counting::Counting,
    reading::{End, Order, Sent},
    session::{Kind, Known, Session},
    story::{Story, Want},
};
use crate::{
    agent::{self, Reins, Wish, With},
    app::App,
    call::{self, Words},
    dialect::{deepgram::converse::gate::Gate, openai_error::Refusal, spoken},
    encode::Encoder,
    error::ApiError,
    hearing::{Hearing, Item, Mix},
    microphone::Taken,
};

/// Orders that wait; then the client does.
pub(super) const ORDERS_MAX: usize = 16;

/// Entries of the room's log that are read at once.
const ENTRIES: usize = 32;

/// What a frame of the room lasts.
const FRAME_MS: u64 = 20;

/// How long an agent may take to leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// What was said over a track when its client commits it is heard within: a jitter buffer's usual wait.
const TRACK_BEHIND: Duration = Duration::from_millis(200);

/// A session that has just been opened, with the models that it may name; `tag` is in all its names.
pub(super) fn open(app: &App, session: Session, tag: String) -> Story {
    let known: Vec<Known<'_>> = app.config().llm.iter().map(|model| (model.name(), model.model.as_str())).collect();
    Story::new(session, &known, tag)
}

/// Tells the client all that the story tells.
pub(super) async fn tell(story: &mut Story, client: &mut Carrier) {
    while let Some(event) = story.told() {
        client.tell(&event).await;
    }
}

/// Tells the client that its session cannot begin, and which of its events asked for that.
pub(super) async fn refuse(story: &mut Story, client: &mut Carrier, error: &ApiError, event_id: Option<&str>) {
    let why = Refusal::from(error).message;
    story.out.error("server_error", error.code, &why, None, event_id);
    tell(story, client).await;
}

/// Where a client's sound comes from, and where what it hears goes.
pub(super) struct Lines {
    pub(super) way: Way,
    pub(super) source: Option<Box<dyn Node>>,
    pub(super) sink: Option<Box<dyn Node>>,
    /// How much of its sound was taken, where that comes in messages.
    pub(super) taken: Arc<Taken>,
    /// What the room says, where the client is told it in messages.
    pub(super) mix: Option<Mix>,
}

/// A room for a session alone.
///
/// # Errors
/// 503 when every room is in use, or the server drains.
pub(super) fn open_room(app: &App) -> Result<RoomHandle, ApiError> {
    app.open_room("OpenAI client")
}

/// Brings the client into its room, with an agent where somebody is to answer.
///
/// # Errors
/// What HTTP would say: no place, no voice, a language that nobody knows. The room is closed then.
pub(super) async fn begin(
    app: &App,
    room: &RoomHandle,
    session: Session,
    who: (Persona, Vec<Tool>),
    lines: Lines,
) -> Result<Entered, ApiError> {
    let entered = enter(app, room, &session, who, lines).await;
    if entered.is_err() {
        room.close().await;
    }
    entered
}

/// A client in its room.
pub(super) struct Entered {
    hearing: Hearing,
    events: Follower,
    reins: Option<Reins>,
    caller: ParticipantId,
    encoder: Encoder,
}

async fn enter(
    app: &App,
    room: &RoomHandle,
    session: &Session,
    (persona, functions): (Persona, Vec<Tool>),
    Lines { way, source, sink, taken, mix }: Lines,
) -> Result<Entered, ApiError> {
    let hints = Hints { language: call::language(app, session.language())?, keyterms: session.keyterms() };
    let encoder = Encoder::begin(session.output(), spoken::OPUS_BPS, &mut Vec::new()).map_err(ApiError::internal)?;
    // The agent is there before its caller, who is listened to for it then.
    let seated = match session.kind {
        Kind::Realtime => Some(agent::seat(app, room, Arc::new(persona), functions).await?),
        Kind::Transcription => None,
    };
    let wish = call::Wish {
        name: "OpenAI client".to_owned(),
        kind: way,
        consent: None,
        hints,
        endpointing_ms: session.endpointing_ms(),
        words: Words::Wanted,
        source,
        sink,
        key_ticks_hz: MOUTH_HZ,
        suppress_noise: session.suppresses_noise(),
        hears_itself: false,
        diarize: session.tells_voices(),
    };
    let call = call::join(app, room, wish).await?;
    let caller = call.participant();
    let events = room.follow(Some(room.read(Room::last_seq)));
    let hearing = Hearing::new(call, taken, mix);
    let reins = match seated {
        Some(seated) => {
            let mut reins = seated.go_on(With::One(caller), BTreeMap::new(), Vec::new());
            reins.deliver(session.delivery()).await;
            Some(reins)
        }
        None => None,
    };
    Ok(Entered { hearing, events, reins, caller, encoder })
}

/// A session that is on.
pub(super) struct Talk {
    room: RoomHandle,
    hearing: Hearing,
    events: Follower,
    /// Of the agent, where there is one.
    reins: Option<Reins>,
    encoder: Encoder,
    gate: Gate,
    story: Story,
    began: Instant,
    counting: Counting,
}

impl Talk {
    pub(super) fn new(room: RoomHandle, entered: Entered, mut story: Story) -> Self {
        let Entered { hearing, events, reins, caller, encoder } = entered;
        story.begin(caller);
        let (gate, began, counting) = (Gate::default(), Instant::now(), Counting::default());
        Self { room, hearing, events, reins, encoder, gate, story, began, counting }
    }

    /// Until the client goes, the agent has done, or the server goes down.
    pub(super) async fn hold(mut self, app: &App, client: &mut Carrier, mut orders: mpsc::Receiver<Order>) -> End {
        let end = loop {
            self.serve(app, client).await;
            if client.is_gone() {
                break End::Gone;
            }
            let next = self.story.due();
            let due = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            // Cancel-safe: every arm hands out what it has once, or is looked at again. What somebody said is
            // told before the agent answers it, and what the agent says before it is heard.
            tokio::select! {
                biased;
                () = app.shutdown().cancelled() => break End::Draining,
                () = due => self.story.expire(Instant::now()),
                entries = self.events.next(ENTRIES) => match entries {
                    Ok(entries) if entries.is_empty() => break End::Over,
                    Ok(entries) => entries.iter().for_each(|entry| self.story.hear(entry)),
                    Err(fell_off) => self.events = self.room.follow(Some(fell_off.resume)),
                },
                wish = next_wish(&mut self.reins) => match wish {
                    Some(wish) => self.grant(wish),
                    None => break End::Over,
                },
                item = self.hearing.next() => match item {
                    Some(Item::Sound(samples)) => self.sound(&samples),
                    Some(Item::Nothing) => self.on_mark(),
                    None => break End::Over,
                },
                order = orders.recv() => match order {
                    Some(order) => self.obey(order, client),
                    None => break End::Gone,
                },
            }
        };
        self.serve(app, client).await;
        let Self { hearing, reins, .. } = self;
        drop(hearing);
        if let Some(mut reins) = reins {
            let leaving = async {
                reins.tell(Input::HungUp).await;
                // Until the agent has told the room how it ended.
                while reins.next().await.is_some() {}
            };
            let _ = timeout(LEAVE_WITHIN, leaving).await;
        }
        end
    }

    /// Does what the story wants, and tells what it tells.
    async fn serve(&mut self, app: &App, client: &mut Carrier) {
        while let Some(want) = self.story.wants() {
            match (want, &mut self.reins) {
                (Want::Tell(input), Some(reins)) => reins.tell(input).await,
                (Want::Deliver(delivery), Some(reins)) => reins.deliver(delivery).await,
                (Want::Change(persona, functions), Some(reins)) => reins.change(Arc::new(*persona), functions).await,
                (Want::Expect(language, keyterms), _) => match call::language(app, language.as_deref()) {
                    Ok(language) => self.hearing.expect(Hints { language, keyterms }),
                    Err(error) => {
                        let param = "session.audio.input.transcription.language";
                        let why = error.to_string();
                        self.story.out.error("invalid_request_error", error.code, &why, Some(param), None);
                    }
                },
                (Want::Tell(_) | Want::Deliver(_) | Want::Change(..), None) => {}
            }
        }
        tell(&mut self.story, client).await;
    }

    /// Does what the agent wants of its line, and takes what it tells there.
    fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Says { turn, text } => self.story.says(turn, &text),
            Wish::Tells(notice) => self.story.notices(notice, Instant::now()),
            Wish::Used(used) => self.story.has_used(used),
            Wish::Call { id, name, arguments } => {
                self.story.calls_function(id, name, serde_json::Value::Object(arguments).to_string());
            }
            Wish::Cancel { id } => self.story.gives_up(id),
            Wish::HangUp => self.story.tell(Input::HungUp),
            // There is no telephone: nobody can be sent on, and no keys be pressed.
            Wish::Transfer { .. } => self.story.tell(Input::CameBack),
            Wish::Press(_) => {}
        }
    }

    /// Sends a frame of the room, if it is the agent's.
    fn sound(&mut self, samples: &[f32]) {
        if !self.story.is_speaking() {
            self.gate.close();
        } else if self.gate.passes(samples) {
            let mut bytes = Vec::new();
            self.encoder.push(samples, &mut bytes);
            self.story.sounds(STANDARD.encode(&bytes), FRAME_MS);
        }
    }

    /// A mark may have been heard, also before the commit in front of it was told.
    fn on_mark(&mut self) {
        self.story.heard(self.hearing.finalized(), Instant::now());
    }

    /// How much sound that is, in milliseconds.
    fn sent_ms(&self, sent: Sent) -> u64 {
        match sent {
            Sent::Bytes(bytes) => self.story.session.input_ms(bytes),
            Sent::Track => Instant::now().duration_since(self.began).as_millis() as u64,
        }
    }

    fn obey(&mut self, order: Order, client: &Carrier) {
        match order {
            Order::Said(Said { event_id, command }) => self.story.obey(event_id.as_deref(), command),
            Order::Wrong(event_id, refused) => self.story.refuse(event_id.as_deref(), &refused),
            Order::Update(Said { event_id, command }, sent) => {
                let was_manual = self.story.session.is_manual();
                self.story.obey(event_id.as_deref(), command);
                let sent_ms = self.sent_ms(sent);
                self.counting.update(was_manual, self.story.session.is_manual(), sent_ms);
            }
            Order::Commit { event_id, sent, mark } => {
                let sent_ms = self.sent_ms(sent);
                self.story.commit(event_id.as_deref(), self.counting.commit(sent_ms), mark);
                if sent == Sent::Track {
                    self.hearing.finalize_soon(TRACK_BEHIND);
                }
                self.on_mark();
            }
            Order::Clear(sent) => {
                let sent_ms = self.sent_ms(sent);
                self.counting.begin(sent_ms);
                self.story.clear();
            }
            Order::Join(reply) => {
                if let Some(events) = client.read_along() {
                    // Whoever asked may be gone again.
                    let _ = reply.send((self.story.described(), events));
                }
            }
        }
    }
}

async fn next_wish(reins: &mut Option<Reins>) -> Option<Wish> {
    match reins {
        Some(reins) => reins.next().await,
        None => std::future::pending().await,
    }
}
