//! A transcript as OpenAI's answers: whole bodies, and the events of a stream. Source: the response types of
//! its Python SDK.
//!
//! Pure. What these shapes ask for and this server does not have is filled as follows: `tokens` is empty, since
//! recognizers differ in theirs; a "token" of the log-probabilities is a word; `no_speech_prob` is 0, since
//! what voice activity took for silence never becomes a segment; speakers of separate channels, or with voices of their
//! own, are lettered A, B, …, those whom the client knows have their names, and a voice that is like nobody's is `unknown`.

use std::{fmt::Write as _, io::Write as _};

use asr::event::Word;
use flate2::{Compression, write::ZlibEncoder};
use serde_json::{Value, json};

use super::openai_params::{KnownSpeaker, Params, ResponseFormat};
use crate::{
    format::{srt, vtt},
    transcript::{Segment, Speakers, Transcript},
};

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    /// `application/json`.
    Json(Value),
    /// `text/plain`, or `text/vtt` for WebVTT.
    Text(String),
}

/// The answer to a request without `stream`.
pub(super) fn whole(transcript: &Transcript, params: &Params) -> Body {
    match params.format {
        ResponseFormat::Json => Body::Json(plain(transcript, params)),
        ResponseFormat::VerboseJson => Body::Json(verbose(transcript, params)),
        ResponseFormat::DiarizedJson => Body::Json(diarized(transcript, params)),
        ResponseFormat::Text => Body::Text(transcript.text() + "\n"),
        ResponseFormat::Srt => Body::Text(srt::write(transcript)),
        ResponseFormat::Vtt => Body::Text(vtt::write(transcript)),
    }
}

/// What a stream says of one segment; `index` counts segments from 0 as they are sent.
pub(super) fn event(segment: &Segment, index: usize, speakers: Speakers, params: &Params) -> Value {
    if params.format == ResponseFormat::DiarizedJson {
        return speaker_segment(segment, index, speakers, &params.speakers);
    }
    let gap = if index == 0 { "" } else { " " };
    let mut event = json!({"type": "transcript.text.delta", "delta": format!("{gap}{}", segment.text())});
    if params.logprobs {
        event["logprobs"] = logprobs(&segment.words, index == 0);
    }
    event
}

/// The last event of a stream. `text` is what the deltas said, in the order in which they were sent.
pub(super) fn done(transcript: &Transcript, text: &str, sent: &[Word], params: &Params) -> Value {
    let mut event = json!({
        "type": "transcript.text.done", "text": text, "languages": languages(transcript), "usage": usage(transcript),
    });
    if params.logprobs {
        event["logprobs"] = logprobs(sent, true);
    }
    warn(&mut event, transcript, params);
    event
}

fn plain(transcript: &Transcript, params: &Params) -> Value {
    let mut body = json!({"text": transcript.text(), "languages": languages(transcript), "usage": usage(transcript)});
    if params.logprobs {
        let words: Vec<Word> = transcript.in_order().into_iter().flat_map(|segment| segment.words.clone()).collect();
        body["logprobs"] = logprobs(&words, true);
    }
    warn(&mut body, transcript, params);
    body
}

fn verbose(transcript: &Transcript, params: &Params) -> Value {
    let segments = transcript.in_order();
    let mut body = json!({
        "task": "transcribe",
        "language": transcript.language.as_deref().map_or("unknown", language_name),
        "duration": round_ms(transcript.duration_s),
        "text": transcript.text(),
        "usage": usage(transcript),
    });
    if params.segments {
        body["segments"] = segments.iter().enumerate().map(|(id, segment)| verbose_segment(id, segment)).collect();
    }
    if params.words {
        body["words"] = segments
            .iter()
            .flat_map(|segment| &segment.words)
            .map(|word| {
                json!({"word": word.text, "start": round_ms(word.span.start.as_secs_f64()),
                    "end": round_ms(word.span.end.as_secs_f64())})
            })
            .collect();
    }
    warn(&mut body, transcript, params);
    body
}

fn verbose_segment(id: usize, segment: &Segment) -> Value {
    let speech = segment.speech();
    let text = segment.text();
    let logprob_sum: f64 = segment.words.iter().map(logprob).sum();
    json!({
        "id": id,
        // Whisper counts frames of 10 ms.
        "seek": segment.span.start.as_millis() / 10,
        "start": round_ms(speech.start.as_secs_f64()),
        "end": round_ms(speech.end.as_secs_f64()),
        "text": text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round_ms(logprob_sum / segment.words.len().max(1) as f64),
        "compression_ratio": round_ms(compression_ratio(&text)),
        "no_speech_prob": 0.0,
    })
}

