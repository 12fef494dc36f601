//! Puts the telephone together as configured, and keeps what lives beside calls: the registrar, the trunks, numbers.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use bot::routing::{
    Table,
    dialling::Dialling,
    guard::{Guard, Limits as GuardLimits},
    source::Network,
    trunk::Trunks,
};
use media::{
    net::Net as SoundNet,
    webrtc::handshake::{BadHandshake, Certificate},
};
use sip::{
    auth,
    endpoint::{self, Advertise, Endpoint, HostPort},
    message::Method,
    net::{Certificates, Identity, Net, NetConfig, NetError, Trusted},
    registrar::{self, Registrar, Users},
    transport::{Protocol, Target},
};

use super::{
    Phones,
    calls::Calls,
    desk::Desk,
    exchange, incoming,
    menu::{Conferences, Menus, Queues},
    recordings::Recorded,
    registered,
    resolve::Resolver,
    trunks,
};
use crate::{
    app::App,
    config::{Config, Digest},
};

/// Why there is no telephone.
#[derive(Debug, thiserror::Error)]
pub enum NoPhone {
    /// A socket or a certificate.
    #[error("{0} (sip.host, sip.port and sip.tls_port set the addresses; port 0 switches them off)")]
    Net(#[from] NetError),
    /// Nothing to make the certificate with that is shown in handshakes for the keys of sound.
    #[error(transparent)]
    Certificate(#[from] BadHandshake),
    /// The thread that receives sound.
    #[error("cannot receive sound: {0}")]
    Sound(#[source] std::io::Error),
}

/// Starts the telephone; nothing where every listener is switched off.
///
/// # Errors
/// [`NoPhone`]; nothing is left behind.
pub(crate) async fn start(app: &App) -> Result<Option<Arc<Phones>>, NoPhone> {
    let config = app.config();
    let (udp_and_tcp, tls) = (config.sip.address(), config.sip.tls_address());
    if udp_and_tcp.is_none() && tls.is_none() {
        return Ok(None);
    }
    let plain: Vec<SocketAddr> = udp_and_tcp.into_iter().collect();
    let listening = Listening { udp: plain.clone(), tcp: plain, tls: tls.into_iter().collect() };
    start_at(app, listening).await.map(Some)
}

/// Starts the telephone over UDP at this address, whose port the system may choose, and connects it with `app`, for a
/// server within another program; where it listens.
///
/// # Errors
/// [`NoPhone`]; nothing is left behind.
pub async fn connect_at(app: &App, address: SocketAddr) -> Result<SocketAddr, NoPhone> {
    let phones = start_at(app, Listening { udp: vec![address], ..Listening::default() }).await?;
    let bound = phones.addresses().first().map_or(address, |(_, bound)| *bound);
    app.connect(phones);
    Ok(bound)
}

/// Telephones behind translators know nothing of it, and nobody is hurt by it.
const FORCE_RPORT: bool = true;

/// Where SIP listens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listening {
    pub(crate) udp: Vec<SocketAddr>,
    pub(crate) tcp: Vec<SocketAddr>,
    pub(crate) tls: Vec<SocketAddr>,
}

/// At these addresses.
///
/// # Errors
/// [`NoPhone`]; nothing is left behind.
pub(crate) async fn start_at(app: &App, listening: Listening) -> Result<Arc<Phones>, NoPhone> {
    let config = app.config().clone();
    let clock = app.clock();
    let resolver = Resolver::system();
    let sources = trunk_sources(&config, &resolver).await;
    let trusted_networks: Vec<Network> = config
        .sip
        .trusted
        .iter()
        .cloned()
        .chain(sources.iter().flat_map(|(_, _, from)| from.iter().cloned()))
        .collect();
    let trusted = trusted_networks.clone();
    let identity = config.sip.tls_cert.clone().zip(config.sip.tls_key.clone());
    let identity = identity.map(|(certificate, key)| Identity { certificate, key });
    let net_config = NetConfig {
        udp: listening.udp,
        tcp: listening.tcp,
        tls: listening.tls,
        certificates: Certificates {
            server: identity.clone(),
            client: identity,
            demands_client: config.sip.tls_client_ca.is_some() && !config.sip.tls_client_optional,
            client_roots: config.sip.tls_client_ca.clone(),
            roots: config.sip.tls_roots.clone(),
        },
        trusted: Trusted::new(move |ip| trusted.iter().any(|network| network.contains(ip))),
        force_rport: FORCE_RPORT,
        ..NetConfig::default()
    };
    let (net, events) = Net::start(net_config).await?;
    let certificate = Certificate::generate()?;
    let sound = SoundNet::start(config.rtp.port_min..=config.rtp.port_max).map_err(NoPhone::Sound)?;
    let advertise = advertise(&config, &net);
    let seed = rand::random();
    let mut endpoint_config = endpoint::Config::new(advertise, seed);
    endpoint_config.user_agent = config.sip.user_agent.clone();
    endpoint_config.asked = vec![Method::Register];
    endpoint_config.force_rport = FORCE_RPORT;
    let endpoint = Endpoint::new(endpoint_config);
    let now = clock.now();
    let domain = config.sip.domain();
    let domains = domains(&config, &net);
    let users = Users::new(config.sip.users.iter().map(|user| (user.name.clone(), user.password.clone())));
    let limits = registrar::Limits {
        expires_min: Duration::from_secs(u64::from(config.sip.register_min_s)),
        expires_max: Duration::from_secs(u64::from(config.sip.register_max_s)),
        ..registrar::Limits::default()
    };
    let registrar = Registrar::new(limits, domains.clone(), users);
    let algorithms = match config.sip.digest {
        Digest::Md5 => vec![auth::Algorithm::Md5],
        Digest::Sha256 => vec![auth::Algorithm::Sha256],
        Digest::Both => vec![auth::Algorithm::Sha256, auth::Algorithm::Md5],
    };
    let proving = auth::GuardConfig { algorithms, ..auth::GuardConfig::new(&domain) };
    let desk = Desk::new(
        Guard::new(GuardLimits::default(), trusted_networks),
        Dialling::new(config.dialling.clone(), now),
        Trunks::new(sources, now),
        auth::Guard::new(proving, rand::random(), now),
        registrar,
    );
    let desk = Arc::new(Mutex::new(desk));
    let lines = exchange::Lines { net: net.clone(), events, resolver: resolver.clone(), trunks: config.trunks.clone() };
    let (exchange, callers) = exchange::start(endpoint, lines, desk.clone(), clock);
    let phones = Arc::new(Phones {
        exchange,
        sip_net: net,
        net: sound,
        certificate,
        calls: Calls::default(),
        desk,
        resolver,
        table: Table::new(config.numbers.0.clone(), config.sip.unknown),
        numbering: config.numbering.clone(),
        trunks: config.trunks.clone(),
        lines: trunks::Lines::new(config.trunks.len()),
        domains,
        menus: Menus::default(),
        queues: Queues::default(),
        conferences: Conferences::default(),
        recorded: Recorded::default(),
        sip: config.sip,
        rtp: config.rtp,
    });
    tokio::spawn(incoming::take(app.clone(), phones.clone(), callers.incoming));
    tokio::spawn(registered::answer(app.clone(), phones.clone(), callers.asked));
    trunks::start(app, &phones);
    Ok(phones)
}

/// How others reach us: what is configured, else the address that is bound, or the one the system would use.
fn advertise(config: &Config, net: &Net) -> Advertise {
    let told = config.sip.advertise.clone();
    let ports = [Protocol::Udp, Protocol::Tcp, Protocol::Tls].map(|protocol| {
        let bound = net.addresses(protocol).first().map(SocketAddr::port);
        (protocol, bound.unwrap_or_else(|| protocol.default_port()))
    });
    let bound = config.sip.host;
    Advertise::new(move |target: &Target| {
        let port = ports.iter().find(|(protocol, _)| *protocol == target.protocol).map_or(0, |(_, port)| *port);
        match &told {
            Some(host) => HostPort { host: host.clone(), port },
            None => {
                let local = target.local.map(|local| local.ip()).filter(|ip| !ip.is_unspecified());
                let ip = local.unwrap_or_else(|| super::line::local_ip(bound, target.address));
                HostPort::of(ip, port)
            }
        }
    })
}

/// The names under which we are called: whoever registers or transfers to one of them means us.
fn domains(config: &Config, net: &Net) -> Vec<String> {
    let mut domains = vec![config.sip.domain()];
    domains.extend(config.sip.advertise.clone());
    for protocol in [Protocol::Udp, Protocol::Tcp, Protocol::Tls] {
        for address in net.addresses(protocol) {
            domains.push(HostPort::of(address.ip(), 0).host);
        }
    }
    if config.sip.host.is_loopback() {
        domains.push("localhost".to_owned());
    }
    domains.sort();
    domains.dedup();
    domains
}

/// Each trunk with what it carries and where its calls come from.
async fn trunk_sources(
    config: &Config,
    resolver: &Resolver,
) -> Vec<(String, bot::routing::trunk::Limits, Vec<Network>)> {
    let mut sources = Vec::new();
    for trunk in &config.trunks {
        // Who shows a certificate is known by it and by nothing else: `allow` only says where else it must come from.
        let mut from = if trunk.certificate.is_none() { trunk.allow.clone() } else { Vec::new() };
        if from.is_empty() && trunk.certificate.is_none() {
            for uri in std::iter::once(&trunk.uri).chain(&trunk.failover) {
                let Ok(uri) = uri.parse::<sip::message::Uri>() else { continue };
                let found = resolver.look_up(&uri.host, uri.port, None).await;
                from.extend(found.iter().filter_map(|target| network_of(target.address.ip())));
            }
            if from.is_empty() {
                tracing::warn!(
                    trunk = trunk.name,
                    "the trunk's name leads nowhere now: its calls are strangers' until a restart"
                );
            }
        }
        sources.push((trunk.name.clone(), trunk.limits(), from));
    }
    sources
}

fn network_of(ip: IpAddr) -> Option<Network> {
    ip.to_string().parse().ok()
}
