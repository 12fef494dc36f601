//! What becomes of everything that happens in a room: the one door to its log and its brain.
//!
//! Pure: told the time, owned by [`crate::actor`]. Where a journal is kept, each input is noted with its time
//! before anything is done about it, and each event as it was published, so that [`Conversation`] fed with the
//! notes of a call ([`Told`]) publishes the call's events again. What ears heard is noted by name only ([`Key`]):
//! the ears themselves are heard again for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use asr::event::{Event, LostWhy};
use jiff::civil::Date;
use media::{
    id::ParticipantId,
    journal::{Journal, Kind},
    time::{MediaTime, Span},
};
use serde::{Deserialize, Serialize};

use crate::{
    actor::Opening,
    brain::{self, Brain},
    event::{Published, RoomEvent},
    note::Summary,
    participant::{Change, Newcomer, Participant},
    room::{Crowded, Room, Settings},
};

/// The first record of a journal: the room as it was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// The room's id, as on the wire.
    pub room: String,
    /// What it is about.
    pub title: String,
    /// When it began, as ISO 8601 in UTC.
    pub began: String,
    /// The local date of that moment.
    pub call_date: Date,
    /// What it demands.
    pub settings: Settings,
    /// The version of the program that wrote this.
    pub program: String,
}

/// One input of a room, as a journal has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// When, on the room's timeline, in its ticks.
    pub at: MediaTime,
    /// What.
    pub what: What,
}

/// What a room can be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Somebody wants in.
    Join(Newcomer),
    /// Somebody's words come from this stream of the ears from now on.
    Listen {
        /// Who.
        participant: u64,
        /// The stream's number in the journal.
        track: u32,
    },
    /// Somebody's ears heard something.
    Heard {
        /// Who.
        participant: u64,
        /// What.
        event: Key,
    },
    /// Something is to be published as it is: the event's JSON.
    Announce(serde_json::Value),
    /// Somebody's standing changes.
    Update {
        /// Who.
        participant: u64,
        /// How.
        change: Change,
    },
    /// Somebody goes.
    Leave {
        /// Who.
        participant: u64,
    },
    /// Everybody goes: the room closes.
    Close,
}

/// Which of the events of a stream: as much as tells one from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// The beginning of an utterance.
    Started(u64),
    /// Words so far: utterance and revision.
    Partial(u64, u32),
    /// The words of an utterance.
    Final(u64),
    /// The end of speech.
    Ended(u64),
    /// How likely a pause ended a turn: the utterance, and where the speech before the pause ended.
    Turn(u64, MediaTime),
    /// A lost stretch, which the ears may not know of: all of it.
    Lost {
        /// Which.
        span: Span,
        /// Whether the recognizer failed on it; otherwise there was too much.
        has_failed: bool,
    },
}

