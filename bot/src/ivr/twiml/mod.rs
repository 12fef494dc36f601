//! TwiML documents: what an application wants done, read once into typed verbs with their defaults filled in.
//!
//! [`parse`] takes any bytes. What is not XML, or XML of a kind that is not read (a document type, too many elements,
//! too deep), is refused whole with the line. What is XML but not quite TwiML is read as the vendor reads it: an unknown
//! attribute, a value out of range or an element in the wrong place is left out and told as a [`Notice`], and the call
//! goes on. Verbs that the vendor has and this server does not are kept by name, and end the call when they are reached.
//!
//! Addresses stay as they are written ([`Reference`]): what they are relative to is known when a document runs.

mod attributes;
mod conference;
mod connect;
mod dial;
mod gather;
mod queue;
mod record;
mod relay;
mod speech;
mod verb;
mod xml;

pub use conference::{Beep, ConferenceEvents, ConferenceRoom};
pub use connect::{
    AudioTrack, Channels, Connect, Connected, StartRecording, Startable, Stoppable, Stream, Transcription,
};
pub use dial::{Answering, Dial, DialRecord, Dialled, LegCallback, MachineDetection, Target};
pub use gather::{Choice, Gather, Prompt, SpeechTimeout};
pub use queue::Enqueue;
pub use record::{Record, RecordingCallback, RecordingEvents};
pub(in crate::ivr) use relay::is_kin;
pub use relay::{Disturbing, Relay, RelayLanguage, RelaySettings, Sensitivity};
pub use speech::{Emphasis, Interpretation, Piece, Prosody, Say, Speech};
pub use verb::{Link, Play, Redirect, Refer, Reference, RejectReason, Sound, Step, Times, Verb};

use super::notice::{Code, Notice};
use attributes::Notes;

/// A document that can be run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// What is to be done, in order.
    pub steps: Vec<Step>,
    /// What was left out of it.
    pub notices: Vec<Notice>,
}

/// How much of a document is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest document: 64 KiB, as the vendor has it.
    pub bytes: usize,
    /// The most elements, texts and comments: ten times what the longest menus in use have.
    pub nodes: u32,
    /// The deepest element. A `Response` with a `Gather`, a `Say` and five kinds of emphasis within each other has 8.
    pub depth: usize,
    /// The most notices that are kept of one document; what is wrong beyond them is not told.
    pub notices: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 * 1024, nodes: 4_000, depth: 16, notices: 50 }
    }
}

/// Why a document is refused: always the application's fault, and asking again does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: line {line}: {what}")]
pub struct DocumentError {
    /// The vendor's number for it.
    pub code: Code,
    /// Where, from 1.
    pub line: u32,
    /// What is wrong with it. Names elements, shows no values.
    pub what: String,
}

/// Reads a document.
///
/// # Errors
/// When it is too large, not UTF-8, not well-formed XML, has a document type, entities, too many or too deeply nested
/// elements, or another root than `Response`.
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Document, DocumentError> {
    let refuse = |code, line, what: String| Err(DocumentError { code, line, what });
    if bytes.len() > limits.bytes {
        return refuse(Code::TOO_LARGE, 0, format!("{} bytes; at most {} are read", bytes.len(), limits.bytes));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').trim_start(),
        Err(error) => {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            return refuse(Code::PARSE, line as u32, "not UTF-8".to_owned());
        }
    };
    let skipped = text.as_ptr().addr() - bytes.as_ptr().addr();
    let lines_before = bytes[..skipped].iter().filter(|byte| **byte == b'\n').count() as u32;
    let tree = xml::read(text, limits, lines_before)?;
    let mut notes = Notes::new(&tree, limits.notices);
    let root = tree.root();
    if root.tag_name().name() != "Response" {
        return refuse(Code::PARSE, notes.line(root), "the root element is not <Response>".to_owned());
    }
    let steps = verb::steps(root, &mut notes);
    Ok(Document { steps, notices: notes.into_notices() })
}
