//! Offers as telephones, servers and trunks make them, in shape; and both ends of an exchange held against each other.

use std::net::{IpAddr, Ipv4Addr};

use media::{
    codec::voice::{Codec, OpusOptions},
    rtp::{
        delay::Bounds,
        seq::{RtpTime, SeqNo},
        session::Identity,
        srtp::{MasterKey, Profile},
    },
    time::Epoch,
};
use proptest::prelude::*;

use super::*;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 20));
const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
const OTHER_KEY: &str = "NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj";

const BARESIP: &str = "v=0\no=- 2943181920 1137458310 IN IP4 192.0.2.7\ns=-\nc=IN IP4 192.0.2.7\nt=0 0\na=tool:baresip 3.5.1\n\
    m=audio 10532 RTP/AVP 96 9 0 8 101\na=rtpmap:96 opus/48000/2\na=fmtp:96 stereo=1;sprop-stereo=1\na=rtpmap:9 G722/8000\n\
    a=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na=rtcp:10533\n\
    a=sendrecv\na=label:1\na=rtcp-rsize\na=ssrc:2204873719 cname:sip:alice@192.0.2.7\na=ptime:20\n";

const LINPHONE: &str = "v=0\no=alice 3342 2118 IN IP4 198.51.100.3\ns=Talk\nc=IN IP4 198.51.100.3\nt=0 0\n\
    a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\na=record:off\n\
    m=audio 7078 RTP/SAVP 96 97 98 0 8 18 101 99 100\na=rtpmap:96 opus/48000/2\na=fmtp:96 useinbandfec=1\n\
    a=rtpmap:97 speex/16000\na=fmtp:97 vbr=on\na=rtpmap:98 speex/8000\na=fmtp:98 vbr=on\na=fmtp:18 annexb=yes\n\
    a=rtpmap:101 telephone-event/48000\na=rtpmap:99 telephone-event/16000\na=rtpmap:100 telephone-event/8000\n\
    a=crypto:1 AEAD_AES_128_GCM inline:bm90IGEgcmVhbCBrZXksIGJ1dCBsb25nIGVu\n\
    a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\na=rtcp-fb:* trr-int 5000\n\
    m=video 9078 RTP/SAVP 96\na=rtpmap:96 VP8/90000\na=rtcp-fb:96 nack pli\n\
    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\n";

const ZOIPER: &str = "v=0\no=Z 0 29416317 IN IP4 203.0.113.40\ns=Z\nc=IN IP4 203.0.113.40\nt=0 0\n\
    m=audio 51372 RTP/AVP 106 9 98 101 0 8 3\na=rtpmap:106 opus/48000/2\na=fmtp:106 sprop-maxcapturerate=16000; minptime=20; useinbandfec=1\n\
    a=rtpmap:98 telephone-event/48000\na=fmtp:98 0-16\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\na=sendrecv\na=rtcp-mux\n";

const ASTERISK: &str = "v=0\no=- 1410839226 1410839226 IN IP4 192.0.2.50\ns=Asterisk\nc=IN IP4 192.0.2.50\nt=0 0\n\
    m=audio 15782 RTP/AVP 8 0 107 101\na=rtpmap:8 PCMA/8000\na=rtpmap:0 PCMU/8000\na=rtpmap:107 opus/48000/2\n\
    a=fmtp:107 useinbandfec=1\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\na=ptime:20\na=maxptime:140\na=sendrecv\n";

const FREESWITCH: &str = "v=0\no=FreeSWITCH 1700000001 1700000002 IN IP4 192.0.2.60\ns=FreeSWITCH\nc=IN IP4 192.0.2.60\nt=0 0\n\
    m=audio 27350 RTP/SAVP 102 9 0 8 103 101 13\na=rtpmap:102 opus/48000/2\na=fmtp:102 useinbandfec=1; maxaveragebitrate=30000; maxplaybackrate=48000; ptime=20; minptime=10; maxptime=40\n\
    a=rtpmap:9 G722/8000\na=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:103 telephone-event/48000\na=fmtp:103 0-15\n\
    a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na=rtpmap:13 CN/8000\n\
    a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\n\
    a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj\na=ptime:20\na=rtcp:27351 IN IP4 192.0.2.60\n\
    m=audio 27350 RTP/AVP 102 9 0 8 103 101 13\na=rtpmap:102 opus/48000/2\na=rtpmap:101 telephone-event/8000\na=ptime:20\n";

const TWILIO: &str = "v=0\no=root 1862391527 1862391527 IN IP4 198.51.100.70\ns=Twilio Media Gateway\nc=IN IP4 198.51.100.70\nt=0 0\n\
    m=audio 14598 RTP/AVP 0 8 101\na=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\n\
    a=ptime:20\na=maxptime:20\na=sendrecv\n";

const TEAMS: &str = "v=0\no=- 1 0 IN IP4 127.0.0.1\ns=session\nc=IN IP4 52.112.0.10\nb=CT:10000000\nt=0 0\n\
    m=audio 51000 RTP/SAVP 104 9 103 111 18 0 8 97 101 13 118\nc=IN IP4 52.112.0.10\na=rtcp:51001\na=ice-ufrag:Ek3B\n\
    a=ice-pwd:sOmEthingOfTwentyTwoLetters\na=rtcp-mux\na=candidate:1 1 UDP 2130706431 52.112.0.10 51000 typ srflx raddr 10.0.0.1 rport 51000\n\
    a=candidate:1 2 UDP 2130705918 52.112.0.10 51001 typ srflx raddr 10.0.0.1 rport 51001\n\
    a=candidate:2 1 tcp-act 2121006078 52.112.0.10 49152 typ srflx raddr 10.0.0.1 rport 49152\na=label:main-audio\na=mid:1\n\
    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^31\n\
    a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj|2^31|1:1\na=sendrecv\n\
    a=rtpmap:104 SILK/16000\na=rtpmap:9 G722/8000\na=rtpmap:103 SILK/8000\na=rtpmap:111 SIREN/16000\na=fmtp:111 bitrate=16000\n\
    a=rtpmap:18 G729/8000\na=fmtp:18 annexb=no\na=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:97 RED/8000\n\
    a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\na=rtpmap:13 CN/8000\na=rtpmap:118 CN/16000\na=ptime:20\n";

