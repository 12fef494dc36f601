//! Asking: our offer, and what its answer agrees to (RFC 3264 sections 5 and 7).

use media::codec::voice::Codec;

use super::{
    Agreed, Attribute, Direction, Media, Protection, Refusal, Session, Side, Srtp,
    answer::{self, Terms},
    audio::{Audio, COMFORT, Keying},
    ice, keying,
    side::{events_at, name_of},
    srtp::Crypto,
};

impl Side {
    /// What we ask for now: the first offer of a call, a change of it, or the one that an INVITE without a description
    /// is answered with. It waits for [`Side::accept`]; a new one takes its place.
    pub fn offer(&mut self) -> Session {
        let audio = self.offered_audio();
        // A section once named stays in its place for good.
        let mut media: Vec<_> = self.said.iter().flat_map(|said| &said.media).map(Media::refused).collect();
        match media.get_mut(self.index) {
            Some(section) => *section = audio,
            None => media.push(audio),
        }
        let session = self.stamped(media);
        self.offered = Some(session.clone());
        session
    }

    fn offered_audio(&mut self) -> Media {
        let mut formats = Vec::new();
        let mut attributes = Vec::new();
        let codecs = self.capabilities.codecs.clone();
        for codec in &codecs {
            if let Some(number) = self.number(name_of(*codec)) {
                formats.push(number.to_string());
                attributes.extend(format_lines(*codec, number));
            }
        }
        let mut clocks: Vec<_> = codecs.iter().map(|codec| codec.clock().ticks_hz).collect();
        clocks.sort_unstable();
        clocks.dedup();
        if self.capabilities.comfort_noise && clocks.contains(&8_000) {
            formats.push(COMFORT.to_string());
            attributes.push(Attribute::of("rtpmap", format!("{COMFORT} CN/8000")));
        }
        // Events tick as the sound beside them does (RFC 4733 section 2.1), so each clock has its own.
        clocks.retain(|_| self.capabilities.telephone_event);
        for clock_hz in clocks {
            if let Some(number) = self.number(events_at(clock_hz)) {
                formats.push(number.to_string());
                attributes.extend(event_lines(number, clock_hz));
            }
        }
        attributes.push(Attribute::of("ptime", self.capabilities.packet_ms.to_string()));
        if self.capabilities.rtcp_mux {
            attributes.push(Attribute::flag("rtcp-mux"));
        }
        attributes.extend(self.rtcp_line());
        attributes.extend(self.offered_protection());
        attributes.push(Attribute::flag(self.direction.name()));
        if self.agreed.as_ref().map_or(self.capabilities.offers_ice, |agreed| agreed.ice.is_some()) {
            attributes.extend(self.ice_lines(false));
        }
        Media {
            kind: "audio".to_owned(),
            port: self.local.rtp,
            ports: None,
            protocol: self.offered_protocol(),
            formats,
            connection: None,
            others: Vec::new(),
            attributes,
        }
    }

    /// How the session stands must not change by asking for something else.
    fn offered_protocol(&self) -> String {
        let before = self.said.as_ref().and_then(|said| said.media.get(self.index));
        let (usual, by_hand) = ("RTP/AVP", "RTP/SAVP");
        match (before, &self.agreed) {
            (Some(section), Some(_)) => section.protocol.clone(),
            _ if self.capabilities.srtp != Srtp::Required => usual.to_owned(),
            _ if self.is_by_dtls() => "UDP/TLS/RTP/SAVP".to_owned(),
            _ => by_hand.to_owned(),
        }
    }

    fn offered_protection(&self) -> Vec<Attribute> {
        let (by_hand, by_dtls) = match &self.agreed {
            Some(Agreed { protection, .. }) => {
                (matches!(protection, Protection::Sdes { .. }), matches!(protection, Protection::Dtls { .. }))
            }
            None => {
                let is_wanted = matches!(self.capabilities.srtp, Srtp::Offered | Srtp::Required);
                (is_wanted && !self.keys.is_empty(), self.capabilities.srtp == Srtp::Required && self.is_by_dtls())
            }
        };
        if by_dtls {
            return self.capabilities.fingerprint.as_deref().map(keying::offer_lines).unwrap_or_default();
        }
        if !by_hand {
            return Vec::new();
        }
        self.offered_cryptos().map(|crypto| Attribute::of("crypto", crypto.print())).collect()
    }

    /// The key that is in use first, so that whoever takes the first line keeps it.
    fn offered_cryptos(&self) -> impl Iterator<Item = Crypto> {
        let in_use = match &self.agreed {
            Some(Agreed { protection: Protection::Sdes { ours, .. }, .. }) => Some(ours),
            _ => None,
        };
        let others = self.keys.iter().filter(move |key| in_use.is_none_or(|used| used.profile() != key.profile()));
        in_use.into_iter().chain(others).zip(1..).map(|(key, tag)| Crypto {
            tag,
            key: key.clone(),
            says_lifetime: self.capabilities.says_lifetime,
        })
    }

    pub(super) fn rtcp_line(&self) -> Option<Attribute> {
        let beside = self.local.rtcp?;
        (Some(beside) != self.local.rtp.checked_add(1)).then(|| Attribute::of("rtcp", beside.to_string()))
    }

    /// Whether keys are agreed on by DTLS and in no other way.
    pub(super) fn is_by_dtls(&self) -> bool {
        self.keys.is_empty() && self.capabilities.fingerprint.is_some()
    }

