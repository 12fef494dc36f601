//! Text to a description: bounded first, lenient with what the field gets wrong, strict with what cannot be meant.
//!
//! Taken although RFC 8866 forbids it: bare line feeds, empty lines, spaces at line ends and between words, a
//! missing `s=` or `t=`, lines out of order, letters that do not exist. Refused: what is longer or has more of anything
//! than a session has reason to, lines without a letter, control characters, and `o=`, `c=` or `m=` lines
//! that cannot be read, because guessing there sends sound to strangers.

use std::net::IpAddr;

use thiserror::Error;

use super::{Attribute, Host, Media, Origin, Session};

/// An offer with video and twenty candidates has 4 kB; a browser's with everything 12 kB.
const BYTES_MAX: usize = 64 * 1024;

/// Sections of one description: audio, video, slides, chat, each twice.
const MEDIA_MAX: usize = 16;

/// Attributes of one section. A browser's video section has about 120.
const ATTRIBUTES_MAX: usize = 256;

/// Payload types of one section: as many as there are dynamic and static ones in use.
const FORMATS_MAX: usize = 64;

/// Other lines of one section.
const OTHERS_MAX: usize = 64;

/// Why bytes are no description. The far end's fault; 400 (Bad Request) says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadSession {
    /// Longer than any description has reason to be.
    #[error("the session description is longer than {BYTES_MAX} bytes")]
    TooLong,
    /// More of something than a session has reason to have.
    #[error("the session description has more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are taken.
        limit: usize,
    },
    /// A line that cannot be read.
    #[error("line {line} of the session description: {why}")]
    Line {
        /// Which, from one.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A line that must be there is not.
    #[error("the session description has no {0} line")]
    Lacking(&'static str),
}

impl Session {
    /// Reads the body of a message.
    ///
    /// # Errors
    /// [`BadSession`] says which line is wrong, or of what there is too much.
    pub fn parse(body: &[u8]) -> Result<Self, BadSession> {
        if body.len() > BYTES_MAX {
            return Err(BadSession::TooLong);
        }
        // A name in some old character set is nobody's harm; what is read here is ASCII.
        let text = String::from_utf8_lossy(body);
        let mut reading = Reading::default();
        for (index, line) in text.split('\n').enumerate() {
            let line = line.trim_end();
            if !line.is_empty() {
                reading.take(index + 1, line)?;
            }
        }
        reading.end()
    }
}

/// A description that is read so far.
#[derive(Default)]
struct Reading {
    has_begun: bool,
    origin: Option<Origin>,
    name: Option<String>,
    connection: Option<Host>,
    others: Vec<(char, String)>,
    attributes: Vec<Attribute>,
    media: Vec<Media>,
}

impl Reading {
    fn take(&mut self, number: usize, line: &str) -> Result<(), BadSession> {
        let bad = |why| BadSession::Line { line: number, why };
        if line.chars().any(|letter| letter.is_control() && letter != '\t') {
            return Err(bad("it holds control characters"));
        }
        let mut letters = line.chars();
        let (Some(letter), Some('=')) = (letters.next(), letters.next()) else {
            return Err(bad("it is not of the form x=value"));
        };
        if !letter.is_ascii_alphabetic() {
            return Err(bad("it is not of the form x=value"));
        }
        let value = letters.as_str();
        if !self.has_begun {
            self.has_begun = letter == 'v' && value.trim() == "0";
            return self.has_begun.then_some(()).ok_or_else(|| bad("a session description begins with v=0"));
        }
        if letter == 'm' {
            return self.begin_media(number, value);
        }
        let is_session = self.media.is_empty();
        let (connection, others, attributes) = match self.media.last_mut() {
            Some(media) => (&mut media.connection, &mut media.others, &mut media.attributes),
            None => (&mut self.connection, &mut self.others, &mut self.attributes),
        };
        match letter {
            'a' => {
                attributes.push(attribute(value));
                within(attributes.len(), ATTRIBUTES_MAX, "attributes in one section")
            }
            // Where there are more, they are of layers that nobody here sends.
            'c' if connection.is_none() => {
                *connection = Some(host(value).ok_or_else(|| bad("c= is to say IN, IP4 or IP6, and an address"))?);
                Ok(())
            }
            'o' if is_session && self.origin.is_none() => {
                self.origin = Some(origin(value).ok_or_else(|| bad("o= is to have six parts"))?);
                Ok(())
            }
            's' if is_session && self.name.is_none() => {
                self.name = Some(value.to_owned());
                Ok(())
            }
            _ => {
                others.push((letter, value.to_owned()));
                within(others.len(), OTHERS_MAX, "lines of other types in one section")
            }
        }
    }

    fn begin_media(&mut self, number: usize, value: &str) -> Result<(), BadSession> {
        let media = media(value)
            .ok_or(BadSession::Line { line: number, why: "m= is to name a kind, a port, a protocol and formats" })?;
        within(media.formats.len(), FORMATS_MAX, "payload types in one section")?;
        self.media.push(media);
        within(self.media.len(), MEDIA_MAX, "media sections")
    }

    fn end(mut self) -> Result<Session, BadSession> {
        if !self.has_begun {
            return Err(BadSession::Lacking("v="));
        }
        let origin = self.origin.ok_or(BadSession::Lacking("o="))?;
        if !self.others.iter().any(|(letter, _)| *letter == 't') {
            self.others.push(('t', "0 0".to_owned()));
        }
        self.others.sort_by_key(|(letter, _)| place(*letter));
        self.media.iter_mut().for_each(|media| media.others.sort_by_key(|(letter, _)| place(*letter)));
        let name = self.name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| "-".to_owned());
        Ok(Session {
            origin,
            name,
            connection: self.connection,
            others: self.others,
            attributes: self.attributes,
            media: self.media,
        })
    }
}

