//! Offers within a call: hold and resume by re-INVITE and UPDATE, collisions, overlaps, INFO.

use std::time::Duration;

use sip::{
    endpoint::{CallEvent, Command, Ended, OfferBy, OfferedBy},
    message::{Headers, Message},
};

use crate::world::{ALICE, BOB, Weather, World, address, body, within};

fn offer(world: &mut World, call: sip::endpoint::CallId, who: crate::world::Who, text: &str, by: OfferBy) {
    world.command(who, call, Command::Offer { body: Some(body(text)), by });
}

#[test]
fn both_sides_offer_anew_by_either_method() {
    for (by, method, offered) in
        [(OfferBy::Default, "INVITE", OfferedBy::Invite), (OfferBy::Update, "UPDATE", OfferedBy::Update)]
    {
        let mut world = World::new();
        let (alice, bob) = world.connect();
        for (from, ours, to, theirs) in [(ALICE, alice, BOB, bob), (BOB, bob, ALICE, alice)] {
            offer(&mut world, ours, from, "hold", by);
            world.moment();
            assert_eq!(world.events(to, theirs), [CallEvent::Offered { offer: Some(body("hold")), by: offered }]);
            world.command(to, theirs, Command::Answer { body: body("held") });
            world.moment();
            assert_eq!(world.events(from, ours), [CallEvent::OfferAnswered { answer: Some(body("held")) }]);
            assert_eq!(world.last_request(address(from), method).body, body("hold").bytes);
        }
        world.hang_up(BOB, bob);
        world.moment();
        assert_eq!(world.end(ALICE, alice), Ended::Bye { reason: None });
        world.age();
        assert!(world.is_empty());
    }
}

#[test]
fn a_refused_offer_leaves_the_session_as_it_was() {
    let mut world = World::new();
    let (alice, bob) = world.connect();
    offer(&mut world, alice, ALICE, "strange codecs", OfferBy::Default);
    world.moment();
    world.events(BOB, bob);
    let mut headers = Headers::new();
    headers.push("Warning", "305 harmony \"Incompatible media format\"");
    world.command(BOB, bob, Command::Decline { status: 488, headers });
    world.moment();
    assert_eq!(world.events(ALICE, alice), [CallEvent::OfferDeclined { status: 488 }]);
    assert!(world.last_response(address(BOB), "488 INVITE").headers.contains("Warning"));
    offer(&mut world, alice, ALICE, "known codecs", OfferBy::Default);
    world.moment();
    world.command(BOB, bob, Command::Answer { body: body("fine") });
    world.moment();
    assert_eq!(world.events(ALICE, alice), [CallEvent::OfferAnswered { answer: Some(body("fine")) }]);
}

