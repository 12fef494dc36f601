//! Somebody who is dialled: how they are asked for, and who is told how it goes with them.

use std::time::Instant;

use super::desk::Desk;
use crate::ivr::{
    call::{CallStatus, ProgressEvents},
    callback::{self, ChildCall},
    effect::{Callee, Effect, Leg, LegId},
    private::Private,
    twiml::{Answering, Dial, Target},
    webhook::Endpoint,
};

/// Somebody who rings, listens to a whisper, or talks.
pub(super) struct Ringing {
    pub(super) child: ChildCall,
    callback: Option<(Endpoint, ProgressEvents)>,
    pub(super) detection_to: Option<Endpoint>,
    /// When they are given up; `None` once they are connected.
    pub(super) until: Option<Instant>,
    pub(super) answered_at: Option<Instant>,
    /// Whether taking it is enough to be connected.
    pub(super) is_ready_at_once: bool,
    /// Whether they play something before they take it.
    pub(super) has_early_sound: bool,
    has_rung: bool,
}

impl Ringing {
    /// Asks for `who` to be dialled, as `dial` and `target` say.
    pub(super) fn start(
        desk: &mut Desk,
        now: Instant,
        dial: &Dial,
        who: Callee,
        target: Option<&Target>,
        whisper: Option<Endpoint>,
    ) -> (LegId, Self) {
        let id = LegId(desk.fresh());
        let caller_id = dial.caller_id.clone().unwrap_or_else(|| desk.facts.from.clone());
        let to = match &who {
            Callee::Phone(Answering::Number(number)) => number.clone(),
            Callee::Phone(Answering::Sip { uri, .. }) => uri.clone(),
            Callee::Phone(Answering::Client { identity, .. }) => Private::from(format!("client:{identity}")),
            Callee::Queue(name) => Private::from(name.clone()),
        };
        let callback = target.and_then(|target| target.callback.clone());
        let callback = callback.and_then(|callback| Some((desk.endpoint(&callback.link)?, callback.events)));
        let detection = target.and_then(|target| target.detection.clone());
        let detection_to = detection.as_ref().and_then(|detection| detection.callback.clone());
        let detection_to = detection_to.and_then(|link| desk.endpoint(&link));
        let ringing = Self {
            child: ChildCall { call_sid: String::new(), from: caller_id.clone(), to },
            callback,
            detection_to,
            until: Some(now + dial.timeout),
            answered_at: None,
            is_ready_at_once: whisper.is_none() && matches!(who, Callee::Phone(_)),
            has_early_sound: false,
            has_rung: false,
        };
        let leg = Leg {
            id,
            who,
            caller_id,
            timeout: dial.timeout,
            send_digits: target.map(|target| target.send_digits.clone()).unwrap_or_default(),
            whisper,
            detection,
        };
        desk.emit(Effect::Dial(Box::new(leg)));
        (id, ringing)
    }

    /// It rings there: told once, however it is known.
    pub(super) fn rings(&mut self, desk: &mut Desk, now: Instant) {
        if !std::mem::replace(&mut self.has_rung, true) {
            self.tell(desk, now, CallStatus::Ringing);
        }
    }

    /// Tells whoever wants to hear of them that they got on.
    pub(super) fn tell(&self, desk: &mut Desk, now: Instant, status: CallStatus) {
        let wanted = self.callback.clone().filter(|(_, events)| callback::is_wanted(*events, status));
        if let Some((to, _)) = wanted {
            let talked = self.answered_at.map(|at| now.saturating_duration_since(at));
            let params = callback::child_progress(&desk.facts, &self.child, status, talked, desk.wall(now));
            desk.notify(&to, params);
        }
    }
}
