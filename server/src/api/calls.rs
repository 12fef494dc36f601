//! `/api/calls`: telephone calls, live and lately: listing them, making them, and taking a hand in one.

use std::time::{Duration, SystemTime};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{FromRequestParts, Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bot::{
    answering::{AnsweredBy, Settings},
    event::Direction,
    ivr::{
        machine::Source,
        webhook::{Endpoint, Method},
    },
};
use media::id::{ParticipantId, RoomId};
use serde::{Deserialize, Serialize};
use sip::{
    endpoint::ReferTo,
    message::{Headers, NameAddr},
};

use super::{RoomOf, json_body};
use crate::{
    agent,
    app::App,
    error::ApiError,
    phone::{
        SharedPhones,
        call::{Phone, Quality},
        calls::View,
        detect::Detection,
        originate::{self, Originate, Purpose},
        outgoing::NotDialled,
        sid::Sid,
        trunks::TrunkView,
    },
};

/// How long somebody rings when nobody says.
const RING_FOR_S: u64 = 60;

/// Nobody lets a telephone ring for longer.
const RING_FOR_S_MAX: u64 = 600;

/// How long a key is pressed.
const PRESS_MS: u32 = 120;

/// Keys that are pressed at once, at most.
const KEYS_MAX: usize = 64;

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/api/calls", get(list).post(make))
        .route("/api/calls/{call}", get(show).post(act).delete(end))
        .route("/api/trunks", get(trunks))
}

#[derive(Debug, Serialize)]
struct Calls {
    calls: Vec<Shown>,
}

/// A call, as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    direction: Direction,
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    to: String,
    status: &'static str,
    began_at: String,
    answered_at: Option<String>,
    ended_at: Option<String>,
    duration_s: f64,
    room: Option<RoomId>,
    participant: Option<ParticipantId>,
    trunk: Option<String>,
    parent: Option<String>,
    answered_by: Option<AnsweredBy>,
    is_muted: bool,
    is_held: bool,
    holds_us: bool,
    quality: Option<Quality>,
    refused_with: Option<u16>,
}

impl Shown {
    fn of(view: View, now: SystemTime) -> Self {
        let until = view.ended.unwrap_or(now);
        let duration = view.answered.and_then(|answered| until.duration_since(answered).ok()).unwrap_or_default();
        Self {
            id: view.sid.to_string(),
            direction: view.direction,
            from: view.from,
            name: view.from_name,
            to: view.to,
            status: view.status,
            began_at: timestamp(view.began),
            answered_at: view.answered.map(timestamp),
            ended_at: view.ended.map(timestamp),
            duration_s: duration.as_millis() as f64 / 1_000.0,
            room: view.room,
            participant: view.participant,
            trunk: view.trunk,
            parent: view.parent.map(|parent| parent.to_string()),
            answered_by: view.answered_by,
            is_muted: view.is_muted,
            is_held: view.condition.is_held,
            holds_us: view.condition.holds_us,
            quality: view.condition.quality,
            refused_with: view.refused_with,
        }
    }
}

fn timestamp(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}

/// A call to be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// A number, `sip:user@host` or `client:user`.
    to: String,
    /// Who calls; the trunk's own number when left out.
    #[serde(default)]
    from: String,
    /// Its application: TwiML as text.
    #[serde(default)]
    twiml: Option<String>,
    /// Its application: where TwiML comes from.
    #[serde(default)]
    url: Option<String>,
    /// The room that it joins.
    #[serde(default)]
    room: Option<String>,
    /// The agent that talks: a persona, or `true` for the usual one.
    #[serde(default)]
    agent: Option<Persona>,
    /// Keys that are pressed once it is taken; `w` waits for half a second.
    #[serde(default)]
    send_digits: String,
    /// How long it may ring.
    #[serde(default)]
    timeout_s: Option<u64>,
    /// Whether and how it is found out who takes it.
    #[serde(default)]
    detection: Option<DetectionWish>,
}

/// Which agent talks.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Persona {
    /// The usual one.
    Usual(bool),
    /// By its name.
    Named(String),
}

/// How it is found out who takes a call; what is left out is as Twilio has it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DetectionWish {
    /// Whether the end of a machine's greeting is waited for.
    until_message_end: bool,
    /// Whether the call's application begins meanwhile.
    is_aside: bool,
    /// Told the answer.
    callback: Option<String>,
    timeout_s: Option<u64>,
    speech_threshold_ms: Option<u64>,
    speech_end_threshold_ms: Option<u64>,
    silence_timeout_ms: Option<u64>,
}