#[test]
fn offers_that_collide_are_both_tried_again_and_both_succeed() {
    for by in [OfferBy::Invite, OfferBy::Update] {
        let mut world = World::new();
        let (alice, bob) = world.connect();
        offer(&mut world, alice, ALICE, "alice's", by);
        offer(&mut world, bob, BOB, "bob's", by);
        world.run(Duration::from_millis(25));
        let method = if by == OfferBy::Invite { "INVITE" } else { "UPDATE" };
        let glare = format!("491 {method}");
        assert_eq!((world.count(address(ALICE), &glare), world.count(address(BOB), &glare)), (1, 1));
        // Whoever made the Call-ID waits 2.1 to 4 s, the other one up to 2 s.
        let collided_at = world.now;
        for (who, call) in [(ALICE, alice), (BOB, bob)].repeat(90) {
            world.run(Duration::from_millis(25));
            for event in world.events(who, call) {
                match event {
                    CallEvent::Offered { .. } => world.command(who, call, Command::Answer { body: body("yes") }),
                    CallEvent::OfferAnswered { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        let again = |who| world.last(address(who), method).at - collided_at;
        assert!(again(BOB) <= Duration::from_millis(2_000));
        assert!(
            (Duration::from_millis(2_090)..=Duration::from_millis(4_000)).contains(&again(ALICE)),
            "{:?}",
            again(ALICE)
        );
        let answered = |who| {
            world
                .log
                .iter()
                .filter(|packet| packet.from == address(who) && packet.name() == format!("200 {method}"))
                .count()
        };
        assert_eq!(answered(BOB), 1 + usize::from(by == OfferBy::Invite), "alice's offer, and the call itself");
        assert_eq!(answered(ALICE), 1);
    }
}

#[test]
fn of_offers_that_wait_the_newest_is_sent() {
    let mut world = World::new();
    let (alice, bob) = world.connect();
    for text in ["one", "two", "three"] {
        offer(&mut world, alice, ALICE, text, OfferBy::Default);
    }
    world.moment();
    world.command(BOB, bob, Command::Answer { body: body("yes") });
    world.moment();
    world.command(BOB, bob, Command::Answer { body: body("yes") });
    world.moment();
    let offered: Vec<_> = world
        .events(BOB, bob)
        .into_iter()
        .map(|event| match event {
            CallEvent::Offered { offer, .. } => offer.expect("an offer"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(offered, [body("one"), body("three")]);
    assert_eq!(world.events(ALICE, alice).len(), 2);
}

#[test]
fn a_second_offer_before_the_first_is_answered_is_postponed() {
    let mut world = World::new();
    let (alice, bob) = world.connect();
    let invite = world.last_request(address(ALICE), "INVITE");
    let answer = world.last_response(address(BOB), "200 INVITE");
    let tag = answer.headers.to().expect("a To").tag().expect("a tag").to_owned();
    for (cseq, method) in [(50_000_000, "INVITE"), (50_000_001, "INVITE"), (50_000_002, "UPDATE")] {
        let mut request = within(&invite, &tag, method, cseq, address(BOB));
        request.headers.push("Content-Type", "application/sdp");
        request.body = body("offer").bytes;
        world.send(address(BOB), ALICE, Message::Request(request));
    }
    assert_eq!(world.events(ALICE, alice).len(), 1);
    for name in ["500 INVITE", "500 UPDATE"] {
        let postponed = world.last_response(address(ALICE), name);
        assert!(postponed.headers.number("Retry-After").expect("legible").expect("there") <= 10);
    }
    let _ = bob;
}

#[test]
fn a_bare_reinvite_asks_for_an_offer() {
    let mut world = World::new();
    let (alice, bob) = world.connect();
    world.command(ALICE, alice, Command::Offer { body: None, by: OfferBy::Default });
    world.moment();
    assert_eq!(world.events(BOB, bob), [CallEvent::Offered { offer: None, by: OfferedBy::Invite }]);
    world.command(BOB, bob, Command::Answer { body: body("bob's offer") });
    world.moment();
    assert_eq!(
        world.events(ALICE, alice),
        [CallEvent::Offered { offer: Some(body("bob's offer")), by: OfferedBy::Response }]
    );
    world.command(ALICE, alice, Command::Answer { body: body("alice's answer") });
    world.moment();
    assert_eq!(world.events(BOB, bob), [CallEvent::OfferAnswered { answer: Some(body("alice's answer")) }]);
    // And all is free again.
    offer(&mut world, bob, BOB, "next", OfferBy::Default);
    world.moment();
    assert_eq!(world.events(ALICE, alice).len(), 1);
}

#[test]
fn an_offer_that_nobody_answers_is_refused_in_time() {
    let mut world = World::new();
    let (alice, bob) = world.connect();
    offer(&mut world, alice, ALICE, "hold", OfferBy::Update);
    world.run(Duration::from_secs(21));
    assert_eq!(world.events(ALICE, alice), [CallEvent::OfferDeclined { status: 504 }]);
    world.command(BOB, bob, Command::Answer { body: body("too late") });
    assert!(matches!(world.events(BOB, bob).last(), Some(CallEvent::Refused { command: "Answer", .. })));
}

#[test]
fn a_reinvite_that_gets_no_answer_ends_the_call() {
    let mut world = World::new();
    let (alice, bob) = world.connect();
    world.lets_through = Box::new(move |packet| packet.from == address(ALICE));
    offer(&mut world, alice, ALICE, "hold", OfferBy::Invite);
    world.run(Duration::from_secs(33));
    assert!(matches!(world.end(ALICE, alice), Ended::Failed(_)));
    world.events(BOB, bob);
    world.age();
    assert_eq!(world.load(ALICE), sip::endpoint::Load::default());
}

#[test]
fn a_side_that_has_forgotten_the_dialog_ends_the_call() {
    for (command, name) in [
        (Command::Offer { body: Some(body("hold")), by: OfferBy::Default }, "INVITE"),
        (Command::Dtmf { key: '5', duration_ms: 160 }, "INFO"),
    ] {
        let mut world = World::new();
        let (alice, bob) = world.connect();
        world.lets_through = Box::new(|packet| packet.name() != "BYE");
        world.hang_up(BOB, bob);
        world.age();
        world.command(ALICE, alice, command);
        world.moment();
        assert_eq!(world.end(ALICE, alice), Ended::Gone, "{name}");
        assert_eq!(world.count(address(BOB), &format!("481 {name}")), 1);
    }
}

#[test]
fn hanging_up_answers_what_was_asked() {
    let mut world = World::new();
    let (alice, bob) = world.connect();
    offer(&mut world, alice, ALICE, "hold", OfferBy::Invite);
    world.moment();
    world.hang_up(BOB, bob);
    world.moment();
    assert_eq!(world.count(address(BOB), "487 INVITE"), 1);
    assert_eq!(world.end(ALICE, alice), Ended::Bye { reason: None });
    world.age();
    assert!(world.is_empty());
}

#[test]
fn hanging_up_while_an_offer_is_under_way_leaves_nothing() {
    let mut world = World::new();
    let (alice, bob) = world.connect();
    offer(&mut world, alice, ALICE, "hold", OfferBy::Invite);
    world.run(Duration::from_millis(15));
    world.command(BOB, bob, Command::Answer { body: body("held") });
    world.hang_up(ALICE, alice);
    world.moment();
    assert_eq!(world.end(ALICE, alice), Ended::HungUp);
    assert_eq!(world.end(BOB, bob), Ended::Bye { reason: None });
    assert_eq!(world.names(address(ALICE)).iter().filter(|name| *name == "BYE").count(), 1);
    assert_eq!(world.count(address(ALICE), "ACK"), 2, "the 2xx of the re-INVITE has its ACK");
    world.age();
    assert!(world.is_empty());
}

#[test]
fn keys_by_info_arrive_in_order_although_packets_are_lost() {
    for seed in 0..20 {
        let mut world = World::new();
        let (alice, bob) = world.connect();
        world.seed(seed);
        world.weather =
            Weather { loss: 0.3, doubled: 0.1, delay: Duration::from_millis(20), jitter: Duration::from_millis(90) };
        let keys = "0123456789*#ABCD";
        for key in keys.chars() {
            world.command(ALICE, alice, Command::Dtmf { key, duration_ms: 160 });
        }
        world.run(Duration::from_secs(120));
        let heard: String = world
            .events(BOB, bob)
            .into_iter()
            .map(|event| match event {
                CallEvent::Info { body } => {
                    assert_eq!(body.content_type, "application/dtmf-relay");
                    let text = String::from_utf8(body.bytes.to_vec()).expect("text");
                    text.strip_prefix("Signal=").expect("a key").chars().next().expect("a key")
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(heard, keys, "seed {seed}");
    }
}

#[test]
fn info_of_an_unknown_type_is_refused_and_an_empty_one_is_fine() {
    let mut world = World::new();
    let (alice, bob) = world.connect();
    let picture = sip::endpoint::Body { content_type: "image/png".to_owned(), bytes: "x".into() };
    world.command(ALICE, alice, Command::Info { body: picture });
    world.moment();
    let refused = world.last_response(address(BOB), "415 INFO");
    assert!(refused.headers.contains_token("Accept", "application/dtmf-relay"));
    assert!(world.events(BOB, bob).is_empty());
    world.command(ALICE, alice, Command::Dtmf { key: 'x', duration_ms: 160 });
    assert!(matches!(world.events(ALICE, alice)[..], [CallEvent::Refused { command: "Dtmf", .. }]));
}

#[test]
fn more_keys_than_may_wait_are_refused() {
    let mut world = World::new();
    let (alice, _) = world.connect();
    for _ in 0..100 {
        world.command(ALICE, alice, Command::Dtmf { key: '1', duration_ms: 100 });
    }
    let refused = world.events(ALICE, alice).len();
    assert_eq!(refused, 100 - 65, "one under way, 64 wait");
}

#[test]
fn a_reinvite_that_rings_and_rings_is_cancelled() {
    let mut world = World::new();
    let (alice, bob) = world.connect();
    world.lets_through = Box::new(|packet| packet.name() != "504 INVITE");
    offer(&mut world, alice, ALICE, "video?", OfferBy::Invite);
    world.run(Duration::from_secs(19));
    assert_eq!(world.count(address(BOB), "100 INVITE"), 1);
    world.run(Duration::from_secs(42));
    assert_eq!(world.count(address(ALICE), "CANCEL"), 1);
    // Bob's refusal never comes, so Bob is gone.
    world.run(Duration::from_secs(33));
    assert!(matches!(world.end(ALICE, alice), Ended::Failed(_)));
    world.moment();
    assert!(matches!(world.end(BOB, bob), Ended::Bye { .. }));
    world.age();
    assert!(world.is_empty());
}

#[test]
fn a_reinvite_that_is_cancelled_is_withdrawn() {
    let mut world = World::new();
    let (alice, bob) = world.connect();
    offer(&mut world, alice, ALICE, "video?", OfferBy::Invite);
    world.moment();
    assert_eq!(world.events(BOB, bob).len(), 1);
    let mut cancel = world.last_request(address(ALICE), "INVITE");
    cancel.method = sip::message::Method::Cancel;
    let number = cancel.headers.cseq().expect("a CSeq").number;
    cancel.headers.set("CSeq", format!("{number} CANCEL"));
    cancel.body.clear();
    world.send(address(ALICE), BOB, Message::Request(cancel));
    world.moment();
    assert_eq!(world.events(BOB, bob), [CallEvent::OfferWithdrawn]);
    assert_eq!(world.events(ALICE, alice), [CallEvent::OfferDeclined { status: 487 }]);
    offer(&mut world, bob, BOB, "other", OfferBy::Invite);
    world.moment();
    assert_eq!(world.events(ALICE, alice).len(), 1, "all is free again");
}

#[test]
fn whoever_is_refused_has_not_moved() {
    for is_taken in [true, false] {
        let mut world = World::new();
        let (alice, bob) = world.connect();
        let (invite, answer) =
            (world.last_request(address(ALICE), "INVITE"), world.last_response(address(BOB), "200 INVITE"));
        let tag = answer.headers.to().expect("a To").tag().expect("a tag").to_owned();
        let mut again = within(&invite, &tag, "INVITE", 50_000_000, address(BOB));
        again.headers.set("Contact", "<sip:callee@10.9.9.4>");
        again.headers.push("Content-Type", "application/sdp");
        again.body = body("offer").bytes;
        world.send(address(BOB), ALICE, Message::Request(again));
        let command = match is_taken {
            true => Command::Answer { body: body("answer") },
            false => Command::Decline { status: 488, headers: Headers::new() },
        };
        world.command(ALICE, alice, command);
        world.hang_up(ALICE, alice);
        let expected = if is_taken { "sip:callee@10.9.9.4" } else { "sip:callee@10.0.0.2:5060" };
        assert_eq!(world.last_request(address(ALICE), "BYE").uri.to_string(), expected);
        let _ = bob;
    }
}

#[test]
fn cancelling_a_second_invite_does_not_cancel_the_call() {
    let mut world = World::new();
    let (_, bob) = world.ring();
    world.command(BOB, bob, Command::Ring { status: 180, body: None, is_reliable: false });
    world.moment();
    let ringing = world.last_response(address(BOB), "180 INVITE");
    let mut second = world.last_request(address(ALICE), "INVITE");
    let number = second.headers.cseq().expect("a CSeq").number + 1;
    second.headers.set("To", ringing.headers.first("To").expect("a To"));
    second.headers.set("Via", format!("SIP/2.0/UDP {};branch=z9hG4bKsecond", address(ALICE)));
    second.headers.set("CSeq", format!("{number} INVITE"));
    world.send(address(ALICE), BOB, Message::Request(second.clone()));
    assert_eq!(world.count(address(BOB), "500 INVITE"), 1);
    second.method = sip::message::Method::Cancel;
    second.headers.set("CSeq", format!("{number} CANCEL"));
    second.body.clear();
    world.send(address(ALICE), BOB, Message::Request(second));
    assert_eq!(world.count(address(BOB), "200 CANCEL"), 1);
    assert!(world.events(BOB, bob).is_empty());
    world.accept(BOB, bob, Some("answer"));
    world.moment();
    assert_eq!(world.events(BOB, bob), [CallEvent::Acked { answer: None }]);
}
