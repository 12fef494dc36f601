//! Transfers: REFER in both roles, blind and attended, its NOTIFYs, and Replaces.

use std::time::Duration;

use sip::{
    endpoint::{CallEvent, CallId, Command, Ended, Output, ReferId, ReferTo},
    message::{Headers, Message, NameAddr},
};

use crate::world::{ALICE, BOB, CAROL, Weather, World, address, config, name_addr, request, stranger};

fn three() -> World {
    World::with([config(ALICE), config(BOB), config(CAROL)])
}

fn blind(world: &mut World, call: CallId, to: NameAddr) {
    world.command(ALICE, call, Command::Refer { to: ReferTo::Blind(to), headers: Headers::new() });
}

fn referred(events: &[CallEvent]) -> (ReferId, NameAddr, Option<String>) {
    match events {
        [CallEvent::Referred { refer, to, replaces, .. }] => (*refer, to.clone(), replaces.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_blind_transfer_is_told_step_by_step() {
    let mut world = three();
    let (alice, bob) = world.connect();
    blind(&mut world, alice, name_addr("carol", address(CAROL)));
    world.moment();
    let (refer, to, replaces) = referred(&world.events(BOB, bob));
    assert_eq!((to, replaces), (name_addr("carol", address(CAROL)), None));
    world.command(BOB, bob, Command::AnswerRefer { refer, status: 202 });
    world.moment();
    assert_eq!(world.events(ALICE, alice), [CallEvent::ReferProgress { status: 100 }]);
    for status in [180, 200] {
        world.command(BOB, bob, Command::NotifyRefer { refer, status });
        world.moment();
        assert_eq!(world.events(ALICE, alice), [CallEvent::ReferProgress { status }]);
    }
    assert_eq!(world.names(address(BOB))[1..], ["202 REFER", "NOTIFY", "NOTIFY", "NOTIFY"]);
    let last = world.last_request(address(BOB), "NOTIFY");
    assert_eq!(last.headers.first("Content-Type"), Some("message/sipfrag;version=2.0"));
    assert_eq!(&last.body[..], b"SIP/2.0 200 OK\r\n");
    assert!(last.headers.first("Subscription-State").is_some_and(|state| state.starts_with("terminated")));
    let id = world.last_request(address(ALICE), "REFER").headers.cseq().expect("a CSeq").number;
    assert_eq!(last.headers.first("Event"), Some(&*format!("refer;id={id}")));
    // It is over: nothing more can be told, and the next transfer may begin.
    world.command(BOB, bob, Command::NotifyRefer { refer, status: 200 });
    assert!(matches!(world.events(BOB, bob)[..], [CallEvent::Refused { command: "NotifyRefer", .. }]));
    blind(&mut world, alice, name_addr("carol", address(CAROL)));
    world.moment();
    referred(&world.events(BOB, bob));
    world.hang_up(ALICE, alice);
    world.age();
    assert!(world.is_empty());
}

#[test]
fn a_refused_transfer_is_told_and_the_call_goes_on() {
    let mut world = three();
    let (alice, bob) = world.connect();
    blind(&mut world, alice, name_addr("carol", address(CAROL)));
    world.moment();
    let (refer, ..) = referred(&world.events(BOB, bob));
    world.command(BOB, bob, Command::AnswerRefer { refer, status: 603 });
    world.moment();
    assert_eq!(world.events(ALICE, alice), [CallEvent::ReferProgress { status: 603 }]);
    assert!(world.events(BOB, bob).is_empty());
}

#[test]
fn a_transfer_that_nobody_answers_is_declined_and_one_without_end_is_given_up() {
    let mut world = three();
    let (alice, bob) = world.connect();
    blind(&mut world, alice, name_addr("carol", address(CAROL)));
    world.run(Duration::from_secs(21));
    assert_eq!(world.events(ALICE, alice), [CallEvent::ReferProgress { status: 603 }]);
    world.events(BOB, bob);

    blind(&mut world, alice, name_addr("carol", address(CAROL)));
    world.moment();
    let (refer, ..) = referred(&world.events(BOB, bob));
    world.command(BOB, bob, Command::AnswerRefer { refer, status: 202 });
    world.run(Duration::from_secs(301));
    assert_eq!(
        world.events(ALICE, alice),
        [CallEvent::ReferProgress { status: 100 }, CallEvent::ReferProgress { status: 408 }]
    );
}

#[test]
fn an_attended_transfer_takes_the_place_of_the_other_call() {
    let mut world = three();
    let (alice, bob) = world.connect();
    // Alice asks Carol first.
    let invite = world.invitation(ALICE, CAROL);
    let consult = world.place(ALICE, invite);
    world.run(Duration::from_millis(50));
    let carol = world.invited(CAROL);
    world.accept(CAROL, carol, Some("answer"));
    world.moment();
    world.events(ALICE, consult);
    world.events(CAROL, carol);
    let to = ReferTo::Attended(consult);
    world.command(ALICE, alice, Command::Refer { to, headers: Headers::new() });
    world.moment();
    let (refer, to, replaces) = referred(&world.events(BOB, bob));
    assert!(to.uri.headers.is_none());
    world.command(BOB, bob, Command::AnswerRefer { refer, status: 202 });

    // Bob calls Carol in Alice's place.
    let mut invite = world.invitation(BOB, CAROL);
    invite.uri = to.uri;
    invite.headers.push("Replaces", replaces.expect("a Replaces"));
    let fresh = world.place(BOB, invite);
    world.run(Duration::from_millis(50));
    let told = world.all_events(CAROL);
    assert!(matches!(told[..], [CallEvent::Invited { replaces: Some(old), .. }] if old == carol), "{told:?}");
    let taken = CallId::Received(2);
    world.accept(CAROL, taken, Some("answer"));
    world.moment();
    assert_eq!(world.end(CAROL, carol), Ended::Replaced { by: taken });
    assert_eq!(world.end(ALICE, consult), Ended::Bye { reason: None });
    assert!(matches!(world.events(BOB, fresh)[..], [CallEvent::Answered { .. }]));
    world.command(BOB, bob, Command::NotifyRefer { refer, status: 200 });
    world.moment();
    assert_eq!(world.events(ALICE, alice).last(), Some(&CallEvent::ReferProgress { status: 200 }));
    world.hang_up(ALICE, alice);
    world.hang_up(BOB, fresh);
    world.age();
    assert!(world.is_empty());
}

#[test]
fn only_one_transfer_of_ours_at_a_time_and_none_to_a_call_that_is_not() {
    let mut world = three();
    let (alice, _) = world.connect();
    let to = ReferTo::Attended(CallId::Placed(77));
    world.command(ALICE, alice, Command::Refer { to, headers: Headers::new() });
    assert!(matches!(world.events(ALICE, alice)[..], [CallEvent::Refused { command: "Refer", .. }]));
    blind(&mut world, alice, name_addr("carol", address(CAROL)));
    blind(&mut world, alice, name_addr("carol", address(CAROL)));
    assert!(matches!(world.events(ALICE, alice)[..], [CallEvent::Refused { command: "Refer", .. }]));
}

#[test]
fn progress_arrives_in_order_and_its_end_for_sure_although_packets_are_lost() {
    for seed in 0..20 {
        let mut world = three();
        let (alice, bob) = world.connect();
        world.seed(seed);
        world.weather = Weather {
            loss: 0.3,
            delay: Duration::from_millis(30),
            jitter: Duration::from_millis(200),
            ..Weather::default()
        };
        blind(&mut world, alice, name_addr("carol", address(CAROL)));
        world.run(Duration::from_secs(15));
        let (refer, ..) = referred(&world.events(BOB, bob));
        world.command(BOB, bob, Command::AnswerRefer { refer, status: 202 });
        for status in [180, 183, 486] {
            world.command(BOB, bob, Command::NotifyRefer { refer, status });
        }
        world.run(Duration::from_secs(90));
        let told: Vec<u16> = world
            .events(ALICE, alice)
            .into_iter()
            .map(|event| match event {
                CallEvent::ReferProgress { status } => status,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!((told.first(), told.last()), (Some(&100), Some(&486)), "seed {seed}: {told:?}");
    }
}

#[test]
fn replaces_of_a_dialog_that_is_not_there_is_refused() {
    let mut world = World::new();
    let (_, bob) = world.connect();
    let answer = world.last_response(address(BOB), "200 INVITE");
    let (from, to) = (answer.headers.from().expect("a From"), answer.headers.to().expect("a To"));
    let (theirs, ours) = (from.tag().expect("a tag"), to.tag().expect("a tag"));
    let call_id = answer.headers.call_id().expect("a Call-ID");
    let cases = [
        ("one", format!("{call_id};to-tag={theirs};from-tag={ours}"), "481 INVITE"),
        ("two", format!("{call_id};to-tag={ours};from-tag=guessed"), "481 INVITE"),
        ("three", format!("{call_id};to-tag={ours}"), "400 INVITE"),
        ("four", format!("{call_id};to-tag={ours};from-tag={theirs};early-only"), "486 INVITE"),
    ];
    for (branch, replaces, refused) in cases {
        let mut invite = request("INVITE", stranger(1), BOB, &format!("Replaces: {replaces}\r\n"));
        invite.headers.set("Via", format!("SIP/2.0/UDP {};branch=z9hG4bK{branch}", stranger(1)));
        invite.headers.set("Call-ID", branch);
        world.send(stranger(1), BOB, Message::Request(invite));
        let response = world.last_response(address(BOB), refused);
        assert_eq!(response.headers.call_id(), Ok(branch), "{replaces}");
    }
    assert!(world.events(BOB, bob).is_empty() && world.all_events(BOB).is_empty());
}

#[test]
fn a_call_that_we_place_and_that_rings_can_be_picked_up_by_another() {
    let mut world = three();
    let (alice, bob) = world.ring();
    world.command(BOB, bob, Command::Ring { status: 180, body: None, is_reliable: false });
    world.moment();
    world.events(ALICE, alice);
    let ringing = world.last_response(address(BOB), "180 INVITE");
    let (from, to) = (ringing.headers.from().expect("a From"), ringing.headers.to().expect("a To"));
    let replaces = format!(
        "{};to-tag={};from-tag={};early-only",
        ringing.headers.call_id().expect("a Call-ID"),
        from.tag().expect("a tag"),
        to.tag().expect("a tag"),
    );
    let mut invite = world.invitation(CAROL, ALICE);
    invite.headers.push("Replaces", replaces);
    let carol = world.place(CAROL, invite);
    world.run(Duration::from_millis(50));
    let taken = world.invited(ALICE);
    world.accept(ALICE, taken, Some("answer"));
    world.moment();
    assert_eq!(world.end(ALICE, alice), Ended::Replaced { by: taken });
    assert_eq!(world.end(BOB, bob), Ended::Cancelled { reason: None });
    assert!(matches!(world.events(CAROL, carol)[..], [CallEvent::Answered { .. }]));
}

#[test]
fn a_refer_that_names_nobody_or_smuggles_is_refused() {
    let mut world = World::new();
    let (_, bob) = world.connect();
    let invite = world.last_request(address(ALICE), "INVITE");
    let answer = world.last_response(address(BOB), "200 INVITE");
    let first = invite.headers.cseq().expect("a CSeq").number;
    let cases = [
        "",
        "Refer-To: <sip:a@10.0.0.9>, <sip:b@10.0.0.9>\r\n",
        "Refer-To: <sip:a@10.0.0.9?Replaces=x%0d%0aEvil:%201>\r\n",
    ];
    for (number, lines) in cases.into_iter().enumerate() {
        let mut refer = request("REFER", address(ALICE), BOB, lines);
        refer.headers.set("From", invite.headers.first("From").expect("a From"));
        refer.headers.set("To", answer.headers.first("To").expect("a To"));
        refer.headers.set("Call-ID", invite.headers.call_id().expect("a Call-ID"));
        refer.headers.set("CSeq", format!("{} REFER", first + 1 + number as u32));
        refer.headers.set("Via", format!("SIP/2.0/UDP {};branch=z9hG4bKrefer{number}", address(ALICE)));
        world.send(address(ALICE), BOB, Message::Request(refer));
        assert_eq!(world.count(address(BOB), "400 REFER"), number + 1, "{lines}");
    }
    assert!(world.events(BOB, bob).is_empty());
}

#[test]
fn a_notify_that_nobody_asked_for_is_refused() {
    let mut world = World::new();
    let (_, bob) = world.connect();
    let invite = world.last_request(address(ALICE), "INVITE");
    let answer = world.last_response(address(BOB), "200 INVITE");
    let first = invite.headers.cseq().expect("a CSeq").number;
    for (number, event, refused) in [(1, "refer", "481 NOTIFY"), (2, "message-summary", "489 NOTIFY")] {
        let mut notify =
            request("NOTIFY", address(ALICE), BOB, &format!("Event: {event}\r\nSubscription-State: active\r\n"));
        notify.headers.set("From", invite.headers.first("From").expect("a From"));
        notify.headers.set("To", answer.headers.first("To").expect("a To"));
        notify.headers.set("Call-ID", invite.headers.call_id().expect("a Call-ID"));
        notify.headers.set("CSeq", format!("{} NOTIFY", first + number));
        notify.headers.set("Via", format!("SIP/2.0/UDP {};branch=z9hG4bKnotify{number}", address(ALICE)));
        world.send(address(ALICE), BOB, Message::Request(notify));
        assert_eq!(world.count(address(BOB), refused), 1);
    }
    assert!(world.events(BOB, bob).is_empty());
    assert!(!world.others(BOB).iter().any(|output| matches!(output, Output::Asked { .. })));
}

#[test]
fn whoever_wants_no_notifications_gets_none() {
    let mut world = three();
    let (alice, bob) = world.connect();
    let mut headers = Headers::new();
    headers.push("Refer-Sub", "false");
    let to = ReferTo::Blind(name_addr("carol", address(CAROL)));
    world.command(ALICE, alice, Command::Refer { to, headers });
    world.moment();
    let (refer, ..) = referred(&world.events(BOB, bob));
    world.command(BOB, bob, Command::AnswerRefer { refer, status: 202 });
    world.moment();
    assert_eq!(world.last_response(address(BOB), "202 REFER").headers.first("Refer-Sub"), Some("false"));
    assert_eq!(world.count(address(BOB), "NOTIFY"), 0);
}
