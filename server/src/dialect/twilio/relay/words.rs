//! What a host tells of words and languages, as this server has them.
//!
//! Pure. Hosts tell no times, so words are spread over the time in which they may have been said; languages go by the
//! names that the host gives them.

use std::time::Duration;

use asr::event::Word;
use media::time::{MediaTime, Span};
use tts::voice::Language;

/// A word takes so long.
const WORD: Duration = Duration::from_millis(300);

/// Words and when they were said, which is over by `now` and began no sooner than `since`: hosts tell no times.
pub(super) fn spread(said: &str, since: MediaTime, now: MediaTime) -> (Vec<Word>, Span) {
    let texts: Vec<&str> = said.split_whitespace().collect();
    let count = u32::try_from(texts.len()).unwrap_or(u32::MAX);
    let span = Span::new(now.saturating_sub(WORD * count).max(since.min(now)), now);
    let each = span.duration() / count.max(1);
    let word = |(nth, text): (u32, &str)| {
        let start = span.start + each * nth;
        Word { text: text.to_owned(), span: Span::new(start, start + each), confidence: 1.0 }
    };
    ((0..).zip(texts).map(word).collect(), span)
}

/// How the host, which heard `tongue` last, calls a language: by its own name where it is that one.
pub(super) fn tag(language: Language, tongue: &str) -> &str {
    let own = language.tag();
    if base(own).eq_ignore_ascii_case(base(tongue)) { tongue } else { own }
}

/// A language without its region.
pub(super) fn base(tag: &str) -> &str {
    tag.split('-').next().unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    #[test]
    fn words_are_said_one_after_the_other_and_never_before_those_that_were_told_before() {
        let (words, span) = spread("one  two three", ms(0), ms(10_000));
        assert_eq!(span, Span::new(ms(9_100), ms(10_000)));
        let starts: Vec<_> = words.iter().map(|word| (word.text.as_str(), word.span.start)).collect();
        assert_eq!(starts, [("one", ms(9_100)), ("two", ms(9_400)), ("three", ms(9_700))]);
        assert_eq!(spread("one two", ms(9_800), ms(10_000)).1, Span::new(ms(9_800), ms(10_000)));
        assert_eq!(spread("one two", ms(11_000), ms(10_000)).1, Span::new(ms(10_000), ms(10_000)));
        assert_eq!(spread(" ", ms(0), ms(10_000)), (Vec::new(), Span::new(ms(10_000), ms(10_000))));
        // Longer than the room is old.
        assert_eq!(spread(&"word ".repeat(100), ms(0), ms(1_000)).1, Span::new(ms(0), ms(1_000)));
    }

    #[test]
    fn a_language_goes_by_the_name_that_the_host_gave_it() {
        assert_eq!(tag(Language::ENGLISH_US, "en-GB"), "en-GB");
        assert_eq!(tag(Language::GERMAN, "de-AT"), "de-AT");
        assert_eq!(tag(Language::GERMAN, "en-GB"), "de");
    }
}
