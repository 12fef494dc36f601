//! The words of a call again: its streams of the ears, and the room that was told what they heard.
//!
//! One pass over the journal in the order in which it was written: whoever noted that something was heard did so
//! after the ears had noted what they heard it from, so a record never refers to one that follows.

use std::{
    collections::{BTreeMap, VecDeque},
    io::Read,
    sync::Mutex,
    time::Instant,
};

use asr::{
    diarize::VoiceId,
    event::{Event, LostWhy},
    pool::{
        journal::{Opened as Ears, Step},
        replay::Stream,
    },
};
use bot::{
    conversation::{Conversation, Key, Opened, Told, What, unread},
    event::RoomEvent,
    room::{Limits, Room},
};
use media::{
    frame::EAR_HZ,
    id::ParticipantId,
    journal::{Kind, Reader, Record},
};

use super::{Difference, End, Models, ReplayError, Replayed};
use crate::clock::Clock;

/// A call in the middle of being lived through again.
pub(super) struct Words<L> {
    load: L,
    models: Option<Models>,
    room: Option<Again>,
    streams: BTreeMap<u32, Heard>,
    /// Which stream somebody's words come from.
    tracks: BTreeMap<ParticipantId, u32>,
    then: VecDeque<String>,
    now: VecDeque<String>,
    events: usize,
    records: u64,
    /// Any instant will do: only differences are looked at.
    began: Instant,
}

/// The room, again.
struct Again {
    opened: Opened,
    room: Mutex<Room>,
    conversation: Conversation,
    seq: u64,
}

/// A stream, again.
struct Heard {
    stream: Stream,
    samples: u64,
    /// What it said and the room was not told yet.
    said: VecDeque<Event>,
}

/// What stops a replay.
enum Stop {
    Different(Difference),
    Failed(ReplayError),
}

impl<L: FnMut(&Ears) -> Result<Models, String>> Words<L> {
    pub(super) fn new(load: L) -> Self {
        Self {
            load,
            models: None,
            room: None,
            streams: BTreeMap::new(),
            tracks: BTreeMap::new(),
            then: VecDeque::new(),
            now: VecDeque::new(),
            events: 0,
            records: 0,
            began: Clock.now(),
        }
    }

