//! `Connect` to an application that takes words: it holds the document until it is done, and says how it ended.

use std::time::Instant;

use super::{
    desk::{Desk, Extra},
    frame::Then,
};
use crate::ivr::{
    callback,
    effect::{Effect, RelayId, RelaySpec},
    input::RelayEvent,
    twiml::{Link, Relay, RelaySettings},
};

/// A conversation of words that is on, or about to be.
pub(super) struct Relaying {
    id: RelayId,
    /// Who is asked afterwards.
    action: Option<Link>,
    /// As the application knows it; empty until it is on.
    sid: String,
    began: Instant,
}

impl Relaying {
    /// Begins; `None` when its address is of no use.
    pub(super) fn start(desk: &mut Desk, now: Instant, relay: Relay, action: Option<Link>) -> Option<Self> {
        let url = desk.resolve(&relay.url, &["ws", "wss"])?;
        let mut settings: RelaySettings = relay.settings;
        // A voice that is named has a language of its own.
        if settings.speaks.is_none() && settings.voice.is_none() {
            settings.speaks.clone_from(&desk.rules.language);
        }
        if settings.hears.is_none() {
            settings.hears.clone_from(&desk.rules.language);
        }
        let id = RelayId(desk.fresh());
        let spec = Box::new(RelaySpec { url, settings, parameters: relay.parameters });
        desk.emit(Effect::StartRelay { id, spec });
        Some(Self { id, action, sid: String::new(), began: now })
    }

    /// What became of it.
    pub(super) fn relay(&mut self, desk: &mut Desk, now: Instant, id: RelayId, event: RelayEvent) -> Then {
        if id != self.id {
            return Then::Stay;
        }
        match event {
            RelayEvent::Started { sid } => {
                (self.sid, self.began) = (sid, now);
                Then::Stay
            }
            RelayEvent::Ended { handoff } => {
                let mut extra = self.outcome("ended", now);
                extra.extend(handoff.map(|handoff| ("HandoffData", handoff.into_inner())));
                Then::ask_or_next(self.action.as_ref(), extra)
            }
            RelayEvent::Failed { code, why } => {
                desk.warn(code, why.clone());
                let mut extra = self.outcome("failed", now);
                extra.extend([("ErrorCode", code.to_string()), ("ErrorMessage", why)]);
                Then::ask_or_next(self.action.as_ref(), extra)
            }
        }
    }

    /// The document is left, or the call is over; then whoever would have been asked is told.
    pub(super) fn abandon(&mut self, desk: &mut Desk, now: Instant, is_over: bool) {
        desk.emit(Effect::StopRelay(self.id));
        if !is_over {
            return;
        }
        if let Some(to) = self.action.as_ref().and_then(|action| desk.endpoint(action)) {
            let params = desk.params(self.outcome("completed", now));
            desk.notify(&to, params);
        }
    }

    fn outcome(&self, status: &str, now: Instant) -> Extra {
        let lasted = now.saturating_duration_since(self.began);
        vec![
            ("SessionId", self.sid.clone()),
            ("SessionStatus", status.to_owned()),
            ("SessionDuration", callback::seconds(lasted)),
        ]
    }
}
