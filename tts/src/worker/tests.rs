use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use super::*;
use crate::{
    fake::{Fake, WORD_SAMPLES},
    voice::VoiceId,
};

fn voices(voice: impl Voice + 'static, options: Options) -> Voices {
    Voices::start(Arc::new(voice), options).expect("there are threads")
}

fn plain(text: &str) -> Utterance {
    Utterance::plain(VoiceId::default(), text)
}

/// Everything that comes, with samples counted instead of shown.
fn read_all(mut speech: Speech) -> (Vec<Said>, usize) {
    let (mut said, mut samples) = (Vec::new(), 0);
    while let Some(next) = speech.next_blocking() {
        match next {
            Said::Samples { samples: some, .. } => samples += some.len(),
            other => said.push(other),
        }
    }
    (said, samples)
}

#[test]
fn what_is_said_comes_out_as_long_as_it_is_at_the_readers_rate_with_its_words() {
    let voices = voices(Fake::default(), Options::default());
    for rate_hz in [8_000, 16_000, 48_000] {
        let (said, samples) = read_all(voices.speak(&plain("one two. three"), rate_hz).unwrap());
        let ms = |at| u64::from(rate_hz) * at / 1_000;
        let word = |text: &str, at| Said::Word { turn: 0, utterance: 1, text: text.to_owned(), at_sample: ms(at) };
        let expected =
            [word("one", 0), word("two.", 100), word("three", 500), Said::Finished { turn: 0, utterance: 1 }];
        assert_eq!(said, expected);
        // Three words, 300 ms between the sentences, 150 ms behind the last.
        assert_eq!(samples as u64, ms(750), "{rate_hz}");
    }
    assert!(voices.stats().recalled > 0);
}

#[test]
fn a_sentence_that_was_said_before_sounds_the_same_from_memory() {
    let voices = voices(Fake::default(), Options::default());
    let sound = || {
        let mut speech = voices.speak(&plain("good morning"), 48_000).unwrap();
        let mut all = Vec::new();
        while let Some(said) = speech.next_blocking() {
            if let Said::Samples { samples, .. } = said {
                all.extend(samples);
            }
        }
        all
    };
    let first = sound();
    assert_eq!(sound(), first);
    assert_eq!((voices.stats().spoken, voices.stats().recalled), (1, 1));
}

#[test]
fn a_voice_that_fails_or_panics_costs_its_utterance_alone() {
    let voices = voices(Fake::default(), Options { workers: 1, ..Options::default() });
    for bad in ["all is well. now fail", "one. panic. two"] {
        let (said, _) = read_all(voices.speak(&plain(bad), 16_000).unwrap());
        assert!(matches!(said.last(), Some(Said::Failed { error: Error::Failed(_), .. })), "{said:?}");
    }
    let (said, samples) = read_all(voices.speak(&plain("still here"), 16_000).unwrap());
    assert!(matches!(said.last(), Some(Said::Finished { .. })));
    assert_eq!(samples, 2 * WORD_SAMPLES + 2_400);
    assert_eq!(voices.stats().failed, 2);
}

#[test]
fn one_line_more_than_may_be_is_refused_and_a_dropped_one_makes_room() {
    let voices = voices(Fake::default(), Options { lines_max: 1, ..Options::default() });
    let line = voices.open(16_000).unwrap();
    assert!(matches!(voices.open(16_000).err(), Some(Refused::Full(1))));
    drop(line);
    assert!(voices.open(16_000).is_ok());
    assert!(matches!(voices.open(0).err(), Some(Refused::Rate(_))));
    let long = plain(&"x".repeat(5_000));
    assert!(matches!(voices.speak(&long, 16_000).err(), Some(Refused::TooMuch(TooMuch::Chars))));
}

/// A voice that waits inside a sentence until it is let go or told to stop.
#[derive(Default)]
struct Held {
    inner: Fake,
    gate: Arc<(Mutex<(bool, usize)>, Condvar)>,
}

impl Voice for Held {
    fn info(&self) -> &Info {
        self.inner.info()
    }

    fn ready(&self) -> Result<(), Error> {
        Ok(())
    }

