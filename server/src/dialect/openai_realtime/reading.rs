//! The half of a session that reads what its client says: sound for the microphone, and orders for the other half.
//!
//! Sound in messages waits in a queue of 32 of them for the microphone, which takes it at the pace at which it is heard;
//! behind it, and behind the queue of orders, the client waits. Where sound comes over a track there are orders alone.
//! Runs on the connection's task; decides nothing. Never real time.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::ws::close_code;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    command::{Command, Said},
    session::Refused,
    sideband::Joined,
};
use crate::{
    dialect::wire::{Ended, Incoming, Reader},
    microphone::Microphone,
};

/// Messages that cannot be read, in all, before the client is taken for no client of this dialect.
const GARBAGE_MAX: u32 = 50;

/// Messages of sound that wait to be heard, so that words are not behind them; then the client does.
const SOUNDS_MAX: usize = 32;

/// Why a session ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// The client closed, vanished, or reads nothing.
    Gone,
    /// The agent has done with talking.
    Over,
    /// The server goes down.
    Draining,
    /// Nothing came for too long.
    Idle,
    /// There is no place; the client was told.
    Refused,
    /// Too many messages that cannot be read.
    Garbage,
    /// Bytes that are no WebSocket, or more of them than are taken.
    Unreadable(u16, &'static str),
}

impl End {
    /// How that is said to the client.
    pub(super) fn goodbye(self) -> (u16, &'static str) {
        match self {
            Self::Gone | Self::Over => (close_code::NORMAL, ""),
            Self::Draining => (close_code::AWAY, "the server is shutting down"),
            Self::Idle => (close_code::NORMAL, "no message arrived in time"),
            Self::Refused => (close_code::AGAIN, "the session cannot begin"),
            Self::Garbage => (close_code::POLICY, "too many messages that cannot be read"),
            Self::Unreadable(code, reason) => (code, reason),
        }
    }
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Gone => Self::Gone,
            Ended::Idle => Self::Idle,
            Ended::Unreadable(code, reason) => Self::Unreadable(code, reason),
        }
    }
}

/// What the client sent.
pub(super) enum Heard {
    Said(Said),
    /// Nothing that can be read: how the client calls it, and why.
    Wrong(Option<String>, Refused),
    Ended(End),
}

/// What the reading half hands over.
pub(super) enum Order {
    Said(Said),
    Wrong(Option<String>, Refused),
    /// An update, and how much sound was sent before it.
    Update(Said, Sent),
    /// What was said is an item, and this mark is behind it.
    Commit {
        event_id: Option<String>,
        sent: Sent,
        mark: u64,
    },
    /// What was sent so far counts for nothing.
    Clear(Sent),
    /// Somebody else wants to read along.
    Join(oneshot::Sender<Joined>),
}

/// How much sound a client sent since it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// In messages.
    Bytes(u64),
    /// Over a track, where it never stops: as long as the session is.
    Track,
}

/// What the microphone is to hear.
enum Sound {
    /// Bytes, and how often all before them was to be forgotten.
    Bytes(u64, Bytes),
    Mark,
}

/// What a message says, of so many that could not be read.
pub(super) fn hear(incoming: Incoming, garbage: &mut u32) -> Heard {
    let read = match incoming {
        Incoming::Text(text) => Said::read(&text),
        Incoming::Binary(_) => {
            let why = "events are JSON in text messages; sound is base64 in input_audio_buffer.append".to_owned();
            Err((None, Refused { code: "invalid_message", param: String::new(), why }))
        }
        Incoming::Ended(ended) => return Heard::Ended(ended.into()),
    };
    match read {
        Ok(said) => Heard::Said(said),
        Err(_) if *garbage >= GARBAGE_MAX => Heard::Ended(End::Garbage),
        Err((event_id, refused)) => {
            *garbage += 1;
            Heard::Wrong(event_id, refused)
        }
    }
}

