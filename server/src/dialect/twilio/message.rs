//! The messages of Media Streams, both ways: values, as Twilio spells them, and what is wrong with others'.
//!
//! Numbers are strings where Twilio has them as strings (`sequenceNumber`, `chunk`, `timestamp`) and are read as
//! either. What Twilio says is a [`Said`], numbered by a [`Narrator`]; what a server answers is a [`Command`].
//! Events that nobody knows are no error of Twilio's ([`Said::Unknown`]), and one of a server's ([`BadFrame`]), as
//! Twilio has it. Pure: text in, values out.

use std::{collections::BTreeMap, fmt};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The longest name of a mark, and of anything else that a server names. Twilio names no bound; frameworks use
/// numbers and UUIDs.
const NAME_BYTES_MAX: usize = 1_024;

/// Whose voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Track {
    /// What comes in from the caller.
    Inbound,
    /// What goes out to the caller.
    Outbound,
}

impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        })
    }
}

/// How a stream begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// `MZ…`
    pub stream_sid: String,
    /// `AC…`
    pub account_sid: String,
    /// `CA…`
    pub call_sid: String,
    /// What comes.
    pub tracks: Vec<Track>,
    /// What whoever wrote the TwiML says.
    pub parameters: BTreeMap<String, String>,
    /// How the sound is written.
    pub format: Format,
}

/// How sound is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Format {
    /// Always `audio/x-mulaw` at Twilio.
    pub encoding: String,
    /// Always 8000 at Twilio.
    pub sample_rate: u32,
    /// Always 1 at Twilio.
    pub channels: u16,
}

impl Default for Format {
    fn default() -> Self {
        Self { encoding: "audio/x-mulaw".to_owned(), sample_rate: 8_000, channels: 1 }
    }
}

/// What Twilio says to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The socket is open.
    Connected,
    /// What follows is about this.
    Start(Box<Start>),
    /// Sound: mu-law bytes, 160 for the usual 20 ms.
    Media {
        /// Whose.
        track: Track,
        /// When it was heard, in milliseconds since the stream began.
        at_ms: u64,
        /// The bytes.
        payload: Vec<u8>,
    },
    /// The caller pressed a key.
    Dtmf(char),
    /// What the server sent before this mark has been played, or was cleared.
    Mark(String),
    /// Nothing more comes.
    Stop,
    /// Something newer than this file; to be passed over.
    Unknown(String),
}

/// A message that cannot be read: the fault of whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// It is binary.
    #[error("a message of Media Streams is text, and this one is binary")]
    Binary,
    /// It is no JSON object with an `event`.
    #[error("a message of Media Streams is a JSON object with an event")]
    NoEvent,
    /// The event is none that may be sent this way.
    #[error("the event is not one of media, mark and clear")]
    NoSuchEvent,
    /// The stream that it names is another.
    #[error("streamSid is not that of this stream")]
    WrongStream,
    /// A field of it is missing, or of the wrong kind.
    #[error("{0} is missing or cannot be read")]
    Field(&'static str),
    /// A stream that only goes out takes nothing.
    #[error("a stream of <Start> takes no messages")]
    OneWay,
}

impl BadFrame {
    /// What Twilio calls it.
    pub fn twilio_code(self) -> u32 {
        match self {
            Self::Binary => 31_950,
            _ => 31_951,
        }
    }
}

impl Said {
    /// Reads what Twilio says.
    ///
    /// # Errors
    /// [`BadFrame`].
    pub fn read(text: &str) -> Result<Self, BadFrame> {
        let message: Value = serde_json::from_str(text).map_err(|_| BadFrame::NoEvent)?;
        let event = message["event"].as_str().ok_or(BadFrame::NoEvent)?;
        match event {
            "connected" => Ok(Self::Connected),
            "start" => read_start(&message).map(|start| Self::Start(Box::new(start))),
            "media" => {
                let media = &message["media"];
                // A stream that has one track may leave it out.
                let track = match &media["track"] {
                    Value::Null => Track::Inbound,
                    track => Track::deserialize(track).map_err(|_| BadFrame::Field("media.track"))?,
                };
                let at_ms = if media["timestamp"].is_null() {
                    0
                } else {
                    number(&media["timestamp"]).ok_or(BadFrame::Field("media.timestamp"))?
                };
                Ok(Self::Media { track, at_ms, payload: payload(media)? })
            }
            "dtmf" => {
                let digit = message["dtmf"]["digit"].as_str().and_then(key);
                digit.map(Self::Dtmf).ok_or(BadFrame::Field("dtmf.digit"))
            }
            "mark" => Ok(Self::Mark(mark_name(&message)?)),
            "stop" => Ok(Self::Stop),
            other => Ok(Self::Unknown(other.chars().take(SHOWN_CHARS).collect())),
        }
    }
}

