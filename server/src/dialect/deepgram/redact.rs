//! Hiding numbers: cards, social security numbers, any longer number, every number.
//!
//! Works on runs of number words or digits, English and German, and errs towards hiding: a run that touches the
//! edge of what was heard so far may be half of a card number, so it is hidden while it could still become one.

use super::{
    numerals::digits_of,
    words::{Extent, Spoken},
};

/// What is hidden.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redact {
    /// Card numbers, expiry dates and card security codes.
    pub pci: bool,
    /// US social security numbers, whole or their last four digits.
    pub ssn: bool,
    /// Every number of three digits or more.
    pub numbers: bool,
    /// Every number.
    pub every_number: bool,
}

/// Digits from which a number counts as a string of numbers.
const LONG_DIGITS: usize = 3;
/// Digits from which a number is taken for a card's; cards have 12 to 19.
const CARD_DIGITS: usize = 12;
/// How many words before a number may say what it is ("the security code on the back is 123").
const CUE_WORDS: usize = 6;

impl Redact {
    /// Whether nothing is hidden.
    pub fn is_off(self) -> bool {
        self == Self::default()
    }

    /// The words with their numbers hidden; each hidden run is one word such as `[SSN]`.
    pub fn apply(self, words: Vec<Spoken>, extent: Extent) -> Vec<Spoken> {
        let mut shown: Vec<Spoken> = Vec::with_capacity(words.len());
        let mut start = 0;
        while start < words.len() {
            let length = words[start..].iter().take_while(|word| digits_of(amountless(&word.bare)).is_some()).count();
            if length == 0 {
                shown.push(words[start].clone());
                start += 1;
                continue;
            }
            let run = Run {
                digits: words[start..start + length]
                    .iter()
                    .filter_map(|word| digits_of(amountless(&word.bare)))
                    .sum::<usize>()
                    .max(1),
                before: &words[start.saturating_sub(CUE_WORDS)..start],
                dated: words[start..start + length].iter().any(|word| word.bare.contains('/')),
                first: start == 0,
                last: start + length == words.len(),
            };
            match self.label(&run, extent) {
                Some(label) => shown.push(Spoken::joined(&words[start..start + length], label, label)),
                None => shown.extend_from_slice(&words[start..start + length]),
            }
            start += length;
        }
        shown
    }

    fn label(self, run: &Run<'_>, extent: Extent) -> Option<&'static str> {
        let card = run.digits >= CARD_DIGITS;
        let code = (3..=4).contains(&run.digits) && run.cued(&["cvv", "cvc", "security"]) && !run.cued(&["social"]);
        let expiry = run.dated || run.cued(&["expires", "expiry", "expiration", "expiring", "gültig"]);
        let social = run.digits == 9 || run.digits == 4 && run.cued(&["social", "ssn"]);
        let edge = (run.first || run.last) && run.digits >= LONG_DIGITS;
        let unfinished = run.last && extent == Extent::Open;
        if self.pci && card {
            Some("[CREDIT_CARD]")
        } else if self.pci && code {
            Some("[CVV]")
        } else if self.pci && expiry {
            Some("[CREDIT_CARD_EXPIRATION]")
        } else if self.ssn && social {
            Some("[SSN]")
        } else if unfinished || edge || self.every_number || self.numbers && run.digits >= LONG_DIGITS {
            Some("[NUMBER]")
        } else {
            None
        }
    }
}

/// A run of number words, and what stands around it.
struct Run<'a> {
    digits: usize,
    before: &'a [Spoken],
    dated: bool,
    first: bool,
    last: bool,
}

impl Run<'_> {
    fn cued(&self, cues: &[&str]) -> bool {
        self.before.iter().any(|word| cues.contains(&word.bare.as_str()))
    }
}

fn amountless(bare: &str) -> &str {
    bare.trim_matches(['$', '€', '£', '%'])
}

#[cfg(test)]
mod tests {
    use super::{
        super::words::{Effects, tests::heard},
        *,
    };

    fn hidden(redact: Redact, text: &str, extent: Extent) -> String {
        let effects = Effects { punctuate: true, redact, ..Effects::default() };
        effects.transcript(&effects.apply(&heard(text), extent))
    }

    const PCI: Redact = Redact { pci: true, ssn: false, numbers: false, every_number: false };
    const SSN: Redact = Redact { pci: false, ssn: true, numbers: false, every_number: false };
    const NUMBERS: Redact = Redact { pci: false, ssn: false, numbers: true, every_number: false };

    #[test]
    fn a_card_is_hidden_in_digits_and_in_words() {
        let digits = "card 4111 1111 1111 1111, thanks";
        assert_eq!(hidden(PCI, digits, Extent::Whole), "card [CREDIT_CARD], thanks");
        let words = "it is four one one one one one one one one one one one one one one one okay";
        assert_eq!(hidden(PCI, words, Extent::Whole), "it is [CREDIT_CARD] okay");
        let german = "die Karte vier eins eins eins vier eins eins eins vier eins eins eins danke";
        assert_eq!(hidden(PCI, german, Extent::Whole), "die Karte [CREDIT_CARD] danke");
    }

    #[test]
    fn expiry_and_security_code_go_with_the_card() {
        let text = "it expires 12/27 and the security code is 123 okay";
        assert_eq!(
            hidden(PCI, text, Extent::Whole),
            "it expires [CREDIT_CARD_EXPIRATION] and the security code is [CVV] okay"
        );
    }

    #[test]
    fn social_security_numbers_are_hidden_whole_and_by_their_last_four() {
        assert_eq!(hidden(SSN, "mine is 078-05-1120, sir", Extent::Whole), "mine is [SSN], sir");
        let last = "last four of your social are 1120 right";
        assert_eq!(hidden(SSN, last, Extent::Whole), "last four of your social are [SSN] right");
    }

    #[test]
    fn numbers_hides_long_ones_and_aggressive_all() {
        let text = "we have two rooms, call 555 1234 today";
        assert_eq!(hidden(NUMBERS, text, Extent::Whole), "we have two rooms, call [NUMBER] today");
        let every = Redact { every_number: true, ..Redact::default() };
        assert_eq!(hidden(every, text, Extent::Whole), "we have [NUMBER] rooms, call [NUMBER] today");
    }

    #[test]
    fn a_number_that_may_still_grow_is_hidden_at_once() {
        assert_eq!(hidden(PCI, "my card is four", Extent::Open), "my card is [NUMBER]");
        assert_eq!(hidden(PCI, "I have four", Extent::Whole), "I have four");
    }

    #[test]
    fn a_long_number_at_the_edge_of_an_utterance_may_be_part_of_a_card() {
        assert_eq!(hidden(PCI, "card is 4111", Extent::Whole), "card is [NUMBER]");
        assert_eq!(hidden(PCI, "1111 1111 yes", Extent::Whole), "[NUMBER] yes");
    }

    #[test]
    fn nothing_is_hidden_unless_asked() {
        assert_eq!(hidden(Redact::default(), "call 5551234", Extent::Open), "call 5551234");
    }
}
