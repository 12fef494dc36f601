//! API keys: who may use this server.
//!
//! A key is 256 random bits behind `hv_`, shown once; only its SHA-256 is kept, in `keys.json` in the data
//! folder (mode 0600, replaced as a whole) or in the configuration (`auth.keys`, plain or `sha256:…`). Being
//! random, a key needs no slow hash. The ring is shared by every request: checking looks at all keys in
//! constant time per key, and the file is read again when it changed, at most once a second of the time that
//! the caller passes. A file that cannot be read leaves the keys as they were.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRng as _, rngs::SysRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What a key is called; safe to log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyName(String);

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for KeyName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Every key that opens this server.
#[derive(Debug)]
pub struct KeyRing {
    file: KeyFile,
    configured: Vec<(KeyName, KeyDigest)>,
    state: RwLock<Held>,
}

#[derive(Debug)]
struct Held {
    keys: Vec<(KeyName, KeyDigest)>,
    mark: Option<Mark>,
    looked_at: Option<Instant>,
    /// Whether there ever was a key since the start.
    guarded: bool,
}

impl KeyRing {
    /// Reads the keys in the data folder (which may hold none) and those of the configuration.
    ///
    /// # Errors
    /// [`Error`] when the file or a configured key cannot be used: a server that was given keys never starts
    /// without them.
    pub fn load(data_dir: &Path, configured: &[String]) -> Result<Self, Error> {
        let file = KeyFile::at(data_dir);
        let configured = configured.iter().enumerate().map(|(at, text)| {
            let digest = KeyDigest::configured(text).ok_or(Error::Configured { position: at + 1 })?;
            Ok((KeyName(format!("auth.keys[{at}]")), digest))
        });
        let configured = configured.collect::<Result<Vec<_>, Error>>()?;
        let mark = file.mark();
        let keys = held(file.read()?);
        let guarded = !configured.is_empty() || !keys.is_empty();
        Ok(Self { file, configured, state: RwLock::new(Held { keys, mark, looked_at: None, guarded }) })
    }

    /// No key at all, for a server that nobody reaches by HTTP.
    pub fn none(data_dir: &Path) -> Self {
        let held = Held { keys: Vec::new(), mark: None, looked_at: None, guarded: false };
        Self { file: KeyFile::at(data_dir), configured: Vec::new(), state: RwLock::new(held) }
    }

    /// The name of the key that was presented; `None` when it opens nothing.
    pub fn check(&self, presented: &str) -> Option<KeyName> {
        if presented.is_empty() || presented.len() > PRESENTED_BYTES_MAX {
            return None;
        }
        let presented = KeyDigest::of(presented);
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for (name, digest) in self.configured.iter().chain(&state.keys) {
            if bool::from(digest.0.ct_eq(&presented.0)) {
                found = Some(name);
            }
        }
        found.cloned()
    }

    /// Whether a key of this name opens this server still.
    pub fn has(&self, name: &KeyName) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        self.configured.iter().chain(&state.keys).any(|(its, _)| its == name)
    }

    /// Whether there has been no key since the start, so that everybody on this machine is welcome and nobody
    /// else. Taking back the last key locks the server; it never opens it.
    pub fn is_empty(&self) -> bool {
        !self.state.read().unwrap_or_else(PoisonError::into_inner).guarded
    }

    /// Reads the key file again when it changed; looks at most once a second. Blocks for one `stat`.
    pub fn reload_if_changed(&self, now: Instant) {
        let due = |state: &Held| state.looked_at.is_none_or(|at| now.saturating_duration_since(at) >= LOOK_EVERY);
        if !due(&self.state.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !due(&state) {
            return;
        }
        state.looked_at = Some(now);
        let mark = self.file.mark();
        if mark == state.mark {
            return;
        }
        state.mark = mark;
        match self.file.read() {
            Ok(stored) => {
                state.keys = held(stored);
                state.guarded |= !state.keys.is_empty();
                tracing::info!(keys = state.keys.len(), "the key file changed and was read");
            }
            Err(error) => tracing::warn!(%error, "the key file changed and cannot be read; the keys stay as they were"),
        }
    }
}

fn held(stored: Vec<StoredKey>) -> Vec<(KeyName, KeyDigest)> {
    stored.into_iter().map(|key| (key.name, key.sha256)).collect()
}

