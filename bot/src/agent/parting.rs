//! How turns of the agent end, and how the call does: heard to the end, cut, passed on, hung up.
//!
//! Pure. Whatever ends, what was heard of it becomes history, what was called is settled, and whoever looks on is told
//! once: every turn of a caller was answered, or dropped for a reason.

use std::{sync::Arc, time::Duration};

use media::time::MediaTime;

use super::{
    Dropped, HangUpWhy, Notice, Offer, Output,
    exchange::{Exchange, State, Then},
    lines,
    machine::{Agent, Phase},
};
use crate::{
    persona::Persona,
    turn::{NotTaken, Turns},
};

impl Agent {
    /// The turn under way was said to its end.
    pub(super) fn finish(&mut self, now: MediaTime) {
        let Some(exchange) = self.exchange.take() else { return };
        self.listens_on(now);
        let heard = exchange.heard();
        let turn = exchange.turn;
        self.remember(&exchange);
        // A call is an answer, too, where it ends the turn.
        let calls = self.outlive(&exchange, now);
        if heard.is_empty() && exchange.said.is_some() && calls == 0 {
            self.count(false);
            self.publish(Notice::Dropped { turn, why: Dropped::Mute, after: now.since(exchange.since) });
        } else {
            if exchange.said.is_some() {
                self.count(true);
            }
            let took = exchange.began.map_or(Duration::ZERO, |began| now.since(began));
            self.publish(Notice::BotSpoke { turn, heard: heard.into(), language: exchange.language, took });
        }
        if exchange.said.is_some() {
            self.excuses = if exchange.is_excuse { self.excuses + 1 } else { 0 };
        }
        match exchange.then {
            Some(Then::HangUp(why)) => self.hang_up(why, now),
            Some(Then::Transfer { name, to }) => self.leave(Output::Transfer { name, to }, now),
            Some(Then::HandOver { persona }) => self.leave(Output::HandOver { persona }, now),
            None => {}
        }
    }

    /// The turn under way ends here: by an interruption, which was noticed so long ago, or with the call.
    pub(super) fn cut(&mut self, interrupted_after: Option<Duration>, why: Dropped, now: MediaTime) {
        let Some(mut exchange) = self.exchange.take_if(|exchange| !exchange.is_prepared) else { return };
        let turn = exchange.turn;
        self.listens_on(now);
        if let Some(asking) = exchange.asking.take() {
            self.outputs.push_back(Output::Cancel(asking.id));
        }
        self.outputs.push_back(Output::Hush(turn));
        self.abandon_calls(&mut exchange, now);
        self.remember(&exchange);
        let (heard, unheard) = (exchange.heard(), exchange.unheard());
        let is_answer = exchange.said.is_some();
        if heard.is_empty() && is_answer {
            self.count(false);
            self.publish(Notice::Dropped { turn, why, after: now.since(exchange.since) });
        } else {
            if is_answer {
                self.count(true);
            }
            let after = interrupted_after.unwrap_or_default();
            self.publish(Notice::BotInterrupted { turn, heard: heard.into(), unheard: unheard.into(), after });
        }
    }

    /// A turn of the caller is over: answered or not. So many are too many.
    fn count(&mut self, is_answered: bool) {
        *(if is_answered { &mut self.answered } else { &mut self.dropped }) += 1;
        if self.answered + self.dropped >= self.persona.limits.turns_max {
            self.must_end = true;
        }
    }

    /// What was heard and called becomes history.
    pub(super) fn remember(&mut self, exchange: &Exchange) {
        for round in 0..=exchange.round {
            let (text, calls) = exchange.said_in(round, true);
            self.history.assistant(text, calls);
            for calling in exchange.calls.iter().filter(|calling| calling.round == round) {
                if let State::Done(outcome) = &calling.state {
                    self.history.result(&calling.call, outcome);
                }
            }
        }
    }

    pub(super) fn leave(&mut self, output: Output, now: MediaTime) {
        self.outputs.push_back(output);
        self.phase = Phase::Away(now + AWAY_MAX);
        self.drop_pending(now);
    }

    pub(super) fn on_came_back(&mut self, now: MediaTime) {
        self.return_to_talk(now);
        self.say_line(lines::came_back(self.language), None, now);
    }

    pub(super) fn on_took_over(&mut self, persona: Arc<Persona>, tools: Vec<Offer>, now: MediaTime) {
        Arc::make_mut(&mut self.facts).tools = tools;
        self.language = persona.answers_in(self.language);
        self.persona = persona;
        self.return_to_talk(now);
        self.greet(now);
    }

    fn return_to_talk(&mut self, now: MediaTime) {
        self.phase = Phase::Talking;
        self.turns = Turns::new(self.persona.turn.clone(), now);
    }

    pub(super) fn hang_up(&mut self, why: HangUpWhy, now: MediaTime) {
        self.outputs.push_back(Output::HangUp { why });
        self.end(now);
    }

    pub(super) fn on_hung_up(&mut self, now: MediaTime) {
        self.throw_away(now);
        self.cut(None, Dropped::HungUp, now);
        self.end(now);
    }

    fn end(&mut self, now: MediaTime) {
        self.drop_pending(now);
        if let Some(summing) = self.summing.take() {
            self.outputs.push_back(Output::Cancel(summing.ask));
        }
        // What is not safe to cancel goes on without us.
        self.orphans.clear();
        self.phase = Phase::Over;
        self.publish(Notice::Over { at: now, answered: self.answered, dropped: self.dropped });
    }

    /// What the caller has begun to say or type will be no turn.
    fn drop_pending(&mut self, now: MediaTime) {
        self.typing.take();
        self.asked = None;
        let waiting = self.waiting.take().map(|ended| ended.said);
        for said in waiting.into_iter().chain(self.turns.take(now)) {
            self.publish(Notice::NotTaken { said, why: NotTaken::CallEnded });
        }
    }
}

/// A caller who is passed on has so long to be taken: telephones ring for half a minute.
const AWAY_MAX: Duration = Duration::from_secs(60);
