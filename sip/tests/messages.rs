//! Messages read from bytes, looked at, changed and printed.

use bytes::Bytes;
use proptest::prelude::*;
use sip::message::{
    Headers, LONGEST_HEAD_BYTES, MOST_HEADER_LINES, Message, Method, NameAddr, Params, Request, Scheme, Uri, Via, Why,
    parse_datagram, reason_phrase,
};

const INVITE: &str = "INVITE sip:+49301234567@voice.example;user=phone SIP/2.0\r\n\
    v: SIP/2.0/UDP 192.0.2.10:5062;rport;branch=z9hG4bK-first, SIP/2.0/TCP [2001:db8::1];branch=z9hG4bK-second\r\n\
    Max-Forwards: 0069\r\n\
    f: \"Ada \\\"L\\\" Byron\" <sip:ada@example.org;transport=tcp>;tag=a1\r\n\
    t: <sip:+49301234567@voice.example>\r\n\
    i: 7f3a@192.0.2.10\r\n\
    CSeq: 17 INVITE\r\n\
    m: <sip:ada@192.0.2.10:5062>;expires=60\r\n\
    k: timer,\r\n  100rel ,replaces\r\n\
    X-Odd: kept; as \"it, is\"\r\n\
    c: application/sdp\r\n\
    l: 5\r\n\r\nv=0\r\nrest";

#[test]
fn a_request_is_read_with_its_compact_and_folded_headers() {
    let request = request(INVITE);
    assert_eq!(request.method, Method::Invite);
    assert_eq!(request.uri.user.as_deref(), Some("+49301234567"));
    assert_eq!(request.body, "v=0\r\n");
    let headers = &request.headers;
    assert_eq!(headers.first("supported"), Some("timer, 100rel ,replaces"));
    assert_eq!(headers.elements("Supported").collect::<Vec<_>>(), ["timer", "100rel", "replaces"]);
    assert!(headers.contains_token("Supported", "100REL") && !headers.contains_token("Supported", "rel"));
    assert_eq!(headers.first("Content-Type"), Some("application/sdp"));
    assert_eq!(headers.first("X-Odd"), Some("kept; as \"it, is\""));
    assert_eq!(headers.first("Content-Length"), None, "the body knows its length");
    assert_eq!(headers.number("Max-Forwards"), Ok(Some(69)));
    assert_eq!(headers.call_id(), Ok("7f3a@192.0.2.10"));
    let cseq = headers.cseq().unwrap();
    assert_eq!((cseq.number, &cseq.method), (17, &Method::Invite));
    let from = headers.from().unwrap();
    assert_eq!(from.display.as_deref(), Some("Ada \"L\" Byron"));
    assert_eq!((from.tag(), from.uri.transport().as_deref()), (Some("a1"), Some("tcp")));
    assert_eq!(headers.to().unwrap().tag(), None);
    let contact = headers.contact().unwrap().unwrap();
    assert_eq!((contact.uri.port, contact.param("Expires")), (Some(5_062), Some(Some("60"))));
    let via = headers.via().unwrap();
    assert_eq!((via.transport.as_str(), via.branch(), via.rport()), ("UDP", Some("z9hG4bK-first"), Some(None)));
}

#[test]
fn what_is_printed_reads_back_the_same() {
    let request = request(INVITE);
    let printed = request.to_bytes();
    assert!(printed.ends_with(b"Content-Length: 5\r\n\r\nv=0\r\n"));
    assert_eq!(parse_datagram(&printed), Ok(Message::Request(request)));
}

