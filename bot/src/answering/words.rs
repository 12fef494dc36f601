//! What the words of whoever answers give away.
//!
//! Phrases, German and English, that machines say and people do not, or the other way round. Pure text to class;
//! nothing found is an answer too.

use super::Class;

/// The class that `text` gives away. A number that is not in service says so before anything else; "leave a message,
/// or press one" is a voicemail with options.
pub fn class_of(text: &str) -> Option<Class> {
    let text = plain(text);
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| contains(&text, phrase));
    match () {
        () if has(UNAVAILABLE) => Some(Class::Unavailable),
        () if has(VOICEMAIL) => Some(Class::MachineVoicemail),
        () if has(MENU) => Some(Class::MachineIvr),
        () if has(HUMAN) || is_greeting(&text) => Some(Class::Human),
        () => None,
    }
}

/// Small letters and single spaces, without punctuation, in a space of its own on both sides.
fn plain(text: &str) -> String {
    // The end of a long text says no more than its last thousand letters.
    let skipped = text.chars().count().saturating_sub(1_000);
    let mut plain = String::from(" ");
    for c in text.chars().skip(skipped).flat_map(char::to_lowercase) {
        match c {
            '\'' | '’' => {}
            c if c.is_alphanumeric() => plain.push(c),
            _ if !plain.ends_with(' ') => plain.push(' '),
            _ => {}
        }
    }
    if !plain.ends_with(' ') {
        plain.push(' ');
    }
    plain
}

/// Whether whole words of `text` are `phrase`; a star at its end stands for the rest of a word.
fn contains(text: &str, phrase: &str) -> bool {
    match phrase.strip_suffix('*') {
        Some(stem) => text.contains(&format!(" {stem}")),
        None => text.contains(&format!(" {phrase} ")),
    }
}

/// A greeting and nothing else: at most three words, all of them such as people say into a telephone.
fn is_greeting(text: &str) -> bool {
    const WORDS: [&str; 16] = [
        "hello", "hi", "hey", "yes", "yeah", "yo", "there", "speaking", "hallo", "ja", "bitte", "moin", "servus",
        "grüezi", "na", "morning",
    ];
    let words: Vec<_> = text.split_whitespace().collect();
    (1..=3).contains(&words.len()) && words.iter().all(|word| WORDS.contains(word))
}

const UNAVAILABLE: &[&str] = &[
    "the number you have",
    "the number you dialed",
    "the number you dialled",
    "the number you are calling",
    "you have reached a number that",
    "not in service",
    "no longer in service",
    "has been disconnected",
    "cannot be completed",
    "can not be completed",
    "could not be completed",
    "temporarily unavailable",
    "the subscriber you have",
    "the customer you are",
    "the person you are calling is not available",
    "mailbox is full",
    "all circuits are busy",
    "not accepting calls",
    "is switched off",
    "out of coverage",
    "kein anschluss unter",
    "rufnummer ist nicht vergeben",
    "nummer ist nicht vergeben",
    "rufnummer ist uns nicht bekannt",
    "die gewählte rufnummer",
    "die von ihnen gewählte",
    "rufen sie die auskunft",
    "vorübergehend nicht erreichbar",
    "teilnehmer ist zurzeit nicht",
    "teilnehmer ist zur zeit nicht",
    "teilnehmer ist momentan nicht",
    "gesprächspartner ist zurzeit nicht",
    "gesprächspartner ist zur zeit nicht",
    "rufnummer hat sich geändert",
    "mailbox ist voll",
];

const VOICEMAIL: &[&str] = &[
    "leave a message",
    "leave your message",
    "leave me a message",
    "leave us a message",
    "leave a brief message",
    "leave a short message",
    "leave a detailed message",
    "leave your name",
    "please leave",
    "after the tone",
    "after the beep",
    "at the tone",
    "at the beep",
    "sound of the beep",
    "record your message",
    "voicemail",
    "voice mail",
    "answering machine",
    "mailbox",
    "you have reached",
    "youve reached",
    "take your call right now",
    "unable to take your call",
    "cant take your call",
    "cannot take your call",
    "not available to take your call",
    "come to the phone",
    "get to the phone",
    "missed your call",
    "get back to you",
    "call you back as soon",
    "forwarded to an automated",
    "forwarded to voice*",
    "nach dem signalton",
    "nach dem ton",
    "nach dem piep*",
    "nach dem pieps*",
    "hinterlassen sie",
    "nachricht hinterlassen",
    "nachrichten hinterlassen",
    "hinterlasst",
    "hinterlasse",
    "anrufbeantworter",
    "sprachbox",
    "sprachnachricht",
    "persönlich nicht erreich*",
    "nicht ans telefon",
    "nicht persönlich entgegen*",
    "rufe sie zurück",
    "rufen sie zurück",
    "rufe zurück",
    "sobald wie möglich zurück",
];

const MENU: &[&str] = &[
    "press one",
    "press 1",
    "press two",
    "press 2",
    "press three",
    "press 3",
    "press zero",
    "press 0",
    "press pound",
    "press star",
    "press the",
    "press or say",
    "say or press",
    "main menu",
    "listen carefully",
    "menu options",
    "options have changed",
    "following options",
    "your partys extension",
    "dial by name",
    "call is important",
    "call may be recorded",
    "call may be monitored",
    "will be recorded",
    "next available",
    "all of our agents",
    "all of our representatives",
    "thank you for calling",
    "thanks for calling",
    "stay on the line",
    "business hours",
    "office hours",
    "enter your",
    "para español",
    "drücken sie",
    "drücke die",
    "wählen sie die",
    "sagen sie bitte",
    "bitte sagen sie",
    "tastendruck",
    "hauptmenü",
    "in der leitung",
    "nächste freie",
    "nächster freier",
    "freie mitarbeiter*",
    "mitarbeiter im gespräch",
    "leitungen sind belegt",
    "öffnungszeiten",
    "geschäftszeiten",
    "sprechzeiten",
    "geben sie ihre",
    "geben sie bitte",
    "gespräch aufgezeichnet",
    "aufgezeichnet werden",
    "dank für ihren anruf",
    "warteschleife",
];

const HUMAN: &[&str] = &[
    "who is this",
    "whos this",
    "who is calling",
    "whos calling",
    "whos there",
    "can i help you",
    "may i help you",
    "how can i help",
    "how may i help",
    "can i ask whos",
    "wer ist da",
    "wer ist denn da",
    "wer spricht",
    "am apparat",
    "kann ich für sie tun",
    "kann ich ihnen helfen",
    "kann ich helfen",
    "mit wem spreche",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_machines_and_people_say_gives_them_away() {
        for row in include_str!("../../tests/data/answers.tsv").lines().filter(|row| !row.is_empty()) {
            let (class, text) = row.split_once('\t').expect("two columns");
            let expected = match class {
                "human" => Some(Class::Human),
                "ivr" => Some(Class::MachineIvr),
                "voicemail" => Some(Class::MachineVoicemail),
                "unavailable" => Some(Class::Unavailable),
                _ => None,
            };
            assert_eq!(class_of(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            class_of(&text);
        }
    }
}
