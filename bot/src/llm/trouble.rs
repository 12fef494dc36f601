//! What can go wrong with a model, in one line each: whose fault it is and whether asking again makes sense.
//!
//! A line names the provider as the configuration does, and holds nothing that the provider wrote but its code for the
//! error: a body may repeat what a caller said, or a key.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

/// Why there is no answer, or no rest of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// No model is configured.
    #[error("no language model is configured")]
    NoModel,
    /// Every model failed lately and is left alone for a while.
    #[error("every language model is resting after failures; the first is asked again in {} ms", .after.as_millis())]
    Resting {
        /// When the first may be asked again.
        after: Duration,
    },
    /// The call has used up what it may.
    #[error("this call has used up its {what} for language models")]
    Spent {
        /// Of what: `tokens` or `money`.
        what: &'static str,
    },
    /// No connection, or it broke before the answer began.
    #[error("{provider} cannot be reached: {why}")]
    Unreachable {
        /// Who was asked.
        provider: Arc<str>,
        /// What the network said.
        why: String,
    },
    /// It has too much to do, or we asked too often.
    #[error("{provider} is busy: {status}{}{}", shown(.code), later(*.retry_after))]
    Busy {
        /// Who was asked.
        provider: Arc<str>,
        /// Its HTTP status.
        status: u16,
        /// Its own word for it.
        code: Option<String>,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It failed.
    #[error("{provider} failed: {status}{}", shown(.code))]
    Failed {
        /// Who was asked.
        provider: Arc<str>,
        /// Its HTTP status.
        status: u16,
        /// Its own word for it.
        code: Option<String>,
    },
    /// It does not take the request: its key, its model's name or the request is wrong.
    #[error("{provider} refused the request: {status}{}{}", shown(.code), hint(*.status))]
    Refused {
        /// Who was asked.
        provider: Arc<str>,
        /// Its HTTP status.
        status: u16,
        /// Its own word for it.
        code: Option<String>,
    },
    /// It points elsewhere, and keys are not carried there.
    #[error("{provider} answered with a redirect, which is not followed; check its base_url")]
    Redirected {
        /// Who was asked.
        provider: Arc<str>,
    },
    /// What came is no answer: HTML, broken JSON, something else.
    #[error("{provider} answered with {what}")]
    Garbled {
        /// Who was asked.
        provider: Arc<str>,
        /// What came instead.
        what: &'static str,
    },
    /// The answer holds neither words nor calls.
    #[error("{provider} answered with nothing")]
    Empty {
        /// Who was asked.
        provider: Arc<str>,
    },
    /// The answer is longer than any that can be meant.
    #[error("{provider} answered with more than {max} {what}")]
    TooLong {
        /// Who was asked.
        provider: Arc<str>,
        /// The most.
        max: usize,
        /// Of what.
        what: &'static str,
    },
    /// The connection ended in the middle of the answer.
    #[error("{provider} broke off in the middle of its answer")]
    CutOff {
        /// Who was asked.
        provider: Arc<str>,
    },
    /// It took too long.
    #[error("{provider} {wait} within {} ms", .after.as_millis())]
    Late {
        /// Who was asked.
        provider: Arc<str>,
        /// For what.
        wait: Wait,
        /// How long that was waited for.
        after: Duration,
    },
}

/// What was waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The first word or call.
    First,
    /// The next piece.
    Next,
    /// The end.
    End,
}

impl std::fmt::Display for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::First => "did not begin its answer",
            Self::Next => "did not go on with its answer",
            Self::End => "did not end its answer",
        })
    }
}

/// Whose fault a trouble is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request's: another try of the same fails alike, with the same provider at least.
    Request,
    /// Whoever wrote the configuration: a key, a name, an address.
    Settings,
    /// The provider's, or of the network before it.
    Provider,
    /// Nobody's: a limit that was set was reached.
    Limit,
}

impl Trouble {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::NoModel | Self::Redirected { .. } => Fault::Settings,
            Self::Spent { .. } => Fault::Limit,
            Self::Refused { status: 401..=405, .. } => Fault::Settings,
            Self::Refused { .. } => Fault::Request,
            Self::Resting { .. }
            | Self::Unreachable { .. }
            | Self::Busy { .. }
            | Self::Failed { .. }
            | Self::Garbled { .. }
            | Self::Empty { .. }
            | Self::TooLong { .. }
            | Self::CutOff { .. }
            | Self::Late { .. } => Fault::Provider,
        }
    }

    /// Whether the same question may be answered when it is asked again, now or a little later.
    pub fn is_retryable(&self) -> bool {
        self.fault() == Fault::Provider
    }

    /// When it may be asked again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            Self::Resting { after } => Some(*after),
            _ => None,
        }
    }
}

