//! Collects what was heard and turns it into a transcript once the audio has ended.
//!
//! Pure. The brain hears the segments at the end and in the order in which they were spoken, since lanes of a
//! recording are recognized at their own speeds.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use asr::{event::LostWhy, recognizer::Info};
use bot::brain::{ActionItem, Brain, Heard, Input, ItemId, Output, Standing};
use media::{id::ParticipantId, time::MediaTime};

use super::{Job, TranscribeError, Voices, feed::Fed, readable, voices, why_lost};
use crate::transcript::{Lane, Segment, Speakers, Transcript};

/// What was heard so far.
pub(super) struct Collected {
    engine: Info,
    asked_language: Option<String>,
    speakers_asked: bool,
    each_channel: bool,
    call_date: jiff::civil::Date,
    speakers: Speakers,
    tells_voices: bool,
    /// Why voices are not told apart, as a part of a sentence.
    alike: String,
    /// Names of voices that are known.
    known: Vec<Arc<str>>,
    lanes: Vec<Lane>,
    lost: [(LostWhy, Duration); 2],
}

impl Collected {
    pub(super) fn new(engine: Info, job: &Job) -> Self {
        Self {
            engine,
            asked_language: job.hints.language.clone(),
            speakers_asked: job.speakers,
            each_channel: job.listen == media::ears::Listen::PerChannel,
            call_date: job.call_date,
            speakers: Speakers::Unasked,
            tells_voices: false,
            alike: match &job.voices {
                Voices::Alike(why) => why.to_string(),
                Voices::Told(_) => String::new(),
            },
            known: match &job.voices {
                Voices::Alike(_) => Vec::new(),
                Voices::Told(told) => told.names.clone(),
            },
            lanes: Vec::new(),
            lost: [(LostWhy::Overload, Duration::ZERO), (LostWhy::Recognizer, Duration::ZERO)],
        }
    }

    pub(super) fn with_lanes(mut self, lanes: usize, channels: u16, tells_voices: bool) -> Self {
        self.lanes = vec![Lane::default(); lanes];
        self.tells_voices = tells_voices;
        self.speakers = match (self.speakers_asked, self.each_channel && channels > 1) {
            (false, _) => Speakers::Unasked,
            (true, true) => Speakers::ByChannel,
            (true, false) => Speakers::Unknown,
        };
        self
    }

    pub(super) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    pub(super) fn speakers(&self) -> Speakers {
        self.speakers
    }

    pub(super) fn tells_voices(&self) -> bool {
        self.tells_voices
    }

    pub(super) fn segment(&mut self, segment: Segment) {
        self.lanes[segment.lane].segments.push(segment);
    }

    pub(super) fn lost(&mut self, duration: Duration, why: LostWhy) {
        for (known, sum) in &mut self.lost {
            if *known == why {
                *sum += duration;
            }
        }
    }

    /// The transcript of everything that was decoded. A recording that breaks off in the middle has one, with
    /// a warning.
    pub(super) fn finish(&mut self, fed: Fed) -> Result<Transcript, TranscribeError> {
        let mut warnings = Vec::new();
        match fed.failed {
            None => {}
            Some(TranscribeError::Media(error)) => {
                warnings.push(format!("the recording breaks off at {}: {error}", readable(fed.duration)));
            }
            Some(error) => return Err(error),
        }
        if fed.losses.truncated {
            warnings.push(format!("the recording is cut off: it ends at {}", readable(fed.duration)));
        }
        if fed.losses.damaged_packets > 0 {
            warnings.push(format!("{} damaged packets of the recording were left out", fed.losses.damaged_packets));
        }
        for (why, sum) in self.lost {
            if !sum.is_zero() {
                warnings.push(format!("{} of the audio went unheard: {}", readable(sum), why_lost(why)));
            }
        }
        let turns = match fed.turns {
            Some(Ok(turns)) => turns,
            Some(Err(error)) => {
                self.tells_voices = false;
                self.alike = error.to_string();
                Vec::new()
            }
            None => Vec::new(),
        };
        if self.tells_voices {
            let heard = self.lanes.pop().unwrap_or_default();
            self.speakers = Speakers::ByVoice { people: voices::people(&turns) };
            self.lanes = voices::by_voice(heard, &turns);
        } else if self.speakers == Speakers::Unknown {
            warnings.push(no_voices(&self.alike));
        }
        let mut transcript = Transcript {
            duration_s: fed.duration.as_secs_f64(),
            engine: self.engine.clone(),
            language: self.language(),
            speakers: self.speakers,
            lanes: std::mem::take(&mut self.lanes),
            known: if self.tells_voices { std::mem::take(&mut self.known) } else { Vec::new() },
            turns,
            action_items: Vec::new(),
            warnings,
        };
        transcript.action_items = action_items(&transcript, self.call_date);
        Ok(transcript)
    }

