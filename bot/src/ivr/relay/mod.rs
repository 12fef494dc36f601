//! The vendor's `ConversationRelay`, as its host: what a caller says goes to an application as words, and words that come
//! back are spoken.
//!
//! [`Relay`] is a pure value. It is told what the application sends, what the ears hear, which keys are pressed and what
//! of the voice was heard, and when; it asks for what is to be done ([`Output`]). The contract is that of all our
//! machines: *after every `handle`, drain `poll`, then come back at `due`*. [`crate::turn`] decides when a caller has
//! ended and whether what they say over the voice interrupts it; here is who is told.
//!
//! What an application lets the caller hear goes one after the other, each as a [`cycle::Cycle`]: an answer, a file, keys.
//! An interruption drops all of them, and what still comes of an answer that was under way ([`caller`]).

mod border;
mod caller;
mod cycle;
pub mod message;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use media::time::MediaTime;

pub use self::{
    border::{Input, Output},
    cycle::Tongue,
};
use self::{
    caller::manners,
    cycle::{Answer, Cycle, What},
    message::{Command, Manner, Text},
};
use super::{
    input::RelayEvent,
    notice::Code,
    twiml::{Disturbing, RelaySettings, is_kin},
};
use crate::turn::{self, Floor, Said, Turns};

/// Things that wait to be heard; an application that sends more is told, and they are dropped.
const CYCLES_MAX: usize = 64;

/// Text that waits for the voice: twenty minutes of speech. More is dropped, and the application told.
const WAITING_BYTES_MAX: usize = 20_000;

/// Messages that cannot be read before the application is given up: a bug in one is no reason, another protocol is.
const BAD_MESSAGES_MAX: u32 = 100;

/// A conversation of words between a caller and an application.
pub struct Relay {
    settings: RelaySettings,
    /// Who speaks, where a message does not say.
    tongue: Tongue,
    hears: Option<String>,
    turns: Turns,
    /// The words of the turn under way, for those who want them before it ends.
    said: Said,
    told_partial: String,
    /// What is heard, and what waits for it.
    cycles: VecDeque<Cycle>,
    last_turn: u64,
    /// Whether the answer whose tokens came last is to have more.
    is_open: bool,
    /// Until when tokens are those of an answer that was interrupted.
    straggling_until: Option<MediaTime>,
    /// What the turns were told.
    floor: (Floor, bool),
    /// Whether the last that was heard is a question.
    has_asked: bool,
    paused_at: Option<MediaTime>,
    bad_messages: u32,
    is_over: bool,
    outputs: VecDeque<Output>,
}

impl Relay {
    /// A conversation that begins at `now`, once it is told `Begin`.
    pub fn new(settings: RelaySettings, now: MediaTime) -> Self {
        Self {
            tongue: Tongue { language: settings.speaks.clone(), voice: settings.voice.clone() },
            hears: settings.hears.clone().filter(|language| !is_any(language)),
            turns: Turns::new(manners(&settings), now),
            settings,
            said: Said::default(),
            told_partial: String::new(),
            cycles: VecDeque::new(),
            last_turn: 0,
            is_open: false,
            straggling_until: None,
            floor: (Floor::Free, true),
            has_asked: false,
            paused_at: None,
            bad_messages: 0,
            is_over: false,
            outputs: VecDeque::new(),
        }
    }

    /// Takes what happened at `now`, and what is due by then.
    pub fn handle(&mut self, input: Input<'_>, now: MediaTime) {
        if self.is_over {
            return;
        }
        match input {
            Input::Begin => self.on_begin(now),
            Input::Message(text) => match Command::read(text) {
                Ok(command) => self.on_command(command, now),
                Err(bad) => self.on_bad_message(&bad.to_string()),
            },
            Input::Binary => self.on_bad_message("a message that is no text"),
            Input::Ears(event) => self.on_ears(event, now),
            Input::Key(key) => self.on_key(key, now),
            Input::Began { turn, sentence } => self.on_began(turn, sentence, now),
            Input::Words { turn, sentence, words } => {
                if let Some(answer) = self.answer(turn) {
                    answer.words(sentence, words);
                }
            }
            Input::Played { turn, sentence } => self.on_played(turn, sentence),
            Input::NotSpoken { turn, sentence } => {
                if let Some(answer) = self.answer(turn) {
                    answer.not_spoken(sentence);
                    self.complain("a text could not be spoken");
                }
            }
            Input::SoundEnded { turn, is_made } => self.on_sound_ended(turn, is_made),
            Input::Closed => self.fail(Code::RELAY_CLOSED, "the WebSocket ended before the application was done"),
            Input::Tick => self.turns.handle(turn::Input::Tick, now),
        }
        self.cycles.iter_mut().filter_map(Cycle::answer).for_each(|answer| answer.tick(now));
        self.settle(now);
    }

