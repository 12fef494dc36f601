//! What a model is told of the conversation so far: what callers said, what was *heard* of the answers, what tools
//! gave; and a summary of what lies too far back.
//!
//! Pure and bounded. Sizes are estimated: vendors count tokens in their own ways, and a window that is a fifth too small
//! hurts nobody.

use std::collections::VecDeque;

use crate::{
    llm::{Call, Message},
    tools::Outcome,
};

/// The conversation so far.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// What was said before the oldest entry.
    summary: String,
    entries: VecDeque<Message>,
}

impl History {
    /// What was said before, elsewhere. Of what does not hold together, the rest is kept.
    pub(super) fn recall(&mut self, past: Vec<Message>) {
        for message in past {
            match message {
                Message::User(text) => self.user(&text),
                Message::Assistant { text, calls } => self.assistant(text, calls),
                Message::ToolResult { id, name, content, is_error } => {
                    let call = Call { id, name, arguments: String::new() };
                    self.result(&call, &Outcome { content, is_error });
                }
            }
        }
    }

    /// The caller said this. What they said before without an answer belongs to it.
    pub(super) fn user(&mut self, text: &str) {
        match self.entries.back_mut() {
            Some(Message::User(before)) => {
                before.push(' ');
                before.push_str(text);
                let too_much = before.len().saturating_sub(USER_BYTES_MAX);
                before.drain(..before.ceil_char_boundary(too_much));
            }
            _ => self.entries.push_back(Message::User(text.to_owned())),
        }
    }

    /// This was heard of an answer, and these calls were made.
    pub(super) fn assistant(&mut self, text: String, calls: Vec<Call>) {
        if !text.is_empty() || !calls.is_empty() {
            self.entries.push_back(Message::Assistant { text, calls });
        }
    }

    /// A call that was made came to this; once, and only for a call that is remembered. Whether that is new.
    pub(super) fn result(&mut self, call: &Call, outcome: &Outcome) -> bool {
        let is_its = |message: &Message| match message {
            Message::Assistant { calls, .. } => calls.iter().any(|made| made.id == call.id),
            Message::User(_) | Message::ToolResult { .. } => false,
        };
        let Some(made) = self.entries.iter().rposition(is_its) else { return false };
        let results = self.entries.iter().skip(made + 1).take_while(|next| matches!(next, Message::ToolResult { .. }));
        let (mut count, mut is_known) = (0, false);
        for result in results {
            count += 1;
            is_known |= matches!(result, Message::ToolResult { id, .. } if *id == call.id);
        }
        if !is_known {
            self.entries.insert(
                made + 1 + count,
                Message::ToolResult {
                    id: call.id.clone(),
                    name: call.name.clone(),
                    content: outcome.content.clone(),
                    is_error: outcome.is_error,
                },
            );
        }
        !is_known
    }

    /// Whether the last that was heard of us is a question.
    pub(super) fn ends_in_question(&self) -> bool {
        match self.entries.back() {
            Some(Message::Assistant { text, .. }) => text.ends_with('?'),
            Some(Message::User(_) | Message::ToolResult { .. }) | None => false,
        }
    }

    /// All that is remembered word by word, oldest first.
    pub(super) fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.entries.iter()
    }

    /// What came before.
    pub(super) fn summary(&self) -> &str {
        &self.summary
    }

    /// About how many tokens all of it is.
    pub(super) fn tokens(&self) -> usize {
        tokens(&self.summary) + self.entries.iter().map(of_message).sum::<usize>()
    }

    /// How many of the oldest messages are to become a summary so that about `keep` tokens stay; they end before
    /// something that a caller said, so that no result loses its call.
    pub(super) fn too_old(&self, keep: usize) -> usize {
        let mut after = 0;
        let mut cut = 0;
        for (at, message) in self.entries.iter().enumerate().rev() {
            after += of_message(message);
            if after >= keep && matches!(message, Message::User(_)) {
                cut = at;
                break;
            }
        }
        cut
    }

    /// The oldest `count` messages as a transcript.
    pub(super) fn transcript(&self, count: usize) -> String {
        let mut text = String::new();
        for message in self.entries.iter().take(count) {
            match message {
                Message::User(said) => text.push_str(&format!("Caller: {said}\n")),
                Message::Assistant { text: said, .. } if !said.is_empty() => text.push_str(&format!("Agent: {said}\n")),
                Message::Assistant { .. } => {}
                Message::ToolResult { name, content, .. } => text.push_str(&format!("{name}: {content}\n")),
            }
        }
        text
    }

    /// Forgets the oldest `count` messages; `summary` stands for all that is forgotten, from now on.
    pub(super) fn forget(&mut self, count: usize, summary: Option<String>) {
        self.entries.drain(..count.min(self.entries.len()));
        if let Some(summary) = summary {
            self.summary = summary;
        }
    }
}

