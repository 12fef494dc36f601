//! The folder of models, and whether what lies in it may be used.
//!
//! A file is trusted when its hash was computed once and neither its size nor its modification time changed
//! since: the stamp of that is kept beside the models in `.verified`, so that a start costs a few `stat`s and
//! an altered file is still refused. [`Depth::Full`] hashes regardless. A folder that cannot be written keeps
//! no stamps and pays for the hash at every start. Blocking; never on an async thread.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::UNIX_EPOCH,
};

use asr::diarize::VoiceKind;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::manifest::{self, Manifest, Model, Name, Sha256};

/// The models in one folder.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    manifest: Arc<Manifest>,
}

impl Store {
    /// The folder `dir` under the compiled-in list. Nothing is read yet; the folder may be absent.
    pub fn open(dir: impl Into<PathBuf>) -> Self {
        Self::with_manifest(dir, Arc::new(Manifest::builtin().clone()))
    }

    /// The same under a list of the caller's.
    pub fn with_manifest(dir: impl Into<PathBuf>, manifest: Arc<Manifest>) -> Self {
        Self { dir: dir.into(), manifest }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The list that it is held against.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where a file of a model lies or would lie.
    pub fn path(&self, model: &Model, file: &manifest::File) -> PathBuf {
        self.dir.join(model.name.as_str()).join(file.path.as_str())
    }

    /// The ONNX Runtime library of this platform.
    ///
    /// # Errors
    /// [`Unusable`] when it is missing, damaged or not built for this machine.
    pub fn library(&self) -> Result<PathBuf, Unusable> {
        Ok(self.usable("onnxruntime")?.swap_remove(0))
    }

    /// The voice-activity model.
    ///
    /// # Errors
    /// [`Unusable`] when it is missing or damaged.
    pub fn silero(&self) -> Result<PathBuf, Unusable> {
        Ok(self.usable("silero-vad")?.swap_remove(0))
    }

    /// The end-of-turn model.
    ///
    /// # Errors
    /// [`Unusable`] when it is missing or damaged.
    pub fn smart_turn(&self) -> Result<PathBuf, Unusable> {
        Ok(self.usable("smart-turn-v3")?.swap_remove(0))
    }

    /// The model that hears speech and overlap in a recording of several people.
    ///
    /// # Errors
    /// [`Unusable`] when it is missing or damaged.
    pub fn segmentation(&self) -> Result<PathBuf, Unusable> {
        Ok(self.usable("pyannote-segmentation-3.0")?.swap_remove(0))
    }

    /// The model that tells voices apart: the first of [`VoiceKind::ALL`] that is there. One that the list does not know
    /// is put there by hand, and taken as it is.
    ///
    /// # Errors
    /// [`Unusable`] when none is there, or the first is listed and damaged.
    pub fn voice(&self) -> Result<PathBuf, Unusable> {
        let path = |kind: VoiceKind| self.dir.join(kind.name()).join(kind.file());
        let mut missing = None;
        for kind in VoiceKind::ALL {
            if self.manifest.model(kind.name()).is_some() {
                match self.usable(kind.name()) {
                    Ok(_) => return Ok(path(kind)),
                    Err(error @ Unusable::Missing { .. }) => missing = missing.or(Some(error)),
                    Err(error) => return Err(error),
                }
            } else if path(kind).is_file() {
                return Ok(path(kind));
            }
        }
        let usual = || Unusable::ByHand { path: path(VoiceKind::Ge2e), why: "is not there".to_owned() };
        Err(missing.unwrap_or_else(usual))
    }

    /// The three files of Moonshine tiny (English).
    ///
    /// # Errors
    /// [`Unusable`] when one is missing or damaged.
    pub fn moonshine(&self) -> Result<Moonshine, Unusable> {
        self.usable("moonshine-tiny-en")?;
        let dir = self.dir.join("moonshine-tiny-en");
        Ok(Moonshine {
            encoder: dir.join("encoder_model.ort"),
            decoder: dir.join("decoder_model_merged.ort"),
            tokenizer: dir.join("tokenizer.bin"),
        })
    }

    /// A Whisper model: the named one (`base.en` or `whisper-base.en`), or the largest that is present.
    ///
    /// A folder `whisper-<name>` holding `ggml-<name>.bin` counts though the list does not know it: what people
    /// put there by hand is taken as it is.
    ///
    /// # Errors
    /// [`Unusable`] when the named one is missing, or the one chosen is damaged.
    pub fn whisper(&self, name: Option<&str>) -> Result<Option<Whisper>, Unusable> {
        let name = match name {
            Some(name) => name.strip_prefix("whisper-").unwrap_or(name).to_owned(),
            None => match self.largest_whisper() {
                Some(name) => name,
                None => return Ok(None),
            },
        };
        let model = format!("whisper-{name}");
        if Name::parse(&model).is_none() {
            return Err(Unusable::Unknown { model });
        }
        let path = self.dir.join(&model).join(format!("ggml-{name}.bin"));
        if self.manifest.model(&model).is_some() {
            self.usable(&model)?;
        } else if !path.is_file() {
            return Err(Unusable::Unknown { model });
        }
        Ok(Some(Whisper { name, path }))
    }

    /// A Piper voice, such as `de_DE-thorsten-medium`. As with Whisper's, one that people put into its folder by hand,
    /// `piper-NAME/NAME.onnx` and `NAME.onnx.json`, is taken as it is.
    ///
    /// # Errors
    /// [`Unusable`] when it is missing, damaged, or no voice of that name is known.
    pub fn piper(&self, name: &str) -> Result<Piper, Unusable> {
        let name = name.strip_prefix("piper-").unwrap_or(name);
        let model = format!("piper-{name}");
        if Name::parse(&model).is_none() {
            return Err(Unusable::Unknown { model });
        }
        let file = |ending: &str| self.dir.join(&model).join(format!("{name}{ending}"));
        let piper = Piper { model: file(".onnx"), config: file(".onnx.json") };
        if self.manifest.model(&model).is_some() {
            self.usable(&model)?;
        } else if !piper.model.is_file() || !piper.config.is_file() {
            return Err(Unusable::Unknown { model });
        }
        Ok(piper)
    }

    /// How every model of the list stands, in the order of the list.
    pub fn survey(&self, depth: Depth) -> Vec<Condition<'_>> {
        let models = self.manifest.models().iter();
        models.map(|model| Condition { model, state: self.state(model, depth) }).collect()
    }

