//! WhisperLive's dialect, at `/whisperlive`: an options frame, then audio; segments come back.
//!
//! Samples are mono at 16 kHz: 32-bit floats unless the options say `int16` or `uint8`. Each answer repeats the
//! last finished segments and ends with the one that is still growing. A full server answers `WAIT` with minutes,
//! wrong options `ERROR`; `END_OF_AUDIO` brings the last words and the close. Where speakers are asked for, a segment is what
//! one voice says; what is repeated later has them as they are known by then. The backend is called
//! `faster_whisper`, since its clients keep their transcript only for that name. Source: WhisperLive's
//! `whisper_live/server.py` and `client.py`. Runs on the connection's task.

use std::{collections::VecDeque, pin::pin, time::Duration};

use asr::{
    diarize::Diarization,
    event::{self, Event, UtteranceId, VoiceRun, Word},
    recognizer::{Hints, Info},
};
use axum::{
    Router,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket, close_code},
    },
    http::StatusCode,
    response::Response,
    routing::get,
};
use bytes::Bytes;
use media::codec::raw::Encoding;
use serde::Deserialize;
use serde_json::{Value, json};

use super::wire::{self, Ended, Incoming, Reader, Writer};
use crate::{
    app::App,
    error::ApiError,
    live::{self, Input, LiveError, LiveEvents, LiveInput, LiveSpec, RoomChoice},
    socket,
};

/// The routes of this dialect.
pub fn routes() -> Router<App> {
    Router::new().route("/whisperlive", get(listen))
}

/// Clients send silence too, so that a silent socket is a dead one.
const IDLE_AFTER: Duration = Duration::from_secs(120);
/// WhisperLive finishes a segment when its text stands still, after about this long.
const ENDPOINTING_MS: u32 = 500;
/// The end of the audio, as a message.
const END: &[u8] = b"END_OF_AUDIO";

async fn listen(State(app): State<App>, upgrade: WebSocketUpgrade) -> Result<Response, ApiError> {
    app.ears().map_err(|missing| ApiError::from(&missing))?;
    Ok(socket::limited(upgrade).on_upgrade(move |socket| run(app, socket)))
}

async fn run(app: App, socket: WebSocket) {
    let (mut writer, mut reader) = wire::split(socket, IDLE_AFTER);
    let (code, reason) = converse(&app, &mut writer, &mut reader).await;
    wire::close(writer, reader, code, &reason).await;
}

/// A close code and its reason.
type Goodbye = (u16, String);

async fn converse(app: &App, writer: &mut Writer, reader: &mut Reader) -> Goodbye {
    let Ok(ears) = app.ears() else { return (close_code::AGAIN, String::new()) };
    let first = tokio::select! {
        first = reader.next() => first,
        () = app.shutdown().cancelled() => return (LiveError::Draining.close_code(), LiveError::Draining.to_string()),
    };
    let text = match first {
        Incoming::Text(text) => text,
        Incoming::Binary(_) => {
            let why = "the first message must be the options, as JSON text";
            say(writer, &status(&Value::Null, "ERROR", why)).await;
            return (close_code::POLICY, why.to_owned());
        }
        Incoming::Ended(ended) => return goodbye(ended),
    };
    let mut options = match Options::parse(&text, ears.info()) {
        Ok(options) => options,
        Err(refused) => {
            say(writer, &status(&refused.uid, "ERROR", &refused.why)).await;
            return (close_code::POLICY, refused.why);
        }
    };
    if options.speakers && !ears.tells_voices() {
        options.warnings.push(NO_VOICES.to_owned());
    }
    let (input, events) = match live::open(app, options.spec()).await {
        Ok(opened) => opened,
        Err(error) => {
            say(writer, &refusal(&options.uid, &error)).await;
            return (close_code::AGAIN, error.to_string());
        }
    };
    for warning in &options.warnings {
        say(writer, &status(&options.uid, "WARNING", warning)).await;
    }
    say(writer, &json!({"uid": options.uid, "message": "SERVER_READY", "backend": "faster_whisper"})).await;

    let mut segments = Segments::new(&options);
    let ending = {
        let mut hearing = pin!(hear(app, reader, input, options.format));
        let mut speaking = pin!(speak(writer, events, &mut segments));
        tokio::select! {
            ending = &mut hearing => { speaking.await; ending }
            () = &mut speaking => hearing.await,
        }
    };
    match ending {
        Ending::Done => (close_code::NORMAL, String::new()),
        Ending::Draining => {
            say(writer, &json!({"uid": options.uid, "message": "DISCONNECT"})).await;
            (LiveError::Draining.close_code(), LiveError::Draining.to_string())
        }
        Ending::Ended(Ended::Idle) => {
            say(writer, &json!({"uid": options.uid, "message": "DISCONNECT"})).await;
            goodbye(Ended::Idle)
        }
        Ending::Ended(ended) => goodbye(ended),
        Ending::Garbage => {
            let why = "expected audio or END_OF_AUDIO";
            say(writer, &status(&options.uid, "ERROR", why)).await;
            (close_code::POLICY, why.to_owned())
        }
        Ending::Failed(why) => {
            say(writer, &status(&options.uid, "ERROR", &why)).await;
            (close_code::ERROR, why)
        }
    }
}

