//! Endpoints on one network and one virtual clock: what each sends arrives at whoever has the address, late, twice or
//! never, as the weather has it; and those who are no endpoints, but whom a test plays by hand.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use sip::{
    endpoint::{
        Advertise, Body, CallEvent, CallId, Command, Config, Ended, Endpoint, Input, Invite, Load, Output, RequestId,
    },
    message::{Headers, Message, Method, NameAddr, Request, Response, parse_datagram},
    transport::{ConnectionId, Protocol, Source, Target},
    validate::{Rules, Verdict, judge, way_back},
};

/// One of the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Who(pub(crate) usize);

pub(crate) const ALICE: Who = Who(0);
pub(crate) const BOB: Who = Who(1);
pub(crate) const CAROL: Who = Who(2);

/// What the network does, the same way for the same seed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// The share of datagrams that are lost, 0 to 1.
    pub(crate) loss: f64,
    /// The share that arrive twice.
    pub(crate) doubled: f64,
    /// What each takes.
    pub(crate) delay: Duration,
    /// What each takes more, evenly up to this; it reorders.
    pub(crate) jitter: Duration,
}

/// A message on its way, or that was.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) at: Duration,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) protocol: Protocol,
    /// As the sender gave it; `None` of a stranger's.
    pub(crate) target: Option<Target>,
    pub(crate) message: Message,
}

impl Packet {
    pub(crate) fn request(&self) -> Option<&Request> {
        match &self.message {
            Message::Request(request) => Some(request),
            Message::Response(_) => None,
        }
    }

    pub(crate) fn response(&self) -> Option<&Response> {
        match &self.message {
            Message::Response(response) => Some(response),
            Message::Request(_) => None,
        }
    }

    /// `INVITE`, or `200 INVITE`.
    pub(crate) fn name(&self) -> String {
        match &self.message {
            Message::Request(request) => request.method.to_string(),
            Message::Response(response) => {
                format!("{} {}", response.status, response.headers.cseq().expect("a CSeq").method)
            }
        }
    }
}

type Filter = Box<dyn FnMut(&Packet) -> bool>;

/// The network, the clock and whoever is there.
pub(crate) struct World {
    zero: Instant,
    pub(crate) now: Duration,
    endpoints: Vec<Endpoint>,
    pub(crate) protocol: Protocol,
    pub(crate) weather: Weather,
    chance: u64,
    under_way: BTreeMap<(Duration, u64), Packet>,
    sent: u64,
    /// All that was sent, lost or not.
    pub(crate) log: Vec<Packet>,
    /// What arrived where no endpoint is.
    pub(crate) mail: Vec<Packet>,
    outputs: Vec<(Who, Output)>,
    /// Which packets arrive.
    pub(crate) lets_through: Filter,
    calls: u64,
    pub(crate) requests: u64,
}

pub(crate) fn address(who: Who) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, who.0 as u8 + 1], 5_060))
}

/// Somebody whom the test plays.
pub(crate) fn stranger(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 9, 9, number], 5_060))
}

#[expect(clippy::disallowed_methods, reason = "virtual time needs one instant to count from")]
pub(crate) fn some_instant() -> Instant {
    Instant::now()
}

pub(crate) fn config(who: Who) -> Config {
    let address = address(who);
    let mut config = Config::new(Advertise::always(&address.ip().to_string(), address.port()), [who.0 as u8 + 1; 32]);
    config.asked.push(Method::Message);
    config
}

impl World {
    /// Two endpoints, in fine weather.
    pub(crate) fn new() -> Self {
        Self::with([config(ALICE), config(BOB)])
    }

    pub(crate) fn with(configs: impl IntoIterator<Item = Config>) -> Self {
        Self {
            zero: some_instant(),
            now: Duration::ZERO,
            endpoints: configs.into_iter().map(Endpoint::new).collect(),
            protocol: Protocol::Udp,
            weather: Weather { delay: Duration::from_millis(10), ..Weather::default() },
            chance: 1,
            under_way: BTreeMap::new(),
            sent: 0,
            log: Vec::new(),
            mail: Vec::new(),
            outputs: Vec::new(),
            lets_through: Box::new(|_| true),
            calls: 0,
            requests: 0,
        }
    }

    pub(crate) fn seed(&mut self, seed: u64) {
        self.chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    }

