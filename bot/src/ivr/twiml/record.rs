//! `Record`, and what all recordings have in common.

use std::time::Duration;

use roxmltree::Node;

use super::{
    Link, Reference,
    attributes::{Attributes, Notes},
};
use crate::ivr::{key::KeySet, notice::Code, webhook::Method};

/// Records the caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Who is told of the recording and how to go on; the document itself when nobody is named.
    pub action: Option<Reference>,
    /// How they are asked.
    pub method: Method,
    /// After how much silence it ends.
    pub timeout: Duration,
    /// Which keys end it.
    pub finish_on: KeySet,
    /// When it ends at the latest.
    pub max_length: Duration,
    /// Whether a beep says that it begins.
    pub beep: bool,
    /// Whether silence at its ends is cut off.
    pub trim: bool,
    /// Who is told of the file, whatever becomes of the call.
    pub callback: Option<RecordingCallback>,
    /// Whether what was said is wanted as text.
    pub transcribe: bool,
    /// Who is told that text.
    pub transcribe_callback: Option<Reference>,
}

/// Who is told of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingCallback {
    /// Where.
    pub link: Link,
    /// Of what.
    pub events: RecordingEvents,
}

/// Events of a recording that somebody wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordingEvents {
    /// It began.
    pub in_progress: bool,
    /// The file is there.
    pub completed: bool,
    /// There was nothing to record.
    pub absent: bool,
}

/// Reads `Record`.
pub(super) fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Record {
    let mut attributes = Attributes::of(node, notes);
    let transcribe_callback = attributes.reference("transcribeCallback");
    attributes.known(&["recordingConfigurationId"]);
    let record = Record {
        action: attributes.reference("action"),
        method: attributes.method("method"),
        timeout: attributes.seconds("timeout", Code::RECORD_TIMEOUT, 1..=600, 5),
        finish_on: finish_on(&mut attributes),
        max_length: attributes.seconds("maxLength", Code::RECORD_MAX_LENGTH, 1..=14_400, 3_600),
        beep: attributes.flag("playBeep", true),
        trim: trim(&mut attributes, true),
        callback: callback(&mut attributes),
        transcribe: attributes.flag("transcribe", false) || transcribe_callback.is_some(),
        transcribe_callback,
    };
    attributes.done();
    notes.nothing_within(node);
    record
}

fn finish_on(attributes: &mut Attributes<'_, '_, '_, '_>) -> KeySet {
    let Some(text) = attributes.text("finishOnKey") else { return KeySet::TWELVE };
    KeySet::from_text(text.trim()).unwrap_or_else(|| {
        attributes
            .tell(Code::RECORD_FINISH_ON_KEY, "finishOnKey has signs that are no keys; every key ends".to_owned());
        KeySet::TWELVE
    })
}

/// Reads `trim`.
pub(super) fn trim(attributes: &mut Attributes<'_, '_, '_, '_>, default: bool) -> bool {
    let table = [("trim-silence", true), ("do-not-trim", false), ("true", true), ("false", false)];
    let at = usize::from(!default);
    attributes.choice("trim", Code::SCHEMA, &[table[at], table[1 - at], table[2], table[3]])
}

/// Reads `recordingStatusCallback`, `…Method` and `…Event`.
pub(super) fn callback(attributes: &mut Attributes<'_, '_, '_, '_>) -> Option<RecordingCallback> {
    let method = attributes.method("recordingStatusCallbackMethod");
    let text = attributes.text("recordingStatusCallbackEvent").unwrap_or("completed");
    let mut events = RecordingEvents { in_progress: false, completed: false, absent: false };
    for word in text.split_whitespace() {
        match word {
            "in-progress" => events.in_progress = true,
            "completed" => events.completed = true,
            "absent" => events.absent = true,
            _ => {
                let text = "recordingStatusCallbackEvent is none of in-progress, completed, absent".to_owned();
                attributes.tell(Code::SCHEMA, text);
            }
        }
    }
    let to = attributes.reference("recordingStatusCallback")?;
    Some(RecordingCallback { link: Link { to, method }, events })
}
