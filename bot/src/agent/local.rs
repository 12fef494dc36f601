//! The answerer without a model: rules for German and English, so that no call is ever mute.
//!
//! Pure. It takes the same questions as a model and gives the same pieces, so whoever carries questions out asks it
//! where no model is configured or all of them fail. It greets, says the date and the time, repeats, takes notes and reads
//! them back, knows its persona's facts, passes on, reminds and says good-bye where the persona has the tools; it does what
//! its persona's intents say and fills their forms; and it says honestly what it cannot do. What it understands by itself is
//! in [`intent`], what it says in [`words`], how it fills forms in [`asking`].

mod asking;
mod intent;
mod words;

use std::sync::Arc;

use media::time::MediaTime;
use serde_json::{Value, json};
use tts::voice::Language;

use self::intent::Intent;
use super::{
    dialog::{Asks, Dialog},
    language, lines,
    prompt::{BEGINNING, KEYS},
    template,
    thinking::NEWS,
};
use crate::{
    agent::Facts,
    brain,
    llm::{Call, Delta, Done, Message, MustCall, Request, Role, Stop, ToolSpec, Usage},
    persona::Persona,
    tools::BuiltIn,
};

/// Answers by rules. One for each call: it remembers notes.
#[derive(Clone)]
pub struct Local {
    persona: Arc<Persona>,
    facts: Facts,
    notes: Vec<String>,
    /// Whether what is said next is a note.
    awaits_note: bool,
    /// Answers that were no answer.
    puzzled: u32,
    calls: u64,
}

/// What is said, and what is called.
struct Answer {
    text: String,
    call: Option<(String, Value)>,
}

