//! One stream's policy, with a recognizer that is always right about what it is given and a clock of numbers.
//!
//! The audio spells its own words: every sample of word n has the value n, so that a decode of any stretch
//! tells exactly which words lie in it, whole or cut.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use asr::{
    event::{Cut, Event, LostWhy, text},
    listener::{Job, Listener},
    pool::StreamConfig,
    recognizer::{Error, Hypothesis, TimedWord},
    vad::gate::WINDOW_SAMPLES,
};

#[test]
fn a_final_is_ready_when_the_pause_is_over() {
    let mut call = Call::new(StreamConfig::default());
    call.say(0..4);
    let silent_from = call.at;
    call.hush(800);
    let (at, words) = call.finals().remove(0);
    assert_eq!(words, spelled(0..4));
    assert!(
        at - silent_from <= Duration::from_millis(330),
        "the final came {:?} after the last sound",
        at - silent_from
    );
}

#[test]
fn speech_is_announced_before_its_words_and_ended_after_them() {
    let mut call = Call::new(StreamConfig::default());
    call.say(0..3);
    call.hush(800);
    let kinds: Vec<&str> = call.events.iter().map(|(_, event)| kind(event)).collect();
    assert_eq!(kinds.first(), Some(&"started"));
    assert_eq!(kinds[kinds.len() - 2..], ["final", "ended"]);
    assert!(kinds[1..kinds.len() - 2].iter().all(|&kind| kind == "partial"));
}

#[test]
fn the_first_sound_of_the_first_word_is_not_cut_off() {
    let mut call = Call::new(StreamConfig::default());
    call.hush(500);
    call.say(0..2);
    call.hush(800);
    let Some(Event::Final { span, .. }) = call.events.iter().map(|(_, e)| e).find(|e| kind(e) == "final") else {
        panic!()
    };
    assert!(span.start.as_millis() <= 490, "the final begins at {}", span.start);
}

#[test]
fn an_hour_of_monologue_is_heard_word_by_word_through_short_windows() {
    let mut call = Call::new(StreamConfig::default());
    let words = 3600 * 1000 / WORD_MS as usize;
    call.say(0..words);
    call.hush(800);
    assert_eq!(call.transcript(), spelled(0..words));
    assert!(call.longest_window_s <= 14.1, "a window of {} s was decoded", call.longest_window_s);
    let cost = call.decoded_s / 3600.0;
    assert!(cost < 8.0, "every second was decoded {cost} times");
}

#[test]
fn a_monologue_nobody_watches_is_cut_where_it_is_quiet() {
    let mut call = Call::new(StreamConfig { partials: false, live: false, ..StreamConfig::default() });
    call.say(0..300);
    call.hush(800);
    assert_eq!(call.transcript(), spelled(0..300));
    assert!(call.longest_window_s <= 14.1);
}

#[test]
fn settled_words_never_change() {
    let mut call = Call::new(StreamConfig::default());
    call.say(0..40);
    call.hush(700);
    call.say(40..55);
    call.hush(700);
    call.assert_settled_words_stay();
}

#[test]
fn finalize_is_always_answered_once() {
    let mut call = Call::new(StreamConfig::default());
    call.finalize();
    call.say(0..3);
    call.finalize();
    call.finalize();
    call.hush(800);
    call.finalize();
    let finalized: Vec<String> = call
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Final { cut: Cut::Finalize, words, .. } => Some(text(words)),
            _ => None,
        })
        .collect();
    assert_eq!(finalized, ["", &spelled(0..3), "", ""]);
    assert_eq!(call.transcript(), spelled(0..3));
}

#[test]
fn the_end_brings_the_last_words_and_then_nothing() {
    let mut call = Call::new(StreamConfig::default());
    call.say(0..3);
    call.end();
    assert_eq!(call.transcript(), spelled(0..3));
    assert!(call.listener.is_done());
    assert_eq!(call.events.last().map(|(_, event)| kind(event)), Some("ended"));
}

