//! Where a conversation stands: what the caller wants of their persona's list, what is known of it, how they sound.
//!
//! Pure. It is read from the messages of the conversation, from its beginning, each time it is needed: an answer that was
//! prepared and thrown away, or cut before it was heard, leaves no trace in it. With rules alone the forms ask; where a
//! model asks, only what callers say by themselves is noted, as data for it.

use std::collections::VecDeque;

use super::{
    prompt::{BEGINNING, KEYS},
    thinking::NEWS,
};
use crate::{
    llm::Message,
    persona::{Intent, Persona, SlotKind},
    understand::{
        emotion::Mood,
        entity::Context,
        form::{Form, Said, Step},
        intent::{self, Recognized},
    },
};

/// Who asks for what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// The forms do.
    Forms,
    /// A model does, in its own order.
    Model,
}

/// Where a conversation stands after its last message.
pub(super) struct Dialog<'p> {
    persona: &'p Persona,
    asks: Asks,
    context: Context,
    /// The form that is being filled, or was with the last message.
    pub(super) form: Option<Form<'p>>,
    /// Intents whose forms come next.
    waiting: VecDeque<&'p Intent>,
    /// What the last turn of the caller wanted.
    pub(super) wanted: Vec<Recognized>,
    /// Of these, what can be answered at once.
    pub(super) answers: Vec<&'p Intent>,
    /// Whose form was closed by the last message.
    pub(super) closed: Option<&'p Intent>,
    pub(super) mood: Mood,
}

