//! What is heard of whoever speaks: items of the conversation, and their words as they come. Pure.
//!
//! Where silence ends what is said, a stretch of speech is an item. Where the client ends it, all that was said since it
//! did so last is one; its words are whole when what was sent before the commit was heard to its end, and has been
//! recognized. Where voices are told apart, what each says is told beside the words, as far as it is known then; that it is
//! known better later is told nobody, since the protocol has no event for it. Told what happens in the room, with the time.

use std::{collections::VecDeque, time::Duration};

use asr::{diarize::VoiceId, event::text};
use bot::{
    event::{RoomEvent, Segment},
    speakers::{NamedBy, SpeakerId},
};
use media::{id::ParticipantId, time::MediaTime};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    items::{Item, Items, Status, What},
    outbox::Outbox,
    session::Refused,
};
use crate::dialect::openai_body::letters;

/// Words of a commit are waited for so long once all of its sound was heard.
const WORDS_WITHIN: Duration = Duration::from_secs(5);

/// Commits whose words are not yet whole.
const COMMITS_MAX: usize = 16;

/// Less is no speech: as the public service has it.
const COMMIT_MS_MIN: u64 = 100;

/// How a session listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    /// Whether the client ends what is said.
    pub(super) is_manual: bool,
    /// Whether the client reads the words.
    pub(super) is_transcribed: bool,
}

/// Something that is said.
struct Speech {
    item: String,
    /// Settled words.
    words: String,
    /// What the client has read of them.
    told: String,
    began: MediaTime,
    ended: MediaTime,
    /// How much sound it is, where the client says so.
    sent_ms: Option<u64>,
}

/// A commit whose words are not yet whole.
struct Commit {
    speech: Speech,
    /// The mark of the microphone behind it.
    mark: u64,
    /// Until when its words are waited for: once all of it was heard.
    until: Option<Instant>,
}

/// Listens to one participant.
pub(super) struct Listening {
    caller: ParticipantId,
    manner: Manner,
    now: Option<Speech>,
    commits: VecDeque<Commit>,
    /// Voices that have a letter, in the order in which they were heard.
    voices: Vec<VoiceId>,
}

impl Listening {
    pub(super) fn new(caller: ParticipantId, manner: Manner) -> Self {
        Self { caller, manner, now: None, commits: VecDeque::new(), voices: Vec::new() }
    }

    /// Listens in another way from now on.
    pub(super) fn behave(&mut self, manner: Manner) {
        self.manner = manner;
    }

    /// Whether words of a commit are still to come.
    pub(super) fn is_settling(&self) -> bool {
        !self.commits.is_empty()
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.commits.front().and_then(|commit| commit.until)
    }

