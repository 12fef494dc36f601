//! The recorder: a handle for whoever composes rooms, and the one thread that writes all recordings.
//!
//! The thread wakes ten times a second, takes what all captures hold, encodes and writes it; it may block on the
//! disk and never touches real time. When it falls behind, captures (2 s each) lose the newest frames and say so;
//! the hole becomes silence of the same length, which costs nothing to write, so it catches up by itself. Orders
//! to the thread hold 256; when they are full the order is refused, and whoever gave it may give it again.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    library::Library,
    running::{Place, Running, Source},
    state::{Encoding, Manifest, RecordingId, State},
};
use crate::time::{Epoch, MediaTime};

/// How often the thread looks at all captures. A frame waits half as long, and a wake costs some microseconds.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long the thread may hand files to the disk in one wake; the rest is due in the next.
const SYNC_FOR: Duration = Duration::from_millis(40);

/// How often the free space is looked at and a state that could not be written is written again.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// Orders that may wait for the thread.
const ORDERS_MAX: usize = 256;

/// Tracks at once. One costs about half a percent of a core to encode, so the thread fills a good half of one.
const TRACKS_MAX: usize = 128;

/// How a recorder works.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of all recordings.
    pub dir: PathBuf,
    /// How sound is written when nobody says otherwise.
    pub encoding: Encoding,
    /// Recordings end before less than this is free on the disk.
    pub free_bytes_min: u64,
}

/// What a recording is begun with.
#[derive(Clone, Debug)]
pub struct Opening {
    /// What it is called on disk: its time first, then its room. A number is added to namesakes.
    pub name: String,
    /// The room's id.
    pub room: String,
    /// When the room began, RFC 3339.
    pub room_began: String,
    /// The room's title.
    pub title: String,
    /// When the recording begins, RFC 3339.
    pub started_at: String,
    /// The room's timeline.
    pub epoch: Epoch,
    /// When the recording begins, on it.
    pub start: MediaTime,
    /// How sound is written.
    pub encoding: Encoding,
    /// What is noted beside it, to find it again.
    pub labels: BTreeMap<String, String>,
}

/// Why something is not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The disk is nearly full; the operator makes room.
    #[error("the disk has {free_bytes} bytes left, and recordings leave {min_bytes} free")]
    DiskFull {
        /// What is free.
        free_bytes: u64,
        /// What stays free.
        min_bytes: u64,
    },
    /// As many tracks are written as one thread can write; try again later.
    #[error("{0} tracks are recorded already, which is all that are recorded at once")]
    Full(usize),
    /// The recorder has too many orders to take one more; try again soon.
    #[error("the recorder is busy")]
    Busy,
    /// The recorder has ended with the server.
    #[error("the recorder has ended")]
    Ended,
    /// The recording still grows; stop it first.
    #[error("the recording {0} is still running")]
    Running(RecordingId),
    /// The disk refused.
    #[error("the disk refused: {0}")]
    Disk(#[from] io::Error),
}

/// What the recorder has come to since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Recordings that grow.
    pub recording: u64,
    /// Recordings that are paused.
    pub paused: u64,
    /// Recordings that were ended.
    pub finished: u64,
    /// Recordings that the last process left behind.
    pub interrupted: u64,
    /// Recordings that could not be written on.
    pub failed: u64,
    /// Sound that came too late to be written, in milliseconds over all tracks.
    pub lost_ms: u64,
}

/// Records rooms. Cheap to clone; when the last clone and the last [`Recording`] are gone the thread ends.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
    orders: SyncSender<Order>,
}

/// A recording that grows. Cheap to clone; dropping it changes nothing.
#[derive(Clone)]
pub struct Recording {
    id: RecordingId,
    status: watch::Receiver<Arc<Manifest>>,
    shared: Arc<Shared>,
    orders: SyncSender<Order>,
}

struct Shared {
    library: Library,
    options: Options,
    /// What grows, and what has ended and could not be saved yet.
    running: Mutex<BTreeMap<RecordingId, watch::Receiver<Arc<Manifest>>>>,
    tracks: Arc<AtomicUsize>,
    finished: AtomicU64,
    interrupted: AtomicU64,
    failed: AtomicU64,
    lost_ms: AtomicU64,
}

enum Order {
    Begin(Box<Running>),
    Add(RecordingId, Box<(Source, Place)>),
    Pause(RecordingId, MediaTime),
    Resume(RecordingId, MediaTime),
    Label(RecordingId, String, String),
    Stop(RecordingId, MediaTime),
}

