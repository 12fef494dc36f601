//! One question to several providers, on turned time: each provider is a script of what it does and when.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{done, provider};
use crate::{
    llm::{
        Delta, Kind, Patience, Request, Role, Stop, Trouble, Wait,
        ask::{Asking, Body, DELTAS_MAX, Shared},
        budget::{Limits, Purse},
        client::Timing,
        provider::Price,
        route::Breaker,
    },
    routing::money::Money,
};

/// What a provider does with one question: after some time each.
#[derive(Clone)]
enum Act {
    /// Sends bytes.
    Sends(u64, String),
    /// Sends a word.
    Says(u64, &'static str),
    /// Stops, and says so.
    Stops(u64),
    /// Refuses the question, or breaks the answer off.
    Fails(u64, Trouble),
    /// Says nothing any more and keeps the line open.
    Hangs,
}

use Act::{Fails, Hangs, Says, Sends, Stops};

/// Providers by name, each with its scripts, one a question; the last is used again.
struct House {
    shared: Arc<Shared>,
    scripts: Arc<Vec<Mutex<VecDeque<Vec<Act>>>>>,
    /// Connections that are open.
    open: Arc<AtomicUsize>,
    /// How often each was asked, and for how many tokens at last.
    asked: Arc<Vec<AtomicUsize>>,
    max_tokens: Arc<AtomicUsize>,
}

/// What came of a question.
#[derive(Debug)]
struct Outcome {
    words: String,
    ended: Result<Delta, Trouble>,
    timing: Timing,
    took_ms: u64,
}

impl House {
    fn new(scripts: &[&[&[Act]]]) -> Self {
        Self::with(scripts, |_, _| {})
    }

    fn with(scripts: &[&[&[Act]]], mut set: impl FnMut(usize, &mut crate::llm::Provider)) -> Self {
        let providers = (0..scripts.len()).map(|number| {
            let mut provider = provider(&format!("p{number}"), Kind::Compatible, "http://127.0.0.1:1/v1");
            set(number, &mut provider);
            Arc::new(provider)
        });
        let shared = Arc::new(Shared::new(providers.collect(), Patience::default()));
        let script = |acts: &&[&[Act]]| Mutex::new(acts.iter().map(|acts| acts.to_vec()).collect());
        Self {
            shared,
            scripts: Arc::new(scripts.iter().map(script).collect()),
            open: Arc::default(),
            asked: Arc::new(scripts.iter().map(|_| AtomicUsize::new(0)).collect()),
            max_tokens: Arc::default(),
        }
    }

    /// Starts a question; the deltas and times come back.
    fn ask(&self, role: Role, purse: &Purse) -> (mpsc::Receiver<Result<Delta, Trouble>>, Arc<Mutex<Timing>>, Task) {
        let (told, deltas) = mpsc::channel(DELTAS_MAX);
        let timing = Arc::new(Mutex::new(Timing::default()));
        let (scripts, open, asked, max_tokens) =
            (self.scripts.clone(), self.open.clone(), self.asked.clone(), self.max_tokens.clone());
        let asking = Asking {
            shared: self.shared.clone(),
            open: move |provider: usize, request: Request| {
                asked[provider].fetch_add(1, Ordering::Relaxed);
                max_tokens.store(request.max_tokens as usize, Ordering::Relaxed);
                let mut scripts = scripts[provider].lock().unwrap();
                let script = if scripts.len() > 1 { scripts.pop_front() } else { scripts.front().cloned() };
                connect(script.unwrap_or_default(), Connection::new(&open)).boxed()
            },
            role,
            preferred: None,
            request: Request { max_tokens: 500, ..Request::default() },
            purse: purse.clone(),
            asked_at: Instant::now(),
            told,
            timing: timing.clone(),
        };
        (deltas, timing, Task(tokio::spawn(asking.run())))
    }

    async fn outcome(&self, role: Role, purse: &Purse) -> Outcome {
        let began = Instant::now();
        let (mut deltas, timing, _task) = self.ask(role, purse);
        let mut words = String::new();
        let ended = loop {
            match deltas.recv().await.expect("every question is answered") {
                Ok(Delta::Text(text)) => words.push_str(&text),
                ended => break ended,
            }
        };
        let took_ms = began.elapsed().as_millis() as u64;
        // The rest of the winner's body is read after its answer.
        tokio::task::yield_now().await;
        let timing = timing.lock().unwrap().clone();
        Outcome { words, ended, timing, took_ms }
    }

