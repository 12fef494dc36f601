//! What a SIP message costs before anybody works with it.
//!
//! Budget: an INVITE of 740 bytes read and printed, ≤ 8 µs. Reading alone, printing alone and judging stand beside it.
//! All figures are processor time of this thread. It takes a few seconds.

use std::hint::black_box;

use benches::Budgets;
use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use sip::{
    message::{Message, parse_datagram},
    validate::{Rules, Verdict, judge},
};

/// What a desk phone sends to call somebody.
const INVITE: &str = "INVITE sip:+49301234567@voice.example;user=phone SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.10:5062;rport;branch=z9hG4bK-524287-1---8d3a4f1c2b6e9a07\r\n\
    Max-Forwards: 70\r\n\
    From: \"Ada Byron\" <sip:ada@voice.example>;tag=3f9c2a71\r\n\
    To: <sip:+49301234567@voice.example;user=phone>\r\n\
    Call-ID: 91457NGE0ZTYyYjc4OTU2@192.0.2.10\r\n\
    CSeq: 1 INVITE\r\n\
    Contact: <sip:ada@192.0.2.10:5062;transport=udp>\r\n\
    Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY\r\n\
    Supported: replaces, timer, 100rel\r\n\
    User-Agent: desk phone 1.0 (b8, 20260101)\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 177\r\n\r\n\
    v=0\r\no=- 3919 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n\
    m=audio 40000 RTP/AVP 9 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n";

fn main() {
    let mut budgets = Budgets::default();
    let bytes = Bytes::from_static(INVITE.as_bytes());
    let Ok(message) = parse_datagram(&bytes) else {
        budgets.note("the message cannot be read");
        std::process::exit(1);
    };
    budgets.section(&format!("an INVITE of {} bytes, {} printed", bytes.len(), message.to_bytes().len()));
    let rules = Rules::default();
    let read = || parse_datagram(black_box(&bytes));
    budgets.figure("read", each_us(|| drop(black_box(read()))), "us");
    budgets.figure("printed", each_us(|| drop(black_box(message.to_bytes()))), "us");
    let both = each_us(|| {
        let printed = read().map(|message: Message| message.to_bytes());
        drop(black_box(printed));
    });
    budgets.at_most("read and printed", both, 8.0, "us");
    let judged = each_us(|| {
        let verdict = judge(read(), &rules);
        assert!(matches!(black_box(verdict), Verdict::Accept(_)));
    });
    budgets.figure("read and judged", judged, "us");
    budgets.section(&format!("{} budgets missed", budgets.misses()));
}

/// What one takes, in microseconds: the best of ten rounds, since what disturbs only ever adds.
fn each_us(mut what: impl FnMut()) -> f64 {
    const ROUND: u32 = 20_000;
    let round = |_| {
        let began = own_ns();
        (0..ROUND).for_each(|_| what());
        (own_ns() - began) as f64 / 1e3 / f64::from(ROUND)
    };
    (0..10).map(round).fold(f64::INFINITY, f64::min)
}

/// Processor time of this thread, in nanoseconds.
fn own_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
