//! What the ears heard, in Deepgram's words: events of the lanes in, messages out.
//!
//! Pure: told the time and how much audio was taken. Results of a channel follow each other without a gap:
//! each begins where the last final one ended. `UtteranceEnd` is decided here from the gap after the last
//! word, either when speech begins again, when the gap has lasted in real time, or when the stream ends.

use std::time::{Duration, Instant};

use asr::event::{Cut, Event, VoiceRun, Word};
use media::time::{MediaTime, Span};

use super::{
    message::{Alternative, Channel, Message, ModelInfo, Results, ResultsMetadata, WordOut, rounded, seconds},
    query::Query,
    search,
    words::{Extent, Speaker, mean_confidence},
};

/// The translation of one stream.
pub struct Translator {
    query: Query,
    request_id: String,
    model: ModelInfo,
    model_uuid: String,
    lanes: Vec<Lane>,
    lost: Vec<Span>,
}

/// One channel.
#[derive(Default)]
struct Lane {
    /// Where the last final result ended.
    settled: MediaTime,
    /// The end of the last word, until its `UtteranceEnd` was sent.
    last_word_end: Option<MediaTime>,
    /// When `UtteranceEnd` is due unless somebody speaks before.
    due: Option<Instant>,
    /// The last final closed the stream.
    ended: bool,
}

/// How far behind the sound the end of speech is noticed at most; a recording that is sent faster than real time
/// is further ahead, and must not have that counted as silence.
const NOTICED_AFTER: Duration = Duration::from_millis(300);

impl Translator {
    /// A translator of a stream that has just begun.
    pub fn new(query: Query, request_id: String, model: ModelInfo) -> Self {
        let model_uuid = model.uuid();
        Self { query, request_id, model, model_uuid, lanes: Vec::new(), lost: Vec::new() }
    }

    /// Translates one event of one of `lanes` lanes. `heard` is the audio taken so far.
    pub fn on_event(
        &mut self,
        lane: usize,
        lanes: usize,
        event: Event,
        heard: MediaTime,
        now: Instant,
    ) -> Vec<Message> {
        let lanes = lanes.max(lane + 1);
        if self.lanes.len() < lanes {
            self.lanes.resize_with(lanes, Lane::default);
        }
        match event {
            Event::SpeechStarted { at, .. } => self.on_speech_started(lane, at),
            Event::Partial { words, span, .. } => {
                if let Some(word) = words.last() {
                    self.lanes[lane].last_word_end = Some(word.span.end);
                }
                if !self.query.interim_results {
                    return Vec::new();
                }
                vec![self.results(lane, &words, &[], span.end, None)]
            }
            Event::Final { words, span, cut, voices, .. } => {
                if let Some(word) = words.last() {
                    self.lanes[lane].last_word_end = Some(word.span.end);
                }
                self.lanes[lane].ended = cut == Cut::End;
                let results = self.results(lane, &words, &voices, span.end, Some(cut));
                self.lanes[lane].settled = self.lanes[lane].settled.max(span.end);
                vec![results]
            }
            Event::SpeechEnded { .. } => {
                self.on_speech_ended(lane, heard, now);
                Vec::new()
            }
            // No client of this dialect's first version asks for the one, and it has no message for the other.
            Event::TurnEnded { .. } | Event::Relabelled { .. } => Vec::new(),
            Event::Lost { span, .. } => {
                self.lost.push(span);
                Vec::new()
            }
        }
    }

    /// The id of the request.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The stretches of audio that went unheard.
    pub fn lost(&self) -> &[Span] {
        &self.lost
    }

    /// When [`Self::on_time`] has something to say at the earliest.
    pub fn deadline(&self) -> Option<Instant> {
        self.lanes.iter().filter_map(|lane| lane.due).min()
    }

