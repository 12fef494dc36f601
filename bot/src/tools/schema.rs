//! Whether the arguments that a model wrote are those that a tool takes.
//!
//! The part of JSON Schema that tools use: `type`, `properties`, `required`, `additionalProperties`, `enum`, `const`,
//! `items`, limits of numbers, lengths and counts, `anyOf`, `oneOf`, `allOf`, and `$ref` within the same schema. What
//! is not known is not checked: the tool's own server does. What is wrong is said with its place, in words that let a
//! model mend it, and never quotes what it wrote. Pure; a schema may be anything at all, and costs at most [`STEPS_MAX`].

use std::fmt;

use serde_json::{Map, Value};

/// What is wrong with arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch(Vec<String>);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

/// Checks `arguments` against `schema`.
///
/// # Errors
/// All that is wrong, up to [`WRONGS_MAX`].
pub fn check(schema: &Value, arguments: &Value) -> Result<(), Mismatch> {
    let mut steps = STEPS_MAX;
    let mut wrongs = Vec::new();
    let mut place = Place { root: schema, steps: &mut steps, wrongs: &mut wrongs, path: String::new() };
    place.check(schema, arguments, 0);
    if steps == 0 {
        wrongs.push("the arguments are too large for this tool".to_owned());
    }
    if wrongs.is_empty() {
        return Ok(());
    }
    wrongs.truncate(WRONGS_MAX);
    Err(Mismatch(wrongs))
}

struct Place<'a, 'b> {
    root: &'a Value,
    steps: &'b mut u32,
    wrongs: &'b mut Vec<String>,
    path: String,
}

