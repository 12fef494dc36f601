//! What clients see of a room: one tagged, versioned enum, numbered by the room's log.
//!
//! Everything a client learns arrives as one JSON object with `v`, `seq`, `at_s`, `type` and the fields of
//! that type. Numbers of seconds count from the moment the room began. Values only: [`crate::room::Room`]
//! numbers and keeps them, the server writes them to sockets.

mod announced;
mod shape;
mod waterfall;

use std::{sync::Arc, time::Duration};

use asr::event::{LostWhy, Word};
use media::{
    id::ParticipantId,
    time::{MediaTime, Span},
};
use serde::{Deserialize, Serialize, Serializer};

pub use self::{shape::Shape, waterfall::Waterfall};
use crate::{
    answering::{AnsweredBy, Class, Why},
    note::{ActionItem, Decision, Question, Summary},
    participant::Kind,
    speakers::{SpeakerId, Voiced},
};

/// The version of the JSON shapes below; grows when a field changes its meaning, not when one is added.
pub const VERSION: u32 = 1;

/// One numbered entry of a room's log, as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Published {
    /// Always [`VERSION`].
    pub v: u32,
    /// Counts up from 1 within the room. Gaps are partial results that newer words have replaced, and
    /// speakers that were put right again.
    pub seq: u64,
    /// When it was published, on the room's timeline.
    #[serde(rename = "at_s", serialize_with = "seconds")]
    pub at: MediaTime,
    /// What happened.
    #[serde(flatten)]
    pub event: RoomEvent,
}

