//! A room as a value: who is in it, what was said, and the numbered log that every client reads.
//!
//! Pure: told the time, owned by [`crate::actor`], read under a short lock by whoever serves a client. Nobody
//! subscribes: a client holds a cursor (the last `seq` it has seen) and reads on from there at its own pace,
//! so a slow client costs the room nothing. Everything is bounded by [`Limits`]. When the log is full, what
//! newer words have replaced is already gone (a partial leaves as soon as its successor or its final is in, what was
//! put right of an utterance's speakers as soon as it is put right again);
//! then the oldest entries leave, and a cursor from before them has fallen off and is told where to resume.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use asr::event::{Event, VoiceRun, Word};
use media::{
    id::ParticipantId,
    time::{MediaTime, Span},
};
use serde::{Deserialize, Serialize};

use crate::{
    event::{Published, RoomEvent, Segment, VERSION, span_of},
    note::{ActionItem, Decision, Question, Summary},
    participant::{Change, Newcomer, Participant, Timeline},
    speakers::{NAME_MAX_CHARS, NamedBy, SpeakerId, Speakers, Talk, Voiced},
};

/// How much one room keeps.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries of the log. 4096 is about an hour of lively talk, some 3 MB at most; more is read from the
    /// transcript, which is cheaper.
    pub events_max: usize,
    /// Segments of the transcript. 20 000 is a full working day; the oldest go first.
    pub segments_max: usize,
    /// Action items, decisions and questions, each. 1000 is more than anybody reads; the oldest go first.
    pub notes_max: usize,
    /// Participants at once. 64 is a large meeting; each may carry a stream of audio.
    pub participants_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { events_max: 4_096, segments_max: 20_000, notes_max: 1_000, participants_max: 64 }
    }
}

/// What a room demands, for as long as it is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Nobody is recorded before they agreed to it.
    pub consent_required: bool,
}

/// The room has no place for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the room already has {0} participants")]
pub struct Crowded(pub usize);

/// The client's cursor is older than the log: what lies between is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("events up to {resume} are gone; resume with since={resume}")]
pub struct FellOff {
    /// The cursor with which to go on; the transcript holds the words before it.
    pub resume: u64,
}

/// One conversation.
#[derive(Debug)]
pub struct Room {
    limits: Limits,
    participants: BTreeMap<ParticipantId, Present>,
    participants_seen: u64,
    log: VecDeque<Arc<Published>>,
    last_seq: u64,
    /// The newest entry that left the log for want of room; zero while none has.
    evicted_through: u64,
    transcript: VecDeque<Arc<Segment>>,
    speakers: Speakers,
    /// The log entry that last put right who spoke, by line and utterance; at most one for each entry of the log.
    relabels: BTreeMap<(ParticipantId, u64), u64>,
    actions: VecDeque<Arc<ActionItem>>,
    decisions: VecDeque<Arc<Decision>>,
    questions: VecDeque<Arc<Question>>,
    summary: Option<Arc<Summary>>,
}

#[derive(Debug)]
struct Present {
    as_seen: Participant,
    /// Where the timeline of this participant's words begins on the room's.
    offset: MediaTime,
    /// The log entry of the partial that the next partial or final replaces.
    partial_seq: Option<u64>,
    /// The first utterance that has no final yet: older partials come too late.
    next_utterance: u64,
}

