//! What people and machines say on the telephone, spoken by espeak-ng: greetings, menus, announcements.
//!
//! One worker a value; blocking, and as fast as the voice is.

use std::sync::Arc;

use tts::{
    espeak::Espeak,
    utterance::Utterance,
    voice::choose,
    worker::{Options, Said, Voices},
};

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
                Said::Word { .. } | Said::Finished { .. } | Said::Dropped { .. } => {}
            }
        }
        all
    }
}
