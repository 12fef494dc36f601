//! Who is called: the decisions between a number and what answers it, and between a wish to dial and a call.
//!
//! [`Table`] says what answers a number, for whom; [`dialling::Dialling`] what may be dialled out, how often and for
//! how much; [`trunk::Trunks`] how many calls a trunk carries; [`guard::Guard`] who is not answered at all, having
//! tried too many numbers. All of it is pure: told the time, and in plain values; of SIP it knows the
//! statuses that say a refusal ([`dialling::Refusal::status`]). Whoever holds the sockets asks here and does what the
//! answer says.

pub mod destination;
pub mod dialling;
pub mod guard;
pub mod money;
pub mod number;
pub mod pattern;
mod premium;
mod recent;
pub mod source;
pub mod table;
pub mod trunk;
mod window;

pub use self::{
    destination::{Destination, Ivr, Method, Script},
    number::{E164, Home, Party},
    pattern::Pattern,
    source::Source,
    table::{Ask, Caller, Decision, Entry, Record, Table, Unknown},
};
