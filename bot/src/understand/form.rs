//! A form that is filled in a conversation: asks for what is missing, takes several values at once, lets itself be
//! corrected, reads back, and gives up in the end.
//!
//! Pure. [`Form::open`] takes what the first turn already says, [`Form::take`] each turn that follows, by word or by key; what
//! is to be said next is [`Form::step`]. Keys fill numbers, telephone numbers, choices and times, answer yes (1) and no (2), and say by
//! its number which slot is wrong.

use tts::voice::Language;

use super::{
    entity::{self, Context, Value},
    meaning::{self, Meaning},
    words,
};
use crate::persona::{Confirm, Intent, Slot, SlotKind};

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This slot is asked for.
    Ask(usize),
    /// This slot is read back.
    Check(usize),
    /// All of it is read back.
    ReadBack,
    /// Something is wrong, and nobody knows what.
    WhatIsWrong,
    /// Everything is known and agreed to.
    Done,
    /// It could not be filled.
    GaveUp,
    /// The caller does not want it any more.
    Cancelled,
}

/// One turn of a caller.
#[derive(Clone, Copy)]
pub enum Said<'t> {
    /// Words.
    Words(&'t str),
    /// Keys: `0`–`9`, `*`, `#`.
    Keys(&'t str),
}

/// A form that is being filled.
#[derive(Clone)]
pub struct Form<'p> {
    intent: &'p Intent,
    values: Vec<Option<Value>>,
    /// Slots that were read back by themselves, and were right.
    checked: Vec<bool>,
    step: Step,
    /// Turns in a row that said nothing to what was asked.
    tries: u32,
    tries_max: u32,
}

impl<'p> Form<'p> {
    /// The form of `intent`, with what `text` says of it.
    pub fn open(intent: &'p Intent, text: &str, tries_max: u32, context: Context) -> Self {
        let values = vec![None; intent.slots.len()];
        let checked = vec![false; intent.slots.len()];
        let mut form = Self { intent, values, checked, step: Step::Done, tries: 0, tries_max };
        form.gather(&meaning::granted(text), None, context);
        form.step = form.upcoming();
        form
    }

