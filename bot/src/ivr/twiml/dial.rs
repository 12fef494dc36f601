//! `Dial`: whom to connect the caller with, and how.

use std::time::Duration;

use roxmltree::Node;

use super::{
    Link, RecordingCallback, Reference,
    attributes::{Attributes, Notes, name_of, text_of},
    conference::{self, ConferenceRoom},
    record,
    verb::is_sip_uri,
};
use crate::{
    answering::Settings,
    ivr::{call::ProgressEvents, key::Tone, notice::Code, private::Private, webhook::Method},
};

/// Connects the caller with somebody.
#[derive(Clone, Debug, PartialEq)]
pub struct Dial {
    /// With whom.
    pub dialled: Dialled,
    /// Who is asked how to go on afterwards; the next verb when nobody is named.
    pub action: Option<Reference>,
    /// How they are asked.
    pub method: Method,
    /// How long it may ring, each of them.
    pub timeout: Duration,
    /// The number that is shown; the caller's own when none is named.
    pub caller_id: Option<Private>,
    /// Whether and what is recorded.
    pub record: DialRecord,
    /// Whether silence at the ends of a recording is cut off.
    pub trim: bool,
    /// Who is told of the recording.
    pub recording_callback: Option<RecordingCallback>,
    /// Whether the call is taken only when somebody answers: the caller hears the ringing of their own network.
    pub answer_on_bridge: bool,
    /// Whether `*` hangs up whoever was dialled.
    pub hangup_on_star: bool,
    /// How long the two may talk.
    pub time_limit: Duration,
    /// The country whose ringing the caller hears, as `de`; that of the server when none is named.
    pub ring_tone: Option<String>,
    /// Who is asked when whoever was dialled wants to pass the caller on.
    pub refer: Option<Link>,
}

/// Whom.
#[derive(Clone, Debug, PartialEq)]
pub enum Dialled {
    /// Telephones.
    Legs {
        /// Which; empty when none of them can be dialled.
        targets: Vec<Target>,
        /// Whether they ring one after the other; else all at once.
        sequential: bool,
    },
    /// A conference.
    Conference(Box<ConferenceRoom>),
    /// Whoever waits longest in a queue.
    Queue {
        /// Its name.
        name: String,
        /// What they hear before they are connected.
        whisper: Option<Link>,
    },
}

/// What is recorded of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialRecord {
    /// Nothing.
    No,
    /// Both in one channel, from the answer or from the first ring on.
    Mono {
        /// Whether the ringing is recorded as well.
        from_ringing: bool,
    },
    /// One channel for each.
    Dual {
        /// Whether the ringing is recorded as well.
        from_ringing: bool,
    },
}

/// Somebody to dial.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Who.
    pub who: Answering,
    /// Keys that are played to them when they answer: the way through a menu.
    pub send_digits: Vec<Tone>,
    /// What they hear before they are connected.
    pub whisper: Option<Link>,
    /// Who is told how it goes.
    pub callback: Option<LegCallback>,
    /// Whether somebody listens for a machine.
    pub detection: Option<MachineDetection>,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answering {
    /// A number.
    Number(Private),
    /// A SIP address.
    Sip {
        /// The address, without headers.
        uri: Private,
        /// Headers that the address asked for: `X-…` and `UUI`.
        headers: Vec<(String, Private)>,
        /// Who we are there, and the password for it.
        credentials: Option<(String, Private)>,
    },
    /// Somebody registered here.
    Client {
        /// Their name.
        identity: String,
        /// What they are told with the call.
        parameters: Vec<(String, Private)>,
    },
}

/// Who is told how it goes with somebody who is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegCallback {
    /// Where.
    pub link: Link,
    /// Of what.
    pub events: ProgressEvents,
}

/// How somebody listens for a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineDetection {
    /// Whether the end of its greeting is waited for.
    pub until_end_of_greeting: bool,
    /// How long is listened.
    pub timeout: Duration,
    /// A greeting longer than this is a machine's.
    pub speech_threshold: Duration,
    /// A pause this long ends a greeting.
    pub speech_end_threshold: Duration,
    /// Silence this long at the start tells nothing.
    pub silence_timeout: Duration,
    /// Who is told what answered.
    pub callback: Option<Link>,
}

impl MachineDetection {
    /// The same for [`crate::answering`].
    pub fn settings(&self) -> Settings {
        Settings {
            until_message_end: self.until_end_of_greeting,
            timeout: self.timeout,
            speech_threshold: self.speech_threshold,
            speech_end_threshold: self.speech_end_threshold,
            silence_timeout: self.silence_timeout,
        }
    }
}

/// The most that ring at once or after each other: ten, as the vendor has it.
const MOST_TARGETS: usize = 10;

