//! What an agent tells of itself, as events of its room. Pure.
//!
//! What people said stands in the events that are about words; a trace holds names, reasons and times alone.

use std::{sync::Arc, time::Duration};

use bot::{
    agent::{Notice, ToolStep, TurnId},
    event::{RoomEvent, Waterfall},
    tools::{Record, Verdict},
};
use media::id::ParticipantId;
use serde::Serialize;

/// The event that tells of it, by the agent that is `participant`; `waterfall` is that of the turn it is about.
pub(super) fn event(notice: Notice, participant: ParticipantId, waterfall: Option<Waterfall>) -> RoomEvent {
    let trace = |turn: Option<TurnId>, what: &str, why: Option<Arc<str>>, after: Duration| RoomEvent::BotTrace {
        participant,
        turn: turn.map(|turn| turn.0),
        what: what.into(),
        why,
        after,
    };
    match notice {
        Notice::TurnEnded { turn, ended, .. } => RoomEvent::TurnEnded {
            participant,
            turn: turn.0,
            text: ended.said.reveal().into(),
            why: word(&ended.why),
            probability: ended.probability,
            waited: ended.silence,
        },
        Notice::BotSpeaking { turn, after, is_filler } => {
            RoomEvent::BotSpeaking { participant, turn: turn.0, after, is_filler }
        }
        Notice::BotSpoke { turn, heard, language, .. } => RoomEvent::BotSpoke {
            participant,
            turn: turn.0,
            text: heard.reveal().into(),
            language: language.tag().into(),
            waterfall,
        },
        Notice::BotInterrupted { turn, heard, unheard, after } => RoomEvent::BotInterrupted {
            participant,
            turn: turn.0,
            text: heard.reveal().into(),
            unheard: unheard.reveal().into(),
            after,
            waterfall,
        },
        Notice::Understood { turn, intents, emotion } => {
            let intents = intents.into_iter().map(|(name, confidence)| format!("{name} {confidence:.2}"));
            let emotion = emotion.map(|(emotion, score)| format!("{} {score:.2}", emotion.name()));
            let why = intents.chain(emotion).collect::<Vec<_>>().join(", ");
            trace(Some(turn), "understood", Some(why.into()), Duration::ZERO)
        }
        Notice::NotMeant { .. } => trace(None, "not_meant", None, Duration::ZERO),
        Notice::ThrownAway { turn, after } => trace(Some(turn), "thrown_away", None, after),
        Notice::Thought { turn, after } => trace(Some(turn), "thought", None, after),
        Notice::BotPaused { turn } => trace(Some(turn), "paused", None, Duration::ZERO),
        Notice::BotResumed { turn, why, after } => trace(Some(turn), "resumed", Some(word(&why)), after),
        Notice::Dropped { turn, why, after } => trace(Some(turn), "dropped", Some(word(&why)), after),
        Notice::NotTaken { why, .. } => trace(None, NOT_TAKEN, Some(word(&why)), Duration::ZERO),
        Notice::Bridged { turn, after } => trace(Some(turn), "bridged", None, after),
        Notice::Tool { turn, name, what, after, .. } => {
            trace(Some(turn), "tool", Some(format!("{name}: {}", step(what)).into()), after)
        }
        Notice::Trouble { turn, why, after } => trace(Some(turn), "trouble", Some(why.into()), after),
        Notice::Idle { before } => trace(None, "idle", Some(before.to_string().into()), Duration::ZERO),
        Notice::Summarised { messages, after } => {
            trace(None, "summarised", Some(format!("{messages} messages").into()), after)
        }
        Notice::Forgotten { messages } => {
            trace(None, "forgotten", Some(format!("{messages} messages").into()), Duration::ZERO)
        }
        Notice::Keys { count } => trace(None, "keys", Some(count.to_string().into()), Duration::ZERO),
        Notice::NotSaid => trace(None, NOT_SAID, None, Duration::ZERO),
        Notice::Over { answered, dropped, .. } => {
            trace(None, "over", Some(format!("{answered} answered, {dropped} dropped").into()), Duration::ZERO)
        }
    }
}

/// The trace of words that were to be said in an agent's name and were not.
pub(crate) const NOT_SAID: &str = "not_said";

/// The trace of words that were none to answer.
pub(crate) const NOT_TAKEN: &str = "not_taken";

