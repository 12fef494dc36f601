//! SRTP and SRTCP against packets that another library sealed, and against harm.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stdout, reason = "a skipped check says so")]

use std::path::Path;

use media::rtp::srtp::{MasterKey, Opener, Profile, Rejected, Rollover, Sealer, Unsealable};
use proptest::prelude::*;
use serde_json::Value;

const PROFILES: [(&str, Profile); 4] = [
    ("AES_CM_128_HMAC_SHA1_80", Profile::AesCm128HmacSha1_80),
    ("AES_CM_128_HMAC_SHA1_32", Profile::AesCm128HmacSha1_32),
    ("AEAD_AES_128_GCM", Profile::AeadAes128Gcm),
    ("AEAD_AES_256_GCM", Profile::AeadAes256Gcm),
];

fn vectors() -> Option<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/srtp_vectors.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: no reference vectors beside the checkout");
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// What `seal` makes of `plain`.
fn sealed(plain: &[u8], seal: impl FnOnce(&mut [u8], usize) -> Result<usize, Unsealable>) -> Vec<u8> {
    sealed_or(plain, seal).unwrap()
}

fn sealed_or(
    plain: &[u8],
    seal: impl FnOnce(&mut [u8], usize) -> Result<usize, Unsealable>,
) -> Result<Vec<u8>, Unsealable> {
    let mut bytes = plain.to_vec();
    bytes.resize(plain.len() + Profile::LONGEST_TRAILER_BYTES, 0xee);
    let length = seal(&mut bytes, plain.len())?;
    bytes.truncate(length);
    Ok(bytes)
}

