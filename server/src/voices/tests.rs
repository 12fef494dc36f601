use std::{path::PathBuf, sync::atomic::AtomicBool};

use tts::{
    piper::Network as _,
    utterance::Utterance,
    voice::{How, Made, Sentence, VoiceId, Word},
    worker::Said,
};

use super::*;

/// The tiny graphs that `make.py` beside them writes: each number becomes 64 samples that tell what was given.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tts/tests/data/piper").join(name)
}

/// The library where it was fetched.
fn library() -> Option<Library> {
    let store = Store::open(models::folder(None, None).ok()?);
    match store.library() {
        Ok(path) => Some(Library::open(&path).expect("the library loads")),
        Err(missing) => {
            println!("skipped: {missing}");
            None
        }
    }
}

fn onnx(library: &Library, name: &str, speaker: Option<i64>) -> Result<Onnx, asr::recognizer::Error> {
    let path = file(name);
    Onnx::load(library, &path, &fs::read(&path).unwrap(), speaker)
}

#[test]
fn a_graph_is_given_its_tensors_in_its_order() {
    let Some(library) = library() else { return };
    let mut network = onnx(&library, "tiny.onnx", None).unwrap();
    let input = piper::Input { ids: &[1, 0, 10, 2], scales: [0.5, 2.0, 0.25], speaker: None };
    let samples = network.run(&input).unwrap();
    assert_eq!(samples.len(), 4 * 64);
    // Number × length × count.
    let expected = [8.0, 0.0, 80.0, 16.0];
    assert!(samples.chunks(64).zip(expected).all(|(held, expected)| held.iter().all(|s| s * 65_536.0 == expected)));
    let mut network = onnx(&library, "tiny-speakers.onnx", Some(0)).unwrap();
    let samples = network.run(&piper::Input { speaker: Some(4), ..input }).unwrap();
    assert_eq!(samples[128] * 65_536.0, 400.0, "five times as loud");
}

#[test]
fn a_graph_of_another_kind_or_a_damaged_one_is_refused_in_one_line() {
    let Some(library) = library() else { return };
    let whole = fs::read(file("tiny.onnx")).unwrap();
    let damaged = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        bytes
    };
    let cases = [
        (Vec::new(), None),
        (b"<html>404</html>".to_vec(), None),
        (damaged(&|bytes| bytes.truncate(300)), None),
        (damaged(&|bytes| bytes[200..260].fill(0xff)), None),
        // A voice with speakers where the JSON knows none, and the other way round.
        (fs::read(file("tiny-speakers.onnx")).unwrap(), None),
        (whole.clone(), Some(0)),
    ];
    for (at, (bytes, speaker)) in cases.into_iter().enumerate() {
        let error = Onnx::load(&library, Path::new("voice.onnx"), &bytes, speaker).err().expect("it is refused");
        let shown = error.to_string();
        assert!(shown.contains("voice.onnx") && shown.lines().count() == 1, "{at}: {shown}");
    }
}

#[test]
fn a_voice_speaks_from_its_files_and_says_what_is_wrong_with_them() {
    let Some(library) = library() else { return };
    let voice = load(&library, &file("tiny.onnx"), &file("tiny.onnx.json"), None, 2).unwrap();
    if let Err(why) = voice.ready() {
        return println!("skipped: {why}");
    }
    let word = |spoken: &str| Word { written: spoken.to_owned(), spoken: spoken.to_owned(), how: How::default() };
    let id = VoiceId { language: Language::GERMAN, ..VoiceId::default() };
    let sentence = Sentence { voice: id, words: vec![word("Guten"), word("Tag.")] };
    let (mut samples, mut words) = (0, 0);
    voice
        .speak(&sentence, &AtomicBool::new(false), &mut |made| match made {
            Made::Samples(some) => samples += some.len(),
            Made::Word { .. } => words += 1,
            Made::Instead => {}
        })
        .unwrap();
    // ^ _ and $, and of "ɡˈuːtən tˈɑːk." two numbers for each sign.
    assert_eq!((samples % 64, words), (0, 2));
    assert!((20 * 64..60 * 64).contains(&samples), "{samples}");

    let json = load(&library, &file("tiny.onnx"), &file("make.py"), None, 1).err().unwrap().to_string();
    assert!(json.contains("make.py") && json.lines().count() == 1, "{json}");
    let missing = load(&library, &file("none.onnx"), &file("tiny.onnx.json"), None, 1).err().unwrap().to_string();
    assert!(missing.contains("none.onnx") && missing.lines().count() == 1, "{missing}");
}

#[test]
fn a_voice_that_was_put_into_its_folder_is_found_and_spoken_with() {
    let Some(_library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let put = |model: &str, name: &str, from: PathBuf| {
        let into = folder.path().join(model);
        fs::create_dir_all(&into).unwrap();
        fs::copy(from, into.join(name)).unwrap();
    };
    let fetched = Store::open(models::folder(None, None).unwrap());
    let runtime = fetched.library().unwrap();
    put("onnxruntime", runtime.file_name().unwrap().to_str().unwrap(), runtime.clone());
    put("piper-tiny", "tiny.onnx", file("tiny.onnx"));
    put("piper-tiny", "tiny.onnx.json", file("tiny.onnx.json"));
    if std::env::var_os("HARMONY_MODELS_DIR").is_some() {
        return println!("skipped: HARMONY_MODELS_DIR names another folder");
    }
    let text = format!(
        "[models]\ndir = {:?}\n[[tts.languages]]\nlanguage = \"de\"\nengine = \"piper\"\nvoice = \"tiny\"\n",
        folder.path()
    );
    let config = Config::parse(Path::new("test.toml"), &text, []).unwrap();
    let voices = start(&config).unwrap();
    // espeak-ng speaks the rest, at 22,050 Hz; the tiny voice is heard at that rate too.
    assert_eq!((voices.info().engine, voices.info().rate_hz), ("several", 22_050));
    let id = VoiceId { language: Language::GERMAN, ..VoiceId::default() };
    let mut speech = voices.speak(&Utterance::plain(id, "Guten Tag."), 16_000).unwrap();
    let mut last = None;
    while let Some(said) = speech.next_blocking() {
        last = Some(said);
    }
    assert!(matches!(last, Some(Said::Finished { .. } | Said::Failed { .. })), "{last:?}");
    let unknown = Config::parse(Path::new("t"), &text.replace("\"tiny\"", "\"nobody\""), []).unwrap();
    assert!(matches!(start(&unknown), Err(Broken::Model(Unusable::Unknown { .. }))));
}
