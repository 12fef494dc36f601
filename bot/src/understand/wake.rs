//! Whether somebody speaks to the agent at all: the words that wake it, at the beginning or the end of a turn.
//!
//! Pure. Recognizers hear names wrong and part them elsewhere: a phrase counts when it is nearly there, whatever its
//! spaces.

use super::words::{self, Word, distance};

/// Whether `text` begins or ends with one of `phrases`.
pub fn names(text: &str, phrases: &[String]) -> bool {
    let words = words::of(text);
    phrases.iter().any(|phrase| {
        let wanted = words::of(phrase);
        let (phrase, count) = (joined(&wanted), wanted.len());
        // A word more or less: "harmony" is heard as "harmo nie" as well.
        let counts = count.saturating_sub(1).max(1)..=count + 1;
        !phrase.is_empty()
            && counts.filter(|count| *count <= words.len()).any(|count| is_at_an_end(&words, count, &phrase))
    })
}

/// Whether `count` words at the beginning or the end of `words` are nearly `phrase`.
fn is_at_an_end(words: &[Word<'_>], count: usize, phrase: &str) -> bool {
    let last = words.len() - count;
    let leads_in = |at: &usize| words[..*at].iter().all(|word| word.among(HESITATION));
    let starts = (0..=LEADS_IN.min(last)).filter(leads_in);
    starts.chain([last]).any(|at| is_near(&joined(&words[at..at + count]), phrase))
}

/// The words in one, as they sound: "harmonie" is "harmony".
fn joined(words: &[Word<'_>]) -> String {
    let letters: String = words.iter().flat_map(|word| word.norm.chars()).filter(|c| c.is_alphanumeric()).collect();
    letters.replace("ie", "i").replace('y', "i").replace("ph", "f").replace("ck", "k")
}

/// Whether at most a fifth of the letters is wrong.
fn is_near(said: &str, phrase: &str) -> bool {
    distance(said, phrase) <= phrase.chars().count() / 5
}

/// What somebody says before they turn to the agent.
const HESITATION: &[&str] = &["äh", "ähm", "also", "so", "okay", "ok", "ja", "und", "uh", "um", "well", "and", "yes"];

/// So many words of it.
const LEADS_IN: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_meant_when_its_name_begins_or_ends_a_turn() {
        let phrases = ["hey harmony".to_owned(), "hallo harmony".to_owned()];
        for (text, is_meant) in [
            ("Hey Harmony, what time is it?", true),
            ("Hallo Harmony, wie spät ist es?", true),
            ("Äh, hallo Harmonie, wie spät ist es?", true),
            ("hey harmo nie what time is it", true),
            ("Hallo Armonie, wie spät ist es?", true),
            ("What time is it, hey Harmony?", true),
            ("hey harmony", true),
            // Traps.
            ("What time is it?", false),
            ("Harmonie ist mir wichtig", false),
            ("I told them hey harmony is nice for everybody", false),
            ("Hallo Herr Meier", false),
            ("Hallo Hermann, wie geht es dir?", false),
            ("Hallo Ramona", false),
            ("Hey, how are you?", false),
            ("hey", false),
            ("", false),
        ] {
            assert_eq!(names(text, &phrases), is_meant, "{text}");
        }
        assert!(!names("whatever", &[]) && !names("x", &["…".to_owned()]));
    }
}
