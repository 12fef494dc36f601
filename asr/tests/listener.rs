//! One stream's policy, with a recognizer that is always right about what it is given and a clock of numbers.
//!
//! The audio spells its own words: every sample of word n has the value n, so that a decode of any stretch
//! tells exactly which words lie in it, whole or cut.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use asr::{
    event::{Cut, Event, LostWhy, UtteranceId, text},
    listener::{Job, Listener, Task},
    pool::StreamConfig,
    recognizer::{Error, Hints, Hypothesis, TimedWord},
    vad::gate::WINDOW_SAMPLES,
};
use media::time::MediaTime;

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

#[test]
fn a_pause_is_scored_once_where_it_begins_and_before_its_words_are_final() {
    let mut call = Call::new(asks());
    call.say(0..4);
    let silent_from = call.at;
    call.hush(2000);
    let (said_at, utterance, probability, at) = call.only_turn();
    assert_eq!((utterance, probability), (UtteranceId(0), 0.75));
    assert_eq!(at.as_duration(), silent_from, "where the speech ended");
    assert!(said_at - silent_from <= Duration::from_millis(260), "said {:?} after it", said_at - silent_from);
    let kinds: Vec<&str> = call.events.iter().map(|(_, event)| kind(event)).filter(|&kind| kind != "partial").collect();
    assert_eq!(kinds, ["started", "turn", "final", "ended"]);
}

#[test]
fn the_next_pause_is_scored_anew_from_the_last_eight_seconds() {
    let mut call = Call::new(asks());
    call.decode_takes = Some(Duration::from_millis(1));
    call.say(0..30);
    call.hush(256);
    call.say(30..32);
    call.hush(2000);
    assert_eq!(call.asked.len(), 2);
    assert_eq!(call.turns().len(), 2);
    let (first, second) = (&call.asked[0], &call.asked[1]);
    assert_eq!((first.len(), second.len()), (128_000, 128_000));
    // Six windows of silence end it, and the words before are there.
    let quiet = second.iter().rev().take_while(|&&sample| sample == 0.0).count();
    assert_eq!(quiet, 6 * WINDOW_SAMPLES + GAP_SAMPLES);
    assert_eq!(second[128_000 - quiet - 1], value(31));
}

#[test]
fn a_stream_younger_than_eight_seconds_is_scored_from_its_beginning() {
    let mut call = Call::new(asks());
    call.hush(320);
    call.say(0..2);
    call.hush(800);
    assert_eq!(call.asked.len(), 1);
    assert_eq!(call.asked[0].len(), 2 * (SOUND_SAMPLES + GAP_SAMPLES) + 16 * WINDOW_SAMPLES);
}

#[test]
fn an_answer_that_comes_when_somebody_speaks_again_is_thrown_away() {
    let mut call = Call::new(asks());
    call.score_takes = Duration::from_millis(150);
    call.say(0..4);
    call.hush(224);
    call.say(4..8);
    assert_eq!(call.asked.len(), 1, "the pause was long enough to be asked about");
    assert!(call.turns().is_empty(), "and was over before the answer");
    call.hush(800);
    assert_eq!(call.only_turn().1, UtteranceId(0));
    assert_eq!(call.transcript(), spelled(0..8));
}

#[test]
fn an_utterance_that_ends_sooner_is_scored_when_it_ends() {
    let mut call = Call::new(StreamConfig { turn_after_ms: Some(5_000), ..StreamConfig::default() });
    call.say(0..4);
    call.hush(800);
    let (_, utterance, _, at) = call.only_turn();
    let ended = call.events.iter().find_map(|(_, event)| match event {
        Event::SpeechEnded { utterance, at } => Some((*utterance, *at)),
        _ => None,
    });
    assert_eq!(ended, Some((utterance, at)));
}

#[test]
fn words_that_a_final_waits_for_are_decoded_before_a_pause_is_scored() {
    let mut call = Call::new(StreamConfig { turn_after_ms: Some(96), partials: false, ..StreamConfig::default() });
    call.say(0..4);
    call.hush(800);
    assert_eq!(call.tasks, [Task::Final, Task::Turn]);
}

#[test]
fn only_live_streams_that_ask_have_their_pauses_scored() {
    for config in [StreamConfig::default(), StreamConfig { live: false, ..asks() }] {
        let mut call = Call::new(config);
        call.say(0..4);
        call.hush(800);
        assert!(call.asked.is_empty() && call.turns().is_empty());
        assert_eq!(call.transcript(), spelled(0..4));
    }
}

#[test]
fn a_score_that_fails_says_nothing_and_the_next_is_made() {
    let mut call = Call::new(asks());
    call.probability = None;
    call.say(0..4);
    call.hush(800);
    assert!(call.turns().is_empty());
    call.probability = Some(0.25);
    call.say(4..8);
    call.hush(800);
    assert_eq!(call.only_turn().2, 0.25);
    assert_eq!(call.transcript(), spelled(0..8));
}

#[test]
fn nothing_is_said_of_a_turn_once_the_audio_has_ended() {
    let mut call = Call::new(asks());
    call.score_takes = Duration::from_millis(150);
    call.say(0..4);
    call.hush(224);
    assert_eq!(call.asked.len(), 1);
    call.end();
    assert!(call.listener.is_done() && call.turns().is_empty());
    assert_eq!(call.events.last().map(|(_, event)| kind(event)), Some("ended"));
}

