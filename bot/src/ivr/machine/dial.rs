//! `Dial`: telephones that ring at once or one after the other, and the talk with whoever takes it.
//!
//! Of several that ring at once the first who is ready wins: who must first hear a whisper is not, so the others ring on
//! meanwhile. Whoever rings when somebody has won is hung up.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use super::{
    desk::{Desk, Extra},
    frame::Then,
    kept::{FILE_WAIT, Interest},
    leg::Ringing,
};
use crate::ivr::{
    call::CallStatus,
    callback,
    effect::{Callee, Effect, LegId, RecordingId, RecordingSource, RecordingSpec, SoundId},
    input::{LegEvent, RecordingEvent, Unreached},
    key::Key,
    notice::Code,
    private::Private,
    twiml::{Channels, Dial, DialRecord, Dialled, Link, Target},
};

/// A `Dial` that runs.
pub(super) struct Dialling {
    dial: Dial,
    /// Who is dialled when those before do not answer.
    later: VecDeque<Target>,
    legs: BTreeMap<LegId, Ringing>,
    ringback: Option<SoundId>,
    /// Whose sound the caller hears although they have not taken the call.
    early: Option<LegId>,
    talking: Option<Talking>,
    recording: Option<RecordingId>,
    /// How the best of those who were not reached went.
    outcome: CallStatus,
    /// The child that the result tells of: who talked, or who was tried last.
    child: Option<String>,
    /// The result, when only the file of the recording is waited for.
    finishing: Option<Finishing>,
}

struct Talking {
    leg: LegId,
    since: Instant,
    until: Instant,
}

struct Finishing {
    extra: Extra,
    next: Option<Link>,
    until: Instant,
}

impl Dialling {
    pub(super) fn start(desk: &mut Desk, now: Instant, mut dial: Dial) -> (Self, Then) {
        let dialled = std::mem::replace(&mut dial.dialled, Dialled::Legs { targets: Vec::new(), sequential: false });
        if !dial.answer_on_bridge {
            desk.answer(now);
        }
        let mut dialling = Self {
            dial,
            later: VecDeque::new(),
            legs: BTreeMap::new(),
            ringback: None,
            early: None,
            talking: None,
            recording: None,
            outcome: CallStatus::Failed,
            child: None,
            finishing: None,
        };
        let from_ringing = matches!(
            dialling.dial.record,
            DialRecord::Mono { from_ringing: true } | DialRecord::Dual { from_ringing: true }
        );
        if from_ringing && desk.answered_at.is_some() {
            dialling.record(desk, now);
        }
        match dialled {
            Dialled::Queue { name, whisper } => {
                let whisper = whisper.as_ref().and_then(|link| desk.endpoint(link));
                dialling.outcome = CallStatus::NoAnswer;
                let (id, leg) = Ringing::start(desk, now, &dialling.dial, Callee::Queue(name), None, whisper);
                dialling.legs.insert(id, leg);
            }
            Dialled::Legs { targets, sequential } => {
                dialling.later = targets.into();
                while let Some(target) = dialling.later.pop_front() {
                    dialling.ring_target(desk, now, target);
                    if sequential {
                        break;
                    }
                }
            }
            Dialled::Conference(_) => {}
        }
        let then = dialling.after_losing(desk, now);
        (dialling, then)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let ringing = self.legs.values().filter_map(|leg| leg.until);
        let talking = self.talking.iter().map(|talking| talking.until);
        ringing.chain(talking).chain(self.finishing.iter().map(|finishing| finishing.until)).min()
    }

    pub(super) fn tick(&mut self, desk: &mut Desk, now: Instant) -> Then {
        if let Some(finishing) = self.finishing.take_if(|finishing| finishing.until <= now) {
            return Then::ask_or_next(finishing.next.as_ref(), finishing.extra);
        }
        if self.talking.as_ref().is_some_and(|talking| talking.until <= now) {
            return self.end_talk(desk, now);
        }
        let late = self.legs.iter().filter(|(_, leg)| leg.until.is_some_and(|until| until <= now));
        let late: Vec<_> = late.map(|(id, _)| *id).collect();
        for id in late {
            desk.emit(Effect::HangUpLeg(id));
            self.lose(desk, now, id, CallStatus::NoAnswer);
        }
        self.after_losing(desk, now)
    }

