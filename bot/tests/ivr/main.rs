//! The voice menu: what calls do with documents, on virtual time.

mod beside;
mod conference;
mod dial;
mod documents;
mod ending;
mod flow;
mod gather;
mod kit;
mod office;
mod properties;
mod queue;
mod record;
mod relay;
mod sdk;
