//! Whether the machine stood still: a shared one is taken away from everybody on it now and then, for longer than any
//! jitter buffer holds, and then a gap in what was heard is no fault of the product.
//!
//! One thread of the test's process rests for 5 ms at a time and looks how long that took. It begins with the first
//! server, telephone or browser of a test and ends with the process. What it saw excuses a few breaks of a sound, and
//! what was excused is printed; where the machine was steady not a single one is. It excuses breaks alone: what was said
//! must still be found, as loud and as like as ever.

use std::{
    sync::{
        Once,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long the watch rests.
const REST: Duration = Duration::from_millis(5);

/// A rest that took so long is a standstill: 40 ms too long, which is what a jitter buffer on a good path holds.
const STOOD_STILL: Duration = Duration::from_millis(45);

/// A standstill breaks a sound on either way of it.
const BREAKS_EACH: usize = 2;

/// So many excuse something: a sound with more holes than that says nothing of the product any more, and fails.
const EXCUSING_MAX: usize = 3;

static TIMES: AtomicUsize = AtomicUsize::new(0);
static LOST_MS: AtomicU64 = AtomicU64::new(0);

/// Watches from now on, if nobody does yet.
///
/// # Panics
/// When the machine refuses a thread.
pub fn watch() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        // Nobody waits for it: it ends with the process.
        drop(thread::Builder::new().name("standstill".to_owned()).spawn(look).expect("a thread"));
    });
}

/// Whether so many breaks of a sound are what the machine was seen to cost; says so where there are any.
pub fn explains(breaks: usize) -> bool {
    let (times, lost_ms) = (TIMES.load(Ordering::Relaxed), LOST_MS.load(Ordering::Relaxed));
    let is_explained = breaks <= excused(times);
    if breaks > 0 && is_explained {
        println!("{breaks} breaks are excused: the machine stood still {times} times, for {lost_ms} ms in all");
    }
    is_explained
}

fn excused(times: usize) -> usize {
    BREAKS_EACH * times.min(EXCUSING_MAX)
}

fn look() {
    loop {
        let began = now();
        thread::park_timeout(REST);
        let took = began.elapsed();
        if took >= STOOD_STILL {
            TIMES.fetch_add(1, Ordering::Relaxed);
            LOST_MS.fetch_add((took - REST).as_millis() as u64, Ordering::Relaxed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "whether time passed as it should is read from the clock")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_machine_excuses_nothing_and_no_machine_excuses_much() {
        assert_eq!([0, 1, 2, 3, 4, 1_000].map(excused), [0, 2, 4, 6, 6, 6]);
    }
}
