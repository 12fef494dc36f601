//! Action items in German: who ("ich", "Anna", "Sie"), a verb that is work, and the clause around both.
//!
//! German hides the verb: after a modal it ends the clause, a present tense may mean the future, a separable
//! prefix comes last, and the subject stands on either side of the finite verb. So a hit is found by the words
//! that always stand together (subject and finite verb), then the clause is measured, then the verb is looked
//! for where the hit says it is. The tables in `german/` are the grammar.

mod clause;
mod context;
mod cues;
mod person;
mod verbs;

use std::ops::Range;

use self::{
    context::*,
    cues::{CUES, Cue, Place, Who},
    verbs::{Person, Verb},
};
use super::{
    date::{self, Dated},
    found::{Found, Subject},
    names::Names,
    sentence::{Sentence, capitalised, render},
    tokens::{Stop, Token},
};

/// The action items of one German sentence whose dates are `dates`.
pub(super) fn find(sentence: &Sentence, names: &Names, dates: &[Dated]) -> Vec<Found> {
    let reader = Reader { sentence, tokens: &sentence.tokens, names, dates };
    let hits = reader.hits();
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

/// A subject and its finite verb.
struct Hit {
    who: Who,
    verb: Where,
    /// First token of both.
    start: usize,
    /// First token after both.
    after: usize,
    person: Option<String>,
    promised: bool,
    asks: bool,
    confidence: f32,
}

/// Where the verb that carries the meaning is.
#[derive(Clone, Copy)]
enum Where {
    Infinitive,
    Zu,
    /// It is the finite verb, this token.
    Finite(usize, Person),
    /// A participle before "werden".
    Passive,
}

impl Reader<'_> {
    fn hits(&self) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let cue = CUES.iter().filter_map(|cue| self.cue(cue, at)).max_by_key(|hit| hit.after);
            let free_from = hits.last().map_or(0, |hit| hit.after);
            let hit = cue
                .or_else(|| self.present(at))
                .or_else(|| self.second_verb(at, hits.last()))
                .or_else(|| self.imperative(at))
                .or_else(|| self.passive(at));
            match hit {
                Some(hit) if hit.start >= free_from => {
                    at = hit.after;
                    hits.push(hit);
                }
                _ => at += 1,
            }
        }
        hits
    }

    /// `cue` with its first plain word at token `at`, a leading `@` standing right before it.
    fn cue(&self, cue: &'static Cue, at: usize) -> Option<Hit> {
        let mut next = at;
        let mut start = at;
        let mut person = None;
        for (nth, word) in cue.words.split(' ').enumerate() {
            if word == "@" && nth == 0 {
                continue;
            }
            if next > at {
                next = self.skip_adverbs(next, word);
            }
            if word == "@" {
                let named = self.person_at(next)?;
                next = named.end;
                person = Some(self.name(named));
                continue;
            }
            if !self.tokens.get(next)?.is(word) {
                return None;
            }
            next += 1;
        }
        if cue.words.starts_with('@') {
            let named = self.person_before(at)?;
            start = named.start;
            person = Some(self.name(named));
        }
        if cue.words == "bitte" && self.clause_begin(at) != at {
            return None;
        }
        let Cue { who, promised, asks, confidence, .. } = *cue;
        let verb = match cue.verb {
            Place::Infinitive => Where::Infinitive,
            Place::Zu => Where::Zu,
        };
        Some(Hit { who, verb, start, after: next, person, promised, asks, confidence })
    }

    /// A verb in the present tense beside its subject.
    fn present(&self, at: usize) -> Option<Hit> {
        let token = &self.tokens[at];
        let next = self.tokens.get(at + 1)?;
        let hit = |who, verb, person, start, after, confidence| {
            Some(Hit {
                who,
                verb: Where::Finite(verb, person),
                start,
                after,
                person: None,
                promised: false,
                asks: false,
                confidence,
            })
        };
        let is = |token: &Token, person| self.is_finite(token, person);
        if token.stop > Stop::None {
            return None;
        }
        if token.is("ich") && is(next, Person::First) {
            return Some(Hit { promised: true, ..hit(Who::Speaker, at + 1, Person::First, at, at + 2, 0.8)? });
        }
        if next.is("ich") && is(token, Person::First) {
            return Some(Hit { promised: true, ..hit(Who::Speaker, at, Person::First, at, at + 2, 0.8)? });
        }
        if token.is("wir") && is(next, Person::Plural) {
            return hit(Who::Team, at + 1, Person::Plural, at, at + 2, 0.65);
        }
        if next.is("wir") && is(token, Person::Plural) {
            return hit(Who::Team, at, Person::Plural, at, at + 2, 0.65);
        }
        if next.is("du") && is(token, Person::Second) {
            return Some(Hit { asks: true, ..hit(Who::Addressee, at, Person::Second, at, at + 2, 0.75)? });
        }
        if token.is("du") && is(next, Person::Second) {
            return hit(Who::Addressee, at + 1, Person::Second, at, at + 2, 0.7);
        }
        if next.is("sie") && is(token, Person::Plural) && self.asks_politely(at) {
            return Some(Hit { asks: true, ..hit(Who::Addressee, at, Person::Plural, at, at + 2, 0.8)? });
        }
        if is(token, Person::Third) {
            if let Some(named) = self.person_before(at) {
                let name = self.name(named.clone());
                return Some(Hit {
                    person: Some(name),
                    ..hit(Who::Named, at, Person::Third, named.start, at + 1, 0.8)?
                });
            }
            let named = self.person_at(at + 1)?;
            let name = self.name(named.clone());
            return Some(Hit { person: Some(name), ..hit(Who::Named, at, Person::Third, at, named.end, 0.8)? });
        }
        None
    }

    /// "Schick mir bitte …" at the beginning of a clause.
    fn imperative(&self, at: usize) -> Option<Hit> {
        let token = &self.tokens[at];
        let next = self.tokens.get(at + 1)?;
        if self.clause_begin(at) != at
            || !self.is_finite(token, Person::Imperative)
            || next.among(&["ich", "wir", "er", "sie", "es", "du"])
        {
            return None;
        }
        let promises = next.among(&["dir", "ihnen", "euch"]);
        let polite = promises || self.asks_politely(at) || self.called_before(at).is_some() || self.dated_after(at);
        polite.then_some(Hit {
            who: if promises { Who::Speaker } else { Who::Addressee },
            verb: Where::Finite(at, if promises { Person::First } else { Person::Imperative }),
            start: at,
            after: at + 1,
            person: None,
            promised: promises,
            asks: false,
            confidence: 0.75,
        })
    }

    /// "… und schicke dir den Bericht": the subject of the verb before goes on.
    fn second_verb(&self, at: usize, before: Option<&Hit>) -> Option<Hit> {
        let before = before?;
        let Where::Finite(_, person) = before.verb else { return None };
        let joined = at > 0 && self.tokens[at - 1].is("und");
        if !joined || !self.is_finite(&self.tokens[at], person) {
            return None;
        }
        Some(Hit {
            verb: Where::Finite(at, person),
            start: at,
            after: at + 1,
            person: before.person.clone(),
            ..*before
        })
    }

    /// "Die Rechnung muss bis Freitag bezahlt werden."
    fn passive(&self, at: usize) -> Option<Hit> {
        let modal = &self.tokens[at];
        if at == 0 || !modal.among(&["muss", "müssen", "soll", "sollen", "sollte", "sollten"]) {
            return None;
        }
        let end = self.clause_end(at, self.tokens.len());
        let werden = (at + 1..end).rev().find(|at| self.tokens[*at].is("werden"))?;
        verbs::participle(self.tokens.get(werden - 1)?)?;
        Some(Hit {
            who: Who::Nobody,
            verb: Where::Passive,
            start: at,
            after: at + 1,
            person: None,
            promised: false,
            asks: false,
            confidence: 0.7,
        })
    }

    /// Whether `token` is that form of a verb of the tables, whichever its prefix.
    fn is_finite(&self, token: &Token, person: Person) -> bool {
        verbs::may_be_finite(&token.norm, person)
    }

    fn asks_politely(&self, at: usize) -> bool {
        let end = self.clause_end(at, self.tokens.len());
        let before = at > 0 && self.tokens[at - 1].is("bitte");
        before || self.tokens[at..end].iter().any(|token| token.among(&["bitte", "mir", "uns"])) || self.dated_after(at)
    }

    fn dated_after(&self, at: usize) -> bool {
        let end = self.clause_end(at, self.tokens.len());
        self.dates.iter().any(|date| date.range.start >= at && date.range.end <= end)
    }
}

