//! The sound of the rooms: the engine's switchboard, one bridge a room, and who in a room has a leg.
//!
//! Control side only, on tokio threads. A room's sound is made when somebody first asks for it and forgotten
//! when the room closes; a room without sound costs the engine nothing. [`crate::call`] enters its legs here, so
//! that recorders and meters find them, and [`crate::play`] keeps what is being played.

use std::{
    collections::BTreeMap,
    io,
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use bot::actor::RoomHandle;
use media::{
    bridge::{Bridge, BridgeError, LegId, Level, Switchboard},
    frame::MOUTH_HZ,
    id::{ParticipantId, RoomId},
};
use tokio::sync::{Semaphore, watch};

use crate::{config::Config, error::ApiError, play::Player};

/// Cores for which one shard of the engine is enough: a shard carries some hundred calls on a fraction of one.
const CORES_PER_SHARD: usize = 4;

/// Files that are played at once, over all rooms; each may hold its file in memory.
const PLAYS_MAX: usize = 32;

/// The sound of every room.
pub struct Sounds {
    switchboard: Switchboard,
    rooms: Mutex<BTreeMap<RoomId, Arc<RoomSound>>>,
    plays: Arc<Semaphore>,
}

impl Sounds {
    /// Starts the engine. Call it in a tokio runtime.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(config: &Config) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let shards = config.engine.shards.unwrap_or_else(|| (cores / CORES_PER_SHARD).max(1));
        Ok(Self {
            switchboard: Switchboard::start(shards)?,
            rooms: Mutex::new(BTreeMap::new()),
            plays: Arc::new(Semaphore::new(PLAYS_MAX)),
        })
    }

    /// The engine's.
    pub fn switchboard(&self) -> &Switchboard {
        &self.switchboard
    }

    /// A room's sound. Of a room that is closed it is one that nobody else finds.
    pub fn of(&self, room: &RoomHandle) -> Arc<RoomSound> {
        let mut rooms = lock(&self.rooms);
        if let Some(sound) = rooms.get(&room.id()) {
            return sound.clone();
        }
        let sound = Arc::new(RoomSound {
            bridge: self.switchboard.bridge(room.id(), *room.epoch(), MOUTH_HZ),
            members: Mutex::new(BTreeMap::new()),
            changed: watch::Sender::new(0),
            player: Player::new(self.plays.clone()),
        });
        if let Some(journal) = room.journal() {
            sound.bridge.record_inputs(journal);
        }
        // A room is forgotten after it is closed, so one that is open now will be.
        if room.is_open() {
            rooms.insert(room.id(), sound.clone());
        }
        sound
    }

    /// Forgets the sound of a room that is closed.
    pub(crate) fn forget(&self, room: RoomId) {
        lock(&self.rooms).remove(&room);
    }

    /// What the engine counts, as metrics.
    pub(crate) fn observe(&self) {
        let health = self.switchboard.health();
        let sum = |count: fn(&media::engine::report::Health) -> u64| health.iter().map(count).sum::<u64>();
        metrics::counter!("harmony_engine_tick_overrun_total").absolute(sum(|shard| shard.overruns));
        metrics::counter!("harmony_engine_ticks_skipped_total").absolute(sum(|shard| shard.skipped_ticks));
        let work_max = health.iter().map(|shard| shard.work_max).max().unwrap_or_default();
        metrics::gauge!("harmony_engine_tick_work_seconds").set(work_max.as_secs_f64());
        let drops = self.switchboard.drops();
        for (crossing, count) in [
            ("engine_reports", drops.reports),
            ("leg_events", drops.leg_events),
            ("ears", drops.ears),
            ("captures", drops.captures),
        ] {
            metrics::counter!("harmony_drops_total", "crossing" => crossing).absolute(count);
        }
    }
}

/// The sound of one room.
pub struct RoomSound {
    bridge: Bridge,
    members: Mutex<BTreeMap<ParticipantId, Member>>,
    changed: watch::Sender<u64>,
    player: Player,
}

/// A participant who has sound.
#[derive(Clone)]
pub struct Member {
    /// Who.
    pub participant: ParticipantId,
    /// As they are called.
    pub name: Arc<str>,
    /// Their leg of the room's bridge.
    pub leg: LegId,
    /// How loud they are.
    pub levels: watch::Receiver<Level>,
}

impl RoomSound {
    /// The room's bridge, at 48 kHz.
    pub fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// Who has sound, in the order they came.
    pub fn members(&self) -> Vec<Member> {
        lock(&self.members).values().cloned().collect()
    }

    /// Moves whenever a member comes or goes.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// What is played to the room.
    pub(crate) fn player(&self) -> &Player {
        &self.player
    }

    /// Enters a member until the answer is dropped.
    pub(crate) fn enter(self: &Arc<Self>, member: Member) -> Presence {
        let participant = member.participant;
        lock(&self.members).insert(participant, member);
        self.changed.send_modify(|count| *count += 1);
        Presence { sound: self.clone(), participant }
    }
}

/// A member is among the others until this is dropped.
pub(crate) struct Presence {
    sound: Arc<RoomSound>,
    participant: ParticipantId,
}

impl Drop for Presence {
    fn drop(&mut self) {
        lock(&self.sound.members).remove(&self.participant);
        self.sound.changed.send_modify(|count| *count += 1);
    }
}

impl From<BridgeError> for ApiError {
    fn from(error: BridgeError) -> Self {
        match error {
            BridgeError::Full => Self::full(error.to_string()),
            BridgeError::NoSuchLeg(_) => Self::not_found(error.to_string()),
            error => {
                tracing::error!(%error, "a leg could not join its room");
                Self::internal("the engine did not take the leg")
            }
        }
    }
}

/// Locks, also after a panic elsewhere: every change of the guarded values is complete before it can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