    /// How one model stands.
    pub fn state(&self, model: &Model, depth: Depth) -> State {
        let mut files = model.files().peekable();
        if files.peek().is_none() {
            return State::Unlisted;
        }
        let mut state = State::Present;
        for file in files {
            match self.check(model, file, depth) {
                FileState::Good => {}
                FileState::Missing => state = State::Missing,
                FileState::Damaged(why) => return State::Damaged { file: self.path(model, file), why },
            }
        }
        state
    }

    /// How one file stands.
    pub(super) fn check(&self, model: &Model, file: &manifest::File, depth: Depth) -> FileState {
        let path = self.path(model, file);
        let mark = match fs::metadata(&path) {
            Ok(found) if found.is_file() => Mark::of(&found),
            Ok(_) => return FileState::Damaged("it is not a file".into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return FileState::Missing,
            Err(error) => return FileState::Damaged(error.to_string()),
        };
        if mark.bytes != file.bytes {
            return FileState::Damaged(format!("it has {} bytes instead of {}", mark.bytes, file.bytes));
        }
        let key = format!("{}/{}", model.name, file.path);
        let stamp = Stamp { mark, sha256: file.sha256.to_string() };
        if depth == Depth::Quick && self.stamps().get(&key) == Some(&stamp) {
            return FileState::Good;
        }
        match hash(&path) {
            Ok(digest) if digest == file.sha256 => {
                self.stamp(key, stamp);
                FileState::Good
            }
            Ok(_) => FileState::Damaged("its content was altered (the hash differs)".into()),
            Err(error) => FileState::Damaged(error.to_string()),
        }
    }

    /// Every file of a model of this platform, verified; at least one.
    fn usable(&self, name: &str) -> Result<Vec<PathBuf>, Unusable> {
        let Some(model) = self.manifest.model(name) else {
            return Err(Unusable::Unknown { model: name.to_owned() });
        };
        let model_name = || name.to_owned();
        match self.state(model, Depth::Quick) {
            State::Present => Ok(model.files().map(|file| self.path(model, file)).collect()),
            State::Missing => Err(Unusable::Missing { model: model_name(), dir: self.dir.clone() }),
            State::Damaged { file, why } => Err(Unusable::Damaged { model: model_name(), file, why }),
            State::Unlisted => Err(Unusable::Unlisted { model: model_name() }),
        }
    }

    fn largest_whisper(&self) -> Option<String> {
        let folders = fs::read_dir(&self.dir).ok()?;
        let sized = folders.filter_map(|folder| {
            let folder = folder.ok()?.file_name().into_string().ok()?;
            let name = folder.strip_prefix("whisper-")?.to_owned();
            let found = fs::metadata(self.dir.join(&folder).join(format!("ggml-{name}.bin"))).ok()?;
            found.is_file().then_some((found.len(), name))
        });
        sized.max().map(|(_, name)| name)
    }

    fn stamps(&self) -> BTreeMap<String, Stamp> {
        let read = fs::read(self.dir.join(STAMPS)).ok();
        read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Notes that a file was verified. Two processes may overwrite each other's note: that costs a hash.
    fn stamp(&self, key: String, stamp: Stamp) {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut stamps = self.stamps();
        if stamps.get(&key) == Some(&stamp) {
            return;
        }
        stamps.insert(key, stamp);
        let unique = format!("{STAMPS}.{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let fresh = self.dir.join(unique);
        let bytes = serde_json::to_vec_pretty(&stamps).expect("text keys and numbers always serialize");
        let written = fs::write(&fresh, bytes).and_then(|()| fs::rename(&fresh, self.dir.join(STAMPS)));
        if let Err(error) = written {
            let _ = fs::remove_file(&fresh);
            tracing::debug!(%error, "no stamp kept: the models are hashed again at the next start");
        }
    }
}

/// Moonshine's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moonshine {
    /// Audio to states.
    pub encoder: PathBuf,
    /// States to tokens.
    pub decoder: PathBuf,
    /// Tokens to text.
    pub tokenizer: PathBuf,
}

/// One Whisper model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whisper {
    /// Its size as Whisper names it, such as `base.en`.
    pub name: String,
    /// The ggml file.
    pub path: PathBuf,
}

/// One Piper voice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piper {
    /// The network.
    pub model: PathBuf,
    /// What its numbers mean.
    pub config: PathBuf,
}

