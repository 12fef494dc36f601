//! Words that an application expects (`hints`), held against what a recognizer heard: where it was off by a letter or two,
//! the expected word is meant.
//!
//! Recognizers that take hints are told them; this is for those that do not, and for names that no recognizer spells. Pure,
//! and careful: what is short must be right, what has a digit too, and a longer word may differ in one letter of five.
//! What was said between expected words stays as it was heard. Every partial result is read, in the task of the call's
//! menu: how long that may take has a bound, however much is expected.

use std::{cmp::Reverse, collections::BTreeMap};

/// Expected words that are looked at, as the vendor has it.
const HINTS: usize = 500;

/// Words of a sentence that are looked at; what comes behind them stays as it was heard.
const WORDS: usize = 100;

/// Letters of an expected word or phrase, as the vendor has it; what is longer is not looked for.
const LONGEST: usize = 100;

/// Letters of which one may differ.
const LETTERS_A_SLIP: usize = 5;

/// The most that may differ, however much is said.
const SLIPS: usize = 10;

/// Pairs of letters that are compared for one sentence: some milliseconds. Hints behind them are not looked for.
const STEPS: usize = 10_000_000;

/// What `text` means to somebody who expects `hints`.
pub(super) fn read(text: &str, hints: &[String]) -> String {
    if hints.is_empty() {
        return text.to_owned();
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let letters: Vec<Vec<char>> = words.iter().take(WORDS).map(|word| letters_of(word).chars().collect()).collect();
    // So many words in a row, joined, from each word on.
    let mut joined: BTreeMap<usize, Vec<Vec<char>>> = BTreeMap::new();
    let mut found: Vec<Found<'_>> = Vec::new();
    let mut left = STEPS;
    // Class tokens of the vendor's (`$OOV_CLASS_DIGIT_SEQUENCE`) name no words.
    'hints: for hint in hints.iter().filter(|hint| !hint.starts_with('$')).take(HINTS) {
        let own: Vec<char> = letters_of(hint).chars().collect();
        if own.len() > LONGEST {
            continue;
        }
        let count = hint.split_whitespace().count();
        // Recognizers join words and take them apart: "Wi-Fi" is heard as two words, or as one.
        for many in count.saturating_sub(1).max(1)..=count + 1 {
            let windows =
                joined.entry(many).or_insert_with(|| letters.windows(many).map(<[Vec<char>]>::concat).collect());
            for (at, window) in windows.iter().enumerate() {
                let Some(most) = leeway(&own, window) else { continue };
                let Some(rest) = left.checked_sub(own.len() * (2 * most + 1)) else { break 'hints };
                left = rest;
                if let Some(slips) = slips(&own, window, most) {
                    found.push(Found { at, many, slips, letters: own.len(), hint });
                }
            }
        }
    }
    // What was heard best wins, and of equals what is longer.
    found.sort_by_key(|one| (one.slips, Reverse(one.letters), one.at));
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
    letters: usize,
    hint: &'h str,
}

fn letters_of(words: &str) -> String {
    words.chars().filter(|sign| sign.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// In how many letters the two may differ and be the same; `None` where their lengths say already that they are not. What
/// has a digit must be equal: another number is somebody else's.
fn leeway(expected: &[char], heard: &[char]) -> Option<usize> {
    let most = (expected.len().min(heard.len()) / LETTERS_A_SLIP).min(SLIPS);
    let apart = expected.len().abs_diff(heard.len());
    if expected.is_empty() || heard.is_empty() || apart > most {
        return None;
    }
    let has_digit = expected.iter().chain(heard).any(|sign| sign.is_numeric());
    if has_digit { (apart == 0).then_some(0) } else { Some(most) }
}

/// In how many letters the two differ, where those are `most` at most; their lengths differ by no more.
fn slips(expected: &[char], heard: &[char], most: usize) -> Option<usize> {
    // Edit distance, a row a letter. What lies further than `most` beside the diagonal needs more slips than that, and
    // is not looked at.
    let beyond = most + 1;
    let mut before: Vec<usize> = (0..=heard.len()).map(|column| column.min(beyond)).collect();
    let mut now = vec![beyond; heard.len() + 1];
    for (row, letter) in (1_usize..).zip(expected) {
        let (first, last) = (row.saturating_sub(most).max(1), (row + most).min(heard.len()));
        now[first - 1] = row.min(beyond);
        let mut least = now[first - 1];
        for column in first..=last {
            let changed = before[column - 1] + usize::from(*letter != heard[column - 1]);
            now[column] = changed.min(before[column] + 1).min(now[column - 1] + 1);
            least = least.min(now[column]);
        }
        if least > most {
            return None;
        }
        std::mem::swap(&mut before, &mut now);
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

    #[test]
    fn another_number_is_never_taken_for_an_expected_one() {
        let hints = ["4930123456", "49 30 654321", "Gate 12", "Zimmer 4711"].map(str::to_owned);
        for (heard, meant) in [
            ("It is 4930123457.", "It is 4930123457."),
            ("It is 493012345.", "It is 493012345."),
            ("It is 4930 123456.", "It is 4930123456."),
            ("49 30654321", "49 30 654321"),
            ("49 30654312", "49 30654312"),
            ("gate 12, please", "Gate 12, please"),
            ("gate 13", "gate 13"),
            ("gate twelve", "gate twelve"),
            ("Zimmern 4711", "Zimmern 4711"),
        ] {
            assert_eq!(read(heard, &hints), meant);
        }
    }

    #[test]
    fn what_is_expected_costs_no_more_than_its_bound() {
        let (heard, nearly) = ("a".repeat(LONGEST), "a".repeat(LONGEST - 1) + "c");
        let text = vec![heard; WORDS].join(" ");
        let behind = |others: usize| {
            let mut hints = vec!["b".repeat(LONGEST); others];
            hints.push(nearly.clone());
            read(&text, &hints)
        };
        assert_eq!(behind(40), vec![nearly.clone(); WORDS].join(" "));
        assert_eq!(behind(60), text);
        // One that nobody can say in a breath is no word.
        assert_eq!(read(&text, &[nearly.clone() + "c"]), text);
    }

    /// Edit distance as the books have it.
    fn by_the_book(one: &[char], other: &[char]) -> usize {
        match (one, other) {
            ([], rest) | (rest, []) => rest.len(),
            ([a, one_rest @ ..], [b, other_rest @ ..]) if a == b => by_the_book(one_rest, other_rest),
            ([_, one_rest @ ..], [_, other_rest @ ..]) => {
                let changed = by_the_book(one_rest, other_rest);
                1 + changed.min(by_the_book(one, other_rest)).min(by_the_book(one_rest, other))
            }
        }
    }

    proptest! {
        #[test]
        fn the_letters_that_differ_are_counted_as_far_as_they_matter(
            one in "[abc]{1,7}", other in "[abc]{1,7}", more in 0_usize..4,
        ) {
            let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
            let most = one.len().abs_diff(other.len()) + more;
            let differ = by_the_book(&one, &other);
            prop_assert_eq!(slips(&one, &other, most), (differ <= most).then_some(differ));
        }

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
