//! Texts of a persona with places for what is known of a call.
//!
//! `{{name}}` is the value of `name`, `{{name|there}}` the same or `there`; `{{#name}}…{{/name}}` is there only when it
//! has a value, `{{^name}}…{{/name}}` only when it has none. What a value holds is never read as a template. Nothing is
//! refused here: a section that is never closed goes to the end of the text, and hides it where it is not shown. Pure.

use std::collections::BTreeMap;

/// Fills `text` with `values`.
pub(super) fn fill(text: &str, values: &BTreeMap<String, String>) -> String {
    let value = |name: &str| values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    let mut out = String::with_capacity(text.len());
    // Sections that are open, and whether what is in them is shown.
    let mut open: Vec<(&str, bool)> = Vec::new();
    let mut rest = text;
    while let Some((before, tag, after)) = next_tag(rest) {
        let is_shown = |open: &[(&str, bool)]| open.iter().all(|(_, shown)| *shown);
        if is_shown(&open) {
            out.push_str(before);
        }
        rest = after;
        match (tag.chars().next(), tag.get(1..).map(str::trim)) {
            (Some('#'), Some(name)) => open.push((name, value(name).is_some())),
            (Some('^'), Some(name)) => open.push((name, value(name).is_none())),
            // One that closes nothing is no text either.
            (Some('/'), name) => {
                open.pop_if(|(opened, _)| name == Some(*opened));
            }
            _ if is_shown(&open) => {
                let (name, fallback) =
                    tag.split_once('|').map_or((tag, ""), |(name, fallback)| (name.trim(), fallback));
                out.push_str(value(name.trim()).unwrap_or_else(|| fallback.trim()));
            }
            _ => {}
        }
    }
    if open.iter().all(|(_, shown)| *shown) {
        out.push_str(rest);
    }
    out
}

/// What stands before the next tag, what is in it, and what follows.
fn next_tag(text: &str) -> Option<(&str, &str, &str)> {
    let begin = text.find("{{")?;
    let end = begin + text[begin..].find("}}")?;
    Some((&text[..begin], text[begin + 2..end].trim(), &text[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_or_fall_back() {
        let values: BTreeMap<String, String> =
            [("name", "Anna"), ("empty", " "), ("evil", "{{name}}")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        for (text, filled) in [
            ("Hello {{name|there}}!", "Hello Anna!"),
            ("Hello {{ who | there }}!", "Hello there!"),
            ("Hello {{empty|there}}!", "Hello there!"),
            ("Hello{{who}}!", "Hello!"),
            ("{{#name}}Hi {{name}}.{{/name}}{{^name}}Hi.{{/name}}", "Hi Anna."),
            ("{{#who}}Hi {{who}}.{{/who}}{{^who}}Hi.{{/who}}", "Hi."),
            ("{{evil}}", "{{name}}"),
            ("no {{ end", "no {{ end"),
            ("{{#name}}open", "open"),
            ("{{/name}}{{}}x", "x"),
            ("", ""),
        ] {
            assert_eq!(fill(text, &values), filled, "{text}");
        }
    }
}