    /// What is to be done next, until there is nothing.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When it must be told the time again, if nothing happens before.
    pub fn due(&self) -> Option<MediaTime> {
        if self.is_over {
            return None;
        }
        let answers = self.cycles.iter().filter_map(|cycle| match &cycle.what {
            What::Answer(answer) => answer.due(),
            What::File { .. } | What::Keys { .. } => None,
        });
        answers.chain(self.turns.due()).min()
    }

    fn on_begin(&mut self, now: MediaTime) {
        self.outputs.push_back(Output::Expect(self.hears.clone()));
        let greeting = self.settings.greeting.clone();
        if !greeting.trim().is_empty() {
            let mut answer = Answer::new(self.tongue.clone());
            answer.push(&greeting, &self.tongue, now);
            answer.end();
            let interruptible = self.settings.greeting_interruptible;
            self.begin(What::Answer(answer), Manner { interruptible: Some(interruptible), preemptible: Some(false) });
        }
    }

    fn on_command(&mut self, command: Command, now: MediaTime) {
        match command {
            Command::Text(text) => self.on_text(&text, now),
            Command::Play { source, times, manner } => {
                self.begin(What::File { url: source, times, is_begun: false }, manner);
            }
            // Nobody interrupts a key that is being pressed.
            Command::Press(tones) => {
                let manner = Manner { interruptible: Some(Disturbing::Nothing), preemptible: Some(false) };
                self.begin(What::Keys { tones, is_begun: false }, manner);
            }
            Command::Language { speaks, hears } => self.on_language(speaks, hears),
            Command::End { handoff } => {
                self.outputs.push_back(Output::Hush(self.last_turn));
                self.end(RelayEvent::Ended { handoff });
            }
        }
    }

    fn on_text(&mut self, text: &Text, now: MediaTime) {
        let continues = std::mem::replace(&mut self.is_open, !text.is_last);
        if let Some(until) = self.straggling_until {
            // The last token of what was interrupted ends it in any case.
            if text.is_last || now >= until {
                self.straggling_until = None;
            }
            if now < until {
                return;
            }
        }
        let waiting: usize =
            self.cycles.iter_mut().filter_map(Cycle::answer).map(|answer| answer.waiting_bytes()).sum();
        if waiting + text.token.len() > WAITING_BYTES_MAX {
            return self.complain("more text waits to be spoken than anybody listens to; it was dropped");
        }
        let tongue = match text.language.as_deref().map(|code| self.tongue_of(code)) {
            None => self.tongue.clone(),
            Some(Some(tongue)) => tongue,
            Some(None) => {
                self.complain("lang is no language that the document declares; the text is spoken as before");
                self.tongue.clone()
            }
        };
        let goes_on =
            continues && self.cycles.back_mut().and_then(Cycle::answer).is_some_and(|answer| answer.is_open());
        if !goes_on {
            if text.token.trim().is_empty() {
                return;
            }
            if !self.begin(What::Answer(Answer::new(tongue.clone())), text.manner) {
                return;
            }
        }
        let Some(cycle) = self.cycles.back_mut() else { return };
        cycle.interruptible = text.manner.interruptible.unwrap_or(cycle.interruptible);
        cycle.preemptible = text.manner.preemptible.unwrap_or(cycle.preemptible);
        if let Some(answer) = cycle.answer() {
            answer.push(&text.token, &tongue, now);
            if text.is_last {
                answer.end();
            }
        }
    }

    fn on_language(&mut self, speaks: Option<String>, hears: Option<String>) {
        if let Some(code) = speaks {
            match self.tongue_of(&code) {
                Some(tongue) => self.tongue = tongue,
                None => self.complain("ttsLanguage is no language that the document declares; nothing is changed"),
            }
        }
        if let Some(code) = hears {
            let declared = self.settings.languages.iter().map(|language| &language.code);
            if declared.chain(&self.settings.hears).any(|known| is_kin(known, &code)) {
                self.hears = Some(code).filter(|code| !is_any(code));
                self.outputs.push_back(Output::Expect(self.hears.clone()));
            } else {
                self.complain("transcriptionLanguage is no language that the document declares; nothing is changed");
            }
        }
    }

    fn on_bad_message(&mut self, why: &str) {
        self.complain(why);
        self.bad_messages += 1;
        if self.bad_messages > BAD_MESSAGES_MAX {
            self.fail(Code::RELAY_MESSAGE, "what comes over the WebSocket are no messages of ConversationRelay");
        }
    }

    fn on_began(&mut self, turn: u64, sentence: u64, now: MediaTime) {
        let Some(cycle) = self.cycles.front_mut().filter(|cycle| cycle.turn == turn) else { return };
        cycle.began.get_or_insert(now);
        if let Some(text) = cycle.answer().and_then(|answer| answer.began(sentence)) {
            self.has_asked = text.trim_end().ends_with('?');
            self.turns.handle(turn::Input::Audible(text), now);
        }
    }

