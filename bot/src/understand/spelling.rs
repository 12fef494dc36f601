//! Words that are spelled: "M E I E R", "S wie Siegfried", "M as in Mike", "Anton Berta Cäsar", "November Oscar". Pure.

use super::words::{Word, norm};

/// Letters that were spelled one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spelled {
    /// In small letters.
    pub(super) letters: String,
    /// The first word that is no part of them.
    pub(super) end: usize,
}

/// What is spelled from `words[at]` on: two letters at least, three words when each is only one of an alphabet, which may be
/// a name as well.
pub(super) fn run(words: &[Word<'_>], at: usize) -> Option<Spelled> {
    let (mut letters, mut end, mut count, mut units, mut certain) = (String::new(), at, 0, 0, false);
    while let Some(unit) = unit(words, end, count > 0) {
        letters.push_str(&unit.letters);
        end = unit.end;
        count += unit.letters.chars().count();
        units += 1;
        certain |= unit.is_certain;
    }
    // "Charlotte Ludwig" are three letters too.
    let is_enough = if certain { count >= 2 } else { units >= 3 };
    is_enough.then_some(Spelled { letters, end })
}

struct Unit {
    letters: String,
    end: usize,
    /// Whether it is a letter and not a word of an alphabet.
    is_certain: bool,
}

/// One letter, however it is said.
fn unit(words: &[Word<'_>], at: usize, is_inside: bool) -> Option<Unit> {
    let word = norm(words, at);
    let certain = |letters: String, end: usize| Some(Unit { letters, end, is_certain: true });
    // "M-E-I-E-R"
    if word.contains('-') && word.split('-').all(is_letter) {
        return certain(word.replace('-', ""), at + 1);
    }
    if let Some(letter) = word.strip_prefix("doppel-").filter(|rest| is_letter(rest)) {
        return certain(letter.repeat(2), at + 1);
    }
    if matches!(word, "doppel" | "double") {
        let one = unit(words, at + 1, true).filter(|one| one.letters.chars().count() == 1)?;
        return certain(one.letters.repeat(2), one.end);
    }
    if word == "umlaut" {
        let umlaut = umlaut(norm(words, at + 1))?;
        return certain(umlaut.to_owned(), at + 2);
    }
    match (word, norm(words, at + 1)) {
        ("eszett", _) => return certain("ß".to_owned(), at + 1),
        ("scharfes", "s") => return certain("ß".to_owned(), at + 2),
        ("bindestrich" | "hyphen", _) if is_inside => return certain("-".to_owned(), at + 1),
        _ => {}
    }
    if is_letter(word) {
        if norm(words, at + 1) == "umlaut" {
            return certain(umlaut(word)?.to_owned(), at + 2);
        }
        let example_at = match (norm(words, at + 1), norm(words, at + 2)) {
            ("wie" | "like", "in") => at + 3,
            ("wie" | "for" | "like", _) => at + 2,
            ("as", "in") => at + 3,
            _ => return certain(word.to_owned(), at + 1),
        };
        // "A for effort" is no spelling.
        let is_its = norm(words, example_at).starts_with(word) && !norm(words, example_at).is_empty();
        return if is_its { certain(word.to_owned(), example_at + 1) } else { None };
    }
    let (_, letters) = ALPHABETS.iter().find(|(name, _)| *name == word)?;
    Some(Unit { letters: (*letters).to_owned(), end: at + 1, is_certain: false })
}

/// One letter, which no digit is.
fn is_letter(word: &str) -> bool {
    let mut chars = word.chars();
    matches!((chars.next(), chars.next()), (Some(letter), None) if letter.is_alphabetic())
}

fn umlaut(letter: &str) -> Option<&'static str> {
    match letter {
        "a" => Some("ä"),
        "o" => Some("ö"),
        "u" => Some("ü"),
        _ => None,
    }
}

/// The alphabets of DIN 5009, old and new, and of NATO.
#[rustfmt::skip]
const ALPHABETS: &[(&str, &str)] = &[
    ("anton", "a"), ("ärger", "ä"), ("berta", "b"), ("cäsar", "c"), ("charlotte", "ch"), ("dora", "d"), ("emil", "e"),
    ("friedrich", "f"), ("gustav", "g"), ("heinrich", "h"), ("ida", "i"), ("julius", "j"), ("kaufmann", "k"),
    ("konrad", "k"), ("ludwig", "l"), ("martha", "m"), ("nordpol", "n"), ("otto", "o"), ("ökonom", "ö"), ("paula", "p"),
    ("quelle", "q"), ("richard", "r"), ("samuel", "s"), ("siegfried", "s"), ("schule", "sch"), ("theodor", "t"),
    ("ulrich", "u"), ("übermut", "ü"), ("viktor", "v"), ("wilhelm", "w"), ("xanthippe", "x"), ("ypsilon", "y"),
    ("zacharias", "z"), ("zeppelin", "z"), ("aachen", "a"), ("berlin", "b"), ("chemnitz", "c"), ("düsseldorf", "d"),
    ("essen", "e"), ("frankfurt", "f"), ("goslar", "g"), ("hamburg", "h"), ("ingelheim", "i"), ("jena", "j"),
    ("köln", "k"), ("leipzig", "l"), ("münchen", "m"), ("nürnberg", "n"), ("offenbach", "o"), ("potsdam", "p"),
    ("quickborn", "q"), ("rostock", "r"), ("salzwedel", "s"), ("tübingen", "t"), ("unna", "u"), ("völklingen", "v"),
    ("wuppertal", "w"), ("xanten", "x"), ("zwickau", "z"), ("alpha", "a"), ("alfa", "a"), ("bravo", "b"),
    ("charlie", "c"), ("delta", "d"), ("echo", "e"), ("foxtrot", "f"), ("golf", "g"), ("hotel", "h"), ("india", "i"),
    ("juliett", "j"), ("juliet", "j"), ("kilo", "k"), ("lima", "l"), ("mike", "m"), ("november", "n"), ("oscar", "o"),
    ("papa", "p"), ("quebec", "q"), ("romeo", "r"), ("sierra", "s"), ("tango", "t"), ("uniform", "u"), ("victor", "v"),
    ("whiskey", "w"), ("whisky", "w"), ("x-ray", "x"), ("xray", "x"), ("yankee", "y"), ("zulu", "z"),
];

#[cfg(test)]
mod tests {
    use super::{super::words, *};

    #[test]
    fn spelled_words_are_put_together() {
        for (text, letters) in [
            ("M E I E R", Some("meier")),
            ("M. E. I. E. R.", Some("meier")),
            ("M-E-Y-E-R", Some("meyer")),
            ("S wie Siegfried, E wie Emil", Some("se")),
            ("S wie Siegfried C H M I doppel T", Some("schmitt")),
            ("M as in Mike, A as in Alpha, Y as in Yankee", Some("may")),
            ("B for Bravo O B", Some("bob")),
            ("W wie in Wilhelm, E B", Some("web")),
            ("Anton Berta Cäsar", Some("abc")),
            ("Schule Wilhelm Ärger Berta", Some("schwäb")),
            ("November Oscar Romeo Alpha", Some("nora")),
            ("Berlin Essen Rostock", Some("ber")),
            ("A umlaut N D", Some("änd")),
            ("G R Ö eszett E", Some("größe")),
            ("double L O Y D", Some("lloyd")),
            // A name is no spelling, and one letter is none either.
            ("Anton Berta", None),
            ("Martha Weber", None),
            ("Charlotte Ludwig", None),
            ("A for effort", None),
            ("I", None),
            ("7 8 9", None),
            ("", None),
        ] {
            let words = words::of(text);
            assert_eq!(run(&words, 0).map(|spelled| spelled.letters).as_deref(), letters, "{text}");
        }
    }
}