    /// Evenly between 0 and 1.
    fn draw(&mut self) -> f64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn tell(&mut self, who: Who, input: Input) {
        self.endpoints[who.0].handle(self.zero + self.now, input);
        self.drain(who);
    }

    pub(crate) fn command(&mut self, who: Who, call: CallId, command: Command) {
        self.tell(who, Input::Call { call, command });
    }

    fn drain(&mut self, who: Who) {
        while let Some(output) = self.endpoints[who.0].poll_output() {
            match output {
                Output::Transmit { bytes, target } => self.transmit(address(who), &bytes, &target),
                output => self.outputs.push((who, output)),
            }
        }
        let next = self.endpoints[who.0].next_deadline();
        assert!(next.is_none_or(|next| next > self.zero + self.now), "{who:?} wants to be called at once, again");
    }

    fn transmit(&mut self, from: SocketAddr, bytes: &Bytes, target: &Target) {
        let message = parse_datagram(bytes).unwrap_or_else(|error| panic!("{error:?}\n{bytes:?}"));
        let mut packet = Packet {
            at: self.now,
            from,
            to: target.address,
            protocol: target.protocol,
            target: Some(target.clone()),
            message,
        };
        self.log.push(packet.clone());
        if !(self.lets_through)(&packet) {
            return;
        }
        let is_reliable = target.protocol.is_reliable();
        let weather = if is_reliable {
            Weather { loss: 0.0, doubled: 0.0, jitter: Duration::ZERO, ..self.weather }
        } else {
            self.weather
        };
        let copies = match () {
            () if self.draw() < weather.loss => 0,
            () if self.draw() < weather.doubled => 2,
            () => 1,
        };
        for _ in 0..copies {
            self.sent += 1;
            packet.at = self.now + weather.delay + weather.jitter.mul_f64(self.draw());
            self.under_way.insert((packet.at, self.sent), packet.clone());
        }
    }

    /// Lets somebody whom the test plays send something.
    pub(crate) fn send(&mut self, from: SocketAddr, to: Who, message: impl Into<Message>) {
        let message = message.into();
        self.sent += 1;
        let packet = Packet { at: self.now, from, to: address(to), protocol: self.protocol, target: None, message };
        self.under_way.insert((self.now, self.sent), packet);
        self.run(Duration::from_millis(1));
    }

