//! Introductions: "this is Jonas", "mein Name ist Ada Lovelace". What is found is an offer, never a fact: people also
//! introduce others.

use asr::event::Word;

use super::names;

/// Somebody who may have said who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The name, as it was written.
    pub name: String,
    /// The words that say so.
    pub quote: String,
    /// Where they begin among the words that were read.
    pub at: usize,
    /// How many they are.
    pub count: usize,
}

/// The first introduction in the words of one speaker.
pub(super) fn find(words: &[Word]) -> Option<Introduction> {
    let plain: Vec<String> = words.iter().map(|word| bare(&word.text).to_lowercase()).collect();
    (0..words.len()).find_map(|at| {
        let phrase = PHRASES.iter().filter(|phrase| begins_with(&plain[at..], phrase.words));
        let phrase = phrase.max_by_key(|phrase| phrase.words.len())?;
        // "This is. Jonas" is no introduction, "My name is, uh, Jonas" is rare enough.
        let first = at + phrase.words.len();
        let is_first_name = names::is_first_name(plain.get(first)?);
        let is_called = is_first_name || (phrase.is_sure && is_name(&words[first].text));
        if !is_called {
            return None;
        }
        let goes_on = words[first].text.chars().last().is_some_and(char::is_alphanumeric);
        let family = goes_on.then(|| words.get(first + 1)).flatten().filter(|word| is_name(&word.text));
        let family = family.map(|word| bare(&word.text)).filter(|word| !is_common(word));
        let given = capitalised(bare(&words[first].text));
        let name = family.map_or_else(|| given.clone(), |family| format!("{given} {family}"));
        let count = first + 1 + usize::from(family.is_some()) - at;
        let quote: Vec<&str> = words[at..at + count].iter().map(|word| word.text.as_str()).collect();
        Some(Introduction { name, quote: quote.join(" "), at, count })
    })
}

struct Phrase {
    words: &'static [&'static str],
    /// Whether a name follows for certain; elsewhere only a common first name is believed.
    is_sure: bool,
}

const fn sure(words: &'static [&'static str]) -> Phrase {
    Phrase { words, is_sure: true }
}

const fn perhaps(words: &'static [&'static str]) -> Phrase {
    Phrase { words, is_sure: false }
}

const PHRASES: &[Phrase] = &[
    sure(&["my", "name", "is"]),
    sure(&["my", "name's"]),
    sure(&["mein", "name", "ist"]),
    sure(&["ich", "heiße"]),
    sure(&["ich", "heisse"]),
    perhaps(&["this", "is"]),
    perhaps(&["i", "am"]),
    perhaps(&["i'm"]),
    perhaps(&["hier", "ist"]),
    perhaps(&["hier", "spricht"]),
    perhaps(&["hier", "ist", "der"]),
    perhaps(&["hier", "ist", "die"]),
    perhaps(&["ich", "bin"]),
    perhaps(&["ich", "bin", "der"]),
    perhaps(&["ich", "bin", "die"]),
];

/// Stand with a capital after a name in either language and are no family name.
const COMMON: &[&str] = &["I", "I'm", "I'll", "I've", "Ich", "Sie", "Ihr", "Ihre", "Ihnen"];

fn is_common(word: &str) -> bool {
    COMMON.contains(&word)
}

fn begins_with(words: &[String], phrase: &[&str]) -> bool {
    words.len() > phrase.len() && words.iter().zip(phrase).all(|(word, next)| word.as_str() == *next)
}

/// A word with a capital, of letters.
fn is_name(text: &str) -> bool {
    let word = bare(text);
    let is_letter = |c: char| c.is_alphabetic() || matches!(c, '-' | '\'' | '’');
    word.chars().count() >= 2 && word.chars().next().is_some_and(char::is_uppercase) && word.chars().all(is_letter)
}

/// A word without the signs around it.
fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| !c.is_alphanumeric())
}

fn capitalised(name: &str) -> String {
    super::sentence::capitalised(name)
}

#[cfg(test)]
mod tests {
    use media::time::Span;

    use super::*;

    fn introduced(text: &str) -> Option<(String, String)> {
        let word = |text: &str| Word { text: text.to_owned(), span: Span::default(), confidence: 1.0 };
        let words: Vec<Word> = text.split_whitespace().map(word).collect();
        find(&words).map(|found| (found.name, found.quote))
    }

    #[test]
    fn people_say_who_they_are_in_both_languages() {
        for (text, name, quote) in [
            ("Hello, this is Jonas.", "Jonas", "this is Jonas."),
            ("hi my name is ada", "", ""),
            ("My name is Ada Lovelace, nice to meet you.", "Ada Lovelace", "My name is Ada Lovelace,"),
            ("hi i'm jonas and i will do it", "Jonas", "i'm jonas"),
            ("Guten Tag, hier ist Jonas Weber.", "Jonas Weber", "hier ist Jonas Weber."),
            ("Mein Name ist Öztürk.", "Öztürk", "Mein Name ist Öztürk."),
            ("Ich bin die Anna.", "Anna", "Ich bin die Anna."),
            ("Hier spricht Peter. Ich rufe an.", "Peter", "Hier spricht Peter."),
        ] {
            let expected = (!name.is_empty()).then(|| (name.to_owned(), quote.to_owned()));
            assert_eq!(introduced(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_not_offered_as_one() {
        for text in [
            "",
            "this is",
            "This is Monday.",
            "I am Tired.",
            "Hier ist Platz.",
            "ich bin der Meinung",
            "My name is 007.",
        ] {
            assert_eq!(introduced(text), None, "{text}");
        }
    }
}
