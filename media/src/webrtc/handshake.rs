//! Keys for SRTP by a handshake on the port of sound (DTLS-SRTP, RFC 5763 and 5764), for legs that are no WebRTC.
//!
//! Pure: told datagrams and the time, gives datagrams, and in the end what seals and opens. The far end is who signalling
//! said by the fingerprint of its certificate; any other certificate ends the handshake. One association, one
//! handshake; what is not DTLS must not be given to it. The protocol itself is the crate's.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::BytesMut;
use rtc::{
    crypto::{self, HashAlgorithm, RTCCryptoProvider},
    dtls::{
        config::{ClientAuthType, ConfigBuilder, HandshakeConfig, VerifyPeerCertificateFn},
        crypto::Certificate as Pair,
        endpoint::{Endpoint, EndpointEvent},
        extension::extension_use_srtp::SrtpProtectionProfile,
    },
    shared::{TransportProtocol, error::Error as Fault},
};
use thiserror::Error;

use crate::rtp::srtp::{MasterKey, Profile};

/// Where the far end is, as far as the crate is concerned: who sends is judged before.
const THERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// A handshake takes two round trips; one that lasts longer than this has lost every packet, or never had a peer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long an end waits until it begins anew, when something came that leads nowhere.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How long an end waits until it begins anew that waits for the rest of what was begun, and would say nothing again by
/// itself: by then a far end has said it as often as it does.
const STUCK_AFTER: Duration = Duration::from_secs(8);

/// Datagrams that are looked at in one go: both ends' flights in small pieces, said again and again by a bad network.
const BURST: u32 = 64;

/// How often another one is from then on. A flood costs this much and no more, wherever it comes from; what is not looked
/// at is as lost, and whoever means it says it again.
const ANOTHER_EVERY: Duration = Duration::from_millis(25);

/// What keys are derived for (RFC 5764 section 4.2).
const LABEL: &str = "EXTRACTOR-dtls_srtp";

/// Our certificate: made when the process begins, and for all calls the same.
#[derive(Clone)]
pub struct Certificate {
    pair: Pair,
    provider: Arc<dyn RTCCryptoProvider>,
    fingerprint: String,
}

/// Why there are no keys.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadHandshake {
    /// Ours: nothing to make certificates or keys with.
    #[error("there is no cryptography for DTLS: {0}")]
    NoCrypto(String),
    /// Theirs: a fingerprint by a hash function that is not trusted, or none at all.
    #[error("the fingerprint is not one of SHA-256: offer one")]
    Fingerprint,
    /// Theirs: somebody who is not whom signalling named.
    #[error("the certificate that was shown is not the one of the fingerprint")]
    Mismatch,
    /// Theirs: they closed it, no keys can be made of what was agreed on, or until the patience was over something came
    /// of which nothing could be made, such as a protocol that we do not know. Says what was wrong with the last of it.
    #[error("the handshake failed: {0}")]
    Failed(String),
    /// The network's: nobody answered, or what was said was lost.
    #[error("the handshake did not end within {} s", PATIENCE.as_secs())]
    TimedOut,
}

impl Certificate {
    /// A fresh one.
    ///
    /// # Errors
    /// [`BadHandshake::NoCrypto`].
    pub fn generate() -> Result<Self, BadHandshake> {
        let failed = |error: String| BadHandshake::NoCrypto(error);
        let provider = crypto::default_provider().map_err(|error| failed(error.to_string()))?;
        let pair = Pair::generate_self_signed(vec!["harmony".to_owned()], provider.crypto());
        let pair = pair.map_err(|error| failed(error.to_string()))?;
        let der = pair.certificate.first().ok_or_else(|| failed("no certificate came out".to_owned()))?;
        let fingerprint = format!("sha-256 {}", fingerprint(provider.as_ref(), der.as_ref()).map_err(failed)?);
        Ok(Self { pair, provider, fingerprint })
    }

    /// What `a=fingerprint` says of it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// What a handshake comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shaken {
    /// Seals what we send.
    pub ours: MasterKey,
    /// Opens what comes.
    pub theirs: MasterKey,
}

/// A handshake that is under way.
pub struct Handshake {
    endpoint: Endpoint,
    config: Arc<HandshakeConfig>,
    ends_at: Instant,
    is_client: bool,
    /// There are keys.
    is_done: bool,
    /// When it begins anew, because what came has left it with nothing that would wake it.
    again_at: Option<Instant>,
    /// What was wrong with the last datagram of which nothing could be made.
    refused: Option<String>,
    /// Another certificate was shown than the one that was named.
    is_mismatched: Arc<AtomicBool>,
    /// Since it began, or began anew, it has said something: there is something to lose.
    has_spoken: bool,
    cookie: Cookie,
    allowance: Allowance,
}

