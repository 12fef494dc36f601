//! What tells transactions apart (RFC 3261 sections 17.1.3 and 17.2.3).

use crate::message::{MalformedHeader, Method, Request, Response};

/// What every branch of RFC 3261 begins with.
pub(crate) const COOKIE: &str = "z9hG4bK";

/// A transaction that somebody else began.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServerKey {
    branch: Box<str>,
    sent_by: Box<str>,
    /// That of an INVITE for its ACK.
    method: Method,
}

impl ServerKey {
    /// The transaction that a request belongs to: an ACK to its INVITE.
    pub(super) fn of(request: &Request) -> Result<Self, MalformedHeader> {
        let method = match request.method {
            Method::Ack => Method::Invite,
            ref method => method.clone(),
        };
        Self::with_method(request, method)
    }

    /// The INVITE that a CANCEL means.
    pub(super) fn cancelled_by(request: &Request) -> Result<Self, MalformedHeader> {
        Self::with_method(request, Method::Invite)
    }

    fn with_method(request: &Request, method: Method) -> Result<Self, MalformedHeader> {
        let via = request.headers.via()?;
        let sent_by = format!("{}:{}", via.host.to_ascii_lowercase(), via.port.unwrap_or_default()).into();
        let branch = match via.branch() {
            Some(branch) if branch.len() > COOKIE.len() && starts_with_cookie(branch) => branch.into(),
            // Of RFC 2543: all that does not change between a request, its retransmissions and its ACK.
            branch => {
                let (from, cseq) = (request.headers.from()?, request.headers.cseq()?);
                let tag = from.tag().unwrap_or_default();
                let call_id = request.headers.call_id()?;
                format!("{} {tag} {call_id} {} {}", request.uri, cseq.number, branch.unwrap_or_default()).into()
            }
        };
        Ok(Self { branch, sent_by, method })
    }
}

/// A transaction of ours: our branches are unguessable, so branch and method suffice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClientKey {
    branch: Box<str>,
    method: Method,
}

impl ClientKey {
    pub(super) fn new(branch: &str, method: &Method) -> Self {
        Self { branch: branch.into(), method: method.clone() }
    }

    pub(super) fn of_request(request: &Request) -> Result<Self, MalformedHeader> {
        let via = request.headers.via()?;
        Ok(Self { branch: via.branch().unwrap_or_default().into(), method: request.method.clone() })
    }

    pub(super) fn of_response(response: &Response) -> Result<Self, MalformedHeader> {
        let via = response.headers.via()?;
        Ok(Self { branch: via.branch().unwrap_or_default().into(), method: response.headers.cseq()?.method })
    }
}

fn starts_with_cookie(branch: &str) -> bool {
    branch.get(..COOKIE.len()).is_some_and(|start| start.eq_ignore_ascii_case(COOKIE))
}
