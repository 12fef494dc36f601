//! The real espeak-ng where it is installed, and programs in its place that do what no program should.

#![expect(clippy::print_stdout, reason = "a skipped test says why")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use media::dsp::level::rms_dbfs;
use tts::{
    espeak::{Espeak, Phonemes},
    sentence::{self, Part},
    text,
    utterance::{Emphasis, Piece, Prosody, Utterance},
    viseme::Viseme,
    voice::{Error, Language, Made, Sentence, Speaker, Voice as _, VoiceId, Word},
    worker::{Options, Said, Voices},
};

/// The voice, or why it is skipped.
fn espeak() -> Option<Espeak> {
    let espeak = Espeak::default();
    match espeak.ready() {
        Ok(()) => Some(espeak),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

fn voice(language: Language) -> VoiceId {
    VoiceId { language, speaker: Speaker::Woman }
}

fn first_sentence(pieces: Vec<Piece>, voice: VoiceId) -> Sentence {
    let parts = sentence::cut(text::shape(&Utterance { voice, pieces }), voice);
    match parts.into_iter().next() {
        Some(Part::Sentence(sentence)) => sentence,
        other => panic!("{other:?}"),
    }
}

fn plain(text: &str, voice: VoiceId) -> Sentence {
    first_sentence(vec![Piece::Text(text.to_owned())], voice)
}

fn spoken(espeak: &Espeak, sentence: &Sentence) -> Result<(Vec<f32>, Vec<u64>), Error> {
    let (mut samples, mut places) = (Vec::new(), Vec::new());
    espeak.speak(sentence, &AtomicBool::new(false), &mut |made| match made {
        Made::Samples(some) => samples.extend_from_slice(some),
        Made::Word { at_sample, .. } => places.push(at_sample),
        Made::Instead => panic!("nobody else speaks"),
    })?;
    Ok((samples, places))
}

/// The longest silence inside, in milliseconds.
fn longest_gap_ms(samples: &[f32], rate_hz: u32) -> usize {
    let frame = rate_hz as usize / 100;
    let quiet: Vec<bool> = samples.chunks(frame).map(|now| rms_dbfs(now) < -60.0).collect();
    let (first, last) = (quiet.iter().position(|quiet| !quiet), quiet.iter().rposition(|quiet| !quiet));
    let inside = &quiet[first.expect("it sounds")..=last.expect("it sounds")];
    10 * inside.split(|quiet| !quiet).map(<[bool]>::len).max().unwrap_or(0)
}

#[test]
fn german_and_english_have_the_length_the_level_and_no_gaps_that_speech_has() {
    let Some(espeak) = espeak() else { return };
    for (text, language) in [
        ("Willkommen bei der Praxis Doktor Schneider", Language::GERMAN),
        ("Bitte hinterlassen Sie nach dem Signalton eine Nachricht", Language::GERMAN),
        ("Thank you for calling the office of Doctor Jones", Language::ENGLISH_US),
    ] {
        for speaker in [Speaker::Man, Speaker::Woman] {
            let sentence = plain(text, VoiceId { language, speaker });
            let (samples, places) = spoken(&espeak, &sentence).unwrap();
            let rate_hz = espeak.info().rate_hz;
            let seconds = samples.len() as f32 / rate_hz as f32;
            // People speak 12 to 20 letters a second.
            let rate = text.chars().count() as f32 / seconds;
            assert!((10.0..24.0).contains(&rate), "{text}: {rate} letters a second");
            let level = rms_dbfs(&samples);
            assert!((-24.0..-12.0).contains(&level), "{text}: {level} dBFS");
            assert!(samples.iter().all(|sample| sample.abs() < 0.99), "{text}: distorted");
            let gap_ms = longest_gap_ms(&samples, rate_hz);
            assert!(gap_ms < 150, "{text}: {gap_ms} ms of silence");
            assert_eq!(places.len(), sentence.words.len());
            assert!(places.is_sorted() && *places.last().unwrap() < samples.len() as u64, "{places:?}");
        }
    }
}

#[test]
fn a_mouth_moves_with_the_words_also_when_they_come_from_memory() {
    let Some(espeak) = espeak() else { return };
    let options = Options { workers: 1, visemes: Some(Phonemes::default()), ..Options::default() };
    let voices = Voices::start(Arc::new(espeak), options).unwrap();
    let utterance = Utterance::plain(voice(Language::GERMAN), "Mama fährt um 14:30 Uhr. Bis dann.");
    let told = || {
        let mut speech = voices.speak(&utterance, 48_000).unwrap();
        let (mut words, mut shapes, mut samples) = (Vec::new(), Vec::new(), 0);
        while let Some(said) = speech.next_blocking() {
            match said {
                Said::Samples { samples: some, .. } => samples += some.len() as u64,
                Said::Word { at_sample, .. } => words.push(at_sample),
                Said::Viseme { viseme, at_sample, samples, .. } => shapes.push((viseme, at_sample, samples)),
                Said::Finished { .. } => {}
                said => panic!("{said:?}"),
            }
        }
        (words, shapes, samples)
    };
    let (words, shapes, samples) = told();
    let mouth: Vec<Viseme> = shapes.iter().map(|(viseme, ..)| *viseme).take(4).collect();
    assert_eq!(mouth, [Viseme::Pp, Viseme::Aa, Viseme::Pp, Viseme::Aa], "Mama");
    assert!(shapes.iter().all(|(_, at, length)| *length > 0 && at + length <= samples));
    assert!(shapes.windows(2).all(|pair| pair[0].1 + pair[0].2 <= pair[1].1), "{shapes:?}");
    assert!(words.iter().all(|word| shapes.iter().any(|(_, at, _)| at == word)), "each word begins with a shape");
    assert_eq!(told(), (words, shapes, samples));
    assert_eq!(voices.stats().recalled, 2);
}

#[test]
fn speed_loudness_and_language_are_heard() {
    let Some(espeak) = espeak() else { return };
    let sound = |piece: Piece| spoken(&espeak, &first_sentence(vec![piece], voice(Language::GERMAN))).unwrap().0;
    let text = || vec![Piece::Text("Guten Tag, meine Damen und Herren".to_owned())];
    let plain = sound(text().remove(0));
    let slow = sound(Piece::Prosody(Prosody { rate: 0.5, ..Prosody::default() }, text()));
    assert!(slow.len() * 10 > plain.len() * 14, "{} and {}", slow.len(), plain.len());
    let soft = sound(Piece::Prosody(Prosody { volume_db: -12.0, ..Prosody::default() }, text()));
    let softer_db = rms_dbfs(&plain) - rms_dbfs(&soft);
    assert!((8.0..16.0).contains(&softer_db), "{softer_db} dB");
    let strong = sound(Piece::Emphasis(Emphasis::Strong, text()));
    assert!(strong.len() > plain.len() && rms_dbfs(&strong) >= rms_dbfs(&plain) - 0.5);
    assert!(strong.iter().all(|sample| sample.abs() < 0.99), "distorted");
    let english = sound(Piece::Lang(Language::ENGLISH_US, text()));
    assert_ne!(english, plain);
}

#[test]
fn markup_and_phoneme_notation_of_a_caller_are_read_as_text() {
    let Some(espeak) = espeak() else { return };
    // Handed over as they are, past the shaping that would take them out: the voice itself must not obey.
    let sentence = |spoken: &str| Sentence {
        voice: voice(Language::ENGLISH_US),
        words: vec![Word { written: String::new(), spoken: spoken.to_owned(), how: tts::voice::How::default() }],
    };
    let length = |text: &str| spoken(&espeak, &sentence(text)).unwrap().0.len();
    let hello = length("hello");
    assert!(length("hello <break time=\"9s\"/>") < hello + 3 * 22_050);
    assert!(length("hello <audio src=\"/etc/passwd\"/>") > hello);
    assert!(length("hello [[h@l'oU]]") > hello);
    assert!(length("--help; $(reboot) `x` | hello") > hello);
}

#[test]
fn a_voice_that_spoke_before_has_a_spare_and_nothing_is_left_of_any_process() {
    let Some(espeak) = espeak() else { return };
    let before = children();
    for _ in 0..3 {
        spoken(&espeak, &plain("Guten Tag.", voice(Language::GERMAN))).unwrap();
    }
    // Its spare, and the one that `ready` started.
    assert!(children().len() <= before.len() + 2, "{:?}", children());
    drop(espeak);
    let left: Vec<_> = children().into_iter().filter(|child| !before.contains(child)).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_spare_that_somebody_killed_costs_nothing() {
    let Some(espeak) = espeak() else { return };
    let before = children();
    espeak.warm(voice(Language::GERMAN)).unwrap();
    for child in children().into_iter().filter(|child| !before.contains(child)) {
        let killed = std::process::Command::new("kill").args(["-9", &child.to_string()]).status();
        assert!(killed.unwrap().success());
    }
    let (samples, _) = spoken(&espeak, &plain("Guten Tag.", voice(Language::GERMAN))).unwrap();
    assert!(samples.len() > 10_000);
}

/// Processes whose parent this is, the dead among them.
fn children() -> Vec<u32> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok) {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        if after_name.split_whitespace().nth(1) == Some(&own) {
            found.push(id);
        }
    }
    found
}

/// A program that stands in for espeak-ng.
fn program(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("voice");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("the folder takes a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it may be run");
    path
}

const HEADER: &str =
    r"printf 'RIFF\0\0\0\0WAVEfmt \020\0\0\0\001\0\001\0\042\126\0\0\104\254\0\0\002\0\020\0data\0\0\0\0'";

fn outcome(script: &str) -> Result<usize, Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let espeak = Espeak::new(program(folder.path(), script)).within(Duration::from_millis(400));
    let before = children();
    let result = spoken(&espeak, &plain("Guten Tag.", voice(Language::GERMAN))).map(|(samples, _)| samples.len());
    drop(espeak);
    let left: Vec<_> = children().into_iter().filter(|child| !before.contains(child)).collect();
    assert!(left.is_empty(), "{script}: {left:?}");
    result
}

