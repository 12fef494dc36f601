//! The only words from control to the engine. Values and boxes only: obeying one allocates and frees nothing.

use std::time::Instant;

use crate::{
    graph::{build::NodeId, node::Control, schedule::Schedule},
    id::RoomId,
};

/// An order to a shard. What it replaces or refuses goes to the reaper.
#[derive(Debug)]
pub enum Command {
    /// A room begins to sound.
    Open {
        /// Which.
        room: RoomId,
        /// Zero of its timeline: its first tick is at the tick's deadline minus this, rounded down to 10 ms.
        epoch: Instant,
        /// Its graph with all nodes inside.
        schedule: Box<Schedule>,
    },
    /// The room's graph has changed: nodes that stay keep what is in them.
    Rebuild {
        /// Which.
        room: RoomId,
        /// The next schedule of the same graph.
        schedule: Box<Schedule>,
    },
    /// An order to one node.
    Tell {
        /// In which room.
        room: RoomId,
        /// To whom.
        node: NodeId,
        /// What.
        control: Control,
    },
    /// The room is over.
    Close {
        /// Which.
        room: RoomId,
    },
}

impl Command {
    /// The room that it is about.
    pub fn room(&self) -> RoomId {
        match self {
            Self::Open { room, .. } | Self::Rebuild { room, .. } | Self::Tell { room, .. } | Self::Close { room } => {
                *room
            }
        }
    }
}