/// What can happen in a room.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type")]
pub enum RoomEvent {
    /// Somebody (or one channel of somebody's audio) came in.
    #[serde(rename = "participant.joined")]
    ParticipantJoined {
        /// Who.
        participant: ParticipantId,
        /// As they are called.
        name: Arc<str>,
        /// How they came.
        kind: Kind,
        /// Whether somebody listens to their words.
        is_transcribed: bool,
    },
    /// Somebody was muted or heard again, agreed to be recorded or took it back.
    #[serde(rename = "participant.updated")]
    ParticipantUpdated {
        /// Who.
        participant: ParticipantId,
        /// As they are called.
        name: Arc<str>,
        /// Whether nobody hears them.
        is_muted: bool,
        /// Whether they agreed to be recorded; `None` when nobody asked them.
        consent: Option<bool>,
    },
    /// Somebody went.
    #[serde(rename = "participant.left")]
    ParticipantLeft {
        /// Who.
        participant: ParticipantId,
        /// As they are called.
        name: Arc<str>,
    },
    /// Somebody began to speak.
    #[serde(rename = "speech.started")]
    SpeechStarted {
        /// Who.
        participant: ParticipantId,
        /// Counts the utterances of this participant.
        utterance: u64,
        /// Where the speech began.
        #[serde(rename = "start_s", serialize_with = "seconds")]
        start: MediaTime,
    },
    /// Somebody stopped speaking.
    #[serde(rename = "speech.ended")]
    SpeechEnded {
        /// Who.
        participant: ParticipantId,
        /// The utterance that ended.
        utterance: u64,
        /// Where the speech ended.
        #[serde(rename = "end_s", serialize_with = "seconds")]
        end: MediaTime,
    },
    /// Somebody paused, and this is how likely it is that they are done: the ears' number, not a decision.
    #[serde(rename = "turn.scored")]
    TurnScored {
        /// Who.
        participant: ParticipantId,
        /// The utterance that the pause is in, or that it ended.
        utterance: u64,
        /// 0 to 1.
        probability: f32,
        /// Where the speech before the pause ended.
        #[serde(rename = "end_s", serialize_with = "seconds")]
        end: MediaTime,
    },
    /// The words of an utterance so far; replaced by the next partial or the final of the same utterance.
    #[serde(rename = "transcript.partial")]
    TranscriptPartial {
        /// How many of the words will not change any more.
        stable_words: usize,
        /// Counts up from 1 within the utterance.
        revision: u32,
        /// The words.
        #[serde(flatten)]
        segment: Arc<Segment>,
    },
    /// The words of an utterance, settled.
    #[serde(rename = "transcript.final")]
    TranscriptFinal {
        /// The words.
        #[serde(flatten)]
        segment: Arc<Segment>,
    },
    /// It is known better who said the words of an utterance that is settled: this replaces its `speaker` and `voices`,
    /// and what an earlier one of the same utterance said of them.
    #[serde(rename = "transcript.relabelled")]
    TranscriptRelabelled {
        /// On whose line.
        participant: ParticipantId,
        /// Which utterance.
        utterance: u64,
        /// As whoever said all of it is called, else as the line is.
        speaker: Arc<str>,
        /// Who said which of its words, in their order.
        voices: Vec<Voiced>,
    },
    /// Words may have said what somebody is called, who is so far known by voice alone. Nothing follows from it until
    /// somebody says that it is so.
    #[serde(rename = "speaker.suggested")]
    SpeakerSuggested {
        /// On whose line.
        participant: ParticipantId,
        /// Who.
        speaker: SpeakerId,
        /// What they may be called.
        name: Arc<str>,
        /// The utterance that says so.
        utterance: u64,
        /// Its words that do.
        quote: Arc<str>,
        /// Where they were said.
        #[serde(flatten, serialize_with = "start_end")]
        span: Span,
    },
    /// Somebody said what one of several speakers on a line is called: everything that they said, and will say, is by
    /// that name.
    #[serde(rename = "speaker.named")]
    SpeakerNamed {
        /// On whose line.
        participant: ParticipantId,
        /// Who.
        speaker: SpeakerId,
        /// What they are called now.
        name: Arc<str>,
    },
    /// A stretch of audio went unheard.
    #[serde(rename = "transcript.lost")]
    TranscriptLost {
        /// Whose audio.
        participant: ParticipantId,
        /// Which stretch.
        #[serde(flatten, serialize_with = "start_end")]
        span: Span,
        /// Why.
        #[serde(serialize_with = "lost_why")]
        why: LostWhy,
    },
    /// Somebody pressed a key of a telephone.
    #[serde(rename = "dtmf")]
    Dtmf {
        /// Who.
        participant: ParticipantId,
        /// `0` to `9`, `*`, `#`, `A` to `D`.
        digit: char,
        /// When it went down.
        #[serde(rename = "start_s", serialize_with = "seconds")]
        start: MediaTime,
        /// How long it was held.
        #[serde(rename = "duration_ms", serialize_with = "millis")]
        duration: Duration,
    },
    /// A recording began.
    #[serde(rename = "recording.started")]
    RecordingStarted {
        /// Which.
        recording: Arc<str>,
    },
    /// A recording holds still: what is said now is not in it.
    #[serde(rename = "recording.paused")]
    RecordingPaused {
        /// Which.
        recording: Arc<str>,
    },
    /// A recording goes on.
    #[serde(rename = "recording.resumed")]
    RecordingResumed {
        /// Which.
        recording: Arc<str>,
    },
    /// A recording is over.
    #[serde(rename = "recording.ended")]
    RecordingEnded {
        /// Which.
        recording: Arc<str>,
        /// How it ended: `finished` or `failed`.
        state: Arc<str>,
        /// What went wrong, if something did.
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<Arc<str>>,
    },
    /// A file is being played to the room.
    #[serde(rename = "play.started")]
    PlayStarted {
        /// Which.
        play: Arc<str>,
        /// How long it is.
        #[serde(rename = "duration_s", serialize_with = "seconds")]
        duration: MediaTime,
    },
    /// A file is not played any more.
    #[serde(rename = "play.ended")]
    PlayEnded {
        /// Which.
        play: Arc<str>,
        /// Why.
        why: PlayEnd,
    },
    /// Words that somebody asked for are being said to the room.
    #[serde(rename = "say.started")]
    SayStarted {
        /// Which.
        say: Arc<str>,
    },
    /// They are not said any more.
    #[serde(rename = "say.ended")]
    SayEnded {
        /// Which.
        say: Arc<str>,
        /// Why.
        why: PlayEnd,
    },
    /// A telephone rings: somebody calls us, or we call somebody.
    #[serde(rename = "call.ringing")]
    CallRinging {
        /// The call.
        call: Arc<str>,
        /// Whether they call us.
        direction: Direction,
    },
    /// A telephone call was taken.
    #[serde(rename = "call.answered")]
    CallAnswered {
        /// The call.
        call: Arc<str>,
        /// Whether they called us.
        direction: Direction,
    },
    /// It was found out, or cannot be, who took a telephone call that we made.
    #[serde(rename = "call.answered_by")]
    CallAnsweredBy {
        /// The call.
        call: Arc<str>,
        /// `human`, `machine-ivr`, `machine-voicemail`, `unavailable` or `unsure`.
        who: Class,
        /// The same as Twilio's clients know it: `human`, `machine_end_beep`, …
        answered_by: AnsweredBy,
        /// What told.
        why: Why,
        /// How long after the answer.
        #[serde(rename = "after_ms", serialize_with = "millis")]
        after: Duration,
    },
    /// A telephone call is over.
    #[serde(rename = "call.ended")]
    CallEnded {
        /// The call.
        call: Arc<str>,
        /// Why, in a word or two: `completed`, `busy`, `no_answer`, `cancelled`, `failed`.
        why: Arc<str>,
        /// How long people could talk; zero where it was never answered.
        #[serde(rename = "duration_ms", serialize_with = "millis")]
        duration: Duration,
    },
    /// An agent decided that whoever it talks with has said what they wanted to say, and answers.
    #[serde(rename = "turn.ended")]
    TurnEnded {
        /// The agent.
        participant: ParticipantId,
        /// The turn that answers; counts up within the conversation.
        turn: u64,
        /// What they said: what is answered.
        text: Arc<str>,
        /// Why the turn is over, in a word or two.
        why: Arc<str>,
        /// How sure that is, 0 to 1; `None` where nobody scored it.
        #[serde(skip_serializing_if = "Option::is_none")]
        probability: Option<f32>,
        /// How long the agent waited after the last sound.
        #[serde(rename = "waited_ms", serialize_with = "millis")]
        waited: Duration,
    },
    /// The first sound of an agent's turn is heard.
    #[serde(rename = "bot.speaking")]
    BotSpeaking {
        /// The agent.
        participant: ParticipantId,
        /// Which turn.
        turn: u64,
        /// How long after the last sound of whoever it answers, or after the turn began.
        #[serde(rename = "after_ms", serialize_with = "millis")]
        after: Duration,
        /// Whether it is only a word to bridge a wait.
        is_filler: bool,
    },
    /// An agent's turn was heard to its end.
    #[serde(rename = "bot.spoke")]
    BotSpoke {
        /// The agent.
        participant: ParticipantId,
        /// Which turn.
        turn: u64,
        /// What was heard.
        text: Arc<str>,
        /// In which language, as BCP 47 has it.
        language: Arc<str>,
        /// When what happened on the way.
        #[serde(skip_serializing_if = "Option::is_none")]
        waterfall: Option<Waterfall>,
    },
    /// An agent was interrupted: what it had to say ends here.
    #[serde(rename = "bot.interrupted")]
    BotInterrupted {
        /// The agent.
        participant: ParticipantId,
        /// Which turn.
        turn: u64,
        /// What was heard.
        text: Arc<str>,
        /// What was ready to be said and was not heard.
        unheard: Arc<str>,
        /// How long after the interruption was noticed.
        #[serde(rename = "after_ms", serialize_with = "millis")]
        after: Duration,
        /// When what happened on the way.
        #[serde(skip_serializing_if = "Option::is_none")]
        waterfall: Option<Waterfall>,
    },
    /// What else an agent decided, or what failed: held still, went on, dropped a turn, bridged a wait, used a tool.
    #[serde(rename = "bot.trace")]
    BotTrace {
        /// The agent.
        participant: ParticipantId,
        /// Which turn, where it is about one.
        #[serde(skip_serializing_if = "Option::is_none")]
        turn: Option<u64>,
        /// What, in a word: `paused`, `resumed`, `dropped`, `bridged`, `tool`, `trouble`, …
        what: Arc<str>,
        /// Why, or more of it; never anybody's words.
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<Arc<str>>,
        /// How long it took.
        #[serde(rename = "after_ms", serialize_with = "millis")]
        after: Duration,
    },
    /// What the mouth of whoever speaks does from a moment on. It takes the place of all that was told of the same speaker
    /// from that moment on.
    #[serde(rename = "avatar.viseme")]
    AvatarViseme {
        /// The agent, where one speaks.
        #[serde(skip_serializing_if = "Option::is_none")]
        participant: Option<ParticipantId>,
        /// Its turn.
        #[serde(skip_serializing_if = "Option::is_none")]
        turn: Option<u64>,
        /// What is said, as in `say.started`, where somebody asked for it.
        #[serde(skip_serializing_if = "Option::is_none")]
        say: Option<Arc<str>>,
        /// The moment, on the room's timeline.
        #[serde(rename = "start_s", serialize_with = "seconds")]
        start: MediaTime,
        /// The shapes that it takes, in order; behind the last, and where there is none, it is at rest.
        visemes: Vec<Shape>,
    },
    /// An agent wrote something down for later.
    #[serde(rename = "note.taken")]
    NoteTaken {
        /// The agent.
        participant: ParticipantId,
        /// What.
        text: Arc<str>,
        /// When somebody is to be reminded of it, in local time.
        #[serde(skip_serializing_if = "Option::is_none")]
        due: Option<Arc<str>>,
    },
    /// Somebody took something on.
    #[serde(rename = "action_item.created")]
    ActionItemCreated {
        /// The item.
        #[serde(flatten)]
        item: Arc<ActionItem>,
    },
    /// Later words changed an item: its owner, its date, or how it stands.
    #[serde(rename = "action_item.updated")]
    ActionItemUpdated {
        /// The item as it is now.
        #[serde(flatten)]
        item: Arc<ActionItem>,
    },
    /// The room decided something.
    #[serde(rename = "decision.noted")]
    DecisionNoted {
        /// The decision.
        #[serde(flatten)]
        decision: Arc<Decision>,
    },
    /// Somebody asked something; published again, under the same id, once it is answered.
    #[serde(rename = "question.asked")]
    QuestionAsked {
        /// The question.
        #[serde(flatten)]
        question: Arc<Question>,
    },
    /// A summary of the room so far.
    #[serde(rename = "summary.ready")]
    SummaryReady {
        /// The summary.
        #[serde(flatten)]
        summary: Arc<Summary>,
    },
}

