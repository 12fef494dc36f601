//! One turn of the agent as a value: what it answers, what was asked, what is said and heard of it, what was called.
//!
//! Pure data with questions about itself; [`super::machine`] and its neighbours change it. It is over when nothing is
//! asked, called or said any more, and each of these has a time at which it is given up.

use std::time::Duration;

use media::time::MediaTime;
use tts::voice::Language;

use super::{AskId, HangUpWhy, TurnId, reply::Splitter};
use crate::{
    llm::{Call, Message},
    tools::Outcome,
};

/// One turn of the agent.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) turn: TurnId,
    pub(super) kind: Kind,
    /// Whether it is only prepared: nothing of it is said or called yet.
    pub(super) is_prepared: bool,
    /// What the caller said, where it is an answer.
    pub(super) said: Option<String>,
    pub(super) language: Language,
    /// When it was begun; of one that was prepared, when it was wanted.
    pub(super) since: MediaTime,
    /// When the caller stopped speaking.
    pub(super) caller_ended: Option<MediaTime>,
    pub(super) asking: Option<Asking>,
    pub(super) splitter: Splitter,
    /// Rounds of asking and calling that are over. The one under way is the next.
    pub(super) round: u32,
    pub(super) calls: Vec<Calling>,
    pub(super) sentences: Vec<Sentence>,
    /// What is done once all was heard.
    pub(super) then: Option<Then>,
    /// When the first sample of it was heard.
    pub(super) began: Option<MediaTime>,
    /// Since when nothing of it is heard, while nothing waits to be.
    pub(super) quiet_since: MediaTime,
    /// Whether it was told that its first words are heard.
    pub(super) is_told: bool,
    /// How often its wait was bridged.
    pub(super) bridged: u32,
    /// When the voice last gave a sign of life.
    pub(super) voice_at: MediaTime,
    /// Whether it could only apologise.
    pub(super) is_excuse: bool,
}

/// What a turn is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// The first words.
    Greeting,
    /// An answer to the caller.
    Answer,
    /// What a tool said after its turn was over.
    News,
    /// Words of our own.
    Line,
}

/// A question that is out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    pub(super) id: AskId,
    pub(super) since: MediaTime,
    /// When the last piece came.
    pub(super) last: Option<MediaTime>,
    /// Letters that came.
    pub(super) chars: usize,
}

/// A call of a tool.
#[derive(Clone, Debug)]
pub(super) struct Calling {
    pub(super) call: Call,
    /// The tool, as whoever looks on is told: a name that was not offered may be any words.
    pub(super) tool: String,
    pub(super) round: u32,
    pub(super) since: MediaTime,
    pub(super) state: State,
}

/// How a call stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// It is not yet handed on: the turn is not certain.
    Held,
    /// It is under way until then at most.
    Running(MediaTime),
    /// These keys are pressed once what was said was heard.
    Pressing(String, Outcome),
    /// The keys are on their way until then: what is said meanwhile is not heard.
    Sending(MediaTime, Outcome),
    /// It came to this.
    Done(Outcome),
}

/// A sentence.
#[derive(Clone, Debug)]
pub(super) struct Sentence {
    pub(super) id: u64,
    pub(super) text: String,
    pub(super) round: u32,
    /// Whether it only bridges a wait: no part of the conversation.
    pub(super) is_bridge: bool,
    /// Words that were heard, and all.
    pub(super) heard: usize,
    pub(super) words: usize,
    pub(super) stage: Stage,
}

/// How far a sentence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Stage {
    /// Not yet handed to the voice.
    Held,
    /// The voice has it.
    Sent,
    /// It is being heard.
    Begun,
    /// Nothing more of it is heard.
    Over,
}

/// What follows a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Then {
    HangUp(HangUpWhy),
    Transfer { name: String, to: String },
    HandOver { persona: String },
}

impl Sentence {
    pub(super) fn new(id: u64, text: String, round: u32, is_bridge: bool) -> Self {
        let words = text.split_whitespace().count();
        Self { id, text, round, is_bridge, heard: 0, words, stage: Stage::Held }
    }

