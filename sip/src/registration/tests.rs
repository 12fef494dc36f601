use super::*;
use crate::message::CSeq;

#[test]
fn a_registration_is_refreshed_long_before_its_time_is_up() {
    let mut kit = Kit::new(&["sip:a.example"]);
    for _ in 0..50 {
        let asked = kit.ask();
        kit.answer(asked.id, &granted(&asked, 600));
        let status = kit.registration.status();
        assert_eq!((status.phase, status.failed), (Phase::Registered, None));
        assert_eq!(status.registered_until, Some(kit.now + Duration::from_secs(600)));
        let refresh = kit.registration.deadline().unwrap() - kit.now;
        assert!((Duration::from_secs(390)..=Duration::from_secs(450)).contains(&refresh), "{refresh:?}");
        kit.now += refresh;
        kit.registration.tick(kit.now);
    }
}

#[test]
fn a_brief_registration_leaves_time_for_retransmissions() {
    let mut kit = Kit::new(&["sip:a.example"]);
    let asked = kit.ask();
    kit.answer(asked.id, &granted(&asked, 90));
    let refresh = kit.registration.deadline().unwrap() - kit.now;
    assert!(refresh <= Duration::from_secs(45) && refresh >= Duration::from_secs(36), "{refresh:?}");
}

#[test]
fn requests_of_a_registration_share_their_call_id_and_count_up() {
    let mut kit = Kit::new(&["sip:a.example"]);
    let first = kit.ask();
    kit.answer(first.id, &granted(&first, 600));
    kit.advance_to_deadline();
    let second = kit.ask();
    assert_eq!(first.request.headers.call_id(), second.request.headers.call_id());
    assert_eq!(cseq(&second).number, cseq(&first).number + 1);
    assert_eq!(cseq(&second).method, Method::Register);
    assert_eq!(second.request.uri.to_string(), "sip:a.example");
    assert_eq!(second.request.headers.first("Expires"), Some("600"));
}

#[test]
fn a_challenge_is_answered_and_its_nonce_used_again() {
    let mut kit = Kit::new(&["sip:a.example"]);
    let first = kit.ask();
    assert!(!first.request.headers.contains("Authorization"));
    kit.answer(first.id, &challenge(&first, "one"));
    let second = kit.ask();
    assert!(second.request.headers.first("Authorization").unwrap().contains("nc=00000001"));
    kit.answer(second.id, &granted(&second, 600));
    kit.advance_to_deadline();
    let third = kit.ask();
    assert!(third.request.headers.first("Authorization").unwrap().contains("nc=00000002"));
}

#[test]
fn a_refused_password_is_not_tried_again_for_five_minutes() {
    let mut kit = Kit::new(&["sip:a.example", "sip:b.example"]);
    let first = kit.ask();
    kit.answer(first.id, &challenge(&first, "one"));
    let second = kit.ask();
    kit.answer(second.id, &challenge(&second, "two"));
    assert_eq!(kit.registration.poll(), None);
    let status = kit.registration.status();
    assert_eq!(status.failed, Some(Failed::Credentials(Unanswerable::Refused)));
    assert!(status.retry_at.unwrap() >= kit.now + Duration::from_secs(300));
    kit.advance_to_deadline();
    let third = kit.ask();
    assert!(!third.request.headers.contains("Authorization"));
    kit.answer(third.id, &granted(&third, 600));
    assert_eq!(kit.registration.status().phase, Phase::Registered);
}

#[test]
fn without_a_password_a_challenge_is_a_failure_that_says_so() {
    let mut kit = Kit::with(Config { credentials: None, ..config(&["sip:a.example"]) });
    let asked = kit.ask();
    kit.answer(asked.id, &challenge(&asked, "one"));
    assert_eq!(kit.registration.status().failed, Some(Failed::NoCredentials));
}

