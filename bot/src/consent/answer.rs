//! What a sentence says to the question whether one may be recorded: yes, no, or something else.
//!
//! German and English at once: who is asked in one may answer in the other. A yes is a sentence that says nothing but yes;
//! a no is a short one that denies anything, or one of any length that denies recording. Whatever else is said is no
//! answer, above all what only sounds like one ("Yes, hello, this is Weber", "No problem", "Why not?"). A yes of which the
//! recognizer is not sure is none either; a no is.

use crate::event::Segment;

/// How sure the recognizer must be of a yes: what it makes of a cough or a television it is less sure of.
const SURE: f32 = 0.5;

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

/// What may stand before a question and makes no answer of it.
const HESITATION: &[&str] = &["äh", "ähm", "hm", "uh", "um"];

/// What may stand before a sentence and is a yes by itself.
const OPENING: &[&str] = &["ja", "jo", "yes", "yeah", "ok", "okay", "sure", "klar"];

/// How only questions begin: recognizers do not always write their mark.
const ASKING: &[&str] = &["is", "ist", "do", "am"];

/// How questions go on that follow something else, or begin as answers do ("Bin einverstanden").
const INVERTED: &[[&str; 2]] = &[
    ["is", "that"],
    ["is", "it"],
    ["ist", "das"],
    ["ist", "der"],
    ["do", "i"],
    ["am", "i"],
    ["bin", "ich"],
    ["stimme", "ich"],
];

/// What an utterance says; nothing where it is no clear answer, or a yes that may be none.
pub fn meaning(said: &Segment) -> Option<bool> {
    let sure = said.words.iter().map(|word| word.confidence).sum::<f32>() / said.words.len().max(1) as f32;
    answer(&said.text).filter(|agrees| !agrees || sure >= SURE)
}

/// What a sentence says; nothing where it is no clear answer.
pub(super) fn answer(text: &str) -> Option<bool> {
    let is_question = text.trim_end().ends_with('?');
    let plain: String = text.to_lowercase().chars().filter(|sign| !"'’".contains(*sign)).collect();
    let words = words(&plain);
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
    (agrees && says_no_more && is_short && !asks(&plain)).then_some(true)
}

/// Whether a sentence asks, by the order of its words.
fn asks(plain: &str) -> bool {
    let begins = words(plain).into_iter().find(|word| !HESITATION.contains(word));
    let is_inverted = |clause: &str| {
        let words = words(clause);
        let mut rest = words.iter().skip_while(|word| HESITATION.contains(*word) || OPENING.contains(*word));
        let (verb, subject) = (rest.next(), rest.next());
        INVERTED.iter().any(|pair| verb == Some(&pair[0]) && subject == Some(&pair[1]))
    };
    begins.is_some_and(|word| ASKING.contains(&word)) || plain.split([',', '.', ';', ':', '!']).any(is_inverted)
}

fn words(text: &str) -> Vec<&str> {
    text.split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use asr::event::Word;
    use media::{
        id::ParticipantId,
        time::{MediaTime, Span},
    };

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
            "I do agree.",
            "Yes, I do, I agree.",
            "Yes, do it.",
            "Bin einverstanden.",
            "Ja, damit bin ich einverstanden",
            "Dem stimme ich zu.",
            "Ja, ist in Ordnung.",
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
            "Do not record this.",
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
            // As questions are written by a recognizer that omits their mark.
            "Is that okay",
            "Is that all right, okay",
            "Okay, is that all right.",
            "That's okay, is it",
            "Um, is it okay",
            "Do I agree",
            "Ist das in Ordnung",
            "Ist das in Ordnung.",
            "Äh, ist das okay",
            "Ja, ist das in Ordnung",
            "Bin ich damit einverstanden",
            "Stimme ich dem zu",
            "I know that the weather was not as good as we had hoped for when we came here",
        ] {
            assert_eq!(answer(said), None, "{said}");
        }
    }

    #[test]
    fn a_yes_of_which_the_recognizer_is_not_sure_is_none_and_a_no_is() {
        let said = |text: &str, confidence: f32| {
            let span = Span { start: MediaTime::from_millis(1_000), end: MediaTime::from_millis(1_500) };
            let words = text.split(' ').map(|word| Word { text: word.to_owned(), span, confidence }).collect();
            let speaker = "Ada".into();
            let text = text.to_owned();
            meaning(&Segment {
                participant: ParticipantId(1),
                speaker,
                utterance: 0,
                text,
                words,
                span,
                language: None,
                voices: Vec::new(),
            })
        };
        assert_eq!(said("I agree.", 0.9), Some(true));
        assert_eq!(said("I agree.", 0.3), None);
        assert_eq!(said("No.", 0.3), Some(false));
        assert_eq!(said("", 0.0), None);
    }
}