/// The file that keys are kept in.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The key file of a data folder.
    pub fn at(data_dir: &Path) -> Self {
        Self { path: data_dir.join("keys.json") }
    }

    /// The keys in it, oldest first; none when there is no file.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Form`].
    pub fn read(&self) -> Result<Vec<StoredKey>, Error> {
        let unread = |source| Error::Read { path: self.path.clone(), source };
        match fs::metadata(&self.path) {
            Ok(found) if found.len() > FILE_BYTES_MAX => return Err(Error::Form { path: self.path.clone() }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unread(error)),
        }
        let bytes = fs::read(&self.path).map_err(unread)?;
        let document: Document = serde_json::from_slice(&bytes).map_err(|_| Error::Form { path: self.path.clone() })?;
        Ok(document.keys)
    }

    /// Makes a key, keeps its digest, and hands out the key itself, which cannot be had again.
    ///
    /// # Errors
    /// [`Error`] when the file cannot be read or replaced, or the system has no randomness; no key was made.
    pub fn create(&self, name: &str, created: jiff::Timestamp) -> Result<(StoredKey, NewKey), Error> {
        let mut bits = [0; 32];
        SysRng.try_fill_bytes(&mut bits).map_err(|_| Error::Random)?;
        let key = NewKey(format!("hv_{}", URL_SAFE_NO_PAD.encode(bits)));
        let sha256 = KeyDigest::of(&key.0);
        let id = format!("k_{}", &sha256.to_string()[..12]);
        let stored = StoredKey { id, name: KeyName(name.to_owned()), created, sha256 };
        self.change(|keys| {
            keys.push(stored.clone());
            Ok(())
        })?;
        Ok((stored, key))
    }

    /// Takes a key back; who holds it is refused from then on.
    ///
    /// # Errors
    /// [`Error::Unknown`] when there is none of that id; otherwise as [`KeyFile::create`].
    pub fn revoke(&self, id: &str) -> Result<StoredKey, Error> {
        let mut revoked = None;
        self.change(|keys| {
            let at = keys.iter().position(|key| key.id == id).ok_or_else(|| Error::Unknown { id: id.to_owned() })?;
            revoked = Some(keys.remove(at));
            Ok(())
        })?;
        Ok(revoked.expect("the change succeeded, so it was found"))
    }

    /// Reads, changes and replaces the file while no other process does.
    fn change(&self, change: impl FnOnce(&mut Vec<StoredKey>) -> Result<(), Error>) -> Result<(), Error> {
        let unwritten = |source| Error::Write { path: self.path.clone(), source };
        let dir = self.path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(dir).map_err(unwritten)?;
        let lock = private(&self.path.with_extension("lock")).map_err(unwritten)?;
        lock.lock().map_err(unwritten)?;
        let mut keys = self.read()?;
        change(&mut keys)?;
        let fresh = self.path.with_extension("new");
        let _ = fs::remove_file(&fresh);
        let bytes = serde_json::to_vec_pretty(&Document { keys }).expect("text and numbers always serialize");
        let mut file = private(&fresh).map_err(unwritten)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(unwritten)?;
        fs::rename(&fresh, &self.path).map_err(unwritten)?;
        Ok(())
    }

    fn mark(&self) -> Option<Mark> {
        let found = fs::metadata(&self.path).ok()?;
        Some(Mark { bytes: found.len(), modified: found.modified().ok(), inode: inode(&found) })
    }
}

/// A key as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredKey {
    /// What it is revoked by.
    pub id: String,
    /// Whose it is.
    pub name: KeyName,
    /// When it was made.
    pub created: jiff::Timestamp,
    sha256: KeyDigest,
}

/// A key that was just made: to be shown once and forgotten.
pub struct NewKey(String);

impl NewKey {
    /// The key itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewKey(…)")
    }
}

/// Keys cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is there and cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not in the form that `harmony keys create` writes.
    #[error("{} is no key file; move it away and make new keys with `harmony keys create`", path.display())]
    Form {
        /// Which.
        path: PathBuf,
    },
    /// The file cannot be replaced.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key in the configuration is empty, has white space, or is `sha256:` without 64 hexadecimal digits.
    #[error("key {position} of auth.keys is neither a key nor `sha256:` with 64 hexadecimal digits")]
    Configured {
        /// Which, counted from 1.
        position: usize,
    },
    /// There is no such key.
    #[error("there is no key {id}; `harmony keys list` shows those there are")]
    Unknown {
        /// The id asked for.
        id: String,
    },
    /// The system has no randomness to give.
    #[error("the system has no randomness to make a key from")]
    Random,
}

/// The SHA-256 of a key; written as 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct KeyDigest([u8; 32]);

impl KeyDigest {
    fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    fn configured(text: &str) -> Option<Self> {
        match text.strip_prefix("sha256:") {
            Some(digits) => Self::try_from(digits.to_owned()).ok(),
            None => (!text.is_empty() && !text.contains(char::is_whitespace)).then(|| Self::of(text)),
        }
    }
}

impl TryFrom<String> for KeyDigest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digest = crate::models::manifest::Sha256::parse(&text).ok_or("a SHA-256 has 64 hexadecimal digits")?;
        Ok(Self(digest.0))
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(…)")
    }
}

