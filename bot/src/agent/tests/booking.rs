//! Whole conversations without a model: the persona's intents and forms, by word and by key, in German and English.

use super::*;
use crate::{agent::local::Local, ivr::key::Key};

/// A call of the shipped salon, answered by rules alone.
struct Salon {
    world: World,
    local: Local,
}

impl Salon {
    fn new() -> Self {
        let text = include_str!("../../../../examples/personas/salon.toml");
        let persona = Persona::parse("salon", text).unwrap();
        let local = Local::new(Arc::new(persona.clone()), facts());
        let mut world = World::new(persona);
        world.tell(Input::Begin);
        world.hear_all();
        world.log.clear();
        Self { world, local }
    }

    fn ended(&self) -> usize {
        self.world.notices.iter().filter(|notice| matches!(notice, Notice::TurnEnded { .. })).count()
    }

    /// The caller says `text`; what is said to it.
    fn says(&mut self, text: &str) -> String {
        let before = self.ended();
        self.world.says(text);
        // Who dictates is waited for longer.
        for _ in 0..40 {
            if self.ended() > before {
                break;
            }
            self.world.pass(100);
        }
        assert_eq!(self.ended(), before + 1, "{text:?} is a turn");
        self.answered()
    }

    /// The caller types `keys` and `#`.
    fn types(&mut self, keys: &str) -> String {
        for key in keys.chars().chain(['#']) {
            self.world.tell(Input::Key(Key::from_char(key).unwrap()));
            self.world.pass(200);
        }
        self.answered()
    }

    /// The rules answer, tools do what they are told, and the caller hears all of it.
    fn answered(&mut self) -> String {
        loop {
            let (ask, request) = self.world.asked.last().cloned().expect("something was asked");
            let calls = self.world.calls.len();
            let (language, now) = (self.world.agent.language(), self.world.now);
            for delta in self.local.answer(llm::Role::Primary, &request, language, now) {
                self.world.tell(Input::Said { ask, delta });
            }
            if self.world.calls.len() == calls {
                break;
            }
            let call = self.world.calls[calls].id.clone();
            self.world.tool(&call, Outcome::done("{}"));
        }
        self.world.hear_all();
        let said: Vec<String> =
            self.world.log().iter().filter_map(|line| line.strip_prefix("say ").map(str::to_owned)).collect();
        said.join(" ")
    }

    fn booked(&self) -> Vec<serde_json::Value> {
        let calls = self.world.calls.iter().filter(|call| call.name == "book");
        calls.map(|call| serde_json::from_str(&call.arguments).unwrap()).collect()
    }
}

#[track_caller]
fn has(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{said:?} says {part:?}");
    }
}

#[test]
fn a_booking_in_german_with_a_key_and_a_correction() {
    let mut salon = Salon::new();
    let said = salon.says("Guten Tag, ich hätte gern einen Termin am Montag um 15 Uhr.");
    has(&said, &["Haarschnitt, eine Farbe oder einen Bart?"]);
    // Nobody has a perm; the keys are told.
    let said = salon.says("Eine Dauerwelle, bitte.");
    has(&said, &["nicht verstanden", "1 für Haarschnitt"]);
    has(&salon.types("1"), &["Auf welchen Namen?"]);
    has(&salon.says("Nein, am Dienstag."), &["Auf welchen Namen?"]);
    has(&salon.says("Weber"), &["Unter welcher Nummer"]);
    has(&salon.says("null acht neun fünf vier drei zwei eins"), &["0 8 9, 5 4 3, 2 1", "Stimmt das so"]);
    let said = salon.says("Ja, das stimmt.");
    has(&said, &["Haarschnitt", "Dienstag, 1. Dezember", "15 Uhr", "Weber", "Stimmt das so"]);
    assert!(salon.booked().is_empty());
    let said = salon.says("Ja, genau.");
    has(&said, &["Ich trage das ein.", "Ihr Termin ist eingetragen."]);
    let booked = json!({
        "service": "cut", "day": "2026-12-01", "time": "15:00", "name": "Weber", "phone": "08954321",
    });
    assert_eq!(salon.booked(), [booked]);
    // What is done is done.
    has(&salon.says("Wann haben Sie denn geöffnet?"), &["dienstags bis samstags"]);
    assert_eq!(salon.booked().len(), 1);
}

#[test]
fn a_booking_in_english_with_two_wishes_at_once_and_digits_that_were_heard_wrong() {
    let mut salon = Salon::new();
    let said = salon.says("Hello, I would like to book an appointment, and what are your opening hours?");
    has(&said, &["We are open Tuesday to Saturday", "Would you like a haircut"]);
    has(&salon.says("A haircut tomorrow at three thirty, please."), &["What is your name?"]);
    has(&salon.says("My name is Anna Miller."), &["your telephone number?"]);
    has(&salon.types("08954321"), &["0 8 9, 5 4 3, 2 1", "Is this right"]);
    has(&salon.says("No, it is 4 5 not 5 4."), &["0 8 9, 4 5 3, 2 1", "Is this right"]);
    has(&salon.types("1"), &["haircut", "Tuesday, December 1", "3:30 PM", "Anna Miller", "Is this right"]);
    // Wrong, and nobody says what.
    has(&salon.types("2"), &["What should I change"]);
    has(&salon.says("The time."), &["At what time?"]);
    has(&salon.says("At four o'clock."), &["4 PM", "Is this right"]);
    has(&salon.says("Yes, that is right."), &["Your appointment is booked."]);
    let booked = json!({
        "service": "cut", "day": "2026-12-01", "time": "16:00", "name": "Anna Miller", "phone": "08945321",
    });
    assert_eq!(salon.booked(), [booked]);
}

#[test]
fn who_cancels_books_nothing_and_a_note_is_taken() {
    let mut salon = Salon::new();
    has(&salon.says("Ich möchte meinen Termin absagen."), &["Auf welchen Namen ist der Termin?"]);
    has(&salon.says("Auf Weber, bitte."), &["Unter welcher Nummer"]);
    has(&salon.types("08954321"), &["Weber", "0 8 9, 5 4 3, 2 1", "Stimmt das so"]);
    has(&salon.says("Ja, genau."), &["Ich gebe das weiter.", "Wir rufen Sie zurück."]);
    let note = salon.world.calls.last().unwrap();
    assert_eq!(note.name, "take_note");
    assert!(note.arguments.contains("Weber") && note.arguments.contains("08954321"), "{}", note.arguments);
    assert!(salon.booked().is_empty());
}

#[test]
fn somebody_who_cannot_be_understood_is_told_so_and_somebody_who_leaves_may() {
    let mut salon = Salon::new();
    has(&salon.says("Was kostet die Welt, und warum eigentlich?"), &["Ich kann Ihnen einen Termin geben"]);
    has(&salon.says("Ich möchte einen Termin machen."), &["Haarschnitt"]);
    has(&salon.says("Das weiß ich gar nicht."), &["nicht verstanden"]);
    has(&salon.says("Keine Ahnung, wirklich."), &["nicht verstanden"]);
    has(&salon.says("Irgendetwas eben."), &["Bitte rufen Sie zu unseren Öffnungszeiten noch einmal an."]);
    has(&salon.says("Dann bitte einen Termin am Freitag."), &["Haarschnitt"]);
    let said = salon.says("Auf Wiederhören.");
    has(&said, &["Vielen Dank und auf Wiederhören!"]);
    assert_eq!(salon.world.calls.last().map(|call| call.name.as_str()), Some("hang_up"));
    assert!(salon.booked().is_empty());
}
