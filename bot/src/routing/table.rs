//! The table of numbers: who is called for this number, from this source.
//!
//! Entries are tried in the order in which they are written; the first whose pattern takes the number and whose
//! sources take the caller wins. An entry whose sources do not take the caller is as if it were not there, so that
//! nobody learns of numbers that are not theirs to call. Never looks at the host part of a URI: whatever reached
//! this server is for it.

use serde::Deserialize;

use super::{
    destination::{Destination, Ivr, Method, Target, Template, is_printable},
    number::Party,
    pattern::Pattern,
    source::Source,
};

/// One entry: `[[numbers]]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// A pattern, or a list of patterns.
    #[serde(deserialize_with = "one_or_more")]
    pub number: Vec<Pattern>,
    /// What answers.
    pub to: Target,
    /// At a trunk: what is dialled there; the number in E.164 when not set.
    #[serde(default)]
    pub dial: Option<Template>,
    /// Who may call it: networks, and `trunk:NAME`; everybody when empty.
    #[serde(default)]
    pub from: Vec<Source>,
    /// Whether callers must say who they are (digest).
    #[serde(default)]
    pub auth: bool,
    /// At an application: how its URL is asked.
    #[serde(default)]
    pub method: Option<Method>,
    /// At an application: the URL that is asked when the first fails.
    #[serde(default)]
    pub fallback: Option<String>,
    /// At an application: the URL that is told how the call fares.
    #[serde(default)]
    pub status_callback: Option<String>,
    /// Whether calls are recorded; they are not when not set.
    #[serde(default)]
    pub record: Option<Record>,
    /// At a scribe or a conference: whether several people may be on the caller's line, whose voices are told apart
    /// then.
    #[serde(default)]
    pub diarize: bool,
    /// Where callers are asked: the question, in place of ours.
    #[serde(default)]
    pub question: Option<String>,
    /// Where callers are asked: the language of what they are told, such as `de-DE`.
    #[serde(default)]
    pub language: Option<String>,
}

/// Whether calls of a number are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// When everybody in the call has agreed.
    Ask,
}

/// How those in a call are asked whether it may be recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// The question; the server's own when not set.
    pub question: Option<String>,
    /// The language of what they are told.
    pub language: Option<String>,
}

impl Entry {
    /// `number` leads to `to`, for everybody.
    pub fn new(number: Pattern, to: Target) -> Self {
        Self {
            number: vec![number],
            to,
            dial: None,
            from: Vec::new(),
            auth: false,
            method: None,
            fallback: None,
            status_callback: None,
            record: None,
            diarize: false,
            question: None,
            language: None,
        }
    }

