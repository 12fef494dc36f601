//! The task of one room: takes what the ears heard, lets the brain read it, and publishes both.
//!
//! One tokio task per room, the only writer of its [`Room`]; readers take a short lock and copy references.
//! Crossings, and what happens when they are full: commands to the task hold 256, then the sender waits (it
//! is the reader of one stream, so only that stream's audio is held up); partials have one slot per
//! participant, where a newer one replaces the older. Clients are no crossing: they read the log by cursor.
//! The task never waits for a client, and reads the clock only here, at its edge.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use asr::{diarize::VoiceId, event::Event};
use jiff::civil::Date;
use media::{
    id::{ParticipantId, RoomId},
    journal::{Journal, Kind},
    time::{Epoch, MediaTime},
};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::{
    conversation::{self, Conversation},
    event::{Published, RoomEvent},
    note::Summary,
    participant::{Change, Newcomer, Participant, Standing},
    room::{Crowded, FellOff, Limits, Room, Settings},
};

/// Commands that may wait for the room's task. Finals are rare (one in seconds per speaker), so 256 is
/// minutes of talk of a large meeting; it costs 256 pointers.
const COMMANDS_MAX: usize = 256;

/// A room in which nobody is closes after this long, which frees its log. An hour leaves time to read the
/// transcript after a call.
const EMPTY_FOR: Duration = Duration::from_secs(3_600);

/// What a room is given when it opens.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The room's id.
    pub id: RoomId,
    /// What it is about, for people.
    pub title: String,
    /// When it begins.
    pub epoch: Epoch,
    /// The local date on which it begins; "tomorrow" is the day after.
    pub call_date: Date,
    /// What it demands.
    pub settings: Settings,
    /// How much it keeps.
    pub limits: Limits,
    /// Where its inputs are noted, if they are.
    pub journal: Option<Journal>,
}

/// The room has been closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the room is closed")]
pub struct Closed;

