//! What becomes of everything that happens in a room: the one door to its log and its brain.
//!
//! Pure: told the time, owned by [`crate::actor`]. Where a journal is kept, each input is noted with its time
//! before anything is done about it, and each event as it was published, so that [`Conversation`] fed with the
//! notes of a call ([`Told`]) publishes the call's events again. What ears heard is noted by name only ([`Key`]):
//! the ears themselves are heard again for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use asr::{
    diarize::VoiceId,
    event::{Cut, Event, LostWhy, UtteranceId},
};
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
    event::{Published, RoomEvent, Segment, span_of},
    note::Summary,
    participant::{Change, Newcomer, Participant},
    room::{Crowded, Room, Settings},
    speakers::{NamedBy, SpeakerId},
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
    /// Somebody says what one of several speakers on a line is called.
    Name {
        /// Whose line.
        participant: u64,
        /// Which voice on it.
        voice: u16,
        /// What they are called.
        name: String,
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
    /// That it is known better who said an utterance.
    Relabelled {
        /// The utterance.
        utterance: u64,
        /// The how manieth time, from 1; 0 in the name of an event by itself, which does not know.
        count: u32,
    },
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
            Event::Relabelled { utterance, .. } => Self::Relabelled { utterance: utterance.0, count: 0 },
            Event::SpeechEnded { utterance, .. } => Self::Ended(utterance.0),
            Event::TurnEnded { utterance, at, .. } => Self::Turn(utterance.0, *at),
            Event::Lost { span, why } => Self::Lost { span: *span, has_failed: *why == LostWhy::Recognizer },
        }
    }

    /// Whether this is the name of `event`. How often an utterance was put right tells the order of the events, not the
    /// event itself.
    pub fn names(&self, event: &Event) -> bool {
        match (*self, Self::of(event)) {
            (Self::Relabelled { utterance, .. }, Self::Relabelled { utterance: other, .. }) => utterance == other,
            (name, other) => name == other,
        }
    }
}

/// The brain of a room, and the notes that are kept of it.
pub struct Conversation {
    brain: Brain,
    heard_since_summary: bool,
    /// How often the speakers of an utterance were put right, by line, while the line is there: of the newest
    /// [`RELABELS_MAX`] that were.
    relabels: BTreeMap<ParticipantId, BTreeMap<u64, u32>>,
    /// Names that were offered; at most [`SUGGESTED_MAX`], then no more are.
    suggested: BTreeSet<(SpeakerId, String)>,
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
        Self {
            brain: Brain::new(brain::Config::new(call_date)),
            heard_since_summary: false,
            relabels: BTreeMap::new(),
            suggested: BTreeSet::new(),
            notes,
        }
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
        let key = self.name_of(participant, &event);
        self.note(now, || What::Heard { participant: participant.0, event: key });
        let cut = match &event {
            Event::Final { cut, .. } => Some(*cut),
            _ => None,
        };
        let segment = lock(room).hear(participant, event, now);
        match (segment, cut) {
            (Some(segment), Some(cut)) => {
                self.heard_since_summary = true;
                for heard in heard(&segment, cut) {
                    self.think(room, brain::Input::Heard(heard), now);
                }
                self.suggest(room, &segment, now);
            }
            (Some(segment), None) => {
                self.think(room, brain::Input::Attributed(attributed(&segment)), now);
                self.suggest(room, &segment, now);
            }
            (None, _) => {}
        }
        self.note_published(room);
    }

    /// The name of an event of somebody's ears, numbered where several would have the same.
    fn name_of(&mut self, participant: ParticipantId, event: &Event) -> Key {
        match Key::of(event) {
            Key::Relabelled { utterance, .. } => {
                let counts = self.relabels.entry(participant).or_default();
                let count = counts.get(&utterance).map_or(1, |count| count.saturating_add(1));
                counts.insert(utterance, count);
                if counts.len() > RELABELS_MAX {
                    counts.pop_first();
                }
                Key::Relabelled { utterance, count }
            }
            key => key,
        }
    }

    /// Offers the names that people who are known by voice alone say of themselves.
    fn suggest(&mut self, room: &Mutex<Room>, segment: &Segment, now: MediaTime) {
        for (voiced, words) in segment.runs() {
            let Some(speaker) = voiced.speaker.filter(|_| voiced.named_by == NamedBy::Voice) else { continue };
            let Some(found) = brain::introduced(words) else { continue };
            if self.suggested.len() >= SUGGESTED_MAX || !self.suggested.insert((speaker, found.name.clone())) {
                continue;
            }
            let span = span_of(&words[found.at..found.at + found.count]);
            let (participant, utterance) = (segment.participant, segment.utterance);
            let (name, quote) = (found.name.into(), found.quote.into());
            let event = RoomEvent::SpeakerSuggested { participant, speaker, name, utterance, quote, span };
            lock(room).announce(event, now);
        }
    }

    /// Gives one of several speakers on a line a name; false when nobody of that voice was heard.
    pub fn name_speaker(
        &mut self,
        room: &Mutex<Room>,
        participant: ParticipantId,
        voice: VoiceId,
        name: String,
        now: MediaTime,
    ) -> bool {
        self.note(now, || What::Name { participant: participant.0, voice: voice.0, name: name.clone() });
        let speaker = SpeakerId { participant, voice: Some(voice) };
        let before = lock(room).name_speaker(speaker, &name, now);
        let was_heard = before.is_some();
        if let Some(from) = before {
            let is_still_used = lock(room).is_used(participant, &from);
            if is_still_used {
                // What somebody else of the old name said stays theirs: the brain is told whose is what.
                let said = lock(room).said_by(speaker);
                for segment in said {
                    self.think(room, brain::Input::Attributed(attributed(&segment)), now);
                }
            } else {
                let renamed = brain::Renamed { participant, from: from.to_string(), to: name };
                self.think(room, brain::Input::Renamed(renamed), now);
            }
        }
        self.note_published(room);
        was_heard
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
        self.relabels.remove(&participant);
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

/// What the brain reads of a settled utterance: all of it, or each stretch of one speaker.
fn heard(segment: &Segment, cut: Cut) -> Vec<brain::Heard> {
    let heard = |speaker, words: &[asr::event::Word], cut| brain::Heard {
        participant: Some(segment.participant),
        utterance: UtteranceId(segment.utterance),
        speaker,
        words: words.to_vec(),
        cut,
        language: segment.language.clone(),
    };
    if segment.voices.is_empty() {
        return vec![heard(None, &segment.words, cut)];
    }
    let mut stretches: Vec<brain::Heard> = segment
        .runs()
        // Somebody else goes on: what this one says ends here.
        .map(|(voiced, words)| heard(voiced.speaker.map(|_| voiced.name.to_string()), words, Cut::Pause))
        .collect();
    if let Some(last) = stretches.last_mut() {
        last.cut = cut;
    }
    stretches
}

/// Who said which stretch of an utterance.
fn attributed(segment: &Segment) -> brain::Attributed {
    let stretches = segment.runs().map(|(voiced, words)| brain::Stretch {
        span: span_of(words),
        speaker: voiced.speaker.map(|_| voiced.name.to_string()),
    });
    brain::Attributed {
        participant: segment.participant,
        utterance: UtteranceId(segment.utterance),
        stretches: stretches.collect(),
    }
}

/// Utterances of one line whose corrections are counted; the ears remember no more of them.
const RELABELS_MAX: usize = 20_000;

/// Names that one conversation offers; nobody reads more.
const SUGGESTED_MAX: usize = 256;

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

#[cfg(test)]
mod tests;