/// Who began a telephone call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// They called us.
    Inbound,
    /// We called them.
    Outbound,
}

/// Why a file is not played any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlayEnd {
    /// All of it has been heard.
    Finished,
    /// Somebody stopped it.
    Stopped,
    /// Another took its place.
    Replaced,
    /// It could not be read to its end.
    Failed,
}

/// What one participant said in one utterance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Segment {
    /// Who.
    pub participant: ParticipantId,
    /// As they are called.
    pub speaker: Arc<str>,
    /// Counts the utterances of this participant.
    pub utterance: u64,
    /// The words joined by spaces.
    pub text: String,
    /// Each word with its time on the room's timeline.
    #[serde(serialize_with = "words")]
    pub words: Vec<Word>,
    /// The audio they were heard in.
    #[serde(flatten, serialize_with = "start_end")]
    pub span: Span,
    /// The language (ISO 639-1) where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Who said which of the words, in their order, where several people may be on the line and their voices are told
    /// apart: together all words. Empty elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub voices: Vec<Voiced>,
}

impl Segment {
    /// Says who said the words: the speaker is whoever said all of them, else the line stays.
    pub(crate) fn attribute(&mut self, line: &Arc<str>, voices: Vec<Voiced>) {
        self.speaker = sole_speaker(&voices).unwrap_or(line).clone();
        self.voices = voices;
    }