/// Why nobody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// Every place is taken; try again when somebody has left.
    #[error(transparent)]
    Crowded(#[from] Crowded),
    /// The room has been closed; open another.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why somebody's standing was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// They are not in the room, or not any more.
    #[error("{0} is not in the room")]
    NotHere(ParticipantId),
    /// The room has been closed.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// A room as everybody else holds it. Cheap to clone.
#[derive(Clone)]
pub struct RoomHandle(Arc<Shared>);

struct Shared {
    id: RoomId,
    title: String,
    epoch: Epoch,
    settings: Settings,
    /// Until the room is closed.
    journal: Mutex<Option<Journal>>,
    room: Mutex<Room>,
    commands: mpsc::Sender<Command>,
    latest: watch::Sender<Latest>,
    desks: Mutex<Vec<Arc<Desk>>>,
    desk_changed: Notify,
    /// Those who will come back to it: see [`RoomHandle::hold`].
    holds: AtomicUsize,
}

impl Shared {
    fn is_needed(&self) -> bool {
        self.holds.load(Ordering::Acquire) > 0 || !lock(&self.room).participants().is_empty()
    }
}

/// Keeps a room open while nobody is in it; dropping it lets go.
pub struct Hold(RoomHandle);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.0.holds.fetch_sub(1, Ordering::AcqRel);
        // The actor looks again whether anybody needs the room.
        self.0.0.desk_changed.notify_one();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Latest {
    seq: u64,
    is_open: bool,
}

enum Command {
    Join { newcomer: Newcomer, reply: oneshot::Sender<Result<Seat, Crowded>> },
    Heard { participant: ParticipantId, event: Event },
    Publish(RoomEvent),
    Update { participant: ParticipantId, change: Change, reply: oneshot::Sender<Option<Participant>> },
    SendOut { participant: ParticipantId, reply: oneshot::Sender<bool> },
    NameSpeaker { participant: ParticipantId, voice: VoiceId, name: String, reply: oneshot::Sender<bool> },
    Summarise { reply: oneshot::Sender<Summary> },
    Close,
}

/// Where a participant leaves what must not wait in a queue.
struct Desk {
    participant: ParticipantId,
    partial: Mutex<Option<Event>>,
    has_left: AtomicBool,
    standing: watch::Sender<Standing>,
}

/// Opens a room. Nothing runs until the caller spawns [`Actor::run`].
pub fn open(opening: Opening) -> (RoomHandle, Actor) {
    let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
    if let Some(journal) = &opening.journal {
        journal.note(Kind::Room, 0, conversation::json(&conversation::Opened::of(&opening)));
    }
    let (latest, _) = watch::channel(Latest { seq: 0, is_open: true });
    let shared = Arc::new(Shared {
        id: opening.id,
        title: opening.title,
        epoch: opening.epoch,
        settings: opening.settings,
        journal: Mutex::new(opening.journal.clone()),
        room: Mutex::new(Room::new(opening.limits)),
        commands,
        latest,
        desks: Mutex::new(Vec::new()),
        desk_changed: Notify::new(),
        holds: AtomicUsize::new(0),
    });
    let conversation = Conversation::new(opening.call_date, opening.journal);
    let actor = Actor { shared: shared.clone(), inbox, conversation, empty_since: opening.epoch.instant };
    (RoomHandle(shared), actor)
}

impl RoomHandle {
    /// The room's id.
    pub fn id(&self) -> RoomId {
        self.0.id
    }

    /// What it is about, for people.
    pub fn title(&self) -> &str {
        &self.0.title
    }

    /// When it began.
    pub fn epoch(&self) -> &Epoch {
        &self.0.epoch
    }

    /// What it demands.
    pub fn settings(&self) -> Settings {
        self.0.settings
    }

    /// Where what the room takes in is noted; `None` where it is not, and once the room is closed.
    pub fn journal(&self) -> Option<Journal> {
        lock(&self.0.journal).clone()
    }

    /// Whether it still takes anything in.
    pub fn is_open(&self) -> bool {
        self.0.latest.borrow().is_open
    }

    /// Lets somebody in, whose audio begins now. They leave when the [`Seat`] is dropped.
    ///
    /// # Errors
    /// [`JoinError`] when the room is crowded or closed.
    pub async fn join(&self, newcomer: impl Into<Newcomer>) -> Result<Seat, JoinError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Join { newcomer: newcomer.into(), reply }).await?;
        Ok(answer.await.map_err(|_| Closed)??)
    }

    /// Changes how somebody stands. Their [`Seat::standing`] has it when this returns; whoever holds the seat
    /// follows it.
    ///
    /// # Errors
    /// [`UpdateError`]; nothing changed then.
    pub async fn update(&self, participant: ParticipantId, change: Change) -> Result<Participant, UpdateError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Update { participant, change, reply }).await?;
        answer.await.map_err(|_| Closed)?.ok_or(UpdateError::NotHere(participant))
    }

    /// Asks whoever holds somebody's seat to let go of it; they leave when their last words are out.
    ///
    /// # Errors
    /// [`UpdateError`] when there is nobody to send out.
    pub async fn send_out(&self, participant: ParticipantId) -> Result<(), UpdateError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::SendOut { participant, reply }).await?;
        let was_here = answer.await.map_err(|_| Closed)?;
        if was_here { Ok(()) } else { Err(UpdateError::NotHere(participant)) }
    }

    /// Says what one of several speakers on a line is called, now and in all that was said; false when nobody of that
    /// voice was heard on it.
    ///
    /// # Errors
    /// [`Closed`] when the room has been closed.
    pub async fn name_speaker(&self, participant: ParticipantId, voice: VoiceId, name: String) -> Result<bool, Closed> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::NameSpeaker { participant, voice, name, reply }).await?;
        answer.await.map_err(|_| Closed)
    }

    /// Publishes what nobody's ears heard: recordings, and files that are played.
    ///
    /// # Errors
    /// [`Closed`] when the room has been closed.
    pub async fn publish(&self, event: RoomEvent) -> Result<(), Closed> {
        self.send(Command::Publish(event)).await
    }

    /// Reads the room under a short lock: copy what is needed, wait for nothing inside.
    pub fn read<T>(&self, read: impl FnOnce(&Room) -> T) -> T {
        read(&lock(&self.0.room))
    }

    /// A reader of the log that has seen everything up to `cursor`; `None` begins with the oldest entry kept.
    pub fn follow(&self, cursor: Option<u64>) -> Follower {
        let cursor = cursor.unwrap_or_else(|| self.read(Room::oldest_cursor));
        Follower { room: self.clone(), latest: self.0.latest.subscribe(), cursor }
    }

    /// A summary of the room so far.
    ///
    /// # Errors
    /// [`Closed`] when the room has been closed; [`Room::summary`] holds its last one.
    pub async fn summary(&self) -> Result<Summary, Closed> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Summarise { reply }).await?;
        answer.await.map_err(|_| Closed)
    }

    /// Keeps the room open from now on, whether or not anybody is in it: for whoever will come back.
    pub fn hold(&self) -> Hold {
        self.0.holds.fetch_add(1, Ordering::AcqRel);
        Hold(self.clone())
    }

    /// Whether somebody is in it, or will come back.
    pub(crate) fn is_needed(&self) -> bool {
        self.0.is_needed()
    }

    /// Closes the room: everybody leaves, the summary is published, readers come to the end.
    pub async fn close(&self) {
        // A room that is closed already has nothing left to close.
        let _ = self.send(Command::Close).await;
        self.closed().await;
    }

    /// Asks the room to close as soon as its task comes to it, without waiting. A room whose queue is full is
    /// in use, and stays.
    pub(crate) fn abandon(&self) {
        let _ = self.0.commands.try_send(Command::Close);
    }

    /// Waits until the room is closed.
    pub async fn closed(&self) {
        // The sender lives in the same allocation as this handle, so it cannot be gone.
        let _ = self.0.latest.subscribe().wait_for(|latest| !latest.is_open).await;
    }

    async fn send(&self, command: Command) -> Result<(), Closed> {
        self.0.commands.send(command).await.map_err(|_| Closed)
    }
}

