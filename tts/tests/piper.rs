//! Piper with a network that writes down what it is given, and a program in place of espeak-ng. The real network with
//! a real library is the server's to test: it is the one that brings both together.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tts::{
    espeak::Phonemes,
    piper::{Config, Input, Network, Piper},
    sentence::{self, Part},
    text,
    utterance::{Piece, Prosody, Utterance},
    voice::{Error, Language, Made, Sentence, Voice as _, VoiceId},
};

const JSON: &[u8] = include_bytes!("data/piper/tiny.onnx.json");

/// What a network was given: numbers, scales, speaker.
type Given = Arc<Mutex<Vec<(Vec<i64>, [f32; 3], Option<i64>)>>>;

/// A hundred samples for each number, or what it was told to make.
struct Noted {
    given: Given,
    instead: Option<Result<Vec<f32>, String>>,
}

impl Network for Noted {
    fn run(&mut self, input: &Input<'_>) -> Result<Vec<f32>, String> {
        self.given.lock().expect("nobody panicked").push((input.ids.to_vec(), input.scales, input.speaker));
        self.instead.clone().unwrap_or_else(|| Ok(vec![0.5; 100 * input.ids.len()]))
    }
}

/// A program that says "a" for every line it is given with a letter in it.
fn program(folder: &Path) -> PathBuf {
    let path = folder.join("phonemes");
    fs::write(&path, "#!/bin/sh\ngrep '[a-zA-Z]' | sed 's/.*/a/'\n").expect("a folder to write in");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own file");
    path
}

struct Spoken {
    samples: Vec<f32>,
    words: Vec<usize>,
}

fn speak(voice: &Piper, sentence: &Sentence, stop: &AtomicBool) -> Result<Spoken, Error> {
    let mut spoken = Spoken { samples: Vec::new(), words: Vec::new() };
    voice.speak(sentence, stop, &mut |made| match made {
        Made::Samples(some) => spoken.samples.extend_from_slice(some),
        Made::Word { index, .. } => spoken.words.push(index),
        Made::Instead => {}
    })?;
    Ok(spoken)
}

fn sentence(piece: Piece) -> Sentence {
    let voice = VoiceId { language: Language::GERMAN, ..VoiceId::default() };
    let parts = sentence::cut(text::shape(&Utterance { voice, pieces: vec![piece] }), voice);
    match parts.into_iter().next() {
        Some(Part::Sentence(sentence)) => sentence,
        other => panic!("{other:?}"),
    }
}

fn plain(text: &str) -> Sentence {
    sentence(Piece::Text(text.to_owned()))
}

fn piper(folder: &Path, instead: Option<Result<Vec<f32>, String>>) -> (Piper, Given) {
    let given = Given::default();
    let network = Noted { given: given.clone(), instead };
    let config = Config::parse(JSON).expect("its fixture is whole");
    let phonemes = Phonemes::new(program(folder));
    (Piper::new(config, None, phonemes, vec![Box::new(network)]).expect("a network is enough"), given)
}

#[test]
fn a_sentence_becomes_numbers_and_its_samples_are_heard_with_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let (voice, given) = piper(folder.path(), None);
    let spoken = speak(&voice, &plain("Guten Tag, Herr Stuhl."), &AtomicBool::new(false)).unwrap();
    let given = given.lock().unwrap();
    // "a," and "a.": two clauses of one phrase.
    assert_eq!(given.as_slice(), [(vec![1, 0, 10, 0, 5, 0, 3, 0, 10, 0, 4, 0, 2], [0.667, 1.0, 0.8], None)]);
    assert_eq!((spoken.samples.len(), spoken.words), (1_300, vec![0, 1, 2, 3]));
}

#[test]
fn speed_reaches_the_network_and_loudness_the_samples() {
    let folder = tempfile::tempdir().unwrap();
    let (voice, given) = piper(folder.path(), None);
    let prosody = Prosody { rate: 2.0, volume_db: -20.0, ..Prosody::default() };
    let sentence = sentence(Piece::Prosody(prosody, vec![Piece::Text("schnell und leise".to_owned())]));
    let spoken = speak(&voice, &sentence, &AtomicBool::new(false)).unwrap();
    assert_eq!(given.lock().unwrap()[0].1, [0.667, 0.5, 0.8]);
    assert!(spoken.samples.iter().all(|sample| (sample - 0.05).abs() < 1e-4));
}

