//! `[recording]`: where recordings are kept, and how they are written.

use std::path::PathBuf;

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
        }
    }
}

impl Recording {
    /// What is wrong with it, as a key and a reason.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str)> {
        (!BITRATES_BPS.contains(&self.bitrate_bps)).then_some(("recording.bitrate_bps", "must be 6000 to 510000"))
    }
}

/// What Opus can be told.
const BITRATES_BPS: std::ops::RangeInclusive<u32> = 6_000..=510_000;