impl Room {
    /// An empty room.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            participants: BTreeMap::new(),
            participants_seen: 0,
            log: VecDeque::new(),
            last_seq: 0,
            evicted_through: 0,
            transcript: VecDeque::new(),
            speakers: Speakers::default(),
            relabels: BTreeMap::new(),
            actions: VecDeque::new(),
            decisions: VecDeque::new(),
            questions: VecDeque::new(),
            summary: None,
        }
    }

    /// Lets somebody in. Words on their own timeline count from `now`.
    ///
    /// # Errors
    /// [`Crowded`] when every place is taken.
    pub fn join(&mut self, newcomer: impl Into<Newcomer>, now: MediaTime) -> Result<ParticipantId, Crowded> {
        if self.participants.len() >= self.limits.participants_max {
            return Err(Crowded(self.participants.len()));
        }
        self.participants_seen += 1;
        let participant = ParticipantId(self.participants_seen);
        let Newcomer { name, kind, consent, is_transcribed, timeline, known_voices } = newcomer.into();
        let name: Arc<str> = name.chars().take(NAME_MAX_CHARS).collect::<String>().into();
        let offset = match timeline {
            Timeline::Own => now,
            Timeline::Rooms => MediaTime::ZERO,
        };
        let as_seen =
            Participant { id: participant, name: name.clone(), kind, is_muted: false, consent, is_transcribed };
        let present = Present { as_seen, offset, partial_seq: None, next_utterance: 0 };
        self.participants.insert(participant, present);
        if !known_voices.is_empty() {
            self.speakers.joined(participant, known_voices);
        }
        self.publish(RoomEvent::ParticipantJoined { participant, name, kind, is_transcribed }, now);
        Ok(participant)
    }

    /// Changes how somebody stands and says so where it makes a difference; `None` when they are not here.
    pub fn update(&mut self, participant: ParticipantId, change: Change, now: MediaTime) -> Option<Participant> {
        let as_seen = &mut self.participants.get_mut(&participant)?.as_seen;
        let before = as_seen.clone();
        as_seen.is_muted = change.is_muted.unwrap_or(as_seen.is_muted);
        as_seen.consent = change.consent.or(as_seen.consent);
        let after = as_seen.clone();
        if after != before {
            let Participant { name, is_muted, consent, .. } = after.clone();
            self.publish(RoomEvent::ParticipantUpdated { participant, name, is_muted, consent }, now);
        }
        Some(after)
    }

    /// Publishes what nobody's ears heard: a key, a recording, a file that is played.
    pub fn announce(&mut self, event: RoomEvent, now: MediaTime) {
        self.publish(event, now);
    }

    /// Lets somebody go; unknown participants are gone already.
    pub fn leave(&mut self, participant: ParticipantId, now: MediaTime) {
        if let Some(present) = self.participants.remove(&participant) {
            if let Some(seq) = present.partial_seq {
                self.retract(seq);
            }
            self.speakers.left(participant);
            self.publish(RoomEvent::ParticipantLeft { participant, name: present.as_seen.name }, now);
        }
    }

    /// Publishes what a participant's ears heard. A final with words comes back, on the room's timeline, for
    /// the brain to read, and so does one whose speakers were put right.
    pub fn hear(&mut self, participant: ParticipantId, event: Event, now: MediaTime) -> Option<Arc<Segment>> {
        let present = self.participants.get(&participant)?;
        let (offset, speaker) = (present.offset, present.as_seen.name.clone());
        let line = speaker.clone();
        let shift = |at: MediaTime| MediaTime::from_ticks(offset.ticks().saturating_add(at.ticks()));
        let shift_span = |span: Span| Span::new(shift(span.start), shift(span.end));
        let segment = |utterance, words: Vec<Word>, span, language| {
            let text = asr::event::text(&words);
            let words = words.into_iter().map(|word| Word { span: shift_span(word.span), ..word }).collect();
            let (span, voices) = (shift_span(span), Vec::new());
            Segment { participant, speaker, utterance, text, words, span, language, voices }
        };
        match event {
            Event::SpeechStarted { utterance, at } => {
                let event = RoomEvent::SpeechStarted { participant, utterance: utterance.0, start: shift(at) };
                self.publish(event, now);
                None
            }
            Event::SpeechEnded { utterance, at } => {
                self.publish(RoomEvent::SpeechEnded { participant, utterance: utterance.0, end: shift(at) }, now);
                None
            }
            Event::TurnEnded { utterance, probability, at } => {
                let event = RoomEvent::TurnScored { participant, utterance: utterance.0, probability, end: shift(at) };
                self.publish(event, now);
                None
            }
            Event::Lost { span, why } => {
                self.publish(RoomEvent::TranscriptLost { participant, span: shift_span(span), why }, now);
                None
            }
            Event::Partial { utterance, .. } if utterance.0 < present.next_utterance => None,
            Event::Partial { utterance, revision, stable_words, words, span } => {
                let segment = Arc::new(segment(utterance.0, words, span, None));
                let superseded = present.partial_seq;
                let seq = self.publish(RoomEvent::TranscriptPartial { stable_words, revision, segment }, now);
                self.replace_partial(participant, superseded, Some(seq));
                None
            }
            Event::Relabelled { utterance, voices } => self.relabel(participant, &line, utterance.0, &voices, now),
            Event::Final { utterance, words, span, language, voices, .. } => {
                let mut segment = segment(utterance.0, words, span, language);
                let voices = self.speakers.voiced(participant, &line, &voices, segment.words.len());
                segment.attribute(&line, voices);
                let segment = Arc::new(segment);
                let superseded = present.partial_seq;
                self.publish(RoomEvent::TranscriptFinal { segment: segment.clone() }, now);
                self.replace_partial(participant, superseded, None);
                if let Some(present) = self.participants.get_mut(&participant) {
                    present.next_utterance = utterance.0.saturating_add(1);
                }
                if segment.words.is_empty() {
                    return None;
                }
                push_bounded(&mut self.transcript, segment.clone(), self.limits.segments_max);
                Some(segment)
            }
        }
    }

    /// Puts right who said the words of an utterance; the utterance as it is now, or `None` where nothing changes or it
    /// is forgotten.
    fn relabel(
        &mut self,
        participant: ParticipantId,
        line: &Arc<str>,
        utterance: u64,
        runs: &[VoiceRun],
        now: MediaTime,
    ) -> Option<Arc<Segment>> {
        let is_it = |segment: &Arc<Segment>| segment.participant == participant && segment.utterance == utterance;
        let at = self.transcript.iter().rposition(is_it)?;
        let voices = self.speakers.voiced(participant, line, runs, self.transcript[at].words.len());
        if voices == self.transcript[at].voices {
            return None;
        }
        let mut segment = Segment::clone(&self.transcript[at]);
        segment.attribute(line, voices);
        let (speaker, voices) = (segment.speaker.clone(), segment.voices.clone());
        let segment = Arc::new(segment);
        self.transcript[at] = segment.clone();
        let seq = self.publish(RoomEvent::TranscriptRelabelled { participant, utterance, speaker, voices }, now);
        if let Some(superseded) = self.relabels.insert((participant, utterance), seq) {
            self.retract(superseded);
        }
        if self.relabels.len() > self.limits.events_max.max(1) {
            let evicted = self.evicted_through;
            self.relabels.retain(|_, seq| *seq > evicted);
        }
        Some(segment)
    }

    /// Gives one of the speakers on a line a name, for what they said and will say, and says so; what they were called
    /// before, or `None` when nobody of that id was heard. Long names are cut.
    pub fn name_speaker(&mut self, speaker: SpeakerId, name: &str, now: MediaTime) -> Option<Arc<str>> {
        let name: Arc<str> = name.chars().take(NAME_MAX_CHARS).collect::<String>().into();
        let before = self.speakers.rename(speaker, name.clone())?;
        for segment in &mut self.transcript {
            if segment.participant == speaker.participant
                && segment.voices.iter().any(|voiced| voiced.speaker == Some(speaker))
            {
                let line = segment.speaker.clone();
                let segment = Arc::make_mut(segment);
                let mut voices = std::mem::take(&mut segment.voices);
                for voiced in voices.iter_mut().filter(|voiced| voiced.speaker == Some(speaker)) {
                    (voiced.name, voiced.named_by) = (name.clone(), NamedBy::Person);
                }
                segment.attribute(&line, voices);
            }
        }
        self.publish(RoomEvent::SpeakerNamed { participant: speaker.participant, speaker, name }, now);
        Some(before)
    }

    /// Whether one of the speakers on a line, or the line itself, goes by `name`.
    pub(crate) fn is_used(&self, participant: ParticipantId, name: &str) -> bool {
        let line = self.participants.get(&participant);
        line.is_some_and(|line| &*line.as_seen.name == name) || self.speakers.is_used(participant, name)
    }

    /// The utterances in which one of the speakers on a line says something, oldest first, as far as they are kept.
    pub(crate) fn said_by(&self, speaker: SpeakerId) -> Vec<Arc<Segment>> {
        let theirs = |segment: &&Arc<Segment>| {
            segment.participant == speaker.participant
                && segment.voices.iter().any(|voiced| voiced.speaker == Some(speaker))
        };
        self.transcript.iter().filter(theirs).cloned().collect()
    }

    /// Everybody who spoke, in the order of their lines, and for how long.
    pub fn speakers(&self) -> Vec<Talk> {
        let mut talks: BTreeMap<SpeakerId, Talk> = BTreeMap::new();
        for segment in &self.transcript {
            let participant = segment.participant;
            let mut count = |voice, name: &Arc<str>, named_by, words: &[Word]| {
                let speaker = SpeakerId { participant, voice };
                let first = || Talk { speaker, participant, name: name.clone(), named_by, speech_s: 0.0, words: 0 };
                let talk = talks.entry(speaker).or_insert_with(first);
                talk.speech_s += span_of(words).duration().as_secs_f64();
                talk.words += words.len();
            };
            if segment.voices.is_empty() {
                count(None, &segment.speaker, NamedBy::Line, &segment.words);
            }
            for (Voiced { speaker, name, named_by, .. }, words) in segment.runs() {
                count(speaker.and_then(|speaker| speaker.voice), name, *named_by, words);
            }
        }
        talks.into_values().collect()
    }

    /// Keeps and publishes an action item, new or changed.
    pub fn note_action(&mut self, item: ActionItem, now: MediaTime) {
        let item = Arc::new(item);
        let is_new = match self.actions.iter_mut().find(|known| known.id == item.id) {
            Some(known) => {
                *known = item.clone();
                false
            }
            None => {
                push_bounded(&mut self.actions, item.clone(), self.limits.notes_max);
                item.revision <= 1
            }
        };
        let event = if is_new { RoomEvent::ActionItemCreated { item } } else { RoomEvent::ActionItemUpdated { item } };
        self.publish(event, now);
    }

    /// Keeps and publishes a decision.
    pub fn note_decision(&mut self, decision: Decision, now: MediaTime) {
        let decision = Arc::new(decision);
        push_bounded(&mut self.decisions, decision.clone(), self.limits.notes_max);
        self.publish(RoomEvent::DecisionNoted { decision }, now);
    }

    /// Keeps and publishes a question, new or answered.
    pub fn note_question(&mut self, question: Question, now: MediaTime) {
        let question = Arc::new(question);
        match self.questions.iter_mut().find(|known| known.id == question.id) {
            Some(known) => *known = question.clone(),
            None => push_bounded(&mut self.questions, question.clone(), self.limits.notes_max),
        }
        self.publish(RoomEvent::QuestionAsked { question }, now);
    }

    /// Keeps and publishes a summary.
    pub fn summarise(&mut self, summary: Summary, now: MediaTime) {
        let summary = Arc::new(summary);
        self.summary = Some(summary.clone());
        self.publish(RoomEvent::SummaryReady { summary }, now);
    }

    /// The next entries after `cursor`, at most `max`; empty when the client is up to date.
    ///
    /// # Errors
    /// [`FellOff`] when entries between the cursor and the log are gone.
    pub fn read(&self, cursor: u64, max: usize) -> Result<Vec<Arc<Published>>, FellOff> {
        if cursor < self.evicted_through {
            return Err(FellOff { resume: self.evicted_through });
        }
        let from = self.log.partition_point(|entry| entry.seq <= cursor);
        Ok(self.log.iter().skip(from).take(max).cloned().collect())
    }

    /// The cursor before the oldest entry that is still there.
    pub fn oldest_cursor(&self) -> u64 {
        self.evicted_through
    }

    /// The number of the newest entry; zero before the first.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Who is in the room, in the order they came.
    pub fn participants(&self) -> Vec<Participant> {
        self.participants.values().map(|present| present.as_seen.clone()).collect()
    }

    /// One of those who are in the room.
    pub fn participant(&self, id: ParticipantId) -> Option<Participant> {
        self.participants.get(&id).map(|present| present.as_seen.clone())
    }

    /// What was said, oldest first.
    pub fn transcript(&self) -> Vec<Arc<Segment>> {
        self.transcript.iter().cloned().collect()
    }

    /// How many segments the transcript holds.
    pub fn transcript_len(&self) -> usize {
        self.transcript.len()
    }

    /// What is to be done, oldest first, without what was declined.
    pub fn actions(&self) -> Vec<Arc<ActionItem>> {
        self.actions.iter().filter(|item| !item.is_declined()).cloned().collect()
    }

    /// What was decided, oldest first.
    pub fn decisions(&self) -> Vec<Arc<Decision>> {
        self.decisions.iter().cloned().collect()
    }

    /// What was asked, oldest first.
    pub fn questions(&self) -> Vec<Arc<Question>> {
        self.questions.iter().cloned().collect()
    }

    /// The summary given when the room ended, if it has.
    pub fn summary(&self) -> Option<Arc<Summary>> {
        self.summary.clone()
    }

    fn publish(&mut self, event: RoomEvent, now: MediaTime) -> u64 {
        self.last_seq += 1;
        self.log.push_back(Arc::new(Published { v: VERSION, seq: self.last_seq, at: now, event }));
        while self.log.len() > self.limits.events_max.max(1) {
            if let Some(oldest) = self.log.pop_front() {
                self.evicted_through = oldest.seq;
            }
        }
        self.last_seq
    }

    fn replace_partial(&mut self, participant: ParticipantId, superseded: Option<u64>, by: Option<u64>) {
        if let Some(seq) = superseded {
            self.retract(seq);
        }
        if let Some(present) = self.participants.get_mut(&participant) {
            present.partial_seq = by;
        }
    }

    /// Takes an entry out of the log; a client that has not read it reads what replaced it instead.
    fn retract(&mut self, seq: u64) {
        if let Ok(index) = self.log.binary_search_by_key(&seq, |entry| entry.seq) {
            self.log.remove(index);
        }
    }
}

