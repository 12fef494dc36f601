//! What a session is set to: read from what clients send, and as what the agent, the ears and the voice want. Pure.
//!
//! A client changes the fields that it sends and no others. What would change what is said and cannot be done is refused
//! with the field's name, and then nothing of the update counts; what only tunes something that works otherwise here is
//! left out of the session, and the client is told so. Source: openai-python, `types/realtime`.

mod choice;
mod described;
mod detection;
mod fields;
mod sound;

use bot::{persona, tools::Tool};
use serde_json::{Value, json};

pub(super) use self::fields::Refused;
use self::{
    choice::Choice,
    described::function,
    detection::{Detection, Manners},
    fields::Fields,
    sound::Format,
};
use crate::{agent::Delivery, encode, live::Input};

/// A language model of this server: its own name, and that of its model.
pub(super) type Known<'a> = (&'a str, &'a str);

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Somebody talks with an agent.
    Realtime,
    /// Somebody's words are written down.
    Transcription,
}

/// That the client wants to read what was said to it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Transcription {
    model: Option<String>,
    language: Option<String>,
    keywords: Vec<String>,
}

/// A session.
#[derive(Clone)]
pub(super) struct Session {
    id: String,
    pub(super) kind: Kind,
    model: String,
    instructions: String,
    is_written: bool,
    functions: Vec<Tool>,
    choice: Choice,
    tokens_max: Option<u32>,
    input: Format,
    output: Format,
    noise_reduction: Option<String>,
    transcription: Option<Transcription>,
    detection: Detection,
    voice: String,
    /// Whether sound goes both ways over a track beside the events, and not in them.
    is_tracked: bool,
}

impl Session {
    /// What a session is when nobody has said anything about it.
    pub(super) fn new(id: String, kind: Kind, model: &str) -> Self {
        let manners = Manners { answers: true, interrupts: true };
        Self {
            id,
            kind,
            model: model.chars().take(NAME_CHARS_MAX).collect(),
            instructions: String::new(),
            is_written: false,
            functions: Vec::new(),
            choice: Choice::Auto,
            tokens_max: None,
            input: Format::Pcm,
            output: Format::Pcm,
            noise_reduction: None,
            transcription: (kind == Kind::Transcription).then(Transcription::default),
            detection: Detection::Server { silence_ms: SILENCE_MS, idle_ms: None, manners },
            voice: "alloy".to_owned(),
            is_tracked: false,
        }
    }

    /// The same under another name, for somebody else who gets it.
    pub(super) fn called(self, id: String) -> Self {
        Self { id, ..self }
    }

    /// The same with its sound on a track of its own.
    pub(super) fn over_track(self) -> Self {
        Self { is_tracked: true, ..self }
    }

