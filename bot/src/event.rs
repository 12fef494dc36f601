//! What clients see of a room: one tagged, versioned enum, numbered by the room's log.
//!
//! Everything a client learns arrives as one JSON object with `v`, `seq`, `at_s`, `type` and the fields of
//! that type. Numbers of seconds count from the moment the room began. Values only: [`crate::room::Room`]
//! numbers and keeps them, the server writes them to sockets.

use std::sync::Arc;

use asr::event::{LostWhy, Word};
use media::{
    id::ParticipantId,
    time::{MediaTime, Span},
};
use serde::{Serialize, Serializer};

use crate::note::{ActionItem, Decision, Question, Summary};

/// The version of the JSON shapes below; grows when a field changes its meaning, not when one is added.
pub const VERSION: u32 = 1;

/// One numbered entry of a room's log, as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Published {
    /// Always [`VERSION`].
    pub v: u32,
    /// Counts up from 1 within the room. Gaps are partial results that newer words have replaced.
    pub seq: u64,
    /// When it was published, on the room's timeline.
    #[serde(rename = "at_s", serialize_with = "seconds")]
    pub at: MediaTime,
    /// What happened.
    #[serde(flatten)]
    pub event: RoomEvent,
}

/// What can happen in a room.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type")]
pub enum RoomEvent {
    /// Somebody (or one channel of somebody's audio) came in.
    #[serde(rename = "participant.joined")]
    ParticipantJoined {
        /// Who.
        participant: ParticipantId,
        /// As they are called.
        name: Arc<str>,
    },
    /// Somebody went.
    #[serde(rename = "participant.left")]
    ParticipantLeft {
        /// Who.
        participant: ParticipantId,
        /// As they are called.
        name: Arc<str>,
    },
    /// Somebody began to speak.
    #[serde(rename = "speech.started")]
    SpeechStarted {
        /// Who.
        participant: ParticipantId,
        /// Counts the utterances of this participant.
        utterance: u64,
        /// Where the speech began.
        #[serde(rename = "start_s", serialize_with = "seconds")]
        start: MediaTime,
    },
    /// Somebody stopped speaking.
    #[serde(rename = "speech.ended")]
    SpeechEnded {
        /// Who.
        participant: ParticipantId,
        /// The utterance that ended.
        utterance: u64,
        /// Where the speech ended.
        #[serde(rename = "end_s", serialize_with = "seconds")]
        end: MediaTime,
    },
    /// The words of an utterance so far; replaced by the next partial or the final of the same utterance.
    #[serde(rename = "transcript.partial")]
    TranscriptPartial {
        /// How many of the words will not change any more.
        stable_words: usize,
        /// Counts up from 1 within the utterance.
        revision: u32,
        /// The words.
        #[serde(flatten)]
        segment: Arc<Segment>,
    },
    /// The words of an utterance, settled.
    #[serde(rename = "transcript.final")]
    TranscriptFinal {
        /// The words.
        #[serde(flatten)]
        segment: Arc<Segment>,
    },
    /// A stretch of audio went unheard.
    #[serde(rename = "transcript.lost")]
    TranscriptLost {
        /// Whose audio.
        participant: ParticipantId,
        /// Which stretch.
        #[serde(flatten, serialize_with = "start_end")]
        span: Span,
        /// Why.
        #[serde(serialize_with = "lost_why")]
        why: LostWhy,
    },
    /// Somebody took something on.
    #[serde(rename = "action_item.created")]
    ActionItemCreated {
        /// The item.
        #[serde(flatten)]
        item: Arc<ActionItem>,
    },
    /// Later words changed an item: its owner, its date, or how it stands.
    #[serde(rename = "action_item.updated")]
    ActionItemUpdated {
        /// The item as it is now.
        #[serde(flatten)]
        item: Arc<ActionItem>,
    },
    /// The room decided something.
    #[serde(rename = "decision.noted")]
    DecisionNoted {
        /// The decision.
        #[serde(flatten)]
        decision: Arc<Decision>,
    },
    /// Somebody asked something; published again, under the same id, once it is answered.
    #[serde(rename = "question.asked")]
    QuestionAsked {
        /// The question.
        #[serde(flatten)]
        question: Arc<Question>,
    },
    /// A summary of the room so far.
    #[serde(rename = "summary.ready")]
    SummaryReady {
        /// The summary.
        #[serde(flatten)]
        summary: Arc<Summary>,
    },
}

/// What one participant said in one utterance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Segment {
    /// Who.
    pub participant: ParticipantId,
    /// As they are called.
    pub speaker: Arc<str>,
    /// Counts the utterances of this participant.
    pub utterance: u64,
    /// The words joined by spaces.
    pub text: String,
    /// Each word with its time on the room's timeline.
    #[serde(serialize_with = "words")]
    pub words: Vec<Word>,
    /// The audio they were heard in.
    #[serde(flatten, serialize_with = "start_end")]
    pub span: Span,
    /// The language (ISO 639-1) where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

fn seconds<S: Serializer>(at: &MediaTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(rounded(*at))
}

pub(crate) fn start_end<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct StartEnd {
        start_s: f64,
        end_s: f64,
    }
    StartEnd { start_s: rounded(span.start), end_s: rounded(span.end) }.serialize(serializer)
}

fn words<S: Serializer>(words: &[Word], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct WireWord<'a> {
        word: &'a str,
        start_s: f64,
        end_s: f64,
        confidence: f32,
    }
    serializer.collect_seq(words.iter().map(|word| WireWord {
        word: &word.text,
        start_s: rounded(word.span.start),
        end_s: rounded(word.span.end),
        confidence: (word.confidence * 1_000.0).round() / 1_000.0,
    }))
}

fn lost_why<S: Serializer>(why: &LostWhy, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match why {
        LostWhy::Overload => "overload",
        LostWhy::Recognizer => "recognizer",
    })
}

/// Whole milliseconds: finer digits are noise to a reader and cost bytes on every word.
pub(crate) fn rounded(at: MediaTime) -> f64 {
    at.as_millis() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_object_with_its_number_time_type_and_version() {
        let at = MediaTime::from_millis(1_500);
        let span = Span::new(MediaTime::from_millis(250), MediaTime::from_millis(1_250));
        let segment = Segment {
            participant: ParticipantId(2),
            speaker: "Ada".into(),
            utterance: 3,
            text: "Hello.".into(),
            words: vec![Word { text: "Hello.".into(), span, confidence: 0.9 }],
            span,
            language: Some("en".into()),
        };
        let event = RoomEvent::TranscriptFinal { segment: Arc::new(segment) };
        let json = serde_json::to_value(Published { v: VERSION, seq: 7, at, event }).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "v": 1, "seq": 7, "at_s": 1.5, "type": "transcript.final", "participant": "p2", "speaker": "Ada",
                "utterance": 3, "text": "Hello.", "start_s": 0.25, "end_s": 1.25, "language": "en",
                "words": [{"word": "Hello.", "start_s": 0.25, "end_s": 1.25, "confidence": 0.9_f32}],
            })
        );
    }

    #[test]
    fn a_lost_stretch_says_where_and_why() {
        let span = Span::new(MediaTime::from_millis(1_000), MediaTime::from_millis(3_000));
        let event = RoomEvent::TranscriptLost { participant: ParticipantId(1), span, why: LostWhy::Overload };
        let json = serde_json::to_value(event).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"type": "transcript.lost", "participant": "p1", "start_s": 1.0, "end_s": 3.0, "why": "overload"})
        );
    }
}
