//! What a mouth does while words are heard: visemes with their places in the sound, for whoever draws a face.
//!
//! Each word is given by its sounds in the International Phonetic Alphabet and the place where it begins; its
//! visemes share the time until the next word by how long such sounds usually last, and the mouth closes where a
//! pause is left. German and English are known; other languages are read with the same letters. Pure.
//!
//! The classes are the fifteen that Meta's lip sync reference lists (`sil PP FF TH DD kk CH SS nn RR aa E I O U`),
//! which most avatars have as blend shapes; [`Viseme::index`] is their order there.

use crate::voice::{Language, Rules};

/// The shape of a mouth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Viseme {
    /// Closed, at rest.
    Silence,
    /// p, b, m: lips pressed together.
    Pp,
    /// f, v: lip at the teeth.
    Ff,
    /// th: tongue between the teeth.
    Th,
    /// t, d: tongue behind the teeth.
    Dd,
    /// k, g, and the sound of "ach".
    Kk,
    /// sh, zh, ch, j: lips pushed forward.
    Ch,
    /// s, z, and the sound of "ich": teeth together.
    Ss,
    /// n, ng, l.
    Nn,
    /// r.
    Rr,
    /// The open vowels.
    Aa,
    /// The vowels of "bed", and those that nothing is said with.
    E,
    /// The vowels of "tip" and "tea".
    I,
    /// The vowels of "toe", and the German ö.
    O,
    /// The vowels of "book", the German ü, and w.
    U,
}

impl Viseme {
    /// Its name in the reference.
    pub const fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// The one of this name in the reference.
    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|viseme| viseme.name() == name)
    }

    /// Its place in the reference, from 0 to 14.
    pub const fn index(self) -> u8 {
        self as u8
    }
}

const ALL: [Viseme; 15] = [
    Viseme::Silence,
    Viseme::Pp,
    Viseme::Ff,
    Viseme::Th,
    Viseme::Dd,
    Viseme::Kk,
    Viseme::Ch,
    Viseme::Ss,
    Viseme::Nn,
    Viseme::Rr,
    Viseme::Aa,
    Viseme::E,
    Viseme::I,
    Viseme::O,
    Viseme::U,
];

const NAMES: [&str; 15] = ["sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U"];

/// A shape and when the mouth takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Which.
    pub viseme: Viseme,
    /// The sample of the sentence at which it begins.
    pub at_sample: u64,
    /// For so many samples, never none.
    pub samples: u64,
}

/// A word that is heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard<'a> {
    /// Its sounds.
    pub ipa: &'a str,
    /// Whose sounds they are.
    pub language: Language,
    /// The sample at which it begins; never falls from word to word.
    pub at_sample: u64,
}

/// The shapes of a sentence whose sound is `samples` long at `rate_hz`, without a gap from its first word to its end.
pub fn shapes(words: &[Heard<'_>], samples: u64, rate_hz: u32) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let start = word.at_sample.min(samples);
        let end = words.get(at + 1).map_or(samples, |next| next.at_sample.clamp(start, samples));
        spread(&phones(word.ipa, word.language), start, end, rate_hz, &mut shapes);
    }
    shapes
}

/// Spreads the sounds of a word over its time, and closes the mouth where they are over before it is.
fn spread(phones: &[Phone], start: u64, end: u64, rate_hz: u32, shapes: &mut Vec<Shape>) {
    let total: f32 = phones.iter().map(|phone| phone.share).sum();
    // Nobody draws out a word further than this: what is left is a pause.
    let longest = (total * LONGEST_SHARE_S * rate_hz as f32).round() as u64;
    let spoken = (end - start).min(longest);
    let mut so_far = 0.0;
    let mut from = start;
    for phone in phones {
        so_far += phone.share;
        let to = start + (spoken as f32 * so_far / total).round() as u64;
        push(shapes, phone.viseme, from, to.clamp(from, end));
        from = to.clamp(from, end);
    }
    push(shapes, Viseme::Silence, from, end);
}

