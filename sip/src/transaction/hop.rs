//! What goes the same hop as an INVITE of ours: its CANCEL, and the ACK of a refusal.

use bytes::Bytes;

use crate::message::{CSeq, Headers, Method, Request, Response};

/// The ACK of a response from 300 on: it goes the way of the INVITE (RFC 3261 section 17.1.1.3).
pub(super) fn ack_of_refusal(invite: &Request, response: &Response) -> Request {
    let mut ack = hop_by_hop(invite, Method::Ack);
    ack.headers.copy(&response.headers, "To");
    ack
}

/// The CANCEL of an INVITE (RFC 3261 section 9.1).
pub(super) fn cancel_of(invite: &Request) -> Request {
    let mut cancel = hop_by_hop(invite, Method::Cancel);
    cancel.headers.copy(&invite.headers, "To");
    cancel
}

/// A request of the same hop, which has but the headers that the RFC names; To is left out.
fn hop_by_hop(invite: &Request, method: Method) -> Request {
    let mut headers = Headers::new();
    if let Ok(via) = invite.headers.via() {
        headers.push("Via", via.to_string());
    }
    for name in ["Route", "From", "Call-ID"] {
        headers.copy(&invite.headers, name);
    }
    let number = invite.headers.cseq().map_or(0, |cseq| cseq.number);
    headers.push("CSeq", CSeq { number, method: method.clone() }.to_string());
    headers.push("Max-Forwards", "70");
    Request { method, uri: invite.uri.clone(), headers, body: Bytes::new() }
}
