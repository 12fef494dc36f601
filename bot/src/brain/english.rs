//! Action items in English: a cue ("I will", "could you", "Anna needs to"), a verb that is work, its clause.
//!
//! The tables in `english/` are the grammar; this file only says how they are read. A cue is looked for
//! anywhere in the sentence, because recognizers leave out commas; the words before it decide whether it
//! counts (no "if", no "not", nobody's report of somebody else's words), the verb after it whether it is
//! work, and the clause ends where another one begins.

mod context;
mod cues;
mod verbs;

use std::ops::Range;

use self::{
    context::*,
    cues::{CUES, Cue, Form, Needs, Who},
    verbs::Class,
};
use super::{
    date::{self, Dated},
    found::{Found, Subject},
    names::Names,
    sentence::{Sentence, render},
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
            let free_from = hits.last().map_or(0, |hit| hit.after);
            match best {
                Some(hit) if hit.start >= free_from => {
                    at = self.skip(hit.after, &["please"]);
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
                let subject = self.person_before(at)?;
                start = subject.start;
                person = Some(self.name(subject));
                continue;
            }
            if next > at {
                next = self.skip(next, ADVERBS);
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
        Some(Hit { cue, start, after: next, person })
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
        if verb.among(NO_VERBS) || verb.among(NEGATIONS) || self.tokens[*start..head].iter().any(|token| token.among(NEGATIONS) && !cue.words.contains("not")) {
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
        let dropped = due.map(|due| date::with_corrected(self.dates, due, &range, |at| self.tokens[at].among(CORRECTIONS)));
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

/// The words around a cue.
impl Reader<'_> {
    /// The person whose name or description ends right before token `at`.
    fn person_before(&self, at: usize) -> Option<Range<usize>> {
        let last = at.checked_sub(1)?;
        if self.tokens[last].stop > Stop::None {
            return None;
        }
        self.person_ending_at(last)
    }

    fn person_ending_at(&self, last: usize) -> Option<Range<usize>> {
        let token = &self.tokens[last];
        if token.among(TEAMS) {
            let mut start = last;
            while start > 0 && self.tokens[start - 1].stop == Stop::None && last - start < 3 {
                start -= 1;
                if self.tokens[start].among(DETERMINERS) {
                    return Some(start..last + 1);
                }
            }
            return Some(last..last + 1);
        }
        if !self.may_name(last) {
            return None;
        }
        let mut start = last;
        while start > 0 && last - start < 2 && self.tokens[start - 1].stop == Stop::None && self.may_name(start - 1) {
            start -= 1;
        }
        let after_article = start > 0 && self.tokens[start - 1].among(DETERMINERS);
        (!after_article).then_some(start..last + 1)
    }

    /// The person whose name begins at token `at`.
    fn person_at(&self, at: usize) -> Option<Range<usize>> {
        let mut end = at;
        while end < self.tokens.len() && end - at < 2 && self.may_name(end) {
            end += 1;
            if self.tokens[end - 1].stop > Stop::None {
                break;
            }
        }
        (end > at).then_some(at..end)
    }

    /// Whether the token is a name as far as one can see: known, or capitalised and no ordinary word.
    fn may_name(&self, at: usize) -> bool {
        let token = &self.tokens[at];
        let ordinary = token.among(NOT_NAMES)
            || token.among(ADVERBS)
            || token.among(NEGATIONS)
            || token.is_digits()
            || verbs::is_work(&token.norm)
            || date::is_calendar_word(&token.norm);
        !ordinary && !token.text.is_empty() && (self.names.knows(token) || token.capital)
    }

    fn name(&self, person: Range<usize>) -> String {
        let words: Vec<&str> = self.tokens[person].iter().map(|token| token.text.as_str()).collect();
        let words = if words.len() > 1 && DETERMINERS.contains(&words[0].to_lowercase().as_str()) { &words[1..] } else { &words[..] };
        super::sentence::capitalised(&words.join(" "))
    }

    /// The name somebody is addressed by around a cue; a trailing one is cut off the clause.
    fn address(&self, cue: &Cue, begin: usize, start: usize, end: &mut usize) -> Option<String> {
        if !matches!(cue.who, Who::Addressee) {
            return None;
        }
        let mut before = start;
        while before > 0 && self.tokens[before - 1].among(ADDRESS_FILLERS) {
            before -= 1;
        }
        if let Some(last) = before.checked_sub(1)
            && let Some(person) = self.person_ending_at(last)
            && (person.start == begin || person.start == self.clause_start(person.start))
            && (self.tokens[last].stop == Stop::Comma || !self.sentence.punctuated || self.tokens[person.start..=last].iter().all(|t| self.names.knows(t)))
        {
            return Some(self.name(person));
        }
        let last = *end - 1;
        let trailing = self.person_ending_at(last)?;
        let after_comma = trailing.start > 0 && self.tokens[trailing.start - 1].stop == Stop::Comma;
        let known = self.tokens[trailing.clone()].iter().all(|token| self.names.knows(token));
        if after_comma && trailing.start > start + 1 && (known || *end == self.tokens.len()) {
            *end = trailing.start;
            return Some(self.name(trailing));
        }
        None
    }

    /// Where the clause around `start` begins; a date or a filler before a comma still belongs to it.
    fn clause_start(&self, start: usize) -> usize {
        let mut begin = start;
        while begin > 0 {
            let before = &self.tokens[begin - 1];
            if before.stop >= Stop::Colon || before.among(CLAUSE_CONJUNCTIONS) {
                break;
            }
            if before.stop == Stop::Comma && !self.only_adjuncts_before(begin) {
                break;
            }
            begin -= 1;
        }
        while begin < start && self.tokens[begin].among(ADDRESS_FILLERS) {
            begin += 1;
        }
        begin
    }

    /// Whether the stretch before the comma at `comma - 1` is only a date or filler words.
    fn only_adjuncts_before(&self, comma: usize) -> bool {
        let mut at = comma;
        while at > 0 {
            let token = &self.tokens[at - 1];
            if at < comma && token.stop >= Stop::Comma || token.among(CLAUSE_CONJUNCTIONS) {
                break;
            }
            let dated = self.dates.iter().any(|date| date.range.contains(&(at - 1)));
            if !dated && !token.among(ADDRESS_FILLERS) && !token.among(ADVERBS) {
                return false;
            }
            at -= 1;
        }
        true
    }

    /// Where the clause that holds the verb at `head` ends, at the latest at `limit`.
    fn clause_end(&self, head: usize, limit: usize) -> usize {
        let mut end = head + 1;
        while end < limit {
            let before = &self.tokens[end - 1];
            let token = &self.tokens[end];
            let next = self.tokens.get(end + 1);
            let corrects = token.among(CORRECTIONS) && self.dates.iter().any(|date| (end..end + 4).contains(&date.range.start));
            let subject_next = |token: Option<&Token>| token.is_some_and(|token| token.among(SUBJECT_PRONOUNS));
            let opens_clause = match before.stop {
                Stop::None => {
                    token.among(BREAKERS)
                        || (token.among(&["and", "or", "then"]) && subject_next(next) && !self.is_object(end + 1))
                        || (token.among(SUBJECT_PRONOUNS) && !self.sentence.punctuated && next.is_some_and(|next| next.among(FINITE)))
                }
                Stop::Comma if corrects => false,
                Stop::Comma => {
                    token.among(BREAKERS)
                        || token.among(COMMA_BREAKERS)
                        || token.among(SUBJECT_PRONOUNS)
                        || (token.among(&["and", "or", "then"]) && subject_next(next))
                }
                _ => true,
            };
            if opens_clause {
                break;
            }
            end += 1;
        }
        while end > head + 1 && self.tokens[end - 1].among(TRAILERS) && !self.is_in_date(end - 1) {
            end -= 1;
        }
        end
    }

    /// "you" and "it" after "and" may be objects: "Tom and you", when no verb follows.
    fn is_object(&self, at: usize) -> bool {
        self.tokens[at].among(&["you", "it"]) && self.tokens.get(at + 1).is_none_or(|next| !next.among(FINITE))
    }

    fn is_in_date(&self, at: usize) -> bool {
        self.dates.iter().any(|date| date.range.contains(&at))
    }

    /// Whether the words around a cue take its force away.
    fn is_ruled_out(&self, begin: usize, start: usize, cue: &Cue) -> bool {
        let prefix = &self.tokens[begin..start];
        let near_if = prefix.iter().rposition(|token| token.among(CONDITIONALS));
        let conditional = near_if.is_some_and(|at| self.sentence.punctuated || prefix.len() - at <= 3);
        let relative = match prefix {
            [.., attitude, last] => last.among(&["that", "which", "who"]) && !attitude.among(ATTITUDES),
            [last] => last.among(&["which", "who"]),
            [] => false,
        };
        let inverted = prefix.last().is_some_and(|token| token.among(&["do", "does", "did", "should", "would"]));
        let denied = prefix.iter().any(|token| token.among(NEGATIONS)) && !prefix.iter().any(|token| token.is("worry"));
        let reported = prefix.iter().any(|token| token.among(REPORTS)) && !prefix.iter().any(|token| token.is("as"));
        let wh = prefix.iter().any(|token| token.among(WH_WORDS)) && !cue.asks;
        conditional || relative || inverted || denied || reported || wh || prefix.iter().any(|token| token.among(HEDGES))
    }

    /// The date the clause is due by: a deadline before a plain date, and after a correction the last word.
    fn due(&self, within: &Range<usize>, head: usize) -> Option<Dated> {
        date::choose(self.dates, within, |at| {
            at > head && self.tokens[..at].iter().rev().take(3).any(|token| token.among(CORRECTIONS))
        })
    }

    fn skip(&self, mut at: usize, words: &[&str]) -> usize {
        while self.tokens.get(at).is_some_and(|token| token.among(words) && token.stop <= Stop::Comma) {
            at += 1;
        }
        at
    }

    fn skip_phrases(&self, at: usize) -> usize {
        PREAMBLES
            .iter()
            .find(|phrase| phrase.split(' ').enumerate().all(|(nth, word)| self.tokens.get(at + nth).is_some_and(|t| t.is(word))))
            .map_or(at, |phrase| at + phrase.split(' ').count())
    }
}

/// Tokens as written, without a capital of their own at the beginning.
fn plain(tokens: &[&Token]) -> String {
    let mut text = render(tokens.iter().copied());
    if let Some(first) = tokens.first()
        && !first.capital
    {
        text.replace_range(..first.text.len().min(text.len()), &first.text);
    }
    text
}

/// "The report" in the middle of a sentence is "the report".
fn uncapitalised_article(text: &str) -> String {
    let first = text.split(' ').next().unwrap_or_default().to_lowercase();
    if DETERMINERS.contains(&first.as_str()) { first.clone() + &text[first.len()..] } else { text.to_owned() }
}
