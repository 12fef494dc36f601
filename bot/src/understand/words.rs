//! Words made comparable: small letters, no marks around them, and whether a mark stood behind. Pure.

/// A word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word<'t> {
    /// As written.
    pub(super) raw: &'t str,
    /// The same without the marks around it.
    pub(super) bare: &'t str,
    /// In small letters.
    pub(super) norm: String,
    /// Whether a comma, a full stop or the like follows.
    pub(super) stop: bool,
}

impl Word<'_> {
    /// Whether it is one of `norms`.
    pub(super) fn among(&self, norms: &[&str]) -> bool {
        norms.contains(&self.norm.as_str())
    }

    /// Whether it is written with a capital first letter.
    pub(super) fn is_capital(&self) -> bool {
        self.bare.chars().next().is_some_and(char::is_uppercase)
    }
}

/// The words of `text`: as many as anybody says in one turn.
pub(super) fn of(text: &str) -> Vec<Word<'_>> {
    let mut words: Vec<Word<'_>> = Vec::new();
    for raw in text.split_whitespace().take(WORDS_MAX) {
        let bare = raw
            .trim_start_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '+' | '@' | '('))
            .trim_end_matches(|c: char| !c.is_alphanumeric() && c != '@' && c != ')');
        let stop = raw.ends_with([',', '.', ';', '!', '?', ':', '…']);
        if bare.chars().any(|c| c.is_alphanumeric() || c == '@') {
            let norm = bare.to_lowercase().replace(['’', '`', '´'], "'");
            words.push(Word { raw, bare, norm, stop });
        } else if let Some(last) = words.last_mut() {
            last.stop = true;
        }
    }
    words
}

/// The word at `at` in small letters; empty past the end.
pub(super) fn norm<'w>(words: &'w [Word<'_>], at: usize) -> &'w str {
    words.get(at).map_or("", |word| word.norm.as_str())
}

/// How many letters have to be changed, added or left out to make one of the other.
pub(super) use strsim::levenshtein as distance;

/// A turn of a telephone call has fewer words; of a longer one the beginning is read.
const WORDS_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_their_marks_and_keep_what_numbers_need() {
        let words = of("Hallo, (0) +49 anna@firma.de! — I’m");
        let norms: Vec<(&str, bool)> = words.iter().map(|word| (word.norm.as_str(), word.stop)).collect();
        assert_eq!(norms, [("hallo", true), ("(0)", false), ("+49", false), ("anna@firma.de", true), ("i'm", false)]);
        assert!(of(" … ").is_empty() && of("").is_empty());
    }

    #[test]
    fn distance_counts_letters() {
        for (one, other, far) in
            [("", "", 0), ("meier", "meyer", 1), ("harmony", "harmonie", 2), ("", "abc", 3), ("ü", "u", 1)]
        {
            assert_eq!((distance(one, other), distance(other, one)), (far, far), "{one} {other}");
        }
    }
}
