//! A tool that is an HTTP request: its URL and body from arguments, and what a model reads of its answer.
//!
//! Pure. Arguments come from a model that a caller may have talked into anything, so they fill places and never make
//! new ones: in the URL they are percent-encoded and lie in the path or the query, and a path that would become
//! another is refused. Host and port are the configuration's.

use std::{borrow::Cow, str::FromStr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use url::Url;

use super::{Outcome, config::HttpTool};

/// A URL with places for arguments: `https://api.example/v1/{city}?units={units}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Scheme, host and port.
    origin: String,
    path: Vec<Piece>,
    /// What is joined by `&`.
    query: Vec<Vec<Piece>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Argument(String),
}

impl Template {
    /// The arguments that its path holds.
    pub fn in_path(&self) -> impl Iterator<Item = &str> {
        self.path.iter().filter_map(Piece::argument)
    }

    /// The arguments that its query holds.
    pub fn in_query(&self) -> impl Iterator<Item = &str> {
        self.query.iter().flatten().filter_map(Piece::argument)
    }

    /// The URL with `arguments` in it. A part of the query whose argument was not given is left out.
    ///
    /// # Errors
    /// In words for the model.
    fn fill(&self, arguments: &Map<String, Value>) -> Result<Url, String> {
        let mut path = String::new();
        for piece in &self.path {
            match piece {
                Piece::Literal(text) => path.push_str(text),
                Piece::Argument(name) => {
                    let value = arguments.get(name).and_then(plain).filter(|value| !value.is_empty());
                    let value = value.ok_or_else(|| format!("{name} must not be empty"))?;
                    path.extend(utf8_percent_encode(&value, ESCAPED));
                }
            }
        }
        let mut url = Url::parse(&format!("{}{path}", self.origin)).map_err(|error| error.to_string())?;
        // Dots make a path another one, encoded or not.
        if url.path() != path {
            return Err("an argument cannot stand in an address".to_owned());
        }
        let pairs: Vec<String> = self.query.iter().filter_map(|pair| filled(pair, arguments)).collect();
        url.set_query((!pairs.is_empty()).then(|| pairs.join("&")).as_deref());
        Ok(url)
    }
}

impl Piece {
    fn argument(&self) -> Option<&str> {
        match self {
            Self::Argument(name) => Some(name),
            Self::Literal(_) => None,
        }
    }
}

/// A part of a query; none where an argument was not given.
fn filled(pair: &[Piece], arguments: &Map<String, Value>) -> Option<String> {
    let mut text = String::new();
    for piece in pair {
        match piece {
            Piece::Literal(literal) => text.push_str(literal),
            Piece::Argument(name) => text.extend(utf8_percent_encode(&plain(arguments.get(name)?)?, ESCAPED)),
        }
    }
    Some(text)
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let after_scheme = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = after_scheme.ok_or("url has to begin with http:// or https://")?;
        if text.contains('#') {
            return Err("url: what is behind a # is never sent".to_owned());
        }
        let end = text.len() - rest.len() + rest.find(['/', '?']).unwrap_or(rest.len());
        let (origin, rest) = text.split_at(end);
        if origin.contains(['{', '}', '@']) {
            return Err("url: the host holds neither arguments nor passwords".to_owned());
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let template = Self {
            origin: origin.to_owned(),
            path: pieces(if path.is_empty() { "/" } else { path })?,
            query: query.split('&').filter(|pair| !pair.is_empty()).map(pieces).collect::<Result<_, _>>()?,
        };
        let any = |name: &str| (name.to_owned(), Value::from("x"));
        let arguments: Map<String, Value> = template.in_path().chain(template.in_query()).map(any).collect();
        template.fill(&arguments).map_err(|_| "url is none, or its path has to be escaped".to_owned())?;
        Ok(template)
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        let (literal, argument) = rest.split_at(open);
        let inside = argument.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let (name, after) = inside.ok_or_else(|| format!("{text:?} has a brace without the other"))?;
        if !is_argument(name) {
            return Err(format!("{name:?} is no name of an argument"));
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.to_owned()));
        }
        pieces.push(Piece::Argument(name.to_owned()));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    Ok(pieces)
}

