//! Requests outside of dialogs, both ways: OPTIONS, REGISTER, MESSAGE, what is unknown, and what is full.

use std::time::Duration;

use sip::{
    auth::Credentials,
    endpoint::{CallEvent, Command, ContactUser, Ended, Failure, Input, OutOfDialog, Output, TransactionId},
    message::{Headers, Message, Method, Request},
    transport::{Protocol, Target},
};

use crate::world::{ALICE, BOB, World, address, body, config, name_addr, request, respond, stranger};

fn message(world: &World) -> OutOfDialog {
    let uri = format!("sip:bob@{}", address(BOB)).parse().expect("a URI");
    let mut asked =
        OutOfDialog::new(Method::Message, uri, &name_addr("alice", address(ALICE)), &name_addr("bob", address(BOB)));
    asked.target = Some(Target::new(world.protocol, address(BOB)));
    asked
}

fn asked(outputs: &[Output]) -> (TransactionId, Request) {
    match outputs {
        [Output::Asked { transaction, request, .. }] => (*transaction, (**request).clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_is_handed_up_and_its_answer_comes_back() {
    let mut world = World::new();
    let id = world.next_request();
    let request = Box::new(message(&world));
    world.tell(ALICE, Input::Request { id, request });
    world.moment();
    let (transaction, request) = asked(&world.others(BOB));
    assert_eq!(request.method, Method::Message);
    let mut headers = Headers::new();
    headers.push("X-Note", "heard");
    world.tell(BOB, Input::Respond { transaction, status: 200, headers, body: None });
    world.moment();
    let others = world.others(ALICE);
    let [Output::Responded { id: answered, result: Ok(response) }] = &others[..] else { panic!("{others:?}") };
    assert_eq!((*answered, response.status, response.headers.first("X-Note")), (id, 200, Some("heard")));
    assert!(response.headers.to().expect("a To").tag().is_some());
    // Answered is answered.
    world.tell(BOB, Input::Respond { transaction, status: 500, headers: Headers::new(), body: None });
    world.age();
    assert_eq!(world.count(address(BOB), "500 MESSAGE"), 0);
    assert!(world.is_empty());
}

#[test]
fn a_request_that_nobody_answers_gets_500_and_one_that_is_lost_times_out() {
    let mut world = World::new();
    let id = world.next_request();
    let request = Box::new(message(&world));
    world.tell(ALICE, Input::Request { id, request });
    world.run(Duration::from_millis(31_500));
    let others = world.others(ALICE);
    assert!(
        matches!(&others[..], [Output::Responded { result: Ok(response), .. }] if response.status == 500),
        "{others:?}"
    );

    let id = world.next_request();
    let mut request = message(&world);
    request.target = Some(Target::new(Protocol::Udp, stranger(9)));
    world.tell(ALICE, Input::Request { id, request: Box::new(request) });
    world.run(Duration::from_secs(33));
    let others = world.others(ALICE);
    assert_eq!(others, [Output::Responded { id, result: Err(Failure::TimedOut) }]);
    // T1, doubling up to T2: at 0, 0.5, 1.5, 3.5, 7.5, … 31.5 s.
    assert_eq!(world.log.iter().filter(|packet| packet.to == stranger(9)).count(), 11);
    world.age();
    assert!(world.is_empty());
}

#[test]
fn a_request_is_registered_with_our_contact_and_a_password() {
    let mut world = World::new();
    let registrar: sip::message::Uri = "sip:registrar.example".parse().expect("a URI");
    let who = name_addr("yard", address(ALICE));
    let mut register = OutOfDialog::new(Method::Register, registrar, &who, &who);
    register.target = Some(Target::new(Protocol::Udp, stranger(1)));
    register.contact = Some(ContactUser { user: Some("yard".to_owned()), params: ";expires=300".to_owned() });
    register.credentials = Some(Credentials { username: "yard".into(), password: "secret".into(), realm: None });
    let id = world.next_request();
    world.tell(ALICE, Input::Request { id, request: Box::new(register) });
    world.run(Duration::from_millis(50));
    let first = world.mailed("REGISTER").request().cloned().expect("a REGISTER");
    assert_eq!(first.headers.first("Contact"), Some("<sip:yard@10.0.0.1:5060>;expires=300"));
    assert!(first.headers.from().expect("a From").tag().is_some());
    let challenge = r#"Digest realm="harmony", nonce="1", algorithm=MD5"#;
    let response = respond(&first, 401, "t", &[("WWW-Authenticate", challenge)], "");
    world.send(stranger(1), ALICE, Message::Response(response));
    world.run(Duration::from_millis(50));
    let second = world.mailed("REGISTER").request().cloned().expect("a REGISTER");
    assert!(second.headers.contains("Authorization"));
    assert_eq!(second.headers.first("Contact"), first.headers.first("Contact"));
    let number = |request: &Request| request.headers.cseq().expect("a CSeq").number;
    assert_eq!(number(&second), number(&first) + 1);
    assert_eq!(second.headers.call_id(), first.headers.call_id());
    world.send(stranger(1), ALICE, Message::Response(respond(&second, 200, "t", &[("Expires", "300")], "")));
    let others = world.others(ALICE);
    assert!(matches!(&others[..], [Output::Responded { result: Ok(response), .. }] if response.status == 200));
}

#[test]
fn a_request_that_cannot_be_sent_says_why() {
    let mut world = World::new();
    let who = name_addr("yard", address(ALICE));
    for uri in ["tel:+4930123", "sip:a@10.0.0.2;transport=sctp"] {
        let request = OutOfDialog::new(Method::Message, uri.parse().expect("a URI"), &who, &who);
        let id = world.next_request();
        world.tell(ALICE, Input::Request { id, request: Box::new(request) });
        assert!(
            matches!(world.others(ALICE)[..], [Output::Responded { result: Err(Failure::Unsendable(_)), .. }]),
            "{uri}"
        );
    }
    assert!(world.log.is_empty());
}

#[test]
fn options_tells_what_we_can_and_503_while_draining() {
    let mut world = World::new();
    world.send(stranger(1), BOB, Message::Request(request("OPTIONS", stranger(1), BOB, "")));
    let response = world.last_response(address(BOB), "200 OPTIONS");
    for method in
        ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY", "REGISTER"]
    {
        assert!(response.headers.contains_token("Allow", method), "{method}");
    }
    for option in ["100rel", "timer", "replaces"] {
        assert!(response.headers.contains_token("Supported", option), "{option}");
    }
    let (alice, _) = world.connect();
    world.tell(BOB, Input::Drain(true));
    let mut options = request("OPTIONS", stranger(1), BOB, "");
    options.headers.set("Via", "SIP/2.0/UDP 10.9.9.1;branch=z9hG4bKagain");
    options.headers.set("Call-ID", "another");
    world.send(stranger(1), BOB, Message::Request(options));
    assert!(world.last_response(address(BOB), "503 OPTIONS").headers.contains("Retry-After"));
    let invite = world.invitation(ALICE, BOB);
    let refused = world.place(ALICE, invite);
    world.moment();
    assert!(matches!(world.end(ALICE, refused), Ended::Rejected(response) if response.status == 503));
    // What is there goes on.
    world.command(ALICE, alice, Command::Dtmf { key: '1', duration_ms: 100 });
    world.moment();
    assert_eq!(world.all_events(BOB).len(), 1);
}

#[test]
fn methods_are_refused_as_what_they_are() {
    for (method, refused, has_allow) in [
        ("PUBLISH", "405 PUBLISH", true),
        ("SUBSCRIBE", "405 SUBSCRIBE", true),
        ("BREW", "501 BREW", true),
        ("BYE", "481 BYE", false),
        ("CANCEL", "481 CANCEL", false),
        ("UPDATE", "481 UPDATE", false),
        ("REFER", "403 REFER", false),
    ] {
        let mut world = World::new();
        world.send(stranger(1), BOB, Message::Request(request(method, stranger(1), BOB, "")));
        let response = world.last_response(address(BOB), refused);
        assert_eq!(response.headers.contains_token("Allow", "INVITE"), has_allow, "{method}");
        assert!(response.headers.to().expect("a To").tag().is_some());
        assert!(world.all_events(BOB).is_empty() && world.others(BOB).is_empty());
        world.age();
        assert!(world.is_empty());
    }
}

#[test]
fn an_ack_for_nothing_is_not_answered() {
    let mut world = World::new();
    world.send(stranger(1), BOB, Message::Request(request("ACK", stranger(1), BOB, "")));
    assert!(world.log.is_empty());
}

#[test]
fn the_same_request_by_two_ways_is_merged() {
    let mut world = World::new();
    let mut invite = request("INVITE", stranger(1), BOB, "");
    world.send(stranger(1), BOB, Message::Request(invite.clone()));
    world.invited(BOB);
    invite.headers.set("Via", format!("SIP/2.0/UDP {};branch=z9hG4bKother", stranger(2)));
    world.send(stranger(2), BOB, Message::Request(invite));
    assert_eq!(world.count(address(BOB), "482 INVITE"), 1);
    assert!(world.all_events(BOB).is_empty());
}

#[test]
fn an_invite_of_ours_that_comes_back_unchanged_is_in_a_loop() {
    let mut world = World::new();
    let mut invite = world.invitation(ALICE, BOB);
    invite.target = Some(Target::new(Protocol::Udp, stranger(1)));
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_millis(50));
    let mut back = world.mailed("INVITE").request().cloned().expect("an INVITE");
    back.headers.push_front("Via", format!("SIP/2.0/UDP {};branch=z9hG4bKproxy", stranger(1)));
    world.send(stranger(1), ALICE, Message::Request(back.clone()));
    assert_eq!(world.count(address(ALICE), "482 INVITE"), 1);
    // With another Request-URI it is a call to ourselves.
    back.uri = format!("sip:echo@{}", address(ALICE)).parse().expect("a URI");
    back.headers.pop_front("Via");
    back.headers.push_front("Via", format!("SIP/2.0/UDP {};branch=z9hG4bKspiral", stranger(1)));
    world.send(stranger(1), ALICE, Message::Request(back));
    world.invited(ALICE);
    assert!(world.events(ALICE, alice).is_empty());
}

#[test]
fn a_full_house_says_503_and_goes_on_with_who_is_there() {
    let mut small = config(BOB);
    small.limits.calls = 2;
    let mut world = World::with([config(ALICE), small]);
    let (alice, _) = world.connect();
    let (_, _) = world.connect();
    let invite = world.invitation(ALICE, BOB);
    let third = world.place(ALICE, invite);
    world.moment();
    let Ended::Rejected(response) = world.end(ALICE, third) else { panic!("not refused") };
    assert_eq!((response.status, response.headers.first("Retry-After")), (503, Some("5")));
    let mut full = world.invitation(BOB, ALICE);
    full.offer = None;
    let placed = world.place(BOB, full);
    assert_eq!(world.end(BOB, placed), Ended::Failed(Failure::Full));
    world.hang_up(ALICE, alice);
    world.moment();
    let invite = world.invitation(ALICE, BOB);
    world.place(ALICE, invite);
    world.moment();
    world.invited(BOB);
}

#[test]
fn whoever_scans_is_held_to_a_rate_and_costs_no_memory() {
    let mut strict = config(BOB);
    strict.limits.invites_per_source_per_s = 50;
    strict.limits.invites_per_source_burst = 100;
    let mut world = World::with([config(ALICE), strict]);
    for number in 0..1_000 {
        let mut invite = request("INVITE", stranger(1), BOB, "");
        invite.headers.set("Via", format!("SIP/2.0/UDP {};branch=z9hG4bKscan{number}", stranger(1)));
        invite.headers.set("Call-ID", format!("scan-{number}"));
        world.send(stranger(1), BOB, Message::Request(invite));
    }
    let refused = world.count(address(BOB), "503 INVITE");
    assert!(refused > 800, "{refused}");
    assert!(world.load(BOB).calls < 200 && world.load(BOB).transactions < 200);
    // Others are heard all the same.
    let invite = world.invitation(ALICE, BOB);
    let alice = world.place(ALICE, invite);
    world.moment();
    assert!(world.events(ALICE, alice).is_empty());
}

#[test]
fn when_transactions_are_full_calls_can_still_be_ended() {
    let mut small = config(BOB);
    small.limits.transactions = 8;
    let mut world = World::with([config(ALICE), small]);
    let (alice, bob) = world.connect();
    for number in 0..20 {
        let mut options = request("OPTIONS", stranger(1), BOB, "");
        options.headers.set("Via", format!("SIP/2.0/UDP {};branch=z9hG4bKflood{number}", stranger(1)));
        options.headers.set("Call-ID", format!("flood-{number}"));
        world.send(stranger(1), BOB, Message::Request(options));
    }
    assert!(world.count(address(BOB), "503 OPTIONS") > 10);
    world.hang_up(ALICE, alice);
    world.moment();
    assert_eq!(world.end(BOB, bob), Ended::Bye { reason: None });
    world.age();
    assert!(world.is_empty());
}

#[test]
fn a_body_that_is_no_session_description_is_refused() {
    let mut world = World::new();
    let mut invite = request("INVITE", stranger(1), BOB, "Content-Type: text/html\r\n");
    invite.body = body("<html>").bytes;
    world.send(stranger(1), BOB, Message::Request(invite));
    assert_eq!(world.last_response(address(BOB), "415 INVITE").headers.first("Accept"), Some("application/sdp"));
    world.age();
    assert!(world.is_empty());
}

#[test]
fn an_invite_without_a_contact_is_refused() {
    let mut world = World::new();
    let mut invite = request("INVITE", stranger(1), BOB, "");
    invite.headers.remove("Contact");
    world.send(stranger(1), BOB, Message::Request(invite));
    assert_eq!(world.count(address(BOB), "400 INVITE"), 1);
    assert!(!world.all_events(BOB).iter().any(|event| matches!(event, CallEvent::Invited { .. })));
}
