//! Which of a few things a sentence means.

use crate::ivr::twiml::Choice;

/// The choice that `text` means: the one with the longest words that stand in it; the earlier of equals.
pub(super) fn choose<'c>(choices: &'c [Choice], text: &str) -> Option<&'c str> {
    let plain = |text: &str| {
        let words: String =
            text.chars().map(|sign| if sign.is_alphanumeric() { sign } else { ' ' }).collect::<String>().to_lowercase();
        format!(" {} ", words.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let said = plain(text);
    let mut best: Option<(&str, usize)> = None;
    for choice in choices {
        // Recognizers write a spoken "one" as "1" as often as not.
        for word in choice.words.iter().chain([&choice.name]) {
            let word = plain(word);
            if word.len() > 2 && said.contains(&word) && best.is_none_or(|(_, length)| word.len() > length) {
                best = Some((&choice.name, word.len()));
            }
        }
    }
    best.map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_the_longest_of_its_words_in_the_sentence() {
        let choice = |name: &str, words: &[&str]| Choice {
            name: name.to_owned(),
            words: words.iter().map(|word| (*word).to_owned()).collect(),
        };
        let choices = [choice("1", &["termin", "appointment"]), choice("2", &["termin absagen", "öffnungszeiten"])];
        assert_eq!(choose(&choices, "Einen Termin, bitte."), Some("1"));
        assert_eq!(choose(&choices, "Ich möchte einen Termin absagen!"), Some("2"));
        assert_eq!(choose(&choices, "Die ÖFFNUNGSZEITEN"), Some("2"));
        assert_eq!(choose(&choices, "2."), Some("2"));
        assert_eq!(choose(&choices, "Terminal"), None);
        assert_eq!(choose(&choices, ""), None);
    }
}
