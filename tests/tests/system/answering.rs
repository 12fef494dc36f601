//! Who answered, from sound alone: greetings spoken by espeak-ng, tones of the telephone, over G.711 and in virtual
//! time; and from their words, as our own recognizer hears them.

use std::time::Duration;

use bot::answering::{AnsweredBy, Answering, Class, Input, Outcome, Settings, class_of};
use media::{
    codec::g711::Law,
    dsp::{
        progress::Progress,
        tone::{Generator, Region, Tone},
    },
    time::MediaTime,
};
use tests::{listening::Sound, spoken::Spoken, transcriber::Transcriber};

const RATE_HZ: u32 = 8_000;

const MAILBOX_DE: &str = "Guten Tag, Sie haben die Mailbox von Anna Weber erreicht. Bitte hinterlassen Sie nach dem \
                          Signalton eine Nachricht.";
const MAILBOX_EN: &str = "Hi, you have reached Anna Weber. I can't come to the phone right now. Please leave a message \
                          after the tone.";
const MENU_EN: &str =
    "Thank you for calling the doctor's office. For appointments, press one. For prescriptions, press two.";
const UNREACHED_EN: &str = "We are sorry. The number you have dialed is not in service. Please check the number.";

fn silence(ms: u32) -> Vec<f32> {
    vec![0.0; (ms * RATE_HZ / 1_000) as usize]
}

fn tone(tone: Tone, ms: u32) -> Vec<f32> {
    let mut samples = silence(ms);
    Generator::new(tone, RATE_HZ).write(&mut samples);
    samples
}

/// A call that is answered with `sound`, and then silence, until it is known by whom.
fn answered(settings: Settings, sound: &[f32]) -> Outcome {
    let mut answering = Answering::new(settings, MediaTime::ZERO);
    let mut progress = Progress::new(RATE_HZ);
    let mut noise = 1_u32;
    for hop in 0.. {
        let now = MediaTime::from_millis(10 * (hop + 1));
        let samples: Vec<f32> = (0..80)
            .map(|n| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // A line at -60 dBFS.
                let hiss = ((noise >> 8) as f32 / 8_388_608.0 - 1.0) * 0.0017;
                Law::A.decode(Law::A.encode(sound.get(hop as usize * 80 + n).unwrap_or(&0.0) + hiss))
            })
            .collect();
        let mut heard = Vec::new();
        progress.hear(&samples, |what| heard.push(what));
        heard.into_iter().for_each(|what| answering.handle(Input::Heard(what), now));
        if answering.next_deadline().is_some_and(|deadline| deadline <= now) {
            answering.handle(Input::Tick, now);
        }
        if let Some(outcome) = answering.outcome() {
            return outcome;
        }
        assert!(hop < 100 * 60, "nothing is decided in a minute");
    }
    unreachable!("the range has no end")
}

#[test]
fn the_rhythm_of_a_greeting_tells_a_person_from_a_machine() {
    let kit = match Spoken::start(RATE_HZ) {
        Ok(kit) => kit,
        Err(why) => return println!("{why}"),
    };
    let waits = Settings { until_message_end: true, ..Settings::default() };
    let with_beep = |text: &str, language: &str| {
        [silence(600), kit.says(language, text), silence(700), tone(Tone::Beep, 400)].concat()
    };
    let cases: Vec<(&str, Settings, Vec<f32>, Class, AnsweredBy)> = vec![
        (
            "hello",
            Settings::default(),
            [silence(900), kit.says("en", "Hello?")].concat(),
            Class::Human,
            AnsweredBy::Human,
        ),
        (
            "name",
            Settings::default(),
            [silence(400), kit.says("de", "Schneider, hallo?")].concat(),
            Class::Human,
            AnsweredBy::Human,
        ),
        (
            "name, waiting for the end",
            waits,
            [silence(400), kit.says("de", "Ja, Weber?")].concat(),
            Class::Human,
            AnsweredBy::Human,
        ),
        (
            "mailbox",
            Settings::default(),
            with_beep(MAILBOX_DE, "de"),
            Class::MachineVoicemail,
            AnsweredBy::MachineStart,
        ),
        (
            "mailbox with its beep",
            waits,
            with_beep(MAILBOX_DE, "de"),
            Class::MachineVoicemail,
            AnsweredBy::MachineEndBeep,
        ),
        ("mailbox in English", waits, with_beep(MAILBOX_EN, "en"), Class::MachineVoicemail, AnsweredBy::MachineEndBeep),
        (
            "mailbox without a beep",
            waits,
            [silence(600), kit.says("en", MAILBOX_EN)].concat(),
            Class::MachineVoicemail,
            AnsweredBy::MachineEndSilence,
        ),
        ("nobody", Settings::default(), silence(100), Class::Unsure, AnsweredBy::Unknown),
        (
            "announcement of the network",
            waits,
            [silence(200), tone(Tone::Sit, 1_000), silence(300), kit.says("en", UNREACHED_EN)].concat(),
            Class::Unavailable,
            AnsweredBy::Unknown,
        ),
        ("busy", waits, tone(Tone::Busy(Region::Europe), 5_000), Class::Unavailable, AnsweredBy::Unknown),
        (
            "passed on, then a person",
            Settings::default(),
            [tone(Tone::Ringback(Region::Europe), 5_000), kit.says("de", "Ja, hallo?")].concat(),
            Class::Human,
            AnsweredBy::Human,
        ),
    ];
    for (name, settings, sound, class, answered_by) in cases {
        let outcome = answered(settings, &sound);
        println!("{name}: {outcome:?}");
        assert_eq!((outcome.class, outcome.answered_by), (class, answered_by), "{name}: {outcome:?}");
    }
}

#[test]
fn a_person_is_known_soon_after_the_greeting_and_a_machine_before_its_end() {
    let kit = match Spoken::start(RATE_HZ) {
        Ok(kit) => kit,
        Err(why) => return println!("{why}"),
    };
    let hello = kit.says("en", "Hello?");
    let person = answered(Settings::default(), &[silence(900), hello.clone()].concat());
    let spoken = Duration::from_millis(900 + 1_000 * hello.len() as u64 / u64::from(RATE_HZ));
    assert!(person.after < spoken + Duration::from_millis(1_500), "{person:?}, spoken until {spoken:?}");
    let machine = answered(Settings::default(), &[silence(600), kit.says("en", MAILBOX_EN)].concat());
    assert!(machine.after < Duration::from_millis(600 + 2_400 + 400), "{machine:?}");
}

#[test]
fn what_the_recognizer_hears_of_a_greeting_says_what_kind_of_machine_it_is() {
    let (kit, mut transcriber) = match Spoken::start(RATE_HZ).and_then(|kit| Ok((kit, Transcriber::load()?))) {
        Ok(parts) => parts,
        Err(why) => return println!("{why}"),
    };
    for (text, class) in
        [(MAILBOX_EN, Class::MachineVoicemail), (MENU_EN, Class::MachineIvr), (UNREACHED_EN, Class::Unavailable)]
    {
        let heard = transcriber.text(Sound { samples: &kit.says("en", text), rate_hz: RATE_HZ });
        println!("{heard}");
        assert_eq!(class_of(&heard), Some(class), "{heard}");
    }
}