/// A call of one of our own tools.
fn own(tool: BuiltIn, arguments: Value) -> (String, Value) {
    (tool.name().to_owned(), arguments)
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self { text, call: None }
    }
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Local {
    /// For a call of `persona`.
    pub fn new(persona: Arc<Persona>, facts: Facts) -> Self {
        Self { persona, facts, notes: Vec::new(), awaits_note: false, puzzled: 0, calls: 0 }
    }

    /// Another persona goes on.
    pub fn hand_over(&mut self, persona: Arc<Persona>) {
        self.persona = persona;
    }

    /// The answer to a question, whole: the same pieces that a model gives. `language` is that of the conversation so far.
    pub fn answer(&mut self, role: Role, request: &Request, language: Language, now: MediaTime) -> Vec<Delta> {
        let answer: Answer = match request.messages.last() {
            Some(Message::User(text)) if role == Role::Fast && request.tools.is_empty() => summary(text).into(),
            Some(Message::User(text)) if text.ends_with(NEWS) => news(request.messages.iter(), language).into(),
            Some(Message::User(text)) if text == BEGINNING => words::hello(language).into(),
            Some(Message::User(text)) => {
                let language = language::heard(text, None, language, &self.persona);
                let answer = self.reply(text, request, language, now);
                forced(answer, request)
            }
            Some(Message::ToolResult { name, content, is_error, .. }) => {
                self.result(request, (name.as_str(), content.as_str(), *is_error), language, now)
            }
            Some(Message::Assistant { .. }) | None => words::help(language, &self.skills(request, language)).into(),
        };
        let mut deltas = Vec::new();
        if !answer.text.is_empty() {
            deltas.push(Delta::Text(answer.text));
        }
        let why = if answer.call.is_some() { Stop::Calls } else { Stop::End };
        if let Some((name, arguments)) = answer.call {
            self.calls += 1;
            let id = format!("local-{}", self.calls);
            deltas.push(Delta::Call(Call { id, name, arguments: arguments.to_string() }));
        }
        deltas.push(Delta::Done(Done { why, usage: Usage::default() }));
        deltas
    }

    fn reply(&mut self, text: &str, request: &Request, language: Language, now: MediaTime) -> Answer {
        let persona = self.persona.clone();
        let dialog = Dialog::read(&persona, &request.messages, Asks::Forms, self.context(language, now));
        let intent = intent::of(text);
        // What says nothing to a form may still be a good-bye, or a question that anybody may ask.
        let aside = dialog.form.as_ref().filter(|form| form.is_again() && dialog.answers.is_empty());
        if let Some(form) = aside.filter(|_| !text.contains(KEYS)) {
            let said = match &intent {
                Some(Intent::Goodbye | Intent::Transfer | Intent::Repeat) => {
                    return self.plainly(text, intent.clone(), request, language, now);
                }
                Some(Intent::Time | Intent::Date | Intent::Help) => {
                    Some(self.plainly(text, intent.clone(), request, language, now).text)
                }
                _ => self.fact(text, language),
            };
            if let Some(said) = said {
                return format!("{said} {}", self.question(form, false, language)).into();
            }
        }
        if !(self.awaits_note && dialog.form.is_none())
            && let Some(answer) = self.understood(&dialog, request, language)
        {
            return answer;
        }
        if let Some(keys) = text.rsplit_once(KEYS).map(|(_, keys)| keys.trim())
            && !keys.contains(char::is_alphabetic)
        {
            return words::keys(keys, language).into();
        }
        if std::mem::take(&mut self.awaits_note) && !matches!(intent, Some(Intent::Goodbye | Intent::Cancel)) {
            return self.note(text, request, language);
        }
        if let Some(fact) = self.fact(text, language) {
            return fact.into();
        }
        self.plainly(text, intent, request, language, now)
    }

    /// What everybody understands without a persona.
    fn plainly(
        &mut self,
        text: &str,
        intent: Option<Intent>,
        request: &Request,
        language: Language,
        now: MediaTime,
    ) -> Answer {
        let may = |tool: BuiltIn| request.tools.iter().any(|spec| spec.name == tool.name());
        let local = self.facts.local_time(now);
        match intent {
            Some(Intent::Goodbye) => {
                let text = lines::goodbye(&self.persona, &self.facts, language);
                Answer { text, call: may(BuiltIn::HangUp).then(|| own(BuiltIn::HangUp, json!({}))) }
            }
            Some(Intent::Transfer) if may(BuiltIn::Transfer) => self.transfer(text, language),
            Some(Intent::Transfer) => words::no_transfer(language).into(),
            Some(Intent::Note(what)) => match what {
                Some(what) => self.note(&what, request, language),
                None => {
                    self.awaits_note = true;
                    words::which_note(language).into()
                }
            },
            Some(Intent::ReadNotes) => words::notes(&self.notes, language).into(),
            Some(Intent::Remind) if may(BuiltIn::Remind) => {
                let call = Some(own(BuiltIn::Remind, json!({"text": text, "when": text})));
                Answer { text: String::new(), call }
            }
            Some(Intent::Remind) => self.note(text, request, language),
            Some(Intent::Remember(agreed)) if may(BuiltIn::Remember) => {
                let call = Some(own(BuiltIn::Remember, json!({"agreed": agreed})));
                Answer { text: String::new(), call }
            }
            Some(Intent::Remember(_)) => words::no_memory(language).into(),
            Some(Intent::Repeat) => {
                last_said(request).unwrap_or_else(|| words::nothing_said(language).to_owned()).into()
            }
            Some(Intent::Time) => words::time(local.time(), language).into(),
            Some(Intent::Date) => {
                let rules =
                    if language::is_german(language) { brain::Language::German } else { brain::Language::English };
                let named = brain::day_in(text, rules, local.date());
                words::date(named.unwrap_or_else(|| local.date()), local.date(), language).into()
            }
            Some(Intent::Help) => words::help(language, &self.skills(request, language)).into(),
            Some(Intent::Hello) => words::hello(language).into(),
            Some(Intent::Thanks) => words::welcome(language).into(),
            Some(Intent::Cancel) => words::cancelled(language).into(),
            None if let Some(fallback) = self.own_words(&self.persona.understanding.fallback, language) => {
                fallback.into()
            }
            None => {
                self.puzzled += 1;
                let skills = self.skills(request, language);
                if self.puzzled % 2 == 1 { words::puzzled(language, &skills) } else { words::still_puzzled(language) }
                    .into()
            }
        }
    }

    fn note(&mut self, what: &str, request: &Request, language: Language) -> Answer {
        let what = what.trim().trim_end_matches('.').to_owned();
        if self.notes.len() < NOTES_MAX {
            self.notes.push(what.clone());
        }
        let may = request.tools.iter().any(|spec| spec.name == BuiltIn::TakeNote.name());
        let call = may.then(|| own(BuiltIn::TakeNote, json!({"text": what})));
        Answer { text: words::noted(&what, language), call }
    }

    fn transfer(&self, text: &str, language: Language) -> Answer {
        let lower = text.to_lowercase();
        let names: Vec<&String> = self.persona.transfer.keys().collect();
        let named = names.iter().find(|name| lower.contains(&name.to_lowercase()));
        match (named, names.as_slice()) {
            (Some(name), _) | (None, [name]) => Answer {
                text: words::passing_on(language).to_owned(),
                call: Some(own(BuiltIn::Transfer, json!({"to": name}))),
            },
            (None, _) => words::to_whom(&names, language).into(),
        }
    }

    /// The fact that is asked for: the one with the longest words about it.
    fn fact(&self, text: &str, language: Language) -> Option<String> {
        let said = intent::plain(text);
        let about = |fact: &crate::persona::Fact| {
            let found = fact.about.iter().filter(|about| said.contains(&intent::plain(about)));
            found.map(|about| about.chars().count()).max()
        };
        let best =
            self.persona.facts.iter().filter_map(|fact| Some((about(fact)?, fact))).max_by_key(|(long, _)| *long)?;
        let answer = best.1.answer.nearest(language, self.persona.language)?;
        Some(template::fill(answer, &self.facts.values))
    }

    /// What it can do here, as ends of "I can …".
    fn skills(&self, request: &Request, language: Language) -> Vec<&'static str> {
        let may = |tool: BuiltIn| request.tools.iter().any(|spec| spec.name == tool.name());
        words::skills(may(BuiltIn::Transfer), may(BuiltIn::Remind), language)
    }
}

