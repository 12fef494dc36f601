//! A Piper voice's JSON: its rate, the numbers of its sounds, its scales, its speakers. Read, judged, never trusted.
//!
//! Pure: text in, a [`Config`] or one line about what is wrong with it out. Source: the `.onnx.json` files of
//! rhasspy/piper-voices.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::voice::Language;

/// The largest file: those of the published voices have some kilobytes, with hundreds of speakers a hundred.
const BYTES_MAX: usize = 1 << 20;

/// More than the largest of the published voices have.
const SPEAKERS_MAX: i64 = 10_000;
const SYMBOLS_MAX: i64 = 4_096;

/// What a voice is.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The rate of what it makes.
    pub rate_hz: u32,
    /// By whose rules its words sound.
    pub language: Language,
    /// How much it varies: of the sound, and of the length of sounds.
    pub(super) noise: f32,
    pub(super) noise_w: f32,
    /// How long its sounds are; larger is slower.
    pub(super) length: f32,
    /// Whether it wants a speaker's number.
    pub(super) has_speakers: bool,
    speakers: BTreeMap<String, i64>,
    symbols: BTreeMap<char, Vec<i64>>,
}

/// What is wrong with a voice's JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(String);

impl Wrong {
    pub(super) fn no_network() -> Self {
        Self("there is nothing that makes its sound".to_owned())
    }
}

#[derive(Deserialize)]
struct Wire {
    audio: Audio,
    espeak: Option<Espeak>,
    #[serde(default)]
    inference: Inference,
    phoneme_type: Option<String>,
    phoneme_id_map: BTreeMap<String, Vec<i64>>,
    num_symbols: Option<i64>,
    num_speakers: Option<i64>,
    #[serde(default)]
    speaker_id_map: BTreeMap<String, i64>,
}

#[derive(Deserialize)]
struct Audio {
    sample_rate: u32,
}

#[derive(Deserialize)]
struct Espeak {
    voice: String,
}

#[derive(Deserialize)]
#[serde(default)]
struct Inference {
    noise_scale: f32,
    length_scale: f32,
    noise_w: f32,
}

impl Default for Inference {
    fn default() -> Self {
        Self { noise_scale: 0.667, length_scale: 1.0, noise_w: 0.8 }
    }
}

impl Config {
    /// Reads a voice's JSON.
    ///
    /// # Errors
    /// [`Wrong`], in one line.
    pub fn parse(json: &[u8]) -> Result<Self, Wrong> {
        let wrong = |why: String| Wrong(why);
        if json.len() > BYTES_MAX {
            return Err(wrong(format!("{} bytes are more than any voice's JSON has", json.len())));
        }
        let wire: Wire =
            serde_json::from_slice(json).map_err(|error| wrong(format!("it is no JSON of a Piper voice: {error}")))?;
        if !(8_000..=48_000).contains(&wire.audio.sample_rate) {
            return Err(wrong(format!("a rate of {} Hz", wire.audio.sample_rate)));
        }
        if let Some(kind) = wire.phoneme_type.as_deref().filter(|kind| *kind != "espeak") {
            let kind: String = kind.chars().take(40).collect();
            return Err(wrong(format!("its sounds are of the kind {kind:?}; only \"espeak\" is known here")));
        }
        let voice = wire.espeak.map_or_else(|| "en-us".to_owned(), |espeak| espeak.voice);
        let Some((language, _)) = Language::nearest(&voice) else {
            let voice: String = voice.chars().take(40).collect();
            return Err(wrong(format!("nobody here knows how {voice:?} sounds")));
        };
        let Inference { noise_scale, length_scale, noise_w } = wire.inference;
        for (name, value, range) in [
            ("noise_scale", noise_scale, 0.0..=2.0),
            ("length_scale", length_scale, 0.1..=10.0),
            ("noise_w", noise_w, 0.0..=2.0),
        ] {
            if !range.contains(&value) {
                return Err(wrong(format!("{name} is {value}")));
            }
        }
        let speakers_count = wire.num_speakers.unwrap_or(1);
        if !(1..=SPEAKERS_MAX).contains(&speakers_count) {
            return Err(wrong(format!("{speakers_count} speakers")));
        }
        let is_speaker = |number: &i64| (0..speakers_count).contains(number);
        if !wire.speaker_id_map.values().all(is_speaker) {
            return Err(wrong("a speaker has a number that there is none of".to_owned()));
        }
        Ok(Self {
            rate_hz: wire.audio.sample_rate,
            language,
            noise: noise_scale,
            noise_w,
            length: length_scale,
            has_speakers: speakers_count > 1,
            speakers: wire.speaker_id_map,
            symbols: symbols(wire.phoneme_id_map, wire.num_symbols)?,
        })
    }

    /// The number of a speaker by name, or by the number itself; the first without either.
    ///
    /// # Errors
    /// [`Wrong`] when there is none of that name.
    pub fn speaker(&self, name: Option<&str>) -> Result<Option<i64>, Wrong> {
        if !self.has_speakers {
            return Ok(None);
        }
        let Some(name) = name else { return Ok(Some(0)) };
        let known = |number: &i64| self.speakers.is_empty() || self.speakers.values().any(|own| own == number);
        let by_number = || name.parse().ok().filter(|number| (0..SPEAKERS_MAX).contains(number) && known(number));
        let found = self.speakers.get(name).copied().or_else(by_number);
        let name: String = name.chars().take(40).collect();
        found.map(Some).ok_or_else(|| Wrong(format!("no speaker of it is called {name:?}")))
    }

