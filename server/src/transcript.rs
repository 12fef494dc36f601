//! What was said in a recording: the value that transcription fills and every writer reads.
//!
//! A lane is one line of hearing: the whole recording mixed down, one channel of it, or what one voice said in it.
//! Each lane holds its segments in order; [`Transcript::in_order`] interleaves the lanes by time. Plain values, no
//! thread, no input or output; the formats that people read live in [`crate::format`].

use std::sync::Arc;

use asr::diarize::Turn;
use asr::event::{Cut, UtteranceId, Word};
use asr::recognizer::Info;
use bot::brain::ActionItem;
use media::time::Span;

/// Everything that was heard in one recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    /// Length of the audio in seconds, as decoded.
    pub duration_s: f64,
    /// What recognized it.
    pub engine: Info,
    /// The language most words were heard in (ISO 639-1), where it is known.
    pub language: Option<String>,
    /// Who the lanes are.
    pub speakers: Speakers,
    /// One lane for a recording mixed down, else one per channel, in channel order, or one per voice and a last one
    /// for unknown voices.
    pub lanes: Vec<Lane>,
    /// What the people of the first lanes are called, where voices were told apart and these were known before. Whoever
    /// of them was not heard has an empty lane, or none behind the last who was.
    pub known: Vec<Arc<str>>,
    /// Who spoke when, words or none, where voices were told apart; else empty.
    pub turns: Vec<Turn>,
    /// What somebody is to do, in the order in which it was said; declined items are left out.
    pub action_items: Vec<ActionItem>,
    /// What did not go as asked, in words for people; empty when all went well.
    pub warnings: Vec<String>,
}

/// How the lanes of a transcript relate to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speakers {
    /// Nobody asked who speaks.
    Unasked,
    /// One speaker per channel.
    ByChannel,
    /// One speaker per voice. The lane behind theirs is of unknown voices.
    ByVoice {
        /// How many were told apart.
        people: usize,
    },
    /// Somebody asked, but the recording has one channel and voices are not told apart.
    Unknown,
}

/// What was heard on one lane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lane {
    /// In the order of time, never overlapping; none is empty.
    pub segments: Vec<Segment>,
}

/// One utterance.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Index of the lane it was heard on.
    pub lane: usize,
    /// Its number on the stream that heard it; unheard and empty utterances leave gaps.
    pub utterance: UtteranceId,
    /// At least one.
    pub words: Vec<Word>,
    /// The audio the words were heard in, silence at its edges included.
    pub span: Span,
    /// Why it ends where it ends.
    pub cut: Cut,
    /// The language heard (ISO 639-1), where the engine knows.
    pub language: Option<String>,
}

impl Transcript {
    /// Every segment, by the start of its first word (lanes of the same moment in lane order).
    pub fn in_order(&self) -> Vec<&Segment> {
        let mut segments: Vec<&Segment> = self.lanes.iter().flat_map(|lane| &lane.segments).collect();
        segments.sort_by_key(|segment| (segment.speech().start, segment.lane));
        segments
    }

    /// All words joined by single spaces, lanes interleaved.
    pub fn text(&self) -> String {
        let texts: Vec<String> = self.in_order().into_iter().map(Segment::text).collect();
        texts.join(" ")
    }

    /// The name of whoever speaks on a lane; `None` when nobody asked. Those who were not known are counted by themselves.
    pub fn speaker(&self, lane: usize) -> Option<String> {
        match self.speakers {
            Speakers::ByVoice { people } if lane < people => Some(match self.known.get(lane) {
                Some(name) => name.to_string(),
                None => format!("speaker_{}", lane - self.known.len()),
            }),
            speakers => speakers.name(lane),
        }
    }
}

impl Speakers {
    /// The name of whoever speaks on a lane; `None` when nobody asked.
    pub fn name(self, lane: usize) -> Option<String> {
        match self {
            Self::Unasked => None,
            Self::ByChannel => Some(format!("channel_{lane}")),
            Self::ByVoice { people } if lane < people => Some(format!("speaker_{lane}")),
            Self::ByVoice { .. } | Self::Unknown => Some("unknown".to_owned()),
        }
    }

