//! What an agent hears: the events of its room that are its callers', as inputs of the agent.
//!
//! The room's own ears do the work, and how somebody came makes no difference. Of several people in a room all are
//! heard, as one caller with many voices: their utterances are told apart by who said them. Pure.

use asr::event::{Cut, Event, UtteranceId};
use bot::{
    agent::Input,
    event::{RoomEvent, Segment},
    ivr::key::Key,
};
use media::id::ParticipantId;

/// Whom an agent talks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum With {
    /// This one, whoever else is there.
    One(ParticipantId),
    /// This one, whose words and keys whoever holds the reins tells: what the room knows of them came the same way.
    Told(ParticipantId),
    /// Everybody in the room but itself.
    Everybody,
}

/// Bits of an utterance's number that are the participant's own: longer than anybody talks.
const OWN_BITS: u32 = 40;

impl With {
    /// Whether it is talked with whom this is; `own` is the agent.
    pub(super) fn holds(self, who: ParticipantId, own: ParticipantId) -> bool {
        match self {
            Self::One(caller) | Self::Told(caller) => who == caller,
            Self::Everybody => who != own,
        }
    }

    /// What an event of the room means to the agent, which is `own` there.
    pub(crate) fn hear(self, event: &RoomEvent, own: ParticipantId) -> Option<Input> {
        if matches!(self, Self::Told(_)) {
            return None;
        }
        let heard = match event {
            RoomEvent::Dtmf { participant, digit, .. } => {
                return self.holds(*participant, own).then(|| Key::from_char(*digit).map(Input::Key)).flatten();
            }
            RoomEvent::SpeechStarted { participant, utterance, start } => {
                (*participant, Event::SpeechStarted { utterance: number(*participant, *utterance), at: *start })
            }
            RoomEvent::SpeechEnded { participant, utterance, end } => {
                (*participant, Event::SpeechEnded { utterance: number(*participant, *utterance), at: *end })
            }
            RoomEvent::TurnScored { participant, utterance, probability, end } => {
                let utterance = number(*participant, *utterance);
                (*participant, Event::TurnEnded { utterance, probability: *probability, at: *end })
            }
            RoomEvent::TranscriptPartial { stable_words, revision, segment } => {
                (segment.participant, partial(segment, *revision, *stable_words))
            }
            RoomEvent::TranscriptFinal { segment } => (segment.participant, final_of(segment)),
            RoomEvent::TranscriptLost { participant, span, why } => {
                (*participant, Event::Lost { span: *span, why: *why })
            }
            _ => return None,
        };
        let (who, heard) = heard;
        self.holds(who, own).then_some(Input::Ears(heard))
    }
}

fn partial(segment: &Segment, revision: u32, stable_words: usize) -> Event {
    Event::Partial {
        utterance: number(segment.participant, segment.utterance),
        revision,
        stable_words,
        words: segment.words.clone(),
        span: segment.span,
    }
}

fn final_of(segment: &Segment) -> Event {
    Event::Final {
        utterance: number(segment.participant, segment.utterance),
        words: segment.words.clone(),
        span: segment.span,
        // The room does not tell; whether somebody has stopped is told by itself.
        cut: Cut::Pause,
        language: segment.language.clone(),
        // Whoever converses hears one voice; whose it is, is the room's.
        voices: Vec::new(),
    }
}

fn number(who: ParticipantId, utterance: u64) -> UtteranceId {
    UtteranceId(who.0 << OWN_BITS | utterance & ((1 << OWN_BITS) - 1))
}

#[cfg(test)]
mod tests {
    use media::time::MediaTime;

    use super::*;

    const OWN: ParticipantId = ParticipantId(9);

    fn started(who: u64, utterance: u64) -> RoomEvent {
        RoomEvent::SpeechStarted { participant: ParticipantId(who), utterance, start: MediaTime::from_millis(20) }
    }

    #[test]
    fn only_whom_it_talks_with_is_heard_and_never_itself() {
        let one = With::One(ParticipantId(2));
        assert!(one.hear(&started(2, 0), OWN).is_some());
        assert!(one.hear(&started(3, 0), OWN).is_none());
        assert!(With::Everybody.hear(&started(3, 0), OWN).is_some());
        assert!(With::Everybody.hear(&started(9, 0), OWN).is_none());
    }

    #[test]
    fn whose_words_are_told_is_talked_with_and_not_heard_twice() {
        let told = With::Told(ParticipantId(2));
        assert!(told.holds(ParticipantId(2), OWN) && !told.holds(ParticipantId(3), OWN));
        assert!(told.hear(&started(2, 0), OWN).is_none());
    }

    #[test]
    fn utterances_of_several_people_are_told_apart() {
        let of = |event: &RoomEvent| match With::Everybody.hear(event, OWN) {
            Some(Input::Ears(Event::SpeechStarted { utterance, .. })) => utterance,
            other => panic!("{other:?}"),
        };
        assert_ne!(of(&started(2, 5)), of(&started(3, 5)));
        assert_eq!(of(&started(2, 5)), of(&started(2, 5)));
    }

    #[test]
    fn keys_and_scores_are_told_and_signs_that_are_no_keys_are_not() {
        let key = |digit: char| RoomEvent::Dtmf {
            participant: ParticipantId(2),
            digit,
            start: MediaTime::ZERO,
            duration: std::time::Duration::ZERO,
        };
        assert!(matches!(With::Everybody.hear(&key('#'), OWN), Some(Input::Key(Key::POUND))));
        assert!(With::Everybody.hear(&key('x'), OWN).is_none());
        let scored = RoomEvent::TurnScored {
            participant: ParticipantId(2),
            utterance: 1,
            probability: 0.25,
            end: MediaTime::ZERO,
        };
        assert!(matches!(
            With::One(ParticipantId(2)).hear(&scored, OWN),
            Some(Input::Ears(Event::TurnEnded { probability: 0.25, .. }))
        ));
    }
}
