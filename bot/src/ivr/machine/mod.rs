//! The machine that holds one call and does what its documents say.
//!
//! Pure: told what happens and when, asks for effects. It is always in a state that waits for a named input or for a
//! deadline, and a call has an end in any case ([`Rules::call`]). After the call is over it asks for nothing but
//! callbacks, until the recordings that are still being finished have been told.
//!
//! A call is a pile of documents ([`frame`]): its own at the bottom and, while the caller waits in a queue or a
//! conference, what plays meanwhile on top. The current verb of each is an activity, which is told what happens
//! and says how it goes on ([`frame::Then`]). What all share is the [`desk`].

mod choice;
mod conference;
mod desk;
mod dial;
mod documents;
mod frame;
mod gather;
mod kept;
mod leg;
mod prompts;
mod queue;
mod record;
mod relay;
mod setup;
mod steps;
mod taps;

use std::{collections::VecDeque, fmt, sync::Arc, time::Instant};

pub use setup::{Role, Rules, Setup, Source};

use super::{
    call::{CallFacts, CallStatus, Direction},
    effect::Effect,
    input::{ConferenceEvent, Ending, Input, QueueEvent, TapEvent},
    key::Key,
    notice::Code,
    twiml::Link,
    webhook::Endpoint,
};
use desk::{Base, Desk, Extra};
use frame::{Doing, Frame, Kind, Then};

/// Holds one call and does what its documents say.
pub struct Machine {
    desk: Desk,
    /// Documents that run, the call's own first. Empty once the call is over.
    frames: Vec<Frame>,
    fallback: Option<Endpoint>,
    /// How many documents were begun.
    documents: u32,
    /// When those of the last minute were.
    recent: VecDeque<Instant>,
    now: Instant,
}

/// The bottom of the pile.
const MAIN: usize = 0;

impl Machine {
    /// Begins: the first effects are ready to be polled.
    pub fn new(now: Instant, setup: Setup) -> Self {
        let Setup { facts, role, source, fallback, rules } = setup;
        let base = base_of(&source);
        let desk = Desk::new(now, facts, role, rules, base.clone());
        let frame = Frame::new(Kind::Main, base);
        let (documents, recent) = (0, VecDeque::new());
        let mut machine = Self { desk, frames: vec![frame], fallback, documents, recent, now };
        machine.load(now, MAIN, source, Vec::new());
        machine.run(now);
        machine
    }

    /// Takes what happened at `now`, and what is due by then.
    pub fn handle(&mut self, now: Instant, input: Input) {
        // Time never runs backwards in here, whoever tells it.
        let now = now.max(self.now);
        self.now = now;
        self.take(now, input);
        self.run(now);
        self.expire(now);
    }

    /// What is to be done next, until there is nothing.
    pub fn poll(&mut self) -> Option<Effect> {
        self.desk.effects.pop_front()
    }

