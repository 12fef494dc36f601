//! A finished transcript as the answer of `POST /v1/listen`: channels, words, paragraphs, utterances, searches.
//!
//! Pure. Field names are those of the public API description (deepgram-api-specs, openapi.yml).

use serde::Serialize;
use uuid::Uuid;

use super::{
    message::{Metadata, Warning, WordOut, rounded},
    query::Query,
    search::{self, Found},
    words::{Extent, Spoken, mean_confidence},
};
use crate::transcript::{Lane, Transcript};

/// The answer.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// About the request.
    pub metadata: Metadata,
    /// The words.
    pub results: ResultsOut,
}

/// The words of all channels.
#[derive(Debug, Serialize)]
pub struct ResultsOut {
    /// One a channel; one of the mix.
    pub channels: Vec<ChannelOut>,
    /// Stretches without a longer gap, in the order of time, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utterances: Option<Vec<Utterance>>,
}

/// One channel.
#[derive(Debug, Serialize)]
pub struct ChannelOut {
    /// What was searched for, when something was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<Found>,
    /// Always one.
    pub alternatives: Vec<AlternativeOut>,
    /// The language heard, when its detection was asked for and the engine knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detected_language: Option<String>,
}

/// One reading of a channel.
#[derive(Debug, Serialize)]
pub struct AlternativeOut {
    /// All words as one line.
    pub transcript: String,
    /// Mean of the words' confidence; 0 without words.
    pub confidence: f64,
    /// Each word.
    pub words: Vec<WordOut>,
    /// Paragraphs, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paragraphs: Option<Paragraphs>,
}

/// A text in paragraphs.
#[derive(Debug, Serialize)]
pub struct Paragraphs {
    /// The paragraphs, an empty line between them.
    pub transcript: String,
    /// Each paragraph.
    pub paragraphs: Vec<Paragraph>,
}

/// One paragraph.
#[derive(Debug, Serialize)]
pub struct Paragraph {
    /// Its sentences.
    pub sentences: Vec<Sentence>,
    /// Who, when it was asked for and is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaker: Option<usize>,
    /// How many words.
    pub num_words: usize,
    /// Seconds.
    pub start: f64,
    /// Seconds.
    pub end: f64,
}

/// One sentence.
#[derive(Debug, Serialize)]
pub struct Sentence {
    /// Its words.
    pub text: String,
    /// Seconds.
    pub start: f64,
    /// Seconds.
    pub end: f64,
}

/// A stretch of one channel without a longer gap.
#[derive(Debug, Serialize)]
pub struct Utterance {
    /// Seconds.
    pub start: f64,
    /// Seconds.
    pub end: f64,
    /// Mean of the words' confidence.
    pub confidence: f64,
    /// Which channel.
    pub channel: usize,
    /// All words as one line.
    pub transcript: String,
    /// Each word.
    pub words: Vec<WordOut>,
    /// Who, when it was asked for and is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaker: Option<usize>,
    /// A fresh id.
    pub id: String,
}

/// A pause between sentences that begins a new paragraph, in seconds.
const PARAGRAPH_GAP_S: f64 = 1.5;
/// Sentences of one paragraph at most; more are hard to read.
const PARAGRAPH_SENTENCES: usize = 5;

/// The answer for a transcript. `metadata` is complete but for what the transcript adds.
pub fn answer(transcript: &Transcript, query: &Query, mut metadata: Metadata) -> Answer {
    metadata.duration = rounded(transcript.duration_s);
    metadata.channels = transcript.lanes.len();
    // Speakers have their own warning, raised with the query.
    for message in transcript.warnings.iter().filter(|message| !message.contains("speaker")) {
        metadata.warnings.push(Warning { parameter: "audio", kind: "audio", message: message.clone() });
    }
    let lanes: Vec<Vec<Spoken>> = transcript.lanes.iter().map(|lane| words_of(lane, query)).collect();
    let channels = lanes.iter().enumerate().map(|(lane, words)| channel(lane, words, transcript, query)).collect();
    let utterances = query.utterances.then(|| {
        let mut utterances: Vec<Utterance> =
            lanes.iter().enumerate().flat_map(|(lane, words)| utterances(lane, words, query)).collect();
        utterances.sort_by(|a, b| a.start.total_cmp(&b.start));
        utterances
    });
    Answer { metadata, results: ResultsOut { channels, utterances } }
}

