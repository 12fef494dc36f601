//! Server-sent events out of bytes that come in any pieces.
//!
//! Pure: bytes go in, whole events come out, and where the bytes were cut makes no difference. A line or an event
//! that does not end is refused at its limit, so memory is bounded. Bytes that are no UTF-8 become U+FFFD, as the
//! specification has it: whoever reads the event decides what that means.
//!
//! Source: WHATWG HTML, section 9.2.6. `id` and `retry` are for those who reconnect, so they are passed over.

/// The longest line, and the most data of one event. A token's event takes some 300 bytes; what comes close to this
/// is a call with a whole document in it.
pub const EVENT_BYTES_MAX: usize = 256 * 1_024;

/// A line or an event is longer than [`EVENT_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {EVENT_BYTES_MAX} bytes")]
pub struct TooLong;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is called; empty where it has no name.
    pub name: String,
    /// Its data, lines joined by line feeds.
    pub data: String,
}

/// Reads one stream.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    /// The last byte was a carriage return, so a line feed that follows belongs to it.
    after_return: bool,
    /// A first line was seen, so a byte order mark is none any more.
    has_begun: bool,
    name: String,
    data: String,
    has_data: bool,
}

impl Reader {
    /// Takes bytes and hands each event that is complete to `take`, until it fails.
    ///
    /// # Errors
    /// What `take` fails with, or [`TooLong`] as an error of its kind. The reader is of no use after that.
    pub fn push<E: From<TooLong>>(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        for &byte in bytes {
            let follows_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if follows_return => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    if let Some(event) = self.end_line()? {
                        take(event)?;
                    }
                }
                _ if self.line.len() == EVENT_BYTES_MAX => return Err(TooLong.into()),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<Event>, TooLong> {
        let mut line = self.line.as_slice();
        if !std::mem::replace(&mut self.has_begun, true) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            self.line.clear();
            return Ok(self.dispatch());
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let (field, value) = colon.map_or((line, &[][..]), |at| (&line[..at], &line[at + 1..]));
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if self.data.len() + value.len() > EVENT_BYTES_MAX {
                    return Err(TooLong);
                }
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(&String::from_utf8_lossy(value));
            }
            b"event" => self.name = String::from_utf8_lossy(value).into_owned(),
            // A comment (its field has no name), or what reconnecting would need.
            _ => {}
        }
        self.line.clear();
        Ok(None)
    }

    fn dispatch(&mut self) -> Option<Event> {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        std::mem::take(&mut self.has_data).then_some(Event { name, data })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(pieces: &[&[u8]]) -> (Vec<Event>, Result<(), TooLong>) {
        let (mut reader, mut events) = (Reader::default(), Vec::new());
        for piece in pieces {
            let pushed = reader.push(piece, |event| {
                events.push(event);
                Ok::<(), TooLong>(())
            });
            if pushed.is_err() {
                return (events, pushed);
            }
        }
        (events, Ok(()))
    }

    fn read(text: &[u8]) -> Vec<(String, String)> {
        let (events, ended) = events(&[text]);
        assert_eq!(ended, Ok(()));
        events.into_iter().map(|event| (event.name, event.data)).collect()
    }

    fn event(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn events_have_names_and_lines_of_data() {
        assert_eq!(read(b"data: one\n\n"), [event("", "one")]);
        assert_eq!(read(b"event: ping\ndata: {}\n\ndata:two\n\n"), [event("ping", "{}"), event("", "two")]);
        assert_eq!(read(b"data: a\ndata: b\ndata\n\n"), [event("", "a\nb\n")]);
        assert_eq!(read(b"data:  two spaces\n\n"), [event("", " two spaces")]);
        assert_eq!(read(b"data: a:b\nid: 7\nretry: 9\n: comment\n\n"), [event("", "a:b")]);
    }

    #[test]
    fn every_end_of_line_ends_a_line() {
        for text in [&b"data: a\r\ndata: b\r\n\r\n"[..], b"data: a\rdata: b\r\r", b"data: a\ndata: b\r\n\n"] {
            assert_eq!(read(text), [event("", "a\nb")], "{:?}", text.escape_ascii().to_string());
        }
    }

    #[test]
    fn what_has_no_data_or_no_end_is_no_event() {
        for text in [&b""[..], b"\n\n\n", b"event: x\n\n", b": keep-alive\n\n", b"data: no end\n", b"data: x"] {
            assert_eq!(read(text), [], "{:?}", text.escape_ascii().to_string());
        }
        assert_eq!(read(b"data\n\n"), [event("", "")]);
    }

    #[test]
    fn a_byte_order_mark_is_taken_at_the_start_alone() {
        assert_eq!(read(b"\xef\xbb\xbfdata: a\n\n"), [event("", "a")]);
        assert_eq!(read(b"\n\xef\xbb\xbfdata: a\n\n"), []);
    }

    #[test]
    fn what_is_no_utf8_is_replaced() {
        assert_eq!(read(b"data: a\xff\xc3z\n\n"), [event("", "a\u{fffd}\u{fffd}z")]);
    }

    #[test]
    fn a_line_or_an_event_without_end_is_refused_at_its_limit() {
        let endless = vec![b'x'; EVENT_BYTES_MAX + 1];
        assert_eq!(events(&[&endless]).1, Err(TooLong));
        assert_eq!(events(&[&endless[1..]]).1, Ok(()));
        let lines = b"data: 0123456789\n".repeat(EVENT_BYTES_MAX / 10 + 1);
        assert_eq!(events(&[&lines]).1, Err(TooLong));
        let many = b"data: 0123456789\n\n".repeat(EVENT_BYTES_MAX / 10 + 1);
        assert_eq!(events(&[&many]).1, Ok(()));
    }

    /// Text with what matters here: line ends, field names, colons, and bytes that are no text.
    fn pieces_of_streams() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"data: ".to_vec()),
            Just(b"event:".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b":".to_vec()),
            Just("grüß \u{1f600}".as_bytes().to_vec()),
            proptest::collection::vec(any::<u8>(), 0..4),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_same_events(bytes in pieces_of_streams(), size in 1_usize..9) {
            let cut: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(events(&cut), events(&[&bytes]));
        }
    }
}
