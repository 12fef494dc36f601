//! Which language a stream is decoded in, where nobody said and the recognizer can find out.
//!
//! Pure. A recognizer guesses the language of every window anew, and a short one ("okay", a name, a number) has little
//! to tell it by. So a short utterance is taken to be in the language that was spoken before, and another one is believed
//! only of enough speech and with enough certainty. Each utterance has one language, which its final tells; once it is
//! certain, it is not found out again, which saves a run of the encoder a decode.

use super::{InFlight, Listener};
use crate::recognizer::Hypothesis;

/// What is known of the languages of a stream.
#[derive(Debug, Default)]
pub(super) struct Tongue {
    /// What was last spoken for certain.
    spoken: Option<String>,
}

/// What to make of a language that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The utterance is in it.
    Certain,
    /// It will do until more is heard.
    Likely,
    /// The utterance is rather in the language that was spoken before: its words are to be asked for again.
    Doubtful,
}

impl Tongue {
    /// The language to decode an utterance in that has so much speech; `None` has the recognizer find out.
    pub(super) fn expected(&self, speech_s: f32) -> Option<&str> {
        self.spoken.as_deref().filter(|_| speech_s < TELLING_S)
    }

    /// Judges what was found in so much speech.
    pub(super) fn judge(&self, found: &str, probability: f32, speech_s: f32) -> Found {
        let is_certain = speech_s >= TELLING_S && probability >= CERTAIN;
        match &self.spoken {
            _ if is_certain => Found::Certain,
            Some(spoken) if spoken != found => Found::Doubtful,
            Some(_) | None => Found::Likely,
        }
    }

    /// What was spoken before.
    pub(super) fn spoken(&self) -> Option<&str> {
        self.spoken.as_deref()
    }

    /// An utterance is over; `language` is its own where that was certain.
    pub(super) fn learn(&mut self, language: Option<String>) {
        if language.is_some() {
            self.spoken = language;
        }
    }
}

impl Listener {
    /// Settles the language of an utterance by what was found in it. Whether the words are to be asked for again, in
    /// the language that was spoken before: then their language is settled, so that it happens once.
    pub(super) fn is_in_doubt(&mut self, flight: &InFlight, hypothesis: &Hypothesis) -> bool {
        let (Some(found), Some(probability)) = (&hypothesis.language, hypothesis.language_probability) else {
            return false;
        };
        let closing = self.closing.front_mut().map(|closing| &mut closing.utterance);
        let Some(utterance) = closing.into_iter().chain(&mut self.open).find(|one| one.id == flight.utterance) else {
            return false;
        };
        // A language that was asked for is not questioned, not even one that the recognizer does not know.
        let is_settled = utterance.language.is_some() || self.config.hints.language.is_some();
        if is_settled || flight.from != utterance.segment.start() {
            return false;
        }
        let judged = self.tongue.judge(found, probability, flight.speech_s);
        match judged {
            Found::Certain => {
                utterance.language = Some(found.clone());
                utterance.is_language_certain = true;
            }
            Found::Likely => {}
            Found::Doubtful => {
                utterance.language = self.tongue.spoken().map(str::to_owned);
                utterance.decoded_until = 0;
            }
        }
        judged == Found::Doubtful
    }
}

/// Speech that tells its language: some four words. Chosen, not measured.
const TELLING_S: f32 = 1.5;

/// From here on a language is believed: more than twice as probable as all others together. Chosen, not measured.
const CERTAIN: f32 = 0.7;

#[cfg(test)]
mod tests {
    use super::*;

    fn german() -> Tongue {
        let mut tongue = Tongue::default();
        tongue.learn(Some("de".to_owned()));
        tongue
    }

    #[test]
    fn a_stream_that_has_said_nothing_is_asked() {
        let fresh = Tongue::default();
        for speech_s in [0.2, 1.0, 5.0] {
            assert_eq!(fresh.expected(speech_s), None);
        }
        assert_eq!(fresh.judge("en", 0.9, 0.5), Found::Likely, "one word proves nothing");
        assert_eq!(fresh.judge("en", 0.4, 4.0), Found::Likely);
        assert_eq!(fresh.judge("en", 0.9, 4.0), Found::Certain);
    }

    #[test]
    fn a_short_utterance_does_not_change_the_language() {
        assert_eq!(german().expected(0.4), Some("de"));
        assert_eq!(german().expected(1.4), Some("de"));
        assert_eq!(german().expected(1.6), None, "this one may");
        assert_eq!(german().judge("cy", 0.99, 0.8), Found::Doubtful);
    }

    #[test]
    fn enough_speech_changes_it_when_the_recognizer_is_sure() {
        let mut tongue = german();
        assert_eq!(tongue.judge("en", 0.5, 3.0), Found::Doubtful);
        assert_eq!(tongue.judge("en", 0.95, 3.0), Found::Certain);
        assert_eq!(tongue.judge("de", 0.5, 3.0), Found::Likely, "the same is no change");
        tongue.learn(None);
        assert_eq!(tongue.spoken(), Some("de"));
        tongue.learn(Some("en".to_owned()));
        assert_eq!((tongue.spoken(), tongue.expected(0.5)), (Some("en"), Some("en")));
    }

    #[test]
    fn no_number_is_no_certainty() {
        assert_eq!(german().judge("en", f32::NAN, 9.0), Found::Doubtful);
        assert_eq!(german().judge("en", 1.0, f32::NAN), Found::Doubtful);
    }
}
