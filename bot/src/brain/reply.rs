//! Replies: whether a sentence takes or turns down what was just asked for.

use super::{Language, sentence::Sentence, tokens::Token};

/// What a sentence answers to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// "Yes", "sure": agreed.
    Yes,
    /// "I'll do that": agreed, and the speaker takes it.
    Mine,
    /// "I can't": turned down.
    No,
}

/// The reply that `sentence` begins with.
pub(super) fn read(sentence: &Sentence) -> Option<Reply> {
    if sentence.asks() {
        return None;
    }
    let (mine, yes, no, lead) = match sentence.language {
        Language::English => (ENGLISH_MINE, ENGLISH_YES, ENGLISH_NO, ENGLISH_LEAD),
        Language::German => (GERMAN_MINE, GERMAN_YES, GERMAN_NO, GERMAN_LEAD),
    };
    let tokens = &sentence.tokens[..];
    let content = tokens.iter().position(|token| !token.among(lead)).unwrap_or(tokens.len());
    let begins = |phrases: &[&str]| {
        phrases.iter().any(|phrase| begins_with(&tokens[content..], phrase) || begins_with(tokens, phrase))
    };
    if begins(no) {
        Some(Reply::No)
    } else if begins(mine) {
        Some(Reply::Mine)
    } else if content > 0 && tokens[..content].iter().any(|token| token.among(yes)) {
        Some(Reply::Yes)
    } else {
        None
    }
}

fn begins_with(tokens: &[Token], phrase: &str) -> bool {
    let mut tokens = tokens.iter();
    phrase.split(' ').all(|word| tokens.next().is_some_and(|token| token.is(word)))
}

/// Words that may stand before the telling part, and are a reply of themselves when among the words of consent.
#[rustfmt::skip]
const ENGLISH_LEAD: &[&str] = &[
    "yes", "yeah", "yep", "sure", "okay", "ok", "absolutely", "certainly", "definitely", "alright", "right", "fine",
    "great", "perfect", "gladly", "happily", "deal", "agreed", "oh", "well", "um", "uh", "of", "course", "no",
    "problem", "sounds", "good", "thing", "yup", "totally", "sorry", "then",
];

#[rustfmt::skip]
const ENGLISH_YES: &[&str] = &[
    "yes", "yeah", "yep", "yup", "sure", "okay", "ok", "absolutely", "certainly", "definitely", "alright", "fine",
    "gladly", "happily", "deal", "agreed", "course", "problem", "perfect", "good",
];

#[rustfmt::skip]
const ENGLISH_MINE: &[&str] = &[
    "will do", "i will do", "i will take", "i will handle", "i will take care", "i can do", "i can take", "i got it",
    "i got this", "i have got it", "on it", "i am on it", "leave it to me", "consider it done", "count on me",
    "my pleasure", "happy to", "let me do", "let me handle", "let me take", "i am happy to", "mine", "will take care",
    "can do",
];

#[rustfmt::skip]
const ENGLISH_NO: &[&str] = &[
    "no i can not", "no i will not", "i can not", "i will not", "i am afraid", "unfortunately", "no sorry",
    "sorry i can not", "not me", "i do not have time", "i would rather not", "no we do not", "i am not able",
    "no thanks", "no way", "that is not possible", "i do not think i can",
];

#[rustfmt::skip]
const GERMAN_LEAD: &[&str] = &[
    "ja", "jo", "klar", "gerne", "gern", "okay", "ok", "natürlich", "sicher", "selbstverständlich", "genau", "gut",
    "alles", "geht", "passt", "einverstanden", "super", "prima", "in", "ordnung", "äh", "ähm", "also", "dann", "na",
    "kein", "problem", "jawohl", "freilich", "auf", "jeden", "fall",
];

#[rustfmt::skip]
const GERMAN_YES: &[&str] = &[
    "ja", "jo", "klar", "gerne", "gern", "okay", "ok", "natürlich", "sicher", "selbstverständlich", "geht", "passt",
    "einverstanden", "ordnung", "problem", "jawohl", "freilich", "fall",
];

#[rustfmt::skip]
const GERMAN_MINE: &[&str] = &[
    "mach ich", "mache ich", "ich mach das", "ich mache das", "das mach ich", "das mache ich", "ich übernehme das",
    "übernehme ich", "das übernehme ich", "ich kümmere mich", "kümmere ich mich", "darum kümmere ich mich",
    "da kümmere ich mich", "kann ich machen", "das kann ich machen", "das kann ich übernehmen", "kann ich übernehmen",
    "erledige ich", "das erledige ich", "ich erledige das", "ich bin dran", "wird gemacht", "wird erledigt",
    "mache ich gerne", "ich mach's", "mach ich's", "das werde ich", "das nehme ich", "nehm ich", "ich mach es",
    "ich mache es",
];

#[rustfmt::skip]
const GERMAN_NO: &[&str] = &[
    "nein", "nee", "leider", "das geht nicht", "das kann ich nicht", "ich kann nicht", "ich kann das nicht",
    "das schaffe ich nicht", "schaffe ich nicht", "ich schaffe das nicht", "geht nicht", "das geht leider nicht",
    "kann ich nicht", "kann ich leider nicht", "das mache ich nicht", "ich habe keine zeit", "dafür habe ich keine",
];
