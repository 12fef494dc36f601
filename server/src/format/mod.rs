//! Transcripts as people and programs read them: plain text, JSON, SRT, WebVTT and RTTM.
//!
//! Pure writers from a [`Transcript`] to a `String`; whoever calls decides where it goes. Subtitle formats
//! share one way of cutting speech into cues ([`cue`]).

pub mod cue;
pub mod json;
pub mod rttm;
pub mod srt;
pub mod text;
pub mod vtt;

use crate::transcript::Transcript;

/// The formats of `harmony transcribe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One paragraph per utterance.
    Text,
    /// One JSON object per file, on one line.
    Json,
    /// SubRip subtitles.
    Srt,
    /// WebVTT subtitles.
    Vtt,
    /// Who spoke when, one line per stretch of speech.
    Rttm,
}

impl Format {
    /// Writes `transcript` of the file called `name`; ends with a line break unless empty.
    pub fn write(self, transcript: &Transcript, name: &str) -> String {
        match self {
            Self::Text => text::write(transcript),
            Self::Json => json::write(transcript, name),
            Self::Srt => srt::write(transcript),
            Self::Vtt => vtt::write(transcript),
            Self::Rttm => rttm::write(transcript, name),
        }
    }

    /// How files of this format are called.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Json => "json",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
            Self::Rttm => "rttm",
        }
    }
}
