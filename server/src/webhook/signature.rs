//! X-Twilio-Signature, with the account's secret kept from sight: [`bot::ivr::signature`] computes it. Pure.

use std::fmt;

use bot::ivr::signature;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

/// The name of the header.
pub const HEADER: &str = "x-twilio-signature";

/// The secret of an account. Never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct AuthToken(String);

impl AuthToken {
    /// The token `secret`.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// Whether there is nothing in it, so that it protects nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `guess` is it, in a time that does not tell how close it is.
    pub fn is(&self, guess: &[u8]) -> bool {
        !self.is_empty() && bool::from(self.0.as_bytes().ct_eq(guess))
    }
}

impl fmt::Debug for AuthToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthToken(kept secret)")
    }
}

/// The signature of a request: of a form's `params`, or of a URL with everything in its query and no params.
pub fn sign(token: &AuthToken, url: &str, params: &[(String, String)]) -> String {
    signature::sign(&token.0, url, pairs(params))
}

/// Whether `signature` is that of a request to `url`; as [`signature::verify`] has it.
pub fn is_genuine(token: &AuthToken, url: &str, params: &[(String, String)], signature: &str) -> bool {
    signature::verify(&token.0, url, pairs(params), signature)
}

fn pairs(params: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    params.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_order_of_parameters_changes_nothing_and_everything_else_does() {
        let token = AuthToken::new("12345");
        let url = "https://app.example/voice?bar=2";
        let form = params(&[("CallSid", "CA1"), ("Caller", "+14158675310"), ("Digits", "1234"), ("From", "+1")]);
        let mut shuffled = form.clone();
        shuffled.reverse();
        let signature = sign(&token, url, &form);
        assert_eq!(sign(&token, url, &shuffled), signature);
        assert!(is_genuine(&token, url, &form, &signature));
        assert!(!is_genuine(&token, url, &form[1..], &signature));
        assert!(!is_genuine(&token, "https://app.example/voice?bar=3", &form, &signature));
        assert!(!is_genuine(&AuthToken::new("12346"), url, &form, &signature));
        assert!(!is_genuine(&token, url, &form, ""));
        assert!(!is_genuine(&token, url, &form, "no base64!"));
    }

    #[test]
    fn a_known_request_has_its_known_signature() {
        let form = params(&[
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ]);
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        assert_eq!(sign(&AuthToken::new("12345"), url, &form), "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
    }

    #[test]
    fn the_port_of_the_scheme_and_the_slash_of_no_path_may_be_there_or_not() {
        let token = AuthToken::new("hush");
        for (signed, received) in [
            ("https://a.example/v", "https://a.example:443/v"),
            ("https://a.example:443/v", "https://a.example/v"),
            ("wss://a.example:443/twilio/media", "wss://a.example/twilio/media"),
            ("wss://a.example", "wss://a.example/"),
            ("ws://127.0.0.1:8080/m/", "ws://127.0.0.1:8080/m/"),
        ] {
            assert!(is_genuine(&token, received, &[], &sign(&token, signed, &[])), "{signed} {received}");
        }
        let other = sign(&token, "https://a.example:8443/v", &[]);
        assert!(!is_genuine(&token, "https://a.example/v", &[], &other));
    }

    #[test]
    fn a_token_is_never_shown_and_an_empty_one_opens_nothing() {
        assert!(!format!("{:?}", AuthToken::new("hush")).contains("hush"));
        let empty = AuthToken::new("");
        assert!(!empty.is(b""));
        assert!(!is_genuine(&empty, "http://a/", &[], &sign(&empty, "http://a/", &[])));
    }
}
