//! The two sides of every guard: sounds that are no speech give no words, quiet speech keeps all of its.
//!
//! Every window is decoded, also where no gate would have opened, so that the judge is asked the hard way.

mod fixture;

use std::{
    f32::consts::TAU,
    sync::{Arc, atomic::AtomicBool},
    thread,
};

use asr::{
    event::{self, Event},
    hallucination::{Evidence, Verdict, judge, peak_level_db},
    moonshine::Moonshine,
    pool::{Ears, Options, StreamConfig},
    recognizer::{Decoder, Hints, Recognizer as _},
    vad::silero::{Silero, State, WINDOW_SAMPLES, Window},
};

const RATE_HZ: usize = 16_000;
const LONG_SAMPLES: usize = 64 * RATE_HZ;

/// One decoded window and what was made of it.
struct Judged {
    text: String,
    verdict: Verdict,
    speech_s: f32,
    evidence: String,
}

/// Decodes a recording in windows of a length and judges each.
fn judged(silero: &mut Silero, decoder: &mut dyn Decoder, audio: &[f32], window_s: usize) -> Vec<Judged> {
    let mut state = State::default();
    audio
        .chunks(window_s * RATE_HZ)
        .map(|audio| {
            let scores: Vec<f32> = audio
                .as_chunks::<WINDOW_SAMPLES>()
                .0
                .iter()
                .map(|samples| {
                    let mut window = Window { state: &mut state, samples, speech: 0.0 };
                    silero.score(std::slice::from_mut(&mut window)).expect("scores");
                    window.speech
                })
                .collect();
            let heard = decoder.decode(audio, &Hints::default(), &AtomicBool::new(false)).expect("decodes");
            let text = heard.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
            let evidence = Evidence {
                text: &text,
                mean_logprob: heard.mean_logprob,
                no_speech: heard.no_speech,
                window_s: audio.len() as f32 / RATE_HZ as f32,
                speech_s: scores.iter().filter(|&&score| score >= 0.5).count() as f32 * 0.032,
                speech_peak: scores.iter().copied().fold(0.0, f32::max),
                level_db: peak_level_db(audio),
            };
            let (verdict, speech_s, evidence) = (judge(&evidence), evidence.speech_s, format!("{evidence:?}"));
            Judged { text, verdict, speech_s, evidence }
        })
        .collect()
}

/// White noise in [-1, 1], the same on every run.
fn white() -> impl FnMut() -> f32 {
    let mut seed = 12_345u32;
    move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    }
}

fn sound(of: impl FnMut(usize) -> f32) -> Vec<f32> {
    (0..LONG_SAMPLES).map(of).collect()
}

fn tone(n: usize, hz: f32) -> f32 {
    // The phase is reduced first: at a minute's sample numbers f32 has no precision left for it.
    ((n as f64 * f64::from(hz) / RATE_HZ as f64).fract() as f32 * TAU).sin()
}