impl Recorder {
    /// Repairs what the last process left and starts the thread. Blocks on the disk.
    ///
    /// # Errors
    /// When the folder cannot be made or read, or no thread can be started.
    pub fn start(options: Options) -> io::Result<Self> {
        let library = Library::open(&options.dir)?;
        let interrupted = library.recover()? as u64;
        if interrupted > 0 {
            tracing::warn!(interrupted, "recordings that the last process left were repaired");
        }
        let (orders, inbox) = sync_channel(ORDERS_MAX);
        let shared = Arc::new(Shared {
            library,
            options,
            running: Mutex::default(),
            tracks: Arc::default(),
            finished: AtomicU64::new(0),
            interrupted: AtomicU64::new(interrupted),
            failed: AtomicU64::new(0),
            lost_ms: AtomicU64::new(0),
        });
        let writer = Writer { shared: shared.clone(), running: BTreeMap::new(), unsaved: Vec::new() };
        thread::Builder::new().name("recorder".to_owned()).spawn(move || writer.run(&inbox))?;
        Ok(Self { shared, orders })
    }

    /// How sound is written when nobody says otherwise.
    pub fn encoding(&self) -> Encoding {
        self.shared.options.encoding
    }

    /// Begins a recording without tracks. Blocks on the disk.
    ///
    /// # Errors
    /// [`RecordError`]; nothing is left behind then.
    pub fn begin(&self, opening: Opening) -> Result<Recording, RecordError> {
        let shared = &self.shared;
        if shared.tracks.load(Ordering::Relaxed) >= TRACKS_MAX {
            return Err(RecordError::Full(TRACKS_MAX));
        }
        shared.is_space_left()?;
        let id = shared.library.create(&opening.name)?;
        let manifest = Manifest {
            id: id.clone(),
            room: opening.room,
            room_began: opening.room_began,
            title: opening.title,
            state: State::Recording,
            reason: None,
            started_at: opening.started_at,
            start_s: opening.start.as_secs_f64(),
            duration_s: 0.0,
            format: opening.encoding.container,
            tracks: Vec::new(),
            labels: opening.labels,
        };
        let folder = shared.library.folder(&id);
        let (sender, status) = watch::channel(Arc::new(manifest.clone()));
        let mut running = Running::new(manifest, opening.epoch, opening.start, folder, opening.encoding, sender);
        let saved = running.save().map_err(RecordError::from);
        let begun = saved.and_then(|()| {
            shared.running().insert(id.clone(), status.clone());
            give(&self.orders, Order::Begin(Box::new(running)))
        });
        if let Err(error) = begun {
            shared.running().remove(&id);
            // The folder was made a moment ago; what stays is found by the next start.
            let _ = shared.library.delete(&id);
            return Err(error);
        }
        Ok(Recording { id, status, shared: shared.clone(), orders: self.orders.clone() })
    }

    /// The recording with this id, if it grows.
    pub fn running(&self, id: &RecordingId) -> Option<Recording> {
        let status = self.shared.running().get(id)?.clone();
        Some(Recording { id: id.clone(), status, shared: self.shared.clone(), orders: self.orders.clone() })
    }

    /// What is known of a recording, whether it grows or not. Blocks on the disk.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn show(&self, id: &RecordingId) -> io::Result<Arc<Manifest>> {
        let running = self.shared.running().get(id).map(|status| status.borrow().clone());
        running.map_or_else(|| self.shared.library.load(id).map(Arc::new), Ok)
    }

    /// The newest recordings before `before`, at most `max`, newest first. Blocks on the disk.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self, max: usize, before: Option<&RecordingId>) -> io::Result<Vec<Arc<Manifest>>> {
        let listed = self.shared.library.list(max, before)?;
        let running = self.shared.running();
        let fresh = |manifest: Manifest| match running.get(&manifest.id) {
            Some(status) => status.borrow().clone(),
            None => Arc::new(manifest),
        };
        Ok(listed.into_iter().map(fresh).collect())
    }

    /// The newest recording whose name ends with `suffix`. Blocks on the disk.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn ending(&self, suffix: &str) -> io::Result<Option<RecordingId>> {
        self.shared.library.ending(suffix)
    }

    /// Where a file of a recording lies; none when the recording has no such file.
    pub fn path(&self, manifest: &Manifest, file: &str) -> Option<PathBuf> {
        let track = manifest.tracks.iter().find(|track| track.file == file)?;
        Some(self.shared.library.folder(&manifest.id).join(&track.file))
    }

    /// Removes a recording that has ended, with its files. Blocks on the disk.
    ///
    /// # Errors
    /// [`RecordError::Running`], or what the disk says.
    pub fn delete(&self, id: &RecordingId) -> Result<(), RecordError> {
        if self.running(id).is_some_and(|recording| recording.manifest().state.is_running()) {
            return Err(RecordError::Running(id.clone()));
        }
        self.shared.library.delete(id)?;
        // One that has ended is among the running only while its last state could not be written.
        self.shared.running().remove(id);
        Ok(())
    }

    /// What it has come to.
    pub fn stats(&self) -> Stats {
        let states: Vec<State> = self.shared.running().values().map(|status| status.borrow().state).collect();
        let count = |state| states.iter().filter(|&&other| other == state).count() as u64;
        Stats {
            recording: count(State::Recording),
            paused: count(State::Paused),
            finished: self.shared.finished.load(Ordering::Relaxed),
            interrupted: self.shared.interrupted.load(Ordering::Relaxed),
            failed: self.shared.failed.load(Ordering::Relaxed),
            lost_ms: self.shared.lost_ms.load(Ordering::Relaxed),
        }
    }
}

