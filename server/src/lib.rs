//! The `harmony` server: configuration, composition, the HTTP and WebSocket border, and the commands.
//!
//! [`app::App`] is what handlers share and [`app::router`] what they hang in; [`live`] is the way of every
//! live socket from bytes to words, [`call`] that of everybody who is heard by others, [`agent`] those who answer; [`api`] speaks our own
//! protocol. No behaviour of its own beyond the wire: hearing lives in `asr`, thinking in `bot`.

pub mod admission;
pub mod agent;
pub mod api;
pub mod app;
pub mod auth;
pub mod bench;
pub mod call;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod dialect;
pub mod encode;
pub mod engine;
pub mod error;
pub mod eval;
pub mod format;
mod hearing;
pub mod known_voices;
mod linger;
mod lips;
pub mod listen;
pub mod live;
pub mod microphone;
pub mod models;
pub mod phone;
pub mod play;
mod range;
pub mod recording;
pub mod reminders;
pub mod replay;
mod say;
pub mod shutdown;
pub mod socket;
pub mod sound;
pub mod speaker;
pub mod store;
pub mod telemetry;
pub mod transcribe;
pub mod transcript;
pub mod voices;
pub mod webhook;
pub mod webrtc;
