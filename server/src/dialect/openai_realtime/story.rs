//! A session as a value: what its client wants, what happens, and what both of them are told because of it. Pure.
//!
//! It is told what the client says, what the room hears and what the agent does, each with its time, and answers with
//! events for the client ([`Story::told`]) and orders for the agent ([`Story::wants`]); drain both after everything that
//! it is told. Its parts are [`super::items`] (the conversation), [`super::listening`] (whoever speaks) and
//! [`super::answer`] (what is said); [`super::edits`] changes the conversation, and [`answering`] says who may answer,
//! and when.

mod answering;

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bot::{
    agent::{Dropped, Input, Notice, TurnId},
    event::Published,
    llm::Usage,
    persona::Persona,
    tools::{Outcome, Tool},
};
use media::{id::ParticipantId, time::MediaTime};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    answer::{Answer, End},
    command::Command,
    items::{Items, What},
    listening::{Listening, Manner},
    outbox::Outbox,
    session::{Kind, Known, Refused, Session},
};
use crate::agent::Delivery;

/// How long after the agent knows that all was heard the last sound of it may still be on its way here: the ring between
/// them, and a tick.
const SOUND_WITHIN: Duration = Duration::from_millis(120);

/// What is to be done for a session.
#[derive(Debug)]
pub(super) enum Want {
    /// Tell the agent.
    Tell(Input),
    /// Have what the agent says reach the client so.
    Deliver(Delivery),
    /// Let the agent go on as this.
    Change(Box<Persona>, Vec<Tool>),
    /// Listen for this language, or for any, and for these words.
    Expect(Option<String>, Vec<String>),
}

/// A session.
pub(super) struct Story {
    pub(super) session: Session,
    /// The models of this server.
    known: Vec<(String, String)>,
    conversation: String,
    pub(super) items: Items,
    /// From when on there is somebody to be heard.
    pub(super) listening: Option<Listening>,
    pub(super) answer: Option<Answer>,
    /// The newest turn of the agent that is over.
    last_turn: TurnId,
    /// An answer that is to follow the one that is under way, and what its client says about it.
    next: Option<(Session, Value)>,
    /// What the answer that was begun last is to be like; nobody has asked for it yet.
    unasked: Option<Session>,
    /// Whether the agent is as one answer wanted it.
    is_otherwise: bool,
    /// An answer of which the last sound is on its way.
    ending: Option<(Instant, End)>,
    /// Calls whose output is waited for.
    pub(super) calls: BTreeSet<String>,
    /// Calls whose output comes too late now.
    pub(super) given_up: BTreeSet<String>,
    /// Outputs that came while the answer was under way that called.
    outputs: Vec<(String, Outcome)>,
    /// Whether the agent has to be told what the conversation is.
    pub(super) is_edited: bool,
    /// Tokens of which no answer is known yet.
    used: Usage,
    room_now: MediaTime,
    wants: VecDeque<Want>,
    pub(super) out: Outbox,
}

