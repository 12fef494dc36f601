//! Somebody in a room: how they came, whether they are muted, and whether they agreed to be recorded.
//!
//! Pure values. [`crate::room::Room`] keeps them; what follows from a change (the leg that falls silent, the
//! recorder that lets go) is done by whoever holds the participant's seat and watches its [`Standing`].

use std::{fmt, sync::Arc};

use media::id::ParticipantId;
use serde::{Deserialize, Serialize};

/// How somebody's sound comes and goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A browser's peer connection.
    Webrtc,
    /// A socket that carries audio in messages.
    #[default]
    Websocket,
    /// A telephone at Twilio, whose sound comes as a media stream.
    Twilio,
    /// A file, or anything else that comes faster than it can be spoken.
    File,
    /// Someone's own sound, sent back.
    Echo,
    /// A telephone, over SIP.
    Sip,
    /// Nobody: an agent of this server.
    Agent,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Whose clock the times of somebody's words are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Timeline {
    /// Their own, which begins when they join: audio that comes as fast as it is sent.
    #[default]
    Own,
    /// The room's: audio that went through the room's graph.
    Rooms,
}

/// Who wants in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newcomer {
    /// As they want to be called; long names are cut.
    pub name: String,
    /// How they come.
    pub kind: Kind,
    /// Whether they agreed to be recorded; `None` when nobody asked them.
    pub consent: Option<bool>,
    /// Whether somebody listens to their words.
    pub is_transcribed: bool,
    /// Whose clock their words are on.
    pub timeline: Timeline,
    /// The names of those whose voices may be recognized on this line, in the order of their
    /// [`VoiceId`](asr::diarize::VoiceId)s, where several people may be on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_voices: Vec<String>,
}

impl From<&str> for Newcomer {
    fn from(name: &str) -> Self {
        Self { name: name.to_owned(), is_transcribed: true, ..Self::default() }
    }
}

/// Somebody in the room, as clients see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Participant {
    /// Who.
    pub id: ParticipantId,
    /// As they are called.
    pub name: Arc<str>,
    /// How they came.
    pub kind: Kind,
    /// Whether nobody hears them.
    pub is_muted: bool,
    /// Whether they agreed to be recorded; `None` when nobody asked them.
    pub consent: Option<bool>,
    /// Whether somebody listens to their words.
    pub is_transcribed: bool,
}

/// What is to change about somebody; `None` leaves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Whether nobody hears them.
    pub is_muted: Option<bool>,
    /// Whether they agree to be recorded.
    pub consent: Option<bool>,
}

/// How somebody stands in the room, for whoever carries their sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Nobody is to hear them.
    pub is_muted: bool,
    /// Whether they agreed to be recorded.
    pub consent: Option<bool>,
    /// They are to go: let go of the seat.
    pub is_sent_out: bool,
}

/// Whether a recorder may listen to somebody: where the room demands consent only after a yes, elsewhere unless
/// they said no.
pub fn may_be_captured(consent_required: bool, consent: Option<bool>) -> bool {
    consent.unwrap_or(!consent_required)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_recorded_against_their_word_nor_unasked_where_the_room_demands_a_yes() {
        for (required, consent, may) in [
            (true, None, false),
            (true, Some(false), false),
            (true, Some(true), true),
            (false, None, true),
            (false, Some(false), false),
            (false, Some(true), true),
        ] {
            assert_eq!(may_be_captured(required, consent), may, "{required} {consent:?}");
        }
    }

    #[test]
    fn a_participant_reads_on_the_wire_as_documented() {
        let participant = Participant {
            id: ParticipantId(3),
            name: "Ada".into(),
            kind: Kind::Webrtc,
            is_muted: true,
            consent: None,
            is_transcribed: true,
        };
        assert_eq!(
            serde_json::to_value(participant).unwrap(),
            serde_json::json!({
                "id": "p3", "name": "Ada", "kind": "webrtc", "is_muted": true, "consent": null, "is_transcribed": true,
            })
        );
        assert_eq!(Kind::Websocket.to_string(), "websocket");
    }
}
