//! Somebody who writes SIP by hand, from any address of this machine: what no telephone would send.
//!
//! Datagrams or a connection, one at a time. Requests are texts, so that they may be as wrong as they like; a template
//! makes right ones. Answers are read by our own parser. Every wait has a deadline.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use sip::message::{Frame, Framer, Message, Method, Request, Response, parse_datagram};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::{MissedTickBehavior, interval, timeout},
};

/// How long an answer is waited for. The server's own limits are below it.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long after a request that nothing answers it is sent again (T1 of RFC 3261).
const AGAIN_EVERY: Duration = Duration::from_millis(500);

/// Somebody with a socket for datagrams.
#[derive(Debug)]
pub struct Wire {
    socket: UdpSocket,
    server: SocketAddr,
}

/// A request that is right, and what may be made of it.
#[derive(Clone, Debug)]
pub struct Ask {
    /// INVITE, OPTIONS, …
    pub method: &'static str,
    /// The user that is asked for.
    pub user: String,
    /// The dialog's name.
    pub call_id: String,
    /// Our tag.
    pub tag: String,
    /// Theirs, once it is known.
    pub to_tag: String,
    /// In the dialog.
    pub cseq: u32,
    /// Of the transaction, without the magic cookie.
    pub branch: String,
    /// More headers, each with its line's end.
    pub headers: String,
    /// A session description, or another.
    pub body: String,
}

impl Ask {
    /// A fresh one.
    pub fn new(method: &'static str, user: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            method,
            user: user.to_owned(),
            call_id: format!("wire-{}-{number}", std::process::id()),
            tag: format!("t{number}"),
            to_tag: String::new(),
            cseq: 1,
            branch: format!("w{number}"),
            headers: String::new(),
            body: String::new(),
        }
    }

    /// A call that offers sound.
    pub fn call(user: &str) -> Self {
        Self {
            body: SDP.to_owned(),
            headers: "Content-Type: application/sdp\r\n".to_owned(),
            ..Self::new("INVITE", user)
        }
    }

    /// The next request of the same dialog.
    pub fn next(&self, method: &'static str) -> Self {
        let cseq = self.cseq + 1;
        let branch = format!("{}-{cseq}", self.branch);
        Self { method, cseq, branch, headers: String::new(), body: String::new(), ..self.clone() }
    }

    /// As it is written, from a socket of that protocol and address.
    pub fn text(&self, protocol: &str, from: SocketAddr) -> String {
        let Self { method, user, call_id, tag, to_tag, cseq, branch, headers, body } = self;
        let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
        format!(
            "{method} sip:{user}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{protocol} {from};branch=z9hG4bK{branch};rport\r\n\
             From: <sip:{user}@127.0.0.1>;tag={tag}\r\nTo: <sip:{user}@127.0.0.1>{to_tag}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:wire@{from}>\r\nMax-Forwards: 70\r\n{headers}Content-Length: {}\r\n\
             \r\n{body}",
            body.len()
        )
    }
}

/// What a telephone offers.
pub const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 9 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

impl Wire {
    /// Somebody at this address, such as `127.0.0.66:0`, whom `server` (`127.0.0.1:5060`) is to hear.
    ///
    /// # Panics
    /// When the address is taken.
    pub async fn at(address: &str, server: &str) -> Self {
        let socket = UdpSocket::bind(address).await.expect("an address of this machine");
        Self { socket, server: server.parse().expect("the server's address") }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound address")
    }

