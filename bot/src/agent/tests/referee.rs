//! A referee for calls: sees inputs and outputs, nothing else, and knows what was promised.
//!
//! Nothing of a turn that was hushed, thrown away or ended is said, asked or called; a model is asked one thing at a time, a
//! call is made once, a pause ends once, and every turn of a caller ends once: answered or dropped.

use std::collections::BTreeSet;

use super::{
    explore::{LISTENING, Step, WORDS},
    *,
};

/// What the referee knows: inputs and outputs, nothing else.
#[derive(Clone, Default)]
pub(super) struct Referee {
    pub(super) is_speaking: bool,
    /// The words so far of the utterance under way; none when there is none.
    pub(super) utterance: Option<&'static str>,
    pub(super) ask: Option<AskId>,
    /// Whether the model has written, and called, in answer to that.
    pub(super) has_written: bool,
    pub(super) has_called: bool,
    pub(super) voice: Vec<Spoken>,
    /// All that was heard of answers.
    pub(super) heard: Vec<String>,
    pub(super) hushed: TurnId,
    pub(super) thrown_away: BTreeSet<TurnId>,
    pub(super) is_paused: bool,
    /// Turns of the caller that are not yet answered nor dropped.
    pub(super) open: BTreeSet<TurnId>,
    pub(super) closed: BTreeSet<TurnId>,
    pub(super) running: Vec<String>,
    pub(super) called: BTreeSet<String>,
    pub(super) bridges: bool,
    /// Whether it was the voice that said it failed, so that it is known already.
    pub(super) voice_told: bool,
    pub(super) is_over: bool,
    pub(super) calls: u32,
    pub(super) utterances: u64,
}

#[derive(Clone, Hash)]
pub(super) struct Spoken {
    pub(super) turn: TurnId,
    pub(super) id: u64,
    pub(super) text: String,
    pub(super) heard: usize,
    pub(super) is_bridge: bool,
}

impl Spoken {
    pub(super) fn heard(&self) -> String {
        self.text.split_whitespace().take(self.heard).collect::<Vec<_>>().join(" ")
    }
}

impl Referee {
    /// What happens, before the agent is told.
    pub(super) fn sees(&mut self, step: Step, words_of_first: Option<usize>) {
        match step {
            Step::SpeechOn => {
                (self.is_speaking, self.utterance) = (true, Some(""));
                self.utterances += 1;
            }
            Step::Listening => self.utterance = Some(LISTENING),
            Step::Words => self.utterance = Some(WORDS),
            Step::Final => self.utterance = None,
            Step::SpeechOff => self.is_speaking = false,
            Step::Text => self.has_written = true,
            Step::SafeCall | Step::Call => {
                self.has_called = true;
                self.calls += 1;
            }
            Step::Done | Step::Fail => self.ask = None,
            Step::ToolDone | Step::ToolFailed => {
                self.running.remove(0);
            }
            Step::Word => self.voice[0].heard = 1,
            Step::Played => {
                self.voice[0].heard = words_of_first.unwrap_or(0);
                self.is_heard(0);
            }
            Step::NotSpoken => {
                self.voice_told = true;
                self.is_heard(0);
            }
            Step::HangUp => self.hears_no_more(TurnId(u64::MAX)),
            Step::Score | Step::Key | Step::Time | Step::Respond | Step::Stop => {}
        }
    }

    /// All that was heard of answers, whether over or not.
    pub(super) fn heard(&self) -> String {
        let now = self.voice.iter().filter(|spoken| spoken.heard > 0 && !spoken.is_bridge).map(Spoken::heard);
        self.heard.iter().cloned().chain(now).collect::<Vec<_>>().join(" ")
    }

    /// Nothing more of a sentence is heard.
    pub(super) fn is_heard(&mut self, at: usize) {
        let spoken = self.voice.remove(at);
        if spoken.heard > 0 && !spoken.is_bridge {
            self.heard.push(spoken.heard());
        }
    }

    pub(super) fn hears_no_more(&mut self, through: TurnId) {
        while self.voice.first().is_some_and(|spoken| spoken.turn <= through) {
            self.is_heard(0);
        }
    }