/// Reads the socket until it ends, or the session does; why it ended by itself.
pub(super) async fn read(
    reader: &mut Reader,
    (first, mut garbage): (Said, u32),
    mut microphone: Microphone,
    orders: mpsc::Sender<Order>,
    over: &CancellationToken,
) -> Option<End> {
    let (sound, mut sounds) = mpsc::channel::<Sound>(SOUNDS_MAX);
    let forgotten = AtomicU64::new(0);
    let hearing = async {
        while let Some(sound) = sounds.recv().await {
            match sound {
                Sound::Mark => microphone.finalize().await,
                Sound::Bytes(at, _) if at < forgotten.load(Ordering::Relaxed) => {}
                // Sound without a header is never refused: what cannot be decoded is concealed.
                Sound::Bytes(_, bytes) => {
                    if microphone.push(bytes).await.is_err() {
                        return End::Over;
                    }
                }
            }
        }
        std::future::pending().await
    };
    let reading = async {
        let (mut bytes, mut mark) = (0, 0);
        let mut heard = Heard::Said(first);
        loop {
            let order = match heard {
                Heard::Said(Said { event_id, command: Command::Append { audio } }) => match STANDARD.decode(audio) {
                    Ok(piece) => {
                        bytes += piece.len() as u64;
                        let at = forgotten.load(Ordering::Relaxed);
                        if sound.send(Sound::Bytes(at, piece.into())).await.is_err() {
                            return End::Over;
                        }
                        None
                    }
                    Err(_) => {
                        let why = "expected base64".to_owned();
                        Some(Order::Wrong(event_id, Refused { code: "invalid_value", param: "audio".to_owned(), why }))
                    }
                },
                Heard::Said(Said { event_id, command: Command::Commit {} }) => {
                    mark += 1;
                    if sound.send(Sound::Mark).await.is_err() {
                        return End::Over;
                    }
                    Some(Order::Commit { event_id, sent: Sent::Bytes(bytes), mark })
                }
                Heard::Said(Said { command: Command::Clear {}, .. }) => {
                    forgotten.fetch_add(1, Ordering::Relaxed);
                    Some(Order::Clear(Sent::Bytes(bytes)))
                }
                Heard::Said(said @ Said { command: Command::Update { .. }, .. }) => {
                    Some(Order::Update(said, Sent::Bytes(bytes)))
                }
                Heard::Said(said) => Some(Order::Said(said)),
                Heard::Wrong(event_id, refused) => Some(Order::Wrong(event_id, refused)),
                Heard::Ended(end) => return end,
            };
            if let Some(order) = order
                && orders.send(order).await.is_err()
            {
                return End::Over;
            }
            heard = hear(reader.next().await, &mut garbage);
        }
    };
    let end = tokio::select! {
        biased;
        () = over.cancelled() => None,
        end = reading => Some(end),
        end = hearing => Some(end),
    };
    // Nobody orders anything any more: the other half ends, too.
    drop(orders);
    end
}

/// Reads the texts of a client whose sound comes over a track, until there are no more or the session ends.
pub(super) async fn read_texts(mut texts: mpsc::Receiver<String>, orders: mpsc::Sender<Order>) -> End {
    let (mut garbage, mut mark) = (0, 0);
    while let Some(text) = texts.recv().await {
        let order = match hear(Incoming::Text(text.into()), &mut garbage) {
            Heard::Said(Said { event_id, command: Command::Append { .. } }) => {
                let why = "sound comes over the audio track here: input_audio_buffer.append is for sockets".to_owned();
                Order::Wrong(event_id, Refused { code: "unsupported_event", param: "type".to_owned(), why })
            }
            Heard::Said(Said { event_id, command: Command::Commit {} }) => {
                mark += 1;
                Order::Commit { event_id, sent: Sent::Track, mark }
            }
            Heard::Said(Said { command: Command::Clear {}, .. }) => Order::Clear(Sent::Track),
            Heard::Said(said @ Said { command: Command::Update { .. }, .. }) => Order::Update(said, Sent::Track),
            Heard::Said(said) => Order::Said(said),
            Heard::Wrong(event_id, refused) => Order::Wrong(event_id, refused),
            Heard::Ended(end) => return end,
        };
        if orders.send(order).await.is_err() {
            return End::Over;
        }
    }
    End::Gone
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of these texts, and how their reading ends.
    async fn orders(texts: &[&str]) -> (Vec<Order>, End) {
        let (said, texts_said) = mpsc::channel(64);
        for text in texts {
            said.send((*text).to_owned()).await.unwrap();
        }
        drop(said);
        let (orders, mut ordered) = mpsc::channel(64);
        let end = read_texts(texts_said, orders).await;
        let mut all = Vec::new();
        while let Some(order) = ordered.recv().await {
            all.push(order);
        }
        (all, end)
    }

    #[tokio::test]
    async fn over_a_track_texts_are_orders_and_no_sound() {
        let (orders, end) = orders(&[
            r#"{"type": "input_audio_buffer.append", "audio": "AAAA", "event_id": "e1"}"#,
            r#"{"type": "input_audio_buffer.clear"}"#,
            r#"{"type": "input_audio_buffer.commit"}"#,
            r#"{"type": "response.create"}"#,
            r#"{"type": "session.update", "session": {}}"#,
            "nonsense",
        ])
        .await;
        assert!(matches!(end, End::Gone));
        let [
            Order::Wrong(Some(named), refused),
            Order::Clear(Sent::Track),
            commit,
            Order::Said(said),
            Order::Update(_, Sent::Track),
            Order::Wrong(None, _),
        ] = &orders[..]
        else {
            panic!("{} orders of another kind", orders.len())
        };
        assert_eq!((named.as_str(), refused.code), ("e1", "unsupported_event"));
        assert!(matches!(commit, Order::Commit { sent: Sent::Track, mark: 1, .. }));
        assert!(matches!(said.command, Command::Respond { response: None }));
    }

    #[tokio::test]
    async fn whoever_says_nothing_but_nonsense_is_no_client() {
        let (orders, end) = orders(&["nonsense"; GARBAGE_MAX as usize + 1]).await;
        assert!(matches!(end, End::Garbage));
        assert_eq!(orders.len(), GARBAGE_MAX as usize);
    }
}
