//! What one call may do with tools: the list for the model, the judge of its wishes, and the record of both.
//!
//! Pure and told the time. Whoever holds the conversation asks [`Registry::admit`] for every wish of the model,
//! carries out what is [`Admitted`] and gives the model [`Refusal::outcome`] for what is not, says
//! [`Registry::settle`] at the end, and drains [`Registry::poll`]. A wish is carried out once at most, whoever repeats it;
//! what its persona may not use does not exist; and a yes that a tool needs comes from the caller
//! ([`Registry::answered`]), never from the model. It lives as long as the call: another persona that takes over finds
//! the same counts.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, civil::DateTime};
use media::time::MediaTime;
use serde_json::{Map, Value};
use tts::voice::Language;

use super::{
    Action, Approval, BuiltIn, Catalog, Doors, Outcome, Record, UNKNOWN, Verdict,
    catalog::{Origin, Rule, Tool},
    schema::{self, Mismatch},
};
use crate::{
    brain,
    consent::meaning,
    event::Segment,
    llm::{Call, ToolSpec},
    persona::Persona,
};

/// The tools of one call. See the module for how it is used.
#[derive(Clone, Debug)]
pub struct Registry {
    catalog: Arc<Catalog>,
    doors: Doors,
    /// What the persona may use, by name.
    offered: BTreeMap<String, Offered>,
    language: brain::Language,
    calls_max: u32,
    at_once: usize,
    /// The local time at which the room began.
    began: DateTime,
    counts: BTreeMap<String, u32>,
    calls: u32,
    under_way: BTreeMap<String, UnderWay>,
    /// Prints of the wishes carried out last, oldest first.
    carried_out: VecDeque<u64>,
    asked: Option<Asked>,
    records: VecDeque<Record>,
}

#[derive(Clone, Debug)]
struct Offered {
    tool: Arc<Tool>,
    rule: Rule,
}

#[derive(Clone, Debug)]
struct UnderWay {
    tool: String,
    since: MediaTime,
    until: MediaTime,
}

/// What the caller was asked to agree to, or has agreed to.
#[derive(Clone, Debug)]
struct Asked {
    tool: String,
    arguments: Map<String, Value>,
    call: String,
    since: MediaTime,
    agreed: bool,
}

/// A wish that may be carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// Its id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// What is to be done.
    pub does: Does,
    /// How long it is waited for.
    pub timeout: Duration,
    /// Whether it may be dropped when the caller interrupts.
    pub is_safe_to_cancel: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Does {
    /// Something of the agent's own.
    BuiltIn(Action),
    /// [`super::run::Outside::call`] with these arguments.
    Outside(Map<String, Value>),
    /// To be asked of whoever holds the line, with these arguments.
    Line(Map<String, Value>),
}

/// How a wish came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled<'a> {
    /// With this.
    Answered(&'a Outcome),
    /// It was dropped, because the caller went on.
    Cancelled,
    /// It took too long.
    TimedOut,
}

/// Why a wish is not carried out. Its `Display` is for the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such tool, or none for this persona.
    #[error("There is no tool of this name. Tools: {0}.")]
    Unknown(String),
    /// It was wished for before.
    #[error("This was already done, or is being done: it is not done twice.")]
    Again,
    /// It was used too often.
    #[error("This tool can be used {0} times in a call, and was. Go on without it.")]
    ToolLimit(u32),
    /// Tools were used too often.
    #[error("Tools can be used {0} times in a call, and were. Go on without them.")]
    CallLimit(u32),
    /// Too many at once.
    #[error("{0} tools are at work already. Wait for one of them.")]
    Busy(usize),
    /// The arguments are not JSON, or no object.
    #[error("The arguments are no JSON object: {0}. Call it again with a JSON object.")]
    Json(String),
    /// They do not fit.
    #[error("The arguments do not fit: {0}. Call it again with the right ones, or ask the caller for what is missing.")]
    Arguments(Mismatch),
    /// They fit, and cannot be done.
    #[error("This cannot be done: {0}.")]
    Impossible(String),
    /// The caller has not agreed yet.
    #[error(
        "The caller has to agree first. Tell them in one sentence what you would do, with the details, and ask. When \
         they have said yes, call this again with the same arguments."
    )]
    Ask,
}

