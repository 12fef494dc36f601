use jiff::civil::date;

use super::*;
use crate::persona::Persona;

const TABLE: &str = r#"
[[intent]]
name = "table"
phrases.de = ["*tisch"]
[[intent.slot]]
name = "day"
title = { de = "Tag", en = "day" }
kind = "date"
prompt = "?"
[[intent.slot]]
name = "time"
title = { de = "Uhrzeit", en = "time" }
kind = "time"
prompt = "?"
[[intent.slot]]
name = "count"
title = { de = "Personen", en = "people" }
kind = "number"
prompt = "?"
about = ["personen", "people"]
[[intent.slot]]
name = "name"
title = "Name"
kind = "name"
prompt = "?"
[[intent.slot]]
name = "phone"
title = { de = "Telefon", en = "phone" }
kind = "phone"
prompt = "?"
confirm = "always"
"#;

fn context() -> Context {
    Context { language: Language::GERMAN, today: date(2026, 11, 30) }
}

fn persona() -> Persona {
    Persona::parse("p", TABLE).unwrap()
}

fn says(form: &mut Form<'_>, text: &str) -> Step {
    form.take(Said::Words(text), context());
    form.step()
}

fn presses(form: &mut Form<'_>, keys: &str) -> Step {
    form.take(Said::Keys(keys), context());
    form.step()
}

fn filled(form: &Form<'_>) -> Vec<String> {
    form.slots().map(|(slot, value)| value.map(|value| value.plain(slot)).unwrap_or_default()).collect()
}

fn full(persona: &Persona) -> Form<'_> {
    let mut form = Form::open(&persona.intents[0], "Ein Tisch am Dienstag um 19 Uhr für vier Personen", 3, context());
    assert_eq!(form.step(), Step::Ask(3));
    assert_eq!(says(&mut form, "Weber"), Step::Ask(4));
    assert_eq!(says(&mut form, "null acht neun fünf vier drei zwei eins"), Step::Check(4));
    assert_eq!(says(&mut form, "ja"), Step::ReadBack);
    form
}

#[test]
fn it_takes_several_values_at_once_and_asks_for_the_rest() {
    let persona = persona();
    let form = full(&persona);
    assert_eq!(filled(&form), ["2026-12-01", "19:00", "4", "Weber", "08954321"]);
    let mut form = Form::open(&persona.intents[0], "einen Tisch", 3, context());
    assert_eq!(form.step(), Step::Ask(0));
    assert_eq!(says(&mut form, "on Friday at seven pm"), Step::Ask(2));
    assert_eq!(presses(&mut form, "6#"), Step::Ask(3));
    assert_eq!(says(&mut form, "my name is Anna Weber"), Step::Ask(4));
    assert_eq!(presses(&mut form, "08954321"), Step::Check(4));
    assert_eq!(presses(&mut form, "1"), Step::ReadBack);
    assert_eq!(presses(&mut form, "1"), Step::Done);
    assert_eq!(filled(&form), ["2026-12-04", "19:00", "6", "Anna Weber", "08954321"]);
}

#[test]
fn it_is_corrected_at_any_point() {
    let persona = persona();
    let mut form = Form::open(&persona.intents[0], "Ein Tisch am Montag um 19 Uhr für vier Personen", 3, context());
    // While something else is asked for.
    assert_eq!(says(&mut form, "Nein, am Dienstag"), Step::Ask(3));
    assert_eq!(filled(&form)[0], "2026-12-01");
    assert_eq!(says(&mut form, "Weber"), Step::Ask(4));
    assert_eq!(says(&mut form, "null acht neun fünf vier drei zwei eins"), Step::Check(4));
    assert_eq!(says(&mut form, "no, 4 5 not 5 4"), Step::Check(4));
    assert_eq!(says(&mut form, "Ja, aber für fünf Personen"), Step::Check(4));
    assert_eq!(filled(&form)[2], "5");
    assert_eq!(filled(&form)[4], "08945321");
    assert_eq!(says(&mut form, "stimmt"), Step::ReadBack);
    // In the end.
    assert_eq!(says(&mut form, "Nein, das stimmt so."), Step::ReadBack);
    assert_eq!(says(&mut form, "Ja, aber um 21 Uhr"), Step::ReadBack);
    assert_eq!(filled(&form)[1], "21:00");
    assert_eq!(says(&mut form, "Nein, um 20 Uhr"), Step::ReadBack);
    assert_eq!(says(&mut form, "nicht am Dienstag, sondern am Mittwoch"), Step::ReadBack);
    assert_eq!(filled(&form)[..2], ["2026-12-02", "20:00"]);
    assert_eq!(says(&mut form, "Der Name stimmt nicht"), Step::Ask(3));
    assert_eq!(says(&mut form, "Meier, M E Y E R"), Step::ReadBack);
    assert_eq!(filled(&form)[3], "Meyer");
    assert_eq!(says(&mut form, "nein"), Step::WhatIsWrong);
    assert_eq!(says(&mut form, "Nichts, alles gut."), Step::ReadBack);
    assert_eq!(says(&mut form, "Ja, aber die Telefonnummer ist falsch"), Step::Ask(4));
    assert_eq!(says(&mut form, "null acht neun, Schrägstrich, fünf vier drei zwei eins"), Step::Check(4));
    assert_eq!(says(&mut form, "genau"), Step::ReadBack);
    assert_eq!(says(&mut form, "nein"), Step::WhatIsWrong);
    assert_eq!(presses(&mut form, "3"), Step::Ask(2));
    assert_eq!(says(&mut form, "fünf"), Step::ReadBack);
    assert_eq!(says(&mut form, "Ja, genau."), Step::Done);
}

#[test]
fn what_is_denied_is_no_value() {
    let persona = persona();
    let mut form = Form::open(&persona.intents[0], "Einen Tisch bitte, aber nicht am Montag", 3, context());
    assert_eq!(form.step(), Step::Ask(0));
    assert_eq!(says(&mut form, "Am Montag kann ich nicht"), Step::Ask(0));
    assert_eq!(says(&mut form, "am Dienstag, nicht am Montag"), Step::Ask(1));
    assert_eq!(filled(&form)[0], "2026-12-01");
}

#[test]
fn what_is_no_answer_is_asked_again_and_given_up() {
    let persona = persona();
    let mut form = Form::open(&persona.intents[0], "einen Tisch", 3, context());
    assert_eq!(says(&mut form, "Wie bitte?"), Step::Ask(0));
    assert!(form.is_again());
    assert_eq!(says(&mut form, "Freitag"), Step::Ask(1));
    assert!(!form.is_again());
    assert_eq!(presses(&mut form, "*"), Step::Ask(1));
    assert_eq!(says(&mut form, "keine Ahnung"), Step::Ask(1));
    assert_eq!(says(&mut form, "hm"), Step::GaveUp);
    assert_eq!(says(&mut form, "um drei"), Step::GaveUp);
    let mut form = full(&persona);
    assert_eq!(says(&mut form, "Ach, vergessen Sie es"), Step::Cancelled);
    let mut form = full(&persona);
    assert_eq!(presses(&mut form, "2"), Step::WhatIsWrong);
    assert_eq!(says(&mut form, "die Uhrzeit"), Step::Ask(1));
}
