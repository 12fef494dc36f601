//! What is said on the WebSocket of a relay, both ways: JSON of the vendor's, one object a message.
//!
//! Pure. What cannot be read is a [`BadMessage`], which says what is wrong without repeating what was sent.

use serde_json::{Value, json};
use url::Url;

use crate::ivr::{
    call::{CallFacts, CallStatus},
    key::{Key, Tone},
    private::Private,
    twiml::{Disturbing, Times},
};

/// What an application wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    /// Say something.
    Text(Text),
    /// Play a file.
    Play { source: Url, times: Times, manner: Manner },
    /// Press keys at the far end.
    Press(Vec<Tone>),
    /// Speak, or listen for, another language.
    Language { speaks: Option<String>, hears: Option<String> },
    /// Be done.
    End { handoff: Option<Private> },
}

/// A piece of what is to be said.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text {
    pub(super) token: String,
    /// Whether it is the last piece.
    pub(super) is_last: bool,
    pub(super) language: Option<String>,
    pub(super) manner: Manner,
}

/// How something gives way; where nothing is said, as the document has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) interruptible: Option<Disturbing>,
    pub(super) preemptible: Option<bool>,
}

/// A message that cannot be read: the application's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadMessage(pub(super) String);

impl Command {
    /// Reads a message.
    pub(super) fn read(text: &str) -> Result<Self, BadMessage> {
        let message: Value = serde_json::from_str(text).map_err(|_| bad("a message that is no JSON"))?;
        let kind = message["type"].as_str().ok_or_else(|| bad("a message without a type"))?;
        match kind {
            "text" => Ok(Self::Text(Text {
                token: word(&message, "token")?.ok_or_else(|| bad("text without a token"))?,
                is_last: flag(&message, "last")?.unwrap_or(false),
                language: word(&message, "lang")?,
                manner: manner(&message)?,
            })),
            "play" => {
                Ok(Self::Play { source: source(&message)?, times: times(&message["loop"])?, manner: manner(&message)? })
            }
            "sendDigits" => {
                let digits = word(&message, "digits")?.ok_or_else(|| bad("sendDigits without digits"))?;
                let tones = Tone::read(digits.trim()).filter(|tones| (1..=TONES_MAX).contains(&tones.len()));
                tones.map(Self::Press).ok_or_else(|| bad("digits are of 0-9, *, #, A-D, w and W, at most 256 of them"))
            }
            "language" => {
                let (speaks, hears) = (word(&message, "ttsLanguage")?, word(&message, "transcriptionLanguage")?);
                if speaks.is_none() && hears.is_none() {
                    return Err(bad("language without ttsLanguage and transcriptionLanguage"));
                }
                Ok(Self::Language { speaks, hears })
            }
            "end" => Ok(Self::End { handoff: handoff(&message["handoffData"])? }),
            _ => Err(bad("a message of a type that is not text, play, sendDigits, language or end")),
        }
    }
}

/// Tells an application whom it talks with; the first message.
pub fn setup(session: &str, facts: &CallFacts, status: CallStatus, parameters: &[(String, Private)]) -> String {
    let private = |text: &Option<Private>| text.as_ref().map_or(String::new(), |text| text.reveal().to_owned());
    let custom = parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.reveal())));
    let is_number = facts.from.reveal().trim_start_matches('+').starts_with(|c: char| c.is_ascii_digit());
    json!({
        "type": "setup",
        "sessionId": session,
        "accountSid": facts.account_sid,
        "parentCallSid": facts.parent_call_sid.clone().unwrap_or_default(),
        "callSid": facts.call_sid,
        "from": facts.from.reveal(),
        "to": facts.to.reveal(),
        "forwardedFrom": private(&facts.forwarded_from),
        "callType": if is_number { "PSTN" } else { "SIP" },
        "callerName": private(&facts.caller_name),
        "direction": facts.direction.as_str(),
        "callStatus": status.as_str().to_ascii_uppercase(),
        "customParameters": custom.collect::<serde_json::Map<_, _>>(),
    })
    .to_string()
}

/// Tells what a caller said; `is_last` when it will not change.
pub(super) fn prompt(said: &str, language: &str, is_last: bool) -> String {
    json!({"type": "prompt", "voicePrompt": said, "lang": language, "last": is_last}).to_string()
}

/// Tells a key.
pub(super) fn dtmf(key: Key) -> String {
    json!({"type": "dtmf", "digit": key.as_char().to_string()}).to_string()
}

/// Tells that a caller interrupted, what they had heard by then, and for how long.
pub(super) fn interrupt(heard: &str, after_ms: u64) -> String {
    json!({"type": "interrupt", "utteranceUntilInterrupt": heard, "durationUntilInterruptMs": after_ms}).to_string()
}

/// Tells what the caller has heard next of what is said to them.
pub fn played(text: &str) -> String {
    json!({"type": "info", "name": "tokensPlayed", "value": text}).to_string()
}

/// Tells what the application did wrong, or what it cannot have.
pub fn error(description: &str) -> String {
    json!({"type": "error", "description": description}).to_string()
}

fn bad(why: &str) -> BadMessage {
    BadMessage(why.to_owned())
}

