//! Which connections there are, where they lead to, and what waits to be sent over them.
//!
//! Guarded by one lock that is held for a few look-ups and never across a wait.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName},
    server::ParsedCertificate,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use webpki::EndEntityCert;

use super::{Limits, Unsent, Ways};
use crate::transport::{ConnectionId, Protocol, Target};

/// Messages that wait for one connection. A trunk that stalls for a second under 100 calls a second has 300.
const MOST_WAITING: usize = 1_024;

/// Bytes that wait for one connection.
const MOST_WAITING_BYTES: usize = 1 << 20;

/// All connections.
#[derive(Debug)]
pub(super) struct Table {
    limits: Limits,
    lines: BTreeMap<ConnectionId, Line>,
    ways: Ways,
    per_source: BTreeMap<IpAddr, usize>,
    opened: u64,
}

/// Where connections lead to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    pub(super) protocol: Protocol,
    pub(super) address: SocketAddr,
    /// Whom the certificate names, where we asked for it.
    pub(super) name: Option<Arc<str>>,
}

#[derive(Debug)]
struct Line {
    queue: mpsc::Sender<Bytes>,
    waiting_bytes: Arc<AtomicUsize>,
    stop: CancellationToken,
    /// Who made it; `None` where we did.
    source: Option<IpAddr>,
    /// What the other side showed and somebody vouches for.
    certificate: Option<CertificateDer<'static>>,
}

/// What the connection's own task has.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) id: ConnectionId,
    pub(super) queue: mpsc::Receiver<Bytes>,
    pub(super) waiting_bytes: Arc<AtomicUsize>,
    pub(super) stop: CancellationToken,
}

impl Table {
    pub(super) const fn new(limits: Limits) -> Self {
        Self { limits, lines: BTreeMap::new(), ways: BTreeMap::new(), per_source: BTreeMap::new(), opened: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// One that somebody made; `None` when there are too many.
    pub(super) fn open_theirs(&mut self, protocol: Protocol, remote: SocketAddr) -> Option<Ends> {
        let source = remote.ip().to_canonical();
        let theirs = self.per_source.get(&source).copied().unwrap_or_default();
        if theirs >= self.limits.connections_per_source {
            return None;
        }
        let ends = self.open(Way { protocol, address: remote, name: None }, Some(source))?;
        *self.per_source.entry(source).or_default() += 1;
        Some(ends)
    }

    /// One that we make; `None` when there are too many.
    pub(super) fn open_ours(&mut self, target: &Target) -> Option<Ends> {
        self.open(Way::to(target), None)
    }

    /// The connection that leads to a target: its own if it lasts, else one to the same address and name.
    pub(super) fn find(&self, target: &Target) -> Option<ConnectionId> {
        if let Some(own) = target.connection.filter(|own| self.lines.contains_key(own)) {
            return Some(own);
        }
        let mut way = Way::to(target);
        if let Some(id) = self.ways.get(&way) {
            return Some(*id);
        }
        // One that they made is as good where its certificate is the one that we would ask for (RFC 5923).
        let name = way.name.take()?;
        self.ways.get(&way).copied().filter(|id| self.is_certified(*id, &name))
    }

    /// Puts something into a connection's queue.
    pub(super) fn push(&mut self, id: ConnectionId, bytes: Bytes) -> Result<(), Unsent> {
        let line = self.lines.get(&id).ok_or(Unsent::Full)?;
        let length = bytes.len();
        let waiting = line.waiting_bytes.fetch_add(length, Relaxed) + length;
        if waiting <= MOST_WAITING_BYTES && line.queue.try_send(bytes).is_ok() {
            return Ok(());
        }
        line.stop.cancel();
        self.close(id);
        Err(Unsent::Full)
    }

    /// Also sends over it what is for that address, unless another does already (RFC 5923).
    pub(super) fn alias(&mut self, id: ConnectionId, protocol: Protocol, address: SocketAddr) {
        if self.lines.contains_key(&id) {
            self.ways.entry(Way { protocol, address, name: None }).or_insert(id);
        }
    }

    /// Remembers the certificate that the other side proved to have.
    pub(super) fn certify(&mut self, id: ConnectionId, certificate: CertificateDer<'static>) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.certificate = Some(certificate);
        }
    }

    pub(super) fn is_certified(&self, id: ConnectionId, name: &str) -> bool {
        self.lines.get(&id).and_then(|line| line.certificate.as_ref()).is_some_and(|der| names(der, name))
    }

    /// Whether somebody made this connection to us, so that those who vouch for them have vouched: whom we connect to is
    /// judged by others.
    pub(super) fn is_theirs(&self, id: ConnectionId) -> bool {
        self.lines.get(&id).is_some_and(|line| line.source.is_some())
    }

    pub(super) fn fingerprint(&self, id: ConnectionId) -> Option<[u8; 32]> {
        let certificate = self.lines.get(&id).and_then(|line| line.certificate.as_ref())?;
        Some(Sha256::digest(certificate).into())
    }

    /// Forgets a connection: nothing more is put into its queue.
    pub(super) fn close(&mut self, id: ConnectionId) {
        let Some(line) = self.lines.remove(&id) else { return };
        self.ways.retain(|_, way| *way != id);
        if let Some(source) = line.source
            && let Some(count) = self.per_source.get_mut(&source)
        {
            *count -= 1;
            if *count == 0 {
                self.per_source.remove(&source);
            }
        }
    }

    fn open(&mut self, way: Way, source: Option<IpAddr>) -> Option<Ends> {
        if self.lines.len() >= self.limits.connections {
            return None;
        }
        self.opened += 1;
        let id = ConnectionId(self.opened);
        let (queue, receiver) = mpsc::channel(MOST_WAITING);
        let (waiting_bytes, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let ends = Ends { id, queue: receiver, waiting_bytes: waiting_bytes.clone(), stop: stop.clone() };
        self.lines.insert(id, Line { queue, waiting_bytes, stop, source, certificate: None });
        self.ways.insert(way, id);
        Some(ends)
    }
}

/// Whether a certificate names somebody in full: a star stands for nobody (RFC 5922 section 7.2).
fn names(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let (Ok(parsed), Ok(expected)) = (ParsedCertificate::try_from(certificate), ServerName::try_from(name)) else {
        return false;
    };
    if verify_server_name(&parsed, &expected).is_err() {
        return false;
    }
    let ServerName::DnsName(_) = expected else { return true };
    EndEntityCert::try_from(certificate)
        .is_ok_and(|whole| whole.valid_dns_names().any(|written| written.eq_ignore_ascii_case(name)))
}

impl Way {
    fn to(target: &Target) -> Self {
        // Only a certificate has a name.
        let name = target.server_name.clone().filter(|_| target.protocol == Protocol::Tls);
        Self { protocol: target.protocol, address: target.address, name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_in_a_certificate_stands_for_nobody() {
        let written = ["*.example.org", "SBC.example.net", "192.0.2.1"].map(str::to_owned).to_vec();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(written).unwrap().self_signed(&key).unwrap();
        for (name, is_named) in [
            ("sbc.example.net", true),
            ("192.0.2.1", true),
            ("sbc.example.org", false),
            ("example.org", false),
            ("192.0.2.2", false),
            ("*.example.org", false),
        ] {
            assert_eq!(names(certificate.der(), name), is_named, "{name}");
        }
    }
}
