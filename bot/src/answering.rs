//! Who answered: a person, a menu, a voicemail, nobody who can be reached, or who knows.
//!
//! [`Answering`] is a pure machine that is told what is heard on a line that was called ([`media::dsp::progress`]) and,
//! where somebody transcribes it, the words. People answer with a word or two and wait; machines talk. That rhythm
//! decides, with the settings that Twilio has for it; words that only machines or only people say decide sooner and
//! better. After each `handle`, ask `outcome`; wait until `next_deadline` or the next input. It is told the time and
//! ends at its timeout at the latest, once.

mod words;

use std::time::Duration;

use media::{dsp::progress::Heard, time::MediaTime};
use serde::{Deserialize, Serialize};

pub use self::words::class_of;

/// What is to be found out, and how patiently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether the end of a machine's greeting is waited for, so that a message can be left.
    pub until_message_end: bool,
    /// After which nothing is waited for any more.
    pub timeout: Duration,
    /// A greeting that lasts longer is a machine's.
    pub speech_threshold: Duration,
    /// Silence after which a greeting is over.
    pub speech_end_threshold: Duration,
    /// Silence from the start after which nobody knows.
    pub silence_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            until_message_end: false,
            timeout: Duration::from_secs(30),
            speech_threshold: Duration::from_millis(2_400),
            speech_end_threshold: Duration::from_millis(1_200),
            silence_timeout: Duration::from_millis(5_000),
        }
    }
}

/// A parameter has a value that it cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} must be {expected}")]
pub struct BadSetting {
    /// Which.
    pub name: &'static str,
    /// What it may be.
    pub expected: String,
}

impl Settings {
    /// The settings in the parameters of a call, as Twilio names them; nothing where detection is not asked for.
    ///
    /// # Errors
    /// [`BadSetting`]: the caller's mistake.
    pub fn of_parameters<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Result<Option<Self>, BadSetting> {
        let until_message_end = match value("MachineDetection").map(str::trim) {
            None | Some("" | "None" | "none") => return Ok(None),
            Some("Enable") => false,
            Some("DetectMessageEnd") => true,
            Some(_) => {
                let expected = "Enable or DetectMessageEnd".to_owned();
                return Err(BadSetting { name: "MachineDetection", expected });
            }
        };
        let number = |name: &'static str, range: std::ops::RangeInclusive<u64>, unit_ms: u64, or: Duration| {
            let Some(text) = value(name).map(str::trim).filter(|text| !text.is_empty()) else { return Ok(or) };
            match text.parse::<u64>() {
                Ok(number) if range.contains(&number) => Ok(Duration::from_millis(number * unit_ms)),
                _ => Err(BadSetting { name, expected: format!("a number from {} to {}", range.start(), range.end()) }),
            }
        };
        let or = Self::default();
        Ok(Some(Self {
            until_message_end,
            timeout: number("MachineDetectionTimeout", 3..=59, 1_000, or.timeout)?,
            speech_threshold: number("MachineDetectionSpeechThreshold", 1_000..=6_000, 1, or.speech_threshold)?,
            speech_end_threshold: number(
                "MachineDetectionSpeechEndThreshold",
                500..=5_000,
                1,
                or.speech_end_threshold,
            )?,
            silence_timeout: number("MachineDetectionSilenceTimeout", 2_000..=10_000, 1, or.silence_timeout)?,
        }))
    }
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A person.
    Human,
    /// A menu: it may be talked to with keys.
    MachineIvr,
    /// A voicemail: a message can be left.
    MachineVoicemail,
    /// Nobody can be reached there: an announcement of the network, a busy tone, a fax.
    Unavailable,
    /// Nothing tells.
    Unsure,
}

/// Who answered, as Twilio's `AnsweredBy` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnsweredBy {
    /// `human`
    Human,
    /// `machine_start`: its greeting goes on.
    MachineStart,
    /// `machine_end_beep`: it records now.
    MachineEndBeep,
    /// `machine_end_silence`: its greeting is over.
    MachineEndSilence,
    /// `machine_end_other`: it was waited for in vain.
    MachineEndOther,
    /// `fax`
    Fax,
    /// `unknown`
    Unknown,
}