fn diarized(transcript: &Transcript, params: &Params) -> Value {
    let segments = transcript.in_order();
    let mut body = json!({
        "task": "transcribe",
        "duration": round_ms(transcript.duration_s),
        "text": transcript.text(),
        "segments": segments
            .iter()
            .enumerate()
            .map(|(index, segment)| speaker_segment(segment, index, transcript.speakers, &params.speakers))
            .collect::<Vec<_>>(),
        "usage": usage(transcript),
    });
    warn(&mut body, transcript, params);
    body
}

fn speaker_segment(segment: &Segment, index: usize, speakers: Speakers, known: &[KnownSpeaker]) -> Value {
    let speech = segment.speech();
    let speaker = label(segment.lane, speakers, known);
    json!({
        "type": "transcript.text.segment",
        "id": format!("seg_{index:03}"),
        "start": round_ms(speech.start.as_secs_f64()),
        "end": round_ms(speech.end.as_secs_f64()),
        "speaker": speaker,
        "text": segment.text(),
    })
}

/// What whoever speaks on a lane is called: by their name, else by a letter that is nobody's name.
fn label(lane: usize, speakers: Speakers, known: &[KnownSpeaker]) -> String {
    if !speakers.knows(lane) {
        return "unknown".to_owned();
    }
    // Nobody listens to the voices of channels.
    let known = if matches!(speakers, Speakers::ByVoice { .. }) { known } else { &[] };
    let Some(stranger) = lane.checked_sub(known.len()) else { return known[lane].name.clone() };
    let mut free = (0..).map(letters).filter(|letter| known.iter().all(|speaker| speaker.name != *letter));
    free.nth(stranger).unwrap_or_else(|| "unknown".to_owned())
}

/// A, B, …, Z, AA, AB, … as columns of a table are called.
pub(super) fn letters(index: usize) -> String {
    let last = char::from(b'A' + (index % 26) as u8);
    match index / 26 {
        0 => last.to_string(),
        more => letters(more - 1) + &last.to_string(),
    }
}

fn usage(transcript: &Transcript) -> Value {
    json!({"type": "duration", "seconds": round_ms(transcript.duration_s)})
}

fn languages(transcript: &Transcript) -> Value {
    transcript.language.iter().map(|code| json!({"code": code})).collect()
}

fn warn(body: &mut Value, transcript: &Transcript, params: &Params) {
    let mut warnings = transcript.warnings.clone();
    if !params.speakers.is_empty() && transcript.speakers == Speakers::ByChannel {
        warnings.push("each channel is a speaker: known speakers are looked for on a single channel only".to_owned());
    }
    if !warnings.is_empty() {
        body["warnings"] = warnings.into();
    }
}

/// One entry a word, which holds the space before it unless it begins the text.
fn logprobs(words: &[Word], first: bool) -> Value {
    words
        .iter()
        .enumerate()
        .map(|(index, word)| {
            let mut token = String::with_capacity(word.text.len() + 1);
            let gap = if first && index == 0 { "" } else { " " };
            write!(token, "{gap}{}", word.text).expect("writing to a string cannot fail");
            json!({"token": token, "bytes": token.as_bytes(), "logprob": round_ms(logprob(word))})
        })
        .collect()
}

/// The natural logarithm of the word's confidence, at least -100 as OpenAI bounds it.
fn logprob(word: &Word) -> f64 {
    f64::from(word.confidence).ln().clamp(-100.0, 0.0)
}

/// Bytes of the text over its bytes when deflated: repetition shows as a high ratio.
fn compression_ratio(text: &str) -> f64 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("writing to memory cannot fail");
    let deflated = encoder.finish().expect("writing to memory cannot fail");
    text.len() as f64 / deflated.len().max(1) as f64
}

/// `verbose_json` names languages in English; codes without a name here stay codes.
fn language_name(code: &str) -> &str {
    match code {
        "ar" => "arabic",
        "cs" => "czech",
        "da" => "danish",
        "de" => "german",
        "el" => "greek",
        "en" => "english",
        "es" => "spanish",
        "fi" => "finnish",
        "fr" => "french",
        "he" => "hebrew",
        "hi" => "hindi",
        "hu" => "hungarian",
        "it" => "italian",
        "ja" => "japanese",
        "ko" => "korean",
        "nl" => "dutch",
        "no" => "norwegian",
        "pl" => "polish",
        "pt" => "portuguese",
        "ro" => "romanian",
        "ru" => "russian",
        "sv" => "swedish",
        "tr" => "turkish",
        "uk" => "ukrainian",
        "vi" => "vietnamese",
        "zh" => "chinese",
        other => other,
    }
}

