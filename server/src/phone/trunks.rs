//! The lines to the telephone network: the shell around [`sip::trunk::Trunk`], one task a trunk.
//!
//! It sends what the trunk wants asked and tells it the answers. Which server a call goes to is read here from what
//! the trunk found out. At the end each takes its leave where it is registered.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sip::{
    auth::Credentials,
    endpoint::{ContactUser, OutOfDialog},
    message::{Params, Scheme, Uri},
    net::Net,
    registration,
    transport::{Protocol, Source, Target},
    trunk::{AskId, Config, Output, Trunk},
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::Phones;
use crate::{
    app::App,
    config::{self, Transport},
};

/// Answers that wait for their trunk: it has two requests under way for each server at most.
const ANSWERS: usize = 16;

/// How long a trunk may take to take its leave when the server ends.
const FAREWELL: Duration = Duration::from_secs(3);

/// What is known of all trunks.
pub(crate) struct Lines {
    lines: Mutex<Vec<Line>>,
    /// What keeps them.
    tasks: TaskTracker,
}

/// What is known of one.
#[derive(Clone, Debug, Default)]
struct Line {
    is_up: bool,
    is_registered: bool,
    /// Where a call goes.
    target: Option<Target>,
}

/// How a trunk fares, for people.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct TrunkView {
    /// Its name.
    pub(crate) name: String,
    /// Whether one of its servers answers.
    pub(crate) is_up: bool,
    /// Whether it is to be registered with.
    pub(crate) registers: bool,
    /// Whether we are registered with it.
    pub(crate) is_registered: bool,
    /// Calls that it carries.
    pub(crate) calls: u32,
}

impl Lines {
    pub(super) fn new(count: usize) -> Self {
        // A trunk is taken for up until it is known to be down: calls are the quickest way to find out.
        let lines = vec![Line { is_up: true, ..Line::default() }; count];
        Self { lines: Mutex::new(lines), tasks: TaskTracker::new() }
    }

    fn with<T>(&self, at: usize, read: impl FnOnce(&mut Line) -> T) -> Option<T> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).get_mut(at).map(read)
    }
}

impl Phones {
    /// Waits until every trunk has taken its leave, which begins when the server ends. Each ends within [`FAREWELL`].
    pub(crate) async fn trunks_left(&self) {
        self.lines.tasks.close();
        self.lines.tasks.wait().await;
    }

    /// Whether calls can go by this trunk, as far as is known.
    pub(crate) fn is_up(&self, name: &str) -> bool {
        self.index_of(name).and_then(|at| self.lines.with(at, |line| line.is_up)).unwrap_or(false)
    }

    /// Where calls by this trunk go; `None` follows its URI.
    pub(crate) fn target_of(&self, name: &str) -> Option<Target> {
        self.index_of(name).and_then(|at| self.lines.with(at, |line| line.target.clone()))?
    }

    /// How all trunks fare.
    pub(crate) fn trunk_views(&self) -> Vec<TrunkView> {
        let desk = self.desk();
        let carried: std::collections::BTreeMap<String, u32> =
            desk.trunks.calls().map(|(name, calls)| (name.to_owned(), calls)).collect();
        drop(desk);
        let views = self.trunks.iter().enumerate().map(|(at, trunk)| {
            let line = self.lines.with(at, |line| line.clone()).unwrap_or_default();
            let calls = carried.get(&trunk.name).copied().unwrap_or(0);
            TrunkView {
                name: trunk.name.clone(),
                is_up: line.is_up,
                registers: trunk.register,
                is_registered: line.is_registered,
                calls,
            }
        });
        views.collect()
    }

    fn index_of(&self, name: &str) -> Option<usize> {
        self.trunks.iter().position(|trunk| trunk.name == name)
    }
}

/// The trunk that a request comes by which a certificate proves: the first that names it, and that comes from there where
/// it says where it comes from.
pub(super) fn certified<'a>(net: &Net, trunks: &'a [config::Trunk], source: &Source) -> Option<&'a config::Trunk> {
    let connection = source.connection?;
    let ip = source.remote.ip();
    trunks.iter().find(|trunk| {
        let is_there = trunk.allow.is_empty() || trunk.allow.iter().any(|network| network.contains(ip));
        is_there
            && match &trunk.certificate {
                Some(config::Certificate::Name(name)) => net.is_certified(connection, name),
                Some(config::Certificate::Fingerprint(print)) => net.fingerprint(connection) == Some(*print),
                None => false,
            }
    })
}

/// Starts the tasks of all trunks.
pub(super) fn start(app: &App, phones: &Arc<Phones>) {
    for (at, trunk) in phones.trunks.iter().enumerate() {
        let Some(config) = trunk_config(phones, trunk) else {
            tracing::error!(trunk = trunk.name, "the trunk's URI cannot be used");
            continue;
        };
        let task = Task { app: app.clone(), phones: phones.clone(), at, name: trunk.name.clone(), config };
        phones.lines.tasks.spawn(task.run());
    }
}