/// The answer as a call that has to be made: where the rules make another or none, one that takes no arguments. Nobody here
/// can think arguments up, so a tool that needs some is not called, and what the rules say stands.
fn forced(answer: Answer, request: &Request) -> Answer {
    let takes_none = |spec: &&ToolSpec| spec.parameters["required"].as_array().is_none_or(Vec::is_empty);
    let wanted = match request.must_call() {
        MustCall::Nothing => None,
        // Which of several is meant would be a guess.
        MustCall::Any if answer.call.is_some() || request.tools.len() != 1 => None,
        MustCall::Any => request.tools.first().filter(takes_none),
        MustCall::This(name) if answer.call.as_ref().is_some_and(|(called, _)| called == name) => None,
        MustCall::This(name) => request.tools.iter().find(|spec| spec.name == *name).filter(takes_none),
    };
    match wanted {
        Some(spec) => Answer { text: String::new(), call: Some((spec.name.clone(), json!({}))) },
        None => answer,
    }
}

/// What was said last of the agent.
fn last_said(request: &Request) -> Option<String> {
    request.messages.iter().rev().find_map(|message| match message {
        Message::Assistant { text, .. } if !text.is_empty() => Some(text.clone()),
        _ => None,
    })
}

/// What a tool said after its turn was over: the last result in `messages`.
pub(super) fn news<'m>(messages: impl DoubleEndedIterator<Item = &'m Message>, language: Language) -> String {
    let last = messages.rev().find_map(|message| match message {
        Message::ToolResult { name, content, is_error, .. } => Some((name, content, *is_error)),
        Message::User(_) | Message::Assistant { .. } => None,
    });
    last.map(|(name, content, is_error)| words::result(BuiltIn::named(name), content, is_error, language))
        .unwrap_or_default()
}

/// The lines of a transcript that say most: those of callers, as far as they fit.
fn summary(transcript: &str) -> String {
    let mut text = String::new();
    for line in transcript.lines().filter(|line| line.starts_with("Caller:") || line.starts_with("Earlier:")) {
        let room = SUMMARY_BYTES_MAX.saturating_sub(text.len());
        text.push_str(&line[..line.floor_char_boundary(room)]);
        if line.len() > room {
            break;
        }
        text.push('\n');
    }
    text
}

/// Notes that are read back; a tool keeps as many as it likes.
const NOTES_MAX: usize = 50;

const SUMMARY_BYTES_MAX: usize = 800;

#[cfg(test)]
mod tests;
