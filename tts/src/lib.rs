//! From words to sound: what is to be said becomes words, words become sentences, sentences become samples.
//!
//! An [`utterance::Utterance`] is what somebody wants said: plain text or the marked-up pieces of SSML, in a
//! [`voice::VoiceId`]. [`text`] turns numbers, dates and addresses into words, [`sentence`] cuts them into what is
//! spoken in one go, and [`worker`] has a few threads that let a [`voice::Voice`] speak them. [`espeak`] is the
//! voice that needs no model: a program of its own, never linked.

mod cache;
pub mod espeak;
pub mod fake;
pub mod sentence;
pub mod text;
pub mod utterance;
pub mod voice;
pub mod worker;