fn shown(code: &Option<String>) -> String {
    code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default()
}

fn later(retry_after: Option<Duration>) -> String {
    retry_after.map(|after| format!(", to be asked again in {} ms", after.as_millis())).unwrap_or_default()
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => "; check its api_key",
        404 | 405 => "; check its base_url and model",
        _ => "",
    }
}

/// What an HTTP answer that is none says: its status, when it wants to be asked again, and its body.
pub(super) fn of_status(provider: &Arc<str>, status: u16, retry_after: Option<Duration>, body: &[u8]) -> Trouble {
    let code = serde_json::from_slice::<Value>(body).ok().and_then(|body| code(&body));
    classified(provider, status, code, retry_after)
}

/// What an error in the middle of a stream, or in an answer that claims to be well, says.
pub(super) fn of_error(provider: &Arc<str>, body: &Value) -> Trouble {
    let body = unlisted(body);
    let error = body.get("error").filter(|error| error.is_object()).unwrap_or(body);
    let code = code(body);
    let numbered = ["code", "status"].iter().filter_map(|key| error.get(key)?.as_u64()).find_map(http_status);
    let status = numbered.unwrap_or(match code.as_deref() {
        Some("overloaded_error" | "overloaded") => 529,
        Some("rate_limit_error" | "rate_limit_exceeded" | "insufficient_quota") => 429,
        Some("invalid_request_error" | "context_length_exceeded") => 400,
        Some("authentication_error" | "invalid_api_key") => 401,
        Some("permission_error") => 403,
        Some("not_found_error" | "model_not_found") => 404,
        Some("request_too_large") => 413,
        _ => 500,
    });
    classified(provider, status, code, None)
}

/// Whether JSON is an error, in any vendor's shape.
pub(super) fn is_error(body: &Value) -> bool {
    let body = unlisted(body);
    let kind = ["object", "type"].iter().any(|key| body.get(key).is_some_and(|kind| kind == "error"));
    kind || body.get("error").is_some_and(|error| !error.is_null()) || body.get("detail").is_some()
}

/// Some vendors put their error into a list.
fn unlisted(body: &Value) -> &Value {
    body.as_array().and_then(|list| list.first()).unwrap_or(body)
}

fn classified(provider: &Arc<str>, status: u16, code: Option<String>, retry_after: Option<Duration>) -> Trouble {
    let provider = provider.clone();
    match status {
        300..400 => Trouble::Redirected { provider },
        429 | 503 | 529 => Trouble::Busy { provider, status, code, retry_after },
        408 | 409 | 425 | 500.. => Trouble::Failed { provider, status, code },
        _ => Trouble::Refused { provider, status, code },
    }
}

fn http_status(number: u64) -> Option<u16> {
    u16::try_from(number).ok().filter(|status| (400..600).contains(status))
}