#[test]
fn a_server_that_wants_longer_registrations_gets_them_once() {
    let mut kit = Kit::new(&["sip:a.example"]);
    let first = kit.ask();
    kit.answer(first.id, &with(first.request.respond(423), "Min-Expires", "1800"));
    let second = kit.ask();
    assert_eq!(second.request.headers.first("Expires"), Some("1800"));
    kit.answer(second.id, &with(second.request.respond(423), "Min-Expires", "3600"));
    assert_eq!(kit.registration.status().failed, Some(Failed::Status(423)));
    kit.advance_to_deadline();
    let third = kit.ask();
    kit.answer(third.id, &third.request.respond(423));
    assert_eq!(kit.registration.status().phase, Phase::Waiting);
}

#[test]
fn the_next_server_is_tried_at_once_and_all_of_them_before_waiting() {
    let mut kit = Kit::new(&["sip:a.example", "sip:b.example", "sip:c.example"]);
    for server in ["sip:a.example", "sip:b.example", "sip:c.example"] {
        let asked = kit.ask();
        assert_eq!(asked.request.uri.to_string(), server);
        match server {
            "sip:b.example" => kit.answer(asked.id, &asked.request.respond(503)),
            _ => kit.registration.responded(asked.id, None, kit.now),
        }
    }
    assert_eq!(kit.registration.status().phase, Phase::Waiting);
    kit.advance_to_deadline();
    let first = kit.ask();
    assert_eq!(first.request.uri.to_string(), "sip:a.example");
    kit.registration.responded(first.id, None, kit.now);
    let second = kit.ask();
    kit.answer(second.id, &granted(&second, 600));
    kit.advance_to_deadline();
    assert_eq!(kit.ask().request.uri.to_string(), "sip:b.example");
}

#[test]
fn the_wait_grows_to_half_an_hour_and_differs() {
    let mut kit = Kit::new(&["sip:a.example"]);
    let mut waits = Vec::new();
    for failures in 1..20_u32 {
        let asked = kit.ask();
        kit.registration.responded(asked.id, None, kit.now);
        let wait = kit.registration.deadline().unwrap() - kit.now;
        let longest = Duration::from_secs((30 * 2_u64.pow(failures)).min(1_800));
        assert!(wait >= longest / 2 && wait <= longest, "{failures}: {wait:?}");
        waits.push(wait);
        kit.advance_to_deadline();
    }
    let last: std::collections::BTreeSet<_> = waits[10..].iter().collect();
    assert!(last.len() > 5);
}

#[test]
fn retry_after_is_obeyed_up_to_an_hour() {
    let mut kit = Kit::new(&["sip:a.example"]);
    for (says, waits) in [("1000", 1_000), ("999999", 3_600)] {
        let asked = kit.ask();
        kit.answer(asked.id, &with(asked.request.respond(503), "Retry-After", says));
        assert_eq!(kit.registration.deadline().unwrap() - kit.now, Duration::from_secs(waits));
        kit.advance_to_deadline();
    }
}

#[test]
fn a_lost_connection_registers_at_once_unless_it_never_held() {
    let mut kit = Kit::new(&["sip:a.example"]);
    let asked = kit.ask();
    kit.answer(asked.id, &granted(&asked, 600));
    kit.now += Duration::from_secs(40);
    kit.registration.lost(kit.now);
    assert_eq!(kit.registration.status().registered_until, None);
    let asked = kit.ask();
    kit.answer(asked.id, &granted(&asked, 600));
    kit.registration.lost(kit.now);
    assert_eq!(kit.registration.status().phase, Phase::Waiting);
    assert_eq!(kit.registration.poll(), None);
}

#[test]
fn leave_is_taken_with_the_password_and_silence_does_not_hold_it_up() {
    let mut kit = Kit::new(&["sip:a.example"]);
    let asked = kit.ask();
    kit.answer(asked.id, &granted(&asked, 600));
    kit.registration.stop(kit.now);
    let leave = kit.ask();
    assert_eq!(leave.request.headers.first("Expires"), Some("0"));
    kit.answer(leave.id, &challenge(&leave, "one"));
    let leave = kit.ask();
    assert!(leave.request.headers.contains("Authorization"));
    kit.registration.responded(leave.id, None, kit.now);
    assert_eq!(kit.registration.status().phase, Phase::Off);
    assert_eq!((kit.registration.deadline(), kit.registration.poll()), (None, None));
}

