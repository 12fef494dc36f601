//! What a client wants of an agent, as a persona, its functions, and the formats of the sound. Pure.
//!
//! The public service's models are not here: one that is configured under its name or its model's answers, else the
//! server's own choice, and the client is warned. What cannot be done at all is refused with the field's name: a client
//! that is told nothing would take silence for an answer.

use std::time::Duration;

use bot::{
    llm,
    persona::{self, Limits, PerLanguage, Persona, TurnSettings},
    tools::{BuiltIn, NAME_CHARS_MAX, Origin, Rule, Tool, is_name},
};
use media::codec::raw::Encoding;
use serde_json::{Value, json};
use tts::voice::Language;

use super::message::{Agent, Format, Function, OneOrMore, Past, Settings, Speak, Think, Told};
use crate::{
    dialect::deepgram::speak,
    encode::{self, Coding},
    live::Input,
};

/// Everything that a conversation begins with.
pub(super) struct Wanted {
    /// What the client sends.
    pub(super) input: Input,
    /// What it is sent.
    pub(super) output: encode::Format,
    /// What is listened for; `None` is any language.
    pub(super) language: Option<String>,
    pub(super) keyterms: Vec<String>,
    pub(super) persona: Persona,
    pub(super) functions: Vec<Tool>,
    /// What was said before.
    pub(super) past: Vec<llm::Message>,
    pub(super) keeps_history: bool,
    /// What is otherwise than the client may think.
    pub(super) warnings: Vec<Told>,
}

/// Why a conversation cannot be had like this: the field, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub(super) struct Refused {
    field: &'static str,
    why: String,
}

fn refused(field: &'static str, why: impl Into<String>) -> Refused {
    Refused { field, why: why.into() }
}

/// A language model of this server: its own name, and that of its model.
pub(super) type Known<'a> = (&'a str, &'a str);

impl Wanted {
    /// Reads what is wanted of a server that knows these models.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) fn read(settings: Settings, known: &[Known<'_>]) -> Result<Self, Refused> {
        let Settings { audio, agent, flags } = settings;
        if agent.is_string() {
            return Err(refused("agent", "agents are not kept here: send the settings themselves"));
        }
        let agent: Agent = serde_json::from_value(agent).map_err(|error| refused("agent", error.to_string()))?;
        let mut warnings = Vec::new();
        let listen = agent.listen.and_then(|listen| listen.provider);
        let heard = listen.as_ref().and_then(|provider| provider.language.clone()).or(agent.language);
        let (language, languages) = languages(heard.as_deref())?;
        let greeting = agent.greeting.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        if greeting.as_deref().is_some_and(|greeting| !is_brief(greeting)) {
            return Err(refused("agent.greeting", format!("has more than {TEXT_CHARS_MAX} characters")));
        }
        let mut persona = Persona {
            name: NAME.to_owned(),
            title: "the assistant".to_owned(),
            language: languages[0],
            languages,
            voice: PerLanguage::default(),
            tone: String::new(),
            greeting: greeting.map_or_else(PerLanguage::default, PerLanguage::any),
            instructions: String::new(),
            facts: Vec::new(),
            tools: Vec::new(),
            rules: [].into(),
            transfer: [].into(),
            hand_over: Vec::new(),
            limits: limits(),
            turn: manners(),
            models: persona::Models::default(),
            ..Persona::built_in()
        };
        if agent.think_live.is_some() {
            warnings.push(warning("THINK_LIVE", "agent.think_live is not done here: think answers alone"));
        }
        let mut functions = Vec::new();
        match agent.think {
            Some(think) => warnings.extend(think_as(think, known, &mut persona, &mut functions)?),
            None => warnings.extend(no_model(known)),
        }
        if let Some(speak) = agent.speak {
            speak_as(speak, &mut persona);
        }
        Ok(Self {
            input: input(audio.input.unwrap_or_default())?,
            output: output(audio.output.unwrap_or_default())?,
            language,
            keyterms: listen.map(|provider| provider.keyterms).unwrap_or_default(),
            persona,
            functions,
            past: past(agent.context.map(|context| context.messages).unwrap_or_default())?,
            keeps_history: flags.history.unwrap_or(true),
            warnings,
        })
    }
}

