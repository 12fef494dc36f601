//! Conferences and who takes part: shown, changed, called in, sent out.

use bot::ivr::machine::Source;

use super::{
    NOT_IN_PROGRESS, Outcome,
    calls::{self, place},
    endpoint, named, phones, recordings, shown, time,
};
use crate::{
    app::App,
    dialect::twilio::{
        rest::{
            call::Status as CallStatus,
            conference::{
                AddParticipant, Beep, ConferenceView, Manners, ParticipantView, Status, UpdateConference, WhyEnded,
            },
            error::RestError,
            wish::{CreateCall, Instructions},
        },
        sid::{Kind, Sid},
    },
    phone::{
        Phones,
        menu::{self, Change, NotAnnounced, Wanted},
        originate::Purpose,
    },
};

/// Every conference.
pub(in super::super) async fn conferences(app: &App) -> Outcome<Vec<ConferenceView>> {
    let mut views: Vec<_> = phones(app)?.conferences().views().iter().map(view).collect();
    views.sort_by_key(|view| (std::cmp::Reverse(view.created), view.sid));
    Ok(views)
}

/// Changes a conference, or ends it; what it is then.
pub(in super::super) async fn update_conference(
    app: &App,
    sid: Sid,
    wish: UpdateConference,
) -> Outcome<Option<ConferenceView>> {
    let conferences = phones(app)?.conferences();
    let name = sid.to_string();
    if let Some(announce) = wish.announce.as_ref().filter(|_| !wish.ends) {
        match conferences.announce(&name, None, endpoint(announce)?) {
            // One that is over has nobody to hear it; one that never was is told as such.
            Ok(()) | Err(NotAnnounced::Missing(_)) => {}
            Err(error) => return Err(not_announced(error)),
        }
    }
    if wish.ends {
        // One that is over already stays so.
        let _ = conferences.end(&name);
    }
    Ok(conferences.view(&name).as_ref().map(view))
}

/// Everybody in a conference; `None` when there is no such conference.
pub(in super::super) async fn participants(app: &App, conference: Sid) -> Outcome<Option<Vec<ParticipantView>>> {
    let phones = phones(app)?;
    let Ok(people) = phones.conferences().participants(&conference.to_string()) else { return Ok(None) };
    let mut people: Vec<_> = people.iter().map(|person| participant(phones, conference, person)).collect();
    people.sort_by_key(|person| (std::cmp::Reverse(person.created), person.call));
    Ok(Some(people))
}

/// Calls somebody into a conference, which is named by its sid or by the name that people know. They take part once they
/// take the call.
pub(in super::super) async fn add_participant(
    app: &App,
    conference: &str,
    wish: AddParticipant,
) -> Outcome<ParticipantView> {
    let phones = phones(app)?;
    refuse(&wish.manners)?;
    let known = phones.conferences().view(conference);
    let name = match (known, conference.parse::<Sid>()) {
        (Some(known), _) => known.name,
        (None, Ok(_)) => return Err(RestError::not_found(conference)),
        (None, Err(_)) => conference.to_owned(),
    };
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(RestError::bad_parameter("ConferenceSid", "a conference has a name of 1 to 128 characters"));
    }
    let document = document(&name, &wish)?;
    let record = wish.record.clone();
    let call = CreateCall {
        to: wish.to,
        from: wish.from,
        instructions: Instructions::Twiml(document.clone()),
        fallback: None,
        status_callback: wish.status_callback,
        timeout_s: wish.timeout_s,
        time_limit_s: wish.time_limit_s,
        send_digits: None,
        record: None,
        detection: wish.detection,
        sip_login: None,
    };
    let purpose = Purpose::Application { source: Source::Inline(document), fallback: None, status: None };
    let phone = place(app, call, purpose).await?;
    let expected = match phones.conferences().expect(app, phones.recorded(), &name, &phone) {
        Ok(expected) => expected,
        Err(error) => {
            phone.hang_up().await;
            return Err(RestError::from(&error));
        }
    };
    if let Some(record) = record {
        tokio::spawn(recordings::record_once_taken(app.clone(), phone.clone(), record));
    }
    let placed = calls::view(&crate::phone::calls::View::of(&phone));
    Ok(ParticipantView {
        call: placed.sid,
        conference: shown(Kind::Conference, &expected.sid),
        label: wish.label,
        created: placed.created,
        updated: placed.updated,
        status: placed.status,
        is_muted: wish.manners.is_muted.unwrap_or(false),
        is_on_hold: false,
        starts_on_enter: wish.starts_on_enter,
        ends_on_exit: wish.manners.ends_on_exit.unwrap_or(false),
        coaches: wish.manners.coaches.flatten(),
    })
}

