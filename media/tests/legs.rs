//! Legs of RTP in virtual time, from one graph over a network into another: every codec, loss, keys, reports,
//! protection, and what strangers send.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

// The kit stands on this package, so its network is included, not depended on.
#[path = "../../tests/src/netem.rs"]
#[expect(dead_code, reason = "no test here rebinds")]
#[expect(unreachable_pub, reason = "it is public in the kit")]
mod netem;

mod call;

use std::time::Duration;

use call::{Call, End, some_instant, spec};
use media::{
    codec::voice::{Codec, OpusOptions},
    dsp::level::rms_dbfs,
    graph::node::Event,
    ring::packets::LONGEST_BYTES,
    rtp::{
        delay::Bounds,
        dtmf,
        leg::{BadLeg, LegSpec, Wire, leg},
        packet::{Contributors, Packet, is_rtcp},
        seq::{RtpTime, SeqNo},
        srtp::{Opener, Profile, Sealer},
    },
};
use netem::{Loss, Weather};

fn codecs() -> Vec<Codec> {
    let plain = [8_000, 16_000, 24_000, 48_000].map(|rate_hz| Codec::L16 { rate_hz });
    [&[Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus(OpusOptions::default())], &plain[..]].concat()
}

/// Half a second of silence, then a tone.
fn tone(rate_hz: u32, seconds: f32) -> Vec<f32> {
    let (silent, all) = (rate_hz as usize / 2, (rate_hz as f32 * (seconds + 0.5)) as usize);
    let sample = |n: usize| 0.5 * (n as f32 * 440.0 * std::f32::consts::TAU / rate_hz as f32).sin();
    (0..all).map(|n| if n < silent { 0.0 } else { sample(n - silent) }).collect()
}

/// Something like speech: syllables of changing pitch and loudness, with pauses.
fn babble(rate_hz: u32, seconds: usize) -> Vec<f32> {
    let mut phase = 0.0_f32;
    (0..rate_hz as usize * seconds)
        .map(|n| {
            let at = n as f32 / rate_hz as f32;
            let syllable = (at * 4.0) as usize;
            let within = at * 4.0 - syllable as f32;
            let hz = 110.0 + 17.0 * (syllable * 7 % 11) as f32 + 30.0 * within;
            phase += hz * std::f32::consts::TAU / rate_hz as f32;
            let loud = if syllable % 6 == 5 { 0.0 } else { (within * std::f32::consts::PI).sin().powf(0.7) };
            let voice: f32 = (1..12).map(|h| (phase * h as f32).sin() / (1 + (h + syllable) % 4 * h / 3) as f32).sum();
            0.08 * loud * voice
        })
        .collect()
}

fn at_ends(spec: impl Fn(u32) -> LegSpec, sound: Vec<f32>, weather: Weather) -> Call {
    Call::new([End::new(spec(1), sound), End::new(spec(2), Vec::new())], weather)
}

#[tokio::test]
async fn ten_seconds_of_a_tone_pass_through_every_codec_at_their_level_without_a_gap() {
    for codec in codecs() {
        let rate = codec.sample_hz();
        let packet_ms = if rate == 48_000 && codec.name() == "L16" { 10 } else { 20 };
        let spec = |ssrc| LegSpec { packet_ms, ..spec(codec, ssrc) };
        let mut call = at_ends(spec, tone(rate, 10.0), Weather::default());
        call.run(1_045);
        let heard = call.ends[1].heard();
        let began = heard.iter().position(|sample| sample.abs() > 0.2).unwrap();
        let delay_ms = began as f32 * 1e3 / rate as f32 - 500.0;
        let sound = &heard[began + rate as usize / 5..];
        let level = rms_dbfs(sound) + 9.03;
        let windows = sound.chunks_exact(rate as usize / 50).map(rms_dbfs);
        let (quietest, loudest) = windows.fold((f32::MAX, f32::MIN), |(low, high), now| (low.min(now), high.max(now)));
        println!(
            "{:>5} {rate:>5} Hz: {level:+.2} dB, {delay_ms:.1} ms, windows {quietest:.1} to {loudest:.1} dBFS",
            codec.name()
        );
        let allowed = if codec == Codec::G722 { 1.5 } else { 0.5 };
        assert!(level.abs() < allowed, "{codec:?}: {level} dB off");
        assert!(loudest - quietest < 1.0, "{codec:?}: a gap, {quietest} dBFS against {loudest}");
        assert!((5.0..45.0).contains(&delay_ms), "{codec:?}: {delay_ms} ms");
        let health = call.ends[1].health();
        assert_eq!(health.len(), 10);
        assert!(health[1..].iter().all(|now| now.concealed == 0.0 && now.loss == 0.0 && now.late == 0), "{health:?}");
        assert!(health.last().unwrap().mos > 4.2);
    }
}

