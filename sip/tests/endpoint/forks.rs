//! One INVITE that reaches many, or leads elsewhere: forks, redirects, names that are looked up, passwords.

use std::time::Duration;

use sip::{
    auth::Credentials,
    endpoint::{CallEvent, CallId, Command, Ended, Failure, Fork, Input, Output},
    message::{Headers, Message, NameAddr, Request},
    transport::{Protocol, Target},
};

use crate::world::{ALICE, BOB, CAROL, Packet, World, address, body, config, name_addr, respond, stranger, within};

/// Alice calls somebody whom the test plays.
fn call_out(world: &mut World) -> (CallId, Request) {
    let mut invite = world.invitation(ALICE, BOB);
    invite.target = Some(Target::new(Protocol::Udp, stranger(1)));
    let call = world.place(ALICE, invite);
    world.run(Duration::from_millis(50));
    let invite = world.mailed("INVITE").request().cloned().expect("an INVITE");
    (call, invite)
}

fn contact(number: u8) -> String {
    format!("<sip:fork{number}@{}>", stranger(number))
}

#[test]
fn the_first_answer_wins_and_later_ones_are_acknowledged_and_hung_up() {
    let mut world = World::new();
    let (alice, invite) = call_out(&mut world);
    for (tag, number) in [("one", 1), ("two", 2), ("three", 3)] {
        let ringing = respond(&invite, 180, tag, &[("Contact", &contact(number))], "");
        world.send(stranger(1), ALICE, Message::Response(ringing));
    }
    let forks: Vec<_> = world
        .events(ALICE, alice)
        .iter()
        .map(|event| match event {
            CallEvent::Ringing { fork, .. } => *fork,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(forks, [Fork(0), Fork(1), Fork(2)]);

    for (tag, number) in [("two", 2), ("one", 1), ("two", 2), ("one", 1)] {
        let answer = respond(&invite, 200, tag, &[("Contact", &contact(number))], "answer");
        world.send(stranger(1), ALICE, Message::Response(answer));
        world.run(Duration::from_millis(100));
    }
    let events = world.events(ALICE, alice);
    assert!(matches!(&events[..], [CallEvent::Answered { fork: Fork(1), answer: Some(_), .. }]), "{events:?}");
    let to = |name: &str, number: u8| {
        let sent = world.mail.iter().filter(|packet| packet.name() == name && packet.to == stranger(number));
        sent.count()
    };
    assert_eq!((to("ACK", 2), to("ACK", 1)), (2, 2), "each 2xx has its ACK, where its Contact is");
    assert_eq!((to("BYE", 2), to("BYE", 1)), (0, 1), "only the winner goes on");
    assert_eq!(world.load(ALICE).dialogs, 1);
}

#[test]
fn an_answer_after_the_call_has_ended_is_acknowledged_and_hung_up() {
    let mut world = World::new();
    let (alice, invite) = call_out(&mut world);
    let answer = |tag: &str| Message::Response(respond(&invite, 200, tag, &[("Contact", &contact(1))], "answer"));
    world.send(stranger(1), ALICE, answer("one"));
    world.run(Duration::from_millis(50));
    world.hang_up(ALICE, alice);
    world.run(Duration::from_millis(50));
    let bye = world.mailed("BYE").request().cloned().expect("a BYE");
    world.send(stranger(1), ALICE, Message::Response(bye.respond(200)));
    world.mail.clear();
    // The first one again, and one that nobody had heard of.
    world.send(stranger(1), ALICE, answer("one"));
    world.send(stranger(1), ALICE, answer("late"));
    world.run(Duration::from_millis(50));
    let names: Vec<_> = world.mail.iter().map(Packet::name).collect();
    assert_eq!(names, ["ACK", "ACK", "BYE"]);
    world.age();
    assert!(world.is_empty());
}

#[test]
fn more_forks_than_may_be_are_not_remembered_but_whoever_answers_is_heard() {
    let mut world = World::new();
    let (alice, invite) = call_out(&mut world);
    for number in 0..100 {
        let ringing = respond(&invite, 180, &format!("tag{number}"), &[("Contact", &contact(1))], "");
        world.send(stranger(1), ALICE, Message::Response(ringing));
    }
    assert_eq!(world.load(ALICE).dialogs, 8);
    world.events(ALICE, alice);
    let answer = respond(&invite, 200, "tag99", &[("Contact", &contact(1))], "answer");
    world.send(stranger(1), ALICE, Message::Response(answer));
    assert!(matches!(world.events(ALICE, alice)[..], [CallEvent::Answered { .. }]));
    assert_eq!(world.load(ALICE).dialogs, 1);
}

#[test]
fn made_up_answers_without_end_cost_little() {
    let mut world = World::new();
    let (alice, invite) = call_out(&mut world);
    for number in 0..500 {
        let answer = respond(&invite, 200, &format!("tag{number}"), &[("Contact", &contact(1))], "answer");
        world.send(stranger(1), ALICE, Message::Response(answer));
    }
    assert!(world.load(ALICE).requests < 40 && world.load(ALICE).transactions < 40, "{:?}", world.load(ALICE));
    world.hang_up(ALICE, alice);
    world.run(Duration::from_secs(70));
    assert!(world.is_empty());
}

#[test]
fn an_answer_without_a_session_description_ends_the_call() {
    let mut world = World::new();
    let (alice, invite) = call_out(&mut world);
    let answer = respond(&invite, 200, "one", &[("Contact", &contact(1))], "");
    world.send(stranger(1), ALICE, Message::Response(answer));
    world.moment();
    assert_eq!(world.end(ALICE, alice), Ended::NoAgreement);
    assert_eq!(world.names(address(ALICE)), ["INVITE", "ACK", "BYE"]);

    // Gateways that let their answer be heard with 183 and leave it out of 200 are understood.
    let mut world = World::new();
    let (alice, invite) = call_out(&mut world);
    for (status, body) in [(183, "answer"), (200, "")] {
        let response = respond(&invite, status, "one", &[("Contact", &contact(1))], body);
        world.send(stranger(1), ALICE, Message::Response(response));
    }
    assert!(matches!(
        &world.events(ALICE, alice)[..],
        [CallEvent::Ringing { answer: Some(early), .. }, CallEvent::Answered { answer: None, .. }] if *early == body("answer")
    ));
}

#[test]
fn a_redirect_is_followed_best_first_and_within_its_limit() {
    let mut world = World::with([config(ALICE), config(BOB), config(CAROL)]);
    let invite = world.invitation(ALICE, BOB);
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_millis(50));
    let bob = world.invited(BOB);
    let worse: NameAddr = format!("<sip:nobody@{}>;q=0.1", stranger(1)).parse().expect("an address");
    let better = name_addr("carol", address(CAROL));
    world.command(BOB, bob, Command::Redirect { contacts: vec![worse.clone(), better.clone()] });
    assert_eq!(world.end(BOB, bob), Ended::HungUp);
    world.moment();
    let events = world.events(ALICE, alice);
    assert!(
        matches!(&events[..], [CallEvent::Redirected { followed: Some(uri), contacts }] if *uri == better.uri && contacts.len() == 2),
        "{events:?}"
    );
    let carol = world.invited(CAROL);
    world.accept(CAROL, carol, Some("answer"));
    world.moment();
    assert!(matches!(world.events(ALICE, alice)[..], [CallEvent::Answered { .. }]));
    let again = world.last_request(address(ALICE), "INVITE");
    let first = world.log[0].request().expect("an INVITE");
    assert_eq!(again.uri, better.uri);
    assert_eq!(again.headers.call_id(), first.headers.call_id());
    assert_eq!(again.headers.to(), first.headers.to(), "who is called stays the same");
    assert!(again.headers.cseq().expect("a CSeq").number > first.headers.cseq().expect("a CSeq").number);
}

#[test]
fn redirects_in_a_circle_end() {
    let mut world = World::new();
    let (alice, mut invite) = call_out(&mut world);
    let mut asked = 1;
    for round in 0..20 {
        let elsewhere = format!("<sip:round{}@{}>", round % 3, stranger(1));
        let moved = respond(&invite, 302, "moved", &[("Contact", &elsewhere)], "");
        world.send(stranger(1), ALICE, Message::Response(moved));
        world.run(Duration::from_millis(50));
        if !world.mail.iter().any(|packet| packet.name() == "INVITE") {
            break;
        }
        invite = world.mailed("INVITE").request().cloned().expect("an INVITE");
        asked += 1;
    }
    assert_eq!(asked, 4, "nobody is asked twice");
    assert!(matches!(world.end(ALICE, alice), Ended::Rejected(response) if response.status == 302));
}

#[test]
fn no_more_redirects_are_followed_than_wished() {
    let mut world = World::new();
    let mut invite = world.invitation(ALICE, BOB);
    invite.most_redirects = 0;
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_millis(50));
    let bob = world.invited(BOB);
    world.command(BOB, bob, Command::Redirect { contacts: vec![name_addr("carol", stranger(1))] });
    world.moment();
    let events = world.events(ALICE, alice);
    assert!(matches!(
        &events[..],
        [CallEvent::Redirected { followed: None, .. }, CallEvent::Ended { why: Ended::Rejected(_) }]
    ));
}

