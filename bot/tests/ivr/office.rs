//! The example: a bilingual office, walked through file by file.

use std::{collections::BTreeSet, fs, path::PathBuf};

use bot::ivr::{
    input::{LegEvent, RecordingEvent, Unreached},
    machine::Source,
    webhook::{Endpoint, Method},
};

use crate::kit::{Answer, Call, Plan};

/// Where the files lie, and how they are called as addresses.
fn files() -> Vec<(String, String)> {
    let office = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/office"));
    let mut files = Vec::new();
    for folder in ["", "de/", "en/"] {
        for entry in fs::read_dir(office.join(folder)).expect("the example is there") {
            let entry = entry.expect("a file");
            let name = entry.file_name().into_string().expect("a plain name");
            if name.ends_with(".xml") {
                files.push((format!("/office/{folder}{name}"), fs::read_to_string(entry.path()).expect("readable")));
            }
        }
    }
    files
}

/// A call to the office.
fn office() -> Call {
    let mut plan = Plan::new();
    for (path, body) in files() {
        plan = plan.answer(&path, Answer::Page { status: 200, content_type: "text/xml", body });
    }
    let plan = plan.with(|setup| {
        let url = "file:///office/welcome.xml".parse().expect("an address");
        setup.source = Source::At(Endpoint { url, method: Method::Post });
    });
    plan.begin()
}

/// The files that were asked for, in order.
fn walked(call: &Call) -> Vec<String> {
    let path = |url: &url::Url| url.path().trim_start_matches("/office/").to_owned();
    call.requests.iter().map(|fetch| path(&fetch.to.url)).collect()
}

/// Everything said, in order.
fn said(call: &mut Call) -> String {
    let lines = call.take_lines();
    lines.into_iter().filter(|line| line.starts_with("say ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn keys_lead_through_the_german_menu() {
    let mut call = office();
    assert!(said(&mut call).contains("Guten Tag"));
    call.sound_ends();
    assert!(said(&mut call).contains("For English"));
    call.press("1");
    assert!(said(&mut call).contains("Öffnungszeiten"));
    call.press("1");
    assert!(said(&mut call).contains("neun bis siebzehn Uhr"));
    call.sound_ends();
    let path = ["welcome.xml", "language.xml", "de/menu.xml", "de/chosen.xml", "de/hours.xml", "de/menu.xml"];
    assert_eq!(walked(&call), path);
}

#[test]
fn words_lead_through_the_english_menu() {
    let mut call = office();
    call.says("English, please.");
    assert!(said(&mut call).contains("opening hours"));
    call.says("When are you open?");
    assert!(said(&mut call).contains("nine to five"));
    let path = ["welcome.xml", "language.xml", "en/menu.xml", "en/chosen.xml", "en/hours.xml"];
    assert_eq!(walked(&call), path);
}

#[test]
fn who_is_not_understood_is_asked_again_and_who_is_silent_is_put_through() {
    let mut call = office();
    call.sound_ends().sound_ends().wait_s(5);
    assert_eq!(walked(&call).last().map(String::as_str), Some("de/menu.xml"));
    call.says("Ich hätte gern eine Pizza.");
    assert!(said(&mut call).contains("nicht verstanden"));
    call.sound_ends();
    call.sound_ends().wait_s(3).sound_ends().wait_s(5);
    assert_eq!(walked(&call).last().map(String::as_str), Some("de/transfer.xml"));
    call.sound_ends();
    assert!(call.take_lines().contains(&"dial client office as +4930111 for 20s".to_owned()));
}

#[test]
fn a_message_for_somebody_who_does_not_answer_reaches_the_webhook_as_text() {
    let mut call = office();
    call.press("2").press("3").sound_ends().leg(0, LegEvent::Ringing);
    call.forget().leg(0, LegEvent::Unreached(Unreached::NoAnswer));
    assert!(said(&mut call).contains("nobody can take your call"));
    call.sound_ends();
    assert!(said(&mut call).contains("recorded and transcribed"), "callers are told before they are recorded");
    call.sound_ends().forget().sound_ends().expect(&["record Caller at most 120s", "listen for speech"]);
    call.speech_starts().wait_s(6).press("#").file_of(6);
    assert!(said(&mut call).contains("Thank you for your message"));
    call.sound_ends().expect(&["hang up"]);
    call.recording(RecordingEvent::Transcribed { sid: "RE01".into(), text: Some("Please call me back.".into()) });
    let (path, params) = call.told.last().expect("told");
    assert_eq!(path, "/voicemail");
    assert_eq!(params.value("TranscriptionText"), Some("Please call me back."));
    assert_eq!(params.value("From"), Some("+4930111"));
    assert!(call.machine.is_over());
}

#[test]
fn a_talk_with_the_front_desk_ends_the_call() {
    let mut call = office();
    call.press("1").press("3").sound_ends();
    call.leg(0, LegEvent::Answered).wait_s(30).forget().leg(0, LegEvent::Ended);
    let lines = call.take_lines();
    assert_eq!(lines.last().map(String::as_str), Some("hang up"), "{lines:?}");
}

#[test]
fn an_appointment_is_left_in_both_languages() {
    for (language, thanks) in [("1", "bestätigen den Termin"), ("2", "confirm your appointment")] {
        let mut call = office();
        call.press(language).press("2").sound_ends().sound_ends();
        call.speech_starts().wait_s(9).speech_ends().wait_s(4).file_of(9);
        assert!(said(&mut call).contains(thanks));
    }
}

#[test]
fn every_file_is_read_without_a_complaint_and_is_reached() {
    let params = |choice: bool| {
        let mut params = bot::ivr::webhook::Params::default();
        if choice {
            params.push("Choice", "hours");
            params.push("DialCallDuration", "3");
        }
        params
    };
    let mut names = BTreeSet::new();
    let mut mentioned = BTreeSet::from(["welcome.xml".to_owned()]);
    for (path, text) in files() {
        for choice in [false, true] {
            let filled = bot::ivr::template::fill(&text, &params(choice), 65_536).expect("braces match");
            let document = bot::ivr::twiml::parse(filled.as_bytes(), Default::default()).expect("TwiML");
            assert_eq!(document.notices, [], "{path}");
        }
        let name = path.trim_start_matches("/office/").to_owned();
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        for part in text.split(['"', '<', '>', ';', '\n', ' ']).map(str::trim).filter(|part| !part.is_empty()) {
            let file = if part.ends_with(".xml") { part.to_owned() } else { format!("{part}.xml") };
            let file = if folder.is_empty() || file.contains('/') { file } else { format!("{folder}/{file}") };
            for language in ["de", "en"] {
                mentioned.insert(file.replace("{{Choice}}", language));
            }
        }
        names.insert(name);
    }
    assert_eq!(names.difference(&mentioned).collect::<Vec<_>>(), Vec::<&String>::new(), "files nobody leads to");
    assert_eq!(names.len(), 20);
}
