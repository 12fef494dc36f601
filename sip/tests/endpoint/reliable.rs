//! Provisional responses that must arrive (RFC 3262), in both roles.

use std::time::Duration;

use sip::{
    endpoint::{CallEvent, CallId, Command, Ended, OfferBy, OfferedBy, Reliable},
    message::{Headers, Message, Request},
    transport::{Protocol, Target},
};

use crate::world::{ALICE, BOB, Weather, World, address, body, request, respond, stranger};

fn progress(world: &mut World, call: CallId, text: Option<&str>) {
    world.command(BOB, call, Command::Ring { status: 183, body: text.map(body), is_reliable: true });
}

#[test]
fn an_answer_in_a_reliable_response_counts_and_is_not_repeated() {
    let mut world = World::new();
    let (alice, bob) = world.ring();
    progress(&mut world, bob, Some("answer"));
    world.moment();
    let events = world.events(ALICE, alice);
    assert!(matches!(&events[..], [CallEvent::Ringing { answer: Some(answer), .. }] if *answer == body("answer")));
    assert_eq!(world.names(address(ALICE)), ["INVITE", "PRACK"]);
    assert_eq!(world.names(address(BOB)), ["183 INVITE", "200 PRACK"]);
    let (response, prack) =
        (world.last_response(address(BOB), "183 INVITE"), world.last_request(address(ALICE), "PRACK"));
    let rseq = response.headers.number("RSeq").expect("legible").expect("an RSeq");
    let cseq = response.headers.cseq().expect("a CSeq").number;
    assert_eq!(prack.headers.first("RAck"), Some(&*format!("{rseq} {cseq} INVITE")));
    assert!(response.headers.contains_token("Require", "100rel"));

    world.accept(BOB, bob, None);
    world.moment();
    assert!(matches!(world.events(ALICE, alice)[..], [CallEvent::Answered { answer: None, .. }]));
    assert!(world.last_response(address(BOB), "200 INVITE").body.is_empty());
    assert_eq!(world.events(BOB, bob), [CallEvent::Acked { answer: None }]);
}

#[test]
fn a_reliable_response_is_sent_again_until_its_prack_comes() {
    let mut world = World::new();
    let mut lost = 3;
    world.lets_through = Box::new(move |packet| {
        let is_lost = packet.name() == "183 INVITE" && lost > 0;
        lost -= i32::from(is_lost);
        !is_lost
    });
    let (alice, bob) = world.ring();
    progress(&mut world, bob, None);
    world.run(Duration::from_secs(10));
    assert_eq!(world.count(address(BOB), "183 INVITE"), 4, "at 0, 0.5, 1.5 and 3.5 s");
    assert_eq!(world.events(ALICE, alice).len(), 1);
    assert_eq!(world.count(address(ALICE), "PRACK"), 1);
}

#[test]
fn a_response_that_comes_again_is_acknowledged_once() {
    let mut world = World::new();
    let mut lost = 2;
    world.lets_through = Box::new(move |packet| {
        let is_lost = packet.name() == "PRACK" && lost > 0;
        lost -= i32::from(is_lost);
        !is_lost
    });
    let (alice, bob) = world.ring();
    progress(&mut world, bob, None);
    world.run(Duration::from_secs(10));
    assert_eq!(world.events(ALICE, alice).len(), 1);
    let pracks: std::collections::BTreeSet<_> = world
        .log
        .iter()
        .filter(|packet| packet.name() == "PRACK")
        .map(|packet| packet.request().expect("a request").headers.first("Via").expect("a Via").to_owned())
        .collect();
    assert_eq!(pracks.len(), 1, "one transaction, whose request came again");
}

#[test]
fn a_caller_who_never_acknowledges_gets_504() {
    let mut world = World::new();
    world.lets_through = Box::new(|packet| packet.name() != "PRACK");
    let (alice, bob) = world.ring();
    progress(&mut world, bob, None);
    world.run(Duration::from_secs(33));
    assert_eq!(world.end(BOB, bob), Ended::NoPrack);
    assert!(matches!(world.end(ALICE, alice), Ended::Rejected(response) if response.status == 504));
    world.age();
    assert!(world.is_empty());
}