/// A text, where there is one.
fn word(message: &Value, name: &str) -> Result<Option<String>, BadMessage> {
    match &message[name] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(bad(&format!("{name} is no string"))),
    }
}

/// `true` or `false`, where it is said; as words, too, which some libraries write.
fn flag(message: &Value, name: &str) -> Result<Option<bool>, BadMessage> {
    match &message[name] {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(*flag)),
        Value::String(word) if word == "true" => Ok(Some(true)),
        Value::String(word) if word == "false" => Ok(Some(false)),
        _ => Err(bad(&format!("{name} is neither true nor false"))),
    }
}

fn manner(message: &Value) -> Result<Manner, BadMessage> {
    let interruptible = match &message["interruptible"] {
        Value::Null => None,
        Value::Bool(true) => Some(Disturbing::Anything),
        Value::Bool(false) => Some(Disturbing::Nothing),
        other => Some(
            other
                .as_str()
                .and_then(Disturbing::read)
                .ok_or_else(|| bad("interruptible is none of true, false, none, dtmf, speech and any"))?,
        ),
    };
    Ok(Manner { interruptible, preemptible: flag(message, "preemptible")? })
}

fn source(message: &Value) -> Result<Url, BadMessage> {
    let source = word(message, "source")?.ok_or_else(|| bad("play without a source"))?;
    // The network must not make this server read its own files.
    let url = Url::parse(&source).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| bad("source is no whole address of http or https"))
}

fn times(count: &Value) -> Result<Times, BadMessage> {
    let count = match count {
        Value::Null => return Ok(Times::ONCE),
        Value::String(text) => text.trim().parse().ok(),
        number => number.as_u64(),
    };
    match count {
        Some(0) => Ok(Times::Forever),
        Some(count) if count <= TIMES_MAX => Ok(Times::Count(count as u32)),
        _ => Err(bad("loop is no whole number from 0 to 1000")),
    }
}

/// The vendor's is a string; whoever sends an object means it as JSON.
fn handoff(data: &Value) -> Result<Option<Private>, BadMessage> {
    let data = match data {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if data.len() > HANDOFF_BYTES_MAX {
        return Err(bad("handoffData is longer than 16 KiB"));
    }
    Ok(Some(data.into()))
}

/// Keys that are pressed in one go: more than any menu asks for.
const TONES_MAX: usize = 256;

/// As often as `Play` may.
const TIMES_MAX: u64 = 1_000;

/// What fits into a parameter of a webhook.
const HANDOFF_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_application_says_is_read_and_what_is_left_out_is_as_the_document_has_it() {
        let text = Command::read(r#"{"type":"text","token":" Hi","last":true,"lang":"de-DE","interruptible":"dtmf"}"#);
        let manner = Manner { interruptible: Some(Disturbing::Keys), preemptible: None };
        let expected = Text { token: " Hi".into(), is_last: true, language: Some("de-DE".into()), manner };
        assert_eq!(text, Ok(Command::Text(expected)));
        let play = Command::read(r#"{"type":"play","source":"https://x.test/a.wav","loop":0,"preemptible":true}"#);
        let manner = Manner { interruptible: None, preemptible: Some(true) };
        let source = "https://x.test/a.wav".parse().unwrap();
        assert_eq!(play, Ok(Command::Play { source, times: Times::Forever, manner }));
        let end = |data: &str| Command::read(&format!(r#"{{"type":"end"{data}}}"#));
        assert_eq!(end(""), Ok(Command::End { handoff: None }));
        assert_eq!(end(r#","handoffData":"a=1""#), Ok(Command::End { handoff: Some("a=1".into()) }));
        assert_eq!(end(r#","handoffData":{"a":1}"#), Ok(Command::End { handoff: Some(r#"{"a":1}"#.into()) }));
        let digits = Command::read(r#"{"type":"sendDigits","digits":"w1#"}"#);
        assert!(matches!(digits, Ok(Command::Press(tones)) if tones.len() == 3));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_what_is_wrong() {
        for (text, part) in [
            ("hello", "no JSON"),
            ("{}", "without a type"),
            ("[1]", "without a type"),
            (r#"{"type":"media"}"#, "of a type"),
            (r#"{"type":"text"}"#, "without a token"),
            (r#"{"type":"text","token":7}"#, "token is no string"),
            (r#"{"type":"text","token":"a","last":"perhaps"}"#, "last is neither"),
            (r#"{"type":"text","token":"a","interruptible":"sometimes"}"#, "interruptible is none"),
            (r#"{"type":"play","source":"file:///etc/passwd"}"#, "no whole address"),
            (r#"{"type":"play","source":"a.wav"}"#, "no whole address"),
            (r#"{"type":"play","source":"http://x.test/","loop":-1}"#, "loop is no"),
            (r#"{"type":"sendDigits","digits":"12x"}"#, "digits are of"),
            (r#"{"type":"sendDigits","digits":""}"#, "digits are of"),
            (r#"{"type":"language"}"#, "language without"),
        ] {
            let error = Command::read(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let long = format!(r#"{{"type":"end","handoffData":"{}"}}"#, "x".repeat(20_000));
        assert!(Command::read(&long).is_err());
    }
}
