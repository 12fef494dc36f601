//! The agent that a session describes: its persona, and the functions that its client carries out. Pure.

use std::time::Duration;

use bot::{
    persona::{self, Limits, PerLanguage, Persona},
    tools::{BuiltIn, Origin, Rule, Tool, is_name},
};
use serde_json::{Value, json};
use tts::voice::{Language, Speaker};

use super::{
    FUNCTIONS_MAX, Known, Session, TOKENS_MAX,
    fields::{Fields, Refused},
};
use crate::dialect::openai_speech::speaker_of;

impl Session {
    /// Who talks; what systems wrote into the conversation, `told`, belongs to the instructions.
    pub(in crate::dialect::openai_realtime) fn persona(
        &self,
        told: &[&str],
        known: &[Known<'_>],
    ) -> (Persona, Vec<Tool>) {
        let functions = if self.choice.may_call() { self.functions.clone() } else { Vec::new() };
        let spoken = self.language().and_then(|tag| persona::language_of(tag).ok());
        let languages = spoken.map_or_else(|| vec![Language::ENGLISH_US, Language::GERMAN], |language| vec![language]);
        let model = known.iter().find(|(name, its)| self.model == *name || self.model == *its);
        let voice = match speaker_of(&self.voice) {
            Some(Speaker::Man) => "man",
            Some(Speaker::Woman) => "woman",
            None => self.voice.as_str(),
        };
        let mut instructions = self.instructions.clone();
        for text in told {
            instructions.push('\n');
            instructions.push_str(text);
        }
        let persona = Persona {
            name: NAME.to_owned(),
            title: "the assistant".to_owned(),
            language: languages[0],
            languages,
            voice: PerLanguage::any(voice),
            tone: String::new(),
            greeting: PerLanguage::default(),
            instructions,
            facts: Vec::new(),
            tools: functions.iter().map(|tool| tool.name.clone()).collect(),
            rules: [].into(),
            transfer: [].into(),
            hand_over: Vec::new(),
            limits: Limits {
                call: Duration::from_secs(4 * 3_600),
                turns_max: 5_000,
                tool_calls_max: 2_000,
                tools_at_once: FUNCTIONS_MAX,
                answer_tokens_max: self.tokens_max.unwrap_or(TOKENS_MAX),
                ..Limits::default()
            },
            turn: self.detection.manners(),
            models: persona::Models {
                primary: model.map(|(name, _)| (*name).to_owned()),
                must_call: self.choice.must_call(),
                ..persona::Models::default()
            },
            ..Persona::built_in()
        };
        (persona, functions)
    }
}

/// A function of a client's.
///
/// # Errors
/// [`Refused`].
pub(super) fn function(tool: &Value, at: usize) -> Result<Tool, Refused> {
    let place = format!("session.tools[{at}]");
    let fields = Fields::of(tool, &place)?;
    if fields.text("type")?.is_some_and(|kind| kind != "function") {
        let why = "is function: servers of tools are configured here, under [tools]";
        return Err(fields.unsupported("type", why));
    }
    fields.only(&["type", "name", "description", "parameters"])?;
    let name = fields.text("name")?.unwrap_or_default().to_owned();
    if !is_name(&name) || BuiltIn::named(&name).is_some() {
        let why = "has letters, digits, _ and -, is not too long, and is no tool of the server's own";
        return Err(fields.invalid("name", why));
    }
    let parameters = fields.some("parameters").cloned().unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    if parameters.get("type").is_none_or(|kind| kind != "object") {
        return Err(fields.invalid("parameters", "expected the schema of an object"));
    }
    let description = fields.text("description")?.unwrap_or_default().to_owned();
    // Nobody takes a call back that a client carries out.
    let rule = Rule { calls_max: CALLS_MAX, timeout: FUNCTION_WITHIN, is_safe_to_cancel: false, ..Rule::default() };
    Ok(Tool { name, description, parameters, origin: Origin::Line, rule })
}

/// What its persona is called in the server's log.
const NAME: &str = "realtime";

/// A client's function is waited for so long, and called so often.
const FUNCTION_WITHIN: Duration = Duration::from_secs(50);
const CALLS_MAX: u32 = 1_000;
