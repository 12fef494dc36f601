//! Parameters of a request, from a form or a query: read by name, with Twilio's spellings of values.
//!
//! Names that nobody knows are passed over, as Twilio does. Pure.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::error::RestError;
use crate::webhook::{Method, target::Target};

/// The longest value that is not a document: a URL.
const TEXT_BYTES_MAX: usize = 8 * 1_024;

/// Name and value, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(pub Vec<(String, String)>);

/// A URL to be called, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// An http or https URL.
    pub url: String,
    /// How.
    pub method: Method,
}

impl Params {
    /// The first value of this name; nothing when it is empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|text| !text.is_empty())
    }

    /// The same, where a name of a person or a thing is wanted: short and in one line.
    ///
    /// # Errors
    /// 400.
    pub fn line(&self, name: &str) -> Result<Option<String>, RestError> {
        let text = self.text(name);
        if text.is_some_and(|text| text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control)) {
            return Err(RestError::bad_parameter(name, "it must be one line of text"));
        }
        Ok(text.map(str::to_owned))
    }

    /// All values of this name; those of a list may also stand in one value, with spaces or commas between.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        values.flat_map(|value| value.split([' ', ','])).filter(|value| !value.is_empty()).collect()
    }

    /// True or false.
    ///
    /// # Errors
    /// 400.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, RestError> {
        match self.text(name) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(RestError::bad_parameter(name, "it is true or false")),
        }
    }

    /// A number within `range`.
    ///
    /// # Errors
    /// 400.
    pub fn number(&self, name: &str, range: std::ops::RangeInclusive<u32>) -> Result<Option<u32>, RestError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        let why = || format!("it is a number from {} to {}", range.start(), range.end());
        number.map(Some).ok_or_else(|| RestError::bad_parameter(name, &why()))
    }

    /// One of some words.
    ///
    /// # Errors
    /// 400.
    pub fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, RestError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| text.eq_ignore_ascii_case(word));
        found.map(|(_, value)| Some(*value)).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            RestError::bad_parameter(name, &format!("it is one of {}", words.join(", ")))
        })
    }

    /// GET or POST.
    ///
    /// # Errors
    /// 400.
    pub fn method(&self, name: &str) -> Result<Option<Method>, RestError> {
        self.word(name, &[("GET", Method::Get), ("POST", Method::Post)])
    }

    /// A URL, and the method that another parameter names; POST when it names none.
    ///
    /// # Errors
    /// 400 with Twilio's code for a URL that is none.
    pub fn hook(&self, url: &str, method: &str) -> Result<Option<Hook>, RestError> {
        let method = self.method(method)?.unwrap_or_default();
        let Some(text) = self.text(url) else { return Ok(None) };
        if Target::http(text).is_err() {
            return Err(RestError::not_now(21_205, format!("{url} is not a valid URL")));
        }
        Ok(Some(Hook { url: text.to_owned(), method }))
    }

    /// When something was: `Name`, `Name<` and `Name>`.
    ///
    /// # Errors
    /// 400.
    pub fn period(&self, name: &str) -> Result<Period, RestError> {
        let moment = |name: &str| {
            let Some(text) = self.text(name) else { return Ok(None) };
            let why = "it is a date such as 2026-07-31, or a time such as 2026-07-31T20:00:00Z";
            Moment::read(text).map(Some).ok_or_else(|| RestError::bad_parameter(name, why))
        };
        Ok(Period { on: moment(name)?, before: moment(&format!("{name}<"))?, after: moment(&format!("{name}>"))? })
    }
}

/// A day, or a moment of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Day(Date),
    Time(Timestamp),
}

impl Moment {
    fn read(text: &str) -> Option<Self> {
        text.parse().map(Self::Day).ok().filter(|_| text.len() == 10).or_else(|| text.parse().map(Self::Time).ok())
    }

