//! Rooms and the recorder together: who gets a track, when a recording begins, and that it ends with its room.
//!
//! One task a recording watches who has sound and who agreed, opens a track for each, and tells the room how the
//! recording ends. A room has one recording at a time. Consent is kept twice: the bridge hands out nothing of a
//! participant who may not be recorded, and nobody gets a track before they may be. Nothing here is real time,
//! and what blocks on the disk runs on a blocking thread.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::StatusCode;
use bot::{actor::RoomHandle, event::RoomEvent, participant::may_be_captured, room::Room};
use media::{
    bridge::{BridgeError, Captured},
    id::{ParticipantId, RoomId},
    record::{
        Container, Encoding, Manifest, Opening, Options, RecordError, Recorder, Recording, RecordingId, Source, State,
        Stats,
    },
};
use serde::Deserialize;
use tokio::{sync::watch, task::spawn_blocking};

use crate::{
    app::App,
    cli::{self, NoDataDir},
    config::Config,
    error::ApiError,
    sound::RoomSound,
};

/// How long the end of a recording is waited for: the last sound takes 300 ms, a busy disk longer.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// How long a change is waited for: the recorder looks at its orders at once, unless the disk holds it up.
const CHANGE_PATIENCE: Duration = Duration::from_secs(2);

/// Entries of the room's log that are read at once.
const ENTRIES: usize = 64;

/// What is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wish {
    /// The container; as configured when not set.
    pub format: Option<Container>,
    /// Which files there are.
    pub tracks: Tracks,
}

/// Which files a recording has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tracks {
    /// One of everybody and one each.
    #[default]
    Both,
    /// One of everybody.
    Mixed,
    /// One each.
    Separate,
}

/// Why recordings cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// There is no folder for data.
    #[error(transparent)]
    Data(#[from] NoDataDir),
    /// The folder cannot be used.
    #[error("cannot keep recordings in {}: {source} (recording.dir sets the folder)", dir.display())]
    Folder {
        /// Which.
        dir: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Every recording of the server.
pub struct Recordings {
    recorder: Recorder,
    active: Arc<Mutex<BTreeMap<RoomId, Active>>>,
    /// Ends when the last guest has gone.
    guests: watch::Sender<()>,
}

/// A recording of somebody else's; the server waits for it before it ends, until this is dropped.
pub(crate) struct Guest {
    _guests: watch::Receiver<()>,
}

/// A room's recording, from when it is asked for until the room was told of its end.
struct Active {
    recording: Option<Recording>,
    gone: watch::Receiver<()>,
}

/// Keeps a room's place among the active ones.
struct Entry {
    room: RoomId,
    active: Arc<Mutex<BTreeMap<RoomId, Active>>>,
    _gone: watch::Sender<()>,
}

impl Recordings {
    /// Repairs what the last process left and starts the recorder. Blocks on the disk.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn open(config: &Config) -> Result<Self, Broken> {
        let dir = match &config.recording.dir {
            Some(dir) => dir.clone(),
            None => cli::data_dir(config)?.join("recordings"),
        };
        let encoding = Encoding { container: config.recording.format, bitrate_bps: config.recording.bitrate_bps };
        let options = Options { dir: dir.clone(), encoding, free_bytes_min: config.recording.free_bytes_min };
        let recorder = Recorder::start(options).map_err(|source| Broken::Folder { dir, source })?;
        Ok(Self { recorder, active: Arc::default(), guests: watch::Sender::new(()) })
    }

    /// The recorder.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// What the recorder has come to, as metrics.
    pub(crate) fn observe(&self) {
        let Stats { recording, paused, finished, interrupted, failed, lost_ms } = self.recorder.stats();
        for (state, count) in [
            (State::Recording, recording),
            (State::Paused, paused),
            (State::Finished, finished),
            (State::Interrupted, interrupted),
            (State::Failed, failed),
        ] {
            metrics::gauge!("harmony_recordings", "state" => state.as_str()).set(count as f64);
        }
        metrics::counter!("harmony_recording_lost_ms_total").absolute(lost_ms);
    }

    /// Notes that somebody records beside what is recorded of rooms.
    pub(crate) fn guest(&self) -> Guest {
        Guest { _guests: self.guests.subscribe() }
    }

    fn enter(&self, room: RoomId) -> Result<Entry, ApiError> {
        let mut active = lock(&self.active);
        if active.contains_key(&room) {
            let message = format!("the room {room} is being recorded already");
            return Err(ApiError::new(StatusCode::CONFLICT, "already_recording", message)
                .hint("stop that recording first, or pause and resume it"));
        }
        let (sender, gone) = watch::channel(());
        active.insert(room, Active { recording: None, gone });
        Ok(Entry { room, active: self.active.clone(), _gone: sender })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.active).remove(&self.room);
    }
}

