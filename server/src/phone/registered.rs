//! Answers those who register here: the shell around [`sip::registrar::Registrar`].

use std::sync::Arc;

use bot::routing::guard::Outcome as Judged;
use sip::{
    endpoint::Input,
    message::Method,
    registrar::{Outcome, Reach},
};
use tokio::sync::mpsc;

use super::{Phones, exchange::Asked};
use crate::app::App;

/// Answers requests outside of calls, until the exchange is gone.
pub(super) async fn answer(app: App, phones: Arc<Phones>, mut asked: mpsc::Receiver<Asked>) {
    while let Some(Asked { transaction, request, source }) = asked.recv().await {
        if request.method != Method::Register {
            phones.exchange().tell(Input::respond(transaction, &request.respond(NOT_ALLOWED))).await;
            continue;
        }
        let now = app.clock().now();
        let answer = phones.desk().register(&request, &source, now);
        let address = source.remote.ip();
        match &answer.outcome {
            Outcome::Challenged(_) => phones.desk().guard.note(address, Judged::Challenged, now),
            Outcome::Refused => phones.desk().guard.note(address, Judged::Refused, now),
            Outcome::Done { bindings, .. } => {
                phones.desk().guard.note(address, Judged::Served, now);
                tracing::debug!(%address, bindings, "a telephone registered");
            }
        }
        phones.exchange().tell(Input::respond(transaction, &answer.response)).await;
    }
}

impl Phones {
    /// Where a user can be called: the most wanted telephone first.
    pub(crate) fn registered(&self, user: &str, now: std::time::Instant) -> Vec<Reach> {
        self.desk().registrar.lookup(user, now)
    }
}

/// Method Not Allowed.
const NOT_ALLOWED: u16 = 405;
