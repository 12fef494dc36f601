//! The text as it was written, taken apart at its white space.

/// A word as written, with the punctuation around it told apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    /// All of it.
    pub(super) raw: &'a str,
    /// Without the punctuation around it; empty where there is nothing else.
    pub(super) core: &'a str,
    /// The punctuation after it.
    pub(super) tail: &'a str,
}

impl<'a> Token<'a> {
    fn new(raw: &'a str) -> Self {
        let start = raw.find(|c| !is_opening(c)).unwrap_or(raw.len());
        let end = raw.rfind(|c| !is_closing(c)).map_or(start, |at| {
            let last = raw[at..].chars().next().map_or(0, char::len_utf8);
            (at + last).max(start)
        });
        Self { raw, core: &raw[start..end], tail: &raw[end..] }
    }

    /// Whether a full stop follows at once, as after an abbreviation or an ordinal of German.
    pub(super) fn has_stop(&self) -> bool {
        self.tail.starts_with('.')
    }

    /// Whether nothing stands between it and the next word.
    pub(super) fn is_open(&self) -> bool {
        self.tail.is_empty()
    }

    /// The mark with which a voice pauses or turns after it.
    pub(super) fn mark(&self) -> &'static str {
        mark_of(self.tail)
    }

    /// Whether a sentence may end with it.
    pub(super) fn ends_sentence(&self) -> bool {
        self.tail.contains(['.', '!', '?', '…', '。', '！', '？', '؟', '।'])
    }
}

/// The strongest mark in `punctuation`.
pub(super) fn mark_of(punctuation: &str) -> &'static str {
    let has = |marks: &[char]| punctuation.contains(marks);
    match () {
        () if has(&['?', '？', '؟']) => "?",
        () if has(&['!', '！']) => "!",
        () if has(&['.', '…', '。', '।']) => ".",
        () if has(&[':', ';', '；', '：']) => ";",
        () if has(&[',', ')', '，', '、', '،', '–', '—']) => ",",
        () => "",
    }
}

/// The tokens of `text`.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    text.split_whitespace().map(Token::new).collect()
}

fn is_opening(c: char) -> bool {
    matches!(
        c,
        '(' | '['
            | '{'
            | '"'
            | '\''
            | '„'
            | '“'
            | '”'
            | '‚'
            | '‘'
            | '’'
            | '«'
            | '»'
            | '‹'
            | '›'
            | '¿'
            | '¡'
            | '`'
    )
}

fn is_closing(c: char) -> bool {
    matches!(
        c,
        '.' | ','
            | ';'
            | ':'
            | '!'
            | '?'
            | '…'
            | ')'
            | ']'
            | '}'
            | '"'
            | '\''
            | '“'
            | '”'
            | '‘'
            | '’'
            | '«'
            | '»'
            | '‹'
            | '›'
            | '`'
            | '。'
            | '！'
            | '？'
            | '，'
            | '、'
            | '；'
            | '：'
            | '؟'
            | '،'
            | '।'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_is_told_from_the_word() {
        let parts = |text| tokens(text).iter().map(|t| (t.core, t.tail)).collect::<Vec<_>>();
        assert_eq!(parts("(Ja), „gut“. …"), [("Ja", "),"), ("gut", "“."), ("", "…")]);
        assert_eq!(parts("p.m. 3.5% don't"), [("p.m", "."), ("3.5%", ""), ("don't", "")]);
        assert_eq!(parts("\"\" ("), [("", ""), ("", "")]);
    }
}
