//! Fifty conversations at once with one server: whether the engine keeps its time, and how long who asks then waits.
//!
//! The server's own code in this process, by the same sockets as everybody's. Scripted are the recognizer (it hears
//! loudness: 0.4 s of sound are a word) and the language model (150 ms to its first word); real are voice activity, rooms,
//! engine, turns, espeak-ng's voice. There is no model of turns' ends, so that who falls silent is waited for longer than
//! where one is installed. All answers are one sentence, which the voice makes once and has then. The clients and the language
//! model run in here too, and their share is in the figures; espeak-ng runs in processes of its own, which are not. Budget:
//! no tick of the engine overruns.

use std::{path::Path, sync::Arc, time::Duration};

use benches::{Budgets, cpu, percentile, resident_mib};
use serde_json::json;
use server::config::Config;
use tests::{llm::Model, scripted::Local, spoken::Spoken};
use tokio::{
    task::JoinSet,
    time::{Instant, interval},
};

use super::{ANSWER, HZ, NO_ANSWER, QUESTIONS, Talk};

/// Conversations at once.
const TALKS: usize = 50;

/// How long they talk where nobody says how many minutes.
const USUAL: Duration = Duration::from_secs(60);

/// Between two of them that begin: nobody is in step with anybody.
const BEGIN_EVERY: Duration = Duration::from_millis(130);

/// How long somebody thinks between an answer and the next question.
const PAUSES_MS: [u64; 5] = [700, 1_900, 1_100, 2_300, 1_500];

/// How often the questions are taken away that the model keeps for a test: it holds 256 of them.
const READ_EVERY: Duration = Duration::from_millis(200);

/// Ticks of the engine that began after the next one was due.
const OVERRUNS: &str = "harmony_engine_tick_overrun_total";

/// What came of a conversation.
#[derive(Default)]
struct Came {
    /// How long after the beginning a question was asked, and how many milliseconds it took to the answer.
    answers: Vec<(Duration, f64)>,
    unanswered: usize,
    /// Why it ended before its time.
    broke: Option<String>,
}

/// Holds them, for so many minutes or the usual time.
pub(crate) async fn run(budgets: &mut Budgets, minutes: Option<u64>) -> Result<(), String> {
    let lasts = minutes.map_or(USUAL, |minutes| Duration::from_secs(60 * minutes));
    let spoken = Spoken::start(HZ)?;
    let questions: Arc<[Vec<f32>]> = QUESTIONS.iter().map(|question| spoken.says("en", question)).collect();
    let mut model = Model::with(json!([{"say": ANSWER}])).await;
    let text = format!("{}[limits]\nstreams_max = {}\n", model.config(), 2 * TALKS);
    let config = Config::parse(Path::new("bench.toml"), &text, []).map_err(|error| error.to_string())?;
    let local = Local::start(config).await?;
    let reading = tokio::spawn(async move {
        let mut ticks = interval(READ_EVERY);
        loop {
            ticks.tick().await;
            model.so_far();
        }
    });

    budgets.section(&format!("{TALKS} conversations at once for {} s", lasts.as_secs()));
    budgets.note("scripted: the recognizer (loudness) and the language model (150 ms to its first word)");
    budgets.note("real: sockets, rooms, engine, voice activity, turns, espeak-ng; no model of turns' ends");
    budgets.note("all answers are one sentence, which the voice has after the first");
    budgets.note("clients and language model run in the server's process, espeak-ng in its own");
    let mut talks = Vec::new();
    for _ in 0..TALKS {
        talks.push(Talk::begin(&local.ws_url()).await?);
    }
    let before = Counts::of(&local)?;
    let (used, resident) = (cpu(), resident_mib());
    let began = Instant::now();
    let mut talking = JoinSet::new();
    for (index, talk) in talks.into_iter().enumerate() {
        talking.spawn(hold(talk, index, questions.clone(), began, began + lasts));
    }
    let mut came = Vec::new();
    while let Some(ended) = talking.join_next().await {
        // A client whose server has gone panics.
        came.push(ended.unwrap_or_else(|error| Came { broke: Some(error.to_string()), ..Came::default() }));
    }
    let took = began.elapsed();
    let used = cpu().saturating_sub(used);
    let after = Counts::of(&local)?;
    reading.abort();
    local.drain().await;

    let answers: Vec<(Duration, f64)> = came.iter().flat_map(|came| came.answers.iter().copied()).collect();
    let all: Vec<f64> = answers.iter().map(|(_, ms)| *ms).collect();
    if all.is_empty() {
        return Err(came.into_iter().find_map(|came| came.broke).unwrap_or_else(|| NO_ANSWER.to_owned()));
    }
    budgets.at_most("engine ticks that overran", after.overruns - before.overruns, 0.0, "");
    budgets.at_most(
        "questions without an answer",
        came.iter().map(|came| came.unanswered).sum::<usize>() as f64,
        0.0,
        "",
    );
    let broke: Vec<&String> = came.iter().filter_map(|came| came.broke.as_ref()).collect();
    budgets.at_most("conversations that broke off", broke.len() as f64, 0.0, "");
    if let Some(why) = broke.first() {
        budgets.note(why);
    }
    budgets.figure("engine ticks that were skipped", after.skipped - before.skipped, "");
    budgets.figure("what was dropped under load", after.drops - before.drops, "");
    budgets.figure("questions", all.len() as f64, "");
    budgets.figure("question to answer, p50", percentile(&all, 50), "ms");
    budgets.figure("question to answer, p95", percentile(&all, 95), "ms");
    budgets.figure("question to answer, longest", percentile(&all, 100), "ms");
    let percent = used.as_secs_f64() / took.as_secs_f64() * 100.0 / TALKS as f64;
    budgets.figure("processor time of a conversation, of a core", percent, "%");
    if minutes.is_some() {
        budgets.figure("resident when all had begun", resident, "MiB");
        budgets.figure("resident at the end", resident_mib(), "MiB");
        by_the_minute(budgets, &answers);
    }
    Ok(())
}

