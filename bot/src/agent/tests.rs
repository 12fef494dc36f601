//! A call for tests: an agent, a clock that only the test moves, and whatever it wants done, in words.

mod booking;
mod calling;
mod conversations;
mod explore;
mod meant;
mod referee;
mod soak;

use asr::event::{Cut, Event, UtteranceId, Word};
use jiff::civil::date;
use media::time::{MediaTime, Span};
use serde_json::json;

use super::*;
use crate::{
    llm::{Call, Delta, Done, Message, Request, Stop, ToolSpec, Usage},
    tools::{BuiltIn, Outcome},
};

fn words(text: &str) -> Vec<Word> {
    let word = |text: &str| Word { text: text.to_owned(), span: Span::default(), confidence: 0.9 };
    text.split_whitespace().map(word).collect()
}

fn offer(name: &str, is_safe_to_cancel: bool) -> Offer {
    Offer {
        spec: ToolSpec { name: name.to_owned(), description: String::new(), parameters: json!({"type": "object"}) },
        is_safe_to_cancel,
        filler: PerLanguage::default(),
        timeout: Duration::from_secs(8),
    }
}

/// A German persona that greets with "Guten Tag." and may do everything.
fn persona() -> Persona {
    let mut persona = Persona::built_in();
    persona.language = Language::GERMAN;
    persona.greeting = PerLanguage::any("Guten Tag, {{name|wer ist da}}?");
    persona.idle = PerLanguage::any("Sind Sie noch da?");
    persona.goodbye = PerLanguage::any("Auf Wiederhören!");
    persona
}

fn facts() -> Facts {
    let mut facts = Facts::new(date(2026, 11, 30).at(14, 30, 0, 0));
    facts.tools = vec![offer("look_up", true), offer("book", false)];
    facts.tools.extend(BuiltIn::ALL.map(|tool| offer(tool.name(), false)));
    facts
}

/// One call.
struct World {
    agent: Agent,
    now: MediaTime,
    utterance: u64,
    log: Vec<String>,
    /// Sentences that the voice has and that were not heard to their end.
    voice: Vec<(TurnId, u64, String)>,
    asked: Vec<(AskId, Request)>,
    calls: Vec<Call>,
    notices: Vec<Notice>,
}

impl World {
    fn new(persona: Persona) -> Self {
        let agent = Agent::new(Arc::new(persona), facts(), MediaTime::ZERO);
        let (log, voice, asked, calls, notices) = Default::default();
        Self { agent, now: MediaTime::ZERO, utterance: 0, log, voice, asked, calls, notices }
    }

    /// A call whose greeting was heard.
    fn greeted() -> Self {
        let mut world = Self::new(persona());
        world.tell(Input::Begin);
        world.hear_all();
        world.log.clear();
        world
    }

