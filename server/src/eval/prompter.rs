//! A recognizer that knows what is said: it finds the place of a window of sound in the lines of a script, and answers with
//! the words that are written there.
//!
//! For evals `as written`: what sounds, when somebody speaks and when they are done stays real, and no word is misheard.
//! The place is found by likeness of the sound, so that pauses, cuts and slow machines make no difference; what is like no
//! line is no word. Runs on `asr-N` threads; the finding is pure.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use asr::recognizer::{Decoder, Error, Hints, Hypothesis, Info, Recognizer, TimedWord};
use media::frame::EAR_HZ;

/// Lines that are known at once: the newest, and those whose last words may still be looked for.
const LINES_MAX: usize = 4;

/// Where likeness is looked for first: loudness in steps of 10 ms.
const COARSE_HZ: u32 = 100;

/// Where it is found: the voice's pitch and first formant are in it, and half a sample is a small part of their waves.
const FINE_HZ: u32 = 2_000;

/// Fine samples around a coarse place that are tried: a step of it to either side.
const AROUND: i64 = 20;

/// The best coarse places that are tried.
const PLACES_MAX: usize = 8;

/// Less of a window than this in common with a line is no likeness: 100 ms, in coarse steps.
const COMMON: usize = 10;

/// A window is like a line from here on, of 1: the same sound is far above, another far below.
const ALIKE: f32 = 0.4;

/// How far into a word its place is looked at, at most, in seconds: no border of a window makes it double then.
const INTO_S: f32 = 0.1;

/// A line of the caller: how it sounds and what it says.
#[derive(Clone, Debug)]
pub(super) struct Prompt {
    coarse: Vec<f32>,
    fine: Vec<f32>,
    /// Each with the second in which it begins, in order.
    words: Vec<(String, f32)>,
    /// ISO 639-1.
    language: String,
}

impl Prompt {
    /// A line that sounds so, at `rate_hz`, with the second in which each word begins.
    pub(super) fn new(samples: &[f32], rate_hz: u32, words: Vec<(String, f32)>, language: String) -> Self {
        Self { coarse: loudness(samples, rate_hz), fine: means(samples, rate_hz, FINE_HZ), words, language }
    }
}

/// Knows the lines of a script as they are said. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Prompter {
    info: Info,
    lines: Lines,
}

type Lines = Arc<Mutex<VecDeque<Arc<Prompt>>>>;

impl Prompter {
    /// One that knows nothing yet.
    pub(super) fn new() -> Self {
        let info = Info {
            engine: "script",
            model: "as-written".to_owned(),
            languages: vec!["de".to_owned(), "en".to_owned()],
            window_max_s: 30,
        };
        Self { info, lines: Lines::default() }
    }

    /// Expects this line from now on; the oldest is forgotten where too many are known.
    pub(super) fn expect(&self, line: Prompt) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_front(Arc::new(line));
        lines.truncate(LINES_MAX);
    }
}

