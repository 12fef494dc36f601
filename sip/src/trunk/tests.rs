use super::*;
use crate::auth::Credentials;

#[test]
fn a_server_is_down_after_three_failures_and_up_after_two_answers() {
    let mut kit = Kit::new(&["sip:a.example", "sip:b.example"], Some(25), None);
    assert_eq!(kit.trunk.order(), [0, 1]);
    let mut seen = Vec::new();
    // The first server is silent for three questions, then there; the second always is.
    for round in 0..12 {
        let outputs = kit.turn(|server, asked| if server == 0 && asked < 3 { None } else { Some(200) });
        seen.extend(outputs.into_iter().map(|output| (round, output)));
    }
    let changes: Vec<_> = seen.iter().map(|(_, output)| output.clone()).collect();
    assert_eq!(changes, [Output::Down { server: 0 }, Output::Up { server: 0 }]);
    assert_eq!(kit.trunk.order(), [0, 1]);
}

#[test]
fn one_lost_answer_changes_nothing_and_is_asked_after_soon() {
    let mut kit = Kit::new(&["sip:a.example"], Some(60), None);
    kit.turn(|_, _| None);
    assert!(kit.trunk.is_up());
    let wait = kit.trunk.deadline().unwrap() - kit.now;
    assert!(wait <= Duration::from_secs(5), "{wait:?}");
    for _ in 0..10 {
        assert_eq!(kit.turn(|_, asked| if asked % 2 == 0 { None } else { Some(200) }), []);
    }
}

#[test]
fn any_answer_is_a_sign_of_life_but_for_those_that_say_otherwise() {
    for (status, is_up) in [(200, true), (404, true), (405, true), (501, true), (503, false), (408, false)] {
        let mut kit = Kit::new(&["sip:a.example"], Some(25), None);
        for _ in 0..4 {
            kit.turn(|_, _| Some(status));
        }
        assert_eq!(kit.trunk.is_up(), is_up, "{status}");
    }
}

#[test]
fn when_no_server_is_up_all_are_tried_rather_than_none() {
    let mut kit = Kit::new(&["sip:a.example", "sip:b.example"], Some(25), None);
    for _ in 0..8 {
        kit.turn(|_, _| None);
    }
    assert!(!kit.trunk.is_up());
    assert_eq!(kit.trunk.order(), [0, 1]);
}

#[test]
fn what_calls_find_out_counts_and_has_the_server_asked_at_once() {
    let mut kit = Kit::new(&["sip:a.example", "sip:b.example"], Some(60), None);
    kit.turn(|_, _| Some(200));
    let before = kit.asked.len();
    kit.trunk.found(0, false, kit.now);
    kit.collect();
    assert_eq!(kit.asked.len(), before + 1);
    kit.trunk.found(0, false, kit.now);
    kit.trunk.found(0, false, kit.now);
    assert_eq!(kit.trunk.order(), [1]);
}

#[test]
fn a_trunk_that_is_never_asked_gets_another_chance_after_half_a_minute() {
    let mut kit = Kit::new(&["sip:a.example"], None, None);
    assert_eq!(kit.trunk.deadline(), None);
    for _ in 0..3 {
        kit.trunk.found(0, false, kit.now);
    }
    assert!(!kit.trunk.is_up());
    assert_eq!(kit.trunk.deadline(), Some(kit.now + Duration::from_secs(30)));
    kit.now += Duration::from_secs(30);
    kit.trunk.tick(kit.now);
    assert!(kit.trunk.is_up());
    kit.trunk.found(0, false, kit.now);
    assert!(!kit.trunk.is_up());
    kit.now += Duration::from_secs(30);
    kit.trunk.tick(kit.now);
    kit.trunk.found(0, true, kit.now);
    kit.trunk.found(0, false, kit.now);
    assert!(kit.trunk.is_up());
}

#[test]
fn a_stream_that_answered_pulses_and_no_longer_does_is_dead() {
    let mut kit = Kit::new(&["sip:a.example"], None, Some(100));
    let mut pulse = |heard: Option<bool>, after_s: u64| {
        kit.now += Duration::from_secs(after_s);
        kit.trunk.tick(kit.now);
        if let Some(is_pong) = heard {
            kit.trunk.heard(0, is_pong);
        }
        std::iter::from_fn(|| kit.trunk.poll()).collect::<Vec<_>>()
    };
    // A server that says nothing to pulses, though it says other things, is not held to be dead.
    assert_eq!(pulse(Some(false), 100), [Output::Pulse { server: 0 }]);
    assert_eq!(pulse(None, 20), []);
    assert_eq!(pulse(Some(true), 80), [Output::Pulse { server: 0 }]);
    assert_eq!(pulse(Some(false), 100), [Output::Pulse { server: 0 }]);
    assert_eq!(pulse(None, 20), []);
    assert_eq!(pulse(None, 80), [Output::Pulse { server: 0 }]);
    assert_eq!(pulse(None, 9), []);
    assert_eq!(pulse(None, 1), [Output::Close { server: 0 }]);
}

