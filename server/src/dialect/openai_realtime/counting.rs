//! How much sound an item holds that its client commits: what was sent since it last counted. Pure.
//!
//! It counts from the last commit, from the last clear, and from when silence stopped ending what is said: what was sent
//! before belongs to items that silence ended.

/// Counts in milliseconds of sound since the session began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counting {
    from_ms: u64,
}

impl Counting {
    /// What was sent so far counts for nothing any more.
    pub(super) fn begin(&mut self, sent_ms: u64) {
        self.from_ms = sent_ms;
    }

    /// The client ended what is said before an update, or does so after it.
    pub(super) fn update(&mut self, was_manual: bool, is_manual: bool, sent_ms: u64) {
        if is_manual && !was_manual {
            self.begin(sent_ms);
        }
    }

    /// What is committed now.
    pub(super) fn commit(&mut self, sent_ms: u64) -> u64 {
        let counted_ms = sent_ms.saturating_sub(self.from_ms);
        self.begin(sent_ms);
        counted_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_holds_what_was_sent_since_the_last_one_or_a_clear() {
        let mut counting = Counting::default();
        assert_eq!((counting.commit(1_000), counting.commit(1_250)), (1_000, 250));
        counting.begin(2_000);
        assert_eq!((counting.commit(2_040), counting.commit(2_040)), (40, 0));
    }

    #[test]
    fn what_silence_had_ended_is_in_no_commit_and_an_update_that_changes_nothing_forgets_nothing() {
        let mut counting = Counting::default();
        counting.update(false, true, 60_000);
        counting.update(true, true, 60_150);
        assert_eq!(counting.commit(60_200), 200);
        counting.update(true, false, 61_000);
        counting.update(false, true, 90_000);
        assert_eq!(counting.commit(90_050), 50);
    }
}