impl Recognizer for Prompter {
    fn info(&self) -> &Info {
        &self.info
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>, Error> {
        Ok(Box::new(Reader(self.lines.clone())))
    }
}

struct Reader(Lines);

impl Decoder for Reader {
    fn decode(&mut self, audio: &[f32], _hints: &Hints, _abort: &AtomicBool) -> Result<Hypothesis, Error> {
        let lines: Vec<Arc<Prompt>> = self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        Ok(read(audio, &lines))
    }
}

/// The words of the line that `audio`, at 16 kHz, is a part of.
fn read(audio: &[f32], lines: &[Arc<Prompt>]) -> Hypothesis {
    let (coarse, fine) = (loudness(audio, EAR_HZ), means(audio, EAR_HZ, FINE_HZ));
    let found = lines.iter().filter_map(|line| Some((place(&coarse, &fine, line)?, line)));
    match found.max_by(|((one, _), _), ((other, _), _)| one.total_cmp(other)) {
        Some(((likeness, at_s), line)) if likeness >= ALIKE => {
            let long_s = audio.len() as f32 / EAR_HZ as f32;
            Hypothesis {
                words: words_within(&line.words, at_s, long_s),
                language: Some(line.language.clone()),
                language_probability: None,
                // As sure as a recognizer ever is.
                mean_logprob: -0.1,
                no_speech: None,
            }
        }
        Some(_) | None => Hypothesis::default(),
    }
}

/// Where in the line a window lies, in seconds, and how like the line it is there.
fn place(coarse: &[f32], fine: &[f32], line: &Prompt) -> Option<(f32, f32)> {
    let (from, until) = (COMMON as i64 - coarse.len() as i64, line.coarse.len() as i64 - COMMON as i64);
    let scores: Vec<f32> = (from..=until).map(|at| likeness(coarse, &line.coarse, at)).collect();
    let is_peak = |at: &usize| {
        let before = at.checked_sub(1).map_or(f32::MIN, |before| scores[before]);
        let after = scores.get(at + 1).copied().unwrap_or(f32::MIN);
        scores[*at] >= before && scores[*at] >= after
    };
    let mut peaks: Vec<usize> = (0..scores.len()).filter(is_peak).collect();
    peaks.sort_by(|one, other| scores[*other].total_cmp(&scores[*one]));
    peaks.truncate(PLACES_MAX);
    let step = i64::from(FINE_HZ / COARSE_HZ);
    let tried = peaks.into_iter().flat_map(|peak| {
        let middle = (from + peak as i64) * step;
        middle - AROUND..=middle + AROUND
    });
    let best = tried.map(|at| (likeness(fine, &line.fine, at), at)).max_by(|one, other| one.0.total_cmp(&other.0));
    best.map(|(likeness, at)| (likeness, at as f32 / FINE_HZ as f32))
}

/// How like `window` is to the stretch of `line` that begins `at`, -1 to 1; what lies outside the line is silence.
fn likeness(window: &[f32], line: &[f32], at: i64) -> f32 {
    let skipped = usize::try_from(-at).unwrap_or(0).min(window.len());
    let begin = usize::try_from(at).unwrap_or(0).min(line.len());
    let common = (window.len() - skipped).min(line.len() - begin);
    let (inside, stretch) = (&window[skipped..skipped + common], &line[begin..begin + common]);
    let product: f32 = inside.iter().zip(stretch).map(|(one, other)| one * other).sum();
    let power = |samples: &[f32]| samples.iter().map(|sample| sample * sample).sum::<f32>();
    let norm = (power(window) * power(stretch)).sqrt();
    if norm > 0.0 { product / norm } else { 0.0 }
}

/// The words whose place is in the `long_s` seconds from `at_s` on, with times of that stretch.
fn words_within(words: &[(String, f32)], at_s: f32, long_s: f32) -> Vec<TimedWord> {
    let mut within: Vec<TimedWord> = Vec::new();
    for (n, (text, begins_s)) in words.iter().enumerate() {
        let gap_s = words.get(n + 1).map_or(f32::MAX, |(_, next_s)| next_s - begins_s);
        let looked_at_s = begins_s + (gap_s / 2.0).clamp(0.0, INTO_S) - at_s;
        if !(0.0..long_s).contains(&looked_at_s) {
            continue;
        }
        let start_s = (begins_s - at_s).clamp(0.0, long_s);
        if let Some(before) = within.last_mut() {
            before.end_s = before.end_s.min(start_s).max(before.start_s);
        }
        let end_s = (start_s + gap_s.min(WORD_S_MAX)).min(long_s);
        within.push(TimedWord { text: text.clone(), start_s, end_s, confidence: 0.95 });
    }
    within
}

/// No word is longer: what follows it is a pause.
const WORD_S_MAX: f32 = 1.0;

/// The mean of each `1 / to_hz` seconds.
fn means(samples: &[f32], rate_hz: u32, to_hz: u32) -> Vec<f32> {
    blocks(samples, rate_hz, to_hz).map(|block| block.iter().sum::<f32>() / block.len().max(1) as f32).collect()
}

/// How loud each 10 ms are.
fn loudness(samples: &[f32], rate_hz: u32) -> Vec<f32> {
    let power = |block: &[f32]| block.iter().map(|sample| sample * sample).sum::<f32>() / block.len().max(1) as f32;
    blocks(samples, rate_hz, COARSE_HZ).map(|block| power(block).sqrt()).collect()
}

/// Whole stretches of `1 / to_hz` seconds.
fn blocks(samples: &[f32], rate_hz: u32, to_hz: u32) -> impl Iterator<Item = &[f32]> {
    let border = move |n: usize| (n as u64 * u64::from(rate_hz) / u64::from(to_hz)) as usize;
    (0..).map(move |n| (border(n), border(n + 1))).map_while(move |(from, until)| samples.get(from..until))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes nearest to speech without a voice: syllables of buzz, each of its own pitch and length.
    fn babble(seed: u64, rate_hz: u32, seconds: f32) -> Vec<f32> {
        let mut state = seed;
        let mut next = |most: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % most
        };
        let mut notes = Vec::new();
        let mut from_s = 0.0;
        while from_s < seconds {
            let (long_s, pitch_hz, loud) =
                (0.08 + next(200) as f32 / 1_000.0, 100.0 + next(150) as f32, next(3) as f32);
            notes.push((from_s, pitch_hz, loud * 0.2));
            from_s += long_s;
        }
        let count = (seconds * rate_hz as f32) as usize;
        let sample = |n: usize| {
            let at_s = n as f32 / rate_hz as f32;
            let (from_s, pitch_hz, loud) = notes.iter().rfind(|(from_s, ..)| *from_s <= at_s).copied().unwrap();
            let wave = |times: f32| (std::f32::consts::TAU * pitch_hz * times * (at_s - from_s)).sin() / times;
            loud * (wave(1.0) + wave(2.0) + wave(3.0))
        };
        (0..count).map(sample).collect()
    }