#[test]
fn a_recognizer_that_fails_loses_its_utterance_and_says_so() {
    let mut call = Call::new(StreamConfig { partials: false, ..StreamConfig::default() });
    call.broken = true;
    call.say(0..3);
    call.hush(800);
    call.broken = false;
    call.say(3..6);
    call.hush(800);
    assert_eq!(call.transcript(), spelled(3..6));
    assert!(call.events.iter().any(|(_, event)| matches!(event, Event::Lost { why: LostWhy::Recognizer, .. })));
}

#[test]
fn decoders_that_never_come_cost_a_live_stream_its_oldest_words_and_no_memory() {
    let mut call = Call::new(StreamConfig::default());
    call.decode_takes = None;
    for _ in 0..100 {
        call.say(0..5);
        call.hush(500);
    }
    assert!(call.listener.backlog_samples() <= 30 * 16_000 + 4 * 16_000);
    assert!(call.events.iter().any(|(_, event)| matches!(event, Event::Lost { why: LostWhy::Overload, .. })));
}

#[test]
fn a_slow_machine_makes_fewer_partials_and_the_same_words() {
    let mut fast = Call::new(StreamConfig::default());
    let mut slow = Call::new(StreamConfig::default());
    slow.decode_takes = Some(Duration::from_millis(250));
    for call in [&mut fast, &mut slow] {
        call.say(0..60);
        call.hush(8000);
    }
    assert_eq!(fast.transcript(), slow.transcript());
    assert!(slow.partials() * 3 < fast.partials() * 2, "{} against {}", slow.partials(), fast.partials());
}

#[test]
fn a_click_says_nothing() {
    let mut call = Call::new(StreamConfig::default());
    call.window(&[0.5; WINDOW_SAMPLES], 0.9);
    call.hush(500);
    assert!(call.events.is_empty());
}

/// A stream in a world of numbers.
struct Call {
    listener: Listener,
    began: Instant,
    at: Duration,
    /// What a decode takes per second of window; `None` never ends.
    decode_takes: Option<Duration>,
    running: Option<(Duration, Job)>,
    broken: bool,
    events: Vec<(Duration, Event)>,
    longest_window_s: f32,
    decoded_s: f32,
    pending: Vec<f32>,
}

/// Each word lasts 300 ms and is followed by 84 ms of a quieter moment.
const WORD_MS: u64 = 384;
const SOUND_SAMPLES: usize = 9 * WINDOW_SAMPLES;
const GAP_SAMPLES: usize = 3 * WINDOW_SAMPLES;

impl Call {
    #[expect(clippy::disallowed_methods, reason = "an instant to count from")]
    fn new(config: StreamConfig) -> Self {
        Self {
            listener: Listener::new(config, 20),
            began: Instant::now() + Duration::from_secs(60),
            at: Duration::ZERO,
            decode_takes: Some(Duration::from_millis(25)),
            running: None,
            broken: false,
            events: Vec::new(),
            longest_window_s: 0.0,
            decoded_s: 0.0,
            pending: Vec::new(),
        }
    }

    fn say(&mut self, words: Range<usize>) {
        for word in words {
            let mut sound = vec![value(word); SOUND_SAMPLES];
            sound.resize(SOUND_SAMPLES + GAP_SAMPLES, 0.0);
            self.pending.extend(sound);
        }
        let pending = std::mem::take(&mut self.pending);
        for window in pending.chunks(WINDOW_SAMPLES) {
            let speech = if window[0] != 0.0 { 0.95 } else { 0.4 };
            self.window(window, speech);
        }
    }

    fn hush(&mut self, ms: u64) {
        for _ in 0..ms / 32 {
            self.window(&[0.0; WINDOW_SAMPLES], 0.02);
        }
    }

    fn window(&mut self, window: &[f32], speech: f32) {
        self.at += Duration::from_millis(32);
        self.listener.hear(window, speech, self.began + self.at);
        self.work();
    }

    fn finalize(&mut self) {
        self.listener.finalize(self.began + self.at);
        self.settle();
    }

    fn end(&mut self) {
        self.listener.end(self.began + self.at);
        self.settle();
    }

