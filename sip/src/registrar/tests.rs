use std::net::SocketAddr;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    auth::{Credentials, GuardConfig, Prover},
    message::{Headers, Message, parse_datagram},
    transport::Protocol,
};

#[test]
fn nobody_registers_without_a_password_and_nobody_learns_who_exists() {
    let mut kit = Kit::new(Limits::default());
    let asked = kit.send(&register("alice", 1, &["<sip:alice@192.0.2.1>"]));
    assert_eq!(asked.response.status, 401);
    let challenge = asked.response.headers.all("WWW-Authenticate").count();
    for (user, password) in [("alice", "wrong"), ("nobody", "wrong"), ("nobody", "")] {
        let answer = kit.register_as(user, password, register(user, 2, &["<sip:alice@192.0.2.1>"]));
        assert_eq!(answer.response.status, 401, "{user}");
        assert_eq!(answer.response.headers.all("WWW-Authenticate").count(), challenge);
        assert!(matches!(answer.outcome, Outcome::Challenged(Unproven::Password)));
    }
    assert_eq!(kit.registrar.registered(kit.now).count(), 0);
}

#[test]
fn a_telephone_registers_refreshes_is_found_and_leaves() {
    let mut kit = Kit::new(Limits::default());
    let answer = kit.register("alice", register("alice", 1, &["<sip:alice@192.0.2.1;line=7>;expires=300;+sip.ice"]));
    assert_eq!(answer.response.status, 200);
    assert_eq!(answer.response.headers.first("Contact"), Some("<sip:alice@192.0.2.1;line=7>;+sip.ice;expires=300"));
    assert_eq!(answer.outcome, Outcome::Done { user: "alice".to_owned(), bindings: 1 });
    let reach = kit.registrar.lookup("alice", kit.now);
    assert_eq!(reach[0].uri.to_string(), "sip:alice@192.0.2.1;line=7");
    assert_eq!(reach[0].target.as_ref().unwrap().address, kit.source.remote);

    kit.now += Duration::from_secs(200);
    let fetched = kit.register("alice", register("alice", 2, &[]));
    assert_eq!(fetched.response.headers.first("Contact"), Some("<sip:alice@192.0.2.1;line=7>;+sip.ice;expires=100"));
    let refreshed = kit.register("alice", register("alice", 3, &["<sip:alice@192.0.2.1;line=7>;expires=300"]));
    assert_eq!(refreshed.response.headers.all("Contact").count(), 1);
    kit.now += Duration::from_secs(299);
    assert_eq!(kit.registrar.lookup("alice", kit.now).len(), 1);
    let left = kit.register("alice", register("alice", 4, &["<sip:alice@192.0.2.1;line=7>;expires=0"]));
    assert_eq!((left.response.status, left.response.headers.contains("Contact")), (200, false));
    assert_eq!(kit.registrar.lookup("alice", kit.now), []);
}

#[test]
fn a_registration_ends_by_itself() {
    let mut kit = Kit::new(Limits::default());
    kit.register("alice", register("alice", 1, &["<sip:alice@192.0.2.1>;expires=60"]));
    kit.now += Duration::from_secs(59);
    assert_eq!(kit.registrar.registered(kit.now).collect::<Vec<_>>(), [("alice", 1)]);
    kit.now += Duration::from_secs(1);
    assert_eq!(kit.registrar.lookup("alice", kit.now), []);
    kit.register("bob", register("bob", 1, &["<sip:bob@192.0.2.2>"]));
    assert_eq!(kit.registrar.bindings.len(), 1);
}