const BROWSER: &str = "v=0\no=- 4611731400430051336 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 0\nc=IN IP4 198.51.100.9\na=mid:0\na=rtcp-mux\na=setup:actpass\n\
    a=fingerprint:sha-256 F1:D3:12:31:32:CB:2D:10:45:6B:2E:72:0F:6F:16:B7:2D:AA:4E:5C:D6:41:A7:16:A3:96:0A:12:0C:9C:5A:11\n\
    a=rtpmap:111 opus/48000/2\na=rtpmap:0 PCMU/8000\n";

fn session(text: &str) -> Session {
    Session::parse(text.as_bytes()).unwrap()
}

fn side(capabilities: Capabilities) -> Side {
    let mut byte = 40;
    let mut random = |bytes: &mut [u8]| {
        byte += 1;
        bytes.fill(byte);
    };
    Side::new(capabilities, Local { rtcp: Some(30_001), ..Local::muxed(HERE, 30_000) }, 77, &mut random)
}

fn usual() -> Side {
    side(Capabilities::default())
}

fn answered(text: &str) -> (Session, Agreed) {
    usual().answer(&session(text)).unwrap()
}

fn at(text: &str) -> std::net::SocketAddr {
    text.parse().unwrap()
}

/// What an answer says besides who and when.
fn body(answer: &Session) -> String {
    let text = answer.to_string();
    text[text.find("m=").unwrap()..].replace("\r\n", "\n")
}

#[test]
fn baresip_gets_opus_with_the_events_that_it_has() {
    let (answer, agreed) = answered(BARESIP);
    assert_eq!(
        body(&answer),
        "m=audio 30000 RTP/AVP 96 101\na=rtpmap:96 opus/48000/2\na=fmtp:96 minptime=10;useinbandfec=1;sprop-stereo=0;stereo=0\n\
         a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na=ptime:20\na=sendrecv\n"
    );
    assert_eq!(
        agreed.codec,
        Codec::Opus(OpusOptions { fec: false, ..OpusOptions::default() }),
        "it did not ask for copies"
    );
    assert_eq!(agreed.events, Some(Events { send_type: 101, receive_type: 101, clock_hz: 8_000 }));
    let remote = agreed.remote(true).unwrap();
    assert_eq!((remote.rtp, remote.rtcp, remote.latch), (at("192.0.2.7:10532"), Some(at("192.0.2.7:10533")), true));
}

#[test]
fn linphone_gets_protected_opus_with_its_first_suite_and_no_video() {
    let (answer, agreed) = answered(LINPHONE);
    assert_eq!(answer.media.len(), 2);
    assert_eq!((answer.media[1].port, answer.media[1].kind.as_str()), (0, "video"));
    assert_eq!(answer.media[0].protocol, "RTP/SAVP");
    let crypto = answer.media[0].value("crypto").unwrap();
    assert!(crypto.starts_with("2 AES_CM_128_HMAC_SHA1_80 inline:"), "the first key is of the wrong length: {crypto}");
    assert_eq!(agreed.events.unwrap(), Events { send_type: 101, receive_type: 101, clock_hz: 48_000 });
    assert!(matches!(agreed.protection, Protection::Sdes { .. }));
}

#[test]
fn zoiper_may_send_reports_through_one_port() {
    let (answer, agreed) = answered(ZOIPER);
    assert!(answer.media[0].has("rtcp-mux"));
    assert_eq!((agreed.send_type, agreed.events.unwrap().send_type), (106, 98));
    let remote = agreed.remote(false).unwrap();
    assert_eq!(remote.rtcp, Some(remote.rtp));
}

#[test]
fn asterisk_and_twilio_get_what_they_have() {
    let (_, agreed) = answered(ASTERISK);
    assert_eq!((agreed.codec.name(), agreed.send_type), ("opus", 107));
    let mut theirs = side(Capabilities { choice: Choice::Theirs, ..Capabilities::default() });
    assert_eq!(theirs.answer(&session(ASTERISK)).unwrap().1.codec, Codec::Pcma);
    let (answer, agreed) = answered(TWILIO);
    assert_eq!((agreed.codec, agreed.packet_ms, agreed.send_type), (Codec::Pcmu, 20, 0));
    assert_eq!(answer.media[0].formats, ["0", "101"]);
}

#[test]
fn freeswitch_is_taken_by_the_protected_one_of_its_two_sections() {
    let (answer, agreed) = answered(FREESWITCH);
    assert_eq!(answer.media.iter().map(|media| media.port).collect::<Vec<_>>(), [30_000, 0]);
    let Codec::Opus(options) = agreed.codec else { panic!("{agreed:?}") };
    assert_eq!((options.bitrate_bps, options.fec), (30_000, true));
    let Protection::Sdes { ours, theirs } = &agreed.protection else { panic!("{agreed:?}") };
    assert_eq!((ours.profile(), theirs.profile()), (Profile::AesCm128HmacSha1_32, Profile::AesCm128HmacSha1_32));
    assert!(!agreed.comfort_noise, "Opus needs none");
    // Where protection is forbidden, the other is taken.
    let (answer, agreed) =
        side(Capabilities { srtp: Srtp::Forbidden, ..Capabilities::default() }).answer(&session(FREESWITCH)).unwrap();
    assert_eq!(answer.media.iter().map(|media| media.port).collect::<Vec<_>>(), [0, 30_000]);
    assert_eq!(agreed.protection, Protection::None);
}

