//! What is on its way to a client: events in their order, each with a name, and names for whatever needs one. Pure.
//!
//! Bounded by whoever drains it after everything that happens: one happening tells a handful of things.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::session::Refused;

/// Events that wait to be sent.
pub(super) struct Outbox {
    /// What tells this session's names from those of others.
    tag: String,
    count: u64,
    events: VecDeque<Value>,
}

impl Outbox {
    /// One for a session whose names hold `tag`.
    pub(super) fn new(tag: String) -> Self {
        Self { tag, count: 0, events: VecDeque::new() }
    }

    /// A name that nothing else in the session has.
    pub(super) fn name(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}_{}{:06}", self.tag, self.count)
    }

    /// Tells something; its own name is put to it.
    pub(super) fn tell(&mut self, mut event: Value) {
        event["event_id"] = self.name("event").into();
        self.events.push_back(event);
    }

    /// Tells what is wrong with something that the client called `event_id`.
    pub(super) fn refuse(&mut self, event_id: Option<&str>, refused: &Refused) {
        let Refused { code, param, why } = refused;
        let param = (!param.is_empty()).then_some(param);
        self.error("invalid_request_error", code, why, param.map(String::as_str), event_id);
    }

    /// Tells that something is wrong.
    pub(super) fn error(&mut self, kind: &str, code: &str, why: &str, param: Option<&str>, event_id: Option<&str>) {
        self.tell(json!({
            "type": "error",
            "error": {"type": kind, "code": code, "message": why, "param": param, "event_id": event_id},
        }));
    }

    /// The next event to send.
    pub(super) fn next(&mut self) -> Option<Value> {
        self.events.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_what_it_is_about() {
        let mut out = Outbox::new("ab".to_owned());
        let (code, param, why) = ("invalid_value", "session.type".to_owned(), "expected another".to_owned());
        out.refuse(Some("mine"), &Refused { code, param, why });
        let told = out.next().unwrap();
        assert_eq!(told["event_id"], "event_ab000001");
        assert_eq!(
            told["error"],
            json!({
                "type": "invalid_request_error", "code": "invalid_value", "message": "expected another",
                "param": "session.type", "event_id": "mine",
            })
        );
        assert!(out.next().is_none() && out.name("item") != out.name("item"));
    }
}
