//! The headers of a message, in order and as written, and the typed views on them.
//!
//! Names are compared without regard to case; compact forms are written out when a message is read, so that nobody
//! above has to know them. A view reads its header each time that it is asked: nothing is cached, nothing is lost.

use std::str::FromStr;

use thiserror::Error;

use super::{CSeq, NameAddr, Unreadable, Via, field::whole_number};

/// Headers in order, values without line breaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Box<str>, String)>);

/// A header is missing or says nothing that can be read: the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name}: {why}")]
pub struct MalformedHeader {
    /// Which header.
    pub name: Box<str>,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Headers {
    /// No headers.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a line at the end.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Adds a line before all others.
    pub fn push_front(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(0, (name.into(), value.into()));
    }

    /// Makes this the only line of its name: the first one's place is kept.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        match self.0.iter().position(|line| is(line, name)) {
            Some(at) => {
                self.0[at].1 = value.into();
                let mut index = 0;
                self.0.retain(|line| {
                    index += 1;
                    index <= at + 1 || !is(line, name)
                });
            }
            None => self.push(name, value),
        }
    }

    /// Takes out all lines of that name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|line| !is(line, name));
    }

    /// Takes out the first element of that name and returns it; a line goes with its last element.
    pub fn pop_front(&mut self, name: &str) -> Option<String> {
        loop {
            let at = self.0.iter().position(|line| is(line, name))?;
            let line = &mut self.0[at].1;
            let end = element_length(line);
            let element = line[..end].trim().to_owned();
            let rest = line[end..].strip_prefix(',').map_or("", str::trim_start);
            if rest.is_empty() {
                self.0.remove(at);
            } else {
                *line = rest.to_owned();
            }
            if !element.is_empty() {
                return Some(element);
            }
        }
    }

    /// The first line of that name.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|line| is(line, name)).map(|(_, value)| value.as_str())
    }

    /// All lines of that name, as they stand.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |line| is(line, name)).map(|(_, value)| value.as_str())
    }

    /// What commas separate in all lines of that name, in order; commas within quotes or `<>` do not. Empty elements
    /// are passed over. Not for headers whose parameters are separated by commas (Authorization and its kin).
    pub fn elements<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name).flat_map(elements)
    }

    /// Whether a list of tokens names this one, whatever its case.
    pub fn contains_token(&self, name: &str, token: &str) -> bool {
        self.elements(name).any(|element| element.eq_ignore_ascii_case(token))
    }

    /// Whether there is a line of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    /// All lines: name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, value.as_str()))
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds all lines of that name which `from` has, in order.
    pub fn copy(&mut self, from: &Self, name: &str) {
        self.0.extend(from.0.iter().filter(|line| is(line, name)).cloned());
    }

    /// The topmost Via.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn via(&self) -> Result<Via, MalformedHeader> {
        match self.elements("Via").next() {
            Some(element) => read("Via", element),
            None => Err(missing("Via")),
        }
    }

    /// Who asks.
    ///
    /// # Errors
    /// When it is missing or cannot be read.
    pub fn from(&self) -> Result<NameAddr, MalformedHeader> {
        read("From", self.first("From").ok_or_else(|| missing("From"))?)
    }

    /// Who is asked.
    ///
    /// # Errors
    /// When it is missing or cannot be read.
    pub fn to(&self) -> Result<NameAddr, MalformedHeader> {
        read("To", self.first("To").ok_or_else(|| missing("To"))?)
    }

    /// The first Contact. `*`, which a REGISTER may hold, is no address: look for it with [`Self::first`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn contact(&self) -> Result<Option<NameAddr>, MalformedHeader> {
        self.elements("Contact").next().map(|element| read("Contact", element)).transpose()
    }

    /// All that are named (Route, Record-Route, Contact, Refer-To, …), in order.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn name_addrs(&self, name: &str) -> Result<Vec<NameAddr>, MalformedHeader> {
        self.elements(name).map(|element| read(name, element)).collect()
    }

    /// What is the same in all messages of a dialog or of a registration.
    ///
    /// # Errors
    /// When it is missing, empty, or of several words.
    pub fn call_id(&self) -> Result<&str, MalformedHeader> {
        let value = self.first("Call-ID").ok_or_else(|| missing("Call-ID"))?;
        if value.is_empty() || value.contains(|c: char| c.is_ascii_whitespace() || c.is_control()) {
            return Err(MalformedHeader { name: "Call-ID".into(), why: "it is not one word" });
        }
        Ok(value)
    }

    /// The number and method of the request.
    ///
    /// # Errors
    /// When it is missing, cannot be read, or is 2^31 or more.
    pub fn cseq(&self) -> Result<CSeq, MalformedHeader> {
        read("CSeq", self.first("CSeq").ok_or_else(|| missing("CSeq"))?)
    }

    /// The number that the first line of that name begins with (Max-Forwards, Expires, RSeq, Min-SE, Session-Expires,
    /// Retry-After, …); parameters and a comment may follow it.
    ///
    /// # Errors
    /// When it begins with none, or with one that is 2^32 or more.
    pub fn number(&self, name: &str) -> Result<Option<u32>, MalformedHeader> {
        let Some(value) = self.first(name) else { return Ok(None) };
        let end = value.find(|c: char| c.is_ascii_whitespace() || matches!(c, ';' | '(')).unwrap_or(value.len());
        whole_number(&value[..end]).map(Some).map_err(|Unreadable(why)| MalformedHeader { name: name.into(), why })
    }
}

fn is((name, _): &(Box<str>, String), wanted: &str) -> bool {
    name.eq_ignore_ascii_case(wanted)
}

fn read<T: FromStr<Err = Unreadable>>(name: &str, text: &str) -> Result<T, MalformedHeader> {
    text.parse().map_err(|Unreadable(why)| MalformedHeader { name: name.into(), why })
}

fn missing(name: &str) -> MalformedHeader {
    MalformedHeader { name: name.into(), why: "it is missing" }
}

fn elements(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        loop {
            let text = rest?;
            let end = element_length(text);
            rest = text.get(end + 1..);
            let element = text[..end].trim();
            if !element.is_empty() {
                return Some(element);
            }
        }
    })
}

/// Where the first comma stands that separates, or the end.
fn element_length(line: &str) -> usize {
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'<' if !quoted => bracketed = true,
            b'>' if !quoted => bracketed = false,
            b',' if !quoted && !bracketed => return at,
            _ => {}
        }
    }
    line.len()
}
