//! What the mouth of whoever speaks does, told as it is heard.
//!
//! The voice says which shapes lie where in its sound, the marks of a playout say how far that sound was heard: together
//! they are a moment of the room for each shape. A sentence is told when its first sample is heard, and what the voice
//! tells later of it with the next mark; once more where the sound stood still in between or came late, for then all that
//! follows has other moments. Of what lies behind the sentence that is heard nothing is told: it may never be. Pure.

use std::{sync::Arc, time::Duration};

use bot::event::{self, RoomEvent};
use media::{frame::MOUTH_HZ, id::ParticipantId, time::MediaTime};
use tts::viseme::Shape;

/// Sound that is heard this much later than was told is told again: nobody sees less, and marks are told by the tick of
/// 10 ms that they are heard in.
const DRIFT: Duration = Duration::from_millis(40);

/// A sentence that begins so soon is told: marks are 60 ms apart, and it is told by the one before it begins.
const SOON_SAMPLES: u64 = MOUTH_HZ as u64 * 80 / 1_000;

/// The lips of one who speaks, for as long as one sound lasts.
#[derive(Debug, Default)]
pub(crate) struct Lips {
    /// In order, without a gap within a sentence; places in samples at [`MOUTH_HZ`].
    shapes: Vec<Shape>,
    /// How many of them were told, or are over.
    told: usize,
    /// When the first sample was heard, by what was told last; none where the mouth is at rest for all that was told.
    origin: Option<MediaTime>,
}

/// What the mouth does from a moment on, whatever was told of it before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Motion {
    start: MediaTime,
    shapes: Vec<event::Shape>,
}

impl Lips {
    /// The voice tells of a shape; they come in order, perhaps after their sound.
    pub(crate) fn shape(&mut self, shape: Shape) {
        self.shapes.push(shape);
    }

    /// So many samples were heard at this moment; what is to be told of the mouth.
    pub(crate) fn heard(&mut self, at: MediaTime, samples: u64) -> Option<Motion> {
        let origin = at.saturating_sub(span(samples));
        if self.origin.is_some_and(|told| told.since(origin).max(origin.since(told)) > DRIFT) {
            self.told = 0;
        }
        let over = self.shapes.partition_point(|shape| end(shape) <= samples);
        let from = self.told.max(over);
        let is_later = |index: &usize| {
            let begins = self.shapes[*index].at_sample;
            let is_first = index.checked_sub(1).is_none_or(|before| end(&self.shapes[before]) < begins);
            is_first && begins > samples + SOON_SAMPLES
        };
        let to = (from..self.shapes.len()).find(is_later).unwrap_or(self.shapes.len());
        let told = self.shapes.get(from..to).filter(|told| !told.is_empty())?;
        let begins = told[0].at_sample.max(samples);
        let shapes = told.iter().filter_map(|shape| {
            // Whole milliseconds that leave no gap between them.
            let from_ms = span(shape.at_sample.saturating_sub(begins)).as_millis() as u64;
            let to_ms = span(end(shape).saturating_sub(begins)).as_millis() as u64;
            let (at, duration) = (Duration::from_millis(from_ms), Duration::from_millis(to_ms.checked_sub(from_ms)?));
            (!duration.is_zero()).then_some(event::Shape { viseme: shape.viseme, at, duration })
        });
        let motion = Motion { start: origin + span(begins), shapes: shapes.collect() };
        (self.told, self.origin) = (to, Some(origin));
        Some(motion)
    }

    /// The sound falls silent at this moment, for good or until it is [heard](Self::heard) again; what is to be told of
    /// that, where the mouth would move on.
    pub(crate) fn rest(&mut self, at: MediaTime) -> Option<Motion> {
        let origin = self.origin.take()?;
        let last = std::mem::take(&mut self.told).checked_sub(1);
        let until = origin + span(last.map_or(0, |last| end(&self.shapes[last])));
        (until > at).then_some(Motion { start: at, shapes: Vec::new() })
    }
}

impl Motion {
    /// The event of an agent's turn.
    pub(crate) fn of_agent(self, participant: ParticipantId, turn: u64) -> RoomEvent {
        let Self { start, shapes: visemes } = self;
        RoomEvent::AvatarViseme { participant: Some(participant), turn: Some(turn), say: None, start, visemes }
    }

    /// The event of words that somebody asked for.
    pub(crate) fn of_say(self, say: Arc<str>) -> RoomEvent {
        let Self { start, shapes: visemes } = self;
        RoomEvent::AvatarViseme { participant: None, turn: None, say: Some(say), start, visemes }
    }
}