fn opened(sealed: &[u8], open: impl FnOnce(&mut [u8]) -> Result<usize, Rejected>) -> Result<Vec<u8>, Rejected> {
    let mut bytes = sealed.to_vec();
    let length = open(&mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

#[test]
fn packets_of_another_library_are_made_and_opened_across_the_wrap_and_out_of_order() {
    let Some(vectors) = vectors() else { return };
    for (name, profile) in PROFILES {
        let sequence = &vectors["sequences"][name];
        let master = hex(&sequence["master"]);
        let (mut sealer, mut opener) = (Sealer::new(profile, &master).unwrap(), Opener::new(profile, &master).unwrap());
        let packets = sequence["packets"].as_array().unwrap();
        for packet in packets {
            let made = sealed(&hex(&packet["rtp"]), |bytes, length| sealer.seal_rtp(bytes, length));
            assert_eq!(made, hex(&packet["srtp"]), "{name}");
        }
        for number in sequence["delivery_order"].as_array().unwrap() {
            let packet = &packets[number.as_u64().unwrap() as usize];
            let plain = opened(&hex(&packet["srtp"]), |bytes| opener.open_rtp(bytes));
            assert_eq!(plain, Ok(hex(&packet["rtp"])), "{name}");
        }
        for packet in packets {
            assert_eq!(
                opened(&hex(&packet["srtp"]), |bytes| opener.open_rtp(bytes)),
                Err(Rejected::Replayed),
                "{name}"
            );
        }
        for report in sequence["srtcp"].as_array().unwrap() {
            let made = sealed(&hex(&report["rtcp"]), |bytes, length| sealer.seal_rtcp(bytes, length));
            assert_eq!(made, hex(&report["srtcp"]), "{name}");
            assert_eq!(opened(&made, |bytes| opener.open_rtcp(bytes)), Ok(hex(&report["rtcp"])), "{name}");
            assert_eq!(opened(&made, |bytes| opener.open_rtcp(bytes)), Err(Rejected::Replayed), "{name}");
        }
    }
}

#[test]
fn reference_packets_of_libsrtp_open() {
    let Some(vectors) = vectors() else { return };
    for (name, profile) in [PROFILES[0], PROFILES[2]] {
        let packets = &vectors["libsrtp_packets"][name];
        let mut opener = Opener::new(profile, &hex(&packets["master"])).unwrap();
        let plain = opened(&hex(&packets["srtp_ciphertext"]), |bytes| opener.open_rtp(bytes));
        let wanted = packets["srtp_plaintext_ref"].as_str().or_else(|| packets["rtp_plaintext_ref"].as_str()).unwrap();
        assert_eq!(plain, Ok(hex(&Value::from(wanted))), "{name}");
        let plain = opened(&hex(&packets["srtcp_ciphertext"]), |bytes| opener.open_rtcp(bytes));
        assert_eq!(plain, Ok(hex(&packets["rtcp_plaintext_ref"])), "{name}");
    }
}

fn master(profile: Profile, first: u8) -> Vec<u8> {
    (0..profile.key_bytes() + profile.salt_bytes()).map(|at| first.wrapping_add(at as u8)).collect()
}

fn rtp(ssrc: u8, seq: u16) -> Vec<u8> {
    let mut bytes = vec![0x80, 0, 0, 0, 0, 0, 0, 9, 1, 2, 3, ssrc];
    bytes[2..4].copy_from_slice(&seq.to_be_bytes());
    bytes.extend_from_slice(&[0x55; 160]);
    bytes
}

#[test]
fn a_flipped_bit_a_cut_byte_and_another_key_are_refused_and_move_nothing() {
    for (name, profile) in PROFILES {
        let mut sealer = Sealer::new(profile, &master(profile, 1)).unwrap();
        let mut opener = Opener::new(profile, &master(profile, 1)).unwrap();
        let mut stranger = Opener::new(profile, &master(profile, 2)).unwrap();
        let packet = sealed(&rtp(1, 7), |bytes, length| sealer.seal_rtp(bytes, length));
        let report = sealed(&[0x80, 201, 0, 1, 9, 9, 9, 9], |bytes, length| sealer.seal_rtcp(bytes, length));
        for bit in 0..packet.len() * 8 {
            let mut harmed = packet.clone();
            harmed[bit / 8] ^= 1 << (bit % 8);
            assert!(opened(&harmed, |bytes| opener.open_rtp(bytes)).is_err(), "{name}, bit {bit}");
        }
        for bit in 0..report.len() * 8 {
            let mut harmed = report.clone();
            harmed[bit / 8] ^= 1 << (bit % 8);
            assert!(opened(&harmed, |bytes| opener.open_rtcp(bytes)).is_err(), "{name}, bit {bit}");
        }
        for length in 0..packet.len() {
            assert!(opened(&packet[..length], |bytes| opener.open_rtp(bytes)).is_err(), "{name}, {length} bytes");
        }
        for length in 0..report.len() {
            assert!(opened(&report[..length], |bytes| opener.open_rtcp(bytes)).is_err(), "{name}, {length} bytes");
        }
        assert_eq!(opened(&packet, |bytes| stranger.open_rtp(bytes)), Err(Rejected::Forged), "{name}");
        assert_eq!(opened(&report, |bytes| stranger.open_rtcp(bytes)), Err(Rejected::Forged), "{name}");
        assert_eq!(opened(&packet, |bytes| opener.open_rtp(bytes)), Ok(rtp(1, 7)), "{name}");
    }
}

#[test]
fn a_number_is_never_sealed_twice_and_a_buffer_without_room_is_refused() {
    let profile = Profile::AesCm128HmacSha1_80;
    let mut sealer = Sealer::new(profile, &master(profile, 1)).unwrap();
    let mut bytes = [0; 200];
    bytes[..172].copy_from_slice(&rtp(1, 7));
    assert_eq!(sealer.seal_rtp(&mut bytes[..181], 172), Err(Unsealable::NoRoom));
    assert_eq!(sealer.seal_rtp(&mut bytes, 172), Ok(182));
    bytes[..172].copy_from_slice(&rtp(1, 7));
    assert_eq!(sealer.seal_rtp(&mut bytes, 172), Err(Unsealable::Number));
    assert_eq!(sealer.seal_rtp(&mut bytes, 11), Err(Unsealable::Header));
    assert_eq!(sealer.seal_rtp(&mut bytes, 900), Err(Unsealable::Header));
    assert_eq!(sealer.seal_rtcp(&mut bytes, 7), Err(Unsealable::Header));
    assert!(Sealer::new(profile, &[0; 29]).is_err());
    assert!(Opener::new(Profile::AeadAes256Gcm, &[0; 28]).is_err());
}

#[test]
fn whoever_goes_on_with_a_key_counts_wraps_on_and_takes_nothing_twice() {
    for (name, profile) in PROFILES {
        let key = MasterKey::new(profile, master(profile, 1)).unwrap();
        let (ours, theirs) = (Rollover::default(), Rollover::default());
        // As a call moves: before a wrap of its numbers, right behind it, and long after.
        let mut seq = 65_534_u16;
        let mut last = Vec::new();
        for packets in [1, 2, 3, 65_536] {
            let (mut sealer, mut opener) = (key.sealer(&ours), key.opener(&theirs));
            for _ in 0..packets {
                let plain = rtp(1, seq);
                let packet = sealed(&plain, |bytes, length| sealer.seal_rtp(bytes, length));
                assert_eq!(opened(&packet, |bytes| opener.open_rtp(bytes)), Ok(plain), "{name}, {seq}");
                seq = seq.wrapping_add(1);
                last = packet;
            }
        }
        let mut next = key.opener(&theirs);
        assert_eq!(opened(&last, |bytes| next.open_rtp(bytes)), Err(Rejected::Replayed), "{name}");
        let packet = sealed(&rtp(1, seq), |bytes, length| key.sealer(&ours).seal_rtp(bytes, length));
        // Who did not count takes it for forged: the wraps are part of what is signed.
        assert_eq!(opened(&packet, |bytes| key.opener(&Rollover::default()).open_rtp(bytes)), Err(Rejected::Forged));
        let again = sealed_or(&rtp(1, seq), |bytes, length| key.sealer(&ours).seal_rtp(bytes, length));
        assert_eq!(again, Err(Unsealable::Number), "{name}: no key stream is used twice");
    }
    assert!(MasterKey::new(Profile::AeadAes256Gcm, vec![0; 28]).is_err());
    let shown = format!("{:?}", MasterKey::new(Profile::AeadAes128Gcm, vec![119; 28]).unwrap());
    assert!(!shown.contains("119"), "{shown}");
}

#[test]
fn two_that_seal_with_one_key_at_once_never_number_a_report_alike() {
    const REPORTS: u32 = 5_000;
    let profile = Profile::AesCm128HmacSha1_80;
    let key = MasterKey::new(profile, master(profile, 1)).unwrap();
    let rollover = Rollover::default();
    let mut numbers: Vec<u32> = std::thread::scope(|scope| {
        let both = [(); 2].map(|()| {
            let mut sealer = key.sealer(&rollover);
            scope.spawn(move || {
                let number = |_: u32| {
                    let made = sealed(&[0x80, 201, 0, 1, 9, 9, 9, 9], |bytes, length| sealer.seal_rtcp(bytes, length));
                    // Before the tag of ten bytes.
                    let number = made[made.len() - 14..made.len() - 10].try_into().unwrap();
                    u32::from_be_bytes(number) & !(1 << 31)
                };
                (0..REPORTS).map(number).collect::<Vec<u32>>()
            })
        });
        both.into_iter().flat_map(|sealing| sealing.join().unwrap()).collect()
    });
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=2 * REPORTS), "each number once");
}

#[test]
fn sources_are_followed_each_by_itself_and_have_a_most() {
    let profile = Profile::AeadAes128Gcm;
    let mut opener = Opener::new(profile, &master(profile, 1)).unwrap();
    for ssrc in 0..17 {
        // One sealer a source, as one peer's bundle has them.
        let mut sealer = Sealer::new(profile, &master(profile, 1)).unwrap();
        let packet = sealed(&rtp(ssrc, 65_535), |bytes, length| sealer.seal_rtp(bytes, length));
        let result = opened(&packet, |bytes| opener.open_rtp(bytes));
        assert_eq!(result, if ssrc < 16 { Ok(rtp(ssrc, 65_535)) } else { Err(Rejected::TooManySources) });
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), version: bool, profile in 0_usize..4) {
        let profile = PROFILES[profile].1;
        let mut opener = Opener::new(profile, &master(profile, 1)).unwrap();
        let mut bytes = bytes;
        if let (true, Some(first)) = (version, bytes.first_mut()) {
            *first = *first & 0x3f | 0x80;
        }
        prop_assert!(opener.open_rtp(&mut bytes.clone()).is_err());
        prop_assert!(opener.open_rtcp(&mut bytes).is_err());
    }
}