/// A participant's place in a room; dropping it is leaving.
pub struct Seat {
    room: RoomHandle,
    desk: Arc<Desk>,
}

impl Seat {
    /// Who sits here.
    pub fn participant(&self) -> ParticipantId {
        self.desk.participant
    }

    /// Which room it is in.
    pub fn room(&self) -> &RoomHandle {
        &self.room
    }

    /// Says which stream of the ears this participant's words come from, as its journal numbers it; to be called
    /// before the first of them.
    pub fn listens(&self, track: Option<u32>) {
        if let (Some(track), Some(journal)) = (track, self.room.journal()) {
            let now = self.room.0.epoch.at(instant_now());
            conversation::note_listening(&journal, self.participant(), track, now);
        }
    }

    /// Hands over what this participant's ears heard, waiting while the room's queue is full (partials never
    /// wait: a newer one takes the place of an unread one).
    ///
    /// # Errors
    /// [`Closed`] when the room has been closed.
    pub async fn heard(&self, event: Event) -> Result<(), Closed> {
        if matches!(event, Event::Partial { .. }) {
            if !self.room.is_open() {
                return Err(Closed);
            }
            *lock(&self.desk.partial) = Some(event);
            self.room.0.desk_changed.notify_one();
            return Ok(());
        }
        self.room.send(Command::Heard { participant: self.desk.participant, event }).await
    }

    /// Says that this participant pressed a key at `start`, on the room's timeline.
    ///
    /// # Errors
    /// [`Closed`] when the room has been closed.
    pub async fn pressed(&self, digit: char, start: MediaTime, duration: Duration) -> Result<(), Closed> {
        self.room.publish(RoomEvent::Dtmf { participant: self.participant(), digit, start, duration }).await
    }

