//! Action items in English: a cue ("I will", "could you", "Anna needs to"), a verb that is work, its clause.
//!
//! The tables in `english/` are the grammar; this file only says how they are read. A cue is looked for
//! anywhere in the sentence, because recognizers leave out commas; the words before it decide whether it
//! counts (no "if", no "not", nobody's report of somebody else's words), the verb after it whether it is
//! work, and the clause ends where another one begins.

mod clause;
mod context;
mod cues;
mod person;
mod verbs;

use std::ops::Range;

use self::{
    context::*,
    cues::{CUES, Cue, Form, IMPERATIVE, Needs, Who},
    verbs::Class,
};
use super::{
    date::{self, Dated},
    found::{Found, Subject},
    names::Names,
    sentence::{Sentence, render, written},
    tokens::{Stop, Token},
};

/// The action items of one English sentence whose dates are `dates`.
pub(super) fn find(sentence: &Sentence, names: &Names, dates: &[Dated]) -> Vec<Found> {
    let reader = Reader { sentence, tokens: &sentence.tokens, names, dates };
    let hits = reader.cues();
    let mut found = Vec::new();
    for (nth, hit) in hits.iter().enumerate() {
        let limit = hits.get(nth + 1).map_or(reader.tokens.len(), |next| next.start);
        found.extend(reader.item(hit, limit));
    }
    found
}

struct Reader<'a> {
    sentence: &'a Sentence,
    tokens: &'a [Token],
    names: &'a Names,
    dates: &'a [Dated],
}

/// A cue in the sentence.
struct Hit {
    cue: &'static Cue,
    /// First token of the cue, its subject included.
    start: usize,
    /// First token after the cue.
    after: usize,
    /// The person the cue names.
    person: Option<String>,
}

impl Reader<'_> {
    /// All cues from left to right, none inside another.
    fn cues(&self) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let best = CUES.iter().filter_map(|cue| self.matches(cue, at)).max_by_key(|hit| hit.after);
            let best = best.or_else(|| self.imperative(at));
            let free_from = hits.last().map_or(0, |hit| hit.after);
            match best {
                Some(hit) if hit.start >= free_from => {
                    at = self.skip(hit.after.max(at + 1), &["please"]);
                    hits.push(hit);
                }
                _ => at += 1,
            }
        }
        hits
    }

    /// `cue` with its first plain word at token `at`, a leading `@` standing right before it.
    fn matches(&self, cue: &'static Cue, at: usize) -> Option<Hit> {
        let mut next = at;
        let mut start = at;
        let mut person = None;
        for (nth, word) in cue.words.split(' ').enumerate() {
            if word == "@" && nth == 0 {
                continue;
            }
            while next > at && self.tokens.get(next).is_some_and(|token| !token.is(word) && token.among(ADVERBS)) {
                next += 1;
            }
            if word == "@" {
                let subject = self.person_at(next)?;
                next = subject.end;
                person = Some(self.name(subject));
                continue;
            }
            let token = self.tokens.get(next)?;
            if !token.is(word) || (next > at && self.tokens[next - 1].stop >= Stop::Colon) {
                return None;
            }
            next += 1;
        }
        if cue.words.starts_with('@') {
            let subject = self.person_before(at)?;
            start = subject.start;
            person = Some(self.name(subject));
        }
        Some(Hit { cue, start, after: next, person })
    }

    /// "Send it by Friday", "Tom, book the flights": a verb that begins the clause, with a date or a name called.
    fn imperative(&self, at: usize) -> Option<Hit> {
        let joined = at > 0 && self.tokens[at - 1].among(CLAUSE_CONJUNCTIONS);
        if joined || !verbs::is_work(&self.tokens[at].norm) || self.clause_start(at) != at {
            return None;
        }
        let end = self.clause_end(at, self.tokens.len());
        let dated = self.dates.iter().any(|date| date.range.start > at && date.range.end <= end);
        let called = self.address(&IMPERATIVE, at, at, &mut end.clone()).is_some();
        (dated || called).then_some(Hit { cue: &IMPERATIVE, start: at, after: at, person: None })
    }

    fn item(&self, hit: &Hit, limit: usize) -> Option<Found> {
        let Hit { cue, start, after, person } = hit;
        let begin = self.clause_start(*start);
        if self.tokens[*start..*after].iter().any(|token| token.quoted) || self.is_ruled_out(begin, *start, cue) {
            return None;
        }
        let head = self.skip(self.skip(*after, ADVERBS), &["please"]);
        let head = self.skip_phrases(self.skip(head, ADVERBS));
        let verb = self.tokens.get(head)?;
        if head > 0 && self.tokens[head - 1].stop >= Stop::Colon {
            return None;
        }
        if verb.among(NO_VERBS)
            || verb.among(NEGATIONS)
            || self.tokens[*start..head].iter().any(|token| token.among(NEGATIONS) && !cue.words.contains("not"))
        {
            return None;
        }
        let base = match cue.form {
            Form::Base => verb.norm.clone(),
            Form::Ing => verbs::base_of_ing(&verb.norm)?,
            Form::Passive => verbs::base_of_participle(&verb.norm)?,
        };
        let mut end = self.clause_end(head, limit);
        if self.tokens[begin..end].iter().any(|token| token.among(HABITS)) {
            return None;
        }
        let address = self.address(cue, begin, *start, &mut end);
        let class = verbs::classify(&base, &self.tokens[head..end]);
        let within = begin..end;
        let due = self.due(&within, head);
        let body = self.body(head..end, due.as_ref());
        let has_object = body.len() > 1 || due.is_some() && body.len() == 1;
        let known = match (class, cue.needs) {
            (Class::Never, _) => return None,
            (Class::Work, Needs::Work | Needs::Verb) => has_object || verbs::stands_alone(&base),
            (Class::Work, Needs::Date) => due.is_some(),
            (Class::Unknown, Needs::Verb) => has_object,
            (Class::Unknown | Class::Weak, Needs::Work) => due.is_some() && has_object,
            (Class::Weak, Needs::Verb) => due.is_some(),
            (Class::Unknown | Class::Weak, Needs::Date) => false,
        };
        if !known || (self.sentence.asks() && !cue.asks) {
            return None;
        }
        let text = self.text(cue, &base, &body, begin..*start);
        let subject = match cue.who {
            Who::Speaker => Subject::Speaker,
            Who::Team => Subject::Team,
            Who::Addressee => Subject::Addressee(address),
            Who::Named => Subject::Named(person.clone()?),
            Who::Nobody => Subject::Nobody,
        };
        let penalty = match class {
            Class::Work => 0.0,
            Class::Unknown => 0.15,
            Class::Weak | Class::Never => 0.1,
        };
        let bonus = if due.is_some() { 0.05 } else { 0.0 };
        Some(Found {
            text,
            subject,
            promised: cue.promised,
            anaphoric: verbs::is_anaphoric(&self.tokens[head..end]),
            range: self.evidence_range(begin, *start, end, due.as_ref()),
            due,
            confidence: (cue.confidence - penalty + bonus).clamp(0.05, 0.99),
        })
    }
}

