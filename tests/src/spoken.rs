//! What people and machines say on the telephone, spoken by espeak-ng: greetings, menus, announcements.
//!
//! One worker a value; blocking, and as fast as the voice is.

use std::{process::Command, sync::Arc};

use tts::{
    espeak::Espeak,
    utterance::Utterance,
    voice::choose,
    worker::{Options, Said, Voices},
};

use crate::{baresip::Sampled, server};

/// `text` as `harmony speak` says it in `language`, a man: what a caller is to hear of it.
///
/// # Panics
/// When the command fails.
pub fn by_the_command(language: &str, text: &str) -> Sampled {
    commanded(&["--lang", language], text)
}

/// The same by a woman.
///
/// # Panics
/// When the command fails.
pub fn by_a_woman(language: &str, text: &str) -> Sampled {
    commanded(&["--voice", "woman", "--lang", language], text)
}

/// The sentences of a text that are there to their end.
pub fn whole_sentences(text: &str) -> Vec<&str> {
    text.split_inclusive('.').map(str::trim).filter(|sentence| sentence.ends_with('.')).collect()
}

fn commanded(options: &[&str], text: &str) -> Sampled {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spoken.wav");
    let said = Command::new(server::binary()).arg("speak").args(options).arg("--out").arg(&path).arg(text).output();
    let said = said.expect("the binary is built");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let mut reader = hound::WavReader::open(&path).expect("a WAV file");
    let samples = reader.samples::<i16>().map(|sample| f32::from(sample.expect("a sample")) / 32_768.0).collect();
    Sampled { samples, rate_hz: reader.spec().sample_rate }
}

/// A voice.
pub struct Spoken {
    voices: Voices,
    rate_hz: u32,
}

impl Spoken {
    /// A voice whose samples come at `rate_hz`, or the reason to skip.
    ///
    /// # Errors
    /// When no voice is installed.
    ///
    /// # Panics
    /// When the machine has no threads.
    pub fn start(rate_hz: u32) -> Result<Self, String> {
        let voices = Voices::start(Arc::new(Espeak::default()), Options::default()).expect("there are threads");
        voices.ready().map_err(|error| format!("skipped: {error}"))?;
        Ok(Self { voices, rate_hz })
    }

    /// `text`, as a woman says it in `language`.
    ///
    /// # Panics
    /// When the voice fails.
    pub fn says(&self, language: &str, text: &str) -> Vec<f32> {
        let utterance = Utterance::plain(choose(Some("woman"), Some(language)).voice, text);
        let mut speech = self.voices.speak(&utterance, self.rate_hz).expect("it is short");
        let mut all = Vec::new();
        while let Some(said) = speech.next_blocking() {
            match said {
                Said::Samples { samples, .. } => all.extend(samples),
                Said::Failed { error, .. } => panic!("{error}"),
                Said::Word { .. } | Said::Viseme { .. } | Said::Finished { .. } | Said::Dropped { .. } => {}
            }
        }
        all
    }
}
