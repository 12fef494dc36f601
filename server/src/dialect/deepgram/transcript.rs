//! A finished transcript as the answer of `POST /v1/listen`: channels, words, paragraphs, utterances, searches.
//!
//! Pure. Where people were told apart by their voices their lanes are one channel again, as the recording has it, and each
//! word says who. Field names are those of the public API description (deepgram-api-specs, openapi.yml).

use std::time::Duration;

use asr::{
    diarize::{Turn, VoiceId},
    event::Word,
};
use media::time::Span;
use serde::Serialize;
use uuid::Uuid;

use super::{
    message::{Metadata, Warning, WordOut, rounded},
    query::Query,
    search::{self, Found},
    words::{Extent, Speaker, Spoken, mean_confidence},
};
use crate::{
    transcribe::ByTime,
    transcript::{Lane, Speakers, Transcript},
};

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
/// A pause that ends an utterance: that of the recognizer.
const PAUSE: Duration = Duration::from_millis(500);
/// The same where numbers are to be hidden: words' times are not exact, and two halves of a number may be too short to be
/// found each by itself.
const PAUSE_IN_NUMBER: Duration = Duration::from_millis(1_500);
/// Sentences of one paragraph at most; more are hard to read.
const PARAGRAPH_SENTENCES: usize = 5;