    /// The stretches of its words, each with whoever said it; none where voices are not told apart.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (&Voiced, &[Word])> {
        let mut rest = self.words.as_slice();
        self.voices.iter().filter_map(move |voiced| {
            let (run, after) = rest.split_at(voiced.words.min(rest.len()));
            rest = after;
            (!run.is_empty()).then_some((voiced, run))
        })
    }

    /// Itself where one person spoke, else a part for each stretch of one speaker.
    pub fn by_speaker(&self) -> Vec<Self> {
        if self.voices.len() < 2 {
            return vec![self.clone()];
        }
        let mut parts: Vec<Self> = self
            .runs()
            .map(|(voiced, words)| Self {
                participant: self.participant,
                speaker: voiced.name.clone(),
                utterance: self.utterance,
                text: asr::event::text(words),
                words: words.to_vec(),
                span: span_of(words),
                language: self.language.clone(),
                voices: vec![voiced.clone()],
            })
            .collect();
        // The silence at the edges stays where it was.
        if let Some(first) = parts.first_mut() {
            first.span = Span::new(self.span.start, first.span.end);
        }
        if let Some(last) = parts.last_mut() {
            last.span = Span::new(last.span.start, self.span.end);
        }
        parts
    }
}

/// The name of whoever said everything, where one known voice did.
fn sole_speaker(voices: &[Voiced]) -> Option<&Arc<str>> {
    let first = voices.first()?;
    let is_sole = first.speaker.is_some() && voices.iter().all(|voiced| voiced.speaker == first.speaker);
    is_sole.then_some(&first.name)
}