    async fn answer(&self) -> Outcome {
        self.outcome(Role::Primary, &Purse::unlimited()).await
    }

    fn asked(&self) -> Vec<usize> {
        self.asked.iter().map(|asked| asked.load(Ordering::Relaxed)).collect()
    }

    fn breakers(&self) -> Vec<Breaker> {
        self.shared.routes().breakers()
    }
}

/// A task that ends with whoever holds it, as an answer's does.
struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Counts the connections that are open.
struct Connection(Arc<AtomicUsize>);

impl Connection {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open.clone())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn connect(script: Vec<Act>, connection: Connection) -> Result<Body, Trouble> {
    let acts = VecDeque::from(script);
    match acts.front() {
        Some(Fails(after, trouble)) => {
            sleep_until(Instant::now() + Duration::from_millis(*after)).await;
            return Err(trouble.clone());
        }
        // As a server that reads the question and sends no head.
        Some(Hangs) => std::future::pending().await,
        _ => {}
    }
    let body = stream::unfold((acts, connection), |(mut acts, connection)| async move {
        let (after, item) = match acts.pop_front()? {
            Sends(after, bytes) => (after, Ok(Bytes::from(bytes))),
            Says(after, word) => (after, Ok(chunk(&serde_json::json!({ "delta": { "content": word } })))),
            Stops(after) => (after, Ok(chunk(&serde_json::json!({ "finish_reason": "stop" })))),
            Fails(after, trouble) => (after, Err(trouble)),
            Hangs => std::future::pending().await,
        };
        sleep_until(Instant::now() + Duration::from_millis(after)).await;
        Some((item, (acts, connection)))
    });
    Ok(body.boxed())
}

fn chunk(choice: &serde_json::Value) -> Bytes {
    format!("data: {{\"choices\":[{choice}]}}\n\n").into()
}

fn failed() -> Trouble {
    Trouble::Failed { provider: "p0".into(), status: 500, code: None }
}

fn reset() -> Trouble {
    Trouble::CutOff { provider: "p0".into() }
}

fn busy(after: Option<u64>) -> Trouble {
    let retry_after = after.map(Duration::from_secs);
    Trouble::Busy { provider: "p0".into(), status: 429, code: None, retry_after }
}

fn well(word: &'static str) -> Vec<Act> {
    vec![Says(300, word), Stops(100)]
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_with_its_times() {
    let house = House::new(&[&[&[Says(300, "Guten"), Says(100, " Tag."), Stops(50)]]]);
    let answer = house.answer().await;
    assert_eq!((&*answer.words, answer.ended), ("Guten Tag.", Ok(done(Stop::End, 0, 4))));
    assert_eq!(answer.timing.provider.as_deref(), Some("p0"));
    assert_eq!(answer.timing.first, Some(Duration::from_millis(300)));
    assert_eq!(answer.timing.took, Some(Duration::from_millis(450)));
    assert_eq!((answer.timing.tries, answer.timing.is_hedged), (1, false));
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_first_word_is_not_heard() {
    for trouble in [failed(), busy(None), busy(Some(60)), reset()] {
        let house = House::new(&[&[&[Fails(20, trouble)]], &[&well("Hello")]]);
        let answer = house.answer().await;
        assert_eq!((&*answer.words, answer.timing.provider.as_deref()), ("Hello", Some("p1")));
        assert_eq!((house.asked(), answer.timing.tries), (vec![1, 1], 2));
        assert!(answer.took_ms <= 450, "{}", answer.took_ms);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_inside_the_stream_before_the_first_word_is_not_heard_either() {
    let error = "data: {\"error\":{\"type\":\"server_error\"}}\n\n".to_owned();
    let bytes = [": thinking\n\n".to_owned(), error.clone()].concat();
    for first in
        [error, bytes, "data: <html>\n\n".to_owned(), "data: [DONE]\n\n".to_owned(), "\u{0}\u{ffff}".to_owned()]
    {
        let house = House::new(&[&[&[Sends(20, first)]], &[&well("Hello")]]);
        assert_eq!(house.answer().await.words, "Hello");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_silent_is_overtaken() {
    let silent: [&[Act]; 4] = [
        &[Hangs],
        &[Sends(0, String::new()), Hangs],
        // A drip that keeps the line open and says nothing.
        &[Sends(500, ": a\n\n".into()), Sends(500, ": b\n\n".into()), Sends(500, ": c\n\n".into()), Hangs],
        &[Says(8_000, "late"), Stops(0)],
    ];
    for silent in silent {
        let house = House::new(&[&[silent], &[&well("Hello")]]);
        let answer = house.answer().await;
        assert_eq!((&*answer.words, answer.timing.is_hedged), ("Hello", true));
        assert_eq!(answer.timing.first, Some(Duration::from_millis(1_500)));
        assert_eq!(house.open.load(Ordering::Relaxed), 0, "nobody listens to the silent one any more");
    }
}

#[tokio::test(start_paused = true)]
async fn the_slow_one_still_wins_when_it_speaks_first() {
    let house = House::new(&[&[&[Says(1_400, "Slow"), Stops(10)]], &[&[Says(3_000, "slower"), Stops(0)]]]);
    let answer = house.answer().await;
    assert_eq!((&*answer.words, answer.timing.is_hedged, house.asked()), ("Slow", true, vec![1, 1]));
    assert_eq!(house.breakers(), [Breaker::Closed; 2]);
}

#[tokio::test(start_paused = true)]
async fn silence_of_everybody_is_told_in_time_for_a_spoken_apology() {
    let house = House::new(&[&[&[Hangs]], &[&[Hangs]], &[&[Hangs]]]);
    let answer = house.answer().await;
    let Err(Trouble::Late { provider, wait: Wait::First, .. }) = answer.ended else { panic!("{answer:?}") };
    assert_eq!((&*provider, answer.took_ms, house.asked()), ("p0", 4_000, vec![1, 1, 0]));
    tokio::task::yield_now().await;
    assert_eq!(house.open.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn one_provider_gets_a_second_try() {
    let house = House::new(&[&[&[Fails(20, failed())], &well("Hello")]]);
    let answer = house.answer().await;
    assert_eq!((&*answer.words, house.asked()), ("Hello", vec![2]));
    let house = House::new(&[&[&[Fails(20, failed())]]]);
    let answer = house.answer().await;
    assert_eq!((answer.ended, house.asked(), answer.took_ms), (Err(failed()), vec![2], 290));
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_kept_and_others_answer_meanwhile() {
    let house = House::new(&[&[&[Fails(10, busy(Some(7)))], &well("first")], &[&well("second")]]);
    let began = Instant::now();
    assert_eq!(house.answer().await.words, "second");
    assert_eq!(house.answer().await.words, "second");
    assert_eq!(house.asked(), [1, 2], "nobody knocks before the time");
    sleep_until(began + Duration::from_millis(7_010)).await;
    assert_eq!(house.answer().await.words, "first");
}

#[tokio::test(start_paused = true)]
async fn alone_and_resting_it_is_said_at_once() {
    let house = House::new(&[&[&[Fails(10, busy(Some(20)))]]]);
    assert_eq!(house.answer().await.ended, Err(busy(Some(20))));
    let second = house.answer().await;
    let Err(Trouble::Resting { after }) = second.ended else { panic!("{second:?}") };
    assert_eq!((after.as_millis(), second.took_ms, house.asked()), (20_000, 0, vec![1]));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_and_the_provider_is_found_well_within_half_a_minute() {
    let house = House::new(&[&[
        &[Fails(0, failed())],
        &[Fails(0, failed())],
        &[Fails(0, failed())],
        &[Fails(0, failed())],
        &[Fails(0, failed())],
        &well("again"),
    ]]);
    let mut heard_at = None;
    let began = Instant::now();
    for second in 0..60 {
        sleep_until(began + Duration::from_secs(second)).await;
        if house.answer().await.words == "again" {
            heard_at = Some(second);
            break;
        }
    }
    assert!(heard_at.is_some_and(|second| second <= 30), "{heard_at:?}");
    assert_eq!(house.asked(), [6], "between, it is left alone");
    assert_eq!(house.breakers(), [Breaker::Closed]);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_every_time_is_left_alone_soon() {
    let house = House::new(&[&[&[Hangs]], &[&well("Hello")]]);
    let mut first = Vec::new();
    for _ in 0..4 {
        first.push(house.answer().await.timing.first.unwrap().as_millis());
    }
    assert_eq!(first, [1_500, 1_500, 1_500, 300]);
}

#[tokio::test(start_paused = true)]
async fn what_breaks_in_the_middle_is_told_after_the_words_before() {
    let late = |wait, after| Trouble::Late { provider: "p0".into(), wait, after: Duration::from_secs(after) };
    let drip: Vec<Act> = std::iter::once(Says(0, "x")).chain((0..40).map(|_| Says(2_000, "x"))).collect();
    let keep_alive: Vec<Act> =
        std::iter::once(Says(0, "x")).chain((0..40).map(|_| Sends(1_000, ": a\n\n".into()))).collect();
    let broken = "data: {\"choices\": [\n\n".to_owned();
    for (acts, trouble) in [
        (vec![Says(0, "x"), Fails(100, reset())], reset()),
        (vec![Says(0, "x")], reset()),
        (vec![Says(0, "x"), Hangs], late(Wait::Next, 4)),
        (keep_alive, late(Wait::Next, 4)),
        (drip, late(Wait::End, 60)),
        (vec![Says(0, "x"), Sends(0, broken)], Trouble::Garbled { provider: "p0".into(), what: "broken JSON" }),
    ] {
        let house = House::new(&[&[&acts], &[&well("not asked")]]);
        let answer = house.answer().await;
        assert_eq!((answer.words.trim_matches('x'), answer.ended), ("", Err(trouble)));
        assert!(!answer.words.is_empty());
        assert_eq!(house.asked(), [1, 0], "half an answer is not begun anew by another voice");
    }
}

/// A piece of the arguments of one call.
fn arguments(piece: &str) -> String {
    let call = serde_json::json!({ "index": 0, "id": "a", "function": { "name": "f", "arguments": piece } });
    String::from_utf8_lossy(&chunk(&serde_json::json!({ "delta": { "tool_calls": [call] } }))).into_owned()
}

#[tokio::test(start_paused = true)]
async fn a_long_call_is_waited_for_while_anything_comes() {
    let begun = || std::iter::once(Sends(0, arguments("{\"letter\":\"")));
    let written = || std::iter::once(Sends(0, arguments("\"}"))).chain([Stops(0)]);
    let pieces: Vec<Act> = begun().chain((0..8).map(|_| Sends(3_000, arguments("word ")))).chain(written()).collect();
    let held_back: Vec<Act> = begun().chain((0..8).map(|_| Sends(3_000, ": a\n\n".into()))).chain(written()).collect();
    for acts in [pieces, held_back] {
        let house = House::new(&[&[&acts]]);
        let answer = house.answer().await;
        let Ok(Delta::Call(call)) = answer.ended else { panic!("{answer:?}") };
        assert!(call.arguments.ends_with("\"}") && answer.took_ms == 24_000, "{call:?} {}", answer.took_ms);
    }
    let hangs: Vec<Act> = begun().chain([Hangs]).collect();
    let house = House::new(&[&[&hangs]]);
    assert!(matches!(house.answer().await.ended, Err(Trouble::Late { wait: Wait::Next, .. })));
}

#[tokio::test(start_paused = true)]
async fn thoughts_and_calls_of_an_answer_that_is_dropped_are_paid() {
    let thought = chunk(&serde_json::json!({ "delta": { "reasoning": "x".repeat(300) } }));
    let thought = String::from_utf8_lossy(&thought).into_owned();
    let house = House::new(&[&[&[Sends(0, thought), Sends(0, arguments(&"x".repeat(299))), Hangs]]]);
    let purse = Purse::unlimited();
    let (deltas, _, task) = house.ask(Role::Primary, &purse);
    sleep_until(Instant::now() + Duration::from_millis(500)).await;
    drop((deltas, task));
    tokio::task::yield_now().await;
    assert_eq!(purse.spent().tokens, 200);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_stays_open_after_the_end_does_not_hold_the_answer_up() {
    for acts in [vec![Says(0, "x"), Stops(0), Hangs], vec![Says(0, "x"), Stops(0), Fails(10, reset())]] {
        let house = House::new(&[&[&acts]]);
        let answer = house.answer().await;
        assert_eq!(answer.ended, Ok(done(Stop::End, 0, 1)));
        assert!(answer.took_ms <= 1_000, "{}", answer.took_ms);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_dropped_hangs_up_on_everybody() {
    let house = House::new(&[&[&[Says(2_000, "x"), Hangs]], &[&[Sends(0, ": a\n\n".into()), Hangs]]]);
    for dropped_after in [0, 100, 1_500, 2_500] {
        let (deltas, _, task) = house.ask(Role::Primary, &Purse::unlimited());
        sleep_until(Instant::now() + Duration::from_millis(dropped_after)).await;
        drop((deltas, task));
        tokio::task::yield_now().await;
        assert_eq!(house.open.load(Ordering::Relaxed), 0, "{dropped_after}");
    }
    assert_eq!(house.breakers(), [Breaker::Closed; 2], "it is nobody's fault that a caller spoke");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_holds_the_provider_up_and_loses_nothing() {
    let many: Vec<Act> = (0..200).map(|_| Says(0, "x")).chain([Stops(0)]).collect();
    let house = House::new(&[&[&many]]);
    let (mut deltas, _, _task) = house.ask(Role::Primary, &Purse::unlimited());
    sleep_until(Instant::now() + Duration::from_secs(30)).await;
    assert_eq!(deltas.len(), DELTAS_MAX);
    let mut words = 0;
    while let Some(Ok(Delta::Text(_))) = deltas.recv().await {
        words += 1;
    }
    assert_eq!(words, 200);
}

#[tokio::test(start_paused = true)]
async fn a_role_without_a_model_is_served_by_another() {
    let house = House::with(&[&[&well("large")], &[&well("small")]], |number, provider| {
        provider.role = [Role::Primary, Role::Fast][number];
    });
    let purse = Purse::unlimited();
    assert_eq!(house.outcome(Role::Fast, &purse).await.words, "small");
    assert_eq!(house.outcome(Role::Primary, &purse).await.words, "large");
    assert_eq!(house.outcome(Role::Special, &purse).await.words, "large");
    assert_eq!(House::new(&[]).answer().await.ended, Err(Trouble::NoModel));
}

#[tokio::test(start_paused = true)]
async fn the_calls_purse_pays_and_an_empty_one_is_told() {
    let usage = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}],\
                 \"usage\":{\"prompt_tokens\":10,\"completion_tokens\":90}}\n\n";
    let script: &[Act] = &[Sends(10, usage.to_owned())];
    let house = House::with(&[&[script]], |_, provider| {
        provider.price = Price { input: Money { micros: 0 }, output: Money { micros: 1_000_000 } };
    });
    let purse = Purse::new(Limits { tokens: Some(105), money: None });
    let answer = house.outcome(Role::Primary, &purse).await;
    assert_eq!((answer.ended, answer.timing.cost.micros), (Ok(done(Stop::End, 10, 90)), 90));
    assert_eq!((purse.spent().tokens, purse.spent().money.micros), (100, 90));
    assert_eq!(house.max_tokens.load(Ordering::Relaxed), 105, "the answer may take what is left");
    assert_eq!(house.outcome(Role::Primary, &purse).await.ended, Err(Trouble::Spent { what: "tokens" }));
    assert_eq!((house.asked(), house.breakers()), (vec![1], vec![Breaker::Closed]));
}

#[tokio::test(start_paused = true)]
async fn a_dear_model_is_passed_by_when_a_free_one_can_answer() {
    let house = House::with(&[&[&well("dear")], &[&well("free")]], |number, provider| {
        provider.price.output.micros = [1_000_000_000, 0][number];
    });
    let purse = Purse::new(Limits { tokens: None, money: Some(Money { micros: 100 }) });
    assert_eq!(house.outcome(Role::Primary, &purse).await.words, "free");
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_besides_is_paid_too() {
    let house = House::new(&[&[&[Says(1_300, "x"), Stops(0)]], &[&[Says(3_000, "y"), Stops(0)]]]);
    let purse = Purse::unlimited();
    let answer = house.outcome(Role::Primary, &purse).await;
    assert!(answer.timing.is_hedged);
    assert_eq!(purse.spent().tokens, 1, "one token was written; an empty question is read for nothing");
    assert_eq!(answer.ended, Ok(done(Stop::End, 0, 1)));
}
