//! How fast the ears are: latency, processor time, memory, on real recordings in real time.
//!
//! Budgets (two shared cores, Moonshine tiny): first partial ≤ 400 ms after the first sound, p50; final ≤ 300 ms
//! after the last, p50; ≤ 0.15 CPU seconds per second of speech on one live stream; 10 live streams with lag
//! ≤ 1 s; offline real-time factor ≤ 0.05; idle stream ≤ 0.2 % of a core; ≤ 3 MB per further stream.
//! `HARMONY_BENCH_WHISPER=model.bin` measures Whisper with that model as well.

use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use asr::{
    event::Event,
    moonshine::Moonshine,
    onnx::Library,
    pool::{Ears, Options, StreamConfig},
    recognizer::Recognizer,
    vad::silero::Silero,
    whisper::Whisper,
};
use benches::{Budgets, cpu, percentile, resident_mib};
use tests::{
    fixture::{model, onnx_library, recording, wav_16k},
    latency::{self, Latencies},
};

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
    let moonshine = Moonshine::load(&library, &model("moonshine-tiny-en")?).map_err(|error| error.to_string())?;
    measure(budgets, &library, Arc::new(moonshine))?;
    if let Some(path) = std::env::var_os("HARMONY_BENCH_WHISPER") {
        let whisper = Whisper::load(Path::new(&path), 1).map_err(|error| error.to_string())?;
        measure(budgets, &library, Arc::new(whisper))?;
    }
    Ok(())
}

fn measure(budgets: &mut Budgets, library: &Library, recognizer: Arc<dyn Recognizer>) -> Result<(), String> {
    let silero = Silero::load(library, &model("silero-vad/silero_vad.onnx")?).map_err(|error| error.to_string())?;
    let mut speech = Vec::new();
    for name in ["sense_and_sensibility_01_austen_64kb-0870", "two_cities_16k", "jfk"] {
        speech.push(wav_16k(&recording(&format!("audio/speech/{name}.wav"))?));
    }
    let name = format!("{} ({})", recognizer.info().model, recognizer.info().engine);
    let ears =
        Ears::start(recognizer, silero, Options { workers: 2, streams_max: 500 }).map_err(|error| error.to_string())?;

    budgets.section(&format!("{name}: one live stream, {:.0} s of speech", seconds(&speech)));
    let used = cpu();
    let one = live(&ears, &speech, Duration::ZERO);
    let used = cpu() - used;
    budgets.at_most("first partial after the first sound, p50", percentile(&one.first_partial, 50), 0.4, "s");
    budgets.figure("first partial after the first sound, p95", percentile(&one.first_partial, 95), "s");
    budgets.at_most("final after the last sound, p50", percentile(&one.after_pause, 50), 0.3, "s");
    budgets.figure("final after the last sound, p95", percentile(&one.after_pause, 95), "s");
    budgets.at_most("processor time per second of speech", used.as_secs_f64() / seconds(&speech), 0.15, "s/s");

    budgets.section(&format!("{name}: ten live streams"));
    let used = cpu();
    let began = now();
    let mut ten = Latencies::default();
    thread::scope(|scope| {
        let streams: Vec<_> = (0..10)
            .map(|i| {
                scope.spawn({
                    let (ears, speech) = (&ears, &speech);
                    move || live(ears, speech, Duration::from_millis(137 * i))
                })
            })
            .collect();
        for stream in streams {
            ten.extend(stream.join().expect("a stream of the bench ends"));
        }
    });
    let wall = (now() - began).as_secs_f64();
    budgets.at_most("text behind sound, p95", percentile(&ten.lag, 95), 1.0, "s");
    budgets.figure("text behind sound, p99", percentile(&ten.lag, 99), "s");
    budgets.figure("first partial after the first sound, p50", percentile(&ten.first_partial, 50), "s");
    budgets.figure("final after the last sound, p50", percentile(&ten.after_pause, 50), "s");
    budgets.figure("final after the last sound, p95", percentile(&ten.after_pause, 95), "s");
    budgets.figure("cores in use", (cpu() - used).as_secs_f64() / wall, "");
    budgets.figure("partials dropped", ears.stats().partials_dropped as f64, "");

    budgets.section(&format!("{name}: a file"));
    let (used, began) = (cpu(), now());
    speech.iter().for_each(|audio| file(&ears, audio));
    budgets.at_most("real-time factor", (now() - began).as_secs_f64() / seconds(&speech), 0.05, "");
    budgets.figure("processor time per second of speech", (cpu() - used).as_secs_f64() / seconds(&speech), "s/s");

    budgets.section(&format!("{name}: idle streams"));
    let resident = resident_mib();
    budgets.at_most("resident with the engine", resident, 350.0, "MiB");
    idle(budgets, &ears, resident);
    Ok(())
}

