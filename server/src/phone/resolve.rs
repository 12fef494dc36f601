//! Where a SIP name leads (RFC 3263, without NAPTR): SRV records in their order, then addresses.
//!
//! The shell asks the system's name servers through `hickory-resolver`, one task a question, at most [`AT_ONCE`] of
//! them; beyond that, and where a name leads nowhere, the answer is empty and the call fails by itself. [`order`]
//! decides what is tried first and is pure. Names are asked for as they stand: search domains of the machine's
//! configuration are for people.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use hickory_resolver::{TokioResolver, proto::rr::RData};
use sip::{
    endpoint::Input,
    transport::{Protocol, Target},
};
use tokio::sync::{Semaphore, mpsc};

/// Questions under way at once.
const AT_ONCE: usize = 64;

/// Addresses that are tried at most; each may take half a minute to fail.
const TARGETS_MAX: usize = 8;

/// Looks names up. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Resolver {
    /// `None` where the system's configuration cannot be read: then only the resolver of the C library is asked.
    dns: Option<Arc<TokioResolver>>,
    places: Arc<Semaphore>,
}

impl Resolver {
    /// With the system's configuration.
    pub(crate) fn system() -> Self {
        let dns = TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build);
        if let Err(error) = &dns {
            tracing::info!(%error, "no name servers are configured: SIP names are looked up in the hosts file only");
        }
        Self { dns: dns.ok().map(Arc::new), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Begins to look `host` up; the answer goes to `reply`, or comes back at once where there is no place.
    pub(crate) fn resolve(
        &self,
        token: u64,
        host: String,
        port: Option<u16>,
        protocol: Option<Protocol>,
        reply: mpsc::Sender<Input>,
    ) -> Option<Input> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            metrics::counter!("harmony_drops_total", "crossing" => "sip_names").increment(1);
            return Some(Input::Resolved { token, targets: Vec::new() });
        };
        let resolver = self.clone();
        tokio::spawn(async move {
            let targets = resolver.look_up(&host, port, protocol).await;
            drop(place);
            // An exchange that is gone has no use for it.
            let _ = reply.send(Input::Resolved { token, targets }).await;
        });
        None
    }

    /// Where `host` leads; nowhere when the answer is empty.
    pub(crate) async fn look_up(&self, host: &str, port: Option<u16>, protocol: Option<Protocol>) -> Vec<Target> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse() {
            let protocol = protocol.unwrap_or(Protocol::Udp);
            return vec![target(protocol, ip, port.unwrap_or_else(|| protocol.default_port()), bare)];
        }
        look_up(self.dns.as_deref(), host, port, protocol).await
    }
}

async fn look_up(
    dns: Option<&TokioResolver>,
    host: &str,
    port: Option<u16>,
    protocol: Option<Protocol>,
) -> Vec<Target> {
    let mut targets = Vec::new();
    if let (None, Some(dns)) = (port, dns) {
        for protocol in protocol.map_or_else(|| vec![Protocol::Udp, Protocol::Tcp, Protocol::Tls], |one| vec![one]) {
            let mut services = services(dns, host, protocol).await;
            order(&mut services, &mut rand::random);
            for service in services {
                let addresses = addresses(Some(dns), &service.host).await;
                targets.extend(addresses.into_iter().map(|ip| target(protocol, ip, service.port, host)));
            }
        }
    }
    if targets.is_empty() {
        let protocol = protocol.unwrap_or(Protocol::Udp);
        let port = port.unwrap_or_else(|| protocol.default_port());
        targets.extend(addresses(dns, host).await.into_iter().map(|ip| target(protocol, ip, port, host)));
    }
    targets.truncate(TARGETS_MAX);
    targets
}

/// The certificate names whom was asked for, not the machine that an SRV record led to (RFC 5922 section 4).
fn target(protocol: Protocol, ip: IpAddr, port: u16, host: &str) -> Target {
    let mut target = Target::new(protocol, SocketAddr::new(ip, port));
    target.server_name = (protocol == Protocol::Tls).then(|| host.into());
    target
}