impl Refusal {
    /// In a word, for records and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown_tool",
            Self::Again => "again",
            Self::ToolLimit(_) => "tool_limit",
            Self::CallLimit(_) => "call_limit",
            Self::Busy(_) => "busy",
            Self::Json(_) => "no_json",
            Self::Arguments(_) => "arguments",
            Self::Impossible(_) => "impossible",
            Self::Ask => "not_agreed",
        }
    }

    /// What the model reads.
    pub fn outcome(&self) -> Outcome {
        Outcome::failed(self.to_string())
    }
}

impl Settled<'_> {
    /// In a word, for records and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Answered(outcome) if outcome.is_error => "failed",
            Self::Answered(_) => "done",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
        }
    }
}

impl Registry {
    /// The tools of a call of `persona`, in a room that began at `began`, in local time.
    pub fn new(catalog: Arc<Catalog>, persona: &Persona, began: DateTime) -> Self {
        let mut registry = Self {
            catalog,
            doors: Doors::default(),
            offered: BTreeMap::new(),
            language: brain::Language::English,
            calls_max: 0,
            at_once: 0,
            began,
            counts: BTreeMap::new(),
            calls: 0,
            under_way: BTreeMap::new(),
            carried_out: VecDeque::new(),
            asked: None,
            records: VecDeque::new(),
        };
        registry.hand_over(persona);
        registry
    }

    /// Another persona goes on. What was used stays used; what is under way goes on; what was agreed to is void.
    pub fn hand_over(&mut self, persona: &Persona) {
        self.doors = Doors::of(persona);
        self.language = brain::Language::from_tag(persona.language.tag()).unwrap_or(brain::Language::English);
        (self.calls_max, self.at_once) = (persona.limits.tool_calls_max, persona.limits.tools_at_once);
        self.asked = None;
        let built_in = BuiltIn::ALL.into_iter().filter_map(|tool| tool.tool(&self.doors)).map(Arc::new);
        let outside = self.catalog.tools().cloned();
        self.offered = built_in
            .chain(outside)
            .filter(|tool| persona.may_use(&tool.name))
            .map(|tool| {
                let rule = rule(&tool, persona);
                (tool.name.clone(), Offered { tool, rule })
            })
            .filter(|(_, offered)| offered.rule.approval != Approval::Deny)
            .collect();
    }

    /// The same persona with other tools, or with other rules for them. Counts and what is under way stay.
    pub fn offer(&mut self, catalog: Arc<Catalog>, persona: &Persona) {
        self.catalog = catalog;
        self.hand_over(persona);
    }

    /// What the model is told of.
    pub fn specs(&self) -> Vec<ToolSpec> {
        let spec = |offered: &Offered| {
            let ask = if offered.rule.approval == Approval::Ask { NEEDS_YES } else { "" };
            ToolSpec {
                name: offered.tool.name.clone(),
                description: format!("{}{ask}", offered.tool.description),
                parameters: offered.tool.parameters.clone(),
            }
        };
        self.offered.values().map(spec).collect()
    }

    /// Whether the tool of this name may be dropped half-way.
    pub fn is_safe_to_cancel(&self, name: &str) -> bool {
        self.offered.get(name).is_some_and(|offered| offered.rule.is_safe_to_cancel)
    }

    /// How long the tool of this name is waited for.
    pub fn timeout(&self, name: &str) -> Option<Duration> {
        self.offered.get(name).map(|offered| offered.rule.timeout)
    }

    /// What is said when the tool of this name takes long, where it has words of its own.
    pub fn filler(&self, name: &str, language: Language) -> Option<&str> {
        self.offered.get(name)?.rule.filler.in_language(language)
    }

    /// Judges a wish of the model. What is admitted counts, and is under way until [`Registry::settle`].
    ///
    /// # Errors
    /// [`Refusal`]; the model is to be given [`Refusal::outcome`].
    pub fn admit(&mut self, call: &Call, now: MediaTime) -> Result<Admitted, Refusal> {
        let judged = self.judge(call, now);
        let verdict = match &judged {
            Ok((_, why)) => Verdict::Admitted { why },
            Err(refusal) => Verdict::Refused { why: refusal.code() },
        };
        // A name that was not offered is whatever the model wrote.
        let name = if self.offered.contains_key(&call.name) { &call.name } else { UNKNOWN };
        self.record(&call.id, name, verdict, now);
        judged.map(|(admitted, _)| admitted)
    }

