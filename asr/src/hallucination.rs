//! Guards against invented text: recognizers write sentences into silence, hum and music.
//!
//! Pure: told numbers and words of one decoded window, it answers whether to believe them. No guard looks at
//! loudness alone, since quiet people speak too: words go when the voice activity saw nobody, when the text
//! is of a kind that speech is not, or when it is a well-known phantom and the evidence for a voice is thin.

use std::io::Write;

/// What is known of one window.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The words, joined by single spaces.
    pub text: &'a str,
    /// Mean log-probability per token, at most 0.
    pub mean_logprob: f32,
    /// The engine's own probability of no speech, where it is sound.
    pub no_speech: Option<f32>,
    /// Seconds of the window.
    pub window_s: f32,
    /// Seconds of it that voice activity scored 0.5 or more.
    pub speech_s: f32,
    /// The highest voice-activity score in it, 0..=1.
    pub speech_peak: f32,
    /// Level of the window's loudest 100 ms in dBFS, as [`peak_level_db`] measures.
    pub level_db: f32,
}

/// What to do with a hypothesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Believe it.
    Keep,
    /// There was a voice, but these are not its words: decode again with more or other audio; if that is the
    /// last chance, take nothing.
    Retry(Reason),
    /// Nobody said that.
    Drop(Reason),
}

/// Why a hypothesis is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Voice activity saw nobody speak.
    NoVoice,
    /// The engine itself says that nobody spoke, and is unsure of the words.
    NoSpeech,
    /// The window is as good as digital silence.
    Silence,
    /// The text goes round in a circle.
    Repetition,
    /// More words than a mouth can say in that time.
    TooFast,
    /// The engine is guessing.
    Unsure,
    /// A phrase that training subtitles put over silence, and little else to show for it.
    Phantom,
}

/// Shorter than any syllable: one window of voice activity may be a click.
const VOICE_LEAST_S: f32 = 0.06;

/// Nobody can be heard in less than the last bits of 16-bit audio.
const SILENCE_DB: f32 = -80.0;

/// Below it nobody speaks into the microphone but at the other end of the room, or several do. Engines make sentences
/// of such a murmur, and are unsure of them: Moonshine's had -0.9 to -1.6 a token; of readers made as quiet all that was
/// right had more than -0.75.
const FAR_DB: f32 = -45.0;

/// Auctioneers reach six words a second.
const WORDS_PER_S: f32 = 8.0;

/// Judges one window. An empty text is always kept.
pub fn judge(evidence: &Evidence<'_>) -> Verdict {
    let words = evidence.text.split_whitespace().count();
    if words == 0 {
        return Verdict::Keep;
    }
    if evidence.level_db < SILENCE_DB {
        return Verdict::Drop(Reason::Silence);
    }
    if evidence.speech_s < VOICE_LEAST_S {
        return Verdict::Drop(Reason::NoVoice);
    }
    if evidence.no_speech.is_some_and(|no_speech| no_speech > 0.6) && evidence.mean_logprob < -1.0 {
        return Verdict::Drop(Reason::NoSpeech);
    }

    let thin = is_thin(evidence);
    let unless_voiced = |reason| if thin { Verdict::Drop(reason) } else { Verdict::Retry(reason) };
    if is_phantom(evidence.text) && (thin || evidence.mean_logprob < -0.8) {
        return Verdict::Drop(Reason::Phantom);
    }
    if repeats(evidence.text) {
        return unless_voiced(Reason::Repetition);
    }
    // The engine hears words at the edges that voice activity leaves out: half a second more.
    if words >= 4 && words as f32 > WORDS_PER_S * (evidence.speech_s + 0.5) {
        return unless_voiced(Reason::TooFast);
    }
    if evidence.mean_logprob < if thin || evidence.level_db < FAR_DB { -1.0 } else { -1.8 } {
        return unless_voiced(Reason::Unsure);
    }
    Verdict::Keep
}

/// Little speaks for a voice: a short blip, or scores that never became sure.
fn is_thin(evidence: &Evidence<'_>) -> bool {
    let share = evidence.speech_s / evidence.window_s.max(0.1);
    evidence.speech_peak < 0.7 || evidence.speech_s < 0.2 || share < 0.1
}

/// Whether text repeats itself as speech does not: it compresses more than 2.4 times, or one short phrase
/// makes up all of it five times over.
fn repeats(text: &str) -> bool {
    compression_ratio(text) > 2.4 || {
        let words = plain(text);
        (1..=4).any(|length| {
            words.len() >= 5 * length && words.iter().zip(&words[length..]).all(|(word, later)| word == later)
        })
    }
}

