//! Callers over WebRTC: a browser's offer answered, its sound carried to and from a leg, texts beside it.
//!
//! [`offer`] and [`fragment`] read what a caller sends before anything else does. [`Peers`] answers, [`Peer`]
//! is one caller, whose connection is a pure value driven by one tokio task with one UDP socket. The
//! sound crosses to the engine as datagrams of RTP through a leg's rings, so a browser is a leg like any other.
//! The protocols (ICE, DTLS, SRTP, SCTP) are those of the crate `rtc`, which is known here and nowhere else; so
//! [`handshake`], which gives keys to legs that are no WebRTC, is here too.

mod connection;
#[cfg(test)]
mod connection_tests;
pub mod fragment;
pub mod handshake;
pub mod offer;
pub mod peer;
pub mod peers;
mod ports;
mod reflexive;
mod reports;
mod unread;

pub use peer::{Answered, Outgoing, Peer, Sound, State};
pub use peers::{AnswerError, Peers, Settings};