#[test]
fn the_registration_goes_where_calls_go_and_comes_back() {
    let mut kit = Kit::registered(&["sip:a.example", "sip:b.example"]);
    for _ in 0..9 {
        kit.turn(|server, _| (server != 0).then_some(200));
    }
    assert_eq!((kit.trunk.order(), kit.trunk.registration().unwrap().server), (vec![1], 1));
    for _ in 0..6 {
        kit.turn(|_, _| Some(200));
    }
    let status = kit.trunk.registration().unwrap();
    assert_eq!((kit.trunk.order(), status.server, status.phase), (vec![0, 1], 0, registration::Phase::Registered));
}

#[test]
fn a_trunk_that_stops_takes_leave_and_asks_no_more() {
    let mut kit = Kit::registered(&["sip:a.example"]);
    kit.turn(|_, _| Some(200));
    assert!(!kit.trunk.is_done());
    kit.trunk.stop(kit.now);
    kit.collect();
    let Some(Output::Ask { id, request, .. }) = kit.asked.pop() else { panic!("no leave is taken") };
    assert_eq!(request.headers.first("Expires"), Some("0"));
    kit.trunk.responded(id, Some(&request.respond(200)), kit.now);
    kit.trunk.tick(kit.now + Duration::from_secs(3_600));
    kit.collect();
    assert!(kit.trunk.is_done() && kit.asked.is_empty() && kit.trunk.deadline().is_none());
}

struct Kit {
    trunk: Trunk,
    now: Instant,
    asked: Vec<Output>,
    others: Vec<Output>,
    /// How often each server was asked by OPTIONS.
    counts: Vec<u32>,
}

impl Kit {
    fn new(servers: &[&str], options_s: Option<u64>, pulse_s: Option<u64>) -> Self {
        Self::with(Config {
            servers: servers.iter().map(|uri| uri.parse().unwrap()).collect(),
            from: "sip:line@example.org".parse().unwrap(),
            options_every: options_s.map(Duration::from_secs),
            pulse_every: pulse_s.map(Duration::from_secs),
            registration: None,
        })
    }

    fn registered(servers: &[&str]) -> Self {
        let servers: Vec<Uri> = servers.iter().map(|uri| uri.parse().unwrap()).collect();
        let aor: Uri = "sip:line@example.org".parse().unwrap();
        let registration = registration::Config {
            aor: aor.clone(),
            servers: servers.clone(),
            contact_user: "line".to_owned(),
            credentials: Some(Credentials { username: "line".to_owned(), password: "x".to_owned(), realm: None }),
            expires: Duration::from_secs(600),
        };
        Self::with(Config {
            servers,
            from: aor,
            options_every: Some(Duration::from_secs(25)),
            pulse_every: None,
            registration: Some(registration),
        })
    }

    fn with(config: Config) -> Self {
        let now = start();
        let counts = vec![0; config.servers.len()];
        let mut kit =
            Self { trunk: Trunk::new(config, [7; 32], now), now, asked: Vec::new(), others: Vec::new(), counts };
        kit.collect();
        kit
    }

    fn collect(&mut self) {
        while let Some(output) = self.trunk.poll() {
            match output {
                ask @ Output::Ask { .. } => self.asked.push(ask),
                other => self.others.push(other),
            }
        }
    }

    /// Waits for something to be asked and answers it, at once or, without a status, after 32 s. What changed meanwhile.
    fn turn(&mut self, status: impl Fn(usize, u32) -> Option<u16>) -> Vec<Output> {
        if self.asked.is_empty()
            && let Some(at) = self.trunk.deadline()
        {
            self.now = self.now.max(at);
            self.trunk.tick(self.now);
            self.collect();
        }
        while !self.asked.is_empty() {
            for ask in std::mem::take(&mut self.asked) {
                let Output::Ask { id, request, .. } = ask else { continue };
                let status = match id {
                    AskId::Options { server, .. } => {
                        self.counts[server] += 1;
                        status(server, self.counts[server] - 1)
                    }
                    AskId::Register(_) => status(self.trunk.registration().unwrap().server, u32::MAX),
                };
                match status {
                    Some(status) => self.trunk.responded(id, Some(&request.respond(status)), self.now),
                    None => {
                        self.now += Duration::from_secs(32);
                        self.trunk.responded(id, None, self.now);
                    }
                }
                self.collect();
            }
        }
        std::mem::take(&mut self.others)
    }
}

#[expect(clippy::disallowed_methods, reason = "an instant from which virtual time runs")]
fn start() -> Instant {
    Instant::now()
}
