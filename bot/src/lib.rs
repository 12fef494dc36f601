//! Rooms and the brain: what becomes of what was heard.
//!
//! [`room::Room`] is a conversation as a value, [`actor`] the task that runs one, [`brain`] the pure state
//! machine that finds action items, decisions and questions in it, and [`event`] what clients see of it all.
//! [`ivr`] is the voice menu: another pure machine, which holds one telephone call and does what a TwiML
//! application says; [`consent`] asks those in a call whether it may be recorded. [`agent`] is the machine that holds a
//! conversation: [`turn`] says who has the floor, [`understand`] what is meant, [`llm`] asks models, [`tools`] does things,
//! [`persona`] is who it is.
//! Whether words came from a telephone, a browser or a file makes no difference here: how somebody came, their
//! [`participant::Kind`], is only passed on. Nor does anything here know how events are sent.

pub mod actor;
pub mod agent;
pub mod answering;
pub mod brain;
pub mod consent;
pub mod conversation;
pub mod event;
pub mod ivr;
pub mod llm;
pub mod note;
pub mod participant;
pub mod persona;
pub mod room;
pub mod rooms;
pub mod routing;
pub mod speakers;
pub mod tools;
pub mod turn;
pub mod understand;