#[test]
fn a_response_is_read_and_an_empty_reason_stays_empty() {
    let head = "Via: SIP/2.0/UDP h;branch=z9hG4bKx\r\n\r\n";
    let read = |start: &str| match parse_datagram(&Bytes::from(format!("{start}\r\n{head}"))) {
        Ok(Message::Response(response)) => (response.status, response.reason),
        other => panic!("{other:?}"),
    };
    assert_eq!(read("SIP/2.0 486 Busy Here"), (486, "Busy Here".to_owned()));
    assert_eq!(read("SIP/2.0 200 "), (200, String::new()));
    assert_eq!(read("SIP/2.0 200 смс 大"), (200, "смс 大".to_owned()));
    for bad in ["SIP/2.0 99 x", "SIP/2.0 700 x", "SIP/2.0 20 x", "SIP/2.0 65736 x", "SIP/2.0 x", "SIP/2.0"] {
        let malformed = parse_datagram(&Bytes::from(format!("{bad}\r\n{head}"))).unwrap_err();
        assert_eq!((malformed.why, malformed.answer), (Why::StartLine, None), "{bad}");
    }
    assert_eq!(parse_datagram(&Bytes::from(format!("SIP/3.0 200 OK\r\n{head}"))).unwrap_err().why, Why::Version);
}

#[test]
fn a_method_is_its_whole_word_in_its_own_case() {
    for (text, method) in [
        ("INVITE", Method::Invite),
        ("invite", Method::Other("invite".into())),
        ("INVITED", Method::Other("INVITED".into())),
        ("ACK2", Method::Other("ACK2".into())),
        ("PUBLISH", Method::Publish),
    ] {
        let read = request(&format!("{text} sip:a@b SIP/2.0\r\nCSeq: 1 {text}\r\n\r\n"));
        assert_eq!(read.method, method);
        assert_eq!(read.method.as_str(), text);
        assert_eq!(read.headers.cseq().unwrap().method, method);
    }
}

#[test]
fn the_first_line_has_one_blank_between_its_parts() {
    for line in [
        "INVITE  sip:a@b SIP/2.0",
        "INVITE sip:a@b  SIP/2.0",
        "INVITE sip:a@b;x y SIP/2.0",
        "INVITE sip:a@b",
        "INVITE",
        "IN{VITE sip:a@b SIP/2.0",
        "INVITE <sip:a@b> SIP/2.0",
        " INVITE sip:a@b SIP/2.0",
        "INVITE sip:2001:db8::1 SIP/2.0",
        "INVITE sip:a@b HTTP/1.1",
    ] {
        let text = format!("{line}\r\nVia: SIP/2.0/UDP h\r\nCSeq: 1 INVITE\r\n\r\n");
        assert_eq!(parse_datagram(&text.into()).map_err(|bad| bad.why), Err(Why::StartLine), "{line}");
    }
    request("INVITE sip:a@b SIP/2.0 \t\r\n\r\n");
}

#[test]
fn a_bad_request_is_answered_only_where_the_answer_finds_its_way() {
    let answer = |text: &str| parse_datagram(&Bytes::from(text.to_owned())).unwrap_err().answer.map(|it| it.status);
    let rest = "Via: SIP/2.0/UDP h;;\r\nCSeq: 1 INVITE\r\nno colon\r\n\r\n";
    assert_eq!(answer(&format!("INVITE sip:a@b SIP/2.0\r\n{rest}")), Some(400));
    assert_eq!(answer(&format!("INVITE sip:a@b SIP/7.0\r\n{rest}")), Some(505), "the first line counts most");
    assert_eq!(answer(&format!("ACK sip:a@b SIP/2.0\r\n{rest}")), None, "ACK is never answered");
    assert_eq!(answer(&format!("SIP/2.0 200 OK\r\n{rest}")), None, "nor is an answer");
    assert_eq!(answer("INVITE sip:a@b SIP/2.0\r\nCSeq: 1 INVITE\r\nno colon\r\n\r\n"), None, "no way back");
    assert_eq!(answer("INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nno colon\r\n\r\n"), None, "answer to what?");
    assert_eq!(answer("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"), None);
}

