//! Certificates: ours, and those of others (RFC 5630, RFC 5922).

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::{Certificates, Identity, NetError};

/// Both sides of the handshake.
pub(super) struct Tls {
    acceptor: Option<TlsAcceptor>,
    connector: TlsConnector,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads all files.
    pub(super) fn read(files: &Certificates) -> Result<Self, NetError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let acceptor = match &files.server {
            Some(identity) => Some(TlsAcceptor::from(Arc::new(server(identity, files, &provider)?))),
            None => None,
        };
        let roots = match &files.roots {
            Some(path) => roots(path)?,
            None => system_roots(),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring knows the versions that are safe")
            .with_root_certificates(roots);
        let config = match &files.client {
            Some(identity) => {
                let (chain, key) = pair(identity)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| unusable(&identity.certificate, &error))?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self { acceptor, connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Lets somebody in.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<server::TlsStream<TcpStream>> {
        match &self.acceptor {
            Some(acceptor) => acceptor.accept(stream).await,
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Makes sure that it is `name` to whom we speak; the address itself where there is none.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        name: Option<&str>,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        let name = match name {
            Some(name) => ServerName::try_from(name.to_owned())
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a name that no certificate can have"))?,
            None => ServerName::IpAddress(address.ip().to_canonical().into()),
        };
        self.connector.connect(name, stream).await
    }
}

fn server(identity: &Identity, files: &Certificates, provider: &Arc<CryptoProvider>) -> Result<ServerConfig, NetError> {
    let (chain, key) = pair(identity)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("ring knows the versions that are safe");
    let builder = match &files.client_roots {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots(path)?.into(), provider.clone());
            let verifier = if files.demands_client { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| unusable(path, &error))?)
        }
    };
    builder.with_single_cert(chain, key).map_err(|error| unusable(&identity.certificate, &error))
}

fn pair(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), NetError> {
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|error| unusable(&identity.key, &error))?;
    Ok((certificates(&identity.certificate)?, key))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, NetError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match all {
        Ok(all) if all.is_empty() => Err(unusable(path, &"it holds no certificate")),
        Ok(all) => Ok(all),
        Err(error) => Err(unusable(path, &error)),
    }
}

fn roots(path: &Path) -> Result<RootCertStore, NetError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| unusable(path, &error))?;
    }
    Ok(roots)
}

/// What cannot be read is left out, as everybody does: then those it would vouch for are not believed.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> NetError {
    NetError::File { path: path.to_owned(), why: error.to_string() }
}