#[test]
fn teams_is_answered_as_its_rules_want() {
    let mut side = usual();
    side.move_to(Local {
        ice: Some(Credentials { ufrag: "ours".to_owned(), pwd: "twenty-two-letters-or-more".to_owned() }),
        ..Local::muxed(HERE, 30_000)
    });
    let (answer, agreed) = side.answer(&session(TEAMS)).unwrap();
    let section = &answer.media[0];
    assert_eq!((agreed.codec, agreed.send_type, agreed.packet_ms), (Codec::G722, 9, 20));
    assert!(agreed.comfort_noise);
    let crypto = section.value("crypto").unwrap();
    assert!(crypto.starts_with("1 AES_CM_128_HMAC_SHA1_80 inline:") && crypto.ends_with("|2^31"), "{crypto}");
    assert_eq!(section.value("mid"), Some("1"));
    assert!(answer.attributes.contains(&Attribute::flag("ice-lite")));
    let candidates: Vec<_> = section.values("candidate").collect();
    assert_eq!(candidates, ["1 1 UDP 2130706431 192.0.2.20 30000 typ host"]);
    let ice = agreed.ice.unwrap();
    assert_eq!(ice.candidates.len(), 2, "what is TCP is not counted");
    assert_eq!((ice.credentials.ufrag.as_str(), ice.is_lite), ("Ek3B", false));
    // Without an end of ICE here, nothing is said of it.
    let (answer, agreed) = answered(TEAMS);
    assert!(agreed.ice.is_none() && !answer.to_string().contains("ice"));
}

#[test]
fn dtls_is_refused_by_name_unless_somebody_shakes_hands() {
    let refusal = usual().answer(&session(BROWSER)).unwrap_err();
    assert_eq!(refusal, Refusal::Dtls);
    assert_eq!(
        refusal.warning("harmony"),
        "302 harmony \"keys by DTLS are not known here: offer RTP/SAVP with a=crypto, or RTP/AVP\""
    );
    let fingerprint = Some("sha-256 AA:BB".to_owned());
    let (answer, agreed) =
        side(Capabilities { fingerprint, ..Capabilities::default() }).answer(&session(BROWSER)).unwrap();
    assert_eq!(answer.media[0].value("setup"), Some("active"));
    assert_eq!(answer.media[0].value("fingerprint"), Some("sha-256 AA:BB"));
    assert!(matches!(agreed.protection, Protection::Dtls { is_client: true, .. }));
}

/// Fingerprints of 32 bytes.
fn print_of(byte: u8) -> String {
    format!("sha-256 {}", vec![format!("{byte:02X}"); 32].join(":"))
}

/// A side that protects by DTLS and in no other way.
fn by_dtls(byte: u8) -> Side {
    let (srtp, fingerprint) = (Srtp::Required, Some(print_of(byte)));
    side(Capabilities { srtp, suites: Vec::new(), fingerprint, ..Capabilities::default() })
}

/// An offer by DTLS with these lines.
fn offered_by_dtls(lines: &str) -> Session {
    plain(&format!("m=audio 4000 UDP/TLS/RTP/SAVP 0\na=rtcp-mux\n{lines}"))
}

#[test]
fn dtls_is_offered_where_nothing_else_will_do_and_nothing_else_is_taken_for_it() {
    let mut ours = by_dtls(0xa1);
    let offer = ours.offer();
    let section = &offer.media[0];
    assert_eq!(section.protocol, "UDP/TLS/RTP/SAVP");
    assert_eq!((section.value("fingerprint"), section.value("setup")), (Some(&*print_of(0xa1)), Some("actpass")));
    assert!(!section.has("crypto"));
    for (lines, refusal) in [
        ("m=audio 4000 RTP/AVP 0\n".to_owned(), Refusal::Unfit("it is not protected")),
        (
            format!("m=audio 4000 RTP/AVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\n"),
            Refusal::Unfit("it is not protected"),
        ),
        (
            format!("m=audio 4000 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\n"),
            Refusal::Unfit("its a=crypto was not offered"),
        ),
        ("m=audio 4000 UDP/TLS/RTP/SAVP 0\n".to_owned(), Refusal::BadDtls("it has no fingerprint")),
    ] {
        ours.offer();
        assert_eq!(ours.accept(&plain(&lines)), Err(refusal), "{lines}");
    }
    for text in [BARESIP, LINPHONE, TEAMS, TWILIO] {
        assert_eq!(by_dtls(1).answer(&session(text)).unwrap_err(), Refusal::NotByDtls);
    }
    assert_eq!(Refusal::NotByDtls.code(), 399);
    let forbidden = Capabilities { srtp: Srtp::Forbidden, fingerprint: Some(print_of(1)), ..Capabilities::default() };
    assert_eq!(side(forbidden).answer(&session(BROWSER)).unwrap_err(), Refusal::Protected);
}

