//! The words of a recording: what the room's transcript has of its stretch, once the last of them have come.
//!
//! [`Words`] follows the room's log while the recording runs, only to know which utterances of the caller have no words
//! yet; the words themselves are in the transcript.

use std::sync::Arc;

use bot::{
    actor::{Follower, RoomHandle},
    event::{RoomEvent, Segment},
    room::Room,
};
use media::{id::ParticipantId, time::Span};

/// Utterances without words that are remembered: the ears have a few in hand, and drop what waits too long.
const OPEN_MAX: usize = 32;

/// The longest text: an hour of speech is about 50 kB.
const TEXT_BYTES_MAX: usize = 256 << 10;

/// Follows which words of the caller are still to come.
pub(super) struct Words {
    room: RoomHandle,
    log: Follower,
    open: Open,
}

impl Words {
    /// `None` when nobody listens to the caller's words.
    pub(super) fn of(room: &RoomHandle, caller: Option<ParticipantId>) -> Option<Self> {
        let caller = room.read(|room| room.participant(caller?))?;
        let log = room.follow(Some(room.read(Room::last_seq)));
        caller.is_transcribed.then(|| Self { room: room.clone(), log, open: Open::of(caller.id) })
    }

    /// Whose words.
    pub(super) fn caller(&self) -> ParticipantId {
        self.open.caller
    }

    /// Follows until the room is closed. Cancel-safe.
    pub(super) async fn listen(&mut self) {
        while self.next().await {}
    }

    /// Resolves when no words of what was said so far are to come.
    pub(super) async fn settled(&mut self) {
        // What has happened already is read before it is judged.
        let reached = self.room.read(Room::last_seq);
        while (self.log.cursor() < reached || !self.open.utterances.is_empty()) && self.next().await {}
    }

    /// False when the room is closed.
    async fn next(&mut self) -> bool {
        match self.log.next(super::ENTRIES).await {
            Ok(entries) => {
                entries.iter().for_each(|entry| self.open.hear(&entry.event));
                !entries.is_empty()
            }
            Err(fell_off) => {
                self.log = self.room.follow(Some(fell_off.resume));
                true
            }
        }
    }
}

/// Utterances of the caller that have no words yet.
struct Open {
    caller: ParticipantId,
    utterances: Vec<u64>,
}

impl Open {
    fn of(caller: ParticipantId) -> Self {
        Self { caller, utterances: Vec::new() }
    }

    fn hear(&mut self, event: &RoomEvent) {
        match event {
            RoomEvent::SpeechStarted { participant, utterance, .. } if *participant == self.caller => {
                if self.utterances.len() >= OPEN_MAX {
                    self.utterances.remove(0);
                }
                self.utterances.push(*utterance);
            }
            RoomEvent::TranscriptFinal { segment } if segment.participant == self.caller => {
                self.utterances.retain(|open| *open > segment.utterance);
            }
            // Nobody says which utterance it was: the oldest has waited longest.
            RoomEvent::TranscriptLost { participant, .. } if *participant == self.caller => {
                self.utterances.drain(..self.utterances.len().min(1));
            }
            RoomEvent::ParticipantLeft { participant, .. } if *participant == self.caller => self.utterances.clear(),
            _ => {}
        }
    }
}