#[test]
fn the_length_of_the_body_is_what_content_length_says() {
    let read = |lengths: &str, body: &str| {
        parse_datagram(&Bytes::from(format!("OPTIONS sip:a@b SIP/2.0\r\n{lengths}\r\n{body}")))
            .map(|message| message.body().clone())
            .map_err(|malformed| malformed.why)
    };
    assert_eq!(read("", "all"), Ok("all".into()));
    assert_eq!(read("l: 2\r\n", "all"), Ok("al".into()));
    assert_eq!(read("l: 3\r\nContent-Length: 3\r\n", "all"), Ok("all".into()));
    assert_eq!(read("l: 4\r\n", "all"), Err(Why::ShortBody));
    assert_eq!(read("l: 99999999999999999999999999\r\n", "all"), Err(Why::ShortBody));
    assert_eq!(read("l: 2\r\nl: 3\r\n", "all"), Err(Why::ContentLength));
    assert_eq!(read("l: -1\r\n", "all"), Err(Why::ContentLength));
    assert_eq!(read("l: +1\r\n", "all"), Err(Why::ContentLength));
    assert_eq!(read("l:\r\n", "all"), Err(Why::ContentLength));
    assert_eq!(read("l: 1, 1\r\n", "all"), Err(Why::ContentLength));
}

#[test]
fn sizes_are_bounded_and_the_sender_is_told() {
    let with = |middle: &str| {
        let text = format!("OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nCSeq: 1 OPTIONS\r\n{middle}\r\n");
        parse_datagram(&text.into()).map_err(|malformed| (malformed.why, malformed.answer.map(|answer| answer.status)))
    };
    let lines = |count: usize| with(&"X: y\r\n".repeat(count));
    assert!(lines(MOST_HEADER_LINES - 2).is_ok());
    assert_eq!(lines(MOST_HEADER_LINES - 1), Err((Why::ManyLines, Some(513))));
    assert_eq!(lines(10_000), Err((Why::LongHead, Some(513))));
    assert!(with(&format!("X: {}\r\n", "y".repeat(8_000))).is_ok());
    assert_eq!(with(&format!("X: {}\r\n", "y".repeat(8_190))), Err((Why::LongLine, Some(513))));
    assert_eq!(with(&format!("X: {}\r\n", "y\r\n ".repeat(4_000))), Err((Why::LongLine, Some(513))));
    assert_eq!(with(&format!("X: {}\r\n", "y".repeat(64 * 1_024))), Err((Why::LongHead, Some(513))));
    let half = format!("OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nCSeq: 1 OPTIONS\r\nX: {}", "y".repeat(40_000));
    assert!(half.len() > LONGEST_HEAD_BYTES);
    assert_eq!(parse_datagram(&half.into()).unwrap_err().why, Why::LongHead);
}

#[test]
fn half_a_head_is_no_message() {
    let whole = INVITE.split_once("\r\n\r\n").unwrap().0;
    for end in 1..whole.len() {
        assert_eq!(parse_datagram(&Bytes::from(whole[..end].to_owned())).unwrap_err().why, Why::Unended);
    }
    assert_eq!(parse_datagram(&Bytes::from_static(b"\r\n\r\n")).unwrap_err().why, Why::Empty);
    assert_eq!(parse_datagram(&Bytes::new()).unwrap_err().why, Why::Empty);
}

#[test]
fn lines_that_end_with_a_line_feed_alone_are_read() {
    let read = request("\r\n\nOPTIONS sip:a@b SIP/2.0\nVia: SIP/2.0/UDP h\nSubject: one\n two\n\nbody");
    assert_eq!((read.headers.first("Subject"), &read.body[..]), (Some("one two"), &b"body"[..]));
    // Where lines end now this way and now that way, the end of the head is a matter of opinion.
    for odd in ["OPTIONS sip:a@b SIP/2.0\r\nVia: x\n\r\nbody", "OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\n\nbody"] {
        assert_eq!(parse_datagram(&Bytes::from_static(odd.as_bytes())).unwrap_err().why, Why::Unended);
    }
    let bare = "OPTIONS sip:a@b SIP/2.0\r\nSubject: a\rVia: x\r\n\r\n";
    assert!(parse_datagram(&Bytes::from_static(bare.as_bytes())).is_err(), "a carriage return alone ends nothing");
}