impl Recording {
    /// Its name.
    pub fn id(&self) -> &RecordingId {
        &self.id
    }

    /// What is known of it now.
    pub fn manifest(&self) -> Arc<Manifest> {
        self.status.borrow().clone()
    }

    /// What is known of it, as it changes.
    pub fn status(&self) -> watch::Receiver<Arc<Manifest>> {
        self.status.clone()
    }

    /// Waits until it has ended.
    pub async fn ended(&self) -> Arc<Manifest> {
        let mut status = self.status.clone();
        // The sender is dropped only after the last state was told.
        let _ = status.wait_for(|manifest| !manifest.state.is_running()).await;
        status.borrow().clone()
    }

    /// Adds a track.
    ///
    /// # Errors
    /// [`RecordError::Full`], [`RecordError::Busy`], [`RecordError::Ended`].
    pub fn add(&self, source: Source) -> Result<(), RecordError> {
        let place = Place::take(&self.shared.tracks, TRACKS_MAX).ok_or(RecordError::Full(TRACKS_MAX))?;
        give(&self.orders, Order::Add(self.id.clone(), Box::new((source, place))))
    }

    /// Takes no sound from `at` on: the files hold silence until it goes on.
    ///
    /// # Errors
    /// [`RecordError::Busy`], [`RecordError::Ended`].
    pub fn pause(&self, at: MediaTime) -> Result<(), RecordError> {
        give(&self.orders, Order::Pause(self.id.clone(), at))
    }

    /// Goes on from `at`.
    ///
    /// # Errors
    /// [`RecordError::Busy`], [`RecordError::Ended`].
    pub fn resume(&self, at: MediaTime) -> Result<(), RecordError> {
        give(&self.orders, Order::Resume(self.id.clone(), at))
    }

    /// Notes something beside it.
    ///
    /// # Errors
    /// [`RecordError::Busy`], [`RecordError::Ended`].
    pub fn label(&self, name: &str, value: impl Into<String>) -> Result<(), RecordError> {
        give(&self.orders, Order::Label(self.id.clone(), name.to_owned(), value.into()))
    }

    /// Ends it at `at`; [`ended`](Self::ended) says when its files are whole.
    ///
    /// # Errors
    /// [`RecordError::Busy`], [`RecordError::Ended`].
    pub fn stop(&self, at: MediaTime) -> Result<(), RecordError> {
        give(&self.orders, Order::Stop(self.id.clone(), at))
    }
}

fn give(orders: &SyncSender<Order>, order: Order) -> Result<(), RecordError> {
    orders.try_send(order).map_err(|refused| match refused {
        TrySendError::Full(_) => RecordError::Busy,
        TrySendError::Disconnected(_) => RecordError::Ended,
    })
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, BTreeMap<RecordingId, watch::Receiver<Arc<Manifest>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_space_left(&self) -> Result<(), RecordError> {
        let (free_bytes, min_bytes) = (free_bytes(self.library.root())?, self.options.free_bytes_min);
        if free_bytes < min_bytes { Err(RecordError::DiskFull { free_bytes, min_bytes }) } else { Ok(()) }
    }
}

/// What this user may still write to the disk of `path`.
fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The thread.
struct Writer {
    shared: Arc<Shared>,
    running: BTreeMap<RecordingId, Running>,
    /// Ended, but the last state could not be written: a full disk may have room later.
    unsaved: Vec<Running>,
}