#[test]
fn of_several_fingerprints_the_one_that_can_be_trusted_counts() {
    let (weak, right) =
        ("a=fingerprint:sha-1 AA:BB\n", format!("a=fingerprint:SHA-256 {}\n", &print_of(0xab)[8..].to_lowercase()));
    let (_, agreed) = by_dtls(1).answer(&offered_by_dtls(&format!("{weak}{right}a=setup:active\n"))).unwrap();
    let expected = Protection::Dtls { fingerprints: vec![print_of(0xab)], is_client: false, tls_id: None };
    assert_eq!(agreed.protection, expected);
    let session_level = session(&format!(
        "v=0\no=- 1 1 IN IP4 192.0.2.7\nc=IN IP4 192.0.2.7\n{right}a=setup:active\nm=audio 4000 UDP/TLS/RTP/SAVPF 0\n"
    ));
    let (answer, agreed) = by_dtls(1).answer(&session_level).unwrap();
    assert_eq!((agreed.protection, answer.media[0].protocol.as_str()), (expected, "UDP/TLS/RTP/SAVPF"));
    for (lines, why) in [
        (weak.to_owned(), "its fingerprint is not one of SHA-256"),
        ("a=fingerprint:sha-256 AA:BB\n".to_owned(), "its fingerprint cannot be read"),
        ("a=fingerprint:sha-256\n".to_owned(), "its fingerprint cannot be read"),
        (format!("{right}a=setup:holdconn\n"), "its setup is none that connects"),
        (String::new(), "it has no fingerprint"),
    ] {
        let refusal = by_dtls(1).answer(&offered_by_dtls(&lines)).unwrap_err();
        assert_eq!((refusal.code(), refusal), (306, Refusal::BadDtls(why)), "{lines}");
    }
}

#[test]
fn an_association_stays_as_long_as_certificates_and_roles_do() {
    let lines = |byte: u8, more: &str| offered_by_dtls(&format!("a=fingerprint:{}\n{more}", print_of(byte)));
    let mut ours = by_dtls(1);
    let (answer, first) = ours.answer(&lines(7, "a=setup:actpass\n")).unwrap();
    assert_eq!(answer.media[0].value("setup"), Some("active"));
    let (_, held) = ours.answer(&lines(7, "a=setup:actpass\na=sendonly\n")).unwrap();
    assert_eq!(held.protection, first.protection);
    // Some answer with what they offered once.
    ours.offer();
    assert_eq!(ours.accept(&lines(7, "a=setup:actpass\n")).unwrap().protection, first.protection);
    ours.offer();
    assert_eq!(ours.accept(&lines(7, "a=setup:passive\n")).unwrap().protection, first.protection);
    for (byte, more) in [(7, "a=setup:active\n"), (8, "a=setup:actpass\n")] {
        let (_, other) = ours.clone().answer(&lines(byte, more)).unwrap();
        assert!(!other.protection.continues(&first.protection), "{byte} {more}");
    }
    // A name that is said late, or left out in an answer, is that of the association which there is.
    let named = |name: &str| lines(7, &format!("a=setup:actpass\na=tls-id:{name}\n"));
    let (_, named_late) = ours.answer(&named("the-first-of-this-kind")).unwrap();
    assert!(named_late.protection.continues(&first.protection) && named_late.protection.is_named());
    ours.offer();
    let unnamed = ours.accept(&lines(7, "a=setup:passive\n")).unwrap();
    assert_eq!(unnamed.protection, named_late.protection, "our offers have no name");
    let (_, other) = ours.answer(&named("another-of-this-kind")).unwrap();
    assert!(!other.protection.continues(&unnamed.protection));
    // The one who was asked first, as a server: whoever offers anew leaves the roles as they are.
    let (mut asking, mut asked) = (by_dtls(3), by_dtls(4));
    asked.move_to(Local::muxed(HERE, 40_000));
    let (asking_first, asked_first) = exchange(&mut asking, &mut asked).unwrap();
    let is_client = |agreed: &Agreed| matches!(agreed.protection, Protection::Dtls { is_client: true, .. });
    assert!(is_client(&asked_first) && !is_client(&asking_first));
    let (asked_next, asking_next) = exchange(&mut asked, &mut asking).unwrap();
    assert_ne!(is_client(&asked_next), is_client(&asking_next));
    assert_eq!((asked_next.protection, asking_next.protection), (asked_first.protection, asking_first.protection));
}

#[test]
fn any_of_several_certificates_that_are_named_may_be_shown() {
    let [first, second] = [0xcd, 0xab].map(print_of);
    let both = format!("a=fingerprint:{first}\na=fingerprint:sha-1 AA:BB\na=fingerprint:{second}\na=setup:active\n");
    let (_, agreed) = by_dtls(1).answer(&offered_by_dtls(&both)).unwrap();
    let expected = Protection::Dtls { fingerprints: vec![second, first], is_client: false, tls_id: None };
    assert_eq!(agreed.protection, expected);
}

#[test]
fn whoever_is_behind_a_translator_and_has_no_ice_begins_the_handshake() {
    let ice = "a=ice-ufrag:abcd\na=ice-pwd:0123456789012345678901\n";
    for (ip, ice, setup) in [
        ("192.168.7.7", "", "passive"),
        ("100.64.0.9", "", "passive"),
        ("192.168.7.7", ice, "active"),
        ("192.0.2.7", "", "active"),
    ] {
        let offer = session(&format!(
            "v=0\no=- 1 1 IN IP4 {ip}\nc=IN IP4 {ip}\nm=audio 4000 UDP/TLS/RTP/SAVP 0\n\
             a=fingerprint:{}\na=setup:actpass\n{ice}",
            print_of(7)
        ));
        let mut ours = by_dtls(1);
        let ice = Some(Credentials { ufrag: "ours".to_owned(), pwd: "p".repeat(22) });
        ours.move_to(Local { ice, ..Local::muxed(HERE, 40_000) });
        let (answer, _) = ours.answer(&offer).unwrap();
        assert_eq!(answer.media[0].value("setup"), Some(setup), "{offer}");
    }
}

