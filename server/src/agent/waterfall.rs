//! When what happened on the way from somebody's last sound to the first sound of the answer, turn by turn.
//!
//! Pure: told what happens with its time, asked once a turn is over. What is measured of a turn goes into the stages of
//! [`crate::telemetry`] as soon as it is known. A handful of turns are remembered: those that were prepared and thrown
//! away, and the one that is on.

use std::{collections::VecDeque, time::Duration};

use bot::{
    agent::{AskId, TurnId},
    event::Waterfall,
};
use media::time::MediaTime;

/// Turns that are remembered. The oldest is forgotten: nobody asks for it any more.
const TURNS_MAX: usize = 16;

/// The turns that are on, and questions that wait for their first word.
#[derive(Debug, Default)]
pub(super) struct Waterfalls {
    turns: VecDeque<(TurnId, Waterfall)>,
    asks: VecDeque<(AskId, TurnId)>,
}

/// How long a stage took, by its name.
pub(super) type Took = (&'static str, Duration);

impl Waterfalls {
    /// The caller is done: they stopped at `speech_ended`, and it was decided now.
    pub(super) fn turn_ended(&mut self, turn: TurnId, speech_ended: MediaTime, now: MediaTime) -> Took {
        let fall = self.of(turn);
        (fall.speech_ended, fall.turn_ended) = (Some(speech_ended), Some(now));
        ("turn", now.since(speech_ended))
    }

    /// A model is asked.
    pub(super) fn asked(&mut self, turn: TurnId, ask: AskId, now: MediaTime) {
        self.of(turn).asked.get_or_insert(now);
        if self.asks.len() >= TURNS_MAX {
            self.asks.pop_front();
        }
        self.asks.push_back((ask, turn));
    }

    /// A word of a model came.
    pub(super) fn answered(&mut self, ask: AskId, now: MediaTime) -> Option<Took> {
        let at = self.asks.iter().position(|(asked, _)| *asked == ask)?;
        let (_, turn) = self.asks.remove(at)?;
        let fall = self.of(turn);
        if fall.first_token.is_some() {
            return None;
        }
        fall.first_token = Some(now);
        fall.asked.map(|asked| ("llm_first_token", now.since(asked)))
    }

    /// The voice made sound of the turn.
    pub(super) fn made(&mut self, turn: TurnId, at: MediaTime) {
        self.of(turn).first_audio.get_or_insert(at);
    }

    /// Sound of the turn is heard.
    pub(super) fn heard(&mut self, turn: TurnId, at: MediaTime) -> Option<Took> {
        let fall = self.of(turn);
        if fall.heard.is_some() {
            return None;
        }
        fall.heard = Some(at);
        fall.speech_ended.map(|ended| ("ear_to_ear", at.since(ended)))
    }

    /// What is known of a turn that is over.
    pub(super) fn take(&mut self, turn: TurnId) -> Option<Waterfall> {
        let at = self.turns.iter().position(|(of, _)| *of == turn)?;
        self.turns.remove(at).map(|(_, fall)| fall)
    }

    fn of(&mut self, turn: TurnId) -> &mut Waterfall {
        let at = self.turns.iter().position(|(of, _)| *of == turn).unwrap_or_else(|| {
            if self.turns.len() >= TURNS_MAX {
                self.turns.pop_front();
            }
            self.turns.push_back((turn, Waterfall::default()));
            self.turns.len() - 1
        });
        &mut self.turns[at].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    #[test]
    fn a_turn_that_was_prepared_early_keeps_when_it_was_asked_and_each_stage_is_told_once() {
        let mut falls = Waterfalls::default();
        let (turn, ask) = (TurnId(3), AskId(8));
        falls.asked(turn, ask, ms(1_150));
        assert_eq!(falls.turn_ended(turn, ms(1_000), ms(1_250)), ("turn", Duration::from_millis(250)));
        assert_eq!(falls.answered(ask, ms(1_300)), Some(("llm_first_token", Duration::from_millis(150))));
        assert_eq!(falls.answered(ask, ms(1_310)), None);
        falls.made(turn, ms(1_350));
        falls.made(turn, ms(1_900));
        assert_eq!(falls.heard(turn, ms(1_380)), Some(("ear_to_ear", Duration::from_millis(380))));
        assert_eq!(falls.heard(turn, ms(2_000)), None);
        let fall = falls.take(turn).unwrap();
        let times = [fall.speech_ended, fall.turn_ended, fall.asked, fall.first_token, fall.first_audio, fall.heard];
        assert_eq!(times, [1_000, 1_250, 1_150, 1_300, 1_350, 1_380].map(|at| Some(ms(at))));
        assert_eq!(falls.take(turn), None);
    }

    #[test]
    fn a_greeting_answers_nobody_and_is_no_stage() {
        let mut falls = Waterfalls::default();
        falls.made(TurnId(1), ms(90));
        assert_eq!(falls.heard(TurnId(1), ms(100)), None);
        assert_eq!(falls.take(TurnId(1)).and_then(|fall| fall.heard), Some(ms(100)));
    }

    #[test]
    fn turns_that_nobody_asks_for_do_not_pile_up() {
        let mut falls = Waterfalls::default();
        for number in 0..1_000 {
            falls.asked(TurnId(number), AskId(number), ms(number));
        }
        assert_eq!((falls.turns.len(), falls.asks.len()), (TURNS_MAX, TURNS_MAX));
    }
}