    fn line(seed: u64) -> Arc<Prompt> {
        let words = ["one", "two", "three", "four", "five", "six"];
        let words = words.iter().enumerate().map(|(n, word)| (format!("{word}{seed}"), n as f32 * 0.5)).collect();
        Arc::new(Prompt::new(&babble(seed, 24_000, 3.0), 24_000, words, "en".to_owned()))
    }

    /// The part of a line from one second to another, as the ears have it, with silence around.
    fn window(seed: u64, from_s: f32, until_s: f32, before_s: f32) -> Vec<f32> {
        let at = |seconds: f32| (seconds * EAR_HZ as f32) as usize;
        let mut samples = vec![0.0; at(before_s)];
        samples.extend_from_slice(&babble(seed, EAR_HZ, 3.0)[at(from_s)..at(until_s)]);
        samples.extend(vec![0.0; at(0.1)]);
        samples
    }

    fn text(hypothesis: &Hypothesis) -> String {
        hypothesis.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_window_is_read_from_its_place_in_the_line() {
        let lines = [line(1), line(2)];
        assert_eq!(text(&read(&window(1, 0.0, 3.0, 0.3), &lines)), "one1 two1 three1 four1 five1 six1");
        assert_eq!(text(&read(&window(2, 0.0, 1.45, 0.4), &lines)), "one2 two2 three2");
        assert_eq!(text(&read(&window(2, 1.45, 3.0, 0.0), &lines)), "four2 five2 six2");
    }

    #[test]
    fn words_lie_in_their_window_in_order() {
        let read = read(&window(1, 0.9, 3.0, 0.1), &[line(1)]);
        assert!(read.words.windows(2).all(|pair| pair[0].end_s <= pair[1].start_s), "{read:?}");
        assert!(read.words.iter().all(|word| word.start_s <= word.end_s && word.end_s <= 2.41), "{read:?}");
        assert_eq!(read.language.as_deref(), Some("en"));
    }

    #[test]
    fn what_is_no_line_is_no_word() {
        let lines = [line(1)];
        for other in [window(77, 0.0, 2.0, 0.1), vec![0.0; 16_000], vec![0.0; 3], Vec::new()] {
            assert_eq!(read(&other, &lines), Hypothesis::default(), "{} samples", other.len());
        }
        assert_eq!(read(&window(1, 0.0, 1.0, 0.0), &[]), Hypothesis::default());
    }

    #[test]
    fn a_prompter_forgets_what_is_long_past() {
        let prompter = Prompter::new();
        (1..=6).for_each(|seed| prompter.expect(Prompt::clone(&line(seed))));
        let mut decoder = prompter.decoder().unwrap();
        let mut read =
            |seed| decoder.decode(&window(seed, 0.0, 3.0, 0.1), &Hints::default(), &AtomicBool::new(false)).unwrap();
        assert_eq!(read(6).words.len(), 6);
        assert!(read(1).words.is_empty());
    }
}
