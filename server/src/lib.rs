//! The `harmony` server: configuration, composition, the HTTP and WebSocket border, and the commands.
//!
//! [`app::App`] is what handlers share and [`app::router`] what they hang in; [`live`] is the way of every
//! live socket from bytes to words; [`api`] speaks our own protocol. No
//! behaviour of its own beyond the wire: hearing lives in `asr`, thinking in `bot`.

pub mod admission;
pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod dialect;
pub mod engine;
pub mod error;
pub mod format;
pub mod listen;
pub mod live;
pub mod models;
pub mod shutdown;
pub mod socket;
pub mod telemetry;
pub mod transcribe;
pub mod transcript;
