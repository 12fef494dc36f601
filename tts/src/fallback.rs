//! A voice with another behind it: what the first does not say, the second does, so that a call is never mute.
//!
//! A sentence that fails before it is heard is said by the second whole; one that breaks off is taken up at the word
//! that was not heard out, where the first told its words, else from its beginning, since a caller rather hears a
//! word twice than never. While the first is given up ([`breaker`]), nobody waits for it. Runs on `tts-N` threads;
//! the clock is asked here and told to the breaker.

mod breaker;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use self::breaker::{Breaker, Weight};
use crate::{
    remote::Trouble,
    voice::{
        Error, Info, Made, Sentence, Voice,
        borrowed::{self, Onset},
    },
};

/// A voice with another behind it.
pub struct Fallback {
    first: Arc<dyn Voice>,
    second: Arc<dyn Voice>,
    breaker: Mutex<Breaker>,
}

impl Fallback {
    /// `first`, and where it fails `second`, which is heard at the rate of the first.
    pub fn new(first: Arc<dyn Voice>, second: Arc<dyn Voice>) -> Self {
        Self { first, second, breaker: Mutex::default() }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the second say what of `sentence` was not heard.
    fn instead(
        &self,
        sentence: &Sentence,
        heard: &Heard,
        stop: &AtomicBool,
        made: &mut dyn FnMut(Made<'_>),
    ) -> Result<(), Error> {
        made(Made::Instead);
        let words = heard.words_out();
        let rest = Sentence { voice: sentence.voice, words: sentence.words[words..].to_vec() };
        let from = Onset { words, samples: heard.samples };
        let rate_hz = self.first.info().rate_hz;
        borrowed::speak(self.second.as_ref(), &rest, rate_hz, from, stop, &mut |what| match what {
            // A word that was told already and is said again keeps its first place.
            Made::Word { index, .. } if heard.has_told(index) => {}
            what => made(what),
        })
    }
}

impl Voice for Fallback {
    fn info(&self) -> &Info {
        self.first.info()
    }

    fn ready(&self) -> Result<(), Error> {
        // One that can speak is enough.
        self.first.ready().or_else(|first| self.second.ready().map_err(|_| first))
    }

    fn speak(&self, sentence: &Sentence, stop: &AtomicBool, made: &mut dyn FnMut(Made<'_>)) -> Result<(), Error> {
        let mut heard = Heard::default();
        let admitted = self.breaker().admit(now());
        let Some(leave) = admitted else {
            return self.instead(sentence, &heard, stop, made);
        };
        let speaking = AssertUnwindSafe(|| {
            self.first.speak(sentence, stop, &mut |what| {
                heard.note(&what);
                made(what);
            })
        });
        // One that panics has failed like any other: the caller hears the second.
        let answer = catch_unwind(speaking).unwrap_or_else(|_| Err(Error::Failed("the voice panicked".to_owned())));
        match answer {
            Ok(()) => {
                if self.breaker().succeeded() {
                    tracing::info!(engine = self.first.info().engine, "a voice speaks again");
                }
                Ok(())
            }
            Err(Error::Stopped) => {
                self.breaker().let_go(leave);
                Err(Error::Stopped)
            }
            Err(error) => {
                let engine = self.first.info().engine;
                if self.breaker().failed(now(), weight(&error), leave) {
                    tracing::warn!(engine, %error, "a voice is given up for a while, another speaks in its place");
                } else {
                    tracing::info!(engine, %error, "another voice speaks a sentence");
                }
                if stop.load(Ordering::Relaxed) {
                    return Err(Error::Stopped);
                }
                self.instead(sentence, &heard, stop, made)
            }
        }
    }
}

fn weight(error: &Error) -> Weight {
    match error {
        Error::Remote(Trouble::Key { .. } | Trouble::Asked { .. } | Trouble::Settings { .. })
        | Error::Missing { .. } => Weight::AtOnce(None),
        Error::Remote(trouble @ Trouble::Busy { .. }) => Weight::AtOnce(trouble.retry_after()),
        _ => Weight::Once,
    }
}

/// What came of a sentence before it failed.
#[derive(Debug, Default)]
struct Heard {
    samples: u64,
    /// Places of the words that were told, in order.
    words: Vec<(usize, u64)>,
}

impl Heard {
    fn note(&mut self, what: &Made<'_>) {
        match what {
            Made::Samples(samples) => self.samples += samples.len() as u64,
            Made::Word { index, at_sample } => self.words.push((*index, *at_sample)),
            Made::Instead => {}
        }
    }

    /// Words that were heard out: those before the last that had begun.
    fn words_out(&self) -> usize {
        let begun = self.words.iter().rev().find(|(_, at_sample)| *at_sample < self.samples);
        begun.map_or(0, |(index, _)| *index)
    }

    fn has_told(&self, index: usize) -> bool {
        self.words.last().is_some_and(|(last, _)| index <= *last)
    }
}

/// The shell's clock.
#[expect(clippy::disallowed_methods, reason = "whoever asks a breaker tells it the time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::{
        fake::{Fake, WORD_SAMPLES},
        voice::{How, VoiceId, Word},
    };

    /// Says a number of words with their places, then fails.
    struct Breaks {
        info: Info,
        after_words: usize,
        tells_words: bool,
        with: Error,
        asked: AtomicUsize,
    }

    fn breaks(after_words: usize, tells_words: bool, with: Error) -> Arc<Breaks> {
        let info = Info { engine: "breaks", rate_hz: 24_000 };
        Arc::new(Breaks { info, after_words, tells_words, with, asked: AtomicUsize::new(0) })
    }

    impl Voice for Breaks {
        fn info(&self) -> &Info {
            &self.info
        }

        fn ready(&self) -> Result<(), Error> {
            Err(self.with.clone())
        }

        fn speak(&self, sentence: &Sentence, _: &AtomicBool, made: &mut dyn FnMut(Made<'_>)) -> Result<(), Error> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            for index in 0..self.after_words.min(sentence.words.len()) {
                if self.tells_words {
                    made(Made::Word { index, at_sample: index as u64 * 2_400 });
                }
                made(Made::Samples(&[0.5; 2_400]));
            }
            Err(self.with.clone())
        }
    }

    /// Says a word, then panics.
    struct Panics {
        info: Info,
        asked: AtomicUsize,
    }

    impl Voice for Panics {
        fn info(&self) -> &Info {
            &self.info
        }

        fn ready(&self) -> Result<(), Error> {
            Ok(())
        }

        fn speak(&self, _: &Sentence, _: &AtomicBool, made: &mut dyn FnMut(Made<'_>)) -> Result<(), Error> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            made(Made::Samples(&[0.5; 2_400]));
            panic!("it was told to");
        }
    }

    fn sentence(text: &str) -> Sentence {
        let word = |text: &str| Word { written: text.to_owned(), spoken: text.to_owned(), how: How::default() };
        Sentence { voice: VoiceId::default(), words: text.split(' ').map(word).collect() }
    }

    /// Words with their places, samples, and whether it was said that another speaks.
    type Spoken = (Vec<(usize, u64)>, usize, bool);

    fn spoken(voice: &dyn Voice, text: &str) -> Result<Spoken, Error> {
        let (mut words, mut samples, mut is_instead) = (Vec::new(), 0, false);
        voice.speak(&sentence(text), &AtomicBool::new(false), &mut |made| match made {
            Made::Samples(some) => samples += some.len(),
            Made::Word { index, at_sample } => words.push((index, at_sample)),
            Made::Instead => is_instead = true,
        })?;
        Ok((words, samples, is_instead))
    }

    fn failed() -> Error {
        Error::Failed("it was told to".to_owned())
    }

    /// What the fake's words take at the rate of the first.
    const WORD: usize = WORD_SAMPLES * 24 / 16;

    #[test]
    fn what_fails_before_it_is_heard_is_said_by_the_second_whole() {
        let voice = Fallback::new(breaks(0, true, failed()), Arc::new(Fake::default()));
        let (words, samples, is_instead) = spoken(&voice, "one two three").unwrap();
        assert_eq!(words, [(0, 0), (1, WORD as u64), (2, 2 * WORD as u64)]);
        assert_eq!((samples, is_instead), (3 * WORD, true));
    }

    #[test]
    fn what_breaks_off_is_taken_up_at_the_word_that_was_not_heard_out() {
        let voice = Fallback::new(breaks(2, true, failed()), Arc::new(Fake::default()));
        let (words, samples, _) = spoken(&voice, "one two three").unwrap();
        // "two" is said again and keeps its place; "three" follows it.
        assert_eq!(words, [(0, 0), (1, 2_400), (2, 4_800 + WORD as u64)]);
        assert_eq!(samples, 4_800 + 2 * WORD);
    }

    #[test]
    fn what_breaks_off_without_its_words_is_said_again() {
        let voice = Fallback::new(breaks(2, false, failed()), Arc::new(Fake::default()));
        let (words, samples, _) = spoken(&voice, "one two three").unwrap();
        assert_eq!(words.len(), 3);
        assert_eq!(samples, 4_800 + 3 * WORD);
    }

    #[test]
    fn a_voice_that_fails_and_fails_is_not_asked_any_more() {
        let first = breaks(0, true, failed());
        let voice = Fallback::new(first.clone(), Arc::new(Fake::default()));
        for _ in 0..6 {
            spoken(&voice, "one").unwrap();
        }
        assert_eq!(first.asked.load(Ordering::Relaxed), 3);
        let wrong_key = breaks(0, true, Error::Remote(Trouble::Key { provider: "nobody", status: 401 }));
        let voice = Fallback::new(wrong_key.clone(), Arc::new(Fake::default()));
        for _ in 0..6 {
            spoken(&voice, "one").unwrap();
        }
        assert_eq!(wrong_key.asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_voice_that_panics_is_replaced_and_soon_not_asked_any_more() {
        let info = Info { engine: "panics", rate_hz: 24_000 };
        let first = Arc::new(Panics { info, asked: AtomicUsize::new(0) });
        let voice = Fallback::new(first.clone(), Arc::new(Fake::default()));
        for at in 0..6 {
            let (words, samples, is_instead) = spoken(&voice, "one two").unwrap();
            let heard_before = if at < 3 { 2_400 } else { 0 };
            assert_eq!((words.len(), samples, is_instead), (2, heard_before + 2 * WORD, true), "{at}");
        }
        assert_eq!(first.asked.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn what_is_stopped_is_no_failure_and_nobody_speaks_instead() {
        let first = breaks(0, true, Error::Stopped);
        let voice = Fallback::new(first.clone(), Arc::new(Fake::default()));
        for _ in 0..6 {
            assert_eq!(spoken(&voice, "one"), Err(Error::Stopped));
        }
        assert_eq!(first.asked.load(Ordering::Relaxed), 6);
    }

    #[test]
    fn where_both_fail_the_second_says_why() {
        let voice = Fallback::new(breaks(0, true, failed()), Arc::new(Fake::default()));
        assert!(matches!(spoken(&voice, "one fail"), Err(Error::Failed(_))));
        assert!(voice.ready().is_ok(), "one that speaks is enough");
    }
}
