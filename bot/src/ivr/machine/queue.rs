//! `Enqueue`: the caller waits, hears what plays meanwhile, and is connected with whoever takes them.

use std::time::{Duration, Instant};

use super::{
    desk::{Desk, Extra},
    frame::Then,
};
use crate::ivr::{
    callback,
    effect::Effect,
    input::{QueueEvent, Standing},
    twiml::{Enqueue, Link},
};

/// How long whoever took the caller has to be connected with them.
const CONNECT: Duration = Duration::from_secs(30);

/// A caller in a queue.
pub(super) struct Queueing {
    enqueue: Enqueue,
    phase: Phase,
    sid: String,
    standing: Standing,
    entered: Instant,
    /// How long the caller waited, once somebody took them.
    waited: Option<Duration>,
}

enum Phase {
    Waiting,
    /// Somebody took the caller, who hears what they are to hear first.
    Taken,
    /// Nothing more is to be heard, and they should be connected by then.
    Accepted {
        until: Instant,
    },
    Talking,
}

impl Queueing {
    pub(super) fn start(desk: &mut Desk, now: Instant, enqueue: Enqueue) -> (Self, Then) {
        desk.answer(now);
        desk.emit(Effect::Enqueue { queue: enqueue.name.clone(), max_size: enqueue.max_size });
        let (sid, standing) = (String::new(), Standing::default());
        (Self { enqueue, phase: Phase::Waiting, sid, standing, entered: now, waited: None }, Then::Stay)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Accepted { until } => Some(until),
            Phase::Waiting | Phase::Taken | Phase::Talking => None,
        }
    }

    pub(super) fn tick(&mut self, desk: &mut Desk, now: Instant) -> Then {
        match self.phase {
            Phase::Accepted { until } if until <= now => {
                desk.emit(Effect::LeaveQueue);
                self.over(now, "error")
            }
            _ => Then::Stay,
        }
    }

    pub(super) fn queue(&mut self, now: Instant, event: QueueEvent) -> Then {
        match (event, &self.phase) {
            (QueueEvent::Entered { sid, standing }, Phase::Waiting) => {
                (self.sid, self.standing, self.entered) = (sid, standing, now);
                Then::Wait(self.enqueue.wait.clone())
            }
            (QueueEvent::Moved(standing), _) => {
                self.standing = standing;
                Then::Stay
            }
            (QueueEvent::Full, Phase::Waiting) => self.over(now, "queue-full"),
            (QueueEvent::Failed, _) => self.over(now, "system-error"),
            (QueueEvent::Taken { by_call_sid, whisper }, Phase::Waiting) => {
                let waited = now.saturating_duration_since(self.entered);
                self.waited = Some(waited);
                self.phase = Phase::Taken;
                match whisper {
                    Some(whisper) => {
                        let extra = vec![
                            ("QueueSid", self.sid.clone()),
                            ("QueueTime", callback::seconds(waited)),
                            ("DequeingCallSid", by_call_sid),
                        ];
                        Then::Whisper(whisper, extra)
                    }
                    None => Then::Accept,
                }
            }
            (QueueEvent::GivenBack, Phase::Taken | Phase::Accepted { .. }) => {
                self.phase = Phase::Waiting;
                self.waited = None;
                Then::Wait(self.enqueue.wait.clone())
            }
            (QueueEvent::Bridged, Phase::Taken | Phase::Accepted { .. }) => {
                self.phase = Phase::Talking;
                Then::Unwait
            }
            (QueueEvent::BridgeEnded, Phase::Taken | Phase::Accepted { .. } | Phase::Talking) => {
                self.over(now, "bridged")
            }
            _ => Then::Stay,
        }
    }

    /// What the caller was to hear first was heard.
    pub(super) fn accept(&mut self, desk: &mut Desk, now: Instant) {
        if matches!(self.phase, Phase::Taken) {
            self.phase = Phase::Accepted { until: now + CONNECT };
            desk.emit(Effect::AcceptDequeue);
        }
    }

    /// `Leave`, in the document that plays while the caller waits.
    pub(super) fn leave(&mut self, desk: &mut Desk, now: Instant) -> Then {
        desk.emit(Effect::LeaveQueue);
        self.over(now, "leave")
    }

    /// What the document that plays while the caller waits is told of how they stand.
    pub(super) fn standing(&self, now: Instant) -> Extra {
        callback::standing(&self.sid, self.standing, now.saturating_duration_since(self.entered)).into()
    }

    /// Ends it: the call is over, or goes on elsewhere. `action` is told either way.
    pub(super) fn abandon(&mut self, desk: &mut Desk, now: Instant, is_over: bool) {
        desk.emit(Effect::LeaveQueue);
        let result = match (is_over, &self.phase) {
            (true, Phase::Talking) => "bridged",
            (true, _) => "hangup",
            (false, Phase::Talking) => "redirected-from-bridged",
            (false, _) => "redirected",
        };
        if let Some(to) = self.enqueue.action.clone().and_then(|link| desk.endpoint(&link)) {
            let params = desk.params(self.result(now, result));
            desk.notify(&to, params);
        }
    }

    fn over(&self, now: Instant, result: &str) -> Then {
        Then::ask_or_next(self.enqueue.action.as_ref(), self.result(now, result))
    }

    fn result(&self, now: Instant, result: &str) -> Extra {
        let mut extra = vec![("QueueResult", result.to_owned())];
        if !self.sid.is_empty() {
            let waited = self.waited.unwrap_or_else(|| now.saturating_duration_since(self.entered));
            extra.push(("QueueSid", self.sid.clone()));
            extra.push(("QueueTime", callback::seconds(waited)));
        }
        extra
    }
}

/// A link whose address is empty: silence, where none at all is music.
pub(super) fn is_silence(link: &Link) -> bool {
    link.to.0.is_empty()
}
