//! Tools: called beside speech, waited for so long, dropped or outlived when the caller interrupts.
//!
//! Pure. A call is handed on once its turn is certain: not while it is only prepared, not while somebody speaks over the
//! agent. Whoever takes it judges it ([`crate::tools::Registry`]) and answers once; a second answer is ignored. What must
//! not happen in the middle of a sentence (hanging up, passing on, pressing keys) waits until all before it was heard.

use std::time::Duration;

use media::time::MediaTime;

use super::{
    Notice, Output, ToolStep, TurnId,
    exchange::{Calling, Exchange, State, Then},
    machine::Agent,
};
use crate::{
    ivr::key::Tone,
    llm::Call,
    tools::{Action, Outcome, UNKNOWN},
};

/// A call whose turn is over.
#[derive(Clone, Debug)]
pub(super) struct Orphan {
    pub(super) call: Call,
    /// The tool, as whoever looks on is told.
    pub(super) tool: String,
    pub(super) turn: TurnId,
    pub(super) since: MediaTime,
    pub(super) until: MediaTime,
}

impl Agent {
    /// The model wants a tool.
    pub(super) fn on_call(&mut self, call: Call, now: MediaTime) {
        let Some(exchange) = &mut self.exchange else { return };
        let turn = exchange.turn;
        let is_offered = self.facts.tools.iter().any(|offer| offer.spec.name == call.name);
        let tool = if is_offered { call.name.clone() } else { UNKNOWN.to_owned() };
        if exchange.calls_now().count() >= CALLS_MAX || !self.called.insert(call.id.clone()) {
            let (what, after) = (ToolStep::Repeated, Duration::ZERO);
            self.publish(Notice::Tool { turn, call: call.id, name: tool, what, after });
            return;
        }
        let round = exchange.round;
        exchange.calls.push(Calling { call, tool, round, since: now, state: State::Held });
    }

