//! One transcription: which words of the room it is told of, and how.
//!
//! Pure: the room's events in, what the machine is told out. The caller is the inbound track and everybody else in the
//! room the outbound one; what the server says itself is nobody's words. What the ears are to expect they are told by the
//! menu ([`super::super::expecting`]).

use asr::event::Word;
use bot::{
    event::{RoomEvent, Segment},
    ivr::{effect::TranscriptionSpec, input::TapEvent, private::Private, twiml::AudioTrack},
};
use media::id::ParticipantId;

use crate::dialect::deepgram::profanity;

/// A transcription that runs.
#[derive(Debug)]
pub(super) struct Scribe {
    track: AudioTrack,
    wants_partials: bool,
    masks_profanity: bool,
    /// Whether the language was to be found out.
    tells_language: bool,
}

impl Scribe {
    pub(super) fn new(spec: &TranscriptionSpec) -> Self {
        Self {
            track: spec.track,
            wants_partials: spec.partials,
            masks_profanity: spec.profanity_filter,
            tells_language: spec.language.is_none(),
        }
    }

    /// What an event of the room means to it.
    pub(super) fn hear(&self, event: &RoomEvent, caller: ParticipantId) -> Option<TapEvent> {
        let (segment, confidence, is_final) = match event {
            RoomEvent::TranscriptFinal { segment } => (segment, confidence(&segment.words), true),
            RoomEvent::TranscriptPartial { stable_words, segment, .. } if self.wants_partials => {
                let share = *stable_words as f32 / segment.words.len().max(1) as f32;
                (segment, share.clamp(0.0, 1.0), false)
            }
            _ => return None,
        };
        let track = if segment.participant == caller { AudioTrack::Inbound } else { AudioTrack::Outbound };
        if segment.text.is_empty() || !(self.track == AudioTrack::Both || self.track == track) {
            return None;
        }
        let language = segment.language.clone().filter(|_| self.tells_language);
        Some(TapEvent::Said { track, text: self.text(segment), confidence, is_final, language })
    }

    fn text(&self, segment: &Segment) -> Private {
        let text = if self.masks_profanity { profanity::masked_text(&segment.text) } else { segment.text.clone() };
        Private::from(text)
    }
}

/// How sure the recognizer is of all of it: the mean of its words.
fn confidence(words: &[Word]) -> f32 {
    words.iter().map(|word| word.confidence).sum::<f32>() / words.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use media::time::Span;

    use super::*;

    const CALLER: ParticipantId = ParticipantId(1);
    const OTHER: ParticipantId = ParticipantId(2);

    fn segment(participant: ParticipantId, text: &str) -> Arc<Segment> {
        let word = |text: &str| Word { text: text.to_owned(), span: Span::default(), confidence: 0.5 };
        Arc::new(Segment {
            participant,
            speaker: "Ada".into(),
            utterance: 0,
            text: text.to_owned(),
            words: text.split_whitespace().map(word).collect(),
            span: Span::default(),
            language: Some("en".to_owned()),
            voices: Vec::new(),
        })
    }

    fn done(participant: ParticipantId, text: &str) -> RoomEvent {
        RoomEvent::TranscriptFinal { segment: segment(participant, text) }
    }

    fn spec(track: AudioTrack) -> TranscriptionSpec {
        TranscriptionSpec { track, language: None, hints: Vec::new(), partials: false, profanity_filter: false }
    }

    #[test]
    fn the_caller_is_inbound_and_everybody_else_outbound() {
        use AudioTrack::{Both, Inbound, Outbound};
        for (wanted, who, expected) in [
            (Both, CALLER, Some(Inbound)),
            (Both, OTHER, Some(Outbound)),
            (Inbound, CALLER, Some(Inbound)),
            (Inbound, OTHER, None),
            (Outbound, CALLER, None),
            (Outbound, OTHER, Some(Outbound)),
        ] {
            let told = Scribe::new(&spec(wanted)).hear(&done(who, "hello there"), CALLER);
            let expected = expected.map(|track| TapEvent::Said {
                track,
                text: "hello there".into(),
                confidence: 0.5,
                is_final: true,
                language: Some("en".to_owned()),
            });
            assert_eq!(told, expected, "{wanted:?} {who}");
        }
        assert_eq!(Scribe::new(&spec(Both)).hear(&done(CALLER, ""), CALLER), None);
    }

    #[test]
    fn words_that_may_change_are_told_where_they_are_wanted_with_how_much_will_stay() {
        let partial =
            RoomEvent::TranscriptPartial { stable_words: 1, revision: 1, segment: segment(CALLER, "a b c d") };
        let spec = spec(AudioTrack::Both);
        assert_eq!(Scribe::new(&spec).hear(&partial, CALLER), None);
        let scribe = Scribe::new(&TranscriptionSpec { partials: true, language: Some("en-US".to_owned()), ..spec });
        let Some(TapEvent::Said { confidence, is_final, language, .. }) = scribe.hear(&partial, CALLER) else {
            panic!()
        };
        assert_eq!((confidence, is_final, language), (0.25, false, None));
    }

    #[test]
    fn words_that_offend_are_masked_where_that_is_wanted() {
        let masking = TranscriptionSpec { profanity_filter: true, ..spec(AudioTrack::Both) };
        for (spec, expected) in [(masking, "Oh, s***! Scunthorpe"), (spec(AudioTrack::Both), "Oh, shit! Scunthorpe")] {
            let told = Scribe::new(&spec).hear(&done(CALLER, "Oh, shit! Scunthorpe"), CALLER);
            let Some(TapEvent::Said { text, .. }) = told else { panic!() };
            assert_eq!(text.reveal(), expected);
        }
    }
}
