//! `[tools]`: what the configuration says of tools outside, HTTP requests and MCP servers.
//!
//! Pure values. A wrong one is refused while its place in the file is known. What is secret is never shown; it may
//! stand in the environment instead of the file: `headers = { Authorization = { env = "CRM_KEY" } }`.

use std::{collections::BTreeMap, time::Duration};

use reqwest::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;
use url::Url;

pub use super::http::Template;
use super::{
    Approval,
    catalog::{Rule, is_name},
    reach::Allowed,
};
use crate::{llm::Secret, persona::PerLanguage};

/// `[tools]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tools {
    /// Hosts, addresses and networks that tools may call though their addresses are private.
    pub allow: Vec<Allowed>,
    /// `[tools.http.NAME]`: requests that are tools.
    pub http: BTreeMap<ToolName, HttpTool>,
    /// `[tools.mcp.NAME]`: servers that have tools.
    pub mcp: BTreeMap<ServerName, McpServer>,
}

/// What models call a tool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ToolName(String);

/// What an MCP server is called here; its tools are `NAME__TOOL` for models.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerName(String);

impl ToolName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ServerName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `[tools.http.NAME]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "HttpToolOfFile")]
pub struct HttpTool {
    /// What it does, for models.
    pub description: String,
    /// How it is asked.
    pub method: Method,
    /// Whom, with places for arguments.
    pub url: Template,
    /// What is sent along; secret.
    pub headers: BTreeMap<String, Text>,
    /// The arguments: the JSON schema of each.
    pub parameters: BTreeMap<String, Value>,
    /// Those that may be left out.
    pub optional: Vec<String>,
    /// What is sent, with places for arguments; all arguments that the URL does not hold where there is none.
    pub body: Option<Value>,
    /// Which part of a JSON answer the model reads: a JSON pointer.
    pub pick: Option<String>,
    /// The largest answer.
    pub answer_bytes_max: usize,
    /// How it is called.
    pub rule: Rule,
}

/// How an HTTP tool is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Arguments are in the URL.
    #[default]
    Get,
    /// With a JSON body.
    Post,
    /// With a JSON body.
    Put,
    /// With a JSON body.
    Patch,
    /// Arguments are in the URL.
    Delete,
}

impl Method {
    /// Whether arguments go into a body.
    pub fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

/// Text in the file, or in a variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// This.
    Here(Secret),
    /// What the variable of this name holds.
    Env(String),
}

impl Text {
    /// The text; none where it is that of a variable that is not set.
    pub fn read(&self, variable: &dyn Fn(&str) -> Option<String>) -> Option<Secret> {
        match self {
            Self::Here(secret) => Some(secret.clone()),
            Self::Env(name) => variable(name).map(Secret::new),
        }
    }
}

/// `[tools.mcp.NAME]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "McpServerOfFile")]
pub struct McpServer {
    /// How it is reached.
    pub at: McpAt,
    /// Which of its tools are taken: names, or the beginning of names with a `*` behind it.
    pub tools: Vec<String>,
    /// How they are called.
    pub rule: Rule,
}

/// How an MCP server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum McpAt {
    /// It is a program of this machine, started and ended with this server.
    Program {
        /// The program and its arguments.
        command: Vec<String>,
        /// Its environment, beside what every program needs; may be secret.
        env: BTreeMap<String, Text>,
    },
    /// It speaks streamable HTTP.
    Http {
        /// Where.
        url: Url,
        /// What is sent along; secret.
        headers: BTreeMap<String, Text>,
    },
}

impl<'de> Deserialize<'de> for ToolName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if !is_name(&name) {
            return Err(D::Error::custom(format!(
                "{name:?} is no name for a tool: letters, digits, _ and -, at most 64"
            )));
        }
        if super::BuiltIn::named(&name).is_some() {
            return Err(D::Error::custom(format!("{name:?} is built in")));
        }
        Ok(Self(name))
    }
}

