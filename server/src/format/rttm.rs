//! RTTM: who spoke when, as scoring tools read it. Source: NIST Rich Transcription evaluation, RTTM v1.3.
//!
//! One `SPEAKER` line per segment, from its first to its last word; where voices were told apart, one per turn, whether
//! words were heard in it or not. Without diarization every line names `unknown`.

use std::{fmt::Write, path::Path};

use asr::diarize::VoiceId;
use media::time::Span;

use crate::transcript::{Speakers, Transcript};

/// Writes the lines for the recording called `name`; its stem names the recording.
pub fn write(transcript: &Transcript, name: &str) -> String {
    let stem = Path::new(name).file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let recording = one_field(&stem);
    let recording = if recording.is_empty() || recording == "-" { "stdin".to_owned() } else { recording };
    let mut out = String::new();
    for (channel, span, speaker) in spoken(transcript) {
        let speaker = transcript.speaker(speaker).map_or_else(|| "unknown".to_owned(), |name| one_field(&name));
        writeln!(
            out,
            "SPEAKER {recording} {channel} {start:.3} {duration:.3} <NA> <NA> {speaker} <NA> <NA>",
            start = span.start.as_secs_f64(),
            duration = span.duration().as_secs_f64(),
        )
        .expect("writing to a string cannot fail");
    }
    out
}

/// Fields end with white space: names of files and of people may hold some.
fn one_field(name: &str) -> String {
    name.chars().map(|c| if c.is_whitespace() { '_' } else { c }).collect()
}

/// The channel, the time and the lane of everything that was spoken, by start.
fn spoken(transcript: &Transcript) -> Vec<(usize, Span, usize)> {
    match transcript.speakers {
        // Voices share the one channel there is.
        Speakers::ByVoice { people } => {
            let lane = |voice: Option<VoiceId>| voice.map_or(people, |voice| usize::from(voice.0));
            transcript.turns.iter().map(|turn| (1, turn.span, lane(turn.voice))).collect()
        }
        Speakers::Unasked | Speakers::ByChannel | Speakers::Unknown => {
            let segments = transcript.in_order().into_iter();
            segments.map(|segment| (segment.lane + 1, segment.speech(), segment.lane)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use asr::diarize::Turn;

    use super::*;
    use crate::transcript::sample;

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
    fn voices_have_a_line_for_each_turn() {
        use asr::diarize::Turn;
        use media::time::MediaTime;
        let mut transcript = sample::transcript(Speakers::ByVoice { people: 1 }, vec![sample::segment(0, "Hello.", 0)]);
        let turn = |voice: Option<u16>, start_ms, end_ms| Turn {
            voice: voice.map(VoiceId),
            span: Span::new(MediaTime::from_millis(start_ms), MediaTime::from_millis(end_ms)),
        };
        transcript.turns = vec![turn(Some(0), 0, 1_250), turn(None, 1_000, 2_000)];
        assert_eq!(
            write(&transcript, "talk.wav"),
            "SPEAKER talk 1 0.000 1.250 <NA> <NA> speaker_0 <NA> <NA>\n\
             SPEAKER talk 1 1.000 1.000 <NA> <NA> unknown <NA> <NA>\n"
        );
    }

    #[test]
    fn a_name_of_several_words_is_one_field() {
        let turns = vec![Turn { voice: Some(VoiceId(0)), span: sample::segment(0, "Hello there?", 250).span }];
        let known = vec!["Ada Lovelace".into()];
        let transcript = Transcript { known, turns, ..sample::transcript(Speakers::ByVoice { people: 1 }, Vec::new()) };
        assert_eq!(write(&transcript, "a.wav"), "SPEAKER a 1 0.250 0.600 <NA> <NA> Ada_Lovelace <NA> <NA>\n");
    }

    #[test]
    fn standard_input_and_unknown_speakers_have_names() {
        let transcript = sample::transcript(Speakers::Unasked, vec![sample::segment(0, "Hello.", 0)]);
        assert_eq!(write(&transcript, "-"), "SPEAKER stdin 1 0.000 0.300 <NA> <NA> unknown <NA> <NA>\n");
    }
}
