//! Plain text: a paragraph per stretch of speech, after the speaker's name where one is known.

use asr::event::Cut;

use crate::transcript::{Segment, Transcript};

/// Writes one line per utterance; one that was cut only for its length goes on in the same line.
pub fn write(transcript: &Transcript) -> String {
    let mut out = String::new();
    let mut before: Option<&Segment> = None;
    for segment in transcript.in_order() {
        match before {
            Some(before) if before.cut == Cut::Length && before.lane == segment.lane => out.push(' '),
            _ => {
                if before.is_some() {
                    out.push('\n');
                }
                if let Some(speaker) = transcript.speaker(segment.lane) {
                    out.push_str(&speaker);
                    out.push_str(": ");
                }
            }
        }
        out.push_str(&segment.text());
        before = Some(segment);
    }
    if before.is_some() {
        out.push('\n');
    }
    out
}

/// One utterance as a line of its own, for text that is printed while it is spoken.
pub fn line(speaker: Option<&str>, segment: &Segment) -> String {
    match speaker {
        Some(speaker) => format!("{speaker}: {}\n", segment.text()),
        None => segment.text() + "\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Speakers, sample};

    #[test]
    fn an_utterance_cut_for_length_stays_one_paragraph() {
        let mut first = sample::segment(0, "It was the best", 0);
        first.cut = Cut::Length;
        let transcript = sample::transcript(
            Speakers::Unasked,
            vec![first, sample::segment(0, "of times.", 1_500), sample::segment(0, "Next.", 5_000)],
        );
        assert_eq!(write(&transcript), "It was the best of times.\nNext.\n");
    }

    #[test]
    fn speakers_are_named_when_somebody_asked() {
        let segments = vec![sample::segment(0, "Hello?", 0), sample::segment(1, "Yes.", 1_000)];
        assert_eq!(write(&sample::transcript(Speakers::ByChannel, segments)), "channel_0: Hello?\nchannel_1: Yes.\n");
    }

    #[test]
    fn silence_is_an_empty_text() {
        assert_eq!(write(&sample::transcript(Speakers::Unasked, Vec::new())), "");
    }
}