#[test]
fn programs_that_misbehave_are_ended_and_said_to() {
    let speaks = format!("cat >/dev/null; {HEADER}; printf 'abcdef'");
    assert_eq!(outcome(&speaks), Ok(3));
    for (script, what) in [
        ("exit 3".to_owned(), ""),
        ("cat >/dev/null; exit 1".to_owned(), "ended with"),
        ("cat >/dev/null".to_owned(), "says nothing"),
        (format!("cat >/dev/null; {HEADER}; printf 'abcdef'; kill -6 $$"), "ended with"),
        ("cat >/dev/null; head -c 100 /dev/zero".to_owned(), "0 Hz"),
        ("cat >/dev/null; printf 'Segmentation fault, and a long story about it all'".to_owned(), "Hz"),
        (format!("cat >/dev/null; {HEADER}; cat /dev/zero"), "does not stop"),
    ] {
        match outcome(&script) {
            Err(Error::Failed(why)) => assert!(why.contains(what), "{script}: {why}"),
            other => panic!("{script}: {other:?}"),
        }
    }
    assert_eq!(outcome("exec tail -f /dev/null"), Err(Error::TimedOut(400)));
    assert_eq!(outcome(&format!("cat >/dev/null; {HEADER}; exec tail -f /dev/null")), Err(Error::TimedOut(400)));
}