#[test]
fn reliable_responses_go_one_after_the_other() {
    let mut world = World::new();
    world.weather = Weather { delay: Duration::from_millis(100), ..Weather::default() };
    let invite = world.invitation(ALICE, BOB);
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_millis(150));
    let bob = world.invited(BOB);
    for _ in 0..3 {
        progress(&mut world, bob, None);
    }
    assert_eq!(world.count(address(BOB), "183 INVITE"), 1);
    world.run(Duration::from_secs(2));
    assert_eq!(world.count(address(BOB), "183 INVITE"), 3);
    let numbers: Vec<_> =
        world.log.iter().filter_map(|packet| packet.response()?.headers.number("RSeq").ok().flatten()).collect();
    assert_eq!(numbers, [numbers[0], numbers[0] + 1, numbers[0] + 2]);
    assert_eq!(world.events(ALICE, alice).len(), 3);
}

#[test]
fn the_answer_waits_for_the_prack_of_a_session_description() {
    let mut world = World::new();
    world.weather = Weather { delay: Duration::from_millis(100), ..Weather::default() };
    let invite = world.invitation(ALICE, BOB);
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_millis(150));
    let bob = world.invited(BOB);
    progress(&mut world, bob, Some("answer"));
    world.accept(BOB, bob, None);
    assert_eq!(world.count(address(BOB), "200 INVITE"), 0);
    world.run(Duration::from_secs(1));
    let names = world.names(address(BOB));
    assert_eq!(names, ["183 INVITE", "200 PRACK", "200 INVITE"]);
    assert!(matches!(world.events(ALICE, alice)[..], [CallEvent::Ringing { .. }, CallEvent::Answered { .. }]));
}

#[test]
fn a_callee_may_offer_reliably_and_the_prack_answers() {
    let mut world = World::new();
    let mut invite = world.invitation(ALICE, BOB);
    invite.offer = None;
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_millis(50));
    let bob = world.invited(BOB);
    progress(&mut world, bob, Some("offer"));
    world.moment();
    let events = world.events(ALICE, alice);
    assert!(matches!(&events[0], CallEvent::Ringing { answer: None, .. }));
    assert_eq!(events[1], CallEvent::Offered { offer: Some(body("offer")), by: OfferedBy::Response });
    assert_eq!(world.count(address(ALICE), "PRACK"), 0);
    world.command(ALICE, alice, Command::Answer { body: body("answer") });
    world.moment();
    assert_eq!(world.events(BOB, bob), [CallEvent::OfferAnswered { answer: Some(body("answer")) }]);
    world.accept(BOB, bob, None);
    world.moment();
    assert!(matches!(world.events(ALICE, alice)[..], [CallEvent::Answered { answer: None, .. }]));
    assert_eq!(world.events(BOB, bob), [CallEvent::Acked { answer: None }]);
}

#[test]
fn after_a_reliable_answer_both_sides_may_offer_by_update() {
    let mut world = World::new();
    let (alice, bob) = world.ring();
    progress(&mut world, bob, Some("answer"));
    world.moment();
    world.events(ALICE, alice);
    world.command(ALICE, alice, Command::Offer { body: Some(body("hold")), by: OfferBy::Default });
    world.moment();
    assert_eq!(world.events(BOB, bob), [CallEvent::Offered { offer: Some(body("hold")), by: OfferedBy::Update }]);
    world.command(BOB, bob, Command::Answer { body: body("held") });
    world.moment();
    assert_eq!(world.events(ALICE, alice), [CallEvent::OfferAnswered { answer: Some(body("held")) }]);

    world.command(BOB, bob, Command::Offer { body: Some(body("music")), by: OfferBy::Default });
    world.moment();
    assert_eq!(world.events(ALICE, alice), [CallEvent::Offered { offer: Some(body("music")), by: OfferedBy::Update }]);
    world.command(ALICE, alice, Command::Decline { status: 488, headers: Headers::new() });
    world.moment();
    assert_eq!(world.events(BOB, bob), [CallEvent::OfferDeclined { status: 488 }]);
    world.accept(BOB, bob, None);
    world.moment();
    assert!(matches!(world.events(ALICE, alice)[..], [CallEvent::Answered { .. }]));
}