    /// What makes no sense: the key, and why.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        let is_ivr = matches!(self.to, Target::Ivr(_));
        let is_url = |url: &Option<String>| {
            url.as_ref().is_none_or(|url| {
                let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
                rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) && is_printable(url)
            })
        };
        match self {
            Self { number, .. } if number.is_empty() => Some(("number", "must hold a pattern")),
            Self { dial: Some(_), to, .. } if !matches!(to, Target::Trunk(_)) => {
                Some(("dial", "is for numbers that lead to a trunk"))
            }
            Self { method: Some(_), .. } if !is_ivr => Some(("method", "is for numbers that lead to an application")),
            Self { fallback: Some(_), .. } if !is_ivr => {
                Some(("fallback", "is for numbers that lead to an application"))
            }
            Self { status_callback: Some(_), .. } if !is_ivr => {
                Some(("status_callback", "is for numbers that lead to an application"))
            }
            Self { fallback, .. } if !is_url(fallback) => Some(("fallback", "must be an http(s) URL")),
            Self { status_callback, .. } if !is_url(status_callback) => {
                Some(("status_callback", "must be an http(s) URL"))
            }
            Self { record: Some(_), to, .. } if !matches!(to, Target::User(_) | Target::Trunk(_) | Target::Scribe) => {
                Some(("record", "is for numbers that lead to a user, a trunk or scribe; applications ask themselves"))
            }
            Self { diarize: true, to, .. } if !matches!(to, Target::Scribe | Target::Conference(_)) => {
                Some(("diarize", "is for numbers that lead to scribe or a conference"))
            }
            Self { record: None, question: Some(_), .. } => Some(("question", "is for numbers with record = \"ask\"")),
            Self { record: None, language: Some(_), .. } => Some(("language", "is for numbers with record = \"ask\"")),
            Self { question: Some(question), .. } if question.trim().is_empty() => {
                Some(("question", "must say something"))
            }
            Self { to: Target::Trunk(_), from, auth: false, .. } if from.is_empty() => Some((
                "from",
                "or auth must be set: this number leads to a trunk, and everybody could call on your bill",
            )),
            _ => None,
        }
    }

    fn connect(&self, called: &Party, rest: &str) -> Option<Destination> {
        Some(match &self.to {
            Target::Echo => Destination::Echo,
            Target::Ring => Destination::Ring,
            Target::Scribe => Destination::Scribe,
            Target::Agent(name) => Destination::Agent(name.clone()),
            Target::Ivr(script) => Destination::Ivr(Ivr {
                script: script.clone(),
                method: self.method.unwrap_or_default(),
                fallback: self.fallback.clone(),
                status_callback: self.status_callback.clone(),
            }),
            Target::Conference(name) => Destination::Conference(named(name.fill(called, rest))?),
            Target::User(name) => Destination::User(named(name.fill(called, rest))?),
            Target::Trunk(trunk) => {
                let number = match &self.dial {
                    Some(template) => template.fill(called, rest),
                    None => called.best().to_owned(),
                };
                let digits = number.strip_prefix('+').unwrap_or(&number);
                let is_dialled = |byte: u8| byte.is_ascii_digit() || byte == b'*' || byte == b'#';
                let is_sound = !digits.is_empty() && digits.len() <= DIALLED_MAX && digits.bytes().all(is_dialled);
                is_sound.then(|| Destination::Trunk { trunk: trunk.clone(), number })?
            }
            Target::Reject(status) => Destination::Reject(*status),
        })
    }
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// Where the call came from.
    pub address: std::net::IpAddr,
    /// The trunk that the call came by.
    pub trunk: Option<&'a str>,
    /// Who the caller proved to be.
    pub user: Option<&'a str>,
}

/// What to do with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Connect it.
    Connect(Destination),
    /// Ask who it is (401) and come again with the answer.
    Challenge,
    /// Refuse it with this SIP status.
    Refuse(u16),
}

/// What callers of unknown numbers are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// 404. Whoever tries numbers learns which of them demand a password.
    #[default]
    NotFound,
    /// 401, as numbers that demand a password answer: only whoever has one learns which numbers there are. The
    /// default where every number demands one is worth setting.
    Challenge,
}

/// All numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    entries: Vec<Entry>,
    unknown: Unknown,
}

impl Table {
    /// The table of these entries, in this order.
    pub fn new(entries: Vec<Entry>, unknown: Unknown) -> Self {
        Self { entries, unknown }
    }

    /// Who is called.
    pub fn route(&self, called: &Party, caller: &Caller<'_>) -> Decision {
        match self.find(called, caller) {
            Some((entry, _)) if entry.auth && caller.user.is_none() => Decision::Challenge,
            Some((entry, rest)) => entry.connect(called, rest).map_or(Decision::Refuse(NOT_FOUND), Decision::Connect),
            None if self.unknown == Unknown::Challenge && caller.user.is_none() && caller.trunk.is_none() => {
                Decision::Challenge
            }
            None => Decision::Refuse(NOT_FOUND),
        }
    }

    /// How those are asked who call this, if their call is to be recorded.
    pub fn asks(&self, called: &Party, caller: &Caller<'_>) -> Option<Ask> {
        let (entry, _) = self.find(called, caller)?;
        let Record::Ask = entry.record?;
        Some(Ask { question: entry.question.clone(), language: entry.language.clone() })
    }

    /// Whether several people may be on the line of those who call this.
    pub fn diarizes(&self, called: &Party, caller: &Caller<'_>) -> bool {
        self.find(called, caller).is_some_and(|(entry, _)| entry.diarize)
    }

    fn find<'a>(&'a self, called: &'a Party, caller: &Caller<'_>) -> Option<(&'a Entry, &'a str)> {
        self.entries.iter().find_map(|entry| {
            let rest = entry.number.iter().find_map(|pattern| pattern.rest(called))?;
            is_from(&entry.from, caller).then_some((entry, rest))
        })
    }
}