/// What a server asks a client to say again, to show that it is where it says (RFC 6347 section 4.2.1).
enum Cookie {
    /// Nothing that we know of.
    Unasked,
    /// This, by us, who are the server.
    Asked(Vec<u8>),
    /// It was asked for, where we are the client, or said, where we are the server. What led to that says the far end again
    /// only because it did not hear our next word yet.
    Answered,
}

impl Handshake {
    /// Begins at `now` with the far end whose certificate has one of these fingerprints, as `a=fingerprint` says them. A client
    /// speaks first, and says it again for as long as there is patience.
    ///
    /// # Errors
    /// When no fingerprint can be trusted, or there is nothing to make keys with.
    pub fn new(
        ours: &Certificate,
        theirs: &[impl AsRef<str>],
        is_client: bool,
        now: Instant,
    ) -> Result<Self, BadHandshake> {
        let failed = |error: Fault| BadHandshake::NoCrypto(error.to_string());
        let trusted = theirs.iter().filter_map(|theirs| {
            let (hash, value) = theirs.as_ref().split_once(' ')?;
            hash.eq_ignore_ascii_case("sha-256").then(|| value.trim().to_ascii_uppercase())
        });
        let (provider, values) = (Arc::clone(&ours.provider), trusted.collect::<Vec<_>>());
        if values.is_empty() {
            return Err(BadHandshake::Fingerprint);
        }
        let is_mismatched = Arc::new(AtomicBool::new(false));
        let mismatched = Arc::clone(&is_mismatched);
        let verify: VerifyPeerCertificateFn = Arc::new(move |certificates, _| {
            let certificate = certificates.first().ok_or(Fault::ErrNonCertificate)?;
            match fingerprint(provider.as_ref(), certificate) {
                Ok(shown) if values.contains(&shown) => Ok(()),
                _ => {
                    mismatched.store(true, Relaxed);
                    Err(Fault::ErrNoMatchingCertificateFingerprint)
                }
            }
        });
        let config = ConfigBuilder::default()
            .with_crypto_provider(Arc::clone(&ours.provider))
            .with_certificates(vec![ours.pair.clone()])
            .with_srtp_protection_profiles(vec![
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
                SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_32,
            ])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            // No authority vouches for it: the fingerprint does.
            .with_insecure_skip_verify(true)
            .with_verify_peer_certificate(Some(verify))
            .build(is_client, None)
            .map_err(failed)?;
        let config = Arc::new(config);
        let endpoint = begin(&config, is_client, now).map_err(failed)?;
        let ends_at = now + PATIENCE;
        Ok(Self {
            endpoint,
            config,
            ends_at,
            is_client,
            is_done: false,
            again_at: None,
            refused: None,
            is_mismatched,
            has_spoken: false,
            cookie: Cookie::Unasked,
            allowance: Allowance { left: BURST, counted_at: now },
        })
    }

    /// The next datagram to send.
    pub fn poll(&mut self) -> Option<BytesMut> {
        let datagram = self.endpoint.poll_transmit()?.message;
        self.has_spoken = true;
        if let Some(cookie) = cookie_asked_for(&datagram) {
            self.cookie = Cookie::Asked(cookie.to_vec());
        }
        Some(datagram)
    }

