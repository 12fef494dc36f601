//! RTTM: who spoke when, as scoring tools read it. Source: NIST Rich Transcription evaluation, RTTM v1.3.
//!
//! One `SPEAKER` line per segment, from its first to its last word. Without diarization every line names
//! `unknown`.

use std::{fmt::Write, path::Path};

use crate::transcript::Transcript;

/// Writes the lines for the recording called `name`; its stem names the recording.
pub fn write(transcript: &Transcript, name: &str) -> String {
    let stem = Path::new(name).file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let recording: String = stem.chars().map(|c| if c.is_whitespace() { '_' } else { c }).collect();
    let recording = if recording.is_empty() || recording == "-" { "stdin".to_owned() } else { recording };
    let mut out = String::new();
    for segment in transcript.in_order() {
        let speech = segment.speech();
        let speaker = transcript.speaker(segment.lane).unwrap_or_else(|| "unknown".to_owned());
        writeln!(
            out,
            "SPEAKER {recording} {channel} {start:.3} {duration:.3} <NA> <NA> {speaker} <NA> <NA>",
            channel = segment.lane + 1,
            start = speech.start.as_secs_f64(),
            duration = speech.duration().as_secs_f64(),
        )
        .expect("writing to a string cannot fail");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Speakers, sample};

    #[test]
    fn every_line_has_ten_fields() {
        let segments = vec![sample::segment(0, "Hello there?", 250), sample::segment(1, "Yes.", 1_000)];
        assert_eq!(
            write(&sample::transcript(Speakers::ByChannel, segments), "calls/my call.wav"),
            "SPEAKER my_call 1 0.250 0.600 <NA> <NA> channel_0 <NA> <NA>\n\
             SPEAKER my_call 2 1.000 0.300 <NA> <NA> channel_1 <NA> <NA>\n"
        );
    }

    #[test]
    fn standard_input_and_unknown_speakers_have_names() {
        let transcript = sample::transcript(Speakers::Unasked, vec![sample::segment(0, "Hello.", 0)]);
        assert_eq!(write(&transcript, "-"), "SPEAKER stdin 1 0.000 0.300 <NA> <NA> unknown <NA> <NA>\n");
    }
}
