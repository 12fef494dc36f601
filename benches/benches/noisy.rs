//! What cleaning does for recognizers: words wrong in noise with and without suppression, and of quiet talkers with
//! and without gain.
//!
//! The budgets are what `auto` stands on: at 0, 5, 10, 15 and 20 dB no engine has more than two words in a hundred more
//! wrong as it is than with suppression (where either makes sense of it), and gain takes nothing from anybody who is
//! quiet. Moonshine hears three recordings; the project's own small Whisper, which is no measure of Whisper's accuracy,
//! the clips that it knows. `HARMONY_BENCH_WHISPER=model.bin` hears the three recordings with that model as well.

use std::{fs, path::Path, sync::Arc, thread};

use asr::{
    cleaner::{self, Cleaning, Levels, Suppression},
    event::{self, Event},
    moonshine::Moonshine,
    onnx::Library,
    pool::{Ears, Options, StreamConfig},
    recognizer::Recognizer,
    vad::silero::Silero,
    whisper::Whisper,
};
use benches::{Budgets, cpu};
use tests::{
    fixture::{model, onnx_library, recording, wav_16k},
    wer::{Errors, plain_words},
};

const JFK: &str =
    "And so my fellow Americans ask not what your country can do for you ask what you can do for your country";

const MICRO: &str = "models/whisper-micro/eval";

/// Words wrong for each word said that two ways may differ by and be called alike.
const ALIKE: f64 = 0.02;

/// Words wrong from which on it makes no difference how many they are.
const LOST: f64 = 0.8;

const AS_IT_IS: Cleaning = Cleaning { gain: false, suppression: Suppression::Off };
const SUPPRESSED: Cleaning = Cleaning { gain: false, suppression: Suppression::On };
const LOUDER: Cleaning = Cleaning { gain: true, suppression: Suppression::Off };

/// Speech, and what is said in it.
struct Clip {
    audio: Vec<f32>,
    said: String,
}

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
    let read = readings()?;
    let moonshine = Moonshine::load(&library, &model("moonshine-tiny-en")?).map_err(|error| error.to_string())?;
    measure(budgets, &library, &(Arc::new(moonshine) as Arc<dyn Recognizer>), &read)?;
    let whisper = |path: &Path| Whisper::load(path, 1).map_err(|error| error.to_string());
    let micro = whisper(&recording("models/whisper-micro/whisper-micro.en-q8_0.bin")?)?;
    measure(budgets, &library, &(Arc::new(micro) as Arc<dyn Recognizer>), &known_clips()?)?;
    if let Some(path) = std::env::var_os("HARMONY_BENCH_WHISPER") {
        measure(budgets, &library, &(Arc::new(whisper(Path::new(&path))?) as Arc<dyn Recognizer>), &read)?;
    }
    Ok(())
}

fn measure(
    budgets: &mut Budgets,
    library: &Library,
    recognizer: &Arc<dyn Recognizer>,
    clips: &[Clip],
) -> Result<(), String> {
    let start = |wish| {
        let silero = Silero::load(library, &model("silero-vad/silero_vad.onnx")?).map_err(|error| error.to_string())?;
        let options = Options { workers: 2, streams_max: 4 };
        Ears::start(cleaner::before(recognizer.clone(), wish), silero, options).map_err(|error| error.to_string())
    };
    let (plain, suppressed, louder) = (start(AS_IT_IS)?, start(SUPPRESSED)?, start(LOUDER)?);
    let name = format!("{} ({})", recognizer.info().model, recognizer.info().engine);

    budgets.section(&format!("{name}: nothing added"));
    budgets.at_most("words wrong, as it is", wrong(&plain, clips, <[f32]>::to_vec), 0.15, "");
    let used = cpu();
    budgets.figure("words wrong, suppressed", wrong(&suppressed, clips, <[f32]>::to_vec), "");
    let seconds = clips.iter().map(|clip| clip.audio.len()).sum::<usize>() as f64 / 16_000.0;
    budgets.figure("processor time per second, suppressed", (cpu() - used).as_secs_f64() / seconds, "s/s");

    for (noise, sound) in noises()? {
        budgets.section(&format!("{name}: {noise}; words wrong as it is, the budget is suppressed and {ALIKE}"));
        for snr_db in [0.0, 5.0, 10.0, 15.0, 20.0] {
            let noisy = |audio: &[f32]| mixed(audio, &sound, snr_db);
            let (as_it_is, without) = (wrong(&plain, clips, noisy), wrong(&suppressed, clips, noisy));
            if as_it_is.min(without) > LOST {
                budgets.note(&format!("{snr_db} dB: lost, {as_it_is:.3} as it is and {without:.3} suppressed"));
            } else {
                budgets.at_most(&format!("{snr_db} dB"), as_it_is, without + ALIKE, "");
            }
        }
    }

    budgets.section(&format!("{name}: quiet talkers; words wrong with gain, the budget is without and {ALIKE}"));
    for level_db in [-30.0, -40.0, -50.0, -60.0] {
        let quiet = |audio: &[f32]| at_level(audio, level_db);
        let budget = wrong(&plain, clips, quiet) + ALIKE;
        budgets.at_most(&format!("{level_db} dBFS"), wrong(&louder, clips, quiet), budget, "");
    }
    Ok(())
}