impl<'de> Deserialize<'de> for ServerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if !is_name(&name) || name.len() > SERVER_CHARS_MAX || name.contains("__") {
            return Err(D::Error::custom(format!(
                "{name:?} is no name for a server: letters, digits, _ and -, at most {SERVER_CHARS_MAX}"
            )));
        }
        Ok(Self(name))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not derived: the message of an untagged enum could quote a secret.
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = Text;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("text, or { env = \"NAME\" }")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text::Here(Secret::new(text)))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
                let mut name = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key != "env" {
                        return Err(A::Error::unknown_field(&key, &["env"]));
                    }
                    name = Some(map.next_value::<String>()?);
                }
                name.map(Text::Env).ok_or_else(|| A::Error::missing_field("env"))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HttpToolOfFile {
    description: String,
    method: Method,
    url: String,
    headers: BTreeMap<String, Text>,
    parameters: BTreeMap<String, Value>,
    optional: Vec<String>,
    body: Option<Value>,
    pick: Option<String>,
    answer_bytes_max: Option<usize>,
    approval: Approval,
    calls_max: Option<u32>,
    timeout_ms: Option<u64>,
    cancellable: bool,
    filler: PerLanguage,
}

impl TryFrom<HttpToolOfFile> for HttpTool {
    type Error = String;

    fn try_from(file: HttpToolOfFile) -> Result<Self, String> {
        if file.description.trim().is_empty() {
            return Err("description is missing: it is all that a model knows of a tool".to_owned());
        }
        let url: Template = file.url.parse()?;
        headers(&file.headers)?;
        for name in url.in_path().chain(url.in_query()) {
            if !file.parameters.contains_key(name) {
                return Err(format!("url: {name:?} is none of the parameters"));
            }
        }
        if let Some(name) = url.in_path().find(|name| file.optional.iter().any(|optional| optional == name)) {
            return Err(format!("url: {name:?} is optional, and the path needs it"));
        }
        if let Some(name) = file.optional.iter().find(|name| !file.parameters.contains_key(*name)) {
            return Err(format!("optional: {name:?} is none of the parameters"));
        }
        if let Some((name, _)) = file.parameters.iter().find(|(_, schema)| !schema.is_object()) {
            return Err(format!("parameters.{name} has to be a JSON schema such as {{ type = \"string\" }}"));
        }
        if file.body.is_some() && !file.method.has_body() {
            return Err("body: the method has none".to_owned());
        }
        if file.pick.as_ref().is_some_and(|pick| !pick.is_empty() && !pick.starts_with('/')) {
            return Err("pick has to be a JSON pointer such as /current/temperature".to_owned());
        }
        let rule = rule(file.approval, file.calls_max, file.timeout_ms, file.cancellable, file.filler)?;
        Ok(Self {
            description: file.description,
            method: file.method,
            url,
            headers: file.headers,
            parameters: file.parameters,
            optional: file.optional,
            body: file.body,
            pick: file.pick,
            answer_bytes_max: file.answer_bytes_max.unwrap_or(ANSWER_BYTES_MAX),
            rule,
        })
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct McpServerOfFile {
    command: Vec<String>,
    env: BTreeMap<String, Text>,
    url: Option<String>,
    headers: BTreeMap<String, Text>,
    tools: Vec<String>,
    approval: Approval,
    calls_max: Option<u32>,
    timeout_ms: Option<u64>,
    cancellable: bool,
    filler: PerLanguage,
}

impl Default for McpServerOfFile {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            env: BTreeMap::new(),
            url: None,
            headers: BTreeMap::new(),
            tools: vec!["*".to_owned()],
            approval: Approval::Allow,
            calls_max: None,
            timeout_ms: None,
            cancellable: false,
            filler: PerLanguage::default(),
        }
    }
}

impl TryFrom<McpServerOfFile> for McpServer {
    type Error = String;