    /// How this participant stands, as it changes. Follow it: somebody who is muted must not be heard, and
    /// somebody who is sent out must go.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.desk.standing.subscribe()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.desk.has_left.store(true, Ordering::Release);
        self.room.0.desk_changed.notify_one();
    }
}

/// A reader of a room's log, at its own pace.
pub struct Follower {
    room: RoomHandle,
    latest: watch::Receiver<Latest>,
    cursor: u64,
}

impl Follower {
    /// The next entries, at most `max`, waiting until there are some; empty when the room is closed and
    /// everything has been read. May be dropped and called again: nothing is lost.
    ///
    /// # Errors
    /// [`FellOff`] when the reader was too slow and entries are gone.
    pub async fn next(&mut self, max: usize) -> Result<Vec<Arc<Published>>, FellOff> {
        loop {
            let latest = *self.latest.borrow_and_update();
            let entries = self.room.read(|room| room.read(self.cursor, max))?;
            if let Some(last) = entries.last() {
                self.cursor = last.seq;
                return Ok(entries);
            }
            if !latest.is_open || self.latest.changed().await.is_err() {
                return Ok(entries);
            }
        }
    }

    /// The last entry handed out: where to resume.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }
}

/// The room's task.
pub struct Actor {
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Command>,
    conversation: Conversation,
    empty_since: Instant,
}

impl Actor {
    /// Runs the room until it is closed, or has been empty for an hour.
    pub async fn run(mut self) {
        tracing::info!(room = %self.shared.id, "room opened");
        let mut is_open = true;
        while is_open {
            let first = self.wait().await;
            // Desks are emptied before the inbox: whatever a stream sent before its partial is in the inbox
            // by then, so a partial never overtakes the speech it belongs to, nor a leaver their last words.
            let (partials, leavers) = self.clear_desks();
            is_open = match first {
                Wake::Command(command) => self.on_command(command),
                Wake::Desk => true,
                Wake::Abandoned => false,
            };
            while is_open && let Ok(command) = self.inbox.try_recv() {
                is_open = self.on_command(command);
            }
            for (participant, event) in partials {
                self.on_heard(participant, event);
            }
            for participant in leavers {
                self.on_left(participant);
            }
            self.announce(true);
        }
        self.on_close();
        self.announce(false);
        tracing::info!(room = %self.shared.id, "room closed");
    }

    async fn wait(&mut self) -> Wake {
        let is_empty = !self.shared.is_needed();
        let abandoned_at = tokio::time::Instant::from_std(self.empty_since + EMPTY_FOR);
        // Cancel-safe: a received command is returned at once, a notification is only a reason to look.
        tokio::select! {
            command = self.inbox.recv() => command.map_or(Wake::Abandoned, Wake::Command),
            () = self.shared.desk_changed.notified() => Wake::Desk,
            () = tokio::time::sleep_until(abandoned_at), if is_empty => Wake::Abandoned,
        }
    }

    fn clear_desks(&self) -> (Vec<(ParticipantId, Event)>, Vec<ParticipantId>) {
        let (mut partials, mut leavers) = (Vec::new(), Vec::new());
        lock(&self.shared.desks).retain(|desk| {
            // Read before the slot: once it is set, no partial follows.
            let has_left = desk.has_left.load(Ordering::Acquire);
            partials.extend(lock(&desk.partial).take().map(|event| (desk.participant, event)));
            leavers.extend(has_left.then_some(desk.participant));
            !has_left
        });
        (partials, leavers)
    }

