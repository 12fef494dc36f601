//! Azure's speech service: SSML by `POST`, raw samples as they are made.
//!
//! The request is pure; [`Azure`] is the voice. Speed, pitch, loudness, pronunciation and language are handed on as
//! marks of SSML; every word is escaped, so that no caller's text becomes a mark. The REST interface tells no places
//! of words: they are estimated from the sound. Source: Microsoft's reference "Text to speech REST API".

use std::{fmt::Write as _, sync::atomic::AtomicBool};

use url::Url;

use super::{Net, RATE_HZ, Trouble};
use crate::{
    secret::Secret,
    utterance::Emphasis,
    voice::{Error, How, Info, Language, Made, Sentence, Voice},
    xml::{escape, escape_attribute},
};

/// Who it is, in errors.
const PROVIDER: &str = "Azure";

/// Which region and voice.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Such as `westeurope`; or a whole URL, for a container of one's own.
    pub region: String,
    /// The key of the resource.
    pub key: Secret,
    /// Such as `de-DE-KatjaNeural`.
    pub voice: String,
}

/// The voice.
pub struct Azure {
    info: Info,
    settings: Settings,
    net: Net,
}

impl Azure {
    /// The voice that `settings` describe.
    ///
    /// # Errors
    /// [`Trouble::Settings`].
    pub fn new(settings: Settings, net: Net) -> Result<Self, Error> {
        address(&settings.region)?;
        if settings.key.is_empty() {
            return Err(Trouble::Settings { provider: PROVIDER, why: "it needs a key".to_owned() }.into());
        }
        Ok(Self { info: Info { engine: "azure", rate_hz: RATE_HZ }, settings, net })
    }

    fn request(&self, sentence: &Sentence) -> Result<reqwest::RequestBuilder, Error> {
        Ok(self
            .net
            .http()
            .post(address(&self.settings.region)?)
            .header("Ocp-Apim-Subscription-Key", self.settings.key.reveal())
            .header("Content-Type", "application/ssml+xml")
            .header("X-Microsoft-OutputFormat", "raw-24khz-16bit-mono-pcm")
            .body(ssml(&self.settings.voice, sentence)))
    }
}

impl Voice for Azure {
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
fn address(region: &str) -> Result<Url, Error> {
    if region.contains("://") {
        return super::web_address(PROVIDER, region);
    }
    let is_region = !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_region {
        let why = "its region is neither a name such as westeurope nor a URL".to_owned();
        return Err(Trouble::Settings { provider: PROVIDER, why }.into());
    }
    super::web_address(PROVIDER, &format!("https://{region}.tts.speech.microsoft.com/cognitiveservices/v1"))
}

/// A sentence as SSML.
fn ssml(voice: &str, sentence: &Sentence) -> String {
    let mut ssml = String::from("<speak version=\"1.0\" xmlns=\"http://www.w3.org/2001/10/synthesis\" xml:lang=\"");
    ssml.push_str(locale(sentence.voice.language));
    ssml.push_str("\"><voice name=\"");
    escape_attribute(voice, &mut ssml);
    ssml.push_str("\">");
    for words in sentence.words.chunk_by(|a, b| is_alike(&a.how, &b.how)) {
        let Some(How { prosody, emphasis, language, ipa }) = words.first().map(|word| &word.how) else { continue };
        let mut ends = Vec::new();
        if let Some(language) = language {
            let _ = write!(ssml, "<lang xml:lang=\"{}\">", locale(*language));
            ends.push("</lang>");
        }
        // Its own emphasis is known to few of its voices: it is made of these.
        let (rate, louder_db) = match emphasis {
            Some(Emphasis::Strong) => (0.85, 3.0),
            Some(Emphasis::Moderate) => (0.92, 1.5),
            Some(Emphasis::Reduced) => (1.1, -3.0),
            Some(Emphasis::None) | None => (1.0, 0.0),
        };
        let (rate, volume_db) = (prosody.rate * rate, prosody.volume_db + louder_db);
        if rate != 1.0 || prosody.pitch != 1.0 || volume_db != 0.0 {
            let rate = (rate - 1.0) * 100.0;
            let pitch = (prosody.pitch - 1.0) * 100.0;
            // It counts loudness in parts of a hundred, of which all are as loud as it speaks by itself.
            let volume = (100.0 * 10.0_f32.powf(volume_db / 20.0)).clamp(0.0, 100.0);
            let _ = write!(ssml, "<prosody rate=\"{rate:+.0}%\" pitch=\"{pitch:+.0}%\" volume=\"{volume:.0}\">");
            ends.push("</prosody>");
        }
        if let Some(ipa) = ipa {
            ssml.push_str("<phoneme alphabet=\"ipa\" ph=\"");
            escape_attribute(ipa, &mut ssml);
            ssml.push_str("\">");
            ends.push("</phoneme>");
        }
        for (at, word) in words.iter().enumerate() {
            if at > 0 {
                ssml.push(' ');
            }
            escape(&word.spoken, &mut ssml);
        }
        ssml.extend(ends.into_iter().rev());
        ssml.push(' ');
    }
    ssml.push_str("</voice></speak>");
    ssml
}

/// Whether two words share their marks; a pronunciation is one word's.
fn is_alike(a: &How, b: &How) -> bool {
    a.ipa.is_none() && a == b
}

/// A language with a region, as Azure's voices are sorted.
fn locale(language: Language) -> &'static str {
    match language.tag() {
        "de" => "de-DE",
        tag => tag,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        utterance::Prosody,
        voice::{VoiceId, Word},
    };

