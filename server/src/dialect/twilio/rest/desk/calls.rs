//! Calls: placed, shown, sent elsewhere, ended, forgotten.

use std::time::Duration;

use bot::{
    event::Direction as Began,
    ivr::call::{ProgressEvents, StatusCallback},
};
use tokio::time::timeout;

use super::{NOT_IN_PROGRESS, Outcome, PAYER, endpoint, named, phones, recordings, redirect, shown, source, time};
use crate::{
    app::App,
    dialect::twilio::{
        rest::{
            call::{CallView, Direction, Status},
            error::RestError,
            wish::{self, CreateCall, EndCall, StatusEvent, UpdateCall},
        },
        sid::{Kind, Sid},
    },
    phone::{
        call::Phone,
        calls::View,
        detect::Detection,
        originate::{self, Originate, Purpose},
    },
};

/// How long an order to end a call is waited for: the far end is told within moments, and answers or does not.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Places a call.
pub(in super::super) async fn create_call(app: &App, wish: CreateCall) -> Outcome<CallView> {
    let source = source(&wish.instructions)?;
    let fallback = wish.fallback.as_ref().map(endpoint).transpose()?;
    let record = wish.record.clone();
    let phone = place(app, wish, Purpose::Application { source, fallback, status: None }).await?;
    if let Some(record) = record {
        tokio::spawn(recordings::record_once_taken(app.clone(), phone.clone(), record));
    }
    Ok(view(&View::of(&phone)))
}

/// Places a call for a purpose; `status` of it is what the wish says.
pub(super) async fn place(app: &App, wish: CreateCall, purpose: Purpose) -> Outcome<Phone> {
    let phones = phones(app)?;
    let detection = wish.detection.as_ref().map(detection).transpose()?;
    let purpose = match (purpose, &wish.status_callback) {
        (Purpose::Application { source, fallback, .. }, Some(callback)) => {
            Purpose::Application { source, fallback, status: Some(status_callback(callback)?) }
        }
        (purpose, _) => purpose,
    };
    let originate = Originate {
        to: wish.to,
        from: originate::caller(&wish.from),
        purpose,
        send_digits: wish.send_digits.unwrap_or_default().replace(',', "w"),
        ring_for: Duration::from_secs(u64::from(wish.timeout_s)),
        longest: Some(Duration::from_secs(u64::from(wish.time_limit_s))),
        credentials: wish.sip_login.map(|login| sip::auth::Credentials {
            username: login.username,
            password: login.password,
            realm: None,
        }),
        payer: PAYER.to_owned(),
        detection,
    };
    Ok(originate::originate(app, phones, originate).await?)
}

fn detection(wish: &wish::Detection) -> Outcome<Detection> {
    let told = wish.callback.as_ref().map(endpoint).transpose()?;
    Ok(Detection { settings: wish.settings, is_aside: wish.is_aside, told })
}

fn status_callback(wish: &wish::StatusCallback) -> Outcome<StatusCallback> {
    let is_wanted = |event| wish.events.contains(&event);
    let events = ProgressEvents {
        initiated: is_wanted(StatusEvent::Initiated),
        ringing: is_wanted(StatusEvent::Ringing),
        answered: is_wanted(StatusEvent::Answered),
        completed: is_wanted(StatusEvent::Completed),
    };
    Ok(StatusCallback { to: endpoint(&wish.hook)?, events })
}

/// Every call that is remembered.
pub(in super::super) async fn calls(app: &App) -> Outcome<Vec<CallView>> {
    Ok(phones(app)?.calls().views().iter().map(view).collect())
}

/// One call.
pub(in super::super) async fn call(app: &App, sid: Sid) -> Outcome<Option<CallView>> {
    let calls = phones(app)?.calls();
    Ok(named(sid).and_then(|sid| calls.view(&sid)).as_ref().map(view))
}

/// A call that goes on; nothing when there is none of that name.
pub(super) fn live(app: &App, sid: Sid) -> Outcome<Option<Phone>> {
    let calls = phones(app)?.calls();
    let Some(sid) = named(sid) else { return Ok(None) };
    match (calls.live(&sid), calls.view(&sid)) {
        (Some(phone), _) => Ok(Some(phone)),
        (None, Some(_)) => Err(RestError::not_now(NOT_IN_PROGRESS, "Call is over: it cannot be changed")),
        (None, None) => Ok(None),
    }
}

