//! What a client wants of an agent, as a persona, its functions, and the formats of the sound. Pure.
//!
//! The public service's models are not here: one that is configured under its name or its model's answers, else the
//! server's own choice, and the client is warned. What cannot be done at all is refused with the field's name: a client
//! that is told nothing would take silence for an answer.

use std::{collections::BTreeMap, time::Duration};

use bot::{
    llm,
    persona::{self, Limits, PerLanguage, Persona, TurnSettings},
    tools::{BroughtTool, BuiltIn, NAME_CHARS_MAX, Origin, Rule, Tool, is_name},
};
use media::codec::raw::Encoding;
use serde_json::{Value, json};
use tts::voice::Language;

use super::{
    endpoint::{self, OwnModel},
    message::{Agent, Format, Function, ListenProvider, OneOrMore, Past, Settings, Speak, Think, Told},
};
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
    pub(super) listening: Listening,
    pub(super) persona: Persona,
    pub(super) thinking: Thinking,
    /// What was said before.
    pub(super) past: Vec<llm::Message>,
    pub(super) keeps_history: bool,
    /// What is otherwise than the client may think.
    pub(super) warnings: Vec<Told>,
}

/// What is listened for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    /// `None` is any language.
    pub(super) language: Option<String>,
    pub(super) keyterms: Vec<String>,
}

/// What else a conversation thinks with than its persona says.
#[derive(Clone, Default)]
pub(super) struct Thinking {
    /// What may be called.
    pub(super) functions: Vec<Tool>,
    /// Which of them this server carries out, by name; the client does the others.
    pub(super) served: BTreeMap<String, BroughtTool>,
    /// The model that the client brought along, in place of this server's.
    pub(super) model: Option<OwnModel>,
}

/// Why a conversation cannot be had like this: the field, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub(super) struct Refused {
    field: &'static str,
    why: String,
}

