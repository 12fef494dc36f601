//! What a sentence says to the question whether one may be recorded: yes, no, or something else.
//!
//! German and English at once: who is asked in one may answer in the other. A yes is a sentence that says nothing but yes;
//! a no is a short one that denies anything, or one of any length that denies recording. Whatever else is said is no
//! answer, above all what only sounds like one ("Yes, hello, this is Weber", "No problem", "Why not?").

/// Words of a sentence that still answers a question.
const SHORT: usize = 10;

/// Words that agree.
const YES: &[&str] = &[
    "ja",
    "jawohl",
    "jo",
    "jep",
    "yes",
    "yeah",
    "yep",
    "yup",
    "ok",
    "okay",
    "einverstanden",
    "zustimme",
    "stimme",
    "gerne",
    "gern",
    "natürlich",
    "selbstverständlich",
    "klar",
    "ordnung",
    "agree",
    "agreed",
    "sure",
    "certainly",
    "absolutely",
    "course",
    "consent",
];

/// Words that may stand beside them.
const BESIDE: &[&str] = &[
    "ich",
    "bin",
    "damit",
    "dem",
    "zu",
    "das",
    "ist",
    "in",
    "für",
    "mich",
    "bitte",
    "danke",
    "schön",
    "sehr",
    "äh",
    "ähm",
    "hm",
    "mit",
    "der",
    "aufnahme",
    "aufzeichnung",
    "i",
    "do",
    "am",
    "that",
    "thats",
    "is",
    "fine",
    "all",
    "right",
    "with",
    "it",
    "to",
    "me",
    "please",
    "thanks",
    "of",
    "uh",
    "um",
];

/// Words that deny.
const NO: &[&str] = &[
    "nein",
    "nee",
    "ne",
    "nö",
    "nicht",
    "kein",
    "keine",
    "keinen",
    "keinesfalls",
    "niemals",
    "widerspreche",
    "ablehnen",
    "lehne",
    "no",
    "nope",
    "nah",
    "not",
    "dont",
    "never",
    "refuse",
    "decline",
    "disagree",
    "object",
    "wont",
];

/// How words begin that speak of recording.
const RECORDING: &[&str] = &["aufnehm", "aufnahm", "aufzeichn", "aufgezeichn", "mitschneid", "record"];

/// What denies something and means the contrary, or nothing.
const NEITHER: &[&str] = &[
    "no problem",
    "kein problem",
    "keine einwände",
    "nichts dagegen",
    "warum nicht",
    "why not",
    "dont mind",
    "not sure",
    "weiß nicht",
];

/// What a sentence says; nothing where it is no clear answer.
pub fn answer(text: &str) -> Option<bool> {
    let is_question = text.trim_end().ends_with('?');
    let plain: String = text.to_lowercase().chars().filter(|sign| !"'’".contains(*sign)).collect();
    let words: Vec<&str> = plain.split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let sentence = format!(" {} ", words.join(" "));
    let is_short = words.len() <= SHORT;
    if is_question || words.is_empty() || NEITHER.iter().any(|said| sentence.contains(&format!(" {said} "))) {
        return None;
    }
    if words.iter().any(|word| NO.contains(word)) {
        let is_about_it = words.iter().any(|word| RECORDING.iter().any(|start| word.starts_with(start)));
        return (is_short || is_about_it).then_some(false);
    }
    let agrees = words.iter().any(|word| YES.contains(word));
    let says_no_more = words.iter().all(|word| YES.contains(word) || BESIDE.contains(word));
    (agrees && says_no_more && is_short).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_yes_is_a_sentence_that_says_nothing_but_yes() {
        for said in [
            "Ja.",
            "ja",
            "Ja, gerne!",
            "Ja, ich bin einverstanden.",
            "Ich stimme zu.",
            "Äh, ja, das ist in Ordnung.",
            "Okay.",
            "Yes.",
            "Yes, please.",
            "Yes, I agree.",
            "Sure, that's fine.",
            "Of course",
        ] {
            assert_eq!(answer(said), Some(true), "{said}");
        }
    }

    #[test]
    fn a_no_is_a_short_sentence_that_denies_or_one_that_denies_recording() {
        for said in [
            "Nein.",
            "Nein, danke.",
            "Nö",
            "Ja, nein, lieber nicht.",
            "Ich bin nicht einverstanden.",
            "No.",
            "No, thank you.",
            "I don't agree.",
            "Please do not record me.",
            "Also ich möchte das eigentlich wirklich ganz und gar nicht so gerne aufgezeichnet haben.",
        ] {
            assert_eq!(answer(said), Some(false), "{said}");
        }
    }

    #[test]
    fn everything_else_is_no_answer() {
        for said in [
            "",
            "...",
            "Ja?",
            "Hallo?",
            "Ja, hallo, hier ist Anna Weber.",
            "Yes, hello, this is Ada speaking.",
            "No problem.",
            "Kein Problem!",
            "Warum nicht?",
            "I'm not sure.",
            "What did you say",
            "Eins",
            "I know that the weather was not as good as we had hoped for when we came here",
        ] {
            assert_eq!(answer(said), None, "{said}");
        }
    }
}