    /// What we say of ICE; where RTCP is muxed, its own port is no candidate.
    pub(super) fn ice_lines(&self, is_muxed: bool) -> Vec<Attribute> {
        let (ours, rtcp) = (self.local.ice.as_ref(), self.local.rtcp.filter(|_| !is_muxed));
        ours.map(|ours| ice::lines(ours, self.local.ip, self.local.rtp, rtcp)).unwrap_or_default()
    }

    /// Takes the answer to our offer.
    ///
    /// # Errors
    /// [`Refusal`] when it agrees to nothing, or to what was not asked: the call cannot go on so. Our offer is
    /// withdrawn then.
    pub fn accept(&mut self, answer: &Session) -> Result<Agreed, Refusal> {
        let offered = self.offered.take().ok_or(Refusal::Unfit("nothing was asked"))?;
        let agreed = self.accepted(&offered, answer)?;
        self.agreed = Some(agreed.clone());
        Ok(agreed)
    }

    fn accepted(&mut self, offered: &Session, answer: &Session) -> Result<Agreed, Refusal> {
        let section = answer.media.get(self.index).ok_or(Refusal::Unfit("it has fewer sections"))?;
        if section.kind != "audio" {
            return Err(Refusal::Unfit("its sections are in another order"));
        }
        if section.is_off() {
            return Err(Refusal::NoAudio);
        }
        let ours = &offered.media[self.index];
        let theirs = Audio::read(answer, section, &self.local)?;
        // The first that is known here; by rights all are, and the first is what they like best.
        let known = theirs.formats.iter().find_map(|format| {
            let codec = self.capabilities.codecs.iter().find(|codec| theirs.find(**codec) == Some(format))?;
            Some((*codec, format))
        });
        let (codec, format) = known.ok_or_else(|| Refusal::NoCodec {
            offered: theirs.names(),
            known: answer::names(&self.capabilities.codecs),
        })?;
        let receive_type = self.heard_under(&name_of(codec)).ok_or(Refusal::Unfit("its codec was not offered"))?;
        let terms = Terms {
            codec: format.tuned(codec),
            send_type: format.number,
            receive_type,
            is_only: self.capabilities.codecs.iter().filter(|codec| theirs.find(**codec).is_some()).count() == 1,
            is_muxed: ours.has("rtcp-mux") && theirs.is_muxed,
            protection: self.accepted_protection(ours, &theirs)?,
            has_ice: ice::is_spoken(ours),
            is_answer: false,
        };
        let direction = said_direction(ours).and(theirs.direction.reversed());
        let agreed = self.agree(terms, &theirs, direction);
        self.learn(&theirs);
        Ok(agreed)
    }

    fn accepted_protection(&self, ours: &Media, theirs: &Audio<'_>) -> Result<Protection, Refusal> {
        let asked = Crypto::read(ours.values("crypto")).unwrap_or_default();
        let must_be = ours.protocol.to_ascii_uppercase().contains("SAVP");
        match &theirs.keying {
            Keying::Plain(_) if must_be => Err(Refusal::Unfit("it is not protected")),
            Keying::Plain(given) if given.is_empty() || asked.is_empty() => Ok(Protection::None),
            Keying::Plain(given) => chosen(&asked, given),
            Keying::Sdes(Ok(given)) => chosen(&asked, given),
            Keying::Sdes(Err(why)) => Err(Refusal::NoCrypto(why)),
            Keying::Dtls(Ok(dtls)) if ours.has("fingerprint") => {
                let has_ice = ice::is_spoken(ours) && theirs.ice.is_some();
                Ok(dtls.agreed(self.agreed.as_ref(), keying::is_reachable(theirs, has_ice)))
            }
            Keying::Dtls(Err(why)) => Err(Refusal::BadDtls(why)),
            Keying::Dtls(_) => Err(Refusal::Unfit("it wants DTLS")),
        }
    }
}

/// The pair of keys of the line that was chosen.
fn chosen(asked: &[Crypto], given: &[Crypto]) -> Result<Protection, Refusal> {
    let [given, ..] = given else { return Err(Refusal::NoCrypto("there is none")) };
    let fits = |asked: &&Crypto| asked.tag == given.tag && asked.key.profile() == given.key.profile();
    let ours = asked.iter().find(fits).ok_or(Refusal::Unfit("its a=crypto was not offered"))?;
    if ours.key == given.key {
        return Err(Refusal::Unfit("it sends our own key back"));
    }
    Ok(Protection::Sdes { ours: ours.key.clone(), theirs: given.key.clone() })
}

fn said_direction(media: &Media) -> Direction {
    media.attributes.iter().find_map(|attribute| Direction::named(&attribute.name)).unwrap_or_default()
}

/// What a section says of a codec of ours.
pub(super) fn format_lines(codec: Codec, number: u8) -> Vec<Attribute> {
    let map = match codec {
        Codec::Opus(_) => format!("{number} opus/48000/2"),
        codec => format!("{number} {}/{}", codec.name(), codec.clock().ticks_hz),
    };
    let mut lines = vec![Attribute::of("rtpmap", map)];
    if let Codec::Opus(options) = codec {
        let fec = u8::from(options.fec);
        lines.push(Attribute::of("fmtp", format!("{number} minptime=10;useinbandfec={fec};sprop-stereo=0;stereo=0")));
    }
    lines
}

/// What a section says of events: the sixteen keys.
pub(super) fn event_lines(number: u8, clock_hz: u32) -> [Attribute; 2] {
    [
        Attribute::of("rtpmap", format!("{number} telephone-event/{clock_hz}")),
        Attribute::of("fmtp", format!("{number} 0-15")),
    ]
}