impl DetectionWish {
    fn read(&self) -> Result<Detection, ApiError> {
        let how = if self.until_message_end { "DetectMessageEnd" } else { "Enable" };
        // Ours, and the parameter whose bounds hold for it.
        let numbers = [
            ("timeout_s", "MachineDetectionTimeout", self.timeout_s),
            ("speech_threshold_ms", "MachineDetectionSpeechThreshold", self.speech_threshold_ms),
            ("speech_end_threshold_ms", "MachineDetectionSpeechEndThreshold", self.speech_end_threshold_ms),
            ("silence_timeout_ms", "MachineDetectionSilenceTimeout", self.silence_timeout_ms),
        ]
        .map(|(ours, theirs, number)| (ours, theirs, number.map(|number| number.to_string())));
        let settings = Settings::of_parameters(|name| match name {
            "MachineDetection" => Some(how),
            name => numbers.iter().find(|(_, theirs, _)| *theirs == name).and_then(|(.., text)| text.as_deref()),
        });
        let settings = settings.map_err(|bad| {
            let ours = numbers.iter().find(|(_, theirs, _)| *theirs == bad.name).map_or(bad.name, |(ours, ..)| ours);
            ApiError::bad_request("bad_detection", format!("detection.{ours} must be {}", bad.expected))
        })?;
        let told = self.callback.as_deref().map(endpoint).transpose()?;
        Ok(Detection { settings: settings.unwrap_or_default(), is_aside: self.is_aside, told })
    }
}

/// What is to be done in a call.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
enum Action {
    /// End it.
    Hangup {},
    /// Hand it over to somebody else: a number, an address, or the far end of the call of that id.
    Transfer { to: String },
    /// Press keys at the far end.
    Dtmf { digits: String },
    /// Silence it for its room.
    Mute { is_muted: bool },
    /// Hold it, or talk to it again.
    Hold { is_held: bool },
}

/// The call that the path names.
struct CallOf(SharedPhones, Sid);

impl FromRequestParts<App> for CallOf {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Path(sid) = Path::<String>::from_request_parts(parts, app).await.map_err(|_| no_call())?;
        Ok(Self(app.phones()?.clone(), sid.parse().map_err(|_| no_call())?))
    }
}

impl CallOf {
    fn live(&self) -> Result<Phone, ApiError> {
        let Self(phones, sid) = self;
        phones.calls().live(sid).ok_or_else(|| match phones.calls().view(sid) {
            Some(_) => ApiError::new(StatusCode::CONFLICT, "call_over", "the call is over"),
            None => no_call(),
        })
    }
}

fn no_call() -> ApiError {
    ApiError::not_found("there is no such call").hint("GET /api/calls lists those there are")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    /// How many of those that are over are listed; those that are on always are.
    limit: Option<usize>,
}

async fn list(State(app): State<App>, page: Result<Query<Page>, QueryRejection>) -> Result<Json<Calls>, ApiError> {
    let Query(page) = page.map_err(|refusal| ApiError::bad_request("bad_query", refusal.body_text()))?;
    let now = app.clock().wall();
    let calls = app.phones()?.calls();
    let views = page.limit.map_or_else(|| calls.views(), |limit| calls.latest(limit));
    Ok(Json(Calls { calls: views.into_iter().map(|view| Shown::of(view, now)).collect() }))
}

#[derive(Debug, Serialize)]
struct Trunks {
    trunks: Vec<TrunkView>,
}

async fn trunks(State(app): State<App>) -> Result<Json<Trunks>, ApiError> {
    Ok(Json(Trunks { trunks: app.phones()?.trunk_views() }))
}

async fn show(State(app): State<App>, call: CallOf) -> Result<Json<Shown>, ApiError> {
    let view = call.0.calls().view(&call.1).ok_or_else(no_call)?;
    Ok(Json(Shown::of(view, app.clock().wall())))
}

async fn make(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    let wish: Wish = json_body(&headers, &body, "{\"to\": \"sip:bob@192.0.2.1\", \"twiml\": \"<Response>…\"}")?;
    let phones = app.phones()?.clone();
    let ring_for_s = wish.timeout_s.unwrap_or(RING_FOR_S);
    if !(1..=RING_FOR_S_MAX).contains(&ring_for_s) {
        let message = format!("timeout_s must be 1 to {RING_FOR_S_MAX}");
        return Err(ApiError::bad_request("bad_timeout", message));
    }
    let detection = wish.detection.as_ref().map(DetectionWish::read).transpose()?;
    // Last, since an agent takes a room and a place.
    let agent = wish.agent.filter(|agent| !matches!(agent, Persona::Usual(false)));
    let purpose = match (wish.twiml, wish.url, wish.room, agent) {
        (Some(twiml), None, None, None) => application(Source::Inline(twiml)),
        (None, Some(url), None, None) => application(Source::At(endpoint(&url)?)),
        (None, None, Some(room), None) => Purpose::Room(RoomOf::named(&app, &room)?),
        (None, None, None, Some(agent)) => talking(&app, &agent).await?,
        (None, None, None, None) => Purpose::Listen,
        _ => {
            let message = "a call has one purpose: give twiml, url, room or agent, or none of them";
            return Err(ApiError::bad_request("too_many_purposes", message));
        }
    };
    let originate = Originate {
        to: wish.to,
        from: wish.from,
        purpose,
        send_digits: wish.send_digits,
        ring_for: Duration::from_secs(ring_for_s),
        longest: None,
        credentials: None,
        payer: "api".to_owned(),
        detection,
    };
    let own = match &originate.purpose {
        Purpose::Agent(seated) => Some(seated.room().clone()),
        _ => None,
    };
    let phone = match originate::originate(&app, &phones, originate).await {
        Ok(phone) => phone,
        Err(error) => {
            if let Some(room) = own {
                room.close().await;
            }
            return Err(error.into());
        }
    };
    let shown = Shown::of(View::of(&phone), app.clock().wall());
    let location = [(header::LOCATION, format!("/api/calls/{}", phone.sid()))];
    Ok((StatusCode::CREATED, location, Json(shown)).into_response())
}

