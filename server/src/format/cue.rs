//! Cuts speech into subtitle cues: at most two lines of 42 characters, at most seven seconds.
//!
//! The limits are those of broadcasters' guidelines for readable subtitles. A cue ends early at a pause, after
//! a sentence, or else at the last comma that leaves it reasonably full; the two lines are balanced. Times are
//! the words' own; a short cue stays a little longer when nothing follows at once. Pure.

use asr::event::Word;
use media::time::MediaTime;

use crate::transcript::{Segment, Transcript};

/// Characters of one line that are read at a glance.
pub const LINE_CHARS_MAX: usize = 42;

/// Lines of one cue.
pub const LINES_MAX: usize = 2;

/// The longest a cue stays.
pub const CUE_MS_MAX: u64 = 7_000;

/// Silence within an utterance after which a new cue begins.
const PAUSE_MS: u64 = 1_500;

/// The shortest time a cue stays when nothing follows sooner: less flickers.
const CUE_MS_MIN: u64 = 1_000;

/// How much wider, in characters, one line may be than the other for the sake of a break after a clause.
const WITHIN_CLAUSE_COST: usize = 12;

/// One subtitle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// When it appears, in milliseconds.
    pub start_ms: u64,
    /// When it goes; always after `start_ms`.
    pub end_ms: u64,
    /// Index of the lane that is shown.
    pub lane: usize,
    /// One or two lines of at most [`LINE_CHARS_MAX`] characters.
    pub lines: Vec<String>,
}

/// The cues of a whole transcript, by start. `prefix_chars` of the first line are kept free on each lane for
/// the writer's own mark of who speaks.
pub fn cut(transcript: &Transcript, prefix_chars: impl Fn(usize) -> usize) -> Vec<Cue> {
    let mut cues = Vec::new();
    for (lane, heard) in transcript.lanes.iter().enumerate() {
        let indent = prefix_chars(lane).min(LINE_CHARS_MAX / 2);
        let from = cues.len();
        for segment in &heard.segments {
            cut_segment(segment, indent, &mut cues);
        }
        hold_short_cues(&mut cues[from..]);
    }
    cues.sort_by_key(|cue| (cue.start_ms, cue.lane));
    cues
}

/// A word, or a part of a word that no line could hold.
#[derive(Clone, Debug)]
struct Piece {
    text: String,
    start_ms: u64,
    end_ms: u64,
}

fn cut_segment(segment: &Segment, indent: usize, cues: &mut Vec<Cue>) {
    let mut pending: Vec<Piece> = Vec::new();
    for piece in segment.words.iter().flat_map(|word| pieces(word, LINE_CHARS_MAX - indent)) {
        if let (Some(first), Some(last)) = (pending.first(), pending.last()) {
            if piece.start_ms.saturating_sub(last.end_ms) >= PAUSE_MS || ends_sentence(&last.text) && is_full(&pending)
            {
                cues.push(close(&mut pending, segment.lane, indent));
            } else if piece.end_ms.saturating_sub(first.start_ms) > CUE_MS_MAX || !fits(&pending, &piece, indent) {
                let mut rest = pending.split_off(best_break(&pending));
                cues.push(close(&mut pending, segment.lane, indent));
                // What was held back for a better break may itself be too much with the new word.
                if rest.first().is_some_and(|first| piece.end_ms.saturating_sub(first.start_ms) > CUE_MS_MAX)
                    || !rest.is_empty() && !fits(&rest, &piece, indent)
                {
                    cues.push(close(&mut rest, segment.lane, indent));
                }
                pending = rest;
            }
        }
        pending.push(piece);
    }
    if !pending.is_empty() {
        cues.push(close(&mut pending, segment.lane, indent));
    }
}

