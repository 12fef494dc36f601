//! What an MCP server offers and answers, as this server takes it: bounded, and as text.
//!
//! Pure.

use std::collections::BTreeSet;

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::{Map, Value};

use super::super::{
    Outcome,
    catalog::{Origin, Rule, Tool, name_of},
    http::cut,
};

/// The tools of `server` that are `taken`, up to [`TOOLS_MAX`].
pub(super) fn tools(server: &str, listed: &[rmcp::model::Tool], taken: &[String], rule: &Rule) -> Vec<Tool> {
    let is_taken = |name: &str| {
        taken.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == pattern,
        })
    };
    let tool = |listed: &rmcp::model::Tool| {
        let mut parameters = Value::Object((*listed.input_schema).clone());
        if parameters.to_string().len() > SCHEMA_BYTES_MAX {
            tracing::warn!(server, tool = &*short(&listed.name), "a tool is left out: its schema is too large");
            return None;
        }
        if parameters.get("type").is_none() {
            parameters["type"] = "object".into();
        }
        // Vendors refuse an object that does not say what is in it.
        if parameters.get("properties").is_none() {
            parameters["properties"] = Value::Object(Map::new());
        }
        let description = listed.description.as_deref().or(listed.title.as_deref()).unwrap_or_default();
        Some(Tool {
            name: name_of(server, &listed.name),
            description: description.chars().take(DESCRIPTION_CHARS_MAX).collect(),
            parameters,
            origin: Origin::Mcp { server: server.to_owned(), tool: listed.name.clone().into_owned() },
            rule: rule.clone(),
        })
    };
    // A list that has no end names the same ones again and again.
    let mut names = BTreeSet::new();
    let ours = listed.iter().filter(|listed| is_taken(&listed.name) && names.insert(&listed.name));
    let tools: Vec<Tool> = ours.filter_map(tool).take(TOOLS_MAX).collect();
    if listed.len() > TOOLS_MAX {
        tracing::warn!(server, listed = listed.len(), taken = tools.len(), "an MCP server offers too many tools");
    }
    tools
}

/// What a model reads of a result.
pub(super) fn outcome(result: &CallToolResult) -> Outcome {
    let text = |block: &ContentBlock| match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Resource(resource) => match &resource.resource {
            ResourceContents::TextResourceContents { text, .. } => text.clone(),
            _ => "(data that is no text)".to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("({}: {})", link.name, link.uri),
        ContentBlock::Image(_) => "(an image)".to_owned(),
        ContentBlock::Audio(_) => "(a recording)".to_owned(),
        _ => "(something that cannot be read)".to_owned(),
    };
    let mut content = result.content.iter().map(text).collect::<Vec<_>>().join("\n");
    if content.trim().is_empty() {
        content = match &result.structured_content {
            Some(structured) => structured.to_string(),
            None => "Done; the answer is empty.".to_owned(),
        };
    }
    Outcome { content: cut(&content), is_error: result.is_error.unwrap_or(false) }
}

/// Somebody's words in one short line.
pub(super) fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(SHORT_CHARS_MAX).collect()
}

/// Tools taken of one server. A model that is told of more chooses badly, and slowly.
const TOOLS_MAX: usize = 128;

/// The largest schema of one tool. It is sent to the model on every turn.
const SCHEMA_BYTES_MAX: usize = 16 * 1_024;

/// The longest description of one tool.
const DESCRIPTION_CHARS_MAX: usize = 2_000;

/// The longest error that is passed on.
const SHORT_CHARS_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listed(tool: Value) -> rmcp::model::Tool {
        serde_json::from_value(tool).unwrap()
    }

    #[test]
    fn tools_are_taken_with_their_names_and_their_limits() {
        let all = [
            listed(json!({"name": "find.customer", "description": "Finds.", "inputSchema": {"properties": {}}})),
            listed(json!({"name": "find_order", "title": "Order", "inputSchema": {"type": "object"}})),
            listed(json!({"name": "delete", "inputSchema": {"type": "object"}})),
            listed(json!({"name": "find_all", "inputSchema": {"type": "object", "x": "y".repeat(20_000)}})),
        ];
        let rule = Rule { calls_max: 3, ..Rule::default() };
        let again = [all.clone(), all].concat();
        let taken = tools("crm", &again, &["find*".to_owned()], &rule);
        let [customer, order] = &taken[..] else { panic!("{taken:?}") };
        assert_eq!((customer.name.as_str(), customer.description.as_str()), ("crm__find_customer", "Finds."));
        assert_eq!(customer.origin, Origin::Mcp { server: "crm".to_owned(), tool: "find.customer".to_owned() });
        assert_eq!(customer.parameters["type"], json!("object"));
        assert_eq!((order.description.as_str(), order.rule.calls_max), ("Order", 3));
        assert_eq!(order.parameters, json!({"type": "object", "properties": {}}));
        let many: Vec<_> =
            (0..500).map(|n| listed(json!({"name": format!("t{n}"), "inputSchema": {"type": "object"}}))).collect();
        assert_eq!(tools("crm", &many, &["*".to_owned()], &rule).len(), TOOLS_MAX);
    }

    #[test]
    fn results_become_text() {
        for (result, content, is_error) in [
            (json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}), "a\nb", false),
            (json!({"content": [{"type": "text", "text": "no"}], "isError": true}), "no", true),
            (json!({"content": [], "structuredContent": {"n": 1}}), r#"{"n":1}"#, false),
            (json!({"content": []}), "Done; the answer is empty.", false),
            (json!({"content": [{"type": "image", "data": "AA==", "mimeType": "image/png"}]}), "(an image)", false),
            (json!({"content": [{"type": "resource", "resource": {"uri": "a:b", "text": "inside"}}]}), "inside", false),
        ] {
            let result: CallToolResult = serde_json::from_value(result).unwrap();
            assert_eq!(outcome(&result), Outcome { content: content.to_owned(), is_error });
        }
        let long = json!({"content": [{"type": "text", "text": "x".repeat(1 << 20)}]});
        let long = outcome(&serde_json::from_value(long).unwrap());
        assert!(long.content.len() < 20_000 && long.content.ends_with("(cut: the answer is longer)"));
    }

    #[test]
    fn errors_are_one_short_line() {
        assert_eq!(short("a\n  b\u{7}\tc"), "a b c");
        assert_eq!(short(&"x".repeat(1_000)).len(), SHORT_CHARS_MAX);
    }
}