/// A room of its own with an agent in it.
async fn talking(app: &App, agent: &Persona) -> Result<Purpose, ApiError> {
    let persona = match agent {
        Persona::Usual(_) => None,
        Persona::Named(name) => Some(name.as_str()),
    };
    let room = app.open_room("")?;
    match agent::take_seat(app, &room, persona).await {
        Ok(seated) => Ok(Purpose::Agent(Box::new(seated))),
        Err(error) => {
            room.close().await;
            Err(error)
        }
    }
}

fn application(source: Source) -> Purpose {
    Purpose::Application { source, fallback: None, status: None }
}

fn endpoint(url: &str) -> Result<Endpoint, ApiError> {
    originate::endpoint(url, Method::Post)
        .filter(|endpoint| endpoint.url.scheme() != "file")
        .ok_or_else(|| ApiError::bad_request("bad_url", "url must be an http or https URL"))
}

async fn act(call: CallOf, headers: HeaderMap, body: Bytes) -> Result<StatusCode, ApiError> {
    let action = json_body(&headers, &body, "{\"action\": \"hangup\"} or {\"action\": \"dtmf\", \"digits\": \"12#\"}")?;
    let phone = call.live()?;
    match action {
        Action::Hangup {} => phone.hang_up().await,
        Action::Transfer { to } => transfer(&call.0, &phone, &to).await?,
        Action::Dtmf { digits } => {
            let is_key = |sign: char| media::rtp::dtmf::Key::from_char(sign).is_some();
            if digits.is_empty() || digits.len() > KEYS_MAX || !digits.chars().all(is_key) {
                let message = format!("digits must be 1 to {KEYS_MAX} of 0-9, *, # and A-D");
                return Err(ApiError::bad_request("bad_digits", message));
            }
            for digit in digits.chars() {
                phone.press(digit, PRESS_MS).await;
            }
        }
        Action::Mute { is_muted } => phone.mute(is_muted).await,
        Action::Hold { is_held } => phone.hold(is_held).await,
    }
    Ok(StatusCode::ACCEPTED)
}

/// The call whose place the far end of `phone` is to take.
fn other_call(phones: &SharedPhones, phone: &Phone, sid: &Sid) -> Result<Phone, ApiError> {
    let other = phones.calls().live(sid).ok_or_else(no_call)?;
    if other.sid() == phone.sid() || !other.now().is_answered() {
        let message = "a call can be transferred to another call that is taken";
        return Err(ApiError::new(StatusCode::CONFLICT, "not_taken", message));
    }
    Ok(other)
}

/// Asks the far end to call somebody else in our place: somebody new, or the far end of another call (attended).
async fn transfer(phones: &SharedPhones, phone: &Phone, to: &str) -> Result<(), ApiError> {
    let to = match to.parse::<Sid>() {
        Ok(other) => ReferTo::Attended(other_call(phones, phone, &other)?.dialog()),
        Err(_) => ReferTo::Blind(NameAddr::new(phones.address_called(to)?)),
    };
    match phone.refer(to, Headers::new()).await {
        200..=299 => {
            phone.hang_up().await;
            Ok(())
        }
        status => Err(ApiError::new(
            StatusCode::BAD_GATEWAY,
            "not_transferred",
            format!("the far end did not take the transfer: {status}"),
        )),
    }
}

async fn end(call: CallOf) -> Result<StatusCode, ApiError> {
    call.live()?.hang_up().await;
    Ok(StatusCode::NO_CONTENT)
}

impl From<NotDialled> for ApiError {
    fn from(error: NotDialled) -> Self {
        let (message, retry_after_s) = (error.to_string(), error.retry_after_s());
        match error {
            NotDialled::Unreadable => {
                Self::bad_request("bad_number", message).hint("dial +4930123456, sip:user@host or client:user")
            }
            NotDialled::NoTrunk => Self::new(StatusCode::CONFLICT, "no_trunk", message),
            NotDialled::NotRegistered | NotDialled::UnknownHost => {
                Self::new(StatusCode::NOT_FOUND, "not_reachable", message)
            }
            NotDialled::Refused(_) if retry_after_s.is_some() => {
                Self { retry_after_s, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "dialling_limit", message) }
            }
            NotDialled::Refused(_) => Self::forbidden("not_allowed", message)
                .hint("dialling.allow in the configuration lists what may be dialled"),
            NotDialled::Forbidden => Self::forbidden("not_allowed", message),
            NotDialled::Busy(_) | NotDialled::NoPort(_) => Self::full(message),
            NotDialled::Draining => Self::draining(),
        }
    }
}