#[test]
fn a_program_that_is_missing_says_what_to_install() {
    let espeak = Espeak::new("/nonexistent/espeak-ng");
    let error = espeak.ready().unwrap_err();
    assert!(error.to_string().contains("apt-get install espeak-ng"), "{error}");
    let voices = Voices::start(Arc::new(espeak), Options::default()).unwrap();
    let mut speech = voices.speak(&Utterance::plain(VoiceId::default(), "Hello."), 48_000).unwrap();
    assert!(matches!(speech.next_blocking(), Some(Said::Failed { error: Error::Missing { .. }, .. })));
    assert_eq!(speech.next_blocking(), None);
}

#[test]
fn a_program_that_hangs_is_killed_as_soon_as_it_is_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let espeak =
        Espeak::new(program(folder.path(), &format!("cat >/dev/null; {HEADER}; printf ab; exec tail -f /dev/null")));
    let stop = AtomicBool::new(false);
    let before = children();
    let answer = espeak.speak(&plain("Guten Tag.", voice(Language::GERMAN)), &stop, &mut |made| {
        // The first sample has come: nobody wants more.
        if matches!(made, Made::Samples(some) if !some.is_empty()) {
            stop.store(true, Ordering::Relaxed);
        }
    });
    assert_eq!(answer, Err(Error::Stopped));
    let left: Vec<_> = children().into_iter().filter(|child| !before.contains(child)).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn nothing_of_the_environment_reaches_the_program() {
    let Ok(path) = std::env::var("PATH") else { return };
    assert!(!path.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let espeak =
        Espeak::new(program(folder.path(), &format!("[ -e {0} ] || env > {0}; exec cat >/dev/null", seen.display())));
    let _ = spoken(&espeak, &plain("Guten Tag.", voice(Language::GERMAN)));
    let seen = fs::read_to_string(seen).unwrap();
    let names: Vec<_> = seen.lines().filter_map(|line| line.split('=').next()).collect();
    // What a shell sets by itself.
    let own = ["PATH", "ESPEAK_DATA_PATH", "PWD", "SHLVL", "_", "OLDPWD"];
    assert!(names.iter().all(|name| own.contains(name)), "{names:?}");
}
