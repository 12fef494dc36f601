//! The inputs of one call, kept on disk, so that the call can be lived through again.
//!
//! A [`Journal`] belongs to one room. Whoever takes something in that the outcome depends on notes it: the ears
//! what they heard and when, the room what it was told, the graph which packets it read at which tick. Noting
//! never waits: control code goes through a bounded channel, the engine's thread through a [`Tape`], and what
//! finds no room is dropped and counted, which the journal then says of itself ([`Kind::Dropped`]). A thread of
//! the journal's own ([`writer`]) writes the file in checked blocks ([`mod@format`]); a process that dies leaves a
//! journal that ends with its last whole block. Journals hold voices: their folder is the owner's alone.

pub mod body;
pub mod format;
mod tape;
mod writer;

pub(crate) use self::tape::{TapeReader, tape};
pub use self::{
    format::{JournalError, Kind, Reader, Record, VERSION},
    tape::Tape,
    writer::{FILE_NAME, Journal, finish},
};