#[test]
fn how_long_a_registration_lasts_is_bounded_both_ways() {
    let mut kit = Kit::new(Limits::default());
    for (number, (contact, expires, outcome)) in [
        ("<sip:a@h>", None, Ok("3600")),
        ("<sip:a@h>", Some("120"), Ok("120")),
        ("<sip:a@h>;expires=90", Some("120"), Ok("90")),
        ("<sip:a@h>;expires=99999", None, Ok("3600")),
        ("<sip:a@h>;expires=99999999999999999999", None, Ok("3600")),
        ("<sip:a@h>;expires=never", None, Ok("3600")),
        ("<sip:a@h>;expires=59", None, Err(423)),
        ("<sip:a@h>", Some("1"), Err(423)),
    ]
    .into_iter()
    .enumerate()
    {
        let mut request = register("alice", number as u32 + 1, &[contact]);
        if let Some(expires) = expires {
            request.headers.push("Expires", expires);
        }
        let response = kit.register("alice", request).response;
        match outcome {
            Ok(seconds) => {
                let contact = response.headers.contact().unwrap().unwrap();
                assert_eq!(contact.params.get("expires"), Some(Some(seconds)), "{contact}");
            }
            Err(status) => {
                assert_eq!((response.status, response.headers.first("Min-Expires")), (status, Some("60")));
            }
        }
    }
}

#[test]
fn a_star_removes_everything_and_must_stand_alone_with_expires_zero() {
    let mut kit = Kit::new(Limits::default());
    kit.register("alice", register("alice", 1, &["<sip:a@h1>", "<sip:a@h2>"]));
    assert_eq!(kit.registrar.lookup("alice", kit.now).len(), 2);
    for (number, contacts, expires) in [
        (2, &["*"][..], None),
        (3, &["*"], Some("60")),
        (4, &["*", "<sip:a@h1>"], Some("0")),
        (5, &["*", "*"], Some("0")),
    ] {
        let mut request = register("alice", number, contacts);
        request.headers.remove("Expires");
        if let Some(expires) = expires {
            request.headers.push("Expires", expires);
        }
        assert_eq!(kit.register("alice", request).response.status, 400, "{contacts:?} {expires:?}");
    }
    assert_eq!(kit.registrar.lookup("alice", kit.now).len(), 2);
    let mut request = register("alice", 6, &["*"]);
    request.headers.push("Expires", "0");
    assert_eq!(kit.register("alice", request).response.status, 200);
    assert_eq!(kit.registrar.lookup("alice", kit.now), []);
}

#[test]
fn a_request_that_was_overtaken_changes_nothing_at_all() {
    let mut kit = Kit::new(Limits::default());
    kit.register("alice", register("alice", 10, &["<sip:a@h1>"]));
    let late = kit.register("alice", register("alice", 9, &["<sip:a@h2>", "<sip:a@h1>;expires=0"]));
    assert_eq!(late.response.status, 500);
    let found: Vec<_> = kit.registrar.lookup("alice", kit.now).into_iter().map(|reach| reach.uri.host).collect();
    assert_eq!(found, ["h1"]);
    // Another telephone counts for itself.
    let mut other = register("alice", 1, &["<sip:a@h1>;expires=0"]);
    other.headers.set("Call-ID", "other");
    assert_eq!(kit.register("alice", other).response.status, 200);
    assert_eq!(kit.registrar.lookup("alice", kit.now), []);
}

#[test]
fn nobody_registers_for_somebody_else_or_for_another_domain() {
    let mut kit = Kit::new(Limits::default());
    let mut request = register("alice", 1, &["<sip:a@h>"]);
    request.headers.set("To", "<sip:bob@example.org>");
    assert_eq!(kit.register("alice", request).response.status, 403);
    let mut request = register("alice", 2, &["<sip:a@h>"]);
    request.headers.set("To", "<sip:alice@elsewhere.example>");
    assert_eq!(kit.register("alice", request).response.status, 404);
    let mut request = register("alice", 3, &["<sip:a@h>"]);
    request.uri = "sip:elsewhere.example".parse().unwrap();
    assert_eq!(kit.send(&request).response.status, 404);
    let mut request = register("alice", 4, &["<sip:a@h>"]);
    request.headers.push("Require", "path, gruu, outbound");
    let refused = kit.send(&request).response;
    assert_eq!((refused.status, refused.headers.first("Unsupported")), (420, Some("gruu, outbound")));
}

