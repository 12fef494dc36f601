//! WHIP (RFC 9725) and WHEP: a browser's offer over HTTP, its answer, and its candidates afterwards.
//!
//! `POST /whip/{room}` joins a room to speak (and to listen, where the offer says so), `POST /whep/{room}` to
//! listen only; `POST /whip/echo` hears itself. The answer's `Location` takes more candidates (`PATCH`) and
//! ends the call (`DELETE`). Only the border is here: [`caller`] carries a caller of a room, [`echo`] one of
//! none, and [`media::webrtc`] speaks to the browser.

mod caller;
mod echo;

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{patch, post},
};
use bot::actor::RoomHandle;
use media::{
    codec::voice::{Codec, OpusOptions},
    id::RoomId,
    ring::{
        bell::bell,
        packets::{LONGEST_BYTES, packets},
    },
    rtp::{
        delay::Bounds,
        leg::{self, BadLeg, LegSpec, RtpLeg, Wire},
        seq::{RtpTime, SeqNo},
        session::Identity,
    },
    time::Epoch,
    webrtc::{
        AnswerError, Answered, Outgoing, Sound,
        fragment::{Fragment, FragmentError},
        offer::{Audio, Offer, OfferError},
    },
};
use serde::Deserialize;

use crate::{
    app::App,
    error::ApiError,
    webrtc::{Entry, Session},
};

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/whip/{room}", post(publish).options(options))
        .route("/whep/{room}", post(listen).options(options))
        .route("/whip/{room}/{session}", patch(trickle).delete(hang_up))
        .route("/whep/{room}/{session}", patch(trickle).delete(hang_up))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// What is asked for beside the offer; all of it may be left out.
#[derive(Debug, Default, Deserialize)]
struct Wishes {
    name: Option<String>,
    language: Option<String>,
    consent: Option<bool>,
    suppress_noise: Option<bool>,
    /// Whether several people may be at this microphone: their voices are told apart then.
    diarize: Option<bool>,
}

async fn publish(
    State(app): State<App>,
    Path(room): Path<String>,
    query: Query<Wishes>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let offer = offer(&headers, body)?;
    if room == "echo" {
        return echo::begin(&app, offer).await;
    }
    caller::begin(&app, &room, caller::Way::Whip, query.0, offer).await
}

async fn listen(
    State(app): State<App>,
    Path(room): Path<String>,
    query: Query<Wishes>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let offer = offer(&headers, body)?;
    if !offer.audio.direction.is_receiving() {
        return Err(not_acceptable("not_listening", "the offer's audio is sent and not received")
            .hint("offer audio with a=recvonly, or send it to /whip"));
    }
    caller::begin(&app, &room, caller::Way::Whep, query.0, offer).await
}

async fn options(State(app): State<App>) -> Response {
    let accepts = [(HeaderName::from_static("accept-post"), HeaderValue::from_static(SDP))];
    with_links(&app, (StatusCode::NO_CONTENT, accepts).into_response())
}

async fn trickle(
    State(app): State<App>,
    Path((_, name)): Path<(String, String)>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let session = session(&app, &uri, &name)?;
    is_type(&headers, FRAGMENT, "accept-patch")?;
    let Some(wanted) = headers.get(header::IF_MATCH) else {
        return Err(ApiError::new(StatusCode::PRECONDITION_REQUIRED, "no_etag", "the request has no If-Match")
            .hint("send the ETag of the answer as If-Match"));
    };
    let fragment = Fragment::read(&whole(body)?)?;
    if wanted == "*" || fragment.ufrag.as_deref().is_some_and(|ufrag| ufrag != session.peer.ufrag()) {
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "no_restart", "ICE is not restarted here")
            .hint("end the session and make a new one"));
    }
    if wanted != session.etag {
        return Err(ApiError::new(
            StatusCode::PRECONDITION_FAILED,
            "wrong_etag",
            "the ETag is that of another session",
        )
        .hint("send the ETag of the answer as If-Match"));
    }
    session.peer.trickle(fragment).await.map_err(|_| no_session())?;
    Ok(StatusCode::NO_CONTENT)
}

