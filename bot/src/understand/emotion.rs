//! How somebody sounds, from their words: calm, happy, annoyed, angry, sad or worried, in German and English.
//!
//! Pure. Words count more behind "very" and less behind "a bit", and the contrary behind "not": who is not happy is annoyed.
//! A feeling fades from turn to turn unless it is shown again. It is a hint for the tone of an answer, never a reason to do or
//! refuse anything.

use super::words::{self, Word};

/// How somebody sounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emotion {
    /// As most people do.
    Calm,
    /// Glad.
    Happy,
    /// Impatient or dissatisfied.
    Annoyed,
    /// Furious.
    Angry,
    /// Downcast.
    Sad,
    /// Afraid of something.
    Worried,
}

/// How somebody has sounded so far. Fed turn by turn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mood {
    /// In the order of [`FEELINGS`].
    scores: [f32; FEELINGS.len()],
}

impl Emotion {
    /// A word for prompts and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Happy => "happy",
            Self::Annoyed => "annoyed",
            Self::Angry => "angry",
            Self::Sad => "sad",
            Self::Worried => "worried",
        }
    }

    /// What a model is told to do about it; nothing where there is nothing to do.
    pub const fn advice(self) -> Option<&'static str> {
        match self {
            Self::Calm => None,
            Self::Happy => Some("The caller sounds happy: be warm."),
            Self::Annoyed => Some("The caller sounds annoyed: be brief, apologise once, and say what happens next."),
            Self::Angry => {
                Some("The caller sounds angry: stay calm, apologise once, do not argue, and offer a person if you can.")
            }
            Self::Sad => Some("The caller sounds sad: be gentle, and take your time."),
            Self::Worried => Some("The caller sounds worried: be clear and reassuring, and say what happens next."),
        }
    }
}

impl Mood {
    /// Takes a turn.
    pub fn hear(&mut self, text: &str) {
        let words = words::of(text);
        let shout = if text.trim_end().ends_with("!!") { SHOUTED } else { 1.0 };
        for score in &mut self.scores {
            *score *= FADES;
        }
        let mut at = 0;
        while at < words.len() {
            let Some((taken, emotion, weight)) = named(&words[at..]) else {
                at += 1;
                continue;
            };
            // What was said before a comma is about something else: "no, that's great".
            let clause = words[..at].iter().rposition(|word| word.stop).map_or(0, |stop| stop + 1);
            let before = &words[at.saturating_sub(REACH).max(clause)..at];
            let is_denied = before.iter().any(|word| word.among(DENIALS));
            let strength = if before.iter().any(|word| word.among(MORE)) {
                STRONGER
            } else if before.iter().any(|word| word.among(LESS)) {
                WEAKER
            } else {
                1.0
            };
            let meant = match (is_denied, emotion) {
                (false, emotion) => Some(emotion),
                (true, Emotion::Happy) => Some(Emotion::Annoyed),
                // Who is not angry may be anything.
                (true, _) => None,
            };
            if let Some(place) = FEELINGS.iter().position(|feeling| Some(*feeling) == meant) {
                self.scores[place] += weight * strength * shout;
            }
            at += taken;
        }
    }

    /// How somebody sounds now, and how surely, 0 to 1.
    pub fn now(&self) -> (Emotion, f32) {
        let strongest = FEELINGS.iter().zip(self.scores).max_by(|one, other| one.1.total_cmp(&other.1));
        match strongest {
            Some((emotion, score)) if score >= FELT => (*emotion, score.min(1.0)),
            _ => (Emotion::Calm, 1.0),
        }
    }
}