impl<'p> Dialog<'p> {
    /// Reads `messages`, oldest first.
    pub(super) fn read<'m>(
        persona: &'p Persona,
        messages: impl IntoIterator<Item = &'m Message>,
        asks: Asks,
        context: Context,
    ) -> Self {
        let (form, closed) = (None, None);
        let (waiting, wanted, answers, mood) = Default::default();
        let mut dialog = Self { persona, asks, context, form, waiting, wanted, answers, closed, mood };
        let messages: Vec<&Message> = messages.into_iter().collect();
        let felt_from = messages.len().saturating_sub(FELT_MESSAGES);
        for (at, message) in messages.into_iter().enumerate() {
            dialog.closed = None;
            match message {
                Message::User(text) if text == BEGINNING || text.ends_with(NEWS) => {}
                Message::User(text) => {
                    if at >= felt_from && !text.contains(KEYS) {
                        dialog.mood.hear(text);
                    }
                    dialog.on_said(text);
                }
                Message::Assistant { calls, .. } if dialog.asks == Asks::Model => {
                    // The model has what it needed.
                    let is_called = |form: &mut Form<'_>| {
                        let tool = form.intent().tool.as_ref();
                        tool.is_some_and(|tool| calls.iter().any(|call| call.name == *tool))
                    };
                    dialog.form.take_if(is_called);
                }
                Message::Assistant { .. } => {}
                Message::ToolResult { .. } => dialog.close(),
            }
        }
        dialog
    }

    /// A form that is over makes place for the next that waits.
    pub(super) fn close(&mut self) {
        let Some(form) = self.form.take_if(|form| form.is_over()) else { return };
        if form.step() == Step::Done {
            self.closed = Some(form.intent());
            let next = self.waiting.pop_front();
            self.form = next.map(|intent| self.open(intent, ""));
        } else {
            self.waiting.clear();
        }
    }

    fn on_said(&mut self, text: &str) {
        if self.persona.intents.is_empty() {
            return;
        }
        self.answers.clear();
        self.wanted.clear();
        if self.asks == Asks::Forms {
            self.close();
        }
        // Turns whose answers nobody heard are one message: words and keys may stand in it one after the other.
        let mut parts = text.split(KEYS);
        self.on_words(parts.next().unwrap_or_default());
        for part in parts {
            let part = part.trim_start();
            let is_key = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#');
            let (keys, words) = part.split_at(part.find(|c: char| !is_key(c)).unwrap_or(part.len()));
            if let Some(form) = self.form.as_mut().filter(|_| self.asks == Asks::Forms) {
                form.take(Said::Keys(keys), self.context);
            }
            self.on_words(words);
        }
    }

    fn on_words(&mut self, words: &str) {
        if words.trim().is_empty() {
            return;
        }
        // Whatever is answered to a question for any words is the answer.
        let is_answer = self.form.as_ref().is_some_and(|form| self.asks == Asks::Forms && asks_for_text(form));
        if !is_answer {
            self.wanted = intent::route(words, &self.persona.intents, self.persona.understanding.confidence);
        }
        let persona = self.persona;
        let wanted: Vec<&'p Intent> = self.wanted.iter().map(|wanted| &persona.intents[wanted.intent]).collect();
        match self.asks {
            Asks::Forms => self.fill(words, &wanted),
            Asks::Model => self.overhear(words, &wanted),
        }
    }

    /// The forms ask: what was said is the answer, or a wish.
    fn fill(&mut self, words: &str, wanted: &[&'p Intent]) {
        let is_open = self.form.is_some();
        let own = self.form.as_ref().map(|form| form.intent().name.as_str());
        let mut others: VecDeque<&'p Intent> = VecDeque::new();
        for intent in wanted.iter().copied().filter(|intent| own != Some(intent.name.as_str())) {
            if intent.slots.is_empty() {
                self.answers.push(intent);
            } else if !self.waiting.iter().any(|waiting| waiting.name == intent.name) {
                others.push_back(intent);
            }
        }
        if !is_open {
            self.form = others.pop_front().map(|intent| self.open(intent, words));
        }
        let is_aside = !self.answers.is_empty();
        self.waiting.append(&mut others);
        if let Some(form) = self.form.as_mut().filter(|_| is_open) {
            let before = form.clone();
            form.take(Said::Words(words), self.context);
            if form.is_again() && is_aside {
                // They asked something else in between: that is no try.
                *form = before;
            }
        }
    }

    /// A model asks: what callers say by themselves is noted.
    fn overhear(&mut self, words: &str, wanted: &[&'p Intent]) {
        let new = wanted.iter().copied().find(|intent| !intent.slots.is_empty());
        let is_its = |form: &Form<'p>| new.is_none_or(|new| new.name == form.intent().name);
        let is_same = self.form.as_ref().is_some_and(is_its);
        if let Some(form) = self.form.as_mut().filter(|_| is_same) {
            form.note(words, self.context);
        } else if let Some(new) = new {
            self.form = Some(self.open(new, words));
        }
    }

    fn open(&self, intent: &'p Intent, words: &str) -> Form<'p> {
        Form::open(intent, words, self.persona.understanding.tries_max, self.context)
    }
}

fn asks_for_text(form: &Form<'_>) -> bool {
    matches!(form.step(), Step::Ask(at) if form.intent().slots[at].kind == SlotKind::Text)
}

/// Of what was said before these, no feeling is left.
const FELT_MESSAGES: usize = 12;

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use tts::voice::Language;

    use super::*;
    use crate::llm::Call;

    const PERSONA: &str = r#"
tools = ["book", "take_note"]
[[intent]]
name = "book"
phrases.en = ["book * table"]
tool = "book"
[[intent.slot]]
name = "day"
kind = "date"
prompt = "?"
[[intent.slot]]
name = "name"
kind = "name"
prompt = "?"
[[intent]]
name = "hours"
phrases.en = ["hours"]
answer = "From nine to five."
[[intent]]
name = "complain"
phrases.en = ["complain*"]
[[intent.slot]]
name = "what"
kind = "text"
prompt = "?"
"#;

    fn context() -> Context {
        Context { language: Language::ENGLISH_US, today: date(2026, 11, 30) }
    }

    fn user(text: &str) -> Message {
        Message::User(text.to_owned())
    }

    fn step(persona: &Persona, messages: &[Message]) -> Option<(String, Step)> {
        let dialog = Dialog::read(persona, messages, Asks::Forms, context());
        dialog.form.map(|form| (form.intent().name.clone(), form.step()))
    }

    #[test]
    fn a_wish_beside_a_form_is_answered_or_waits() {
        let persona = Persona::parse("p", PERSONA).unwrap();
        let mut messages =
            vec![user(BEGINNING), user("I'd like to book a table, what are your hours, and I want to complain")];
        let dialog = Dialog::read(&persona, &messages, Asks::Forms, context());
        assert_eq!(dialog.wanted.len(), 3);
        assert_eq!(dialog.answers.iter().map(|intent| intent.name.as_str()).collect::<Vec<_>>(), ["hours"]);
        let at = |name: &str, step: Step| Some((name.to_owned(), step));
        assert_eq!(step(&persona, &messages), at("book", Step::Ask(0)));
        messages.push(user("on Friday"));
        assert_eq!(step(&persona, &messages), at("book", Step::Ask(1)));
        // Another question is no try.
        for _ in 0..4 {
            messages.push(user("What are your hours?"));
            assert_eq!(step(&persona, &messages), at("book", Step::Ask(1)));
        }
        messages.push(user("Anna Weber"));
        assert_eq!(step(&persona, &messages), at("book", Step::ReadBack));
        // An answer that nobody heard leaves two turns in one message.
        messages.push(user("No, on Monday [keys] 1"));
        assert_eq!(step(&persona, &messages), at("book", Step::Done));
        let dialog = Dialog::read(&persona, &messages, Asks::Forms, context());
        let form = dialog.form.unwrap();
        let days: Vec<String> = form.slots().take(1).filter_map(|(slot, value)| Some(value?.plain(slot))).collect();
        assert_eq!(days, ["2026-11-30"]);
        let (id, name) = ("c1".to_owned(), "book".to_owned());
        messages.push(Message::Assistant {
            text: String::new(),
            calls: vec![Call { id: id.clone(), name: name.clone(), arguments: "{}".to_owned() }],
        });
        messages.push(Message::ToolResult { id, name, content: String::new(), is_error: false });
        assert_eq!(step(&persona, &messages), at("complain", Step::Ask(0)));
        let dialog = Dialog::read(&persona, &messages, Asks::Forms, context());
        assert_eq!(dialog.closed.map(|intent| intent.name.as_str()), Some("book"));
        // Any words are an answer to a question for any words.
        messages.push(user("the hours on your door are wrong"));
        assert_eq!(step(&persona, &messages), at("complain", Step::ReadBack));
        messages.push(user("never mind"));
        assert_eq!(step(&persona, &messages), at("complain", Step::Cancelled));
        messages.push(user("hello"));
        assert_eq!(step(&persona, &messages), None);
    }

    #[test]
    fn what_is_said_by_itself_is_noted_for_a_model() {
        let persona = Persona::parse("p", PERSONA).unwrap();
        let mut messages = vec![
            user("I want to book a table"),
            user("Anna"),
            user("my name is Anna Weber"),
            user("tomorrow"),
            user("no, on Friday"),
        ];
        let dialog = Dialog::read(&persona, &messages, Asks::Model, context());
        let form = dialog.form.unwrap();
        let known: Vec<String> =
            form.slots().map(|(slot, value)| value.map(|value| value.plain(slot)).unwrap_or_default()).collect();
        assert_eq!(known, ["2026-12-04", "Anna Weber"]);
        let call = Call { id: "c1".to_owned(), name: "book".to_owned(), arguments: "{}".to_owned() };
        messages.push(Message::Assistant { text: String::new(), calls: vec![call] });
        assert!(Dialog::read(&persona, &messages, Asks::Model, context()).form.is_none());
    }
}
