//! Why a webhook did not answer: whose fault it is, and what Twilio calls it.

use std::time::Duration;

use super::address::Scope;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// What was to be called is no URL of the right kind.
    #[error("{0:?} is no URL that can be called")]
    Url(String),
    /// It leads where only this server's own network may go.
    #[error("{host} is {scope}: webhooks.allow in the configuration may allow it")]
    Refused {
        /// The name or address as it was given.
        host: String,
        /// What is there.
        scope: Scope,
    },
    /// The name has no address.
    #[error("the name {host} has no address: {why}")]
    Name {
        /// Which.
        host: String,
        /// What the resolver says.
        why: String,
    },
    /// Nobody takes the connection.
    #[error("{host} cannot be reached: {why}")]
    Connect {
        /// Who.
        host: String,
        /// What the system says.
        why: String,
    },
    /// The connection cannot be encrypted.
    #[error("{host} cannot be spoken to in secret: {why}")]
    Tls {
        /// Who.
        host: String,
        /// What is wrong with its certificate or its cryptography.
        why: String,
    },
    /// What came was not HTTP, or broke off.
    #[error("{host} did not answer in HTTP: {why}")]
    Protocol {
        /// Who.
        host: String,
        /// What was wrong.
        why: String,
    },
    /// It took too long.
    #[error("{host} did not answer within {} ms", after.as_millis())]
    Timeout {
        /// Who.
        host: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// It answered that it will not.
    #[error("{host} answered {status}")]
    Status {
        /// Who.
        host: String,
        /// The status.
        status: u16,
    },
    /// It answered more than is taken.
    #[error("{host} answered more than {bytes_max} bytes")]
    TooLarge {
        /// Who.
        host: String,
        /// How much would have been taken.
        bytes_max: usize,
    },
    /// It sent us on and on.
    #[error("{host} sent us on more than {} times", super::REDIRECTS_MAX)]
    Redirects {
        /// Who, in the end.
        host: String,
    },
    /// All of this server's places for webhooks stayed taken.
    #[error("too many webhooks are being waited for")]
    Full,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Whoever named the URL: another one may do.
    Document,
    /// The server that was called: it may do better next time.
    Remote,
    /// Ours: this server has too much to do.
    Ours,
}

impl WebhookError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Url(_) | Self::Refused { .. } => Fault::Document,
            Self::Full => Fault::Ours,
            _ => Fault::Remote,
        }
    }

    /// What Twilio calls it: the `ErrorCode` that a fallback URL is told.
    pub fn twilio_code(&self) -> u32 {
        match self {
            Self::Url(_) => 11_100,
            Self::Name { .. } => 11_210,
            Self::Connect { .. } => 11_205,
            Self::Tls { .. } => 11_220,
            Self::Protocol { .. } => 11_206,
            Self::Redirects { .. } => 11_215,
            Self::TooLarge { .. } => 11_750,
            Self::Refused { .. } | Self::Timeout { .. } | Self::Status { .. } | Self::Full => 11_200,
        }
    }
}