#[test]
fn a_network_that_fails_or_makes_nonsense_costs_its_sentence_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (instead, what) in [
        (Err("no memory".to_owned()), "no memory"),
        (Ok(vec![f32::NAN; 10]), "no sound"),
        (Ok(vec![0.0; 121 * 16_000]), "does not stop"),
    ] {
        let (voice, _) = piper(folder.path(), Some(instead));
        let error = speak(&voice, &plain("Guten Tag."), &AtomicBool::new(false)).err().unwrap();
        assert!(error.to_string().contains(what), "{error}");
        // It is idle again: the next sentence is tried at once.
        assert!(speak(&voice, &plain("Guten Tag."), &AtomicBool::new(false)).is_err());
    }
    let (voice, _) = piper(folder.path(), Some(Ok(vec![7.0, -7.0])));
    let spoken = speak(&voice, &plain("Guten Tag."), &AtomicBool::new(false)).unwrap();
    assert_eq!(spoken.samples, [1.0, -1.0]);
}

#[test]
fn a_stop_is_obeyed_between_phrases_and_a_limit_too() {
    let folder = tempfile::tempdir().unwrap();
    let (voice, given) = piper(folder.path(), None);
    let stop = AtomicBool::new(true);
    assert_eq!(speak(&voice, &plain("Guten Tag."), &stop).err(), Some(Error::Stopped));
    assert!(given.lock().unwrap().is_empty());
    stop.store(false, Ordering::Relaxed);
    let voice = voice.within(Duration::ZERO);
    assert_eq!(speak(&voice, &plain("Guten Tag."), &stop).err(), Some(Error::TimedOut(0)));
}

#[test]
fn a_program_for_sounds_that_is_missing_or_misbehaves_is_said_so() {
    let with = |program: &Path, within| {
        let network = Noted { given: Given::default(), instead: None };
        let phonemes = Phonemes::new(program).within(within);
        Piper::new(Config::parse(JSON).unwrap(), None, phonemes, vec![Box::new(network)]).unwrap()
    };
    let missing = with(Path::new("/nonexistent"), Duration::from_secs(1));
    assert!(matches!(missing.ready(), Err(Error::Missing { .. })));
    let folder = tempfile::tempdir().unwrap();
    let path = program(folder.path());
    for (script, expected) in
        [("exec tail -f /dev/null", "took longer"), ("exec cat /dev/zero", "does not stop"), ("exit 3", "")]
    {
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        let voice = with(&path, Duration::from_millis(400));
        match speak(&voice, &plain("Guten Tag."), &AtomicBool::new(false)) {
            Err(error) => assert!(error.to_string().contains(expected), "{script}: {error}"),
            // Nothing is known of how it sounds, so nothing is heard.
            Ok(spoken) => assert!(expected.is_empty() && spoken.samples.is_empty(), "{script}"),
        }
    }
}

#[test]
fn sounds_of_the_real_program_are_words_of_both_languages() {
    let phonemes = Phonemes::default();
    let stop = AtomicBool::new(false);
    let texts = ["Guten", "vierzehn Uhr dreißig,", "–", "a. b", "heute."];
    let sounds = match phonemes.of(&texts, Language::GERMAN, &stop) {
        Err(Error::Missing { what, .. }) => return println!("skipped: {what} is not installed"),
        sounds => sounds.unwrap(),
    };
    assert_eq!(sounds[0], "ɡˈuːtən");
    assert_eq!(sounds[1].split(' ').count(), 3, "{sounds:?}");
    assert_eq!(sounds[2], "");
    assert!(sounds[4].starts_with('h'), "{sounds:?}");
    let english = phonemes.of(&["this"], Language::ENGLISH_US, &stop).unwrap();
    assert!(english[0].contains('ð'), "{english:?}");
}
