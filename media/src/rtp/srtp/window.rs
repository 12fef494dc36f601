//! Which packets of a source came already, and the 48-bit numbers that 16 bits on the wire stand for.
//!
//! A fixed table of sources, each with its highest number and the packets behind it as bits (RFC 3711 sections
//! 3.3.1 and 3.3.2). Pure; no allocation.

/// Sources of one session and direction: a caller has one, a few after transfers; a mixer's peer a handful.
const SOURCES: usize = 16;

/// Packets behind the highest that are still told apart: 2.5 s of 20 ms, more than a jitter buffer waits.
const WINDOW: u64 = 128;

/// The highest number of a packet: 32 bits of wraps and 16 of the wire.
const HIGHEST: u64 = (1 << 48) - 1;

/// What is known of one source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    ssrc: u32,
    highest: Option<u64>,
    /// Bit n: the packet n before the highest came.
    came: u128,
}

impl Stream {
    /// A source of which nothing came yet.
    pub(super) const fn starting(ssrc: u32) -> Self {
        Self { ssrc, highest: None, came: 0 }
    }

    /// A source that has come to `highest` elsewhere: nothing of what is behind is taken any more.
    pub(super) const fn going_on(ssrc: u32, highest: u64) -> Self {
        Self { ssrc, highest: Some(highest), came: u128::MAX }
    }

    /// The number that `seq` stands for: the nearest to the highest so far. `None` when there is no such number.
    pub(super) fn index_of(&self, seq: u16) -> Option<u64> {
        let Some(highest) = self.highest else { return Some(u64::from(seq)) };
        let step = i64::from(seq.wrapping_sub(highest as u16) as i16);
        highest.checked_add_signed(step).filter(|index| *index <= HIGHEST)
    }

    /// Whether the packet of this number did not come yet, as far as is known.
    pub(super) fn is_new(&self, index: u64) -> bool {
        match self.highest {
            Some(highest) if index <= highest => highest - index < WINDOW && self.came & 1 << (highest - index) == 0,
            _ => true,
        }
    }

    /// Whether this number is higher than all so far.
    pub(super) fn is_after(&self, index: u64) -> bool {
        self.highest.is_none_or(|highest| index > highest)
    }

    /// This source after the packet of this number.
    pub(super) fn with(mut self, index: u64) -> Self {
        match self.highest {
            Some(highest) if index <= highest => {
                if highest - index < WINDOW {
                    self.came |= 1 << (highest - index);
                }
            }
            Some(highest) => {
                let steps = index - highest;
                self.came = if steps < WINDOW { self.came << steps | 1 } else { 1 };
                self.highest = Some(index);
            }
            None => {
                self.came = 1;
                self.highest = Some(index);
            }
        }
        self
    }
}

/// The sources of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    known: [Option<Stream>; SOURCES],
}

impl Streams {
    pub(super) fn find(&self, ssrc: u32) -> Option<Stream> {
        self.known.iter().flatten().find(|stream| stream.ssrc == ssrc).copied()
    }

    /// Remembers a source; `false` when the table is full. None is ever forgotten, or its packets could come again.
    pub(super) fn keep(&mut self, stream: Stream) -> bool {
        let place = self.known.iter().position(|slot| slot.is_none_or(|known| known.ssrc == stream.ssrc));
        place.map(|place| self.known[place] = Some(stream)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_packet_is_new_once_and_its_number_is_right(first: u16, steps in prop::collection::vec(-140_i64..200, 1..400)) {
            let mut stream = Stream::starting(1).with(u64::from(first) + 65_536);
            let (mut highest, mut came) = (i64::from(first) + 65_536, BTreeSet::from([i64::from(first) + 65_536]));
            for step in steps {
                let wanted = highest + step;
                let index = stream.index_of(wanted as u16).unwrap();
                prop_assert_eq!(index as i64, wanted);
                let within = highest - wanted < WINDOW as i64;
                prop_assert_eq!(stream.is_new(index), within && !came.contains(&wanted));
                if stream.is_new(index) {
                    stream = stream.with(index);
                    came.insert(wanted);
                    highest = highest.max(wanted);
                }
            }
        }
    }

    #[test]
    fn there_is_no_packet_before_the_first_number_or_after_the_last() {
        assert_eq!(Stream::starting(1).with(2).index_of(65_535), None);
        assert_eq!(Stream::starting(1).with(HIGHEST).index_of(0), None);
    }

    #[test]
    fn a_full_table_keeps_whom_it_knows() {
        let mut streams = Streams::default();
        assert!((0..16).all(|ssrc| streams.keep(Stream::starting(ssrc).with(5))));
        assert!(!streams.keep(Stream::starting(99).with(5)));
        assert!(streams.keep(Stream::starting(3).with(6)));
        assert!(!streams.find(3).unwrap().is_new(6));
    }
}