/// The feeling that the first of `words` name: how many words that takes, and how much they say.
fn named(words: &[Word<'_>]) -> Option<(usize, Emotion, f32)> {
    // Most phrases do not even begin as the word does.
    let first = words.first()?.norm.as_bytes().first();
    WORDS.iter().find_map(|(phrases, emotion, weight)| {
        let likely = phrases.iter().filter(|phrase| phrase.as_bytes().first() == first);
        let taken = likely.copied().find_map(|phrase| begins(words, phrase))?;
        Some((taken, *emotion, *weight))
    })
}

/// How many words of `words` the phrase takes; a `*` at its end stands for any ending.
fn begins(words: &[Word<'_>], phrase: &str) -> Option<usize> {
    let mut taken = 0;
    for part in phrase.split(' ') {
        let word = words.get(taken)?;
        let fits = part.strip_suffix('*').map_or(word.norm == part, |stem| word.norm.starts_with(stem));
        if !fits {
            return None;
        }
        taken += 1;
    }
    Some(taken)
}

/// All but calm.
const FEELINGS: [Emotion; 5] = [Emotion::Happy, Emotion::Annoyed, Emotion::Angry, Emotion::Sad, Emotion::Worried];

/// What is left of a feeling at the next turn.
const FADES: f32 = 0.5;

/// From here on a feeling is one.
const FELT: f32 = 0.5;

const STRONGER: f32 = 1.5;
const WEAKER: f32 = 0.6;
const SHOUTED: f32 = 1.3;

/// Words before a feeling that change it.
const REACH: usize = 3;

const DENIALS: &[&str] = &[
    "nicht", "kein", "keine", "keinen", "nie", "not", "no", "never", "don't", "isn't", "wasn't", "hardly", "kaum",
    "can't", "cannot", "doesn't", "didn't", "aren't", "nothing", "nichts",
];

#[rustfmt::skip]
const MORE: &[&str] = &[
    "sehr", "total", "wirklich", "so", "extrem", "echt", "richtig", "völlig", "furchtbar", "very", "really", "so", "extremely",
    "absolutely", "totally", "completely",
];

const LESS: &[&str] = &["etwas", "bisschen", "leicht", "bit", "slightly", "somewhat", "little"];

#[rustfmt::skip]
const WORDS: &[(&[&str], Emotion, f32)] = &[
    // Politeness and comfort are no feelings.
    (&[
        "i'm afraid i", "i'm afraid not", "i'm afraid we", "i'm afraid that", "i am afraid i", "don't worry", "keine sorge",
    ], Emotion::Calm, 0.0),
    (&[
        "unverschämt*", "frechheit", "sauerei", "wütend", "stinksauer", "verarsch*", "scheiß*", "verdammt", "reicht es mir",
        "mir reicht's", "mir reicht es", "furious", "outrageous", "outrage", "ridiculous", "bullshit", "damn",
        "bloody hell", "fuck*", "fed up", "idiot*", "angry", "lächerlich", "frech", "hasse", "hate",
    ], Emotion::Angry, 1.0),
    (&[
        "ärgerlich", "genervt", "nervt", "sauer", "unmöglich", "schon wieder", "zum dritten mal", "zum zweiten mal", "seit stunden",
        "enttäusch*", "unzufrieden", "beschwer*", "endlich mal", "warte seit", "warten seit", "annoy*", "frustrat*",
        "disappoint*", "unacceptable", "third time", "again and again", "complain*", "useless", "upset", "unhappy",
        "fix this", "terrible service", "nerven", "nervig*", "katastroph*", "zeitverschwendung", "waste of time", "horrible", "not again",
        // Said so, these are no praise.
        "na toll", "na super", "na prima", "na großartig", "na klasse", "ganz toll", "oh great", "just great", "oh wonderful",
        "thanks for nothing",
    ], Emotion::Annoyed, 0.7),
    (&[
        "traurig", "gestorben", "verstorben", "beerdigung", "todesfall", "verzweifelt", "sad", "passed away", "died", "funeral",
        "heartbroken", "grief", "depressed", "einsam", "lonely", "crying",
    ], Emotion::Sad, 0.8),
    (&[
        "angst", "sorge", "sorgen", "besorgt", "notfall", "dringend", "unsicher", "worried", "worry", "afraid", "scared",
        "anxious", "emergency", "urgent", "urgently", "panic*", "beunruhigt", "nervös", "nervous", "concerned",
    ], Emotion::Worried, 0.7),
    (&[
        "super", "toll", "wunderbar", "prima", "perfekt", "freue", "freut", "zufrieden", "großartig", "klasse", "vielen dank",
        "herzlichen dank", "glücklich", "great", "wonderful", "perfect", "awesome", "excellent", "happy", "glad", "love it",
        "fantastic", "thank you so much", "satisfied", "amazing", "lovely",
    ], Emotion::Happy, 0.6),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn sounds(turns: &[&str]) -> Emotion {
        let mut mood = Mood::default();
        turns.iter().for_each(|turn| mood.hear(turn));
        mood.now().0
    }

    #[test]
    fn feelings_are_heard_in_both_languages() {
        use Emotion::{Angry, Annoyed, Calm, Happy, Sad, Worried};
        for (text, emotion) in [
            ("Das ist eine Frechheit!", Angry),
            ("I am absolutely furious", Angry),
            ("Ich rufe schon wieder an, das ist wirklich ärgerlich", Annoyed),
            ("This is the third time I call", Annoyed),
            ("Ich bin nicht zufrieden", Annoyed),
            ("I'm not happy with this at all", Annoyed),
            ("Meine Mutter ist gestorben", Sad),
            ("my dog died yesterday", Sad),
            ("Ich mache mir große Sorgen", Worried),
            ("I'm really worried", Worried),
            ("Super, vielen Dank!", Happy),
            ("That's great", Happy),
            ("No, that's great", Happy),
            ("Na toll, jetzt muss ich warten", Annoyed),
            ("Oh great, not again", Annoyed),
            ("Ich bin ein bisschen nervös, ich habe Angst", Worried),
            // Traps.
            ("Ich hätte gern einen Termin am Dienstag", Calm),
            ("I am not angry", Calm),
            ("Ich bin nicht sauer", Calm),
            ("a bit upset", Calm),
            ("Kein Problem", Calm),
            ("I'm afraid I can't come on Friday", Calm),
            ("Keine Sorge", Calm),
            ("I can't complain", Calm),
            ("", Calm),
        ] {
            assert_eq!(sounds(&[text]), emotion, "{text}");
        }
    }

    #[test]
    fn a_feeling_fades_unless_it_is_shown_again() {
        let annoyed = "Das ist ärgerlich.";
        assert_eq!(sounds(&[annoyed]), Emotion::Annoyed);
        assert_eq!(sounds(&[annoyed, "Weber."]), Emotion::Calm);
        assert_eq!(sounds(&[annoyed, annoyed, "Weber."]), Emotion::Annoyed);
        assert_eq!(sounds(&["Das ist ärgerlich", "Super, danke"]), Emotion::Happy);
        let mut mood = Mood::default();
        (0..100).for_each(|_| mood.hear("Frechheit! Frechheit!!"));
        assert_eq!(mood.now(), (Emotion::Angry, 1.0));
        assert!(Emotion::Annoyed.advice().is_some() && Emotion::Calm.advice().is_none());
    }
}
