//! OpenAI's speech interface, and whoever has the same: `POST {base}/audio/speech`, raw samples as they are made.
//!
//! The request is pure; [`OpenAi`] is the voice. The interface tells no places of words: they are estimated from the
//! sound. Which language is spoken follows from the text alone. Source: the parameters of `openai-python`'s
//! `audio.speech.create`.

use std::sync::atomic::AtomicBool;

use serde_json::{Map, Value, json};
use url::Url;

use super::{Net, RATE_HZ};
use crate::{
    secret::Secret,
    voice::{Error, Info, Made, Sentence, Voice},
};

/// Who it is, in errors.
const PROVIDER: &str = "the OpenAI-compatible voice";

/// Which server, voice and model.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The base of the interface, such as `https://api.openai.com/v1`.
    pub url: String,
    /// The key; servers of one's own mostly need none.
    pub key: Secret,
    /// Such as `gpt-4o-mini-tts`.
    pub model: String,
    /// Such as `marin`.
    pub voice: String,
    /// How it is to speak, in words, for models that understand that.
    pub instructions: Option<String>,
}

/// The voice.
pub struct OpenAi {
    info: Info,
    settings: Settings,
    net: Net,
}

impl OpenAi {
    /// The voice that `settings` describe.
    ///
    /// # Errors
    /// [`Trouble::Settings`](super::Trouble::Settings).
    pub fn new(settings: Settings, net: Net) -> Result<Self, Error> {
        address(&settings)?;
        Ok(Self { info: Info { engine: "openai", rate_hz: RATE_HZ }, settings, net })
    }

    fn request(&self, sentence: &Sentence) -> Result<reqwest::RequestBuilder, Error> {
        let request = self.net.http().post(address(&self.settings)?).json(&body(&self.settings, sentence));
        let key = &self.settings.key;
        Ok(if key.is_empty() { request } else { request.bearer_auth(key.reveal()) })
    }
}

impl Voice for OpenAi {
    fn info(&self) -> &Info {
        &self.info
    }

    /// What it says costs money, so it is not tried.
    fn ready(&self) -> Result<(), Error> {
        Ok(())
    }

    fn speak(&self, sentence: &Sentence, stop: &AtomicBool, made: &mut dyn FnMut(Made<'_>)) -> Result<(), Error> {
        self.net.say(PROVIDER, self.request(sentence)?, sentence, stop, made)
    }
}

/// Where the request goes.
fn address(settings: &Settings) -> Result<Url, Error> {
    let url = format!("{}/audio/speech", settings.url.trim_end_matches('/'));
    super::web_address(PROVIDER, &url)
}

/// What is asked for.
fn body(settings: &Settings, sentence: &Sentence) -> Value {
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(settings.model));
    body.insert("voice".to_owned(), json!(settings.voice));
    body.insert("input".to_owned(), json!(sentence.spoken()));
    body.insert("response_format".to_owned(), json!("pcm"));
    let rate = sentence.rate().clamp(0.25, 4.0);
    // Some servers refuse fields that they do not know: what says nothing is not sent.
    if (rate - 1.0).abs() > 0.01 {
        body.insert("speed".to_owned(), json!((f64::from(rate) * 100.0).round() / 100.0));
    }
    if let Some(instructions) = settings.instructions.as_deref().filter(|text| !text.is_empty()) {
        body.insert("instructions".to_owned(), json!(instructions));
    }
    Value::Object(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        utterance::Prosody,
        voice::{How, VoiceId, Word},
    };

    fn settings() -> Settings {
        Settings {
            url: "https://api.openai.com/v1/".to_owned(),
            key: Secret::new(" sk-secret\n"),
            model: "gpt-4o-mini-tts".to_owned(),
            voice: "marin".to_owned(),
            instructions: None,
        }
    }

    fn sentence(rate: f32) -> Sentence {
        let how = How { prosody: Prosody { rate, ..Prosody::default() }, ..How::default() };
        let word = |spoken: &str| Word { written: String::new(), spoken: spoken.to_owned(), how: how.clone() };
        Sentence { voice: VoiceId::default(), words: vec![word("Guten"), word(""), word("Tag.")] }
    }

    #[test]
    fn the_request_is_what_the_interface_wants() {
        assert_eq!(address(&settings()).unwrap().as_str(), "https://api.openai.com/v1/audio/speech");
        assert_eq!(
            body(&settings(), &sentence(1.0)),
            json!({"model": "gpt-4o-mini-tts", "voice": "marin", "input": "Guten Tag.", "response_format": "pcm"})
        );
        let slow = Settings { instructions: Some("Speak kindly.".to_owned()), ..settings() };
        let body = body(&slow, &sentence(0.5));
        assert_eq!((&body["speed"], &body["instructions"]), (&json!(0.5), &json!("Speak kindly.")));
    }

    #[test]
    fn a_key_is_never_shown() {
        assert!(!format!("{:?}", settings()).contains("secret"));
    }

    #[test]
    fn an_address_that_is_none_is_said_so() {
        for url in ["", "api.openai.com", "ftp://a/"] {
            let error = address(&Settings { url: url.to_owned(), ..settings() }).unwrap_err().to_string();
            assert!(error.contains("URL") && error.lines().count() == 1, "{error}");
        }
    }
}
