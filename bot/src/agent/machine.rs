//! The machine itself: takes inputs, follows what [`Turns`] decides, begins and ends exchanges.
//!
//! Pure. Its neighbours do the parts: [`super::thinking`] asks models, [`super::speech`] says and hears, [`super::calls`]
//! calls tools. After each input it settles: whatever can happen now happens, then the floor is told to [`Turns`].

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use media::time::MediaTime;
use tts::voice::Language;

use super::{
    AskId, Dropped, Facts, HangUpWhy, Input, Notice, Offer, Output, When,
    calls::Orphan,
    exchange::{Exchange, Kind},
    history::History,
    keys::Typing,
    language, lines,
    prompt::KEYS,
    template,
    thinking::Summing,
};
use crate::{
    persona::Persona,
    turn::{self, EndWhy, Ended, Floor, Shape, TurnId, Turns},
};

/// Holds one conversation. See [`super`] for the contract.
#[derive(Clone)]
pub struct Agent {
    pub(super) persona: Arc<Persona>,
    pub(super) facts: Arc<Facts>,
    pub(super) turns: Turns,
    pub(super) history: History,
    /// The language that was last spoken.
    pub(super) language: Language,
    pub(super) phase: Phase,
    /// The turn of the agent that is under way.
    pub(super) exchange: Option<Exchange>,
    /// What is to be said in our name as soon as nobody speaks.
    pub(super) to_say: VecDeque<String>,
    /// A turn of the caller that waits until the agent, who may not be interrupted, is done.
    pub(super) waiting: Option<Ended>,
    pub(super) typing: Typing,
    /// Calls of turns that are over.
    pub(super) orphans: Vec<Orphan>,
    /// So many people there are besides us.
    pub(super) company: usize,
    /// Until then whatever is said among several goes on with what was said to us.
    pub(super) listens_until: MediaTime,
    /// Since when somebody wants an answer that has not begun.
    pub(super) asked: Option<MediaTime>,
    /// Whether a tool said something that no model has read.
    pub(super) has_news: bool,
    /// All calls that were ever made, by their names.
    pub(super) called: BTreeSet<String>,
    pub(super) summing: Option<Summing>,
    /// No summary is asked for before.
    pub(super) sum_after: MediaTime,
    /// Whether the call has had its time or its turns, and ends as soon as nobody speaks.
    pub(super) must_end: bool,
    pub(super) began: MediaTime,
    /// Answers in a row that were apologies.
    pub(super) excuses: u32,
    pub(super) answered: u32,
    pub(super) dropped: u32,
    pub(super) last_turn: TurnId,
    pub(super) last_ask: AskId,
    pub(super) last_sentence: u64,
    pub(super) now: MediaTime,
    pub(super) outputs: VecDeque<Output>,
}

/// Where the call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Nobody hears us yet.
    New,
    /// We talk.
    Talking,
    /// The caller is being passed on; until then somebody else has to have taken them.
    Away(MediaTime),
    /// It is over.
    Over,
}

impl Agent {
    /// A conversation of `persona`, of which nobody hears anything before [`Input::Begin`].
    pub fn new(persona: Arc<Persona>, mut facts: Facts, now: MediaTime) -> Self {
        let language = facts.language.map_or(persona.language, |language| persona.answers_in(language));
        let mut history = History::default();
        history.recall(std::mem::take(&mut facts.past));
        Self {
            turns: Turns::new(persona.turn.clone(), now),
            persona,
            facts: Arc::new(facts),
            history,
            language,
            phase: Phase::New,
            exchange: None,
            to_say: VecDeque::new(),
            waiting: None,
            typing: Typing::default(),
            orphans: Vec::new(),
            company: 1,
            listens_until: MediaTime::ZERO,
            asked: None,
            has_news: false,
            called: BTreeSet::new(),
            summing: None,
            sum_after: MediaTime::ZERO,
            must_end: false,
            began: now,
            excuses: 0,
            answered: 0,
            dropped: 0,
            last_turn: TurnId(0),
            last_ask: AskId(0),
            last_sentence: 0,
            now,
            outputs: VecDeque::new(),
        }
    }

