//! One line as the threads see it: the value with its lock, and the bells of those who wait for it.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    Refused, Shared,
    line::{Line, Out},
    lock, now,
};
use crate::sentence::Part;

/// One line as the threads see it.
pub(super) struct Cell {
    pub(super) shared: Arc<Shared>,
    pub(super) line: Mutex<Line>,
    /// Whether it stands in the queue for a thread.
    pub(super) is_wanting: AtomicBool,
    pub(super) room: Notify,
    pub(super) news: Notify,
    news_blocking: Condvar,
}

impl Cell {
    pub(super) fn new(shared: Arc<Shared>, line: Line) -> Self {
        Self {
            shared,
            line: Mutex::new(line),
            is_wanting: AtomicBool::new(false),
            room: Notify::new(),
            news: Notify::new(),
            news_blocking: Condvar::new(),
        }
    }

    pub(super) fn check(&self) -> Result<(), Refused> {
        if self.shared.closing.load(Ordering::SeqCst) {
            return Err(Refused::Closing);
        }
        if lock(&self.line).is_abandoned() { Err(Refused::Abandoned) } else { Ok(()) }
    }

    /// Takes `parts` if there is room.
    pub(super) fn say(self: &Arc<Self>, turn: u64, parts: &mut Option<Vec<Part>>) -> Option<u64> {
        let mut line = lock(&self.line);
        if !line.has_room() {
            return None;
        }
        let number = line.say(turn, parts.take()?, now());
        drop(line);
        self.want();
        self.tell();
        Some(number)
    }

    /// Stands in the queue for a thread, once, if there is something to speak.
    pub(super) fn want(self: &Arc<Self>) {
        if !lock(&self.line).wants() || self.is_wanting.swap(true, Ordering::SeqCst) {
            return;
        }
        lock(&self.shared.wanting).push_back(self.clone());
        self.shared.bell.notify_one();
    }

    pub(super) fn hush(self: &Arc<Self>, turn: u64) {
        lock(&self.line).hush(turn);
        self.room.notify_one();
        self.tell();
        self.want();
    }

    pub(super) fn abandon(&self) {
        lock(&self.line).abandon();
        self.room.notify_one();
        self.shared.lines.fetch_sub(1, Ordering::SeqCst);
    }

    /// Wakes the reader.
    pub(super) fn tell(&self) {
        self.news.notify_one();
        let line = lock(&self.line);
        self.news_blocking.notify_all();
        drop(line);
    }

    /// Waits for `news`, or until the voices stop.
    pub(super) async fn changed(&self, news: &Notify) {
        let mut stopped = std::pin::pin!(self.shared.stopped.notified());
        // Asked after the wait has begun, so that a stop in between is not missed.
        stopped.as_mut().enable();
        if self.shared.closing.load(Ordering::SeqCst) {
            return;
        }
        tokio::select! {
            () = news.notified() => {}
            () = stopped => {}
        }
    }

    /// The next that was said; `Some(None)` after the last, `None` when there is none yet.
    pub(super) fn take_out(self: &Arc<Self>) -> Option<Option<Out>> {
        let mut line = lock(&self.line);
        let out = line.pop();
        let is_over = line.is_over() || self.shared.closing.load(Ordering::SeqCst);
        let has_room = line.has_room();
        drop(line);
        if has_room {
            self.room.notify_one();
        }
        match out {
            Some(out) => {
                self.want();
                Some(Some(out))
            }
            None => is_over.then_some(None),
        }
    }

    pub(super) fn wait_for_news(&self) {
        let line = lock(&self.line);
        let quiet =
            |line: &mut Line| !line.has_out() && !line.is_over() && !self.shared.closing.load(Ordering::Relaxed);
        let _ = self.news_blocking.wait_timeout_while(line, STOP_NOTICED_WITHIN, quiet);
    }

    /// Hands over what a thread made of the current part.
    pub(super) fn give(&self, out: Out) {
        if lock(&self.line).made(out) {
            self.tell();
        }
    }
}

/// Blocking waits look up this often whether the voices are stopping.
const STOP_NOTICED_WITHIN: Duration = Duration::from_millis(100);