    fn try_from(file: McpServerOfFile) -> Result<Self, String> {
        let at = match (file.command.is_empty(), file.url) {
            (false, None) if file.headers.is_empty() => {
                let is_name = |name: &String| !name.is_empty() && !name.contains(['=', '\0']);
                if let Some(name) = file.env.keys().find(|name| !is_name(name)) {
                    return Err(format!("env: {name:?} is no name of a variable"));
                }
                McpAt::Program { command: file.command, env: file.env }
            }
            (true, Some(url)) if file.env.is_empty() => {
                headers(&file.headers)?;
                let url = Url::parse(&url).map_err(|_| "url is none".to_owned())?;
                if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
                    return Err("url has to begin with http:// or https://".to_owned());
                }
                if !url.username().is_empty() || url.password().is_some() {
                    return Err("url: a password belongs into headers".to_owned());
                }
                McpAt::Http { url, headers: file.headers }
            }
            _ => return Err("either command (with env) or url (with headers) says where the server is".to_owned()),
        };
        let rule = rule(file.approval, file.calls_max, file.timeout_ms, file.cancellable, file.filler)?;
        Ok(Self { at, tools: file.tools, rule })
    }
}

fn rule(
    approval: Approval,
    calls_max: Option<u32>,
    timeout_ms: Option<u64>,
    is_safe_to_cancel: bool,
    filler: PerLanguage,
) -> Result<Rule, String> {
    let usual = Rule::default();
    if timeout_ms.is_some_and(|ms| !(1..=TIMEOUT_MS_MAX).contains(&ms)) {
        return Err(format!("timeout_ms has to be from 1 to {TIMEOUT_MS_MAX}"));
    }
    Ok(Rule {
        approval,
        calls_max: calls_max.unwrap_or(usual.calls_max),
        timeout: timeout_ms.map_or(usual.timeout, Duration::from_millis),
        is_safe_to_cancel,
        filler,
    })
}

/// Checks what can be checked of headers before their values are known.
fn headers(headers: &BTreeMap<String, Text>) -> Result<(), String> {
    for (name, text) in headers {
        let known = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("headers: {name:?} is no name"))?;
        if OURS.contains(&known.as_str()) {
            return Err(format!("headers: {name} is not yours to set"));
        }
        if let Text::Here(secret) = text
            && HeaderValue::from_str(secret.reveal()).is_err()
        {
            return Err(format!("headers: the value of {name} has something that no header can hold"));
        }
    }
    Ok(())
}

/// Headers that say how a message is carried.
pub(super) const OURS: [&str; 8] =
    ["host", "connection", "content-length", "transfer-encoding", "te", "upgrade", "mcp-session-id", "last-event-id"];

/// The largest answer of an HTTP tool, unless it says otherwise: a page of a directory. A model reads far less.
pub(super) const ANSWER_BYTES_MAX: usize = 256 * 1_024;

/// The longest that a tool may be waited for: agents give a call up after 55 s, and leave whoever carries it out 2 s
/// to say so.
pub const TIMEOUT_MS_MAX: u64 = 53_000;

/// The longest name of a server: its tools' names need room beside it.
const SERVER_CHARS_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
allow = ["127.0.0.1:9000", "*.internal"]

[http.weather]
description = "The weather in a city."
url = "https://api.example/v1/{city}?units={units}"
headers = { Authorization = { env = "KEY" }, X-Trace = "s3cret" }
parameters.city = { type = "string", minLength = 1 }
parameters.units = { enum = ["metric", "imperial"] }
optional = ["units"]
pick = "/current"
timeout_ms = 3000
cancellable = true
filler = { de = "Ich sehe nach dem Wetter.", en = "Let me look." }

[http.ticket]
description = "Opens a ticket."
method = "POST"
url = "https://api.example/tickets"
parameters.subject = { type = "string" }
body = { title = "{subject}", source = "telephone" }
approval = "ask"

