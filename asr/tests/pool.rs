//! The pool's shell: places, back-pressure, who hears of turns and voices, and what happens to streams when the ears go
//! away.

mod fixture;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use asr::{
    diarize::{Diarization, Speech, VoiceId, live},
    event::{Event, UtteranceId, VoiceRun},
    moonshine::Moonshine,
    pool::{Ears, Options, Refused, Senses, StreamConfig},
    recognizer::{Decoder, Error, Hints, Hypothesis, Info, Recognizer},
    turn,
    vad::silero::Silero,
};

/// Hears nothing, at once.
struct Deaf(Info);

impl Recognizer for Deaf {
    fn info(&self) -> &Info {
        &self.0
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>, Error> {
        Ok(Box::new(Silent))
    }
}

struct Silent;

impl Decoder for Silent {
    fn decode(&mut self, _audio: &[f32], _hints: &Hints, _abort: &AtomicBool) -> Result<Hypothesis, Error> {
        Ok(Hypothesis::default())
    }
}

fn ears(streams_max: usize) -> Option<Ears> {
    ears_with(None, streams_max)
}

fn ears_with(turn: Option<turn::Model>, streams_max: usize) -> Option<Ears> {
    let (library, model) = fixture::silero()?;
    let silero = Silero::load(&library, &model).expect("the model is whole");
    let info = Info { engine: "deaf", model: "deaf".to_owned(), languages: vec!["en".to_owned()], window_max_s: 20 };
    let options = Options { workers: 1, streams_max };
    Some(Ears::start_with_turns(Arc::new(Deaf(info)), silero, turn, options).expect("threads start"))
}

#[test]
fn a_place_is_free_again_when_its_stream_is_dropped() {
    let Some(ears) = ears(1) else { return };
    let first = ears.open(StreamConfig::default()).expect("a place");
    assert_eq!(ears.open(StreamConfig::default()).err(), Some(Refused::Full(1)));
    drop(first);
    assert!(ears.open(StreamConfig::default()).is_ok());
}

#[test]
fn events_end_when_the_audio_has_ended() {
    let Some(ears) = ears(1) else { return };
    let (mut input, mut events) = ears.open(StreamConfig::default()).expect("a place");
    input.push_blocking(&[0.0; 160_000]).expect("open");
    input.finish();
    assert_eq!(events.next_blocking(), None);
}

#[tokio::test]
async fn readers_and_writers_are_released_when_the_ears_stop() {
    let Some(ears) = ears(2) else { return };
    let (input, mut events) = ears.open(StreamConfig::default()).expect("a place");
    let reader = tokio::spawn(async move { events.next().await });
    tokio::task::yield_now().await;
    drop(ears);
    assert_eq!(reader.await.expect("the reader ends"), None);
    drop(input);
}

#[tokio::test]
async fn a_stream_that_asks_hears_that_the_turn_has_ended_and_its_neighbour_does_not() {
    let Some((library, model)) = fixture::smart_turn() else { return };
    let Some(mut sound) = fixture::speech("speech/jfk.wav") else { return };
    let model = turn::Model::load(&library, &model).expect("the model is whole");
    let Some(ears) = ears_with(Some(model), 2) else { return };
    sound.extend([0.0; 8_000]);
    let asks = StreamConfig { turn_after_ms: Some(200), ..StreamConfig::default() };
    let (mut input, mut events) = ears.open(asks).expect("a place");
    let (mut neighbour, mut beside) = ears.open(StreamConfig::default()).expect("a place");
    for piece in sound.chunks(320) {
        input.push(piece).await.expect("open");
        neighbour.push(piece).await.expect("open");
    }
    neighbour.finish();
    let ended = loop {
        let event = tokio::time::timeout(Duration::from_secs(20), events.next()).await.expect("the turn is scored");
        match event.expect("the stream is open") {
            Event::TurnEnded { probability, at, .. } if at.as_secs_f64() > 9.5 => break probability,
            _ => {}
        }
    };
    assert!(ended > 0.5, "the sentence is over: {ended}");
    while let Some(event) = beside.next().await {
        assert!(!matches!(event, Event::TurnEnded { .. }), "nobody asked: {event:?}");
    }
}

#[test]
fn ears_without_the_model_never_speak_of_turns() {
    let Some(ears) = ears(1) else { return };
    let Some(sound) = fixture::speech("speech/jfk.wav") else { return };
    assert!(!ears.scores_turns());
    let asks = StreamConfig { turn_after_ms: Some(200), ..StreamConfig::default() };
    let (mut input, mut events) = ears.open(asks).expect("a place");
    input.push_blocking(&sound).expect("open");
    input.finish();
    let said: Vec<Event> = std::iter::from_fn(|| events.next_blocking()).collect();
    assert!(said.iter().any(|event| matches!(event, Event::SpeechEnded { .. })));
    assert!(!said.iter().any(|event| matches!(event, Event::TurnEnded { .. })));
}

/// Ears that tell voices apart.
fn ears_for_voices(streams_max: usize) -> Option<Ears> {
    let (library, segmentation, voice) = fixture::voices()?;
    let (_, silero) = fixture::silero()?;
    let (_, folder) = fixture::moonshine()?;
    let voices = live::Models::load(&library, Speech::Segmentation(&segmentation), &voice).expect("whole models");
    let silero = Silero::load(&library, &silero).expect("the model is whole");
    let moonshine = Moonshine::load(&library, &folder).expect("the model is whole");
    let senses = Senses { turn: None, voices: Ok(voices) };
    let options = Options { workers: 1, streams_max };
    Some(Ears::start_with(Arc::new(moonshine), silero, senses, options).expect("threads start"))
}

/// Everything that is said of a sound that comes as fast as it is taken.
fn said_of(ears: &Ears, config: StreamConfig, sound: Vec<f32>) -> Vec<Event> {
    let (mut input, mut events) = ears.open(config).expect("a place");
    let speaking = std::thread::spawn(move || {
        for piece in sound.chunks(1_600) {
            input.push_blocking(piece).expect("open");
        }
    });
    let said = std::iter::from_fn(|| events.next_blocking()).collect();
    speaking.join().expect("the writer does not panic");
    said
}

#[test]
fn words_have_voices_where_the_stream_asks_and_end_with_the_stream() {
    let (Some(ears), Some(sound)) = (ears_for_voices(2), fixture::speech("speech/jfk.wav")) else { return };
    assert!(ears.tells_voices() && ears.no_voices().is_none());
    // However fast it comes: a live stream may have some of it left out, and its words are told all the same.
    for live in [false, true] {
        let config = StreamConfig { live, diarization: Some(Diarization::default()), ..StreamConfig::default() };
        let mut known: BTreeMap<UtteranceId, (usize, Vec<VoiceRun>)> = BTreeMap::new();
        for event in said_of(&ears, config, sound.clone()) {
            match event {
                Event::Final { utterance, words, voices, .. } => {
                    known.insert(utterance, (words.len(), voices));
                }
                Event::Relabelled { utterance, voices } => {
                    known.get_mut(&utterance).expect("said before it is put right").1 = voices;
                }
                _ => {}
            }
        }
        let words: usize = known.values().map(|(words, _)| words).sum();
        assert!(words > 10, "live {live}: {known:?}");
        for (words, runs) in known.values() {
            assert_eq!(runs.iter().map(|run| run.words).sum::<usize>(), *words, "live {live}: {known:?}");
        }
        let runs = || known.values().flat_map(|(_, runs)| runs);
        assert!(runs().all(|run| run.voice.is_none_or(|voice| voice == VoiceId(0))), "one person: {known:?}");
        let told: usize = runs().filter(|run| run.voice.is_some()).map(|run| run.words).sum();
        assert!(live || told > words / 2, "{told} of {words}: {known:?}");
    }
    let plain = said_of(&ears, StreamConfig { live: false, ..StreamConfig::default() }, sound);
    for event in plain {
        match event {
            Event::Final { voices, .. } => assert!(voices.is_empty(), "nobody asked"),
            Event::Relabelled { .. } => panic!("nobody asked: {event:?}"),
            _ => {}
        }
    }
}

#[test]
fn a_stream_that_is_given_up_frees_its_place_while_voices_are_busy_with_it() {
    let (Some(ears), Some(sound)) = (ears_for_voices(1), fixture::speech("speech/jfk.wav")) else { return };
    let asks = || StreamConfig { diarization: Some(Diarization::default()), ..StreamConfig::default() };
    let (mut input, events) = ears.open(asks()).expect("a place");
    input.push_blocking(&sound).expect("open");
    drop(events);
    assert!(!said_of(&ears, asks(), sound).is_empty());
}

#[test]
fn ears_without_the_models_tell_no_voices_and_say_so() {
    let (Some(ears), Some(sound)) = (ears(1), fixture::speech("speech/jfk.wav")) else { return };
    assert!(!ears.tells_voices() && ears.no_voices().is_some());
    let asks = StreamConfig { diarization: Some(Diarization::default()), ..StreamConfig::default() };
    let said = said_of(&ears, asks, sound);
    assert!(said.iter().any(|event| matches!(event, Event::SpeechEnded { .. })));
    assert!(said.iter().all(|event| match event {
        Event::Final { voices, .. } => voices.is_empty(),
        event => !matches!(event, Event::Relabelled { .. }),
    }));
}