pub(super) fn refused(field: &'static str, why: impl Into<String>) -> Refused {
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
        let heard = listen.as_ref().and_then(language_of).or(agent.language);
        let (language, languages) = languages(heard.as_deref())?;
        warnings.extend(listen.as_ref().and_then(turn_taking));
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
        let mut thinking = Thinking::default();
        match agent.think {
            Some(think) => warnings.extend(think_as(think, known, &mut persona, &mut thinking)?),
            None => warnings.extend(no_model(known)),
        }
        if let Some(speak) = agent.speak {
            speak_as(speak, &mut persona);
        }
        Ok(Self {
            input: input(audio.input.unwrap_or_default())?,
            output: output(audio.output.unwrap_or_default())?,
            listening: Listening {
                language,
                keyterms: listen.and_then(|provider| provider.keyterms).unwrap_or_default(),
            },
            persona,
            thinking,
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
    thinking: &mut Thinking,
) -> Result<Vec<Told>, Refused> {
    let all = think.all();
    let named = |think: &Think| {
        let model = think.provider.as_ref()?.model.as_deref()?;
        known.iter().find(|(name, its)| model == *name || model == *its).map(|(name, _)| (*name).to_owned())
    };
    let best = all.iter().position(|think| think.endpoint.is_some() || named(think).is_some()).unwrap_or(0);
    let Some(think) = all.into_iter().nth(best) else { return Err(refused("agent.think", "names no model")) };
    let model = named(&think);
    let Think { provider, endpoint, context_length, functions, prompt } = think;
    let mut warnings = Vec::new();
    if context_length.is_some() {
        let why = "agent.think.context_length has no effect: what was said long ago is summarised";
        warnings.push(warning("CONTEXT_LENGTH", why));
    }
    if let Some(prompt) = prompt {
        persona.instructions = instructions(prompt, "agent.think.prompt")?;
    }
    if let Some(wanted) = functions {
        (thinking.functions, thinking.served) = functions_of(wanted)?;
        persona.tools = thinking.functions.iter().map(|tool| tool.name.clone()).collect();
    }
    let own = endpoint.map(|endpoint| endpoint::model(provider.as_ref(), endpoint)).transpose()?;
    let Some(provider) = provider else {
        warnings.extend(no_model(known).filter(|_| thinking.model.is_none()));
        return Ok(warnings);
    };
    let temperature = provider.temperature.filter(|degree| (0.0..=2.0).contains(degree));
    let temperature_milli = temperature.map(|degree| (degree * 1_000.0) as u32);
    let is_there = model.is_some() || provider.model.is_none();
    persona.models = persona::Models { primary: model, temperature_milli, ..persona::Models::default() };
    thinking.model = own;
    if thinking.model.is_none() {
        warnings.extend(no_model(known).or_else(|| {
            let name: String = provider.model.unwrap_or_default().chars().take(100).collect();
            let why =
                format!("agent.think.provider.model: {name:?} is not configured here; the server's own choice thinks");
            (!is_there).then(|| warning("MODEL_NOT_CONFIGURED", why))
        }));
    }
    Ok(warnings)
}

/// What may be called, and which of it this server carries out.
fn functions_of(wanted: Vec<Function>) -> Result<(Vec<Tool>, BTreeMap<String, BroughtTool>), Refused> {
    let (mut tools, mut served) = (Vec::<Tool>::new(), BTreeMap::new());
    for wanted in wanted {
        let (tool, endpoint) = function(wanted)?;
        // Of two that share a name the first counts.
        if !tools.iter().any(|other| other.name == tool.name) {
            served.extend(endpoint.map(|endpoint| (tool.name.clone(), endpoint)));
            tools.push(tool);
        }
    }
    let bytes = |tool: &Tool| tool.description.len() + tool.parameters.to_string().len();
    if tools.len() > FUNCTIONS_MAX || tools.iter().map(bytes).sum::<usize>() > FUNCTIONS_BYTES_MAX {
        let why = format!("are more than {FUNCTIONS_MAX}, or than {FUNCTIONS_BYTES_MAX} bytes");
        return Err(refused("agent.think.functions", why));
    }
    Ok((tools, served))
}

/// Changes what is listened for to what is given of that, and the languages of a persona with it; what else the client
/// should know.
///
/// # Errors
/// [`Refused`]; nothing is changed then.
pub(super) fn listen_as(
    provider: ListenProvider,
    persona: &mut Persona,
    listening: &mut Listening,
) -> Result<Option<Told>, Refused> {
    let told = turn_taking(&provider);
    if let Some(tag) = language_of(&provider) {
        let (language, languages) = languages(Some(&tag))?;
        listening.language = language;
        persona.language = languages[0];
        persona.languages = languages;
    }
    if let Some(keyterms) = provider.keyterms {
        listening.keyterms = keyterms;
    }
    Ok(told)
}

/// The language that a recognizer is told, in the words of either kind of model.
fn language_of(provider: &ListenProvider) -> Option<String> {
    provider.language.clone().or_else(|| match provider.language_hints.as_deref().unwrap_or_default() {
        [] => None,
        [only] => Some(only.clone()),
        _ => Some(MULTI.to_owned()),
    })
}

fn turn_taking(provider: &ListenProvider) -> Option<Told> {
    let ListenProvider { eot_threshold, eager_eot_threshold, eot_timeout_ms, .. } = provider;
    let is_named = [eot_threshold, eager_eot_threshold, eot_timeout_ms].iter().any(|setting| setting.is_some());
    let why = "agent.listen.provider: the eot settings have no effect, the end of a turn is judged here";
    is_named.then(|| warning("TURN_TAKING", why))
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

fn function(function: Function) -> Result<(Tool, Option<BroughtTool>), Refused> {
    const FIELD: &str = "agent.think.functions";
    let name = function.name.unwrap_or_default();
    if !is_name(&name) {
        return Err(refused(FIELD, format!("a name has 1 to {NAME_CHARS_MAX} letters, digits, _ and -")));
    }
    if BuiltIn::named(&name).is_some() {
        return Err(refused(FIELD, format!("{name:?} is a tool of the server's own: choose another name")));
    }
    let endpoint = function.endpoint.map(endpoint::function).transpose()?;
    let parameters = function.parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    if parameters.get("type").is_none_or(|kind| kind != "object") {
        return Err(refused(FIELD, format!("the parameters of {name:?} are no schema of an object")));
    }
    // One that must not be called before the turn is certain must not be taken back, either.
    let is_safe_to_cancel = function.defer_until_eot != Some(true);
    let rule = Rule { calls_max: CALLS_MAX, timeout: FUNCTION_WITHIN, is_safe_to_cancel, ..Rule::default() };
    let description = function.description.unwrap_or_default();
    Ok((Tool { name, description, parameters, origin: Origin::Line, rule }, endpoint))
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
pub(super) const FUNCTION_WITHIN: Duration = Duration::from_secs(30);
const CALLS_MAX: u32 = 1_000;

#[cfg(test)]
mod tests;
