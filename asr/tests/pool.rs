//! The pool's shell: places, back-pressure, who hears of turns, and what happens to streams when the ears go away.

mod fixture;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use asr::{
    event::Event,
    pool::{Ears, Options, Refused, StreamConfig},
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
