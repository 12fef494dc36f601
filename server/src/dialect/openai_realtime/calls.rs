//! `POST /v1/realtime/calls`: an offer in, an answer out, and a session over WebRTC; and its end over HTTP.
//!
//! The offer comes as it is, for the session of the short-lived key or of `?model=`, or in a form with the session beside
//! it. Only the border is here: [`crate::dialect::whip`] answers offers, [`super::peer`] carries the caller. A call is
//! found by a secret name, so that only who was told it ends it. Source: openai-python, `resources/realtime/calls.py`.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest as _, Multipart, Path, Query, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{delete, post},
};
use bot::{actor::RoomHandle, participant::Kind as Way};
use media::webrtc::{Sound, offer::Offer};
use serde_json::Value;
use tokio::{sync::mpsc, time::timeout};

use super::{
    Asked, CALLS, accept,
    peer::{self, run},
    session::{Kind, Refused},
    talk::{Lines, open_room},
};
use crate::{
    app::App,
    call,
    dialect::{openai_error::Refusal, openai_form, whip},
    error::ApiError,
    microphone::Taken,
    socket::IDLE_TIMEOUT,
    webrtc::Entry,
};

/// An offer of 64 KiB, and a session with its functions.
const BODY_BYTES_MAX: usize = 512 * 1024;

/// How much of a field's name is repeated in a message.
const NAME_CHARS_MAX: usize = 60;

/// The routes.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/realtime/calls", post(create).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
        .route("/v1/realtime/calls/{id}", delete(hang_up))
        .route("/v1/realtime/calls/{id}/hangup", post(hang_up))
        .route("/v1/realtime/calls/{id}/accept", post(no_telephone))
        .route("/v1/realtime/calls/{id}/reject", post(no_telephone))
        .route("/v1/realtime/calls/{id}/refer", post(no_telephone))
}

async fn create(State(app): State<App>, Query(asked): Query<Asked>, request: Request) -> Result<Response, Refusal> {
    let (session, tag) = accept(&app, &asked, request.headers())?;
    let (sdp, wanted) = timeout(IDLE_TIMEOUT, read(request)).await.unwrap_or_else(|_| {
        let why = format!("The request took longer than {} seconds.", IDLE_TIMEOUT.as_secs());
        Err(Refusal::request(StatusCode::REQUEST_TIMEOUT, "timeout", why))
    })?;
    let (session, idle) = match wanted {
        None => (session, Vec::new()),
        Some(wanted) => {
            session.update(&wanted, false).map_err(|Refused { code, param, why }| Refusal::value(&param, code, why))?
        }
    };
    let offer = Offer::read(&sdp).map_err(|error| of_offer(error.into()))?;
    if !offer.has_channel {
        let why = "The offer has no data channel, which events need: create one before the offer, \
                   as by pc.createDataChannel(\"oai-events\").";
        return Err(Refusal::value("sdp", "no_data_channel", why));
    }
    let text_bytes_max = offer.text_bytes_max;
    let asked = peer::Asked { session: session.over_track(), tag, idle, text_bytes_max };
    begin(&app, offer, asked).await
}

/// Answers the offer, and starts the caller's task.
async fn begin(app: &App, offer: Offer, asked: peer::Asked) -> Result<Response, Refusal> {
    let of_server = |error: ApiError| Refusal::from(&error);
    // What is missing now is better told now, though it is taken when the caller is connected.
    if app.ears().is_ok() {
        drop(app.admission().stream().map_err(of_server)?);
    }
    if asked.session.kind == Kind::Realtime {
        app.voices().map_err(of_server)?;
    }
    call::language(app, asked.session.language()).map_err(of_server)?;
    let room = open_room(app).map_err(of_server)?;
    // Nobody is in it until the caller is connected, and a server that is full closes rooms in which nobody is.
    let hold = room.hold();
    match answer(app, &room, offer).await {
        Ok((entry, texts, lines, sdp)) => {
            let kind = HeaderValue::from_static(whip::SDP);
            let headers = [(header::CONTENT_TYPE, kind), (header::LOCATION, whip::location(&entry))];
            let serving = run(app.clone(), room, entry, texts, lines, asked);
            tokio::spawn(async move {
                let _hold = hold;
                serving.await;
            });
            Ok((StatusCode::CREATED, headers, sdp).into_response())
        }
        Err(error) => {
            room.close().await;
            Err(if error.status.is_client_error() { of_offer(error) } else { Refusal::from(&error) })
        }
    }
}

/// A caller that was answered: its place, what it says, its sound, and the answer.
type Answered = (Entry, mpsc::Receiver<String>, Lines, String);

async fn answer(app: &App, room: &RoomHandle, offer: Offer) -> Result<Answered, ApiError> {
    let direction = offer.audio.direction;
    let (leg, outgoing) = whip::leg(offer.audio, *room.epoch())?;
    let sound = Sound { incoming: leg.packets, outgoing: direction.is_receiving().then_some(outgoing) };
    let (entry, texts, sdp) = whip::connect(app, CALLS.to_owned(), offer, sound).await?;
    let lines = Lines {
        way: Way::Webrtc,
        source: direction.is_sending().then(|| Box::new(leg.receive) as _),
        sink: direction.is_receiving().then(|| Box::new(leg.send) as _),
        taken: Arc::new(Taken::default()),
        mix: None,
    };
    Ok((entry, texts, lines, sdp))
}

