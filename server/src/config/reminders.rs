//! `[reminders]`: who is told when the time of a reminder has come.

use serde::Deserialize;

use crate::webhook::target::Origin;

/// `[reminders]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reminders {
    /// Where a form is posted when a reminder is due, signed as every webhook is. Without it reminders are for whoever
    /// looks at `GET /api/reminders`.
    pub url: Option<String>,
}

impl Reminders {
    /// What makes no sense: the key, and why.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        let is_wrong = self.url.as_deref().is_some_and(|url| !url.starts_with("http") || Origin::of(url).is_err());
        is_wrong.then(|| ("reminders.url", "must be a URL such as https://office.example.org/reminders".to_owned()))
    }
}
