//! `Conference`: a room where callers meet, and how one takes part in it.

use roxmltree::Node;

use super::{
    Link, RecordingCallback, Reference,
    attributes::{Attributes, Notes, text_of},
    record,
};
use crate::ivr::notice::Code;

/// A conference and how one takes part in it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConferenceRoom {
    /// Its name; two callers with the same name meet.
    pub name: String,
    /// Whether the caller is not heard.
    pub muted: bool,
    /// Whether a tone tells that somebody comes or goes.
    pub beep: Beep,
    /// Whether it begins with this caller.
    pub start_on_enter: bool,
    /// Whether it ends with this caller.
    pub end_on_exit: bool,
    /// What is played until it begins: `None` is music of the server's, an empty address is silence.
    pub wait: Option<Link>,
    /// How many may take part.
    pub max_participants: u32,
    /// Whether it is recorded.
    pub record: bool,
    /// Whether silence at the ends of the recording is cut off.
    pub trim: bool,
    /// Whom this caller coaches: heard by them alone.
    pub coach: Option<String>,
    /// What the REST API calls this caller.
    pub label: Option<String>,
    /// Who is told what happens in it.
    pub callback: Option<(Link, ConferenceEvents)>,
    /// Who is told of the recording.
    pub recording_callback: Option<RecordingCallback>,
}

/// When a tone tells of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beep {
    /// When they come and when they go.
    Both,
    /// Never.
    Never,
    /// When they come.
    Enter,
    /// When they go.
    Exit,
}

/// Events of a conference that somebody wants to hear of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConferenceEvents {
    /// It began.
    pub start: bool,
    /// It ended.
    pub end: bool,
    /// Somebody came.
    pub join: bool,
    /// Somebody went.
    pub leave: bool,
    /// Somebody was muted, or is heard again.
    pub mute: bool,
    /// Somebody was put on hold, or is back.
    pub hold: bool,
    /// Somebody's being changed in other ways.
    pub modify: bool,
    /// Somebody speaks, or stopped.
    pub speaker: bool,
    /// Something was played to all.
    pub announcement: bool,
}

/// Reads `Conference`; `None` when it has no name.
pub(super) fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<ConferenceRoom> {
    let mut attributes = Attributes::of(node, notes);
    attributes.known(&["region", "jitterBufferSize", "recordingConfigurationId", "eventCallbackUrl"]);
    let method = attributes.method("waitMethod");
    let wait = attributes.text("waitUrl").map(|to| Link { to: Reference(to.trim().to_owned()), method });
    let beeps = [("true", Beep::Both), ("false", Beep::Never), ("onEnter", Beep::Enter), ("onExit", Beep::Exit)];
    let records = [("do-not-record", false), ("record-from-start", true), ("true", true), ("false", false)];
    let room = ConferenceRoom {
        name: text_of(node),
        muted: attributes.flag("muted", false),
        beep: attributes.choice("beep", Code::SCHEMA, &beeps),
        start_on_enter: attributes.flag("startConferenceOnEnter", true),
        end_on_exit: attributes.flag("endConferenceOnExit", false),
        wait,
        max_participants: attributes.whole("maxParticipants", Code::SCHEMA, 1..=250, 250),
        record: attributes.choice("record", Code::SCHEMA, &records),
        trim: record::trim(&mut attributes, true),
        coach: attributes.word("coach"),
        label: attributes.word("participantLabel"),
        callback: callback(&mut attributes),
        recording_callback: record::callback(&mut attributes),
    };
    attributes.done();
    notes.nothing_within(node);
    if room.name.is_empty() || room.name.chars().count() > 128 {
        notes.tell(node, Code::CONFERENCE, "a conference has a name of 1 to 128 signs; left out");
        return None;
    }
    Some(room)
}

fn callback(attributes: &mut Attributes<'_, '_, '_, '_>) -> Option<(Link, ConferenceEvents)> {
    let method = attributes.method("statusCallbackMethod");
    let mut events = ConferenceEvents::default();
    for word in attributes.text("statusCallbackEvent").unwrap_or_default().split_whitespace() {
        match word {
            "start" => events.start = true,
            "end" => events.end = true,
            "join" => events.join = true,
            "leave" => events.leave = true,
            "mute" => events.mute = true,
            "hold" => events.hold = true,
            "modify" => events.modify = true,
            "speaker" => events.speaker = true,
            "announcement" => events.announcement = true,
            _ => {
                let text =
                    "statusCallbackEvent is none of start, end, join, leave, mute, hold, modify, speaker, announcement";
                attributes.tell(Code::SCHEMA, text.to_owned());
            }
        }
    }
    let to = attributes.reference("statusCallback")?;
    Some((Link { to, method }, events))
}
