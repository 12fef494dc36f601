//! Events that rooms are asked to announce, read back from the JSON in which they were noted: for replays.
//!
//! Pure. What ears heard is not among them: the ears are heard again.

use std::{sync::Arc, time::Duration};

use media::time::MediaTime;
use serde::Deserialize as _;

use super::{Direction, PlayEnd, RoomEvent, Shape, Waterfall};
use crate::answering::{AnsweredBy, Class, Why};

impl RoomEvent {
    /// Reads an event of those that rooms are asked to announce: keys, recordings, plays, telephone calls, and what agents
    /// do. `None` for any other.
    pub fn announced(json: &serde_json::Value) -> Option<Self> {
        let text = |field: &str| Some(Arc::from(json.get(field)?.as_str()?));
        let seconds = |field: &str| Some(MediaTime::from_secs_f64(json.get(field)?.as_f64()?));
        let millis = |field: &str| Some(Duration::from_millis(json.get(field)?.as_u64()?));
        let who = || json.get("participant")?.as_str()?.parse().ok();
        let turn = || json.get("turn")?.as_u64();
        let waterfall = || json.get("waterfall").map(Waterfall::read);
        Some(match json.get("type")?.as_str()? {
            "dtmf" => Self::Dtmf {
                participant: json.get("participant")?.as_str()?.parse().ok()?,
                digit: json.get("digit")?.as_str()?.chars().next()?,
                start: seconds("start_s")?,
                duration: Duration::from_millis(json.get("duration_ms")?.as_u64()?),
            },
            "recording.started" => Self::RecordingStarted { recording: text("recording")? },
            "recording.paused" => Self::RecordingPaused { recording: text("recording")? },
            "recording.resumed" => Self::RecordingResumed { recording: text("recording")? },
            "recording.ended" => {
                Self::RecordingEnded { recording: text("recording")?, state: text("state")?, why: text("why") }
            }
            "call.ringing" => Self::CallRinging {
                call: text("call")?,
                direction: Direction::deserialize(json.get("direction")?).ok()?,
            },
            "call.answered" => Self::CallAnswered {
                call: text("call")?,
                direction: Direction::deserialize(json.get("direction")?).ok()?,
            },
            "call.answered_by" => Self::CallAnsweredBy {
                call: text("call")?,
                who: Class::deserialize(json.get("who")?).ok()?,
                answered_by: AnsweredBy::deserialize(json.get("answered_by")?).ok()?,
                why: Why::deserialize(json.get("why")?).ok()?,
                after: Duration::from_millis(json.get("after_ms")?.as_u64()?),
            },
            "call.ended" => Self::CallEnded {
                call: text("call")?,
                why: text("why")?,
                duration: Duration::from_millis(json.get("duration_ms")?.as_u64()?),
            },
            "play.started" => Self::PlayStarted { play: text("play")?, duration: seconds("duration_s")? },
            "play.ended" => Self::PlayEnded { play: text("play")?, why: PlayEnd::deserialize(json.get("why")?).ok()? },
            "say.started" => Self::SayStarted { say: text("say")? },
            "say.ended" => Self::SayEnded { say: text("say")?, why: PlayEnd::deserialize(json.get("why")?).ok()? },
            "turn.ended" => Self::TurnEnded {
                participant: who()?,
                turn: turn()?,
                text: text("text")?,
                why: text("why")?,
                probability: json.get("probability").and_then(serde_json::Value::as_f64).map(|share| share as f32),
                waited: millis("waited_ms")?,
            },
            "bot.speaking" => Self::BotSpeaking {
                participant: who()?,
                turn: turn()?,
                after: millis("after_ms")?,
                is_filler: json.get("is_filler")?.as_bool()?,
            },
            "bot.spoke" => Self::BotSpoke {
                participant: who()?,
                turn: turn()?,
                text: text("text")?,
                language: text("language")?,
                waterfall: waterfall(),
            },
            "bot.interrupted" => Self::BotInterrupted {
                participant: who()?,
                turn: turn()?,
                text: text("text")?,
                unheard: text("unheard")?,
                after: millis("after_ms")?,
                waterfall: waterfall(),
            },
            "bot.trace" => Self::BotTrace {
                participant: who()?,
                turn: turn(),
                what: text("what")?,
                why: text("why"),
                after: millis("after_ms")?,
            },
            "avatar.viseme" => Self::AvatarViseme {
                participant: who(),
                turn: turn(),
                say: text("say"),
                start: seconds("start_s")?,
                visemes: json.get("visemes")?.as_array()?.iter().map(Shape::read).collect::<Option<_>>()?,
            },
            "note.taken" => Self::NoteTaken { participant: who()?, text: text("text")?, due: text("due") },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use media::id::ParticipantId;
    use tts::viseme::Viseme;

    use super::*;

    #[test]
    fn whatever_is_announced_is_read_back_as_it_was() {
        let (at, id) = (MediaTime::from_millis(1_234), Arc::<str>::from("x1"));
        for event in [
            RoomEvent::Dtmf {
                participant: ParticipantId(3),
                digit: '*',
                start: at,
                duration: Duration::from_millis(80),
            },
            RoomEvent::RecordingStarted { recording: id.clone() },
            RoomEvent::RecordingPaused { recording: id.clone() },
            RoomEvent::RecordingResumed { recording: id.clone() },
            RoomEvent::RecordingEnded { recording: id.clone(), state: "failed".into(), why: Some("disk full".into()) },
            RoomEvent::RecordingEnded { recording: id.clone(), state: "finished".into(), why: None },
            RoomEvent::CallRinging { call: id.clone(), direction: Direction::Inbound },
            RoomEvent::CallAnswered { call: id.clone(), direction: Direction::Outbound },
            RoomEvent::CallEnded { call: id.clone(), why: "no_answer".into(), duration: Duration::from_millis(61_250) },
            RoomEvent::CallAnsweredBy {
                call: id.clone(),
                who: Class::MachineVoicemail,
                answered_by: AnsweredBy::MachineEndBeep,
                why: Why::Beep,
                after: Duration::from_millis(7_250),
            },
            RoomEvent::PlayStarted { play: id.clone(), duration: at },
            RoomEvent::PlayEnded { play: id.clone(), why: PlayEnd::Replaced },
            RoomEvent::SayStarted { say: id.clone() },
            RoomEvent::SayEnded { say: id.clone(), why: PlayEnd::Failed },
            RoomEvent::TurnEnded {
                participant: ParticipantId(2),
                turn: 4,
                text: "Good morning, is it open?".into(),
                why: "pause".into(),
                probability: Some(0.75),
                waited: Duration::from_millis(420),
            },
            RoomEvent::BotSpeaking {
                participant: ParticipantId(2),
                turn: 4,
                after: Duration::from_millis(610),
                is_filler: false,
            },
            RoomEvent::BotSpoke {
                participant: ParticipantId(2),
                turn: 4,
                text: "Good morning.".into(),
                language: "en-US".into(),
                waterfall: Some(Waterfall { speech_ended: Some(at), heard: Some(at), ..Waterfall::default() }),
            },
            RoomEvent::BotInterrupted {
                participant: ParticipantId(2),
                turn: 5,
                text: "Good".into(),
                unheard: "morning.".into(),
                after: Duration::from_millis(300),
                waterfall: None,
            },
            RoomEvent::BotTrace {
                participant: ParticipantId(2),
                turn: None,
                what: "idle".into(),
                why: Some("1".into()),
                after: Duration::ZERO,
            },
            RoomEvent::AvatarViseme {
                participant: Some(ParticipantId(2)),
                turn: Some(4),
                say: None,
                start: at,
                visemes: vec![Shape {
                    viseme: Viseme::Aa,
                    at: Duration::from_millis(70),
                    duration: Duration::from_millis(110),
                }],
            },
            RoomEvent::AvatarViseme {
                participant: None,
                turn: None,
                say: Some(id.clone()),
                start: at,
                visemes: Vec::new(),
            },
            RoomEvent::NoteTaken { participant: ParticipantId(2), text: "Call Ada.".into(), due: Some(id.clone()) },
        ] {
            let json = serde_json::to_value(&event).unwrap();
            assert_eq!(RoomEvent::announced(&json), Some(event));
        }
    }
}
