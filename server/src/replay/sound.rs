//! The sound of a call again: the engine's graph, run on the packets and pieces that it was sent.
//!
//! Two passes over the journal: what the graph was told is little and is read first, what is on the tape is much
//! and is run as it is read.

use std::io::Read;

use media::{
    graph::replay::{Again, Difference, Replayed, Stop},
    journal::{Kind, Reader},
};

use super::ReplayError;
use crate::clock::Clock;

/// Runs the graph of a journal again; `None` when the call had none. `open` reads the journal from its beginning.
pub(super) fn replay<R: Read>(
    mut open: impl FnMut() -> Result<Reader<R>, ReplayError>,
) -> Result<Option<(Replayed, Option<Difference>)>, ReplayError> {
    let mut told = Vec::new();
    let mut journal = open()?;
    while let Some(record) = journal.record()?.filter(|record| record.kind != Kind::Dropped) {
        if record.kind == Kind::GraphTold {
            told.push(record);
        }
    }
    if told.is_empty() {
        return Ok(None);
    }
    let mut number = 0;
    let failed = |number, kind: Kind, stop| match stop {
        Stop::Different(difference) => Ok(Some((Replayed::default(), Some(difference)))),
        Stop::Senseless(why) => Err(ReplayError::Record { number, kind: format!("{kind:?}"), why }),
    };
    let mut again = match Again::new(&told, Clock.now()) {
        Ok(again) => again,
        Err(stop) => return failed(number, Kind::GraphTold, stop),
    };
    let mut journal = open()?;
    let mut is_whole = true;
    while let Some(record) = journal.record()? {
        number += 1;
        match record.kind {
            Kind::GraphObeyed | Kind::Packet | Kind::Sound | Kind::Passed => {
                let kind = record.kind;
                if let Err(stop) = again.take(record) {
                    return failed(number, kind, stop);
                }
            }
            Kind::Dropped => {
                is_whole = false;
                break;
            }
            _ => {}
        }
    }
    match again.end(is_whole && !journal.was_cut()) {
        Ok(replayed) => Ok(Some((replayed, None))),
        Err(stop) => failed(number, Kind::Passed, stop),
    }
}
