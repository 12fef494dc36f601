//! What whole telephone calls cost: the real server, called by SIP and RTP from this process.
//!
//! Budgets (two shared cores): at 100 calls a second INVITE to 200 in 100 ms at p99, none failed, and 1.0 ms of the
//! server's processor time from INVITE to BYE; 300 PCMU calls that hear their echo, no sound lost; 150 legs in
//! conferences of three at 0.35 % of a core each; resident memory back within 10 MiB after 10,000 calls more. By default
//! the calls come for 15 s; `HARMONY_BENCH_MINUTE=1` makes it the minute and the 10,000 calls that the budgets mean.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs, io,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use benches::{Budgets, cpu_of, percentile};
use server::{
    bench::generate::{Figures, Load, Stage, run},
    clock::Clock,
};
use tests::server::{Options, Server};

/// How long a call is up before it is ended.
const UP: Duration = Duration::from_millis(500);

/// Who has no answer by then has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The transactions of a call are remembered 32 s after its end (64·T1, RFC 3261 section 17), its last moments a little
/// longer.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(40);

fn main() {
    let mut budgets = Budgets::default();
    if let Err(why) = measure(&mut budgets) {
        budgets.note(&why);
        std::process::exit(1);
    }
    budgets.section(&format!("{} budgets missed", budgets.misses()));
}

fn measure(budgets: &mut Budgets) -> Result<(), String> {
    let is_whole = std::env::var_os("HARMONY_BENCH_MINUTE").is_some();
    let server = Server::start(Options {
        config: "[[numbers]]\nnumber = \"echo\"\nto = \"echo\"\n[[numbers]]\nnumber = \"8??\"\nto = \"conference:room-{rest}\"\n",
        telephone: Some("trusted = [\"127.0.0.1\"]\n"),
        ..Options::default()
    })?;
    let mut caller = Caller::new(&server.sip()).map_err(|error| error.to_string())?;

    let seconds = if is_whole { 60 } else { 15 };
    // A first rush, so that what a server keeps for the next one (2,000 calls that are over, memory that the allocator does
    // not give back) is there before anything counts.
    caller.call_often(200, if is_whole { 8_000 } else { 500 })?;
    if is_whole {
        wait_until(now() + FORGOTTEN_AFTER);
    }
    let before_mib = resident_mib(server.process_id());
    let used = cpu_of(server.process_id());
    budgets.section(&format!("100 calls a second for {seconds} s"));
    let calls = 100 * seconds;
    let often = caller.call_often(100, calls)?;
    let used = cpu_of(server.process_id()) - used;
    budgets.figure("INVITE to 200, p50", percentile(&often.answer_ms, 50), "ms");
    budgets.figure("INVITE to 200, p95", percentile(&often.answer_ms, 95), "ms");
    budgets.at_most("INVITE to 200, p99", percentile(&often.answer_ms, 99), 100.0, "ms");
    budgets.at_most("calls that failed", often.failed as f64, 0.0, "");
    if !often.refusals.is_empty() {
        budgets.note(&format!("refused with {:?}", often.refusals));
    }
    budgets.at_most("processor time from INVITE to BYE", used.as_secs_f64() * 1e3 / calls as f64, 1.0, "ms");
    if is_whole {
        let rest = caller.call_often(200, 10_000 - calls)?;
        budgets.at_most("of 10,000 calls failed", (often.failed + rest.failed) as f64, 0.0, "");
        budgets.figure("resident before", before_mib, "MiB");
        budgets.figure("resident after", resident_mib(server.process_id()), "MiB");
        wait_until(now() + FORGOTTEN_AFTER);
        let more_mib = resident_mib(server.process_id()) - before_mib;
        budgets.at_most("memory that is not back", more_mib, 10.0, "MiB");
    }

    budgets.section("300 PCMU calls that hear their echo");
    let (figures, percent) = caller.speak(&server, seconds, (0..300).map(|_| "echo".to_owned()))?;
    budgets.at_most("sounds that did not come back", figures.lost as f64, 0.0, "");
    budgets.figure("of so many", figures.sent as f64, "");
    budgets.figure("there and back, p50", figures.round_trip_ms.p50, "ms");
    budgets.figure("there and back, p99", figures.round_trip_ms.p99, "ms");
    budgets.figure("processor time per call", percent / 300.0, "%");

    budgets.section("150 legs in conferences of three");
    let (figures, percent) = caller.speak(&server, seconds, (0..150).map(|leg| format!("8{:02}", leg / 3)))?;
    budgets.figure("packets that never came", figures.missing as f64, "");
    budgets.figure("jitter, p95", figures.jitter_ms.p95, "ms");
    budgets.at_most("processor time per leg", percent / 150.0, 0.35, "%");
    Ok(())
}