/// How many times smaller the text becomes by zlib. Below about 50 bytes it is under 1.
pub fn compression_ratio(text: &str) -> f32 {
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    let packed = packed.write_all(text.as_bytes()).and_then(|()| packed.finish());
    text.len() as f32 / packed.expect("writing to memory does not fail").len().max(1) as f32
}

/// Level of the loudest 100 ms in dBFS (full-scale sine: -3). 16 kHz mono f32 in [-1, 1].
pub fn peak_level_db(audio: &[f32]) -> f32 {
    let power = |step: &[f32]| step.iter().map(|sample| sample * sample).sum::<f32>() / step.len() as f32;
    10.0 * (audio.chunks(1600).map(power).fold(0.0, f32::max) + 1e-12).log10()
}

/// What subtitles say when nobody speaks, without capitals and punctuation. Whole texts, not parts of them:
/// people do say thank you.
const PHANTOMS: [&str; 43] = [
    "amara org",
    "bis zum nächsten mal",
    "bye",
    "bye bye",
    "copyright wdr",
    "das war s für heute",
    "don t forget to like and subscribe",
    "good bye",
    "hmm",
    "i ll see you in the next video",
    "i m going to go",
    "i m not sure",
    "im auftrag des zdf für funk",
    "mhm",
    "music",
    "musik",
    "oh",
    "okay",
    "please subscribe",
    "please subscribe to my channel",
    "please subscribe to our channel",
    "see you in the next video",
    "see you next time",
    "subscribe",
    "subtitles by the amara org community",
    "thank you",
    "thank you for watching",
    "thank you so much",
    "thank you so much for watching",
    "thank you very much",
    "thanks",
    "thanks for watching",
    "the",
    "the end",
    "tschüss",
    "untertitel der amara org community",
    "untertitel im auftrag des zdf für funk",
    "untertitelung des zdf",
    "vielen dank",
    "vielen dank für s zuschauen",
    "vielen dank fürs zuschauen",
    "yeah",
    "you",
];

/// Years and numbers that follow some of them ("im Auftrag des ZDF, 2020") do not hide a phantom.
fn is_phantom(text: &str) -> bool {
    let mut words = plain(text);
    while words.last().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit())) {
        words.pop();
    }
    let text = words.join(" ");
    // The same phrase twice or thrice is the same phantom.
    let once = (2..=3).find_map(|times| {
        let length = words.len() / times;
        (length > 0 && words.len() == length * times && words.iter().zip(&words[length..]).all(|(a, b)| a == b))
            .then(|| words[..length].join(" "))
    });
    [Some(text), once].into_iter().flatten().any(|text| PHANTOMS.binary_search(&text.as_str()).is_ok())
}

