//! The journal's own thread, and the handle that everybody notes through.
//!
//! The thread collects records into blocks and writes one when it is full or a second old, so a process that is
//! killed loses at most that second. When the disk is too slow or full, records are dropped and counted and the
//! call goes on: a journal never costs a call anything but the memory of its queue. It ends, and says so in the
//! file, when the last handle and tape are gone.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    format::{BODY_MAX, Block, Kind, header},
    tape::{Tape, TapeReader, tape},
};

/// The journal's file in its folder.
pub const FILE_NAME: &str = "call.journal";

/// Records on their way to the thread. A second of thirty streams; it costs some MB when the disk stands still.
/// When it is full, new records are dropped and counted.
const RECORDS: usize = 4_096;

/// A block is written when it holds this much, or after [`WRITE_EVERY`].
const BLOCK_FULL: usize = 64 << 10;

/// What may be lost when the process is killed.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// Tapes are emptied this often: far more often than they fill.
const EMPTY_EVERY: Duration = Duration::from_millis(100);

/// Where the inputs of one call are noted. Cheap to clone; the file is finished when the last clone is gone.
#[derive(Clone, Debug)]
pub struct Journal {
    to: SyncSender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    began: Instant,
    dropped: AtomicU64,
    failed: AtomicBool,
    tracks: AtomicU32,
}

/// Waits until every journal of this process is written to its end, or `at_most` so long; whether they are. To be
/// called before the process ends, when whoever noted has let go. Blocks.
pub fn finish(at_most: Duration) -> bool {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = ENDED.wait_timeout_while(running, at_most, |running| *running > 0);
    *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
}

/// Threads that write.
static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// One of them.
struct Running;

impl Running {
    fn begin() -> Self {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_all();
    }
}

enum Message {
    Record { kind: Kind, track: u32, body: Vec<u8> },
    Tape(TapeReader),
}

impl Journal {
    /// Makes the folder, readable by its owner alone, and starts the journal of a call that began at `began`.
    ///
    /// # Errors
    /// When the folder or the file cannot be made, or the file is there already.
    pub fn create(folder: &Path, began: Instant) -> io::Result<Self> {
        make_private_folder(folder)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let mut file = options.open(folder.join(FILE_NAME))?;
        file.write_all(&header())?;
        let (to, inbox) = sync_channel(RECORDS);
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            began,
            dropped: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            // Zero is the room itself.
            tracks: AtomicU32::new(1),
        });
        let (of_thread, running) = (shared.clone(), Running::begin());
        thread::Builder::new().name("journal".to_owned()).spawn(move || {
            Writer { file, block: Block::default(), shared: of_thread, tapes: Vec::new() }.run(&inbox);
            drop(running);
        })?;
        Ok(Self { to, shared })
    }

    /// Notes a record. Never waits.
    pub fn note(&self, kind: Kind, track: u32, body: Vec<u8>) {
        let fits = body.len() <= BODY_MAX && self.to.try_send(Message::Record { kind, track, body }).is_ok();
        if !fits {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A tape for the schedule of a room on an engine's thread.
    pub fn tape(&self) -> Tape {
        let (tape, reader) = tape();
        match self.to.try_send(Message::Tape(reader)) {
            Ok(()) => tape,
            Err(_) => {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                Tape::blank()
            }
        }
    }

    /// A number for the next stream, leg or node that notes something.
    pub fn new_track(&self) -> u32 {
        self.shared.tracks.fetch_add(1, Ordering::Relaxed)
    }

    /// Nanoseconds since the call began; zero for what was before.
    pub fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.shared.began).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Whether nothing was dropped or failed so far.
    pub fn is_complete(&self) -> bool {
        self.shared.dropped.load(Ordering::Relaxed) == 0 && !self.shared.failed.load(Ordering::Relaxed)
    }
}

