//! What answers a number.
//!
//! In the configuration a destination is one word, with what it needs behind a colon: `echo`, `ring`, `scribe`,
//! `agent:NAME`, `ivr:FILE` or `ivr:URL`, `conference:NAME`, `user:NAME`, `trunk:NAME`, `reject:486`. Names of
//! conferences and users, and what is dialled at a trunk, may hold what was called: `{dialled}` as it was dialled,
//! `{number}` in E.164 where it has one, `{rest}` what stands for the pattern's wildcards.

use std::{path::PathBuf, str::FromStr};

use serde::{Deserialize, de::Error as _};

use super::number::Party;

/// What answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The caller's own sound.
    Echo,
    /// Nobody: it rings until the caller gives up.
    Ring,
    /// An application in TwiML.
    Ivr(Ivr),
    /// An agent that talks; the configured one when not named.
    Agent(Option<String>),
    /// Listens and transcribes.
    Scribe,
    /// The conference of that name.
    Conference(String),
    /// Whoever registered as that user here.
    User(String),
    /// Somebody behind a trunk.
    Trunk {
        /// The trunk's name in the configuration.
        trunk: String,
        /// What is dialled there: `+4930123456`, or digits as the trunk knows them.
        number: String,
    },
    /// Nobody: the call is refused with this SIP status.
    Reject(u16),
}

/// An application and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ivr {
    /// Where its first TwiML comes from.
    pub script: Script,
    /// How a URL is asked.
    pub method: Method,
    /// Asked when the first cannot be had.
    pub fallback: Option<String>,
    /// Told how the call fares.
    pub status_callback: Option<String>,
}

/// Where TwiML comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// The sample that comes with the server.
    Sample,
    /// A file of this machine.
    File(PathBuf),
    /// A web server.
    Url(String),
}

/// How a URL is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Parameters in the URL.
    Get,
    /// Parameters in the body, as Twilio does when nobody says otherwise.
    #[default]
    Post,
}

/// A destination as it is written, before anybody has called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// See [`Destination::Echo`].
    Echo,
    /// See [`Destination::Ring`].
    Ring,
    /// See [`Destination::Ivr`].
    Ivr(Script),
    /// See [`Destination::Agent`].
    Agent(Option<String>),
    /// See [`Destination::Scribe`].
    Scribe,
    /// See [`Destination::Conference`].
    Conference(Template),
    /// See [`Destination::User`].
    User(Template),
    /// See [`Destination::Trunk`].
    Trunk(String),
    /// See [`Destination::Reject`].
    Reject(u16),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, rest) = text.split_once(':').map_or((text, None), |(word, rest)| (word, Some(rest)));
        let needs = |what: &str| format!("{text:?} lacks {what}");
        let named = |what| rest.filter(|rest| !rest.is_empty()).ok_or_else(|| needs(what));
        match word {
            "echo" | "ring" | "scribe" if rest.is_some() => Err(format!("{word:?} takes nothing behind a colon")),
            "echo" => Ok(Self::Echo),
            "ring" => Ok(Self::Ring),
            "scribe" => Ok(Self::Scribe),
            "agent" => match rest {
                None => Ok(Self::Agent(None)),
                Some(_) => Ok(Self::Agent(Some(named("a name, as in agent:NAME")?.to_owned()))),
            },
            "ivr" => match rest {
                None => Ok(Self::Ivr(Script::Sample)),
                Some(_) => Script::read(named("a file or URL, as in ivr:FILE")?).map(Self::Ivr),
            },
            "conference" => Ok(Self::Conference(named("a name, as in conference:NAME")?.parse()?)),
            "user" => Ok(Self::User(named("a name, as in user:NAME")?.parse()?)),
            "trunk" => Ok(Self::Trunk(named("a name, as in trunk:NAME")?.to_owned())),
            "reject" => match rest.map_or(Ok(DEFAULT_REJECTION), str::parse) {
                Ok(status) if (400..=699).contains(&status) => Ok(Self::Reject(status)),
                _ => Err(format!("{text:?} must refuse with a status of 400 to 699, as in reject:486")),
            },
            _ => Err(format!(
                "{text:?} is no destination: echo, ring, scribe, agent, ivr, conference, user, trunk or reject"
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Script {
    fn read(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            None => Ok(Self::File(text.into())),
            Some(("http" | "https", rest)) if !rest.is_empty() && !rest.starts_with('/') && is_printable(text) => {
                Ok(Self::Url(text.to_owned()))
            }
            Some(_) => Err(format!("{text:?} is neither a file nor an http(s) URL")),
        }
    }
}

/// Text with places for what was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Dialled,
    Number,
    Rest,
}

impl Template {
    /// What is dialled at a trunk when nobody says otherwise: the number in E.164.
    pub fn number() -> Self {
        Self(vec![Piece::Number])
    }

    /// The text for this call.
    pub fn fill(&self, party: &Party, rest: &str) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Dialled => party.dialled(),
            Piece::Number => party.best(),
            Piece::Rest => rest,
        });
        pieces.collect()
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} may hold {{dialled}}, {{number}} and {{rest}} in braces, nothing else");
        let mut pieces = Vec::new();
        let mut left = text;
        while let Some((before, behind)) = left.split_once('{') {
            let (name, after) = behind.split_once('}').ok_or_else(wrong)?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(match name {
                "dialled" => Piece::Dialled,
                "number" => Piece::Number,
                "rest" => Piece::Rest,
                _ => return Err(wrong()),
            });
            left = after;
        }
        if !left.is_empty() {
            pieces.push(Piece::Text(left.to_owned()));
        }
        let is_stray = |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains('}'));
        if pieces.is_empty() || pieces.iter().any(is_stray) {
            return Err(wrong());
        }
        Ok(Self(pieces))
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

