//! Whatever comes, in whatever order: nothing panics, no call lives for ever, and nothing is left in the end.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use sip::{
    endpoint::{CallEvent, CallId, Command, Input, OfferBy, Output, ReferId, ReferTo},
    message::{Headers, Message},
    transport::{Protocol, Target},
};

use crate::world::{ALICE, BOB, Packet, Weather, Who, World, address, body, name_addr, stranger};

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Place(Who, bool, bool),
    Ring(u16, bool, bool),
    Accept(bool),
    Reject(u16),
    Redirect,
    HangUp,
    Offer(bool, bool),
    Answer,
    Decline,
    Info,
    Refer(bool),
    AnswerRefer(u16),
    Notify(u16),
    /// A message that was sent comes again, changed.
    Again(usize, Change),
    TransportFailed(Who),
    Resolve(bool),
    Respond(u16),
    Drain(bool),
}

#[derive(Clone, Debug)]
enum Change {
    None,
    From(u8),
    Without(&'static str),
    Set(&'static str, &'static str),
    Status(u16),
    Body(bool),
}

/// Which of the calls a command is for.
type Pick = usize;

fn change() -> impl Strategy<Value = Change> {
    let names =
        ["Contact", "Require", "Supported", "RSeq", "Session-Expires", "Record-Route", "Allow", "Event", "Refer-To"];
    let lines = [
        ("Contact", "<sip:moved@10.9.9.1>"),
        ("Contact", "<sip:moved@far.example;transport=tcp>"),
        ("Require", "100rel"),
        ("RSeq", "4294967295"),
        ("RSeq", "1"),
        ("Session-Expires", "1"),
        ("Session-Expires", "90;refresher=uas"),
        ("Min-SE", "4000000000"),
        ("Retry-After", "0"),
        ("CSeq", "2147483647 INFO"),
        ("CSeq", "0 BYE"),
        ("Record-Route", "<sip:10.9.9.9>, <sip:10.9.9.8;lr>"),
        ("Event", "refer"),
        ("Subscription-State", "terminated"),
        ("To", "<sip:nobody@10.9.9.9>"),
        ("Replaces", "a;to-tag=b;from-tag=c"),
        ("WWW-Authenticate", "Digest realm=\"x\", nonce=\"y\""),
    ];
    prop_oneof![
        3 => Just(Change::None),
        1 => (1_u8..4).prop_map(Change::From),
        1 => prop::sample::select(names.to_vec()).prop_map(Change::Without),
        2 => prop::sample::select(lines.to_vec()).prop_map(|(name, value)| Change::Set(name, value)),
        3 => prop::sample::select(vec![100, 180, 183, 200, 202, 302, 401, 407, 408, 422, 481, 486, 487, 491, 500, 503, 603])
            .prop_map(Change::Status),
        1 => any::<bool>().prop_map(Change::Body),
    ]
}

fn step() -> impl Strategy<Value = (Pick, Step)> {
    let who = prop::sample::select(vec![ALICE, BOB]);
    let status = prop::sample::select(vec![100_u16, 180, 183, 202, 302, 404, 486, 603]);
    let step = prop_oneof![
        6 => prop_oneof![0_u64..300, 300_u64..5_000, 5_000_u64..60_000].prop_map(Step::Wait),
        3 => (who.clone(), any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(who, offers, named)| Step::Place(who, offers, named)),
        3 => (status.clone(), any::<bool>(), any::<bool>()).prop_map(|(status, has_body, reliable)| Step::Ring(status, has_body, reliable)),
        4 => prop::bool::weighted(0.9).prop_map(Step::Accept),
        1 => status.clone().prop_map(Step::Reject),
        1 => Just(Step::Redirect),
        2 => Just(Step::HangUp),
        3 => (prop::bool::weighted(0.8), any::<bool>()).prop_map(|(has_body, update)| Step::Offer(has_body, update)),
        3 => Just(Step::Answer),
        1 => Just(Step::Decline),
        1 => Just(Step::Info),
        2 => any::<bool>().prop_map(Step::Refer),
        2 => status.clone().prop_map(Step::AnswerRefer),
        2 => status.clone().prop_map(Step::Notify),
        8 => (any::<usize>(), change()).prop_map(|(at, change)| Step::Again(at, change)),
        1 => who.prop_map(Step::TransportFailed),
        2 => any::<bool>().prop_map(Step::Resolve),
        1 => status.prop_map(Step::Respond),
        1 => prop::bool::weighted(0.2).prop_map(Step::Drain),
    ];
    (any::<Pick>(), step)
}

/// What was told of the calls so far.
#[derive(Default)]
struct Known {
    calls: Vec<(Who, CallId)>,
    refers: Vec<ReferId>,
    tokens: Vec<(Who, u64)>,
    ended: BTreeMap<(Who, CallId), u32>,
}

impl Known {
    fn learn(&mut self, world: &mut World) {
        for (who, output) in world.take_outputs() {
            match output {
                Output::Call { call, event } => {
                    let ends = self.ended.entry((who, call)).or_default();
                    assert_eq!(*ends, 0, "{who:?} is told {event:?} of {call:?}, which has ended");
                    match event {
                        CallEvent::Invited { .. } => self.calls.push((who, call)),
                        CallEvent::Referred { refer, .. } => self.refers.push(refer),
                        CallEvent::Ended { .. } => *ends += 1,
                        _ => {}
                    }
                }
                Output::Resolve { token, .. } => self.tokens.push((who, token)),
                Output::Asked { .. } | Output::Responded { .. } => {}
                Output::Transmit { .. } => unreachable!("it was sent"),
            }
        }
    }
}

fn play(seed: u64, loss: f64, steps: &[(Pick, Step)]) -> Vec<String> {
    let mut world = World::new();
    world.seed(seed);
    world.weather =
        Weather { loss, doubled: 0.05, delay: Duration::from_millis(20), jitter: Duration::from_millis(60) };
    let mut known = Known::default();
    for (pick, step) in steps {
        apply(&mut world, &mut known, *pick, step);
        known.learn(&mut world);
    }
    // Everybody hangs up, and what is owed is paid.
    for (who, call) in known.calls.clone() {
        world.hang_up(who, call);
    }
    known.learn(&mut world);
    for (who, call) in &known.calls {
        assert_eq!(known.ended.get(&(*who, *call)), Some(&1), "{who:?} {call:?} has ended");
    }
    world.run(Duration::from_secs(60));
    // Calls that came while everybody hung up ring no longer than they may.
    world.run(Duration::from_secs(400));
    known.learn(&mut world);
    assert!(world.is_empty(), "{:?} {:?}", world.load(ALICE), world.load(BOB));
    for who in [ALICE, BOB] {
        assert_eq!(world.deadline(who), None);
    }
    world.log.iter().map(|packet: &Packet| format!("{:?} {:?}", packet.at, packet.message)).collect()
}

fn apply(world: &mut World, known: &mut Known, pick: Pick, step: &Step) {
    let (who, call) = match known.calls.len() {
        0 => (ALICE, CallId::Placed(0)),
        calls => known.calls[pick % calls],
    };
    let refer = known.refers.get(pick % known.refers.len().max(1)).copied().unwrap_or(ReferId(0));
    let command = match step.clone() {
        Step::Wait(ms) => return world.run(Duration::from_millis(ms)),
        Step::Place(from, offers, is_named) => {
            let mut invite = world.invitation(from, if from == ALICE { BOB } else { ALICE });
            invite.offer = invite.offer.filter(|_| offers);
            if is_named {
                invite.target = None;
                invite.uri = "sip:somebody@far.example".parse().expect("a URI");
            }
            let call = world.place(from, invite);
            known.calls.push((from, call));
            return;
        }
        Step::Ring(status, has_body, is_reliable) => {
            Command::Ring { status, body: has_body.then(|| body("ring")), is_reliable }
        }
        Step::Accept(has_body) => Command::Accept { body: has_body.then(|| body("accept")), headers: Headers::new() },
        Step::Reject(status) => Command::Reject { status, headers: Headers::new() },
        Step::Redirect => {
            Command::Redirect { contacts: vec![name_addr("there", address(BOB)), name_addr("gone", stranger(3))] }
        }
        Step::HangUp => Command::Hangup { reason: None },
        Step::Offer(has_body, by_update) => {
            let by = if by_update { OfferBy::Update } else { OfferBy::Default };
            Command::Offer { body: has_body.then(|| body("again")), by }
        }
        Step::Answer => Command::Answer { body: body("answer") },
        Step::Decline => Command::Decline { status: 488, headers: Headers::new() },
        Step::Info => Command::Dtmf { key: '5', duration_ms: 100 },
        Step::Refer(is_attended) => {
            let to = match is_attended {
                true => {
                    ReferTo::Attended(known.calls.get(pick / 7 % known.calls.len().max(1)).map_or(call, |call| call.1))
                }
                false => ReferTo::Blind(name_addr("carol", stranger(3))),
            };
            Command::Refer { to, headers: Headers::new() }
        }
        Step::AnswerRefer(status) => Command::AnswerRefer { refer, status },
        Step::Notify(status) => Command::NotifyRefer { refer, status },
        Step::Again(at, change) => {
            let Some(packet) = world.log.get(at % world.log.len().max(1)).cloned() else { return };
            return again(world, packet, &change);
        }
        Step::TransportFailed(who) => {
            let target = Target::new(Protocol::Udp, address(if who == ALICE { BOB } else { ALICE }));
            return world.tell(who, Input::TransportFailed { target });
        }
        Step::Resolve(is_found) => {
            if let Some((who, token)) = known.tokens.pop() {
                let target = Target::new(Protocol::Udp, address(if who == ALICE { BOB } else { ALICE }));
                let targets = if is_found { vec![Target::new(Protocol::Udp, stranger(2)), target] } else { Vec::new() };
                world.tell(who, Input::Resolved { token, targets });
            }
            return;
        }
        Step::Respond(status) => {
            let transaction = sip::endpoint::TransactionId(pick as u64 % 4);
            return world.tell(who, Input::Respond { transaction, status, headers: Headers::new(), body: None });
        }
        Step::Drain(is_draining) => return world.tell(who, Input::Drain(is_draining)),
    };
    world.command(who, call, command);
}

fn again(world: &mut World, packet: Packet, change: &Change) {
    let Some(to) = [ALICE, BOB].into_iter().find(|who| address(*who) == packet.to) else { return };
    let (mut from, mut message) = (packet.from, packet.message);
    let headers = match &mut message {
        Message::Request(request) => &mut request.headers,
        Message::Response(response) => &mut response.headers,
    };
    match change {
        Change::None | Change::Status(_) | Change::Body(_) => {}
        Change::From(number) => from = stranger(*number),
        Change::Without(name) => headers.remove(name),
        Change::Set(name, value) => headers.set(name, *value),
    }
    match (&mut message, change) {
        (Message::Response(response), Change::Status(status)) => response.status = *status,
        (Message::Request(request), Change::Status(status)) => {
            // The same request as a new one.
            let via = format!("SIP/2.0/UDP {from};branch=z9hG4bKagain{status};rport");
            request.headers.pop_front("Via");
            request.headers.push_front("Via", via);
            if let Ok(cseq) = request.headers.cseq() {
                let number = cseq.number.saturating_add(u32::from(*status));
                request.headers.set("CSeq", format!("{number} {}", cseq.method));
            }
        }
        (Message::Request(request), Change::Body(true)) => request.body = "again".into(),
        (Message::Response(response), Change::Body(true)) => response.body = "again".into(),
        (Message::Request(request), Change::Body(false)) => request.body.clear(),
        (Message::Response(response), Change::Body(false)) => response.body.clear(),
        _ => {}
    }
    world.send(from, to, message);
}

proptest! {
    // A case takes some milliseconds. PROPTEST_CASES=100000 looks for longer.
    #![proptest_config(ProptestConfig { cases: 2 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_happens_leaves_anything_behind(
        seed in any::<u64>(),
        loss in prop::sample::select(vec![0.0, 0.1, 0.4]),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        play(seed, loss, &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn what_happened_happens_again(seed in any::<u64>(), steps in prop::collection::vec(step(), 0..60)) {
        prop_assert_eq!(play(seed, 0.1, &steps), play(seed, 0.1, &steps));
    }
}
