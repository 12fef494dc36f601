//! Messages from bytes and back: the only file that knows `ezk-sip-types`.
//!
//! The crate finds the lines of a head (folded ones too), their names (compact ones too) and the status line. The
//! request line and the URIs are read by this module, because the crate takes any case and any longer word for a
//! method, resolves escapes that must stay, and knows no scheme but its own.
//!
//! What arrives comes from a stranger: every length is bounded here before anything is kept, and of a message that
//! cannot be read, what can be read is kept so that it can be answered. Whether a readable message makes sense is
//! judged elsewhere (`sip::validate`).

use std::{borrow::Cow, fmt::Write};

use bytes::Bytes;
use ezk_sip_types::{
    msg::{Line, PullParser, StatusLine},
    parse::Parse,
};
use thiserror::Error;

use super::{Headers, Message, Method, Request, Response, Uri, field::is_token};

/// The longest start line and headers together. Certificates of callers (RFC 8224) make heads of 8 KiB; four times
/// that is what one stranger's half message may hold in memory.
pub const LONGEST_HEAD_BYTES: usize = 32 * 1_024;

/// The longest line, its continuations counted.
pub const LONGEST_LINE_BYTES: usize = 8 * 1_024;

/// The most lines of a head. Real ones have up to sixty; more cost time at each look for a header.
pub const MOST_HEADER_LINES: usize = 256;

/// The longest body: what a datagram holds.
pub const LONGEST_BODY_BYTES: usize = 65_535;

/// Bytes that are no message: the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{why}")]
pub struct Malformed {
    /// What is wrong with them.
    pub why: Why,
    /// What to send back: only where they are a request other than ACK, and name the way back and the transaction.
    pub answer: Option<Box<Response>>,
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Why {
    /// Nothing but line breaks: how some keep a mapping alive.
    #[error("nothing but line breaks")]
    Empty,
    /// The first line neither asks nor answers.
    #[error("the first line is no SIP")]
    StartLine,
    /// The first line is of another version.
    #[error("a version other than SIP/2.0")]
    Version,
    /// No blank line ends the headers, or lines end now this way and now that way.
    #[error("the headers do not end")]
    Unended,
    /// A line lacks name or colon.
    #[error("a header line has no name")]
    HeaderLine,
    /// A line is longer than [`LONGEST_LINE_BYTES`].
    #[error("a header line of more than {LONGEST_LINE_BYTES} bytes")]
    LongLine,
    /// There are more than [`MOST_HEADER_LINES`] of them.
    #[error("more than {MOST_HEADER_LINES} header lines")]
    ManyLines,
    /// The head is longer than [`LONGEST_HEAD_BYTES`].
    #[error("headers of more than {LONGEST_HEAD_BYTES} bytes")]
    LongHead,
    /// Content-Length is no number, or is several.
    #[error("a Content-Length that is no number, or several that differ")]
    ContentLength,
    /// A stream's message does not say how long it is.
    #[error("no Content-Length on a stream")]
    NoContentLength,
    /// The body is longer than [`LONGEST_BODY_BYTES`].
    #[error("a body of more than {LONGEST_BODY_BYTES} bytes")]
    LongBody,
    /// There is less body than the headers say.
    #[error("less body than Content-Length says")]
    ShortBody,
    /// A stream's message is not whole after the time that one may take.
    #[error("half a message, and no more of it in time")]
    Slow,
}

/// The head of a message, as far as it can be read.
#[derive(Debug)]
pub(super) struct Head {
    start: Result<Start, Why>,
    headers: Headers,
    /// What the headers say that follows them.
    pub(super) body_bytes: Result<Option<usize>, Why>,
    /// The first thing that is wrong, start line and Content-Length left out.
    fault: Option<Why>,
    /// What is asked for, where the start line has no more than that; `None` for a response.
    method: Option<Method>,
}

#[derive(Debug)]
enum Start {
    Request(Method, Uri),
    Response(u16, String),
}

/// Reads the message of one datagram: the body is cut to Content-Length, and what follows it is ignored (RFC 3261
/// section 18.3). Line breaks before the message are passed over.
///
/// # Errors
/// When it is no message; what to answer is with it.
pub fn parse_datagram(bytes: &Bytes) -> Result<Message, Malformed> {
    let begin = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let Some(begin) = begin else { return Err(Malformed { why: Why::Empty, answer: None }) };
    let bytes = bytes.slice(begin..);
    let Some(end) = head_length(&bytes, 0) else {
        let head = Head::read_unended(&bytes);
        return Err(head.malformed(if bytes.len() > LONGEST_HEAD_BYTES { Why::LongHead } else { Why::Unended }));
    };
    if end > LONGEST_HEAD_BYTES {
        return Err(Head::read_unended(&bytes).malformed(Why::LongHead));
    }
    let (head, mut body) = (Head::read(&bytes.slice(..end)), bytes.slice(end..));
    match head.body_bytes {
        Ok(Some(length)) if length > body.len() => return Err(head.malformed(Why::ShortBody)),
        Ok(Some(length)) => body.truncate(length),
        Ok(None) | Err(_) => {}
    }
    head.with_body(body)
}

impl Message {
    /// As it goes onto the wire.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }
}

impl Request {
    /// As it goes onto the wire.
    pub fn to_bytes(&self) -> Bytes {
        print(format_args!("{} {} SIP/2.0", self.method, self.uri), &self.headers, &self.body)
    }
}

impl Response {
    /// As it goes onto the wire.
    pub fn to_bytes(&self) -> Bytes {
        print(format_args!("SIP/2.0 {} {}", self.status, self.reason), &self.headers, &self.body)
    }
}

/// Where the head that begins `bytes` ends, its blank line counted. Nothing is looked for before `from`.
pub(super) fn head_length(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == b'\n')? + 1;
        match bytes.get(at..)? {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
}

impl Head {
    /// Reads what can be read of `bytes`, which end with the head.
    pub(super) fn read(bytes: &Bytes) -> Self {
        let mut lines = PullParser::new(bytes, 0);
        let mut head = Self {
            start: Err(Why::StartLine),
            headers: Headers::new(),
            body_bytes: Ok(None),
            fault: None,
            method: None,
        };
        if let Some(Ok(line)) = lines.next() {
            head.read_start(bytes, line);
        }
        for (count, line) in lines.enumerate() {
            let fault = match line {
                Err(_) => Err(Why::Unended),
                Ok(_) if count == MOST_HEADER_LINES => Err(Why::ManyLines),
                Ok(line) => head.read_line(bytes, line),
            };
            if let Err(why) = fault {
                head.fault.get_or_insert(why);
            }
            if count == MOST_HEADER_LINES {
                break;
            }
        }
        head
    }

