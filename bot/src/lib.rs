//! Rooms and the brain: what becomes of what was heard.
//!
//! [`room::Room`] is a conversation as a value, [`actor`] the task that runs one, [`brain`] the pure state
//! machine that finds action items, decisions and questions in it, and [`event`] what clients see of it all.
//! Nothing here knows whether words came from a telephone, a browser or a file, nor how events are sent.

pub mod actor;
pub mod brain;
pub mod event;
pub mod note;
pub mod room;
pub mod rooms;
