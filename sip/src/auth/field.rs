//! `Scheme name=value, name="value"`: what challenges and their answers are written as (RFC 7235 section 2.1).

use std::borrow::Cow;

use crate::message::{quoted_length, unquoted};

/// The parameters of a header of that form, the first of each name counts.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    pub(super) scheme: &'a str,
    params: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> Fields<'a> {
    /// Reads a header; `None` where it is not of that form.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (scheme, mut rest) = text.trim().split_once(|c: char| c.is_ascii_whitespace())?;
        let mut params = Vec::new();
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
            if rest.is_empty() {
                return Some(Self { scheme, params });
            }
            let (name, value) = rest.split_once('=')?;
            let value = value.trim_start();
            let end = if value.starts_with('"') {
                quoted_length(value)?
            } else {
                value.find(|c: char| c == ',' || c.is_ascii_whitespace()).unwrap_or(value.len())
            };
            let (value, after) = value.split_at(end);
            let after = after.trim_start();
            if !after.is_empty() && !after.starts_with(',') {
                return None;
            }
            params.push((name.trim(), unquoted(value)));
            rest = after;
        }
    }

    pub(super) fn is_digest(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("Digest")
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }
}

/// `text` in quotes. Line breaks cannot be quoted and become blanks.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\r' | '\n' => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