    /// Something happened in the room.
    pub(super) fn hear(&mut self, event: &RoomEvent, items: &mut Items, out: &mut Outbox) {
        match event {
            RoomEvent::SpeechStarted { participant, start, .. }
                if *participant == self.caller && !self.manner.is_manual =>
            {
                let speech = Speech::new(out, *start);
                out.tell(json!({
                    "type": "input_audio_buffer.speech_started", "item_id": speech.item,
                    "audio_start_ms": start.as_millis(),
                }));
                self.now = Some(speech);
            }
            RoomEvent::SpeechEnded { participant, end, .. } if *participant == self.caller => {
                if !self.manner.is_manual
                    && let Some(mut speech) = self.now.take()
                {
                    speech.ended = *end;
                    out.tell(json!({
                        "type": "input_audio_buffer.speech_stopped", "item_id": speech.item,
                        "audio_end_ms": end.as_millis(),
                    }));
                    speech.become_item(items, out);
                    self.complete(&speech, items, out);
                }
            }
            RoomEvent::TranscriptPartial { stable_words, segment, .. } if segment.participant == self.caller => {
                let stable = text(&segment.words[..(*stable_words).min(segment.words.len())]);
                if !stable.is_empty() {
                    let is_transcribed = self.manner.is_transcribed;
                    let speech = self.of(segment.span.start, out);
                    let words = joined(&speech.words, &stable);
                    speech.tell(&words, is_transcribed, out);
                }
            }
            RoomEvent::TranscriptFinal { segment } if segment.participant == self.caller => {
                let words = text(&segment.words);
                if !words.is_empty() {
                    let is_stray = self.now.is_none() && self.commits.is_empty() && !self.manner.is_manual;
                    let is_transcribed = self.manner.is_transcribed;
                    let speech = self.of(segment.span.start, out);
                    speech.words = joined(&speech.words, &words);
                    speech.ended = segment.span.end;
                    let words = speech.words.clone();
                    speech.tell(&words, is_transcribed, out);
                    if is_transcribed {
                        let item = speech.item.clone();
                        self.tell_voices(&item, segment, out);
                    }
                    // Words of speech that has ended already.
                    if is_stray && let Some(speech) = self.now.take() {
                        speech.become_item(items, out);
                        self.complete(&speech, items, out);
                    }
                }
                // The answer to the mark behind a commit, or the words before it.
                if self.commits.front().is_some_and(|commit| commit.until.is_some()) {
                    self.settle(items, out);
                }
            }
            _ => {}
        }
    }

    /// Who said what of the words that came, where voices are told apart.
    fn tell_voices(&mut self, item: &str, segment: &Segment, out: &mut Outbox) {
        for part in segment.by_speaker() {
            let ([voiced], [first, ..], [.., last]) = (&part.voices[..], &part.words[..], &part.words[..]) else {
                continue;
            };
            let speaker = match (voiced.named_by, voiced.speaker) {
                (NamedBy::Enrolled | NamedBy::Person, _) => voiced.name.to_string(),
                (_, Some(SpeakerId { voice: Some(voice), .. })) => letters(self.place(voice)),
                _ => "unknown".to_owned(),
            };
            let id = out.name("seg");
            out.tell(json!({
                "type": "conversation.item.input_audio_transcription.segment", "id": id, "item_id": item,
                "content_index": 0, "text": part.text, "speaker": speaker,
                "start": seconds(first.span.start), "end": seconds(last.span.end),
            }));
        }
    }

    /// Which of the voices one is, in the order in which they were heard.
    fn place(&mut self, voice: VoiceId) -> usize {
        let known = self.voices.iter().position(|known| *known == voice);
        known.unwrap_or_else(|| {
            self.voices.push(voice);
            self.voices.len() - 1
        })
    }

    /// Whose words come now.
    fn of(&mut self, began: MediaTime, out: &mut Outbox) -> &mut Speech {
        match self.commits.front_mut() {
            Some(commit) => &mut commit.speech,
            None => self.now.get_or_insert_with(|| Speech::new(out, began)),
        }
    }