impl Opened {
    /// Of a room that opens.
    pub(crate) fn of(opening: &Opening) -> Self {
        Self {
            room: opening.id.to_string(),
            title: opening.title.clone(),
            began: jiff::Timestamp::try_from(opening.epoch.wall).unwrap_or_default().to_string(),
            call_date: opening.call_date,
            settings: opening.settings,
            program: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl Key {
    /// The name of an event.
    pub fn of(event: &Event) -> Self {
        match event {
            Event::SpeechStarted { utterance, .. } => Self::Started(utterance.0),
            Event::Partial { utterance, revision, .. } => Self::Partial(utterance.0, *revision),
            Event::Final { utterance, .. } => Self::Final(utterance.0),
            Event::SpeechEnded { utterance, .. } => Self::Ended(utterance.0),
            Event::TurnEnded { utterance, at, .. } => Self::Turn(utterance.0, *at),
            Event::Lost { span, why } => Self::Lost { span: *span, has_failed: *why == LostWhy::Recognizer },
        }
    }
}

/// The brain of a room, and the notes that are kept of it.
pub struct Conversation {
    brain: Brain,
    heard_since_summary: bool,
    notes: Option<Notes>,
}

struct Notes {
    journal: Journal,
    /// The last entry of the log that was noted.
    seq: u64,
}

impl Conversation {
    /// A conversation that begins on `call_date`; its inputs and events go to `journal` where there is one.
    pub fn new(call_date: Date, journal: Option<Journal>) -> Self {
        let notes = journal.map(|journal| Notes { journal, seq: 0 });
        Self { brain: Brain::new(brain::Config::new(call_date)), heard_since_summary: false, notes }
    }

    /// Lets somebody in.
    ///
    /// # Errors
    /// [`Crowded`] when every place is taken.
    pub fn join(&mut self, room: &Mutex<Room>, newcomer: Newcomer, now: MediaTime) -> Result<ParticipantId, Crowded> {
        self.note(now, || What::Join(newcomer.clone()));
        let name = newcomer.name.clone();
        let participant = lock(room).join(newcomer, now)?;
        self.think(room, brain::Input::Joined { participant, name: Some(name) }, now);
        self.note_published(room);
        Ok(participant)
    }

    /// Publishes what a participant's ears heard, and lets the brain read it.
    pub fn hear(&mut self, room: &Mutex<Room>, participant: ParticipantId, event: Event, now: MediaTime) {
        self.note(now, || What::Heard { participant: participant.0, event: Key::of(&event) });
        let cut_and_utterance = match &event {
            Event::Final { cut, utterance, .. } => Some((*cut, *utterance)),
            _ => None,
        };
        let segment = lock(room).hear(participant, event, now);
        if let (Some(segment), Some((cut, utterance))) = (segment, cut_and_utterance) {
            self.heard_since_summary = true;
            let heard = brain::Heard {
                participant: Some(participant),
                utterance,
                speaker: None,
                words: segment.words.clone(),
                cut,
                language: segment.language.clone(),
            };
            self.think(room, brain::Input::Heard(heard), now);
        }
        self.note_published(room);
    }

    /// Publishes what nobody's ears heard.
    pub fn announce(&mut self, room: &Mutex<Room>, event: RoomEvent, now: MediaTime) {
        self.note(now, || What::Announce(serde_json::to_value(&event).unwrap_or_default()));
        lock(room).announce(event, now);
        self.note_published(room);
    }

    /// Changes how somebody stands; `None` when they are not here.
    pub fn update(
        &mut self,
        room: &Mutex<Room>,
        participant: ParticipantId,
        change: Change,
        now: MediaTime,
    ) -> Option<Participant> {
        self.note(now, || What::Update { participant: participant.0, change });
        let after = lock(room).update(participant, change, now);
        self.note_published(room);
        after
    }

    /// Lets somebody go; the last one out has the conversation summed up.
    pub fn leave(&mut self, room: &Mutex<Room>, participant: ParticipantId, now: MediaTime) {
        self.note(now, || What::Leave { participant: participant.0 });
        lock(room).leave(participant, now);
        self.think(room, brain::Input::Left { participant }, now);
        if lock(room).participants().is_empty() {
            self.sum_up(room, now);
        }
        self.note_published(room);
    }

    /// Lets everybody go and sums up.
    pub fn close(&mut self, room: &Mutex<Room>, now: MediaTime) {
        self.note(now, || What::Close);
        let present = lock(room).participants();
        for participant in present {
            lock(room).leave(participant.id, now);
            self.think(room, brain::Input::Left { participant: participant.id }, now);
        }
        self.sum_up(room, now);
        self.note_published(room);
        // The journal ends with its room.
        self.notes = None;
    }

    /// A summary of everything so far.
    pub fn summary(&self) -> Summary {
        Summary::from(&self.brain.summary())
    }

    /// The conversation is over for now: the brain reads what it held back and sums up.
    fn sum_up(&mut self, room: &Mutex<Room>, now: MediaTime) {
        if std::mem::take(&mut self.heard_since_summary) {
            self.think(room, brain::Input::Ended, now);
        }
    }

    fn think(&mut self, room: &Mutex<Room>, input: brain::Input, now: MediaTime) {
        self.brain.handle(input, now);
        let mut room = lock(room);
        while let Some(output) = self.brain.poll() {
            match output {
                brain::Output::Note(item) => room.note_action((&item).into(), now),
                brain::Output::Decided(decision) => room.note_decision((&decision).into(), now),
                brain::Output::Asked(question) => room.note_question((&question).into(), now),
                brain::Output::Summarised(summary) => room.summarise((&summary).into(), now),
            }
        }
    }

    fn note(&self, at: MediaTime, what: impl FnOnce() -> What) {
        if let Some(notes) = &self.notes {
            note(&notes.journal, &Told { at, what: what() });
        }
    }

    /// Notes what was published by the input just obeyed. A partial leaves the log only when a later input
    /// replaces it, so nothing is missed.
    fn note_published(&mut self, room: &Mutex<Room>) {
        let Some(notes) = &mut self.notes else { return };
        for entry in unread(room, &mut notes.seq) {
            notes.journal.note(Kind::Published, 0, json(&*entry));
        }
    }
}

/// What was published after `seq`, which then is the last of it.
pub fn unread(room: &Mutex<Room>, seq: &mut u64) -> Vec<Arc<Published>> {
    // A log too short to hold what one input says has dropped the beginning of it.
    let mut entries = Vec::new();
    let room = lock(room);
    while let Ok(mut more) = room.read((*seq).max(room.oldest_cursor()), usize::MAX)
        && !more.is_empty()
    {
        *seq = more.last().map_or(*seq, |entry| entry.seq);
        entries.append(&mut more);
    }
    entries
}

/// Notes that somebody's words come from a stream of the ears.
pub(crate) fn note_listening(journal: &Journal, participant: ParticipantId, track: u32, at: MediaTime) {
    note(journal, &Told { at, what: What::Listen { participant: participant.0, track } });
}

fn note(journal: &Journal, told: &Told) {
    journal.note(Kind::Told, 0, json(told));
}

/// The JSON of a value of ours.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("our own values have string keys and no failing parts")
}

fn lock(room: &Mutex<Room>) -> MutexGuard<'_, Room> {
    room.lock().unwrap_or_else(PoisonError::into_inner)
}
