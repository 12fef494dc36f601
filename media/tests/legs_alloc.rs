//! A tick of a leg allocates nothing once it is warm, whatever the codec: every allocation of the thread is counted
//! while the graphs tick and while datagrams are pushed to them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![allow(unsafe_code)]

#[path = "../../tests/src/netem.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is public in the kit, and this test's network is its own")]
mod netem;

mod call;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::Duration,
};

use call::{End, some_instant, spec};
use media::{
    codec::voice::{Codec, OpusOptions},
    ring::packets::LONGEST_BYTES,
    rtp::{
        dtmf::Key,
        leg::{LegSpec, Telephone},
        srtp::{Opener, Profile, Sealer},
    },
    time::MediaTime,
};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // A thread that is ending has no counter any more, and is none that is tested.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system's allocator with the arguments it came with; the counter is a constant
// thread-local without a destructor, so counting never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: `at` came from `alloc` above, so from the system's allocator, with this layout.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `at` came from the system's allocator with this layout; the caller vouches for `size`.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn sealed(codec: Codec, ssrc: u32) -> LegSpec {
    let profile = Profile::AeadAes128Gcm;
    let master = |who: u32| vec![who as u8; profile.key_bytes() + profile.salt_bytes()];
    let protection = (Sealer::new(profile, &master(ssrc)).unwrap(), Opener::new(profile, &master(3 - ssrc)).unwrap());
    let packet_ms = if codec.sample_hz() == 48_000 && codec.name() == "L16" { 10 } else { 20 };
    LegSpec { protection: Some(protection), packet_ms, ..spec(codec, ssrc) }
}

#[tokio::test]
async fn a_warm_leg_allocates_and_frees_nothing_in_any_codec() {
    let opus = |dtx| Codec::Opus(OpusOptions { dtx, ..OpusOptions::default() });
    let codecs = [Codec::Pcmu, Codec::Pcma, Codec::G722, opus(false), opus(true), Codec::L16 { rate_hz: 48_000 }];
    for codec in codecs {
        let rate = codec.sample_hz() as usize;
        let sound: Vec<f32> = (0..rate * 40)
            .map(|n| if n / rate % 5 == 4 { 0.0 } else { 0.4 * (n as f32 * 0.03 * (1.0 + (n / rate) as f32)).sin() })
            .collect();
        let manners =
            Telephone { fills_silence: true, comfort_noise: Some(13), keys_in_band: true, ..Telephone::default() };
        let mut ends = [
            End::telephone(sealed(codec, 1), manners, sound.clone()),
            End::telephone(sealed(codec, 2), manners, sound),
        ];
        let began = some_instant();
        let mut datagram = [0; LONGEST_BYTES];
        let (mut before, mut arrived) = (0, 0_u32);
        for tick in 0..4_000_u32 {
            if tick == 500 {
                before = ALLOCATIONS.get();
            }
            let due = began + Duration::from_millis(10) * tick;
            for index in 0..2 {
                let [one, two] = &mut ends;
                let (from, to) = if index == 0 { (one, two) } else { (two, one) };
                if tick % 100 == 7 {
                    from.keys.as_mut().unwrap().press(Key::from_char('7').unwrap(), 100).unwrap();
                }
                let schedule = from.schedule.as_mut().unwrap();
                schedule.tick(MediaTime::from_millis(u64::from(tick) * 10), due);
                assert!(schedule.drain_events().count() <= 8);
                while let Some(length) = from.sent(&mut datagram) {
                    arrived += 1;
                    // Every thirteenth is lost, others come late by up to 30 ms.
                    if arrived % 13 != 5 {
                        let late = Duration::from_millis(u64::from(arrived * 7 % 30));
                        to.packets.push(due + late, &datagram[..length]).unwrap();
                    }
                }
            }
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "{codec:?}");
        assert!(arrived > 3_000, "the call was one: {arrived} datagrams");
    }
}