    fn speak(&self, sentence: &Sentence, stop: &AtomicBool, made: &mut dyn FnMut(Made<'_>)) -> Result<(), Error> {
        made(Made::Samples(&[0.5; 1_600]));
        let (state, bell) = &*self.gate;
        let mut state = state.lock().unwrap();
        state.1 += 1;
        bell.notify_all();
        while !state.0 {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            state = bell.wait_timeout(state, Duration::from_millis(5)).unwrap().0;
        }
        drop(state);
        self.inner.speak(sentence, stop, made)
    }
}

#[tokio::test]
async fn a_hush_stops_the_sentence_that_is_spoken_and_nothing_of_its_turn_is_heard_after() {
    let held = Held::default();
    let gate = held.gate.clone();
    let voices = voices(held, Options::default());
    let (mut input, mut speech) = voices.open(16_000).unwrap();
    assert_eq!(input.say(1, &plain("first. second")).await, Ok(1));
    assert_eq!(input.say(2, &plain("later")).await, Ok(2));
    assert!(matches!(speech.next().await, Some(Said::Samples { turn: 1, .. })));
    input.hush(1);
    // The thread is free again: it has begun the next turn, which nobody let go yet.
    let begun = gate.clone();
    tokio::task::spawn_blocking(move || {
        let (state, bell) = &*begun;
        drop(bell.wait_while(state.lock().unwrap(), |state| state.1 < 2).unwrap());
    })
    .await
    .unwrap();
    gate.0.lock().unwrap().0 = true;
    gate.1.notify_all();
    assert_eq!(speech.next().await, Some(Said::Dropped { turn: 1, utterance: 1 }));
    assert_eq!(input.say(1, &plain("too late")).await, Ok(3));
    drop(input);
    let (mut samples, mut ends) = (0, Vec::new());
    while let Some(said) = speech.next().await {
        match said {
            Said::Samples { turn, samples: some, .. } => {
                assert_eq!(turn, 2);
                samples += some.len();
            }
            Said::Word { text, .. } => assert_eq!(text, "later"),
            end => ends.push(end),
        }
    }
    assert_eq!(samples, 1_600 + WORD_SAMPLES + 2_400);
    ends.sort_by_key(|end| matches!(end, Said::Finished { .. }));
    assert_eq!(ends, [Said::Dropped { turn: 1, utterance: 3 }, Said::Finished { turn: 2, utterance: 2 }]);
}

#[tokio::test]
async fn a_hush_reaches_what_the_reader_has_taken_already() {
    let voices = voices(Fake::default(), Options::default());
    let (mut input, mut speech) = voices.open(48_000).unwrap();
    let text = "word ".repeat(15);
    input.say(1, &plain(&text)).await.unwrap();
    // From memory a sentence is taken whole, and told in pieces.
    loop {
        match speech.next().await {
            Some(Said::Finished { .. }) => break,
            said => assert!(said.is_some()),
        }
    }
    input.say(2, &plain(&text)).await.unwrap();
    while !matches!(speech.next().await, Some(Said::Samples { turn: 2, .. })) {}
    input.hush(2);
    assert_eq!(speech.next().await, Some(Said::Dropped { turn: 2, utterance: 2 }));
    drop(input);
    assert_eq!(speech.next().await, None);
}

#[tokio::test]
async fn a_reader_that_does_not_read_stops_its_own_line_and_nobody_elses() {
    let voices = voices(Fake::default(), Options { workers: 1, ..Options::default() });
    let (mut input, mut speech) = voices.open(16_000).unwrap();
    let text = "word ".repeat(30) + ". ";
    // Sixteen parts: sentences and the pauses between.
    for _ in 0..8 {
        input.say(1, &plain(&text)).await.unwrap();
    }
    let (said, _) = tokio::task::spawn_blocking({
        let voices = voices.clone();
        move || read_all(voices.speak(&plain("somebody else"), 16_000).unwrap())
    })
    .await
    .unwrap();
    assert!(matches!(said.last(), Some(Said::Finished { .. })));
    // Two seconds and a sentence are made, no more.
    assert!(voices.stats().spoken + voices.stats().recalled <= 4, "{:?}", voices.stats());
    drop(input);
    let mut finished = 0;
    while let Some(said) = speech.next().await {
        finished += usize::from(matches!(said, Said::Finished { .. }));
    }
    assert_eq!(finished, 8);
}

#[tokio::test]
async fn whoever_drops_the_reader_frees_the_thread_and_the_writer() {
    let voices = voices(Held::default(), Options { workers: 1, lines_max: 2, ..Options::default() });
    let (mut input, speech) = voices.open(16_000).unwrap();
    input.say(1, &plain("one. two. three")).await.unwrap();
    drop(speech);
    assert_eq!(input.say(1, &plain("four")).await, Err(Refused::Abandoned));
    assert_eq!(voices.stats().lines, 0);
}

#[tokio::test]
async fn when_the_voices_stop_every_line_ends() {
    let voices = voices(Held::default(), Options::default());
    let (mut input, mut speech) = voices.open(16_000).unwrap();
    input.say(1, &plain("never to be finished")).await.unwrap();
    drop(voices);
    while speech.next().await.is_some() {}
    assert_eq!(input.say(1, &plain("more")).await, Err(Refused::Closing));
}
