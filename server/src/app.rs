//! The composition root: everything a handler may reach, and the one router that all parts hang in.
//!
//! [`App`] is cheap to clone and holds what lives as long as the server; nothing in it changes after the start
//! but by its own doors (rooms open, places are taken, keys are reloaded). [`router`] puts the parts together:
//! what is public, what needs a key, and the layers around both. A part exports `routes()` and knows no other.

use std::{
    io,
    sync::{Arc, OnceLock, Weak},
};

use asr::pool::Ears;
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use bot::{
    actor::{Actor, RoomHandle},
    room::Settings,
    rooms::{Full, Rooms},
};
use media::id::RoomId;
use tokio_util::sync::CancellationToken;
use tts::worker::Voices;

use crate::{
    admission::Admission,
    agent::{self, Agents},
    api,
    auth::{self, keys::KeyRing},
    clock::Clock,
    config::Config,
    console,
    dialect::{
        self,
        openai_realtime::{Calls, Secrets},
    },
    engine::{self, NoEars, Size},
    error::ApiError,
    linger,
    phone::SharedPhones,
    recording::Recordings,
    reminders::Bell,
    say::Says,
    sound::{RoomSound, Sounds},
    store::Store,
    telemetry::Metrics,
    voices,
    webhook::Webhooks,
    webrtc::WebRtc,
};

/// What every handler may reach. Cheap to clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    ears: Result<Ears, NoEars>,
    rooms: Rooms,
    admission: Admission,
    keys: KeyRing,
    sounds: Arc<Sounds>,
    recordings: OnceLock<Recordings>,
    store: OnceLock<Store>,
    bell: Bell,
    phones: OnceLock<SharedPhones>,
    voices: OnceLock<Voices>,
    webhooks: Webhooks,
    webrtc: Arc<WebRtc>,
    agents: Agents,
    says: Says,
    secrets: Secrets,
    realtime_calls: Calls,
    clock: Clock,
    shutdown: CancellationToken,
    http: reqwest::Client,
    metrics: Metrics,
}