/// Reads `Dial`.
pub(super) fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Dial {
    let mut attributes = Attributes::of(node, notes);
    let sequential = attributes.flag("sequential", false);
    let refer_method = attributes.method("referMethod");
    attributes.known(&["recordingConfigurationId", "recordingTrack", "events", "passports"]);
    let records = [
        ("do-not-record", DialRecord::No),
        ("false", DialRecord::No),
        ("true", DialRecord::Mono { from_ringing: false }),
        ("record-from-answer", DialRecord::Mono { from_ringing: false }),
        ("record-from-ringing", DialRecord::Mono { from_ringing: true }),
        ("record-from-answer-dual", DialRecord::Dual { from_ringing: false }),
        ("record-from-ringing-dual", DialRecord::Dual { from_ringing: true }),
    ];
    let mut dial = Dial {
        dialled: Dialled::Legs { targets: Vec::new(), sequential },
        action: attributes.reference("action"),
        method: attributes.method("method"),
        timeout: attributes.seconds("timeout", Code::DIAL_ATTRIBUTE, 1..=600, 30),
        caller_id: attributes.word("callerId").map(Private::from),
        record: attributes.choice("record", Code::SCHEMA, &records),
        trim: record::trim(&mut attributes, false),
        recording_callback: record::callback(&mut attributes),
        answer_on_bridge: attributes.flag("answerOnBridge", false),
        hangup_on_star: attributes.flag("hangupOnStar", false),
        time_limit: attributes.seconds("timeLimit", Code::DIAL_ATTRIBUTE, 1..=86_400, 14_400),
        ring_tone: attributes.word("ringTone"),
        refer: attributes.reference("referUrl").map(|to| Link { to, method: refer_method }),
    };
    attributes.done();
    dial.dialled = dialled(node, sequential, notes);
    dial
}

fn dialled(node: Node<'_, '_>, sequential: bool, notes: &mut Notes<'_>) -> Dialled {
    let mut targets = Vec::new();
    let plain = text_of(node);
    if !plain.is_empty() {
        targets.extend(number(node, &plain, notes).map(Target::plain));
    }
    let mut alone = None;
    for child in node.children().filter(Node::is_element) {
        match child.tag_name().name() {
            "Number" => targets.extend(target(child, notes, number_of)),
            "Sip" => targets.extend(target(child, notes, sip_of)),
            "Client" => targets.extend(target(child, notes, client_of)),
            "Conference" if alone.is_none() => {
                alone = conference::read(child, notes).map(|room| Dialled::Conference(Box::new(room)));
            }
            "Queue" if alone.is_none() => alone = queue(child, notes),
            name @ ("Sim" | "Application" | "WhatsApp") => {
                notes.tell(child, Code::DIAL, format!("{name} cannot be dialled from here; left out"));
            }
            _ => {
                let name = name_of(child);
                let text = format!("<{name}> does not belong into <Dial>, or not beside what is there; left out");
                notes.tell(child, Code::SCHEMA, text);
            }
        }
    }
    if targets.len() > MOST_TARGETS {
        notes.tell(node, Code::DIAL, format!("more than {MOST_TARGETS} to dial; the others are left out"));
        targets.truncate(MOST_TARGETS);
    }
    match alone {
        Some(alone) if targets.is_empty() => alone,
        Some(_) => {
            notes.tell(node, Code::SCHEMA, "a conference or queue stands alone in <Dial>; left out");
            Dialled::Legs { targets, sequential }
        }
        None => Dialled::Legs { targets, sequential },
    }
}

impl Target {
    fn plain(who: Answering) -> Self {
        Self { who, send_digits: Vec::new(), whisper: None, callback: None, detection: None }
    }
}

type Who = fn(Node<'_, '_>, &mut Attributes<'_, '_, '_, '_>) -> Option<Answering>;

fn target(node: Node<'_, '_>, notes: &mut Notes<'_>, who: Who) -> Option<Target> {
    let mut attributes = Attributes::of(node, notes);
    attributes.known(&["byoc"]);
    let who = who(node, &mut attributes);
    let send_digits = attributes.text("sendDigits").map(|digits| Tone::read(digits.trim()));
    if matches!(send_digits, Some(None)) {
        attributes.tell(Code::SCHEMA, "sendDigits has signs other than 0-9, *, #, A-D, w and W; left out".to_owned());
    }
    let method = attributes.method("method");
    let target = Target {
        who: Answering::Number(Private::default()),
        send_digits: send_digits.flatten().unwrap_or_default(),
        whisper: attributes.reference("url").map(|to| Link { to, method }),
        callback: leg_callback(&mut attributes),
        detection: detection(&mut attributes),
    };
    attributes.done();
    Some(Target { who: who?, ..target })
}

fn number_of(node: Node<'_, '_>, attributes: &mut Attributes<'_, '_, '_, '_>) -> Option<Answering> {
    let number = number_text(&text_of(node));
    if number.is_none() {
        attributes.tell(Code::DIAL_NUMBER, "no telephone number; left out".to_owned());
    }
    number
}

/// The text of a `Dial`, which is a number, a SIP address or a client's name.
fn number(node: Node<'_, '_>, text: &str, notes: &mut Notes<'_>) -> Option<Answering> {
    if is_sip_uri(text) {
        return Some(sip(text, None));
    }
    if let Some(identity) = text.strip_prefix("client:") {
        return Some(Answering::Client { identity: identity.to_owned(), parameters: Vec::new() });
    }
    let number = number_text(text);
    if number.is_none() {
        notes.tell(node, Code::DIAL_NUMBER, "its text is no telephone number; left out");
    }
    number
}

