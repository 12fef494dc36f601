//! Parameters: `;name` and `;name=value`, as they follow a URI or the value of a header (RFC 3261 section 25.1).

use std::{borrow::Cow, fmt};

use super::Unreadable;

/// Parameters in order, values as written: a quoted string keeps its quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// No parameters.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The first of that name, whatever its case: `Some(None)` when it has no value.
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_deref())
    }

    /// The value of the first of that name; a quoted string without its quotes and escapes.
    pub fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).flatten().map(unquoted)
    }

    /// Whether there is one of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets the first of that name in its place, or adds it at the end. A value that is no token must come quoted.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(str::to_owned);
        match self.0.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Takes out all of that name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the parameters of a header: `text` is empty or begins with a semicolon, blanks may stand round every
    /// part, values may be quoted.
    pub(super) fn of_header(mut text: &str) -> Result<Self, Unreadable> {
        let mut params = Vec::new();
        loop {
            text = text.trim_start();
            if text.is_empty() {
                return Ok(Self(params));
            }
            text = text.strip_prefix(';').ok_or(Unreadable("something else than parameters follows"))?.trim_start();
            let end = text.find(is_delimiter).unwrap_or(text.len());
            let (name, rest) = text.split_at(end);
            if name.is_empty() {
                return Err(Unreadable("a parameter has no name"));
            }
            text = rest.trim_start();
            let mut value = None;
            if let Some(rest) = text.strip_prefix('=') {
                let rest = rest.trim_start();
                let end = if rest.starts_with('"') {
                    quoted_length(rest).ok_or(Unreadable("a quoted string does not end"))?
                } else {
                    rest.find(|c| is_delimiter(c) && c != '=').unwrap_or(rest.len())
                };
                let (written, rest) = rest.split_at(end);
                value = Some(written.to_owned());
                text = rest;
            }
            params.push((name.to_owned(), value));
        }
    }

    /// Reads the parameters of a URI: `text` is empty or begins with a semicolon, there are no blanks.
    pub(super) fn of_uri(text: &str) -> Result<Self, Unreadable> {
        let Some(text) = text.strip_prefix(';') else {
            return if text.is_empty() { Ok(Self::new()) } else { Err(Unreadable("something follows the URI's host")) };
        };
        let mut params = Vec::new();
        for param in text.split(';') {
            let (name, value) = match param.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (param, None),
            };
            if name.is_empty() {
                return Err(Unreadable("a parameter of the URI has no name"));
            }
            params.push((name.to_owned(), value.map(str::to_owned)));
        }
        Ok(Self(params))
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            f.write_str(";")?;
            f.write_str(name)?;
            if let Some(value) = value {
                f.write_str("=")?;
                f.write_str(value)?;
            }
        }
        Ok(())
    }
}

/// How long the quoted string is that `text` begins with, both quotes counted; `None` when it does not end.
pub(crate) fn quoted_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// `text` without quotes round it and without the escapes within them; text without quotes as it is.
pub(crate) fn unquoted(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { return text.into() };
    if !inner.contains('\\') {
        return inner.into();
    }
    let mut plain = String::with_capacity(inner.len());
    let mut escaped = false;
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            plain.push(c);
            escaped = false;
        }
    }
    plain.into()
}

fn is_delimiter(c: char) -> bool {
    c.is_ascii_whitespace() || matches!(c, ';' | '=' | ',' | '"' | '<' | '>')
}