    fn arrive(&mut self, packet: Packet) {
        let to = (0..self.endpoints.len()).map(Who).find(|who| address(*who) == packet.to);
        let Some(who) = to else {
            self.mail.push(packet);
            return;
        };
        let connection = packet.protocol.is_reliable().then_some(ConnectionId(1));
        let source = Source { protocol: packet.protocol, remote: packet.from, local: packet.to, connection };
        match judge(Ok(packet.message), &Rules::default()) {
            Verdict::Accept(message) => self.tell(who, Input::Received { message, source }),
            Verdict::Answer { response, .. } => {
                let (bytes, target) = way_back(&response, &source, false);
                self.transmit(packet.to, &bytes, &target);
            }
            Verdict::Drop(_) => {}
        }
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let packet = self.under_way.keys().next().map(|(at, _)| *at);
            let timer = (0..self.endpoints.len()).map(Who).filter_map(|who| Some((self.deadline(who)?, who))).min();
            match (packet, timer) {
                (Some(at), _) if at <= until && timer.is_none_or(|(timer, _)| at <= timer) => {
                    self.now = self.now.max(at);
                    let (_, packet) = self.under_way.pop_first().expect("it was just seen");
                    self.arrive(packet);
                }
                (_, Some((at, who))) if at <= until => {
                    self.now = self.now.max(at);
                    self.tell(who, Input::Tick);
                }
                _ => break,
            }
        }
        self.now = until;
    }

    /// A moment, in which all that is not slow happens.
    pub(crate) fn moment(&mut self) {
        self.run(Duration::from_millis(400));
    }

    /// So long that everything that was owed was paid.
    pub(crate) fn age(&mut self) {
        self.run(Duration::from_secs(70));
    }

    pub(crate) fn deadline(&self, who: Who) -> Option<Duration> {
        self.endpoints[who.0].next_deadline().map(|at| at - self.zero)
    }

    pub(crate) fn load(&self, who: Who) -> Load {
        self.endpoints[who.0].load()
    }

    /// Nobody holds anything any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.endpoints.iter().all(|endpoint| endpoint.load() == Load::default())
    }

    /// An INVITE of one for another, as the tests place it.
    pub(crate) fn invitation(&self, from: Who, to: Who) -> Invite {
        Invite {
            uri: format!("sip:callee@{}", address(to)).parse().expect("a URI"),
            from: name_addr("caller", address(from)),
            to: name_addr("callee", address(to)),
            target: Some(Target::new(self.protocol, address(to))),
            routes: Vec::new(),
            contact_user: Some("caller".to_owned()),
            offer: Some(body("offer")),
            credentials: None,
            headers: Headers::new(),
            most_redirects: 5,
            max_forwards: 70,
        }
    }

    pub(crate) fn place(&mut self, from: Who, invite: Invite) -> CallId {
        self.calls += 1;
        let call = CallId::Placed(self.calls);
        self.command(from, call, Command::Invite(Box::new(invite)));
        call
    }

    /// Alice calls Bob; both ends, once Bob has heard of it.
    pub(crate) fn ring(&mut self) -> (CallId, CallId) {
        let invite = self.invitation(ALICE, BOB);
        let call = self.place(ALICE, invite);
        self.run(Duration::from_millis(50));
        (call, self.invited(BOB))
    }

    /// Alice calls Bob, who takes the call.
    pub(crate) fn connect(&mut self) -> (CallId, CallId) {
        let (alice, bob) = self.ring();
        self.accept(BOB, bob, Some("answer"));
        self.moment();
        assert!(self.events(ALICE, alice).iter().any(|event| matches!(event, CallEvent::Answered { .. })));
        assert_eq!(self.events(BOB, bob), [CallEvent::Acked { answer: None }]);
        (alice, bob)
    }

    pub(crate) fn accept(&mut self, who: Who, call: CallId, answer: Option<&str>) {
        self.command(who, call, Command::Accept { body: answer.map(body), headers: Headers::new() });
    }

    pub(crate) fn hang_up(&mut self, who: Who, call: CallId) {
        self.command(who, call, Command::Hangup { reason: None });
    }

    /// Takes the call that somebody was invited to out of what was told.
    pub(crate) fn invited(&mut self, who: Who) -> CallId {
        let at = self.outputs.iter().position(|(to, output)| {
            *to == who && matches!(output, Output::Call { event: CallEvent::Invited { .. }, .. })
        });
        match self.outputs.remove(at.expect("an invitation")) {
            (_, Output::Call { call, .. }) => call,
            _ => unreachable!("it was just seen"),
        }
    }

    /// Takes all that somebody was told of a call.
    pub(crate) fn events(&mut self, who: Who, call: CallId) -> Vec<CallEvent> {
        let mut events = Vec::new();
        self.outputs.retain(|(to, output)| match output {
            Output::Call { call: of, event } if *to == who && *of == call => {
                events.push(event.clone());
                false
            }
            _ => true,
        });
        events
    }

    /// Takes all that somebody was told of any call.
    pub(crate) fn all_events(&mut self, who: Who) -> Vec<CallEvent> {
        let calls: std::collections::BTreeSet<CallId> = self
            .outputs
            .iter()
            .filter_map(|(to, output)| match output {
                Output::Call { call, .. } if *to == who => Some(*call),
                _ => None,
            })
            .collect();
        calls.into_iter().flat_map(|call| self.events(who, call)).collect()
    }

    /// Takes all that anybody was told.
    pub(crate) fn take_outputs(&mut self) -> Vec<(Who, Output)> {
        std::mem::take(&mut self.outputs)
    }

    /// Takes all outputs of somebody that are of no call.
    pub(crate) fn others(&mut self, who: Who) -> Vec<Output> {
        let mut others = Vec::new();
        self.outputs.retain(|(to, output)| {
            let is_other = *to == who && !matches!(output, Output::Call { .. });
            if is_other {
                others.push(output.clone());
            }
            !is_other
        });
        others
    }

    /// Takes the end of a call, which must have been told, once and last.
    pub(crate) fn end(&mut self, who: Who, call: CallId) -> Ended {
        let mut events = self.events(who, call);
        let ends = events.iter().filter(|event| matches!(event, CallEvent::Ended { .. })).count();
        match (events.pop(), ends) {
            (Some(CallEvent::Ended { why }), 1) => why,
            (last, ends) => panic!("{ends} ends, the last event is {last:?}"),
        }
    }

    /// The names of all messages that somebody sent, in order.
    pub(crate) fn names(&self, from: SocketAddr) -> Vec<String> {
        self.log.iter().filter(|packet| packet.from == from).map(Packet::name).collect()
    }

    /// How often somebody sent a message of that name.
    pub(crate) fn count(&self, from: SocketAddr, name: &str) -> usize {
        self.names(from).iter().filter(|sent| *sent == name).count()
    }

    /// The last message of that name that somebody sent.
    pub(crate) fn last(&self, from: SocketAddr, name: &str) -> Packet {
        let mut sent = self.log.iter().rev();
        let sent = sent.find(|packet| packet.from == from && packet.name() == name).cloned();
        sent.unwrap_or_else(|| panic!("{from} sent no {name}, but {:?}", self.names(from)))
    }

    pub(crate) fn last_request(&self, from: SocketAddr, name: &str) -> Request {
        self.last(from, name).request().cloned().expect("a request")
    }

    pub(crate) fn last_response(&self, from: SocketAddr, name: &str) -> Response {
        self.last(from, name).response().cloned().expect("a response")
    }

    /// Takes the last message of that name out of a stranger's mail.
    pub(crate) fn mailed(&mut self, name: &str) -> Packet {
        let at = self.mail.iter().rposition(|packet| packet.name() == name);
        let names: Vec<_> = self.mail.iter().map(Packet::name).collect();
        self.mail.remove(at.unwrap_or_else(|| panic!("no {name} among {names:?}")))
    }

    pub(crate) fn next_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }
}