    /// What the agent wants: whether it may.
    pub(super) fn judges(&mut self, output: Output) -> Result<(), String> {
        let broken = |what: &str| Err(format!("{what}: {output:?}"));
        if self.is_over && !matches!(output, Output::Publish(_)) {
            return broken("something after the end");
        }
        let is_dead =
            |turn: TurnId| turn <= self.hushed || self.thrown_away.contains(&turn) || self.closed.contains(&turn);
        match &output {
            Output::Ask { ask, turn, role, .. } => {
                if is_dead(*turn) || (*role == llm::Role::Primary && self.ask.is_some()) {
                    return broken("asked for a dead turn, or twice");
                }
                (self.ask, self.has_written, self.has_called) = (Some(*ask), false, false);
            }
            Output::Cancel(ask) => {
                if self.ask.take_if(|asked| asked == ask).is_none() {
                    return broken("cancelled what nobody asked");
                }
            }
            Output::Speak { turn, sentence, text, .. } => {
                if is_dead(*turn) {
                    return broken("said for a dead turn");
                }
                let is_bridge = std::mem::take(&mut self.bridges);
                self.voice.push(Spoken { turn: *turn, id: *sentence, text: text.clone(), heard: 0, is_bridge });
            }
            Output::Pause => {
                if std::mem::replace(&mut self.is_paused, true) {
                    return broken("paused twice");
                }
            }
            Output::Resume => {
                if !std::mem::take(&mut self.is_paused) {
                    return broken("resumed what was not paused");
                }
            }
            Output::Hush(turn) => {
                self.hushed = *turn;
                self.is_paused = false;
                self.hears_no_more(*turn);
            }
            Output::Call { call, turn, .. } => {
                if is_dead(*turn) || self.is_paused || !self.called.insert(call.id.clone()) {
                    return broken("called for a dead turn, twice, or while somebody spoke");
                }
                self.running.push(call.id.clone());
            }
            Output::CancelCall(id) => {
                let before = self.running.len();
                self.running.retain(|running| running != id);
                if self.running.len() == before {
                    return broken("cancelled what does not run");
                }
            }
            Output::HangUp { .. } => self.is_over = true,
            Output::Press(_) | Output::Transfer { .. } | Output::HandOver { .. } => {}
            Output::Publish(notice) => return self.notes(notice),
        }
        Ok(())
    }

    pub(super) fn notes(&mut self, notice: &Notice) -> Result<(), String> {
        match notice {
            Notice::TurnEnded { turn, .. } => {
                self.open.insert(*turn);
            }
            Notice::ThrownAway { turn, .. } => {
                self.thrown_away.insert(*turn);
            }
            Notice::Bridged { .. } => self.bridges = true,
            Notice::BotSpoke { turn, .. } | Notice::BotInterrupted { turn, .. } | Notice::Dropped { turn, .. } => {
                self.open.remove(turn);
                if !self.closed.insert(*turn) {
                    return Err(format!("a turn ended twice: {notice:?}"));
                }
            }
            // The voice was given up on a sentence: what was heard of it is all.
            Notice::Trouble { turn, why, .. } if why == "the voice failed" => {
                if !std::mem::take(&mut self.voice_told)
                    && let Some(at) = self.voice.iter().position(|spoken| spoken.turn == *turn)
                {
                    self.is_heard(at);
                }
            }
            Notice::Over { .. } => self.is_over = true,
            _ => {}
        }
        Ok(())
    }
}

#[test]
fn the_referee_sees_a_broken_promise() {
    let speak = |turn| Output::Speak { turn, sentence: 1, text: "Ja.".to_owned(), language: Language::GERMAN };
    let call = |id: &str| Call { id: id.to_owned(), name: "book".to_owned(), arguments: String::new() };
    let ask =
        |ask| Output::Ask { ask: AskId(ask), turn: TurnId(9), role: llm::Role::Primary, request: Request::default() };
    let spoke = |turn| {
        let (heard, language, took) = (String::new().into(), Language::GERMAN, Duration::ZERO);
        Output::Publish(Notice::BotSpoke { turn, heard, language, took })
    };
    let called = |id| Output::Call { call: call(id), turn: TurnId(9), is_offered: true };
    let thrown_away = Output::Publish(Notice::ThrownAway { turn: TurnId(5), after: Duration::ZERO });
    let broken: [Vec<Output>; 9] = [
        vec![Output::Hush(TurnId(2)), speak(TurnId(1))],
        vec![thrown_away, speak(TurnId(5))],
        vec![called("a"), called("a")],
        vec![Output::Pause, called("a")],
        vec![ask(1), ask(2)],
        vec![Output::Cancel(AskId(1))],
        vec![Output::Resume],
        vec![spoke(TurnId(1)), spoke(TurnId(1))],
        vec![Output::HangUp { why: HangUpWhy::Goodbye }, speak(TurnId(9))],
    ];
    for outputs in broken {
        let mut referee = Referee::default();
        let last = outputs.len() - 1;
        for (at, output) in outputs.into_iter().enumerate() {
            let shown = format!("{output:?}");
            assert_eq!(referee.judges(output).is_err(), at == last, "{shown}");
        }
    }
}