    /// Reads the whole lines of what has no end, or ends too late.
    pub(super) fn read_unended(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(LONGEST_HEAD_BYTES)];
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let end = if bytes[..whole].ends_with(b"\r\n") { &b"\r\n"[..] } else { b"\n" };
        Self::read(&[&bytes[..whole], end].concat().into())
    }

    /// The message with its body.
    pub(super) fn with_body(self, body: Bytes) -> Result<Message, Malformed> {
        if let Some(why) = self.start.as_ref().err().or(self.fault.as_ref()).or_else(|| self.body_bytes.as_ref().err())
        {
            let why = *why;
            return Err(self.malformed(why));
        }
        let headers = self.headers;
        match self.start {
            Ok(Start::Request(method, uri)) => Ok(Message::Request(Request { method, uri, headers, body })),
            Ok(Start::Response(status, reason)) => Ok(Message::Response(Response { status, reason, headers, body })),
            Err(why) => Err(Malformed { why, answer: None }),
        }
    }

    /// That `why` is wrong with it, and the answer where there is one.
    pub(super) fn malformed(self, why: Why) -> Malformed {
        let is_asked = self.method.is_some_and(|method| method != Method::Ack);
        let is_answerable = is_asked && self.headers.contains("Via") && self.headers.contains("CSeq");
        let status = match why {
            Why::Version => 505,
            Why::LongBody => 413,
            Why::LongLine | Why::ManyLines | Why::LongHead => 513,
            _ => 400,
        };
        let answer = is_answerable.then(|| Box::new(Response::to_headers(&self.headers, status)));
        Malformed { why, answer }
    }

