//! What the answerer without a model says, in German and English. Values only.

use jiff::civil::{Date, Time};
use tts::voice::Language;

use super::super::language::is_german;
use crate::{tools::BuiltIn, understand::entity};

pub(super) fn hello(language: Language) -> &'static str {
    if is_german(language) { "Hallo! Wie kann ich Ihnen helfen?" } else { "Hello! How can I help you?" }
}

pub(super) fn welcome(language: Language) -> &'static str {
    if is_german(language) {
        "Gern geschehen. Kann ich sonst noch etwas tun?"
    } else {
        "You are welcome. Anything else?"
    }
}

pub(super) fn cancelled(language: Language) -> &'static str {
    if is_german(language) {
        "In Ordnung. Was kann ich sonst für Sie tun?"
    } else {
        "All right. What else can I do for you?"
    }
}

pub(super) fn passing_on(language: Language) -> &'static str {
    if is_german(language) { "Ich verbinde Sie." } else { "I am putting you through." }
}

pub(super) fn no_transfer(language: Language) -> &'static str {
    if is_german(language) {
        "Verbinden kann ich hier leider nicht. Ich kann aber eine Nachricht aufnehmen."
    } else {
        "I am sorry, I cannot transfer calls here. But I can take a message."
    }
}

pub(super) fn to_whom(names: &[&String], language: Language) -> String {
    let (and, ask) =
        if is_german(language) { ("oder", "Zu wem möchten Sie: ") } else { ("or", "Who would you like: ") };
    format!("{ask}{}?", list(names, and))
}

pub(super) fn which_note(language: Language) -> &'static str {
    if is_german(language) { "Gern. Was soll ich notieren?" } else { "Sure. What should I note?" }
}

pub(super) fn noted(what: &str, language: Language) -> String {
    if is_german(language) { format!("Ich habe notiert: {what}.") } else { format!("I have noted: {what}.") }
}

pub(super) fn notes(notes: &[String], language: Language) -> String {
    let is_german = is_german(language);
    if notes.is_empty() {
        return if is_german { "Ich habe noch nichts notiert." } else { "I have not noted anything yet." }.to_owned();
    }
    let intro = if is_german { "Ich habe notiert:" } else { "I have noted:" };
    format!("{intro} {}.", notes.join(". "))
}

pub(super) fn nothing_said(language: Language) -> &'static str {
    if is_german(language) { "Ich habe noch nichts gesagt." } else { "I have not said anything yet." }
}

pub(super) fn keys(keys: &str, language: Language) -> String {
    let keys = keys.chars().map(|key| key.to_string()).collect::<Vec<_>>().join(" ");
    if is_german(language) { format!("Sie haben {keys} gedrückt.") } else { format!("You pressed {keys}.") }
}

pub(super) fn time(time: Time, language: Language) -> String {
    let (hour, minute) = (time.hour(), time.minute());
    if is_german(language) {
        return if minute == 0 { format!("Es ist {hour} Uhr.") } else { format!("Es ist {hour} Uhr {minute}.") };
    }
    format!("It is {}.", time.strftime("%-I:%M %p"))
}

pub(super) fn date(date: Date, today: Date, language: Language) -> String {
    if is_german(language) {
        let which = if date == today { "Heute" } else { "Das" };
        let (weekday, month) = entity::german(date);
        return format!("{which} ist {weekday}, der {}. {month} {}.", date.day(), date.year());
    }
    let which = if date == today { "Today" } else { "That" };
    format!("{which} is {}.", date.strftime("%A, %B %-d, %Y"))
}

/// To somebody who wants to be remembered, or forgotten, where nothing is kept.
pub(super) fn no_memory(language: Language) -> &'static str {
    if is_german(language) {
        "Von unserem Gespräch wird nichts behalten, wenn Sie auflegen."
    } else {
        "Nothing of our conversation is kept when you hang up."
    }
}

/// What it can do, as ends of "I can …".
pub(super) fn skills(may_transfer: bool, may_remind: bool, language: Language) -> Vec<&'static str> {
    let is_german = is_german(language);
    let all = if is_german {
        ["Datum und Uhrzeit sagen", "Notizen aufnehmen und vorlesen", "Sie an etwas erinnern", "Sie verbinden"]
    } else {
        [
            "tell you the date and the time",
            "take notes and read them back",
            "remind you of something",
            "put you through",
        ]
    };
    let may = [true, true, may_remind, may_transfer];
    all.into_iter().zip(may).filter(|(_, may)| *may).map(|(skill, _)| skill).collect()
}