fn end(shape: &Shape) -> u64 {
    shape.at_sample + shape.samples
}

fn span(samples: u64) -> Duration {
    MediaTime::from_samples(samples, MOUTH_HZ).as_duration()
}

#[cfg(test)]
mod tests {
    use tts::viseme::Viseme;

    use super::*;

    /// Samples in a millisecond.
    const MS: u64 = MOUTH_HZ as u64 / 1_000;

    fn ms(ms: u64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    /// "ma", and then "pe": each sound lasts 100 ms.
    fn lips() -> Lips {
        let mut lips = Lips::default();
        for (at, viseme) in [Viseme::Pp, Viseme::Aa, Viseme::Pp, Viseme::E].into_iter().enumerate() {
            lips.shape(Shape { viseme, at_sample: at as u64 * 100 * MS, samples: 100 * MS });
        }
        lips
    }

    /// The name, beginning and length of a shape.
    type Told = (&'static str, u128, u128);

    /// The moment, and the name, beginning and length of each shape in milliseconds.
    fn read(motion: Option<Motion>) -> Option<(u64, Vec<Told>)> {
        let Motion { start, shapes } = motion?;
        let shapes = shapes.iter().map(|s| (s.viseme.name(), s.at.as_millis(), s.duration.as_millis()));
        Some((start.as_millis(), shapes.collect()))
    }

    #[test]
    fn a_sentence_is_told_once_when_it_begins_to_be_heard() {
        let mut lips = lips();
        let told = read(lips.heard(ms(5_000), 0));
        let shapes = vec![("PP", 0, 100), ("aa", 100, 100), ("PP", 200, 100), ("E", 300, 100)];
        assert_eq!(told, Some((5_000, shapes)));
        for heard_ms in (60..=400).step_by(60) {
            assert_eq!(lips.heard(ms(5_010 + heard_ms), heard_ms * MS), None, "a tick is no delay");
        }
    }

    #[test]
    fn what_the_voice_tells_late_is_told_with_the_next_mark_and_what_is_over_by_then_is_not() {
        let mut lips = Lips::default();
        assert_eq!(lips.heard(ms(5_000), 0), None);
        lips.shape(Shape { viseme: Viseme::Pp, at_sample: 0, samples: 50 * MS });
        lips.shape(Shape { viseme: Viseme::Aa, at_sample: 50 * MS, samples: 50 * MS });
        assert_eq!(read(lips.heard(ms(5_060), 60 * MS)), Some((5_060, vec![("aa", 0, 40)])));
        lips.shape(Shape { viseme: Viseme::U, at_sample: 400 * MS, samples: 30 * MS });
        assert_eq!(lips.heard(ms(5_120), 120 * MS), None, "of another sentence nothing is told yet");
        assert_eq!(lips.rest(ms(5_200)), None, "the one that was told is over");
        assert_eq!(read(lips.heard(ms(5_360), 360 * MS)), Some((5_400, vec![("U", 0, 30)])));
        assert_eq!(read(lips.rest(ms(5_380))), Some((5_380, Vec::new())), "it will not be heard");
    }

    #[test]
    fn sound_that_stood_still_is_told_again_from_where_it_goes_on() {
        let mut lips = lips();
        lips.heard(ms(1_000), 0);
        assert_eq!(read(lips.rest(ms(1_130))), Some((1_130, Vec::new())));
        assert_eq!(lips.rest(ms(1_140)), None, "it is at rest");
        let told = read(lips.heard(ms(3_000), 150 * MS));
        assert_eq!(told, Some((3_000, vec![("aa", 0, 50), ("PP", 50, 100), ("E", 150, 100)])));
        // And so is sound that a slow voice had nothing for.
        let told = read(lips.heard(ms(3_100), 180 * MS));
        assert_eq!(told, Some((3_100, vec![("aa", 0, 20), ("PP", 20, 100), ("E", 120, 100)])));
        assert_eq!(lips.heard(ms(3_160), 240 * MS), None);
    }

    #[test]
    fn a_mouth_that_is_still_anyway_is_told_nothing_of_silence() {
        let mut lips = lips();
        assert_eq!(lips.rest(ms(900)), None, "nothing was heard of it");
        lips.heard(ms(1_000), 0);
        assert_eq!(lips.rest(ms(1_400)), None, "it is over");
    }
}