    /// False when the room is to close.
    fn on_command(&mut self, command: Command) -> bool {
        match command {
            Command::Join { newcomer, reply } => self.on_join(newcomer, reply),
            Command::Publish(event) => {
                let now = self.now();
                self.conversation.announce(&self.shared.room, event, now);
            }
            Command::Update { participant, change, reply } => {
                // Nobody waits for the answer any more when this fails.
                let _ = reply.send(self.on_update(participant, change));
            }
            Command::SendOut { participant, reply } => {
                let was_here = self.stand(participant, |standing| standing.is_sent_out = true);
                let _ = reply.send(was_here);
            }
            Command::Heard { participant, event } => self.on_heard(participant, event),
            Command::NameSpeaker { participant, voice, name, reply } => {
                let now = self.now();
                let was_heard = self.conversation.name_speaker(&self.shared.room, participant, voice, name, now);
                // Nobody waits for the answer any more when this fails.
                let _ = reply.send(was_heard);
            }
            Command::Summarise { reply } => {
                // Nobody waits for the answer any more when this fails.
                let _ = reply.send(self.conversation.summary());
            }
            Command::Close => return false,
        }
        true
    }

    fn on_join(&mut self, newcomer: Newcomer, reply: oneshot::Sender<Result<Seat, Crowded>>) {
        let now = self.now();
        let consent = newcomer.consent;
        let joined = self.conversation.join(&self.shared.room, newcomer, now);
        let joined = joined.map(|participant| {
            tracing::info!(room = %self.shared.id, %participant, "participant joined");
            let (standing, _) = watch::channel(Standing { consent, ..Standing::default() });
            let (partial, has_left) = (Mutex::new(None), AtomicBool::new(false));
            let desk = Arc::new(Desk { participant, partial, has_left, standing });
            lock(&self.shared.desks).push(desk.clone());
            Seat { room: RoomHandle(self.shared.clone()), desk }
        });
        // When nobody waits for the seat any more it is dropped here, which is leaving.
        let _ = reply.send(joined);
    }

    fn on_update(&mut self, participant: ParticipantId, change: Change) -> Option<Participant> {
        let now = self.now();
        let after = self.conversation.update(&self.shared.room, participant, change, now)?;
        self.stand(participant, |standing| {
            (standing.is_muted, standing.consent) = (after.is_muted, after.consent);
        });
        Some(after)
    }

    /// Tells whoever holds a seat; false when nobody does.
    fn stand(&self, participant: ParticipantId, change: impl FnOnce(&mut Standing)) -> bool {
        let desks = lock(&self.shared.desks);
        let desk = desks.iter().find(|desk| desk.participant == participant);
        if let Some(desk) = desk {
            desk.standing.send_modify(change);
        }
        desk.is_some()
    }

    fn on_heard(&mut self, participant: ParticipantId, event: Event) {
        let now = self.now();
        self.conversation.hear(&self.shared.room, participant, event, now);
    }

    fn on_left(&mut self, participant: ParticipantId) {
        let now = self.now();
        self.conversation.leave(&self.shared.room, participant, now);
        tracing::info!(room = %self.shared.id, %participant, "participant left");
        if lock(&self.shared.room).participants().is_empty() {
            self.empty_since = instant_now();
        }
    }

    fn on_close(&mut self) {
        self.inbox.close();
        let now = self.now();
        self.conversation.close(&self.shared.room, now);
    }

    fn announce(&self, is_open: bool) {
        let latest = Latest { seq: lock(&self.shared.room).last_seq(), is_open };
        self.shared.latest.send_if_modified(|known| std::mem::replace(known, latest) != latest);
    }

    fn now(&self) -> MediaTime {
        self.shared.epoch.at(instant_now())
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Also when the task is cancelled or panics: nobody waits on a room that no longer runs, and its journal ends.
        lock(&self.shared.journal).take();
        self.announce(false);
    }
}

enum Wake {
    Command(Command),
    Desk,
    Abandoned,
}

#[expect(clippy::disallowed_methods, reason = "the room's task is the shell that owns the room's clock")]
fn instant_now() -> Instant {
    Instant::now()
}

/// Locks, also after a panic elsewhere: every change of the guarded values is complete before it can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
