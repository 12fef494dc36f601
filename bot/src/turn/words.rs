//! Spoken words made comparable: small letters, no punctuation around them. Pure.

/// The words of `text`, in small letters, without the punctuation around them.
pub(super) fn of(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase())
        .filter(|word| !word.is_empty())
        .collect()
}

/// Whether a word is a sound of somebody who thinks or breathes, which says nothing.
pub(super) fn is_hesitation(word: &str) -> bool {
    HESITATIONS.contains(&word)
}

#[rustfmt::skip]
const HESITATIONS: &[&str] = &[
    "äh", "ähm", "öh", "öhm", "ehm", "em", "uh", "um", "uhm", "er", "erm", "hm", "hmm", "ah", "eh", "mh", "tja",
];
