//! `Dial` to a conference: the caller is in it, or waits for it to begin.

use std::time::Instant;

use super::{
    desk::{Desk, Extra},
    frame::Then,
};
use crate::ivr::{
    callback,
    effect::Effect,
    input::ConferenceEvent,
    key::Key,
    twiml::{ConferenceRoom, Dial, Link, Reference},
};

/// A caller in a conference.
pub(super) struct Conferring {
    dial: Dial,
    wait: Option<Link>,
    since: Option<Instant>,
    until: Instant,
}

impl Conferring {
    pub(super) fn start(desk: &mut Desk, now: Instant, dial: Dial, room: ConferenceRoom) -> (Self, Then) {
        desk.answer(now);
        let wait = room.wait.clone();
        let callback = room.callback.as_ref().and_then(|(link, _)| desk.endpoint(link));
        let recording_callback = room.recording_callback.clone();
        let recording_callback = recording_callback.and_then(|callback| desk.endpoint(&callback.link));
        desk.emit(Effect::JoinConference { room: Box::new(room), callback, recording_callback });
        let until = now + dial.time_limit;
        (Self { dial, wait, since: None, until }, Then::Stay)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        Some(self.until)
    }

    pub(super) fn tick(&mut self, desk: &mut Desk, now: Instant) -> Then {
        if self.until <= now { self.leave(desk, now) } else { Then::Stay }
    }

    pub(super) fn press(&mut self, desk: &mut Desk, now: Instant, key: Key) -> Then {
        if self.dial.hangup_on_star && key == Key::STAR { self.leave(desk, now) } else { Then::Stay }
    }

    pub(super) fn conference(&mut self, now: Instant, event: ConferenceEvent) -> Then {
        match event {
            ConferenceEvent::Joined { is_waiting, .. } => {
                self.since.get_or_insert(now);
                if is_waiting { Then::Wait(self.wait.clone()) } else { Then::Stay }
            }
            ConferenceEvent::Waiting => Then::Wait(self.wait.clone()),
            ConferenceEvent::Held(music) => {
                Then::Wait(Some(Link { to: Reference(music.url.to_string()), method: music.method }))
            }
            ConferenceEvent::Started => Then::Unwait,
            ConferenceEvent::Left => self.over(now),
        }
    }

    /// Ends it. `is_over` when the call is: then `action` is told what became of it.
    pub(super) fn abandon(&mut self, desk: &mut Desk, now: Instant, is_over: bool) {
        desk.emit(Effect::LeaveConference);
        if let Some(to) = self.dial.action.clone().filter(|_| is_over)
            && let Some(to) = desk.endpoint_of(&to, self.dial.method)
        {
            let params = desk.params(self.result(now));
            desk.notify(&to, params);
        }
    }

    fn leave(&mut self, desk: &mut Desk, now: Instant) -> Then {
        desk.emit(Effect::LeaveConference);
        self.over(now)
    }

    fn over(&self, now: Instant) -> Then {
        let action = self.dial.action.clone().map(|to| Link { to, method: self.dial.method });
        Then::ask_or_next(action.as_ref(), self.result(now))
    }

    /// The vendor calls a conference that one was in `answered`.
    fn result(&self, now: Instant) -> Extra {
        match self.since {
            Some(since) => vec![
                ("DialCallStatus", "answered".to_owned()),
                ("DialCallDuration", callback::seconds(now.saturating_duration_since(since))),
            ],
            None => vec![("DialCallStatus", "failed".to_owned())],
        }
    }
}