    /// Takes what happened at `now`, and what is due by then. Drain [`Self::poll`] afterwards.
    pub fn handle(&mut self, input: Input, now: MediaTime) {
        // Time never runs backwards in here, whoever tells it.
        let now = now.max(self.now);
        self.now = now;
        match (self.phase, input) {
            (Phase::Over, _) => return,
            (_, Input::HungUp) => return self.on_hung_up(now),
            (Phase::New, Input::Begin) => self.on_begin(now),
            (Phase::New, _) => return,
            (_, input) => self.take(input, now),
        }
        self.expire(now);
        self.settle(now);
    }

    /// What is to be done next, until there is nothing.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When it must be told the time again, if nothing happens before; nothing before it begins and when it is over.
    pub fn due(&self) -> Option<MediaTime> {
        let leaving = if self.must_end { LEAVING_MAX } else { Duration::ZERO };
        let limit = self.began + self.persona.limits.call + leaving;
        let summing = self.summing.as_ref().map(Summing::due);
        let orphan = self.orphans.iter().map(|orphan| orphan.until).min();
        match self.phase {
            Phase::New | Phase::Over => None,
            Phase::Away(until) => [Some(until), orphan, summing].into_iter().flatten().min(),
            Phase::Talking => {
                let exchange = self.exchange.as_ref();
                [
                    Some(limit),
                    self.turns.due(),
                    self.typing.due(),
                    orphan,
                    summing,
                    exchange.and_then(Exchange::asking_due),
                    exchange.and_then(Exchange::calls_due),
                    exchange.and_then(Exchange::voice_due).filter(|_| !self.turns.is_paused()),
                    self.bridge_due(),
                    self.asked.filter(|_| self.turns.is_owed()).map(|asked| asked + OWED_MAX),
                ]
                .into_iter()
                .flatten()
                .min()
            }
        }
    }

    /// Whether the conversation is over: nothing more will be asked for once it is drained.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Whether the turn under way may have more to say that does not wait until what was said is heard.
    pub fn is_composing(&self) -> bool {
        self.exchange.as_ref().is_some_and(Exchange::is_composing)
    }

    /// The language of the conversation at present.
    pub fn language(&self) -> Language {
        self.language
    }

    fn take(&mut self, input: Input, now: MediaTime) {
        let is_talking = self.phase == Phase::Talking;
        match input {
            Input::Ears(event) if is_talking => self.turns.handle(turn::Input::Ears(&event), now),
            Input::EndOfTurn { probability } if is_talking => {
                self.turns.handle(turn::Input::EndOfTurn { probability }, now);
            }
            Input::Key(key) if is_talking => {
                self.turns.handle(turn::Input::Key, now);
                if let Some(keys) = self.typing.press(key, now) {
                    self.on_typed(&keys.to_text(), now);
                }
            }
            Input::Wrote(text) if is_talking && !text.trim().is_empty() => {
                // Nobody writes by accident, either.
                self.turns.handle(turn::Input::Key, now);
                self.on_written(text.trim(), EndWhy::Written, now);
            }
            Input::Say { text, when } if !text.trim().is_empty() => self.on_say(text, when, now),
            Input::Respond if is_talking => {
                self.asked.get_or_insert(now);
            }
            Input::Stop if is_talking => self.on_stop(now),
            Input::Company(people) => self.company = people,
            Input::Forget if is_talking => {
                self.throw_away(now);
                self.turns.take(now);
            }
            Input::Recall(message) => {
                self.throw_away(now);
                self.history.recall(vec![message]);
            }
            Input::Past(messages) => {
                self.throw_away(now);
                // A summary would be of what was there before.
                if let Some(summing) = self.summing.take() {
                    self.outputs.push_back(Output::Cancel(summing.ask));
                }
                self.history = History::default();
                self.history.recall(messages);
            }
            Input::Changed { persona, tools } => self.on_changed(persona, tools),
            Input::Said { ask, delta } => self.on_said(ask, delta, now),
            Input::AskFailed { ask, why } => self.on_ask_failed(ask, &why.to_string(), now),
            Input::SpeechBegan { turn, sentence } => self.on_speech_began(turn, sentence, now),
            Input::WordPlayed { turn, sentence, words } => self.on_word_played(turn, sentence, words, now),
            Input::Played { turn, sentence } => self.on_played(turn, sentence, true, now),
            Input::NotSpoken { turn, sentence } => self.on_played(turn, sentence, false, now),
            Input::Granted { call, action } => self.on_granted(&call, action, now),
            Input::ToolDone { call, outcome } => self.on_tool_done(&call, outcome, now),
            Input::CameBack if !is_talking => self.on_came_back(now),
            Input::TookOver { persona, tools } if !is_talking => self.on_took_over(persona, tools, now),
            Input::Ears(_)
            | Input::EndOfTurn { .. }
            | Input::Key(_)
            | Input::Wrote(_)
            | Input::Say { .. }
            | Input::Respond
            | Input::Stop
            | Input::Forget
            | Input::CameBack
            | Input::TookOver { .. }
            | Input::Begin
            | Input::Tick
            | Input::HungUp => {}
        }
    }

