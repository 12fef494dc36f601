//! Files that stand in for a program: the vendor's templates, as far as a menu needs them.
//!
//! `{{Digits}}` is the parameter `Digits` of the request that asked for the file, made safe for XML;
//! `{{#Digits}}…{{/Digits}}` is there only when it has a value, `{{^Digits}}…{{/Digits}}` only when it has none, and
//! `{{! … }}` never. Only files that come with the server are filled; what an application answers is left as it is.

use super::webhook::Params;

/// Why a file could not be filled: whoever wrote it is to change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{{` without `}}`.
    #[error("line {line}: {{{{ without }}}}")]
    Unclosed {
        /// Where, from 1.
        line: u32,
    },
    /// Not the name of a parameter.
    #[error("line {line}: a name has letters, digits, - and _")]
    Name {
        /// Where, from 1.
        line: u32,
    },
    /// A section that ends without having begun, ends another one, or does not end; or too many within each other.
    #[error("line {line}: sections do not fit into each other")]
    Section {
        /// Where, from 1.
        line: u32,
    },
    /// The result is longer than any document may be.
    #[error("longer than {most} bytes when it is filled")]
    TooLong {
        /// The most.
        most: usize,
    },
}

/// Sections within each other; the deepest menu needs two.
const DEEPEST: usize = 8;

/// Fills `text` with `params`, up to `most` bytes.
///
/// # Errors
/// When braces or sections do not match, a name is none, or the result is too long.
pub fn fill(text: &str, params: &Params, most: usize) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(text.len());
    // Open sections: their names, and whether what is in them is shown.
    let mut open: Vec<(&str, bool)> = Vec::new();
    let mut rest = text;
    let line = |rest: &str| text[..text.len() - rest.len()].matches('\n').count() as u32 + 1;
    while let Some(at) = rest.find("{{") {
        let is_shown = open.iter().all(|(_, is_shown)| *is_shown);
        if is_shown {
            out.push_str(&rest[..at]);
        }
        rest = &rest[at..];
        let end = rest.find("}}").ok_or_else(|| TemplateError::Unclosed { line: line(rest) })?;
        let tag = rest[2..end].trim();
        let (kind, name) = match tag.chars().next() {
            Some(kind @ ('#' | '^' | '/' | '!')) => (kind, tag[1..].trim()),
            _ => ('=', tag),
        };
        let is_name = !name.is_empty() && name.chars().all(|sign| sign.is_ascii_alphanumeric() || "-_".contains(sign));
        if kind != '!' && !is_name {
            return Err(TemplateError::Name { line: line(rest) });
        }
        let value = params.value(name).unwrap_or_default();
        match kind {
            '!' => {}
            '#' | '^' if open.len() == DEEPEST => return Err(TemplateError::Section { line: line(rest) }),
            '#' => open.push((name, !value.is_empty())),
            '^' => open.push((name, value.is_empty())),
            '/' => match open.pop() {
                Some((opened, _)) if opened == name => {}
                _ => return Err(TemplateError::Section { line: line(rest) }),
            },
            _ if is_shown => escape(value, &mut out),
            _ => {}
        }
        if out.len() > most {
            return Err(TemplateError::TooLong { most });
        }
        rest = &rest[end + 2..];
    }
    if !open.is_empty() {
        // Missed at the end of the text.
        return Err(TemplateError::Section { line: line("") });
    }
    out.push_str(rest);
    if out.len() > most { Err(TemplateError::TooLong { most }) } else { Ok(out) }
}

fn escape(value: &str, out: &mut String) {
    for sign in value.chars() {
        match sign {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // XML has no way to write most control characters.
            sign if sign.is_control() => out.push(' '),
            sign => out.push(sign),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&'static str, &str)]) -> Params {
        let mut params = Params::default();
        pairs.iter().for_each(|(name, value)| params.push(name, *value));
        params
    }

    #[test]
    fn a_value_stands_where_its_name_stood() {
        let filled = fill("<Redirect>menu-{{ Choice }}.xml</Redirect>", &params(&[("Choice", "de")]), 1_000);
        assert_eq!(filled.as_deref(), Ok("<Redirect>menu-de.xml</Redirect>"));
    }

    #[test]
    fn a_section_shows_when_its_value_is_there_and_its_opposite_when_not() {
        let text = "{{#Digits}}you typed {{Digits}}{{/Digits}}{{^Digits}}you typed nothing{{/Digits}}{{! no }}.";
        assert_eq!(fill(text, &params(&[("Digits", "12")]), 1_000).as_deref(), Ok("you typed 12."));
        assert_eq!(fill(text, &params(&[("Digits", "")]), 1_000).as_deref(), Ok("you typed nothing."));
        assert_eq!(fill(text, &params(&[]), 1_000).as_deref(), Ok("you typed nothing."));
    }

    #[test]
    fn what_a_caller_says_is_never_markup() {
        let said = params(&[("SpeechResult", "<Hangup/> & \"{{Digits}}\""), ("Digits", "1")]);
        let filled = fill("<Say>{{SpeechResult}}</Say>", &said, 1_000).expect("it fits");
        assert_eq!(filled, "<Say>&lt;Hangup/&gt; &amp; &quot;{{Digits}}&quot;</Say>");
    }

    #[test]
    fn what_does_not_match_is_refused_with_its_line() {
        let none = params(&[]);
        assert_eq!(fill("a\n{{Digits", &none, 100), Err(TemplateError::Unclosed { line: 2 }));
        assert_eq!(fill("a\n\n{{<x>}}", &none, 100), Err(TemplateError::Name { line: 3 }));
        assert_eq!(fill("{{#A}}{{/B}}", &none, 100), Err(TemplateError::Section { line: 1 }));
        assert_eq!(fill("{{#A}}\n", &none, 100), Err(TemplateError::Section { line: 2 }));
        assert_eq!(fill(&"{{#A}}".repeat(9), &none, 100), Err(TemplateError::Section { line: 1 }));
        assert_eq!(
            fill(&"{{A}}".repeat(9), &params(&[("A", "0123456789")]), 80),
            Err(TemplateError::TooLong { most: 80 })
        );
    }
}
