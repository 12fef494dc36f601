//! What a machine starts with: the call, its first document, and the rules it keeps.

use std::{fmt, time::Duration};

use crate::ivr::{
    call::CallFacts,
    twiml::{Limits, Speech},
    webhook::Endpoint,
};

/// What a machine starts with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The call.
    pub facts: CallFacts,
    /// What its document is for.
    pub role: Role,
    /// The first document.
    pub source: Source,
    /// Who is asked when a document cannot be had or read: the number's fallback address.
    pub fallback: Option<Endpoint>,
    /// The rules.
    pub rules: Rules,
}

/// What a document is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A call of its own: it ends with its documents.
    Call,
    /// What somebody who was dialled hears before they are connected. At the end of its documents the machine says
    /// `Finished` and is through; `Dial`, `Enqueue`, `Record` and the like do not belong here.
    Whisper,
}

/// Where a document comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// An application is asked.
    At(Endpoint),
    /// It is here: as the REST API's parameter `Twiml`.
    Inline(String),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(endpoint) => f.debug_tuple("At").field(endpoint).finish(),
            Self::Inline(text) => write!(f, "Inline({} bytes)", text.len()),
        }
    }
}

/// The rules a machine keeps.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The most documents of one call. A caller who waits an hour in a queue hears 120 documents of half a minute.
    pub documents: u32,
    /// The most documents within one minute: a document that redirects to itself stops after these.
    pub documents_per_minute: u32,
    /// How much of a document is read.
    pub document: Limits,
    /// How long an application may take to answer: 15 s, as the vendor has it.
    pub fetch_timeout: Duration,
    /// The longest call: four hours, as the vendor has it.
    pub call: Duration,
    /// The language of `Say` and `Gather` where a document names none.
    pub language: Option<String>,
    /// What the caller hears before a call ends because its application failed; none ends without a word.
    pub apology: Option<Speech>,
    /// How many keys are kept that were pressed before a document asked for them; later ones are dropped.
    pub typed_ahead: usize,
    /// How long a recording that was stopped, and its transcript, are waited for before they count as failed.
    pub recording_timeout: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            documents: 1_000,
            documents_per_minute: 60,
            document: Limits::default(),
            fetch_timeout: Duration::from_secs(15),
            call: Duration::from_secs(4 * 3_600),
            language: None,
            apology: Some(Speech::plain("Something went wrong with this call. Please try again later. Goodbye.")),
            typed_ahead: 32,
            recording_timeout: Duration::from_secs(300),
        }
    }
}
