//! A whole SIP endpoint among strangers: messages, commands and time in any order.
//!
//! Its seed is fixed, but nobody could guess its tags, so besides raw datagrams there are steps that answer what it
//! sent, or speak within the dialogs that it made: a few bytes reach deep. One byte a step, then what the step needs;
//! what is missing at the end counts as zeros.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use sip::{
    auth::Credentials,
    endpoint::{
        Advertise, Body, CallEvent, CallId, Command, Config, Endpoint, Input, Invite, Load, OfferBy, OutOfDialog,
        Output, ReferId, ReferTo, RequestId, TransactionId,
    },
    message::{Headers, Message, Method, NameAddr, Request, Response, parse_datagram},
    transport::{Protocol, Source, Target},
    validate::{Rules, Verdict, judge},
};

use super::some_instant;

/// Steps of an endpoint's life: it panics over none of them, tells each call's end once, always moves its deadline on,
/// and holds nothing when all have hung up and time has passed.
pub fn sip_endpoint(bytes: &[u8]) {
    sip_endpoint_told(bytes);
}

/// The same, and the names of all that was told: how deep the steps reach.
pub fn sip_endpoint_told(bytes: &[u8]) -> BTreeSet<String> {
    let mut life = Life::new();
    let mut script = Script(bytes);
    // So many that every state is reached, and so few that a run is quick.
    for _ in 0..256 {
        if script.0.is_empty() {
            break;
        }
        life.step(&mut script);
    }
    life.end();
    life.told
}

/// The bytes that are left.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[usize::from(self.byte()) % among.len()].clone()
    }
}

const STATUSES: [u16; 24] = [
    100, 180, 183, 200, 202, 300, 302, 401, 404, 407, 408, 420, 422, 480, 481, 486, 487, 488, 491, 500, 503, 600, 603,
    699,
];

const METHODS: [&str; 12] =
    ["BYE", "INVITE", "ACK", "UPDATE", "PRACK", "INFO", "REFER", "NOTIFY", "OPTIONS", "CANCEL", "MESSAGE", "BREW"];

const LINES: [(&str, &str); 16] = [
    ("Require", "100rel"),
    ("Supported", "100rel, timer, replaces"),
    ("Session-Expires", "90;refresher=uac"),
    ("Session-Expires", "1800;refresher=uas"),
    ("Session-Expires", "1"),
    ("Min-SE", "4294967295"),
    ("Allow", "INVITE, UPDATE"),
    ("Retry-After", "3"),
    ("WWW-Authenticate", "Digest realm=\"fuzz\", nonce=\"n\", qop=\"auth\""),
    ("Record-Route", "<sip:10.9.9.8;lr>, <sip:proxy.example>"),
    ("Contact", "<sip:other@name.example>;q=0.5, <sip:more@10.9.9.7;transport=tcp>"),
    ("Refer-To", "<sip:carol@10.9.9.6?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>"),
    ("Event", "refer"),
    ("Subscription-State", "terminated;reason=noresource"),
    ("Expires", "1"),
    ("Reason", "Q.850;cause=16"),
];

struct Life {
    zero: Instant,
    now: Duration,
    endpoint: Endpoint,
    /// The last messages it sent.
    sent: Vec<Message>,
    calls: Vec<CallId>,
    ended: BTreeMap<CallId, bool>,
    refers: u64,
    tokens: Vec<u64>,
    placed: u64,
    branches: u64,
    told: BTreeSet<String>,
}

