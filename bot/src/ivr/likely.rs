//! Words that an application expects (`hints`), held against what a recognizer heard: where it was off by a letter or two,
//! the expected word is meant.
//!
//! Recognizers that take hints are told them; this is for those that do not, and for names that no recognizer spells. Pure,
//! and careful: what is short must be right, and a longer word may differ in one letter of five. What was said between
//! expected words stays as it was heard.

/// Expected words that are looked at, as the vendor has it.
const HINTS: usize = 500;

/// Words of a sentence that are looked at; what comes behind them stays as it was heard.
const WORDS: usize = 100;

/// Letters of which one may differ.
const LETTERS_A_SLIP: usize = 5;

/// What `text` means to somebody who expects `hints`.
pub(super) fn read(text: &str, hints: &[String]) -> String {
    if hints.is_empty() {
        return text.to_owned();
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let letters: Vec<String> = words.iter().take(WORDS).map(|word| letters_of(word)).collect();
    let mut found: Vec<Found<'_>> = Vec::new();
    // Class tokens of the vendor's (`$OOV_CLASS_DIGIT_SEQUENCE`) name no words.
    for hint in hints.iter().filter(|hint| !hint.starts_with('$')).take(HINTS) {
        let (own, count) = (letters_of(hint), hint.split_whitespace().count());
        // Recognizers join words and take them apart: "Wi-Fi" is heard as two words, or as one.
        for many in count.saturating_sub(1).max(1)..=count + 1 {
            for (at, window) in letters.windows(many).enumerate() {
                if let Some(slips) = slips(&own, &window.concat()) {
                    found.push(Found { at, many, slips, hint });
                }
            }
        }
    }
    // What was heard best wins, and of equals what is longer.
    found.sort_by_key(|one| (one.slips, usize::MAX - letters_of(one.hint).len(), one.at));
    let mut taken: Vec<Option<(&Found<'_>, bool)>> = vec![None; words.len()];
    for one in &found {
        let places = one.at..one.at + one.many;
        if taken[places.clone()].iter().all(Option::is_none) {
            places.clone().for_each(|place| taken[place] = Some((one, place == one.at)));
        }
    }
    let mut said: Vec<String> = Vec::new();
    for (word, taken) in words.iter().zip(&taken) {
        match taken {
            None => said.push((*word).to_owned()),
            Some((one, true)) => {
                let last = words[one.at + one.many - 1];
                let end = last.trim_end_matches(|sign: char| !sign.is_alphanumeric()).len();
                said.push(format!("{}{}", one.hint.trim(), &last[end..]));
            }
            Some((_, false)) => {}
        }
    }
    said.join(" ")
}

/// An expected word, or several, where it may have been said.
struct Found<'h> {
    at: usize,
    many: usize,
    slips: usize,
    hint: &'h str,
}

fn letters_of(words: &str) -> String {
    words.chars().filter(|sign| sign.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// In how many letters the two differ, where they are near enough to be the same.
fn slips(expected: &str, heard: &str) -> Option<usize> {
    if expected.is_empty() || heard.is_empty() {
        return None;
    }
    let (expected, heard): (Vec<char>, Vec<char>) = (expected.chars().collect(), heard.chars().collect());
    let most = expected.len().min(heard.len()) / LETTERS_A_SLIP;
    if expected.len().abs_diff(heard.len()) > most {
        return None;
    }
    let mut before: Vec<usize> = (0..=heard.len()).collect();
    for (row, letter) in expected.iter().enumerate() {
        let mut now = vec![row + 1];
        for (column, other) in heard.iter().enumerate() {
            let changed = before[column] + usize::from(letter != other);
            now.push(changed.min(before[column + 1] + 1).min(now[column] + 1));
        }
        before = now;
    }
    before.last().copied().filter(|slips| *slips <= most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_nearly_an_expected_word_is_meant_as_one() {
        let hints = ["Sauerbraten", "Weizenbier", "Wi-Fi", "Prof. Öztürk", "tea", "$OOV_CLASS_DIGIT_SEQUENCE"];
        let hints: Vec<String> = hints.map(str::to_owned).to_vec();
        for (heard, meant) in [
            ("Einmal Sauerbrate, bitte.", "Einmal Sauerbraten, bitte."),
            ("einmal sauer Braten!", "einmal Sauerbraten!"),
            ("The wi fi is down.", "The Wi-Fi is down."),
            ("Prof Östürk, bitte", "Prof. Öztürk, bitte"),
            ("a sea", "a sea"),
            ("Weizen, Bier", "Weizenbier"),
            ("Ein Weizenbrot", "Ein Weizenbrot"),
            ("", ""),
        ] {
            assert_eq!(read(heard, &hints), meant);
        }
        assert_eq!(read("as it  was", &[]), "as it  was");
    }

    #[test]
    fn of_two_expected_words_the_nearer_is_meant() {
        let hints = ["Müller-Schmidt".to_owned(), "Müller-Schmitz".to_owned()];
        assert_eq!(read("Müller Schmits", &hints), "Müller-Schmitz");
        assert_eq!(read("Müller Schmidt", &hints), "Müller-Schmidt");
    }

    proptest! {
        #[test]
        fn whatever_was_heard_and_expected_no_word_appears_that_is_neither(
            text in "[a-zäß ,.]{0,60}", hints in prop::collection::vec("[a-zäß ]{0,12}", 0..6),
        ) {
            let known: Vec<String> = text.split_whitespace().map(letters_of).chain(hints.iter().map(|h| letters_of(h))).collect();
            let meant = read(&text, &hints);
            let all = known.concat();
            for word in meant.split_whitespace() {
                let letters = letters_of(word);
                prop_assert!(all.contains(&letters), "{word:?} of {text:?} and {hints:?}");
            }
        }
    }
}
