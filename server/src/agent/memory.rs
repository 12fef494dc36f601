//! What an agent remembers of its caller from call to call, and keeps of this one, with their consent.
//!
//! Runs on the task of the conversation, which waits for the store a few milliseconds when a call begins and when a caller
//! says yes or no; what a call was about is summed up when it is over, on a task of its own, by a model or by the rules.
//! Without `[memory]` in the persona, without a number and without a yes, nothing is kept. Nothing of it is logged.

use std::{collections::BTreeMap, time::Duration};

use bot::{
    agent::AskId,
    llm::{Delta, Request, Role},
    persona::{Consent, Memory, Persona},
    tools::Outcome,
};
use jiff::{Timestamp, tz::TimeZone};
use media::time::MediaTime;
use tokio::time::timeout;
use tts::voice::Language;

use super::models::{Models, Moment};
use crate::{
    app::App,
    reminders,
    store::{Store, callers::Caller},
};

/// How long a model may take to sum a call up. Nobody waits for it but the process that ends.
const PATIENCE: Duration = Duration::from_secs(20);

/// The question of the summary: no other has this number.
const RECAP: AskId = AskId(u64::MAX);

/// The memory of one caller.
pub(super) struct Remembered {
    app: App,
    store: Store,
    caller: Caller,
    has_agreed: bool,
    calls: Vec<String>,
}

impl Remembered {
    /// What `persona` remembers of whoever calls; nothing where it remembers nobody, or nobody can be told from others.
    pub(super) async fn of(app: &App, persona: &Persona, values: &BTreeMap<String, String>) -> Option<Self> {
        let Memory { consent, calls, kept_for } = persona.memory?;
        let caller = Caller::of(values.get("caller")?, &persona.name)?;
        let store = app.store().ok()?.clone();
        let looked = async {
            if consent == Consent::Given {
                store.agree(&caller, reminders::now(app.clock())).await?;
            }
            let has_agreed = store.has_agreed(&caller).await?;
            // Of whoever has not agreed there are none. Asked all the same, since it erases what is too old.
            let calls = store.calls(&caller, calls, kept_for, reminders::now(app.clock())).await?;
            Ok::<_, crate::store::Failed>((has_agreed, calls))
        };
        let (has_agreed, calls) = looked.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a caller is not remembered");
            (false, Vec::new())
        });
        let zone = TimeZone::system();
        let calls = calls.into_iter().map(|call| format!("{}: {}", call.at.to_zoned(zone.clone()).date(), call.text));
        Some(Self { app: app.clone(), store, caller, has_agreed, calls: calls.collect() })
    }

    /// The earlier calls, oldest first, each with its day.
    pub(super) fn calls(&self) -> &[String] {
        &self.calls
    }

    /// The caller wants to be remembered, or forgotten; what the model reads of it where it did not work.
    pub(super) async fn decide(&mut self, agreed: bool) -> Result<(), Outcome> {
        let done = if agreed {
            self.store.agree(&self.caller, reminders::now(self.app.clock())).await
        } else {
            self.store.forget(&self.caller).await
        };
        done.map_err(|error| {
            tracing::error!(%error, "what a caller wants remembered could not be noted");
            Outcome::failed("This could not be noted now. Nothing has changed.".to_owned())
        })?;
        self.has_agreed = agreed;
        if !agreed {
            self.calls.clear();
        }
        Ok(())
    }

    /// Sums up the call that is over and keeps that, where the caller has agreed.
    pub(super) async fn keep(
        self,
        mut models: Models,
        (role, request): (Role, Request),
        language: Language,
        ended: MediaTime,
    ) {
        if !self.has_agreed {
            return;
        }
        let at = Moment { language, now: ended };
        models.ask(RECAP, role, request.clone(), at);
        let shutdown = self.app.shutdown().clone();
        // Whoever ends the process does not wait for a model either.
        let summed = tokio::select! {
            biased;
            summed = timeout(PATIENCE, whole(&mut models, language, ended)) => summed.ok().flatten(),
            () = shutdown.cancelled() => None,
        };
        let text = match summed {
            Some(text) => text,
            None => {
                models.cancel(RECAP);
                models.answer_by_rules(RECAP, role, &request, at);
                whole(&mut models, language, ended).await.unwrap_or_default()
            }
        };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() {
            return;
        }
        let now: Timestamp = reminders::now(self.app.clock());
        if let Err(error) = self.store.keep_call(&self.caller, &text, now).await {
            tracing::error!(%error, "a call is not remembered");
        }
    }
}

/// The text of the whole answer; nothing where it broke off.
async fn whole(models: &mut Models, language: Language, at: MediaTime) -> Option<String> {
    let mut text = String::new();
    loop {
        let answered = models.next(language, || at).await;
        if answered.ask != RECAP {
            continue;
        }
        match answered.answer {
            Ok(Delta::Text(piece)) => text.push_str(&piece),
            Ok(Delta::Done(_)) => return Some(text),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}