#[test]
fn who_is_named_next_is_asked_when_the_first_cannot_be_reached() {
    let mut world = World::with([config(ALICE), config(BOB), config(CAROL)]);
    let invite = world.invitation(ALICE, BOB);
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_millis(50));
    let bob = world.invited(BOB);
    let contacts = vec![name_addr("nobody", stranger(1)), name_addr("carol", address(CAROL))];
    world.command(BOB, bob, Command::Redirect { contacts });
    world.run(Duration::from_secs(33));
    let carol = world.invited(CAROL);
    world.accept(CAROL, carol, Some("answer"));
    world.moment();
    assert!(matches!(world.events(ALICE, alice).last(), Some(CallEvent::Answered { .. })));
}

/// The digest challenge of a registrar or trunk.
const CHALLENGE: &str = r#"Digest realm="harmony", nonce="4f2c", qop="auth", algorithm=SHA-256"#;

#[test]
fn a_challenge_is_answered_with_a_higher_cseq() {
    let mut world = World::new();
    let mut invite = world.invitation(ALICE, BOB);
    invite.target = Some(Target::new(Protocol::Udp, stranger(1)));
    invite.credentials = Some(Credentials { username: "yard".to_owned(), password: "secret".to_owned(), realm: None });
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_millis(50));
    let first = world.mailed("INVITE").request().cloned().expect("an INVITE");
    assert!(!first.headers.contains("Authorization"));
    let challenge = respond(&first, 407, "proxy", &[("Proxy-Authenticate", CHALLENGE)], "");
    world.send(stranger(1), ALICE, Message::Response(challenge));
    world.run(Duration::from_millis(50));
    let second = world.mailed("INVITE").request().cloned().expect("an INVITE");
    assert!(second.headers.first("Proxy-Authorization").is_some_and(|proof| proof.contains("username=\"yard\"")));
    let number = |request: &Request| request.headers.cseq().expect("a CSeq").number;
    assert_eq!(number(&second), number(&first) + 1);
    assert_eq!(second.headers.call_id(), first.headers.call_id());
    assert_eq!(second.headers.first("From"), first.headers.first("From"));
    assert_ne!(second.headers.first("Via"), first.headers.first("Via"));
    assert!(!second.headers.to().expect("a To").params.contains("tag"));

    // The ACK proves the same, and so does what follows within the dialog.
    let answer = respond(&second, 200, "one", &[("Contact", &contact(1))], "answer");
    world.send(stranger(1), ALICE, Message::Response(answer));
    world.run(Duration::from_millis(50));
    let ack = world.mailed("ACK").request().cloned().expect("an ACK");
    assert_eq!(ack.headers.first("Proxy-Authorization"), second.headers.first("Proxy-Authorization"));
    world.hang_up(ALICE, alice);
    world.run(Duration::from_millis(50));
    let bye = world.mailed("BYE").request().cloned().expect("a BYE");
    assert!(bye.headers.contains("Proxy-Authorization"));
    assert_eq!(number(&bye), number(&second) + 1);
    // A goodbye that is challenged all the same is said again, though nobody waits for it.
    let challenge = respond(&bye, 407, "", &[("Proxy-Authenticate", &CHALLENGE.replace("4f2c", "4f2d"))], "");
    world.send(stranger(1), ALICE, Message::Response(challenge));
    world.run(Duration::from_millis(50));
    let again = world.mailed("BYE").request().cloned().expect("a BYE");
    assert_eq!(number(&again), number(&bye) + 1);
}

