//! How long the parts of an answer took, as one value for people and charts.

use media::time::MediaTime;
use serde::{Serialize, Serializer};

use super::seconds;

/// When what happened on the way from the end of somebody's words to the beginning of an agent's answer, on the room's
/// timeline; what did not happen is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Waterfall {
    /// The last sound of whoever is answered.
    #[serde(rename = "speech_ended_s", serialize_with = "maybe_seconds", skip_serializing_if = "Option::is_none")]
    pub speech_ended: Option<MediaTime>,
    /// It was decided that they are done.
    #[serde(rename = "turn_ended_s", serialize_with = "maybe_seconds", skip_serializing_if = "Option::is_none")]
    pub turn_ended: Option<MediaTime>,
    /// A model was asked; before the end of the turn where that was likely.
    #[serde(rename = "asked_s", serialize_with = "maybe_seconds", skip_serializing_if = "Option::is_none")]
    pub asked: Option<MediaTime>,
    /// Its first word came.
    #[serde(rename = "first_token_s", serialize_with = "maybe_seconds", skip_serializing_if = "Option::is_none")]
    pub first_token: Option<MediaTime>,
    /// The voice made the first sound.
    #[serde(rename = "first_audio_s", serialize_with = "maybe_seconds", skip_serializing_if = "Option::is_none")]
    pub first_audio: Option<MediaTime>,
    /// The first sound was heard.
    #[serde(rename = "heard_s", serialize_with = "maybe_seconds", skip_serializing_if = "Option::is_none")]
    pub heard: Option<MediaTime>,
}

impl Waterfall {
    /// Reads it back from its JSON.
    pub(super) fn read(json: &serde_json::Value) -> Self {
        let at = |field: &str| Some(MediaTime::from_secs_f64(json.get(field)?.as_f64()?));
        Self {
            speech_ended: at("speech_ended_s"),
            turn_ended: at("turn_ended_s"),
            asked: at("asked_s"),
            first_token: at("first_token_s"),
            first_audio: at("first_audio_s"),
            heard: at("heard_s"),
        }
    }
}

fn maybe_seconds<S: Serializer>(at: &Option<MediaTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => seconds(at, serializer),
        None => serializer.serialize_none(),
    }
}