    /// Goes through the whole journal, or up to the first difference.
    pub(super) fn replay(mut self, journal: &mut Reader<impl Read>) -> Result<Replayed, ReplayError> {
        let mut end = End::Closed;
        while let Some(record) = journal.record()? {
            self.records += 1;
            if record.kind == Kind::Dropped {
                let count = record.body.as_slice().try_into().map_or(1, u64::from_le_bytes);
                end = End::Incomplete(count);
                break;
            }
            match self.take(&record) {
                Ok(()) => {}
                Err(Stop::Different(difference)) => return Ok(self.replayed(end, Some(difference))),
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        if journal.was_cut() {
            end = End::Cut;
        }
        // What came out then may be missing at the end of a journal that is not whole, but not the other way round.
        let number = self.events + 1;
        let difference = match (self.then.pop_front(), self.now.pop_front()) {
            (None, now @ Some(_)) if end == End::Closed => Some(Difference::Event { number, then: None, now }),
            (then @ Some(_), None) => Some(Difference::Event { number, then, now: None }),
            _ => None,
        };
        Ok(self.replayed(end, difference))
    }

    fn replayed(self, end: End, difference: Option<Difference>) -> Replayed {
        let samples: u64 = self.streams.values().map(|heard| heard.samples).sum();
        Replayed {
            room: self.room.map(|again| again.opened),
            streams: self.streams.len(),
            heard_s: samples as f64 / f64::from(EAR_HZ),
            events: self.events,
            sound: None,
            end,
            difference,
        }
    }

    fn take(&mut self, record: &Record) -> Result<(), Stop> {
        match record.kind {
            Kind::Room => self.open_room(record),
            Kind::Told => self.tell(record),
            Kind::Published => {
                let json = std::str::from_utf8(&record.body).map_err(|error| self.senseless(record, error))?;
                self.then.push_back(json.to_owned());
                self.compare()
            }
            Kind::EarsOpened => self.open_ears(record),
            Kind::EarsHeard | Kind::EarsTold => self.step(record),
            // The graph's; and the end, after which nothing comes.
            _ => Ok(()),
        }
    }

    fn open_room(&mut self, record: &Record) -> Result<(), Stop> {
        let opened: Opened = serde_json::from_slice(&record.body).map_err(|error| self.senseless(record, error))?;
        let conversation = Conversation::new(opened.call_date, None);
        self.room = Some(Again { opened, room: Mutex::new(Room::new(Limits::default())), conversation, seq: 0 });
        Ok(())
    }

    fn open_ears(&mut self, record: &Record) -> Result<(), Stop> {
        let opened = Ears::read(record).map_err(|error| self.senseless(record, error))?;
        if self.models.is_none() {
            let models = (self.load)(&opened).map_err(|why| {
                Stop::Failed(ReplayError::Models { engine: opened.engine.clone(), model: opened.model.clone(), why })
            })?;
            self.models = Some(models);
        }
        let heard = Heard { stream: Stream::new(opened, self.began), samples: 0, said: VecDeque::new() };
        self.streams.insert(record.track, heard);
        Ok(())
    }

    fn step(&mut self, record: &Record) -> Result<(), Stop> {
        let step = Step::read(record).map_err(|error| self.senseless(record, error))?;
        let (Some(step), Some(heard), Some(models)) = (step, self.streams.get_mut(&record.track), self.models.as_mut())
        else {
            return Err(self.senseless(record, "its stream was never opened"));
        };
        if let Step::Heard { samples, .. } = &step {
            heard.samples += samples.len() as u64;
        }
        let said = heard.stream.step(step, &mut models.silero, models.decoder.as_mut()).map_err(|how| {
            let heard_ms = heard.samples * 1_000 / u64::from(EAR_HZ);
            Stop::Different(Difference::Ears { track: record.track, heard_ms, how })
        })?;
        heard.said.extend(said);
        Ok(())
    }

    fn tell(&mut self, record: &Record) -> Result<(), Stop> {
        let told: Told = serde_json::from_slice(&record.body).map_err(|error| self.senseless(record, error))?;
        let heard = match &told.what {
            What::Listen { participant, track } => {
                self.tracks.insert(ParticipantId(*participant), *track);
                return Ok(());
            }
            // Also told by whoever feeds the ears; with all that it says.
            What::Heard { event: Key::Lost { span, has_failed }, .. } => {
                let why = if *has_failed { LostWhy::Recognizer } else { LostWhy::Overload };
                Some(Ok(Event::Lost { span: *span, why }))
            }
            What::Heard { participant, event } => {
                let track = self.tracks.get(&ParticipantId(*participant)).copied();
                let track = track.ok_or_else(|| self.senseless(record, "nobody listens to that participant"))?;
                Some(Ok(self.said(track, *event).map_err(Stop::Different)?))
            }
            What::Announce(value) => {
                let known = RoomEvent::announced(value);
                Some(Err(known.ok_or_else(|| self.senseless(record, "an announcement of an unknown kind"))?))
            }
            _ => None,
        };
        let Some(Again { room, conversation, seq, .. }) = &mut self.room else {
            return Err(self.senseless(record, "the room was never opened"));
        };
        let (who, now) = (|id: u64| ParticipantId(id), told.at);
        match (told.what, heard) {
            // A room that is crowded refuses again.
            (What::Join(newcomer), _) => drop(conversation.join(room, newcomer, now)),
            (What::Heard { participant, .. }, Some(Ok(event))) => {
                conversation.hear(room, who(participant), event, now);
            }
            (What::Announce(_), Some(Err(event))) => conversation.announce(room, event, now),
            (What::Update { participant, change }, _) => {
                drop(conversation.update(room, who(participant), change, now));
            }
            (What::Name { participant, voice, name }, _) => {
                conversation.name_speaker(room, who(participant), VoiceId(voice), name, now);
            }
            (What::Leave { participant }, _) => conversation.leave(room, who(participant), now),
            (What::Close, _) => conversation.close(room, now),
            (What::Listen { .. } | What::Heard { .. } | What::Announce(_), _) => {}
        }
        for entry in unread(room, seq) {
            let json = serde_json::to_string(&*entry).map_err(|error| self.senseless(record, error))?;
            self.now.push_back(json);
        }
        self.compare()
    }

    /// Takes what a stream said by its name.
    fn said(&mut self, track: u32, key: Key) -> Result<Event, Difference> {
        let said = self.streams.get_mut(&track).map(|heard| &mut heard.said);
        let unsaid = |now: &VecDeque<Event>| Difference::Unsaid {
            track,
            then: format!("{key:?}"),
            now: now.iter().map(|event| format!("{:?}", Key::of(event))).collect(),
        };
        let Some(said) = said else { return Err(unsaid(&VecDeque::new())) };
        let Some(index) = said.iter().position(|event| key.names(event)) else { return Err(unsaid(said)) };
        let event = said.remove(index).expect("its place was just found");
        // Partials that nobody took were replaced by newer ones. A late one may still be taken after its final.
        said.retain(|unread| match (Key::of(unread), key) {
            (Key::Partial(utterance, revision), Key::Partial(now, newer)) => (utterance, revision) > (now, newer),
            (Key::Partial(utterance, _), Key::Final(now)) => utterance + 1 >= now,
            _ => true,
        });
        Ok(event)
    }

    /// Holds what is published now against what was published then, as far as both are known.
    fn compare(&mut self) -> Result<(), Stop> {
        while let (Some(then), Some(now)) = (self.then.front(), self.now.front()) {
            self.events += 1;
            if then != now {
                let (then, now) = (Some(then.clone()), Some(now.clone()));
                return Err(Stop::Different(Difference::Event { number: self.events, then, now }));
            }
            self.then.pop_front();
            self.now.pop_front();
        }
        Ok(())
    }

    fn senseless(&self, record: &Record, why: impl ToString) -> Stop {
        let (number, kind) = (self.records, format!("{:?}", record.kind));
        Stop::Failed(ReplayError::Record { number, kind, why: why.to_string() })
    }
}
