//! Who speaks on a line behind which several people are: their ids, their names, and what each of them said.
//!
//! Pure: owned by [`crate::room::Room`]. The ears tell voices apart by number; here a number becomes a
//! [`SpeakerId`] that never changes, and a name by what is known best: what somebody said they are called, else the
//! name of a known voice, else the line with the number of the voice on it, else `unknown`. A name learned from the
//! talk is never given here by itself.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use asr::{diarize::VoiceId, event::VoiceRun};
use media::id::ParticipantId;
use serde::{Serialize, Serializer};

/// Somebody who speaks: a participant, or one of several behind a participant's line. Reads `p3`, or `p3.1` for the
/// first voice on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpeakerId {
    /// The line.
    pub participant: ParticipantId,
    /// Which voice on it; `None` where nobody tells them apart, or it is like nobody's.
    pub voice: Option<VoiceId>,
}

impl fmt::Display for SpeakerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.voice {
            Some(voice) => write!(f, "{}.{}", self.participant, u32::from(voice.0) + 1),
            None => self.participant.fmt(f),
        }
    }
}

/// A text is no speaker's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a speaker's id reads p3, or p3.1")]
pub struct NoSpeakerId;

impl FromStr for SpeakerId {
    type Err = NoSpeakerId;

    fn from_str(text: &str) -> Result<Self, NoSpeakerId> {
        let (participant, voice) = match text.split_once('.') {
            Some((participant, number)) => {
                let number: u16 = number.parse().map_err(|_| NoSpeakerId)?;
                (participant, Some(VoiceId(number.checked_sub(1).ok_or(NoSpeakerId)?)))
            }
            None => (text, None),
        };
        Ok(Self { participant: participant.parse().map_err(|_| NoSpeakerId)?, voice })
    }
}

impl Serialize for SpeakerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a name rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NamedBy {
    /// The line is that of one person: their transport or channel names them.
    Line,
    /// Somebody said who it is.
    Person,
    /// The voice is known.
    Enrolled,
    /// It is a voice of this line and no more is known.
    Voice,
    /// It is like nobody's.
    Nobody,
}

/// Words one after another that one voice said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Voiced {
    /// Whose; `None` when it is like nobody's.
    pub speaker: Option<SpeakerId>,
    /// As they are called.
    pub name: Arc<str>,
    /// What that rests on.
    pub named_by: NamedBy,
    /// How many words.
    pub words: usize,
    /// How sure that is, 0..=1.
    #[serde(serialize_with = "share")]
    pub confidence: f32,
}

/// Somebody who spoke in a room, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Talk {
    /// Who.
    pub speaker: SpeakerId,
    /// On whose line.
    pub participant: ParticipantId,
    /// As they are called.
    pub name: Arc<str>,
    /// What that rests on.
    pub named_by: NamedBy,
    /// How long they spoke, in seconds, from first to last word of each stretch.
    #[serde(serialize_with = "seconds")]
    pub speech_s: f64,
    /// How many words they said.
    pub words: usize,
}

/// Everybody who was told apart by voice in one room; at most [`SPEAKERS_MAX`]. Later ones are heard and named by
/// their number, but cannot be given a name.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    /// The names of known voices, by line, while the line is there.
    known: BTreeMap<ParticipantId, Vec<Arc<str>>>,
    heard: BTreeMap<SpeakerId, Name>,
}

type Name = (Arc<str>, NamedBy);

impl Speakers {
    /// A line is there on which these voices may be recognized.
    pub(crate) fn joined(&mut self, participant: ParticipantId, known: Vec<String>) {
        let cut = |name: String| -> Arc<str> { name.chars().take(NAME_MAX_CHARS).collect::<String>().into() };
        self.known.insert(participant, known.into_iter().map(cut).collect());
    }

    /// A line is gone; whoever was heard on it keeps their name.
    pub(crate) fn left(&mut self, participant: ParticipantId) {
        self.known.remove(&participant);
    }

    /// Who said which of `words` words on a line called `line`; whatever the runs say, they hold all words then.
    pub(crate) fn voiced(
        &mut self,
        participant: ParticipantId,
        line: &str,
        runs: &[VoiceRun],
        words: usize,
    ) -> Vec<Voiced> {
        if runs.is_empty() {
            return Vec::new();
        }
        let mut voiced = Vec::with_capacity(runs.len());
        let mut left = words;
        for run in runs {
            let words = run.words.min(left);
            left -= words;
            if words > 0 {
                voiced.push(self.one(participant, line, run.voice, words, run.confidence));
            }
        }
        if left > 0 {
            voiced.push(self.one(participant, line, None, left, 0.0));
        }
        voiced
    }

    fn one(
        &mut self,
        participant: ParticipantId,
        line: &str,
        voice: Option<VoiceId>,
        words: usize,
        confidence: f32,
    ) -> Voiced {
        let confidence = if confidence.is_finite() { confidence.clamp(0.0, 1.0) } else { 0.0 };
        let speaker = voice.map(|_| SpeakerId { participant, voice });
        let (name, named_by) = match (speaker, voice) {
            (Some(speaker), Some(voice)) => self.name(speaker, voice, line),
            _ => (UNKNOWN.into(), NamedBy::Nobody),
        };
        Voiced { speaker, name, named_by, words, confidence }
    }