pub(super) fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Decline: it was answered, and the answer is no.
const DEFAULT_REJECTION: u16 = 603;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::number::Home;

    #[test]
    fn destinations_are_read_as_they_are_written() {
        for (text, target) in [
            ("echo", Target::Echo),
            ("ring", Target::Ring),
            ("scribe", Target::Scribe),
            ("agent", Target::Agent(None)),
            ("agent:office", Target::Agent(Some("office".to_owned()))),
            ("ivr", Target::Ivr(Script::Sample)),
            ("ivr:examples/office.xml", Target::Ivr(Script::File("examples/office.xml".into()))),
            ("ivr:https://app.example/voice?a=b", Target::Ivr(Script::Url("https://app.example/voice?a=b".to_owned()))),
            ("trunk:berlin", Target::Trunk("berlin".to_owned())),
            ("reject", Target::Reject(603)),
            ("reject:486", Target::Reject(486)),
        ] {
            assert_eq!(text.parse(), Ok(target), "{text}");
        }
    }

    #[test]
    fn what_is_no_destination_is_refused() {
        for text in [
            "",
            "Echo",
            "echo:x",
            "agent:",
            "ivr:",
            "ivr:ftp://a",
            "ivr:http://",
            "ivr:http:///x",
            "ivr:http://a b",
            "conference",
            "conference:",
            "conference:{x}",
            "conference:a}",
            "user:{",
            "trunk",
            "trunk:",
            "reject:200",
            "reject:700",
            "reject:x",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_template_holds_what_was_called() {
        let home = Home { country: Some("49".to_owned()), ..Home::default() };
        let party = Party::read("030 1234", &home).unwrap();
        for (template, text) in [
            ("{number}", "+49301234"),
            ("{dialled}", "0301234"),
            ("99{rest}", "9934"),
            ("a-{dialled}-{rest}!", "a-0301234-34!"),
            ("plain", "plain"),
        ] {
            assert_eq!(template.parse::<Template>().unwrap().fill(&party, "34"), text);
        }
    }
}