impl<'a> Place<'a, '_> {
    fn check(&mut self, schema: &'a Value, value: &Value, depth: u32) {
        *self.steps = self.steps.saturating_sub(1);
        if *self.steps == 0 || self.wrongs.len() >= WRONGS_MAX {
            return;
        }
        if depth > DEPTH_MAX {
            return self.wrong("is nested too deeply");
        }
        let rules = match schema {
            Value::Bool(false) => return self.wrong("must not be given"),
            Value::Object(rules) => rules,
            _ => return,
        };
        if let Some(Value::String(to)) = rules.get("$ref") {
            let named = to.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            if let Some(named) = named {
                self.check(named, value, depth + 1);
            }
        }
        if let Some(kinds) = rules.get("type")
            && !is_of(kinds, value)
        {
            return self.wrong(&format!("must be {}, is {}", kinds_in_words(kinds), kind(value)));
        }
        self.choices(rules, value);
        match value {
            Value::String(text) => self.text(rules, text),
            Value::Number(_) => self.number(rules, value),
            Value::Array(items) => self.array(rules, items, depth),
            Value::Object(fields) => self.object(rules, fields, depth),
            Value::Null | Value::Bool(_) => {}
        }
        self.combinations(rules, value, depth);
    }

    fn wrong(&mut self, what: &str) {
        let at = if self.path.is_empty() { "the arguments" } else { &self.path };
        self.wrongs.push(format!("{at} {what}"));
    }

    fn choices(&mut self, rules: &Map<String, Value>, value: &Value) {
        let choices = rules.get("enum").and_then(Value::as_array);
        // Each is looked at.
        let looks = choices.map_or(0, |choices| u32::try_from(choices.len()).unwrap_or(u32::MAX));
        *self.steps = self.steps.saturating_sub(looks);
        if *self.steps == 0 {
            return;
        }
        if let Some(choices) = choices
            && !choices.iter().any(|choice| is_same(choice, value))
        {
            let shown: Vec<_> = choices.iter().take(CHOICES_SHOWN).map(shown).collect();
            let more = if choices.len() > CHOICES_SHOWN { ", …" } else { "" };
            self.wrong(&format!("must be one of {}{more}", shown.join(", ")));
        }
        if let Some(only) = rules.get("const")
            && !is_same(only, value)
        {
            self.wrong(&format!("must be {}", shown(only)));
        }
    }

    fn text(&mut self, rules: &Map<String, Value>, text: &str) {
        let chars = text.chars().count() as u64;
        if let Some(least) = count(rules, "minLength")
            && chars < least
        {
            let what =
                if least == 1 { "must not be empty".to_owned() } else { format!("has fewer than {least} letters") };
            self.wrong(&what);
        }
        if let Some(most) = count(rules, "maxLength")
            && chars > most
        {
            self.wrong(&format!("has more than {most} letters"));
        }
    }

    fn number(&mut self, rules: &Map<String, Value>, value: &Value) {
        let Some(number) = value.as_f64() else { return };
        let limit = |name: &str| rules.get(name).and_then(Value::as_f64);
        let broken = [
            limit("minimum").filter(|limit| number < *limit).map(|limit| ("must be at least", limit)),
            limit("maximum").filter(|limit| number > *limit).map(|limit| ("must be at most", limit)),
            limit("exclusiveMinimum").filter(|limit| number <= *limit).map(|limit| ("must be more than", limit)),
            limit("exclusiveMaximum").filter(|limit| number >= *limit).map(|limit| ("must be less than", limit)),
        ];
        for (words, limit) in broken.into_iter().flatten() {
            self.wrong(&format!("{words} {limit}"));
        }
    }

    fn array(&mut self, rules: &'a Map<String, Value>, items: &[Value], depth: u32) {
        let given = items.len() as u64;
        if let Some(least) = count(rules, "minItems")
            && given < least
        {
            self.wrong(&format!("has fewer than {least} entries"));
        }
        if let Some(most) = count(rules, "maxItems")
            && given > most
        {
            return self.wrong(&format!("has more than {most} entries"));
        }
        let Some(schema) = rules.get("items") else { return };
        for (n, item) in items.iter().enumerate() {
            self.inside(&format!("[{n}]"), |place| place.check(schema, item, depth + 1));
        }
    }

    fn object(&mut self, rules: &'a Map<String, Value>, fields: &Map<String, Value>, depth: u32) {
        if let Some(Value::Array(required)) = rules.get("required") {
            for name in required.iter().filter_map(Value::as_str).filter(|name| !fields.contains_key(*name)) {
                self.inside(&dotted(name), |place| place.wrong("is missing"));
            }
        }
        let properties = rules.get("properties").and_then(Value::as_object);
        let others = rules.get("additionalProperties");
        for (name, value) in fields {
            let known = properties.and_then(|properties| properties.get(name));
            match (known, others) {
                (Some(schema), _) => {
                    self.inside(&dotted(name), |place| place.check(schema, value, depth + 1));
                }
                (None, Some(Value::Bool(false))) => {
                    let names: Vec<&str> = properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
                    let names = if names.is_empty() { "none are".to_owned() } else { names.join(", ") };
                    self.inside(&dotted(name), |place| place.wrong(&format!("is not known; known: {names}")));
                }
                (None, Some(schema)) => {
                    self.inside(&dotted(name), |place| place.check(schema, value, depth + 1));
                }
                (None, None) => {}
            }
        }
    }

    fn combinations(&mut self, rules: &'a Map<String, Value>, value: &Value, depth: u32) {
        if let Some(Value::Array(all)) = rules.get("allOf") {
            for schema in all {
                self.check(schema, value, depth + 1);
            }
        }
        for name in ["anyOf", "oneOf"] {
            let Some(Value::Array(forms)) = rules.get(name) else { continue };
            let mut tried = Vec::new();
            let fits = forms.iter().any(|schema| {
                let mut wrongs = Vec::new();
                let path = self.path.clone();
                let mut place = Place { root: self.root, steps: &mut *self.steps, wrongs: &mut wrongs, path };
                place.check(schema, value, depth + 1);
                let fits = wrongs.is_empty();
                tried.push((schema, wrongs));
                fits
            });
            if fits || forms.is_empty() {
                continue;
            }
            // "This or nothing" is how optional arguments are written: what is wrong with this is what helps.
            let mut meant = tried.into_iter().filter(|(schema, _)| schema.get("type") != Some(&Value::from("null")));
            match (meant.next(), meant.next()) {
                (Some((_, wrongs)), None) => self.wrongs.extend(wrongs),
                _ => self.wrong("has none of the forms that are allowed"),
            }
        }
    }

    fn inside(&mut self, step: &str, check: impl FnOnce(&mut Self)) {
        let outside = self.path.len();
        self.path.push_str(if outside == 0 { step.trim_start_matches('.') } else { step });
        check(self);
        self.path.truncate(outside);
    }
}

/// A step of a path. A model may write any name; only a short one is worth showing.
fn dotted(name: &str) -> String {
    format!(".{}", name.chars().filter(|c| !c.is_control()).take(NAME_SHOWN).collect::<String>())
}