impl Story {
    /// A session that has just been opened; `tag` is in all its names.
    pub(super) fn new(session: Session, known: &[Known<'_>], tag: String) -> Self {
        let mut out = Outbox::new(tag);
        out.tell(json!({"type": "session.created", "session": session.to_json()}));
        let conversation = out.name("conv");
        Self {
            session,
            known: known.iter().map(|(name, model)| ((*name).to_owned(), (*model).to_owned())).collect(),
            conversation,
            items: Items::default(),
            listening: None,
            answer: None,
            last_turn: TurnId::default(),
            next: None,
            unasked: None,
            is_otherwise: false,
            ending: None,
            calls: BTreeSet::new(),
            given_up: BTreeSet::new(),
            outputs: Vec::new(),
            is_edited: false,
            used: Usage::default(),
            room_now: MediaTime::ZERO,
            wants: VecDeque::new(),
            out,
        }
    }

    /// Who talks, and what it may call.
    pub(super) fn persona(&self) -> (Persona, Vec<Tool>) {
        self.persona_of(&self.session)
    }

    /// Whoever speaks is there.
    pub(super) fn begin(&mut self, caller: ParticipantId) {
        self.listening = Some(Listening::new(caller, self.manner()));
    }

    /// The session as it is, for somebody who joins it; nobody else is told.
    pub(super) fn described(&mut self) -> Value {
        let event_id = self.out.name("event");
        json!({"type": "session.created", "event_id": event_id, "session": self.session.to_json()})
    }

    /// The next event for the client.
    pub(super) fn told(&mut self) -> Option<Value> {
        self.out.next()
    }

    /// The next order.
    pub(super) fn wants(&mut self) -> Option<Want> {
        self.wants.pop_front()
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        let ending = self.ending.as_ref().map(|(at, _)| *at);
        let words = self.listening.as_ref().and_then(Listening::due);
        ending.into_iter().chain(words).min()
    }

    /// Does what is due.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.ending.as_ref().is_some_and(|(at, _)| *at <= now) {
            self.end_what_was_heard();
        }
        if let Some(listening) = &mut self.listening {
            listening.expire(now, &mut self.items, &mut self.out);
        }
        self.go_on();
    }

    /// Whether sound of the agent may come.
    pub(super) fn is_speaking(&self) -> bool {
        self.answer.as_ref().is_some_and(Answer::is_speaking)
    }

    /// Something is wrong with what the client called `event_id`.
    pub(super) fn refuse(&mut self, event_id: Option<&str>, refused: &Refused) {
        self.out.refuse(event_id, refused);
    }

    /// Does what the client wants. Sound goes another way.
    pub(super) fn obey(&mut self, event_id: Option<&str>, command: Command) {
        let is_talk = self.session.kind == Kind::Realtime;
        let done = match command {
            Command::Update { session } => self.update(event_id, &session),
            Command::Create { item, previous_item_id } if is_talk => self.create(item, previous_item_id),
            Command::Retrieve { item_id } => self.retrieve(&item_id),
            Command::Delete { item_id } if is_talk => self.delete(&item_id),
            Command::Truncate { item_id, content_index, audio_end_ms } if is_talk => {
                self.truncate(item_id, content_index, audio_end_ms)
            }
            Command::Respond { response } if is_talk => self.respond(event_id, response),
            Command::Cancel { response_id } if is_talk => self.cancel(response_id.as_deref()),
            Command::ClearOutput {} => self.clear_output(),
            Command::Append { .. } | Command::Commit {} | Command::Clear {} => Ok(()),
            Command::Create { .. }
            | Command::Delete { .. }
            | Command::Truncate { .. }
            | Command::Respond { .. }
            | Command::Cancel { .. } => {
                Err(refused("unsupported_event", "type", "this session writes down what is said, and nobody answers"))
            }
        };
        if let Err(refused) = done {
            self.out.refuse(event_id, &refused);
        }
        self.go_on();
    }

    /// The client ends what is said, of which so much was sent; `mark` is behind it.
    pub(super) fn commit(&mut self, event_id: Option<&str>, sent_ms: u64, mark: u64) {
        if let Some(listening) = &mut self.listening
            && let Err(refused) = listening.commit(sent_ms, mark, &mut self.items, &mut self.out)
        {
            self.out.refuse(event_id, &refused);
        }
    }

    /// What was said and not committed counts for nothing.
    pub(super) fn clear(&mut self) {
        if let Some(listening) = &mut self.listening {
            listening.clear();
        }
        if self.session.is_manual() {
            self.tell(Input::Forget);
        }
        self.out.tell(json!({"type": "input_audio_buffer.cleared"}));
    }

    /// All sound before this mark was heard.
    pub(super) fn heard(&mut self, mark: u64, now: Instant) {
        if let Some(listening) = &mut self.listening {
            listening.heard(mark, now);
        }
    }

    /// Something happened in the room.
    pub(super) fn hear(&mut self, entry: &Published) {
        self.room_now = entry.at;
        if let Some(listening) = &mut self.listening {
            listening.hear(&entry.event, &mut self.items, &mut self.out);
        }
        self.go_on();
    }

    /// Sound of the agent, in base64, so long.
    pub(super) fn sounds(&mut self, delta: String, ms: u64) {
        if let Some(answer) = &mut self.answer {
            answer.sounds(delta, ms, &mut self.items, &mut self.out);
        }
    }

    /// The agent says a sentence.
    pub(super) fn says(&mut self, turn: TurnId, text: &str) {
        if self.answers(Some(turn))
            && let Some(answer) = &mut self.answer
        {
            answer.says(text, &mut self.items, &mut self.out);
        }
    }

    /// The agent calls a function of the client's.
    pub(super) fn calls_function(&mut self, id: String, name: String, arguments: String) {
        if self.answers(None)
            && let Some(answer) = &mut self.answer
        {
            self.calls.insert(id.clone());
            answer.calls((id, name, arguments), &mut self.items, &mut self.out);
        }
    }

    /// Nobody waits for the output of that call any more.
    pub(super) fn gives_up(&mut self, call_id: String) {
        if self.calls.remove(&call_id) {
            self.given_up.insert(call_id);
        }
    }

    /// A model has ended an answer.
    pub(super) fn has_used(&mut self, used: Usage) {
        let sum = self.answer.as_mut().map_or(&mut self.used, |answer| &mut answer.used);
        sum.input_tokens = sum.input_tokens.saturating_add(used.input_tokens);
        sum.output_tokens = sum.output_tokens.saturating_add(used.output_tokens);
    }

    /// The agent did or decided something.
    pub(super) fn notices(&mut self, notice: Notice, now: Instant) {
        match notice {
            Notice::TurnEnded { turn, .. } => {
                // What was said so far is part of the agent's conversation now.
                for item in self.items.iter_mut() {
                    if let What::User { is_counted, .. } = &mut item.what {
                        *is_counted = true;
                    }
                }
                self.answers(Some(turn));
            }
            Notice::BotSpeaking { turn, .. } if self.is_of(turn) => {
                if let Some(answer) = &mut self.answer {
                    answer.begins_to_sound(now, &mut self.out);
                }
            }
            Notice::BotSpoke { turn, heard, .. } if self.is_of(turn) => {
                self.has_sounded(now);
                let heard = heard.reveal().to_owned();
                let is_in_trouble = |answer: &Answer| answer.trouble.is_some() && !answer.has_called;
                if heard.is_empty() && self.answer.as_ref().is_some_and(is_in_trouble) {
                    self.end(turn, End::Failed);
                } else {
                    self.last_turn = turn;
                    self.ending = Some((now + SOUND_WITHIN, End::Spoke(heard)));
                    if !self.is_speaking() {
                        self.end_what_was_heard();
                    }
                }
            }
            Notice::BotInterrupted { turn, heard, .. } if self.is_of(turn) => {
                self.has_sounded(now);
                let heard = heard.reveal().to_owned();
                let is_cancelled = self.answer.as_ref().is_some_and(|answer| answer.is_cancelled);
                self.end(turn, if is_cancelled { End::Cancelled(heard) } else { End::Interrupted(heard) });
            }
            Notice::Dropped { turn, why, .. } if self.is_of(turn) => {
                let end = match why {
                    Dropped::WentOn => End::Interrupted(String::new()),
                    Dropped::Stopped | Dropped::HungUp => End::Cancelled(String::new()),
                    Dropped::Mute => End::Failed,
                };
                self.end(turn, end);
            }
            Notice::Trouble { turn, why, .. } => {
                if let Some(answer) = self.answer.as_mut().filter(|answer| answer.turn == Some(turn)) {
                    answer.trouble = Some(why);
                }
            }
            Notice::Idle { .. } => {
                let for_ms = self.session.idle_ms();
                if let Some(listening) = &mut self.listening {
                    listening.nothing(self.room_now, for_ms, &mut self.items, &mut self.out);
                }
            }
            _ => {}
        }
        self.go_on();
    }

    /// Tells the agent.
    pub(super) fn tell(&mut self, input: Input) {
        self.wants.push_back(Want::Tell(input));
    }

    /// Lets the agent go on as the session wants it.
    pub(super) fn change(&mut self) {
        let session = self.session.clone();
        self.become_as(&session);
        self.is_otherwise = false;
    }

    /// What came of a call; told once the answer that called is over.
    pub(super) fn holds_output(&mut self, call_id: String, output: String) {
        self.outputs.push((call_id, Outcome::done(output)));
    }

    fn update(&mut self, event_id: Option<&str>, wanted: &Value) -> Result<(), Refused> {
        let has_begun = self.listening.is_some();
        let (session, idle) = self.session.update(wanted, has_begun)?;
        let before = std::mem::replace(&mut self.session, session);
        self.out.tell(json!({"type": "session.updated", "session": self.session.to_json()}));
        for idle in idle {
            self.out.refuse(event_id, &idle);
        }
        if !has_begun {
            return Ok(());
        }
        let manner = self.manner();
        if let Some(listening) = &mut self.listening {
            listening.behave(manner);
        }
        let expected = (self.session.language().map(str::to_owned), self.session.keyterms());
        if expected != (before.language().map(str::to_owned), before.keyterms()) {
            self.wants.push_back(Want::Expect(expected.0, expected.1));
        }
        self.change();
        Ok(())
    }

    /// Does what had to wait.
    fn go_on(&mut self) {
        if self.answer.is_none() {
            for (call, outcome) in std::mem::take(&mut self.outputs) {
                self.tell(Input::ToolDone { call, outcome });
            }
            if std::mem::take(&mut self.is_edited) {
                let past = self.items.past();
                self.tell(Input::Past(past));
            }
            if std::mem::take(&mut self.is_otherwise) {
                self.change();
            }
            if let Some((session, metadata)) = self.next.take() {
                let used = std::mem::take(&mut self.used);
                self.answer = Some(Answer::new(&session, &metadata, &self.conversation, used, &mut self.out));
                self.unasked = Some(session);
            }
        }
        let is_settling = self.listening.as_ref().is_some_and(Listening::is_settling);
        if let Some(session) = self.unasked.take_if(|_| !is_settling) {
            if session.to_json() != self.session.to_json() {
                self.become_as(&session);
                self.is_otherwise = true;
            }
            self.tell(Input::Respond);
        }
    }

    fn become_as(&mut self, session: &Session) {
        let (persona, functions) = self.persona_of(session);
        self.wants.push_back(Want::Change(Box::new(persona), functions));
        self.wants.push_back(Want::Deliver(session.delivery()));
    }

    fn persona_of(&self, session: &Session) -> (Persona, Vec<Tool>) {
        let known: Vec<Known<'_>> = self.known.iter().map(|(name, model)| (name.as_str(), model.as_str())).collect();
        session.persona(&self.items.system(), &known)
    }

    fn manner(&self) -> Manner {
        Manner { is_manual: self.session.is_manual(), is_transcribed: self.session.is_transcribed() }
    }
}

/// What is wrong with something that the client wants.
pub(super) fn refused(code: &'static str, param: &str, why: &str) -> Refused {
    Refused { code, param: param.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests;
