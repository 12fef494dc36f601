//! Known voices: people who agreed to be recognized by their voice, and the prints that they are recognized by.
//!
//! One file a person, `speakers/ID.json` in the data folder, readable by its owner alone, written as a whole and never
//! changed. Nothing is held in memory: who was erased, by this process or by another, is known to nobody who asks from
//! then on. A print is biometric data: it is shown in no list and no log. Blocks on the disk, so it is called on a
//! blocking thread. [`enrol`] makes the prints.

pub mod enrol;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use asr::diarize::print::VoicePrint;
use rand::{TryRng as _, rngs::SysRng};
use serde::{Deserialize, Serialize};

use crate::{cli, config::Config, engine};

/// Somebody whose voice is known, as they are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// What they are erased by.
    pub id: String,
    /// What they are called in transcripts.
    pub name: Arc<str>,
    /// Their consent.
    pub consent: Consent,
    /// When the print was made.
    pub created_at: jiff::Timestamp,
    /// What they sound like. Leaves this file in no view of it.
    pub print: VoicePrint,
}

/// That somebody agreed to be recognized by their voice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// When it was noted.
    pub given_at: jiff::Timestamp,
    /// How and to what, in the words of whoever noted it.
    pub how: String,
}

impl Person {
    /// What may be shown of them, on a machine that tells voices apart by `model`.
    pub fn shown(&self, model: Option<&str>) -> Shown {
        let own = &self.print.model;
        let why = match model {
            Some(model) if model == &**own => None,
            Some(model) => Some(format!("the print is of the model {own}, and {model} is in use: enrol them anew")),
            None => Some(format!("the print is of the model {own}, and no voice model is installed")),
        };
        Shown {
            id: self.id.clone(),
            name: self.name.clone(),
            consent: self.consent.clone(),
            created_at: self.created_at,
            model: own.clone(),
            is_used: why.is_none(),
            why,
        }
    }
}

/// What may be shown of somebody: all but the print.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// What they are erased by.
    pub id: String,
    /// What they are called.
    pub name: Arc<str>,
    /// Their consent.
    pub consent: Consent,
    /// When the print was made.
    pub created_at: jiff::Timestamp,
    /// The model that made it.
    pub model: Arc<str>,
    /// Whether they can be recognized by it now.
    pub is_used: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Who is to be known, as far as words say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    name: String,
    consent: String,
}

impl Wish {
    /// A name and how its bearer agreed; white space around either is dropped.
    ///
    /// # Errors
    /// [`BadWish`].
    pub fn new(name: &str, consent: &str) -> Result<Self, BadWish> {
        let (name, consent) = (name.trim(), consent.trim());
        let fits = |text: &str, chars_max: usize| (1..=chars_max).contains(&text.chars().count());
        if !fits(name, NAME_CHARS_MAX) || name.chars().any(char::is_control) {
            return Err(BadWish::Name);
        }
        if consent.is_empty() {
            return Err(BadWish::NoConsent);
        }
        if !fits(consent, CONSENT_CHARS_MAX) {
            return Err(BadWish::Consent);
        }
        Ok(Self { name: name.to_owned(), consent: consent.to_owned() })
    }
}

/// Nobody is known by such words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWish {
    /// The name is none.
    #[error("a name has 1 to {NAME_CHARS_MAX} characters in one line")]
    Name,
    /// Nobody agreed.
    #[error("nobody's voice is kept without their consent: say how it was given")]
    NoConsent,
    /// How they agreed is told at too great a length.
    #[error("how consent was given is said in {CONSENT_CHARS_MAX} characters")]
    Consent,
}

/// Everybody who is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct People {
    /// The oldest first.
    pub people: Vec<Person>,
    /// Files that hold nobody who can be read; erasing them by their name's id is possible.
    pub damaged: Vec<String>,
}

/// Voices that one model can recognize.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// What they are called; the first is `VoiceId` 0 and so on.
    pub names: Vec<Arc<str>>,
    /// What they sound like, in the same order.
    pub prints: Vec<VoicePrint>,
}

impl Known {
    /// Everybody whom this machine can recognize: those of the configuration's data folder with prints of the voice
    /// model that is installed. Nobody, and a line in the log, where that cannot be read: a name that is missing is no
    /// reason for a call or a transcript to fail. Blocks on the disk.
    pub fn here(config: &Config) -> Self {
        let Some(kind) = engine::voice_kind(config) else { return Self::default() };
        let Ok(data_dir) = cli::data_dir(config) else { return Self::default() };
        KnownVoices::at(&data_dir).known(kind.name()).unwrap_or_else(|error| {
            tracing::warn!(%error, "nobody is recognized by their voice");
            Self::default()
        })
    }
}

/// The folder of everybody who is kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct KnownVoices {
    dir: PathBuf,
}

impl KnownVoices {
    /// The one in a data folder; it may be absent.
    pub fn at(data_dir: &Path) -> Self {
        Self { dir: data_dir.join("speakers") }
    }

    /// Everybody.
    ///
    /// # Errors
    /// [`Error::Read`] when the folder cannot be read; a file that cannot be read is among the damaged ones.
    pub fn list(&self) -> Result<People, Error> {
        let mut found = People::default();
        for name in self.files(".json")? {
            match self.read(&name) {
                Some(person) => found.people.push(person),
                None if name.strip_suffix(".json").is_some_and(is_id) => found.damaged.push(name),
                // Nobody of this server's: it can be erased by no id, so it is not offered for it.
                None => {}
            }
        }
        found.people.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        found.damaged.sort();
        Ok(found)
    }

