//! What two sides remember of their conversation (RFC 3261 section 12): who they are, how to reach the other one, and
//! in which order requests come.
//!
//! A value without time: it is made of the request and the response that began it, makes the requests that are sent
//! within it, and judges the order of those that come.

use bytes::Bytes;

use crate::message::{CSeq, Headers, MalformedHeader, Method, NameAddr, Request, Response, Scheme, Uri};

/// What tells dialogs apart. Whoever does not know all three is a stranger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DialogId {
    /// Of all its messages.
    pub call_id: Box<str>,
    /// Ours.
    pub local_tag: Box<str>,
    /// Theirs; empty for those who know RFC 2543 alone.
    pub remote_tag: Box<str>,
}

/// A request is older than one that came before it (RFC 3261 section 12.2.2): 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfOrder;

/// One side's memory of a dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    id: DialogId,
    local: NameAddr,
    remote: NameAddr,
    /// Where the other side is: its Contact.
    target: Uri,
    /// The proxies between, the nearest first.
    routes: Vec<NameAddr>,
    local_cseq: u32,
    remote_cseq: Option<u32>,
}

impl DialogId {
    /// The dialog that a request which came is within; `None` where it is outside of any.
    ///
    /// # Errors
    /// When Call-ID, From or To cannot be read.
    pub fn of_request(request: &Request) -> Result<Option<Self>, MalformedHeader> {
        let (from, to) = (request.headers.from()?, request.headers.to()?);
        let call_id = request.headers.call_id()?;
        Ok(to.tag().map(|tag| Self {
            call_id: call_id.into(),
            local_tag: tag.into(),
            remote_tag: from.tag().unwrap_or_default().into(),
        }))
    }

    /// As the value of a Replaces header that is sent to somebody else who is to take our place (RFC 3891): to them the
    /// other side's tag is the one of To.
    pub fn as_replaces(&self) -> String {
        format!("{};to-tag={};from-tag={}", self.call_id, self.remote_tag, self.local_tag)
    }

    /// Reads a Replaces header that came to us, and whether only an early dialog is meant.
    pub fn from_replaces(value: &str) -> Option<(Self, bool)> {
        let mut parts = value.split(';').map(str::trim);
        let call_id = parts.next().filter(|call_id| !call_id.is_empty())?.into();
        let (mut local_tag, mut remote_tag, mut is_early_only) = (None, None, false);
        for part in parts {
            match part.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
                Some((name, value)) if name.eq_ignore_ascii_case("to-tag") => local_tag = Some(value.into()),
                // Tag 0 stands for none (RFC 3891 section 3).
                Some((name, value)) if name.eq_ignore_ascii_case("from-tag") => {
                    remote_tag = Some(if value == "0" { "".into() } else { value.into() });
                }
                Some(_) => {}
                None => is_early_only |= part.eq_ignore_ascii_case("early-only"),
            }
        }
        Some((Self { call_id, local_tag: local_tag?, remote_tag: remote_tag? }, is_early_only))
    }
}

impl Dialog {
    /// The dialog that a response with a tag makes of a request of ours (RFC 3261 section 12.1.2).
    ///
    /// # Errors
    /// When From, To, Call-ID, CSeq or Record-Route cannot be read.
    pub fn as_caller(request: &Request, response: &Response) -> Result<Self, MalformedHeader> {
        let (local, remote) = (response.headers.from()?, response.headers.to()?);
        let mut routes = response.headers.name_addrs("Record-Route")?;
        routes.reverse();
        let id = DialogId {
            call_id: response.headers.call_id()?.into(),
            local_tag: local.tag().unwrap_or_default().into(),
            remote_tag: remote.tag().unwrap_or_default().into(),
        };
        // A 2xx must have a legible one; without, the way that the request went is the best guess.
        let contact = response.headers.contact().ok().flatten();
        let target = contact.map_or_else(|| request.uri.clone(), |contact| contact.uri);
        let local_cseq = request.headers.cseq()?.number;
        Ok(Self { id, local, remote, target, routes, local_cseq, remote_cseq: None })
    }