impl Writer {
    /// Runs until nobody can give an order any more; what still grows then is interrupted.
    fn run(mut self, inbox: &Receiver<Order>) {
        let (mut look_at, mut tidy_at) = (now(), now());
        loop {
            let order = if self.running.is_empty() && self.unsaved.is_empty() {
                inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                inbox.recv_timeout(look_at.saturating_duration_since(now()))
            };
            match order {
                Ok(order) => self.on_order(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let woken = now();
            if woken >= look_at {
                // Late wakes are not made up for: what waits is taken at once.
                look_at = woken + LOOK_EVERY;
                self.look();
                self.sync();
            }
            if woken >= tidy_at {
                tidy_at = woken + TIDY_EVERY;
                self.tidy();
            }
        }
        while let Some((_, recording)) = self.running.pop_first() {
            self.give_up(recording, State::Interrupted, "the server ended".to_owned());
        }
    }

    fn on_order(&mut self, order: Order) {
        let (id, done) = match order {
            Order::Begin(recording) => {
                tracing::info!(recording = %recording.manifest.id, room = recording.manifest.room, "recording");
                self.running.insert(recording.manifest.id.clone(), *recording);
                return;
            }
            Order::Add(id, added) => {
                let (source, place) = *added;
                let done = self.running.get_mut(&id).map_or(Ok(()), |recording| recording.add(source, place));
                (id, done)
            }
            Order::Pause(id, at) => {
                let done = self.running.get_mut(&id).map_or(Ok(()), |recording| recording.pause(at));
                (id, done)
            }
            Order::Resume(id, at) => {
                let done = self.running.get_mut(&id).map_or(Ok(()), |recording| recording.resume(at));
                (id, done)
            }
            Order::Label(id, name, value) => {
                let done = self.running.get_mut(&id).map_or(Ok(()), |recording| recording.label(name, value));
                (id, done)
            }
            Order::Stop(id, at) => {
                if let Some(recording) = self.running.get_mut(&id) {
                    recording.stop(at);
                }
                return;
            }
        };
        if let Err(error) = done {
            self.fail(&id, &error);
        }
    }

    fn look(&mut self) {
        let now = now();
        let ids: Vec<RecordingId> = self.running.keys().cloned().collect();
        for id in ids {
            let Some(recording) = self.running.get_mut(&id) else { continue };
            match recording.look(recording.epoch.at(now)) {
                Ok(looked) => {
                    self.shared.lost_ms.fetch_add(looked.lost.as_millis() as u64, Ordering::Relaxed);
                    if looked.is_over {
                        self.finish(&id);
                    }
                }
                Err(error) => self.fail(&id, &error),
            }
        }
    }

    /// Hands files to the disk, for as long as a wake allows, each recording in its turn.
    fn sync(&mut self) {
        let began = now();
        let mut failed = Vec::new();
        let mut is_any_due = true;
        while std::mem::take(&mut is_any_due) {
            for (id, recording) in &mut self.running {
                match recording.sync_one(began) {
                    Ok(was_due) => is_any_due |= was_due,
                    Err(error) => failed.push((id.clone(), error)),
                }
                if now().saturating_duration_since(began) > SYNC_FOR {
                    is_any_due = false;
                    break;
                }
            }
        }
        for (id, error) in failed {
            self.fail(&id, &error);
        }
    }

    fn tidy(&mut self) {
        if !self.running.is_empty()
            && let Err(full @ RecordError::DiskFull { .. }) = self.shared.is_space_left()
        {
            while let Some((_, recording)) = self.running.pop_first() {
                self.give_up(recording, State::Failed, full.to_string());
            }
        }
        let unsaved = std::mem::take(&mut self.unsaved);
        for recording in unsaved {
            self.settle(recording);
        }
    }

    fn finish(&mut self, id: &RecordingId) {
        let Some(mut recording) = self.running.remove(id) else { return };
        match recording.finish() {
            Ok(()) => {
                self.shared.finished.fetch_add(1, Ordering::Relaxed);
                tracing::info!(recording = %id, "recorded");
                self.settle(recording);
            }
            Err(error) => self.give_up(recording, State::Failed, reason(&error)),
        }
    }

    fn fail(&mut self, id: &RecordingId, error: &io::Error) {
        if let Some(recording) = self.running.remove(id) {
            self.give_up(recording, State::Failed, reason(error));
        }
    }

    fn give_up(&mut self, mut recording: Running, state: State, reason: String) {
        tracing::warn!(recording = %recording.manifest.id, reason, "the recording ends here; what was written stays");
        recording.fail(state, reason);
        let counter = if state == State::Failed { &self.shared.failed } else { &self.shared.interrupted };
        counter.fetch_add(1, Ordering::Relaxed);
        self.settle(recording);
    }

    /// Writes the last state; what the disk refuses is tried again later, and known from memory until then. The
    /// end is told when it is on disk: whoever hears of it may remove the recording at once.
    fn settle(&mut self, mut recording: Running) {
        match recording.conclude() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                recording.tell();
                self.unsaved.push(recording);
            }
            // Also when somebody has removed the folder meanwhile.
            _ => {
                self.shared.running().remove(&recording.manifest.id);
                recording.tell();
            }
        }
    }
}

/// What people are told of an error of the disk.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full".to_owned(),
        _ => format!("the disk refused: {error}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "the recorder's thread is the shell that owns its clock")]
fn now() -> Instant {
    Instant::now()
}
