//! What came of conversations, for people and for programs. Pure.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use super::judge::Observed;

/// A conversation that was performed.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Which script.
    pub(crate) file: String,
    /// What it is about.
    pub(crate) title: String,
    /// How the caller was heard.
    pub(crate) hearing: &'static str,
    /// What the agent thought with.
    pub(crate) model: String,
    /// The greeting, where there is one, and each line.
    pub(crate) rows: Vec<Row>,
}

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What the caller did.
    pub(crate) does: String,
    /// What came of it.
    pub(crate) observed: Observed,
    /// What was not as it should be.
    pub(crate) misses: Vec<String>,
}

/// What became of one file.
#[derive(Clone, Debug)]
pub(crate) enum Became {
    /// It was performed.
    Performed(Outcome),
    /// It could not be; why.
    Broke {
        /// Which script.
        file: String,
        /// Why.
        why: String,
    },
}

impl Outcome {
    /// Whether all was as it should be.
    pub(crate) fn passes(&self) -> bool {
        self.rows.iter().all(|row| row.misses.is_empty())
    }

    /// How long answers took; the greeting is none.
    fn latencies(&self) -> impl Iterator<Item = Duration> {
        let answers = self.rows.iter().filter(|row| row.does != GREETING);
        answers.filter_map(|row| row.observed.latency)
    }
}

/// What stands for the caller's words where the agent speaks first.
pub(crate) const GREETING: &str = "(greeting)";

impl Became {
    /// Whether all was as it should be.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Performed(outcome) => outcome.passes(),
            Self::Broke { .. } => false,
        }
    }
}

/// The columns of a table, and how wide they are.
const COLUMNS: [(&str, usize); 4] = [("caller", 30), ("heard as", 30), ("answer", 40), ("tools", 24)];

/// A conversation as a table for people.
pub(crate) fn table(outcome: &Outcome) -> String {
    let mut text = format!(
        "{}: {}\n  hearing: {}; model: {}\n",
        outcome.file,
        if outcome.title.is_empty() { "(no title)" } else { &outcome.title },
        outcome.hearing,
        outcome.model
    );
    row(&mut text, COLUMNS.map(|(name, _)| name.to_owned()), "ms", "");
    for Row { does, observed, misses } in &outcome.rows {
        let tools: Vec<String> = observed.tools.iter().map(super::judge::Called::shown).collect();
        let answer = match &observed.unheard {
            Some(_) => format!("{} \u{2014}", observed.answer),
            None => observed.answer.clone(),
        };
        let latency = observed.latency.map_or_else(|| "-".to_owned(), |latency| latency.as_millis().to_string());
        let is_answer = does != GREETING;
        let cells = [does.clone(), observed.heard.clone(), answer, tools.join(" ")];
        row(&mut text, cells, if is_answer { &latency } else { "" }, if misses.is_empty() { "ok" } else { "MISS" });
        if !observed.intents.is_empty() {
            let _ = writeln!(text, "      understood: {}", observed.intents.join(", "));
        }
        if let Some(stopped) = observed.stopped {
            let _ =
                writeln!(text, "      the answer before was silent {} ms after the first sound", stopped.as_millis());
        }
        if observed.is_bridged && observed.latency.is_some() {
            text.push_str("      the first sound was a word to bridge the wait\n");
        }
        for miss in misses {
            let _ = writeln!(text, "      {miss}");
        }
    }
    text
}

fn row(text: &mut String, cells: [String; 4], latency: &str, verdict: &str) {
    text.push_str("  ");
    for (cell, (_, width)) in cells.iter().zip(COLUMNS) {
        let _ = write!(text, "{:width$}  ", fitted(cell, width));
    }
    let line = format!("{latency:>5}  {verdict}");
    text.push_str(line.trim_end());
    text.push('\n');
}

/// At most `width` signs.
fn fitted(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['\u{2026}']).collect()
}

/// The last line: how many passed, and how long answers took.
pub(crate) fn summary(all: &[Became]) -> String {
    let passed = all.iter().filter(|became| became.passes()).count();
    let mut text = format!("{passed} of {} conversations passed", all.len());
    if let Some(Latency { p50, p95, count }) = latency(all) {
        let (p50, p95) = (p50.as_millis(), p95.as_millis());
        let _ = write!(text, "; to the first sound of {count} answers: p50 {p50} ms, p95 {p95} ms");
    }
    text
}

/// All of it for programs.
pub(crate) fn json(all: &[Became]) -> Value {
    let latency = latency(all)
        .map(|Latency { p50, p95, count }| json!({"p50_ms": millis(p50), "p95_ms": millis(p95), "answers": count}));
    let conversations: Vec<Value> = all.iter().map(of_one).collect();
    json!({"passed": all.iter().all(Became::passes), "latency": latency, "conversations": conversations})
}