/// How thoroughly to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Size always, the hash when the file changed since it was last computed.
    Quick,
    /// The hash of every file.
    Full,
}

/// A model and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition<'a> {
    /// Which.
    pub model: &'a Model,
    /// How.
    pub state: State,
}

/// How a model stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Every file is there and right.
    Present,
    /// A file is not there.
    Missing,
    /// A file is there and wrong.
    Damaged {
        /// Which.
        file: PathBuf,
        /// What is wrong, as the end of a sentence.
        why: String,
    },
    /// The list has no build for this platform.
    Unlisted,
}

impl State {
    /// One word for tables and JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Missing => "missing",
            Self::Damaged { .. } => "damaged",
            Self::Unlisted => "unlisted",
        }
    }
}

/// Why a model cannot be used, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Not all of its files are there.
    #[error("the model {model} is not in {}; `harmony models fetch {model}` brings it", dir.display())]
    Missing {
        /// Which model.
        model: String,
        /// The folder of models.
        dir: PathBuf,
    },
    /// A file is not what it should be.
    #[error("{} is damaged: {why}; `harmony models fetch {model}` brings it anew", file.display())]
    Damaged {
        /// Which model.
        model: String,
        /// Which of its files.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A model that nothing can fetch is not there, or is not what it should be.
    #[error("the voice model {why}: it goes to {} by hand", path.display())]
    ByHand {
        /// Where it belongs.
        path: PathBuf,
        /// What is wrong with it, as the rest of a sentence about it.
        why: String,
    },
    /// No model of that name is listed or lies in the folder.
    #[error("there is no model {model}; `harmony models list` shows those there are")]
    Unknown {
        /// The name asked for.
        model: String,
    },
    /// The list has no build for this platform.
    #[error("{model} is not listed for this platform ({})", manifest::PLATFORM)]
    Unlisted {
        /// Which model.
        model: String,
    },
}

/// How one file stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FileState {
    Good,
    Missing,
    Damaged(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    #[serde(flatten)]
    mark: Mark,
    sha256: String,
}

/// What changes when somebody writes to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    bytes: u64,
    modified_us: u64,
}

impl Mark {
    fn of(found: &fs::Metadata) -> Self {
        let modified = found.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let modified_us = modified.and_then(|at| u64::try_from(at.as_micros()).ok()).unwrap_or_default();
        Self { bytes: found.len(), modified_us }
    }
}

/// The SHA-256 of a file's content. Blocking.
pub(super) fn hash(path: &Path) -> io::Result<Sha256> {
    let mut hasher = sha2::Sha256::new();
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match io::Read::read(&mut file, &mut buffer) {
            Ok(0) => return Ok(Sha256(hasher.finalize().into())),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

const STAMPS: &str = ".verified";