pub(crate) fn body(text: &str) -> Body {
    Body::sdp(text.to_owned())
}

pub(crate) fn name_addr(user: &str, at: SocketAddr) -> NameAddr {
    format!("<sip:{user}@{at}>").parse().expect("an address")
}

/// A request as a stranger writes it, outside of any dialog; lines go after those that all have.
pub(crate) fn request(method: &str, from: SocketAddr, to: Who, lines: &str) -> Request {
    let to = address(to);
    let text = format!(
        "{method} sip:callee@{to} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {from};branch=z9hG4bKstranger{method};rport\r\n\
         From: <sip:stranger@{from}>;tag=strange\r\n\
         To: <sip:callee@{to}>\r\n\
         Call-ID: of-a-stranger\r\n\
         CSeq: 1 {method}\r\n\
         Contact: <sip:stranger@{from}>\r\n\
         Max-Forwards: 70\r\n\
         {lines}\r\n"
    );
    match parse_datagram(&Bytes::from(text)) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// A response as a stranger writes it.
pub(crate) fn respond(request: &Request, status: u16, tag: &str, lines: &[(&str, &str)], body: &str) -> Response {
    let mut response = request.respond(status);
    if !tag.is_empty() {
        let mut to = response.headers.to().expect("a To");
        to.params.set("tag", Some(tag));
        response.headers.set("To", to.to_string());
    }
    for (name, value) in lines {
        response.headers.push(name, *value);
    }
    if !body.is_empty() {
        response.headers.push("Content-Type", "application/sdp");
        response.body = Bytes::from(body.to_owned());
    }
    response
}

/// What is within the dialog that a request of ours and a stranger's response made, as the stranger sends it.
pub(crate) fn within(ours: &Request, tag: &str, method: &str, cseq: u32, from: SocketAddr) -> Request {
    let mut request = request(method, from, ALICE, "");
    let contact = ours.headers.contact().expect("legible").expect("a Contact");
    request.uri = contact.uri;
    let mut remote = ours.headers.to().expect("a To");
    remote.params.set("tag", Some(tag));
    request.headers.set("From", remote.to_string());
    request.headers.set("To", ours.headers.from().expect("a From").to_string());
    request.headers.set("Call-ID", ours.headers.call_id().expect("a Call-ID"));
    request.headers.set("CSeq", format!("{cseq} {method}"));
    request.headers.set("Via", format!("SIP/2.0/UDP {from};branch=z9hG4bK{method}{cseq}{tag};rport"));
    request
}