    /// Takes a datagram of the far end: the keys, when that ends the handshake. Afterwards it is kept for as long as the far
    /// end may ask for our last words again. A datagram of which nothing can be made is as one that did not come (RFC 6347
    /// section 4.1.2.7): anybody may have sent it. What was wrong with it is only told when nothing better comes in time. Of
    /// a flood only 64 are looked at in one go, and 40 a second from then on.
    ///
    /// # Errors
    /// When the handshake failed; there will be no keys. What is still to be sent tells the far end of a certificate that
    /// is not the one that was named, and answers one that closed; of keys that cannot be made it hears nothing.
    pub fn take(&mut self, now: Instant, datagram: &[u8]) -> Result<Option<Shaken>, BadHandshake> {
        if !self.allowance.takes(now) || (!self.is_done && has_stray_record(datagram)) {
            return Ok(None);
        }
        let first = if self.is_client { HELLO_VERIFY_REQUEST } else { CLIENT_HELLO };
        let is_first = !self.is_done && message(datagram, first).is_some();
        if is_first && matches!(self.cookie, Cookie::Answered) {
            // The crate would not only have no use for it, but forget that it has to say its own next word again.
            return Ok(None);
        }
        if is_first && !self.is_client && is_useless_hello(datagram, self.cookie.asked()) {
            // The crate would keep it, and wait for ever for what it takes to be the next word.
            self.refused = Some("the first word of the far end cannot be read".to_owned());
            return Ok(None);
        }
        let says_cookie =
            is_first && if self.is_client { cookie_asked_for(datagram).is_some() } else { is_second_hello(datagram) };
        let events = self.endpoint.read(now, THERE, None, BytesMut::from(datagram));
        // Whatever the protocol makes of it.
        if self.is_mismatched.load(Relaxed) {
            return Err(BadHandshake::Mismatch);
        }
        let has_timer = self.endpoint.poll_timeout(&THERE).is_some();
        if has_timer {
            // It has said something that it will say again: it goes on, and must not be thrown away for what came before.
            self.again_at = None;
        }
        let events = match events {
            Ok(events) => events,
            Err(why) => {
                // What the crate would say to it is an alert, with which whoever forged it could end the handshake of the
                // far end.
                while self.endpoint.poll_transmit().is_some() {}
                if !self.is_done {
                    self.refused = Some(why.to_string());
                    // The crate keeps what it could not use and stumbles over it with all that follows: a server as well,
                    // over a first word. Who has said nothing yet loses nothing by beginning anew at once.
                    if !self.is_client && !self.has_spoken {
                        self.begin_anew(now)?;
                    } else if !has_timer {
                        self.again_at.get_or_insert(now + AGAIN_AFTER);
                    }
                }
                return Ok(None);
            }
        };
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => {
                    (self.is_done, self.again_at, self.refused) = (true, None, None);
                    return self.keys().map(Some);
                }
                EndpointEvent::PeerClosed => return Err(BadHandshake::Failed("the far end closed it".to_owned())),
                _ => {}
            }
        }
        if says_cookie && has_timer {
            self.cookie = Cookie::Answered;
        }
        if !self.is_done && !has_timer {
            // The crate waits for the rest, and leaves it to the far end to say it.
            self.again_at.get_or_insert(now + STUCK_AFTER);
        }
        Ok(None)
    }

    /// When [`Handshake::wake`] is to be called, unless something comes before.
    pub fn wakes_at(&self) -> Instant {
        self.endpoint.poll_timeout(&THERE).into_iter().chain(self.again_at).fold(self.ends_at, Instant::min)
    }

    /// Says things again that got no answer. Who has said them as often as they are said begins anew, since the far end may
    /// be told of it late; so does who could make nothing of what came.
    ///
    /// # Errors
    /// When it did not end in time: with what was wrong with what came, or, where nothing was, that nobody answered.
    pub fn wake(&mut self, now: Instant) -> Result<(), BadHandshake> {
        if now >= self.ends_at {
            return Err(self.refused.take().map_or(BadHandshake::TimedOut, BadHandshake::Failed));
        }
        if self.is_done || self.endpoint.get_connection_state(THERE).is_none() {
            return Ok(());
        }
        let is_due = self.again_at.is_some_and(|at| at <= now);
        // It fails when the far end says nothing as often as it is asked.
        let said = self.endpoint.handle_timeout(THERE, now);
        if is_due || said.is_err() {
            self.begin_anew(now)?;
        }
        Ok(())
    }

    fn begin_anew(&mut self, now: Instant) -> Result<(), BadHandshake> {
        (self.again_at, self.has_spoken, self.cookie) = (None, false, Cookie::Unasked);
        let begun = begin(&self.config, self.is_client, now);
        self.endpoint = begun.map_err(|error| BadHandshake::NoCrypto(error.to_string()))?;
        Ok(())
    }

    fn keys(&self) -> Result<Shaken, BadHandshake> {
        let failed = |error: String| BadHandshake::Failed(error);
        let state = self.endpoint.get_connection_state(THERE).ok_or_else(|| failed("it is over".to_owned()))?;
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => Profile::AesCm128HmacSha1_80,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_32 => Profile::AesCm128HmacSha1_32,
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => Profile::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm => Profile::AeadAes256Gcm,
            _ => return Err(failed("no profile of SRTP in common".to_owned())),
        };
        let (key, salt) = (profile.key_bytes(), profile.salt_bytes());
        let material = state.export_keying_material(LABEL, &[], 2 * (key + salt));
        let material = material.map_err(|error| failed(error.to_string()))?.into_bytes();
        // Both keys, then both salts, the client's first (RFC 5764 section 4.2).
        let master = |of: usize| {
            let salts = 2 * key;
            [&material[of * key..(of + 1) * key], &material[salts + of * salt..salts + (of + 1) * salt]].concat()
        };
        let (ours, theirs) = if self.is_client { (master(0), master(1)) } else { (master(1), master(0)) };
        let key = |bytes| MasterKey::new(profile, bytes).map_err(|error| failed(error.to_string()));
        Ok(Shaken { ours: key(ours)?, theirs: key(theirs)? })
    }
}

