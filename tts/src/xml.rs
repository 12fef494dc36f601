//! Plain text as XML: none of it becomes a mark. Pure.

/// Appends `text` as it stands between marks.
///
/// Quotation marks stay what they are: espeak-ng makes no pause after a sentence that ends before an escaped one.
pub(crate) fn escape(text: &str, xml: &mut String) {
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            // Neither of them may stand in XML.
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => xml.push(' '),
            c => xml.push(c),
        }
    }
}

/// Appends `text` as it stands in an attribute, whose double quotes are the caller's.
pub(crate) fn escape_attribute(text: &str, xml: &mut String) {
    for (at, part) in text.split('"').enumerate() {
        if at > 0 {
            xml.push_str("&quot;");
        }
        escape(part, xml);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_a_mark_or_is_none_of_xml_is_escaped() {
        let text = "\"a\" & <b>\n\u{0}\u{ffff}it's\"";
        let (mut between, mut inside) = (String::new(), String::new());
        escape(text, &mut between);
        escape_attribute(text, &mut inside);
        assert_eq!(between, "\"a\" &amp; &lt;b&gt;  it's\"");
        assert_eq!(inside, "&quot;a&quot; &amp; &lt;b&gt;  it's&quot;");
    }
}
