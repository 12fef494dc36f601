//! What every agent can do by itself: transfer, hang up, press keys, take a note, remind, remember, hand over.
//!
//! Pure: how these tools are described to a model, and what becomes of its arguments once they fit the schema. The
//! model chooses doors by name ([`Doors`]), never a telephone number or an address of its own making: whoever talks
//! it into something can reach only what the persona names.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use serde_json::{Map, Value, json};

use super::{
    Outcome,
    catalog::{Origin, Rule, Tool},
    remind::{self, Due},
};
use crate::{brain::Language, persona::Persona};

/// A tool that is built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BuiltIn {
    /// `transfer`: sends the caller to somebody else.
    Transfer,
    /// `hang_up`: ends the call, once what is being said has been said.
    HangUp,
    /// `press_keys`: presses keys of the telephone, for menus of others.
    PressKeys,
    /// `take_note`: writes something down.
    TakeNote,
    /// `remind`: has somebody reminded at a time.
    Remind,
    /// `remember`: notes whether the caller wants to be remembered.
    Remember,
    /// `hand_over`: lets another persona go on.
    HandOver,
}

/// Where the agent may send callers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doors {
    /// Whom they may be transferred to: what the model calls them, and where they are.
    pub transfer: BTreeMap<String, String>,
    /// Which personas may go on.
    pub hand_over: Vec<String>,
    /// Whether callers are remembered at all.
    pub memory: bool,
}

/// What a built-in tool is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the caller on.
    Transfer {
        /// As the model calls it.
        name: String,
        /// The number or address.
        to: String,
    },
    /// End the call.
    HangUp {
        /// Why, in the model's words; may be empty.
        why: String,
    },
    /// Press these: `0`–`9`, `*`, `#`, `A`–`D`, and `w` for half a second of waiting.
    PressKeys(String),
    /// Write this down.
    TakeNote {
        /// What.
        text: String,
    },
    /// Remind somebody.
    Remind {
        /// Of what.
        text: String,
        /// When, in local time.
        due: Due,
    },
    /// Remember the caller from now on, or forget all that is known of them.
    Remember {
        /// Whether they want it.
        agreed: bool,
    },
    /// Let another persona go on.
    HandOver {
        /// Which, by its name.
        persona: String,
    },
}

impl Doors {
    /// Those of a persona.
    pub fn of(persona: &Persona) -> Self {
        Self {
            transfer: persona.transfer.clone(),
            hand_over: persona.hand_over.clone(),
            memory: persona.memory.is_some(),
        }
    }
}

