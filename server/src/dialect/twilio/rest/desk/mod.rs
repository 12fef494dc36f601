//! Where the REST resources meet the telephone: every wish and every view, in Twilio's names on one side and the
//! telephone's on the other.
//!
//! Each file does it for one resource and decides nothing; nothing else of the resources knows the telephone. Lists are
//! given whole, newest first, and cut into pages by whoever asks; a name that is not there is `None`. Where there is no
//! telephone each of these answers 503.
//!
//! Not built, and refused with a message that says so: announcements to somebody who is still being called and holding
//! them, pauses that leave a recording shorter, the list of recordings' words, and streams and transcriptions
//! that are begun from outside.

mod calls;
mod conferences;
mod queues;
mod recordings;
mod sides;

use bot::ivr::{
    machine::Source,
    webhook::{Endpoint, Method},
};
use jiff::Timestamp;

pub(super) use self::{
    calls::{call, calls, create_call, delete_call, update_call},
    conferences::{
        add_participant, conferences, participants, remove_participant, update_conference, update_participant,
    },
    queues::{create_queue, delete_queue, dequeue, members, queues, update_queue},
    recordings::{
        delete_recording, recording, recording_media, recordings, start_recording, transcriptions, update_recording,
    },
    sides::{start_stream, start_transcription, stop_stream, stop_transcription},
};
use super::{error::RestError, params::Hook, wish::Instructions};
use crate::{
    app::App,
    dialect::twilio::sid::{Kind, Sid},
    error::ApiError,
    phone::{SharedPhones, call::Phone, menu::MenuOrder, originate, outgoing::NotDialled, sid::Sid as PhoneSid},
    webhook,
};

/// What a wish comes to.
type Outcome<T> = Result<T, RestError>;

/// The telephone.
fn phones(app: &App) -> Outcome<&SharedPhones> {
    app.phones().map_err(|error| RestError::from(&error))
}

/// The telephone's name of a thing.
fn named(sid: Sid) -> Option<PhoneSid> {
    sid.to_string().parse().ok()
}

/// Twilio's name of a thing of the telephone's.
fn shown(kind: Kind, sid: &PhoneSid) -> Sid {
    // Both are two letters and 32 digits.
    Sid::of(kind, sid.as_str()).unwrap_or_else(|| Sid::new(kind, 0))
}

fn time(at: std::time::SystemTime) -> Timestamp {
    crate::recording::timestamp(at)
}

/// An address to ask.
fn endpoint(hook: &Hook) -> Outcome<Endpoint> {
    let method = match hook.method {
        webhook::Method::Get => Method::Get,
        webhook::Method::Post => Method::Post,
    };
    let endpoint = originate::endpoint(&hook.url, method).filter(|endpoint| endpoint.url.scheme() != "file");
    endpoint.ok_or_else(|| RestError::not_now(21_205, "Url parameter is not a valid http or https URL"))
}

fn source(instructions: &Instructions) -> Outcome<Source> {
    Ok(match instructions {
        Instructions::Url(hook) => Source::At(endpoint(hook)?),
        Instructions::Twiml(text) => Source::Inline(text.clone()),
    })
}

/// Sends a call's menu elsewhere.
fn redirect(phones: &SharedPhones, phone: &Phone, source: Source) -> Outcome<()> {
    let no_menu =
        || RestError::not_now(NOT_IN_PROGRESS, "Call is not in-progress, or runs no TwiML document. Cannot redirect.");
    let menu = phones.menus().of(phone.sid()).ok_or_else(no_menu)?;
    menu.try_send(MenuOrder::Redirect(source)).map_err(|error| match error {
        tokio::sync::mpsc::error::TrySendError::Full(_) => {
            RestError::unavailable("the call was sent elsewhere several times, and has not followed yet")
        }
        tokio::sync::mpsc::error::TrySendError::Closed(_) => no_menu(),
    })
}

/// A refusal of the server itself; one of something that is not there is no refusal.
fn found<T>(outcome: Result<T, ApiError>) -> Outcome<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.status == axum::http::StatusCode::NOT_FOUND => Ok(None),
        Err(error) => Err(RestError::from(&error)),
    }
}

impl From<NotDialled> for RestError {
    fn from(error: NotDialled) -> Self {
        use axum::http::StatusCode;
        let message = error.to_string();
        match &error {
            NotDialled::Unreadable => Self::not_now(21_211, format!("The 'To' number is not valid: {message}")),
            NotDialled::NoTrunk | NotDialled::NotRegistered | NotDialled::UnknownHost => {
                Self::not_now(21_214, format!("'To' cannot be reached: {message}"))
            }
            NotDialled::Refused(refusal) if refusal.retry_after().is_some() => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, 20_429, message)
            }
            NotDialled::Refused(_) | NotDialled::Forbidden => {
                Self::not_now(21_215, format!("Account not authorized to call 'To': {message}"))
            }
            NotDialled::Busy(_) | NotDialled::NoPort(_) | NotDialled::Draining => Self::unavailable(message),
        }
    }
}

/// Twilio's number of a call that is not in the state for it.
const NOT_IN_PROGRESS: u32 = 21_220;

/// Who is counted for calls that the REST API places.
const PAYER: &str = "api";

#[cfg(test)]
mod tests {
    use bot::routing::dialling::{Limit, Refusal, Whose};

    use super::*;
    use crate::phone::sid::SidKind;

    #[test]
    fn names_are_the_same_on_both_sides() {
        for (kind, own) in [
            (Kind::Call, SidKind::Call),
            (Kind::Recording, SidKind::Recording),
            (Kind::Conference, SidKind::Conference),
            (Kind::Queue, SidKind::Queue),
        ] {
            let sid = PhoneSid::fresh(own);
            assert_eq!(shown(kind, &sid).to_string(), sid.as_str());
            assert_eq!(named(shown(kind, &sid)), Some(sid));
        }
        assert_eq!(named(Sid::new(Kind::Transcription, 1)), None);
    }

    #[test]
    fn a_call_that_is_not_placed_is_refused_with_twilios_number() {
        let retry_after = std::time::Duration::from_secs(1);
        let limit = Refusal::Limit { whose: Whose::Caller, limit: Limit::PerMinute, retry_after };
        for (error, status, code) in [
            (NotDialled::Unreadable, 400, 21_211),
            (NotDialled::UnknownHost, 400, 21_214),
            (NotDialled::Refused(Refusal::NotAllowed), 400, 21_215),
            (NotDialled::Refused(limit), 429, 20_429),
            (NotDialled::Draining, 503, 20_503),
        ] {
            let refusal = RestError::from(error);
            assert_eq!((refusal.status.as_u16(), refusal.code), (status, code), "{refusal}");
        }
    }
}