impl From<KeyDigest> for String {
    fn from(digest: KeyDigest) -> Self {
        digest.to_string()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    keys: Vec<StoredKey>,
}

/// What changes when the file is replaced or written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    bytes: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

#[cfg(unix)]
fn inode(found: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(found)
}

#[cfg(not(unix))]
fn inode(_found: &fs::Metadata) -> u64 {
    0
}

/// Opens a file that only this user may read, creating it so.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Keys of other makers run to about 200 characters; what is longer is not hashed at all.
const PRESENTED_BYTES_MAX: usize = 512;

/// Room for several thousand keys.
const FILE_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const CREATED: jiff::Timestamp = jiff::Timestamp::UNIX_EPOCH;

    #[expect(clippy::disallowed_methods, reason = "a base to add to; the test never waits")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_created_key_opens_and_a_revoked_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::at(dir.path());
        let (stored, key) = file.create("ada", CREATED).unwrap();
        let ring = KeyRing::load(dir.path(), &[]).unwrap();
        let name = ring.check(key.reveal()).unwrap();
        assert_eq!((name.as_ref(), ring.has(&name)), ("ada", true));
        assert_eq!(ring.check(&key.reveal()[..40]), None);
        assert_eq!(ring.check(""), None);
        assert_eq!(ring.check(&stored.sha256.to_string()), None, "the digest itself opens nothing");
        assert_eq!(ring.check(&format!("sha256:{}", stored.sha256)), None);
        file.revoke(&stored.id).unwrap();
        let start = start();
        ring.reload_if_changed(start);
        assert_eq!((ring.check(key.reveal()), ring.has(&name)), (None, false));
        assert!(!ring.is_empty(), "taking back the last key does not open the server");
    }

    #[test]
    fn a_ring_is_empty_until_the_first_key() {
        let dir = tempfile::tempdir().unwrap();
        let ring = KeyRing::load(dir.path(), &[]).unwrap();
        assert!(ring.is_empty());
        KeyFile::at(dir.path()).create("ada", CREATED).unwrap();
        ring.reload_if_changed(start());
        assert!(!ring.is_empty());
    }

    #[test]
    fn the_file_is_looked_at_once_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::at(dir.path());
        let ring = KeyRing::load(dir.path(), &[]).unwrap();
        let start = start();
        ring.reload_if_changed(start);
        let (_, key) = file.create("ada", CREATED).unwrap();
        ring.reload_if_changed(start + Duration::from_millis(999));
        assert_eq!(ring.check(key.reveal()), None);
        ring.reload_if_changed(start + Duration::from_millis(1000));
        assert!(ring.check(key.reveal()).is_some());
    }

    #[test]
    fn a_broken_file_leaves_the_keys_as_they_were_but_refuses_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let (_, key) = KeyFile::at(dir.path()).create("ada", CREATED).unwrap();
        let ring = KeyRing::load(dir.path(), &[]).unwrap();
        for broken in ["", "{", "[]", "{\"keys\":[{\"id\":\"k\",\"name\":\"n\",\"created\":\"x\",\"sha256\":\"00\"}]}"]
        {
            fs::write(dir.path().join("keys.json"), broken).unwrap();
            assert!(matches!(KeyRing::load(dir.path(), &[]), Err(Error::Form { .. })), "{broken}");
        }
        ring.reload_if_changed(start());
        assert!(ring.check(key.reveal()).is_some());
    }

    #[test]
    fn keys_of_the_configuration_may_be_plain_or_hashed() {
        let dir = tempfile::tempdir().unwrap();
        let hashed = format!("sha256:{}", KeyDigest::of("second"));
        let ring = KeyRing::load(dir.path(), &["first".into(), hashed]).unwrap();
        assert_eq!(ring.check("first").unwrap().as_ref(), "auth.keys[0]");
        assert_eq!(ring.check("second").unwrap().as_ref(), "auth.keys[1]");
        assert_eq!(ring.check("third"), None);
        assert!(!ring.is_empty());
        for wrong in ["", "two words", "sha256:12", "sha256:"] {
            let refused = KeyRing::load(dir.path(), &["good".into(), wrong.into()]);
            assert!(matches!(refused, Err(Error::Configured { position: 2 })), "{wrong:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_file_holds_no_key_and_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (_, key) = KeyFile::at(dir.path()).create("ada", CREATED).unwrap();
        let path = dir.path().join("keys.json");
        assert!(!fs::read_to_string(&path).unwrap().contains(key.reveal()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{key:?}").contains(key.reveal()));
    }

    #[test]
    fn keys_made_at_once_are_all_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for at in 0..8 {
                let dir = dir.path();
                scope.spawn(move || KeyFile::at(dir).create(&format!("k{at}"), CREATED).unwrap());
            }
        });
        assert_eq!(KeyFile::at(dir.path()).read().unwrap().len(), 8);
    }
}
