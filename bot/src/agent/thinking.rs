//! Asking models: for answers, and for summaries of what lies too far back.
//!
//! Pure. An answer is said as it comes; when it fails before anything of it was said, an apology takes its place, so that
//! every turn of a caller is answered. Calls end a round, and their results begin the next one. Whatever a model does,
//! a question is out only for so long.

use std::time::Duration;

use media::time::MediaTime;

use super::{
    AskId, Notice, Output,
    exchange::{Asking, Exchange, Kind, State, Then},
    lines, local,
    machine::Agent,
    prompt,
};
use crate::llm::{Delta, MustCall, Role, Stop};

/// A summary that is being made.
#[derive(Clone, Debug)]
pub(super) struct Summing {
    pub(super) ask: AskId,
    /// So many of the oldest messages are in it.
    pub(super) messages: usize,
    pub(super) since: MediaTime,
    pub(super) text: String,
}

impl Summing {
    /// When it is given up.
    pub(super) fn due(&self) -> MediaTime {
        self.since + SUMMARY_MAX
    }
}

impl Agent {
    /// Asks for an answer, or for the next round of one.
    pub(super) fn ask(&mut self, now: MediaTime) {
        self.last_ask.0 += 1;
        let local = self.facts.local_time(now);
        let Some(exchange) = &mut self.exchange else { return };
        let said = match exchange.kind {
            Kind::News => Some(NEWS),
            Kind::Greeting | Kind::Answer | Kind::Line => exchange.said.as_deref().filter(|_| exchange.is_prepared),
        };
        let beside = exchange.messages();
        let mut request =
            prompt::answer(&self.persona, &self.facts, &self.history, (said, beside), exchange.language, local);
        if exchange.round >= self.persona.limits.tool_rounds_max {
            // It went round for long enough: now it has to answer.
            request.tools.clear();
        }
        if exchange.round > 0 || exchange.kind != Kind::Answer {
            // What was called once is called, and nobody has asked for what is said unasked.
            request.must_call = MustCall::Nothing;
        }
        exchange.asking = Some(Asking { id: self.last_ask, since: now, last: None, chars: 0 });
        if !exchange.is_prepared {
            self.has_news = false;
        }
        let turn = exchange.turn;
        self.outputs.push_back(Output::Ask { ask: self.last_ask, turn, role: Role::Primary, request });
    }

    pub(super) fn on_said(&mut self, ask: AskId, delta: Delta, now: MediaTime) {
        if self.summing.as_ref().is_some_and(|summing| summing.ask == ask) {
            return self.on_summed(delta, now);
        }
        let Some(exchange) = self.exchange.as_mut() else { return };
        let Some(asking) = exchange.asking.as_mut().filter(|asking| asking.id == ask) else { return };
        let is_first = asking.last.replace(now).is_none();
        let (turn, after) = (exchange.turn, now.since(asking.since));
        match delta {
            Delta::Text(text) => {
                asking.chars += text.chars().count();
                let is_endless = asking.chars > ANSWER_CHARS_MAX;
                let pieces = exchange.splitter.push(&text);
                if is_first {
                    self.publish(Notice::Thought { turn, after });
                }
                pieces.into_iter().for_each(|piece| self.say(piece, false, now));
                if is_endless {
                    self.outputs.push_back(Output::Cancel(ask));
                    self.on_answered(Stop::Length, now);
                }
            }
            Delta::Call(call) => {
                // What was written before a call is said before it.
                let pieces = exchange.splitter.finish();
                if is_first {
                    self.publish(Notice::Thought { turn, after });
                }
                pieces.into_iter().for_each(|piece| self.say(piece, false, now));
                self.on_call(call, now);
            }
            Delta::Done(done) => self.on_answered(done.why, now),
        }
    }

    /// The model has said what it had to say in this round.
    fn on_answered(&mut self, why: Stop, now: MediaTime) {
        let Some(exchange) = &mut self.exchange else { return };
        exchange.asking = None;
        let (language, turn) = (exchange.language, exchange.turn);
        let pieces = exchange.splitter.finish();
        pieces.into_iter().for_each(|piece| self.say(piece, false, now));
        let Some(exchange) = &mut self.exchange else { return };
        if exchange.has_words_now() || exchange.calls_now().next().is_some() {
            return;
        }
        // Who is told news asked for nothing that could be refused.
        if why == Stop::Refused && exchange.kind != Kind::News {
            self.say(lines::refusal(language).to_owned(), false, now);
        } else if !exchange.has_words() && exchange.then.is_none() {
            self.publish(Notice::Trouble {
                turn,
                why: "the model answered with nothing".to_owned(),
                after: Duration::ZERO,
            });
            self.apologise(now);
        }
    }

    pub(super) fn on_ask_failed(&mut self, ask: AskId, why: &str, now: MediaTime) {
        if self.summing.as_ref().is_some_and(|summing| summing.ask == ask) {
            self.summing = None;
            return self.forget(now);
        }
        if self.exchange.as_ref().is_some_and(|exchange| exchange.asking.is_some_and(|asking| asking.id == ask)) {
            self.on_no_answer(why, now);
        }
    }

