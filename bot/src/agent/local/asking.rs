//! What the answerer without a model says to the intents of its persona: answers, the questions of a form, and the call of
//! the tool once everything is known.

use media::time::MediaTime;
use serde_json::{Map, Value, json};
use tts::voice::Language;

use super::{
    super::{
        dialog::{Asks, Dialog},
        template,
    },
    Answer, Local, own, words,
};
use crate::{
    llm::Request,
    persona::{Confirm, Intent, PerLanguage, Slot},
    tools::BuiltIn,
    understand::{
        entity::{Context, Value as Said},
        form::{Form, Step},
    },
};

impl Local {
    /// Where and when something is said.
    pub(super) fn context(&self, language: Language, now: MediaTime) -> Context {
        Context { language, today: self.facts.local_time(now).date() }
    }

    /// What the persona's intents answer to the last turn; nothing where it wanted none of them and fills no form.
    pub(super) fn understood(&self, dialog: &Dialog<'_>, request: &Request, language: Language) -> Option<Answer> {
        let answers = dialog.answers.iter().filter_map(|intent| self.own_words(&intent.answer, language));
        let mut said: Vec<String> = answers.collect();
        let mut call = dialog.answers.iter().find_map(|intent| {
            let tool = intent.tool.as_ref().filter(|tool| is_offered(request, tool))?;
            Some((tool.clone(), json!({})))
        });
        if let Some(form) = &dialog.form {
            if form.step() == Step::Done {
                let Answer { text, call: made } = self.carry_out(form, request, language);
                said.push(text);
                call = made.or(call);
            } else {
                said.push(self.question(form, form.is_again(), language));
            }
        }
        (!said.is_empty() || call.is_some()).then(|| Answer { text: said.join(" "), call })
    }

    /// What is said of a tool's result, and the next question where another form waits.
    pub(super) fn result(
        &self,
        request: &Request,
        (name, content, is_error): (&str, &str, bool),
        language: Language,
        now: MediaTime,
    ) -> Answer {
        let persona = self.persona.clone();
        let dialog = Dialog::read(&persona, &request.messages, Asks::Forms, self.context(language, now));
        let usual = || words::result(BuiltIn::named(name), content, is_error, language);
        let Some(intent) = dialog.closed else { return usual().into() };
        let done = self.own_words(&intent.done, language).filter(|_| !is_error);
        match &dialog.form {
            Some(form) => {
                let done = done.unwrap_or_else(|| words::result(None, "", is_error, language));
                format!("{done} {}", self.question(form, false, language)).into()
            }
            None => done.unwrap_or_else(usual).into(),
        }
    }

    /// What a form asks or says next.
    pub(super) fn question(&self, form: &Form<'_>, is_again: bool, language: Language) -> String {
        let known = |at: usize| form.slots().nth(at).and_then(|(slot, value)| Some((slot, value?)));
        let told =
            |(slot, value): (&Slot, &Said)| format!("{}: {}", self.title(slot, language), value.said(slot, language));
        let sorry = if is_again { words::sorry(language) } else { "" };
        let text = match form.step() {
            Step::Ask(at) => {
                let slot = &form.intent().slots[at];
                let prompt = self.own_words(&slot.prompt, language).unwrap_or_else(|| self.title(slot, language));
                let keys =
                    if is_again { words::keys_of(&self.choices(slot, language), language) } else { String::new() };
                format!("{prompt} {keys}")
            }
            Step::Check(at) => words::check(&known(at).map(told).unwrap_or_default(), language),
            Step::ReadBack => {
                let is_read = |(slot, _): &(&Slot, &Said)| slot.confirm != Confirm::No;
                let known = form.slots().filter_map(|(slot, value)| Some((slot, value?))).filter(is_read);
                words::check(&known.map(told).collect::<Vec<_>>().join("; "), language)
            }
            Step::WhatIsWrong => {
                let titles: Vec<String> = form.slots().map(|(slot, _)| self.title(slot, language)).collect();
                words::which(&titles, language)
            }
            Step::Done => String::new(),
            Step::GaveUp => {
                let own = self.own_words(&self.persona.understanding.gave_up, language);
                return own.unwrap_or_else(|| words::gave_up(language).to_owned());
            }
            Step::Cancelled => words::cancelled(language).to_owned(),
        };
        format!("{sorry} {text}").trim().to_owned()
    }

    /// Calls the tool of a form that is full, or takes a note of it where there is none.
    fn carry_out(&self, form: &Form<'_>, request: &Request, language: Language) -> Answer {
        let intent = form.intent();
        let known = || form.slots().filter_map(|(slot, value)| Some((slot, value?)));
        let tool = intent.tool.as_ref().filter(|tool| is_offered(request, tool)).map(|tool| {
            let arguments: Map<String, Value> =
                known().map(|(slot, value)| (slot.name.clone(), value.json(slot))).collect();
            (tool.clone(), Value::Object(arguments))
        });
        let note = || {
            let told = |(slot, value): (&Slot, &Said)| format!("{}: {}", self.title(slot, language), value.plain(slot));
            let text =
                format!("{}: {}", self.called(intent, language), known().map(told).collect::<Vec<_>>().join("; "));
            is_offered(request, BuiltIn::TakeNote.name()).then(|| own(BuiltIn::TakeNote, json!({"text": text})))
        };
        let text = self.own_words(&intent.answer, language).unwrap_or_else(|| words::moment(language).to_owned());
        Answer { text, call: tool.or_else(note) }
    }

    /// What the persona has to say here, filled in; nothing where it has nothing.
    pub(super) fn own_words(&self, words: &PerLanguage, language: Language) -> Option<String> {
        let text = template::fill(words.nearest(language, self.persona.language)?, &self.facts.values);
        (!text.trim().is_empty()).then_some(text)
    }

    fn title(&self, slot: &Slot, language: Language) -> String {
        self.own_words(&slot.title, language).unwrap_or_else(|| slot.name.clone())
    }

    fn called(&self, intent: &Intent, language: Language) -> String {
        self.own_words(&intent.title, language).unwrap_or_else(|| intent.name.clone())
    }

    /// What a choice may be, as it is said.
    fn choices(&self, slot: &Slot, language: Language) -> Vec<String> {
        (0..slot.choices.len()).map(|at| Said::Choice(at).said(slot, language)).collect()
    }
}

/// Whether the tool of this name may be called here.
fn is_offered(request: &Request, name: &str) -> bool {
    request.tools.iter().any(|spec| spec.name == name)
}