    pub(super) fn press(&mut self, desk: &mut Desk, now: Instant, key: Key) -> Then {
        if self.dial.hangup_on_star && key == Key::STAR && self.talking.is_some() {
            return self.end_talk(desk, now);
        }
        Then::Stay
    }

    pub(super) fn leg(&mut self, desk: &mut Desk, now: Instant, id: LegId, event: LegEvent) -> Then {
        let is_talking = self.talking.as_ref().is_some_and(|talking| talking.leg == id);
        let Some(leg) = self.legs.get_mut(&id) else { return Then::Stay };
        match event {
            LegEvent::Ended | LegEvent::Unreached(_) if is_talking => return self.talked(desk, now),
            LegEvent::Started { call_sid } => {
                leg.child.call_sid.clone_from(&call_sid);
                self.child = Some(call_sid);
                leg.tell(desk, now, CallStatus::Initiated);
            }
            LegEvent::Ringing => {
                leg.rings(desk, now);
                self.ring_back(desk);
            }
            LegEvent::Early => {
                leg.rings(desk, now);
                leg.has_early_sound = true;
                match self.who_is_heard_early() {
                    Some(id) => self.hear_early(desk, id),
                    None => self.ring_back(desk),
                }
            }
            LegEvent::Answered if leg.answered_at.is_none() => {
                leg.answered_at = Some(now);
                leg.until = None;
                leg.tell(desk, now, CallStatus::InProgress);
                if leg.is_ready_at_once {
                    self.connect(desk, now, id);
                } else {
                    // What they listen to has an end of its own; this is for when nobody tells us of it.
                    leg.until = Some(now + LONGEST_WHISPER);
                    // They are not heard while they listen to it: for the caller it rings on.
                    if self.early.take_if(|early| *early == id).is_some() {
                        self.ring_back(desk);
                    }
                }
            }
            LegEvent::Ready => self.connect(desk, now, id),
            LegEvent::Detected(what) => {
                if let Some(to) = leg.detection_to.clone() {
                    let listened = leg.answered_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
                    let params = callback::machine_detection(&desk.facts, &leg.child, what, listened);
                    desk.notify(&to, params);
                }
            }
            LegEvent::Unreached(why) => {
                let status = match why {
                    Unreached::Busy => CallStatus::Busy,
                    Unreached::NoAnswer => CallStatus::NoAnswer,
                    Unreached::Failed => CallStatus::Failed,
                };
                self.lose(desk, now, id, status);
                return self.after_losing(desk, now);
            }
            LegEvent::Ended => {
                self.lose(desk, now, id, CallStatus::Completed);
                return self.after_losing(desk, now);
            }
            LegEvent::Refers { to } => return self.passed_on(desk, now, &to),
            LegEvent::Answered => {}
        }
        Then::Stay
    }

    pub(super) fn recorded(&mut self, about: RecordingId, event: &RecordingEvent) -> Then {
        if self.recording != Some(about) {
            return Then::Stay;
        }
        let mut more: Extra = Vec::new();
        match event {
            RecordingEvent::Done { sid, url, duration, .. } => {
                more.push(("RecordingUrl", url.clone()));
                more.push(("RecordingSid", sid.clone()));
                more.push(("RecordingDuration", callback::seconds(*duration)));
            }
            RecordingEvent::Absent | RecordingEvent::Failed => {}
            RecordingEvent::Started { .. } | RecordingEvent::Transcribed { .. } => return Then::Stay,
        }
        self.recording = None;
        match self.finishing.take() {
            Some(Finishing { mut extra, next, .. }) => {
                extra.extend(more);
                Then::ask_or_next(next.as_ref(), extra)
            }
            None => Then::Stay,
        }
    }

    /// Ends it. `is_over` when the call is: then `action` is told what became of it.
    pub(super) fn abandon(&mut self, desk: &mut Desk, now: Instant, is_over: bool) {
        self.hush(desk);
        let mut extra = match self.finishing.take() {
            Some(finishing) => finishing.extra,
            None => {
                let status = if self.talking.is_some() { CallStatus::Completed } else { CallStatus::Canceled };
                self.result(now, status)
            }
        };
        self.hang_up_all(desk, now, None);
        if let Some(id) = self.recording {
            desk.stop_recording(now, id);
        }
        let Some(to) = self.dial.action.clone().filter(|_| is_over) else { return };
        let Some(to) = desk.endpoint_of(&to, self.dial.method) else { return };
        match self.recording.take() {
            Some(id) => desk.tell_when_recorded(id, to, std::mem::take(&mut extra)),
            None => {
                let params = desk.params(extra);
                desk.notify(&to, params);
            }
        }
    }

