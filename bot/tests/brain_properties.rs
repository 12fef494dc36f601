//! What holds for any words whatever: no panic, evidence inside what was heard, the same again from the same.

#[allow(dead_code, reason = "each test file uses its own part of the kit")]
mod brain_kit;

use asr::event::Cut;
use bot::brain::{Evidence, Output};
use brain_kit::{CALL_DATE, Conversation};
use proptest::prelude::*;

/// Words that rules react to, and any others.
fn word() -> impl Strategy<Value = String> {
    let known: Vec<&str> = concat!(
        "I I'll will we need to have the report send by Friday next week could you please Anna Tom Anna, , . ? not if in two ",
        "weeks end of month before a the 15th 3rd March 12 5 pm will be sent and or that let's go with agreed who what ",
        "ich schicke dir den Bericht bis Freitag nächste Woche KW 12 am 3. 15. März zu und dann wir müssen könntest du bitte ",
        "rufe an bereite vor muss werden bezahlt nicht wenn Ende des Monats in acht Tagen nein ja klar mache das Sie „ “ \" ... ",
        "week 54 99 0. 31. 2026-02-30 29.2. 00:00 vor day after Christmas sorry, no, mean",
    )
    .split(' ')
    .collect();
    // Letters whose capital or small form has another length in bytes.
    let uneven = prop::sample::select(vec!["ﬓ", "ﬁ", "ß", "İ", "ŉ", "\u{212a}ey", "Ⱥ"]);
    prop_oneof![
        18 => prop::sample::select(known).prop_map(str::to_owned),
        1 => uneven.prop_map(str::to_owned),
        1 => "\\PC{1,8}",
    ]
}

fn utterance() -> impl Strategy<Value = (usize, Vec<String>, bool, Option<&'static str>)> {
    let language = prop::sample::select(vec![None, Some("en"), Some("de"), Some("fr"), Some("")]);
    (0..4_usize, prop::collection::vec(word(), 0..40), any::<bool>(), language)
}

const SPEAKERS: [&str; 4] = ["Kim", "Anna", "Tom", ""];

proptest! {
    #[test]
    fn any_talk_is_read_the_same_way_twice_and_rests_on_words_that_were_heard(talk in prop::collection::vec(utterance(), 1..12)) {
        let run = || {
            let mut conversation = Conversation::of_three();
            let mut outputs = Vec::new();
            for (speaker, words, long, language) in &talk {
                let cut = if *long { Cut::Length } else { Cut::Pause };
                outputs.extend(conversation.say_cut(SPEAKERS[*speaker], &words.join(" "), *language, cut));
            }
            outputs.extend(conversation.end());
            (outputs, conversation.now_ms)
        };
        let (outputs, end_ms) = run();
        prop_assert_eq!(&outputs, &run().0);
        for output in &outputs {
            for evidence in evidence(output) {
                prop_assert!(evidence.span.start < evidence.span.end, "{:?}", output);
                prop_assert!(evidence.span.end.as_millis() <= end_ms, "{:?}", output);
                prop_assert_eq!(evidence.span.start.as_millis() % 100, 0, "begins where a word begins");
            }
            if let Output::Note(item) = output {
                prop_assert!(!item.text.is_empty() && !item.evidence.is_empty());
                prop_assert!((0.0..=1.0).contains(&item.confidence));
                prop_assert!(item.due.is_none_or(|due| due >= CALL_DATE || item.due_said.as_ref().is_some_and(|said| said.contains("20"))), "{:?}", item);
            }
        }
    }
}

/// A ligature's capital is two letters and longer: nothing is cut by the length of the other form.
#[test]
fn an_object_whose_first_letter_grows_with_its_capital_is_noted_as_it_was_said() {
    let mut conversation = Conversation::of_three();
    let mut outputs = conversation.say("Kim", "Please have ﬁnance check the invoice by Friday.", Some("en"));
    outputs.extend(conversation.say("Kim", "Please send ﬁles to Tom by Friday.", Some("en")));
    outputs.extend(conversation.end());
    let texts: Vec<_> = brain_kit::items(&outputs).into_iter().map(|item| item.text).collect();
    assert!(texts.iter().any(|text| text.contains(" ﬁles")), "{texts:?}");
}

fn evidence(output: &Output) -> Vec<Evidence> {
    match output {
        Output::Note(item) => item.evidence.clone(),
        Output::Decided(decision) => vec![decision.evidence],
        Output::Asked(question) => std::iter::once(question.evidence).chain(question.answer).collect(),
        Output::Summarised(summary) => summary.sentences.iter().map(|sentence| sentence.evidence).collect(),
    }
}