fn push_bounded<T>(kept: &mut VecDeque<T>, item: T, max: usize) {
    if kept.len() >= max.max(1) {
        kept.pop_front();
    }
    kept.push_back(item);
}

#[cfg(test)]
mod tests {
    use asr::{
        diarize::VoiceId,
        event::{Cut, UtteranceId},
    };
    use proptest::prelude::*;

    use super::*;

    const NOW: MediaTime = MediaTime::from_millis(10_000);

    #[test]
    fn a_newer_partial_replaces_the_older_and_the_final_replaces_both() {
        let (mut room, ada) = room_of_one();
        room.hear(ada, partial(0, 1, "good"), NOW);
        room.hear(ada, partial(0, 2, "good morning"), NOW);
        assert_eq!(kinds(&room), ["joined", "partial good morning"]);
        room.hear(ada, finished(0, "good morning."), NOW);
        assert_eq!(kinds(&room), ["joined", "final good morning."]);
    }

    #[test]
    fn a_partial_that_comes_after_its_final_is_not_published() {
        let (mut room, ada) = room_of_one();
        room.hear(ada, finished(0, "done."), NOW);
        room.hear(ada, partial(0, 9, "don"), NOW);
        assert_eq!(kinds(&room), ["joined", "final done."]);
    }

    #[test]
    fn a_client_reads_on_from_its_cursor_across_replaced_partials() {
        let (mut room, ada) = room_of_one();
        room.hear(ada, partial(0, 1, "a"), NOW);
        let seen = room.last_seq();
        room.hear(ada, partial(0, 2, "a b"), NOW);
        room.hear(ada, finished(0, "a b."), NOW);
        let rest = room.read(seen, 10).unwrap();
        assert_eq!(rest.iter().map(|entry| kind(&entry.event)).collect::<Vec<_>>(), ["final a b."]);
    }