    fn ring_target(&mut self, desk: &mut Desk, now: Instant, target: Target) {
        let whisper = target.whisper.as_ref().and_then(|link| desk.endpoint(link));
        let (id, leg) =
            Ringing::start(desk, now, &self.dial, Callee::Phone(target.who.clone()), Some(&target), whisper);
        self.legs.insert(id, leg);
    }

    fn ring_back(&mut self, desk: &mut Desk) {
        let is_wanted = self.early.is_none() && self.talking.is_none() && self.finishing.is_none();
        if self.ringback.is_none() && is_wanted {
            let id = SoundId(desk.fresh());
            self.ringback = Some(id);
            let is_signalled = desk.answered_at.is_none();
            desk.emit(Effect::Ringback { id, country: self.dial.ring_tone.clone(), is_signalled });
        }
    }

    /// Whoever rings alone, and plays something meanwhile that the caller is to hear: announcements, ringing of their own.
    /// Of several who ring nobody is heard, nor where the document names the ringing.
    fn who_is_heard_early(&self) -> Option<LegId> {
        let (id, leg) = self.legs.first_key_value().filter(|_| self.legs.len() == 1)?;
        let is_heard = leg.has_early_sound && leg.answered_at.is_none() && self.dial.ring_tone.is_none();
        is_heard.then_some(*id)
    }

    fn hear_early(&mut self, desk: &mut Desk, id: LegId) {
        if self.early != Some(id) && self.talking.is_none() && self.finishing.is_none() {
            self.hush(desk);
            self.early = Some(id);
            desk.emit(Effect::HearEarly(id));
        }
    }

    fn hush(&mut self, desk: &mut Desk) {
        if let Some(id) = self.ringback.take() {
            desk.emit(Effect::StopSound(id));
        }
    }

