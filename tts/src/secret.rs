//! What is secret, such as a provider's key: text that no log, error or `Debug` shows.

use std::fmt;

use serde::Deserialize;

/// A secret. Its `Debug` does not tell even its length.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Secret(String);

impl Secret {
    /// Keeps a secret, without the white space that a file or `echo` leaves around it.
    pub fn new(secret: impl AsRef<str>) -> Self {
        Self(secret.as_ref().trim().to_owned())
    }

    /// The secret itself, for the header that carries it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self::new(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_kept_without_white_space_and_never_shown() {
        let read: Secret = serde_json::from_str("\" sk-one\\n\"").unwrap();
        assert_eq!((read.reveal(), read.is_empty()), ("sk-one", false));
        assert_eq!(format!("{read:?} {read:#?}"), "Secret(…) Secret(…)");
        assert!(Secret::new(" \n").is_empty() && Secret::default().is_empty());
    }
}