/// Why the audio ended.
enum Ending {
    Done,
    Draining,
    Garbage,
    Failed(String),
    Ended(Ended),
}

fn goodbye(ended: Ended) -> Goodbye {
    match ended {
        Ended::Gone => (close_code::NORMAL, String::new()),
        Ended::Idle => (close_code::NORMAL, "nothing arrived for too long".to_owned()),
        Ended::Unreadable(code, reason) => (code, reason.to_owned()),
    }
}

async fn hear(app: &App, reader: &mut Reader, mut input: LiveInput, format: Format) -> Ending {
    let ending = loop {
        let incoming = tokio::select! {
            incoming = reader.next() => incoming,
            () = app.shutdown().cancelled() => break Ending::Draining,
        };
        match incoming {
            Incoming::Binary(bytes) if bytes == END => break Ending::Done,
            Incoming::Binary(bytes) => {
                if let Err(error) = input.push(format.readable(bytes)).await {
                    break Ending::Failed(error.to_string());
                }
            }
            Incoming::Text(text) if text.as_bytes() == END => break Ending::Done,
            Incoming::Text(_) => break Ending::Garbage,
            Incoming::Ended(ended) => break Ending::Ended(ended),
        }
    };
    match (input.finish().await, ending) {
        (Err(error), Ending::Done) => Ending::Failed(error.to_string()),
        (_, ending) => ending,
    }
}

/// Writes what was heard until there is no more, whether the client still reads or not: the room hears it too.
async fn speak(writer: &mut Writer, mut events: LiveEvents, segments: &mut Segments) {
    let mut gone = false;
    while let Some((_, event)) = events.next().await {
        for message in segments.on_event(event) {
            gone = gone || !say(writer, &message).await;
        }
    }
}

async fn say(writer: &mut Writer, message: &Value) -> bool {
    socket::send(writer, Message::Text(message.to_string().into())).await.is_ok()
}

fn status(uid: &Value, status: &str, message: &str) -> Value {
    json!({"uid": uid, "status": status, "message": message})
}

/// A refusal before the stream: `WAIT` in minutes where waiting helps.
fn refusal(uid: &Value, error: &ApiError) -> Value {
    match error.retry_after_s.filter(|_| error.status == StatusCode::SERVICE_UNAVAILABLE) {
        Some(seconds) => json!({"uid": uid, "status": "WAIT", "message": f64::from(seconds) / 60.0}),
        None => status(uid, "ERROR", &error.message),
    }
}

/// How a sample is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Float32,
    Int16,
    UInt8,
}

impl Format {
    fn encoding(self) -> Encoding {
        match self {
            Self::Float32 => Encoding::Linear32,
            Self::Int16 | Self::UInt8 => Encoding::Linear16,
        }
    }

    /// The bytes in [`Format::encoding`].
    fn readable(self, bytes: Bytes) -> Bytes {
        match self {
            Self::Float32 | Self::Int16 => bytes,
            Self::UInt8 => bytes.iter().flat_map(|&byte| ((i16::from(byte) - 128) * 256).to_le_bytes()).collect(),
        }
    }
}

/// The options frame, checked.
#[derive(Clone, Debug, PartialEq)]
struct Options {
    uid: Value,
    language: Option<String>,
    keyterms: Vec<String>,
    format: Format,
    words: bool,
    speakers: bool,
    last_segments: usize,
    /// The language to report once something was heard, unless the client named it.
    report_language: bool,
    warnings: Vec<String>,
}

/// Options that cannot be served.
#[derive(Debug, PartialEq)]
struct RefusedOptions {
    uid: Value,
    why: String,
}

