//! What is said on the socket of an agent: shapes only, as the SDKs write and read them (asyncapi.yml).
//!
//! What a client leaves out is left to the agent; fields that nobody knows are ignored, as everywhere in this dialect.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a client may say.
#[derive(Deserialize)]
#[serde(tag = "type")]
pub(super) enum Control {
    /// What the conversation is; the first message, and only that.
    Settings(Box<Settings>),
    /// Other instructions.
    UpdatePrompt {
        /// All of them.
        prompt: String,
    },
    /// Another voice.
    UpdateSpeak {
        /// Which.
        speak: OneOrMore<Speak>,
    },
    /// Another model, other instructions, other functions: all that is given.
    UpdateThink {
        /// Which.
        think: OneOrMore<Think>,
    },
    /// Another language, other terms: all that is given.
    UpdateListen {
        /// Which.
        listen: Listen,
    },
    /// Something that whoever speaks has written instead.
    InjectUserMessage {
        /// What.
        content: String,
    },
    /// Something to be said in the agent's name.
    InjectAgentMessage {
        /// What; nothing where a model of the public service would think of it.
        message: Option<String>,
        /// When.
        #[serde(default)]
        behavior: Behavior,
    },
    /// What came of a function. Older clients call its fields otherwise.
    FunctionCallResponse {
        /// The call.
        #[serde(alias = "function_call_id")]
        id: Option<String>,
        /// Which function.
        #[serde(default)]
        name: String,
        /// What came of it, for the model.
        #[serde(alias = "output")]
        content: String,
    },
    /// Whoever speaks has said all that they want to say, whatever they sound like.
    ForceEndTurn,
    /// Nothing to say just now.
    KeepAlive,
    /// Something that this server does not do.
    #[serde(other)]
    Other,
}

/// When something is said in the agent's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Behavior {
    /// If nobody speaks.
    #[default]
    Default,
    /// As soon as nobody speaks.
    Queue,
    /// At once.
    Interrupt,
}

/// One of something, or several of which the first that can be had counts.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore<T> {
    /// Several.
    More(Vec<T>),
    /// One.
    One(T),
}

impl<T> OneOrMore<T> {
    /// All of them, the first first.
    pub(super) fn all(self) -> Vec<T> {
        match self {
            Self::More(all) => all,
            Self::One(one) => vec![one],
        }
    }
}

/// What a conversation is.
#[derive(Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    pub(super) audio: Audio,
    /// An object; a text names an agent that the public service keeps.
    pub(super) agent: Value,
    #[serde(default)]
    pub(super) flags: Flags,
}

#[derive(Default, Deserialize)]
pub(super) struct Audio {
    pub(super) input: Option<Format>,
    pub(super) output: Option<Format>,
}

#[derive(Default, Deserialize)]
pub(super) struct Format {
    pub(super) encoding: Option<String>,
    pub(super) sample_rate: Option<f64>,
    pub(super) container: Option<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct Flags {
    pub(super) history: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct Agent {
    pub(super) language: Option<String>,
    pub(super) context: Option<Context>,
    pub(super) listen: Option<Listen>,
    pub(super) think: Option<OneOrMore<Think>>,
    pub(super) think_live: Option<Value>,
    pub(super) speak: Option<OneOrMore<Speak>>,
    pub(super) greeting: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Context {
    #[serde(default)]
    pub(super) messages: Vec<Past>,
}

/// Something that was said or called before.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Past {
    Calls { function_calls: Vec<PastCall> },
    Said { role: String, content: String },
}

#[derive(Deserialize)]
pub(super) struct PastCall {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
    pub(super) response: String,
}

#[derive(Deserialize)]
pub(super) struct Listen {
    pub(super) provider: Option<ListenProvider>,
}

#[derive(Deserialize)]
pub(super) struct ListenProvider {
    pub(super) language: Option<String>,
    /// The languages of the newer kind of model.
    pub(super) language_hints: Option<Vec<String>>,
    pub(super) keyterms: Option<Vec<String>>,
    pub(super) eot_threshold: Option<Value>,
    pub(super) eager_eot_threshold: Option<Value>,
    pub(super) eot_timeout_ms: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct Think {
    pub(super) provider: Option<ThinkProvider>,
    pub(super) endpoint: Option<Value>,
    pub(super) context_length: Option<Value>,
    pub(super) functions: Option<Vec<Function>>,
    #[serde(alias = "instructions")]
    pub(super) prompt: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ThinkProvider {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) model: Option<String>,
    pub(super) temperature: Option<f32>,
}

#[derive(Deserialize)]
pub(super) struct Function {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) parameters: Option<Value>,
    pub(super) endpoint: Option<Value>,
    pub(super) defer_until_eot: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct Speak {
    pub(super) provider: Option<SpeakProvider>,
}

#[derive(Deserialize)]
pub(super) struct SpeakProvider {
    pub(super) model: Option<String>,
    /// A name, or an object of another vendor's.
    pub(super) voice: Option<Value>,
    #[serde(alias = "language_code")]
    pub(super) language: Option<String>,
}

/// What a client is told, besides the sound.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type")]
pub(super) enum Told {
    Welcome {
        request_id: String,
    },
    SettingsApplied,
    /// What somebody said: the caller's turn, or what was heard of the agent's.
    ConversationText {
        role: Role,
        content: String,
        conversational_behavior: &'static str,
    },
    UserStartedSpeaking,
    /// Times in seconds.
    AgentStartedSpeaking {
        total_latency: f64,
        tts_latency: f64,
        ttt_latency: f64,
    },
    /// Times in seconds; what is not known is not there.
    LatencyReport {
        #[serde(skip_serializing_if = "Option::is_none")]
        ttt_token_latency: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tts_latency: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        total_latency: Option<f64>,
    },
    AgentAudioDone,
    FunctionCallRequest {
        functions: Vec<Request>,
    },
    FunctionCallCancelled {
        functions: Vec<Cancelled>,
    },
    /// What came of a function that this server carried out.
    FunctionCallResponse {
        id: String,
        name: String,
        content: String,
    },
    History(History),
    ListenUpdated,
    PromptUpdated,
    SpeakUpdated,
    ThinkUpdated,
    InjectionRefused {
        message: &'static str,
    },
    Warning {
        description: String,
        code: &'static str,
    },
    Error {
        description: String,
        code: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Request {
    pub(super) id: String,
    pub(super) name: String,
    /// JSON.
    pub(super) arguments: String,
    pub(super) client_side: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Cancelled {
    pub(super) id: String,
    pub(super) name: String,
}

/// The conversation, for a client that keeps it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum History {
    Said { role: Role, content: String },
    Called { function_calls: Vec<Called> },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Called {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) client_side: bool,
    pub(super) arguments: String,
    pub(super) response: String,
}