/// Changes how somebody is in a conference.
pub(in super::super) async fn update_participant(
    app: &App,
    conference: Sid,
    call: Sid,
    wish: Manners,
) -> Outcome<Option<ParticipantView>> {
    let phones = phones(app)?;
    let Some(own) = named(call) else { return Ok(None) };
    let (conferences, name) = (phones.conferences(), conference.to_string());
    let announce = wish.announce.as_ref().map(endpoint).transpose()?;
    let change = Change { muted: wish.is_muted, hold: wish.is_on_hold, end_on_exit: wish.ends_on_exit };
    let music = wish.hold.as_ref().map(endpoint).transpose()?;
    let coaches = wish.coaches.map(|coached| coached.and_then(named));
    let Ok(person) = conferences.change(&name, &own, change, Wanted { music, coaches }).await else { return Ok(None) };
    if let Some(announce) = announce {
        match conferences.announce(&name, Some(&own), announce) {
            Ok(()) => {}
            Err(NotAnnounced::Missing(_)) => return Ok(None),
            Err(error) => return Err(not_announced(error)),
        }
    }
    Ok(Some(participant(phones, conference, &person)))
}

/// Sends somebody out of a conference; false when they are not in it.
pub(in super::super) async fn remove_participant(app: &App, conference: Sid, call: Sid) -> Outcome<bool> {
    let conferences = phones(app)?.conferences();
    let Some(call) = named(call) else { return Ok(false) };
    Ok(conferences.kick(&conference.to_string(), &call).is_ok())
}

/// Why an announcement does not begin, to whoever asked for it.
fn not_announced(error: NotAnnounced) -> RestError {
    match error {
        NotAnnounced::Busy => RestError::unavailable(error.to_string()),
        NotAnnounced::Missing(_) | NotAnnounced::NotHere => RestError::not_now(NOT_IN_PROGRESS, error.to_string()),
    }
}

/// What cannot be had of somebody who is called in.
fn refuse(manners: &Manners) -> Outcome<()> {
    if manners.announce.is_some() || manners.hold.is_some() || manners.is_on_hold == Some(true) {
        let message = "AnnounceUrl, HoldUrl and Hold are not built for somebody who is called in: hold them once they \
            take part";
        return Err(RestError::not_built(message));
    }
    Ok(())
}

/// The document of somebody who is called in.
fn document(name: &str, wish: &AddParticipant) -> Outcome<String> {
    let manners = &wish.manners;
    let beep = match manners.beeps {
        None | Some(Beep::Always) => "true",
        Some(Beep::Never) => "false",
        Some(Beep::OnEnter) => "onEnter",
        Some(Beep::OnExit) => "onExit",
    };
    let mut attributes = vec![
        ("startConferenceOnEnter", wish.starts_on_enter.to_string()),
        ("endConferenceOnExit", manners.ends_on_exit.unwrap_or(false).to_string()),
        ("muted", manners.is_muted.unwrap_or(false).to_string()),
        ("beep", beep.to_owned()),
        ("maxParticipants", wish.participants_max.to_string()),
    ];
    attributes.extend(wish.label.clone().map(|label| ("participantLabel", label)));
    attributes.extend(manners.coaches.flatten().map(|coached| ("coach", coached.to_string())));
    if let Some(wait) = &manners.wait {
        let wait = endpoint(wait)?;
        attributes.push(("waitUrl", wait.url.to_string()));
        attributes.push(("waitMethod", wait.method.as_str().to_owned()));
    }
    let attributes: String = attributes.iter().map(|(name, value)| format!(" {name}=\"{}\"", escaped(value))).collect();
    Ok(format!("<Response><Dial><Conference{attributes}>{}</Conference></Dial></Response>", escaped(name)))
}

