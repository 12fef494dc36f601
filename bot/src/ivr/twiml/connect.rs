//! `Connect`, `Start` and `Stop`: applications that take the sound, and what runs beside a document.

use roxmltree::Node;

use super::{
    Link, RecordingCallback, Reference, Relay, Verb,
    attributes::{Attributes, Notes, name_of},
    gather, record, relay, verb,
};
use crate::ivr::{notice::Code, private::Private};

/// Hands the call over to an application, both ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Connect {
    /// To which.
    pub to: Connected,
    /// Who is asked how to go on when it is done; the next verb when nobody is named.
    pub action: Option<Link>,
}

/// What an application is given of a call, and gives back.
#[derive(Clone, Debug, PartialEq)]
pub enum Connected {
    /// Sound.
    Stream(Stream),
    /// Words.
    Relay(Box<Relay>),
}

/// The sound of the call over a WebSocket.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// What the application calls it, to stop it.
    pub name: Option<String>,
    /// Where: `ws` or `wss`, without a query.
    pub url: Reference,
    /// Which sound.
    pub track: AudioTrack,
    /// What the application is told at the start.
    pub parameters: Vec<(String, Private)>,
    /// Who is told that it began, ended or failed.
    pub callback: Option<Link>,
}

/// Whose sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioTrack {
    /// What the caller says.
    Inbound,
    /// What the caller hears.
    Outbound,
    /// Both.
    Both,
}

/// Something that runs beside the document.
#[derive(Clone, Debug, PartialEq)]
pub enum Startable {
    /// The sound goes to a WebSocket, and nothing comes back.
    Stream(Stream),
    /// What is said becomes text.
    Transcription(Transcription),
    /// The call is recorded.
    Recording(StartRecording),
}

/// What is said becomes text, while it is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcription {
    /// What the application calls it, to stop it.
    pub name: Option<String>,
    /// Whose words.
    pub track: AudioTrack,
    /// In which language; `multi` is whichever it turns out to be.
    pub language: Option<String>,
    /// What the caller is called in the text.
    pub inbound_label: Option<String>,
    /// What the other side is called in the text.
    pub outbound_label: Option<String>,
    /// Whether words that may still change are told.
    pub partial_results: bool,
    /// Whether words that offend are masked; passed on to the recognizer.
    pub profanity_filter: bool,
    /// Words that are likely to come.
    pub hints: Vec<String>,
    /// Who is told the words.
    pub callback: Option<Link>,
}

/// The call is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct StartRecording {
    /// What the application calls it, to stop it. Ours: the vendor has one without a name.
    pub name: Option<String>,
    /// Whose sound.
    pub track: AudioTrack,
    /// One channel, or one for each.
    pub channels: Channels,
    /// Whether silence at its ends is cut off.
    pub trim: bool,
    /// Who is told of the file.
    pub callback: Option<RecordingCallback>,
}

/// How many channels a recording has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// One for both.
    Mono,
    /// One for each.
    Dual,
}

/// Something that ran beside the document and is to end. Without a name: the one begun last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stoppable {
    /// A stream.
    Stream(Option<String>),
    /// A transcription.
    Transcription(Option<String>),
    /// A recording.
    Recording(Option<String>),
}