/// Whether a line is written before `c=` or after it (RFC 8866 section 5).
pub(super) const fn place(letter: char) -> u8 {
    match letter {
        'i' | 'u' | 'e' | 'p' => 0,
        _ => 1,
    }
}

fn within(count: usize, limit: usize, what: &'static str) -> Result<(), BadSession> {
    if count <= limit { Ok(()) } else { Err(BadSession::TooMany { what, limit }) }
}

fn attribute(value: &str) -> Attribute {
    match value.split_once(':') {
        Some((name, value)) => Attribute::of(name, value),
        None => Attribute::flag(value),
    }
}

/// `IN IP4 192.0.2.1`, with what a group has behind it.
fn host(value: &str) -> Option<Host> {
    let mut words = value.split_ascii_whitespace();
    if !words.next()?.eq_ignore_ascii_case("IN") || !is_family(words.next()?) {
        return None;
    }
    let address = words.next()?;
    words.next().is_none().then(|| address_of(address))?
}

fn is_family(word: &str) -> bool {
    word.eq_ignore_ascii_case("IP4") || word.eq_ignore_ascii_case("IP6")
}

pub(super) fn address_of(text: &str) -> Option<Host> {
    let address = text.split('/').next().filter(|address| !address.is_empty())?;
    Some(address.parse::<IpAddr>().map_or_else(|_| Host::Name(address.to_owned()), Host::Ip))
}

/// Some put spaces into the user, so it is read from behind.
fn origin(value: &str) -> Option<Origin> {
    let words: Vec<_> = value.split_ascii_whitespace().collect();
    let (user, rest) = words.split_at_checked(words.len().checked_sub(5)?)?;
    let [id, version, net, family, address] = rest else { return None };
    if !net.eq_ignore_ascii_case("IN") || !is_family(family) {
        return None;
    }
    let user = if user.is_empty() { "-".to_owned() } else { user.join(" ") };
    Some(Origin { user, id: (*id).to_owned(), version: (*version).to_owned(), address: address_of(address)? })
}

