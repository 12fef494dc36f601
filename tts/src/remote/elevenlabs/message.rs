//! ElevenLabs' messages: what is said to its `stream-input` socket, and what it answers. Pure.
//!
//! Source: ElevenLabs' API reference, "Text to Speech WebSocket". The times of letters are counted from the start of
//! the chunk that bears them. Field names differ between its documents and its servers: both spellings are read.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::json;

use crate::voice::Sentence;

/// What opens a conversation. A space is no text yet.
pub(super) fn hello(speed: f32) -> String {
    // What it takes; beyond that it refuses.
    let speed = f64::from((speed.clamp(0.7, 1.2) * 100.0).round()) / 100.0;
    json!({"text": " ", "voice_settings": {"speed": speed}}).to_string()
}

/// A text that is to be spoken at once. It wants a space behind it.
pub(super) fn text(text: &str) -> String {
    json!({"text": format!("{text} "), "flush": true}).to_string()
}

/// Nothing more will come.
pub(super) fn goodbye() -> String {
    json!({"text": ""}).to_string()
}

/// No letter begins later than this in any sentence; what is told beyond it is not believed.
const STARTS_MS_MAX: f64 = 120_000.0;

/// What it answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answer {
    /// Samples, 16 bits each.
    pub(super) sound: Vec<u8>,
    /// The letters of the sound, and when each begins, in milliseconds from its start.
    pub(super) letters: Vec<(String, u64)>,
    pub(super) is_final: bool,
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// It says so itself, by a name such as `quota_exceeded`.
    Refused(String),
    /// It cannot be read.
    Unreadable,
}

#[derive(Deserialize)]
struct Wire {
    audio: Option<String>,
    alignment: Option<Alignment>,
    #[serde(rename = "isFinal", alias = "is_final")]
    is_final: Option<bool>,
    error: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Alignment {
    #[serde(alias = "characters", default)]
    chars: Vec<String>,
    #[serde(rename = "charStartTimesMs", alias = "char_start_times_ms", default)]
    starts_ms: Vec<f64>,
}

impl Answer {
    /// Reads a message.
    pub(super) fn read(text: &str) -> Result<Self, Bad> {
        let wire: Wire = serde_json::from_str(text).map_err(|_| Bad::Unreadable)?;
        if let Some(error) = wire.error.or_else(|| wire.audio.is_none().then_some(wire.message).flatten()) {
            return Err(Bad::Refused(error));
        }
        let sound = wire.audio.map(|audio| BASE64_STANDARD.decode(audio).map_err(|_| Bad::Unreadable));
        let letters = wire.alignment.map(|Alignment { chars, starts_ms }| {
            chars.into_iter().zip(starts_ms.into_iter().map(|ms| ms.clamp(0.0, STARTS_MS_MAX) as u64)).collect()
        });
        Ok(Self {
            sound: sound.transpose()?.unwrap_or_default(),
            letters: letters.unwrap_or_default(),
            is_final: wire.is_final == Some(true),
        })
    }
}

/// What kind of trouble a refusal is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Key,
    Busy,
    Asked,
    Theirs,
}

/// Sorts a refusal; names are its own words and are not shown.
pub(super) fn fault(name: &str) -> Fault {
    let name = name.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if has(&["api_key", "api key", "auth", "permission"]) {
        Fault::Key
    } else if has(&["quota", "rate_limit", "too_many", "concurrent", "busy", "payment"]) {
        Fault::Busy
    } else if has(&["voice", "model", "invalid", "not_found", "format"]) {
        Fault::Asked
    } else {
        Fault::Theirs
    }
}

/// Where words begin, followed by the letters that come: white space is counted by neither side, since each side
/// treats it in its own way.
pub(super) struct Follower {
    /// Letters before each word.
    starts: Vec<usize>,
    next: usize,
    letters: usize,
}

impl Follower {
    /// Follows the words of `sentence`, as [`Sentence::spoken`] writes them.
    pub(super) fn new(sentence: &Sentence) -> Self {
        let mut letters = 0;
        let starts = sentence
            .words
            .iter()
            .map(|word| {
                let start = letters;
                letters += count(&word.spoken);
                start
            })
            .collect();
        Self { starts, next: 0, letters: 0 }
    }

