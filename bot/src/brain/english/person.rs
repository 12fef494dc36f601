//! Who an English clause speaks of, and who it speaks to.

use std::ops::Range;

use super::{
    super::{date, sentence::capitalised, tokens::Stop},
    Reader,
    context::*,
    cues::{Cue, Who},
    verbs,
};

impl Reader<'_> {
    /// The person whose name or description ends right before token `at`.
    pub(super) fn person_before(&self, at: usize) -> Option<Range<usize>> {
        let last = at.checked_sub(1)?;
        if self.tokens[last].stop > Stop::None {
            return None;
        }
        self.person_ending_at(last)
    }

    pub(super) fn person_ending_at(&self, last: usize) -> Option<Range<usize>> {
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
    pub(super) fn person_at(&self, at: usize) -> Option<Range<usize>> {
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
    pub(super) fn may_name(&self, at: usize) -> bool {
        let token = &self.tokens[at];
        let ordinary = token.among(NOT_NAMES)
            || token.among(ADVERBS)
            || token.among(NEGATIONS)
            || token.is_digits()
            || verbs::is_work(&token.norm)
            || date::is_calendar_word(&token.norm);
        !ordinary && !token.text.is_empty() && (self.names.knows(token) || token.capital)
    }

    pub(super) fn name(&self, person: Range<usize>) -> String {
        let words: Vec<&str> = self.tokens[person].iter().map(|token| token.text.as_str()).collect();
        let words = if words.len() > 1 && DETERMINERS.contains(&words[0].to_lowercase().as_str()) {
            &words[1..]
        } else {
            &words[..]
        };
        capitalised(&words.join(" "))
    }

    /// The name somebody is addressed by around a cue; a trailing one is cut off the clause.
    pub(super) fn address(&self, cue: &Cue, begin: usize, start: usize, end: &mut usize) -> Option<String> {
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
            && (self.tokens[last].stop == Stop::Comma
                || !self.sentence.punctuated
                || self.tokens[person.start..=last].iter().all(|t| self.names.knows(t)))
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
}