    fn begin(self) -> Option<Timestamp> {
        match self {
            Self::Day(day) => day.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp()),
            Self::Time(time) => Some(time),
        }
    }

    fn end(self) -> Option<Timestamp> {
        match self {
            Self::Day(day) => day.tomorrow().ok().and_then(|day| Self::Day(day).begin()),
            Self::Time(time) => Some(time),
        }
    }
}

/// A stretch of time, in UTC. Days count as a whole, and both ends belong to it, as Twilio's do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    on: Option<Moment>,
    before: Option<Moment>,
    after: Option<Moment>,
}

impl Period {
    /// Whether `time` lies in it; what has no time lies in none but the whole of time.
    pub fn covers(&self, time: Option<Timestamp>) -> bool {
        let Some(time) = time else { return *self == Self::default() };
        let within = |moment: Moment| match moment {
            Moment::Day(_) => moment.begin().is_some_and(|begin| time >= begin) && moment.end() > Some(time),
            Moment::Time(at) => time == at,
        };
        let until = |moment: Moment| match moment {
            Moment::Day(_) => moment.end() > Some(time),
            Moment::Time(at) => time <= at,
        };
        self.on.is_none_or(within)
            && self.before.is_none_or(until)
            && self.after.is_none_or(|moment| moment.begin() <= Some(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn values_are_read_in_twilios_spellings() {
        let params = params(&[
            ("To", "+49301"),
            ("Record", "True"),
            ("Timeout", "30"),
            ("StatusCallback", "https://a.example/s"),
            ("StatusCallbackMethod", "get"),
            ("StatusCallbackEvent", "ringing"),
            ("StatusCallbackEvent", "answered completed"),
            ("Empty", ""),
        ]);
        assert_eq!((params.text("To"), params.text("Empty"), params.text("to")), (Some("+49301"), None, None));
        assert_eq!(params.flag("Record"), Ok(Some(true)));
        assert_eq!(params.number("Timeout", 5..=600), Ok(Some(30)));
        assert_eq!(params.list("StatusCallbackEvent"), ["ringing", "answered", "completed"]);
        let hook = params.hook("StatusCallback", "StatusCallbackMethod").unwrap().unwrap();
        assert_eq!((hook.url.as_str(), hook.method), ("https://a.example/s", Method::Get));
    }

    #[test]
    fn a_value_that_cannot_be_is_refused_by_its_name() {
        let params = params(&[
            ("Record", "maybe"),
            ("Timeout", "601"),
            ("Url", "nonsense"),
            ("Method", "PUT"),
            ("To", "a\r\nb"),
            ("StartTime>", "yesterday"),
        ]);
        for (error, code) in [
            (params.flag("Record").unwrap_err(), 20_001),
            (params.number("Timeout", 5..=600).unwrap_err(), 20_001),
            (params.hook("Url", "UrlMethod").unwrap_err(), 21_205),
            (params.method("Method").unwrap_err(), 20_001),
            (params.line("To").unwrap_err(), 20_001),
            (params.period("StartTime").unwrap_err(), 20_001),
        ] {
            assert_eq!((error.status.as_u16(), error.code), (400, code), "{error}");
        }
    }

    #[test]
    fn a_period_holds_whole_days_and_exact_times() {
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let day = params(&[("T", "2026-07-31")]).period("T").unwrap();
        let from = params(&[("T>", "2026-07-31")]).period("T").unwrap();
        let until = params(&[("T<", "2026-07-31T12:00:00Z")]).period("T").unwrap();
        for (time, in_day, in_from, in_until) in [
            ("2026-07-30T23:59:59Z", false, false, true),
            ("2026-07-31T00:00:00Z", true, true, true),
            ("2026-07-31T12:00:00Z", true, true, true),
            ("2026-07-31T12:00:01Z", true, true, false),
            ("2026-08-01T00:00:00Z", false, true, false),
        ] {
            let covered = (day.covers(at(time)), from.covers(at(time)), until.covers(at(time)));
            assert_eq!(covered, (in_day, in_from, in_until), "{time}");
        }
        assert!(Period::default().covers(None) && !day.covers(None));
    }
}
