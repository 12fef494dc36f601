//! Models: fetched from a web that misbehaves, kept in a store that trusts nothing, and driven from the command
//! line. Nothing leaves the loopback.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod cli;
mod fetch;
mod store;
mod web;