    /// Lets time pass without sound until nothing is being decoded.
    fn settle(&mut self) {
        for _ in 0..200 {
            self.at += Duration::from_millis(1);
            self.work();
        }
    }

    fn work(&mut self) {
        self.drain();
        if let Some((_, job)) = self.running.take_if(|(ready, _)| *ready <= self.at) {
            let answer = if self.broken { Err(Error::Engine("broken".to_owned())) } else { Ok(read(&job.audio)) };
            let cost = self.decode_takes.unwrap_or_default().mul_f32(job.audio.len() as f32 / 16_000.0);
            self.listener.decoded(job.id, answer, cost);
            self.drain();
        }
        if self.running.is_none()
            && let Some(takes) = self.decode_takes
            && let Some(job) = self.listener.take_job(self.began + self.at)
        {
            let window_s = job.audio.len() as f32 / 16_000.0;
            self.longest_window_s = self.longest_window_s.max(window_s);
            self.decoded_s += window_s;
            self.running = Some((self.at + takes.mul_f32(window_s), job));
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.listener.poll() {
            self.events.push((self.at, event));
        }
    }

    fn finals(&self) -> Vec<(Duration, String)> {
        let finals = self.events.iter().filter_map(|(at, event)| match event {
            Event::Final { words, .. } if !words.is_empty() => Some((*at, text(words))),
            _ => None,
        });
        finals.collect()
    }

    fn transcript(&self) -> String {
        self.finals().into_iter().map(|(_, words)| words).collect::<Vec<_>>().join(" ")
    }

    fn partials(&self) -> usize {
        self.events.iter().filter(|(_, event)| kind(event) == "partial").count()
    }

    fn assert_settled_words_stay(&self) {
        let mut settled: Vec<String> = Vec::new();
        for (_, event) in &self.events {
            match event {
                Event::Partial { words, stable_words, .. } => {
                    let now: Vec<String> = words[..*stable_words].iter().map(|word| word.text.clone()).collect();
                    assert!(now.starts_with(&settled), "{settled:?} became {now:?}");
                    settled = now;
                }
                Event::Final { words, .. } => {
                    let said: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
                    assert!(said.starts_with(&settled) || settled.starts_with(&said), "{settled:?} became {said:?}");
                    settled.drain(..said.len().min(settled.len()));
                }
                _ => {}
            }
        }
    }
}

/// Word `n` as a level that a decode can read back; far from silence.
fn value(word: usize) -> f32 {
    0.1 + (word % 8000) as f32 / 10_000.0
}

/// Hears every word of which at least half lies in the audio.
fn read(audio: &[f32]) -> Hypothesis {
    let mut words = Vec::new();
    let mut index = 0;
    while index < audio.len() {
        let level = audio[index];
        let length = audio[index..].iter().take_while(|&&sample| sample == level).count();
        if level != 0.0 && length >= SOUND_SAMPLES / 2 {
            words.push(TimedWord {
                text: spelling(((level - 0.1) * 10_000.0).round() as usize),
                start_s: index as f32 / 16_000.0,
                end_s: (index + length) as f32 / 16_000.0,
                confidence: 0.9,
            });
        }
        index += length;
    }
    Hypothesis { words, ..Hypothesis::default() }
}

/// A word for a number: text that is as little repetitive as speech.
fn spelling(word: usize) -> String {
    let mixed = (word * 7919 + 13) % 17_576;
    [mixed / 676, mixed / 26 % 26, mixed % 26].map(|letter| char::from(b'a' + letter as u8)).iter().collect()
}

fn spelled(words: Range<usize>) -> String {
    words.map(|word| spelling(word % 8000)).collect::<Vec<_>>().join(" ")
}

fn kind(event: &Event) -> &'static str {
    match event {
        Event::SpeechStarted { .. } => "started",
        Event::Partial { .. } => "partial",
        Event::Final { .. } => "final",
        Event::SpeechEnded { .. } => "ended",
        Event::Lost { .. } => "lost",
    }
}
