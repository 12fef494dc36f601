//! What the ears of a menu's caller are to expect: the language and the words of whatever listens.
//!
//! A `Gather` comes before a transcription, the transcription that was begun last before others; where nothing listens the
//! ears find the language out themselves. Pure.

use std::collections::BTreeMap;

use asr::recognizer::Hints;
use bot::ivr::effect::{ListenId, TapId};

/// Whoever listens, and for what.
#[derive(Debug, Default)]
pub(super) struct Expecting {
    gather: Option<(ListenId, Hints)>,
    transcriptions: BTreeMap<TapId, Hints>,
}

impl Expecting {
    /// A `Gather` listens for words.
    pub(super) fn gather(&mut self, id: ListenId, hints: Hints) {
        self.gather = Some((id, hints));
    }

    /// It does not any more; false where it did not.
    pub(super) fn gathered(&mut self, id: ListenId) -> bool {
        self.gather.take_if(|(now, _)| *now == id).is_some()
    }

    /// A transcription begins.
    pub(super) fn transcribe(&mut self, id: TapId, hints: Hints) {
        self.transcriptions.insert(id, hints);
    }

    /// It is over; false where there was none.
    pub(super) fn transcribed(&mut self, id: TapId) -> bool {
        self.transcriptions.remove(&id).is_some()
    }

    /// What the caller's ears are to expect.
    pub(super) fn of_caller(&self) -> Hints {
        self.gather.as_ref().map_or_else(|| self.of_others(), |(_, hints)| hints.clone())
    }

    /// What the ears of those are to expect whom the caller is connected with: nobody gathers from them.
    pub(super) fn of_others(&self) -> Hints {
        self.transcriptions.last_key_value().map(|(_, hints)| hints.clone()).unwrap_or_default()
    }
}

/// What a recognizer that knows `known` is told of a language (`de-DE`) and of words that are likely to come; the language
/// is none where it knows another only.
pub(in crate::phone) fn hints(known: &[String], language: Option<&str>, terms: &[String]) -> Hints {
    let code = language.map(|language| language.split(['-', '_']).next().unwrap_or_default().to_lowercase());
    let language = code.filter(|code| known.contains(code));
    // Class tokens of the vendor's name no words.
    let keyterms = terms.iter().filter(|term| !term.starts_with('$')).cloned().collect();
    Hints { language, keyterms }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn german() -> Hints {
        hints(&["de".to_owned(), "en".to_owned()], Some("de-DE"), &["Öztürk".to_owned(), "$OOV_CLASS".to_owned()])
    }

    #[test]
    fn a_gather_comes_before_a_transcription_and_the_last_of_those_before_others() {
        let english = Hints { language: Some("en".to_owned()), keyterms: Vec::new() };
        let mut expecting = Expecting::default();
        assert_eq!(expecting.of_caller(), Hints::default());
        expecting.transcribe(TapId(1), english.clone());
        expecting.transcribe(TapId(2), german());
        expecting.gather(ListenId(3), english.clone());
        assert_eq!((expecting.of_caller(), expecting.of_others()), (english.clone(), german()));
        assert!(!expecting.gathered(ListenId(2)) && expecting.gathered(ListenId(3)));
        assert_eq!(expecting.of_caller(), german());
        assert!(expecting.transcribed(TapId(2)) && !expecting.transcribed(TapId(2)));
        assert_eq!(expecting.of_caller(), english);
    }

    #[test]
    fn a_recognizer_is_told_languages_that_it_knows_and_words() {
        assert_eq!(german(), Hints { language: Some("de".to_owned()), keyterms: vec!["Öztürk".to_owned()] });
        assert_eq!(hints(&["en".to_owned()], Some("de-DE"), &[]), Hints::default());
        assert_eq!(hints(&["en".to_owned()], None, &[]), Hints::default());
    }
}
