//! A conversation as vendors take it: every call followed by its one result, no result without a call, nothing empty.
//!
//! Interruptions leave holes in a history, and vendors answer holes with an error that would end every later turn too.
//! Pure: nothing is invented but that a result is not there yet.

use serde_json::{Map, Value};

use super::{Call, Message};
use crate::tools::NAME_CHARS_MAX;

/// What was said by one side.
#[derive(Debug, PartialEq)]
pub(super) enum Turn<'a> {
    /// By a person.
    User(&'a str),
    /// By the model.
    Assistant {
        /// Its words; may be empty.
        text: &'a str,
        /// Its calls, each with its result.
        calls: Vec<Called<'a>>,
    },
}

/// A call with its result.
#[derive(Debug, PartialEq)]
pub(super) struct Called<'a> {
    /// The call.
    pub(super) call: &'a Call,
    /// Its arguments as an object: vendors parse them. What was none is empty.
    pub(super) arguments: Value,
    /// What it came to.
    pub(super) content: &'a str,
    /// Whether it failed.
    pub(super) is_error: bool,
}

impl Called<'_> {
    /// The tool's name as vendors take it. One that a model made up, such as `calendar.book`, would have them refuse
    /// every later turn.
    pub(super) fn name(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
        self.call.name.chars().map(plain).take(NAME_CHARS_MAX).collect()
    }
}

/// The conversation without holes.
pub(super) fn turns(messages: &[Message]) -> Vec<Turn<'_>> {
    let mut is_taken = vec![false; messages.len()];
    let mut turns = Vec::with_capacity(messages.len());
    for (at, message) in messages.iter().enumerate() {
        match message {
            Message::User(text) if !text.trim().is_empty() => turns.push(Turn::User(text)),
            Message::Assistant { text, calls } if !text.trim().is_empty() || !calls.is_empty() => {
                let calls = calls.iter().map(|call| called(call, messages, at, &mut is_taken)).collect();
                turns.push(Turn::Assistant { text, calls });
            }
            Message::User(_) | Message::Assistant { .. } | Message::ToolResult { .. } => {}
        }
    }
    turns
}

fn called<'a>(call: &'a Call, messages: &'a [Message], at: usize, is_taken: &mut [bool]) -> Called<'a> {
    let arguments = match serde_json::from_str(&call.arguments) {
        Ok(arguments @ Value::Object(_)) => arguments,
        Ok(_) | Err(_) => Value::Object(Map::new()),
    };
    let mut found = Called { call, arguments, content: NO_RESULT, is_error: false };
    for (later, message) in messages.iter().enumerate().skip(at + 1) {
        if let Message::ToolResult { id, content, is_error, .. } = message
            && *id == call.id
            && !is_taken[later]
        {
            is_taken[later] = true;
            found.content = content;
            found.is_error = *is_error;
            break;
        }
    }
    found
}

/// What the model reads where a result is still to come, or never will.
const NO_RESULT: &str = "(no result yet)";

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str, arguments: &str) -> Call {
        Call { id: id.to_owned(), name: "look_up".to_owned(), arguments: arguments.to_owned() }
    }

    fn result(id: &str, content: &str) -> Message {
        Message::ToolResult {
            id: id.to_owned(),
            name: "look_up".to_owned(),
            content: content.to_owned(),
            is_error: false,
        }
    }

    fn contents(turns: &[Turn<'_>]) -> Vec<String> {
        let all = turns.iter().flat_map(|turn| match turn {
            Turn::User(text) => vec![format!("user {text}")],
            Turn::Assistant { text, calls } => std::iter::once(format!("assistant {text}"))
                .chain(calls.iter().map(|called| format!("{} {}", called.arguments, called.content)))
                .collect(),
        });
        all.collect()
    }

    #[test]
    fn a_result_stands_by_its_call_however_late_it_came() {
        let messages = [
            Message::User("when?".into()),
            Message::Assistant { text: String::new(), calls: vec![call("a", r#"{"x":1}"#), call("b", "")] },
            Message::User("hello?".into()),
            result("b", "two"),
            result("a", "one"),
            Message::User("so?".into()),
        ];
        assert_eq!(
            contents(&turns(&messages)),
            ["user when?", "assistant ", r#"{"x":1} one"#, "{} two", "user hello?", "user so?"]
        );
    }

    #[test]
    fn holes_that_interruptions_leave_are_closed() {
        let messages = [
            result("lost", "nobody asked"),
            Message::Assistant { text: "One moment".into(), calls: vec![call("a", "[1]")] },
            Message::User("stop".into()),
            Message::User(" ".into()),
            Message::Assistant { text: String::new(), calls: Vec::new() },
        ];
        assert_eq!(contents(&turns(&messages)), ["assistant One moment", "{} (no result yet)", "user stop"]);
    }

    #[test]
    fn an_id_that_comes_twice_takes_each_result_once() {
        let one = || Message::Assistant { text: String::new(), calls: vec![call("a", "{}")] };
        let messages = [one(), result("a", "first"), one(), result("a", "second")];
        assert_eq!(contents(&turns(&messages)), ["assistant ", "{} first", "assistant ", "{} second"]);
    }
}