#[test]
fn a_password_that_is_refused_is_not_tried_again_and_again() {
    let mut world = World::new();
    let mut invite = world.invitation(ALICE, BOB);
    invite.target = Some(Target::new(Protocol::Udp, stranger(1)));
    invite.credentials = Some(Credentials { username: "yard".to_owned(), password: "wrong".to_owned(), realm: None });
    let alice = world.place(ALICE, invite);
    for round in 0..10 {
        world.run(Duration::from_millis(50));
        if !world.mail.iter().any(|packet| packet.name() == "INVITE") {
            break;
        }
        let invite = world.mailed("INVITE").request().cloned().expect("an INVITE");
        let fresh = CHALLENGE.replace("4f2c", &format!("nonce{round}"));
        world.send(
            stranger(1),
            ALICE,
            Message::Response(respond(&invite, 401, "t", &[("WWW-Authenticate", &fresh)], "")),
        );
    }
    assert!(matches!(world.end(ALICE, alice), Ended::Rejected(response) if response.status == 401));
    assert!(world.count(address(ALICE), "INVITE") <= 3);
}

#[test]
fn without_credentials_a_challenge_ends_the_call() {
    let mut world = World::new();
    let (alice, invite) = call_out(&mut world);
    world.send(
        stranger(1),
        ALICE,
        Message::Response(respond(&invite, 401, "t", &[("WWW-Authenticate", CHALLENGE)], "")),
    );
    assert!(matches!(world.end(ALICE, alice), Ended::Rejected(response) if response.status == 401));
}