/// A number as people write one: digits with blanks, dashes, dots and brackets between them.
fn number_text(text: &str) -> Option<Answering> {
    let number: String = text.chars().filter(|sign| !" -.()/\u{a0}".contains(*sign)).collect();
    let digits = number.strip_prefix('+').unwrap_or(&number);
    let is_number =
        (1..=20).contains(&digits.len()) && digits.chars().all(|sign| sign.is_ascii_digit() || "*#".contains(sign));
    is_number.then(|| Answering::Number(number.into()))
}

fn sip_of(node: Node<'_, '_>, attributes: &mut Attributes<'_, '_, '_, '_>) -> Option<Answering> {
    let credentials = attributes.word("username").zip(Some(attributes.word("password").unwrap_or_default()));
    let uri = text_of(node);
    if !is_sip_uri(&uri) {
        attributes.tell(Code::SIP_URI, "no SIP address; left out".to_owned());
        return None;
    }
    Some(sip(&uri, credentials.map(|(name, password)| (name, password.into()))))
}

/// Parts an address from the headers behind its question mark. Those that could steer the call elsewhere do not pass.
fn sip(uri: &str, credentials: Option<(String, Private)>) -> Answering {
    let (uri, query) = uri.split_once('?').unwrap_or((uri, ""));
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let mine = pairs.filter(|(name, value)| {
        let name = name.to_ascii_lowercase();
        (name.starts_with("x-") || name == "user-to-user")
            && name.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '-')
            && !value.chars().any(char::is_control)
    });
    let headers = mine.take(16).map(|(name, value)| (name.into_owned(), Private::from(value.into_owned()))).collect();
    Answering::Sip { uri: uri.into(), headers, credentials }
}

fn client_of(node: Node<'_, '_>, attributes: &mut Attributes<'_, '_, '_, '_>) -> Option<Answering> {
    let (mut identity, mut parameters) = (text_of(node), Vec::new());
    for child in node.children().filter(Node::is_element) {
        match child.tag_name().name() {
            "Identity" => identity = text_of(child),
            "Parameter" => {
                let value = |name| child.attribute(name).map(str::to_owned);
                if let Some((name, value)) = value("name").zip(value("value")).filter(|_| parameters.len() < 32) {
                    parameters.push((name, value.into()));
                }
            }
            name => attributes.tell(Code::SCHEMA, format!("<{name}> does not belong into <Client>; left out")),
        }
    }
    if identity.is_empty() {
        attributes.tell(Code::DIAL, "a client without a name; left out".to_owned());
        return None;
    }
    Some(Answering::Client { identity, parameters })
}

fn leg_callback(attributes: &mut Attributes<'_, '_, '_, '_>) -> Option<LegCallback> {
    let method = attributes.method("statusCallbackMethod");
    let mut events = ProgressEvents { initiated: false, ringing: false, answered: false, completed: false };
    match attributes.text("statusCallbackEvent") {
        None => events = ProgressEvents::END,
        Some(text) => {
            for word in text.split_whitespace() {
                match word {
                    "initiated" => events.initiated = true,
                    "ringing" => events.ringing = true,
                    "answered" => events.answered = true,
                    "completed" => events.completed = true,
                    _ => {
                        let text = "statusCallbackEvent is none of initiated, ringing, answered, completed";
                        attributes.tell(Code::SCHEMA, text.to_owned());
                    }
                }
            }
        }
    }
    let to = attributes.reference("statusCallback")?;
    Some(LegCallback { link: Link { to, method }, events })
}

fn detection(attributes: &mut Attributes<'_, '_, '_, '_>) -> Option<MachineDetection> {
    let table = [("none", None), ("Enable", Some(false)), ("DetectMessageEnd", Some(true))];
    let wanted = attributes.choice("machineDetection", Code::SCHEMA, &table);
    let method = attributes.method("amdStatusCallbackMethod");
    let callback = attributes.reference("amdStatusCallback").map(|to| Link { to, method });
    let mut ms =
        |name, range, default| Duration::from_millis(attributes.whole(name, Code::SCHEMA, range, default).into());
    let detection = MachineDetection {
        until_end_of_greeting: wanted.unwrap_or_default(),
        speech_threshold: ms("machineDetectionSpeechThreshold", 1_000..=6_000, 2_400),
        speech_end_threshold: ms("machineDetectionSpeechEndThreshold", 500..=5_000, 1_200),
        silence_timeout: ms("machineDetectionSilenceTimeout", 2_000..=10_000, 5_000),
        timeout: attributes.seconds("machineDetectionTimeout", Code::SCHEMA, 3..=59, 30),
        callback,
    };
    wanted.map(|_| detection)
}

fn queue(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Dialled> {
    let mut attributes = Attributes::of(node, notes);
    let method = attributes.method("method");
    let whisper = attributes.reference("url").map(|to| Link { to, method });
    attributes.without_effect(&["reservationSid", "postWorkActivitySid"]);
    attributes.done();
    let name = super::queue::name(node, notes)?;
    Some(Dialled::Queue { name, whisper })
}
