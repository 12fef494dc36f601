//! Fields of what a client sends, read with their places, so that what is wrong with one is said by its name. Pure.

use serde_json::{Map, Value};

/// What is said to be wrong with what a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dialect::openai_realtime) struct Refused {
    /// For programs.
    pub(in crate::dialect::openai_realtime) code: &'static str,
    /// Which field.
    pub(in crate::dialect::openai_realtime) param: String,
    /// For people: what is wrong, and what would be right.
    pub(in crate::dialect::openai_realtime) why: String,
}

/// The fields of an object, and where it stands.
pub(super) struct Fields<'a> {
    at: String,
    fields: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value, at: &str) -> Result<Self, Refused> {
        let refused =
            || Refused { code: "invalid_type", param: at.to_owned(), why: format!("{at}: expected an object") };
        Ok(Self { at: at.to_owned(), fields: value.as_object().ok_or_else(refused)? })
    }

    fn refused(&self, code: &'static str, name: &str, why: &str) -> Refused {
        let param = format!("{}.{name}", self.at);
        Refused { code, why: format!("{param}: {why}"), param }
    }

    pub(super) fn invalid(&self, name: &str, why: impl AsRef<str>) -> Refused {
        self.refused("invalid_value", name, why.as_ref())
    }

    pub(super) fn unsupported(&self, name: &str, why: impl AsRef<str>) -> Refused {
        self.refused("unsupported_parameter", name, why.as_ref())
    }

    /// There is no other field than these.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Refused> {
        match self.fields.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let name: String = name.chars().take(NAME_CHARS_MAX).collect();
                Err(self.refused("unknown_parameter", &name, "nobody knows this field"))
            }
        }
    }

    /// The field, though it be null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name)
    }

    /// The field, where it is there and not null.
    pub(super) fn some(&self, name: &str) -> Option<&'a Value> {
        self.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, Refused> {
        self.some(name).map(|value| Self::of(value, &format!("{}.{name}", self.at))).transpose()
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Refused> {
        let refused = || self.refused("invalid_type", name, "expected text");
        self.some(name).map(|value| value.as_str().ok_or_else(refused)).transpose()
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Refused> {
        let refused = || self.refused("invalid_type", name, "expected true or false");
        self.some(name).map(|value| value.as_bool().ok_or_else(refused)).transpose()
    }

    pub(super) fn number(&self, name: &str, (least, most): (u32, u32)) -> Result<Option<u32>, Refused> {
        let refused = || self.invalid(name, format!("expected a whole number from {least} to {most}"));
        let read = |value: &Value| value.as_u64().and_then(|value| u32::try_from(value).ok());
        let fits = |value: &u32| (least..=most).contains(value);
        self.some(name).map(|value| read(value).filter(fits).ok_or_else(refused)).transpose()
    }
}

/// As much as is repeated of a name that nobody knows.
const NAME_CHARS_MAX: usize = 100;
