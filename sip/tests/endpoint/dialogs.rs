//! Where messages go and who may speak: routes, NAT, ports, order, strangers within dialogs.

use std::{net::SocketAddr, time::Duration};

use sip::{
    endpoint::{Advertise, CallEvent, CallId, Ended, HostPort},
    message::{Message, Request, Response},
    transport::{ConnectionId, Protocol, Target},
};

use crate::world::{ALICE, BOB, World, address, body, config, request, respond, stranger, within};

/// Alice calls somebody whom the test plays, who answers with these lines.
fn answered(world: &mut World, lines: &[(&str, &str)]) -> (CallId, Request, Response) {
    let mut invite = world.invitation(ALICE, BOB);
    invite.target = Some(Target::new(Protocol::Udp, stranger(1)));
    let call = world.place(ALICE, invite);
    world.run(Duration::from_millis(50));
    let invite = world.mailed("INVITE").request().cloned().expect("an INVITE");
    let answer = respond(&invite, 200, "one", lines, "answer");
    world.send(stranger(1), ALICE, Message::Response(answer.clone()));
    world.run(Duration::from_millis(50));
    assert!(matches!(world.events(ALICE, call)[..], [CallEvent::Answered { .. }]));
    (call, invite, answer)
}

fn goodbye(world: &mut World, call: CallId) -> (Request, SocketAddr) {
    world.hang_up(ALICE, call);
    world.run(Duration::from_millis(50));
    let bye = world.mailed("BYE");
    (bye.request().cloned().expect("a BYE"), bye.to)
}

#[test]
fn requests_go_through_the_proxies_that_stay_between() {
    let mut world = World::new();
    let lines = [("Record-Route", "<sip:10.9.9.2;lr>, <sip:10.9.9.1;lr>"), ("Contact", "<sip:callee@10.9.9.7>")];
    let (call, ..) = answered(&mut world, &lines);
    let (bye, to) = goodbye(&mut world, call);
    // For the caller the routes stand in the reverse order.
    assert_eq!(to, stranger(1));
    assert_eq!(bye.uri.to_string(), "sip:callee@10.9.9.7");
    assert_eq!(bye.headers.elements("Route").collect::<Vec<_>>(), ["<sip:10.9.9.1;lr>", "<sip:10.9.9.2;lr>"]);
}

#[test]
fn a_strict_router_finds_itself_in_the_request_uri() {
    let mut world = World::new();
    let lines = [("Record-Route", "<sip:10.9.9.2;lr>, <sip:10.9.9.3>"), ("Contact", "<sip:callee@10.9.9.7>")];
    let (call, ..) = answered(&mut world, &lines);
    let (bye, to) = goodbye(&mut world, call);
    assert_eq!(to, stranger(3));
    assert_eq!(bye.uri.to_string(), "sip:10.9.9.3");
    assert_eq!(bye.headers.elements("Route").collect::<Vec<_>>(), ["<sip:10.9.9.2;lr>", "<sip:callee@10.9.9.7>"]);
}

#[test]
fn without_routes_requests_go_to_the_contact_and_to_where_it_moves() {
    let mut world = World::new();
    let (call, invite, _) = answered(&mut world, &[("Contact", "<sip:callee@10.9.9.7:5062>")]);
    assert_eq!(world.mailed("ACK").to, SocketAddr::from(([10, 9, 9, 7], 5_062)));
    let mut update = within(&invite, "one", "UPDATE", 9, stranger(7));
    update.headers.set("Contact", "<sip:callee@10.9.9.8>");
    world.send(stranger(7), ALICE, Message::Request(update));
    let (bye, to) = goodbye(&mut world, call);
    assert_eq!((bye.uri.to_string(), to), ("sip:callee@10.9.9.8".to_owned(), stranger(8)));
}

#[test]
fn a_phone_behind_a_nat_is_reached_where_it_was_heard() {
    let mut world = World::new();
    let public = SocketAddr::from(([198, 51, 100, 7], 40_000));
    let mut invite =
        request("INVITE", SocketAddr::from(([192, 168, 1, 20], 5_060)), ALICE, "Content-Type: application/sdp\r\n");
    invite.body = body("offer").bytes;
    world.send(public, ALICE, Message::Request(invite));
    let call = world.invited(ALICE);
    world.accept(ALICE, call, Some("answer"));
    world.run(Duration::from_millis(50));
    let answer = world.mailed("200 INVITE");
    assert_eq!(answer.to, public);
    let via = answer.response().expect("a response").headers.via().expect("a Via");
    assert_eq!((via.received(), via.rport()), (Some("198.51.100.7"), Some(Some(40_000))));
    let mut ack = request("ACK", SocketAddr::from(([192, 168, 1, 20], 5_060)), ALICE, "");
    ack.headers.set("To", answer.response().expect("a response").headers.first("To").expect("a To"));
    world.send(public, ALICE, Message::Request(ack));
    assert_eq!(world.events(ALICE, call), [CallEvent::Acked { answer: None }]);
    let (bye, to) = goodbye(&mut world, call);
    assert_eq!((bye.uri.host.as_str(), to), ("192.168.1.20", public));
}

