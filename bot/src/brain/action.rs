//! Action items: what was promised or asked for, by whom, until when, and on which words that rests.

use std::fmt;

use jiff::civil::Date;
use media::{id::ParticipantId, time::Span};
use serde::{Serialize, Serializer};

use super::{Evidence, Language};

/// One action item of a conversation; counts up from zero and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ItemId(pub u32);

/// Something that somebody is to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActionItem {
    /// Which item; the same for all its revisions.
    pub id: ItemId,
    /// 1 when new, one more for every change.
    pub revision: u32,
    /// What is to be done: the clause without its subject, its modal verb and its date.
    pub text: String,
    /// Who is to do it, when that was said.
    pub owner: Option<Owner>,
    /// Until which day, when that was said.
    pub due: Option<Date>,
    /// The words that said it.
    pub due_said: Option<String>,
    /// How far people agree on it.
    pub standing: Standing,
    /// The words it rests on: first those that made it, then those that confirmed or changed it. Never empty.
    pub evidence: Vec<Evidence>,
    /// How sure the rules are, 0..=1.
    pub confidence: f32,
    /// The language it was said in.
    pub language: Language,
}

impl ActionItem {
    /// When the words that made it were spoken.
    pub fn span(&self) -> Span {
        self.evidence.first().map_or_else(Span::default, |evidence| evidence.span)
    }
}

/// Who an action item belongs to. Prints as the name, else the participant's id; a group as `team`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// One person.
    Person {
        /// As a participant of the room, when they are one.
        participant: Option<ParticipantId>,
        /// As they are called.
        name: Option<String>,
    },
    /// "We": those present, or those the speaker stands for.
    Team,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person { name: Some(name), .. } => f.write_str(name),
            Self::Person { participant: Some(participant), .. } => participant.fmt(f),
            Self::Person { .. } => f.write_str("somebody"),
            Self::Team => f.write_str("team"),
        }
    }
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How far people agree on an action item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Said to be necessary, or asked for; nobody has taken it yet.
    Proposed,
    /// Promised by the one who is to do it, or accepted.
    Agreed,
    /// Turned down by the one who was asked.
    Declined,
}
