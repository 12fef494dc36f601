//! What was heard of an agent that somebody else speaks for: reckoned by the length of its words, and put right by what
//! they tell.
//!
//! Whoever speaks tells interruptions, and, where they can, what was played. A sentence is taken to begin when those
//! before it have been spoken, and only when all of them must be over are they taken for heard: until then an
//! interruption can still say that they were not. The paces are those of slow voices, since a good-bye that is cut off is
//! worse than one with a silence behind it. Pure: times are told.

use std::time::Duration;

use media::time::MediaTime;

use super::mouth::{Heard, Sentence};

/// What text takes on its way to the voice of somebody else, and back as sound.
const LEAD: Duration = Duration::from_millis(400);

/// Letters of slow voices: German and English have twelve to fifteen a second.
const LETTER: Duration = Duration::from_millis(75);

/// A figure is a word.
const FIGURE: Duration = Duration::from_millis(300);

/// A sign of a script whose signs are syllables.
const SYLLABLE: Duration = Duration::from_millis(220);

/// The pause behind a sentence.
const PAUSE: Duration = Duration::from_millis(300);

/// From here on signs are syllables, more or less: Chinese, Japanese, Korean.
const SYLLABLES_FROM: char = '\u{2E80}';

/// So often it is told that something is still being spoken: a voice that gives no sign for longer is given up.
const ALIVE_EVERY: Duration = Duration::from_secs(5);

/// Words that are compared, of either side. An answer has fewer.
const WORDS_MAX: usize = 1_200;

/// As much of one answer as is told to be played; it has less.
const PLAYED_BYTES_MAX: usize = 64 * 1_024;

/// What a word costs that is not the same, is missing, or is too much; numbers are told in figures or in letters.
const UNLIKE: u32 = 4;

/// What it costs to begin at a later sentence than the first.
const LATER: u32 = 1;

/// What was handed over of the turn that is said.
#[derive(Clone, Debug, Default)]
pub(super) struct Reckoning {
    said: Vec<Said>,
    /// When all of it has been spoken.
    free_at: MediaTime,
    /// When it was last told that something is spoken.
    told_at: MediaTime,
    played: Played,
}

/// What whoever speaks has told to be played of the turn that is said, compared word by word as it comes.
#[derive(Clone, Debug, Default)]
struct Played {
    bytes: usize,
    told: Vec<String>,
    /// What it costs to be behind each of the words that are said, with the first `counted` of those that are told.
    costs: Vec<u32>,
    counted: usize,
}

/// A word that is said: the place of its sentence, its number there from 1 on, and how it is compared.
type Word<'a> = (usize, usize, &'a str);

#[derive(Clone, Debug)]
struct Said {
    sentence: Sentence,
    /// As they are compared; one of white space alone is none.
    words: Vec<String>,
    begins: MediaTime,
    ends: MediaTime,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Begun,
    Over,
}

impl Reckoning {
    /// A sentence was handed over.
    pub(super) fn say(&mut self, sentence: Sentence, text: &str, now: MediaTime) {
        self.said.retain(|said| said.sentence.turn() >= sentence.turn());
        if self.said.is_empty() {
            self.played = Played::default();
        }
        let begins = self.free_at.max(now + LEAD);
        let ends = begins + lasts(text);
        self.free_at = ends;
        let words = text.split_whitespace().map(compared).collect();
        self.said.push(Said { sentence, words, begins, ends, stage: Stage::Waiting });
    }

    /// When time alone tells something.
    pub(super) fn due(&self) -> Option<MediaTime> {
        let begins = self.said.iter().find(|said| said.stage == Stage::Waiting).map(|said| said.begins);
        let is_spoken = self.said.iter().any(|said| said.stage == Stage::Begun);
        let rest = is_spoken.then(|| self.free_at.min(self.told_at + ALIVE_EVERY));
        begins.into_iter().chain(rest).min()
    }

    /// What is told by now.
    pub(super) fn expire(&mut self, now: MediaTime) -> Vec<Heard> {
        let mut heard = Vec::new();
        for said in self.said.iter_mut().filter(|said| said.stage == Stage::Waiting && said.begins <= now) {
            said.stage = Stage::Begun;
            self.told_at = now;
            heard.push(Heard::Began(said.sentence));
        }
        if self.free_at <= now {
            heard.extend(self.all(now));
        } else if self.told_at + ALIVE_EVERY <= now
            && let Some(said) = self.said.iter().rfind(|said| said.stage == Stage::Begun)
        {
            self.told_at = now;
            // No word of it is certain yet.
            heard.push(Heard::Words(said.sentence, 0));
        }
        heard
    }