    /// The client ends what is said, of which it has sent so much; `mark` is behind that.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) fn commit(
        &mut self,
        sent_ms: u64,
        mark: u64,
        items: &mut Items,
        out: &mut Outbox,
    ) -> Result<(), Refused> {
        let refused = |code, why: &str| Refused { code, param: String::new(), why: why.to_owned() };
        if !self.manner.is_manual {
            let why = "turn_detection commits what is said by itself: set it to null first";
            return Err(refused("input_audio_buffer_commit_refused", why));
        }
        if sent_ms < COMMIT_MS_MIN {
            let why = "less than 100 ms of sound were appended since the last commit";
            return Err(refused("input_audio_buffer_commit_empty", why));
        }
        if self.commits.len() >= COMMITS_MAX {
            return Err(refused("too_many_commits", "too many commits wait for their words"));
        }
        let mut speech = self.now.take().unwrap_or_else(|| Speech::new(out, MediaTime::ZERO));
        speech.sent_ms = Some(sent_ms);
        speech.become_item(items, out);
        self.commits.push_back(Commit { speech, mark, until: None });
        Ok(())
    }

    /// All sound before this mark was heard.
    pub(super) fn heard(&mut self, mark: u64, now: Instant) {
        for commit in &mut self.commits {
            if commit.mark <= mark {
                commit.until.get_or_insert(now + WORDS_WITHIN);
            }
        }
    }

    /// Gives up words that do not come.
    pub(super) fn expire(&mut self, now: Instant, items: &mut Items, out: &mut Outbox) {
        while self.due().is_some_and(|until| until <= now) {
            let Some(Commit { speech, .. }) = self.commits.pop_front() else { return };
            if !speech.words.is_empty() {
                self.complete(&speech, items, out);
            } else if self.manner.is_transcribed {
                out.tell(json!({
                    "type": "conversation.item.input_audio_transcription.failed", "item_id": speech.item,
                    "content_index": 0,
                    "error": {
                        "type": "server_error", "code": "no_words", "message": "nobody recognized this in time",
                    },
                }));
            }
        }
    }

    /// What was said and not committed counts for nothing.
    pub(super) fn clear(&mut self) {
        if self.manner.is_manual {
            self.now = None;
        }
    }

    /// Nobody said anything for so long: an item that holds nothing.
    pub(super) fn nothing(&mut self, until: MediaTime, for_ms: u64, items: &mut Items, out: &mut Outbox) {
        let end_ms = until.as_millis();
        let speech = Speech::new(out, until);
        out.tell(json!({
            "type": "input_audio_buffer.timeout_triggered", "item_id": speech.item,
            "audio_start_ms": end_ms.saturating_sub(for_ms), "audio_end_ms": end_ms,
        }));
        speech.become_item(items, out);
    }

    fn settle(&mut self, items: &mut Items, out: &mut Outbox) {
        if let Some(Commit { speech, .. }) = self.commits.pop_front() {
            self.complete(&speech, items, out);
        }
    }

    /// The words of an item are whole.
    fn complete(&self, speech: &Speech, items: &mut Items, out: &mut Outbox) {
        if let Some(Item { what: What::User { text, .. }, .. }) = items.get_mut(&speech.item) {
            text.clone_from(&speech.words);
        }
        if self.manner.is_transcribed {
            let ms = speech.sent_ms.unwrap_or_else(|| speech.ended.since(speech.began).as_millis() as u64);
            out.tell(json!({
                "type": "conversation.item.input_audio_transcription.completed", "item_id": speech.item,
                "content_index": 0, "transcript": speech.words,
                "usage": {"type": "duration", "seconds": ms as f64 / 1_000.0},
            }));
        }
    }
}

impl Speech {
    fn new(out: &mut Outbox, began: MediaTime) -> Self {
        let (words, told) = (String::new(), String::new());
        Self { item: out.name("item"), words, told, began, ended: began, sent_ms: None }
    }

    /// The client reads what is new of these words, where they go on from what it has read.
    fn tell(&mut self, words: &str, is_transcribed: bool, out: &mut Outbox) {
        let Some(new) = words.strip_prefix(&self.told).filter(|new| !new.is_empty() && is_transcribed) else { return };
        out.tell(json!({
            "type": "conversation.item.input_audio_transcription.delta", "item_id": self.item, "content_index": 0,
            "delta": new,
        }));
        words.clone_into(&mut self.told);
    }

    fn become_item(&self, items: &mut Items, out: &mut Outbox) {
        let what = What::User { text: self.words.clone(), is_sound: true, is_counted: false };
        let item = Item { id: self.item.clone(), status: Status::Completed, what };
        let told: Value = item.to_json();
        let previous = items.push(item);
        out.tell(json!({
            "type": "input_audio_buffer.committed", "item_id": self.item, "previous_item_id": previous,
        }));
        for kind in ["conversation.item.added", "conversation.item.done"] {
            out.tell(json!({"type": kind, "previous_item_id": previous, "item": told}));
        }
    }
}