impl AnsweredBy {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::MachineStart => "machine_start",
            Self::MachineEndBeep => "machine_end_beep",
            Self::MachineEndSilence => "machine_end_silence",
            Self::MachineEndOther => "machine_end_other",
            Self::Fax => "fax",
            Self::Unknown => "unknown",
        }
    }
}

/// What told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// What was said.
    Words,
    /// A short greeting, and silence.
    ShortGreeting,
    /// A greeting too long for a person.
    LongGreeting,
    /// A beep.
    Beep,
    /// The greeting ended.
    Silence,
    /// A tone of the network.
    Tone,
    /// A fax.
    Fax,
    /// Nobody said anything.
    NobodySpoke,
    /// There was no more time.
    Timeout,
    /// The call ended before.
    Ended,
}

/// What was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Who answered.
    pub class: Class,
    /// The same for webhooks.
    pub answered_by: AnsweredBy,
    /// How long after the answer.
    pub after: Duration,
    /// What told.
    pub why: Why,
}

/// What the machine is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input<'a> {
    /// This was heard on the line.
    Heard(Heard),
    /// All words so far of the utterance under way, or of one that is over.
    Words(&'a str),
    /// The time has come that was asked for, or any other.
    Tick,
    /// The call is over.
    Ended,
}

/// Finds out who answered.
#[derive(Clone, Debug)]
pub struct Answering {
    settings: Settings,
    answered: MediaTime,
    /// From when silence is counted while nobody has spoken: the answer, or the last ring after it.
    silent_since: MediaTime,
    /// The greeting: when it began, and when it was last heard.
    greeting: Option<Greeting>,
    /// What words or rhythm say so far.
    machine: Option<Class>,
    is_human_by_words: bool,
    outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Debug)]
struct Greeting {
    began: MediaTime,
    /// When speech was last known to end; nothing while it goes on.
    ended: Option<MediaTime>,
}

impl Answering {
    /// A call that was answered at `now`.
    pub fn new(settings: Settings, now: MediaTime) -> Self {
        Self {
            settings,
            answered: now,
            silent_since: now,
            greeting: None,
            machine: None,
            is_human_by_words: false,
            outcome: None,
        }
    }

    /// Takes an input; after the outcome nothing changes any more.
    pub fn handle(&mut self, input: Input<'_>, now: MediaTime) {
        if self.outcome.is_some() {
            return;
        }
        match input {
            Input::Heard(heard) => self.on_heard(heard, now),
            Input::Words(text) => self.on_words(text, now),
            Input::Tick => {}
            Input::Ended => self.end(Class::Unsure, AnsweredBy::Unknown, Why::Ended, now),
        }
        self.on_time(now);
    }

    /// Who answered, once it is known.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// When time alone may decide; nothing after the outcome.
    pub fn next_deadline(&self) -> Option<MediaTime> {
        if self.outcome.is_some() {
            return None;
        }
        let timeout = self.answered + self.settings.timeout;
        let sooner = match self.greeting {
            None if self.machine.is_none() => Some(self.silent_since + self.settings.silence_timeout),
            None => None,
            Some(Greeting { ended: Some(ended), .. }) => Some(ended + self.settings.speech_end_threshold),
            Some(Greeting { began, ended: None }) if self.machine.is_none() && !self.is_human_by_words => {
                Some(began + self.settings.speech_threshold)
            }
            Some(_) => None,
        };
        Some(sooner.map_or(timeout, |sooner| sooner.min(timeout)))
    }

