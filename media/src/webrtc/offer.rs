//! A caller's offer (SDP), inspected and cleaned before anything else reads it.
//!
//! Pure: told bytes, answers a value or why not. It bounds the size, the media sections and the candidates,
//! finds the one audio section with Opus and what it says of its direction, and drops what we never use:
//! candidates that are not UDP, and names that only the caller's own network resolves (the caller's checks
//! reach us all the same). The clean text goes to the protocol crate; no byte string makes a panic here.

use std::net::IpAddr;

use thiserror::Error;

use super::connection::TEXT_BYTES_MAX;

/// A browser's offer of one audio track and a data channel is 3 to 6 kB; with video from OBS about 12 kB.
const BYTES_MAX: usize = 64 * 1024;

/// Audio, a data channel, and some video that is declined.
const SECTIONS_MAX: usize = 8;

/// Candidates taken from one caller, in the offer and trickled. Browsers have about ten.
pub(super) const CANDIDATES_MAX: usize = 32;

/// What we ask of a sender of Opus: frames of 10 ms allowed, and redundancy for lost packets.
const OPUS_FORMAT: &str = "minptime=10;useinbandfec=1";

/// An offer that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The text without what we never use.
    pub(super) sdp: String,
    /// How the caller sends and hears.
    pub audio: Audio,
    /// Whether a data channel is offered.
    pub has_channel: bool,
    /// The longest text that it carries to the caller, in bytes.
    pub text_bytes_max: usize,
    /// The name of the caller's ICE session; a fragment of another one asks for a restart.
    pub ufrag: String,
    /// Candidates in the clean text.
    pub(super) candidates: usize,
}

/// The audio section of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audio {
    /// The payload type of Opus.
    pub opus: u8,
    /// The payload type of telephone-events at Opus' clock.
    pub telephone_event: Option<u8>,
    /// Who sends.
    pub direction: Direction,
    /// Whether the caller makes use of redundancy in what we send.
    pub wants_fec: bool,
    /// The most bits per second that the caller wants to hear.
    pub bitrate_max_bps: Option<u32>,
}

/// Who sends, as the caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    SendRecv,
    /// The caller only: a publisher.
    SendOnly,
    /// We only: a listener.
    RecvOnly,
}

impl Direction {
    /// Whether the caller speaks.
    pub fn is_sending(self) -> bool {
        self != Self::RecvOnly
    }

    /// Whether the caller listens.
    pub fn is_receiving(self) -> bool {
        self != Self::SendOnly
    }
}

/// Why an offer is not answered. All of them are the caller's to mend.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OfferError {
    /// Longer than any offer has reason to be.
    #[error("the offer is longer than {BYTES_MAX} bytes")]
    TooLarge,
    /// Not SDP.
    #[error("the offer is not SDP: {0}")]
    Malformed(&'static str),
    /// SDP, but not of a WebRTC caller.
    #[error("the offer lacks {0}, which WebRTC needs")]
    Lacking(&'static str),
    /// More sections or tracks than a caller has reason to offer.
    #[error("the offer has more than {0}")]
    TooMany(&'static str),
    /// No audio that could be heard or sent.
    #[error("the offer has no audio section that is sent or received; offer one")]
    NoAudio,
    /// Opus is missing.
    #[error("the offer's audio has no opus/48000/2, which is the codec spoken here; it has {offered}")]
    CodecNotOffered {
        /// What there is instead.
        offered: String,
    },
}

impl Offer {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`OfferError`]; each variant says what to offer instead.
    pub fn read(body: &[u8]) -> Result<Self, OfferError> {
        if body.len() > BYTES_MAX {
            return Err(OfferError::TooLarge);
        }
        let text = str::from_utf8(body).map_err(|_| OfferError::Malformed("not UTF-8"))?;
        let sections = sections(text)?;
        let (session, media) = sections.split_first().ok_or(OfferError::Malformed("no line"))?;
        let named = |name: &str| sections.iter().find_map(|section| section.value(name)).map(str::to_owned);
        let ufrag = named("ice-ufrag").ok_or(OfferError::Lacking("ICE credentials (a=ice-ufrag)"))?;
        named("ice-pwd").ok_or(OfferError::Lacking("ICE credentials (a=ice-pwd)"))?;
        named("fingerprint").ok_or(OfferError::Lacking("a DTLS fingerprint (a=fingerprint)"))?;
        if media.iter().any(|section| section.value("mid").is_none_or(str::is_empty)) {
            return Err(OfferError::Lacking("a=mid in each media section"));
        }
        let bundle = session.lines.iter().any(|line| line.starts_with("a=group:BUNDLE"));
        if media.iter().filter(|section| !section.is_rejected()).count() > 1 && !bundle {
            return Err(OfferError::Lacking("a=group:BUNDLE over its media sections"));
        }
        let mut audio = media.iter().filter(|section| section.kind() == "audio" && !section.is_rejected());
        let speech = audio.next().ok_or(OfferError::NoAudio)?;
        if audio.next().is_some() {
            return Err(OfferError::TooMany("one audio track"));
        }
        let audio = speech.audio(session)?;
        let channel = media.iter().find(|section| section.kind() == "application" && !section.is_rejected());
        let has_channel = channel.is_some();
        let text_bytes_max = text_bytes_max(channel.and_then(|channel| channel.value("max-message-size")));
        let (sdp, candidates) = clean(&sections, audio.opus);
        Ok(Self { sdp, audio, has_channel, text_bytes_max, ufrag, candidates })
    }
}

/// What a channel carries whose `a=max-message-size` is this (RFC 8841 section 6): without one it is 64 KiB, with 0 as much
/// as anybody likes, and in no case more than we send.
fn text_bytes_max(said: Option<&str>) -> usize {
    let said = said.and_then(|said| said.trim().parse().ok()).unwrap_or(TEXT_BYTES_USUAL);
    (if said == 0 { TEXT_BYTES_MAX } else { said.min(TEXT_BYTES_MAX) }) as usize
}

/// What a data channel carries where nothing is said.
const TEXT_BYTES_USUAL: u32 = 64 * 1024;

/// The session's lines or those of one media section.
struct Section<'a> {
    lines: Vec<&'a str>,
}

