//! SIP from those who mean harm: broken, huge, slow and endless messages, guesses at other people's calls, scanners,
//! thieves of passwords. All of it over real sockets against the real binary, from addresses of this machine's own.
//!
//! Afterwards the server answers, takes a call, has none that is stuck, has not panicked, and holds no more memory and
//! no more files than before.

use std::time::Duration;

use futures_util::future::join_all;
use sip::{
    auth::{Credentials, Prover},
    message::{Headers, Message, Method, Request, Response},
};
use tests::{
    calls::Calls,
    mischief::{Chance, bombs, mutated},
    server::{self, Server},
    wire::{Ask, Heard, Line, PATIENCE, SDP, Wire, tag_of},
};
use tokio::time::timeout;

/// The home of those who may misdial as often as they like.
const TRUSTED: &str = "trusted = [\"127.0.0.0/24\"]";

const USERS: &str = "[rtp]\ntimeout_s = 0\n[[sip.users]]\nname = \"ada\"\npassword = \"seven-words\"\n\
    [[numbers]]\nnumber = \"echo\"\nto = \"echo\"\n[[numbers]]\nnumber = \"ring\"\nto = \"ring\"\n\
    [[numbers]]\nnumber = \"ada\"\nto = \"user:ada\"\nauth = true\n";

/// How long silence is listened to before it counts.
const SILENCE: Duration = Duration::from_millis(400);

