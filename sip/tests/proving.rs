//! Digest, both sides against each other on virtual time.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use bytes::Bytes;
use sip::{
    auth::{Algorithm, Checked, Credentials, Guard, GuardConfig, Prover, Unanswerable, Unproven},
    message::{Headers, Method, NameAddr, Request, Uri},
};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

#[test]
fn a_password_is_proven_with_every_algorithm() {
    for algorithm in Algorithm::ALL {
        let mut yard = Yard::offering(&[algorithm]);
        let mut prover = prover("yard", "sec\"ret:\\");
        let mut request = register();
        let challenge = yard.guard.challenge(&request, HERE, yard.now, false);
        assert_eq!(challenge.status, 401);
        prover.challenged(&challenge).unwrap();
        for nth in 1..=3 {
            prover.authorize(&mut request, &format!("chance{nth}"));
            assert_eq!(yard.check(&request), known(), "{algorithm:?}, use {nth} of the nonce");
        }
    }
}

#[test]
fn the_strongest_of_what_is_offered_is_answered() {
    let mut yard = Yard::offering(&[Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512T256]);
    let mut prover = prover("yard", PASSWORD);
    let mut request = register();
    let mut challenge = yard.guard.challenge(&request, HERE, yard.now, false);
    challenge
        .headers
        .push_front("WWW-Authenticate", "Digest realm=\"yard\", nonce=\"n\", algorithm=ZZZ-9, qop=\"auth\"");
    challenge.headers.push_front("WWW-Authenticate", "NoOneKnows param=x");
    prover.challenged(&challenge).unwrap();
    prover.authorize(&mut request, "chance");
    assert!(request.headers.first("Authorization").unwrap().contains("algorithm=SHA-512-256,"));
    assert_eq!(yard.check(&request), known());
}

#[test]
fn a_wrong_password_is_refused_and_not_tried_again() {
    let mut yard = Yard::new();
    let mut prover = prover("yard", "wrong");
    let mut request = register();
    prover.challenged(&yard.guard.challenge(&request, HERE, yard.now, false)).unwrap();
    prover.authorize(&mut request, "chance");
    assert_eq!(yard.check(&request), unknown(Unproven::Password, false));
    let again = yard.guard.challenge(&request, HERE, yard.now, false);
    assert_eq!(prover.challenged(&again), Err(Unanswerable::Refused));
}

