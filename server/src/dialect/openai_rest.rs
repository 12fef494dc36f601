//! OpenAI's REST dialect: `/v1/audio/transcriptions`, `/v1/audio/translations`, `/v1/models`.
//!
//! Its SDKs work unchanged with this server as their base URL. The handlers are thin: [`openai_form`] reads the
//! upload, [`openai_params`] says what is wanted, [`crate::transcribe`] does the work, [`openai_body`] writes
//! the answer. A client that goes away takes its work with it. Runs on tokio's tasks.

use std::{collections::VecDeque, convert::Infallible, io::Cursor};

use asr::{
    diarize::{Diarization, print::VoicePrint},
    pool::Ears,
};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRequest, Multipart, Path, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures_util::stream::unfold;
use media::{decode::file::Decoder, ears::Listen};
use serde_json::{Value, json};

use super::{
    openai_body::{self, Body},
    openai_error::Refusal,
    openai_form,
    openai_params::{self, KnownSpeaker, Params, ResponseFormat, SPEAKER_REFERENCES},
};
use crate::{
    admission::Place,
    app::App,
    error::ApiError,
    known_voices::enrol,
    transcribe::{self, Job, Running, TranscribeError, Update},
    transcript::Transcript,
};

/// The routes of this dialect.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1/audio/transcriptions", post(transcriptions).layer(DefaultBodyLimit::disable()))
        .route("/v1/audio/translations", post(translations).layer(DefaultBodyLimit::disable()))
        .route("/v1/models", get(models))
        .route("/v1/models/{id}", get(model))
        .layer(map_response(name_request))
}

/// A refusal of any other part of the server, in this dialect's shape.
pub fn respell(error: &ApiError) -> Response {
    Refusal::from(error).into_response()
}

impl From<&ApiError> for Refusal {
    fn from(error: &ApiError) -> Self {
        let message = match &error.hint {
            Some(hint) => format!("{}: {hint}", error.message),
            None => error.message.clone(),
        };
        let code = if error.status == StatusCode::UNAUTHORIZED { "invalid_api_key" } else { error.code };
        Self { retry_after_s: error.retry_after_s.map(u64::from), ..Self::request(error.status, code, message) }
    }
}

async fn transcriptions(State(app): State<App>, request: Request) -> Result<Response, Refusal> {
    // The place is taken before the upload is read: a full server says so at once.
    let place = app.admission().stream().map_err(|error| Refusal::from(&error))?;
    let ears = ears(&app)?;
    let multipart = Multipart::from_request(request, &()).await.map_err(|rejection| {
        Refusal::request(
            StatusCode::BAD_REQUEST,
            "invalid_form",
            format!("Send the recording as multipart/form-data: {}.", rejection.body_text()),
        )
    })?;
    let form = openai_form::read(multipart, app.config().limits.upload_bytes_max).await?;
    let params = Params::parse(&form.fields, ears.info())?;
    let by_speaker = params.format == ResponseFormat::DiarizedJson;
    let job = Job {
        hints: params.hints.clone(),
        listen: if by_speaker { Listen::PerChannel } else { Listen::Mixed },
        speakers: by_speaker,
        endpointing_ms: params.endpointing_ms,
        ..Job::new(form.file, app.clock().today())
    };
    let job = match by_speaker {
        true => {
            let known = known(&app, &params.speakers).await?;
            Job { voices: super::voices(&app, Diarization { known, expected: None }).await, ..job }
        }
        false => job,
    };
    let ignored = params.ignored.join(", ");
    let mut response = if params.stream {
        let running = transcribe::start(ears, job).await?;
        stream(running, params, place).into_response()
    } else {
        let transcript = transcribe::transcribe(ears, job, |_| {}).await?;
        let subtitles = params.format == ResponseFormat::Vtt;
        match openai_body::whole(&transcript, &params) {
            Body::Json(value) => Json(value).into_response(),
            Body::Text(text) if subtitles => {
                ([(header::CONTENT_TYPE, "text/vtt; charset=utf-8")], text).into_response()
            }
            Body::Text(text) => text.into_response(),
        }
    };
    if let Some(ignored) = HeaderValue::try_from(ignored).ok().filter(|names| !names.is_empty()) {
        response.headers_mut().insert(IGNORED, ignored);
    }
    Ok(response)
}

