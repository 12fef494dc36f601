//! vosk-server's dialect, at `/vosk`: one reply to every message, as its clients wait for one.
//!
//! Signed 16-bit little-endian mono comes in; each piece is answered at once with the words of a finished
//! utterance or those so far. `{"config": …}` before the audio sets the rate (8000 unless said) and is not
//! answered, `{"reset" : 1}` asks for what there is, `{"eof" : 1}` for the rest and the end. Words are lower case
//! and without punctuation, as Vosk's are. Known to Asterisk, Jigasi and FreeSWITCH. Source: vosk-server's
//! `websocket/asr_server.py`. Runs on the connection's task.

use std::time::Duration;

use asr::{
    event::{Cut, Event, Word},
    recognizer::Hints,
};
use axum::{
    Router,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket, close_code},
    },
    response::Response,
    routing::get,
};
use bytes::Bytes;
use futures_util::FutureExt;
use media::codec::raw::Encoding;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    deepgram::bare,
    wire::{self, Ended, Incoming, Reader, Writer},
};
use crate::{
    app::App,
    error::ApiError,
    live::{self, Input, LiveError, LiveEvents, LiveInput, LiveSpec, RoomChoice},
    socket,
};

/// The routes of this dialect.
pub fn routes() -> Router<App> {
    Router::new().route("/vosk", get(listen))
}

/// Telephony clients send silence too, so that a silent socket is a dead one.
const IDLE_AFTER: Duration = Duration::from_secs(120);
/// The dialect knows no endpointing; Vosk's own rules wait about this long.
const ENDPOINTING_MS: u32 = 500;

async fn listen(State(app): State<App>, upgrade: WebSocketUpgrade) -> Result<Response, ApiError> {
    app.ears().map_err(|missing| ApiError::from(&missing))?;
    // The stream opens with the first audio, when its rate is known; a full server says so now.
    app.admission().stream().map(drop)?;
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
    let mut recital = Recital::default();
    let mut stream: Option<(LiveInput, LiveEvents)> = None;
    let goodbye = loop {
        let incoming = tokio::select! {
            incoming = reader.next() => incoming,
            () = app.shutdown().cancelled() => break (LiveError::Draining.close_code(), LiveError::Draining.to_string()),
        };
        let reply = match incoming {
            Incoming::Binary(bytes) => {
                if stream.is_none() {
                    match open(app, &recital.config).await {
                        Ok(opened) => stream = Some(opened),
                        Err(error) => break (close_code::AGAIN, error.to_string()),
                    }
                }
                let Some((input, events)) = &mut stream else { continue };
                if let Err(error) = push(input, events, bytes, &mut recital).await {
                    break (close_code::ERROR, error.to_string());
                }
                recital.reply()
            }
            Incoming::Text(text) => match Order::parse(&text) {
                Ok(Order::Configure(config))
                    if stream.is_some() && config.sample_rate != recital.config.sample_rate =>
                {
                    break (close_code::POLICY, "sample_rate is set before the first audio".to_owned());
                }
                Ok(Order::Configure(config)) => {
                    recital.config = config;
                    continue;
                }
                Ok(Order::Reset) => {
                    if let Some((input, events)) = &mut stream {
                        input.finalize();
                        recital.until(events, |event| matches!(event, Event::Final { cut: Cut::Finalize, .. })).await;
                    }
                    recital.last_reply()
                }
                Ok(Order::Eof) => {
                    if let Some((input, mut events)) = stream.take() {
                        if let Err(error) = input.finish().await {
                            break (close_code::ERROR, error.to_string());
                        }
                        recital.until(&mut events, |_| false).await;
                    }
                    // Whether the client still reads or not, this is the end.
                    let _ = socket::send(writer, Message::Text(recital.last_reply().to_string().into())).await;
                    break (close_code::NORMAL, String::new());
                }
                Err(why) => break (close_code::POLICY, why),
            },
            Incoming::Ended(Ended::Gone) => break (close_code::NORMAL, String::new()),
            Incoming::Ended(Ended::Idle) => break (close_code::NORMAL, "nothing arrived for too long".to_owned()),
            Incoming::Ended(Ended::Unreadable(code, reason)) => break (code, reason.to_owned()),
        };
        if socket::send(writer, Message::Text(reply.to_string().into())).await.is_err() {
            break (close_code::NORMAL, String::new());
        }
    };
    if let Some((input, mut events)) = stream {
        // The room still hears the last words; a failure here has no client to tell.
        if input.finish().await.is_ok() {
            recital.until(&mut events, |_| false).await;
        }
    }
    goodbye
}

