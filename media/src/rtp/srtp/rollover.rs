//! How far the numbers of sources have come under one key, told by whoever used the key before to whoever does next.
//!
//! A packet carries 16 bits of its number; the wraps of the others are counted at both ends (RFC 3711 section 3.3.1). A
//! call that moves to another room gets another sealer and another opener there, under the same key: without the count
//! they would take the packets of a call that is older than its first wrap for forged, or use a key stream twice. Written
//! by the engine's thread with each packet, without a lock; read when a source is first met.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use super::window::Stream;

/// Sources that are counted: a far end has one, a few after transfers; we have one for each room that a call was in.
const SOURCES: usize = 64;

/// The count of wraps of one key's sources. Clones are the same.
#[derive(Clone, Debug)]
pub struct Rollover(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// A source, and the lower half of the highest number of its packets: enough for two years of packets of 20 ms. Zero
    /// for nobody.
    sources: [AtomicU64; SOURCES],
    /// Sources that took the place of others, each of the one that was met longest ago.
    replaced: AtomicU32,
    /// The number of the last RTCP that was sealed.
    rtcp: AtomicU32,
}

impl Default for Rollover {
    fn default() -> Self {
        Self(Arc::new(Counts {
            sources: [const { AtomicU64::new(0) }; SOURCES],
            replaced: AtomicU32::new(0),
            rtcp: AtomicU32::new(0),
        }))
    }
}

impl Rollover {
    /// The same count now, which goes on by itself: for who judges packets that another will open.
    pub fn snapshot(&self) -> Self {
        let copy = Self::default();
        for (to, from) in copy.0.sources.iter().zip(&self.0.sources) {
            to.store(from.load(Relaxed), Relaxed);
        }
        copy.0.replaced.store(self.0.replaced.load(Relaxed), Relaxed);
        copy.0.rtcp.store(self.0.rtcp.load(Relaxed), Relaxed);
        copy
    }

    /// A source where it is; at its beginning where nobody has met it.
    pub(super) fn stream(&self, ssrc: u32) -> Stream {
        let known = self.0.sources.iter().map(|word| word.load(Relaxed)).find(|word| *word != 0 && of(*word) == ssrc);
        known.map_or_else(|| Stream::starting(ssrc), |word| Stream::going_on(ssrc, word & u64::from(u32::MAX)))
    }

    /// A packet of this number was sealed, or opened and believed. A source that finds no place takes that of the one that
    /// was met longest ago: the room that it was in has long been left. Should it speak all the same, it is met anew.
    pub(super) fn note(&self, ssrc: u32, index: u64) {
        let Ok(index) = u32::try_from(index) else { return };
        let word = u64::from(ssrc) << 32 | u64::from(index);
        for place in &self.0.sources {
            let mut there = place.load(Relaxed);
            if there == 0 {
                match place.compare_exchange(0, word, Relaxed, Relaxed) {
                    Ok(_) => return,
                    // Another was faster.
                    Err(taken) => there = taken,
                }
            }
            if of(there) == ssrc {
                // Never back: another may have come further meanwhile.
                place.fetch_max(word, Relaxed);
                return;
            }
        }
        let at = self.0.replaced.fetch_add(1, Relaxed) as usize % SOURCES;
        self.0.sources[at].store(word, Relaxed);
    }

    /// Takes the next number of an RTCP datagram, the first of which is 1; `None` when it would not lie below `limit`. In one
    /// step: two that seal at the same time never get the same.
    pub(super) fn next_rtcp(&self, limit: u32) -> Option<u32> {
        let next = |last: u32| last.checked_add(1).filter(|next| *next < limit);
        self.0.rtcp.fetch_update(Relaxed, Relaxed, next).ok().and_then(next)
    }
}

const fn of(word: u64) -> u32 {
    (word >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_goes_on_where_it_was_and_never_back() {
        let rollover = Rollover::default();
        for ssrc in 0..SOURCES as u32 {
            rollover.note(ssrc, 65_530 + u64::from(ssrc));
        }
        let before = rollover.snapshot();
        rollover.note(3, 65_540);
        rollover.note(3, 65_536);
        assert_eq!(rollover.stream(3).index_of(8), Some(65_544));
        assert!(!rollover.stream(3).is_new(65_540) && rollover.stream(3).is_new(65_541));
        assert_eq!(before.stream(3).index_of(8), Some(65_544), "across the wrap from 65,533");
        assert!(before.stream(3).is_new(65_540), "a snapshot goes on by itself");
        assert_eq!(rollover.stream(99).index_of(8), Some(8));
    }

    #[test]
    fn reports_are_numbered_from_one_up_to_the_limit() {
        let rollover = Rollover::default();
        assert_eq!((rollover.next_rtcp(3), rollover.next_rtcp(3)), (Some(1), Some(2)));
        assert_eq!((rollover.next_rtcp(3), rollover.next_rtcp(4)), (None, Some(3)), "what is refused is not spent");
    }

    #[test]
    fn a_new_source_takes_the_place_of_the_one_that_was_met_longest_ago() {
        let rollover = Rollover::default();
        for ssrc in 1..=SOURCES as u32 + 2 {
            rollover.note(ssrc, 65_535);
            rollover.note(ssrc, 65_540);
        }
        let of = |ssrc| rollover.stream(ssrc).index_of(8);
        assert_eq!((of(1), of(2)), (Some(8), Some(8)), "gone");
        for ssrc in 3..=SOURCES as u32 + 2 {
            assert_eq!(of(ssrc), Some(65_544), "{ssrc}");
        }
        rollover.note(1, 131_080);
        assert_eq!((of(1), of(3)), (Some(131_080), Some(8)), "met anew");
    }
}