    fn expire(&mut self, now: MediaTime) {
        if let Phase::Away(until) = self.phase
            && until <= now
        {
            self.on_came_back(now);
        }
        self.expire_asking(now);
        self.expire_calls(now);
        if self.phase != Phase::Talking {
            return;
        }
        self.turns.handle(turn::Input::Tick, now);
        if !self.turns.is_paused() {
            self.expire_voice(now);
        }
        if let Some(keys) = self.typing.expire(now) {
            self.on_typed(&keys.to_text(), now);
        }
        self.expire_limits(now);
    }

    fn expire_limits(&mut self, now: MediaTime) {
        let limit = self.began + self.persona.limits.call;
        self.must_end |= limit <= now;
        if self.must_end && limit + LEAVING_MAX <= now {
            // Nobody let us finish.
            self.cut(None, Dropped::HungUp, now);
            self.hang_up(HangUpWhy::Limit, now);
        }
    }

    /// Lets everything happen that can happen now.
    fn settle(&mut self, now: MediaTime) {
        // Each round follows a decision or ends something; the bound is for a promise that we break.
        for _ in 0..ROUNDS_MAX {
            if self.phase != Phase::Talking {
                return;
            }
            if let Some(output) = self.turns.poll() {
                self.follow(output, now);
                continue;
            }
            self.release_calls(now);
            if self.advance(now) {
                continue;
            }
            // Whoever speaks over a good-bye is listened to before the call ends.
            let is_held = |exchange: &Exchange| exchange.then.is_some() && self.turns.is_paused();
            let ends_with_calls = self.persona.turn.ends_with_calls;
            let is_over = |exchange: &Exchange| exchange.is_over() || (ends_with_calls && exchange.has_only_calls());
            if self.exchange.as_ref().is_some_and(|exchange| is_over(exchange) && !is_held(exchange)) {
                self.finish(now);
                continue;
            }
            if self.answer_who_asks(now) || (self.exchange.is_none() && self.begin_next(now)) {
                continue;
            }
            self.bridge(now);
            if !self.tell_floor(now) {
                break;
            }
        }
        self.sum_up(now);
    }

    /// Tells who has the floor; whether that decided something.
    fn tell_floor(&mut self, now: MediaTime) -> bool {
        let settings = &self.persona.turn;
        let (floor, is_greeting, asked) = match &self.exchange {
            Some(exchange) if !exchange.is_prepared => {
                let floor = if exchange.was_heard() { Floor::Speaking } else { Floor::Thinking };
                (floor, exchange.kind == Kind::Greeting, exchange.asked())
            }
            // What was asked last is answered now.
            _ => (Floor::Free, false, self.history.ends_in_question()),
        };
        let may_interrupt = settings.is_interruptible && (!is_greeting || settings.is_greeting_interruptible);
        self.turns.handle(turn::Input::Floor { floor, may_interrupt, asked }, now);
        self.turns.has_decided()
    }

    fn follow(&mut self, output: turn::Output, now: MediaTime) {
        match output {
            turn::Output::Prepare { said, language } => self.on_prepare(said.reveal(), language.as_deref(), now),
            turn::Output::Discard => self.throw_away(now),
            turn::Output::Ended(ended) => self.on_ended(ended, now),
            turn::Output::Pause => {
                self.outputs.push_back(Output::Pause);
                let turn = self.exchange.as_ref().map_or(self.last_turn, |exchange| exchange.turn);
                self.publish(Notice::BotPaused { turn });
            }
            turn::Output::Resume { why, after } => {
                self.outputs.push_back(Output::Resume);
                let turn = self.exchange.as_ref().map_or(self.last_turn, |exchange| exchange.turn);
                if let Some(exchange) = &mut self.exchange {
                    exchange.voice_at = now;
                }
                self.publish(Notice::BotResumed { turn, why, after });
            }
            turn::Output::Interrupt { after } => self.cut(Some(after), Dropped::WentOn, now),
            turn::Output::NotTaken { said, why } => self.publish(Notice::NotTaken { said, why }),
            turn::Output::Idle { before } => {
                if self.exchange.is_none() && self.waiting.is_none() && !self.typing.is_under_way() {
                    self.publish(Notice::Idle { before });
                    let text = self.persona.idle.nearest(self.language, self.persona.language);
                    let text = text.unwrap_or_else(|| lines::idle(self.language));
                    let text = template::fill(text, &self.facts.values);
                    self.say_line(&text, None, now);
                }
            }
            turn::Output::GiveUp => {
                if self.exchange.is_none() && !self.typing.is_under_way() {
                    self.say_goodbye(HangUpWhy::Idle, now);
                }
            }
        }
    }

