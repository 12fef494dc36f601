//! What somebody says, turn by turn, in the words of this dialect: [`bot::turn`] decides, here is what it is called. Pure.
//!
//! Told what the ears hear and how much of the audio has been taken in, which is the only clock: a stream that stands
//! still has no silence.

use asr::event::{self, Event, Word};
use bot::turn::{Input, Output, Said, Turns};
use media::time::MediaTime;
use serde::Serialize;

use super::query::Thresholds;
use crate::dialect::deepgram::message::seconds;

/// The state of a turn.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Info {
    pub(super) event: Change,
    pub(super) turn_index: u64,
    audio_window_start: f64,
    audio_window_end: f64,
    pub(super) transcript: String,
    pub(super) words: Vec<Heard>,
    end_of_turn_confidence: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trigger: Option<Trigger>,
}

/// What happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Change {
    /// Its first words.
    StartOfTurn,
    /// Other words.
    Update,
    /// It is probably over.
    EagerEndOfTurn,
    /// It was not.
    TurnResumed,
    /// It is over.
    EndOfTurn,
}

/// What ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Trigger {
    /// What was said, how, and the silence behind it.
    Model,
    /// The longest silence that the client allows.
    Timeout,
    /// The client.
    Manual,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Heard {
    pub(super) word: String,
    confidence: f64,
    start: f64,
    end: f64,
}

/// One speaker, turn by turn.
pub(super) struct Talk {
    turns: Turns,
    thresholds: Thresholds,
    said: Said,
    index: u64,
    has_begun: bool,
    /// Where the turn before this one ended.
    since: MediaTime,
    /// What the end-of-turn model says of the silence at present.
    score: Option<f32>,
    eager: Eager,
}

/// Whether it was told that the turn is probably over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Eager {
    No,
    /// Once the model thinks so, too.
    Pending,
    Told,
}

impl Talk {
    pub(super) fn new(thresholds: Thresholds) -> Self {
        Self {
            turns: Turns::new(thresholds.manners(), MediaTime::ZERO),
            thresholds,
            said: Said::default(),
            index: 0,
            has_begun: false,
            since: MediaTime::ZERO,
            score: None,
            eager: Eager::No,
        }
    }

    pub(super) fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// Other thresholds from now on.
    pub(super) fn change(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
        self.turns.behave(thresholds.manners());
    }

    /// Whether time alone may end the turn.
    pub(super) fn is_waiting(&self) -> bool {
        self.turns.due().is_some()
    }

    /// Takes what the ears heard.
    pub(super) fn hear(&mut self, event: &Event, now: MediaTime) -> Vec<Info> {
        match event {
            Event::SpeechStarted { .. } => self.score = None,
            Event::TurnEnded { probability, .. } if probability.is_finite() => {
                self.score = Some(probability.clamp(0.0, 1.0));
            }
            _ => {}
        }
        let before = self.said.text();
        let has_changed = self.said.hear(event) && self.said.text() != before;
        self.turns.handle(Input::Ears(event), now);
        self.follow(has_changed, now)
    }

    /// So much audio has been taken in.
    pub(super) fn tick(&mut self, now: MediaTime) -> Vec<Info> {
        self.turns.handle(Input::Tick, now);
        self.follow(false, now)
    }

    /// The client ends the turn, or the stream does.
    pub(super) fn end(&mut self, now: MediaTime) -> Option<Info> {
        self.turns.take(now);
        let is_on = self.has_begun || !self.said.is_empty();
        is_on.then(|| self.over(Trigger::Manual, self.score, now))
    }

    fn follow(&mut self, has_changed: bool, now: MediaTime) -> Vec<Info> {
        let outputs: Vec<Output> = std::iter::from_fn(|| self.turns.poll()).collect();
        let mut told = Vec::new();
        // Whoever prepares an answer drops it before they read on.
        if outputs.contains(&Output::Discard) && std::mem::replace(&mut self.eager, Eager::No) == Eager::Told {
            told.push(self.info(Change::TurnResumed, None, 0.0, now));
        }
        if has_changed && (self.has_begun || !self.said.is_empty()) {
            let change = if self.has_begun { Change::Update } else { Change::StartOfTurn };
            self.has_begun = true;
            told.push(self.info(change, None, self.score.unwrap_or(0.0), now));
        }
        for output in outputs {
            match output {
                Output::Prepare { .. } => self.eager = Eager::Pending,
                Output::Ended(ended) => {
                    let is_late = ended.silence.as_millis() >= u128::from(self.thresholds.timeout_ms);
                    let trigger = if is_late { Trigger::Timeout } else { Trigger::Model };
                    told.push(self.over(trigger, ended.probability, now));
                }
                // A breath of somebody who thinks is no turn to answer, but the client knows that it began.
                Output::NotTaken { .. } if self.has_begun => told.push(self.over(Trigger::Model, None, now)),
                // Nobody else has the floor here.
                Output::Discard
                | Output::NotTaken { .. }
                | Output::Pause
                | Output::Resume { .. }
                | Output::Interrupt { .. }
                | Output::Idle { .. }
                | Output::GiveUp => {}
            }
        }
        let is_likely = |eager: f32| self.score.is_none_or(|score| score >= eager);
        if self.eager == Eager::Pending && self.thresholds.eager.is_some_and(is_likely) {
            self.eager = Eager::Told;
            let confidence = self.score.or(self.thresholds.eager).unwrap_or_default();
            told.push(self.info(Change::EagerEndOfTurn, None, confidence, now));
        }
        told
    }

