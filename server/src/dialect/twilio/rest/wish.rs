//! What is wished of calls: to be placed, to do something else, to be recorded, to say who answers.
//!
//! Pure values, read from forms with Twilio's defaults and refused with Twilio's numbers.

use std::{collections::BTreeSet, fmt};

use bot::answering::Settings;

use super::{
    error::RestError,
    params::{Hook, Params},
};

/// What a call is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// Ask there.
    Url(Hook),
    /// This document.
    Twiml(String),
}

impl Instructions {
    /// Twilio's bound of a document in a parameter.
    const CHARS_MAX: usize = 4_000;

    fn read(params: &Params) -> Result<Option<Self>, RestError> {
        if params.text("ApplicationSid").is_some() {
            return Err(RestError::not_now(21_218, "ApplicationSid names nothing here: send Url or Twiml"));
        }
        match (params.text("Twiml"), params.hook("Url", "Method")?) {
            (Some(twiml), None) if twiml.chars().count() > Self::CHARS_MAX => {
                Err(RestError::bad_parameter("Twiml", "it has at most 4000 characters"))
            }
            (Some(twiml), None) => Ok(Some(Self::Twiml(twiml.to_owned()))),
            (None, Some(hook)) => Ok(Some(Self::Url(hook))),
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(RestError::bad_parameter("Twiml", "it excludes Url")),
        }
    }
}

/// What a status callback is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusEvent {
    /// The call leaves.
    Initiated,
    /// It rings.
    Ringing,
    /// It was answered.
    Answered,
    /// It is over, however it ended.
    Completed,
}

/// Where a call's changes are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusCallback {
    /// Where.
    pub hook: Hook,
    /// Which.
    pub events: BTreeSet<StatusEvent>,
}

impl StatusCallback {
    /// Reads `StatusCallback` and what belongs to it.
    ///
    /// # Errors
    /// 400.
    pub(super) fn read(params: &Params) -> Result<Option<Self>, RestError> {
        let Some(hook) = params.hook("StatusCallback", "StatusCallbackMethod")? else { return Ok(None) };
        let event = |word: &str| match word {
            "initiated" => Ok(StatusEvent::Initiated),
            "ringing" => Ok(StatusEvent::Ringing),
            "answered" => Ok(StatusEvent::Answered),
            "completed" => Ok(StatusEvent::Completed),
            _ => Err(RestError::not_now(
                21_626,
                "StatusCallbackEvent is one of initiated, ringing, answered and completed",
            )),
        };
        let mut events: BTreeSet<_> =
            params.list("StatusCallbackEvent").into_iter().map(event).collect::<Result<_, _>>()?;
        if events.is_empty() {
            events.insert(StatusEvent::Completed);
        }
        Ok(Some(Self { hook, events }))
    }
}

/// How a recording is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordWish {
    /// One channel for each party, or one for both.
    pub is_dual: bool,
    /// Whose voice.
    pub track: RecordTrack,
    /// Whether silence at its ends is cut off.
    pub trims: bool,
    /// Where it is told of.
    pub callback: Option<Hook>,
}

/// Whose voice is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordTrack {
    /// The caller's.
    Inbound,
    /// What the caller hears.
    Outbound,
    /// Both.
    #[default]
    Both,
}

impl RecordWish {
    /// Reads the parameters of a recording, whether or not one is asked for.
    ///
    /// # Errors
    /// 400.
    pub(super) fn read(params: &Params) -> Result<Self, RestError> {
        let tracks =
            [("inbound", RecordTrack::Inbound), ("outbound", RecordTrack::Outbound), ("both", RecordTrack::Both)];
        Ok(Self {
            is_dual: params.word("RecordingChannels", &[("mono", false), ("dual", true)])?.unwrap_or(false),
            track: params.word("RecordingTrack", &tracks)?.unwrap_or_default(),
            trims: params.word("Trim", &[("trim-silence", true), ("do-not-trim", false)])?.unwrap_or(true),
            callback: params.hook("RecordingStatusCallback", "RecordingStatusCallbackMethod")?,
        })
    }
}

/// How it is found out who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    /// What is to be found out, and how patiently.
    pub settings: Settings,
    /// Whether the call goes on meanwhile.
    pub is_aside: bool,
    /// Where the answer is told, beside the call's own requests.
    pub callback: Option<Hook>,
}

impl Detection {
    /// Reads `MachineDetection` and what belongs to it, for a call of its own.
    ///
    /// # Errors
    /// 400.
    pub(super) fn of_call(params: &Params) -> Result<Option<Self>, RestError> {
        let is_aside = params.flag("AsyncAmd")?.unwrap_or(false);
        let callback = params.hook("AsyncAmdStatusCallback", "AsyncAmdStatusCallbackMethod")?;
        // Whoever waits for the answer is told it with the first request.
        Ok(Self::settings(params)?.map(|settings| Self { settings, is_aside, callback: callback.filter(|_| is_aside) }))
    }