    /// Its words that were heard.
    fn heard_text(&self) -> String {
        self.text.split_whitespace().take(self.heard).collect::<Vec<_>>().join(" ")
    }

    /// Its words that were not.
    fn unheard_text(&self) -> String {
        self.text.split_whitespace().skip(self.heard).collect::<Vec<_>>().join(" ")
    }
}

impl Exchange {
    pub(super) fn new(turn: TurnId, kind: Kind, language: Language, now: MediaTime) -> Self {
        Self {
            turn,
            kind,
            is_prepared: false,
            said: None,
            language,
            since: now,
            caller_ended: None,
            asking: None,
            splitter: Splitter::new(language),
            round: 0,
            calls: Vec::new(),
            sentences: Vec::new(),
            then: None,
            began: None,
            quiet_since: now,
            is_told: false,
            bridged: 0,
            voice_at: now,
            is_excuse: false,
        }
    }

    /// Speaks `language` from the beginning.
    pub(super) fn set_language(&mut self, language: Language) {
        self.language = language;
        self.splitter = Splitter::new(language);
    }

    /// Whether nothing is asked, called or said any more.
    pub(super) fn is_over(&self) -> bool {
        !self.is_prepared
            && self.asking.is_none()
            && self.calls.iter().all(|calling| matches!(calling.state, State::Done(_)))
            && !self.is_speaking()
    }

    /// Whether all that is left of it are calls that somebody carries out.
    pub(super) fn has_only_calls(&self) -> bool {
        let is_out = |calling: &Calling| matches!(calling.state, State::Running(_));
        !self.is_prepared
            && self.asking.is_none()
            && self.then.is_none()
            && !self.is_speaking()
            && self.calls.iter().any(is_out)
            && self.calls.iter().all(|calling| is_out(calling) || matches!(calling.state, State::Done(_)))
    }

    /// Whether more of it may come although what was said is not heard yet.
    pub(super) fn is_composing(&self) -> bool {
        let is_out = |calling: &Calling| matches!(calling.state, State::Held | State::Running(_));
        self.asking.is_some() || self.calls.iter().any(is_out)
    }

    /// Whether a sentence waits or is being heard.
    pub(super) fn is_speaking(&self) -> bool {
        self.sentences.iter().any(|sentence| sentence.stage != Stage::Over)
    }

    /// Whether anything of it was heard, or is.
    pub(super) fn was_heard(&self) -> bool {
        self.began.is_some()
    }

    /// Whether it says something that is no bridge.
    pub(super) fn has_words(&self) -> bool {
        self.sentences.iter().any(|sentence| !sentence.is_bridge)
    }

    /// Whether the round under way says something.
    pub(super) fn has_words_now(&self) -> bool {
        self.sentences.iter().any(|sentence| !sentence.is_bridge && sentence.round == self.round)
    }

    /// Calls of the round under way.
    pub(super) fn calls_now(&self) -> impl Iterator<Item = &Calling> {
        self.calls.iter().filter(|calling| calling.round == self.round)
    }

    pub(super) fn call(&mut self, id: &str) -> Option<&mut Calling> {
        self.calls.iter_mut().find(|calling| calling.call.id == id)
    }

    pub(super) fn sentence(&mut self, turn: TurnId, id: u64) -> Option<&mut Sentence> {
        if turn != self.turn {
            return None;
        }
        self.sentences.iter_mut().find(|sentence| sentence.id == id && sentence.stage != Stage::Over)
    }

    /// Whether its last words are a question.
    pub(super) fn asked(&self) -> bool {
        self.sentences.iter().rfind(|sentence| !sentence.is_bridge).is_some_and(|last| last.text.ends_with('?'))
    }

    /// All that was heard of it, without bridges.
    pub(super) fn heard(&self) -> String {
        self.joined(Sentence::heard_text)
    }

    /// What was ready and was not heard.
    pub(super) fn unheard(&self) -> String {
        self.joined(Sentence::unheard_text)
    }