/// Plays the recordings one after the other as a microphone would, and reads what comes back.
fn live(ears: &Ears, speech: &[Vec<f32>], after: Duration) -> Latencies {
    pause(after);
    let mut all = Latencies::default();
    for audio in speech {
        all.extend(play(ears, audio));
    }
    all
}

fn play(ears: &Ears, audio: &[f32]) -> Latencies {
    let (mut input, mut events) = ears.open(StreamConfig::default()).expect("there is a place");
    let began = now();
    let reader = thread::spawn(move || {
        let mut read = Vec::new();
        while let Some(event) = events.next_blocking() {
            read.push((now() - began, event));
        }
        read
    });
    for (index, frame) in audio.chunks(320).enumerate() {
        pause((began + Duration::from_millis(20 * (index as u64 + 1))).saturating_duration_since(now()));
        input.push_blocking(frame).expect("the stream is open");
    }
    input.finish();
    latency::measure(audio, &reader.join().expect("the reader ends"))
}

/// Hands the audio over as fast as it is taken and waits for the last word.
fn file(ears: &Ears, audio: &[f32]) {
    let config = StreamConfig { partials: false, live: false, ..StreamConfig::default() };
    let (mut input, mut events) = ears.open(config).expect("there is a place");
    thread::scope(|scope| {
        scope.spawn(move || {
            input.push_blocking(audio).expect("the stream is open");
            input.finish();
        });
        while let Some(event) = events.next_blocking() {
            assert!(!matches!(event, Event::Lost { .. }), "a file is never given up");
        }
    });
}

/// Fifty open lines in a quiet room.
fn idle(budgets: &mut Budgets, ears: &Ears, resident: f64) {
    const STREAMS: usize = 50;
    const SECONDS: usize = 12;
    let mut noise = 12345_u32;
    let room: Vec<f32> = (0..16_000)
        .map(|_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 8) as f32 / 8_388_608.0 * 0.001 - 0.0005
        })
        .collect();
    let mut lines: Vec<_> =
        (0..STREAMS).map(|_| ears.open(StreamConfig::default()).expect("there is a place")).collect();
    let mut used = Duration::ZERO;
    let mut began = now();
    for second in 0..SECONDS {
        if second == 2 {
            (used, began) = (cpu(), now());
        }
        for frame in room.chunks(320) {
            let at = now();
            for (input, _) in &mut lines {
                input.push_blocking(frame).expect("the stream is open");
            }
            pause(Duration::from_millis(20).saturating_sub(now() - at));
        }
    }
    let share = (cpu() - used).as_secs_f64() / (now() - began).as_secs_f64() / STREAMS as f64 * 100.0;
    budgets.at_most("processor per open line in a quiet room", share, 0.2, "%");
    budgets.at_most("memory per further stream", (resident_mib() - resident).max(0.0) / STREAMS as f64, 3.0, "MiB");
}

fn seconds(speech: &[Vec<f32>]) -> f64 {
    speech.iter().map(Vec::len).sum::<usize>() as f64 / 16_000.0
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a bench plays the microphone, which delivers at its own pace")]
fn pause(duration: Duration) {
    thread::sleep(duration);
}
