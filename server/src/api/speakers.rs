//! `/api/speakers`: people whose voices are known. Enrolling them, listing them without their prints, erasing them.
//!
//! A recording comes in a form or as a data URL in JSON, is listened to once, and is kept nowhere.

use std::io::Cursor;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, FromRequest as _, Multipart, Path, Request, State,
        multipart::{Field, MultipartError},
    },
    http::{StatusCode, header},
    routing::{delete, get},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use media::decode::file::Decoder;
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    cli, engine,
    error::ApiError,
    known_voices::{
        Error, KnownVoices, Shown, Wish,
        enrol::{self, Failed},
    },
    socket::IDLE_TIMEOUT,
};

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/api/speakers", get(list).post(add).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
        .route("/api/speakers/{id}", delete(erase))
}

/// Two minutes of 48 kHz in 16 bits are 11 MB, and a third more in JSON.
const BODY_BYTES_MAX: usize = 17 << 20;

#[derive(Debug, Serialize)]
struct Listed {
    /// What tells voices apart here.
    model: Option<&'static str>,
    speakers: Vec<Shown>,
    /// Files that hold nobody who can be read.
    damaged: Vec<String>,
}

async fn list(State(app): State<App>) -> Result<Json<Listed>, ApiError> {
    blocking(move || {
        let found = voices(&app)?.list().map_err(refused)?;
        let model = engine::voice_kind(app.config()).map(asr::diarize::VoiceKind::name);
        let speakers = found.people.iter().map(|person| person.shown(model)).collect();
        Ok(Json(Listed { model, speakers, damaged: found.damaged }))
    })
    .await
}

async fn add(State(app): State<App>, request: Request) -> Result<(StatusCode, Json<Shown>), ApiError> {
    // A client that stops in the middle would hold its place for ever.
    let read = tokio::time::timeout(IDLE_TIMEOUT, read(request)).await.map_err(|_| {
        let message = format!("the body did not come within {} seconds", IDLE_TIMEOUT.as_secs());
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    })?;
    let Body { name, consent, audio } = read?;
    let wish = Wish::new(&name, &consent).map_err(|bad| ApiError::bad_request("bad_speaker", bad.to_string()))?;
    let now = jiff::Timestamp::try_from(app.clock().wall()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let shown = blocking(move || {
        let voices = voices(&app)?;
        let recording = Decoder::open(Cursor::new(audio)).map_err(|error| not_enrolled(error.into()))?;
        let print = enrol::print(app.config(), recording).map_err(not_enrolled)?;
        let model = print.model.clone();
        let person = voices.add(wish, print, now).map_err(refused)?;
        Ok(person.shown(Some(&model)))
    })
    .await?;
    tracing::info!(speaker = %shown.id, "a voice is known");
    Ok((StatusCode::CREATED, Json(shown)))
}

async fn erase(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    blocking(move || voices(&app)?.erase(&id).map_err(refused)).await?;
    tracing::info!("a voice was erased");
    Ok(StatusCode::NO_CONTENT)
}

fn voices(app: &App) -> Result<KnownVoices, ApiError> {
    let missing = |error: cli::NoDataDir| ApiError::full("this server keeps no voices").hint(error.to_string());
    Ok(KnownVoices::at(&cli::data_dir(app.config()).map_err(missing)?))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "looking after known voices broke");
        Err(ApiError::internal("looking after known voices broke"))
    })
}

/// Somebody, as they are sent.
#[derive(Debug, Default, PartialEq, Eq)]
struct Body {
    name: String,
    consent: String,
    audio: Bytes,
}

async fn read(request: Request) -> Result<Body, ApiError> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/json" => {
            let body = Bytes::from_request(request, &()).await;
            of_json(&body.map_err(|rejection| unread(rejection.status(), rejection.body_text()))?)
        }
        "multipart/form-data" => {
            let form = Multipart::from_request(request, &()).await;
            of_form(form.map_err(|rejection| unread(rejection.status(), rejection.body_text()))?).await
        }
        _ => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "somebody is sent as multipart/form-data or application/json",
        )
        .hint(FIELDS)),
    }
}

const FIELDS: &str = "send name, consent (how it was given) and audio (a recording; in JSON a data URL in base64)";

fn of_json(body: &[u8]) -> Result<Body, ApiError> {
    #[derive(Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Sent {
        name: String,
        consent: String,
        audio: String,
    }
    let Sent { name, consent, audio } = serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request("bad_json", brief(&error.to_string())).hint(FIELDS))?;
    let data = audio.strip_prefix("data:").and_then(|rest| rest.split_once(','));
    let data =
        data.filter(|(kind, _)| kind.ends_with(";base64")).and_then(|(_, data)| STANDARD.decode(data.trim()).ok());
    let audio = data.ok_or_else(|| {
        ApiError::bad_request("bad_audio", "audio is no data URL").hint("send data:audio/wav;base64,… as audio")
    })?;
    Ok(Body { name, consent, audio: audio.into() })
}

/// The message repeats what was sent in the wrong place, which may be a recording.
fn brief(message: &str) -> String {
    message.chars().take(200).collect()
}

