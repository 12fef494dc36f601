//! Text as people write it becomes words as people say them, in German and English.
//!
//! Numbers, dates, times, money, telephone numbers, addresses and abbreviations are read out; a voice is handed words
//! alone. Other languages are left to the voice's own rules. Every word keeps what was written, so that a transcript
//! shows "14:30" where "vierzehn Uhr dreißig" was said. Pure; the output is bounded by the input.

mod address;
mod english;
mod figures;
mod german;
mod lexicon;
mod phone;
mod quantity;
mod reading;
mod say_as;
mod token;

use std::time::Duration;

use unicode_normalization::UnicodeNormalization;

use self::{
    lexicon::Lexicon,
    reading::{Line, Reading},
};
use crate::{
    utterance::{BREAK_MAX, Emphasis, Piece, Prosody, Sounds, Utterance},
    voice::{How, Language, Rules, Word},
};

/// What is said, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A word.
    Word(Word),
    /// Silence that was asked for.
    Pause(Duration),
    /// A sentence ends here.
    SentenceEnd,
    /// A paragraph ends here.
    ParagraphEnd,
}

/// What `utterance` says.
pub fn shape(utterance: &Utterance) -> Vec<Item> {
    let mut shaper = Shaper { own: utterance.voice.language, items: Vec::new() };
    let around = Around { language: utterance.voice.language, prosody: Prosody::default(), emphasis: None };
    shaper.pieces(&utterance.pieces, around);
    shaper.items
}

/// `text` as it is read in `language`.
pub fn read(text: &str, language: Language) -> String {
    let text = tidied(text);
    let words: Vec<_> = readings(&text, language).into_iter().map(|(_, spoken, _)| spoken).collect();
    words.iter().filter(|spoken| !spoken.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// What holds around a piece.
#[derive(Clone, Copy)]
struct Around {
    language: Language,
    prosody: Prosody,
    emphasis: Option<Emphasis>,
}

struct Shaper {
    own: Language,
    items: Vec<Item>,
}

impl Shaper {
    fn pieces(&mut self, pieces: &[Piece], around: Around) {
        for piece in pieces {
            match piece {
                Piece::Text(text) | Piece::Sub(text) => self.text(text, around),
                Piece::Break(span) => self.items.push(Item::Pause((*span).min(BREAK_MAX))),
                Piece::Emphasis(level, inner) => self.pieces(inner, Around { emphasis: Some(*level), ..around }),
                Piece::Prosody(prosody, inner) => {
                    self.pieces(inner, Around { prosody: prosody.within(around.prosody), ..around });
                }
                Piece::SayAs(kind, text) => {
                    let spoken = say_as::read(*kind, &tidied(text), around.language);
                    self.word(&tidied(text), spoken, around, None);
                }
                Piece::Phoneme { sounds, text } => {
                    let ipa = match sounds {
                        Sounds::Ipa(ipa) => Some(ipa.clone()),
                        Sounds::Other => None,
                    };
                    self.word(&tidied(text), read(text, around.language), around, ipa);
                }
                Piece::Sentence(inner) => {
                    self.items.push(Item::SentenceEnd);
                    self.pieces(inner, around);
                    self.items.push(Item::SentenceEnd);
                }
                Piece::Paragraph(inner) => {
                    self.items.push(Item::ParagraphEnd);
                    self.pieces(inner, around);
                    self.items.push(Item::ParagraphEnd);
                }
                Piece::Lang(language, inner) => self.pieces(inner, Around { language: *language, ..around }),
            }
        }
    }

    fn text(&mut self, text: &str, around: Around) {
        for (at, paragraph) in paragraphs(text).into_iter().enumerate() {
            if at > 0 {
                self.items.push(Item::ParagraphEnd);
            }
            for (written, spoken, ends) in readings(&paragraph, around.language) {
                self.word(&written, spoken, around, None);
                if ends {
                    self.items.push(Item::SentenceEnd);
                }
            }
        }
    }

    fn word(&mut self, written: &str, spoken: String, around: Around, ipa: Option<String>) {
        // Punctuation that stands alone, after a mark-up, belongs to the word before.
        let alone = token::mark_of(written);
        if spoken.is_empty() && ipa.is_none() {
            if let Some(Item::Word(before)) = self.items.last_mut()
                && !alone.is_empty()
            {
                before.spoken.push_str(alone);
            }
            return;
        }
        let written = written.split_whitespace().collect::<Vec<_>>().join(" ");
        let language = (around.language != self.own).then_some(around.language);
        let how = How { prosody: around.prosody, emphasis: around.emphasis, language, ipa };
        self.items.push(Item::Word(Word { written, spoken, how }));
    }
}

/// What each part of `text` was, how it is said, and whether a sentence ends with it.
fn readings(text: &str, language: Language) -> Vec<(String, String, bool)> {
    let tokens = token::tokens(text);
    let mut parts = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let line = Line { tokens: &tokens, at };
        let Reading { taken, spoken, keeps_stop } = read_one(line, language);
        let taken = taken.clamp(1, tokens.len() - at);
        let last = tokens[at + taken - 1];
        let written = tokens[at..at + taken].iter().map(|token| token.raw).collect::<Vec<_>>().join(" ");
        let is_over = last.ends_sentence() && keeps_stop;
        let mark = match last.mark() {
            "." if !is_over => "",
            mark => mark,
        };
        let spoken = spoken.trim();
        let spoken = if spoken.is_empty() { String::new() } else { format!("{spoken}{mark}") };
        parts.push((written, spoken, is_over));
        at += taken;
    }
    parts
}

fn read_one(line: Line<'_>, language: Language) -> Reading {
    let Some(lexicon) = lexicon_of(language.rules()) else {
        return Reading::of(1, reading::cleaned(line.now().core, None));
    };
    let own = match language.rules() {
        Rules::German => german::read(line),
        Rules::English { month_first } => english::read(line, month_first),
        Rules::Own => None,
    };
    own.or_else(|| reading::read(line, lexicon)).unwrap_or_else(|| {
        let core = line.now().core;
        Reading::of(1, reading::cleaned(core, Some(lexicon)))
    })
}

fn lexicon_of(rules: Rules) -> Option<&'static Lexicon> {
    match rules {
        Rules::German => Some(&german::LEXICON),
        Rules::English { .. } => Some(&english::LEXICON),
        Rules::Own => None,
    }
}

