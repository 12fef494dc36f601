//! How a call comes to be taken: early sound, the answer, and the keys that both wait for.
//!
//! Part of the call's task. Whoever asked for sound is told when there is some, or that there is none; what is due waits
//! in [`Due`] until the line has its keys, at once where none were agreed on. A handshake that fails before the call is
//! taken costs its early sound and nothing else.

use bot::event::RoomEvent;
use sip::{
    endpoint::{Body, Command},
    message::Headers,
};
use tokio::sync::oneshot;

use super::{
    super::{CallOver, Over, State},
    Carrier, Due, NOT_ACCEPTABLE,
};
use crate::phone::sealing::NoKeys;

impl Carrier {
    /// The far end knows that we took the call; where we made the offer, its answer came with that.
    pub(super) async fn on_ack(&mut self, answer: Option<Body>) {
        let is_agreed = answer.is_none_or(|answer| self.accept(&answer)) && self.line.agreed().is_some();
        if self.answering.is_none() || self.due.is_some() {
            return;
        }
        if is_agreed {
            self.line.settle();
            self.due = Some(Due::Taken);
            self.settle().await;
        } else {
            self.give_up();
            self.hang_up(Over::Failed, Some(NOT_ACCEPTABLE)).await;
        }
    }

    /// There are keys, or there will be none.
    pub(super) async fn on_keys(&mut self, shaken: Result<(), NoKeys>) {
        match shaken {
            Ok(()) => {
                tracing::debug!(call = %self.facts.sid, "keys were agreed on by DTLS");
                self.refresh().await;
                self.settle().await;
            }
            // It can still be taken, here or by another whom it reached: then the handshake begins anew.
            Err(error) if self.due != Some(Due::Taken) && !self.state.borrow().is_answered() => {
                tracing::info!(call = %self.facts.sid, %error, "there is no early sound: there are no keys for it");
                self.due = None;
                if let Some(waiting) = self.early.take() {
                    let _ = waiting.send(Err(CallOver));
                }
            }
            // Many a far end shakes hands only when the call is taken: one that was asked before is asked once more.
            Err(error) if error.is_silence() && std::mem::take(&mut self.is_shaken_early) => {
                tracing::debug!(call = %self.facts.sid, %error, "keys are asked for again");
                self.line.shake_again();
            }
            Err(error) => {
                tracing::warn!(call = %self.facts.sid, %error, "a call is ended: there are no keys for its sound");
                self.give_up();
                self.hang_up(Over::Failed, Some(error.reason())).await;
            }
        }
    }

    /// The call is taken, as soon as there are keys.
    pub(super) fn take(&mut self) {
        self.is_shaken_early = self.due.replace(Due::Taken) == Some(Due::Early);
    }

    /// What was waited for with keys, if they are there.
    pub(super) async fn settle(&mut self) {
        if !self.line.is_ready() {
            return;
        }
        match self.due.take() {
            Some(Due::Taken) => {
                self.taken().await;
                if let Some(waiting) = self.answering.take() {
                    let _ = waiting.send(Ok(()));
                }
            }
            Some(Due::Early) => {
                self.state.send_replace(State::Early);
            }
            None => return,
        }
        if let Some(waiting) = self.early.take() {
            let _ = waiting.send(Ok(()));
        }
    }

    /// Whoever waits for sound waits in vain.
    pub(super) fn give_up(&mut self) {
        self.due = None;
        for waiting in self.answering.take().into_iter().chain(self.early.take()) {
            let _ = waiting.send(Err(CallOver));
        }
    }

    pub(super) async fn taken(&mut self) {
        let at = self.app.clock().wall();
        self.state.send_replace(State::Answered { at });
        let event = RoomEvent::CallAnswered { call: self.facts.sid.shared(), direction: self.facts.direction };
        self.tell_room(event).await;
    }

    pub(super) async fn ring_early(&mut self, reply: oneshot::Sender<Result<(), CallOver>>) {
        if !self.is_incoming || self.state.borrow().has_sound() {
            let _ = reply.send(if self.state.borrow().is_over() { Err(CallOver) } else { Ok(()) });
            return;
        }
        let Some(offer) = self.offer.take() else {
            // Without an offer there is nothing to answer before the call is taken.
            let _ = reply.send(Err(CallOver));
            return;
        };
        let body = match self.answer_first(&offer).await {
            Ok(body) => body,
            Err(over) => {
                let _ = reply.send(Err(over));
                return;
            }
        };
        self.dialog.tell(Command::Ring { status: 183, body: Some(body.clone()), is_reliable: false }).await;
        self.answer = Some(body);
        (self.early, self.due) = (Some(reply), Some(Due::Early));
        self.settle().await;
    }

    pub(super) async fn answer(&mut self, reply: oneshot::Sender<Result<(), CallOver>>) {
        let is_answered = self.state.borrow().is_answered();
        if is_answered || !self.is_incoming || self.state.borrow().is_over() || self.answering.is_some() {
            let _ = reply.send(if is_answered { Ok(()) } else { Err(CallOver) });
            return;
        }
        let body = match (self.answer.take(), self.offer.take()) {
            (Some(said), _) => {
                self.line.shake_again();
                said
            }
            (None, Some(offer)) => match self.answer_first(&offer).await {
                Ok(body) => body,
                Err(over) => {
                    let _ = reply.send(Err(over));
                    return;
                }
            },
            (None, None) => {
                // They want us to offer: what they answer comes with the ACK.
                let body = self.line.offer();
                self.answering = Some(reply);
                return self.dialog.tell(Command::Accept { body: Some(body), headers: Headers::new() }).await;
            }
        };
        self.dialog.tell(Command::Accept { body: Some(body), headers: Headers::new() }).await;
        self.answering = Some(reply);
        self.take();
        self.settle().await;
    }

    /// Our answer to the first offer; where nothing fits, the call is refused.
    pub(super) async fn answer_first(&mut self, offer: &Body) -> Result<Body, CallOver> {
        match self.line.answer(offer) {
            Ok(body) => Ok(body),
            Err(error) => {
                tracing::info!(call = %self.facts.sid, %error, "a call was refused: no sound can be agreed on");
                let (status, headers) = error.to_response();
                self.wants = Some(Over::Failed);
                self.dialog.tell(Command::Reject { status, headers }).await;
                Err(CallOver)
            }
        }
    }
}
