//! WebVTT subtitles. Source: W3C WebVTT: The Web Video Text Tracks Format.
//!
//! `&`, `<` and `>` are escaped, so text is never markup and never a line of times; a speaker becomes a voice
//! span.

use std::fmt::Write;

use super::cue::{self, clock};
use crate::transcript::Transcript;

/// Writes the header and the cues.
pub fn write(transcript: &Transcript) -> String {
    let mut out = "WEBVTT\n\n".to_owned();
    for cue in cue::cut(transcript, |_| 0) {
        let voice = transcript.speaker(cue.lane).map(|name| format!("<v {}>", escape(&name))).unwrap_or_default();
        let text = cue.lines.iter().map(|line| escape(line)).collect::<Vec<_>>().join("\n");
        writeln!(out, "{} --> {}\n{voice}{text}\n", clock(cue.start_ms, '.'), clock(cue.end_ms, '.'))
            .expect("writing to a string cannot fail");
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Speakers, sample};

    #[test]
    fn cues_follow_the_header() {
        let transcript = sample::transcript(Speakers::Unasked, vec![sample::segment(0, "Ask not what", 3_600_000)]);
        assert_eq!(write(&transcript), "WEBVTT\n\n01:00:00.000 --> 01:00:01.000\nAsk not what\n\n");
    }

    #[test]
    fn text_is_escaped_and_speakers_are_voices() {
        let transcript = sample::transcript(Speakers::ByChannel, vec![sample::segment(0, "R&D --> <b>", 0)]);
        let written = write(&transcript);
        assert!(written.contains("\n<v channel_0>R&amp;D --&gt; &lt;b&gt;\n"), "{written}");
    }

    #[test]
    fn silence_is_a_valid_empty_track() {
        assert_eq!(write(&sample::transcript(Speakers::Unasked, Vec::new())), "WEBVTT\n\n");
    }
}