/// Text parted where a line is empty.
fn paragraphs(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in text.lines() {
        match parts.last_mut() {
            Some(part) if !line.trim().is_empty() => {
                part.push_str(line);
                part.push(' ');
            }
            Some(part) if !part.is_empty() => parts.push(String::new()),
            _ => {}
        }
    }
    parts.iter().map(|part| tidied(part)).filter(|part| !part.is_empty()).collect()
}

/// Composed letters, plain spaces, and nothing that only a screen shows.
fn tidied(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    for c in text.nfc() {
        match c {
            // Hyphens that may break a line, joiners, direction marks.
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {}
            // Signs of variants and the private use: a screen's matter.
            '\u{fe00}'..='\u{fe0f}' | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'.. => {}
            // Pictures.
            '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}' => tidy.push(' '),
            '\u{2010}' | '\u{2011}' => tidy.push('-'),
            c if c.is_control() || c.is_whitespace() => tidy.push(' '),
            c => tidy.push(c),
        }
    }
    tidy
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{utterance::SayAs, voice::VoiceId};

    fn said(pieces: Vec<Piece>, language: Language) -> Vec<Item> {
        shape(&Utterance { voice: VoiceId { language, ..VoiceId::default() }, pieces })
    }

    fn words(items: &[Item]) -> Vec<(&str, &str)> {
        let word = |item| match item {
            &Item::Word(Word { ref written, ref spoken, .. }) => Some((written.as_str(), spoken.as_str())),
            _ => None,
        };
        items.iter().filter_map(word).collect()
    }

    #[test]
    fn a_word_keeps_what_was_written() {
        let items = said(vec![Piece::Text("Um 14:30 Uhr, bitte.".into())], Language::GERMAN);
        assert_eq!(words(&items), [("Um", "Um"), ("14:30 Uhr,", "vierzehn Uhr dreißig,"), ("bitte.", "bitte.")]);
        assert_eq!(items.last(), Some(&Item::SentenceEnd));
    }

    #[test]
    fn what_is_known_is_read_as_that() {
        let cases: &[(SayAs, &str, &str, &str)] = &[
            (SayAs::Digits, "4711", "vier sieben eins eins", "four seven one one"),
            (SayAs::Cardinal, "4711", "viertausendsiebenhundertelf", "four thousand seven hundred eleven"),
            (SayAs::Ordinal, "3", "dritte", "third"),
            (SayAs::Characters, "A1b", "ah, eins, beh", "ay, one, bee"),
            (
                SayAs::Telephone,
                "+49 30 123",
                "plus vier neun, drei null, eins zwei drei",
                "plus four nine, three zero, one two three",
            ),
            (
                SayAs::Date(utterance_order()),
                "2026-05-03",
                "dritter Mai zweitausendsechsundzwanzig",
                "May third, twenty twenty-six",
            ),
            (SayAs::Date(crate::utterance::DateOrder::DayFirst), "3/5", "dritter Mai", "May third"),
            (SayAs::Time, "14:30", "vierzehn Uhr dreißig", "fourteen thirty"),
            (SayAs::Currency, "EUR 5", "fünf Euro", "five euros"),
            (SayAs::Currency, "$5", "fünf Dollar", "five dollars"),
            (SayAs::Unit, "5 km", "fünf Kilometer", "five kilometers"),
            (
                SayAs::Email,
                "a.bc@x-y.de",
                "a Punkt beh zeh ät iks Minus y Punkt de",
                "a dot bee see at ex dash y dot de",
            ),
            (SayAs::Expletive, "damn", "", ""),
            (SayAs::Ordinal, "apple", "apple", "apple"),
        ];
        for (kind, text, german, english) in cases {
            assert_eq!(say_as::read(*kind, text, Language::GERMAN), *german, "{kind:?} {text}");
            assert_eq!(say_as::read(*kind, text, Language::ENGLISH_US), *english, "{kind:?} {text}");
        }
    }

    fn utterance_order() -> crate::utterance::DateOrder {
        crate::utterance::DateOrder::OfLanguage
    }

    #[test]
    fn marks_become_how_a_word_is_said_and_pauses() {
        let slow = Prosody { rate: 0.5, ..Prosody::default() };
        let items = said(
            vec![
                Piece::Text("Hello".into()),
                Piece::Break(Duration::from_secs(99)),
                Piece::Prosody(slow, vec![Piece::Emphasis(Emphasis::Strong, vec![Piece::Text("there".into())])]),
                Piece::Text(".".into()),
                Piece::Lang(Language::GERMAN, vec![Piece::Text("am 3. Mai".into())]),
                Piece::Sub("World Wide Web Consortium".into()),
                Piece::Phoneme { sounds: Sounds::Ipa("təˈmɑːtəʊ".into()), text: "tomato".into() },
            ],
            Language::ENGLISH_US,
        );
        assert_eq!(items[1], Item::Pause(BREAK_MAX));
        let Item::Word(there) = &items[2] else { panic!("{items:?}") };
        assert_eq!(
            (there.spoken.as_str(), there.how.prosody, there.how.emphasis),
            ("there.", slow, Some(Emphasis::Strong))
        );
        let Item::Word(date) = &items[5] else { panic!("{items:?}") };
        assert_eq!((date.spoken.as_str(), date.how.language), ("dritten Mai", Some(Language::GERMAN)));
        let Some(Item::Word(tomato)) = items.last() else { panic!("{items:?}") };
        assert_eq!((tomato.spoken.as_str(), tomato.how.ipa.as_deref()), ("tomato", Some("təˈmɑːtəʊ")));
    }

    #[test]
    fn what_only_a_screen_shows_is_not_said() {
        for (text, expected) in [
            ("Hallo 👋 Welt ✅", "Hallo Welt"),
            ("so\u{ad}fort \u{200b}los", "sofort los"),
            ("**fett** und _schief_", "fett und schief"),
            ("[[h@l]] <b>", "h ät l b"),
            ("a<break time=\"9s\"/>", "a break time gleich 9s"),
            ("\u{0}a\u{7}b", "a b"),
            ("„Ja“ – sagte er …", "Ja sagte er"),
        ] {
            assert_eq!(read(text, Language::GERMAN), expected, "{text:?}");
        }
    }

    #[test]
    fn other_languages_are_left_to_the_voice() {
        let french = Language::nearest("fr-FR").expect("it is spoken").0;
        assert_eq!(read("Il est 14:30, d'accord ?", french), "Il est 14 30, d'accord");
        let hindi = Language::nearest("hi").expect("it is spoken").0;
        assert_eq!(read("नमस्ते।", hindi), "नमस्ते.");
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_said_is_bounded(
            text in "(\\PC|[0-9.,:;/+@#€$%-]|[A-Za-zäß ]|\n| [0-9]{1,5}| (Uhr|Mai|May|am|pm|Mio\\.|€|z\\. B\\.|km|und|#)){0,80}",
            language in prop::sample::select(vec!["de", "en-US", "en-GB", "fr-FR"]),
        ) {
            let language = Language::nearest(language).expect("it is spoken").0;
            let items = said(vec![Piece::Text(text.clone())], language);
            let said: usize = words(&items).iter().map(|(_, spoken)| spoken.len() + 1).sum();
            prop_assert!(said <= 64 + 24 * text.len(), "{said} of {}", text.len());
            for (_, spoken) in words(&items) {
                prop_assert!(spoken.contains(char::is_alphanumeric), "{spoken:?}");
                prop_assert!(!spoken.contains(['<', '>', '[', ']', '{', '}', '\n', '\u{0}']), "{spoken:?}");
            }
        }

        #[test]
        fn no_text_of_a_known_kind_panics(text in "(\\PC|[0-9.,:/+@ €-]){0,40}", kind in 0..13_usize) {
            use crate::utterance::DateOrder;
            let kinds = [
                SayAs::Cardinal, SayAs::Ordinal, SayAs::Digits, SayAs::Characters, SayAs::Telephone,
                SayAs::Date(DateOrder::YearFirst), SayAs::Date(DateOrder::MonthFirst), SayAs::Time, SayAs::Currency,
                SayAs::Unit, SayAs::Fraction, SayAs::Email, SayAs::Expletive,
            ];
            for language in [Language::GERMAN, Language::ENGLISH_US] {
                let spoken = say_as::read(kinds[kind], &text, language);
                prop_assert!(spoken.len() <= 64 + 24 * text.len(), "{} of {}", spoken.len(), text.len());
            }
        }
    }
}