    #[test]
    fn a_cursor_that_fell_off_is_told_where_to_resume_and_loses_nothing_after_it() {
        let mut room = Room::new(Limits { events_max: 3, ..Limits::default() });
        let ada = room.join("Ada", NOW).unwrap();
        for utterance in 0..5 {
            room.hear(ada, finished(utterance, "x"), NOW);
        }
        let FellOff { resume } = room.read(1, 10).unwrap_err();
        assert_eq!(resume, 3);
        assert_eq!(room.read(resume, 10).unwrap().len(), 3);
        assert_eq!(room.oldest_cursor(), resume);
    }

    #[test]
    fn times_are_moved_from_the_participants_timeline_to_the_rooms() {
        let (mut room, ada) = room_of_one();
        let segment = room.hear(ada, finished(0, "hello"), NOW).unwrap();
        assert_eq!(segment.span, Span::new(NOW, MediaTime::from_millis(11_000)));
        assert_eq!(segment.words[0].span.start, NOW);
    }

    #[test]
    fn times_that_are_the_rooms_already_stay_as_they_are() {
        let mut room = Room::new(Limits::default());
        let leg = Newcomer { timeline: Timeline::Rooms, ..Newcomer::from("Ada") };
        let ada = room.join(leg, NOW).unwrap();
        let segment = room.hear(ada, finished(0, "hello"), NOW).unwrap();
        assert_eq!((segment.span, segment.words[0].span), (second(), second()));
        let lost = Event::Lost { span: second(), why: asr::event::LostWhy::Overload };
        room.hear(ada, lost, NOW);
        let last = room.read(room.last_seq() - 1, 1).unwrap().remove(0);
        assert!(matches!(last.event, RoomEvent::TranscriptLost { span, .. } if span == second()), "{last:?}");
    }

