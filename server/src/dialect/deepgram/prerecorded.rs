//! `POST /v1/listen`: a recording in the body or behind a URL, its transcript as the answer or to a callback.
//!
//! The shell of the prerecorded door: it takes a place, spools the bytes, has [`crate::transcribe`] do the work
//! and lets [`super::transcript`] write the answer. With a callback the place is held until the work is done, and
//! a second one until the result is delivered, so that what waits to be delivered is bounded too.

use asr::diarize::Diarization;
use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, Query as QueryOf, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use media::ears::Listen;
use serde::Deserialize;
use serde_json::json;

use super::{
    about, message,
    query::{Door, Query},
    reach,
    refusal::Refusal,
    remote::{self, Delivery, Reach, RemoteError},
    spool::{Spooled, spool},
    transcript::{self, Answer},
};
use crate::{
    admission::Place,
    app::App,
    auth::Caller,
    dialect,
    error::ApiError,
    transcribe::{self, Job, TranscribeError},
};

/// The body of a request that points elsewhere.
#[derive(Debug, Deserialize)]
struct Elsewhere {
    url: String,
}

/// The handler.
pub async fn transcribe(
    State(app): State<App>,
    QueryOf(pairs): QueryOf<Vec<(String, String)>>,
    request: Request,
) -> Response {
    let request_id = message::request_id();
    let answered = accept(&app, &pairs, request, &request_id).await;
    let mut response = answered.unwrap_or_else(|refusal| refusal.respond(&request_id));
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("dg-request-id", id);
    }
    response
}

async fn accept(
    app: &App,
    pairs: &[(String, String)],
    request: Request,
    request_id: &str,
) -> Result<Response, Refusal> {
    let ears = app.ears().map_err(|missing| ApiError::from(&missing))?;
    let query = Query::parse(pairs, Door::Prerecorded, ears.info())?;
    let place = app.admission().stream()?;
    let token = match request.extensions().get() {
        Some(Caller::Key(name)) => Some(name.to_string()),
        Some(Caller::Local) | None => None,
    };
    let reach = reach(app);
    if let Some(callback) = &query.callback {
        remote::check(callback, reach).await?;
    }
    let spooled = read(app, &query, request, reach).await?;
    let work = Work { app: app.clone(), query, request_id: request_id.to_owned(), spooled };
    let Some(callback) = work.query.callback.clone() else {
        let answer = work.run(place).await?;
        return Ok(Json(answer).into_response());
    };
    let waiting = app.admission().request()?;
    let accepted = Json(json!({"request_id": request_id}));
    let request_id = request_id.to_owned();
    tokio::spawn(async move {
        let body = match work.run(place).await {
            Ok(answer) => serde_json::to_vec(&answer).expect("plain fields always serialise"),
            Err(refusal) => refusal.body(&request_id).to_string().into_bytes(),
        };
        remote::deliver(Delivery { callback, body: body.into(), request_id, token }, reach).await;
        drop(waiting);
    });
    Ok(accepted.into_response())
}

/// Spools the recording, from the body or from where the body points.
async fn read(app: &App, query: &Query, request: Request, reach: Reach) -> Result<Spooled, Refusal> {
    let bytes_max = app.config().limits.upload_bytes_max;
    if !is_json(request.headers()) {
        return spool(request.into_body().into_data_stream(), query.audio, bytes_max).await;
    }
    let body = Bytes::from_request(request, &())
        .await
        .map_err(|rejection| Refusal { status: rejection.status(), ..Refusal::bad_request(rejection.body_text()) })?;
    let Elsewhere { url } = serde_json::from_slice(&body).map_err(|error| {
        Refusal::bad_request(format!("Content-Type is application/json, but the body is not {{\"url\": …}}: {error}"))
    })?;
    let response = remote::fetch(&url, reach).await?;
    spool(response.bytes_stream().boxed(), query.audio, bytes_max).await
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

impl From<RemoteError> for Refusal {
    fn from(error: RemoteError) -> Self {
        Self { err_code: "REMOTE_CONTENT_ERROR".to_owned(), ..Self::bad_request(error.to_string()) }
    }
}

impl From<TranscribeError> for Refusal {
    fn from(error: TranscribeError) -> Self {
        match error {
            TranscribeError::Full(refused) => ApiError::full(refused.to_string()).into(),
            TranscribeError::Closing => ApiError::draining().into(),
            error if error.is_senders() => Self::bad_request(format!("failed to process audio: {error}")),
            error => {
                tracing::error!(%error, "a recording could not be transcribed");
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the recording could not be transcribed")
                    .into()
            }
        }
    }
}

/// One recording to be transcribed.
struct Work {
    app: App,
    query: Query,
    request_id: String,
    spooled: Spooled,
}

impl Work {
    async fn run(self, place: Place) -> Result<Answer, Refusal> {
        let ears = self.app.ears().map_err(|missing| ApiError::from(&missing))?;
        let metadata = about(&self.query, &self.request_id, self.spooled.sha256, ears.info(), self.app.clock());
        let job = Job {
            hints: self.query.hints.clone(),
            listen: if self.query.multichannel { Listen::PerChannel } else { Listen::Mixed },
            speakers: self.query.diarize,
            ..Job::new(self.spooled.source, self.app.clock().today())
        };
        let job = match self.query.tells_voices() {
            true => Job { voices: dialect::voices(&self.app, Diarization::default()).await, ..job },
            false => job,
        };
        let transcript = transcribe::transcribe(ears, job, |_| {}).await?;
        drop(place);
        Ok(transcript::answer(&transcript, &self.query, metadata))
    }
}