#[test]
fn reports_without_keys_of_their_own_are_not_sent() {
    let offer = format!("m=audio 4000 UDP/TLS/RTP/SAVP 0\na=fingerprint:{}\na=setup:actpass\n", print_of(7));
    let sends_reports = |offer: Session| {
        let agreed = by_dtls(1).answer(&offer).unwrap().1;
        let identity = Identity { ssrc: 1, first_seq: SeqNo(1), first_time: RtpTime(1), cname: String::new() };
        let epoch = Epoch { instant: some_instant(), wall: std::time::SystemTime::UNIX_EPOCH };
        agreed.leg(identity, Bounds { margin_ms: 10, most_ms: 400 }, epoch, None).0.rtcp
    };
    assert!(!sends_reports(plain(&offer)), "one handshake is for one port");
    assert!(sends_reports(plain(&format!("{offer}a=rtcp-mux\n"))));
}

#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock; no test depends on which")]
fn some_instant() -> std::time::Instant {
    std::time::Instant::now()
}

#[test]
fn ice_is_offered_where_it_is_wanted_and_answered_where_it_was_offered() {
    let ours = Some(Credentials { ufrag: "ours".to_owned(), pwd: "twenty-two-letters-or-more".to_owned() });
    let place = Local { rtcp: Some(30_001), ice: ours, ..Local::muxed(HERE, 30_000) };
    let with = |offers_ice| {
        let mut side = side(Capabilities { offers_ice, ..Capabilities::default() });
        side.move_to(place.clone());
        side
    };
    assert!(!with(false).offer().to_string().contains("ice"), "some old telephones break on it");
    let offer = with(true).offer();
    assert!(offer.attributes.contains(&Attribute::flag("ice-lite")));
    assert_eq!(offer.media[0].values("candidate").count(), 2, "its own port for reports, until both know better");
    // Who is not asked says nothing of it, and whose offer speaks of it gets one candidate for the one port.
    let (answer, agreed) = with(false).answer(&session(BARESIP)).unwrap();
    assert!(agreed.ice.is_none() && !answer.to_string().contains("ice"));
    let (mut asked, teams) = (with(false), session(TEAMS));
    let (answer, agreed) = asked.answer(&teams).unwrap();
    assert_eq!(
        answer.media[0].values("candidate").collect::<Vec<_>>(),
        ["1 1 UDP 2130706431 192.0.2.20 30000 typ host"]
    );
    assert!(agreed.ice.is_some());
    assert!(!agreed.remote(true).unwrap().latch, "where it is is for its checks to say");
    assert!(asked.offer().media[0].has("ice-ufrag"), "and it is still spoken of in a change of the call");
    let mut asking = with(true);
    asking.offer();
    assert!(asking.accept(&plain("m=audio 4000 RTP/AVP 0\n")).unwrap().ice.is_none());
    assert!(!asking.offer().to_string().contains("ice"), "who did not answer it does not know it");
}

/// An offer of audio with these lines.
fn plain(lines: &str) -> Session {
    session(&format!("v=0\no=- 1 1 IN IP4 192.0.2.7\ns=-\nc=IN IP4 192.0.2.7\nt=0 0\n{lines}"))
}

#[test]
fn what_cannot_be_taken_has_the_warning_that_fits() {
    let mut protected = side(Capabilities { srtp: Srtp::Required, ..Capabilities::default() });
    let mut open = side(Capabilities { srtp: Srtp::Forbidden, ..Capabilities::default() });
    let audio = "m=audio 4000 RTP/AVP 0\n";
    for (text, code) in [
        ("m=video 4000 RTP/AVP 96\n", 304),
        ("m=audio 0 RTP/AVP 0\n", 304),
        ("m=image 4000 udptl t38\n", 304),
        ("m=audio 4000 RTP/AVP 3 18 97\na=rtpmap:97 iLBC/8000\n", 305),
        ("m=audio 4000 RTP/AVP 72\na=rtpmap:72 PCMU/8000\n", 305),
        ("m=audio 4000 TCP/MRCPv2 1\n", 302),
        ("m=audio 4000 UDP/TLS/RTP/SAVP 0\n", 302),
        ("m=audio 4000 RTP/SAVP 0\n", 306),
        ("m=audio 4000 RTP/AVP 0\nc=IN IP4 phone.example\n", 301),
        ("m=audio 4000 RTP/AVP 0\nc=IN IP6 2001:db8::1\n", 300),
        ("m=audio 4000 RTP/AVP 0\nc=IN IP4 224.2.1.1/127\n", 330),
    ] {
        assert_eq!(usual().answer(&plain(text)).unwrap_err().code(), code, "{text}");
    }
    assert_eq!(protected.answer(&plain(audio)).unwrap_err().code(), 399);
    assert_eq!(open.answer(&session(TEAMS)).unwrap_err(), Refusal::Protected);
    let nowhere = session("v=0\no=- 1 1 IN IP4 192.0.2.7\nm=audio 4000 RTP/AVP 0\n");
    assert_eq!(usual().answer(&nowhere).unwrap_err().code(), 307);
    let rude = plain("m=audio 4000 RTP/AVP 97\na=rtpmap:97 a\"b\\c/8000\n");
    assert_eq!(
        usual().answer(&rude).unwrap_err().warning("h"),
        "305 h \"no codec in common: a'b'c was offered, opus, G722, PCMU, PCMA is known here\""
    );
}

