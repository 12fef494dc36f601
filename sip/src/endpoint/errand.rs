//! What a request of ours is for, within a call.

use super::ReferId;
use crate::message::Method;

/// What a request of ours is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Places the call.
    Invite,
    /// Acknowledges a reliable provisional response of that fork.
    Prack {
        tag: Box<str>,
    },
    /// Offers anew or refreshes the session, by re-INVITE or UPDATE; before the call is answered, with that fork.
    Modify {
        tag: Box<str>,
        method: Method,
        is_refresh: bool,
    },
    Info,
    Refer,
    Notify(ReferId),
}
