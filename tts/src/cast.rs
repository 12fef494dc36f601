//! A voice for each language: who speaks a sentence is decided by the language of its voice.
//!
//! All of them are heard at one rate, the highest of theirs. A language that nobody was named for is spoken by the
//! one who speaks the rest. It decides and hands on; it keeps nothing.

use std::sync::{Arc, atomic::AtomicBool};

use crate::voice::{
    Error, Info, Language, Made, Sentence, Voice,
    borrowed::{self, Onset},
};

/// Voices by language.
pub struct Cast {
    info: Info,
    parts: Vec<(Language, Arc<dyn Voice>)>,
    rest: Arc<dyn Voice>,
}

impl Cast {
    /// Each of `parts` speaks its language, in all regions that have no own; `rest` speaks the others.
    pub fn new(parts: Vec<(Language, Arc<dyn Voice>)>, rest: Arc<dyn Voice>) -> Self {
        let rates = parts.iter().map(|(_, voice)| voice.info().rate_hz);
        let rate_hz = rates.chain([rest.info().rate_hz]).max().unwrap_or_default();
        let engine = if parts.is_empty() { rest.info().engine } else { "several" };
        Self { info: Info { engine, rate_hz }, parts, rest }
    }

    /// Who speaks `language`.
    pub fn who(&self, language: Language) -> &dyn Voice {
        let exact = self.parts.iter().find(|(own, _)| *own == language);
        let found = exact.or_else(|| self.parts.iter().find(|(own, _)| own.is_kin(language)));
        found.map_or_else(|| self.rest.as_ref(), |(_, voice)| voice.as_ref())
    }
}

impl Voice for Cast {
    fn info(&self) -> &Info {
        &self.info
    }

    fn ready(&self) -> Result<(), Error> {
        self.parts.iter().try_for_each(|(_, voice)| voice.ready())?;
        self.rest.ready()
    }

    fn speak(&self, sentence: &Sentence, stop: &AtomicBool, made: &mut dyn FnMut(Made<'_>)) -> Result<(), Error> {
        let voice = self.who(sentence.voice.language);
        borrowed::speak(voice, sentence, self.info.rate_hz, Onset::default(), stop, made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fake::{Fake, WORD_SAMPLES},
        voice::{How, VoiceId, Word},
    };

    struct Quick(Info);

    impl Voice for Quick {
        fn info(&self) -> &Info {
            &self.0
        }

        fn ready(&self) -> Result<(), Error> {
            Ok(())
        }

        fn speak(&self, _: &Sentence, _: &AtomicBool, made: &mut dyn FnMut(Made<'_>)) -> Result<(), Error> {
            made(Made::Samples(&[0.1; 240]));
            made(Made::Word { index: 0, at_sample: 120 });
            Ok(())
        }
    }

    fn spoken(cast: &Cast, tag: &str) -> (usize, u64) {
        let language = Language::nearest(tag).expect("it is spoken").0;
        let word = Word { written: "x".to_owned(), spoken: "x".to_owned(), how: How::default() };
        let sentence = Sentence { voice: VoiceId { language, ..VoiceId::default() }, words: vec![word] };
        let (mut samples, mut at) = (0, 0);
        let made = &mut |made: Made<'_>| match made {
            Made::Samples(some) => samples += some.len(),
            Made::Word { at_sample, .. } => at = at_sample,
            Made::Instead => {}
        };
        cast.speak(&sentence, &AtomicBool::new(false), made).unwrap();
        (samples, at)
    }

    #[test]
    fn each_language_has_its_voice_and_all_are_heard_at_one_rate() {
        let quick = Arc::new(Quick(Info { engine: "quick", rate_hz: 24_000 }));
        let cast = Cast::new(vec![(Language::ENGLISH_US, quick)], Arc::new(Fake::default()));
        assert_eq!(cast.info().rate_hz, 24_000);
        assert_eq!(spoken(&cast, "en-US"), (240, 120));
        assert_eq!(spoken(&cast, "en-GB"), (240, 120), "another region of it");
        assert_eq!(spoken(&cast, "de"), (WORD_SAMPLES * 24 / 16, 0));
    }
}
