//! What is left of a call when it is over: the question for its summary.
//!
//! Pure. Whoever keeps the memory of callers asks it of a model, or of the rules, and keeps the answer; the agent itself
//! has done with talking by then.

use super::{machine::Agent, prompt};
use crate::llm::{Message, Request, Role};

impl Agent {
    /// The question whose answer sums up the whole call, and the kind of model for it. `None` where the caller said
    /// nothing.
    pub fn recap(&self) -> Option<(Role, Request)> {
        let has_spoken = self.history.messages().any(|message| matches!(message, Message::User(_)));
        if !has_spoken && self.history.summary().is_empty() {
            return None;
        }
        Some(prompt::summary(&self.history, self.history.messages().count(), self.language()))
    }
}