    #[test]
    fn a_change_is_published_once_and_a_change_to_the_same_is_not() {
        let (mut room, ada) = room_of_one();
        let mute = Change { is_muted: Some(true), consent: None };
        assert!(room.update(ada, mute, NOW).unwrap().is_muted);
        assert!(room.update(ada, mute, NOW).unwrap().is_muted);
        let agree = Change { is_muted: None, consent: Some(true) };
        let after = room.update(ada, agree, NOW).unwrap();
        assert_eq!((after.is_muted, after.consent), (true, Some(true)));
        assert_eq!(room.participants(), [after]);
        let updates = room.read(0, 10).unwrap();
        assert_eq!(updates.len(), 3, "joined, muted, agreed: {updates:?}");
        room.leave(ada, NOW);
        assert_eq!(room.update(ada, mute, NOW), None);
    }

    #[test]
    fn an_empty_final_ends_its_partial_and_leaves_no_segment() {
        let (mut room, ada) = room_of_one();
        room.hear(ada, partial(0, 1, "hm"), NOW);
        let nothing = Event::Final {
            utterance: UtteranceId(0),
            words: vec![],
            span: Span::default(),
            cut: Cut::Pause,
            language: None,
            voices: Vec::new(),
        };
        assert_eq!(room.hear(ada, nothing, NOW), None);
        assert!(room.transcript().is_empty());
        assert_eq!(kinds(&room), ["joined", "final "]);
    }