fn round_ms(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use asr::recognizer::Hints;

    use super::*;
    use crate::transcript::sample;

    fn params(format: ResponseFormat) -> Params {
        Params {
            format,
            stream: false,
            words: true,
            segments: true,
            logprobs: false,
            hints: Hints::default(),
            speakers: Vec::new(),
            endpointing_ms: 500,
            ignored: Vec::new(),
        }
    }

    fn two_lanes() -> Transcript {
        sample::transcript(
            Speakers::ByChannel,
            vec![sample::segment(0, "Hello there?", 250), sample::segment(1, "Yes.", 1_000)],
        )
    }

    fn json_of(format: ResponseFormat) -> Value {
        match whole(&two_lanes(), &params(format)) {
            Body::Json(value) => value,
            Body::Text(text) => panic!("{text}"),
        }
    }

    #[test]
    fn json_holds_the_text_and_its_length() {
        assert_eq!(
            json_of(ResponseFormat::Json),
            json!({"text": "Hello there? Yes.", "languages": [{"code": "en"}],
                "usage": {"type": "duration", "seconds": 12.5}})
        );
    }

    #[test]
    fn verbose_json_holds_segments_and_words_with_times() {
        let body = json_of(ResponseFormat::VerboseJson);
        assert_eq!((&body["language"], &body["duration"]), (&json!("english"), &json!(12.5)));
        assert_eq!(body["words"][1], json!({"word": "there?", "start": 0.55, "end": 0.85}));
        let segment = body["segments"][1].as_object().unwrap();
        for field in [
            "id",
            "seek",
            "start",
            "end",
            "text",
            "tokens",
            "temperature",
            "avg_logprob",
            "compression_ratio",
            "no_speech_prob",
        ] {
            assert!(segment.contains_key(field), "{field}");
        }
        assert_eq!(segment["avg_logprob"], json!(-0.105));
    }

    #[test]
    fn channels_are_lettered_speakers() {
        let body = json_of(ResponseFormat::DiarizedJson);
        assert_eq!(
            body["segments"][1],
            json!({"type": "transcript.text.segment", "id": "seg_001", "start": 1.0, "end": 1.3, "speaker": "B",
                "text": "Yes."})
        );
        assert_eq!(["A", "Z", "AA", "AZ", "BA"].map(str::to_owned), [0, 25, 26, 51, 52].map(letters));
    }

    #[test]
    fn known_voices_have_their_names_and_strangers_letters_that_are_nobodys_name() {
        let known = |name: &str| KnownSpeaker { name: name.to_owned(), recording: bytes::Bytes::new() };
        let mut params = params(ResponseFormat::DiarizedJson);
        params.speakers = vec![known("Ada"), known("B")];
        let segments = (0..5).zip(0..).map(|(lane, at)| sample::segment(lane, "Yes.", at * 500)).collect();
        let speakers_of = |transcript: &Transcript| -> Vec<String> {
            let Body::Json(body) = whole(transcript, &params) else { panic!("JSON") };
            let segments = body["segments"].as_array().unwrap();
            segments.iter().map(|segment| segment["speaker"].as_str().unwrap().to_owned()).collect()
        };
        let by_voice = sample::transcript(Speakers::ByVoice { people: 4 }, segments);
        assert_eq!(speakers_of(&by_voice), ["Ada", "B", "A", "C", "unknown"]);
        assert_eq!(speakers_of(&two_lanes()), ["A", "B"]);
        let Body::Json(body) = whole(&two_lanes(), &params) else { panic!("JSON") };
        assert!(body["warnings"][0].as_str().unwrap().contains("channel"), "{body}");
    }

    #[test]
    fn deltas_join_to_the_text_of_the_end() {
        let transcript = two_lanes();
        let params = Params { logprobs: true, ..params(ResponseFormat::Json) };
        let (mut text, mut tokens) = (String::new(), String::new());
        let mut words = Vec::new();
        for (index, segment) in transcript.in_order().into_iter().enumerate() {
            let event = event(segment, index, transcript.speakers, &params);
            text.push_str(event["delta"].as_str().unwrap());
            tokens.extend(event["logprobs"].as_array().unwrap().iter().map(|entry| entry["token"].as_str().unwrap()));
            words.extend(segment.words.clone());
        }
        let done = done(&transcript, &text, &words, &params);
        assert_eq!((text.as_str(), tokens.as_str()), ("Hello there? Yes.", "Hello there? Yes."));
        assert_eq!(done["text"], json!(text));
        assert_eq!(done["logprobs"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn a_word_without_confidence_has_a_finite_logprob() {
        let mut word = sample::words("maybe", 0, 100).remove(0);
        word.confidence = 0.0;
        assert_eq!(logprob(&word), -100.0);
    }
}
