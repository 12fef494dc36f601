//! The client of a socket, for whoever tells it things: once it cannot be reached, nothing is told to it any more.

use axum::extract::ws::Message;
use serde::Serialize;

use crate::{dialect::wire::Writer, socket};

/// The writing half of a socket.
pub(in crate::dialect) struct Client {
    writer: Writer,
    is_gone: bool,
}

impl Client {
    pub(in crate::dialect) fn new(writer: Writer) -> Self {
        Self { writer, is_gone: false }
    }

    /// Whether it cannot be reached any more.
    pub(in crate::dialect) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Tells it something in JSON.
    pub(in crate::dialect) async fn tell(&mut self, told: &impl Serialize) {
        let text = serde_json::to_string(told).expect("plain fields always serialise");
        self.send(Message::Text(text.into())).await;
    }

    /// Sends it sound.
    pub(in crate::dialect) async fn sound(&mut self, bytes: Vec<u8>) {
        self.send(Message::Binary(bytes.into())).await;
    }

    /// The half, to be closed.
    pub(in crate::dialect) fn into_writer(self) -> Writer {
        self.writer
    }

    async fn send(&mut self, message: Message) {
        self.is_gone = self.is_gone || socket::send(&mut self.writer, message).await.is_err();
    }
}