impl Cookie {
    /// What a client must say again.
    fn asked(&self) -> Option<&[u8]> {
        match self {
            Self::Asked(cookie) => Some(cookie.as_slice()),
            Self::Unasked | Self::Answered => None,
        }
    }
}

/// How many datagrams may still be looked at.
struct Allowance {
    left: u32,
    /// Up to when those are counted that come to it with time.
    counted_at: Instant,
}

impl Allowance {
    /// Whether one more is looked at, `now`.
    fn takes(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.counted_at);
        let earned = u32::try_from(passed.as_millis() / ANOTHER_EVERY.as_millis()).unwrap_or(BURST);
        if self.left.saturating_add(earned) >= BURST {
            (self.left, self.counted_at) = (BURST, now);
        } else {
            self.left += earned;
            self.counted_at += ANOTHER_EVERY * earned;
        }
        let is_taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_taken
    }
}

/// An end of which nothing was heard yet.
fn begin(config: &Arc<HandshakeConfig>, is_client: bool, now: Instant) -> Result<Endpoint, Fault> {
    let server = (!is_client).then(|| Arc::clone(config));
    let mut endpoint = Endpoint::new(THERE, TransportProtocol::UDP, server);
    if is_client {
        endpoint.connect(now, THERE, Arc::clone(config), None)?;
    }
    Ok(endpoint)
}

/// Whether a datagram holds a record that nobody sends in clear within a handshake, such as an alert.
fn has_stray_record(mut datagram: &[u8]) -> bool {
    // The header of each: its kind, a version, the epoch, a number of six bytes and the length (RFC 6347 section 4.1).
    while let &[kind, _, _, high, low, _, _, _, _, _, _, above, below, ref rest @ ..] = datagram {
        if (high, low) == (0, 0) && !matches!(kind, CHANGE_CIPHER_SPEC | HANDSHAKE) {
            return true;
        }
        datagram = rest.get(usize::from(u16::from_be_bytes([above, below]))..).unwrap_or_default();
    }
    false
}

/// Whether a datagram is the first word of a client of which nothing can be made: of another version, with lengths that do
/// not add up, or with another cookie or number than an answer to what was asked has. What comes in pieces is not looked
/// into.
fn is_useless_hello(datagram: &[u8], cookie: Option<&[u8]>) -> bool {
    let Some((number, hello)) = message(datagram, CLIENT_HELLO) else { return false };
    let Some(said) = hello.and_then(cookie_of) else { return true };
    match number {
        // Without one it is said as if nothing had been asked: what asked may be lost.
        0 => !said.is_empty() && cookie.is_some_and(|cookie| cookie != said),
        SECOND => cookie != Some(said),
        _ => true,
    }
}

/// Whether a datagram is the first word of a client, said again with the cookie.
fn is_second_hello(datagram: &[u8]) -> bool {
    matches!(message(datagram, CLIENT_HELLO), Some((SECOND, _)))
}

/// The cookie that a datagram of a server asks a client to say again (RFC 6347 section 4.2.1).
fn cookie_asked_for(datagram: &[u8]) -> Option<&[u8]> {
    let mut rest = message(datagram, HELLO_VERIFY_REQUEST)?.1?.get(VERSION.len()..)?;
    take_field(&mut rest, 1)
}

/// The number and the text of the message of this kind that a datagram begins with, in clear and in one piece; no text where
/// there is less of it than it says.
fn message(datagram: &[u8], wanted: u8) -> Option<(u16, Option<&[u8]>)> {
    // The headers of the record and of the message (RFC 6347 sections 4.1 and 4.2.2).
    let (record, rest) = datagram.split_first_chunk::<13>()?;
    let &[HANDSHAKE, _, _, 0, 0, ..] = record else { return None };
    let (header, rest) = rest.split_first_chunk::<12>()?;
    let &[kind, a, b, c, above, below, from_a, from_b, from_c, piece_a, piece_b, piece_c] = header;
    let is_whole = [from_a, from_b, from_c] == [0; 3] && [piece_a, piece_b, piece_c] == [a, b, c];
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    (kind == wanted && is_whole).then(|| (u16::from_be_bytes([above, below]), rest.get(..length)))
}

/// The cookie in the first word of a client (RFC 6347 section 4.2.1) that is of DTLS 1.2 and whose lengths add up.
fn cookie_of(hello: &[u8]) -> Option<&[u8]> {
    let mut rest = hello.strip_prefix(&VERSION)?.get(RANDOM_BYTES..)?;
    // The name of a session that went before, the cookie, the suites and the ways to compress.
    let [session, cookie, suites, compressions] = [1, 1, 2, 1].map(|length_bytes| take_field(&mut rest, length_bytes));
    // No session goes on here, and the crate would take such a name for what follows it.
    if !session?.is_empty() || suites?.is_empty() || compressions?.is_empty() {
        return None;
    }
    // There must be some: one of them names what seals sound.
    let mut extensions = take_field(&mut rest, 2)?;
    while !extensions.is_empty() {
        extensions = extensions.get(2..)?;
        take_field(&mut extensions, 2)?;
    }
    cookie
}