    /// All that was handed over is taken for heard.
    pub(super) fn all(&mut self, now: MediaTime) -> Vec<Heard> {
        self.free_at = now;
        let mut heard = Vec::new();
        for said in self.said.iter_mut().filter(|said| said.stage != Stage::Over) {
            said.stage = Stage::Over;
            heard.push(Heard::Played(said.sentence));
        }
        heard
    }

    /// Whoever speaks tells that this was played next. What of it nobody can find among the sentences tells nothing: then
    /// the clock goes on telling.
    pub(super) fn played(&mut self, text: &str, now: MediaTime) -> Vec<Heard> {
        let (words, begins) = words_of(&self.said);
        let end = self.played.go_on(text, &words, &begins);
        let until = reached(&self.said, &words, end);
        let mut heard = Vec::new();
        for (sentence, words) in until {
            let Some(said) = self.said.iter_mut().find(|said| said.sentence == sentence) else { continue };
            if said.stage == Stage::Over {
                continue;
            }
            self.told_at = now;
            if said.stage == Stage::Waiting {
                heard.push(Heard::Began(sentence));
            }
            if words >= said.words.len() {
                said.stage = Stage::Over;
                heard.push(Heard::Played(sentence));
            } else {
                said.stage = Stage::Begun;
                heard.push(Heard::Words(sentence, words));
            }
        }
        if self.said.iter().all(|said| said.stage == Stage::Over) {
            self.free_at = self.free_at.min(now);
        }
        heard
    }

    /// How many words of each sentence were heard by now, by the clock alone.
    pub(super) fn by(&self, now: MediaTime) -> Vec<(Sentence, usize)> {
        let begun = self.said.iter().filter(|said| said.stage != Stage::Over && said.begins <= now);
        begun.map(|said| (said.sentence, said.words_by(now))).collect()
    }

    /// How many words of each sentence were heard where somebody interrupted after `utterance`. The voice may have made
    /// other words of it: the place is looked for that fits best. Nothing was heard where none fits.
    pub(super) fn until(&self, utterance: &str) -> Vec<(Sentence, usize)> {
        let told: Vec<String> =
            utterance.split_whitespace().map(compared).filter(|word| !word.is_empty()).take(WORDS_MAX).collect();
        let (words, begins) = words_of(&self.said);
        let mut costs = beginning(&words, &begins);
        follow(&mut costs, &told, &words);
        reached(&self.said, &words, place(&costs, told.len()))
    }

    /// This turn and those before it are not spoken any further.
    pub(super) fn hush(&mut self, turn: u64, now: MediaTime) {
        self.said.retain(|said| said.sentence.turn() > turn);
        self.free_at = self.said.last().map_or(now, |said| said.ends);
    }
}

