//! Calls from INVITE to BYE: answered, refused, cancelled, lost.

use std::time::Duration;

use sip::{
    endpoint::{CallEvent, Command, Ended, Failure, Fork, Input},
    message::{Headers, Method},
    transport::{Protocol, Target},
};

use crate::world::{ALICE, BOB, Packet, Weather, World, address, body, config, stranger};

#[test]
fn a_call_is_placed_answered_and_hung_up() {
    let mut world = World::new();
    let (alice, bob) = world.ring();
    world.command(BOB, bob, Command::Ring { status: 180, body: None, is_reliable: false });
    world.moment();
    world.accept(BOB, bob, Some("answer"));
    world.moment();
    let events = world.events(ALICE, alice);
    assert!(
        matches!(&events[0], CallEvent::Ringing { fork: Fork(0), response, answer: None } if response.status == 180)
    );
    assert!(
        matches!(&events[1], CallEvent::Answered { fork: Fork(0), answer: Some(answer), .. } if *answer == body("answer"))
    );
    assert_eq!(events.len(), 2);
    assert_eq!(world.events(BOB, bob), [CallEvent::Acked { answer: None }]);

    world.hang_up(ALICE, alice);
    assert_eq!(world.end(ALICE, alice), Ended::HungUp);
    world.moment();
    assert_eq!(world.end(BOB, bob), Ended::Bye { reason: None });
    assert_eq!(world.names(address(ALICE)), ["INVITE", "ACK", "BYE"]);
    assert_eq!(world.names(address(BOB)), ["180 INVITE", "200 INVITE", "200 BYE"]);
    world.age();
    assert!(world.is_empty(), "{:?} {:?}", world.load(ALICE), world.load(BOB));
}

#[test]
fn the_callee_hangs_up_with_a_reason() {
    let mut world = World::new();
    let (alice, bob) = world.connect();
    world.command(BOB, bob, Command::Hangup { reason: Some("Q.850;cause=16".to_owned()) });
    world.moment();
    assert_eq!(world.end(ALICE, alice), Ended::Bye { reason: Some("Q.850;cause=16".to_owned()) });
    assert_eq!(world.end(BOB, bob), Ended::HungUp);
    world.age();
    assert!(world.is_empty());
}

#[test]
fn trying_is_said_within_200_ms_and_only_if_nothing_else_was() {
    let mut world = World::new();
    let (_, bob) = world.ring();
    world.run(Duration::from_millis(200));
    let arrived = world.log[0].at + world.weather.delay;
    let trying = world.last(address(BOB), "100 INVITE");
    assert!(trying.at - arrived <= Duration::from_millis(200));
    assert!(world.events(BOB, bob).is_empty());

    let mut world = World::new();
    let (_, bob) = world.ring();
    world.command(BOB, bob, Command::Ring { status: 180, body: None, is_reliable: false });
    world.moment();
    assert_eq!(world.names(address(BOB)), ["180 INVITE"]);
}

#[test]
fn early_media_is_a_look_ahead_at_the_answer_and_the_answer_follows() {
    let mut world = World::new();
    let (alice, bob) = world.ring();
    world.command(BOB, bob, Command::Ring { status: 183, body: Some(body("early")), is_reliable: false });
    world.moment();
    let events = world.events(ALICE, alice);
    assert!(matches!(&events[..], [CallEvent::Ringing { answer: Some(answer), .. }] if *answer == body("early")));
    // What was let hear is the answer unless another is given.
    world.accept(BOB, bob, None);
    world.moment();
    let events = world.events(ALICE, alice);
    assert!(matches!(&events[..], [CallEvent::Answered { answer: Some(answer), .. }] if *answer == body("early")));
}

#[test]
fn calls_come_through_when_a_third_of_all_packets_is_lost() {
    for seed in 0..40 {
        let mut world = World::new();
        world.seed(seed);
        world.weather =
            Weather { loss: 0.3, doubled: 0.1, delay: Duration::from_millis(20), jitter: Duration::from_millis(80) };
        let invite = world.invitation(ALICE, BOB);
        let alice = world.place(ALICE, invite);
        world.run(Duration::from_secs(20));
        let bob = world.invited(BOB);
        world.accept(BOB, bob, Some("answer"));
        world.run(Duration::from_secs(20));
        assert!(matches!(world.events(ALICE, alice)[..], [CallEvent::Answered { .. }]), "seed {seed}");
        assert_eq!(world.events(BOB, bob), [CallEvent::Acked { answer: None }], "seed {seed}");
        world.hang_up(BOB, bob);
        world.run(Duration::from_secs(32));
        assert_eq!(world.end(ALICE, alice), Ended::Bye { reason: None }, "seed {seed}");
        world.age();
        assert!(world.is_empty(), "seed {seed}");
    }
}