/// From a hit to an item.
impl Reader<'_> {
    fn item(&self, hit: &Hit, limit: usize) -> Option<Found> {
        let mut begin = self.clause_begin(hit.start);
        let called = self.person_before(hit.start).filter(|person| person.start == begin && hit.who == Who::Addressee);
        if called.is_some() {
            begin = hit.start;
        }
        let mut end = match hit.verb {
            Where::Zu => limit,
            _ => self.clause_end(hit.after, limit),
        };
        let address = match hit.who {
            Who::Addressee => called
                .map(|person| self.name(person))
                .or_else(|| self.called_before(begin))
                .or_else(|| self.called_after(hit.after, &mut end)),
            _ => None,
        };
        let (verb, verb_tokens) = self.verb(hit, end)?;
        if let Where::Zu = hit.verb {
            end = verb_tokens[0] + 1;
        }
        if self.is_ruled_out(hit, begin, end) {
            return None;
        }
        let within = begin..end;
        let due = date::choose(self.dates, &within, |at| {
            at > hit.after && self.tokens[..at].iter().rev().take(3).any(|token| token.among(CORRECTIONS))
        });
        let body = self.body(hit, &within, &verb_tokens, due.as_ref());
        let telling = body.iter().filter(|token| !token.among(DATIVES)).count();
        let anaphoric = telling > 0 && body.iter().all(|token| token.among(ANAPHORS) || token.among(DATIVES));
        let pair = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .any(|(of, with)| verb.infinitive == *of && self.tokens[begin..end].iter().any(|token| token.is(with)))
        };
        if pair(NEVER) {
            return None;
        }
        let definite = due.is_some() || !verb.weak || pair(WORK);
        let has_object = !body.is_empty() || due.is_some() || STANDS_ALONE.contains(&verb.infinitive.as_str());
        if !definite || !has_object || (body.is_empty() && verb.weak) {
            return None;
        }
        let subject = match hit.who {
            Who::Speaker => Subject::Speaker,
            Who::Team => Subject::Team,
            Who::Addressee => Subject::Addressee(address),
            Who::Named => Subject::Named(hit.person.clone()?),
            Who::Nobody => Subject::Nobody,
        };
        let mut confidence = hit.confidence;
        confidence += if due.is_some() { 0.05 } else { 0.0 };
        confidence -= if verb.weak { 0.1 } else { 0.0 };
        let from = due.as_ref().map_or(hit.start, |due| due.range.start.min(hit.start));
        let from = if matches!(hit.verb, Where::Passive | Where::Finite(..)) { begin } else { from };
        Some(Found {
            text: text(&body, &verb, hit),
            subject,
            promised: hit.promised,
            anaphoric,
            range: from.max(begin)..end.max(due.as_ref().map_or(0, |due| due.range.end)),
            due,
            confidence: confidence.clamp(0.05, 0.99),
        })
    }

    /// The verb of a hit in the clause up to `end`, and its tokens.
    fn verb(&self, hit: &Hit, end: usize) -> Option<(Verb, Vec<usize>)> {
        match hit.verb {
            Where::Infinitive => {
                let at = (hit.after..end).rev().find(|at| self.is_verb_infinitive(*at))?;
                Some((verbs::infinitive(&self.tokens[at])?, vec![at]))
            }
            Where::Zu => {
                let with_zu = |at: &usize| {
                    let token = &self.tokens[*at];
                    let inside = token.norm.contains("zu") && verbs::is_with_zu(&token.norm);
                    inside || (*at > hit.after && self.tokens[at - 1].is("zu") && verbs::infinitive(token).is_some())
                };
                let at = (hit.after..end).find(with_zu)?;
                let mut tokens = vec![at];
                tokens.extend(self.tokens[at - 1].is("zu").then(|| at - 1));
                Some((verbs::infinitive(&self.tokens[at])?, tokens))
            }
            Where::Passive => {
                let werden = (hit.after..end).rev().find(|at| self.tokens[*at].is("werden"))?;
                Some((verbs::participle(&self.tokens[werden - 1])?, vec![werden - 1, werden]))
            }
            Where::Finite(at, person) => {
                let prefix =
                    (hit.after..end).find(|at| self.ends_clause(*at, end) && verbs::is_prefix(&self.tokens[*at].norm));
                let with =
                    prefix.and_then(|prefix| verbs::finite(&self.tokens[at], person, Some(&self.tokens[prefix].norm)));
                match (with, prefix) {
                    (Some(verb), Some(prefix)) if verb.infinitive.starts_with(&self.tokens[prefix].norm) => {
                        Some((verb, vec![at, prefix]))
                    }
                    _ => Some((verbs::finite(&self.tokens[at], person, None)?, vec![at])),
                }
            }
        }
    }

    /// Whether nothing but a date, or "und", follows the token in its clause.
    fn ends_clause(&self, at: usize, end: usize) -> bool {
        (at + 1..end)
            .take_while(|next| !self.tokens[*next].among(&["und", "oder"]))
            .all(|next| self.is_in_date(next) || self.tokens[next].among(FILLERS))
            && !self.is_in_date(at)
    }

    fn is_verb_infinitive(&self, at: usize) -> bool {
        let token = &self.tokens[at];
        let noun = token.capital && at > 0;
        !noun && !self.is_in_date(at) && verbs::infinitive(token).is_some()
    }

    /// What the text is made of besides the verb.
    fn body(&self, hit: &Hit, within: &Range<usize>, verb: &[usize], due: Option<&Dated>) -> Vec<&Token> {
        let reflexive: &[&str] = match hit.who {
            Who::Speaker => &["mich", "mir"],
            Who::Addressee => &["dich", "sich", "euch"],
            Who::Named | Who::Nobody => &["sich"],
            Who::Team => &["uns"],
        };
        let dropped =
            due.map(|due| date::with_corrected(self.dates, due, within, |at| self.tokens[at].among(CORRECTIONS)));
        let from = if matches!(hit.verb, Where::Zu) { hit.after } else { within.start };
        (from..within.end)
            .filter(|at| !(hit.start..hit.after).contains(at) && !verb.contains(at))
            .filter(|at| !dropped.as_ref().is_some_and(|range| range.contains(at)))
            .map(|at| &self.tokens[at])
            .filter(|token| !token.among(FILLERS) && !token.among(reflexive))
            .collect()
    }

    /// Whether the words of the clause take its force away.
    fn is_ruled_out(&self, hit: &Hit, begin: usize, end: usize) -> bool {
        let clause = begin..end;
        let outside = |at: &usize| !(hit.start..hit.after).contains(at);
        let any = |words: &[&str]| clause.clone().filter(outside).any(|at| self.tokens[at].among(words));
        let quoted = self.tokens[hit.start..hit.after].iter().any(|token| token.quoted);
        let first = &self.tokens[begin];
        let subordinate = begin < hit.start
            && first.among(SUBORDINATORS)
            && (!first.among(ARTICLES)
                || (hit.start == begin + 1 && self.tokens[hit.start].among(&["ich", "wir", "du", "sie"])));
        let inverted = !self.tokens[hit.start].among(&["ich", "wir"]) && hit.person.is_none();
        let asked = hit.start == self.sentence_begin()
            && inverted
            && !hit.asks
            && matches!(hit.verb, Where::Infinitive)
            && matches!(hit.who, Who::Speaker | Who::Team)
            && !self.tokens[hit.start].among(&["lass", "lasst", "lassen"]);
        let reported = self.tokens[..hit.start].iter().any(|token| token.among(REPORTS));
        let unasked_question = self.sentence.asks() && !hit.asks;
        let modal_hedge = !hit.asks && any(HEDGES);
        let bare_please = hit.who == Who::Addressee
            && self.tokens[hit.start].is("bitte")
            && hit.after == hit.start + 1
            && begin < hit.start
            && self.tokens[begin..hit.start].iter().any(|token| !token.among(LEAD));
        quoted
            || subordinate
            || asked
            || reported
            || unasked_question
            || modal_hedge
            || bare_please
            || any(NEGATIONS)
            || any(HABITS)
    }

    /// Where the sentence begins after greetings and fillers.
    fn sentence_begin(&self) -> usize {
        self.tokens.iter().take_while(|token| token.among(LEAD)).count()
    }
}

/// What is to be done, with its verb last: "Den Bericht an Maria schicken".
fn text(body: &[&Token], verb: &Verb, hit: &Hit) -> String {
    let mut text = render(body.iter().copied());
    if let Where::Passive = hit.verb {
        for (nominative, accusative) in [("Der ", "Den "), ("Dieser ", "Diesen "), ("Unser ", "Unseren ")] {
            if let Some(rest) = text.strip_prefix(nominative) {
                text = format!("{accusative}{rest}");
            }
        }
    }
    if !text.is_empty() {
        text.push(' ');
    }
    capitalised(&(text + &verb.infinitive))
}

/// Whom something is done for; no object of work by themselves.
#[rustfmt::skip]
const DATIVES: &[&str] = &[
    "dir", "mir", "ihnen", "euch", "uns", "ihm", "ihr", "dich", "sie", "ihn",
];

/// Verbs that are work without an object.
#[rustfmt::skip]
const STANDS_ALONE: &[&str] = &[
    "zurückrufen", "nachfragen", "antworten", "nachhaken", "zurückmelden", "rückmelden", "zurückschreiben",
];
