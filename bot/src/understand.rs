//! What a caller means: names, numbers and addresses in their words, what they want, and how they feel about it.
//!
//! Pure rules for German and English at once: who is asked in one language may answer in the other. [`entity`] finds
//! values, [`intent`] what is wanted of a persona's list, [`form`] asks for what is still missing until a tool can be called,
//! [`emotion`] hears how somebody feels, [`wake`] whether they speak to the agent at all. Words of callers are data; nothing
//! here follows them, opens a socket, reads a clock or logs.

mod digits;
mod email;
pub mod emotion;
pub mod entity;
pub mod form;
pub mod intent;
mod meaning;
mod name;
mod phone;
mod spelling;
pub mod wake;
mod when;
mod words;
