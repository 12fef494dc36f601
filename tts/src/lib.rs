//! From words to sound: what is to be said becomes words, words become sentences, sentences become samples.
//!
//! An [`utterance::Utterance`] is what somebody wants said: plain text or the marked-up pieces of SSML, in a
//! [`voice::VoiceId`]. [`text`] turns numbers, dates and addresses into words, [`sentence`] cuts them into what is
//! spoken in one go, and [`worker`] has a few threads that let a [`voice::Voice`] speak them. [`espeak`] is the
//! voice that needs no model: a program of its own, never linked. [`piper`] speaks with a model, [`remote`] has
//! others speak across the network, [`fallback`] lets a second voice speak where the first fails, and [`cast`] has a
//! voice for each language. [`viseme`] tells what a mouth does while all that is heard.

mod cache;
pub mod cast;
pub mod espeak;
pub mod fake;
pub mod fallback;
pub mod piper;
mod places;
pub mod remote;
pub mod secret;
pub mod sentence;
pub mod text;
pub mod utterance;
pub mod viseme;
pub mod voice;
pub mod worker;
mod xml;
