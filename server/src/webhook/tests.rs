//! A web application on loopback that misbehaves in every way that a request can meet.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::Request as Received,
    response::{IntoResponse as _, Response},
};
use futures_util::{SinkExt as _, StreamExt as _};

use super::*;

/// Enough for a loopback, and short enough for a test that waits for it.
const SHORT: Duration = Duration::from_millis(300);

/// What one request looked like to the application.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// An application that is gone when it is dropped.
struct Application {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Application {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Application {
    async fn start() -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let noted = seen.clone();
        let router = Router::new().fallback(move |request: Received| answer(noted, request));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, seen, task }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(noted: Arc<Mutex<Vec<Seen>>>, request: Received) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    noted.lock().unwrap().push(Seen {
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let to = |status: u16, location: &str| {
        Response::builder().status(status).header("location", location).body(Body::empty()).unwrap()
    };
    let path = parts.uri.path();
    match path {
        "/voice" => ([("content-type", "text/XML; charset=utf-8")], "<Response/>").into_response(),
        "/cookie" => ([("set-cookie", "session=abc; Path=/")], "").into_response(),
        "/never" => std::future::pending().await,
        "/drip" => {
            let drops = futures_util::stream::unfold(tokio::time::interval(SHORT / 10), |mut ticks| async {
                ticks.tick().await;
                Some((Ok::<_, std::convert::Infallible>("x"), ticks))
            });
            Body::from_stream(drops).into_response()
        }
        "/endless" => {
            let chunk = || Ok::<_, std::convert::Infallible>(vec![b'x'; 16 * 1_024]);
            Body::from_stream(futures_util::stream::repeat_with(chunk)).into_response()
        }
        "/large" => vec![b'x'; 5 << 20].into_response(),
        "/exact" => vec![b'x'; DOCUMENT_BYTES_MAX].into_response(),
        "/error" => to(500, "/voice"),
        "/loop" => to(302, "/loop"),
        "/metadata" => to(302, "http://169.254.169.254/latest/meta-data/"),
        "/file" => to(302, "file:///etc/passwd"),
        "/nowhere" => Response::builder().status(302).body(Body::empty()).unwrap(),
        _ => match path.strip_prefix("/to/") {
            Some(status) => to(status.parse().unwrap(), "../voice?sent=on"),
            None => to(404, ""),
        },
    }
}

fn webhooks(configuration: &str) -> Webhooks {
    let config = Config::parse(Path::new("test.toml"), configuration, []).unwrap();
    Webhooks::new(&config, Clock)
}

fn allowing() -> Webhooks {
    webhooks("[webhooks]\nallow = [\"127.0.0.1:*\"]")
}

fn post(url: String) -> Request {
    let params = [("CallSid", "CA1"), ("From", "+49 30 1"), ("Grüße", "ä&=")];
    let params = params.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Request { timeout: 10 * SHORT, ..Request::new(Method::Post, url, params) }
}

#[tokio::test]
async fn a_form_is_posted_and_a_query_asked_and_both_are_signed_for_what_the_application_sees() {
    let application = Application::start().await;
    let webhooks = allowing();
    let token = AuthToken::new("hush");
    let url = application.url("/voice?x=1");
    let request = Request { token: Some(token.clone()), ..post(url.clone()) };
    let answer = webhooks.send(&request).await.unwrap();
    assert_eq!((answer.status, answer.content_type.as_deref()), (200, Some("text/xml")));
    assert_eq!((&answer.body[..], &answer.url), (&b"<Response/>"[..], &url));
    let asked = webhooks.send(&Request { method: Method::Get, ..request.clone() }).await.unwrap();

    let [posted, got] = &application.seen()[..] else { panic!("two requests") };
    assert_eq!((posted.method.as_str(), posted.uri.as_str()), ("POST", "/voice?x=1"));
    assert_eq!(posted.body, "CallSid=CA1&From=%2B49+30+1&Gr%C3%BC%C3%9Fe=%C3%A4%26%3D");
    assert_eq!(posted.header("content-type"), Some("application/x-www-form-urlencoded; charset=UTF-8"));
    let signature = posted.header("x-twilio-signature").unwrap();
    assert!(signature::is_genuine(&token, &url, &request.params, signature));
    assert_eq!((got.method.as_str(), got.body.as_str()), ("GET", ""));
    assert!(got.uri.starts_with("/voice?x=1&CallSid=CA1&From="), "{}", got.uri);
    assert_eq!(asked.url, application.url(&got.uri));
    assert!(signature::is_genuine(&token, &asked.url, &[], got.header("x-twilio-signature").unwrap()));

    // What was said for an hour fits into a form and into no query.
    let hour = vec![("TranscriptionText".to_owned(), "word ".repeat(20_000))];
    let long = Request { params: hour, ..request };
    assert!(webhooks.send(&long).await.is_ok());
    let error = webhooks.send(&Request { method: Method::Get, ..long }).await.unwrap_err();
    assert!(matches!(error, WebhookError::Url(_)), "{error}");
}

#[tokio::test]
async fn nothing_of_this_machine_is_called_unless_it_is_allowed_or_trusted_for_its_own_origin() {
    let application = Application::start().await;
    let closed = webhooks("");
    let url = application.url("/voice");
    let refused = closed.send(&post(url.clone())).await.unwrap_err();
    assert!(matches!(refused, WebhookError::Refused { scope: address::Scope::Loopback, .. }), "{refused}");
    assert_eq!((refused.fault(), refused.twilio_code()), (Fault::Document, 11_200));
    for spelling in ["localhost", "0x7f000001", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let refused = closed.send(&post(format!("http://{spelling}:{}/voice", application.address.port()))).await;
        assert!(matches!(refused, Err(WebhookError::Refused { .. })), "{spelling}: {refused:?}");
    }
    assert_eq!(application.seen(), []);
    let trusting = Request { trusts: Some(Origin::of(&url).unwrap()), ..post(url) };
    assert!(closed.send(&trusting).await.is_ok());
    // Another port of the same machine is another origin.
    let other = Application::start().await;
    let elsewhere = Request { url: other.url("/voice"), ..trusting };
    assert!(matches!(closed.send(&elsewhere).await, Err(WebhookError::Refused { .. })));
    assert!(webhooks("[http]\ncall_private = true").send(&elsewhere).await.is_ok());
}

#[tokio::test]
async fn each_hop_of_a_redirect_is_judged_for_itself() {
    let application = Application::start().await;
    let webhooks = allowing();
    for (path, code) in [("/metadata", 11_200), ("/file", 11_100), ("/nowhere", 11_200), ("/error", 11_200)] {
        let error = webhooks.send(&post(application.url(path))).await.unwrap_err();
        assert_eq!(error.twilio_code(), code, "{path}: {error}");
    }
    let error = webhooks.send(&post(application.url("/metadata"))).await.unwrap_err();
    assert!(matches!(error, WebhookError::Refused { scope: address::Scope::Metadata, .. }), "{error}");
    let error = webhooks.send(&post(application.url("/loop"))).await.unwrap_err();
    assert!(matches!(error, WebhookError::Redirects { .. }), "{error}");
    let loops = application.seen().iter().filter(|seen| seen.uri == "/loop").count();
    assert_eq!(loops, REDIRECTS_MAX + 1);
}

#[tokio::test]
async fn a_form_is_sent_on_only_where_http_says_so() {
    let application = Application::start().await;
    let webhooks = allowing();
    for (status, method) in [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")] {
        let answer = webhooks.send(&post(application.url(&format!("/to/{status}")))).await.unwrap();
        assert_eq!(answer.url, application.url("/voice?sent=on"));
        let last = application.seen().pop().unwrap();
        assert_eq!((last.method.as_str(), last.body.is_empty()), (method, method == "GET"), "{status}");
    }
}

#[tokio::test]
async fn an_answer_has_a_time_and_it_ends_with_it() {
    let application = Application::start().await;
    let webhooks = allowing();
    for path in ["/never", "/drip"] {
        let request = Request { timeout: SHORT, ..post(application.url(path)) };
        let error = webhooks.send(&request).await.unwrap_err();
        assert_eq!(error, WebhookError::Timeout { host: "127.0.0.1".to_owned(), after: SHORT }, "{path}");
        assert_eq!(error.fault(), Fault::Remote);
    }
}

#[tokio::test]
async fn an_answer_has_a_size_and_it_is_kept_while_it_is_read() {
    let application = Application::start().await;
    let webhooks = allowing();
    assert_eq!(webhooks.send(&post(application.url("/exact"))).await.unwrap().body.len(), DOCUMENT_BYTES_MAX);
    for path in ["/large", "/endless"] {
        let error = webhooks.send(&post(application.url(path))).await.unwrap_err();
        assert!(matches!(error, WebhookError::TooLarge { bytes_max: DOCUMENT_BYTES_MAX, .. }), "{path}: {error}");
        assert_eq!(error.twilio_code(), 11_750);
    }
    let larger = Request { bytes_max: 6 << 20, ..post(application.url("/large")) };
    assert_eq!(webhooks.send(&larger).await.unwrap().body.len(), 5 << 20);
}

#[tokio::test]
async fn the_cookies_of_a_call_come_back_and_those_of_another_do_not() {
    let application = Application::start().await;
    let webhooks = allowing();
    let cookies = Cookies::default();
    let with = |path, cookies: &Cookies| Request { cookies: Some(cookies.clone()), ..post(application.url(path)) };
    webhooks.send(&with("/cookie", &cookies)).await.unwrap();
    webhooks.send(&with("/voice", &cookies)).await.unwrap();
    webhooks.send(&with("/voice", &Cookies::default())).await.unwrap();
    let sent: Vec<_> = application.seen().iter().map(|seen| seen.header("cookie").map(str::to_owned)).collect();
    assert_eq!(sent, [None, Some("session=abc".to_owned()), None]);
}

#[tokio::test]
async fn a_server_that_is_none_is_told_from_one_that_is_away() {
    let webhooks = allowing();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let talker = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
        stream
    });
    let error = webhooks.send(&post(format!("http://{address}/voice"))).await.unwrap_err();
    assert!(matches!(error, WebhookError::Protocol { .. }), "{error}");
    // Its listener went with the task, and so did the port.
    drop(talker.await.unwrap());
    let error = webhooks.send(&post(format!("http://{address}/voice"))).await.unwrap_err();
    assert!(matches!(error, WebhookError::Connect { .. }), "{error}");
    let error = webhooks.send(&post("http://no-such-name.invalid/".to_owned())).await.unwrap_err();
    assert!(matches!(error, WebhookError::Name { .. }), "{error}");
    assert_eq!(error.twilio_code(), 11_210);
}

#[tokio::test]
async fn a_socket_is_dialled_behind_the_same_guard_and_signed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/media", listener.local_addr().unwrap());
    let token = AuthToken::new("hush");
    let request = SocketRequest { url: url.clone(), trusts: None, token: Some(token.clone()), timeout: 10 * SHORT };
    let refused = webhooks("").dial_socket(&request).await.err().unwrap();
    assert!(matches!(refused, WebhookError::Refused { .. }), "{refused}");
    let bot = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut signature = None;
        #[expect(clippy::result_large_err, reason = "the library's own shape")]
        let note = |request: &tungstenite::handshake::server::Request, response| {
            signature = request.headers().get("x-twilio-signature").map(|value| value.to_str().unwrap().to_owned());
            Ok(response)
        };
        let mut socket = tokio_tungstenite::accept_hdr_async(stream, note).await.unwrap();
        let heard = socket.next().await.unwrap().unwrap();
        socket.send(heard).await.unwrap();
        signature.unwrap()
    });
    let mut socket = allowing().dial_socket(&request).await.unwrap();
    socket.send("hello".into()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), "hello".into());
    assert!(signature::is_genuine(&token, &url, &[], &bot.await.unwrap()));
}

#[tokio::test]
async fn a_server_that_is_no_bot_and_one_that_never_answers_are_told_apart() {
    let application = Application::start().await;
    let webhooks = allowing();
    let dial = |path: &str| {
        let url = application.url(path).replace("http://", "ws://");
        SocketRequest { url, trusts: None, token: None, timeout: SHORT }
    };
    let error = webhooks.dial_socket(&dial("/voice")).await.err().unwrap();
    assert!(matches!(error, WebhookError::Status { status: 200, .. }), "{error}");
    let error = webhooks.dial_socket(&dial("/never")).await.err().unwrap();
    assert!(matches!(error, WebhookError::Timeout { .. }), "{error}");
    let error =
        webhooks.dial_socket(&SocketRequest { url: application.url("/voice"), ..dial("") }).await.err().unwrap();
    assert!(matches!(error, WebhookError::Url(_)), "{error}");
}
