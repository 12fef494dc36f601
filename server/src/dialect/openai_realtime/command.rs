//! What a client may say on the socket of a session: shapes only, as the SDKs write them. Pure.
//!
//! A message that cannot be read is answered by what is wrong with it, and by nothing else: whoever sent it goes on.
//! Source: openai-python, `types/realtime`.

use serde::Deserialize;
use serde_json::Value;

use super::session::Refused;

/// A message, and what its client calls it.
pub(super) struct Said {
    /// Repeated in an error that it brings.
    pub(super) event_id: Option<String>,
    pub(super) command: Command,
}

/// What a client may want.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub(super) enum Command {
    /// Set the session to something else.
    #[serde(rename = "session.update")]
    Update {
        /// The fields that change.
        session: Value,
    },
    /// This was said.
    #[serde(rename = "input_audio_buffer.append")]
    Append {
        /// Base64.
        audio: String,
    },
    /// What was said so far is an item of the conversation.
    #[serde(rename = "input_audio_buffer.commit")]
    Commit {},
    /// What was said so far counts for nothing.
    #[serde(rename = "input_audio_buffer.clear")]
    Clear {},
    /// What is not yet played is not to be.
    #[serde(rename = "output_audio_buffer.clear")]
    ClearOutput {},
    /// This belongs to the conversation.
    #[serde(rename = "conversation.item.create")]
    Create {
        /// What.
        item: NewItem,
        /// Behind which item; `root` is before all others.
        previous_item_id: Option<String>,
    },
    /// Say what an item is.
    #[serde(rename = "conversation.item.retrieve")]
    Retrieve {
        /// Which.
        item_id: String,
    },
    /// An item does not belong to the conversation.
    #[serde(rename = "conversation.item.delete")]
    Delete {
        /// Which.
        item_id: String,
    },
    /// Of something that was said only a part was heard.
    #[serde(rename = "conversation.item.truncate")]
    Truncate {
        /// What.
        item_id: String,
        /// Always 0: nothing that is said here has more than one part.
        content_index: u64,
        /// How much was heard.
        audio_end_ms: u64,
    },
    /// Answer.
    #[serde(rename = "response.create")]
    Respond {
        /// How.
        response: Option<Value>,
    },
    /// Do not go on with the answer.
    #[serde(rename = "response.cancel")]
    Cancel {
        /// Which, where the client cares.
        response_id: Option<String>,
    },
}

/// Something that is to belong to the conversation.
#[derive(Debug, Deserialize)]
pub(super) struct NewItem {
    /// As the client calls it; we do where it does not.
    pub(super) id: Option<String>,
    #[serde(flatten)]
    pub(super) what: NewWhat,
}

/// What it is.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum NewWhat {
    /// Words.
    Message {
        /// Whose.
        role: Role,
        /// In parts.
        content: Vec<Part>,
    },
    /// A call that was made elsewhere.
    FunctionCall {
        /// By what the output names it.
        call_id: Option<String>,
        /// Which function.
        name: String,
        /// JSON.
        arguments: String,
    },
    /// What a call came to.
    FunctionCallOutput {
        /// Which call.
        call_id: String,
        /// What the model reads of it.
        output: String,
    },
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    User,
    Assistant,
    System,
}

/// A part of what is said.
#[derive(Debug, Deserialize)]
pub(super) struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    transcript: Option<String>,
}

/// The words of a message.
///
/// # Errors
/// [`Refused`] where a part is no words.
pub(super) fn text(parts: &[Part]) -> Result<String, Refused> {
    let mut texts = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let text = match part.kind.as_str() {
            "input_text" | "output_text" | "text" => part.text.as_deref(),
            // What somebody said elsewhere is known by its words.
            "input_audio" | "output_audio" => part.transcript.as_deref(),
            _ => None,
        };
        let param = format!("item.content[{at}]");
        let why = format!("{param}: expected text, or sound that has a transcript");
        texts.push(text.ok_or(Refused { code: "unsupported_content", param, why })?);
    }
    Ok(texts.join(" "))
}

impl Said {
    /// Reads a message.
    ///
    /// # Errors
    /// The client's name for it where that could be read, and what is wrong.
    pub(super) fn read(text: &str) -> Result<Self, (Option<String>, Refused)> {
        let message: Value = serde_json::from_str(text).map_err(|error| {
            let why = format!("that is no JSON: line {}, column {}", error.line(), error.column());
            (None, Refused { code: "invalid_json", param: String::new(), why })
        })?;
        let event_id = message["event_id"].as_str().map(|id| id.chars().take(ID_CHARS_MAX).collect());
        let command = Command::deserialize(message).map_err(|error| {
            let (param, why) = ("type".to_owned(), format!("no event of this protocol: {error:.200}"));
            (event_id.clone(), Refused { code: "invalid_event", param, why })
        })?;
        Ok(Self { event_id, command })
    }
}

/// Names that clients give.
pub(super) const ID_CHARS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Command {
        Said::read(text).map_err(|(_, refused)| refused).unwrap().command
    }

    #[test]
    fn messages_are_what_the_sdks_write() {
        assert!(matches!(read(r#"{"type": "input_audio_buffer.commit", "event_id": "e1"}"#), Command::Commit {}));
        assert!(matches!(read(r#"{"type": "response.create"}"#), Command::Respond { response: None }));
        let created = read(
            r#"{"type": "conversation.item.create", "item": {"type": "message", "role": "user", "id": "mine",
                "content": [{"type": "input_text", "text": "Do you open"}, {"type": "input_text", "text": "today?"}]}}"#,
        );
        let Command::Create { item: NewItem { id, what: NewWhat::Message { role, content } }, .. } = created else {
            panic!("{created:?}")
        };
        assert_eq!(
            (id.as_deref(), role, text(&content).unwrap().as_str()),
            (Some("mine"), Role::User, "Do you open today?")
        );
        let output = r#"{"type": "conversation.item.create", "item":
            {"type": "function_call_output", "call_id": "c1", "output": "7", "object": "realtime.item"}}"#;
        let Command::Create { item: NewItem { what: NewWhat::FunctionCallOutput { call_id, .. }, .. }, .. } =
            read(output)
        else {
            panic!("no output")
        };
        assert_eq!(call_id, "c1");
    }

    #[test]
    fn what_cannot_be_read_is_said_to_be_wrong_under_its_name() {
        for (text, code, named) in [
            ("nonsense", "invalid_json", None),
            ("[]", "invalid_event", None),
            (r#"{"type": "sing", "event_id": "e7"}"#, "invalid_event", Some("e7")),
            (r#"{"type": "session.update", "event_id": "e8"}"#, "invalid_event", Some("e8")),
            (r#"{"type": "conversation.item.create", "item": {"type": "mcp_call"}}"#, "invalid_event", None),
        ] {
            let (id, refused) = Said::read(text).err().unwrap_or_else(|| panic!("{text} is fine"));
            assert_eq!((refused.code, id.as_deref()), (code, named), "{text}");
        }
        let image = vec![Part { kind: "input_image".to_owned(), text: None, transcript: None }];
        assert_eq!(text(&image).unwrap_err().param, "item.content[0]");
    }
}