fn trunk_config(phones: &Phones, trunk: &config::Trunk) -> Option<Config> {
    let servers: Option<Vec<Uri>> = std::iter::once(&trunk.uri)
        .chain(&trunk.failover)
        .map(|text| {
            let mut uri: Uri = text.parse().ok()?;
            match trunk.transport {
                Some(Transport::Tcp) => uri.params.set("transport", Some("tcp")),
                Some(Transport::Tls) => uri.params.set("transport", Some("tls")),
                Some(Transport::Udp) | None => {}
            }
            Some(uri)
        })
        .collect();
    let servers = servers?;
    let host = servers[0].host.clone();
    let aor = |user: Option<String>| Uri {
        scheme: Scheme::Sip,
        user,
        host: host.clone(),
        port: None,
        params: Params::default(),
        headers: None,
    };
    let user = trunk.user.as_deref().map(Uri::escaped_user);
    let is_stream = trunk.transport.is_some_and(|transport| transport != Transport::Udp) || servers[0].is_sips();
    let registration = trunk.register.then(|| registration::Config {
        aor: aor(user.clone()),
        servers: servers.clone(),
        contact_user: trunk.user.clone().unwrap_or_else(|| phones.contact_user().to_owned()),
        credentials: trunk.password.clone().map(|password| Credentials {
            username: trunk.auth_user.clone().or_else(|| trunk.user.clone()).unwrap_or_default(),
            password,
            realm: None,
        }),
        expires: Duration::from_secs(u64::from(trunk.expires_s)),
    });
    let every = (trunk.keepalive_s != 0).then(|| Duration::from_secs(u64::from(trunk.keepalive_s)));
    Some(Config {
        from: aor(user),
        servers,
        options_every: every,
        pulse_every: every.filter(|_| is_stream),
        registration,
    })
}

struct Task {
    app: App,
    phones: Arc<Phones>,
    at: usize,
    name: String,
    config: Config,
}

type Answer = (AskId, Option<Box<sip::message::Response>>);

impl Task {
    async fn run(self) {
        let now = self.app.clock().now();
        let mut trunk = Trunk::new(self.config.clone(), rand::random(), now);
        let (answered, mut answers) = mpsc::channel::<Answer>(ANSWERS);
        let shutdown = self.app.shutdown().clone();
        let mut leave_by = None;
        loop {
            self.carry_out(&mut trunk, &answered).await;
            self.note(&trunk).await;
            if trunk.is_done() {
                return;
            }
            let due = async {
                match trunk.deadline().into_iter().chain(leave_by).min() {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            // Cancel-safe all.
            tokio::select! {
                () = shutdown.cancelled(), if leave_by.is_none() => {
                    let now = self.app.clock().now();
                    leave_by = Some(now + FAREWELL);
                    trunk.stop(now);
                }
                Some((id, response)) = answers.recv() => {
                    trunk.responded(id, response.as_deref(), self.app.clock().now());
                }
                () = due => {
                    let now = self.app.clock().now();
                    if leave_by.is_some_and(|by| by <= now) {
                        return;
                    }
                    trunk.tick(now);
                }
            }
        }
    }

    async fn carry_out(&self, trunk: &mut Trunk, answered: &mpsc::Sender<Answer>) {
        while let Some(output) = trunk.poll() {
            match output {
                Output::Ask { id, request, contact_user } => {
                    let contact = contact_user.map(|user| ContactUser { user: Some(user), params: String::new() });
                    let request = OutOfDialog { request: *request, target: None, credentials: None, contact };
                    let (exchange, answered) = (self.phones.exchange().clone(), answered.clone());
                    tokio::spawn(async move {
                        let response = exchange.ask(request).await.ok();
                        let _ = answered.send((id, response)).await;
                    });
                }
                // The connection is found by its address: whatever is sent to it keeps it open.
                Output::Pulse { server } => {
                    if let Some(target) = self.target(server).await {
                        let _ = self.phones.sip_net.send(PULSE.into(), &target);
                    }
                }
                Output::Close { server } => {
                    tracing::info!(trunk = self.name, server, "the connection of a trunk is dead");
                    trunk.lost(server, self.app.clock().now());
                }
                Output::Up { server } => tracing::info!(trunk = self.name, server, "a trunk's server is up"),
                Output::Down { server } => tracing::warn!(trunk = self.name, server, "a trunk's server is down"),
            }
        }
    }

    /// Where calls go now.
    async fn note(&self, trunk: &Trunk) {
        let first = trunk.order().first().copied().unwrap_or(0);
        // The first server is where the URI leads by itself; another is looked up here.
        let target = if first == 0 { None } else { self.target(first).await };
        let is_registered = trunk.registration().is_some_and(|status| status.registered_until.is_some());
        self.phones.lines.with(self.at, |line| {
            *line = Line { is_up: trunk.is_up(), is_registered, target };
        });
        let up = if trunk.is_up() { 1.0 } else { 0.0 };
        metrics::gauge!("harmony_trunk_up", "trunk" => self.name.clone()).set(up);
    }

    async fn target(&self, server: usize) -> Option<Target> {
        let uri = self.config.servers.get(server)?;
        let protocol = match uri.transport() {
            _ if uri.is_sips() => Some(Protocol::Tls),
            Some(name) => Protocol::named(&name),
            None => None,
        };
        self.phones.resolver().look_up(&uri.host, uri.port, protocol).await.into_iter().next()
    }
}

/// Keeps a connection open (RFC 5626 section 3.5.1).
const PULSE: &[u8] = b"\r\n\r\n";