#[test]
fn a_password_is_not_proven_to_whom_a_redirect_leads_to() {
    let mut world = World::new();
    let mut invite = world.invitation(ALICE, BOB);
    invite.target = Some(Target::new(Protocol::Udp, stranger(1)));
    invite.credentials = Some(Credentials { username: "yard".to_owned(), password: "secret".to_owned(), realm: None });
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_millis(50));
    let first = world.mailed("INVITE").request().cloned().expect("an INVITE");
    let elsewhere = format!("<sip:evil@{}>", stranger(6));
    world.send(stranger(1), ALICE, Message::Response(respond(&first, 302, "t", &[("Contact", &elsewhere)], "")));
    world.run(Duration::from_millis(50));
    let second = world.mailed("INVITE").request().cloned().expect("an INVITE");
    world.send(
        stranger(6),
        ALICE,
        Message::Response(respond(&second, 401, "t", &[("WWW-Authenticate", CHALLENGE)], "")),
    );
    assert!(matches!(world.end(ALICE, alice), Ended::Rejected(response) if response.status == 401));
    assert!(
        world
            .log
            .iter()
            .filter_map(|packet| packet.request())
            .all(|request| !request.headers.contains("Authorization"))
    );
}

#[test]
fn a_name_is_looked_up_and_its_addresses_are_tried_in_order() {
    let mut world = World::new();
    let mut invite = world.invitation(ALICE, BOB);
    invite.target = None;
    invite.uri = "sip:callee@voice.example".parse().expect("a URI");
    let alice = world.place(ALICE, invite);
    let others = world.others(ALICE);
    let [Output::Resolve { token, host, port: None, protocol: None }] = &others[..] else { panic!("{others:?}") };
    assert_eq!(host, "voice.example");
    let targets = [stranger(1), address(BOB)].map(|address| Target::new(Protocol::Udp, address)).to_vec();
    world.tell(ALICE, Input::Resolved { token: *token, targets });
    world.run(Duration::from_secs(33));
    let bob = world.invited(BOB);
    world.accept(BOB, bob, Some("answer"));
    world.moment();
    assert!(matches!(world.events(ALICE, alice)[..], [CallEvent::Answered { .. }]));
    world.hang_up(ALICE, alice);
    world.moment();
    assert_eq!(world.events(BOB, bob).len(), 2);
    world.age();
    assert!(world.is_empty());
}

#[test]
fn a_name_that_leads_nowhere_ends_the_call() {
    for answer in [true, false] {
        let mut world = World::new();
        let mut invite = world.invitation(ALICE, BOB);
        invite.target = None;
        invite.uri = "sip:callee@voice.example;transport=tcp".parse().expect("a URI");
        let alice = world.place(ALICE, invite);
        let others = world.others(ALICE);
        let [Output::Resolve { token, protocol: Some(Protocol::Tcp), .. }] = &others[..] else { panic!("{others:?}") };
        if answer {
            world.tell(ALICE, Input::Resolved { token: *token, targets: Vec::new() });
        } else {
            world.run(Duration::from_secs(33));
        }
        assert_eq!(world.end(ALICE, alice), Ended::Failed(Failure::Unresolved));
        world.tell(ALICE, Input::Resolved { token: *token, targets: Vec::new() });
        assert!(world.is_empty());
    }
}