    /// The language of most words, else the one that was asked for, else the only one that the engine knows.
    fn language(&self) -> Option<String> {
        let mut words: BTreeMap<&str, usize> = BTreeMap::new();
        for segment in self.lanes.iter().flat_map(|lane| &lane.segments) {
            if let Some(language) = &segment.language {
                *words.entry(language).or_default() += segment.words.len();
            }
        }
        let most = words.into_iter().max_by_key(|(_, count)| *count).map(|(language, _)| language.to_owned());
        most.or_else(|| self.asked_language.clone()).or_else(|| match self.engine.languages.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        })
    }
}

/// What the built-in brain hears somebody take on.
fn action_items(transcript: &Transcript, call_date: jiff::civil::Date) -> Vec<ActionItem> {
    let mut brain = Brain::new(bot::brain::Config::new(call_date));
    let mut items: BTreeMap<ItemId, ActionItem> = BTreeMap::new();
    let mut hear = |input: Input, now: MediaTime| {
        brain.handle(input, now);
        while let Some(output) = brain.poll() {
            if let Output::Note(item) = output {
                items.insert(item.id, item);
            }
        }
    };
    let participant = |lane: usize| transcript.speakers.knows(lane).then_some(ParticipantId(lane as u64));
    for lane in 0..transcript.lanes.len() {
        if let Some(participant) = participant(lane) {
            hear(Input::Joined { participant, name: transcript.speaker(lane) }, MediaTime::ZERO);
        }
    }
    for segment in transcript.in_order() {
        let speaker = transcript.speakers.knows(segment.lane).then(|| transcript.speaker(segment.lane)).flatten();
        let heard = Heard {
            participant: participant(segment.lane),
            utterance: segment.utterance,
            speaker,
            words: segment.words.clone(),
            cut: segment.cut,
            language: segment.language.clone(),
        };
        hear(Input::Heard(heard), segment.span.end);
    }
    hear(Input::Ended, MediaTime::from_secs_f64(transcript.duration_s));
    let mut items: Vec<ActionItem> = items.into_values().filter(|item| item.standing != Standing::Declined).collect();
    items.sort_by_key(|item| item.span().start);
    items
}

/// Said when somebody asks who speaks, there is one channel, and voices are not told apart.
fn no_voices(why: &str) -> String {
    format!(
        "speakers cannot be told apart by their voices, only by channel: {why}; the recording is heard as one unknown \
         speaker"
    )
}

#[cfg(test)]
mod tests {
    use asr::recognizer;

    use super::*;
    use crate::{transcribe::Source, transcript::sample};

    /// One lane on which somebody was heard and voices were listened to.
    fn heard() -> Collected {
        let engine = sample::transcript(Speakers::Unknown, Vec::new()).engine;
        let day = jiff::civil::date(2026, 3, 2);
        let job = Job { speakers: true, ..Job::new(Source::Bytes(bytes::Bytes::new()), day) };
        let mut collected = Collected::new(engine, &job).with_lanes(1, 1, true);
        collected.segment(sample::segment(0, "Hello there.", 0));
        collected
    }

    #[test]
    fn voices_that_could_not_be_told_apart_cost_no_word() {
        let failed = Fed { turns: Some(Err(recognizer::Error::Engine("out of memory".into()))), ..Fed::default() };
        let transcript = heard().finish(failed).unwrap();
        assert_eq!((transcript.text().as_str(), transcript.speakers), ("Hello there.", Speakers::Unknown));
        let [warning] = transcript.warnings.as_slice() else { panic!("{:?}", transcript.warnings) };
        assert!(warning.contains("out of memory"), "{warning}");
    }

    #[test]
    fn a_recording_in_which_no_voice_was_found_keeps_its_words() {
        let transcript = heard().finish(Fed { turns: Some(Ok(Vec::new())), ..Fed::default() }).unwrap();
        assert_eq!(
            (transcript.text().as_str(), transcript.speakers),
            ("Hello there.", Speakers::ByVoice { people: 0 })
        );
        assert_eq!(transcript.speaker(0).as_deref(), Some("unknown"));
    }
}