fn sections(text: &str) -> Result<Vec<Section<'_>>, OfferError> {
    let mut lines = text.lines().map(|line| line.trim_end_matches('\r')).filter(|line| !line.is_empty());
    if lines.next() != Some("v=0") {
        return Err(OfferError::Malformed("it does not begin with v=0"));
    }
    let mut sections = vec![Section { lines: vec!["v=0"] }];
    for line in lines {
        let mut letters = line.bytes();
        if !(letters.next().is_some_and(|kind| kind.is_ascii_lowercase()) && letters.next() == Some(b'=')) {
            return Err(OfferError::Malformed("a line is not of the form x=value"));
        }
        if line.bytes().any(|byte| byte < b' ' && byte != b'\t') {
            return Err(OfferError::Malformed("a line holds control characters"));
        }
        if line.starts_with("m=") {
            if sections.len() > SECTIONS_MAX {
                return Err(OfferError::TooMany("8 media sections"));
            }
            sections.push(Section { lines: Vec::new() });
        }
        sections.last_mut().expect("the session's section is always there").lines.push(line);
    }
    for (needed, why) in [("o=", "it has no o= line"), ("t=", "it has no t= line")] {
        if !sections[0].lines.iter().any(|line| line.starts_with(needed)) {
            return Err(OfferError::Malformed(why));
        }
    }
    Ok(sections)
}

impl<'a> Section<'a> {
    fn kind(&self) -> &'a str {
        self.lines.first().and_then(|line| line.strip_prefix("m=")?.split(' ').next()).unwrap_or_default()
    }

    fn is_rejected(&self) -> bool {
        // Port 0 declines a section, but for one that rides in the bundle of another (RFC 8843).
        let port = self.lines.first().and_then(|line| line.split(' ').nth(1));
        port == Some("0") && !self.lines.contains(&"a=bundle-only")
    }

    /// The value of `a=name:value`.
    fn value(&self, name: &str) -> Option<&'a str> {
        self.lines.iter().find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
    }

    fn direction(&self) -> Option<Option<Direction>> {
        self.lines.iter().find_map(|line| match *line {
            "a=sendrecv" => Some(Some(Direction::SendRecv)),
            "a=sendonly" => Some(Some(Direction::SendOnly)),
            "a=recvonly" => Some(Some(Direction::RecvOnly)),
            "a=inactive" => Some(None),
            _ => None,
        })
    }

    fn audio(&self, session: &Self) -> Result<Audio, OfferError> {
        let direction = self.direction().or_else(|| session.direction()).unwrap_or(Some(Direction::SendRecv));
        let direction = direction.ok_or(OfferError::NoAudio)?;
        if !self.lines[0].contains("TLS/RTP/SAVP") {
            return Err(OfferError::Lacking("UDP/TLS/RTP/SAVPF as the protocol of its audio"));
        }
        if !self.lines.contains(&"a=rtcp-mux") {
            return Err(OfferError::Lacking("a=rtcp-mux"));
        }
        let formats: Vec<&str> = self.lines[0].split(' ').skip(3).collect();
        let maps = || self.lines.iter().filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' '));
        let find = |wanted: &str| {
            let found = maps().find(|(format, name)| name.eq_ignore_ascii_case(wanted) && formats.contains(format));
            found.and_then(|(format, _)| format.parse().ok()).filter(|payload_type: &u8| *payload_type < 128)
        };
        let Some(opus) = find("opus/48000/2") else {
            let offered: Vec<&str> = maps().map(|(_, name)| name).take(8).collect();
            let offered = if offered.is_empty() { "none by name".to_owned() } else { offered.join(", ") };
            return Err(OfferError::CodecNotOffered { offered: offered.chars().take(200).collect() });
        };
        let parameter = |name: &str| {
            let format = self.lines.iter().find_map(|line| is_format_of(line, opus).then_some(*line))?;
            let (_, parameters) = format.split_once(' ')?;
            parameters.split(';').find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
        };
        Ok(Audio {
            opus,
            telephone_event: find("telephone-event/48000"),
            direction,
            wants_fec: parameter("useinbandfec") == Some("1"),
            bitrate_max_bps: parameter("maxaveragebitrate").and_then(|bits| bits.parse().ok()),
        })
    }
}

