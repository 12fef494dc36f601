//! What a client changes in the conversation by hand: items that it brings along, takes out, or cuts. Pure.
//!
//! What is put at the end is told to the agent as it is. After any other change the agent is told all of the conversation
//! again, once nobody answers.

use bot::agent::Input;
use serde_json::json;

use super::{
    command::{ID_CHARS_MAX, NewItem, NewWhat, Role, text},
    items::{Item, Status, What},
    session::Refused,
    story::{Story, refused},
};

/// What is written for somebody, or comes of a function: as much as a model reads.
const TEXT_CHARS_MAX: usize = 40_000;

impl Story {
    /// Puts an item into the conversation.
    pub(super) fn create(&mut self, item: NewItem, after: Option<String>) -> Result<(), Refused> {
        let NewItem { id, what } = item;
        let is_name =
            |id: &String| !id.is_empty() && id.chars().count() <= ID_CHARS_MAX && self.items.get(id).is_none();
        if id.as_ref().is_some_and(|id| !is_name(id)) {
            return Err(refused("invalid_value", "item.id", "an id is short, and of one item alone"));
        }
        let after = after.filter(|after| Some(after.as_str()) != self.items.last_id());
        if after.as_ref().is_some_and(|after| after != ROOT && self.items.get(after).is_none()) {
            return Err(refused("item_not_found", "previous_item_id", "there is no such item"));
        }
        let what = match what {
            NewWhat::Message { role, content } => {
                let text = brief(text(&content)?, "item.content")?;
                match role {
                    Role::User => What::User { text, is_sound: false, is_counted: true },
                    Role::Assistant => What::Assistant { text, is_sound: false, sound_ms: 0 },
                    Role::System => What::System { text },
                }
            }
            NewWhat::FunctionCall { call_id, name, arguments } => {
                let call_id = call_id.unwrap_or_else(|| self.out.name("call"));
                What::Call { call_id, name: brief(name, "item.name")?, arguments: brief(arguments, "item.arguments")? }
            }
            NewWhat::FunctionCallOutput { call_id, output } => {
                if self.items.call(&call_id).is_none() {
                    return Err(refused("invalid_value", "item.call_id", "nobody has made that call"));
                }
                if self.given_up.contains(&call_id) {
                    return Err(refused("output_too_late", "item.call_id", "the call was given up meanwhile"));
                }
                What::Output { call_id, output: brief(output, "item.output")? }
            }
        };
        let id = id.unwrap_or_else(|| self.out.name("item"));
        let item = Item { id: id.clone(), status: Status::Completed, what };
        let previous = match after.as_deref() {
            None => self.items.push(item.clone()),
            Some(after) => {
                self.items.insert(Some(after).filter(|after| *after != ROOT), item.clone());
                self.items.before(&id)
            }
        };
        let told = item.to_json();
        for kind in ["conversation.item.added", "conversation.item.done"] {
            self.out.tell(json!({"type": kind, "previous_item_id": previous, "item": told}));
        }
        match &item.what {
            What::System { .. } => self.change(),
            // Somebody waits for it, wherever it stands.
            What::Output { call_id, output } if self.calls.remove(call_id) => {
                self.holds_output(call_id.clone(), output.clone());
            }
            _ if after.is_some() => self.is_edited = true,
            _ => {
                if let Some(message) = self.items.message(&item) {
                    self.tell(Input::Recall(message));
                }
            }
        }
        Ok(())
    }

    /// Says what an item is.
    pub(super) fn retrieve(&mut self, id: &str) -> Result<(), Refused> {
        let item = self.items.get(id).ok_or_else(no_item)?.to_json();
        self.out.tell(json!({"type": "conversation.item.retrieved", "item": item}));
        Ok(())
    }

    /// Takes an item out of the conversation.
    pub(super) fn delete(&mut self, id: &str) -> Result<(), Refused> {
        if self.answer.as_ref().is_some_and(|answer| answer.item() == Some(id)) {
            return Err(refused("item_in_progress", "item_id", "it is being said: send response.cancel first"));
        }
        let item = self.items.remove(id).ok_or_else(no_item)?;
        self.out.tell(json!({"type": "conversation.item.deleted", "item_id": id}));
        match item.what {
            What::System { .. } => self.change(),
            What::User { is_counted: false, .. } => self.tell(Input::Forget),
            _ => self.is_edited = true,
        }
        Ok(())
    }

    /// Of something that was said only so much was heard.
    pub(super) fn truncate(&mut self, item_id: String, content_index: u64, end_ms: u64) -> Result<(), Refused> {
        let item = self.items.get_mut(&item_id).ok_or_else(no_item)?;
        let What::Assistant { text, is_sound: true, sound_ms } = &mut item.what else {
            return Err(refused("invalid_value", "item_id", "only what the assistant has spoken can be cut"));
        };
        if content_index != 0 {
            return Err(refused("invalid_value", "content_index", "is 0: there is one part"));
        }
        // What is still being said is heard as it is sent, and ends as far as it was heard.
        if item.status != Status::InProgress {
            if end_ms > *sound_ms {
                let why = format!("only {sound_ms} ms of it were sent");
                return Err(refused("invalid_value", "audio_end_ms", &why));
            }
            let words: Vec<&str> = text.split_whitespace().collect();
            let heard = words.len() as u64 * end_ms / (*sound_ms).max(1);
            *text = words[..(heard as usize).min(words.len())].join(" ");
            *sound_ms = end_ms;
            item.status = Status::Incomplete;
            self.is_edited = true;
        }
        self.out.tell(json!({
            "type": "conversation.item.truncated", "item_id": item_id, "content_index": content_index,
            "audio_end_ms": end_ms,
        }));
        Ok(())
    }
}

fn no_item() -> Refused {
    refused("item_not_found", "item_id", "there is no such item")
}

fn brief(text: String, param: &str) -> Result<String, Refused> {
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(refused("string_above_max_length", param, &format!("has more than {TEXT_CHARS_MAX} characters")));
    }
    Ok(text)
}

/// What stands before the first item.
const ROOT: &str = "root";
