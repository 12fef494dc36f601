//! Being asked: what of an offer we take, and how it is answered (RFC 3264 section 6).
//!
//! Of several audio sections one is taken, a protected one before one in the clear; everything else is refused in its
//! place. The answer names one codec and one kind of events, under the numbers of the offer, so that nobody
//! wonders what comes next.

use media::codec::voice::Codec;

use super::{
    Agreed, Attribute, Choice, Destination, Direction, Events, Local, Media, Protection, Refusal, Session, Side, Srtp,
    audio::{Audio, COMFORT, Format, Keying},
    keying,
    offer::{event_lines, format_lines},
    refusal::quoted,
    side::{events_at, name_of},
    srtp::Crypto,
};

/// Lengths of packets that a leg sends, the longest first.
const PACKETS_MS: [u32; 4] = [60, 40, 20, 10];

/// The longest payload that fits any network with everything that is put around it.
const PAYLOAD_MAX_BYTES: usize = 1_400;

/// What was settled before the rest follows.
pub(super) struct Terms {
    pub(super) codec: Codec,
    pub(super) send_type: u8,
    pub(super) receive_type: u8,
    pub(super) is_only: bool,
    pub(super) is_muxed: bool,
    pub(super) protection: Protection,
    pub(super) has_ice: bool,
    /// Things come under the numbers that we answer with: those of the offer.
    pub(super) is_answer: bool,
}

/// How keys were chosen, and the line that says so.
struct Chosen {
    protection: Protection,
    lines: Vec<Attribute>,
}

impl Side {
    /// Answers an offer: what to send, and what is agreed on by it.
    ///
    /// # Errors
    /// [`Refusal`], which becomes 488; what was agreed on before holds then.
    pub fn answer(&mut self, offer: &Session) -> Result<(Session, Agreed), Refusal> {
        let (index, audio, chosen) = self.pick(offer)?;
        let (codec, format) = self.choose_codec(&audio)?;
        let terms = Terms {
            codec: format.tuned(codec),
            send_type: format.number,
            receive_type: format.number,
            is_only: true,
            is_muxed: audio.is_muxed && self.capabilities.rtcp_mux,
            protection: chosen.protection,
            has_ice: self.local.ice.is_some() && audio.ice.is_some(),
            is_answer: true,
        };
        let direction = self.direction.and(audio.direction.reversed());
        let agreed = self.agree(terms, &audio, direction);
        let section = self.section(&audio, &agreed, format_lines(codec, agreed.receive_type), chosen.lines);
        let media = offer.media.iter().enumerate();
        let media = media.map(|(at, media)| if at == index { section.clone() } else { media.refused() }).collect();
        self.learn(&audio);
        self.hear_under(name_of(codec), format.number);
        if let Some(events) = agreed.events {
            self.hear_under(events_at(events.clock_hz), events.receive_type);
        }
        self.index = index;
        self.agreed = Some(agreed.clone());
        Ok((self.stamped(media), agreed))
    }