/// Sounds of telephones and rooms that nobody speaks in, a minute of each.
fn speechless() -> Vec<(&'static str, Vec<f32>)> {
    let (mut a, mut b) = (white(), white());
    let mut brown = [0.0f32; 3];
    let digits = [(697.0, 1209.0), (770.0, 1336.0), (852.0, 1477.0), (941.0, 1336.0), (697.0, 1477.0)];
    let tune = [262.0, 330.0, 392.0, 523.0, 392.0, 330.0, 294.0, 349.0, 440.0, 587.0, 440.0, 349.0f32];
    vec![
        ("silence", vec![0.0; LONG_SAMPLES]),
        ("white noise", sound(|_| 0.05 * a())),
        (
            "pink noise",
            sound(|_| {
                let white = b();
                brown[0] = 0.997 * brown[0] + 0.029 * white;
                brown[1] = 0.963 * brown[1] + 0.032 * white;
                brown[2] = 0.57 * brown[2] + 0.048 * white;
                0.3 * (brown[0] + brown[1] + brown[2])
            }),
        ),
        ("50 Hz hum", sound(|n| 0.1 * tone(n, 50.0) + 0.03 * tone(n, 100.0) + 0.02 * tone(n, 150.0))),
        ("425 Hz ringback", sound(|n| if n % (5 * RATE_HZ) < RATE_HZ { 0.2 * tone(n, 425.0) } else { 0.0 })),
        (
            "440 and 480 Hz ringback",
            sound(|n| if n % (6 * RATE_HZ) < 2 * RATE_HZ { 0.1 * (tone(n, 440.0) + tone(n, 480.0)) } else { 0.0 }),
        ),
        (
            "DTMF",
            sound(|n| {
                let (low, high) = digits[n / 3200 % digits.len()];
                if n % 3200 < 1600 { 0.2 * (tone(n, low) + tone(n, high)) } else { 0.0 }
            }),
        ),
        (
            "hold tune",
            sound(|n| {
                let hz = tune[n / 6400 % tune.len()];
                let fade = (1.0 - (n % 6400) as f32 / 6400.0).powi(2);
                fade * (0.2 * tone(n, hz) + 0.1 * tone(n, 2.0 * hz) + 0.05 * tone(n, 3.0 * hz))
            }),
        ),
    ]
}

#[test]
fn a_minute_of_each_sound_that_is_no_speech_gives_no_words() {
    let (Some((library, model)), Some((_, folder))) = (fixture::silero(), fixture::moonshine()) else { return };
    let mut silero = Silero::load(&library, &model).expect("loads");
    let moonshine = Moonshine::load(&library, &folder).expect("loads");
    let mut decoder = moonshine.decoder().expect("a decoder");
    for (what, audio) in speechless() {
        let judged = judged(&mut silero, decoder.as_mut(), &audio, 8);
        let invented = judged.iter().filter(|window| !window.text.is_empty()).count();
        println!("{what}: text invented in {invented} of {} windows", judged.len());
        for window in judged.iter().filter(|window| !window.text.is_empty()) {
            assert!(matches!(window.verdict, Verdict::Drop(_)), "{what}: {}", window.evidence);
        }
    }
}

/// Four seconds each of what rooms and lines put in between, as loud as they come.
fn noises() -> Vec<(&'static str, Vec<f32>)> {
    const SAMPLES: usize = 4 * RATE_HZ;
    let short = |of: &mut dyn FnMut(usize) -> f32| (0..SAMPLES).map(of).collect::<Vec<f32>>();
    let (mut a, mut b, mut c, mut d) = (white(), white(), white(), white());
    let (mut throat, mut air, mut siren, mut bits) = (0.0f32, 0.0f32, 0.0f64, 0.0f64);
    let swing = |phase: f64| (phase.fract() as f32 * TAU).sin();
    let keys = [(697.0, 1209.0), (770.0, 1336.0), (852.0, 1477.0), (941.0, 1336.0)];
    let chords = [[262.0, 330.0, 392.0], [294.0, 349.0, 440.0], [247.0, 294.0, 392.0], [262.0, 330.0, 523.0f32]];
    vec![
        ("white noise", short(&mut |_| 0.5 * a())),
        (
            "hum",
            short(&mut |n| 0.4 * tone(n, 50.0) + 0.15 * tone(n, 100.0) + 0.1 * tone(n, 150.0) + 0.05 * tone(n, 250.0)),
        ),
        (
            "coughs",
            short(&mut |n| {
                throat = 0.6 * throat + 0.4 * b();
                let at = (n % RATE_HZ) as f32;
                if at < 4_800.0 { 2.5 * throat * (at / 400.0).min(1.0) * (-at / 1_600.0).exp() } else { 0.0 }
            }),
        ),
        ("a keyboard", short(&mut |n| if n % 2_900 < 60 { 0.6 * c() } else { 0.0 })),
        (
            "wind",
            short(&mut |n| {
                air = 0.98 * air + 0.02 * d();
                6.0 * air * (0.6 + 0.4 * tone(n, 0.3))
            }),
        ),
        (
            "a siren",
            short(&mut |n| {
                siren += f64::from(900.0 + 400.0 * tone(n, 0.7)) / RATE_HZ as f64;
                0.5 * swing(siren)
            }),
        ),
        ("a fax that calls", short(&mut |n| if n % 48_000 < 8_000 { 0.4 * tone(n, 1_100.0) } else { 0.0 })),
        ("a fax that answers", short(&mut |n| 0.4 * tone(n, 2_100.0))),
        (
            "a fax that talks",
            short(&mut |n| {
                let hz = if (n / 53).is_multiple_of(2) { 1_650.0 } else { 1_850.0 };
                bits += hz / RATE_HZ as f64;
                0.4 * swing(bits)
            }),
        ),
        (
            "chords",
            short(&mut |n| {
                let fade = (-((n % RATE_HZ) as f32) / 9_000.0).exp();
                let sound = |hz: f32| 0.2 * tone(n, hz) + 0.08 * tone(n, 2.0 * hz) + 0.03 * tone(n, 3.0 * hz);
                fade * chords[n / RATE_HZ % chords.len()].map(sound).iter().sum::<f32>()
            }),
        ),
        (
            "keys",
            short(&mut |n| {
                let (low, high) = keys[n / 3_200 % keys.len()];
                if n % 3_200 < 1_600 { 0.3 * (tone(n, low) + tone(n, high)) } else { 0.0 }
            }),
        ),
    ]
}