fn plain(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Three seconds of somebody speaking clearly.
    fn spoken(text: &str) -> Evidence<'_> {
        Evidence {
            text,
            mean_logprob: -0.2,
            no_speech: None,
            window_s: 3.0,
            speech_s: 2.4,
            speech_peak: 0.98,
            level_db: -25.0,
        }
    }

    #[test]
    fn clear_speech_is_kept_even_when_it_is_a_phantoms_phrase() {
        for text in ["Thank you.", "Thanks for watching!", "You", "Bye, bye.", "Vielen Dank.", "No, no, no, no.", ""] {
            assert_eq!(judge(&spoken(text)), Verdict::Keep, "{text}");
        }
    }

    #[test]
    fn quiet_speech_is_kept() {
        let quiet = Evidence { level_db: -68.0, mean_logprob: -0.6, ..spoken("Send it on Friday.") };
        assert_eq!(judge(&quiet), Verdict::Keep);
    }

    #[test]
    fn words_without_a_voice_are_dropped() {
        assert_eq!(judge(&Evidence { speech_s: 0.0, ..spoken("It would.") }), Verdict::Drop(Reason::NoVoice));
        assert_eq!(judge(&Evidence { level_db: -90.0, ..spoken("It would.") }), Verdict::Drop(Reason::Silence));
        let unsure = Evidence { no_speech: Some(0.9), mean_logprob: -1.2, ..spoken("It would.") };
        assert_eq!(judge(&unsure), Verdict::Drop(Reason::NoSpeech));
    }

    #[test]
    fn phantoms_need_a_sure_voice() {
        for text in [
            "Thanks for watching!",
            "Untertitel der Amara.org-Community",
            "Untertitel im Auftrag des ZDF für funk, 2017",
            "you",
            "Thank you. Thank you.",
            "Vielen Dank für's Zuschauen!",
        ] {
            let blip = Evidence { speech_s: 0.1, speech_peak: 0.6, ..spoken(text) };
            assert_eq!(judge(&blip), Verdict::Drop(Reason::Phantom), "{text}");
        }
    }

    #[test]
    fn circles_and_impossible_rates_are_not_believed() {
        let circle = "and then we go ".repeat(12);
        assert_eq!(judge(&spoken(&circle)), Verdict::Retry(Reason::Repetition));
        let thin = Evidence { speech_s: 0.1, ..spoken(&circle) };
        assert_eq!(judge(&thin), Verdict::Drop(Reason::Repetition));
        let fast = "one quick brown fox jumps over many lazy dogs while some other small animals look on in wonder today \
                    and nobody minds";
        assert_eq!(judge(&Evidence { speech_s: 1.0, ..spoken(fast) }), Verdict::Retry(Reason::TooFast));
        assert_eq!(judge(&Evidence { mean_logprob: -2.5, ..spoken("flim flam") }), Verdict::Retry(Reason::Unsure));
    }

    #[test]
    fn what_is_made_of_a_murmur_far_away_is_believed_only_when_it_is_sure() {
        // Six readers at once, at -55 and -65 dBFS, and what Moonshine wrote down.
        for (text, mean_logprob, level_db) in [
            ("This is what Jake West is doing in the community.", -1.03, -60.0),
            ("The National Football Series is a very important place to play.", -1.30, -50.0),
            ("It's a good idea.", -1.56, -60.0),
        ] {
            let murmur = Evidence { window_s: 5.0, speech_s: 4.0, mean_logprob, level_db, ..spoken(text) };
            assert_eq!(judge(&murmur), Verdict::Retry(Reason::Unsure), "{text}");
            // The same doubt about somebody who is near is an accent, or a bad line.
            assert_eq!(judge(&Evidence { level_db: -20.0, ..murmur }), Verdict::Keep, "{text}");
        }
        // Somebody quiet, whom it did understand.
        let quiet = Evidence { mean_logprob: -0.71, level_db: -55.0, ..spoken("So he pop up in futurity.") };
        assert_eq!(judge(&quiet), Verdict::Keep);
    }

    #[test]
    fn what_coughs_tones_and_fax_machines_are_heard_as_is_dropped() {
        // Voice activity opens for a moment on any of them, and never for long.
        for (text, speech_s, speech_peak) in [
            ("Hm.", 0.03, 0.6),
            ("Oh, oh.", 0.05, 0.9),
            ("You", 0.15, 0.65),
            ("Thank you.", 0.19, 0.69),
            ("Mhm.", 0.1, 0.95),
        ] {
            for level_db in [-10.0, -30.0, -50.0, -70.0] {
                let noise = Evidence { window_s: 4.0, speech_s, speech_peak, level_db, ..spoken(text) };
                assert!(matches!(judge(&noise), Verdict::Drop(_)), "{text} at {level_db} dBFS");
            }
        }
    }

    #[test]
    fn the_list_of_phantoms_is_sorted_and_plain() {
        assert!(PHANTOMS.is_sorted());
        assert!(PHANTOMS.iter().all(|phantom| plain(phantom).join(" ") == **phantom));
    }

    #[test]
    fn levels_are_measured_in_dbfs() {
        let sine: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.2).sin()).collect();
        assert!((peak_level_db(&sine) + 3.0).abs() < 0.1);
        assert!(peak_level_db(&[]) < -110.0);
    }

    proptest! {
        #[test]
        fn more_voice_never_makes_a_text_less_believed(text in "[a-z]{1,5}( [a-z]{1,5}){0,9}", speech_s in 0.0f32..2.0, logprob in -3.0f32..0.0) {
            let belief = |evidence: &Evidence<'_>| match judge(evidence) {
                Verdict::Drop(_) => 0,
                Verdict::Retry(_) => 1,
                Verdict::Keep => 2,
            };
            let some = Evidence { speech_s, mean_logprob: logprob, ..spoken(&text) };
            let more = Evidence { speech_s: speech_s + 1.0, ..some };
            prop_assert!(belief(&more) >= belief(&some));
        }
    }
}