    /// The session as it becomes by an update, and what of that has no effect here. Some things stay once sound may flow.
    ///
    /// # Errors
    /// [`Refused`]; nothing is changed then.
    pub(super) fn update(&self, wanted: &Value, has_begun: bool) -> Result<(Self, Vec<Refused>), Refused> {
        let mut session = self.clone();
        let mut idle = Vec::new();
        let fields = Fields::of(wanted, "session")?;
        if let Some(kind) = fields.text("type")? {
            let kind = match kind {
                "realtime" => Kind::Realtime,
                "transcription" => Kind::Transcription,
                _ => return Err(fields.invalid("type", "expected realtime or transcription")),
            };
            if kind != session.kind {
                session = Self { is_tracked: self.is_tracked, ..Self::new(self.id.clone(), kind, &self.model) };
            }
        }
        fields.only(if session.kind == Kind::Realtime { FIELDS } else { FIELDS_OF_TRANSCRIPTION })?;
        if let Some(model) = fields.text("model")? {
            session.model = model.chars().take(NAME_CHARS_MAX).collect();
        }
        if let Some(instructions) = fields.text("instructions")? {
            if instructions.chars().count() > INSTRUCTIONS_CHARS_MAX {
                let why = format!("has more than {INSTRUCTIONS_CHARS_MAX} characters");
                return Err(fields.invalid("instructions", why));
            }
            session.instructions = instructions.to_owned();
        }
        if let Some(modalities) = fields.some("output_modalities") {
            session.is_written = match modalities.as_array().map(Vec::as_slice) {
                Some([Value::String(one)]) if one == "audio" => false,
                Some([Value::String(one)]) if one == "text" => true,
                _ => return Err(fields.invalid("output_modalities", "expected [\"audio\"] or [\"text\"]")),
            };
        }
        if let Some(tools) = fields.some("tools") {
            let tools = tools.as_array().ok_or_else(|| fields.invalid("tools", "expected a list"))?;
            session.functions =
                tools.iter().enumerate().map(|(at, tool)| function(tool, at)).collect::<Result<_, _>>()?;
            let bytes = |tool: &Tool| tool.description.len() + tool.parameters.to_string().len();
            if session.functions.len() > FUNCTIONS_MAX
                || session.functions.iter().map(bytes).sum::<usize>() > FUNCTIONS_BYTES_MAX
            {
                let why = format!("are more than {FUNCTIONS_MAX}, or than {FUNCTIONS_BYTES_MAX} bytes");
                return Err(fields.invalid("tools", why));
            }
        }
        if let Some(choice) = fields.some("tool_choice") {
            session.choice = Choice::read(choice, &fields)?;
        }
        if let Choice::This(name) = &session.choice
            && !session.functions.iter().any(|tool| tool.name == *name)
        {
            return Err(fields.invalid("tool_choice", "names no function of the session's tools"));
        }
        match fields.some("max_output_tokens") {
            None => {}
            Some(Value::String(inf)) if inf == "inf" => session.tokens_max = None,
            Some(tokens) => {
                let tokens = tokens.as_u64().filter(|tokens| (1..=u64::from(TOKENS_MAX)).contains(tokens));
                let why = || fields.invalid("max_output_tokens", format!("expected 1 to {TOKENS_MAX}, or inf"));
                session.tokens_max = Some(tokens.ok_or_else(why)? as u32);
            }
        }
        if fields.some("prompt").is_some() {
            return Err(
                fields.unsupported("prompt", "names a stored prompt, and none are stored here: send instructions")
            );
        }
        let is_usual = |name: &str, usual: &[Value]| fields.some(name).is_none_or(|value| usual.contains(value));
        for (name, usual) in [
            ("parallel_tool_calls", vec![json!(true)]),
            ("reasoning", vec![]),
            ("tracing", vec![]),
            ("truncation", vec![json!("auto")]),
            ("include", vec![json!([])]),
        ] {
            if !is_usual(name, &usual) {
                idle.push(fields.unsupported(name, "has no effect here"));
            }
        }
        if let Some(audio) = fields.object("audio")? {
            audio.only(if session.kind == Kind::Realtime { &["input", "output"] } else { &["input"] })?;
            if let Some(input) = audio.object("input")? {
                session.hear(&input, &mut idle)?;
            }
            if let Some(output) = audio.object("output")? {
                session.speak(&output, &mut idle)?;
            }
        }
        if has_begun {
            // Over a track a conversation begins before its client can send what it should be like, and formats are idle.
            let is_tracked = self.is_tracked;
            for (param, is_same) in [
                ("session.type", session.kind == self.kind),
                ("session.model", session.model == self.model || is_tracked),
                ("session.audio.input.format", session.input == self.input || is_tracked),
                ("session.audio.output.format", session.output == self.output || is_tracked),
                ("session.audio.input.noise_reduction", session.noise_reduction == self.noise_reduction),
            ] {
                if !is_same {
                    let why = "cannot be changed once the conversation has begun: set it first";
                    return Err(Refused { code: "cannot_update", param: param.to_owned(), why: why.to_owned() });
                }
            }
        }
        Ok((session, idle))
    }