/// From the start of the first word to the end of the last.
pub(crate) fn span_of(words: &[Word]) -> Span {
    match (words.first(), words.last()) {
        (Some(first), Some(last)) => Span::new(first.span.start, last.span.end),
        _ => Span::default(),
    }
}

fn seconds<S: Serializer>(at: &MediaTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(rounded(*at))
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

pub(crate) fn start_end<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct StartEnd {
        start_s: f64,
        end_s: f64,
    }
    StartEnd { start_s: rounded(span.start), end_s: rounded(span.end) }.serialize(serializer)
}

fn words<S: Serializer>(words: &[Word], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct WireWord<'a> {
        word: &'a str,
        start_s: f64,
        end_s: f64,
        confidence: f32,
    }
    serializer.collect_seq(words.iter().map(|word| WireWord {
        word: &word.text,
        start_s: rounded(word.span.start),
        end_s: rounded(word.span.end),
        confidence: (word.confidence * 1_000.0).round() / 1_000.0,
    }))
}

fn lost_why<S: Serializer>(why: &LostWhy, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match why {
        LostWhy::Overload => "overload",
        LostWhy::Recognizer => "recognizer",
    })
}

/// Whole milliseconds: finer digits are noise to a reader and cost bytes on every word.
pub(crate) fn rounded(at: MediaTime) -> f64 {
    at.as_millis() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use tts::viseme::Viseme;

    use super::*;

    #[test]
    fn an_event_is_one_flat_object_with_its_number_time_type_and_version() {
        let at = MediaTime::from_millis(1_500);
        let span = Span::new(MediaTime::from_millis(250), MediaTime::from_millis(1_250));
        let segment = Segment {
            participant: ParticipantId(2),
            speaker: "Ada".into(),
            utterance: 3,
            text: "Hello.".into(),
            words: vec![Word { text: "Hello.".into(), span, confidence: 0.9 }],
            span,
            language: Some("en".into()),
            voices: Vec::new(),
        };
        let event = RoomEvent::TranscriptFinal { segment: Arc::new(segment) };
        let json = serde_json::to_value(Published { v: VERSION, seq: 7, at, event }).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "v": 1, "seq": 7, "at_s": 1.5, "type": "transcript.final", "participant": "p2", "speaker": "Ada",
                "utterance": 3, "text": "Hello.", "start_s": 0.25, "end_s": 1.25, "language": "en",
                "words": [{"word": "Hello.", "start_s": 0.25, "end_s": 1.25, "confidence": 0.9_f32}],
            })
        );
    }

    #[test]
    fn keys_plays_and_recordings_read_on_the_wire_as_documented() {
        let wire = |event| serde_json::to_value::<RoomEvent>(event).unwrap();
        let start = MediaTime::from_millis(1_500);
        assert_eq!(
            wire(RoomEvent::Dtmf {
                participant: ParticipantId(1),
                digit: '#',
                start,
                duration: Duration::from_millis(120)
            }),
            serde_json::json!({"type": "dtmf", "participant": "p1", "digit": "#", "start_s": 1.5, "duration_ms": 120})
        );
        assert_eq!(
            wire(RoomEvent::PlayStarted { play: "play1".into(), duration: start }),
            serde_json::json!({"type": "play.started", "play": "play1", "duration_s": 1.5})
        );
        assert_eq!(
            wire(RoomEvent::PlayEnded { play: "play1".into(), why: PlayEnd::Replaced }),
            serde_json::json!({"type": "play.ended", "play": "play1", "why": "replaced"})
        );
        let ms = Duration::from_millis;
        let shapes = vec![Shape { viseme: Viseme::Pp, at: ms(0), duration: ms(80) }];
        assert_eq!(
            wire(RoomEvent::AvatarViseme {
                participant: Some(ParticipantId(2)),
                turn: Some(3),
                say: None,
                start,
                visemes: shapes
            }),
            serde_json::json!({
                "type": "avatar.viseme", "participant": "p2", "turn": 3, "start_s": 1.5,
                "visemes": [{"viseme": "PP", "at_ms": 0, "duration_ms": 80}],
            })
        );
        assert_eq!(
            wire(RoomEvent::RecordingEnded { recording: "rec1".into(), state: "finished".into(), why: None }),
            serde_json::json!({"type": "recording.ended", "recording": "rec1", "state": "finished"})
        );
    }

    #[test]
    fn who_said_what_on_a_shared_line_reads_on_the_wire_as_documented() {
        let participant = ParticipantId(2);
        let speaker = SpeakerId { participant, voice: Some(asr::diarize::VoiceId(0)) };
        let named_by = crate::speakers::NamedBy::Voice;
        let voiced =
            Voiced { speaker: Some(speaker), name: "Ada, voice 1".into(), named_by, words: 3, confidence: 0.87 };
        let voices = vec![voiced];
        let event =
            RoomEvent::TranscriptRelabelled { participant, utterance: 4, speaker: "Ada, voice 1".into(), voices };
        assert_eq!(
            serde_json::to_value(event).unwrap(),
            serde_json::json!({
                "type": "transcript.relabelled", "participant": "p2", "utterance": 4, "speaker": "Ada, voice 1",
                "voices": [{
                    "speaker": "p2.1", "name": "Ada, voice 1", "named_by": "voice", "words": 3, "confidence": 0.87_f32,
                }],
            })
        );
        let span = Span::new(MediaTime::from_millis(1_000), MediaTime::from_millis(1_500));
        let (name, quote) = ("Jonas".into(), "this is Jonas.".into());
        let event = RoomEvent::SpeakerSuggested { participant, speaker, name, utterance: 4, quote, span };
        assert_eq!(
            serde_json::to_value(event).unwrap(),
            serde_json::json!({
                "type": "speaker.suggested", "participant": "p2", "speaker": "p2.1", "name": "Jonas", "utterance": 4,
                "quote": "this is Jonas.", "start_s": 1.0, "end_s": 1.5,
            })
        );
    }

    #[test]
    fn a_lost_stretch_says_where_and_why() {
        let span = Span::new(MediaTime::from_millis(1_000), MediaTime::from_millis(3_000));
        let event = RoomEvent::TranscriptLost { participant: ParticipantId(1), span, why: LostWhy::Overload };
        let json = serde_json::to_value(event).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"type": "transcript.lost", "participant": "p1", "start_s": 1.0, "end_s": 3.0, "why": "overload"})
        );
    }
}
