//! Who a German clause speaks of, and who it speaks to.

use std::ops::Range;

use super::{
    super::{sentence::capitalised, tokens::Stop},
    Reader,
    context::*,
};

impl Reader<'_> {
    /// The person whose name ends right before token `at`.
    pub(super) fn person_before(&self, at: usize) -> Option<Range<usize>> {
        let last = at.checked_sub(1)?;
        (self.tokens[last].stop == Stop::None).then(|| self.person_ending_at(last))?
    }

    pub(super) fn person_ending_at(&self, last: usize) -> Option<Range<usize>> {
        let token = &self.tokens[last];
        let before = last.checked_sub(1).map(|at| &self.tokens[at]).filter(|before| before.stop == Stop::None);
        if before.is_some_and(|before| before.among(TITLES)) {
            return Some(last - 1..last + 1);
        }
        if token.among(TEAMS) {
            return Some(if before.is_some_and(|before| before.among(DETERMINERS)) {
                last - 1..last + 1
            } else {
                last..last + 1
            });
        }
        if self.names.knows(token) {
            let both = before.is_some_and(|before| self.names.knows(before));
            return Some(last - usize::from(both)..last + 1);
        }
        let first_name = before.is_some_and(|before| self.names.knows(before));
        (first_name && token.capital && !token.among(NOT_NAMES)).then(|| last - 1..last + 1)
    }

    /// The person whose name begins at token `at`.
    pub(super) fn person_at(&self, at: usize) -> Option<Range<usize>> {
        let token = self.tokens.get(at)?;
        let next = self.tokens.get(at + 1).filter(|_| token.stop == Stop::None);
        if token.among(TITLES) {
            return next.map(|_| at..at + 2);
        }
        if token.among(DETERMINERS) && next.is_some_and(|next| next.among(TEAMS)) {
            return Some(at..at + 2);
        }
        if token.among(TEAMS) || self.names.knows(token) {
            let family = next.is_some_and(|next| self.names.knows_family(next));
            return Some(at..at + 1 + usize::from(family));
        }
        None
    }

    pub(super) fn name(&self, person: Range<usize>) -> String {
        let words: Vec<&str> = self.tokens[person]
            .iter()
            .filter(|token| !token.among(DETERMINERS))
            .map(|token| token.text.as_str())
            .collect();
        capitalised(&words.join(" "))
    }

    /// The name that is called before the clause that begins at `begin`: "Anna, kannst du".
    pub(super) fn called_before(&self, begin: usize) -> Option<String> {
        let mut end = begin;
        while end > 0 && self.tokens[end - 1].among(LEAD) {
            end -= 1;
        }
        let last = end.checked_sub(1)?;
        if let Some(person) = self.person_ending_at(last) {
            return Some(self.name(person));
        }
        let token = &self.tokens[last];
        let alone = last == 0 || self.tokens[..last].iter().all(|token| token.among(LEAD));
        (alone && token.stop == Stop::Comma && token.capital && !token.among(NOT_NAMES))
            .then(|| capitalised(&token.text))
    }

    /// The name that is called inside or after the clause: "kannst du, Anna, …", "…, Anna?".
    pub(super) fn called_after(&self, after: usize, end: &mut usize) -> Option<String> {
        if let Some(person) = self.person_at(after).filter(|_| self.tokens[after - 1].stop == Stop::Comma) {
            return Some(self.name(person));
        }
        let last = end.checked_sub(1)?;
        let person = self.person_ending_at(last)?;
        let called = person.start > after && self.tokens[person.start - 1].stop == Stop::Comma;
        called.then(|| {
            *end = person.start;
            self.name(person)
        })
    }
}
