//! Real sockets on loopback: what arrives, what is answered, and what a stranger cannot do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use sip::{
    message::{Message, parse_datagram},
    net::{Certificates, Event, Identity, Limits, Net, NetConfig, NetError, Unsent},
    transport::{Protocol, Source, Target},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::mpsc::Receiver,
    time::timeout,
};

#[tokio::test]
async fn datagrams_come_go_and_are_answered_where_they_are_bad() {
    let (net, mut events) = start(NetConfig::default()).await;
    let ours = net.addresses(Protocol::Udp)[0];
    let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    phone.send_to(options("UDP", 1).as_bytes(), ours).await.unwrap();
    let (message, source) = received(&mut events).await;
    assert_eq!((source.remote, source.local, source.connection), (phone.local_addr().unwrap(), ours, None));
    let Message::Request(request) = message else { panic!() };
    net.send(request.respond(200).to_bytes(), &source.target()).unwrap();
    assert_eq!(hear(&phone).await, 200);
    // A long body is a long datagram.
    let long = format!("{}Content-Length: 60000\r\n\r\n{}", head("UDP", 2), "x".repeat(60_000));
    phone.send_to(long.as_bytes(), ours).await.unwrap();
    assert_eq!(received(&mut events).await.0.body().len(), 60_000);
    // What is bad is answered from here and never seen above; what is nothing is not answered.
    phone.send_to(b"\r\n\r\n", ours).await.unwrap();
    phone.send_to(&[0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42], ours).await.unwrap();
    phone.send_to(head("UDP", 3).replace("CSeq: 3", "CSeq: x").as_bytes(), ours).await.unwrap();
    phone.send_to(format!("{}Require: magic\r\n\r\n", head("UDP", 4)).as_bytes(), ours).await.unwrap();
    assert_eq!((hear(&phone).await, hear(&phone).await), (400, 420));
    phone.send_to(options("UDP", 5).as_bytes(), ours).await.unwrap();
    assert_eq!(cseq(&received(&mut events).await.0), 5, "nothing came between");
    let counts = net.counts();
    assert_eq!((counts.received, counts.answered, counts.dropped), (3, 2, 1));
    assert!(matches!(net.send(Bytes::from(vec![0; 70_000]), &source.target()), Err(Unsent::TooLong)));
    let six = Target::new(Protocol::Udp, "[::1]:5060".parse().unwrap());
    assert!(matches!(net.send(Bytes::from_static(b"x"), &six), Err(Unsent::NoWay)));
}

#[tokio::test]
async fn a_flood_from_one_source_takes_no_more_than_its_share() {
    let limits = Limits { datagrams_per_source_per_s: 1, datagrams_per_source_burst: 10, ..Limits::default() };
    let (net, mut events) = start(NetConfig { limits, ..NetConfig::default() }).await;
    let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let other = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    for number in 0..50 {
        phone.send_to(options("UDP", number).as_bytes(), net.addresses(Protocol::Udp)[0]).await.unwrap();
    }
    other.send_to(options("UDP", 99).as_bytes(), net.addresses(Protocol::Udp)[0]).await.unwrap();
    let mut heard = 0;
    while cseq(&received(&mut events).await.0) != 99 {
        heard += 1;
    }
    assert!((10..=12).contains(&heard), "{heard}");
    assert_eq!(net.counts().limited, 50 - heard);
}

#[tokio::test]
async fn a_stream_carries_messages_both_ways_and_pings() {
    let (net, mut events) = start(NetConfig::default()).await;
    let mut phone = TcpStream::connect(net.addresses(Protocol::Tcp)[0]).await.unwrap();
    let message = options("TCP", 1);
    for piece in message.as_bytes().chunks(7) {
        phone.write_all(piece).await.unwrap();
        phone.flush().await.unwrap();
    }
    let (message, source) = received(&mut events).await;
    assert!(source.connection.is_some() && source.protocol == Protocol::Tcp);
    let Message::Request(request) = message else { panic!() };
    net.send(request.respond(200).to_bytes(), &source.target()).unwrap();
    assert_eq!(read_status(&mut phone).await, Some(200));
    phone.write_all(b"\r\n\r\n").await.unwrap();
    let mut pong = [0; 2];
    phone.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"\r\n");
    // A bad one is answered, and the stream goes on.
    phone
        .write_all(format!("{}no colon\r\nl: 0\r\n\r\n{}", head("TCP", 2), options("TCP", 3)).as_bytes())
        .await
        .unwrap();
    assert_eq!(read_status(&mut phone).await, Some(400));
    assert_eq!(cseq(&received(&mut events).await.0), 3);
    // What is sent to its address goes over it.
    net.send(options("TCP", 9).into(), &Target::new(Protocol::Tcp, source.remote)).unwrap();
    assert_eq!(net.counts().connections, 1);
    let mut buffer = [0; 2_000];
    let length = phone.read(&mut buffer).await.unwrap();
    assert!(String::from_utf8_lossy(&buffer[..length]).contains("CSeq: 9"));
    // Its end is told.
    drop(phone);
    let Event::Failed { target } = next(&mut events).await else { panic!() };
    assert_eq!((target.connection, target.address), (source.connection, source.remote));
    assert_eq!(net.counts().connections, 0);
}