#[test]
fn the_most_wanted_telephone_is_called_first_then_the_newest() {
    let mut kit = Kit::new(Limits::default());
    for (cseq, contact) in [(1, "<sip:a@h1>;q=0.5"), (2, "<sip:a@h2>"), (3, "<sip:a@h3>"), (4, "<sip:a@h4>;q=nonsense")]
    {
        kit.now += Duration::from_secs(1);
        kit.register("alice", register("alice", cseq, &[contact]));
    }
    let hosts: Vec<_> = kit.registrar.lookup("alice", kit.now).into_iter().map(|reach| reach.uri.host).collect();
    assert_eq!(hosts, ["h4", "h3", "h2", "h1"]);
}

#[test]
fn users_and_telephones_are_bounded_and_those_who_are_there_may_refresh() {
    let mut kit = Kit::new(Limits { bindings: 3, bindings_per_user: 2, ..Limits::default() });
    assert_eq!(kit.register("alice", register("alice", 1, &["<sip:a@h1>", "<sip:a@h2>"])).response.status, 200);
    let full = kit.register("alice", register("alice", 2, &["<sip:a@h3>"])).response;
    assert_eq!((full.status, full.headers.first("Retry-After")), (503, Some("300")));
    assert_eq!(
        kit.register("alice", register("alice", 3, &["<sip:a@1>", "<sip:a@2>", "<sip:a@3>"])).response.status,
        400
    );
    assert_eq!(kit.register("bob", register("bob", 1, &["<sip:b@h1>"])).response.status, 200);
    assert_eq!(kit.register("bob", register("bob", 2, &["<sip:b@h2>"])).response.status, 503);
    assert_eq!(kit.register("bob", register("bob", 3, &["<sip:b@h1>"])).response.status, 200);
    let swap = kit.register("alice", register("alice", 4, &["<sip:a@h1>;expires=0", "<sip:a@h3>"])).response;
    assert_eq!(swap.status, 200);
}

#[test]
fn a_telephone_behind_a_proxy_is_called_through_it() {
    let mut kit = Kit::new(Limits::default());
    let mut request = register("alice", 1, &["<sip:a@10.0.0.5>"]);
    request.headers.push("Path", "<sip:edge.example;lr>");
    request.headers.push_front("Via", "SIP/2.0/UDP edge.example;branch=z9hG4bKedge");
    let answer = kit.register("alice", request);
    assert_eq!(answer.response.headers.first("Path"), Some("<sip:edge.example;lr>"));
    let reach = &kit.registrar.lookup("alice", kit.now)[0];
    assert_eq!((reach.target.as_ref(), reach.routes[0].uri.host.as_str()), (None, "edge.example"));
}

#[test]
fn a_connection_that_is_gone_is_not_called() {
    let mut kit = Kit::new(Limits::default());
    kit.source.connection = Some(ConnectionId(7));
    kit.register("alice", register("alice", 1, &["<sip:a@192.0.2.1>"]));
    kit.registrar.lost(ConnectionId(8));
    assert!(kit.registrar.lookup("alice", kit.now)[0].target.is_some());
    kit.registrar.lost(ConnectionId(7));
    assert_eq!(kit.registrar.lookup("alice", kit.now)[0].target, None);
}

#[test]
fn users_are_told_apart_by_what_their_escapes_stand_for() {
    let registrar = Registrar::new(Limits::default(), vec!["example.org".to_owned()], Users::default());
    for (uri, user) in [
        ("sip:alice@EXAMPLE.org", Some("alice")),
        ("sips:%61lice:pw@example.org.", Some("alice")),
        ("sip:null-%00-null@example.org", Some("null-\0-null")),
        ("sip:example.org", None),
        ("sip:alice@other.example", None),
        ("tel:+4930123456", None),
    ] {
        let parsed: Uri = uri.parse().unwrap();
        assert_eq!(registrar.user_of(&parsed).as_deref(), user, "{uri}");
    }
}

