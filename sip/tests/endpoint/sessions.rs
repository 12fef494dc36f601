//! Session timers (RFC 4028), in both roles.

use std::time::Duration;

use sip::{
    endpoint::{CallEvent, CallId, Command, Config, Ended, SessionTimer},
    message::{Message, Request},
    transport::{Protocol, Target},
};

use crate::world::{ALICE, BOB, World, address, body, config, request, respond, stranger};

fn with(alice: Option<u32>, bob: Option<u32>, bobs_min_s: u32) -> World {
    let timed = |mut config: Config, expires_s, min_se_s| {
        config.session = SessionTimer { expires_s, min_se_s };
        config
    };
    World::with([timed(config(ALICE), alice, 90), timed(config(BOB), bob, bobs_min_s)])
}

#[test]
fn the_caller_refreshes_by_update_and_the_call_lasts() {
    let mut world = with(Some(200), None, 90);
    let (alice, bob) = world.connect();
    let granted = world.last_response(address(BOB), "200 INVITE");
    assert_eq!(granted.headers.first("Session-Expires"), Some("200;refresher=uac"));
    assert!(granted.headers.contains_token("Require", "timer"));
    world.run(Duration::from_secs(1_000));
    assert!(world.events(ALICE, alice).is_empty() && world.events(BOB, bob).is_empty());
    let refreshed = world.count(address(ALICE), "UPDATE");
    assert!((9..=10).contains(&refreshed), "{refreshed}: every 100 s");
    assert_eq!(world.count(address(BOB), "UPDATE"), 0);
    let update = world.last_request(address(ALICE), "UPDATE");
    assert_eq!(update.headers.first("Session-Expires"), Some("200;refresher=uac"));
    world.hang_up(ALICE, alice);
    world.age();
    assert!(world.is_empty());
}

#[test]
fn a_session_whose_other_side_is_gone_ends_on_both_sides() {
    // Bob hears nothing any more; Alice cannot refresh.
    let mut world = with(Some(200), None, 90);
    let (alice, bob) = world.connect();
    let connected_at = world.now;
    world.lets_through = Box::new(|_| false);
    world.run(Duration::from_secs(99));
    assert!(world.events(ALICE, alice).is_empty());
    world.run(Duration::from_secs(34));
    assert!(matches!(world.end(ALICE, alice), Ended::Failed(_)), "the refresh had no answer");
    world.run(Duration::from_secs(37));
    assert_eq!(world.end(BOB, bob), Ended::SessionExpired);
    let bye = world.log.iter().find(|packet| packet.from == address(BOB) && packet.name() == "BYE");
    let bye = bye.expect("a BYE").at - connected_at;
    assert!((Duration::from_secs(166)..Duration::from_secs(169)).contains(&bye), "32 s before 200 s: {bye:?}");
    world.age();
    assert!(world.is_empty());
}

#[test]
fn a_session_that_would_be_too_brief_is_asked_for_anew() {
    let mut world = with(Some(100), None, 300);
    let (_, _) = world.connect();
    assert_eq!(world.names(address(ALICE))[..3], ["INVITE", "ACK", "INVITE"]);
    let refused = world.last_response(address(BOB), "422 INVITE");
    assert_eq!(refused.headers.first("Min-SE"), Some("300"));
    let again = world.last_request(address(ALICE), "INVITE");
    assert_eq!(again.headers.number("Session-Expires"), Ok(Some(300)));
    assert_eq!(world.last_response(address(BOB), "200 INVITE").headers.number("Session-Expires"), Ok(Some(300)));
}

/// A caller that the test plays; Bob takes its call.
fn called(world: &mut World, lines: &str) -> (CallId, Request) {
    let mut invite = request("INVITE", stranger(1), BOB, &format!("{lines}Content-Type: application/sdp\r\n"));
    invite.body = body("offer").bytes;
    world.send(stranger(1), BOB, Message::Request(invite.clone()));
    let bob = world.invited(BOB);
    world.accept(BOB, bob, Some("answer"));
    let answer = world.last_response(address(BOB), "200 INVITE");
    let mut ack = request("ACK", stranger(1), BOB, "");
    ack.headers.set("To", answer.headers.first("To").expect("a To"));
    world.send(stranger(1), BOB, Message::Request(ack));
    assert_eq!(world.events(BOB, bob), [CallEvent::Acked { answer: None }]);
    (bob, invite)
}

#[test]
fn the_callee_refreshes_when_the_caller_wants_it_to() {
    let mut world = with(None, None, 90);
    let (_, _) =
        called(&mut world, "Supported: timer\r\nSession-Expires: 120;refresher=uas\r\nAllow: INVITE, UPDATE\r\n");
    let granted = world.last_response(address(BOB), "200 INVITE");
    assert_eq!(granted.headers.first("Session-Expires"), Some("120;refresher=uas"));
    assert!(!granted.headers.contains("Require"));
    world.run(Duration::from_secs(61));
    let update = world.mailed("UPDATE").request().cloned().expect("an UPDATE");
    assert!(update.body.is_empty());
    assert_eq!(update.headers.first("Session-Expires"), Some("120;refresher=uac"));
}