#[tokio::test]
async fn where_a_stream_is_lost_the_answer_arrives_before_the_end() {
    let (net, mut events) = start(NetConfig::default()).await;
    for (text, status) in [
        (format!("{}l: 1\r\nl: 2\r\n\r\n", head("TCP", 1)), Some(400)),
        (format!("{}l: 9999999\r\n\r\n{}", head("TCP", 1), "x".repeat(100_000)), Some(413)),
        (format!("{}{}", head("TCP", 1), "X-Any: y\r\n".repeat(10_000)), Some(513)),
        ("\x16\x03\x01 this is TLS where none is\r\n\r\n".to_owned(), None),
        ("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n".to_owned(), None),
    ] {
        let mut stranger = TcpStream::connect(net.addresses(Protocol::Tcp)[0]).await.unwrap();
        _ = stranger.write_all(text.as_bytes()).await;
        assert_eq!(read_status(&mut stranger).await, status, "{:.60}", text);
        let mut rest = Vec::new();
        let end = timeout(WAIT, stranger.read_to_end(&mut rest)).await.expect("it is closed");
        assert_eq!((end.unwrap_or_default(), rest.len()), (0, 0));
    }
    assert!(events.try_recv().is_err(), "nobody above hears of it");
}

#[tokio::test]
async fn half_a_message_and_silence_are_given_up() {
    let limits = Limits { first: Duration::from_millis(100), ..Limits::default() };
    let (net, _events) = start(NetConfig { limits, ..NetConfig::default() }).await;
    for half in ["", "\r\n\r\n", "OPTIONS sip:a@b SI"] {
        let mut stranger = TcpStream::connect(net.addresses(Protocol::Tcp)[0]).await.unwrap();
        stranger.write_all(half.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        _ = timeout(WAIT, stranger.read_to_end(&mut rest)).await.expect("it is closed");
    }
}

#[tokio::test]
async fn connections_are_bounded_for_all_and_for_each() {
    let limits = Limits { connections: 3, connections_per_source: 2, ..Limits::default() };
    let (net, mut events) = start(NetConfig { limits, ..NetConfig::default() }).await;
    let ours = net.addresses(Protocol::Tcp)[0];
    let mut kept = Vec::new();
    for number in 0..2 {
        let mut stream = TcpStream::connect(ours).await.unwrap();
        stream.write_all(options("TCP", number).as_bytes()).await.unwrap();
        received(&mut events).await;
        kept.push(stream);
    }
    let mut third = TcpStream::connect(ours).await.unwrap();
    assert_eq!(timeout(WAIT, third.read(&mut [0; 1])).await.unwrap().unwrap_or_default(), 0, "turned away");
    // One of ours fills the table.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    net.send(Bytes::from_static(b"x"), &Target::new(Protocol::Tcp, listener.local_addr().unwrap())).unwrap();
    let elsewhere = Target::new(Protocol::Tcp, "127.0.0.1:9".parse().unwrap());
    assert!(matches!(net.send(Bytes::from_static(b"x"), &elsewhere), Err(Unsent::TooMany)));
    // Whoever leaves makes room.
    drop(kept);
    for _ in 0..2 {
        assert!(matches!(next(&mut events).await, Event::Failed { .. }));
    }
    let mut fourth = TcpStream::connect(ours).await.unwrap();
    fourth.write_all(options("TCP", 4).as_bytes()).await.unwrap();
    assert_eq!(cseq(&received(&mut events).await.0), 4);
    assert_eq!(net.counts().turned_away, 1);
}

#[tokio::test]
async fn a_connection_is_made_once_and_used_again() {
    let (net, mut events) = start(NetConfig::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(Protocol::Tcp, listener.local_addr().unwrap());
    net.send(options("TCP", 1).into(), &target).unwrap();
    net.send(options("TCP", 2).into(), &target).unwrap();
    let (mut trunk, _) = listener.accept().await.unwrap();
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains("CSeq: 2") {
        assert_ne!(timeout(WAIT, trunk.read_buf(&mut text)).await.unwrap().unwrap(), 0);
    }
    trunk.write_all(options("TCP", 3).as_bytes()).await.unwrap();
    let (message, source) = received(&mut events).await;
    assert_eq!((cseq(&message), source.remote), (3, target.address));
    assert_eq!(net.counts().connections, 1);
    drop(trunk);
    let Event::Failed { target: failed } = next(&mut events).await else { panic!() };
    assert_eq!(failed, target);
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_is_told() {
    let (net, mut events) = start(NetConfig::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(Protocol::Tcp, listener.local_addr().unwrap());
    drop(listener);
    net.send(options("TCP", 1).into(), &target).unwrap();
    assert_eq!(next(&mut events).await, Event::Failed { target });
}

#[tokio::test]
async fn whoever_does_not_read_loses_the_connection_and_nothing_grows() {
    let (net, mut events) = start(NetConfig::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(Protocol::Tcp, listener.local_addr().unwrap());
    let (mut stalled, mut sent, big) = (None, 0, Bytes::from(vec![b'x'; 60_000]));
    let error = loop {
        match net.send(big.clone(), &target) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 10_000, "nothing bounds it");
        if stalled.is_none() {
            stalled = Some(listener.accept().await.unwrap());
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(error, Unsent::Full));
    assert_eq!(next(&mut events).await, Event::Failed { target });
}

#[tokio::test]
async fn when_nobody_takes_the_events_streams_wait_and_datagrams_are_lost() {
    let limits = Limits { events: 1, ..Limits::default() };
    let (net, mut events) = start(NetConfig { limits, ..NetConfig::default() }).await;
    let mut trunk = TcpStream::connect(net.addresses(Protocol::Tcp)[0]).await.unwrap();
    let writing = tokio::spawn(async move {
        for number in 0..2_000 {
            trunk.write_all(options("TCP", number).as_bytes()).await.unwrap();
        }
        trunk
    });
    assert_eq!(cseq(&received(&mut events).await.0), 0);
    let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    while net.counts().overflowed == 0 {
        phone.send_to(options("UDP", 9_999).as_bytes(), net.addresses(Protocol::Udp)[0]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut expected = 1;
    while expected < 2_000 {
        let number = cseq(&received(&mut events).await.0);
        if number != 9_999 {
            assert_eq!(number, expected);
            expected += 1;
        }
    }
    drop(writing.await.unwrap());
}

#[tokio::test]
async fn encrypted_connections_are_made_and_taken() {
    let yard = Yard::new();
    let (net, mut events) = start(yard.config(|_| {})).await;
    let ours = net.addresses(Protocol::Tls)[0];
    // From a phone that trusts our root.
    let mut phone = yard.phone(ours, None).await.unwrap();
    phone.write_all(options("TLS", 1).as_bytes()).await.unwrap();
    let (message, source) = received(&mut events).await;
    assert_eq!((cseq(&message), source.protocol), (1, Protocol::Tls));
    let Message::Request(request) = message else { panic!() };
    net.send(request.respond(200).to_bytes(), &source.target()).unwrap();
    assert_eq!(read_status(&mut phone).await, Some(200));
    // To a trunk, whose certificate must be its own.
    let (other, mut theirs) = start(yard.config(|_| {})).await;
    let trunk = other.addresses(Protocol::Tls)[0];
    let named = Target { server_name: Some("voice.example".into()), ..Target::new(Protocol::Tls, trunk) };
    net.send(options("TLS", 2).into(), &named).unwrap();
    assert_eq!(cseq(&received(&mut theirs).await.0), 2);
    let wrong = Target { server_name: Some("other.example".into()), ..named };
    net.send(options("TLS", 3).into(), &wrong).unwrap();
    assert_eq!(next(&mut events).await, Event::Failed { target: wrong });
    // By its address, which the certificate names, too.
    let bare = Target::new(Protocol::Tls, trunk);
    net.send(options("TLS", 4).into(), &bare).unwrap();
    assert_eq!(cseq(&received(&mut theirs).await.0), 4);
}

#[tokio::test]
async fn whoever_must_show_a_certificate_and_does_not_is_turned_away() {
    let yard = Yard::new();
    let demanding = yard.config(|certificates| {
        certificates.client_roots = Some(yard.path("root.pem"));
        certificates.demands_client = true;
    });
    let (net, mut events) = start(demanding).await;
    let ours = net.addresses(Protocol::Tls)[0];
    let said = async |stream: std::io::Result<tokio_rustls::client::TlsStream<TcpStream>>| {
        let Ok(mut stream) = stream else { return false };
        _ = stream.write_all(options("TLS", 7).as_bytes()).await;
        matches!(timeout(WAIT, stream.read(&mut [0; 1])).await, Err(_) | Ok(Ok(1)))
    };
    assert!(!said(yard.phone(ours, None).await).await, "without a certificate");
    let stranger = Yard::new();
    assert!(!said(yard.phone(ours, Some(&stranger)).await).await, "with one of another root");
    assert!(events.try_recv().is_err());
    let mut trunk = yard.phone(ours, Some(&yard)).await.unwrap();
    let via = "SIP/2.0/TLS 127.0.0.1:5099;alias";
    trunk.write_all(options("TLS", 1).replace("SIP/2.0/TLS 192.0.2.1", via).as_bytes()).await.unwrap();
    let (_, source) = received(&mut events).await;
    let id = source.connection.unwrap();
    assert!(net.is_certified(id, "voice.example") && !net.is_certified(id, "other.example"));
    // What is for the port that it listens on goes over the connection that it made (RFC 5923).
    let alias: SocketAddr = "127.0.0.1:5099".parse().unwrap();
    let target = Target { server_name: Some("voice.example".into()), ..Target::new(Protocol::Tls, alias) };
    net.send(options("TLS", 8).into(), &target).unwrap();
    let mut buffer = [0; 2_000];
    let length = trunk.read(&mut buffer).await.unwrap();
    assert!(String::from_utf8_lossy(&buffer[..length]).contains("CSeq: 8"));
}

#[tokio::test]
async fn our_own_certificate_is_shown_to_those_who_ask() {
    let yard = Yard::new();
    let demanding = yard.config(|certificates| {
        certificates.client_roots = Some(yard.path("root.pem"));
        certificates.demands_client = true;
    });
    let (trunk, mut theirs) = start(demanding).await;
    let target = Target::new(Protocol::Tls, trunk.addresses(Protocol::Tls)[0]);
    let (with, _events) = start(yard.config(|certificates| certificates.client = Some(yard.identity()))).await;
    with.send(options("TLS", 1).into(), &target).unwrap();
    assert_eq!(cseq(&received(&mut theirs).await.0), 1);
    let (without, mut events) = start(yard.config(|_| {})).await;
    without.send(options("TLS", 2).into(), &target).unwrap();
    assert_eq!(next(&mut events).await, Event::Failed { target });
}

#[tokio::test]
async fn garbage_instead_of_a_handshake_ends_the_connection() {
    let yard = Yard::new();
    let (net, mut events) = start(yard.config(|_| {})).await;
    for garbage in [options("TCP", 1).into_bytes(), vec![0x16, 3, 1, 0xff, 0xff, 1, 2, 3], vec![0xff; 40_000]] {
        let mut stranger = TcpStream::connect(net.addresses(Protocol::Tls)[0]).await.unwrap();
        _ = stranger.write_all(&garbage).await;
        _ = stranger.shutdown().await;
        let mut rest = Vec::new();
        _ = timeout(WAIT, stranger.read_to_end(&mut rest)).await.expect("it is closed");
    }
    let mut phone = yard.phone(net.addresses(Protocol::Tls)[0], None).await.unwrap();
    phone.write_all(options("TLS", 5).as_bytes()).await.unwrap();
    assert_eq!(cseq(&received(&mut events).await.0), 5, "and costs nobody else anything");
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let yard = Yard::new();
    let tls = |certificates| NetConfig { tls: vec![here()], certificates, ..NetConfig::default() };
    assert!(matches!(Net::start(tls(Certificates::default())).await, Err(NetError::NoCertificate)));
    let identity =
        |certificate: &str, key: &str| Some(Identity { certificate: yard.path(certificate), key: yard.path(key) });
    for (certificate, key, named) in [
        ("missing.pem", "key.pem", "missing.pem"),
        ("chain.pem", "chain.pem", "chain.pem"),
        ("key.pem", "key.pem", "key.pem"),
    ] {
        let certificates = Certificates { server: identity(certificate, key), ..Certificates::default() };
        let error = Net::start(tls(certificates)).await.unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
    let (net, _events) = start(NetConfig::default()).await;
    let taken = NetConfig { tcp: net.addresses(Protocol::Tcp), ..NetConfig::default() };
    assert!(matches!(Net::start(taken).await, Err(NetError::Bind { protocol: Protocol::Tcp, .. })));
}

#[tokio::test]
async fn everything_is_closed_when_nobody_wants_it_any_more() {
    let (net, mut events) = start(NetConfig::default()).await;
    let [udp, tcp] = [Protocol::Udp, Protocol::Tcp].map(|protocol| net.addresses(protocol)[0]);
    let mut phone = TcpStream::connect(tcp).await.unwrap();
    phone.write_all(options("TCP", 1).as_bytes()).await.unwrap();
    received(&mut events).await;
    drop(net);
    assert_eq!(timeout(WAIT, phone.read(&mut [0; 1])).await.unwrap().unwrap_or_default(), 0);
    assert_eq!(timeout(WAIT, events.recv()).await.expect("it ends"), None);
    TcpListener::bind(tcp).await.unwrap();
    UdpSocket::bind(udp).await.unwrap();
}

/// More than anything here takes; only a test that fails waits for it.
const WAIT: Duration = Duration::from_secs(20);

fn here() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn start(config: NetConfig) -> (Net, Receiver<Event>) {
    Net::start(NetConfig { udp: vec![here()], tcp: vec![here()], ..config }).await.unwrap()
}

async fn next(events: &mut Receiver<Event>) -> Event {
    timeout(WAIT, events.recv()).await.expect("something happens").expect("the net is there")
}

async fn received(events: &mut Receiver<Event>) -> (Message, Source) {
    match next(events).await {
        Event::Received { message, source } => (message, source),
        Event::Failed { target } => panic!("{target:?}"),
    }
}

fn cseq(message: &Message) -> u32 {
    message.headers().cseq().unwrap().number
}

fn head(transport: &str, number: u32) -> String {
    format!(
        "OPTIONS sip:ring@voice.example SIP/2.0\r\nVia: SIP/2.0/{transport} 192.0.2.1;rport;branch=z9hG4bK{number}\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:ring@voice.example>\r\nCall-ID: {number}@a\r\nCSeq: {number} OPTIONS\r\n\
         Max-Forwards: 70\r\n"
    )
}

fn options(transport: &str, number: u32) -> String {
    format!("{}Content-Length: 0\r\n\r\n", head(transport, number))
}

/// The status of the next response that a phone hears.
async fn hear(phone: &UdpSocket) -> u16 {
    let mut buffer = [0; 2_000];
    let length = timeout(WAIT, phone.recv(&mut buffer)).await.expect("an answer comes").unwrap();
    match parse_datagram(&Bytes::copy_from_slice(&buffer[..length])) {
        Ok(Message::Response(response)) => response.status,
        other => panic!("{other:?}"),
    }
}

/// The status of the next response of a stream; `None` when it ends without.
async fn read_status(stream: &mut (impl AsyncRead + Unpin)) -> Option<u16> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0; 1];
        match timeout(WAIT, stream.read(&mut byte)).await.expect("an answer or the end comes") {
            Ok(1) => text.push(byte[0]),
            _ => return None,
        }
    }
    match parse_datagram(&text.into()) {
        Ok(Message::Response(response)) => Some(response.status),
        other => panic!("{other:?}"),
    }
}

/// A root, and a certificate for `voice.example` and loopback that it vouches for.
struct Yard(TempDir);

impl Yard {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root_key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(folder.path().join("root.pem"), root.self_signed(&root_key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(root, root_key);
        let key = KeyPair::generate().unwrap();
        let names = vec!["voice.example".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        std::fs::write(folder.path().join("chain.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn identity(&self) -> Identity {
        Identity { certificate: self.path("chain.pem"), key: self.path("key.pem") }
    }

    fn config(&self, change: impl FnOnce(&mut Certificates)) -> NetConfig {
        let mut certificates = Certificates {
            server: Some(self.identity()),
            roots: Some(self.path("root.pem")),
            ..Certificates::default()
        };
        change(&mut certificates);
        NetConfig { tls: vec![here()], certificates, ..NetConfig::default() }
    }

    /// A phone that trusts our root and shows the certificate of `whose` yard.
    async fn phone(
        &self,
        address: SocketAddr,
        whose: Option<&Self>,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("root.pem")).unwrap()).unwrap();
        let builder = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match whose {
            Some(yard) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_file(yard.path("chain.pem")).unwrap()],
                    PrivateKeyDer::from_pem_file(yard.path("key.pem")).unwrap(),
                )
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        connector.connect(ServerName::try_from("voice.example").unwrap(), TcpStream::connect(address).await?).await
    }
}