async fn hang_up(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    let session = app.webrtc().session(CALLS, &id).filter(|session| !session.peer.state().borrow().is_over());
    let session = session.ok_or_else(|| {
        Refusal::request(StatusCode::NOT_FOUND, "call_not_found", "There is no such call, or it is over.")
    })?;
    session.peer.close();
    // An error means that it is over already.
    let _ = session.peer.state().wait_for(|state| state.is_over()).await;
    Ok(StatusCode::OK)
}

/// Calls that ring come by telephone, and those are answered by what `[[numbers]]` says.
async fn no_telephone() -> Refusal {
    let why = "No call waits to be accepted, rejected or referred here: calls over WebRTC are answered at once, and the \
               telephone's by what [[numbers]] says.";
    Refusal::request(StatusCode::NOT_FOUND, "call_not_found", why)
}

/// The offer of a request, and the session where one is sent along.
async fn read(request: Request) -> Result<(Bytes, Option<Value>), Refusal> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        whip::SDP => Bytes::from_request(request, &()).await.map(|sdp| (sdp, None)).map_err(|rejection| {
            let code = if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE { "too_large" } else { "invalid_body" };
            Refusal::request(rejection.status(), code, rejection.body_text())
        }),
        "multipart/form-data" => read_form(request).await,
        _ => {
            let why = "Send the offer as application/sdp, or as multipart/form-data with the fields sdp and session.";
            Err(Refusal::request(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", why))
        }
    }
}

async fn read_form(request: Request) -> Result<(Bytes, Option<Value>), Refusal> {
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|rejection| Refusal::request(StatusCode::BAD_REQUEST, "invalid_form", rejection.body_text()))?;
    let (mut sdp, mut session) = (None, None);
    while let Some(field) = form.next_field().await.map_err(|error| openai_form::broken(&error))? {
        let name: String = field.name().unwrap_or_default().chars().take(NAME_CHARS_MAX).collect();
        let value = field.bytes().await.map_err(|error| openai_form::broken(&error))?;
        match name.as_str() {
            "sdp" => sdp = Some(value),
            "session" => {
                let read = serde_json::from_slice(&value);
                session = Some(read.map_err(|error| {
                    Refusal::value("session", "invalid_json", format!("Expected a session in JSON: {error:.200}"))
                })?);
            }
            _ => return Err(Refusal::value(&name, "unknown_parameter", "The form has the fields sdp and session.")),
        }
    }
    let missing = || Refusal::value("sdp", "missing_required_parameter", "You must provide sdp: the offer.");
    Ok((sdp.ok_or_else(missing)?, session))
}

/// What is wrong with an offer.
fn of_offer(error: ApiError) -> Refusal {
    Refusal { param: Some("sdp".to_owned()), ..Refusal::from(&error) }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http};

    use super::*;

    async fn body(kind: &str, body: &str) -> Result<(Bytes, Option<Value>), Refusal> {
        read(http::Request::builder().header("content-type", kind).body(Body::from(body.to_owned())).unwrap()).await
    }

    fn form(fields: &[(&str, &str)]) -> String {
        let part = |(name, value): &(&str, &str)| {
            format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        fields.iter().map(part).collect::<String>() + "--X--\r\n"
    }

    #[tokio::test]
    async fn an_offer_comes_as_it_is_or_with_a_session_in_a_form() {
        let (sdp, session) = body("Application/SDP; charset=utf-8", "v=0").await.unwrap();
        assert_eq!((&sdp[..], session), (&b"v=0"[..], None));
        let fields = form(&[("sdp", "v=0\r\n"), ("session", r#"{"type": "realtime"}"#)]);
        let (sdp, session) = body("multipart/form-data; boundary=X", &fields).await.unwrap();
        assert_eq!((&sdp[..], session.unwrap()["type"].as_str()), (&b"v=0\r\n"[..], Some("realtime")));
    }

    #[tokio::test]
    async fn a_request_of_another_shape_is_refused_by_its_field() {
        let of = "multipart/form-data; boundary=X";
        for (kind, text, code, param) in [
            ("application/json", "{}".to_owned(), "unsupported_media_type", None),
            ("", String::new(), "unsupported_media_type", None),
            ("multipart/form-data", form(&[]), "invalid_form", None),
            (of, "nonsense".to_owned(), "invalid_form", None),
            (of, form(&[("session", "{}")]), "missing_required_parameter", Some("sdp")),
            (of, form(&[("sdp", "v=0"), ("session", "nonsense")]), "invalid_json", Some("session")),
            (of, form(&[("sdp", "v=0"), ("song", "la")]), "unknown_parameter", Some("song")),
        ] {
            let refusal = body(kind, &text).await.err().unwrap_or_else(|| panic!("{kind} {text} is fine"));
            assert_eq!((refusal.code.as_deref(), refusal.param.as_deref()), (Some(code), param), "{kind} {text}");
        }
    }
}