#[test]
fn an_answer_is_sent_again_until_it_is_acknowledged() {
    let mut world = World::new();
    let mut lost = 2;
    world.lets_through = Box::new(move |packet| {
        let is_lost = packet.name() == "ACK" && lost > 0;
        lost -= i32::from(is_lost);
        !is_lost
    });
    let (alice, bob) = world.ring();
    world.accept(BOB, bob, Some("answer"));
    world.run(Duration::from_secs(5));
    assert_eq!(world.events(ALICE, alice).len(), 1, "the answer is told once");
    assert_eq!(world.events(BOB, bob), [CallEvent::Acked { answer: None }]);
    assert_eq!((world.count(address(BOB), "200 INVITE"), world.count(address(ALICE), "ACK")), (3, 3));
}

#[test]
fn a_lost_ack_ends_the_call_within_32_s() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let mut world = World::new();
        world.protocol = protocol;
        world.lets_through = Box::new(|packet| packet.name() != "ACK");
        let (alice, bob) = world.ring();
        let answered_at = world.now;
        world.accept(BOB, bob, Some("answer"));
        world.run(Duration::from_secs(33));
        assert_eq!(world.end(BOB, bob), Ended::NoAck);
        assert_eq!(world.end(ALICE, alice), Ended::Bye { reason: None });
        assert!(world.last(address(BOB), "BYE").at - answered_at <= Duration::from_secs(32));
        // T1, doubling up to T2, whatever the transport: 0, 0.5, 1.5, 3.5, 7.5, 11.5, … 31.5 s.
        assert_eq!(world.count(address(BOB), "200 INVITE"), 11, "{protocol}");
        world.age();
        assert!(world.is_empty());
    }
}

#[test]
fn an_invite_that_nobody_hears_is_sent_seven_times_and_given_up() {
    let mut world = World::new();
    let mut invite = world.invitation(ALICE, BOB);
    invite.target = Some(Target::new(Protocol::Udp, stranger(1)));
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_millis(31_999));
    assert!(world.events(ALICE, alice).is_empty());
    world.run(Duration::from_millis(1));
    assert_eq!(world.end(ALICE, alice), Ended::Failed(Failure::TimedOut));
    assert_eq!(world.count(address(ALICE), "INVITE"), 7);
    assert!(world.is_empty());
}

#[test]
fn over_a_stream_nothing_is_sent_twice() {
    let mut world = World::new();
    world.protocol = Protocol::Tcp;
    let mut invite = world.invitation(ALICE, BOB);
    invite.target = Some(Target::new(Protocol::Tcp, stranger(1)));
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_secs(32));
    assert_eq!(world.end(ALICE, alice), Ended::Failed(Failure::TimedOut));
    assert_eq!(world.names(address(ALICE)), ["INVITE"]);

    let (alice, bob) = world.ring();
    world.command(BOB, bob, Command::Reject { status: 486, headers: Headers::new() });
    world.run(Duration::from_secs(40));
    assert!(matches!(world.end(ALICE, alice), Ended::Rejected(response) if response.status == 486));
    assert_eq!(world.count(address(BOB), "486 INVITE"), 1);
    assert!(world.is_empty(), "timers D, I, J and K are zero");
}

#[test]
fn a_broken_connection_ends_what_waits_for_an_answer() {
    let mut world = World::new();
    world.protocol = Protocol::Tcp;
    let target = Target::new(Protocol::Tcp, stranger(1));
    let mut invite = world.invitation(ALICE, BOB);
    invite.target = Some(target.clone());
    let alice = world.place(ALICE, invite);
    world.moment();
    world.tell(ALICE, Input::TransportFailed { target });
    assert_eq!(world.end(ALICE, alice), Ended::Failed(Failure::TransportFailed));
    assert!(world.is_empty());
}

#[test]
fn a_refusal_is_told_as_it_came() {
    let mut world = World::new();
    let (alice, bob) = world.ring();
    let mut headers = Headers::new();
    headers.push("Retry-After", "120");
    headers.push("Reason", "Q.850;cause=17");
    world.command(BOB, bob, Command::Reject { status: 486, headers });
    assert_eq!(world.end(BOB, bob), Ended::HungUp);
    world.moment();
    let Ended::Rejected(response) = world.end(ALICE, alice) else { panic!("not refused") };
    assert_eq!((response.status, &*response.reason), (486, "Busy Here"));
    assert_eq!(response.headers.first("Retry-After"), Some("120"));
    assert_eq!(world.names(address(ALICE)), ["INVITE", "ACK"]);
    world.age();
    assert!(world.is_empty());
}

