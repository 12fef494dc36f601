//! What somebody wants, by the words that only that is said with: German and English at once. Pure tables.

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    Hello,
    Thanks,
    Goodbye,
    /// To be passed on.
    Transfer,
    /// To leave a note: this one, or one that is still to be said.
    Note(Option<String>),
    ReadNotes,
    Remind,
    /// To be remembered from call to call, or to be forgotten.
    Remember(bool),
    Repeat,
    Time,
    Date,
    Help,
    /// Never mind.
    Cancel,
}

/// What `text` wants, when that is plain.
pub(super) fn of(text: &str) -> Option<Intent> {
    let said = plain(text);
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| said.contains(&format!(" {phrase} ")));
    let begins = |phrases: &[&str]| phrases.iter().any(|phrase| said.contains(&format!(" {phrase}")));
    let count = said.split_whitespace().count();
    if has(READ_NOTES) {
        return Some(Intent::ReadNotes);
    }
    if let Some(end) = NOTE.iter().find_map(|phrase| end_of(text, phrase)) {
        let what = text[end..].trim_start_matches(|c: char| !c.is_alphanumeric());
        let what = TO_LEAVE_OUT.iter().find_map(|word| strip_word(what, word)).unwrap_or(what).trim();
        return Some(Intent::Note((!what.is_empty()).then(|| what.to_owned())));
    }
    if begins(REMIND) {
        return Some(Intent::Remind);
    }
    // "Don't remember me" is to be forgotten, whatever it says of remembering, and "don't forget me" is not. What is
    // erased is gone, and nobody agrees by a question or a no: where it is not plain, nothing is done.
    if has(FORGET) && !begins(FORGET_NOT) {
        return Some(Intent::Remember(false));
    }
    if has(REMEMBER) && !has(NO_CONSENT) && !begins(&["you remember", "you still remember"]) {
        return Some(Intent::Remember(true));
    }
    if has(GOODBYE) && count <= 12 {
        return Some(Intent::Goodbye);
    }
    if begins(TRANSFER) || (begins(WITH_SOMEBODY) && begins(&["sprechen", "reden"])) {
        return Some(Intent::Transfer);
    }
    if begins(REPEAT) && count <= 10 {
        return Some(Intent::Repeat);
    }
    if begins(TIME) {
        return Some(Intent::Time);
    }
    if begins(DATE) {
        return Some(Intent::Date);
    }
    if has(HELP) {
        return Some(Intent::Help);
    }
    // "Cancel my appointment" is more than never mind.
    if has(CANCEL) && count <= 6 || has(&["cancel"]) && count <= 2 {
        return Some(Intent::Cancel);
    }
    if has(THANKS) && count <= 6 {
        return Some(Intent::Thanks);
    }
    (has(HELLO) && count <= 6).then_some(Intent::Hello)
}