    fn sentence(words: Vec<(&str, How)>) -> Sentence {
        let words = words
            .into_iter()
            .map(|(spoken, how)| Word { written: String::new(), spoken: spoken.to_owned(), how })
            .collect();
        Sentence { voice: VoiceId { language: Language::GERMAN, ..VoiceId::default() }, words }
    }

    #[test]
    fn a_sentence_keeps_its_marks() {
        let slow = How { prosody: Prosody { rate: 0.8, ..Prosody::default() }, ..How::default() };
        let english = How { language: Some(Language::ENGLISH_US), ..How::default() };
        let sounds = How { ipa: Some("ˈʃtuːl".to_owned()), ..How::default() };
        let words = vec![
            ("Guten", How::default()),
            ("Tag,", How::default()),
            ("langsam", slow),
            ("bye", english),
            ("Stuhl.", sounds),
        ];
        assert_eq!(
            ssml("de-DE-KatjaNeural", &sentence(words)),
            "<speak version=\"1.0\" xmlns=\"http://www.w3.org/2001/10/synthesis\" xml:lang=\"de-DE\">\
             <voice name=\"de-DE-KatjaNeural\">Guten Tag, \
             <prosody rate=\"-20%\" pitch=\"+0%\" volume=\"100\">langsam</prosody> \
             <lang xml:lang=\"en-US\">bye</lang> \
             <phoneme alphabet=\"ipa\" ph=\"ˈʃtuːl\">Stuhl.</phoneme> </voice></speak>"
        );
    }

    #[test]
    fn a_region_is_a_name_or_a_url() {
        assert_eq!(
            address("westeurope").unwrap().as_str(),
            "https://westeurope.tts.speech.microsoft.com/cognitiveservices/v1"
        );
        assert_eq!(address("http://127.0.0.1:5000/x").unwrap().as_str(), "http://127.0.0.1:5000/x");
        for region in ["", "a.b/c", "evil.example#", "ftp://x/"] {
            assert!(address(region).is_err(), "{region}");
        }
    }

    proptest! {
        #[test]
        fn no_text_becomes_a_mark(text in "([<>&\"'/]|break|\\PC|\\n|\u{0}){0,40}") {
            let inside = ssml("v", &sentence(vec![(&text, How::default())]));
            let inside = inside.split_once("<voice name=\"v\">").unwrap().1.strip_suffix("</voice></speak>").unwrap();
            prop_assert!(!inside.contains(['<', '>', '\n', '\0']));
        }
    }
}