/// Whether it takes longer the longer it goes on.
fn by_the_minute(budgets: &mut Budgets, answers: &[(Duration, f64)]) {
    let minutes = answers.iter().map(|(at, _)| at.as_secs() / 60).max().unwrap_or(0);
    for minute in 0..=minutes {
        let of_it: Vec<f64> =
            answers.iter().filter(|(at, _)| at.as_secs() / 60 == minute).map(|(_, took_ms)| *took_ms).collect();
        budgets.figure(&format!("minute {}, {} questions, p95", minute + 1, of_it.len()), percentile(&of_it, 95), "ms");
    }
}

/// Asks and listens until the time is over.
async fn hold(talk: Talk, index: usize, questions: Arc<[Vec<f32>]>, began: Instant, until: Instant) -> Came {
    let mut came = Came::default();
    came.broke = ask_on(talk, index, &questions, (began, until), &mut came).await.err();
    came
}

async fn ask_on(
    mut talk: Talk,
    index: usize,
    questions: &[Vec<f32>],
    (began, until): (Instant, Instant),
    came: &mut Came,
) -> Result<(), String> {
    // What it did not send while the others came is not made up for.
    talk.ticks.reset();
    talk.listens(BEGIN_EVERY * index as u32).await?;
    let mut round = index;
    while Instant::now() < until {
        let asked = talk.says(&questions[round % questions.len()]).await?;
        match talk.until_loud().await {
            Ok(answered) => came.answers.push((asked - began, (answered - asked).as_secs_f64() * 1_000.0)),
            Err(why) if why == NO_ANSWER => came.unanswered += 1,
            Err(why) => return Err(why),
        }
        talk.until_silent().await?;
        talk.listens(Duration::from_millis(PAUSES_MS[round % PAUSES_MS.len()])).await?;
        round += 1;
    }
    Ok(())
}

/// What the server counts, as it tells whoever reads its metrics.
struct Counts {
    overruns: f64,
    skipped: f64,
    drops: f64,
}

impl Counts {
    fn of(local: &Local) -> Result<Self, String> {
        let text = local.app.metrics().render(&local.app);
        let sum = |name: &str| -> f64 {
            let values = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next());
            values.filter_map(|value| value.parse::<f64>().ok()).sum()
        };
        // Nothing told would look like nothing that happened.
        if !text.lines().any(|line| line.starts_with(OVERRUNS)) {
            return Err(format!("the metrics do not tell {OVERRUNS}"));
        }
        Ok(Self {
            overruns: sum(OVERRUNS),
            skipped: sum("harmony_engine_ticks_skipped_total"),
            drops: sum("harmony_drops_total"),
        })
    }
}