fn of_one(became: &Became) -> Value {
    match became {
        Became::Performed(outcome) => json!({
            "file": outcome.file,
            "title": outcome.title,
            "passed": outcome.passes(),
            "hearing": outcome.hearing,
            "model": outcome.model,
            "lines": outcome.rows.iter().map(of_row).collect::<Vec<_>>(),
        }),
        Became::Broke { file, why } => json!({"file": file, "passed": false, "error": why}),
    }
}

fn of_row(Row { does, observed, misses }: &Row) -> Value {
    let tools: Vec<Value> =
        observed.tools.iter().map(|tool| json!({"name": tool.name, "arguments": tool.arguments})).collect();
    json!({
        "caller": does,
        "heard": observed.heard,
        "intents": observed.intents,
        "answer": observed.answer,
        "unheard": observed.unheard,
        "tools": tools,
        "latency_ms": observed.latency.map(millis),
        "is_bridged": observed.is_bridged,
        "stopped_ms": observed.stopped.map(millis),
        "hung_up": observed.hung_up,
        "passed": misses.is_empty(),
        "misses": misses,
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How long answers took, over all conversations.
struct Latency {
    p50: Duration,
    p95: Duration,
    count: usize,
}

fn latency(all: &[Became]) -> Option<Latency> {
    let performed = all.iter().filter_map(|became| match became {
        Became::Performed(outcome) => Some(outcome),
        Became::Broke { .. } => None,
    });
    let mut took: Vec<Duration> = performed.flat_map(Outcome::latencies).collect();
    took.sort();
    let count = took.len();
    // The nearest rank: so many in a hundred took no longer.
    let percentile = |percent: usize| took.get((count * percent).div_ceil(100).saturating_sub(1)).copied();
    Some(Latency { p50: percentile(50)?, p95: percentile(95)?, count })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::judge::Called;

    fn outcome(latencies_ms: &[u64], misses: &[&str]) -> Became {
        let greeting = Row {
            does: GREETING.to_owned(),
            observed: Observed { latency: Some(Duration::from_secs(9)), ..Observed::default() },
            misses: Vec::new(),
        };
        let lines = latencies_ms.iter().map(|ms| Row {
            does: "Wann haben Sie am Freitag geöffnet, und wann am Sonnabend?".to_owned(),
            observed: Observed {
                heard: "Wann haben Sie".to_owned(),
                answer: "Von neun bis".to_owned(),
                unheard: Some("fünf.".to_owned()),
                latency: Some(Duration::from_millis(*ms)),
                stopped: Some(Duration::from_millis(120)),
                tools: vec![Called { name: "hours".to_owned(), arguments: None }],
                ..Observed::default()
            },
            misses: misses.iter().map(|miss| (*miss).to_owned()).collect(),
        });
        Became::Performed(Outcome {
            file: "de.toml".to_owned(),
            title: String::new(),
            hearing: "as written",
            model: "scripted".to_owned(),
            rows: std::iter::once(greeting).chain(lines).collect(),
        })
    }

    #[test]
    fn answers_are_summed_up_over_all_conversations_without_greetings() {
        let all = [outcome(&[300, 100, 200], &[]), outcome(&[400], &["not said: ten"])];
        let last = summary(&all);
        assert_eq!(last, "1 of 2 conversations passed; to the first sound of 4 answers: p50 200 ms, p95 400 ms");
        let json = json(&all);
        assert_eq!((&json["passed"], &json["latency"]["p50_ms"]), (&false.into(), &200.into()));
        assert_eq!(json["conversations"][1]["lines"][1]["misses"][0], "not said: ten");
        assert_eq!(summary(&[]), "0 of 0 conversations passed");
    }

    #[test]
    fn a_table_shows_each_line_with_what_it_missed() {
        let Became::Performed(outcome) = outcome(&[300], &["not said: ten"]) else { panic!("it was performed") };
        let table = table(&outcome);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].contains("as written") && lines[2].contains("heard as"), "{table}");
        assert!(lines[3].ends_with("ok") && lines[4].ends_with("300  MISS"), "{table}");
        assert!(lines[4].contains("Wann haben Sie am Freitag geö…"), "{table}");
        assert!(lines[4].contains("Von neun bis —") && lines[4].contains("hours"), "{table}");
        assert!(lines[5].contains("120 ms") && lines[6].contains("not said: ten"), "{table}");
    }

    #[test]
    fn what_broke_is_no_pass() {
        let broke = Became::Broke { file: "a.toml".to_owned(), why: "no voice".to_owned() };
        assert_eq!(json(&[broke])["conversations"][0]["error"], "no voice");
    }
}