    #[test]
    fn one_participant_too_many_is_refused_and_a_place_is_free_after_leaving() {
        let mut room = Room::new(Limits { participants_max: 1, ..Limits::default() });
        let ada = room.join("Ada", NOW).unwrap();
        assert_eq!(room.join("Bob", NOW), Err(Crowded(1)));
        room.leave(ada, NOW);
        assert!(room.join("Bob", NOW).is_ok());
    }

    #[test]
    fn what_was_said_on_a_shared_line_is_told_apart_and_put_right() {
        let (mut room, ada) = room_of_one();
        room.hear(ada, voiced(0, "I will do it", &[(4, Some(0))]), NOW);
        assert_eq!(&*room.transcript()[0].speaker, "Ada, voice 1");
        assert_eq!(room.hear(ada, relabelled(0, &[(4, Some(0))]), NOW), None, "nothing is new");
        room.hear(ada, relabelled(0, &[(1, Some(0)), (3, Some(1))]), NOW).unwrap();
        let segment = room.transcript().remove(0);
        assert_eq!(&*segment.speaker, "Ada", "two people spoke");
        let parts: Vec<(String, String)> =
            segment.by_speaker().into_iter().map(|part| (part.speaker.to_string(), part.text)).collect();
        assert_eq!(parts, [("Ada, voice 1".into(), "I".into()), ("Ada, voice 2".into(), "will do it".into())]);
        assert_eq!(room.hear(ada, relabelled(7, &[(1, None)]), NOW), None, "an utterance that never was");
    }

