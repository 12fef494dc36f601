//! Live transcription of every recording with known words, rehearsed in virtual time: what is settled stays,
//! the words are as good as offline, they come early, and they cost little. Latencies are part of the policy,
//! not of this machine: each decode takes what `Cost` says.

use asr::{
    event::{Event, text},
    moonshine::Moonshine,
    onnx::Library,
    pool::StreamConfig,
    recognizer::{Decoder, Recognizer},
    vad::silero::Silero,
};
use tests::{
    fixture::{model, onnx_library, recording, wav_16k},
    latency::{self, Latencies},
    rehearsal::{Cost, Rehearsed, rehearse},
    wer::word_error_rate,
};

/// What is said in `audio/speech`.
const SAID: [(&str, &str); 4] = [
    ("jfk", "And so my fellow Americans ask not what your country can do for you ask what you can do for your country"),
    (
        "sense_and_sensibility_01_austen_64kb-0870",
        "and mister john dashwood had then leisure to consider how much there might be prudently in his power to do \
         for them",
    ),
    ("sense_and_sensibility_01_austen_64kb-0880", "he was not an ill disposed young man"),
    (
        "two_cities_16k",
        "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of \
         foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was \
         the season of Darkness, it was the spring of hope, it was the winter of despair, we had everything before \
         us, we had nothing before us, we were all going direct to Heaven, we were all going direct the other way in \
         short, the period was so far like the present period, that some of its noisiest authorities insisted on its \
         being received, for good or for evil, in the superlative degree of comparison only",
    ),
];

#[test]
fn live_words_are_as_good_as_offline_early_cheap_and_never_retracted() {
    let (mut models, recordings) = match models().and_then(|models| Ok((models, recordings()?))) {
        Ok(found) => found,
        Err(why) => return skip(&why),
    };
    let (mut live_text, mut file_text, mut said) = (String::new(), String::new(), String::new());
    let mut latencies = Latencies::default();
    let (mut seconds, mut decoding_s) = (0.0, 0.0);
    for (words, audio) in &recordings {
        let live = models.rehearse(audio, StreamConfig::default());
        let file = models.rehearse(audio, StreamConfig { partials: false, live: false, ..StreamConfig::default() });
        assert_settled_words_stay(&live);
        latencies.extend(latency::measure(audio, &live.events));
        seconds += audio.len() as f64 / 16_000.0;
        decoding_s += live.decoding.as_secs_f64();
        for (all, more) in
            [(&mut live_text, live.text()), (&mut file_text, file.text()), (&mut said, (*words).to_owned())]
        {
            all.push_str(&more);
            all.push(' ');
        }
    }
    let (live_wer, file_wer) = (word_error_rate(&said, &live_text), word_error_rate(&said, &file_text));
    let (first_s, final_s) = (median(&mut latencies.first_partial), median(&mut latencies.after_pause));
    let cost = decoding_s / seconds;
    println!("word error rate: live {:.1} %, offline {:.1} %", 100.0 * live_wer, 100.0 * file_wer);
    println!("first partial p50 {first_s:.3} s, final p50 {final_s:.3} s, decoding {cost:.3} s per second");
    assert!((live_wer - file_wer).abs() <= 0.005, "live and offline differ\nlive: {live_text}\nfile: {file_text}");
    assert!(file_wer <= 0.12, "offline: {file_text}");
    assert!(first_s <= 0.4, "the first partial comes {first_s} s after the first sound");
    assert!(final_s <= 0.3, "the final comes {final_s} s after the last sound");
    assert!(cost <= 0.15, "one second of speech costs {cost} s of decoding");
}

#[test]
fn ten_minutes_of_noise_and_tones_say_nothing() {
    let mut models = match models() {
        Ok(models) => models,
        Err(why) => return skip(&why),
    };
    for (name, sound) in tests::sounds::nobody_speaks(86.0) {
        let heard = models.rehearse(&sound, StreamConfig::default());
        assert_eq!(heard.text(), "", "{name}");
        let partials = heard.events.iter().filter(|(_, event)| matches!(event, Event::Partial { .. })).count();
        assert_eq!(partials, 0, "{name} showed words for a moment");
    }
}

#[test]
fn settled_words_stay_in_meetings_and_on_the_telephone() {
    let mut models = match models() {
        Ok(models) => models,
        Err(why) => return skip(&why),
    };
    for name in ["meetings/ami_dev00.wav", "meetings/ami_trn01.wav", "meetings/meeting3.wav"] {
        match recording(&format!("audio/{name}")) {
            Ok(path) => assert_settled_words_stay(&models.rehearse(&wav_16k(&path), StreamConfig::default())),
            Err(why) => skip(&why),
        }
    }
}

struct Models {
    silero: Silero,
    decoder: Box<dyn Decoder>,
}

impl Models {
    fn rehearse(&mut self, audio: &[f32], config: StreamConfig) -> Rehearsed {
        rehearse(audio, config, 20, &mut self.silero, self.decoder.as_mut(), Cost::MOONSHINE).expect("the models run")
    }
}

fn models() -> Result<Models, String> {
    let library = Library::open(&onnx_library()?).map_err(|error| error.to_string())?;
    let silero = Silero::load(&library, &model("silero-vad/silero_vad.onnx")?).map_err(|error| error.to_string())?;
    let moonshine = Moonshine::load(&library, &model("moonshine-tiny-en")?).map_err(|error| error.to_string())?;
    Ok(Models { silero, decoder: moonshine.decoder().map_err(|error| error.to_string())? })
}

fn recordings() -> Result<Vec<(&'static str, Vec<f32>)>, String> {
    SAID.iter().map(|(name, words)| Ok((*words, wav_16k(&recording(&format!("audio/speech/{name}.wav"))?)))).collect()
}

fn assert_settled_words_stay(heard: &Rehearsed) {
    let mut settled: Vec<String> = Vec::new();
    for (_, event) in &heard.events {
        match event {
            Event::Partial { words, stable_words, .. } => {
                let now: Vec<String> = words[..*stable_words].iter().map(|word| word.text.clone()).collect();
                assert!(now.starts_with(&settled), "{settled:?} became {:?}", text(words));
                settled = now;
            }
            Event::Final { words, .. } => {
                let said: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
                assert!(said.starts_with(&settled) || settled.starts_with(&said), "{settled:?} became {said:?}");
                settled.drain(..said.len().min(settled.len()));
            }
            _ => {}
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn skip(why: &str) {
    assert!(why.starts_with("skipped"), "{why}");
    println!("{why}");
}
