//! What speech over the agent is: an interruption, a sign of listening, an echo, a cough.
//!
//! Pure: words, how long the sound lasts and the settings in, a judgement out. Words decide; time alone never does.

use std::time::Duration;

use super::{NotTaken, backchannel, echo::Lately, words};
use crate::persona::TurnSettings;

/// What it is, as far as known. [`NotTaken::TooShort`] becomes an interruption by lasting, nothing else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// An interruption.
    Interrupts,
    /// None, if nothing more comes.
    No(NotTaken),
}

/// Judges `text`, spoken over the agent for so long.
pub(super) fn judge(text: &str, lasted: Duration, lately: &Lately, settings: &TurnSettings) -> Judgement {
    let said = words::of(text);
    if said.iter().all(|word| words::is_hesitation(word)) {
        return Judgement::No(NotTaken::NoWords);
    }
    if lately.holds(&said) {
        return Judgement::No(NotTaken::Echo);
    }
    let content = backchannel::content(&said);
    if backchannel::is_only(&said) || (content == 0 && !backchannel::stops(&said)) {
        return Judgement::No(NotTaken::Backchannel);
    }
    let is_long = lasted >= settings.interrupt_after;
    let is_much = said.len() >= settings.interrupt_words.max(1);
    if backchannel::stops(&said) || is_much || is_long {
        Judgement::Interrupts
    } else {
        Judgement::No(NotTaken::TooShort)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_decide_what_speech_over_the_agent_is() {
        let settings = TurnSettings::default();
        let mut lately = Lately::default();
        lately.hear("Wir haben am Dienstag oder am Mittwoch geöffnet.");
        let (short, long) = (Duration::from_millis(200), Duration::from_millis(900));
        let no = Judgement::No;
        for (text, lasted, judged) in [
            ("", long, no(NotTaken::NoWords)),
            ("äh", long, no(NotTaken::NoWords)),
            ("mhm", long, no(NotTaken::Backchannel)),
            ("Ja, genau.", short, no(NotTaken::Backchannel)),
            ("Dienstag oder am Mittwoch", long, no(NotTaken::Echo)),
            ("Donnerstag", short, no(NotTaken::TooShort)),
            ("Donnerstag", long, Judgement::Interrupts),
            ("Geht auch Donnerstag?", short, Judgement::Interrupts),
            ("Stopp", short, Judgement::Interrupts),
            ("no", short, Judgement::Interrupts),
            ("okay, and what does it cost", short, Judgement::Interrupts),
        ] {
            assert_eq!(judge(text, lasted, &lately, &settings), judged, "{text}");
        }
    }
}
