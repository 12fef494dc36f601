//! Words on their way to a Deepgram client: numbers, replacements, profanity and redaction, in that order.
//!
//! Pure. A recognized word comes in as written ("Kennedy,"); it leaves twice, bare ("kennedy") and written, as
//! the dialect carries both. Effects that join words keep the stretch of audio of all they joined.

use asr::event::Word;

use super::{numerals, profanity, redact::Redact};

/// A word as the dialect carries it. Times in seconds on the stream's timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Spoken {
    /// Lower case, without punctuation around it.
    pub bare: String,
    /// With capitals and punctuation.
    pub written: String,
    /// When it begins, in seconds.
    pub start_s: f64,
    /// When it ends, in seconds.
    pub end_s: f64,
    /// 0..=1.
    pub confidence: f32,
    /// Whose voice says it, where voices are told apart and it is like somebody's.
    pub speaker: Option<Speaker>,
}

/// Somebody who is known by their voice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speaker {
    /// Counts up from zero.
    pub number: usize,
    /// How sure it is that it is them, 0..=1, where that is said.
    pub confidence: Option<f32>,
}

/// What is done to the words of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// Transcripts keep punctuation and capitals.
    pub punctuate: bool,
    /// English number words become digits.
    pub numerals: bool,
    /// "20 dollars" becomes "$20", "5 percent" "5%".
    pub amounts: bool,
    /// Words exchanged for others.
    pub replacements: Vec<Replacement>,
    /// Swear words keep their first letter.
    pub profanity_filter: bool,
    /// Numbers that are hidden.
    pub redact: Redact,
}

/// One `find:with` pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    find: Vec<String>,
    with: Vec<String>,
}

impl Replacement {
    /// Finds the words of `find`, whatever their case and punctuation; `None` when there are none.
    pub fn new(find: &str, with: &str) -> Option<Self> {
        let find: Vec<String> = find.split_whitespace().map(bare).filter(|word| !word.is_empty()).collect();
        (!find.is_empty()).then(|| Self { find, with: with.split_whitespace().map(str::to_owned).collect() })
    }
}

/// How much of an utterance the words are: decides whether a number at the edge may still go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A partial, or a final cut in mid-speech: the last number may be half of one.
    Open,
    /// A whole utterance.
    Whole,
}

impl Effects {
    /// The words as the client is to see them.
    pub fn apply(&self, words: &[Word], extent: Extent) -> Vec<Spoken> {
        self.apply_said(words, &[], extent)
    }

    /// The same, where each word is said by the one in its place among `speakers`, or by nobody known where there is none.
    /// Whoever says the first of several words that become one says it: what is hidden is found first, whoever says it.
    pub fn apply_said(&self, words: &[Word], speakers: &[Option<Speaker>], extent: Extent) -> Vec<Spoken> {
        let speakers = speakers.iter().copied().chain(std::iter::repeat(None));
        let mut words: Vec<Spoken> = words.iter().zip(speakers).map(|(word, who)| Spoken::new(word, who)).collect();
        if self.numerals {
            words = numerals::rewrite(words, self.amounts);
        }
        for replacement in &self.replacements {
            words = replace(words, replacement);
        }
        if self.profanity_filter {
            for word in &mut words {
                profanity::mask(word);
            }
        }
        if !self.redact.is_off() {
            words = self.redact.apply(words, extent);
        }
        words.retain(|word| self.punctuate || !word.bare.is_empty());
        words
    }

    /// The words as one line.
    pub fn transcript(&self, words: &[Spoken]) -> String {
        let shown = |word: &Spoken| if self.punctuate { word.written.clone() } else { word.bare.clone() };
        words.iter().map(shown).collect::<Vec<_>>().join(" ")
    }
}

impl Spoken {
    fn new(word: &Word, speaker: Option<Speaker>) -> Self {
        Self {
            bare: bare(&word.text),
            written: word.text.clone(),
            start_s: word.span.start.as_secs_f64(),
            end_s: word.span.end.as_secs_f64(),
            confidence: word.confidence,
            speaker,
        }
    }

    /// One word in the place of several: their audio, their mean confidence, the last one's punctuation.
    pub fn joined(words: &[Self], bare: impl Into<String>, written: &str) -> Self {
        let (first, last) = (&words[0], &words[words.len() - 1]);
        Self {
            bare: bare.into(),
            written: format!("{written}{}", last.tail()),
            start_s: first.start_s,
            end_s: last.end_s,
            confidence: mean_confidence(words),
            speaker: first.speaker,
        }
    }

    /// The punctuation after the word.
    pub fn tail(&self) -> &str {
        let core = self.written.trim_end_matches(|c: char| !c.is_alphanumeric() && !CORE.contains(&c));
        &self.written[core.len()..]
    }

    /// Whether a pause is written after the word.
    pub fn ends_clause(&self) -> bool {
        self.tail().contains([',', '.', '!', '?', ';', ':'])
    }

    /// Whether a sentence ends with the word.
    pub fn ends_sentence(&self) -> bool {
        self.tail().contains(['.', '!', '?'])
    }
}