/// The turn that a notice ends, so that its waterfall is told.
pub(super) fn ends(notice: &Notice) -> Option<TurnId> {
    match notice {
        Notice::BotSpoke { turn, .. }
        | Notice::BotInterrupted { turn, .. }
        | Notice::Dropped { turn, .. }
        | Notice::ThrownAway { turn, .. } => Some(*turn),
        _ => None,
    }
}

/// What became of a wish of the model, as the registry judged it.
pub(super) fn record(record: Record, participant: ParticipantId) -> RoomEvent {
    let (why, after) = match record.verdict {
        Verdict::Admitted { why } => (format!("{}: {why}", record.tool), Duration::ZERO),
        Verdict::Refused { why } => (format!("{}: refused, {why}", record.tool), Duration::ZERO),
        Verdict::Answered { agreed } => {
            (format!("{}: the caller said {}", record.tool, if agreed { "yes" } else { "no" }), Duration::ZERO)
        }
        Verdict::Ended { how, took, bytes } => (format!("{}: {how}, {bytes} bytes", record.tool), took),
    };
    RoomEvent::BotTrace { participant, turn: None, what: "tool".into(), why: Some(why.into()), after }
}

fn step(step: ToolStep) -> &'static str {
    match step {
        ToolStep::Called => "called",
        ToolStep::Done { is_error: false } => "done",
        ToolStep::Done { is_error: true } => "failed",
        ToolStep::Cancelled => "cancelled",
        ToolStep::GoesOn => "goes on",
        ToolStep::TimedOut => "timed out",
        ToolStep::Repeated => "repeated",
        ToolStep::Ignored => "ignored",
    }
}

/// The word that an enum goes by on the wire.
fn word(what: &impl Serialize) -> Arc<str> {
    let json = serde_json::to_value(what).unwrap_or_default();
    json.as_str().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use bot::{
        agent::Dropped,
        turn::{EndWhy, Ended, NotTaken, Shape},
    };
    use media::time::MediaTime;

    use super::*;

    const AGENT: ParticipantId = ParticipantId(2);

    fn wire(notice: Notice) -> serde_json::Value {
        serde_json::to_value(event(notice, AGENT, None)).unwrap()
    }

    #[test]
    fn traces_name_what_and_why_and_nobodys_words() {
        let dropped = Notice::Dropped { turn: TurnId(4), why: Dropped::WentOn, after: Duration::from_millis(20) };
        assert_eq!(
            wire(dropped),
            serde_json::json!({
                "type": "bot.trace", "participant": "p2", "turn": 4, "what": "dropped", "why": "went_on", "after_ms": 20,
            })
        );
        let not_taken = Notice::NotTaken { said: "secret words".into(), why: NotTaken::Backchannel };
        let text = wire(not_taken).to_string();
        assert!(text.contains("backchannel") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn what_was_understood_is_told_by_its_names() {
        let (intents, emotion) =
            (vec![("book".to_owned(), 0.5)], Some((bot::understand::emotion::Emotion::Annoyed, 0.7)));
        let told = wire(Notice::Understood { turn: TurnId(4), intents, emotion });
        assert_eq!((&told["what"], &told["why"]), (&"understood".into(), &"book 0.50, annoyed 0.70".into()));
    }

    #[test]
    fn the_end_of_a_turn_tells_why_and_how_sure_that_is() {
        let ended = Ended {
            said: "What are your hours?".into(),
            language: None,
            why: EndWhy::Silence,
            probability: Some(0.5),
            shape: Shape::default(),
            at: MediaTime::from_millis(2_000),
            silence: Duration::from_millis(250),
        };
        assert_eq!(
            wire(Notice::TurnEnded { turn: TurnId(7), ended, was_prepared: true }),
            serde_json::json!({
                "type": "turn.ended", "participant": "p2", "turn": 7, "text": "What are your hours?", "why": "silence", "probability": 0.5,
                "waited_ms": 250,
            })
        );
    }

    #[test]
    fn what_was_decided_of_a_tool_is_told_without_its_arguments() {
        let verdict = Verdict::Refused { why: "unknown_tool" };
        let told = Record { call: "c1".to_owned(), tool: "unknown".to_owned(), at: MediaTime::ZERO, verdict };
        let json = serde_json::to_value(record(told, AGENT)).unwrap();
        assert_eq!((&json["what"], &json["why"]), (&"tool".into(), &"unknown: refused, unknown_tool".into()));
    }
}