fn read_start(message: &Value) -> Result<Start, BadFrame> {
    let start = &message["start"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let named = start["streamSid"].as_str().or_else(|| message["streamSid"].as_str());
    let stream_sid = named.filter(|sid| !sid.is_empty() && sid.len() <= NAME_BYTES_MAX);
    let tracks = match &start["tracks"] {
        Value::Null => vec![Track::Inbound],
        tracks => Vec::deserialize(tracks).map_err(|_| BadFrame::Field("start.tracks"))?,
    };
    let parameters = match &start["customParameters"] {
        Value::Object(pairs) => pairs
            .iter()
            // Whatever kind a value has, it was text in the TwiML.
            .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect(),
        _ => BTreeMap::new(),
    };
    let format = match &start["mediaFormat"] {
        Value::Null => Format::default(),
        format => Format::deserialize(format).map_err(|_| BadFrame::Field("start.mediaFormat"))?,
    };
    Ok(Start {
        stream_sid: stream_sid.ok_or(BadFrame::Field("start.streamSid"))?.to_owned(),
        account_sid: text(&start["accountSid"]),
        call_sid: text(&start["callSid"]),
        tracks,
        parameters,
        format,
    })
}

/// Gives what Twilio says its spelling and its numbers.
#[derive(Clone, Debug)]
pub struct Narrator {
    start: Start,
    sequence: u64,
    chunks: BTreeMap<Track, u64>,
}

impl Narrator {
    /// Of a stream that begins so.
    pub fn new(start: Start) -> Self {
        Self { start, sequence: 0, chunks: BTreeMap::new() }
    }

    /// The first message, which has neither a number nor a name.
    pub fn connected(&self) -> String {
        spell(&Connected { event: "connected", protocol: "Call", version: "1.0.0" })
    }

    /// The second message.
    pub fn start(&mut self) -> String {
        let sequence_number = self.count();
        let Start { stream_sid, account_sid, call_sid, tracks, parameters, format } = &self.start;
        let body = StartBody {
            account_sid,
            stream_sid,
            call_sid,
            tracks,
            media_format: format,
            custom_parameters: parameters,
        };
        spell(&Numbered { event: "start", sequence_number, body: Body::Start(body), stream_sid })
    }

    /// Sound of one track, heard `at_ms` after the stream began.
    pub fn media(&mut self, track: Track, at_ms: u64, payload: &[u8]) -> String {
        let sequence_number = self.count();
        let chunk = self.chunks.entry(track).or_default();
        *chunk += 1;
        let body = MediaBody {
            track,
            chunk: chunk.to_string(),
            timestamp: at_ms.to_string(),
            payload: STANDARD.encode(payload),
        };
        self.numbered("media", sequence_number, Body::Media(body))
    }

    /// A key that the caller pressed.
    pub fn dtmf(&mut self, digit: char) -> String {
        let sequence_number = self.count();
        self.numbered("dtmf", sequence_number, Body::Dtmf(DtmfBody { track: "inbound_track", digit }))
    }

    /// A mark that was played, or cleared.
    pub fn mark(&mut self, name: &str) -> String {
        let sequence_number = self.count();
        self.numbered("mark", sequence_number, Body::Mark(MarkBody { name }))
    }

    /// The last message.
    pub fn stop(&mut self) -> String {
        let sequence_number = self.count();
        let body = StopBody { account_sid: &self.start.account_sid, call_sid: &self.start.call_sid };
        self.numbered("stop", sequence_number, Body::Stop(body))
    }

    fn count(&mut self) -> String {
        self.sequence += 1;
        self.sequence.to_string()
    }

    fn numbered(&self, event: &'static str, sequence_number: String, body: Body<'_>) -> String {
        spell(&Numbered { event, sequence_number, body, stream_sid: &self.start.stream_sid })
    }
}

#[derive(Serialize)]
struct Connected {
    event: &'static str,
    protocol: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Numbered<'a> {
    event: &'static str,
    sequence_number: String,
    #[serde(flatten)]
    body: Body<'a>,
    stream_sid: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Body<'a> {
    Start(StartBody<'a>),
    Media(MediaBody),
    Dtmf(DtmfBody),
    Mark(MarkBody<'a>),
    Stop(StopBody<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StartBody<'a> {
    account_sid: &'a str,
    stream_sid: &'a str,
    call_sid: &'a str,
    tracks: &'a [Track],
    media_format: &'a Format,
    custom_parameters: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct MediaBody {
    track: Track,
    chunk: String,
    timestamp: String,
    payload: String,
}

#[derive(Serialize)]
struct DtmfBody {
    track: &'static str,
    digit: char,
}

#[derive(Serialize)]
struct MarkBody<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StopBody<'a> {
    account_sid: &'a str,
    call_sid: &'a str,
}

/// What a server says to Twilio, on a stream that goes both ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To be played, after everything that was sent before: mu-law bytes, however many.
    Media(Vec<u8>),
    /// Tell when everything that was sent before has been played.
    Mark(String),
    /// Forget what has not been played.
    Clear,
}

impl Command {
    /// Reads what a server sent on the stream `stream_sid`.
    ///
    /// # Errors
    /// [`BadFrame`].
    pub fn read(text: &str, stream_sid: &str) -> Result<Self, BadFrame> {
        let message: Value = serde_json::from_str(text).map_err(|_| BadFrame::NoEvent)?;
        let event = message["event"].as_str().ok_or(BadFrame::NoEvent)?;
        if !matches!(event, "media" | "mark" | "clear") {
            return Err(BadFrame::NoSuchEvent);
        }
        if message["streamSid"].as_str() != Some(stream_sid) {
            return Err(BadFrame::WrongStream);
        }
        match event {
            "media" => payload(&message["media"]).map(Self::Media),
            "mark" => mark_name(&message).map(Self::Mark),
            _ => Ok(Self::Clear),
        }
    }

    /// As it goes over the wire.
    pub fn spell(&self, stream_sid: &str) -> String {
        let message = match self {
            Self::Media(payload) => {
                json!({"event": "media", "streamSid": stream_sid, "media": {"payload": STANDARD.encode(payload)}})
            }
            Self::Mark(name) => json!({"event": "mark", "streamSid": stream_sid, "mark": {"name": name}}),
            Self::Clear => json!({"event": "clear", "streamSid": stream_sid}),
        };
        message.to_string()
    }
}

fn payload(media: &Value) -> Result<Vec<u8>, BadFrame> {
    let text = media["payload"].as_str().ok_or(BadFrame::Field("media.payload"))?;
    LENIENT.decode(text).map_err(|_| BadFrame::Field("media.payload"))
}

fn mark_name(message: &Value) -> Result<String, BadFrame> {
    let name = message["mark"]["name"].as_str().filter(|name| name.len() <= NAME_BYTES_MAX);
    name.map(str::to_owned).ok_or(BadFrame::Field("mark.name"))
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn key(digit: &str) -> Option<char> {
    let mut characters = digit.chars();
    let key = characters.next()?.to_ascii_uppercase();
    (characters.next().is_none() && matches!(key, '0'..='9' | '*' | '#' | 'A'..='D')).then_some(key)
}

fn spell(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("these messages hold only text, numbers and lists")
}

/// Base64 with its padding or without: bots forget it, and it says nothing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How much of an event that nobody knows is kept.
const SHOWN_CHARS: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start() -> Start {
        Start {
            stream_sid: "MZ1".to_owned(),
            account_sid: "AC1".to_owned(),
            call_sid: "CA1".to_owned(),
            tracks: vec![Track::Inbound],
            parameters: [("FirstName".to_owned(), "Ada".to_owned())].into(),
            format: Format::default(),
        }
    }

    #[test]
    fn a_stream_reads_on_the_wire_as_twilios_do() {
        let mut narrator = Narrator::new(start());
        assert_eq!(narrator.connected(), r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#);
        assert_eq!(
            narrator.start(),
            concat!(
                r#"{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1","streamSid":"MZ1","callSid":"CA1","#,
                r#""tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},"#,
                r#""customParameters":{"FirstName":"Ada"}},"streamSid":"MZ1"}"#
            )
        );
        assert_eq!(
            narrator.media(Track::Inbound, 5, &[0xff, 0x7f]),
            concat!(
                r#"{"event":"media","sequenceNumber":"2","#,
                r#""media":{"track":"inbound","chunk":"1","timestamp":"5","payload":"/38="},"streamSid":"MZ1"}"#
            )
        );
        assert_eq!(
            narrator.dtmf('#'),
            r##"{"event":"dtmf","sequenceNumber":"3","dtmf":{"track":"inbound_track","digit":"#"},"streamSid":"MZ1"}"##
        );
        assert_eq!(
            narrator.mark("a \"b\""),
            r#"{"event":"mark","sequenceNumber":"4","mark":{"name":"a \"b\""},"streamSid":"MZ1"}"#
        );
        assert_eq!(
            narrator.stop(),
            r#"{"event":"stop","sequenceNumber":"5","stop":{"accountSid":"AC1","callSid":"CA1"},"streamSid":"MZ1"}"#
        );
    }

    #[test]
    fn chunks_are_counted_for_each_track_and_messages_for_all() {
        let mut narrator = Narrator::new(start());
        let counted = [Track::Inbound, Track::Outbound, Track::Inbound].map(|track| {
            let message: Value = serde_json::from_str(&narrator.media(track, 0, &[])).unwrap();
            (
                message["sequenceNumber"].as_str().unwrap().to_owned(),
                message["media"]["chunk"].as_str().unwrap().to_owned(),
            )
        });
        let expected = [("1", "1"), ("2", "1"), ("3", "2")].map(|(all, own)| (all.to_owned(), own.to_owned()));
        assert_eq!(counted, expected);
    }

    #[test]
    fn what_we_say_as_twilio_is_what_we_hear_as_a_server() {
        let mut narrator = Narrator::new(start());
        assert_eq!(Said::read(&narrator.connected()), Ok(Said::Connected));
        assert_eq!(Said::read(&narrator.start()), Ok(Said::Start(Box::new(start()))));
        let media = Said::Media { track: Track::Outbound, at_ms: 40, payload: vec![1, 2, 3] };
        assert_eq!(Said::read(&narrator.media(Track::Outbound, 40, &[1, 2, 3])), Ok(media));
        assert_eq!(Said::read(&narrator.dtmf('D')), Ok(Said::Dtmf('D')));
        assert_eq!(Said::read(&narrator.mark("m")), Ok(Said::Mark("m".to_owned())));
        assert_eq!(Said::read(&narrator.stop()), Ok(Said::Stop));
        for command in [Command::Media(vec![0; 1_000]), Command::Mark("ä".to_owned()), Command::Clear] {
            assert_eq!(Command::read(&command.spell("MZ1"), "MZ1"), Ok(command));
        }
    }

    #[test]
    fn other_vendors_spellings_are_understood() {
        let said =
            Said::read(r#"{"event":"start","sequenceNumber":1,"streamSid":"x","start":{"customParameters":{"n":5}}}"#);
        let Ok(Said::Start(start)) = said else { panic!("{said:?}") };
        assert_eq!((start.stream_sid.as_str(), start.parameters["n"].as_str()), ("x", "5"));
        assert_eq!(start.tracks, [Track::Inbound]);
        let said = Said::read(r#"{"event":"media","media":{"timestamp":20,"chunk":2,"payload":"/38"}}"#);
        assert_eq!(said, Ok(Said::Media { track: Track::Inbound, at_ms: 20, payload: vec![0xff, 0x7f] }));
        assert_eq!(Said::read(r#"{"event":"shout","x":1}"#), Ok(Said::Unknown("shout".to_owned())));
    }

    #[test]
    fn a_bad_message_of_a_bot_says_what_is_wrong_with_it_and_what_twilio_calls_that() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for (text, bad) in [
            ("", BadFrame::NoEvent),
            ("[]", BadFrame::NoEvent),
            (r#"{"event":5}"#, BadFrame::NoEvent),
            (r#"{"event":"say","streamSid":"MZ1"}"#, BadFrame::NoSuchEvent),
            (r#"{"event":"clear"}"#, BadFrame::WrongStream),
            (r#"{"event":"clear","streamSid":"MZ2"}"#, BadFrame::WrongStream),
            (r#"{"event":"media","streamSid":"MZ1"}"#, BadFrame::Field("media.payload")),
            (r#"{"event":"media","streamSid":"MZ1","media":{"payload":"?"}}"#, BadFrame::Field("media.payload")),
            (r#"{"event":"mark","streamSid":"MZ1","mark":{}}"#, BadFrame::Field("mark.name")),
            (
                &format!(r#"{{"event":"mark","streamSid":"MZ1","mark":{{"name":"{long}"}}}}"#),
                BadFrame::Field("mark.name"),
            ),
        ] {
            assert_eq!(Command::read(text, "MZ1"), Err(bad), "{text}");
            assert_eq!(bad.twilio_code(), 31_951);
        }
        assert_eq!(BadFrame::Binary.twilio_code(), 31_950);
        for digit in ["", "12", "x", "é"] {
            let text = json!({"event": "dtmf", "dtmf": {"digit": digit}}).to_string();
            assert_eq!(Said::read(&text), Err(BadFrame::Field("dtmf.digit")));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in any::<String>(), event in "connected|start|media|dtmf|mark|stop|clear") {
            let _ = Said::read(&text);
            let _ = Command::read(&text, "MZ1");
            let nested = json!({"event": event, "streamSid": "MZ1", event.as_str(): text}).to_string();
            let _ = Said::read(&nested);
            let _ = Command::read(&nested, "MZ1");
        }
    }
}