#[test]
fn a_call_that_waits_for_a_name_can_be_hung_up() {
    let mut world = World::new();
    let mut invite = world.invitation(ALICE, BOB);
    invite.target = None;
    invite.uri = "sip:callee@voice.example".parse().expect("a URI");
    let alice = world.place(ALICE, invite);
    world.hang_up(ALICE, alice);
    assert_eq!(world.end(ALICE, alice), Ended::HungUp);
    assert!(world.is_empty());
}

#[test]
fn the_ack_and_the_goodbye_of_a_named_contact_find_their_way() {
    let mut world = World::new();
    let (alice, invite) = call_out(&mut world);
    let answer = respond(&invite, 200, "one", &[("Contact", "<sip:fork@far.example>")], "answer");
    world.send(stranger(1), ALICE, Message::Response(answer.clone()));
    assert!(matches!(world.events(ALICE, alice)[..], [CallEvent::Answered { .. }]));
    // The 2xx comes again while the name is looked up: the ACK is not made twice.
    world.send(stranger(1), ALICE, Message::Response(answer.clone()));
    let others = world.others(ALICE);
    let [Output::Resolve { token, host, .. }] = &others[..] else { panic!("{others:?}") };
    assert_eq!(host, "far.example");
    let target = Target::new(Protocol::Udp, stranger(2));
    world.tell(ALICE, Input::Resolved { token: *token, targets: vec![target.clone()] });
    world.run(Duration::from_millis(50));
    assert_eq!(world.mailed("ACK").to, stranger(2));
    world.send(stranger(1), ALICE, Message::Response(answer));
    world.run(Duration::from_millis(50));
    assert_eq!(world.mailed("ACK").to, stranger(2));
    world.hang_up(ALICE, alice);
    let others = world.others(ALICE);
    let [Output::Resolve { token, .. }] = &others[..] else { panic!("{others:?}") };
    world.tell(ALICE, Input::Resolved { token: *token, targets: vec![target] });
    world.run(Duration::from_millis(50));
    assert_eq!(world.mailed("BYE").to, stranger(2));
    world.age();
    assert!(world.is_empty());
}

#[test]
fn a_callee_that_hangs_up_before_it_answered_loses_its_fork_alone() {
    let mut world = World::new();
    let (alice, invite) = call_out(&mut world);
    let ringing = respond(&invite, 180, "one", &[("Contact", &contact(1))], "");
    world.send(stranger(1), ALICE, Message::Response(ringing));
    world.events(ALICE, alice);
    world.send(stranger(1), ALICE, Message::Request(within(&invite, "one", "BYE", 7, stranger(1))));
    world.run(Duration::from_millis(50));
    assert_eq!(world.mailed("200 BYE").to, stranger(1));
    assert_eq!(world.load(ALICE).dialogs, 0);
    assert!(world.events(ALICE, alice).is_empty());
    let headers = Headers::new();
    world.command(ALICE, alice, Command::Reject { status: 486, headers });
    assert!(matches!(world.events(ALICE, alice)[..], [CallEvent::Refused { command: "Reject", .. }]));
}

#[test]
fn an_answer_that_cannot_be_followed_ends_the_call() {
    let mut world = World::new();
    let (alice, invite) = call_out(&mut world);
    let answer = respond(&invite, 200, "one", &[("Record-Route", "<<nonsense")], "answer");
    world.send(stranger(1), ALICE, Message::Response(answer));
    assert_eq!(world.end(ALICE, alice), Ended::Failed(Failure::Unreadable));
    world.age();
    assert!(world.is_empty());
    // Without a legible Contact, the way that the INVITE went is the best guess.
    let mut world = World::new();
    let (alice, invite) = call_out(&mut world);
    let answer = respond(&invite, 200, "one", &[("Contact", "<<nonsense")], "answer");
    world.send(stranger(1), ALICE, Message::Response(answer));
    assert!(matches!(world.events(ALICE, alice)[..], [CallEvent::Answered { .. }]));
    assert_eq!(world.last_request(address(ALICE), "ACK").uri, invite.uri);
}
