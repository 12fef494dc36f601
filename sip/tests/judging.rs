//! What every message is judged by before anything works with it.

use bytes::Bytes;
use sip::{
    message::{Message, Response, parse_datagram},
    transport::{ConnectionId, Protocol, Source},
    validate::{Fault, Rules, Verdict, judge, way_back},
};

#[test]
fn an_ordinary_request_passes_as_it_is() {
    let message = Message::Request(request("", "").unwrap());
    assert_eq!(judge(Ok(message.clone()), &Rules::default()), Verdict::Accept(message));
}

#[test]
fn a_request_says_each_thing_once_and_readably() {
    for (without, with, status) in [
        ("From", "", 400),
        ("To", "", 400),
        ("Call-ID", "", 400),
        ("CSeq", "", 400),
        ("Via", "Via: SIP/2.0/UDP h;;", 400),
        ("To", "To: \"open <sip:a@b>", 400),
        ("Call-ID", "Call-ID: two words", 400),
        ("Call-ID", "Call-ID:", 400),
        ("CSeq", "CSeq: 1 BYE", 400),
        ("CSeq", "CSeq: 1 invite", 400),
        ("CSeq", "CSeq: 2147483648 INVITE", 400),
        ("CSeq", "CSeq: 36893488147419103232 INVITE", 400),
        ("", "From: <sip:a@b>;tag=2", 400),
        ("", "To: <sip:a@b>", 400),
        ("", "i: another", 400),
        ("", "CSeq: 1 INVITE", 400),
        ("", "Max-Forwards: 5", 400),
        ("", "Content-Type: a/b\r\nContent-Type: a/b", 400),
        ("", "Replaces: x;to-tag=1;from-tag=2\r\nReplaces: y;to-tag=1;from-tag=2", 400),
        ("Max-Forwards", "Max-Forwards: 256", 400),
        ("Max-Forwards", "Max-Forwards: -1", 400),
        ("Max-Forwards", "Max-Forwards: x", 400),
        ("Max-Forwards", "Max-Forwards: 0", 483),
        ("Contact", "Contact: sip:a@b?Route=x", 400),
        ("", "Route: sip:a@b, <oops", 400),
        ("", "Record-Route: <sip:a@b", 400),
        ("", "Require: nothingSupportsThis", 420),
    ] {
        assert_eq!(refused(request(without, with)), Some(status), "without {without:?}, with {with:?}");
    }
    for (without, with) in [
        ("Max-Forwards", ""),
        ("Max-Forwards", "Max-Forwards: 0069"),
        ("", "Require: timer, 100REL"),
        ("Via", "Via: SIP/2.0/SCTP a, SIP/2.0/UNKNOWN b;x"),
        ("", "X-Any: 1\r\nX-Any: 2"),
        ("To", "To: isbn:2983792873"),
    ] {
        assert_eq!(refused(request(without, with)), None, "without {without:?}, with {with:?}");
    }
}

#[test]
fn the_uri_is_one_that_people_are_called_by() {
    let of = |uri: &str| refused(parse(&TEXT.replace("sip:b@example.org SIP", &format!("{uri} SIP"))));
    assert_eq!(of("tel:+491234"), None);
    assert_eq!(of("sips:b@example.org"), None);
    assert_eq!(of("urn:service:sos"), Some(416));
    assert_eq!(of("soap.beep://192.0.2.103:3002"), Some(416));
    assert_eq!(of("sip:b@example.org?Route=%3Csip:c%3E"), Some(400));
}

#[test]
fn an_unknown_extension_is_named_in_the_answer() {
    let Verdict::Answer { response, fault } = verdict(request("", "Require: 100rel, one\r\nRequire: two")) else {
        panic!()
    };
    assert_eq!((response.status, fault), (420, Fault::Extension));
    assert_eq!(response.headers.first("Unsupported"), Some("one, two"));
}

#[test]
fn what_cannot_be_answered_is_dropped() {
    assert!(matches!(verdict(request("Via", "")), Verdict::Drop(_)), "nobody knows where to");
    let ack = TEXT.replace("INVITE", "ACK");
    assert!(matches!(verdict(parse(&ack)), Verdict::Accept(_)));
    assert!(matches!(verdict(parse(&ack.replace("Call-ID: 1@a\r\n", ""))), Verdict::Drop(_)), "ACK is never answered");
    assert!(matches!(verdict(parse(&format!("{}\r\nRequire: x\r\n\r\n", ack.trim_end()))), Verdict::Accept(_)));
}

#[test]
fn max_forwards_ends_what_would_go_on_and_nothing_else() {
    let last = TEXT.replace("Max-Forwards: 70", "Max-Forwards: 0");
    for (method, status) in [("INVITE", Some(483)), ("REGISTER", Some(483)), ("OPTIONS", None), ("CANCEL", None)] {
        assert_eq!(refused(parse(&last.replace("INVITE", method))), status, "{method}");
    }
    assert_eq!(refused(parse(&last.replace("To: <sip:b@example.org>", "To: <sip:b@example.org>;tag=x"))), None);
}