    /// The audio section that suits policy best; with none, why the first does not.
    fn pick<'a>(&self, offer: &'a Session) -> Result<(usize, Audio<'a>, Chosen), Refusal> {
        let (mut best, mut first) = (None, None);
        for (index, media) in offer.media.iter().enumerate() {
            if media.kind != "audio" || media.is_off() {
                continue;
            }
            let tried = self.try_section(offer, media);
            match tried {
                Ok((audio, chosen)) => {
                    let is_protected = chosen.protection != Protection::None;
                    if best.is_none() || is_protected {
                        best = Some((index, audio, chosen));
                    }
                    if is_protected {
                        break;
                    }
                }
                Err(refusal) => {
                    first.get_or_insert(refusal);
                }
            }
        }
        best.ok_or_else(|| first.unwrap_or(Refusal::NoAudio))
    }

    fn try_section<'a>(&self, offer: &'a Session, media: &'a Media) -> Result<(Audio<'a>, Chosen), Refusal> {
        let audio = Audio::read(offer, media, &self.local)?;
        self.choose_codec(&audio)?;
        let chosen = self.choose_keys(&audio)?;
        Ok((audio, chosen))
    }

    fn choose_codec<'a, 'b>(&self, audio: &'b Audio<'a>) -> Result<(Codec, &'b Format<'a>), Refusal> {
        let codecs = &self.capabilities.codecs;
        let found = match self.capabilities.choice {
            Choice::Ours => codecs.iter().find_map(|codec| Some((*codec, audio.find(*codec)?))),
            Choice::Theirs => audio.formats.iter().find_map(|format| {
                let codec = codecs.iter().find(|codec| audio.find(**codec) == Some(format))?;
                Some((*codec, format))
            }),
        };
        found.ok_or_else(|| Refusal::NoCodec { offered: audio.names(), known: names(codecs) })
    }

    fn choose_keys(&self, audio: &Audio<'_>) -> Result<Chosen, Refusal> {
        let policy = self.capabilities.srtp;
        let plain = Chosen { protection: Protection::None, lines: Vec::new() };
        match &audio.keying {
            Keying::Plain(_) if policy == Srtp::Forbidden => Ok(plain),
            Keying::Plain(lines) => match self.take_line(lines) {
                Some(chosen) => Ok(chosen),
                None if policy == Srtp::Required && self.is_by_dtls() => Err(Refusal::NotByDtls),
                None if policy == Srtp::Required => Err(Refusal::NotProtected),
                None => Ok(plain),
            },
            Keying::Sdes(_) | Keying::Dtls(_) if policy == Srtp::Forbidden => Err(Refusal::Protected),
            Keying::Sdes(_) if self.is_by_dtls() => Err(Refusal::NotByDtls),
            Keying::Sdes(Ok(lines)) => self.take_line(lines).ok_or(Refusal::NoCrypto(if lines.is_empty() {
                "there is none"
            } else {
                "no suite is allowed here"
            })),
            Keying::Sdes(Err(why)) => Err(Refusal::NoCrypto(why)),
            Keying::Dtls(dtls) => {
                let fingerprint = self.capabilities.fingerprint.as_ref().ok_or(Refusal::Dtls)?;
                let dtls = dtls.as_ref().map_err(|why| Refusal::BadDtls(why))?;
                let has_ice = self.local.ice.is_some() && audio.ice.is_some();
                let protection = dtls.agreed(self.agreed.as_ref(), keying::is_reachable(audio, has_ice));
                let is_client = matches!(protection, Protection::Dtls { is_client: true, .. });
                Ok(Chosen { protection, lines: keying::answer_lines(fingerprint, is_client) })
            }
        }
    }

    /// The first line with a suite of ours: whose order counts is theirs here (RFC 4568 section 5.1.2).
    fn take_line(&self, lines: &[Crypto]) -> Option<Chosen> {
        let ours = |line: &Crypto| self.keys.iter().find(|key| key.profile() == line.key.profile());
        let (line, ours) = lines.iter().find_map(|line| Some((line, ours(line)?)))?;
        let answer = Crypto { tag: line.tag, key: ours.clone(), says_lifetime: line.says_lifetime };
        Some(Chosen {
            protection: Protection::Sdes { ours: ours.clone(), theirs: line.key.clone() },
            lines: vec![Attribute::of("crypto", answer.print())],
        })
    }

    /// What follows from the terms.
    pub(super) fn agree(&self, terms: Terms, theirs: &Audio<'_>, direction: Direction) -> Agreed {
        let Terms { codec, send_type, receive_type, is_only, is_muxed, protection, has_ice, is_answer } = terms;
        let clock_hz = codec.clock().ticks_hz;
        let events = theirs.events(clock_hz).filter(|_| self.capabilities.telephone_event);
        let events = events.and_then(|format| {
            let clock_hz = format.clock_hz;
            let receive_type = if is_answer { format.number } else { self.heard_under(&events_at(clock_hz))? };
            Some(Events { send_type: format.number, receive_type, clock_hz })
        });
        Agreed {
            codec,
            send_type,
            receive_type,
            is_only,
            events,
            comfort_noise: self.capabilities.comfort_noise && clock_hz == 8_000 && theirs.has_comfort_noise(),
            packet_ms: packet_ms(codec, theirs.packet_ms.unwrap_or(self.capabilities.packet_ms), theirs.longest_ms),
            direction,
            destination: Destination { rtp: theirs.rtp, rtcp: theirs.rtcp.filter(|_| !is_muxed), is_muxed },
            protection,
            ice: theirs.ice.clone().filter(|_| has_ice),
        }
    }

    fn section(&self, theirs: &Audio<'_>, agreed: &Agreed, codec: Vec<Attribute>, keys: Vec<Attribute>) -> Media {
        let mut formats = vec![agreed.receive_type.to_string()];
        let mut attributes = codec;
        if agreed.comfort_noise {
            formats.push(COMFORT.to_string());
            attributes.push(Attribute::of("rtpmap", format!("{COMFORT} CN/8000")));
        }
        if let Some(events) = agreed.events {
            formats.push(events.receive_type.to_string());
            attributes.extend(event_lines(events.receive_type, events.clock_hz));
        }
        attributes.push(Attribute::of("ptime", agreed.packet_ms.to_string()));
        if agreed.destination.is_muxed {
            attributes.push(Attribute::flag("rtcp-mux"));
        } else {
            attributes.extend(self.rtcp_line());
        }
        attributes.extend(keys);
        attributes.push(Attribute::flag(agreed.direction.name()));
        if agreed.ice.is_some() {
            attributes.extend(self.ice_lines(agreed.destination.is_muxed));
        }
        attributes.extend(theirs.media.attributes.iter().filter(|attribute| attribute.name == "mid").cloned());
        Media {
            kind: "audio".to_owned(),
            port: self.local.rtp,
            ports: None,
            protocol: theirs.media.protocol.clone(),
            formats,
            connection: None,
            others: Vec::new(),
            attributes,
        }
    }
}

/// The names of codecs of ours.
pub(super) fn names(codecs: &[Codec]) -> String {
    quoted(codecs.iter().map(|codec| codec.name()))
}

/// The length of packets nearest to what is wished that can be sent and is not too long for the far end.
fn packet_ms(codec: Codec, wished: u32, longest: Option<u32>) -> u32 {
    let most = wished.min(longest.unwrap_or(u32::MAX));
    let fits = |packet_ms: &u32| *packet_ms <= most && codec.payload_bytes(*packet_ms) <= PAYLOAD_MAX_BYTES;
    // Who wants them shorter than any gets the shortest.
    PACKETS_MS.into_iter().find(fits).unwrap_or(10)
}

impl Local {
    /// A place with one port for both.
    pub fn muxed(ip: std::net::IpAddr, port: u16) -> Self {
        Self { ip, rtp: port, rtcp: None, ice: None }
    }
}
