//! What both languages read alike: numbers with their units, ranges, abbreviations, signs, and words as they stand.

use super::{
    address, figures,
    figures::{is_code, is_digits},
    lexicon::Lexicon,
    phone, quantity,
    token::Token,
};

/// A place in a row of tokens.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) tokens: &'a [Token<'a>],
    pub(super) at: usize,
}

impl<'a> Line<'a> {
    pub(super) fn now(&self) -> Token<'a> {
        self.tokens[self.at]
    }

    /// The token so many places on, unless punctuation stands in between.
    pub(super) fn next(&self, ahead: usize) -> Option<Token<'a>> {
        let between = self.tokens.get(self.at..self.at + ahead)?;
        if between.iter().all(Token::is_open) { self.tokens.get(self.at + ahead).copied() } else { None }
    }

    /// The token after this, whatever stands in between.
    pub(super) fn following(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at + 1).copied()
    }

    /// The token so many places back, unless a sentence ends in between.
    pub(super) fn back(&self, back: usize) -> Option<Token<'a>> {
        let from = self.at.checked_sub(back)?;
        let ended = self.tokens[from..self.at].iter().any(Token::ends_sentence);
        (!ended).then(|| self.tokens[from])
    }

    /// The token so many places back in small letters; empty where there is none.
    pub(super) fn before(&self, back: usize) -> String {
        self.back(back).map(|token| token.core.to_lowercase()).unwrap_or_default()
    }

    /// Whether one of the last three words is one of `words`, or ends with one of them.
    pub(super) fn follows(&self, words: &[&str]) -> bool {
        (1..=3).any(|back| {
            let before = self.before(back);
            words.iter().any(|word| before.ends_with(word))
        })
    }
}

/// How some tokens are said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// How many tokens.
    pub(super) taken: usize,
    pub(super) spoken: String,
    /// Whether a full stop after the last of them still ends a sentence.
    pub(super) keeps_stop: bool,
}

impl Reading {
    pub(super) fn of(taken: usize, spoken: impl Into<String>) -> Self {
        Self { taken, spoken: spoken.into(), keeps_stop: true }
    }

    /// The full stop was part of what was read, and no sentence ends with it.
    pub(super) fn with_stop(taken: usize, spoken: impl Into<String>) -> Self {
        Self { taken, spoken: spoken.into(), keeps_stop: false }
    }
}

/// Reads what both languages read alike; nothing for a word.
pub(super) fn read(line: Line<'_>, lexicon: &Lexicon) -> Option<Reading> {
    let core = line.now().core;
    if core.is_empty() {
        return sign(line, lexicon);
    }
    address::read(core, lexicon)
        .map(|spoken| Reading::of(1, spoken))
        .or_else(|| quantity::money(line, lexicon))
        .or_else(|| phone::read(line, lexicon))
        .or_else(|| quantity::measure(line, lexicon))
        .or_else(|| range(core, lexicon).map(|spoken| Reading::of(1, spoken)))
        .or_else(|| figure(core, lexicon).map(|spoken| Reading::of(1, spoken)))
        .or_else(|| abbreviation(line, lexicon))
        .or_else(|| sign(line, lexicon))
}

/// A number alone; a code or a version digit by digit.
pub(super) fn figure(core: &str, lexicon: &Lexicon) -> Option<String> {
    if !core.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '−' | '–' | '+')) {
        return None;
    }
    if let Some(number) = figures::number(core, lexicon) {
        return Some(figures::spoken(number, lexicon));
    }
    if let Some(rest) = core.strip_prefix('+') {
        return figures::number(rest, lexicon)
            .map(|number| format!("{} {}", lexicon.plus, figures::spoken(number, lexicon)));
    }
    if is_digits(core) {
        return Some(grouped_digits(core, lexicon));
    }
    // 2.0.1, 3.5 in German: parts between full stops.
    let parts: Vec<&str> = core.split('.').collect();
    if parts.len() > 1 && parts.iter().all(|part| is_digits(part) && part.len() <= 6) {
        let words = parts
            .iter()
            .map(|part| if is_code(part) { figures::digit_by_digit(part, lexicon) } else { cardinal(part, lexicon) });
        return Some(words.collect::<Vec<_>>().join(&format!(" {} ", lexicon.dot)));
    }
    None
}

/// Digits one by one, in groups that can be written down: four at most.
pub(super) fn grouped_digits(digits: &str, lexicon: &Lexicon) -> String {
    let digits: Vec<char> = digits.chars().filter(char::is_ascii_digit).collect();
    let groups = digits.len().div_ceil(4).max(1);
    let (size, longer) = (digits.len() / groups, digits.len() % groups);
    let mut rest = digits.as_slice();
    let mut words = Vec::with_capacity(groups);
    for group in 0..groups {
        // The longer groups come last: 0171 234 5678.
        let take = size + usize::from(group >= groups - longer);
        let (now, later) = rest.split_at(take);
        words.push(figures::digit_by_digit(&now.iter().collect::<String>(), lexicon));
        rest = later;
    }
    words.join(", ")
}

