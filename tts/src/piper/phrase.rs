//! A sentence as Piper is given it: clauses whose sounds are asked for, phrases of clauses, numbers of sounds. Pure.
//!
//! Piper was trained on whole sentences with their punctuation, so clauses are joined again; a long sentence is cut
//! into phrases, since a phrase is made in one go and nothing of it is heard before. Source of the order of numbers:
//! rhasspy/piper-phonemize: begin, then a pad behind each, then the end.

use unicode_normalization::UnicodeNormalization as _;

use super::config::Config;
use crate::voice::{Language, Sentence, Word};

/// Sounds of a phrase after which the next clause is another: some five seconds of speech. What has no clauses stays
/// whole; a sentence has 400 characters at most.
const PHRASE_SOUNDS: usize = 80;

/// Words up to a mark, said alike.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clause {
    pub(super) runs: Vec<Run>,
    /// The mark that ends it.
    mark: Option<char>,
    pub(super) tone: Tone,
}

/// What is said in one language, or whose sounds are told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Run {
    Text { text: String, language: Language },
    Ipa(String),
}

/// How it is said: what Piper can do, which is speed, and what is done to its samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tone {
    pub(super) rate: f32,
    pub(super) gain: f32,
}

impl Tone {
    fn of(word: &Word) -> Self {
        let gain = 10.0_f32.powf(word.how.prosody.volume_db / 20.0);
        Self { rate: word.how.prosody.rate, gain: if gain.is_finite() { gain.clamp(0.0, 3.2) } else { 0.0 } }
    }
}

/// The clauses of a sentence.
pub(super) fn clauses(sentence: &Sentence) -> Vec<Clause> {
    let mut clauses: Vec<Clause> = Vec::new();
    let mut is_open = false;
    for word in &sentence.words {
        let tone = Tone::of(word);
        if !is_open || clauses.last().is_some_and(|clause| clause.tone != tone) {
            clauses.push(Clause { runs: Vec::new(), mark: None, tone });
        }
        is_open = true;
        let language = word.how.language.unwrap_or(sentence.voice.language);
        let mut rest = word.spoken.as_str();
        if let (Some(ipa), Some(clause)) = (&word.how.ipa, clauses.last_mut()) {
            clause.runs.push(Run::Ipa(ipa.clone()));
            // Its text is said by its sounds; the mark behind it stays.
            rest = &rest[rest.trim_end_matches(|c: char| mark(c).is_some()).len()..];
        }
        // A word that is read as several may have marks inside.
        while let Some((at, c)) = rest.char_indices().find(|(at, c)| mark(*c).is_some() && is_end(rest, *at, *c)) {
            say(&mut clauses, &rest[..at], language);
            if let Some(clause) = clauses.last_mut() {
                clause.mark = mark(c);
            }
            rest = &rest[at + c.len_utf8()..];
            is_open = false;
            if rest.contains(char::is_alphanumeric) {
                clauses.push(Clause { runs: Vec::new(), mark: None, tone });
                is_open = true;
            }
        }
        say(&mut clauses, rest, language);
    }
    clauses.retain(|clause| !clause.runs.is_empty());
    clauses
}

fn say(clauses: &mut [Clause], text: &str, language: Language) {
    let Some(clause) = clauses.last_mut() else { return };
    if !text.contains(char::is_alphanumeric) {
        return;
    }
    match clause.runs.last_mut() {
        Some(Run::Text { text: before, language: same }) if *same == language => {
            before.push(' ');
            before.push_str(text.trim());
        }
        _ => clause.runs.push(Run::Text { text: text.trim().to_owned(), language }),
    }
}

/// Whether a mark ends a clause: inside a word, as in "3.5", it does not.
fn is_end(text: &str, at: usize, c: char) -> bool {
    text[at + c.len_utf8()..].chars().next().is_none_or(|next| !next.is_alphanumeric())
}

/// The mark as Piper knows it.
fn mark(c: char) -> Option<char> {
    match c {
        '.' | ',' | ';' | ':' | '?' | '!' => Some(c),
        '…' | '。' | '।' => Some('.'),
        '、' | '،' => Some(','),
        '؟' | '？' => Some('?'),
        '！' => Some('!'),
        _ => None,
    }
}

/// What is made in one go.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Phrase {
    pub(super) ids: Vec<i64>,
    pub(super) tone: Tone,
}

/// The phrases of `clauses`, each given with the sounds of its runs.
pub(super) fn phrases(clauses: &[(Clause, Vec<String>)], config: &Config) -> Vec<Phrase> {
    let mut phrases: Vec<(String, Tone)> = Vec::new();
    for (clause, runs) in clauses {
        let mut sounds = runs.iter().filter(|run| !run.is_empty()).cloned().collect::<Vec<_>>().join(" ");
        if sounds.is_empty() {
            continue;
        }
        sounds.extend(clause.mark);
        match phrases.last_mut() {
            Some((phrase, tone)) if *tone == clause.tone && phrase.chars().count() < PHRASE_SOUNDS => {
                phrase.push(' ');
                phrase.push_str(&sounds);
            }
            _ => phrases.push((sounds, clause.tone)),
        }
    }
    phrases.into_iter().map(|(sounds, tone)| Phrase { ids: ids(&sounds, config), tone }).collect()
}