    fn connect(&mut self, desk: &mut Desk, now: Instant, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id).filter(|_| self.talking.is_none() && self.finishing.is_none()) else {
            return;
        };
        leg.until = None;
        if leg.answered_at.is_none() {
            leg.answered_at = Some(now);
            leg.tell(desk, now, CallStatus::InProgress);
        }
        self.child = Some(leg.child.call_sid.clone());
        self.early = None;
        self.hush(desk);
        self.later.clear();
        self.hang_up_all(desk, now, Some(id));
        desk.answer(now);
        desk.emit(Effect::Bridge(id));
        self.talking = Some(Talking { leg: id, since: now, until: now + self.dial.time_limit });
        if self.dial.record != DialRecord::No && self.recording.is_none() {
            self.record(desk, now);
        }
    }

    fn record(&mut self, desk: &mut Desk, now: Instant) {
        let channels = match self.dial.record {
            DialRecord::No => return,
            DialRecord::Mono { .. } => Channels::Mono,
            DialRecord::Dual { .. } => Channels::Dual,
        };
        let spec = RecordingSpec {
            source: RecordingSource::Both(channels),
            max_length: self.dial.time_limit + self.dial.timeout,
            trim: self.dial.trim,
            transcribe: false,
            by: "DialVerb",
        };
        let callback = self.dial.recording_callback.clone();
        let callback = callback.and_then(|callback| Some((desk.endpoint(&callback.link)?, callback.events)));
        self.recording = desk.record(now, spec, Interest { callback, transcript_to: None });
    }

    /// Hangs up everybody but `but`.
    fn hang_up_all(&mut self, desk: &mut Desk, now: Instant, but: Option<LegId>) {
        let others: Vec<_> = self.legs.keys().copied().filter(|id| Some(*id) != but).collect();
        for id in others {
            desk.emit(Effect::HangUpLeg(id));
            let was_taken = self.legs.get(&id).is_some_and(|leg| leg.answered_at.is_some());
            self.forget(desk, now, id, if was_taken { CallStatus::Completed } else { CallStatus::Canceled });
        }
    }

    fn lose(&mut self, desk: &mut Desk, now: Instant, id: LegId, status: CallStatus) {
        self.outcome = better(self.outcome, status);
        self.forget(desk, now, id, status);
    }

    fn forget(&mut self, desk: &mut Desk, now: Instant, id: LegId, status: CallStatus) {
        self.early.take_if(|early| *early == id);
        if let Some(leg) = self.legs.remove(&id) {
            leg.tell(desk, now, status);
        }
    }

    /// Dials the next, or is through when nobody is left.
    fn after_losing(&mut self, desk: &mut Desk, now: Instant) -> Then {
        if !self.legs.is_empty() || self.finishing.is_some() {
            if let Some(id) = self.who_is_heard_early() {
                self.hear_early(desk, id);
            }
            return Then::Stay;
        }
        if let Some(target) = self.later.pop_front() {
            self.outcome = CallStatus::Failed;
            self.ring_target(desk, now, target);
            return Then::Stay;
        }
        if self.child.is_none() && self.outcome == CallStatus::Failed {
            desk.warn(Code::DIAL, "nobody in it could be dialled");
        }
        self.finish(desk, now, self.outcome, None)
    }

    /// The caller, the clock or the application ends the talk.
    fn end_talk(&mut self, desk: &mut Desk, now: Instant) -> Then {
        let Some(talking) = &self.talking else { return Then::Stay };
        desk.emit(Effect::HangUpLeg(talking.leg));
        self.talked(desk, now)
    }

    fn talked(&mut self, desk: &mut Desk, now: Instant) -> Then {
        if let Some(talking) = &self.talking {
            self.forget(desk, now, talking.leg, CallStatus::Completed);
        }
        self.finish(desk, now, CallStatus::Completed, None)
    }

    /// Whoever was dialled wants the caller to be passed on: the application says whether and how.
    fn passed_on(&mut self, desk: &mut Desk, now: Instant, to: &Private) -> Then {
        let Some(link) = self.dial.refer.clone().filter(|_| self.talking.is_some()) else { return Then::Stay };
        if let Some(talking) = &self.talking {
            desk.emit(Effect::HangUpLeg(talking.leg));
            self.forget(desk, now, talking.leg, CallStatus::Completed);
        }
        self.finish(desk, now, CallStatus::Completed, Some((link, to.clone())))
    }

    fn finish(&mut self, desk: &mut Desk, now: Instant, status: CallStatus, refer: Option<(Link, Private)>) -> Then {
        self.hush(desk);
        self.hang_up_all(desk, now, None);
        let mut extra = self.result(now, status);
        let action = self.dial.action.clone().map(|to| Link { to, method: self.dial.method });
        let next = match refer {
            Some((link, to)) => {
                extra.push(("ReferTransferTarget", to.into_inner()));
                Some(link)
            }
            None => action,
        };
        self.talking = None;
        if let Some(id) = self.recording {
            desk.stop_recording(now, id);
            self.finishing = Some(Finishing { extra, next, until: now + FILE_WAIT });
            return Then::Stay;
        }
        Then::ask_or_next(next.as_ref(), extra)
    }

    fn result(&self, now: Instant, status: CallStatus) -> Extra {
        let mut extra: Extra = vec![("DialCallStatus", status.as_str().to_owned())];
        if let Some(sid) = self.child.clone().filter(|sid| !sid.is_empty()) {
            extra.push(("DialCallSid", sid));
        }
        if let Some(talking) = &self.talking {
            let talked = now.saturating_duration_since(talking.since);
            extra.push(("DialCallDuration", callback::seconds(talked)));
        }
        extra.push(("DialBridged", self.talking.is_some().to_string()));
        extra
    }
}

/// The longest that somebody listens to a whisper before they are given up.
const LONGEST_WHISPER: Duration = Duration::from_secs(300);

/// Of two who were not reached, the one to tell of: who was there, then who is busy, then who did not answer.
fn better(one: CallStatus, other: CallStatus) -> CallStatus {
    let rank = |status| match status {
        CallStatus::Completed => 3,
        CallStatus::Busy => 2,
        CallStatus::NoAnswer => 1,
        _ => 0,
    };
    if rank(other) > rank(one) { other } else { one }
}