    fn judge(&mut self, call: &Call, now: MediaTime) -> Result<(Admitted, &'static str), Refusal> {
        let unknown = || Refusal::Unknown(self.names());
        let Offered { tool, rule } = self.offered.get(&call.name).cloned().ok_or_else(unknown)?;
        let print = print(call);
        if self.under_way.contains_key(&call.id) || self.carried_out.contains(&print) {
            return Err(Refusal::Again);
        }
        if self.counts.get(&call.name).copied().unwrap_or(0) >= rule.calls_max {
            return Err(Refusal::ToolLimit(rule.calls_max));
        }
        if self.calls >= self.calls_max {
            return Err(Refusal::CallLimit(self.calls_max));
        }
        if self.under_way.len() >= self.at_once {
            return Err(Refusal::Busy(self.at_once));
        }
        let arguments = object(&call.arguments)?;
        schema::check(&tool.parameters, &Value::Object(arguments.clone())).map_err(Refusal::Arguments)?;
        let does = match tool.origin {
            Origin::BuiltIn(tool) => {
                let action = tool.action(&arguments, &self.doors, self.language, self.local(now));
                Does::BuiltIn(action.map_err(Refusal::Impossible)?)
            }
            Origin::Line => Does::Line(arguments.clone()),
            Origin::Http | Origin::Mcp { .. } => Does::Outside(arguments.clone()),
        };
        let why = match rule.approval {
            Approval::Allow => "allowed",
            _ if self.has_agreed(&call.name, &arguments, now) => "approved",
            _ => {
                self.asked = Some(Asked {
                    tool: call.name.clone(),
                    arguments,
                    call: call.id.clone(),
                    since: now,
                    agreed: false,
                });
                return Err(Refusal::Ask);
            }
        };
        *self.counts.entry(call.name.clone()).or_default() += 1;
        self.calls += 1;
        self.carried_out.push_back(print);
        if self.carried_out.len() > REMEMBERED {
            self.carried_out.pop_front();
        }
        let until = now + rule.timeout;
        self.under_way.insert(call.id.clone(), UnderWay { tool: call.name.clone(), since: now, until });
        let admitted = Admitted {
            id: call.id.clone(),
            name: call.name.clone(),
            does,
            timeout: rule.timeout,
            is_safe_to_cancel: rule.is_safe_to_cancel,
        };
        Ok((admitted, why))
    }

    /// Whether a yes or a no of the caller would be the answer to a tool's question.
    pub fn is_asking(&self, now: MediaTime) -> bool {
        self.asked.as_ref().is_some_and(|asked| !asked.agreed && now.since(asked.since) < ANSWER_WITHIN)
    }

    /// What a caller said, which may be a yes or a no where one was asked for.
    pub fn hear(&mut self, said: &Segment, now: MediaTime) {
        if self.is_asking(now)
            && let Some(agreed) = meaning(said)
        {
            self.answered(agreed, now);
        }
    }

    /// The caller said yes or no, in words of their own, after the question. Nothing happens where none was asked.
    pub fn answered(&mut self, agreed: bool, now: MediaTime) {
        if !self.is_asking(now) {
            return;
        }
        let Some(mut asked) = self.asked.take() else { return };
        let (call, tool) = (asked.call.clone(), asked.tool.clone());
        self.record(&call, &tool, Verdict::Answered { agreed }, now);
        if agreed {
            (asked.agreed, asked.since) = (true, now);
            self.asked = Some(asked);
        }
    }

    /// Whether the caller agreed to just this; what they agreed to is done once.
    fn has_agreed(&mut self, tool: &str, arguments: &Map<String, Value>, now: MediaTime) -> bool {
        let agreed = self.asked.take_if(|asked| {
            asked.agreed
                && asked.tool == tool
                && asked.arguments == *arguments
                && now.since(asked.since) < ANSWER_WITHIN
        });
        agreed.is_some()
    }

