//! The audio graph of one room: described and checked on a control thread, walked on a real-time thread.
//!
//! [`build::Graph`] is the control half, a value made of nodes, ports and edges. Its `build` checks formats and
//! cycles and yields a [`schedule::Schedule`], the real-time half: a flat list of steps over buffers that are
//! allocated once. One tick is 10 ms; a node gets the slices of its ports and answers whether they sound.
//! Nothing converts a rate by itself: resampling is a node like any other.

pub mod build;
pub mod node;
pub mod nodes;
pub mod notes;
pub mod replay;
pub mod schedule;

/// Ticks in one second. 10 ms divides every codec's frame and is one frame of the noise suppressor; a shorter
/// tick would cost more wake-ups, a longer one would be heard as delay.
pub const TICKS_PER_SECOND: u32 = 100;