/// Changes a call that goes on, or ends it; what it is then.
pub(in super::super) async fn update_call(app: &App, sid: Sid, wish: UpdateCall) -> Outcome<Option<CallView>> {
    if wish.status_callback.is_some() || wish.fallback.is_some() {
        let message = "StatusCallback and FallbackUrl are those that the call was placed with: they cannot be changed";
        return Err(RestError::not_built(message));
    }
    let Some(phone) = live(app, sid)? else { return Ok(None) };
    if let Some(seconds) = wish.time_limit_s {
        phone.limit(app.clock(), Duration::from_secs(u64::from(seconds)));
    }
    match (wish.end, &wish.instructions) {
        (Some(EndCall::Canceled), _) if phone.now().is_answered() => {}
        (Some(_), _) => {
            phone.hang_up().await;
            // A far end that is silent is given up by itself; the answer says how the call stands.
            let _ = timeout(END_WITHIN, phone.over()).await;
        }
        (None, Some(instructions)) => redirect(phones(app)?, &phone, source(instructions)?)?,
        (None, None) => {}
    }
    Ok(Some(view(&View::of(&phone))))
}

/// Forgets a call that is over; false when there is none.
pub(in super::super) async fn delete_call(app: &App, sid: Sid) -> Outcome<bool> {
    let calls = phones(app)?.calls();
    let Some(sid) = named(sid) else { return Ok(false) };
    if calls.live(&sid).is_some() {
        let message = "the call goes on: Status=completed ends it";
        return Err(RestError::new(axum::http::StatusCode::CONFLICT, 20_409, message));
    }
    Ok(calls.forget(&sid))
}

/// A call as Twilio shows it.
pub(super) fn view(call: &View) -> CallView {
    let changed = call.ended.or(call.answered).unwrap_or(call.began);
    CallView {
        sid: shown(Kind::Call, &call.sid),
        parent: call.parent.as_ref().map(|parent| shown(Kind::Call, parent)),
        from: call.from.clone(),
        to: call.to.clone(),
        status: status(call.status),
        direction: match (call.direction, &call.parent) {
            (Began::Inbound, _) => Direction::Inbound,
            (Began::Outbound, None) => Direction::OutboundApi,
            (Began::Outbound, Some(_)) => Direction::OutboundDial,
        },
        created: time(call.began),
        updated: time(changed),
        started: call.answered.map(time),
        ended: call.ended.map(time),
        answered_by: call.answered_by,
        caller_name: call.from_name.clone(),
        forwarded_from: None,
    }
}

pub(super) fn status(word: &str) -> Status {
    let all = [
        Status::Queued,
        Status::Ringing,
        Status::InProgress,
        Status::Completed,
        Status::Busy,
        Status::Failed,
        Status::NoAnswer,
        Status::Canceled,
    ];
    all.into_iter().find(|status| status.as_str() == word).unwrap_or(Status::Failed)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bot::answering::AnsweredBy;

    use super::*;
    use crate::phone::sid::{Sid as PhoneSid, SidKind};

    #[test]
    fn a_call_of_the_telephone_is_shown_with_its_times() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let parent = PhoneSid::fresh(SidKind::Call);
        let call = View {
            sid: PhoneSid::fresh(SidKind::Call),
            direction: Began::Outbound,
            from: "+4930".to_owned(),
            from_name: None,
            to: "sip:echo@127.0.0.1".to_owned(),
            parent: None,
            trunk: None,
            status: "completed",
            began: at(1),
            answered: Some(at(3)),
            ended: Some(at(9)),
            answered_by: Some(AnsweredBy::Human),
            room: None,
            participant: None,
            is_muted: false,
            condition: Default::default(),
            refused_with: None,
        };
        let shown = view(&call);
        assert_eq!((shown.status, shown.direction), (Status::Completed, Direction::OutboundApi));
        assert_eq!((shown.duration_s(), shown.answered_by), (Some(6), Some(AnsweredBy::Human)));
        assert_eq!(shown.updated, time(at(9)));
        let child = view(&View { parent: Some(parent), status: "no-answer", ..call });
        assert_eq!((child.status, child.direction), (Status::NoAnswer, Direction::OutboundDial));
    }
}
