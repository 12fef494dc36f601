//! When anybody speaks, and when two do, as far as is known now: ten minutes of it, hop by hop.
//!
//! Pure. Windows of the segmentation model overlap, and the mean of all that heard a hop so far counts: unlike at the
//! end of a recording nothing waits for those that are still to come.

use std::collections::VecDeque;

use crate::diarize::{
    Hop,
    segmentation::{OVERLAP, SPEECH, told_at},
};

/// Hops that are kept: ten minutes, 0.7 MB.
const KEPT_HOPS: usize = 60_000;

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    speech: f32,
    overlap: f32,
    windows: f32,
}

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The hop that the first sum is of.
    from: usize,
    sums: VecDeque<Sum>,
}

impl Heard {
    /// The first hop that is still known.
    pub(super) fn from(&self) -> usize {
        self.from
    }

    /// The first hop that was not heard yet.
    pub(super) fn until(&self) -> usize {
        self.from + self.sums.len()
    }

    /// Everything before the hop `until` was heard; where nothing was told there is silence.
    pub(super) fn reach(&mut self, until: usize) {
        let more = until.saturating_sub(self.until());
        self.sums.extend(std::iter::repeat_n(Sum::default(), more));
        let gone = self.sums.len().saturating_sub(KEPT_HOPS);
        self.sums.drain(..gone);
        self.from += gone;
    }

    /// Lays the window whose first sample is `start` (negative for one that begins before the sound) over those
    /// before, up to the hop `until`.
    pub(super) fn add(&mut self, start: i64, told: &[f32], until: usize) {
        self.reach(until);
        let first = usize::try_from(start).map_or(0, |start| start.div_ceil(crate::turn::features::HOP));
        for at in first.max(self.from)..until {
            let Some((speech, overlap)) = told_at(told, start, at) else { return };
            self.tell(at, speech, overlap);
        }
    }

    /// One more says how likely anybody speaks at a hop, and how likely two do. What is not known any more, or not yet,
    /// stays so.
    pub(super) fn tell(&mut self, at: usize, speech: f32, overlap: f32) {
        let Some(sum) = at.checked_sub(self.from).and_then(|at| self.sums.get_mut(at)) else { return };
        sum.speech += speech;
        sum.overlap += overlap;
        sum.windows += 1.0;
    }

    /// What a hop holds: silence where nothing is known.
    pub(super) fn hop(&self, at: usize) -> Hop {
        let sum = at.checked_sub(self.from).and_then(|at| self.sums.get(at)).copied().unwrap_or_default();
        let of = |part: f32, least: f32| sum.windows > 0.0 && part / sum.windows > least;
        let speech = of(sum.speech, SPEECH);
        Hop { speech, overlap: speech && of(sum.overlap, OVERLAP) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speech(heard: &Heard, hops: std::ops::Range<usize>) -> usize {
        hops.filter(|&at| heard.hop(at).speech).count()
    }

    #[test]
    fn the_mean_so_far_counts_and_later_windows_mend_it() {
        let mut heard = Heard::default();
        heard.reach(10);
        heard.tell(4, 0.2, 0.0);
        assert!(!heard.hop(4).speech);
        heard.tell(4, 0.9, 0.9);
        assert_eq!(heard.hop(4), Hop { speech: true, overlap: false });
        heard.tell(4, 1.0, 1.0);
        assert_eq!(heard.hop(4), Hop { speech: true, overlap: true });
        assert_eq!(speech(&heard, 0..100), 1, "what nobody told of is silence");
    }

    #[test]
    fn a_window_tells_of_its_own_hops_alone() {
        let mut heard = Heard::default();
        // All moments of half a window hold one voice: the second class is certain.
        let told: Vec<f32> = (0..293).flat_map(|_| [-50.0, 0.0, -50.0, -50.0, -50.0, -50.0, -50.0]).collect();
        heard.add(-40_000, &told, 250);
        assert_eq!((heard.until(), speech(&heard, 0..400)), (250, 250));
        heard.reach(300);
        heard.add(48_000, &told, 800);
        assert_eq!((speech(&heard, 250..300), speech(&heard, 300..900)), (0, 500));
        heard.add(0, &[], 850);
        assert_eq!(heard.until(), 850, "a window that tells nothing changes nothing");
    }

    #[test]
    fn six_hours_take_no_more_room_than_ten_minutes() {
        let mut heard = Heard::default();
        for until in (0..2_160_000).step_by(50) {
            heard.reach(until + 50);
            heard.tell(until, 1.0, 0.0);
        }
        assert_eq!((heard.until(), heard.sums.len()), (2_160_000, KEPT_HOPS));
        assert!(heard.hop(2_159_950).speech && !heard.hop(0).speech);
        heard.tell(3, 1.0, 1.0);
        heard.tell(9_999_999, 1.0, 1.0);
    }
}