#[test]
fn who_is_held_is_answered_so_however_it_is_said() {
    for (lines, theirs, ours) in [
        ("a=sendrecv\n", "", Direction::SendRecv),
        ("a=sendonly\n", "", Direction::RecvOnly),
        ("a=recvonly\n", "", Direction::SendOnly),
        ("a=inactive\n", "", Direction::Inactive),
        ("c=IN IP4 0.0.0.0\n", "held", Direction::RecvOnly),
        ("c=IN IP4 0.0.0.0\na=inactive\n", "held", Direction::Inactive),
        ("c=IN IP4 nowhere.invalid\n", "held", Direction::RecvOnly),
        ("c=IN IP6 ::\na=sendonly\n", "held", Direction::RecvOnly),
    ] {
        let (answer, agreed) = usual().answer(&plain(&format!("m=audio 4000 RTP/AVP 0\n{lines}"))).unwrap();
        assert_eq!(agreed.direction, ours, "{lines}");
        assert!(answer.media[0].has(ours.name()));
        assert_eq!(agreed.remote(false).is_none(), theirs == "held", "{lines}");
        assert_eq!(agreed.is_held(), !ours.sends());
    }
    let session_level = plain("a=sendonly\nm=audio 4000 RTP/AVP 0\n");
    assert_eq!(usual().answer(&session_level).unwrap().1.direction, Direction::RecvOnly);
}

#[test]
fn the_version_counts_changes_and_nothing_else() {
    let mut side = usual();
    let offer = plain("m=audio 4000 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000\n");
    let version = |session: &Session| session.origin.version.parse::<u64>().unwrap();
    let (first, _) = side.answer(&offer).unwrap();
    let (again, _) = side.answer(&offer).unwrap();
    assert_eq!(first, again, "a session that is only refreshed");
    let (held, _) = side.answer(&plain("m=audio 4000 RTP/AVP 0\na=sendonly\n")).unwrap();
    assert_eq!((version(&held), &held.origin.id), (version(&first) + 1, &first.origin.id));
    side.turn(Direction::Inactive);
    let ours = side.offer();
    assert_eq!(version(&ours), version(&first) + 2);
    assert!(ours.media[0].has("inactive"));
    side.withdraw();
    assert!(side.accept(&held).is_err(), "nothing waits for it");
    side.move_to(Local::muxed(HERE, 31_000));
    side.turn(Direction::SendRecv);
    let moved = side.offer();
    assert_eq!((version(&moved), moved.media[0].port), (version(&first) + 3, 31_000));
    assert!(side.answer(&plain("m=image 1 udptl t38\n")).is_err(), "a fax that is refused");
    assert_eq!(side.agreed().unwrap().codec, Codec::Pcmu, "changes nothing");
}

#[test]
fn sections_keep_their_places_and_payload_types_their_meaning() {
    let mut side = usual();
    let offer = "m=video 5000 RTP/AVP 97\na=rtpmap:97 H264/90000\n\
        m=audio 4000 RTP/AVP 101 96\na=rtpmap:101 opus/48000/2\na=rtpmap:96 telephone-event/48000\n";
    let (answer, agreed) = side.answer(&plain(offer)).unwrap();
    assert_eq!(answer.media.iter().map(|media| media.port).collect::<Vec<_>>(), [0, 30_000]);
    assert_eq!((agreed.send_type, agreed.events.unwrap().send_type), (101, 96));
    let again = side.offer();
    assert_eq!(again.media.iter().map(|media| media.port).collect::<Vec<_>>(), [0, 30_000]);
    let audio = &again.media[1];
    assert!(audio.values("rtpmap").any(|map| map == "101 opus/48000/2"), "{audio:?}");
    assert!(audio.values("rtpmap").any(|map| map == "96 telephone-event/48000"));
    let events = audio.values("rtpmap").find(|map| map.ends_with("telephone-event/8000")).unwrap();
    assert!(!events.starts_with("101 ") && !events.starts_with("96 "), "{events} was something else before");
    let mut numbers = audio.formats.clone();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), audio.formats.len());
}

#[test]
fn g722_is_known_by_either_clock_and_opus_by_any_number_of_channels() {
    for (lines, codec) in [
        ("9\n", Codec::G722),
        ("9\na=rtpmap:9 G722/8000\n", Codec::G722),
        ("100\na=rtpmap:100 g722/16000\n", Codec::G722),
        ("9\na=rtpmap:9 G722/8000/1\n", Codec::G722),
    ] {
        let (answer, agreed) = usual().answer(&plain(&format!("m=audio 4000 RTP/AVP {lines}"))).unwrap();
        assert_eq!(agreed.codec, codec, "{lines}");
        assert!(answer.to_string().contains(" G722/8000\r\n"), "the clock that is right");
    }
    let (_, agreed) = usual().answer(&plain("m=audio 4000 RTP/AVP 99\na=rtpmap:99 OPUS/48000\n")).unwrap();
    assert_eq!(agreed.codec.name(), "opus");
    let tuned = "m=audio 4000 RTP/AVP 99\na=rtpmap:99 opus/48000/2\na=fmtp:99 maxaveragebitrate=1; UseInbandFEC=1;x\n";
    let (_, agreed) = usual().answer(&plain(tuned)).unwrap();
    assert_eq!(agreed.codec, Codec::Opus(OpusOptions { bitrate_bps: 8_000, fec: true, ..OpusOptions::default() }));
}

#[test]
fn packets_are_as_long_as_can_be_sent_and_the_far_end_bears() {
    for (lines, packet_ms) in [
        ("", 20),
        ("a=ptime:30\n", 20),
        ("a=ptime:60\n", 60),
        ("a=ptime:200\n", 60),
        ("a=ptime:5\n", 10),
        ("a=ptime:40\na=maxptime:20\n", 20),
        ("a=maxptime:10\n", 10),
        ("a=ptime:0\n", 20),
        ("a=ptime:many\n", 20),
    ] {
        let (answer, agreed) = usual().answer(&plain(&format!("m=audio 4000 RTP/AVP 0\n{lines}"))).unwrap();
        assert_eq!(agreed.packet_ms, packet_ms, "{lines}");
        assert_eq!(answer.media[0].value("ptime"), Some(packet_ms.to_string().as_str()));
    }
    let codecs = vec![Codec::L16 { rate_hz: 48_000 }];
    let offer = plain("m=audio 4000 RTP/AVP 99\na=rtpmap:99 L16/48000\n");
    assert_eq!(side(Capabilities { codecs, ..Capabilities::default() }).answer(&offer).unwrap().1.packet_ms, 10);
}