#[test]
fn whoever_is_not_registered_leaves_without_a_word() {
    let mut kit = Kit::new(&["sip:a.example"]);
    let asked = kit.ask();
    kit.registration.responded(asked.id, None, kit.now);
    kit.registration.stop(kit.now);
    assert_eq!((kit.registration.status().phase, kit.registration.poll()), (Phase::Off, None));
}

#[test]
fn an_answer_to_what_is_no_longer_asked_changes_nothing() {
    let mut kit = Kit::new(&["sip:a.example"]);
    let first = kit.ask();
    kit.answer(first.id, &granted(&first, 600));
    kit.answer(first.id, &first.request.respond(403));
    assert_eq!(kit.registration.status().phase, Phase::Registered);
}

#[test]
fn of_several_contacts_ours_counts_and_of_ours_the_shortest() {
    let mut kit = Kit::new(&["sip:a.example"]);
    let asked = kit.ask();
    let mut response = asked.request.respond(200);
    for contact in ["<sip:other@h>;expires=5", "<sip:line@h1>;expires=300", "<sip:line@h2>;expires=200"] {
        response.headers.push("Contact", contact);
    }
    response.headers.push("Service-Route", "<sip:proxy.example;lr>");
    kit.answer(asked.id, &response);
    assert_eq!(kit.registration.status().registered_until, Some(kit.now + Duration::from_secs(200)));
    assert_eq!(kit.registration.service_route()[0].uri.host, "proxy.example");
}

#[test]
fn another_server_that_is_preferred_is_registered_with() {
    let mut kit = Kit::new(&["sip:a.example", "sip:b.example"]);
    let asked = kit.ask();
    kit.answer(asked.id, &granted(&asked, 600));
    kit.registration.prefer(1, kit.now);
    let asked = kit.ask();
    assert_eq!((asked.server, asked.request.uri.to_string().as_str()), (1, "sip:b.example"));
    kit.registration.prefer(7, kit.now);
    assert_eq!(kit.registration.poll(), None);
}

struct Kit {
    registration: Registration,
    now: Instant,
}

impl Kit {
    fn new(servers: &[&str]) -> Self {
        Self::with(config(servers))
    }

    fn with(config: Config) -> Self {
        let mut registration = Registration::new(config, [7; 32]);
        let now = start();
        registration.start(now);
        Self { registration, now }
    }

    /// The one request that is to be sent.
    fn ask(&mut self) -> Ask {
        let ask = self.registration.poll().expect("something is asked");
        assert_eq!(self.registration.poll(), None);
        ask
    }

    fn answer(&mut self, id: AskId, response: &Response) {
        self.registration.responded(id, Some(response), self.now);
    }

    fn advance_to_deadline(&mut self) {
        self.now = self.registration.deadline().expect("something is waited for");
        self.registration.tick(self.now);
    }
}

fn config(servers: &[&str]) -> Config {
    Config {
        aor: "sip:line@example.org".parse().unwrap(),
        servers: servers.iter().map(|uri| uri.parse().unwrap()).collect(),
        contact_user: "line".to_owned(),
        credentials: Some(Credentials { username: "line".to_owned(), password: "secret".to_owned(), realm: None }),
        expires: Duration::from_secs(600),
    }
}

fn granted(asked: &Ask, seconds: u32) -> Response {
    with(asked.request.respond(200), "Contact", &format!("<sip:line@192.0.2.1:5060>;expires={seconds}"))
}

fn challenge(asked: &Ask, nonce: &str) -> Response {
    let value = format!("Digest realm=\"example.org\", nonce=\"{nonce}\", algorithm=SHA-256, qop=\"auth\"");
    with(asked.request.respond(401), "WWW-Authenticate", &value)
}

fn with(mut response: Response, name: &str, value: &str) -> Response {
    response.headers.push(name, value);
    response
}

fn cseq(asked: &Ask) -> CSeq {
    asked.request.headers.cseq().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "an instant from which virtual time runs")]
fn start() -> Instant {
    Instant::now()
}
