//! `[tts]`: who speaks, and who speaks which language.
//!
//! Without any of it espeak-ng speaks everything. One engine speaks what no language of `[[tts.languages]]` names; the
//! providers across the network have a section each, with what they share between languages.

use std::collections::BTreeSet;

use serde::Deserialize;
use tts::{secret::Secret, voice::Language};

/// `[tts]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tts {
    /// Who speaks what no language below is named for.
    pub engine: Mouth,
    /// Which of the engine's voices: a Piper voice (`de_DE-thorsten-medium`), or as the provider names it. espeak-ng
    /// chooses its own.
    pub voice: Option<String>,
    /// Which speaker of a Piper voice that has several, by name or number.
    pub speaker: Option<String>,
    /// Other voices for languages.
    pub languages: Vec<Part>,
    /// Whether espeak-ng says what another voice fails at.
    pub fallback: bool,
    /// Whether rooms are told what a mouth does while agents and `say` are heard. espeak-ng knows how words sound, which
    /// takes a thread some ten milliseconds of each sentence.
    pub visemes: bool,
    /// Threads that speak; 2 when not set, 16 where somebody across the network is waited for.
    pub workers: Option<usize>,
    /// OpenAI, or whoever has the same interface.
    pub openai: OpenAi,
    /// ElevenLabs.
    pub elevenlabs: ElevenLabs,
    /// Azure.
    pub azure: Azure,
}

/// One of `[[tts.languages]]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Such as `de` or `en-GB`; other regions of it are spoken alike.
    pub language: String,
    /// Who speaks it.
    pub engine: Mouth,
    /// As `tts.voice`.
    #[serde(default)]
    pub voice: Option<String>,
    /// As `tts.speaker`.
    #[serde(default)]
    pub speaker: Option<String>,
}

/// Who can speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mouth {
    /// The program of this machine that needs no model.
    #[default]
    Espeak,
    /// A model on this machine.
    Piper,
    /// OpenAI's interface.
    OpenAi,
    /// ElevenLabs.
    ElevenLabs,
    /// Azure.
    Azure,
}

impl Mouth {
    /// Whether it is across the network.
    pub fn is_remote(self) -> bool {
        matches!(self, Self::OpenAi | Self::ElevenLabs | Self::Azure)
    }
}

/// `[tts.openai]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenAi {
    /// The base of the interface.
    pub base_url: String,
    /// The key; a server of one's own mostly needs none.
    pub api_key: Secret,
    /// The model.
    pub model: String,
    /// How it is to speak, in words.
    pub instructions: Option<String>,
}

impl Default for OpenAi {
    fn default() -> Self {
        Self {
            base_url: OPENAI.to_owned(),
            api_key: Secret::default(),
            model: "gpt-4o-mini-tts".to_owned(),
            instructions: None,
        }
    }
}

/// `[tts.elevenlabs]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ElevenLabs {
    /// The base of the interface.
    pub base_url: String,
    /// The key.
    pub api_key: Secret,
    /// The model.
    pub model: String,
}

impl Default for ElevenLabs {
    fn default() -> Self {
        Self {
            base_url: "https://api.elevenlabs.io".to_owned(),
            api_key: Secret::default(),
            model: "eleven_flash_v2_5".to_owned(),
        }
    }
}

/// `[tts.azure]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Azure {
    /// The region, such as `westeurope`, or a whole URL.
    pub region: String,
    /// The key of the resource.
    pub api_key: Secret,
}

impl Default for Tts {
    fn default() -> Self {
        Self {
            engine: Mouth::Espeak,
            voice: None,
            speaker: None,
            languages: Vec::new(),
            fallback: true,
            visemes: false,
            workers: None,
            openai: OpenAi::default(),
            elevenlabs: ElevenLabs::default(),
            azure: Azure::default(),
        }
    }
}

impl Tts {
    /// Whether a model is loaded or a way into the network opened before anybody can speak.
    pub fn needs_loading(&self) -> bool {
        self.engines().any(|engine| engine != Mouth::Espeak)
    }

    /// Whether anybody is across the network.
    pub fn is_remote(&self) -> bool {
        self.engines().any(Mouth::is_remote)
    }

    /// Who speaks what no language is named for, as if it were one.
    pub fn rest(&self) -> Part {
        Part { language: String::new(), engine: self.engine, voice: self.voice.clone(), speaker: self.speaker.clone() }
    }

    fn engines(&self) -> impl Iterator<Item = Mouth> {
        self.languages.iter().map(|part| part.engine).chain([self.engine])
    }

    /// What makes no sense: the key, and why.
    pub(super) fn fault(&self) -> Option<(String, String)> {
        if self.workers == Some(0) {
            return Some(("tts.workers".to_owned(), "must be at least 1".to_owned()));
        }
        if let Some((key, why)) = self.part_fault(&self.rest()) {
            return Some((format!("tts.{key}"), why));
        }
        let mut spoken = BTreeSet::new();
        for (at, part) in self.languages.iter().enumerate() {
            let fault = match Language::nearest(&part.language) {
                None => Some(("language", format!("is none that is spoken here: {:?}", part.language))),
                Some((language, _)) if !spoken.insert(language) => {
                    Some(("language", format!("is named twice: {language}")))
                }
                Some(_) => self.part_fault(part),
            };
            if let Some((key, why)) = fault {
                let key =
                    if SECTIONS.contains(&key) { format!("tts.{key}") } else { format!("tts.languages[{at}].{key}") };
                return Some((key, why));
            }
        }
        None
    }

