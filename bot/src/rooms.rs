//! The rooms of a process, by id.
//!
//! A bounded map under a short lock; whoever opens a room spawns its task. A room is kept after the last
//! participant has left, so that its transcript can be read, until it is closed, has been empty for long, or
//! a new room needs its place.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::civil::Date;
use media::{id::RoomId, journal::Journal, time::Epoch};

use crate::{
    actor::{self, Actor, Opening, RoomHandle},
    room::{Limits, Settings},
};

/// Every room has somebody in it, and there is no place for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {0} rooms are in use")]
pub struct Full(pub usize);

/// Every room of the process. Cheap to clone.
#[derive(Clone)]
pub struct Rooms(Arc<Mutex<Registry>>);

struct Registry {
    rooms: BTreeMap<RoomId, RoomHandle>,
    opened: u64,
    rooms_max: usize,
    limits: Limits,
    /// Where each room's inputs are noted in a folder of their own, if they are.
    inputs: Option<PathBuf>,
}

impl Rooms {
    /// No rooms yet; at most `rooms_max` at once, each within `limits`.
    pub fn new(rooms_max: usize, limits: Limits) -> Self {
        let registry = Registry { rooms: BTreeMap::new(), opened: 0, rooms_max, limits, inputs: None };
        Self(Arc::new(Mutex::new(registry)))
    }

    /// From now on everything that new rooms take in, voices included, is kept in folders under `inputs`, so
    /// that a call can be replayed.
    pub fn record_inputs(&self, inputs: PathBuf) {
        self.lock().inputs = Some(inputs);
    }

    /// Opens a room. The caller spawns [`Actor::run`]. When every place is taken, the longest-kept room in
    /// which nobody is gives up its place.
    ///
    /// # Errors
    /// [`Full`] when somebody is in every room.
    pub fn open(
        &self,
        title: &str,
        settings: Settings,
        epoch: Epoch,
        call_date: Date,
    ) -> Result<(RoomHandle, Actor), Full> {
        self.lock().open(title, settings, epoch, call_date)
    }

    /// The open room of this title, or a new one, which comes with what the caller spawns. However many ask at
    /// once, there is one room.
    ///
    /// # Errors
    /// [`Full`] when there is none and somebody is in every room.
    pub fn titled(
        &self,
        title: &str,
        settings: Settings,
        epoch: Epoch,
        call_date: Date,
    ) -> Result<(RoomHandle, Option<Actor>), Full> {
        let mut registry = self.lock();
        let found = registry.rooms.values().find(|room| room.is_open() && room.title() == title).cloned();
        match found {
            Some(room) => Ok((room, None)),
            None => registry.open(title, settings, epoch, call_date).map(|(room, actor)| (room, Some(actor))),
        }
    }

    /// The room with this id, if it is open.
    pub fn room(&self, id: RoomId) -> Option<RoomHandle> {
        self.lock().rooms.get(&id).filter(|room| room.is_open()).cloned()
    }

    /// Every open room, oldest first.
    pub fn list(&self) -> Vec<RoomHandle> {
        self.lock().rooms.values().filter(|room| room.is_open()).cloned().collect()
    }

    /// Takes a room out, so that nobody finds it any more. The caller closes it.
    pub fn take(&self, id: RoomId) -> Option<RoomHandle> {
        self.lock().rooms.remove(&id).filter(RoomHandle::is_open)
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn open(
        &mut self,
        title: &str,
        settings: Settings,
        epoch: Epoch,
        call_date: Date,
    ) -> Result<(RoomHandle, Actor), Full> {
        self.rooms.retain(|_, room| room.is_open());
        if self.rooms.len() >= self.rooms_max {
            let empty = self.rooms.iter().find(|(_, room)| !room.is_needed());
            let id = empty.map(|(id, _)| *id).ok_or(Full(self.rooms_max))?;
            if let Some(room) = self.rooms.remove(&id) {
                room.abandon();
            }
        }
        self.opened += 1;
        let id = RoomId(self.opened);
        let title = if title.is_empty() {
            format!("Room {}", self.opened)
        } else {
            title.chars().take(TITLE_MAX_CHARS).collect()
        };
        let journal = self.inputs.as_deref().and_then(|inputs| journal(inputs, id, &epoch));
        let (room, actor) =
            actor::open(Opening { id, title, epoch, call_date, settings, limits: self.limits, journal });
        self.rooms.insert(id, room.clone());
        Ok((room, actor))
    }
}

/// The journal of a room that begins; `None`, and a warning, when its files cannot be made: a call never fails
/// for it.
fn journal(inputs: &Path, room: RoomId, epoch: &Epoch) -> Option<Journal> {
    let began = jiff::Timestamp::try_from(epoch.wall).unwrap_or_default();
    let folder = inputs.join(format!("{room}-{}", began.strftime("%Y%m%dT%H%M%S%3fZ")));
    match Journal::create(&folder, epoch.instant) {
        Ok(journal) => {
            tracing::info!(%room, folder = %folder.display(), "the room's inputs are recorded, voices included");
            Some(journal)
        }
        Err(error) => {
            tracing::warn!(%room, folder = %folder.display(), %error, "the room's inputs cannot be recorded");
            None
        }
    }
}

/// Longer titles are cut.
const TITLE_MAX_CHARS: usize = 200;