#[test]
fn letters_of_another_encoding_do_not_lose_the_call() {
    let read = parse_datagram(&Bytes::from_static(b"OPTIONS sip:a@b SIP/2.0\r\nFrom: \"J\xfcrgen\" <sip:j@b>\r\n\r\n"));
    let from = read.unwrap().headers().from().unwrap();
    assert_eq!(from.display.as_deref(), Some("J\u{fffd}rgen"));
}

#[test]
fn nobodys_value_begins_a_header_of_its_own() {
    let mut request = request("OPTIONS sip:a@b SIP/2.0\r\n\r\n");
    request.headers.push("Subject", "x\r\nContact: <sip:thief@example.org>\r\n\r\nbody");
    request.uri.user = Some("a SIP/2.0\r\nRoute: <sip:thief@example.org>\r\nx:".to_owned());
    let printed = String::from_utf8(request.to_bytes().to_vec()).unwrap();
    assert_eq!(printed.lines().count(), 4, "{printed}");
}

#[test]
fn an_answer_copies_what_tells_whose_it_is() {
    let mut request = request(INVITE);
    request.headers.push("Timestamp", "54");
    let trying = request.respond(100);
    assert_eq!((trying.status, trying.reason.as_str()), (100, "Trying"));
    assert_eq!(trying.headers.first("Timestamp"), Some("54"));
    let busy = request.respond(486);
    let names: Vec<&str> = busy.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Via", "From", "To", "Call-ID", "CSeq"]);
    assert_eq!(busy.headers.elements("Via").count(), 2);
    assert_eq!((reason_phrase(486), reason_phrase(499), reason_phrase(699)), ("Busy Here", "Bad Request", "Decline"));
}

#[test]
fn headers_are_set_taken_and_removed_by_name() {
    let mut headers = Headers::new();
    headers.push("Route", "<sip:a;lr>, <sip:b;lr>");
    headers.push("Subject", "x");
    headers.push("route", "<sip:c;lr>");
    assert_eq!(headers.pop_front("Route").as_deref(), Some("<sip:a;lr>"));
    assert_eq!(headers.first("ROUTE"), Some("<sip:b;lr>"));
    assert_eq!(headers.pop_front("Route").as_deref(), Some("<sip:b;lr>"));
    assert_eq!(headers.pop_front("Route").as_deref(), Some("<sip:c;lr>"));
    assert_eq!(headers.pop_front("Route"), None);
    headers.push("subject", "y");
    headers.push("Expires", "1");
    headers.set("SUBJECT", "z");
    assert_eq!(headers.iter().collect::<Vec<_>>(), [("Subject", "z"), ("Expires", "1")]);
    headers.remove("expires");
    headers.push_front("Via", "SIP/2.0/UDP h");
    assert_eq!((headers.len(), headers.iter().next()), (2, Some(("Via", "SIP/2.0/UDP h"))));
}