fn seconds(at: MediaTime) -> f64 {
    at.as_millis() as f64 / 1_000.0
}

fn joined(before: &str, words: &str) -> String {
    if before.is_empty() { words.to_owned() } else { format!("{before} {words}") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use asr::event::Word;
    use bot::speakers::Voiced;
    use media::time::Span;

    use super::*;

    const CALLER: ParticipantId = ParticipantId(2);

    struct World {
        listening: Listening,
        items: Items,
        out: Outbox,
    }

    impl World {
        fn new(is_manual: bool) -> Self {
            let manner = Manner { is_manual, is_transcribed: true };
            let listening = Listening::new(CALLER, manner);
            Self { listening, items: Items::default(), out: Outbox::new(String::new()) }
        }

        fn hear(&mut self, event: RoomEvent) -> Vec<Value> {
            self.listening.hear(&event, &mut self.items, &mut self.out);
            self.told()
        }

        fn told(&mut self) -> Vec<Value> {
            std::iter::from_fn(|| self.out.next()).collect()
        }
    }

    fn segment(text: &str) -> Arc<Segment> {
        let span = Span::new(MediaTime::from_millis(500), MediaTime::from_millis(1_500));
        let word = |text: &str| Word { text: text.to_owned(), span, confidence: 0.9 };
        let words: Vec<Word> = text.split_whitespace().map(word).collect();
        let (text, speaker) = (text.to_owned(), "".into());
        Arc::new(Segment {
            participant: CALLER,
            speaker,
            utterance: 0,
            text,
            words,
            span,
            language: None,
            voices: Vec::new(),
        })
    }

    fn partial(text: &str, stable_words: usize) -> RoomEvent {
        RoomEvent::TranscriptPartial { stable_words, revision: 1, segment: segment(text) }
    }

    fn settled(text: &str) -> RoomEvent {
        RoomEvent::TranscriptFinal { segment: segment(text) }
    }

    fn types(told: &[Value]) -> Vec<&str> {
        told.iter().filter_map(|event| event["type"].as_str()).collect()
    }

    #[test]
    fn a_stretch_of_speech_is_an_item_whose_words_come_as_they_are_certain() {
        let mut world = World::new(false);
        let start = MediaTime::from_millis(500);
        let began = world.hear(RoomEvent::SpeechStarted { participant: CALLER, utterance: 0, start });
        assert_eq!(
            (types(&began), &began[0]["audio_start_ms"]),
            (vec!["input_audio_buffer.speech_started"], &json!(500))
        );
        assert!(world.hear(partial("Do you", 0)).is_empty());
        assert_eq!(world.hear(partial("Do you open", 2))[0]["delta"], "Do you");
        assert_eq!(world.hear(settled("Do you open on Sundays?"))[0]["delta"], " open on Sundays?");
        let end = MediaTime::from_millis(1_500);
        let ended = world.hear(RoomEvent::SpeechEnded { participant: CALLER, utterance: 0, end });
        assert_eq!(
            types(&ended),
            [
                "input_audio_buffer.speech_stopped",
                "input_audio_buffer.committed",
                "conversation.item.added",
                "conversation.item.done",
                "conversation.item.input_audio_transcription.completed",
            ]
        );
        assert_eq!(ended[4]["transcript"], "Do you open on Sundays?");
        assert_eq!(ended[4]["usage"], json!({"type": "duration", "seconds": 1.0}));
        assert_eq!(ended[1]["previous_item_id"], Value::Null);
        assert_eq!(ended[1]["item_id"], began[0]["item_id"]);
        assert!(world.hear(settled("")).is_empty());
        let other = ParticipantId(7);
        assert!(world.hear(RoomEvent::SpeechStarted { participant: other, utterance: 0, start }).is_empty());
    }

    #[test]
    fn voices_have_letters_in_the_order_in_which_they_are_heard_and_those_who_are_known_their_names() {
        let said = |voice: Option<u16>, named_by, name: &str, words| {
            let voice = voice.map(VoiceId);
            let speaker = voice.map(|_| SpeakerId { participant: CALLER, voice });
            Voiced { speaker, name: name.into(), named_by, words, confidence: 0.9 }
        };
        let voices = vec![
            said(Some(3), NamedBy::Voice, "OpenAI client, voice 4", 2),
            said(Some(0), NamedBy::Enrolled, "Ada", 1),
            said(Some(2), NamedBy::Voice, "OpenAI client, voice 3", 1),
            said(None, NamedBy::Nobody, "unknown", 1),
        ];
        let mut world = World::new(false);
        world.hear(RoomEvent::SpeechStarted { participant: CALLER, utterance: 0, start: MediaTime::from_millis(500) });
        let segment = Arc::new(Segment { voices, ..(*segment("Who is there? Me. Who?")).clone() });
        let told = world.hear(RoomEvent::TranscriptFinal { segment });
        let segments: Vec<&Value> =
            told.iter().filter(|event| event["type"].as_str().is_some_and(|kind| kind.ends_with(".segment"))).collect();
        let of = |field: &str| -> Vec<&str> { segments.iter().filter_map(|segment| segment[field].as_str()).collect() };
        assert_eq!(of("speaker"), ["A", "Ada", "B", "unknown"]);
        assert_eq!(of("text"), ["Who is", "there?", "Me.", "Who?"]);
        assert_eq!((segments[0]["start"].as_f64(), segments[0]["end"].as_f64()), (Some(0.5), Some(1.5)));
        assert_eq!(segments[0]["item_id"], told[0]["item_id"]);
        assert_ne!(segments[0]["id"], segments[1]["id"]);
        // Where nobody tells voices apart there are words alone.
        assert!(world.hear(settled("Yes.")).iter().all(|event| event.get("speaker").is_none()));
    }

    #[test]
    fn what_the_client_commits_is_an_item_once_its_words_are_there() {
        let (mut world, now) = (World::new(true), Instant::from_std(crate::clock::Clock.now()));
        let start = MediaTime::from_millis(500);
        assert!(world.hear(RoomEvent::SpeechStarted { participant: CALLER, utterance: 0, start }).is_empty());
        let World { listening, items, out } = &mut world;
        assert_eq!(listening.commit(99, 1, items, out).unwrap_err().code, "input_audio_buffer_commit_empty");
        listening.commit(1_000, 1, items, out).unwrap();
        assert_eq!(types(&world.told())[0], "input_audio_buffer.committed");
        // Words of what is not yet heard to its end.
        assert_eq!(types(&world.hear(settled("Hello"))), ["conversation.item.input_audio_transcription.delta"]);
        assert!(world.listening.is_settling());
        world.listening.heard(1, now);
        let told = world.hear(settled("there"));
        assert_eq!(told.last().unwrap()["transcript"], "Hello there");
        assert_eq!(told.last().unwrap()["usage"]["seconds"], 1.0);
        assert!(!world.listening.is_settling());
    }

    #[test]
    fn words_that_never_come_are_given_up() {
        let (mut world, now) = (World::new(true), Instant::from_std(crate::clock::Clock.now()));
        let World { listening, items, out } = &mut world;
        listening.commit(1_000, 1, items, out).unwrap();
        listening.heard(0, now);
        assert_eq!(listening.due(), None, "its sound is not yet heard");
        listening.heard(1, now);
        let due = listening.due().unwrap();
        listening.expire(due, items, out);
        assert!(!listening.is_settling());
        assert_eq!(types(&world.told()).last(), Some(&"conversation.item.input_audio_transcription.failed"));
    }

    #[test]
    fn a_client_that_left_the_end_to_silence_commits_nothing() {
        let mut world = World::new(false);
        let World { listening, items, out } = &mut world;
        assert!(listening.commit(1_000, 1, items, out).is_err());
        assert!(world.told().is_empty());
    }
}