/// The word whole, or cut into parts of at most `chars_max` characters with the time shared out among them.
fn pieces(word: &Word, chars_max: usize) -> Vec<Piece> {
    let (start_ms, end_ms) = (word.span.start.as_millis(), word.span.end.as_millis());
    let chars: Vec<char> = word.text.chars().collect();
    let count = chars.len() as u64;
    let mut offset = 0;
    chars
        .chunks(chars_max)
        .map(|chunk| {
            let at = |chars: u64| start_ms + end_ms.saturating_sub(start_ms) * chars / count;
            let piece =
                Piece { text: chunk.iter().collect(), start_ms: at(offset), end_ms: at(offset + chunk.len() as u64) };
            offset += chunk.len() as u64;
            piece
        })
        .collect()
}

/// Whether a cue is long enough to end after this sentence rather than to take the next one in.
fn is_full(pieces: &[Piece]) -> bool {
    chars(pieces) >= LINE_CHARS_MAX / 2
}

/// Where a cue that must end ends best: after the last sentence or clause, if that leaves it reasonably full.
fn best_break(pieces: &[Piece]) -> usize {
    let enough = chars(pieces) * 2 / 5;
    let breaks = |is_end: fn(&str) -> bool| {
        (1..pieces.len()).rev().find(|&at| is_end(&pieces[at - 1].text) && chars(&pieces[..at]) >= enough)
    };
    breaks(ends_sentence).or_else(|| breaks(ends_clause)).unwrap_or(pieces.len())
}

fn ends_sentence(word: &str) -> bool {
    word.trim_end_matches(['"', '”', '“', '’', '»', '«', ')']).ends_with(['.', '!', '?', '…'])
}

fn ends_clause(word: &str) -> bool {
    word.ends_with([',', ';', ':', '–'])
}

/// Characters of the pieces on one line.
fn chars(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| piece.text.chars().count() + 1).sum::<usize>().saturating_sub(1)
}

/// Whether the pieces and one more still go into a cue.
fn fits(pieces: &[Piece], next: &Piece, indent: usize) -> bool {
    let mut lines = 1;
    let mut column = indent;
    for (index, text) in pieces.iter().chain([next]).map(|piece| &piece.text).enumerate() {
        let width = text.chars().count();
        let gap = usize::from(index > 0 && column > 0);
        if column + gap + width > LINE_CHARS_MAX && index > 0 {
            lines += 1;
            column = width;
        } else {
            column += gap + width;
        }
    }
    lines <= LINES_MAX
}

/// Turns the pending pieces into a cue and leaves none.
fn close(pending: &mut Vec<Piece>, lane: usize, indent: usize) -> Cue {
    let pieces = std::mem::take(pending);
    let start_ms = pieces.first().map_or(0, |piece| piece.start_ms);
    let end_ms = pieces.last().map_or(start_ms, |piece| piece.end_ms);
    Cue { start_ms, end_ms: end_ms.clamp(start_ms + 1, start_ms + CUE_MS_MAX), lane, lines: lay_out(&pieces, indent) }
}

/// One line when it fits, else two of about the same width, broken after a clause where that costs little.
fn lay_out(pieces: &[Piece], indent: usize) -> Vec<String> {
    let join = |pieces: &[Piece]| pieces.iter().map(|piece| piece.text.as_str()).collect::<Vec<_>>().join(" ");
    if indent + chars(pieces) <= LINE_CHARS_MAX {
        return vec![join(pieces)];
    }
    let at = (1..pieces.len())
        .filter(|&at| indent + chars(&pieces[..at]) <= LINE_CHARS_MAX && chars(&pieces[at..]) <= LINE_CHARS_MAX)
        .min_by_key(|&at| {
            let before = &pieces[at - 1].text;
            let within_clause = if ends_clause(before) || ends_sentence(before) { 0 } else { WITHIN_CLAUSE_COST };
            (indent + chars(&pieces[..at])).abs_diff(chars(&pieces[at..])) + within_clause
        })
        .unwrap_or(pieces.len());
    [&pieces[..at], &pieces[at..]].into_iter().filter(|line| !line.is_empty()).map(join).collect()
}