    /// A wish came to its end; says whether it was under way. Where not, its result came too late and is not for the
    /// model.
    pub fn settle(&mut self, id: &str, how: Settled<'_>, now: MediaTime) -> bool {
        let Some(ended) = self.under_way.remove(id) else { return false };
        let bytes = if let Settled::Answered(outcome) = how { outcome.content.len() } else { 0 };
        let took = now.since(ended.since);
        self.record(id, &ended.tool, Verdict::Ended { how: how.code(), took, bytes }, now);
        true
    }

    /// Settles what has taken too long, and says what the model is to read instead.
    pub fn expire(&mut self, now: MediaTime) -> Vec<(String, Outcome)> {
        let late: Vec<String> =
            self.under_way.iter().filter(|(_, tool)| tool.until <= now).map(|(id, _)| id.clone()).collect();
        let expired = late.into_iter().map(|id| {
            self.settle(&id, Settled::TimedOut, now);
            (id, Outcome::failed(TOO_LATE))
        });
        expired.collect()
    }

    /// When [`Registry::expire`] has something to do next.
    pub fn due(&self) -> Option<MediaTime> {
        self.under_way.values().map(|tool| tool.until).min()
    }

    /// The next trace of what was decided.
    pub fn poll(&mut self) -> Option<Record> {
        self.records.pop_front()
    }

    fn record(&mut self, call: &str, tool: &str, verdict: Verdict, at: MediaTime) {
        // Nobody who drains it lets it grow; the oldest are lost for those who do not.
        if self.records.len() >= RECORDS_MAX {
            self.records.pop_front();
        }
        let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(NAME_SHOWN).collect::<String>();
        self.records.push_back(Record { call: short(call), tool: short(tool), at, verdict });
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.offered.keys().take(NAMES_SHOWN).map(String::as_str).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }

    /// The local time at `now`.
    fn local(&self, now: MediaTime) -> DateTime {
        let after = SignedDuration::from_millis(i64::try_from(now.as_millis()).unwrap_or(0));
        self.began.checked_add(after).unwrap_or(self.began)
    }
}

/// How `persona` uses `tool`.
fn rule(tool: &Tool, persona: &Persona) -> Rule {
    let mut rule = tool.rule.clone();
    let Some(own) = persona.rules.get(&tool.name) else { return rule };
    // What the configuration forbids, no persona allows.
    rule.approval = own.approval.map_or(rule.approval, |approval| rule.approval.stricter(approval));
    rule.calls_max = own.calls_max.unwrap_or(rule.calls_max);
    rule.timeout = own.timeout.unwrap_or(rule.timeout);
    rule.is_safe_to_cancel = own.is_safe_to_cancel.unwrap_or(rule.is_safe_to_cancel);
    if !own.filler.is_empty() {
        rule.filler = own.filler.clone();
    }
    rule
}

/// The arguments as an object; nothing at all is an empty one, as models that need none write it.
fn object(arguments: &str) -> Result<Map<String, Value>, Refusal> {
    if arguments.len() > ARGUMENTS_BYTES_MAX {
        return Err(Refusal::Json(format!("they have more than {ARGUMENTS_BYTES_MAX} bytes")));
    }
    if arguments.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(arguments) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(Refusal::Json("they are something else".to_owned())),
        Err(error) => Err(Refusal::Json(format!("line {}, column {}", error.line(), error.column()))),
    }
}

/// What tells one wish from another. The hash is the same in every process, as replays need it.
fn print(call: &Call) -> u64 {
    let mut hasher = DefaultHasher::new();
    call.hash(&mut hasher);
    hasher.finish()
}

/// How long a question whether something may be done stays open, and how long a yes holds: a turn or two. Longer, and
/// a yes to something else would be taken for it.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Wishes remembered so that none is carried out twice. A persona that allows more tools in a call than this would
/// have one repeated word for word, id and all, after so many others.
const REMEMBERED: usize = 256;

/// Traces kept for whoever drains them.
const RECORDS_MAX: usize = 256;

/// The most that a model may write for one call: a long letter.
const ARGUMENTS_BYTES_MAX: usize = 32 * 1_024;

const NAME_SHOWN: usize = 64;
const NAMES_SHOWN: usize = 40;
const NEEDS_YES: &str = " The caller has to agree to it first.";
const TOO_LATE: &str = "The tool did not answer in time. Whether it did anything is not known: do not call it again \
                        by yourself; tell the caller.";

#[cfg(test)]
mod tests;
