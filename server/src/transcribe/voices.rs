//! Whose voice is whose: what tells voices apart in one recording, and what was heard laid out by it.
//!
//! Pure but for the models that a [`Told`] holds. What was heard on one lane becomes a lane for every voice, and a last
//! one for voices that are like nobody's; an utterance in which the speaker changes becomes several.

use std::{borrow::Cow, sync::Arc, time::Duration};

use asr::{
    diarize::{Diarization, Diarizer, Turn, VoiceId, label},
    event::{Cut, UtteranceId},
};
use media::time::{MediaTime, Span};

use crate::{
    config::Config,
    engine,
    transcript::{Lane, Segment},
};

/// Whether voices are told apart where several people may be on one channel.
#[derive(Debug)]
pub enum Voices {
    /// They are not: why, as a part of a sentence.
    Alike(Cow<'static, str>),
    /// By this.
    Told(Box<Told>),
}

/// What tells voices apart.
#[derive(Debug)]
pub struct Told {
    /// With its models, having heard nothing yet.
    pub diarizer: Diarizer,
    /// How many people there are, where somebody knows.
    pub expected: Option<usize>,
    /// What those are called whom the diarizer knows, in its order; empty where they have no names.
    pub names: Vec<Arc<str>>,
}

impl Voices {
    /// What tells the voices of one recording apart, its models loaded for it, or why nothing does. Blocks for a moment:
    /// called on a blocking thread.
    pub fn load(config: &Config, wish: Diarization) -> Self {
        match engine::diarizer(config) {
            Ok(mut diarizer) => {
                diarizer.know(wish.known);
                Self::Told(Box::new(Told { diarizer, expected: wish.expected, names: Vec::new() }))
            }
            Err(broken) => Self::Alike(broken.to_string().into()),
        }
    }

    /// The same, where those who are known are called by these names, in the order of the wish.
    #[must_use]
    pub fn named(mut self, names: Vec<Arc<str>>) -> Self {
        if let Self::Told(told) = &mut self {
            told.names = names;
        }
        self
    }
}

/// Turns in the order of their start, to be asked for those about a moment: hours of them are not walked through for
/// every word.
#[derive(Debug)]
pub struct ByTime<'a> {
    turns: &'a [Turn],
    /// When the last of the turns up to each of them ends.
    ends: Vec<MediaTime>,
}

impl<'a> ByTime<'a> {
    /// Looks at turns that are in the order of their start.
    pub fn new(turns: &'a [Turn]) -> Self {
        let mut last = MediaTime::ZERO;
        let ends = turns.iter().map(|turn| {
            last = last.max(turn.span.end);
            last
        });
        Self { turns, ends: ends.collect() }
    }

    /// A stretch of the turns that holds all that are less than a second away from the span.
    pub fn about(&self, span: Span) -> &'a [Turn] {
        let until = self.turns.partition_point(|turn| turn.span.start <= span.end + ABOUT);
        let from = self.ends.partition_point(|end| *end + ABOUT < span.start).min(until);
        &self.turns[from..until]
    }
}

/// Further from a turn than this no word is its speaker's.
const ABOUT: Duration = Duration::from_secs(1);

/// How many people these turns are of.
pub(super) fn people(turns: &[Turn]) -> usize {
    turns.iter().filter_map(|turn| turn.voice).max().map_or(0, |last| usize::from(last.0) + 1)
}

/// Lays out what was heard on one lane: a lane for each voice and one more for unknown voices.
pub(super) fn by_voice(heard: Lane, turns: &[Turn]) -> Vec<Lane> {
    let people = people(turns);
    let mut lanes = vec![Lane::default(); people + 1];
    let turns = ByTime::new(turns);
    let parts = heard.segments.into_iter().flat_map(|segment| by_speaker(segment, &turns));
    for (number, (voice, mut part)) in (0..).zip(parts) {
        part.lane = voice.map_or(people, |voice| usize::from(voice.0));
        part.utterance = UtteranceId(number);
        lanes[part.lane].segments.push(part);
    }
    lanes
}