#[test]
fn a_caller_without_update_is_refreshed_by_reinvite_with_what_stands() {
    let mut world = with(None, None, 90);
    let (bob, _) =
        called(&mut world, "Supported: timer\r\nSession-Expires: 120;refresher=uas\r\nAllow: INVITE, BYE\r\n");
    world.run(Duration::from_secs(61));
    let reinvite = world.mailed("INVITE").request().cloned().expect("a re-INVITE");
    assert_eq!(reinvite.body, body("answer").bytes);
    let answer = respond(&reinvite, 200, "", &[("Session-Expires", "120;refresher=uac")], "unchanged");
    world.send(stranger(1), BOB, Message::Response(answer));
    world.run(Duration::from_millis(50));
    assert_eq!(world.mailed("ACK").to, stranger(1));
    assert_eq!(world.events(BOB, bob), [CallEvent::OfferAnswered { answer: Some(body("unchanged")) }]);
}

#[test]
fn a_caller_that_knows_no_timers_gets_none_unless_a_refresh_is_cheap() {
    let mut world = with(None, Some(1_800), 90);
    let (_, _) = called(&mut world, "Allow: INVITE, BYE\r\n");
    assert!(!world.last_response(address(BOB), "200 INVITE").headers.contains("Session-Expires"));
    let mut world = with(None, Some(1_800), 90);
    let (_, _) = called(&mut world, "Allow: INVITE, BYE, UPDATE\r\n");
    let granted = world.last_response(address(BOB), "200 INVITE");
    assert_eq!(granted.headers.first("Session-Expires"), Some("1800;refresher=uas"));
    assert!(!granted.headers.contains("Require"));
}

#[test]
fn an_update_that_refreshes_is_answered_and_moves_the_end() {
    let mut world = with(None, None, 90);
    let (bob, invite) = called(&mut world, "Supported: timer\r\nSession-Expires: 120;refresher=uac\r\n");
    for round in 0_u32..5 {
        world.run(Duration::from_secs(80));
        let answer = world.last_response(address(BOB), "200 INVITE");
        let mut update =
            request("UPDATE", stranger(1), BOB, "Supported: timer\r\nSession-Expires: 120;refresher=uac\r\n");
        update.headers.set("To", answer.headers.first("To").expect("a To"));
        update.headers.set("CSeq", format!("{} UPDATE", 2 + round));
        update.headers.set("Via", format!("SIP/2.0/UDP {};branch=z9hG4bKupdate{round}", stranger(1)));
        world.send(stranger(1), BOB, Message::Request(update));
        let granted = world.last_response(address(BOB), "200 UPDATE");
        assert_eq!(granted.headers.first("Session-Expires"), Some("120;refresher=uac"));
    }
    assert!(world.events(BOB, bob).is_empty());
    world.run(Duration::from_secs(89));
    assert_eq!(world.end(BOB, bob), Ended::SessionExpired);
    let _ = invite;
}

#[test]
fn a_callee_that_answers_too_brief_is_given_up_after_two_more() {
    let mut world = with(Some(100), None, 90);
    let mut invite = world.invitation(ALICE, BOB);
    invite.target = Some(Target::new(Protocol::Udp, stranger(1)));
    let alice = world.place(ALICE, invite);
    for min_s in ["200", "300", "400", "500"] {
        world.run(Duration::from_millis(50));
        if world.mail.iter().any(|packet| packet.name() == "INVITE") {
            let invite = world.mailed("INVITE").request().cloned().expect("an INVITE");
            world.send(stranger(1), ALICE, Message::Response(respond(&invite, 422, "t", &[("Min-SE", min_s)], "")));
        }
    }
    assert!(matches!(world.end(ALICE, alice), Ended::Rejected(response) if response.status == 422));
    let wanted: Vec<_> = world
        .log
        .iter()
        .filter(|packet| packet.name() == "INVITE")
        .filter_map(|packet| packet.request()?.headers.number("Session-Expires").ok()?)
        .collect();
    assert_eq!(wanted, [100, 200, 300]);
}

#[test]
fn a_refresh_that_collides_with_an_offer_is_none_of_anybodys_business() {
    let mut world = with(Some(200), None, 90);
    let (alice, bob) = world.connect();
    world.run(Duration::from_millis(99_000));
    // Bob offers at the same moment and takes his time to get an answer.
    world.command(BOB, bob, Command::Offer { body: Some(body("hold")), by: sip::endpoint::OfferBy::Invite });
    world.moment();
    assert_eq!(world.events(ALICE, alice).len(), 1);
    world.run(Duration::from_secs(10));
    world.command(ALICE, alice, Command::Answer { body: body("held") });
    world.run(Duration::from_secs(60));
    assert_eq!(world.events(BOB, bob), [CallEvent::OfferAnswered { answer: Some(body("held")) }]);
    assert!(world.events(ALICE, alice).is_empty());
    world.run(Duration::from_secs(500));
    assert!(world.events(BOB, bob).is_empty(), "still up");
}