    fn name(&mut self, speaker: SpeakerId, voice: VoiceId, line: &str) -> Name {
        if let Some(name) = self.heard.get(&speaker) {
            return name.clone();
        }
        let known = self.known.get(&speaker.participant).map(Vec::as_slice).unwrap_or_default();
        let index = usize::from(voice.0);
        let name = match known.get(index) {
            Some(name) => (name.clone(), NamedBy::Enrolled),
            None => (format!("{line}, voice {}", index - known.len() + 1).into(), NamedBy::Voice),
        };
        if self.heard.len() < SPEAKERS_MAX {
            self.heard.insert(speaker, name.clone());
        }
        name
    }

    /// Whether one of the speakers on a line goes by `name`.
    pub(crate) fn is_used(&self, participant: ParticipantId, name: &str) -> bool {
        self.heard.iter().any(|(speaker, (known, _))| speaker.participant == participant && &**known == name)
    }

    /// Gives somebody a name; what they were called before, or `None` when they were not heard.
    pub(crate) fn rename(&mut self, speaker: SpeakerId, name: Arc<str>) -> Option<Arc<str>> {
        let known = self.heard.get_mut(&speaker)?;
        Some(std::mem::replace(known, (name, NamedBy::Person)).0)
    }
}

/// Whoever's voice is like nobody's.
pub const UNKNOWN: &str = "unknown";

/// Longer names are cut: they are repeated in every segment.
pub(crate) const NAME_MAX_CHARS: usize = 80;

/// Twenty people on each of the lines of a large meeting.
const SPEAKERS_MAX: usize = 1_280;

fn share<S: Serializer>(share: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f32((share * 1_000.0).round() / 1_000.0)
}

fn seconds<S: Serializer>(seconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((seconds * 1_000.0).round() / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: ParticipantId = ParticipantId(3);

    fn run(words: usize, voice: Option<u16>) -> VoiceRun {
        VoiceRun { words, voice: voice.map(VoiceId), confidence: 0.9 }
    }

    fn names(voiced: &[Voiced]) -> Vec<(&str, usize)> {
        voiced.iter().map(|voiced| (&*voiced.name, voiced.words)).collect()
    }

    #[test]
    fn a_known_voice_has_its_name_another_that_of_the_line_and_one_like_nobodys_none() {
        let mut speakers = Speakers::default();
        speakers.joined(LINE, vec!["Jonas".into(), "Mia".into()]);
        let voiced = speakers.voiced(LINE, "Ada", &[run(1, Some(1)), run(2, Some(3)), run(1, None)], 4);
        assert_eq!(names(&voiced), [("Mia", 1), ("Ada, voice 2", 2), ("unknown", 1)]);
        let by: Vec<NamedBy> = voiced.iter().map(|voiced| voiced.named_by).collect();
        assert_eq!(by, [NamedBy::Enrolled, NamedBy::Voice, NamedBy::Nobody]);
        assert_eq!(voiced[2].speaker, None);
    }

    #[test]
    fn a_name_that_was_given_wins_and_stays_when_the_line_is_gone() {
        let mut speakers = Speakers::default();
        speakers.joined(LINE, vec!["Jonas".into()]);
        speakers.voiced(LINE, "Ada", &[run(1, Some(0)), run(1, Some(1))], 2);
        let second = SpeakerId { participant: LINE, voice: Some(VoiceId(1)) };
        assert_eq!(speakers.rename(second, "Bob".into()).as_deref(), Some("Ada, voice 1"));
        speakers.left(LINE);
        let voiced = speakers.voiced(LINE, "Ada", &[run(1, Some(0)), run(1, Some(1))], 2);
        assert_eq!(names(&voiced), [("Jonas", 1), ("Bob", 1)]);
        let nobody = SpeakerId { participant: LINE, voice: Some(VoiceId(9)) };
        assert_eq!(speakers.rename(nobody, "Eve".into()), None);
    }

    #[test]
    fn runs_that_do_not_fit_their_words_are_made_to() {
        let mut speakers = Speakers::default();
        let voiced = speakers.voiced(LINE, "Ada", &[run(0, Some(0)), run(usize::MAX, Some(0)), run(2, None)], 3);
        assert_eq!(names(&voiced), [("Ada, voice 1", 3)]);
        let voiced = speakers.voiced(LINE, "Ada", &[run(1, Some(0))], 3);
        assert_eq!(names(&voiced), [("Ada, voice 1", 1), ("unknown", 2)]);
        assert!(speakers.voiced(LINE, "Ada", &[], 3).is_empty(), "nobody told voices apart");
    }

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        for (id, text) in [
            (SpeakerId { participant: LINE, voice: None }, "p3"),
            (SpeakerId { participant: LINE, voice: Some(VoiceId(0)) }, "p3.1"),
            (SpeakerId { participant: LINE, voice: Some(VoiceId(41)) }, "p3.42"),
        ] {
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse::<SpeakerId>(), Ok(id));
        }
        for bad in ["", "p3.", "p3.0", "p3.-1", "p3.1.2", "3.1", "p3.99999999"] {
            assert_eq!(bad.parse::<SpeakerId>(), Err(NoSpeakerId), "{bad}");
        }
    }
}
