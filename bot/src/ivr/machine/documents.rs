//! How a document comes: asked for, bounded, read, and what happens when it cannot be had.

use std::time::{Duration, Instant};

use super::{
    Machine, Role, Source,
    desk::{Base, Extra},
    frame::{Doing, Fetching, Kind},
};
use crate::ivr::{
    effect::{Effect, SoundId},
    notice::Code,
    template,
    twiml::{self, Document, Play, Reference, Say, Sound, Speech, Step, Times, Verb},
    webhook::{Endpoint, Fetch, FetchError, Method, Page, RequestId},
};

/// How long past its timeout an answer is waited for, in case nobody says that it did not come.
const GRACE: Duration = Duration::from_secs(1);

/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// A document that plays while somebody waits begins at most this often, however short it is.
const REWIND: Duration = Duration::from_secs(2);

impl Machine {
    /// Goes on with `source`, asking with `extra` after the call's own parameters.
    pub(super) fn load(&mut self, now: Instant, at: usize, source: Source, extra: Extra) {
        match source {
            Source::At(to) => self.request(now, at, to, extra, false),
            Source::Inline(text) => {
                if self.count_document(now, at) {
                    self.frames[at].base = Base::Inline(text.as_str().into());
                    self.read(now, at, text.as_bytes(), None);
                }
            }
        }
    }

    /// Asks the application how to go on: `to`, or the document itself.
    pub(super) fn ask(&mut self, now: Instant, at: usize, to: Option<Reference>, method: Method, extra: Extra) {
        let frame = &self.frames[at];
        self.desk.focus(frame);
        match (to, frame.base.clone()) {
            (Some(to), _) => match self.desk.endpoint_of(&to, method) {
                Some(to) => self.request(now, at, to, extra, false),
                None => self.fail(now, at, Code::INVALID_URL, "its address cannot be asked", None),
            },
            (None, Base::At(own)) => self.request(now, at, Endpoint { url: own.url, method }, extra, false),
            (None, Base::Inline(text)) => self.load(now, at, Source::Inline(text.as_ref().to_owned()), extra),
        }
    }

    /// The document that plays while the caller waits begins (again).
    pub(super) fn rewind(&mut self, now: Instant, at: usize) {
        let Kind::Wait { home, asked, .. } = &mut self.frames[at].kind else { return };
        match home.clone() {
            Some(home) => {
                *asked = now;
                let extra = match &self.frames[super::MAIN].doing {
                    Doing::Queueing(queueing) => queueing.standing(now),
                    _ => Vec::new(),
                };
                self.request(now, at, home, extra, false);
            }
            None => self.music(at),
        }
    }

    /// What follows the last verb of a document.
    pub(super) fn end_of_document(&mut self, now: Instant, at: usize) {
        match &self.frames[at].kind {
            Kind::Main if self.desk.role == Role::Whisper => {
                self.desk.ended = Some(self.desk.status());
                self.frames.clear();
                self.desk.stop_all_recordings(now);
                self.desk.stop_all_taps(now);
                self.desk.emit(Effect::Finished);
            }
            Kind::Main => self.hang_up(now),
            Kind::Wait { asked, .. } => self.frames[at].doing = Doing::Rewinding((*asked + REWIND).max(now)),
            Kind::Whisper => {
                self.unwait(now, at - 1);
                self.accept(now);
            }
        }
    }