    /// Sends what the passing of time makes due. Audio must have passed as well: a client that only keeps the
    /// connection alive hears nothing.
    pub fn on_time(&mut self, heard: MediaTime, now: Instant) -> Vec<Message> {
        let mut messages = Vec::new();
        let Some(gap) = self.query.utterance_end else { return messages };
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].due.is_none_or(|due| due > now) {
                continue;
            }
            match self.lanes[lane].last_word_end {
                Some(end) if heard >= end + gap => messages.extend(self.utterance_end(lane)),
                Some(end) => self.lanes[lane].due = Some(now + (end + gap).since(heard)),
                None => self.lanes[lane].due = None,
            }
        }
        messages
    }

    /// The events have ended after `heard`: a last result for what no final covered, and the ends of utterances.
    pub fn on_end(&mut self, heard: MediaTime) -> Vec<Message> {
        let mut messages = Vec::new();
        if self.lanes.is_empty() {
            self.lanes.push(Lane::default());
        }
        for lane in 0..self.lanes.len() {
            if !self.lanes[lane].ended {
                messages.push(self.results(lane, &[], &[], heard, Some(Cut::End)));
            }
            let gap = self.query.utterance_end;
            if self.lanes[lane].last_word_end.zip(gap).is_some_and(|(end, gap)| heard >= end + gap) {
                messages.extend(self.utterance_end(lane));
            }
        }
        messages
    }

    fn on_speech_started(&mut self, lane: usize, at: MediaTime) -> Vec<Message> {
        let mut messages = Vec::new();
        let state = &mut self.lanes[lane];
        state.due = None;
        let last_word_end = state.last_word_end;
        if last_word_end.zip(self.query.utterance_end).is_some_and(|(end, gap)| at >= end + gap) {
            messages.extend(self.utterance_end(lane));
        }
        if self.query.vad_events {
            messages.push(Message::SpeechStarted { channel: self.channel_index(lane), timestamp: seconds(at) });
        }
        messages
    }

    fn on_speech_ended(&mut self, lane: usize, heard: MediaTime, now: Instant) {
        let endpointing = self.query.endpointing.unwrap_or(Duration::ZERO);
        let state = &mut self.lanes[lane];
        let Some((gap, end)) = self.query.utterance_end.zip(state.last_word_end) else { return };
        let passed = heard.since(end).min(endpointing + NOTICED_AFTER);
        state.due = Some(now + gap.saturating_sub(passed));
    }

    fn utterance_end(&mut self, lane: usize) -> Option<Message> {
        self.lanes[lane].due = None;
        let end = self.lanes[lane].last_word_end.take()?;
        Some(Message::UtteranceEnd { channel: self.channel_index(lane), last_word_end: seconds(end) })
    }

    fn results(&self, lane: usize, words: &[Word], voices: &[VoiceRun], until: MediaTime, cut: Option<Cut>) -> Message {
        let effects = &self.query.effects;
        let extent = match cut {
            None | Some(Cut::Length) => Extent::Open,
            Some(Cut::Pause | Cut::Finalize | Cut::End) => Extent::Whole,
        };
        let speakers = if self.query.tells_voices() { speakers(voices) } else { Vec::new() };
        let words = effects.apply_said(words, &speakers, extent);
        let channel = (self.query.diarize && self.query.multichannel).then_some(lane);
        let start = self.lanes[lane].settled;
        let speech_final = match cut {
            Some(Cut::Pause) => self.query.endpointing.is_some(),
            Some(Cut::Finalize | Cut::End) => true,
            Some(Cut::Length) | None => false,
        };
        Message::Results(Box::new(Results {
            channel_index: self.channel_index(lane),
            duration: rounded(seconds(until.max(start)) - seconds(start)),
            start: seconds(start),
            is_final: cut.is_some(),
            speech_final,
            channel: Channel {
                search: if cut.is_some() { search::search(&self.query.search, &words) } else { Vec::new() },
                alternatives: vec![Alternative {
                    transcript: effects.transcript(&words),
                    confidence: rounded(f64::from(mean_confidence(&words))),
                    languages: Vec::new(),
                    words: words.iter().map(|word| WordOut::new(word, effects.punctuate, channel)).collect(),
                }],
            },
            metadata: ResultsMetadata {
                request_id: self.request_id.clone(),
                model_info: self.model.clone(),
                model_uuid: self.model_uuid.clone(),
            },
            from_finalize: cut == Some(Cut::Finalize),
        }))
    }

    fn channel_index(&self, lane: usize) -> [usize; 2] {
        [lane, self.lanes.len().max(1)]
    }
}

/// Who says each word; `None` for a voice that is like nobody's. Clients of a socket read no figure for how sure it is.
fn speakers(voices: &[VoiceRun]) -> Vec<Option<Speaker>> {
    let each = |run: &VoiceRun| {
        let speaker = run.voice.map(|voice| Speaker { number: usize::from(voice.0), confidence: None });
        std::iter::repeat_n(speaker, run.words)
    };
    voices.iter().flat_map(each).collect()
}