/// What the voices sound like of those whom the client names.
async fn known(app: &App, speakers: &[KnownSpeaker]) -> Result<Vec<VoicePrint>, Refusal> {
    let mut prints = Vec::new();
    for KnownSpeaker { recording, .. } in speakers {
        let (app, recording) = (app.clone(), recording.clone());
        let heard = tokio::task::spawn_blocking(move || {
            enrol::print(app.config(), Decoder::open(Cursor::new(recording)).map_err(enrol::Failed::from)?)
        });
        let place = prints.len() + 1;
        let print =
            heard.await.map_err(|_| Refusal::from(&ApiError::internal("a recording could not be listened to")))?;
        prints.push(print.map_err(|failed| unheard(place, &failed))?);
    }
    Ok(prints)
}

/// Why nobody can be known by a recording.
fn unheard(place: usize, failed: &enrol::Failed) -> Refusal {
    if failed.is_recordings() {
        let message = format!("Recording {place} of known speakers will not do: {failed}.");
        return Refusal::value(SPEAKER_REFERENCES, "invalid_audio", message);
    }
    tracing::warn!(%failed, "nobody can be known by their voice");
    if let enrol::Failed::Model(broken) = failed {
        let message = format!("Voices cannot be known here: {broken}.");
        return Refusal::value(SPEAKER_REFERENCES, "unsupported_parameter", message);
    }
    Refusal::from(&ApiError::internal("a recording could not be listened to"))
}

/// Every recognizer here writes down what is said in the language in which it is said, Whisper included.
async fn translations(State(app): State<App>) -> Result<Response, Refusal> {
    let ears = ears(&app)?;
    Err(Refusal::request(
        StatusCode::BAD_REQUEST,
        "unsupported_operation",
        format!(
            "This server does not translate: {} writes what is said in its own language; use /v1/audio/transcriptions.",
            ears.info().model
        ),
    ))
}

async fn models(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    let info = ears(&app)?.info();
    let data: Vec<Value> = openai_params::models(info).map(|name| describe(name, info)).collect();
    Ok(Json(json!({"object": "list", "data": data})))
}

async fn model(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let info = ears(&app)?.info();
    openai_params::models(info)
        .find(|name| *name == id)
        .map(|name| Json(describe(name, info)))
        .ok_or_else(|| Refusal::model(&id))
}

fn ears(app: &App) -> Result<&Ears, Refusal> {
    app.ears().map_err(|missing| Refusal::from(&ApiError::from(&missing)))
}

fn describe(name: &str, engine: &asr::recognizer::Info) -> Value {
    let is_alias = name != engine.model;
    let owner = match (is_alias, engine.engine) {
        (false, "moonshine") => "useful-sensors",
        (false, "whisper") => "openai",
        _ => "harmony",
    };
    // The files do not say when they were made; SDKs insist on a number.
    let mut model = json!({"id": name, "object": "model", "created": 0, "owned_by": owner});
    if is_alias {
        model["alias_of"] = engine.model.clone().into();
    }
    model
}