    /// The same for somebody who is called into a conference, which waits for nobody.
    ///
    /// # Errors
    /// 400.
    pub(super) fn of_participant(params: &Params) -> Result<Option<Self>, RestError> {
        let callback = params.hook("AmdStatusCallback", "AmdStatusCallbackMethod")?;
        Ok(Self::settings(params)?.map(|settings| Self { settings, is_aside: true, callback }))
    }

    fn settings(params: &Params) -> Result<Option<Settings>, RestError> {
        Settings::of_parameters(|name| params.text(name))
            .map_err(|error| RestError::bad_parameter(error.name, &format!("it is {}", error.expected)))
    }
}

/// A name and a password for whoever is called by SIP. The password never shows.
#[derive(Clone, PartialEq, Eq)]
pub struct SipLogin {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for SipLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SipLogin").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A call to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateCall {
    /// Whom to call: a number, a SIP URI or `client:name`.
    pub to: String,
    /// Who calls.
    pub from: String,
    /// What to do when somebody answers.
    pub instructions: Instructions,
    /// Where to ask when that fails.
    pub fallback: Option<Hook>,
    /// Where its changes are told.
    pub status_callback: Option<StatusCallback>,
    /// How long it may ring, in seconds.
    pub timeout_s: u32,
    /// How long it may last once it was answered, in seconds.
    pub time_limit_s: u32,
    /// Keys to be pressed when it is answered: digits, `#`, `*`, and `w` for half a second of waiting.
    pub send_digits: Option<String>,
    /// Whether and how it is recorded.
    pub record: Option<RecordWish>,
    /// Whether and how it is found out who answers.
    pub detection: Option<Detection>,
    /// The login at the SIP domain that is called.
    pub sip_login: Option<SipLogin>,
}

impl CreateCall {
    /// Reads the form of a request.
    ///
    /// # Errors
    /// 400 with Twilio's codes.
    pub fn read(params: &Params) -> Result<Self, RestError> {
        let to = params.line("To")?.ok_or_else(|| RestError::not_now(21_201, "No 'To' number is specified"))?;
        let from = params.line("From")?.ok_or_else(|| RestError::not_now(21_213, "No 'From' number is specified"))?;
        let instructions = Instructions::read(params)?
            .ok_or_else(|| RestError::not_now(21_205, "Url parameter is required: send Url or Twiml"))?;
        let send_digits = params.line("SendDigits")?;
        let is_key =
            |key: char| key.is_ascii_digit() || matches!(key.to_ascii_lowercase(), '#' | '*' | 'w' | ',' | 'a'..='d');
        if send_digits.as_ref().is_some_and(|digits| digits.len() > DIGITS_MAX || !digits.chars().all(is_key)) {
            return Err(RestError::bad_parameter("SendDigits", "it has up to 256 of 0 to 9, *, #, A to D and w"));
        }
        let record = RecordWish::read(params)?;
        let sip_login = match (params.line("SipAuthUsername")?, params.line("SipAuthPassword")?) {
            (Some(username), password) => Some(SipLogin { username, password: password.unwrap_or_default() }),
            (None, _) => None,
        };
        Ok(Self {
            to,
            from,
            instructions,
            fallback: params.hook("FallbackUrl", "FallbackMethod")?,
            status_callback: StatusCallback::read(params)?,
            timeout_s: params.number("Timeout", 1..=600)?.unwrap_or(60),
            time_limit_s: params.number("TimeLimit", 1..=86_400)?.unwrap_or(14_400),
            send_digits,
            record: params.flag("Record")?.unwrap_or(false).then_some(record),
            detection: Detection::of_call(params)?,
            sip_login,
        })
    }
}

/// What is to become of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateCall {
    /// It is to end: if it has not been answered (`canceled`), or in any case (`completed`).
    pub end: Option<EndCall>,
    /// It is to do this from now on.
    pub instructions: Option<Instructions>,
    /// Where to ask when that fails.
    pub fallback: Option<Hook>,
    /// Where its end is told.
    pub status_callback: Option<Hook>,
    /// How long it may last, in seconds since it was answered.
    pub time_limit_s: Option<u32>,
}

/// How a call is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndCall {
    /// Only before it is answered.
    Canceled,
    /// In any case.
    Completed,
}

impl UpdateCall {
    /// Reads the form of a request.
    ///
    /// # Errors
    /// 400 with Twilio's codes.
    pub fn read(params: &Params) -> Result<Self, RestError> {
        let ends = [("canceled", EndCall::Canceled), ("completed", EndCall::Completed)];
        Ok(Self {
            end: params.word("Status", &ends)?,
            instructions: Instructions::read(params)?,
            fallback: params.hook("FallbackUrl", "FallbackMethod")?,
            status_callback: params.hook("StatusCallback", "StatusCallbackMethod")?,
            time_limit_s: params.number("TimeLimit", 1..=86_400)?,
        })
    }
}

