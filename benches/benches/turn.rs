//! How fast the end of a turn is scored: the picture of 8 s, the model, and what it adds to a talking server.
//!
//! Budgets: the picture ≤ 10 ms at p50; a score ≤ 60 ms on one thread at p95; ≤ 40 MiB for each thread's copy of the
//! model. Fifty callers who each pause every two seconds are shown as cores in use, without a budget.

use std::time::Instant;

use asr::{
    onnx::Library,
    turn::{EndOfTurn, features::Features},
};
use benches::{Budgets, cpu, percentile, resident_mib};
use tests::fixture::{model, onnx_library, recording, wav_16k};

/// Scores that are made, after a few that warm up.
const ROUNDS: usize = 100;

/// Pauses a second on a server with fifty callers, of whom each speaks half of the time.
const PAUSES_PER_S: f64 = 50.0 * 0.5 / 2.0;

fn main() {
    let mut budgets = Budgets::default();
    if let Err(why) = run(&mut budgets) {
        budgets.note(&why);
        std::process::exit(i32::from(!why.starts_with("skipped")));
    }
    budgets.section(&format!("{} budgets missed", budgets.misses()));
}

fn run(budgets: &mut Budgets) -> Result<(), String> {
    let library = Library::open(&onnx_library()?).map_err(|error| error.to_string())?;
    let path = model("smart-turn-v3/smart-turn-v3.2-cpu.onnx")?;
    let speech = wav_16k(&recording("audio/speech/two_cities_16k.wav")?);

    budgets.section("end of turn: the picture of 8 s");
    let mut features = Features::new();
    let picture = measure(&speech, |sound| {
        std::hint::black_box(features.of(sound));
        Ok(())
    })?;
    budgets.at_most("p50", percentile(&picture, 50), 10.0, "ms");
    budgets.figure("p95", percentile(&picture, 95), "ms");

    budgets.section("end of turn: a score on one thread");
    // The first copy also warms up the library.
    let load = || EndOfTurn::load(&library, &path).map_err(|error| error.to_string());
    let _first = load()?;
    let (resident, began) = (resident_mib(), now());
    let mut turn = load()?;
    budgets.figure("loading and one score", (now() - began).as_secs_f64() * 1_000.0, "ms");
    let used = cpu();
    let began = now();
    let scores = measure(&speech, |sound| {
        std::hint::black_box(turn.score(sound).map_err(|error| error.to_string())?);
        Ok(())
    })?;
    let wall = (now() - began).as_secs_f64();
    let used = (cpu() - used).as_secs_f64();
    budgets.figure("p50", percentile(&scores, 50), "ms");
    budgets.at_most("p95", percentile(&scores, 95), 60.0, "ms");
    budgets.figure("cores in use while scoring", used / wall, "");
    budgets.figure("cores for fifty callers", used / (ROUNDS + WARMING) as f64 * PAUSES_PER_S, "");
    budgets.at_most("resident for one more thread", resident_mib() - resident, 40.0, "MiB");
    Ok(())
}

/// Milliseconds of each round, over moments of the recording.
fn measure(speech: &[f32], mut round: impl FnMut(&[f32]) -> Result<(), String>) -> Result<Vec<f64>, String> {
    let mut took = Vec::with_capacity(ROUNDS);
    for index in 0..ROUNDS + WARMING {
        let until = (index + 1) * speech.len() / (ROUNDS + WARMING);
        let began = now();
        round(&speech[..until])?;
        if index >= WARMING {
            took.push((now() - began).as_secs_f64() * 1_000.0);
        }
    }
    Ok(took)
}

const WARMING: usize = 5;

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}