/// A segment an event, as they are recognized, or at the end where voices say who speaks; then the whole text, or the error
/// that ended it.
fn stream(running: Running, params: Params, place: Place) -> impl IntoResponse {
    let told = Told {
        running,
        params,
        text: String::new(),
        words: Vec::new(),
        segments: 0,
        rest: VecDeque::new(),
        over: false,
        _place: place,
    };
    let events = unfold(told, |mut told| async move { told.next().await.map(|event| (event, told)) });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// What a stream has told so far.
struct Told {
    running: Running,
    params: Params,
    text: String,
    words: Vec<asr::event::Word>,
    segments: usize,
    /// What is still to be told once all was heard.
    rest: VecDeque<Value>,
    over: bool,
    _place: Place,
}

impl Told {
    async fn next(&mut self) -> Option<Result<Event, Infallible>> {
        if self.over && self.rest.is_empty() {
            return None;
        }
        let value = loop {
            if let Some(value) = self.rest.pop_front() {
                break value;
            }
            match self.running.next().await? {
                Ok(Update::Progress(_) | Update::Partial { .. }) => {}
                // Whose they are is known at the end.
                Ok(Update::Segment(_)) if self.running.tells_voices() => {}
                Ok(Update::Segment(segment)) => {
                    let value = openai_body::event(&segment, self.segments, self.running.speakers(), &self.params);
                    self.segments += 1;
                    if !self.text.is_empty() {
                        self.text.push(' ');
                    }
                    self.text.push_str(&segment.text());
                    if self.params.logprobs {
                        self.words.extend(segment.words);
                    }
                    break value;
                }
                Ok(Update::Done(transcript)) => {
                    self.over = true;
                    self.tell_rest(&transcript);
                }
                Err(error) => {
                    self.over = true;
                    break Refusal::from(error).body();
                }
            }
        };
        let name = value["type"].as_str().unwrap_or("error").to_owned();
        Some(Ok(Event::default().event(name).data(value.to_string())))
    }

    /// The segments whose speakers were waited for, and the end.
    fn tell_rest(&mut self, transcript: &Transcript) {
        if self.segments == 0 && self.text.is_empty() {
            self.text = transcript.text();
            let segments = transcript.in_order().into_iter().enumerate();
            let params = &self.params;
            self.rest
                .extend(segments.map(|(at, segment)| openai_body::event(segment, at, transcript.speakers, params)));
        }
        self.rest.push_back(openai_body::done(transcript, &self.text, &self.words, &self.params));
    }
}

impl From<TranscribeError> for Refusal {
    fn from(error: TranscribeError) -> Self {
        match error {
            TranscribeError::Full(refused) => Self::from(&ApiError::full(refused.to_string())),
            TranscribeError::Closing => Self::from(&ApiError::draining()),
            TranscribeError::Language { .. } => Self::value("language", "unsupported_language", sentence(&error)),
            error if error.is_senders() => Self::value("file", "invalid_audio", sentence(&error)),
            error => {
                tracing::error!(%error, "a recording could not be transcribed");
                Self::from(&ApiError::internal("the recording could not be transcribed"))
            }
        }
    }
}

/// The error as a sentence of its own.
fn sentence(error: &TranscribeError) -> String {
    format!("The recording cannot be transcribed: {error}.")
}

/// Gives the answer a name that a client can quote.
pub(super) async fn name_request(mut response: Response) -> Response {
    let id = format!("req_{}", uuid::Uuid::new_v4().simple());
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Where OpenAI's SDKs look for the name of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names the fields that were understood and have no effect here.
pub(super) const IGNORED: HeaderName = HeaderName::from_static("harmony-ignored");

#[cfg(test)]
mod tests {
    use asr::{diarize::print::EnrolError, recognizer};

    use super::*;

    #[test]
    fn a_recording_that_makes_no_print_is_refused_by_whose_fault_it_is() {
        let silent = unheard(2, &EnrolError::Silent.into());
        assert_eq!((silent.status, silent.code.as_deref()), (StatusCode::BAD_REQUEST, Some("invalid_audio")));
        assert_eq!(silent.param.as_deref(), Some(SPEAKER_REFERENCES));
        let engine = unheard(1, &EnrolError::Engine(recognizer::Error::Engine("out of memory".to_owned())).into());
        assert_eq!(engine.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