#[tokio::test]
async fn an_idle_leg_is_silent_before_anything_came() {
    let mut end = Call::new(
        [End::new(spec(Codec::Pcmu, 1), Vec::new()), End::new(spec(Codec::Pcmu, 2), Vec::new())],
        Weather::default(),
    );
    end.ends[0].schedule = None;
    end.run(300);
    assert!(end.ends[1].heard().iter().all(|sample| *sample == 0.0));
}

/// The share of what was said that is not recognised in what was heard: of the blocks of 20 ms that sound, those with
/// more error than a third of their power, each at its best of the delays in `lags`.
fn broken(said: &[f32], heard: &[f32], lags: std::ops::Range<usize>) -> f32 {
    let (block, mut broken, mut sounding) = (960, 0.0, 0.0);
    // Eight seconds in, the far end has reported what it misses.
    for start in (48_000 * 8..said.len() - block - lags.end).step_by(block) {
        let truth = &said[start..start + block];
        let power: f32 = truth.iter().step_by(4).map(|sample| sample * sample).sum();
        if power < 0.1 {
            continue;
        }
        let error = |lag: usize| -> f32 {
            let heard = &heard[start + lag..start + lag + block];
            truth.iter().zip(heard).step_by(4).map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let best = lags.clone().step_by(3).map(error).fold(f32::MAX, f32::min);
        sounding += 1.0;
        broken += f32::from(u8::from(best > power / 3.0));
    }
    broken / sounding
}

#[tokio::test]
async fn with_copies_opus_bears_ten_percent_of_loss_better_than_without() {
    let sound = babble(48_000, 25);
    let weather = Weather { loss: Loss::Single(0.1), delay: Duration::from_millis(20), ..Weather::default() };
    let heard = |fec, weather| {
        let codec = Codec::Opus(OpusOptions { fec, ..OpusOptions::default() });
        let mut call = at_ends(|ssrc| spec(codec, ssrc), sound.clone(), weather);
        call.run(2_500);
        (call.ends[1].heard(), call.ends[1].health(), call.ends[0].health())
    };
    let (clean, ..) = heard(true, Weather { loss: Loss::None, ..weather });
    let (with, health, sender) = heard(true, weather);
    let (without, ..) = heard(false, weather);
    let [clean, with, without] = [clean, with, without].map(|heard| broken(&sound, &heard, 2_000..4_000));
    println!("10 % loss: {with:.3} of the voice broken with copies, {without:.3} without, {clean:.3} without loss");
    assert!(
        with < 0.7 * without && clean < 0.02,
        "{with} broken with copies, {without} without, {clean} on a clean line"
    );
    let loss = health[5..].iter().map(|now| now.loss).sum::<f32>() / (health.len() - 5) as f32;
    assert!((0.05..0.15).contains(&loss), "{loss}");
    let said = sender.last().unwrap();
    assert!((0.02..0.25).contains(&said.far_loss.unwrap()), "{said:?}");
    assert!((said.round_trip_ms.unwrap() - 40.0).abs() < 15.0, "{said:?}");
}

fn keys_of(events: &[Event]) -> String {
    let pressed = |event: &Event| match event {
        Event::Key(dtmf::Event::Pressed(key)) => Some(key.as_char()),
        _ => None,
    };
    events.iter().filter_map(pressed).collect()
}

#[tokio::test]
async fn keys_arrive_exactly_at_ten_percent_of_bursty_loss_beside_the_sound() {
    for codec in [Codec::Pcma, Codec::G722, Codec::Opus(OpusOptions::default())] {
        let weather = Weather { loss: Loss::Bursts { share: 0.1, length: 3 }, ..Weather::default() };
        let mut call = at_ends(|ssrc| spec(codec, ssrc), tone(codec.sample_hz(), 30.0), weather);
        let wanted = "0123456789*#ABCD";
        for sign in wanted.chars() {
            call.ends[0].keys.as_mut().unwrap().press(dtmf::Key::from_char(sign).unwrap(), 120).unwrap();
        }
        call.run(1_000);
        assert_eq!(keys_of(&call.ends[1].events), wanted, "{codec:?}");
        let released =
            call.ends[1].events.iter().filter(|event| matches!(event, Event::Key(dtmf::Event::Released { .. })));
        assert_eq!(released.count(), wanted.len());
        let level = rms_dbfs(&call.ends[1].heard()[codec.sample_hz() as usize * 8..]);
        assert!(level > -14.0, "the tone goes on behind the keys: {level} dBFS");
    }
}

#[tokio::test]
async fn a_leg_that_is_dropped_says_goodbye() {
    let mut call = at_ends(|ssrc| spec(Codec::Pcmu, ssrc), tone(8_000, 1.0), Weather::default());
    call.run(100);
    assert!(!call.ends[1].events.contains(&Event::Goodbye));
    call.ends[0].schedule = None;
    call.run(2);
    assert!(call.ends[1].events.contains(&Event::Goodbye));
}

#[tokio::test]
async fn a_leg_whose_transport_reports_sends_no_rtcp() {
    let mut call =
        at_ends(|ssrc| LegSpec { rtcp: false, ..spec(Codec::Pcmu, ssrc) }, tone(8_000, 1.0), Weather::default());
    let mut datagram = [0; LONGEST_BYTES];
    let mut sent = 0;
    // Far longer than until the first report of a leg that writes them itself.
    for tick in 0..2_000 {
        let end = &mut call.ends[0];
        let at = media::time::MediaTime::from_millis(tick * 10);
        end.schedule.as_mut().unwrap().tick(at, some_instant());
        while let Some(length) = end.sent(&mut datagram) {
            assert!(!is_rtcp(&datagram[..length]));
            sent += 1;
        }
    }
    assert_eq!(sent, 1_000, "packets of sound in 20 s");
    call.ends[0].schedule = None;
    assert_eq!(call.ends[0].sent(&mut datagram), None);
}

fn protected(ssrc: u32, profile: Profile) -> LegSpec {
    let master = |who: u32| vec![who as u8; profile.key_bytes() + profile.salt_bytes()];
    let sealer = Sealer::new(profile, &master(ssrc)).unwrap();
    let opener = Opener::new(profile, &master(3 - ssrc)).unwrap();
    LegSpec { protection: Some((sealer, opener)), ..spec(Codec::Pcmu, ssrc) }
}

#[tokio::test]
async fn protected_legs_hear_each_other_and_refuse_what_is_plain() {
    for profile in [Profile::AesCm128HmacSha1_80, Profile::AesCm128HmacSha1_32, Profile::AeadAes256Gcm] {
        let mut call = at_ends(|ssrc| protected(ssrc, profile), tone(8_000, 20.0), Weather::default());
        call.run(1_500);
        let health = call.ends[0].health();
        assert!(health.last().unwrap().round_trip_ms.is_some(), "sealed reports are opened too");
        assert!(rms_dbfs(&call.ends[1].heard()[16_000..]) > -9.5);
        let began = some_instant();
        for seq in 0..10 {
            let bytes = datagram(77, 96, 1_000 + seq, &[0; 160]);
            call.ends[1].packets.push(began, &bytes).unwrap();
        }
        let before = call.ends[1].health().last().unwrap().refused;
        call.run(200);
        assert_eq!(call.ends[1].health().last().unwrap().refused, before + 10);
    }
}

fn datagram(ssrc: u32, payload_type: u8, seq: u16, payload: &[u8]) -> Vec<u8> {
    let packet = Packet {
        marker: false,
        payload_type,
        seq: SeqNo(seq),
        time: RtpTime(u32::from(seq) * 160),
        ssrc,
        contributors: Contributors::default(),
        extension: None,
        payload,
        padding_bytes: 0,
    };
    let mut bytes = vec![0; LONGEST_BYTES];
    let length = packet.write(&mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

#[tokio::test]
async fn what_was_not_agreed_on_is_counted_and_not_heard() {
    let mut call = at_ends(|ssrc| spec(Codec::Pcmu, ssrc), Vec::new(), Weather::default());
    call.ends[0].schedule = None;
    let loud = [0x80; 160];
    for seq in 0..200_u16 {
        let at = some_instant();
        let packets = &mut call.ends[1].packets;
        for bytes in [datagram(9, 8, seq, &loud), vec![], vec![0x80; 11], vec![0xff; 40], vec![0x80, 200, 0, 90, 0, 0]]
        {
            packets.push(at, &bytes).unwrap();
        }
        call.run(2);
    }
    assert!(call.ends[1].heard().iter().all(|sample| *sample == 0.0));
    let health = *call.ends[1].health().last().unwrap();
    assert_eq!((health.received, health.refused), (0, 1_000));
}

#[tokio::test]
async fn comfort_noise_that_was_not_agreed_on_is_no_loss() {
    let mut call = at_ends(|ssrc| spec(Codec::Pcmu, ssrc), Vec::new(), Weather::default());
    call.ends[0].schedule = None;
    let began = call.now();
    for seq in 0..500_u16 {
        let kind = if seq % 50 > 40 { 13 } else { 96 };
        call.net[0].send(began + Duration::from_millis(20) * u32::from(seq), &datagram(9, kind, seq, &[0xff; 160]));
    }
    call.run(1_010);
    let health = call.ends[1].health();
    assert_eq!(health.last().unwrap().lost, 0);
    assert_eq!(health.last().unwrap().refused, 90);
}

#[tokio::test]
async fn silence_is_left_out_and_the_first_packet_after_it_is_marked() {
    let codec = Codec::Opus(OpusOptions { dtx: true, ..OpusOptions::default() });
    let mut sound = babble(48_000, 2);
    sound.resize(48_000 * 6, 0.0);
    sound.extend(babble(48_000, 2));
    let mut call = at_ends(|ssrc| spec(codec, ssrc), sound, Weather::default());
    let mut marked = Vec::new();
    let mut sent = 0;
    let mut bytes = [0; LONGEST_BYTES];
    for tick in 0..800_u64 {
        let end = &mut call.ends[0];
        let at = media::time::MediaTime::from_millis(tick * 10);
        end.schedule.as_mut().unwrap().tick(at, some_instant());
        while let Some(length) = end.sent(&mut bytes) {
            if let (false, Ok(packet)) = (is_rtcp(&bytes[..length]), Packet::parse(&bytes[..length])) {
                sent += u32::from((250..600).contains(&tick));
                marked.extend(packet.marker.then_some(tick));
            }
        }
    }
    assert!(sent < 20, "{sent} packets of silence in 3.5 s");
    assert_eq!(marked[0], 1, "the first packet of all");
    assert!(marked.iter().any(|tick| (598..606).contains(tick)), "{marked:?}");
}

#[tokio::test]
async fn what_cannot_be_agreed_on_is_refused_with_its_reason() {
    let refused = |change: fn(LegSpec) -> LegSpec| {
        let (bell, _doorbell) = media::ring::bell::bell().unwrap();
        let wire = Wire::Ring(media::ring::packets::packets(1, 1).0, bell);
        leg(change(spec(Codec::Pcmu, 1)), wire).err()
    };
    assert_eq!(refused(|spec| spec), None);
    assert_eq!(refused(|spec| LegSpec { payload_type: 72, ..spec }), Some(BadLeg::PayloadType(72)));
    assert_eq!(refused(|spec| LegSpec { telephone_event: Some(96), ..spec }), Some(BadLeg::PayloadType(96)));
    assert!(matches!(refused(|spec| LegSpec { packet_ms: 25, ..spec }), Some(BadLeg::PacketTime { .. })));
    let plain = |spec| LegSpec { codec: Codec::L16 { rate_hz: 48_000 }, ..spec };
    assert!(matches!(refused(plain), Some(BadLeg::PacketTime { .. })), "20 ms of it fit no network");
    assert_eq!(refused(|spec| LegSpec { codec: Codec::L16 { rate_hz: 44_100 }, ..spec }), Some(BadLeg::Rate(44_100)));
    let hard = Codec::Opus(OpusOptions { complexity: 99, ..OpusOptions::default() });
    assert!(matches!(leg(LegSpec { codec: hard, ..spec(Codec::Pcmu, 1) }, nowhere()).err(), Some(BadLeg::Opus(_))));
}

fn nowhere() -> Wire {
    Wire::Ring(media::ring::packets::packets(1, 1).0, media::ring::bell::bell().unwrap().0)
}

#[tokio::test]
async fn jitter_of_60_ms_is_followed_in_opus_too() {
    let weather = Weather { jitter: Duration::from_millis(60), ..Weather::default() };
    let wide = Bounds { margin_ms: 10, most_ms: 400 };
    let codec = Codec::Opus(OpusOptions::default());
    let mut call = at_ends(|ssrc| LegSpec { bounds: wide, ..spec(codec, ssrc) }, tone(48_000, 20.0), weather);
    call.run(2_050);
    let health = call.ends[1].health();
    assert!(health[4..].iter().all(|now| now.concealed < 0.05), "{health:?}");
}