/// The longest row of keys.
const DIGITS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::Method;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_plain_call_has_twilios_defaults() {
        let wish = CreateCall::read(&params(&[("To", "+1"), ("From", "+2"), ("Url", "http://a.example/v")])).unwrap();
        let hook = Hook { url: "http://a.example/v".to_owned(), method: Method::Post };
        assert_eq!(wish.instructions, Instructions::Url(hook));
        assert_eq!((wish.timeout_s, wish.time_limit_s), (60, 14_400));
        assert_eq!((wish.record, wish.detection, wish.status_callback), (None, None, None));
    }

    #[test]
    fn everything_that_can_be_asked_of_a_call_is_read() {
        let wish = CreateCall::read(&params(&[
            ("To", "sip:ada@example.org"),
            ("From", "client:bot"),
            ("Twiml", "<Response/>"),
            ("StatusCallback", "http://a.example/s"),
            ("StatusCallbackEvent", "initiated"),
            ("StatusCallbackEvent", "answered"),
            ("Timeout", "20"),
            ("Record", "true"),
            ("RecordingChannels", "dual"),
            ("RecordingTrack", "inbound"),
            ("Trim", "do-not-trim"),
            ("RecordingStatusCallback", "http://a.example/r"),
            ("RecordingStatusCallbackMethod", "GET"),
            ("SendDigits", "ww1234#"),
            ("MachineDetection", "DetectMessageEnd"),
            ("MachineDetectionTimeout", "10"),
            ("AsyncAmd", "true"),
            ("AsyncAmdStatusCallback", "http://a.example/amd"),
            ("SipAuthUsername", "ada"),
            ("SipAuthPassword", "hush"),
        ]))
        .unwrap();
        assert_eq!(wish.instructions, Instructions::Twiml("<Response/>".to_owned()));
        let events = wish.status_callback.clone().unwrap().events;
        assert_eq!(events, [StatusEvent::Initiated, StatusEvent::Answered].into());
        let record = wish.record.clone().unwrap();
        assert_eq!((record.is_dual, record.track, record.trims), (true, RecordTrack::Inbound, false));
        assert_eq!(record.callback.map(|hook| hook.method), Some(Method::Get));
        let detection = wish.detection.clone().unwrap();
        assert!(detection.settings.until_message_end && detection.settings.timeout.as_secs() == 10);
        assert!(detection.is_aside);
        assert_eq!(detection.callback.map(|hook| hook.url).as_deref(), Some("http://a.example/amd"));
        assert_eq!(wish.send_digits.as_deref(), Some("ww1234#"));
        assert!(!format!("{wish:?}").contains("hush"));
    }

    #[test]
    fn a_call_that_cannot_be_placed_is_refused_with_twilios_number() {
        let good = [("To", "+1"), ("From", "+2"), ("Url", "http://a.example/v")];
        for (more, without, code) in [
            (None, Some("To"), 21_201),
            (None, Some("From"), 21_213),
            (None, Some("Url"), 21_205),
            (Some(("Twiml", "<Response/>")), None, 20_001),
            (Some(("ApplicationSid", "AP1")), None, 21_218),
            (Some(("Timeout", "601")), None, 20_001),
            (Some(("SendDigits", "1x")), None, 20_001),
            (Some(("MachineDetection", "perhaps")), None, 20_001),
            (Some(("AsyncAmd", "perhaps")), None, 20_001),
            (Some(("StatusCallback", "x")), None, 21_205),
        ] {
            let kept = good.into_iter().filter(|(name, _)| Some(*name) != without);
            let asked: Vec<_> = kept.chain(more).collect();
            assert_eq!(CreateCall::read(&params(&asked)).unwrap_err().code, code, "{more:?} {without:?}");
        }
        let events = params(&[
            ("To", "+1"),
            ("From", "+2"),
            ("Url", "http://a.example/v"),
            ("StatusCallback", "http://a.example/"),
            ("StatusCallbackEvent", "sneezed"),
        ]);
        assert_eq!(CreateCall::read(&events).unwrap_err().code, 21_626);
    }

    #[test]
    fn a_call_is_updated_by_what_is_named_and_nothing_else() {
        assert_eq!(UpdateCall::read(&Params::default()).unwrap(), UpdateCall::default());
        let end = UpdateCall::read(&params(&[("Status", "completed")])).unwrap();
        assert_eq!(end.end, Some(EndCall::Completed));
        assert!(UpdateCall::read(&params(&[("Status", "ringing")])).is_err());
    }
}
