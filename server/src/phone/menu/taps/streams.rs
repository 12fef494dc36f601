//! One stream: the sound of a call to somebody's WebSocket, and what comes back to the caller's ear.
//!
//! One task a stream. It dials behind the guard of [`crate::webhook`], captures what is wanted of the call wherever it
//! goes ([`crate::phone::track`]), and lets [`crate::dialect::twilio::stream`] talk. What a bot says is a leg of the menu's
//! room: the caller hears it while they are there, and nobody transcribes it.

use std::time::Duration;

use bot::{
    actor::RoomHandle,
    ivr::{
        effect::{StreamSpec, TapId},
        input::{Input, TapEvent},
        twiml::AudioTrack,
    },
};
use media::{
    bridge::{BridgeError, Plan},
    graph::nodes::playout::playout,
};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;

use crate::{
    app::App,
    dialect::twilio::{
        ear::{Ear, RATE_HZ},
        message::Start,
        stream::{self, Ended, Ends, Order, Voice},
    },
    phone::{
        call::Phone,
        sid::{NO_ACCOUNT, Sid, SidKind},
        track::{self, Side},
    },
    webhook::{self, WebhookError},
};

/// Time until a socket is open.
pub(super) const DIAL_WITHIN: Duration = Duration::from_secs(10);

/// The task of one stream.
pub(super) struct Task {
    pub(super) app: App,
    pub(super) phone: Phone,
    pub(super) room: RoomHandle,
    pub(super) id: TapId,
    pub(super) spec: StreamSpec,
    pub(super) told: mpsc::Sender<Input>,
    /// Ends the stream when the other end is dropped.
    pub(super) orders: mpsc::Receiver<Order>,
}

impl Task {
    /// `dialling` opens the socket.
    pub(super) async fn run(
        self,
        dialling: impl Future<Output = Result<WebSocketStream<webhook::Stream>, WebhookError>>,
    ) {
        let (told, id, call) = (self.told.clone(), self.id, self.phone.sid().clone());
        let event = self.stream(dialling).await;
        if let TapEvent::Failed { why } = &event {
            tracing::info!(%call, stream = id.0, why, "a stream of a call failed");
        }
        // A menu that is gone has nobody left to tell.
        let _ = told.send(Input::Tap { id, event }).await;
    }

    async fn stream(
        mut self,
        dialling: impl Future<Output = Result<WebSocketStream<webhook::Stream>, WebhookError>>,
    ) -> TapEvent {
        let socket = tokio::select! {
            socket = dialling => socket,
            () = until_closed(&mut self.orders) => return TapEvent::Stopped,
        };
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => return TapEvent::Failed { why: error.to_string() },
        };
        let (follow, ends) = match self.ends().await {
            Ok(ends) => ends,
            Err(error) => return TapEvent::Failed { why: error.to_string() },
        };
        // It ends with the call, and when nobody reads any more.
        tokio::spawn(follow.run(|_, _| {}));
        let sid = Sid::fresh(SidKind::Stream);
        let account_sid = self.app.config().twilio.account_sid.clone();
        let parameters = self.spec.parameters.iter();
        let start = Start {
            stream_sid: sid.to_string(),
            account_sid: account_sid.unwrap_or_else(|| NO_ACCOUNT.to_owned()),
            call_sid: self.phone.sid().to_string(),
            parameters: parameters.map(|(name, value)| (name.clone(), value.reveal().to_owned())).collect(),
            ..Start::default()
        };
        let started = TapEvent::Started { sid: sid.to_string() };
        let _ = self.told.send(Input::Tap { id: self.id, event: started }).await;
        // What a bot does wrong without ending its stream is in the log.
        let (warnings, _) = mpsc::channel(1);
        over(stream::run(socket, start, ends, self.orders, warnings).await)
    }

    /// The sound that it carries, and what brings it.
    async fn ends(&self) -> Result<(track::Follow, Ends), BridgeError> {
        let sides = sides(self.spec.track);
        let (follow, readers) = track::follow(&self.app, self.phone.place(), *self.room.epoch(), sides);
        let mut ends = Ends::default();
        for (side, reader) in sides.iter().zip(readers) {
            match side {
                Side::Caller => ends.inbound = Some(Ear::new(reader)),
                Side::Others | Side::Everybody => ends.outbound = Some(Ear::new(reader)),
            }
        }
        if self.spec.is_bidirectional {
            let (playout, mouth) = playout(RATE_HZ);
            let plan = Plan { source: Some(Box::new(playout)), may_be_captured: true, ..Plan::default() };
            let leg = self.app.sound(&self.room).bridge().join(plan).await?;
            ends.voice = Some(Voice::new(leg, mouth));
        }
        Ok((follow, ends))
    }
}

fn sides(track: AudioTrack) -> &'static [Side] {
    match track {
        AudioTrack::Inbound => &[Side::Caller],
        AudioTrack::Outbound => &[Side::Others],
        AudioTrack::Both => &[Side::Caller, Side::Others],
    }
}

/// Until nobody gives orders any more.
async fn until_closed(orders: &mut mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        if order == Order::Stop {
            return;
        }
    }
}

/// What the end of a stream means to the machine.
fn over(ended: Ended) -> TapEvent {
    let why = match ended {
        // One that is done closes its socket: the next verb is due.
        Ended::Stopped | Ended::CallGone | Ended::Closed(_) => return TapEvent::Stopped,
        Ended::Vanished => "the connection of the WebSocket broke, or nothing came for too long",
        Ended::Deaf => "the other side of the WebSocket does not read",
        Ended::Raving => "what comes over the WebSocket are no messages of Media Streams",
        Ended::Flooding => "more comes over the WebSocket than is ever played",
    };
    TapEvent::Failed { why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_was_done_is_over_and_one_that_broke_has_failed() {
        for (ended, is_failed) in [
            (Ended::Stopped, false),
            (Ended::CallGone, false),
            (Ended::Closed(Some(1_000)), false),
            (Ended::Closed(None), false),
            (Ended::Vanished, true),
            (Ended::Deaf, true),
            (Ended::Raving, true),
            (Ended::Flooding, true),
        ] {
            assert_eq!(matches!(over(ended), TapEvent::Failed { .. }), is_failed, "{ended:?}");
        }
    }

    #[tokio::test]
    async fn keys_pressed_while_a_socket_is_dialled_do_not_end_the_stream() {
        let (orders, mut inbox) = mpsc::channel(4);
        orders.send(Order::Dtmf('1')).await.unwrap();
        let closed = until_closed(&mut inbox);
        tokio::pin!(closed);
        let is_closed = std::future::poll_fn(|cx| std::task::Poll::Ready(closed.as_mut().poll(cx).is_ready()));
        assert!(!is_closed.await);
        drop(orders);
        closed.await;
    }
}
