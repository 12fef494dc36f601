//! E-mail addresses and links, as they are told on the telephone.

use super::lexicon::Lexicon;

/// `core` as it is told, if it is an address.
pub(super) fn read(core: &str, lexicon: &Lexicon) -> Option<String> {
    let lower = core.to_lowercase();
    let is_mail = core.split_once('@').is_some_and(|(user, host)| !user.is_empty() && is_host(host));
    let bare = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
    let is_link = bare.is_some_and(|rest| !rest.is_empty()) || (lower.starts_with("www.") && lower.len() > 4);
    let is_name = is_host(&lower) && TOP.iter().any(|top| lower.ends_with(top));
    if is_mail || is_link || is_name { Some(told(bare.unwrap_or(&lower), lexicon)) } else { None }
}

/// An address in words: what can be said as a word is, signs by their names, figures digit by digit.
pub(super) fn told(address: &str, lexicon: &Lexicon) -> String {
    let address = address.trim_end_matches('/');
    let mut words: Vec<String> = Vec::new();
    for (at, part) in address.split_inclusive(|c: char| !c.is_alphabetic()).enumerate() {
        let sign = part.chars().next_back().filter(|c| !c.is_alphabetic());
        let word = sign.map_or(part, |sign| &part[..part.len() - sign.len_utf8()]);
        if at == 0 && word == "www" {
            words.extend(std::iter::repeat_n(lexicon.letters[22].to_owned(), 3));
        } else if can_be_said(word) {
            words.push(word.to_owned());
        } else {
            words.extend(word.chars().map(|c| lexicon.name(c).map_or_else(|| c.to_string(), str::to_owned)));
        }
        words.extend(sign.and_then(|sign| told_sign(sign, lexicon)).map(str::to_owned));
    }
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

fn told_sign(sign: char, lexicon: &Lexicon) -> Option<&'static str> {
    match sign {
        '.' => Some(lexicon.dot),
        '@' => Some(lexicon.at),
        sign => lexicon.name(sign),
    }
}

/// Short words without a vowel are told by their letters: "de" is a word, "gmbh" and "dr" are not.
fn can_be_said(word: &str) -> bool {
    word.chars().any(|c| "aeiouyäöüéèáà".contains(c)) || word.is_empty()
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    host.contains('.') && host.split('.').all(is_label) && host.chars().next_back().is_some_and(char::is_alphabetic)
}

/// Endings by which a name without a scheme is known as one of the web.
const TOP: [&str; 12] = [".com", ".de", ".org", ".net", ".eu", ".at", ".ch", ".io", ".info", ".co.uk", ".gov", ".edu"];
