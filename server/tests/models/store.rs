//! What the store lets through and what it refuses, on files that the tests write.

use std::{
    fs::{self, File},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use asr::diarize::VoiceKind;
use server::models::{Depth, Manifest, State, Store, Unusable, Whisper};
use sha2::Digest as _;

const CONTENT: &[u8] = b"weights of a voice detector";

#[test]
fn a_missing_model_is_one_line_that_names_the_command() {
    let store = Store::open("/nonexistent/models");
    let missing = store.silero().unwrap_err();
    assert!(matches!(missing, Unusable::Missing { .. }), "{missing}");
    let line = missing.to_string();
    assert!(line.contains("`harmony models fetch silero-vad`") && line.contains("/nonexistent/models"), "{line}");
    assert_eq!(store.whisper(None), Ok(None));
    assert!(store.survey(Depth::Full).iter().all(|found| found.state == State::Missing));
}

#[test]
fn a_file_of_the_wrong_size_is_refused() {
    let shelf = Shelf::new();
    shelf.write(&CONTENT[1..]);
    let refused = shelf.store.silero().unwrap_err();
    assert!(refused.to_string().contains("26 bytes instead of 27"), "{refused}");
    shelf.write(CONTENT);
    assert_eq!(shelf.store.silero().unwrap(), shelf.file());
}

#[test]
fn a_flipped_bit_is_refused_though_the_size_is_right() {
    let shelf = Shelf::new();
    shelf.write(CONTENT);
    shelf.touch(1);
    assert_eq!(shelf.store.silero().unwrap(), shelf.file());
    let mut flipped = CONTENT.to_vec();
    flipped[10] ^= 1;
    shelf.write(&flipped);
    shelf.touch(2);
    let refused = shelf.store.silero().unwrap_err();
    assert!(matches!(refused, Unusable::Damaged { .. }), "{refused}");
    assert!(refused.to_string().contains("`harmony models fetch silero-vad`"), "{refused}");
    assert_eq!(refused.to_string().lines().count(), 1);
}

#[test]
fn a_verified_file_is_not_hashed_again_until_it_changes() {
    let shelf = Shelf::new();
    shelf.write(CONTENT);
    shelf.touch(1);
    shelf.store.silero().unwrap();
    // Content that changes behind the back of the clock tells whether it was read.
    let mut flipped = CONTENT.to_vec();
    flipped[10] ^= 1;
    shelf.write(&flipped);
    shelf.touch(1);
    assert!(shelf.store.silero().is_ok(), "it was hashed again");
    let model = shelf.store.manifest().model("silero-vad").unwrap();
    assert!(matches!(shelf.store.state(model, Depth::Full), State::Damaged { .. }), "a full look hashes");
}

#[test]
fn a_broken_stamp_file_only_costs_a_hash() {
    let shelf = Shelf::new();
    shelf.write(CONTENT);
    for broken in ["", "{", "[1]", "{\"silero-vad/silero_vad.onnx\":{\"bytes\":27}}"] {
        fs::write(shelf.dir.path().join(".verified"), broken).unwrap();
        assert!(shelf.store.silero().is_ok(), "{broken}");
    }
}

#[test]
fn a_stamp_of_another_release_is_not_trusted() {
    let shelf = Shelf::new();
    shelf.write(CONTENT);
    shelf.store.silero().unwrap();
    let mut other = CONTENT.to_vec();
    other.reverse();
    let newer = Store::with_manifest(shelf.dir.path(), Arc::new(listed("silero-vad", "silero_vad.onnx", &other)));
    assert!(matches!(newer.silero(), Err(Unusable::Damaged { .. })), "the list asks for other content now");
}

#[test]
fn a_folder_in_the_place_of_a_file_is_refused() {
    let shelf = Shelf::new();
    fs::create_dir_all(shelf.file()).unwrap();
    assert!(matches!(shelf.store.silero(), Err(Unusable::Damaged { .. })));
}

#[test]
fn whisper_is_the_named_one_or_the_largest_present() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: usize| {
        let path = dir.path().join(format!("whisper-{name}/ggml-{name}.bin"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, vec![0; bytes]).unwrap();
        path
    };
    let store = Store::open(dir.path());
    let own = Whisper { name: "own".into(), path: put("own", 10) };
    let larger = Whisper { name: "larger".into(), path: put("larger", 20) };
    assert_eq!(store.whisper(None), Ok(Some(larger.clone())));
    assert_eq!(store.whisper(Some("own")), Ok(Some(own.clone())));
    assert_eq!(store.whisper(Some("whisper-own")), Ok(Some(own)));
    assert!(matches!(store.whisper(Some("base")), Err(Unusable::Missing { .. })));
    for unknown in ["absent", "../own", "", "a/b"] {
        assert!(matches!(store.whisper(Some(unknown)), Err(Unusable::Unknown { .. })), "{unknown}");
    }
    put("tiny", 30);
    assert!(matches!(store.whisper(None), Err(Unusable::Damaged { .. })), "a listed one must be what is listed");
}

#[test]
fn the_first_voice_model_that_is_there_is_used_and_one_that_nobody_lists_is_taken_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    let missing = store.voice().unwrap_err();
    let usual = dir.path().join("resemblyzer-ge2e/resemblyzer_ge2e.onnx");
    assert!(matches!(&missing, Unusable::ByHand { path, .. } if *path == usual), "{missing}");
    for kind in VoiceKind::ALL.into_iter().rev() {
        let path = dir.path().join(kind.name()).join(kind.file());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, CONTENT).unwrap();
        let found = store.voice().unwrap();
        assert_eq!((VoiceKind::at(&found), &found), (kind, &path));
    }
}

#[test]
fn a_voice_model_that_is_listed_is_verified_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let listed = listed("campplus", "campplus.onnx", CONTENT);
    let store = Store::with_manifest(dir.path(), Arc::new(listed));
    let missing = store.voice().unwrap_err().to_string();
    assert!(missing.contains("`harmony models fetch campplus`"), "{missing}");
    let path = dir.path().join("campplus/campplus.onnx");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, &CONTENT[1..]).unwrap();
    assert!(matches!(store.voice(), Err(Unusable::Damaged { .. })));
    fs::write(&path, CONTENT).unwrap();
    assert_eq!(store.voice(), Ok(path));
}

/// A folder with room for one model of one file.
struct Shelf {
    dir: tempfile::TempDir,
    store: Store,
}

impl Shelf {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::with_manifest(dir.path(), Arc::new(listed("silero-vad", "silero_vad.onnx", CONTENT)));
        Self { dir, store }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("silero-vad/silero_vad.onnx")
    }

    fn write(&self, content: &[u8]) {
        fs::create_dir_all(self.file().parent().unwrap()).unwrap();
        fs::write(self.file(), content).unwrap();
    }

    /// Sets when the file was last written.
    fn touch(&self, second: u64) {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        File::options().write(true).open(self.file()).unwrap().set_modified(at).unwrap();
    }
}

fn listed(model: &str, file: &str, content: &[u8]) -> Manifest {
    let digest: String = sha2::Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    let length = content.len();
    let text = format!(
        "[[model]]\nname = \"{model}\"\npurpose = \"p\"\nlicence = \"MIT\"\n[[model.file]]\npath = \"{file}\"\n\
         bytes = {length}\nsha256 = \"{digest}\"\nsource = [{{ kind = \"https\", url = \"https://h/f\" }}]\n"
    );
    Manifest::parse(&text).unwrap()
}
