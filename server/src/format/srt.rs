//! SubRip subtitles: a number, the times, one or two lines, an empty line.
//!
//! SubRip has no escapes: an arrow in the text is broken apart so that it cannot pass for a line of times, and
//! angle brackets become ‹ ›, since players take them for markup.

use std::fmt::Write;

use super::cue::{self, clock};
use crate::transcript::Transcript;

/// Writes the cues; a speaker's name stands in brackets before the first line.
pub fn write(transcript: &Transcript) -> String {
    let mark = |lane| transcript.speaker(lane).map(|name| format!("[{name}] ")).unwrap_or_default();
    let mut out = String::new();
    for (number, cue) in (1..).zip(cue::cut(transcript, |lane| mark(lane).chars().count())) {
        let text = cue.lines.iter().map(|line| defuse(line)).collect::<Vec<_>>().join("\n");
        writeln!(
            out,
            "{number}\n{} --> {}\n{}{text}\n",
            clock(cue.start_ms, ','),
            clock(cue.end_ms, ','),
            mark(cue.lane)
        )
        .expect("writing to a string cannot fail");
    }
    out
}

fn defuse(line: &str) -> String {
    line.replace("-->", "→").replace('<', "‹").replace('>', "›")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Speakers, sample};

    #[test]
    fn cues_are_numbered_timed_and_separated() {
        let segments = vec![sample::segment(0, "Ask not what", 0), sample::segment(0, "your country can do.", 3_000)];
        assert_eq!(
            write(&sample::transcript(Speakers::Unasked, segments)),
            "1\n00:00:00,000 --> 00:00:01,000\nAsk not what\n\n\
             2\n00:00:03,000 --> 00:00:04,200\nyour country can do.\n\n"
        );
    }

    #[test]
    fn the_speaker_leads_the_cue() {
        let segments = vec![sample::segment(0, "Hello?", 0), sample::segment(1, "Yes.", 1_000)];
        let written = write(&sample::transcript(Speakers::ByChannel, segments));
        assert!(written.contains("\n[channel_0] Hello?\n") && written.contains("\n[channel_1] Yes.\n"), "{written}");
    }

    #[test]
    fn text_never_passes_for_times_or_markup() {
        let written = write(&sample::transcript(Speakers::Unasked, vec![sample::segment(0, "a --> <b> c", 0)]));
        assert_eq!(written.matches("-->").count(), 1, "{written}");
        assert!(!written.contains('<'), "{written}");
    }
}