#[test]
fn protection_may_be_offered_to_whom_does_not_know_it() {
    let policy = |srtp| side(Capabilities { srtp, says_lifetime: true, ..Capabilities::default() });
    let mut ours = policy(Srtp::Offered);
    let offer = ours.offer();
    assert_eq!(offer.media[0].protocol, "RTP/AVP");
    assert_eq!(offer.media[0].values("crypto").count(), 4);
    assert!(offer.media[0].values("crypto").all(|line| line.ends_with("|2^31")));
    let (answer, agreed) = policy(Srtp::Forbidden).answer(&offer).unwrap();
    assert_eq!((ours.accept(&answer).unwrap().protection, agreed.protection), (Protection::None, Protection::None));
    let mut required = policy(Srtp::Required);
    assert_eq!(required.offer().media[0].protocol, "RTP/SAVP");
    let plain_answer = plain("m=audio 4000 RTP/AVP 0\n");
    assert_eq!(required.accept(&plain_answer).unwrap_err().code(), 399);
}

#[test]
fn an_answer_that_was_not_asked_for_is_refused() {
    let mut side = side(Capabilities { srtp: Srtp::Required, ..Capabilities::default() });
    let mut refused = |lines: &str| {
        side.offer();
        side.accept(&plain(lines)).unwrap_err()
    };
    let crypto = |tag: u32, key: &str| format!("a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{key}\n");
    let section = "m=audio 4000 RTP/SAVP 0\n";
    assert_eq!(refused(""), Refusal::Unfit("it has fewer sections"));
    assert_eq!(refused("m=audio 0 RTP/SAVP 0\n"), Refusal::NoAudio);
    assert!(matches!(refused("m=audio 4000 RTP/SAVP 3\n"), Refusal::NoCodec { .. }));
    assert_eq!(refused(&format!("{section}{}", crypto(9, KEY))), Refusal::Unfit("its a=crypto was not offered"));
    assert_eq!(refused(section), Refusal::NoCrypto("there is none"));
    let ours = side.offer().media[0].value("crypto").unwrap().to_owned();
    let echo = side.accept(&plain(&format!("{section}a=crypto:{ours}\n"))).unwrap_err();
    assert_eq!(echo, Refusal::Unfit("it sends our own key back"));
    side.offer();
    assert!(side.accept(&plain(&format!("{section}{}", crypto(1, OTHER_KEY)))).is_ok());
}

#[test]
fn an_answer_with_other_numbers_and_several_codecs_is_understood() {
    let mut side = usual();
    let offer = side.offer();
    assert!(offer.media[0].values("rtpmap").any(|map| map == "96 opus/48000/2"));
    let answer = "m=audio 4000 RTP/AVP 120 0 97\na=rtpmap:120 opus/48000/2\na=rtpmap:97 telephone-event/48000\n";
    let agreed = side.accept(&plain(answer)).unwrap();
    assert_eq!((agreed.send_type, agreed.receive_type, agreed.is_only), (120, 96, false));
    assert_eq!(agreed.events, Some(Events { send_type: 97, receive_type: 102, clock_hz: 48_000 }));
    side.speak(vec![agreed.codec]);
    let narrow = side.offer();
    assert_eq!(narrow.media[0].formats, ["96", "102"], "one codec and its events, under the numbers they have");
}

#[test]
fn keys_stay_in_use_when_the_call_is_changed() {
    let mut ours = side(Capabilities { srtp: Srtp::Required, ..Capabilities::default() });
    let mut theirs = usual();
    theirs.move_to(Local::muxed(HERE, 40_000));
    theirs.keys.iter_mut().for_each(|key| *key = MasterKey::fresh(key.profile(), &mut |bytes| bytes.fill(9)));
    let (answer, first) = theirs.answer(&ours.offer()).unwrap();
    let agreed = ours.accept(&answer).unwrap();
    theirs.turn(Direction::SendOnly);
    let (answer, held) = ours.answer(&theirs.offer()).unwrap();
    assert_eq!(held.protection, agreed.protection);
    assert_eq!(theirs.accept(&answer).unwrap().protection, first.protection);
    assert_eq!((held.direction, answer.media[0].protocol.as_str()), (Direction::RecvOnly, "RTP/SAVP"));
}

fn codecs() -> impl Strategy<Value = Vec<Codec>> {
    let all = vec![
        Codec::Opus(OpusOptions::default()),
        Codec::G722,
        Codec::Pcmu,
        Codec::Pcma,
        Codec::L16 { rate_hz: 8_000 },
        Codec::L16 { rate_hz: 16_000 },
    ];
    prop::sample::subsequence(all, 1..=6).prop_shuffle()
}

prop_compose! {
    fn capabilities()(
        codecs in codecs(),
        choice in prop_oneof![Just(Choice::Ours), Just(Choice::Theirs)],
        flags in any::<(bool, bool, bool, bool)>(),
        packet_ms in prop::sample::select(vec![10, 20, 40, 60]),
        srtp in prop::sample::select(vec![Srtp::Forbidden, Srtp::Accepted, Srtp::Offered, Srtp::Required]),
        suites in prop::sample::subsequence(Capabilities::default().suites, 1..=4).prop_shuffle(),
        dtls in prop::option::of((any::<u8>(), any::<bool>())),
        offers_ice: bool,
    ) -> Capabilities {
        let (telephone_event, comfort_noise, says_lifetime, rtcp_mux) = flags;
        let suites = if let Some((_, true)) = dtls { Vec::new() } else { suites };
        Capabilities {
            codecs, choice, telephone_event, comfort_noise, packet_ms, srtp, suites, says_lifetime, rtcp_mux,
            offers_ice, fingerprint: dtls.map(|(byte, _)| print_of(byte)),
        }
    }
}

