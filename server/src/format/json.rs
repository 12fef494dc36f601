//! The JSON of `harmony transcribe`, one object on one line per file.
//!
//! Its names are a contract with people's scripts: fields are only ever added.

use bot::brain::ActionItem;
use serde::Serialize;

use crate::transcript::{Segment, Speakers, Transcript};

/// Writes the object for the recording called `name`, and a line break.
pub fn write(transcript: &Transcript, name: &str) -> String {
    let file = File {
        file: name,
        duration_s: round_ms(transcript.duration_s),
        engine: transcript.engine.engine,
        model: &transcript.engine.model,
        language: transcript.language.as_deref(),
        segments: transcript
            .in_order()
            .into_iter()
            .enumerate()
            .map(|(id, heard)| utterance(transcript, id, heard))
            .collect(),
        speakers: speakers(transcript),
        action_items: transcript.action_items.iter().map(action).collect(),
        warnings: &transcript.warnings,
    };
    let mut line = serde_json::to_string(&file).expect("strings and finite numbers always serialize");
    line.push('\n');
    line
}

#[derive(Serialize)]
struct File<'a> {
    file: &'a str,
    duration_s: f64,
    engine: &'static str,
    model: &'a str,
    language: Option<&'a str>,
    segments: Vec<Utterance<'a>>,
    speakers: Vec<Speaker>,
    action_items: Vec<Action<'a>>,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Utterance<'a> {
    id: usize,
    start_s: f64,
    end_s: f64,
    speaker: Option<String>,
    text: String,
    words: Vec<SpokenWord<'a>>,
}

#[derive(Serialize)]
struct SpokenWord<'a> {
    word: &'a str,
    start_s: f64,
    end_s: f64,
    confidence: f64,
}

#[derive(Serialize)]
struct Speaker {
    id: String,
    speech_s: f64,
}

#[derive(Serialize)]
struct Action<'a> {
    text: &'a str,
    owner: Option<String>,
    due: Option<String>,
    start_s: f64,
    end_s: f64,
}

fn utterance<'a>(transcript: &Transcript, id: usize, heard: &'a Segment) -> Utterance<'a> {
    let speech = heard.speech();
    Utterance {
        id,
        start_s: round_ms(speech.start.as_secs_f64()),
        end_s: round_ms(speech.end.as_secs_f64()),
        speaker: transcript.speaker(heard.lane),
        text: heard.text(),
        words: heard
            .words
            .iter()
            .map(|word| SpokenWord {
                word: &word.text,
                start_s: round_ms(word.span.start.as_secs_f64()),
                end_s: round_ms(word.span.end.as_secs_f64()),
                confidence: round_ms(f64::from(word.confidence)),
            })
            .collect(),
    }
}

/// Everybody who speaks; nobody when nobody asked, since then nobody was told apart.
fn speakers(transcript: &Transcript) -> Vec<Speaker> {
    match transcript.speakers {
        Speakers::Unasked => Vec::new(),
        Speakers::ByChannel | Speakers::ByVoice { .. } | Speakers::Unknown => transcript
            .lanes
            .iter()
            .enumerate()
            .filter(|(_, heard)| !heard.segments.is_empty())
            .filter_map(|(lane, heard)| {
                transcript.speaker(lane).map(|id| Speaker { id, speech_s: round_ms(heard.speech_s()) })
            })
            .collect(),
    }
}

fn action(item: &ActionItem) -> Action<'_> {
    let span = item.span();
    Action {
        text: &item.text,
        owner: item.owner.as_ref().map(ToString::to_string),
        due: item.due.map(|date| date.to_string()),
        start_s: round_ms(span.start.as_secs_f64()),
        end_s: round_ms(span.end.as_secs_f64()),
    }
}

/// To three decimals: more would claim a precision that no recognizer has.
fn round_ms(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::sample;

    #[test]
    fn the_names_are_those_of_the_contract() {
        let segments = vec![sample::segment(0, "Hello there?", 250), sample::segment(1, "Yes.", 1_000)];
        let written = write(&sample::transcript(Speakers::ByChannel, segments), "call.wav");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&written).unwrap(),
            serde_json::json!({
                "file": "call.wav", "duration_s": 12.5, "engine": "moonshine", "model": "moonshine-tiny-en",
                "language": "en",
                "segments": [
                    {"id": 0, "start_s": 0.25, "end_s": 0.85, "speaker": "channel_0", "text": "Hello there?", "words": [
                        {"word": "Hello", "start_s": 0.25, "end_s": 0.55, "confidence": 0.9},
                        {"word": "there?", "start_s": 0.55, "end_s": 0.85, "confidence": 0.9}]},
                    {"id": 1, "start_s": 1.0, "end_s": 1.3, "speaker": "channel_1", "text": "Yes.", "words": [
                        {"word": "Yes.", "start_s": 1.0, "end_s": 1.3, "confidence": 0.9}]}],
                "speakers": [{"id": "channel_0", "speech_s": 0.6}, {"id": "channel_1", "speech_s": 0.3}],
                "action_items": [], "warnings": []
            })
        );
        assert_eq!(written.matches('\n').count(), 1);
    }

    #[test]
    fn nobody_is_named_when_nobody_asked() {
        let written = write(&sample::transcript(Speakers::Unasked, vec![sample::segment(0, "Hi.", 0)]), "a.wav");
        let value: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(
            (&value["speakers"], &value["segments"][0]["speaker"]),
            (&serde_json::json!([]), &serde_json::Value::Null)
        );
    }
}