#[test]
fn nobody_learns_which_names_exist() {
    let mut yard = Yard::new();
    let mut answers = Vec::new();
    for name in ["yard", "nobody"] {
        let mut prover = prover(name, "guess");
        let mut request = register();
        prover.challenged(&yard.guard.challenge(&request, HERE, yard.now, false)).unwrap();
        prover.authorize(&mut request, "chance");
        answers.push(yard.check(&request));
    }
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn an_old_nonce_is_replaced_without_asking_anybody() {
    let mut yard = Yard::new();
    let mut prover = prover("yard", PASSWORD);
    let mut request = register();
    prover.challenged(&yard.guard.challenge(&request, HERE, yard.now, false)).unwrap();
    prover.authorize(&mut request, "one");
    yard.now += Duration::from_millis(299_999);
    assert_eq!(yard.check(&request), known());
    yard.now += Duration::from_millis(1);
    prover.authorize(&mut request, "two");
    assert_eq!(yard.check(&request), unknown(Unproven::Old, true));
    let challenge = yard.guard.challenge(&request, HERE, yard.now, true);
    assert!(challenge.headers.first("WWW-Authenticate").unwrap().contains("stale=true"));
    prover.challenged(&challenge).unwrap();
    prover.authorize(&mut request, "three");
    assert_eq!(yard.check(&request), known());
}

#[test]
fn a_wrong_password_with_an_old_nonce_is_not_told_that_it_was_the_nonce() {
    let mut yard = Yard::new();
    let mut prover = prover("yard", "guess");
    let mut request = register();
    prover.challenged(&yard.guard.challenge(&request, HERE, yard.now, false)).unwrap();
    prover.authorize(&mut request, "one");
    yard.now += Duration::from_secs(400);
    assert_eq!(yard.check(&request), unknown(Unproven::Password, false));
}

#[test]
fn what_was_captured_is_worth_nothing() {
    let mut yard = Yard::new();
    let mut prover = prover("yard", PASSWORD);
    let mut request = register();
    prover.challenged(&yard.guard.challenge(&request, HERE, yard.now, false)).unwrap();
    prover.authorize(&mut request, "one");
    assert_eq!(yard.check_from(&request, ELSEWHERE), unknown(Unproven::Nonce, true), "from another source");
    assert_eq!(yard.check(&request), known());
    assert_eq!(yard.check(&request), unknown(Unproven::Replayed, true), "again");
    let captured = request.headers.first("Authorization").unwrap().to_owned();
    let mut other = register();
    other.uri = "sip:other.example".parse().unwrap();
    other.headers.push("Authorization", captured.clone());
    assert_eq!(yard.check(&other), unknown(Unproven::Uri, false), "for another URI");
    let mut other = register();
    other.method = Method::Invite;
    other.headers.push("Authorization", captured.replace("nc=00000001", "nc=00000002"));
    assert_eq!(yard.check(&other), unknown(Unproven::Password, false), "for another method");
}

#[test]
fn requests_may_overtake_each_other_but_not_repeat() {
    let mut yard = Yard::new();
    let mut prover = prover("yard", PASSWORD);
    let challenge = yard.guard.challenge(&register(), HERE, yard.now, false);
    prover.challenged(&challenge).unwrap();
    let requests: Vec<Request> = (0..100)
        .map(|n| {
            let mut request = register();
            prover.authorize(&mut request, &format!("c{n}"));
            request
        })
        .collect();
    for index in [1, 0, 99] {
        assert_eq!(yard.check(&requests[index]), known(), "{index}");
    }
    for index in [1, 0, 99, 35] {
        assert_eq!(yard.check(&requests[index]), unknown(Unproven::Replayed, true), "{index}: before, or too late");
    }
    assert_eq!(yard.check(&requests[36]), known());
}

#[test]
fn an_answer_must_be_to_what_was_asked() {
    let mut yard = Yard::offering(&[Algorithm::Sha256]);
    let challenge = yard.guard.challenge(&register(), HERE, yard.now, false);
    let line = challenge.headers.first("WWW-Authenticate").unwrap().to_owned();
    let mut answer_to = |line: &str| {
        let mut prover = prover("yard", PASSWORD);
        let mut challenge = challenge.clone();
        challenge.headers.set("WWW-Authenticate", line);
        prover.challenged(&challenge).unwrap();
        let mut request = register();
        prover.authorize(&mut request, "chance");
        yard.check(&request)
    };
    assert_eq!(answer_to(&line.replace("SHA-256", "MD5")), unknown(Unproven::Form, false), "a weaker algorithm");
    assert_eq!(answer_to(&line.replace("realm=\"yard\"", "realm=\"other\"")), unknown(Unproven::Missing, false));
    assert_eq!(answer_to(&line.replace("nonce=\"A", "nonce=\"B")), unknown(Unproven::Nonce, true), "not our nonce");
    assert_eq!(answer_to(&line), known());
    // Offered both, the nonce of one is none for the other.
    let mut yard = Yard::new();
    let challenge = yard.guard.challenge(&register(), HERE, yard.now, false);
    let strong = challenge.headers.all("WWW-Authenticate").find(|line| line.contains("SHA-256")).unwrap();
    let mut weakened = challenge.clone();
    weakened.headers.set("WWW-Authenticate", strong.replace("SHA-256", "MD5"));
    let mut prover = prover("yard", PASSWORD);
    prover.challenged(&weakened).unwrap();
    let mut request = register();
    prover.authorize(&mut request, "chance");
    assert_eq!(yard.check(&request), unknown(Unproven::Nonce, true));
}

#[test]
fn bad_proofs_are_no_proofs() {
    let mut yard = Yard::new();
    for (line, why) in [
        ("", Unproven::Missing),
        ("Digest", Unproven::Missing),
        ("NoOneKnows abcdef=12345", Unproven::Missing),
        ("Digest realm=\"yard", Unproven::Missing),
        ("Digest realm=\"yard\" x", Unproven::Missing),
        ("Digest realm=\"yard\"", Unproven::Form),
        ("Digest realm=\"yard\", username=\"yard\", uri=\"sip:voice.example\", nonce=\"x\"", Unproven::Form),
        (
            "Digest realm=\"yard\", username=\"yard\", uri=\"sip:voice.example\", nonce=\"x\", response=\"\"",
            Unproven::Password,
        ),
        (
            "Digest realm=\"yard\", username=\"yard\", uri=\"sip:voice.example\", nonce=\"x\", response=\"y\", qop=auth-int, nc=00000001, cnonce=\"c\"",
            Unproven::Form,
        ),
        (
            "Digest realm=\"yard\", username=\"yard\", uri=\"sip:voice.example\", nonce=\"x\", response=\"y\", qop=auth, nc=+0000001, cnonce=\"c\"",
            Unproven::Form,
        ),
    ] {
        let mut request = register();
        request.headers.push("Authorization", line);
        assert_eq!(yard.check(&request), unknown(why, false), "{line}");
    }
}

#[test]
fn a_phone_that_knows_no_qop_uses_each_nonce_once() {
    let mut yard = Yard::new();
    let mut prover = prover("yard", PASSWORD);
    let mut challenge = yard.guard.challenge(&register(), HERE, yard.now, false);
    let line = challenge.headers.all("WWW-Authenticate").find(|line| line.contains("MD5")).unwrap();
    let line = line.replace(", qop=\"auth\"", "");
    challenge.headers.set("WWW-Authenticate", line);
    prover.challenged(&challenge).unwrap();
    let mut request = register();
    prover.authorize(&mut request, "unused");
    assert_eq!(yard.check(&request), known());
    prover.authorize(&mut request, "unused");
    assert_eq!(yard.check(&request), unknown(Unproven::Replayed, true));
}

#[test]
fn counts_of_more_phones_than_fit_are_asked_for_again_not_forgotten() {
    let mut config = GuardConfig::new("yard");
    config.most_nonces = 3;
    let mut yard = Yard::with(config);
    let mut phones: Vec<(Prover, Request)> = (0..5)
        .map(|_| {
            let (mut prover, mut request) = (prover("yard", PASSWORD), register());
            prover.challenged(&yard.guard.challenge(&request, HERE, yard.now, false)).unwrap();
            prover.authorize(&mut request, "chance");
            yard.now += Duration::from_millis(1);
            (prover, request)
        })
        .collect();
    for (_, request) in &phones {
        assert_eq!(yard.check(request), known());
    }
    for (nth, (_, request)) in phones.iter().enumerate() {
        assert_eq!(yard.check(request), unknown(Unproven::Replayed, true), "phone {nth} is replayed");
    }
    for (nth, (prover, request)) in phones.iter_mut().enumerate() {
        prover.authorize(request, "another");
        let expected = if nth < 2 { unknown(Unproven::Replayed, true) } else { known() };
        assert_eq!(yard.check(request), expected, "phone {nth}");
    }
}

#[test]
fn a_server_that_asks_for_ever_is_left() {
    let mut prover = prover("yard", PASSWORD);
    let mut request = register();
    let challenge = |nonce: usize, stale: &str| {
        let mut response = register().respond(407);
        let line = format!("Digest realm=\"yard\", nonce=\"{nonce}\", qop=\"auth-int,auth\", stale={stale}");
        response.headers.push("Proxy-Authenticate", line);
        response
    };
    let mut asked = 0;
    while prover.challenged(&challenge(asked, "true")).is_ok() {
        prover.authorize(&mut request, "chance");
        assert!(request.headers.first("Proxy-Authorization").unwrap().contains("qop=auth,"));
        assert_eq!(request.headers.all("Proxy-Authorization").count(), 1);
        asked += 1;
        assert!(asked < 10);
    }
    assert_eq!(prover.challenged(&challenge(asked, "true")), Err(Unanswerable::Looping));
}

#[test]
fn a_nonce_that_was_taken_may_be_replaced_without_being_stale() {
    let mut prover = prover("yard", PASSWORD);
    let mut request = register();
    for nonce in 0..20 {
        let mut challenge = register().respond(401);
        challenge.headers.push("WWW-Authenticate", format!("Digest realm=\"yard\", nonce=\"{nonce}\", qop=\"auth\""));
        assert_eq!(prover.challenged(&challenge), Ok(()), "challenge {nonce}");
        prover.authorize(&mut request, "taken");
        prover.authorize(&mut request, "refused");
        assert!(request.headers.first("Authorization").unwrap().contains("nc=00000002"));
    }
}

#[test]
fn credentials_for_one_realm_are_shown_to_no_other() {
    let mut prover = Prover::new(Credentials { realm: Some("yard".to_owned()), ..credentials("yard", PASSWORD) });
    let mut challenge = register().respond(401);
    challenge.headers.push("WWW-Authenticate", "Digest realm=\"thief\", nonce=\"1\"");
    assert_eq!(prover.challenged(&challenge), Err(Unanswerable::Foreign));
    assert_eq!(prover.challenged(&register().respond(403)), Err(Unanswerable::Foreign));
    assert_eq!(format!("{prover:?}").matches(PASSWORD).count(), 0, "nor to a log");
}

const PASSWORD: &str = "sec\"ret:\\";

struct Yard {
    guard: Guard,
    now: Instant,
}

impl Yard {
    fn new() -> Self {
        Self::with(GuardConfig::new("yard"))
    }

    fn offering(algorithms: &[Algorithm]) -> Self {
        Self::with(GuardConfig { algorithms: algorithms.to_vec(), ..GuardConfig::new("yard") })
    }

    #[expect(clippy::disallowed_methods, reason = "virtual time needs one instant to count from")]
    fn with(config: GuardConfig) -> Self {
        let now = Instant::now();
        Self { guard: Guard::new(config, [7; 32], now), now: now + Duration::from_secs(60) }
    }

    fn check(&mut self, request: &Request) -> Checked {
        self.check_from(request, HERE)
    }

    fn check_from(&mut self, request: &Request, source: IpAddr) -> Checked {
        self.guard.check(request, source, self.now, |name| (name == "yard").then_some(PASSWORD))
    }
}

fn known() -> Checked {
    Checked::Known { username: "yard".to_owned() }
}

fn unknown(why: Unproven, is_stale: bool) -> Checked {
    Checked::Unknown { is_stale, why }
}

fn prover(username: &str, password: &str) -> Prover {
    Prover::new(credentials(username, password))
}

fn credentials(username: &str, password: &str) -> Credentials {
    Credentials { username: username.to_owned(), password: password.to_owned(), realm: None }
}

fn register() -> Request {
    let me = NameAddr::new(Uri::sip(Some("yard"), "voice.example", None));
    let mut headers = Headers::new();
    headers.push("From", me.to_string());
    headers.push("To", me.to_string());
    Request { method: Method::Register, uri: Uri::sip(None, "voice.example", None), headers, body: Bytes::new() }
}