/// The provider's word for an error: a word, or it is not shown.
fn code(body: &Value) -> Option<String> {
    let body = unlisted(body);
    let error = body.get("error").unwrap_or(body);
    let is_word = |word: &&str| {
        (1..=CODE_BYTES_MAX).contains(&word.len())
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let words = ["code", "type", "status"].iter().filter_map(|key| error.get(key)?.as_str());
    words.filter(is_word).find(|word| *word != "error").map(str::to_owned)
}

/// The longest known, `model_context_window_exceeded`, has 29. Keys have capitals or dashes, so none is a word.
const CODE_BYTES_MAX: usize = 48;

/// When a provider wants to be asked again, from its headers.
///
/// `retry-after-ms` is OpenAI's and Azure's and finer; `retry-after` is seconds or a date, which is read by the
/// answer's own `date`, so that no clock has to agree. Source: RFC 9110 section 10.2.3.
pub(super) fn retry_after<'a>(header: impl Fn(&'static str) -> Option<&'a str>) -> Option<Duration> {
    let number = |name| header(name)?.trim().parse::<f64>().ok().filter(|number| (0.0..1e9).contains(number));
    if let Some(millis) = number("retry-after-ms") {
        return Some(Duration::from_secs_f64(millis / 1_000.0));
    }
    if let Some(seconds) = number("retry-after") {
        return Some(Duration::from_secs_f64(seconds));
    }
    let date = |name| httpdate::parse_http_date(header(name)?.trim()).ok();
    Some(date("retry-after")?.duration_since(date("date")?).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn provider() -> Arc<str> {
        "home".into()
    }

    fn of(status: u16, body: &str) -> Trouble {
        of_status(&provider(), status, None, body.as_bytes())
    }

    #[test]
    fn each_status_says_whose_fault_it_is_and_whether_to_ask_again() {
        for (status, fault, is_retryable) in [
            (301, Fault::Settings, false),
            (400, Fault::Request, false),
            (401, Fault::Settings, false),
            (404, Fault::Settings, false),
            (408, Fault::Provider, true),
            (413, Fault::Request, false),
            (429, Fault::Provider, true),
            (500, Fault::Provider, true),
            (503, Fault::Provider, true),
            (529, Fault::Provider, true),
        ] {
            let trouble = of(status, "");
            assert_eq!((trouble.fault(), trouble.is_retryable()), (fault, is_retryable), "{status}");
        }
    }

    #[test]
    fn a_line_holds_the_vendors_word_and_nothing_else_of_its_body() {
        let body = r#"{"error":{"message":"Incorrect key sk-abc for: my card is 4111","type":"invalid_request_error","code":"invalid_api_key"}}"#;
        assert_eq!(of(401, body).to_string(), "home refused the request: 401 (invalid_api_key); check its api_key");
        for (body, line) in [
            ("<html>it works</html>", "home failed: 502"),
            (r#"{"error":"model llama is loading"}"#, "home failed: 502"),
            (r#"{"error":{"code":"sk-Secret-1","type":"api_error"}}"#, "home failed: 502 (api_error)"),
            (
                r#"{"object":"error","message":"x","type":"internal_error","code":502}"#,
                "home failed: 502 (internal_error)",
            ),
            (r#"[{"error":{"code":502,"status":"UNAVAILABLE"}}]"#, "home failed: 502"),
            (r#"{"type":"error","error":{"type":"api_error"}}"#, "home failed: 502 (api_error)"),
            ("\u{0}\u{fffd}", "home failed: 502"),
        ] {
            assert_eq!(of(502, body).to_string(), line);
        }
    }

    #[test]
    fn errors_inside_a_stream_are_told_apart_by_their_words() {
        for (body, status, word) in [
            (json!({"type":"error","error":{"type":"overloaded_error","message":"x"}}), 529, "busy"),
            (json!({"error":{"type":"rate_limit_error"}}), 429, "busy"),
            (json!({"error":{"code":"context_length_exceeded"}}), 400, "refused"),
            (json!({"error":{"code":503,"message":"x"}}), 503, "busy"),
            (json!({"object":"error","code":400,"type":"BadRequestError"}), 400, "refused"),
            (json!({"error":"x"}), 500, "failed"),
            (json!({"detail":[{"input":"words of a caller"}]}), 500, "failed"),
        ] {
            assert!(is_error(&body), "{body}");
            let trouble = of_error(&provider(), &body);
            let told = match &trouble {
                Trouble::Busy { status, .. } => (*status, "busy"),
                Trouble::Failed { status, .. } => (*status, "failed"),
                Trouble::Refused { status, .. } => (*status, "refused"),
                _ => (0, "something else"),
            };
            assert_eq!(told, (status, word), "{body}");
            assert!(!trouble.to_string().contains("words"), "{trouble}");
        }
        for fine in [json!({"choices":[]}), json!({"error":null}), json!([]), json!(1), json!({"type":"ping"})] {
            assert!(!is_error(&fine), "{fine}");
        }
    }

    #[test]
    fn when_to_ask_again_is_read_in_every_form() {
        let read = |headers: &'static [(&str, &str)]| {
            retry_after(|name| headers.iter().find(|(own, _)| *own == name).map(|(_, value)| *value))
        };
        assert_eq!(read(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(read(&[("retry-after", "7"), ("retry-after-ms", "250")]), Some(Duration::from_millis(250)));
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(
            retry_after(|name| match name {
                "date" => Some(date.1),
                "retry-after" => Some("Sun, 06 Nov 1994 08:49:47 GMT"),
                _ => None,
            }),
            Some(Duration::from_secs(10))
        );
        for nonsense in
            [&[("retry-after", "soon")][..], &[("retry-after", "-1")], &[("retry-after", "NaN")], &[("date", "7")], &[]]
        {
            let found = retry_after(|name| nonsense.iter().find(|(own, _)| *own == name).map(|(_, value)| *value));
            assert_eq!(found, None, "{nonsense:?}");
        }
    }
}