/// What an item is made of.
impl<'a> Reader<'a> {
    /// The tokens that make the text: verb and what follows, without the date and without fillers.
    fn body(&self, range: Range<usize>, due: Option<&Dated>) -> Vec<&'a Token> {
        let dropped =
            due.map(|due| date::with_corrected(self.dates, due, &range, |at| self.tokens[at].among(CORRECTIONS)));
        let mut body: Vec<&Token> = range
            .filter(|at| !dropped.as_ref().is_some_and(|range| range.contains(at)) && !self.tokens[*at].among(FILLERS))
            .map(|at| &self.tokens[at])
            .collect();
        while body.len() > 1 && body.last().is_some_and(|last| last.among(TRAILERS)) {
            body.pop();
        }
        body
    }

    /// The verb in its base form and what follows it; a passive's subject becomes its object.
    fn text(&self, cue: &Cue, base: &str, body: &[&Token], subject: Range<usize>) -> String {
        let mut text = super::sentence::capitalised(base);
        let object = match cue.form {
            Form::Passive => render(self.body(subject, None)),
            Form::Base | Form::Ing => String::new(),
        };
        for part in [uncapitalised_article(&object), plain(&body[1..])] {
            if !part.is_empty() {
                text.push(' ');
                text.push_str(&part);
            }
        }
        text
    }

    /// From the clause's first telling word to its last.
    fn evidence_range(&self, begin: usize, start: usize, end: usize, due: Option<&Dated>) -> Range<usize> {
        let from = match due {
            Some(due) if due.range.start < start => due.range.start,
            _ => start,
        };
        from.max(begin)..end.max(due.map_or(0, |due| due.range.end))
    }
}

/// Tokens as written, with a capital at the beginning only where the speaker's word has one.
fn plain(tokens: &[&Token]) -> String {
    let tokens_as_written = tokens.iter().copied();
    if tokens.first().is_some_and(|first| first.capital) {
        render(tokens_as_written)
    } else {
        written(tokens_as_written)
    }
}

/// "The report" in the middle of a sentence is "the report".
fn uncapitalised_article(text: &str) -> String {
    let (first, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
    let first = first.to_lowercase();
    if DETERMINERS.contains(&first.as_str()) { first + rest } else { text.to_owned() }
}
