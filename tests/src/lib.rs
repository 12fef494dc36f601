//! The test kit: fixtures, virtual time, and parts that stand in for the world.

pub mod baresip;
pub mod caller;
pub mod calls;
pub mod chromium;
pub mod client;
pub mod clients;
pub mod console_page;
pub mod fixture;
pub mod fuzzing;
pub mod fuzzing_twiml;
pub mod hook;
pub mod latency;
pub mod listening;
pub mod mischief;
pub mod netem;
pub mod rehearsal;
pub mod scripted;
pub mod server;
pub mod sipp;
pub mod sounds;
pub mod spoken;
pub mod tls;
pub mod transcriber;
pub mod webrtc_caller;
pub mod wer;
pub mod wire;
