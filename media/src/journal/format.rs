//! The file of a journal: a header, then blocks of records, each block with its length and its checksums.
//!
//! Pure but for the reader it is given. A file that was cut off anywhere is read up to its last whole block, and
//! says that it was cut ([`Reader::was_cut`]); a file with a changed byte anywhere is an error that names the
//! place; a file of a newer version is refused by number. Memory is bounded by [`BLOCK_MAX`], whatever the file
//! says.
//!
//! ```text
//! header: "HRMYCALL" version:u32 crc:u32(of the twelve bytes before)
//! block:  length:u32 crc:u32(of the length and the block's number) crc:u32(of the payload) payload
//! record: kind:u8 track:u32 length:u32 body
//! ```

use std::io::{self, Read};

/// The version of the file and of every record's body; grows with any change, since a journal is only of use to a
/// program that reads all of it. Older ones are read: what was added since is absent from them. 2: streams of the ears
/// are told how likely a speaker was done, and say after how much silence they ask.
pub const VERSION: u32 = 2;

/// The first bytes of every journal.
const MAGIC: [u8; 8] = *b"HRMYCALL";

/// The largest payload of a block.
pub const BLOCK_MAX: usize = 1 << 20;

/// The largest body of a record.
pub const BODY_MAX: usize = BLOCK_MAX - RECORD_HEAD;