/// The words of a file, as its listener believes them.
fn believed(ears: &Ears, audio: &[f32]) -> String {
    let config = StreamConfig { partials: false, live: false, ..StreamConfig::default() };
    let (mut input, mut events) = ears.open(config).expect("a place");
    let mut said = Vec::new();
    thread::scope(|scope| {
        scope.spawn(move || {
            input.push_blocking(audio).expect("the stream is open");
            input.finish();
        });
        while let Some(event) = events.next_blocking() {
            if let Event::Final { words, .. } = event {
                said.push(event::text(&words));
            }
        }
    });
    said.join(" ").trim().to_owned()
}

#[test]
fn noises_of_rooms_and_lines_give_no_words_at_any_level() {
    let (Some((library, model)), Some((_, folder))) = (fixture::silero(), fixture::moonshine()) else { return };
    let silero = Silero::load(&library, &model).expect("loads");
    let moonshine = Moonshine::load(&library, &folder).expect("loads");
    let ears = Ears::start(Arc::new(moonshine), silero, Options { workers: 1, streams_max: 1 }).expect("starts");
    for (what, noise) in noises() {
        for level in [1.0, 0.1, 0.01] {
            let noise: Vec<f32> = noise.iter().map(|sample| sample * level).collect();
            assert_eq!(believed(&ears, &noise), "", "{what}, {level} of full");
        }
    }
}

#[test]
fn quiet_speech_keeps_its_words() {
    let (Some((library, model)), Some((_, folder))) = (fixture::silero(), fixture::moonshine()) else { return };
    let mut silero = Silero::load(&library, &model).expect("loads");
    let moonshine = Moonshine::load(&library, &folder).expect("loads");
    let mut decoder = moonshine.decoder().expect("a decoder");
    for (name, window_s) in [("jfk", 3), ("two_cities_16k", 11), ("sense_and_sensibility_01_austen_64kb-0880", 3)] {
        let Some(audio) = fixture::speech(&format!("speech/{name}.wav")) else { return };
        let quiet: Vec<f32> = audio.iter().map(|sample| sample * 0.01).collect();
        let loud = judged(&mut silero, decoder.as_mut(), &audio, window_s);
        let quiet = judged(&mut silero, decoder.as_mut(), &quiet, window_s);
        // Where somebody speaks is decided at full volume; the tail of a recording may hold nobody.
        for (loud, quiet) in loud.iter().zip(&quiet).filter(|(loud, _)| loud.speech_s > 0.5) {
            for window in [loud, quiet] {
                assert_eq!(window.verdict, Verdict::Keep, "{name}: {}", window.evidence);
                assert!(!window.text.is_empty(), "{name}: nothing was heard");
            }
        }
    }
}
