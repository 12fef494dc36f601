//! A web server on loopback that misbehaves in every way that a tool can meet.

use std::{net::SocketAddr, sync::Mutex as StdMutex};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;

/// Enough for a loopback, and short enough for a test that waits for it.
const SHORT: Duration = Duration::from_millis(300);

/// Enough for anything that does answer.
const LONG: Duration = Duration::from_secs(20);

/// A server that is gone when it is dropped.
struct Server {
    address: SocketAddr,
    /// Each request as it came.
    seen: Arc<StdMutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<StdMutex<Vec<String>>> = Arc::default();
        let noted = seen.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, address, noted.clone()));
            }
        });
        Self { address, seen, task }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// What a tool at `path` comes to.
    async fn ask(&self, clients: &Clients, path: &str, patience: Duration) -> Outcome {
        let tool = tool(&format!("url = \"http://{}{path}\"", self.address));
        clients.ask(&tool, &HeaderMap::new(), &Map::new(), patience).await
    }
}

/// Answers one request and closes.
async fn serve(mut stream: TcpStream, address: SocketAddr, noted: Arc<StdMutex<Vec<String>>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        let Ok(read) = stream.read(&mut buffer).await else { return };
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if read == 0 {
                return;
            }
            continue;
        };
        let length =
            head.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let path = text.split(' ').nth(1).unwrap().to_owned();
    noted.lock().unwrap().push(text);
    let port = address.port();
    let full = |status: &str, kind: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let to = |status: u16, location: &str| {
        format!("HTTP/1.1 {status} Sent On\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .into_bytes()
    };
    let answer = match path.split('?').next().unwrap() {
        "/json" => full("200 OK", "application/json", br#"{"now": {"sky": "clear"}}"#),
        "/html" => full("200 OK", "text/html", b"<!doctype html><p>Please log in"),
        "/broken" => full("200 OK", "application/json", b"{\"now\": "),
        "/utf8" => full("200 OK", "text/plain", b"gr\xc3\xbc\xc3\x9f\xff"),
        "/error" => full("500 Oops", "text/html", b"<h1>Oops</h1>"),
        "/limit" => full("429 Slow Down", "text/plain", b"try later"),
        "/large" => full("200 OK", "application/json", &vec![b'1'; 5 << 20]),
        "/loop" => to(302, "/loop"),
        "/metadata" => to(302, "http://169.254.169.254/latest/meta-data/"),
        "/private" => to(307, "http://10.0.0.1/"),
        "/mapped" => to(302, &format!("http://[::ffff:127.0.0.1]:{port}/json")),
        "/name" => to(302, &format!("http://localhost:{port}/json")),
        "/port" => to(302, "http://127.0.0.1:1/json"),
        "/file" => to(302, "file:///etc/passwd"),
        "/none" => to(302, "http://"),
        "/found" => to(302, "/json"),
        "/kept" => to(307, "/json"),
        "/elsewhere" => to(308, &format!("http://localhost:{port}/json")),
        "/short" => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this".to_vec(),
        "/ssh" => b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        "/slow" => {
            timeout(SHORT, std::future::pending::<()>()).await.unwrap_err();
            full("200 OK", "text/plain", b"at last")
        }
        "/hang" => std::future::pending().await,
        path @ ("/drip" | "/endless") => {
            let (every, piece) = if path == "/drip" { (SHORT / 10, 1) } else { (Duration::from_millis(1), 8_192) };
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";
            let mut ticks = tokio::time::interval(every);
            let chunk = format!("{piece:x}\r\n{}\r\n", "x".repeat(piece));
            let mut is_open = stream.write_all(head.as_bytes()).await.is_ok();
            while is_open {
                ticks.tick().await;
                is_open = stream.write_all(chunk.as_bytes()).await.is_ok();
            }
            return;
        }
        other => panic!("nobody asks for {other}"),
    };
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

fn tool(toml: &str) -> HttpTool {
    toml::from_str(&format!("description = \"d\"\n{toml}")).unwrap()
}

/// Those that may call just this server.
fn allowing(server: &Server) -> Clients {
    Clients::new(Guard { allow: vec![server.address.to_string().parse().unwrap()], is_open: false })
}

fn failed(outcome: &Outcome, expected: &str) {
    assert!(outcome.is_error && outcome.content.contains(expected), "{outcome:?}: {expected}");
}

#[tokio::test]
async fn a_tool_is_asked_with_its_arguments_and_its_secrets() {
    let server = Server::start().await;
    let clients = allowing(&server);
    let tool = tool(&format!(
        "url = \"http://{}/json?day={{day}}\"\nmethod = \"POST\"\npick = \"/now/sky\"\n\
         parameters = {{ day = {{}}, city = {{}} }}",
        server.address
    ));
    let mut headers = HeaderMap::new();
    headers.insert("x-key", HeaderValue::from_static("hush"));
    let arguments = json!({"day": "1. Mai", "city": "Köln"});
    let outcome = clients.ask(&tool, &headers, arguments.as_object().unwrap(), LONG).await;
    assert_eq!(outcome, Outcome::done("clear"));
    let [request] = &server.seen()[..] else { panic!("one request") };
    assert!(request.starts_with("POST /json?day=1.%20Mai HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("x-key: hush\r\n") && request.ends_with(r#"{"city":"Köln"}"#), "{request}");
}

#[tokio::test]
async fn nothing_of_this_machine_is_called_unless_it_is_allowed() {
    let server = Server::start().await;
    let closed = Clients::new(Guard::default());
    for host in ["127.0.0.1", "localhost", "0x7f000001", "[::ffff:127.0.0.1]", "[::1]"] {
        let tool = tool(&format!("url = \"http://{host}:{}/json\"", server.address.port()));
        let outcome = closed.ask(&tool, &HeaderMap::new(), &Map::new(), LONG).await;
        failed(&outcome, "may not be called");
    }
    assert_eq!(server.seen().len(), 0);
    assert_eq!(server.ask(&allowing(&server), "/json", LONG).await, Outcome::done(r#"{"now":{"sky":"clear"}}"#));
}

#[tokio::test]
async fn each_hop_of_a_redirect_is_judged_for_itself() {
    let server = Server::start().await;
    let clients = allowing(&server);
    for path in ["/metadata", "/private", "/mapped", "/name", "/port"] {
        failed(&server.ask(&clients, path, LONG).await, "may not be called");
    }
    for path in ["/file", "/none"] {
        failed(&server.ask(&clients, path, LONG).await, "no address");
    }
    failed(&server.ask(&clients, "/loop", LONG).await, "too often");
    let loops = server.seen().iter().filter(|request| request.starts_with("GET /loop ")).count();
    assert_eq!(loops, REDIRECTS_MAX + 1);
    assert!(!server.seen().iter().any(|request| request.contains(" /json ")));
}

#[tokio::test]
async fn what_was_sent_is_sent_on_only_where_http_says_so_and_secrets_stay_at_home() {
    let server = Server::start().await;
    let other = Server::start().await;
    let allow = [&server, &other].map(|server| server.address.to_string().parse().unwrap()).to_vec();
    let clients = Clients::new(Guard { allow, is_open: false });
    let mut headers = HeaderMap::new();
    headers.insert("x-key", HeaderValue::from_static("hush"));
    for (path, sent) in [("/found", "GET /json"), ("/kept", "POST /json")] {
        let tool = tool(&format!("url = \"http://{}{path}\"\nmethod = \"POST\"", server.address));
        assert!(!clients.ask(&tool, &headers, &Map::new(), LONG).await.is_error);
        let last = server.seen().pop().unwrap();
        assert!(last.starts_with(sent) && last.contains("x-key: hush"), "{last}");
    }
    // What was sent is for nobody else, also where the other one may be called.
    let allow = vec![server.address.to_string().parse().unwrap(), "localhost".parse().unwrap()];
    let both = Clients::new(Guard { allow, is_open: false });
    let sent_on = tool(&format!("url = \"http://{}/elsewhere\"\nmethod = \"POST\"", server.address));
    failed(&both.ask(&sent_on, &headers, &Map::new(), LONG).await, "to another one");
    assert!(server.seen().pop().unwrap().starts_with("POST /elsewhere"));
    // The other server is another origin.
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = elsewhere.local_addr().unwrap();
    let target = other.address;
    let redirecting = tokio::spawn(async move {
        let (mut stream, _) = elsewhere.accept().await.unwrap();
        let mut buffer = [0; 4_096];
        let read = stream.read(&mut buffer).await.unwrap();
        let answer = format!("HTTP/1.1 307 To\r\nlocation: http://{target}/json\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    });
    let allow = vec![address.to_string().parse().unwrap(), target.to_string().parse().unwrap()];
    let clients = Clients::new(Guard { allow, is_open: false });
    let tool = tool(&format!("url = \"http://{address}/\""));
    assert!(!clients.ask(&tool, &headers, &Map::new(), LONG).await.is_error);
    assert!(redirecting.await.unwrap().contains("x-key: hush"));
    assert!(!other.seen().pop().unwrap().contains("hush"));
}

#[tokio::test]
async fn a_slow_tool_is_waited_for_and_no_longer_than_that() {
    let server = Server::start().await;
    let clients = allowing(&server);
    assert_eq!(server.ask(&clients, "/slow", LONG).await, Outcome::done("at last"));
    for path in ["/slow", "/hang", "/drip"] {
        failed(&server.ask(&clients, path, SHORT / 2).await, "did not answer within 150 ms");
    }
}

#[tokio::test]
async fn an_answer_has_a_size_and_it_is_kept_while_it_is_read() {
    let server = Server::start().await;
    let clients = allowing(&server);
    for path in ["/large", "/endless"] {
        failed(&server.ask(&clients, path, LONG).await, "more than 262144 bytes");
    }
}

#[tokio::test]
async fn what_is_no_data_is_said_to_be_none() {
    let server = Server::start().await;
    let clients = allowing(&server);
    for (path, expected) in [
        ("/html", "a web page instead of data"),
        ("/broken", "broken JSON"),
        ("/error", "The server answered 500"),
        ("/limit", "The server answered 429: try later"),
        ("/short", "could not be reached"),
        ("/ssh", "could not be reached"),
    ] {
        let outcome = server.ask(&clients, path, LONG).await;
        failed(&outcome, expected);
        // Neither the address nor what stands in it is for the model.
        assert!(!outcome.content.contains("127.0.0.1"), "{outcome:?}");
    }
    assert_eq!(server.ask(&clients, "/utf8", LONG).await, Outcome::done("grüß\u{fffd}"));
    let gone = server.address;
    drop(server);
    let tool = tool(&format!("url = \"http://{gone}/json\""));
    let clients = Clients::new(Guard { allow: vec![gone.to_string().parse().unwrap()], is_open: false });
    // Its listener goes with its task, which ends soon after.
    tokio::task::yield_now().await;
    let outcome = clients.ask(&tool, &HeaderMap::new(), &Map::new(), LONG).await;
    assert!(outcome.is_error, "{outcome:?}");
}