async fn of_form(mut form: Multipart) -> Result<Body, ApiError> {
    let mut body = Body::default();
    while let Some(field) = form.next_field().await.map_err(broken)? {
        let name: String = field.name().unwrap_or_default().chars().take(60).collect();
        match name.as_str() {
            "name" => body.name = text(field).await?,
            "consent" => body.consent = text(field).await?,
            "audio" => body.audio = field.bytes().await.map_err(broken)?,
            _ => return Err(ApiError::bad_request("bad_form", format!("there is no field {name}")).hint(FIELDS)),
        }
    }
    Ok(body)
}

async fn text(field: Field<'_>) -> Result<String, ApiError> {
    let bytes = field.bytes().await.map_err(broken)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn broken(error: MultipartError) -> ApiError {
    unread(error.status(), error.body_text())
}

fn unread(status: StatusCode, why: String) -> ApiError {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::too_large(BODY_BYTES_MAX as u64).hint("half a minute of somebody speaking is enough");
    }
    ApiError::new(status, "bad_body", why).hint(FIELDS)
}

fn not_enrolled(failed: Failed) -> ApiError {
    if failed.is_recordings() {
        return ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_recording", failed.to_string());
    }
    if let Failed::Model(broken) = &failed {
        let message = "this server cannot tell voices apart";
        return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_voice_model", message).hint(broken.to_string());
    }
    tracing::error!(error = %failed, "a voice was not heard");
    ApiError::internal("the recording was not heard")
}

fn refused(error: Error) -> ApiError {
    match error {
        Error::Full => ApiError::new(StatusCode::CONFLICT, "too_many_speakers", error.to_string()),
        Error::Unknown { ref id } => {
            ApiError::not_found(format!("there is no speaker {id}")).hint("GET /api/speakers lists those there are")
        }
        Error::Read { .. } | Error::Write { .. } | Error::Random => {
            tracing::error!(%error, "known voices cannot be read or kept");
            ApiError::internal("known voices cannot be read or kept")
        }
    }
}

#[cfg(test)]
mod tests {
    use asr::diarize::print::EnrolError;
    use axum::{body, http};

    use super::*;

    async fn sent(kind: &str, body: String) -> Result<Body, ApiError> {
        read(http::Request::builder().header("content-type", kind).body(body::Body::from(body)).unwrap()).await
    }

    fn form(fields: &[(&str, &str)]) -> String {
        let part = |(name, value): &(&str, &str)| {
            format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        fields.iter().map(part).collect::<String>() + "--X--\r\n"
    }

    #[tokio::test]
    async fn somebody_comes_in_a_form_or_as_json() {
        let ada = Body { name: "Ada".to_owned(), consent: "signed".to_owned(), audio: Bytes::from_static(b"RIFF") };
        let fields = form(&[("name", "Ada"), ("consent", "signed"), ("audio", "RIFF")]);
        assert_eq!(sent("multipart/form-data; boundary=X", fields).await, Ok(ada));
        let ada = Body { name: "Ada".to_owned(), consent: "signed".to_owned(), audio: Bytes::from_static(b"RIFF") };
        let json = r#"{"name": "Ada", "consent": "signed", "audio": "data:audio/wav;base64,UklGRg=="}"#;
        assert_eq!(sent("Application/JSON; charset=utf-8", json.to_owned()).await, Ok(ada));
    }

    #[tokio::test]
    async fn what_is_sent_otherwise_is_refused_with_what_to_send() {
        for (kind, text, code) in [
            ("text/plain", "Ada".to_owned(), "unsupported_media_type"),
            ("", String::new(), "unsupported_media_type"),
            ("multipart/form-data", form(&[]), "bad_body"),
            ("multipart/form-data; boundary=X", "nonsense".to_owned(), "bad_body"),
            ("multipart/form-data; boundary=X", form(&[("print", "1")]), "bad_form"),
            ("application/json", "nonsense".to_owned(), "bad_json"),
            ("application/json", r#"{"print": [1]}"#.to_owned(), "bad_json"),
            ("application/json", r#"{"name": "Ada", "consent": "signed"}"#.to_owned(), "bad_audio"),
            ("application/json", r#"{"audio": "https://example.com/a.wav"}"#.to_owned(), "bad_audio"),
            ("application/json", r#"{"audio": "data:audio/wav,RIFF"}"#.to_owned(), "bad_audio"),
            ("application/json", r#"{"audio": "data:audio/wav;base64,!"}"#.to_owned(), "bad_audio"),
        ] {
            let refusal = sent(kind, text.clone()).await.unwrap_err();
            assert_eq!((refusal.code, refusal.hint.is_some()), (code, true), "{kind}: {text}");
        }
    }

    #[test]
    fn a_refusal_says_whose_fault_it_is() {
        let status = |failed: Failed| not_enrolled(failed).status;
        assert_eq!(status(EnrolError::Clipped.into()), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(status(media::decode::DecodeError::Empty.into()), StatusCode::UNPROCESSABLE_ENTITY);
        let model = engine::Broken::Model(crate::models::Unusable::Unknown { model: "voice".to_owned() });
        assert_eq!(status(model.into()), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused(Error::Full).status, StatusCode::CONFLICT);
        assert_eq!(refused(Error::Unknown { id: "sp_1".to_owned() }).status, StatusCode::NOT_FOUND);
    }
}