pub(super) fn help(language: Language, skills: &[&str]) -> String {
    if is_german(language) {
        format!("Ich kann {}.", list(skills, "und"))
    } else {
        format!("I can {}.", list(skills, "and"))
    }
}

pub(super) fn puzzled(language: Language, skills: &[&str]) -> String {
    if is_german(language) {
        format!("Das kann ich leider nicht beantworten: Ich habe hier kein Sprachmodell. {}", help(language, skills))
    } else {
        format!("I am sorry, I cannot answer that: I have no language model here. {}", help(language, skills))
    }
}

pub(super) fn still_puzzled(language: Language) -> String {
    if is_german(language) {
        "Das habe ich leider nicht verstanden. Soll ich es als Nachricht notieren? Dann sagen Sie: notiere."
    } else {
        "I am sorry, I did not understand that. If I should note it as a message, say: take a note."
    }
    .to_owned()
}

/// Before something is asked again.
pub(super) fn sorry(language: Language) -> &'static str {
    if is_german(language) { "Das habe ich leider nicht verstanden." } else { "Sorry, I did not get that." }
}

/// Whether what was understood is right. The question mark stands behind the last digit: a full stop would make an ordinal
/// of it.
pub(super) fn check(understood: &str, language: Language) -> String {
    if is_german(language) { format!("Stimmt das so: {understood}?") } else { format!("Is this right: {understood}?") }
}

/// Which of several things is wrong.
pub(super) fn which(titles: &[String], language: Language) -> String {
    if is_german(language) {
        format!("Was soll ich ändern: {}?", list(titles, "oder"))
    } else {
        format!("What should I change: {}?", list(titles, "or"))
    }
}

/// Which key stands for which choice; nothing where there is none.
pub(super) fn keys_of(choices: &[String], language: Language) -> String {
    let is_german = is_german(language);
    let one = |(at, choice): (usize, &String)| {
        if is_german { format!("{} für {choice}", at + 1) } else { format!("{} for {choice}", at + 1) }
    };
    let all: Vec<String> = choices.iter().enumerate().map(one).collect();
    if all.is_empty() {
        return String::new();
    }
    if is_german {
        format!("Sie können auch drücken: {}.", list(&all, "oder"))
    } else {
        format!("You can also press {}.", list(&all, "or"))
    }
}

/// A form cannot be filled.
pub(super) fn gave_up(language: Language) -> &'static str {
    if is_german(language) {
        "Das bekomme ich leider nicht hin. Kann ich sonst etwas für Sie tun?"
    } else {
        "I am sorry, I cannot get this right. Is there anything else I can do for you?"
    }
}

/// While a tool is called.
pub(super) fn moment(language: Language) -> &'static str {
    if is_german(language) { "Einen Moment, bitte." } else { "One moment, please." }
}

/// What is said of a tool's result. What was read back already needs no more than that it worked.
pub(super) fn result(tool: Option<BuiltIn>, content: &str, is_error: bool, language: Language) -> String {
    let is_german = is_german(language);
    if is_error {
        return if is_german { "Das hat leider nicht geklappt." } else { "I am sorry, that did not work." }.to_owned();
    }
    match tool {
        Some(BuiltIn::TakeNote) => {
            if is_german { "Kann ich sonst noch etwas tun?" } else { "Anything else?" }.to_owned()
        }
        Some(BuiltIn::Remind) => if is_german { "Ich erinnere Sie daran." } else { "I will remind you." }.to_owned(),
        // It says which of the two was done.
        Some(BuiltIn::Remember) => match (content.contains("any more"), is_german) {
            (true, true) => "Ich habe alles gelöscht, was ich von Ihnen wusste.",
            (true, false) => "I have erased all that I knew of you.",
            (false, true) => "Gut, ich merke mir unser Gespräch.",
            (false, false) => "Good, I will remember our conversation.",
        }
        .to_owned(),
        None if !content.trim().is_empty() => content.chars().take(RESULT_CHARS_MAX).collect(),
        Some(_) | None => if is_german { "Erledigt." } else { "Done." }.to_owned(),
    }
}

fn list<T: AsRef<str>>(items: &[T], and: &str) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [before @ .., last] => {
            let before: Vec<&str> = before.iter().map(AsRef::as_ref).collect();
            format!("{} {and} {}", before.join(", "), last.as_ref())
        }
    }
}

/// A result is read out so far.
const RESULT_CHARS_MAX: usize = 300;
