//! The whole-system tests: real phones, browsers and vendors' SDKs against the real binary.
//!
//! They are one program, because thirty of them, each linked with a neural runtime and a browser's media stack,
//! cost minutes that nobody gains by. `.config/nextest.toml` says which modules have the machine to themselves.

mod accuracy;
mod agent;
mod agent_line;
mod answering;
mod api;
mod applications;
mod architecture;
mod bad_sockets;
mod bench;
mod console;
mod console_agent;
mod console_calls;
mod console_recordings;
mod console_telephone;
mod converse;
mod deepgram;
mod dialects;
mod eval;
mod kamailio;
mod known_voices;
mod legs;
mod limits;
mod loss;
mod memory;
mod no_byte_string_panics;
mod openai;
mod outbound;
mod realtime;
mod realtime_calls;
mod recording;
mod relay;
mod relay_agent;
mod replay;
mod room_speakers;
mod rooms;
mod secured;
mod sip_hostile;
mod sip_torture;
mod sipp;
mod speakers;
mod speaking;
mod speech;
mod streaming;
mod telephone;
mod transcribe;
mod turns;
mod twilio;
mod visemes;
mod webrtc;