#[cfg(test)]
mod tests {
    use asr::{diarize::VoiceId, event::UtteranceId, recognizer::Info};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::{
        super::{query::Door, words::tests::heard},
        *,
    };

    fn translator(query: &str) -> Translator {
        let engine = Info {
            engine: "moonshine",
            model: "moonshine-tiny-en".into(),
            languages: vec!["en".into()],
            window_max_s: 30,
        };
        let pairs: Vec<(String, String)> =
            query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
        let query = Query::parse(&pairs, Door::Live, &engine).unwrap();
        Translator::new(query, "id".into(), ModelInfo::new(&engine))
    }

    fn ms(millis: u64) -> MediaTime {
        MediaTime::from_millis(millis)
    }

    fn utterance() -> UtteranceId {
        UtteranceId(0)
    }

    fn final_of(text: &str, until_ms: u64, cut: Cut) -> Event {
        let span = Span::new(ms(0), ms(until_ms));
        Event::Final { utterance: utterance(), words: heard(text), span, cut, language: None, voices: Vec::new() }
    }

    fn said_of(text: &str, voices: &[(usize, Option<u16>)]) -> Event {
        let run =
            |&(words, voice): &(usize, Option<u16>)| VoiceRun { words, voice: voice.map(VoiceId), confidence: 0.8 };
        let (span, voices) = (Span::new(ms(0), ms(1_000)), voices.iter().map(run).collect());
        Event::Final { utterance: utterance(), words: heard(text), span, cut: Cut::Pause, language: None, voices }
    }

    /// Each word's speaker, -1 where there is none.
    fn speakers_of(results: &Value) -> Vec<i64> {
        let words = results["channel"]["alternatives"][0]["words"].as_array().unwrap();
        words.iter().map(|word| word.get("speaker").map_or(-1, |speaker| speaker.as_i64().unwrap())).collect()
    }

    fn partial_of(text: &str, until_ms: u64) -> Event {
        let (words, span) = (heard(text), Span::new(ms(0), ms(until_ms)));
        Event::Partial { utterance: utterance(), revision: 1, stable_words: 0, words, span }
    }

    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
    fn noon() -> Instant {
        Instant::now()
    }

    fn json(messages: &[Message]) -> Vec<Value> {
        messages.iter().map(|message| serde_json::from_str(&message.to_json()).unwrap()).collect()
    }

    #[test]
    fn words_are_their_voices_and_a_strange_voice_is_nobodys() {
        let mut translator = translator("diarize=true");
        let event = said_of("are you there yes I am who", &[(3, Some(0)), (3, Some(1)), (1, None)]);
        let results = json(&translator.on_event(0, 1, event, ms(1_000), noon()));
        assert_eq!(speakers_of(&results[0]), [0, 0, 0, 1, 1, 1, -1]);
        assert_eq!(results[0]["channel"]["alternatives"][0]["words"][0].get("speaker_confidence"), None);
        let voices = vec![VoiceRun { words: 7, voice: Some(VoiceId(0)), confidence: 0.9 }];
        let relabelled = Event::Relabelled { utterance: utterance(), voices };
        assert!(
            translator.on_event(0, 1, relabelled, ms(1_100), noon()).is_empty(),
            "the dialect has no message for it"
        );
    }

    #[test]
    fn a_channel_says_more_than_a_voice() {
        let mut translator = translator("diarize=true&multichannel=true");
        let results = json(&translator.on_event(1, 2, said_of("yes", &[(1, Some(0))]), ms(1_000), noon()));
        assert_eq!(speakers_of(&results[0]), [1]);
    }

    #[test]
    fn words_whose_voices_are_not_known_yet_are_nobodys() {
        let mut translator = translator("diarize=true");
        let results = json(&translator.on_event(0, 1, said_of("hello there", &[]), ms(1_000), noon()));
        assert_eq!(speakers_of(&results[0]), [-1, -1]);
    }

    #[test]
    fn nobody_who_did_not_ask_is_told_who_speaks() {
        let mut translator = translator("");
        let results = json(&translator.on_event(0, 1, said_of("hello", &[(1, Some(4))]), ms(1_000), noon()));
        assert_eq!(speakers_of(&results[0]), [-1]);
    }