impl App {
    /// Puts an app together and starts the engine; `ears` says what is missing when nothing recognizes. Call it
    /// in a tokio runtime.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn new(config: Config, ears: Result<Ears, NoEars>, keys: KeyRing) -> Result<Self, Broken> {
        crate::models::tls::install();
        let http = reqwest::Client::builder().user_agent(concat!("harmony/", env!("CARGO_PKG_VERSION"))).build()?;
        let voices = OnceLock::new();
        if config.tts.needs_loading() {
            // What is configured and cannot speak is told at the start, and no caller waits for a model to load.
            let _ = voices.set(voices::start(&config)?);
        }
        let size = Size::of(&config, engine::cores());
        let limits = &config.limits;
        let admission = Admission::new(size.streams_max, limits.requests_max, limits.connections_max);
        let rooms = Rooms::new(limits.rooms_max, bot::room::Limits::default());
        let metrics = Metrics::installed();
        let sounds = Arc::new(Sounds::start(&config).map_err(Broken::Engine)?);
        let webrtc = Arc::new(WebRtc::new(&config));
        let shutdown = CancellationToken::new();
        let webhooks = Webhooks::new(&config, Clock);
        let agents = Agents::new(&config)?;
        let inner = Inner {
            config,
            ears,
            rooms,
            admission,
            keys,
            sounds,
            recordings: OnceLock::new(),
            store: OnceLock::new(),
            bell: Bell::default(),
            phones: OnceLock::new(),
            voices,
            webhooks,
            webrtc,
            agents,
            says: Says::default(),
            secrets: Secrets::default(),
            realtime_calls: Calls::default(),
            clock: Clock,
            shutdown,
            http,
            metrics,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The configuration it was started with.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The recognizer.
    ///
    /// # Errors
    /// [`NoEars`] when no model is installed; it says which command brings one and turns into a 503.
    pub fn ears(&self) -> Result<&Ears, NoEars> {
        self.inner.ears.as_ref().map_err(Clone::clone)
    }

    /// Every room.
    pub fn rooms(&self) -> &Rooms {
        &self.inner.rooms
    }

    /// Opens a room and starts its task; an empty title becomes `Room N`.
    ///
    /// # Errors
    /// 503 when every room is in use, or the server drains.
    pub fn open_room(&self, title: &str) -> Result<RoomHandle, ApiError> {
        self.open_room_with(title, Settings::default())
    }

    /// The same, with what the room demands.
    ///
    /// # Errors
    /// As for [`App::open_room`].
    pub fn open_room_with(&self, title: &str, settings: Settings) -> Result<RoomHandle, ApiError> {
        if self.inner.admission.is_draining() {
            return Err(ApiError::draining());
        }
        let clock = self.inner.clock;
        let opened = self.inner.rooms.open(title, settings, clock.epoch(), clock.today());
        let (room, actor) = opened.map_err(|full: Full| ApiError::full(full.to_string()))?;
        self.run(&room, actor);
        Ok(room)
    }

    /// The open room of this title, or a new one. However many ask at once, there is one room.
    ///
    /// # Errors
    /// As for [`App::open_room`].
    pub fn room_called(&self, title: &str) -> Result<RoomHandle, ApiError> {
        if self.inner.admission.is_draining() {
            return Err(ApiError::draining());
        }
        let clock = self.inner.clock;
        let found = self.inner.rooms.titled(title, Settings::default(), clock.epoch(), clock.today());
        let (room, actor) = found.map_err(|full: Full| ApiError::full(full.to_string()))?;
        if let Some(actor) = actor {
            self.run(&room, actor);
        }
        Ok(room)
    }

    fn run(&self, room: &RoomHandle, actor: Actor) {
        let forget = Forget { sounds: Arc::downgrade(&self.inner.sounds), room: room.id() };
        tokio::spawn(async move {
            let _forget = forget;
            actor.run().await;
        });
    }

    /// The sound of a room that is open.
    pub fn sound(&self, room: &RoomHandle) -> Arc<RoomSound> {
        self.inner.sounds.of(room)
    }

    /// The sound of every room.
    pub fn sounds(&self) -> &Sounds {
        &self.inner.sounds
    }

    /// Everybody who calls over WebRTC.
    pub fn webrtc(&self) -> &Arc<WebRtc> {
        &self.inner.webrtc
    }

    /// Gives it recordings; once is enough, and only the first stay.
    pub fn keep(&self, recordings: Recordings) {
        let _ = self.inner.recordings.set(recordings);
    }

    /// The recordings.
    ///
    /// # Errors
    /// 503 when this server keeps none.
    pub fn recordings(&self) -> Result<&Recordings, ApiError> {
        self.inner.recordings.get().ok_or_else(|| ApiError::full("this server keeps no recordings"))
    }

    /// Gives it a store; once is enough, and only the first stays.
    pub fn remember_in(&self, store: Store) {
        let _ = self.inner.store.set(store);
    }

    /// What outlives a call.
    ///
    /// # Errors
    /// 503 when this server keeps nothing.
    pub fn store(&self) -> Result<&Store, ApiError> {
        let missing = || ApiError::full("this server remembers nothing").hint("the log says why its store is not open");
        self.inner.store.get().ok_or_else(missing)
    }

    /// Wakes whoever tells reminders.
    pub(crate) fn bell(&self) -> &Bell {
        &self.inner.bell
    }

    /// Gives it a telephone; once is enough, and only the first stays.
    pub(crate) fn connect(&self, phones: SharedPhones) {
        let _ = self.inner.phones.set(phones);
    }

    /// The telephone.
    ///
    /// # Errors
    /// 503 when this server has none.
    pub(crate) fn phones(&self) -> Result<&SharedPhones, ApiError> {
        let missing = || ApiError::full("this server has no telephone").hint("sip.port in the configuration is 0");
        self.inner.phones.get().ok_or_else(missing)
    }

    /// What speaks; the threads of a voice that needs nothing loaded start with the first who asks.
    ///
    /// # Errors
    /// 503 when the system gives no thread.
    pub(crate) fn voices(&self) -> Result<&Voices, ApiError> {
        if let Some(voices) = self.inner.voices.get() {
            return Ok(voices);
        }
        let voices = voices::start(self.config()).map_err(|error| {
            tracing::error!(%error, "the voices do not start");
            ApiError::full("this server has no voice").hint(error.to_string())
        })?;
        // Another may have been quicker: then its voices stay.
        Ok(self.inner.voices.get_or_init(|| voices))
    }

    /// Those who talk.
    pub(crate) fn agents(&self) -> &Agents {
        &self.inner.agents
    }

    /// What is said because somebody asked for it.
    pub(crate) fn says(&self) -> &Says {
        &self.inner.says
    }

    /// The calls of OpenAI's realtime dialect that others may join.
    pub(crate) fn realtime_calls(&self) -> &Calls {
        &self.inner.realtime_calls
    }

    /// The short-lived keys of OpenAI's realtime sockets.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.inner.secrets
    }