/// A telephone that asks in a flood is heard after so long, and told to come back so often.
const KEPT_OUT_MAX: Duration = Duration::from_secs(5);
const REFUSALS_MAX: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn mutated_messages_change_nothing_and_cost_nothing() {
    let (server, calls) = start(TRUSTED);
    let wire = Wire::at("127.0.0.10:0", &server.sip()).await;
    // Once, so that what is made at the first call is there.
    goes_on(&server, &calls).await;
    let before = Held::by(&server);
    let mut chance = Chance::new(20_260_729);
    for round in 0..40 {
        for _ in 0..50 {
            let text = mutated(&mut chance, wire.address());
            wire.send(&text).await;
        }
        // Not faster than it reads, or the system would throw most of them away.
        wire.sees_it_alive().await;
        if round % 4 == 0 {
            let mut line = Line::to(&server.sip()).await;
            for _ in 0..5 {
                line.send(&mutated(&mut chance, line.address())).await;
            }
        }
    }
    goes_on(&server, &calls).await;
    before.is_all(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_heads_and_endless_headers_are_refused() {
    let (server, calls) = start(TRUSTED);
    let wire = Wire::at("127.0.0.11:0", &server.sip()).await;
    goes_on(&server, &calls).await;
    let before = Held::by(&server);
    let long = |headers: String| Ask { headers, ..Ask::new("OPTIONS", "anybody") };
    // What a datagram holds at most.
    let wide = long(format!("X-Long: {}\r\n", "x".repeat(60_000)));
    let many = long("X-Many: x\r\n".repeat(5_000));
    for ask in [&wide, &many] {
        let status = wire.ask(ask).await.status;
        assert!((400..500).contains(&status) || status == 513, "{status}");
        wire.sees_it_alive().await;
    }
    for headers in ["x".repeat(64 * 1_024), "X-Many: x\r\n".repeat(10_000), "a".repeat(1 << 20)] {
        let mut line = Line::to(&server.sip()).await;
        let text = long(format!("X: {headers}\r\n")).text("TCP", line.address());
        line.send(text.as_bytes()).await;
        let (answers, end) = line.statuses(PATIENCE).await;
        assert_eq!(end, Heard::Closed, "{answers:?}");
        assert!(answers.iter().all(|answer| (400..600).contains(&answer.status)), "{answers:?}");
    }
    goes_on(&server, &calls).await;
    before.is_all(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_connections_are_read_to_the_end_or_closed() {
    let (server, calls) = start(TRUSTED);
    let sip = server.sip();
    goes_on(&server, &calls).await;
    let before = Held::by(&server);
    let by_bytes = async {
        let mut line = Line::to(&sip).await;
        for byte in line.last().into_bytes() {
            line.send(&[byte]).await;
        }
        assert!(matches!(line.statuses(PATIENCE).await.1, Heard::Message(_)), "a whole message is answered");
    };
    let half = async {
        let mut line = Line::to(&sip).await;
        let text = line.last();
        line.send(&text.as_bytes()[..text.len() / 2]).await;
        // Half a message may take ten seconds.
        assert_eq!(line.statuses(Duration::from_secs(15)).await.1, Heard::Closed);
    };
    let trickle = async {
        let mut line = Line::to(&sip).await;
        let text = line.last();
        let mut bytes = text.bytes().cycle();
        let mut beats = tokio::time::interval(Duration::from_millis(300));
        // A byte now and then gains no time.
        for _ in 0..60 {
            beats.tick().await;
            line.send(&[bytes.next().unwrap()]).await;
        }
        assert_eq!(line.statuses(PATIENCE).await.1, Heard::Closed);
    };
    let mute = async {
        let mut line = Line::to(&sip).await;
        assert_eq!(line.next(Duration::from_secs(40)).await, Heard::Closed, "who says nothing is not waited for");
    };
    tokio::join!(by_bytes, half, trickle, mute);
    goes_on(&server, &calls).await;
    before.is_all(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swarm_of_connections_is_bounded_and_let_go() {
    let (server, calls) = start(TRUSTED);
    goes_on(&server, &calls).await;
    let before = Held::by(&server);
    let sip = server.sip();
    let swarm = join_all((0..400).map(|_| Line::to(&sip))).await;
    let held = Held::by(&server);
    assert!(held.files - before.files <= 250, "{} connections of one address are held", held.files - before.files);
    let wire = Wire::at("127.0.0.12:0", &server.sip()).await;
    wire.sees_it_alive().await;
    drop(swarm);
    goes_on(&server, &calls).await;
    before.is_all(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_descriptions_that_are_bombs_end_their_own_call_at_most() {
    let (server, calls) = start(TRUSTED);
    let wire = Wire::at("127.0.0.13:0", &server.sip()).await;
    let held = wire.dial("echo").await;
    let mut held_cseq = held.cseq;
    for (name, sdp) in bombs() {
        let call = Ask { body: sdp.clone(), ..Ask::call("echo") };
        let answer = wire.ask_within(&call, PATIENCE).await.unwrap_or_else(|| panic!("no answer to {name}"));
        if answer.status == 200 {
            let to_tag = tag_of(&answer);
            assert_eq!(wire.ask(&Ask { to_tag, ..call.next("BYE") }).await.status, 200, "{name}");
        } else {
            assert!((400..500).contains(&answer.status) || answer.status == 513, "{name}: {}", answer.status);
        }
        // And within a call, which goes on.
        held_cseq += 1;
        let headers = "Content-Type: application/sdp\r\n".to_owned();
        let branch = format!("{}-{held_cseq}", held.branch);
        let again = Ask { body: sdp, headers, cseq: held_cseq, branch, method: "INVITE", ..held.clone() };
        let answer = wire.ask_within(&again, PATIENCE).await.unwrap_or_else(|| panic!("no answer to {name} in a call"));
        assert!(answer.status == 200 || (400..500).contains(&answer.status) || answer.status == 513, "{name}");
    }
    let end = Ask { cseq: held_cseq, ..held.clone() }.next("BYE");
    assert_eq!(wire.ask(&end).await.status, 200, "the call that was there went on");
    goes_on(&server, &calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_other_peoples_calls_change_nothing() {
    let (server, calls) = start(TRUSTED);
    let (ada, eve) = (Wire::at("127.0.0.14:0", &server.sip()).await, Wire::at("127.0.0.15:0", &server.sip()).await);
    let call = ada.dial("echo").await;
    let ringing = Ask::call("ring");
    ada.put(&ringing).await;
    let rings = loop {
        match ada.next(PATIENCE).await {
            Some(Message::Response(response)) if response.status == 180 => break response,
            Some(_) => {}
            None => panic!("it does not ring"),
        }
    };
    let guesses = [
        Ask { to_tag: "guess".to_owned(), ..call.next("BYE") },
        Ask { tag: "guess".to_owned(), ..call.next("BYE") },
        Ask { to_tag: call.tag.clone(), tag: call.to_tag.clone(), ..call.next("INVITE") },
        Ask { to_tag: "guess".to_owned(), body: SDP.to_owned(), ..call.next("INVITE") },
        Ask { to_tag: "guess".to_owned(), ..call.next("UPDATE") },
        Ask { to_tag: "guess".to_owned(), ..call.next("REFER") },
        Ask { to_tag: "guess".to_owned(), ..call.next("INFO") },
        Ask { to_tag: String::new(), ..call.next("BYE") },
    ];
    // Each is a transaction of its own: the answer to the one before would be the answer to its retransmission.
    let guesses =
        guesses.into_iter().zip(1..).map(|(guess, n)| Ask { branch: format!("{}-{n}", guess.branch), ..guess });
    let cancels = [
        // The INVITE's names, but not its branch; and its branch from somebody else.
        Ask {
            headers: String::new(),
            body: String::new(),
            method: "CANCEL",
            branch: "guess".to_owned(),
            ..ringing.clone()
        },
        Ask { headers: String::new(), body: String::new(), method: "CANCEL", ..ringing.clone() },
    ];
    for guess in guesses.chain(cancels) {
        let answer = eve.ask(&guess).await;
        assert_eq!(answer.status, 481, "{guess:?}");
    }
    let on: Vec<_> = calls.get("calls").await["calls"].as_array().cloned().unwrap_or_default();
    let on: Vec<_> = on.iter().filter_map(|call| call["status"].as_str()).collect();
    assert!(on.contains(&"in-progress") && on.contains(&"ringing"), "{on:?}");
    // Those whose calls they are end them.
    assert_eq!(ada.ask(&call.next("INFO")).await.status, 200);
    assert_eq!(ada.ask(&call.next("INFO").next("BYE")).await.status, 200);
    let cancel = Ask { headers: String::new(), body: String::new(), method: "CANCEL", ..ringing.clone() };
    assert_eq!(ada.ask(&cancel).await.status, 200);
    let refused = loop {
        match ada.next(PATIENCE).await {
            Some(Message::Response(response)) if response.status == 487 => break response,
            Some(_) => {}
            None => panic!("the INVITE is not answered"),
        }
    };
    assert_eq!(tag_of(&refused), tag_of(&rings));
    ada.acknowledge(&ringing, &refused).await;
    goes_on(&server, &calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scanners_learn_nothing_and_are_no_longer_answered() {
    let (server, calls) = start(&format!("{TRUSTED}\nunknown = \"challenge\""));
    // Each question from an address that was never heard of, so that none is silenced.
    let mut host = 0;
    let mut asked = async |ask: &Ask| {
        host += 1;
        Wire::at(&format!("127.0.1.{host}:0"), &server.sip()).await.ask(ask).await
    };
    let known = asked(&Ask::call("ada")).await;
    for nobody in ["eve", "1000", "+4930123456", "admin", "a%00b", "ada2"] {
        let unknown = asked(&Ask::call(nobody)).await;
        assert_eq!(shape(&unknown), shape(&known), "INVITE {nobody}");
    }
    let known = asked(&register("ada")).await;
    for nobody in ["eve", "1000", "admin"] {
        assert_eq!(shape(&asked(&register(nobody)).await), shape(&known), "REGISTER {nobody}");
    }
    // A proof that is wrong is refused alike for whoever is there and whoever is not.
    let mut shapes = Vec::new();
    for (user, host) in [("ada", 91), ("eve", 92)] {
        let wire = Wire::at(&format!("127.0.1.{host}:0"), &server.sip()).await;
        let challenge = wire.ask(&register(user)).await;
        let proof = Proof::of(user, "wrong", &challenge).line(Method::Register);
        shapes.push(shape(&wire.ask(&Ask { headers: proof, ..register(user) }).await));
    }
    assert_eq!(shapes[0], shapes[1]);

    // One that goes through all numbers.
    let scanner = Wire::at("127.0.2.1:0", &server.sip()).await;
    let mut answered = 0;
    for number in 100..200 {
        let within = if answered < 10 { PATIENCE } else { SILENCE };
        let ask = Ask::call(&number.to_string());
        let mut answer = scanner.ask_within(&ask, within).await;
        if answer.is_none() && within < PATIENCE {
            // A server that is slow answers when it is asked again; one that has banned somebody never does.
            answer = scanner.ask_within(&ask, PATIENCE).await;
        }
        match answer {
            Some(_) => answered += 1,
            None => break,
        }
    }
    assert!((10..60).contains(&answered), "{answered} of a scan's questions were answered");
    assert!(scanner.ask_within(&Ask::new("OPTIONS", "anybody"), SILENCE).await.is_none(), "it is not answered at all");
    // Nobody else pays for it.
    Wire::at("127.0.2.2:0", &server.sip()).await.sees_it_alive().await;
    goes_on(&server, &calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_good_once_for_what_and_whom_it_was_made() {
    let (server, calls) = start(TRUSTED);
    let (ada, eve) = (Wire::at("127.0.0.16:0", &server.sip()).await, Wire::at("127.0.0.17:0", &server.sip()).await);
    let challenge = ada.ask(&register("ada")).await;
    assert_eq!(challenge.status, 401);
    let with = |proof: &str| Ask { headers: proof.to_owned(), ..register("ada") };
    let is_stale = |response: &Response| {
        let challenge = response.headers.first("WWW-Authenticate").unwrap_or_default();
        response.status == 401 && challenge.contains("stale=true")
    };
    let mut right = Proof::of("ada", "seven-words", &challenge);
    let first = right.line(Method::Register);
    assert_eq!(ada.ask(&with(&first)).await.status, 200);
    // The same proof again, by a new request: whoever made it knows the password, but it was used.
    assert!(is_stale(&ada.ask(&with(&first)).await));
    // From elsewhere it is worth nothing either.
    assert_eq!(eve.ask(&with(&first)).await.status, 401);
    // Nor are those for another method, another realm, another name and a wrong password, whatever their count.
    let elsewhere =
        Response { headers: said(&challenge, "realm=\"127.0.0.1\"", "realm=\"elsewhere\""), ..challenge.clone() };
    for (proof, what) in [
        (right.line(Method::Invite), "another method"),
        (Proof::of("ada", "seven-words", &elsewhere).line(Method::Register), "another realm"),
        (
            Proof { user: "ada".to_owned(), ..Proof::of("eve", "seven-words", &challenge) }.line(Method::Register),
            "another name",
        ),
        (Proof::of("ada", "eight-words", &challenge).line(Method::Register), "a wrong password"),
    ] {
        let answer = ada.ask(&with(&proof)).await;
        assert!(answer.status == 401 && !is_stale(&answer), "{what}: {answer:?}");
    }
    // Counted on, it is good again.
    assert_eq!(ada.ask(&with(&right.line(Method::Register))).await.status, 200);
    // A nonce that we never gave away.
    let given = nonce(&challenge);
    let made_up = Response { headers: said(&challenge, &given, &given.to_uppercase()), ..challenge.clone() };
    let made_up = Proof::of("ada", "seven-words", &made_up).line(Method::Register);
    assert_eq!(ada.ask(&with(&made_up)).await.status, 401);
    goes_on(&server, &calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_questions_for_nonces_takes_no_memory_and_keeps_nobody_out() {
    let (server, calls) = start(TRUSTED);
    goes_on(&server, &calls).await;
    let before = Held::by(&server);
    let ada = Wire::at("127.0.0.18:0", &server.sip()).await;
    for host in 1..=100 {
        let flood = Wire::at(&format!("127.0.3.{host}:0"), &server.sip()).await;
        for _ in 0..50 {
            flood.put(&register("ada")).await;
        }
        if host % 20 == 0 {
            let challenge = ask_again_when_full(&ada, || register("ada")).await;
            let proof = Proof::of("ada", "seven-words", &challenge).line(Method::Register);
            let right = || Ask { headers: proof.clone(), ..register("ada") };
            assert_eq!(ask_again_when_full(&ada, right).await.status, 200);
        }
    }
    goes_on(&server, &calls).await;
    before.is_all(&server).await;
}

/// What a telephone does that is told to come back: asks again, shortly, and not often.
async fn ask_again_when_full(wire: &Wire, ask: impl Fn() -> Ask) -> Response {
    let mut refusals = 0;
    let asking = async {
        let mut looks = tokio::time::interval(Duration::from_millis(100));
        loop {
            looks.tick().await;
            let response = wire.ask(&ask()).await;
            if response.status != 503 {
                return response;
            }
            assert!(response.headers.first("Retry-After").is_some(), "it is not told when to come back: {response:?}");
            refusals += 1;
            assert!(refusals <= REFUSALS_MAX, "refused {refusals} times: {response:?}");
        }
    };
    let answer = timeout(KEPT_OUT_MAX, asking).await;
    answer.unwrap_or_else(|_| panic!("a telephone was kept out for {KEPT_OUT_MAX:?}, and refused {refusals} times"))
}

fn start(telephone: &str) -> (Server, Calls) {
    let options = server::Options { config: USERS, telephone: Some(telephone), ..server::Options::default() };
    let server = Server::start(options).unwrap();
    let calls = Calls::of(&server);
    (server, calls)
}

/// The server answers, takes a call by each way, has none that is stuck, and nothing in it panicked.
async fn goes_on(server: &Server, calls: &Calls) {
    let wire = Wire::at("127.0.0.99:0", &server.sip()).await;
    wire.sees_it_alive().await;
    let call = wire.dial("echo").await;
    assert_eq!(wire.ask(&call.next("BYE")).await.status, 200);
    let mut line = Line::to(&server.sip()).await;
    let last = line.last();
    line.send(last.as_bytes()).await;
    assert!(matches!(line.statuses(PATIENCE).await.1, Heard::Message(_)), "connections are taken");
    calls.none().await;
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// What the server holds of the machine.
#[derive(Clone, Copy, Debug)]
struct Held {
    memory_kib: u64,
    files: usize,
}

impl Held {
    fn by(server: &Server) -> Self {
        let process = format!("/proc/{}", server.process_id());
        let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let memory_kib = resident.split_whitespace().next().unwrap().parse().unwrap();
        Self { memory_kib, files: std::fs::read_dir(format!("{process}/fd")).unwrap().count() }
    }

    /// Whether it holds no more now, but for what waits half a minute for stragglers.
    async fn is_all(&self, server: &Server) {
        // Connections are noticed to be gone a moment later.
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        let mut now = Self::by(server);
        for _ in 0..100 {
            if now.files <= self.files + 2 {
                break;
            }
            looks.tick().await;
            now = Self::by(server);
        }
        assert!(now.files <= self.files + 2, "{now:?} after {self:?}");
        assert!(now.memory_kib < self.memory_kib + 32 * 1_024, "{now:?} after {self:?}");
    }
}

/// What an answer tells, apart from what is drawn for each.
fn shape(response: &Response) -> (u16, String, Vec<String>) {
    let names: Vec<_> = response.headers.iter().map(|(name, _)| name.to_owned()).collect();
    let challenge = response.headers.first("WWW-Authenticate").unwrap_or_default();
    let fixed = challenge.split(',').filter(|part| !part.trim_start().starts_with("nonce"));
    (response.status, response.reason.clone(), names.into_iter().chain(fixed.map(str::to_owned)).collect())
}

fn register(user: &str) -> Ask {
    Ask::new("REGISTER", user)
}

fn nonce(challenge: &Response) -> String {
    let line = challenge.headers.first("WWW-Authenticate").unwrap_or_default();
    let rest = line.split_once("nonce=\"").map_or("", |(_, rest)| rest);
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// The headers of a response, with another text in its challenge.
fn said(response: &Response, from: &str, to: &str) -> Headers {
    let line = response.headers.first("WWW-Authenticate").unwrap_or_default();
    assert!(line.contains(from), "{line}");
    let mut headers = response.headers.clone();
    headers.set("WWW-Authenticate", line.replace(from, to));
    headers
}

/// Proves a password.
struct Proof {
    prover: Prover,
    user: String,
}

impl Proof {
    fn of(user: &str, password: &str, challenge: &Response) -> Self {
        let credentials = Credentials { username: user.to_owned(), password: password.to_owned(), realm: None };
        let mut prover = Prover::new(credentials);
        prover.challenged(challenge).expect("a challenge");
        Self { prover, user: user.to_owned() }
    }

    /// The next proof, for a request to `sip:user@127.0.0.1`, as a line of its headers.
    fn line(&mut self, method: Method) -> String {
        let uri = format!("sip:{}@127.0.0.1", self.user).parse().expect("an address");
        let mut request = Request { method, uri, headers: Headers::new(), body: Default::default() };
        self.prover.authorize(&mut request, "0a4f113b");
        format!("Authorization: {}\r\n", request.headers.first("Authorization").expect("a proof"))
    }
}