#[test]
fn commas_within_quotes_and_brackets_separate_nothing() {
    let mut headers = Headers::new();
    headers.push("Contact", r#""Last, First \", x" <sip:a,b@h?x=1,2>;q=1 ,, <sip:c@h>,"#);
    let contacts = headers.name_addrs("Contact").unwrap();
    assert_eq!(contacts.len(), 2);
    assert_eq!(contacts[0].display.as_deref(), Some("Last, First \", x"));
    assert_eq!(contacts[0].uri.user.as_deref(), Some("a,b"));
}

#[test]
fn numbers_say_why_they_are_none() {
    let number = |value: &str| {
        let mut headers = Headers::new();
        headers.push("Expires", value);
        headers.number("Expires").map_err(|malformed| malformed.why)
    };
    assert_eq!(number("0068"), Ok(Some(68)));
    assert_eq!(number("1800;refresher=uac"), Ok(Some(1_800)));
    assert_eq!(number("120 (soon)"), Ok(Some(120)));
    assert_eq!(number("4294967295"), Ok(Some(u32::MAX)));
    assert_eq!(number("4294967296"), Err("its number is 2^32 or more"));
    for bad in ["", "-1", "+1", "1x", "0x1", "١"] {
        assert_eq!(number(bad), Err("it is no number"), "{bad}");
    }
    assert_eq!(Headers::new().number("Expires"), Ok(None));
    for bad in ["1", "x INVITE", "1 IN VITE", "2147483648 INVITE", "-1 INVITE", "1 "] {
        let mut headers = Headers::new();
        headers.push("CSeq", bad);
        assert!(headers.cseq().is_err(), "{bad}");
    }
}

#[test]
fn uris_keep_what_was_written() {
    for text in [
        "sip:alice@atlanta.example",
        "sips:alice:secret@atlanta.example:5061;transport=tcp;lr",
        "sip:user;par=u%40example.net@example.com",
        "sip:null-%00-null@example.com",
        "sip:[2001:db8::192.0.2.1]:5070",
        "sip:atlanta.example;method=REGISTER?to=alice%40atlanta.example&x=",
        "sip:*21%23@pbx;user=phone",
        "tel:+49-30-1234;phone-context=example.com",
        "urn:service:sos",
    ] {
        assert_eq!(text.parse::<Uri>().map(|uri| uri.to_string()).as_deref(), Ok(text));
    }
    let uri: Uri = "SIP:sips%3Auser%40example.com:pw@example.net".parse().unwrap();
    assert_eq!((&uri.scheme, uri.user_unescaped().as_deref()), (&Scheme::Sip, Some("sips:user@example.com")));
    let uri: Uri = "tel:+1".parse().unwrap();
    assert_eq!((uri.user.as_deref(), uri.host.as_str()), (Some("+1"), ""));
    for bad in [
        "",
        "sip:",
        "sip:@h",
        "sip:a@",
        "a@b",
        "sip:a b@h",
        "sip:a@h:",
        "sip:a@h:65536",
        "sip:a@h:5x",
        "sip:a@[::1",
        "sip:a@[x]",
        "sip:a@[2001:db8:::1]",
        "sip:a@h;",
        "sip:a@h;;lr",
        "sip:a%4@h",
        "sip:a@h/x",
        "1sip:a@h",
        "sip:a@h;x=\"y\"",
        "tel:",
    ] {
        assert!(bad.parse::<Uri>().is_err(), "{bad}");
    }
}

/// RFC 3261 section 19.1.4 has these and more.
#[test]
fn uris_are_the_same_where_they_mean_the_same() {
    let same = |one: &str, other: &str| {
        let (one, other): (Uri, Uri) = (one.parse().unwrap(), other.parse().unwrap());
        assert_eq!(one.same_as(&other), other.same_as(&one));
        one.same_as(&other)
    };
    assert!(same("sip:%61lice@Example.com;transport=TCP", "sip:alice@example.COM;Transport=tcp"));
    assert!(same("sip:carol@chicago.example", "sip:carol@chicago.example;newparam=5"));
    assert!(same("sip:b@h;security=on;newparam=5", "sip:b@h;newparam=5"));
    assert!(same("sip:h?to=a%40b&subject=x", "sip:h?subject=x&to=a%40b"));
    assert!(same("sip:a@[2001:db8:0::1]", "sip:a@[2001:DB8::1]"));
    assert!(!same("sip:ALICE@h", "sip:alice@h"));
    assert!(!same("sip:a@h", "sip:a@h:5060"));
    assert!(!same("sip:a@h", "sip:a@h;transport=udp"));
    assert!(!same("sip:a@h", "sip:a@h;maddr=1.2.3.4"));
    assert!(!same("sip:a@h;x=1", "sip:a@h;x=2"));
    assert!(!same("sip:a@h", "sips:a@h"));
    assert!(!same("sip:a%40b@h", "sip:a%41b@h"));
    assert!(!same("sip:a@h?subject=x", "sip:a@h"));
}

#[test]
fn people_are_named_as_they_wrote_themselves() {
    let read = |text: &str| text.parse::<NameAddr>();
    let bare = read("sip:a@h;tag=1;x").unwrap();
    assert_eq!((bare.tag(), bare.param("X"), bare.uri.params.is_empty()), (Some("1"), Some(None), true));
    assert_eq!(bare.to_string(), "<sip:a@h>;tag=1;x");
    let plain = read("J. Doe<sip:a@h;lr> ; tag = 1").unwrap();
    assert_eq!((plain.display.as_deref(), plain.uri.params.contains("lr")), (Some("J. Doe"), true));
    let quoted = read(r#""a \"b\" \\" <sip:a@h>;text="x;y""#).unwrap();
    assert_eq!(quoted.display.as_deref(), Some(r#"a "b" \"#));
    assert_eq!(quoted.params.value("text").as_deref(), Some("x;y"));
    assert_eq!(quoted.to_string().parse(), Ok(quoted));
    assert_eq!(read("<sip:a@h>;tag=").unwrap().tag(), None);
    for bad in [
        r#""open <sip:a@h>"#,
        "<sip:a@h",
        "sip:a@h?x=y",
        "a <b> <c>",
        r#"x"y" <sip:a@h>"#,
        "<sip:a@h>;;",
        "<sip:a@h> x",
        "<sip:a@h>;=x",
        r#""only a name""#,
        "*",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

#[test]
fn ways_are_read_with_their_blanks() {
    let via: Via =
        "SIP  /  2.0 /\tudp   [2001:db8::9] : 5061 ; branch = z9hG4bKx ; rport=1234;received=1.2.3.4".parse().unwrap();
    assert_eq!(via.to_string(), "SIP/2.0/UDP [2001:db8::9]:5061;branch=z9hG4bKx;rport=1234;received=1.2.3.4");
    assert_eq!((via.rport(), via.received()), (Some(Some(1_234)), Some("1.2.3.4")));
    assert_eq!("SIP/2.0/TCP h;rport=x".parse::<Via>().unwrap().rport(), Some(None));
    assert_eq!("SIP/2.0/TCP h".parse::<Via>().unwrap().rport(), None);
    for bad in [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0/UDPh",
        "SIP/1.0/UDP h",
        "HTTP/2.0/UDP h",
        "SIP/2.0/UDP h;;",
        "SIP/2.0/UDP h x",
        "SIP/2.0 h",
    ] {
        assert!(bad.parse::<Via>().is_err(), "{bad}");
    }
}

#[test]
fn parameters_are_set_in_their_place() {
    let mut params = Params::new();
    params.set("branch", Some("z"));
    params.set("rport", None);
    params.set("Branch", Some("y"));
    assert_eq!(params.to_string(), ";branch=y;rport");
    params.remove("BRANCH");
    assert_eq!(params.iter().collect::<Vec<_>>(), [("rport", None)]);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        look_at(&bytes);
    }

    #[test]
    fn no_accident_to_a_message_panics(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..20),
    ) {
        let mut bytes = INVITE.as_bytes().to_vec();
        for (at, byte, kind) in edits {
            let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match kind {
                0 if !bytes.is_empty() => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 if !bytes.is_empty() => _ = bytes.remove(at),
                _ => {
                    let again: Vec<u8> = bytes[at..].iter().copied().take(40).collect();
                    bytes.splice(at..at, again);
                }
            }
        }
        look_at(&bytes);
    }

    #[test]
    fn a_name_of_any_letters_comes_back(name in "[^\r\n\\x00]{1,40}", user in "[a-z0-9]{1,8}") {
        let mut written = NameAddr::new(Uri::sip(Some(&user), "h", None));
        written.display = Some(name);
        prop_assert_eq!(written.to_string().parse(), Ok(written));
    }
}

/// Reads it in every way there is; what can be read is the same when it is printed and read again.
fn look_at(bytes: &[u8]) {
    let Ok(message) = parse_datagram(&Bytes::copy_from_slice(bytes)) else { return };
    let headers = message.headers();
    _ = (headers.via(), headers.from(), headers.to(), headers.contact(), headers.call_id(), headers.cseq());
    for (name, _) in headers.iter() {
        _ = (headers.name_addrs(name), headers.number(name), headers.elements(name).count());
    }
    assert_eq!(parse_datagram(&message.to_bytes()), Ok(message));
}

fn request(text: &str) -> Request {
    match parse_datagram(&Bytes::from(text.to_owned())) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}