    fn tell(&mut self, input: Input) {
        self.agent.handle(input, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.agent.poll() {
            let what = match output {
                Output::Ask { ask, request, role, .. } => {
                    self.asked.push((ask, request));
                    format!("ask {role:?}")
                }
                Output::Cancel(_) => "cancel".to_owned(),
                Output::Speak { turn, sentence, text, .. } => {
                    self.voice.push((turn, sentence, text.clone()));
                    format!("say {text}")
                }
                Output::Pause => "pause".to_owned(),
                Output::Resume => "resume".to_owned(),
                Output::Hush(turn) => {
                    self.voice.retain(|(of, ..)| *of > turn);
                    "hush".to_owned()
                }
                Output::Call { call, .. } => {
                    self.calls.push(call.clone());
                    format!("call {}", call.name)
                }
                Output::CancelCall(id) => format!("cancel call {id}"),
                Output::Press(keys) => format!("press {keys}"),
                Output::Transfer { name, .. } => format!("transfer {name}"),
                Output::HandOver { persona } => format!("hand over {persona}"),
                Output::HangUp { why } => format!("hang up {}", why.name()),
                Output::Publish(notice) => {
                    self.notices.push(notice);
                    continue;
                }
            };
            self.log.push(what);
        }
    }

    /// Lets so much time pass, and everything that is due in it happen.
    fn pass(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        while let Some(due) = self.agent.due().filter(|due| *due <= until) {
            self.now = due.max(self.now);
            self.tell(Input::Tick);
            let next = self.agent.due();
            assert!(next.is_none_or(|next| next > self.now), "it waits for {due}, which has come");
        }
        self.now = until;
    }

    fn ears(&mut self, event: Event) {
        self.tell(Input::Ears(event));
    }

    fn speaks(&mut self) {
        self.utterance += 1;
        let at = self.now.saturating_sub(Duration::from_millis(64));
        self.ears(Event::SpeechStarted { utterance: UtteranceId(self.utterance), at });
    }

    fn partial(&mut self, text: &str) {
        let utterance = UtteranceId(self.utterance);
        let span = Span::default();
        self.ears(Event::Partial { utterance, revision: 1, stable_words: 0, words: words(text), span });
    }

    fn settles(&mut self, text: &str) {
        let (utterance, span, language) = (UtteranceId(self.utterance), Span::default(), None);
        self.ears(Event::Final { utterance, words: words(text), span, cut: Cut::Pause, language, voices: Vec::new() });
    }

    fn stops(&mut self) {
        let at = self.now.saturating_sub(Duration::from_millis(100));
        self.ears(Event::SpeechEnded { utterance: UtteranceId(self.utterance), at });
    }

    /// The caller says `text` within a second, and has surely ended.
    fn says(&mut self, text: &str) {
        self.speaks();
        self.pass(900);
        self.settles(text);
        self.stops();
        self.tell(Input::EndOfTurn { probability: 0.95 });
        self.pass(200);
    }

    fn last_ask(&self) -> AskId {
        self.asked.last().expect("something was asked").0
    }

    fn said(&mut self, delta: Delta) {
        let ask = self.last_ask();
        self.tell(Input::Said { ask, delta });
    }

    fn done(&mut self, why: Stop) {
        self.said(Delta::Done(Done { why, usage: Usage::default() }));
    }

    /// The model answers with a whole text.
    fn answers(&mut self, text: &str) {
        self.said(Delta::Text(text.to_owned()));
        self.done(Stop::End);
    }

    /// The model calls a tool.
    fn calls(&mut self, id: &str, name: &str) {
        self.said(Delta::Call(Call { id: id.to_owned(), name: name.to_owned(), arguments: "{}".to_owned() }));
        self.done(Stop::Calls);
    }

    fn begins(&mut self) {
        if let Some((turn, sentence, _)) = self.voice.first().cloned() {
            self.tell(Input::SpeechBegan { turn, sentence });
        }
    }

    fn hears_words(&mut self, words: usize) {
        if let Some((turn, sentence, _)) = self.voice.first().cloned() {
            self.tell(Input::WordPlayed { turn, sentence, words });
        }
    }

    /// The next sentence is heard to its end.
    fn hear(&mut self) {
        self.begins();
        if !self.voice.is_empty() {
            let (turn, sentence, _) = self.voice.remove(0);
            self.tell(Input::Played { turn, sentence });
        }
    }

    fn hear_all(&mut self) {
        while !self.voice.is_empty() {
            self.hear();
        }
    }

    fn tool(&mut self, id: &str, outcome: Outcome) {
        self.tell(Input::ToolDone { call: id.to_owned(), outcome });
    }

    fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// The conversation as the model was told it last.
    fn told(&self) -> Vec<String> {
        let shown = |message: &Message| match message {
            Message::User(text) => format!("user: {text}"),
            Message::Assistant { text, calls } if calls.is_empty() => format!("agent: {text}"),
            Message::Assistant { text, calls } => format!("agent: {text} ({} called)", calls.len()),
            Message::ToolResult { content, is_error, .. } => format!("tool: {content} {is_error}"),
        };
        self.asked.last().map(|(_, request)| request.messages.iter().map(shown).collect()).unwrap_or_default()
    }
}