fn is_from(sources: &[Source], caller: &Caller<'_>) -> bool {
    sources.is_empty()
        || sources.iter().any(|source| match source {
            Source::Network(network) => network.contains(caller.address),
            Source::Trunk(trunk) => caller.trunk == Some(trunk),
        })
}

/// A name that was filled in by a caller: it goes into logs, URLs and events.
fn named(name: String) -> Option<String> {
    (!name.is_empty() && !name.chars().any(char::is_control)).then_some(name)
}

fn one_or_more<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Pattern>, D::Error> {
    struct Patterns;

    impl<'de> serde::de::Visitor<'de> for Patterns {
        type Value = Vec<Pattern>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a pattern or a list of patterns")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            text.parse().map(|pattern| vec![pattern]).map_err(E::custom)
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut patterns = Vec::new();
            while let Some(pattern) = list.next_element()? {
                patterns.push(pattern);
            }
            Ok(patterns)
        }
    }

    deserializer.deserialize_any(Patterns)
}

/// Nobody here has that number (RFC 3261 section 21.4.5).
const NOT_FOUND: u16 = 404;

/// Longer than any number and its service codes.
const DIALLED_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::routing::number::Home;

    #[test]
    fn the_first_entry_that_takes_number_and_caller_wins() {
        let table = Table::new(
            vec![
                entry("echo", "echo"),
                Entry { from: vec!["trunk:berlin".parse().unwrap()], ..entry("+4930123456", "ivr:a.xml") },
                Entry { from: vec!["192.0.2.0/24".parse().unwrap()], ..entry("+4930*", "agent") },
                Entry { auth: true, ..entry("auth", "echo") },
                Entry { auth: true, dial: Some("00{rest}".parse().unwrap()), ..entry("9*", "trunk:berlin") },
                entry("8?", "conference:room-{rest}"),
                entry("+4930999*", "reject:486"),
            ],
            Unknown::NotFound,
        );
        let ivr = Destination::Ivr(Ivr {
            script: crate::routing::Script::File("a.xml".into()),
            method: Method::Post,
            fallback: None,
            status_callback: None,
        });
        let trunk = |number: &str| Destination::Trunk { trunk: "berlin".to_owned(), number: number.to_owned() };
        for (called, address, by, user, decision) in [
            ("sip:echo@h", "198.51.100.1", None, None, Decision::Connect(Destination::Echo)),
            ("sip:Echo@h", "198.51.100.1", None, None, Decision::Refuse(404)),
            ("030123456", "198.51.100.1", Some("berlin"), None, Decision::Connect(ivr)),
            ("030123456", "192.0.2.1", None, None, Decision::Connect(Destination::Agent(None))),
            ("030123456", "198.51.100.1", None, None, Decision::Refuse(404)),
            ("030888", "198.51.100.1", None, None, Decision::Refuse(404)),
            ("0309991", "198.51.100.1", None, None, Decision::Connect(Destination::Reject(486))),
            ("auth", "198.51.100.1", None, None, Decision::Challenge),
            ("auth", "198.51.100.1", None, Some("yard"), Decision::Connect(Destination::Echo)),
            ("9123", "198.51.100.1", None, None, Decision::Challenge),
            ("9123", "198.51.100.1", None, Some("yard"), Decision::Connect(trunk("00123"))),
            ("9abc", "198.51.100.1", None, Some("yard"), Decision::Refuse(404)),
            ("87", "198.51.100.1", None, None, Decision::Connect(Destination::Conference("room-7".to_owned()))),
            ("sip:h", "198.51.100.1", None, None, Decision::Refuse(404)),
        ] {
            let caller = Caller { address: address.parse().unwrap(), trunk: by, user };
            assert_eq!(table.route(&party(called), &caller), decision, "{called}");
        }
    }

    #[test]
    fn whoever_calls_a_number_that_is_recorded_is_asked_as_its_entry_says() {
        let question = Some("May we record?".to_owned());
        let recorded = Entry { record: Some(Record::Ask), question: question.clone(), ..entry("100", "user:alice") };
        let table = Table::new(vec![recorded, entry("*", "scribe")], Unknown::NotFound);
        assert_eq!(table.asks(&party("100"), &stranger()), Some(Ask { question, language: None }));
        assert_eq!(table.asks(&party("101"), &stranger()), None);
    }

    #[test]
    fn with_challenge_nobody_learns_which_numbers_exist() {
        let table = Table::new(
            vec![Entry { auth: true, ..entry("100", "user:alice") }, Entry { auth: true, ..entry("auth", "echo") }],
            Unknown::Challenge,
        );
        for called in ["100", "101", "auth", "nobody", "sip:h", "+4930123456"] {
            assert_eq!(table.route(&party(called), &stranger()), Decision::Challenge, "{called}");
        }
        let known = Caller { user: Some("yard"), ..stranger() };
        assert_eq!(table.route(&party("101"), &known), Decision::Refuse(404));
    }

    #[test]
    fn a_name_that_a_caller_fills_in_holds_no_control_characters() {
        let table = Table::new(vec![entry("*", "conference:{dialled}")], Unknown::NotFound);
        assert_eq!(table.route(&party("sip:a%0Ab@h"), &stranger()), Decision::Refuse(404));
        assert_eq!(table.route(&party("sip:h"), &stranger()), Decision::Refuse(404));
    }

    #[test]
    fn entries_that_make_no_sense_are_named() {
        for (broken, key) in [
            (entry("9*", "trunk:berlin"), "from"),
            (Entry { dial: Some(Template::number()), ..entry("9*", "echo") }, "dial"),
            (Entry { method: Some(Method::Get), ..entry("9*", "echo") }, "method"),
            (Entry { fallback: Some("https://a".to_owned()), ..entry("9*", "echo") }, "fallback"),
            (Entry { fallback: Some("file:///etc".to_owned()), ..entry("9*", "ivr") }, "fallback"),
            (Entry { status_callback: Some("x".to_owned()), ..entry("9*", "ivr") }, "status_callback"),
            (Entry { number: Vec::new(), ..entry("9*", "ivr") }, "number"),
            (Entry { record: Some(Record::Ask), ..entry("9*", "ivr") }, "record"),
            (Entry { diarize: true, ..entry("9*", "agent") }, "diarize"),
            (Entry { question: Some("May we?".to_owned()), ..entry("9*", "scribe") }, "question"),
            (Entry { language: Some("de".to_owned()), ..entry("9*", "scribe") }, "language"),
        ] {
            assert_eq!(broken.fault().unwrap().0, key);
        }
        assert_eq!(entry("9*", "ivr").fault(), None);
    }

    #[test]
    fn people_on_a_shared_line_are_told_apart_where_its_number_says_so() {
        let shared = Entry { diarize: true, ..entry("100", "conference:board") };
        assert_eq!(shared.fault(), None);
        let table = Table::new(vec![shared, entry("101", "scribe")], Unknown::NotFound);
        assert!(table.diarizes(&party("100"), &stranger()));
        assert!(!table.diarizes(&party("101"), &stranger()));
        assert!(!table.diarizes(&party("102"), &stranger()));
    }

    proptest! {
        #[test]
        fn whatever_is_dialled_nobody_reaches_a_trunk_unasked(
            called in "\\PC{0,24}", from in any::<[u8; 4]>(), trunk in prop::option::of("[a-c]"),
        ) {
            let table = Table::new(
                vec![
                    Entry { auth: true, dial: Some("{dialled}".parse().unwrap()), ..entry("*", "trunk:a") },
                ],
                Unknown::NotFound,
            );
            let caller = Caller { address: IpAddr::from(from), trunk: trunk.as_deref(), user: None };
            let Ok(party) = Party::read(&called, &Home::default()) else { return Ok(()) };
            prop_assert_eq!(table.route(&party, &caller), Decision::Challenge);
            match table.route(&party, &Caller { user: Some("yard"), ..caller }) {
                Decision::Connect(Destination::Trunk { number, .. }) => {
                    prop_assert!(number.chars().all(|letter| letter.is_ascii_digit() || "+*#".contains(letter)));
                }
                decision => prop_assert_eq!(decision, Decision::Refuse(404)),
            }
        }
    }

    fn entry(number: &str, to: &str) -> Entry {
        Entry::new(number.parse().unwrap(), to.parse().unwrap())
    }

    fn party(called: &str) -> Party {
        Party::read(called, &Home { country: Some("49".to_owned()), ..Home::default() }).unwrap()
    }

    fn stranger() -> Caller<'static> {
        Caller { address: "198.51.100.1".parse().unwrap(), trunk: None, user: None }
    }
}
