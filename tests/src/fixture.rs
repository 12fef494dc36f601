//! Where tests find real recordings and real models, and how they say that one is absent.
//!
//! Recordings lie in `shared/` beside the checkout, models in the folder that `harmony models fetch` fills.
//! A test that needs what is not there prints `skipped: why` and returns.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A file or folder of the recordings, or the reason to skip.
pub fn recording(name: &str) -> Result<PathBuf, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name);
    if path.exists() { Ok(path) } else { Err(format!("skipped: the recording {name} is not beside the checkout")) }
}

/// A file or folder of the models, or the reason to skip.
pub fn model(name: &str) -> Result<PathBuf, String> {
    let folder = std::env::var_os("HARMONY_MODELS_DIR").map(PathBuf::from).or_else(|| {
        let data = std::env::var_os("XDG_DATA_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")))?;
        Some(data.join("harmony/models"))
    });
    let path = folder.ok_or("skipped: there is no home folder to look for models in")?.join(name);
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("skipped: {name} is not there; `harmony models fetch` brings it"))
    }
}

/// The shared library of ONNX Runtime, or the reason to skip.
pub fn onnx_library() -> Result<PathBuf, String> {
    let folder = model("onnxruntime")?;
    std::fs::read_dir(&folder)
        .map_err(|error| format!("skipped: {}: {error}", folder.display()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime.so")))
        .ok_or_else(|| "skipped: ONNX Runtime is not there; `harmony models fetch` brings it".to_owned())
}

/// The model that hears speech and overlap, and the one that tells voices apart, or the reason to skip.
pub fn voice_models() -> Result<(PathBuf, PathBuf), String> {
    Ok((
        recording("models/segmentation/pyannote-segmentation-3.0.int8.onnx")?,
        recording("models/speaker/resemblyzer_ge2e.onnx")?,
    ))
}

/// A folder of models that has all of this machine's and those two, for `HARMONY_MODELS_DIR`, or the reason to skip.
///
/// # Panics
/// When the machine refuses folders and links.
pub fn models_with_voices() -> Result<TempDir, String> {
    let (segmentation, voice) = voice_models()?;
    let installed = model("")?;
    let folder = TempDir::new().expect("a folder for the test");
    let link = |from: &Path, to: &str| {
        std::os::unix::fs::symlink(from, folder.path().join(to)).expect("a link in the test's own folder");
    };
    let entries =
        std::fs::read_dir(&installed).map_err(|error| format!("skipped: {}: {error}", installed.display()))?;
    let foreign = |name: &str| !matches!(name, "pyannote-segmentation-3.0" | "resemblyzer-ge2e" | ".verified");
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        // What is gone meanwhile, and a link to nothing, is no model.
        if let (true, Ok(path)) = (foreign(&name), entry.path().canonicalize()) {
            link(&path, &name);
        }
    }
    for (name, file) in [("pyannote-segmentation-3.0", &segmentation), ("resemblyzer-ge2e", &voice)] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder in the test's own");
        let file = file.canonicalize().expect("the model was found");
        let own = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
        link(&file, &format!("{name}/{own}"));
    }
    Ok(folder)
}

/// A WAV file's first channel as f32 in [-1, 1], which must be at 16 kHz.
///
/// # Panics
/// When the file is no such WAV: a test's own data is broken.
pub fn wav_16k(path: &Path) -> Vec<f32> {
    let mut reader = hound::WavReader::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let spec = reader.spec();
    assert_eq!(spec.sample_rate, 16_000, "{}", path.display());
    let channels = usize::from(spec.channels);
    match spec.sample_format {
        hound::SampleFormat::Float => {
            reader.samples::<f32>().step_by(channels).map(|s| s.expect("the file is whole")).collect()
        }
        hound::SampleFormat::Int => {
            let scale = 2_f32.powi(i32::from(spec.bits_per_sample) - 1);
            reader.samples::<i32>().step_by(channels).map(|s| s.expect("the file is whole") as f32 / scale).collect()
        }
    }
}
