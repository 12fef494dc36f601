//! What happens in the room of an agent, in the words of this dialect. Pure.
//!
//! The agent's text is told when its turn was said or cut, as it was heard: a client that keeps the conversation keeps
//! what the caller knows. Times are taken from the room's own events.

use std::time::Duration;

use bot::event::{Published, RoomEvent, Waterfall};
use media::{id::ParticipantId, time::MediaTime};

use super::{
    message::{History, Role, Told},
    settings::warning,
};
use crate::agent::{NOT_SAID, NOT_TAKEN};

/// Tells what happens between an agent and its caller.
pub(super) struct Story {
    agent: ParticipantId,
    caller: ParticipantId,
    keeps_history: bool,
    /// The newest answer of a model: when it began, and how long after it was asked.
    thought: Option<(MediaTime, Duration)>,
    /// The turn that is being heard.
    heard: Option<u64>,
    /// Whether the caller has spoken since their last turn.
    is_spoken_to: bool,
}

impl Story {
    pub(super) fn new(agent: ParticipantId, caller: ParticipantId, keeps_history: bool) -> Self {
        Self { agent, caller, keeps_history, thought: None, heard: None, is_spoken_to: false }
    }

    /// Whether the client keeps the conversation.
    pub(super) fn keeps_history(&self) -> bool {
        self.keeps_history
    }

    /// Whether the caller has said something that may be a turn, and is not over.
    pub(super) fn has_begun_turn(&self) -> bool {
        self.is_spoken_to
    }

    /// What the client is told of something that happened, in order.
    pub(super) fn tell(&mut self, entry: &Published) -> Vec<Told> {
        let mut told = Vec::new();
        match &entry.event {
            RoomEvent::SpeechStarted { participant, .. } if *participant == self.caller => {
                self.is_spoken_to = true;
                told.push(Told::UserStartedSpeaking);
            }
            RoomEvent::TurnEnded { participant, text, .. } if *participant == self.agent => {
                self.is_spoken_to = false;
                self.said(Role::User, text, &mut told);
            }
            RoomEvent::BotSpeaking { participant, turn, after, .. } if *participant == self.agent => {
                let is_new = self.heard.replace(*turn) != Some(*turn);
                told.extend(is_new.then(|| self.started(entry.at, *after)));
            }
            RoomEvent::BotSpoke { participant, text, waterfall, .. }
            | RoomEvent::BotInterrupted { participant, text, waterfall, .. }
                if *participant == self.agent =>
            {
                self.said(Role::Assistant, text, &mut told);
                if self.heard.take().is_some() {
                    told.push(Told::AgentAudioDone);
                }
                told.extend(waterfall.as_ref().and_then(report));
            }
            RoomEvent::BotTrace { participant, what, why, after, .. } if *participant == self.agent => match &**what {
                "thought" => self.thought = Some((entry.at, *after)),
                "trouble" => {
                    told.push(warning("AGENT_TROUBLE", why.as_deref().unwrap_or("something failed")));
                }
                // It was a cough, or a word that wants no answer.
                NOT_TAKEN => self.is_spoken_to = false,
                NOT_SAID => {
                    told.push(Told::InjectionRefused { message: "somebody speaks, or too much waits to be said" });
                }
                _ => {}
            },
            _ => {}
        }
        told
    }

    fn said(&self, role: Role, text: &str, told: &mut Vec<Told>) {
        if text.is_empty() {
            return;
        }
        let content = text.to_owned();
        if self.keeps_history {
            told.push(Told::History(History::Said { role, content: content.clone() }));
        }
        told.push(Told::ConversationText { role, content, conversational_behavior: "default" });
    }

    fn started(&mut self, now: MediaTime, after: Duration) -> Told {
        // A greeting is nobody's thought.
        let (thinking, speaking) = match self.thought.take() {
            Some((began, thinking)) => (thinking, now.since(began)),
            None => (Duration::ZERO, after),
        };
        Told::AgentStartedSpeaking {
            total_latency: seconds(after),
            tts_latency: seconds(speaking),
            ttt_latency: seconds(thinking),
        }
    }
}

/// How long an answer took; nothing where nobody was answered.
fn report(waterfall: &Waterfall) -> Option<Told> {
    let between = |from: Option<MediaTime>, to: Option<MediaTime>| Some(seconds(to?.since(from?)));
    let total_latency = between(waterfall.speech_ended, waterfall.heard);
    total_latency.is_some().then(|| Told::LatencyReport {
        ttt_token_latency: between(waterfall.asked, waterfall.first_token),
        tts_latency: between(waterfall.first_token, waterfall.first_audio),
        total_latency,
    })
}

