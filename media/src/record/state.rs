//! What is known of a recording, as `recording.json` beside its files keeps it.
//!
//! The state file is replaced as a whole (written anew, synced, renamed), so it is never half. It is written when
//! something changes, not with every sample: after a crash the durations come from the files themselves.

use std::{
    collections::BTreeMap,
    fmt, fs,
    fs::File,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::repair::Repaired;
use crate::time::MediaTime;

/// The name of a recording and of its folder: letters, digits and dashes, so it can be part of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordingId(String);

/// The text names no recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a recording is named by at most 64 letters, digits and dashes")]
pub struct BadId;

impl FromStr for RecordingId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        ((1..=64).contains(&text.len()) && text.bytes().all(is_plain)).then(|| Self(text.to_owned())).ok_or(BadId)
    }
}

impl TryFrom<String> for RecordingId {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl From<RecordingId> for String {
    fn from(id: RecordingId) -> Self {
        id.0
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<Path> for RecordingId {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

/// Where a recording stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It grows.
    Recording,
    /// It grows by silence.
    Paused,
    /// It was ended.
    Finished,
    /// The process ended first; what was written is there.
    Interrupted,
    /// It could not be written on; what was written is there.
    Failed,
}

impl State {
    /// Whether it still grows.
    pub fn is_running(self) -> bool {
        matches!(self, Self::Recording | Self::Paused)
    }

    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Paused => "paused",
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

/// The container of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// Ogg/Opus: small.
    #[default]
    Ogg,
    /// 16-bit WAV: exact, 5.8 MB a minute.
    Wav,
}

impl Container {
    /// What file names end with.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Ogg => "ogg",
            Self::Wav => "wav",
        }
    }
}

/// How sound is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// The container.
    pub container: Container,
    /// Opus only: bits per second of one track.
    pub bitrate_bps: u32,
}

/// One file of a recording.
///
/// All files of a recording begin at the same moment; who comes later has silence before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Whose it is, such as `p2`; none for the mix of everybody.
    pub participant: Option<String>,
    /// What they were called.
    pub name: String,
    /// The file's name in the folder.
    pub file: String,
    /// The file's first sample on the room's timeline, in seconds.
    pub start_s: f64,
    /// Their first sound on the room's timeline, in seconds; silence lies before it.
    pub joined_s: f64,
    /// How long the file lasts, in seconds.
    pub duration_s: f64,
    /// How large the file is.
    pub bytes: u64,
}

impl Track {
    /// Takes over what a repair found.
    pub(super) fn measure(&mut self, repaired: Repaired) {
        self.duration_s = MediaTime::from_ticks(repaired.samples).as_secs_f64();
        self.bytes = repaired.bytes;
    }
}

/// A recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name.
    pub id: RecordingId,
    /// The room's id, such as `r7`. Ids begin again with every start of the server.
    pub room: String,
    /// When the room began (RFC 3339): with the id it names the room for good.
    pub room_began: String,
    /// The room's title.
    pub title: String,
    /// Where it stands.
    pub state: State,
    /// Why it failed.
    pub reason: Option<String>,
    /// When it began (RFC 3339).
    pub started_at: String,
    /// Its first sample on the room's timeline, in seconds.
    pub start_s: f64,
    /// How long it lasts, in seconds: as long as its longest file.
    pub duration_s: f64,
    /// The container of its files.
    pub format: Container,
    /// Its files, the mix first.
    pub tracks: Vec<Track>,
    /// What whoever began it noted beside it, to find it again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Manifest {
    /// Sets the recording's duration by its files.
    pub(super) fn measure(&mut self) {
        let ends = self.tracks.iter().map(|track| track.start_s + track.duration_s);
        self.duration_s = (ends.fold(self.start_s, f64::max) - self.start_s).max(0.0);
    }

    /// Writes `recording.json` into the recording's folder, as a whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written; the one before is still there.
    pub(super) fn save(&self, folder: &Path) -> io::Result<()> {
        let new = folder.join(NEW);
        let mut text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        text.push(b'\n');
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, folder.join(FILE))?;
        File::open(folder)?.sync_all()
    }

    /// Reads `recording.json` of the recording's folder.
    ///
    /// # Errors
    /// When there is none, or it is not one of ours.
    pub(super) fn load(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let bytes = fs::metadata(&path)?.len();
        if bytes > BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the state file is too large to be one of ours"));
        }
        let manifest: Self = serde_json::from_slice(&fs::read(path)?)?;
        let is_here = folder.file_name().is_some_and(|name| name == manifest.id.as_ref());
        let names_are_ours = manifest.tracks.iter().all(|track| is_file_name(&track.file));
        if !is_here || !names_are_ours {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the state file names another recording's files"));
        }
        Ok(manifest)
    }
}

/// Whether a name can only be that of a file beside the state file.
fn is_file_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    (1..=64).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(is_plain) && name != FILE
}

/// The state file's name.
pub(super) const FILE: &str = "recording.json";

/// Its name while it is written.
pub(super) const NEW: &str = "recording.json.new";

/// A thousand tracks are some 200 kB.
const BYTES_MAX: u64 = 4 << 20;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::record) fn manifest(id: &str) -> Manifest {
        Manifest {
            id: id.parse().unwrap(),
            room: "r1".to_owned(),
            room_began: "2026-11-21T09:00:00.000Z".to_owned(),
            title: "A \"title\"".to_owned(),
            state: State::Recording,
            reason: None,
            started_at: "2026-11-21T09:00:01.000Z".to_owned(),
            start_s: 1.0,
            duration_s: 0.0,
            format: Container::Ogg,
            tracks: Vec::new(),
            labels: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("20261121-r1");
        fs::create_dir(&folder).unwrap();
        let labels = BTreeMap::from([("call".to_owned(), "CA1".to_owned())]);
        let manifest = Manifest { labels, ..manifest("20261121-r1") };
        manifest.save(&folder).unwrap();
        assert_eq!(Manifest::load(&folder).unwrap(), manifest);
        assert!(!folder.join(NEW).exists());
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for id in ["", ".", "..", "a/b", "a b", "../x", "ä", &"x".repeat(65)] {
            assert_eq!(id.parse::<RecordingId>(), Err(BadId), "{id}");
        }
        for file in ["", "..", ".x", "a/b", "recording.json", "/etc/passwd"] {
            assert!(!is_file_name(file), "{file}");
        }
        assert!(is_file_name("p12-2.wav"));
    }

    #[test]
    fn a_state_file_of_another_folder_or_with_foreign_names_is_not_taken() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("here");
        fs::create_dir(&folder).unwrap();
        manifest("elsewhere").save(&folder).unwrap();
        assert!(Manifest::load(&folder).is_err());
        let track = Track {
            participant: None,
            name: String::new(),
            file: "../../secret".to_owned(),
            start_s: 0.0,
            joined_s: 0.0,
            duration_s: 0.0,
            bytes: 0,
        };
        Manifest { tracks: vec![track], ..manifest("here") }.save(&folder).unwrap();
        assert!(Manifest::load(&folder).is_err());
    }
}
