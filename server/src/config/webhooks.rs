//! `[webhooks]`: which of our own machines the URLs of callers' applications may name.
//!
//! A URL comes from a number, from a program at the REST interface or from TwiML, which is from wherever the last
//! URL led. Public addresses may always be asked; an address of this machine or of its networks only where it is
//! listed here, or `http.call_private` allows all of them. Pure: names are resolved by whoever asks.

use std::net::IpAddr;

pub use bot::tools::reach::Allowed;
use serde::Deserialize;

/// `[webhooks]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// Hosts (`app.internal`, `app.internal:8000`, `*.internal`), addresses and networks (`10.1.0.0/16`) that may
    /// be asked though their addresses are private.
    pub allow: Vec<Allowed>,
}

impl Webhooks {
    /// Whether `host:port`, which resolves to `address`, is listed.
    pub fn allows(&self, host: &str, port: u16, address: IpAddr) -> bool {
        self.allow.iter().any(|allowed| allowed.covers(host, port, address))
    }
}