    fn over(&mut self, trigger: Trigger, probability: Option<f32>, now: MediaTime) -> Info {
        // Where no model scores ends, being decided is as sure as was asked for.
        let info = self.info(Change::EndOfTurn, Some(trigger), probability.unwrap_or(self.thresholds.end), now);
        self.said.take();
        self.index += 1;
        (self.has_begun, self.since, self.score, self.eager) = (false, now, None, Eager::No);
        info
    }

    fn info(&self, event: Change, trigger: Option<Trigger>, confidence: f32, now: MediaTime) -> Info {
        let words = self.said.words();
        Info {
            event,
            turn_index: self.index,
            audio_window_start: seconds(self.since),
            audio_window_end: seconds(now.max(self.since)),
            transcript: event::text(&words),
            words: words.into_iter().map(Heard::from).collect(),
            end_of_turn_confidence: share(confidence),
            trigger,
        }
    }
}

impl From<Word> for Heard {
    fn from(word: Word) -> Self {
        Self {
            confidence: share(word.confidence),
            start: seconds(word.span.start),
            end: seconds(word.span.end),
            word: word.text,
        }
    }
}

/// To four digits, as a person reads it.
fn share(of_one: f32) -> f64 {
    (f64::from(of_one) * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use asr::event::{Cut, UtteranceId};
    use media::time::Span;

    use super::*;

    fn ms(ms: u64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    fn words(text: &str) -> Vec<Word> {
        let word = |text: &str| Word { text: text.to_owned(), span: Span::default(), confidence: 0.9 };
        text.split_whitespace().map(word).collect()
    }

    fn started(utterance: u64, at: u64) -> Event {
        Event::SpeechStarted { utterance: UtteranceId(utterance), at: ms(at) }
    }

    fn ended(utterance: u64, at: u64) -> Event {
        Event::SpeechEnded { utterance: UtteranceId(utterance), at: ms(at) }
    }

    fn partial(utterance: u64, text: &str) -> Event {
        Event::Partial {
            utterance: UtteranceId(utterance),
            revision: 1,
            stable_words: 0,
            words: words(text),
            span: Span::default(),
        }
    }

    fn final_of(utterance: u64, text: &str) -> Event {
        Event::Final {
            utterance: UtteranceId(utterance),
            words: words(text),
            span: Span::default(),
            cut: Cut::Pause,
            language: None,
            voices: Vec::new(),
        }
    }

    fn scored(utterance: u64, probability: f32, at: u64) -> Event {
        Event::TurnEnded { utterance: UtteranceId(utterance), probability, at: ms(at) }
    }

    /// A stream for tests.
    struct Stream {
        talk: Talk,
        now: u64,
        told: Vec<Info>,
    }

    impl Stream {
        fn new(eager: Option<f32>) -> Self {
            let talk = Talk::new(Thresholds { eager, ..Thresholds::default() });
            Self { talk, now: 0, told: Vec::new() }
        }

        fn hear(&mut self, at: u64, event: &Event) -> &mut Self {
            self.pass(at);
            self.told.extend(self.talk.hear(event, ms(at)));
            self
        }

        fn pass(&mut self, until: u64) -> &mut Self {
            while self.now + 20 <= until {
                self.now += 20;
                self.told.extend(self.talk.tick(ms(self.now)));
            }
            self
        }

        fn told(&mut self) -> Vec<String> {
            let word = |info: Info| format!("{} {:?} {}", info.turn_index, info.event, info.transcript);
            std::mem::take(&mut self.told).into_iter().map(word).collect()
        }
    }

    #[test]
    fn a_turn_begins_with_its_first_words_and_ends_by_its_silence() {
        let mut stream = Stream::new(None);
        stream.hear(100, &started(0, 40));
        assert!(stream.told().is_empty(), "a sound is no turn");
        stream.hear(500, &partial(0, "Is it")).hear(600, &partial(0, "Is it")).hear(900, &partial(0, "Is it open?"));
        stream.hear(1_200, &ended(0, 1_000)).hear(1_300, &final_of(0, "Is it open?")).pass(3_000);
        assert_eq!(stream.told(), ["0 StartOfTurn Is it", "0 Update Is it open?", "0 EndOfTurn Is it open?"]);
        stream.hear(4_000, &started(1, 3_900)).hear(4_300, &partial(1, "Hello?"));
        assert_eq!(stream.told(), ["1 StartOfTurn Hello?"]);
    }

    #[test]
    fn an_end_that_is_likely_is_told_and_taken_back_when_it_was_none() {
        let mut stream = Stream::new(Some(0.4));
        stream.hear(100, &started(0, 40)).hear(500, &partial(0, "I would like to see the doctor."));
        stream.hear(1_150, &ended(0, 1_000)).hear(1_160, &scored(0, 0.5, 1_000));
        stream.hear(1_180, &final_of(0, "I would like to see the doctor."));
        assert_eq!(
            stream.told(),
            ["0 StartOfTurn I would like to see the doctor.", "0 EagerEndOfTurn I would like to see the doctor.",]
        );
        stream.hear(1_400, &started(1, 1_350));
        assert_eq!(stream.told(), ["0 TurnResumed I would like to see the doctor."]);
        stream.hear(1_700, &partial(1, "On Monday."));
        stream
            .hear(2_200, &ended(1, 2_000))
            .hear(2_210, &scored(1, 0.9, 2_000))
            .hear(2_220, &final_of(1, "On Monday."));
        stream.pass(4_000);
        let told = stream.told();
        assert_eq!(told[0], "0 Update I would like to see the doctor. On Monday.");
        assert_eq!(told.last().map(String::as_str), Some("0 EndOfTurn I would like to see the doctor. On Monday."));
    }

    #[test]
    fn an_end_that_is_not_likely_is_not_told_beforehand() {
        let mut stream = Stream::new(Some(0.6));
        stream.hear(100, &started(0, 40)).hear(500, &partial(0, "I would like to see the doctor."));
        stream.hear(1_150, &scored(0, 0.2, 1_000)).hear(1_160, &ended(0, 1_000));
        stream.hear(1_180, &final_of(0, "I would like to see the doctor.")).pass(5_000);
        let told = stream.told();
        assert!(!told.iter().any(|told| told.contains("Eager")), "{told:?}");
        assert!(told.last().is_some_and(|told| told.starts_with("0 EndOfTurn")));
    }

    #[test]
    fn a_client_ends_a_turn_and_nothing_of_it_comes_twice() {
        let mut stream = Stream::new(None);
        stream.hear(100, &started(0, 40)).hear(500, &partial(0, "One two"));
        let info = stream.talk.end(ms(600)).expect("there are words");
        assert_eq!((info.transcript.as_str(), info.trigger), ("One two", Some(Trigger::Manual)));
        assert_eq!(stream.talk.end(ms(620)), None);
        stream.told();
        stream.hear(900, &partial(0, "One two three"));
        stream.hear(1_200, &ended(0, 1_000)).hear(1_300, &final_of(0, "One two three four.")).pass(4_000);
        assert_eq!(stream.told(), ["1 StartOfTurn three", "1 Update three four.", "1 EndOfTurn three four."]);
    }

    #[test]
    fn the_wire_has_the_fields_of_the_public_service() {
        let mut stream = Stream::new(None);
        stream.hear(100, &started(0, 40)).hear(500, &partial(0, "Hello."));
        let info = serde_json::to_value(&stream.told[0]).unwrap();
        assert_eq!(
            info,
            serde_json::json!({
                "event": "StartOfTurn", "turn_index": 0, "audio_window_start": 0.0, "audio_window_end": 0.5,
                "transcript": "Hello.", "words": [{"word": "Hello.", "confidence": 0.9, "start": 0.0, "end": 0.0}],
                "end_of_turn_confidence": 0.0,
            })
        );
        let info = serde_json::to_value(stream.talk.end(ms(700)).unwrap()).unwrap();
        assert_eq!((&info["trigger"], &info["end_of_turn_confidence"]), (&"manual".into(), &0.7.into()));
    }
}