fn is_format_of(line: &str, payload_type: u8) -> bool {
    line.strip_prefix("a=fmtp:").and_then(|rest| rest.split(' ').next()).and_then(|format| format.parse().ok())
        == Some(payload_type)
}

/// The text again, with our wishes for Opus and without candidates of no use; and how many are left.
fn clean(sections: &[Section<'_>], opus: u8) -> (String, usize) {
    let mut text = String::new();
    let mut candidates = 0;
    for section in sections {
        let is_audio = section.kind() == "audio" && !section.is_rejected();
        for line in &section.lines {
            if let Some(candidate) = line.strip_prefix("a=").filter(|rest| rest.starts_with("candidate:")) {
                if candidates == CANDIDATES_MAX || !is_usable(candidate) {
                    continue;
                }
                candidates += 1;
            }
            if *line == "a=end-of-candidates" || (is_audio && is_format_of(line, opus)) {
                continue;
            }
            text += line;
            text += "\r\n";
            if is_audio && line.strip_prefix("a=rtpmap:").is_some_and(|map| map.starts_with(&format!("{opus} "))) {
                text += &format!("a=fmtp:{opus} {OPUS_FORMAT}\r\n");
            }
        }
    }
    (text, candidates)
}

/// Whether `candidate` (`candidate:…`, RFC 8839) is an address that we can send UDP to.
pub(super) fn is_usable(candidate: &str) -> bool {
    let mut words = candidate.split_ascii_whitespace();
    let is_named = words.next().is_some_and(|first| first.strip_prefix("candidate:").is_some_and(|f| !f.is_empty()));
    let component: Option<u16> = words.next().and_then(|word| word.parse().ok());
    let is_udp = words.next().is_some_and(|transport| transport.eq_ignore_ascii_case("udp"));
    let priority: Option<u32> = words.next().and_then(|word| word.parse().ok());
    let address: Option<IpAddr> = words.next().and_then(|word| word.parse().ok());
    let port: Option<u16> = words.next().and_then(|word| word.parse().ok());
    let kind = (words.next() == Some("typ")).then(|| words.next()).flatten();
    is_named
        && component == Some(1)
        && is_udp
        && priority.is_some()
        && address.is_some_and(|address| !address.is_unspecified() && !address.is_multicast())
        && port.is_some_and(|port| port != 0)
        && matches!(kind, Some("host" | "srflx" | "prflx" | "relay"))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Chromium offers, shortened.
    pub(crate) const BROWSER: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
        a=group:BUNDLE 0 1\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS stream\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
        a=candidate:1467250027 1 udp 2122260223 192.168.0.196 46243 typ host generation 0\r\n\
        a=candidate:1467250028 1 udp 2122260223 0b1f04a5-9c92-4e2e-8e3c-5c1ab4b2d0c1.local 46244 typ host\r\n\
        a=candidate:1467250029 1 tcp 1518280447 192.168.0.196 9 typ host tcptype active\r\n\
        a=ice-ufrag:someufrag\r\na=ice-pwd:somepasswordofsufficientlength\r\na=ice-options:trickle\r\n\
        a=fingerprint:sha-256 F1:D3:12:31:32:CB:2D:10:45:6B:2E:72:0F:6F:16:B7:2D:AA:4E:5C:D6:41:A7:16:A3:96:0A:12:0C:9C:5A:11\r\n\
        a=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=msid:stream track\r\na=rtcp-mux\r\n\
        a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
        a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\n\
        a=rtpmap:126 telephone-event/8000\r\na=ssrc:3735928559 cname:name\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:someufrag\r\n\
        a=ice-pwd:somepasswordofsufficientlength\r\n\
        a=fingerprint:sha-256 F1:D3:12:31:32:CB:2D:10:45:6B:2E:72:0F:6F:16:B7:2D:AA:4E:5C:D6:41:A7:16:A3:96:0A:12:0C:9C:5A:11\r\n\
        a=setup:actpass\r\na=mid:1\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";

    #[test]
    fn a_channel_carries_what_its_offer_says_and_no_more_than_we_send() {
        for (said, bytes) in [
            (None, 65_536),
            (Some("1200"), 1_200),
            (Some("262144"), 131_072),
            (Some("0"), 131_072),
            (Some("a lot"), 65_536),
            (Some("99999999999"), 65_536),
        ] {
            assert_eq!(text_bytes_max(said), bytes, "{said:?}");
        }
    }

    #[test]
    fn a_browsers_offer_is_read_and_loses_what_is_of_no_use() {
        let offer = Offer::read(BROWSER.as_bytes()).unwrap();
        assert_eq!((offer.audio.opus, offer.audio.telephone_event), (111, Some(110)));
        assert_eq!((offer.audio.direction, offer.has_channel), (Direction::SendRecv, true));
        assert!(offer.audio.wants_fec);
        assert_eq!((offer.candidates, offer.text_bytes_max), (1, TEXT_BYTES_MAX as usize));
        assert!(!offer.sdp.contains(".local") && !offer.sdp.contains("tcptype"));
        assert_eq!(Offer::read(offer.sdp.as_bytes()).unwrap(), offer, "clean text stays as it is");
    }

    #[test]
    fn an_offer_without_opus_says_what_it_has_and_what_is_needed() {
        let text = BROWSER.replace("opus/48000/2", "speex/16000");
        let error = Offer::read(text.as_bytes()).unwrap_err();
        assert!(matches!(&error, OfferError::CodecNotOffered { .. }));
        let message = error.to_string();
        assert!(message.contains("opus/48000/2") && message.contains("speex/16000"), "{message}");
    }

    #[test]
    fn every_lack_has_its_own_name() {
        let lines_of = |without: &str| -> String {
            BROWSER.lines().filter(|line| !line.starts_with(without)).map(|line| format!("{line}\r\n")).collect()
        };
        for (without, expected) in [
            ("a=ice-ufrag", OfferError::Lacking("ICE credentials (a=ice-ufrag)")),
            ("a=ice-pwd", OfferError::Lacking("ICE credentials (a=ice-pwd)")),
            ("a=fingerprint", OfferError::Lacking("a DTLS fingerprint (a=fingerprint)")),
            ("a=mid", OfferError::Lacking("a=mid in each media section")),
            ("a=group", OfferError::Lacking("a=group:BUNDLE over its media sections")),
            ("a=rtcp-mux", OfferError::Lacking("a=rtcp-mux")),
            ("v=", OfferError::Malformed("it does not begin with v=0")),
            ("o=", OfferError::Malformed("it has no o= line")),
            ("m=audio", OfferError::NoAudio),
        ] {
            assert_eq!(Offer::read(lines_of(without).as_bytes()).unwrap_err(), expected, "without {without}");
        }
        assert_eq!(Offer::read(BROWSER.replace("sendrecv", "inactive").as_bytes()), Err(OfferError::NoAudio));
        assert_eq!(Offer::read(&vec![b'a'; BYTES_MAX + 1]), Err(OfferError::TooLarge));
        let crowd = format!("{BROWSER}{}", "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:9\r\n".repeat(SECTIONS_MAX));
        assert_eq!(Offer::read(crowd.as_bytes()), Err(OfferError::TooMany("8 media sections")));
    }

    #[test]
    fn candidates_beyond_the_bound_are_dropped() {
        let line = "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n";
        let text = BROWSER.replace("a=setup:actpass\r\na=mid:0", &format!("{}a=mid:0", line.repeat(1_000)));
        assert_eq!(Offer::read(text.as_bytes()).unwrap().candidates, CANDIDATES_MAX);
    }

    proptest! {
        #[test]
        fn no_byte_string_panics(body in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = Offer::read(&body);
        }

        #[test]
        fn no_mangled_offer_panics_and_what_is_read_stays_as_it_is(
            cuts in proptest::collection::vec((0..BROWSER.len(), any::<u8>()), 0..12),
            length in 0..=BROWSER.len(),
        ) {
            let mut body = BROWSER.as_bytes().to_vec();
            for (at, byte) in cuts {
                body[at] = byte;
            }
            body.truncate(length);
            if let Ok(offer) = Offer::read(&body) {
                // What the caller said of Opus is known by now, and our own wish stands in its place.
                let again = Offer::read(offer.sdp.as_bytes()).map(|again| again.sdp);
                prop_assert_eq!(again, Ok(offer.sdp));
            }
        }

        #[test]
        fn no_candidate_panics(line in ".{0,200}") {
            let _ = is_usable(&line);
        }
    }
}
