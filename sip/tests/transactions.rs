//! The four machines, timer by timer (RFC 3261 tables 4, RFC 6026): what is due when, on datagrams and on streams.

use std::time::{Duration, Instant};

use sip::transaction::{Again, Client, ClientInvite, Heard, Server, ServerInvite, Ticked, Timing};

const T1: u64 = 500;

#[expect(clippy::disallowed_methods, reason = "virtual time needs one instant to count from")]
fn start() -> Instant {
    Instant::now()
}

/// What a machine does until nothing is due any more, each with its time in milliseconds.
fn run(
    zero: Instant,
    deadline: impl Fn() -> Option<Instant>,
    mut tick: impl FnMut(Instant) -> Ticked,
) -> Vec<(u64, Ticked)> {
    let mut done = Vec::new();
    while let Some(at) = deadline() {
        assert!(done.len() < 100, "it never ends");
        done.push(((at - zero).as_millis() as u64, tick(at)));
    }
    done
}

/// Runs a machine in a cell, so that both closures see it.
macro_rules! play {
    ($zero:expr, $machine:expr) => {{
        let machine = std::cell::RefCell::new($machine);
        run($zero, || machine.borrow().deadline(), |at| machine.borrow_mut().tick(at))
    }};
}

fn resends(times: &[u64]) -> Vec<(u64, Ticked)> {
    times.iter().map(|at| (*at, Ticked::Resend)).collect()
}

