//! Streams and live transcriptions beside a call: those that a document begins are the document's.
//!
//! Not built: beginning and ending them from outside. The menu of the call owns them, and takes no such orders.

use super::{Outcome, calls::live};
use crate::{
    app::App,
    dialect::twilio::{
        rest::{
            error::RestError,
            side::{SideName, SideView, StartStream, StartTranscription},
        },
        sid::Sid,
    },
};

/// Begins a stream beside a call.
pub(in super::super) async fn start_stream(app: &App, call: Sid, _: StartStream) -> Outcome<Option<SideView>> {
    not_from_outside(app, call, "<Start><Stream>")
}

/// Ends a stream beside a call.
pub(in super::super) async fn stop_stream(app: &App, call: Sid, _: SideName) -> Outcome<Option<SideView>> {
    not_from_outside(app, call, "<Stop><Stream>")
}

/// Begins a live transcription beside a call.
pub(in super::super) async fn start_transcription(
    app: &App,
    call: Sid,
    _: StartTranscription,
) -> Outcome<Option<SideView>> {
    not_from_outside(app, call, "<Start><Transcription>")
}

/// Ends a live transcription beside a call.
pub(in super::super) async fn stop_transcription(app: &App, call: Sid, _: SideName) -> Outcome<Option<SideView>> {
    not_from_outside(app, call, "<Stop><Transcription>")
}

/// Nothing for a call that is not there; else what to do instead.
fn not_from_outside(app: &App, call: Sid, verb: &str) -> Outcome<Option<SideView>> {
    let Some(_) = live(app, call)? else { return Ok(None) };
    let message = format!(
        "not built from outside: let the call's document do it with {verb}, to which updating the \
        call with Twiml or Url sends it"
    );
    Err(RestError::not_built(message))
}
