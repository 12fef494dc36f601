//! The torture messages of RFC 4475 and 5118, from the wire: every one over datagrams and over connections.
//!
//! They lie beside the checkout (`../shared/sip-torture`) with what each may be answered. Behind each an OPTIONS is sent
//! from the same place: its answer shows that the server goes on, and that nothing else came where silence is due.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::future::join_all;
use sip::message::{Headers, Message, Method, Request, Response, parse_datagram};
use tests::{
    calls::Calls,
    fixture,
    server::{self, Server},
    wire::{Ask, Heard, Line, PATIENCE, Wire},
};

/// What the far sides of the messages are: this machine, which may ask for as many wrong numbers as it likes.
const TRUSTED: &str = "trusted = [\"127.0.0.0/8\"]";

#[tokio::test(flavor = "multi_thread")]
async fn torture_over_datagrams_is_answered_as_the_rfcs_say() {
    let Some(cases) = cases() else { return };
    let (server, calls) = start();
    let wire = Wire::at("127.0.0.77:0", &server.sip()).await;
    let mut wrong = Vec::new();
    for case in &cases {
        let answers = answers_by_datagram(&wire, case).await;
        if !case.is_fine(&answers) {
            wrong.push(format!("{}: {answers:?}, not {:?}", case.file, case.expect));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    goes_on(&server, &calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_over_connections_is_answered_as_the_rfcs_say() {
    let Some(cases) = cases() else { return };
    let (server, calls) = start();
    let sip = server.sip();
    // At once, each over a connection of its own: some of them are waited for until they are too slow. Those that were
    // written as one and the same request are one transaction, whatever connection they come by: one after the other.
    let mut alike: BTreeMap<String, Vec<&Case>> = BTreeMap::new();
    for case in &cases {
        alike.entry(case.branch()).or_default().push(case);
    }
    let judged = join_all(alike.into_values().map(async |cases| {
        let mut wrong = Vec::new();
        for case in cases {
            let (answers, end) = answers_by_connection(&sip, case).await;
            if !case.is_fine_by_connection(&answers, &end) {
                wrong.push(format!("{}: {answers:?}, then {end:?}, not {:?}", case.file, case.expect));
            }
        }
        wrong
    }))
    .await;
    let wrong: Vec<_> = judged.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    goes_on(&server, &calls).await;
}

/// Final statuses that a message got, in order.
async fn answers_by_datagram(wire: &Wire, case: &Case) -> Vec<u16> {
    wire.send(&case.bytes).await;
    let last = Ask::new("OPTIONS", "anybody");
    wire.put(&last).await;
    let (mut answers, mut is_last) = (Vec::new(), false);
    // A call is judged by a task of its own, so that its answer may come after that to the OPTIONS.
    while !is_last || answers.is_empty() && case.is_answered() {
        let Some(message) = wire.next(PATIENCE).await else { break };
        let Message::Response(response) = message else { continue };
        if response.headers.call_id().is_ok_and(|id| id == last.call_id) {
            is_last = true;
        } else if response.status >= 200 {
            if let Some(ack) = case.ack(&response) {
                wire.send(&ack.to_bytes()).await;
            }
            answers.push(response.status);
        }
    }
    assert!(is_last, "after {} the server is silent", case.file);
    answers
}

/// Final statuses that a message got, and how the connection stands then.
async fn answers_by_connection(server: &str, case: &Case) -> (Vec<u16>, Heard) {
    let mut line = Line::to(server).await;
    line.send(&case.bytes).await;
    let last = line.last();
    line.send(last.as_bytes()).await;
    let within = PATIENCE + sip::message::Framer::SLOWEST;
    let (mut seen, end) = line.statuses(within).await;
    seen.retain(|response| response.status >= 200);
    while seen.is_empty() && case.is_answered() && end != Heard::Closed {
        match line.next(PATIENCE).await {
            Heard::Message(message) => match *message {
                Message::Response(response) if response.status >= 200 => seen.push(response),
                _ => {}
            },
            Heard::Closed | Heard::Nothing => break,
        }
    }
    for response in &seen {
        if let Some(ack) = case.ack(response) {
            line.send(&ack.to_bytes()).await;
        }
    }
    (seen.iter().map(|response| response.status).collect(), end)
}

fn start() -> (Server, Calls) {
    let options = server::Options { telephone: Some(TRUSTED), ..server::Options::default() };
    let server = Server::start(options).unwrap();
    let calls = Calls::of(&server);
    (server, calls)
}

/// The server answers, takes a call, and has none that is stuck.
async fn goes_on(server: &Server, calls: &Calls) {
    let wire = Wire::at("127.0.0.78:0", &server.sip()).await;
    wire.sees_it_alive().await;
    let call = wire.dial("echo").await;
    assert_eq!(wire.ask(&call.next("BYE")).await.status, 200);
    calls.none().await;
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// How a stream sees the end of a message.
enum Ending {
    /// It has one, and nothing stands behind it.
    Whole,
    /// Something does.
    Trailed,
    /// Its headers do not end.
    Open,
    /// Nobody knows where.
    Unknown,
}

struct Case {
    file: String,
    bytes: Bytes,
    expect: BTreeSet<u16>,
    may_be_dropped: bool,
    is_request: bool,
}

impl Case {
    fn is_fine(&self, answers: &[u16]) -> bool {
        match answers {
            [] => self.may_be_dropped,
            // Two where two messages stood in one: the second is another, and its own affair.
            [first, ..] => self.expect.contains(first),
        }
    }

    /// A stream has no end of a datagram: what stands behind a message is the next one.
    fn is_fine_by_connection(&self, answers: &[u16], end: &Heard) -> bool {
        let is_refused = answers.is_empty() || answers == [400];
        match self.ending() {
            Ending::Whole => self.is_fine(answers) && matches!(end, Heard::Message(_)),
            // Garbage closes the connection, be the answer to what stood before it on its way or not.
            Ending::Trailed => (answers.is_empty() && *end == Heard::Closed) || self.is_fine(answers),
            // Headers that do not end take the next message's start for one of theirs.
            Ending::Open => is_refused && !matches!(end, Heard::Message(_)),
            Ending::Unknown => is_refused && *end == Heard::Closed,
        }
    }

    /// Whether it must be.
    fn is_answered(&self) -> bool {
        self.is_request && !self.may_be_dropped
    }

    /// The transaction that it belongs to, or its own name where it belongs to none.
    fn branch(&self) -> String {
        let read = parse_datagram(&self.bytes);
        let branch = read.as_ref().ok().and_then(|read| read.headers().via().ok()?.branch().map(str::to_owned));
        branch.unwrap_or_else(|| self.file.clone())
    }

    /// Where a stream finds its end: what its one right Content-Length says.
    fn ending(&self) -> Ending {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ending::Open };
        let lengths = head.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            let name = name.trim();
            (name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("l"))
                .then(|| value.trim().parse::<usize>())
        });
        match &lengths.collect::<Vec<_>>()[..] {
            [Ok(length)] if *length == body.len() => Ending::Whole,
            [Ok(length)] if *length < body.len() => Ending::Trailed,
            _ => Ending::Unknown,
        }
    }

    /// The acknowledgement of a refusal, so that it is not sent again.
    fn ack(&self, response: &Response) -> Option<Request> {
        let Ok(Message::Request(request)) = parse_datagram(&self.bytes) else { return None };
        if request.method != Method::Invite {
            return None;
        }
        let mut headers = Headers::new();
        headers.push("Via", request.headers.elements("Via").next()?);
        headers.copy(&request.headers, "From");
        headers.copy(&response.headers, "To");
        headers.copy(&request.headers, "Call-ID");
        headers.push("CSeq", format!("{} ACK", request.headers.cseq().ok()?.number));
        Some(Request { method: Method::Ack, uri: request.uri, headers, body: Bytes::new() })
    }
}

fn cases() -> Option<Vec<Case>> {
    let folder = fixture::recording("sip-torture").map_err(|why| println!("{why}")).ok()?;
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let cases = manifest["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 62);
    let case = |case: &serde_json::Value| {
        let file = case["file"].as_str().unwrap().to_owned();
        let statuses = case["expect"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64);
        Case {
            bytes: std::fs::read(folder.join(&file)).unwrap().into(),
            file,
            expect: statuses.map(|status| status as u16).collect(),
            may_be_dropped: case["expect"] == "drop" || case["allow_drop"] == true,
            is_request: case["kind"] == "request",
        }
    };
    Some(cases.iter().map(case).collect())
}