    /// Those whom `model` can recognize. Prints of other models are kept and say nothing to this one.
    ///
    /// # Errors
    /// As for [`KnownVoices::list`].
    pub fn known(&self, model: &str) -> Result<Known, Error> {
        let of_model = self.list()?.people.into_iter().filter(|person| &*person.print.model == model);
        let (names, prints) = of_model.map(|person| (person.name, person.print)).unzip();
        Ok(Known { names, prints })
    }

    /// Keeps somebody.
    ///
    /// # Errors
    /// [`Error`]; then nobody is kept.
    pub fn add(&self, wish: Wish, print: VoicePrint, now: jiff::Timestamp) -> Result<Person, Error> {
        let _lock = self.lock()?;
        if self.files(".json")?.len() >= PEOPLE_MAX {
            return Err(Error::Full);
        }
        let mut bits = [0; ID_DIGITS / 2];
        SysRng.try_fill_bytes(&mut bits).map_err(|_| Error::Random)?;
        let id = bits.iter().fold(ID_START.to_owned(), |id, byte| format!("{id}{byte:02x}"));
        let consent = Consent { given_at: now, how: wish.consent };
        let person = Person { id, name: wish.name.into(), consent, created_at: now, print };
        let bytes = serde_json::to_vec(&person).map_err(io::Error::other);
        let (path, fresh) = (self.path(&person.id), self.dir.join(format!("{}{UNFINISHED}", person.id)));
        let written = bytes.and_then(|bytes| {
            let mut file = private(&fresh)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            self.settle();
            Ok(())
        });
        match written {
            Ok(()) => Ok(person),
            Err(source) => {
                let _ = fs::remove_file(&fresh);
                Err(Error::Write { path, source })
            }
        }
    }

    /// Erases somebody: their file is written over and removed. Backups, and disks that keep what was written over,
    /// are out of reach.
    ///
    /// # Errors
    /// [`Error::Unknown`] when nobody of that id is kept.
    pub fn erase(&self, id: &str) -> Result<(), Error> {
        let unknown = || Error::Unknown { id: id.chars().take(64).collect() };
        let path = if is_id(id) { self.path(id) } else { return Err(unknown()) };
        // Whoever keeps nobody has no folder, and makes none to say so.
        if !path.exists() {
            return Err(unknown());
        }
        let _lock = self.lock()?;
        match shred(&path) {
            Ok(()) => {
                self.settle();
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(unknown()),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    /// Names of the files of this ending.
    fn files(&self, ending: &str) -> Result<Vec<String>, Error> {
        let unread = |source| Error::Read { path: self.dir.clone(), source };
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unread(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(unread)?.file_name();
            names.extend(name.to_str().filter(|name| name.ends_with(ending)).map(str::to_owned));
        }
        Ok(names)
    }

    /// Whom a file holds; `None` for whatever is not a person under their own name.
    fn read(&self, name: &str) -> Option<Person> {
        let path = self.dir.join(name);
        let is_small = fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= FILE_BYTES_MAX);
        let bytes = is_small.then(|| fs::read(&path).ok()).flatten()?;
        let person: Person = serde_json::from_slice(&bytes).ok()?;
        (name.strip_suffix(".json") == Some(person.id.as_str()) && is_id(&person.id)).then_some(person)
    }

    fn path(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    /// Holds off every other process, and removes what one that died left half written.
    fn lock(&self) -> Result<File, Error> {
        let unwritten = |source| Error::Write { path: self.dir.clone(), source };
        folder(&self.dir).map_err(unwritten)?;
        let lock = private(&self.dir.join(".lock")).map_err(unwritten)?;
        lock.lock().map_err(unwritten)?;
        for name in self.files(UNFINISHED)? {
            let _ = shred(&self.dir.join(name));
        }
        Ok(lock)
    }

    /// Makes what was added or removed last through a power failure, where the system can.
    fn settle(&self) {
        if let Ok(dir) = File::open(&self.dir) {
            let _ = dir.sync_all();
        }
    }
}

/// Known voices cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder is there and cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file cannot be written or removed.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is room for no more.
    #[error("{PEOPLE_MAX} voices are known, and there is room for no more; erase somebody first")]
    Full,
    /// Nobody of that id is kept.
    #[error("there is no speaker {id}; `harmony speakers list` shows those there are")]
    Unknown {
        /// The id asked for.
        id: String,
    },
    /// The system has no randomness to give.
    #[error("the system has no randomness to make an id from")]
    Random,
}

/// Opens a file that only this user may read, creating it so.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a folder that only this user may look into.
fn folder(dir: &Path) -> io::Result<()> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Writes over a file and removes it.
fn shred(path: &Path) -> io::Result<()> {
    let length = fs::metadata(path)?.len().min(FILE_BYTES_MAX) as usize;
    let over = OpenOptions::new().write(true).open(path).and_then(|mut file| {
        file.write_all(&vec![0; length])?;
        file.sync_all()
    });
    // Gone is better than written over: a disk without room refuses the one and not the other.
    fs::remove_file(path)?;
    if let Err(error) = over {
        tracing::debug!(%error, "a voice was removed without being written over");
    }
    Ok(())
}

fn is_id(text: &str) -> bool {
    let digits = text.strip_prefix(ID_START).unwrap_or_default();
    digits.len() == ID_DIGITS && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// People who are kept at most: with more of them, strangers are taken for somebody too often.
pub const PEOPLE_MAX: usize = 1_000;

/// Characters of a name.
pub const NAME_CHARS_MAX: usize = 80;

/// Characters in which it is said how consent was given.
pub const CONSENT_CHARS_MAX: usize = 500;

const ID_START: &str = "sp_";

/// Hexadecimal digits of an id: 64 random bits.
const ID_DIGITS: usize = 16;

/// What a file is called while it is written.
const UNFINISHED: &str = ".new";

/// A print of the widest model is 30 KB.
const FILE_BYTES_MAX: u64 = 128 << 10;

#[cfg(test)]
mod tests;