    /// There is no answer, or no rest of it.
    fn on_no_answer(&mut self, why: &str, now: MediaTime) {
        let Some(exchange) = &mut self.exchange else { return };
        let Some(asking) = exchange.asking.take() else { return };
        let (turn, after) = (exchange.turn, now.since(asking.since));
        exchange.splitter.drop_rest();
        if exchange.is_prepared {
            // Nobody knows of it yet: once it is wanted, it is asked for again.
            self.publish(Notice::Trouble { turn, why: why.to_owned(), after });
            self.throw_away(now);
            return;
        }
        // What was said is an answer, if half of one; what was called goes on, and its results ask again.
        let is_answered = exchange.has_words_now() || exchange.calls_now().next().is_some();
        self.publish(Notice::Trouble { turn, why: why.to_owned(), after });
        if !is_answered {
            self.apologise(now);
        }
    }

    /// Says something in place of the answer that there is not.
    fn apologise(&mut self, now: MediaTime) {
        let nth = self.excuses;
        let Some(exchange) = &mut self.exchange else { return };
        if exchange.then.is_some() {
            return;
        }
        let language = exchange.language;
        if exchange.kind == Kind::News {
            // Nobody said anything that they could say again; what the tool said is known without a model.
            let beside = exchange.messages();
            let text = local::news(self.history.messages().chain(&beside), language);
            return self.say_text(&text, now);
        }
        exchange.is_excuse = true;
        self.say(lines::excuse(nth, language).to_owned(), false, now);
    }

    pub(super) fn expire_asking(&mut self, now: MediaTime) {
        if self.exchange.as_ref().and_then(Exchange::asking_due).is_some_and(|due| due <= now) {
            let Some(asking) = self.exchange.as_ref().and_then(|exchange| exchange.asking) else { return };
            self.outputs.push_back(Output::Cancel(asking.id));
            self.on_no_answer("the model took too long", now);
        }
        if self.summing.as_ref().is_some_and(|summing| summing.due() <= now)
            && let Some(summing) = self.summing.take()
        {
            self.outputs.push_back(Output::Cancel(summing.ask));
            self.forget(now);
        }
    }

    /// Goes on after a round of calls; whether it did.
    pub(super) fn advance(&mut self, now: MediaTime) -> bool {
        let Some(exchange) = &mut self.exchange else { return false };
        let is_waiting = exchange.is_prepared || exchange.asking.is_some() || exchange.calls_now().next().is_none();
        if is_waiting || exchange.calls_now().any(|calling| !matches!(calling.state, State::Done(_))) {
            return false;
        }
        exchange.round += 1;
        let Some(then) = &exchange.then else {
            self.ask(now);
            return true;
        };
        if !exchange.has_words() {
            let language = exchange.language;
            let text = match then {
                Then::HangUp(_) => lines::goodbye(&self.persona, &self.facts, language),
                Then::Transfer { .. } | Then::HandOver { .. } => lines::passing_on(language).to_owned(),
            };
            self.say(text, false, now);
        }
        true
    }

    /// Has what lies too far back summed up, when there is too much of it and nothing else to do.
    pub(super) fn sum_up(&mut self, now: MediaTime) {
        let is_busy = self.summing.is_some() || self.exchange.is_some();
        if is_busy || now < self.sum_after || self.history.tokens() < WINDOW_TOKENS {
            return;
        }
        let messages = self.history.too_old(KEPT_TOKENS);
        if messages == 0 {
            return;
        }
        self.last_ask.0 += 1;
        let ask = self.last_ask;
        let (role, request) = prompt::summary(&self.history, messages, self.language);
        self.outputs.push_back(Output::Ask { ask, turn: self.last_turn, role, request });
        self.summing = Some(Summing { ask, messages, since: now, text: String::new() });
    }

    fn on_summed(&mut self, delta: Delta, now: MediaTime) {
        let Some(summing) = &mut self.summing else { return };
        match delta {
            Delta::Text(text) => {
                let room = SUMMARY_CHARS_MAX.saturating_sub(summing.text.chars().count());
                summing.text.extend(text.chars().take(room));
            }
            Delta::Call(_) => {}
            Delta::Done(_) => {
                let Some(Summing { messages, since, text, .. }) = self.summing.take() else { return };
                let text = text.trim();
                if text.is_empty() {
                    return self.forget(now);
                }
                self.history.forget(messages, Some(text.to_owned()));
                self.publish(Notice::Summarised { messages, after: now.since(since) });
            }
        }
    }

    /// Nobody sums up: they are left alone for a while, and what is far too much is forgotten.
    fn forget(&mut self, now: MediaTime) {
        self.sum_after = now + SUMMARY_AGAIN;
        if self.history.tokens() < FULL_TOKENS {
            return;
        }
        let messages = self.history.too_old(WINDOW_TOKENS);
        if messages > 0 {
            self.history.forget(messages, None);
            self.publish(Notice::Forgotten { messages });
        }
    }
}

/// What stands for the caller when it is a tool that has something to say.
pub(super) const NEWS: &str = "[a tool has answered meanwhile; tell the caller in one sentence what came of it]";

/// More is no answer for a telephone: eight minutes of speech.
const ANSWER_CHARS_MAX: usize = 6_000;

/// From so many tokens on, the older part becomes a summary; so many stay word by word. Each question costs them again.
const WINDOW_TOKENS: usize = 3_000;
const KEPT_TOKENS: usize = 1_200;

/// So many are too many even where nobody sums up.
const FULL_TOKENS: usize = 6_000;

/// A summary is waited for so long. Nobody hears of it meanwhile.
const SUMMARY_MAX: Duration = Duration::from_secs(20);

/// A model that gave no summary gives none a moment later, and each try costs the whole of what is to be summed up.
const SUMMARY_AGAIN: Duration = Duration::from_secs(60);

/// What is kept of a summary: it is read with every question.
const SUMMARY_CHARS_MAX: usize = 1_500;