/// A lane's words after all effects. Utterances are taken one by one, so that no number reaches across two.
fn words_of(lane: &Lane, query: &Query) -> Vec<Spoken> {
    let effects = &query.effects;
    lane.segments.iter().flat_map(|segment| effects.apply(&segment.words, Extent::Whole)).collect()
}

fn channel(lane: usize, words: &[Spoken], transcript: &Transcript, query: &Query) -> ChannelOut {
    let speaker = query.diarize.then_some(lane);
    ChannelOut {
        search: search::search(&query.search, words),
        alternatives: vec![AlternativeOut {
            transcript: query.effects.transcript(words),
            confidence: rounded(f64::from(mean_confidence(words))),
            words: words.iter().map(|word| WordOut::new(word, query.effects.punctuate, speaker)).collect(),
            paragraphs: query.paragraphs.then(|| paragraphs(words, speaker, query)),
        }],
        detected_language: transcript.language.clone().filter(|_| query.detect_language),
    }
}

fn paragraphs(words: &[Spoken], speaker: Option<usize>, query: &Query) -> Paragraphs {
    let sentences = chunks(words, |before, _| before.ends_sentence());
    let mut paragraphs: Vec<Paragraph> = Vec::new();
    for sentence in sentences {
        let (start, end) = ends(sentence);
        let joins = paragraphs.last().is_some_and(|paragraph| {
            start - paragraph.end < PARAGRAPH_GAP_S && paragraph.sentences.len() < PARAGRAPH_SENTENCES
        });
        if !joins {
            paragraphs.push(Paragraph { sentences: Vec::new(), speaker, num_words: 0, start, end });
        }
        let Some(paragraph) = paragraphs.last_mut() else { continue };
        paragraph.sentences.push(Sentence { text: query.effects.transcript(sentence), start, end });
        paragraph.num_words += sentence.len();
        paragraph.end = end;
    }
    let texts: Vec<String> = paragraphs
        .iter()
        .map(|paragraph| {
            let text: Vec<&str> = paragraph.sentences.iter().map(|sentence| sentence.text.as_str()).collect();
            let name = speaker.map_or_else(String::new, |speaker| format!("Speaker {speaker}: "));
            format!("{name}{}", text.join(" "))
        })
        .collect();
    Paragraphs { transcript: format!("\n{}", texts.join("\n\n")), paragraphs }
}

fn utterances(lane: usize, words: &[Spoken], query: &Query) -> Vec<Utterance> {
    let speaker = query.diarize.then_some(lane);
    chunks(words, |before, after| after.start_s - before.end_s >= query.utt_split_s)
        .into_iter()
        .map(|words| {
            let (start, end) = ends(words);
            Utterance {
                start,
                end,
                confidence: rounded(f64::from(mean_confidence(words))),
                channel: lane,
                transcript: query.effects.transcript(words),
                words: words.iter().map(|word| WordOut::new(word, query.effects.punctuate, speaker)).collect(),
                speaker,
                id: Uuid::new_v4().to_string(),
            }
        })
        .collect()
}

/// The words cut wherever `parts` says so of two neighbours; no chunk is empty.
fn chunks(words: &[Spoken], parts: impl Fn(&Spoken, &Spoken) -> bool) -> Vec<&[Spoken]> {
    words.chunk_by(|before, after| !parts(before, after)).collect()
}