fn push(shapes: &mut Vec<Shape>, viseme: Viseme, from: u64, to: u64) {
    if to <= from {
        return;
    }
    match shapes.last_mut() {
        Some(last) if last.viseme == viseme && last.at_sample + last.samples == from => last.samples += to - from,
        _ => shapes.push(Shape { viseme, at_sample: from, samples: to - from }),
    }
}

/// Seconds that a sound of share 1, a short vowel, lasts at most; slow speech has twice its usual 80 ms.
const LONGEST_SHARE_S: f32 = 0.18;

/// One sound: how the mouth looks, and its share of a word's time against a short vowel.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Phone {
    viseme: Viseme,
    share: f32,
}

/// The sounds of a word; signs that are none are left out. The shares are rounded from the tables of Klatt (1976) and
/// hold for German well enough: only what lies within one word is parted by them.
fn phones(ipa: &str, language: Language) -> Vec<Phone> {
    let is_german = language.rules() == Rules::German;
    let mut phones: Vec<Phone> = Vec::new();
    let mut chars = ipa.chars().peekable();
    while let Some(c) = chars.next() {
        let (viseme, share) = match c {
            // Long: what came before lasts longer.
            'ː' | 'ˑ' => {
                if let Some(last) = phones.last_mut() {
                    last.share *= if c == 'ː' { 1.6 } else { 1.3 };
                }
                continue;
            }
            // t and sh, d and zh are one sound.
            't' | 'd' if chars.peek().is_some_and(|next| matches!(next, 'ʃ' | 'ʒ')) => {
                chars.next();
                (Viseme::Ch, 1.2)
            }
            'p' | 'b' | 'm' | 'ɓ' => (Viseme::Pp, 0.8),
            'f' | 'v' | 'ʋ' | 'ɱ' | 'ɸ' | 'β' => (Viseme::Ff, 0.9),
            'θ' | 'ð' => (Viseme::Th, 0.8),
            // espeak-ng writes the German r with the sign that in English is the t of "water".
            'ɾ' if is_german => (Viseme::Rr, 0.6),
            't' | 'd' | 'ɾ' | 'ɗ' | 'ʈ' | 'ɖ' => (Viseme::Dd, 0.7),
            'k' | 'g' | 'ɡ' | 'q' | 'x' | 'χ' | 'ɣ' | 'c' | 'ɟ' => (Viseme::Kk, 0.8),
            'ʃ' | 'ʒ' | 'ɕ' | 'ʑ' | 'ʂ' | 'ʐ' => (Viseme::Ch, 1.0),
            's' | 'z' | 'ç' | 'ʝ' => (Viseme::Ss, 1.0),
            'n' | 'ŋ' | 'ɲ' | 'ɳ' | 'l' | 'ɫ' | 'ɬ' | 'ʎ' | 'ɭ' => (Viseme::Nn, 0.7),
            'r' | 'ɹ' | 'ɻ' | 'ʁ' | 'ʀ' | 'ɽ' | 'ɚ' | 'ɝ' => (Viseme::Rr, 0.7),
            'a' | 'ɑ' | 'ɐ' | 'ʌ' | 'æ' | 'ä' => (Viseme::Aa, 1.1),
            'ə' | 'ᵊ' => (Viseme::E, 0.6),
            'e' | 'ɛ' | 'ɜ' | 'ɘ' => (Viseme::E, 1.0),
            'i' | 'ɪ' | 'ɨ' | 'ᵻ' | 'ɯ' => (Viseme::I, 0.9),
            'j' => (Viseme::I, 0.6),
            'o' | 'ɔ' | 'ɒ' | 'ø' | 'œ' | 'ɵ' | 'ɤ' => (Viseme::O, 1.0),
            'u' | 'ʊ' | 'y' | 'ʏ' | 'ʉ' => (Viseme::U, 0.9),
            'w' | 'ʍ' | 'ɥ' => (Viseme::U, 0.6),
            // h has no shape of its own: the mouth already has that of the vowel behind it.
            _ => continue,
        };
        phones.push(Phone { viseme, share });
    }
    phones
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(ipa: &str, language: Language) -> String {
        phones(ipa, language).iter().map(|phone| phone.viseme.name()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_of_both_languages_look_as_they_are_said() {
        for (ipa, language, expected) in [
            ("ɡˈuːtən", Language::GERMAN, "kk U DD E nn"),
            ("fˈiːɾ", Language::GERMAN, "FF I RR"),
            ("ˈɪç", Language::GERMAN, "I SS"),
            ("ˈax", Language::GERMAN, "aa kk"),
            ("ʃˈøːn", Language::GERMAN, "CH O nn"),
            ("ʏbɐ", Language::GERMAN, "U PP aa"),
            ("hˈɔøtə", Language::GERMAN, "O O DD E"),
            ("ˈapfəl", Language::GERMAN, "aa PP FF E nn"),
            ("ðɪs", Language::ENGLISH_US, "TH I SS"),
            ("wˈɔːɾɚ", Language::ENGLISH_US, "U O DD RR"),
            ("tʃˈɜːtʃ", Language::ENGLISH_US, "CH E CH"),
            ("dʒˈɑːb", Language::ENGLISH_US, "CH aa PP"),
            ("həlˈoʊ", Language::ENGLISH_US, "E nn O U"),
            ("", Language::ENGLISH_US, ""),
        ] {
            assert_eq!(names(ipa, language), expected, "{ipa}");
        }
    }

    #[test]
    fn names_and_numbers_are_those_of_the_reference() {
        assert_eq!((Viseme::Silence.name(), Viseme::Silence.index()), ("sil", 0));
        assert_eq!((Viseme::Rr.name(), Viseme::Rr.index()), ("RR", 9));
        assert_eq!((Viseme::U.name(), Viseme::U.index()), ("U", 14));
        for (index, viseme) in ALL.into_iter().enumerate() {
            assert_eq!((usize::from(viseme.index()), Viseme::named(viseme.name())), (index, Some(viseme)));
        }
        assert_eq!(Viseme::named("pp"), None);
    }

    #[test]
    fn a_long_vowel_has_more_of_its_word_and_a_pause_closes_the_mouth() {
        let words = [
            Heard { ipa: "ma", language: Language::GERMAN, at_sample: 0 },
            Heard { ipa: "maː", language: Language::GERMAN, at_sample: 1_900 },
        ];
        // At 10 kHz a short "ma" takes 342 ms at most: a second is left.
        let shapes = shapes(&words, 4_400, 10_000);
        let seen: Vec<_> = shapes.iter().map(|shape| (shape.viseme, shape.at_sample)).collect();
        assert_eq!(&seen[..4], [(Viseme::Pp, 0), (Viseme::Aa, 800), (Viseme::Pp, 1_900), (Viseme::Aa, 2_681)]);
        assert_eq!(seen.len(), 4);
        let pause = super::shapes(&words[..1], 10_000, 10_000);
        assert_eq!(pause.last(), Some(&Shape { viseme: Viseme::Silence, at_sample: 3_420, samples: 6_580 }));
    }

    proptest! {
        #[test]
        fn shapes_leave_no_gap_and_never_overlap(
            words in prop::collection::vec(("[a-zəʃːˈɐŋ0-9 ]{0,12}", 0..3_000_u64), 0..12),
            more in 0..5_000_u64,
            rate_hz in 8_000..48_000_u32,
        ) {
            let mut at = 0;
            let heard: Vec<_> = words.iter().map(|(ipa, after)| {
                at += after;
                Heard { ipa, language: Language::GERMAN, at_sample: at }
            }).collect();
            let samples = at + more;
            let shapes = shapes(&heard, samples, rate_hz);
            let mut next = heard.first().map_or(0, |word| word.at_sample);
            for shape in &shapes {
                prop_assert_eq!(shape.at_sample, next);
                prop_assert!(shape.samples > 0);
                next += shape.samples;
            }
            prop_assert_eq!(next, if heard.is_empty() { 0 } else { samples });
        }
    }
}