/// What is kept of what a caller says in a row without an answer: as much as of the longest turn, the newest of it.
const USER_BYTES_MAX: usize = 12_000;

/// About how many tokens `text` is: four letters each in English, three and a half in German.
pub(super) fn tokens(text: &str) -> usize {
    text.chars().count() * 2 / 7 + 1
}

fn of_message(message: &Message) -> usize {
    const FRAME: usize = 4;
    FRAME
        + match message {
            Message::User(text) => tokens(text),
            Message::Assistant { text, calls } => {
                tokens(text) + calls.iter().map(|call| tokens(&call.name) + tokens(&call.arguments)).sum::<usize>()
            }
            Message::ToolResult { content, .. } => tokens(content),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> Call {
        Call { id: id.to_owned(), name: "look_up".to_owned(), arguments: "{}".to_owned() }
    }

    #[test]
    fn a_result_stands_behind_its_call_once_however_late_it_comes() {
        let mut history = History::default();
        history.user("Eins");
        history.assistant("Moment.".to_owned(), vec![call("a"), call("b")]);
        history.user("Zwei");
        history.user("drei");
        assert!(history.result(&call("b"), &Outcome::done("2")));
        assert!(history.result(&call("a"), &Outcome::done("1")));
        assert!(!history.result(&call("a"), &Outcome::done("1 again")));
        assert!(!history.result(&call("c"), &Outcome::done("nobody asked")));
        let all: Vec<String> = history
            .messages()
            .map(|message| match message {
                Message::User(text) => text.clone(),
                Message::Assistant { calls, .. } => format!("{} calls", calls.len()),
                Message::ToolResult { id, content, .. } => format!("{id}={content}"),
            })
            .collect();
        assert_eq!(all, ["Eins", "2 calls", "b=2", "a=1", "Zwei drei"]);
    }

    #[test]
    fn of_what_is_said_in_a_row_without_an_answer_the_newest_is_kept() {
        let mut history = History::default();
        for _ in 0..5 {
            history.user(&"ä".repeat(2_500));
        }
        history.user("Und nun?");
        let Some(Message::User(said)) = history.messages().next() else { panic!("somebody spoke") };
        assert!(said.len() <= USER_BYTES_MAX && said.len() > USER_BYTES_MAX - 4, "{}", said.len());
        assert!(said.ends_with("ä Und nun?"));
        assert_eq!(history.messages().count(), 1);
    }

    #[test]
    fn what_is_too_old_ends_before_something_that_the_caller_said() {
        let mut history = History::default();
        for at in 0..10 {
            history.user(&"wort ".repeat(40));
            history.assistant("antwort ".repeat(20), vec![call(&at.to_string())]);
            history.result(&call(&at.to_string()), &Outcome::done("ja"));
        }
        let count = history.too_old(300);
        assert!(count > 10 && count < 30 && count % 3 == 0, "{count}");
        let before = history.tokens();
        history.forget(count, Some("Es ging um Wörter.".to_owned()));
        assert!(history.tokens() < before / 2 && matches!(history.messages().next(), Some(Message::User(_))));
        assert_eq!(history.summary(), "Es ging um Wörter.");
        assert_eq!(History::default().too_old(300), 0);
    }
}
