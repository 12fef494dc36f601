//! Tokens: recognized words made comparable. Lower case, no outer punctuation, contractions taken apart.
//!
//! Every token remembers the word it came from, so that whatever is found points back at sound. Punctuation
//! becomes a [`Stop`] on the token before it; recognizers that write none still work, only with fewer hints.

use asr::event::{UtteranceId, Word};
use media::time::Span;
use unicode_normalization::UnicodeNormalization;

/// One word, or half of a contraction ("I'll" is `i` and `will`).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    /// Lower case, without outer punctuation; what rules compare.
    pub(super) norm: String,
    /// As written, without outer punctuation; empty for the second half of a contraction.
    pub(super) text: String,
    /// The punctuation after it.
    pub(super) stop: Stop,
    /// Whether it is written with a capital first letter.
    pub(super) capital: bool,
    /// Whether it stands between quotation marks.
    pub(super) quoted: bool,
    /// When its word was spoken.
    pub(super) span: Span,
    /// The utterance of its word.
    pub(super) utterance: UtteranceId,
}

/// Punctuation after a token, from weak to strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    /// None.
    None,
    /// A comma or a dash.
    Comma,
    /// A colon or semicolon.
    Colon,
    /// A full stop or an exclamation mark.
    End,
    /// A question mark.
    Question,
}

impl Token {
    /// Whether this is the word `norm`.
    pub(super) fn is(&self, norm: &str) -> bool {
        self.norm == norm
    }

    /// Whether this is one of `norms`.
    pub(super) fn among(&self, norms: &[&str]) -> bool {
        norms.contains(&self.norm.as_str())
    }

    /// Whether it is a number written in digits, with or without inner dots.
    pub(super) fn is_digits(&self) -> bool {
        !self.norm.is_empty() && self.norm.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    }
}

/// The tokens of one utterance's words.
pub(super) fn of(words: &[Word], utterance: UtteranceId) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::with_capacity(words.len() + 4);
    let mut quote_opened_at = None;
    for word in words {
        let bare = word.text.trim_matches(|c: char| !is_word(c));
        if word.text.starts_with(OPENING) {
            quote_opened_at.get_or_insert(tokens.len());
        }
        let trailing = &word.text[word.text.rfind(is_word).map_or(0, |at| at + char_len(&word.text[at..]))..];
        if bare.is_empty() {
            if let Some(last) = tokens.last_mut() {
                last.stop = last.stop.max(stop_of(&word.text));
            }
        } else {
            push_word(&mut tokens, bare, word.span, utterance);
            if let Some(last) = tokens.last_mut() {
                last.stop = stop_of(trailing);
            }
        }
        if trailing.contains(CLOSING)
            && let Some(from) = quote_opened_at.take()
        {
            tokens[from..].iter_mut().for_each(|token| token.quoted = true);
        }
    }
    end_where_sentences_end(&mut tokens);
    tokens
}

fn push_word(tokens: &mut Vec<Token>, bare: &str, span: Span, utterance: UtteranceId) {
    let capital = bare.chars().next().is_some_and(char::is_uppercase);
    let mut norm: String = bare.nfc().flat_map(char::to_lowercase).collect();
    norm = norm.replace(['’', '`', '´'], "'");
    if is_dotted_abbreviation(&norm) {
        norm.retain(|c| c != '.');
    }
    let (first, second) = take_apart(&norm).unwrap_or((norm, ""));
    let token = Token { norm: first, text: bare.to_owned(), stop: Stop::None, capital, quoted: false, span, utterance };
    let rest = (!second.is_empty()).then(|| Token {
        norm: second.to_owned(),
        text: String::new(),
        capital: false,
        ..token.clone()
    });
    tokens.push(token);
    tokens.extend(rest);
}

