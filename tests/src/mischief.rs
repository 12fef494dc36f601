//! What those send who mean harm: messages that were right once, and session descriptions that never were.
//!
//! Pure, and the same for the same seed.

use std::net::SocketAddr;

use crate::wire::{Ask, SDP};

/// A generator of its own, so that a seed means the same for ever (xorshift64*).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Of that seed, which is not 0.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

/// A message that was changed in a few places; none of them begins a call that anybody takes.
pub fn mutated(chance: &mut Chance, from: SocketAddr) -> Vec<u8> {
    let mut bytes = whole(chance, from).into_bytes();
    for _ in 0..=chance.below(4) {
        change(chance, &mut bytes);
    }
    bytes
}

fn whole(chance: &mut Chance, from: SocketAddr) -> String {
    let line = |header: &str| format!("{header}\r\n");
    let ask = match chance.below(12) {
        0..=2 => Ask::call("nobody"),
        3 => Ask { headers: line("Require: 100rel, timer\r\nSession-Expires: 90"), ..Ask::call("nobody") },
        4 => Ask { headers: line("Replaces: a@b;to-tag=c;from-tag=d"), ..Ask::call("nobody") },
        5 => Ask { headers: line("Expires: 60"), ..Ask::new("REGISTER", "ada") },
        6 => Ask {
            headers: line("Authorization: Digest username=\"ada\", realm=\"127.0.0.1\", nonce=\"AAAA\", uri=\"sip:a\""),
            ..Ask::new("REGISTER", "ada")
        },
        7 => Ask { to_tag: "x".to_owned(), ..Ask::new("BYE", "nobody") },
        8 => Ask::new("CANCEL", "nobody"),
        9 => Ask { headers: line("Refer-To: <sip:a@b?Replaces=c%3Bto-tag%3Dd>"), ..Ask::new("REFER", "nobody") },
        10 => Ask { to_tag: "x".to_owned(), headers: line("RAck: 1 1 INVITE"), ..Ask::new("PRACK", "nobody") },
        _ => Ask::new("OPTIONS", "nobody"),
    };
    let text = ask.text(if chance.below(2) == 0 { "UDP" } else { "TCP" }, from);
    if chance.below(8) > 0 {
        return text;
    }
    // An answer to nothing.
    let (_, rest) = text.split_once("\r\n").unwrap_or_default();
    format!("SIP/2.0 {} OK\r\n{rest}", 100 + chance.below(600))
}

/// What is put in: what parsers stumble over.
const PIECES: [&str; 24] = [
    "\0",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "\t",
    " ",
    ";",
    ",",
    "<",
    ">",
    "\"",
    "\\",
    "%00",
    "%",
    ":",
    "[",
    "]",
    "=",
    "@",
    "-1",
    "4294967296",
    "99999999999999999999",
    "\u{fffd}é",
];

fn change(chance: &mut Chance, bytes: &mut Vec<u8>) {
    let length = bytes.len();
    if length == 0 {
        return;
    }
    let (at, other) = (chance.below(length), chance.below(length));
    let (start, end) = (at.min(other), at.max(other));
    match chance.below(9) {
        0 => bytes[at] = chance.below(256) as u8,
        1 => bytes[at] ^= 1 << chance.below(8),
        2 => _ = bytes.drain(at..(at + 1 + chance.below(8)).min(length)),
        3 => _ = bytes.splice(at..at, chance.of(&PIECES).bytes()),
        4 => bytes.truncate(at),
        // A stretch twice, or many times.
        5 => {
            let stretch = bytes[start..end].to_vec();
            bytes.splice(at..at, stretch);
        }
        6 => {
            let piece = chance.of(&PIECES).repeat(1 + chance.below(3_000));
            bytes.splice(at..at, piece.into_bytes());
        }
        // A number becomes another.
        7 => {
            if let Some(digit) = bytes[at..].iter().position(u8::is_ascii_digit) {
                let digit = at + digit;
                let digits = bytes[digit..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                bytes.splice(digit..digit + digits, chance.of(&PIECES[20..23]).bytes());
            }
        }
        // A line moves.
        _ => {
            let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let (one, another) = (chance.below(lines.len()), chance.below(lines.len()));
            lines.swap(one, another);
            *bytes = lines.join(&b'\n');
        }
    }
    bytes.truncate(60_000);
}

/// Session descriptions that are too much, each with its name.
pub fn bombs() -> Vec<(&'static str, String)> {
    let with = |line: &str, times: usize| format!("{SDP}{}", line.repeat(times));
    let without_audio = SDP.split("m=audio").next().unwrap_or_default();
    vec![
        ("two thousand streams", with("m=audio 9 RTP/AVP 0\r\n", 2_000)),
        ("five thousand attributes", with("a=x:y\r\n", 5_000)),
        ("two thousand codecs", with("a=rtpmap:96 OPUS/48000/2\r\n", 2_000)),
        ("two thousand candidates", with("a=candidate:1 1 UDP 1 10.0.0.1 9 typ host\r\n", 1_000)),
        ("two thousand keys", with("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA\r\n", 1_000)),
        ("a line of forty thousand letters", with(&format!("a={}\r\n", "x".repeat(40_000)), 1)),
        ("fifty formats in one line", SDP.replace("RTP/AVP 0", &format!("RTP/AVP{}", " 0".repeat(10_000)))),
        ("a port that is none", SDP.replace("audio 9", "audio 99999999999999")),
        ("a negative port", SDP.replace("audio 9", "audio -9")),
        ("a million ports", SDP.replace("audio 9", "audio 9/1000000")),
        ("no stream at all", without_audio.to_owned()),
        ("no line at all", "\r\n\r\n\r\n".to_owned()),
        ("no text", "\0\u{1}\u{2}".repeat(3_000)),
        ("an address that is none", SDP.replace("c=IN IP4 127.0.0.1", "c=IN IP4 999.999.999.999")),
        ("everybody's address", SDP.replace("c=IN IP4 127.0.0.1", "c=IN IP4 255.255.255.255")),
        ("a name without end", SDP.replace("c=IN IP4 127.0.0.1", &format!("c=IN IP4 {}", "a.".repeat(10_000)))),
        ("a packet time of for ever", with("a=ptime:4294967295\r\na=maxptime:0\r\n", 1)),
        ("a clock of nothing", SDP.replace("PCMU/8000", "PCMU/0")),
        ("a version without end", SDP.replace("o=- 1 1", "o=- 99999999999999999999 99999999999999999999")),
    ]
}