    #[test]
    fn only_the_newest_that_is_put_right_of_an_utterance_stays_in_the_log() {
        let (mut room, ada) = room_of_one();
        for utterance in 0..3 {
            room.hear(ada, voiced(utterance, "yes", &[(1, None)]), NOW);
        }
        for voice in 0..100 {
            room.hear(ada, relabelled(0, &[(1, Some(voice))]), NOW);
            room.hear(ada, relabelled(1, &[(1, Some(voice))]), NOW);
        }
        assert_eq!(kinds(&room).iter().filter(|kind| kind.starts_with("Transcript")).count(), 2);
    }

    #[test]
    fn a_given_name_is_that_of_all_words_and_of_those_to_come() {
        let (mut room, ada) = room_of_one();
        room.hear(ada, voiced(0, "one two", &[(1, Some(0)), (1, Some(1))]), NOW);
        let second = SpeakerId { participant: ada, voice: Some(VoiceId(1)) };
        assert_eq!(room.name_speaker(second, "Jonas", NOW).as_deref(), Some("Ada, voice 2"));
        room.hear(ada, voiced(1, "three", &[(1, Some(1))]), NOW);
        let names: Vec<String> =
            room.transcript().iter().flat_map(|it| it.by_speaker()).map(|it| it.speaker.to_string()).collect();
        assert_eq!(names, ["Ada, voice 1", "Jonas", "Jonas"]);
        let stranger = SpeakerId { participant: ada, voice: Some(VoiceId(9)) };
        assert_eq!(room.name_speaker(stranger, "Eve", NOW), None);
        let talks = room.speakers();
        let said: Vec<(&str, usize, f64)> = talks.iter().map(|talk| (&*talk.name, talk.words, talk.speech_s)).collect();
        assert_eq!(said, [("Ada, voice 1", 1, 1.0), ("Jonas", 2, 2.0)]);
    }

    proptest! {
        #[test]
        fn whoever_reads_the_log_has_the_rooms_own_transcript_whatever_was_put_right(
            steps in prop::collection::vec((0_u8..3, 0_u64..4, prop::collection::vec((0_usize..4, 0_u16..4), 0..4)), 1..60),
        ) {
            let (mut room, ada) = room_of_one();
            let mut next = 0;
            for (what, utterance, runs) in steps {
                let runs: Vec<(usize, Option<u16>)> =
                    runs.into_iter().map(|(words, voice)| (words, voice.checked_sub(1))).collect();
                match what {
                    0 => {
                        room.hear(ada, voiced(next, "a b c", &runs), NOW);
                        next += 1;
                    }
                    1 => drop(room.hear(ada, relabelled(utterance, &runs), NOW)),
                    _ => {
                        let voice = Some(VoiceId(runs.len() as u16));
                        room.name_speaker(SpeakerId { participant: ada, voice }, &format!("name {utterance}"), NOW);
                    }
                }
            }
            prop_assert_eq!(read_along(&room), room.transcript());
        }

        #[test]
        fn the_log_is_bounded_in_order_and_never_drops_a_final_that_it_does_not_say_is_gone(
            steps in prop::collection::vec((0_u64..3, any::<bool>()), 1..200),
            events_max in 1_usize..20,
        ) {
            let mut room = Room::new(Limits { events_max, ..Limits::default() });
            let people: Vec<_> = (0..3).map(|_| room.join("x", NOW).unwrap()).collect();
            let mut next = [0_u64; 3];
            let mut finals = Vec::new();
            for (who, is_final) in steps {
                let index = who as usize;
                if is_final {
                    room.hear(people[index], finished(next[index], "word"), NOW);
                    next[index] += 1;
                    finals.push(room.last_seq());
                } else {
                    room.hear(people[index], partial(next[index], 1, "wo"), NOW);
                }
            }
            let kept = room.read(room.oldest_cursor(), usize::MAX).unwrap();
            prop_assert!(kept.len() <= events_max);
            prop_assert!(kept.windows(2).all(|pair| pair[0].seq < pair[1].seq));
            for seq in finals {
                prop_assert!(seq <= room.oldest_cursor() || kept.iter().any(|entry| entry.seq == seq));
            }
            let partials = kept.iter().filter(|entry| matches!(entry.event, RoomEvent::TranscriptPartial { .. })).count();
            prop_assert!(partials <= 3, "one partial a participant");
        }
    }