#[test]
fn the_torturers_registrations_are_answered_as_their_authors_ask() {
    for (text, contacts) in [
        (
            "Contact: sip:+19725552222@gw1.example.net;unknownparam",
            &["<sip:+19725552222@gw1.example.net>;unknownparam;expires=3600"][..],
        ),
        (
            "Contact: <sip:+19725552222@gw1.example.net;unknownparam>",
            &["<sip:+19725552222@gw1.example.net;unknownparam>;expires=3600"],
        ),
        (
            "Contact: <sip:%00@host5.example.com>\r\nContact: <sip:%00%00@host5.example.com>",
            &["<sip:%00@host5.example.com>;expires=3600", "<sip:%00%00@host5.example.com>;expires=3600"],
        ),
        (
            "M: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>",
            &["<sip:user@example.com?Route=%3Csip:sip.example.com%3E>;expires=3600"],
        ),
        ("Contact: <name:John_Smith>", &[]),
    ] {
        let mut kit = Kit::new(Limits::default());
        let whole = format!(
            "REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@example.org>;tag=1\r\nTo: <sip:alice@example.org>\r\nCall-ID: torture\r\n\
             CSeq: 14398234 REGISTER\r\n{text}\r\nl: 0\r\n\r\n"
        );
        let Ok(Message::Request(request)) = parse_datagram(&Bytes::from(whole)) else { panic!("{text}") };
        let response = kit.register("alice", request).response;
        assert_eq!(response.status, if contacts.is_empty() { 400 } else { 200 }, "{text}");
        assert_eq!(response.headers.all("Contact").collect::<Vec<_>>(), contacts);
        let reach = kit.registrar.lookup("alice", kit.now);
        assert!(reach.iter().all(|reach| reach.uri.headers.is_none()));
    }
}

#[test]
fn an_unknown_scheme_of_proof_is_no_proof() {
    let mut kit = Kit::new(Limits::default());
    let mut request = register("alice", 1, &[]);
    request.headers.push("Authorization", "NoOneKnowsThisScheme opaque-data=here");
    assert_eq!(kit.send(&request).response.status, 401);
}