#[test]
fn an_offer_by_update_before_the_first_is_answered_is_postponed() {
    let mut world = World::new();
    let (_, bob) = world.ring();
    world.command(BOB, bob, Command::Ring { status: 180, body: None, is_reliable: false });
    world.moment();
    let invite = world.last_request(address(ALICE), "INVITE");
    let ringing = world.last_response(address(BOB), "180 INVITE");
    let mut update = request("UPDATE", address(ALICE), BOB, "Content-Type: application/sdp\r\n");
    update.headers.set("From", invite.headers.first("From").expect("a From"));
    update.headers.set("To", ringing.headers.first("To").expect("a To"));
    update.headers.set("Call-ID", invite.headers.call_id().expect("a Call-ID"));
    update.headers.set("CSeq", format!("{} UPDATE", invite.headers.cseq().expect("a CSeq").number + 1));
    update.body = body("offer").bytes;
    world.send(address(ALICE), BOB, Message::Request(update));
    let postponed = world.last_response(address(BOB), "500 UPDATE");
    assert!(postponed.headers.number("Retry-After").expect("legible").expect("there") <= 10);
    assert!(world.events(BOB, bob).is_empty());
}

/// A caller that the test plays, which can do what `lines` say.
fn called(world: &mut World, lines: &str) -> (CallId, Request) {
    let mut invite = request("INVITE", stranger(1), BOB, &format!("{lines}Content-Type: application/sdp\r\n"));
    invite.body = body("offer").bytes;
    world.send(stranger(1), BOB, Message::Request(invite.clone()));
    (world.invited(BOB), invite)
}

#[test]
fn who_cannot_do_it_is_told_unreliably_and_who_demands_it_reliably() {
    let mut world = World::new();
    let (bob, _) = called(&mut world, "");
    progress(&mut world, bob, Some("early"));
    assert!(!world.last_response(address(BOB), "183 INVITE").headers.contains("RSeq"));

    let mut world = World::new();
    let (bob, _) = called(&mut world, "Require: 100rel\r\n");
    world.command(BOB, bob, Command::Ring { status: 180, body: None, is_reliable: false });
    assert!(world.last_response(address(BOB), "180 INVITE").headers.contains("RSeq"));
}

#[test]
fn an_invitation_says_what_its_caller_can_do() {
    for (lines, expected) in [
        ("", Reliable::Cannot),
        ("Supported: timer, 100rel\r\n", Reliable::Can),
        ("Require: 100rel\r\n", Reliable::Must),
    ] {
        let mut world = World::new();
        let mut invite = request("INVITE", stranger(1), BOB, &format!("{lines}Content-Type: application/sdp\r\n"));
        invite.body = body("offer").bytes;
        world.send(stranger(1), BOB, Message::Request(invite));
        let told = world.all_events(BOB);
        assert!(matches!(told[0], CallEvent::Invited { reliable, .. } if reliable == expected), "{lines}");
    }
}