    #[test]
    fn a_final_carries_every_field_that_the_sdk_reads() {
        let mut translator = translator("punctuate=true");
        let messages = translator.on_event(0, 1, final_of("Hello, world.", 900, Cut::Pause), ms(900), noon());
        let json = json(&messages);
        assert_eq!(json[0]["type"], "Results");
        assert_eq!(json[0]["channel_index"], serde_json::json!([0, 1]));
        assert_eq!((json[0]["start"].as_f64(), json[0]["duration"].as_f64()), (Some(0.0), Some(0.9)));
        assert_eq!(json[0]["is_final"], true);
        assert_eq!(json[0]["speech_final"], true);
        assert_eq!(json[0]["from_finalize"], false);
        let alternative = &json[0]["channel"]["alternatives"][0];
        assert_eq!(alternative["transcript"], "Hello, world.");
        assert_eq!(alternative["confidence"], 0.5);
        assert_eq!(
            alternative["words"][1],
            serde_json::json!({"word": "world", "start": 0.12, "end": 0.22, "confidence": 0.5, "punctuated_word": "world."})
        );
        assert_eq!(json[0]["metadata"]["request_id"], "id");
        assert_eq!(json[0]["metadata"]["model_info"]["arch"], "moonshine");
    }

    #[test]
    fn interim_results_come_only_when_asked_for() {
        let event = || partial_of("hello", 300);
        assert!(translator("").on_event(0, 1, event(), ms(300), noon()).is_empty());
        let messages = translator("interim_results=true").on_event(0, 1, event(), ms(300), noon());
        let json = json(&messages);
        assert_eq!((&json[0]["is_final"], &json[0]["speech_final"]), (&Value::Bool(false), &Value::Bool(false)));
    }

    #[test]
    fn a_finalize_is_answered_as_one_and_a_length_cut_is_no_pause() {
        let mut translator = translator("");
        let finalized = json(&translator.on_event(0, 1, final_of("", 500, Cut::Finalize), ms(500), noon()));
        assert_eq!(finalized[0]["from_finalize"], true);
        let cut = json(&translator.on_event(0, 1, final_of("on and on", 900, Cut::Length), ms(900), noon()));
        assert_eq!((&cut[0]["is_final"], &cut[0]["speech_final"]), (&Value::Bool(true), &Value::Bool(false)));
        assert_eq!(cut[0]["start"], 0.5);
    }

    #[test]
    fn without_endpointing_a_pause_is_final_but_not_the_end_of_speech() {
        let messages =
            translator("endpointing=false").on_event(0, 1, final_of("hello", 500, Cut::Pause), ms(500), noon());
        assert_eq!(json(&messages)[0]["speech_final"], false);
    }

    #[test]
    fn channels_are_numbered_and_are_speakers_when_asked() {
        let mut translator = translator("multichannel=true&diarize=true");
        let messages = json(&translator.on_event(1, 2, final_of("hello", 500, Cut::Pause), ms(500), noon()));
        assert_eq!(messages[0]["channel_index"], serde_json::json!([1, 2]));
        assert_eq!(messages[0]["channel"]["alternatives"][0]["words"][0]["speaker"], 1);
    }

    #[test]
    fn speech_started_comes_only_with_vad_events() {
        let event = || Event::SpeechStarted { utterance: utterance(), at: ms(1250) };
        assert!(translator("").on_event(0, 1, event(), ms(1500), noon()).is_empty());
        let json = json(&translator("vad_events=true").on_event(0, 1, event(), ms(1500), noon()));
        assert_eq!(json[0], serde_json::json!({"type": "SpeechStarted", "channel": [0, 1], "timestamp": 1.25}));
    }

    const ENDS: &str = "interim_results=true&utterance_end_ms=1000";

    fn said_hello(translator: &mut Translator, now: Instant) {
        translator.on_event(0, 1, final_of("hello", 400, Cut::Pause), ms(400), now);
        translator.on_event(0, 1, Event::SpeechEnded { utterance: utterance(), at: ms(100) }, ms(400), now);
    }

    #[test]
    fn utterance_end_comes_once_the_gap_has_lasted_in_time_and_in_audio() {
        let (mut translator, now) = (translator(ENDS), noon());
        said_hello(&mut translator, now);
        let due = translator.deadline().unwrap();
        assert_eq!(due - now, Duration::from_millis(700));
        assert!(translator.on_time(ms(1000), due).is_empty(), "the audio stands still");
        let json = json(&translator.on_time(ms(1100), due + Duration::from_secs(1)));
        assert_eq!(json[0], serde_json::json!({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 0.1}));
        assert_eq!(translator.deadline(), None);
    }

