//! TLS for programs that have none: a certificate of this machine, and a tunnel that speaks TLS in their stead.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::{io::copy_bidirectional, net::TcpListener, net::TcpStream};
use tokio_rustls::TlsConnector;

/// A certificate that nobody vouches for but itself. Its files are gone with it.
#[derive(Debug)]
pub struct Certificate {
    folder: TempDir,
}

impl Certificate {
    /// A fresh one for 127.0.0.1.
    ///
    /// # Panics
    /// When the machine takes no files.
    pub fn fresh() -> Self {
        Self::of("127.0.0.1")
    }

    /// A fresh one for that host.
    ///
    /// # Panics
    /// When the machine takes no files.
    pub fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a certificate");
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
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

    /// Its text.
    ///
    /// # Panics
    /// When its file is gone.
    pub fn pem(&self) -> String {
        std::fs::read_to_string(self.path()).expect("the certificate that was written")
    }

    /// As `sha-256 AB:CD:…`.
    ///
    /// # Panics
    /// When its file is gone.
    pub fn fingerprint(&self) -> String {
        let der = CertificateDer::from_pem_file(self.path()).expect("the certificate that was written");
        let bytes: Vec<_> = Sha256::digest(&der).iter().map(|byte| format!("{byte:02X}")).collect();
        format!("sha-256 {}", bytes.join(":"))
    }

    /// A place on this machine, every connection to which goes on to `server` by TLS, for as long as the test's runtime
    /// lasts.
    ///
    /// # Panics
    /// When the machine has no port.
    pub async fn tunnel(&self, server: SocketAddr) -> SocketAddr {
        self.tunnel_as(server, None).await
    }

    /// The same, for who shows the certificate of `identity`.
    ///
    /// # Panics
    /// When the machine has no port.
    pub async fn tunnel_as(&self, server: SocketAddr, identity: Option<&Self>) -> SocketAddr {
        let mut roots = RootCertStore::empty();
        let trusted = CertificateDer::from_pem_file(self.path()).expect("the certificate that was written");
        roots.add(trusted).expect("a certificate that can be trusted");
        let config = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(shown) => {
                let chain =
                    vec![CertificateDer::from_pem_file(shown.path()).expect("the certificate that was written")];
                let key = PrivateKeyDer::from_pem_file(shown.key()).expect("the key that was written");
                config.with_client_auth_cert(chain, key).expect("a key that fits its certificate")
            }
        };
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