/// As it stands in XML. What XML cannot hold is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for sign in text.chars().filter(|sign| !sign.is_control() && !matches!(sign, '\u{fffe}' | '\u{ffff}')) {
        match sign {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(sign),
        }
    }
    escaped
}

fn view(conference: &menu::ConferenceView) -> ConferenceView {
    let why = conference.reason.map(|reason| {
        let all = [WhyEnded::Api, WhyEnded::EndOnExitLeft, WhyEnded::LastLeft, WhyEnded::LastKicked];
        let why = all.into_iter().find(|why| why.as_str() == reason).unwrap_or(WhyEnded::LastLeft);
        (why, conference.ended_by.as_ref().map(|call| shown(Kind::Call, call)))
    });
    ConferenceView {
        sid: shown(Kind::Conference, &conference.sid),
        friendly_name: conference.name.clone(),
        created: time(conference.created),
        updated: time(conference.ended.unwrap_or(conference.created)),
        status: match conference.status {
            "init" => Status::Init,
            "in-progress" => Status::InProgress,
            _ => Status::Completed,
        },
        why_ended: why,
    }
}

fn participant(phones: &Phones, conference: Sid, person: &menu::ParticipantView) -> ParticipantView {
    let call = phones.calls().view(&person.call);
    ParticipantView {
        call: shown(Kind::Call, &person.call),
        conference,
        label: person.label.clone(),
        created: time(person.joined),
        updated: time(person.joined),
        status: call.map_or(CallStatus::Completed, |call| calls::status(call.status)),
        is_muted: person.is_muted,
        is_on_hold: person.is_held,
        starts_on_enter: person.start_on_enter,
        ends_on_exit: person.end_on_exit,
        coaches: person.coaches.as_ref().map(|coached| shown(Kind::Call, coached)),
    }
}

/// As documents have it.
const NAME_CHARS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use bot::ivr::twiml::{self, Dialled, Limits, Verb};

    use super::*;
    use crate::dialect::twilio::rest::params::Params;

    #[test]
    fn the_document_of_somebody_who_is_called_in_says_what_was_wished() {
        let pairs = [
            ("To", "+49301"),
            ("From", "+49302"),
            ("Label", "a \"b\" & <c>"),
            ("EndConferenceOnExit", "true"),
            ("Muted", "true"),
            ("Beep", "onExit"),
            ("MaxParticipants", "7"),
            ("CallSidToCoach", "CA00000000000000000000000000000002"),
            ("WaitUrl", "https://app.example/wait?a=1&b=2"),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let wish = AddParticipant::read(&Params(pairs)).unwrap();
        let text = document("R&D <weekly>", &wish).unwrap();
        let document = twiml::parse(text.as_bytes(), Limits::default()).unwrap();
        assert_eq!(document.notices, []);
        let Verb::Dial(dial) = &document.steps[0].verb else { panic!("{text}") };
        let Dialled::Conference(room) = &dial.dialled else { panic!("{text}") };
        assert_eq!((room.name.as_str(), room.label.as_deref()), ("R&D <weekly>", Some("a \"b\" & <c>")));
        assert!(room.end_on_exit && room.start_on_enter && room.muted && room.beep == twiml::Beep::Exit);
        assert_eq!(room.max_participants, 7);
        assert_eq!(room.coach.as_deref(), Some("CA00000000000000000000000000000002"));
        assert_eq!(room.wait.as_ref().map(|wait| wait.to.0.as_str()), Some("https://app.example/wait?a=1&b=2"));
    }
}
