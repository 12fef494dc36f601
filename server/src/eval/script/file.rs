//! A script as it is written, and how it becomes a [`Script`]: each key is checked where its line is known. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use bot::{
    persona::language_of,
    tools::{BuiltIn, NAME_CHARS_MAX, Origin, Rule as ToolRule, Tool, is_name},
};
use media::rtp::dtmf::Key;
use serde::Deserialize;
use serde_json::{Value, json};
use toml::Spanned;
use tts::voice::{Language, VoiceId, choose};

use super::{BadScript, Does, Expected, Hearing, Line, Rule, Script, Scripted, To, Wanted, Who};
use crate::eval::phrase::Phrase;

/// Reads a script.
pub(super) fn parse(text: &str) -> Result<Script, BadScript> {
    let wrong = |at: usize, why: &str| {
        let before = &text.as_bytes()[..at.min(text.len())];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        BadScript { line, why: why.split_whitespace().collect::<Vec<_>>().join(" ") }
    };
    if text.len() > FILE_BYTES_MAX {
        return Err(wrong(0, &format!("a conversation has at most {FILE_BYTES_MAX} bytes")));
    }
    let file: File =
        toml::from_str(text).map_err(|error| wrong(error.span().map_or(0, |span| span.start), error.message()))?;
    file.script().map_err(|(at, why)| wrong(at, &why))
}

/// More than anybody writes by hand.
const FILE_BYTES_MAX: usize = 256 << 10;

/// Lines of one conversation: each takes seconds, and a call ends after half an hour.
const LINES_MAX: usize = 100;

/// Keys of one line: what a call takes at once.
const KEYS_MAX: usize = 32;

/// What a line may be waited for.
const MILLIS_MAX: u64 = 60_000;

/// What a real model takes on a good day.
const MODEL_TAKES: Duration = Duration::from_millis(150);

/// How soon an agent that is spoken over must be silent, unless a script says otherwise: later it is heard as rude.
const STOPS_WITHIN: Duration = Duration::from_millis(500);

