//! Who takes part in an hour: a caller, a model, tools and a voice, all of them drawn from one seed.
//!
//! Pure. Each answers the question "what comes of that, and when"; [`super::Hour`] puts it into its agenda.

use super::*;

/// SplitMix64: a seed means the same for ever.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: u64) -> u64 {
        self.draw() % count
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from + 1))
    }

    fn one(&mut self, of: &[&'static str]) -> &'static str {
        of[self.below(of.len() as u64) as usize]
    }
}

/// What a voice makes of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Plays,
    /// It says at once that it cannot.
    Fails,
    /// It fails in the middle.
    BreaksOff,
    /// It gives no sign of life.
    Hangs,
}

/// What a voice makes of the next sentence, and when its first sound comes.
pub(super) fn voice(dice: &mut Dice) -> (Fate, Duration) {
    match dice.below(100) {
        0..=1 => (Fate::Fails, dice.millis(20, 300)),
        2..=3 => (Fate::BreaksOff, dice.millis(60, 200)),
        4 => (Fate::Hangs, Duration::ZERO),
        5..=8 => (Fate::Plays, dice.millis(900, 4_000)),
        _ => (Fate::Plays, dice.millis(40, 160)),
    }
}

/// How long a word is heard.
pub(super) fn lasts(word: &str) -> Duration {
    Duration::from_millis(55) * (word.chars().count() as u32 + 1)
}

/// How long a caller waits between two things.
pub(super) fn pause(dice: &mut Dice) -> Duration {
    match dice.below(100) {
        // Whoever does not wait talks over the answer.
        0..=29 => dice.millis(200, 2_500),
        30..=84 => dice.millis(2_500, 8_000),
        85..=94 => dice.millis(8_000, 12_000),
        // They are asked whether they are there.
        _ => dice.millis(18_000, 26_000),
    }
}

/// What a caller does from `now` on: what the agent is told of it and when, and when they are done. A plain one asks
/// something, and is heard.
pub(super) fn act(
    dice: &mut Dice,
    utterances: &mut u64,
    now: MediaTime,
    is_plain: bool,
) -> (Vec<(MediaTime, Input)>, MediaTime) {
    let mut does = Does { told: Vec::new(), at: now };
    if is_plain {
        let text = dice.one(&QUESTIONS);
        does.says(utterances, text, Heard::Well, 0.95);
        return (does.told, does.at);
    }
    let probability = if dice.percent(80) { 0.95 } else { 0.2 };
    match dice.below(100) {
        0..=39 => does.says(utterances, dice.one(&QUESTIONS), Heard::Well, probability),
        40..=49 => {
            // A pause within a sentence: what was prepared in it is thrown away.
            does.says(utterances, dice.one(&BEGINNINGS), Heard::Well, 0.1);
            does.at += dice.millis(100, 800);
            does.says(utterances, dice.one(&QUESTIONS), Heard::Well, probability);
        }
        50..=59 => does.says(utterances, dice.one(&LISTENING), Heard::Well, probability),
        60..=67 => does.coughs(utterances, dice.millis(120, 500)),
        68..=70 => does.coughs(utterances, dice.millis(2_000, 4_000)),
        71..=80 => does.says(utterances, dice.one(&OBJECTIONS), Heard::Well, probability),
        81..=86 => does.presses(dice),
        87..=90 => does.says(utterances, dice.one(&QUESTIONS), Heard::Late, probability),
        91..=92 => does.says(utterances, dice.one(&QUESTIONS), Heard::Never, probability),
        93..=96 => does.is_told(Input::Wrote(dice.one(&QUESTIONS).to_owned())),
        97..=98 => does.is_told(Input::Say { text: dice.one(&NOTES).to_owned(), when: When::Next }),
        _ => does.is_told(Input::Say { text: dice.one(&NOTES).to_owned(), when: When::Free }),
    }
    (does.told, does.at)
}

/// How a recognizer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Well,
    /// Its last words come long after the end.
    Late,
    /// They never come.
    Never,
}

/// What a caller does.
struct Does {
    told: Vec<(MediaTime, Input)>,
    /// When they are so far.
    at: MediaTime,
}

impl Does {
    fn is_told(&mut self, input: Input) {
        self.told.push((self.at, input));
    }

    fn ears(&mut self, event: Event) {
        self.is_told(Input::Ears(event));
    }

    fn starts(&mut self, utterances: &mut u64) -> UtteranceId {
        *utterances += 1;
        let utterance = UtteranceId(*utterances);
        let at = self.at.saturating_sub(Duration::from_millis(64));
        self.ears(Event::SpeechStarted { utterance, at });
        utterance
    }