/// Both halves of a contraction.
fn take_apart(norm: &str) -> Option<(String, &'static str)> {
    if let Some((_, first, second)) = WHOLE_CONTRACTIONS.iter().find(|(written, ..)| *written == norm) {
        return Some(((*first).to_owned(), second));
    }
    if !norm.contains('\'') {
        return None;
    }
    for (ending, second) in
        [("n't", "not"), ("'ll", "will"), ("'re", "are"), ("'ve", "have"), ("'m", "am"), ("'d", "would")]
    {
        if let Some(first) = norm.strip_suffix(ending)
            && !first.is_empty()
        {
            return Some((first.to_owned(), second));
        }
    }
    let first = norm.strip_suffix("'s")?;
    if TAKES_IS.contains(&first) {
        return Some((first.to_owned(), "is"));
    }
    TAKES_ES.contains(&first).then(|| (first.to_owned(), "es"))
}

/// A full stop after an ordinal or an abbreviation ends no sentence when the sentence visibly goes on.
fn end_where_sentences_end(tokens: &mut [Token]) {
    for at in 0..tokens.len().saturating_sub(1) {
        let next = &tokens[at + 1];
        let goes_on = !next.capital || next.is_digits() || super::date::is_month(&next.norm);
        let token = &mut tokens[at];
        let weak = ABBREVIATIONS.contains(&token.norm.as_str())
            || (goes_on && (token.is_digits() || MERIDIEMS.contains(&token.norm.as_str())));
        if token.stop == Stop::End && weak {
            token.stop = Stop::None;
        }
    }
}

fn stop_of(trailing: &str) -> Stop {
    if trailing.contains("...") || trailing.contains('…') {
        return Stop::Comma;
    }
    trailing
        .chars()
        .map(|c| match c {
            '?' => Stop::Question,
            '.' | '!' => Stop::End,
            ':' | ';' => Stop::Colon,
            ',' | '-' | '–' | '—' => Stop::Comma,
            _ => Stop::None,
        })
        .max()
        .unwrap_or(Stop::None)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric()
}

fn char_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

/// "p.m", "z.b": single letters between dots.
fn is_dotted_abbreviation(norm: &str) -> bool {
    norm.contains('.')
        && norm.split('.').all(|part| part.chars().count() == 1 && !part.starts_with(|c: char| c.is_ascii_digit()))
}

const OPENING: [char; 4] = ['"', '„', '“', '«'];
const CLOSING: [char; 4] = ['"', '“', '”', '»'];

/// Contractions whose first half is not simply what stands before the apostrophe, and those written without.
#[rustfmt::skip]
const WHOLE_CONTRACTIONS: &[(&str, &str, &str)] = &[
    ("won't", "will", "not"), ("wont", "will", "not"), ("can't", "can", "not"), ("cannot", "can", "not"),
    ("cant", "can", "not"), ("shan't", "shall", "not"), ("let's", "let", "us"), ("lets", "let", "us"),
    ("gonna", "going", "to"), ("gotta", "got", "to"), ("wanna", "want", "to"), ("dont", "do", "not"),
    ("doesnt", "does", "not"), ("didnt", "did", "not"), ("isnt", "is", "not"), ("shouldnt", "should", "not"),
    ("wouldnt", "would", "not"), ("havent", "have", "not"), ("im", "i", "am"), ("ive", "i", "have"),
    ("youre", "you", "are"), ("theyre", "they", "are"), ("whats", "what", "is"), ("thats", "that", "is"),
];

/// Words after which 's is "is" rather than a genitive.
#[rustfmt::skip]
const TAKES_IS: &[&str] = &[
    "it", "that", "what", "who", "there", "here", "he", "she", "where", "how", "when",
];

/// German verbs and words that swallow "es".
#[rustfmt::skip]
const TAKES_ES: &[&str] = &[
    "geht", "gibt", "hab", "habe", "mach", "mache", "macht", "war", "wär", "wie", "ist", "nehm", "schick", "ich",
    "du", "wir", "wenn",
];

#[rustfmt::skip]
const ABBREVIATIONS: &[&str] = &[
    "dr", "mr", "mrs", "ms", "prof", "hr", "fr", "zb", "bzw", "ca", "inkl", "evtl", "ggf", "dh", "ua", "vs", "nr",
    "eg", "ie",
];

const MERIDIEMS: &[&str] = &["am", "pm", "usw", "etc"];