/// The parts of an utterance, each by one speaker.
fn by_speaker(segment: Segment, turns: &ByTime<'_>) -> Vec<(Option<VoiceId>, Segment)> {
    let speech = segment.speech();
    let said = label::speakers(&segment.words, turns.about(speech));
    let (whole, cut) = (segment.span, segment.cut);
    let mut words = segment.words.into_iter();
    let mut parts: Vec<(Option<VoiceId>, Segment)> = said
        .chunk_by(|a, b| a == b)
        .map(|run| {
            let words: Vec<_> = words.by_ref().take(run.len()).collect();
            let span = match (words.first(), words.last()) {
                (Some(first), Some(last)) => Span::new(first.span.start, last.span.end),
                _ => whole,
            };
            // Somebody else goes on: what this one says ends here.
            let language = segment.language.clone();
            (
                run[0],
                Segment { lane: segment.lane, utterance: segment.utterance, words, span, cut: Cut::Pause, language },
            )
        })
        .collect();
    if let Some((_, first)) = parts.first_mut() {
        first.span = Span::new(whole.start, first.span.end);
    }
    if let Some((_, last)) = parts.last_mut() {
        last.span = Span::new(last.span.start, whole.end);
        last.cut = cut;
    }
    parts
}

#[cfg(test)]
mod tests {
    use media::time::MediaTime;

    use super::*;
    use crate::transcript::sample;

    fn turn(voice: Option<u16>, start_ms: u64, end_ms: u64) -> Turn {
        let span = Span::new(MediaTime::from_millis(start_ms), MediaTime::from_millis(end_ms));
        Turn { voice: voice.map(VoiceId), span }
    }

    /// Each segment's lane and text, in the order of the lanes.
    fn told(lanes: &[Lane]) -> Vec<(usize, String)> {
        let segments = lanes.iter().flat_map(|lane| &lane.segments);
        segments.map(|segment| (segment.lane, segment.text())).collect()
    }

    #[test]
    fn every_voice_has_a_lane_and_unknown_ones_the_last() {
        // Words of 300 ms.
        let segments = vec![
            sample::segment(0, "Shall we begin?", 0),
            sample::segment(0, "Yes please do.", 1_000),
            sample::segment(0, "Who is there?", 2_000),
        ];
        let turns = [turn(Some(0), 0, 900), turn(Some(1), 1_000, 1_900), turn(None, 2_000, 2_900)];
        let lanes = by_voice(Lane { segments }, &turns);
        let text = |lane, text: &str| (lane, text.to_owned());
        assert_eq!(told(&lanes), [text(0, "Shall we begin?"), text(1, "Yes please do."), text(2, "Who is there?")]);
    }

    #[test]
    fn an_utterance_in_which_the_speaker_changes_becomes_two() {
        let mut segment = sample::segment(0, "Are you ready now? I am quite ready.", 0);
        segment.cut = Cut::Length;
        segment.span = Span::new(MediaTime::ZERO, MediaTime::from_millis(3_000));
        let lanes = by_voice(Lane { segments: vec![segment] }, &[turn(Some(0), 0, 1_200), turn(Some(1), 1_200, 2_400)]);
        let (first, second) = (&lanes[0].segments[0], &lanes[1].segments[0]);
        assert_eq!((first.text().as_str(), second.text().as_str()), ("Are you ready now?", "I am quite ready."));
        assert_eq!((first.cut, second.cut), (Cut::Pause, Cut::Length));
        assert_eq!((first.span.start.as_millis(), first.span.end.as_millis()), (0, 1_200));
        assert_eq!((second.span.start.as_millis(), second.span.end.as_millis()), (1_200, 3_000));
        assert_ne!(first.utterance, second.utterance);
    }

    #[test]
    fn turns_about_a_moment_are_all_that_touch_it() {
        // The first lasts through all of the others.
        let turns = [turn(Some(0), 0, 60_000), turn(Some(1), 2_000, 3_000), turn(Some(1), 20_000, 21_000)];
        let by_time = ByTime::new(&turns);
        let about = |start_ms, end_ms| by_time.about(turn(None, start_ms, end_ms).span).len();
        assert_eq!((about(0, 500), about(2_500, 2_600), about(19_500, 19_600), about(59_000, 61_000)), (1, 2, 3, 3));
        let apart = [turn(Some(0), 0, 1_000), turn(Some(1), 10_000, 11_000), turn(Some(0), 20_000, 21_000)];
        assert_eq!(ByTime::new(&apart).about(turn(None, 10_500, 10_600).span), &apart[1..2]);
        assert!(ByTime::new(&apart).about(turn(None, 15_000, 15_100).span).is_empty());
        assert!(ByTime::new(&apart).about(turn(None, 90_000, 90_100).span).is_empty());
        assert!(ByTime::new(&[]).about(turn(None, 0, 100).span).is_empty());
    }

    #[test]
    fn without_turns_everything_is_unknown() {
        let lanes = by_voice(Lane { segments: vec![sample::segment(0, "Hello.", 0)] }, &[]);
        assert_eq!(told(&lanes), [(0, "Hello.".to_owned())]);
        assert_eq!(people(&[]), 0);
    }
}