struct Writer {
    file: File,
    block: Block,
    shared: Arc<Shared>,
    tapes: Vec<TapeReader>,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Message>) {
        let (mut told_dropped, mut written_at, mut emptied_at) = (0, now(), now());
        loop {
            let is_last = match inbox.recv_timeout(EMPTY_EVERY) {
                Ok(message) => {
                    // Said before what may have followed it: a replay rather stops too early than too late.
                    self.tell_dropped(&mut told_dropped);
                    self.take(message);
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => {
                    let is_last = self.tapes.is_empty();
                    if !is_last {
                        thread::park_timeout(EMPTY_EVERY);
                    }
                    is_last
                }
            };
            let at = now();
            if at.saturating_duration_since(emptied_at) >= EMPTY_EVERY {
                self.empty_tapes(&mut told_dropped);
                emptied_at = at;
            }
            if is_last {
                break;
            }
            if self.block.len() >= BLOCK_FULL || at.saturating_duration_since(written_at) >= WRITE_EVERY {
                self.tell_dropped(&mut told_dropped);
                self.write();
                written_at = at;
            }
        }
        self.tell_dropped(&mut told_dropped);
        self.add(Kind::Closed, 0, &[]);
        self.write();
        if let Err(error) = self.file.sync_data() {
            self.fail(&error);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Record { kind, track, body } => self.add(kind, track, &body),
            Message::Tape(tape) => self.tapes.push(tape),
        }
    }

    fn add(&mut self, kind: Kind, track: u32, body: &[u8]) {
        if !self.block.add(kind, track, body) {
            self.write();
            self.block.add(kind, track, body);
        }
    }

    /// Takes what is on the tapes. A room that begins anew has a new tape: what is on the old one came before, and is
    /// written before. It is read after, so that nothing of it can be missing then.
    fn empty_tapes(&mut self, told_dropped: &mut u64) {
        let mut taken = Vec::new();
        for index in (0..self.tapes.len()).rev() {
            let tape = &mut self.tapes[index];
            // Asked before it is emptied: nothing comes after the end.
            let has_ended = tape.is_abandoned();
            let mut records = Vec::new();
            tape.empty(|kind, track, body| {
                records.extend(Kind::from_number(kind).map(|kind| (kind, track, body.to_vec())));
            });
            self.shared.dropped.fetch_add(tape.take_dropped(), Ordering::Relaxed);
            taken.push(records);
            if has_ended {
                self.tapes.remove(index);
            }
        }
        self.tell_dropped(told_dropped);
        for (kind, track, body) in taken.into_iter().rev().flatten() {
            self.add(kind, track, &body);
        }
    }

    fn tell_dropped(&mut self, told: &mut u64) {
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        if dropped > *told {
            if *told == 0 {
                tracing::warn!(folder = %self.shared.folder.display(), dropped, "the inputs of this call are not all recorded: the disk is too slow");
            }
            *told = dropped;
            self.add(Kind::Dropped, 0, &dropped.to_le_bytes());
        }
    }

    fn write(&mut self) {
        if self.block.is_empty() {
            return;
        }
        // After a failure nothing more is written: what would follow a torn block could not be read.
        if !self.shared.failed.load(Ordering::Relaxed)
            && let Err(error) = self.file.write_all(self.block.bytes())
        {
            self.fail(&error);
        }
        self.block.begin_next();
    }

    fn fail(&self, error: &io::Error) {
        self.shared.failed.store(true, Ordering::Relaxed);
        tracing::warn!(folder = %self.shared.folder.display(), %error, "the inputs of this call are recorded no further");
    }
}

fn make_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}

#[expect(clippy::disallowed_methods, reason = "the journal's thread owns the clock by which it writes")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Reader, Record};

    fn records(folder: &Path) -> (Vec<Record>, bool) {
        let mut reader = Reader::open(File::open(folder.join(FILE_NAME)).unwrap()).unwrap();
        let mut records = Vec::new();
        while let Some(record) = reader.record().unwrap() {
            records.push(record);
        }
        (records, reader.was_cut())
    }

    /// Waits until the journal's thread has written the end of its file.
    fn finished(folder: &Path) -> Vec<Record> {
        loop {
            let (records, was_cut) = records(folder);
            if !was_cut {
                return records;
            }
            thread::yield_now();
        }
    }

    #[test]
    fn what_is_noted_from_two_threads_is_in_the_file_in_the_order_of_each() {
        let folder = tempfile::TempDir::new().unwrap();
        let folder = folder.path().join("r1-now");
        let journal = Journal::create(&folder, now()).unwrap();
        let mut tape = journal.tape();
        let ticking = thread::spawn(move || {
            for track in 0..500_u32 {
                tape.note(Kind::Packet, track, &[b"packet"]);
            }
        });
        for track in 0..500 {
            journal.note(Kind::Told, track, b"told".to_vec());
        }
        ticking.join().unwrap();
        assert!(journal.is_complete());
        drop(journal);
        let records = finished(&folder);
        for kind in [Kind::Packet, Kind::Told] {
            let tracks = records.iter().filter(|record| record.kind == kind).map(|record| record.track);
            assert!(tracks.eq(0..500), "{kind:?}");
        }
        assert_eq!(records.last().unwrap().kind, Kind::Closed);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_a_journal() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::TempDir::new().unwrap();
        let folder = folder.path().join("inputs/r1-now");
        let _journal = Journal::create(&folder, now()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(folder.parent().unwrap()), 0o700);
        assert_eq!(mode(&folder.join(FILE_NAME)), 0o600);
    }

    #[test]
    fn a_record_too_large_for_any_block_is_dropped_and_the_journal_says_so() {
        let folder = tempfile::TempDir::new().unwrap();
        let folder = folder.path().join("r1-now");
        let journal = Journal::create(&folder, now()).unwrap();
        journal.note(Kind::Told, 0, vec![0; BODY_MAX + 1]);
        journal.note(Kind::Told, 1, vec![1; BODY_MAX]);
        assert!(!journal.is_complete());
        drop(journal);
        let kinds: Vec<(Kind, u32)> = finished(&folder).iter().map(|record| (record.kind, record.track)).collect();
        assert_eq!(kinds, [(Kind::Dropped, 0), (Kind::Told, 1), (Kind::Closed, 0)]);
    }
}
