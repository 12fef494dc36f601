//! Models on disk: what there is, where it comes from, and whether it is what it should be.
//!
//! [`Manifest`] is the compiled-in list, [`Store`] the folder that holds the files, [`fetch`] what brings them.
//! The rest of the server asks the store for paths and gets either a file whose content was verified or one
//! line that says what to do. Hashing blocks: ask before serving, or on a blocking thread.

pub mod fetch;
pub mod index;
pub mod manifest;
pub mod progress;
pub mod store;
pub mod tls;
pub mod transfer;
pub mod wheel;

use std::path::{Path, PathBuf};

pub use manifest::Manifest;
pub use store::{Condition, Depth, Moonshine, Piper, State, Store, Unusable, Whisper};

/// Where models live: the flag, else `HARMONY_MODELS_DIR`, else the configuration, else the platform's data
/// folder.
///
/// # Errors
/// [`NoFolder`] when nothing is set and the machine has no home folder.
pub fn folder(flag: Option<&Path>, configured: Option<&Path>) -> Result<PathBuf, NoFolder> {
    let environment = || std::env::var_os("HARMONY_MODELS_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let platform = || directories::ProjectDirs::from("", "", "harmony").map(|dirs| dirs.data_dir().join("models"));
    flag.map(Path::to_owned)
        .or_else(environment)
        .or_else(|| configured.map(Path::to_owned))
        .or_else(platform)
        .ok_or(NoFolder)
}

/// No folder for models is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this account has no home folder: name one for the models with HARMONY_MODELS_DIR or `models.dir`")]
pub struct NoFolder;