    /// When it must be told the time again, if nothing happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        let call = self.desk.ended.is_none().then(|| self.desk.began + self.desk.rules.call);
        let doing = self.frames.iter().filter_map(|frame| frame.doing.deadline());
        doing.chain(call).chain(self.desk.recordings.deadline()).min()
    }

    /// How the call stands, as webhooks are told.
    pub fn status(&self) -> CallStatus {
        self.desk.status()
    }

    /// The call, as it was given.
    pub fn facts(&self) -> &CallFacts {
        &self.desk.facts
    }

    /// Whether the call is over and nothing more will be asked for: it may be dropped once it is drained.
    pub fn is_over(&self) -> bool {
        self.desk.ended.is_some() && self.desk.recordings.is_empty()
    }

    fn take(&mut self, now: Instant, input: Input) {
        match input {
            Input::Recording { id, event } => {
                self.desk.recorded(now, id, &event);
                self.with(MAIN, now, |desk, doing| match doing {
                    Doing::Recording(recording) => recording.recorded(desk, now, id, &event),
                    Doing::Dialling(dialling) => dialling.recorded(id, &event),
                    _ => Then::Stay,
                });
            }
            Input::Tap { id, event } => self.tap(now, id, &event),
            _ if self.desk.ended.is_some() => {}
            Input::Tick => {}
            Input::Fetched { id, result } => self.fetched(now, id, result),
            Input::SoundEnded { id, how } => self.sound_ended(now, id, how),
            Input::Key(key) => self.press(now, key),
            Input::Heard { id, what } => self.with_top(now, |desk, doing| match doing {
                Doing::Gathering(gathering) => gathering.heard(desk, now, id, what),
                Doing::Recording(recording) => {
                    recording.heard(desk, now, id, &what);
                    Then::Stay
                }
                _ => Then::Stay,
            }),
            Input::Leg { id, event } => self.with(MAIN, now, |desk, doing| match doing {
                Doing::Dialling(dialling) => dialling.leg(desk, now, id, event),
                _ => Then::Stay,
            }),
            Input::Relay { id, event } => self.with(MAIN, now, |desk, doing| match doing {
                Doing::Relaying(relaying) => relaying.relay(desk, now, id, event),
                _ => Then::Stay,
            }),
            Input::Conference(event) => self.conference(now, event),
            Input::Queue(event) => self.queue(now, event),
            Input::Referred { sip_status } => self.referred(now, sip_status),
            Input::Redirected(source) => self.redirected(now, source),
            Input::HangUp => self.hang_up(now),
            Input::HungUp(ending) => {
                let status = match ending {
                    _ if self.desk.answered_at.is_some() => CallStatus::Completed,
                    Ending::Caller | Ending::Canceled => CallStatus::Canceled,
                    Ending::Us => CallStatus::NoAnswer,
                };
                self.end(now, status, None);
            }
        }
    }

    fn press(&mut self, now: Instant, key: Key) {
        let top = self.frames.len() - 1;
        match &self.frames[top].doing {
            // Whatever waits for the caller's attention, they may be quicker.
            Doing::Ready
            | Doing::Fetching(_)
            | Doing::Sounding(_)
            | Doing::Pausing(_)
            | Doing::Rewinding(_)
            | Doing::Music(_) => self.desk.type_ahead(key),
            _ => {}
        }
        self.with(top, now, |desk, doing| match doing {
            Doing::Gathering(gathering) => gathering.press(desk, now, key),
            Doing::Recording(recording) => recording.press(desk, now, key),
            _ => Then::Stay,
        });
        self.with(MAIN, now, |desk, doing| match doing {
            Doing::Dialling(dialling) => dialling.press(desk, now, key),
            Doing::Conferring(conferring) => conferring.press(desk, now, key),
            _ => Then::Stay,
        });
    }

    fn conference(&mut self, now: Instant, event: ConferenceEvent) {
        self.with(MAIN, now, |_, doing| match doing {
            Doing::Conferring(conferring) => conferring.conference(now, event),
            _ => Then::Stay,
        });
    }

    fn queue(&mut self, now: Instant, event: QueueEvent) {
        self.with(MAIN, now, |_, doing| match doing {
            Doing::Queueing(queueing) => queueing.queue(now, event),
            _ => Then::Stay,
        });
    }

    fn tap(&mut self, now: Instant, id: super::effect::TapId, event: &TapEvent) {
        let is_over = self.desk.tapped(now, id, event);
        self.with(MAIN, now, |_, doing| match doing {
            Doing::Streaming { tap, action } if *tap == id && is_over => Then::ask_or_next(action.as_ref(), Vec::new()),
            _ => Then::Stay,
        });
    }

    fn referred(&mut self, now: Instant, sip_status: u16) {
        let is_taken = (200..300).contains(&sip_status);
        if is_taken && matches!(self.frames[MAIN].doing, Doing::Referring { .. }) {
            return self.hang_up(now);
        }
        self.with(MAIN, now, |_, doing| match doing {
            Doing::Referring { action, .. } => Then::ask_or_next(action.as_ref(), refer_result(sip_status)),
            _ => Then::Stay,
        });
    }

    fn redirected(&mut self, now: Instant, source: Source) {
        self.abandon_all(now, false);
        self.desk.typed.clear();
        self.frames = vec![Frame::new(Kind::Main, base_of(&source))];
        self.load(now, MAIN, source, Vec::new());
    }

    /// Whatever is due.
    fn expire(&mut self, now: Instant) {
        self.desk.expire_recordings(now);
        // Each round ends an activity or moves its deadline behind `now`; the bound is for a promise that we break.
        for _ in 0..100 {
            if self.desk.ended.is_none() && self.desk.began + self.desk.rules.call <= now {
                self.desk.verb = ("Response".to_owned(), 0);
                self.desk.warn(Code::OURS, "the call has lasted as long as a call may; it ends");
                self.hang_up(now);
            }
            let is_due = |frame: &Frame| frame.doing.deadline().is_some_and(|deadline| deadline <= now);
            let Some(due) = self.frames.iter().position(is_due) else { return };
            self.tick(now, due);
            self.run(now);
        }
    }

    fn tick(&mut self, now: Instant, at: usize) {
        match &self.frames[at].doing {
            Doing::Fetching(fetching) => {
                let id = fetching.request.id;
                self.fetched(now, id, Err(super::webhook::FetchError::Timeout));
            }
            Doing::Pausing(_) => self.frames[at].doing = Doing::Ready,
            Doing::Rewinding(_) => self.rewind(now, at),
            Doing::Apologizing { .. } => self.hang_up(now),
            Doing::Referring { .. } => self.referred(now, 408),
            _ => self.with(at, now, |desk, doing| match doing {
                Doing::Gathering(gathering) => gathering.tick(desk, now),
                Doing::Recording(recording) => recording.tick(desk, now),
                Doing::Dialling(dialling) => dialling.tick(desk, now),
                Doing::Conferring(conferring) => conferring.tick(desk, now),
                Doing::Queueing(queueing) => queueing.tick(desk, now),
                _ => Then::Stay,
            }),
        }
    }

    /// Tells the activity of the topmost document something.
    fn with_top(&mut self, now: Instant, tell: impl FnOnce(&mut Desk, &mut Doing) -> Then) {
        self.with(self.frames.len().saturating_sub(1), now, tell);
    }

    /// Tells the activity of a document something, and goes on as it says.
    fn with(&mut self, at: usize, now: Instant, tell: impl FnOnce(&mut Desk, &mut Doing) -> Then) {
        let Some(frame) = self.frames.get_mut(at) else { return };
        self.desk.focus(frame);
        let then = tell(&mut self.desk, &mut frame.doing);
        self.follow(now, at, then);
    }

    fn follow(&mut self, now: Instant, at: usize, then: Then) {
        match then {
            Then::Stay => {}
            Then::Next => {
                self.unwait(now, at);
                self.frames[at].doing = Doing::Ready;
            }
            Then::Ask { to, method, extra } => {
                self.unwait(now, at);
                self.ask(now, at, to, method, extra);
            }
            Then::Accept => {
                self.unwait(now, at);
                self.accept(now);
            }
            Then::Wait(link) => {
                self.unwait(now, at);
                self.wait(now, link);
            }
            Then::Whisper(to, extra) => {
                self.unwait(now, at);
                self.frames.push(Frame::new(Kind::Whisper, Base::At(to.clone())));
                self.load(now, at + 1, Source::At(to), extra);
            }
            Then::Unwait => self.unwait(now, at),
        }
    }

    /// Begins what plays while the caller waits.
    fn wait(&mut self, now: Instant, link: Option<Link>) {
        let is_queue = matches!(self.frames[MAIN].doing, Doing::Queueing(_));
        if link.as_ref().is_some_and(queue::is_silence) {
            return;
        }
        // Whatever lay on it has been focused on meanwhile.
        self.desk.focus(&self.frames[MAIN]);
        let home = link.and_then(|link| self.desk.endpoint(&link));
        let base = home.clone().map_or_else(|| Base::Inline(Arc::from("")), Base::At);
        self.frames.push(Frame::new(Kind::Wait { home, asked: now, is_queue }, base));
        self.rewind(now, self.frames.len() - 1);
    }

    /// Ends what lies on a document.
    fn unwait(&mut self, now: Instant, at: usize) {
        while self.frames.len() > at + 1 {
            self.abandon_top(now, false);
        }
    }

    /// The queued caller has heard what they were to hear.
    fn accept(&mut self, now: Instant) {
        self.with(MAIN, now, |desk, doing| {
            if let Doing::Queueing(queueing) = doing {
                queueing.accept(desk, now);
            }
            Then::Stay
        });
    }

    /// Ends the topmost document and what it does.
    fn abandon_top(&mut self, now: Instant, is_over: bool) {
        let Some(mut frame) = self.frames.pop() else { return };
        self.desk.focus(&frame);
        let desk = &mut self.desk;
        match &mut frame.doing {
            Doing::Sounding(id) | Doing::Music(id) | Doing::Apologizing { id, .. } => desk.emit(Effect::StopSound(*id)),
            Doing::Gathering(gathering) => gathering.abandon(desk),
            Doing::Recording(recording) => recording.abandon(desk, now, is_over),
            Doing::Dialling(dialling) => dialling.abandon(desk, now, is_over),
            Doing::Conferring(conferring) => conferring.abandon(desk, now, is_over),
            Doing::Queueing(queueing) => queueing.abandon(desk, now, is_over),
            Doing::Relaying(relaying) => relaying.abandon(desk, now, is_over),
            Doing::Streaming { tap, .. } => desk.stop_tap(*tap),
            Doing::Ready | Doing::Fetching(_) | Doing::Pausing(_) | Doing::Rewinding(_) | Doing::Referring { .. } => {}
        }
    }

    fn abandon_all(&mut self, now: Instant, is_over: bool) {
        while !self.frames.is_empty() {
            self.abandon_top(now, is_over);
        }
    }

    /// We end the call.
    fn hang_up(&mut self, now: Instant) {
        let is_taken = self.desk.answered_at.is_some();
        self.end(now, if is_taken { CallStatus::Completed } else { CallStatus::Canceled }, Some(Effect::HangUp));
    }

    /// The call is over, by `effect` or without our doing.
    fn end(&mut self, now: Instant, status: CallStatus, effect: Option<Effect>) {
        if self.desk.ended.is_some() {
            return;
        }
        // Callbacks of what ends with the call already say how the call ended.
        self.desk.ended = Some(status);
        self.abandon_all(now, true);
        self.desk.stop_all_recordings(now);
        self.desk.stop_all_taps(now);
        self.desk.effects.extend(effect);
        self.desk.tell_progress(now, status);
    }
}

impl Desk {
    /// Works for `frame` from now on: addresses are relative to it, and notices tell of its verb.
    fn focus(&mut self, frame: &Frame) {
        self.base = frame.base.clone();
        let step = frame.at.checked_sub(1).and_then(|at| frame.document.steps.get(at));
        self.verb = step.map_or_else(|| ("Response".to_owned(), 0), |step| (step.verb.name().to_owned(), step.line));
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction: Direction = self.desk.facts.direction;
        f.debug_struct("Machine")
            .field("call_sid", &self.desk.facts.call_sid)
            .field("direction", &direction)
            .field("status", &self.status())
            .field("documents", &self.documents)
            .finish_non_exhaustive()
    }
}

fn base_of(source: &Source) -> Base {
    match source {
        Source::At(endpoint) => Base::At(endpoint.clone()),
        Source::Inline(text) => Base::Inline(Arc::from(text.as_str())),
    }
}

fn refer_result(sip_status: u16) -> Extra {
    vec![("ReferCallStatus", "failed".to_owned()), ("ReferSipResponseCode", sip_status.to_string())]
}
