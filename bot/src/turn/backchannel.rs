//! What listeners say to show that they listen, in German and English, and the words that stop anybody at once.
//!
//! Over the agent these are no interruption; on their own they are ordinary answers. Pure.

use super::words::is_hesitation;

/// Whether `words` say no more than "I am listening".
pub(super) fn is_only(words: &[String]) -> bool {
    if words.is_empty() || words.len() > WORDS_MAX {
        return false;
    }
    let mut rest = words;
    while let Some(first) = rest.first() {
        let phrase = PHRASES.iter().find(|phrase| starts(rest, phrase)).map(|phrase| phrase.split(' ').count());
        let single = usize::from(SINGLE.contains(&first.as_str()) || is_hesitation(first));
        match phrase.unwrap_or(single) {
            0 => return false,
            taken => rest = &rest[taken..],
        }
    }
    true
}

/// Whether `words` ask for the floor in so many words: "stop", "moment mal".
pub(super) fn stops(words: &[String]) -> bool {
    let begin = words.iter().position(|word| !is_hesitation(word) && !OPENING.contains(&word.as_str()));
    let Some(rest) = begin.map(|begin| &words[begin..]) else { return false };
    rest.first().is_some_and(|first| STOP.contains(&first.as_str())) || STOP_PHRASES.iter().any(|p| starts(rest, p))
}

/// Words of `words` that are more than listening.
pub(super) fn content(words: &[String]) -> usize {
    words.iter().filter(|word| !SINGLE.contains(&word.as_str()) && !is_hesitation(word)).count()
}

fn starts(words: &[String], phrase: &str) -> bool {
    let mut words = words.iter();
    phrase.split(' ').all(|part| words.next().is_some_and(|word| word == part))
}

/// More of them in a row are somebody who wants something.
const WORDS_MAX: usize = 5;

#[rustfmt::skip]
const SINGLE: &[&str] = &[
    // Both.
    "mhm", "mmhm", "mm", "mmm", "mhmm", "aha", "oh", "ok", "okay", "super",
    // German.
    "ja", "jaja", "jo", "jep", "genau", "stimmt", "richtig", "gut", "klar", "alles", "verstehe", "verstanden", "achso",
    "ach", "so", "schön", "prima", "eben", "sicher", "natürlich", "logisch", "gern", "gerne",
    // English.
    "yes", "yeah", "yep", "yup", "right", "sure", "fine", "good", "great", "nice", "cool", "exactly", "alright",
    "uh-huh", "mm-hm", "mm-hmm", "huh", "really", "wow", "absolutely", "true", "perfect",
];

#[rustfmt::skip]
const PHRASES: &[&str] = &[
    "alles klar", "ach so", "ist gut", "ist klar", "sehr gut", "in ordnung", "das stimmt", "i see", "got it", "of course",
    "uh huh", "mm hm", "mm hmm", "go on", "that's right", "all right", "makes sense", "i understand",
];

#[rustfmt::skip]
const STOP: &[&str] = &[
    "stop", "stopp", "halt", "moment", "warte", "warten", "nein", "nee", "falsch", "wait", "no", "nope", "wrong",
    "hold", "pause", "sorry", "entschuldigung", "hallo", "hello", "excuse",
];

#[rustfmt::skip]
const STOP_PHRASES: &[&str] = &[
    "einen moment", "eine frage", "one moment", "just a", "one second", "ich habe eine", "i have a", "hör auf",
];

/// What may stand before them.
const OPENING: &[&str] = &["ja", "okay", "ok", "yes", "yeah", "aber", "but", "oh", "bitte", "please", "well", "also"];

#[cfg(test)]
mod tests {
    use super::{super::words, *};

    #[test]
    fn listening_is_told_from_wanting_the_floor_in_both_languages() {
        for said in
            ["Mhm.", "Ja, genau.", "okay", "Ach so, ja.", "Alles klar.", "Uh-huh.", "yeah, right", "Got it.", "äh ja"]
        {
            assert!(is_only(&words::of(said)), "{said}");
            assert!(!stops(&words::of(said)), "{said}");
        }
        for said in ["", "Ja, aber ich wollte noch etwas", "Dienstag", "no", "ja ja ja ja ja ja", "okay tell me more"] {
            assert!(!is_only(&words::of(said)), "{said}");
        }
        for said in ["Stopp!", "Ja, Moment mal.", "Äh, nein.", "Wait, wait.", "okay hold on", "Einen Moment bitte"] {
            assert!(stops(&words::of(said)), "{said}");
        }
        assert_eq!(content(&words::of("Ja, genau, am Dienstag")), 2);
    }
}