#[test]
fn without_rport_responses_go_to_the_port_of_the_via() {
    let mut world = World::new();
    let sender = SocketAddr::from(([10, 9, 9, 1], 33_333));
    let mut options = request("OPTIONS", stranger(1), ALICE, "");
    options.headers.set("Via", "SIP/2.0/UDP 10.9.9.1:5070;branch=z9hG4bKold");
    world.send(sender, ALICE, Message::Request(options));
    world.run(Duration::from_millis(50));
    assert_eq!(world.mailed("200 OPTIONS").to, SocketAddr::from(([10, 9, 9, 1], 5_070)));
}

#[test]
fn contact_and_via_name_us_as_we_are_reached_from_there() {
    let mut world = World::new();
    let (call, invite, _) = answered(&mut world, &[("Contact", "<sip:callee@10.9.9.1>")]);
    assert_eq!(invite.headers.first("Contact"), Some("<sip:caller@10.0.0.1:5060>"));
    let via = invite.headers.via().expect("a Via");
    assert_eq!((via.host.as_str(), via.port, via.rport()), ("10.0.0.1", Some(5_060), Some(None)));
    let _ = call;
}

#[test]
fn guesses_at_other_peoples_dialogs_get_481_and_change_nothing() {
    let mut world = World::new();
    let (alice, bob) = world.connect();
    let invite = world.last_request(address(ALICE), "INVITE");
    let answer = world.last_response(address(BOB), "200 INVITE");
    let tag = answer.headers.to().expect("a To").tag().expect("a tag").to_owned();
    for (number, method) in ["BYE", "INVITE", "UPDATE", "INFO", "REFER", "NOTIFY", "PRACK"].into_iter().enumerate() {
        let mut guess = within(&invite, "guessed", method, 500 + number as u32, stranger(6));
        world.send(stranger(6), ALICE, Message::Request(guess.clone()));
        assert_eq!(world.count(address(ALICE), &format!("481 {method}")), 1);
        // Knowing the far side's tag alone does not help either.
        guess = within(&invite, &tag, method, 600 + number as u32, stranger(6));
        guess.headers.set("To", format!("<sip:caller@{}>;tag=guessed", address(ALICE)));
        world.send(stranger(6), ALICE, Message::Request(guess));
        assert_eq!(world.count(address(ALICE), &format!("481 {method}")), 2);
    }
    let mut ack = within(&invite, "guessed", "ACK", 1, stranger(6));
    ack.body = body("evil").bytes;
    world.send(stranger(6), ALICE, Message::Request(ack));
    assert!(world.events(ALICE, alice).is_empty() && world.events(BOB, bob).is_empty());
    world.hang_up(ALICE, alice);
    world.moment();
    assert_eq!(world.end(BOB, bob), Ended::Bye { reason: None });
}

#[test]
fn whoever_has_the_dialogs_ids_may_speak_from_elsewhere() {
    let mut world = World::new();
    let (call, invite, _) = answered(&mut world, &[("Contact", "<sip:callee@10.9.9.1>")]);
    world.send(stranger(5), ALICE, Message::Request(within(&invite, "one", "BYE", 3, stranger(5))));
    assert_eq!(world.end(ALICE, call), Ended::Bye { reason: None });
    world.run(Duration::from_millis(50));
    assert_eq!(world.mailed("200 BYE").to, stranger(5));
}

#[test]
fn an_older_request_gets_500() {
    let mut world = World::new();
    let (call, invite, _) = answered(&mut world, &[("Contact", "<sip:callee@10.9.9.1>")]);
    for cseq in [20, 19] {
        world.send(stranger(1), ALICE, Message::Request(within(&invite, "one", "OPTIONS", cseq, stranger(1))));
    }
    assert_eq!((world.count(address(ALICE), "200 OPTIONS"), world.count(address(ALICE), "500 OPTIONS")), (1, 1));
    let _ = call;
}

