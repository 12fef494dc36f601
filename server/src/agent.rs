//! Agents that talk: one task a conversation, around the pure [`bot::agent::Agent`].
//!
//! [`Agents`] holds what all of them share: personas, models, tools, and which room has one. [`take_seat`] brings an agent
//! into a room, as a participant with a mouth, and [`seat_for_another`] one that somebody else speaks for;
//! [`Seated::begin`] starts its task ([`task`]), which decides nothing: it carries what happens to the agent and what the
//! agent wants to those who do it. How its caller comes is the business of whoever holds the [`Reins`]: [`crate::phone`]
//! for telephones, [`attend`] for the people of a room. Never real time.

mod ears;
mod line;
mod memory;
mod models;
mod mouth;
mod notice;
mod outlet;
mod personas;
mod played;
mod reckoning;
mod task;
mod tools;
mod waterfall;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::http::StatusCode;
use bot::{
    actor::{JoinError, RoomHandle, Seat},
    agent::Input,
    llm::Message,
    participant::{Kind, Newcomer, Timeline},
    persona::Persona,
    room::Room,
    tools::{
        Tool,
        run::{Misconfigured, Outside},
    },
};
use media::id::{ParticipantId, RoomId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

pub use self::personas::BadPersonas;
pub(crate) use self::{
    ears::With,
    line::{Delivery, Reins, Wish},
    models::Brought,
    mouth::{Heard, Mouth, Sentence},
    notice::{NOT_SAID, NOT_TAKEN},
    outlet::Piece,
    played::STEP_SAMPLES,
};
use self::{
    memory::Remembered,
    models::Brains,
    mouth::NoMouth,
    outlet::{Outlet, Script},
    personas::Personas,
    task::{Known, Talk},
    tools::Toolbox,
};
use crate::{
    app::App,
    config::Config,
    error::ApiError,
    sound::{Member, Presence},
};

/// Why nobody can talk.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// A persona is wrong; see the text.
    #[error(transparent)]
    Personas(#[from] BadPersonas),
    /// Language models cannot be asked; see the text.
    #[error(transparent)]
    Models(#[from] bot::llm::client::Broken),
    /// Tools cannot be called; see the text.
    #[error(transparent)]
    Tools(#[from] Misconfigured),
}

/// What all agents share. Cheap to clone.
#[derive(Clone)]
pub struct Agents(Arc<Shared>);

struct Shared {
    personas: Personas,
    brains: Brains,
    toolbox: Toolbox,
    places: Arc<Semaphore>,
    rooms: Mutex<BTreeMap<RoomId, Occupied>>,
}

/// A room that has an agent.
struct Occupied {
    persona: String,
    stop: CancellationToken,
    gone: CancellationToken,
}

impl Agents {
    /// As configured; reads the personas. Call it in a tokio runtime.
    ///
    /// # Errors
    /// [`Broken`].
    pub(crate) fn new(config: &Config) -> Result<Self, Broken> {
        let personas = Personas::load(config)?;
        let brains = Brains::new(config)?;
        Ok(Self(Arc::new(Shared {
            personas,
            brains,
            toolbox: Toolbox::new(config)?,
            places: Arc::new(Semaphore::new(config.agent.conversations_max)),
            rooms: Mutex::default(),
        })))
    }

    /// The persona of this name, or the one that talks where nobody names another.
    ///
    /// # Errors
    /// 404, with the names there are.
    pub(crate) fn persona(&self, name: Option<&str>) -> Result<Arc<Persona>, ApiError> {
        self.0.personas.find(name).ok_or_else(|| {
            let name: String = name.unwrap_or_default().chars().take(64).collect();
            ApiError::new(StatusCode::NOT_FOUND, "no_persona", format!("there is no persona {name:?}"))
                .hint(format!("there are: {}", self.0.personas.names().join(", ")))
        })
    }

    /// Lets the persona that names it think with a model that its client brought along.
    pub(crate) fn bring(&self, model: bot::llm::client::Models) -> Brought {
        self.0.brains.bring(model)
    }

    /// What calls tools outside, and whatever a client brings along.
    pub(crate) fn outside(&self) -> Arc<Outside> {
        self.0.toolbox.outside()
    }

    /// Whether an agent talks in the room, or is about to: then its callers are listened to so that it can answer soon.
    pub(crate) fn is_in(&self, room: RoomId) -> bool {
        self.rooms().contains_key(&room)
    }

    /// Ends the conversation of a room, and returns when the agent has left; false where there is none.
    pub(crate) async fn stop(&self, room: RoomId) -> bool {
        let gone = match self.rooms().get(&room) {
            Some(occupied) => {
                occupied.stop.cancel();
                occupied.gone.clone()
            }
            None => return false,
        };
        gone.cancelled().await;
        true
    }

    /// Ends what tools hold: programs, connections. Whoever still talks finds them gone.
    pub(crate) async fn close(&self) {
        self.0.toolbox.close().await;
    }

    /// The persona that talks in a room.
    pub(crate) fn talks_in(&self, room: RoomId) -> Option<String> {
        self.rooms().get(&room).map(|occupied| occupied.persona.clone())
    }

    /// Another persona goes on in a room.
    fn goes_on_as(&self, room: RoomId, persona: &str) {
        if let Some(occupied) = self.rooms().get_mut(&room) {
            persona.clone_into(&mut occupied.persona);
        }
    }

    /// A place for one more conversation.
    fn place(&self, room: RoomId, persona: &Persona) -> Result<Place, ApiError> {
        let permit = self.0.places.clone().try_acquire_owned();
        let permit = permit.map_err(|_| ApiError::full("all agents are talking"))?;
        let (stop, gone) = (CancellationToken::new(), CancellationToken::new());
        let mut rooms = self.rooms();
        if rooms.contains_key(&room) {
            return Err(ApiError::new(StatusCode::CONFLICT, "agent_here", "an agent talks in this room already"));
        }
        let occupied = Occupied { persona: persona.name.clone(), stop: stop.clone(), gone: gone.clone() };
        rooms.insert(room, occupied);
        drop(rooms);
        Ok(Place { agents: self.clone(), room, stop, gone, _permit: permit })
    }

    fn rooms(&self) -> MutexGuard<'_, BTreeMap<RoomId, Occupied>> {
        self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A conversation's place; dropped when the agent has left.
struct Place {
    agents: Agents,
    room: RoomId,
    /// Cancelled when the conversation is to end.
    stop: CancellationToken,
    gone: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.agents.rooms().remove(&self.room);
        self.gone.cancel();
    }
}

/// An agent in a room, that has not begun to talk.
pub(crate) struct Seated {
    app: App,
    seat: Seat,
    outlet: Outlet,
    /// Among those whose sound the room has, where it has a voice of its own.
    presence: Option<Presence>,
    persona: Arc<Persona>,
    functions: Vec<Tool>,
    place: Place,
}

/// Brings an agent into a room, before its caller where there is one: whoever comes then is listened to so that it can
/// answer soon.
///
/// # Errors
/// 404 for a persona that is not there or a room that was closed, 409 where an agent talks already, 503 when every place
/// is taken or no voice is to be had. Nobody came in then.
pub(crate) async fn take_seat(app: &App, room: &RoomHandle, persona: Option<&str>) -> Result<Seated, ApiError> {
    seat(app, room, app.agents().persona(persona)?, Vec::new()).await
}

/// The same for a persona that no file describes, with tools that whoever holds the reins carries out.
///
/// # Errors
/// As [`take_seat`].
pub(crate) async fn seat(
    app: &App,
    room: &RoomHandle,
    persona: Arc<Persona>,
    functions: Vec<Tool>,
) -> Result<Seated, ApiError> {
    if app.admission().is_draining() {
        return Err(ApiError::draining());
    }
    if let Err(missing) = app.ears() {
        tracing::warn!(room = %room.id(), %missing, "an agent talks and hears nothing but keys");
    }
    let place = app.agents().place(room.id(), &persona)?;
    let sound = app.sound(room);
    let mouth = Mouth::enter(&sound, app.voices()?).await?;
    let seat = sit(room, &persona).await?;
    let member = Member {
        participant: seat.participant(),
        name: persona.title.as_str().into(),
        leg: mouth.leg(),
        levels: mouth.levels(),
    };
    let presence = Some(sound.enter(member));
    let outlet = Outlet::Voice(Box::new(mouth));
    Ok(Seated { app: app.clone(), seat, outlet, presence, persona, functions, place })
}

/// An agent that somebody else hears and speaks for: they take its pieces, and tell the reins what its caller says, when a
/// turn is over ([`Input::Respond`]) and what was interrupted.
///
/// # Errors
/// 404 for a room that was closed, 409 where an agent talks already, 503 when every place is taken. Nobody came in then.
pub(crate) async fn seat_for_another(
    app: &App,
    room: &RoomHandle,
    persona: &Persona,
) -> Result<(Seated, mpsc::Receiver<Piece>), ApiError> {
    if app.admission().is_draining() {
        return Err(ApiError::draining());
    }
    let persona = outlet::patient(persona);
    let place = app.agents().place(room.id(), &persona)?;
    let seat = sit(room, &persona).await?;
    let (script, pieces) = Script::new(*room.epoch(), app.clock());
    let outlet = Outlet::Script(Box::new(script));
    let seated = Seated { app: app.clone(), seat, outlet, presence: None, persona, functions: Vec::new(), place };
    Ok((seated, pieces))
}

/// A seat in the room.
async fn sit(room: &RoomHandle, persona: &Persona) -> Result<Seat, ApiError> {
    let newcomer = Newcomer {
        name: persona.title.clone(),
        kind: Kind::Agent,
        consent: Some(true),
        is_transcribed: false,
        timeline: Timeline::Rooms,
        known_voices: Vec::new(),
    };
    room.join(newcomer).await.map_err(not_let_in)
}

/// Why somebody did not come into a room.
pub(crate) fn not_let_in(error: JoinError) -> ApiError {
    match error {
        JoinError::Crowded(_) => ApiError::full(error.to_string()),
        JoinError::Closed(_) => ApiError::not_found("the room was closed"),
    }
}

impl Seated {
    /// Its room.
    pub(crate) fn room(&self) -> &RoomHandle {
        self.seat.room()
    }

    /// Who it is in its room.
    pub(crate) fn participant(&self) -> ParticipantId {
        self.seat.participant()
    }

    /// Who talks.
    pub(crate) fn persona(&self) -> &Arc<Persona> {
        &self.persona
    }

    /// Begins to talk with whom this is; `values` stand for `{{name}}` in the texts of its persona. The conversation ends
    /// when the reins are dropped.
    pub(crate) fn begin(self, with: With, values: BTreeMap<String, String>) -> Reins {
        self.go_on(with, values, Vec::new())
    }

    /// The same for a conversation that began elsewhere, where `past` was said.
    pub(crate) fn go_on(self, with: With, values: BTreeMap<String, String>, past: Vec<Message>) -> Reins {
        let (line, reins) = line::line();
        let room = self.seat.room().clone();
        tracing::info!(room = %room.id(), persona = %self.persona.name, "an agent talks");
        // From now on, so that not a word is missed.
        let events = room.follow(Some(room.read(Room::last_seq)));
        tokio::spawn(async move {
            let remembered = Remembered::of(&self.app, &self.persona, &values).await;
            Talk::new(self, line, with, Known { values, past, remembered }).run(events).await;
        });
        reins
    }
}

/// An agent for the people of a room, until they have gone.
///
/// # Errors
/// As [`take_seat`].
pub(crate) async fn attend(app: &App, room: &RoomHandle, persona: Option<&str>) -> Result<Arc<Persona>, ApiError> {
    let seated = take_seat(app, room, persona).await?;
    let persona = seated.persona().clone();
    let mut reins = seated.begin(With::Everybody, BTreeMap::new());
    tokio::spawn(async move {
        while let Some(wish) = reins.next().await {
            match wish {
                Wish::HangUp => reins.tell(Input::HungUp).await,
                // There is no telephone that could be sent on.
                Wish::Transfer { .. } => reins.tell(Input::CameBack).await,
                // Nobody brought tools along.
                Wish::Press(_) | Wish::Call { .. } | Wish::Cancel { .. } => {}
                // Nobody asked to be told.
                Wish::Says { .. } | Wish::Tells(_) | Wish::Used(_) => {}
            }
        }
    });
    Ok(persona)
}

impl From<NoMouth> for ApiError {
    fn from(error: NoMouth) -> Self {
        match error {
            NoMouth::Bridge(error) => error.into(),
            NoMouth::Refused(error) => Self::full(error.to_string()),
        }
    }
}
