//! The walk of a packet, in and out, allocates nothing once a stream is warm: every allocation of the thread is
//! counted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::{Duration, UNIX_EPOCH},
};

use media::{
    codec::g711::Law,
    rtp::{
        delay::Bounds,
        dtmf::{Key, Receiver, Sender},
        jitter::Shape,
        packet::Packet,
        playout::{Ask, Playout},
        rtcp::Ntp,
        seq::{Clock, RtpTime, SeqNo},
        session::{Hearing, Identity, Sending, session},
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

const CLOCK: Clock = Clock::TELEPHONE;
const EVENTS: u8 = 101;

fn end(ssrc: u32) -> (Hearing, Sending) {
    let identity = Identity { ssrc, first_seq: SeqNo(65_000), first_time: RtpTime(0), cname: "a@b".to_owned() };
    session(identity, CLOCK)
}

/// Both ends of one call.
struct Call {
    far: Sending,
    near: Hearing,
    keys: Sender,
    heard_keys: Receiver,
    sealer: Sealer,
    opener: Opener,
    playout: Playout,
    keys_heard: u32,
}

impl Call {
    fn new(profile: Profile) -> Self {
        let master = [7; 44];
        let master = &master[..profile.key_bytes() + profile.salt_bytes()];
        let bounds = Bounds { margin_ms: 10, most_ms: 400 };
        Self {
            far: end(1).1,
            near: end(2).0,
            keys: Sender::new(CLOCK),
            heard_keys: Receiver::new(CLOCK),
            sealer: Sealer::new(profile, master).unwrap(),
            opener: Opener::new(profile, master).unwrap(),
            playout: Playout::new(Shape { clock: CLOCK, packet_ms: 20, payload_bytes: 160, bounds }),
            keys_heard: 0,
        }
    }

    /// The 20 ms of this number: one packet, unless it is lost, two ticks, and a report when it is due.
    fn step(&mut self, number: u64) {
        let now = MediaTime::from_millis(number * 20);
        let wall = Ntp::at(UNIX_EPOCH + now.as_duration());
        let mut datagram = [0; 400];
        let time = self.far.time_of(now);
        if number.is_multiple_of(100) {
            self.keys.press(Key::from_char('5').unwrap(), 100).unwrap();
        }
        let event = self.keys.next(time, 160);
        let mut payload = [0; 160];
        for (at, byte) in payload.iter_mut().enumerate() {
            *byte = Law::Mu.encode(0.5 * (at as f32 * 0.1).sin());
        }
        let length = match &event {
            Some(event) => self.far.send(now, event.time, EVENTS, event.marker, &event.payload),
            None => self.far.send(now, time, 0, false, &payload),
        };
        let length = length.write(&mut datagram).unwrap();
        let length = self.sealer.seal_rtp(&mut datagram, length).unwrap();
        // Every thirteenth is lost, others come late by up to 30 ms.
        if number % 13 != 5 {
            let at = now + Duration::from_millis(number * 7 % 30);
            let length = self.opener.open_rtp(&mut datagram[..length]).unwrap();
            let packet = Packet::parse(&datagram[..length]).unwrap();
            if let Some(arrival) = self.near.hear(&packet, at) {
                if packet.payload_type == EVENTS {
                    self.playout.put_other(arrival);
                    self.keys_heard += self.heard_keys.hear(arrival, packet.payload).into_iter().count() as u32;
                } else {
                    self.playout.put(arrival, packet.payload_type, packet.payload);
                }
            }
        }
        for tick in 0..2 {
            let mut out = [0.0; 80];
            self.playout.tick(now + Duration::from_millis(tick * 10), &mut out, &mut |ask, out| match ask {
                Ask::Decode { payload, .. } => {
                    for (sample, byte) in out.iter_mut().zip(payload) {
                        *sample = Law::Mu.decode(*byte);
                    }
                    Some(payload.len())
                }
                Ask::Conceal { .. } => None,
            });
        }
        if self.far.is_report_due(now) {
            let length = self.far.report(now, wall, &mut datagram).unwrap();
            let length = self.sealer.seal_rtcp(&mut datagram, length).unwrap();
            let length = self.opener.open_rtcp(&mut datagram[..length]).unwrap();
            self.near.hear_rtcp(&datagram[..length], now, wall).unwrap();
        }
    }
}

#[test]
fn a_warm_stream_allocates_nothing_sealed_lossy_late_and_with_keys() {
    for profile in [Profile::AesCm128HmacSha1_80, Profile::AeadAes128Gcm] {
        let mut call = Call::new(profile);
        (0..200).for_each(|number| call.step(number));
        let before = ALLOCATIONS.get();
        (200..3_200).for_each(|number| call.step(number));
        assert_eq!(ALLOCATIONS.get() - before, 0, "{profile:?}");
        let stats = call.playout.stats();
        assert!(stats.played > 2_400 && stats.lost > 150, "the call was one: {stats:?}");
        assert_eq!(call.keys_heard, 64, "32 keys, pressed and let go");
    }
}
