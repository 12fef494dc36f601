//! The pool's shell: places, back-pressure, and what happens to streams when the ears go away.

mod fixture;

use std::sync::{Arc, atomic::AtomicBool};

use asr::{
    pool::{Ears, Options, Refused, StreamConfig},
    recognizer::{Decoder, Error, Hints, Hypothesis, Info, Recognizer},
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
    let (library, model) = fixture::silero()?;
    let silero = Silero::load(&library, &model).expect("the model is whole");
    let info = Info { engine: "deaf", model: "deaf".to_owned(), languages: vec!["en".to_owned()], window_max_s: 20 };
    Some(Ears::start(Arc::new(Deaf(info)), silero, Options { workers: 1, streams_max }).expect("threads start"))
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
