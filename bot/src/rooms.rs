//! The rooms of a process, by id.
//!
//! A bounded map under a short lock; whoever opens a room spawns its task. A room is kept after the last
//! participant has left, so that its transcript can be read, until it is closed, has been empty for long, or
//! a new room needs its place.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::civil::Date;
use media::{id::RoomId, time::Epoch};

use crate::{
    actor::{self, Actor, Opening, RoomHandle},
    room::Limits,
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
}

impl Rooms {
    /// No rooms yet; at most `rooms_max` at once, each within `limits`.
    pub fn new(rooms_max: usize, limits: Limits) -> Self {
        Self(Arc::new(Mutex::new(Registry { rooms: BTreeMap::new(), opened: 0, rooms_max, limits })))
    }

    /// Opens a room. The caller spawns [`Actor::run`]. When every place is taken, the longest-kept room in
    /// which nobody is gives up its place.
    ///
    /// # Errors
    /// [`Full`] when somebody is in every room.
    pub fn open(&self, title: &str, epoch: Epoch, call_date: Date) -> Result<(RoomHandle, Actor), Full> {
        let mut registry = self.lock();
        registry.rooms.retain(|_, room| room.is_open());
        if registry.rooms.len() >= registry.rooms_max {
            let empty = registry.rooms.iter().find(|(_, room)| room.read(|room| room.participants().is_empty()));
            let id = empty.map(|(id, _)| *id).ok_or(Full(registry.rooms_max))?;
            if let Some(room) = registry.rooms.remove(&id) {
                room.abandon();
            }
        }
        registry.opened += 1;
        let id = RoomId(registry.opened);
        let title = if title.is_empty() {
            format!("Room {}", registry.opened)
        } else {
            title.chars().take(TITLE_MAX_CHARS).collect()
        };
        let (room, actor) = actor::open(Opening { id, title, epoch, call_date, limits: registry.limits });
        registry.rooms.insert(id, room.clone());
        Ok((room, actor))
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

/// Longer titles are cut.
const TITLE_MAX_CHARS: usize = 200;
