//! Due dates: phrases of both languages inside a promise, resolved against a call on Wednesday 2026-03-04.

#[allow(dead_code, reason = "each test file uses its own part of the kit")]
mod brain_kit;

use brain_kit::{Conversation, items, rows};

#[test]
fn english_phrases_resolve_to_days() {
    resolve(include_str!("data/dates_en.tsv"), "en", |phrase| format!("I'll send the report {phrase}."));
}

#[test]
fn german_phrases_resolve_to_days() {
    resolve(include_str!("data/dates_de.tsv"), "de", |phrase| format!("Ich schicke den Bericht {phrase}."));
}

#[test]
fn german_phrases_resolve_in_front_of_the_verb_too() {
    let table = include_str!("data/dates_de.tsv");
    resolve(table, "de", |phrase| format!("{phrase} schicke ich den Bericht."));
}

#[test]
fn phrases_resolve_without_punctuation_and_capitals() {
    let lower = |phrase: &str| phrase.to_lowercase();
    resolve(include_str!("data/dates_en.tsv"), "en", |phrase| format!("i will send the report {}", lower(phrase)));
    resolve(include_str!("data/dates_de.tsv"), "de", |phrase| format!("ich schicke den bericht {}", lower(phrase)));
}

#[test]
fn what_is_past_or_no_day_is_no_due_date() {
    none_due(include_str!("data/no_dates_en.tsv"), "en", "I'll prepare the report");
    none_due(include_str!("data/no_dates_de.tsv"), "de", "Ich werde den Bericht vorbereiten");
}

fn resolve(table: &str, language: &str, sentence: impl Fn(&str) -> String) {
    let rows = rows(table);
    assert!(rows.len() >= 40);
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let sentence = sentence(row[0]);
            let outputs = Conversation::of_three().say("Kim", &sentence, Some(language));
            let dues: Vec<String> =
                items(&outputs).iter().map(|item| item.due.map_or_else(String::new, |due| due.to_string())).collect();
            (dues != [row[1]]).then(|| format!("{sentence}: {dues:?}, not {}", row[1]))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

fn none_due(table: &str, language: &str, sentence: &str) {
    let wrong: Vec<String> = rows(table)
        .iter()
        .filter_map(|row| {
            let outputs = Conversation::of_three().say("Kim", &format!("{sentence} {}.", row[0]), Some(language));
            let due = items(&outputs).into_iter().find_map(|item| item.due)?;
            Some(format!("{}: {due}", row[0]))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
