//! What loss, jitter and rebinding do to a call, on virtual time: nothing panics, nothing is silent that was said,
//! keys arrive exactly, recordings keep their length, and the same seed is the same call to the last bit.

use std::time::Duration;

use media::{
    bridge::Captured,
    codec::voice::{Codec, OpusOptions},
    dsp::{level::rms_dbfs, resample::Resampler},
    graph::nodes::tap::Heard as Taken,
};
use tests::{
    caller::{Room, Setup},
    fixture::{recording, wav_16k},
    listening::{Hearing, Sound, compare},
    netem::{Loss, Weather},
    sounds::{VOICE_HZ, voice},
    transcriber::Transcriber,
    wer::word_error_rate,
};

/// Shares of packets that are lost, in rows of three.
const LOSSES: [f64; 6] = [0.0, 0.01, 0.05, 0.1, 0.2, 0.3];

const OPUS: Codec = Codec::Opus(OpusOptions { bitrate_bps: 32_000, fec: true, dtx: false, complexity: 5 });

const CODECS: [Codec; 3] = [Codec::Pcmu, Codec::G722, OPUS];

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn bursts(share: f64) -> Weather {
    let delay = Duration::from_millis(40);
    Weather { loss: Loss::Bursts { share, length: 3 }, delay, ..Weather::default() }
}

/// Some silence, then a voice of `seconds`, at the rate of `codec`.
fn speech(codec: Codec, seconds: u64, seed: u64) -> Vec<f32> {
    let mut resampler = Resampler::new(VOICE_HZ, codec.sample_hz()).unwrap();
    let mut samples = vec![0.0; codec.sample_hz() as usize / 5];
    resampler.process(&voice(seconds as f64, seed), &mut samples);
    resampler.flush(&mut samples);
    samples
}