    fn on_begin(&mut self, now: MediaTime) {
        self.phase = Phase::Talking;
        self.began = now;
        // Whatever time has passed before is nobody's silence.
        self.turns = Turns::new(self.persona.turn.clone(), now);
        self.greet(now);
    }

    pub(super) fn greet(&mut self, now: MediaTime) {
        let Some(greeting) = self.persona.greeting_in(self.language) else { return };
        let greeting = template::fill(greeting, &self.facts.values);
        self.begin(Kind::Greeting, now);
        self.say_text(&greeting, now);
    }

    fn on_ended(&mut self, ended: Ended, now: MediaTime) {
        if self.exchange.as_ref().is_some_and(|exchange| !exchange.is_prepared) {
            // Keys pressed while the agent may not be interrupted.
            self.waiting = Some(match self.waiting.take() {
                Some(before) => {
                    let said = format!("{} {}", before.said.reveal(), ended.said.reveal());
                    Ended { said: said.into(), ..ended }
                }
                None => ended,
            });
            return;
        }
        if !self.is_meant(&ended, now) {
            self.throw_away(now);
            return self.publish(Notice::NotMeant { said: ended.said });
        }
        let said = ended.said.reveal().to_owned();
        self.language = language::heard(&said, ended.language.as_deref(), self.language, &self.persona);
        let language = self.language;
        let is_prepared = |exchange: &Exchange| {
            exchange.said.as_deref() == Some(said.as_str()) && exchange.language == language && !self.has_news
        };
        let was_prepared = self.exchange.as_ref().is_some_and(is_prepared);
        if !was_prepared {
            self.throw_away(now);
            self.begin(Kind::Answer, now);
        }
        self.history.user(&said);
        let Some(exchange) = &mut self.exchange else { return };
        let turn = exchange.turn;
        exchange.is_prepared = false;
        exchange.since = now;
        exchange.quiet_since = now;
        exchange.voice_at = now;
        exchange.said = Some(said);
        exchange.caller_ended = Some(ended.at);
        self.publish(Notice::TurnEnded { turn, ended, was_prepared });
        self.tell_understood(turn, now);
        if was_prepared {
            self.release_sentences();
        } else {
            self.ask(now);
        }
    }

    fn on_prepare(&mut self, said: &str, tag: Option<&str>, now: MediaTime) {
        if self.exchange.is_some() || self.waiting.is_some() || self.must_end || self.typing.is_under_way() {
            return;
        }
        if !self.is_spoken_to(said, now) {
            return;
        }
        let language = language::heard(said, tag, self.language, &self.persona);
        self.begin(Kind::Answer, now);
        if let Some(exchange) = &mut self.exchange {
            exchange.is_prepared = true;
            exchange.said = Some(said.to_owned());
            exchange.set_language(language);
        }
        self.ask(now);
    }

    /// Throws away what was prepared.
    pub(super) fn throw_away(&mut self, now: MediaTime) {
        let Some(exchange) = self.exchange.take_if(|exchange| exchange.is_prepared) else { return };
        if let Some(asking) = exchange.asking {
            self.outputs.push_back(Output::Cancel(asking.id));
        }
        self.publish(Notice::ThrownAway { turn: exchange.turn, after: now.since(exchange.since) });
    }

    fn on_typed(&mut self, keys: &str, now: MediaTime) {
        self.publish(Notice::Keys { count: keys.len() });
        self.on_written(&format!("{KEYS} {keys}"), EndWhy::Keys, now);
    }

