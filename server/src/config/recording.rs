//! `[recording]`: where recordings are kept, and how they are written.

use std::{path::PathBuf, time::Duration};

use bot::consent::Settings;
use media::record::Container;
use serde::Deserialize;

/// `[recording]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recording {
    /// The folder; `recordings` in the data folder when not set.
    pub dir: Option<PathBuf>,
    /// `ogg` (Opus, small) or `wav` (exact, 5.8 MB a minute and track), when nobody says otherwise.
    pub format: Container,
    /// Opus only: bits per second of a track.
    pub bitrate_bps: u32,
    /// Recordings end, and none begins, when less than this is free on their disk.
    pub free_bytes_min: u64,
    /// How those in a telephone call are asked whether it may be recorded.
    pub consent: AskingFor,
}

/// `[recording.consent]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AskingFor {
    /// Seconds in which an answer must come once the question was heard; no answer is a no.
    pub within_s: u64,
    /// The key that agrees.
    pub agree_key: char,
    /// The key that does not.
    pub refuse_key: char,
    /// The key of anybody's that pauses the recording, and lets it go on; none when empty.
    pub pause_key: String,
}

impl Default for Recording {
    fn default() -> Self {
        Self {
            dir: None,
            format: Container::Ogg,
            // Speech of one person or a few is transparent to most ears here; an hour is 14 MB.
            bitrate_bps: 32_000,
            // Room for the log, the state of recordings and the database when recordings have filled the disk.
            free_bytes_min: 64 << 20,
            consent: AskingFor::default(),
        }
    }
}

impl Default for AskingFor {
    fn default() -> Self {
        let Settings { within, agree, refuse, pause } = Settings::default();
        let pause_key = pause.map(String::from).unwrap_or_default();
        Self { within_s: within.as_secs(), agree_key: agree, refuse_key: refuse, pause_key }
    }
}

impl AskingFor {
    /// As whoever asks is told.
    pub fn settings(&self) -> Settings {
        Settings {
            within: Duration::from_secs(self.within_s),
            agree: self.agree_key,
            refuse: self.refuse_key,
            pause: self.pause_key.chars().next(),
        }
    }

    fn fault(&self) -> Option<(&'static str, &'static str)> {
        let is_key = |key: char| key.is_ascii_digit() || key == '*' || key == '#';
        let pause: Vec<char> = self.pause_key.chars().collect();
        if !(1..=120).contains(&self.within_s) {
            return Some(("recording.consent.within_s", "must be 1 to 120"));
        }
        if !is_key(self.agree_key) || !is_key(self.refuse_key) || self.agree_key == self.refuse_key {
            return Some(("recording.consent.agree_key", "and refuse_key must be two keys of a telephone"));
        }
        match pause[..] {
            [] => None,
            [key] if is_key(key) => None,
            _ => Some(("recording.consent.pause_key", "must be one key of a telephone, or empty")),
        }
    }
}

impl Recording {
    /// What is wrong with it, as a key and a reason.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str)> {
        let is_rate = BITRATES_BPS.contains(&self.bitrate_bps);
        let rate = (!is_rate).then_some(("recording.bitrate_bps", "must be 6000 to 510000"));
        rate.or_else(|| self.consent.fault())
    }
}

/// What Opus can be told.
const BITRATES_BPS: std::ops::RangeInclusive<u32> = 6_000..=510_000;