/// What `listener` heard of what `speaker` said.
fn heard(room: &mut Room, speaker: usize, listener: usize) -> Hearing {
    let heard = room.caller(listener).heard();
    let speaker = room.caller(speaker);
    let said = Sound { samples: speaker.said(), rate_hz: speaker.rate_hz() };
    let heard = Sound { samples: &heard.samples, rate_hz: heard.rate_hz };
    compare(said, heard).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Somebody who hears itself through the room; the way to the server is as told, the way back perfect.
async fn echo(codec: Codec, there: Weather, seconds: u64, seed: u64) -> Room {
    let mut room = Room::new(if codec == Codec::Pcmu { 8_000 } else { 48_000 });
    let says = speech(codec, seconds, 7);
    room.call(Setup { there, hears_itself: true, seed, ..Setup::new(codec, says) }).await;
    room
}

#[tokio::test]
async fn a_perfect_network_carries_every_codec_without_gap_or_click_and_adds_little() {
    for codec in CODECS {
        let mut room = echo(codec, Weather::default(), 10, 1).await;
        room.pass(secs(11));
        let hearing = heard(&mut room, 0, 0);
        println!("{}: {hearing:?}", codec.name());
        assert_eq!(room.caller(0).heard().missing, 0);
        assert!(hearing.gaps.is_empty() && hearing.clicks_s.is_empty(), "{}", codec.name());
        assert!(hearing.level_db.abs() < 1.0 && hearing.likeness > 0.75, "{}", codec.name());
        assert!(hearing.delay_ms <= 85.0 && hearing.delay_spread_ms <= 20.0, "{}", codec.name());
    }
}

#[tokio::test]
async fn losses_in_rows_of_three_never_break_a_call_and_are_concealed_up_to_a_tenth() {
    for codec in CODECS {
        for share in LOSSES {
            let mut room = echo(codec, bursts(share), 20, 11).await;
            room.pass(secs(21));
            let hearing = heard(&mut room, 0, 0);
            let health = room.health(0).last().expect("seconds have passed").1;
            println!(
                "{} {:2.0} %: likeness {:.2}, {} gaps of {:.0} ms, {} clicks, {} packets lost, MOS {:.1}",
                codec.name(),
                share * 100.0,
                hearing.likeness,
                hearing.gaps.len(),
                hearing.gaps_ms(),
                hearing.clicks_s.len(),
                health.lost,
                health.mos,
            );
            let lost = i64::from(room.caller(0).lost());
            assert!((health.lost - lost).abs() <= 5, "{} lost and {lost} told", health.lost);
            assert!(share == 0.0 || lost > 3, "the network lost only {lost}");
            if share <= 0.1 {
                // The codec's own concealment of Opus fades within a row of three.
                let longest = if codec == OPUS { 40.0 } else { 0.0 };
                let breaks: Vec<_> = hearing.breaks().filter(|gap| gap.length_ms > longest).collect();
                assert!(breaks.is_empty(), "{} at {share}: {breaks:?}", codec.name());
            }
        }
    }
}

#[tokio::test]
async fn keys_are_heard_exactly_at_a_tenth_lost_in_rows_of_three_both_ways() {
    const KEYS: &str = "0123456789*#";
    let weather = Weather { loss: Loss::Bursts { share: 0.1, length: 3 }, ..Weather::default() };
    for seed in 0..20 {
        for codec in CODECS {
            let mut room = Room::new(16_000);
            let says = speech(codec, 1, seed);
            room.call(Setup { there: weather, back: weather, seed, ..Setup::new(codec, says) }).await;
            room.pass(secs(1));
            room.caller(0).press(KEYS);
            for sign in KEYS.chars() {
                room.caller(0).is_sent_key(sign);
                room.pass(Duration::from_millis(300));
            }
            room.pass(secs(1));
            assert_eq!(room.keys_heard(0), KEYS, "{} with seed {seed}", codec.name());
            assert_eq!(room.caller(0).keys_heard(), KEYS, "{} with seed {seed}", codec.name());
        }
    }
}

#[tokio::test]
async fn a_recording_is_as_long_as_the_call_whatever_is_lost() {
    for share in LOSSES {
        let mut room = echo(Codec::G722, bursts(share), 10, 3).await;
        let leg = room.caller(0).leg().id();
        let mut tapes = [
            room.bridge().capture(Captured::Leg(leg)).await.unwrap(),
            room.bridge().capture(Captured::Everybody).await.unwrap(),
        ];
        let mut recorded = [Vec::new(), Vec::new()];
        for _ in 0..11 {
            room.pass(secs(1));
            for (tape, recorded) in tapes.iter_mut().zip(&mut recorded) {
                while let Some(taken) = tape.hear() {
                    match taken {
                        Taken::Frame(frame) => recorded.extend_from_slice(&frame.samples),
                        Taken::Lost(span) => panic!("{span:?} was lost at {share}"),
                    }
                }
            }
        }
        let caller = room.caller(0);
        let said = Sound { samples: caller.said(), rate_hz: caller.rate_hz() };
        for recorded in &recorded {
            let seconds = recorded.len() as f64 / 48_000.0;
            assert!((seconds - 11.0).abs() <= 0.11, "{seconds} s of 11 s at {share}");
            let hearing = compare(said, Sound { samples: recorded, rate_hz: 48_000 }).unwrap();
            assert!(share > 0.1 || hearing.breaks().next().is_none(), "{share}: {hearing:?}");
        }
    }
}

#[tokio::test]
async fn a_step_of_60_ms_jitter_is_followed_within_two_seconds_and_given_back() {
    for (seed, codec) in (0..2).flat_map(|seed| CODECS.map(|codec| (seed, codec))) {
        let calm = Weather { delay: Duration::from_millis(40), ..Weather::default() };
        let mut room = echo(codec, calm, 40, seed).await;
        room.pass(secs(10));
        room.caller(0).turn(Weather { jitter: Duration::from_millis(60), ..calm });
        room.pass(secs(10));
        room.caller(0).turn(calm);
        room.pass(secs(21));
        let hearing = heard(&mut room, 0, 0);
        let health = room.health(0);
        let between = |from: u64, to: u64| {
            let window = move |at: Duration| at > secs(from) && at <= secs(to);
            health.iter().filter(move |(at, _)| window(at.as_duration())).map(|(_, health)| *health)
        };
        let target = |from, to| between(from, to).map(|health| health.target_ms).fold(f32::MAX, f32::min);
        println!(
            "{} seed {seed}: target {:.0}, {:.0}, {:.0} ms; {:?}",
            codec.name(),
            target(5, 10),
            target(12, 20),
            target(38, 41),
            hearing.gaps,
        );
        assert!(target(5, 10) <= 25.0 && target(12, 20) >= 45.0 && target(38, 41) <= 25.0);
        assert!(between(13, 20).all(|health| health.concealed < 0.02), "{:?}", between(13, 20).collect::<Vec<_>>());
        assert!(hearing.gaps.is_empty(), "{} seed {seed}: {:?}", codec.name(), hearing.gaps);
    }
}

#[tokio::test]
async fn reordering_doubling_and_a_narrow_line_are_hardly_heard() {
    // PCMU with its header is 8600 bytes a second.
    let weather = Weather {
        delay: Duration::from_millis(30),
        reorder: 0.03,
        duplicate: 0.05,
        rate_bytes_per_s: 10_000,
        ..Weather::default()
    };
    let mut room = echo(Codec::Pcmu, weather, 20, 5).await;
    room.pass(secs(21));
    let hearing = heard(&mut room, 0, 0);
    // Three of a hundred packets come 45 ms late; one of them may cut the end of a word.
    assert!(hearing.gaps_ms() <= 20.0 && hearing.likeness > 0.95, "{hearing:?}");
}

#[tokio::test]
async fn clocks_that_differ_are_heard_without_a_gap() {
    for drift_ppm in [-200, 200] {
        let mut room = Room::new(8_000);
        let says = speech(Codec::Pcmu, 60, 9);
        room.call(Setup { drift_ppm, hears_itself: true, ..Setup::new(Codec::Pcmu, says) }).await;
        room.pass(secs(61));
        let hearing = heard(&mut room, 0, 0);
        println!("{drift_ppm} ppm: {hearing:?}");
        assert!(hearing.gaps.is_empty() && hearing.likeness > 0.95, "{hearing:?}");
        assert!(hearing.delay_spread_ms < 40.0, "{hearing:?}");
    }
}

#[tokio::test]
async fn after_a_rebinding_nobody_hears_the_stranger_until_signalling_tells_and_then_all_is_well() {
    let mut room = echo(Codec::Pcmu, bursts(0.0), 10, 2).await;
    room.pass(secs(5));
    room.caller(0).rebind();
    room.pass(Duration::from_millis(400));
    room.caller(0).signal();
    room.pass(secs(6));
    let hearing = heard(&mut room, 0, 0);
    println!("{hearing:?}");
    let health = room.health(0).last().expect("seconds have passed").1;
    // What was under way came; of the 20 packets of 400 ms the rest did not.
    assert!((16..=22).contains(&health.lost) && health.refused == 0, "{health:?}");
    let outage = 4.7..5.8;
    assert!(!hearing.gaps.is_empty() && hearing.gaps.iter().all(|gap| outage.contains(&gap.at_s)), "{hearing:?}");
    assert!((200.0..=700.0).contains(&hearing.gaps_ms()), "{hearing:?}");
}

#[tokio::test]
async fn the_same_seed_is_the_same_call_to_the_last_bit() {
    let run = |seed: u64| async move {
        let weather = Weather { jitter: Duration::from_millis(50), reorder: 0.02, duplicate: 0.02, ..bursts(0.1) };
        let mut room = Room::new(48_000);
        for (index, codec) in CODECS.into_iter().enumerate() {
            let says = speech(codec, 5, index as u64);
            room.call(Setup { there: weather, back: weather, seed: seed + index as u64, ..Setup::new(codec, says) })
                .await;
        }
        room.pass(secs(3));
        room.caller(1).press("42#");
        room.pass(secs(3));
        (room.fingerprint(), room.log().to_vec())
    };
    let (once, again, other) = (run(1).await, run(1).await, run(2).await);
    assert_eq!(once.1, again.1);
    assert_eq!(once.0, again.0);
    assert_ne!(once.0, other.0);
}

#[tokio::test]
async fn in_a_room_of_three_codecs_everybody_hears_the_others_and_never_itself() {
    let mut room = Room::new(48_000);
    for (index, codec) in CODECS.into_iter().enumerate() {
        // One after the other, so that each can be compared alone.
        let mut says = vec![0.0; codec.sample_hz() as usize * 5 * index];
        says.extend(speech(codec, 4, 20 + index as u64));
        room.call(Setup { there: bursts(0.05), seed: index as u64, ..Setup::new(codec, says) }).await;
    }
    room.pass(secs(16));
    for (speaker, spoken) in CODECS.into_iter().enumerate() {
        for (listener, listened) in CODECS.into_iter().enumerate() {
            let codecs = (spoken.name(), listened.name());
            let heard = room.caller(listener).heard();
            let second = heard.rate_hz as usize;
            let window = &heard.samples[second * 5 * speaker..second * (5 * speaker + 5)];
            if speaker == listener {
                let level = rms_dbfs(&window[second..second * 4]);
                assert!(level < -60.0, "{codecs:?} hears itself with {level} dBFS");
                continue;
            }
            let caller = room.caller(speaker);
            let said = &caller.said()[caller.rate_hz() as usize * 5 * speaker..];
            let said = Sound { samples: said, rate_hz: caller.rate_hz() };
            let hearing = compare(said, Sound { samples: window, rate_hz: heard.rate_hz }).unwrap();
            println!("{codecs:?}: {:.0} ms, likeness {:.2}, {:?}", hearing.delay_ms, hearing.likeness, hearing.gaps);
            assert!(hearing.breaks().next().is_none() && hearing.level_db.abs() < 1.5, "{codecs:?}: {hearing:?}");
            assert!(hearing.likeness > 0.7 && hearing.delay_ms < 150.0, "{codecs:?}: {hearing:?}");
        }
    }
}

#[tokio::test]
async fn what_was_said_can_still_be_read_when_a_tenth_is_lost() {
    const SAID: &str = "And so my fellow Americans ask not what your country can do for you ask what you can do for \
        your country";
    let (mut transcriber, path) = match (Transcriber::load(), recording("audio/speech/jfk.wav")) {
        (Ok(transcriber), Ok(path)) => (transcriber, path),
        (Err(why), _) | (_, Err(why)) => return println!("{why}"),
    };
    let audio = wav_16k(&path);
    for codec in CODECS {
        for share in LOSSES {
            let mut says = Vec::new();
            let mut resampler = Resampler::new(16_000, codec.sample_hz()).unwrap();
            resampler.process(&audio, &mut says);
            resampler.flush(&mut says);
            let mut room = Room::new(if codec == Codec::Pcmu { 8_000 } else { 48_000 });
            room.call(Setup { there: bursts(share), hears_itself: true, seed: 3, ..Setup::new(codec, says) }).await;
            room.pass(secs(12));
            let heard = room.caller(0).heard();
            let text = transcriber.text(Sound { samples: &heard.samples, rate_hz: heard.rate_hz });
            let rate = word_error_rate(SAID, &text);
            println!("{} {:2.0} %: WER {:.0} %: {text}", codec.name(), share * 100.0, rate * 100.0);
            assert!(share > 0.1 || rate <= 0.2, "{} at {share}: {text}", codec.name());
        }
    }
}
