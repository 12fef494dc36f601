//! How long packets must wait so that the late ones are in time: the target of the jitter buffer.
//!
//! Of the last [`WINDOW`] packets the quickest sets the baseline, and the target is how much longer than it all
//! but a few took. It rises with the second late packet and falls slowly. Because the baseline moves with the
//! window, neither a sender's slow clock nor a longer route adds up. Numbers only; no allocation.

use super::seq::Clock;

/// Packets looked back upon: 2.6 s of 20 ms, so that a calm spell is believed within seconds.
const WINDOW: usize = 128;

/// Of so many packets one may come too late and be concealed: waiting for each would cost more than it saves.
const ONE_LATE_IN: usize = 32;

/// The packets among which two late ones raise the target at once.
const RECENT: usize = 16;

/// How fast the target falls: a second of calm gives back 20 ms, slow enough to be stretched away unheard.
const FALL_MS_PER_S: i64 = 20;

/// And at least this part of what is too much, a second: after a spell of far too late packets the sound has
/// suffered anyway, and a long wait hurts a conversation more than a quick return.
const FALL_PART_PER_S: i64 = 2;

/// A transit that differs so much from the last is no jitter but another timeline.
const JUMP_MS: u32 = 2_000;

/// The bounds of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Added to what was measured, and so the least: one tick of the engine, which may come just before a packet.
    pub margin_ms: u32,
    /// The most that a packet waits: beyond it a conversation is worse than its gaps.
    pub most_ms: u32,
}

/// What recent packets took, and the wait that follows from it.
#[derive(Clone, Debug)]
pub struct Delay {
    clock: Clock,
    bounds: Bounds,
    transits: [i64; WINDOW],
    seen: usize,
    /// In thousandths of a tick, so that it can fall slowly.
    target_milliticks: i64,
    last_at: i64,
}

impl Delay {
    /// Nothing seen yet: the first packet waits for the margin and as much again, since its jitter is unknown.
    pub fn new(clock: Clock, bounds: Bounds) -> Self {
        let target_milliticks = clock.ticks_of_ms(2 * bounds.margin_ms) * 1000;
        Self { clock, bounds, transits: [0; WINDOW], seen: 0, target_milliticks, last_at: 0 }
    }

    /// Forgets what was seen.
    pub fn restart(&mut self) {
        *self = Self::new(self.clock, self.bounds);
    }

    /// Takes a packet of timestamp `time` that came at `at`, both in ticks. Says whether the timeline jumped, in
    /// which case everything before is forgotten.
    pub fn take(&mut self, time: i64, at: i64) -> bool {
        let transit = at - time;
        let mut jumped = false;
        if self.seen > 0 && (transit - self.baseline()).abs() > self.clock.ticks_of_ms(JUMP_MS) {
            self.restart();
            jumped = true;
        }
        self.transits[self.seen % WINDOW] = transit;
        self.seen += 1;
        let most = self.clock.ticks_of_ms(self.bounds.most_ms) * 1000;
        let wanted = (self.measured() + self.clock.ticks_of_ms(self.bounds.margin_ms)) * 1000;
        if wanted >= self.target_milliticks {
            self.target_milliticks = wanted.min(most);
        } else if self.seen > 1 {
            // A thousandth of a tick a tick is a millisecond a second.
            let passed = (at - self.last_at).clamp(0, i64::from(self.clock.ticks_hz));
            let part = (self.target_milliticks - wanted) / FALL_PART_PER_S / i64::from(self.clock.ticks_hz);
            self.target_milliticks = (self.target_milliticks - passed * FALL_MS_PER_S.max(part)).max(wanted);
        }
        self.last_at = at;
        jumped
    }

    /// How long a packet should wait after the quickest, in ticks.
    pub fn target(&self) -> i64 {
        self.target_milliticks / 1000
    }

    /// What the quickest recent packet took: the time of its arrival less its timestamp, in ticks.
    pub fn baseline(&self) -> i64 {
        self.window().iter().copied().min().unwrap_or(0)
    }

    fn window(&self) -> &[i64] {
        &self.transits[..self.seen.min(WINDOW)]
    }

    /// How much longer than the quickest all but a few packets took.
    fn measured(&self) -> i64 {
        let seen = self.window();
        let mut sorted = self.transits;
        let all = &mut sorted[..seen.len()];
        let spared = (all.len() / ONE_LATE_IN).max(1).min(all.len() - 1);
        let usual = *all.select_nth_unstable(seen.len() - 1 - spared).1;
        let recent = (0..self.seen.min(RECENT)).map(|back| self.transits[(self.seen - 1 - back) % WINDOW]);
        let (mut latest, mut second) = (i64::MIN, i64::MIN);
        for transit in recent {
            if transit > latest {
                (latest, second) = (transit, latest);
            } else {
                second = second.max(transit);
            }
        }
        usual.max(second) - self.baseline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { margin_ms: 10, most_ms: 400 };

    fn fed(late_ms: impl Fn(i64) -> i64, packets: i64) -> Delay {
        let mut delay = Delay::new(Clock::TELEPHONE, BOUNDS);
        for number in 0..packets {
            delay.take(number * 160, number * 160 + late_ms(number) * 8);
        }
        delay
    }

    #[test]
    fn an_even_stream_waits_for_the_margin_alone() {
        assert_eq!(fed(|_| 35, 100).target(), 80);
    }

    #[test]
    fn the_target_covers_what_all_but_a_few_took() {
        let shaken = fed(|number| number * 37 % 60, 300).target() / 8;
        assert!((62..=70).contains(&shaken), "{shaken} ms");
        let spike = fed(|number| if number % 60 == 5 { 200 } else { 0 }, 300).target() / 8;
        assert!(spike < 30, "{spike} ms for one late packet in sixty");
    }

    #[test]
    fn two_late_packets_raise_it_and_calm_lowers_it_slowly() {
        let late = |number: i64| if (200..202).contains(&number) { 60 } else { 0 };
        assert_eq!(fed(late, 201).target() / 8, 10);
        assert_eq!(fed(late, 202).target() / 8, 70);
        let a_second_after = fed(late, 202 + 50).target() / 8;
        assert!((48..=56).contains(&a_second_after), "{a_second_after} ms");
        assert_eq!(fed(late, 202 + 300).target() / 8, 10);
    }

    #[test]
    fn a_slow_clock_and_a_longer_route_do_not_add_up() {
        // 500 parts in a million: ten times what clocks of telephones do.
        assert!(fed(|number| number / 100, 20_000).target() / 8 <= 12);
        assert_eq!(fed(|number| if number < 500 { 10 } else { 150 }, 2_000).target() / 8, 10);
    }

    #[test]
    fn the_target_has_a_most_and_a_jump_starts_anew() {
        assert_eq!(fed(|number| number * 613 % 1_500, 500).target() / 8, 400);
        let mut delay = fed(|_| 0, 100);
        assert!(delay.take(90_000_000, 100 * 160));
        assert_eq!(delay.target() / 8, 20);
    }
}