#[test]
fn our_numbers_go_up_by_one() {
    let mut world = World::new();
    let (alice, _) = world.connect();
    for key in ['1', '2'] {
        world.command(ALICE, alice, sip::endpoint::Command::Dtmf { key, duration_ms: 100 });
        world.moment();
    }
    world.hang_up(ALICE, alice);
    let numbers: Vec<_> = world
        .log
        .iter()
        .filter(|packet| packet.from == address(ALICE))
        .filter_map(|packet| Some(packet.request()?.headers.cseq().ok()?.number))
        .collect();
    let first = numbers[0];
    assert_eq!(numbers, [first, first, first + 1, first + 2, first + 3], "INVITE, ACK, INFO, INFO, BYE");
}

#[test]
fn a_caller_of_rfc_2543_is_understood() {
    // No magic cookie, no tag.
    let mut world = World::new();
    let old = |method: &str, cseq: &str, to: &str| {
        let mut request = request(method, stranger(1), BOB, "Content-Type: application/sdp\r\n");
        request.headers.set("Via", format!("SIP/2.0/UDP {}", stranger(1)));
        request.headers.set("From", format!("<sip:old@{}>", stranger(1)));
        request.headers.set("CSeq", format!("{cseq} {method}"));
        if !to.is_empty() {
            request.headers.set("To", to);
        }
        request
    };
    let mut invite = old("INVITE", "1", "");
    invite.body = body("offer").bytes;
    world.send(stranger(1), BOB, Message::Request(invite.clone()));
    world.send(stranger(1), BOB, Message::Request(invite));
    let bob = world.invited(BOB);
    assert!(world.all_events(BOB).is_empty(), "sent twice, told once");
    world.accept(BOB, bob, Some("answer"));
    let to = world.last_response(address(BOB), "200 INVITE").headers.first("To").expect("a To").to_owned();
    world.send(stranger(1), BOB, Message::Request(old("ACK", "1", &to)));
    world.send(stranger(1), BOB, Message::Request(old("BYE", "2", &to)));
    assert_eq!(world.events(BOB, bob).len(), 2);
    assert_eq!(world.count(address(BOB), "200 BYE"), 1);
}

#[test]
fn over_a_stream_requests_use_the_connection_that_is_there() {
    let mut world = World::new();
    world.protocol = Protocol::Tcp;
    let (alice, bob) = world.connect();
    world.hang_up(BOB, bob);
    world.moment();
    let bye = world.last(address(BOB), "BYE").target.expect("a target");
    assert_eq!((bye.protocol, bye.connection), (Protocol::Tcp, Some(ConnectionId(1))));
    let invite = world.last_request(address(ALICE), "INVITE");
    assert_eq!(invite.headers.first("Contact"), Some("<sip:caller@10.0.0.1:5060;transport=tcp>"));
    assert_eq!(world.end(ALICE, alice), Ended::Bye { reason: None });
}

#[test]
fn a_phone_that_asks_for_nothing_can_be_answered_where_it_is_all_the_same() {
    let mut forced = config(ALICE);
    forced.force_rport = true;
    let mut world = World::with([forced]);
    let sender = SocketAddr::from(([10, 9, 9, 1], 33_333));
    let mut options = request("OPTIONS", stranger(1), ALICE, "");
    options.headers.set("Via", "SIP/2.0/UDP 10.9.9.1:5070;branch=z9hG4bKold");
    world.send(sender, ALICE, Message::Request(options));
    world.run(Duration::from_millis(50));
    assert_eq!(world.mailed("200 OPTIONS").to, sender);
}

#[test]
fn each_side_is_told_another_address_of_ours() {
    let mut config = config(ALICE);
    config.advertise = Advertise::new(|target| match target.protocol {
        Protocol::Tls => HostPort { host: "sbc.example".to_owned(), port: 5_061 },
        Protocol::Udp | Protocol::Tcp => HostPort::of([192, 0, 2, 1].into(), 5_060),
    });
    let mut world = World::with([config]);
    for (protocol, contact, via) in [
        (Protocol::Tls, "<sip:caller@sbc.example:5061;transport=tls>", "SIP/2.0/TLS sbc.example:5061"),
        (Protocol::Udp, "<sip:caller@192.0.2.1:5060>", "SIP/2.0/UDP 192.0.2.1:5060"),
    ] {
        let mut invite = world.invitation(ALICE, BOB);
        invite.target = Some(Target::new(protocol, stranger(1)));
        world.place(ALICE, invite);
        let sent = world.last_request(address(ALICE), "INVITE");
        assert_eq!(sent.headers.first("Contact"), Some(contact));
        assert!(sent.headers.first("Via").is_some_and(|line| line.starts_with(via)));
    }
}