/// What is wrong, and where in the text.
type Fault = (usize, String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    title: String,
    persona: Option<Spanned<String>>,
    #[serde(default)]
    values: BTreeMap<String, String>,
    language: Option<Spanned<String>>,
    voice: Option<Spanned<String>>,
    #[serde(default)]
    hearing: Hearing,
    within_ms: Option<Spanned<u64>>,
    stops_within_ms: Option<Spanned<u64>>,
    model_ms: Option<Spanned<u64>>,
    greeting: Option<Spanned<GreetingOfFile>>,
    #[serde(default)]
    model: Vec<Spanned<RuleOfFile>>,
    #[serde(default)]
    tool: Vec<Spanned<ToolOfFile>>,
    #[serde(default)]
    line: Vec<Spanned<LineOfFile>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GreetingOfFile {
    words: Vec<String>,
    no_words: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RuleOfFile {
    when: Option<String>,
    after: Option<String>,
    says: String,
    calls: Vec<Wanted>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolOfFile {
    name: String,
    #[serde(default)]
    description: String,
    parameters: Option<Value>,
    #[serde(default)]
    answer: String,
    #[serde(default)]
    fails: bool,
    #[serde(default)]
    takes_ms: u64,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LineOfFile {
    says: Option<String>,
    plays: Option<String>,
    presses: Option<String>,
    language: Option<String>,
    voice: Option<String>,
    interrupts_after_ms: Option<u64>,
    answers: Option<bool>,
    words: Vec<String>,
    no_words: Vec<String>,
    tools: Option<Vec<Wanted>>,
    intents: Option<Vec<String>>,
    within_ms: Option<u64>,
    stops_within_ms: Option<u64>,
    hangs_up: bool,
}

impl File {
    /// The script, or the place in the text that is wrong and why.
    fn script(self) -> Result<Script, Fault> {
        let usual = Usual {
            language: match &self.language {
                Some(tag) => language(tag.get_ref()).map_err(|why| (tag.span().start, why))?,
                None => Language::ENGLISH_US,
            },
            voice: self.voice.as_ref().map(|voice| voice.get_ref().clone()),
            within: millis(self.within_ms.as_ref(), "within_ms")?,
            stops_within: millis(self.stops_within_ms.as_ref(), "stops_within_ms")?.unwrap_or(STOPS_WITHIN),
        };
        if let Some(voice) = &self.voice {
            voice_of(voice.get_ref(), usual.language).map_err(|why| (voice.span().start, why))?;
        }
        let model_takes = millis(self.model_ms.as_ref(), "model_ms")?.unwrap_or(MODEL_TAKES);
        let greeting = match self.greeting {
            Some(greeting) => {
                let (at, greeting) = (greeting.span().start, greeting.into_inner());
                let words = phrases("words", &greeting.words).map_err(|why| (at, why))?;
                let no_words = phrases("no_words", &greeting.no_words).map_err(|why| (at, why))?;
                Expected { words, no_words, ..Expected::greeting() }
            }
            None => Expected::greeting(),
        };
        let tools = each(self.tool, scripted)?;
        let mut names = BTreeSet::new();
        for (at, scripted) in &tools {
            if !names.insert(scripted.tool.name.clone()) {
                return Err((*at, format!("there are two tools called {:?}", scripted.tool.name)));
            }
        }
        let is_scripted = |name: &str| names.contains(name);
        let model = each(self.model, rule)?;
        if self.line.is_empty() {
            return Err((0, "there is no [[line]]: the caller says nothing".to_owned()));
        }
        if self.line.len() > LINES_MAX {
            return Err((self.line[LINES_MAX].span().start, format!("a conversation has at most {LINES_MAX} lines")));
        }
        let lines = each(self.line, |line| line.line(&usual, &is_scripted))?;
        if let Some((at, _)) = lines.first().filter(|(_, line)| line.interrupts.is_some()) {
            return Err((
                *at,
                "the first line interrupts no answer; let it begin without interrupts_after_ms".to_owned(),
            ));
        }
        for pair in lines.windows(2) {
            let [(_, before), (at, line)] = pair else { continue };
            if line.interrupts.is_some() && !before.expected.answers {
                return Err((*at, "the line before has answers = false: there is nothing to interrupt".to_owned()));
            }
            if before.expected.hangs_up {
                return Err((*at, "the agent has hung up by then: hangs_up is for the last line".to_owned()));
            }
        }
        let persona = self.persona.map(|persona| match persona.into_inner() {
            file if file.ends_with(".toml") => Who::File(PathBuf::from(file)),
            name => Who::Named(name),
        });
        Ok(Script {
            title: self.title,
            persona,
            values: self.values,
            hearing: self.hearing,
            greeting,
            model: model.into_iter().map(|(_, rule)| rule).collect(),
            model_takes,
            tools: tools.into_iter().map(|(_, tool)| tool).collect(),
            lines: lines.into_iter().map(|(_, line)| line).collect(),
        })
    }
}

/// Reads each of a list, with its place; the first that is wrong ends it.
fn each<T, U>(all: Vec<Spanned<T>>, read: impl Fn(T) -> Result<U, String>) -> Result<Vec<(usize, U)>, Fault> {
    let one = |one: Spanned<T>| {
        let at = one.span().start;
        read(one.into_inner()).map(|one| (at, one)).map_err(|why| (at, why))
    };
    all.into_iter().map(one).collect()
}

/// What holds for lines that say nothing else.
struct Usual {
    language: Language,
    voice: Option<String>,
    within: Option<Duration>,
    stops_within: Duration,
}

impl LineOfFile {
    fn line(self, usual: &Usual, is_scripted: &dyn Fn(&str) -> bool) -> Result<Line, String> {
        let language = match &self.language {
            Some(tag) => language(tag)?,
            None => usual.language,
        };
        let does = match (self.says, self.plays, self.presses) {
            (Some(words), None, None) => {
                let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
                if Phrase::parse(&words.replace('|', " ")).is_none() {
                    return Err("says: there is no word in it".to_owned());
                }
                let name = self.voice.as_ref().or(usual.voice.as_ref()).map_or(CALLER, String::as_str);
                Does::Says { words, voice: voice_of(name, language)? }
            }
            (words, Some(file), None) if !file.is_empty() => {
                Does::Plays { file: PathBuf::from(file), words: words.unwrap_or_default() }
            }
            (None, None, Some(written)) => {
                let keys: Option<Vec<Key>> = written.chars().map(Key::from_char).collect();
                let keys = keys.filter(|keys| (1..=KEYS_MAX).contains(&keys.len()));
                let keys = keys.ok_or_else(|| format!("presses: 1 to {KEYS_MAX} of 0-9, *, # and A-D"))?;
                Does::Presses(keys, written)
            }
            _ => {
                return Err(
                    "a line has one of says, plays and presses; says beside plays is what is in the file".to_owned()
                );
            }
        };
        let answers = self.answers.unwrap_or(true);
        let asks_for_words = !self.words.is_empty() || self.within_ms.is_some();
        if !answers && (asks_for_words || self.hangs_up) {
            return Err("answers = false: words, within_ms and hangs_up cannot be asked for then".to_owned());
        }
        if self.stops_within_ms.is_some() && self.interrupts_after_ms.is_none() {
            return Err("stops_within_ms is for a line with interrupts_after_ms".to_owned());
        }
        let unseen = |wanted: &&Wanted| !wanted.arguments.is_empty() && !is_scripted(&wanted.name);
        if let Some(wanted) = self.tools.iter().flatten().find(unseen) {
            return Err(format!(
                "tools: the arguments of {:?} are not seen; they are for tools that the script brings along as [[tool]]",
                wanted.name
            ));
        }
        let interrupts = self.interrupts_after_ms.map(|ms| within("interrupts_after_ms", ms)).transpose()?;
        let expected = Expected {
            answers,
            words: phrases("words", &self.words)?,
            no_words: phrases("no_words", &self.no_words)?,
            tools: self.tools,
            intents: self.intents,
            within: self.within_ms.map(|ms| within("within_ms", ms)).transpose()?.or(usual.within).filter(|_| answers),
            stops_within: match self.stops_within_ms {
                Some(ms) => within("stops_within_ms", ms)?,
                None => usual.stops_within,
            },
            hangs_up: self.hangs_up,
        };
        Ok(Line { does, language, interrupts, expected })
    }
}

impl Expected {
    /// That the agent says something first, whatever it is.
    fn greeting() -> Self {
        Self {
            answers: true,
            words: Vec::new(),
            no_words: Vec::new(),
            tools: None,
            intents: None,
            within: None,
            stops_within: STOPS_WITHIN,
            hangs_up: false,
        }
    }
}

/// Who the caller is where nobody says: easily told from the agents' usual voice.
const CALLER: &str = "woman";

fn rule(rule: RuleOfFile) -> Result<Rule, String> {
    if rule.says.trim().is_empty() && rule.calls.is_empty() {
        return Err("a rule of the model has says, calls or both".to_owned());
    }
    let when = rule.when.as_deref().map(|when| phrase("when", when)).transpose()?;
    let to = match rule.after {
        Some(tool) if is_name(&tool) => To::Tool(tool, when),
        Some(tool) => return Err(format!("after: {tool:?} is no name of a tool")),
        None => To::Caller(when),
    };
    if let Some(call) = rule.calls.iter().find(|call| !is_name(&call.name)) {
        return Err(format!("calls: {:?} is no name of a tool", call.name));
    }
    Ok(Rule { to, says: rule.says, calls: rule.calls })
}

fn scripted(file: ToolOfFile) -> Result<Scripted, String> {
    let ToolOfFile { name, description, parameters, answer, fails, takes_ms } = file;
    if !is_name(&name) {
        return Err(format!("a tool's name has 1 to {NAME_CHARS_MAX} letters, digits, _ and -"));
    }
    if BuiltIn::named(&name).is_some() {
        return Err(format!("{name:?} is a tool of the server's own: it is there without being brought along"));
    }
    let parameters = parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    if parameters.get("type").is_none_or(|kind| kind != "object") {
        return Err(format!("the parameters of {name:?} are no schema of an object"));
    }
    let takes = within("takes_ms", takes_ms)?;
    let tool = Tool { name, description, parameters, origin: Origin::Line, rule: ToolRule::default() };
    Ok(Scripted { tool, answer, fails, takes })
}

fn phrases(key: &str, written: &[String]) -> Result<Vec<Phrase>, String> {
    written.iter().map(|written| phrase(key, written)).collect()
}

fn phrase(key: &str, written: &str) -> Result<Phrase, String> {
    Phrase::parse(written).ok_or_else(|| format!("{key}: {written:?} has no word in it, or none on one side of a |"))
}

fn language(tag: &str) -> Result<Language, String> {
    language_of(tag).map_err(|why| format!("language: {why}"))
}

fn voice_of(name: &str, language: Language) -> Result<VoiceId, String> {
    let choice = choose(Some(name), Some(language.tag()));
    match choice.warning {
        None => Ok(choice.voice),
        Some(why) => Err(format!("voice: {why}")),
    }
}

fn millis(written: Option<&Spanned<u64>>, key: &str) -> Result<Option<Duration>, Fault> {
    written.map(|ms| within(key, *ms.get_ref()).map_err(|why| (ms.span().start, why))).transpose()
}

fn within(key: &str, ms: u64) -> Result<Duration, String> {
    if ms > MILLIS_MAX { Err(format!("{key}: {MILLIS_MAX} at most")) } else { Ok(Duration::from_millis(ms)) }
}
