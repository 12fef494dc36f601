//! A sentence as espeak-ng's SSML.
//!
//! Only marks that are made here reach the program: signs that would be marks are escaped, and square brackets, which
//! begin its own phoneme notation even where they are escaped, become spaces.

use crate::{
    espeak::name_of,
    utterance::Emphasis,
    voice::{How, Sentence, VoiceId, Word},
    xml::escape,
};

/// The sentence with its marks, on one line.
pub(super) fn render(sentence: &Sentence) -> String {
    let mut text = String::new();
    for words in sentence.words.chunk_by(|a, b| is_alike(&a.how, &b.how)) {
        run(words, sentence.voice, &mut text);
        text.push(' ');
    }
    text
}

/// Whether two words are said alike; how they sound is not asked, since the phonetic alphabet is not understood.
fn is_alike(a: &How, b: &How) -> bool {
    (a.prosody, a.emphasis, a.language) == (b.prosody, b.emphasis, b.language)
}

fn run(words: &[Word], voice: VoiceId, text: &mut String) {
    let Some(How { prosody, emphasis, language, .. }) = words.first().map(|word| &word.how) else { return };
    // Its own emphasis is loud enough to distort, so it is made of these.
    let (rate, pitch, louder_db) = match emphasis {
        Some(Emphasis::Strong) => (0.85, 1.1, 3.0),
        Some(Emphasis::Moderate) => (0.92, 1.05, 1.5),
        Some(Emphasis::Reduced) => (1.1, 0.95, -3.0),
        Some(Emphasis::None) | None => (1.0, 1.0, 0.0),
    };
    let (rate, pitch, volume_db) = (prosody.rate * rate, prosody.pitch * pitch, prosody.volume_db + louder_db);
    let is_plain = rate == 1.0 && pitch == 1.0 && volume_db == 0.0;
    if let Some(language) = language {
        text.push_str(&format!("<voice name=\"{}\">", name_of(VoiceId { language: *language, ..voice })));
    }
    if !is_plain {
        // A hundred is as loud as it speaks by itself; much more distorts.
        let volume = (100.0 * 10.0_f32.powf(volume_db / 20.0)).clamp(0.0, 150.0);
        let pitch = (pitch - 1.0) * 100.0;
        text.push_str(&format!(
            "<prosody rate=\"{:.0}%\" pitch=\"{pitch:+.0}%\" volume=\"{volume:.0}\">",
            rate * 100.0
        ));
    }
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            text.push(' ');
        }
        escape(&word.spoken.replace(['[', ']'], " "), text);
    }
    if !is_plain {
        text.push_str("</prosody>");
    }
    if language.is_some() {
        text.push_str("</voice>");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{utterance::Prosody, voice::Language};

    fn word(spoken: &str, how: How) -> Word {
        Word { written: spoken.to_owned(), spoken: spoken.to_owned(), how }
    }

    fn sentence(words: Vec<Word>) -> Sentence {
        Sentence { voice: VoiceId { language: Language::GERMAN, ..VoiceId::default() }, words }
    }

    #[test]
    fn words_that_are_said_alike_share_their_marks() {
        let slow = How { prosody: Prosody { rate: 0.5, pitch: 1.2, volume_db: -6.0 }, ..How::default() };
        let english = How { language: Some(Language::ENGLISH_US), ..How::default() };
        let words = vec![
            word("Guten", How::default()),
            word("Tag,", How::default()),
            word("ganz", slow.clone()),
            word("langsam.", slow),
            word("Bye", english),
        ];
        assert_eq!(
            render(&sentence(words)),
            "Guten Tag, <prosody rate=\"50%\" pitch=\"+20%\" volume=\"50\">ganz langsam.</prosody> \
             <voice name=\"en-us\">Bye</voice> "
        );
    }

    proptest! {
        #[test]
        fn no_text_becomes_a_mark(text in "([<>&\\[\\]\"'/]|audio|src=|[a-z ]|\\PC|\\n|\u{0}){0,40}") {
            let rendered = render(&sentence(vec![word(&text, How::default())]));
            prop_assert!(!rendered.contains(['<', '>', '[', ']', '\n', '\0']));
            prop_assert!(rendered.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").chars().all(|c| c != '&'));
            prop_assert!(rendered.len() <= 5 * text.len() + 1);
        }
    }
}
