//! A connection and a caller in virtual time: what passes between them, and what hostile bytes do.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use proptest::{prelude::*, strategy::ValueTree as _};
use rtc::{
    crypto::{self, SignatureScheme},
    peer_connection::{
        certificate::{CertificateParams, RTCCertificate},
        state::RTCPeerConnectionState,
    },
};

use super::{
    connection::{Address, Connection, Got},
    offer::{Direction, Offer, tests::BROWSER},
};

#[path = "../../../tests/src/webrtc_caller/line.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "the kit's file is written for the kit, and virtual time needs no deadlines"
)]
mod line;
use line::{Line, Wants};

const STEP: Duration = Duration::from_millis(5);
const FAILED_AFTER: Duration = Duration::from_secs(25);

fn caller() -> SocketAddr {
    ([127, 0, 0, 1], 40_000).into()
}

fn ours() -> SocketAddr {
    ([127, 0, 0, 1], 20_000).into()
}

#[expect(clippy::disallowed_methods, reason = "any instant will do as the beginning of virtual time")]
fn beginning() -> Instant {
    Instant::now()
}

fn certificate() -> RTCCertificate {
    let provider = crypto::default_provider().unwrap();
    let params = CertificateParams::new(vec!["test".to_owned()]).unwrap();
    RTCCertificate::generate(provider.crypto(), SignatureScheme::EcdsaP256Sha256, params).unwrap()
}

/// Both ends, and everything that came of each.
struct Call {
    now: Instant,
    line: Line,
    connection: Connection,
    answer: String,
    line_got: Vec<line::Got>,
    got: Vec<Got>,
    /// Whether datagrams to us arrive.
    is_open: bool,
}

impl Call {
    fn new(wants: Wants, ssrc: Option<u32>) -> Self {
        let now = beginning();
        let (mut line, offer) = Line::offer(now, caller(), wants);
        let offer = Offer::read(offer.as_bytes()).unwrap();
        let address = Address { local: ours(), reflexive: None };
        let (connection, answer) = Connection::answer(now, &offer, address, certificate(), ssrc, FAILED_AFTER).unwrap();
        line.accept(now, &answer);
        Self { now, line, connection, answer, line_got: Vec::new(), got: Vec::new(), is_open: true }
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.exchange();
            self.now += STEP;
            self.line.tick(self.now);
            self.connection.tick(self.now);
        }
        self.exchange();
    }

    fn exchange(&mut self) {
        loop {
            let mut is_quiet = true;
            while let Some((to, datagram)) = self.line.next_datagram() {
                is_quiet = false;
                assert_eq!(to, ours());
                if self.is_open {
                    self.connection.hear(self.now, caller(), &datagram);
                }
            }
            while let Some((to, datagram)) = self.connection.next_datagram() {
                is_quiet = false;
                assert_eq!(to, caller());
                self.line.hear(self.now, ours(), &datagram);
            }
            self.line_got.extend(std::iter::from_fn(|| self.line.got()));
            self.got.extend(std::iter::from_fn(|| self.connection.got()));
            if is_quiet {
                return;
            }
        }
    }

    fn states(&self) -> Vec<RTCPeerConnectionState> {
        self.got.iter().filter_map(|got| if let Got::State(state) = got { Some(*state) } else { None }).collect()
    }
}

