//! The folder of recordings: one folder each, with its state file and its sounds.
//!
//! Names of folders are ids and names of files come from state files that are ours, so no path of a client ever
//! reaches the file system. Every call reads or writes the disk: async callers use a blocking thread.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::{
    repair::{Repaired, repair},
    state::{Manifest, RecordingId, State},
};

/// The recordings on disk.
#[derive(Clone, Debug)]
pub(super) struct Library {
    root: PathBuf,
}

impl Library {
    /// The library in `root`, which is made for this user alone when it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        Ok(Self { root: root.to_owned() })
    }

    /// The folder of recordings.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of one.
    pub(super) fn folder(&self, id: &RecordingId) -> PathBuf {
        self.root.join(id)
    }

    /// Makes a folder of its own for a recording called `name`, or `name-2`, and so on.
    ///
    /// # Errors
    /// When the folder cannot be made, or `name` is no name.
    pub(super) fn create(&self, name: &str) -> io::Result<RecordingId> {
        for n in 1..=NAMESAKES_MAX {
            let name = if n == 1 { name.to_owned() } else { format!("{name}-{n}") };
            let id: RecordingId = name.parse().map_err(|bad| io::Error::new(io::ErrorKind::InvalidInput, bad))?;
            match fs::DirBuilder::new().mode(0o700).create(self.folder(&id)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| id),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// What is known of one.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(super) fn load(&self, id: &RecordingId) -> io::Result<Manifest> {
        Manifest::load(&self.folder(id))
    }

    /// The newest recordings before `before`, at most `max`, newest first: ids begin with their time.
    ///
    /// # Errors
    /// When the folder cannot be read. Folders that are not ours are passed over.
    pub(super) fn list(&self, max: usize, before: Option<&RecordingId>) -> io::Result<Vec<Manifest>> {
        let mut ids = self.ids()?;
        ids.retain(|id| before.is_none_or(|before| id < before));
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(ids.iter().filter_map(|id| self.load(id).ok()).take(max).collect())
    }

    /// The newest recording whose name ends with `suffix`.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn ending(&self, suffix: &str) -> io::Result<Option<RecordingId>> {
        Ok(self.ids()?.into_iter().filter(|id| id.to_string().ends_with(suffix)).max())
    }

    /// Removes a recording with its files.
    ///
    /// # Errors
    /// When there is none, or it cannot be removed.
    pub(super) fn delete(&self, id: &RecordingId) -> io::Result<()> {
        fs::remove_dir_all(self.folder(id))
    }

    /// Ends what the last process left: recordings that were running become interrupted, their files are
    /// repaired and measured. What cannot be repaired is told in the log and left to the next start.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn recover(&self) -> io::Result<usize> {
        let mut interrupted = 0;
        for id in self.ids()? {
            match self.load(&id) {
                Ok(manifest) if manifest.state.is_running() => match self.interrupt(manifest) {
                    Ok(()) => interrupted += 1,
                    Err(error) => tracing::warn!(recording = %id, %error, "an interrupted recording stays unrepaired"),
                },
                Ok(_) => {}
                // The process ended before the first state file was there: nothing was recorded yet.
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.remove_if_empty(&id),
                Err(error) => tracing::warn!(recording = %id, %error, "a folder of recordings is not understood"),
            }
        }
        Ok(interrupted)
    }

    fn interrupt(&self, mut manifest: Manifest) -> io::Result<()> {
        let folder = self.folder(&manifest.id);
        for track in &mut manifest.tracks {
            match repair(&folder.join(&track.file), manifest.format) {
                Ok(repaired) => track.measure(repaired),
                Err(error) if error.kind() == io::ErrorKind::NotFound => track.measure(Repaired::default()),
                Err(error) => return Err(error),
            }
        }
        manifest.state = State::Interrupted;
        manifest.reason = Some("the server ended while it was recording".to_owned());
        manifest.measure();
        manifest.save(&folder)
    }

    fn remove_if_empty(&self, id: &RecordingId) {
        let folder = self.folder(id);
        let _ = fs::remove_file(folder.join(super::state::NEW));
        // Fails when something is in it, which then stays.
        let _ = fs::remove_dir(folder);
    }

    fn ids(&self) -> io::Result<Vec<RecordingId>> {
        let entries = fs::read_dir(&self.root)?.filter_map(Result::ok);
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        Ok(folders.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
    }
}

/// Recordings that begin in one second in one room; more are a fault.
const NAMESAKES_MAX: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{
        file::TrackFile,
        state::{Container, Encoding, Track, tests::manifest},
    };

    #[test]
    fn what_was_running_is_interrupted_with_the_duration_of_its_files() {
        let root = tempfile::tempdir().unwrap();
        let library = Library::open(&root.path().join("recordings")).unwrap();
        for (name, container) in [("a", Container::Ogg), ("b", Container::Wav)] {
            let id = library.create(name).unwrap();
            let file = format!("p1.{}", container.extension());
            let encoding = Encoding { container, bitrate_bps: 32_000 };
            let mut sound = TrackFile::create(&library.folder(&id).join(&file), encoding, 1, "").unwrap();
            sound.push(&[0.1; 48_000 * 2]);
            sound.flush().unwrap();
            let track = Track {
                participant: Some("p1".to_owned()),
                name: "Ada".to_owned(),
                file,
                start_s: 1.0,
                joined_s: 1.0,
                duration_s: 0.0,
                bytes: 0,
            };
            let manifest = Manifest { format: container, tracks: vec![track], ..manifest(name) };
            manifest.save(&library.folder(&id)).unwrap();
        }
        Manifest { state: State::Finished, ..manifest(&library.create("c").unwrap().to_string()) }
            .save(&library.root().join("c"))
            .unwrap();
        library.create("d").unwrap();
        assert_eq!(library.recover().unwrap(), 2);
        assert_eq!(library.recover().unwrap(), 0);
        let states: Vec<_> = library.list(9, None).unwrap().into_iter().map(|m| (m.state, m.duration_s)).collect();
        assert_eq!(states[0], (State::Finished, 0.0));
        assert_eq!((states[1].0, states[1].1, states[2].0), (State::Interrupted, 2.0, State::Interrupted));
        assert!((1.99..2.0).contains(&states[2].1), "{states:?}");
        assert!(!library.root().join("d").exists());
    }

    #[test]
    fn namesakes_get_a_number_and_lists_begin_with_the_newest() {
        let root = tempfile::tempdir().unwrap();
        let library = Library::open(root.path()).unwrap();
        for expected in ["20261121-r1", "20261121-r1-2", "20261121-r1-3"] {
            let id = library.create("20261121-r1").unwrap();
            assert_eq!(id.to_string(), expected);
            manifest(expected).save(&library.folder(&id)).unwrap();
        }
        let ids = |max, before: Option<&str>| -> Vec<String> {
            let before = before.map(|id| id.parse().unwrap());
            library.list(max, before.as_ref()).unwrap().into_iter().map(|m| m.id.to_string()).collect()
        };
        assert_eq!(ids(2, None), ["20261121-r1-3", "20261121-r1-2"]);
        assert_eq!(ids(2, Some("20261121-r1-2")), ["20261121-r1"]);
        assert_eq!(library.ending("r1-2").unwrap().map(|id| id.to_string()).as_deref(), Some("20261121-r1-2"));
        assert_eq!(library.ending("r2").unwrap(), None);
        library.delete(&"20261121-r1-2".parse().unwrap()).unwrap();
        assert_eq!(ids(9, None).len(), 2);
        assert!(library.create("../elsewhere").is_err());
    }
}