impl Played {
    /// Takes what is told next, and says behind which of `words` all that was told ends; nothing where no word is new.
    /// What was compared is not compared again while nothing more is said: a message costs what its own words do.
    fn go_on(&mut self, text: &str, words: &[Word<'_>], begins: &[bool]) -> Option<usize> {
        let room = WORDS_MAX.saturating_sub(self.told.len());
        if self.bytes + text.len() > PLAYED_BYTES_MAX || room == 0 {
            return None;
        }
        self.bytes += text.len();
        let known = self.told.len();
        self.told.extend(text.split_whitespace().map(compared).filter(|word| !word.is_empty()).take(room));
        if self.told.len() == known {
            return None;
        }
        if self.costs.len() != words.len() + 1 {
            (self.costs, self.counted) = (beginning(words, begins), 0);
        }
        follow(&mut self.costs, &self.told[self.counted..], words);
        self.counted = self.told.len();
        place(&self.costs, self.told.len())
    }
}

impl Said {
    fn words_by(&self, now: MediaTime) -> usize {
        let (passed, all) = (now.since(self.begins), self.ends.since(self.begins));
        if passed >= all {
            return self.words.len();
        }
        (self.words.len() as f64 * passed.as_secs_f64() / all.as_secs_f64()) as usize
    }
}

/// How long a slow voice takes for it.
fn lasts(text: &str) -> Duration {
    let letters: Duration = text
        .chars()
        .map(|c| match c {
            c if c.is_ascii_digit() => FIGURE,
            c if c >= SYLLABLES_FROM => SYLLABLE,
            _ => LETTER,
        })
        .sum();
    letters + PAUSE
}

/// A word without its signs and capitals.
fn compared(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The words that are said, and which of them begin a sentence.
fn words_of(said: &[Said]) -> (Vec<Word<'_>>, Vec<bool>) {
    let mut words = Vec::new();
    let mut begins = Vec::new();
    for (at, said) in said.iter().enumerate() {
        let own = said.words.iter().enumerate().filter(|(_, word)| !word.is_empty());
        for (nth, (number, word)) in own.enumerate().take(WORDS_MAX.saturating_sub(words.len())) {
            begins.push(nth == 0);
            words.push((at, number + 1, word.as_str()));
        }
    }
    (words, begins)
}

/// How many words of each sentence were heard where it ended behind the word `end`.
fn reached(said: &[Said], words: &[Word<'_>], end: Option<usize>) -> Vec<(Sentence, usize)> {
    let last = end.and_then(|end| end.checked_sub(1)).and_then(|end| words.get(end));
    let Some((last, number, _)) = last.copied() else { return Vec::new() };
    let whole = said.iter().take(last).map(|said| (said.sentence, said.words.len()));
    let partly = said.get(last).map(|said| (said.sentence, number));
    whole.chain(partly).collect()
}

/// What it costs to be behind each of `words` where nothing is told yet: what is told begins with the first of them, or
/// with a sentence, as `begins` has them.
fn beginning(words: &[Word<'_>], begins: &[bool]) -> Vec<u32> {
    let far = u32::MAX / 2;
    let cost = |at: usize| match at {
        0 => 0,
        at if begins.get(at).copied().unwrap_or(false) => LATER,
        _ => far,
    };
    (0..=words.len()).map(cost).collect()
}

/// What it costs when these are told, too; `costs` has one more than there are words.
fn follow(costs: &mut [u32], told: &[String], words: &[Word<'_>]) {
    for word in told {
        let mut before = costs[0];
        costs[0] = before + UNLIKE;
        for (at, (_, _, own)) in words.iter().enumerate() {
            let same = before + if own == word { 0 } else { UNLIKE };
            before = costs[at + 1];
            costs[at + 1] = same.min(before + UNLIKE).min(costs[at] + UNLIKE);
        }
    }
}

/// Behind which word so many that were told end. Nothing where none were, or more than half of them are others.
fn place(costs: &[u32], told: usize) -> Option<usize> {
    let (end, cost) = costs.iter().enumerate().min_by_key(|(_, cost)| **cost)?;
    let told = u32::try_from(told).unwrap_or(u32::MAX);
    (told > 0 && cost.saturating_mul(2) <= told.saturating_mul(UNLIKE)).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Sentence = Sentence::new(1, 1);
    const SECOND: Sentence = Sentence::new(1, 2);

    fn ms(ms: u64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    fn two() -> Reckoning {
        let mut reckoning = Reckoning::default();
        reckoning.say(FIRST, "We open at 9 on Mondays.", ms(1_000));
        reckoning.say(SECOND, "Shall I book a table – for two?", ms(1_000));
        reckoning
    }

    #[test]
    fn sentences_begin_one_after_the_other_and_are_heard_when_all_must_be() {
        let mut reckoning = two();
        assert_eq!(reckoning.due(), Some(ms(1_400)));
        assert_eq!(reckoning.expire(ms(1_400)), [Heard::Began(FIRST)]);
        let second = reckoning.due().unwrap();
        assert_eq!(second, ms(1_400) + lasts("We open at 9 on Mondays."));
        assert_eq!(reckoning.expire(second), [Heard::Began(SECOND)]);
        let end = reckoning.due().unwrap();
        assert!(end > second + Duration::from_secs(2) && end < second + Duration::from_secs(4), "{end:?}");
        assert_eq!(reckoning.expire(end), [Heard::Played(FIRST), Heard::Played(SECOND)]);
        assert_eq!((reckoning.due(), reckoning.expire(end)), (None, Vec::new()));
    }

    #[test]
    fn what_is_long_is_told_to_be_spoken_still_and_no_word_of_it_is_certain() {
        let mut reckoning = Reckoning::default();
        reckoning.say(FIRST, &"word ".repeat(40), ms(0));
        assert_eq!(reckoning.expire(ms(400)), [Heard::Began(FIRST)]);
        assert_eq!(reckoning.due(), Some(ms(5_400)));
        assert_eq!(reckoning.expire(ms(5_400)), [Heard::Words(FIRST, 0)]);
        let words = reckoning.by(ms(5_400))[0].1;
        assert!((10..=16).contains(&words), "{words}");
    }

    #[test]
    fn an_interruption_says_how_far_it_came_whatever_the_voice_made_of_it() {
        let reckoning = two();
        for (utterance, heard) in [
            ("", vec![]),
            ("   ", vec![]),
            ("We open", vec![(FIRST, 2)]),
            ("we open at nine on mondays", vec![(FIRST, 6)]),
            ("We open at 9 on Mondays. Shall I", vec![(FIRST, 6), (SECOND, 2)]),
            ("We open at nine o'clock on Mondays. Shall I book a table", vec![(FIRST, 6), (SECOND, 5)]),
            ("Shall I book a table for", vec![(FIRST, 6), (SECOND, 7)]),
            ("We open at 9 on Mondays. Shall I book a table for two?", vec![(FIRST, 6), (SECOND, 8)]),
            // Cut within a word, which does not count.
            ("We open at 9 on Mon", vec![(FIRST, 5)]),
            ("Welcome to the hotel by the lake", vec![]),
        ] {
            assert_eq!(reckoning.until(utterance), heard, "{utterance:?}");
        }
    }

    #[test]
    fn what_is_told_to_be_played_is_heard_without_the_clock_and_once() {
        let mut reckoning = two();
        assert_eq!(reckoning.played("We open at", ms(1_600)), [Heard::Began(FIRST), Heard::Words(FIRST, 3)]);
        assert_eq!(reckoning.played("nine on Mondays.", ms(2_500)), [Heard::Played(FIRST)]);
        assert!(reckoning.by(ms(2_500)).is_empty(), "the first is over, and the second has not begun");
        assert_eq!(reckoning.played("Shall I book", ms(3_000)), [Heard::Began(SECOND), Heard::Words(SECOND, 3)]);
        assert_eq!(reckoning.played("a table for two?", ms(3_500)), [Heard::Played(SECOND)]);
        assert_eq!((reckoning.due(), reckoning.all(ms(4_000))), (None, Vec::new()));
        // Another turn begins with nothing played.
        let third = Sentence::new(2, 3);
        reckoning.say(third, "Gladly.", ms(4_000));
        assert_eq!(reckoning.played("Gladly.", ms(4_800)), [Heard::Began(third), Heard::Played(third)]);
    }

    #[test]
    fn word_by_word_it_is_heard_as_at_once_also_where_more_is_said_meanwhile() {
        let mut reckoning = Reckoning::default();
        reckoning.say(FIRST, "We open at 9 on Mondays.", ms(1_000));
        let told = ["We", "open", "at", "nine", "on", "Mondays.", "", "–", "Shall", "I", "book"];
        let mut heard = Vec::new();
        for (number, word) in told.into_iter().enumerate() {
            if number == 4 {
                reckoning.say(SECOND, "Shall I book a table – for two?", ms(1_000));
            }
            heard = reckoning.played(word, ms(1_600));
            assert_eq!(heard.is_empty(), matches!(word, "" | "–"), "{word}: {heard:?}");
        }
        assert_eq!(heard, [Heard::Words(SECOND, 3)]);
        assert_eq!(reckoning.until(&told.join(" ")), [(FIRST, 6), (SECOND, 3)]);
    }

    #[test]
    fn what_nobody_said_is_told_to_be_played_in_vain() {
        let mut reckoning = two();
        assert!(reckoning.played("Welcome to the hotel by the lake", ms(1_600)).is_empty());
        assert!(reckoning.played(&"x".repeat(PLAYED_BYTES_MAX), ms(1_600)).is_empty());
        assert_eq!(reckoning.due(), Some(ms(1_400)), "the clock goes on");
    }

    #[test]
    fn what_was_heard_or_hushed_is_told_once_and_the_next_turn_does_not_wait_for_it() {
        let mut reckoning = two();
        reckoning.expire(ms(1_400));
        assert_eq!(reckoning.all(ms(2_000)), [Heard::Played(FIRST), Heard::Played(SECOND)]);
        assert_eq!((reckoning.all(ms(2_000)), reckoning.due()), (Vec::new(), None));
        let third = Sentence::new(2, 3);
        reckoning.say(third, "Yes.", ms(2_000));
        assert_eq!(reckoning.due(), Some(ms(2_400)));
        reckoning.hush(2, ms(2_100));
        assert_eq!((reckoning.due(), reckoning.expire(ms(60_000))), (None, Vec::new()));
        assert_eq!(reckoning.until("Yes."), Vec::new());
    }

    #[test]
    fn whatever_is_told_of_whatever_was_said_ends_somewhere() {
        let mut reckoning = Reckoning::default();
        for number in 0..100 {
            reckoning.say(Sentence::new(1, number), &"ä ö – ü 42 ".repeat(30), ms(0));
        }
        for (sentence, words) in reckoning.until(&"ä ö ü ".repeat(5_000)) {
            assert!(sentence.number() < 100 && words <= 150);
        }
    }
}