async fn hang_up(
    State(app): State<App>,
    Path((_, name)): Path<(String, String)>,
    uri: axum::http::Uri,
) -> Result<StatusCode, ApiError> {
    let session = session(&app, &uri, &name)?;
    session.peer.close();
    // Whoever is told that it is over finds its place free; an error means that it is over already.
    let _ = session.peer.state().wait_for(|state| state.is_over()).await;
    Ok(StatusCode::OK)
}

fn session(app: &App, uri: &axum::http::Uri, name: &str) -> Result<Arc<Session>, ApiError> {
    let endpoint = uri.path().rsplit_once('/').map_or("", |(endpoint, _)| endpoint);
    let session = app.webrtc().session(endpoint, name).filter(|session| !session.peer.state().borrow().is_over());
    session.ok_or_else(no_session)
}

fn no_session() -> ApiError {
    ApiError::not_found("there is no such session, or it is over").hint("send an offer to begin another")
}

fn offer(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Offer, ApiError> {
    is_type(headers, SDP, "accept-post")?;
    Ok(Offer::read(&whole(body)?)?)
}

fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, ApiError> {
    body.map_err(|refusal| match refusal.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => ApiError::bad_request("bad_body", refusal.body_text()),
    })
}

fn too_large() -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("SDP is at most {BODY_BYTES_MAX} bytes long"))
}

fn is_type(headers: &HeaderMap, wanted: &'static str, accepts: &'static str) -> Result<(), ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let message = format!("the body must be {wanted}");
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_sdp", message).hint(format!("{accepts}: {wanted}")))
}

fn not_acceptable(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::NOT_ACCEPTABLE, code, message)
}

/// A leg for the caller of `audio`, and the ends of its rings for the peer.
///
/// # Errors
/// 406 for a payload type that cannot be, 503 without file descriptors.
pub(super) fn leg(audio: Audio, epoch: Epoch) -> Result<(RtpLeg, Outgoing), ApiError> {
    // As many packets as a leg's own ring: more than a second, and more than any stall that is survived.
    let (writer, reader) = packets(PACKETS, PACKETS * LONGEST_BYTES);
    let (ringer, doorbell) = bell().map_err(|error| {
        tracing::error!(%error, "no pair of sockets for a caller");
        ApiError::full("the server has no file descriptors left")
    })?;
    let ssrc = rand::random();
    let defaults = OpusOptions::default();
    let options = OpusOptions {
        fec: audio.wants_fec,
        bitrate_bps: audio
            .bitrate_max_bps
            .map_or(defaults.bitrate_bps, |most| most.clamp(LEAST_BPS, defaults.bitrate_bps)),
        ..defaults
    };
    let spec = LegSpec {
        codec: Codec::Opus(options),
        payload_type: audio.opus,
        telephone_event: audio.telephone_event,
        packet_ms: PACKET_MS,
        identity: Identity {
            ssrc,
            first_seq: SeqNo(rand::random()),
            first_time: RtpTime(rand::random()),
            // 100 bits (RFC 7022), and a length that needs no padding: the protocol crate, which encodes what
            // leaves once more, would write a count into it, which some receivers refuse.
            cname: format!("{:025x}", rand::random::<u128>() >> 28),
        },
        protection: None,
        bounds: Bounds { margin_ms: MARGIN_MS, most_ms: WAIT_MOST_MS },
        rtcp: true,
        epoch,
    };
    let leg = leg::leg(spec, Wire::Ring(writer, ringer)).map_err(|error| match error {
        BadLeg::PayloadType(_) => not_acceptable("bad_payload_type", error.to_string()),
        error => {
            tracing::error!(%error, "no leg for a caller");
            ApiError::internal("the caller's sound cannot be carried")
        }
    })?;
    Ok((leg, Outgoing { packets: reader, doorbell, ssrc }))
}

/// Answers the offer, and enters the session: what its caller says, and the answer.
///
/// # Errors
/// What HTTP says: the server drains, there is no place or port, the offer cannot be answered.
pub(super) async fn connect(
    app: &App,
    endpoint: String,
    offer: Offer,
    sound: Sound,
) -> Result<(Entry, tokio::sync::mpsc::Receiver<String>, String), ApiError> {
    if app.admission().is_draining() {
        return Err(ApiError::draining());
    }
    let Answered { peer, sdp, said } = app.webrtc().peers()?.answer(offer, sound).await?;
    let etag = HeaderValue::from_str(&format!("\"{:016x}\"", rand::random::<u64>())).expect("hexadecimal digits");
    Ok((app.webrtc().enter(Session { peer, endpoint, etag }), said, sdp))
}

