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

/// Substituted, deleted and inserted words per word that was said.
///
/// Zero is perfect; one or more means that nothing is left of it.
pub fn word_error_rate(said: &str, heard: &str) -> f64 {
    let (said, heard) = (plain_words(said), plain_words(heard));
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (taken, word) in said.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = taken + 1;
        for (index, other) in heard.iter().enumerate() {
            let changed = diagonal + usize::from(word != other);
            diagonal = row[index + 1];
            row[index + 1] = changed.min(row[index] + 1).min(diagonal + 1);
        }
    }
    row[heard.len()] as f64 / said.len().max(1) as f64
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
}
