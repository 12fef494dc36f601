//! Where an English clause begins and ends, what takes its force away, and when it is due.

use std::ops::Range;

use super::{
    super::{
        date::{self, Dated},
        tokens::{Stop, Token},
    },
    Reader,
    context::*,
    cues::Cue,
};

impl Reader<'_> {
    /// Where the clause around `start` begins; a date or a filler before a comma still belongs to it.
    pub(super) fn clause_start(&self, start: usize) -> usize {
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
    pub(super) fn only_adjuncts_before(&self, comma: usize) -> bool {
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
    pub(super) fn clause_end(&self, head: usize, limit: usize) -> usize {
        let mut end = head + 1;
        while end < limit {
            let before = &self.tokens[end - 1];
            let token = &self.tokens[end];
            let next = self.tokens.get(end + 1);
            let corrects =
                token.among(CORRECTIONS) && self.dates.iter().any(|date| (end..end + 4).contains(&date.range.start));
            let subject_next = |token: Option<&Token>| token.is_some_and(|token| token.among(SUBJECT_PRONOUNS));
            let opens_clause = match before.stop {
                Stop::None => {
                    token.among(BREAKERS)
                        || (token.among(&["and", "or", "then"]) && subject_next(next) && !self.is_object(end + 1))
                        || (token.among(SUBJECT_PRONOUNS)
                            && !self.sentence.punctuated
                            && next.is_some_and(|next| next.among(FINITE)))
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
    pub(super) fn is_object(&self, at: usize) -> bool {
        self.tokens[at].among(&["you", "it"]) && self.tokens.get(at + 1).is_none_or(|next| !next.among(FINITE))
    }

    pub(super) fn is_in_date(&self, at: usize) -> bool {
        self.dates.iter().any(|date| date.range.contains(&at))
    }

    /// Whether the words around a cue take its force away.
    pub(super) fn is_ruled_out(&self, begin: usize, start: usize, cue: &Cue) -> bool {
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
        conditional
            || relative
            || inverted
            || denied
            || reported
            || wh
            || prefix.iter().any(|token| token.among(HEDGES))
    }

    /// The date the clause is due by: a deadline before a plain date, and after a correction the last word.
    pub(super) fn due(&self, within: &Range<usize>, head: usize) -> Option<Dated> {
        date::choose(self.dates, within, |at| {
            at > head && self.tokens[..at].iter().rev().take(3).any(|token| token.among(CORRECTIONS))
        })
    }

    pub(super) fn skip(&self, mut at: usize, words: &[&str]) -> usize {
        while self.tokens.get(at).is_some_and(|token| token.among(words) && token.stop <= Stop::Comma) {
            at += 1;
        }
        at
    }

    pub(super) fn skip_phrases(&self, at: usize) -> usize {
        PREAMBLES
            .iter()
            .find(|phrase| {
                phrase.split(' ').enumerate().all(|(nth, word)| self.tokens.get(at + nth).is_some_and(|t| t.is(word)))
            })
            .map_or(at, |phrase| at + phrase.split(' ').count())
    }
}