#[test]
fn timers_a_and_b_of_an_invite() {
    let zero = start();
    let mut expected = resends(&[500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    expected.push((64 * T1, Ticked::TimedOut));
    assert_eq!(play!(zero, ClientInvite::new(zero, Timing::default(), false)), expected);
    assert_eq!(play!(zero, ClientInvite::new(zero, Timing::default(), true)), [(64 * T1, Ticked::TimedOut)]);
}

#[test]
fn an_invite_that_rings_waits_for_ever_unless_it_was_cancelled() {
    let zero = start();
    let mut machine = ClientInvite::new(zero, Timing::default(), false);
    assert!(!machine.is_heard());
    assert_eq!(machine.hear(zero, 180), Heard::Tell);
    assert_eq!((machine.is_heard(), machine.deadline()), (true, None));
    machine.cancelled(zero + Duration::from_secs(100));
    assert_eq!(play!(zero, machine), [(100_000 + 64 * T1, Ticked::TimedOut)]);
}

#[test]
fn timer_m_lets_every_2xx_through_for_64_t1() {
    let zero = start();
    let mut machine = ClientInvite::new(zero, Timing::default(), false);
    assert_eq!(
        [200, 200, 180, 486, 202].map(|status| machine.hear(zero, status)),
        [Heard::Tell, Heard::Tell, Heard::Ignore, Heard::Ignore, Heard::Tell]
    );
    assert_eq!(play!(zero, machine), [(64 * T1, Ticked::Over)]);
}

#[test]
fn timer_d_acknowledges_every_refusal_for_32_s() {
    let zero = start();
    let mut machine = ClientInvite::new(zero, Timing::default(), false);
    assert_eq!(
        [486, 486, 200, 100].map(|status| machine.hear(zero, status)),
        [Heard::TellAndAck, Heard::AckAgain, Heard::Ignore, Heard::Ignore]
    );
    assert_eq!(play!(zero, machine), [(32_000, Ticked::Over)]);
    let mut machine = ClientInvite::new(zero, Timing::default(), true);
    assert_eq!(machine.hear(zero, 486), Heard::TellAndAck);
    assert!(machine.is_over());
}

#[test]
fn timers_e_and_f_of_another_request() {
    let zero = start();
    let mut expected = resends(&[500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    expected.push((64 * T1, Ticked::TimedOut));
    assert_eq!(play!(zero, Client::new(zero, Timing::default(), false)), expected);
    assert_eq!(play!(zero, Client::new(zero, Timing::default(), true)), [(64 * T1, Ticked::TimedOut)]);
    // Once it was heard, it is sent again every T2.
    let mut machine = Client::new(zero, Timing::default(), false);
    assert_eq!(machine.hear(zero, 100), Heard::Tell);
    let mut expected = resends(&[500, 4_500, 8_500, 12_500, 16_500, 20_500, 24_500, 28_500]);
    expected.push((64 * T1, Ticked::TimedOut));
    assert_eq!(play!(zero, machine), expected);
}

#[test]
fn timer_k_takes_what_comes_again_for_t4() {
    let zero = start();
    let mut machine = Client::new(zero, Timing::default(), false);
    assert_eq!([200, 200, 500].map(|status| machine.hear(zero, status)), [Heard::Tell, Heard::Ignore, Heard::Ignore]);
    assert_eq!(play!(zero, machine), [(5_000, Ticked::Over)]);
    let mut machine = Client::new(zero, Timing::default(), true);
    machine.hear(zero, 200);
    assert!(machine.is_over());
}

#[test]
fn timer_j_answers_a_request_that_comes_again_for_64_t1() {
    let zero = start();
    let mut machine = Server::new(Timing::default(), false);
    assert_eq!((machine.hear_again(), machine.deadline()), (Again::Ignore, None));
    assert!(machine.respond(zero, 100));
    assert_eq!(machine.hear_again(), Again::Resend);
    assert!(machine.respond(zero, 200));
    assert!(!machine.respond(zero, 500), "it is answered once");
    assert_eq!(machine.hear_again(), Again::Resend);
    assert_eq!(play!(zero, machine), [(64 * T1, Ticked::Over)]);
    let mut machine = Server::new(Timing::default(), true);
    assert!(machine.respond(zero, 200));
    assert!(machine.is_over());
}

#[test]
fn trying_is_said_once_unless_something_else_was() {
    let zero = start();
    let mut machine = ServerInvite::new(zero, Timing::default(), false);
    assert_eq!(play!(zero, machine.clone()), [(150, Ticked::Trying)]);
    assert!(machine.respond(zero, 180));
    assert_eq!((machine.deadline(), machine.hear_again()), (None, Again::Resend));
}

#[test]
fn timers_g_and_h_of_a_refusal() {
    let zero = start();
    let refused = |is_reliable| {
        let mut machine = ServerInvite::new(zero, Timing::default(), is_reliable);
        assert!(machine.respond(zero, 486) && !machine.respond(zero, 200));
        assert_eq!(machine.hear_again(), Again::Resend);
        machine
    };
    let mut expected = resends(&[500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    expected.push((64 * T1, Ticked::TimedOut));
    assert_eq!(play!(zero, refused(false)), expected);
    assert_eq!(play!(zero, refused(true)), [(64 * T1, Ticked::TimedOut)]);
}

#[test]
fn timer_i_takes_acks_that_come_again_for_t4() {
    let zero = start();
    let mut machine = ServerInvite::new(zero, Timing::default(), false);
    machine.respond(zero, 486);
    assert!(machine.acked(zero) && machine.acked(zero));
    assert_eq!(machine.hear_again(), Again::Ignore);
    assert_eq!(play!(zero, machine), [(5_000, Ticked::Over)]);
    let mut machine = ServerInvite::new(zero, Timing::default(), true);
    machine.respond(zero, 486);
    assert!(machine.acked(zero) && machine.is_over());
}

#[test]
fn timer_l_takes_invites_that_come_again_and_leaves_acks_to_the_user() {
    let zero = start();
    let mut machine = ServerInvite::new(zero, Timing::default(), false);
    assert!(machine.respond(zero, 200) && machine.is_answered());
    assert_eq!(machine.hear_again(), Again::Ignore);
    assert!(!machine.acked(zero));
    assert_eq!(play!(zero, machine), [(64 * T1, Ticked::Over)]);
}

#[test]
fn a_late_tick_does_what_is_due_once() {
    let zero = start();
    let mut machine = Client::new(zero, Timing::default(), false);
    let late = zero + Duration::from_secs(20);
    assert_eq!(machine.tick(late), Ticked::Resend);
    assert_eq!(machine.tick(late), Ticked::Nothing);
    assert!(machine.deadline().is_some_and(|at| at > late));
}
