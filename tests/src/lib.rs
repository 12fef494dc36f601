//! The test kit: fixtures, virtual time, and parts that stand in for the world.

pub mod chromium;
pub mod client;
pub mod clients;
pub mod fixture;
pub mod latency;
pub mod netem;
pub mod rehearsal;
pub mod scripted;
pub mod server;
pub mod sounds;
pub mod wer;