#[test]
fn a_refusal_comes_through_although_the_first_and_its_ack_are_lost() {
    let mut world = World::new();
    let mut seen = 0;
    world.lets_through = Box::new(move |packet| {
        let counts = matches!(packet.name().as_str(), "603 INVITE" | "ACK");
        seen += i32::from(counts);
        !counts || seen > 3
    });
    let (alice, bob) = world.ring();
    world.command(BOB, bob, Command::Reject { status: 603, headers: Headers::new() });
    world.run(Duration::from_secs(10));
    assert!(matches!(world.end(ALICE, alice), Ended::Rejected(response) if response.status == 603));
    let sent = world.count(address(BOB), "603 INVITE");
    world.run(Duration::from_secs(40));
    assert_eq!(world.count(address(BOB), "603 INVITE"), sent, "it was acknowledged");
    assert!(world.is_empty());
}

#[test]
fn whoever_gives_up_cancels() {
    let mut world = World::new();
    let (alice, bob) = world.ring();
    world.command(BOB, bob, Command::Ring { status: 180, body: None, is_reliable: false });
    world.moment();
    world.events(ALICE, alice);
    world.command(ALICE, alice, Command::Hangup { reason: Some("SIP;cause=200".to_owned()) });
    assert_eq!(world.end(ALICE, alice), Ended::HungUp);
    world.moment();
    assert_eq!(world.end(BOB, bob), Ended::Cancelled { reason: Some("SIP;cause=200".to_owned()) });
    assert_eq!(world.names(address(ALICE)), ["INVITE", "CANCEL", "ACK"]);
    assert_eq!(world.names(address(BOB)), ["180 INVITE", "200 CANCEL", "487 INVITE"]);
    let (invite, cancel) = (&world.log[0], world.last_request(address(ALICE), "CANCEL"));
    let invite = invite.request().expect("a request");
    assert_eq!(cancel.headers.first("Via"), invite.headers.first("Via"), "the same branch");
    assert_eq!(cancel.headers.cseq().map(|cseq| cseq.number), invite.headers.cseq().map(|cseq| cseq.number));
    let tag = |name| world.last_response(address(BOB), name).headers.to().expect("a To").tag().map(str::to_owned);
    assert_eq!(tag("200 CANCEL"), tag("487 INVITE"));
    world.age();
    assert!(world.is_empty());
}

#[test]
fn a_cancel_waits_until_the_invite_was_heard() {
    let mut world = World::new();
    let invite = world.invitation(ALICE, BOB);
    let alice = world.place(ALICE, invite);
    world.hang_up(ALICE, alice);
    assert_eq!(world.end(ALICE, alice), Ended::HungUp);
    assert_eq!(world.names(address(ALICE)), ["INVITE"]);
    world.run(Duration::from_secs(1));
    let bob = world.invited(BOB);
    assert_eq!(world.end(BOB, bob), Ended::Cancelled { reason: None });
    assert_eq!(world.names(address(ALICE)), ["INVITE", "CANCEL", "ACK"]);
    world.age();
    assert!(world.is_empty());
}

#[test]
fn an_answer_that_crosses_a_cancel_is_acknowledged_and_hung_up() {
    let mut world = World::new();
    let (alice, bob) = world.ring();
    world.command(BOB, bob, Command::Ring { status: 180, body: None, is_reliable: false });
    world.moment();
    world.accept(BOB, bob, Some("answer"));
    world.hang_up(ALICE, alice);
    world.moment();
    assert_eq!(world.end(BOB, bob), Ended::Bye { reason: None });
    assert!(matches!(world.end(ALICE, alice), Ended::HungUp), "and nothing of an answer");
    assert_eq!(world.names(address(ALICE)), ["INVITE", "CANCEL", "ACK", "BYE"]);
    assert_eq!(world.count(address(BOB), "200 CANCEL"), 1);
    world.age();
    assert!(world.is_empty());
}

#[test]
fn a_cancelled_invite_that_is_never_answered_is_forgotten() {
    let mut world = World::new();
    world.lets_through = Box::new(|packet| packet.name() != "487 INVITE" && packet.name() != "CANCEL");
    let (alice, _) = world.ring();
    world.run(Duration::from_millis(300));
    world.hang_up(ALICE, alice);
    world.run(Duration::from_secs(33));
    assert_eq!((world.load(ALICE).transactions, world.load(ALICE).requests), (0, 0));
}