/// Begins to record a room.
///
/// # Errors
/// 409 when it is being recorded; 503 when the recorder or the engine is full, 507 when the disk is; 404 when the
/// room was closed.
pub async fn start(app: &App, room: &RoomHandle, wish: Wish) -> Result<Arc<Manifest>, ApiError> {
    let (app, room) = (app.clone(), room.clone());
    to_the_end(async move { begin(&app, &room, wish).await }).await
}

async fn begin(app: &App, room: &RoomHandle, wish: Wish) -> Result<Arc<Manifest>, ApiError> {
    let recordings = app.recordings()?;
    let entry = recordings.enter(room.id())?;
    let sound = app.sound(room);
    let recorder = recordings.recorder.clone();
    let container = wish.format.unwrap_or_else(|| recorder.encoding().container);
    let began = timestamp(room.epoch().wall);
    let now = timestamp(app.clock().wall());
    let opening = Opening {
        name: format!("{}-{}", now.strftime("%Y%m%d-%H%M%S"), room.id()),
        room: room.id().to_string(),
        room_began: format!("{began:.3}"),
        title: room.title().to_owned(),
        started_at: format!("{now:.3}"),
        epoch: *room.epoch(),
        start: sound.bridge().now(),
        encoding: Encoding { container, ..recorder.encoding() },
        labels: BTreeMap::new(),
    };
    let start = opening.start;
    let recording = blocking(move || recorder.begin(opening)).await?.map_err(refused)?;
    if let Some(active) = lock(&recordings.active).get_mut(&room.id()) {
        active.recording = Some(recording.clone());
    }
    if wish.tracks != Tracks::Separate {
        let added = match sound.bridge().capture(Captured::Everybody).await {
            Ok(reader) => {
                let source = Source { participant: None, name: "Everybody".to_owned(), joined: start, reader };
                recording.add(source).map_err(refused)
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = added {
            // It has begun: it ends like any other, without a file.
            let _ = recording.stop(start);
            return Err(error);
        }
    }
    publish(room, RoomEvent::RecordingStarted { recording: name(&recording) }).await;
    let manifest = recording.manifest();
    let follow = Follow {
        has_track: BTreeSet::new(),
        is_separate: wish.tracks != Tracks::Mixed,
        room: room.clone(),
        sound,
        recording,
        entry,
    };
    tokio::spawn(follow.run());
    Ok(manifest)
}

/// What is known of the recording of a room that is being recorded; nothing while it is only about to begin.
pub(crate) fn running(app: &App, room: RoomId) -> Option<Arc<Manifest>> {
    let recordings = app.recordings().ok()?;
    let recording = lock(&recordings.active).get(&room)?.recording.clone()?;
    Some(recording.manifest())
}

/// Begins to record a room as soon as somebody in it has sound; what goes wrong then is told to the room.
pub fn start_with_first_leg(app: &App, room: &RoomHandle, wish: Wish) {
    let (app, room) = (app.clone(), room.clone());
    tokio::spawn(async move {
        let sound = app.sound(&room);
        let mut changed = sound.changed();
        // Cancel-safe: a look at the members follows on every change.
        let has_come = async { while sound.members().is_empty() && changed.changed().await.is_ok() {} };
        tokio::select! {
            () = has_come => {}
            () = room.closed() => return,
        }
        if let Err(error) = start(&app, &room, wish).await {
            tracing::warn!(room = %room.id(), %error, "a room that was to be recorded is not");
            let why = Some(error.to_string().into());
            publish(&room, RoomEvent::RecordingEnded { recording: "none".into(), state: "failed".into(), why }).await;
        }
    });
}

/// What is to become of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// It grows by silence.
    Paused,
    /// It goes on.
    Recording,
    /// It ends.
    Stopped,
}

/// Pauses, resumes or ends a recording; what it is then. What it is already, it stays.
///
/// # Errors
/// 409 when it has ended; 503 when the recorder is busy.
pub async fn change(app: &App, id: &RecordingId, target: Target) -> Result<Arc<Manifest>, ApiError> {
    let (app, id) = (app.clone(), id.clone());
    to_the_end(async move { steer(&app, &id, target).await }).await
}

async fn steer(app: &App, id: &RecordingId, target: Target) -> Result<Arc<Manifest>, ApiError> {
    let recordings = app.recordings()?;
    let ended = || {
        ApiError::new(StatusCode::CONFLICT, "ended", format!("the recording {id} has ended"))
            .hint("POST …/recordings begins a new one")
    };
    let recording = recordings.recorder.running(id).ok_or_else(ended)?;
    let manifest = recording.manifest();
    let (wanted, event) = match (manifest.state, target) {
        (State::Recording, Target::Recording) | (State::Paused, Target::Paused) => return Ok(manifest),
        (State::Recording | State::Paused, Target::Stopped) => (State::Finished, None),
        (State::Recording, Target::Paused) => {
            (State::Paused, Some(RoomEvent::RecordingPaused { recording: name(&recording) }))
        }
        (State::Paused, Target::Recording) => {
            (State::Recording, Some(RoomEvent::RecordingResumed { recording: name(&recording) }))
        }
        (State::Finished | State::Interrupted | State::Failed, _) => return Err(ended()),
    };
    let room = manifest.room.parse().ok().and_then(|room: RoomId| app.rooms().room(room)).ok_or_else(ended)?;
    let at = app.sound(&room).bridge().now();
    match target {
        Target::Paused => recording.pause(at),
        Target::Recording => recording.resume(at),
        Target::Stopped => recording.stop(at),
    }
    .map_err(refused)?;
    let mut status = recording.status();
    let patience = if target == Target::Stopped { END_PATIENCE } else { CHANGE_PATIENCE };
    let reached = status.wait_for(|manifest| manifest.state == wanted || !manifest.state.is_running());
    // What takes longer has been ordered all the same: the answer says how it stands.
    let _ = tokio::time::timeout(patience, reached).await;
    if let Some(event) = event {
        publish(&room, event).await;
    }
    Ok(recording.manifest())
}

/// Ends the recording of a room that is about to close, and waits until its files are whole and the room was told.
pub async fn end_with(app: &App, room: RoomId) {
    let Ok(recordings) = app.recordings() else { return };
    let Some((recording, mut gone)) =
        lock(&recordings.active).get(&room).map(|active| (active.recording.clone(), active.gone.clone()))
    else {
        return;
    };
    if let (Some(recording), Some(room)) = (recording, app.rooms().room(room)) {
        // A busy recorder ends it when the room has closed: its task sees to that.
        let _ = recording.stop(app.sound(&room).bridge().now());
    }
    // Nothing is ever sent: it ends when the sender is dropped.
    let _ = tokio::time::timeout(END_PATIENCE, gone.changed()).await;
}

/// Waits until no recording is running any more, as long as that makes sense.
pub async fn all_ended(app: &App) {
    let Ok(recordings) = app.recordings() else { return };
    let waiting: Vec<_> = lock(&recordings.active).values().map(|active| active.gone.clone()).collect();
    let all = async {
        for mut gone in waiting {
            let _ = gone.changed().await;
        }
        recordings.guests.closed().await;
    };
    if tokio::time::timeout(END_PATIENCE, all).await.is_err() {
        tracing::warn!("recordings were still being written when the server ended; the next start repairs them");
    }
}

/// The task of one recording.
struct Follow {
    room: RoomHandle,
    sound: Arc<RoomSound>,
    recording: Recording,
    has_track: BTreeSet<ParticipantId>,
    is_separate: bool,
    entry: Entry,
}

impl Follow {
    async fn run(mut self) {
        let mut members = self.sound.changed();
        let mut status = self.recording.status();
        let mut log = self.room.follow(Some(self.room.read(Room::last_seq)));
        loop {
            self.add_tracks().await;
            // Cancel-safe, all of them: each only says that it is time to look.
            tokio::select! {
                // Never an error: the room's sound is ours to keep.
                _ = members.changed() => {}
                ended = status.wait_for(|manifest| !manifest.state.is_running()) => {
                    drop(ended);
                    break;
                }
                entries = log.next(ENTRIES) => match entries {
                    Ok(entries) if entries.is_empty() => break,
                    Ok(_) => {}
                    Err(fell_off) => log = self.room.follow(Some(fell_off.resume)),
                },
            }
        }
        if self.recording.manifest().state.is_running() {
            self.stop().await;
        }
        let ended = self.recording.ended().await;
        publish(
            &self.room,
            RoomEvent::RecordingEnded {
                recording: name(&self.recording),
                state: ended.state.as_str().into(),
                why: ended.reason.as_deref().map(Into::into),
            },
        )
        .await;
        drop(self.entry);
    }

    /// Opens a track for everybody who has sound and may be recorded.
    async fn add_tracks(&mut self) {
        if !self.is_separate {
            return;
        }
        let required = self.room.settings().consent_required;
        let people = self.room.read(Room::participants);
        for member in self.sound.members() {
            let agreed = people.iter().find(|person| person.id == member.participant).map(|person| person.consent);
            let may_be = agreed.is_some_and(|consent| may_be_captured(required, consent));
            if !may_be || self.has_track.contains(&member.participant) {
                continue;
            }
            let joined = self.sound.bridge().now();
            let reader = match self.sound.bridge().capture(Captured::Leg(member.leg)).await {
                Ok(reader) => reader,
                // They only listen, or have left just now.
                Err(BridgeError::NoSuchLeg(_)) => {
                    self.has_track.insert(member.participant);
                    continue;
                }
                Err(error) => {
                    tracing::warn!(room = %self.room.id(), participant = %member.participant, %error, "no track");
                    continue;
                }
            };
            let source =
                Source { participant: Some(member.participant), name: member.name.to_string(), joined, reader };
            match self.recording.add(source) {
                // Asked again on the next change.
                Err(RecordError::Busy) => {}
                added => {
                    self.has_track.insert(member.participant);
                    if let Err(error) = added {
                        tracing::warn!(room = %self.room.id(), participant = %member.participant, %error, "no track");
                    }
                }
            }
        }
    }

    async fn stop(&self) {
        let mut status = self.recording.status();
        while matches!(self.recording.stop(self.sound.bridge().now()), Err(RecordError::Busy)) {
            // The recorder tells its status at least once a second: orders have been taken by then.
            let _ = tokio::time::timeout(CHANGE_PATIENCE, status.changed()).await;
        }
    }
}

/// What the client is told when the recorder refuses.
pub(crate) fn refused(error: RecordError) -> ApiError {
    let full = |message: String| {
        ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", message)
            .hint("delete old recordings, or set recording.free_bytes_min or recording.dir")
    };
    match error {
        RecordError::DiskFull { .. } => full(error.to_string()),
        RecordError::Full(_) | RecordError::Busy => ApiError::full(error.to_string()),
        RecordError::Ended => ApiError::draining(),
        RecordError::Running(_) => ApiError::new(StatusCode::CONFLICT, "running", error.to_string()),
        RecordError::Disk(error) => match error.kind() {
            io::ErrorKind::NotFound => ApiError::not_found("there is no such recording"),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => full("the disk is full".to_owned()),
            _ => {
                tracing::error!(%error, "the disk refuses recordings");
                ApiError::internal("the disk refuses recordings")
            }
        },
    }
}

/// Does all of it, also when whoever asked has hung up: a recording that has begun has its task.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(work).await.map_err(|error| {
        tracing::error!(%error, "changing a recording broke");
        ApiError::internal("the recording could not be changed")
    })?
}

/// Runs what blocks on the disk where it may.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "reading recordings broke");
        ApiError::internal("reading recordings broke")
    })
}

async fn publish(room: &RoomHandle, event: RoomEvent) {
    // A closed room has nobody left to tell.
    let _ = room.publish(event).await;
}

fn name(recording: &Recording) -> Arc<str> {
    recording.id().to_string().into()
}

/// The moment, to be written.
pub(crate) fn timestamp(wall: std::time::SystemTime) -> jiff::Timestamp {
    jiff::Timestamp::try_from(wall).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// Locks, also after a panic elsewhere: every change of the guarded values is complete before it can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
