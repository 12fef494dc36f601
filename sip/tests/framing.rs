//! Messages out of streams, in whatever pieces they come.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use sip::message::{Frame, Framer, LONGEST_BODY_BYTES, LONGEST_HEAD_BYTES, Malformed, Message, Why};

const OPTIONS: &str = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKx\r\nCSeq: 1 OPTIONS\r\n";

#[test]
fn messages_come_whole_whatever_the_pieces() {
    let stream = [message("one"), "\r\n\r\n".to_owned(), message(""), "\r\n".to_owned(), message("three")].concat();
    for size in 1..stream.len() {
        let (mut framer, mut seen, now) = (Framer::new(), Vec::new(), zero());
        for piece in stream.as_bytes().chunks(size) {
            framer.push(piece);
            while let Some(frame) = framer.next(now).unwrap() {
                seen.push(frame);
            }
        }
        let bodies: Vec<&[u8]> = seen.iter().filter_map(body).collect();
        assert_eq!(bodies, [&b"one"[..], b"", b"three"], "pieces of {size}");
        assert!(seen.contains(&Frame::Ping), "pieces of {size}");
        assert_eq!(framer.deadline(), None);
    }
}

#[test]
fn a_line_break_alone_is_the_answer_to_a_ping() {
    let (mut framer, now) = (Framer::new(), zero());
    framer.push(b"\r\n");
    assert_eq!(framer.next(now), Ok(Some(Frame::Pong)));
    assert_eq!(framer.next(now), Ok(None));
    framer.push(b"\r\n");
    assert_eq!(framer.next(now + Duration::from_secs(30)), Ok(Some(Frame::Pong)), "another answer, not half a ping");
    framer.push(b"\r\n");
    assert_eq!(framer.next(now + Duration::from_millis(30_100)), Ok(Some(Frame::Ping)), "a ping in two pieces");
}

#[test]
fn half_a_message_is_given_up_in_time() {
    for half in [OPTIONS.to_owned(), format!("{OPTIONS}l: 10\r\n\r\nhalf")] {
        let (mut framer, now) = (Framer::new(), zero());
        assert_eq!(framer.next(now), Ok(None));
        assert_eq!(framer.deadline(), None, "an idle stream may idle");
        framer.push(&half.as_bytes()[..20]);
        assert_eq!(framer.next(now), Ok(None));
        framer.push(&half.as_bytes()[20..]);
        let deadline = framer.deadline().unwrap();
        assert_eq!(deadline, now + Framer::SLOWEST, "more of it gives no more time");
        assert_eq!(framer.next(deadline - Duration::from_millis(1)), Ok(None));
        let malformed = framer.next(deadline).unwrap_err();
        assert_eq!((malformed.why, status(&malformed)), (Why::Slow, Some(400)));
    }
}

#[test]
fn where_the_next_message_begins_must_be_known() {
    let stop = |text: &str| {
        let mut framer = Framer::new();
        framer.push(text.as_bytes());
        let malformed = framer.next(zero()).expect_err(text);
        (malformed.why, status(&malformed))
    };
    assert_eq!(stop(&format!("{OPTIONS}\r\n")), (Why::NoContentLength, Some(400)));
    assert_eq!(stop(&format!("{OPTIONS}l: -1\r\n\r\n")), (Why::ContentLength, Some(400)));
    assert_eq!(stop(&format!("{OPTIONS}l: 1\r\nl: 2\r\n\r\n")), (Why::ContentLength, Some(400)));
    assert_eq!(stop(&format!("{OPTIONS}l: {}\r\n\r\n", LONGEST_BODY_BYTES + 1)), (Why::LongBody, Some(413)));
    assert_eq!(stop(&format!("{OPTIONS}l: 18446744073709551617\r\n\r\n")), (Why::LongBody, Some(413)));
    assert_eq!(stop(&format!("{OPTIONS}X: {}", "y".repeat(LONGEST_HEAD_BYTES))), (Why::LongHead, Some(513)));
    assert_eq!(stop(&format!("{OPTIONS}{}\r\n", "X: y\r\n".repeat(10_000))), (Why::LongHead, Some(513)));
    assert_eq!(stop(&"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2)), (Why::NoContentLength, None));
}

#[test]
fn a_bad_message_whose_end_is_known_costs_nobody_else_theirs() {
    let (mut framer, now) = (Framer::new(), zero());
    framer.push(format!("{OPTIONS}no colon\r\nl: 3\r\n\r\nbad{}", message("good")).as_bytes());
    let Ok(Some(Frame::Malformed(malformed))) = framer.next(now) else { panic!() };
    assert_eq!((malformed.why, status(&malformed)), (Why::HeaderLine, Some(400)));
    assert_eq!(framer.next(now).unwrap().as_ref().and_then(body), Some(&b"good"[..]));
}

proptest! {
    #[test]
    fn no_stream_panics_or_grows(
        pieces in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..200),
                Just(b"\r\n\r\n".to_vec()),
                Just(message("body").into_bytes()),
                Just(OPTIONS.as_bytes().to_vec()),
                (0..70_000_usize).prop_map(|length| format!("l: {length}\r\n\r\n").into_bytes()),
            ],
            0..30,
        ),
    ) {
        let (mut framer, mut now) = (Framer::new(), zero());
        'stream: for piece in pieces {
            framer.push(&piece);
            for _ in 0..=piece.len() + 2 {
                match framer.next(now) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
            prop_assert_eq!(framer.next(now).ok(), Some(None), "all frames were taken");
            now += Duration::from_millis(100);
        }
    }
}

fn message(body: &str) -> String {
    format!("{OPTIONS}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn body(frame: &Frame) -> Option<&[u8]> {
    match frame {
        Frame::Message(Message::Request(request)) => Some(&request.body),
        _ => None,
    }
}

fn status(malformed: &Malformed) -> Option<u16> {
    malformed.answer.as_ref().map(|answer| answer.status)
}

/// Any instant will do: only differences are looked at.
#[expect(clippy::disallowed_methods, reason = "virtual time needs one instant to count from")]
fn zero() -> Instant {
    Instant::now()
}