fn ends(words: &[Spoken]) -> (f64, f64) {
    (rounded(words[0].start_s), rounded(words[words.len() - 1].end_s))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::{
        super::query::{Door, Query},
        *,
    };
    use crate::transcript::{
        Speakers,
        sample::{segment, transcript},
    };

    fn answered(query: &str, transcript: &Transcript) -> Value {
        let pairs: Vec<(String, String)> =
            query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
        let query = Query::parse(&pairs, Door::Prerecorded, &transcript.engine).unwrap();
        let metadata = Metadata {
            transaction_key: "deprecated",
            request_id: "id".into(),
            sha256: "00".into(),
            created: "2026-01-01T00:00:00Z".into(),
            duration: 0.0,
            channels: 0,
            models: vec!["m".into()],
            model_info: BTreeMap::new(),
            tags: query.tags.clone(),
            extra: BTreeMap::new(),
            warnings: query.warnings.clone(),
        };
        serde_json::to_value(answer(transcript, &query, metadata)).unwrap()
    }

    fn two_channels() -> Transcript {
        transcript(
            Speakers::ByChannel,
            vec![
                segment(0, "Hello there. How are you?", 0),
                segment(0, "Good to hear!", 6_000),
                segment(1, "I am fine, thanks.", 2_000),
            ],
        )
    }

    #[test]
    fn channels_keep_their_words_and_times() {
        let json = answered("punctuate=true&multichannel=true", &two_channels());
        let channels = json["results"]["channels"].as_array().unwrap();
        assert_eq!(channels.len(), 2);
        let one = &channels[1]["alternatives"][0];
        assert_eq!(one["transcript"], "I am fine, thanks.");
        assert_eq!(one["words"][2]["punctuated_word"], "fine,");
        assert_eq!(one["words"][2]["start"], 2.6);
        assert_eq!(json["metadata"]["channels"], 2);
        assert_eq!(json["metadata"]["duration"], 12.5);
        assert_eq!(json["results"].get("utterances"), None);
        assert_eq!(one.get("paragraphs"), None);
    }

    #[test]
    fn utterances_interleave_channels_and_name_speakers() {
        let json = answered("utterances=true&multichannel=true&diarize=true", &two_channels());
        let utterances = json["results"]["utterances"].as_array().unwrap();
        let heads: Vec<(u64, u64, &str)> = utterances
            .iter()
            .map(|u| {
                (u["channel"].as_u64().unwrap(), u["speaker"].as_u64().unwrap(), u["transcript"].as_str().unwrap())
            })
            .collect();
        assert_eq!(heads, [(0, 0, "hello there how are you"), (1, 1, "i am fine thanks"), (0, 0, "good to hear")]);
    }

    #[test]
    fn paragraphs_part_at_long_pauses_and_hold_sentences() {
        let json = answered("smart_format=true&multichannel=true", &two_channels());
        let paragraphs = &json["results"]["channels"][0]["alternatives"][0]["paragraphs"];
        assert_eq!(paragraphs["transcript"], "\nHello there. How are you?\n\nGood to hear!");
        assert_eq!(paragraphs["paragraphs"][0]["sentences"].as_array().unwrap().len(), 2);
        assert_eq!(paragraphs["paragraphs"][0]["num_words"], 5);
    }

    #[test]
    fn silence_is_an_answer_without_words() {
        let silent = transcript(Speakers::Unasked, Vec::new());
        let json = answered("punctuate=true&utterances=true&paragraphs=true&search=hello", &silent);
        let alternative = &json["results"]["channels"][0]["alternatives"][0];
        assert_eq!(alternative["transcript"], "");
        assert_eq!(alternative["confidence"], 0.0);
        assert_eq!(json["results"]["utterances"], serde_json::json!([]));
        assert_eq!(json["results"]["channels"][0]["search"][0]["hits"], serde_json::json!([]));
    }

    #[test]
    fn a_detected_language_is_said_when_asked_for() {
        let json = answered("detect_language=true", &two_channels());
        assert_eq!(json["results"]["channels"][0]["detected_language"], "en");
    }
}