#[test]
fn a_prack_that_acknowledges_nothing_is_refused() {
    let mut world = World::new();
    let (bob, invite) = called(&mut world, "Supported: 100rel\r\n");
    progress(&mut world, bob, None);
    let response = world.last_response(address(BOB), "183 INVITE");
    let rseq = response.headers.number("RSeq").expect("legible").expect("an RSeq");
    let prack = |cseq: u32, rack: String| {
        let mut prack = request("PRACK", stranger(1), BOB, "");
        prack.headers.set("To", response.headers.first("To").expect("a To"));
        prack.headers.set("From", invite.headers.first("From").expect("a From"));
        prack.headers.set("CSeq", format!("{cseq} PRACK"));
        prack.headers.set("Via", format!("SIP/2.0/UDP {};branch=z9hG4bKprack{cseq}", stranger(1)));
        prack.headers.push("RAck", rack);
        Message::Request(prack)
    };
    for (cseq, rack) in
        [(2, format!("{} 1 INVITE", rseq + 1)), (3, format!("{rseq} 2 INVITE")), (4, "nonsense".to_owned())]
    {
        world.send(stranger(1), BOB, prack(cseq, rack));
    }
    assert_eq!(world.count(address(BOB), "481 PRACK"), 3);
    world.send(stranger(1), BOB, prack(5, format!("{rseq} 1 INVITE")));
    world.send(stranger(1), BOB, prack(6, format!("{rseq} 1 INVITE")));
    assert_eq!((world.count(address(BOB), "200 PRACK"), world.count(address(BOB), "481 PRACK")), (1, 4));
}

#[test]
fn a_reliable_response_out_of_order_waits_for_its_turn() {
    let mut world = World::new();
    let mut invite = world.invitation(ALICE, BOB);
    invite.target = Some(Target::new(Protocol::Udp, stranger(1)));
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_millis(50));
    let invite = world.mailed("INVITE").request().cloned().expect("an INVITE");
    let contact = format!("<sip:callee@{}>", stranger(1));
    let mut say = |rseq: &str| {
        let lines = [("Contact", &*contact), ("Require", "100rel"), ("RSeq", rseq)];
        world.send(stranger(1), ALICE, Message::Response(respond(&invite, 183, "one", &lines, "")));
        world.run(Duration::from_millis(20));
        world.count(address(ALICE), "PRACK")
    };
    let pracks = ["10", "12", "10", "11", "12", "9"].map(&mut say);
    assert_eq!(pracks, [1, 1, 1, 2, 3, 3]);
    assert_eq!(world.events(ALICE, alice).len(), 3);
}

#[test]
fn prack_and_update_survive_loss() {
    for seed in 0..30 {
        let mut world = World::new();
        world.seed(seed);
        world.weather = Weather {
            loss: 0.25,
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(50),
            ..Weather::default()
        };
        let invite = world.invitation(ALICE, BOB);
        let alice = world.place(ALICE, invite);
        world.run(Duration::from_secs(20));
        let bob = world.invited(BOB);
        progress(&mut world, bob, Some("answer"));
        world.run(Duration::from_secs(20));
        world.command(ALICE, alice, Command::Offer { body: Some(body("hold")), by: OfferBy::Update });
        world.run(Duration::from_secs(15));
        world.command(BOB, bob, Command::Answer { body: body("held") });
        world.run(Duration::from_secs(15));
        world.accept(BOB, bob, None);
        world.run(Duration::from_secs(20));
        let events = world.events(ALICE, alice);
        assert!(
            events.iter().any(|event| *event == CallEvent::OfferAnswered { answer: Some(body("held")) }),
            "seed {seed}"
        );
        assert!(events.iter().any(|event| matches!(event, CallEvent::Answered { .. })), "seed {seed}: {events:?}");
        world.hang_up(BOB, bob);
        world.run(Duration::from_secs(200));
        assert!(world.is_empty(), "seed {seed}");
    }
}

#[test]
fn a_prack_that_comes_after_the_answer_is_still_answered() {
    let mut world = World::new();
    world.weather = Weather { delay: Duration::from_millis(100), ..Weather::default() };
    let invite = world.invitation(ALICE, BOB);
    world.place(ALICE, invite);
    world.run(Duration::from_millis(150));
    let bob = world.invited(BOB);
    progress(&mut world, bob, None);
    world.accept(BOB, bob, Some("answer"));
    world.run(Duration::from_secs(3));
    assert_eq!(world.names(address(BOB)), ["183 INVITE", "200 INVITE", "200 PRACK"]);
    assert_eq!(world.count(address(ALICE), "PRACK"), 1);
}