/// A packet of RTP with `payload`, as a leg writes it.
fn packet(seq: u16, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, line::OPUS];
    bytes.extend_from_slice(&seq.to_be_bytes());
    bytes.extend_from_slice(&(u32::from(seq) * 960).to_be_bytes());
    bytes.extend_from_slice(&ssrc.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn sound_and_texts_pass_both_ways() {
    let mut call = Call::new(Wants::ALL, Some(7));
    call.run(Duration::from_secs(2));
    assert!(call.line_got.contains(&line::Got::Connected), "{:?}", call.line_got);
    assert!(call.states().contains(&RTCPeerConnectionState::Connected), "{:?}", call.states());
    assert!(call.line_got.contains(&line::Got::ChannelOpen));
    assert!(call.connection.can_tell());

    call.line.say(call.now, 1, 960, b"their sound");
    call.connection.say(call.now, &packet(5, 7, b"our sound"));
    call.line.tell(call.now, "hello");
    call.connection.tell(call.now, "welcome".to_owned());
    call.run(Duration::from_millis(100));
    let heard = call.got.iter().find_map(|got| if let Got::Sound(_, bytes) = got { Some(bytes) } else { None });
    assert_eq!(heard.unwrap()[12..], *b"their sound");
    assert!(call.got.iter().any(|got| matches!(got, Got::Text(text) if text == "hello")));
    let sounds = |got: &line::Got| matches!(got, line::Got::Sound { payload, .. } if payload[..] == *b"our sound");
    assert!(call.line_got.iter().any(sounds), "{:?}", call.line_got);
    assert!(call.line_got.contains(&line::Got::Text("welcome".to_owned())));
}

#[test]
fn reports_of_the_leg_leave_at_once_and_sealed_and_sound_passes_after_them() {
    let mut call = Call::new(Wants::ALL, Some(7));
    call.run(Duration::from_secs(2));
    // A sender report about the caller, and our name, as a leg writes them.
    let mut report = vec![0x81, 200, 0, 12, 0, 0, 0, 7];
    report.extend_from_slice(&[0; 20]);
    report.extend_from_slice(&line::SSRC.to_be_bytes());
    report.extend_from_slice(&[0; 20]);
    report.extend_from_slice(&[0x81, 202, 0, 3, 0, 0, 0, 7, 1, 4, b'n', b'a', b'm', b'e', 0, 0]);
    call.connection.say(call.now, &report);
    let (to, sent) = call.connection.next_datagram().expect("a report is sent at once");
    assert_eq!(to, caller());
    assert_eq!(sent[1], 200, "it is RTCP, of which SRTP leaves the kind to be read");
    assert!(sent.len() >= report.len() + 10, "and sealed: {} bytes", sent.len());
    // The caller writes no reports of its own: none are looked for here.
    for seq in 0..50 {
        call.connection.say(call.now, &packet(seq, 7, b"sound"));
        call.line.say(call.now, seq, u32::from(seq) * 960, b"sound");
        call.run(Duration::from_millis(20));
    }
    let heard = |got: &&Got| matches!(got, Got::Sound(_, bytes) if bytes.len() > 12);
    assert_eq!(call.got.iter().filter(heard).count(), 50);
}

#[test]
fn a_listener_gets_a_sending_answer_and_a_publisher_a_receiving_one() {
    let listener = Call::new(Wants { speaks: false, listens: true, has_channel: false }, Some(7));
    assert!(listener.answer.contains("a=sendonly"), "{}", listener.answer);
    assert!(!listener.answer.contains("m=application"));
    let mut publisher = Call::new(Wants { speaks: true, listens: false, has_channel: false }, None);
    assert!(publisher.answer.contains("a=recvonly"), "{}", publisher.answer);
    publisher.run(Duration::from_secs(2));
    publisher.line.say(publisher.now, 1, 960, b"their sound");
    publisher.connection.say(publisher.now, &packet(5, 7, b"our sound"));
    publisher.run(Duration::from_millis(100));
    assert!(publisher.got.iter().any(|got| matches!(got, Got::Sound(..))));
}

#[test]
fn a_caller_that_vanishes_is_noticed_within_six_seconds() {
    let mut call = Call::new(Wants::ALL, Some(7));
    call.run(Duration::from_secs(2));
    call.is_open = false;
    call.run(Duration::from_secs(6));
    assert_eq!(call.states().last(), Some(&RTCPeerConnectionState::Disconnected));
}

#[test]
fn goodbyes_are_understood_both_ways() {
    let mut call = Call::new(Wants::ALL, Some(7));
    call.run(Duration::from_secs(2));
    call.line.close();
    call.run(Duration::from_millis(200));
    assert_eq!(call.states().last(), Some(&RTCPeerConnectionState::Closed), "{:?}", call.states());
    let mut call = Call::new(Wants::ALL, Some(7));
    call.run(Duration::from_secs(2));
    call.connection.close();
    call.run(Duration::from_millis(200));
    assert_eq!(call.line_got.last(), Some(&line::Got::Lost));
}

#[test]
fn a_strangers_packets_are_neither_heard_nor_answered() {
    let mut call = Call::new(Wants::ALL, Some(7));
    call.run(Duration::from_secs(2));
    let stranger: SocketAddr = ([127, 0, 0, 1], 50_000).into();
    let before = call.got.len();
    for bytes in [&packet(1, line::SSRC, b"injected")[..], &[22, 254, 253, 0, 0], &[0x80, 200, 0, 1, 0, 0, 0, 9]] {
        call.connection.hear(call.now, stranger, bytes);
        assert!(call.connection.got().is_none());
        assert!(call.connection.next_datagram().is_none());
    }
    assert_eq!(call.got.len(), before);
}

#[test]
fn a_browsers_offer_is_answered_with_our_address_and_opus_and_video_is_declined() {
    let video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:someufrag\r\n\
        a=ice-pwd:somepasswordofsufficientlength\r\na=setup:actpass\r\na=mid:2\r\na=sendonly\r\na=rtcp-mux\r\n\
        a=rtpmap:96 VP8/90000\r\n";
    let text = BROWSER.replace("BUNDLE 0 1", "BUNDLE 0 1 2") + video;
    let offer = Offer::read(text.as_bytes()).unwrap();
    assert_eq!(offer.audio.direction, Direction::SendRecv);
    let address = Address { local: ours(), reflexive: Some(([203, 0, 113, 5], 4_000).into()) };
    let (_, answer) = Connection::answer(beginning(), &offer, address, certificate(), Some(7), FAILED_AFTER).unwrap();
    for part in [
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1",
        " 127.0.0.1 20000 typ host",
        " 203.0.113.5 4000 typ srflx raddr 127.0.0.1 rport 20000",
        "a=end-of-candidates",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "m=video 0 ",
    ] {
        assert!(answer.contains(part), "{part} is missing in\n{answer}");
    }
}

fn mangled(original: &[u8], cuts: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for (at, byte) in cuts {
        let length = bytes.len().max(1);
        if let Some(place) = bytes.get_mut(at % length) {
            *place = *byte;
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_datagram_panics_before_or_after_the_handshake(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20),
        kinds in prop::collection::vec(0_u8..=255, 20),
        is_connected: bool,
    ) {
        let mut call = Call::new(Wants::ALL, Some(7));
        if is_connected {
            call.run(Duration::from_secs(1));
        }
        for (mut datagram, kind) in datagrams.into_iter().zip(kinds) {
            // The first byte says which protocol it is (RFC 7983); each gets its share.
            if let Some(first) = datagram.first_mut() {
                *first = match kind % 4 { 0 => 0, 1 => 20 + kind % 6, 2 => 128 + kind % 64, _ => kind };
            }
            call.connection.hear(call.now, caller(), &datagram);
            while call.connection.got().is_some() {}
        }
        call.run(Duration::from_millis(50));
    }

    #[test]
    fn no_mangled_handshake_panics(cuts in prop::collection::vec((any::<usize>(), any::<u8>()), 1..8), at in 0_usize..12) {
        let mut call = Call::new(Wants::ALL, Some(7));
        let mut sent = 0;
        for _ in 0..60 {
            while let Some((_, datagram)) = call.line.next_datagram() {
                let datagram: BytesMut = datagram;
                sent += 1;
                let bytes = if sent >= at { mangled(&datagram, &cuts) } else { datagram.to_vec() };
                call.connection.hear(call.now, caller(), &bytes);
            }
            while let Some((_, datagram)) = call.connection.next_datagram() {
                call.line.hear(call.now, ours(), &datagram);
            }
            while call.connection.got().is_some() {}
            while call.line.got().is_some() {}
            call.now += STEP;
            call.line.tick(call.now);
            call.connection.tick(call.now);
        }
    }
}

#[test]
fn what_is_no_answerable_offer_is_an_error_and_no_panic() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let cuts = prop::collection::vec((0..BROWSER.len(), any::<u8>()), 1..10);
    let certificate = certificate();
    let mut answered = 0;
    for _ in 0..1_000 {
        let body = mangled(BROWSER.as_bytes(), &cuts.new_tree(&mut runner).unwrap().current());
        let Ok(offer) = Offer::read(&body) else { continue };
        let address = Address { local: ours(), reflexive: None };
        answered += usize::from(
            Connection::answer(beginning(), &offer, address, certificate.clone(), Some(7), FAILED_AFTER).is_ok(),
        );
    }
    assert!(answered > 10, "the offers were mangled beyond reading: {answered}");
}