/// The options frame as it comes; what is not here has no effect.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct RawOptions {
    language: Option<String>,
    task: Option<String>,
    hotwords: Option<String>,
    audio_format: Format,
    word_timestamps: bool,
    send_last_n_segments: usize,
    enable_translation: bool,
    enable_diarization: bool,
    known_speakers: Option<Vec<Value>>,
}

impl Default for RawOptions {
    fn default() -> Self {
        Self {
            language: None,
            task: None,
            hotwords: None,
            audio_format: Format::default(),
            word_timestamps: false,
            send_last_n_segments: 10,
            enable_translation: false,
            enable_diarization: false,
            known_speakers: None,
        }
    }
}

/// Said where speakers were asked for and the ears do not tell voices apart.
const NO_VOICES: &str = "speakers are not told apart by this server, which needs a voice model";

/// Segments repeated in one message at most, whatever the client asks for.
const REPEATED_MAX: usize = 100;

impl Options {
    fn parse(text: &str, engine: &Info) -> Result<Self, RefusedOptions> {
        let refused = |uid: &Value, why: String| RefusedOptions { uid: uid.clone(), why };
        let value: Value = serde_json::from_str(text)
            .map_err(|_| refused(&Value::Null, "the first message must be the options, as JSON text".to_owned()))?;
        let uid = value.get("uid").filter(|uid| uid.as_str().is_some_and(|uid| uid.len() <= 128)).cloned();
        let Some(uid) = uid else {
            return Err(refused(&Value::Null, "uid is missing: a text of at most 128 bytes".to_owned()));
        };
        let raw = RawOptions::deserialize(value).map_err(|error| refused(&uid, format!("options: {error:.200}")))?;
        let language = raw.language.filter(|language| !language.is_empty()).map(|language| language.to_lowercase());
        if let Some(language) = language.as_ref().filter(|language| !engine.languages.contains(language)) {
            let known = engine.languages.join(", ");
            let why = format!("{} does not know the language {language:.20?}; it knows {known:.200}", engine.model);
            return Err(refused(&uid, why));
        }
        let mut warnings = Vec::new();
        if raw.task.is_some_and(|task| task != "transcribe") || raw.enable_translation {
            warnings.push("translation is not offered; the transcript is in the language spoken".to_owned());
        }
        let are_known = raw.known_speakers.is_some_and(|known| !known.is_empty());
        if are_known {
            warnings.push("known_speakers are not looked for; speakers are numbered as they come".to_owned());
        }
        let hotwords = raw.hotwords.unwrap_or_default();
        Ok(Self {
            uid,
            report_language: language.is_none(),
            language,
            keyterms: hotwords.split(',').map(str::trim).filter(|term| !term.is_empty()).map(str::to_owned).collect(),
            format: raw.audio_format,
            words: raw.word_timestamps,
            speakers: raw.enable_diarization || are_known,
            last_segments: raw.send_last_n_segments.clamp(1, REPEATED_MAX),
            warnings,
        })
    }

    fn spec(&self) -> LiveSpec {
        LiveSpec {
            input: Input::Raw { encoding: self.format.encoding(), rate_hz: 16_000, channels: 1 },
            multichannel: false,
            hints: Hints { language: self.language.clone(), keyterms: self.keyterms.clone() },
            partials: true,
            turn_after_ms: None,
            diarization: self.speakers.then(Diarization::default),
            endpointing_ms: ENDPOINTING_MS,
            room: RoomChoice::New { title: "WhisperLive client".to_owned() },
            participant: "WhisperLive client".to_owned(),
            kind: bot::participant::Kind::Websocket,
        }
    }
}

/// The last finished segments, ready to be repeated.
struct Segments {
    uid: Value,
    words: bool,
    speakers: bool,
    keep: usize,
    report_language: bool,
    finished: VecDeque<Finished>,
}

/// What was said in one go, by one voice or several.
struct Finished {
    utterance: UtteranceId,
    words: Vec<Word>,
    voices: Vec<VoiceRun>,
}

impl Segments {
    fn new(options: &Options) -> Self {
        Self {
            uid: options.uid.clone(),
            words: options.words,
            speakers: options.speakers,
            keep: options.last_segments,
            report_language: options.report_language,
            finished: VecDeque::new(),
        }
    }