const HEAD: usize = 16;
const BLOCK_HEAD: usize = 12;
const RECORD_HEAD: usize = 9;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        /// What a record tells. Bodies are JSON for what is rare and bytes for what is frequent; whoever writes a
        /// kind also reads it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[$doc])* $name = $number,)*
        }

        impl Kind {
            pub(super) fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// Input: the room as it was opened (JSON).
    Room = 1;
    /// Input: something the room was told (JSON).
    Told = 2;
    /// Output: an event as the room published it (JSON).
    Published = 3;
    /// Input: a stream of the ears was opened; `track` numbers it.
    EarsOpened = 16;
    /// Input: a window of sound that the ears of a stream took.
    EarsHeard = 17;
    /// Input: something else that happened to a stream of the ears.
    EarsTold = 18;
    /// Input: an order to the graph (JSON).
    GraphTold = 33;
    /// Input: when the engine did what it was ordered.
    GraphObeyed = 34;
    /// Input: a datagram that a leg's receiving node read.
    Packet = 35;
    /// Input: sound that a leg's playout node read.
    Sound = 36;
    /// Output: the checksum of the samples that passed a place of the graph in one tick.
    Passed = 37;
    /// So many records found no room and are missing from here on.
    Dropped = 126;
    /// The journal was closed in good order; nothing follows.
    Closed = 127;
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it tells.
    pub kind: Kind,
    /// Of which stream, leg or node; zero for the room itself.
    pub track: u32,
    /// The rest, in the way of its kind.
    pub body: Vec<u8>,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file is something else.
    #[error("this is no journal of a call")]
    NotAJournal,
    /// Written by a program that knows more.
    #[error(
        "the journal has version {found}, this program reads version {VERSION}: replay it with the program that wrote it, or a newer one"
    )]
    Newer {
        /// Its version.
        found: u32,
    },
    /// Bytes were changed since they were written.
    #[error("the journal is damaged at byte {at}: {what}")]
    Damaged {
        /// Where the damaged part begins.
        at: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// The file cannot be read.
    #[error("the journal cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// The header of a journal.
pub fn header() -> [u8; HEAD] {
    header_of(VERSION)
}

fn header_of(version: u32) -> [u8; HEAD] {
    let mut header = [0; HEAD];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&version.to_le_bytes());
    let crc = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// A block under construction: records go in until it is full, then its bytes are written.
#[derive(Debug)]
pub struct Block {
    /// Space for the head, then the payload.
    bytes: Vec<u8>,
    number: u64,
}

impl Default for Block {
    fn default() -> Self {
        Self { bytes: vec![0; BLOCK_HEAD], number: 0 }
    }
}

impl Block {
    /// Adds a record; false when it does not fit into what is left of this block, or into any.
    pub fn add(&mut self, kind: Kind, track: u32, body: &[u8]) -> bool {
        if self.len() + RECORD_HEAD + body.len() > BLOCK_MAX {
            return false;
        }
        self.bytes.push(kind as u8);
        self.bytes.extend_from_slice(&track.to_le_bytes());
        self.bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(body);
        true
    }

    /// Bytes of records inside.
    pub fn len(&self) -> usize {
        self.bytes.len() - BLOCK_HEAD
    }

    /// Whether no record is inside.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The finished bytes. Call [`Self::begin_next`] once they are written.
    pub fn bytes(&mut self) -> &[u8] {
        let length = (self.len() as u32).to_le_bytes();
        let payload_crc = crc32fast::hash(&self.bytes[BLOCK_HEAD..]);
        self.bytes[..4].copy_from_slice(&length);
        self.bytes[4..8].copy_from_slice(&head_crc(length, self.number).to_le_bytes());
        self.bytes[8..12].copy_from_slice(&payload_crc.to_le_bytes());
        &self.bytes
    }

    /// Empties it for the records that follow.
    pub fn begin_next(&mut self) {
        self.bytes.truncate(BLOCK_HEAD);
        self.number += 1;
    }
}

/// The block's number is part of the sum, so that a block that is missing or comes twice is noticed.
fn head_crc(length: [u8; 4], number: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(&number.to_le_bytes());
    hasher.finalize()
}

/// Reads a journal from its beginning.
#[derive(Debug)]
pub struct Reader<R> {
    inner: R,
    payload: Vec<u8>,
    /// How much of `payload` has been read.
    taken: usize,
    /// Where the payload lies in the file.
    payload_at: u64,
    at: u64,
    blocks: u64,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    Cut,
}

impl<R: Read> Reader<R> {
    /// Opens a journal.
    ///
    /// # Errors
    /// [`JournalError`] when it is none, is newer, or its header is damaged or cut.
    pub fn open(mut inner: R) -> Result<Self, JournalError> {
        let mut header = [0; HEAD];
        let read = read_up_to(&mut inner, &mut header)?;
        if read < MAGIC.len() || header[..8] != MAGIC {
            return Err(JournalError::NotAJournal);
        }
        if read < HEAD {
            return Err(JournalError::Damaged { at: 8, what: "its header is cut off" });
        }
        let version = u32::from_le_bytes(header[8..12].try_into().expect("four bytes"));
        if header != header_of(version) {
            return Err(JournalError::Damaged { at: 8, what: "its header does not match its checksum" });
        }
        if version > VERSION || version == 0 {
            return Err(JournalError::Newer { found: version });
        }
        Ok(Self {
            inner,
            payload: Vec::new(),
            taken: 0,
            payload_at: HEAD as u64,
            at: HEAD as u64,
            blocks: 0,
            end: None,
        })
    }

    /// The next record; `None` at the end, whether it was closed or cut off.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] where bytes were changed; nothing can be read from there on.
    pub fn record(&mut self) -> Result<Option<Record>, JournalError> {
        while self.taken == self.payload.len() {
            if self.end.is_some() || !self.next_block()? {
                return Ok(None);
            }
        }
        let at = self.payload_at + self.taken as u64;
        let damaged = |what| JournalError::Damaged { at, what };
        let rest = &self.payload[self.taken..];
        let (head, body) = rest.split_at_checked(RECORD_HEAD).ok_or_else(|| damaged("a record is too short"))?;
        let kind = Kind::from_number(head[0]).ok_or_else(|| damaged("a record of an unknown kind"))?;
        let track = u32::from_le_bytes(head[1..5].try_into().expect("four bytes"));
        let length = u32::from_le_bytes(head[5..9].try_into().expect("four bytes")) as usize;
        let body = body.get(..length).ok_or_else(|| damaged("a record is longer than its block"))?.to_vec();
        self.taken += RECORD_HEAD + length;
        if kind == Kind::Closed {
            self.end = Some(End::Closed);
            self.taken = self.payload.len();
            let mut more = [0];
            if read_up_to(&mut self.inner, &mut more)? > 0 {
                return Err(JournalError::Damaged { at: self.at, what: "something follows its end" });
            }
        }
        Ok(Some(Record { kind, track, body }))
    }

    /// Whether it ended without being closed: the process died, or the file was cut.
    pub fn was_cut(&self) -> bool {
        self.end == Some(End::Cut)
    }

    /// Reads the next block; false when there is no whole one.
    fn next_block(&mut self) -> Result<bool, JournalError> {
        let mut head = [0; BLOCK_HEAD];
        if read_up_to(&mut self.inner, &mut head)? < BLOCK_HEAD {
            self.end = Some(End::Cut);
            return Ok(false);
        }
        let number = |range: std::ops::Range<usize>| -> [u8; 4] { head[range].try_into().expect("four bytes") };
        let length = u32::from_le_bytes(number(0..4)) as usize;
        if u32::from_le_bytes(number(4..8)) != head_crc(number(0..4), self.blocks) || length > BLOCK_MAX {
            return Err(JournalError::Damaged { at: self.at, what: "a block's head does not match its checksum" });
        }
        self.payload.resize(length, 0);
        if read_up_to(&mut self.inner, &mut self.payload)? < length {
            self.payload.clear();
            self.taken = 0;
            self.end = Some(End::Cut);
            return Ok(false);
        }
        if crc32fast::hash(&self.payload) != u32::from_le_bytes(number(8..12)) {
            return Err(JournalError::Damaged { at: self.at, what: "a block does not match its checksum" });
        }
        self.payload_at = self.at + BLOCK_HEAD as u64;
        self.at = self.payload_at + length as u64;
        self.taken = 0;
        self.blocks += 1;
        Ok(true)
    }
}

/// Fills `buffer` as far as there are bytes.
fn read_up_to(inner: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match inner.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A journal of some blocks, and where each block ends with the count of records until there.
    fn journal(blocks: &[Vec<Vec<u8>>], close: bool) -> (Vec<u8>, Vec<(usize, usize)>) {
        let mut file = header().to_vec();
        let (mut ends, mut records) = (vec![(file.len(), 0)], 0);
        let mut block = Block::default();
        for bodies in blocks {
            for body in bodies {
                assert!(block.add(Kind::Packet, records as u32, body));
                records += 1;
            }
            file.extend_from_slice(block.bytes());
            block.begin_next();
            ends.push((file.len(), records));
        }
        if close {
            assert!(block.add(Kind::Closed, 0, &[]));
            file.extend_from_slice(block.bytes());
        }
        (file, ends)
    }

    fn read(file: &[u8]) -> Result<(Vec<Record>, bool), JournalError> {
        let mut reader = Reader::open(file)?;
        let mut records = Vec::new();
        while let Some(record) = reader.record()? {
            records.push(record);
        }
        Ok((records, reader.was_cut()))
    }

    fn blocks() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
        let body = prop::collection::vec(any::<u8>(), 0..60);
        prop::collection::vec(prop::collection::vec(body, 1..5), 1..6)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(blocks in blocks()) {
            let (file, _) = journal(&blocks, true);
            let (records, was_cut) = read(&file).unwrap();
            let bodies: Vec<&Vec<u8>> = blocks.iter().flatten().collect();
            prop_assert!(!was_cut);
            prop_assert_eq!(records.len(), bodies.len() + 1);
            for (index, (record, body)) in records.iter().zip(bodies).enumerate() {
                prop_assert_eq!((record.track, &record.body), (index as u32, body));
            }
        }

        #[test]
        fn a_cut_journal_is_read_to_its_last_whole_block(blocks in blocks(), cut: prop::sample::Index) {
            let (file, ends) = journal(&blocks, true);
            let length = HEAD + cut.index(file.len() - HEAD);
            let (records, was_cut) = read(&file[..length]).unwrap();
            let whole = ends.iter().rev().find(|(end, _)| *end <= length).unwrap().1;
            prop_assert!(was_cut);
            prop_assert_eq!(records.len(), whole);
        }

        #[test]
        fn a_changed_byte_is_always_noticed(blocks in blocks(), at: prop::sample::Index, by in 1..=255_u8) {
            let (mut file, _) = journal(&blocks, true);
            let at = at.index(file.len());
            file[at] ^= by;
            prop_assert!(read(&file).is_err(), "byte {at}");
        }

        #[test]
        fn no_bytes_panic_or_fill_memory(bytes in prop::collection::vec(any::<u8>(), 0..400), is_headed: bool) {
            let mut file = if is_headed { header().to_vec() } else { Vec::new() };
            file.extend_from_slice(&bytes);
            let _ = read(&file);
        }
    }

    #[test]
    fn a_newer_version_is_refused_by_its_number() {
        let mut file = header_of(VERSION + 1).to_vec();
        file.extend_from_slice(&[7; 100]);
        assert!(matches!(read(&file), Err(JournalError::Newer { found }) if found == VERSION + 1));
    }

    #[test]
    fn an_older_version_is_read() {
        let (mut file, _) = journal(&[vec![vec![1]]], true);
        file[..HEAD].copy_from_slice(&header_of(1));
        assert_eq!(read(&file).unwrap().0.len(), 2);
    }

    #[test]
    fn a_block_that_is_missing_or_comes_twice_is_noticed() {
        let (file, ends) = journal(&[vec![vec![1]], vec![vec![2]], vec![vec![3]]], true);
        let [first, second] = [&file[ends[0].0..ends[1].0], &file[ends[1].0..ends[2].0]];
        let without = [&file[..ends[1].0], &file[ends[2].0..]].concat();
        let twice = [&file[..ends[1].0], first, second].concat();
        assert!(matches!(read(&without), Err(JournalError::Damaged { .. })));
        assert!(matches!(read(&twice), Err(JournalError::Damaged { .. })));
    }
}