/// Words wrong per word said over all clips, each changed by `change` first.
fn wrong(ears: &Ears, clips: &[Clip], change: impl Fn(&[f32]) -> Vec<f32>) -> f64 {
    let (mut wrong, mut said) = (0, 0);
    for clip in clips {
        // The text beside a recording spells out what everybody writes short.
        let heard = heard(ears, &change(&clip.audio)).replace("Mr.", "mister");
        wrong += Errors::between(&clip.said, &heard).total();
        said += plain_words(&clip.said).len();
    }
    wrong as f64 / said.max(1) as f64
}

/// The words of a file.
fn heard(ears: &Ears, audio: &[f32]) -> String {
    let config = StreamConfig { partials: false, live: false, ..StreamConfig::default() };
    let (mut input, mut events) = ears.open(config).expect("there is a place");
    let mut texts = Vec::new();
    thread::scope(|scope| {
        scope.spawn(move || {
            input.push_blocking(audio).expect("the stream is open");
            input.finish();
        });
        while let Some(event) = events.next_blocking() {
            if let Event::Final { words, .. } = event {
                texts.push(event::text(&words));
            }
        }
    });
    texts.join(" ")
}

/// Speech with so much less noise behind.
fn mixed(audio: &[f32], noise: &[f32], snr_db: f32) -> Vec<f32> {
    let speech_db = Levels::of(audio).map_or(-120.0, |levels| levels.speech_db);
    let factor = factor(speech_db - snr_db - media::dsp::level::rms_dbfs(noise));
    audio.iter().zip(noise.iter().cycle()).map(|(sample, noise)| (sample + factor * noise).clamp(-1.0, 1.0)).collect()
}

/// Speech as loud as that, with the steps of 16-bit audio.
fn at_level(audio: &[f32], level_db: f32) -> Vec<f32> {
    let factor = factor(level_db - Levels::of(audio).map_or(level_db, |levels| levels.speech_db));
    audio.iter().map(|sample| (sample * factor * 32_768.0).round() / 32_768.0).collect()
}

fn factor(db: f32) -> f32 {
    10.0_f32.powf(db / 20.0)
}

/// Noise of a room, and six people who talk across each other.
fn noises() -> Result<[(&'static str, Vec<f32>); 2], String> {
    let room = wav_16k(&recording(&format!("{MICRO}/noise_5s_16k.wav"))?);
    let reader = wav_16k(&recording("audio/speech/two_cities_16k.wav")?);
    let place = |voice: usize, at: usize| reader[(at + voice * 61_007) % reader.len()];
    let babble = (0..reader.len()).map(|at| (0..6).map(|voice| place(voice, at)).sum::<f32>() / 6.0).collect();
    Ok([("a room's noise", room), ("babble", babble)])
}

/// Recordings of people reading, none of them part of the babble.
fn readings() -> Result<Vec<Clip>, String> {
    let mut clips = vec![Clip { audio: wav_16k(&recording("audio/speech/jfk.wav")?), said: JFK.to_owned() }];
    for number in ["0870", "0880"] {
        let path = recording(&format!("audio/speech/sense_and_sensibility_01_austen_64kb-{number}.wav"))?;
        let said = fs::read_to_string(path.with_extension("txt")).map_err(|error| error.to_string())?;
        clips.push(Clip { audio: wav_16k(&path), said });
    }
    Ok(clips)
}

/// The clips at 16 kHz that the small Whisper hears word for word where they are clean.
fn known_clips() -> Result<Vec<Clip>, String> {
    let table = recording(&format!("{MICRO}/hyp-q8_0.tsv"))?;
    let table = fs::read_to_string(table).map_err(|error| error.to_string())?;
    let mut clips = Vec::new();
    for row in table.lines().skip(1) {
        let row: Vec<&str> = row.split('\t').collect();
        if let [file, "1", _, said, ..] = row[..]
            && file.ends_with("_16k.wav")
            && !said.is_empty()
        {
            clips.push(Clip { audio: wav_16k(&recording(&format!("{MICRO}/{file}"))?), said: said.to_owned() });
        }
    }
    Ok(clips)
}
