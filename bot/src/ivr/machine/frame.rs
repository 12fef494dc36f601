//! A document that runs, and the activity that its current verb has become.

use std::time::Instant;

use super::{
    conference::Conferring,
    desk::{Base, Extra},
    dial::Dialling,
    gather::Gathering,
    queue::Queueing,
    record::Recording,
    relay::Relaying,
};
use crate::ivr::{
    effect::{SoundId, TapId},
    twiml::{Document, Link, Reference},
    webhook::{Endpoint, Fetch, Method},
};

/// A document that runs. The call's own lies at the bottom; one that plays while the caller waits lies on it.
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) document: Document,
    /// The next verb.
    pub(super) at: usize,
    pub(super) base: Base,
    /// Whether it came from the fallback address: who fails there fails for good.
    pub(super) is_fallback: bool,
    pub(super) doing: Doing,
}

impl Frame {
    /// A frame whose document is still to come.
    pub(super) fn new(kind: Kind, base: Base) -> Self {
        Self { kind, document: Document::default(), at: 0, base, is_fallback: false, doing: Doing::Ready }
    }
}

/// What a document is for.
#[derive(Clone)]
pub(super) enum Kind {
    /// The call, or a whisper: whatever the machine is for.
    Main,
    /// Plays again and again while the caller waits in a queue or a conference.
    Wait {
        /// Which document; the server's own music where there is none or it fails.
        home: Option<Endpoint>,
        /// When it was asked for last.
        asked: Instant,
        /// Whether `Leave` makes sense in it.
        is_queue: bool,
    },
    /// Plays once before somebody who was waiting is connected.
    Whisper,
}

/// What the current verb has become.
pub(super) enum Doing {
    /// Nothing: the next verb is due.
    Ready,
    /// An application is asked for a document.
    Fetching(Fetching),
    /// A sound is played to its end.
    Sounding(SoundId),
    /// Music without end.
    Music(SoundId),
    /// Silence.
    Pausing(Instant),
    /// The document of a wait begins again, then.
    Rewinding(Instant),
    /// `Gather`.
    Gathering(Box<Gathering>),
    /// `Record`.
    Recording(Box<Recording>),
    /// `Dial` to telephones or a queue.
    Dialling(Box<Dialling>),
    /// `Dial` to a conference.
    Conferring(Box<Conferring>),
    /// `Enqueue`.
    Queueing(Box<Queueing>),
    /// `Connect` to an application that takes words.
    Relaying(Box<Relaying>),
    /// `Connect` to an application that takes sound.
    Streaming {
        /// The stream.
        tap: TapId,
        /// Who is asked afterwards.
        action: Option<Link>,
    },
    /// `Refer`.
    Referring {
        /// Who is asked when it fails.
        action: Option<Link>,
        /// When it has failed.
        until: Instant,
    },
    /// The last words before the call ends.
    Apologizing {
        /// Them.
        id: SoundId,
        /// When they have taken too long.
        until: Instant,
    },
}

/// An application is asked for a document.
pub(super) struct Fetching {
    pub(super) request: Fetch,
    pub(super) is_fallback: bool,
    pub(super) until: Instant,
}

/// How it goes on after an activity was told something.
pub(super) enum Then {
    /// The activity goes on.
    Stay,
    /// With the next verb.
    Next,
    /// With what the application answers.
    Ask {
        /// Whom; the document itself when nobody is named.
        to: Option<Reference>,
        /// How.
        method: Method,
        /// What it is told.
        extra: Extra,
    },
    /// The waiting caller may be connected.
    Accept,
    /// What plays while the caller waits is to begin.
    Wait(Option<Link>),
    /// What the caller is to hear before they are connected is to begin.
    Whisper(Endpoint, Extra),
    /// Nothing is to play on any more.
    Unwait,
}

impl Then {
    /// Asks `link` how to go on, or goes on with the next verb when nobody is named.
    pub(super) fn ask_or_next(link: Option<&Link>, extra: Extra) -> Self {
        match link {
            Some(Link { to, method }) => Self::Ask { to: Some(to.clone()), method: *method, extra },
            None => Self::Next,
        }
    }
}

impl Doing {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Fetching(fetching) => Some(fetching.until),
            Self::Pausing(until) | Self::Rewinding(until) => Some(*until),
            Self::Referring { until, .. } | Self::Apologizing { until, .. } => Some(*until),
            Self::Gathering(gathering) => gathering.deadline(),
            Self::Recording(recording) => recording.deadline(),
            Self::Dialling(dialling) => dialling.deadline(),
            Self::Conferring(conferring) => conferring.deadline(),
            Self::Queueing(queueing) => queueing.deadline(),
            Self::Ready | Self::Sounding(_) | Self::Music(_) | Self::Relaying(_) | Self::Streaming { .. } => None,
        }
    }
}