/// Lets short cues of one lane stay longer where no other follows, and keeps neighbours from overlapping.
fn hold_short_cues(cues: &mut [Cue]) {
    for at in 0..cues.len() {
        let next_ms = cues.get(at + 1).map_or(u64::MAX, |next| next.start_ms);
        let cue = &mut cues[at];
        let wanted_ms = cue.end_ms.max(cue.start_ms + CUE_MS_MIN);
        cue.end_ms = wanted_ms.min(next_ms).max(cue.start_ms + 1);
    }
}

/// `HH:MM:SS` and milliseconds after `mark`: `,` for SubRip, `.` for WebVTT. Hours grow past two digits.
pub fn clock(ms: u64, mark: char) -> String {
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{mark}{:03}", ms % 1_000)
}

/// The same for a moment of media time.
pub fn clock_at(at: MediaTime) -> String {
    clock(at.as_millis(), '.')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::transcript::{Speakers, sample};

    fn cues_of(text: &str, each_ms: u64) -> Vec<Cue> {
        let mut segment = sample::segment(0, text, 0);
        segment.words = sample::words(text, 0, each_ms);
        cut(&sample::transcript(Speakers::Unasked, vec![segment]), |_| 0)
    }

    proptest! {
        #[test]
        fn every_cue_is_readable_and_no_word_is_lost(
            words in prop::collection::vec("[a-zäß]{1,60}[.,?]?", 1..80),
            each_ms in 0_u64..2_500,
            indent in 0_usize..30,
        ) {
            let text = words.join(" ");
            let mut segment = sample::segment(0, &text, 500);
            segment.words = sample::words(&text, 500, each_ms);
            let cues = cut(&sample::transcript(Speakers::ByChannel, vec![segment]), |_| indent);
            let indent = indent.min(LINE_CHARS_MAX / 2);
            let mut said = String::new();
            let mut before_ms = 0;
            for cue in &cues {
                prop_assert!((1..=LINES_MAX).contains(&cue.lines.len()), "{cue:?}");
                prop_assert!(indent + cue.lines[0].chars().count() <= LINE_CHARS_MAX, "{cue:?}");
                prop_assert!(cue.lines.iter().all(|line| line.chars().count() <= LINE_CHARS_MAX && !line.is_empty()));
                prop_assert!(cue.end_ms > cue.start_ms && cue.end_ms - cue.start_ms <= CUE_MS_MAX, "{cue:?}");
                prop_assert!(cue.start_ms >= before_ms);
                before_ms = cue.start_ms;
                said.extend(cue.lines.iter().flat_map(|line| line.chars()).filter(|c| *c != ' '));
            }
            prop_assert_eq!(said, words.concat());
        }
    }

    #[test]
    fn a_short_sentence_is_one_line_and_stays_a_second() {
        assert_eq!(
            cues_of("Good morning.", 100),
            [Cue { start_ms: 0, end_ms: 1_000, lane: 0, lines: vec!["Good morning.".to_owned()] }]
        );
    }

    #[test]
    fn a_cue_ends_after_a_sentence_rather_than_in_the_next() {
        let cues = cues_of(
            "It was the best of times and everybody knew it well. It was the worst of times, some of them said.",
            200,
        );
        assert_eq!(
            cues.iter().map(|cue| cue.lines.join("|")).collect::<Vec<_>>(),
            ["It was the best of times|and everybody knew it well.", "It was the worst of times,|some of them said."]
        );
    }

    #[test]
    fn slow_speech_is_cut_by_time() {
        let cues = cues_of("one two three four five six seven eight", 2_000);
        assert!(cues.len() >= 3 && cues.iter().all(|cue| cue.end_ms - cue.start_ms <= CUE_MS_MAX), "{cues:?}");
    }

    #[test]
    fn a_word_longer_than_a_line_is_cut() {
        let word = "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz";
        let cues = cues_of(word, 3_000);
        assert_eq!(cues[0].lines.concat(), word);
        assert!(cues[0].lines.iter().all(|line| line.chars().count() <= LINE_CHARS_MAX));
    }

    #[test]
    fn clocks_carry_hours() {
        assert_eq!(clock(3_723_004, ','), "01:02:03,004");
        assert_eq!(clock(360_000_000, '.'), "100:00:00.000");
    }
}