/// `text` in small letters, each word between single spaces, without punctuation; a space at both ends.
pub(super) fn plain(text: &str) -> String {
    let letters: String = text.to_lowercase().chars().map(in_words).collect();
    format!(" {} ", letters.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A sign as it stands in plain text; an apostrophe is one in either of its shapes.
fn in_words(sign: char) -> char {
    match sign {
        '\'' | '\u{2019}' => '\'',
        sign if sign.is_alphanumeric() => sign,
        _ => ' ',
    }
}

/// Where `phrase` ends in `text`, whatever its case, at the end of a word.
fn end_of(text: &str, phrase: &str) -> Option<usize> {
    text.char_indices().find_map(|(at, _)| {
        let begins = text[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric());
        let end = at + strip(&text[at..], phrase)?;
        let ends = text[end..].chars().next().is_none_or(|next| !next.is_alphanumeric());
        (begins && ends).then_some(end)
    })
}

/// How long `phrase` is at the beginning of `text`, whatever its case.
fn strip(text: &str, phrase: &str) -> Option<usize> {
    let mut letters = text.char_indices();
    for wanted in phrase.chars() {
        let (_, letter) = letters.next()?;
        if !letter.to_lowercase().eq(wanted.to_lowercase()) {
            return None;
        }
    }
    Some(letters.next().map_or(text.len(), |(at, _)| at))
}

fn strip_word<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let rest = &text[strip(text, word)?..];
    (rest.is_empty() || rest.starts_with(|c: char| !c.is_alphanumeric()))
        .then(|| rest.trim_start_matches([',', ':', ' ']))
}

/// The longer ones first: the note begins behind them.
#[rustfmt::skip]
const NOTE: &[&str] = &[
    "ich möchte eine nachricht hinterlassen", "eine nachricht hinterlassen", "nachricht hinterlassen", "notieren sie bitte",
    "notieren sie sich", "notieren sie", "notiere bitte", "notier bitte", "notiere dir", "notier dir", "notiere", "notier",
    "schreiben sie bitte auf", "schreiben sie auf", "schreib bitte auf", "schreib auf", "richten sie bitte aus",
    "richten sie aus", "richte aus", "please note", "make a note", "take a note", "note down", "write down",
    "leave a message", "take a message", "note that", "please tell them", "tell them",
];

/// What joins a note to what it was asked for with.
const TO_LEAVE_OUT: &[&str] = &["dass", "that", "for me", "bitte", "please", "of", "mal"];

#[rustfmt::skip]
const READ_NOTES: &[&str] = &[
    "hast du notiert", "haben sie notiert", "lies meine notizen", "lies die notizen", "meine notizen", "deine notizen",
    "ihre notizen", "notizen vorlesen", "lesen sie meine notizen", "read my notes", "read the notes", "my notes",
    "your notes", "did you note", "did you write down", "have you noted", "hast du aufgeschrieben",
];

const REMIND: &[&str] = &["erinner mich", "erinnere mich", "erinnern sie mich", "remind me"];

#[rustfmt::skip]
const FORGET: &[&str] = &[
    "vergiss mich", "vergessen sie mich", "vergiss alles über mich", "vergessen sie alles über mich",
    "lösch meine daten", "lösche meine daten", "löschen sie meine daten", "merk dir nichts", "merken sie sich nichts",
    "merken sie sich das nicht", "forget me", "forget everything about me", "forget all about me", "delete my data",
    "erase my data", "do not remember me", "don't remember me", "do not remember this", "don't remember this",
];

/// What sounds like [`FORGET`], and wants the opposite or nothing.
#[rustfmt::skip]
const FORGET_NOT: &[&str] = &[
    "vergiss mich nicht", "vergiss mich bitte nicht", "vergessen sie mich nicht", "vergessen sie mich bitte nicht",
    "meine daten nicht", "meine daten bitte nicht", "not forget", "don't forget", "never forget", "did you forget",
    "not delete", "don't delete", "did you delete", "not erase", "don't erase", "did you erase", "i do not remember",
    "i don't remember", "you do not remember", "you don't remember",
];

#[rustfmt::skip]
const REMEMBER: &[&str] = &[
    "merk dir unser gespräch", "merken sie sich unser gespräch", "sie dürfen sich unser gespräch merken",
    "du darfst dir unser gespräch merken", "merken sie sich diesen anruf", "sie dürfen sich an mich erinnern",
    "remember me", "remember this call", "you may remember me", "you can remember me", "remember our conversation",
];

/// Beside [`REMEMBER`], these are no yes.
#[rustfmt::skip]
const NO_CONSENT: &[&str] = &[
    "nicht", "nie", "keine", "not", "no", "never", "don't", "do you", "did you", "can you", "will you", "would you", "does",
    "anybody", "anyone", "remember me to",
];

#[rustfmt::skip]
const GOODBYE: &[&str] = &[
    "tschüss", "tschüß", "tschau", "ciao", "auf wiederhören", "auf wiedersehen", "wiederhören", "servus", "bye", "goodbye",
    "good bye", "das war's", "das wars", "das war alles", "that's all", "that is all", "that was all", "leg auf", "legen sie auf",
    "hang up", "see you", "bis dann", "bis bald",
];

#[rustfmt::skip]
const TRANSFER: &[&str] = &[
    "verbind", "durchstell", "stell mich durch", "stellen sie mich durch", "weiterleit", "weiterverbind",
    "mit einem menschen", "mit einem mitarbeiter", "mit jemandem sprechen", "transfer me", "transfer the",
    "connect me", "put me through", "speak to", "talk to", "speak with", "talk with a human", "a real person",
];

/// Only with "sprechen": "Kann ich mit Karte zahlen?" asks for nobody.
const WITH_SOMEBODY: &[&str] = &["kann ich mit", "könnte ich mit", "ich möchte mit", "ich will mit"];

#[rustfmt::skip]
const REPEAT: &[&str] = &[
    "wiederhol", "noch einmal bitte", "noch mal bitte", "nochmal bitte", "sag das noch", "sagen sie das noch",
    "wie bitte", "was hast du gesagt", "was haben sie gesagt", "repeat", "say that again", "say it again", "pardon",
    "come again", "what did you say", "once more please",
];

#[rustfmt::skip]
const TIME: &[&str] = &[
    "wie spät", "wie viel uhr", "wieviel uhr", "uhrzeit", "what time is it", "what's the time", "the time please",
    "current time", "tell me the time", "what is the time",
];

#[rustfmt::skip]
const DATE: &[&str] = &[
    "welcher tag", "welchen tag", "welcher wochentag", "welches datum", "was für ein tag", "den wievielten",
    "der wievielte", "was ist heute für", "what day", "what date", "what's the date", "what is the date", "today's date",
    "which day",
];

#[rustfmt::skip]
const HELP: &[&str] = &[
    "was kannst du", "was können sie", "was kannst du alles", "hilfe", "help", "what can you do", "what do you do",
    "how can you help", "wobei kannst du", "wobei können sie",
];

const CANCEL: &[&str] = &["abbrechen", "vergiss es", "egal", "schon gut", "never mind", "cancel that", "forget it"];
const THANKS: &[&str] = &["danke", "dankeschön", "vielen dank", "thanks", "thank you"];

#[rustfmt::skip]
const HELLO: &[&str] = &[
    "hallo", "guten tag", "guten morgen", "guten abend", "grüß gott", "grüezi", "moin", "hi", "hello", "hey",
    "good morning", "good afternoon", "good evening",
];
