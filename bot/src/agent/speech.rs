//! What is said, and what is heard of it: sentences on their way through the voice.
//!
//! Pure. A sentence is said, begins to be heard, is heard word by word and is over; a voice that gives no sign of life is
//! given up. Waits are bridged by a word, so that nobody takes them for a dead line.

use std::time::Duration;

use media::time::MediaTime;

use super::{
    HangUpWhy, Notice, Output, TurnId,
    exchange::{Kind, Sentence, Stage, State, Then},
    lines,
    machine::Agent,
    template,
};
use crate::turn;

impl Agent {
    pub(super) fn say_goodbye(&mut self, why: HangUpWhy, now: MediaTime) {
        let text = lines::goodbye(&self.persona, &self.facts, self.language);
        self.say_line(&text, Some(Then::HangUp(why)), now);
    }

    /// Begins a turn that says a text of our own or of the persona, filled in already.
    pub(super) fn say_line(&mut self, text: &str, then: Option<Then>, now: MediaTime) {
        self.begin(Kind::Line, now);
        self.say_text(text, now);
        if let Some(exchange) = &mut self.exchange {
            exchange.then = then;
        }
    }

    /// Says a text that is whole, within the turn under way.
    pub(super) fn say_text(&mut self, text: &str, now: MediaTime) {
        let Some(exchange) = &mut self.exchange else { return };
        let mut pieces = exchange.splitter.push(text);
        pieces.extend(exchange.splitter.finish());
        for piece in pieces {
            self.say(piece, false, now);
        }
    }

    /// Hands held sentences to the voice.
    pub(super) fn release_sentences(&mut self) {
        let Some(exchange) = &mut self.exchange else { return };
        let (turn, language) = (exchange.turn, exchange.language);
        for sentence in exchange.sentences.iter_mut().filter(|sentence| sentence.stage == Stage::Held) {
            sentence.stage = Stage::Sent;
            let (id, text) = (sentence.id, sentence.text.clone());
            self.outputs.push_back(Output::Speak { turn, sentence: id, text, language });
        }
    }

    /// Says a sentence within the turn under way; one that is only prepared holds it.
    pub(super) fn say(&mut self, text: String, is_bridge: bool, now: MediaTime) {
        let Some(exchange) = &mut self.exchange else { return };
        if exchange.sentences.len() >= SENTENCES_MAX {
            return;
        }
        self.last_sentence += 1;
        let mut sentence = Sentence::new(self.last_sentence, text, exchange.round, is_bridge);
        if !exchange.is_prepared {
            if !exchange.is_speaking() {
                exchange.voice_at = now;
            }
            sentence.stage = Stage::Sent;
            self.outputs.push_back(Output::Speak {
                turn: exchange.turn,
                sentence: sentence.id,
                text: sentence.text.clone(),
                language: exchange.language,
            });
        }
        exchange.sentences.push(sentence);
    }

    pub(super) fn on_speech_began(&mut self, turn: TurnId, sentence: u64, now: MediaTime) {
        let Some(exchange) = &mut self.exchange else { return };
        exchange.voice_at = now;
        let since = exchange.caller_ended.unwrap_or(exchange.since);
        let is_heard = exchange.was_heard();
        let Some(sentence) = exchange.sentence(turn, sentence).filter(|sentence| sentence.stage == Stage::Sent) else {
            return;
        };
        sentence.stage = Stage::Begun;
        let is_bridge = sentence.is_bridge;
        let text = sentence.text.clone();
        exchange.began.get_or_insert(now);
        // A bridge is told when it is the first sound, an answer when it is the first words.
        let is_news = if is_bridge { !is_heard } else { !std::mem::replace(&mut exchange.is_told, true) };
        self.turns.handle(turn::Input::Audible(&text), now);
        if is_news {
            self.publish(Notice::BotSpeaking { turn, after: now.since(since), is_filler: is_bridge });
        }
    }

    pub(super) fn on_word_played(&mut self, turn: TurnId, sentence: u64, words: usize, now: MediaTime) {
        self.on_speech_began(turn, sentence, now);
        let Some(exchange) = &mut self.exchange else { return };
        exchange.voice_at = now;
        if let Some(sentence) = exchange.sentence(turn, sentence) {
            sentence.heard = sentence.heard.max(words.min(sentence.words));
        }
    }

    /// A sentence is over: heard to its end, or given up.
    pub(super) fn on_played(&mut self, turn: TurnId, sentence: u64, is_heard: bool, now: MediaTime) {
        if is_heard {
            self.on_speech_began(turn, sentence, now);
        }
        let Some(exchange) = &mut self.exchange else { return };
        exchange.voice_at = now;
        let Some(sentence) = exchange.sentence(turn, sentence).filter(|sentence| sentence.stage != Stage::Held) else {
            return;
        };
        sentence.stage = Stage::Over;
        if is_heard {
            sentence.heard = sentence.words;
        }
        exchange.quiet_since = now;
        let after = now.since(exchange.since);
        if !is_heard {
            self.publish(Notice::Trouble { turn, why: "the voice failed".to_owned(), after });
        }
    }

    /// Gives a voice up that gives no sign of life.
    pub(super) fn expire_voice(&mut self, now: MediaTime) {
        let Some(exchange) = &self.exchange else { return };
        if exchange.voice_due().is_none_or(|due| due > now) {
            return;
        }
        let turn = exchange.turn;
        let next = exchange.sentences.iter().find(|sentence| matches!(sentence.stage, Stage::Sent | Stage::Begun));
        if let Some(id) = next.map(|sentence| sentence.id) {
            self.on_played(turn, id, false, now);
        }
    }

    /// When a wait is bridged by a word.
    pub(super) fn bridge_due(&self) -> Option<MediaTime> {
        let exchange = self.exchange.as_ref().filter(|exchange| exchange.waits())?;
        let first = self.persona.turn.filler_after;
        let is_full = exchange.bridged >= BRIDGES_MAX || exchange.sentences.len() >= SENTENCES_MAX;
        if first == Duration::ZERO || is_full || self.turns.is_paused() {
            return None;
        }
        let is_again = exchange.sentences.last().is_some_and(|last| last.is_bridge);
        Some(exchange.quiet_since + if is_again { BRIDGE_AGAIN } else { first })
    }

    /// Bridges a wait that has become long.
    pub(super) fn bridge(&mut self, now: MediaTime) {
        if self.bridge_due().is_none_or(|due| due > now) {
            return;
        }
        let Some(exchange) = &mut self.exchange else { return };
        let nth = exchange.bridged;
        exchange.bridged += 1;
        let (turn, language, after) = (exchange.turn, exchange.language, now.since(exchange.quiet_since));
        let running = exchange.calls.iter().find(|calling| matches!(calling.state, State::Running(_)));
        let own =
            running.and_then(|calling| self.facts.tools.iter().find(|offer| offer.spec.name == calling.call.name));
        let own = own.and_then(|offer| offer.filler.in_language(language)).filter(|_| nth == 0);
        let own = own.map(|own| template::fill(own, &self.facts.values)).filter(|own| !own.trim().is_empty());
        let text = own.unwrap_or_else(|| lines::bridge(nth, language).to_owned());
        self.publish(Notice::Bridged { turn, after });
        self.say(text, true, now);
    }
}

/// More sentences are no answer for a telephone.
const SENTENCES_MAX: usize = 100;

/// A wait that goes on is bridged again after this, and so often at most: then the tool or the model is given up.
const BRIDGE_AGAIN: Duration = Duration::from_secs(8);
const BRIDGES_MAX: u32 = 4;
