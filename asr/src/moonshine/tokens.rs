//! Moonshine's vocabulary: from token numbers to the words they spell.
//!
//! Pure. Reads `tokenizer.bin` (a list of byte strings; U+2581 stands for a space) and groups a hypothesis'
//! tokens into words. Bytes of one character may be spread over several tokens, so text is made only from
//! whole words.

/// Begins a word.
const SPACE: &str = "\u{2581}";

/// Numbers above the text tokens' are marks without a sound.
const TEXT_TOKENS: usize = 32_000;

/// Begin of text, end of text.
pub(crate) const BEGIN: i64 = 1;
pub(crate) const END: i64 = 2;

/// What each token spells, in bytes.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    bytes: Vec<u8>,
    /// `ends[i]` is where token `i` ends in `bytes`; it begins where the one before ends.
    ends: Vec<u32>,
}

/// A word and the run of tokens it was made of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Spelled {
    /// No white space, not empty.
    pub text: String,
    /// Index of its first token in the hypothesis.
    pub first: usize,
    /// One past its last token.
    pub end: usize,
}

impl Vocabulary {
    /// Reads the file's bytes: for each token its length (one byte, or two from 128 on: low, then high) and
    /// as many bytes. `Err` says what is wrong with them.
    pub(crate) fn parse(file: &[u8]) -> Result<Self, &'static str> {
        let (mut bytes, mut ends) = (Vec::with_capacity(file.len()), Vec::with_capacity(1 << 15));
        let mut rest = file;
        while let Some((&low, after)) = rest.split_first() {
            rest = after;
            let mut length = usize::from(low);
            if length >= 128 {
                let (&high, after) = rest.split_first().ok_or("cut inside a length")?;
                rest = after;
                length = usize::from(high) * 128 + length - 128;
            }
            let (token, after) = rest.split_at_checked(length).ok_or("cut inside a token")?;
            rest = after;
            bytes.extend_from_slice(token);
            ends.push(u32::try_from(bytes.len()).map_err(|_| "too large")?);
        }
        if ends.len() < TEXT_TOKENS {
            return Err("too few tokens");
        }
        Ok(Self { bytes, ends })
    }

    /// How many tokens there are, marks included.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    fn token(&self, token: i64) -> &[u8] {
        let Some(index) = usize::try_from(token).ok().filter(|&index| index < TEXT_TOKENS.min(self.ends.len())) else {
            return &[];
        };
        // The first three are marks as well: unknown, begin, end.
        if index < 3 {
            return &[];
        }
        &self.bytes[self.ends[index - 1] as usize..self.ends[index] as usize]
    }

    /// Groups tokens into words. Tokens that spell nothing join the word before them.
    pub(crate) fn spell(&self, tokens: &[i64]) -> Vec<Spelled> {
        let mut words = Vec::new();
        let (mut pending, mut first) = (Vec::new(), 0);
        let mut close = |pending: &mut Vec<u8>, first: usize, end: usize| {
            // Half a character at the end of a cut hypothesis is dropped, not shown as a replacement mark.
            let text: String = String::from_utf8_lossy(pending).chars().filter(is_text).collect();
            pending.clear();
            if !text.is_empty() {
                words.push(Spelled { text, first, end });
            }
        };
        for (index, &token) in tokens.iter().enumerate() {
            let mut spelled = self.token(token);
            if spelled.starts_with(SPACE.as_bytes()) {
                close(&mut pending, first, index);
                first = index;
                while let Some(rest) = spelled.strip_prefix(SPACE.as_bytes()) {
                    spelled = rest;
                }
            }
            pending.extend_from_slice(spelled);
        }
        close(&mut pending, first, tokens.len());
        words
    }
}

/// Keeps what belongs into a word.
fn is_text(character: &char) -> bool {
    *character != char::REPLACEMENT_CHARACTER && !character.is_whitespace() && !character.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A file with the given tokens from number 3 on, filled up with empty ones.
    fn file(tokens: &[&[u8]]) -> Vec<u8> {
        let mut file = vec![0, 0, 0];
        for token in tokens {
            let length = u8::try_from(token.len()).unwrap();
            if length >= 128 {
                file.extend([length, 0].map(|byte| if byte == 0 { length / 128 } else { length % 128 + 128 }));
            } else {
                file.push(length);
            }
            file.extend_from_slice(token);
        }
        file.resize(file.len() + TEXT_TOKENS, 0);
        file
    }

    fn words(tokens: &[&[u8]]) -> Vec<(String, usize, usize)> {
        let vocabulary = Vocabulary::parse(&file(tokens)).unwrap();
        let numbers: Vec<i64> = (3..3 + i64::try_from(tokens.len()).unwrap()).collect();
        vocabulary.spell(&numbers).into_iter().map(|word| (word.text, word.first, word.end)).collect()
    }

    #[test]
    fn a_space_begins_a_word_and_other_tokens_continue_it() {
        let spelled = words(&["\u{2581}ask".as_bytes(), b"ing", b",", "\u{2581}why".as_bytes()]);
        assert_eq!(spelled, [("asking,".to_owned(), 0, 3), ("why".to_owned(), 3, 4)]);
    }

    #[test]
    fn a_character_spread_over_tokens_is_joined_and_half_a_one_is_dropped() {
        assert_eq!(words(&["\u{2581}caf".as_bytes(), b"\xc3", b"\xa9"]), [("café".to_owned(), 0, 3)]);
        assert_eq!(words(&["\u{2581}caf".as_bytes(), b"\xc3"]), [("caf".to_owned(), 0, 2)]);
        assert_eq!(words(&[b"\xe2"]), []);
    }

    #[test]
    fn long_tokens_take_two_length_bytes() {
        let long = [b'a'; 200];
        assert_eq!(words(&[&long]), [("a".repeat(200), 0, 1)]);
    }

    #[test]
    fn marks_and_numbers_outside_the_vocabulary_spell_nothing() {
        let vocabulary = Vocabulary::parse(&file(&[b"x"])).unwrap();
        assert_eq!(vocabulary.spell(&[0, 1, 2, -5, 32_000, i64::MAX]), []);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), pad: bool) {
            if pad {
                bytes.resize(bytes.len() + TEXT_TOKENS + 300, 0);
            }
            if let Ok(vocabulary) = Vocabulary::parse(&bytes) {
                let all: Vec<i64> = (0..i64::try_from(vocabulary.len()).unwrap()).collect();
                let mut end = 0;
                for word in vocabulary.spell(&all) {
                    prop_assert!(!word.text.is_empty() && word.first >= end && word.end > word.first);
                    end = word.end;
                }
            }
        }
    }
}