fn is_of(kinds: &Value, value: &Value) -> bool {
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    match kinds {
        Value::String(kind) => is(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}

fn kinds_in_words(kinds: &Value) -> String {
    let word = |kind: &str| match kind {
        "null" => "nothing",
        "boolean" => "true or false",
        "string" => "text",
        "number" => "a number",
        "integer" => "a whole number",
        "array" => "a list",
        _ => "an object",
    };
    match kinds {
        Value::String(kind) => word(kind).to_owned(),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).map(word).collect::<Vec<_>>().join(" or "),
        _ => "something else".to_owned(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Equal, where 1 and 1.0 are.
fn is_same(a: &Value, b: &Value) -> bool {
    a == b || (a.is_number() && b.is_number() && a.as_f64() == b.as_f64())
}

fn count(rules: &Map<String, Value>, name: &str) -> Option<u64> {
    rules.get(name).and_then(Value::as_u64)
}

/// A value of the schema, short enough to be read.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= VALUE_SHOWN { text } else { text.chars().take(VALUE_SHOWN).chain(['…']).collect() }
}

/// Rules looked at for one call. Schemas of tools have dozens, and a list of a thousand entries fits; one that refers
/// to itself ends here.
pub const STEPS_MAX: u32 = 20_000;

/// Wrongs told at once: a model mends them all, and does not read more.
pub const WRONGS_MAX: usize = 5;

/// How deeply arguments may be nested. Each level is a call on the stack.
const DEPTH_MAX: u32 = 64;

const CHOICES_SHOWN: usize = 20;
const NAME_SHOWN: usize = 40;
const VALUE_SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn wrong(schema: Value, arguments: Value) -> String {
        check(&schema, &arguments).map_or_else(|wrong| wrong.to_string(), |()| String::new())
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let order = json!({
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 5},
                "count": {"type": "integer", "minimum": 1, "maximum": 9},
                "size": {"enum": ["s", "m"]},
                "items": {"type": "array", "minItems": 1, "maxItems": 2,
                          "items": {"type": "object", "properties": {"id": {"type": "number"}}, "required": ["id"]}},
            },
            "required": ["name"],
            "additionalProperties": false,
        });
        for (arguments, expected) in [
            (json!({"name": "Weber", "count": 2.0, "size": "s", "items": [{"id": 1.5}]}), ""),
            (json!([]), "the arguments must be an object, is a list"),
            (json!({}), "name is missing"),
            (json!({"name": 7}), "name must be text, is a number"),
            (json!({"name": ""}), "name must not be empty"),
            (json!({"name": "Müller"}), "name has more than 5 letters"),
            (json!({"name": "a", "count": 0}), "count must be at least 1"),
            (json!({"name": "a", "count": 1.5}), "count must be a whole number, is a number"),
            (json!({"name": "a", "size": "xl"}), r#"size must be one of "s", "m""#),
            (json!({"name": "a", "items": []}), "items has fewer than 1 entries"),
            (json!({"name": "a", "items": [{"id": 1}, {"id": "b"}]}), "items[1].id must be a number, is text"),
            (json!({"name": "a", "items": [{}]}), "items[0].id is missing"),
            (json!({"name": "a", "iban": "DE02"}), "iban is not known; known: count, items, name, size"),
        ] {
            assert_eq!(wrong(order.clone(), arguments.clone()), expected, "{arguments}");
        }
        assert_eq!(wrong(order, json!({"count": "2", "size": 1})).matches("; ").count(), 2);
    }

    #[test]
    fn an_optional_argument_may_be_nothing_and_says_what_it_may_be_otherwise() {
        let schema = json!({"properties": {"day": {"anyOf": [{"type": "string"}, {"type": "null"}]}}});
        assert_eq!(wrong(schema.clone(), json!({"day": null})), "");
        assert_eq!(wrong(schema.clone(), json!({"day": "Monday"})), "");
        assert_eq!(wrong(schema, json!({"day": 1})), "day must be text, is a number");
        let forms = json!({"oneOf": [{"type": "string"}, {"type": "number"}]});
        assert_eq!(wrong(forms, json!([])), "the arguments has none of the forms that are allowed");
    }

    #[test]
    fn what_is_defined_elsewhere_in_the_schema_is_found() {
        let schema = json!({
            "properties": {"to": {"$ref": "#/$defs/address"}},
            "$defs": {"address": {"type": "object", "properties": {"zip": {"type": "string"}}, "required": ["zip"]}},
        });
        assert_eq!(wrong(schema.clone(), json!({"to": {"zip": "10115"}})), "");
        assert_eq!(wrong(schema, json!({"to": {}})), "to.zip is missing");
    }

    #[test]
    fn a_schema_that_goes_round_in_circles_ends() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}),
            json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]}),
        ] {
            assert_ne!(wrong(schema.clone(), json!({})), "", "{schema}");
        }
    }

    #[test]
    fn every_choice_of_a_list_counts() {
        let choices: Vec<u32> = (0..15_000).collect();
        assert_eq!(wrong(json!({"enum": choices}), json!(14_999)), "");
        let twice = json!({"allOf": [{"enum": choices}, {"enum": choices}]});
        assert_eq!(wrong(twice, json!(14_999)), "the arguments are too large for this tool");
    }

    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-z#/$]{0,6}".prop_map(Value::from),
        ];
        let name = prop::sample::select(vec![
            "type",
            "properties",
            "required",
            "items",
            "enum",
            "anyOf",
            "$ref",
            "a",
            "minLength",
            "maximum",
            "additionalProperties",
            "oneOf",
            "allOf",
            "const",
        ]);
        leaf.prop_recursive(5, 64, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((name.clone(), inner), 0..5)
                    .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_schema_and_no_arguments_do_harm(schema in anything(), arguments in anything()) {
            if let Err(wrong) = check(&schema, &arguments) {
                prop_assert!(!wrong.to_string().is_empty() && wrong.0.len() <= WRONGS_MAX);
            }
        }

        #[test]
        fn what_is_of_its_own_kind_fits(value in anything()) {
            let kind = match &value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            prop_assert_eq!(check(&json!({"type": kind, "enum": [value.clone()]}), &value), Ok(()));
            let other = if kind == "string" { "array" } else { "string" };
            let schema = json!({"type": other});
            prop_assert!(check(&schema, &value).is_err());
        }
    }
}
