//! What a grammar finds in one sentence, before anybody knows whether it is new.

use std::ops::Range;

use super::date::Dated;

/// A clause that promises or asks for work.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    /// What is to be done.
    pub(super) text: String,
    /// Who is to do it, as the sentence says it.
    pub(super) subject: Subject,
    /// Whether the one who is to do it says so.
    pub(super) promised: bool,
    /// Whether it only points at work named before ("I'll do that").
    pub(super) anaphoric: bool,
    /// Until when.
    pub(super) due: Option<Dated>,
    /// The tokens it rests on.
    pub(super) range: Range<usize>,
    /// How sure the rules are, 0..=1.
    pub(super) confidence: f32,
}

/// Who a sentence says is to do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// "I".
    Speaker,
    /// "We".
    Team,
    /// "You", with the name that was called.
    Addressee(Option<String>),
    /// Somebody by name.
    Named(String),
    /// Nobody in particular.
    Nobody,
}