    /// Whose form it is.
    pub fn intent(&self) -> &'p Intent {
        self.intent
    }

    /// What is to be said next.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Whether the last turn said nothing to what was asked.
    pub fn is_again(&self) -> bool {
        self.tries > 0
    }

    /// Whether nothing more is asked.
    pub fn is_over(&self) -> bool {
        matches!(self.step, Step::Done | Step::GaveUp | Step::Cancelled)
    }

    /// The slots and what is known of them.
    pub fn slots(&self) -> impl Iterator<Item = (&'p Slot, Option<&Value>)> {
        self.intent.slots.iter().zip(self.values.iter().map(Option::as_ref))
    }

    /// Takes a turn of the caller.
    pub fn take(&mut self, said: Said<'_>, context: Context) {
        if self.is_over() {
            return;
        }
        if let Said::Words(text) = said
            && meaning::is_cancel(text)
        {
            self.step = Step::Cancelled;
            return;
        }
        let next = match (self.step, said) {
            (Step::Ask(at), Said::Keys(keys)) => self.on_typed(at, keys),
            (Step::Ask(at), Said::Words(text)) => self.on_answer(at, text, context),
            (Step::Check(at), said) => self.on_check(at, said, context),
            (Step::ReadBack, said) => self.on_read_back(said, context),
            (Step::WhatIsWrong, Said::Keys(keys)) => self.on_which(keys),
            (Step::WhatIsWrong, Said::Words(text)) => self.on_wrong(text, context),
            (Step::Done | Step::GaveUp | Step::Cancelled, _) => None,
        };
        match next {
            Some(step) => {
                self.tries = 0;
                self.step = step;
            }
            None => {
                self.tries += 1;
                if self.tries >= self.tries_max {
                    self.step = Step::GaveUp;
                }
            }
        }
    }

    /// Takes values that say what they are, wherever they stand, the newest for each slot: for whoever asks by themselves.
    pub fn note(&mut self, text: &str, context: Context) {
        let text = meaning::granted(text);
        for at in 0..self.values.len() {
            self.fill(at, entity::find(&self.intent.slots[at], &text, false, context));
        }
    }

    fn on_typed(&mut self, at: usize, keys: &str) -> Option<Step> {
        let value = entity::typed(&self.intent.slots[at], keys)?;
        self.fill(at, Some(value)).then(|| self.upcoming())
    }

    fn on_answer(&mut self, at: usize, text: &str, context: Context) -> Option<Step> {
        let intent = self.intent;
        let slot = &intent.slots[at];
        let corrects = meaning::is_correction(text);
        let is_text = slot.kind == SlotKind::Text;
        // "Nicht am Montag" is no answer, and any words are one to a question for any words.
        let (right, _) = if corrects || !is_text { meaning::parted(text) } else { (text.to_owned(), None) };
        let is_plain_no = corrects && right.is_empty();
        // Words that correct something else are no answer: "Nein, am Dienstag" where a name was asked for.
        let corrected = corrects && !is_text && self.correct(&right, None, Some(at), context);
        let value = if is_plain_no || (corrected && slot.kind == SlotKind::Name) {
            None
        } else {
            entity::find(slot, &right, true, context)
        };
        let is_filled = self.fill(at, value);
        let is_more = !is_text && self.gather(&right, Some(at), context);
        (is_filled || is_more || corrected).then(|| self.upcoming())
    }

    fn on_check(&mut self, at: usize, said: Said<'_>, context: Context) -> Option<Step> {
        let text = match said {
            Said::Keys(keys) => return self.on_key(keys, |form| form.agree(at), |form| form.clear(at)),
            Said::Words(text) => text,
        };
        let meaning = meaning::of(text);
        let (right, wrong) = meaning::parted(text);
        let value = wrong.as_deref().and_then(|wrong| entity::repaired(self.values[at].as_ref()?, &right, wrong));
        // "Nein, das ist falsch" says nothing new.
        let is_new = match meaning {
            Some(Meaning::Yes) => right.split_whitespace().count() > 1,
            Some(Meaning::No) => {
                meaning::of(&right) != Some(Meaning::No)
                    || !matches!(self.intent.slots[at].kind, SlotKind::Name | SlotKind::Text)
            }
            None => true,
        };
        let found = || {
            if is_new {
                entity::find(&self.intent.slots[at], &right, meaning == Some(Meaning::No), context)
            } else {
                None
            }
        };
        let value = value.or_else(found).filter(|value| self.values[at].as_ref() != Some(value));
        if self.fill(at, value) {
            return Some(Step::Check(at));
        }
        match meaning {
            Some(Meaning::Yes) => Some(self.agree(at)),
            // "Yes, but on Wednesday" is about something else.
            _ if (meaning == Some(Meaning::No) || meaning::is_correction(text))
                && self.correct(&right, None, Some(at), context) =>
            {
                Some(Step::Check(at))
            }
            Some(Meaning::No) => Some(self.clear(at)),
            None => None,
        }
    }

    fn on_read_back(&mut self, said: Said<'_>, context: Context) -> Option<Step> {
        let text = match said {
            Said::Keys(keys) => return self.on_key(keys, |_| Step::Done, Self::which),
            Said::Words(text) => text,
        };
        let meaning = meaning::of(text);
        let (right, wrong) = meaning::parted(text);
        if self.correct(&right, wrong.as_deref(), None, context) {
            return Some(self.upcoming());
        }
        match meaning {
            Some(Meaning::Yes) => Some(Step::Done),
            Some(Meaning::No) => Some(match self.named(text) {
                Some(at) => self.clear(at),
                None => self.which(),
            }),
            None => None,
        }
    }

    fn on_wrong(&mut self, text: &str, context: Context) -> Option<Step> {
        let (right, wrong) = meaning::parted(text);
        if self.correct(&right, wrong.as_deref(), None, context) {
            return Some(self.upcoming());
        }
        match self.named(text) {
            Some(at) => Some(self.clear(at)),
            // "Nothing, all is well."
            None if meaning::is_nothing(text) || meaning::of(text) == Some(Meaning::Yes) => Some(self.upcoming()),
            None => None,
        }
    }

    /// The slot of this number, counted from 1, is wrong.
    fn on_which(&mut self, keys: &str) -> Option<Step> {
        let nth: usize = keys.trim_end_matches('#').parse().ok()?;
        let at = nth.checked_sub(1).filter(|at| *at < self.values.len())?;
        Some(self.clear(at))
    }

    /// 1 is yes, 2 is no.
    fn on_key(
        &mut self,
        keys: &str,
        yes: impl FnOnce(&mut Self) -> Step,
        no: impl FnOnce(&mut Self) -> Step,
    ) -> Option<Step> {
        match keys.trim_end_matches('#') {
            "1" => Some(yes(self)),
            "2" => Some(no(self)),
            _ => None,
        }
    }

    fn agree(&mut self, at: usize) -> Step {
        self.checked[at] = true;
        self.upcoming()
    }

    fn clear(&mut self, at: usize) -> Step {
        self.values[at] = None;
        self.checked[at] = false;
        Step::Ask(at)
    }

    /// Something is wrong: with a single slot it is plain what.
    fn which(&mut self) -> Step {
        let mut filled = (0..self.values.len()).filter(|at| self.values[*at].is_some());
        match (filled.next(), filled.next()) {
            (Some(at), None) => self.clear(at),
            _ => Step::WhatIsWrong,
        }
    }

    /// What is missing, to be read back, or nothing.
    fn upcoming(&self) -> Step {
        let slots = || self.intent.slots.iter().enumerate();
        let unchecked = slots()
            .find(|(at, slot)| slot.confirm == Confirm::Always && self.values[*at].is_some() && !self.checked[*at]);
        let missing = slots().find(|(at, slot)| !slot.is_optional && self.values[*at].is_none());
        let is_read_back = slots().any(|(at, slot)| slot.confirm != Confirm::No && self.values[at].is_some());
        match (unchecked, missing) {
            (Some((at, _)), _) => Step::Check(at),
            (None, Some((at, _))) => Step::Ask(at),
            (None, None) if is_read_back => Step::ReadBack,
            (None, None) => Step::Done,
        }
    }

    /// Fills a slot; whether that changed it.
    fn fill(&mut self, at: usize, value: Option<Value>) -> bool {
        let is_new = value.is_some() && self.values[at] != value;
        if is_new {
            self.values[at] = value;
            self.checked[at] = false;
        }
        is_new
    }

    /// Fills what is empty with what `text` says without being asked; whether it said anything.
    fn gather(&mut self, text: &str, but: Option<usize>, context: Context) -> bool {
        let mut is_any = false;
        for at in 0..self.values.len() {
            if self.values[at].is_none() && Some(at) != but {
                is_any |= self.fill(at, entity::find(&self.intent.slots[at], text, false, context));
            }
        }
        is_any
    }

    /// Changes what is filled; whether that changed anything.
    fn correct(&mut self, right: &str, wrong: Option<&str>, but: Option<usize>, context: Context) -> bool {
        let mut is_any = false;
        for at in 0..self.values.len() {
            let Some(value) = self.values[at].as_ref().filter(|_| Some(at) != but) else { continue };
            let repaired = wrong.and_then(|wrong| entity::repaired(value, right, wrong));
            // Digits that replace others are no new number by themselves.
            let found = repaired.or_else(|| entity::find(&self.intent.slots[at], right, false, context));
            is_any |= self.fill(at, found);
        }
        is_any
    }

    /// The slot that `text` calls by its title, or by what all of its kind are called.
    fn named(&self, text: &str) -> Option<usize> {
        let words = words::of(text);
        let is_said = |title: &str| {
            let title = words::of(title);
            !title.is_empty()
                && words
                    .windows(title.len())
                    .any(|said| said.iter().zip(&title).all(|(one, other)| one.norm == other.norm))
        };
        let is_titled = |slot: &Slot| {
            let titles =
                [Language::GERMAN, Language::ENGLISH_US].map(|language| slot.title.nearest(language, language));
            titles.into_iter().flatten().chain([slot.name.as_str()]).any(is_said)
        };
        let slots = &self.intent.slots;
        let of_kind = || slots.iter().position(|slot| words.iter().any(|word| word.among(called(slot.kind))));
        slots.iter().position(is_titled).or_else(of_kind)
    }
}

/// What everybody calls a thing of this kind.
fn called(kind: SlotKind) -> &'static [&'static str] {
    match kind {
        SlotKind::Date => &["tag", "datum", "day", "date"],
        SlotKind::Time => &["zeit", "uhrzeit", "time"],
        SlotKind::Number => &["anzahl", "zahl"],
        SlotKind::Name => &["name", "namen", "nachname"],
        SlotKind::Email => &["mail", "e-mail", "email", "adresse", "mailadresse", "address"],
        SlotKind::Phone => &["nummer", "telefonnummer", "handynummer", "rufnummer", "telefon", "number", "phone"],
        SlotKind::Text | SlotKind::Choice => &[],
    }
}

#[cfg(test)]
mod tests;