    #[test]
    fn speech_that_goes_on_cancels_utterance_end() {
        let (mut translator, now) = (translator(ENDS), noon());
        said_hello(&mut translator, now);
        let again = Event::SpeechStarted { utterance: utterance(), at: ms(900) };
        assert!(translator.on_event(0, 1, again, ms(1000), now).is_empty());
        assert_eq!(translator.deadline(), None);
    }

    #[test]
    fn a_recording_sent_at_once_still_gets_its_utterance_ends() {
        let (mut translator, now) = (translator(ENDS), noon());
        translator.on_event(0, 1, final_of("hello", 400, Cut::Pause), ms(60_000), now);
        translator.on_event(0, 1, Event::SpeechEnded { utterance: utterance(), at: ms(100) }, ms(60_000), now);
        assert!(translator.on_time(ms(60_000), now).is_empty(), "what lies ahead is not known to be silence");
        let again = Event::SpeechStarted { utterance: utterance(), at: ms(5_000) };
        let json = json(&translator.on_event(0, 1, again, ms(60_000), now));
        assert_eq!(json[0]["type"], "UtteranceEnd");
    }

    #[test]
    fn the_end_brings_a_last_result_and_a_pending_utterance_end() {
        let (mut translator, now) = (translator(ENDS), noon());
        said_hello(&mut translator, now);
        let json = json(&translator.on_end(ms(3_000)));
        assert_eq!(json[0]["type"], "Results");
        assert_eq!((json[0]["start"].as_f64(), json[0]["duration"].as_f64()), (Some(0.4), Some(2.6)));
        assert_eq!(json[1]["type"], "UtteranceEnd");
    }

    #[test]
    fn a_final_that_closed_the_stream_is_the_last_result() {
        let mut translator = translator("");
        translator.on_event(0, 1, final_of("bye", 500, Cut::End), ms(500), noon());
        assert!(translator.on_end(ms(500)).is_empty());
    }

    proptest! {
        /// Whatever is spoken and however it is cut: the final transcripts joined are what was spoken, stable
        /// words of every interim are a prefix of its final, and finals cover the audio without a gap.
        #[test]
        fn finals_joined_are_what_interims_promised(
            utterances in prop::collection::vec((prop::collection::vec("[a-zA-Z']{1,8}[,.]?", 0..8), 0_usize..4, 1_u64..5_000), 1..12),
            punctuate in any::<bool>(),
        ) {
            let mut translator = translator(&format!("interim_results=true&punctuate={punctuate}"));
            let now = noon();
            let (mut spoken, mut finals, mut at, mut settled) = (Vec::new(), Vec::new(), 0, 0.0);
            for (words, cut, length) in utterances {
                let text = words.join(" ");
                let from = at;
                at += length;
                let event = |revision_words: usize| Event::Partial {
                    utterance: utterance(),
                    revision: revision_words as u32,
                    stable_words: revision_words,
                    words: heard(&text).into_iter().take(revision_words).collect(),
                    span: Span::new(ms(from), ms(at)),
                };
                let mut promised = Vec::new();
                for count in 0..=words.len() {
                    let interim = json(&translator.on_event(0, 1, event(count), ms(at), now));
                    promised.push(interim[0]["channel"]["alternatives"][0]["transcript"].as_str().unwrap().to_owned());
                }
                let cut = [Cut::Pause, Cut::Length, Cut::Finalize, Cut::End][cut];
                let event = Event::Final { utterance: utterance(), words: heard(&text), span: Span::new(ms(from), ms(at)), cut, language: None, voices: Vec::new() };
                let result = json(&translator.on_event(0, 1, event, ms(at), now));
                let transcript = result[0]["channel"]["alternatives"][0]["transcript"].as_str().unwrap().to_owned();
                for promise in promised {
                    prop_assert!(transcript.starts_with(&promise), "{:?} does not begin with {:?}", transcript, promise);
                }
                let (start, duration) = (result[0]["start"].as_f64().unwrap(), result[0]["duration"].as_f64().unwrap());
                prop_assert!((start - settled).abs() < 1e-6);
                settled = start + duration;
                spoken.extend(heard(&text));
                finals.push(transcript);
            }
            prop_assert!((settled - at as f64 / 1000.0).abs() < 1e-6);
            finals.retain(|text| !text.is_empty());
            let effects = &translator.query.effects;
            let whole = effects.transcript(&effects.apply(&spoken, Extent::Whole));
            prop_assert_eq!(finals.join(" "), whole);
        }
    }
}