[mcp.clock]
command = ["uvx", "mcp-server-time"]
env = { TZ = "Europe/Berlin", TOKEN = { env = "CLOCK_TOKEN" } }
tools = ["get_*"]

[mcp.crm]
url = "https://crm.example/mcp"
headers = { Authorization = "Bearer s3cret" }
"#;

    #[test]
    fn tools_are_read_and_their_secrets_are_not_shown() {
        let tools: Tools = toml::from_str(GOOD).unwrap();
        assert_eq!((tools.allow.len(), tools.http.len(), tools.mcp.len()), (2, 2, 2));
        let weather = &tools.http[&ToolName("weather".to_owned())];
        assert_eq!(weather.rule.timeout, Duration::from_secs(3));
        assert!(weather.rule.is_safe_to_cancel);
        let variable = |name: &str| (name == "KEY").then(|| "Bearer 1".to_owned());
        assert_eq!(weather.headers["Authorization"].read(&variable).unwrap().reveal(), "Bearer 1");
        assert!(Text::Env("OTHER".to_owned()).read(&variable).is_none());
        assert!(!format!("{tools:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let http = "[http.x]\ndescription = \"d\"\n";
        for (text, expected) in [
            ("[http.x]\nurl = \"https://a/\"".to_owned(), "description is missing"),
            (format!("{http}url = \"ftp://a/\""), "http"),
            (format!("{http}url = \"https://{{host}}/\""), "host"),
            (format!("{http}url = \"https://a/{{id}}\""), "none of the parameters"),
            (
                format!("{http}url = \"https://a/{{id}}\"\nparameters.id = {{}}\noptional = [\"id\"]"),
                "the path needs it",
            ),
            (format!("{http}url = \"https://a/\"\nparameters.id = \"string\""), "JSON schema"),
            (format!("{http}url = \"https://a/\"\noptional = [\"id\"]"), "optional"),
            (format!("{http}url = \"https://a/\"\nbody = {{}}"), "the method has none"),
            (format!("{http}url = \"https://a/\"\npick = \"a.b\""), "JSON pointer"),
            (format!("{http}url = \"https://a/\"\ntimeout_ms = 0"), "timeout_ms"),
            (format!("{http}url = \"https://a/\"\ntimeout_ms = 53001"), "from 1 to 53000"),
            (format!("{http}url = \"https://a/\"\nheaders = {{ Host = \"b\" }}"), "not yours"),
            (format!("{http}url = \"https://a/\"\nheaders = {{ \"a b\" = \"b\" }}"), "no name"),
            (format!("{http}url = \"https://a/\"\nheaders = {{ A = \"b\\nc\" }}"), "no header can hold"),
            (format!("{http}url = \"https://a/\"\nheaders = {{ A = {{ file = \"b\" }} }}"), "env"),
            (format!("{http}url = \"https://a/\"\nheadres = {{}}"), "headres"),
            ("[http.hang_up]\ndescription = \"d\"\nurl = \"https://a/\"".to_owned(), "built in"),
            ("[http.\"a b\"]\ndescription = \"d\"\nurl = \"https://a/\"".to_owned(), "no name for a tool"),
            ("[mcp.x]".to_owned(), "either command"),
            ("[mcp.x]\ncommand = [\"a\"]\nurl = \"https://a/\"".to_owned(), "either command"),
            ("[mcp.x]\nurl = \"https://ada:s3cret@a/\"".to_owned(), "password"),
            ("[mcp.x]\nurl = \"stdio://a\"".to_owned(), "http"),
            ("[mcp.a__b]\nurl = \"https://a/\"".to_owned(), "no name for a server"),
            ("allow = [\"a b\"]".to_owned(), "is no host"),
        ] {
            let error = toml::from_str::<Tools>(&text).unwrap_err();
            let message = error.message();
            assert!(message.contains(expected) && !message.contains("s3cret"), "{text}: {message}");
        }
    }
}