    /// A turn that was not spoken, and ends by itself what was.
    fn on_written(&mut self, text: &str, why: EndWhy, now: MediaTime) {
        self.throw_away(now);
        let before = self.turns.take(now);
        let said = match &before {
            Some(before) => format!("{} {text}", before.reveal()),
            None => text.to_owned(),
        };
        let ended = Ended {
            said: said.into(),
            language: None,
            why,
            probability: None,
            shape: Shape::Whole,
            at: now,
            silence: Duration::ZERO,
        };
        self.on_ended(ended, now);
    }

    /// Says something that somebody else thought of.
    fn on_say(&mut self, text: String, when: When, now: MediaTime) {
        let is_free = self.phase == Phase::Talking
            && self.exchange.as_ref().is_none_or(|exchange| exchange.is_prepared)
            && self.waiting.is_none()
            && !self.typing.is_under_way()
            && self.turns.is_quiet();
        match when {
            When::Now if self.phase == Phase::Talking => {
                self.throw_away(now);
                self.cut(Some(Duration::ZERO), Dropped::WentOn, now);
                self.turns.overrule();
                self.say_line(text.trim(), None, now);
            }
            When::Free if is_free => {
                self.throw_away(now);
                self.say_line(text.trim(), None, now);
            }
            When::Next | When::Now if self.to_say.len() < TO_SAY_MAX => self.to_say.push_back(text),
            When::Free | When::Next | When::Now => self.publish(Notice::NotSaid),
        }
    }

    /// Answers because somebody wants it, as soon as all words are there; whether it did.
    fn answer_who_asks(&mut self, now: MediaTime) -> bool {
        let Some(asked) = self.asked else { return false };
        if self.exchange.as_ref().is_some_and(|exchange| !exchange.is_prepared) {
            self.asked = None;
            return false;
        }
        if self.turns.is_owed() && now < asked + OWED_MAX {
            return false;
        }
        self.asked = None;
        let language = self.turns.language();
        match self.turns.take(now) {
            Some(said) => {
                let (why, shape, silence) = (EndWhy::Asked, Shape::Whole, Duration::ZERO);
                self.on_ended(Ended { said, language, why, probability: None, shape, at: now, silence }, now);
            }
            None => {
                self.throw_away(now);
                self.begin(Kind::Answer, now);
                self.ask(now);
            }
        }
        true
    }

    fn on_stop(&mut self, now: MediaTime) {
        self.throw_away(now);
        if self.asked.take().is_some() && self.exchange.is_none() {
            // Whoever asked is told of a turn that ended before it began.
            self.begin(Kind::Answer, now);
        }
        self.cut(Some(Duration::ZERO), Dropped::Stopped, now);
        self.turns.overrule();
        self.turns.attend(now);
    }

    fn on_changed(&mut self, persona: Arc<Persona>, tools: Vec<Offer>) {
        Arc::make_mut(&mut self.facts).tools = tools;
        self.language = persona.answers_in(self.language);
        self.turns.behave(persona.turn.clone());
        self.persona = persona;
    }

    /// What is next when nothing is under way; whether there is something.
    fn begin_next(&mut self, now: MediaTime) -> bool {
        if let Some(ended) = self.waiting.take() {
            self.on_ended(ended, now);
            return true;
        }
        if !self.turns.is_quiet() || self.typing.is_under_way() {
            return false;
        }
        if self.must_end {
            self.say_goodbye(HangUpWhy::Limit, now);
            return true;
        }
        if let Some(text) = self.to_say.pop_front() {
            self.say_line(text.trim(), None, now);
            return true;
        }
        if self.has_news {
            self.begin(Kind::News, now);
            self.ask(now);
            return true;
        }
        false
    }

    pub(super) fn begin(&mut self, kind: Kind, now: MediaTime) {
        self.last_turn.0 += 1;
        self.exchange = Some(Exchange::new(self.last_turn, kind, self.language, now));
    }

    pub(super) fn publish(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Publish(notice));
    }
}

impl fmt::Debug for Agent {
    /// Where it stands: never words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("persona", &self.persona.name)
            .field("phase", &self.phase)
            .field("last_turn", &self.last_turn)
            .finish_non_exhaustive()
    }
}

/// A call that has to end does, so long after its limit: time for a sentence and a good-bye.
const LEAVING_MAX: Duration = Duration::from_secs(30);

/// What waits to be said in our name; nobody listens to more of it.
const TO_SAY_MAX: usize = 16;

/// Whoever wants an answer waits so long for words that the recognizer still owes.
const OWED_MAX: Duration = Duration::from_millis(1_500);

/// Decisions that may follow each other at one point of time.
const ROUNDS_MAX: usize = 64;