fn is_argument(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// A value as plain text; none where it is null.
fn plain(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            Some(Cow::Owned(items.iter().filter_map(plain).collect::<Vec<_>>().join(",")))
        }
        other => Some(Cow::Owned(other.to_string())),
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Whom.
    pub(super) url: Url,
    /// What is sent.
    pub(super) body: Option<String>,
}

impl HttpTool {
    /// The JSON schema of its arguments.
    pub(super) fn schema(&self) -> Value {
        let required: Vec<&String> = self.parameters.keys().filter(|name| !self.optional.contains(name)).collect();
        serde_json::json!({
            "type": "object",
            "properties": self.parameters,
            "required": required,
            "additionalProperties": false,
        })
    }

    /// What is asked with `arguments`.
    ///
    /// # Errors
    /// In words for the model.
    pub(super) fn question(&self, arguments: &Map<String, Value>) -> Result<Question, String> {
        let mut url = self.url.fill(arguments)?;
        let is_free = |name: &str| !self.url.in_path().chain(self.url.in_query()).any(|used| used == name);
        let body = if self.method.has_body() {
            let body = match &self.body {
                Some(body) => self.fill(body, arguments).unwrap_or(Value::Null),
                None => {
                    arguments.iter().filter(|(name, _)| is_free(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
                }
            };
            Some(body.to_string())
        } else {
            let free = arguments.iter().filter(|(name, _)| is_free(name));
            for (name, value) in free.filter_map(|(name, value)| Some((name, plain(value)?))) {
                url.query_pairs_mut().append_pair(name, &value);
            }
            None
        };
        if url.as_str().len() > URL_BYTES_MAX {
            return Err("the arguments are too long for an address".to_owned());
        }
        Ok(Question { url, body })
    }

    /// A body with arguments in its places. What is nothing but a place becomes the argument itself, or is left out
    /// where that was not given.
    fn fill(&self, template: &Value, arguments: &Map<String, Value>) -> Option<Value> {
        match template {
            Value::String(text) => {
                let only = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
                match only.filter(|name| self.parameters.contains_key(*name)) {
                    Some(name) => arguments.get(name).cloned(),
                    None => Some(Value::String(self.fill_text(text, arguments))),
                }
            }
            Value::Array(items) => Some(items.iter().filter_map(|item| self.fill(item, arguments)).collect()),
            Value::Object(fields) => {
                let filled = |(name, field)| Some((String::clone(name), self.fill(field, arguments)?));
                Some(fields.iter().filter_map(filled).collect())
            }
            other => Some(other.clone()),
        }
    }

    /// Text with arguments in its places. Each is filled once: braces in an argument are text.
    fn fill_text(&self, text: &str, arguments: &Map<String, Value>) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, inside) = rest.split_at(open);
            filled.push_str(before);
            let place = inside[1..].split_once('}').filter(|(name, _)| self.parameters.contains_key(*name));
            match place {
                Some((name, after)) => {
                    filled.push_str(&arguments.get(name).and_then(plain).unwrap_or_default());
                    rest = after;
                }
                None => {
                    filled.push('{');
                    rest = &inside[1..];
                }
            }
        }
        filled + rest
    }
}

/// What a model reads of an answer.
pub(super) fn read(status: u16, content_type: &str, body: &[u8], pick: Option<&str>) -> Outcome {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let text = String::from_utf8_lossy(body);
    let start: String = text.trim_start().chars().take(15).collect::<String>().to_ascii_lowercase();
    let is_page = kind.contains("html") || start.starts_with("<!doctype html") || start.starts_with("<html");
    let is_json = kind == "application/json" || kind.ends_with("+json");
    if !(200..300).contains(&status) {
        // Whoever refuses a request often says why; a page for people does not help a model.
        let why = if is_page || !(is_json || kind.starts_with("text/")) { "" } else { text.trim() };
        let why: String = why.chars().filter(|c| !c.is_control()).take(WHY_CHARS_MAX).collect();
        let colon = if why.is_empty() { "" } else { ": " };
        return Outcome::failed(format!("The server answered {status}{colon}{why}"));
    }
    if is_page {
        return Outcome::failed("The server answered with a web page instead of data.");
    }
    if text.trim().is_empty() && pick.is_none() {
        return Outcome::done(NOTHING);
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => {
            let picked = pick.map_or(Some(&value), |pick| value.pointer(pick));
            match picked {
                Some(Value::String(text)) if text.trim().is_empty() => Outcome::done(NOTHING),
                Some(Value::String(text)) => Outcome::done(cut(text)),
                Some(picked) => Outcome::done(cut(&picked.to_string())),
                None => Outcome::failed("The answer does not hold what was asked for."),
            }
        }
        Err(_) if is_json || pick.is_some() => Outcome::failed("The server answered with broken JSON."),
        Err(_) if kind.is_empty() || kind.starts_with("text/") || kind.ends_with("xml") => Outcome::done(cut(&text)),
        Err(_) => Outcome::failed("The server answered with something that is no text."),
    }
}

