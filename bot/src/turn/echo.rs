//! Whether words are our own that came back through the caller's loudspeaker.
//!
//! Compared with what was lately heard of the agent: an echo repeats a run of it, in order, with a slip of the
//! recognizer here and there. Somebody who repeats a whole phrase on purpose is taken for an echo while the agent
//! speaks, and only then. Pure.

use std::collections::VecDeque;

use super::words;

/// What the agent was lately heard to say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Lately {
    words: VecDeque<String>,
}

impl Lately {
    /// The agent says this now.
    pub(super) fn hear(&mut self, text: &str) {
        self.words.extend(words::of(text));
        let more = self.words.len().saturating_sub(WORDS);
        self.words.drain(..more);
    }

    /// Whether `said` repeats a run of it. Two words at least: one alone may be a choice among what was offered.
    pub(super) fn holds(&self, said: &[String]) -> bool {
        if said.len() < 2 || said.len() > self.words.len() {
            return false;
        }
        let most = said.len() / SLIP;
        (0..=self.words.len() - said.len()).any(|from| {
            let wrong = said.iter().zip(self.words.range(from..)).filter(|(said, own)| said != own).count();
            wrong <= most
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }
}

/// Two long sentences. Echoes come within a second.
const WORDS: usize = 60;

/// One word of so many may be heard wrongly.
const SLIP: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_our_own_words_is_an_echo_and_anything_else_is_not() {
        let mut lately = Lately::default();
        lately.hear("Guten Tag, Praxis Doktor Weber, was kann ich für Sie tun?");
        for said in ["was kann ich", "Praxis Doktor Weber was kann ich für", "Praxis Doktor Leber, was kann"] {
            assert!(lately.holds(&words::of(said)), "{said}");
        }
        for said in ["Weber", "kann ich einen Termin", "was können Sie", "", "tun Sie was"] {
            assert!(!lately.holds(&words::of(said)), "{said}");
        }
        (0..40).for_each(|_| lately.hear("und noch ein anderer Satz"));
        assert!(!lately.holds(&words::of("was kann ich")));
        assert_eq!(lately.len(), WORDS);
    }
}
