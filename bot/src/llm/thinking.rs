//! Words that are not for the caller: what a model thinks before it answers, where its server leaves it in the text.
//!
//! Servers that do not know a model's template pass `<think>…</think>` on as text; spoken, that would be minutes of
//! muttering. Only what stands before the answer is taken, so that an answer may speak of such a mark. White space
//! before the first word goes too, and U+FFFD everywhere: half a character, of a token or of the line.
//! Pure, and bounded: what is held back is a few bytes of a mark that may be beginning.

/// Lets an answer through without its thoughts.
#[derive(Debug)]
pub(super) struct Filter {
    state: State,
    held: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No word yet.
    Before,
    /// Between the marks.
    Thinking,
    /// In the answer.
    Answer,
}

const BEGIN: &str = "<think>";
const END: &str = "</think>";

impl Filter {
    /// Before an answer.
    pub(super) fn new() -> Self {
        Self { state: State::Before, held: String::new() }
    }

    /// What of `text` is to be said; may be empty.
    pub(super) fn pass(&mut self, text: &str) -> String {
        self.held.extend(text.chars().filter(|&char| char != char::REPLACEMENT_CHARACTER));
        loop {
            match self.state {
                State::Answer => return std::mem::take(&mut self.held),
                State::Before => {
                    self.held.drain(..self.held.len() - self.held.trim_start().len());
                    if let Some(rest) = self.held.strip_prefix(BEGIN) {
                        self.held = rest.to_owned();
                        self.state = State::Thinking;
                    } else if BEGIN.starts_with(&self.held) {
                        return String::new();
                    } else {
                        self.state = State::Answer;
                    }
                }
                State::Thinking => {
                    let Some(at) = self.held.find(END) else {
                        let kept = (1..END.len()).rev().find(|&kept| self.held.ends_with(&END[..kept])).unwrap_or(0);
                        self.held.drain(..self.held.len() - kept);
                        return String::new();
                    };
                    self.held.drain(..at + END.len());
                    self.state = State::Before;
                }
            }
        }
    }

    /// The answer has ended: what was held back and is no mark after all.
    pub(super) fn end(&mut self) -> String {
        match self.state {
            State::Thinking => String::new(),
            State::Before | State::Answer => std::mem::take(&mut self.held),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(pieces: &[&str]) -> String {
        let mut filter = Filter::new();
        let mut said: String = pieces.iter().map(|piece| filter.pass(piece)).collect();
        said.push_str(&filter.end());
        said
    }

    #[test]
    fn thoughts_before_an_answer_are_not_said() {
        for (text, heard) in [
            ("Guten Tag.", "Guten Tag."),
            ("\n\n Hello", "Hello"),
            ("<think>\nshe wants a date</think>\n\nOn Monday.", "On Monday."),
            ("<think></think>Yes < no", "Yes < no"),
            ("<think>a</think> <think>b</think>c", "c"),
            ("<think>never ends", ""),
            ("<th", "<th"),
            ("<thin ice", "<thin ice"),
            ("The mark is <think>.", "The mark is <think>."),
            ("Gr\u{fffd}ße", "Grße"),
            (" ", ""),
        ] {
            assert_eq!(said(&[text]), heard, "{text:?}");
        }
    }

    #[test]
    fn words_are_passed_on_at_once() {
        let mut filter = Filter::new();
        assert_eq!(filter.pass("Gu"), "Gu");
        assert_eq!(filter.pass(" ten"), " ten");
        assert_ne!(filter.state, State::Thinking);
    }

    proptest! {
        #[test]
        fn any_cutting_says_the_same(text in "(<think>|</think>|<|t|h| |ü|\u{fffd}){0,24}", size in 1_usize..5) {
            let chars: Vec<char> = text.chars().collect();
            let pieces: Vec<String> = chars.chunks(size).map(|chunk| chunk.iter().collect()).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(said(&pieces), said(&[&text]));
        }
    }
}
