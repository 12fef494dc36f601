//! Voices of others, across the network: OpenAI's interface and whoever has the same, ElevenLabs, Azure.
//!
//! What is sent and how an answer is read is pure ([`openai`], [`elevenlabs`], [`azure`]); the shell around it
//! ([`net`]) waits on a `tts-N` thread, within its own limits, and looks every 50 ms whether to stop. Text leaves this
//! machine here, and nothing else of a call. Keys are never shown, logged or part of an error; neither is what a
//! provider answers in words, since it may repeat both.

pub mod azure;
pub mod elevenlabs;
mod net;
pub mod openai;
mod sound;

use std::time::Duration;

use url::Url;

pub use self::net::Net;
use crate::voice::{Error, Sentence};

/// What all of them are asked for: 24 kHz, 16 bits, mono.
pub(crate) const RATE_HZ: u32 = 24_000;

/// How long a provider may take. What falls back falls back within five seconds of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a connection.
    pub connect: Duration,
    /// From the question to the first sample, the connection included.
    pub first_sound: Duration,
    /// How far the sound may be behind the listener, who hears nothing meanwhile: what drips is given up with this.
    pub behind: Duration,
    /// For anything at all to come, however much came before.
    pub idle: Duration,
    /// For a sentence.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            // Good ones take 0.2 to 0.6 s; somebody who waits for longer than this thinks that the line is dead.
            first_sound: Duration::from_secs(4),
            behind: Duration::from_secs(2),
            idle: Duration::from_secs(5),
            // The longest sentence lasts half a minute, and all of them speak faster than they are heard.
            total: Duration::from_secs(30),
        }
    }
}

/// Why a provider did not speak: whose fault it is, and so what helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Ours: the key that is configured opens nothing.
    #[error("{provider} does not take the key that is configured ({status})")]
    Key {
        /// Who.
        provider: &'static str,
        /// The status of HTTP, or the code with which a WebSocket was closed.
        status: u16,
    },
    /// Ours: the configured voice or model is none of theirs.
    #[error(
        "{provider} does not take what it is asked for ({status}): look at the voice and the model that are configured"
    )]
    Asked {
        /// Who.
        provider: &'static str,
        /// As above.
        status: u16,
    },
    /// Ours: what is configured makes no request.
    #[error("the settings of {provider} make no request: {why}")]
    Settings {
        /// Who.
        provider: &'static str,
        /// Why not.
        why: String,
    },
    /// The account's: too much at once, or nothing left to spend.
    #[error("{provider} takes no more for now ({status}): too many requests, or nothing is left on the account")]
    Busy {
        /// Who.
        provider: &'static str,
        /// As above.
        status: u16,
        /// When it may be tried again, in seconds, where it says so.
        retry_after_s: Option<u64>,
    },
    /// Theirs: it failed, broke off, or answered with something that is no sound.
    #[error("{provider} failed: {why}")]
    Broken {
        /// Who.
        provider: &'static str,
        /// How.
        why: String,
    },
    /// The network's: no connection comes about.
    #[error("{provider} cannot be reached: {why}")]
    Unreachable {
        /// Who.
        provider: &'static str,
        /// Why not.
        why: String,
    },
    /// Theirs or the network's: it took too long.
    #[error("{provider} was too slow: {what} for {ms} ms")]
    Slow {
        /// Who.
        provider: &'static str,
        /// What did not come.
        what: &'static str,
        /// How long that was waited for.
        ms: u64,
    },
}

impl Trouble {
    /// When a provider that takes no more wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after_s, .. } => retry_after_s.map(Duration::from_secs),
            _ => None,
        }
    }

    /// What a status of HTTP that is no success means.
    fn of_status(provider: &'static str, status: u16, retry_after: Option<&str>) -> Self {
        match status {
            401 | 403 => Self::Key { provider, status },
            402 | 429 => {
                Self::Busy { provider, status, retry_after_s: retry_after.and_then(|after| after.trim().parse().ok()) }
            }
            300..=399 => Self::Broken { provider, why: format!("it points elsewhere ({status})") },
            400..=499 => Self::Asked { provider, status },
            // 503 with a time is a provider that is full.
            503 if retry_after.is_some() => {
                Self::Busy { provider, status, retry_after_s: retry_after.and_then(|after| after.trim().parse().ok()) }
            }
            _ => Self::Broken { provider, why: format!("it answers {status}") },
        }
    }
}

/// Whether there is nothing to say: providers answer that with an error.
fn is_silent(sentence: &Sentence) -> bool {
    !sentence.words.iter().any(|word| word.spoken.contains(char::is_alphanumeric))
}

/// An address of the web, as it is configured.
fn web_address(provider: &'static str, url: &str) -> Result<Url, Error> {
    let wrong = |why: String| Error::from(Trouble::Settings { provider, why });
    let url = Url::parse(url).map_err(|error| wrong(format!("its URL is none: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("its URL is none of http or https".to_owned()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whose_fault_it_is() {
        let of = |status, after| Trouble::of_status("nobody", status, after);
        assert!(matches!(of(401, None), Trouble::Key { .. }));
        assert!(matches!(of(404, None), Trouble::Asked { status: 404, .. }));
        assert!(matches!(of(302, None), Trouble::Broken { .. }));
        assert!(matches!(of(500, None), Trouble::Broken { .. }));
        assert_eq!(of(429, Some("7")).retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(of(429, Some("Wed, 21 Oct 2026 07:28:00 GMT")).retry_after(), None);
        assert_eq!(of(503, Some("2")).retry_after(), Some(Duration::from_secs(2)));
    }
}
