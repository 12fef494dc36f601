//! Damaged files of the ONNX models and of the library: one clear line, never a crash.

mod fixture;

use std::path::Path;

use asr::{moonshine::Moonshine, onnx::Library, recognizer::Error, turn::EndOfTurn, vad::silero::Silero};

fn assert_refused<T>(what: &str, result: Result<T, Error>) {
    let Err(error) = result else { panic!("{what} was taken") };
    let line = error.to_string();
    assert!(matches!(error, Error::Model { .. }), "{what}: {line}");
    assert!(!line.contains('\n') && line.contains("harmony models fetch"), "{what}: {line}");
}

#[test]
fn a_library_that_is_missing_cut_or_of_another_kind_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_refused("missing", Library::open(&folder.path().join("libonnxruntime.so")));
    let file = folder.path().join("library.so");
    for (what, bytes) in [("empty", Vec::new()), ("text", b"not a library, but long enough for a header. ".repeat(4))] {
        std::fs::write(&file, bytes).expect("writable");
        assert_refused(what, Library::open(&file));
    }
    if let Some(whole) = fixture::library() {
        let bytes = std::fs::read(whole.path()).expect("readable");
        for part in [100, 4096, bytes.len() / 2, bytes.len() - 4096, bytes.len() - 1] {
            std::fs::write(&file, &bytes[..part]).expect("writable");
            assert_refused("cut", Library::open(&file));
        }
        // Another library loads but is not ONNX Runtime; the process has its own already and keeps it.
        assert_eq!(Library::open(whole.path()).expect("again").path(), whole.path());
    }
}

/// Copies a file with some bytes changed.
fn damage(from: &Path, to: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(from).expect("readable");
    change(&mut bytes);
    std::fs::write(to, bytes).expect("writable");
}

#[test]
fn damaged_voice_activity_models_are_refused() {
    let Some((library, model)) = fixture::silero() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("silero_vad.onnx");
    assert_refused("missing", Silero::load(&library, &file));
    for part in [0, 5, 1000, 100_000, 2_000_000] {
        damage(&model, &file, |bytes| bytes.truncate(part));
        assert_refused("cut", Silero::load(&library, &file));
    }
    damage(&model, &file, |bytes| bytes[0] ^= 0x10);
    assert_refused("flipped", Silero::load(&library, &file));
    let Some((_, moonshine)) = fixture::moonshine() else { return };
    assert_refused("another model", Silero::load(&library, &moonshine.join("encoder_model.ort")));
}

#[test]
fn damaged_end_of_turn_models_are_refused() {
    let Some((library, model)) = fixture::smart_turn() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("smart-turn-v3.2-cpu.onnx");
    assert_refused("missing", EndOfTurn::load(&library, &file));
    for part in [0, 5, 1000, 100_000, 8_000_000] {
        damage(&model, &file, |bytes| bytes.truncate(part));
        assert_refused("cut", EndOfTurn::load(&library, &file));
    }
    damage(&model, &file, |bytes| bytes[0] ^= 0x10);
    assert_refused("flipped", EndOfTurn::load(&library, &file));
    let Some((_, silero)) = fixture::silero() else { return };
    assert_refused("another model", EndOfTurn::load(&library, &silero));
}

#[test]
fn damaged_recognizers_are_refused_or_run() {
    let Some((library, whole)) = fixture::moonshine() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let files = ["encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"];
    let restore = |name: &str| std::fs::copy(whole.join(name), folder.path().join(name)).expect("copied");
    assert_refused("an empty folder", Moonshine::load(&library, folder.path()));
    for name in files {
        restore(name);
    }
    for name in files {
        let file = folder.path().join(name);
        std::fs::remove_file(&file).expect("removed");
        assert_refused(&format!("{name} missing"), Moonshine::load(&library, folder.path()));
        for part in [0, 7, 100, 5_000, 200_000] {
            damage(&whole.join(name), &file, |bytes| bytes.truncate(part));
            assert_refused(&format!("{name} cut to {part}"), Moonshine::load(&library, folder.path()));
        }
        restore(name);
    }
    // A flipped bit in the weights is still a model; only the checksum can tell. It must not crash.
    let mut random = 1u32;
    let (mut refused, tries) = (0, 24);
    for _ in 0..tries {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let name = files[random as usize % 2];
        damage(&whole.join(name), &folder.path().join(name), |bytes| {
            // Most of the structure lies at both ends.
            let reach = (bytes.len() / 8).min(1 << 20);
            let at = (random >> 5) as usize % reach;
            let at = if random & 16 == 0 { at } else { bytes.len() - 1 - at };
            bytes[at] ^= 1 << (random >> 13 & 7);
        });
        refused += usize::from(Moonshine::load(&library, folder.path()).is_err());
        restore(name);
    }
    println!("{refused} of {tries} single flipped bits were noticed");
}
