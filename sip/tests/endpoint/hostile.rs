//! What strangers and broken machines send: contradictions, answers to nothing, answers that never end.

use std::time::Duration;

use sip::{
    endpoint::{CallEvent, CallId, Command, Ended, Input},
    message::{Headers, Message},
    transport::{Protocol, Target},
};

use crate::world::{ALICE, BOB, World, address, body, request, respond, stranger};

#[test]
fn responses_to_nothing_are_dropped() {
    let mut world = World::new();
    let (alice, _) = world.connect();
    let invite = world.last_request(address(ALICE), "INVITE");
    let sent = world.log.len();
    for branch in ["z9hG4bKguess", "", "z9hG4bK"] {
        let mut answer = respond(&invite, 200, "guess", &[("Contact", "<sip:evil@10.9.9.6>")], "evil");
        answer.headers.set("Via", format!("SIP/2.0/UDP {};branch={branch}", address(ALICE)));
        world.send(stranger(6), ALICE, Message::Response(answer));
    }
    // The right branch with another method.
    let mut answer = respond(&invite, 200, "guess", &[], "");
    answer.headers.set("CSeq", "1 BYE");
    world.send(stranger(6), ALICE, Message::Response(answer));
    assert_eq!(world.log.len(), sent);
    assert!(world.events(ALICE, alice).is_empty());
}

#[test]
fn a_call_that_only_ever_hears_100_ends() {
    let mut world = World::new();
    let mut invite = world.invitation(ALICE, BOB);
    invite.target = Some(Target::new(Protocol::Udp, stranger(1)));
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_millis(50));
    let invite = world.mailed("INVITE").request().cloned().expect("an INVITE");
    for _ in 0..40 {
        world.send(stranger(1), ALICE, Message::Response(invite.respond(100)));
        world.run(Duration::from_secs(5));
    }
    assert_eq!(world.end(ALICE, alice), Ended::NoAnswer);
    world.age();
    assert_eq!(world.count(address(ALICE), "CANCEL"), 11, "cancelled, which nobody answers either");
    assert_eq!(world.load(ALICE), sip::endpoint::Load::default());
}

#[test]
fn an_ack_with_a_body_nobody_asked_for_changes_nothing() {
    let mut world = World::new();
    let (alice, bob) = world.ring();
    world.accept(BOB, bob, Some("answer"));
    let mut ack = request("ACK", stranger(1), BOB, "Content-Type: application/sdp\r\n");
    let answer = world.last_response(address(BOB), "200 INVITE");
    for name in ["From", "To", "Call-ID"] {
        ack.headers.set(name, answer.headers.first(name).expect("it is there"));
    }
    ack.headers.set("CSeq", format!("{} ACK", answer.headers.cseq().expect("a CSeq").number));
    ack.body = body("another answer").bytes;
    world.send(stranger(1), BOB, Message::Request(ack.clone()));
    world.send(stranger(1), BOB, Message::Request(ack));
    assert_eq!(world.events(BOB, bob), [CallEvent::Acked { answer: None }]);
    let _ = alice;
}

#[test]
fn a_call_id_that_is_used_twice_is_refused() {
    let mut world = World::new();
    let (alice, bob) = world.connect();
    let invite = world.invitation(ALICE, BOB);
    world.command(ALICE, alice, Command::Invite(Box::new(invite)));
    assert!(matches!(world.events(ALICE, alice)[..], [CallEvent::Refused { command: "Invite", .. }]));
    assert!(world.events(BOB, bob).is_empty());
}

#[test]
fn commands_for_calls_that_never_were_do_nothing() {
    let mut world = World::new();
    for call in [CallId::Placed(9), CallId::Received(9)] {
        world.command(ALICE, call, Command::Hangup { reason: None });
        world.command(ALICE, call, Command::Accept { body: None, headers: Headers::new() });
    }
    world.tell(ALICE, Input::Resolved { token: 9, targets: Vec::new() });
    world.tell(ALICE, Input::TransportFailed { target: Target::new(Protocol::Tcp, stranger(1)) });
    assert!(world.is_empty() && world.log.is_empty());
}

#[test]
fn invites_that_are_sent_again_without_end_are_one_call() {
    let mut world = World::new();
    let invite = request("INVITE", stranger(1), BOB, "");
    for _ in 0..100 {
        world.send(stranger(1), BOB, Message::Request(invite.clone()));
    }
    world.invited(BOB);
    assert!(world.all_events(BOB).is_empty());
    assert_eq!(world.load(BOB).calls, 1);
}

#[test]
fn a_clock_that_stood_still_for_an_hour_ends_what_was_due_and_floods_nobody() {
    let mut world = World::new();
    let invite = world.invitation(ALICE, BOB);
    let alice = world.place(ALICE, invite);
    world.run(Duration::from_millis(50));
    let bob = world.invited(BOB);
    world.accept(BOB, bob, Some("answer"));
    let sent = world.log.len();
    world.now += Duration::from_secs(3_600);
    world.tell(BOB, Input::Tick);
    assert!(world.log.len() - sent <= 2, "a BYE, at most");
    assert_eq!(world.end(BOB, bob), Ended::NoAck);
    let _ = alice;
}
