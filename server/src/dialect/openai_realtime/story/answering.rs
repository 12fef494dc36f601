//! Answers of a session: which are asked for, stopped and under way, and which turn of the agent is which of them. Pure.
//!
//! An answer begins because its client asks for it or because the agent answers by itself; there is one at a time, and one
//! that was asked for may wait behind it. It ends with its turn, or where another turn begins.

use bot::agent::{Input, TurnId};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    super::{
        answer::{Answer, End},
        session::Refused,
    },
    Story, refused,
};

impl Story {
    pub(super) fn respond(&mut self, event_id: Option<&str>, wanted: Option<Value>) -> Result<(), Refused> {
        let wanted = wanted.unwrap_or_else(|| json!({}));
        let (session, idle) = self.session.for_response(&wanted)?;
        // Sound that was heard to its end keeps nobody waiting.
        if self.ending.is_some() {
            self.end_what_was_heard();
        }
        // Another may follow at once where this one cannot be followed in any other way.
        let may_wait = self.answer.as_ref().is_none_or(|answer| answer.has_called || answer.is_cancelled);
        if !may_wait || self.next.is_some() {
            let why = "an answer is under way: wait for its response.done, or send response.cancel";
            return Err(refused("conversation_already_has_active_response", "", why));
        }
        for idle in idle {
            self.out.refuse(event_id, &idle);
        }
        self.next = Some((session, wanted["metadata"].clone()));
        Ok(())
    }

    pub(super) fn cancel(&mut self, response_id: Option<&str>) -> Result<(), Refused> {
        let none = || refused("response_cancel_not_active", "response_id", "no such answer is under way");
        if self.ending.is_some() {
            self.end_what_was_heard();
        }
        let answer = self.answer.as_mut().ok_or_else(none)?;
        if response_id.is_some_and(|id| id != answer.id()) {
            return Err(none());
        }
        if self.unasked.take().is_some() {
            // Nobody works on it yet.
            self.finish(End::Cancelled(String::new()));
        } else if !std::mem::replace(&mut answer.is_cancelled, true) {
            self.tell(Input::Stop);
        }
        Ok(())
    }

    /// What sounds over the track is not to go on.
    pub(super) fn clear_output(&mut self) -> Result<(), Refused> {
        if !self.session.is_tracked() {
            let why = "output_audio_buffer.clear is for WebRTC: sound of a socket is the client's to drop, and \
                       response.cancel ends what makes it";
            return Err(refused("unsupported_event", "type", why));
        }
        if self.ending.is_some() {
            self.end_what_was_heard();
        }
        // Where nothing sounds nothing is wrong: the end of an answer crosses such wishes.
        if self.is_speaking() { self.cancel(None) } else { Ok(()) }
    }

    pub(super) fn has_sounded(&mut self, now: Instant) {
        if let Some(answer) = &self.answer {
            answer.has_sounded(now, &mut self.items);
        }
    }

    /// Whether the agent's turn is an answer that is under way, which it becomes where there is none.
    pub(super) fn answers(&mut self, turn: Option<TurnId>) -> bool {
        if turn.is_some_and(|turn| turn <= self.last_turn) {
            return false;
        }
        let is_another = |answer: &Answer| turn.is_some() && answer.turn.is_some() && answer.turn != turn;
        let is_another = self.answer.as_ref().is_some_and(is_another);
        if self.ending.is_some() && (turn.is_none() || is_another) {
            self.end_what_was_heard();
        } else if is_another {
            self.finish(End::Interrupted(String::new()));
        }
        if self.answer.is_none() {
            let used = std::mem::take(&mut self.used);
            let answer = Answer::new(&self.session, &Value::Null, &self.conversation, used, &mut self.out);
            self.answer = Some(answer);
        }
        if let Some(answer) = &mut self.answer {
            answer.turn = answer.turn.or(turn);
        }
        // Whoever answers already need not be asked.
        if turn.is_some() {
            self.unasked = None;
        }
        true
    }

    /// Whether the answer that is under way is that turn. One that was asked for is the next turn that is told of.
    pub(super) fn is_of(&mut self, turn: TurnId) -> bool {
        let is_new = turn > self.last_turn && self.unasked.is_none();
        let Some(answer) = self.answer.as_mut().filter(|_| is_new) else { return false };
        *answer.turn.get_or_insert(turn) == turn
    }

    pub(super) fn end(&mut self, turn: TurnId, end: End) {
        self.last_turn = turn;
        self.ending = None;
        self.finish(end);
    }

    pub(super) fn end_what_was_heard(&mut self) {
        if let Some((_, end)) = self.ending.take() {
            self.finish(end);
        }
    }

    pub(super) fn finish(&mut self, end: End) {
        if let Some(answer) = self.answer.take() {
            answer.end(end, &mut self.items, &mut self.out);
        }
    }
}
