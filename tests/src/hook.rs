//! A web application for tests: it answers every request with the same document, and tells what it was asked.
//!
//! One request a connection, which is all that a webhook needs; it speaks no more of HTTP than that.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

/// How long a request is waited for.
const WITHIN: Duration = Duration::from_secs(20);

/// The largest request.
const BYTES_MAX: usize = 1 << 20;

/// A running application. It ends with the test's runtime.
#[derive(Debug)]
pub struct Hook {
    address: SocketAddr,
    asked: mpsc::Receiver<Asked>,
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The path.
    pub path: String,
    /// The form.
    pub params: BTreeMap<String, String>,
    /// The proof of who asks.
    pub signature: String,
}

impl Asked {
    /// A parameter; empty where there is none.
    pub fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }
}

impl Hook {
    /// Starts one.
    ///
    /// # Panics
    /// When the machine refuses a port.
    pub async fn start(document: &'static str) -> Self {
        Self::with(document.to_owned()).await
    }

    /// Starts one with a document that was made for it.
    ///
    /// # Panics
    /// When the machine refuses a port.
    pub async fn with(document: String) -> Self {
        let document: Arc<str> = document.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (tell, asked) = mpsc::channel(256);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, document.clone(), tell.clone()));
            }
        });
        Self { address, asked }
    }

    /// The address of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next request.
    ///
    /// # Panics
    /// When none comes.
    pub async fn next(&mut self) -> Asked {
        timeout(WITHIN, self.asked.recv()).await.expect("the application is asked").expect("the application runs")
    }
}

async fn answer(mut stream: TcpStream, document: Arc<str>, tell: mpsc::Sender<Asked>) {
    let mut bytes = Vec::new();
    let asked = loop {
        if let Some(asked) = read(&bytes) {
            break asked;
        }
        match stream.read_buf(&mut bytes).await {
            Ok(1..) if bytes.len() < BYTES_MAX => {}
            _ => return,
        }
    };
    let length = document.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    // Told before it is answered, so that what is asked next is told next. Where nobody reads what was told, whoever asks
    // waits; the test may be over.
    let _ = tell.send(asked).await;
    // Whoever asked may have gone.
    let _ = stream.write_all((head + &document).as_bytes()).await;
}

/// A request, once all of it is there.
fn read(bytes: &[u8]) -> Option<Asked> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let header = |name: &str| {
        let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let length = header("content-length").map_or(0, |length| length.parse().unwrap_or(0));
    let body = bytes.get(end + 4..end + 4 + length)?;
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let params = url::form_urlencoded::parse(body).into_owned().collect();
    Some(Asked { path, params, signature: header("x-twilio-signature").unwrap_or_default() })
}