    /// An application answered, or did not.
    pub(super) fn fetched(&mut self, now: Instant, id: RequestId, result: Result<Page, FetchError>) {
        let is_it = |doing: &Doing| matches!(doing, Doing::Fetching(fetching) if fetching.request.id == id);
        let Some(at) = self.frames.iter().position(|frame| is_it(&frame.doing)) else { return };
        let Doing::Fetching(fetching) = std::mem::replace(&mut self.frames[at].doing, Doing::Ready) else { return };
        (self.frames[at].document, self.frames[at].at) = (Document::default(), 0);
        self.frames[at].is_fallback = fetching.is_fallback;
        let failed_at = Some(&fetching);
        let page = match result {
            Ok(page) if (200..300).contains(&page.status) => page,
            Ok(page) => {
                let why = format!("the application answered with status {}", page.status);
                return self.fail(now, at, Code::RETRIEVAL, &why, failed_at);
            }
            Err(error) => return self.fail(now, at, error.code(), &error.to_string(), failed_at),
        };
        // A redirect of HTTP must not lead from the network to this server's files either.
        let url = if page.url.scheme() == fetching.request.to.url.scheme() || page.url.scheme() != "file" {
            page.url
        } else {
            return self.fail(now, at, Code::INVALID_URL, "a redirect to a file", failed_at);
        };
        self.frames[at].base = Base::At(Endpoint { url: url.clone(), method: fetching.request.to.method });
        let kind = page.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            _ if page.status == 204 => self.run_document(at, Document::default()),
            "text/plain" => {
                let speech = Speech::plain(String::from_utf8_lossy(&page.body).trim());
                self.run_document(at, alone(Verb::Say(Say { speech, times: Times::ONCE })));
            }
            kind if kind.starts_with("audio/") => {
                let sound = Sound::File(Reference(url.into()));
                self.run_document(at, alone(Verb::Play(Play { sound, times: Times::ONCE })));
            }
            "" | "text/xml" | "application/xml" | "text/html" | "application/twiml+xml" => {
                self.read_page(now, at, &page.body, &fetching);
            }
            _ => self.fail(now, at, Code::CONTENT_TYPE, "a type of content that is no document", Some(&fetching)),
        }
    }

    /// The application failed: asks its fallback, or ends the call with a word.
    pub(super) fn fail(&mut self, now: Instant, at: usize, code: Code, why: &str, failed: Option<&Fetching>) {
        self.desk.focus(&self.frames[at]);
        self.desk.warn(code, why);
        match self.frames[at].kind {
            Kind::Wait { .. } => self.music(at),
            Kind::Whisper => {
                self.unwait(now, at - 1);
                self.accept(now);
            }
            Kind::Main => {
                let url = match (failed, &self.frames[at].base) {
                    (Some(fetching), _) => fetching.request.to.url.to_string(),
                    (None, Base::At(own)) => own.url.to_string(),
                    (None, Base::Inline(_)) => String::new(),
                };
                let was_fallback = failed.map_or(self.frames[at].is_fallback, |fetching| fetching.is_fallback);
                match self.fallback.clone().filter(|_| !was_fallback) {
                    Some(fallback) => {
                        let extra = vec![("ErrorCode", code.to_string()), ("ErrorUrl", url)];
                        self.request(now, at, fallback, extra, true);
                    }
                    None => self.apologize(now, at),
                }
            }
        }
    }

    fn request(&mut self, now: Instant, at: usize, to: Endpoint, extra: Extra, is_fallback: bool) {
        if !self.count_document(now, at) {
            return;
        }
        let id = RequestId(self.desk.fresh());
        let timeout = self.desk.rules.fetch_timeout;
        let request = Fetch { id, to, params: self.desk.params(extra), timeout };
        self.desk.emit(Effect::Fetch(request.clone()));
        self.frames[at].doing = Doing::Fetching(Fetching { request, is_fallback, until: now + timeout + GRACE });
    }

    /// Counts a document that is about to begin; when there have been too many, ends the call instead.
    fn count_document(&mut self, now: Instant, at: usize) -> bool {
        let minute = Duration::from_secs(60);
        while self.recent.front().is_some_and(|begun| now.saturating_duration_since(*begun) >= minute) {
            self.recent.pop_front();
        }
        let rules = &self.desk.rules;
        let is_too_fast = self.recent.len() >= rules.documents_per_minute as usize;
        if self.documents < rules.documents && !is_too_fast {
            self.documents += 1;
            self.recent.push_back(now);
            return true;
        }
        let most = if is_too_fast { rules.documents_per_minute } else { rules.documents };
        let span = if is_too_fast { "a minute" } else { "one call" };
        self.desk.focus(&self.frames[at]);
        self.desk.warn(Code::TOO_MANY_REDIRECTS, format!("more than {most} documents in {span}; the call ends"));
        match self.frames[at].kind {
            Kind::Wait { .. } => self.music(at),
            Kind::Whisper => {
                self.unwait(now, at - 1);
                self.accept(now);
            }
            Kind::Main => self.apologize(now, at),
        }
        false
    }

    fn read_page(&mut self, now: Instant, at: usize, body: &[u8], fetching: &Fetching) {
        if fetching.request.to.url.scheme() != "file" {
            return self.read(now, at, body, Some(fetching));
        }
        let text = String::from_utf8_lossy(body);
        match template::fill(&text, &fetching.request.params, self.desk.rules.document.bytes) {
            Ok(filled) => self.read(now, at, filled.as_bytes(), Some(fetching)),
            Err(error) => self.fail(now, at, Code::PARSE, &error.to_string(), Some(fetching)),
        }
    }

    fn read(&mut self, now: Instant, at: usize, body: &[u8], fetching: Option<&Fetching>) {
        match twiml::parse(body, self.desk.rules.document) {
            Ok(document) => self.run_document(at, document),
            Err(error) => self.fail(now, at, error.code, &error.to_string(), fetching),
        }
    }

    fn run_document(&mut self, at: usize, document: Document) {
        self.desk.effects.extend(document.notices.iter().cloned().map(Effect::Warn));
        let frame = &mut self.frames[at];
        (frame.document, frame.at, frame.doing) = (document, 0, Doing::Ready);
    }

    fn music(&mut self, at: usize) {
        let id = SoundId(self.desk.fresh());
        self.desk.emit(Effect::HoldMusic { id });
        self.frames[at].doing = Doing::Music(id);
    }

    /// Says that something went wrong, and ends the call.
    fn apologize(&mut self, now: Instant, at: usize) {
        match self.desk.rules.apology.clone().filter(|_| self.desk.role == Role::Call) {
            Some(apology) => {
                self.desk.answer(now);
                let id = self.desk.say(apology, Times::ONCE);
                self.frames[at].doing = Doing::Apologizing { id, until: now + LAST_WORDS };
            }
            None => self.hang_up(now),
        }
    }
}

fn alone(verb: Verb) -> Document {
    Document { steps: vec![Step { line: 1, verb }], notices: Vec::new() }
}