async fn open(app: &App, config: &Config) -> Result<(LiveInput, LiveEvents), ApiError> {
    let spec = LiveSpec {
        input: Input::Raw { encoding: Encoding::Linear16, rate_hz: config.sample_rate, channels: 1 },
        multichannel: false,
        hints: Hints { language: None, keyterms: config.phrase_list.clone() },
        partials: true,
        turn_after_ms: None,
        diarization: None,
        endpointing_ms: ENDPOINTING_MS,
        room: RoomChoice::New { title: "Vosk client".to_owned() },
        participant: "Vosk client".to_owned(),
        kind: bot::participant::Kind::Websocket,
    };
    live::open(app, spec).await
}

/// Pushes audio, hearing what comes meanwhile, so that neither waits for the other; then whatever is ready.
async fn push(
    input: &mut LiveInput,
    events: &mut LiveEvents,
    bytes: Bytes,
    recital: &mut Recital,
) -> Result<(), LiveError> {
    {
        let mut push = std::pin::pin!(input.push(bytes));
        loop {
            tokio::select! {
                pushed = &mut push => break pushed?,
                Some((_, event)) = events.next() => recital.on_event(event),
            }
        }
    }
    while let Some(Some((_, event))) = events.next().now_or_never() {
        recital.on_event(event);
    }
    Ok(())
}

/// What a client orders in text.
#[derive(Clone, Debug, PartialEq)]
enum Order {
    Configure(Config),
    Reset,
    Eof,
}

/// The part of the configuration that has an effect.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
struct Config {
    sample_rate: u32,
    words: bool,
    max_alternatives: u32,
    phrase_list: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { sample_rate: 8_000, words: true, max_alternatives: 0, phrase_list: Vec::new() }
    }
}

/// Phrases of one stream; each is a hint to the recognizer.
const PHRASES_MAX: usize = 1_000;

impl Order {
    fn parse(text: &str) -> Result<Self, String> {
        let refused = || "expected audio, or {\"config\": …}, {\"reset\" : 1} or {\"eof\" : 1}".to_owned();
        let value: Value = serde_json::from_str(text).map_err(|_| refused())?;
        if value.get("eof").is_some() {
            return Ok(Self::Eof);
        }
        if value.get("reset").is_some() {
            return Ok(Self::Reset);
        }
        let config = value.get("config").ok_or_else(refused)?;
        let config = Config::deserialize(config).map_err(|error| format!("config: {error:.100}"))?;
        if !(8_000..=48_000).contains(&config.sample_rate) {
            return Err(format!("sample_rate {} is outside 8000..=48000", config.sample_rate));
        }
        if config.phrase_list.len() > PHRASES_MAX {
            return Err(format!("phrase_list has more than {PHRASES_MAX} phrases"));
        }
        Ok(Self::Configure(config))
    }
}

/// What was heard and not yet replied.
#[derive(Debug, Default)]
struct Recital {
    config: Config,
    settled: Vec<Word>,
    unsettled: Vec<Word>,
}

impl Recital {
    fn on_event(&mut self, event: Event) {
        match event {
            Event::Partial { words, .. } => self.unsettled = words,
            Event::Final { words, .. } => {
                self.unsettled.clear();
                self.settled.extend(words);
            }
            _ => {}
        }
    }

    /// Hears events until one is the `last`, or there are no more.
    async fn until(&mut self, events: &mut LiveEvents, last: impl Fn(&Event) -> bool) {
        while let Some((_, event)) = events.next().await {
            let is_last = last(&event);
            self.on_event(event);
            if is_last {
                return;
            }
        }
    }

    /// The answer to a piece of audio: finished words, else those so far.
    fn reply(&mut self) -> Value {
        if self.settled.is_empty() {
            return json!({"partial": line(&self.unsettled)});
        }
        self.last_reply()
    }