    /// Whether it is known who speaks on a lane.
    pub fn knows(self, lane: usize) -> bool {
        match self {
            Self::ByChannel => true,
            Self::ByVoice { people } => lane < people,
            Self::Unasked | Self::Unknown => false,
        }
    }
}

impl Lane {
    /// Seconds of speech: the sum of its segments from first to last word.
    pub fn speech_s(&self) -> f64 {
        self.segments.iter().map(|segment| segment.speech().duration().as_secs_f64()).sum()
    }
}

impl Segment {
    /// Its words joined by single spaces.
    pub fn text(&self) -> String {
        asr::event::text(&self.words)
    }

    /// From the start of its first word to the end of its last.
    pub fn speech(&self) -> Span {
        match (self.words.first(), self.words.last()) {
            (Some(first), Some(last)) => Span::new(first.span.start, last.span.end),
            _ => self.span,
        }
    }
}

#[cfg(test)]
pub(crate) mod sample {
    //! Transcripts for the tests of writers.

    use media::time::MediaTime;

    use super::*;

    /// Words spoken one after another, each `each_ms` long, without pauses.
    pub(crate) fn words(text: &str, from_ms: u64, each_ms: u64) -> Vec<Word> {
        text.split_whitespace()
            .zip(0..)
            .map(|(word, index)| Word {
                text: word.to_owned(),
                span: Span::new(
                    MediaTime::from_millis(from_ms + index * each_ms),
                    MediaTime::from_millis(from_ms + (index + 1) * each_ms),
                ),
                confidence: 0.9,
            })
            .collect()
    }

    /// One utterance on `lane`, 300 ms a word.
    pub(crate) fn segment(lane: usize, text: &str, from_ms: u64) -> Segment {
        let words = words(text, from_ms, 300);
        let end = words.last().map_or(MediaTime::ZERO, |word| word.span.end);
        Segment {
            lane,
            utterance: UtteranceId(0),
            words,
            span: Span::new(MediaTime::from_millis(from_ms), end),
            cut: Cut::Pause,
            language: Some("en".to_owned()),
        }
    }

    /// A transcript of these segments; the highest lane decides how many there are.
    pub(crate) fn transcript(speakers: Speakers, segments: Vec<Segment>) -> Transcript {
        let count = segments.iter().map(|segment| segment.lane + 1).max().unwrap_or(1);
        let mut lanes = vec![Lane::default(); count];
        for segment in segments {
            lanes[segment.lane].segments.push(segment);
        }
        Transcript {
            duration_s: 12.5,
            engine: Info {
                engine: "moonshine",
                model: "moonshine-tiny-en".to_owned(),
                languages: vec!["en".to_owned()],
                window_max_s: 24,
            },
            language: Some("en".to_owned()),
            speakers,
            lanes,
            known: Vec::new(),
            turns: Vec::new(),
            action_items: Vec::new(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn known_voices_have_their_names_and_the_others_are_counted_without_them() {
        let segments = vec![segment(1, "I am known", 0), segment(2, "I am not", 2_000), segment(3, "Nobody", 4_000)];
        let known = vec!["Ada".into(), "Ben".into()];
        let transcript = Transcript { known, ..transcript(Speakers::ByVoice { people: 3 }, segments) };
        let names = [0, 1, 2, 3].map(|lane| transcript.speaker(lane));
        assert_eq!(names.each_ref().map(Option::as_deref), ["Ada", "Ben", "speaker_0", "unknown"].map(Some));
    }

    #[test]
    fn lanes_interleave_by_the_start_of_their_words() {
        let transcript = transcript(
            Speakers::ByChannel,
            vec![segment(0, "first here", 0), segment(0, "third", 2_000), segment(1, "second", 1_000)],
        );
        assert_eq!(transcript.text(), "first here second third");
    }
}
