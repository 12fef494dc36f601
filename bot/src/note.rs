//! What the brain found, as clients read it: action items, decisions, questions and summaries on the wire.
//!
//! The brain's own types speak in ticks, options and utterances; these speak in seconds and names, and each
//! carries the span of the words that it rests on. Values and conversions only; [`crate::room::Room`] keeps
//! them and [`crate::event::RoomEvent`] carries them.

use media::{id::ParticipantId, time::Span};
use serde::Serialize;

use crate::{brain, event::start_end};

/// Something that somebody has to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActionItem {
    /// Stays the same through every update.
    pub id: u32,
    /// Counts up from 1; grows with every update.
    pub revision: u32,
    /// What is to be done.
    pub text: String,
    /// Who does it: a name, a participant's id, or `team`.
    pub owner: Option<String>,
    /// The day it is due, such as `2026-03-03`.
    pub due: Option<String>,
    /// The words that said so.
    pub due_said: Option<String>,
    /// `proposed`, `agreed` or `declined`.
    pub standing: &'static str,
    /// Whose words it rests on.
    pub participant: Option<ParticipantId>,
    /// Where they were said.
    #[serde(flatten, serialize_with = "start_end")]
    pub span: Span,
    /// How sure the brain is, 0..=1.
    pub confidence: f32,
}

impl ActionItem {
    /// Whether somebody has said no to it: it stays in the log and leaves the lists.
    pub fn is_declined(&self) -> bool {
        self.standing == DECLINED
    }
}

impl From<&brain::ActionItem> for ActionItem {
    fn from(item: &brain::ActionItem) -> Self {
        Self {
            id: item.id.0,
            revision: item.revision,
            text: item.text.clone(),
            owner: item.owner.as_ref().map(ToString::to_string),
            due: item.due.map(|day| day.to_string()),
            due_said: item.due_said.clone(),
            standing: match item.standing {
                brain::Standing::Proposed => "proposed",
                brain::Standing::Agreed => "agreed",
                brain::Standing::Declined => DECLINED,
            },
            participant: item.evidence.first().and_then(|evidence| evidence.participant),
            span: item.evidence.first().map(|evidence| evidence.span).unwrap_or_default(),
            confidence: item.confidence,
        }
    }
}

/// Something that the room decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// Counts the decisions of a room.
    pub id: u32,
    /// The decision as it was said.
    pub text: String,
    /// Who said it, where that is known.
    pub speaker: Option<String>,
    /// Whose words these are.
    pub participant: Option<ParticipantId>,
    /// Where they were said.
    #[serde(flatten, serialize_with = "start_end")]
    pub span: Span,
}

impl From<&brain::Decision> for Decision {
    fn from(decision: &brain::Decision) -> Self {
        Self {
            id: decision.id.0,
            text: decision.text.clone(),
            speaker: decision.speaker.clone(),
            participant: decision.evidence.participant,
            span: decision.evidence.span,
        }
    }
}

/// Something that somebody asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Question {
    /// Counts the questions of a room.
    pub id: u32,
    /// The question as it was said.
    pub text: String,
    /// Who asked, where that is known.
    pub speaker: Option<String>,
    /// Whose words these are.
    pub participant: Option<ParticipantId>,
    /// Where they were said.
    #[serde(flatten, serialize_with = "start_end")]
    pub span: Span,
    /// Whether somebody has answered.
    pub answered: bool,
}

impl From<&brain::Question> for Question {
    fn from(question: &brain::Question) -> Self {
        Self {
            id: question.id.0,
            text: question.text.clone(),
            speaker: question.speaker.clone(),
            participant: question.evidence.participant,
            span: question.evidence.span,
            answered: question.answer.is_some(),
        }
    }
}

/// The gist of a room.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The sentences below, joined.
    pub text: String,
    /// Who took part.
    pub participants: Vec<String>,
    /// The most telling sentences in the order they were said.
    pub sentences: Vec<Sentence>,
    /// What was decided.
    pub decisions: Vec<Decision>,
    /// What is to be done; declined items are left out.
    pub action_items: Vec<ActionItem>,
    /// What nobody has answered.
    pub open_questions: Vec<Question>,
}

/// One sentence of a summary.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sentence {
    /// As it was said.
    pub text: String,
    /// Who said it, where that is known.
    pub speaker: Option<String>,
    /// Whose words these are.
    pub participant: Option<ParticipantId>,
    /// Where they were said.
    #[serde(flatten, serialize_with = "start_end")]
    pub span: Span,
}

impl From<&brain::Summary> for Summary {
    fn from(summary: &brain::Summary) -> Self {
        let sentences: Vec<Sentence> = summary
            .sentences
            .iter()
            .map(|sentence| Sentence {
                text: sentence.text.clone(),
                speaker: sentence.speaker.clone(),
                participant: sentence.evidence.participant,
                span: sentence.evidence.span,
            })
            .collect();
        Self {
            text: sentences.iter().map(|sentence| sentence.text.as_str()).collect::<Vec<_>>().join(" "),
            participants: summary.participants.clone(),
            sentences,
            decisions: summary.decisions.iter().map(Into::into).collect(),
            action_items: summary.actions.iter().map(ActionItem::from).filter(|item| !item.is_declined()).collect(),
            open_questions: summary.open_questions.iter().map(Into::into).collect(),
        }
    }
}

const DECLINED: &str = "declined";
