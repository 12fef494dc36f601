//! Who notices that somebody has ended, and what becomes of that: as clients say it, and as manners of the agent. Pure.

use std::time::Duration;

use bot::persona::TurnSettings;
use serde_json::{Value, json};

use super::{
    SILENCE_MS,
    fields::{Fields, Refused},
};

/// What becomes of a turn that was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manners {
    pub(super) answers: bool,
    pub(super) interrupts: bool,
}

/// Who notices that somebody has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detection {
    /// The client says so.
    Off,
    /// A silence of this length.
    Server { silence_ms: u32, idle_ms: Option<u32>, manners: Manners },
    /// What was said, and how.
    Semantic { eagerness: Eagerness, manners: Manners },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eagerness {
    Low,
    Medium,
    High,
    Auto,
}

impl Detection {
    pub(super) fn read(fields: &Fields<'_>, idle: &mut Vec<Refused>) -> Result<Self, Refused> {
        let manners = Manners {
            answers: fields.flag("create_response")?.unwrap_or(true),
            interrupts: fields.flag("interrupt_response")?.unwrap_or(true),
        };
        match fields.text("type")? {
            Some("server_vad") => {
                fields.only(&[
                    "type",
                    "create_response",
                    "interrupt_response",
                    "idle_timeout_ms",
                    "prefix_padding_ms",
                    "silence_duration_ms",
                    "threshold",
                ])?;
                for (name, usual) in [("threshold", json!(0.5)), ("prefix_padding_ms", json!(300))] {
                    if fields.some(name).is_some_and(|value| *value != usual) {
                        idle.push(fields.unsupported(name, format!("is {usual} here, and stays so")));
                    }
                }
                let silence_ms = fields.number("silence_duration_ms", SILENCES_MS)?.unwrap_or(SILENCE_MS);
                let idle_ms = fields.number("idle_timeout_ms", IDLES_MS)?;
                Ok(Self::Server { silence_ms, idle_ms, manners })
            }
            Some("semantic_vad") => {
                fields.only(&["type", "create_response", "interrupt_response", "eagerness"])?;
                let eagerness = match fields.text("eagerness")? {
                    None | Some("auto") => Eagerness::Auto,
                    Some("low") => Eagerness::Low,
                    Some("medium") => Eagerness::Medium,
                    Some("high") => Eagerness::High,
                    Some(_) => return Err(fields.invalid("eagerness", "expected low, medium, high or auto")),
                };
                Ok(Self::Semantic { eagerness, manners })
            }
            _ => Err(fields.invalid("type", "expected server_vad or semantic_vad")),
        }
    }

    /// As manners of the agent. Its clients bridge their own functions, and say themselves what is said in a silence.
    pub(super) fn manners(self) -> TurnSettings {
        let usual = TurnSettings {
            idle_after: Duration::ZERO,
            filler_after: Duration::ZERO,
            ends_with_calls: true,
            ..TurnSettings::default()
        };
        match self {
            Self::Off => TurnSettings { answers_when_asked: true, is_interruptible: false, is_eager: false, ..usual },
            Self::Server { silence_ms, idle_ms, manners } => {
                let wait = Duration::from_millis(u64::from(silence_ms));
                TurnSettings {
                    wait,
                    wait_unsure: wait,
                    wait_dictating: wait,
                    idle_after: Duration::from_millis(idle_ms.map_or(0, u64::from)),
                    // It is asked, and never hung up on.
                    idle_times: u32::MAX,
                    answers_when_asked: !manners.answers,
                    is_interruptible: manners.interrupts,
                    ..usual
                }
            }
            Self::Semantic { eagerness, manners } => {
                let times = |wait: Duration| match eagerness {
                    Eagerness::Low => wait * 2,
                    Eagerness::Medium | Eagerness::Auto => wait,
                    Eagerness::High => wait / 2,
                };
                TurnSettings {
                    wait_unsure: times(usual.wait_unsure),
                    wait_dictating: times(usual.wait_dictating),
                    answers_when_asked: !manners.answers,
                    is_interruptible: manners.interrupts,
                    ..usual
                }
            }
        }
    }

    pub(super) fn to_json(self) -> Value {
        match self {
            Self::Off => Value::Null,
            Self::Server { silence_ms, idle_ms, manners } => json!({
                "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": silence_ms,
                "idle_timeout_ms": idle_ms, "create_response": manners.answers,
                "interrupt_response": manners.interrupts,
            }),
            Self::Semantic { eagerness, manners } => {
                let eagerness = match eagerness {
                    Eagerness::Low => "low",
                    Eagerness::Medium => "medium",
                    Eagerness::High => "high",
                    Eagerness::Auto => "auto",
                };
                json!({
                    "type": "semantic_vad", "eagerness": eagerness, "create_response": manners.answers,
                    "interrupt_response": manners.interrupts,
                })
            }
        }
    }
}

/// Silences that may be asked for, and those after which somebody is asked whether they are there.
const SILENCES_MS: (u32, u32) = (100, 10_000);
const IDLES_MS: (u32, u32) = (5_000, 30_000);
