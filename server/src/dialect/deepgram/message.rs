//! What a Deepgram client reads on the socket: `Results`, `Metadata`, `UtteranceEnd`, `SpeechStarted`, `Error`.
//!
//! Shapes only. Field names and order are those of the public API description (deepgram-api-specs, asyncapi.yml)
//! as its SDKs parse them; times are seconds, rounded to a millisecond.

use std::collections::BTreeMap;

use asr::recognizer::Info;
use media::time::MediaTime;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{search::Found, words::Spoken};

/// One message of the server.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type")]
pub enum Message {
    /// Words of a stretch of audio.
    Results(Box<Results>),
    /// The last message: what the whole stream was.
    Metadata(Box<Metadata>),
    /// Nobody went on speaking.
    UtteranceEnd {
        /// Channel and number of channels.
        channel: [usize; 2],
        /// When the last word ended, in seconds.
        last_word_end: f64,
    },
    /// Somebody began to speak.
    SpeechStarted {
        /// Channel and number of channels.
        channel: [usize; 2],
        /// When, in seconds.
        timestamp: f64,
    },
    /// A `Configure` that cannot be followed; the stream goes on as before.
    ConfigureFailure {
        /// The stream's id.
        request_id: String,
        /// One of the codes that the SDKs know.
        code: &'static str,
        /// Why.
        description: String,
    },
    /// Something the client sent cannot be used, or the stream is about to close.
    Error {
        /// For programs, such as `NET-0001`.
        variant: &'static str,
        /// For people.
        description: String,
        /// The description again: clients read either.
        message: String,
    },
}

impl Message {
    /// An `Error`.
    pub fn error(variant: &'static str, description: impl Into<String>) -> Self {
        let description = description.into();
        Self::Error { variant, message: description.clone(), description }
    }

    /// The message as the text of a frame.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain fields always serialise")
    }
}

/// Words of a stretch of one channel.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Channel and number of channels.
    pub channel_index: [usize; 2],
    /// Length of the stretch in seconds.
    pub duration: f64,
    /// Where the stretch begins, in seconds.
    pub start: f64,
    /// The words will not change.
    pub is_final: bool,
    /// The speaker paused.
    pub speech_final: bool,
    /// The words.
    pub channel: Channel,
    /// Which request and which model.
    pub metadata: ResultsMetadata,
    /// This answers a `Finalize`.
    pub from_finalize: bool,
}

/// The readings of a channel: one.
#[derive(Clone, Debug, Serialize)]
pub struct Channel {
    /// Always one.
    pub alternatives: Vec<Alternative>,
    /// What was searched for, when something was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<Found>,
}

/// One reading.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Alternative {
    /// The words as one line.
    pub transcript: String,
    /// Mean of the words' confidence; 0 without words.
    pub confidence: f64,
    /// The languages heard, when the client asked for any (`language=multi`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// Each word.
    pub words: Vec<WordOut>,
}

/// One word.
#[derive(Clone, Debug, Serialize)]
pub struct WordOut {
    /// Bare.
    pub word: String,
    /// Seconds.
    pub start: f64,
    /// Seconds.
    pub end: f64,
    /// 0..=1.
    pub confidence: f64,
    /// As written, when punctuation was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub punctuated_word: Option<String>,
    /// Who, when it was asked for and is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaker: Option<usize>,
    /// How sure that is, 0..=1, where it is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaker_confidence: Option<f64>,
}

impl WordOut {
    /// The word as it goes out, said by whoever its voice is, else by `channel`.
    pub fn new(word: &Spoken, punctuate: bool, channel: Option<usize>) -> Self {
        Self {
            word: word.bare.clone(),
            start: rounded(word.start_s),
            end: rounded(word.end_s),
            confidence: rounded(f64::from(word.confidence)),
            punctuated_word: punctuate.then(|| word.written.clone()),
            speaker: word.speaker.map(|speaker| speaker.number).or(channel),
            speaker_confidence: word
                .speaker
                .and_then(|speaker| speaker.confidence)
                .map(|sure| rounded(f64::from(sure))),
        }
    }
}

/// Which request and which model.
#[derive(Clone, Debug, Serialize)]
pub struct ResultsMetadata {
    /// The request, as in the `dg-request-id` header.
    pub request_id: String,
    /// The model.
    pub model_info: ModelInfo,
    /// The model's id.
    pub model_uuid: String,
}

/// The model in words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelInfo {
    /// As `harmony models list` shows it.
    pub name: String,
    /// Of this server.
    pub version: String,
    /// The engine.
    pub arch: String,
}

impl ModelInfo {
    /// The model that recognizes.
    pub fn new(info: &Info) -> Self {
        Self { name: info.model.clone(), version: env!("CARGO_PKG_VERSION").to_owned(), arch: info.engine.to_owned() }
    }

    /// An id that is always the same for the same model.
    pub fn uuid(&self) -> String {
        let digest = Sha256::digest(format!("{}/{}", self.arch, self.name));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
    }
}

/// What a whole stream or recording was.
#[derive(Clone, Debug, Serialize)]
pub struct Metadata {
    /// Always `deprecated`.
    pub transaction_key: &'static str,
    /// The request, as in the `dg-request-id` header.
    pub request_id: String,
    /// Of all audio bytes, hexadecimal.
    pub sha256: String,
    /// When the request began, RFC 3339.
    pub created: String,
    /// Seconds of audio.
    pub duration: f64,
    /// Channels that were transcribed.
    pub channels: usize,
    /// The ids of the models, one.
    pub models: Vec<String>,
    /// The models by id.
    pub model_info: BTreeMap<String, ModelInfo>,
    /// The client's labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The client's pairs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, String>,
    /// What was accepted without effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// Something that did not go as asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Warning {
    /// Which parameter.
    pub parameter: &'static str,
    /// For programs.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// For people.
    pub message: String,
}

impl Warning {
    /// A parameter that is accepted but changes nothing.
    pub fn without_effect(parameter: &'static str, why: impl Into<String>) -> Self {
        Self { parameter, kind: "without_effect", message: why.into() }
    }
}

/// A fresh request id.
pub fn request_id() -> String {
    Uuid::new_v4().to_string()
}

/// Seconds or a share, to three decimals.
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A time in seconds to three decimals.
pub fn seconds(time: MediaTime) -> f64 {
    rounded(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_keeps_its_id() {
        let info = |model: &str| ModelInfo { name: model.into(), version: "1".into(), arch: "whisper".into() };
        assert_eq!(info("base").uuid(), info("base").uuid());
        assert_ne!(info("base").uuid(), info("tiny").uuid());
        assert!(Uuid::parse_str(&info("base").uuid()).is_ok());
    }

    #[test]
    fn errors_carry_what_the_sdk_reads() {
        let json: serde_json::Value = serde_json::from_str(&Message::error("NET-0001", "late").to_json()).unwrap();
        assert_eq!(json["type"], "Error");
        assert_eq!(json["variant"], "NET-0001");
        assert_eq!(json["description"], "late");
    }
}
