//! What is said on the WebSocket of a ConversationRelay, as its application hears and says it: JSON, one object a message.
//!
//! Pure. What a host adds of its own is left out; what cannot be read is a [`BadMessage`], which repeats nothing of it.
//! Sources: Twilio's "WebSocket messages for ConversationRelay", Telnyx's AsyncAPI of the same.

use std::collections::BTreeMap;

use bot::ivr::key::Key;
use serde_json::{Value, json};

/// What a host says. No `Debug` outside of tests: it holds what a caller said.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum Said {
    /// Who calls; the first message.
    Setup(Box<Setup>),
    /// What the caller says.
    Prompt {
        /// The words; cut where they are more than anybody says.
        said: String,
        /// As the host names it, where it does.
        language: Option<String>,
        /// Whether they have ended.
        is_last: bool,
    },
    /// The caller pressed a key.
    Dtmf(Key),
    /// The caller interrupted, and had heard this of the answer.
    Interrupt(String),
    /// The caller has heard this next of the answer, which hosts tell where the document asks for `tokens-played`.
    Played(String),
    /// The host could not do something; in its words.
    Error(String),
    /// Something that means nothing here.
    Other,
}

/// Who calls.
#[derive(Clone, Default, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Setup {
    pub(super) call_sid: String,
    /// The number or address that calls, the one that is called, and the name that came with the call; empty where none.
    pub(super) from: String,
    pub(super) to: String,
    pub(super) name: String,
    /// What the document hands over.
    pub(super) parameters: BTreeMap<String, String>,
}

/// A message that cannot be read: the host's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadMessage {
    #[error("a message that is no JSON object with a type")]
    NoType,
    #[error("{0} is missing, or nothing that can be")]
    Field(&'static str),
}

/// Why a conversation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting<'a> {
    /// It has come to its end.
    Goodbye,
    /// Somebody of this number or address is to go on.
    Handoff { to: &'a str },
}

impl Said {
    /// Reads a message.
    pub(super) fn read(text: &str) -> Result<Self, BadMessage> {
        let message: Value = serde_json::from_str(text).map_err(|_| BadMessage::NoType)?;
        let word = |name: &str| message[name].as_str().unwrap_or_default();
        match message["type"].as_str().ok_or(BadMessage::NoType)? {
            "setup" => Ok(Self::Setup(Box::new(Setup {
                call_sid: cut(word("callSid"), NAME_CHARS_MAX),
                from: cut(word("from"), NAME_CHARS_MAX),
                to: cut(word("to"), NAME_CHARS_MAX),
                name: cut(word("callerName"), NAME_CHARS_MAX),
                parameters: parameters(&message["customParameters"]),
            }))),
            "prompt" => {
                let said = message["voicePrompt"].as_str().ok_or(BadMessage::Field("voicePrompt"))?;
                let language = message["lang"].as_str().filter(|language| is_tag(language)).map(str::to_owned);
                let is_last = match &message["last"] {
                    Value::Null => true,
                    Value::Bool(is_last) => *is_last,
                    Value::String(word) if word == "true" => true,
                    Value::String(word) if word == "false" => false,
                    _ => return Err(BadMessage::Field("last")),
                };
                Ok(Self::Prompt { said: cut(said, PROMPT_CHARS_MAX), language, is_last })
            }
            "dtmf" => {
                let mut signs = word("digit").chars();
                let key = signs.next().and_then(Key::from_char).filter(|_| signs.next().is_none());
                key.map(Self::Dtmf).ok_or(BadMessage::Field("digit"))
            }
            "interrupt" => Ok(Self::Interrupt(cut(word("utteranceUntilInterrupt"), HEARD_CHARS_MAX))),
            "info" if word("name") == "tokensPlayed" => Ok(Self::Played(cut(word("value"), HEARD_CHARS_MAX))),
            "error" => Ok(Self::Error(cut(word("description"), NAME_CHARS_MAX))),
            _ => Ok(Self::Other),
        }
    }
}

impl Setup {
    /// As the caller is called in their room.
    pub(super) fn caller(&self) -> &str {
        [self.name.as_str(), self.from.as_str()].into_iter().find(|name| !name.is_empty()).unwrap_or("Caller")
    }

