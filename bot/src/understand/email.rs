//! E-mail addresses in what is said: written, dictated ("anna punkt meier at firma punkt de") or spelled ("A N N A dot M
//! at …"). Pure.

use super::{
    digits, spelling,
    words::{self, Word, norm},
};

/// The address in `text`. Where one was asked for, all words before the "at" are part of it, not only the last.
pub(super) fn find(text: &str, is_asked: bool) -> Option<String> {
    let words = words::of(text);
    if let Some(written) = words.iter().find_map(|word| written(&word.norm)) {
        return Some(written);
    }
    // The last one first: "you can reach me at anna at firma dot com".
    (0..words.len()).rev().filter(|at| is_at(&words, *at)).find_map(|at| {
        let (local, domain) = (local(&words, at, is_asked)?, domain(&words, at + 1)?);
        written(&format!("{local}@{domain}"))
    })
}

/// `word` as an address, when it is one.
fn written(word: &str) -> Option<String> {
    let (local, domain) = word.split_once('@')?;
    let (local, domain) = (ascii(local), ascii(domain));
    let is_local = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    let (_, ending) = domain.rsplit_once('.')?;
    let is_one = !local.is_empty()
        && local.len() <= 64
        && domain.len() <= 190
        && local.chars().all(is_local)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && domain.split('.').all(is_label)
        && ending.len() >= 2
        && ending.bytes().all(|byte| byte.is_ascii_lowercase());
    is_one.then(|| format!("{local}@{domain}"))
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Addresses are written without umlauts.
fn ascii(text: &str) -> String {
    text.replace('ä', "ae").replace('ö', "oe").replace('ü', "ue").replace('ß', "ss")
}

/// Whether the word at `at` stands for `@`: "at" behind a dot is Austria's.
fn is_at(words: &[Word<'_>], at: usize) -> bool {
    let is_after_dot = at > 0 && sign(norm(words, at - 1)) == Some('.');
    match norm(words, at) {
        "@" | "ät" | "ätt" | "ett" | "at-zeichen" | "klammeraffe" | "affenschwanz" => true,
        "at" => !is_after_dot,
        _ => false,
    }
}

/// The mark that a word says.
fn sign(word: &str) -> Option<char> {
    match word {
        "punkt" | "dot" | "point" => Some('.'),
        "unterstrich" | "underscore" => Some('_'),
        "minus" | "bindestrich" | "dash" | "hyphen" | "strich" => Some('-'),
        _ => None,
    }
}

/// What stands before the `@`.
fn local(words: &[Word<'_>], at: usize, is_asked: bool) -> Option<String> {
    // Back to where it begins: as long as marks join the words, or letters and digits are spelled.
    let mut begin = at;
    while begin > 0 {
        let before = &words[begin - 1];
        let leads_in = LEADS_IN.contains(&before.norm.as_str()) && !is_example(words, begin - 1);
        if leads_in || is_at(words, begin - 1) {
            break;
        }
        let is_first = begin == at;
        let joins = sign(&before.norm).is_some() || begin < at && sign(norm(words, begin)).is_some();
        let is_spelled = is_piece(&before.norm) || is_example(words, begin - 1);
        if !(is_first || joins || is_spelled || is_asked) {
            break;
        }
        begin -= 1;
    }
    joined(words, begin, at)
}

/// What stands behind the `@`, to its ending.
fn domain(words: &[Word<'_>], begin: usize) -> Option<String> {
    let dot = (begin + 1..words.len().min(begin + LONGEST)).rfind(|at| is_ending(words, *at));
    if let Some(dot) = dot {
        let ending = norm(words, dot + 1);
        let ending =
            if ending.chars().count() == 1 { spelling::run(words, dot + 1)?.letters } else { ending.to_owned() };
        return Some(format!("{}.{ending}", joined(words, begin, dot)?));
    }
    // "at firma.de"
    let end = (begin..words.len().min(begin + LONGEST)).find(|at| is_domain(norm(words, *at)))?;
    joined(words, begin, end + 1)
}

/// Whether a dot is said at `at` and an ending behind it.
fn is_ending(words: &[Word<'_>], at: usize) -> bool {
    let is_spelled = || spelling::run(words, at + 1).is_some_and(|spelled| ENDINGS.contains(&spelled.letters.as_str()));
    sign(norm(words, at)) == Some('.') && (ENDINGS.contains(&norm(words, at + 1)) || is_spelled())
}

fn is_domain(word: &str) -> bool {
    word.rsplit_once('.').is_some_and(|(label, ending)| !label.is_empty() && ENDINGS.contains(&ending))
}

/// The words from `begin` to `end` as they are written without spaces.
fn joined(words: &[Word<'_>], begin: usize, end: usize) -> Option<String> {
    let part = words.get(begin..end)?;
    let mut out = String::new();
    let mut at = 0;
    while at < part.len() {
        let word = part[at].norm.as_str();
        if let Some(sign) = sign(word) {
            out.push(sign);
            at += 1;
        } else if let Some(spelled) = spelling::run(part, at).or_else(|| one_letter(part, at)) {
            out.push_str(&spelled.letters);
            at = spelled.end;
        } else if let Some((digits, next)) = digits::run(&part[..sign_after(part, at)], at) {
            out.push_str(&digits);
            at = next;
        } else {
            out.push_str(word);
            at += 1;
        }
    }
    (!out.is_empty()).then_some(out)
}

/// Where the next mark is said behind `at`; a dash between digits is no part of them here.
fn sign_after(words: &[Word<'_>], at: usize) -> usize {
    (at..words.len()).find(|at| sign(norm(words, *at)).is_some()).unwrap_or(words.len())
}

/// "M" alone, or "S wie Siegfried".
fn one_letter(words: &[Word<'_>], at: usize) -> Option<spelling::Spelled> {
    let letter = norm(words, at);
    if letter.chars().count() != 1 || !letter.chars().all(char::is_alphabetic) {
        return None;
    }
    let end = if norm(words, at + 1) == "wie" && at + 2 < words.len() { at + 3 } else { at + 1 };
    Some(spelling::Spelled { letters: letter.to_owned(), end })
}

/// A letter, or digits: what is spelled and not said.
fn is_piece(word: &str) -> bool {
    word.chars().count() == 1
        || word.chars().all(|c| c.is_ascii_digit())
        || word.split('-').all(|part| part.chars().count() == 1)
}

/// Whether the word at `at` is "wie" of "S wie Siegfried", or what follows it.
fn is_example(words: &[Word<'_>], at: usize) -> bool {
    let is_wie = |at: usize| norm(words, at) == "wie" && at > 0 && norm(words, at - 1).chars().count() == 1;
    is_wie(at) || at.checked_sub(1).is_some_and(is_wie)
}

/// What stands before an address and is no part of it.
#[rustfmt::skip]
const LEADS_IN: &[&str] = &[
    "ist", "lautet", "mail", "e-mail", "email", "adresse", "mailadresse", "e-mail-adresse", "emailadresse", "an", "unter",
    "ja", "das", "äh", "ähm", "also", "und", "meine", "is", "it's", "address", "to", "yes", "that's", "uh", "um", "my",
    "the", "so", "and", "bitte", "please", "gern", "wäre", "would", "be", "sure", "okay",
    "ok", "ich", "habe", "mich", "sie", "heißt", "genau", "yeah", "well",
];

/// How addresses end.
#[rustfmt::skip]
const ENDINGS: &[&str] = &[
    "de", "com", "net", "org", "eu", "at", "ch", "info", "io", "uk", "us", "edu", "gov", "example", "email", "online",
    "biz", "co", "fr", "it", "es", "nl", "pl", "ie", "ca", "au", "li", "lu", "be", "dk", "se", "app", "dev", "berlin", "test",
];

/// The domain of an address has fewer words.
const LONGEST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_put_together_and_nothing_else_is_one() {
        for (text, is_asked, address) in [
            ("anna punkt meier at firma punkt de", false, Some("anna.meier@firma.de")),
            ("Meine E-Mail ist anna Punkt meier ät firma Punkt de.", false, Some("anna.meier@firma.de")),
            ("It's anna dot meier at example dot com, thanks", false, Some("anna.meier@example.com")),
            ("a n n a dot m at example dot com", false, Some("anna.m@example.com")),
            ("A N N A unterstrich M at firma minus nord punkt de", false, Some("anna_m@firma-nord.de")),
            ("info at S wie Siegfried A P punkt com", false, Some("info@sap.com")),
            ("Anna.Meier@Firma.de", false, Some("anna.meier@firma.de")),
            ("schreiben Sie an müller@firma.de.", false, Some("mueller@firma.de")),
            ("anna.meier at firma.de", false, Some("anna.meier@firma.de")),
            ("franz punkt huber at wien punkt at", false, Some("franz.huber@wien.at")),
            ("anna siebzehn at example punkt de", true, Some("anna17@example.de")),
            ("ja, das ist anna meier at firma punkt de", true, Some("annameier@firma.de")),
            ("weber at mail dot example dot co dot uk", false, Some("weber@mail.example.co.uk")),
            ("weber klammeraffe web punkt D E", false, Some("weber@web.de")),
            ("You can reach me at anna dot meier at firma dot com", true, Some("anna.meier@firma.com")),
            ("Sie erreichen mich unter anna ett firma punkt de", true, Some("anna@firma.de")),
            ("anna 17 minus 3 at firma punkt de", true, Some("anna17-3@firma.de")),
            // Traps.
            ("let's meet at the office", true, None),
            ("Das ist der Punkt", true, None),
            ("I'll be at home", true, None),
            ("anna at firma", true, None),
            ("@", true, None),
            ("a@b", true, None),
            ("..@firma.de", true, None),
            ("anna@firma..de", true, None),
            ("at firma punkt de", true, None),
            ("", true, None),
        ] {
            assert_eq!(find(text, is_asked).as_deref(), address, "{text}");
        }
    }
}