    /// The places there are.
    pub fn admission(&self) -> &Admission {
        &self.inner.admission
    }

    /// The keys that open this server.
    pub fn keys(&self) -> &KeyRing {
        &self.inner.keys
    }

    /// What time it is.
    pub fn clock(&self) -> Clock {
        self.inner.clock
    }

    /// Cancelled when the server begins to drain: sockets finish what they have and close.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.inner.shutdown
    }

    /// The client for requests that we make; cheap to clone.
    pub fn http(&self) -> reqwest::Client {
        self.inner.http.clone()
    }

    /// The client for URLs that callers, documents and programs name.
    pub fn webhooks(&self) -> &Webhooks {
        &self.inner.webhooks
    }

    /// What is measured.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }
}

/// Why the server cannot run on this machine.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The platform's certificates cannot be read.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// The system gives no threads.
    #[error("cannot start the engine: {0}")]
    Engine(#[source] io::Error),
    /// The voices that are configured cannot speak; see the text.
    #[error(transparent)]
    Voices(#[from] voices::Broken),
    /// Nobody can talk; see the text.
    #[error(transparent)]
    Agents(#[from] agent::Broken),
}

/// Forgets the sound of a room when its task has ended, however it did.
struct Forget {
    sounds: Weak<Sounds>,
    room: RoomId,
}

impl Drop for Forget {
    fn drop(&mut self) {
        if let Some(sounds) = self.sounds.upgrade() {
            sounds.forget(self.room);
        }
    }
}

/// Everything the server answers.
pub fn router(app: App) -> Router {
    let public = Router::new().merge(api::health::routes()).merge(api::openapi::routes()).merge(console::routes());
    let guarded = Router::new()
        .merge(api::metrics::routes())
        .merge(api::stages::routes())
        .merge(api::rooms::routes())
        .merge(api::events::routes())
        .merge(api::audio::routes())
        .merge(api::participants::routes())
        .merge(api::play::routes())
        .merge(api::say::routes())
        .merge(api::agent::routes())
        .merge(api::levels::routes())
        .merge(api::recordings::routes())
        .merge(api::speakers::routes())
        .merge(api::room_speakers::routes())
        .merge(api::calls::routes())
        .merge(api::callers::routes())
        .merge(api::reminders::routes())
        .merge(dialect::routes())
        .layer(middleware::from_fn_with_state(app.clone(), auth::require));
    let body_bytes_max = usize::try_from(app.config().limits.upload_bytes_max).unwrap_or(usize::MAX);
    Router::new()
        .merge(public)
        .merge(guarded)
        .merge(dialect::twilio::routes(app.clone()))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_this_way)
        .layer(DefaultBodyLimit::max(body_bytes_max))
        .layer(middleware::from_fn_with_state(app.clone(), admit))
        .layer(middleware::from_fn_with_state(app.clone(), auth::same_origin))
        .layer(middleware::from_fn(respell))
        .layer(middleware::from_fn_with_state(app.clone(), auth::pages::let_in))
        .layer(middleware::from_fn(linger::linger))
        .with_state(app)
}

/// A place for the request while it is answered, and no body that says it is too large.
async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let _place = match app.admission().request() {
        Ok(place) => place,
        Err(full) => return full.into_response(),
    };
    let bytes_max = app.config().limits.upload_bytes_max;
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: u64| bytes > bytes_max) {
        return ApiError::too_large(bytes_max).into_response();
    }
    next.run(request).await
}

/// Turns a refusal into the shape of the vendor whose path was asked for, wherever it came from.
async fn respell(request: Request, next: Next) -> Response {
    let spell = dialect::spelling(request.uri().path());
    let mut response = next.run(request).await;
    let Some(spell) = spell else { return response };
    match response.extensions_mut().remove::<ApiError>() {
        Some(error) => spell(&error),
        None => response,
    }
}

async fn nothing_here(uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::not_found(format!("there is nothing at {path}")).hint("GET /openapi.json lists what there is")
}

async fn not_this_way(request: Request) -> ApiError {
    let message = format!("{} is not done here", request.method());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).hint("GET /openapi.json lists what is")
}