    fn read_start(&mut self, bytes: &Bytes, line: &[u8]) {
        let Ok(line) = std::str::from_utf8(line) else { return };
        if line.len() > LONGEST_LINE_BYTES || line.contains(['\r', '\n']) {
            return;
        }
        if line.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("SIP/")) {
            self.start = match StatusLine::parse(bytes)(line) {
                Ok((_, status)) if (100..700).contains(&status.code.into_u16()) => {
                    let reason = status.reason.map_or_else(String::new, |reason| reason.to_string());
                    Ok(Start::Response(status.code.into_u16(), reason))
                }
                _ if line.get(..7).is_some_and(|version| version.eq_ignore_ascii_case("SIP/2.0")) => {
                    Err(Why::StartLine)
                }
                _ => Err(Why::Version),
            };
            return;
        }
        let (method, rest) = line.split_once(' ').unwrap_or((line, ""));
        if !is_token(method) {
            return;
        }
        let method = Method::from(method);
        self.method = Some(method.clone());
        let Some((uri, version)) = rest.trim_end_matches([' ', '\t']).rsplit_once(' ') else { return };
        self.start = if !version.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("SIP/")) {
            Err(Why::StartLine)
        } else if !version.eq_ignore_ascii_case("SIP/2.0") {
            Err(Why::Version)
        } else {
            uri.parse().map(|uri| Start::Request(method, uri)).map_err(|_| Why::StartLine)
        };
    }

    fn read_line(&mut self, bytes: &Bytes, line: &[u8]) -> Result<(), Why> {
        if line.len() > LONGEST_LINE_BYTES {
            return Err(Why::LongLine);
        }
        let parsed = match std::str::from_utf8(line) {
            Ok(line) => Line::parse(bytes, line).ok().map(|(_, line)| line),
            // Names of callers come in other encodings from old exchanges. What cannot be read is replaced: a call
            // is worth more than a letter of its display name.
            Err(_) => {
                let line = Bytes::from(String::from_utf8_lossy(line).into_owned());
                std::str::from_utf8(&line).ok().and_then(|text| Line::parse(&line, text).ok()).map(|(_, line)| line)
            }
        };
        let line = parsed.ok_or(Why::HeaderLine)?;
        let name = whole_name(line.name.as_print_str());
        if !is_token(name) {
            return Err(Why::HeaderLine);
        }
        let value = unfolded(line.value.trim());
        if !name.eq_ignore_ascii_case("Content-Length") {
            self.headers.push(name, value);
            return Ok(());
        }
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        // A number that no memory can hold is a number all the same: it is too large, whatever it is.
        let length = if is_number { Ok(value.parse().unwrap_or(usize::MAX)) } else { Err(Why::ContentLength) };
        self.body_bytes = match (self.body_bytes, length) {
            (Ok(None), Ok(length)) => Ok(Some(length)),
            (Ok(Some(known)), Ok(length)) if known == length => Ok(Some(known)),
            _ => Err(Why::ContentLength),
        };
        Ok(())
    }
}

/// The whole name for the compact forms that the crate does not know (RFC 3515, 3841, 3892, 8224).
fn whole_name(name: &str) -> &str {
    match name {
        "a" | "A" => "Accept-Contact",
        "b" | "B" => "Referred-By",
        "d" | "D" => "Request-Disposition",
        "j" | "J" => "Reject-Contact",
        "y" | "Y" => "Identity",
        _ => name,
    }
}

/// `value` on one line: each break with the blanks round it becomes one blank.
fn unfolded(value: &str) -> Cow<'_, str> {
    if !value.contains(['\r', '\n']) {
        return value.into();
    }
    let parts: Vec<&str> = value.split(['\r', '\n']).map(str::trim).filter(|part| !part.is_empty()).collect();
    parts.join(" ").into()
}

fn print(start: std::fmt::Arguments<'_>, headers: &Headers, body: &[u8]) -> Bytes {
    let lines: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut head = String::with_capacity(256 + lines + body.len());
    _ = head.write_fmt(start);
    if head.contains(['\r', '\n']) {
        head = head.replace(['\r', '\n'], " ");
    }
    head.push_str("\r\n");
    for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("Content-Length")) {
        head.push_str(name);
        head.push_str(": ");
        // Nobody's value may begin a header of its own.
        if value.contains(['\r', '\n']) {
            head.push_str(&value.replace(['\r', '\n'], " "));
        } else {
            head.push_str(value);
        }
        head.push_str("\r\n");
    }
    _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes.into()
}
