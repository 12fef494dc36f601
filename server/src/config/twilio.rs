//! `[twilio]`: who we are to programs that know Twilio: the account they name, the secret that signs our webhooks.

use serde::Deserialize;

use crate::webhook::target::Origin;

/// `[twilio]`
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Twilio {
    /// The account's name, such as `AC` and 32 hexadecimal digits; in the path of the REST interface.
    pub account_sid: Option<String>,
    /// The account's secret: the password of the REST interface, and what signs our webhooks.
    pub auth_token: Option<String>,
    /// How the world reaches this server, such as `https://voice.example.org`, where a proxy stands before it: what
    /// the streams of Twilio itself are signed for. What a request names as its host, when not set.
    pub public_url: Option<String>,
}

impl std::fmt::Debug for Twilio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Twilio")
            .field("account_sid", &self.account_sid)
            .field("public_url", &self.public_url)
            .finish_non_exhaustive()
    }
}

impl Twilio {
    /// What makes no sense: the key, and why.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        if self.public_url.as_deref().is_some_and(|url| Origin::of(url).is_err()) {
            return Some(("twilio.public_url", "must be a URL such as https://voice.example.org".to_owned()));
        }
        match (&self.account_sid, &self.auth_token) {
            (Some(_), None) => {
                return Some(("twilio.auth_token", "must be set where twilio.account_sid is".to_owned()));
            }
            (None, Some(_)) => {
                return Some(("twilio.account_sid", "must be set where twilio.auth_token is".to_owned()));
            }
            (None, None) => return None,
            (Some(_), Some(_)) => {}
        }
        let is_name = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !self.account_sid.as_ref().is_some_and(is_name) {
            return Some(("twilio.account_sid", "must be letters and digits, since it stands in a path".to_owned()));
        }
        if self.auth_token.as_ref().is_some_and(|token| token.len() < TOKEN_BYTES_MIN) {
            let why = format!("must be at least {TOKEN_BYTES_MIN} characters, or whoever sees a signature guesses it");
            return Some(("twilio.auth_token", why));
        }
        None
    }
}

/// 16 hexadecimal digits are 64 bits, which nobody tries out. Twilio's own are 32 digits.
const TOKEN_BYTES_MIN: usize = 16;
