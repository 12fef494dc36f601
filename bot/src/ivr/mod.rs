//! The voice menu: a machine that holds one call and does what a TwiML application says.
//!
//! [`machine::Machine`] is a pure value. It is told what happens ([`input::Input`]) and when, and asks for what is to
//! be done ([`effect::Effect`]): fetch a document, speak, listen, record, dial. Whoever holds it carries the effects
//! out and reports back. The contract is that of all our machines: *after every `handle`, drain `poll` until it is
//! empty, then sleep until `next_deadline` or the next input*.
//!
//! [`relay`] is a machine of its own: of the conversation in words that a document may hand a call over to.
//! [`twiml`] reads the documents, [`callback`] makes the parameters that webhooks are sent, [`signature`] signs them.
//! Nothing here opens a socket, reads a clock or knows what a telephone is. No words, numbers or keys of a caller show
//! in the `Debug` of these values: what is private is a [`private::Private`] or a [`key::Keys`].

pub mod call;
pub mod callback;
pub mod effect;
pub mod input;
pub mod key;
mod likely;
pub mod machine;
pub mod notice;
pub mod private;
pub mod relay;
pub mod signature;
pub mod template;
pub mod twiml;
pub mod webhook;
