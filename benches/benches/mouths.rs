//! How fast the mouths are: from a sentence to its first sample, and how much speech a core makes.
//!
//! Budgets (two shared cores, espeak-ng): first audio ≤ 80 ms at p95, on one line and on five that begin at once; a
//! sentence that is known ≤ 1 ms at p95; ≤ 20 ms for a second of speech. Twenty that begin at once wait for each other,
//! since each sentence has a process: that is shown without a budget.

use std::{sync::Arc, thread, time::Instant};

use benches::{Budgets, percentile};
use media::frame::MOUTH_HZ;
use tts::{
    espeak::Espeak,
    utterance::Utterance,
    voice::choose,
    worker::{Options, Said, Voices},
};

fn main() {
    let mut budgets = Budgets::default();
    let voices = |cache_bytes| {
        let options = Options { cache_bytes, ..Options::default() };
        Voices::start(Arc::new(Espeak::default()), options).expect("there are threads")
    };
    if let Err(why) = voices(0).ready() {
        return budgets.note(&format!("skipped: {why}"));
    }
    budgets.section("espeak-ng: one line, another sentence each time");
    let fresh = voices(0);
    speak(&fresh, 0);
    let (mut first, mut seconds) = (Vec::new(), 0.0);
    let began = now();
    for n in 1..=100 {
        let (first_ms, length_s) = speak(&fresh, n);
        first.push(first_ms);
        seconds += length_s;
    }
    let took_s = (now() - began).as_secs_f64();
    budgets.figure("first audio, p50", percentile(&first, 50), "ms");
    budgets.at_most("first audio, p95", percentile(&first, 95), 80.0, "ms");
    budgets.at_most("time per second of speech", 1_000.0 * took_s / seconds, 20.0, "ms");

    for lines in [5, 20] {
        budgets.section(&format!("espeak-ng: {lines} lines at once"));
        let first = at_once(&fresh, lines);
        budgets.figure("first audio, p50", percentile(&first, 50), "ms");
        if lines == 5 {
            budgets.at_most("first audio, p95", percentile(&first, 95), 80.0, "ms");
        } else {
            budgets.figure("first audio, p95", percentile(&first, 95), "ms");
        }
    }

    budgets.section("a sentence that is known");
    let known = voices(32 << 20);
    speak(&known, 0);
    let first: Vec<f64> = (0..200).map(|_| speak(&known, 0).0).collect();
    budgets.at_most("first audio, p95", percentile(&first, 95), 1.0, "ms");
    budgets.section(&format!("{} budgets missed", budgets.misses()));
}

/// Several lines that begin together, five sentences each; milliseconds to the first sample of each.
fn at_once(fresh: &Voices, lines: usize) -> Vec<f64> {
    thread::scope(|scope| {
        let lines: Vec<_> = (0..lines)
            .map(|line| {
                let voices = fresh;
                scope.spawn(move || (0..5).map(|n| speak(voices, 1_000 + 10 * line + n).0).collect::<Vec<_>>())
            })
            .collect();
        lines.into_iter().flat_map(|line| line.join().expect("a line ends")).collect()
    })
}

/// Speaks a sentence; milliseconds to its first sample, and its length in seconds.
fn speak(voices: &Voices, n: usize) -> (f64, f64) {
    let voice = choose(Some("woman"), Some("de")).voice;
    let text = format!("Sie sind auf Platz {n}, bitte bleiben Sie in der Leitung, wir sind gleich für Sie da.");
    let began = now();
    let mut speech = voices.speak(&Utterance::plain(voice, text), MOUTH_HZ).expect("it is short");
    let (mut first_ms, mut samples) = (None, 0);
    while let Some(said) = speech.next_blocking() {
        match said {
            Said::Samples { samples: some, .. } => {
                first_ms.get_or_insert_with(|| 1_000.0 * (now() - began).as_secs_f64());
                samples += some.len();
            }
            Said::Failed { error, .. } => panic!("{error}"),
            Said::Word { .. } | Said::Viseme { .. } | Said::Finished { .. } | Said::Dropped { .. } => {}
        }
    }
    (first_ms.unwrap_or(f64::INFINITY), samples as f64 / f64::from(MOUTH_HZ))
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}
