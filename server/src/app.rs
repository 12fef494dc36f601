//! The composition root: everything a handler may reach, and the one router that all parts hang in.
//!
//! [`App`] is cheap to clone and holds what lives as long as the server; nothing in it changes after the start
//! but by its own doors (rooms open, places are taken, keys are reloaded). [`router`] puts the parts together:
//! what is public, what needs a key, and the layers around both. A part exports `routes()` and knows no other.

use std::sync::Arc;

use asr::pool::Ears;
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use bot::{
    actor::RoomHandle,
    rooms::{Full, Rooms},
};
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Admission,
    api,
    auth::{self, keys::KeyRing},
    clock::Clock,
    config::Config,
    console, dialect,
    engine::{self, NoEars, Size},
    error::ApiError,
    telemetry::Metrics,
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
    clock: Clock,
    shutdown: CancellationToken,
    http: reqwest::Client,
    metrics: Metrics,
}

impl App {
    /// Puts an app together. Nothing runs yet; `ears` says what is missing when nothing recognizes.
    ///
    /// # Errors
    /// When no HTTP client can be made: the platform's certificates cannot be read.
    pub fn new(config: Config, ears: Result<Ears, NoEars>, keys: KeyRing) -> Result<Self, reqwest::Error> {
        crate::models::tls::install();
        let http = reqwest::Client::builder().user_agent(concat!("harmony/", env!("CARGO_PKG_VERSION"))).build()?;
        let size = Size::of(&config, engine::cores());
        let limits = &config.limits;
        let admission = Admission::new(size.streams_max, limits.requests_max, limits.connections_max);
        let rooms = Rooms::new(limits.rooms_max, bot::room::Limits::default());
        let metrics = Metrics::installed();
        let shutdown = CancellationToken::new();
        let inner = Inner { config, ears, rooms, admission, keys, clock: Clock, shutdown, http, metrics };
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
        if self.inner.admission.is_draining() {
            return Err(ApiError::draining());
        }
        let clock = self.inner.clock;
        let opened = self.inner.rooms.open(title, clock.epoch(), clock.today());
        let (room, actor) = opened.map_err(|full: Full| ApiError::full(full.to_string()))?;
        tokio::spawn(actor.run());
        Ok(room)
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

    /// What is measured.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }
}

/// Everything the server answers.
pub fn router(app: App) -> Router {
    let public = Router::new().merge(api::health::routes()).merge(api::openapi::routes()).merge(console::routes());
    let guarded = Router::new()
        .merge(api::metrics::routes())
        .merge(api::rooms::routes())
        .merge(api::events::routes())
        .merge(api::audio::routes())
        .merge(dialect::routes())
        .layer(middleware::from_fn_with_state(app.clone(), auth::require));
    let body_bytes_max = usize::try_from(app.config().limits.upload_bytes_max).unwrap_or(usize::MAX);
    Router::new()
        .merge(public)
        .merge(guarded)
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_this_way)
        .layer(DefaultBodyLimit::max(body_bytes_max))
        .layer(middleware::from_fn_with_state(app.clone(), admit))
        .layer(middleware::from_fn_with_state(app.clone(), auth::same_origin))
        .layer(middleware::from_fn(respell))
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