/// Takes a field off the front whose length is in so many bytes before it.
fn take_field<'a>(rest: &mut &'a [u8], length_bytes: usize) -> Option<&'a [u8]> {
    let all: &'a [u8] = rest;
    let (length, behind) = all.split_at_checked(length_bytes)?;
    let length = length.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
    let (field, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    Some(field)
}

/// DTLS 1.2, as it is written.
const VERSION: [u8; 2] = [254, 253];

/// In the first word of either end.
const RANDOM_BYTES: usize = 32;

/// The number of a client's first word, said again with the cookie (RFC 6347 section 4.2.2); before that it is 0.
const SECOND: u16 = 1;

/// Kinds of messages (RFC 6347 section 4.3.2).
const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;

/// Kinds of records (RFC 5246 section 6.2.1).
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;

/// Bytes in hex with colons, as descriptions say them.
fn fingerprint(provider: &dyn RTCCryptoProvider, certificate: &[u8]) -> Result<String, String> {
    let hash = provider.crypto().hash(HashAlgorithm::Sha256, certificate).map_err(|error| error.to_string())?;
    Ok(hash.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{
        packet::{Contributors, Packet},
        seq::{RtpTime, SeqNo},
        srtp::{Opener, Rollover, Sealer},
    };

    #[expect(clippy::disallowed_methods, reason = "virtual time needs one instant to count from")]
    fn zero() -> Instant {
        Instant::now()
    }

    /// Lets both talk until both have keys, or for twenty seconds; of ten datagrams `lost` are lost.
    fn shake(ends: &mut [Handshake; 2], lost: u32) -> Result<[Option<Shaken>; 2], BadHandshake> {
        let (mut now, mut seed, mut keys) = (zero(), 1_u32, [None, None]);
        for _ in 0..200 {
            for from in 0..2 {
                while let Some(datagram) = ends[from].poll() {
                    assert!(matches!(datagram[0], 20..=63), "told from RTP by its first byte (RFC 7983)");
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    if (seed >> 16) % 10 >= lost
                        && let Some(done) = ends[1 - from].take(now, &datagram)?
                    {
                        keys[1 - from] = Some(done);
                    }
                }
            }
            if keys.iter().all(Option::is_some) {
                break;
            }
            now += Duration::from_millis(100);
            for end in &mut *ends {
                if now >= end.wakes_at() {
                    end.wake(now)?;
                }
            }
        }
        Ok(keys)
    }

    fn packet(seq: u16) -> Vec<u8> {
        let packet = Packet {
            marker: false,
            payload_type: 0,
            seq: SeqNo(seq),
            time: RtpTime(0),
            ssrc: 5,
            contributors: Contributors::default(),
            extension: None,
            payload: &[7; 160],
            padding_bytes: 0,
        };
        let mut bytes = vec![0; 300];
        let length = packet.write(&mut bytes).unwrap();
        bytes.truncate(length);
        bytes
    }

    fn pass(from: &mut Sealer, to: &mut Opener) {
        let plain = packet(1);
        let mut sealed = [&plain[..], &[0; Profile::LONGEST_TRAILER_BYTES]].concat();
        let length = from.seal_rtp(&mut sealed, plain.len()).unwrap();
        assert_ne!(sealed[12..plain.len()], plain[12..]);
        assert_eq!(to.open_rtp(&mut sealed[..length]), Ok(plain.len()));
        assert_eq!(sealed[..plain.len()], plain);
    }

    fn pair(certificates: [&Certificate; 2], said: [&str; 2]) -> [Handshake; 2] {
        let end = |index: usize, is_client| {
            Handshake::new(certificates[index], &[said[1 - index]], is_client, zero()).unwrap()
        };
        [end(0, true), end(1, false)]
    }

    #[test]
    fn two_ends_that_know_each_others_certificates_seal_and_open_both_ways() {
        let [a, b] = [Certificate::generate().unwrap(), Certificate::generate().unwrap()];
        assert_ne!(a.fingerprint(), b.fingerprint());
        for lost in [0, 1] {
            let mut ends = pair([&a, &b], [a.fingerprint(), b.fingerprint()]);
            let [Some(a), Some(b)] = shake(&mut ends, lost).unwrap() else { panic!("no keys with {lost} of ten lost") };
            assert_ne!(a.ours, a.theirs);
            let rollover = Rollover::default;
            pass(&mut a.ours.sealer(&rollover()), &mut b.theirs.opener(&rollover()));
            pass(&mut b.ours.sealer(&rollover()), &mut a.theirs.opener(&rollover()));
        }
    }

    #[test]
    fn nobody_ends_a_handshake_with_a_forged_alert_and_one_of_several_certificates_will_do() {
        let [a, b, c] = [0; 3].map(|_| Certificate::generate().unwrap());
        let end =
            |ours: &Certificate, theirs: &[&str], is_client| Handshake::new(ours, theirs, is_client, zero()).unwrap();
        let both = [c.fingerprint(), b.fingerprint()];
        let mut ends = [end(&a, &both, true), end(&b, &[a.fingerprint()], false)];
        // A first word that can be read and is of no use, here of a version that nobody speaks: behind the headers of the
        // record and of the message.
        let mut useless = ends[0].poll().expect("a client speaks first");
        assert_eq!(useless[25..27], [254, 253]);
        useless[26] = 255;
        assert_eq!(ends[1].take(zero(), &useless), Ok(None));
        assert!(ends[1].again_at.is_none() && ends[1].poll().is_none());
        let alert: [u8; 15] = [21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, 2, 40];
        let unknown: [u8; 14] = [40, 254, 253, 0, 0, 0, 0, 0, 0, 0, 98, 0, 1, 0];
        let short: [u8; 3] = [22, 254, 253];
        for forged in [&alert[..], &unknown[..], &short[..]] {
            for end in &mut ends {
                // What was to be sent is lost; it is said again.
                while end.poll().is_some() {}
                assert_eq!(end.take(zero(), forged), Ok(None));
                assert!(end.poll().is_none(), "nothing is said to it");
            }
        }
        let [Some(a), Some(b)] = shake(&mut ends, 0).unwrap() else { panic!("no keys") };
        assert_eq!(a.ours, b.theirs);
    }

    #[test]
    fn a_handshake_that_goes_on_after_nonsense_does_not_begin_anew() {
        let [a, b] = [Certificate::generate().unwrap(), Certificate::generate().unwrap()];
        let [mut ours, mut theirs] = pair([&a, &b], [a.fingerprint(), b.fingerprint()]);
        // Who has said nothing begins anew at once, and waits for nothing.
        assert_eq!(theirs.take(zero(), &[22, 254, 253]), Ok(None));
        assert_eq!(theirs.again_at, None);
        let hello = ours.poll().expect("a client speaks first");
        assert_eq!(theirs.take(zero(), &hello), Ok(None));
        assert_eq!(theirs.again_at, None);
        assert!(theirs.poll().is_some(), "it answers");
    }

    /// First words that cannot be read, made of one that can.
    fn unreadable(hello: &[u8]) -> Vec<Vec<u8>> {
        // Its version, and the lengths of the session's name and of the cookie, behind the random.
        let changed = [(26, 255), (59, 255), (60, 255)].map(|(at, byte)| {
            let mut broken = hello.to_vec();
            broken[at] = byte;
            broken
        });
        // With the name of an earlier session, of one byte: the lengths of record, message and piece grow with it.
        let mut resumed = hello.to_vec();
        resumed[59] = 1;
        resumed.insert(60, 7);
        for at in [12, 16, 24] {
            resumed[at] += 1;
        }
        changed.into_iter().chain([hello[..40].to_vec(), hello[..hello.len() - 1].to_vec(), resumed]).collect()
    }

    #[test]
    fn a_first_word_that_cannot_be_read_is_dropped_and_the_right_one_is_answered_at_once() {
        let [a, b] = [Certificate::generate().unwrap(), Certificate::generate().unwrap()];
        let [mut ours, mut theirs] = pair([&a, &b], [a.fingerprint(), b.fingerprint()]);
        let now = zero();
        let hello = ours.poll().expect("a client speaks first");
        for broken in unreadable(&hello) {
            assert_eq!(theirs.take(now, &broken), Ok(None));
            assert!(theirs.poll().is_none() && theirs.again_at.is_none(), "nothing is said to it");
        }
        assert_eq!(theirs.take(now, &hello), Ok(None));
        let asks = theirs.poll().expect("it asks whether the client is where it says");
        assert_eq!(ours.take(now, &asks), Ok(None));
        let said_again = ours.poll().expect("it is");
        // Also where something is to be lost, and by whoever guesses what was asked for.
        let mut guessed = said_again.to_vec();
        assert!(guessed[60] > 0, "behind its length");
        guessed[61] ^= 1;
        for broken in unreadable(&said_again).into_iter().chain([guessed]) {
            assert_eq!(theirs.take(now, &broken), Ok(None));
            assert!(theirs.poll().is_none() && theirs.again_at.is_none(), "nothing is said to it");
        }
        assert_eq!(theirs.take(now, &said_again), Ok(None));
        let mut keys = [None, None];
        // No time passes: nothing is said again.
        for _ in 0..10 {
            while let Some(datagram) = theirs.poll() {
                keys[0] = ours.take(now, &datagram).unwrap().or_else(|| keys[0].take());
            }
            while let Some(datagram) = ours.poll() {
                keys[1] = theirs.take(now, &datagram).unwrap().or_else(|| keys[1].take());
            }
        }
        assert!(keys.iter().all(Option::is_some));
    }

    #[test]
    fn a_flood_of_first_words_is_not_answered_beyond_the_allowance_and_the_right_end_gets_its_keys_afterwards() {
        let [a, b] = [Certificate::generate().unwrap(), Certificate::generate().unwrap()];
        let mut ends = pair([&a, &b], [a.fingerprint(), b.fingerprint()]);
        let now = zero();
        let hello = ends[0].poll().expect("a client speaks first");
        let mut said = 0;
        for _ in 0..10_000 {
            assert_eq!(ends[1].take(now, &hello), Ok(None));
            said += std::iter::from_fn(|| ends[1].poll()).count();
        }
        assert!((1..=BURST as usize).contains(&said), "{said} answers to ten thousand");
        let [Some(a), Some(b)] = shake(&mut ends, 0).unwrap() else { panic!("no keys") };
        assert_eq!(a.ours, b.theirs);
    }

    #[test]
    fn a_first_word_in_the_second_ones_place_is_dropped() {
        let [a, b] = [Certificate::generate().unwrap(), Certificate::generate().unwrap()];
        let mut ends = pair([&a, &b], [a.fingerprint(), b.fingerprint()]);
        let hello = ends[0].poll().expect("a client speaks first");
        let mut forged = hello.to_vec();
        // The number of the message.
        forged[18] = 1;
        assert_eq!(ends[1].take(zero(), &forged), Ok(None));
        assert!(ends[1].poll().is_none(), "nothing was asked yet");
        assert_eq!(ends[1].take(zero(), &hello), Ok(None));
        assert!(ends[1].poll().is_some(), "it asks whether the client is where it says");
        assert_eq!(ends[1].take(zero(), &forged), Ok(None));
        assert!(ends[1].poll().is_none(), "it does not say what was asked for");
        let [Some(a), Some(b)] = shake(&mut ends, 0).unwrap() else { panic!("no keys") };
        assert_eq!(a.ours, b.theirs);
    }

    /// A first word in two pieces.
    fn pieces(hello: &[u8]) -> [Vec<u8>; 2] {
        let (head, body) = hello.split_at(25);
        let half = body.len() / 2;
        [(0, 0, &body[..half]), (1, half, &body[half..])].map(|(number, from, part)| {
            let mut piece = head.to_vec();
            piece[10] = number;
            // The length of the record, where the piece begins and how long it is.
            for (at, value) in [(11, 12 + part.len()), (20, from), (23, part.len())] {
                piece[at..at + 2].copy_from_slice(&(value as u16).to_be_bytes());
            }
            piece.extend(part);
            piece
        })
    }

    #[test]
    fn a_first_word_in_pieces_is_answered_also_after_one_that_cannot_be_read() {
        let [a, b] = [Certificate::generate().unwrap(), Certificate::generate().unwrap()];
        let [mut ours, mut theirs] = pair([&a, &b], [a.fingerprint(), b.fingerprint()]);
        let now = zero();
        let hello = ours.poll().expect("a client speaks first");
        let mut broken = hello.to_vec();
        // The length of its cookie.
        broken[60] = 255;
        for piece in pieces(&broken) {
            assert_eq!(theirs.take(now, &piece), Ok(None));
        }
        assert!(theirs.poll().is_none(), "nothing is said to it");
        let later = now + STUCK_AFTER;
        assert!(theirs.wakes_at() <= later);
        theirs.wake(later).unwrap();
        for piece in pieces(&hello) {
            assert_eq!(theirs.take(later, &piece), Ok(None));
        }
        assert!(theirs.poll().is_some(), "it asks whether the client is where it says");
    }

    #[test]
    fn what_the_far_end_says_twice_keeps_no_end_from_saying_its_own_next_word_again() {
        let [a, b] = [Certificate::generate().unwrap(), Certificate::generate().unwrap()];
        let [mut ours, mut theirs] = pair([&a, &b], [a.fingerprint(), b.fingerprint()]);
        let now = zero();
        let again = |datagram: &[u8]| {
            let mut again = datagram.to_vec();
            // The number of the record.
            again[10] += 1;
            again
        };
        let says_again = |end: &mut Handshake, heard: &[u8]| {
            // Its next word is lost.
            while end.poll().is_some() {}
            assert_eq!(end.take(now, &again(heard)), Ok(None));
            assert!(end.poll().is_none());
            end.wake(end.wakes_at()).unwrap();
            end.poll().expect("its next word")
        };
        let hello = ours.poll().expect("a client speaks first");
        assert_eq!(theirs.take(now, &hello), Ok(None));
        let asks = theirs.poll().expect("it asks whether the client is where it says");
        assert_eq!(ours.take(now, &asks), Ok(None));
        let second = says_again(&mut ours, &asks);
        assert_eq!(theirs.take(now, &second), Ok(None));
        says_again(&mut theirs, &second);
    }

    #[test]
    fn an_allowance_is_used_up_at_once_and_comes_back_with_time() {
        let begun = zero();
        let mut allowance = Allowance { left: BURST, counted_at: begun };
        let taken = |allowance: &mut Allowance, at: Instant| (0..200).filter(|_| allowance.takes(at)).count();
        assert_eq!(taken(&mut allowance, begun), BURST as usize);
        assert_eq!(taken(&mut allowance, begun + ANOTHER_EVERY / 2), 0);
        assert_eq!(taken(&mut allowance, begun + ANOTHER_EVERY * 3), 3);
        assert_eq!(taken(&mut allowance, begun + Duration::from_secs(3_600)), BURST as usize);
        // A clock that stands still, or comes from before, gives nothing and takes nothing.
        assert_eq!(taken(&mut allowance, begun), 0);
    }

    #[test]
    fn a_client_that_is_answered_late_still_gets_its_keys() {
        let [a, b] = [Certificate::generate().unwrap(), Certificate::generate().unwrap()];
        let [mut ours, mut theirs] = pair([&a, &b], [a.fingerprint(), b.fingerprint()]);
        let begun = zero();
        let mut now = begun;
        // Longer than the crate says things again.
        while now < begun + Duration::from_secs(15) {
            while ours.poll().is_some() {}
            now = ours.wakes_at().max(now + Duration::from_millis(100));
            ours.wake(now).unwrap();
        }
        let mut keys = [None, None];
        for _ in 0..100 {
            while let Some(datagram) = ours.poll() {
                keys[1] = theirs.take(now, &datagram).unwrap().or_else(|| keys[1].take());
            }
            while let Some(datagram) = theirs.poll() {
                keys[0] = ours.take(now, &datagram).unwrap().or_else(|| keys[0].take());
            }
            now += Duration::from_millis(100);
            ours.wake(now).unwrap();
        }
        assert!(keys.iter().all(Option::is_some));
    }

    #[test]
    fn another_certificate_than_was_named_ends_it_on_either_side() {
        let [a, b, c] = [0; 3].map(|_| Certificate::generate().unwrap());
        for said in [[a.fingerprint(), c.fingerprint()], [c.fingerprint(), b.fingerprint()]] {
            let shaken = shake(&mut pair([&a, &b], said), 0);
            assert_eq!(shaken.err(), Some(BadHandshake::Mismatch), "{said:?}");
        }
        let weak = Handshake::new(&a, &["sha-1 AA:BB"], true, zero());
        assert_eq!(weak.err(), Some(BadHandshake::Fingerprint));
    }

    #[test]
    fn nobody_who_answers_is_given_up_in_time_and_nonsense_makes_no_panic() {
        let certificate = Certificate::generate().unwrap();
        for is_silent in [true, false] {
            let begun = zero();
            let mut alone = Handshake::new(&certificate, &[certificate.fingerprint()], true, begun).unwrap();
            let mut seed = 1_u32;
            let (mut now, mut said) = (begun, 0);
            let ended = loop {
                said += std::iter::from_fn(|| alone.poll()).count();
                let nonsense: Vec<u8> = (0..60)
                    .map(|n| {
                        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        if n == 0 { 20 + (seed >> 24) as u8 % 4 } else { (seed >> 24) as u8 }
                    })
                    .collect();
                if !is_silent {
                    let _ = alone.take(now, &nonsense);
                }
                now = alone.wakes_at().max(now + Duration::from_millis(100));
                if let Err(error) = alone.wake(now) {
                    break error;
                }
            };
            match is_silent {
                true => assert_eq!(ended, BadHandshake::TimedOut),
                false => assert!(matches!(ended, BadHandshake::Failed(_)), "{ended}"),
            }
            assert!(now <= begun + PATIENCE + Duration::from_secs(1) && said >= 3, "{said} datagrams");
        }
    }
}