    fn on_heard(&mut self, heard: Heard, now: MediaTime) {
        let ago = |ago_ms: u16| now.saturating_sub(Duration::from_millis(u64::from(ago_ms))).max(self.answered);
        match heard {
            Heard::VoiceBegan { ago_ms } => {
                let began = ago(ago_ms);
                // What the silence before decided is decided.
                self.on_time(began);
                let greeting = self.greeting.get_or_insert(Greeting { began, ended: None });
                greeting.ended = None;
            }
            Heard::VoiceEnded { ago_ms } => {
                let ended = ago(ago_ms);
                if let Some(greeting) = &mut self.greeting {
                    greeting.ended = Some(ended.max(greeting.began));
                }
            }
            // It may be the beep, which is known when it is over: no silence while it sounds.
            Heard::Tone => {
                if let Some(Greeting { ended: Some(ended), .. }) = &mut self.greeting {
                    *ended = now;
                }
            }
            Heard::Beep { .. } => self.on_beep(now),
            Heard::FaxCalling | Heard::FaxAnswering => self.end(Class::Unavailable, AnsweredBy::Fax, Why::Fax, now),
            Heard::Busy | Heard::Congestion | Heard::Special => {
                let (class, answered_by) = match self.machine {
                    Some(class) if self.settings.until_message_end => (class, AnsweredBy::MachineEndOther),
                    _ => (Class::Unavailable, AnsweredBy::Unknown),
                };
                self.end(class, answered_by, Why::Tone, now);
            }
            // It was passed on, and rings elsewhere.
            Heard::Ringback => self.silent_since = now,
        }
    }

    fn on_beep(&mut self, now: MediaTime) {
        let class = self.machine.unwrap_or(Class::MachineVoicemail);
        let answered_by =
            if self.settings.until_message_end { AnsweredBy::MachineEndBeep } else { AnsweredBy::MachineStart };
        self.end(class, answered_by, Why::Beep, now);
    }

    fn on_words(&mut self, text: &str, now: MediaTime) {
        match class_of(text) {
            Some(Class::Human) if self.machine.is_none() => self.is_human_by_words = true,
            Some(Class::Unavailable) => self.end(Class::Unavailable, AnsweredBy::Unknown, Why::Words, now),
            Some(class @ (Class::MachineIvr | Class::MachineVoicemail)) => {
                (self.machine, self.is_human_by_words) = (Some(class), false);
                if !self.settings.until_message_end {
                    self.end(class, AnsweredBy::MachineStart, Why::Words, now);
                }
            }
            Some(Class::Human | Class::Unsure) | None => {}
        }
    }

    fn on_time(&mut self, now: MediaTime) {
        if self.outcome.is_some() {
            return;
        }
        let Settings { until_message_end, timeout, speech_threshold, speech_end_threshold, silence_timeout } =
            self.settings;
        if let Some(Greeting { began, ended }) = self.greeting {
            let length = ended.unwrap_or(now).since(began);
            if self.machine.is_none() && !self.is_human_by_words && length >= speech_threshold {
                // Without words nothing tells a menu from a voicemail, and of the two that is the commoner.
                self.machine = Some(Class::MachineVoicemail);
                if !until_message_end {
                    return self.end(Class::MachineVoicemail, AnsweredBy::MachineStart, Why::LongGreeting, now);
                }
            }
            if ended.is_some_and(|ended| now.since(ended) >= speech_end_threshold) {
                return match self.machine {
                    None => self.end(Class::Human, AnsweredBy::Human, self.why_human(), now),
                    Some(class) => self.end(class, AnsweredBy::MachineEndSilence, Why::Silence, now),
                };
            }
        } else if self.machine.is_none() && now.since(self.silent_since) >= silence_timeout {
            return self.end(Class::Unsure, AnsweredBy::Unknown, Why::NobodySpoke, now);
        }
        if now.since(self.answered) >= timeout {
            let (class, answered_by) = match self.machine {
                Some(class) => (class, AnsweredBy::MachineEndOther),
                None => (Class::Unsure, AnsweredBy::Unknown),
            };
            self.end(class, answered_by, Why::Timeout, now);
        }
    }

    fn why_human(&self) -> Why {
        if self.is_human_by_words { Why::Words } else { Why::ShortGreeting }
    }

    fn end(&mut self, class: Class, answered_by: AnsweredBy, why: Why, now: MediaTime) {
        let after = now.since(self.answered);
        self.outcome.get_or_insert(Outcome { class, answered_by, after, why });
    }
}

#[cfg(test)]
mod tests;
