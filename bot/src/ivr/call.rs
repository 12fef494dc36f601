//! What is known of a call before a word is spoken, and the states that webhooks are told.

use media::time::Epoch;

use super::{private::Private, webhook::Endpoint};

/// Who began the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Somebody called us.
    Inbound,
    /// We called, because the REST API asked for it.
    OutboundApi,
    /// We called, because a `Dial` asked for it.
    OutboundDial,
}

impl Direction {
    /// As parameters call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::OutboundApi => "outbound-api",
            Self::OutboundDial => "outbound-dial",
        }
    }
}

/// How a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStatus {
    /// Waits to be sent.
    Queued,
    /// On its way.
    Initiated,
    /// Rings.
    Ringing,
    /// Somebody took it.
    InProgress,
    /// Over, after somebody took it.
    Completed,
    /// Nobody took it: busy.
    Busy,
    /// Nobody took it: it could not be sent.
    Failed,
    /// Nobody took it in time.
    NoAnswer,
    /// Whoever called gave up before somebody took it.
    Canceled,
}

impl CallStatus {
    /// As parameters call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::NoAnswer => "no-answer",
            Self::Canceled => "canceled",
        }
    }
}

/// Whose turn it is to be told of a call: which events, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusCallback {
    /// Where.
    pub to: Endpoint,
    /// Of what.
    pub events: ProgressEvents,
}

/// Events of a call's progress that somebody wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgressEvents {
    /// It is on its way.
    pub initiated: bool,
    /// It rings.
    pub ringing: bool,
    /// Somebody took it.
    pub answered: bool,
    /// It is over.
    pub completed: bool,
}

impl ProgressEvents {
    /// What is told when nothing is said about it: the end.
    pub const END: Self = Self { initiated: false, ringing: false, answered: false, completed: true };
}

/// What is known of a call when its application starts.
#[derive(Clone, Debug)]
pub struct CallFacts {
    /// The call, as the REST API knows it: `CA` and 32 hexadecimal digits.
    pub call_sid: String,
    /// Whose it is: `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    /// Who calls.
    pub from: Private,
    /// Who is called.
    pub to: Private,
    /// Who began it.
    pub direction: Direction,
    /// The name that came with the number.
    pub caller_name: Option<Private>,
    /// Who was called first and passed the call on.
    pub forwarded_from: Option<Private>,
    /// The call whose `Dial` made this one.
    pub parent_call_sid: Option<String>,
    /// Whether somebody took it already: so for calls that we made.
    pub is_answered: bool,
    /// Who wants to be told how it goes.
    pub status: Option<StatusCallback>,
    /// More parameters for every request, such as `SipHeader_X-Account`; after [`Self::OWN_PARAMS`] no more are sent.
    pub own_params: Vec<(String, Private)>,
    /// The bridge between the machine's time and the world's: callbacks carry times of day.
    pub epoch: Epoch,
}

impl CallFacts {
    /// The most parameters of its own that a call adds to each request. A SIP message may have a thousand headers.
    pub const OWN_PARAMS: usize = 32;
}
