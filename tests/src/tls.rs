//! TLS for programs that have none: a certificate of this machine, and a tunnel that speaks TLS in their stead.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tempfile::TempDir;
use tokio::{io::copy_bidirectional, net::TcpListener, net::TcpStream};
use tokio_rustls::TlsConnector;

/// A certificate for 127.0.0.1 that nobody vouches for but itself. Its files are gone with it.
#[derive(Debug)]
pub struct Certificate {
    folder: TempDir,
}

impl Certificate {
    /// A fresh one.
    ///
    /// # Panics
    /// When the machine takes no files.
    pub fn fresh() -> Self {
        let folder = tempfile::tempdir().expect("a folder for a certificate");
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).expect("a file");
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).expect("a file");
        Self { folder }
    }

    /// The file that it is in.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// The file of its key.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// A place on this machine, every connection to which goes on to `server` by TLS, for as long as the test's runtime
    /// lasts.
    ///
    /// # Panics
    /// When the machine has no port.
    pub async fn tunnel(&self, server: SocketAddr) -> SocketAddr {
        let mut roots = RootCertStore::empty();
        let trusted = CertificateDer::from_pem_file(self.path()).expect("the certificate that was written");
        roots.add(trusted).expect("a certificate that can be trusted");
        let config = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let connector = connector.clone();
                tokio::spawn(async move {
                    let name = ServerName::try_from("127.0.0.1").expect("an address");
                    let connecting = async { connector.connect(name, TcpStream::connect(server).await?).await };
                    match connecting.await {
                        Ok(mut far) => _ = copy_bidirectional(&mut near, &mut far).await,
                        // Whoever is refused sees its connection end.
                        Err(error) => println!("no tunnel to {server}: {error}"),
                    }
                });
            }
        });
        address
    }
}
