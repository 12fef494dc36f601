//! Queues and who waits in them: made, changed, removed, and callers sent on.

use axum::http::StatusCode;
use bot::ivr::machine::Source;

use super::{NOT_IN_PROGRESS, Outcome, endpoint, named, phones, redirect, shown, time};
use crate::{
    app::App,
    dialect::twilio::{
        rest::{
            error::RestError,
            queue::{Dequeue, Member, MemberView, QueueView, QueueWish},
        },
        sid::{Kind, Sid},
    },
    phone::menu::{self, QueueRefusal},
};

/// Every queue.
pub(in super::super) async fn queues(app: &App) -> Outcome<Vec<QueueView>> {
    let mut views: Vec<_> = phones(app)?.queues().views().iter().map(view).collect();
    views.sort_by_key(|view| (std::cmp::Reverse(view.created), view.sid));
    Ok(views)
}

/// Makes a queue.
pub(in super::super) async fn create_queue(app: &App, friendly_name: String, size_max: u32) -> Outcome<QueueView> {
    let made = phones(app)?.queues().create(&friendly_name, size_max);
    Ok(view(&made.map_err(refused)?))
}

/// Changes a queue.
pub(in super::super) async fn update_queue(app: &App, sid: Sid, wish: QueueWish) -> Outcome<Option<QueueView>> {
    let queues = phones(app)?.queues();
    let Some(sid) = named(sid) else { return Ok(None) };
    match queues.update(&sid, wish.friendly_name.as_deref(), wish.size_max) {
        Ok(changed) => Ok(Some(view(&changed))),
        Err(QueueRefusal::Missing) => Ok(None),
        Err(refusal) => Err(refused(refusal)),
    }
}

/// Removes a queue in which nobody waits; false when there is none.
pub(in super::super) async fn delete_queue(app: &App, sid: Sid) -> Outcome<bool> {
    let queues = phones(app)?.queues();
    let Some(sid) = named(sid) else { return Ok(false) };
    match queues.remove(&sid) {
        Ok(()) => Ok(true),
        Err(QueueRefusal::Missing) => Ok(false),
        Err(refusal) => Err(refused(refusal)),
    }
}

/// Everybody in a queue, first in line first; `None` when there is no such queue.
pub(in super::super) async fn members(app: &App, queue: Sid) -> Outcome<Option<Vec<MemberView>>> {
    let queues = phones(app)?.queues();
    let members = named(queue).and_then(|sid| queues.members(&sid));
    Ok(members.map(|members| members.iter().map(|one| member(queue, one)).collect()))
}

/// Takes somebody out of a queue: their call goes on with another document. Who it was.
pub(in super::super) async fn dequeue(
    app: &App,
    queue: Sid,
    who: Member,
    Dequeue(hook): Dequeue,
) -> Outcome<Option<MemberView>> {
    let phones = phones(app)?;
    let members = named(queue).and_then(|sid| phones.queues().members(&sid));
    let found = members.unwrap_or_default().into_iter().find(|one| match who {
        Member::Front => true,
        Member::Call(call) => shown(Kind::Call, &one.call) == call,
    });
    let Some(found) = found else { return Ok(None) };
    let gone = || RestError::not_now(NOT_IN_PROGRESS, "whoever waited has hung up");
    let phone = phones.calls().live(&found.call).ok_or_else(gone)?;
    redirect(phones, &phone, Source::At(endpoint(&hook)?))?;
    Ok(Some(member(queue, &found)))
}

fn refused(refusal: QueueRefusal) -> RestError {
    let message = refusal.to_string();
    match refusal {
        QueueRefusal::Missing => RestError::not_found("queue"),
        QueueRefusal::Exists | QueueRefusal::InUse => RestError::new(StatusCode::CONFLICT, 20_409, message),
        QueueRefusal::Full => RestError::unavailable(message),
    }
}

fn view(queue: &menu::QueueView) -> QueueView {
    let created = time(queue.created);
    QueueView {
        sid: shown(Kind::Queue, &queue.sid),
        friendly_name: queue.name.clone(),
        created,
        updated: created,
        size: queue.size,
        size_max: queue.size_max,
        average_wait_s: u32::try_from(queue.average_wait.as_secs()).unwrap_or(u32::MAX),
    }
}

fn member(queue: Sid, one: &menu::MemberView) -> MemberView {
    MemberView {
        call: shown(Kind::Call, &one.call),
        queue,
        enqueued: time(one.entered),
        position: one.position,
        waited_s: one.waited.as_secs(),
    }
}