    /// The dialog that our tag makes of a request of somebody else's (RFC 3261 section 12.1.1). `first_cseq` is what
    /// our own requests count from.
    ///
    /// # Errors
    /// When From, To, Call-ID, CSeq, Contact or Record-Route cannot be read, or there is no Contact (RFC 2543 callers need none).
    pub fn as_callee(request: &Request, local_tag: &str, first_cseq: u32) -> Result<Self, MalformedHeader> {
        let (mut local, remote) = (request.headers.to()?, request.headers.from()?);
        local.params.set("tag", Some(local_tag));
        let id = DialogId {
            call_id: request.headers.call_id()?.into(),
            local_tag: local_tag.into(),
            remote_tag: remote.tag().unwrap_or_default().into(),
        };
        // A caller of RFC 2543, which knows no tags, need not say where it is: it is where it comes from.
        let is_old = remote.tag().is_none();
        let contact = request.headers.contact()?.or_else(|| is_old.then(|| remote.clone()));
        let contact = contact.ok_or_else(|| MalformedHeader { name: "Contact".into(), why: "it is missing" })?;
        Ok(Self {
            id,
            local,
            remote,
            target: contact.uri,
            routes: request.headers.name_addrs("Record-Route")?,
            local_cseq: first_cseq,
            remote_cseq: Some(request.headers.cseq()?.number),
        })
    }

    /// What tells it apart.
    pub fn id(&self) -> &DialogId {
        &self.id
    }

    /// Who we are in it, with our tag.
    pub fn local(&self) -> &NameAddr {
        &self.local
    }

    /// Who they are in it, with their tag.
    pub fn remote(&self) -> &NameAddr {
        &self.remote
    }

    /// Where the other side is: what a REFER to it names.
    pub fn target(&self) -> &Uri {
        &self.target
    }

    /// Whether proxies stay between.
    pub fn is_routed(&self) -> bool {
        !self.routes.is_empty()
    }

    /// Where requests go first.
    pub fn next_hop(&self) -> &Uri {
        self.routes.first().map_or(&self.target, |route| &route.uri)
    }

    /// Counts on, for a request that is sent again with other headers.
    pub fn next_cseq(&mut self) -> u32 {
        self.local_cseq += 1;
        self.local_cseq
    }

    /// A request within the dialog (RFC 3261 section 12.2.1.1), without Via, Contact and body.
    pub fn request(&mut self, method: Method) -> Request {
        let number = self.next_cseq();
        self.numbered(method, number)
    }

    /// The ACK of a 2xx to the INVITE of that number (RFC 3261 section 13.2.2.4).
    pub fn ack(&self, cseq: u32) -> Request {
        self.numbered(Method::Ack, cseq)
    }

    /// Judges the order of a request that came. ACK and CANCEL have the number of their INVITE and are not asked.
    ///
    /// # Errors
    /// When a newer one came before.
    pub fn take_cseq(&mut self, cseq: u32) -> Result<(), OutOfOrder> {
        if self.remote_cseq.is_some_and(|last| cseq < last) {
            return Err(OutOfOrder);
        }
        self.remote_cseq = Some(cseq);
        Ok(())
    }

    /// Goes where the Contact of a message that may move the other side (INVITE, UPDATE and their 2xx) says; whether
    /// that is elsewhere.
    ///
    /// # Errors
    /// When the Contact cannot be read.
    pub fn follow(&mut self, headers: &Headers) -> Result<bool, MalformedHeader> {
        let Some(contact) = headers.contact()? else { return Ok(false) };
        if contact.uri == self.target {
            return Ok(false);
        }
        self.target = contact.uri;
        Ok(true)
    }

    /// Takes the routes of the 2xx that confirms it (RFC 3261 section 13.2.2.4).
    ///
    /// # Errors
    /// When Contact or Record-Route cannot be read.
    pub fn confirm(&mut self, response: &Response) -> Result<(), MalformedHeader> {
        let mut routes = response.headers.name_addrs("Record-Route")?;
        routes.reverse();
        self.routes = routes;
        self.follow(&response.headers)?;
        Ok(())
    }

    fn numbered(&self, method: Method, number: u32) -> Request {
        let mut headers = Headers::new();
        let mut uri = self.target.clone();
        match self.routes.split_first() {
            None => {}
            Some((first, _)) if first.uri.params.contains("lr") => {
                self.routes.iter().for_each(|route| headers.push("Route", route.to_string()));
            }
            // A strict router finds itself in the Request-URI and the target behind all routes.
            Some((first, rest)) => {
                rest.iter().for_each(|route| headers.push("Route", route.to_string()));
                headers.push("Route", NameAddr::new(self.target.clone()).to_string());
                uri = Uri { headers: None, ..first.uri.clone() };
                uri.params.remove("method");
            }
        }
        headers.push("From", self.local.to_string());
        headers.push("To", self.remote.to_string());
        headers.push("Call-ID", &*self.id.call_id);
        headers.push("CSeq", CSeq { number, method: method.clone() }.to_string());
        if matches!(uri.scheme, Scheme::Sip | Scheme::Sips) {
            // Neither belongs into a Request-URI (RFC 3261 section 19.1.1).
            uri.headers = None;
            uri.params.remove("method");
        }
        Request { method, uri, headers, body: Bytes::new() }
    }
}