/// Changes how a persona thinks, and what it may call, to what is given of that; what else the client should know.
///
/// # Errors
/// [`Refused`]; the persona may be changed in part then, so change a copy.
pub(super) fn think_as(
    think: OneOrMore<Think>,
    known: &[Known<'_>],
    persona: &mut Persona,
    functions: &mut Vec<Tool>,
) -> Result<Option<Told>, Refused> {
    let all = think.all();
    let named = |think: &Think| {
        let model = think.provider.as_ref()?.model.as_deref()?;
        known.iter().find(|(name, its)| model == *name || model == *its).map(|(name, _)| (*name).to_owned())
    };
    let best = all.iter().position(|think| named(think).is_some()).unwrap_or(0);
    let Some(think) = all.into_iter().nth(best) else { return Err(refused("agent.think", "names no model")) };
    if think.endpoint.is_some() {
        return Err(refused("agent.think.endpoint", "models are named in this server's configuration, under [[llm]]"));
    }
    let model = named(&think);
    if let Some(prompt) = think.prompt {
        persona.instructions = instructions(prompt, "agent.think.prompt")?;
    }
    if let Some(wanted) = think.functions {
        *functions = wanted.into_iter().map(function).collect::<Result<_, _>>()?;
        let bytes = |tool: &Tool| tool.description.len() + tool.parameters.to_string().len();
        if functions.len() > FUNCTIONS_MAX || functions.iter().map(bytes).sum::<usize>() > FUNCTIONS_BYTES_MAX {
            let why = format!("are more than {FUNCTIONS_MAX}, or than {FUNCTIONS_BYTES_MAX} bytes");
            return Err(refused("agent.think.functions", why));
        }
        persona.tools = functions.iter().map(|tool| tool.name.clone()).collect();
    }
    let Some(provider) = think.provider else { return Ok(no_model(known)) };
    let temperature = provider.temperature.filter(|degree| (0.0..=2.0).contains(degree));
    persona.models.temperature_milli = temperature.map(|degree| (degree * 1_000.0) as u32);
    persona.models.primary = model;
    let is_there = persona.models.primary.is_some() || provider.model.is_none();
    Ok(no_model(known).or_else(|| {
        let name: String = provider.model.unwrap_or_default().chars().take(100).collect();
        let why =
            format!("agent.think.provider.model: {name:?} is not configured here; the server's own choice thinks");
        (!is_there).then(|| warning("MODEL_NOT_CONFIGURED", why))
    }))
}

/// Lets a persona speak with another voice.
pub(super) fn speak_as(speak: OneOrMore<Speak>, persona: &mut Persona) {
    let Some(provider) = speak.all().into_iter().next().and_then(|speak| speak.provider) else { return };
    let voice = provider.voice.as_ref().and_then(Value::as_str).map(str::to_owned);
    if let Some(name) = voice.or(provider.model) {
        persona.voice = PerLanguage::any(speak::voice_named(&name));
    }
    let tag = provider.language.filter(|tag| tag != MULTI);
    if let Some((language, _)) = tag.as_deref().and_then(Language::nearest)
        && !persona.languages.iter().any(|known| known.is_kin(language))
    {
        persona.languages.insert(0, language);
        persona.language = language;
    }
}

/// Whether somebody would listen to all of this, or read it as one turn of a talk.
pub(super) fn is_brief(text: &str) -> bool {
    text.chars().count() <= TEXT_CHARS_MAX
}

/// Instructions for the model.
///
/// # Errors
/// [`Refused`] where they are too long.
pub(super) fn instructions(prompt: String, field: &'static str) -> Result<String, Refused> {
    if prompt.chars().count() > PROMPT_CHARS_MAX {
        return Err(refused(field, format!("has more than {PROMPT_CHARS_MAX} characters")));
    }
    Ok(prompt)
}

fn no_model(known: &[Known<'_>]) -> Option<Told> {
    let why = "no language model is configured here ([[llm]]): rules answer";
    known.is_empty().then(|| warning("NO_MODEL", why))
}

pub(super) fn warning(code: &'static str, description: impl Into<String>) -> Told {
    Told::Warning { description: description.into(), code }
}

fn languages(tag: Option<&str>) -> Result<(Option<String>, Vec<Language>), Refused> {
    match tag {
        Some(MULTI) => Ok((None, vec![Language::ENGLISH_US, Language::GERMAN])),
        None => Ok((Some("en".to_owned()), vec![Language::ENGLISH_US])),
        Some(tag) => {
            let language = persona::language_of(tag).map_err(|why| refused("agent.listen.provider.language", why))?;
            Ok((Some(tag.to_owned()), vec![language]))
        }
    }
}

fn function(function: Function) -> Result<Tool, Refused> {
    const FIELD: &str = "agent.think.functions";
    let name = function.name.unwrap_or_default();
    if !is_name(&name) {
        return Err(refused(FIELD, format!("a name has 1 to {NAME_CHARS_MAX} letters, digits, _ and -")));
    }
    if BuiltIn::named(&name).is_some() {
        return Err(refused(FIELD, format!("{name:?} is a tool of the server's own: choose another name")));
    }
    if function.endpoint.is_some() {
        let why = "are carried out by the client; what this server calls is configured as a tool of it, under [tools]";
        return Err(refused(FIELD, why));
    }
    let parameters = function.parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    if parameters.get("type").is_none_or(|kind| kind != "object") {
        return Err(refused(FIELD, format!("the parameters of {name:?} are no schema of an object")));
    }
    // One that must not be called before the turn is certain must not be taken back, either.
    let is_safe_to_cancel = function.defer_until_eot != Some(true);
    let rule = Rule { calls_max: CALLS_MAX, timeout: FUNCTION_WITHIN, is_safe_to_cancel, ..Rule::default() };
    let description = function.description.unwrap_or_default();
    Ok(Tool { name, description, parameters, origin: Origin::Line, rule })
}

fn past(messages: Vec<Past>) -> Result<Vec<llm::Message>, Refused> {
    const FIELD: &str = "agent.context.messages";
    let chars = |message: &Past| match message {
        Past::Said { content, .. } => content.chars().count(),
        Past::Calls { function_calls } => function_calls
            .iter()
            .map(|call| call.name.chars().count() + call.arguments.chars().count() + call.response.chars().count())
            .sum(),
    };
    if messages.len() > PAST_MAX || messages.iter().map(chars).sum::<usize>() > PAST_CHARS_MAX {
        return Err(refused(FIELD, format!("are more than {PAST_MAX}, or than {PAST_CHARS_MAX} characters")));
    }
    let mut past = Vec::new();
    for message in messages {
        match message {
            Past::Said { role, content } if role == "user" => past.push(llm::Message::User(content)),
            Past::Said { role, content } if role == "assistant" => {
                past.push(llm::Message::Assistant { text: content, calls: Vec::new() });
            }
            Past::Said { .. } => return Err(refused(FIELD, "a role is user or assistant")),
            Past::Calls { function_calls } => {
                for call in function_calls.into_iter().take(PAST_MAX) {
                    let calls =
                        vec![llm::Call { id: call.id.clone(), name: call.name.clone(), arguments: call.arguments }];
                    past.push(llm::Message::Assistant { text: String::new(), calls });
                    past.push(llm::Message::ToolResult {
                        id: call.id,
                        name: call.name,
                        content: call.response,
                        is_error: false,
                    });
                }
            }
        }
    }
    Ok(past)
}

fn input(format: Format) -> Result<Input, Refused> {
    let encoding = match format.encoding.as_deref() {
        None | Some("linear16") => Encoding::Linear16,
        Some("linear32") => Encoding::Linear32,
        Some("mulaw") => Encoding::MuLaw,
        Some("alaw") => Encoding::ALaw,
        Some("opus") => Encoding::Opus,
        Some(_) => {
            return Err(refused("audio.input.encoding", "expected linear16, linear32, mulaw, alaw or opus"));
        }
    };
    let usual = match encoding {
        Encoding::MuLaw | Encoding::ALaw => TELEPHONE_HZ,
        Encoding::Opus => encode::OPUS_HZ,
        Encoding::Linear16 | Encoding::Linear32 => USUAL_HZ,
    };
    let rate_hz = rate(format.sample_rate, usual).ok_or_else(|| {
        refused("audio.input.sample_rate", format!("expected a whole number from {} to {}", RATES.0, RATES.1))
    })?;
    Ok(Input::Raw { encoding, rate_hz, channels: 1 })
}

fn output(format: Format) -> Result<encode::Format, Refused> {
    let coding = match format.encoding.as_deref() {
        None | Some("linear16") => Coding::Linear16,
        Some("mulaw") => Coding::Mulaw,
        Some("alaw") => Coding::Alaw,
        Some(_) => return Err(refused("audio.output.encoding", "expected linear16, mulaw or alaw")),
    };
    if format.container.is_some_and(|container| container != "none") {
        return Err(refused("audio.output.container", "a socket carries bare samples: none"));
    }
    let usual = if coding == Coding::Linear16 { USUAL_HZ } else { TELEPHONE_HZ };
    // What is sent is cut into twenty milliseconds.
    let rate_hz = rate(format.sample_rate, usual).filter(|rate_hz| rate_hz % 50 == 0);
    let rate_hz = rate_hz.ok_or_else(|| {
        refused("audio.output.sample_rate", format!("expected a multiple of 50 from {} to {}", RATES.0, RATES.1))
    })?;
    Ok(encode::Format { coding, is_wav: false, rate_hz })
}

fn rate(given: Option<f64>, usual: u32) -> Option<u32> {
    let Some(rate) = given else { return Some(usual) };
    let is_fine = rate.fract() == 0.0 && (f64::from(RATES.0)..=f64::from(RATES.1)).contains(&rate);
    is_fine.then_some(rate as u32)
}

/// A client of the public service says itself what is said in a silence, and bridges its own functions.
fn manners() -> TurnSettings {
    TurnSettings { idle_after: Duration::ZERO, filler_after: Duration::ZERO, ..TurnSettings::default() }
}

fn limits() -> Limits {
    Limits { call: Duration::from_secs(4 * 3_600), turns_max: 5_000, tool_calls_max: 2_000, ..Limits::default() }
}

/// What its persona is called in the server's log.
const NAME: &str = "converse";

/// What stands for a language where several are spoken.
const MULTI: &str = "multi";

/// What samples are when nothing is said, and what a telephone's are.
const USUAL_HZ: u32 = 24_000;
const TELEPHONE_HZ: u32 = 8_000;

/// Rates that speech comes in.
const RATES: (u32, u32) = (8_000, 48_000);

/// As many characters as the public service takes.
const PROMPT_CHARS_MAX: usize = 25_000;

/// What is said in one go, or written for somebody: nobody listens for five minutes.
pub(super) const TEXT_CHARS_MAX: usize = 4_000;

/// More would fill a model's head before anybody has spoken.
const FUNCTIONS_MAX: usize = 64;
const FUNCTIONS_BYTES_MAX: usize = 64 << 10;
const PAST_MAX: usize = 1_000;
const PAST_CHARS_MAX: usize = 40_000;

/// A client's function is waited for so long, and called so often.
const FUNCTION_WITHIN: Duration = Duration::from_secs(30);
const CALLS_MAX: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: Value) -> Result<Wanted, Refused> {
        Wanted::read(serde_json::from_value(settings).unwrap(), &[("house", "llama-3")])
    }

    #[test]
    fn what_is_left_out_is_as_the_public_service_has_it() {
        let wanted = read(json!({"audio": {}, "agent": {}})).unwrap();
        assert_eq!(wanted.input, Input::Raw { encoding: Encoding::Linear16, rate_hz: 24_000, channels: 1 });
        assert_eq!(wanted.output, encode::Format { coding: Coding::Linear16, is_wav: false, rate_hz: 24_000 });
        assert!(wanted.persona.greeting.is_empty() && wanted.persona.tools.is_empty() && wanted.warnings.is_empty());
        assert_eq!((wanted.language.as_deref(), wanted.keeps_history), (Some("en"), true));
    }

    #[test]
    fn an_agent_becomes_a_persona_with_functions_and_a_past() {
        let wanted = read(json!({
            "audio": {"input": {"encoding": "mulaw", "sample_rate": 8000.0}, "output": {"encoding": "alaw"}},
            "flags": {"history": false},
            "agent": {
                "greeting": " Guten Tag! ",
                "listen": {"provider": {"type": "deepgram", "model": "nova-3", "language": "de", "keyterms": ["Kiel"]}},
                "think": [
                    {"provider": {"type": "open_ai", "model": "gpt-unknown"}, "prompt": "Nobody."},
                    {
                        "provider": {"type": "open_ai", "model": "llama-3", "temperature": 0.5},
                        "prompt": "You sell flowers.",
                        "functions": [{"name": "stock", "description": "How many are left", "defer_until_eot": true}],
                    },
                ],
                "speak": {"provider": {"type": "deepgram", "model": "aura-2-zeus-en"}},
                "context": {"messages": [
                    {"type": "History", "role": "user", "content": "Hallo"},
                    {"type": "History", "function_calls": [
                        {"id": "1", "name": "stock", "client_side": true, "arguments": "{}", "response": "7"},
                    ]},
                ]},
            },
        }))
        .unwrap();
        let persona = &wanted.persona;
        assert_eq!(persona.greeting_in(Language::GERMAN), Some("Guten Tag!"));
        assert_eq!(
            (persona.instructions.as_str(), &persona.tools[..]),
            ("You sell flowers.", &["stock".to_owned()][..])
        );
        assert_eq!((persona.models.primary.as_deref(), persona.models.temperature_milli), (Some("house"), Some(500)));
        assert_eq!(persona.voice.in_language(Language::GERMAN), Some("man"));
        assert!(!wanted.functions[0].rule.is_safe_to_cancel && wanted.functions[0].parameters["type"] == "object");
        assert_eq!((wanted.language.as_deref(), &wanted.keyterms[..]), (Some("de"), &["Kiel".to_owned()][..]));
        assert!(matches!(
            &wanted.past[..],
            [llm::Message::User(_), llm::Message::Assistant { .. }, llm::Message::ToolResult { content, .. }] if content == "7"
        ));
        assert!(!wanted.keeps_history && wanted.warnings.is_empty());
        assert_eq!(wanted.output.rate_hz, 8_000);
    }

    #[test]
    fn what_cannot_be_done_names_its_field() {
        for (field, settings) in [
            ("agent", json!({"agent": "a1b2"})),
            ("agent", json!({"agent": {"greeting": 7}})),
            ("audio.input.encoding", json!({"audio": {"input": {"encoding": "amr-nb"}}, "agent": {}})),
            ("audio.input.sample_rate", json!({"audio": {"input": {"sample_rate": 1}}, "agent": {}})),
            ("audio.output.encoding", json!({"audio": {"output": {"encoding": "mp3"}}, "agent": {}})),
            ("audio.output.container", json!({"audio": {"output": {"container": "wav"}}, "agent": {}})),
            ("audio.output.sample_rate", json!({"audio": {"output": {"sample_rate": 11_025}}, "agent": {}})),
            ("agent.think", json!({"agent": {"think": []}})),
            ("agent.think.endpoint", json!({"agent": {"think": {"endpoint": {"url": "http://127.0.0.1/"}}}})),
            ("agent.think.prompt", json!({"agent": {"think": {"prompt": "x".repeat(25_001)}}})),
            ("agent.think.functions", json!({"agent": {"think": {"functions": [{"name": "a b"}]}}})),
            ("agent.think.functions", json!({"agent": {"think": {"functions": [{"name": "hang_up"}]}}})),
            ("agent.think.functions", json!({"agent": {"think": {"functions": [{"name": "a", "endpoint": {}}]}}})),
            ("agent.think.functions", json!({"agent": {"think": {"functions": [{"name": "a", "parameters": 7}]}}})),
            (
                "agent.think.functions",
                json!({"agent": {"think": {"functions": [{"name": "a", "description": "x".repeat(70_000)}]}}}),
            ),
            ("agent.greeting", json!({"agent": {"greeting": "a! ".repeat(4_000)}})),
            (
                "agent.context.messages",
                json!({"agent": {"context": {"messages": [{"role": "user", "content": "x".repeat(41_000)}]}}}),
            ),
            ("agent.listen.provider.language", json!({"agent": {"language": "tlh"}})),
            ("agent.context.messages", json!({"agent": {"context": {"messages": [{"role": "x", "content": ""}]}}})),
        ] {
            let refused = read(settings.clone()).err().unwrap_or_else(|| panic!("{settings} is fine"));
            assert_eq!(refused.field, field, "{settings}");
        }
    }

    #[test]
    fn a_client_is_warned_where_another_model_answers() {
        let think = json!({"agent": {"think": {"provider": {"type": "open_ai", "model": "gpt-4o"}}}});
        let warnings = read(think.clone()).unwrap().warnings;
        assert!(matches!(&warnings[..], [Told::Warning { code: "MODEL_NOT_CONFIGURED", .. }]), "{warnings:?}");
        let without = Wanted::read(serde_json::from_value(think).unwrap(), &[]).unwrap().warnings;
        assert!(matches!(&without[..], [Told::Warning { code: "NO_MODEL", .. }]), "{without:?}");
    }

    #[test]
    fn a_voice_may_bring_its_language_along() {
        let mut persona = read(json!({"agent": {}})).unwrap().persona;
        let speak =
            json!({"provider": {"type": "eleven_labs", "model_id": "m", "voice": {"id": "x"}, "language": "de"}});
        speak_as(OneOrMore::One(serde_json::from_value(speak).unwrap()), &mut persona);
        assert_eq!((persona.language, persona.languages.len()), (Language::GERMAN, 2));
        assert!(persona.voice.is_empty());
    }
}
