//! What every part of the machine writes to: effects, and what is known of the call so far.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime},
};

use url::Url;

use super::{Role, Rules, kept::Recordings, taps::Taps};
use crate::ivr::{
    call::{CallFacts, CallStatus},
    callback,
    effect::{Effect, SoundId},
    key::Key,
    notice::{Code, Notice},
    twiml::{Link, Reference, Speech, Times},
    webhook::{Endpoint, Method, Notify, Params},
};

/// Parameters that an activity adds to those of the call.
pub(super) type Extra = Vec<(&'static str, String)>;

/// Where the document that runs came from.
#[derive(Clone, Debug)]
pub(super) enum Base {
    /// From there.
    At(Endpoint),
    /// It was handed over as text; nothing is relative to it.
    Inline(std::sync::Arc<str>),
}

/// What all parts share.
pub(super) struct Desk {
    pub(super) facts: CallFacts,
    pub(super) rules: Rules,
    pub(super) role: Role,
    pub(super) effects: VecDeque<Effect>,
    pub(super) began: Instant,
    /// When the call was taken; `None` while it rings.
    pub(super) answered_at: Option<Instant>,
    /// How the call ended; `None` while it lasts.
    pub(super) ended: Option<CallStatus>,
    /// Keys that were pressed before anybody asked for them.
    pub(super) typed: VecDeque<Key>,
    pub(super) recordings: Recordings,
    pub(super) taps: Taps,
    /// Where the document that runs came from.
    pub(super) base: Base,
    /// The verb that runs, for notices: its name and line.
    pub(super) verb: (String, u32),
    last_id: u64,
}

impl Desk {
    pub(super) fn new(now: Instant, facts: CallFacts, role: Role, rules: Rules, base: Base) -> Self {
        Self {
            answered_at: facts.is_answered.then_some(now),
            facts,
            rules,
            role,
            effects: VecDeque::new(),
            began: now,
            ended: None,
            typed: VecDeque::new(),
            recordings: Recordings::default(),
            taps: Taps::default(),
            base,
            verb: (String::new(), 0),
            last_id: 0,
        }
    }

    /// A number that was not given before. All kinds of ids share the counter, so logs of a call read in order.
    pub(super) fn fresh(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn emit(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    /// Tells the application's developer what is wrong with the verb that runs.
    pub(super) fn warn(&mut self, code: Code, text: impl Into<String>) {
        let (element, line) = self.verb.clone();
        self.emit(Effect::Warn(Notice { code, element, line, text: text.into() }));
    }

    /// Takes the call, unless it is taken.
    pub(super) fn answer(&mut self, now: Instant) {
        if self.answered_at.is_none() {
            self.answered_at = Some(now);
            self.emit(Effect::Answer);
            self.tell_progress(now, CallStatus::InProgress);
        }
    }

    pub(super) fn status(&self) -> CallStatus {
        match (self.ended, self.answered_at) {
            (Some(status), _) => status,
            (None, Some(_)) => CallStatus::InProgress,
            (None, None) => CallStatus::Ringing,
        }
    }

    /// The parameters of a request about the call, with `extra` after the call's own.
    pub(super) fn params(&self, extra: Extra) -> Params {
        let mut params = callback::call(&self.facts, self.status());
        extra.into_iter().for_each(|(name, value)| params.push(name, value));
        params
    }

    /// Tells an application something. Files cannot be told anything.
    pub(super) fn notify(&mut self, to: &Endpoint, params: Params) {
        if matches!(to.url.scheme(), "http" | "https") {
            self.emit(Effect::Notify(Notify { to: to.clone(), params }));
        }
    }

    /// Tells whoever wants to hear of the call that it got on.
    pub(super) fn tell_progress(&mut self, now: Instant, status: CallStatus) {
        let Some(wanted) = self.facts.status.clone().filter(|wanted| callback::is_wanted(wanted.events, status)) else {
            return;
        };
        let params = callback::progress(&self.facts, status, Some(self.talked(now)), self.wall(now));
        self.notify(&wanted.to, params);
    }

    /// How long ago the call was taken.
    pub(super) fn talked(&self, now: Instant) -> Duration {
        self.answered_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at))
    }

    pub(super) fn wall(&self, now: Instant) -> SystemTime {
        self.facts.epoch.wall_at(self.facts.epoch.at(now))
    }

    /// Speaks, in the language of the call where the document names none.
    pub(super) fn say(&mut self, mut speech: Speech, times: Times) -> SoundId {
        let id = SoundId(self.fresh());
        // A voice that is named has a language of its own.
        if speech.language.is_none() && speech.voice.is_none() {
            speech.language.clone_from(&self.rules.language);
        }
        self.emit(Effect::Say { id, speech, times });
        id
    }

    /// The address that `reference` means in the document that runs; tells what is wrong with it.
    pub(super) fn resolve(&mut self, reference: &Reference, schemes: &[&str]) -> Option<Url> {
        let url = match &self.base {
            Base::At(at) => at.url.join(&reference.0),
            Base::Inline(_) => Url::parse(&reference.0),
        };
        // A page from the network must not make this server read its own files.
        let is_from_file = matches!(&self.base, Base::At(at) if at.url.scheme() == "file");
        let why = match url {
            Ok(url) if schemes.contains(&url.scheme()) || (is_from_file && url.scheme() == "file") => return Some(url),
            Ok(_) => format!("an address of another kind than {}", schemes.join(", ")),
            Err(_) if matches!(self.base, Base::Inline(_)) => "an address must be whole where there is no document \
                address that it could be relative to"
                .to_owned(),
            Err(_) => "no address".to_owned(),
        };
        self.warn(Code::INVALID_URL, why);
        None
    }

    /// The endpoint that `link` means in the document that runs.
    pub(super) fn endpoint(&mut self, link: &Link) -> Option<Endpoint> {
        let url = self.resolve(&link.to, &["http", "https"])?;
        Some(Endpoint { url, method: link.method })
    }

    /// The endpoint of an address and a method that stand apart.
    pub(super) fn endpoint_of(&mut self, to: &Reference, method: Method) -> Option<Endpoint> {
        self.endpoint(&Link { to: to.clone(), method })
    }

    /// The endpoint of an address, or of the document that runs when there is none.
    pub(super) fn endpoint_or_own(&mut self, to: Option<&Reference>, method: Method) -> Option<Endpoint> {
        match (to, &self.base) {
            (Some(to), _) => self.endpoint_of(to, method),
            (None, Base::At(own)) => Some(Endpoint { url: own.url.clone(), method }),
            (None, Base::Inline(_)) => None,
        }
    }

    /// Keeps a key for whoever asks next.
    pub(super) fn type_ahead(&mut self, key: Key) {
        if self.typed.len() < self.rules.typed_ahead {
            self.typed.push_back(key);
        }
    }
}