    fn joined(&self, part: fn(&Sentence) -> String) -> String {
        let parts = self.sentences.iter().filter(|sentence| !sentence.is_bridge).map(part);
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// What it said and called in a round: as far as it was heard, or all of it where the conversation goes on while it is
    /// still being said.
    pub(super) fn said_in(&self, round: u32, only_heard: bool) -> (String, Vec<Call>) {
        let words = |sentence: &Sentence| if only_heard { sentence.heard_text() } else { sentence.text.clone() };
        let parts: Vec<String> = self
            .sentences
            .iter()
            .filter(|sentence| sentence.round == round && !sentence.is_bridge)
            .map(words)
            .filter(|part| !part.is_empty())
            .collect();
        let calls = self.calls.iter().filter(|calling| calling.round == round).map(|calling| calling.call.clone());
        (parts.join(" "), calls.collect())
    }

    /// Its finished rounds, for a model that is asked to go on.
    pub(super) fn messages(&self) -> Vec<Message> {
        let mut messages = Vec::new();
        for round in 0..self.round {
            let (text, calls) = self.said_in(round, false);
            if !text.is_empty() || !calls.is_empty() {
                messages.push(Message::Assistant { text, calls });
            }
            for calling in self.calls.iter().filter(|calling| calling.round == round) {
                if let State::Done(outcome) = &calling.state {
                    messages.push(Message::ToolResult {
                        id: calling.call.id.clone(),
                        name: calling.call.name.clone(),
                        content: outcome.content.clone(),
                        is_error: outcome.is_error,
                    });
                }
            }
        }
        messages
    }

    /// Whether somebody waits for something that may be bridged.
    pub(super) fn waits(&self) -> bool {
        let is_called = |calling: &Calling| !matches!(calling.state, State::Done(_) | State::Sending(..));
        let is_called = self.calls.iter().any(is_called);
        !self.is_prepared && (self.asking.is_some() || is_called) && !self.is_speaking()
    }

    /// When its question is given up.
    pub(super) fn asking_due(&self) -> Option<MediaTime> {
        let asking = self.asking?;
        let next = match asking.last {
            // One that was prepared has its whole time once it is wanted.
            None if self.round == 0 => asking.since.max(self.since) + FIRST_MAX,
            None => asking.since + FIRST_MAX,
            Some(last) => last + NEXT_MAX,
        };
        Some(next.min(asking.since + ANSWER_MAX))
    }

    /// When a call is given up.
    pub(super) fn calls_due(&self) -> Option<MediaTime> {
        self.calls
            .iter()
            .filter_map(|calling| match calling.state {
                State::Running(until) | State::Sending(until, _) => Some(until),
                State::Held | State::Pressing(..) | State::Done(_) => None,
            })
            .min()
    }

    /// When the voice is given up on the sentence that is next.
    pub(super) fn voice_due(&self) -> Option<MediaTime> {
        let next = self.sentences.iter().find(|sentence| matches!(sentence.stage, Stage::Sent | Stage::Begun))?;
        let longest = VOICE_LETTER * u32::try_from(next.text.chars().count()).unwrap_or(u32::MAX);
        Some(self.voice_at + VOICE_MAX + longest)
    }
}

/// The first piece of an answer is waited for so long. With the time that a voice takes, an apology is heard within five
/// seconds of the caller's last word.
const FIRST_MAX: Duration = Duration::from_millis(4_200);

/// The next piece is waited for so long. A call is one piece, and a model may write at its arguments for a while; whoever
/// asks it gives it up sooner when nothing comes at all, and the bridge covers the wait.
const NEXT_MAX: Duration = Duration::from_secs(10);

/// An answer takes no longer: somebody who is spoken to for so long has hung up.
const ANSWER_MAX: Duration = Duration::from_secs(45);

/// A voice is waited for so long, and for the time that the slowest of them takes for a letter.
const VOICE_MAX: Duration = Duration::from_secs(12);
const VOICE_LETTER: Duration = Duration::from_millis(120);