    fn says(&mut self, utterances: &mut u64, text: &str, heard: Heard, probability: f32) {
        let utterance = self.starts(utterances);
        let (all, span) = (words(text), Span::default());
        for (revision, count) in (1..=all.len()).enumerate() {
            self.at += Duration::from_millis(280);
            let words = all[..count].to_vec();
            let revision = revision as u32 + 1;
            self.ears(Event::Partial { utterance, revision, stable_words: 0, words, span });
        }
        let end = self.at;
        let last = Event::Final { utterance, words: all, span, cut: Cut::Pause, language: None, voices: Vec::new() };
        self.at += Duration::from_millis(180);
        if heard == Heard::Well {
            self.ears(last.clone());
        }
        self.ears(Event::SpeechEnded { utterance, at: end });
        self.at += Duration::from_millis(20);
        self.is_told(Input::EndOfTurn { probability });
        if heard == Heard::Late {
            self.at += Duration::from_millis(2_500);
            self.ears(last);
        }
    }

    /// A sound without words.
    fn coughs(&mut self, utterances: &mut u64, lasts: Duration) {
        let utterance = self.starts(utterances);
        self.at += lasts;
        let (end, span) = (self.at, Span::default());
        self.at += Duration::from_millis(150);
        self.ears(Event::Final {
            utterance,
            words: Vec::new(),
            span,
            cut: Cut::Pause,
            language: None,
            voices: Vec::new(),
        });
        self.ears(Event::SpeechEnded { utterance, at: end });
    }

    fn presses(&mut self, dice: &mut Dice) {
        let keys = dice.one(&["1", "42", "0711#", "#", "4711*9"]);
        for key in keys.chars() {
            self.is_told(Input::Key(Key::from_char(key).expect("it is a key")));
            self.at += dice.millis(150, 1_200);
        }
    }
}

/// A piece of what a model says.
pub(super) enum Said {
    Piece(Delta),
    Fails(llm::Trouble),
}

/// What a model says to a question, and how long after it.
pub(super) fn answer(dice: &mut Dice, request: &Request, calls: &mut u64) -> Vec<(Duration, Said)> {
    let first = dice.millis(120, 450);
    let may_call = !request.tools.is_empty();
    let has_results = matches!(request.messages.last(), Some(Message::ToolResult { .. }));
    let provider: Arc<str> = "scripted".into();
    let text = dice.one(&ANSWERS);
    match dice.below(100) {
        0..=3 => {
            let retry_after = dice.percent(50).then_some(Duration::from_secs(20));
            vec![(first, Said::Fails(llm::Trouble::Busy { provider, status: 429, code: None, retry_after }))]
        }
        4..=5 => vec![(first, Said::Fails(llm::Trouble::Failed { provider, status: 503, code: None }))],
        6 => vec![(first, Said::Fails(llm::Trouble::Garbled { provider, what: "HTML" }))],
        // It hangs before its first word, or says it too late.
        7..=8 => Vec::new(),
        9..=12 => whole(text, dice.millis(3_000, 9_000)),
        13 => vec![(first, done(Stop::Refused))],
        14 => vec![(first, done(Stop::End))],
        // It breaks off, or hangs, in the middle.
        15..=17 => {
            let mut says = written(text, first);
            says.truncate(says.len() / 2);
            says.push((Duration::from_secs(2), Said::Fails(llm::Trouble::CutOff { provider })));
            says
        }
        18..=19 => {
            let mut says = written(text, first);
            says.truncate(says.len() / 2);
            says
        }
        20..=24 => whole(STORY, first),
        25..=29 if may_call => called(dice, first, calls),
        30..=54 if may_call && !has_results => called(dice, first, calls),
        _ => whole(text, first),
    }
}

/// An answer by a model that does nothing but answer.
pub(super) fn plain_answer() -> Vec<(Duration, Said)> {
    whole("Sehr gern, das mache ich für Sie.", Duration::from_millis(200))
}

/// What a model says that is asked for a summary.
pub(super) fn summary(dice: &mut Dice) -> Vec<(Duration, Said)> {
    match dice.below(10) {
        0..=1 => vec![(dice.millis(50, 900), Said::Fails(llm::Trouble::NoModel))],
        2 => Vec::new(),
        _ => plain_summary(),
    }
}

/// What one says that does it.
pub(super) fn plain_summary() -> Vec<(Duration, Said)> {
    whole("Der Anrufer fragt nach Terminen und Preisen; offen ist die Reparatur.", Duration::from_millis(900))
}

/// A whole text, word by word, and the end.
fn whole(text: &str, first: Duration) -> Vec<(Duration, Said)> {
    let mut says = written(text, first);
    let last = says.last().map_or(first, |(at, _)| *at);
    says.push((last + Duration::from_millis(20), done(Stop::End)));
    says
}

fn written(text: &str, first: Duration) -> Vec<(Duration, Said)> {
    let words = text.split_inclusive(' ').zip(0_u32..);
    words
        .map(|(word, nth)| (first + Duration::from_millis(20) * nth, Said::Piece(Delta::Text(word.to_owned()))))
        .collect()
}

