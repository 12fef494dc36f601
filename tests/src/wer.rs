//! Word errors: how far what was heard is from what was said.
//!
//! Words are compared without capitals and punctuation, as everybody who measures recognizers does.

/// The words of a text as they are compared: lower case, letters, digits and apostrophes only.
pub fn plain_words(text: &str) -> Vec<String> {
    let plain = |word: &str| -> String {
        word.chars().filter(|c| c.is_alphanumeric() || *c == '\'').flat_map(char::to_lowercase).collect()
    };
    text.split(|c: char| c.is_whitespace() || c == '-').map(plain).filter(|word| !word.is_empty()).collect()
}

/// How what was heard differs from what was said, by the cheapest alignment of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Errors {
    /// Words heard as others.
    pub substituted: usize,
    /// Words not heard.
    pub deleted: usize,
    /// Words that nobody said.
    pub inserted: usize,
}

impl Errors {
    /// Aligns two texts word by word.
    pub fn between(said: &str, heard: &str) -> Self {
        let (said, heard) = (plain_words(said), plain_words(heard));
        let mut row: Vec<Self> = (0..=heard.len()).map(|inserted| Self { inserted, ..Self::default() }).collect();
        for (taken, word) in said.iter().enumerate() {
            let mut diagonal = row[0];
            row[0] = Self { deleted: taken + 1, ..Self::default() };
            for (index, other) in heard.iter().enumerate() {
                let same = usize::from(word == other);
                let changed = Self { substituted: diagonal.substituted + 1 - same, ..diagonal };
                let deleted = Self { deleted: row[index + 1].deleted + 1, ..row[index + 1] };
                let inserted = Self { inserted: row[index].inserted + 1, ..row[index] };
                diagonal = row[index + 1];
                row[index + 1] =
                    [changed, deleted, inserted].into_iter().min_by_key(Self::total).expect("there are three");
            }
        }
        row[heard.len()]
    }

    /// All of them.
    pub fn total(&self) -> usize {
        self.substituted + self.deleted + self.inserted
    }
}

/// Substituted, deleted and inserted words per word that was said.
///
/// Zero is perfect; one or more means that nothing is left of it.
pub fn word_error_rate(said: &str, heard: &str) -> f64 {
    Errors::between(said, heard).total() as f64 / plain_words(said).len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_and_punctuation_are_no_errors_and_each_wrong_word_is_one() {
        assert_eq!(word_error_rate("Ask not, what?", "ask not what"), 0.0);
        assert_eq!(word_error_rate("one two three four", "one too three four"), 0.25);
        assert_eq!(word_error_rate("one two three four", "one three four"), 0.25);
        assert_eq!(word_error_rate("one two three four", "one two uh three four"), 0.25);
        assert_eq!(word_error_rate("one two", ""), 1.0);
    }

    #[test]
    fn errors_are_counted_by_kind() {
        let errors = Errors::between("one two three four five six", "one too three five six seven");
        assert_eq!(errors, Errors { substituted: 1, deleted: 1, inserted: 1 });
        assert_eq!(Errors::between("", "well yes").inserted, 2);
    }
}
