//! How much of what was sent to Twilio still waits there, and when that is too much.
//!
//! Sound is sent as it is heard and played as it comes, so nothing should wait; after a stall of the network it all
//! comes at once, and from then on everything is late. A mark every half second shows it: when marks of two seconds
//! are missing, what waits is cleared. A server that answers no marks is left alone. Pure: counts chunks, no clock.

/// Chunks of 20 ms between marks: half a second, one small message in 25.
const CHUNKS_PER_MARK: u32 = 25;

/// Marks that may be on their way: 2 s. A round trip is a fraction of one.
const MARKS_BEHIND_MAX: u64 = 4;

/// What was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Backlog {
    chunks: u32,
    marks: u64,
}

/// What to send behind a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    GoOn,
    /// A mark of this number.
    Mark(u64),
    /// A clear: far too much waits.
    Clear,
}

impl Backlog {
    /// A chunk has been sent; `played` is the highest number of a mark that came back, or zero.
    pub(super) fn sent(&mut self, played: u64) -> Verdict {
        self.chunks += 1;
        if self.chunks < CHUNKS_PER_MARK {
            return Verdict::GoOn;
        }
        self.chunks = 0;
        if played > 0 && self.marks.saturating_sub(played) >= MARKS_BEHIND_MAX {
            return Verdict::Clear;
        }
        self.marks += 1;
        Verdict::Mark(self.marks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Verdicts of `chunks` chunks, with marks that come back `behind` marks later.
    fn verdicts(backlog: &mut Backlog, chunks: u32, behind: u64) -> Vec<Verdict> {
        let verdicts = (0..chunks).map(|_| backlog.sent(backlog.marks.saturating_sub(behind)));
        verdicts.filter(|verdict| *verdict != Verdict::GoOn).collect()
    }

    #[test]
    fn a_mark_goes_out_every_half_second() {
        let mut backlog = Backlog::default();
        assert_eq!(verdicts(&mut backlog, 75, 1), [Verdict::Mark(1), Verdict::Mark(2), Verdict::Mark(3)]);
    }

    #[test]
    fn what_waits_for_two_seconds_is_cleared_and_then_all_is_well() {
        let mut backlog = Backlog::default();
        verdicts(&mut backlog, 250, 1);
        assert_eq!(verdicts(&mut backlog, 25, 5), [Verdict::Clear]);
        assert_eq!(verdicts(&mut backlog, 25, 0), [Verdict::Mark(11)]);
    }

    #[test]
    fn a_server_that_knows_no_marks_is_left_alone() {
        let mut backlog = Backlog::default();
        let verdicts = verdicts(&mut backlog, 2_500, u64::MAX);
        assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Mark(_))));
    }
}
