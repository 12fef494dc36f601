//! Action items: labelled sentences with what is to be found in them, read as tables; precision and recall are
//! printed and held to a floor. An item counts as found only when its owner and its due date are right too.

#![expect(clippy::print_stdout, reason = "the figures are what this test is for")]

#[allow(dead_code, reason = "each test file uses its own part of the kit")]
mod brain_kit;

use brain_kit::{Conversation, items, rows};

#[test]
fn english_action_items_are_found_with_owner_and_date() {
    hold_to("actions_en", include_str!("data/actions_en.tsv"), "en", 0.95, 60);
}

#[test]
fn german_action_items_are_found_with_owner_and_date() {
    hold_to("actions_de", include_str!("data/actions_de.tsv"), "de", 0.95, 60);
}

#[test]
fn english_sentences_the_rules_were_not_tuned_on_are_read_too() {
    hold_to("actions_en_heldout", include_str!("data/actions_en_heldout.tsv"), "en", 0.7, 15);
}

#[test]
fn german_sentences_the_rules_were_not_tuned_on_are_read_too() {
    hold_to("actions_de_heldout", include_str!("data/actions_de_heldout.tsv"), "de", 0.7, 15);
}

#[test]
fn the_language_need_not_be_said() {
    let right = |table| {
        let score = Score::of(table, None);
        score.found as f64 / (score.found + score.missed + score.invented) as f64
    };
    assert!(right(include_str!("data/actions_en.tsv")) >= 0.9);
    assert!(right(include_str!("data/actions_de.tsv")) >= 0.9);
}

/// Fails when precision or recall on `table` lie under `floor`.
fn hold_to(name: &str, table: &str, language: &str, floor: f64, sentences: usize) {
    let score = Score::of(table, Some(language));
    println!(
        "{name}: {} sentences, precision {:.3}, recall {:.3} ({} found, {} missed, {} invented or wrong)",
        score.sentences,
        score.precision(),
        score.recall(),
        score.found,
        score.missed,
        score.invented
    );
    for failure in &score.failures {
        println!("  {failure}");
    }
    assert!(score.sentences >= sentences);
    assert!(score.precision() >= floor && score.recall() >= floor, "{name} fell under {floor}");
}

#[derive(Default)]
struct Score {
    sentences: usize,
    found: usize,
    missed: usize,
    invented: usize,
    failures: Vec<String>,
}

impl Score {
    fn of(table: &str, language: Option<&str>) -> Self {
        let mut score = Self::default();
        for row in rows(table) {
            score.read(&row, language);
        }
        score
    }

    fn read(&mut self, row: &[&str], language: Option<&str>) {
        let mut conversation = Conversation::of_three();
        let mut outputs = conversation.say("Kim", row[0], language);
        outputs.extend(conversation.end());
        let mut got: Vec<(String, String, String)> = items(&outputs)
            .into_iter()
            .map(|item| {
                let owner = item.owner.map_or_else(|| "-".to_owned(), |owner| owner.to_string());
                (owner, item.due.map_or_else(|| "-".to_owned(), |due| due.to_string()), item.text)
            })
            .collect();
        let all = format!("{got:?}");
        self.sentences += 1;
        let (found, missed) = (self.found, self.missed);
        if row[1] != "none" {
            for (owner, due) in row[1].split('|').zip(row[2].split('|')) {
                match got.iter().position(|item| item.0 == owner && item.1 == due) {
                    Some(at) => {
                        got.remove(at);
                        self.found += 1;
                    }
                    None => self.missed += 1,
                }
            }
        }
        self.invented += got.len();
        if self.missed > missed || !got.is_empty() || (self.found == found && row[1] != "none") {
            self.failures.push(format!("{} => {all}", row.join(" | ")));
        }
    }

    fn precision(&self) -> f64 {
        self.found as f64 / (self.found + self.invented).max(1) as f64
    }

    fn recall(&self) -> f64 {
        self.found as f64 / (self.found + self.missed).max(1) as f64
    }
}