/// Calls by SIP over one UDP socket, as a proxy does.
struct Caller {
    socket: UdpSocket,
    local: SocketAddr,
    to: String,
    /// Where its sound is said to be until it is known better: nobody listens there.
    silent: UdpSocket,
    next: usize,
    calls: BTreeMap<usize, Call>,
}

/// A call that is being made, up, or being ended.
struct Call {
    number: String,
    invited: Instant,
    answered: Option<Answered>,
}

struct Answered {
    to_tag: String,
    contact: String,
    /// Where it hears.
    sound: SocketAddr,
}

#[derive(Default)]
struct Often {
    answer_ms: Vec<f64>,
    failed: usize,
    /// With these statuses.
    refusals: BTreeSet<u16>,
}

impl Caller {
    fn new(to: &str) -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let local = socket.local_addr()?;
        let silent = UdpSocket::bind("127.0.0.1:0")?;
        Ok(Self { socket, local, to: to.to_owned(), silent, next: 0, calls: BTreeMap::new() })
    }

    /// Begins `rate` calls a second, `calls` in all, and ends each of them after a while.
    fn call_often(&mut self, rate: u32, calls: usize) -> Result<Often, String> {
        let began = now();
        let (mut made, mut often) = (0, Often::default());
        // In the order in which they are to be ended.
        let mut up: VecDeque<(Instant, usize)> = VecDeque::new();
        while made < calls || !self.calls.is_empty() {
            let at = now();
            while made < calls && at >= began + Duration::from_secs(1) * made as u32 / rate {
                self.invite("echo")?;
                made += 1;
            }
            while let Some((_, call)) = up.pop_front_if(|(since, _)| at >= *since + UP) {
                self.bye(call)?;
            }
            match self.hear(Duration::from_millis(1))? {
                Some(Heard::Answered(call, after)) => {
                    often.answer_ms.push(after.as_secs_f64() * 1e3);
                    up.push_back((now(), call));
                }
                Some(Heard::Refused(status)) => {
                    often.failed += 1;
                    often.refusals.insert(status);
                }
                Some(Heard::Ended) | None => {}
            }
            let lost = self.calls.iter().filter(|(_, call)| at > call.invited + PATIENCE).map(|(id, _)| *id);
            for call in lost.collect::<Vec<_>>() {
                self.calls.remove(&call);
                often.failed += 1;
            }
        }
        Ok(often)
    }

    /// Calls each of `numbers`, speaks into all of them for `seconds`, and hangs up; with the share of a core, in percent,
    /// that the server used meanwhile.
    fn speak(
        &mut self,
        server: &Server,
        seconds: usize,
        numbers: impl Iterator<Item = String>,
    ) -> Result<(Figures, f64), String> {
        let mut targets = Vec::new();
        for number in numbers {
            let call = self.invite(&number)?;
            let until = now() + PATIENCE;
            while self.calls.get(&call).is_none_or(|call| call.answered.is_none()) {
                if matches!(self.hear(Duration::from_millis(10))?, Some(Heard::Refused(_))) || now() > until {
                    return Err(format!("the call of {number} was not answered"));
                }
            }
            targets.extend(self.calls[&call].answered.as_ref().map(|answered| answered.sound));
        }
        let load = Load { targets, warm_up: Duration::from_secs(2), measured: Duration::from_secs(seconds as u64) };
        let process = server.process_id();
        let (mut from, mut until) = (None, None);
        let figures = run(&load, Clock, |stage| match stage {
            Stage::Measuring => from = Some((now(), cpu_of(process))),
            Stage::Measured => until = Some((now(), cpu_of(process))),
        });
        let figures = figures.map_err(|error| format!("no sound can be sent: {error}"))?;
        let (Some((began, before)), Some((ended, after))) = (from, until) else {
            return Err("nothing was measured".to_owned());
        };
        let up: Vec<usize> = self.calls.keys().copied().collect();
        for call in up {
            self.bye(call)?;
        }
        let until = now() + PATIENCE;
        while !self.calls.is_empty() && now() < until {
            self.hear(Duration::from_millis(10))?;
        }
        Ok((figures, (after - before).as_secs_f64() / (ended - began).as_secs_f64() * 100.0))
    }

    fn invite(&mut self, number: &str) -> Result<usize, String> {
        let call = self.next;
        self.next += 1;
        let port = self.silent.local_addr().map_err(|error| error.to_string())?.port();
        let sdp = format!(
            "v=0\r\no=- {call} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"
        );
        let head = format!("Contact: <sip:load@{}>\r\nContent-Type: application/sdp\r\n", self.local);
        self.calls.insert(call, Call { number: number.to_owned(), invited: now(), answered: None });
        self.send(call, "INVITE", 1, &head, &sdp)?;
        Ok(call)
    }

    fn bye(&mut self, call: usize) -> Result<(), String> {
        self.send(call, "BYE", 2, "", "")
    }

    fn send(&self, call: usize, method: &str, cseq: u32, head: &str, body: &str) -> Result<(), String> {
        let Some(Call { number, answered, .. }) = self.calls.get(&call) else { return Ok(()) };
        let (local, to) = (self.local, format!("sip:{number}@{}", self.to));
        let target = answered.as_ref().map_or(&to, |answered| &answered.contact);
        let to_tag = answered.as_ref().map_or(String::new(), |answered| format!(";tag={}", answered.to_tag));
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bK-{call}-{method}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:load@{local}>;tag=load-{call}\r\nTo: <{to}>{to_tag}\r\n\
             Call-ID: {call}@load-{port}\r\nCSeq: {cseq} {method}\r\n{head}Content-Length: {}\r\n\r\n{body}",
            body.len(),
            port = local.port()
        );
        self.socket.send_to(text.as_bytes(), &self.to).map_err(|error| format!("nothing can be sent: {error}"))?;
        Ok(())
    }

    /// Takes the next message, waiting so long at most.
    fn hear(&mut self, patience: Duration) -> Result<Option<Heard>, String> {
        let mut bytes = [0; 8_192];
        self.socket.set_read_timeout(Some(patience)).map_err(|error| error.to_string())?;
        let Ok((length, _)) = self.socket.recv_from(&mut bytes) else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes[..length]);
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let status = text.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
        let call = field("Call-ID:").and_then(|id| id.split('@').next()).and_then(|id| id.parse::<usize>().ok());
        let (Some(status), Some(id), Some(cseq)) = (status, call, field("CSeq:")) else { return Ok(None) };
        match (status, cseq.ends_with("INVITE")) {
            (100..=199, _) => Ok(None),
            (200..=299, true) => {
                let Some(call) = self.calls.get_mut(&id) else { return Ok(None) };
                let after = now() - call.invited;
                let is_first = call.answered.is_none();
                let port = text.lines().find_map(|line| line.strip_prefix("m=audio "));
                let port = port.and_then(|rest| rest.split(' ').next()).and_then(|port| port.parse().ok());
                let tag = field("To:").and_then(|to| to.split(";tag=").nth(1));
                let contact = field("Contact:").and_then(|contact| contact.split(['<', '>']).nth(1));
                let (Some(port), Some(tag), Some(contact)) = (port, tag, contact) else {
                    return Err("an answer lacks its port, tag or contact".to_owned());
                };
                let sound = SocketAddr::from(([127, 0, 0, 1], port));
                call.answered = Some(Answered { to_tag: tag.to_owned(), contact: contact.to_owned(), sound });
                self.send(id, "ACK", 1, "", "")?;
                Ok(is_first.then_some(Heard::Answered(id, after)))
            }
            // Nobody acknowledges it: who is refused even once has failed the bench, and the server gives up by itself.
            (_, true) => Ok(self.calls.remove(&id).map(|_| Heard::Refused(status))),
            (_, false) => {
                self.calls.remove(&id);
                Ok(Some(Heard::Ended))
            }
        }
    }
}

enum Heard {
    Answered(usize, Duration),
    Refused(u16),
    Ended,
}

/// Resident memory of a process, in MiB; zero where `/proc` is absent.
fn resident_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).and_then(|rest| rest.split_whitespace().next());
    kib.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn wait_until(end: Instant) {
    while let Some(left) = end.checked_duration_since(now()) {
        std::thread::park_timeout(left);
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}
