//! How much in the last minute, hour or day.
//!
//! A window is counted in thirteen cells of a twelfth each, so that it costs the same whatever happens. The cells
//! together cover the span and up to a twelfth more: never less than the truth, at times a twelfth stricter.

use std::time::{Duration, Instant};

/// A sum over the last `span`.
#[derive(Clone, Debug)]
pub(super) struct Window {
    cells: [u64; CELLS],
    /// Which cell is being filled.
    head: usize,
    /// When it began.
    head_at: Instant,
    cell: Duration,
}

impl Window {
    /// Nothing has happened by `now`. The span must be longer than a few milliseconds.
    pub(super) fn new(span: Duration, now: Instant) -> Self {
        Self { cells: [0; CELLS], head: 0, head_at: now, cell: span / (CELLS as u32 - 1) }
    }

    /// `amount` more at `now`. Times that lie before an earlier one count as that one.
    pub(super) fn add(&mut self, amount: u64, now: Instant) {
        self.turn(now);
        let cell = &mut self.cells[self.head];
        *cell = cell.saturating_add(amount);
    }

    /// The sum over the span that ends at `now`.
    pub(super) fn sum(&mut self, now: Instant) -> u64 {
        self.turn(now);
        self.cells.iter().fold(0, |sum, cell| sum.saturating_add(*cell))
    }

    /// How long until the sum is at most `most`, if nothing more happens.
    pub(super) fn wait(&mut self, most: u64, now: Instant) -> Duration {
        let mut left = self.sum(now);
        let mut gone = 0;
        // The oldest cell is the one after the head.
        while left > most && gone < CELLS {
            gone += 1;
            left -= self.cells[(self.head + gone) % CELLS].min(left);
        }
        (self.cell * gone as u32).saturating_sub(now.saturating_duration_since(self.head_at))
    }

    fn turn(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.head_at);
        if elapsed >= self.cell * CELLS as u32 {
            self.cells = [0; CELLS];
            self.head_at = now;
            return;
        }
        while now.saturating_duration_since(self.head_at) >= self.cell {
            self.head = (self.head + 1) % CELLS;
            self.cells[self.head] = 0;
            self.head_at += self.cell;
        }
    }
}

/// Twelve for the span, and the one that is being filled.
const CELLS: usize = 13;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_sum_is_never_less_than_the_truth_and_hardly_more(
            steps in prop::collection::vec((0_u64..20_000, 0_u64..5), 1..80),
        ) {
            let start = start();
            let span = Duration::from_secs(60);
            let mut window = Window::new(span, start);
            let mut now = start;
            let mut events = Vec::new();
            for (after_ms, amount) in steps {
                now += Duration::from_millis(after_ms);
                window.add(amount, now);
                events.push((now, amount));
                let within = |span: Duration| {
                    events.iter().filter(|(at, _)| now - *at <= span).map(|(_, amount)| amount).sum::<u64>()
                };
                let sum = window.sum(now);
                prop_assert!(sum >= within(span - Duration::from_millis(1)));
                prop_assert!(sum <= within(span + span / 12));
            }
            let wait = window.wait(3, now);
            prop_assert!(window.clone().sum(now + wait) <= 3);
            if !wait.is_zero() {
                prop_assert!(window.sum(now + wait - Duration::from_nanos(1)) > 3);
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "an instant from which virtual time runs")]
    fn start() -> Instant {
        Instant::now()
    }
}
