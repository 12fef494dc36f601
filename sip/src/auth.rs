//! Proof of a password without saying it: digest (RFC 7616, 8760; RFC 3261 section 22).
//!
//! [`Guard`] asks others for it, [`Prover`] gives it to others. Pure: time and chance are given, nothing is looked up.

mod algorithm;
mod client;
mod field;
mod nonce;
mod server;

pub use self::{
    algorithm::Algorithm,
    client::{Credentials, Prover, Unanswerable},
    server::{Checked, Guard, GuardConfig, Unproven},
};