/// The answer for a transcript. `metadata` is complete but for what the transcript adds.
pub fn answer(transcript: &Transcript, query: &Query, mut metadata: Metadata) -> Answer {
    metadata.duration = rounded(transcript.duration_s);
    for message in &transcript.warnings {
        if !message.contains("speaker") {
            metadata.warnings.push(Warning { parameter: "audio", kind: "audio", message: message.clone() });
        } else if query.tells_voices() {
            metadata.warnings.push(Warning::without_effect("diarize", message.clone()));
        }
    }
    let lanes: Vec<Vec<Spoken>> = match transcript.speakers {
        Speakers::ByVoice { people } => vec![words_by_voice(transcript, people, query)],
        Speakers::Unasked | Speakers::ByChannel | Speakers::Unknown => {
            transcript.lanes.iter().map(|lane| words_of(lane, query)).collect()
        }
    };
    metadata.channels = lanes.len();
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

/// The words of the only channel, each said by whoever's voice it is. What follows without a pause is taken together, so that
/// a number is found whoever is taken to say its parts.
fn words_by_voice(transcript: &Transcript, people: usize, query: &Query) -> Vec<Spoken> {
    let mut segments = transcript.in_order();
    // As they were heard: words of one utterance may be at the same moment and by several.
    segments.sort_by_key(|segment| segment.utterance);
    let pause = if query.effects.redact.is_off() { PAUSE } else { PAUSE_IN_NUMBER };
    let turns = ByTime::new(&transcript.turns);
    let stretches = segments.chunk_by(|a, b| b.speech().start.since(a.speech().end) < pause);
    let spoken = stretches.flat_map(|segments| {
        let (mut words, mut speakers): (Vec<Word>, Vec<Option<Speaker>>) = (Vec::new(), Vec::new());
        for segment in segments {
            let turns = turns.about(segment.speech());
            for word in &segment.words {
                let sure = || sureness(word.span, VoiceId(segment.lane as u16), turns);
                let speaker =
                    (segment.lane < people).then(|| Speaker { number: segment.lane, confidence: Some(sure()) });
                words.push(word.clone());
                speakers.push(speaker);
            }
        }
        query.effects.apply_said(&words, &speakers, Extent::Whole)
    });
    spoken.collect()
}

/// How much of a word lies in the turns of one voice and in nobody else's, 0..=1.
fn sureness(word: Span, voice: VoiceId, turns: &[Turn]) -> f32 {
    let (mut own, mut others) = (Duration::ZERO, Duration::ZERO);
    for turn in turns {
        let shared = turn.span.end.min(word.end).since(turn.span.start.max(word.start));
        let of = if turn.voice == Some(voice) { &mut own } else { &mut others };
        *of += shared;
    }
    let all = (own + others).max(word.duration());
    if all.is_zero() { 0.0 } else { own.as_secs_f32() / all.as_secs_f32() }
}

/// Who says the first of these words, on a channel that is one speaker's or nobody's.
fn who(words: &[Spoken], channel: Option<usize>) -> Option<usize> {
    words.first().and_then(|word| word.speaker).map(|speaker| speaker.number).or(channel)
}

/// Whose the channel is.
fn of_channel(lane: usize, query: &Query) -> Option<usize> {
    (query.diarize && query.multichannel).then_some(lane)
}

fn changes_speaker(before: &Spoken, after: &Spoken) -> bool {
    before.speaker.map(|speaker| speaker.number) != after.speaker.map(|speaker| speaker.number)
}

fn channel(lane: usize, words: &[Spoken], transcript: &Transcript, query: &Query) -> ChannelOut {
    let speaker = of_channel(lane, query);
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

fn paragraphs(words: &[Spoken], channel: Option<usize>, query: &Query) -> Paragraphs {
    let sentences = chunks(words, |before, after| before.ends_sentence() || changes_speaker(before, after));
    let mut paragraphs: Vec<Paragraph> = Vec::new();
    for sentence in sentences {
        let (start, end) = ends(sentence);
        let speaker = who(sentence, channel);
        let joins = paragraphs.last().is_some_and(|paragraph| {
            paragraph.speaker == speaker
                && start - paragraph.end < PARAGRAPH_GAP_S
                && paragraph.sentences.len() < PARAGRAPH_SENTENCES
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
            let name = paragraph.speaker.map_or_else(String::new, |speaker| format!("Speaker {speaker}: "));
            format!("{name}{}", text.join(" "))
        })
        .collect();
    Paragraphs { transcript: format!("\n{}", texts.join("\n\n")), paragraphs }
}

fn utterances(lane: usize, words: &[Spoken], query: &Query) -> Vec<Utterance> {
    let channel = of_channel(lane, query);
    let parts = |before: &Spoken, after: &Spoken| {
        after.start_s - before.end_s >= query.utt_split_s || changes_speaker(before, after)
    };
    chunks(words, parts)
        .into_iter()
        .map(|words| {
            let (start, end) = ends(words);
            Utterance {
                start,
                end,
                confidence: rounded(f64::from(mean_confidence(words))),
                channel: lane,
                transcript: query.effects.transcript(words),
                words: words.iter().map(|word| WordOut::new(word, query.effects.punctuate, channel)).collect(),
                speaker: who(words, channel),
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

    use media::time::MediaTime;
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

    /// Two people on one channel, and somebody whom nobody knows; words of 300 ms.
    fn two_voices() -> Transcript {
        let turn = |voice: Option<u16>, start_ms, end_ms| Turn {
            voice: voice.map(VoiceId),
            span: Span::new(MediaTime::from_millis(start_ms), MediaTime::from_millis(end_ms)),
        };
        let segments = vec![
            segment(0, "Hello there. How are you?", 0),
            segment(1, "I am fine, thanks.", 1_500),
            segment(2, "Who is that?", 6_000),
        ];
        let turns = vec![turn(Some(0), 0, 1_500), turn(Some(1), 1_350, 2_700), turn(None, 6_000, 6_900)];
        Transcript { turns, ..transcript(Speakers::ByVoice { people: 2 }, segments) }
    }

    #[test]
    fn voices_share_the_channel_of_their_recording_and_every_word_says_whose_it_is() {
        let json = answered("diarize=true&utterances=true&smart_format=true&utt_split=0.8", &two_voices());
        assert_eq!(json["metadata"]["channels"], 1);
        let channels = json["results"]["channels"].as_array().unwrap();
        let one = &channels[0]["alternatives"][0];
        assert_eq!(
            (channels.len(), one["transcript"].as_str()),
            (1, Some("Hello there. How are you? I am fine, thanks. Who is that?"))
        );
        let words = one["words"].as_array().unwrap();
        let speakers: Vec<Option<u64>> = words.iter().map(|word| word["speaker"].as_u64()).collect();
        assert_eq!(speakers[..5], [Some(0); 5]);
        assert_eq!(speakers[5..9], [Some(1); 4]);
        assert_eq!(speakers[9..], [None; 3]);
        assert_eq!(
            (words[0]["speaker_confidence"].as_f64(), words[4]["speaker_confidence"].as_f64()),
            (Some(1.0), Some(0.667))
        );
        assert_eq!(words[9].get("speaker_confidence"), None);
        let utterances: Vec<(Option<u64>, &str)> = json["results"]["utterances"]
            .as_array()
            .unwrap()
            .iter()
            .map(|utterance| (utterance["speaker"].as_u64(), utterance["transcript"].as_str().unwrap()))
            .collect();
        let said = [(Some(0), "Hello there. How are you?"), (Some(1), "I am fine, thanks."), (None, "Who is that?")];
        assert_eq!(utterances, said);
        assert_eq!(
            one["paragraphs"]["transcript"],
            "\nSpeaker 0: Hello there. How are you?\n\nSpeaker 1: I am fine, thanks.\n\nWho is that?"
        );
    }

    #[test]
    fn a_number_is_hidden_though_its_voice_seems_to_change() {
        let segments = vec![segment(0, "my number is four one one one", 0), segment(1, "one one one one", 2_100)];
        let json = answered("diarize=true&redact=numbers", &transcript(Speakers::ByVoice { people: 2 }, segments));
        assert_eq!(json["results"]["channels"][0]["alternatives"][0]["transcript"], "my number is [NUMBER]");
        // The second half comes 0.9 s later, and neither half is long enough to be hidden by itself.
        let halves = vec![segment(0, "it is four one", 0), segment(1, "one one okay", 2_100)];
        let json = answered("diarize=true&redact=numbers", &transcript(Speakers::ByVoice { people: 2 }, halves));
        assert_eq!(json["results"]["channels"][0]["alternatives"][0]["transcript"], "it is [NUMBER] okay");
    }

    #[test]
    fn voices_that_are_not_told_apart_are_said_to_whoever_asked_for_them() {
        let why = "speakers cannot be told apart by their voices, only by channel: no model";
        for (query, said) in [("diarize=true", 1), ("punctuate=true", 0), ("diarize=true&multichannel=true", 0)] {
            let unknown = transcript(Speakers::Unknown, vec![segment(0, "Hello.", 0)]);
            let json = answered(query, &Transcript { warnings: vec![why.to_owned()], ..unknown });
            let warnings = json["metadata"]["warnings"].as_array().cloned().unwrap_or_default();
            let told: Vec<_> = warnings.iter().filter(|warning| warning["parameter"] == "diarize").collect();
            assert_eq!(told.len(), said, "{query}");
        }
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