    fn part_fault(&self, part: &Part) -> Option<(&'static str, String)> {
        let must = |key, why: &str| Some((key, why.to_owned()));
        let has_voice = part.voice.as_deref().is_some_and(|voice| !voice.trim().is_empty());
        match part.engine {
            Mouth::Espeak if has_voice => {
                must("voice", "is chosen by espeak-ng itself: leave it out, or name an engine")
            }
            Mouth::Espeak if part.speaker.is_some() => must("speaker", "is for Piper's voices"),
            Mouth::Espeak => None,
            _ if !has_voice => must("voice", "must be set for this engine"),
            Mouth::Piper => None,
            _ if part.speaker.is_some() => must("speaker", "is for Piper's voices"),
            Mouth::OpenAi if self.openai.base_url == OPENAI && self.openai.api_key.is_empty() => {
                must("openai.api_key", "must be set for OpenAI")
            }
            Mouth::ElevenLabs if self.elevenlabs.api_key.is_empty() => must("elevenlabs.api_key", "must be set"),
            Mouth::Azure if self.azure.region.is_empty() => must("azure.region", "must be set, such as westeurope"),
            Mouth::Azure if self.azure.api_key.is_empty() => must("azure.api_key", "must be set"),
            Mouth::OpenAi | Mouth::ElevenLabs | Mouth::Azure => None,
        }
    }
}

/// Keys that belong to a section of their own, wherever they are missed.
const SECTIONS: [&str; 4] = ["openai.api_key", "elevenlabs.api_key", "azure.region", "azure.api_key"];

const OPENAI: &str = "https://api.openai.com/v1";

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Option<String> {
        let tts: Tts = toml::from_str(text).unwrap();
        tts.fault().map(|(key, why)| format!("{key} {why}"))
    }

    #[test]
    fn nothing_is_espeak_ng_and_needs_nothing() {
        let tts: Tts = toml::from_str("").unwrap();
        assert_eq!(tts, Tts::default());
        assert!(!tts.needs_loading() && tts.fallback && tts.fault().is_none());
    }

    #[test]
    fn an_engine_says_what_it_lacks() {
        for (text, what) in [
            ("workers = 0", "tts.workers"),
            ("voice = \"x\"", "tts.voice"),
            ("speaker = \"x\"", "tts.speaker"),
            ("engine = \"piper\"", "tts.voice"),
            ("engine = \"openai\"\nvoice = \"alloy\"", "tts.openai.api_key"),
            ("engine = \"elevenlabs\"\nvoice = \"x\"", "tts.elevenlabs.api_key"),
            ("engine = \"azure\"\nvoice = \"x\"", "tts.azure.region"),
            ("engine = \"azure\"\nvoice = \"x\"\nazure = { region = \"westeurope\" }", "tts.azure.api_key"),
            ("engine = \"azure\"\nvoice = \"x\"\nspeaker = \"y\"", "tts.speaker"),
            ("[[languages]]\nlanguage = \"tlh\"\nengine = \"espeak\"", "tts.languages[0].language"),
            ("[[languages]]\nlanguage = \"de\"\nengine = \"piper\"", "tts.languages[0].voice"),
            ("[[languages]]\nlanguage = \"de\"\nengine = \"espeak\"\nspeaker = \"x\"", "tts.languages[0].speaker"),
            (
                "[[languages]]\nlanguage = \"de\"\nengine = \"espeak\"\n[[languages]]\nlanguage = \"de-DE\"\nengine = \"espeak\"",
                "tts.languages[1].language",
            ),
            ("[[languages]]\nlanguage = \"de\"\nengine = \"azure\"\nvoice = \"x\"", "tts.azure.region"),
        ] {
            let fault = fault(text).unwrap_or_default();
            assert!(fault.starts_with(what) && fault.lines().count() == 1, "{text}: {fault}");
        }
    }

    #[test]
    fn what_is_whole_is_taken_and_its_key_never_shown() {
        let text = "engine = \"openai\"\nvoice = \"marin\"\nopenai = { api_key = \"sk-secret\" }\n\
                    [[languages]]\nlanguage = \"de\"\nengine = \"piper\"\nvoice = \"de_DE-thorsten-medium\"";
        let tts: Tts = toml::from_str(text).unwrap();
        assert!(tts.fault().is_none() && tts.needs_loading() && tts.is_remote());
        assert!(!format!("{tts:?}").contains("secret"));
        let own = "engine = \"openai\"\nvoice = \"x\"\nopenai = { base_url = \"http://127.0.0.1:8880/v1\" }";
        assert_eq!(fault(own), None);
    }
}