    /// A letter comes; the words that begin with it.
    pub(super) fn on(&mut self, letter: &str) -> std::ops::Range<usize> {
        let count = count(letter);
        let first = self.next;
        if count > 0 {
            while self.starts.get(self.next).is_some_and(|start| *start <= self.letters) {
                self.next += 1;
            }
            self.letters += count;
        }
        first..self.next
    }
}

fn count(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::voice::{How, VoiceId, Word};

    fn sentence(words: &[&str]) -> Sentence {
        let word = |text: &&str| Word { written: String::new(), spoken: (*text).to_owned(), how: How::default() };
        Sentence { voice: VoiceId::default(), words: words.iter().map(word).collect() }
    }

    #[test]
    fn what_is_said_is_what_the_socket_wants() {
        let hello: Value = serde_json::from_str(&hello(3.0)).unwrap();
        assert_eq!(hello, json!({"text": " ", "voice_settings": {"speed": 1.2}}));
        let text: Value = serde_json::from_str(&text("Say \"hi\".")).unwrap();
        assert_eq!(text, json!({"text": "Say \"hi\". ", "flush": true}));
        assert_eq!(goodbye(), r#"{"text":""}"#);
    }

    #[test]
    fn both_spellings_of_an_answer_are_read() {
        for text in [
            r#"{"audio":"AQID","isFinal":null,"alignment":{"chars":["H","i"],"charStartTimesMs":[0,80],"charDurationsMs":[80,90]}}"#,
            r#"{"audio":"AQID","is_final":false,"alignment":{"characters":["H","i"],"char_start_times_ms":[0.0,80.4]},"x":1}"#,
        ] {
            let answer = Answer::read(text).unwrap();
            assert_eq!(answer.sound, [1, 2, 3]);
            assert_eq!(answer.letters, [("H".to_owned(), 0), ("i".to_owned(), 80)]);
            assert!(!answer.is_final);
        }
        assert!(Answer::read(r#"{"audio":null,"isFinal":true}"#).unwrap().is_final);
        let refused = Answer::read(r#"{"message":"…","error":"quota_exceeded","code":1008}"#);
        assert_eq!(refused, Err(Bad::Refused("quota_exceeded".to_owned())));
        assert_eq!(Answer::read(r#"{"audio":"%%"}"#), Err(Bad::Unreadable));
        assert_eq!(Answer::read("<html>"), Err(Bad::Unreadable));
    }

    #[test]
    fn a_letter_that_begins_beyond_any_sentence_begins_at_its_bounds() {
        let text = r#"{"audio":"","alignment":{"chars":["a","b","c"],"charStartTimesMs":[-5.5,1e300,120000.9]}}"#;
        let starts: Vec<u64> = Answer::read(text).unwrap().letters.into_iter().map(|(_, ms)| ms).collect();
        assert_eq!(starts, [0, 120_000, 120_000]);
    }

    #[test]
    fn refusals_are_sorted_by_whose_fault_they_are() {
        assert_eq!(fault("invalid_api_key"), Fault::Key);
        assert_eq!(fault("quota_exceeded"), Fault::Busy);
        assert_eq!(fault("voice_id_does_not_exist"), Fault::Asked);
        assert_eq!(fault("internal_server_error"), Fault::Theirs);
    }

    #[test]
    fn words_begin_with_their_first_letter_however_spaces_come() {
        let mut follower = Follower::new(&sentence(&["Guten", "", "Tag, Frau", "X."]));
        let mut begun = Vec::new();
        for (at, letter) in ["G", "u", "t", "e", "n", " ", " ", "T", "a", "g", ",", "F", "r", "a", "u", " ", "X", "."]
            .iter()
            .enumerate()
        {
            begun.extend(follower.on(letter).map(|word| (word, at)));
        }
        assert_eq!(begun, [(0, 0), (1, 7), (2, 7), (3, 16)]);
    }

    proptest! {
        #[test]
        fn no_message_panics_and_every_word_begins_once(text in "\\PC{0,80}", letters in prop::collection::vec("[ a-zé]{0,3}", 0..40)) {
            let _ = Answer::read(&text);
            let mut follower = Follower::new(&sentence(&["one", "two", "", "three"]));
            let begun: Vec<usize> = letters.iter().flat_map(|letter| follower.on(letter)).collect();
            prop_assert!(begun.iter().copied().eq(0..begun.len()));
        }
    }
}