#[test]
fn nobody_rings_for_ever() {
    let mut world = World::new();
    let (alice, bob) = world.ring();
    world.command(BOB, bob, Command::Ring { status: 180, body: None, is_reliable: false });
    world.run(Duration::from_secs(179));
    assert!(!world.events(ALICE, alice).iter().any(|event| matches!(event, CallEvent::Ended { .. })));
    // Said again each minute, so that proxies between do not give up.
    assert_eq!(world.count(address(BOB), "180 INVITE"), 3);
    world.run(Duration::from_secs(2));
    assert_eq!(world.end(ALICE, alice), Ended::NoAnswer);
    let end = world.end(BOB, bob);
    assert!(matches!(end, Ended::Cancelled { .. } | Ended::NoAnswer), "{end:?}");
    world.age();
    assert!(world.is_empty());
}

#[test]
fn the_callers_expires_is_kept_to() {
    let mut world = World::new();
    let mut invite = world.invitation(ALICE, BOB);
    invite.headers.push("Expires", "10");
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_secs(9));
    let bob = world.invited(BOB);
    assert!(world.events(BOB, bob).is_empty());
    world.run(Duration::from_secs(2));
    assert_eq!(world.end(BOB, bob), Ended::NoAnswer);
    assert!(matches!(world.end(ALICE, alice), Ended::Rejected(response) if response.status == 487));
}

#[test]
fn a_callee_who_hangs_up_before_the_ack_waits_for_it() {
    let mut world = World::new();
    let (alice, bob) = world.ring();
    world.accept(BOB, bob, Some("answer"));
    world.hang_up(BOB, bob);
    assert_eq!(world.end(BOB, bob), Ended::HungUp);
    assert_eq!(world.names(address(BOB)), ["200 INVITE"]);
    world.moment();
    assert_eq!(world.names(address(BOB)), ["200 INVITE", "BYE"]);
    assert_eq!(world.end(ALICE, alice), Ended::Bye { reason: None });
    world.age();
    assert!(world.is_empty());
}

#[test]
fn goodbyes_that_cross_are_both_answered() {
    let mut world = World::new();
    let (alice, bob) = world.connect();
    world.hang_up(ALICE, alice);
    world.hang_up(BOB, bob);
    world.moment();
    assert_eq!((world.end(ALICE, alice), world.end(BOB, bob)), (Ended::HungUp, Ended::HungUp));
    for who in [ALICE, BOB] {
        assert_eq!(world.count(address(who), "200 BYE"), 1);
    }
    world.age();
    assert!(world.is_empty());
}

#[test]
fn the_caller_may_hang_up_early_by_bye() {
    // Allowed, if rare: a BYE within the early dialog.
    let mut world = World::new();
    let (alice, bob) = world.ring();
    world.command(BOB, bob, Command::Ring { status: 180, body: None, is_reliable: false });
    world.moment();
    let ringing = world.last_response(address(BOB), "180 INVITE");
    let invite = world.last_request(address(ALICE), "INVITE");
    let mut bye = crate::world::request("BYE", address(ALICE), BOB, "");
    bye.headers.set("From", invite.headers.first("From").expect("a From"));
    bye.headers.set("To", ringing.headers.first("To").expect("a To"));
    bye.headers.set("Call-ID", invite.headers.call_id().expect("a Call-ID"));
    bye.headers.set("CSeq", format!("{} BYE", invite.headers.cseq().expect("a CSeq").number + 1));
    world.send(address(ALICE), BOB, sip::message::Message::Request(bye));
    world.moment();
    assert_eq!(world.end(BOB, bob), Ended::Bye { reason: None });
    assert_eq!(world.count(address(BOB), "487 INVITE"), 1);
    assert!(matches!(world.end(ALICE, alice), Ended::Rejected(response) if response.status == 487));
}

#[test]
fn a_late_offer_is_answered_in_the_ack() {
    let mut world = World::new();
    let mut invite = world.invitation(ALICE, BOB);
    invite.offer = None;
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_millis(50));
    let bob = world.invited(BOB);
    // Without an offer of theirs, one of ours is owed.
    world.accept(BOB, bob, None);
    assert!(matches!(world.events(BOB, bob)[..], [CallEvent::Refused { command: "Accept", .. }]));
    world.accept(BOB, bob, Some("offer"));
    world.moment();
    let events = world.events(ALICE, alice);
    assert!(matches!(&events[0], CallEvent::Answered { answer: None, .. }));
    assert!(matches!(&events[1], CallEvent::Offered { offer: Some(offer), .. } if *offer == body("offer")));
    world.run(Duration::from_secs(2));
    assert_eq!(world.count(address(ALICE), "ACK"), 0, "it waits for our answer");
    world.command(ALICE, alice, Command::Answer { body: body("answer") });
    world.moment();
    assert_eq!(world.events(BOB, bob), [CallEvent::Acked { answer: Some(body("answer")) }]);
    assert_eq!(world.last_request(address(ALICE), "ACK").body, body("answer").bytes);
    world.hang_up(ALICE, alice);
    world.age();
    assert!(world.is_empty());
}