fn done(why: Stop) -> Said {
    Said::Piece(Delta::Done(Done { why, usage: Usage::default() }))
}

fn called(dice: &mut Dice, first: Duration, calls: &mut u64) -> Vec<(Duration, Said)> {
    let mut says = if dice.percent(40) { written("Ich sehe gleich nach. ", first) } else { Vec::new() };
    let mut at = first + Duration::from_millis(200);
    for _ in 0..=dice.below(2) {
        // Now and then a model calls again what it called already.
        *calls += u64::from(!dice.percent(4));
        let (id, name) = (format!("c{calls}"), dice.one(&TOOLS).to_owned());
        says.push((at, Said::Piece(Delta::Call(Call { id, name, arguments: r#"{"day":"2026-12-01"}"#.to_owned() }))));
        at += Duration::from_millis(60);
    }
    says.push((at, done(Stop::Calls)));
    says
}

/// What comes of a call, and how long after it; nothing of one that never returns.
pub(super) fn tool(dice: &mut Dice, call: &Call) -> Option<(Duration, Input)> {
    let after = match dice.below(100) {
        0..=7 => return None,
        8..=22 => dice.millis(2_000, 9_500),
        _ => dice.millis(60, 900),
    };
    let id = call.id.clone();
    let action = match call.name.as_str() {
        "press_keys" => tools::Action::PressKeys("12w3#".to_owned()),
        "transfer" => tools::Action::Transfer { name: "chef".to_owned(), to: "sip:chef@example.com".to_owned() },
        "hand_over" => tools::Action::HandOver { persona: "werkstatt".to_owned() },
        _ => {
            let outcome = match dice.below(10) {
                0 => Outcome::failed("503 Service Unavailable"),
                1..=3 => Outcome::done("frei: 9 Uhr, 10 Uhr 30, 14 Uhr, 16 Uhr 15; ".repeat(12)),
                _ => Outcome::done(r#"{"frei":["9:00","14:00"]}"#),
            };
            return Some((after, Input::ToolDone { call: id, outcome }));
        }
    };
    Some((after, Input::Granted { call: id, action }))
}

const TOOLS: [&str; 10] = [
    "look_up",
    "look_up",
    "look_up",
    "book",
    "book",
    "take_note",
    "press_keys",
    "transfer",
    "hand_over",
    "a_tool_that_nobody_knows",
];

const QUESTIONS: [&str; 10] = [
    "Wann haben Sie am Samstag geöffnet?",
    "Ich möchte meinen Kalender mit Ihnen abstimmen.",
    "Was kostet ein Ölwechsel bei Ihnen?",
    "Können Sie mir die Adresse sagen?",
    "Mein Name ist Anna Schneider.",
    "Kann ich meinen Hund mitbringen?",
    "What are your prices for new tyres?",
    "Could you please repeat the last part?",
    "Meine Nummer ist null sieben eins eins vier zwei.",
    "Verkaufen Sie auch gebrauchte Fahrräder?",
];

const BEGINNINGS: [&str; 3] =
    ["Ich wollte fragen ob Sie", "Ich habe da noch eine Frage.", "Could you tell me whether the"];

const LISTENING: [&str; 6] = ["mhm", "ja genau", "okay", "alles klar", "yeah right", "äh"];

const OBJECTIONS: [&str; 4] = [
    "Nein das meine ich nicht.",
    "Moment mal bitte, das geht mir zu schnell.",
    "Stopp.",
    "No wait, I mean the other one.",
];

const NOTES: [&str; 2] = ["Ihre Bestellung ist eben eingetroffen.", "Der Kollege ist ab drei Uhr wieder im Haus."];

const ANSWERS: [&str; 5] = [
    "Gern. Wir sind von neun bis achtzehn Uhr für Sie da.",
    "Das kostet 89 Euro, z. B. mit neuem Filter etwas mehr. Möchten Sie einen Termin?",
    "Am 3. Mai um 9 Uhr ist noch etwas frei, passt Ihnen das?",
    "Of course. It is ready on Monday, and you can pay by card.",
    "Einen Augenblick, ich erkläre es Ihnen: Zuerst kommt die Prüfung, dann der Bericht, und am Ende die Rechnung.",
];

const STORY: &str = "Es war einmal ein Müller, der hatte drei Söhne, seine Mühle, einen Esel und einen Kater. Als der Müller \
                     starb, teilten sich die drei Söhne in die Erbschaft. Der älteste bekam die Mühle, der zweite den \
                     Esel, der dritte den Kater; weiter blieb nichts für ihn übrig. Da war er traurig und sprach zu sich. \
                     Der Kater aber hörte es und antwortete ihm, er solle nur ein Paar Stiefel machen lassen. Dann werde \
                     ihm bald geholfen sein, und so geschah es auch.";