    /// The numbers of a sound; nothing where the voice does not know it.
    pub(super) fn numbers(&self, sound: char) -> Option<&[i64]> {
        self.symbols.get(&sound).map(Vec::as_slice)
    }
}

/// The numbers of each sound; the three without which there is no sentence are among them.
fn symbols(map: BTreeMap<String, Vec<i64>>, count: Option<i64>) -> Result<BTreeMap<char, Vec<i64>>, Wrong> {
    let count = count.unwrap_or(SYMBOLS_MAX);
    if !(1..=SYMBOLS_MAX).contains(&count) {
        return Err(Wrong(format!("{count} symbols")));
    }
    let mut symbols = BTreeMap::new();
    for (key, numbers) in map {
        // A number beyond them would be read past the end of a table.
        if numbers.is_empty() || numbers.len() > 8 || !numbers.iter().all(|number| (0..count).contains(number)) {
            let key: String = key.chars().take(8).collect();
            return Err(Wrong(format!("the symbol {key:?} has numbers that there are none of")));
        }
        let mut chars = key.chars();
        // Sounds come one sign at a time, so longer keys are never asked for.
        if let (Some(sound), None) = (chars.next(), chars.next()) {
            symbols.insert(sound, numbers);
        }
    }
    for needed in ['^', '_', '$'] {
        if !symbols.contains_key(&needed) {
            return Err(Wrong(format!("it has no symbol {needed:?}")));
        }
    }
    Ok(symbols)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn usual() -> Value {
        json!({
            "audio": {"sample_rate": 22_050, "quality": "medium"},
            "espeak": {"voice": "de"},
            "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
            "phoneme_type": "espeak", "phoneme_map": {},
            "phoneme_id_map": {"_": [0], "^": [1], "$": [2], " ": [3], "a": [14], "ai": [15]},
            "num_symbols": 256, "num_speakers": 1, "speaker_id_map": {}, "piper_version": "1.0.0",
            "language": {"code": "de_DE"}
        })
    }

    fn with(change: impl FnOnce(&mut Value)) -> Result<Config, Wrong> {
        let mut value = usual();
        change(&mut value);
        Config::parse(value.to_string().as_bytes())
    }

    #[test]
    fn a_published_voice_is_read() {
        let config = with(|_| {}).unwrap();
        assert_eq!((config.rate_hz, config.language, config.has_speakers), (22_050, Language::GERMAN, false));
        assert_eq!((config.noise, config.length, config.noise_w), (0.667, 1.0, 0.8));
        assert_eq!((config.numbers('a'), config.numbers('b')), (Some(&[14][..]), None));
        assert_eq!(config.speaker(Some("anybody")), Ok(None));
    }

    #[test]
    fn speakers_are_found_by_name_and_by_number() {
        let config = with(|value| {
            value["num_speakers"] = 3.into();
            value["speaker_id_map"] = json!({"anna": 1, "2nd": 2});
        })
        .unwrap();
        assert_eq!(config.speaker(None), Ok(Some(0)));
        assert_eq!(config.speaker(Some("anna")), Ok(Some(1)));
        assert_eq!(config.speaker(Some("2")), Ok(Some(2)));
        assert!(config.speaker(Some("nobody")).is_err() && config.speaker(Some("7")).is_err());
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        /// What the line says, and what is wrong.
        type Case = (&'static str, fn(&mut Value));
        let cases: [Case; 9] = [
            ("Hz", |value| value["audio"]["sample_rate"] = 1.into()),
            ("\"text\"", |value| value["phoneme_type"] = "text".into()),
            ("nobody", |value| value["espeak"]["voice"] = "tlh".into()),
            ("length_scale", |value| value["inference"]["length_scale"] = 1e9.into()),
            ("speakers", |value| value["num_speakers"] = (1_i64 << 60).into()),
            ("speaker", |value| value["speaker_id_map"] = json!({"x": 5})),
            ("numbers", |value| value["phoneme_id_map"]["a"] = json!([-1])),
            ("numbers", |value| value["phoneme_id_map"]["a"] = json!([256])),
            ("no symbol '^'", |value| value["phoneme_id_map"] = json!({"_": [0], "$": [2]})),
        ];
        for (what, change) in cases {
            let error = with(change).unwrap_err().to_string();
            assert!(error.contains(what) && error.lines().count() == 1, "{what}: {error}");
        }
        for json in ["", "[]", "{}", "\u{0}", "{\"audio\":1}", &"[".repeat(100_000)] {
            let error = Config::parse(json.as_bytes()).unwrap_err().to_string();
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_file_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..600_usize, byte in any::<u8>()) {
            let _ = Config::parse(&bytes);
            let mut damaged = usual().to_string().into_bytes();
            let at = at % damaged.len();
            damaged[at] = byte;
            let _ = Config::parse(&damaged);
        }
    }
}