    fn room_of_one() -> (Room, ParticipantId) {
        let mut room = Room::new(Limits::default());
        let ada = room.join("Ada", NOW).unwrap();
        (room, ada)
    }

    fn partial(utterance: u64, revision: u32, text: &str) -> Event {
        Event::Partial {
            utterance: UtteranceId(utterance),
            revision,
            stable_words: 0,
            words: words(text),
            span: second(),
        }
    }

    fn finished(utterance: u64, text: &str) -> Event {
        Event::Final {
            utterance: UtteranceId(utterance),
            words: words(text),
            span: second(),
            cut: Cut::Pause,
            language: None,
            voices: Vec::new(),
        }
    }

    fn voiced(utterance: u64, text: &str, runs: &[(usize, Option<u16>)]) -> Event {
        let Event::Final { utterance, words, span, cut, language, .. } = finished(utterance, text) else {
            unreachable!("it is a final")
        };
        Event::Final { utterance, words, span, cut, language, voices: voices(runs) }
    }

    fn relabelled(utterance: u64, runs: &[(usize, Option<u16>)]) -> Event {
        Event::Relabelled { utterance: UtteranceId(utterance), voices: voices(runs) }
    }

    fn voices(runs: &[(usize, Option<u16>)]) -> Vec<VoiceRun> {
        let run =
            |&(words, voice): &(usize, Option<u16>)| VoiceRun { words, voice: voice.map(VoiceId), confidence: 0.9 };
        runs.iter().map(run).collect()
    }

    /// The transcript as a client has it who has read every event.
    fn read_along(room: &Room) -> Vec<Arc<Segment>> {
        let mut read: Vec<Arc<Segment>> = Vec::new();
        for entry in room.read(0, usize::MAX).unwrap() {
            match &entry.event {
                RoomEvent::TranscriptFinal { segment } => read.push(segment.clone()),
                RoomEvent::TranscriptRelabelled { utterance, speaker, voices, .. } => {
                    let segment = read.iter_mut().find(|segment| segment.utterance == *utterance).unwrap();
                    let segment = Arc::make_mut(segment);
                    (segment.speaker, segment.voices) = (speaker.clone(), voices.clone());
                }
                RoomEvent::SpeakerNamed { speaker, name, .. } => {
                    for segment in &mut read {
                        let segment = Arc::make_mut(segment);
                        for voiced in segment.voices.iter_mut().filter(|voiced| voiced.speaker == Some(*speaker)) {
                            (voiced.name, voiced.named_by) = (name.clone(), NamedBy::Person);
                        }
                        if !segment.voices.is_empty() && segment.voices.iter().all(|it| it.speaker == Some(*speaker)) {
                            segment.speaker = name.clone();
                        }
                    }
                }
                _ => {}
            }
        }
        read
    }

    fn words(text: &str) -> Vec<Word> {
        text.split(' ').map(|word| Word { text: word.into(), span: second(), confidence: 1.0 }).collect()
    }

    fn second() -> Span {
        Span::new(MediaTime::ZERO, MediaTime::from_millis(1_000))
    }

    fn kinds(room: &Room) -> Vec<String> {
        room.read(0, usize::MAX).unwrap().iter().map(|entry| kind(&entry.event)).collect()
    }

    fn kind(event: &RoomEvent) -> String {
        match event {
            RoomEvent::ParticipantJoined { .. } => "joined".into(),
            RoomEvent::TranscriptPartial { segment, .. } => format!("partial {}", segment.text),
            RoomEvent::TranscriptFinal { segment } => format!("final {}", segment.text),
            other => format!("{other:?}"),
        }
    }
}
