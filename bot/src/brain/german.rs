//! Action items in German.

use super::{date::Dated, found::Found, names::Names, sentence::Sentence};

/// The action items of one German sentence whose dates are `dates`.
pub(super) fn find(_sentence: &Sentence, _names: &Names, _dates: &[Dated]) -> Vec<Found> {
    Vec::new()
}