    fn on_played(&mut self, turn: u64, sentence: u64) {
        let Some(answer) = self.answer(turn) else { return };
        let played = answer.played(sentence);
        if self.settings.tells_played && !played.is_empty() {
            self.tell(message::played(&played));
        }
    }

    fn on_sound_ended(&mut self, turn: u64, is_made: bool) {
        let is_it = |cycle: &Cycle| cycle.turn == turn && !matches!(cycle.what, What::Answer(_));
        if self.cycles.pop_front_if(|cycle| is_it(cycle)).is_some() && !is_made {
            self.complain("a file could not be played, or keys not pressed");
        }
    }

    /// Behind what waits, or instead of what gives way to it; false when too much waits.
    fn begin(&mut self, what: What, manner: Manner) -> bool {
        if let Some(answer) = self.cycles.back_mut().and_then(Cycle::answer) {
            answer.end();
        }
        // Only the first is heard, or made; of the others nobody knows yet.
        if let Some(first) = self.cycles.front().filter(|first| first.preemptible) {
            self.outputs.push_back(Output::Hush(first.turn));
            if self.paused_at.take().is_some() {
                self.outputs.push_back(Output::Resume);
            }
        }
        self.cycles.retain(|cycle| !cycle.preemptible);
        if self.cycles.len() >= CYCLES_MAX {
            self.complain("more waits to be heard than anybody listens to; it was dropped");
            return false;
        }
        self.last_turn += 1;
        self.cycles.push_back(Cycle {
            turn: self.last_turn,
            interruptible: manner.interruptible.unwrap_or(self.settings.interruptible),
            preemptible: manner.preemptible.unwrap_or(self.settings.preemptible),
            began: None,
            what,
        });
        true
    }

    /// Hands out what is to be heard next, tells the turns who has the floor, and does what they decide.
    fn settle(&mut self, now: MediaTime) {
        while !self.is_over {
            self.go_on(now);
            self.hold_floor(now);
            let Some(decided) = self.turns.poll() else { return };
            self.on_decided(decided, now);
        }
    }

    fn go_on(&mut self, now: MediaTime) {
        while self.cycles.pop_front_if(|cycle| cycle.answer().is_some_and(|answer| answer.is_done())).is_some() {}
        let Some(Cycle { turn, began, what, .. }) = self.cycles.front_mut() else { return };
        let turn = *turn;
        match what {
            What::Answer(answer) => {
                while let Some(sentence) = answer.send() {
                    let (text, tongue) = (sentence.text.into(), sentence.tongue);
                    self.outputs.push_back(Output::Say { turn, sentence: sentence.number, text, tongue });
                }
            }
            What::File { url, times, is_begun } => {
                if !std::mem::replace(is_begun, true) {
                    *began = Some(now);
                    self.outputs.push_back(Output::Play { turn, url: url.clone(), times: *times });
                }
            }
            What::Keys { tones, is_begun } => {
                if !std::mem::replace(is_begun, true) {
                    *began = Some(now);
                    self.outputs.push_back(Output::Press { turn, tones: tones.clone() });
                }
            }
        }
    }

    /// The answer of this number, while it is heard.
    fn answer(&mut self, turn: u64) -> Option<&mut Answer> {
        self.cycles.front_mut().filter(|cycle| cycle.turn == turn)?.answer()
    }

    /// How a language is spoken that the document declares: by that of its region, or else by the first of any region.
    fn tongue_of(&self, code: &str) -> Option<Tongue> {
        let RelaySettings { speaks, voice, languages, .. } = &self.settings;
        let own = speaks.iter().map(|own| (own, voice));
        let known = languages.iter().map(|language| (&language.code, &language.voice)).chain(own);
        let (code, voice) = known
            .clone()
            .find(|(known, _)| known.eq_ignore_ascii_case(code))
            .or_else(|| known.clone().find(|(known, _)| is_kin(known, code)))?;
        Some(Tongue { language: Some(code.clone()), voice: voice.clone() })
    }

    fn tell(&mut self, message: String) {
        self.outputs.push_back(Output::Tell(message.into()));
    }

    fn complain(&mut self, what: &str) {
        self.tell(message::error(what));
    }

    fn fail(&mut self, code: Code, why: &str) {
        self.end(RelayEvent::Failed { code, why: why.to_owned() });
    }

    fn end(&mut self, event: RelayEvent) {
        self.is_over = true;
        self.cycles.clear();
        self.outputs.push_back(Output::End(event));
    }
}

/// Whether a language is whichever it turns out to be.
fn is_any(language: &str) -> bool {
    language.eq_ignore_ascii_case("multi")
}
