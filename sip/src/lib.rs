//! The telephone: SIP endpoint, dialogs, SDP, digest, transfer.
//!
//! Everything but [`net`] is pure: it takes bytes and `now` and returns values. [`message`] is what one says to the
//! other, [`transport`] where it comes from and goes to, [`validate`] whether it makes sense, [`auth`] proves who says
//! it, [`transaction`] makes sure that it arrives, [`endpoint`] carries calls, and [`sdp`] agrees on their sound.
//! [`registrar`] knows where users are, [`registration`] tells others where we are, [`trunk`] which of them are there.
//! Nothing here knows of rooms or of who is called.

pub mod auth;
pub mod dialog;
pub mod endpoint;
pub mod message;
pub mod net;
pub mod registrar;
pub mod registration;
pub mod sdp;
pub mod transaction;
pub mod transport;
pub mod trunk;
pub mod validate;
