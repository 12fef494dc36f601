//! What a language says for figures, letters and signs: tables, and the few functions that make its numbers.

/// One language's words for what is not a word.
pub(super) struct Lexicon {
    /// Zero to nine.
    pub(super) digits: [&'static str; 10],
    /// The names of the letters a to z.
    pub(super) letters: [&'static str; 26],
    /// The names of other letters.
    pub(super) more_letters: &'static [(char, &'static str)],
    /// A number that counts.
    pub(super) cardinal: fn(u64) -> String,
    /// What stands between whole and fraction in figures, and what groups thousands.
    pub(super) decimal: char,
    pub(super) group: char,
    /// What is said for `decimal`.
    pub(super) point: &'static str,
    pub(super) minus: &'static str,
    pub(super) plus: &'static str,
    /// Between the ends of a range.
    pub(super) to: &'static str,
    /// Between the parts of an address.
    pub(super) at: &'static str,
    pub(super) dot: &'static str,
    /// Signs alone, in addresses, and in spelling.
    pub(super) signs: &'static [(char, &'static str)],
    /// A unit: how it is written, one of it, more of it.
    pub(super) units: &'static [(&'static str, &'static str, &'static str)],
    pub(super) currencies: &'static [Currency],
    /// Whether cents are named after a whole amount: "and fifty cents".
    pub(super) names_cents: bool,
    /// Large numbers that stand beside a figure: how they are written, with one, with more.
    pub(super) large: &'static [(&'static str, &'static str, &'static str)],
    /// Abbreviations with their full stop, in small letters where case does not matter.
    pub(super) abbreviations: &'static [(&'static str, &'static str)],
    /// Those whose stop also ends a sentence where a capital letter follows.
    pub(super) closing: &'static [&'static str],
}

/// A currency.
pub(super) struct Currency {
    /// How it is written.
    pub(super) signs: &'static [&'static str],
    /// One of it and more of it, the number included in the former.
    pub(super) one: &'static str,
    pub(super) many: &'static str,
    /// One hundredth, and more.
    pub(super) cent: &'static str,
    pub(super) cents: &'static str,
}

impl Lexicon {
    /// What is said for a letter, a digit or a sign on its own.
    pub(super) fn name(&self, c: char) -> Option<&'static str> {
        if let Some(digit) = c.to_digit(10) {
            return Some(self.digits[digit as usize]);
        }
        let small = c.to_lowercase().next().unwrap_or(c);
        if small.is_ascii_lowercase() {
            return Some(self.letters[usize::from(small as u8 - b'a')]);
        }
        let find =
            |table: &[(char, &'static str)]| table.iter().find(|(sign, _)| *sign == small).map(|(_, name)| *name);
        find(self.more_letters).or_else(|| find(self.signs))
    }

    /// The currency that is written so.
    pub(super) fn currency(&self, sign: &str) -> Option<&'static Currency> {
        self.currencies.iter().find(|currency| currency.signs.contains(&sign))
    }
}
