//! OpenAI's speech: `POST /v1/audio/speech`, text in, sound out while it is spoken.
//!
//! The handler is thin: [`Wanted`] reads what is asked for and is pure, [`super::spoken`] speaks. Formats are `wav`,
//! `pcm` (24 kHz), `opus` and `flac`; `mp3` and `aac` are refused, since nothing here makes them, and whoever names no
//! format is given WAV and told so by its media type. Source: the parameters and events of OpenAI's public SDKs.

use std::convert::Infallible;

use axum::{
    Router,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::{HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::post,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::stream::unfold;
use serde::Deserialize;
use serde_json::{Value, json};
use tts::{
    utterance::CHARS_MAX,
    voice::{Language, Speaker, VoiceId, choose},
};

use super::{
    openai_error::Refusal,
    openai_rest,
    spoken::{self, NotSpoken, Spoken},
};
use crate::{
    app::App,
    encode::{Coding, Format, OPUS_HZ},
};

/// The route of this part.
pub(crate) fn routes() -> Router<App> {
    let speech = post(speech).layer(DefaultBodyLimit::max(spoken::BODY_BYTES_MAX));
    Router::new().route("/v1/audio/speech", speech).layer(map_response(openai_rest::name_request))
}

/// What `pcm` is.
const PCM_HZ: u32 = 24_000;

async fn speech(State(app): State<App>, body: Result<Bytes, BytesRejection>) -> Result<Response, Refusal> {
    let body = body.map_err(|rejection| Refusal::request(rejection.status(), "invalid_body", rejection.body_text()))?;
    let wanted = Wanted::parse(&body)?;
    let utterance = spoken::utterance(wanted.voice, &wanted.input, wanted.speed);
    let spoken = Spoken::begin(&app, &utterance, wanted.format, spoken::OPUS_BPS).await?;
    let mut response = if wanted.events {
        Sse::new(unfold(Told::new(spoken, wanted.input.len()), |mut told| async move {
            told.next().await.map(|event| (event, told))
        }))
        .keep_alive(KeepAlive::default())
        .into_response()
    } else {
        let mut response = spoken.body().into_response();
        let kind =
            HeaderValue::from_str(&media_type(wanted.format)).unwrap_or_else(|_| HeaderValue::from_static("audio/wav"));
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    };
    if let Ok(ignored) = HeaderValue::from_str(&wanted.ignored.join(", "))
        && !wanted.ignored.is_empty()
    {
        response.headers_mut().insert(openai_rest::IGNORED, ignored);
    }
    Ok(response)
}

impl From<NotSpoken> for Refusal {
    fn from(error: NotSpoken) -> Self {
        if error.is_senders() {
            return Self::value("input", "invalid_value", format!("The input cannot be spoken: {error}."));
        }
        Self::from(&error.refusal())
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    input: String,
    voice: VoiceId,
    format: Format,
    speed: f32,
    /// Events rather than the sound itself.
    events: bool,
    /// Fields that were understood and have no effect here.
    ignored: Vec<&'static str>,
}

#[derive(Deserialize)]
struct Wire {
    input: Option<Value>,
    model: Option<Value>,
    voice: Option<Value>,
    response_format: Option<String>,
    speed: Option<f64>,
    stream_format: Option<String>,
    instructions: Option<Value>,
    /// Not OpenAI's: the language, where it is not to be guessed.
    language: Option<String>,
}

impl Wanted {
    fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let wire: Wire = serde_json::from_slice(body).map_err(|error| {
            Refusal::request(StatusCode::BAD_REQUEST, "invalid_json", format!("Send the request as JSON: {error}."))
        })?;
        let Some(Value::String(input)) = wire.input else {
            return Err(Refusal::value("input", "missing", "input must be the text that is to be spoken."));
        };
        if input.chars().count() > CHARS_MAX {
            let why = format!("input has more than {CHARS_MAX} characters: send it in parts.");
            return Err(Refusal::value("input", "string_above_max_length", why));
        }
        if wire.model.is_none() {
            return Err(Refusal::value("model", "missing", "model must be named, such as tts-1; any will do here."));
        }
        let speed = wire.speed.unwrap_or(1.0);
        if !(0.25..=4.0).contains(&speed) {
            return Err(Refusal::value("speed", "invalid_value", "speed is a number from 0.25 to 4."));
        }
        let events = match wire.stream_format.as_deref() {
            None | Some("audio") => false,
            Some("sse") => true,
            Some(other) => return Err(unknown("stream_format", other, "audio or sse")),
        };
        let told = match wire.language.as_deref() {
            None => None,
            Some(tag) => {
                let near = Language::nearest(tag);
                Some(near.ok_or_else(|| unknown("language", tag, "a language that is spoken here"))?.0)
            }
        };
        let ignored = [("model", true), ("instructions", wire.instructions.is_some_and(|text| !text.is_null()))];
        Ok(Self {
            voice: voice(wire.voice, told, &input)?,
            format: format(wire.response_format.as_deref())?,
            speed: speed as f32,
            events,
            ignored: ignored.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect(),
            input,
        })
    }
}

/// Who speaks: OpenAI's names promise a man or a woman and no language, other names mostly both. Where neither the
/// request nor the name says the language, the text does.
fn voice(voice: Option<Value>, told: Option<Language>, input: &str) -> Result<VoiceId, Refusal> {
    let name = match &voice {
        Some(Value::String(name)) => name.as_str(),
        Some(Value::Object(fields)) => fields.get("id").and_then(Value::as_str).unwrap_or_default(),
        _ => "",
    };
    if name.is_empty() {
        return Err(Refusal::value("voice", "missing", "voice must be named, such as alloy."));
    }
    let (speaker, named) = match speaker_of(name) {
        Some(speaker) => (speaker, None),
        None => {
            let found = choose(Some(name), None);
            (found.voice.speaker, found.named)
        }
    };
    Ok(VoiceId { language: told.or(named).unwrap_or_else(|| spoken::language_of(input)), speaker })
}

/// Whom OpenAI's names of voices promise; other names are those that [`choose`] knows.
pub(super) fn speaker_of(name: &str) -> Option<Speaker> {
    match name {
        "ash" | "ballad" | "cedar" | "echo" | "fable" | "onyx" | "verse" => Some(Speaker::Man),
        "alloy" | "coral" | "marin" | "nova" | "sage" | "shimmer" => Some(Speaker::Woman),
        _ => None,
    }
}

/// The media type, with bare samples called as OpenAI calls them.
fn media_type(format: Format) -> String {
    match format {
        Format { coding: Coding::Linear16, is_wav: false, .. } => "audio/pcm".to_owned(),
        format => format.media_type(),
    }
}

fn format(name: Option<&str>) -> Result<Format, Refusal> {
    let plain = |is_wav| Format { coding: Coding::Linear16, is_wav, rate_hz: PCM_HZ };
    match name {
        None | Some("wav") => Ok(plain(true)),
        Some("pcm") => Ok(plain(false)),
        Some("flac") => Ok(Format { coding: Coding::Flac, is_wav: false, rate_hz: PCM_HZ }),
        Some("opus") => Ok(Format { coding: Coding::Opus, is_wav: false, rate_hz: OPUS_HZ }),
        Some(name @ ("mp3" | "aac")) => {
            let why = format!("This server does not make {name}: ask for wav, pcm, opus or flac.");
            Err(Refusal::value("response_format", "unsupported_value", why))
        }
        Some(other) => Err(unknown("response_format", other, "wav, pcm, opus or flac")),
    }
}

fn unknown(param: &'static str, value: &str, known: &str) -> Refusal {
    let value: String = value.chars().take(40).collect();
    Refusal::value(param, "invalid_value", format!("{param} is {known}, not {value:?}."))
}

/// What a stream of events has told so far.
struct Told {
    spoken: Option<Spoken>,
    input_bytes: usize,
    sent_bytes: usize,
}

impl Told {
    fn new(spoken: Spoken, input_bytes: usize) -> Self {
        Self { spoken: Some(spoken), input_bytes, sent_bytes: 0 }
    }

    async fn next(&mut self) -> Option<Result<Event, Infallible>> {
        let value = match self.spoken.as_mut()?.next().await {
            Some(Ok(bytes)) => {
                self.sent_bytes += bytes.len();
                json!({"type": "speech.audio.delta", "audio": BASE64_STANDARD.encode(&bytes)})
            }
            Some(Err(error)) => {
                self.spoken = None;
                Refusal::from(error).body()
            }
            None => {
                self.spoken = None;
                // Nobody counts tokens here; SDKs insist on the numbers, so they are what a token usually is: four
                // letters, and a twentieth of a second of sound.
                let (input, output) = (self.input_bytes.div_ceil(4), self.sent_bytes.div_ceil(2_400));
                json!({"type": "speech.audio.done", "usage": {
                    "input_tokens": input, "output_tokens": output, "total_tokens": input + output,
                }})
            }
        };
        let name = value["type"].as_str().unwrap_or("error").to_owned();
        Some(Ok(Event::default().event(name).data(value.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: Value) -> Result<Wanted, Refusal> {
        Wanted::parse(body.to_string().as_bytes())
    }

    #[test]
    fn what_an_sdk_sends_is_understood() {
        let body = json!({"input": "Guten Tag, Frau Müller.", "model": "tts-1", "voice": "onyx",
            "response_format": "opus", "speed": 1.5, "instructions": "kindly", "stream_format": "sse"});
        let wanted = parse(body).unwrap();
        assert_eq!(wanted.voice, VoiceId { language: Language::GERMAN, speaker: Speaker::Man });
        assert_eq!((wanted.format.coding, wanted.format.rate_hz), (Coding::Opus, 48_000));
        assert_eq!((wanted.speed, wanted.events), (1.5, true));
        assert_eq!(wanted.ignored, ["model", "instructions"]);
        let least = parse(json!({"input": "Hello", "model": "x", "voice": {"id": "Polly.Joanna"}})).unwrap();
        assert_eq!(least.voice, VoiceId { language: Language::ENGLISH_US, speaker: Speaker::Woman });
        assert_eq!(least.format, Format { coding: Coding::Linear16, is_wav: true, rate_hz: 24_000 });
        let told = parse(json!({"input": "Taxi", "model": "x", "voice": "nova", "language": "de-DE"})).unwrap();
        assert_eq!(told.voice.language, Language::GERMAN);
    }

    #[test]
    fn a_text_is_read_in_the_language_that_is_told_or_named_or_its_own() {
        let voice = |voice: &str, input: &str, language: Value| {
            parse(json!({"input": input, "model": "x", "voice": voice, "language": language})).unwrap().voice
        };
        let german = VoiceId { language: Language::GERMAN, speaker: Speaker::Woman };
        assert_eq!(voice("Polly.Marlene", "Taxi", Value::Null), german);
        assert_eq!(voice("woman", "Guten Tag, wie geht es Ihnen", Value::Null), german);
        assert_eq!(voice("nova", "Guten Tag, wie geht es Ihnen", Value::Null), german);
        assert_eq!(voice("Polly.Joanna", "Taxi", json!("de-AT")), german);
        assert_eq!(voice("woman", "Taxi", Value::Null).language, Language::ENGLISH_US);
    }

    #[test]
    fn samples_without_a_header_are_called_as_openai_calls_them() {
        assert_eq!(media_type(format(Some("pcm")).unwrap()), "audio/pcm");
        assert_eq!(media_type(format(Some("wav")).unwrap()), "audio/wav");
        assert_eq!(media_type(format(Some("flac")).unwrap()), "audio/flac");
    }

    #[test]
    fn what_cannot_be_had_names_its_field() {
        let with = |field: &str, value: Value| {
            let mut body = json!({"input": "Hello", "model": "tts-1", "voice": "alloy"});
            body[field] = value;
            parse(body).unwrap_err()
        };
        for (field, value) in [
            ("input", Value::Null),
            ("input", json!(5)),
            ("input", json!("x".repeat(5_000))),
            ("model", Value::Null),
            ("voice", Value::Null),
            ("voice", json!({})),
            ("response_format", json!("mp3")),
            ("response_format", json!("midi")),
            ("speed", json!(9.0)),
            ("stream_format", json!("video")),
            ("language", json!("tlh")),
        ] {
            let refusal = with(field, value.clone());
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
            assert_eq!(refusal.param.as_deref(), Some(field), "{value}");
        }
        assert_eq!(Wanted::parse(b"{").unwrap_err().code.as_deref(), Some("invalid_json"));
        assert_eq!(Wanted::parse(b"\xff").unwrap_err().code.as_deref(), Some("invalid_json"));
        assert!(with("response_format", json!("mp3")).message.contains("opus"));
    }
}