    /// The answer to a reset or the end: everything that is left.
    fn last_reply(&mut self) -> Value {
        let words: Vec<Word> = std::mem::take(&mut self.settled);
        let spoken = words.iter().filter(|word| !bare(&word.text).is_empty());
        let text = line(&words);
        if self.config.max_alternatives > 0 {
            let confidence = words.iter().map(|word| word.confidence).sum::<f32>() / words.len().max(1) as f32;
            let mut alternative = json!({"text": text, "confidence": confidence});
            if self.config.words {
                alternative["result"] = spoken
                    .map(|word| json!({"word": bare(&word.text), "start": start_s(word), "end": end_s(word)}))
                    .collect();
            }
            return json!({"alternatives": [alternative]});
        }
        let mut reply = json!({"text": text});
        if self.config.words && !words.is_empty() {
            reply["result"] = spoken
                .map(|word| {
                    json!({"conf": word.confidence, "start": start_s(word), "end": end_s(word), "word": bare(&word.text)})
                })
                .collect();
        }
        reply
    }
}

fn line(words: &[Word]) -> String {
    words.iter().map(|word| bare(&word.text)).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn start_s(word: &Word) -> f64 {
    (word.span.start.as_secs_f64() * 1000.0).round() / 1000.0
}

fn end_s(word: &Word) -> f64 {
    (word.span.end.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use asr::event::UtteranceId;
    use media::time::{MediaTime, Span};

    use super::*;

    fn words(text: &str) -> Vec<Word> {
        text.split_whitespace()
            .zip(0..)
            .map(|(text, index)| Word {
                text: text.into(),
                span: Span::new(MediaTime::from_millis(index * 200), MediaTime::from_millis(index * 200 + 150)),
                confidence: 0.5,
            })
            .collect()
    }

    fn partial(text: &str) -> Event {
        let (utterance, span) = (UtteranceId(0), Span::default());
        Event::Partial { utterance, revision: 1, stable_words: 0, words: words(text), span }
    }

    fn settled(text: &str) -> Event {
        Event::Final {
            utterance: UtteranceId(0),
            words: words(text),
            span: Span::default(),
            cut: Cut::Pause,
            language: None,
            voices: Vec::new(),
        }
    }

    #[test]
    fn pieces_are_answered_with_partials_until_an_utterance_is_finished() {
        let mut recital = Recital::default();
        assert_eq!(recital.reply(), json!({"partial": ""}));
        recital.on_event(partial("Hello,"));
        assert_eq!(recital.reply(), json!({"partial": "hello"}));
        recital.on_event(settled("Hello, World."));
        assert_eq!(
            recital.reply(),
            json!({"text": "hello world", "result": [
                {"conf": 0.5, "start": 0.0, "end": 0.15, "word": "hello"},
                {"conf": 0.5, "start": 0.2, "end": 0.35, "word": "world"},
            ]})
        );
        assert_eq!(recital.reply(), json!({"partial": ""}));
    }

    #[test]
    fn the_last_reply_holds_every_word_that_was_not_replied() {
        let mut recital = Recital::default();
        recital.on_event(settled("one"));
        recital.on_event(settled("two"));
        assert_eq!(recital.last_reply()["text"], "one two");
        assert_eq!(recital.last_reply(), json!({"text": ""}));
    }

    #[test]
    fn words_and_alternatives_are_as_the_client_configured() {
        let mut recital = Recital::default();
        recital.config.words = false;
        recital.on_event(settled("Yes."));
        assert_eq!(recital.last_reply(), json!({"text": "yes"}));
        recital.config.max_alternatives = 3;
        recital.on_event(settled("Yes."));
        assert_eq!(recital.last_reply(), json!({"alternatives": [{"text": "yes", "confidence": 0.5}]}));
    }

    #[test]
    fn orders_are_read_and_everything_else_is_refused_with_a_reason() {
        assert_eq!(Order::parse(r#"{"eof" : 1}"#), Ok(Order::Eof));
        assert_eq!(Order::parse(r#"{"reset" : 1}"#), Ok(Order::Reset));
        let config = r#"{"config": {"sample_rate": 16000, "words": false, "phrase_list": ["harmony"], "model": "x"}}"#;
        let expected =
            Config { sample_rate: 16_000, words: false, max_alternatives: 0, phrase_list: vec!["harmony".to_owned()] };
        assert_eq!(Order::parse(config), Ok(Order::Configure(expected)));
        for garbage in ["", "hello", "[]", "{}", r#"{"config": 3}"#, r#"{"config": {"sample_rate": 100}}"#] {
            assert!(Order::parse(garbage).is_err(), "{garbage}");
        }
    }
}