    /// Hands calls on that may be, presses keys whose time has come.
    pub(super) fn release_calls(&mut self, now: MediaTime) {
        let is_paused = self.turns.is_paused();
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| !exchange.is_prepared && !is_paused) else {
            return;
        };
        let (turn, is_silent) = (exchange.turn, !exchange.is_speaking());
        let mut notices = Vec::new();
        for calling in &mut exchange.calls {
            match std::mem::replace(&mut calling.state, State::Held) {
                State::Held => {
                    let offer = self.facts.tools.iter().find(|offer| offer.spec.name == calling.call.name);
                    let timeout = offer.map_or(TIMEOUT, |offer| offer.timeout + GRACE);
                    calling.since = now;
                    calling.state = State::Running(now + timeout.min(TIMEOUT_MAX));
                    notices.push(step(turn, calling, ToolStep::Called, now));
                    self.outputs.push_back(Output::Call {
                        call: calling.call.clone(),
                        turn,
                        is_offered: offer.is_some(),
                    });
                }
                State::Pressing(keys, outcome) if is_silent => {
                    let tones = Tone::read(&keys).unwrap_or_default();
                    let lasts: Duration = tones.into_iter().map(Tone::lasts).sum();
                    self.outputs.push_back(Output::Press(keys));
                    calling.state = State::Sending(now + lasts, outcome);
                }
                state => calling.state = state,
            }
        }
        notices.into_iter().for_each(|notice| self.publish(notice));
    }

    /// One of the agent's own tools was admitted.
    pub(super) fn on_granted(&mut self, id: &str, action: Action, now: MediaTime) {
        let reply = action.reply();
        let Some(calling) = self.running(id) else {
            // The caller interrupted meanwhile: whatever it was, it is not done.
            return self.on_tool_done(id, Outcome::failed(INTERRUPTED), now);
        };
        let then = match action {
            Action::PressKeys(keys) => {
                calling.state = State::Pressing(keys, reply);
                return;
            }
            Action::Transfer { name, to } => Then::Transfer { name, to },
            Action::HangUp { .. } => Then::HangUp(super::HangUpWhy::Goodbye),
            Action::HandOver { persona } => Then::HandOver { persona },
            // Whoever admits them does them; nothing is left to do.
            Action::TakeNote { .. } | Action::Remind { .. } | Action::Remember { .. } => {
                return self.on_tool_done(id, reply, now);
            }
        };
        if let Some(exchange) = &mut self.exchange {
            // The last wish counts: nobody can be passed on and hung up on.
            exchange.then = Some(then);
        }
        self.on_tool_done(id, reply, now);
    }

    pub(super) fn on_tool_done(&mut self, id: &str, outcome: Outcome, now: MediaTime) {
        let is_error = outcome.is_error;
        if let Some(calling) = self.running(id) {
            let (name, since) = (calling.tool.clone(), calling.since);
            calling.state = State::Done(outcome);
            let Some(exchange) = &mut self.exchange else { return };
            if !exchange.is_speaking() {
                exchange.quiet_since = now;
            }
            let (turn, call, what, after) =
                (exchange.turn, id.to_owned(), ToolStep::Done { is_error }, now.since(since));
            return self.publish(Notice::Tool { turn, call, name, what, after });
        }
        if let Some(at) = self.orphans.iter().position(|orphan| orphan.call.id == id) {
            let orphan = self.orphans.remove(at);
            return self.on_late(&orphan, &outcome, ToolStep::Done { is_error }, now);
        }
        let (turn, call, what) = (self.last_turn, id.to_owned(), ToolStep::Ignored);
        self.publish(Notice::Tool { turn, call, name: String::new(), what, after: Duration::ZERO });
    }

    /// A call of a turn that is over came to something: the model is to know.
    fn on_late(&mut self, orphan: &Orphan, outcome: &Outcome, what: ToolStep, now: MediaTime) {
        // Where the call is forgotten, there is nothing that the result could be told of.
        let is_new = self.history.result(&orphan.call, outcome);
        self.has_news |= is_new && !self.persona.turn.ends_with_calls;
        let Orphan { turn, since, .. } = *orphan;
        let (call, name) = (orphan.call.id.clone(), orphan.tool.clone());
        self.publish(Notice::Tool { turn, call, name, what, after: now.since(since) });
    }

    /// Gives calls up that take too long.
    pub(super) fn expire_calls(&mut self, now: MediaTime) {
        let mut told = Vec::new();
        if let Some(exchange) = &mut self.exchange {
            let (turn, is_silent) = (exchange.turn, !exchange.is_speaking());
            for calling in &mut exchange.calls {
                match &calling.state {
                    State::Running(until) if *until <= now => {
                        self.outputs.push_back(Output::CancelCall(calling.call.id.clone()));
                        calling.state = State::Done(Outcome::failed(TOO_LONG));
                        told.push(step(turn, calling, ToolStep::TimedOut, now));
                    }
                    State::Sending(until, outcome) if *until <= now => {
                        calling.state = State::Done(outcome.clone());
                        told.push(step(turn, calling, ToolStep::Done { is_error: false }, now));
                        if is_silent {
                            // Nobody has waited: the keys were heard.
                            exchange.quiet_since = now;
                        }
                    }
                    _ => {}
                }
            }
        }
        told.into_iter().for_each(|notice| self.publish(notice));
        while let Some(at) = self.orphans.iter().position(|orphan| orphan.until <= now) {
            let orphan = self.orphans.remove(at);
            self.outputs.push_back(Output::CancelCall(orphan.call.id.clone()));
            self.on_late(&orphan, &Outcome::failed(TOO_LONG), ToolStep::TimedOut, now);
        }
    }

    /// The turn ends before its calls: what is safe to cancel is cancelled, the rest outlives it.
    pub(super) fn abandon_calls(&mut self, exchange: &mut Exchange, now: MediaTime) {
        let turn = exchange.turn;
        let undone = exchange.then.take().is_some();
        let mut notices = Vec::new();
        for calling in &mut exchange.calls {
            let offer = self.facts.tools.iter().find(|offer| offer.spec.name == calling.call.name);
            let is_safe_to_cancel = offer.is_some_and(|offer| offer.is_safe_to_cancel);
            match &calling.state {
                State::Running(_) if is_safe_to_cancel => {
                    self.outputs.push_back(Output::CancelCall(calling.call.id.clone()));
                    calling.state = State::Done(Outcome::failed(INTERRUPTED));
                    notices.push(step(turn, calling, ToolStep::Cancelled, now));
                }
                State::Running(until) => {
                    let (call, tool) = (calling.call.clone(), calling.tool.clone());
                    self.orphans.push(Orphan { call, tool, turn, since: calling.since, until: *until });
                    notices.push(step(turn, calling, ToolStep::GoesOn, now));
                }
                State::Held | State::Pressing(..) => {
                    calling.state = State::Done(Outcome::failed(INTERRUPTED));
                    notices.push(step(turn, calling, ToolStep::Cancelled, now));
                }
                // They are at the far end, or soon will be.
                State::Sending(_, outcome) => {
                    calling.state = State::Done(outcome.clone());
                    notices.push(step(turn, calling, ToolStep::Done { is_error: false }, now));
                }
                State::Done(_) => {}
            }
            // Whoever was to be hung up on or passed on spoke before that was done.
            if undone && is_parting(&calling.call.name) && matches!(calling.state, State::Done(_)) {
                calling.state = State::Done(Outcome::failed(INTERRUPTED));
            }
        }
        notices.into_iter().for_each(|notice| self.publish(notice));
    }

    /// The turn is over and its calls go on without it; how many.
    pub(super) fn outlive(&mut self, exchange: &Exchange, now: MediaTime) -> usize {
        let before = self.orphans.len();
        for calling in &exchange.calls {
            if let State::Running(until) = calling.state {
                let (call, tool) = (calling.call.clone(), calling.tool.clone());
                let (turn, since) = (exchange.turn, calling.since);
                self.orphans.push(Orphan { call, tool, turn, since, until });
                self.publish(step(turn, calling, ToolStep::GoesOn, now));
            }
        }
        self.orphans.len() - before
    }

    fn running(&mut self, id: &str) -> Option<&mut Calling> {
        let calling = self.exchange.as_mut()?.call(id)?;
        matches!(calling.state, State::Running(_)).then_some(calling)
    }
}

fn is_parting(name: &str) -> bool {
    use crate::tools::BuiltIn;
    matches!(BuiltIn::named(name), Some(BuiltIn::HangUp | BuiltIn::Transfer | BuiltIn::HandOver))
}

fn step(turn: TurnId, calling: &Calling, what: ToolStep, now: MediaTime) -> Notice {
    let (call, name) = (calling.call.id.clone(), calling.tool.clone());
    Notice::Tool { turn, call, name, what, after: now.since(calling.since) }
}

/// What the model reads of a call that was dropped.
const INTERRUPTED: &str = "Not done: the caller interrupted. Ask before you try it again.";

/// What the model reads of a call that was given up.
const TOO_LONG: &str = "It took too long and was given up; nobody knows whether it was done.";

/// Calls in one round; models that want more go round in circles.
const CALLS_MAX: usize = 16;

/// A tool that nobody knows is refused at once; its refusal is waited for so long.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Whoever carries a tool out has its own clock, and says so when it has run out; this is for when it does not.
const GRACE: Duration = Duration::from_secs(2);

/// The longest wait for any tool.
const TIMEOUT_MAX: Duration = Duration::from_secs(55);