fn media(value: &str) -> Option<Media> {
    let mut words = value.split_ascii_whitespace();
    let (kind, ports, protocol) = (words.next()?, words.next()?, words.next()?);
    let (port, ports) = match ports.split_once('/') {
        Some((port, ports)) => (port.parse().ok()?, Some(ports.parse().ok()?)),
        None => (ports.parse().ok()?, None),
    };
    Some(Media {
        kind: kind.to_owned(),
        port,
        ports,
        protocol: protocol.to_owned(),
        // One more than is taken, so that it shows.
        formats: words.take(FORMATS_MAX + 1).map(str::to_owned).collect(),
        connection: None,
        others: Vec::new(),
        attributes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHORTEST: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n";

    fn parsed(text: &str) -> Result<Session, BadSession> {
        Session::parse(text.as_bytes())
    }

    #[test]
    fn what_the_field_gets_wrong_is_read_all_the_same() {
        let text = "v=0\no=Some Phone 2890844526 2890842807 IN IP4 phone.example\ns= \n\nc=in ip4 198.51.100.1/127 \n\
            m=audio   4000/2  RTP/AVP  0\t8\nt=0 0\nX=who knows\na=sendonly \nz=\n";
        let session = parsed(text).unwrap();
        assert_eq!((session.origin.user.as_str(), session.name.as_str()), ("Some Phone", "-"));
        assert_eq!(session.origin.address, Host::Name("phone.example".to_owned()));
        assert_eq!(session.connection, Some(Host::Ip([198, 51, 100, 1].into())));
        let [media] = &session.media[..] else { panic!("{session:?}") };
        assert_eq!(
            (media.port, media.ports, &media.formats[..]),
            (4_000, Some(2), &["0".to_owned(), "8".to_owned()][..])
        );
        assert!(media.has("sendonly"));
        assert_eq!(media.others.iter().map(|(letter, _)| *letter).collect::<String>(), "tXz");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_its_line() {
        let refused = |text: &str| match parsed(text) {
            Err(BadSession::Line { line, .. }) => line,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused("o=- 1 1 IN IP4 1.1.1.1\r\nv=0\r\n"), 1);
        assert_eq!(refused("v=0\r\no=- 1 IN IP4\r\n"), 2);
        assert_eq!(refused(&format!("{SHORTEST}c=IN IP4\r\n")), 3);
        assert_eq!(refused(&format!("{SHORTEST}c=ATM NSAP 47\r\n")), 3);
        assert_eq!(refused(&format!("{SHORTEST}m=audio 70000 RTP/AVP 0\r\n")), 3);
        assert_eq!(refused(&format!("{SHORTEST}m=audio RTP/AVP 0\r\n")), 3);
        assert_eq!(refused(&format!("{SHORTEST}hello\r\n")), 3);
        assert_eq!(refused(&format!("{SHORTEST}a=x\0y\r\n")), 3);
        assert_eq!(parsed("v=0\r\ns=-\r\n"), Err(BadSession::Lacking("o=")));
        assert_eq!(parsed(""), Err(BadSession::Lacking("v=")));
    }

    #[test]
    fn a_bomb_is_refused_by_what_it_has_too_much_of() {
        let too_many = |text: String| match parsed(&text) {
            Err(BadSession::TooMany { what, .. }) => what,
            other => panic!("{other:?}"),
        };
        let media = "m=audio 4000 RTP/AVP 0\r\n";
        assert_eq!(parsed(&format!("{SHORTEST}{}", "a=x\r\n".repeat(20_000))), Err(BadSession::TooLong));
        assert_eq!(too_many(format!("{SHORTEST}{}", "a=x\r\n".repeat(10_000))), "attributes in one section");
        assert_eq!(too_many(format!("{SHORTEST}{}", media.repeat(1_000))), "media sections");
        assert_eq!(too_many(format!("{SHORTEST}{}", "y=x\r\n".repeat(10_000))), "lines of other types in one section");
        let formats = " 0".repeat(30_000);
        assert_eq!(too_many(format!("{SHORTEST}m=audio 1 RTP/AVP{formats}\r\n")), "payload types in one section");
        assert!(parsed(&format!("{SHORTEST}{}", media.repeat(MEDIA_MAX))).is_ok());
    }

    fn word() -> impl Strategy<Value = String> {
        "[!-9;-~]{1,12}"
    }

    fn host() -> impl Strategy<Value = Host> {
        prop_oneof![any::<IpAddr>().prop_map(Host::Ip), "[a-z]{1,9}\\.example".prop_map(Host::Name)]
    }

    fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
        let attribute = (word(), prop::option::of("[!-~]{0,9}( [!-~]{1,9})?"));
        prop::collection::vec(attribute.prop_map(|(name, value)| Attribute { name, value }), 0..6)
    }

    prop_compose! {
        fn section()(
            words in (word(), word()),
            ports in (any::<u16>(), prop::option::of(any::<u16>())),
            formats in prop::collection::vec(word(), 0..6),
            connection in prop::option::of(host()),
            attributes in attributes(),
            bandwidth in prop::option::of("AS:[0-9]{1,4}"),
        ) -> Media {
            let others = bandwidth.into_iter().map(|value| ('b', value)).collect();
            let (kind, protocol) = words;
            Media { kind, port: ports.0, ports: ports.1, protocol, formats, connection, others, attributes }
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(
            words in (word(), "[0-9]{1,24}", "[0-9]{1,24}", word()),
            hosts in (host(), prop::option::of(host())),
            info in prop::option::of(word()),
            attributes in attributes(),
            media in prop::collection::vec(section(), 0..6),
        ) {
            let (user, id, version, name) = words;
            let mut others: Vec<_> = info.into_iter().map(|value| ('i', value)).collect();
            others.push(('t', "0 0".to_owned()));
            let origin = Origin { user, id, version, address: hosts.0 };
            let session = Session { origin, name, connection: hosts.1, others, attributes, media };
            prop_assert_eq!(parsed(&session.to_string()), Ok(session));
        }

        #[test]
        fn no_text_makes_it_panic_and_what_is_read_is_printed_alike(
            lines in prop::collection::vec("[a-zA-Z]=?[ -~\u{e4}]{0,30}|(o|c|m|a)=[ A-Za-z0-9/.:]{0,40}", 0..40),
            whole: bool,
        ) {
            let text = if whole { format!("{SHORTEST}{}", lines.join("\n")) } else { lines.join("\r\n") };
            if let Ok(session) = parsed(&text) {
                prop_assert_eq!(parsed(&session.to_string()), Ok(session));
            }
        }
    }
}