    fn hear(&mut self, input: &Fields<'_>, idle: &mut Vec<Refused>) -> Result<(), Refused> {
        input.only(&["format", "noise_reduction", "transcription", "turn_detection"])?;
        if let Some(format) = input.object("format")? {
            self.input = Format::read(&format)?;
        }
        match input.get("noise_reduction") {
            None => {}
            Some(Value::Null) => self.noise_reduction = None,
            Some(value) => {
                let kind = value["type"].as_str().filter(|kind| ["near_field", "far_field"].contains(kind));
                let why = || input.invalid("noise_reduction", "expected a type, near_field or far_field, or null");
                self.noise_reduction = Some(kind.ok_or_else(why)?.to_owned());
            }
        }
        match (input.get("transcription"), input.object("transcription")?) {
            (None, _) => {}
            // Whoever has words written down and nothing else always reads them.
            (Some(_), None) => {
                self.transcription = (self.kind == Kind::Transcription).then(Transcription::default);
            }
            (Some(_), Some(fields)) => {
                fields.only(&["model", "language", "languages", "prompt", "keywords", "delay"])?;
                let language = fields.text("language")?.map(str::to_owned);
                if let Some(language) = &language {
                    persona::language_of(language).map_err(|why| fields.invalid("language", why))?;
                }
                let keywords = match fields.some("keywords") {
                    None => Vec::new(),
                    Some(words) => {
                        let words = words.as_array().filter(|words| words.len() <= KEYWORDS_MAX);
                        let words =
                            words.and_then(|words| words.iter().map(|word| word.as_str().map(str::to_owned)).collect());
                        words.ok_or_else(|| {
                            fields.invalid("keywords", format!("expected at most {KEYWORDS_MAX} words or phrases"))
                        })?
                    }
                };
                for name in ["languages", "prompt", "delay"] {
                    if fields.some(name).is_some_and(|value| *value != json!("") && *value != json!([])) {
                        idle.push(fields.unsupported(name, "has no effect here: language and keywords have"));
                    }
                }
                let model = fields.text("model")?.map(|model| model.chars().take(NAME_CHARS_MAX).collect());
                self.transcription = Some(Transcription { model, language, keywords });
            }
        }
        match (input.get("turn_detection"), input.object("turn_detection")?) {
            (None, _) => {}
            (Some(_), None) => self.detection = Detection::Off,
            (Some(_), Some(fields)) => self.detection = Detection::read(&fields, idle)?,
        }
        Ok(())
    }

    fn speak(&mut self, output: &Fields<'_>, idle: &mut Vec<Refused>) -> Result<(), Refused> {
        output.only(&["format", "voice", "speed"])?;
        if let Some(format) = output.object("format")? {
            self.output = Format::read(&format)?;
        }
        if let Some(voice) = output.some("voice") {
            let name = voice.as_str().or_else(|| voice["id"].as_str()).filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| output.invalid("voice", "expected the name of a voice, such as alloy"))?;
            self.voice = name.chars().take(NAME_CHARS_MAX).collect();
        }
        if output.some("speed").is_some_and(|speed| speed.as_f64() != Some(1.0)) {
            idle.push(output.unsupported("speed", "has no effect here: voices speak at their own pace"));
        }
        Ok(())
    }

    /// The same with what one answer is to be like, from a `response.create`.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) fn for_response(&self, wanted: &Value) -> Result<(Self, Vec<Refused>), Refused> {
        let fields = Fields::of(wanted, "response")?;
        fields.only(FIELDS_OF_RESPONSE)?;
        if fields.some("conversation").is_some_and(|conversation| conversation != "auto") {
            return Err(fields.unsupported("conversation", "is auto: every answer is part of the conversation"));
        }
        if fields.some("input").is_some() {
            return Err(fields.unsupported("input", "cannot stand for the conversation: create items instead"));
        }
        let mut update = wanted.as_object().cloned().unwrap_or_default();
        for name in ["conversation", "input", "metadata"] {
            update.remove(name);
        }
        let renamed = |Refused { code, param, why }: Refused| {
            let of_response = |text: String| text.replacen("session", "response", 1);
            Refused { code, param: of_response(param), why: of_response(why) }
        };
        let (session, idle) = self.update(&Value::Object(update), true).map_err(renamed)?;
        Ok((session, idle.into_iter().map(renamed).collect()))
    }

    /// As clients read it.
    pub(super) fn to_json(&self) -> Value {
        let transcription = self
            .transcription
            .as_ref()
            .map(|wanted| json!({"model": wanted.model, "language": wanted.language, "keywords": wanted.keywords}));
        let noise_reduction = self.noise_reduction.as_ref().map(|kind| json!({"type": kind}));
        let input = json!({
            "format": self.input.to_json(), "transcription": transcription, "noise_reduction": noise_reduction,
            "turn_detection": self.detection.to_json(),
        });
        if self.kind == Kind::Transcription {
            return json!({
                "type": "transcription", "object": "realtime.transcription_session", "id": self.id,
                "audio": {"input": input}, "include": null,
            });
        }
        let tools: Vec<Value> = self
            .functions
            .iter()
            .map(|tool| {
                json!({
                    "type": "function", "name": tool.name, "description": tool.description,
                    "parameters": tool.parameters,
                })
            })
            .collect();
        json!({
            "type": "realtime", "object": "realtime.session", "id": self.id, "model": self.model,
            "output_modalities": self.modalities(), "instructions": self.instructions, "tools": tools,
            "tool_choice": self.choice.to_json(),
            "max_output_tokens": self.max_output_tokens(), "tracing": null, "truncation": "auto", "prompt": null,
            "include": null,
            "audio": {
                "input": input,
                "output": {"format": self.output.to_json(), "voice": self.voice, "speed": 1.0},
            },
        })
    }

    /// What an answer is made of, as clients read it.
    pub(super) fn modalities(&self) -> Value {
        json!([if self.is_written { "text" } else { "audio" }])
    }

    /// How long an answer may be, as clients read it.
    pub(super) fn max_output_tokens(&self) -> Value {
        self.tokens_max.map_or_else(|| json!("inf"), Value::from)
    }

    /// How sound is described in an answer, as clients read it.
    pub(super) fn response_audio(&self) -> Value {
        json!({"output": {"format": self.output.to_json(), "voice": self.voice}})
    }

    /// Whether what is said is read and not heard.
    pub(super) fn is_written(&self) -> bool {
        self.is_written
    }

    /// Whether sound goes over a track beside the events, and not in them.
    pub(super) fn is_tracked(&self) -> bool {
        self.is_tracked
    }

    /// How what is said reaches the client.
    pub(super) fn delivery(&self) -> Delivery {
        if self.is_written { Delivery::Written } else { Delivery::Told }
    }

    /// Whether the client says when somebody has ended.
    pub(super) fn is_manual(&self) -> bool {
        self.detection == Detection::Off
    }

    /// Whether the client reads what is said to it.
    pub(super) fn is_transcribed(&self) -> bool {
        self.transcription.is_some()
    }

    /// Whether people are told apart by their voices: the transcription's model is asked for what it is known for.
    pub(super) fn tells_voices(&self) -> bool {
        let model = self.transcription.as_ref().and_then(|wanted| wanted.model.as_deref());
        self.kind == Kind::Transcription && model == Some(DIARIZES)
    }

    /// The language that is listened for; `None` is any.
    pub(super) fn language(&self) -> Option<&str> {
        self.transcription.as_ref()?.language.as_deref()
    }

    /// Words that are expected.
    pub(super) fn keyterms(&self) -> Vec<String> {
        self.transcription.as_ref().map(|wanted| wanted.keywords.clone()).unwrap_or_default()
    }

    /// What the client sends.
    pub(super) fn input(&self) -> Input {
        self.input.heard()
    }

    /// How long so many bytes of that sound, in milliseconds.
    pub(super) fn input_ms(&self, bytes: u64) -> u64 {
        self.input.ms(bytes)
    }

    /// What the client is sent.
    pub(super) fn output(&self) -> encode::Format {
        self.output.spoken()
    }

    /// Silence after which somebody is asked whether they are there, in milliseconds; 0 is never.
    pub(super) fn idle_ms(&self) -> u64 {
        match self.detection {
            Detection::Server { idle_ms, .. } => idle_ms.map_or(0, u64::from),
            Detection::Off | Detection::Semantic { .. } => 0,
        }
    }

    /// Whether noise is taken out of what the client sends.
    pub(super) fn suppresses_noise(&self) -> bool {
        self.noise_reduction.is_some()
    }

    /// Silence that closes an utterance where nobody answers, in milliseconds.
    pub(super) fn endpointing_ms(&self) -> u32 {
        match self.detection {
            Detection::Server { silence_ms, .. } => silence_ms,
            Detection::Off | Detection::Semantic { .. } => SILENCE_MS,
        }
    }
}