    /// What the client is told of an event.
    fn on_event(&mut self, event: Event) -> Vec<Value> {
        match event {
            Event::Partial { words, .. } if !words.is_empty() => vec![self.message(Some(self.segment(&words, false)))],
            Event::Final { utterance, words, language, voices, .. } if !words.is_empty() => {
                let mut messages = Vec::new();
                if let Some(language) = language.filter(|_| std::mem::take(&mut self.report_language)) {
                    // The engines name a language without a probability.
                    messages.push(json!({"uid": self.uid, "language": language, "language_prob": null}));
                }
                self.finished.push_back(Finished { utterance, words, voices });
                if self.finished.len() > self.keep {
                    self.finished.pop_front();
                }
                messages.push(self.message(None));
                messages
            }
            Event::Relabelled { utterance, voices } => {
                let Some(said) = self.finished.iter_mut().find(|said| said.utterance == utterance) else {
                    return Vec::new();
                };
                said.voices = voices;
                vec![self.message(None)]
            }
            _ => Vec::new(),
        }
    }

    fn message(&self, growing: Option<Value>) -> Value {
        let mut segments: Vec<Value> = self.finished.iter().flat_map(|said| self.parts(said)).collect();
        let forgotten = segments.len().saturating_sub(self.keep);
        segments.drain(..forgotten);
        segments.extend(growing);
        json!({"uid": self.uid, "segments": segments})
    }

    /// A segment for each voice, in the order of their words.
    fn parts(&self, said: &Finished) -> Vec<Value> {
        let mut parts = Vec::new();
        let mut words = said.words.as_slice();
        for run in said.voices.iter().filter(|_| self.speakers) {
            let (spoken, rest) = words.split_at(run.words.min(words.len()));
            words = rest;
            if !spoken.is_empty() {
                let mut part = self.segment(spoken, true);
                if let Some(voice) = run.voice {
                    part["speaker"] = format!("SPEAKER_{:02}", voice.0).into();
                }
                parts.push(part);
            }
        }
        if !words.is_empty() {
            parts.push(self.segment(words, true));
        }
        parts
    }

    fn segment(&self, words: &[Word], completed: bool) -> Value {
        let (first, last) = (&words[0], &words[words.len() - 1]);
        let mut segment = json!({
            "start": format!("{:.3}", first.span.start.as_secs_f64()),
            "end": format!("{:.3}", last.span.end.as_secs_f64()),
            "text": event::text(words),
            "completed": completed,
        });
        if self.words {
            segment["words"] = words
                .iter()
                .map(|word| {
                    json!({
                        "word": word.text,
                        "start": format!("{:.3}", word.span.start.as_secs_f64()),
                        "end": format!("{:.3}", word.span.end.as_secs_f64()),
                        "probability": word.confidence,
                    })
                })
                .collect();
        }
        segment
    }
}

#[cfg(test)]
mod tests {
    use asr::{diarize::VoiceId, event::Cut};
    use media::time::{MediaTime, Span};

    use super::*;

    fn engine() -> Info {
        Info { engine: "moonshine", model: "moonshine-tiny-en".into(), languages: vec!["en".into()], window_max_s: 20 }
    }

    fn words(text: &str, from_ms: u64) -> Vec<Word> {
        text.split_whitespace()
            .zip(0..)
            .map(|(text, index)| {
                let start = from_ms + index * 200;
                let span = Span::new(MediaTime::from_millis(start), MediaTime::from_millis(start + 150));
                Word { text: text.into(), span, confidence: 0.5 }
            })
            .collect()
    }

    fn partial(text: &str, from_ms: u64) -> Event {
        let (utterance, span) = (UtteranceId(0), Span::default());
        Event::Partial { utterance, revision: 1, stable_words: 0, words: words(text, from_ms), span }
    }

    fn finished(text: &str, from_ms: u64) -> Event {
        Event::Final {
            utterance: UtteranceId(0),
            words: words(text, from_ms),
            span: Span::default(),
            cut: Cut::Pause,
            language: Some("en".into()),
            voices: Vec::new(),
        }
    }

