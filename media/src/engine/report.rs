//! The only words from the engine to control: plain values, so that saying them allocates nothing.

use std::time::Duration;

use crate::{
    graph::{build::NodeId, node::Event},
    id::RoomId,
    time::MediaTime,
};

/// What a shard tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Report {
    /// A node of a room has something to say.
    Node {
        /// In which room.
        room: RoomId,
        /// Who.
        node: NodeId,
        /// The tick in which it happened.
        at: MediaTime,
        /// What.
        event: Event,
    },
    /// The room is gone: its last tick is over.
    Closed {
        /// Which.
        room: RoomId,
        /// When its sound ended.
        at: MediaTime,
    },
    /// A command could not be obeyed.
    Refused {
        /// For which room.
        room: RoomId,
        /// Why.
        why: Refusal,
    },
    /// How the shard fares, once a second.
    Health(Health),
}

/// Why a command was not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A room of this id is open already: the caller's mistake.
    AlreadyOpen,
    /// No room of this id is open: it may just have closed.
    NoSuchRoom,
    /// The room has no such node, or it panicked: replace it.
    NoSuchNode,
    /// The shard has as many rooms as it can hold: open it on another, or later.
    Full,
}

/// A second in the life of a shard; counts are since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Ticks done.
    pub ticks: u64,
    /// Ticks that began after the next one was due.
    pub overruns: u64,
    /// Ticks that were never done, because the machine stood still for longer than can be caught up.
    pub skipped_ticks: u64,
    /// Reports that found no room, here or in a schedule.
    pub reports_dropped: u64,
    /// Rooms open now.
    pub rooms: usize,
    /// The latest start of a tick after it was due, in the last second.
    pub lateness_max: Duration,
    /// The longest work of a tick, in the last second.
    pub work_max: Duration,
}
