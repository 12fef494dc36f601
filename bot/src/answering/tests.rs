use proptest::prelude::*;

use super::*;

fn at(ms: u64) -> MediaTime {
    MediaTime::from_millis(1_000 + ms)
}

const LEAVING: Settings = Settings {
    until_message_end: true,
    timeout: Duration::from_secs(30),
    speech_threshold: Duration::from_millis(2_400),
    speech_end_threshold: Duration::from_millis(1_200),
    silence_timeout: Duration::from_millis(5_000),
};

const BEGAN: Input<'static> = Input::Heard(Heard::VoiceBegan { ago_ms: 150 });
const ENDED: Input<'static> = Input::Heard(Heard::VoiceEnded { ago_ms: 250 });
const BEEP: Input<'static> = Input::Heard(Heard::Beep { hz: 1_000, ms: 400 });

/// Lives through a call: inputs at their milliseconds after the answer, and time until something is decided.
fn lived(settings: Settings, inputs: &[(u64, Input<'_>)]) -> Outcome {
    let mut answering = Answering::new(settings, at(0));
    for (ms, input) in inputs {
        while let Some(deadline) = answering.next_deadline().filter(|deadline| *deadline <= at(*ms)) {
            answering.handle(Input::Tick, deadline);
        }
        answering.handle(*input, at(*ms));
    }
    let mut turns = 0;
    while let Some(deadline) = answering.next_deadline() {
        answering.handle(Input::Tick, deadline);
        turns += 1;
        assert!(turns < 10, "{answering:?}");
    }
    answering.outcome().expect("a machine without a deadline has decided")
}

fn short(settings: Settings, inputs: &[(u64, Input<'_>)]) -> (Class, &'static str, Why, u128) {
    let Outcome { class, answered_by, after, why } = lived(settings, inputs);
    (class, answered_by.name(), why, after.as_millis())
}

#[test]
fn a_word_and_silence_is_a_person() {
    let hello = [(950, BEGAN), (1_650, ENDED)];
    assert_eq!(short(Settings::default(), &hello), (Class::Human, "human", Why::ShortGreeting, 2_600));
    assert_eq!(short(LEAVING, &hello).0, Class::Human);
    // A pause between two words is no end.
    let twice = [(950, BEGAN), (1_350, ENDED), (2_250, BEGAN), (2_750, ENDED)];
    assert_eq!(short(Settings::default(), &twice), (Class::Human, "human", Why::ShortGreeting, 3_700));
}

#[test]
fn whoever_talks_on_is_a_machine() {
    let talks = [(650, BEGAN)];
    let expected = (Class::MachineVoicemail, "machine_start", Why::LongGreeting, 2_900);
    assert_eq!(short(Settings::default(), &talks), expected);
    let breathes = [(650, BEGAN), (2_050, ENDED), (2_450, BEGAN)];
    assert_eq!(short(Settings::default(), &breathes), expected);
}

#[test]
fn the_end_of_a_greeting_is_its_beep_or_its_silence_or_the_timeout() {
    let greeting = [(650, BEGAN), (6_250, ENDED)];
    let with = |more: &[(u64, Input<'static>)]| [&greeting[..], more].concat();
    assert_eq!(
        short(LEAVING, &with(&[(6_900, BEEP)])),
        (Class::MachineVoicemail, "machine_end_beep", Why::Beep, 6_900)
    );
    assert_eq!(short(LEAVING, &greeting), (Class::MachineVoicemail, "machine_end_silence", Why::Silence, 7_200));
    // A long beep after a long pause is known when it is over; nothing is decided while it sounds.
    let tone = Input::Heard(Heard::Tone);
    let late = with(&[(7_100, tone), (7_600, tone), (8_100, tone), (8_300, BEEP)]);
    assert_eq!(short(LEAVING, &late).1, "machine_end_beep");
    assert_eq!(short(LEAVING, &[(650, BEGAN)]), (Class::MachineVoicemail, "machine_end_other", Why::Timeout, 30_000));
    let hung_up = [(650, BEGAN), (5_000, Input::Heard(Heard::Busy))];
    assert_eq!(short(LEAVING, &hung_up).1, "machine_end_other");
}

#[test]
fn words_decide_sooner_and_better_than_rhythm() {
    let says = |text: &'static str| vec![(650, BEGAN), (1_800, Input::Words(text))];
    let enabled = Settings::default();
    assert_eq!(
        short(enabled, &says("You have reached")),
        (Class::MachineVoicemail, "machine_start", Why::Words, 1_800)
    );
    assert_eq!(short(enabled, &says("Drücken Sie die Eins")).0, Class::MachineIvr);
    let unreached = (Class::Unavailable, "unknown", Why::Words, 1_800);
    assert_eq!(short(enabled, &says("Kein Anschluss unter dieser Nummer")), unreached);
    assert_eq!(short(LEAVING, &says("the number you have dialed")), unreached);
    // A person who says a long sentence.
    let mut friendly = says("Schneider, guten Tag, was kann ich für Sie tun?");
    friendly.push((4_250, ENDED));
    assert_eq!(short(enabled, &friendly), (Class::Human, "human", Why::Words, 5_200));
    // A short one that only a machine says, told after it ended.
    let terse = [(650, BEGAN), (2_050, ENDED), (2_300, Input::Words("Leave a message."))];
    assert_eq!(short(enabled, &terse).0, Class::MachineVoicemail);
    // What kind of machine it is may come out before its greeting ends.
    let menu = [(650, BEGAN), (4_000, Input::Words("For sales press one")), (6_250, ENDED)];
    assert_eq!(short(LEAVING, &menu), (Class::MachineIvr, "machine_end_silence", Why::Silence, 7_200));
}

#[test]
fn silence_tones_and_faxes_are_known() {
    assert_eq!(short(Settings::default(), &[]), (Class::Unsure, "unknown", Why::NobodySpoke, 5_000));
    let fax = [(900, Input::Heard(Heard::FaxAnswering))];
    assert_eq!(short(Settings::default(), &fax), (Class::Unavailable, "fax", Why::Fax, 900));
    let special = [(1_100, Input::Heard(Heard::Special))];
    assert_eq!(short(LEAVING, &special), (Class::Unavailable, "unknown", Why::Tone, 1_100));
    let rings_on = [(3_000, Input::Heard(Heard::Ringback)), (7_500, BEGAN), (8_000, ENDED)];
    assert_eq!(short(Settings::default(), &rings_on).0, Class::Human);
    assert_eq!(short(LEAVING, &[(800, BEEP)]), (Class::MachineVoicemail, "machine_end_beep", Why::Beep, 800));
    assert_eq!(short(Settings::default(), &[(300, Input::Ended)]).2, Why::Ended);
}

#[test]
fn settings_are_read_as_twilio_names_them_and_refused_out_of_range() {
    let read = |pairs: &'static [(&'static str, &'static str)]| {
        Settings::of_parameters(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
    };
    assert_eq!(read(&[]), Ok(None));
    assert_eq!(read(&[("MachineDetection", "Enable")]), Ok(Some(Settings::default())));
    let all = read(&[
        ("MachineDetection", "DetectMessageEnd"),
        ("MachineDetectionTimeout", "10"),
        ("MachineDetectionSpeechThreshold", "1500"),
        ("MachineDetectionSpeechEndThreshold", "900"),
        ("MachineDetectionSilenceTimeout", "3000"),
    ]);
    let ms = Duration::from_millis;
    let expected = Settings {
        until_message_end: true,
        timeout: ms(10_000),
        speech_threshold: ms(1_500),
        speech_end_threshold: ms(900),
        silence_timeout: ms(3_000),
    };
    assert_eq!(all, Ok(Some(expected)));
    let error = read(&[("MachineDetection", "Enable"), ("MachineDetectionTimeout", "60")]).unwrap_err();
    assert_eq!(error.to_string(), "MachineDetectionTimeout must be a number from 3 to 59");
    assert!(read(&[("MachineDetection", "yes")]).is_err());
}

fn input() -> impl Strategy<Value = Input<'static>> {
    prop_oneof![
        (0..300_u16).prop_map(|ago_ms| Input::Heard(Heard::VoiceBegan { ago_ms })),
        (0..300_u16).prop_map(|ago_ms| Input::Heard(Heard::VoiceEnded { ago_ms })),
        Just(BEEP),
        Just(Input::Heard(Heard::Tone)),
        Just(Input::Heard(Heard::Ringback)),
        Just(Input::Words("hello")),
        Just(Input::Words("leave a message")),
        Just(Input::Words("press one")),
        Just(Input::Words("something else")),
        Just(Input::Tick),
    ]
}

proptest! {
    #[test]
    fn whatever_is_heard_it_ends_once_and_by_its_timeout(
        inputs in prop::collection::vec((0..2_000_u64, input()), 0..40),
        until_message_end: bool,
    ) {
        let settings = Settings { until_message_end, ..Settings::default() };
        let mut now = 0;
        let inputs: Vec<_> = inputs.into_iter().map(|(after, input)| { now += after; (now, input) }).collect();
        let outcome = lived(settings, &inputs);
        prop_assert!(outcome.after <= settings.timeout);
        prop_assert_eq!(
            outcome.class == Class::Human,
            outcome.answered_by == AnsweredBy::Human
        );
        if !until_message_end {
            prop_assert!(!matches!(outcome.answered_by, AnsweredBy::MachineEndBeep | AnsweredBy::MachineEndSilence));
        }
    }
}
