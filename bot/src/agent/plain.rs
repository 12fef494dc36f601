//! What a model writes made fit to be spoken: no Markdown, no emoji, no tables.
//!
//! Pure, one sentence at a time. Models are told to write plain text; this is for when they forget.

/// `text` without what cannot be spoken; empty when nothing is left.
pub(super) fn spoken(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let line = without_marks_at_start(line.trim());
        if line.chars().all(|c| matches!(c, '-' | '=' | '*' | '_' | '|' | ':' | '`' | ' ')) {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        inline(line, &mut out);
    }
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    if out.chars().any(char::is_alphanumeric) { out } else { String::new() }
}

/// A line without the mark of a heading, a list or a quotation.
fn without_marks_at_start(line: &str) -> &str {
    let line = line.trim_start_matches(['#', '>', ' ']);
    ["- ", "* ", "+ ", "• ", "– "].iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line)
}

/// Text within a line: emphasis, code, links, emoji.
fn inline(line: &str, out: &mut String) {
    let mut rest = line;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if c == '['
            && let Some((text, behind)) = link(after)
        {
            inline(text, out);
            rest = behind;
            before = ')';
            continue;
        }
        rest = after;
        let next = rest.chars().next().unwrap_or(' ');
        match c {
            '*' | '`' | '~' => {}
            // The cells of a table keep their distance.
            '|' => out.push(' '),
            '_' if !(before.is_alphanumeric() && next.is_alphanumeric()) => {}
            c if is_picture(c) => out.push(' '),
            c => out.push(c),
        }
        before = c;
    }
}

/// The text of a link whose `[` was read, and what follows it.
fn link(text: &str) -> Option<(&str, &str)> {
    let end = text.find("](")?;
    if text[..end].contains('[') {
        return None;
    }
    let close = end + text[end..].find(')')?;
    Some((&text[..end], &text[close + 1..]))
}

/// Emoji, arrows and other pictures, and what joins them.
fn is_picture(c: char) -> bool {
    matches!(u32::from(c),
        0x1F000..=0x1FAFF | 0x2600..=0x27BF | 0x2190..=0x21FF | 0x2B00..=0x2BFF | 0xFE00..=0xFE0F | 0x200D | 0x20E3
        | 0xE0020..=0xE007F)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn marks_and_pictures_are_not_spoken() {
        for (text, said) in [
            ("**Gern!** Ich *schaue* nach. 😊", "Gern! Ich schaue nach."),
            ("# Termine\n- Montag\n- Dienstag", "Termine Montag Dienstag"),
            ("Siehe [unsere Seite](https://example.com/a_b).", "Siehe unsere Seite."),
            ("The file `a_b.txt` and __this__", "The file a_b.txt and this"),
            ("| Tag | Zeit |\n|---|---|\n| Mo | 9 Uhr |", "Tag Zeit Mo 9 Uhr"),
            ("👍", ""),
            ("---", ""),
            ("5 - 3 [sic] (so)", "5 - 3 [sic] (so)"),
            ("", ""),
        ] {
            assert_eq!(spoken(text), said, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_model_writes_is_spoken_without_marks_and_without_a_panic(text in "(\\PC|[\\[\\]()*_`#\n-]){0,80}") {
            let said = spoken(&text);
            prop_assert!(!said.contains(['*', '`', '\n']));
        }
    }
}
