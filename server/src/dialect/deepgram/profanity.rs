//! The profanity filter: a short list of English and German swear words, masked but for their first letter.
//!
//! Whole words only, so that nobody's name or town is damaged.

use super::words::{Spoken, bare};

const WORDS: [&str; 43] = [
    "arsch",
    "arschloch",
    "arschlöcher",
    "arse",
    "arsehole",
    "ass",
    "asshole",
    "assholes",
    "bastard",
    "bastards",
    "bitch",
    "bitches",
    "bullshit",
    "cock",
    "cocksucker",
    "crap",
    "cunt",
    "cunts",
    "damn",
    "dickhead",
    "ficken",
    "fick",
    "fotze",
    "fuck",
    "fucked",
    "fucker",
    "fuckers",
    "fucking",
    "goddamn",
    "hurensohn",
    "kacke",
    "motherfucker",
    "motherfucking",
    "piss",
    "pissed",
    "prick",
    "scheiß",
    "scheiße",
    "scheisse",
    "shit",
    "shitty",
    "verpiss",
    "wichser",
];

/// Masks the word when it is one of the list.
pub fn mask(word: &mut Spoken) {
    if !WORDS.contains(&word.bare.as_str()) {
        return;
    }
    word.written = masked(&word.written);
    word.bare = masked(&word.bare);
}

/// `text` with the words of the list masked.
pub fn masked_text(text: &str) -> String {
    let word = |word: &str| if WORDS.contains(&bare(word).as_str()) { masked(word) } else { word.to_owned() };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn masked(text: &str) -> String {
    let mut first = true;
    text.chars()
        .map(|c| match c.is_alphanumeric() {
            true if std::mem::take(&mut first) => c,
            true => '*',
            false => c,
        })
        .collect()
}
