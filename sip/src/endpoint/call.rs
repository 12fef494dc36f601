//! One call through its states: we call, they call, it is up, it is being left.
//!
//! Each state is a file of its own that says what comes next; this one carries messages, commands and time to the state
//! that is, and tells the end once.

use std::{net::IpAddr, time::Instant};

use super::{
    CallEvent, CallId, Command, Ended, Failure,
    calling::Calling,
    core::{Core, Reply},
    errand::Errand,
    flight::Landed,
    leaving::Leaving,
    peer::{Cx, Ours, Peer},
    ringing::Ringing,
    session::Session,
};
use crate::{
    dialog::DialogId,
    message::{Method, Request, Response},
    transaction::ServerId,
    transport::Source,
};

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    id: CallId,
    /// Whose limits it counts against.
    source: Option<IpAddr>,
    ours: Ours,
    state: State,
}

#[derive(Debug)]
enum State {
    Calling(Box<Calling>),
    Ringing(Box<Ringing>),
    Up(Box<Session>),
    Leaving(Box<Leaving>),
    Over,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    Stay,
    /// It was answered.
    Up(Box<Session>),
    /// It has ended, but something is owed.
    Leave(Ended, Box<Leaving>),
    /// It has ended.
    Over(Ended),
    /// Nothing is owed any more; that it ended was told.
    Gone,
}

impl Call {
    pub(super) fn calling(id: CallId, ours: Ours, calling: Calling) -> Self {
        Self { id, source: None, ours, state: State::Calling(Box::new(calling)) }
    }

    pub(super) fn ringing(id: CallId, ours: Ours, source: IpAddr, ringing: Ringing) -> Self {
        Self { id, source: Some(source), ours, state: State::Ringing(Box::new(ringing)) }
    }

