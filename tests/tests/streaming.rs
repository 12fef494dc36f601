//! Live transcription of every recording with known words, rehearsed in virtual time: what is settled stays,
//! the words are as good as offline, they come early, and they cost little.

use std::{collections::BTreeMap, sync::atomic::AtomicBool, time::Duration};

use asr::{
    event::{Event, UtteranceId},
    moonshine::Moonshine,
    onnx::Library,
    pool::StreamConfig,
    recognizer::{Decoder, Recognizer},
    vad::silero::Silero,
};
use tests::{
    fixture::{model, onnx_library, recording, wav_16k},
    rehearsal::{Cost, Rehearsed, rehearse},
};

#[test]
fn live_words() {
    if let Err(why) = run() {
        assert!(why.starts_with("skipped"), "{why}");
        println!("{why}");
    }
}

fn run() -> Result<(), String> {
    let library = Library::open(&onnx_library()?).map_err(|e| e.to_string())?;
    let mut silero = Silero::load(&library, &model("silero-vad/silero_vad.onnx")?).map_err(|e| e.to_string())?;
    let moonshine = Moonshine::load(&library, &model("moonshine-tiny-en")?).map_err(|e| e.to_string())?;
    let mut decoder = moonshine.decoder().map_err(|e| e.to_string())?;
    for name in ["jfk", "sense_and_sensibility_01_austen_64kb-0870", "sense_and_sensibility_01_austen_64kb-0880", "two_cities_16k"] {
        let audio = wav_16k(&recording(&format!("audio/speech/{name}.wav"))?);
        for partials in [true, false] {
            let config = StreamConfig { partials, live: partials, ..StreamConfig::default() };
            let t = std::time::Instant::now();
            let done = rehearse(&audio, config, 20, &mut silero, decoder.as_mut(), Cost::MOONSHINE).map_err(|e| e.to_string())?;
            println!("== {name} partials {partials}: {} decodes, {:.3} cpu/s, wall {:?}\n{}", done.decodes, done.decoding.as_secs_f64() / (audio.len() as f64 / 16000.0), t.elapsed(), done.text());
            if std::env::var_os("SHOW").is_some() && partials { for (at, event) in &done.events { match event {
                Event::Partial { stable_words, words, utterance, .. } => println!("{:7.3} {} P {} | {}", at.as_secs_f64(), utterance.0, asr::event::text(&words[..*stable_words]), asr::event::text(&words[*stable_words..])),
                Event::Final { words, cut, span, utterance, .. } => println!("{:7.3} {} F {cut:?} {} - {}: {}", at.as_secs_f64(), utterance.0, span.start, span.end, asr::event::text(words)),
                e => println!("{:7.3} {e:?}", at.as_secs_f64()),
            } } }
        }
    }
    Ok(())
}