#[test]
fn an_answer_has_a_tag_and_the_same_one_each_time() {
    let answer = || match verdict(request("", "Require: x")) {
        Verdict::Answer { response, .. } => response.headers.to().unwrap().tag().unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(answer(), answer());
    let Verdict::Answer { response, .. } = verdict(request("To", "To: <sip:b@c>;tag=theirs\r\nRequire: x")) else {
        panic!()
    };
    assert_eq!(response.headers.to().unwrap().tag(), Some("theirs"));
}

#[test]
fn a_response_that_is_not_ours_is_dropped() {
    let text = TEXT.replace("INVITE sip:b@example.org SIP/2.0", "SIP/2.0 200 OK");
    assert!(matches!(verdict(parse(&text)), Verdict::Accept(Message::Response(_))));
    let with = |from: &str, to: &str| verdict(parse(&text.replace(from, to)));
    for (from, to) in [
        ("192.0.2.1;", "255.255.255.255;"),
        ("Max-Forwards", "Via: SIP/2.0/UDP 192.0.2.9\r\nMax-Forwards"),
        ("CSeq: 1 ", "CSeq: 9292394834772304023312 "),
        ("Call-ID: 1@a\r\n", ""),
        ("200 OK", "4294967301 OK"),
    ] {
        assert!(matches!(with(from, to), Verdict::Drop(_)), "{to}");
    }
}

#[test]
fn an_answer_goes_where_the_request_came_from() {
    let source = |protocol, connection| Source {
        protocol,
        remote: "198.51.100.7:40000".parse().unwrap(),
        local: "198.51.100.1:5060".parse().unwrap(),
        connection,
    };
    let udp = source(Protocol::Udp, None);
    let answer = |via: &str, source: &Source| {
        let request = request("Via", &format!("Via: {via}, SIP/2.0/UDP second")).unwrap();
        let (_, forced) = way_back(&request.respond(400), source, true);
        assert_eq!(forced.address, source.remote, "whoever knows nothing of rport may be behind a NAT all the same");
        let (bytes, target) = way_back(&request.respond(400), source, false);
        let Ok(Message::Response(response)) = parse_datagram(&bytes) else { panic!() };
        let Response { headers, .. } = response;
        assert_eq!(headers.elements("Via").nth(1), Some("SIP/2.0/UDP second"));
        (headers.via().map(|via| via.params.to_string()).unwrap_or_default(), target)
    };
    // As it asks for: the port that it came from (RFC 3581).
    let (params, target) = answer("SIP/2.0/UDP 192.0.2.1:5062;rport;branch=z9hG4bKx", &udp);
    assert_eq!(params, ";rport=40000;branch=z9hG4bKx;received=198.51.100.7");
    assert_eq!((target.address, target.local), (udp.remote, Some(udp.local)));
    // As it says, but at the address that it came from.
    let (params, target) = answer("SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKx;received=203.0.113.5", &udp);
    assert_eq!(params, ";branch=z9hG4bKx;received=198.51.100.7");
    assert_eq!(target.address, "198.51.100.7:5062".parse::<std::net::SocketAddr>().unwrap());
    let (params, target) = answer("SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKx", &udp);
    assert_eq!((params.as_str(), target.address), (";branch=z9hG4bKx", "198.51.100.7:5060".parse().unwrap()));
    // A connection is its own way back.
    let tcp = source(Protocol::Tcp, Some(ConnectionId(3)));
    let (_, target) = answer("SIP/2.0/TCP 192.0.2.1:5062;branch=z9hG4bKx", &tcp);
    assert_eq!((target.address, target.connection), (tcp.remote, Some(ConnectionId(3))));
}

const TEXT: &str = "INVITE sip:b@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n\
    From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.org>\r\nCall-ID: 1@a\r\nCSeq: 1 INVITE\r\n\
    Contact: <sip:a@192.0.2.1>\r\nMax-Forwards: 70\r\n\r\n";

/// The usual request without the lines of one name, and with others.
fn request(without: &str, with: &str) -> Result<sip::message::Request, sip::message::Malformed> {
    let kept = TEXT.trim_end().lines().filter(|line| without.is_empty() || !line.starts_with(&format!("{without}:")));
    let mut lines: Vec<&str> = kept.collect();
    lines.extend(Some(with).filter(|with| !with.is_empty()));
    match parse(&format!("{}\r\n\r\n", lines.join("\r\n")))? {
        Message::Request(request) => Ok(request),
        Message::Response(_) => panic!("a request is a request"),
    }
}

fn parse(text: &str) -> Result<Message, sip::message::Malformed> {
    parse_datagram(&Bytes::from(text.to_owned()))
}

fn verdict(read: Result<impl Into<Message>, sip::message::Malformed>) -> Verdict {
    judge(read.map(Into::into), &Rules::default())
}

/// The status of the refusal; `None` where it is accepted.
fn refused(read: Result<impl Into<Message>, sip::message::Malformed>) -> Option<u16> {
    match verdict(read) {
        Verdict::Accept(_) => None,
        Verdict::Answer { response, .. } => Some(response.status),
        Verdict::Drop(fault) => panic!("dropped: {fault}"),
    }
}