    pub(super) fn source(&self) -> Option<IpAddr> {
        self.source
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// The other side, once the call is up.
    pub(super) fn confirmed(&self) -> Option<&Peer> {
        match &self.state {
            State::Up(session) => Some(&session.peer),
            State::Calling(_) | State::Ringing(_) | State::Leaving(_) | State::Over => None,
        }
    }

    /// Our tag, while they wait for our answer.
    pub(super) fn ringing_tag(&self) -> Option<String> {
        match &self.state {
            State::Ringing(ringing) => Some(ringing.peer.dialog.id().local_tag.to_string()),
            State::Calling(_) | State::Up(_) | State::Leaving(_) | State::Over => None,
        }
    }

    /// Whether it is a call that we placed and that was not answered.
    pub(super) fn is_calling(&self) -> bool {
        matches!(self.state, State::Calling(_))
    }

    /// Whether it has ended as far as anybody was told.
    pub(super) fn is_ended(&self) -> bool {
        matches!(self.state, State::Leaving(_) | State::Over)
    }

    pub(super) fn command(&mut self, core: &mut Core, now: Instant, command: Command) {
        self.with(core, now, |state, cx| match state {
            State::Calling(calling) => calling.command(cx, command),
            State::Ringing(ringing) => ringing.command(cx, command),
            State::Up(session) => session.command(cx, command),
            State::Leaving(_) | State::Over => Next::Stay,
        });
    }

    /// A request within one of its dialogs came; of a method that we know.
    pub(super) fn hear_request(
        &mut self,
        core: &mut Core,
        now: Instant,
        dialog: &DialogId,
        server: ServerId,
        request: Request,
        source: &Source,
    ) {
        self.with(core, now, |state, cx| {
            let peer = match state {
                State::Calling(calling) => calling.peer(&dialog.remote_tag),
                State::Ringing(ringing) => Some(&mut ringing.peer),
                State::Up(session) => Some(&mut session.peer),
                State::Leaving(leaving) => Some(&mut leaving.peer),
                State::Over => None,
            };
            let Some(peer) = peer else {
                cx.respond(server, &request, Reply::status(481));
                return Next::Stay;
            };
            let cseq = request.headers.cseq().map_or(0, |cseq| cseq.number);
            if peer.dialog.take_cseq(cseq).is_err() {
                cx.respond(server, &request, Reply::status(500));
                return Next::Stay;
            }
            peer.heard_from(source);
            if request.method == Method::Options {
                let mut reply = Reply::with(200, "Allow", cx.core.allow.clone());
                reply.headers.push("Supported", Core::SUPPORTED);
                reply.headers.push("Accept", "application/sdp");
                cx.respond(server, &request, reply);
                return Next::Stay;
            }
            match state {
                State::Calling(calling) => calling.hear_request(cx, &dialog.remote_tag, server, request),
                State::Ringing(ringing) => ringing.hear_request(cx, server, request),
                State::Up(session) => session.hear_request(cx, server, request),
                State::Leaving(leaving) => leaving.hear_request(cx, server, &request),
                State::Over => Next::Stay,
            }
        });
    }

    /// The ACK of a 2xx came.
    pub(super) fn hear_ack(&mut self, core: &mut Core, now: Instant, ack: &Request, source: &Source) {
        self.with(core, now, |state, cx| match state {
            State::Up(session) => {
                session.peer.heard_from(source);
                session.hear_ack(cx, ack)
            }
            State::Leaving(leaving) => leaving.hear_ack(cx, ack),
            State::Calling(_) | State::Ringing(_) | State::Over => Next::Stay,
        });
    }

    /// The INVITE that began it was cancelled, or a re-INVITE.
    pub(super) fn hear_cancel(&mut self, core: &mut Core, now: Instant, invite: ServerId, reason: Option<String>) {
        self.with(core, now, |state, cx| match state {
            State::Ringing(ringing) => ringing.hear_cancel(cx, invite, reason),
            State::Up(session) => session.hear_cancel(cx, invite),
            State::Calling(_) | State::Leaving(_) | State::Over => Next::Stay,
        });
    }

    /// A response to a request of its came; `false` where nobody is left who would take an answer to the call.
    pub(super) fn hear_response(
        &mut self,
        core: &mut Core,
        now: Instant,
        errand: &Errand,
        landed: &Landed,
        response: &Response,
    ) -> bool {
        let mut is_taken = true;
        self.with(core, now, |state, cx| match state {
            State::Calling(calling) => calling.hear_response(cx, errand, landed, response),
            State::Ringing(ringing) => ringing.hear_response(cx, errand, landed, response),
            State::Up(session) => {
                is_taken = *errand != Errand::Invite || session.is_answer(landed, response);
                session.hear_response(cx, errand, landed, response)
            }
            State::Leaving(_) | State::Over => {
                is_taken = *errand != Errand::Invite;
                Next::Stay
            }
        });
        is_taken
    }

    /// A request of its gets no response.
    pub(super) fn hear_failure(&mut self, core: &mut Core, now: Instant, errand: &Errand, failure: Failure) {
        self.with(core, now, |state, cx| match state {
            State::Calling(calling) => calling.hear_failure(cx, errand, failure),
            State::Ringing(ringing) => ringing.hear_failure(cx, errand),
            State::Up(session) => session.hear_failure(cx, errand, failure),
            State::Leaving(_) | State::Over => Next::Stay,
        });
    }

    /// Another call takes its place.
    pub(super) fn replace(&mut self, core: &mut Core, now: Instant, by: CallId) {
        self.with(core, now, |state, cx| match state {
            State::Calling(calling) => calling.end(cx, None, Ended::Replaced { by }),
            State::Up(session) => session.end(cx, None, Ended::Replaced { by }),
            State::Ringing(_) | State::Leaving(_) | State::Over => Next::Stay,
        });
    }

    /// Time passed.
    pub(super) fn tick(&mut self, core: &mut Core, now: Instant) {
        self.with(core, now, |state, cx| match state {
            State::Calling(calling) => calling.tick(cx),
            State::Ringing(ringing) => ringing.tick(cx),
            State::Up(session) => session.tick(cx),
            State::Leaving(leaving) => leaving.tick(cx),
            State::Over => Next::Stay,
        });
    }

    /// When [`Call::tick`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Calling(calling) => calling.deadline(),
            State::Ringing(ringing) => ringing.deadline(),
            State::Up(session) => session.deadline(),
            State::Leaving(leaving) => leaving.deadline(),
            State::Over => None,
        }
    }

    fn with(&mut self, core: &mut Core, now: Instant, step: impl FnOnce(&mut State, &mut Cx<'_>) -> Next) {
        let Self { id, ours, state, .. } = self;
        let next = step(state, &mut Cx { core, now, call: *id, ours });
        let (after, ended) = match next {
            Next::Stay => return,
            Next::Up(session) => (State::Up(session), None),
            Next::Leave(why, leaving) => (State::Leaving(leaving), Some(why)),
            Next::Over(why) => (State::Over, Some(why)),
            Next::Gone => (State::Over, None),
        };
        let before = std::mem::replace(state, after);
        let kept = state.dialogs();
        for dialog in before.dialogs().into_iter().filter(|dialog| !kept.contains(dialog)) {
            core.dialogs.remove(dialog);
        }
        for dialog in kept {
            core.dialogs.insert(dialog.clone(), *id);
        }
        if let Some(why) = ended {
            core.tell(*id, CallEvent::Ended { why });
        }
    }
}

impl State {
    fn dialogs(&self) -> Vec<&DialogId> {
        match self {
            Self::Calling(calling) => calling.dialogs().collect(),
            Self::Ringing(ringing) => vec![ringing.peer.dialog.id()],
            Self::Up(session) => vec![session.peer.dialog.id()],
            Self::Leaving(leaving) => vec![leaving.peer.dialog.id()],
            Self::Over => Vec::new(),
        }
    }
}