#[test]
fn finalize_within_a_pause_neither_repeats_nor_loses_the_score() {
    let mut call = Call::new(asks());
    call.say(0..4);
    call.hush(128);
    call.finalize();
    call.hush(800);
    call.finalize();
    call.hush(800);
    assert_eq!(call.asked.len(), 1);
    assert_eq!(call.turns().len(), 1);
    assert_eq!(call.transcript(), spelled(0..4));
}

#[test]
fn a_short_word_keeps_the_language_of_the_call_and_a_sentence_may_change_it() {
    let mut call = Call::new(StreamConfig::default());
    let said =
        [("de", 0.95, 0..8), ("cy", 0.99, 8..10), ("nl", 0.4, 10..18), ("en", 0.95, 18..26), ("de", 0.99, 26..28)];
    for (language, probability, words) in said {
        call.found = Some((language, probability));
        call.say(words);
        call.hush(800);
    }
    let languages: Vec<_> = call
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Final { words, language, .. } if !words.is_empty() => Some(language.as_deref().unwrap_or_default()),
            _ => None,
        })
        .collect();
    assert_eq!(languages, ["de", "de", "de", "en", "en"]);
    assert_eq!(call.transcript(), spelled(0..28));
}

#[test]
fn words_in_a_doubtful_language_are_asked_for_again_once() {
    // Without partials a decode is a final, so that each is seen.
    let mut call = Call::new(StreamConfig { partials: false, live: false, ..StreamConfig::default() });
    for (found, words, decodes) in [(("de", 0.95), 0..8, 1), (("nl", 0.4), 8..16, 3)] {
        call.found = Some(found);
        call.say(words);
        call.hush(800);
        call.settle();
        assert_eq!(call.tasks, vec![Task::Final; decodes], "{found:?}");
    }
    assert_eq!(call.transcript(), spelled(0..16));
}

#[test]
fn a_language_that_was_asked_for_is_never_found_out() {
    let hints = Hints { language: Some("de".to_owned()), ..Hints::default() };
    let mut call = Call::new(StreamConfig { hints, ..StreamConfig::default() });
    call.found = Some(("en", 0.99));
    call.say(0..8);
    call.hush(800);
    let asked = |event: &Event| matches!(event, Event::Final { language: Some(language), .. } if language == "de");
    assert_eq!(call.events.iter().filter(|(_, event)| asked(event)).count(), 1);
}

fn asks() -> StreamConfig {
    StreamConfig { turn_after_ms: Some(200), ..StreamConfig::default() }
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
    /// Which language is found where none is asked for, and how surely.
    found: Option<(&'static str, f32)>,
    /// What a score takes, and what it says.
    score_takes: Duration,
    probability: Option<f32>,
    /// The sound of every score that was asked for, and what was done in which order.
    asked: Vec<Vec<f32>>,
    tasks: Vec<Task>,
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
            found: None,
            score_takes: Duration::from_millis(50),
            probability: Some(0.75),
            asked: Vec::new(),
            tasks: Vec::new(),
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
        let ready = self.running.take_if(|(ready, _)| *ready <= self.at);
        if let Some((_, job)) = &ready
            && job.task == Task::Turn
        {
            self.listener.scored(job.id, self.probability);
            self.drain();
        } else if let Some((_, job)) = ready {
            let answer = if self.broken { Err(Error::Engine("broken".to_owned())) } else { Ok(self.read(&job)) };
            let cost = self.decode_takes.unwrap_or_default().mul_f32(job.audio.len() as f32 / 16_000.0);
            self.listener.decoded(job.id, answer, cost);
            self.drain();
        }
        if self.running.is_none()
            && let Some(takes) = self.decode_takes
            && let Some(job) = self.listener.take_job(self.began + self.at)
        {
            self.tasks.push(job.task);
            if job.task == Task::Turn {
                self.asked.push(job.audio.clone());
                self.running = Some((self.at + self.score_takes, job));
                return;
            }
            let window_s = job.audio.len() as f32 / 16_000.0;
            self.longest_window_s = self.longest_window_s.max(window_s);
            self.decoded_s += window_s;
            self.running = Some((self.at + takes.mul_f32(window_s), job));
        }
    }

    fn read(&self, job: &Job) -> Hypothesis {
        let found = self.found.filter(|_| job.hints.language.is_none());
        let language = job.hints.language.clone().or_else(|| found.map(|(language, _)| language.to_owned()));
        Hypothesis { language, language_probability: found.map(|(_, probability)| probability), ..read(&job.audio) }
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

    fn turns(&self) -> Vec<(Duration, UtteranceId, f32, MediaTime)> {
        let turns = self.events.iter().filter_map(|(said_at, event)| match event {
            Event::TurnEnded { utterance, probability, at } => Some((*said_at, *utterance, *probability, *at)),
            _ => None,
        });
        turns.collect()
    }

    fn only_turn(&self) -> (Duration, UtteranceId, f32, MediaTime) {
        let turns = self.turns();
        assert_eq!(turns.len(), 1, "{turns:?}");
        turns[0]
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
        Event::TurnEnded { .. } => "turn",
        Event::Relabelled { .. } => "relabelled",
        Event::Lost { .. } => "lost",
    }
}