/// Reads `Connect`; `None` when there is nothing in it.
pub(super) fn connect(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Verb> {
    let action = verb::action(node, notes);
    let mut found = None;
    for child in node.children().filter(Node::is_element) {
        let connected = |to| Verb::Connect(Connect { to, action: action.clone() });
        let read = match child.tag_name().name() {
            "Stream" => stream(child, notes).map(|stream| connected(Connected::Stream(stream))),
            "ConversationRelay" => relay::read(child, notes).map(|relay| connected(Connected::Relay(Box::new(relay)))),
            "Room"
            | "VirtualAgent"
            | "Autopilot"
            | "Conversation"
            | "Assistant"
            | "AiSession"
            | "ConversationRelaySession" => Some(Verb::Unsupported { name: format!("Connect/{}", name_of(child)) }),
            _ => {
                notes.tell(child, Code::SCHEMA, "does not belong into <Connect>; left out");
                None
            }
        };
        found = found.or(read);
    }
    if found.is_none() {
        notes.tell(node, Code::SCHEMA, "nothing in it to connect with; left out");
    }
    found
}

/// Reads `Start`; `None` when there is nothing in it.
pub(super) fn start(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Verb> {
    let mut attributes = Attributes::of(node, notes);
    attributes.known(&["action", "method"]);
    attributes.done();
    let mut started = Vec::new();
    for child in node.children().filter(Node::is_element) {
        match child.tag_name().name() {
            "Stream" => started.extend(stream(child, notes).map(Startable::Stream)),
            "Transcription" => started.push(Startable::Transcription(transcription(child, notes))),
            "Recording" => started.push(Startable::Recording(recording(child, notes))),
            // A recording that somebody else keeps may be a duty; a call without it must not go on as if it were kept.
            "Siprec" => return Some(Verb::Unsupported { name: "Start/Siprec".to_owned() }),
            _ => notes.tell(child, Code::START_NOUN, "does not belong into <Start>; left out"),
        }
    }
    (!started.is_empty()).then_some(Verb::Start(started))
}

/// Reads `Stop`.
pub(super) fn stop(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Vec<Stoppable> {
    Attributes::of(node, notes).done();
    let mut stopped = Vec::new();
    for child in node.children().filter(Node::is_element) {
        // The vendor's libraries write all attributes of a start; only the name counts.
        let name = child.attribute("name").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        match child.tag_name().name() {
            "Stream" => stopped.push(Stoppable::Stream(name)),
            "Transcription" => stopped.push(Stoppable::Transcription(name)),
            "Recording" => stopped.push(Stoppable::Recording(name)),
            _ => notes.tell(child, Code::START_NOUN, "does not belong into <Stop>; left out"),
        }
    }
    stopped
}

fn stream(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Stream> {
    let mut attributes = Attributes::of(node, notes);
    attributes.without_effect(&["connectorName", "audioFormat", "sampleRate"]);
    let method = attributes.method("statusCallbackMethod");
    let mut stream = Stream {
        name: attributes.word("name"),
        url: Reference(attributes.word("url").unwrap_or_default()),
        track: track(&mut attributes, AudioTrack::Inbound),
        parameters: Vec::new(),
        callback: attributes.reference("statusCallback").map(|to| Link { to, method }),
    };
    if stream.url.0.is_empty() {
        attributes.tell(Code::STREAM, "a stream without a url; left out".to_owned());
    }
    attributes.done();
    for child in node.children().filter(Node::is_element) {
        let value = |name| child.attribute(name).map(str::to_owned);
        match value("name").zip(value("value")).filter(|_| child.tag_name().name() == "Parameter") {
            Some((name, value)) if stream.parameters.len() < 64 => stream.parameters.push((name, value.into())),
            _ => {
                notes.tell(child, Code::SCHEMA, "is no <Parameter> with a name and a value, or one too many; left out");
            }
        }
    }
    (!stream.url.0.is_empty()).then_some(stream)
}

fn track(attributes: &mut Attributes<'_, '_, '_, '_>, default: AudioTrack) -> AudioTrack {
    let table = [
        ("inbound_track", AudioTrack::Inbound),
        ("outbound_track", AudioTrack::Outbound),
        ("both_tracks", AudioTrack::Both),
        ("inbound", AudioTrack::Inbound),
        ("outbound", AudioTrack::Outbound),
        ("both", AudioTrack::Both),
    ];
    let mut table = table.to_vec();
    let at = table.iter().position(|(_, track)| *track == default).unwrap_or_default();
    table.swap(0, at);
    attributes.choice("track", Code::SCHEMA, &table)
}

fn transcription(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Transcription {
    let mut attributes = Attributes::of(node, notes);
    attributes.known(&["transcriptionEngine", "speechModel", "enableAutomaticPunctuation"]);
    attributes.without_effect(&["intelligenceService"]);
    let method = attributes.method("statusCallbackMethod");
    let transcription = Transcription {
        name: attributes.word("name"),
        track: track(&mut attributes, AudioTrack::Both),
        language: attributes.word("languageCode"),
        inbound_label: attributes.word("inboundTrackLabel"),
        outbound_label: attributes.word("outboundTrackLabel"),
        partial_results: attributes.flag("partialResults", false),
        profanity_filter: attributes.flag("profanityFilter", true),
        hints: gather::hints(&mut attributes),
        callback: attributes.reference("statusCallbackUrl").map(|to| Link { to, method }),
    };
    attributes.done();
    notes.nothing_within(node);
    transcription
}

fn recording(node: Node<'_, '_>, notes: &mut Notes<'_>) -> StartRecording {
    let mut attributes = Attributes::of(node, notes);
    attributes.known(&["recordingConfigurationId"]);
    let recording = StartRecording {
        name: attributes.word("name"),
        track: track(&mut attributes, AudioTrack::Both),
        channels: attributes.choice("channels", Code::SCHEMA, &[("dual", Channels::Dual), ("mono", Channels::Mono)]),
        trim: record::trim(&mut attributes, false),
        callback: record::callback(&mut attributes),
    };
    attributes.done();
    notes.nothing_within(node);
    recording
}
