//! The verbs, and those small enough to be read here.

use std::time::Duration;

use roxmltree::Node;

use super::{
    Connect, Dial, Enqueue, Gather, Record, Say, Startable, Stoppable,
    attributes::{Attributes, Notes, name_of, text_of},
};
use crate::ivr::{key::Tone, notice::Code, webhook::Method};

/// An address as a document has it: absolute, or relative to the document's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference(pub String);

/// An address and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where.
    pub to: Reference,
    /// How.
    pub method: Method,
}

/// One verb and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The line of the document, from 1.
    pub line: u32,
    /// What is to be done.
    pub verb: Verb,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// Speak.
    Say(Say),
    /// Play a file, or keys.
    Play(Play),
    /// Wait.
    Pause(Duration),
    /// Wait for keys or words, and ask the application what to do with them.
    Gather(Gather),
    /// Record the caller.
    Record(Record),
    /// Connect the caller with somebody.
    Dial(Dial),
    /// End the call.
    Hangup,
    /// Go on with another document.
    Redirect(Redirect),
    /// Do not take the call.
    Reject(RejectReason),
    /// Hand the call over to another SIP address.
    Refer(Refer),
    /// Wait in a queue.
    Enqueue(Enqueue),
    /// Leave the queue that one waits in.
    Leave,
    /// Hand the sound over to an application, and go on when it is done.
    Connect(Connect),
    /// Begin something that runs beside the document.
    Start(Vec<Startable>),
    /// End something that runs beside the document.
    Stop(Vec<Stoppable>),
    /// A verb that the vendor has and this server does not; the call ends here.
    Unsupported {
        /// Its name, with its noun where that is what is missing.
        name: String,
    },
}

impl Verb {
    /// The name of its element.
    pub fn name(&self) -> &str {
        match self {
            Self::Say(_) => "Say",
            Self::Play(_) => "Play",
            Self::Pause(_) => "Pause",
            Self::Gather(_) => "Gather",
            Self::Record(_) => "Record",
            Self::Dial(_) => "Dial",
            Self::Hangup => "Hangup",
            Self::Redirect(_) => "Redirect",
            Self::Reject(_) => "Reject",
            Self::Refer(_) => "Refer",
            Self::Enqueue(_) => "Enqueue",
            Self::Leave => "Leave",
            Self::Connect(_) => "Connect",
            Self::Start(_) => "Start",
            Self::Stop(_) => "Stop",
            Self::Unsupported { name } => name,
        }
    }
}

/// How often a sound is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// This often, at least once.
    Count(u32),
    /// Until something ends it.
    Forever,
}

impl Times {
    /// Once.
    pub const ONCE: Self = Self::Count(1);

    /// Reads `loop`, where 0 is for ever.
    pub(super) fn read(attributes: &mut Attributes<'_, '_, '_, '_>, code: Code) -> Self {
        match attributes.whole("loop", code, 0..=1_000, 1) {
            0 => Self::Forever,
            count => Self::Count(count),
        }
    }
}

/// What is played.
#[derive(Clone, Debug, PartialEq)]
pub enum Sound {
    /// A file.
    File(Reference),
    /// The tones of keys.
    Keys(Vec<Tone>),
}

/// Plays something.
#[derive(Clone, Debug, PartialEq)]
pub struct Play {
    /// What.
    pub sound: Sound,
    /// How often.
    pub times: Times,
}

/// Goes on with another document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Which; the document itself when none is named.
    pub to: Option<Reference>,
    /// How it is asked.
    pub method: Method,
}

/// Why a call is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// The number is out of service.
    Rejected,
    /// Busy.
    Busy,
}

/// Hands the call over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refer {
    /// To which SIP address.
    pub to: String,
    /// Who is asked how to go on, when the call was not handed over.
    pub action: Option<Link>,
}

/// The verbs in `root`.
pub(super) fn steps(root: Node<'_, '_>, notes: &mut Notes<'_>) -> Vec<Step> {
    if !text_of(root).is_empty() {
        notes.tell(root, Code::SCHEMA, "text between verbs is left out");
    }
    let elements = root.children().filter(Node::is_element);
    elements.filter_map(|node| Some(Step { line: notes.line(node), verb: read(node, notes)? })).collect()
}

fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Verb> {
    let verb = match node.tag_name().name() {
        "Say" => Verb::Say(super::speech::read(node, notes)),
        "Play" => Verb::Play(play(node, notes)?),
        "Pause" => Verb::Pause(pause(node, notes)),
        "Gather" => Verb::Gather(super::gather::read(node, notes)),
        "Record" => Verb::Record(super::record::read(node, notes)),
        "Dial" => Verb::Dial(super::dial::read(node, notes)),
        "Hangup" => {
            Attributes::of(node, notes).done();
            Verb::Hangup
        }
        "Redirect" => {
            let mut attributes = Attributes::of(node, notes);
            let method = attributes.method("method");
            attributes.done();
            notes.nothing_within(node);
            Verb::Redirect(Redirect { to: reference_of(node), method })
        }
        "Reject" => {
            let mut attributes = Attributes::of(node, notes);
            let table = [("rejected", RejectReason::Rejected), ("busy", RejectReason::Busy)];
            let reason = attributes.choice("reason", Code::SCHEMA, &table);
            attributes.done();
            Verb::Reject(reason)
        }
        "Refer" => refer(node, notes)?,
        "Enqueue" => Verb::Enqueue(super::queue::read(node, notes)?),
        "Leave" => {
            Attributes::of(node, notes).done();
            notes.nothing_within(node);
            Verb::Leave
        }
        "Connect" => super::connect::connect(node, notes)?,
        "Start" => super::connect::start(node, notes)?,
        "Stop" => Verb::Stop(super::connect::stop(node, notes)),
        "Pay" | "Prompt" | "Sms" | "Message" | "Echo" | "Queue" | "VirtualAgent" | "Autopilot" | "Assistant" => {
            Verb::Unsupported { name: name_of(node) }
        }
        "Number" | "Sip" | "Client" | "Conference" | "Stream" | "Siprec" | "Transcription" | "Recording"
        | "ConversationRelay" | "Parameter" | "Task" | "Room" | "Sim" | "Application" => {
            notes.tell(node, Code::SCHEMA, "a noun, which stands within a verb; left out");
            return None;
        }
        _ => {
            notes.tell(node, Code::SCHEMA, "no verb is called so; left out");
            return None;
        }
    };
    Some(verb)
}

/// Reads `Play`; `None` when there is nothing to play.
pub(super) fn play(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Play> {
    let mut attributes = Attributes::of(node, notes);
    let times = Times::read(&mut attributes, Code::PLAY_LOOP);
    let digits = attributes.text("digits");
    let tones = digits.map(|digits| Tone::read(digits.trim()));
    if matches!(tones, Some(None)) {
        attributes.tell(Code::SCHEMA, "digits has signs other than 0-9, *, #, A-D, w and W; left out".to_owned());
    }
    attributes.done();
    notes.nothing_within(node);
    let sound = match (tones, reference_of(node)) {
        (Some(Some(tones)), _) if !tones.is_empty() => Sound::Keys(tones),
        (_, Some(reference)) => Sound::File(reference),
        _ => {
            notes.tell(node, Code::PLAY_CONTENT, "neither an address nor digits to play; left out");
            return None;
        }
    };
    Some(Play { sound, times })
}

/// Reads `Pause`.
pub(super) fn pause(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Duration {
    let mut attributes = Attributes::of(node, notes);
    let length = attributes.seconds("length", Code::PAUSE_LENGTH, 0..=3_600, 1);
    attributes.done();
    notes.nothing_within(node);
    length
}

fn refer(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Verb> {
    let action = action(node, notes);
    let mut to = None;
    for child in node.children().filter(Node::is_element) {
        if child.tag_name().name() == "Sip" && to.is_none() {
            Attributes::of(child, notes).done();
            to = Some(text_of(child)).filter(|uri| is_sip_uri(uri));
        } else {
            notes.tell(child, Code::SCHEMA, "does not belong into <Refer>; left out");
        }
    }
    if to.is_none() {
        notes.tell(node, Code::SIP_URI, "without a <Sip> that holds a SIP address; left out");
    }
    Some(Verb::Refer(Refer { to: to?, action }))
}

/// Reads an element whose only attributes are `action` and `method`.
pub(super) fn action(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Link> {
    let mut attributes = Attributes::of(node, notes);
    let method = attributes.method("method");
    let action = attributes.reference("action").map(|to| Link { to, method });
    attributes.done();
    action
}

/// The address that is the text of `node`.
pub(super) fn reference_of(node: Node<'_, '_>) -> Option<Reference> {
    Some(text_of(node)).filter(|text| !text.is_empty()).map(Reference)
}

/// Whether `uri` is a SIP address as far as anybody can tell without a SIP library.
pub(super) fn is_sip_uri(uri: &str) -> bool {
    let rest = ["sip:", "sips:"].iter().find_map(|scheme| {
        uri.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).map(|_| &uri[scheme.len()..])
    });
    rest.is_some_and(|rest| {
        !rest.is_empty() && rest.len() <= 1_024 && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
    })
}
