//! Whether an answer calls a function: as clients say it, and as models are asked. Pure.
//!
//! What is forced is forced in every answer that is asked for, also in the one behind the output of a call: whoever wants
//! words then says so in that `response.create`, as with the public service.

use bot::llm::MustCall;
use serde_json::{Value, json};

use super::fields::{Fields, Refused};

/// Whether functions are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// As the model likes.
    Auto,
    /// None of them.
    None,
    /// One of them in any case.
    Required,
    /// The one of this name.
    This(String),
}

impl Choice {
    /// Reads the field `tool_choice`, of `fields`.
    ///
    /// # Errors
    /// [`Refused`] where it is nothing that can be followed.
    pub(super) fn read(choice: &Value, fields: &Fields<'_>) -> Result<Self, Refused> {
        let shape = "expected auto, none, required, or {\"type\": \"function\", \"name\": …}";
        match choice {
            Value::String(word) => match word.as_str() {
                "auto" => Ok(Self::Auto),
                "none" => Ok(Self::None),
                "required" => Ok(Self::Required),
                _ => Err(fields.invalid("tool_choice", shape)),
            },
            Value::Object(one) => match (one.get("type").and_then(Value::as_str), one.get("name")) {
                (Some("function"), Some(Value::String(name))) => Ok(Self::This(name.clone())),
                (Some("mcp"), _) => {
                    Err(fields.unsupported("tool_choice", "names a server of tools, and a session has only functions"))
                }
                _ => Err(fields.invalid("tool_choice", shape)),
            },
            _ => Err(fields.invalid("tool_choice", shape)),
        }
    }

    /// As clients read it.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Auto => json!("auto"),
            Self::None => json!("none"),
            Self::Required => json!("required"),
            Self::This(name) => json!({"type": "function", "name": name}),
        }
    }

    /// Whether functions are offered at all.
    pub(super) fn may_call(&self) -> bool {
        *self != Self::None
    }

    /// What the model has to call.
    pub(super) fn must_call(&self) -> MustCall {
        match self {
            Self::Auto | Self::None => MustCall::Nothing,
            Self::Required => MustCall::Any,
            Self::This(name) => MustCall::This(name.clone()),
        }
    }
}
