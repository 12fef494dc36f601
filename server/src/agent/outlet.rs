//! Where what an agent says goes: to its own voice in the room, or as text to somebody who speaks it.
//!
//! The conversation's task holds one of the two and does not ask which. [`Script`] is the second: sentences leave as
//! [`Piece`]s, and what is heard of them is reckoned ([`super::reckoning`]). Whoever reads the pieces takes them from a
//! queue of 128; one more is told as not spoken. Runs on the conversation's task. Never real time.

use std::{collections::VecDeque, sync::Arc};

use bot::persona::Persona;
use media::time::{Epoch, MediaTime};
use tokio::sync::mpsc;
use tts::{
    utterance::Utterance,
    voice::{Language, VoiceId},
};

use super::{
    mouth::{Heard, Mouth, Sentence},
    reckoning::Reckoning,
};
use crate::clock::Clock;

/// Pieces that wait for whoever speaks them: all that an agent says in one turn.
const PIECES_MAX: usize = 128;

/// What somebody else is to speak for an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A sentence.
    Text {
        /// Plain text.
        text: String,
        /// In which language.
        language: Language,
    },
    /// No more comes of what came before.
    Last,
}

/// Where it goes.
pub(super) enum Outlet {
    Voice(Box<Mouth>),
    Script(Box<Script>),
}

impl Outlet {
    /// A persona as it behaves here: where somebody else listens and speaks, they say when a turn is over and whether it
    /// was an interruption.
    pub(super) fn suit(&self, persona: Arc<Persona>) -> Arc<Persona> {
        match self {
            Self::Voice(_) => persona,
            Self::Script(_) => patient(&persona),
        }
    }

    pub(super) fn mute(&mut self, is_muted: bool) {
        match self {
            Self::Voice(mouth) => mouth.mute(is_muted),
            // Nobody in the room hears it anyway.
            Self::Script(_) => {}
        }
    }

    /// Says a sentence behind those that were said before.
    pub(super) fn say(&mut self, sentence: Sentence, text: String, voice: VoiceId, language: Language) {
        match self {
            Self::Voice(mouth) => mouth.say(sentence, &text, Utterance::plain(voice, text.as_str())),
            Self::Script(script) => script.say(sentence, text, language),
        }
    }

    pub(super) fn pause(&mut self) {
        match self {
            Self::Voice(mouth) => mouth.pause(),
            // Whoever speaks holds still by themselves.
            Self::Script(_) => {}
        }
    }

    pub(super) fn resume(&mut self) {
        match self {
            Self::Voice(mouth) => mouth.resume(),
            Self::Script(_) => {}
        }
    }

    /// Drops this turn and those before it.
    pub(super) fn hush(&mut self, turn: u64) {
        match self {
            Self::Voice(mouth) => mouth.hush(turn),
            Self::Script(script) => script.hush(turn),
        }
    }

    /// No more comes of what was said last, for now.
    pub(super) fn rest(&mut self) {
        match self {
            // A voice sees for itself when it has nothing to say.
            Self::Voice(_) => {}
            Self::Script(script) => script.rest(),
        }
    }

    /// What was heard next, and when; `None` when nobody can hear it any more. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<(MediaTime, Heard)> {
        match self {
            Self::Voice(mouth) => mouth.next().await,
            Self::Script(script) => Some(script.next().await),
        }
    }

    /// Whether what it tells was heard, and not reckoned.
    pub(super) fn hears_itself(&self) -> bool {
        matches!(self, Self::Voice(_))
    }

    /// All that was handed over is taken for heard; a voice of our own knows better.
    pub(super) fn heard_all(&mut self) -> Vec<Heard> {
        match self {
            Self::Voice(_) => Vec::new(),
            Self::Script(script) => {
                let now = script.now();
                script.reckoning.all(now)
            }
        }
    }

    /// Whoever speaks tells that this was played next.
    pub(super) fn played(&mut self, text: &str) -> Vec<Heard> {
        match self {
            Self::Voice(_) => Vec::new(),
            Self::Script(script) => {
                let now = script.now();
                script.reckoning.played(text, now)
            }
        }
    }

    /// How many words of which sentences were heard when somebody interrupted after `utterance`.
    pub(super) fn heard_until(&self, utterance: &str) -> Vec<(Sentence, usize)> {
        match self {
            Self::Voice(_) => Vec::new(),
            Self::Script(script) => script.reckoning.until(utterance),
        }
    }

    /// The same by the clock, for a conversation that ends here.
    pub(super) fn heard_by_now(&self) -> Vec<(Sentence, usize)> {
        match self {
            Self::Voice(_) => Vec::new(),
            Self::Script(script) => script.reckoning.by(script.now()),
        }
    }
}

/// Sentences for somebody who speaks them.
pub(super) struct Script {
    pieces: mpsc::Sender<Piece>,
    reckoning: Reckoning,
    ready: VecDeque<(MediaTime, Heard)>,
    /// The turn of which more may come, as far as whoever speaks knows.
    open: Option<u64>,
    epoch: Epoch,
    clock: Clock,
}