/// The words that `caller` began to say within `span`.
pub(super) fn within(transcript: &[Arc<Segment>], caller: ParticipantId, span: Span) -> String {
    let segments = transcript.iter().filter(|segment| segment.participant == caller);
    let words = segments.flat_map(|segment| &segment.words);
    let mut text = String::new();
    for word in words.filter(|word| (span.start..span.end).contains(&word.span.start)) {
        if text.len() + word.text.len() >= TEXT_BYTES_MAX {
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&word.text);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use asr::event::{LostWhy, Word};
    use media::time::MediaTime;

    use super::*;

    const CALLER: ParticipantId = ParticipantId(1);
    const OTHER: ParticipantId = ParticipantId(2);

    fn segment(participant: ParticipantId, utterance: u64, words: &[(&str, u64)]) -> Arc<Segment> {
        let at = MediaTime::from_millis;
        let words: Vec<_> = words
            .iter()
            .map(|(text, from)| Word {
                text: (*text).to_owned(),
                span: Span::new(at(*from), at(from + 300)),
                confidence: 0.9,
            })
            .collect();
        let span = Span::new(words[0].span.start, words[words.len() - 1].span.end);
        let text = asr::event::text(&words);
        Arc::new(Segment {
            participant,
            speaker: "Ada".into(),
            utterance,
            text,
            words,
            span,
            language: None,
            voices: Vec::new(),
        })
    }

    #[test]
    fn the_words_are_those_that_the_caller_said_while_it_ran() {
        let transcript = [
            segment(CALLER, 0, &[("before", 0), ("one", 1_000)]),
            segment(OTHER, 0, &[("other", 1_200)]),
            segment(CALLER, 1, &[("two", 2_000), ("after", 3_000)]),
        ];
        let span = Span::new(MediaTime::from_millis(900), MediaTime::from_millis(3_000));
        assert_eq!(within(&transcript, CALLER, span), "one two");
        assert_eq!(within(&transcript, ParticipantId(9), span), "");
    }

    #[test]
    fn what_was_begun_is_open_until_its_words_come_are_lost_or_the_caller_leaves() {
        let started =
            |participant, utterance| RoomEvent::SpeechStarted { participant, utterance, start: MediaTime::ZERO };
        let done = |participant, utterance| RoomEvent::TranscriptFinal {
            segment: segment(participant, utterance, &[("a", 0)]),
        };
        let lost = RoomEvent::TranscriptLost { participant: CALLER, span: Span::default(), why: LostWhy::Overload };
        let left = RoomEvent::ParticipantLeft { participant: CALLER, name: "Ada".into() };
        let begun = [started(CALLER, 0), started(OTHER, 0), started(CALLER, 1), started(CALLER, 2)];
        for (then, open) in [
            (vec![], vec![0, 1, 2]),
            (vec![done(OTHER, 2)], vec![0, 1, 2]),
            (vec![done(CALLER, 0)], vec![1, 2]),
            // A final after one that never came.
            (vec![done(CALLER, 1)], vec![2]),
            (vec![lost.clone(), lost.clone()], vec![2]),
            (vec![left], vec![]),
        ] {
            let mut words = Open::of(CALLER);
            begun.iter().chain(&then).for_each(|event| words.hear(event));
            assert_eq!(words.utterances, open, "{then:?}");
        }
        let mut words = Open::of(CALLER);
        (0..100).for_each(|utterance| words.hear(&started(CALLER, utterance)));
        assert_eq!(words.utterances.len(), OPEN_MAX);
    }

    #[tokio::test]
    async fn words_are_settled_when_the_last_has_come() {
        let room = bot::rooms::Rooms::new(1, bot::room::Limits::default());
        let epoch = crate::clock::Clock.epoch();
        let (room, actor) = room.open("", bot::room::Settings::default(), epoch, crate::clock::Clock.today()).unwrap();
        tokio::spawn(actor.run());
        let seat = room.join("Ada").await.unwrap();
        let caller = seat.participant();
        let mut words = Words::of(&room, Some(caller)).unwrap();
        let utterance = asr::event::UtteranceId(0);
        seat.heard(asr::event::Event::SpeechStarted { utterance, at: MediaTime::ZERO }).await.unwrap();
        // The room has taken it in once its answer to something later is there.
        room.update(caller, bot::participant::Change::default()).await.unwrap();
        {
            let settled = words.settled();
            tokio::pin!(settled);
            let is_pending = poll_fn(|cx| Poll::Ready(settled.as_mut().poll(cx).is_pending())).await;
            assert!(is_pending);
            let lost = asr::event::Event::Lost { span: Span::default(), why: LostWhy::Overload };
            seat.heard(lost).await.unwrap();
            settled.await;
        }
        assert!(Words::of(&room, None).is_none());
    }
}
