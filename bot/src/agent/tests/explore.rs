//! Every order in which things can happen to a call, up to a depth: the caller speaks and stops, words come and settle,
//! the model writes, calls, ends and fails, tools answer, sentences are heard or not, time passes, somebody hangs up.
//!
//! A breadth-first walk over states. States that will behave alike (by their print: everything that decides, with times as
//! seen from now) are walked on from once. After each step a referee who has only seen inputs and outputs says whether a
//! promise was broken; and from a part of the states it is tried whether the call ends when only time passes any more.

use std::{
    collections::{BTreeSet, HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use super::{
    super::exchange::{Exchange, State},
    referee::Referee,
    *,
};

/// Things that happen in a row, from the beginning of a call and from the beginning of an answer.
const DEPTH: usize = 9;
const DEPTH_OF_AN_ANSWER: usize = 7;
const DEPTH_WHERE_ANSWERS_ARE_ASKED_FOR: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    SpeechOn,
    Listening,
    Words,
    Final,
    SpeechOff,
    Score,
    Key,
    Text,
    SafeCall,
    Call,
    Done,
    Fail,
    ToolDone,
    ToolFailed,
    Word,
    Played,
    NotSpoken,
    Time,
    /// Somebody asks for an answer, or stops one: where answers wait for that.
    Respond,
    Stop,
    HangUp,
}

const STEPS: [Step; 21] = [
    Step::SpeechOn,
    Step::Listening,
    Step::Words,
    Step::Final,
    Step::SpeechOff,
    Step::Score,
    Step::Key,
    Step::Text,
    Step::SafeCall,
    Step::Call,
    Step::Done,
    Step::Fail,
    Step::ToolDone,
    Step::ToolFailed,
    Step::Word,
    Step::Played,
    Step::NotSpoken,
    Step::Time,
    Step::Respond,
    Step::Stop,
    Step::HangUp,
];

#[derive(Clone)]
struct Node {
    agent: Agent,
    now: MediaTime,
    referee: Referee,
    path: Vec<Step>,
}

impl Node {
    fn begin() -> Self {
        let mut persona = persona();
        persona.greeting = PerLanguage::any("Guten Tag.");
        Self::with(persona)
    }

    /// A call in which nothing is answered but when somebody asks for that, and calls end a turn.
    fn asked() -> Self {
        let mut persona = persona();
        persona.greeting = PerLanguage::default();
        (persona.turn.answers_when_asked, persona.turn.ends_with_calls) = (true, true);
        Self::with(persona)
    }

    fn with(persona: Persona) -> Self {
        let mut facts = Facts::new(date(2026, 11, 30).at(14, 30, 0, 0));
        facts.tools = vec![offer("look_up", true), offer("book", false)];
        let agent = Agent::new(Arc::new(persona), facts, MediaTime::ZERO);
        let mut node = Self { agent, now: MediaTime::ZERO, referee: Referee::default(), path: Vec::new() };
        node.tell(Input::Begin);
        node
    }

    /// The state after `step`, when it can happen here.
    fn after(&self, step: Step) -> Option<Self> {
        let referee = &self.referee;
        let ears = |event| Some(Input::Ears(event));
        let utterances = referee.utterances + u64::from(step == Step::SpeechOn);
        let (utterance, span) = (UtteranceId(utterances), Span::default());
        let ask = referee.ask;
        let said = |delta| ask.map(|ask| Input::Said { ask, delta });
        let first =
            referee.voice.first().map(|spoken| (spoken.turn, spoken.id, spoken.text.split_whitespace().count()));
        let partial = |text: &str| Event::Partial { utterance, revision: 1, stable_words: 0, words: words(text), span };
        let call = |name: &str| {
            let id = format!("c{}", referee.calls);
            said(Delta::Call(Call { id, name: name.to_owned(), arguments: String::new() }))
        };
        let outcome = |outcome| Some(Input::ToolDone { call: referee.running.first()?.clone(), outcome });
        let mut now = self.now;
        let input = match step {
            Step::SpeechOn if !referee.is_speaking => ears(Event::SpeechStarted { utterance, at: now }),
            Step::Listening if referee.utterance == Some("") => ears(partial(LISTENING)),
            Step::Words if referee.utterance.is_some_and(|words| words != WORDS) => ears(partial(WORDS)),
            Step::Final => {
                let words = words(referee.utterance?);
                ears(Event::Final { utterance, words, span, cut: Cut::Pause, language: None, voices: Vec::new() })
            }
            Step::SpeechOff if referee.is_speaking => ears(Event::SpeechEnded { utterance, at: now }),
            Step::Score if !referee.is_speaking && !self.agent.turns.is_quiet() => {
                Some(Input::EndOfTurn { probability: 0.95 })
            }
            Step::Key => Some(Input::Key(Key::POUND)),
            Step::Text if !referee.has_written => said(Delta::Text("Gut so. ".to_owned())),
            Step::SafeCall if !referee.has_called => call("look_up"),
            Step::Call if !referee.has_called => call("book"),
            Step::Done => said(Delta::Done(Done { why: Stop::End, usage: Usage::default() })),
            Step::Fail => ask.map(|ask| Input::AskFailed { ask, why: llm::Trouble::NoModel }),
            Step::ToolDone => outcome(Outcome::done("ja")),
            Step::ToolFailed => outcome(Outcome::failed("nein")),
            Step::Word if referee.voice.first().is_some_and(|spoken| spoken.heard == 0) => {
                first.map(|(turn, sentence, _)| Input::WordPlayed { turn, sentence, words: 1 })
            }
            Step::Played if !referee.is_paused => first.map(|(turn, sentence, _)| Input::Played { turn, sentence }),
            Step::NotSpoken => first.map(|(turn, sentence, _)| Input::NotSpoken { turn, sentence }),
            Step::Time => {
                now = self.agent.due()?.max(now);
                Some(Input::Tick)
            }
            Step::Respond if self.agent.persona.turn.answers_when_asked => Some(Input::Respond),
            Step::Stop if self.agent.persona.turn.answers_when_asked => Some(Input::Stop),
            Step::HangUp => Some(Input::HungUp),
            _ => None,
        }?;
        let mut next = self.clone();
        next.now = now;
        next.path.push(step);
        next.referee.sees(step, first.map(|(.., words)| words));
        next.tell(input);
        Some(next)
    }

    fn tell(&mut self, input: Input) {
        self.agent.handle(input, self.now);
        while let Some(output) = self.agent.poll() {
            if let Err(broken) = self.referee.judges(output) {
                panic!("{broken} after {:?}", self.path);
            }
        }
        self.check();
    }

    fn check(&self) {
        let path = &self.path;
        let told = self.agent.history.messages().filter_map(|message| match message {
            Message::Assistant { text, .. } if !text.is_empty() => Some(text.clone()),
            _ => None,
        });
        let now = self.agent.exchange.as_ref().map(Exchange::heard).filter(|heard| !heard.is_empty());
        let told: Vec<String> = told.chain(now).collect();
        assert_eq!(told.join(" "), self.referee.heard(), "history is not what was heard after {path:?}");
        let due = self.agent.due();
        if self.referee.is_over {
            assert!(due.is_none() && self.agent.is_over(), "over, and waits after {path:?}");
            assert!(self.referee.open.is_empty(), "a turn is neither answered nor dropped after {path:?}");
            return;
        }
        let due = due.unwrap_or_else(|| panic!("waits without a timer after {path:?}"));
        assert!(due > self.now, "waits for what has come after {path:?}");
        assert!(due.since(self.now) <= Duration::from_secs(61), "waits for {due} after {path:?}");
        let open = self.agent.exchange.as_ref().filter(|exchange| !exchange.is_prepared);
        let answering: BTreeSet<TurnId> =
            open.filter(|exchange| exchange.said.is_some()).map(|exchange| exchange.turn).into_iter().collect();
        assert_eq!(self.referee.open, answering, "turns that nobody works on after {path:?}");
    }

    /// Whether the call ends when nobody does anything any more.
    fn ends_by_itself(&self) {
        let mut node = self.clone();
        for _ in 0..80 {
            let Some(next) = node.after(Step::Time) else {
                assert!(node.referee.is_over, "stuck after {:?}", node.path);
                return;
            };
            node = next;
        }
        panic!("never ends by itself after {:?}", node.path);
    }

    /// Summaries are outside the walk, and so is what decides of them: its conversations are too short for one.
    fn print(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let (agent, now) = (&self.agent, self.now);
        let until = |at: Option<MediaTime>| at.map(|at| at.since(now));
        agent.turns.print(now).hash(&mut hasher);
        agent.phase.hash(&mut hasher);
        (until(agent.typing.due()), agent.typing.is_under_way(), agent.waiting.is_some()).hash(&mut hasher);
        (agent.has_news, agent.must_end, agent.excuses.min(1), agent.history.ends_in_question()).hash(&mut hasher);
        agent.asked.map(|asked| now.since(asked)).hash(&mut hasher);
        for orphan in &agent.orphans {
            until(Some(orphan.until)).hash(&mut hasher);
        }
        if let Some(exchange) = &agent.exchange {
            let dues =
                [exchange.asking_due(), exchange.calls_due(), exchange.voice_due(), agent.bridge_due()].map(until);
            dues.hash(&mut hasher);
            hash_exchange(exchange, &mut hasher);
        }
        let referee = &self.referee;
        (referee.is_speaking, referee.utterance, referee.has_written, referee.has_called).hash(&mut hasher);
        (referee.ask.is_some(), referee.is_paused, referee.running.len(), referee.open.len()).hash(&mut hasher);
        for spoken in &referee.voice {
            (spoken.is_bridge, spoken.heard, &spoken.text).hash(&mut hasher);
        }
        hasher.finish()
    }
}

fn hash_exchange(exchange: &Exchange, hasher: &mut DefaultHasher) {
    (exchange.kind, exchange.is_prepared, &exchange.said, exchange.was_heard(), exchange.is_told, exchange.bridged)
        .hash(hasher);
    (&exchange.splitter, exchange.is_excuse, exchange.asking.map(|asking| asking.last.is_some())).hash(hasher);
    for calling in &exchange.calls {
        let state = match calling.state {
            State::Held => 0,
            State::Running(_) => 1,
            State::Pressing(..) => 2,
            State::Done(_) => 3,
            State::Sending(..) => 4,
        };
        (state, calling.round == exchange.round, &calling.call.name).hash(hasher);
    }
    for sentence in &exchange.sentences {
        (sentence.stage, sentence.heard, sentence.is_bridge, sentence.round == exchange.round).hash(hasher);
    }
}

pub(super) const LISTENING: &str = "mhm";
pub(super) const WORDS: &str = "nein das meine ich nicht";

/// Walks `depth` steps from `root`; how many states there are.
fn walk(root: Node, depth: usize) -> usize {
    let mut seen = HashSet::new();
    let mut layer = vec![root];
    let mut steps = 0_u64;
    for at in 1..=depth {
        let mut next = Vec::new();
        for node in &layer {
            for after in STEPS.into_iter().filter_map(|step| node.after(step)) {
                steps += 1;
                let print = after.print();
                if after.referee.is_over || !seen.insert(print) {
                    continue;
                }
                if print % PATIENCE == 0 {
                    after.ends_by_itself();
                }
                if at < depth {
                    next.push(after);
                }
            }
        }
        println!("{at} in a row: {} states, {steps} steps", seen.len());
        layer = next;
    }
    seen.len()
}

#[test]
fn whatever_happens_in_a_call_no_promise_is_broken() {
    assert!(walk(Node::begin(), DEPTH) > 100_000, "the walk is too short to mean anything");
}

#[test]
fn whatever_happens_to_an_answer_no_promise_is_broken() {
    let before = [Step::Played, Step::SpeechOn, Step::Words, Step::Final, Step::SpeechOff, Step::Score, Step::Time];
    let step = |node: Node, step| node.after(step).expect("it can happen");
    let asked = before.into_iter().fold(Node::begin(), step);
    assert_eq!(asked.referee.open.len(), 1);
    assert!(walk(asked, DEPTH_OF_AN_ANSWER) > 10_000, "the walk is too short to mean anything");
}

#[test]
fn whatever_happens_where_answers_are_asked_for_no_promise_is_broken() {
    assert!(walk(Node::asked(), DEPTH_WHERE_ANSWERS_ARE_ASKED_FOR) > 500, "the walk is too short to mean anything");
    let before = [Step::SpeechOn, Step::Words, Step::Final, Step::SpeechOff, Step::Respond];
    let step = |node: Node, step| node.after(step).expect("it can happen");
    let asked = before.into_iter().fold(Node::asked(), step);
    assert_eq!(asked.referee.open.len(), 1);
    assert!(walk(asked, DEPTH_WHERE_ANSWERS_ARE_ASKED_FOR) > 500, "the walk is too short to mean anything");
}

/// From one state of so many it is tried whether the call ends by itself.
const PATIENCE: u64 = 97;