#[test]
fn our_own_client_stays_registered_for_a_day() {
    use crate::registration::{Config, Phase, Registration};
    let mut kit = Kit::new(Limits::default());
    let mut client = Registration::new(
        Config {
            aor: "sip:alice@example.org".parse().unwrap(),
            servers: vec!["sip:example.org".parse().unwrap()],
            contact_user: "alice".to_owned(),
            credentials: Some(credentials("alice", "secret")),
            expires: Duration::from_secs(20),
        },
        [7; 32],
    );
    let start = kit.now;
    client.start(kit.now);
    let mut requests = 0;
    while kit.now < start + Duration::from_secs(86_400) {
        while let Some(ask) = client.poll() {
            requests += 1;
            let mut request = ask.request;
            request.headers.push_front("Via", format!("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{requests}"));
            request.headers.push("Contact", format!("<sip:{}@192.0.2.1:5060>", ask.contact_user));
            let answer = kit.send(&request);
            client.responded(ask.id, Some(&answer.response), kit.now);
        }
        assert_eq!(client.status().phase, Phase::Registered);
        kit.now = client.deadline().unwrap();
        assert_eq!(kit.registrar.lookup("alice", kit.now).len(), 1);
        client.tick(kit.now);
    }
    // 20 s were too brief (423), so the registrar's 60 s are kept: a refresh every 27 to 30 s, most of them in one step.
    assert!((2_880..4_500).contains(&requests), "{requests}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_sequence_of_requests_exceeds_a_bound_or_touches_another_user(
        steps in prop::collection::vec(
            (0_u64..90, prop::bool::ANY, 0_u32..6, prop::collection::vec((0_u8..5, 0_u32..200), 0..4)), 1..40,
        ),
    ) {
        let limits = Limits { bindings: 4, bindings_per_user: 3, ..Limits::default() };
        let mut kit = Kit::new(limits);
        for (at, (after_s, is_alice, cseq_back, contacts)) in steps.into_iter().enumerate() {
            kit.now += Duration::from_secs(after_s);
            let (user, other) = if is_alice { ("alice", "bob") } else { ("bob", "alice") };
            let before = kit.registrar.lookup(other, kit.now);
            let own_before = kit.registrar.lookup(user, kit.now);
            let contacts: Vec<String> =
                contacts.iter().map(|(host, expires)| format!("<sip:x@h{host}>;expires={expires}")).collect();
            let contacts: Vec<&str> = contacts.iter().map(String::as_str).collect();
            let cseq = (10 + at as u32).saturating_sub(cseq_back);
            let answer = kit.register(user, register(user, cseq, &contacts));
            let own = kit.registrar.lookup(user, kit.now);
            prop_assert_eq!(kit.registrar.lookup(other, kit.now), before);
            prop_assert!(own.len() <= 3);
            prop_assert!(kit.registrar.registered(kit.now).map(|(_, count)| count).sum::<usize>() <= 4);
            if answer.response.status == 200 {
                prop_assert_eq!(answer.response.headers.all("Contact").count(), own.len());
            } else {
                prop_assert_eq!(own, own_before, "a refused request changed something");
            }
        }
    }
}

struct Kit {
    registrar: Registrar,
    guard: Guard,
    source: Source,
    now: Instant,
}

impl Kit {
    fn new(limits: Limits) -> Self {
        let users = ["alice", "bob"].map(|name| (name.to_owned(), "secret".to_owned()));
        let now = start();
        let remote: SocketAddr = "198.51.100.7:5062".parse().unwrap();
        let local = "192.0.2.100:5060".parse().unwrap();
        Self {
            registrar: Registrar::new(limits, vec!["example.org".to_owned()], Users::new(users)),
            guard: Guard::new(GuardConfig::new("example.org"), [3; 32], now),
            source: Source { protocol: Protocol::Udp, remote, local, connection: None },
            now,
        }
    }

    fn send(&mut self, request: &Request) -> Answer {
        self.registrar.answer(request, &self.source, &mut self.guard, self.now)
    }

    /// Registers with the right password.
    fn register(&mut self, user: &str, request: Request) -> Answer {
        self.register_as(user, "secret", request)
    }

    fn register_as(&mut self, user: &str, password: &str, mut request: Request) -> Answer {
        let mut prover = Prover::new(credentials(user, password));
        let asked = self.send(&request);
        assert_eq!(asked.response.status, 401);
        prover.challenged(&asked.response).unwrap();
        prover.authorize(&mut request, "cnonce");
        self.send(&request)
    }
}

fn register(user: &str, cseq: u32, contacts: &[&str]) -> Request {
    let mut headers = Headers::new();
    headers.push("Via", format!("SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bK{cseq}"));
    headers.push("From", format!("<sip:{user}@example.org>;tag=1"));
    headers.push("To", format!("<sip:{user}@example.org>"));
    headers.push("Call-ID", "telephone");
    headers.push("CSeq", format!("{cseq} REGISTER"));
    for contact in contacts {
        headers.push("Contact", *contact);
    }
    Request { method: Method::Register, uri: "sip:example.org".parse().unwrap(), headers, body: Bytes::new() }
}

fn credentials(user: &str, password: &str) -> Credentials {
    Credentials { username: user.to_owned(), password: password.to_owned(), realm: None }
}

#[expect(clippy::disallowed_methods, reason = "an instant from which virtual time runs")]
fn start() -> Instant {
    Instant::now()
}
