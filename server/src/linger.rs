//! Refusals that arrive: what a client still sends is read for a while after it has been told no.
//!
//! A server that answers an upload early and closes the connection resets it, and the reset may overtake the
//! answer: the client sees a broken pipe instead of the reason. So the body of a refused request is lent, not
//! given, to its handler; the answer goes out at once, and its end waits until the rest of the request was read
//! and thrown away, or [`BYTES_MAX`] were, or nothing came for [`IDLE`], or [`LONGEST`] is over. Whoever asked before sending
//! (`Expect: 100-continue`) has sent nothing and is not waited for. Runs in the task of the connection.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::header,
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body::{Frame, SizeHint};

/// As much as is read of what nobody wants; a client that sends more sees its connection closed.
const BYTES_MAX: u64 = 256 << 20;

/// A client that sends nothing for so long has seen the answer or waits for it.
const IDLE: Duration = Duration::from_secs(1);

/// Nobody holds a connection for longer with what nobody wants.
const LONGEST: Duration = Duration::from_secs(30);

/// Lets answers of refusal arrive. A layer around everything that reads bodies.
pub(crate) async fn linger(request: Request, next: Next) -> Response {
    let asked_first = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    if asked_first || body.is_end_stream() {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let lender = Arc::new(Mutex::new(body));
    let lent = Body::new(Lent(Arc::clone(&lender)));
    let response = next.run(Request::from_parts(parts, lent)).await;
    let is_refusal = response.status().is_client_error() || response.status().is_server_error();
    // A handler that still reads has not refused the body.
    let rest = Arc::into_inner(lender).map(|body| body.into_inner().unwrap_or_else(PoisonError::into_inner));
    match rest {
        Some(rest) if is_refusal && !rest.is_end_stream() => {
            let mut response = response.map(|answer| before(answer, rest));
            // With a length the answer would be over, and the connection closed, before the rest is read.
            response.headers_mut().remove(header::CONTENT_LENGTH);
            response
        }
        _ => response,
    }
}

/// `answer`, which ends when `rest` has been read.
fn before(answer: Body, rest: Body) -> Body {
    let thrown_away = stream::once(tokio::time::timeout(LONGEST, throw_away(rest))).filter_map(|_| async { None });
    Body::from_stream(answer.into_data_stream().chain(thrown_away))
}

async fn throw_away(rest: Body) {
    let mut rest = rest.into_data_stream();
    let mut bytes = 0;
    while let Ok(Some(Ok(chunk))) = tokio::time::timeout(IDLE, rest.next()).await {
        bytes += chunk.len() as u64;
        if bytes > BYTES_MAX {
            return;
        }
    }
}

/// A body that comes back when its reader is done with it.
struct Lent(Arc<Mutex<Body>>);

impl Lent {
    fn with<T>(&self, read: impl FnOnce(&mut Body) -> T) -> T {
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|body| Pin::new(body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}