/// To the millisecond.
fn seconds(span: Duration) -> f64 {
    span.as_millis() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const AGENT: ParticipantId = ParticipantId(1);
    const CALLER: ParticipantId = ParticipantId(2);

    fn tell(story: &mut Story, at_ms: u64, event: RoomEvent) -> Vec<Value> {
        let entry = Published { v: 1, seq: 1, at: MediaTime::from_millis(at_ms), event };
        story.tell(&entry).iter().map(|told| serde_json::to_value(told).unwrap()).collect()
    }

    fn trace(what: &str, why: Option<&str>, after_ms: u64) -> RoomEvent {
        RoomEvent::BotTrace {
            participant: AGENT,
            turn: Some(1),
            what: what.into(),
            why: why.map(Into::into),
            after: Duration::from_millis(after_ms),
        }
    }

    #[test]
    fn a_turn_is_told_from_the_first_sound_of_the_caller_to_the_last_of_the_agent() {
        let mut story = Story::new(AGENT, CALLER, false);
        let at = |ms| Some(MediaTime::from_millis(ms));
        let started = RoomEvent::SpeechStarted { participant: CALLER, utterance: 0, start: MediaTime::ZERO };
        assert!(!story.has_begun_turn());
        assert_eq!(tell(&mut story, 0, started.clone()), [json!({"type": "UserStartedSpeaking"})]);
        assert!(story.has_begun_turn());
        assert!(tell(&mut story, 0, trace("not_taken", Some("backchannel"), 0)).is_empty() && !story.has_begun_turn());
        tell(&mut story, 0, started);
        let ended = RoomEvent::TurnEnded {
            participant: AGENT,
            turn: 1,
            text: "Is it open?".into(),
            why: "silence".into(),
            probability: None,
            waited: Duration::ZERO,
        };
        assert_eq!(
            tell(&mut story, 1_000, ended),
            [json!({
                "type": "ConversationText", "role": "user", "content": "Is it open?",
                "conversational_behavior": "default",
            })]
        );
        assert!(!story.has_begun_turn());
        assert!(tell(&mut story, 1_150, trace("thought", None, 150)).is_empty());
        let speaking = || RoomEvent::BotSpeaking {
            participant: AGENT,
            turn: 1,
            after: Duration::from_millis(600),
            is_filler: false,
        };
        assert_eq!(
            tell(&mut story, 1_230, speaking()),
            [json!({
                "type": "AgentStartedSpeaking", "total_latency": 0.6, "tts_latency": 0.08, "ttt_latency": 0.15,
            })]
        );
        assert!(tell(&mut story, 1_300, speaking()).is_empty());
        let spoke = RoomEvent::BotSpoke {
            participant: AGENT,
            turn: 1,
            text: "Until six.".into(),
            language: "en".into(),
            waterfall: Some(Waterfall {
                speech_ended: at(630),
                asked: at(1_000),
                first_token: at(1_150),
                first_audio: at(1_200),
                heard: at(1_230),
                ..Waterfall::default()
            }),
        };
        let told = tell(&mut story, 2_000, spoke);
        assert_eq!(told[0]["content"], "Until six.");
        assert_eq!(told[1], json!({"type": "AgentAudioDone"}));
        assert_eq!(
            told[2],
            json!({
                "type": "LatencyReport", "ttt_token_latency": 0.15, "tts_latency": 0.05, "total_latency": 0.6,
            })
        );
    }

    #[test]
    fn what_was_cut_is_told_as_far_as_it_was_heard_and_kept_where_the_client_keeps_it() {
        let mut story = Story::new(AGENT, CALLER, true);
        let cut = |text: &str| RoomEvent::BotInterrupted {
            participant: AGENT,
            turn: 3,
            text: text.into(),
            unheard: "the rest".into(),
            after: Duration::ZERO,
            waterfall: None,
        };
        let told = tell(&mut story, 0, cut("We are"));
        assert_eq!(told[0], json!({"type": "History", "role": "assistant", "content": "We are"}));
        assert_eq!((&told[1]["content"], told.len()), (&json!("We are"), 2), "no sound was told to have begun");
        assert!(tell(&mut story, 0, cut("")).is_empty());
    }

    #[test]
    fn others_are_not_told_of_and_trouble_is() {
        let mut story = Story::new(AGENT, CALLER, true);
        let other = RoomEvent::SpeechStarted { participant: ParticipantId(7), utterance: 0, start: MediaTime::ZERO };
        assert!(tell(&mut story, 0, other).is_empty());
        let told = tell(&mut story, 0, trace("trouble", Some("the voice failed"), 0));
        assert_eq!(told, [json!({"type": "Warning", "description": "the voice failed", "code": "AGENT_TROUBLE"})]);
        assert_eq!(tell(&mut story, 0, trace(NOT_SAID, None, 0))[0]["type"], "InjectionRefused");
    }
}