/// The same with the response of this protocol.
async fn answer(
    app: &App,
    endpoint: String,
    offer: Offer,
    sound: Sound,
) -> Result<(Entry, tokio::sync::mpsc::Receiver<String>, Response), ApiError> {
    let (entry, said, sdp) = connect(app, endpoint, offer, sound).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(SDP)),
        (header::LOCATION, location(&entry)),
        (header::ETAG, entry.session.etag.clone()),
        (HeaderName::from_static("accept-patch"), HeaderValue::from_static(FRAGMENT)),
    ];
    let response = with_links(app, (StatusCode::CREATED, headers, sdp).into_response());
    Ok((entry, said, response))
}

/// Where an answered session is.
pub(super) fn location(entry: &Entry) -> HeaderValue {
    let location = format!("{}/{}", entry.session.endpoint, entry.name);
    HeaderValue::from_str(&location).expect("the endpoint came in a URI")
}

fn with_links(app: &App, mut response: Response) -> Response {
    for link in app.webrtc().ice_servers() {
        response.headers_mut().append(header::LINK, link.clone());
    }
    response
}

/// The room that is named: by its id, or by its title, which opens it where it is not open yet.
pub(super) fn room(app: &App, named: &str) -> Result<RoomHandle, ApiError> {
    if let Ok(id) = named.parse::<RoomId>() {
        return app.rooms().room(id).filter(RoomHandle::is_open).ok_or_else(|| {
            ApiError::not_found(format!("there is no room {id}"))
                .hint("POST /api/rooms opens one, as does any other name")
        });
    }
    let is_name = (1..=NAME_MAX).contains(&named.len())
        && named.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if !is_name {
        return Err(ApiError::not_found("that names no room").hint("a name has up to 64 letters, digits, - and _"));
    }
    app.room_called(named)
}

impl From<OfferError> for ApiError {
    fn from(error: OfferError) -> Self {
        let message = error.to_string();
        match error {
            OfferError::TooLarge => too_large(),
            OfferError::Malformed(_) | OfferError::Lacking(_) => Self::bad_request("bad_sdp", message),
            OfferError::TooMany(_) => not_acceptable("too_many_tracks", message),
            OfferError::NoAudio => not_acceptable("no_audio", message),
            OfferError::CodecNotOffered { .. } => {
                not_acceptable("codec_not_offered", message).hint("offer opus/48000/2 in the audio section")
            }
        }
    }
}

impl From<FragmentError> for ApiError {
    fn from(error: FragmentError) -> Self {
        match error {
            FragmentError::TooLarge => too_large(),
            FragmentError::Malformed(_) => Self::bad_request("bad_sdp", error.to_string()),
        }
    }
}

impl From<AnswerError> for ApiError {
    fn from(error: AnswerError) -> Self {
        let message = error.to_string();
        match error {
            AnswerError::Full(_) => {
                Self::full(message).hint("try again shortly; webrtc.max_peers sets how many there are")
            }
            AnswerError::NoPort(_) => {
                tracing::warn!(message, "a caller found no port");
                Self::full("no UDP port is free").hint("try again shortly; webrtc.port_min and port_max set the range")
            }
            AnswerError::Refused(_) => Self::bad_request("bad_sdp", message),
            AnswerError::Broken => {
                tracing::error!("answering an offer broke");
                Self::internal("the offer could not be answered")
            }
        }
    }
}

/// The type of offers and answers.
pub(super) const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// Longer than any offer that is read.
const BODY_BYTES_MAX: usize = 64 * 1024 + 1;

/// The longest name of a room.
const NAME_MAX: usize = 64;

/// Packets between the engine and a peer's task.
const PACKETS: usize = 64;

/// What we send. Half of what browsers send: what was said is on its way back 10 ms sooner.
const PACKET_MS: u32 = 10;

/// Opus below this is no speech any more.
const LEAST_BPS: u32 = 12_000;

/// Added to the jitter that was measured: one tick of the engine.
const MARGIN_MS: u32 = 10;

/// The most that a packet waits: beyond it a conversation is worse than its gaps.
const WAIT_MOST_MS: u32 = 400;