    /// Sends whatever this is.
    ///
    /// # Panics
    /// When the system refuses it.
    pub async fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.server).await.expect("the datagram goes out");
    }

    /// Sends a request.
    pub async fn put(&self, ask: &Ask) {
        self.send(ask.text("UDP", self.address()).as_bytes()).await;
    }

    /// The next message that comes in time.
    pub async fn next(&self, within: Duration) -> Option<Message> {
        let mut buffer = vec![0; 65_536];
        let (length, _) = timeout(within, self.socket.recv_from(&mut buffer)).await.ok()?.ok()?;
        parse_datagram(&Bytes::copy_from_slice(&buffer[..length])).ok()
    }

    /// The final answer to a request, which is acknowledged where that is owed; `None` where none comes in time.
    ///
    /// It is asked again as a telephone would, since a busy machine loses datagrams, until there is any answer at all.
    pub async fn ask_within(&self, ask: &Ask, within: Duration) -> Option<Response> {
        let answering = async {
            let mut again = interval(AGAIN_EVERY);
            again.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut is_heard = false;
            loop {
                let message = tokio::select! {
                    _ = again.tick(), if !is_heard => {
                        self.put(ask).await;
                        continue;
                    }
                    message = self.next(within) => message,
                };
                match message {
                    Some(Message::Response(response)) if is_for(&response, ask) => {
                        if response.status >= 200 {
                            return response;
                        }
                        is_heard = true;
                    }
                    Some(Message::Request(request)) => self.answer(&request).await,
                    _ => {}
                }
            }
        };
        let response = timeout(within, answering).await.ok()?;
        if ask.method == "INVITE" {
            self.acknowledge(ask, &response).await;
        }
        Some(response)
    }

    /// The final answer to a request.
    ///
    /// # Panics
    /// When there is none.
    pub async fn ask(&self, ask: &Ask) -> Response {
        let answer = self.ask_within(ask, PATIENCE).await;
        answer.unwrap_or_else(|| panic!("no answer to\n{}", ask.text("UDP", self.address())))
    }

    /// Calls, and the dialog that it makes.
    ///
    /// # Panics
    /// When the call is not taken.
    pub async fn dial(&self, user: &str) -> Ask {
        let mut call = Ask::call(user);
        let answer = self.ask(&call).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        call.to_tag = tag_of(&answer);
        call
    }

    /// Whether the server says what it can.
    ///
    /// # Panics
    /// When it does not.
    pub async fn sees_it_alive(&self) {
        assert_eq!(self.ask(&Ask::new("OPTIONS", "anybody")).await.status, 200);
    }

    /// The ACK of a final answer to an INVITE.
    pub async fn acknowledge(&self, invite: &Ask, response: &Response) {
        // That of a refusal is of the same transaction.
        let branch = if response.status < 300 { format!("{}-ack", invite.branch) } else { invite.branch.clone() };
        let to_tag = tag_of(response);
        let (headers, body) = (String::new(), String::new());
        self.put(&Ask { method: "ACK", branch, to_tag, headers, body, ..invite.clone() }).await;
    }

    /// Agrees to whatever is asked of us.
    async fn answer(&self, request: &Request) {
        if request.method != Method::Ack {
            self.send(&request.respond(200).to_bytes()).await;
        }
    }
}

/// The tag that an answer gave us.
pub fn tag_of(response: &Response) -> String {
    response.headers.to().ok().and_then(|to| to.tag().map(str::to_owned)).unwrap_or_default()
}

fn is_for(response: &Response, ask: &Ask) -> bool {
    let is_same =
        response.headers.cseq().is_ok_and(|cseq| cseq.number == ask.cseq && cseq.method.as_str() == ask.method);
    is_same && response.headers.call_id().is_ok_and(|id| id == ask.call_id)
}

/// Somebody with a connection.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
    framer: Framer,
}

/// What a connection brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message.
    Message(Box<Message>),
    /// The server closed it.
    Closed,
    /// Nothing in time.
    Nothing,
}

impl Line {
    /// Connects.
    ///
    /// # Panics
    /// When the server takes no connection.
    pub async fn to(server: &str) -> Self {
        Self { stream: TcpStream::connect(server).await.expect("the server is there"), framer: Framer::new() }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a bound address")
    }

    /// Sends whatever this is; the server may have closed already.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = timeout(PATIENCE, self.stream.write_all(bytes)).await;
    }

    /// What comes next.
    pub async fn next(&mut self, within: Duration) -> Heard {
        let reading = async {
            let mut buffer = [0; 4_096];
            loop {
                match self.framer.next(tokio::time::Instant::now().into_std()) {
                    Ok(Some(Frame::Message(message))) => return Heard::Message(Box::new(message)),
                    Ok(Some(_)) => continue,
                    Ok(None) => {}
                    Err(_) => return Heard::Closed,
                }
                match self.stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return Heard::Closed,
                    Ok(length) => self.framer.push(&buffer[..length]),
                }
            }
        };
        timeout(within, reading).await.unwrap_or(Heard::Nothing)
    }

    /// Statuses of all answers until one to OPTIONS comes, which was sent behind everything else, or the end.
    pub async fn statuses(&mut self, within: Duration) -> (Vec<Response>, Heard) {
        let mut seen = Vec::new();
        loop {
            match self.next(within).await {
                Heard::Message(message) => match *message {
                    Message::Response(response) if response.headers.call_id().is_ok_and(|id| id == LAST) => {
                        return (seen, Heard::Message(Box::new(response.into())));
                    }
                    Message::Response(response) => seen.push(response),
                    Message::Request(_) => {}
                },
                end => return (seen, end),
            }
        }
    }

    /// An OPTIONS whose answer [`Self::statuses`] knows for the last.
    pub fn last(&self) -> String {
        Ask { call_id: LAST.to_owned(), ..Ask::new("OPTIONS", "anybody") }.text("TCP", self.address())
    }
}

const LAST: &str = "the-last-of-all";
