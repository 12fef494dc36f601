//! The conversation as its client sees it: items in their order, and what a model is to remember of them. Pure.
//!
//! Bounded: of a conversation that is longer than any, the oldest items are forgotten here; the agent keeps its own
//! summary of them.

use std::collections::VecDeque;

use bot::llm;
use serde_json::{Value, json};

/// Items that are kept: hours of talk.
const ITEMS_MAX: usize = 2_000;

/// What is kept of their texts, in bytes.
const BYTES_MAX: usize = 4 << 20;

/// Something that belongs to the conversation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) status: Status,
    pub(super) what: What,
}

/// Whether an item is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
}

/// What an item is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// Something that somebody said or wrote.
    User {
        text: String,
        is_sound: bool,
        /// Whether the agent has it in its conversation; sound is part of a turn before.
        is_counted: bool,
    },
    /// Something that the agent said or wrote.
    Assistant {
        text: String,
        is_sound: bool,
        /// How much sound of it was sent.
        sound_ms: u64,
    },
    /// What somebody else has the model know.
    System { text: String },
    /// A call of a function.
    Call { call_id: String, name: String, arguments: String },
    /// What it came to.
    Output { call_id: String, output: String },
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
        }
    }
}

impl Item {
    /// As clients read it. Of sound, the words alone.
    pub(super) fn to_json(&self) -> Value {
        let message = |role: &str, content: Value| json!({"type": "message", "role": role, "content": [content]});
        let mut item = match &self.what {
            What::User { text, is_sound: true, .. } => {
                let transcript = (!text.is_empty()).then_some(text);
                message("user", json!({"type": "input_audio", "transcript": transcript}))
            }
            What::User { text, .. } => message("user", json!({"type": "input_text", "text": text})),
            What::System { text } => message("system", json!({"type": "input_text", "text": text})),
            // Nothing of it was said yet.
            What::Assistant { text, .. } if text.is_empty() && self.status == Status::InProgress => {
                json!({"type": "message", "role": "assistant", "content": []})
            }
            What::Assistant { text, is_sound: true, .. } => {
                message("assistant", json!({"type": "output_audio", "transcript": text}))
            }
            What::Assistant { text, .. } => message("assistant", json!({"type": "output_text", "text": text})),
            What::Call { call_id, name, arguments } => {
                json!({"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments})
            }
            What::Output { call_id, output } => {
                json!({"type": "function_call_output", "call_id": call_id, "output": output})
            }
        };
        item["id"] = self.id.clone().into();
        item["object"] = "realtime.item".into();
        item["status"] = self.status.name().into();
        item
    }

    /// How long its texts are.
    fn bytes(&self) -> usize {
        self.id.len()
            + match &self.what {
                What::User { text, .. } | What::Assistant { text, .. } | What::System { text } => text.len(),
                What::Call { call_id, name, arguments } => call_id.len() + name.len() + arguments.len(),
                What::Output { call_id, output } => call_id.len() + output.len(),
            }
    }
}

/// All items.
#[derive(Debug, Default)]
pub(super) struct Items(VecDeque<Item>);

impl Items {
    /// The newest.
    pub(super) fn last_id(&self) -> Option<&str> {
        self.0.back().map(|item| item.id.as_str())
    }

    pub(super) fn get(&self, id: &str) -> Option<&Item> {
        self.0.iter().rfind(|item| item.id == id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Item> {
        self.0.iter_mut().rfind(|item| item.id == id)
    }

    /// The one that stands before this one.
    pub(super) fn before(&self, id: &str) -> Option<String> {
        let at = self.0.iter().rposition(|item| item.id == id)?;
        self.0.get(at.checked_sub(1)?).map(|item| item.id.clone())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        self.0.iter_mut()
    }

    /// Adds the newest; which one is before it.
    pub(super) fn push(&mut self, item: Item) -> Option<String> {
        let previous = self.last_id().map(str::to_owned);
        self.0.push_back(item);
        self.forget();
        previous
    }

    /// Puts an item behind another, or before all.
    pub(super) fn insert(&mut self, after: Option<&str>, item: Item) {
        let at = after.and_then(|after| self.0.iter().position(|item| item.id == after)).map_or(0, |at| at + 1);
        self.0.insert(at, item);
        self.forget();
    }

    /// Forgets the oldest of what is too much.
    fn forget(&mut self) {
        let mut bytes: usize = self.0.iter().map(Item::bytes).sum();
        while self.0.len() > ITEMS_MAX || (bytes > BYTES_MAX && self.0.len() > 1) {
            bytes -= self.0.pop_front().map_or(0, |oldest| oldest.bytes());
        }
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Item> {
        let at = self.0.iter().position(|item| item.id == id)?;
        self.0.remove(at)
    }

    /// The call of this name.
    pub(super) fn call(&self, call_id: &str) -> Option<&Item> {
        self.0.iter().find(|item| matches!(&item.what, What::Call { call_id: its, .. } if its == call_id))
    }

    /// What systems have the model know.
    pub(super) fn system(&self) -> Vec<&str> {
        let told = self.0.iter().filter_map(|item| match &item.what {
            What::System { text } => Some(text.as_str()),
            _ => None,
        });
        told.collect()
    }

    /// The conversation, as a model reads it.
    pub(super) fn past(&self) -> Vec<llm::Message> {
        self.0.iter().filter_map(|item| self.message(item)).collect()
    }

    /// An item, as a model reads it; nothing where it is not yet part of the conversation.
    pub(super) fn message(&self, item: &Item) -> Option<llm::Message> {
        match &item.what {
            What::User { text, is_counted: true, .. } if !text.is_empty() => Some(llm::Message::User(text.clone())),
            What::Assistant { text, .. } if !text.is_empty() && item.status != Status::InProgress => {
                Some(llm::Message::Assistant { text: text.clone(), calls: Vec::new() })
            }
            What::Call { call_id, name, arguments } => {
                let call = llm::Call { id: call_id.clone(), name: name.clone(), arguments: arguments.clone() };
                Some(llm::Message::Assistant { text: String::new(), calls: vec![call] })
            }
            What::Output { call_id, output } => {
                let name = match &self.call(call_id)?.what {
                    What::Call { name, .. } => name.clone(),
                    _ => return None,
                };
                let (id, content) = (call_id.clone(), output.clone());
                Some(llm::Message::ToolResult { id, name, content, is_error: false })
            }
            What::User { .. } | What::Assistant { .. } | What::System { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, what: What) -> Item {
        Item { id: id.to_owned(), status: Status::Completed, what }
    }

    fn user(text: &str, is_counted: bool) -> What {
        What::User { text: text.to_owned(), is_sound: true, is_counted }
    }

    #[test]
    fn items_keep_their_order_and_the_model_reads_what_counts() {
        let mut items = Items::default();
        assert_eq!(items.push(item("a", user("Hello", true))), None);
        let (call_id, name, arguments) = ("c1".to_owned(), "stock".to_owned(), "{}".to_owned());
        assert_eq!(items.push(item("b", What::Call { call_id, name, arguments })).as_deref(), Some("a"));
        items.push(item("c", What::Output { call_id: "c1".to_owned(), output: "7".to_owned() }));
        items.push(item("d", user("not yet a turn", false)));
        items.insert(None, item("e", What::System { text: "Be brief.".to_owned() }));
        items.insert(Some("a"), item("f", user("and good day", true)));
        assert_eq!((items.system(), items.last_id()), (vec!["Be brief."], Some("d")));
        let past = items.past();
        assert!(
            matches!(
                &past[..],
                [
                    llm::Message::User(hello),
                    llm::Message::User(_),
                    llm::Message::Assistant { calls, .. },
                    llm::Message::ToolResult { content, .. },
                ] if hello == "Hello" && calls.len() == 1 && content == "7"
            ),
            "{past:?}"
        );
        assert!(items.remove("b").is_some() && items.remove("b").is_none());
        assert_eq!(items.past().len(), 2, "no output without its call");
    }

    #[test]
    fn of_more_than_any_conversation_the_oldest_is_forgotten() {
        for (count, text) in [(2 * ITEMS_MAX, ""), (100, &*"x".repeat(BYTES_MAX / 50))] {
            let mut items = Items::default();
            for number in 0..count {
                items.push(item(&number.to_string(), user(text, true)));
            }
            assert!(items.0.len() <= ITEMS_MAX && items.0.iter().map(Item::bytes).sum::<usize>() <= BYTES_MAX);
            assert!(items.get("0").is_none() && items.0.len() >= 49, "{} are left", items.0.len());
            assert_eq!(items.last_id(), Some(&*(count - 1).to_string()));
        }
    }

    #[test]
    fn what_is_not_yet_said_has_no_content() {
        let (text, is_sound) = (String::new(), true);
        let mut said = item("a", What::Assistant { text, is_sound, sound_ms: 0 });
        said.status = Status::InProgress;
        assert_eq!(said.to_json()["content"], json!([]));
        said.status = Status::Completed;
        assert_eq!(said.to_json()["content"], json!([{"type": "output_audio", "transcript": ""}]));
        assert_eq!(item("b", user("", false)).to_json()["content"][0]["transcript"], Value::Null);
    }
}