#[test]
fn a_late_offer_that_nobody_answers_ends_the_call() {
    let mut world = World::new();
    let mut invite = world.invitation(ALICE, BOB);
    invite.offer = None;
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_millis(50));
    let bob = world.invited(BOB);
    world.accept(BOB, bob, Some("offer"));
    world.run(Duration::from_secs(21));
    assert_eq!(world.end(ALICE, alice), Ended::NoAgreement);
    assert_eq!(world.end(BOB, bob), Ended::NoAgreement, "an ACK came without an answer");
    world.age();
    assert!(world.is_empty());
}

#[test]
fn a_refused_late_offer_ends_the_call() {
    let mut world = World::new();
    let mut invite = world.invitation(ALICE, BOB);
    invite.offer = None;
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_millis(50));
    let bob = world.invited(BOB);
    world.accept(BOB, bob, Some("offer"));
    world.moment();
    world.command(ALICE, alice, Command::Decline { status: 488, headers: Headers::new() });
    world.moment();
    assert_eq!(world.end(ALICE, alice), Ended::NoAgreement);
    assert_eq!(world.end(BOB, bob), Ended::NoAgreement);
}

#[test]
fn an_answer_to_the_offer_is_owed_when_a_call_is_taken() {
    let mut world = World::new();
    let (_, bob) = world.ring();
    world.accept(BOB, bob, None);
    assert!(matches!(world.events(BOB, bob)[..], [CallEvent::Refused { command: "Accept", .. }]));
    world.accept(BOB, bob, Some("answer"));
    world.moment();
    assert_eq!(world.events(BOB, bob), [CallEvent::Acked { answer: None }]);
}

#[test]
fn commands_that_do_not_fit_are_refused_and_those_for_nobody_do_nothing() {
    let mut world = World::new();
    let (alice, bob) = world.connect();
    world.accept(ALICE, alice, Some("answer"));
    world.command(BOB, bob, Command::Ring { status: 180, body: None, is_reliable: false });
    world.command(BOB, bob, Command::Answer { body: body("what?") });
    assert!(matches!(world.events(ALICE, alice)[..], [CallEvent::Refused { command: "Accept", .. }]));
    let events = world.events(BOB, bob);
    assert!(matches!(events[0], CallEvent::Refused { command: "Ring", .. }));
    assert!(matches!(events[1], CallEvent::Refused { command: "Answer", .. }));
    world.hang_up(ALICE, alice);
    world.moment();
    world.events(ALICE, alice);
    world.events(BOB, bob);
    world.hang_up(ALICE, alice);
    world.accept(BOB, bob, None);
    assert!(world.events(ALICE, alice).is_empty() && world.events(BOB, bob).is_empty());
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    let run = || {
        let mut world = World::new();
        world.seed(7);
        world.weather = Weather { loss: 0.2, delay: Duration::from_millis(15), ..Weather::default() };
        let invite = world.invitation(ALICE, BOB);
        let alice = world.place(ALICE, invite);
        world.run(Duration::from_secs(15));
        let bob = world.invited(BOB);
        world.accept(BOB, bob, Some("answer"));
        world.run(Duration::from_secs(15));
        world.hang_up(ALICE, alice);
        world.age();
        world.log.iter().map(|packet: &Packet| (packet.at, format!("{:?}", packet.message))).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn tags_branches_and_call_ids_are_never_the_same_twice() {
    let mut world = World::with([config(ALICE), config(BOB)]);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let (alice, _) = world.connect();
        world.hang_up(ALICE, alice);
        world.moment();
    }
    let requests = world.log.iter().filter_map(Packet::request).filter(|request| request.method != Method::Cancel);
    for request in requests {
        let via = request.headers.via().expect("a Via");
        let branch = via.branch().expect("a branch").to_owned();
        assert!(branch.starts_with("z9hG4bK") && branch.len() > 20);
        assert!(seen.insert(branch), "every message is a transaction of its own here");
    }
    assert_eq!(seen.len(), 150);
}
