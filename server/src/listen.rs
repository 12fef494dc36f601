//! The accept loop: connections in, requests to the router, an orderly end.
//!
//! Each connection has a place and a task. A connection past the limit is told so in one line of HTTP and
//! closed, so that a flood cannot take the places of those who are in. Headers must arrive within a deadline.
//! A WebSocket is a connection until it closes: its place and its part in the drain belong to the TCP stream.
//! [`serve`] returns when the shutdown has been asked for and the connections have ended, or the grace is over.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tower::Service as _;

use crate::admission::{Admission, Place};

/// Serves `router` on `listener` until `shutdown`, then lets what is open finish for at most `grace`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    admission: &Admission,
    shutdown: CancellationToken,
    grace: Duration,
) {
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match admission.connection() {
                Some(place) => {
                    let held = Held { stream, _place: place, _open: tasks.token() };
                    tasks.spawn(connection(held, peer, router.clone(), shutdown.clone()));
                }
                None => {
                    tasks.spawn(refuse(stream));
                }
            },
            // Out of file descriptors, or a connection that was gone before it was accepted: the next may work.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                let _ = tokio::time::timeout(ACCEPT_PAUSE, shutdown.cancelled()).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "connections were still open when the time to drain was over");
    }
}

async fn connection(held: Held, peer: SocketAddr, router: Router, shutdown: CancellationToken) {
    // Small messages must not wait for one another: words are small.
    let _ = held.stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        // A router is always ready and never fails.
        router.clone().call(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN).max_buf_size(HEADER_BYTES_MAX);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(HTTP2_STREAMS_MAX);
    let served = builder.serve_connection_with_upgrades(TokioIo::new(held), service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = shutdown.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended badly");
    }
}

/// A TCP stream with its place. Whoever holds the stream holds the place: the connection first, and after an
/// upgrade the WebSocket.
struct Held {
    stream: TcpStream,
    _place: Place,
    _open: TaskTrackerToken,
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Tells a connection for which there is no place so, without reading what it wants.
async fn refuse(mut stream: TcpStream) {
    let told = async {
        stream.write_all(REFUSAL).await?;
        stream.shutdown().await?;
        // Closing with unread bytes would reset the connection before the client has read the refusal.
        let mut unread = [0; 1_024];
        while stream.read(&mut unread).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    // A client that does not take the refusal is closed on.
    let _ = tokio::time::timeout(REFUSE_WITHIN, told).await;
}

const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 5\r\nconnection: close\r\n\
content-length: 112\r\n\r\n{\"error\":{\"code\":\"full\",\"message\":\"all connections are taken\",\"hint\":\"try again shortly, or reuse connections\"}}";

/// A client sends its headers at once; this is for the slowest network, not for those who trickle.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// Headers, a key and a long query fit many times over.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// Requests of one HTTP/2 connection at once; all of them count against the places of requests too.
const HTTP2_STREAMS_MAX: u32 = 64;

/// After an error that will likely come again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A refused client reads one line.
const REFUSE_WITHIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_announces_the_length_it_has() {
        let text = std::str::from_utf8(REFUSAL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{} bytes", body.len());
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(json["error"]["code"], "full");
    }
}