#[rustfmt::skip]
const FIELDS: &[&str] = &[
    "type", "id", "object", "expires_at", "model", "instructions", "output_modalities", "tools", "tool_choice",
    "max_output_tokens", "parallel_tool_calls", "prompt", "reasoning", "tracing", "truncation", "include", "audio",
];
const FIELDS_OF_TRANSCRIPTION: &[&str] = &["type", "id", "object", "expires_at", "include", "audio"];
#[rustfmt::skip]
const FIELDS_OF_RESPONSE: &[&str] = &[
    "audio", "conversation", "input", "instructions", "max_output_tokens", "metadata", "output_modalities",
    "parallel_tool_calls", "prompt", "reasoning", "tool_choice", "tools",
];

/// The silence that ends a turn where nobody says how long.
const SILENCE_MS: u32 = 500;

/// The longest answer of the public service, in tokens.
const TOKENS_MAX: u32 = 4_096;

/// The model of a transcription that tells people apart.
const DIARIZES: &str = "gpt-4o-transcribe-diarize";

const NAME_CHARS_MAX: usize = 100;
const INSTRUCTIONS_CHARS_MAX: usize = 50_000;
const KEYWORDS_MAX: usize = 1_000;

/// More would fill a model's head before anybody has spoken.
const FUNCTIONS_MAX: usize = 64;
const FUNCTIONS_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests;