impl Script {
    /// One whose times are those of a room, and where its pieces come out.
    pub(super) fn new(epoch: Epoch, clock: Clock) -> (Self, mpsc::Receiver<Piece>) {
        let (pieces, taken) = mpsc::channel(PIECES_MAX);
        let (reckoning, ready) = (Reckoning::default(), VecDeque::new());
        (Self { pieces, reckoning, ready, open: None, epoch, clock }, taken)
    }

    fn now(&self) -> MediaTime {
        self.epoch.at(self.clock.now())
    }

    fn say(&mut self, sentence: Sentence, text: String, language: Language) {
        if self.open.is_some_and(|open| open != sentence.turn()) {
            self.rest();
        }
        let now = self.now();
        let spoken = text.clone();
        if self.pieces.try_send(Piece::Text { text, language }).is_err() {
            let why = "whoever speaks for the agent does not take its words";
            return self.ready.push_back((now, Heard::NotSpoken(sentence, why.to_owned())));
        }
        self.open = Some(sentence.turn());
        self.reckoning.say(sentence, &spoken, now);
    }

    fn rest(&mut self) {
        // Where the queue is full it is closed by the next sentence, or with the conversation.
        if self.open.is_some() && self.pieces.try_send(Piece::Last).is_ok() {
            self.open = None;
        }
    }

    fn hush(&mut self, turn: u64) {
        if self.open.is_some_and(|open| open <= turn) {
            self.rest();
        }
        self.ready.retain(|(_, heard)| match heard {
            Heard::Made(of)
            | Heard::Began(of)
            | Heard::Words(of, _)
            | Heard::Played(of)
            | Heard::NotSpoken(of, _)
            | Heard::Moved(of, _) => of.turn() > turn,
        });
        let now = self.now();
        self.reckoning.hush(turn, now);
    }

    async fn next(&mut self) -> (MediaTime, Heard) {
        loop {
            if let Some(heard) = self.ready.pop_front() {
                return heard;
            }
            match self.reckoning.due() {
                Some(at) => tokio::time::sleep_until((self.epoch.instant + at.as_duration()).into()).await,
                None => std::future::pending().await,
            }
            let now = self.now();
            self.ready.extend(self.reckoning.expire(now).into_iter().map(|heard| (now, heard)));
        }
    }
}

/// A persona whose caller is listened to by somebody else: nothing is prepared, nothing ends by silence, and only they
/// know what interrupts.
pub(super) fn patient(persona: &Persona) -> Arc<Persona> {
    let mut persona = persona.clone();
    persona.turn.answers_when_asked = true;
    persona.turn.is_interruptible = false;
    persona.turn.is_eager = false;
    Arc::new(persona)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn script() -> (Script, mpsc::Receiver<Piece>) {
        Script::new(Clock.epoch(), Clock)
    }

    fn text(text: &str) -> Piece {
        Piece::Text { text: text.to_owned(), language: Language::GERMAN }
    }

    fn pieces(taken: &mut mpsc::Receiver<Piece>) -> Vec<Piece> {
        std::iter::from_fn(|| taken.try_recv().ok()).collect()
    }

    #[tokio::test]
    async fn an_answer_is_closed_once_and_before_the_next_one_begins() {
        let (mut script, mut taken) = script();
        script.rest();
        script.say(Sentence::new(1, 1), "Guten Tag.".to_owned(), Language::GERMAN);
        script.say(Sentence::new(1, 2), "Ja?".to_owned(), Language::GERMAN);
        script.rest();
        script.rest();
        script.say(Sentence::new(2, 3), "Gern.".to_owned(), Language::GERMAN);
        script.say(Sentence::new(3, 4), "Moment.".to_owned(), Language::GERMAN);
        script.hush(2);
        script.hush(3);
        let expected =
            [text("Guten Tag."), text("Ja?"), Piece::Last, text("Gern."), Piece::Last, text("Moment."), Piece::Last];
        assert_eq!(pieces(&mut taken), expected);
    }

    #[tokio::test]
    async fn what_nobody_takes_is_told_as_not_spoken_and_the_rest_is_heard_in_its_time() {
        let (mut script, mut taken) = script();
        for number in 1..=PIECES_MAX as u64 + 1 {
            script.say(Sentence::new(1, number), "x".to_owned(), Language::GERMAN);
        }
        let (_, heard) = script.next().await;
        assert!(matches!(heard, Heard::NotSpoken(of, _) if of.number() == PIECES_MAX as u64 + 1), "{heard:?}");
        assert_eq!(pieces(&mut taken).len(), PIECES_MAX);
        let next = tokio::time::timeout(Duration::from_secs(20), script.next()).await;
        assert!(matches!(next, Ok((_, Heard::Began(of))) if of.number() == 1), "{next:?}");
    }
}