    /// Who is to talk, where the document says.
    pub(super) fn agent(&self) -> Option<&str> {
        self.parameters.get(AGENT).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// What the texts of a persona may name of the call.
    pub(super) fn values(&self) -> BTreeMap<String, String> {
        let mut values = self.parameters.clone();
        values.remove(AGENT);
        for (name, value) in [("caller", &self.from), ("called", &self.to), ("name", &self.name)] {
            if !value.is_empty() {
                values.insert(name.to_owned(), value.clone());
            }
        }
        values
    }
}

/// A piece of what is to be said; more comes.
pub(super) fn text(token: &str, language: Option<&str>) -> String {
    let mut message = json!({"type": "text", "token": token, "last": false});
    if let Some(language) = language {
        message["lang"] = language.into();
    }
    message.to_string()
}

/// No more comes.
pub(super) fn last() -> String {
    json!({"type": "text", "token": "", "last": true}).to_string()
}

/// Keys for the far end: `0`–`9`, `*`, `#`, `A`–`D`, and `w` for half a second.
pub(super) fn press(keys: &str) -> String {
    json!({"type": "sendDigits", "digits": keys}).to_string()
}

/// The conversation is over. What the document's `action` gets is JSON in a string, as Twilio's examples have it.
pub(super) fn end(parting: Parting<'_>) -> String {
    let handoff = match parting {
        Parting::Goodbye => json!({"reasonCode": "goodbye", "reason": "the agent has ended the conversation"}),
        Parting::Handoff { to } => {
            json!({"reasonCode": "live-agent-handoff", "reason": "the agent passes the caller on", "to": to})
        }
    };
    json!({"type": "end", "handoffData": handoff.to_string()}).to_string()
}

fn parameters(given: &Value) -> BTreeMap<String, String> {
    let Value::Object(pairs) = given else { return BTreeMap::new() };
    let fits = |(name, _): &(&String, &Value)| name.len() <= NAME_CHARS_MAX;
    // Whatever kind a value has, it was text in the document.
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pairs = pairs.iter().filter(fits).take(PARAMETERS_MAX);
    pairs.map(|(name, value)| (name.clone(), cut(&text(value), VALUE_CHARS_MAX))).collect()
}

/// Whether it may be a language (`en`, `de-DE`), and not a word for any.
fn is_tag(language: &str) -> bool {
    let is_word = !language.is_empty() && language.len() <= TAG_BYTES_MAX;
    is_word
        && !language.eq_ignore_ascii_case("multi")
        && language.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// The parameter of a document that says who is to talk.
const AGENT: &str = "agent";

/// Nobody says more without being answered.
const PROMPT_CHARS_MAX: usize = 4_000;

/// As much as an agent says in a turn.
const HEARD_CHARS_MAX: usize = 8_000;

/// Numbers, addresses, names.
const NAME_CHARS_MAX: usize = 200;

/// Parameters of a document, and what one holds.
const PARAMETERS_MAX: usize = 64;
const VALUE_CHARS_MAX: usize = 1_000;

/// The longest tag of a language that anybody uses.
const TAG_BYTES_MAX: usize = 35;

#[cfg(test)]
mod tests {
    use bot::ivr::{
        call::{CallFacts, CallStatus, Direction},
        relay::message,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_setup_says_who_calls_who_is_to_talk_and_what_the_texts_may_name() {
        let text = json!({
            "type": "setup", "sessionId": "VX1", "callSid": "CA1", "from": "+4930123", "to": "+4930456", "callerName": "Ada",
            "direction": "inbound", "callStatus": "RINGING", "customParameters": {"agent": "office", "order": 17, "caller": "x"},
        });
        let Ok(Said::Setup(setup)) = Said::read(&text.to_string()) else { panic!("it is a setup") };
        assert_eq!((setup.call_sid.as_str(), setup.caller(), setup.agent()), ("CA1", "Ada", Some("office")));
        let values = [("called", "+4930456"), ("caller", "+4930123"), ("name", "Ada"), ("order", "17")];
        let values = BTreeMap::from(values.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(setup.values(), values);
        let Ok(Said::Setup(bare)) = Said::read(r#"{"type":"setup"}"#) else { panic!("it is a setup") };
        assert_eq!((bare.caller(), bare.agent(), bare.values()), ("Caller", None, BTreeMap::new()));
    }

    #[test]
    fn the_setup_that_this_server_writes_is_one_that_it_reads() {
        let facts = CallFacts {
            call_sid: "CA1".to_owned(),
            account_sid: "AC1".to_owned(),
            from: "+15005550006".into(),
            to: "+15005550001".into(),
            direction: Direction::Inbound,
            caller_name: None,
            forwarded_from: None,
            parent_call_sid: None,
            is_answered: true,
            status: None,
            own_params: Vec::new(),
            epoch: Clock.epoch(),
        };
        let written = message::setup("VX1", &facts, CallStatus::InProgress, &[("agent".to_owned(), "office".into())]);
        let Ok(Said::Setup(setup)) = Said::read(&written) else { panic!("{written}") };
        assert_eq!(
            (setup.from.as_str(), setup.to.as_str(), setup.agent()),
            ("+15005550006", "+15005550001", Some("office"))
        );
        assert_eq!(Said::read(&message::error("no")), Ok(Said::Error("no".to_owned())));
        assert_eq!(Said::read(&message::played("Hi.")), Ok(Said::Played("Hi.".to_owned())));
    }

    #[test]
    fn words_keys_and_interruptions_are_read_and_what_is_added_is_left_out() {
        let prompt = |said: &str, language: Option<&str>, is_last| {
            Ok(Said::Prompt { said: said.to_owned(), language: language.map(str::to_owned), is_last })
        };
        for (text, said) in [
            (r#"{"type":"prompt","voicePrompt":"Hi.","lang":"en-US","last":true}"#, prompt("Hi.", Some("en-US"), true)),
            (r#"{"type":"prompt","voicePrompt":"Hi","lang":"multi","last":false}"#, prompt("Hi", None, false)),
            (r#"{"type":"prompt","voicePrompt":"Hi"}"#, prompt("Hi", None, true)),
            (r#"{"type":"prompt","voicePrompt":7}"#, Err(BadMessage::Field("voicePrompt"))),
            (r#"{"type":"prompt","voicePrompt":"Hi","last":"perhaps"}"#, Err(BadMessage::Field("last"))),
            (r##"{"type":"dtmf","digit":"#"}"##, Ok(Said::Dtmf(Key::POUND))),
            (r#"{"type":"dtmf","digit":"12"}"#, Err(BadMessage::Field("digit"))),
            (r#"{"type":"dtmf"}"#, Err(BadMessage::Field("digit"))),
            (r#"{"type":"interrupt","utteranceUntilInterrupt":"I wa"}"#, Ok(Said::Interrupt("I wa".to_owned()))),
            (r#"{"type":"interrupt"}"#, Ok(Said::Interrupt(String::new()))),
            (r#"{"type":"info","name":"roundTripDelayMs","value":"80"}"#, Ok(Said::Other)),
            (r#"{"type":"info","name":"tokensPlayed","value":"I was"}"#, Ok(Said::Played("I was".to_owned()))),
            (r#"{"type":"info","name":"tokensPlayed","value":7}"#, Ok(Said::Played(String::new()))),
            (r#"{"type":"info"}"#, Ok(Said::Other)),
            ("{}", Err(BadMessage::NoType)),
            ("[]", Err(BadMessage::NoType)),
            ("hello", Err(BadMessage::NoType)),
        ] {
            assert_eq!(Said::read(text), said, "{text}");
        }
        let long = json!({"type": "prompt", "voicePrompt": "ä".repeat(10_000)}).to_string();
        let Ok(Said::Prompt { said, .. }) = Said::read(&long) else { panic!("it is a prompt") };
        assert_eq!(said.chars().count(), PROMPT_CHARS_MAX);
    }

    #[test]
    fn what_is_said_is_as_the_host_expects_it() {
        let read = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        assert_eq!(read(text("Hi. ", None)), json!({"type": "text", "token": "Hi. ", "last": false}));
        assert_eq!(read(text("Ja. ", Some("de")))["lang"], "de");
        assert_eq!(read(last()), json!({"type": "text", "token": "", "last": true}));
        assert_eq!(read(press("1w2#")), json!({"type": "sendDigits", "digits": "1w2#"}));
        let end = read(end(Parting::Handoff { to: "+4930789" }));
        let data: Value = serde_json::from_str(end["handoffData"].as_str().unwrap()).unwrap();
        assert_eq!((&data["reasonCode"], &data["to"]), (&json!("live-agent-handoff"), &json!("+4930789")));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in any::<String>(), kind in "setup|prompt|dtmf|interrupt|info|error") {
            let _ = Said::read(&text);
            for name in ["voicePrompt", "digit", "utteranceUntilInterrupt", "customParameters"] {
                let _ = Said::read(&json!({"type": kind, name: text}).to_string());
            }
        }
    }
}