/// Asks one end and tells the other, by text. What both agreed on, or that they did not.
fn exchange(asking: &mut Side, asked: &mut Side) -> Option<(Agreed, Agreed)> {
    let offer = session(&asking.offer().to_string());
    match asked.answer(&offer) {
        Ok((answer, theirs)) => {
            let ours = asking.accept(&session(&answer.to_string())).expect("what we answer ourselves fits");
            Some((ours, theirs))
        }
        Err(refusal) => {
            assert!(!refusal.warning("h").contains(['\r', '\n']));
            asking.withdraw();
            None
        }
    }
}

fn agree(ours: &Agreed, theirs: &Agreed) {
    assert_eq!((ours.codec, ours.packet_ms > 0), (theirs.codec, true));
    assert_eq!((ours.send_type, ours.receive_type), (theirs.receive_type, theirs.send_type));
    let events = |agreed: &Agreed| agreed.events.map(|events| (events.send_type, events.receive_type, events.clock_hz));
    assert_eq!(events(ours), events(theirs).map(|(send, receive, clock)| (receive, send, clock)));
    assert_eq!(ours.comfort_noise, theirs.comfort_noise);
    assert_eq!(ours.direction, theirs.direction.reversed());
    assert_eq!(ours.destination.is_muxed, theirs.destination.is_muxed);
    assert!(ours.is_only && theirs.is_only);
    assert_eq!(ours.ice.is_some(), theirs.ice.is_some());
    match (&ours.protection, &theirs.protection) {
        (Protection::None, Protection::None) => {}
        (Protection::Sdes { ours: a, theirs: b }, Protection::Sdes { ours: c, theirs: d }) => {
            assert_eq!((a, b), (d, c));
        }
        (Protection::Dtls { is_client: a, .. }, Protection::Dtls { is_client: b, .. }) => assert_ne!(a, b),
        other => panic!("{other:?}"),
    }
}

fn direction() -> impl Strategy<Value = Direction> {
    any::<(bool, bool)>().prop_map(|(sends, hears)| Direction::of(sends, hears))
}

proptest! {
    #[test]
    fn two_ends_agree_on_the_same_however_often_they_change_it(
        a in capabilities(),
        b in capabilities(),
        turns in prop::collection::vec((any::<bool>(), direction(), 2_000_u16..60_000, any::<bool>()), 1..6),
    ) {
        let end = |capabilities: Capabilities, seed: u8| {
            let local = Local { rtcp: Some(5_000), ..Local::muxed(HERE, 4_000 + u16::from(seed)) };
            Side::new(capabilities, local, u64::from(seed), &mut |bytes| bytes.fill(seed))
        };
        let (mut a, mut b) = (end(a, 1), end(b, 2));
        let mut agreed: Option<(Agreed, Agreed)> = None;
        for (a_asks, direction, port, has_ice) in turns {
            let (asking, asked) = if a_asks { (&mut a, &mut b) } else { (&mut b, &mut a) };
            asking.turn(direction);
            let ice = has_ice.then(|| Credentials { ufrag: format!("u{port}"), pwd: "p".repeat(22) });
            asking.move_to(Local { ice, ..Local::muxed(HERE, port) });
            let ports = [asking.local.rtp, asked.local.rtp];
            match exchange(asking, asked) {
                Some((ours, theirs)) => {
                    agree(&ours, &theirs);
                    prop_assert_eq!(theirs.destination.rtp.map(|at| at.port()), Some(ports[0]));
                    prop_assert_eq!(ours.destination.rtp.map(|at| at.port()), Some(ports[1]));
                    if let Some((_, before)) = &agreed {
                        prop_assert_eq!(std::mem::discriminant(&before.protection), std::mem::discriminant(&theirs.protection));
                        if let Protection::Dtls { .. } = theirs.protection {
                            prop_assert!([&theirs, &ours].iter().any(|agreed| agreed.protection == before.protection));
                        }
                    }
                    agreed = Some((ours, theirs));
                }
                None => prop_assert!(agreed.is_none(), "who agreed once agrees again"),
            }
        }
    }

    #[test]
    fn no_text_panics_an_end(
        lines in prop::collection::vec(
            "a=(rtpmap|fmtp|ptime|maxptime|rtcp|crypto|candidate|fingerprint|setup|sendonly|inactive|rtcp-mux|mid):?[0-9]{0,3}[ -~]{0,30}|[mc]=[ -~]{0,30}",
            0..30,
        ),
        is_answer: bool,
    ) {
        let text = format!("v=0\no=- 1 1 IN IP4 192.0.2.7\nc=IN IP4 192.0.2.7\nm=audio 4000 RTP/AVP 0 96 97 101\n{}", lines.join("\n"));
        let Ok(session) = Session::parse(text.as_bytes()) else { return Ok(()) };
        let mut side = usual();
        if is_answer {
            side.offer();
            let _ = side.accept(&session);
        } else if let Ok((answer, _)) = side.answer(&session) {
            prop_assert_eq!(answer.media.len(), session.media.len());
            prop_assert_eq!(Session::parse(answer.to_string().as_bytes()), Ok(answer));
            let again = side.offer();
            prop_assert_eq!(again.media.len(), session.media.len());
        }
    }
}
