//! Where a German clause begins and ends.

use super::{super::tokens::Stop, Reader, context::*};

impl Reader<'_> {
    /// Where the clause around `start` begins; a date or fillers before a comma still belong to it.
    pub(super) fn clause_begin(&self, start: usize) -> usize {
        let mut begin = start;
        while begin > 0 {
            let before = &self.tokens[begin - 1];
            let joins = before.among(&["und", "oder", "aber", "denn", "sondern"]);
            if before.stop >= Stop::Colon
                || (joins && !self.is_in_list(begin - 1))
                || (before.stop == Stop::Comma && !self.only_adjuncts_before(begin))
            {
                break;
            }
            begin -= 1;
        }
        while begin < start && self.tokens[begin].among(LEAD) {
            begin += 1;
        }
        begin
    }

    /// "Anna und Tom": what follows "und" is capitalised like what stands before it.
    pub(super) fn is_in_list(&self, at: usize) -> bool {
        at > 0
            && self.tokens[at - 1].capital
            && self.tokens.get(at + 1).is_some_and(|next| next.capital && !next.among(SUBJECTS))
    }

    pub(super) fn only_adjuncts_before(&self, comma: usize) -> bool {
        let stretch = (0..comma).rev().take_while(|at| *at + 1 == comma || self.tokens[*at].stop < Stop::Comma);
        stretch.into_iter().all(|at| self.is_in_date(at) || self.tokens[at].among(LEAD))
    }

    /// Where the clause that goes on at `from` ends, at the latest at `limit`.
    pub(super) fn clause_end(&self, from: usize, limit: usize) -> usize {
        let mut end = from.min(limit);
        while end < limit {
            if end > from || (end > 0 && self.tokens[end - 1].stop >= Stop::Comma) {
                let before = &self.tokens[end - 1];
                let token = &self.tokens[end];
                let next = self.tokens.get(end + 1);
                let next_is = |words: &[&str]| next.is_some_and(|next| next.among(words));
                let joined = token.among(&["und", "oder", "dann"]) && next_is(SUBJECTS);
                let correction = token.among(CORRECTIONS)
                    && self.dates.iter().any(|date| (end..end + 3).contains(&date.range.start));
                let breaks = match before.stop {
                    Stop::None => {
                        token.among(BREAKERS) && !self.is_in_date(end)
                            || joined
                            || (!self.sentence.punctuated && token.among(SUBJECTS) && next_is(FINITE))
                    }
                    Stop::Comma => {
                        let relative = token.among(ARTICLES) && next_is(SUBJECTS);
                        let subordinate = token.among(SUBORDINATORS) && !token.among(ARTICLES);
                        !correction
                            && !self.is_in_date(end)
                            && (token.among(BREAKERS)
                                || token.among(SUBJECTS)
                                || subordinate
                                || relative
                                || joined
                                || token.among(FINITE)
                                || token.among(&["um", "okay", "ok", "ja", "oder", "danke", "nein"]))
                    }
                    _ => true,
                };
                if breaks {
                    break;
                }
            }
            end += 1;
        }
        while end > from + 1
            && self.tokens[end - 1].among(&["und", "oder", "aber", "okay", "ja", "danke"])
            && !self.is_in_date(end - 1)
        {
            end -= 1;
        }
        end
    }

    pub(super) fn is_in_date(&self, at: usize) -> bool {
        self.dates.iter().any(|date| date.range.contains(&at))
    }

    pub(super) fn skip_adverbs(&self, mut at: usize, wanted: &str) -> usize {
        while self
            .tokens
            .get(at)
            .is_some_and(|token| !token.is(wanted) && token.among(ADVERBS) && token.stop <= Stop::Comma)
        {
            at += 1;
        }
        at
    }
}