/// The numbers of sounds; what the voice does not know is left out.
fn ids(sounds: &str, config: &Config) -> Vec<i64> {
    let known = |c| config.numbers(c).unwrap_or_default();
    let mut ids = known('^').to_vec();
    ids.extend(known('_'));
    for c in sounds.nfd() {
        let numbers = known(c);
        if !numbers.is_empty() && !matches!(c, '^' | '_' | '$') {
            ids.extend(numbers);
            ids.extend(known('_'));
        }
    }
    ids.extend(known('$'));
    ids
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        utterance::Prosody,
        voice::{How, VoiceId},
    };

    fn config() -> Config {
        let json = r#"{"audio":{"sample_rate":22050},"espeak":{"voice":"de"},"phoneme_id_map":
            {"_":[0],"^":[1],"$":[2]," ":[3],".":[4],",":[5],"a":[6],"c":[7],"\u0327":[8],"b":[9,10]}}"#;
        Config::parse(json.as_bytes()).unwrap()
    }

    fn sentence(words: Vec<(&str, How)>) -> Sentence {
        let words = words
            .into_iter()
            .map(|(spoken, how)| Word { written: String::new(), spoken: spoken.to_owned(), how })
            .collect();
        Sentence { voice: VoiceId { language: Language::GERMAN, ..VoiceId::default() }, words }
    }

    fn plain(words: &[&str]) -> Sentence {
        sentence(words.iter().map(|word| (*word, How::default())).collect())
    }

    fn shown(sentence: &Sentence) -> Vec<String> {
        let run = |run: &Run| match run {
            Run::Text { text, language } => format!("{language}:{text}"),
            Run::Ipa(ipa) => format!("[{ipa}]"),
        };
        let clause = |clause: &Clause| {
            let runs: Vec<_> = clause.runs.iter().map(run).collect();
            format!("{}{}", runs.join("|"), clause.mark.map(String::from).unwrap_or_default())
        };
        clauses(sentence).iter().map(clause).collect()
    }

    #[test]
    fn clauses_end_with_their_marks_and_keep_what_is_said_otherwise() {
        let english = How { language: Some(Language::ENGLISH_US), ..How::default() };
        let told = How { ipa: Some("ʃtuːl".to_owned()), ..How::default() };
        let words = vec![
            ("Guten", How::default()),
            ("Tag,", How::default()),
            ("Herr", How::default()),
            ("Smith", english),
            ("Stuhl.", told),
        ];
        assert_eq!(shown(&sentence(words)), ["de:Guten Tag,", "de:Herr|en-US:Smith|[ʃtuːl]."]);
        assert_eq!(shown(&plain(&["ah, eins, beh", "3.5", "…", "ja"])), ["de:ah,", "de:eins,", "de:beh 3.5.", "de:ja"]);
        assert_eq!(shown(&plain(&["", "-", "?!"])), [""; 0]);
    }

    #[test]
    fn another_speed_or_loudness_is_another_clause() {
        let soft = How { prosody: Prosody { volume_db: -20.0, ..Prosody::default() }, ..How::default() };
        let mute = How { prosody: Prosody { volume_db: f32::NEG_INFINITY, ..Prosody::default() }, ..How::default() };
        let clauses = clauses(&sentence(vec![("laut", How::default()), ("leise", soft), ("stumm", mute)]));
        let gains: Vec<f32> = clauses.iter().map(|clause| clause.tone.gain).collect();
        assert!((gains[0] - 1.0).abs() < 1e-6 && (gains[1] - 0.1).abs() < 1e-6 && gains[2] == 0.0, "{gains:?}");
    }

    #[test]
    fn numbers_stand_between_begin_and_end_with_pads_between() {
        assert_eq!(ids("a", &config()), [1, 0, 6, 0, 2]);
        // Composed signs are taken apart, unknown ones left out, and nobody writes the end himself.
        assert_eq!(ids("aç xb$.", &config()), [1, 0, 6, 0, 7, 0, 8, 0, 3, 0, 9, 10, 0, 4, 0, 2]);
    }

    #[test]
    fn a_long_sentence_is_made_in_phrases_and_a_short_one_whole() {
        let clause = |mark| Clause { runs: Vec::new(), mark: Some(mark), tone: Tone { rate: 1.0, gain: 1.0 } };
        let short = phrases(&[(clause(','), vec!["a".into()]), (clause('.'), vec!["a".into()])], &config());
        assert_eq!(short.len(), 1);
        assert_eq!(short[0].ids, [1, 0, 6, 0, 5, 0, 3, 0, 6, 0, 4, 0, 2]);
        let many = vec![(clause(','), vec!["a".repeat(50)]); 6];
        assert_eq!(phrases(&many, &config()).len(), 3);
        assert!(phrases(&[(clause('.'), vec![String::new()])], &config()).is_empty());
    }

    proptest! {
        #[test]
        fn no_words_panic_and_every_letter_is_asked_for(words in prop::collection::vec("[a-zß.,;:?! …]{0,12}", 0..12)) {
            let given: Vec<&str> = words.iter().map(String::as_str).collect();
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
            let asked: usize = clauses(&plain(&given)).iter().flat_map(|clause| &clause.runs).map(|run| match run {
                Run::Text { text, .. } => letters(text),
                Run::Ipa(_) => 0,
            }).sum();
            prop_assert_eq!(asked, given.iter().map(|word| letters(word)).sum::<usize>());
        }
    }
}
