//! The fuzz targets without a fuzzer: on the seeds, on seeds with accidents, and on whatever bytes come.

use std::{collections::BTreeSet, fs, path::Path};

use media::{
    rtp::{packet::Packet, rtcp::Compound},
    webrtc::{fragment::Fragment, offer::Offer},
};
use proptest::prelude::*;
use server::dialect::twilio::{
    message::{Command, Said},
    rest::{params::Params, wish::CreateCall},
};
use sip::sdp::Session;
use sip::{
    message::parse_datagram,
    validate::{Rules, Verdict, judge},
};
use tests::fuzzing::{TARGETS, Target, sip_endpoint_told};

/// The seeds of a target: small, and each reaches deep.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder of files").path())
        .collect();
    files.sort();
    let seeds: Vec<_> = files.iter().map(|file| fs::read(file).expect("a file")).collect();
    assert!(!seeds.is_empty(), "{name} has seeds");
    seeds
}

/// Something that happens to bytes on their way.
#[derive(Clone, Debug)]
enum Accident {
    Changed(usize, u8),
    Cut(usize),
    Lost(usize, usize),
    Doubled(usize, usize),
}

fn accident() -> impl Strategy<Value = Accident> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Accident::Changed(at, byte)),
        any::<usize>().prop_map(Accident::Cut),
        (any::<usize>(), 1_usize..40).prop_map(|(at, length)| Accident::Lost(at, length)),
        (any::<usize>(), 1_usize..40).prop_map(|(at, length)| Accident::Doubled(at, length)),
    ]
}

fn befallen(mut bytes: Vec<u8>, accidents: &[Accident]) -> Vec<u8> {
    for accident in accidents {
        let within = |at: usize| at % bytes.len().max(1);
        match *accident {
            Accident::Changed(at, byte) => {
                let at = within(at);
                bytes.get_mut(at).into_iter().for_each(|changed| *changed = byte);
            }
            Accident::Cut(at) => bytes.truncate(within(at)),
            Accident::Lost(at, length) => {
                let at = within(at);
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Accident::Doubled(at, length) => {
                let at = within(at);
                let again = bytes[at..(at + length).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}

fn target() -> impl Strategy<Value = Target> {
    prop::sample::select(TARGETS.to_vec())
}

#[test]
fn the_seeds_of_every_target_pass() {
    for (name, body) in TARGETS {
        seeds(name).iter().for_each(|seed| body(seed));
        body(&[]);
    }
}

#[test]
fn the_seeds_reach_past_the_first_refusal() {
    let named = |name: &str, file: &str| {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name).join(file)).expect("a seed")
    };
    assert_eq!(Compound::parse(&named("rtcp", "report_name_goodbye")).map(Iterator::count), Ok(3));
    assert!(Offer::read(&named("whip_offer", "browser.sdp")).is_ok_and(|offer| offer.has_channel));
    assert!(Fragment::read(&named("whip_fragment", "trickle.sdpfrag")).is_ok_and(|fragment| fragment.is_last));
    assert_eq!(Session::parse(&named("sdp", "teams.sdp")).map(|session| session.media.len()), Ok(1));
    let text = |name, file| String::from_utf8(named(name, file)).expect("text");
    assert!(text("media_stream", "bot").lines().all(|line| Command::read(line, "MZ1").is_ok()));
    assert!(text("media_stream", "twilio").lines().all(|line| Said::read(line).is_ok()));
    let form = text("twilio_form", "create");
    let params = Params(url::form_urlencoded::parse(form.as_bytes()).into_owned().collect());
    assert!(CreateCall::read(&params).is_ok_and(|wish| wish.record.is_some() && wish.detection.is_some()));
    assert_eq!(Packet::parse(&named("srtp", "packet")).map(|packet| packet.payload.len()), Ok(160));
    let told: BTreeSet<_> = seeds("sip_endpoint").iter().flat_map(|seed| sip_endpoint_told(seed)).collect();
    let deep = ["Acked", "Answered", "Ended", "OfferAnswered", "Offered", "Redirected", "ReferProgress", "Referred"];
    assert!(deep.iter().all(|event| told.contains(*event)), "{told:?}");
    let judged = |file: &str| judge(parse_datagram(&named("sip_message", file).into()), &Rules::default());
    for accepted in ["invite", "register_with_proof", "response", "ack"] {
        assert!(matches!(judged(accepted), Verdict::Accept(_)), "{accepted}");
    }
    assert_eq!(Packet::parse(&named("rtp", "stream_that_wraps")[2..174]).map(|packet| packet.seq.0), Ok(65_534));
}

proptest! {
    // Each case takes microseconds. PROPTEST_CASES=100000 looks for longer.
    #![proptest_config(ProptestConfig::with_cases(8 * ProptestConfig::default().cases))]

    #[test]
    fn no_byte_string_panics((_, body) in target(), bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        body(&bytes);
    }

    #[test]
    fn no_accident_of_a_seed_panics(
        (name, body) in target(),
        which in any::<prop::sample::Index>(),
        accidents in prop::collection::vec(accident(), 1..8),
    ) {
        let seeds = seeds(name);
        body(&befallen(which.get(&seeds).clone(), &accidents));
    }
}
