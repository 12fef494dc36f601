//! One shape of a mouth with its time, as one value for whoever draws a face.

use std::time::Duration;

use serde::{Serialize, Serializer};
use tts::viseme::Viseme;

use super::millis;

/// A shape that a mouth takes for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Which; by its name in the reference: `sil`, `PP`, `aa`, …
    #[serde(serialize_with = "name")]
    pub viseme: Viseme,
    /// How long after the moment that the event is about.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
    /// For how long.
    #[serde(rename = "duration_ms", serialize_with = "millis")]
    pub duration: Duration,
}

impl Shape {
    /// Reads it back from its JSON.
    pub(super) fn read(json: &serde_json::Value) -> Option<Self> {
        let millis = |field: &str| Some(Duration::from_millis(json.get(field)?.as_u64()?));
        Some(Self {
            viseme: Viseme::named(json.get("viseme")?.as_str()?)?,
            at: millis("at_ms")?,
            duration: millis("duration_ms")?,
        })
    }
}

fn name<S: Serializer>(viseme: &Viseme, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(viseme.name())
}
