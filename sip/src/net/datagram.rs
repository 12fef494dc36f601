//! Datagrams: one task for each socket receives, everybody sends.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use rustix::net::sockopt;
use tokio::{net::UdpSocket, sync::mpsc::error::TrySendError};

use super::{Event, Judged, Shared, Unsent, now, pause};
use crate::{
    message::{Why, parse_datagram},
    transport::{Protocol, Source},
};

/// The most that a datagram of IPv4 carries.
const LONGEST_BYTES: usize = 65_507;

/// What the system is asked to hold while we are busy: a second of 100 calls. It gives what it may.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

pub(super) async fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address).await?;
    _ = sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES);
    _ = sockopt::set_socket_send_buffer_size(&socket, RECEIVE_BUFFER_BYTES);
    Ok(socket)
}

/// Receives until the net is gone.
pub(super) async fn receive(shared: Arc<Shared>, socket: Arc<UdpSocket>, local: SocketAddr) {
    let mut buffer = vec![0; 65_536];
    loop {
        let received = tokio::select! {
            () = shared.stop.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        match received {
            Ok((length, remote)) => {
                let source = Source { protocol: Protocol::Udp, remote, local, connection: None };
                hear(&shared, &socket, &buffer[..length], source);
            }
            // Somebody's host says that nobody listens there; it is for one of many, and timers find out.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(error) => {
                tracing::debug!(%error, "a datagram could not be received");
                pause().await;
            }
        }
    }
}

/// Sends without waiting. Where the system has no room it is lost, as on the way.
pub(super) fn send(shared: &Shared, socket: &UdpSocket, bytes: &[u8], to: SocketAddr) -> Result<(), Unsent> {
    if bytes.len() > LONGEST_BYTES {
        return Err(Unsent::TooLong);
    }
    match socket.try_send_to(bytes, to) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            shared.counters.unsent.fetch_add(1, Relaxed);
            Ok(())
        }
        Err(error) => Err(Unsent::Refused(error)),
    }
}

fn hear(shared: &Shared, socket: &UdpSocket, bytes: &[u8], source: Source) {
    let address = source.remote.ip().to_canonical();
    let passes = || shared.gate.lock().unwrap_or_else(PoisonError::into_inner).pass(address, now());
    if !(shared.trusted.0)(address) && !passes() {
        shared.counters.limited.fetch_add(1, Relaxed);
        return;
    }
    let read = parse_datagram(&Bytes::copy_from_slice(bytes));
    if read.as_ref().is_err_and(|malformed| malformed.why == Why::Empty) {
        return;
    }
    match shared.judged(read, &source) {
        Judged::Accepted(message) => match shared.events.try_send(Event::Received { message, source }) {
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => _ = shared.counters.overflowed.fetch_add(1, Relaxed),
        },
        // Whoever does not hear the answer asks again.
        Judged::Answered(bytes, target) => _ = send(shared, socket, &bytes, target.address),
        Judged::Dropped => {}
    }
}