    #[test]
    fn segments_grow_are_finished_and_repeated() {
        let options =
            Options::parse(r#"{"uid": "u", "language": null, "send_last_n_segments": 2}"#, &engine()).unwrap();
        let mut segments = Segments::new(&options);
        assert_eq!(
            segments.on_event(partial("Hello", 0)),
            [
                json!({"uid": "u", "segments": [{"start": "0.000", "end": "0.150", "text": "Hello", "completed": false}]})
            ]
        );
        let messages = segments.on_event(finished("Hello there.", 0));
        assert_eq!(messages[0], json!({"uid": "u", "language": "en", "language_prob": null}));
        assert_eq!(messages[1]["segments"][0]["completed"], true);
        for (text, from) in [("two", 1_000), ("three", 2_000)] {
            assert_eq!(segments.on_event(finished(text, from)).len(), 1, "the language is reported once");
        }
        let last = segments.on_event(partial("four", 3_000)).remove(0);
        let texts: Vec<&str> =
            last["segments"].as_array().unwrap().iter().map(|s| s["text"].as_str().unwrap()).collect();
        assert_eq!(texts, ["two", "three", "four"]);
    }

    #[test]
    fn silence_is_not_a_segment() {
        let options = Options::parse(r#"{"uid": "u"}"#, &engine()).unwrap();
        assert!(Segments::new(&options).on_event(finished("", 0)).is_empty());
    }

    #[test]
    fn options_have_defaults_and_wrong_ones_are_refused_under_the_uid() {
        let options =
            Options::parse(r#"{"uid": "u", "model": "small", "hotwords": "Harmony, Silero"}"#, &engine()).unwrap();
        assert_eq!((options.format, options.keyterms.len()), (Format::Float32, 2));
        for (text, uid) in [
            ("END_OF_AUDIO", Value::Null),
            ("{}", Value::Null),
            (r#"{"uid": 3}"#, Value::Null),
            (r#"{"uid": "u", "audio_format": "int24"}"#, json!("u")),
            (r#"{"uid": "u", "language": "de"}"#, json!("u")),
        ] {
            assert_eq!(Options::parse(text, &engine()).unwrap_err().uid, uid, "{text}");
        }
    }

    #[test]
    fn what_is_not_offered_is_said() {
        let text = r#"{"uid": "u", "task": "translate", "known_speakers": [{"name": "Ada"}]}"#;
        let options = Options::parse(text, &engine()).unwrap();
        assert_eq!((options.warnings.len(), options.spec().diarization), (2, Some(Diarization::default())));
        assert_eq!(Options::parse(r#"{"uid": "u"}"#, &engine()).unwrap().spec().diarization, None);
    }

    #[test]
    fn a_segment_is_what_one_voice_says_as_far_as_is_known_by_now() {
        let options =
            Options::parse(r#"{"uid": "u", "language": "en", "enable_diarization": true}"#, &engine()).unwrap();
        let mut segments = Segments::new(&options);
        let run = |words, voice: Option<u16>| VoiceRun { words, voice: voice.map(VoiceId), confidence: 0.7 };
        let said = |messages: &[Value]| -> Vec<(Value, Value)> {
            let segments = messages.last().unwrap()["segments"].as_array().unwrap();
            segments.iter().map(|segment| (segment["speaker"].clone(), segment["text"].clone())).collect()
        };
        let text = "Are you there? Yes. Who?";
        let (span, cut, utterance) = (Span::default(), Cut::Pause, UtteranceId(7));
        let voices = vec![run(3, Some(0)), run(1, Some(1)), run(1, None)];
        let heard = Event::Final { utterance, words: words(text, 0), span, cut, language: None, voices };
        let known = |speaker: &str, text: &str| (json!(speaker), json!(text));
        assert_eq!(
            said(&segments.on_event(heard)),
            [known("SPEAKER_00", "Are you there?"), known("SPEAKER_01", "Yes."), (Value::Null, json!("Who?"))]
        );
        let voices = vec![run(4, Some(0)), run(1, Some(1))];
        assert_eq!(
            said(&segments.on_event(Event::Relabelled { utterance, voices })),
            [known("SPEAKER_00", "Are you there? Yes."), known("SPEAKER_01", "Who?")]
        );
        let unknown = Event::Relabelled { utterance: UtteranceId(99), voices: vec![run(1, None)] };
        assert!(segments.on_event(unknown).is_empty());
    }

    #[test]
    fn unsigned_bytes_become_samples_around_zero() {
        let samples = Format::UInt8.readable(Bytes::from_static(&[0, 128, 255]));
        assert_eq!(samples[..], [0x00, 0x80, 0x00, 0x00, 0x00, 0x7f]);
    }

    #[test]
    fn a_full_server_says_wait_in_minutes() {
        let wait = refusal(&json!("u"), &ApiError::full("all taken"));
        assert_eq!((wait["status"].as_str(), wait["message"].is_f64()), (Some("WAIT"), true));
        let error = refusal(&json!("u"), &ApiError::bad_request("x", "wrong"));
        assert_eq!(error["status"], "ERROR");
    }
}