fn cardinal(digits: &str, lexicon: &Lexicon) -> String {
    digits.parse().map_or_else(|_| figures::digit_by_digit(digits, lexicon), lexicon.cardinal)
}

/// `3-5`, `10–12`: from, to.
fn range(core: &str, lexicon: &Lexicon) -> Option<String> {
    let (from, to) = core.split_once(['-', '–'])?;
    let short = |text: &str| text.len() <= 6 && !is_code(text);
    let (from, to) = (
        figures::number(from, lexicon).filter(|n| !n.is_negative && short(from))?,
        figures::number(to, lexicon).filter(|n| !n.is_negative && short(to))?,
    );
    let (from, to) = (figures::spoken(from, lexicon), figures::spoken(to, lexicon));
    Some(format!("{from} {} {to}", lexicon.to))
}

/// An abbreviation of one or two tokens, with its full stops.
fn abbreviation(line: Line<'_>, lexicon: &Lexicon) -> Option<Reading> {
    let now = line.now();
    if now.core.len() > 12 {
        return None;
    }
    // "z. B.": two tokens, each with its stop.
    if let Some(next) = line.following().filter(|next| now.tail == "." && next.has_stop() && next.core.len() <= 4) {
        let both = format!("{}. {}.", now.core, next.core);
        if let Some(spoken) = lookup(&both, lexicon) {
            return Some(closing(line, 2, &both, spoken, lexicon));
        }
    }
    let written = if now.has_stop() { format!("{}.", now.core) } else { now.core.to_owned() };
    let spoken = lookup(&written, lexicon)?;
    if !now.has_stop() {
        return Some(Reading::of(1, spoken));
    }
    Some(closing(line, 1, &written, spoken, lexicon))
}

/// The stop of an abbreviation ends the sentence where nothing follows, where another mark says so, or where the
/// abbreviation is one that stands at the end and a capital letter follows.
fn closing(line: Line<'_>, taken: usize, written: &str, spoken: &str, lexicon: &Lexicon) -> Reading {
    let last = line.tokens[line.at + taken - 1];
    let follows = line.tokens.get(line.at + taken).and_then(|token| token.core.chars().next());
    let is_end = match follows {
        None => true,
        Some(first) => first.is_uppercase() && lexicon.closing.contains(&written.to_lowercase().as_str()),
    };
    let has_other = last.tail.trim_start_matches('.').contains(['!', '?']);
    Reading { taken, spoken: spoken.to_owned(), keeps_stop: is_end || has_other }
}

fn lookup(written: &str, lexicon: &Lexicon) -> Option<&'static str> {
    let find = |wanted: &str| lexicon.abbreviations.iter().find(|(known, _)| *known == wanted).map(|(_, said)| *said);
    find(written).or_else(|| find(&written.to_lowercase()))
}

/// A sign that stands alone.
fn sign(line: Line<'_>, lexicon: &Lexicon) -> Option<Reading> {
    let now = line.now();
    let mut signs = now.raw.chars();
    let (Some(sign), None) = (signs.next(), signs.next()) else { return None };
    if sign.is_alphanumeric() {
        return None;
    }
    let is_figure =
        |token: Option<Token<'_>>| token.is_some_and(|token| token.core.starts_with(|c: char| c.is_ascii_digit()));
    let spoken = match sign {
        '-' | '–' | '—' if is_figure(line.back(1)) && is_figure(line.following()) => lexicon.to,
        '&' | '+' | '=' | '%' | '@' | '#' | '§' | '°' => lexicon.name(sign).unwrap_or_default(),
        _ => "",
    };
    Some(Reading::of(1, spoken))
}

/// A word as it stands, without the signs that nobody says.
pub(super) fn cleaned(word: &str, lexicon: Option<&Lexicon>) -> String {
    let mut clean = String::with_capacity(word.len());
    for c in word.chars() {
        match c {
            '&' | '@' | '%' | '€' | '$' | '£' | '+' | '=' | '§' | '°' => {
                if let Some(name) = lexicon.and_then(|lexicon| lexicon.name(c)) {
                    clean.push(' ');
                    clean.push_str(name);
                    clean.push(' ');
                }
            }
            '’' | '‘' => clean.push('\''),
            c if c.is_alphanumeric() || matches!(c, '\'' | '-' | '.' | ',') => clean.push(c),
            // Marks that belong to the letter before, of scripts that have them.
            c if !c.is_ascii() && !c.is_ascii_punctuation() && is_mark(c) => clean.push(c),
            _ => clean.push(' '),
        }
    }
    clean.split_whitespace().filter(|part| part.contains(char::is_alphanumeric)).collect::<Vec<_>>().join(" ")
}

/// Whether `c` is a combining mark: of Latin, and of the Indic and other scripts that write vowels with them.
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}