/// The mean over the words, 0 when there are none.
pub fn mean_confidence(words: &[Spoken]) -> f32 {
    if words.is_empty() {
        return 0.0;
    }
    words.iter().map(|word| word.confidence).sum::<f32>() / words.len() as f32
}

/// Signs that belong to a number and stay with it.
const CORE: [char; 4] = ['%', '$', '€', '£'];

/// A word in lower case without the punctuation around it; signs of amounts stay.
pub fn bare(text: &str) -> String {
    text.trim_matches(|c: char| !c.is_alphanumeric() && !CORE.contains(&c)).to_lowercase()
}

fn replace(words: Vec<Spoken>, replacement: &Replacement) -> Vec<Spoken> {
    let count = replacement.find.len();
    let mut replaced = Vec::with_capacity(words.len());
    let mut rest = words.as_slice();
    while let Some(first) = rest.first() {
        let found = rest.len() >= count && rest.iter().zip(&replacement.find).all(|(word, find)| word.bare == *find);
        if !found {
            replaced.push(first.clone());
            rest = &rest[1..];
            continue;
        }
        let (matched, after) = rest.split_at(count);
        let whole = Spoken::joined(matched, "", "");
        let step_s = (whole.end_s - whole.start_s) / replacement.with.len().max(1) as f64;
        for (index, with) in replacement.with.iter().enumerate() {
            let last = index + 1 == replacement.with.len();
            replaced.push(Spoken {
                bare: bare(with),
                written: if last { format!("{with}{}", whole.written) } else { with.clone() },
                start_s: whole.start_s + step_s * index as f64,
                end_s: whole.start_s + step_s * (index + 1) as f64,
                confidence: whole.confidence,
                speaker: whole.speaker,
            });
        }
        rest = after;
    }
    replaced
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use media::time::{MediaTime, Span};

    /// Words of 100 ms each, 20 ms apart.
    pub(in super::super) fn heard(text: &str) -> Vec<Word> {
        text.split_whitespace()
            .enumerate()
            .map(|(index, text)| {
                let start = MediaTime::from_millis(index as u64 * 120);
                let end = MediaTime::from_millis(index as u64 * 120 + 100);
                Word { text: text.into(), span: Span { start, end }, confidence: 0.5 }
            })
            .collect()
    }

    fn shown(effects: &Effects, text: &str) -> String {
        effects.transcript(&effects.apply(&heard(text), Extent::Whole))
    }

    #[test]
    fn without_punctuation_words_are_bare_and_lone_marks_vanish() {
        let text = "And so, my fellow Americans - don't ask!";
        assert_eq!(shown(&Effects::default(), text), "and so my fellow americans don't ask");
        assert_eq!(shown(&Effects { punctuate: true, ..Effects::default() }, text), text);
    }

    #[test]
    fn umlauts_and_sharp_s_survive() {
        assert_eq!(shown(&Effects::default(), "Grüße, Ärzte!"), "grüße ärzte");
    }

    #[test]
    fn replacements_find_phrases_of_any_case_and_keep_the_audio_and_the_comma() {
        let effects = Effects {
            punctuate: true,
            replacements: vec![Replacement::new("New York", "Big old Apple").unwrap()],
            ..Effects::default()
        };
        let words = effects.apply(&heard("in new york, today"), Extent::Whole);
        assert_eq!(effects.transcript(&words), "in Big old Apple, today");
        assert_eq!((words[1].start_s, words[3].end_s), (0.12, 0.34));
        assert!(Replacement::new(" ", "x").is_none());
    }

    #[test]
    fn what_is_hidden_is_hidden_whoever_is_taken_to_say_it() {
        let number = "four one one one one one one one one one one one one one one one";
        let speaker = |number| Some(Speaker { number, confidence: None });
        let effects =
            Effects { numerals: true, redact: Redact { numbers: true, ..Redact::default() }, ..Effects::default() };
        let words = heard(number);
        let speakers: Vec<_> = (0..words.len()).map(|at| speaker(at / 8)).collect();
        let hidden = effects.apply_said(&words, &speakers, Extent::Whole);
        assert_eq!(effects.transcript(&hidden), shown(&effects, number), "a voice that changes gives nothing away");
        assert_eq!(hidden[0].speaker, speaker(0));
    }

    #[test]
    fn words_beyond_the_speakers_are_nobodys() {
        let who = Some(Speaker { number: 1, confidence: Some(0.5) });
        let words = Effects::default().apply_said(&heard("yes no"), &[who], Extent::Whole);
        assert_eq!(words.iter().map(|word| word.speaker).collect::<Vec<_>>(), [who, None]);
    }

    #[test]
    fn a_replacement_with_nothing_removes() {
        let effects = Effects { replacements: vec![Replacement::new("um", "").unwrap()], ..Effects::default() };
        assert_eq!(shown(&effects, "Um, well um yes"), "well yes");
    }

    #[test]
    fn swear_words_keep_their_first_letter_only_when_asked() {
        let effects = Effects { punctuate: true, profanity_filter: true, ..Effects::default() };
        assert_eq!(shown(&effects, "Well, shit! Scheiße."), "Well, s***! S******.");
        assert_eq!(shown(&Effects::default(), "shit"), "shit");
    }
}
