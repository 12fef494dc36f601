//! The torture messages of RFC 4475 and 5118, judged as far as this layer decides.
//!
//! The messages lie beside the repository (`../shared/sip-torture`), and not everybody has them; what they show is
//! also tested in words of our own (`messages.rs`, `judging.rs`). What only an endpoint can decide (415, 406, whether
//! a user exists) is accepted here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{fs, path::PathBuf};

use bytes::Bytes;
use sip::{
    message::{Message, parse_datagram},
    validate::{Rules, Verdict, judge},
};

const SKIPPED: &str = "skipped: no torture messages beside the checkout";

/// What the endpoint decides: content that it does not take.
const ENDPOINTS: [&str; 2] = ["rfc4475/invut.dat", "rfc4475/sdp01.dat"];

#[test]
fn torture_is_judged_as_the_rfcs_say() {
    let Some(cases) = cases() else { return println!("{SKIPPED}") };
    assert_eq!(cases.len(), 62);
    let mut wrong = Vec::new();
    for case in &cases {
        let verdict = judge(parse_datagram(&case.bytes), &Rules::default());
        let is_right = match (&verdict, case.parse.as_str()) {
            (Verdict::Accept(_), "accept" | "either") => true,
            (Verdict::Answer { response, .. }, "reject" | "either") => case.expect.contains(&response.status),
            (Verdict::Drop(_), "reject") => case.may_drop,
            (Verdict::Accept(_), "reject") => {
                // A REGISTER to a URN is well formed; the registrar knows nobody of that name.
                ENDPOINTS.contains(&case.file.as_str()) || case.file == "rfc4475/unksm2.dat"
            }
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{}: {verdict:?}", case.file));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_accepted_is_the_same_when_it_is_printed_and_read_again() {
    let Some(cases) = cases() else { return println!("{SKIPPED}") };
    for case in cases {
        if let Ok(message) = parse_datagram(&case.bytes) {
            assert_eq!(parse_datagram(&message.to_bytes()), Ok(message), "{}", case.file);
        }
    }
}

#[test]
fn torture_says_what_the_rfcs_say() {
    let Some(cases) = cases() else { return println!("{SKIPPED}") };
    let message = |file: &str| {
        let case = cases.iter().find(|case| case.file == format!("rfc4475/{file}.dat")).unwrap();
        parse_datagram(&case.bytes).unwrap()
    };
    let odd = message("wsinv");
    let headers = odd.headers();
    assert_eq!((headers.number("Max-Forwards"), headers.cseq().unwrap().number), (Ok(Some(68)), 9));
    assert_eq!(headers.to().unwrap().tag(), Some("1918181833n"));
    assert_eq!(headers.from().unwrap().display.as_deref(), Some("J Rosenberg \\\""));
    assert_eq!(headers.elements("Via").count(), 3);
    assert_eq!(headers.contact().unwrap().unwrap().param("q"), Some(Some("0.33")));
    assert_eq!(odd.body().len(), 150);

    let Message::Request(escaped) = message("esc01") else { panic!() };
    assert_eq!(escaped.uri.user_unescaped().as_deref(), Some("sips:user@example.com"));
    assert!(!escaped.uri.is_sips());

    let Message::Request(escaped) = message("esc02") else { panic!() };
    assert_eq!(escaped.method.as_str(), "RE%47IST%45R");
    assert_eq!(escaped.headers.all("Contact").count(), 2);

    let nul = message("escnull");
    let contacts = nul.headers().name_addrs("Contact").unwrap();
    assert!(contacts.len() == 2 && !contacts[0].uri.same_as(&contacts[1].uri));

    let Message::Request(semicolon) = message("semiuri") else { panic!() };
    assert_eq!(semicolon.uri.user_unescaped().as_deref(), Some("user;par=u@example.net"));

    let two = message("dblreq");
    assert!(two.body().is_empty(), "the second request is not the body of the first");

    let Message::Request(odd) = message("intmeth") else { panic!() };
    assert_eq!(odd.headers.from().unwrap().params.value("fromParam''~+*_!.-%").as_deref(), Some("работающий"));
    assert_eq!(odd.uri.host, "example.com");
}

struct Case {
    file: String,
    bytes: Bytes,
    parse: String,
    expect: Vec<u16>,
    may_drop: bool,
}

fn cases() -> Option<Vec<Case>> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/sip-torture"));
    let manifest: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("manifest.json")).ok()?).unwrap();
    let cases = manifest["cases"].as_array().unwrap();
    let case = |case: &serde_json::Value| {
        let file = case["file"].as_str().unwrap().to_owned();
        let statuses = case["expect"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64);
        Case {
            bytes: fs::read(folder.join(&file)).unwrap().into(),
            file,
            parse: case["parse"].as_str().unwrap().to_owned(),
            expect: statuses.map(|status| status as u16).collect(),
            may_drop: case["expect"] == "drop" || case["allow_drop"] == true,
        }
    };
    Some(cases.iter().map(case).collect())
}