impl BuiltIn {
    /// All.
    pub const ALL: [Self; 7] =
        [Self::Transfer, Self::HangUp, Self::PressKeys, Self::TakeNote, Self::Remind, Self::Remember, Self::HandOver];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::HangUp => "hang_up",
            Self::PressKeys => "press_keys",
            Self::TakeNote => "take_note",
            Self::Remind => "remind",
            Self::Remember => "remember",
            Self::HandOver => "hand_over",
        }
    }

    /// The one that is called so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    /// What a model has to know of it; none where there is no door that it could open.
    pub fn tool(self, doors: &Doors) -> Option<Tool> {
        let text = |most: usize| json!({"type": "string", "minLength": 1, "maxLength": most});
        let (description, properties, required) = match self {
            Self::Transfer => {
                let names: Vec<&String> = doors.transfer.keys().collect();
                let to = json!({"type": "string", "enum": names});
                (!names.is_empty()).then_some((
                    "Transfers the caller to somebody else. Say so to the caller first. You leave the call.",
                    json!({"to": to}),
                    json!(["to"]),
                ))?
            }
            Self::HangUp => (
                "Ends the call. Say good-bye in the same reply: it is spoken to its end first.",
                json!({"why": {"type": "string", "maxLength": TEXT_CHARS_MAX}}),
                json!([]),
            ),
            Self::PressKeys => (
                "Presses keys of the telephone, for an automatic menu at the other end.",
                json!({"keys": {
                    "type": "string", "minLength": 1, "maxLength": KEYS_MAX,
                    "description": "0-9, *, #, A-D; w waits half a second",
                }}),
                json!(["keys"]),
            ),
            Self::TakeNote => (
                "Writes down something that somebody will need after the call: a message, a wish, a number.",
                json!({"text": text(TEXT_CHARS_MAX)}),
                json!(["text"]),
            ),
            Self::Remind => (
                "Has somebody reminded of something. Give the time as the caller said it, or as 2026-05-31T15:00.",
                json!({"text": text(TEXT_CHARS_MAX), "when": text(WHEN_CHARS_MAX)}),
                json!(["text", "when"]),
            ),
            Self::Remember => doors.memory.then_some((
                "Notes whether the caller wants this and later calls to be remembered. Only their own yes or no counts: \
                 ask first, once. With no, everything that is remembered of them is erased.",
                json!({"agreed": {"type": "boolean"}}),
                json!(["agreed"]),
            ))?,
            Self::HandOver => (!doors.hand_over.is_empty()).then_some((
                "Lets a colleague go on with this caller, who knows all that was said.",
                json!({"to": {"type": "string", "enum": doors.hand_over}}),
                json!(["to"]),
            ))?,
        };
        Some(Tool {
            name: self.name().to_owned(),
            description: description.to_owned(),
            parameters: json!({
                "type": "object", "properties": properties, "required": required, "additionalProperties": false,
            }),
            origin: Origin::BuiltIn(self),
            rule: Rule::default(),
        })
    }

    /// What it is to do with arguments that fit its schema. `now` is local time.
    ///
    /// # Errors
    /// What is wrong, in words for the model.
    pub fn action(
        self,
        arguments: &Map<String, Value>,
        doors: &Doors,
        language: Language,
        now: DateTime,
    ) -> Result<Action, String> {
        let text = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
        match self {
            Self::Transfer => {
                let name = text("to");
                let to = doors.transfer.get(&name).cloned().ok_or("nobody of that name can be reached")?;
                Ok(Action::Transfer { name, to })
            }
            Self::HangUp => Ok(Action::HangUp { why: text("why") }),
            Self::PressKeys => keys(&text("keys")).map(Action::PressKeys),
            Self::TakeNote => {
                let text = text("text");
                if text.is_empty() { Err("text is empty".to_owned()) } else { Ok(Action::TakeNote { text }) }
            }
            Self::Remind => {
                let (text, when) = (text("text"), text("when"));
                if text.is_empty() {
                    return Err("text is empty".to_owned());
                }
                let due = remind::read(&when, language, now).map_err(|wrong| wrong.to_string())?;
                Ok(Action::Remind { text, due })
            }
            Self::Remember => match arguments.get("agreed").and_then(Value::as_bool) {
                Some(agreed) => Ok(Action::Remember { agreed }),
                None => Err("agreed is neither true nor false".to_owned()),
            },
            Self::HandOver => {
                let persona = text("to");
                if doors.hand_over.contains(&persona) {
                    Ok(Action::HandOver { persona })
                } else {
                    Err("there is no such colleague".to_owned())
                }
            }
        }
    }
}

impl Action {
    /// What the model reads when it has been done, or has begun.
    pub fn reply(&self) -> Outcome {
        Outcome::done(match self {
            Self::Transfer { name, .. } => format!("The caller is being transferred to {name}."),
            Self::HangUp { .. } => "The call ends when you have said good-bye.".to_owned(),
            Self::PressKeys(keys) => format!("Pressed {keys}."),
            Self::TakeNote { .. } => "Noted.".to_owned(),
            Self::Remind { due, .. } => format!("The reminder is set for {due}."),
            Self::Remember { agreed: true } => "The caller is remembered from now on.".to_owned(),
            Self::Remember { agreed: false } => "Nothing of the caller is remembered any more.".to_owned(),
            Self::HandOver { persona } => format!("{persona} goes on."),
        })
    }
}