async fn services(dns: &TokioResolver, host: &str, protocol: Protocol) -> Vec<Service> {
    let prefix = match protocol {
        Protocol::Udp => "_sip._udp.",
        Protocol::Tcp => "_sip._tcp.",
        Protocol::Tls => "_sips._tcp.",
    };
    let name = format!("{prefix}{}.", host.trim_end_matches('.'));
    let Ok(found) = dns.srv_lookup(name).await else { return Vec::new() };
    let services = found.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(service) => Some(Service {
            priority: service.priority,
            weight: service.weight,
            port: service.port,
            host: service.target.to_utf8(),
        }),
        _ => None,
    });
    services.take(TARGETS_MAX).collect()
}

/// By the hosts file and the name servers; the C library knows the former even where the latter are missing.
async fn addresses(dns: Option<&TokioResolver>, host: &str) -> Vec<IpAddr> {
    if let Some(dns) = dns
        && let Ok(found) = dns.lookup_ip(format!("{}.", host.trim_end_matches('.'))).await
    {
        return found.iter().collect();
    }
    match tokio::net::lookup_host((host, 0)).await {
        Ok(found) => found.map(|address| address.ip()).collect(),
        Err(_) => Vec::new(),
    }
}

/// One SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Service {
    priority: u16,
    weight: u16,
    port: u16,
    host: String,
}

/// Puts services into the order of RFC 2782: by priority, and within one by chance, the heavier sooner.
fn order(services: &mut [Service], random: &mut dyn FnMut() -> u32) {
    services.sort_by_key(|service| (service.priority, service.weight));
    let mut rest = services;
    while !rest.is_empty() {
        let priority = rest[0].priority;
        let same = rest.iter().take_while(|service| service.priority == priority).count();
        let sum: u32 = rest[..same].iter().map(|service| u32::from(service.weight)).sum();
        let mut left = random() % (sum + 1);
        let chosen = rest[..same].iter().position(|service| {
            let is_it = u32::from(service.weight) >= left;
            left = left.saturating_sub(u32::from(service.weight));
            is_it
        });
        // The chosen one comes first, the others keep their order.
        rest[..=chosen.unwrap_or(0)].rotate_right(1);
        rest = &mut rest[1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(priority: u16, weight: u16, host: &str) -> Service {
        Service { priority, weight, port: 5_060, host: host.to_owned() }
    }

    #[test]
    fn lower_priorities_come_first_and_heavier_services_more_often() {
        let mut first = std::collections::BTreeMap::<String, u32>::new();
        for chance in 0..1_000_u32 {
            let mut services = vec![service(20, 0, "last"), service(10, 10, "light"), service(10, 90, "heavy")];
            let mut random = || chance.wrapping_mul(2_654_435_761) >> 8;
            order(&mut services, &mut random);
            assert_eq!(services[2].host, "last");
            *first.entry(services[0].host.clone()).or_default() += 1;
        }
        assert!(first["heavy"] > 8 * first["light"] && first["light"] > 50, "{first:?}");
    }

    #[test]
    fn services_without_weight_are_all_tried() {
        let mut services = vec![service(1, 0, "a"), service(1, 0, "b"), service(1, 0, "c")];
        order(&mut services, &mut || 7);
        let mut hosts: Vec<_> = services.iter().map(|service| service.host.as_str()).collect();
        hosts.sort_unstable();
        assert_eq!(hosts, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn this_machine_is_found_without_any_name_server() {
        let targets = look_up(None, "localhost", Some(5_090), Some(Protocol::Tls)).await;
        assert!(targets.iter().all(|target| target.address.ip().is_loopback() && target.address.port() == 5_090));
        assert_eq!(targets[0].server_name.as_deref(), Some("localhost"));
        let [udp, ..] = &look_up(None, "localhost", None, None).await[..] else { panic!("no address") };
        assert_eq!((udp.protocol, udp.address.port(), &udp.server_name), (Protocol::Udp, 5_060, &None));
    }
}