impl Life {
    fn new() -> Self {
        let mut config = Config::new(Advertise::always("10.0.0.1", 5_060), [7; 32]);
        config.limits.calls = 16;
        config.limits.transactions = 64;
        config.asked.push(Method::Message);
        Self {
            zero: some_instant(),
            now: Duration::ZERO,
            endpoint: Endpoint::new(config),
            sent: Vec::new(),
            calls: Vec::new(),
            ended: BTreeMap::new(),
            refers: 0,
            tokens: Vec::new(),
            placed: 0,
            branches: 0,
            told: BTreeSet::new(),
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.byte() % 12 {
            0 => self.wait(Duration::from_millis(u64::from(script.number()))),
            1 => {
                let length = usize::from(script.number());
                if let Verdict::Accept(message) =
                    judge(parse_datagram(&Bytes::copy_from_slice(script.bytes(length))), &Rules::default())
                {
                    self.hear(message);
                }
            }
            2 | 3 => self.respond(script),
            4 | 5 => self.ask_within(script),
            6 => self.ask_outside(script),
            7 | 8 => self.command(script),
            9 => self.place(script),
            10 => {
                let target = Target::new(protocol(script.byte()), stranger(script.byte()));
                let targets = vec![target.clone(); usize::from(script.byte() % 4)];
                match self.tokens.pop() {
                    Some(token) => self.tell(Input::Resolved { token, targets }),
                    None => self.tell(Input::TransportFailed { target }),
                }
            }
            _ => {
                let status = script.pick(&STATUSES);
                let transaction = TransactionId(u64::from(script.byte() % 8));
                self.tell(Input::Respond { transaction, status, headers: lines(script), body: body(script) });
            }
        }
    }

    fn tell(&mut self, input: Input) {
        let now = self.zero + self.now;
        self.endpoint.handle(now, input);
        let mut outputs = 0;
        while let Some(output) = self.endpoint.poll_output() {
            outputs += 1;
            assert!(outputs < 2_000, "one input has a bounded number of outputs");
            self.take(output);
        }
        assert!(self.endpoint.next_deadline().is_none_or(|at| at > now), "the deadline moves on");
    }

    fn take(&mut self, output: Output) {
        match output {
            Output::Transmit { bytes, .. } => {
                let message = parse_datagram(&bytes).expect("what is sent can be read");
                if self.sent.len() >= 16 {
                    self.sent.remove(0);
                }
                self.sent.push(message);
            }
            Output::Resolve { token, .. } => self.tokens.push(token),
            Output::Call { call, event } => {
                let name = format!("{event:?}");
                self.told.extend(name.split([' ', '{']).next().map(str::to_owned));
                let has_ended = self.ended.entry(call).or_default();
                assert!(!*has_ended, "nothing is told of a call that has ended");
                *has_ended = matches!(event, CallEvent::Ended { .. });
                match event {
                    CallEvent::Invited { .. } => self.calls.push(call),
                    CallEvent::Referred { refer: ReferId(refer), .. } => self.refers = refer,
                    _ => {}
                }
            }
            Output::Asked { .. } | Output::Responded { .. } => {}
        }
    }

    fn wait(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.endpoint.next_deadline().map(|at| at - self.zero).filter(|at| *at <= until) {
            self.now = at;
            self.tell(Input::Tick);
        }
        self.now = until;
    }

    fn hear(&mut self, message: Message) {
        let (remote, local) = (stranger(1), SocketAddr::from(([10, 0, 0, 1], 5_060)));
        self.tell(Input::Received {
            message,
            source: Source { protocol: Protocol::Udp, remote, local, connection: None },
        });
    }

    /// Answers something that it asked.
    fn respond(&mut self, script: &mut Script<'_>) {
        let requests: Vec<&Request> = self.sent.iter().filter_map(as_request).collect();
        let Some(request) = requests.iter().rev().nth(usize::from(script.byte()) % requests.len().max(1)) else {
            return;
        };
        let mut response = request.respond(script.pick(&STATUSES));
        if let Ok(mut to) = response.headers.to()
            && to.tag().is_none()
        {
            to.params.set("tag", Some(script.pick(&["one", "two", "three"])));
            response.headers.set("To", to.to_string());
        }
        response.headers.push("Contact", format!("<sip:far@{}>", stranger(1)));
        response.headers.push("RSeq", script.byte().to_string());
        lines(script).iter().for_each(|(name, value)| response.headers.push(name, value));
        if let Some(body) = body(script) {
            response.headers.push("Content-Type", body.content_type);
            response.body = body.bytes;
        }
        self.hear_judged(Message::Response(response));
    }

    /// Asks something within a dialog that it made.
    fn ask_within(&mut self, script: &mut Script<'_>) {
        let nth = usize::from(script.byte()) % self.sent.len().max(1);
        let Some(known) = self.sent.iter().rev().nth(nth).cloned() else { return };
        let method = script.pick(&METHODS);
        let mut request = self.request(method, script);
        // Who it is in the dialog depends on who asked first.
        let is_theirs = matches!(known, Message::Response(_));
        let (from, to) = if is_theirs { ("From", "To") } else { ("To", "From") };
        let headers = known.headers();
        for (ours, theirs) in [("From", from), ("To", to), ("Call-ID", "Call-ID")] {
            if let Some(value) = headers.first(theirs) {
                request.headers.set(ours, value);
            }
        }
        if let Ok(mut from) = request.headers.from()
            && from.tag().is_none()
        {
            from.params.set("tag", Some(script.pick(&["one", "two", "three"])));
            request.headers.set("From", from.to_string());
        }
        let number =
            headers.cseq().map_or(1, |cseq| cseq.number).wrapping_add(u32::from(script.byte() % 4)) % (1 << 31);
        request.headers.set("CSeq", format!("{number} {method}"));
        let rseq = headers.number("RSeq").ok().flatten().unwrap_or_default();
        request.headers.push("RAck", format!("{rseq} {number} INVITE"));
        self.hear_judged(Message::Request(request));
    }

    fn ask_outside(&mut self, script: &mut Script<'_>) {
        let method = script.pick(&METHODS);
        let request = self.request(method, script);
        self.hear_judged(Message::Request(request));
    }

    fn request(&mut self, method: &str, script: &mut Script<'_>) -> Request {
        self.branches += 1;
        // Sometimes that of the one before: it came again, or this is its CANCEL.
        let branch = self.branches - u64::from(script.byte().is_multiple_of(8));
        let mut headers = Headers::new();
        headers.push("Via", format!("SIP/2.0/UDP {};branch=z9hG4bK{branch};rport", stranger(1)));
        headers.push("From", format!("<sip:far@{}>;tag=far", stranger(1)));
        headers.push("To", "<sip:near@10.0.0.1>");
        headers.push("Call-ID", format!("call-{}", branch / 4));
        headers.push("CSeq", format!("{branch} {method}"));
        headers.push("Contact", format!("<sip:far@{}>", stranger(script.byte() % 2 + 1)));
        lines(script).iter().for_each(|(name, value)| headers.push(name, value));
        let body = body(script);
        if let Some(body) = &body {
            headers.push("Content-Type", body.content_type.clone());
        }
        let uri = "sip:near@10.0.0.1".parse().expect("a URI");
        Request { method: method.into(), uri, headers, body: body.map(|body| body.bytes).unwrap_or_default() }
    }

    fn hear_judged(&mut self, message: Message) {
        if let Verdict::Accept(message) = judge(Ok(message), &Rules::default()) {
            self.hear(message);
        }
    }

    fn place(&mut self, script: &mut Script<'_>) {
        let how = script.byte();
        let who: NameAddr = "<sip:near@10.0.0.1>".parse().expect("an address");
        if how & 0xe0 == 0xe0 {
            let mut asked =
                OutOfDialog::new(Method::Register, "sip:registrar.example".parse().expect("a URI"), &who, &who);
            asked.target = Some(Target::new(protocol(script.byte()), stranger(1)));
            return self.tell(Input::Request { id: RequestId(self.placed), request: Box::new(asked) });
        }
        let named = if how & 1 == 0 { "sip:far@10.9.9.1" } else { "sip:far@name.example" };
        let credentials = Credentials { username: "u".to_owned(), password: "p".to_owned(), realm: None };
        let invite = Invite {
            uri: named.parse().expect("a URI"),
            from: who.clone(),
            to: who,
            target: (how & 2 == 0).then(|| Target::new(protocol(how >> 3), stranger(1))),
            routes: Vec::new(),
            contact_user: None,
            offer: body(script),
            credentials: (how & 4 == 0).then_some(credentials),
            headers: lines(script),
            most_redirects: 3,
            max_forwards: 70,
        };
        self.placed += 1;
        let call = CallId::Placed(self.placed);
        self.calls.push(call);
        self.tell(Input::Call { call, command: Command::Invite(Box::new(invite)) });
    }

    fn command(&mut self, script: &mut Script<'_>) {
        let pick = usize::from(script.byte());
        let Some(call) = self.calls.get(pick % self.calls.len().max(1)).copied() else { return };
        let other = self.calls[pick / 16 % self.calls.len()];
        let refer = ReferId(self.refers);
        let status = script.pick(&STATUSES);
        let command = match script.byte() % 16 {
            0 | 1 => Command::Ring { status, body: body(script), is_reliable: script.byte().is_multiple_of(2) },
            2 | 3 => Command::Accept { body: body(script), headers: lines(script) },
            4 => Command::Reject { status, headers: lines(script) },
            5 => Command::Redirect { contacts: vec!["<sip:there@10.9.9.5>".parse().expect("an address")] },
            6 => Command::Hangup { reason: None },
            7 => Command::Offer { body: body(script), by: script.pick(&[OfferBy::Default, OfferBy::Update]) },
            8 | 9 => Command::Answer { body: body(script).unwrap_or_else(|| Body::sdp("answer")) },
            10 => Command::Decline { status, headers: lines(script) },
            11 => Command::Info { body: body(script).unwrap_or_else(|| Body::sdp("info")) },
            12 => Command::Dtmf { key: char::from(script.byte()), duration_ms: script.number() },
            13 => {
                let blind = ReferTo::Blind("<sip:carol@10.9.9.6>".parse().expect("an address"));
                let to = script.pick(&[ReferTo::Attended(other), blind]);
                Command::Refer { to, headers: lines(script) }
            }
            14 => Command::AnswerRefer { refer, status },
            _ => Command::NotifyRefer { refer, status },
        };
        self.tell(Input::Call { call, command });
    }

    /// All hang up, and what is owed is paid.
    fn end(&mut self) {
        for call in self.calls.clone() {
            self.tell(Input::Call { call, command: Command::Hangup { reason: None } });
        }
        assert!(self.calls.iter().all(|call| self.ended.get(call) == Some(&true)), "every call has ended");
        self.wait(Duration::from_secs(200));
        assert_eq!(self.endpoint.load(), Load::default(), "nothing is left");
        assert_eq!(self.endpoint.next_deadline(), None);
    }
}

fn as_request(message: &Message) -> Option<&Request> {
    match message {
        Message::Request(request) => Some(request),
        Message::Response(Response { .. }) => None,
    }
}

fn lines(script: &mut Script<'_>) -> Headers {
    let mut headers = Headers::new();
    for _ in 0..script.byte() % 4 {
        let (name, value) = script.pick(&LINES);
        headers.push(name, value);
    }
    headers
}

fn body(script: &mut Script<'_>) -> Option<Body> {
    match script.byte() % 4 {
        0 => None,
        1 => Some(Body { content_type: "message/sipfrag".to_owned(), bytes: "SIP/2.0 180 Ringing".into() }),
        _ => Some(Body::sdp("v=0")),
    }
}

fn protocol(byte: u8) -> Protocol {
    [Protocol::Udp, Protocol::Tcp, Protocol::Tls][usize::from(byte) % 3]
}

fn stranger(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 9, 9, number], 5_060))
}