/// Keys without what people write between them.
fn keys(text: &str) -> Result<String, String> {
    let mut keys = String::new();
    for c in text.chars() {
        match c.to_ascii_uppercase() {
            key @ ('0'..='9' | '*' | '#' | 'A'..='D') => keys.push(key),
            'W' | ',' | 'P' => keys.push('w'),
            ' ' | '-' | '/' | '.' => {}
            _ => return Err("keys has something that is no key: 0-9, *, #, A-D and w can be pressed".to_owned()),
        }
    }
    if keys.bytes().all(|key| key == b'w') {
        return Err("keys has no key".to_owned());
    }
    Ok(keys)
}

/// The longest note: two minutes of speech.
const TEXT_CHARS_MAX: usize = 2_000;

/// The longest way to say when.
const WHEN_CHARS_MAX: usize = 100;

/// Keys pressed at once: an account number and its code. At ten keys in two seconds, nobody waits for more.
const KEYS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn doors() -> Doors {
        let transfer = [("sales".to_owned(), "sip:sales@office.example".to_owned())].into();
        Doors { transfer, hand_over: vec!["doctor".to_owned()], memory: true }
    }

    fn act(tool: BuiltIn, arguments: Value) -> Result<Action, String> {
        let now = date(2026, 11, 30).at(14, 30, 0, 0);
        tool.action(arguments.as_object().unwrap(), &doors(), Language::German, now)
    }

    #[test]
    fn the_model_opens_doors_that_the_persona_has_and_no_others() {
        let to = "sip:sales@office.example".to_owned();
        assert_eq!(
            act(BuiltIn::Transfer, json!({"to": "sales"})),
            Ok(Action::Transfer { name: "sales".to_owned(), to })
        );
        assert!(act(BuiltIn::Transfer, json!({"to": "+4990012345"})).is_err());
        assert_eq!(
            act(BuiltIn::HandOver, json!({"to": "doctor"})),
            Ok(Action::HandOver { persona: "doctor".to_owned() })
        );
        assert!(act(BuiltIn::HandOver, json!({"to": "admin"})).is_err());
        let closed = Doors::default();
        let offered: Vec<_> = BuiltIn::ALL.into_iter().filter(|tool| tool.tool(&closed).is_some()).collect();
        assert_eq!(offered, [BuiltIn::HangUp, BuiltIn::PressKeys, BuiltIn::TakeNote, BuiltIn::Remind]);
    }

    #[test]
    fn keys_are_pressed_as_people_write_them() {
        for (text, keys) in [("1", "1"), ("49 30/12-3#", "4930123#"), ("1,ww2", "1www2"), ("a*", "A*")] {
            assert_eq!(
                act(BuiltIn::PressKeys, json!({"keys": text})),
                Ok(Action::PressKeys(keys.to_owned())),
                "{text}"
            );
        }
        for text in ["", " ", "w", "one", "1\u{0}", "５"] {
            assert!(act(BuiltIn::PressKeys, json!({"keys": text})).is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_yes_or_a_no_has_a_caller_remembered_or_forgotten() {
        assert_eq!(act(BuiltIn::Remember, json!({"agreed": true})), Ok(Action::Remember { agreed: true }));
        assert_eq!(act(BuiltIn::Remember, json!({"agreed": false})), Ok(Action::Remember { agreed: false }));
        for arguments in [json!({}), json!({"agreed": "yes"})] {
            assert!(act(BuiltIn::Remember, arguments).is_err());
        }
        assert!(BuiltIn::Remember.tool(&Doors::default()).is_none(), "a persona without memory does not offer it");
    }

    #[test]
    fn a_reminder_has_a_time_that_is_still_to_come() {
        let remind = |when: &str| act(BuiltIn::Remind, json!({"text": "Angebot schicken", "when": when}));
        let Ok(Action::Remind { due, .. }) = remind("morgen um 15 Uhr") else { panic!("{:?}", remind("morgen")) };
        assert_eq!(due.to_string(), "2026-12-01T15:00");
        let wrong = remind("irgendwann").unwrap_err();
        assert!(wrong.contains("2026-11-30T14:30"), "{wrong}");
        assert!(act(BuiltIn::Remind, json!({"text": " ", "when": "morgen"})).is_err());
    }
}