/// As much of a text as a model is given; it is told where there was more.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(ANSWER_CHARS_MAX) {
        Some((end, _)) => format!("{} … (cut: the answer is longer)", &text[..end]),
        None => text.to_owned(),
    }
}

/// All but what RFC 3986 calls unreserved.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The longest URL that is called: servers take about 8 kB.
const URL_BYTES_MAX: usize = 8 * 1_024;

/// The most of an answer that a model reads: four thousand tokens, which cost it half a second.
pub(super) const ANSWER_CHARS_MAX: usize = 16_000;

const NOTHING: &str = "Done; the answer is empty.";

/// The most of a refusal that a model reads.
const WHY_CHARS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn tool(toml: &str) -> HttpTool {
        toml::from_str(&format!("description = \"d\"\n{toml}")).unwrap()
    }

    fn asked(tool: &HttpTool, arguments: Value) -> Result<(String, Option<String>), String> {
        tool.question(arguments.as_object().unwrap()).map(|question| (question.url.into(), question.body))
    }

    #[test]
    fn arguments_fill_their_places_and_the_rest_goes_into_the_query() {
        let weather = tool(
            "url = \"https://api.example:8443/v1/{city}/now?units={units}&key=a%20b\"\noptional = [\"units\", \"days\"]\n\
             parameters = { city = {}, units = {}, days = {} }",
        );
        for (arguments, url) in [
            (json!({"city": "Köln"}), "https://api.example:8443/v1/K%C3%B6ln/now?key=a%20b"),
            (
                json!({"city": "a/b?c#d&e", "units": "m&x=1"}),
                "https://api.example:8443/v1/a%2Fb%3Fc%23d%26e/now?units=m%26x%3D1&key=a%20b",
            ),
            (json!({"city": 7, "days": [1, 2]}), "https://api.example:8443/v1/7/now?key=a%20b&days=1%2C2"),
            (
                json!({"city": "@evil.example", "units": null}),
                "https://api.example:8443/v1/%40evil.example/now?key=a%20b",
            ),
        ] {
            assert_eq!(asked(&weather, arguments), Ok((url.to_owned(), None)));
        }
        for city in ["..", ".", "", "%2e%2e"] {
            let asked = asked(&weather, json!({"city": city}));
            assert!(asked.is_err() || asked.as_ref().unwrap().0.contains("%252e"), "{city}: {asked:?}");
        }
        assert!(asked(&weather, json!({"city": "x".repeat(9_000)})).is_err());
    }

    #[test]
    fn a_body_has_all_that_the_url_has_not_or_what_the_configuration_says() {
        let plain =
            tool("method = \"POST\"\nurl = \"https://a.example/{id}\"\nparameters = { id = {}, text = {}, n = {} }");
        let (url, body) = asked(&plain, json!({"id": 7, "text": "a \"b\"", "n": 1})).unwrap();
        assert_eq!((url.as_str(), body.as_deref()), ("https://a.example/7", Some(r#"{"n":1,"text":"a \"b\""}"#)));
        let made = tool(
            "method = \"PUT\"\nurl = \"https://a.example/\"\nparameters = { who = {}, n = {}, more = {} }\n\
             optional = [\"more\"]\n\
             body = { title = \"Call of {who} {x}\", count = \"{n}\", more = \"{more}\", list = [\"{more}\", 1, true] }",
        );
        let (_, body) = asked(&made, json!({"who": "{n} {who}", "n": 2})).unwrap();
        let body: Value = serde_json::from_str(&body.unwrap()).unwrap();
        assert_eq!(body, json!({"title": "Call of {n} {who} {x}", "count": 2, "list": [1, true]}));
    }

    #[test]
    fn a_schema_asks_for_what_is_not_optional() {
        let tool = tool("url = \"https://a/\"\nparameters = { a = { type = \"string\" }, b = {} }\noptional = [\"b\"]");
        let schema = tool.schema();
        assert_eq!(schema["required"], json!(["a"]));
        assert_eq!(schema["properties"]["a"], json!({"type": "string"}));
        assert_eq!(schema["additionalProperties"], json!(false));
    }

    #[test]
    fn an_answer_is_read_for_what_it_is() {
        let json = "application/json; charset=utf-8";
        for (status, kind, body, pick, expected) in [
            (200, json, r#"{"a": [1, "x"]}"#, None, Outcome::done(r#"{"a":[1,"x"]}"#)),
            (200, json, r#"{"a": [1, "x"]}"#, Some("/a/1"), Outcome::done("x")),
            (200, json, r#"{"a": 1}"#, Some("/b"), Outcome::failed("The answer does not hold what was asked for.")),
            (200, json, r#"{"a": "#, None, Outcome::failed("The server answered with broken JSON.")),
            (200, "text/plain", "sunny", None, Outcome::done("sunny")),
            (204, "", "", None, Outcome::done("Done; the answer is empty.")),
            (200, json, " ", None, Outcome::done("Done; the answer is empty.")),
            (
                200,
                "text/html",
                "<p>Log in",
                None,
                Outcome::failed("The server answered with a web page instead of data."),
            ),
            (
                200,
                "text/plain",
                "  <!DOCTYPE html><html>",
                None,
                Outcome::failed("The server answered with a web page instead of data."),
            ),
            (200, "image/png", "\u{1}", None, Outcome::failed("The server answered with something that is no text.")),
            (
                422,
                json,
                r#"{"error":"no such day"}"#,
                None,
                Outcome::failed(r#"The server answered 422: {"error":"no such day"}"#),
            ),
            (500, "text/html", "<h1>Oops</h1>", None, Outcome::failed("The server answered 500")),
            (302, "", "", None, Outcome::failed("The server answered 302")),
        ] {
            assert_eq!(read(status, kind, body.as_bytes(), pick), expected, "{status} {kind} {body}");
        }
        let bad = read(200, "text/plain", b"a\xff\xfeb", None);
        assert_eq!(bad, Outcome::done("a\u{fffd}\u{fffd}b"));
        let long = read(200, "text/plain", "ä".repeat(20_000).as_bytes(), None);
        assert!(long.content.ends_with("(cut: the answer is longer)"));
        assert_eq!(long.content.chars().filter(|c| *c == 'ä').count(), ANSWER_CHARS_MAX);
    }

    #[test]
    fn a_url_that_arguments_could_turn_elsewhere_is_refused() {
        for text in [
            "",
            "api.example/",
            "ftp://a/",
            "https://{host}/",
            "https://a.{tld}/x",
            "https://a:{port}/",
            "https://ada:secret@a/",
            "https://a/{x",
            "https://a/x}",
            "https://a/{a b}",
            "https://a/{}",
            "https://a/x#y",
            "https://a/../b",
            "https://a/b c",
            "https:///x",
        ] {
            assert!(text.parse::<Template>().is_err(), "{text}");
        }
        for text in ["https://a", "http://a:8080?x={y}", "https://[::1]/", "https://a/%20/{x}.json"] {
            assert!(text.parse::<Template>().is_ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_argument_leaves_its_place(city in ".{0,40}", units in ".{0,40}") {
            let tool = tool("url = \"https://a.example/v1/{city}/now?u={units}&k=1\"\nparameters = { city = {}, units = {} }");
            if let Ok(question) = tool.question(json!({"city": city, "units": units}).as_object().unwrap()) {
                prop_assert_eq!(question.url.host_str(), Some("a.example"));
                let segments: Vec<_> = question.url.path_segments().unwrap().collect();
                prop_assert_eq!((segments.len(), segments[0], segments[2]), (3, "v1", "now"));
                let pairs: Vec<_> = question.url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
                let expected = [("u".to_owned(), units), ("k".to_owned(), "1".to_owned())];
                prop_assert_eq!(pairs, expected);
                prop_assert_eq!(question.url.fragment(), None);
            }
        }

        #[test]
        fn no_answer_does_harm(
            status in 0u16..1_000, kind in ".{0,20}", body in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let outcome = read(status, &kind, &body, None);
            prop_assert!(!outcome.content.is_empty());
        }
    }
}
